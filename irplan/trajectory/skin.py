"""Skin points: every place where a needle could enter, with the inward normal of the skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.smoothing import gaussian
from irplan.trajectory import skin_kernels
from irplan.trajectory.threads import enough_threads

#: The skin's normal is taken from the body smoothed to this scale: wider than a voxel's steps and
#: a fold, narrower than a limb, mm.
NORMAL_SIGMA_MM = 4.0
#: Spacing of the grid on which the body is smoothed, mm.
NORMAL_GRID_MM = 2.5
POSITION_STEP_MM = 0.01
#: From as many voxels, and points, on the compiled loops use all threads.
MANY_VOXELS = 1_000_000
MANY_POINTS = 5_000


@dataclass(frozen=True)
class SkinPoints:
    """Points on the skin.

    Attributes:
        points_lps_mm: (n, 3), on the raster of 0.01 mm that documents print.
        inward: (n, 3) unit inward normals, LPS.
    """

    points_lps_mm: FloatArray
    inward: FloatArray

    def __len__(self) -> int:
        return len(self.points_lps_mm)

    def some(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> SkinPoints:
        """A part of the points, by flags or by numbers."""
        return SkinPoints(self.points_lps_mm[keep], self.inward[keep])


def on_raster(points_lps_mm: npt.ArrayLike) -> FloatArray:
    """The points moved to the nearest multiple of 0.01 mm, which is what is printed."""
    return np.asarray(np.round(np.asarray(points_lps_mm, dtype=float), 2) + 0.0)


def skin_points(
    body: BoolArray,
    grid: GridGeometry,
    raster_mm: float,
    around_lps_mm: FloatArray | None = None,
    reach_mm: float = np.inf,
) -> SkinPoints:
    """Skin points no coarser than ``raster_mm``, in a fixed order.

    A skin point is the middle of a voxel face between the body and air inside the scan (finer
    where slices are thick). Where the scan cuts the body there is no skin.

    Args:
        body: bool (z, y, x) on ``grid``.
        raster_mm: one point is kept for every cube of this edge that the skin passes through.
        around_lps_mm: (m, 3) points; only skin within ``reach_mm`` of their box is returned.
    """
    points = skin_places(body, grid, raster_mm, around_lps_mm, reach_mm)
    return SkinPoints(points, inward_normals(body, grid, points))


def skin_places(
    body: BoolArray,
    grid: GridGeometry,
    raster_mm: float,
    around_lps_mm: FloatArray | None = None,
    reach_mm: float = np.inf,
) -> FloatArray:
    """The points of :func:`skin_points` alone, (n, 3), LPS mm."""
    offset, part = _near(body, grid, around_lps_mm, reach_mm + raster_mm)
    if min(part.shape) == 0:
        return np.zeros((0, 3))
    spacing = np.asarray(grid.spacing_mm)
    first = np.floor(np.asarray(offset) * spacing / raster_mm).astype(np.int64)
    ends = np.asarray(offset) + np.asarray(part.shape[::-1])
    cubes = np.floor(ends * spacing / raster_mm).astype(np.int64) - first + 1
    with enough_threads(part.size, MANY_VOXELS):
        held, where = skin_kernels.face_of_every_cube(
            part, np.asarray(offset, dtype=np.int64), spacing, float(raster_mm), first, cubes
        )
    points = on_raster(grid.to_lps(where[held]))
    if around_lps_mm is not None:
        low, high = around_lps_mm.min(axis=0), around_lps_mm.max(axis=0)
        gap = np.maximum(0.0, np.maximum(low - points, points - high))
        points = points[np.linalg.norm(gap, axis=1) <= reach_mm]
    return points


def _near(
    body: BoolArray, grid: GridGeometry, around: FloatArray | None, reach_mm: float
) -> tuple[tuple[int, int, int], BoolArray]:
    """The part of the body within reach of the points, and its first voxel (i, j, k)."""
    if around is None or not np.isfinite(reach_mm):
        return (0, 0, 0), body
    index = grid.to_index(around)
    room = reach_mm / np.asarray(grid.spacing_mm) + 2
    low = np.maximum(0, np.floor(index.min(axis=0) - room)).astype(int)
    high = np.minimum(np.asarray(grid.size), np.ceil(index.max(axis=0) + room).astype(int) + 1)
    # Whole groups of eight voxels along a row, as the compiled search takes them.
    low[0], high[0] = low[0] // 8 * 8, min(grid.size[0], -(-high[0] // 8) * 8)
    part = body[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    return (int(low[0]), int(low[1]), int(low[2])), part


def inward_normals(body: BoolArray, grid: GridGeometry, points_lps_mm: FloatArray) -> FloatArray:
    """Unit inward normals (n, 3), LPS, at points on the skin."""
    if len(points_lps_mm) == 0:
        return np.zeros((0, 3))
    return SmoothBody.around(body, grid, points_lps_mm).inward_normals(points_lps_mm)


@dataclass(frozen=True)
class SmoothBody:
    """The body smoothed on a coarse grid, as far as the normals at some points need it.

    Blocks of voxels are counted from the scan's first voxel: a point's normal does not depend on
    which other points are asked for.

    Attributes:
        smooth: float32 (z, y, x), share of the body in every block, smoothed.
        low, high: first voxel (i, j, k), and the one behind the last.
        factors: voxels of a block (x, y, z).
        grid: of the scan.
    """

    smooth: npt.NDArray[np.float32]
    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    factors: npt.NDArray[np.int64]
    grid: GridGeometry

    @classmethod
    def around(
        cls, body: BoolArray, grid: GridGeometry, points_lps_mm: FloatArray, more_mm: float = 0.0
    ) -> SmoothBody:
        """The part that points (n, 3), at least one, need, and so much more on every side."""
        spacing = np.asarray(grid.spacing_mm)
        factors = np.maximum(1, np.floor(NORMAL_GRID_MM / spacing)).astype(np.int64)
        low, high = _blocks_around(grid, factors, points_lps_mm, more_mm)
        part = body[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
        sigma = NORMAL_SIGMA_MM / (spacing * factors)[::-1]
        with enough_threads(part.size, MANY_VOXELS):
            share = skin_kernels.block_mean(part, np.ascontiguousarray(factors[::-1]))
        return cls(gaussian(share, sigma.tolist(), "nearest"), low, high, factors, grid)

    def covers(self, points_lps_mm: FloatArray) -> bool:
        """Whether the normals at points (n, 3) can be told from it."""
        low, high = _blocks_around(self.grid, self.factors, points_lps_mm, 0.0)
        return bool((low >= self.low).all() and (high <= self.high).all())

    def inward_normals(self, points_lps_mm: FloatArray) -> FloatArray:
        """Unit inward normals (n, 3), LPS, at points on the skin that it covers."""
        index = self.grid.to_index(points_lps_mm)
        coarse_mm = np.asarray(self.grid.spacing_mm) * self.factors
        where = np.ascontiguousarray(((index - self.low + 0.5) / self.factors - 0.5)[:, ::-1])
        with enough_threads(len(where), MANY_POINTS):
            normals = skin_kernels.slopes(self.smooth, coarse_mm, where)
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        normals = np.where(lengths > 1e-9, normals / np.maximum(lengths, 1e-9), [0.0, 0.0, 1.0])
        in_lps: FloatArray = normals @ self.grid.axes.T
        return in_lps


def _blocks_around(
    grid: GridGeometry,
    factors: npt.NDArray[np.int64],
    points_lps_mm: FloatArray,
    more_mm: float,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The whole blocks that the normals at some points need: first voxel, and behind the last."""
    index = grid.to_index(points_lps_mm)
    room = (6 * NORMAL_SIGMA_MM + more_mm) / np.asarray(grid.spacing_mm) + 2
    low = np.maximum(0, np.floor(index.min(axis=0) - room)).astype(np.int64) // factors * factors
    high = np.ceil(index.max(axis=0) + room).astype(np.int64) // factors * factors + factors
    return low, np.minimum(np.asarray(grid.size), high)
