"""What a click shows before the lesion is looked for: how far it may reach.

A click alone gives a ball whose radius is where the HU leave those of the click. In the solid core
of a part-solid nodule that ball would hold the core alone: the HU change at the ground glass. There
the rays go on to where aerated lung begins, and what they enclose is taken where it shows the
plateaus of a part-solid nodule (:mod:`irplan.lesions.lung`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from irplan.geometry import FloatArray
from irplan.lesions.crop import Crop, cut
from irplan.lesions.lung import GLASS_OVER_LUNG_HU, GROUND_GLASS_HU, ground_glass_hu
from irplan.lesions.region import smoothed
from irplan.lesions.shape import Ellipsoid, ellipsoid_of_star, sphere
from irplan.lesions.sphere import directions
from irplan.lesions.tissue import ball, rays
from irplan.volume import CtVolume

#: A border is looked for this far from a click, mm.
CLICK_REACH_MM = 60.0
CLICK_VOXELS = 61
#: How far a click's HU may differ from the border's, at least and at most: next to the border of a
#: small nodule the spread is that of the border.
CLICK_TOLERANCE_HU = (25.0, 150.0)
#: A ball's radius is where the HU leave those of the click in this share of directions; it is taken
#: larger by this factor, since many a ray ends early, in noise or a necrotic part.
CLICK_SHARE = 0.5
CLICK_WIDER = 1.1

#: The end of ground glass is looked for this far from a click: in radii of what is as dense as the
#: click, and at least, mm.
GLASS_RADII, GLASS_MM, GLASS_STEP_MM = 4.0, 24.0, 0.5
#: Lung is met in at least this share of directions; a ray that meets none, or a vessel on the way,
#: reaches no farther than so many medians of the others.
LUNG_MET_SHARE, FARTHEST_MEDIANS = 0.5, 2.2


@dataclass(frozen=True)
class Sought:
    """Where a lesion is looked for.

    Attributes:
        shape: the ellipsoid.
        uneven: how much the rays from a click differ in where they end: the interquartile range
            over the median; 0 where lines were drawn.
    """

    shape: Ellipsoid
    uneven: float = 0.0


def shape_of_clicks(volume: CtVolume, clicks_mm: FloatArray) -> Sought | None:
    """Where the lesion of clicks is looked for.

    Args:
        volume: the CT.
        clicks_mm: (n, 3) clicks inside the lesion, grid frame.

    Returns:
        A ball, or the ellipsoid of a part-solid nodule; ``None`` where the HU do not leave those
        of the clicks within CLICK_REACH_MM in most directions.
    """
    middle = clicks_mm.mean(axis=0)
    centre = clicks_mm[int(np.argmin(np.linalg.norm(clicks_mm - middle, axis=1)))]
    crop = cut(volume, centre - CLICK_REACH_MM, centre + CLICK_REACH_MM, CLICK_VOXELS)
    smooth = Crop(smoothed(crop, 1.5), crop.low_mm, crop.step_mm, crop.in_field, volume)
    values = rays(smooth, centre, CLICK_REACH_MM - 1.0, 1.0)
    radius = 10.0
    for _ in range(3):
        near = ball(centre, max(3.0, 0.4 * radius))
        core = smooth.sample(smooth.hu, np.concatenate([near, clicks_mm]))
        level = float(np.median(core))
        spread = 1.4826 * float(np.median(np.abs(core - level)))
        tolerance = min(max(CLICK_TOLERANCE_HU[0], 2.5 * spread), CLICK_TOLERANCE_HU[1])
        away = np.abs(values - level) > tolerance
        away[:, :-1] &= away[:, 1:]
        borders = np.where(away.any(axis=1), away.argmax(axis=1), values.shape[1])
        radius = max(3.0, float(np.quantile(borders, CLICK_SHARE)))
    low, middle_mm, high = np.quantile(borders + 0.5, (0.25, 0.5, 0.75)).tolist()
    uneven = (high - low) / middle_mm
    if radius >= CLICK_REACH_MM:
        return None
    reach = float(np.linalg.norm(clicks_mm - centre, axis=1).max())
    whole = min(CLICK_REACH_MM, max(GLASS_MM, GLASS_RADII * radius))
    lung = (values[:, : int(whole)] < GROUND_GLASS_HU[0]).any(axis=1)
    if reach < radius and np.mean(lung) >= LUNG_MET_SHARE:
        nodule = _part_solid(volume, centre, whole)
        if nodule is not None:
            return Sought(nodule, uneven)
    return Sought(sphere(middle, max(CLICK_WIDER * radius, reach + 2.0)), uneven)


def _part_solid(volume: CtVolume, centre: FloatArray, reach_mm: float) -> Ellipsoid | None:
    """The ellipsoid of all that is denser than lung about a click in a part-solid nodule.

    ``None`` where it does not show the plateaus of one.
    """
    crop = cut(volume, centre - reach_mm, centre + reach_mm, CLICK_VOXELS)
    smooth = Crop(smoothed(crop, 0.8), crop.low_mm, crop.step_mm, crop.in_field, volume)
    lung = smooth.hu[smooth.hu < GROUND_GLASS_HU[0]]
    if lung.size == 0:
        return None
    values = rays(smooth, centre, reach_mm, GLASS_STEP_MM)
    aerated = values < float(np.median(lung)) + GLASS_OVER_LUNG_HU
    aerated[:, :-1] &= aerated[:, 1:]
    met = aerated.any(axis=1)
    if np.mean(met) < LUNG_MET_SHARE:
        return None
    border = GLASS_STEP_MM * np.where(met, aerated.argmax(axis=1), values.shape[1])
    border = np.minimum(border, FARTHEST_MEDIANS * float(np.median(border[met])))
    shape = ellipsoid_of_star(centre, directions(len(border)), np.maximum(border, GLASS_STEP_MM))
    return None if ground_glass_hu(crop, shape.radius(crop.points_mm)) is None else shape
