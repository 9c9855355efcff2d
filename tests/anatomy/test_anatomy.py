"""Computed anatomy against made-up patients and the phantom's truth."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from irplan.anatomy import Anatomy, build_anatomy
from irplan.anatomy.names import TOTAL_CLASSES, unknown_among
from irplan.body import find_body
from irplan.errors import InputRefused
from irplan.findings import accept
from irplan.geometry import GridGeometry
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.phantom import PhantomSpec, build_phantom
from irplan.volume import CtVolume
from irplan.volume_io import save_label_map

BONES = (
    "rib_", "vertebrae_", "sacrum", "sternum", "scapula_", "clavicula_", "humerus_", "hip_",
    "femur_", "skull",
)  # fmt: skip


@pytest.fixture(scope="module")
def phantom():  # type: ignore[no-untyped-def]
    return build_phantom(PhantomSpec(columns=160, rows=160, slices=110))


@pytest.fixture(scope="module")
def anatomy(phantom) -> Anatomy:  # type: ignore[no-untyped-def]
    volume = phantom.volume()
    return build_anatomy(volume, find_body(volume))


def truth(phantom, *prefixes: str) -> np.ndarray:  # type: ignore[no-untyped-def]
    names = phantom.label_names
    return np.isin(
        phantom.labels, [label for label, name in names.items() if name.startswith(prefixes)]
    )


def obstacles(anatomy: Anatomy) -> np.ndarray:
    soft = [s.label for s in anatomy.structures if s.name.startswith(("lung", "liver"))]
    return (anatomy.labels > 0) & ~np.isin(anatomy.labels, soft)


def missed_depth_mm(truth_mask: np.ndarray, found: np.ndarray, spacing: tuple[float, ...]) -> float:
    """How deep inside the true structure the deepest voxel lies that nobody found."""
    box = tuple(
        slice(max(0, side.start - 1), side.stop + 1)
        for side in ndimage.find_objects(truth_mask.astype(np.uint8))[0]
    )
    depth = ndimage.distance_transform_edt(truth_mask[box], sampling=spacing)
    missed = truth_mask[box] & ~found[box]
    return float(depth[missed].max(initial=0.0))


def test_no_bone_is_missed_more_than_3_mm_deep(phantom, anatomy: Anatomy) -> None:  # type: ignore[no-untyped-def]
    spacing = phantom.grid.spacing_zyx_mm
    for prefix in BONES:
        mask = truth(phantom, prefix)
        if mask.any():
            # A voxel's depth is measured between centres; the first layer is one voxel deep.
            assert missed_depth_mm(mask, obstacles(anatomy), spacing) <= 3.0 + max(spacing), prefix


def test_lungs_and_liver_overlap_with_the_truth(phantom, anatomy: Anatomy) -> None:  # type: ignore[no-untyped-def]
    for name, prefixes, least in (
        ("lung_left", ("lung_upper_lobe_left", "lung_lower_lobe_left"), 0.95),
        ("lung_right", ("lung_upper_lobe_r", "lung_middle_lobe_r", "lung_lower_lobe_r"), 0.95),
        ("liver", ("liver",), 0.80),
        ("trachea", ("trachea",), 0.70),
    ):
        found, true = anatomy.mask(name), truth(phantom, *prefixes)
        dice = 2 * np.count_nonzero(found & true) / (found.sum() + true.sum())
        assert dice >= least, (name, dice)


def test_left_is_the_patients_left(phantom, anatomy: Anatomy) -> None:  # type: ignore[no-untyped-def]
    _, _, x = np.nonzero(anatomy.mask("lung_left"))
    _, _, other = np.nonzero(anatomy.mask("lung_right"))
    assert phantom.grid.axes[0, 0] > 0
    assert x.mean() > other.mean()


def test_great_vessels_and_gas_are_obstacles(phantom, anatomy: Anatomy) -> None:  # type: ignore[no-untyped-def]
    found = obstacles(anatomy)
    for prefix, least in (("aorta", 0.8), ("inferior_vena_cava", 0.7), ("kidney_", 0.7)):
        mask = truth(phantom, prefix)
        assert np.count_nonzero(mask & found) >= least * np.count_nonzero(mask), prefix
    gas = (phantom.hu < -700) & truth(phantom, "colon", "stomach")
    assert np.count_nonzero(gas & found) >= 0.97 * np.count_nonzero(gas)


def test_structures_of_the_document_belong_to_the_labels(anatomy: Anatomy) -> None:
    for structure in anatomy.structures:
        counted = np.count_nonzero(anatomy.labels == structure.label) * anatomy.grid.voxel_ml
        assert float(structure.volume_ml) == pytest.approx(counted, abs=0.001)
        assert structure.document()["source"] == "computed"
    assert "heart" not in anatomy.unknown
    assert {"nerves", "bowel_without_gas", "gallbladder"} <= set(anatomy.unknown)


def test_the_anatomy_is_the_same_every_time(phantom, anatomy: Anatomy) -> None:  # type: ignore[no-untyped-def]
    volume = phantom.volume()
    again = build_anatomy(volume, find_body(volume))
    assert np.array_equal(again.labels, anatomy.labels)
    assert again.structures == anatomy.structures


def test_without_contrast_the_vessels_are_unknown_conspicuously() -> None:
    plain = build_phantom(PhantomSpec(columns=128, rows=128, slices=80, contrast=False))
    volume = plain.volume()
    # The scan's word is not needed: it may be silent.
    volume = CtVolume(volume.hu, volume.geometry)
    found = build_anatomy(volume, find_body(volume))
    assert "vessels" not in found.names
    assert "heart" not in found.names
    assert "great_vessels" in found.unknown
    assert [f.severity for f in found.findings if f.code == "vessels_unknown"] == ["warn"]


def box(shape: tuple[int, int, int] = (20, 40, 40)) -> tuple[CtVolume, np.ndarray]:
    grid = GridGeometry((shape[2], shape[1], shape[0]), (2.0, 2.0, 3.0), (1.0, 2.0, 3.0))
    hu = np.full(shape, -1000, dtype=np.int16)
    hu[:, 4:-4, 4:-4] = 40
    return CtVolume(hu, grid), hu > -500


def lesion_at(mask: np.ndarray, grid: GridGeometry) -> Lesion:
    return Lesion("L1", 1, LesionSource.IMPORTED, mask=LesionMask.from_full(mask, grid))


def imported(
    tmp_path: Path, volume: CtVolume, labels: np.ndarray, names: dict[str, str] | None = None
) -> tuple[Path, Path | None]:
    path = tmp_path / "labels.nrrd"
    save_label_map(labels, volume.geometry, path)
    if names is None:
        return path, None
    names_path = tmp_path / "names.json"
    names_path.write_text(json.dumps(names), encoding="utf-8")
    return path, names_path


def test_imported_labels_join_the_computed_ones(tmp_path: Path) -> None:
    volume, body = box()
    volume = CtVolume(volume.hu.copy(), volume.geometry)
    hu = volume.hu.copy()
    hu[:, 18:22, 18:22] = 900
    volume = CtVolume(hu, volume.geometry)
    labels = np.zeros(hu.shape, dtype=np.uint8)
    labels[5:10, 8:14, 8:14] = 5
    labels[5:10, 30:34, 8:14] = 52
    path, _ = imported(tmp_path, volume, labels)
    found = build_anatomy(volume, body, (), path)
    assert {"liver", "aorta", "bone"} <= set(found.names)
    assert np.array_equal(found.mask("aorta"), labels == 52)
    assert "label_names_assumed" in [finding.code for finding in found.findings]
    assert "great_vessels" not in found.unknown
    sources = {structure.name: structure.source for structure in found.structures}
    assert sources["aorta"] == "imported"
    assert sources["bone"] == "computed"


def test_names_of_labels_are_read(tmp_path: Path) -> None:
    volume, body = box()
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    labels[5:10, 8:14, 8:14] = 3
    labels[5:10, 20:24, 8:14] = 9
    path, names = imported(tmp_path, volume, labels, {"3": "stent"})
    found = build_anatomy(volume, body, (), path, names)
    assert {"stent", "label_9"} <= set(found.names)
    assert "label_without_name" in [finding.code for finding in found.findings]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[1]", "not an object"),
        ("{}", "not an object"),
        ('{"0": "air"}', "not a label"),
        ('{"liver": "5"}', "not a label"),
        ('{"1": ""}', "no name"),
        ('{"1": "a", "2": "a"}', "two labels"),
        ('{"1": "a", "1": "b"}', "is not JSON"),
    ],
)
def test_names_that_are_refused(tmp_path: Path, content: str, told: str) -> None:
    volume, body = box()
    path, _ = imported(tmp_path, volume, np.zeros(volume.hu.shape, dtype=np.uint8))
    names = tmp_path / "names.json"
    names.write_text(content, encoding="utf-8")
    with pytest.raises(InputRefused, match=told):
        build_anatomy(volume, body, (), path, names)


def test_labels_on_another_grid_are_refused(tmp_path: Path) -> None:
    volume, body = box()
    other, _ = box((20, 40, 44))
    path, _ = imported(tmp_path, other, np.zeros(other.hu.shape, dtype=np.uint8))
    with pytest.raises(InputRefused, match="not that of the CT"):
        build_anatomy(volume, body, (), path)


@pytest.mark.parametrize(
    ("name", "keeps"),
    [
        ("kidney_left", False),
        ("pancreas", False),
        ("aorta", True),
        ("heart", True),
        ("vertebrae_L3", True),
        ("trachea", True),
        ("no_go_1", True),
    ],
)
def test_a_lesion_opens_no_way_through_what_must_not_be_hit(
    tmp_path: Path, name: str, keeps: bool
) -> None:
    volume, body = box()
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    labels[5:15, 10:20, 10:20] = 1
    path, names = imported(tmp_path, volume, labels, {"1": name})
    mask = np.zeros(volume.hu.shape, dtype=bool)
    mask[7:12, 12:25, 12:18] = True
    found = build_anatomy(volume, body, (lesion_at(mask, volume.geometry),), path, names)
    left = found.mask(name)
    expected = (labels == 1) if keeps else (labels == 1) & ~mask
    assert np.array_equal(left, expected)
    told = [finding for finding in found.findings if finding.code == "lesion_overlaps_structure"]
    assert bool(told) is keeps
    shared = np.count_nonzero(mask & (labels == 1)) * volume.geometry.voxel_ml
    assert all(str(Decimal(str(round(shared, 3)))) in finding.message for finding in told)


@pytest.mark.parametrize(
    ("name", "gap", "code"),
    [
        ("common_carotid_artery_left", 0, "lesion_at_great_vessel"),
        ("common_carotid_artery_left", 4, None),
        ("internal_jugular_vein_right", 0, "lesion_at_great_vessel"),
        ("superior_vena_cava", 0, "lesion_at_great_vessel"),
        ("brain", 0, "lesion_inside_skull"),
        ("iliac_vena_left", 0, None),
        ("liver", 0, None),
    ],
)
def test_tumour_at_a_great_vessel_is_a_stop_that_nobody_accepts_away(
    tmp_path: Path, name: str, gap: int, code: str | None
) -> None:
    volume, body = box()
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    labels[5:15, 10:20, 10:15] = 1
    path, names = imported(tmp_path, volume, labels, {"1": name})
    mask = np.zeros(volume.hu.shape, dtype=bool)
    mask[7:12, 12:18, 15 + gap : 22 + gap] = True
    found = build_anatomy(volume, body, (lesion_at(mask, volume.geometry),), path, names)
    stops = [finding for finding in found.findings if finding.severity == "stop"]
    assert [finding.code for finding in stops] == ([code] if code else [])
    for finding in accept(found.findings, {finding.code: "seen" for finding in stops}):
        assert finding.accepted is None


def test_unknown_is_what_no_name_stands_for() -> None:
    everything = tuple(TOTAL_CLASSES.values())
    missing = unknown_among(everything)
    assert set(missing) == {"bile_ducts", "nerves", "breast", "diaphragm"} | {
        name for name in ("neck_vessels",) if name in missing
    }
    assert "heart" in unknown_among(("aorta",))
    assert unknown_among(("heart",)).count("heart") == 0


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * np.count_nonzero(one & other) / max(1, one.sum() + other.sum()))


@pytest.mark.realdata
@pytest.mark.long
def test_a_real_abdomen_against_its_masks(realdata: Path) -> None:
    from irplan.volume_io import load_label_map, load_volume

    folder = realdata / "volumes" / "ircad17"
    volume = load_volume(folder / "dicom")
    found = build_anatomy(volume, find_body(volume))
    bone, grid = load_label_map(folder / "masks" / "bone.nii.gz")
    assert grid.same_grid(volume.geometry)
    depth = ndimage.distance_transform_edt(bone > 0, sampling=volume.geometry.spacing_zyx_mm)
    missed = (bone > 0) & ~obstacles(found) & (depth > 3.0)
    # The mask holds rib cartilage too, which is not denser than organs with contrast.
    assert np.count_nonzero(missed) <= 0.015 * np.count_nonzero(bone)
    liver, _ = load_label_map(folder / "masks" / "liver.nii.gz")
    assert dice(found.mask("liver"), liver > 0) >= 0.75
    artery, _ = load_label_map(folder / "masks" / "artery.nii.gz")
    core = ndimage.binary_erosion(artery > 0, iterations=3)
    assert np.count_nonzero(core & obstacles(found)) >= 0.7 * np.count_nonzero(core)
