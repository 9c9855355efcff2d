"""What looks like a new lesion: a compact lump in fat or lung that the older scan does not show.

Only lumps that air or fat surrounds can be told from normal tissue without knowing anatomy; new
lesions inside organs, muscle or at the gut are not looked for, and every follow-up says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import cc3d
import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.findings import Severity, declare
from irplan.geometry import BoolArray, FloatArray, PointLps
from irplan.lesions.lesion import LesionMask
from irplan.registration.grids import Sheet, sheet
from irplan.registration.maps import RigidMap
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume

STAGE = "follow-up"

#: HU of a lump, from halfway between fat and solid tissue on, and of what surrounds it (fat, lung).
LUMP_HU = (-20.0, 250.0)
SURROUND_HU = -30.0
#: Volume of a lump, mL; below it is a vessel or a node of no size, above it an organ.
LUMP_ML = (0.4, 60.0)
#: Longest over shortest axis of a lump, and its share of its own ellipsoid.
LONGEST_RATIO = 2.5
LEAST_FILLED = 0.75
#: Share of the shell around a lump that is fat or lung.
LEAST_SURROUNDED = 0.8
SHELL_MM = 3.0
#: A lump is cut from its stalks where it is thinner than twice this, mm.
OPENING_MM = 2.0
#: The step of the grid on which is looked, mm.
STEP_MM = 2.0
#: The older scan shows it too where this share of its voxels is soft tissue there, the place
#: shifted by this much at most, mm; or where a lump of a like volume lies this near, mm.
SOFT_SHARE = 0.7
SHIFT_MM = 4.0
OLDER_LUMP_MM = 15.0
LIKE_VOLUME = 3.0

NEW_PROPOSED = declare(
    "new_lesion_proposed",
    Severity.WARN,
    STAGE,
    "{lesion}: a lump of {volume_ml} mL at {place} was not there in the older scan; it is no "
    "lesion until a person says so",
)
NEW_IN_ORGANS = declare(
    "new_lesions_not_searched",
    Severity.INFO,
    STAGE,
    "new lesions are looked for in fat and lung only; whether there are new ones in organs, muscle "
    "or bowel a reader has to say",
)


@dataclass(frozen=True)
class Lump:
    """A lump that may be a new lesion.

    Attributes:
        centre_lps_mm: its middle, LPS mm.
        ends_lps_mm: its three axes, longest first, each two points.
        volume_ml: on the grid of the search.
        points_lps_mm: (n, 3), its voxels.
    """

    centre_lps_mm: PointLps
    ends_lps_mm: tuple[tuple[PointLps, PointLps], ...]
    volume_ml: float
    points_lps_mm: FloatArray = field(repr=False, compare=False)


def new_lumps(
    old: CtVolume,
    old_body: BoolArray,
    new: CtVolume,
    new_body: BoolArray,
    whole: RigidMap,
    known: Iterable[LesionMask],
    task: Task = SILENT,
) -> tuple[Lump, ...]:
    """Compact lumps of the newer scan in fat or lung that the older one does not show.

    Args:
        whole: older points → newer points.
        known: lesions of the newer scan; what they hold is not new.

    Returns:
        The largest first.
    """
    taken = tuple(known)
    back = whole.inverse()
    task.step(0, 2)
    found = [one for one in lumps(new, new_body) if not _is_known(one.centre_lps_mm, taken)]
    found = [one for one in found if not _was_soft(one, old, old_body, back)]
    task.step(1, 2)
    before = lumps(old, old_body) if found else ()
    task.step(2, 2)
    return tuple(one for one in found if not _was_lump(one, before, back))


def lumps(volume: CtVolume, body: BoolArray) -> tuple[Lump, ...]:
    """Every compact lump of soft tissue in fat or lung, the largest first."""
    corners = volume.geometry.corners_lps_mm()
    seen = sheet(volume, body, corners.min(axis=0), corners.max(axis=0), STEP_MM)
    soft = (seen.values > LUMP_HU[0]) & (seen.values < LUMP_HU[1]) & seen.body
    deep = _distance(~soft, seen)
    parts = cc3d.connected_components(deep > OPENING_MM, connectivity=26)
    counts = np.bincount(parts.ravel())
    most = LUMP_ML[1] / seen.grid.voxel_ml
    found = []
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        if box is not None and counts[number] <= most:
            lump = _lump(number, box, parts, soft, seen)
            if lump is not None:
                found.append(lump)
    return tuple(sorted(found, key=lambda one: (-one.volume_ml, one.centre_lps_mm)))


def _lump(
    number: int, box: tuple[slice, ...], parts: npt.NDArray[Any], soft: BoolArray, seen: Sheet
) -> Lump | None:
    """The lump about one core; None where it is none."""
    wide = tuple(
        slice(max(0, span.start - 6), min(size, span.stop + 6))
        for span, size in zip(box, parts.shape, strict=True)
    )
    core = parts[wide] == number
    inside = (_distance(core, seen) <= OPENING_MM + 0.5) & soft[wide]
    volume_ml = float(np.count_nonzero(inside)) * seen.grid.voxel_ml
    if not LUMP_ML[0] <= volume_ml <= LUMP_ML[1]:
        return None
    gap = _distance(inside, seen)
    around = seen.values[wide][(gap > 0.5) & (gap <= SHELL_MM)]
    if around.size == 0 or np.mean(around < SURROUND_HU) < LEAST_SURROUNDED:
        return None
    index = (np.argwhere(inside) + np.array([span.start for span in wide]))[:, ::-1]
    return _ellipsoid_of(seen.grid.to_lps(index), volume_ml)


def _distance(mask: BoolArray, seen: Sheet) -> npt.NDArray[np.float32]:
    """Distance of every voxel from the true ones, mm."""
    spacing = seen.grid.spacing_zyx_mm
    out: npt.NDArray[np.float32] = edt.edt(
        (~mask).astype(np.uint8), anisotropy=spacing, black_border=False, parallel=1
    )
    return out


def _ellipsoid_of(points: FloatArray, volume_ml: float) -> Lump | None:
    """The lump's ellipsoid; None where it is drawn out or far from filling one."""
    if len(points) < 8:
        return None
    centre = points.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((points - centre).T))
    half = np.sqrt(np.maximum(5.0 * values, 0.25))[::-1]
    if half[0] / half[2] > LONGEST_RATIO:
        return None
    if volume_ml < LEAST_FILLED * 4.0 / 3.0 * np.pi * float(half.prod()) / 1000.0:
        return None
    ends = tuple(
        (_point(centre - length * axis), _point(centre + length * axis))
        for length, axis in zip(half, vectors[:, ::-1].T, strict=True)
    )
    return Lump(_point(centre), ends, volume_ml, points)


def _is_known(centre: PointLps, known: Iterable[LesionMask]) -> bool:
    for mask in known:
        i, j, k = mask.grid.nearest_index(centre)
        # Within a voxel or two of a lesion is that lesion.
        low = np.asarray(mask.start) - 2
        high = np.asarray(mask.start) + np.asarray(mask.voxels.shape[::-1]) + 2
        if np.all(np.array([i, j, k]) >= low) and np.all(np.array([i, j, k]) < high):
            return True
    return False


def _was_soft(lump: Lump, old: CtVolume, old_body: BoolArray, back: RigidMap) -> bool:
    """Whether the older scan holds soft tissue at its place; also where it does not show it."""
    points = back(lump.points_lps_mm)
    if not bool(old.geometry.contains(points).all()):
        return True
    reach = SHIFT_MM + STEP_MM
    there = sheet(old, old_body, points.min(axis=0) - reach, points.max(axis=0) + reach, STEP_MM)
    steps = np.arange(-SHIFT_MM, SHIFT_MM + 0.1, STEP_MM)
    shifts = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    for shift in shifts[np.linalg.norm(shifts, axis=1) <= SHIFT_MM]:
        index = np.rint(there.grid.to_index(points + shift)).astype(int)
        i, j, k = np.clip(index, 0, np.asarray(there.grid.size) - 1).T
        if float(np.mean(there.values[k, j, i] > LUMP_HU[0])) >= SOFT_SHARE:
            return True
    return False


def _was_lump(lump: Lump, before: Iterable[Lump], back: RigidMap) -> bool:
    """Whether a lump of a like volume lay near its place: something that moved with the breath."""
    place = back(np.asarray(lump.centre_lps_mm))
    for one in before:
        near = np.linalg.norm(np.asarray(one.centre_lps_mm) - place) <= OLDER_LUMP_MM
        ratio = lump.volume_ml / one.volume_ml
        if near and 1.0 / LIKE_VOLUME <= ratio <= LIKE_VOLUME:
            return True
    return False


def _point(values: FloatArray) -> PointLps:
    x, y, z = (float(value) for value in np.round(values, 2) + 0.0)
    return x, y, z
