"""Geometry: points in patient LPS millimetres, voxel grids and their transforms. Pure.

A grid is indexed (i, j, k) = (column, row, slice) in its methods; numpy arrays on a grid have
shape (z, y, x) = (slices, rows, columns). That order stays inside: the API speaks LPS mm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from irplan.errors import CallError
from irplan.units import parse_decimal

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
PointLps = tuple[float, float, float]

#: Two grids are the same where corresponding corners lie within this distance. Exports round
#: positions to a few decimals, so exact equality would refuse good masks.
SAME_GRID_TOLERANCE_MM = 0.01
#: Largest deviation of a direction matrix from orthonormal that is read as rounding.
ORTHONORMAL_TOLERANCE = 1e-4


@lru_cache(maxsize=64)
def _orthonormal(direction: tuple[float, ...]) -> bool:
    """Whether a direction matrix is orthonormal but for rounding; grids of one scan share it."""
    axes = np.asarray(direction, dtype=float).reshape(3, 3)
    return bool(np.allclose(axes.T @ axes, np.eye(3), atol=ORTHONORMAL_TOLERANCE))


@lru_cache(maxsize=64)
def _inverse(direction: tuple[float, ...]) -> FloatArray:
    """The inverse of a direction matrix."""
    inverse: FloatArray = np.linalg.inv(np.asarray(direction, dtype=float).reshape(3, 3))
    inverse.setflags(write=False)
    return inverse


@dataclass(frozen=True)
class GridGeometry:
    """A regular voxel grid in patient space.

    Attributes:
        size: number of (columns, rows, slices).
        spacing_mm: distance between voxel centres along (columns, rows, slices), mm, above 0.
        origin_lps_mm: centre of voxel (0, 0, 0), LPS mm.
        direction: 3 × 3 row-major; its columns are the unit vectors, in LPS, along which the
            column, row and slice index rise (the convention of ITK).

    Raises:
        ValueError: a size or spacing is not above zero, or the direction is not orthonormal.
    """

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_lps_mm: PointLps
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        numbers = (*self.spacing_mm, *self.origin_lps_mm, *self.direction)
        if not all(np.isfinite(numbers)):
            raise ValueError("geometry holds a number that is not finite")
        if min(self.size) < 1 or min(self.spacing_mm) <= 0:
            raise ValueError(f"size {self.size} or spacing {self.spacing_mm} is not above zero")
        if not _orthonormal(self.direction):
            raise ValueError(f"direction is not orthonormal: {self.direction}")

    @cached_property
    def axes(self) -> FloatArray:
        """(3, 3); columns are the unit vectors of the column, row and slice index in LPS."""
        return np.asarray(self.direction, dtype=float).reshape(3, 3)

    @cached_property
    def _spacing(self) -> FloatArray:
        return np.asarray(self.spacing_mm, dtype=float)

    @cached_property
    def _origin(self) -> FloatArray:
        return np.asarray(self.origin_lps_mm, dtype=float)

    @cached_property
    def _inverse(self) -> FloatArray:
        return _inverse(self.direction)

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Shape of a numpy array on this grid: (slices, rows, columns)."""
        columns, rows, slices = self.size
        return slices, rows, columns

    @property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        """Spacing in array order, as distance transforms want it."""
        x, y, z = self.spacing_mm
        return z, y, x

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        x, y, z = self.spacing_mm
        return x * y * z / 1000.0

    def to_lps(self, index: npt.ArrayLike) -> FloatArray:
        """Voxel indices (..., 3) as (i, j, k), fractional allowed → LPS mm (..., 3)."""
        scaled = np.asarray(index, dtype=float) * self._spacing
        points: FloatArray = scaled @ self.axes.T + self._origin
        return points

    def to_index(self, points_lps_mm: npt.ArrayLike) -> FloatArray:
        """LPS mm (..., 3) → fractional voxel indices (..., 3) as (i, j, k)."""
        relative = np.asarray(points_lps_mm, dtype=float) - self._origin
        # The inverse, not the transpose: a direction read from text is orthonormal to 1e-4 only.
        index: FloatArray = relative @ self._inverse.T / self._spacing
        return index

    def contains(self, points_lps_mm: npt.ArrayLike) -> BoolArray:
        """Whether each point (..., 3) lies within the outer faces of the grid's voxels."""
        index = self.to_index(points_lps_mm)
        inside: BoolArray = np.all(
            (index >= -0.5) & (index <= np.asarray(self.size) - 0.5), axis=-1
        )
        return inside

    def nearest_index(self, point_lps_mm: npt.ArrayLike) -> tuple[int, int, int]:
        """(i, j, k) of the voxel that holds the point; may lie outside the grid."""
        i, j, k = np.rint(self.to_index(point_lps_mm)).astype(int)
        return int(i), int(j), int(k)

    def crop(self, start: tuple[int, int, int], size: tuple[int, int, int]) -> GridGeometry:
        """The sub-grid of ``size`` that begins at voxel ``start`` (i, j, k)."""
        origin = self.to_lps(start)
        return GridGeometry(
            size,
            self.spacing_mm,
            (float(origin[0]), float(origin[1]), float(origin[2])),
            self.direction,
        )

    def corners_lps_mm(self) -> FloatArray:
        """Centres of the eight corner voxels, (8, 3), LPS mm."""
        last = np.asarray(self.size) - 1
        grid = np.stack(
            np.meshgrid([0, last[0]], [0, last[1]], [0, last[2]], indexing="ij"), axis=-1
        )
        return self.to_lps(grid.reshape(8, 3))

    def same_grid(self, other: GridGeometry) -> bool:
        """Whether both grids have the same size and their corners agree to the tolerance."""
        if self.size != other.size:
            return False
        gap = np.abs(self.corners_lps_mm() - other.corners_lps_mm()).max()
        return bool(gap <= SAME_GRID_TOLERANCE_MM)

    @property
    def orientation(self) -> str:
        """Three letters for where the columns, rows and slices rise to, as in 'LPS' or 'RAS'."""
        names = (("R", "L"), ("A", "P"), ("I", "S"))
        letters = []
        for axis in self.axes.T:
            major = int(np.argmax(np.abs(axis)))
            letters.append(names[major][int(axis[major] > 0)])
        return "".join(letters)


def parse_point(text: str, what: str = "point") -> PointLps:
    """A point from ``x,y,z`` in LPS millimetres.

    Raises:
        CallError: not three plain decimal numbers.
    """
    parts = text.split(",")
    if len(parts) != 3:
        raise CallError(
            "not_a_point",
            f"{what}: '{text}' is not x,y,z",
            "give three numbers in LPS mm, as in -75.7,17.1,-16.4",
        )
    x, y, z = (float(parse_decimal(part, what)) for part in parts)
    return x, y, z


def length_of(vector: FloatArray) -> float:
    """Length of one vector (3,): what ``np.linalg.norm`` gives, without its general case."""
    return math.sqrt(float(vector.dot(vector)))


def unit(vector: npt.ArrayLike) -> FloatArray:
    """The vector scaled to length 1.

    Raises:
        ValueError: its length is zero or not finite.
    """
    array = np.asarray(vector, dtype=float)
    length = length_of(array)
    if not math.isfinite(length) or length == 0.0:
        raise ValueError("a direction needs a length above zero")
    return array / length
