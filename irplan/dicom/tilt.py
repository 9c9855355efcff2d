"""Gantry tilt: tilted slices resampled into a straight volume."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from irplan.dicom.pixels import NOT_IMAGED_HU
from irplan.geometry import GridGeometry

HuArray = npt.NDArray[np.int16]


def straightened(volume: HuArray, shear_mm: tuple[float, float], grid: GridGeometry) -> HuArray:
    """Shift the rows of every slice onto the straight grid, linearly between two rows.

    Slice k lies ``k × shear_mm[1]`` further along the row index's direction than slice 0.
    Voxels of the straight grid that no slice covers read as -1024 HU.

    Args:
        volume: (z, y, x) as scanned.
        shear_mm: sideways step a slice; the first is 0, since gantries tilt about one axis.
        grid: the straight grid, whose rows begin where the first of all slices' rows begins.

    Returns:
        (z, y, x) on ``grid``.
    """
    slices, rows, _ = volume.shape
    out = np.full(grid.shape_zyx, NOT_IMAGED_HU, dtype=np.int16)
    step = shear_mm[1] / grid.spacing_mm[1]
    start = min(0.0, np.floor(step * (slices - 1) + 1e-6))
    for k in range(slices):
        # Row r of the straight grid lies at row r + start - k × step of slice k.
        source = np.arange(grid.size[1]) + start - k * step
        lower = np.floor(source + 1e-9).astype(int)
        share = np.clip(source - lower, 0.0, 1.0)
        share[share < 1e-6] = 0.0
        upper = np.where(share > 0, lower + 1, lower)
        covered = (lower >= 0) & (upper < rows)
        low, high = volume[k, lower[covered]], volume[k, upper[covered]]
        weight = share[covered][:, None].astype(np.float32)
        mixed = low + (high.astype(np.float32) - low) * weight
        out[k, covered] = np.rint(mixed).astype(np.int16)
    return out
