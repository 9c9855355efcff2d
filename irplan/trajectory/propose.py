"""Proposing paths for the lesions of a visit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np

from irplan.anatomy import Anatomy
from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray
from irplan.lesions.lesion import Lesion
from irplan.tasks import SILENT, Task
from irplan.trajectory import refusal
from irplan.trajectory.constraints import Constraints
from irplan.trajectory.coverage import with_coverage
from irplan.trajectory.deposits import wanted_deposits
from irplan.trajectory.fissure_hints import MAY_CROSS, with_fissure_hints
from irplan.trajectory.held import HeldPath, held_path
from irplan.trajectory.jobs import Found, Job, Reached, scene_for
from irplan.trajectory.needle import PathPlan, Unreachable
from irplan.trajectory.passes import safe_paths
from irplan.trajectory.position import PatientPosition
from irplan.trajectory.refine import refined
from irplan.trajectory.rules import Rules
from irplan.trajectory.search import Search
from irplan.trajectory.sharing import on_held_track
from irplan.trajectory.shelf import NeedleShelf
from irplan.trajectory.target import find_target
from irplan.trajectory.threads import side_by_side
from irplan.trajectory.together import chosen_together
from irplan.volume import CtVolume

Doses = Mapping[str, tuple[tuple[str, Decimal], ...]]

MUCH_NECROSIS = 0.5
#: Paths, the cheapest on the grid, of which the one that is cheapest off it is taken.
TRIED = 3
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


HELD_PATH_LOST = declare(
    "kept_path_not_safe",
    Severity.WARN,
    "trajectory",
    "{lesion}: the path that was to be kept is not safe on this scan; another one is shown",
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
    held: Mapping[str, HeldPath] | None = None,
    to_biopsy: Collection[str] = (),
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
        to_biopsy: lesions of which a biopsy is due, before they are injected.
        held: lesion_id → a path of an earlier plan that is kept where it is safe here. Two lesions
            with one path share its track: it goes to the one that its tip lies in.

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
    tracks = held or {}
    riders = _riders(jobs, tracks)
    task.step(0, len(jobs))
    # Fields and candidates take all threads of one lesion; what comes after them does not.
    searches = [_evaluated(job.search(scene, job.rules.guidance), task) for job in jobs]
    quiet = Task(cancel=task.cancel, label=task.label)

    def safe(number: int) -> tuple[Reached | Unreachable, list[Finding]]:
        job = jobs[number]
        kept = tracks.get(job.target.lesion_id)
        own = kept if job.target.lesion_id not in riders else None
        told: list[Finding] = []
        return _safe_for(searches[number], job, told, quiet, own), told

    for found, told in side_by_side(
        safe, range(len(jobs)), lambda count: task.step(count, len(jobs))
    ):
        findings += told
        if isinstance(found, Unreachable):
            unreachable.append(found)
        else:
            reached.append(found)
    reached = _on_kept_tracks(reached, riders, findings)
    chosen = chosen_together(reached, constraints, increment_ml, to_biopsy)
    needles = with_fissure_hints(chosen.needles, volume, anatomy, constraints)
    others = with_fissure_hints(chosen.alternatives, volume, anatomy, constraints)
    hints = [told for one in needles for told in one.findings if told.code == MAY_CROSS.code]
    task.step(len(jobs), len(jobs))
    targets = {job.target.lesion_id: job.target for job in jobs}
    return PathPlan(
        with_coverage(needles, targets, together=True),
        with_coverage(others, targets, together=False),
        tuple(unreachable),
        (*findings, *chosen.findings, *hints),
        chosen.biopsies,
    )


def default_guidance(lesion: Lesion, constraints: Constraints) -> str:
    """'ultrasound' for a lesion whose nearest border is at most 30 mm deep [a setting], else 'ct'.

    A lesion whose depth is not known is taken as deep.
    """
    depth = lesion.depth_below_skin_mm
    superficial = depth is not None and depth <= constraints.value("superficial_mm")
    return "ultrasound" if superficial else "ct"


def _riders(jobs: Sequence[Job], held: Mapping[str, HeldPath]) -> dict[str, str]:
    """Lesions that are to be served on another one's kept track → the one that it goes to."""
    riders: dict[str, str] = {}
    for job in jobs:
        lesion_id = job.target.lesion_id
        path = held.get(lesion_id)
        if path is None or _goes_to(job, path):
            continue
        owners = [one for one in jobs if held.get(one.target.lesion_id) == path]
        owner = next((one.target.lesion_id for one in owners if _goes_to(one, path)), None)
        if owner is not None:
            riders[lesion_id] = owner
    return riders


def _goes_to(job: Job, path: HeldPath) -> bool:
    """Whether a path ends where a deposit of the lesion may lie."""
    return bool(job.target.inner_at(np.asarray([path.tip_lps_mm], dtype=float))[0][0])


def _on_kept_tracks(
    reached: Sequence[Reached], riders: Mapping[str, str], findings: list[Finding]
) -> list[Reached]:
    """The lesions, those put on the kept track of another one that are to be and can be."""
    settled = list(reached)
    number_of = {one.job.target.lesion_id: number for number, one in enumerate(settled)}
    for lesion_id, owner_id in riders.items():
        if lesion_id not in number_of:
            continue
        rider = settled[number_of[lesion_id]]
        owner = settled[number_of[owner_id]] if owner_id in number_of else None
        shared = on_held_track(owner, rider) if owner is not None and owner.held else None
        if owner is None or shared is None:
            findings.append(HELD_PATH_LOST(lesion_id, lesion=lesion_id))
            continue
        also = (*owner.best.also, (number_of[lesion_id], shared))
        settled[number_of[owner_id]] = replace(owner, best=replace(owner.best, also=also))
        settled[number_of[lesion_id]] = replace(rider, rides=True)
    return settled


def _evaluated(search: Search, task: Task) -> Search:
    """The search, its candidates looked at."""
    task.step()
    if search.candidates:
        _ = search.evaluated
    return search


def _safe_for(
    search: Search, job: Job, findings: list[Finding], task: Task, kept: HeldPath | None
) -> Reached | Unreachable:
    """The safe paths of a lesion, or why there is none; ``search`` is that of its own way."""
    lesion_id, way, scene = job.target.lesion_id, job.rules.guidance, search.scene
    if job.target.necrotic_share > MUCH_NECROSIS:
        percent = round(100 * job.target.necrotic_share)
        findings.append(MOSTLY_NECROTIC(lesion_id, lesion=lesion_id, percent=percent))
    for guidance in dict.fromkeys((way, "ct")):
        if guidance != way:
            search = job.search(scene, guidance)
        paths = safe_paths(search, task)
        own = held_path(search, kept) if kept is not None else None
        if own is not None:
            if guidance != way:
                findings.append(GUIDANCE_CHANGED(lesion_id, lesion=lesion_id, wished=way))
            return Reached(job, search, paths, Found(*own), held=True)
        if paths:
            if kept is not None:
                findings.append(HELD_PATH_LOST(lesion_id, lesion=lesion_id))
            if guidance != way:
                findings.append(GUIDANCE_CHANGED(lesion_id, lesion=lesion_id, wished=way))
            moved = {
                number: Found(*refined(search, path)) for number, path in enumerate(paths[:TRIED])
            }
            best = min(moved.values(), key=lambda one: one.path.cost)
            return Reached(job, search, paths, best, moved=moved)
    wider = scene_for([job], scene.anatomy, scene.body, LOOK_BEYOND_MM)
    refused = refusal.explain(job.search(wider, way, LOOK_BEYOND_MM), task)
    findings.append(NO_SAFE_PATH(lesion_id, lesion=lesion_id, reason=refused.reason))
    return refused


__all__ = ["Job", "default_guidance", "propose_paths", "scene_for"]
