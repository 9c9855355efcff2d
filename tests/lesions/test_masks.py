"""Masks made elsewhere come in where they were drawn, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK
from matplotlib.path import Path as Polygon
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, RTStructureSetStorage

from irplan.errors import InputRefused
from irplan.export.dicom_source import slice_headers
from irplan.geometry import GridGeometry
from irplan.lesions.contours import fill_even_odd
from irplan.lesions.lesion import LesionKind, LesionSource
from irplan.lesions.masks import import_masks, read_ids
from irplan.volume import CtVolume, ScanIdentity
from irplan.volume_io import load_volume, save_label_map

from .volumes import AXES, centres_lps_mm, ellipsoid_mask, grid_of, middle_of

FRAME = "1.2.826.0.1.3680043.10.511.3.1"


def ct_on(grid: GridGeometry, frame: str = FRAME) -> CtVolume:
    identity = ScanIdentity(patient_id="P1", frame_of_reference_uid=frame, modality="CT")
    return CtVolume(np.zeros(grid.shape_zyx, dtype=np.int16), grid, identity)


def two_balls(grid: GridGeometry) -> np.ndarray:
    centre = middle_of(grid)
    labels = np.zeros(grid.shape_zyx, dtype=np.uint8)
    labels[ellipsoid_mask(grid, np.add(centre, [9.0, 0.0, 0.0]), (5.0, 6.0, 7.0))] = 3
    labels[ellipsoid_mask(grid, np.subtract(centre, [9.0, 0.0, 0.0]), (4.0, 4.0, 6.0))] = 7
    return labels


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_a_label_map_on_the_same_grid_keeps_its_voxels(tmp_path, axes, suffix):
    grid = grid_of(axes)
    labels = two_balls(grid)
    path = tmp_path / f"mask{suffix}"
    save_label_map(labels, grid, path)
    result = import_masks(path, ct_on(grid))
    assert [lesion.lesion_id for lesion in result.lesions] == ["L1", "L2"]
    assert [lesion.source_label for lesion in result.lesions] == [3, 7]
    for lesion in result.lesions:
        assert lesion.source is LesionSource.IMPORTED
        assert np.array_equal(lesion.mask.to_full(), labels == lesion.source_label)
        count = np.count_nonzero(labels == lesion.source_label)
        assert float(lesion.volume_ml) == pytest.approx(count * grid.voxel_ml, abs=6e-4)
        assert "mask_resampled" not in {finding.code for finding in lesion.findings}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("flips", [(), (0,), (1, 2), (0, 1, 2)])
def test_swapped_and_flipped_axes_are_the_same_grid(tmp_path, order, flips):
    grid = grid_of("oblique", (20, 18, 16))
    labels = np.random.default_rng(5).integers(0, 3, grid.shape_zyx).astype(np.uint8)
    image = SimpleITK.GetImageFromArray(labels)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_lps_mm)
    image.SetDirection(grid.direction)
    image = SimpleITK.PermuteAxes(image, order)
    image = SimpleITK.Flip(image, [axis in flips for axis in range(3)])
    path = tmp_path / "mask.nrrd"
    SimpleITK.WriteImage(image, str(path))
    for lesion in import_masks(path, ct_on(grid)).lesions:
        assert np.array_equal(lesion.mask.to_full(), labels == lesion.source_label)


def test_a_part_of_the_grid_is_placed_and_what_is_outside_is_told(tmp_path):
    grid = grid_of(size=(20, 18, 16))
    wide = GridGeometry(
        (10, 9, 8), grid.spacing_mm, tuple(grid.to_lps((15, 2, 3)).tolist()), grid.direction
    )
    save_label_map(np.ones(wide.shape_zyx, dtype=np.uint8), wide, tmp_path / "m.mha")
    (lesion,) = import_masks(tmp_path / "m.mha", ct_on(grid)).lesions
    assert lesion.mask.start == (15, 2, 3)
    assert lesion.mask.voxels.shape == (8, 9, 5)
    (told,) = [f for f in lesion.findings if f.code == "mask_outside_scan"]
    assert f"{10 * 9 * 8 * 0.0015 / 2:.3f}" in told.message


def test_another_grid_is_sampled_with_a_warning(tmp_path):
    grid = grid_of(size=(60, 60, 40))
    fine = GridGeometry(
        (90, 90, 90), (0.6, 0.6, 0.6), tuple((middle_of(grid) - 26.0).tolist()), grid.direction
    )
    centre, half = middle_of(grid), (10.0, 12.0, 14.0)
    mask = ellipsoid_mask(fine, centre, half)
    save_label_map(mask.astype(np.uint8), fine, tmp_path / "m.nrrd")
    (lesion,) = import_masks(tmp_path / "m.nrrd", ct_on(grid)).lesions
    assert "mask_resampled" in {finding.code for finding in lesion.findings}
    exact = ellipsoid_mask(grid, centre, half)
    wrong = np.count_nonzero(lesion.mask.to_full() != exact)
    assert wrong / np.count_nonzero(exact) < 0.05


def test_a_mask_of_another_place_is_refused(tmp_path):
    grid = grid_of(size=(20, 18, 16))
    far = GridGeometry((20, 18, 16), grid.spacing_mm, (900.0, 0.0, 0.0))
    save_label_map(np.ones(far.shape_zyx, dtype=np.uint8), far, tmp_path / "m.nrrd")
    with pytest.raises(InputRefused) as refused:
        import_masks(tmp_path / "m.nrrd", ct_on(grid))
    assert refused.value.code == "mask_without_lesion"


# ------------------------------------------------------------------------------------------ SEG


def seg_file(
    path: Path,
    volume: CtVolume,
    masks: list[np.ndarray],
    kind: str,
    slices: range | None = None,
) -> Path:
    slices = slices or range(volume.geometry.size[2])
    described = [
        hd.seg.SegmentDescription(
            number,
            f"seg {number}",
            codes.SCT.MorphologicallyAbnormalStructure,
            codes.SCT.Lesion,
            hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number in range(1, len(masks) + 1)
    ]
    stack = np.stack(masks, axis=-1)[slices.start : slices.stop : slices.step]
    if kind == "FRACTIONAL":
        pixels = stack.astype(np.float32)
    elif kind == "LABELMAP":
        pixels = np.zeros(stack.shape[:3], dtype=np.uint8)
        for number in range(len(masks)):
            pixels[stack[..., number] > 0] = number + 1
    else:
        pixels = stack.astype(np.uint8)
    headers = slice_headers(volume, range(volume.geometry.size[2]))
    dataset = hd.seg.Segmentation(
        [headers[number] for number in slices],
        pixels,
        kind,
        described,
        hd.UID(),
        1,
        hd.UID(),
        1,
        "maker",
        "model",
        "1",
        "1",
    )
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_a_dicom_seg_comes_in_exactly(tmp_path, axes, kind):
    grid = grid_of(axes, (24, 20, 14))
    labels = two_balls(grid)
    volume = ct_on(grid)
    masks = [labels == 3, labels == 7]
    result = import_masks(seg_file(tmp_path / "s.dcm", volume, masks, kind), volume)
    assert [lesion.name for lesion in result.lesions] == ["seg 1", "seg 2"]
    for lesion, mask in zip(result.lesions, masks, strict=True):
        assert np.array_equal(lesion.mask.to_full(), mask)
    codes_found = {finding.code for lesion in result.lesions for finding in lesion.findings}
    assert ("mask_fractional" in codes_found) == (kind == "FRACTIONAL")


def test_a_fraction_is_cut_at_one_half(tmp_path):
    grid = grid_of(size=(12, 10, 6))
    share = np.linspace(0.0, 1.0, 12)[None, None, :] * np.ones(grid.shape_zyx)
    volume = ct_on(grid)
    (lesion,) = import_masks(
        seg_file(tmp_path / "s.dcm", volume, [share], "FRACTIONAL"), volume
    ).lesions
    assert np.array_equal(lesion.mask.to_full(), share >= 0.5)


def test_overlapping_segments_keep_their_voxels(tmp_path):
    grid = grid_of(size=(24, 20, 14))
    masks = [np.zeros(grid.shape_zyx, dtype=bool) for _ in range(2)]
    masks[0][3:9, 3:12, 3:12] = True
    masks[1][5:11, 8:16, 8:16] = True
    volume = ct_on(grid)
    result = import_masks(seg_file(tmp_path / "s.dcm", volume, masks, "BINARY"), volume)
    for lesion, mask in zip(result.lesions, masks, strict=True):
        assert np.array_equal(lesion.mask.to_full(), mask)
    (told,) = result.findings
    assert told.code == "lesions_overlap"
    shared_ml = np.count_nonzero(masks[0] & masks[1]) * grid.voxel_ml
    assert f"{shared_ml:.3f} mL" in told.message


def test_a_seg_of_another_frame_is_refused_and_an_unknown_one_told(tmp_path):
    grid = grid_of(size=(24, 20, 14))
    masks = [two_balls(grid) == 3]
    path = seg_file(tmp_path / "s.dcm", ct_on(grid), masks, "BINARY")
    with pytest.raises(InputRefused) as refused:
        import_masks(path, ct_on(grid, frame=FRAME + ".9"))
    assert refused.value.code == "other_frame_of_reference"
    result = import_masks(path, ct_on(grid, frame=""))
    assert {finding.code for finding in result.findings} == {"mask_frame_unknown"}


def changed(path: Path, change: Callable[[Dataset], None]) -> Path:
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


def _undescribe(dataset: Dataset) -> None:
    dataset.SegmentSequence = dataset.SegmentSequence[:1]


def _renumber(dataset: Dataset) -> None:
    for item in dataset.SegmentSequence:
        item.SegmentNumber = 1


def _forget_a_frame(dataset: Dataset) -> None:
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:-1]


def _forget_a_segment(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence


def _forget_the_type(dataset: Dataset) -> None:
    del dataset.SegmentationType


def _forget_all_segments(dataset: Dataset) -> None:
    del dataset.SegmentSequence


def _no_spacing(dataset: Dataset) -> None:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence[0].PixelSpacing = [0, 0]


@pytest.mark.parametrize(
    ("kind", "change", "code"),
    [
        ("BINARY", _undescribe, "seg_segments"),
        ("LABELMAP", _undescribe, "seg_segments"),
        ("BINARY", _renumber, "seg_segments"),
        ("BINARY", _forget_a_frame, "seg_segments"),
        ("BINARY", _forget_a_segment, "seg_segments"),
        ("FRACTIONAL", _forget_the_type, "seg_segments"),
        ("BINARY", _forget_all_segments, "mask_damaged"),
        ("BINARY", _no_spacing, "mask_damaged"),
    ],
)
def test_a_seg_of_which_voxels_would_be_lost_is_refused(tmp_path, kind, change, code):
    grid = grid_of(size=(24, 20, 14))
    labels, volume = two_balls(grid), ct_on(grid)
    path = seg_file(tmp_path / "s.dcm", volume, [labels == 3, labels == 7], kind)
    with pytest.raises(InputRefused) as refused:
        import_masks(changed(path, change), volume)
    assert refused.value.code == code
    assert "s.dcm" in refused.value.message


def test_a_compressed_seg_is_decoded_apart_and_a_broken_one_refused(tmp_path):
    grid = grid_of(size=(24, 20, 14))
    labels, volume = two_balls(grid), ct_on(grid)
    masks = [labels == 3, labels == 7]
    path = seg_file(tmp_path / "s.dcm", volume, masks, "LABELMAP")
    changed(path, lambda ds: ds.compress(RLELossless, generate_instance_uid=False))
    result = import_masks(path, volume)
    for lesion, mask in zip(result.lesions, masks, strict=True):
        assert np.array_equal(lesion.mask.to_full(), mask)

    def spoil(dataset: Dataset) -> None:
        dataset.PixelData = dataset.PixelData[:40] + b"\xff" * (len(dataset.PixelData) - 40)

    with pytest.raises(InputRefused) as refused:
        import_masks(changed(path, spoil), volume)
    assert refused.value.code in ("seg_pixels", "mask_damaged")


def test_a_mask_that_names_another_patient_is_told(tmp_path):
    grid = grid_of(size=(24, 20, 14))
    volume = ct_on(grid)
    volume = replace(volume, identity=replace(volume.identity, patient_id="SOMEONE"))
    path = seg_file(tmp_path / "s.dcm", volume, [two_balls(grid) == 3], "BINARY")
    assert not import_masks(path, volume).findings
    changed(path, lambda ds: setattr(ds, "PatientID", "ANOTHER"))
    assert [one.code for one in import_masks(path, volume).findings] == ["mask_of_other_patient"]


def test_an_empty_segment_is_told_and_the_others_come_in(tmp_path):
    grid = grid_of(size=(24, 20, 14))
    masks = [np.zeros(grid.shape_zyx, dtype=bool), two_balls(grid) == 7]
    volume = ct_on(grid)
    result = import_masks(seg_file(tmp_path / "s.dcm", volume, masks, "BINARY"), volume)
    assert [lesion.source_label for lesion in result.lesions] == [2]
    assert [finding.code for finding in result.findings] == ["mask_empty"]


# ------------------------------------------------------------------------------------- RTSTRUCT


def rtstruct(path: Path, rois: dict[str, list[np.ndarray]], frame: str = FRAME) -> Path:
    """A structure set whose contours are arrays (n, 3) of LPS mm."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    dataset.SOPClassUID = RTStructureSetStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = hd.UID()
    dataset.Modality = "RTSTRUCT"
    dataset.StructureSetROISequence = []
    dataset.ROIContourSequence = []
    for number, (name, outlines) in enumerate(rois.items(), start=4):
        roi = Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame
        dataset.StructureSetROISequence.append(roi)
        drawn = Dataset()
        drawn.ReferencedROINumber = number
        drawn.ContourSequence = []
        for outline in outlines:
            contour = Dataset()
            contour.ContourGeometricType = "CLOSED_PLANAR" if len(outline) > 2 else "POINT"
            contour.NumberOfContourPoints = len(outline)
            contour.ContourData = [f"{value:.4f}" for value in outline.ravel()]
            drawn.ContourSequence.append(contour)
        dataset.ROIContourSequence.append(drawn)
    dataset.save_as(path, enforce_file_format=True)
    return path


def circle(grid: GridGeometry, number: int, radius_mm: float, count: int = 60) -> np.ndarray:
    """A circle in slice ``number`` about the slice's middle, LPS mm."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    i = (grid.size[0] - 1) / 2 + radius_mm * np.cos(turn) / grid.spacing_mm[0]
    j = (grid.size[1] - 1) / 2 + radius_mm * np.sin(turn) / grid.spacing_mm[1]
    return grid.to_lps(np.stack([i, j, np.full(count, float(number))], axis=-1))


@pytest.mark.parametrize("axes", AXES)
def test_rtstruct_rings_are_filled_between_their_circles(tmp_path, axes):
    grid = grid_of(axes, (50, 48, 12))
    volume = ct_on(grid)
    outlines = [circle(grid, k, r) for k in range(3, 9) for r in (15.3, 7.2)]
    (lesion,) = import_masks(rtstruct(tmp_path / "r.dcm", {"GTV": outlines}), volume).lesions
    z, y, x = np.indices(grid.shape_zyx)
    radius = np.hypot(x - 24.5, y - 23.5)
    ring = (radius < 15.3) & (radius > 7.2) & (z >= 3) & (z <= 8)
    wrong = np.count_nonzero(lesion.mask.to_full() != ring)
    assert wrong / np.count_nonzero(ring) < 0.01
    assert lesion.name == "GTV"
    assert lesion.source_label == 4


@pytest.mark.parametrize("seed", range(6))
def test_filling_agrees_with_another_point_in_polygon_test(seed):
    rng = np.random.default_rng(seed)
    polygons = []
    for _ in range(3):
        turn = np.sort(rng.uniform(0, 2 * np.pi, 17))
        reach = rng.uniform(3, 18, 17)
        centre = rng.uniform(12, 28, 2)
        polygons.append(centre + np.stack([np.cos(turn), np.sin(turn)], axis=1) * reach[:, None])
    filled = fill_even_odd(polygons, 40, 41)
    y, x = np.indices(filled.shape)
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    count = sum(
        Polygon(np.vstack([one, one[:1]]), closed=True).contains_points(points).astype(int)
        for one in polygons
    )
    assert np.array_equal(filled, (count % 2 == 1).reshape(filled.shape))


def test_what_is_odd_in_an_rtstruct_is_told(tmp_path):
    grid = grid_of(size=(50, 48, 12))
    volume = ct_on(grid)
    shifted = circle(grid, 5, 9.0) + np.array([0.0, 0.0, 0.4])
    rois = {
        "gap": [circle(grid, k, 8.0) for k in (2, 3, 6, 7)],
        "shifted": [shifted],
        "marks": [circle(grid, 5, 5.0), circle(grid, 5, 5.0)[:1]],
        "twice": [circle(grid, 5, 6.0), circle(grid, 5, 6.0)],
        "empty": [],
    }
    result = import_masks(rtstruct(tmp_path / "r.dcm", rois), volume)
    by_name = {lesion.name: lesion for lesion in result.lesions}
    told = {name: {f.code for f in lesion.findings} for name, lesion in by_name.items()}
    assert "contours_skip_slices" in told["gap"]
    assert "contours_shifted" in told["shifted"]
    assert "contours_open" in told["marks"]
    assert np.count_nonzero(by_name["twice"].mask.voxels) == pytest.approx(np.pi * 36, rel=0.05)
    assert "mask_empty" in {finding.code for finding in result.findings}


def test_contours_across_the_slices_and_other_frames_are_refused(tmp_path):
    grid = grid_of(size=(50, 48, 12))
    volume = ct_on(grid)
    upright = circle(grid, 5, 6.0)
    upright[:, 2] += np.linspace(-4, 4, len(upright))
    with pytest.raises(InputRefused) as refused:
        import_masks(rtstruct(tmp_path / "a.dcm", {"x": [upright]}), volume)
    assert refused.value.code == "contour_not_in_slice"
    other = rtstruct(tmp_path / "b.dcm", {"x": [circle(grid, 5, 6.0)]}, frame=FRAME + ".7")
    with pytest.raises(InputRefused) as refused:
        import_masks(other, volume)
    assert refused.value.code == "other_frame_of_reference"


def test_the_part_of_a_region_beyond_the_scan_is_told(tmp_path):
    """Half a circle beyond the border, and whole ones beyond the last slice."""
    grid = grid_of(size=(50, 48, 12))
    border = grid.to_lps((-0.5, 23.5, 5)) - grid.to_lps((24.5, 23.5, 5))
    rois = {
        "half": [circle(grid, 5, 9.0, 720) + border],
        "behind": [circle(grid, k, 6.0, 720) for k in (10, 11, 12, 13)],
    }
    result = import_masks(rtstruct(tmp_path / "r.dcm", rois), ct_on(grid))
    assert len(result.lesions) == 2
    for lesion in result.lesions:
        (told,) = [one.message for one in lesion.findings if one.code == "mask_outside_scan"]
        assert float(told.split()[1]) == pytest.approx(float(lesion.volume_ml), rel=0.05)


def _other_frame(dataset: Dataset) -> None:
    dataset.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = FRAME + ".7"


def _other_frame_but_in_the_list(dataset: Dataset) -> None:
    for item in dataset.StructureSetROISequence:
        item.ReferencedFrameOfReferenceUID = FRAME + ".7"
    listed = Dataset()
    listed.FrameOfReferenceUID = FRAME
    dataset.ReferencedFrameOfReferenceSequence = [listed]


def _same_number(dataset: Dataset) -> None:
    dataset.StructureSetROISequence[1].ROINumber = dataset.StructureSetROISequence[0].ROINumber


def _contours_in_two_places(dataset: Dataset) -> None:
    first, second = dataset.ROIContourSequence
    second.ReferencedROINumber = first.ReferencedROINumber


def _far_away(dataset: Dataset) -> None:
    dataset.ROIContourSequence[0].ContourSequence[0].ContourData = ["1e300"] * 180


def _fewer_points(dataset: Dataset) -> None:
    dataset.ROIContourSequence[0].ContourSequence[0].NumberOfContourPoints = 61


def _shifted_by_tag(dataset: Dataset) -> None:
    dataset.ROIContourSequence[0].ContourSequence[0].ContourOffsetVector = [0, 0, 10]


def _no_number(dataset: Dataset) -> None:
    del dataset.StructureSetROISequence[0].ROINumber


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_other_frame, "other_frame_of_reference"),
        (_other_frame_but_in_the_list, "other_frame_of_reference"),
        (_same_number, "region_twice"),
        (_contours_in_two_places, "region_twice"),
        (_far_away, "contour_broken"),
        (_fewer_points, "contour_broken"),
        (_shifted_by_tag, "contour_shifted_by_tag"),
        (_no_number, "mask_damaged"),
    ],
)
def test_an_rtstruct_that_cannot_be_placed_whole_is_refused(tmp_path, change, code):
    grid = grid_of(size=(50, 48, 12))
    rois = {"a": [circle(grid, 5, 6.0)], "b": [circle(grid, 7, 6.0)]}
    path = rtstruct(tmp_path / "r.dcm", rois)
    assert len(import_masks(path, ct_on(grid)).lesions) == 2
    with pytest.raises(InputRefused) as refused:
        import_masks(changed(path, change), ct_on(grid))
    assert refused.value.code == code


# ------------------------------------------------------------------------------------------ ids


def ids_file(folder: Path, text: str) -> Path:
    path = folder / "ids.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_ids_name_lesions_and_their_attributes(tmp_path):
    grid = grid_of(size=(24, 20, 14))
    save_label_map(two_balls(grid), grid, tmp_path / "m.nrrd")
    ids = ids_file(
        tmp_path,
        "source_label,lesion_id,kind,site,side,fixed_ml:ipilimumab\n"
        "7,T1,node,axilla,left,0.5\n9,T9,,,,\n",
    )
    result = import_masks(tmp_path / "m.nrrd", ct_on(grid), ids)
    first, second = result.lesions
    assert (first.lesion_id, first.source_label, first.label) == ("L1", 3, 1)
    assert (second.lesion_id, second.kind, second.site, second.side) == (
        "T1",
        LesionKind.NODE,
        "axilla",
        "left",
    )
    assert [finding.code for finding in result.findings] == ["id_without_mask"]
    assert read_ids(ids)[7]["fixed_ml:ipilimumab"] == "0.5"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("source_label,name\n1,x\n", "ids_columns"),
        ("source_label,lesion_id,colour\n1,A,red\n", "ids_columns"),
        ("source_label,lesion_id\n1,A\n1,B\n", "ids_twice"),
        ("source_label,lesion_id\n1,A\n2,A\n", "ids_twice"),
        ("source_label,lesion_id\n-1,A\n", "ids_row"),
        ("source_label,lesion_id\n1.5,A\n", "ids_row"),
        ("source_label,lesion_id\n1,\n", "ids_row"),
        ("source_label,lesion_id,kind\n1,A,spleen\n", "unknown_kind"),
        ("source_label,lesion_id\n", "ids_empty"),
    ],
)
def test_wrong_ids_are_refused(tmp_path, text, code):
    with pytest.raises(InputRefused) as refused:
        read_ids(ids_file(tmp_path, text))
    assert refused.value.code == code


def test_an_id_cannot_be_given_to_two_lesions(tmp_path):
    grid = grid_of(size=(24, 20, 14))
    save_label_map(two_balls(grid), grid, tmp_path / "m.nrrd")
    ids = ids_file(tmp_path, "source_label,lesion_id\n7,L1\n")
    with pytest.raises(InputRefused) as refused:
        import_masks(tmp_path / "m.nrrd", ct_on(grid), ids)
    assert refused.value.code == "lesion_id_twice"


def test_files_that_are_no_masks_are_refused(tmp_path):
    grid = grid_of(size=(12, 10, 6))
    volume = ct_on(grid)
    with pytest.raises(InputRefused):
        import_masks(tmp_path / "absent.nrrd", volume)
    header = slice_headers(volume, range(1))[0]
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.save_as(tmp_path / "ct.dcm", enforce_file_format=True)
    with pytest.raises(InputRefused) as refused:
        import_masks(tmp_path / "ct.dcm", volume)
    assert refused.value.code == "mask_not_a_mask"
    with pytest.raises(InputRefused) as refused:
        import_masks(tmp_path, volume)
    assert refused.value.code == "mask_folder"


# ------------------------------------------------------------------------------------ real scans


@pytest.mark.realdata
def test_the_same_lesion_as_rtstruct_and_as_label_map(realdata):
    folder = realdata / "lesions" / "ibsi_lung"
    volume = load_volume(folder / "CT_image.nii.gz")
    body = np.ones(volume.geometry.shape_zyx, dtype=bool)
    drawn = import_masks(folder / "rtstruct.dcm", volume, body=body).lesions[0]
    filled = import_masks(folder / "CT_mask.nii.gz", volume, body=body).lesions[0]
    both = np.count_nonzero(drawn.mask.to_full() & filled.mask.to_full())
    union = np.count_nonzero(drawn.mask.to_full() | filled.mask.to_full())
    assert both / union > 0.99


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "references"),
    [
        ("liver.dcm", {1: ("liver_seg.nrrd", 1)}),
        (
            "partial_overlaps.dcm",
            {
                1: ("partial_overlaps-1.nrrd", 1),
                2: ("partial_overlaps-2.nrrd", 2),
                3: ("partial_overlaps-3.nrrd", 3),
                4: ("partial_overlaps-1.nrrd", 4),
                5: ("partial_overlaps-1.nrrd", 5),
            },
        ),
        ("sparse-labelmap-ppv5.dcm", {1: ("sparse_labelmap_ppv5_seg.nrrd", 1)}),
        ("sparse-labelmap-noppv.dcm", {1: ("sparse_labelmap_noppv_seg.nrrd", 1)}),
    ],
)
def test_seg_files_of_others_agree_with_their_label_maps(realdata, name, references):
    folder = realdata / "dicom" / "seg"
    image = SimpleITK.ReadImage(str(folder / next(iter(references.values()))[0]))
    grid = GridGeometry(
        image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()
    )
    frame = str(pydicom.dcmread(folder / name, stop_before_pixels=True).FrameOfReferenceUID)
    volume = replace(ct_on(grid), identity=ScanIdentity(frame_of_reference_uid=frame))
    result = import_masks(folder / name, volume, body=np.ones(grid.shape_zyx, dtype=bool))
    found = {lesion.source_label: lesion for lesion in result.lesions}
    assert set(found) == set(references)
    for label, (file, value) in references.items():
        truth = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / file))) == value
        assert np.array_equal(found[label].mask.to_full(), truth), file


def test_positions_of_the_test_grids_differ():
    # The grids above must not be the same place under other names.
    corners = {axes: tuple(np.round(centres_lps_mm(grid_of(axes))[0, 0, 0], 3)) for axes in AXES}
    assert len(set(corners.values())) == len(corners)
