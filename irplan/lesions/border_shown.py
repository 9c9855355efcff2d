"""Where the image shows a lesion's border: a step in smoothed HU across it.

Each voxel of the border is looked at along the outward normal of the mask: the smoothed HU a little
inside and a little outside. A step of more than :data:`STEP_HU` counts as seen (the figure by which
visible borders of real lesions were told; a setting). Elsewhere the border is assumed.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from irplan.geometry import BoolArray
from irplan.lesions.lesion import LesionMask
from irplan.volume import CtVolume

STEP_HU = 20.0
SMOOTH_MM = 1.0
#: How far inside and outside the border the HU are read, mm; no less than 1.2 voxels.
REACH_MM = 2.5
#: Seen or not is decided by most of the border within this distance, mm.
TOGETHER_MM = 2.0


def border_seen(mask: LesionMask, volume: CtVolume) -> BoolArray:
    """Whether the image shows the border near each voxel of a lesion's box.

    Args:
        mask: on the grid of the CT.
        volume: the CT.

    Returns:
        bool (z, y, x) of the mask's box; it means something at the border only.
    """
    spacing = np.asarray(mask.grid.spacing_zyx_mm)
    pad = np.ceil((REACH_MM + 2.0 * SMOOTH_MM) / spacing).astype(int) + 2
    low = np.array([max(0, one.start - n) for one, n in zip(mask.slices_zyx, pad, strict=True)])
    high = [
        min(size, one.stop + n)
        for one, n, size in zip(mask.slices_zyx, pad, mask.grid.shape_zyx, strict=True)
    ]
    spans = tuple(slice(int(first), int(last)) for first, last in zip(low, high, strict=True))
    inner = tuple(
        slice(one.start - int(first), one.stop - int(first))
        for one, first in zip(mask.slices_zyx, low, strict=True)
    )
    inside = np.zeros([span.stop - span.start for span in spans], dtype=bool)
    inside[inner] = mask.voxels
    hu = ndimage.gaussian_filter(volume.hu[spans].astype(np.float32), SMOOTH_MM / spacing)
    soft = ndimage.gaussian_filter(inside.astype(np.float32), 1.5 / spacing)
    border = inside & ~ndimage.binary_erosion(inside)
    index = np.argwhere(border).astype(float)
    slope = np.stack(np.gradient(soft, *spacing), axis=-1)[border]
    length = np.linalg.norm(slope, axis=-1, keepdims=True)
    outward = -slope / np.where(length > 1e-9, length, 1.0)
    # No less than 1.2 voxels along the way: across thick slices nearer places share a voxel.
    along = 1.2 / np.maximum(np.linalg.norm(outward / spacing, axis=1), 1e-9)
    reach = np.maximum(REACH_MM, along)[:, None]
    step = ndimage.map_coordinates(
        hu, (index - outward * reach / spacing).T, order=1, mode="nearest"
    ) - ndimage.map_coordinates(hu, (index + outward * reach / spacing).T, order=1, mode="nearest")
    shown = np.zeros(inside.shape, dtype=np.float32)
    shown[border] = np.abs(step) > STEP_HU
    sigma = TOGETHER_MM / 2.0 / spacing
    votes = ndimage.gaussian_filter(shown, sigma)
    voters = ndimage.gaussian_filter(border.astype(np.float32), sigma)
    return np.asarray((votes > 0.5 * voters)[inner])
