"""The skin map: from every skin point the best straight path to each lesion, and what it costs.

A point is open where one of its candidates passes every limit of the search and the exact test of
margins, body outline, pleura, ribs and capsules. It is a map to look at: the last word on one path
is the full check of every constraint, as in ``irplan why``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from irplan import units
from irplan.anatomy import Anatomy
from irplan.geometry import BoolArray, FloatArray
from irplan.lesions.lesion import Lesion
from irplan.tasks import SILENT, Task
from irplan.trajectory import kernels
from irplan.trajectory.constraints import Constraints
from irplan.trajectory.deposits import wanted_deposits
from irplan.trajectory.jobs import Job, scene_for
from irplan.trajectory.position import PatientPosition
from irplan.trajectory.propose import default_guidance
from irplan.trajectory.rules import Rules
from irplan.trajectory.search import REASONS, Search
from irplan.trajectory.shelf import NeedleShelf
from irplan.trajectory.target import find_target
from irplan.volume import CtVolume

#: What rules a point out where no single limit does: only all of them together, exactly measured.
EXACT_TEST = "exact_clearance"
#: The points lie beyond the reach of every needle.
OUT_OF_REACH = "needle_length"
STRUCTURE = "clearance"


@dataclass(frozen=True)
class SkinMap:
    """What the skin offers for one lesion.

    Attributes:
        lesion_id: whose; '' for all lesions together.
        guidance: 'ct', 'ultrasound' or 'palpation'.
        points_lps_mm: (n, 3) skin points; the same for every lesion of a visit.
        inward: (n, 3) inward normals of the skin, LPS.
        cost: (n,) soft cost of the best path from there, by the coarse terms of the search; NaN
            where there is none.
        tips_lps_mm: (n, 3) tip of that path; NaN where there is none.
        reasons: (n,) '' where a path is open, else the limit that rules most candidates out.
        best_for: (n,) the lesion that the cost belongs to; '' where there is none.
        lesions_open: (n,) how many lesions can be reached from there.
    """

    lesion_id: str
    guidance: str
    points_lps_mm: FloatArray
    inward: FloatArray
    cost: FloatArray
    tips_lps_mm: FloatArray
    reasons: npt.NDArray[np.str_]
    best_for: npt.NDArray[np.str_]
    lesions_open: npt.NDArray[np.int64]

    @property
    def open_points(self) -> BoolArray:
        """(n,) whether a path is open from there."""
        return np.asarray(np.isfinite(self.cost))

    @property
    def open_share(self) -> float:
        """Share of the skin points from which a path is open."""
        return float(self.open_points.mean()) if len(self.cost) else 0.0


def skin_maps(
    volume: CtVolume,
    body: BoolArray,
    anatomy: Anatomy,
    lesions: Sequence[Lesion],
    doses: Mapping[str, tuple[tuple[str, Decimal], ...]],
    shelf: NeedleShelf,
    constraints: Constraints,
    position: PatientPosition,
    guidance: Mapping[str, str],
    increment_ml: Decimal,
    task: Task = SILENT,
) -> tuple[SkinMap, ...]:
    """The map of every lesion with voxels and a dose, then that of all together.

    The arguments are those of :func:`~irplan.trajectory.propose.propose_paths`. Empty where there
    is no such lesion.
    """
    jobs = []
    for lesion in lesions:
        dose = doses.get(lesion.lesion_id)
        if lesion.mask is None or dose is None or (dose and all(ml == 0 for _, ml in dose)):
            continue
        way = guidance.get(lesion.lesion_id) or default_guidance(lesion, constraints)
        rules = Rules(constraints, shelf, position, way)
        wanted = wanted_deposits(dose, increment_ml, constraints)
        jobs.append(Job(find_target(lesion, volume, constraints), rules, dose, wanted))
    if not jobs:
        return ()
    scene = scene_for(jobs, anatomy, body)
    maps = []
    for number, job in enumerate(jobs):
        task.step(number, len(jobs))
        maps.append(map_of(job.search(scene, job.rules.guidance)))
    task.step(len(jobs), len(jobs))
    return (*maps, together(maps))


def map_of(search: Search) -> SkinMap:
    """The skin map of one lesion from its search."""
    skin = search.scene.skin
    cost = np.full(len(skin), np.nan)
    tips = np.full((len(skin), 3), np.nan)
    reasons = np.full(len(skin), OUT_OF_REACH, dtype="U32")
    if search.candidates:
        chosen, refused = _best_places(search)
        found = np.flatnonzero(chosen >= 0)
        cost[search.entries[found]] = search.evaluated[1][found, chosen[found]]
        tips[search.entries[found]] = search.tips_lps_mm[chosen[found]]
        reasons[search.entries] = refused
    name = search.target.lesion_id
    is_open = np.isfinite(cost)
    return SkinMap(
        name,
        search.rules.guidance,
        skin.points_lps_mm,
        skin.inward,
        cost,
        tips,
        reasons,
        np.where(is_open, name, ""),
        is_open.astype(np.int64),
    )


def _best_places(search: Search) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.str_]]:
    """The place of each entry's cheapest clear path, or -1, and why there is none."""
    status, cost = search.evaluated
    open_cost = np.where((status & ~np.uint16(kernels.DOUBT)) == 0, cost, np.inf)
    order = np.argsort(open_cost, axis=1, kind="stable")
    chosen = np.full(len(search.skin), -1, dtype=np.int64)
    pending = np.arange(len(search.skin))
    for rank in range(order.shape[1]):
        places = order[pending, rank]
        still = np.isfinite(open_cost[pending, places])
        pending, places = pending[still], places[still]
        if len(pending) == 0:
            break
        clear = search.exactly_clear(pending, places)
        chosen[pending[clear]] = places[clear]
        pending = pending[~clear]
    return chosen, _reasons(status, chosen)


def _reasons(status: npt.NDArray[np.uint16], chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.str_]:
    """'' for open entries, else the limit that the search met most often among its candidates."""
    names = [*REASONS.values(), STRUCTURE, EXACT_TEST]
    bits = [*REASONS, kernels.CROSSED]
    counts = [((status & np.uint16(bit)) > 0).sum(axis=1) for bit in bits]
    counts.append(((status & ~np.uint16(kernels.DOUBT)) == 0).sum(axis=1))
    most = np.argmax(np.stack(counts, axis=1), axis=1)
    return np.where(chosen >= 0, "", np.asarray(names, dtype="U32")[most])


def together(maps: Sequence[SkinMap]) -> SkinMap:
    """The map of all lesions: at every point the cheapest path to any, and how many are open."""
    cost = np.stack([one.cost for one in maps])
    worth = np.where(np.isfinite(cost), cost, np.inf)
    best = np.argmin(worth, axis=0)
    points = np.arange(cost.shape[1])
    is_open = np.isfinite(worth[best, points])
    first = maps[0]
    # Where nothing is open the first lesion's reason stands for all only if they agree.
    agreed = np.all([one.reasons == first.reasons for one in maps], axis=0)
    return SkinMap(
        "",
        first.guidance if len({one.guidance for one in maps}) == 1 else "",
        first.points_lps_mm,
        first.inward,
        cost[best, points],
        np.stack([one.tips_lps_mm for one in maps])[best, points],
        np.where(is_open, "", np.where(agreed, first.reasons, "several")),
        np.where(is_open, np.asarray([one.lesion_id for one in maps])[best], ""),
        np.asarray(np.isfinite(cost).sum(axis=0), dtype=np.int64),
    )


def skin_map_csv(maps: Sequence[SkinMap]) -> str:
    """The maps as a table: a row for every lesion and skin point within its needles' reach.

    Columns ``lesion_id,guidance,x,y,z,cost,tip_x,tip_y,tip_z,reason``; positions LPS mm. The row
    of a point from which no path is open has no cost and no tip, but the reason.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(
        ("lesion_id", "guidance", "x", "y", "z", "cost", "tip_x", "tip_y", "tip_z", "reason")
    )
    for one in maps:
        if not one.lesion_id:
            continue
        for number in np.flatnonzero(one.reasons != OUT_OF_REACH):
            point = [units.position_mm(value) for value in one.points_lps_mm[number]]
            end: list[object] = ["", "", "", ""]
            if np.isfinite(one.cost[number]):
                tip = [units.position_mm(value) for value in one.tips_lps_mm[number]]
                end = [f"{one.cost[number]:.3f}", *tip]
            rows.writerow((one.lesion_id, one.guidance, *point, *end, one.reasons[number]))
    return text.getvalue()
