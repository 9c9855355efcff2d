"""The ellipsoid that the gestures of a lesion describe before the image is looked at.

Everything here is in the grid frame: millimetres along the axes of the CT grid (x along columns,
y along rows, z along slices), measured from the centre of voxel (0, 0, 0). The frame is patient
space turned and shifted, so lengths are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from irplan.geometry import FloatArray, GridGeometry

#: Perpendicular and head-foot diameter over the longest axial one where only a line is drawn:
#: customary proportions of solid lesions.
LINE_PROPORTIONS = (0.75, 0.8)
#: How much a line's middle fixes the centre across the line, against 1 along it.
ACROSS_WEIGHT = 0.02
#: Two lines closer than this in direction show the same diameter, cosine.
SAME_DIRECTION_COSINE = 0.8


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid in the grid frame.

    Attributes:
        centre_mm: (3,) its centre.
        axes: (3, 3) orthonormal; columns are the directions of its half axes.
        half_mm: (3,) lengths of the half axes.
    """

    centre_mm: FloatArray
    axes: FloatArray
    half_mm: FloatArray

    def radius(self, points_mm: npt.ArrayLike) -> FloatArray:
        """How far out points (..., 3) lie: 0 in the centre, 1 on the surface."""
        relative = (np.asarray(points_mm, dtype=float) - self.centre_mm) @ self.axes
        relative /= self.half_mm
        return np.asarray(np.sqrt(np.einsum("...i,...i->...", relative, relative)), dtype=float)

    @property
    def box_half_mm(self) -> FloatArray:
        """Half extents along the grid's axes, (3,)."""
        out: FloatArray = np.sqrt(((self.axes * self.half_mm) ** 2).sum(axis=1))
        return out

    @property
    def volume_ml(self) -> float:
        """4/3 π times the half axes, mL."""
        return float(4.0 / 3.0 * np.pi * self.half_mm.prod() / 1000.0)


def grid_mm(grid: GridGeometry, points_lps_mm: npt.ArrayLike) -> FloatArray:
    """LPS mm (..., 3) → grid frame mm (..., 3)."""
    out: FloatArray = grid.to_index(points_lps_mm) * np.asarray(grid.spacing_mm)
    return out


def sphere(centre_mm: npt.ArrayLike, radius_mm: float) -> Ellipsoid:
    """A ball."""
    centre = np.asarray(centre_mm, dtype=float)
    return Ellipsoid(centre, np.eye(3), np.full(3, float(radius_mm)))


def ellipsoid_of_points(points_mm: FloatArray) -> Ellipsoid:
    """The ellipsoid with the same centre and second moments as a body of points (n, 3)."""
    values, vectors = np.linalg.eigh(np.cov((points_mm - points_mm.mean(axis=0)).T))
    half = np.sqrt(np.maximum(5.0 * values, 1.0))
    return Ellipsoid(points_mm.mean(axis=0), vectors, half)


def ellipsoid_of_star(
    centre_mm: FloatArray, directions: FloatArray, border_mm: FloatArray
) -> Ellipsoid:
    """The ellipsoid with the same centre and second moments as a star-shaped body.

    Args:
        centre_mm: (3,) from where the body is seen.
        directions: (n, 3) unit vectors that stand for equal solid angles.
        border_mm: (n,) where its border lies that way, above 0.
    """
    # Integrals of r², r³ and r⁴ along each direction.
    volume = (border_mm**3).sum() / 3.0
    middle = (border_mm**4) @ directions / 4.0 / volume
    moments = (directions.T * border_mm**5) @ directions / 5.0 / volume
    values, vectors = np.linalg.eigh(moments - np.outer(middle, middle))
    half = np.sqrt(np.maximum(5.0 * values, 1.0))
    return Ellipsoid(centre_mm + middle, vectors, half)


def ellipsoid_of_lines(lines_mm: Sequence[tuple[FloatArray, FloatArray]]) -> Ellipsoid:
    """The ellipsoid through one, two, three or more diameters, grid frame mm.

    The centre is fixed along each line by its middle, and across it only weakly. The half axes
    are half the lines, their directions made perpendicular. What was not drawn is filled in:
    for one line by :data:`LINE_PROPORTIONS`, for two by the geometric mean of both.
    """
    starts = np.array([line[0] for line in lines_mm], dtype=float)
    ends = np.array([line[1] for line in lines_mm], dtype=float)
    steps = ends - starts
    lengths = np.linalg.norm(steps, axis=1)
    directions = steps / lengths[:, None]
    centre = _centre(directions, (starts + ends) / 2.0)
    directions, lengths = _distinct(directions, lengths)
    if len(lengths) == 1:
        first = directions[0]
        helper = np.eye(3)[2] if abs(first[2]) < 0.9 else np.eye(3)[1]
        second = np.cross(helper, first)
        second /= np.linalg.norm(second)
        third = np.cross(first, second)
        half = lengths[0] / 2.0 * np.array([1.0, *LINE_PROPORTIONS])
        axes = np.stack([first, second, third], axis=1)
        return Ellipsoid(centre, axes, half)
    if len(lengths) == 2:
        third = np.cross(directions[0], directions[1])
        directions = np.vstack([directions, third / np.linalg.norm(third)])
        lengths = np.append(lengths, np.sqrt(lengths[0] * lengths[1]))
    # The nearest set of perpendicular directions (polar decomposition).
    left, _, right = np.linalg.svd(directions.T)
    return Ellipsoid(centre, left @ right, lengths / 2.0)


def _centre(directions: FloatArray, middles: FloatArray) -> FloatArray:
    weights = np.zeros((3, 3))
    target = np.zeros(3)
    for direction, middle in zip(directions, middles, strict=True):
        part = np.outer(direction, direction) + ACROSS_WEIGHT * np.eye(3)
        weights += part
        target += part @ middle
    return np.asarray(np.linalg.solve(weights, target), dtype=float)


def _distinct(directions: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
    """At most three lines that show different diameters, the longest first."""
    kept: list[int] = []
    for number in np.argsort(-lengths, kind="stable"):
        cosines = [abs(float(directions[number] @ directions[other])) for other in kept]
        if len(kept) < 3 and all(cosine < SAME_DIRECTION_COSINE for cosine in cosines):
            if len(kept) == 2:
                base = np.cross(directions[kept[0]], directions[kept[1]])
                base /= np.linalg.norm(base)
                # A third line in the plane of the first two shows no third extent.
                if abs(float(directions[number] @ base)) < 1.0 - SAME_DIRECTION_COSINE:
                    continue
            kept.append(int(number))
    return directions[kept], lengths[kept]
