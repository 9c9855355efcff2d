"""The exact reference: distances from a straight axis to voxel boxes, and what it passes through.

Everything here works in the grid's own frame in mm: voxel (i, j, k) fills the box from
(i·sx, j·sy, k·sz) to ((i+1)·sx, …). A rotation and a shift keep lengths, so these are patient
millimetres; :func:`local_mm` leads there. No path is proposed that has not passed this module.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from irplan.geometry import FloatArray, GridGeometry
from irplan.trajectory.blocks import LAST_BIT, Away, Held
from irplan.trajectory.stepping import holds, next_face, start_walk, step_over

AnyArray = npt.NDArray[Any]

#: Behind the skin the needle and the hand are looked for from here on, at every step, mm.
APPROACH_START_MM = 6.0
APPROACH_STEP_MM = 0.5
#: A shorter piece is what numbers are rounded by, mm.
HAIR_MM = 1e-6


def local_mm(points_lps_mm: npt.ArrayLike, grid: GridGeometry) -> FloatArray:
    """LPS mm (..., 3) → mm in the grid's frame (zero: outer corner of the first voxel)."""
    index = grid.to_index(points_lps_mm)
    local: FloatArray = (index + 0.5) * np.asarray(grid.spacing_mm)
    return local


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def segment_box_squared(
    ax: float,
    ay: float,
    az: float,
    bx: float,
    by: float,
    bz: float,
    lx: float,
    ly: float,
    lz: float,
    hx: float,
    hy: float,
    hz: float,
) -> float:
    """Squared distance of the segment a-b to the box l-h; 0 where they meet.

    The squared distance of a point that moves along the segment is convex with a piecewise linear
    derivative, whose pieces end where the point passes a face: the minimum is found exactly.
    """
    vx, vy, vz = bx - ax, by - ay, bz - az
    cuts = np.empty(8)
    count = 1
    cuts[0] = 0.0
    for axis in range(3):
        if axis == 0:
            start, move, low, high = ax, vx, lx, hx
        elif axis == 1:
            start, move, low, high = ay, vy, ly, hy
        else:
            start, move, low, high = az, vz, lz, hz
        if move != 0.0:
            for face in range(2):
                t = ((low if face == 0 else high) - start) / move
                if 0.0 < t < 1.0:
                    place = count
                    while cuts[place - 1] > t:
                        cuts[place] = cuts[place - 1]
                        place -= 1
                    cuts[place] = t
                    count += 1
    cuts[count] = 1.0
    count += 1
    t_before, slope_before = 0.0, 0.0
    best = 0.0
    for number in range(count):
        t = cuts[number]
        px, py, pz = ax + t * vx, ay + t * vy, az + t * vz
        ex = px - hx if px > hx else (px - lx if px < lx else 0.0)
        ey = py - hy if py > hy else (py - ly if py < ly else 0.0)
        ez = pz - hz if pz > hz else (pz - lz if pz < lz else 0.0)
        best = ex * ex + ey * ey + ez * ez
        slope = ex * vx + ey * vy + ez * vz
        if slope >= 0.0 or best == 0.0:
            if number == 0 or slope == 0.0 or best == 0.0:
                return best
            # The derivative goes from below zero to above within this piece, linearly.
            t = t_before + (t - t_before) * slope_before / (slope_before - slope)
            px, py, pz = ax + t * vx, ay + t * vy, az + t * vz
            ex = px - hx if px > hx else (px - lx if px < lx else 0.0)
            ey = py - hy if py > hy else (py - ly if py < ly else 0.0)
            ez = pz - hz if pz > hz else (pz - lz if pz < lz else 0.0)
            return ex * ex + ey * ey + ez * ez
        t_before, slope_before = t, slope
    return best


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _point_segment_squared(
    px: float,
    py: float,
    pz: float,
    a: AnyArray,
    v: AnyArray,
    vv: float,
) -> float:
    wx, wy, wz = px - a[0], py - a[1], pz - a[2]
    t = 0.0
    if vv > 0.0:
        t = (wx * v[0] + wy * v[1] + wz * v[2]) / vv
        t = min(max(t, 0.0), 1.0)
    dx, dy, dz = wx - t * v[0], wy - t * v[1], wz - t * v[2]
    squared: float = dx * dx + dy * dy + dz * dz
    return squared


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def nearest_by_label(
    labels: AnyArray,
    spacing: AnyArray,
    a: AnyArray,
    b: AnyArray,
    reach: AnyArray,
) -> AnyArray:
    """Distance in mm of the segment a-b (local mm) to the nearest voxel box of every label.

    ``labels`` (z, y, x); ``spacing`` (x, y, z); ``reach`` (labels + 1,): a label is looked for up
    to this distance, and its result is infinite where it lies farther; below 0 it is not looked
    for. Label 0 is never looked for.
    """
    best = _nothing_yet(spacing, reach)
    far = reach[1:].max() if reach.size > 1 else -1.0
    v = b - a
    depth, height, width = labels.shape
    k0, k1, whole = _part_near(a[2], b[2], spacing[2], far, depth, (0.0, 1.0))
    for k in range(k0, k1 + 1):
        j0, j1, layer = _lines_near(a, b, spacing, far, 2, k, height, whole)
        for j in range(j0, j1 + 1):
            i0, i1, _ = _lines_near(a, b, spacing, far, 1, j, width, layer)
            _take_nearer(labels, spacing, a, b, v, k, j, i0, i1 + 1, best)
    found: AnyArray = best[2]
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def nearest_in_blocks(
    labels: AnyArray,
    spacing: AnyArray,
    a: AnyArray,
    b: AnyArray,
    reach: AnyArray,
    held: Held,
) -> AnyArray:
    """The same as :func:`nearest_by_label`; ``held``: what each block of voxels holds.

    Blocks are passed over that hold no label of which a nearer voxel could lie there.
    """
    best = _nothing_yet(spacing, reach)
    far = reach[1:].max() if reach.size > 1 else -1.0
    size = held.size
    edge = size * spacing
    half = 0.5 * np.sqrt(edge[0] * edge[0] + edge[1] * edge[1] + edge[2] * edge[2])
    v = b - a
    vv = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
    depth, height, width = labels.shape
    layers, lines, columns = held.bits.shape
    k0, k1, whole = _part_near(a[2], b[2], edge[2], far, layers, (0.0, 1.0))
    for k in range(k0, k1 + 1):
        j0, j1, layer = _lines_near(a, b, edge, far, 2, k, lines, whole)
        for j in range(j0, j1 + 1):
            i0, i1, _ = _lines_near(a, b, edge, far, 1, j, columns, layer)
            for i in range(i0, i1 + 1):
                bits = held.bits[k, j, i]
                if bits == 0:
                    continue
                middle = _point_segment_squared(
                    (i + 0.5) * edge[0], (j + 0.5) * edge[1], (k + 0.5) * edge[2], a, v, vv
                )
                room = max(0.0, np.sqrt(middle) - half - HAIR_MM) ** 2
                if not _may_be_nearer(bits, room, best):
                    continue
                x, end = i * size[0], min((i + 1) * size[0], width)
                for z in range(k * size[2], min((k + 1) * size[2], depth)):
                    for y in range(j * size[1], min((j + 1) * size[1], height)):
                        _take_nearer(labels, spacing, a, b, v, z, y, x, end, best)
    found: AnyArray = best[2]
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _nothing_yet(spacing: AnyArray, reach: AnyArray) -> AnyArray:
    """What is known of every label (3, labels + 1) before any voxel was looked at.

    Rows: square of the least distance so far; square of the distance at which a voxel's middle may
    still be nearer, below 0 where nothing nearer is looked for; the least distance that was found.
    """
    half = 0.5 * np.sqrt(np.sum(spacing * spacing))
    best = np.full((3, reach.size), -1.0)
    best[2] = np.inf
    for label in range(1, reach.size):
        if reach[label] >= 0.0:
            # A hair more, so that a box at exactly the reach is found.
            best[0, label] = (reach[label] + 1e-9) ** 2
            best[1, label] = (reach[label] + 1e-9 + half) ** 2
    return best


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _part_near(
    start: float, end: float, step: float, far: float, count: int, shares: tuple[float, float]
) -> tuple[int, int, tuple[float, float]]:
    """First and last of ``count`` cells of an axis within ``far`` of the part start … end of it.

    None where ``far`` is below 0. ``shares`` is handed through.
    """
    if far < 0.0:
        return 0, -1, shares
    first = max(0, int(np.floor((min(start, end) - far) / step)))
    last = min(count - 1, int(np.floor((max(start, end) + far) / step)))
    return first, last, shares


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _lines_near(
    a: AnyArray,
    b: AnyArray,
    step: AnyArray,
    far: float,
    axis: int,
    cell: int,
    count: int,
    shares: tuple[float, float],
) -> tuple[int, int, tuple[float, float]]:
    """First and last cell of the axis before ``axis`` that matter within one cell of ``axis``.

    Only the part of the segment, within ``shares`` of it, that lies within ``far`` of the cell
    matters: it is returned too.
    """
    t0, t1 = shares
    move = b[axis] - a[axis]
    if move != 0.0:
        u0 = (cell * step[axis] - far - a[axis]) / move
        u1 = ((cell + 1) * step[axis] + far - a[axis]) / move
        t0, t1 = max(t0, min(u0, u1)), min(t1, max(u0, u1))
        if t0 > t1:
            return 0, -1, shares
    other = axis - 1
    span = b[other] - a[other]
    return _part_near(a[other] + t0 * span, a[other] + t1 * span, step[other], far, count, (t0, t1))


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _may_be_nearer(bits: int, room: float, best: AnyArray) -> bool:
    """Whether a label of a block may have a nearer voxel; ``room``: square of the least there."""
    for label in range(1, best.shape[1]):
        if best[1, label] >= room and (bits >> np.uint64(min(label, LAST_BIT))) & np.uint64(1):
            return True
    return False


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _take_nearer(
    labels: AnyArray,
    spacing: AnyArray,
    a: AnyArray,
    b: AnyArray,
    v: AnyArray,
    k: int,
    j: int,
    first: int,
    end: int,
    best: AnyArray,
) -> None:
    """Take the voxels first … end of one row into ``best`` (see :func:`_nothing_yet`).

    ``v``: from a to b.
    """
    sx, sy, sz = spacing[0], spacing[1], spacing[2]
    half = 0.5 * np.sqrt(sx * sx + sy * sy + sz * sz)
    vv = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
    for i in range(first, end):
        label = labels[k, j, i]
        if best[1, label] < 0.0:
            continue
        middle = _point_segment_squared((i + 0.5) * sx, (j + 0.5) * sy, (k + 0.5) * sz, a, v, vv)
        if middle > best[1, label]:
            continue
        squared = segment_box_squared(
            a[0], a[1], a[2], b[0], b[1], b[2],
            i * sx, j * sy, k * sz, (i + 1) * sx, (j + 1) * sy, (k + 1) * sz,
        )  # fmt: skip
        if squared <= best[0, label]:
            best[0, label], best[2, label] = squared, np.sqrt(squared)
            best[1, label] = (best[2, label] + half) ** 2 if squared > 0.0 else -1.0


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def walk(
    labels: AnyArray,
    body: AnyArray,
    spacing: AnyArray,
    a: AnyArray,
    b: AnyArray,
    count: int,
    is_lung: AnyArray,
    lung_side: AnyArray,
    side_start: AnyArray,
    merge_mm: float,
) -> tuple[AnyArray, float, int]:
    """What the segment a-b (local mm) passes through, voxel by voxel.

    Args:
        labels, body: (z, y, x); outside the grid nothing is labelled and there is no body.
        count: number of labels + 1.
        is_lung: (count,), whether a label is lung.
        lung_side, side_start: voxels on the lung's side of the pleura that its label does not hold
            (:class:`.pleura.LungSide`), a box (z, y, x), and its first voxel (i, j, k). They count
            as lung for the crossings: going from lung into them is none, going into them from the
            chest wall is one.
        merge_mm: a shorter piece without lung between two pieces of lung is a vessel in the lung.

    Returns:
        Length in mm inside every label (count,), length outside the body, pleural crossings.
    """
    lengths = np.zeros(count)
    outside = 0.0
    total = np.sqrt((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2 + (b[2] - a[2]) ** 2)
    state, index = start_walk(a, b, spacing)
    crossings = 0
    in_lung = False
    gap = 0.0
    t = 0.0
    while t < 1.0:
        axis = next_face(state)
        t_after = min(1.0, state[0, axis])
        piece = max(0.0, t_after - t) * total
        i, j, k = index[0], index[1], index[2]
        label = 0
        if holds(labels, i, j, k):
            label = labels[k, j, i]
            if not body[k, j, i]:
                outside += piece
        else:
            outside += piece
        lengths[label] += piece
        if piece > 0.0:
            i, j, k = i - side_start[0], j - side_start[1], k - side_start[2]
            if is_lung[label] or (holds(lung_side, i, j, k) and lung_side[k, j, i]):
                if not in_lung:
                    crossings += 1
                in_lung = True
                gap = 0.0
            elif in_lung:
                gap += piece
                if gap > merge_mm:
                    crossings += 1
                    in_lung = False
                    gap = 0.0
        t = t_after
        step_over(state, index, axis)
    if gap > HAIR_MM:
        # It ends outside the lung: no vessel, however short the piece.
        crossings += 1
    return lengths, outside, crossings


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def free_behind(
    body: AnyArray,
    spacing: AnyArray,
    a: AnyArray,
    direction: AnyArray,
    wanted: float,
    first: float,
    step: float,
    away: Away,
) -> float:
    """How far the line goes on outside the body behind its entry ``a`` (local mm), mm.

    Looked at from ``first`` on at every ``step``, up to ``wanted``; ``direction`` points inwards.
    Looks that the blocks ``away`` answer are passed over.
    """
    inside = holds(
        body,
        int(np.floor(a[0] / spacing[0])),
        int(np.floor(a[1] / spacing[1])),
        int(np.floor(a[2] / spacing[2])),
    )
    last = int((wanted - first) / step + 1e-9)
    n = 0
    while n <= last:
        distance = first + n * step
        if distance > wanted:
            break
        i = int(np.floor((a[0] - distance * direction[0]) / spacing[0]))
        j = int(np.floor((a[1] - distance * direction[1]) / spacing[1]))
        k = int(np.floor((a[2] - distance * direction[2]) / spacing[2]))
        n += 1
        if not holds(body, i, j, k):
            if inside:
                # A straight line that left the scan does not come back.
                break
            continue
        if body[k, j, i]:
            return distance
        free = away.mm[k // away.size[2], j // away.size[1], i // away.size[0]]
        if free > step:
            # All looks before that distance are free; further than the last one is nothing.
            n += int(min(free, wanted) / step) - 1
    return wanted
