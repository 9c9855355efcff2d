"""The search for gaps between ribs along a path, compiled.

Bone is held as cells of about 3 mm, and the cells in blocks, so that a point looks only at the bone
around it. The cells find where along the path the gap is narrowest; the widths that are told are
those to the voxels' faces. Ties go to the cell, and to the voxel, that comes first in (z, y, x), so
the answer does not depend on the blocks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from irplan.trajectory.blocks import Held, away_mm

AnyArray = npt.NDArray[Any]

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
#: Edge of a block of cells, as near as whole cells allow, mm.
BLOCK_MM = 12.0

KNOWN, MAYBE = 1, 2


class Cells(NamedTuple):
    """Cells of the CT that hold bone, sorted by block; mm of the CT's frame, x y z.

    Attributes:
        middle: (n, 3) middles.
        first: (n, 3) first voxel (i, j, k).
        rank: (n,) place in the order (z, y, x).
        start: (z, y, x + 1) of the blocks: number of a block's first cell; the next entry ends it.
        away: (z, y, x) no point of a block is nearer to a cell than this, mm.
        size: (3,) voxels of a cell (x, y, z).
        block: (3,) edges of a block, mm.
    """

    middle: AnyArray
    first: AnyArray
    rank: AnyArray
    start: AnyArray
    away: AnyArray
    size: AnyArray
    block: AnyArray


def cells_of_bone(labels: AnyArray, kind: AnyArray, spacing: AnyArray, held: Held) -> Cells:
    """The cells that hold a voxel of a kind.

    Args:
        labels: (z, y, x); kind: (labels + 1,), 0 for what is no bone; spacing: (x, y, z) mm.
        held: which labels lie in which block of the scan.
    """
    size = np.maximum(1, np.floor(CELL_MM / spacing + 1e-6)).astype(np.int64)
    cell = size * spacing
    in_block = np.maximum(1, np.round(BLOCK_MM / cell)).astype(np.int64)
    index = np.zeros((0, 3), dtype=np.int64)
    shape = -(-np.asarray(labels.shape[::-1]) // size)
    if kind.any():
        index = np.argwhere(
            occupied(labels, kind, size[::-1].copy(), held.holding(kind), held.size)
        )[:, ::-1]
    counts = -(-shape // in_block)
    block = index // in_block
    number = (block[:, 2] * counts[1] + block[:, 1]) * counts[0] + block[:, 0]
    order = np.argsort(number, kind="stable")
    counted = np.bincount(number, minlength=int(counts.prod())).reshape(counts[::-1])
    start = np.zeros((counts[2], counts[1], counts[0] + 1), dtype=np.int64)
    ends = np.cumsum(counted.ravel()).reshape(counted.shape)
    start[:, :, 1:] = ends
    start[:, :, 0] = ends[:, :, 0] - counted[:, :, 0]
    edge = np.asarray(in_block * cell, dtype=float)
    return Cells(
        np.ascontiguousarray((index[order] + 0.5) * cell),
        np.ascontiguousarray(index[order] * size),
        order.astype(np.int64),
        start,
        away_mm(counted > 0, edge),
        size,
        edge,
    )


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def occupied(
    labels: AnyArray, kind: AnyArray, factors: AnyArray, holding: AnyArray, size: AnyArray
) -> AnyArray:
    """Cells (z, y, x) of ``factors`` voxels that hold a voxel of a kind.

    Only blocks (z, y, x) of ``size`` voxels (x, y, z) that may be ``holding`` one are looked at.
    """
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
                row, line = found[cell, j // factors[1]], holding[k // size[2], j // size[1]]
                for block in range(line.size):
                    if not line[block]:
                        continue
                    for i in range(block * size[0], min(width, (block + 1) * size[0])):
                        if kind[labels[k, j, i]] != 0:
                            row[i // factors[2]] = True
    return found


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def rearmost(
    labels: AnyArray, member: AnyArray, back: AnyArray, holding: AnyArray, size: AnyArray
) -> AnyArray:
    """Index (i, j, k) of the voxel of every slice that lies farthest back; k -1 where none.

    ``holding``, ``size``: as in :func:`occupied`.
    """
    depth, height, width = labels.shape
    found = np.full((depth, 3), -1.0)
    for k in numba.prange(depth):
        best = -np.inf
        for j in range(height):
            line = holding[k // size[2], j // size[1]]
            for block in range(line.size):
                if not line[block]:
                    continue
                for i in range(block * size[0], min(width, (block + 1) * size[0])):
                    if member[labels[k, j, i]]:
                        far = i * back[0] + j * back[1]
                        if far > best:
                            best = far
                            found[k, 0], found[k, 1], found[k, 2] = i, j, k
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _blocks_around(cells: Cells, p: AnyArray, reach: float) -> tuple[AnyArray, AnyArray]:
    """First and last block (x, y, z) that may hold a cell within ``reach`` of a point."""
    low, high = np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    for axis in range(3):
        last = cells.away.shape[2 - axis] - 1
        low[axis] = max(0, int(np.floor((p[axis] - reach) / cells.block[axis])))
        high[axis] = min(last, int(np.floor((p[axis] + reach) / cells.block[axis])))
    return low, high


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _off(value: float, low: float, high: float) -> float:
    """Square of the distance of a value from the interval low … high."""
    if value < low:
        return (low - value) ** 2
    if value > high:
        return (value - high) ** 2
    return 0.0


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _nearest_cell(cells: Cells, p: AnyArray) -> tuple[int, float]:
    """The nearest cell within half of :data:`WIDEST_MM` and its squared distance; -1 for none."""
    found, best = -1, (0.5 * WIDEST_MM) ** 2
    low, high = _blocks_around(cells, p, 0.5 * WIDEST_MM)
    for bz in range(low[2], high[2] + 1):
        off_z = _off(p[2], bz * cells.block[2], (bz + 1) * cells.block[2])
        for by in range(low[1], high[1] + 1):
            off_y = _off(p[1], by * cells.block[1], (by + 1) * cells.block[1])
            if off_z + off_y > best:
                continue
            for bx in range(low[0], high[0] + 1):
                first, last = cells.start[bz, by, bx], cells.start[bz, by, bx + 1]
                if first == last:
                    continue
                off_x = _off(p[0], bx * cells.block[0], (bx + 1) * cells.block[0])
                if off_z + off_y + off_x > best:
                    continue
                for n in range(first, last):
                    x = cells.middle[n, 0] - p[0]
                    y = cells.middle[n, 1] - p[1]
                    z = cells.middle[n, 2] - p[2]
                    squared = x * x + y * y + z * z
                    tie = squared == best and (found < 0 or cells.rank[n] < cells.rank[found])
                    if squared < best or tie:
                        found, best = n, squared
    return found, best


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _gap_at(cells: Cells, head: AnyArray, p: AnyArray) -> tuple[float, float]:
    """Width of the gap between the bones on both sides of a point, by cells; infinite if none.

    Also a distance that no cell is nearer than.
    """
    home = np.empty(3, dtype=np.int64)
    for axis in range(3):
        last = cells.away.shape[2 - axis] - 1
        home[axis] = min(max(int(np.floor(p[axis] / cells.block[axis])), 0), last)
    away = float(cells.away[home[2], home[1], home[0]])
    if away > 0.5 * WIDEST_MM:
        return np.inf, away
    nearest, best = _nearest_cell(cells, p)
    if nearest < 0:
        return np.inf, 0.5 * WIDEST_MM
    first = np.sqrt(best)
    if best == 0.0:
        return np.inf, first
    ux, uy, uz = (
        cells.middle[nearest, 0] - p[0],
        cells.middle[nearest, 1] - p[1],
        cells.middle[nearest, 2] - p[2],
    )
    limit = (WIDEST_MM - first) ** 2
    found, cosine, other = np.inf, 0.0, -1
    low, high = _blocks_around(cells, p, WIDEST_MM - first)
    for bz in range(low[2], high[2] + 1):
        off_z = _off(p[2], bz * cells.block[2], (bz + 1) * cells.block[2])
        for by in range(low[1], high[1] + 1):
            off_y = _off(p[1], by * cells.block[1], (by + 1) * cells.block[1])
            if off_z + off_y > limit:
                continue
            for bx in range(low[0], high[0] + 1):
                begin, end = cells.start[bz, by, bx], cells.start[bz, by, bx + 1]
                if begin == end:
                    continue
                off_x = _off(p[0], bx * cells.block[0], (bx + 1) * cells.block[0])
                if off_z + off_y + off_x > limit:
                    continue
                for n in range(begin, end):
                    x = cells.middle[n, 0] - p[0]
                    y = cells.middle[n, 1] - p[1]
                    z = cells.middle[n, 2] - p[2]
                    squared = x * x + y * y + z * z
                    tie = squared == limit and other >= 0 and cells.rank[n] < cells.rank[other]
                    if squared >= limit and not tie:
                        continue
                    along = x * ux + y * uy + z * uz
                    if along > 0.0:
                        continue
                    wx, wy, wz = x - ux, y - uy, z - uz
                    rise = abs(wx * head[0] + wy * head[1] + wz * head[2])
                    if rise < LEAST_RISE * np.sqrt(wx * wx + wy * wy + wz * wz):
                        continue
                    limit, other = squared, n
                    found = np.sqrt(squared)
                    cosine = along / (first * found)
    return (first + found if cosine <= OPPOSITE else np.inf), first


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _exact_gap(
    cells: Cells,
    labels: AnyArray,
    kind: AnyArray,
    spacing: AnyArray,
    head: AnyArray,
    p: AnyArray,
    reach: float,
) -> tuple[float, float, bool]:
    """Distances (above, below) of a point to the voxel boxes on both sides, and if both are ribs.

    Below 0 where no pair is found.
    """
    size = labels.shape
    v0, v1 = np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    for axis in range(3):
        v0[axis] = max(0, int(np.floor((p[axis] - reach) / spacing[axis])))
        v1[axis] = min(size[2 - axis] - 1, int(np.floor((p[axis] + reach) / spacing[axis])))
    # The blocks of all these voxels: a corner of the box is farther off than the reach.
    low, high = np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    for axis in range(3):
        low[axis] = int(v0[axis] * spacing[axis] / cells.block[axis] + 1e-9)
        edge = int((v1[axis] + 0.5) * spacing[axis] / cells.block[axis])
        high[axis] = min(cells.away.shape[2 - axis] - 1, edge)
    ux, uy, uz = 0.0, 0.0, 0.0
    near, sure, near_at = np.inf, 0, -1
    far, sure_far, far_at, fx, fy, fz = np.inf, 0, -1, 0.0, 0.0, 0.0
    cosine = 0.0
    for turn in range(2):
        for bz in range(low[2], high[2] + 1):
            off_z = _off(p[2], bz * cells.block[2], (bz + 1) * cells.block[2])
            for by in range(low[1], high[1] + 1):
                off_y = _off(p[1], by * cells.block[1], (by + 1) * cells.block[1])
                for bx in range(low[0], high[0] + 1):
                    begin, end = cells.start[bz, by, bx], cells.start[bz, by, bx + 1]
                    if begin == end:
                        continue
                    off_x = _off(p[0], bx * cells.block[0], (bx + 1) * cells.block[0])
                    # A hair is added: a voxel's face and its block's may differ in the last digit.
                    if off_z + off_y + off_x > (near if turn == 0 else far) + 1e-6:
                        continue
                    for n in range(begin, end):
                        i0, j0, k0 = cells.first[n, 0], cells.first[n, 1], cells.first[n, 2]
                        i1 = min(i0 + cells.size[0] - 1, v1[0])
                        j1 = min(j0 + cells.size[1] - 1, v1[1])
                        k1 = min(k0 + cells.size[2] - 1, v1[2])
                        off = (
                            _off(p[0], i0 * spacing[0], (i1 + 1) * spacing[0])
                            + _off(p[1], j0 * spacing[1], (j1 + 1) * spacing[1])
                            + _off(p[2], k0 * spacing[2], (k1 + 1) * spacing[2])
                        )
                        if off > (near if turn == 0 else far) + 1e-6:
                            continue
                        for k in range(max(k0, v0[2]), k1 + 1):
                            z = min(max(p[2], k * spacing[2]), (k + 1) * spacing[2]) - p[2]
                            for j in range(max(j0, v0[1]), j1 + 1):
                                y = min(max(p[1], j * spacing[1]), (j + 1) * spacing[1]) - p[1]
                                for i in range(max(i0, v0[0]), i1 + 1):
                                    which = kind[labels[k, j, i]]
                                    if which == 0:
                                        continue
                                    x = min(max(p[0], i * spacing[0]), (i + 1) * spacing[0]) - p[0]
                                    squared = x * x + y * y + z * z
                                    at = (k * size[1] + j) * size[2] + i
                                    if turn == 0:
                                        if squared < near or (squared == near and at < near_at):
                                            near, sure, near_at = squared, which, at
                                            ux, uy, uz = x, y, z
                                        continue
                                    if squared > far or (squared == far and at >= far_at):
                                        continue
                                    along = x * ux + y * uy + z * uz
                                    if along > 0.0 or squared == 0.0:
                                        continue
                                    wx, wy, wz = x - ux, y - uy, z - uz
                                    rise = abs(wx * head[0] + wy * head[1] + wz * head[2])
                                    if rise < LEAST_RISE * np.sqrt(wx * wx + wy * wy + wz * wz):
                                        continue
                                    far, sure_far, far_at, fx, fy, fz = squared, which, at, x, y, z
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
    cells: Cells,
    labels: AnyArray,
    kind: AnyArray,
    spacing: AnyArray,
    head: AnyArray,
    a: AnyArray,
    b: AnyArray,
) -> AnyArray:
    """Rows (mm from a, mm to the rib above, mm to the one below, 1 if both are ribs), rising.

    ``kind`` and ``head`` are those of :class:`.Ribs`; a and b in the CT's frame, mm.
    """
    v = b - a
    depth = np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    count = int(depth / STEP_MM) + 1
    gaps = np.full(count, np.inf)
    n = 0
    while n < count and cells.middle.shape[0] > 1:
        gaps[n], nearest = _gap_at(cells, head, a + v * (n * STEP_MM / depth))
        # As far from every bone there is no gap for a while.
        n += max(1, int((nearest - 0.5 * WIDEST_MM) / STEP_MM))
    found = np.empty((8, 4))
    taken = 0
    while taken < 8:
        n = int(np.argmin(gaps))
        if not np.isfinite(gaps[n]):
            break
        level = n * STEP_MM
        p = a + v * (level / depth)
        slack = 2.0 * CELL_MM + 2.0 * np.sqrt(np.sum(spacing * spacing))
        above, below, known = _exact_gap(cells, labels, kind, spacing, head, p, gaps[n] + slack)
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
def worst_shares(
    cells: Cells,
    labels: AnyArray,
    kind: AnyArray,
    spacing: AnyArray,
    head: AnyArray,
    a: AnyArray,
    b: AnyArray,
) -> AnyArray:
    """The highest share (0 at the lower rib, 1 at the upper) of segments (n, 3) between known ribs.

    0 where a segment passes between none.
    """
    worst = np.zeros(a.shape[0])
    for n in numba.prange(a.shape[0]):
        rows = rib_places(cells, labels, kind, spacing, head, a[n], b[n])
        for row in range(rows.shape[0]):
            gap = rows[row, 1] + rows[row, 2]
            if rows[row, 3] > 0.5:
                worst[n] = max(worst[n], rows[row, 2] / gap if gap > 0.0 else 1.0)
    return worst
