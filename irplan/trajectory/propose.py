"""Proposing paths for the lesions of a visit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from irplan.anatomy import Anatomy
from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray
from irplan.lesions.lesion import Lesion
from irplan.tasks import SILENT, Task
from irplan.trajectory import refusal
from irplan.trajectory.constraints import Constraints
from irplan.trajectory.deposits import make_deposits, share_dose, wanted_deposits
from irplan.trajectory.describe import make_needle, path_findings
from irplan.trajectory.joint import Option, choose
from irplan.trajectory.needle import Needle, PathPlan, Unreachable
from irplan.trajectory.passes import fan, safe_paths
from irplan.trajectory.position import PatientPosition
from irplan.trajectory.ranking import SafePath, pareto_front, thinned
from irplan.trajectory.scene import Scene
from irplan.trajectory.search import Rules, Search
from irplan.trajectory.shelf import NeedleShelf
from irplan.trajectory.target import Target, find_target
from irplan.volume import CtVolume

Doses = Mapping[str, tuple[tuple[str, Decimal], ...]]

MUCH_NECROSIS = 0.5
#: A lesion without a path: skin this much farther than the needles reach is looked at, mm.
LOOK_BEYOND_MM = 40.0

NO_SAFE_PATH = declare(
    "no_safe_path",
    Severity.WARN,
    "trajectory",
    "{lesion} has no safe path ({reason}); it keeps its dose until a person excludes it",
)
NO_DOSE = declare(
    "no_dose_no_path",
    Severity.INFO,
    "trajectory",
    "{lesion} gets no dose, so no path is planned for it",
)
NO_VOXELS = declare(
    "lesion_without_image",
    Severity.INFO,
    "trajectory",
    "{lesion} is known by its diameters only: it gets a card without a path",
)
GUIDANCE_CHANGED = declare(
    "guidance_changed",
    Severity.WARN,
    "trajectory",
    "{lesion} has no safe path with a short needle under {wished}; the path shown is for CT",
)
MOSTLY_NECROTIC = declare(
    "mostly_necrotic",
    Severity.WARN,
    "trajectory",
    "{percent} % of {lesion} is necrotic or air; the deposits lie in the rest",
)
FEWER_DEPOSITS = declare(
    "fewer_deposits",
    Severity.INFO,
    "trajectory",
    "{lesion}: the track holds {held} of {wanted} deposits; each holds more for it",
)
NEEDLES_CROSS = declare(
    "needles_cross",
    Severity.WARN,
    "trajectory",
    "no choice of paths for {lesions} keeps {gap} mm between all needles: place one, inject, and "
    "take it out before the next",
)
NOT_THE_BEST_ALONE = declare(
    "joint_choice",
    Severity.INFO,
    "trajectory",
    "{lesion}: the path is not its cheapest alone; that one would meet another lesion's needle",
)


def propose_paths(
    volume: CtVolume,
    body: BoolArray,
    anatomy: Anatomy,
    lesions: tuple[Lesion, ...],
    doses: Doses,
    shelf: NeedleShelf,
    constraints: Constraints,
    position: PatientPosition,
    guidance: Mapping[str, str],
    increment_ml: Decimal,
    task: Task = SILENT,
) -> PathPlan:
    """A safe path for every lesion with a dose, or the reasons why there is none.

    Args:
        volume, body, anatomy: the CT, the patient in it, and what is to be avoided.
        lesions: measured lesions; one without voxels gets no path.
        doses: lesion_id → ((drug, mL), …). A lesion that is not named gets no path; an empty
            dose gets a path whose one deposit holds no mL.
        shelf, constraints: needles and rules.
        position: how the patient will lie.
        guidance: lesion_id → 'ct', 'ultrasound' or 'palpation'; by depth where not named.
        increment_ml: smallest step of a syringe.
        task: progress and cancelling.

    Returns:
        Chosen needles in the order of the lesions, alternatives, unreachable lesions, findings.
    """
    findings: list[Finding] = []
    jobs = []
    for lesion in lesions:
        dose = doses.get(lesion.lesion_id)
        if dose is None or (dose and all(ml == 0 for _, ml in dose)):
            findings.append(NO_DOSE(lesion.lesion_id, lesion=lesion.lesion_id))
        elif lesion.mask is None:
            findings.append(NO_VOXELS(lesion.lesion_id, lesion=lesion.lesion_id))
        else:
            way = guidance.get(lesion.lesion_id) or default_guidance(lesion, constraints)
            target = find_target(lesion, volume, constraints)
            wanted = wanted_deposits(dose, increment_ml, constraints)
            jobs.append(Job(target, Rules(constraints, shelf, position, way), dose, wanted))
    if not jobs:
        return PathPlan(findings=tuple(findings))
    scene = scene_for(jobs, anatomy, body)
    reached: list[Reached] = []
    unreachable: list[Unreachable] = []
    for number, job in enumerate(jobs):
        task.step(number, len(jobs))
        found = _safe_for(scene, job, findings, task)
        if isinstance(found, Unreachable):
            unreachable.append(found)
        else:
            reached.append(found)
    needles, alternatives = _chosen_together(reached, constraints, increment_ml, findings)
    task.step(len(jobs), len(jobs))
    return PathPlan(_in_order(needles), tuple(alternatives), tuple(unreachable), tuple(findings))


@dataclass(frozen=True)
class Job:
    """One lesion to be planned: target, numbers, dose, deposits wanted in all."""

    target: Target
    rules: Rules
    dose: tuple[tuple[str, Decimal], ...]
    deposits: int

    def search(self, scene: Scene, guidance: str, beyond_mm: float = 0.0) -> Search:
        """The search of the lesion for a way of working."""
        rules = replace(self.rules, guidance=guidance)
        on_track = min(self.deposits, int(rules.constraints.value("deposits_per_pass")))
        return Search(scene, self.target, rules, on_track, beyond_mm)


@dataclass(frozen=True)
class Reached:
    """A lesion with its safe paths, the best first."""

    job: Job
    search: Search
    paths: list[SafePath]


def scene_for(
    jobs: Sequence[Job], anatomy: Anatomy, body: BoolArray, beyond_mm: float = 0.0
) -> Scene:
    """The scene that holds every path of the jobs, those under CT included.

    ``beyond_mm``: skin this much farther than any needle reaches is held too.
    """
    rules = jobs[0].rules
    constraints = rules.constraints
    reach = 0.0
    for job in jobs:
        # A superficial lesion without a safe short path is searched again under CT.
        for way in (job.rules, replace(job.rules, guidance="ct")):
            if way.lengths_mm.size:
                reach = max(reach, float(way.lengths_mm[-1]) - way.reserve_mm)
    widest = max(float(rule.margin_mm) for rule in constraints.structures)
    return Scene.of(
        anatomy,
        body,
        [job.target.points_lps_mm for job in jobs],
        reach + beyond_mm,
        max(20.0, widest + 2.0),
        constraints.value("skin_raster_mm"),
        constraints.value("scan_edge_mm"),
        rules.position.plumb,
    )


def default_guidance(lesion: Lesion, constraints: Constraints) -> str:
    """'ultrasound' for a lesion whose nearest border is at most 30 mm deep [a setting], else 'ct'.

    A lesion whose depth is not known is taken as deep.
    """
    depth = lesion.depth_below_skin_mm
    superficial = depth is not None and depth <= constraints.value("superficial_mm")
    return "ultrasound" if superficial else "ct"


def _safe_for(scene: Scene, job: Job, findings: list[Finding], task: Task) -> Reached | Unreachable:
    """The safe paths of a lesion, or why there is none."""
    lesion_id, way = job.target.lesion_id, job.rules.guidance
    if job.target.necrotic_share > MUCH_NECROSIS:
        percent = round(100 * job.target.necrotic_share)
        findings.append(MOSTLY_NECROTIC(lesion_id, lesion=lesion_id, percent=percent))
    for guidance in dict.fromkeys((way, "ct")):
        search = job.search(scene, guidance)
        paths = safe_paths(search, task)
        if paths:
            if guidance != way:
                findings.append(GUIDANCE_CHANGED(lesion_id, lesion=lesion_id, wished=way))
            return Reached(job, search, paths)
    wider = scene_for([job], scene.anatomy, scene.body, LOOK_BEYOND_MM)
    refused = refusal.explain(job.search(wider, way, LOOK_BEYOND_MM), task)
    findings.append(NO_SAFE_PATH(lesion_id, lesion=lesion_id, reason=refused.reason))
    return refused


def _chosen_together(
    reached: Sequence[Reached],
    constraints: Constraints,
    increment_ml: Decimal,
    findings: list[Finding],
) -> tuple[list[Needle], list[Needle]]:
    """The needles of all lesions, chosen together, and the alternatives of each."""
    if not reached:
        return [], []
    gap = constraints.value("needle_gap_mm")
    joint = choose([[_option(path) for path in one.paths] for one in reached], gap)
    if not joint.compatible:
        names = ", ".join(one.job.target.lesion_id for one in reached)
        findings.append(NEEDLES_CROSS(lesions=names, gap=constraints.limits["needle_gap_mm"].value))
    needles: list[Needle] = []
    alternatives: list[Needle] = []
    for number, (one, index) in enumerate(zip(reached, joint.chosen, strict=True), 1):
        best = one.paths[index]
        lesion_id = one.job.target.lesion_id
        if index:
            findings.append(NOT_THE_BEST_ALONE(lesion_id, lesion=lesion_id))
        most = int(constraints.value("fan_passes"))
        passes = [best, *fan(one.search, best, one.job.deposits - len(best.places), most)]
        made = _passes_as_needles(one, passes, increment_ml, f"N{number}", f"E{number}")
        held = sum(len(path.places) for path in passes)
        if held < one.job.deposits:
            findings.append(
                FEWER_DEPOSITS(lesion_id, lesion=lesion_id, held=held, wanted=one.job.deposits)
            )
        for needle in made:
            findings.extend(path_findings(needle, one.search))
        needles.extend(made)
        others = thinned(pareto_front(one.paths), best, int(constraints.value("alternatives")))
        for rank, path in enumerate(others, 2):
            name = f"N{number}-A{rank - 1}"
            alternatives.extend(
                _passes_as_needles(one, [path], increment_ml, name, f"E{number}-A{rank - 1}", rank)
            )
    return needles, alternatives


def _option(path: SafePath) -> Option:
    """A path as the joint choice sees it: from the needle's hub to its tip."""
    measure = path.measure
    entry, tip = np.asarray(measure.entry_lps_mm), np.asarray(measure.tip_lps_mm)
    length = float(measure.needle.length_mm) if measure.needle else measure.depth_mm
    x, y, z = (float(value) for value in tip + (entry - tip) * (length / measure.depth_mm))
    return Option(path.cost, (x, y, z), measure.tip_lps_mm)


def _passes_as_needles(
    one: Reached,
    passes: Sequence[SafePath],
    increment_ml: Decimal,
    needle_id: str,
    entry_id: str,
    rank: int = 1,
) -> list[Needle]:
    """The passes through one hole; the lesion's dose is split over all their deposits."""
    rules, target = one.search.rules, one.job.target
    places = [place for path in passes for place in path.places]
    owners = [number for number, path in enumerate(passes) for _ in path.places]
    shares = share_dose(one.job.dose, len(places), increment_ml)
    made = []
    for number, path in enumerate(passes):
        name = needle_id if number == 0 else f"{needle_id}-P{number + 1}"
        own = [
            (place, share)
            for place, share, owner in zip(places, shares, owners, strict=True)
            if owner == number
        ]
        deposits = make_deposits(name, target.lesion_id, own, rules.constraints)
        made.append(make_needle(one.search, path, deposits, name, entry_id, number + 1, rank))
    return made


def _in_order(needles: list[Needle]) -> tuple[Needle, ...]:
    """The needles with their deposits numbered through in the order of the work."""
    order = 1
    numbered = []
    for needle in needles:
        deposits = tuple(
            replace(deposit, order=order + step) for step, deposit in enumerate(needle.deposits)
        )
        order += len(deposits)
        numbered.append(replace(needle, deposits=deposits))
    return tuple(numbered)
