"""A coarser copy of the scan, on which shapes are told apart, and the way back to the voxels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.volume import HuArray

#: Edge of a coarse cell that is not exceeded where the voxels allow it, mm. Ribs and vessel walls
#: still show; a scan of 100 million voxels becomes one of 13 million.
CELL_MM = 2.0

FloatVolume = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CoarseScan:
    """The scan in blocks of voxels.

    Attributes:
        hu: the full scan, int16 (z, y, x).
        body: the patient on the full grid.
        grid: the full grid.
        factors: voxels of each axis (z, y, x) in one cell.
    """

    hu: HuArray
    body: BoolArray
    grid: GridGeometry
    factors: tuple[int, int, int]

    @classmethod
    def of(cls, hu: HuArray, body: BoolArray, grid: GridGeometry) -> CoarseScan:
        """The coarse copy of a scan."""
        z, y, x = (max(1, int(CELL_MM / step + 1e-6)) for step in grid.spacing_zyx_mm)
        return cls(hu, body, grid, (z, y, x))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Edges of a cell (z, y, x), mm."""
        z, y, x = (
            step * factor
            for step, factor in zip(self.grid.spacing_zyx_mm, self.factors, strict=True)
        )
        return z, y, x

    @property
    def cell_ml(self) -> float:
        """Volume of a cell, mL."""
        z, y, x = self.spacing
        return z * y * x / 1000.0

    @cached_property
    def mean(self) -> FloatVolume:
        """Mean HU of every cell."""
        return block_mean(self.hu, self.factors)

    @cached_property
    def smooth(self) -> FloatVolume:
        """Mean HU, smoothed by 1 mm: the noise of thin slices would break shapes apart."""
        smooth: FloatVolume = ndimage.gaussian_filter(
            self.mean, [1.0 / step for step in self.spacing]
        )
        return smooth

    @cached_property
    def inside(self) -> BoolArray:
        """The patient: cells of which at least half is body."""
        return np.asarray(block_mean(self.body, self.factors) >= 0.5)

    @cached_property
    def x_mm(self) -> FloatArray:
        """LPS x of every column of cells at the middle of the grid; rises to the patient's left."""
        _, rows, slices = self.grid.size
        index = np.zeros((self.inside.shape[2], 3))
        index[:, 0] = (np.arange(self.inside.shape[2]) + 0.5) * self.factors[2] - 0.5
        index[:, 1], index[:, 2] = rows / 2, slices / 2
        return np.asarray(self.grid.to_lps(index)[:, 0])

    @property
    def head_first_slice(self) -> bool:
        """Whether the first slice is the one nearest to the head."""
        return bool(self.grid.axes[2, 2] < 0)

    def to_voxels(self, cells: BoolArray) -> BoolArray:
        """A mask of cells as a mask of voxels."""
        full = cells
        for axis, factor in enumerate(self.factors):
            if factor > 1:
                full = np.repeat(full, factor, axis=axis)
        depth, height, width = self.grid.shape_zyx
        return np.ascontiguousarray(full[:depth, :height, :width])


def block_mean(array: npt.NDArray[np.generic], factors: tuple[int, int, int]) -> FloatVolume:
    """Mean over blocks; the last block of an axis may be smaller."""
    result = array
    for axis, factor in enumerate(factors):
        if factor > 1:
            starts = np.arange(0, result.shape[axis], factor)
            total = np.add.reduceat(result, starts, axis=axis, dtype=np.float32)
            sizes = np.diff(np.append(starts, result.shape[axis])).astype(np.float32)
            shape = [1, 1, 1]
            shape[axis] = len(sizes)
            result = total / sizes.reshape(shape)
    return np.asarray(result, dtype=np.float32)


def cell_voxels(scan: CoarseScan, cells: BoolArray) -> BoolArray:
    """Cells as voxels, within the body."""
    return scan.to_voxels(cells) & scan.body
