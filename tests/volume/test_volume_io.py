"""Volumes and label maps in and out, against nibabel and pynrrd on axes that run every way."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its customary name
from scipy.spatial.transform import Rotation

from irplan.errors import CallError, InputRefused
from irplan.geometry import GridGeometry
from irplan.volume import CtVolume
from irplan.volume_io import (
    check_volume_name,
    load_label_map,
    load_volume,
    save_label_map,
    save_volume,
)

SUFFIXES = [".nrrd", ".nii.gz", ".mha"]
SIZE = (4, 5, 3)
SPACING = np.array([0.7, 0.9, 2.5])
ORIGIN = np.array([-31.5, 12.25, 804.0])

#: All 48 ways in which the axes of an array can run along the axes of the body.
SIGNED_AXES = [
    np.eye(3)[:, list(order)] * np.array(signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
OBLIQUE = [Rotation.random(random_state=np.random.default_rng(seed)).as_matrix() for seed in (1, 2)]
DECUBITUS = [np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]])]


def numbered() -> np.ndarray:
    """Every voxel another value, (i, j, k) order."""
    return np.arange(np.prod(SIZE), dtype=np.int16).reshape(SIZE) - 30


def write_nifti(path: Path, axes_lps: np.ndarray) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ axes_lps * SPACING
    affine[:3, 3] = np.diag([-1, -1, 1]) @ ORIGIN
    image = nibabel.Nifti1Image(numbered(), affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    nibabel.save(image, path)


def write_nrrd(path: Path, axes_lps: np.ndarray, space: str) -> None:
    to_space = {"left-posterior-superior": [1, 1, 1], "right-anterior-superior": [-1, -1, 1]}[space]
    header = {
        "space": space,
        "space directions": (np.diag(to_space) @ axes_lps * SPACING).T,
        "space origin": np.diag(to_space) @ ORIGIN,
        "kinds": ["domain"] * 3,
    }
    nrrd.write(str(path), numbered(), header)


def write_mha(path: Path, axes_lps: np.ndarray) -> None:
    image = sitk.GetImageFromArray(np.ascontiguousarray(numbered().transpose(2, 1, 0)))
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    image.SetDirection(axes_lps.ravel())
    sitk.WriteImage(image, str(path))


def write(path: Path, axes_lps: np.ndarray) -> None:
    if path.name.endswith(".nii.gz"):
        write_nifti(path, axes_lps)
    elif path.name.endswith(".ras.nrrd"):
        write_nrrd(path, axes_lps, "right-anterior-superior")
    elif path.name.endswith(".nrrd"):
        write_nrrd(path, axes_lps, "left-posterior-superior")
    else:
        write_mha(path, axes_lps)


@pytest.mark.parametrize("form", ["a.nrrd", "a.ras.nrrd", "a.nii.gz", "a.mha"])
def test_every_voxel_stays_in_place_whichever_way_the_axes_run(tmp_path: Path, form: str) -> None:
    for number, axes in enumerate([*SIGNED_AXES, *OBLIQUE, *DECUBITUS]):
        path = tmp_path / f"{number}{form}"
        write(path, axes)
        volume = load_volume(path)
        grid = volume.geometry
        assert np.linalg.det(grid.axes) == pytest.approx(1.0, abs=1e-5)
        index = np.argwhere(np.ones(SIZE))
        expected = ORIGIN + (index * SPACING) @ axes.T
        back = grid.to_index(expected)
        assert np.abs(back - np.rint(back)).max() < 1e-3
        i, j, k = np.rint(back).astype(int).T
        assert np.array_equal(volume.hu[k, j, i], numbered().ravel())
        # Rows and columns stay as stored: only the slice axis may be turned.
        assert grid.axes[:, :2] == pytest.approx(axes[:, :2], abs=1e-5)


def grids() -> list[GridGeometry]:
    turned = [axes for axes in (*SIGNED_AXES, *OBLIQUE) if np.linalg.det(axes) > 0]
    return [
        GridGeometry(
            SIZE,
            (0.7, 0.9, 2.5),
            (-31.5, 12.25, 804.0),
            tuple(float(value) for value in axes.ravel()),
        )
        for axes in turned
    ]


def voxels_of_another_library(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(values (i, j, k), LPS (i, j, k, 3)) through nibabel, pynrrd, or SimpleITK for MHA."""
    index = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), axis=-1)
    if path.name.endswith(".nii.gz"):
        image = nibabel.load(path)
        ras = nibabel.affines.apply_affine(image.affine, index)
        return np.asarray(image.dataobj), ras * [-1, -1, 1]
    if path.name.endswith(".nrrd"):
        values, header = nrrd.read(str(path))
        assert header["space"] == "left-posterior-superior"
        return values, header["space origin"] + index @ header["space directions"]
    image = sitk.ReadImage(str(path))
    flat = [
        image.TransformIndexToPhysicalPoint(list(map(int, one))) for one in index.reshape(-1, 3)
    ]
    return sitk.GetArrayFromImage(image).transpose(2, 1, 0), np.reshape(flat, (*SIZE, 3))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_lands_on_the_same_voxels_in_another_library(
    tmp_path: Path, suffix: str
) -> None:
    hu = np.ascontiguousarray(numbered().transpose(2, 1, 0))
    for number, grid in enumerate(grids()):
        path = tmp_path / f"{number}{suffix}"
        save_volume(CtVolume(hu.copy(), grid), path)
        values, lps = voxels_of_another_library(path)
        assert np.array_equal(values, numbered())
        index = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), axis=-1)
        assert lps == pytest.approx(grid.to_lps(index), abs=2e-3)
        again = load_volume(path)
        assert np.array_equal(again.hu, hu)
        assert again.geometry.same_grid(grid)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.bool_])
def test_labels_come_back_as_they_were(tmp_path: Path, suffix: str, kind: type) -> None:
    labels = (np.arange(np.prod(SIZE)).reshape(SIZE[::-1]) % 3).astype(kind)
    grid = grids()[5]
    save_label_map(labels, grid, tmp_path / f"labels{suffix}")
    again, where = load_label_map(tmp_path / f"labels{suffix}")
    assert again.dtype.kind in "iu"
    assert np.array_equal(again, labels)
    assert where.same_grid(grid)


def test_the_same_bytes_on_every_run(tmp_path: Path) -> None:
    volume = CtVolume(np.ascontiguousarray(numbered().transpose(2, 1, 0)), grids()[0])
    for suffix in SUFFIXES:
        save_volume(volume, tmp_path / f"one{suffix}")
        save_volume(volume, tmp_path / f"two{suffix}")
        one, two = (tmp_path / f"{name}{suffix}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def save_raw(path: Path, values: np.ndarray, **metadata: object) -> Path:
    image = sitk.GetImageFromArray(values, isVector=bool(metadata.get("vector")))
    sitk.WriteImage(image, str(path))
    return path


def test_values_beyond_int16_fractions_and_missing_air_are_told(tmp_path: Path) -> None:
    values = np.full((3, 4, 5), -1000.0)
    values[0, 0, 0], values[0, 0, 1], values[0, 0, 2] = 40000.0, -70000.0, 12.5
    volume = load_volume(save_raw(tmp_path / "a.nrrd", values))
    assert volume.hu[0, 0, :3].tolist() == [32767, -32768, 12]
    codes = {finding.code for finding in volume.findings}
    assert codes == {"identity_unknown", "values_rounded", "values_clipped"}
    shifted = load_volume(save_raw(tmp_path / "b.nrrd", np.zeros((3, 4, 5), np.int16)))
    assert "no_negative_hu" in {finding.code for finding in shifted.findings}


def nifti_without_orientation(path: Path) -> None:
    image = nibabel.Nifti1Image(numbered(), np.eye(4))
    image.header.set_sform(None, 0)
    image.header.set_qform(None, 0)
    # nibabel itself would fall back to the affine: the codes in the file decide.
    image.header["sform_code"] = image.header["qform_code"] = 0
    nibabel.save(image, path)
    raw = bytearray(path.read_bytes())
    raw[252:256] = b"\0\0\0\0"
    path.write_bytes(bytes(raw))


def nrrd_without_orientation(path: Path) -> None:
    nrrd.write(str(path), numbered(), {"spacings": [1.0, 1.0, 2.0]})


def sheared_nrrd(path: Path) -> None:
    directions = [[1, 0, 0], [0, 1, 0], [0.4, 0, 2]]
    header = {"space": "LPS", "space directions": directions, "space origin": [0, 0, 0]}
    nrrd.write(str(path), numbered(), header)


def not_a_number(path: Path) -> None:
    values = np.zeros((3, 4, 5), np.float32)
    values[1, 1, 1] = np.nan
    save_raw(path, values)


def nifti(path: Path, *changes: tuple[int, str, tuple[float, ...]], values: object = None) -> None:
    """A NIfTI whose qform and sform say the same, then some bytes of its header changed."""
    held = numbered() if values is None else values
    image = nibabel.Nifti1Image(held, np.diag([-0.7, -0.9, 2.5, 1.0]))
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    nibabel.save(image, path)
    raw = bytearray(path.read_bytes())
    for at, form, numbers in changes:
        struct.pack_into(form, raw, at, *numbers)
    path.write_bytes(bytes(raw))


def without_a_sixth(path: Path) -> None:
    nifti(path)
    path.write_bytes(path.read_bytes()[:-20])


def without_its_checksum(path: Path) -> None:
    save_raw(path, np.zeros((3, 4, 5), np.int16))
    path.write_bytes(path.read_bytes()[:-5])


def nifti_with_a_hole(path: Path) -> None:
    values = np.zeros((4, 5, 3), np.float32)
    values[1, 1, 1] = np.nan
    nifti(path, values=values)


def nifti_2(path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(numbered(), np.eye(4)), path)


def nrrd_text(*changes: tuple[str, str]) -> object:
    """A plain NRRD of which lines are exchanged."""

    def write(path: Path) -> None:
        text = (
            "NRRD0004\ntype: int16\ndimension: 3\nspace: left-posterior-superior\nsizes: 4 5 3\n"
            "space directions: (0.7,0,0) (0,0.9,0) (0,0,2.5)\nspace origin: (1,2,3)\n"
            "endian: little\nencoding: raw\n\n"
        )
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path.write_bytes(text.encode() + numbered().astype("<i2").tobytes(order="F"))

    return write


METAIMAGE = {
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "1 2 3",
    "ElementSpacing": "0.7 0.9 2.5",
}


def metaimage(**changes: str) -> object:
    """A plain MHA with lines changed, added, or left out where ''."""

    def write(path: Path) -> None:
        lines = {"ObjectType": "Image", "NDims": "3", "BinaryData": "True", **METAIMAGE, **changes}
        last = {"DimSize": "4 5 3", "ElementType": "MET_SHORT", "ElementDataFile": "LOCAL"}
        said = [f"{name} = {value}\n" for name, value in {**lines, **last}.items() if value]
        path.write_bytes("".join(said).encode() + numbered().astype("<i2").tobytes(order="F"))

    return write


def corrupted_metaimage(path: Path) -> None:
    values = np.random.default_rng(3).integers(-1000, 1000, (20, 20, 20)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(path), useCompression=True)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x55
    path.write_bytes(bytes(raw))


def test_the_files_that_are_changed_below_are_read_unchanged(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii")
    nrrd_text()(tmp_path / "a.nrrd")  # type: ignore[operator]
    metaimage()(tmp_path / "a.mha")  # type: ignore[operator]
    metaimage(ElementSpacing="", ElementSize="0.7 0.9 2.5")(tmp_path / "b.mha")  # type: ignore[operator]
    for name in ("a.nii", "a.nrrd", "a.mha", "b.mha"):
        volume = load_volume(tmp_path / name)
        assert np.array_equal(volume.hu, numbered().transpose(2, 1, 0))
        assert np.allclose(volume.geometry.spacing_mm, (0.7, 0.9, 2.5))


REFUSED = {
    "qform mirrors sform": ("a.nii", lambda path: nifti(path, (256, "<6f", (0, 0, 0, 0, 0, 0)))),
    "qform elsewhere": ("a.nii", lambda path: nifti(path, (268, "<f", (50.0,)))),
    "voxel size differs from sform": ("a.nii", lambda path: nifti(path, (88, "<f", (3.0,)))),
    "voxel size zero": ("a.nii", lambda path: nifti(path, (88, "<f", (0.0,)))),
    "voxel size negative": ("a.nii", lambda path: nifti(path, (88, "<f", (-2.5,)))),
    "voxel size not a number": ("a.nii", lambda path: nifti(path, (88, "<f", (np.nan,)))),
    "metres": ("a.nii", lambda path: nifti(path, (123, "<B", (1,)))),
    "slope zero with an intercept": ("a.nii", lambda path: nifti(path, (112, "<2f", (0.0, 5.0)))),
    "voxels cut off, NIfTI": ("a.nii", without_a_sixth),
    "checksum cut off, NIfTI": ("a.nii.gz", without_its_checksum),
    "a voxel is not a number, NIfTI": ("a.nii", nifti_with_a_hole),
    "NIfTI-2": ("a.nii", nifti_2),
    "axes of the scanner": (
        "a.nrrd",
        nrrd_text(("left-posterior-superior", "scanner-xyz")),
    ),
    "axes of a left hand": (
        "a.nrrd",
        nrrd_text(("left-posterior-superior", "3D-left-handed")),
    ),
    "no origin, NRRD": ("a.nrrd", nrrd_text(("space origin: (1,2,3)\n", ""))),
    "centimetres": (
        "a.nrrd",
        nrrd_text(("endian", 'space units: "cm" "cm" "cm"\nendian')),
    ),
    "no spacing, MHA": ("a.mha", metaimage(ElementSpacing="")),
    "no origin, MHA": ("a.mha", metaimage(Offset="")),
    "orientation in a remark only": (
        "a.mha",
        metaimage(TransformMatrix="", Comment="TransformMatrix"),
    ),
    "spacing negative, MHA": ("a.mha", metaimage(ElementSpacing="0.7 0.9 -2.5")),
    "micrometres": ("a.mha", metaimage(DistanceUnits="um")),
    "scaled by its header": ("a.mha", metaimage(ElementToIntensityFunctionSlope="2")),
    "compressed voxels damaged": ("a.mha", corrupted_metaimage),
    "orientation unknown, NIfTI": ("a.nii", nifti_without_orientation),
    "orientation unknown, NRRD": ("a.nrrd", nrrd_without_orientation),
    "axes not perpendicular": ("a.nrrd", sheared_nrrd),
    "a voxel is not a number": ("a.nrrd", not_a_number),
    "several values a voxel": (
        "a.nrrd",
        lambda path: save_raw(path, np.zeros((3, 4, 5, 3), np.uint8), vector=True),
    ),
    "four dimensions": ("a.nrrd", lambda path: save_raw(path, np.zeros((2, 3, 4, 5), np.int16))),
    "two dimensions": ("a.mha", lambda path: save_raw(path, np.zeros((4, 5), np.int16))),
    "not what the name says": ("a.nrrd", lambda path: path.write_bytes(b"NRRD0004\nnonsense\n\n")),
    "cut off": ("a.nii.gz", lambda path: path.write_bytes(b"\x1f\x8b\x08\x00")),
    "empty": ("a.mha", lambda path: path.write_bytes(b"")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_cannot_be_trusted_are_refused(tmp_path: Path, name: str) -> None:
    file, make = REFUSED[name]
    make(tmp_path / file)
    with pytest.raises(InputRefused) as refusal:
        load_volume(tmp_path / file)
    assert file in refusal.value.message
    assert refusal.value.remedy


def test_labels_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    path = save_raw(tmp_path / "a.nrrd", np.full((3, 4, 5), 0.5))
    with pytest.raises(InputRefused, match="not whole"):
        load_label_map(path)
    whole = save_raw(tmp_path / "b.nrrd", np.full((3, 4, 5), 2.0))
    assert load_label_map(whole)[0].dtype == np.int32


def test_only_known_names_are_written(tmp_path: Path) -> None:
    for name in ("a.nrrd", "A.NII.GZ", "b.mha"):
        check_volume_name(tmp_path / name)
    for name in ("a.dcm", "a", "a.nii", "nrrd"):
        with pytest.raises(CallError, match="known format"):
            check_volume_name(tmp_path / name)


#: The scans among the NIfTI files whose names do not say so; the rest are label maps.
SCANS = ("ct.nii.gz", "chest_colonrepo.nii.gz", "example_ct.nii.gz")


@pytest.mark.realdata
@pytest.mark.parametrize("all_of_them", [False, pytest.param(True, marks=pytest.mark.long)])
def test_real_nifti_reads_as_nibabel_reads_it(realdata: Path, all_of_them: bool) -> None:
    """Each voxel in value, and where the corners lie; scans in HU and label maps."""
    read = 0
    for path in sorted(realdata.rglob("*.nii.gz")):
        if "lesions" not in path.parts and not all_of_them:
            continue
        scan = "image" in path.name or path.name in SCANS
        if scan:
            volume = load_volume(path)
            values, grid = volume.hu, volume.geometry
        else:
            values, grid = load_label_map(path)  # type: ignore[assignment]
        image = nibabel.load(path)
        theirs = np.rint(np.asarray(image.dataobj))
        if theirs.ndim > 3:
            theirs = theirs.reshape(theirs.shape[:3])
        corners = np.array(list(itertools.product(*[(0, size - 1) for size in theirs.shape])))
        lps = nibabel.affines.apply_affine(image.affine, corners) * [-1, -1, 1]
        assert grid.to_lps(np.rint(grid.to_index(lps))) == pytest.approx(lps, abs=1e-2)
        origin = np.rint(grid.to_index(lps[0])).astype(int)
        # Both keep columns and rows in their order; only slices may be turned round.
        assert tuple(origin[:2]) == (0, 0), path
        turned = theirs if origin[2] == 0 else theirs[:, :, ::-1]
        assert np.array_equal(values, turned.T), path
        read += 1
    assert read >= (30 if all_of_them else 18)
