"""The field of a lesion: how likely each voxel of a crop is to be inside.

Two sources are added as log odds: how far the voxel lies inside the ellipsoid of the gestures, and
whether its HU look like the ellipsoid's core or like the shell around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from irplan.geometry import BoolArray, FloatArray
from irplan.lesions.crop import Crop, Field
from irplan.lesions.shape import Ellipsoid


@dataclass(frozen=True)
class RegionSettings:
    """Settings of the field. Found on real lesions, see docs/decisions.

    Attributes:
        softness: width of the ellipsoid's border, in units of its radius.
        scale: the border's place; below 1, since lesions fill their ellipsoid only in part.
        image_weight: weight of the HU against the ellipsoid.
        core, shell_low, shell_high: radii between which inside and outside HU are learned.
        cap: largest log ratio that one voxel's HU may give.
        smooth_mm: smoothing of the HU.
    """

    softness: float = 0.12
    scale: float = 0.97
    image_weight: float = 0.45
    core: float = 0.75
    shell_low: float = 1.15
    shell_high: float = 1.7
    cap: float = 2.5
    smooth_mm: float = 1.2


def smoothed(crop: Crop, sigma_mm: float) -> Field:
    """HU smoothed by a Gaussian of ``sigma_mm``."""
    out: Field = ndimage.gaussian_filter(crop.hu, sigma_mm / crop.step_mm, mode="nearest")
    return out


def log_ratio(hu: Field, inside: BoolArray, outside: BoolArray, cap: float) -> FloatArray:
    """Per voxel log of (how often its HU occur inside) over (how often outside), within ±cap.

    Both histograms are smoothed by a third of the spread of the inside. Where either region is
    empty the ratio is 0: the image says nothing.
    """
    if not inside.any() or not outside.any():
        return np.zeros(hu.shape)
    middle = float(np.median(hu[inside]))
    spread = max(10.0, 1.4826 * float(np.median(np.abs(hu[inside] - middle))))
    reach = max(100.0, 4.0 * spread)
    bins = 64
    width = 2.0 * reach / bins
    number = np.clip(((hu - middle + reach) / width).astype(int), 0, bins - 1)
    sigma = max(1.0, 0.35 * spread / width)
    counts = []
    for region in (inside, outside):
        raw = np.bincount(number[region], minlength=bins).astype(float)
        smooth = ndimage.gaussian_filter1d(raw, sigma, mode="nearest")
        counts.append(smooth / smooth.sum())
    floor = 0.05 / bins
    ratio: FloatArray = np.clip(np.log((counts[0] + floor) / (counts[1] + floor)), -cap, cap)
    return np.asarray(ratio[number], dtype=float)


def log_odds(crop: Crop, shape: Ellipsoid, settings: RegionSettings) -> FloatArray:
    """Log odds of each voxel to lie in the lesion, (z, y, x)."""
    hu = smoothed(crop, settings.smooth_mm)
    radius = shape.radius(crop.points_mm)
    inside = (radius < settings.core) & crop.in_field
    outside = (radius > settings.shell_low) & (radius < settings.shell_high) & crop.in_field
    image = log_ratio(hu, inside, outside, settings.cap)
    return (settings.scale - radius) / settings.softness + settings.image_weight * image


def probability(odds: FloatArray, crop: Crop) -> Field:
    """The field 0..1 of log odds; 0 outside the scan."""
    field: Field = (1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0)))).astype(np.float32)
    field[~crop.in_field] = 0.0
    return field


def main_part(field: Field, seeds: BoolArray, level: float = 0.5) -> Field:
    """The field with every part above ``level`` lowered that holds no voxel of ``seeds``.

    Where no part holds one, the largest part stays.
    """
    labels, count = ndimage.label(field > level)
    if count <= 1:
        return field
    hits = np.bincount(labels[seeds], minlength=count + 1)
    hits[0] = 0
    keep = hits > 0
    if not keep.any():
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        keep[int(sizes.argmax())] = True
    drop = (labels > 0) & ~keep[labels]
    out: Field = np.where(drop, np.minimum(field, np.float32(level * 0.98)), field)
    return out
