"""The measurement report says what the lesions' documents say, and nothing that is unknown."""

from __future__ import annotations

from decimal import Decimal

import pydicom
import pytest

from irplan.export.dicom_seg import write_seg
from irplan.export.dicom_sr import write_sr
from irplan.lesions import Lesion, LesionSource

from .test_dicom_seg import UID, ct_on, lesions_on


def items(node: pydicom.Dataset):
    """Every content item below a node."""
    for item in node.get("ContentSequence", []):
        yield item
        yield from items(item)


def groups(dataset: pydicom.Dataset) -> dict[str, pydicom.Dataset]:
    """Measurement groups (125007, DCM) by tracking identifier (112039, DCM)."""
    found = {}
    for item in items(dataset):
        name = item.get("ConceptNameCodeSequence", [pydicom.Dataset()])[0]
        if name.get("CodeValue") == "125007":
            (tracking,) = [
                inner
                for inner in item.ContentSequence
                if inner.ConceptNameCodeSequence[0].CodeValue == "112039"
            ]
            found[tracking.TextValue] = item
    return found


def values(group: pydicom.Dataset) -> dict[tuple[str, str], tuple[str, str]]:
    """(name, derivation) → (value, unit) of the numbers of a group."""
    found = {}
    for item in group.ContentSequence:
        if item.ValueType != "NUM":
            continue
        derivation = [
            inner.ConceptCodeSequence[0].CodeMeaning
            for inner in item.get("ContentSequence", [])
            if inner.ConceptNameCodeSequence[0].CodeValue == "121401"
        ]
        measured = item.MeasuredValueSequence[0]
        key = (item.ConceptNameCodeSequence[0].CodeMeaning, "".join(derivation))
        unit = measured.MeasurementUnitsCodeSequence[0].CodeValue
        found[key] = (Decimal(str(measured.NumericValue)), unit)
    return found


@pytest.fixture
def report(tmp_path):
    volume = ct_on("oblique")
    lesions = lesions_on(volume)
    bare = Lesion("D9", 3, LesionSource.DIAMETERS, volume_ml=Decimal("1.250"))
    write_sr(volume, [*lesions, bare], tmp_path / "r.dcm")
    write_seg(volume, lesions, tmp_path / "s.dcm")
    read = (pydicom.dcmread(tmp_path / name) for name in ("r.dcm", "s.dcm"))
    return (*read, lesions)


def test_the_values_are_those_of_the_document(report):
    dataset, _, lesions = report
    found = groups(dataset)
    assert set(found) == {"T1", "T2", "D9"}
    for lesion in lesions:
        document = lesion.document()
        measured = values(found[lesion.lesion_id])
        assert measured["Volume", ""] == (document["volume_ml"], "mL")
        assert measured["Long axis", ""] == (document["longest_diameter_mm"], "mm")
        assert measured["Short axis", ""] == (document["short_axis_mm"], "mm")
        assert measured["Attenuation Coefficient", "Mean"] == (document["mean_hu"], "[hnsf'U]")
        # Unknown here, so absent, never zero.
        assert ("Depth", "") not in measured
        assert ("Volume", "Minimum") not in measured
    assert values(found["D9"]) == {("Volume", ""): (Decimal("1.25"), "mL")}


def test_each_group_points_at_its_segment(report):
    dataset, seg, _ = report
    by_label = {item.SegmentLabel: item.SegmentNumber for item in seg.SegmentSequence}
    for lesion_id, group in groups(dataset).items():
        refs = [
            item.ReferencedSOPSequence[0]
            for item in group.ContentSequence
            if item.ValueType == "IMAGE"
        ]
        if lesion_id == "D9":
            assert refs == []
            continue
        assert refs[0].ReferencedSOPInstanceUID == seg.SOPInstanceUID
        number = refs[0].ReferencedSegmentNumber
        assert (number if isinstance(number, int) else number[0]) == by_label[lesion_id]


def test_the_report_belongs_to_the_study(report):
    dataset, seg, _ = report
    assert dataset.StudyInstanceUID == seg.StudyInstanceUID == UID + ".1"
    assert dataset.PatientID == "P-1"
    assert dataset.ContentTemplateSequence[0].TemplateIdentifier == "1500"
