"""Whether what a click found is the dead core of a larger lesion.

A click in a necrotic core takes the core: its border is the first one that shows. Whether the
brighter tissue around it is the living rim of the lesion, or an organ or muscle that the lesion
lies in, a click does not tell; so nothing is added to the mask, and a person is asked to draw a
diameter.
"""

from __future__ import annotations

import numpy as np

from irplan.findings import Finding, Severity, declare
from irplan.geometry import FloatArray
from irplan.lesions.crop import Crop
from irplan.lesions.region import Region
from irplan.lesions.sphere import sphere_of_directions
from irplan.lesions.surface import Surface

STAGE = "lesions"

DARK_CORE = declare(
    "click_in_dark_core",
    Severity.WARN,
    STAGE,
    "{lesion}: what the click found is as dark as fluid ({hu} HU) and brighter tissue ({ring_hu} "
    "HU) lies all around it: where that is the dead core of a lesion, draw a diameter across the "
    "whole lesion",
)

#: Necrosis and fluid are no denser than this, nor as dark as fat, HU. Customary settings.
CORE_HU = (-10.0, 35.0)
#: The ring around is read at these distances from the border, mm ...
RING_MM = (2.0, 3.0, 4.0)
#: ... and is brighter by this in at least this share of the directions, but no bone.
BRIGHTER_HU, BRIGHTER_SHARE = 20.0, 0.8
RING_HU = (40.0, 200.0)


def dark_core(lesion_id: str, crop: Crop, region: Region, surface: Surface) -> tuple[Finding, ...]:
    """A finding where a lesion found by a click looks like the core of a larger one.

    Args:
        lesion_id: for the finding.
        crop: of the look.
        region: what was learned from the HU.
        surface: what was found.
    """
    level = region.level_hu
    if not CORE_HU[0] <= level <= CORE_HU[1]:
        return ()
    ring = _ring_hu(crop, region, surface)
    middle = float(np.median(ring))
    around = float(np.mean(ring - level > BRIGHTER_HU))
    if around < BRIGHTER_SHARE or not RING_HU[0] <= middle <= RING_HU[1]:
        return ()
    return (DARK_CORE(lesion_id, lesion=lesion_id, hu=round(level), ring_hu=round(middle)),)


def _ring_hu(crop: Crop, region: Region, surface: Surface) -> FloatArray:
    """Mean smoothed HU right outside the surface, by direction, (400,)."""
    shape = surface.shape
    rays = (sphere_of_directions().directions * shape.half_mm) @ shape.axes.T
    length = np.linalg.norm(rays, axis=1, keepdims=True)
    places = surface.radius[:, None] + np.array(RING_MM) / length
    points = shape.centre_mm + rays[:, None, :] * places[..., None]
    return np.asarray(crop.sample(region.hu, points).mean(axis=1), dtype=float)
