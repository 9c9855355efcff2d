"""DICOM SEG and SR read back by plain pydicom and geometry, on every kind of axes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from lesions.volumes import AXES, centres_lps_mm, ellipsoid_mask, grid_of, middle_of

from irplan.errors import InputRefused
from irplan.export.dicom_seg import segment_numbers, write_seg
from irplan.export.dicom_sr import write_sr
from irplan.lesions import Lesion, LesionMask, LesionSource, import_masks, measure_lesion
from irplan.volume import CtVolume, ScanIdentity

UID = "1.2.826.0.1.3680043.10.511.77"


def ct_on(axes: str, identity: bool = True) -> CtVolume:
    grid = grid_of(axes, (32, 26, 16), (1.1, 0.9, 2.5))
    who = ScanIdentity()
    if identity:
        who = ScanIdentity(
            patient_id="P-1",
            patient_name="Doe^Jane",
            study_instance_uid=UID + ".1",
            series_instance_uid=UID + ".2",
            frame_of_reference_uid=UID + ".3",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            sop_instance_uids=tuple(f"{UID}.4.{k}" for k in range(grid.size[2])),
            acquired="2024-05-06",
            modality="CT",
        )
    hu = np.random.default_rng(0).integers(-100, 100, grid.shape_zyx).astype(np.int16)
    return CtVolume(hu, grid, who)


def lesions_on(volume: CtVolume) -> list[Lesion]:
    """Two overlapping lesions that are no mirror image of themselves."""
    grid, centre = volume.geometry, middle_of(volume.geometry)
    masks = {
        "T2": ellipsoid_mask(grid, np.add(centre, [4.0, -2.0, 3.0]), (7.0, 4.0, 8.0)),
        "T1": ellipsoid_mask(grid, np.subtract(centre, [2.0, 1.0, 5.0]), (6.0, 7.0, 5.0)),
    }
    return [
        measure_lesion(
            Lesion(name, number, LesionSource.SEGMENTED, mask=LesionMask.from_full(mask, grid)),
            volume,
            None,
        )
        for number, (name, mask) in enumerate(masks.items(), start=1)
    ]


def drawn_points(dataset: pydicom.Dataset, number: int) -> set[tuple[float, float, float]]:
    """LPS positions of a segment's pixels by the formula of DICOM PS3.3 C.7.6.2.1.1."""
    pixels = np.atleast_3d(dataset.pixel_array).reshape(-1, dataset.Rows, dataset.Columns)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    found = set()
    for frame, item in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        if item.SegmentIdentificationSequence[0].ReferencedSegmentNumber != number:
            continue
        origin = np.array(item.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        orientation = np.array(
            shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float
        )
        row_mm, column_mm = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
        for row, column in np.argwhere(frame):
            place = origin + orientation[:3] * column_mm * column + orientation[3:] * row_mm * row
            found.add(tuple(np.round(place, 2).tolist()))
    return found


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("identity", [True, False])
def test_every_pixel_of_the_seg_lies_where_its_voxel_lies(tmp_path, axes, identity):
    volume = ct_on(axes, identity)
    lesions = lesions_on(volume)
    write_seg(volume, lesions, tmp_path / "s.dcm")
    dataset = pydicom.dcmread(tmp_path / "s.dcm")
    centres = centres_lps_mm(volume.geometry)
    for lesion in lesions:
        expected = {tuple(np.round(place, 2).tolist()) for place in centres[lesion.mask.to_full()]}
        assert drawn_points(dataset, segment_numbers(lesions)[lesion.lesion_id]) == expected
    again = import_masks(tmp_path / "s.dcm", volume)
    assert [lesion.name for lesion in again.lesions] == ["T2", "T1"]
    for lesion, read in zip(lesions, again.lesions, strict=True):
        assert np.array_equal(lesion.mask.to_full(), read.mask.to_full())
    assert [finding.code for finding in again.findings] == ["lesions_overlap"]


def test_the_seg_names_the_scan_and_its_lesions(tmp_path):
    volume = ct_on("oblique")
    lesions = lesions_on(volume)
    write_seg(volume, lesions, tmp_path / "s.dcm")
    dataset = pydicom.dcmread(tmp_path / "s.dcm")
    assert dataset.PatientID == "P-1"
    assert dataset.StudyInstanceUID == UID + ".1"
    assert dataset.FrameOfReferenceUID == UID + ".3"
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == UID + ".2"
    assert [item.TrackingID for item in dataset.SegmentSequence] == ["T2", "T1"]
    used = {
        source.ReferencedSOPInstanceUID
        for frame in dataset.PerFrameFunctionalGroupsSequence
        for source in frame.DerivationImageSequence[0].SourceImageSequence
    }
    covered = np.flatnonzero(
        np.any([lesion.mask.to_full() for lesion in lesions], axis=0).any(axis=(1, 2))
    )
    assert used == {f"{UID}.4.{k}" for k in covered}


def test_one_lesion_has_one_tracking_uid_in_every_scan_of_a_patient(tmp_path):
    uids = []
    for axes in ("supine", "decubitus"):
        volume = ct_on(axes)
        write_seg(volume, lesions_on(volume), tmp_path / "s.dcm")
        dataset = pydicom.dcmread(tmp_path / "s.dcm")
        uids.append([item.TrackingUID for item in dataset.SegmentSequence])
        write_sr(volume, lesions_on(volume), tmp_path / "r.dcm")
        report = str(pydicom.dcmread(tmp_path / "r.dcm"))
        assert all(uid in report for uid in uids[-1])
    assert uids[0] == uids[1]
    assert len(set(uids[0])) == 2


@pytest.mark.parametrize("identity", [True, False])
def test_the_same_lesions_give_the_same_bytes_and_others_do_not(tmp_path, identity):
    volume = ct_on("supine", identity)
    lesions = lesions_on(volume)
    for writer in (write_seg, write_sr):
        first, second, third = (tmp_path / name for name in ("1.dcm", "2.dcm", "3.dcm"))
        writer(volume, lesions, first)
        writer(volume, lesions[::-1], second)
        writer(volume, lesions[:1], third)
        assert first.read_bytes() == second.read_bytes()
        one, other = (pydicom.dcmread(path).SOPInstanceUID for path in (first, third))
        assert one != other


def test_without_a_mask_there_is_no_seg(tmp_path):
    volume = ct_on("supine")
    bare = Lesion("D1", 1, LesionSource.DIAMETERS)
    with pytest.raises(InputRefused) as refused:
        write_seg(volume, [bare], tmp_path / "s.dcm")
    assert refused.value.code == "no_mask_to_export"
    assert not (tmp_path / "s.dcm").exists()


def errors_of(path: Path) -> list[str]:
    result = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return [line for line in result.stderr.splitlines() if line.startswith("Error")]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is absent")
@pytest.mark.parametrize("axes", ["supine", "oblique"])
@pytest.mark.parametrize("identity", [True, False])
def test_an_independent_checker_finds_no_error(tmp_path, axes, identity):
    volume = ct_on(axes, identity)
    lesions = lesions_on(volume)
    write_seg(volume, lesions, tmp_path / "s.dcm")
    write_sr(volume, [*lesions, Lesion("D1", 3, LesionSource.DIAMETERS)], tmp_path / "r.dcm")
    assert errors_of(tmp_path / "s.dcm") == []
    assert errors_of(tmp_path / "r.dcm") == []
