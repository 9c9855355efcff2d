"""Whether body, needle and hand fit into the gantry's bore.

How high the table stands and where the middle of the bore lies is not known from a plan, and the
table can be set. So the question is: how wide must a bore be at least to hold the body beside the
needle, and the free end of the needle with the hand behind it? That is the smallest circle in the
axial plane around both.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from irplan.geometry import BoolArray, FloatArray, GridGeometry

AnyArray = npt.NDArray[Any]

#: The outline of a slice is kept as its farthest points in this many directions.
DIRECTIONS = 96


class Outlines:
    """The body's outline in every slice, as far as it was asked for."""

    def __init__(self, body: BoolArray, grid: GridGeometry) -> None:
        """Nothing is looked at yet."""
        self.body, self.grid = body, grid
        count = len(body)
        #: Which slices were asked for.
        self._known = np.zeros(count, dtype=np.bool_)
        #: (slices, directions, 2) LPS x, y in mm of a slice's farthest points; how far each lies
        #: (-inf in a slice without body), and its place among the corners of the slice.
        self._points = np.zeros((count, DIRECTIONS, 2))
        self._away_mm = np.full((count, DIRECTIONS), -np.inf)
        self._order = np.zeros((count, DIRECTIONS), dtype=np.int64)

    def bore_needed_mm(self, entry_lps_mm: FloatArray, end_lps_mm: FloatArray) -> float:
        """Diameter of the smallest circle around the body beside the needle and its free end.

        Args:
            entry_lps_mm: where the needle enters the skin.
            end_lps_mm: the end of what stands out of the skin, the hand included.

        The slices between the two are looked at; beyond the scan the last slice stands for them.
        """
        levels = self.grid.to_index(np.array([entry_lps_mm, end_lps_mm]))[:, 2]
        low, high = sorted(int(np.clip(np.rint(one), 0, len(self.body) - 1)) for one in levels)
        for level in range(low, high + 1):
            if not self._known[level]:
                self._look_at(level)
        ends = np.array([entry_lps_mm[:2], end_lps_mm[:2]])
        return float(
            _diameter_around(
                self._points[low : high + 1],
                self._away_mm[low : high + 1],
                self._order[low : high + 1],
                ends,
            )
        )

    def _look_at(self, level: int) -> None:
        """Find the farthest points of a slice."""
        rows, first, last = ends_of_rows(self.body[level])
        if rows.size:
            # The outer corners of the voxels at both ends of every row.
            corners = [
                np.stack([side + step, rows + edge, np.full(rows.size, level)], axis=1)
                for side, step in ((first, -0.5), (last, 0.5))
                for edge in (-0.5, 0.5)
            ]
            places = np.asarray(self.grid.to_lps(np.concatenate(corners).astype(float)))[:, :2]
            order, away = _farthest(np.ascontiguousarray(places), _TOWARDS)
            self._points[level], self._away_mm[level] = places[order], away
            self._order[level] = order
        # Last: two threads may ask for the same slice.
        self._known[level] = True


_ANGLES = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
_TOWARDS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _farthest(points: AnyArray, towards: AnyArray) -> tuple[AnyArray, AnyArray]:
    """The point (n, 2) that lies farthest in each direction (m, 2), and how far; ties go first."""
    best = np.zeros(towards.shape[0], dtype=np.int64)
    away = np.full(towards.shape[0], -np.inf)
    for direction in range(towards.shape[0]):
        x, y = towards[direction]
        for number in range(points.shape[0]):
            far = points[number, 0] * x + points[number, 1] * y
            if far > away[direction]:
                best[direction], away[direction] = number, far
    return best, away


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _diameter_around(points: AnyArray, away: AnyArray, order: AnyArray, ends: AnyArray) -> float:
    """Diameter of the smallest circle around some slices and two points (2, 2).

    ``points``, ``away``, ``order``: of every slice and direction, see :class:`Outlines`. Of all
    slices together only the farthest point in each direction counts.
    """
    level = np.full(points.shape[1], -1)
    key = np.full(points.shape[1], np.int64(-1))
    for direction in range(points.shape[1]):
        best = -np.inf
        for number in range(points.shape[0]):
            if away[number, direction] > best:
                best, level[direction] = away[number, direction], number
        if level[direction] >= 0:
            key[direction] = (np.int64(level[direction]) << 32) + order[level[direction], direction]
    # In the order of slices and corners, without doubles.
    held = np.empty((points.shape[1] + 2, 2))
    count, before = 0, np.int64(-1)
    for direction in np.argsort(key):
        if key[direction] > before:
            held[count] = points[level[direction], direction]
            count, before = count + 1, key[direction]
    held[count : count + 2] = ends
    return 2.0 * smallest_circle(held[: count + 2])[2]


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def ends_of_rows(plane: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
    """The rows of a plane (y, x) that hold a voxel, and the first and last such voxel of each."""
    height, width = plane.shape
    rows, first, last = (
        np.empty(height, dtype=np.int64),
        np.empty(height, dtype=np.int64),
        np.empty(height, dtype=np.int64),
    )
    count = 0
    for y in range(height):
        for x in range(width):
            if plane[y, x]:
                rows[count], first[count] = y, x
                x = width - 1
                while not plane[y, x]:
                    x -= 1
                last[count] = x
                count += 1
                break
    return rows[:count], first[:count], last[:count]


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def smallest_circle(points: AnyArray) -> tuple[float, float, float]:
    """Middle x, y and radius of the smallest circle around points (n, 2), n at least 1.

    Welzl's method without the shuffle: points are taken in their order, so the same points give
    the same circle.
    """
    count = points.shape[0]
    x, y, radius = points[0, 0], points[0, 1], 0.0
    for i in range(count):
        if _within(points[i], x, y, radius):
            continue
        x, y, radius = points[i, 0], points[i, 1], 0.0
        for j in range(i):
            if _within(points[j], x, y, radius):
                continue
            x = 0.5 * (points[i, 0] + points[j, 0])
            y = 0.5 * (points[i, 1] + points[j, 1])
            radius = np.hypot(points[i, 0] - x, points[i, 1] - y)
            for k in range(j):
                if not _within(points[k], x, y, radius):
                    x, y, radius = _through_three(points[i], points[j], points[k])
    return x, y, radius


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _within(point: AnyArray, x: float, y: float, radius: float) -> bool:
    inside: bool = np.hypot(point[0] - x, point[1] - y) <= radius + 1e-9
    return inside


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _through_three(a: AnyArray, b: AnyArray, c: AnyArray) -> tuple[float, float, float]:
    """The circle through three points; through the two farthest where they lie on a line."""
    bx, by, cx, cy = b[0] - a[0], b[1] - a[1], c[0] - a[0], c[1] - a[1]
    twice = 2.0 * (bx * cy - by * cx)
    if abs(twice) < 1e-9:
        best, x, y = -1.0, 0.0, 0.0
        for one, two in ((a, b), (a, c), (b, c)):
            length = np.hypot(one[0] - two[0], one[1] - two[1])
            if length > best:
                best, x, y = length, 0.5 * (one[0] + two[0]), 0.5 * (one[1] + two[1])
        return x, y, 0.5 * best
    bb, cc = bx * bx + by * by, cx * cx + cy * cy
    ux, uy = (cy * bb - by * cc) / twice, (bx * cc - cx * bb) / twice
    return a[0] + ux, a[1] + uy, np.hypot(ux, uy)
