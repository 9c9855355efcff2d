"""Computed anatomy against made-up patients and the phantom's truth."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from irplan.anatomy import Anatomy, Structure, build_anatomy
from irplan.anatomy.build import _joined
from irplan.anatomy.found import Found
from irplan.anatomy.hazards import hazards
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


def test_the_gallbladder_is_an_obstacle_though_not_by_name(phantom, anatomy: Anatomy) -> None:  # type: ignore[no-untyped-def]
    lumen = truth(phantom, "gallbladder")
    fluid = anatomy.mask("fluid_at_liver")
    # No way for a needle through the middle of it: at most an end slice is missed, and slices lie
    # 6.4 mm apart here. That it is the gallbladder nobody can tell.
    spacing = anatomy.grid.spacing_zyx_mm
    assert missed_depth_mm(lumen, fluid, spacing) <= max(spacing)
    assert "gallbladder" in anatomy.unknown


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
    assert set(missing) == {
        "bile_ducts", "nerves", "breast", "diaphragm", "axillary_vessels", "femoral_vessels",
    }  # fmt: skip
    # What is found of a kind stands for itself alone: not the cava for the aorta, nor one kidney
    # for the other.
    found = unknown_among(("aorta", "kidney_left", "heart"))
    assert {"inferior_vena_cava", "kidney_right"} <= set(found)
    assert not {"great_vessels", "kidney_left", "heart"} & set(found)
    assert "heart" in unknown_among(("aorta",))


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


# ------------------------------------------------------------------------- structures by name


def middle_x(phantom) -> float:  # type: ignore[no-untyped-def]
    return float(np.nonzero(truth(phantom, "vertebrae_"))[2].mean())


def test_ribs_are_told_apart_from_the_spine_and_by_side(phantom, anatomy: Anatomy) -> None:  # type: ignore[no-untyped-def]
    left, right = anatomy.mask("rib_left"), anatomy.mask("rib_right")
    ribs = truth(phantom, "rib_")
    spacing = phantom.grid.spacing_zyx_mm[2]
    aside = np.abs(np.arange(ribs.shape[2]) - middle_x(phantom)) * spacing
    # Beside the spine rib and vertebra touch; from 40 mm on a rib is only a rib, and the rule on
    # ribs looks for them there. Slices of 6.4 mm hold a rib's border voxels by half at best.
    lateral = ribs & (aside > 40.0)[None, None, :]
    assert np.count_nonzero(lateral & (left | right)) >= 0.80 * np.count_nonzero(lateral)
    true_left = truth(phantom, "rib_left")
    wrong_side = np.count_nonzero(left & ribs & ~true_left)
    assert wrong_side <= 0.02 * np.count_nonzero(left)
    spine = truth(phantom, "vertebrae_")
    assert np.count_nonzero(spine & (left | right)) <= 0.05 * np.count_nonzero(spine)
    assert np.count_nonzero(spine & anatomy.mask("vertebrae")) >= 0.75 * np.count_nonzero(spine)


def test_the_spinal_canal_is_an_obstacle_at_every_level(phantom, anatomy: Anatomy) -> None:  # type: ignore[no-untyped-def]
    cord = truth(phantom, "spinal_cord")
    met = cord & obstacles(anatomy)
    levels = np.flatnonzero(cord.any(axis=(1, 2)))
    # No gap between two arches through which a needle could be planned.
    shares = [np.count_nonzero(met[k]) / np.count_nonzero(cord[k]) for k in levels[2:-2]]
    assert min(shares) >= 0.8


def test_what_is_called_aorta_or_kidney_is_that(phantom, anatomy: Anatomy) -> None:  # type: ignore[no-untyped-def]
    for name, prefixes in (
        ("aorta", ("aorta",)),
        ("kidney_left", ("kidney_left", "renal_vessels_left")),
        ("kidney_right", ("kidney_right", "renal_vessels_right")),
        ("spleen", ("spleen",)),
    ):
        if name in anatomy.names:
            found = anatomy.mask(name)
            true = ndimage.binary_dilation(truth(phantom, *prefixes))
            assert np.count_nonzero(found & true) >= 0.7 * np.count_nonzero(found), name
    assert {"kidney_left", "kidney_right", "aorta"} <= set(anatomy.names)


def test_the_order_of_the_scans_axes_changes_nothing() -> None:
    small = build_phantom(PhantomSpec(columns=88, rows=88, slices=72))
    volume = small.volume()
    body = find_body(volume)
    straight = build_anatomy(volume, body)
    grid = volume.geometry
    # Slices counted from the head, rows from the back: half a turn about the left-right axis.
    turned = GridGeometry(
        grid.size,
        grid.spacing_mm,
        tuple(float(v) for v in grid.to_lps((0, grid.size[1] - 1, grid.size[2] - 1))),
        tuple((grid.axes * np.array([1.0, -1.0, -1.0])).ravel().tolist()),
    )
    other = CtVolume(volume.hu[::-1, ::-1].copy(), turned, volume.identity)
    found = build_anatomy(other, body[::-1, ::-1].copy())
    assert found.structures == straight.structures
    assert np.array_equal(found.labels[::-1, ::-1], straight.labels)


# ------------------------------------------------------------------------- hazards by place


def made_up(structures: dict[str, np.ndarray], source: str = "computed") -> Anatomy:
    shape = next(iter(structures.values())).shape
    grid = GridGeometry((shape[2], shape[1], shape[0]), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    labels = np.zeros(shape, dtype=np.uint8)
    made = []
    for label, (name, mask) in enumerate(structures.items(), start=1):
        labels[mask] = label
        made.append(Structure(name, label, Decimal(1), source, "low"))
    return Anatomy(labels, grid, tuple(made), unknown_among(tuple(structures)))


def ball(shape: tuple[int, int, int], centre: tuple[int, int, int], radius: float) -> np.ndarray:
    z, y, x = np.indices(shape)
    away = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
    return np.asarray(away <= radius**2)


SHAPE = (60, 50, 80)


def chest() -> dict[str, np.ndarray]:
    """Two lungs up to layer 40, and a tube of contrast from the chest to the neck."""
    lungs = np.zeros((2, *SHAPE), dtype=bool)
    lungs[0, :40, 10:40, 5:30] = True
    lungs[1, :40, 10:40, 50:75] = True
    tube = np.zeros(SHAPE, dtype=bool)
    tube[:, 22:27, 38:43] = True
    return {"lung_right": lungs[0], "lung_left": lungs[1], "tube": tube}


@pytest.mark.parametrize("name", ["aorta", "great_thoracic_vessels", "neck_vessels"])
def test_tumour_at_a_vessel_known_by_its_place_is_a_stop(name: str) -> None:
    parts = chest()
    anatomy = made_up({**{n: parts[n] for n in ("lung_right", "lung_left")}, name: parts["tube"]})
    beside = lesion_at(ball(SHAPE, (20, 24, 46), 4), anatomy.grid)
    (stop,) = [one for one in hazards(anatomy, [beside]) if one.severity == "stop"]
    assert stop.code == "lesion_at_great_vessel"
    assert accept([stop], {stop.code: "seen"})[0].accepted is None
    away = lesion_at(ball(SHAPE, (20, 24, 52), 4), anatomy.grid)
    assert [one for one in hazards(anatomy, [away]) if one.severity == "stop"] == []


def test_contrast_within_the_tumour_alone_is_a_warning() -> None:
    parts = chest()
    spot = ball(SHAPE, (15, 24, 40), 2)
    anatomy = made_up({"lung_right": parts["lung_right"], "great_thoracic_vessels": spot})
    lesion = lesion_at(ball(SHAPE, (15, 24, 40), 5), anatomy.grid)
    codes = [one.code for one in hazards(anatomy, [lesion])]
    assert codes == ["lesion_at_unnamed_vessel"]


@pytest.mark.parametrize(
    ("centre", "known", "told"),
    [
        ((50, 24, 60), ("neck_vessels",), True),
        ((50, 24, 60), (), True),
        ((20, 12, 40), (), True),
        ((20, 12, 40), ("great_thoracic_vessels",), False),
    ],
)
def test_a_lesion_of_neck_or_chest_is_never_silently_safe(
    centre: tuple[int, int, int], known: tuple[str, ...], told: bool
) -> None:
    parts = chest()
    structures = {n: parts[n] for n in ("lung_right", "lung_left")}
    structures.update({name: ball(SHAPE, (5, 45, 40), 2) for name in known})
    anatomy = made_up(structures)
    lesion = lesion_at(ball(SHAPE, centre, 3), anatomy.grid)
    codes = [one.code for one in hazards(anatomy, [lesion])]
    assert codes == (["great_vessels_not_judged"] if told else [])


def test_named_vessels_of_the_neck_end_the_warning() -> None:
    parts = chest()
    names = ("lung_right", "lung_left")
    imported_ones = {n: parts[n] for n in names}
    imported_ones["common_carotid_artery_left"] = ball(SHAPE, (50, 10, 10), 2)
    imported_ones["internal_jugular_vein_left"] = ball(SHAPE, (50, 10, 20), 2)
    anatomy = made_up(imported_ones, "imported")
    lesion = lesion_at(ball(SHAPE, (50, 24, 60), 3), anatomy.grid)
    assert hazards(anatomy, [lesion]) == ()


def test_a_lesion_without_a_place_is_not_judged() -> None:
    anatomy = made_up({"liver": ball(SHAPE, (20, 20, 20), 8)})
    known_by_diameters = Lesion("L2", 2, LesionSource.IMPORTED)
    assert [one.code for one in hazards(anatomy, [known_by_diameters])] == [
        "great_vessels_not_judged"
    ]


def test_a_lesion_of_the_belly_needs_no_word_on_the_neck() -> None:
    anatomy = made_up({"liver": ball(SHAPE, (20, 20, 20), 8)})
    lesion = lesion_at(ball(SHAPE, (40, 24, 60), 3), anatomy.grid)
    assert hazards(anatomy, [lesion]) == ()


def test_carotids_named_by_a_person_take_the_place_of_the_computed_name() -> None:
    found = (
        Found("neck_vessels", "computed", "low"),
        Found("great_thoracic_vessels", "computed", "low"),
    )
    given = (Found("common_carotid_artery_left", "imported", "as given"),)
    names = [one.name for one in _joined(found, given)]
    assert names == ["common_carotid_artery_left", "vessels_neck", "great_thoracic_vessels"]
