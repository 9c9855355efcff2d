"""The necrotic share of a lesion, where the scan can show it.

Necrosis is the part that takes up no contrast. It can be told only where contrast was given and
part of the lesion enhances; otherwise the share is unknown, and never 0.

Method: voxels within :data:`BORDER_MM` and half a voxel of the border are left out along each axis,
since partial volume makes them look dark; the HU of the rest are smoothed over :data:`SMOOTH_MM`,
and nothing from the border or beyond flows in. Solid tumour has the level of the brightest tenth.
What lies below the middle between that and :data:`FLUID_HU` counts as necrotic, so that the border
of a core falls at half height. Fat and air are not counted. All thresholds are customary settings.
"""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import edt
import numpy as np
from scipy import ndimage

from irplan import units
from irplan.geometry import BoolArray
from irplan.lesions.lesion import LesionMask
from irplan.volume import CtVolume

SMOOTH_MM = 1.5
BORDER_MM = 1.5
#: Necrotic tissue and fluid, HU.
FLUID_HU = 20.0
#: Below this level the brightest tenth of the lesion does not enhance, HU.
ENHANCING_HU = 50.0
#: Fat and air lie below this, HU; a dark piece with more of it than this share is none.
FAT_HU = -20.0
FAT_SHARE = 0.2
#: Smaller pieces are noise, mL.
SMALLEST_ML = 0.05
#: Smaller lesions show no core that could be told from partial volume, mL.
SMALLEST_LESION_ML = 1.0


@dataclass(frozen=True)
class Necrosis:
    """The necrotic share of a lesion's volume, 0 to 1, or why it is unknown."""

    share: float | None
    unknown_why: str = ""


def behind_border(inside: BoolArray, spacing_zyx_mm: tuple[float, float, float]) -> BoolArray:
    """The voxels of a body that partial volume and blur at its border do not reach.

    A voxel that touches the outside across a face is left out whole, however thick it is.

    Args:
        inside: bool (z, y, x); what lies beyond the array is outside.
    """
    shares = [step / (BORDER_MM + 0.5 * step) for step in spacing_zyx_mm]
    padded = np.ascontiguousarray(np.pad(inside, 1))
    behind = ndimage.binary_erosion(padded) & (edt.edt(padded, anisotropy=shares, parallel=1) > 1.0)
    return np.asarray(behind[1:-1, 1:-1, 1:-1])


def necrotic_share(mask: LesionMask, volume: CtVolume) -> Necrosis:
    """The share of a lesion that does not enhance.

    Args:
        mask: on the grid of the CT.
        volume: the CT; its identity says whether contrast was given.
    """
    contrast = volume.identity.contrast
    if not contrast or volume.identity.without_contrast:
        said = (
            "was made without contrast" if contrast else "does not say whether contrast was given"
        )
        return Necrosis(None, f"the scan {said}")
    if mask.voxel_volume_ml < SMALLEST_LESION_ML:
        return Necrosis(None, f"the lesion is smaller than {SMALLEST_LESION_ML:g} mL")
    spacing = mask.grid.spacing_zyx_mm
    inside = np.pad(mask.voxels, 1)
    hu = np.pad(volume.hu[mask.slices_zyx], 1).astype(np.float32)
    core = behind_border(inside, spacing)
    if np.count_nonzero(core) * mask.grid.voxel_ml < 0.5 * SMALLEST_LESION_ML:
        return Necrosis(None, "the lesion is too thin to tell its core from its border")
    sigma = [SMOOTH_MM / step for step in spacing]
    weight = ndimage.gaussian_filter(core.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(np.where(core, hu, 0.0), sigma) / np.maximum(weight, 1e-6)
    solid_hu = float(np.percentile(smooth[core], 90.0))
    if solid_hu < ENHANCING_HU:
        level = units.hu(solid_hu)
        return Necrosis(
            None, f"no part of the lesion enhances (its brightest tenth has {level} HU)"
        )
    dark = core & (smooth < 0.5 * (solid_hu + FLUID_HU))
    pieces = cc3d.connected_components(np.ascontiguousarray(dark), connectivity=6)
    sizes = np.bincount(pieces.ravel())
    fat = np.bincount(pieces.ravel(), smooth.ravel() < FAT_HU)
    # The rim of a fatty or airy part passes through the HU of necrosis: it goes as a whole.
    counted = (sizes * mask.grid.voxel_ml >= SMALLEST_ML) & (fat <= FAT_SHARE * sizes)
    counted[0] = False
    return Necrosis(int(sizes[counted].sum()) / int(np.count_nonzero(mask.voxels)))
