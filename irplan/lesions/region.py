"""What the HU around a lesion say: how much a voxel looks like the inside, and what is bone.

The inside is learned in the core of the ellipsoid of the gestures, the outside in the shell around
it; both as histograms, so that a necrotic core or a mixed surrounding needs no model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.geometry import BoolArray, FloatArray
from irplan.lesions.crop import Crop, Field
from irplan.lesions.shape import Ellipsoid

#: Radii of the ellipsoid between which the inside and the outside are learned.
CORE_RADIUS = 0.75
SHELL_RADII = (1.15, 1.7)
#: The tissue right outside that may be taken for the lesion: between these radii, and within so
#: many HU (or three spreads of the core) of the core's level. Fat and air are no look-alikes.
NEARBY_RADII = (1.1, 1.4)
NEARBY_HU = 60.0
#: Fewer voxels of such tissue cannot mislead: the separation then taken.
NEARBY_VOXELS = 20
NEARBY_NONE = 0.95
#: HU are smoothed by this before anything is learned, mm.
SMOOTH_MM = 0.8
#: Bins of HU.
BINS = 64
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
        table, bin_hu: log ratio by HU bin about the level, and the width of a bin.
        separation: chance that a voxel of the core has the larger ratio than one around the
            lesion (area under the ROC curve; one half where they look alike).
        nearby: the same against the tissue of like HU right outside alone. It tells whether what
            the HU say can be trusted: fat and air around a lesion make the separation large though
            the muscle beside it looks the same.
        top_hu: the lesion is read with all that is denser taken down to this.
    """

    hu: Field
    ratio: FloatArray
    bone: BoolArray
    level_hu: float
    spread_hu: float
    table: FloatArray
    bin_hu: float
    separation: float
    nearby: float
    top_hu: float = float("inf")

    @property
    def trust(self) -> float:
        """How much the HU tell inside from outside, 0 (nothing) to 1."""
        return max(0.0, 2.0 * self.nearby - 1.0)

    def ratio_at(self, hu: FloatArray) -> FloatArray:
        """The log ratio of smoothed HU of any shape."""
        out: FloatArray = self.table[_bins(hu, self.level_hu, self.bin_hu)]
        return out


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
        return Region(hu, np.zeros(hu.shape), bone, 0.0, 5.0, np.zeros(BINS), 1.0, 0.5, 0.5)
    level = float(np.median(hu[inside]))
    spread = max(5.0, 1.4826 * float(np.median(np.abs(hu[inside] - level))))
    table, width, separation = _log_ratio(hu, inside, outside, level, spread)
    ratio = table[_bins(hu, level, width)]
    ratio[bone] = -RATIO_CAP
    nearby = _nearby(hu, inside, (radius, crop.in_field & ~bone), level, spread)
    return Region(hu, ratio, bone, level, spread, table, width, separation, nearby)


def without(region: Region, barred: BoolArray) -> Region:
    """The region with voxels that are surely no lesion: they count as bone does."""
    ratio = np.where(barred, -RATIO_CAP, region.ratio)
    return replace(region, ratio=ratio, bone=region.bone | barred)


def _nearby(
    hu: Field,
    inside: BoolArray,
    around: tuple[FloatArray, BoolArray],
    level: float,
    spread: float,
) -> float:
    """How well the core differs from the tissue of like HU right outside; see :class:`Region`."""
    radius, usable = around
    like = np.abs(hu - level) < max(NEARBY_HU, 3.0 * spread)
    outside = (radius > NEARBY_RADII[0]) & (radius < NEARBY_RADII[1]) & usable & like
    core = inside & like
    if np.count_nonzero(outside) < NEARBY_VOXELS or np.count_nonzero(core) < 5:
        return NEARBY_NONE
    return _log_ratio(hu, core, outside, level, spread)[2]


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


def _bins(hu: npt.NDArray[np.floating], level: float, width: float) -> npt.NDArray[np.integer]:
    """Number of the bin of each HU; the outer bins take what lies beyond."""
    out: npt.NDArray[np.integer] = np.clip(
        ((hu - level) / width + BINS / 2.0).astype(int), 0, BINS - 1
    )
    return out


def _log_ratio(
    hu: npt.NDArray[np.floating],
    inside: BoolArray,
    outside: BoolArray,
    level: float,
    spread: float,
) -> tuple[FloatArray, float, float]:
    """Log of (how often HU occur inside) over (how often outside) by bin, a bin's width in HU, and
    how well the ratio tells the two apart.

    64 bins over four spreads (100 HU at least) on each side of the level, smoothed by a third of
    the spread. Where there is no outside the ratio is 0: the image says nothing.
    """
    width = 2.0 * max(100.0, 4.0 * max(spread, 10.0)) / BINS
    if not outside.any():
        return np.zeros(BINS), width, 0.5
    sigma = max(1.0, 0.35 * spread / width)
    counts = [
        np.bincount(_bins(hu[region], level, width), minlength=BINS).astype(float)
        for region in (inside, outside)
    ]
    smooth = [ndimage.gaussian_filter1d(count, sigma, mode="nearest") for count in counts]
    shares = [one / one.sum() for one in smooth]
    floor = 0.05 / BINS
    ratio = np.clip(np.log((shares[0] + floor) / (shares[1] + floor)), -RATIO_CAP, RATIO_CAP)
    return np.asarray(ratio, dtype=float), width, _separation(ratio, *counts)


def _separation(ratio: FloatArray, inside: FloatArray, outside: FloatArray) -> float:
    """Area under the ROC curve of a score by bin, ties counted half."""
    order = np.argsort(ratio, kind="stable")
    _, group = np.unique(ratio[order], return_inverse=True)
    own = np.bincount(group, weights=inside[order])
    other = np.bincount(group, weights=outside[order])
    below = np.cumsum(other) - other
    return float((own * (below + other / 2.0)).sum() / (own.sum() * other.sum()))


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
