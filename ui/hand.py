"""What the hand draws in a slice as gestures of the core, and the ends it can move. Pure.

Boxes run along the patient's axes, as the core wants them; a slice may be oblique to these. What is
drawn in one slice has no extent across it: the box is flat, and its height unknown. A box that was
drawn over several slices reaches from the outer face of the first to that of the last.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from irplan.geometry import FloatArray, PointLps
from irplan.lesions.gestures import Box, Click, Diameter, Gesture, Scribble
from ui.planes import SlicePlane

#: A line, or a side of a box, shorter than this is a slip of the hand, mm.
SHORTEST_LINE_MM = 2.0
#: Points of a scribble closer to each other than this are one, mm.
SCRIBBLE_STEP_MM = 1.0


@dataclass(frozen=True)
class Handle:
    """An end of a gesture that can be taken hold of.

    Attributes:
        number: which gesture of the prompt.
        point_lps_mm: where it is.
        moved: the gesture with this end elsewhere, LPS mm; it raises CallError where that is no
            gesture any more.
    """

    number: int
    point_lps_mm: PointLps
    moved: Callable[[PointLps], Gesture]


def in_slice(points_lps_mm: Sequence[PointLps], plane: SlicePlane, number: int) -> bool:
    """Whether points lie in a slice."""
    near = np.abs(plane.offset_mm(points_lps_mm, number)) <= max(plane.thickness_mm / 2, 0.5) + 1e-6
    return bool(near.all())


def box_between(start: PointLps, end: PointLps, plane: SlicePlane) -> Box | None:
    """The box with these two corners, drawn in one slice or over several; None for a slip.

    Raises:
        CallError: it is no box.
    """
    first, last = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    axis = plane.normal_axis
    slices = plane.slice_of(first), plane.slice_of(last)
    if slices[0] == slices[1]:
        # In an oblique slice the corners differ along the normal, though nothing was drawn there.
        first[axis] = last[axis] = (first[axis] + last[axis]) / 2
    else:
        outward = math.copysign(plane.thickness_mm / 2, last[axis] - first[axis])
        first[axis] -= outward
        last[axis] += outward
    sides = [abs(last[one] - first[one]) for one in range(3) if one != axis]
    return None if min(sides) < SHORTEST_LINE_MM else Box(_point(first), _point(last))


def corners_in(box: Box, plane: SlicePlane) -> tuple[PointLps, ...]:
    """The four corners of a box as a view shows it, in order around it; LPS mm.

    They lie at the middle of the box across the view.
    """
    ends = np.asarray([box.corner_lps_mm, box.opposite_lps_mm])
    u, v = (axis for axis in range(3) if axis != plane.normal_axis)
    found = []
    for i, j in ((0, 0), (1, 0), (1, 1), (0, 1)):
        corner = ends.mean(axis=0)
        corner[u], corner[v] = ends[i, u], ends[j, v]
        found.append(_point(corner))
    return tuple(found)


def box_meets(box: Box, plane: SlicePlane, number: int) -> bool:
    """Whether a box reaches into a slice."""
    ends = np.asarray([box.corner_lps_mm, box.opposite_lps_mm])
    corners = [
        [ends[i, 0], ends[j, 1], ends[k, 2]] for i, j, k in itertools.product((0, 1), repeat=3)
    ]
    offsets = plane.offset_mm(corners, number)
    reach = plane.thickness_mm / 2 + 1e-6
    return bool(offsets.min() <= reach and offsets.max() >= -reach)


def scribble_through(points: Sequence[PointLps], inside: bool) -> Scribble:
    """The scribble of a drag, thinned to points that the core tells apart."""
    kept = [points[0]]
    for point in points[1:]:
        if math.dist(point, kept[-1]) >= SCRIBBLE_STEP_MM:
            kept.append(point)
    if len(points) > 1 and kept[-1] != points[-1]:
        kept.append(points[-1])
    return Scribble(tuple(kept), inside)


def length_mm(points: Sequence[PointLps]) -> float:
    """Length of a line through points, mm."""
    return sum(math.dist(one, other) for one, other in itertools.pairwise(points))


def handles_of(gestures: Sequence[Gesture], plane: SlicePlane, number: int) -> tuple[Handle, ...]:
    """The ends of gestures that can be moved in a slice."""
    found: list[Handle] = []
    for place, gesture in enumerate(gestures):
        if isinstance(gesture, Box):
            if box_meets(gesture, plane, number):
                found += _box_handles(place, gesture, plane)
        else:
            found += [
                one
                for one in _point_handles(place, gesture)
                if in_slice((one.point_lps_mm,), plane, number)
            ]
    return tuple(found)


def _point_handles(place: int, gesture: Click | Diameter | Scribble) -> list[Handle]:
    if isinstance(gesture, Click):
        return [Handle(place, gesture.point_lps_mm, lambda to: replace(gesture, point_lps_mm=to))]
    if isinstance(gesture, Diameter):
        return [
            Handle(place, gesture.start_lps_mm, lambda to: replace(gesture, start_lps_mm=to)),
            Handle(place, gesture.end_lps_mm, lambda to: replace(gesture, end_lps_mm=to)),
        ]
    points, inside = gesture.points_lps_mm, gesture.inside
    handles = [Handle(place, points[0], lambda to: Scribble((to, *points[1:]), inside))]
    if len(points) > 1:
        handles.append(Handle(place, points[-1], lambda to: Scribble((*points[:-1], to), inside)))
    return handles


def _box_handles(place: int, box: Box, plane: SlicePlane) -> list[Handle]:
    """The corners of a box in a view; one that moves takes its two sides with it.

    A flat box that is seen from its edge is a line: its ends are pulled apart into a box.
    """
    axes = tuple(axis for axis in range(3) if axis != plane.normal_axis)
    return [
        Handle(place, corner, partial(_box_moved, box, axes, sides))
        for corner, sides in zip(
            corners_in(box, plane), ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True
        )
    ]


def _box_moved(box: Box, axes: tuple[int, ...], sides: tuple[int, int], to: PointLps) -> Box:
    ends: FloatArray = np.asarray([box.corner_lps_mm, box.opposite_lps_mm], dtype=float)
    for axis, side in zip(axes, sides, strict=True):
        ends[side, axis] = to[axis]
    return Box(_point(ends[0]), _point(ends[1]))


def _point(values: FloatArray) -> PointLps:
    x, y, z = (float(value) for value in values)
    return x, y, z
