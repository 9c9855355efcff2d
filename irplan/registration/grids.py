"""HU on coarse grids along the patient's axes, whatever the grid of the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.volume import CtVolume

FloatVolume = npt.NDArray[np.float32]

AIR_HU = -1000.0
#: Tissue counts in full between these; below, lung and air are pressed together, so that the
#: step from fat to muscle weighs as much as the step from lung to fat. Above, bone is cut off.
LOWEST_TISSUE_HU = -200.0
HIGHEST_HU = 400.0
AIR_SHARE = 0.25


@dataclass(frozen=True)
class Sheet:
    """HU on a regular grid.

    Attributes:
        values: float32 (z, y, x), pressed by :func:`pressed`; air outside the patient.
        body: bool (z, y, x), the patient.
        seen: bool (z, y, x), what lies in the scan.
        grid: LPS mm, along the patient's axes.
    """

    values: FloatVolume
    body: BoolArray
    seen: BoolArray
    grid: GridGeometry


def pressed(hu: npt.NDArray[np.floating]) -> FloatVolume:
    """HU with lung and air pressed together and dense bone cut off; rising everywhere else."""
    low = LOWEST_TISSUE_HU + AIR_SHARE * (np.maximum(hu, AIR_HU) - LOWEST_TISSUE_HU)
    values = np.where(hu < LOWEST_TISSUE_HU, low, np.minimum(hu, HIGHEST_HU))
    return np.asarray(values, dtype=np.float32)


def whole_sheet(volume: CtVolume, body: BoolArray, step_mm: float) -> Sheet:
    """The whole scan on an axis-aligned grid of ``step_mm``."""
    corners = volume.geometry.corners_lps_mm()
    return sheet(volume, body, corners.min(axis=0), corners.max(axis=0), step_mm)


def sheet(
    volume: CtVolume,
    body: BoolArray,
    low_lps_mm: FloatArray,
    high_lps_mm: FloatArray,
    step_mm: float,
) -> Sheet:
    """The part of the scan between two corners, LPS mm, on an axis-aligned grid of ``step_mm``.

    The HU are smoothed first where the step is larger than the voxels, so that nothing aliases.
    """
    low = np.asarray(low_lps_mm, dtype=float)
    count = np.maximum(np.floor((np.asarray(high_lps_mm) - low) / step_mm).astype(int) + 1, 4)
    width, height, depth = (int(number) for number in count)
    x, y, z = (float(value) for value in low)
    grid = GridGeometry((width, height, depth), (step_mm, step_mm, step_mm), (x, y, z))
    own = volume.geometry
    first, last = _needed(own, grid)
    box = tuple(slice(int(first[axis]), int(last[axis])) for axis in (2, 1, 0))
    hu = np.where(body[box], volume.hu[box], np.int16(AIR_HU)).astype(np.float32)
    inside = body[box].astype(np.float32)
    spacing = np.asarray(own.spacing_mm)
    sigma = 0.5 * np.sqrt(np.maximum(0.0, (step_mm / spacing) ** 2 - 1.0))
    if hu.size and sigma.max() > 0:
        hu = ndimage.gaussian_filter(hu, sigma[::-1], mode="nearest", truncate=3.0)
    affine, offset = _index_map(grid, own, first)
    shape = grid.shape_zyx
    if hu.size == 0:
        nothing = np.zeros(shape, dtype=bool)
        return Sheet(pressed(np.full(shape, AIR_HU)), nothing, nothing, grid)
    values = ndimage.affine_transform(
        hu, affine, offset, output_shape=shape, order=1, mode="nearest"
    )
    share = ndimage.affine_transform(
        inside, affine, offset, output_shape=shape, order=1, mode="constant", cval=0.0
    )
    seen = _within(grid, own)
    return Sheet(
        pressed(np.where(seen, values, AIR_HU)), np.asarray((share > 0.5) & seen), seen, grid
    )


def _needed(own: GridGeometry, grid: GridGeometry) -> tuple[FloatArray, FloatArray]:
    """First and last voxel (i, j, k) of the scan that the grid needs, with a margin."""
    index = own.to_index(grid.corners_lps_mm())
    size = np.asarray(own.size)
    reach = np.ceil(4.0 * max(grid.spacing_mm) / np.asarray(own.spacing_mm))
    first = np.clip(np.floor(index.min(axis=0)) - reach, 0, size)
    last = np.clip(np.ceil(index.max(axis=0)) + reach + 1, first, size)
    return first, last


def _index_map(
    grid: GridGeometry, own: GridGeometry, first: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Matrix and offset, in array order, from an index of ``grid`` to one of the scan's box."""
    zero = own.to_index(grid.to_lps((0, 0, 0))) - first
    steps = np.stack([own.to_index(grid.to_lps(unit)) - first - zero for unit in np.eye(3)], axis=1)
    return np.ascontiguousarray(steps[::-1, ::-1]), np.ascontiguousarray(zero[::-1])


def _within(grid: GridGeometry, own: GridGeometry) -> BoolArray:
    affine, offset = _index_map(grid, own, np.zeros(3))
    within = np.ones(grid.shape_zyx, dtype=bool)
    axes = [np.arange(number, dtype=float) for number in grid.shape_zyx]
    for axis in range(3):
        index = (
            offset[axis]
            + affine[axis, 0] * axes[0][:, None, None]
            + affine[axis, 1] * axes[1][None, :, None]
            + affine[axis, 2] * axes[2][None, None, :]
        )
        within &= (index >= -0.5) & (index <= own.shape_zyx[axis] - 0.5)
    return within
