"""Masks made on another grid, laid onto the grid of the CT.

Where every voxel of the mask is a voxel of the CT (the same grid, also with axes flipped or
swapped, or a part of it) nothing changes but the order; otherwise the mask is sampled, the nearest
voxel deciding, and the caller says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from irplan.geometry import SAME_GRID_TOLERANCE_MM, BoolArray, GridGeometry
from irplan.lesions.lesion import LesionMask

LabelArray = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Placed:
    """One label of a mask on the CT grid.

    Attributes:
        label: its number in the file.
        mask: its voxels on the CT grid; ``None`` where none lies in the scan.
        source_ml: its volume on its own grid, mL.
        lost_ml: the part of that which lies outside the scan, mL (0 where sampled).
        exact: whether every voxel is one of the CT.
    """

    label: int
    mask: LesionMask | None
    source_ml: float
    lost_ml: float
    exact: bool


def place(labels: LabelArray, grid: GridGeometry, target: GridGeometry) -> Iterator[Placed]:
    """Every label above 0 of a label map, rising, on the grid ``target``.

    Args:
        labels: integer (z, y, x) on ``grid``.
        grid: the mask's own grid.
        target: the CT's grid.
    """
    for label in np.unique(labels):
        if label <= 0:
            continue
        yield place_one(labels == label, int(label), grid, target)


def place_one(mask: BoolArray, label: int, grid: GridGeometry, target: GridGeometry) -> Placed:
    """One mask on the grid ``target``; see :func:`place`."""
    index = np.argwhere(mask)[:, ::-1]
    source_ml = len(index) * grid.voxel_ml
    if len(index) == 0:
        return Placed(label, None, 0.0, 0.0, True)
    if shares_voxels(grid, target):
        there = np.rint(target.to_index(grid.to_lps(index))).astype(int)
        inside = np.all((there >= 0) & (there < np.asarray(target.size)), axis=1)
        lost_ml = float((~inside).sum()) * grid.voxel_ml
        return Placed(label, _from_indices(there[inside], target), source_ml, lost_ml, True)
    return Placed(label, _sampled(mask, grid, target), source_ml, 0.0, False)


def shares_voxels(grid: GridGeometry, target: GridGeometry) -> bool:
    """Whether every voxel of ``grid`` would be a voxel of an endless ``target``."""
    corners = grid.corners_lps_mm()
    index = target.to_index(corners)
    gap_mm = np.abs(index - np.rint(index)) * np.asarray(target.spacing_mm)
    if gap_mm.max() > SAME_GRID_TOLERANCE_MM:
        return False
    steps = target.axes.T @ grid.axes
    lengths = (steps * np.asarray(grid.spacing_mm)) / np.asarray(target.spacing_mm)[:, None]
    turned = np.rint(lengths)
    one_each = (np.abs(turned).sum(axis=0) == 1).all() and (np.abs(turned).sum(axis=1) == 1).all()
    return bool(one_each)


def _from_indices(index: npt.NDArray[np.integer], target: GridGeometry) -> LesionMask | None:
    """The mask of the voxels (n, 3) as (i, j, k)."""
    if len(index) == 0:
        return None
    start = index.min(axis=0)
    size = index.max(axis=0) - start + 1
    box = np.zeros(size[::-1], dtype=bool)
    i, j, k = (index - start).T
    box[k, j, i] = True
    return LesionMask(box, (int(start[0]), int(start[1]), int(start[2])), target)


def _sampled(mask: BoolArray, grid: GridGeometry, target: GridGeometry) -> LesionMask | None:
    """The CT voxels whose centre lies in a true voxel of the mask."""
    own = LesionMask.from_full(mask, grid)
    low_zyx = np.array([span.start for span in own.slices_zyx])
    high_zyx = np.array([span.stop for span in own.slices_zyx])
    faces = np.array(
        [
            [i, j, k]
            for i in (low_zyx[2] - 0.5, high_zyx[2] - 0.5)
            for j in (low_zyx[1] - 0.5, high_zyx[1] - 0.5)
            for k in (low_zyx[0] - 0.5, high_zyx[0] - 0.5)
        ]
    )
    there = target.to_index(grid.to_lps(faces))
    last = np.asarray(target.size) - 1
    start = np.clip(np.ceil(there.min(axis=0)).astype(int), 0, last + 1)
    stop = np.clip(np.floor(there.max(axis=0)).astype(int), -1, last) + 1
    if (stop <= start).any():
        return None
    k, j, i = np.meshgrid(*(np.arange(start[a], stop[a]) for a in (2, 1, 0)), indexing="ij")
    points = target.to_lps(np.stack([i, j, k], axis=-1))
    nearest = np.rint(grid.to_index(points)).astype(int)
    within = np.all((nearest >= 0) & (nearest < np.asarray(grid.size)), axis=-1)
    nearest = np.where(within[..., None], nearest, 0)
    hit = within & mask[nearest[..., 2], nearest[..., 1], nearest[..., 0]]
    index = np.argwhere(hit)[:, ::-1] + start
    return _from_indices(index, target)
