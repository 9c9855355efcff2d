"""Whether a click lies on a vessel: a thin, long structure that contrast has filled.

Around the click everything as dense as it and hanging together with it is taken. A vessel is thin
where it was clicked and leaves the neighbourhood at two places at least; a lesion ends within it or
is thick.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.findings import Severity, declare
from irplan.geometry import BoolArray
from irplan.lesions.crop import cut
from irplan.lesions.shape import grid_mm
from irplan.volume import CtVolume

STAGE = "lesions"

CLICK_ON_VESSEL = declare(
    "click_on_vessel",
    Severity.WARN,
    STAGE,
    "{lesion}: the first gesture lies on a long, thin structure filled with contrast ({hu} HU), "
    "as vessels are; there is no lesion. Draw a diameter if it is one all the same",
)

#: Below this a structure is not filled with contrast, HU.
CONTRAST_HU = 120.0
#: The neighbourhood that is looked at, mm from the click, and its raster.
REACH_MM = 24.0
VOXELS = 41
SMOOTH_MM = 0.8
#: As dense as the click is what is denser than this share of it.
DENSE_SHARE = 0.75
#: A vessel is no thicker than this within NEAR_MM of the click (radius), mm.
THICK_MM = 13.0
NEAR_MM = 6.0
#: It leaves the neighbourhood at two places or more, or is this many times longer than thick.
LONG = 2.4


def on_vessel(volume: CtVolume, point_lps_mm: npt.ArrayLike, level_hu: float) -> bool:
    """Whether a click of that HU lies on a contrast-filled vessel.

    Args:
        volume: the CT.
        point_lps_mm: the click.
        level_hu: median HU under it.
    """
    if level_hu < CONTRAST_HU:
        return False
    centre = grid_mm(volume.geometry, point_lps_mm)
    crop = cut(volume, centre - REACH_MM, centre + REACH_MM, VOXELS)
    hu = ndimage.gaussian_filter(crop.hu, SMOOTH_MM / crop.step_mm, mode="nearest")
    gap = np.linalg.norm(crop.points_mm - centre, axis=-1)
    dense = (hu > DENSE_SHARE * level_hu) & crop.in_field & (gap <= REACH_MM)
    labels, _ = ndimage.label(dense)
    own = labels[np.unravel_index(int(np.argmin(gap)), gap.shape)]
    if own == 0:
        return False
    part = labels == own
    depth = ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1, 1:-1] * crop.step_mm
    radius = float(depth[part & (gap <= NEAR_MM)].max())
    if radius > THICK_MM:
        return False
    return _exits(part, gap, crop.step_mm) >= 2 and _length_mm(part, crop.step_mm) > (
        LONG * 2.0 * radius
    )


def _exits(part: BoolArray, gap: npt.NDArray[np.floating], step_mm: float) -> int:
    """At how many places the part reaches the rim of the neighbourhood."""
    rim = part & (gap > REACH_MM - 2.0 * step_mm)
    return int(ndimage.label(rim, np.ones((3, 3, 3)))[1])


def _length_mm(part: BoolArray, step_mm: float) -> float:
    """Extent of the part along its longest principal axis, mm."""
    index = np.argwhere(part) * step_mm
    index = index - index.mean(axis=0)
    axis = np.linalg.eigh(np.cov(index.T))[1][:, -1] if len(index) > 3 else np.eye(3)[0]
    return float(np.ptp(index @ axis))
