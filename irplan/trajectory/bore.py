"""Whether body, needle and hand fit into the gantry's bore.

How high the table stands and where the middle of the bore lies is not known from a plan, and the
table can be set. So the question is: how wide must a bore be at least to hold the body beside the
needle, and the free end of the needle with the hand behind it? That is the smallest circle in the
axial plane around both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from irplan.geometry import BoolArray, FloatArray, GridGeometry

AnyArray = npt.NDArray[Any]

#: The outline of a slice is kept as its farthest points in this many directions.
DIRECTIONS = 96


@dataclass(frozen=True)
class Outlines:
    """The body's outline in every slice, as far as it was asked for.

    Attributes:
        known: slice → its farthest points; none where no body is.
        joined: runs of slices (first, last) → (n, 2) LPS x, y in mm of their farthest points.
    """

    body: BoolArray
    grid: GridGeometry
    known: dict[int, Outline] = field(default_factory=dict)
    joined: dict[tuple[int, int], FloatArray] = field(default_factory=dict)

    def of_slice(self, level: int) -> FloatArray:
        """The outline of one slice, (n, 2)."""
        return self._of_slice(level).points

    def _of_slice(self, level: int) -> Outline:
        if level not in self.known:
            self.known[level] = _farthest(self._ends_of_rows(level))
        return self.known[level]

    def _ends_of_rows(self, level: int) -> FloatArray:
        """LPS x, y in mm of the outer corners of the voxels at both ends of every row, (n, 2)."""
        rows, first, last = ends_of_rows(self.body[level])
        if rows.size == 0:
            return np.zeros((0, 2))
        corners = [
            np.stack([side + step, rows + edge, np.full(rows.size, level)], axis=1)
            for side, step in ((first, -0.5), (last, 0.5))
            for edge in (-0.5, 0.5)
        ]
        return np.asarray(self.grid.to_lps(np.concatenate(corners).astype(float)))[:, :2]

    def bore_needed_mm(self, entry_lps_mm: FloatArray, end_lps_mm: FloatArray) -> float:
        """Diameter of the smallest circle around the body beside the needle and its free end.

        Args:
            entry_lps_mm: where the needle enters the skin.
            end_lps_mm: the end of what stands out of the skin, the hand included.

        The slices between the two are looked at; beyond the scan the last slice stands for them.
        """
        levels = self.grid.to_index(np.array([entry_lps_mm, end_lps_mm]))[:, 2]
        low, high = sorted(int(np.clip(np.rint(one), 0, len(self.body) - 1)) for one in levels)
        if (low, high) not in self.joined:
            self.joined[low, high] = _joined(
                [self._of_slice(level) for level in range(low, high + 1)]
            )
        points = np.concatenate([self.joined[low, high], [entry_lps_mm[:2], end_lps_mm[:2]]])
        return 2.0 * float(smallest_circle(np.ascontiguousarray(points))[2])


_ANGLES = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
_TOWARDS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])


@dataclass(frozen=True)
class Outline:
    """The points of an outline that lie farthest in each of the directions.

    Attributes:
        points: (n, 2), without doubles.
        which, away_mm: (directions,) the farthest point in each, and how far it lies.
    """

    points: FloatArray
    which: npt.NDArray[np.int64]
    away_mm: FloatArray


def _farthest(points: FloatArray) -> Outline:
    """The outline of points (n, 2)."""
    if len(points) == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return Outline(points, nothing, np.zeros(0))
    away = points @ _TOWARDS
    farthest = np.argmax(away, axis=0)
    kept, which = np.unique(farthest, return_inverse=True)
    return Outline(points[kept], which, away[farthest, np.arange(DIRECTIONS)])


def _joined(outlines: list[Outline]) -> FloatArray:
    """The points (n, 2) of several outlines that lie farthest in each of the directions."""
    some = [one for one in outlines if len(one.points)]
    if not some:
        return np.zeros((0, 2))
    starts = np.cumsum([0, *(len(one.points) for one in some[:-1])])
    best = np.argmax(np.stack([one.away_mm for one in some]), axis=0)
    which = starts[best] + np.stack([one.which for one in some])[best, np.arange(DIRECTIONS)]
    return np.asarray(np.concatenate([one.points for one in some])[np.unique(which)])


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
