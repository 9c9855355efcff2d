"""Where a path passes between two ribs: how far from each, and how far from the spine.

The intercostal artery runs below its rib, so a path passes over the lower rib and not under the
upper one (DIR 2012;18:221); near the spine the rib shields it less (Chest 2013;143:634). A point
of the path lies between two ribs where the nearest bone and the nearest bone on its other side
(more than 90° away, one of the two above the other) lie in directions more than 120° apart. Of
such a stretch the point counts where the gap is narrowest. No rib needs a number of its own: what
counts is the bone on either side.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from irplan.anatomy import Anatomy
from irplan.geometry import FloatArray, PointLps
from irplan.trajectory.exact import local_mm
from irplan.trajectory.position import HEAD

AnyArray = npt.NDArray[Any]

#: Structures that are ribs or go on from them, and those that may hold one.
RIBS = ("rib_*", "costal_cartilage*")
MAYBE_RIBS = ("bone*",)
SPINE = ("vertebra*", "spine*")

#: Two bones farther apart than this are no neighbouring ribs, mm.
WIDEST_MM = 40.0
#: Cosine of the least angle between the directions to the two ribs, seen from the path.
OPPOSITE = -0.5
#: Least share of the line from rib to rib that runs along the body: ribs lie above each other.
LEAST_RISE = 0.3
#: Two places between ribs nearer than this along the path are one.
APART_MM = 40.0
#: Step along the path and edge of the cells that the level is looked for with, mm.
STEP_MM = 1.5
CELL_MM = 3.0
#: The spinous process is the rearmost vertebra voxel within this distance along the body, mm.
SPINOUS_MM = 15.0

KNOWN, MAYBE = 1, 2


@dataclass(frozen=True)
class RibPassage:
    """One place where a path passes between two ribs.

    Attributes:
        level_mm: distance from the skin along the path.
        above_mm, below_mm: from the path's axis to the nearest voxel face of the upper and of
            the lower rib.
        spine_mm: distance from the spinous process in the axial plane; None where no vertebra
            is known nearby.
        known: whether both bones are known to be ribs.
    """

    level_mm: float
    above_mm: float
    below_mm: float
    spine_mm: float | None
    known: bool

    @property
    def share(self) -> float:
        """0 at the lower rib … 1 at the upper one."""
        gap = self.above_mm + self.below_mm
        return self.below_mm / gap if gap > 0 else 1.0


@dataclass(frozen=True)
class Ribs:
    """The ribs and the spine of an anatomy, ready to be asked.

    Attributes:
        kind: (labels + 1,) uint8: KNOWN for ribs, MAYBE for bone that may be one, 0 else.
        cells_local: (n, 3) middles of the cells that hold such a voxel, mm of the CT's frame.
        spinous_lps_mm: (m, 3) rearmost point of the vertebrae in every slice that has one.
        head_local: (3,) direction of the head in the CT's frame.
    """

    anatomy: Anatomy
    kind: npt.NDArray[np.uint8]
    cells_local: FloatArray
    spinous_lps_mm: FloatArray
    head_local: FloatArray

    @classmethod
    def of(cls, anatomy: Anatomy) -> Ribs:
        """The ribs and the spine of an anatomy."""
        count = max((one.label for one in anatomy.structures), default=0) + 1
        kind = np.zeros(count, dtype=np.uint8)
        spine = np.zeros(count, dtype=np.bool_)
        for one in anatomy.structures:
            if _fits(one.name, RIBS):
                kind[one.label] = KNOWN
            elif _fits(one.name, MAYBE_RIBS):
                kind[one.label] = MAYBE
            spine[one.label] = _fits(one.name, SPINE)
        grid = anatomy.grid
        spacing = np.asarray(grid.spacing_mm)
        cells = np.zeros((0, 3))
        if kind.any():
            factors = np.maximum(1, np.floor(CELL_MM / spacing[::-1] + 1e-6)).astype(np.int64)
            filled = _occupied(anatomy.labels, kind, factors)
            index = np.argwhere(filled)[:, ::-1]
            cells = (index + 0.5) * factors[::-1] * spacing
        rear = np.zeros((0, 3))
        if spine.any():
            back = np.ascontiguousarray(np.asarray((0.0, 1.0, 0.0)) @ grid.axes)
            found = _rearmost(anatomy.labels, spine, back * spacing)
            rear = np.asarray(grid.to_lps(found[found[:, 2] >= 0]))
        head = np.ascontiguousarray(np.asarray(HEAD) @ grid.axes)
        return cls(anatomy, kind, np.ascontiguousarray(cells), rear, head)

    @property
    def known(self) -> bool:
        """Whether any bone that is a rib, or may be one, is known."""
        return bool(self.kind.any())

    def passages(self, entry_lps_mm: PointLps, tip_lps_mm: PointLps) -> tuple[RibPassage, ...]:
        """The places where the path passes between two ribs, from the skin on."""
        if len(self.cells_local) == 0:
            return ()
        grid = self.anatomy.grid
        a, b = local_mm(np.stack([entry_lps_mm, tip_lps_mm]).astype(float), grid)
        found = rib_places(
            self.cells_local,
            self.anatomy.labels,
            self.kind,
            np.asarray(grid.spacing_mm),
            self.head_local,
            np.ascontiguousarray(a),
            np.ascontiguousarray(b),
        )
        depth = float(np.linalg.norm(b - a))
        start, tip = np.asarray(entry_lps_mm, dtype=float), np.asarray(tip_lps_mm, dtype=float)
        return tuple(
            RibPassage(
                float(level),
                float(above),
                float(below),
                self.spine_mm(start + (tip - start) * (level / depth)),
                bool(sure),
            )
            for level, above, below, sure in found
        )

    def spine_mm(self, point_lps_mm: FloatArray) -> float | None:
        """Distance of a point from the spinous process in the axial plane, or None."""
        rear = self.spinous_lps_mm
        near = rear[np.abs(rear[:, 2] - point_lps_mm[2]) <= SPINOUS_MM]
        if len(near) == 0:
            return None
        tip = near[np.argmax(near[:, 1])]
        return float(np.hypot(point_lps_mm[0] - tip[0], point_lps_mm[1] - tip[1]))


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name.lower(), pattern) for pattern in patterns)


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _occupied(labels: AnyArray, kind: AnyArray, factors: AnyArray) -> AnyArray:
    """Cells (z, y, x) of ``factors`` voxels that hold a voxel of a kind."""
    depth, height, width = labels.shape
    shape = (
        (depth + factors[0] - 1) // factors[0],
        (height + factors[1] - 1) // factors[1],
        (width + factors[2] - 1) // factors[2],
    )
    found = np.zeros(shape, dtype=np.bool_)
    for cell in numba.prange(shape[0]):
        for k in range(cell * factors[0], min(depth, (cell + 1) * factors[0])):
            for j in range(height):
                for i in range(width):
                    if kind[labels[k, j, i]] != 0:
                        found[cell, j // factors[1], i // factors[2]] = True
    return found


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _rearmost(labels: AnyArray, member: AnyArray, back: AnyArray) -> AnyArray:
    """Index (i, j, k) of the voxel of every slice that lies farthest back; k -1 where none."""
    depth, height, width = labels.shape
    found = np.full((depth, 3), -1.0)
    for k in numba.prange(depth):
        best = -np.inf
        for j in range(height):
            for i in range(width):
                if member[labels[k, j, i]]:
                    far = i * back[0] + j * back[1]
                    if far > best:
                        best = far
                        found[k, 0], found[k, 1], found[k, 2] = i, j, k
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _near_segment(cells: AnyArray, a: AnyArray, b: AnyArray, reach: float) -> AnyArray:
    """The cells within ``reach`` of the segment."""
    v = b - a
    vv = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
    keep = np.empty(cells.shape[0], dtype=np.int64)
    count = 0
    for n in range(cells.shape[0]):
        wx, wy, wz = cells[n, 0] - a[0], cells[n, 1] - a[1], cells[n, 2] - a[2]
        t = min(max((wx * v[0] + wy * v[1] + wz * v[2]) / vv, 0.0), 1.0)
        wx, wy, wz = wx - t * v[0], wy - t * v[1], wz - t * v[2]
        if wx * wx + wy * wy + wz * wz <= reach * reach:
            keep[count] = n
            count += 1
    return cells[keep[:count]]


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _gap_at(cells: AnyArray, head: AnyArray, p: AnyArray) -> tuple[float, float]:
    """Width of the gap between the bones on both sides of a point, by cells; infinite if none.

    Also the distance to the nearest cell.
    """
    nearest, best = -1, np.inf
    for n in range(cells.shape[0]):
        x, y, z = cells[n, 0] - p[0], cells[n, 1] - p[1], cells[n, 2] - p[2]
        squared = x * x + y * y + z * z
        if squared < best:
            nearest, best = n, squared
    first = np.sqrt(best)
    if nearest < 0 or best == 0.0 or first > 0.5 * WIDEST_MM:
        return np.inf, first
    u = cells[nearest] - p
    limit = (WIDEST_MM - first) ** 2
    found, cosine = np.inf, 0.0
    for n in range(cells.shape[0]):
        x, y, z = cells[n, 0] - p[0], cells[n, 1] - p[1], cells[n, 2] - p[2]
        squared = x * x + y * y + z * z
        if squared >= limit:
            continue
        along = x * u[0] + y * u[1] + z * u[2]
        if along > 0.0:
            continue
        wx, wy, wz = x - u[0], y - u[1], z - u[2]
        rise = abs(wx * head[0] + wy * head[1] + wz * head[2])
        if rise < LEAST_RISE * np.sqrt(wx * wx + wy * wy + wz * wz):
            continue
        limit = squared
        found = np.sqrt(squared)
        cosine = along / (first * found)
    return (first + found if cosine <= OPPOSITE else np.inf), first


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _exact_gap(
    labels: AnyArray, kind: AnyArray, spacing: AnyArray, head: AnyArray, p: AnyArray, reach: float
) -> tuple[float, float, bool]:
    """Distances (above, below) of a point to the voxel boxes on both sides, and if both are ribs.

    Below 0 where no pair is found.
    """
    depth, height, width = labels.shape
    k0, k1 = int(np.floor((p[2] - reach) / spacing[2])), int(np.floor((p[2] + reach) / spacing[2]))
    j0, j1 = int(np.floor((p[1] - reach) / spacing[1])), int(np.floor((p[1] + reach) / spacing[1]))
    i0, i1 = int(np.floor((p[0] - reach) / spacing[0])), int(np.floor((p[0] + reach) / spacing[0]))
    k0, j0, i0 = max(k0, 0), max(j0, 0), max(i0, 0)
    k1, j1, i1 = min(k1, depth - 1), min(j1, height - 1), min(i1, width - 1)
    ux, uy, uz = 0.0, 0.0, 0.0
    near, sure = np.inf, 0
    far, sure_far, fx, fy, fz = np.inf, 0, 0.0, 0.0, 0.0
    cosine = 0.0
    for turn in range(2):
        for k in range(k0, k1 + 1):
            z = min(max(p[2], k * spacing[2]), (k + 1) * spacing[2]) - p[2]
            for j in range(j0, j1 + 1):
                y = min(max(p[1], j * spacing[1]), (j + 1) * spacing[1]) - p[1]
                for i in range(i0, i1 + 1):
                    which = kind[labels[k, j, i]]
                    if which == 0:
                        continue
                    x = min(max(p[0], i * spacing[0]), (i + 1) * spacing[0]) - p[0]
                    squared = x * x + y * y + z * z
                    if turn == 0:
                        if squared < near:
                            near, sure, ux, uy, uz = squared, which, x, y, z
                        continue
                    if squared >= far:
                        continue
                    along = x * ux + y * uy + z * uz
                    if along > 0.0 or squared == 0.0:
                        continue
                    wx, wy, wz = x - ux, y - uy, z - uz
                    rise = abs(wx * head[0] + wy * head[1] + wz * head[2])
                    if rise < LEAST_RISE * np.sqrt(wx * wx + wy * wy + wz * wz):
                        continue
                    far, sure_far, fx, fy, fz = squared, which, x, y, z
                    cosine = along / np.sqrt(squared * near)
        if not np.isfinite(near) or near == 0.0:
            return -1.0, -1.0, False
    if not np.isfinite(far) or cosine > OPPOSITE:
        return -1.0, -1.0, False
    first, second = np.sqrt(near), np.sqrt(far)
    known = sure == KNOWN and sure_far == KNOWN
    up_first = ux * head[0] + uy * head[1] + uz * head[2]
    up_second = fx * head[0] + fy * head[1] + fz * head[2]
    if up_first >= up_second:
        return first, second, known
    return second, first, known


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def rib_places(
    cells: AnyArray,
    labels: AnyArray,
    kind: AnyArray,
    spacing: AnyArray,
    head: AnyArray,
    a: AnyArray,
    b: AnyArray,
) -> AnyArray:
    """Rows (mm from a, mm to the rib above, mm to the one below, 1 if both are ribs), rising.

    The arrays are those of :class:`Ribs`; a and b in the CT's frame, mm.
    """
    v = b - a
    depth = np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    near = _near_segment(cells, a, b, WIDEST_MM)
    count = int(depth / STEP_MM) + 1
    gaps = np.full(count, np.inf)
    if near.shape[0] > 1:
        n = 0
        while n < count:
            gaps[n], nearest = _gap_at(near, head, a + v * (n * STEP_MM / depth))
            # As far from every bone there is no gap for a while.
            n += max(1, int((nearest - 0.5 * WIDEST_MM) / STEP_MM))
    found = np.empty((count, 4))
    taken = 0
    while taken < 8:
        n = int(np.argmin(gaps))
        if not np.isfinite(gaps[n]):
            break
        level = n * STEP_MM
        p = a + v * (level / depth)
        slack = 2.0 * CELL_MM + 2.0 * np.sqrt(np.sum(spacing * spacing))
        above, below, known = _exact_gap(labels, kind, spacing, head, p, gaps[n] + slack)
        # The narrowest gap of this part of the path stands for it.
        reach = APART_MM if above >= 0.0 else 0.0
        for other in range(count):
            if abs(other - n) * STEP_MM <= reach:
                gaps[other] = np.inf
        if above >= 0.0:
            found[taken, 0], found[taken, 1], found[taken, 2] = level, above, below
            found[taken, 3] = 1.0 if known else 0.0
            taken += 1
    rows = found[:taken]
    return rows[np.argsort(rows[:, 0])]


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def shares_at_most(
    cells: AnyArray,
    labels: AnyArray,
    kind: AnyArray,
    spacing: AnyArray,
    head: AnyArray,
    a: AnyArray,
    b: AnyArray,
    most: float,
) -> AnyArray:
    """Whether segments (n, 3) pass between known ribs nowhere above the share ``most``, (n,)."""
    fine = np.ones(a.shape[0], dtype=np.bool_)
    for n in numba.prange(a.shape[0]):
        rows = rib_places(cells, labels, kind, spacing, head, a[n], b[n])
        for row in range(rows.shape[0]):
            if rows[row, 3] > 0.5 and rows[row, 2] > most * (rows[row, 1] + rows[row, 2]):
                fine[n] = False
    return fine
