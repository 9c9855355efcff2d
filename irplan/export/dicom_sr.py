"""DICOM SR: the measures of each lesion as a measurement report (TID 1500).

One measurement group per lesion with its tracking identifier and UID. A lesion with a mask refers
to its segment in the DICOM SEG of the same lesions (TID 1411); one without stands by itself
(TID 1501). Values are the rounded ones of the lesion's document. The same inputs give the same
bytes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import highdicom as hd
import pydicom
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage

import irplan
from irplan import uids, units
from irplan.export.dicom_seg import file_bytes, make_repeatable, segment_numbers
from irplan.export.dicom_source import (
    MANUFACTURER,
    MODEL,
    content_uid,
    covered_slices,
    slice_headers,
    tracking_uid,
)
from irplan.files import write_bytes
from irplan.lesions.lesion import Lesion
from irplan.volume import CtVolume

SERIES_NUMBER = 9002
MILLILITRE = Code("mL", "UCUM", "milliliter")
MILLIMETRE = codes.UCUM.Millimeter
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
LONGEST_3D = Code("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh")


def write_sr(volume: CtVolume, lesions: Sequence[Lesion], target: Path) -> None:
    """Write the measures of the lesions as one DICOM SR (Comprehensive 3D SR, TID 1500).

    Args:
        volume: the CT that they were measured on.
        lesions: with or without masks. The segments named are those that
            :func:`irplan.export.dicom_seg.write_seg` writes for the same lesions and volume.
        target: the file to write.

    Raises:
        InputRefused: the file cannot be written.
    """
    write_bytes(target, file_bytes(build_sr(volume, lesions)))


def build_sr(volume: CtVolume, lesions: Sequence[Lesion]) -> pydicom.Dataset:
    """The data set of :func:`write_sr`."""
    ordered = sorted(lesions, key=lambda lesion: (lesion.label or 0, lesion.lesion_id))
    drawn = [lesion for lesion in ordered if lesion.mask is not None]
    slices = covered_slices(drawn) if drawn else range(1)
    evidence = slice_headers(volume, slices)
    numbers = segment_numbers(drawn) if drawn else {}
    seg_uid = content_uid(volume, drawn, "seg") if drawn else ""
    if drawn:
        evidence.append(_seg_header(evidence[0], seg_uid))
    groups = [_group(volume, lesion, numbers, seg_uid) for lesion in ordered]
    observer = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=uids.uid_from("device", irplan.__version__),
            manufacturer_name=MANUFACTURER,
            model_name=MODEL,
        ),
    )
    report = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.SCT.ComputedTomography,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=hd.sr.LanguageOfContentItemAndDescendants(
            hd.sr.CodedConcept("en-US", "RFC5646", "English (United States)")
        ),
    )
    sr_uid = content_uid(volume, ordered, "sr")
    with warnings.catch_warnings():
        # Names of patients from real scans may break DICOM's rules; they are passed on as they are.
        warnings.simplefilter("ignore", UserWarning)
        dataset = hd.sr.Comprehensive3DSR(
            evidence=evidence,
            content=report,
            series_instance_uid=uids.uid_from("sr series", sr_uid),
            series_number=SERIES_NUMBER,
            sop_instance_uid=sr_uid,
            instance_number=1,
            manufacturer=MANUFACTURER,
            is_complete=True,
        )
    dataset.SeriesDescription = "Lesion measurements"
    make_repeatable(dataset, volume)
    return dataset


def _seg_header(scan: pydicom.Dataset, seg_uid: str) -> pydicom.Dataset:
    """What the report's evidence says about the SEG."""
    header = pydicom.Dataset()
    header.update({element.tag: element for element in scan})
    header.file_meta = scan.file_meta
    header.SOPClassUID = SegmentationStorage
    header.SOPInstanceUID = seg_uid
    header.SeriesInstanceUID = uids.uid_from("seg series", seg_uid)
    header.Modality = "SEG"
    return header


def _group(volume: CtVolume, lesion: Lesion, numbers: dict[str, int], seg_uid: str) -> Any:
    common: dict[str, Any] = {
        "tracking_identifier": hd.sr.TrackingIdentifier(
            uid=tracking_uid(volume, lesion), identifier=lesion.lesion_id
        ),
        "finding_type": codes.SCT.Lesion,
        "measurements": _measurements(lesion),
    }
    if lesion.mask is None:
        return hd.sr.MeasurementsAndQualitativeEvaluations(**common)
    segment = hd.sr.ReferencedSegment(
        sop_class_uid=SegmentationStorage,
        sop_instance_uid=seg_uid,
        segment_number=numbers[lesion.lesion_id],
        source_series=hd.sr.SourceSeriesForSegmentation(uids.series_uid(volume)),
    )
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        referenced_segment=segment, **common
    )


def _measurements(lesion: Lesion) -> list[hd.sr.Measurement]:
    """Every measure that is known; what is unknown is left out, never zero."""
    rows: list[tuple[Code, Decimal | None, Code, Code | None]] = [
        (codes.SCT.Volume, lesion.volume_ml, MILLILITRE, None),
        (codes.SCT.Volume, lesion.volume_low_ml, MILLILITRE, codes.SCT.Minimum),
        (codes.SCT.Volume, lesion.volume_high_ml, MILLILITRE, codes.SCT.Maximum),
        (codes.SCT.LongAxis, _mm(lesion.longest_diameter_mm), MILLIMETRE, None),
        (codes.SCT.ShortAxis, _mm(lesion.short_axis_mm), MILLIMETRE, None),
        (LONGEST_3D, _mm(lesion.diameter_3d_mm), MILLIMETRE, None),
        (codes.SCT.Depth, _mm(lesion.depth_below_skin_mm), MILLIMETRE, None),
        (codes.DCM.AttenuationCoefficient, _hu(lesion.mean_hu), HOUNSFIELD, codes.SCT.Mean),
        (
            codes.DCM.AttenuationCoefficient,
            _hu(lesion.sd_hu),
            HOUNSFIELD,
            codes.SCT.StandardDeviation,
        ),
    ]
    return [
        hd.sr.Measurement(name=name, value=float(value), unit=unit, derivation=derivation)
        for name, value, unit, derivation in rows
        if value is not None
    ]


def _mm(value: float | None) -> Decimal | None:
    return None if value is None else units.mm(value)


def _hu(value: float | None) -> Decimal | None:
    return None if value is None else units.hu(value)
