"""Structures from DICOM SEG, RTSTRUCT and named NRRD, on a made-up grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from irplan.anatomy import build_anatomy
from irplan.anatomy.imported import read_imported
from irplan.errors import InputRefused
from irplan.geometry import GridGeometry
from irplan.volume import CtVolume, ScanIdentity

FRAME = "1.2.3.4"
SEG_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"


def scan(frame: str = FRAME) -> CtVolume:
    grid = GridGeometry((32, 24, 12), (2.0, 2.0, 3.0), (-30.0, -20.0, 5.0))
    hu = np.full(grid.shape_zyx, -1000, dtype=np.int16)
    hu[:, 2:-2, 2:-2] = 40
    return CtVolume(hu, grid, ScanIdentity(frame_of_reference_uid=frame, modality="CT"))


def block(volume: CtVolume, rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(volume.hu.shape, dtype=bool)
    mask[3:8, rows, columns] = True
    return mask


def file_of(sop_class: str, modality: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SOPClassUID, dataset.Modality = sop_class, modality
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return dataset


def sequence(**values: object) -> list[Dataset]:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return [item]


def seg(path: Path, volume: CtVolume, masks: dict[str, np.ndarray], frame: str = FRAME) -> Path:
    """A binary segmentation with a frame for each slice of each segment."""
    dataset = file_of(SEG_STORAGE, "SEG")
    dataset.FrameOfReferenceUID, dataset.SegmentationType = frame, "BINARY"
    dataset.SegmentSequence, dataset.PerFrameFunctionalGroupsSequence = [], []
    flats = []
    grid = volume.geometry
    for number, (name, mask) in enumerate(masks.items(), start=1):
        dataset.SegmentSequence.append(sequence(SegmentNumber=number, SegmentLabel=name)[0])
        for k in np.flatnonzero(mask.any(axis=(1, 2))):
            flats.append(mask[k])
            corner = [float(value) for value in grid.to_lps((0, 0, int(k)))]
            dataset.PerFrameFunctionalGroupsSequence.extend(
                sequence(
                    PlanePositionSequence=sequence(ImagePositionPatient=corner),
                    PlaneOrientationSequence=sequence(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
                    PixelMeasuresSequence=sequence(PixelSpacing=[2.0, 2.0], SliceThickness=3.0),
                    SegmentIdentificationSequence=sequence(ReferencedSegmentNumber=number),
                )
            )
    dataset.Rows, dataset.Columns = volume.hu.shape[1:]
    dataset.NumberOfFrames = len(flats)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = np.stack(flats).astype(np.uint8).tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return path


def rtstruct(path: Path, volume: CtVolume, masks: dict[str, np.ndarray]) -> Path:
    """Rectangles around the outer faces of each slice of each mask."""
    dataset = file_of(RTStructureSetStorage, "RTSTRUCT")
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, (name, mask) in enumerate(masks.items(), start=3):
        dataset.StructureSetROISequence.extend(
            sequence(ROINumber=number, ROIName=name, ReferencedFrameOfReferenceUID=FRAME)
        )
        contours = []
        for k in np.flatnonzero(mask.any(axis=(1, 2))):
            rows, columns = np.nonzero(mask[k])
            i0, i1 = columns.min() - 0.5, columns.max() + 0.5
            j0, j1 = rows.min() - 0.5, rows.max() + 0.5
            ring = [(i0, j0, k), (i1, j0, k), (i1, j1, k), (i0, j1, k)]
            points = volume.geometry.to_lps(ring)
            contours.extend(
                sequence(
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=4,
                    ContourData=[f"{value:.4f}" for value in points.ravel()],
                )
            )
        dataset.ROIContourSequence.extend(
            sequence(ReferencedROINumber=number, ContourSequence=contours)
        )
    dataset.save_as(path, enforce_file_format=True)
    return path


def named_nrrd(path: Path, volume: CtVolume, masks: dict[str, np.ndarray]) -> Path:
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    for value, mask in enumerate(masks.values(), start=4):
        labels[mask] = value
    image = SimpleITK.GetImageFromArray(labels)
    image.SetSpacing(volume.geometry.spacing_mm)
    image.SetOrigin(volume.geometry.origin_lps_mm)
    for index, name in enumerate(masks):
        image.SetMetaData(f"Segment{index}_Name", name)
        image.SetMetaData(f"Segment{index}_LabelValue", str(index + 4))
    SimpleITK.WriteImage(image, str(path))
    return path


WRITERS = {"seg.dcm": seg, "rt.dcm": rtstruct, "labels.seg.nrrd": named_nrrd}


@pytest.mark.parametrize("kind", WRITERS)
def test_each_format_brings_its_names_and_its_voxels(tmp_path: Path, kind: str) -> None:
    volume = scan()
    masks = {
        "No Go": block(volume, slice(4, 9), slice(5, 11)),
        "A_Carotid_L": block(volume, slice(12, 15), slice(16, 20)),
        "SpinalCord": block(volume, slice(17, 20), slice(8, 12)),
    }
    path = WRITERS[kind](tmp_path / kind, volume, masks)
    anatomy = build_anatomy(volume, volume.hu > -500, (), path)
    for name, mask in zip(("no_go", "carotid_l", "spinal_cord"), masks.values(), strict=True):
        assert np.array_equal(anatomy.mask(name), mask), name
    assert {one.source for one in anatomy.structures} == {"imported"}
    assert "neck_vessels" not in anatomy.unknown
    assert "label_names_assumed" not in [finding.code for finding in anatomy.findings]


def test_names_of_a_file_are_overruled_by_names_given(tmp_path: Path) -> None:
    volume = scan()
    path = seg(tmp_path / "s.dcm", volume, {"x": block(volume, slice(4, 9), slice(5, 11))})
    names = tmp_path / "names.json"
    names.write_text('{"1": "stomach"}', encoding="utf-8")
    masks, _ = read_imported(path, names, volume)
    assert list(masks) == ["stomach"]


def test_two_zones_of_one_name_are_both_kept(tmp_path: Path) -> None:
    volume = scan()
    zones = [block(volume, slice(4, 9), slice(5, 11)), block(volume, slice(12, 15), slice(16, 20))]
    path = rtstruct(tmp_path / "r.dcm", volume, {"no_go": zones[0], "no-go": zones[1]})
    anatomy = build_anatomy(volume, volume.hu > -500, (), path)
    assert np.array_equal(anatomy.mask("no_go"), zones[0])
    assert np.array_equal(anatomy.mask("no_go_2"), zones[1])


def test_structures_of_another_frame_of_reference_are_refused(tmp_path: Path) -> None:
    volume = scan()
    path = seg(tmp_path / "s.dcm", volume, {"liver": block(volume, slice(4, 9), slice(5, 11))})
    with pytest.raises(InputRefused) as refused:
        read_imported(path, None, scan("9.9"))
    assert refused.value.code == "other_frame_of_reference"
    _, told = read_imported(path, None, scan(""))
    assert [finding.code for finding in told] == ["mask_frame_unknown"]


def test_a_ct_slice_is_no_segmentation(tmp_path: Path) -> None:
    dataset = file_of(pydicom.uid.CTImageStorage, "CT")
    dataset.save_as(tmp_path / "ct.dcm", enforce_file_format=True)
    with pytest.raises(InputRefused) as refused:
        read_imported(tmp_path / "ct.dcm", None, scan())
    assert refused.value.code == "mask_not_a_mask"


def test_a_segment_beyond_the_scan_is_told(tmp_path: Path) -> None:
    volume = scan()
    mask = block(volume, slice(4, 9), slice(5, 11))
    shorter = replace(volume.geometry, size=(32, 24, 6))
    path = seg(tmp_path / "s.dcm", volume, {"liver": mask})
    part = CtVolume(volume.hu[:6].copy(), shorter, volume.identity)
    masks, told = read_imported(path, None, part)
    assert np.array_equal(masks["liver"].to_full(), mask[:6])
    assert [finding.code for finding in told] == ["mask_outside_scan"]
