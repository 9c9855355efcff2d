"""Lesion shapes whose volume is known exactly: star-shaped surfaces around a centre.

Along a direction u the surface lies at ``r(u) = e(u) * (1 + sum(h_k * exp(c_k * (u.d_k - 1))))``,
``e`` being the radius of an ellipsoid and each ``k`` a smooth lobe. The volume is the integral of
``r^3 / 3`` over the sphere, taken by Gauss-Legendre in cos(theta) times the trapezoid rule in phi:
for such smooth functions both converge faster than any power, and the result is checked against
half the nodes to 1e-6. The semi-axes are then scaled so that the volume is the wanted one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from irplan.geometry import FloatArray


@dataclass(frozen=True)
class Lobe:
    """A bulge (or dent) of relative ``height`` towards ``direction``, narrower as ``sharp``
    rises."""

    direction: tuple[float, float, float]
    height: float
    sharp: float


@dataclass(frozen=True)
class StarShape:
    """A star-shaped solid about the origin.

    Attributes:
        semi_axes_mm: of the ellipsoid under the lobes.
        axes: 3 × 3 row-major; columns are the semi-axes' directions in LPS.
        lobes: in the frame of the axes; none for a plain ellipsoid.
    """

    semi_axes_mm: tuple[float, float, float]
    axes: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    lobes: tuple[Lobe, ...] = ()

    @cached_property
    def turn(self) -> FloatArray:
        """(3, 3) directions of the semi-axes, in columns."""
        return np.asarray(self.axes, dtype=float).reshape(3, 3)

    def radius_mm(self, directions: npt.ArrayLike) -> FloatArray:
        """Distance from the centre to the surface along unit vectors (..., 3) in LPS."""
        local = np.asarray(directions, dtype=float) @ self.turn
        stretched = local / np.asarray(self.semi_axes_mm)
        radius: FloatArray = 1.0 / np.sqrt((stretched**2).sum(axis=-1))
        return radius * self._bulge(local)

    def _bulge(self, local: FloatArray) -> FloatArray:
        factor = np.ones(local.shape[:-1])
        for lobe in self.lobes:
            towards = np.asarray(lobe.direction) / np.linalg.norm(lobe.direction)
            factor += lobe.height * np.exp(lobe.sharp * (local @ towards - 1.0))
        return factor

    def contains(self, offsets_mm: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether offsets (..., 3) from the centre, LPS mm, lie inside."""
        inside: npt.NDArray[np.bool_] = self.beyond_mm(offsets_mm) <= 0.0
        return inside

    def beyond_mm(self, offsets_mm: npt.ArrayLike) -> FloatArray:
        """How far offsets (..., 3) lie outside the surface along their own ray, mm; negative
        inside."""
        offsets = np.asarray(offsets_mm, dtype=float)
        distance = np.linalg.norm(offsets, axis=-1)
        safe = np.where(distance > 0, distance, 1.0)
        directions = np.where((distance > 0)[..., None], offsets / safe[..., None], (1.0, 0.0, 0.0))
        beyond: FloatArray = distance - self.radius_mm(directions)
        return beyond

    @cached_property
    def volume_ml(self) -> float:
        """Volume in mL, exact to 1e-6 of itself.

        Raises:
            ValueError: the two quadratures disagree (lobes too sharp).
        """
        fine, coarse = self._integrate(128), self._integrate(64)
        if abs(fine - coarse) > 1e-6 * fine:
            raise ValueError(f"the volume is not known well enough: {fine} or {coarse} mL")
        return fine

    def _integrate(self, nodes: int) -> float:
        cosines, weights = np.polynomial.legendre.leggauss(nodes)
        directions = _sphere(cosines, 2 * nodes)
        cubes = self.radius_mm(directions) ** 3 / 3.0
        return float((cubes.mean(axis=1) * 2.0 * np.pi * weights).sum() / 1000.0)

    def scaled_to(self, volume_ml: float) -> StarShape:
        """The same form with the wanted volume."""
        factor = (volume_ml / self.volume_ml) ** (1.0 / 3.0)
        a, b, c = (axis * factor for axis in self.semi_axes_mm)
        return replace(self, semi_axes_mm=(a, b, c))

    def turned(self, rotation: FloatArray) -> StarShape:
        """The shape rotated in LPS."""
        return replace(self, axes=tuple((rotation @ self.turn).ravel().tolist()))

    @property
    def reach_mm(self) -> float:
        """Radius of a sphere about the centre that holds the shape."""
        highest = 1.0 + sum(max(lobe.height, 0.0) for lobe in self.lobes)
        return max(self.semi_axes_mm) * highest

    def surface_mm(self, rings: int = 181) -> FloatArray:
        """Points of the surface, offsets from the centre, (n, 3) LPS mm."""
        directions = _sphere(np.cos(np.linspace(0.0, np.pi, rings)), 2 * rings).reshape(-1, 3)
        points: FloatArray = directions * self.radius_mm(directions)[:, None]
        return points

    def axial_contour_mm(self, height_mm: float, count: int = 360) -> FloatArray:
        """The outline in the plane ``height_mm`` above the centre along z, (n, 2) x and y.

        The outermost crossing on rays from the axis, to 1e-4 mm; empty where the plane misses.
        """
        angles = np.linspace(0.0, 2.0 * np.pi, count, endpoint=False)
        rays = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        lengths = np.linspace(0.0, self.reach_mm, 200)
        points = np.concatenate(
            [
                lengths[None, :, None] * rays[:, None, :],
                np.full((count, lengths.size, 1), height_mm),
            ],
            axis=-1,
        )
        inside = self.contains(points)
        hit = inside.any(axis=1)
        if not hit.any():
            return np.zeros((0, 2))
        last = lengths.size - 1 - np.argmax(inside[:, ::-1], axis=1)
        low, high = lengths[last], lengths[np.minimum(last + 1, lengths.size - 1)]
        for _ in range(16):
            middle = (low + high) / 2.0
            flat = middle[:, None] * rays
            within = self.contains(np.concatenate([flat, np.full((count, 1), height_mm)], axis=-1))
            low, high = np.where(within, middle, low), np.where(within, high, middle)
        outline: FloatArray = (low[:, None] * rays)[hit]
        return outline

    @cached_property
    def longest_axial_diameter_mm(self) -> float:
        """The longest straight line in any axial plane, end to end, to about 0.02 mm.

        An ellipsoid's is that of its middle plane: twice the root of the largest eigenvalue of
        the inverse of the quadric's upper-left block. Lobulated shapes are searched.
        """
        if not self.lobes:
            quadric = self.turn @ np.diag(np.asarray(self.semi_axes_mm) ** -2.0) @ self.turn.T
            return float(2.0 * np.sqrt(1.0 / np.linalg.eigvalsh(quadric[:2, :2]).min()))
        heights = self.surface_mm(61)[:, 2]
        low, high = float(heights.min()), float(heights.max())
        longest = 0.0
        for _ in range(3):
            tried = np.linspace(low, high, 11)
            lengths = [self._axial_length_mm(float(height)) for height in tried]
            best = int(np.argmax(lengths))
            longest = max(longest, lengths[best])
            step = tried[1] - tried[0]
            low, high = float(tried[best] - step), float(tried[best] + step)
        return longest

    def _axial_length_mm(self, height_mm: float) -> float:
        outline = self.axial_contour_mm(height_mm)
        if len(outline) < 4:
            return 0.0
        return float(pdist(outline[ConvexHull(outline).vertices]).max())

    @cached_property
    def longest_diameter_3d_mm(self) -> float:
        """The longest straight line in space between two points of the surface."""
        if not self.lobes:
            return 2.0 * max(self.semi_axes_mm)
        points = self.surface_mm(46)
        return float(pdist(points[ConvexHull(points).vertices]).max())


def _sphere(cosines: FloatArray, around: int) -> FloatArray:
    """Unit vectors (len(cosines), around, 3)."""
    angles = np.arange(around) * (2.0 * np.pi / around)
    sines = np.sqrt(np.clip(1.0 - cosines**2, 0.0, None))
    return np.stack(
        [
            sines[:, None] * np.cos(angles),
            sines[:, None] * np.sin(angles),
            np.broadcast_to(cosines[:, None], (cosines.size, around)),
        ],
        axis=-1,
    )
