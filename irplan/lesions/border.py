"""Where exactly a clear border lies: the surface moved so that partial volume is kept.

Along each direction of a surface the HU are read straight from the CT, between an inside and an
outside plateau, as shares of lesion. The radius is set to enclose the same volume as these shares:
the mass of a blurred border gives the volume, not the contour that the eye sees. A contour at half
height lies too far inside on small blurred lesions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.geometry import BoolArray, FloatArray
from irplan.lesions.crop import Crop
from irplan.lesions.region import Region
from irplan.lesions.shape import Ellipsoid
from irplan.lesions.sphere import Sphere

#: Half width of the window in which a step is placed, and depth of the plateaus beside it, mm: the
#: blur of a scanner does not grow with the lesion.
STEP_MM = 1.8
#: ... but no less than this many voxels along the ray: thick slices blur along the slice normal.
STEP_VOXELS = 0.75
PLATEAU_MM = 1.0
#: The window and the plateau take no more of the radius than these shares.
STEP_SHARE, PLATEAU_SHARE = 0.4, 0.25
#: A plateau inside is its own where the window of the slices takes less of the radius than this.
FREE_SHARE = 0.3
#: Contrast over noise from which on a step counts, and from which on it counts in full. The
#: plateaus are medians over 15 samples, so a step of three times the noise is beyond doubt.
STEP_CONTRAST = (1.5, 3.0)
STEP_NOISE_HU = 8.0
#: What is denser than the core by more than this is cut off: bone shall not pull.
STEP_TOP_HU = 400.0
STEP_ROUNDS = 5
#: A share of lesion may lie below 0 and above 1 by the noise over the step, but by no more than
#: this.
SHARE_OVER = 0.5
#: Rays beside each direction over which its profile is averaged, and their angle, radians.
BESIDE = 2
BESIDE_RADIANS = 0.05
#: Steps of a profile.
PROFILE = 11
#: HU are read along a spline where the slices are thicker than this many pixels; and how far
#: beyond the surface they may be asked for, mm.
THICK = 2.0
EDGE_MM = 12.0


IntArray = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Border:
    """What the image shows at a surface, by direction.

    Attributes:
        radius: (n,) the radii, moved to clear steps near them; in units of the ellipsoid's.
        clear: (n,) 0 to 1, how clearly the image shows the border that way.
        step_hu: (n,) HU inside minus HU outside.
        noise_hu: (n,) noise of the plateaus.
    """

    radius: FloatArray
    clear: FloatArray
    step_hu: FloatArray
    noise_hu: FloatArray


def place_on_steps(
    crop: Crop, shape: Ellipsoid, region: Region, radius: FloatArray, sphere: Sphere
) -> Border:
    """The surface moved to the clear steps near it.

    Args:
        crop: of the lesion; its CT is what is read.
        shape: the ellipsoid in whose units the radii are.
        region: what was learned from the HU.
        radius: (n,) by direction of ``sphere``.
        sphere: the directions.
    """
    rays = (sphere.directions * shape.half_mm) @ shape.axes.T
    length = np.linalg.norm(rays, axis=1)
    spacing = np.asarray(crop.volume.geometry.spacing_mm)
    voxel_mm = np.linalg.norm(rays / length[:, None] * spacing, axis=1)
    half = np.minimum(np.maximum(STEP_MM, STEP_VOXELS * voxel_mm), STEP_SHARE * length) / length
    depth = np.minimum(PLATEAU_MM, PLATEAU_SHARE * length) / length
    marks = np.array([0.3, 0.65, 1.0])
    window = half[:, None] * np.linspace(-1.0, 1.0, PROFILE)
    inner = -half[:, None] - depth[:, None] * marks
    offsets = np.concatenate([inner, window, half[:, None] + depth[:, None] * marks], axis=1)
    few = sphere.near[:, :5]
    top_hu = min(region.level_hu + STEP_TOP_HU, region.top_hu)
    reader = _Reader(crop, shape, sphere, top_hu)
    # Where the blur of thick slices reaches the core no plateau is left inside: the other
    # directions tell what the lesion's HU are.
    free = STEP_VOXELS * voxel_mm < FREE_SHARE * length
    clear = contrast = noise = np.zeros(len(radius))
    for _ in range(STEP_ROUNDS):
        places = np.maximum(radius[:, None] + offsets, 0.02)
        values = reader.profiles(places)
        inside, inside_noise = _plateau(values[:, :3][few])
        if free.any():
            inside = np.where(free, inside, np.median(inside[free]))
        outside, outside_noise = _plateau(values[:, -3:][few])
        contrast = inside - outside
        noise = (inside_noise + outside_noise) / 2.0
        gap, behind = _thin_gap(values, few, inside, contrast, inside_noise)
        contrast = np.where(gap.any(axis=1), inside - behind, contrast)
        outside = inside - contrast
        noise = np.where(gap.any(axis=1), inside_noise, noise)
        to_noise = np.abs(contrast) / np.maximum(noise, STEP_NOISE_HU)
        low, high = STEP_CONTRAST
        clear = np.clip((to_noise - low) / (high - low), 0.0, 1.0)
        clear = clear * _like_inside(region, inside, contrast)
        safe = np.where(np.abs(contrast) < 1.0, 1.0, contrast)
        # Cut off at 0 and 1 noise would count outside, where there is more room, and not inside.
        over = np.minimum(noise / np.abs(safe), SHARE_OVER)[:, None]
        share = (values[:, 3:-3] - outside[:, None]) / safe[:, None]
        share = np.clip(share, -over, 1.0 + over)
        share[gap] = 0.0
        weight = places[:, 3:-3] ** 2
        weight[:, [0, -1]] *= 0.5
        kept = (share * weight).sum(axis=1) / weight.sum(axis=1)
        start, stop = np.maximum(radius - half, 0.02) ** 3, (radius + half) ** 3
        move = clear * (np.cbrt(start + (stop - start) * kept) - radius)
        radius = radius + 0.5 * move + 0.5 * move[sphere.near[:, 1:]].mean(axis=1)
    return Border(radius, clear, contrast, noise)


#: A gap counts where it differs from the core by this much more than what lies behind it: times the
#: noise, and as a share of the step behind it.
GAP_NOISE = 3.0
GAP_SHARE = 0.1


def _thin_gap(
    values: FloatArray, few: IntArray, inside: FloatArray, contrast: FloatArray, noise: FloatArray
) -> tuple[BoolArray, FloatArray]:
    """Where a thin layer, of air or fat say, lies between the lesion and what is behind it.

    The plateau behind such a layer is not what the border blurs into, and is no lesion either.

    Args:
        values: (n, 3 + PROFILE + 3) HU along the directions.
        few: (n, m) the directions that are read together.
        inside, contrast, noise: (n,) level inside, its step to the plateau outside, its noise.

    Returns:
        Which places of the profile lie in the layer or behind it, (n, PROFILE), none where there
        is no layer; and the HU of the layer, (n,).
    """
    outer = values[few].mean(axis=1)[:, 3 + PROFILE // 2 :]
    away = np.abs(inside[:, None] - outer)
    at = away.argmax(axis=1)
    rows = np.arange(len(values))
    needed = np.maximum(GAP_NOISE * np.maximum(noise, STEP_NOISE_HU), GAP_SHARE * np.abs(contrast))
    found = away[rows, at] - np.abs(contrast) > needed
    places = np.arange(PROFILE) - PROFILE // 2
    return found[:, None] & (places[None] >= at[:, None]), outer[rows, at]


def _like_inside(region: Region, inside: FloatArray, contrast: FloatArray) -> FloatArray:
    """Whether an inside plateau is lesion, 0 to 1: by its HU, or nearer to the core than to what
    lies outside."""
    by_hu = np.clip(region.ratio_at(inside) / 0.5, 0.0, 1.0)
    away = np.abs(inside - region.level_hu)
    by_place = np.clip(2.0 - 4.0 * away / np.maximum(np.abs(contrast), 1.0), 0.0, 1.0)
    return np.asarray(np.maximum(by_hu, by_place))


class _Reader:
    """Reads HU along bundles of rays, straight from the CT.

    Between thick slices it reads along a cubic spline: straight lines would blur the border by
    half as much again as the slices themselves do.
    """

    def __init__(self, crop: Crop, shape: Ellipsoid, sphere: Sphere, top_hu: float) -> None:
        grid = crop.volume.geometry
        spacing = np.asarray(grid.spacing_mm)
        reach = 1.7 * shape.box_half_mm + EDGE_MM
        last = np.asarray(grid.size)
        low = np.clip(np.floor((shape.centre_mm - reach) / spacing).astype(int), 0, last - 1)
        high = np.clip(np.ceil((shape.centre_mm + reach) / spacing).astype(int) + 1, low + 1, last)
        box = crop.volume.hu[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
        self.order = 3 if spacing.max() > THICK * spacing.min() else 1
        self.box = np.minimum(box.astype(np.float32), np.float32(top_hu))
        if self.order == 3:
            self.box = ndimage.spline_filter(self.box, order=3, output=np.float32, mode="nearest")
        angle = 2.0 * np.pi * (np.arange(BESIDE) + 0.5) / BESIDE
        first = np.cross(sphere.directions, [0.0, 0.0, 1.0])
        first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-9)
        second = np.cross(sphere.directions, first)
        turned = (
            sphere.directions[:, None, :]
            + BESIDE_RADIANS * np.cos(angle)[None, :, None] * first[:, None, :]
            + BESIDE_RADIANS * np.sin(angle)[None, :, None] * second[:, None, :]
        )
        turned /= np.linalg.norm(turned, axis=-1, keepdims=True)
        rays = (turned * shape.half_mm) @ shape.axes.T
        #: (3, n, 1, BESIDE) in voxels of the box along z, y, x for a radius of 1; and the centre.
        self.rays = np.moveaxis((rays / spacing)[..., ::-1], -1, 0)[:, :, None, :]
        self.centre = (shape.centre_mm / spacing - low)[::-1].reshape(3, 1, 1, 1)

    def profiles(self, radii: FloatArray) -> FloatArray:
        """Mean HU of each bundle at radii (n, m); (n, m)."""
        index = self.centre + self.rays * radii[None, :, :, None]
        hu: npt.NDArray[np.float32] = ndimage.map_coordinates(
            self.box, index, order=self.order, mode="nearest", output=np.float32, prefilter=False
        )
        return np.asarray(hu.mean(axis=-1), dtype=float)


def _plateau(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Median and robust spread (1.48 MAD) of each direction's values (n, neighbours, marks)."""
    flat = values.reshape(len(values), -1)
    level = np.median(flat, axis=1)
    spread = 1.4826 * np.median(np.abs(flat - level[:, None]), axis=1)
    return level, spread
