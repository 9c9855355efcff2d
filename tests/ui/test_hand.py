"""Boxes, scribbles and the ends of gestures on grids of any direction. No window."""

from __future__ import annotations

import math

import numpy as np
import pytest

from irplan.errors import CallError
from irplan.geometry import GridGeometry
from irplan.lesions.gestures import Box, Click, Diameter, Scribble
from ui import hand
from ui.planes import ViewName, planes_of

AXIAL, CORONAL, SAGITTAL = ViewName.AXIAL, ViewName.CORONAL, ViewName.SAGITTAL


def grid_turned(degrees: float = 0.0) -> GridGeometry:
    """60 × 60 × 30 voxels of 2 × 2 × 4 mm, nodded about the patient's left-right axis."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    direction = (1.0, 0.0, 0.0, 0.0, c, -s, 0.0, s, c)
    return GridGeometry((60, 60, 30), (2.0, 2.0, 4.0), (-60.0, -60.0, -60.0), direction)


@pytest.mark.parametrize("view", list(ViewName))
def test_a_box_in_one_slice_is_flat_across_it(view):
    plane = planes_of(grid_turned())[view]
    start, end = plane.to_lps(20, 10, 12), plane.to_lps(30, 18, 12)
    box = hand.box_between(start, end, plane)
    low = np.minimum(box.corner_lps_mm, box.opposite_lps_mm)
    high = np.maximum(box.corner_lps_mm, box.opposite_lps_mm)
    assert (low <= np.minimum(start, end) + 1e-9).all()
    assert (high >= np.maximum(start, end) - 1e-9).all()
    assert (high - low)[plane.normal_axis] == 0.0
    assert len(box.diameters) == 2
    assert hand.box_meets(box, plane, 12)
    assert not hand.box_meets(box, plane, 14)


def test_a_box_over_slices_reaches_their_outer_faces():
    plane = planes_of(grid_turned())[AXIAL]
    for first, last in ((10, 14), (14, 10)):
        box = hand.box_between(plane.to_lps(20, 20, first), plane.to_lps(30, 32, last), plane)
        sides = sorted(line.length_mm for line in box.diameters)
        assert sides == pytest.approx([20.0, 20.0, 24.0])  # 10 × 2, 5 slices × 4, 12 × 2
        shown = [number for number in range(30) if hand.box_meets(box, plane, number)]
        assert shown[0] in (9, 10)  # the outer face is shared with the neighbour
        assert shown[-1] in (14, 15)


def test_in_an_oblique_slice_nothing_is_drawn_across_it():
    plane = planes_of(grid_turned(12.0))[AXIAL]
    start, end = plane.to_lps(20, 10, 12), plane.to_lps(40, 50, 12)
    assert abs(start[2] - end[2]) > 10.0
    box = hand.box_between(start, end, plane)
    assert len(box.diameters) == 2
    assert box.corner_lps_mm[2] == box.opposite_lps_mm[2] == pytest.approx((start[2] + end[2]) / 2)


def test_a_slip_is_no_box():
    plane = planes_of(grid_turned())[AXIAL]
    start = plane.to_lps(20, 20, 12)
    for to in (start, plane.to_lps(20.4, 40, 12), plane.to_lps(40, 20.4, 12)):
        assert hand.box_between(start, to, plane) is None


def test_a_scribble_keeps_its_ends_and_stays_near_the_hand():
    rng = np.random.default_rng(3)
    points = [tuple(row) for row in np.cumsum(rng.normal(0, 0.4, (200, 3)), axis=0).tolist()]
    made = hand.scribble_through(points, inside=True)
    assert made.points_lps_mm[0] == points[0]
    assert made.points_lps_mm[-1] == points[-1]
    assert len(made.points_lps_mm) < len(points)
    kept = np.asarray(made.points_lps_mm)
    gaps = np.linalg.norm(np.asarray(points)[:, None] - kept[None], axis=2).min(axis=1)
    assert gaps.max() < hand.SCRIBBLE_STEP_MM
    assert hand.scribble_through(points[:1], inside=False) == Scribble((points[0],), False)


def test_every_end_in_the_slice_can_be_moved_and_no_other():
    plane = planes_of(grid_turned())[AXIAL]
    here, there = (0.0, 0.0, -12.0), (8.0, 0.0, -12.0)  # slice 12
    high = (8.0, 6.0, 8.0)  # slice 17
    gestures = (
        Click(here),
        Diameter(here, high),
        Scribble((here, (4.0, 1.0, -12.0), there), inside=False),
        Box((-4.0, -6.0, -20.0), (10.0, 12.0, -4.0)),
    )
    found = hand.handles_of(gestures, plane, 12)
    assert [one.number for one in found] == [0, 1, 2, 2, 3, 3, 3, 3]
    assert [one.number for one in hand.handles_of(gestures, plane, 17)] == [1]
    to = (1.0, 2.0, -12.0)
    assert found[0].moved(to) == Click(to)
    assert found[1].moved(to) == Diameter(to, high)
    assert found[3].moved(to).points_lps_mm == (here, (4.0, 1.0, -12.0), to)
    assert found[3].moved(to).inside is False
    corners = {one.point_lps_mm[:2] for one in found[4:]}
    assert corners == {(-4.0, -6.0), (10.0, -6.0), (10.0, 12.0), (-4.0, 12.0)}
    for one in found[4:]:
        moved = one.moved((30.0, 40.0, -12.0))
        ends = np.asarray([moved.corner_lps_mm, moved.opposite_lps_mm])
        assert (ends[:, 2] == (-20.0, -4.0)).all()  # the height is not touched
        x, y, _ = one.point_lps_mm
        assert set(ends[:, 0]) == {30.0, 6.0 - x}  # the sides across stay where they were
        assert set(ends[:, 1]) == {40.0, 6.0 - y}


def test_a_flat_box_is_pulled_apart_from_its_edge():
    planes = planes_of(grid_turned())
    box = Box((-10.0, -8.0, 0.0), (10.0, 8.0, 0.0))
    number = planes[CORONAL].slice_of((0.0, 0.0, 0.0))
    handle = hand.handles_of((box,), planes[CORONAL], number)[0]
    moved = handle.moved((-12.0, 0.0, 9.0))
    assert [round(line.length_mm) for line in moved.diameters] == [22, 16, 9]


def test_what_is_no_gesture_any_more_is_refused():
    plane = planes_of(grid_turned())[AXIAL]
    line = Diameter((0.0, 0.0, -12.0), (8.0, 0.0, -12.0))
    with pytest.raises(CallError):
        hand.handles_of((line,), plane, 12)[0].moved((7.9, 0.0, -12.0))
