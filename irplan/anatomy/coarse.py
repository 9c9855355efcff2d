"""A coarser copy of the scan, on which shapes are told apart, and the way back to the voxels.

Whatever the order and sense of the scan's axes, cells lie so that the first index rises to the
head, the second to the back and the third to the patient's left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from irplan.balls import by_slabs
from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.smoothing import gaussian
from irplan.volume import HuArray

#: Edge of a coarse cell that is not exceeded where the voxels allow it, mm. Ribs and vessel walls
#: still show; a scan of 100 million voxels becomes one of 13 million.
CELL_MM = 2.0
#: Cells kept around the patient on each side.
ROOM = 3

FloatVolume = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Orientation:
    """The order and sense of a scan's array axes that bring it to (head, back, left).

    Attributes:
        order: array axis that becomes the first, second and third.
        flips: whether it is then read backwards.
    """

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @classmethod
    def of(cls, grid: GridGeometry) -> Orientation:
        """The orientation nearest to a grid's axes, oblique ones included."""
        # Row: LPS z, y, x (towards head, back, left); column: array axis 0, 1, 2.
        parts = grid.axes[::-1, ::-1]
        orders: tuple[tuple[int, int, int], ...] = tuple(permutations((0, 1, 2)))  # type: ignore[arg-type]
        best = max(orders, key=lambda order: sum(abs(parts[i, a]) for i, a in enumerate(order)))
        first, second, third = (bool(parts[i, a] < 0) for i, a in enumerate(best))
        return cls(best, (first, second, third))

    def view(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The array as (head, back, left); no copy."""
        steps = tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)
        return array.transpose(self.order)[steps]


@dataclass(frozen=True)
class CoarseScan:
    """The scan in blocks of voxels, cut to the patient's sides.

    Attributes:
        hu: the full scan, int16, as (head, back, left).
        body: the patient on the same grid.
        spacing_voxel: of the voxels (head, back, left), mm.
        factors: voxels of each axis in one cell.
        start, shape: the first cell of each axis that is kept, and how many are.
        orientation: how ``hu`` was turned.
    """

    hu: HuArray
    body: BoolArray
    spacing_voxel: tuple[float, float, float]
    factors: tuple[int, int, int]
    start: tuple[int, int, int]
    shape: tuple[int, int, int]
    orientation: Orientation

    @classmethod
    def of(cls, hu: HuArray, body: BoolArray, grid: GridGeometry) -> CoarseScan:
        """The coarse copy of a scan; ``hu`` and ``body`` as (z, y, x) on ``grid``."""
        turned = Orientation.of(grid)
        a, b, c = (grid.spacing_zyx_mm[axis] for axis in turned.order)
        spacing = (a, b, c)
        i, j, k = (max(1, int(CELL_MM / step + 1e-6)) for step in spacing)
        factors = (i, j, k)
        inside = turned.view(body)
        flat = np.asarray(np.any(inside, axis=0))
        sides = [(0, -(-inside.shape[0] // factors[0]))]
        for axis, along in ((1, 1), (2, 0)):
            hits = np.flatnonzero(np.any(flat, axis=along))
            cells = -(-inside.shape[axis] // factors[axis])
            if hits.size:
                low = max(0, int(hits[0]) // factors[axis] - ROOM)
                high = min(cells, int(hits[-1]) // factors[axis] + 1 + ROOM)
                sides.append((low, high))
            else:
                sides.append((0, cells))
        (z0, z1), (y0, y1), (x0, x1) = sides
        shape = (z1 - z0, y1 - y0, x1 - x0)
        return cls(turned.view(hu), inside, spacing, factors, (z0, y0, x0), shape, turned)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Edges of a cell, mm."""
        z, y, x = (
            step * factor for step, factor in zip(self.spacing_voxel, self.factors, strict=True)
        )
        return z, y, x

    @property
    def cell_ml(self) -> float:
        """Volume of a cell, mL."""
        z, y, x = self.spacing
        return z * y * x / 1000.0

    @cached_property
    def _blocks(self) -> tuple[FloatVolume, BoolArray]:
        means = np.empty(self.shape, dtype=np.float32)
        inside = np.empty(self.shape, dtype=np.bool_)
        places = np.array((self.factors, self.start), dtype=np.int64)

        def take(low: int, high: int) -> None:
            _block_means(self.hu, self.body, places, means, inside, low, high)

        by_slabs(take, 0, self.shape[0])
        return means, inside

    @property
    def mean(self) -> FloatVolume:
        """Mean HU of every cell."""
        return self._blocks[0]

    @property
    def inside(self) -> BoolArray:
        """The patient: cells of which at least half is body."""
        return self._blocks[1]

    @cached_property
    def smooth(self) -> FloatVolume:
        """Mean HU, smoothed by 1 mm: the noise of thin slices would break shapes apart."""
        return gaussian(self.mean, [1.0 / step for step in self.spacing], truncate=3.0)

    @cached_property
    def even(self) -> FloatVolume:
        """Mean HU, smoothed by 2.5 mm: organs are told apart by it."""
        return gaussian(self.mean, [2.5 / step for step in self.spacing], truncate=2.5)

    @property
    def none(self) -> BoolArray:
        """An empty mask of cells."""
        return np.zeros(self.shape, dtype=bool)

    @cached_property
    def z_mm(self) -> FloatArray:
        """Height of every layer of cells above the lowest voxel of the scan, rising to the head."""
        return self._along(0)

    @cached_property
    def y_mm(self) -> FloatArray:
        """Place of every row of cells behind the first row of the scan, rising to the back."""
        return self._along(1)

    @cached_property
    def x_mm(self) -> FloatArray:
        """Place of every column of cells, rising to the patient's left."""
        return self._along(2)

    def _along(self, axis: int) -> FloatArray:
        index = np.arange(self.shape[axis]) + self.start[axis] + 0.5
        return np.asarray(index * self.spacing[axis])

    def cells(self, length_mm: float, axis: int) -> int:
        """How many cells of an axis make at least a length."""
        return int(np.ceil(length_mm / self.spacing[axis]))


@dataclass(frozen=True)
class VoxelRule:
    """How a mask of cells becomes voxels.

    A voxel belongs to the structure where its cell is in ``core``, or where its cell is in
    ``near`` and its HU lies below (``above`` is False) or above the limit.
    """

    core: BoolArray
    near: BoolArray | None = None
    limit_hu: int = 0
    above: bool = True

    def paint(self, scan: CoarseScan, labels: npt.NDArray[Any], value: int) -> None:
        """Write ``value`` to the structure's voxels within the body.

        Args:
            scan: the scan of the cells.
            labels: (head, back, left), of the shape of ``scan.hu``, written in place.
            value: the label.
        """
        hull = self.core if self.near is None else self.core | self.near
        sides = []
        for axis, size in enumerate(labels.shape):
            hits = np.flatnonzero(hull.any(axis=tuple(a for a in range(3) if a != axis)))
            if hits.size == 0:
                return
            low = (int(hits[0]) + scan.start[axis]) * scan.factors[axis]
            high = (int(hits[-1]) + 1 + scan.start[axis]) * scan.factors[axis]
            sides.append((low, min(high, size)))
        near = self.core if self.near is None else self.near
        mode = 0 if self.near is None else (1 if self.above else -1)
        bounds = np.array(sides, dtype=np.int64)
        places = np.array((scan.factors, scan.start), dtype=np.int64)
        limit = self.limit_hu

        def paint(low: int, high: int) -> None:
            _paint(
                labels, scan.hu, scan.body, self.core, near, places, bounds, mode, limit, value,
                low, high,
            )  # fmt: skip

        by_slabs(paint, int(bounds[0, 0]), int(bounds[0, 1]))


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _paint(
    labels: Any,
    hu: Any,
    body: Any,
    core: Any,
    near: Any,
    places: Any,
    bounds: Any,
    mode: int,
    limit: int,
    value: int,
    low: int,
    high: int,
) -> None:
    for z in range(low, high):
        cz = z // places[0, 0] - places[1, 0]
        for y in range(bounds[1, 0], bounds[1, 1]):
            cy = y // places[0, 1] - places[1, 1]
            for x in range(bounds[2, 0], bounds[2, 1]):
                cx = x // places[0, 2] - places[1, 2]
                if not body[z, y, x]:
                    continue
                hit = core[cz, cy, cx]
                if not hit and mode != 0 and near[cz, cy, cx]:
                    hit = hu[z, y, x] > limit if mode > 0 else hu[z, y, x] < limit
                if hit:
                    labels[z, y, x] = value


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _block_means(
    hu: Any, body: Any, places: Any, means: Any, inside: Any, low: int, high: int
) -> None:
    fz, fy, fx = places[0, 0], places[0, 1], places[0, 2]
    for cz in range(low, high):
        z0 = (cz + places[1, 0]) * fz
        z1 = min(z0 + fz, hu.shape[0])
        for cy in range(means.shape[1]):
            y0 = (cy + places[1, 1]) * fy
            y1 = min(y0 + fy, hu.shape[1])
            for cx in range(means.shape[2]):
                x0 = (cx + places[1, 2]) * fx
                x1 = min(x0 + fx, hu.shape[2])
                total = 0
                patient = 0
                for z in range(z0, z1):
                    for y in range(y0, y1):
                        for x in range(x0, x1):
                            total += hu[z, y, x]
                            patient += body[z, y, x]
                count = (z1 - z0) * (y1 - y0) * (x1 - x0)
                means[cz, cy, cx] = total / count
                inside[cz, cy, cx] = 2 * patient >= count
