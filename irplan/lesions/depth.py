"""Depth: the shortest way from a lesion, or a point, to a voxel outside the body, face to face."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.lesions.lesion import LesionMask

#: Skin is looked for within these distances of a lesion before the whole scan is, mm.
DEPTH_REACHES_MM = (25.0, 70.0)


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
    tree = cKDTree(outside * spacing)
    gaps, _ = tree.query(border * spacing)
    # Faces may be nearer than centres say by one voxel on both sides.
    border = border[gaps <= gaps.min() + 2.0 * float(np.linalg.norm(spacing))]
    count = min(8, len(outside))
    _, nearest = tree.query(border * spacing, k=count)
    steps = np.abs(outside[np.reshape(nearest, (len(border), count))] - border[:, None, :])
    faces = np.maximum(steps - 1, 0) * spacing
    return float(np.linalg.norm(faces, axis=-1).min())


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

    Blocks that hold such a voxel are ranked by their centre's distance; a block that is farther
    than the nearest by more than both their diagonals cannot hold the nearest voxel.
    """
    edge = 8
    starts = [np.arange(0, size, edge) for size in body.shape]
    hit = ~body
    for axis, start in enumerate(starts):
        hit = np.logical_or.reduceat(hit, start, axis=axis)
    blocks = np.argwhere(hit)
    if blocks.size == 0:
        return None
    centres = (blocks[:, ::-1] + 0.5) * edge * spacing
    gaps, _ = cKDTree(border * spacing).query(centres)
    reach = float(np.linalg.norm(spacing * edge))
    near = blocks[gaps <= gaps.min() + 2.0 * reach]
    found = []
    for block in near:
        corner = block * edge
        span = tuple(slice(first, first + edge) for first in corner)
        found.append(np.argwhere(~body[span]) + corner)
    return np.concatenate(found)[:, ::-1]


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
