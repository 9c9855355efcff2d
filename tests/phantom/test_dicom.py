"""The DICOM files: other readers see the same HU in the same place, and dciodvfy is content."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

from irplan import jsonio
from irplan.errors import CallError
from irplan.phantom import PhantomSpec, build_phantom, write_dicom, write_truth
from irplan.phantom.command import main
from irplan.phantom.dicom import COMPRESSIONS
from irplan.phantom.spec import POSITIONS

TINY = PhantomSpec(columns=56, rows=48, slices=6, spacing_z_mm=4.0, centre_mm=(0.0, 8.0, 10.0))
SAMPLE = Path(__file__).resolve().parents[2] / "sample_dicom"


def by_hand(files):
    """HU and position of each file, read with pydicom and the formulas of the standard."""
    found = []
    for file in files:
        one = pydicom.dcmread(file)
        hu = one.pixel_array.astype(float) * float(one.RescaleSlope) + float(one.RescaleIntercept)
        found.append((np.array(one.ImagePositionPatient, dtype=float), hu, one))
    return found


@pytest.mark.parametrize("compression", sorted(COMPRESSIONS))
@pytest.mark.parametrize("order", ["normal", "reversed"])
def test_every_syntax_holds_the_same_hu(tmp_path, compression, order):
    phantom = build_phantom(TINY)
    files = write_dicom(phantom, tmp_path, compression, order)
    for instance, (position, hu, one) in enumerate(by_hand(files)):
        k = instance if order == "normal" else 5 - instance
        assert int(one.InstanceNumber) == instance + 1
        assert one.file_meta.TransferSyntaxUID == COMPRESSIONS[compression]
        assert np.array_equal(hu, phantom.hu[k])
        assert position == pytest.approx(phantom.grid.to_lps([0, 0, k]), abs=1e-6)


@pytest.mark.parametrize("position", sorted(POSITIONS))
def test_another_reader_finds_each_voxel_where_the_grid_says(tmp_path, position):
    phantom = build_phantom(replace(TINY, position=position, oblique_deg=9.0))
    write_dicom(phantom, tmp_path, "none")
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    generator = np.random.default_rng(1)
    for _ in range(60):
        index = [int(generator.integers(size)) for size in image.GetSize()]
        point = image.TransformIndexToPhysicalPoint(index)
        i, j, k = phantom.grid.nearest_index(point)
        assert phantom.grid.to_lps([i, j, k]) == pytest.approx(point, abs=0.01)
        assert image.GetPixel(index) == phantom.hu[k, j, i]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
@pytest.mark.parametrize(
    ("changes", "compression"),
    [
        ({}, "jpeg-ls"), ({}, "jpeg-2000"), ({}, "rle"), ({}, "none"), ({}, "implicit"),
        ({"timepoint": 2, "contrast": False}, "none"),
        *[({"position": position, "oblique_deg": 9.0}, "none") for position in POSITIONS],
    ],
)  # fmt: skip
def test_dciodvfy_finds_no_error(tmp_path, changes, compression):
    files = write_dicom(build_phantom(replace(TINY, slices=1, **changes)), tmp_path, compression)
    told = subprocess.run(["dciodvfy", str(files[0])], capture_output=True, text=True, check=False)
    lines = (told.stdout + told.stderr).splitlines()
    assert [line for line in lines if line.startswith(("Error", "Abort", "Warning"))] == []
    assert "CTImage" in lines


def test_visits_are_two_studies_of_one_patient_three_weeks_apart(tmp_path):
    heads = []
    for visit in (1, 2):
        files = write_dicom(build_phantom(TINY.at_visit(visit)), tmp_path / str(visit))
        heads.append(pydicom.dcmread(files[0], stop_before_pixels=True))
    first, second = heads
    assert first.PatientID == second.PatientID
    assert first.StudyInstanceUID != second.StudyInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert first.FrameOfReferenceUID != second.FrameOfReferenceUID
    days = [datetime.date.fromisoformat(one.StudyDate) for one in heads]
    assert days[1] - days[0] == datetime.timedelta(weeks=3)


@pytest.mark.long
def test_writing_twice_gives_the_same_bytes(tmp_path):
    arguments = ["--size", "40", "--slices", "5", "--spacing-z", "30", "--centre-z", "0"]
    for name in ("a", "b"):
        assert main(["--out", str(tmp_path / name), *arguments]) == 0
    written = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    # Slices, three files of truth and the gestures, for each visit.
    assert len(written) == 2 * (5 + 3 + 1)
    for path in written:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes(), path


def test_uids_are_valid_and_follow_the_content(tmp_path):
    one = write_dicom(build_phantom(TINY), tmp_path / "one")
    other = write_dicom(build_phantom(replace(TINY, seed=2)), tmp_path / "other")
    uids = [pydicom.dcmread(file).SOPInstanceUID for file in (*one, *other)]
    assert len(set(uids)) == 12
    assert all(uid.is_valid and uid.startswith("2.25.") for uid in uids)


def test_truth_files_lie_on_the_grid_of_the_ct(tmp_path, visit1):
    write_truth(visit1, tmp_path)
    truth = jsonio.loads((tmp_path / "truth.json").read_bytes())
    for name, array in (("anatomy", visit1.labels), ("lesions", visit1.lesion_labels)):
        image = SimpleITK.ReadImage(str(tmp_path / f"{name}.nrrd"))
        assert np.array_equal(SimpleITK.GetArrayFromImage(image), array)
        assert image.GetOrigin() == pytest.approx(visit1.grid.origin_lps_mm)
        assert image.GetSpacing() == pytest.approx(visit1.grid.spacing_mm)
    assert [float(one["volume_ml"]) for one in truth["lesions"]] == [
        4.2,
        3.0,
        1.5,
        1.1,
        13.5,
        5.4,
        4.6,
    ]
    for mark in truth["landmarks"]:
        assert mark["visit_1_lps_mm"] == mark["here_lps_mm"]


@pytest.mark.parametrize(("compression", "order"), [("jpeg", "normal"), ("none", "shuffled")])
def test_an_unknown_way_of_writing_is_refused(tmp_path, compression, order):
    with pytest.raises(CallError):
        write_dicom(build_phantom(replace(TINY, slices=1)), tmp_path, compression, order)


def test_the_sample_patient_is_small_and_whole():
    files = [path for path in SAMPLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 25_000_000
    for visit in (1, 2):
        truth = jsonio.loads((SAMPLE / "truth" / f"visit{visit}" / "truth.json").read_bytes())
        slices = sorted((SAMPLE / f"visit{visit}").glob("*.dcm"))
        assert len(slices) == truth["geometry"]["size"][2]
        first = pydicom.dcmread(slices[0], stop_before_pixels=True)
        origin = [float(value) for value in truth["geometry"]["origin_lps_mm"]]
        assert [float(value) for value in first.ImagePositionPatient] == pytest.approx(origin)
        assert len(truth["lesions"]) == 7


@pytest.mark.long
def test_the_sample_patient_is_written_anew_byte_for_byte(tmp_path):
    assert main(["--sample", "--out", str(tmp_path)]) == 0
    for path in tmp_path.rglob("*.*"):
        if path.is_file():
            assert path.read_bytes() == (SAMPLE / path.relative_to(tmp_path)).read_bytes(), path
