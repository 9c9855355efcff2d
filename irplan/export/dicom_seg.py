"""DICOM SEG: one binary segment per lesion, with its tracking identifier and UID.

Segments may overlap: each lesion keeps its own voxels. Planes and positions are the scan's, so a
viewer lays the segments on it. The same inputs give the same bytes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from pydicom.sr.codedict import codes

import irplan
from irplan import uids
from irplan.errors import InputRefused
from irplan.export.dicom_source import (
    MANUFACTURER,
    MODEL,
    content_uid,
    covered_slices,
    scan_date,
    slice_headers,
    tracking_uid,
)
from irplan.files import write_bytes
from irplan.lesions.lesion import Lesion, LesionSource
from irplan.volume import CtVolume

SERIES_NUMBER = 9001
#: SegmentLabel and ContentLabel are short strings in DICOM (VR LO and CS).
LABEL_LENGTH = 64


def write_seg(volume: CtVolume, lesions: Sequence[Lesion], target: Path) -> None:
    """Write the lesions' masks as one DICOM SEG; lesions without a mask are left out.

    Args:
        volume: the CT on whose grid the masks lie.
        lesions: in the order of their segments; the segment number is the lesion's label where
            the labels are 1, 2, …, and its place in the list otherwise.
        target: the file to write.

    Raises:
        InputRefused: no lesion has a mask, or the file cannot be written.
    """
    write_bytes(target, file_bytes(build_seg(volume, lesions)))


def build_seg(volume: CtVolume, lesions: Sequence[Lesion]) -> pydicom.Dataset:
    """The data set of :func:`write_seg`."""
    drawn = drawn_lesions(lesions)
    slices = covered_slices(drawn)
    headers = slice_headers(volume, slices)
    _, rows, columns = volume.geometry.shape_zyx
    pixels = np.zeros((len(slices), rows, columns, len(drawn)), dtype=np.uint8)
    for number, lesion in enumerate(drawn):
        mask = lesion.mask
        assert mask is not None
        if not mask.grid.same_grid(volume.geometry):
            raise ValueError(f"lesion {lesion.lesion_id} lies on another grid than the CT")
        z, y, x = mask.slices_zyx
        pixels[z.start - slices.start : z.stop - slices.start, y, x, number] = mask.voxels
    spacing = volume.geometry.spacing_mm
    seg_uid = content_uid(volume, drawn, "seg")
    with warnings.catch_warnings():
        # Names of patients from real scans may break DICOM's rules; they are passed on as they are.
        warnings.simplefilter("ignore", UserWarning)
        dataset = hd.seg.Segmentation(
            source_images=headers,
            pixel_array=pixels,
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[
                _description(volume, lesion, number) for number, lesion in enumerate(drawn, start=1)
            ],
            series_instance_uid=uids.uid_from("seg series", seg_uid),
            series_number=SERIES_NUMBER,
            sop_instance_uid=seg_uid,
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=MODEL,
            software_versions=irplan.__version__,
            device_serial_number="0",
            pixel_measures=hd.PixelMeasuresSequence(
                pixel_spacing=(spacing[1], spacing[0]),
                slice_thickness=spacing[2],
                spacing_between_slices=spacing[2],
            ),
            content_label="LESIONS",
            content_description="Lesions for planning",
        )
    dataset.SeriesDescription = "Lesions"
    make_repeatable(dataset, volume)
    return dataset


def drawn_lesions(lesions: Sequence[Lesion]) -> list[Lesion]:
    """The lesions with a mask, by label.

    Raises:
        InputRefused: there are none.
    """
    drawn = [lesion for lesion in lesions if lesion.mask is not None]
    if not drawn:
        raise InputRefused(
            "no_mask_to_export",
            "no lesion has a mask, so there is nothing to write as DICOM SEG",
            "segment a lesion or give a mask",
        )
    return sorted(drawn, key=lambda lesion: lesion.label or 0)


def segment_numbers(lesions: Sequence[Lesion]) -> dict[str, int]:
    """Segment number by lesion id, as :func:`write_seg` gives them."""
    return {
        lesion.lesion_id: number for number, lesion in enumerate(drawn_lesions(lesions), start=1)
    }


def _description(volume: CtVolume, lesion: Lesion, number: int) -> hd.seg.SegmentDescription:
    manual = lesion.source is LesionSource.IMPORTED
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=lesion.lesion_id[:LABEL_LENGTH],
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=(
            hd.seg.SegmentAlgorithmTypeValues.MANUAL
            if manual
            else hd.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC
        ),
        algorithm_identification=(
            None
            if manual
            else hd.AlgorithmIdentificationSequence(
                name="irplan lesions",
                family=codes.DCM.HistogramAnalysis,
                version=irplan.__version__,
            )
        ),
        tracking_id=lesion.lesion_id,
        tracking_uid=tracking_uid(volume, lesion),
    )


def make_repeatable(dataset: pydicom.Dataset, volume: CtVolume) -> None:
    """Replace times and random UIDs in place by what follows from the content."""
    date = scan_date(volume)
    for name in ("ContentDate", "InstanceCreationDate", "SeriesDate"):
        if name in dataset:
            setattr(dataset, name, date)
    for name in ("ContentTime", "InstanceCreationTime", "SeriesTime"):
        if name in dataset:
            setattr(dataset, name, "000000")
    for item in dataset.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in item:
            del item.ContributionDateTime
    organization = uids.uid_from("dimensions", str(dataset.SOPInstanceUID))
    for item in dataset.get("DimensionOrganizationSequence", []):
        item.DimensionOrganizationUID = organization
    for item in dataset.get("DimensionIndexSequence", []):
        item.DimensionOrganizationUID = organization


def file_bytes(dataset: pydicom.Dataset) -> bytes:
    """The data set as a DICOM file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
