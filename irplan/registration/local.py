"""The registration around one lesion: rigid, then deformable, and the same the other way round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from irplan import units
from irplan.errors import InputRefused
from irplan.findings import Finding, Forbids, Severity, declare
from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.registration.engine import refine_deformable, refine_rigid
from irplan.registration.grids import Sheet, sheet
from irplan.registration.identity import STAGE
from irplan.registration.maps import LocalMap, RigidMap
from irplan.registration.shift import correlations
from irplan.registration.whole import correlation, grid_points, laid_over, with_rim
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume

#: What is looked at around a lesion, beyond its own points, mm.
AROUND_MM = 30.0
#: How far organs may have moved against the whole, mm (breathing moves a liver by up to 25).
REACH_MM = 28.0
#: Steps of the grids: of the search over all shifts, of the rigid and of the deformable step, mm.
SEARCH_STEP_MM, RIGID_STEP_MM, SPLINE_STEP_MM = 4.0, 2.0, 4.0
#: A found shift is taken only where it fits better than none by this much.
WORTH_SHIFTING = 0.02
#: The local steps are taken only where they fit better than the map of the whole by this much.
WORTH_MOVING = 0.001
RIGID_SHARE = 0.4
#: Distance of the spline's knots, mm, and the steps of its optimiser.
KNOT_MM = 45.0
SPLINE_STEPS = 12
#: The displacement goes to zero over this distance from the faces of its grid, mm.
TAPER_MM = 12.0
#: Tissue up to this far around the lesion tells how well the two images fit there, mm.
FIT_MM = 12.0
#: From this inverse-consistency error on a person has to look, mm; from the second on the place of
#: the lesion in the newer scan is not known.
DOUBTFUL_MM = 3.0
UNKNOWN_MM = 10.0
#: Correlation of the surroundings below which the fit is doubtful.
DOUBTFUL_FIT = 0.5

LESION_DOUBTFUL = declare(
    "lesion_registration_doubtful",
    Severity.WARN,
    STAGE,
    "{lesion}: its place in the newer scan is uncertain (there and back again misses by "
    "{error_mm} mm, correlation of the surroundings {similarity}): look at it",
)
LESION_LOST = declare(
    "lesion_registration_failed",
    Severity.STOP,
    STAGE,
    "{lesion}: its place in the newer scan is not known (there and back again misses by {error_mm} "
    "mm): show it by a gesture on the newer scan",
    forbids=Forbids.SIGNATURE,
)
LESION_UNREGISTERED = declare(
    "lesion_not_registered",
    Severity.STOP,
    STAGE,
    "{lesion}: its surroundings cannot be found in the newer scan: show it by a gesture there",
    forbids=Forbids.SIGNATURE,
)
LESION_OUTSIDE = declare(
    "lesion_outside_newer_scan",
    Severity.WARN,
    STAGE,
    "{lesion}: {percent} % of it lie outside the newer scan; it cannot be followed there",
)


@dataclass(frozen=True)
class LocalRegistration:
    """How the surroundings of a lesion lie in the newer scan.

    Attributes:
        lesion_id: the lesion.
        map: older points → newer points, LPS mm.
        error_mm: estimated error: the root mean square over the lesion's points of the way there
            by this map and back by the local one that was found independently from newer to
            older. It sees slips of either registration, and not what both get wrong alike.
        largest_mm: the largest such distance.
        similarity: correlation of lesion and surroundings after the registration, -1 to 1.
        moved_mm: how far the middle lies from where the rigid map of the whole puts it.
        outside: share of the lesion's points that lie outside the newer scan.
        findings: why it may not be believed.
    """

    lesion_id: str
    map: LocalMap
    error_mm: float | None
    largest_mm: float | None
    similarity: float | None
    moved_mm: float
    outside: float
    findings: tuple[Finding, ...]

    def document(self) -> dict[str, Any]:
        """The registration as documents print it."""
        return {
            "lesion_id": self.lesion_id,
            "kind": "rigid, then cubic B-splines",
            "error_mm": None if self.error_mm is None else units.mm_up(self.error_mm),
            "largest_error_mm": None if self.largest_mm is None else units.mm_up(self.largest_mm),
            "similarity": None if self.similarity is None else units.share(self.similarity),
            "moved_mm": units.mm(self.moved_mm),
            "outside": units.share(self.outside),
            "estimated_by": "inverse consistency: there by this map, back by one found "
            "independently from the newer scan to the older one",
        }


def register_lesion(
    lesion_id: str,
    points_lps_mm: FloatArray,
    old: CtVolume,
    old_body: BoolArray,
    new: CtVolume,
    new_body: BoolArray,
    whole: RigidMap,
    task: Task = SILENT,
) -> LocalRegistration:
    """The map around a lesion of the older scan, with its error.

    Args:
        points_lps_mm: (n, 3), points of the lesion's surface in the older scan, LPS mm.
        whole: the rigid map of the whole scans.
    """
    there = whole(points_lps_mm)
    outside = 1.0 - float(np.mean(new.geometry.contains(there)))
    if outside > 0.5:
        nowhere = LocalMap(whole, np.zeros((2, 2, 2, 3)), _small_grid(points_lps_mm))
        note = LESION_OUTSIDE(lesion_id, lesion=lesion_id, percent=round(100 * outside))
        return LocalRegistration(lesion_id, nowhere, None, None, None, 0.0, outside, (note,))
    task.step()
    try:
        forward, laid, fixed = _one_way(points_lps_mm, old, old_body, new, new_body, whole)
        task.step()
        backward, _, _ = _one_way(there, new, new_body, old, old_body, whole.inverse())
    except InputRefused:
        nowhere = LocalMap(whole, np.zeros((2, 2, 2, 3)), _small_grid(points_lps_mm))
        note = LESION_UNREGISTERED(lesion_id, lesion=lesion_id)
        return LocalRegistration(lesion_id, nowhere, None, None, None, 0.0, outside, (note,))
    forward = _no_worse(forward, laid, fixed, whole, points_lps_mm, new, new_body)
    moved = forward(points_lps_mm)
    gaps = np.linalg.norm(backward(moved) - points_lps_mm, axis=1)
    error, largest = float(np.sqrt(np.mean(gaps**2))), float(gaps.max())
    similarity = _fit(fixed, laid, points_lps_mm)
    centre = points_lps_mm.mean(axis=0)
    shift = float(np.linalg.norm(forward(centre) - whole(centre)))
    findings: list[Finding] = []
    if outside > 0.0:
        findings.append(LESION_OUTSIDE(lesion_id, lesion=lesion_id, percent=round(100 * outside)))
    told = {"lesion": lesion_id, "error_mm": units.mm_up(error)}
    if error > UNKNOWN_MM:
        findings.append(LESION_LOST(lesion_id, **told))
    elif error > DOUBTFUL_MM or similarity < DOUBTFUL_FIT:
        findings.append(LESION_DOUBTFUL(lesion_id, similarity=units.share(similarity), **told))
    return LocalRegistration(
        lesion_id, forward, error, largest, similarity, shift, outside, tuple(findings)
    )


def _small_grid(points_lps_mm: FloatArray) -> GridGeometry:
    """A grid of two voxels a side about the points; for a map that moves nothing of its own."""
    x, y, z = (float(value) for value in points_lps_mm.mean(axis=0))
    return GridGeometry((2, 2, 2), (1.0, 1.0, 1.0), (x, y, z))


def _one_way(
    points: FloatArray,
    old: CtVolume,
    old_body: BoolArray,
    new: CtVolume,
    new_body: BoolArray,
    whole: RigidMap,
) -> tuple[LocalMap, Sheet, Sheet]:
    """The map around points of one scan into the other; the moved image; the fixed one."""
    low, high = points.min(axis=0) - AROUND_MM, points.max(axis=0) + AROUND_MM
    corners = whole(_corners(low, high))
    far_low, far_high = corners.min(axis=0) - REACH_MM, corners.max(axis=0) + REACH_MM

    def both(step: float) -> tuple[Sheet, BoolArray, Sheet, BoolArray]:
        fixed = sheet(old, old_body, low, high, step)
        moving = sheet(new, new_body, far_low, far_high, step)
        rim = max(1, round(6.0 / step))
        return fixed, with_rim(fixed, rim), moving, with_rim(moving, rim)

    centre = points.mean(axis=0)
    rigid = whole.after(_shifted(both(SEARCH_STEP_MM), whole))
    fixed, fixed_mask, moving, moving_mask = both(RIGID_STEP_MM)
    rigid = refine_rigid(
        fixed, fixed_mask, moving, moving_mask, rigid, centre, RIGID_STEP_MM, RIGID_SHARE
    )
    fixed, fixed_mask, moving, moving_mask = both(SPLINE_STEP_MM)
    displacement = refine_deformable(
        fixed, fixed_mask, moving, moving_mask, rigid, KNOT_MM, (1,), SPLINE_STEPS
    )
    found = LocalMap(rigid, displacement * _taper(fixed)[..., None], fixed.grid)
    laid = _warped(moving, fixed, found)
    return found, laid, fixed


def _no_worse(
    found: LocalMap,
    laid: Sheet,
    fixed: Sheet,
    whole: RigidMap,
    points: FloatArray,
    new: CtVolume,
    new_body: BoolArray,
) -> LocalMap:
    """The map, or the rigid one of the whole where that fits the surroundings no worse.

    In a part without structure the local steps can drift away without fitting any better.
    """
    plain = LocalMap(whole, np.zeros_like(found.displacement_mm), fixed.grid)
    corners = whole(fixed.grid.corners_lps_mm())
    moving = sheet(
        new, new_body, corners.min(axis=0) - 6.0, corners.max(axis=0) + 6.0, SPLINE_STEP_MM
    )
    seen = with_rim(fixed, 2) & laid.seen
    unmoved = _warped(moving, fixed, plain)
    seen &= unmoved.seen
    gain = correlation(fixed.values[seen], laid.values[seen])
    gain -= correlation(fixed.values[seen], unmoved.values[seen])
    return found if gain > WORTH_MOVING else plain


def _shifted(sheets: tuple[Sheet, BoolArray, Sheet, BoolArray], whole: RigidMap) -> RigidMap:
    """The translation, before ``whole``, under which the surroundings fit best."""
    fixed, fixed_mask, moving, _ = sheets
    step = fixed.grid.spacing_mm[0]
    reach = int(REACH_MM / step)
    width, height, depth = (number + 2 * reach for number in fixed.grid.size)
    x, y, z = (float(v) for v in np.asarray(fixed.grid.origin_lps_mm) - reach * step)
    wide = GridGeometry((width, height, depth), (step, step, step), (x, y, z))
    laid = laid_over(moving, Sheet(fixed.values, fixed.body, fixed.seen, wide), whole)
    found = correlations(fixed.values, fixed_mask, laid.values, laid.seen, 0.9)
    # Only shifts that keep the small image within the wide one; the middle one shifts nothing.
    near = tuple(slice(number - 1, number + 2 * reach) for number in fixed.values.shape)
    inside = np.round(found[near], 6)
    none = float(inside[reach, reach, reach])
    place = np.unravel_index(int(np.argmax(inside)), inside.shape)
    if float(inside[place]) < none + WORTH_SHIFTING:
        return RigidMap.identity()
    z_steps, y_steps, x_steps = (int(p) - reach for p in place)
    return RigidMap.of_shift(step * np.array([x_steps, y_steps, z_steps]))


def _warped(moving: Sheet, fixed: Sheet, found: LocalMap) -> Sheet:
    """The moving sheet seen through the map on the fixed grid."""
    where = np.moveaxis(moving.grid.to_index(found(grid_points(fixed.grid)))[..., ::-1], -1, 0)
    values = ndimage.map_coordinates(moving.values, where, order=1, mode="nearest")
    body = ndimage.map_coordinates(moving.body.astype(np.uint8), where, order=0, mode="constant")
    seen = ndimage.map_coordinates(moving.seen.astype(np.uint8), where, order=0, mode="constant")
    return Sheet(values, body > 0, seen > 0, fixed.grid)


def _taper(fixed: Sheet) -> FloatArray:
    """One in the middle of the grid, zero on its faces, (z, y, x)."""
    parts = []
    for number in fixed.values.shape:
        steps = np.minimum(np.arange(number), np.arange(number)[::-1]) * fixed.grid.spacing_mm[0]
        parts.append(np.sin(np.pi / 2.0 * np.clip(steps / TAPER_MM, 0.0, 1.0)) ** 2)
    z, y, x = np.meshgrid(*parts, indexing="ij")
    return np.asarray(z * y * x)


def _fit(fixed: Sheet, laid: Sheet, points: FloatArray) -> float:
    """Correlation of both images in the lesion's box and FIT_MM around it."""
    index = fixed.grid.to_index(points)
    reach = FIT_MM / fixed.grid.spacing_mm[0]
    low = np.clip(np.floor(index.min(axis=0) - reach), 0, None).astype(int)
    high = np.ceil(index.max(axis=0) + reach).astype(int) + 1
    box = tuple(slice(int(low[axis]), int(high[axis])) for axis in (2, 1, 0))
    kept = laid.seen[box]
    return correlation(fixed.values[box][kept], laid.values[box][kept])


def _corners(low: FloatArray, high: FloatArray) -> FloatArray:
    pairs = list(zip(low, high, strict=True))
    return np.array([[x, y, z] for x in pairs[0] for y in pairs[1] for z in pairs[2]])
