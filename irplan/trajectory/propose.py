"""Proposing paths for the lesions of a visit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from irplan.anatomy import Anatomy
from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray
from irplan.lesions.lesion import Lesion
from irplan.tasks import SILENT, Task
from irplan.trajectory import refusal
from irplan.trajectory.constraints import Constraints
from irplan.trajectory.deposits import make_deposits, places_on_track, wanted_deposits
from irplan.trajectory.measure import PathMeasure, check_path, hit_probability, measure_path
from irplan.trajectory.needle import Needle, PathPlan, Unreachable
from irplan.trajectory.position import PatientPosition
from irplan.trajectory.ranking import SafePath, clearance_shortfall, pareto_front, thinned
from irplan.trajectory.scene import Scene
from irplan.trajectory.search import Rules, Search
from irplan.trajectory.shelf import NeedleShelf
from irplan.trajectory.target import Target, find_target
from irplan.volume import CtVolume

Doses = Mapping[str, tuple[tuple[str, Decimal], ...]]

#: Different safe paths that the front is taken from, at most.
POOL = 48
#: Edge of the skin cells of which the pool holds one path each, mm.
POOL_CELL_MM = 12.0
#: Candidates tested exactly for the pool once the best is found.
POOL_TESTS = 6000
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
LUNG_CROSSED = declare(
    "lung_crossed",
    Severity.WARN,
    "trajectory",
    "needle {needle} crosses {mm} mm of lung: pneumothorax is to be expected as a risk",
)
VESSELS_NOT_KNOWN = declare(
    "deep_path_vessels_unknown",
    Severity.WARN,
    "trajectory",
    "needle {needle} goes {mm} mm deep and the large vessels are unknown: its clearance to them "
    "is not known",
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
            wanted = min(
                wanted_deposits(dose, increment_ml, constraints),
                int(constraints.value("deposits_per_pass")),
            )
            jobs.append(Job(target, Rules(constraints, shelf, position, way), dose, wanted))
    if not jobs:
        return PathPlan(findings=tuple(findings))
    scene = scene_for(jobs, anatomy, body)
    needles: list[Needle] = []
    alternatives: list[Needle] = []
    unreachable: list[Unreachable] = []
    for number, job in enumerate(jobs):
        task.step(number, len(jobs))
        proposal = _for_lesion(scene, job, increment_ml, f"N{len(needles) + 1}", task)
        findings.extend(proposal.findings)
        needles.extend(proposal.needles)
        alternatives.extend(proposal.alternatives)
        unreachable.extend(proposal.unreachable)
    task.step(len(jobs), len(jobs))
    return PathPlan(_in_order(needles), tuple(alternatives), tuple(unreachable), tuple(findings))


@dataclass(frozen=True)
class Job:
    """One lesion to be planned: target, numbers, dose, deposits wanted on a track."""

    target: Target
    rules: Rules
    dose: tuple[tuple[str, Decimal], ...]
    deposits: int


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


def _for_lesion(
    scene: Scene, job: Job, increment_ml: Decimal, needle_id: str, task: Task
) -> PathPlan:
    target, constraints = job.target, job.rules.constraints
    lesion_id, way = target.lesion_id, job.rules.guidance
    findings: list[Finding] = []
    if target.necrotic_share > MUCH_NECROSIS:
        percent = round(100 * target.necrotic_share)
        findings.append(MOSTLY_NECROTIC(lesion_id, lesion=lesion_id, percent=percent))
    search = Search(scene, target, job.rules, job.deposits)
    paths = safe_paths(search, task)
    if not paths and way != "ct":
        deeper = Search(scene, target, replace(job.rules, guidance="ct"), job.deposits)
        paths = safe_paths(deeper, task)
        if paths:
            search = deeper
            findings.append(GUIDANCE_CHANGED(lesion_id, lesion=lesion_id, wished=way))
    if not paths:
        wider = scene_for([job], scene.anatomy, scene.body, LOOK_BEYOND_MM)
        refused = refusal.explain(
            Search(wider, target, job.rules, job.deposits, LOOK_BEYOND_MM), task
        )
        findings.append(NO_SAFE_PATH(lesion_id, lesion=lesion_id, reason=refused.reason))
        return PathPlan(unreachable=(refused,), findings=tuple(findings))
    best = paths[0]
    others = thinned(pareto_front(paths), best, int(constraints.value("alternatives")))
    entry_id = "E" + needle_id[1:]
    made = [
        _needle(
            search, path, job.dose, increment_ml,
            needle_id if rank == 1 else f"{needle_id}-A{rank - 1}",
            entry_id if rank == 1 else f"{entry_id}-A{rank - 1}",
            rank,
        )
        for rank, path in enumerate((best, *others), 1)
    ]  # fmt: skip
    findings.extend(_path_findings(made[0], search, len(best.places), job.deposits))
    return PathPlan((made[0],), tuple(made[1:]), (), tuple(findings))


def safe_paths(search: Search, task: Task = SILENT) -> list[SafePath]:
    """Different safe paths of a search, the best first; empty where there is none.

    Every one has passed every hard limit on the voxels of the CT.
    """
    if search.candidates == 0:
        return []
    status, cost = search.evaluate()
    paths = []
    far = float(search.margins.wanted_mm.max(initial=0.0))
    for entry, place, value in search.pool(status, cost, POOL, POOL_CELL_MM, POOL_TESTS, task):
        measure = measure_candidate(search, entry, place, far)
        if all(check.ok for check in check_path(measure, search.margins, search.rules)):
            paths.append(_safe_path(search, measure, place, value))
    return sorted(paths, key=lambda path: (path.cost, path.measure.entry_lps_mm))


def measure_candidate(search: Search, entry: int, place: int, report_mm: float) -> PathMeasure:
    """Measure a candidate of a search exactly."""
    scene = search.scene
    start, tip = search.ends(entry, place)
    return measure_path(
        scene.anatomy, scene.body, search.target.mask, search.margins, search.rules, start, tip,
        scene.support, search.skin.inward[entry], report_mm,
    )  # fmt: skip


def _safe_path(search: Search, measure: PathMeasure, place: int, cost: float) -> SafePath:
    spacing = search.rules.constraints.value("deposit_spacing_mm")
    places = places_on_track(
        measure.entry_lps_mm, measure.tip_lps_mm, search.target, search.deposits, spacing
    )
    names = search.margins.names
    lung = [name for name, flag in zip(names, search.margins.is_lung, strict=True) if flag]
    liver = [name for name, flag in zip(names, search.margins.is_liver, strict=True) if flag]
    return SafePath(
        measure,
        places,
        search.deposits,
        float(search.tip_depth_mm[place]),
        cost,
        clearance_shortfall(measure, search.margins),
        sum(measure.crosses_mm.get(name, 0.0) for name in lung),
        sum(measure.crosses_mm.get(name, 0.0) for name in liver),
    )


def _needle(
    search: Search,
    path: SafePath,
    dose: tuple[tuple[str, Decimal], ...],
    increment_ml: Decimal,
    needle_id: str,
    entry_id: str,
    rank: int,
) -> Needle:
    rules, scene = search.rules, search.scene
    # Measured again, now as far as the document tells.
    measure = measure_path(
        scene.anatomy, scene.body, search.target.mask, search.margins, rules,
        path.measure.entry_lps_mm, path.measure.tip_lps_mm, scene.support,
    )  # fmt: skip
    needle_type = measure.needle
    if needle_type is None:
        raise ValueError("a path without a needle is not safe")
    lesion_id = search.target.lesion_id
    error = "tip_error_ct_mm" if rules.guidance == "ct" else "tip_error_ultrasound_mm"
    return Needle(
        needle_id=needle_id,
        entry_id=entry_id,
        pass_number=1,
        guidance=rules.guidance,
        needle_type=needle_type.name,
        gauge=needle_type.gauge,
        length_mm=needle_type.length_mm,
        entry_lps_mm=measure.entry_lps_mm,
        tip_lps_mm=measure.tip_lps_mm,
        depth_mm=measure.depth_mm,
        lesion_ids=(lesion_id,),
        axial_angle_deg=measure.axial_angle_deg,
        craniocaudal_angle_deg=measure.craniocaudal_angle_deg,
        skin_angle_deg=measure.skin_angle_deg,
        clearance_mm=measure.clearance_mm,
        crosses_mm=measure.crosses_mm,
        pleural_crossings=measure.pleural_crossings,
        hit_probability=hit_probability(
            measure.tip_lps_mm, search.target.mask, rules.constraints.value(error)
        ),
        deposits=make_deposits(
            needle_id, lesion_id, path.places, dose, increment_ml, rules.constraints
        ),
        rank=rank,
        dominated=False,
        cost=path.cost,
        margin_mm={
            search.margins.names[label]: float(search.margins.margin_mm[label])
            for label in measure.obstacle_mm
            if search.margins.names[label] in measure.clearance_mm
        },
        criteria=path.criteria,
    )


def _path_findings(needle: Needle, search: Search, held: int, wanted: int) -> list[Finding]:
    lesion = search.target.lesion_id
    findings = []
    if held < wanted:
        findings.append(FEWER_DEPOSITS(lesion, lesion=lesion, held=held, wanted=wanted))
    lung = sum(length for name, length in needle.crosses_mm.items() if name.startswith("lung"))
    if lung > 0:
        findings.append(LUNG_CROSSED(needle.needle_id, needle=needle.needle_id, mm=round(lung)))
    if needle.guidance == "ct" and "great_vessels" in search.scene.anatomy.unknown:
        findings.append(
            VESSELS_NOT_KNOWN(needle.needle_id, needle=needle.needle_id, mm=round(needle.depth_mm))
        )
    return findings


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
