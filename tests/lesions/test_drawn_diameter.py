"""A diameter that a person drew: what follows it, and what does not fit the mask."""

from __future__ import annotations

import math

import numpy as np
import pytest

from irplan.geometry import GridGeometry
from irplan.lesions.diameters import axial_diameters, perpendicular_of
from irplan.lesions.drawn import (
    short_axis_moved,
    with_diameter,
    with_diameter_3d,
    with_short_axis,
)
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.lesions.measurement import measure_lesion

from .volumes import AXES, ellipsoid_mask, grid_of, middle_of, painted_ct

HALF = (16.0, 9.0, 12.0)


def ellipsoid(axes: str = "supine", step: float = 0.8) -> tuple[GridGeometry, LesionMask]:
    grid = grid_of(axes, (60, 60, 60), (step, step, step))
    return grid, LesionMask.from_full(ellipsoid_mask(grid, middle_of(grid), HALF), grid)


def chord_across(across: np.ndarray) -> float:
    """Longest chord along ``across`` in a plane through the ellipsoid's middle, mm.

    An affine map takes the ellipsoid to a ball, where the longest of parallel chords is the one
    through the middle.
    """
    return 2.0 / float(np.linalg.norm(across / np.asarray(HALF)))


@pytest.mark.parametrize("axes", [name for name in AXES if name not in ("coronal", "oblique")])
@pytest.mark.parametrize("turn", [0.0, 30.0, 75.0])
def test_the_short_axis_is_across_the_drawn_line(axes: str, turn: float) -> None:
    grid, mask = ellipsoid(axes)
    along = np.array([math.cos(math.radians(turn)), math.sin(math.radians(turn)), 0.0])
    across = np.array([-along[1], along[0], 0.0])
    middle = middle_of(grid)
    found = perpendicular_of(mask, tuple(middle - 7 * along), tuple(middle + 7 * along))
    assert found is not None
    assert found.length_mm == pytest.approx(chord_across(across), abs=1.6)
    chord = np.subtract(*found.ends_lps_mm)
    assert abs(float(chord @ along)) < 1e-6 * np.linalg.norm(chord) + 1e-6
    # The chord lies in the slice of the line, half a voxel from it at most.
    assert np.all(np.abs(np.array(found.ends_lps_mm)[:, 2] - middle[2]) <= 0.41)


@pytest.mark.parametrize("tilt", [20.0, 45.0, 90.0])
def test_a_steep_line_has_its_perpendicular_in_its_own_plane(tilt: float) -> None:
    grid, mask = ellipsoid()
    rise = math.radians(tilt)
    along = np.array([0.0, math.cos(rise), math.sin(rise)])
    middle = middle_of(grid)
    found = perpendicular_of(mask, tuple(middle - 8 * along), tuple(middle + 8 * along))
    # The level direction across it is the patient's left-right axis.
    assert found.length_mm == pytest.approx(2 * HALF[0], abs=1.2)
    assert abs(float(np.subtract(*found.ends_lps_mm) @ along)) < 1e-6 * 32


@pytest.mark.parametrize("axes", ["supine", "flipped", "decubitus", "coronal"])
def test_the_measured_diameter_drawn_again_changes_nothing(axes: str) -> None:
    _, mask = ellipsoid(axes)
    measured = axial_diameters(mask)
    again = perpendicular_of(mask, *measured.longest.ends_lps_mm)
    assert again.length_mm == pytest.approx(measured.short.length_mm, abs=1e-6)


@pytest.mark.parametrize("hand", [False, True])
def test_the_short_axis_has_ends_that_can_be_drawn(hand: bool) -> None:
    lesion = measured_lesion()
    if hand:
        x, y, z = lesion.centroid_lps_mm
        lesion = with_diameter(lesion, (x - 12, y - 3, z), (x + 12, y + 3, z))
    short = np.subtract(*lesion.short_axis_ends_lps_mm)
    long = np.subtract(*lesion.longest_diameter_ends_lps_mm)
    assert np.linalg.norm(short) == pytest.approx(lesion.short_axis_mm)
    assert short @ long == pytest.approx(0.0, abs=1e-6)


def measured_lesion() -> Lesion:
    grid = grid_of(size=(60, 50, 40), spacing_mm=(1.0, 1.0, 1.5))
    centre = middle_of(grid)
    ct = painted_ct(grid, centre, HALF)
    mask = LesionMask.from_full(ellipsoid_mask(grid, centre, HALF), grid)
    return measure_lesion(Lesion("L1", 1, LesionSource.IMPORTED, mask=mask), ct, None)


def codes(lesion: Lesion) -> set[str]:
    return {one.code for one in lesion.findings}


def test_the_lesion_follows_the_line_and_keeps_what_is_the_masks() -> None:
    lesion = measured_lesion()
    x, y, z = lesion.centroid_lps_mm
    # The long axis of the ellipsoid, a little short: what is across it stays 18 mm.
    drawn = with_diameter(lesion, (x - 15, y, z), (x + 15, y, z))
    assert drawn.longest_diameter_mm == pytest.approx(30.0)
    assert drawn.short_axis_mm == pytest.approx(18.0, abs=1.1)
    assert (drawn.volume_ml, drawn.diameter_3d_mm) == (lesion.volume_ml, lesion.diameter_3d_mm)
    assert drawn.measured_diameter_mm == lesion.longest_diameter_mm
    assert codes(drawn) - codes(lesion) == {"diameter_drawn_by_hand"}


def test_a_line_across_the_long_axis_is_told_not_to_be_the_longest() -> None:
    lesion = measured_lesion()
    x, y, z = lesion.centroid_lps_mm
    drawn = with_diameter(lesion, (x, y - 9, z), (x, y + 9, z))
    assert drawn.short_axis_mm == pytest.approx(32.0, abs=1.1)
    assert "drawn_diameter_not_longest" in codes(drawn)
    # Drawn rightly again, the warning goes.
    assert "drawn_diameter_not_longest" not in codes(
        with_diameter(drawn, (x - 15, y, z), (x + 15, y, z))
    )


@pytest.mark.parametrize(("shift", "known"), [((0.0, 0.0, 40.0), False), ((30.0, 0.0, 0.0), True)])
def test_a_line_beside_the_mask_is_told(shift: tuple[float, float, float], known: bool) -> None:
    lesion = measured_lesion()
    start, end = (
        tuple(np.add(lesion.centroid_lps_mm, shift) + np.array([side, 0.0, 0.0]))
        for side in (-12.0, 12.0)
    )
    drawn = with_diameter(lesion, start, end)
    assert "drawn_diameter_off_mask" in codes(drawn)
    assert (drawn.short_axis_mm is not None) == known


def across(lesion: Lesion, half_mm: float, tilt_deg: float = 0.0, up_mm: float = 0.0):
    """A line through the middle of the longest diameter, so far from its perpendicular."""
    start, end = map(np.asarray, lesion.longest_diameter_ends_lps_mm)
    along = (end - start) / np.linalg.norm(end - start)
    square = np.array([-along[1], along[0], 0.0])
    tilt = math.radians(tilt_deg)
    way = math.cos(tilt) * square + math.sin(tilt) * along
    middle = (start + end) / 2 + np.array([0.0, 0.0, up_mm])
    return tuple((middle - half_mm * way).tolist()), tuple((middle + half_mm * way).tolist())


def test_a_short_axis_drawn_by_hand_stands_and_the_measured_one_is_kept() -> None:
    lesion = measured_lesion()
    drawn = with_short_axis(lesion, *across(lesion, 8.0))
    assert drawn.short_axis_mm == pytest.approx(16.0)
    assert drawn.measured_short_axis_mm == lesion.short_axis_mm
    assert drawn.measured_short_axis_ends_lps_mm == lesion.short_axis_ends_lps_mm
    assert drawn.longest_diameter_mm == lesion.longest_diameter_mm
    assert (drawn.short_axis_source, drawn.diameter_source) == ("edited", "measured")
    assert codes(drawn) - codes(lesion) == {"short_axis_drawn_by_hand"}


@pytest.mark.parametrize(
    ("half_mm", "tilt_deg", "up_mm", "code"),
    [
        (8.0, 14.0, 0.0, "drawn_short_axis_not_across"),
        (8.0, 6.0, 0.0, ""),
        (8.0, 0.0, 5.0, "drawn_short_axis_not_across"),
        (8.0, 0.0, 1.5, ""),
        (15.0, 0.0, 0.0, "drawn_short_axis_off_mask"),
        (17.0, 0.0, 0.0, "drawn_short_axis_longer"),
    ],
)
def test_a_short_axis_that_does_not_fit_is_told(half_mm, tilt_deg, up_mm, code) -> None:
    lesion = measured_lesion()
    drawn = with_short_axis(lesion, *across(lesion, half_mm, tilt_deg, up_mm))
    found = codes(drawn) - codes(lesion) - {"short_axis_drawn_by_hand"}
    assert (code in found) if code else not found


def test_a_diameter_in_3d_drawn_by_hand_stands_and_the_measured_one_is_kept() -> None:
    lesion = measured_lesion()
    assert lesion.diameter_3d_source == "measured"
    x, y, z = lesion.centroid_lps_mm
    drawn = with_diameter_3d(lesion, (x - 16, y, z - 6), (x + 16, y, z + 6))
    assert drawn.diameter_3d_mm == pytest.approx(math.sqrt(32.0**2 + 12.0**2))
    document, before = drawn.document(), lesion.document()
    assert document["diameter_3d_source"] == "edited"
    assert document["measured_diameter_3d_mm"] == before["diameter_3d_mm"]
    assert document["measured_diameter_3d_ends_lps_mm"] == before["diameter_3d_ends_lps_mm"]
    # Nothing else is another for it.
    assert {key for key in document if document[key] != before[key]} == {
        "diameter_3d_mm", "diameter_3d_ends_lps_mm", "diameter_3d_source", "findings",
    }  # fmt: skip
    assert codes(drawn) - codes(lesion) == {"diameter_3d_drawn_by_hand"}


@pytest.mark.parametrize(
    ("half_mm", "up_mm", "code"),
    [
        (20.5, 0.0, "drawn_diameter_3d_off_mask"),  # 4.5 mm beyond the ellipsoid's end at 16 mm
        (17.5, 0.0, ""),
        (15.0, 0.0, "drawn_diameter_3d_shorter"),
        (16.0, 9.0, "drawn_diameter_3d_off_mask"),
    ],
)
def test_a_diameter_in_3d_that_does_not_fit_is_told(half_mm, up_mm, code) -> None:
    lesion = measured_lesion()
    x, y, z = lesion.centroid_lps_mm
    drawn = with_diameter_3d(lesion, (x - half_mm, y, z - up_mm), (x + half_mm, y, z + up_mm))
    found = codes(drawn) - codes(lesion) - {"diameter_3d_drawn_by_hand"}
    assert found == ({code} if code else set())


def test_the_lines_in_any_order_are_the_same() -> None:
    lesion = measured_lesion()
    x, y, z = lesion.centroid_lps_mm
    longest = (x - 15, y - 2, z), (x + 15, y + 1, z)
    whole = (x - 14, y, z - 2), (x + 14, y, z + 2)
    short = across(lesion, 7.0, 3.0)
    one = with_diameter_3d(with_short_axis(with_diameter(lesion, *longest), *short), *whole)
    other = with_diameter(with_short_axis(with_diameter_3d(lesion, *whole), *short), *longest)
    assert one == other
    assert "drawn_diameter_3d_shorter" in codes(one)
    # The hand's short axis stays; the measured one follows the drawn diameter.
    assert one.short_axis_mm == pytest.approx(14.0)
    assert one.measured_short_axis_mm == with_diameter(lesion, *longest).short_axis_mm


def test_measuring_again_takes_all_back() -> None:
    lesion = measured_lesion()
    x, y, z = lesion.centroid_lps_mm
    drawn = with_short_axis(
        with_diameter(lesion, (x - 14, y, z), (x + 14, y, z)), *across(lesion, 7)
    )
    drawn = with_diameter_3d(drawn, (x - 14, y, z), (x + 14, y, z + 3))
    ct = painted_ct(lesion.mask.grid, middle_of(lesion.mask.grid), HALF)
    assert measure_lesion(drawn, ct, None) == lesion


@pytest.mark.parametrize("to", [(3.0, 12.0, 0.0), (-5.0, 4.0, 0.0), (0.0, 0.5, 0.0)])
def test_a_moved_end_keeps_the_short_axis_perpendicular(to) -> None:
    turn = math.radians(37.0)
    along = np.array([math.cos(turn), math.sin(turn), 0.0])
    square = np.array([-along[1], along[0], 0.0])
    longest = tuple(-20 * along), tuple(20 * along)
    put = tuple(to[0] * along + to[1] * square)
    moved, other = short_axis_moved(longest, put, tuple(-9.0 * square + 2.0 * along))
    assert moved == put
    assert np.subtract(moved, other) @ along == pytest.approx(0.0, abs=1e-9)
    assert np.asarray(other) @ square == pytest.approx(-9.0)
