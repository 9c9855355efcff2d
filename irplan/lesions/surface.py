"""The surface of a lesion as distances from its centre, found where the image shows a border.

In the frame of the ellipsoid of the gestures the surface is a radius for each of 400 directions,
1 on the ellipsoid. Each radius has a cost: what the HU inside and outside of it say, how clear a
step lies there, and how far it is from the ellipsoid; neighbours should agree. The sum-product
algorithm on that graph (loopy belief propagation) gives for each direction a distribution over
radii: its mean is the surface, its spread the uncertainty.

Where a clear step is in reach the radius is then set so that the partial volume along the ray is
kept: the mass of a blurred border, not its visible contour, gives the volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.spatial import cKDTree

from irplan.geometry import FloatArray
from irplan.lesions.crop import Crop
from irplan.lesions.region import Region
from irplan.lesions.shape import Ellipsoid

IntArray = npt.NDArray[np.int64]

DIRECTIONS = 400
#: Radii that a direction may take, in units of the ellipsoid's.
RADII = np.linspace(0.4, 1.55, 36)
#: A border is visible where smoothed HU step by more than this.
VISIBLE_STEP_HU = 20.0


@dataclass(frozen=True)
class SurfaceSettings:
    """Weights of the surface's cost. Found on real lesions; see docs/decisions.

    Attributes:
        region: weight of the HU inside and outside.
        edge: weight of a step along the ray.
        place: radius expected before the image is seen; below 1, since lesions fill their
            ellipsoid only in part.
        width: how far from it the surface may lie (standard deviation).
        smooth: how far neighbours may differ (standard deviation).
        reach_mm: a step is looked at over this distance on both sides.
        noise_hu: the least noise assumed.
    """

    region: float = 0.2
    edge: float = 1.7
    place: float = 0.97
    width: float = 0.1
    smooth: float = 0.048
    reach_mm: float = 1.3
    noise_hu: float = 15.0


@dataclass(frozen=True)
class Surface:
    """A star-shaped surface about the centre of an ellipsoid.

    Attributes:
        shape: the ellipsoid.
        radius: (400,) radius by direction, in units of the ellipsoid's.
        spread: (400,) standard deviation of the radius.
        clear: (400,) 0 to 1, how clearly the image shows the border that way.
        step_hu: (400,) HU inside minus HU outside, a few mm from the surface.
    """

    shape: Ellipsoid
    radius: FloatArray
    spread: FloatArray
    clear: FloatArray
    step_hu: FloatArray

    @property
    def visible_share(self) -> float:
        """Share of the directions in which the HU step by more than VISIBLE_STEP_HU."""
        return float(np.mean(np.abs(self.step_hu) > VISIBLE_STEP_HU))

    @property
    def volume_ml(self) -> float:
        """Volume inside, mL: the directions stand for equal solid angles."""
        return float(np.mean(self.radius**3)) * self.shape.volume_ml


@dataclass(frozen=True)
class _Sphere:
    """The directions and who is whose neighbour."""

    directions: FloatArray
    tree: cKDTree
    near: IntArray
    source: IntArray
    reverse: IntArray
    gather: Any


def directions(count: int) -> FloatArray:
    """(count, 3) unit vectors spread evenly over the sphere (Fibonacci), always the same."""
    number = np.arange(count) + 0.5
    polar = np.arccos(1.0 - 2.0 * number / count)
    turn = np.pi * (1.0 + np.sqrt(5.0)) * number
    return np.stack(
        [np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1
    )


@cache
def _sphere() -> _Sphere:
    points = directions(DIRECTIONS)
    tree = cKDTree(points)
    near = np.asarray(tree.query(points, k=7)[1], dtype=np.int64)
    pairs = {(min(a, b), max(a, b)) for a, row in enumerate(near.tolist()) for b in row[1:]}
    edges = np.array(sorted([*pairs, *((b, a) for a, b in pairs)]), dtype=np.int64)
    number = {(a, b): at for at, (a, b) in enumerate(edges.tolist())}
    reverse = np.array([number[(b, a)] for a, b in edges.tolist()], dtype=np.int64)
    count = len(edges)
    # Row d sums the messages that reach direction d.
    gather = sparse.csr_array(
        (np.ones(count), (edges[:, 1], np.arange(count))), shape=(DIRECTIONS, count)
    )
    return _Sphere(points, tree, near, edges[:, 0], reverse, gather)


def find_surface(
    crop: Crop, shape: Ellipsoid, region: Region, settings: SurfaceSettings
) -> Surface:
    """The surface that fits the image and the ellipsoid."""
    sphere = _sphere()
    belief = _beliefs(_cost(crop, shape, region, settings, sphere), settings.smooth, sphere)
    radius = belief @ RADII
    spread = np.sqrt(np.maximum(belief @ RADII**2 - radius**2, 1e-6))
    radius, clear, step_hu = _placed_on_steps(crop, shape, region, radius, sphere)
    return Surface(shape, radius, spread, clear, step_hu)


def _points(shape: Ellipsoid, vectors: FloatArray, radii: FloatArray) -> FloatArray:
    """Grid frame mm of directions (n, 3) at radii (n, m) or (m,); (n, m, 3)."""
    scaled = (vectors * shape.half_mm) @ shape.axes.T
    out: FloatArray = (
        shape.centre_mm
        + scaled[:, None, :]
        * np.broadcast_to(radii, (len(vectors), np.shape(radii)[-1]))[..., None]
    )
    return out


def _cost(
    crop: Crop, shape: Ellipsoid, region: Region, settings: SurfaceSettings, sphere: _Sphere
) -> FloatArray:
    """Cost of each radius in each direction, (400, 36)."""
    points = _points(shape, sphere.directions, RADII)
    ratio = crop.sample(region.ratio, points)
    weight = RADII**2 * (RADII[1] - RADII[0]) * 24.0
    inside = np.cumsum(ratio * weight, axis=1) - ratio * weight / 2.0
    ray = (sphere.directions * shape.half_mm) @ shape.axes.T
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    window = 4.0 * max(region.spread_hu, 25.0)
    hu = np.clip(region.hu, region.level_hu - window, region.level_hu + window)
    before = crop.sample(hu, points - ray[:, None, :] * settings.reach_mm)
    behind = crop.sample(hu, points + ray[:, None, :] * settings.reach_mm)
    noise = max(region.spread_hu, settings.noise_hu)
    step = np.minimum(np.abs(before - behind) / noise, 3.0)
    like = np.exp(-0.5 * ((before - region.level_hu) / (2.0 * noise)) ** 2)
    width = np.sqrt(settings.width**2 + sphere.directions**2 @ shape.unsure**2)
    prior = 0.5 * ((RADII - settings.place) / width[:, None]) ** 2
    return np.asarray(-settings.region * inside - settings.edge * step * like + prior)


def _beliefs(cost: FloatArray, smooth: float, sphere: _Sphere) -> FloatArray:
    """Probability of each radius in each direction, (400, 36), by damped message passing."""
    own = -(cost - cost.min(axis=1, keepdims=True))
    kernel = np.exp(-0.5 * ((RADII[:, None] - RADII[None]) / smooth) ** 2) + 1e-4
    messages = np.full((len(sphere.source), len(RADII)), 1.0 / len(RADII))
    logs = np.log(messages)
    for _ in range(12):
        belief = own + sphere.gather @ logs
        out = belief[sphere.source] - logs[sphere.reverse]
        out -= out.max(axis=1, keepdims=True)
        fresh = np.exp(out) @ kernel
        fresh /= fresh.sum(axis=1, keepdims=True)
        messages = 0.5 * messages + 0.5 * fresh
        logs = np.log(messages)
    belief = own + sphere.gather @ logs
    shares = np.exp(belief - belief.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


#: Half width of the window in which a step is placed, and depth of the plateaus beside it, mm: the
#: blur of a scanner does not grow with the lesion.
STEP_MM = 1.5
#: ... but no less than this many voxels along the ray: thick slices blur along the slice normal.
STEP_VOXELS = 0.75
PLATEAU_MM = 1.0
#: Contrast over noise from which on a step counts, and from which on it counts in full. The
#: plateaus are medians over 15 samples, so a step of three times the noise is beyond doubt.
STEP_CONTRAST = (1.5, 3.0)
STEP_NOISE_HU = 8.0
#: What is denser than the core by more than this is cut off: bone shall not pull.
STEP_TOP_HU = 400.0
STEP_ROUNDS = 5
STEP_SMOOTH_MM = 0.5


def _placed_on_steps(
    crop: Crop, shape: Ellipsoid, region: Region, radius: FloatArray, sphere: _Sphere
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The radii moved to clear steps near them, how clear each is (0 to 1), and its height in HU.

    Between an inside and an outside plateau the HU are read as shares of lesion; the new radius
    encloses the same volume along the ray as these shares.
    """
    rays = (sphere.directions * shape.half_mm) @ shape.axes.T
    length = np.linalg.norm(rays, axis=1)
    spacing = np.asarray(crop.volume.geometry.spacing_mm)
    voxel_mm = np.linalg.norm(rays / length[:, None] * spacing, axis=1)
    half = np.minimum(np.maximum(STEP_MM, STEP_VOXELS * voxel_mm), 0.3 * length) / length
    depth = np.minimum(PLATEAU_MM, 0.25 * length) / length
    hu = ndimage.gaussian_filter(crop.hu, STEP_SMOOTH_MM / crop.step_mm, mode="nearest")
    hu = np.minimum(hu, region.level_hu + STEP_TOP_HU)
    marks = np.array([0.3, 0.65, 1.0])
    few = sphere.near[:, :5]
    clear = contrast = np.zeros(len(radius))
    for _ in range(STEP_ROUNDS):
        inner = radius[:, None] - half[:, None] - depth[:, None] * marks
        outer = radius[:, None] + half[:, None] + depth[:, None] * marks
        inner_points = _points(shape, sphere.directions, inner)
        inside, inside_noise = _plateau(crop.sample(hu, inner_points)[few])
        outside, outside_noise = _plateau(
            crop.sample(hu, _points(shape, sphere.directions, outer))[few]
        )
        contrast = inside - outside
        noise = np.minimum((inside_noise + outside_noise) / 2.0, region.spread_hu)
        to_noise = np.abs(contrast) / np.maximum(noise, STEP_NOISE_HU)
        like = crop.sample(region.ratio, inner_points)[few].mean(axis=(1, 2))
        low, high = STEP_CONTRAST
        clear = np.clip((to_noise - low) / (high - low), 0.0, 1.0) * np.clip(like / 0.5, 0.0, 1.0)
        radii = np.maximum(radius[:, None] + half[:, None] * np.linspace(-1.0, 1.0, 11), 0.05)
        values = crop.sample(hu, _points(shape, sphere.directions, radii))
        safe = np.where(np.abs(contrast) < 1.0, 1.0, contrast)
        share = np.clip((values - outside[:, None]) / safe[:, None], 0.0, 1.0)
        kept = (share * radii**2).sum(axis=1) / (radii**2).sum(axis=1)
        start, stop = np.maximum(radius - half, 0.02) ** 3, (radius + half) ** 3
        move = clear * (np.cbrt(start + (stop - start) * kept) - radius)
        radius = radius + 0.5 * move + 0.5 * move[sphere.near[:, 1:]].mean(axis=1)
    return radius, clear, contrast


def _plateau(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Median and robust spread (1.48 MAD) of each direction's values (n, neighbours, marks)."""
    flat = values.reshape(len(values), -1)
    level = np.median(flat, axis=1)
    spread = 1.4826 * np.median(np.abs(flat - level[:, None]), axis=1)
    return level, spread


#: Log odds fall from the surface over this share of the radius.
SOFTNESS = 0.097
#: Weight and smoothing of the HU of single voxels where no clear border is in sight.
VOXEL_WEIGHT = 0.4
VOXEL_SMOOTH_MM = 1.5


def log_odds(crop: Crop, surface: Surface, region: Region, points_radius: FloatArray) -> FloatArray:
    """Log odds of each voxel to lie in the lesion, (z, y, x).

    Args:
        crop: the crop.
        surface: what :func:`find_surface` gave.
        region: what was learned from the HU.
        points_radius: ``shape.radius`` of the voxels.
    """
    radius, clear = _by_voxel(crop, surface, points_radius)
    odds = np.clip((radius - points_radius) / SOFTNESS, -30.0, 30.0)
    ratio = ndimage.gaussian_filter(region.ratio, VOXEL_SMOOTH_MM / crop.step_mm)
    odds += (1.0 - clear) * VOXEL_WEIGHT * ratio
    odds[region.bone] = -3.0
    return np.asarray(odds)


def _by_voxel(
    crop: Crop, surface: Surface, points_radius: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The surface's radius and clearness in each voxel's direction; far voxels get 1 and 0."""
    shape = surface.shape
    radius = np.ones(points_radius.shape)
    clear = np.zeros(points_radius.shape)
    chosen = (points_radius > 0.3) & (points_radius < 1.7)
    relative = ((crop.points_mm[chosen] - shape.centre_mm) @ shape.axes) / shape.half_mm
    gaps, number = _sphere().tree.query(relative / points_radius[chosen][:, None], k=3)
    weight = 1.0 / (gaps + 0.02) ** 2
    weight /= weight.sum(axis=1, keepdims=True)
    radius[chosen] = (surface.radius[number] * weight).sum(axis=1)
    clear[chosen] = (surface.clear[number] * weight).sum(axis=1)
    return radius, clear
