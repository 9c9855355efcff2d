"""Why a lesion has no safe path: what each limit rules out, and the nearest relaxation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from irplan.geometry import FloatArray
from irplan.tasks import SILENT, Task
from irplan.trajectory import kernels
from irplan.trajectory.check import ConstraintCheck
from irplan.trajectory.measure import check_path, measure_path
from irplan.trajectory.needle import Relaxation, Unreachable
from irplan.trajectory.position import HEAD
from irplan.trajectory.prefilter import organs_kept, ribs_kept
from irplan.trajectory.search import Search

#: Paths measured exactly for each limit in the search for the nearest relaxation.
PROBES = 160
#: Candidates that miss one limit by least, held against the margins in all and at a time.
MOST_TESTED = 100_000
AT_ONCE = 2_000
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
#: Candidates on which the rules on ribs, capsule and skimmed lung are counted.
RULE_SAMPLE = 4000


def explain(search: Search, task: Task = SILENT) -> Unreachable:
    """The counts of every limit over all candidates, and the smallest change that would help."""
    lesion_id = search.target.lesion_id
    if search.candidates == 0 and search.tips_near_end:
        return Unreachable(
            lesion_id,
            search.tips_near_end,
            {"scan_edge_mm": search.tips_near_end},
            None,
            "the lesion lies at the end of the scan: what lies beyond it is unknown",
        )
    if search.rules.lengths_mm.size == 0:
        return Unreachable(
            lesion_id,
            0,
            {},
            None,
            f"the shelf holds no needle for guidance '{search.rules.guidance}' up to "
            f"{search.rules.longest_mm:g} mm",
        )
    if search.candidates == 0 and search.outside_sterile:
        ruled_out = search.outside_sterile * len(search.tips_lps_mm)
        return Unreachable(
            lesion_id,
            ruled_out,
            {"sterile_field_mm": ruled_out},
            None,
            "no skin of the sterile field lies within reach of the needles on the shelf",
        )
    if search.candidates == 0:
        return Unreachable(
            lesion_id, 0, {}, None, "no skin lies within reach of the needles on the shelf"
        )
    status, _ = search.evaluate(full=True)
    counts = search.counts(status)
    task.step()
    by_rule, worst = _structures(search)
    counts.update(by_rule)
    if search.outside_sterile:
        counts["sterile_field_mm"] = search.outside_sterile * len(search.tips_lps_mm)
    counts.update(sampled_counts(search, status))
    nearest = _nearest(search, status, worst)
    most = max(counts, key=lambda name: (counts[name], name), default="")
    return Unreachable(
        lesion_id,
        search.candidates,
        counts,
        nearest,
        f"most of {search.candidates} straight paths fail {most}" if most else "every path fails",
    )


def _structures(
    search: Search,
) -> tuple[dict[str, int], np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """How many candidates pass too near each kind of structure, and everyone's least slack."""
    field = search.scene.field_for(search.margins, by_rule=True)
    bits, worst = kernels.groups_met(
        search.entries_local, search.targets_local, field.slack, field.group, field.cell_mm
    )
    counts: dict[str, int] = {}
    for number, rules in enumerate(field.groups):
        met = int(np.count_nonzero(bits & np.uint64(1 << number)))
        if met:
            name = "/".join(rules)
            counts[name] = counts.get(name, 0) + met
    return counts, worst


def _nearest(
    search: Search,
    status: np.ndarray[tuple[int, ...], np.dtype[np.uint16]],
    worst: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> Relaxation | None:
    """The smallest change of one limit, relative to it, among the most promising candidates.

    Of every limit that alone stands in a candidate's way the candidates that miss it by least are
    measured, those of the limit that is missed by least first.
    """
    best: tuple[float, Relaxation] | None = None
    for candidates, least in _most_promising(search, status, worst):
        for candidate, change in zip(candidates.tolist(), least.tolist(), strict=True):
            if best is not None and change >= best[0]:
                # Those that follow miss the limit by more.
                break
            found = _single_failure(search, candidate)
            if found is not None and (best is None or found[0] < best[0]):
                best = found
    return best[1] if best else None


def _single_failure(search: Search, candidate: int) -> tuple[float, Relaxation] | None:
    """What a candidate misses its only broken limit by, and the change; None where more break."""
    scene, places = search.scene, len(search.tips_lps_mm)
    entry, tip = search.ends(candidate // places, candidate % places)
    measure = measure_path(
        scene.anatomy, scene.body, search.target.mask, search.margins, search.rules, entry, tip,
        scene.support, search.skin.inward[candidate // places], 0.0,
        surroundings=scene.surroundings,
    )  # fmt: skip
    failed = [check for check in check_path(measure, search.margins, search.rules) if check.forbids]
    if len(failed) != 1 or failed[0].value is None:
        return None
    check, value = failed[0], failed[0].value
    return (
        _relative_change(check),
        Relaxation(check.constraint, check.limit, value, check.unit, entry, tip),
    )


def _most_promising(
    search: Search,
    status: np.ndarray[tuple[int, ...], np.dtype[np.uint16]],
    worst: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> list[tuple[npt.NDArray[np.int64], FloatArray]]:
    """Candidates that break one limit at most, by limit, the mildest first.

    With each the share of the limit that it misses it by at least. Length, tilt, skin angle and
    height over the table are known exactly; the field tells a clearance to half a cell; of the
    rest nothing is known but that it is missed.
    """
    half = search.scene.field_for(search.margins).doubt_mm
    # What the field leaves in doubt is not held against a candidate.
    near = np.where(worst < -half, np.uint16(NEAR_STRUCTURE), np.uint16(0))
    reasons = near.ravel()
    for bit in LIMIT_BITS:
        reasons[(status.ravel() & np.uint16(bit)) > 0] |= np.uint16(bit)
    widest = float(max(search.margins.margin_mm.max(initial=0.0), 1.0))
    chosen = []
    for kind in (0, NEAR_STRUCTURE, *LIMIT_BITS):
        own = np.flatnonzero(reasons == kind)
        if len(own) == 0:
            continue
        missed = _missed_share(search, kind, own)
        if kind == NEAR_STRUCTURE:
            short = -worst.ravel()[own].astype(float)
            order = np.lexsort((own, short))[:PROBES]
            # Sorted by what the field tells; the bound rises with it.
            missed = np.maximum(0.0, short - half) / widest
        elif kind == 0:
            order = np.lexsort((own, -worst.ravel()[own]))[:PROBES]
        else:
            order = _clear_first(search, own, np.lexsort((own, missed)))
        if len(order):
            chosen.append((own[order], missed[order]))
    return sorted(chosen, key=lambda one: (float(one[1][0]), int(one[0][0])))


def _clear_first(
    search: Search, candidates: npt.NDArray[np.int64], order: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The first of an order that keep every margin exactly, as many as are measured."""
    places = len(search.tips_lps_mm)
    kept: list[npt.NDArray[np.int64]] = []
    for start in range(0, min(len(order), MOST_TESTED), AT_ONCE):
        some = order[start : start + AT_ONCE]
        own = candidates[some]
        a, b = search.entries_local[own // places], search.targets_local[own % places]
        kept.append(some[search.margins_kept(a, b)])
        if sum(len(one) for one in kept) >= PROBES:
            break
    return np.concatenate(kept)[:PROBES] if kept else order[:0]


def _missed_share(search: Search, kind: int, candidates: npt.NDArray[np.int64]) -> FloatArray:
    """By which share of the limit candidates miss it; 0 where that is not known."""
    rules, places = search.rules, len(search.tips_lps_mm)
    local = search.crop.grid.axes
    entries = candidates // places
    axis = search.targets_local[candidates % places] - search.entries_local[entries]
    depth = np.linalg.norm(axis, axis=1)
    if kind == kernels.TOO_DEEP:
        longest = float(rules.lengths_mm[-1])
        return np.asarray((depth + rules.reserve_mm - longest) / max(longest, 1.0))
    if kind == kernels.TILTED:
        sine = np.abs(axis @ (np.asarray(HEAD) @ local)) / depth
        most = rules.bound("max_tilt_deg", 90.0)
        return np.asarray((np.degrees(np.arcsin(np.minimum(sine, 1.0))) - most) / max(most, 1.0))
    if kind == kernels.SKIN_ANGLE:
        cosine = (axis * (search.skin.inward @ local)[entries]).sum(axis=1) / depth
        most = rules.bound("max_skin_angle_deg", 180.0)
        angle = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
        return np.asarray((angle - most) / max(most, 1.0))
    if kind == kernels.TABLE:
        number = np.searchsorted(rules.lengths_mm, depth + rules.reserve_mm)
        free = rules.lengths_mm[np.minimum(number, len(rules.lengths_mm) - 1)] - depth
        plumb = rules.position.plumb
        points = search.skin.points_lps_mm
        height = (search.scene.support.at(points) - points @ plumb)[entries]
        height = height + free * ((axis @ local.T) @ plumb) / depth
        least = rules.bound("table_mm", 0.0)
        return np.asarray((least - height) / max(least, 1.0))
    return np.zeros(len(candidates))


def _relative_change(check: ConstraintCheck) -> float:
    value = check.value if check.value is not None else 0.0
    return abs(value - check.limit) / max(abs(check.limit), 1.0)


def sampled_counts(
    search: Search, status: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]
) -> dict[str, int]:
    """How many candidates the rules on ribs, capsule and skimmed lung rule out.

    Counted on at most :data:`RULE_SAMPLE` candidates that break no other limit, evenly taken,
    and scaled to all of them.
    """
    open_to = np.flatnonzero((status.ravel() & ~np.uint16(kernels.DOUBT)) == 0)
    if open_to.size == 0:
        return {}
    some = open_to[:: max(1, open_to.size // RULE_SAMPLE)]
    places = status.shape[1]
    a = search.entries_local[some // places]
    b = search.targets_local[some % places]
    counts = {}
    for name, kept in (
        ("intercostal_percent", ribs_kept(search, a, b)),
        ("capsule_angle_or_skimmed_lung", organs_kept(search, a, b)),
    ):
        broken = int(np.count_nonzero(~kept))
        if broken:
            counts[name] = round(broken * open_to.size / some.size)
    return counts
