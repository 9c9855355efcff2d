"""Whether a click lies on a vessel: a thin, long structure that contrast has filled.

Around the click everything as dense as it and hanging together with it is taken. A vessel is thin
where it was clicked and leaves the neighbourhood at two places at least; a lesion ends within it or
is thick. A thick vessel shows its length only farther away, where it touches other dense tissue:
there what is denser than the click counts as bone, and the two places must be about as wide as the
vessel where it was clicked, so that a lesion with thinner vessels at it is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.findings import Severity, declare
from irplan.geometry import BoolArray, FloatArray
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
#: It leaves the neighbourhood at two places or more, and is this many times longer than thick.
LONG = 2.4
#: The wider neighbourhood of thick vessels, mm, and its raster; their radius there, mm.
FAR_MM, FAR_VOXELS = 34.0, 61
FAR_RADIUS_MM = 5.0
#: Denser than this many times the click, and this, is bone or calcium there.
TOP_TIMES, TOP_HU = 1.3, 20.0
#: The second widest place where it leaves takes this share of its own cross-section.
WIDE_SHARE = 0.25


@dataclass(frozen=True)
class _Part:
    """What hangs together with a click.

    Attributes:
        radius_mm: half its thickness near the click.
        exits_mm2: cross-sections where it reaches the rim of the neighbourhood, the widest first.
        length_mm: its extent along its longest principal axis.
    """

    radius_mm: float
    exits_mm2: tuple[float, ...]
    length_mm: float

    @property
    def long_and_thin(self) -> bool:
        thin = self.radius_mm <= THICK_MM
        return thin and len(self.exits_mm2) >= 2 and self.length_mm > LONG * 2.0 * self.radius_mm


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
    near = _part(volume, centre, DENSE_SHARE * level_hu, np.inf, REACH_MM, VOXELS)
    if near is None:
        return False
    if near.long_and_thin:
        return True
    top_hu = TOP_TIMES * level_hu + TOP_HU
    far = _part(volume, centre, DENSE_SHARE * level_hu, top_hu, FAR_MM, FAR_VOXELS)
    if far is None or far.radius_mm < FAR_RADIUS_MM or not far.long_and_thin:
        return False
    return far.exits_mm2[1] >= WIDE_SHARE * np.pi * far.radius_mm**2


def _part(
    volume: CtVolume,
    centre: FloatArray,
    least_hu: float,
    top_hu: float,
    reach_mm: float,
    voxels: int,
) -> _Part | None:
    """What hangs together with a click within ``reach_mm``; ``None`` where nothing does."""
    crop = cut(volume, centre - reach_mm, centre + reach_mm, voxels)
    hu = ndimage.gaussian_filter(crop.hu, SMOOTH_MM / crop.step_mm, mode="nearest")
    gap = np.linalg.norm(crop.points_mm - centre, axis=-1)
    dense = (hu > least_hu) & (hu < top_hu) & crop.in_field & (gap <= reach_mm)
    labels, _ = ndimage.label(dense)
    own = labels[np.unravel_index(int(np.argmin(gap)), gap.shape)]
    if own == 0:
        return None
    part = labels == own
    depth = ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1, 1:-1] * crop.step_mm
    rim = part & (gap > reach_mm - 2.0 * crop.step_mm)
    pieces, _ = ndimage.label(rim, np.ones((3, 3, 3)))
    # The rim is two voxels deep.
    wide = np.sort(np.bincount(pieces.ravel())[1:])[::-1] * crop.step_mm**2 / 2.0
    return _Part(
        float(depth[part & (gap <= NEAR_MM)].max()),
        tuple(wide.tolist()),
        _length_mm(part, crop.step_mm),
    )


def _length_mm(part: BoolArray, step_mm: float) -> float:
    """Extent of the part along its longest principal axis, mm."""
    index = np.argwhere(part) * step_mm
    index = index - index.mean(axis=0)
    axis = np.linalg.eigh(np.cov(index.T))[1][:, -1] if len(index) > 3 else np.eye(3)[0]
    return float(np.ptp(index @ axis))
