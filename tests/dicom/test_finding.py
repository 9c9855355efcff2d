"""Finding series: where files may lie, how they are called, and what belongs together."""

from __future__ import annotations

import os
import warnings
import zipfile
from pathlib import Path

import pydicom
import pytest
from dicom_writer import FRAME, SERIES, image, marked, save, write_series
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet

from irplan import dicom
from irplan.errors import CallError, Cancelled, InputRefused
from irplan.tasks import CancelToken, Task
from irplan.volume_io import load_volume

KEYS = {
    *("series_instance_uid", "study_instance_uid", "frame_of_reference_uid", "modality"),
    *("description", "patient_id", "patient_position", "acquired", "contrast", "instances"),
    *("usable", "findings", "size", "spacing_mm", "orientation", "transfer_syntax"),
}


def test_the_document_says_what_the_files_say(tmp_path: Path) -> None:
    write_series(tmp_path)
    (entry,) = dicom.scan(tmp_path).series
    document = entry.document()
    assert document.keys() >= KEYS
    assert document["series_instance_uid"] == SERIES
    assert document["frame_of_reference_uid"] == FRAME
    assert document["acquired"] == "2024-02-29"
    assert document["contrast"] == "Iomeron 400, portal venous"
    assert document["instances"] == 5
    assert document["size"] == [5, 6, 5]
    assert [str(value) for value in document["spacing_mm"]] == ["0.700", "0.800", "2.000"]
    assert document["orientation"] == "LPS"
    assert document["transfer_syntax"] == "1.2.840.10008.1.2.1"
    assert document["usable"] is True


CONTRAST = [
    ("", "Abdomen", ""),
    ("", "Abdomen native 2.0", "none"),
    ("", "Thorax non-contrast", "none"),
    ("", "Leber arteriell", "arterial"),
    ("Ultravist 370", "Abdomen", "Ultravist 370"),
    ("Ultravist 370", "art 1.0", "Ultravist 370, arterial"),
    ("NONE", "Abdomen", "none"),
    ("Iomeron", "Partial lung", "Iomeron"),
    ("", "Abdomen without contrast", "none"),
    ("", "Thorax ohne KM", "none"),
    ("ORAL", "Abdomen", "oral only"),
    ("ORAL & IV", "Abdomen", "ORAL & IV"),
]


@pytest.mark.parametrize(("agent", "description", "expected"), CONTRAST)
def test_contrast_is_what_is_told_and_empty_where_nothing_is(
    tmp_path: Path, agent: str, description: str, expected: str
) -> None:
    def change(ds: Dataset, _: int) -> None:
        ds.ContrastBolusAgent, ds.SeriesDescription = agent, description

    write_series(tmp_path, change=change)
    (entry,) = dicom.scan(tmp_path).series
    assert entry.document()["contrast"] == expected


NAMES = ["IM0", ".hidden", "with space.x", "é ü ß 雪.dcm", "nodot", "a.txt", "deep/er/still/IM1"]


def test_any_name_in_any_depth_is_found_and_other_files_are_passed_over(tmp_path: Path) -> None:
    for index, name in enumerate(NAMES):
        save(image(index, (0, 0, 2.0 * index), marked(index)), tmp_path / name)
    (tmp_path / "README.dcm").write_text("not an image, whatever it is called")
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / "zeros").write_bytes(b"\0" * 4000)
    os.mkfifo(tmp_path / "pipe")
    os.symlink(tmp_path, tmp_path / "loop")
    result = dicom.scan(tmp_path)
    (entry,) = result.series
    assert entry.usable
    assert len(entry.headers) == len(NAMES)
    told = {finding.code: finding for finding in result.findings}
    assert set(told) == {"linked_folder", "file_unreadable", "files_passed_over"}
    assert told["file_unreadable"].subject.endswith("empty.dcm")
    assert "2 files are not DICOM" in told["files_passed_over"].message
    assert "loop" in told["linked_folder"].message
    assert [finding.code for finding in entry.findings] == ["slices_may_be_unread"]


def test_latin_and_other_alphabets_in_names(tmp_path: Path) -> None:
    def change(ds: Dataset, _: int) -> None:
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.PatientName, ds.SeriesDescription = "Müller^Žofia", "Körper 雪"

    write_series(tmp_path, change=change)
    volume = load_volume(tmp_path)
    assert volume.identity.patient_name == "Müller^Žofia"
    assert volume.identity.description == "Körper 雪"


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_read_like_its_folder(tmp_path: Path, how: int) -> None:
    folder = write_series(tmp_path / "series")
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", how) as packed:
        packed.writestr("notes/readme.txt", "hello")
        for path in sorted(folder.iterdir()):
            packed.write(path, f"DICOM/é {path.name}")
    volume = load_volume(archive)
    assert (volume.hu == load_volume(folder).hu).all()


def test_what_may_hide_slices_is_told_and_travels_with_the_series(tmp_path: Path) -> None:
    """A slice lost at an end leaves no gap; only its file can tell."""
    folder = write_series(tmp_path / "series")
    (folder / "image004.dcm").unlink()
    (folder / "image004.dcm").symlink_to("/nowhere")
    with zipfile.ZipFile(folder / "rest", "w") as packed:
        packed.writestr("a", b"b")
    result = dicom.scan(folder)
    assert {finding.code for finding in result.findings} == {"file_unreadable", "archive_inside"}
    assert "slices_may_be_unread" in {finding.code for finding in load_volume(folder).findings}


def test_names_that_stand_twice_in_a_zip_are_told(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "series")
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the archive is wrong on purpose
        for index, path in enumerate(sorted(folder.iterdir())):
            packed.write(path, str(max(index, 1)))
    (finding,) = dicom.scan(archive).findings
    assert finding.code == "archive_names_repeat"
    volume = load_volume(archive)
    assert volume.hu.shape[0] == 4
    assert "slices_may_be_unread" in {finding.code for finding in volume.findings}


def test_the_directory_of_a_zip_is_read_a_few_times_and_not_for_every_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_series(tmp_path / "series", [2.0 * index for index in range(60)])
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in folder.iterdir():
            packed.write(path, path.name)
    opened: list[object] = []
    read = zipfile.ZipFile._RealGetContents  # type: ignore[attr-defined]

    def count(self: zipfile.ZipFile) -> None:
        opened.append(self)
        read(self)

    monkeypatch.setattr(zipfile.ZipFile, "_RealGetContents", count)
    assert load_volume(archive).hu.shape[0] == 60
    assert len(opened) <= 3 + (os.cpu_count() or 1)


PASSES = [0.0, 2.0, 4.0, 6.0, 8.0]


def numbered(numbers: list[int]) -> object:
    def change(ds: Dataset, index: int) -> None:
        ds.InstanceNumber = numbers[index]

    return change


def test_two_scans_that_no_tag_tells_apart_are_suspected_by_their_numbers(tmp_path: Path) -> None:
    """Half a slice apart they make one even grid, and nothing but the numbering shows it."""
    woven = write_series(tmp_path / "woven", [*PASSES, *(height + 1 for height in PASSES)])
    (entry,) = dicom.scan(woven).series
    assert "numbered_in_passes" in {finding.code for finding in entry.findings}
    back = write_series(tmp_path / "back", [*PASSES, *(height + 1 for height in PASSES[::-1])])
    (entry,) = dicom.scan(back).series
    assert "numbered_in_passes" in {finding.code for finding in entry.findings}


@pytest.mark.parametrize(
    "numbers",
    [
        list(range(1, 13)),
        list(range(12, 0, -1)),
        [7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6],
        [5, 11, 1, 9, 3, 12, 7, 2, 10, 4, 8, 6],
        [4] * 12,
    ],
)
def test_other_numbers_raise_no_suspicion(tmp_path: Path, numbers: list[int]) -> None:
    """Rising, falling, in two blocks, without order, all alike."""
    heights = [2.0 * index for index in range(12)]
    write_series(tmp_path, heights, numbered(numbers))  # type: ignore[arg-type]
    (entry,) = dicom.scan(tmp_path).series
    assert entry.usable
    assert not {"numbered_in_passes", "numbers_skip"} & {one.code for one in entry.findings}


def test_every_second_slice_lost_is_suspected_by_numbers_and_thickness(tmp_path: Path) -> None:
    heights, numbers = [4.0 * index for index in range(6)], [1, 3, 5, 7, 9, 11]
    write_series(tmp_path, heights, numbered(numbers))  # type: ignore[arg-type]
    (entry,) = dicom.scan(tmp_path).series
    assert {"numbers_skip", "unscanned_gaps"} <= {finding.code for finding in entry.findings}


def test_a_dicomdir_stands_for_the_files_it_names(tmp_path: Path) -> None:
    def change(ds: Dataset, _: int) -> None:
        ds.StudyDate, ds.StudyTime, ds.StudyID, ds.SeriesNumber = "20240229", "101500", "1", 1

    write_series(tmp_path / "plain", change=change)
    made = FileSet()
    for path in sorted((tmp_path / "plain").iterdir()):
        made.add(path)
    made.write(tmp_path / "disk")
    made._stage["t"].cleanup()
    directory = tmp_path / "disk" / "DICOMDIR"
    volume = load_volume(directory)
    assert volume.hu.shape == (5, 6, 5)
    assert load_volume(tmp_path / "disk").hu.shape == (5, 6, 5)
    # A file that the directory names is lost: told, and the gap is found by the gate.
    leaves = sorted(path for path in (tmp_path / "disk").rglob("*") if path.is_file())
    victim = next(
        path
        for path in leaves
        if path != directory and pydicom.dcmread(path).ImagePositionPatient[2] == 4.0
    )
    victim.unlink()
    result = dicom.scan(directory)
    assert [finding.code for finding in result.findings] == ["dicomdir_targets_absent"]
    assert "missing_slices" in {finding.code for finding in result.series[0].findings}


def test_a_damaged_file_spoils_its_series_by_name_and_others_not(tmp_path: Path) -> None:
    write_series(tmp_path / "good")

    def other(ds: Dataset, _: int) -> None:
        ds.SeriesInstanceUID = "1.2.826.0.1.9"

    bad = write_series(tmp_path / "bad", change=other)
    victim = bad / "image004.dcm"
    data = victim.read_bytes()
    # Wreck the value representation of an element behind the identifiers.
    where = data.index(b"\x28\x00\x10\x00US")
    victim.write_bytes(data[: where + 4] + b"\x01\x02" + data[where + 6 :])
    result = dicom.scan(tmp_path)
    usable = {entry.series_instance_uid: entry.usable for entry in result.series}
    assert usable == {SERIES: True, "1.2.826.0.1.9": False}
    (spoiled,) = [entry for entry in result.series if not entry.usable]
    (message,) = [one.message for one in spoiled.findings if one.code == "file_damaged"]
    assert "image004.dcm" in message


def second(attribute: str, value: object, lift_mm: float = 0.0) -> object:
    """The second half of the images is another volume at the same (or lifted) positions."""

    def change(ds: Dataset, index: int) -> None:
        if index >= 5:
            setattr(ds, attribute, value)
            ds.ImagePositionPatient = [-10.0, -20.0, 2.0 * (index - 5) + lift_mm]

    return change


SPLITS = [
    ("FrameOfReferenceUID", "1.2.826.0.1.8", 0.0),
    ("ImageType", ["ORIGINAL", "PRIMARY", "AXIAL", "OTHER"], 0.0),
    ("ConvolutionKernel", "B70f", 0.0),
    ("AcquisitionNumber", 2, 0.0),
    ("TemporalPositionIdentifier", 2, 0.0),
    ("AcquisitionNumber", 2, 1.0),
    ("ContrastBolusAgent", "", 0.0),
    ("AcquisitionTime", "101530", 1.0),
    ("KVP", 140, 1.0),
    ("SeriesDescription", "Abdomen late", 1.0),
]


@pytest.mark.parametrize(("attribute", "value", "lift_mm"), SPLITS)
def test_two_volumes_in_one_series_are_told_apart_and_never_woven(
    tmp_path: Path, attribute: str, value: object, lift_mm: float
) -> None:
    """Lifted by half the spacing, the two would weave into one even grid: the cruellest case."""
    write_series(tmp_path, [2.0 * index for index in range(10)], second(attribute, value, lift_mm))
    result = dicom.scan(tmp_path)
    assert [entry.usable for entry in result.series] == [True, True]
    assert {len(entry.headers) for entry in result.series} == {5}
    assert all("series_split" in {f.code for f in entry.findings} for entry in result.series)
    with pytest.raises(CallError, match="2 usable series") as choice:
        load_volume(tmp_path)
    assert choice.value.exit_code == 2
    with pytest.raises(CallError, match="2 volumes"):
        load_volume(tmp_path, SERIES)
    shapes = [load_volume(tmp_path, entry.selector).hu for entry in result.series]
    assert [hu.shape for hu in shapes] == [(5, 6, 5), (5, 6, 5)]
    assert sorted(int(hu[0, 0, 0]) for hu in shapes) == [-1024, 5000 - 1024]


def test_acquisition_numbers_that_rise_along_the_body_are_one_volume(tmp_path: Path) -> None:
    def change(ds: Dataset, index: int) -> None:
        ds.AcquisitionNumber = 1 + index // 2

    write_series(tmp_path, change=change)
    assert load_volume(tmp_path).hu.shape == (5, 6, 5)


def test_several_series_are_listed_and_one_is_named(tmp_path: Path) -> None:
    write_series(tmp_path / "a")

    def other(ds: Dataset, _: int) -> None:
        ds.SeriesInstanceUID = "1.2.826.0.1.9"

    write_series(tmp_path / "b", [0, 2, 4], other)
    with pytest.raises(CallError) as choice:
        load_volume(tmp_path)
    assert SERIES in str(choice.value)
    assert "1.2.826.0.1.9" in str(choice.value)
    assert load_volume(tmp_path, "1.2.826.0.1.9").hu.shape == (3, 6, 5)
    with pytest.raises(CallError, match=r"no series 1\.2\.3"):
        load_volume(tmp_path, "1.2.3")


KINDS = {
    "localizer": ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
    "dose report": (
        {
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7",
            "ImageType": ["DERIVED", "SECONDARY", "DOSE_INFO"],
        },
        "dose_report",
    ),
    "dose record": (
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67", "Modality": "SR"},
        "dose_report",
    ),
    "secondary capture": ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "secondary_capture"),
    "projection": ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "rendering"),
    "perfusion": ({"ImageType": ["DERIVED", "PRIMARY", "PERFUSION"]}, "parameter_map"),
    "iodine map": ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "MAT_SPECIFIC"]}, "parameter_map"),
    "scanogram": ({"ImageType": ["ORIGINAL", "PRIMARY", "SCANOGRAM"]}, "localizer"),
    "structure set": (
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.3", "Modality": "RTSTRUCT"},
        "not_an_image",
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_volume_is_named_for_what_it_is(tmp_path: Path, name: str) -> None:
    values, code = KINDS[name]

    def change(ds: Dataset, _: int) -> None:
        for attribute, value in values.items():
            setattr(ds, attribute, value)

    write_series(tmp_path, change=change)
    (entry,) = dicom.scan(tmp_path).series
    assert not entry.usable
    assert [finding.code for finding in entry.findings] == [code]


def test_a_localizer_in_the_series_does_not_spoil_the_volume(tmp_path: Path) -> None:
    def change(ds: Dataset, index: int) -> None:
        if index == 0:
            ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    write_series(tmp_path, change=change)
    assert load_volume(tmp_path).hu.shape == (4, 6, 5)
    assert len(dicom.scan(tmp_path).series) == 2


def test_nothing_is_no_volume(tmp_path: Path) -> None:
    assert dicom.scan(tmp_path).series == ()
    with pytest.raises(InputRefused, match="no DICOM image"):
        load_volume(tmp_path)
    with pytest.raises(InputRefused):
        dicom.scan(tmp_path / "absent")
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 and no more")
    assert dicom.scan(tmp_path / "bad.zip").series == ()


def test_a_scan_and_a_read_can_be_cancelled(tmp_path: Path) -> None:
    write_series(tmp_path)
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        dicom.scan(tmp_path, Task(cancel=token))
    (entry,) = dicom.scan(tmp_path).series
    with pytest.raises(Cancelled):
        dicom.read_entry(entry, tmp_path, Task(cancel=token))
