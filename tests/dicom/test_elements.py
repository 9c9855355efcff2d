"""The header walk against pydicom, an independent reader."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import pydicom
import pytest
from dicom_writer import image, marked, save
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from irplan.dicom.catalogue import read_one
from irplan.dicom.elements import NotDicom
from irplan.dicom.memory import Memory
from irplan.dicom.sources import Source

TEXTS = {
    "series_instance_uid": "SeriesInstanceUID",
    "study_instance_uid": "StudyInstanceUID",
    "sop_instance_uid": "SOPInstanceUID",
    "frame_of_reference_uid": "FrameOfReferenceUID",
    "modality": "Modality",
    "patient_position": "PatientPosition",
    "patient_id": "PatientID",
    "photometric": "PhotometricInterpretation",
}
NUMBERS = {
    "position": "ImagePositionPatient",
    "orientation": "ImageOrientationPatient",
    "pixel_spacing": "PixelSpacing",
}
WHOLE = {"rows": "Rows", "columns": "Columns", "bits_stored": "BitsStored"}
SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]


def compare(path: Path) -> bool:
    """Whether the walk and pydicom say the same of a file; False where it is no single image."""
    try:
        headers, _ = read_one(Source(str(path)))
    except NotDicom:
        return False
    if len(headers) != 1 or headers[0].damage:
        return False
    (header,) = headers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        for name, keyword in TEXTS.items():
            assert header.text(name) == str(ds.get(keyword) or "").strip(), (path, keyword)
        for name, keyword in NUMBERS.items():
            assert getattr(header, name) == tuple(map(float, ds.get(keyword) or ())), (
                path,
                keyword,
            )
        for name, keyword in WHOLE.items():
            assert getattr(header, name) == (ds.get(keyword) or 0), (path, keyword)
    return True


def nested(depth: int, undefined: bool) -> Sequence:
    item = Dataset()
    item.Rows, item.PatientID = 77, "INSIDE"
    if depth:
        item.ReferencedSeriesSequence = nested(depth - 1, undefined)
    item.is_undefined_length_sequence_item = undefined
    return Sequence([item, Dataset()])


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("undefined", [False, True])
def test_sequences_are_stepped_over_in_every_syntax(
    tmp_path: Path, syntax: str, undefined: bool
) -> None:
    ds = image(0, (1.5, -2.25, 3.125), marked(0))
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = marked(0).astype(">i2").tobytes()
    ds.ReferencedStudySequence = nested(3, undefined)
    ds["ReferencedStudySequence"].is_undefined_length = undefined
    ds.add_new(0x00091010, "UN", b"private \x10\x00\x28\x00 bytes")
    assert compare(save(ds, tmp_path / "one"))


def test_a_long_private_element_before_the_pixels_is_no_obstacle(tmp_path: Path) -> None:
    ds = image(0, (0, 0, 0), marked(0))
    ds.add_new(0x00091010, "OB", b"\x7f" * 3_000_000)
    ds.add_new(0x00291010, "OB", b"\x7f" * 300_000)
    assert compare(save(ds, tmp_path / "one"))


def test_without_preamble_and_meta_header(tmp_path: Path) -> None:
    for syntax, implicit in ((ImplicitVRLittleEndian, True), (ExplicitVRLittleEndian, False)):
        ds = image(0, (0, 0, 0), marked(0))
        path = tmp_path / f"{implicit}"
        pydicom.dcmwrite(
            path, Dataset(ds), implicit_vr=implicit, little_endian=True, enforce_file_format=False
        )
        assert path.read_bytes()[128:132] != b"DICM", syntax
        assert compare(path)


def test_nesting_without_end_is_damage_and_no_crash(tmp_path: Path) -> None:
    ds = image(0, (0, 0, 0), marked(0))
    path = save(ds, tmp_path / "one")
    data = path.read_bytes()
    where = data.index(b"\x10\x00\x10\x00PN")
    opening = b"\x08\x00\x11\x11SQ\0\0\xff\xff\xff\xff"
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path.write_bytes(data[:where] + opening + (item + opening) * 5000 + data[where:])
    headers, finding = read_one(Source(str(path)))
    assert not headers
    assert finding is not None
    assert "nested too deep" in finding.message


def test_unknown_elements_without_length_are_stepped_over(tmp_path: Path) -> None:
    """Their items are implicit little-endian inside, whatever the file is (PS3.5, 6.2.2)."""
    path = save(image(0, (0, 0, 0), marked(0)), tmp_path / "one")
    data = path.read_bytes()
    where = data.index(b"\x10\x00\x10\x00PN")
    inside = b"\x10\x00\x20\x00" + (6).to_bytes(4, "little") + b"INSIDE"
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + inside + b"\xfe\xff\x0d\xe0\0\0\0\0"
    unknown = b"\x09\x00\x01\x10UN\0\0\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0\0\0\0\0"
    path.write_bytes(data[:where] + unknown + data[where:])
    assert compare(path)
    (header,), _ = read_one(Source(str(path)))
    assert header.text("patient_id") == "ID-1"


@pytest.mark.realdata
def test_every_real_header_reads_as_pydicom_reads_it(realdata: Path) -> None:
    files = [path for path in sorted(realdata.rglob("*")) if path.is_file()]
    compared = sum(compare(path) for path in files if path.suffix not in (".gz", ".csv"))
    assert compared > 330


def same_with_and_without_memory(paths: list[Path]) -> int:
    """Every header must read the same whatever headers were read before it."""
    memory = Memory()
    for path in paths:
        source = Source(str(path))
        assert found_in(source, memory) == found_in(source, None), path
    return len(paths)


def found_in(source: Source, memory: Memory | None) -> object:
    """What :func:`read_one` makes of a file."""
    try:
        return read_one(source, memory)
    except NotDicom:
        return None


def test_what_was_met_before_changes_nothing(tmp_path: Path) -> None:
    """Series that alternate, elements that come, go and change, and mutated bytes among them."""
    chance = random.Random(5)
    paths = []
    for number in range(400):
        ds = image(number % 3, (0.0, chance.choice([0.0, -1.25]), float(number)), marked(0))
        ds.SeriesInstanceUID = f"1.2.826.0.1.{number % 2}"
        if chance.random() < 0.3:
            ds.ReferencedStudySequence = nested(1, chance.random() < 0.5)
        if chance.random() < 0.3:
            del ds.SliceThickness
        if chance.random() < 0.2:
            ds.PatientID = chance.choice(["ID-1", "ID-22", ""])
        ds.file_meta.TransferSyntaxUID = chance.choice(SYNTAXES)
        path = save(ds, tmp_path / f"{number:03d}")
        data = bytearray(path.read_bytes())
        if chance.random() < 0.5:
            data[chance.randrange(132, len(data))] = chance.choice([0, 1, 0x20, 0x80, 0xFF])
            path.write_bytes(bytes(data))
        paths.append(path)
    same_with_and_without_memory(paths)


@pytest.mark.realdata
def test_what_was_met_before_changes_no_real_header(realdata: Path) -> None:
    paths = [path for path in realdata.rglob("*") if path.is_file()]
    random.Random(6).shuffle(paths)
    assert same_with_and_without_memory(paths) > 400
    assert same_with_and_without_memory(sorted(paths)) > 400
