"""Whether a drawn diameter spans two lesions: a stretch along it that looks like what lies around.

The line is read as the mean of a thin bundle, and on beyond both its ends. Where a stretch between
two solid parts is more like the tissue beyond the ends than like the parts, the line may have been
drawn over two lesions.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from irplan import units
from irplan.findings import Finding, Severity, declare
from irplan.geometry import FloatArray
from irplan.lesions.gestures import Diameter, Prompt
from irplan.lesions.shape import grid_mm
from irplan.volume import CtVolume

STAGE = "lesions"

LINE_CROSSES_GAP = declare(
    "diameter_crosses_gap",
    Severity.WARN,
    STAGE,
    "{lesion}: a diameter crosses {gap_mm} mm that look like the tissue around, between two parts "
    "that look like lesion: does it span two lesions? Draw them apart",
)

#: Half width of the bundle of rays along a line, mm, and the step along it.
BUNDLE_MM = 1.5
STEP_MM = 0.5
#: How far beyond the ends of the line the surroundings are read, mm: from here to there.
BEYOND_MM = (2.5, 7.0)
#: Lesion and surroundings must differ by this much, HU, and by this many times the noise.
GAP_CONTRAST_HU = 30.0
GAP_CONTRAST_NOISE = 2.0
#: A gap shorter than this may be noise or a small vessel's fat, mm.
GAP_MM = 3.0
#: Beside a gap this share of its own length must look like lesion, on both sides.
BESIDE_SHARE = 0.7
#: Both ends of the line see the same surroundings where they differ by less than this share of the
#: contrast.
ENDS_SHARE = 0.5


def gaps(prompt: Prompt, volume: CtVolume) -> tuple[Finding, ...]:
    """A finding for a diameter that leaves the lesion and comes back to it."""
    lines = [item for item in prompt.gestures if isinstance(item, Diameter)]
    longest = max((gap_along_mm(line, volume) for line in lines), default=0.0)
    if longest < GAP_MM:
        return ()
    name = prompt.lesion_id
    return (LINE_CROSSES_GAP(name, lesion=name, gap_mm=units.mm(longest)),)


def gap_along_mm(line: Diameter, volume: CtVolume) -> float:
    """Longest stretch of the line that looks like its surroundings between two solid parts, mm."""
    start = grid_mm(volume.geometry, line.start_lps_mm)
    along = grid_mm(volume.geometry, line.end_lps_mm) - start
    length = float(np.linalg.norm(along))
    places = np.arange(-BEYOND_MM[1], length + BEYOND_MM[1], STEP_MM)
    hu = _bundle(volume, start, along / length, places)
    within = (places > 0.0) & (places < length)
    before = hu[(places < -BEYOND_MM[0])]
    behind = hu[(places > length + BEYOND_MM[0])]
    if min(before.size, behind.size) < 3 or np.count_nonzero(within) < 8:
        return 0.0
    inside = _solid(hu[within], np.concatenate([before, behind]))
    ends = float(np.median(before)), float(np.median(behind))
    outside = sum(ends) / 2.0
    contrast = abs(inside - outside)
    noise = 1.4826 * float(np.median(np.abs(np.diff(hu)))) / np.sqrt(2.0)
    if contrast < max(GAP_CONTRAST_HU, GAP_CONTRAST_NOISE * noise):
        return 0.0
    if abs(ends[0] - ends[1]) > ENDS_SHARE * contrast:
        return 0.0
    part = (hu[within] - outside) / (inside - outside)
    thin = np.concatenate([[False], part < 0.4, [False]])
    edges = np.flatnonzero(np.diff(thin.astype(int)))
    solid = part > 0.6
    found = 0.0
    for first, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        run = stop - first
        beside = min(
            np.count_nonzero(solid[max(0, first - run) : first]),
            np.count_nonzero(solid[stop : stop + run]),
        )
        if beside >= BESIDE_SHARE * run:
            found = max(found, run * STEP_MM)
    return found


def _solid(within: FloatArray, around: FloatArray) -> float:
    """HU of the lesion: of the half of the line that is least like the surroundings."""
    away = np.abs(within - np.median(around))
    return float(np.median(within[away >= np.median(away)]))


def _bundle(
    volume: CtVolume, start: FloatArray, direction: FloatArray, places: FloatArray
) -> FloatArray:
    """Mean HU of five parallel rays at places along a line; (n,). Nearest beyond the scan."""
    helper = np.eye(3)[int(np.argmin(np.abs(direction)))]
    first = np.cross(direction, helper)
    first /= np.linalg.norm(first)
    second = np.cross(direction, first)
    aside = BUNDLE_MM * np.array([0 * first, first, -first, second, -second])
    points = start + places[:, None, None] * direction + aside[None]
    index = np.moveaxis((points / np.asarray(volume.geometry.spacing_mm))[..., ::-1], -1, 0)
    hu = ndimage.map_coordinates(volume.hu, index, order=1, mode="nearest", output=np.float64)
    return np.asarray(hu.mean(axis=1), dtype=float)
