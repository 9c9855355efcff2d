"""The surface of a lesion as distances from its centre, found where the image shows a border.

In the frame of the ellipsoid of the gestures the surface is a radius for each of 400 directions,
1 on the ellipsoid. Each radius has a cost: what the HU inside and outside of it say, and how clear
a step lies there. Together with what is known of the shape before the image is seen, and with the
ends of the drawn lines, which lie on the surface, it gives the surface and how sure it is
(:mod:`irplan.lesions.prior`).

Where a clear step is in reach the radius is then placed on it (:mod:`irplan.lesions.border`), and
the rest of the shape follows what was seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from irplan.geometry import FloatArray
from irplan.lesions.border import place_on_steps
from irplan.lesions.crop import Crop
from irplan.lesions.kinds import SurfaceSettings
from irplan.lesions.lung import Wall, ends_at_wall
from irplan.lesions.prior import ShapeBelief, ShapePrior, believe, points_on_surface
from irplan.lesions.region import Region
from irplan.lesions.shape import Ellipsoid
from irplan.lesions.sphere import Sphere, angles_index, on_angles, sphere_of_directions

#: A border is visible where smoothed HU step by more than this.
VISIBLE_STEP_HU = 20.0
#: Radii that a direction may take, in units of the ellipsoid's.
RADII = np.linspace(0.3, 1.7, 43)


@dataclass(frozen=True)
class Surface:
    """A star-shaped surface about the centre of an ellipsoid.

    Attributes:
        shape: the ellipsoid.
        radius: (400,) radius by direction, in units of the ellipsoid's.
        belief: the surface as a smooth shape, and how sure it is.
        clear: (400,) 0 to 1, how clearly the image shows the border that way.
        step_hu: (400,) HU inside minus HU outside, a few mm from the surface.
    """

    shape: Ellipsoid
    radius: FloatArray
    belief: ShapeBelief
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


def find_surface(
    crop: Crop,
    shape: Ellipsoid,
    region: Region,
    settings: SurfaceSettings,
    prior: ShapePrior,
    ends_mm: FloatArray,
    wall: Wall | None = None,
) -> Surface:
    """The surface that fits the image, what is expected of a shape, and the ends of the lines.

    Args:
        crop: HU around the lesion.
        shape: the ellipsoid of the gestures, or of what a first look found.
        region: what was learned from the HU.
        settings: weights of the cost.
        prior: of the surface in that ellipsoid.
        ends_mm: (n, 3) places on the surface, grid frame mm; n may be 0.
        wall: the chest wall that the lesion ends at, if it does.
    """
    sphere = sphere_of_directions()
    cost = _cost(crop, shape, region, settings, sphere)
    points = points_on_surface(shape, ends_mm)
    belief = believe(cost, RADII, prior, points)
    seen = place_on_steps(crop, shape, region, belief.radius, sphere)
    border = seen if wall is None else ends_at_wall(seen, belief.radius, crop, shape, wall, sphere)
    # Where the border is clear it tells of the rest of the shape too.
    belief = believe(cost, RADII, prior, points.and_seen(border.radius, border.clear))
    radius = border.clear * border.radius + (1.0 - border.clear) * belief.radius
    return Surface(shape, radius, belief, seen.clear, seen.step_hu)


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
    crop: Crop, shape: Ellipsoid, region: Region, settings: SurfaceSettings, sphere: Sphere
) -> FloatArray:
    """Cost of each radius in each direction, (400, 43)."""
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
    weight_region = settings.region * region.trust**settings.region_power
    return np.asarray(-weight_region * inside - settings.edge * step * like)


#: Log odds fall from the surface over this share of the radius.
SOFTNESS = 0.097
#: Smoothing of the HU of single voxels.
VOXEL_SMOOTH_MM = 1.5
#: Visible share of the border from which on single voxels count, and from which on in full.
VOXEL_VISIBLE = (0.2, 0.6)


def log_odds(
    crop: Crop,
    surface: Surface,
    region: Region,
    points_radius: FloatArray,
    settings: SurfaceSettings,
) -> FloatArray:
    """Log odds of each voxel to lie in the lesion, (z, y, x).

    Args:
        crop: the crop.
        surface: what :func:`find_surface` gave.
        region: what was learned from the HU.
        points_radius: ``shape.radius`` of the voxels.
        settings: the weight of single voxels.
    """
    radius, clear = _by_voxel(crop, surface, points_radius)
    odds = np.clip((radius - points_radius) / SOFTNESS, -30.0, 30.0)
    low, high = VOXEL_VISIBLE
    weight = settings.voxel * min(1.0, max(0.0, (surface.visible_share - low) / (high - low)))
    ratio = ndimage.gaussian_filter(region.ratio, VOXEL_SMOOTH_MM / crop.step_mm)
    odds += (1.0 - clear) * weight * ratio
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
    place = angles_index(relative / points_radius[chosen][:, None])
    for values, out in ((surface.radius, radius), (surface.clear, clear)):
        chart = on_angles(values)
        out[chosen] = ndimage.map_coordinates(chart, place, order=1, mode="nearest")
    return radius, clear
