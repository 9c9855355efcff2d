"""Why a lesion has no safe path: what each limit rules out, and the nearest relaxation."""

from __future__ import annotations

import numpy as np

from irplan.tasks import SILENT, Task
from irplan.trajectory import kernels
from irplan.trajectory.check import ConstraintCheck
from irplan.trajectory.measure import check_path, measure_path
from irplan.trajectory.needle import Relaxation, Unreachable
from irplan.trajectory.prefilter import organs_kept, ribs_kept
from irplan.trajectory.search import Search

#: Paths measured exactly in the search for the nearest relaxation.
PROBES = 160
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
    """The smallest change of one limit, relative to it, among the most promising candidates."""
    order = _most_promising(search, status, worst)
    best: tuple[float, Relaxation] | None = None
    places, scene = status.shape[1], search.scene
    for flat in order:
        entry, tip = search.ends(int(flat // places), int(flat % places))
        measure = measure_path(
            scene.anatomy, scene.body, search.target.mask, search.margins, search.rules, entry, tip,
            scene.support, search.skin.inward[int(flat // places)], 0.0,
            surroundings=scene.surroundings,
        )  # fmt: skip
        failed = [
            check
            for check in check_path(measure, search.margins, search.rules)
            if check.forbids and check.value is not None
        ]
        if len(failed) != 1 or failed[0].value is None:
            continue
        change = _relative_change(failed[0])
        if best is None or change < best[0]:
            check = failed[0]
            value = check.value if check.value is not None else 0.0
            best = (
                change,
                Relaxation(check.constraint, check.limit, value, check.unit, entry, tip),
            )
    return best[1] if best else None


def _most_promising(
    search: Search,
    status: np.ndarray[tuple[int, ...], np.dtype[np.uint16]],
    worst: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> list[int]:
    """Candidates that break the fewest limits, as many for every limit; the mildest first.

    What passes too near a structure is taken by its slack, everything else by its depth.
    """
    reasons = np.where(worst < 0, np.uint16(NEAR_STRUCTURE), np.uint16(0)).ravel()
    count = (worst < 0).astype(np.int64).ravel()
    for bit in LIMIT_BITS:
        broken = (status.ravel() & np.uint16(bit)) > 0
        reasons[broken] |= np.uint16(bit)
        count += broken
    gaps = search.entries_local[:, None, :] - search.targets_local[None, :, :]
    depth = np.linalg.norm(gaps, axis=2).ravel()
    mildness = np.where(worst.ravel() < 0, -worst.ravel(), depth)
    chosen: list[int] = []
    for level in (0, 1):
        here = np.flatnonzero(count == level)
        kinds = np.unique(reasons[here])
        for kind in kinds:
            own = here[reasons[here] == kind]
            first = own[np.lexsort((own, mildness[own]))]
            chosen += [int(one) for one in first[: PROBES // (2 * len(kinds))]]
    return chosen


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
