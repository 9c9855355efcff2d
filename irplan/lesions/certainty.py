"""How sure a mask is, from the image and the gestures alone.

What is measured knows nothing of the truth. After lines: how well the HU of the core differ from
those around it, how well the mask agrees with the ellipsoid of the gestures, and how much the rays
from its middle differ in where the HU leave those of the core. After clicks alone the first two say
little of the error; there the rays from the click tell, and the height of the step at the border
found. A line through these, fitted to the overlap with readers' masks and with analytic lesions and
judged with the judged lesion left out (``benchmarks/certainty.py``), gives the certainty: the Dice
with a reader's mask that is to be expected. The visible share of a border alone does not predict
it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from irplan.findings import Finding, Severity, declare
from irplan.geometry import FloatArray
from irplan.lesions.crop import Crop, Field
from irplan.lesions.region import smoothed
from irplan.lesions.shape import Ellipsoid
from irplan.lesions.sphere import directions
from irplan.lesions.surface import Surface

STAGE = "lesions"

BORDER_UNSEEN = declare(
    "border_not_visible",
    Severity.WARN,
    STAGE,
    "{lesion}: the image shows a step in HU along {percent} % of the border only; elsewhere the "
    "mask follows the gestures: draw more diameters or correct it",
)
UNCERTAIN = declare(
    "segmentation_uncertain",
    Severity.WARN,
    STAGE,
    "{lesion}: the mask is expected to overlap a reader's by {percent} % only (Dice): draw "
    "further diameters or correct it",
)

#: Below this share of visible border the volume rests on the gestures, not on the image.
VISIBLE_ENOUGH = 0.4
#: Below this certainty a person is asked to look again. A setting.
CERTAIN_ENOUGH = 0.7

#: Certainty = base of the gestures (none, one, two, three diameters) + the weighted signs, in the
#: order of :class:`Signs`. Fitted by ``benchmarks/certainty.py``; two diameters lie between one and
#: three.
BASE = (0.80, -1.09, -0.40, 0.29)
WEIGHTS = (
    (0.0, 0.0, 0.023, -0.48),
    (0.675, 1.425, 0.0, 0.0),
    (0.607, 0.793, 0.0, -0.063),
    (0.54, 0.16, 0.0, -0.125),
)
#: A step higher than this many spreads makes nothing surer, nor rays more uneven than this less.
STEP_ENOUGH, UNEVEN_ENOUGH = 12.0, 1.5
#: Rays from the middle of lines: their number, the radii that are looked at, the core's extent
#: beyond the first of them, the smoothing, and by how much the HU may differ from the core's.
RAYS, RAY_RADII, RAY_CORE = 200, np.linspace(0.3, 1.7, 57), 0.2
RAY_SMOOTH_MM = 1.5
RAY_TOLERANCE_HU = (25.0, 150.0)


@dataclass(frozen=True)
class Signs:
    """What is measured of a mask without knowing the truth.

    Attributes:
        separation: chance that a core voxel looks more like the inside than a voxel around the
            lesion does (area under the ROC curve), 0.5 to 1.
        agreement: Dice of the mask with the ellipsoid it was looked for in, 0 to 1.
        step: median height of the step at the border, in spreads of the core's HU.
        uneven: how much the rays from a click, or from the middle of the ellipsoid of the lines,
            differ in where they end: interquartile range over median.
    """

    separation: float
    agreement: float
    step: float
    uneven: float

    @property
    def values(self) -> tuple[float, float, float, float]:
        """The signs as they are weighed."""
        step = min(self.step, STEP_ENOUGH)
        return self.separation, self.agreement, step, min(self.uneven, UNEVEN_ENOUGH)


def agreement_of(field: Field, points_radius: FloatArray) -> float:
    """Dice of a mask with the ellipsoid it was looked for in.

    Args:
        field: how likely each voxel of the crop lies in the lesion, (z, y, x).
        points_radius: radius of the voxels in units of the ellipsoid's.
    """
    mask, ellipsoid = field > 0.5, points_radius < 1.0
    total = np.count_nonzero(mask) + np.count_nonzero(ellipsoid)
    shared = np.count_nonzero(mask & ellipsoid)
    return float(2.0 * shared / total) if total else 0.0


def uneven_rays(crop: Crop, shape: Ellipsoid) -> float:
    """How much rays from an ellipsoid's middle differ in where the HU leave those of its core.

    Args:
        crop: HU around the lesion.
        shape: the ellipsoid of the lines; a ray's length is taken in units of its radius.

    Returns:
        The interquartile range of where the rays end over the median.
    """
    hu = smoothed(crop, RAY_SMOOTH_MM)
    core = hu[shape.radius(crop.points_mm) < RAY_RADII[0] + RAY_CORE]
    level = float(np.median(core)) if core.size else 0.0
    spread = 1.4826 * float(np.median(np.abs(core - level))) if core.size else 0.0
    tolerance = min(max(RAY_TOLERANCE_HU[0], 2.5 * spread), RAY_TOLERANCE_HU[1])
    rays = (directions(RAYS) * shape.half_mm) @ shape.axes.T
    points = shape.centre_mm + rays[:, None, :] * RAY_RADII[None, :, None]
    away = np.abs(crop.sample(hu, points) - level) > tolerance
    # Two steps on end: a single voxel of noise ends no ray.
    away[:, :-1] &= away[:, 1:]
    ends = np.where(away.any(axis=1), RAY_RADII[away.argmax(axis=1)], RAY_RADII[-1])
    low, middle, high = np.quantile(ends, (0.25, 0.5, 0.75)).tolist()
    return float((high - low) / middle)


def certainty_of(signs: Signs, diameters: int) -> float:
    """The Dice with a reader's mask that is to be expected, 0 to 1."""
    drawn = min(diameters, 3)
    weighed = zip(WEIGHTS[drawn], signs.values, strict=True)
    value = BASE[drawn] + sum(weight * sign for weight, sign in weighed)
    return min(1.0, max(0.0, value))


def warnings_of(lesion_id: str, surface: Surface, certainty: float) -> tuple[Finding, ...]:
    """What a person is told where the image shows too little."""
    found = []
    share = surface.visible_share
    if share < VISIBLE_ENOUGH:
        found.append(BORDER_UNSEEN(lesion_id, lesion=lesion_id, percent=round(100 * share)))
    if certainty < CERTAIN_ENOUGH:
        found.append(UNCERTAIN(lesion_id, lesion=lesion_id, percent=round(100 * certainty)))
    return tuple(found)
