"""The nearest relaxation: the smallest change of one setting that would let a path through.

Every candidate gets a bound below which its change cannot lie: exact for length, tilt, skin angle,
table, room for the hand, outline, pleura and ribs; from the clearance field for structures; 0 for
the rest. A candidate that breaks two of them for certain is left out. The others are measured in
full, those with the lowest bound first, until no bound lies below what was found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from irplan.geometry import BoolArray, FloatArray
from irplan.tasks import SILENT, Task
from irplan.trajectory import kernels, verdict
from irplan.trajectory.check import ConstraintCheck
from irplan.trajectory.margins import Margins
from irplan.trajectory.measure import check_path, measure_path
from irplan.trajectory.needle import Relaxation
from irplan.trajectory.prefilter import hard_value, organs_kept, rib_shares
from irplan.trajectory.rules import VESSEL_IN_LUNG_MM
from irplan.trajectory.search import Search

#: Candidates that break one certain limit alone are tested at a time, and at most, by that limit.
AT_ONCE = 2_000
MOST_TESTED = 200_000
#: Of these, measured in full at most.
MOST_MEASURED = 300
#: The limits that the search counts one by one, and a bit of our own for structures.
LIMIT_BITS = (
    kernels.TOO_DEEP,
    kernels.TILTED,
    kernels.SKIN_ANGLE,
    kernels.TABLE,
    kernels.OUTSIDE,
    kernels.APPROACH,
    kernels.PLEURA,
)
NEAR_STRUCTURE = 1 << 12
CLEARANCE = "clearance: "
#: More than what numbers are rounded by.
_HAIR = 1e-6

StatusArray = npt.NDArray[np.uint16]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Group:
    """Candidates that break the same one limit for certain, or none.

    Attributes:
        kind: its bit, :data:`NEAR_STRUCTURE`, or 0.
        candidates: the lowest bound first.
        bounds: the share of the limit that each misses it by at least.
    """

    kind: int
    candidates: Numbers
    bounds: FloatArray


def nearest_relaxation(
    search: Search, status: StatusArray, task: Task = SILENT
) -> tuple[Relaxation | None, bool]:
    """The smallest relative change of one setting that lets a candidate through.

    Args:
        status: of every candidate, all limits looked at (:meth:`.Search.evaluate` in full).

    Returns:
        The change, None where none was found; and whether it is certain that no candidate needs
        less (that none comes by, where there is none). It is not where one limit alone stops more
        candidates than are tested.
    """
    best: tuple[float, Relaxation] | None = None
    # Bounds of those that were left out because there are too many.
    left_out = [np.inf]
    for group in _groups(search, status):
        measured = 0
        for floor, candidates, bounds in _single_failures(search, group):
            task.step()
            if best is not None and floor >= best[0]:
                break
            if measured >= MOST_MEASURED:
                left_out.append(floor)
                break
            for candidate, bound in zip(candidates.tolist(), bounds.tolist(), strict=True):
                if best is not None and bound >= best[0]:
                    break
                if measured >= MOST_MEASURED:
                    left_out.append(floor)
                    break
                measured += 1
                found = _change_of(search, candidate)
                if found is not None and (best is None or found[0] < best[0]):
                    best = found
        if len(group.candidates) > MOST_TESTED:
            left_out.append(float(group.bounds[MOST_TESTED]))
    if best is None:
        return None, len(left_out) == 1
    return best[1], min(left_out) >= best[0]


def _groups(search: Search, status: StatusArray) -> list[_Group]:
    """The candidates that break at most one limit for certain, by limit, the mildest first."""
    field = search.scene.field_for(search.margins)
    slack = kernels.least_slack(
        search.entries_local, search.targets_local, field.slack, field.cell_mm
    ).ravel()
    # What the field leaves in doubt is not held against a candidate.
    near = (slack < -field.doubt_mm) | ((status.ravel() & np.uint16(kernels.CROSSED)) > 0)
    reasons = np.where(near, np.uint16(NEAR_STRUCTURE), np.uint16(0))
    for bit in LIMIT_BITS:
        reasons[(status.ravel() & np.uint16(bit)) > 0] |= np.uint16(bit)
    widest = float(max(search.margins.margin_mm.max(initial=0.0), 1.0))
    groups = []
    for kind in (0, NEAR_STRUCTURE, *LIMIT_BITS):
        own = np.flatnonzero(reasons == kind)
        if len(own) == 0:
            continue
        short = -slack[own].astype(float)
        bounds = np.zeros(len(own))
        if kind == NEAR_STRUCTURE:
            bounds = np.maximum(0.0, short - field.doubt_mm) / widest
        elif kind:
            bounds = missed_share(search, kind, own)
        # Of equals those that keep farther from structures.
        order = np.lexsort((own, short, bounds))
        groups.append(_Group(kind, own[order], bounds[order]))
    return sorted(groups, key=lambda one: (float(one.bounds[0]), one.kind))


def _single_failures(search: Search, group: _Group) -> Iterator[tuple[float, Numbers, FloatArray]]:
    """The candidates of a group that may break one setting alone, in parts.

    Margins, ribs and organs are held against each exactly. With every part a bound that neither its
    candidates nor those after it lie below, and better bounds for each of it, rising.
    """
    places = len(search.tips_lps_mm)
    rules = search.rules
    most = hard_value(rules.constraints, "intercostal_percent", rules.guidance)
    for start in range(0, min(len(group.candidates), MOST_TESTED), AT_ONCE):
        some = group.candidates[start : start + AT_ONCE]
        bounds = group.bounds[start : start + AT_ONCE]
        a, b = search.entries_local[some // places], search.targets_local[some % places]
        broken = np.full(len(some), int(group.kind != 0))
        if group.kind != NEAR_STRUCTURE:
            broken += ~search.margins_kept(a, b)
        left = broken <= 1
        missed = np.zeros(len(some))
        if most is not None:
            missed[left] = 100.0 * rib_shares(search, a[left], b[left]) - most
            broken += missed > _HAIR
            left &= broken <= 1
        organs: BoolArray = np.ones(len(some), dtype=bool)
        organs[left] = organs_kept(search, a[left], b[left])
        left &= broken + ~organs <= 1
        if not left.any():
            continue
        if group.kind == 0 and most is not None:
            bounds = np.maximum(bounds, np.maximum(missed - _HAIR, 0.0) / max(most, 1.0))
        order = np.argsort(bounds[left], kind="stable")
        yield float(group.bounds[start]), some[left][order], bounds[left][order]


def _change_of(search: Search, candidate: int) -> tuple[float, Relaxation] | None:
    """The change of the only setting that a candidate breaks, relative and whole; else None."""
    failed = [check for check in checks_of(search, candidate) if check.forbids]
    if len({name_of(check, search.margins) for check in failed}) != 1:
        return None
    # Two ribs or two lobes may miss the same setting: it has to be changed for the worse of them.
    check = max(failed, key=relative_change)
    if check.value is None:
        return None
    places = len(search.tips_lps_mm)
    entry, tip = search.ends(candidate // places, candidate % places)
    change = relative_change(check)
    return change, Relaxation(check.constraint, check.limit, check.value, check.unit, entry, tip)


def checks_of(search: Search, candidate: int) -> tuple[ConstraintCheck, ...]:
    """The full check of a candidate (skin point × places + place)."""
    scene, places = search.scene, len(search.tips_lps_mm)
    entry, tip = search.ends(candidate // places, candidate % places)
    measure = measure_path(
        scene.anatomy, scene.body, search.target.mask, search.margins, search.rules, entry, tip,
        scene.support, search.skin.inward[candidate // places], 0.0,
        surroundings=scene.surroundings,
    )  # fmt: skip
    return check_path(measure, search.margins, search.rules)


def name_of(check: ConstraintCheck, margins: Margins) -> str:
    """The setting that a check is held against: a limit, or the rule of a structure."""
    if check.constraint.startswith(CLEARANCE):
        structure = check.constraint.removeprefix(CLEARANCE)
        return margins.kinds[margins.names.index(structure)]
    return check.constraint.split(" (")[0]


def relative_change(check: ConstraintCheck) -> float:
    """By which share of itself a limit has to be changed for a path to keep it."""
    value = check.value if check.value is not None else np.inf
    return abs(value - check.limit) / max(abs(check.limit), 1.0)


def missed_share(search: Search, kind: int, candidates: Numbers) -> FloatArray:
    """By which share of a limit candidates, rising, miss it, exactly."""
    rules, places = search.rules, len(search.tips_lps_mm)
    local = search.crop.grid.axes
    entries = candidates // places
    a, b = search.entries_local[entries], search.targets_local[candidates % places]
    depth, sine, askew, _ = search.merits(candidates)
    number = np.searchsorted(rules.lengths_mm, depth + rules.reserve_mm)
    fits = number < len(rules.lengths_mm)
    longest = float(rules.lengths_mm[-1])
    free = np.where(
        fits, rules.lengths_mm[np.minimum(number, len(rules.lengths_mm) - 1)] - depth,
        rules.reserve_mm,
    )  # fmt: skip
    if kind == kernels.TOO_DEEP:
        return _short(depth + rules.reserve_mm, longest)
    if kind == kernels.TILTED:
        return _short(np.degrees(np.arcsin(np.minimum(sine, 1.0))), rules.bound("max_tilt_deg", 90))
    if kind == kernels.SKIN_ANGLE:
        angle = np.degrees(np.arccos(np.clip(-askew, -1.0, 1.0)))
        return _short(angle, rules.bound("max_skin_angle_deg", 180.0))
    if kind == kernels.TABLE:
        plumb = rules.position.plumb
        points = search.skin.points_lps_mm
        height = (search.scene.support.at(points) - points @ plumb)[entries]
        height = height + free * (((b - a) @ local.T) @ plumb) / depth
        return _short(-height, -rules.bound("table_mm", 0.0))
    spacing = np.asarray(search.crop.grid.spacing_mm)
    if kind == kernels.APPROACH:
        wanted = free + rules.bound("approach_mm", 0.0)
        found = kernels.room_behind(
            search.crop.body, spacing, a, b, wanted, search.scene.away_from_body
        )
        return np.asarray((wanted - found) / np.maximum(wanted, 1.0))
    outside, crossings = verdict.all_walks(
        search.crop.labels,
        search.crop.body,
        spacing,
        a,
        b,
        len(search.margins.names),
        search.margins.is_lung,
        search.margins.lung_side.voxels,
        search.in_crop(search.margins.lung_side.start),
        VESSEL_IN_LUNG_MM,
    )
    if kind == kernels.OUTSIDE:
        return _short(outside, rules.bound("air_gap_mm", 1e9))
    return _short(crossings.astype(float), rules.bound("max_pleural_crossings", 1e9))


def _short(values: FloatArray, most: float) -> FloatArray:
    """By which share of it values exceed a limit; a hair less, so that it stays a bound."""
    return np.asarray(np.maximum((values - most) / max(abs(most), 1.0) - _HAIR, 0.0))
