"""Why a lesion has no safe path: what each limit rules out, and the nearest relaxation.

Length, tilt, skin angle, table, room for the hand, body outline, pleura and sterile field are
counted on every candidate. Everything else (each structure, ribs and spine, fissures, capsule, bore
…) takes a full measure of the path, and is counted on every candidate where there are few, else on
a sample of fixed seed; the document says which counts were sampled.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from irplan.tasks import SILENT, Task
from irplan.trajectory.needle import Unreachable
from irplan.trajectory.relaxing import checks_of, name_of, nearest_relaxation
from irplan.trajectory.search import REASONS, Search

#: Candidates that are measured in full to count what each limit rules out, at most.
MEASURED = 1500
#: Of the sample of those, where there are more.
SEED = 20260101
STERILE_FIELD = "sterile_field_mm"


def explain(search: Search, task: Task = SILENT) -> Unreachable:
    """The counts of every limit over all candidates, and the smallest change that would help."""
    nothing = _nothing_to_look_at(search)
    if nothing is not None:
        return nothing
    status, _ = search.evaluate(full=True)
    counts = search.counts(status)
    task.step()
    chosen = _to_measure(search.candidates)
    share = search.candidates / len(chosen)
    more = measured_counts(search, chosen, task)
    for name in REASONS.values():
        more.pop(name, None)
    counts.update({name: round(count * share) for name, count in more.items()})
    if search.outside_sterile:
        counts[STERILE_FIELD] = search.outside_sterile * len(search.tips_lps_mm)
    nearest, least = nearest_relaxation(search, status, task)
    most = max(counts, key=lambda name: (counts[name], name), default="")
    return Unreachable(
        search.target.lesion_id,
        search.candidates,
        counts,
        nearest,
        f"most of {search.candidates} straight paths fail {most}" if most else "every path fails",
        len(chosen),
        tuple(sorted(more)) if len(chosen) < search.candidates else (),
        least,
    )


def _nothing_to_look_at(search: Search) -> Unreachable | None:
    """The answer where there is no candidate at all."""
    lesion_id = search.target.lesion_id
    if search.candidates:
        return None
    if search.tips_near_end and len(search.tips_lps_mm) == 0:
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
    if search.outside_sterile:
        ruled_out = search.outside_sterile * len(search.tips_lps_mm)
        return Unreachable(
            lesion_id,
            ruled_out,
            {STERILE_FIELD: ruled_out},
            None,
            "no skin of the sterile field lies within reach of the needles on the shelf",
        )
    return Unreachable(
        lesion_id, 0, {}, None, "no skin lies within reach of the needles on the shelf"
    )


def _to_measure(candidates: int) -> npt.NDArray[np.int64]:
    """Numbers of the candidates that are measured in full, rising: all, or a sample."""
    if candidates <= MEASURED:
        return np.arange(candidates, dtype=np.int64)
    some = np.random.default_rng(SEED).choice(candidates, MEASURED, replace=False)
    return np.sort(some).astype(np.int64)


def measured_counts(
    search: Search, candidates: npt.NDArray[np.int64], task: Task = SILENT
) -> Counter[str]:
    """How many of some candidates each hard limit forbids, by the full check of each."""
    counts: Counter[str] = Counter()
    for number in candidates.tolist():
        task.step()
        checks = checks_of(search, number)
        counts.update({name_of(check, search.margins) for check in checks if check.forbids})
    return counts
