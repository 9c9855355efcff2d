"""The geometry gate: what passes, where its voxels lie, and what is refused with which code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_writer import Change, image, marked, save, write_series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from irplan import dicom
from irplan.errors import InputRefused
from irplan.volume_io import load_volume


def codes(folder: Path) -> set[str]:
    return {finding.code for entry in dicom.scan(folder).series for finding in entry.findings}


def at(index: int, **values: object) -> Change:
    """Set attributes of one image only."""

    def change(ds: Dataset, number: int) -> None:
        if number == index:
            for name, value in values.items():
                setattr(ds, name, value)

    return change


def everywhere(**values: object) -> Change:
    def change(ds: Dataset, number: int) -> None:
        for name, value in values.items():
            setattr(ds, name, value)

    return change


def without(*names: str) -> Change:
    def change(ds: Dataset, number: int) -> None:
        for name in names:
            delattr(ds, name)

    return change


def raw_text(keyword: str, text: str, index: int | None = None) -> Change:
    """A decimal string that pydicom itself would refuse to write."""
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    def change(ds: Dataset, number: int) -> None:
        if index is None or number == index:
            tag = Tag(tag_for_keyword(keyword))  # type: ignore[arg-type]
            value = text.encode() + b" " * (len(text) % 2)
            ds._dict[tag] = RawDataElement(tag, "DS", len(value), value, 0, False, True)

    return change


def test_a_regular_series_is_read_voxel_by_voxel(tmp_path: Path) -> None:
    write_series(tmp_path)
    volume = load_volume(tmp_path)
    expected = np.stack([marked(index) - 1024 for index in range(5)])
    assert np.array_equal(volume.hu, expected)
    assert volume.geometry.size == (5, 6, 5)
    assert volume.geometry.spacing_mm == pytest.approx((0.7, 0.8, 2.0))
    assert volume.geometry.origin_lps_mm == pytest.approx((-10.0, -20.0, 0.0))
    assert volume.findings == ()
    assert not volume.hu.flags.writeable


def test_names_and_numbers_and_locations_do_not_decide_the_order(tmp_path: Path) -> None:
    heights = [8.0, 0.0, 6.0, 2.0, 4.0]

    def mislead(ds: Dataset, index: int) -> None:
        ds.InstanceNumber = 99 - index
        ds.SliceLocation = -1000.0 * index
        ds.SpacingBetweenSlices = 17.0

    write_series(tmp_path, heights, mislead)
    volume = load_volume(tmp_path)
    assert volume.geometry.spacing_mm[2] == pytest.approx(2.0)
    by_height = [marked(heights.index(height)) - 1024 for height in sorted(heights)]
    assert np.array_equal(volume.hu, np.stack(by_height))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    turn=st.integers(0, 2**32 - 1),
    spacing=st.tuples(*[st.floats(0.3, 3.0)] * 2, st.floats(0.5, 4.9)),
    count=st.integers(2, 7),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_voxel_of_any_orientation_lies_where_its_image_says(
    tmp_path_factory: pytest.TempPathFactory,
    turn: int,
    spacing: tuple[float, float, float],
    count: int,
    seed: int,
) -> None:
    """Oracle: DICOM's own equation, position + column × spacing × row direction + …, an image."""
    folder = tmp_path_factory.mktemp("turned")
    axes = Rotation.random(random_state=np.random.default_rng(turn)).as_matrix()
    row, column, normal = axes[:, 0], axes[:, 1], axes[:, 2]
    origin = np.array([12.0, -340.0, 77.0])
    order = np.random.default_rng(seed).permutation(count)
    places = {}
    for number, index in enumerate(order):
        position = origin + index * spacing[2] * normal
        ds = image(number, position, marked(number))
        ds.PatientPosition = ""
        ds.ImageOrientationPatient = [float(f"{value:.9f}") for value in (*row, *column)]
        ds.PixelSpacing = [spacing[1], spacing[0]]
        save(ds, folder / f"{number}")
        for j, i in np.ndindex(marked(number).shape):
            value = int(marked(number)[j, i]) - 1024
            places[value] = position + i * spacing[0] * row + j * spacing[1] * column
    volume = load_volume(folder)
    assert np.linalg.det(volume.geometry.axes) == pytest.approx(1.0)
    assert volume.hu.size == len(places)
    for k, j, i in np.ndindex(volume.hu.shape):
        lps = volume.geometry.to_lps((i, j, k))
        assert lps == pytest.approx(places[int(volume.hu[k, j, i])], abs=2e-3)


def sheared(tilt_deg: float, step_mm: float = 2.5) -> Callable[[Dataset, int], None]:
    """Slices tilted about the patient's left-right axis, the table moving along the long axis."""
    angle = np.radians(tilt_deg)

    def change(ds: Dataset, index: int) -> None:
        column = np.array([0.0, np.cos(angle), -np.sin(angle)])
        ds.ImageOrientationPatient = [1, 0, 0, *(float(f"{value:.8f}") for value in column)]
        ds.ImagePositionPatient = [-10.0, -20.0, index * step_mm]
        ds.PixelSpacing = [0.8, 0.7]
        rows, columns = 24, 8
        j, i = np.mgrid[:rows, :columns]
        points = (
            np.array([-10.0, -20.0, index * step_mm])
            + i[..., None] * 0.7 * np.array([1.0, 0, 0])
            + j[..., None] * 0.8 * column
        )
        ramp = np.rint(500 + points @ np.array([3.0, -10.0, 20.0])).astype(np.int16)
        ds.Rows, ds.Columns = rows, columns
        ds.PixelData = (ramp + 1024).astype("<i2").tobytes()

    return change


@pytest.mark.parametrize("tilt_deg", [-22.0, -6.0, 3.0, 18.5, 29.0])
def test_a_tilted_ramp_is_straightened_to_the_same_ramp(tmp_path: Path, tilt_deg: float) -> None:
    """A linear function of space survives linear resampling: its values are known everywhere."""
    write_series(tmp_path, [0.0] * 9, sheared(tilt_deg))
    volume = load_volume(tmp_path)
    assert "gantry_tilt" in {finding.code for finding in volume.findings}
    grid = volume.geometry
    assert grid.spacing_mm[2] == pytest.approx(2.5 * np.cos(np.radians(tilt_deg)), abs=1e-6)
    k, j, i = np.indices(volume.hu.shape)
    points = grid.to_lps(np.stack([i, j, k], axis=-1))
    expected = 500 + points @ np.array([3.0, -10.0, 20.0])
    covered = volume.hu != -1024
    # Two slices of 24 rows each are whole; a slice loses at most one row to the resampling.
    assert covered.sum() >= volume.hu.shape[0] * 23 * 8
    assert np.abs(volume.hu[covered] - expected[covered]).max() <= 1.01


def test_tilt_is_refused_where_its_correction_is_declined(tmp_path: Path) -> None:
    write_series(tmp_path, [0.0] * 9, sheared(12.0))
    with pytest.raises(InputRefused, match=r"gantry tilt of 12\.0") as refusal:
        load_volume(tmp_path, correct_tilt=False)
    assert refusal.value.code == "gantry_tilt"


def test_a_tilt_that_only_the_tag_names_is_not_believed(tmp_path: Path) -> None:
    write_series(tmp_path, change=everywhere(GantryDetectorTilt=15.0))
    volume = load_volume(tmp_path)
    assert volume.geometry.size == (5, 6, 5)
    assert {finding.code for finding in volume.findings} == {"tilt_tag_contradicts"}


def shifted_x(ds: Dataset, index: int) -> None:
    ds.ImagePositionPatient = [-10.0 + 0.5 * index, -20.0, 2.0 * index]


def crept_x(ds: Dataset, index: int) -> None:
    """0.03 mm a slice: too little for the direction of travel to tell, 1.2 mm in all."""
    ds.ImagePositionPatient = [-10.0 + 0.03 * index, -20.0, 2.0 * index]


def jumped_y(ds: Dataset, index: int) -> None:
    ds.ImagePositionPatient = [-10.0, -20.0 + (3.0 if index == 2 else 0.0), 2.0 * index]


def skewed_60(ds: Dataset, index: int) -> None:
    sheared(60.0)(ds, index)


def other_pixels(ds: Dataset, index: int) -> None:
    ds.ImagePositionPatient = [-10.0, -20.0, 2.0 * min(index, 3)]


REFUSED = {
    "missing slice": ([0, 2, 4, 8, 10], None, "missing_slices"),
    "two gaps": ([0, 2, 6, 8, 10, 14, 16], None, "missing_slices"),
    "gap in three slices": ([0, 2, 6], None, "missing_slices"),
    "spacing changes": ([0, 2, 4, 7, 10], None, "non_uniform_spacing"),
    "one slice off": ([0, 2, 4.3, 6, 8], None, "non_uniform_spacing"),
    "spacing drifts": ([0, 2, 4.1, 6.3, 8.6, 11], None, "non_uniform_spacing"),
    "duplicate, different": ([0, 2, 4, 6, 6], None, "duplicates_different"),
    "one position only": ([5, 5, 5], None, "duplicates_different"),
    "one slice": ([0], None, "too_few_slices"),
    "position absent": (range(4), without("ImagePositionPatient"), "geometry_absent"),
    "orientation absent": (range(4), without("ImageOrientationPatient"), "geometry_absent"),
    "spacing absent": (range(4), without("PixelSpacing"), "geometry_absent"),
    "spacing zero": (range(4), everywhere(PixelSpacing=[0.0, 0.7]), "spacing_not_positive"),
    "spacing negative": (range(4), everywhere(PixelSpacing=[0.7, -0.7]), "spacing_not_positive"),
    "spacing NaN": (range(4), raw_text("PixelSpacing", "NaN\\0.7"), "geometry_not_a_number"),
    "spacing infinite": (range(4), raw_text("PixelSpacing", "inf\\0.7"), "geometry_not_a_number"),
    "spacing one number": (range(4), raw_text("PixelSpacing", "0.7"), "geometry_not_a_number"),
    "spacing with commas": (
        range(4),
        raw_text("PixelSpacing", "0,7\\0,7"),
        "geometry_not_a_number",
    ),
    "spacing of metres": (range(4), everywhere(PixelSpacing=[700.0, 700.0]), "size_implausible"),
    "spacing changes in plane": (range(4), at(2, PixelSpacing=[0.8, 0.8]), "spacing_differs"),
    "slices farther apart than any scan": ([0, 100], None, "slices_too_far_apart"),
    "position NaN": (
        range(4),
        raw_text("ImagePositionPatient", "0\\0\\nan", 1),
        "geometry_not_a_number",
    ),
    "orientation with a control character": (
        range(4),
        raw_text("ImageOrientationPatient", "1\\0\\0\\0.\x1c\\1\\0", 1),
        "geometry_not_a_number",
    ),
    "position with a control character": (
        range(4),
        raw_text("ImagePositionPatient", "0.\x1d\\0\\2", 1),
        "geometry_not_a_number",
    ),
    "orientation zero": (
        range(4),
        everywhere(ImageOrientationPatient=[0, 0, 0, 0, 0, 0]),
        "orientation_not_orthonormal",
    ),
    "orientation skew": (
        range(4),
        everywhere(ImageOrientationPatient=[1, 0, 0, 0.5, 0.866, 0]),
        "orientation_not_orthonormal",
    ),
    "drift along the rows": (range(6), shifted_x, "slices_shifted"),
    "creep along the rows": (range(40), crept_x, "slices_shifted"),
    "one slice sideways": (range(6), jumped_y, "slices_shifted"),
    "beyond any tilt": (range(6), skewed_60, "tilt_too_large"),
    "another orientation inside": (
        [0, 2, 4, 6, 8],
        at(2, ImageOrientationPatient=[1, 0, 0, 0, 0, -1]),
        "missing_slices",
    ),
    "a broken orientation at the end": (
        [0, 2, 4, 6, 8],
        at(4, ImageOrientationPatient=[1, 0, 4, 0, 1, 0]),
        "orientation_not_orthonormal",
    ),
    "another size inside": (
        [0, 2, 4, 6, 8],
        at(2, Rows=3, Columns=10),
        "missing_slices",
    ),
    "another frame of reference inside": (
        [0, 2, 4, 6, 8],
        at(2, FrameOfReferenceUID="1.2.3.9"),
        "missing_slices",
    ),
    "patient changes": (range(4), at(1, PatientID="ID-2"), "patient_changes"),
    "patient's name changes": (range(4), at(1, PatientName="Roe^Ann"), "patient_changes"),
    "position changes": (range(4), at(1, PatientPosition="FFS"), "patient_position_changes"),
    "magnetic resonance": (range(4), everywhere(Modality="MR"), "wrong_modality"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trusted_is_listed_with_its_code_and_refused(
    tmp_path: Path, name: str
) -> None:
    heights, change, code = REFUSED[name]
    write_series(tmp_path, list(heights), change)
    assert code in codes(tmp_path)
    result = dicom.scan(tmp_path)
    assert sum(len(entry.headers) for entry in result.series) == len(list(heights))
    assert not result.usable
    with pytest.raises(InputRefused):
        load_volume(tmp_path)


def test_missing_slices_are_named_by_position(tmp_path: Path) -> None:
    write_series(tmp_path, [100.0, 102.5, 105.0, 112.5, 115.0])
    (entry,) = dicom.scan(tmp_path).series
    (message,) = [one.message for one in entry.findings if one.code == "missing_slices"]
    assert message.startswith("2 slices are missing")
    assert "107.50, 110.00" in message


def test_an_identical_copy_is_left_out_and_told(tmp_path: Path) -> None:
    write_series(tmp_path / "a")
    write_series(tmp_path / "b")
    volume = load_volume(tmp_path)
    assert volume.hu.shape == (5, 6, 5)
    assert {finding.code for finding in volume.findings} == {"duplicates_identical"}
    (entry,) = dicom.scan(tmp_path).series
    assert entry.document()["instances"] == 10


def test_positions_rounded_to_a_tenth_are_one_grid_and_told(tmp_path: Path) -> None:
    write_series(tmp_path, [round(1.25 * index, 1) for index in range(20)])
    volume = load_volume(tmp_path)
    assert volume.geometry.spacing_mm[2] == pytest.approx(1.25, abs=0.01)
    assert "positions_rounded" in {finding.code for finding in volume.findings}


def test_reversed_head_to_foot_rises_along_the_normal(tmp_path: Path) -> None:
    """Rows to the right, columns to the back: the normal points to the feet."""

    def turn(ds: Dataset, index: int) -> None:
        ds.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
        ds.PatientPosition = "FFS"

    write_series(tmp_path, change=turn)
    volume = load_volume(tmp_path)
    assert volume.geometry.orientation == "RPI"
    assert volume.geometry.origin_lps_mm[2] == pytest.approx(8.0)
    assert int(volume.hu[0, 0, 0]) == 4000 - 1024


NOTED = {
    "overlapping slices": (everywhere(SliceThickness=3.0), "slices_overlap"),
    "gaps between slices": (everywhere(SliceThickness=1.0), "unscanned_gaps"),
    "derived": (everywhere(ImageType=["DERIVED", "SECONDARY", "AXIAL"]), "derived_image"),
    "reformatted": (everywhere(ImageType=["DERIVED", "SECONDARY", "MPR"]), "reformatted"),
    "no patient id": (everywhere(PatientID=""), "patient_id_absent"),
    "no study": (without("StudyInstanceUID"), "study_uid_absent"),
    "no series": (without("SeriesInstanceUID"), "series_uid_absent"),
    "no instance": (without("SOPInstanceUID"), "instance_uid_absent"),
    "no frame": (without("FrameOfReferenceUID"), "frame_of_reference_absent"),
    "no patient position": (without("PatientPosition"), "patient_position_absent"),
    "odd patient position": (everywhere(PatientPosition="UP"), "patient_position_unknown"),
}


@pytest.mark.parametrize("name", NOTED)
def test_what_is_to_be_known_is_told_and_the_series_stays_usable(tmp_path: Path, name: str) -> None:
    change, code = NOTED[name]
    write_series(tmp_path, change=change)
    volume = load_volume(tmp_path)
    assert code in {finding.code for finding in volume.findings}


POSITIONS = [
    ("HFS", (1, 0, 0, 0, 1, 0), False),
    ("HFS", (-1, 0, 0, 0, -1, 0), True),
    ("HFS", (0, 1, 0, -1, 0, 0), True),
    ("HFP", (-1, 0, 0, 0, -1, 0), False),
    ("HFP", (1, 0, 0, 0, 1, 0), False),
    ("HFP", (0, -1, 0, 1, 0, 0), True),
    ("HFDL", (0, -1, 0, 1, 0, 0), False),
    ("HFDL", (0, 1, 0, -1, 0, 0), True),
    ("HFDR", (0, 1, 0, -1, 0, 0), False),
    ("FFS", (-1, 0, 0, 0, 1, 0), False),
    ("FFS", (1, 0, 0, 0, 1, 0), False),
    ("FFS", (1, 0, 0, 0, -1, 0), True),
    ("FFP", (1, 0, 0, 0, -1, 0), False),
    ("FFDL", (0, 1, 0, 1, 0, 0), False),
    ("FFDR", (0, -1, 0, -1, 0, 0), False),
    # Coronal images are turned on purpose.
    ("HFS", (1, 0, 0, 0, 0, -1), False),
]


@pytest.mark.parametrize(("position", "orientation", "contradicts"), POSITIONS)
def test_patient_position_is_compared_with_the_orientation(
    tmp_path: Path, position: str, orientation: tuple[float, ...], contradicts: bool
) -> None:
    normal = np.cross(orientation[:3], orientation[3:])

    def turn(ds: Dataset, index: int) -> None:
        ds.PatientPosition = position
        ds.ImageOrientationPatient = list(orientation)
        ds.ImagePositionPatient = list(map(float, 2.0 * index * normal))

    write_series(tmp_path, change=turn)
    (entry,) = dicom.scan(tmp_path).series
    assert entry.usable
    found = "position_contradicts_orientation" in {finding.code for finding in entry.findings}
    assert found is contradicts
