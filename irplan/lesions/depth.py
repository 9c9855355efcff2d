"""Depth: the shortest way from a lesion, or a point, to a voxel outside the body, face to face."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.lesions.lesion import LesionMask

#: Skin is looked for within these distances of a lesion before the whole scan is, mm.
DEPTH_REACHES_MM = (25.0, 70.0)
#: Edge of the blocks by which far voxels are passed over.
_BLOCK = 8


def depth_below_skin_mm(mask: LesionMask, body: BoolArray) -> float | None:
    """Shortest distance from the lesion to a voxel outside the body, face to face, mm.

    0 where the lesion touches or passes the skin; ``None`` where no voxel lies outside the body.
    The end of the scan is no skin.

    Args:
        mask: the lesion.
        body: bool (z, y, x) on the lesion's grid.
    """
    if not body[mask.slices_zyx][mask.voxels].all():
        return 0.0
    # Near skin is looked for near the lesion first: most lesions of this trial are superficial.
    for reach_mm in DEPTH_REACHES_MM:
        low, high = _box_around(mask, reach_mm)
        part = body[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
        depth_mm = _depth_within(mask, part, low)
        if depth_mm is not None and depth_mm <= reach_mm:
            return depth_mm
    return _depth_within(mask, body, np.zeros(3, dtype=np.int64))


def _box_around(
    mask: LesionMask, reach_mm: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First and one past the last voxel (i, j, k) of the lesion's box grown by ``reach_mm``."""
    margin = np.ceil(reach_mm / np.asarray(mask.grid.spacing_mm)).astype(np.int64) + 1
    start = np.asarray(mask.start)
    stop = start + np.asarray(mask.voxels.shape[::-1])
    return np.maximum(start - margin, 0), np.minimum(stop + margin, np.asarray(mask.grid.size))


def _depth_within(mask: LesionMask, body: BoolArray, first: npt.NDArray[np.int64]) -> float | None:
    """Distance to the nearest voxel outside ``body``, whose voxel (0, 0, 0) is ``first``."""
    spacing = np.asarray(mask.grid.spacing_mm)
    border = _border_voxels(mask.voxels) + np.asarray(mask.start) - first
    outside = _outside_near(border, body, spacing)
    if outside is None:
        return None
    return float(_nearest_faces(*_in_blocks(border), *_in_blocks(outside), spacing))


def _in_blocks(
    voxels: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Voxels (n, 3) sorted by blocks, and where each block begins, with n at the end."""
    keys = voxels // _BLOCK
    order = np.lexsort(keys.T)
    sorted_keys = keys[order]
    fresh = np.flatnonzero((np.diff(sorted_keys, axis=0) != 0).any(axis=1)) + 1
    starts = np.concatenate([[0], fresh, [len(voxels)]])
    return np.ascontiguousarray(voxels[order]), starts.astype(np.int64)


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _nearest_faces(
    ours: npt.NDArray[np.int64],
    our_starts: npt.NDArray[np.int64],
    others: npt.NDArray[np.int64],
    other_starts: npt.NDArray[np.int64],
    spacing: FloatArray,
) -> float:
    """Smallest distance in mm between faces of two sets of voxels: exact, by branch and bound.

    The boxes of two blocks bound the distance of all their voxels from below; pairs of blocks are
    looked at from the nearest on, until none can hold a smaller distance than the one found.
    """
    our_boxes, other_boxes = _boxes(ours, our_starts), _boxes(others, other_starts)
    bounds = np.empty(len(our_boxes) * len(other_boxes))
    for a in range(len(our_boxes)):
        for b in range(len(other_boxes)):
            total = 0.0
            for axis in range(3):
                apart = max(
                    our_boxes[a, 0, axis] - other_boxes[b, 1, axis],
                    other_boxes[b, 0, axis] - our_boxes[a, 1, axis],
                )
                total += (max(apart - 1, 0) * spacing[axis]) ** 2
            bounds[a * len(other_boxes) + b] = total
    best = np.inf
    for pair in np.argsort(bounds):
        if bounds[pair] >= best:
            break
        a, b = pair // len(other_boxes), pair % len(other_boxes)
        for i in range(our_starts[a], our_starts[a + 1]):
            for j in range(other_starts[b], other_starts[b + 1]):
                total = 0.0
                for axis in range(3):
                    total += (max(abs(ours[i, axis] - others[j, axis]) - 1, 0) * spacing[axis]) ** 2
                best = min(best, total)
    return float(np.sqrt(best))


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _boxes(voxels: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """First and last voxel along each axis of each block, (blocks, 2, 3)."""
    boxes = np.empty((len(starts) - 1, 2, 3), dtype=np.int64)
    for block in range(len(starts) - 1):
        for axis in range(3):
            boxes[block, 0, axis] = voxels[starts[block] : starts[block + 1], axis].min()
            boxes[block, 1, axis] = voxels[starts[block] : starts[block + 1], axis].max()
    return boxes


def _border_voxels(voxels: BoolArray) -> npt.NDArray[np.int64]:
    """Inside voxels with an outside neighbour across a face, (n, 3) as (i, j, k) in the box."""
    padded = np.pad(voxels, 1)
    core = padded.copy()
    for axis in range(3):
        core &= np.roll(padded, 1, axis=axis) & np.roll(padded, -1, axis=axis)
    index: npt.NDArray[np.int64] = np.argwhere(padded & ~core)[:, ::-1] - 1
    return index


def _outside_near(
    border: npt.NDArray[np.int64], body: BoolArray, spacing: FloatArray
) -> npt.NDArray[np.int64] | None:
    """Voxels (i, j, k) outside the body that may be nearest to the border, or ``None``.

    Only those that share a face with the body: a step from any other towards the border stays
    outside and comes no farther. Blocks that hold a voxel outside are ranked by their centre's
    distance; a block that is farther than the nearest by more than both their diagonals cannot
    hold the nearest voxel.
    """
    edge = _BLOCK
    starts = [np.arange(0, size, edge) for size in body.shape]
    full = body
    for axis, start in enumerate(starts):
        full = np.logical_and.reduceat(full, start, axis=axis)
    blocks = np.argwhere(~full)
    if blocks.size == 0:
        return None
    centres = (blocks[:, ::-1] + 0.5) * edge * spacing
    gaps, _ = cKDTree(border * spacing).query(centres)
    reach = float(np.linalg.norm(spacing * edge))
    near = blocks[gaps <= gaps.min() + 2.0 * reach]
    return _skin_in_blocks(body, near * edge, edge)[:, ::-1]


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _skin_in_blocks(
    body: BoolArray, corners: npt.NDArray[np.int64], edge: int
) -> npt.NDArray[np.int64]:
    """Voxels (z, y, x) of blocks that lie outside the body and share a face with it, (n, 3).

    Args:
        corners: (blocks, 3), first voxel of each block.
        edge: of a block, voxels.
    """
    depth, height, width = body.shape
    found = np.empty((0, 3), dtype=np.int64)
    count = 0
    for filling in (False, True):
        if filling:
            found = np.empty((count, 3), dtype=np.int64)
            count = 0
        for block in range(len(corners)):
            z0, y0, x0 = corners[block]
            for z in range(z0, min(z0 + edge, depth)):
                for y in range(y0, min(y0 + edge, height)):
                    for x in range(x0, min(x0 + edge, width)):
                        touches = not body[z, y, x] and (
                            (z > 0 and body[z - 1, y, x])
                            or (z + 1 < depth and body[z + 1, y, x])
                            or (y > 0 and body[z, y - 1, x])
                            or (y + 1 < height and body[z, y + 1, x])
                            or (x > 0 and body[z, y, x - 1])
                            or (x + 1 < width and body[z, y, x + 1])
                        )
                        if touches:
                            if filling:
                                found[count, 0], found[count, 1], found[count, 2] = z, y, x
                            count += 1
    return found


def depth_of_point_mm(
    point_lps_mm: npt.ArrayLike, grid: GridGeometry, body: BoolArray | None
) -> float | None:
    """Shortest distance from a point's voxel to one outside the body, mm; None where unknown."""
    if body is None:
        return None
    i, j, k = grid.nearest_index(point_lps_mm)
    if not (0 <= i < grid.size[0] and 0 <= j < grid.size[1] and 0 <= k < grid.size[2]):
        return None
    return depth_below_skin_mm(LesionMask(np.ones((1, 1, 1), dtype=bool), (i, j, k), grid), body)
