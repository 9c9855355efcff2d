"""What the HU around a lesion say: how much a voxel looks like the inside, and what is bone.

The inside is learned in the core of the ellipsoid of the gestures, the outside in the shell around
it; both as histograms, so that a necrotic core or a mixed surrounding needs no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.geometry import BoolArray, FloatArray
from irplan.lesions.crop import Crop, Field
from irplan.lesions.shape import Ellipsoid

#: Radii of the ellipsoid between which the inside and the outside are learned.
CORE_RADIUS = 0.75
SHELL_RADII = (1.15, 1.7)
#: HU are smoothed by this before anything is learned, mm.
SMOOTH_MM = 0.8
#: Largest log ratio that one voxel may give.
RATIO_CAP = 1.5
#: From here on a voxel is bone, if it hangs together with bone beyond the lesion, HU.
BONE_HU = 300
#: A dense part is bone where less than this share of it lies within the ellipsoid; otherwise it is
#: part of the lesion (calcification, embolisation material).
BONE_INSIDE_SHARE = 0.5
BONE_INSIDE_RADIUS = 1.15


@dataclass(frozen=True)
class Region:
    """What was learned from the HU of a crop.

    Attributes:
        hu: smoothed HU, (z, y, x) of the crop.
        ratio: log of inside over outside likelihood, within ± RATIO_CAP; -RATIO_CAP in bone.
        bone: voxels that are surely bone beside the lesion.
        level_hu, spread_hu: median and robust spread (1.48 MAD, at least 5) of the core.
    """

    hu: Field
    ratio: FloatArray
    bone: BoolArray
    level_hu: float
    spread_hu: float


def smoothed(crop: Crop, sigma_mm: float) -> Field:
    """HU smoothed by a Gaussian of ``sigma_mm``."""
    out: Field = ndimage.gaussian_filter(crop.hu, sigma_mm / crop.step_mm, mode="nearest")
    return out


def learn(crop: Crop, shape: Ellipsoid, radius: FloatArray) -> Region:
    """The region model of a crop.

    Args:
        crop: HU around the lesion.
        shape: ellipsoid of the gestures.
        radius: ``shape.radius`` of the crop's voxels, (z, y, x).
    """
    hu = smoothed(crop, SMOOTH_MM)
    bone = _bone(crop, radius)
    inside = (radius < CORE_RADIUS) & crop.in_field & ~bone
    if np.count_nonzero(inside) < 20:
        bone = np.zeros_like(bone)
        inside = (radius < CORE_RADIUS) & crop.in_field
    outside = (radius > SHELL_RADII[0]) & (radius < SHELL_RADII[1]) & crop.in_field
    if not inside.any():
        return Region(hu, np.zeros(hu.shape), bone, 0.0, 5.0)
    level = float(np.median(hu[inside]))
    spread = max(5.0, 1.4826 * float(np.median(np.abs(hu[inside] - level))))
    ratio = _log_ratio(hu, inside, outside, level, spread)
    ratio[bone] = -RATIO_CAP
    return Region(hu, ratio, bone, level, spread)


def _bone(crop: Crop, radius: FloatArray) -> BoolArray:
    dense = crop.hu > BONE_HU
    labels, count = ndimage.label(dense)
    if count == 0:
        return dense
    whole = np.bincount(labels.ravel(), minlength=count + 1)
    within = np.bincount(labels[radius < BONE_INSIDE_RADIUS], minlength=count + 1)
    bone = within < BONE_INSIDE_SHARE * whole
    bone[0] = False
    out: BoolArray = bone[labels]
    return out


def _log_ratio(
    hu: npt.NDArray[np.floating],
    inside: BoolArray,
    outside: BoolArray,
    level: float,
    spread: float,
) -> FloatArray:
    """Per voxel log of (how often its HU occur inside) over (how often outside).

    64 bins over four spreads (100 HU at least) on each side of the level, smoothed by a third of
    the spread. Where there is no outside the ratio is 0: the image says nothing.
    """
    if not outside.any():
        return np.zeros(hu.shape)
    reach = max(100.0, 4.0 * max(spread, 10.0))
    bins = 64
    width = 2.0 * reach / bins
    number = np.clip(((hu - level + reach) / width).astype(int), 0, bins - 1)
    sigma = max(1.0, 0.35 * spread / width)
    shares = []
    for region in (inside, outside):
        raw = np.bincount(number[region], minlength=bins).astype(float)
        smooth = ndimage.gaussian_filter1d(raw, sigma, mode="nearest")
        shares.append(smooth / smooth.sum())
    floor = 0.05 / bins
    ratio = np.clip(np.log((shares[0] + floor) / (shares[1] + floor)), -RATIO_CAP, RATIO_CAP)
    return np.asarray(ratio[number], dtype=float)


def main_part(field: Field, seeds: BoolArray, level: float = 0.5) -> Field:
    """The field with every part above ``level`` lowered that holds no voxel of ``seeds``.

    Where no part holds one, the largest part stays.
    """
    labels, count = ndimage.label(field > level)
    if count <= 1:
        return field
    hits = np.bincount(labels[seeds], minlength=count + 1)
    hits[0] = 0
    keep = hits >= max(1, int(hits.max()) // 10)
    if not hits.any():
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        keep = sizes == sizes.max()
    keep[0] = False
    drop = (labels > 0) & ~keep[labels]
    out: Field = np.where(drop, np.minimum(field, np.float32(level * 0.98)), field)
    return out
