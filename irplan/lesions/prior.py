"""What a lesion's surface looks like before the image is seen, and what it is after.

A surface is a radius for each direction, in units of the ellipsoid of the gestures. Beforehand it
is a Gaussian process on the sphere, written in spherical harmonics: how much the radius may vary is
given for each degree, that is for each fineness of detail. Degree 0 is the size, degree 1 a shift
of the whole lesion, degree 2 a stretch, and so on. The variances follow those of the radii of
readers' masks in the ellipsoids of moved diameters (docs/decisions/segmentation.md): a shift is
likely, fine detail is not. Ends of drawn lines lie on the surface and are observations of it.

What the image says of a direction is a cost for each radius, of any form. Expectation propagation
(Minka, UAI 2001) replaces it by the normal distribution that does the same to the belief in that
direction, until all agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import lpmv

from irplan.geometry import FloatArray
from irplan.lesions.shape import Ellipsoid
from irplan.lesions.sphere import sphere_of_directions

#: Degrees 0 to this one.
LAST_DEGREE = 7
#: A line's end lies on the surface up to this: the hand, mm, and a share of the radius.
END_MM = 1.5
END_SHARE = 0.03
#: A direction whose border is entirely clear is an observation with this spread. Its neighbours
#: show the same border, so that each alone counts for little.
SEEN_SPREAD = 0.2
SEEN_LEAST = 0.05
#: Detail finer than the harmonics: spread of a single direction.
DETAIL = 0.03
#: A direction's likelihood is never less than this share of its best: one odd ray decides nothing.
FLOOR = 1e-6
ROUNDS = 9
DAMPING = 0.6


@dataclass(frozen=True)
class ShapePrior:
    """What is expected of a surface before the image is seen.

    Attributes:
        mean: the expected radius. Below 1 for diameters, which are longest ones.
        spread: standard deviation of one coefficient by degree, 0 to LAST_DEGREE; the harmonics are
            scaled to a mean square of 1 over the sphere.
    """

    mean: float
    spread: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.spread) != LAST_DEGREE + 1 or min(self.spread) <= 0.0:
            raise ValueError(f"a shape prior has {LAST_DEGREE + 1} spreads above zero")


@dataclass(frozen=True)
class Points:
    """Places known to lie on the surface.

    Attributes:
        basis: (n, coefficients) harmonics in their directions.
        radius: (n,) in units of the ellipsoid's.
        variance: (n,) of the radius.
    """

    basis: FloatArray
    radius: FloatArray
    variance: FloatArray

    def and_seen(self, radius: FloatArray, clear: FloatArray) -> Points:
        """These points and a border that was seen, by direction.

        Args:
            radius: (400,) where the border was seen.
            clear: (400,) 0 to 1, how clearly; a direction where it is 0 says nothing.
        """
        seen = clear > SEEN_LEAST
        return Points(
            np.vstack([self.basis, harmonics_of_directions()[seen]]),
            np.concatenate([self.radius, radius[seen]]),
            np.concatenate([self.variance, SEEN_SPREAD**2 / clear[seen]]),
        )


@dataclass(frozen=True)
class ShapeBelief:
    """The surface after the image was seen.

    Attributes:
        radius: (400,) mean radius by direction.
        spread: (400,) its standard deviation.
        covariance: of the coefficients of the harmonics.
    """

    radius: FloatArray
    spread: FloatArray
    covariance: FloatArray

    def volume_spread(self, free: FloatArray) -> float:
        """Standard deviation of the volume as a share of it.

        Args:
            free: (400,) 0 to 1, how much of the belief's spread is left in each direction.
        """
        slope = 3.0 * self.radius**2 * free / len(self.radius)
        onto = harmonics_of_directions().T @ slope
        volume = float(np.mean(self.radius**3))
        return float(np.sqrt(max(0.0, float(onto @ self.covariance @ onto)))) / volume


def harmonics(vectors: FloatArray) -> FloatArray:
    """Real spherical harmonics of unit vectors (n, 3), each with a mean square of 1; (n, 64)."""
    height = np.clip(vectors[:, 2], -1.0, 1.0)
    around = np.arctan2(vectors[:, 1], vectors[:, 0])
    columns = []
    for degree in range(LAST_DEGREE + 1):
        for order in range(-degree, degree + 1):
            size = abs(order)
            # The ratio of factorials (degree - size)! / (degree + size)!
            ratio = 1.0 / float(np.prod(np.arange(degree - size + 1, degree + size + 1)))
            scale = np.sqrt((2 * degree + 1) * ratio * (2.0 if order else 1.0))
            wave = np.sin(size * around) if order < 0 else np.cos(size * around)
            columns.append(scale * np.asarray(lpmv(size, degree, height), dtype=float) * wave)
    return np.stack(columns, axis=1)


def degrees() -> list[int]:
    """The degree of each harmonic, (64,)."""
    return [degree for degree in range(LAST_DEGREE + 1) for _ in range(2 * degree + 1)]


@cache
def harmonics_of_directions() -> FloatArray:
    """The harmonics of the 400 directions, (400, 64)."""
    return harmonics(sphere_of_directions().directions)


def points_on_surface(shape: Ellipsoid, points_mm: FloatArray) -> Points:
    """Places (n, 3), grid frame mm, as observations of the surface; none where n is 0."""
    relative = ((points_mm - shape.centre_mm) @ shape.axes) / shape.half_mm
    radius = np.linalg.norm(relative, axis=1)
    vectors = relative / np.maximum(radius, 1e-9)[:, None]
    unit_mm = np.linalg.norm(vectors * shape.half_mm, axis=1)
    variance = (END_MM / np.maximum(unit_mm, 1e-9)) ** 2 + END_SHARE**2
    return Points(harmonics(vectors), radius, variance)


def believe(cost: FloatArray, radii: FloatArray, prior: ShapePrior, points: Points) -> ShapeBelief:
    """The surface that prior, points and image give.

    Args:
        cost: (400, m), minus the log likelihood of each radius in each direction.
        radii: (m,) rising, evenly spaced.
        prior: of the surface.
        points: on the surface.
    """
    likely = np.exp(-(cost - cost.min(axis=1, keepdims=True))) + FLOOR
    blur = np.exp(-0.5 * ((radii[:, None] - radii[None]) / DETAIL) ** 2)
    likely = likely @ (blur / blur.sum(axis=1, keepdims=True)).T
    basis = harmonics_of_directions()
    weight = points.basis / points.variance[:, None]
    before = np.diag([prior.spread[degree] ** -2.0 for degree in degrees()])
    before = before + points.basis.T @ weight
    pull = weight.T @ (points.radius - prior.mean)
    # What the image says of each direction, as a normal distribution: precision, precision x mean.
    precision = np.zeros(len(cost))
    shift = np.zeros(len(cost))
    for left in range(ROUNDS, -1, -1):
        covariance = np.linalg.inv(before + basis.T @ (precision[:, None] * basis))
        coefficients = covariance @ (pull + basis.T @ (shift - precision * prior.mean))
        mean = prior.mean + basis @ coefficients
        variance = ((basis @ covariance) * basis).sum(axis=1)
        if left == 0:
            break
        # The belief without the direction's own share, and with its true likelihood instead.
        others = 1.0 / np.maximum(1.0 / variance - precision, 1e-3)
        middle = others * (mean / variance - shift)
        share = likely * np.exp(-0.5 * (radii - middle[:, None]) ** 2 / others[:, None])
        share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
        own = share @ radii
        own_variance = np.maximum(share @ radii**2 - own**2, 1e-5)
        fresh = np.maximum(1.0 / own_variance - 1.0 / others, 1e-4)
        fresh_shift = own * (fresh + 1.0 / others) - middle / others
        precision = (1.0 - DAMPING) * precision + DAMPING * fresh
        shift = (1.0 - DAMPING) * shift + DAMPING * fresh_shift
    radius = np.clip(mean, radii[0], radii[-1])
    return ShapeBelief(
        radius, np.sqrt(np.maximum(variance, 1e-8)), np.asarray(covariance, dtype=float)
    )
