"""Proposing paths for the lesions of a visit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
from irplan.trajectory.search import Rules, Search
from irplan.trajectory.shelf import NeedleShelf
from irplan.trajectory.target import find_target
from irplan.volume import CtVolume

Doses = Mapping[str, tuple[tuple[str, Decimal], ...]]

#: Different safe paths that the front is taken from, at most.
POOL = 48
#: Edge of the skin cells of which the pool holds one path each, mm.
POOL_CELL_MM = 12.0
#: Candidates tested exactly for the pool once the best is found.
POOL_TESTS = 6000
MUCH_NECROSIS = 0.5

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
    needles: list[Needle] = []
    alternatives: list[Needle] = []
    unreachable: list[Unreachable] = []
    findings: list[Finding] = []
    for number, lesion in enumerate(lesions):
        task.step(number, len(lesions))
        dose = doses.get(lesion.lesion_id)
        if dose is None or (dose and all(ml == 0 for _, ml in dose)):
            findings.append(NO_DOSE(lesion.lesion_id, lesion=lesion.lesion_id))
            continue
        if lesion.mask is None:
            findings.append(NO_VOXELS(lesion.lesion_id, lesion=lesion.lesion_id))
            continue
        way = guidance.get(lesion.lesion_id) or default_guidance(lesion, constraints)
        proposal = _for_lesion(
            volume, body, anatomy, lesion, dose, shelf, constraints, position, way,
            increment_ml, f"N{len(needles) + 1}", task,
        )  # fmt: skip
        findings.extend(proposal.findings)
        needles.extend(proposal.needles)
        alternatives.extend(proposal.alternatives)
        unreachable.extend(proposal.unreachable)
    task.step(len(lesions), len(lesions))
    return PathPlan(_in_order(needles), tuple(alternatives), tuple(unreachable), tuple(findings))


def default_guidance(lesion: Lesion, constraints: Constraints) -> str:
    """'ultrasound' for a lesion whose nearest border is at most 30 mm deep [a setting], else 'ct'.

    A lesion whose depth is not known is taken as deep.
    """
    depth = lesion.depth_below_skin_mm
    superficial = depth is not None and depth <= constraints.value("superficial_mm")
    return "ultrasound" if superficial else "ct"


def _for_lesion(
    volume: CtVolume,
    body: BoolArray,
    anatomy: Anatomy,
    lesion: Lesion,
    dose: tuple[tuple[str, Decimal], ...],
    shelf: NeedleShelf,
    constraints: Constraints,
    position: PatientPosition,
    way: str,
    increment_ml: Decimal,
    needle_id: str,
    task: Task,
) -> PathPlan:
    target = find_target(lesion, volume, constraints)
    wanted = min(
        wanted_deposits(dose, increment_ml, constraints),
        int(constraints.value("deposits_per_pass")),
    )
    findings: list[Finding] = []
    if target.necrotic_share > MUCH_NECROSIS:
        findings.append(
            MOSTLY_NECROTIC(
                lesion.lesion_id,
                lesion=lesion.lesion_id,
                percent=round(100 * target.necrotic_share),
            )
        )
    search = Search(anatomy, body, target, Rules(constraints, shelf, position, way), wanted, task)
    paths = safe_paths(search, body, anatomy, task)
    if not paths and way != "ct":
        deeper = Search(
            anatomy, body, target, Rules(constraints, shelf, position, "ct"), wanted, task
        )
        paths = safe_paths(deeper, body, anatomy, task)
        if paths:
            search = deeper
            findings.append(GUIDANCE_CHANGED(lesion.lesion_id, lesion=lesion.lesion_id, wished=way))
    if not paths:
        refused = refusal.explain(search, body, anatomy, task)
        findings.append(
            NO_SAFE_PATH(lesion.lesion_id, lesion=lesion.lesion_id, reason=refused.reason)
        )
        return PathPlan(unreachable=(refused,), findings=tuple(findings))
    best = paths[0]
    others = thinned(pareto_front(paths), best, int(constraints.value("alternatives")))
    entry_id = "E" + needle_id[1:]
    made = [
        _needle(
            search, path, dose, increment_ml,
            needle_id if rank == 1 else f"{needle_id}-A{rank - 1}",
            entry_id if rank == 1 else f"{entry_id}-A{rank - 1}",
            rank,
        )
        for rank, path in enumerate((best, *others), 1)
    ]  # fmt: skip
    findings.extend(_path_findings(made[0], search, anatomy, len(best.places), wanted))
    return PathPlan((made[0],), tuple(made[1:]), (), tuple(findings))


def safe_paths(
    search: Search, body: BoolArray, anatomy: Anatomy, task: Task = SILENT
) -> list[SafePath]:
    """Different safe paths of a search, the best first; empty where there is none.

    Every one has passed every hard limit on the voxels of the CT.
    """
    if search.candidates == 0:
        return []
    status, cost = search.evaluate()
    paths = []
    for entry, place, value in search.pool(status, cost, POOL, POOL_CELL_MM, POOL_TESTS, task):
        start, tip = search.ends(entry, place)
        measure = measure_path(
            anatomy, body, search.target.mask, search.margins, search.rules, start, tip
        )
        if all(check.ok for check in check_path(measure, search.margins, search.rules)):
            paths.append(_safe_path(search, measure, place, value))
    return sorted(paths, key=lambda path: (path.cost, path.measure.entry_lps_mm))


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
        float(search.target.point_depth_mm[place]),
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
    rules, measure = search.rules, path.measure
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


def _path_findings(
    needle: Needle, search: Search, anatomy: Anatomy, held: int, wanted: int
) -> list[Finding]:
    lesion = search.target.lesion_id
    findings = []
    if held < wanted:
        findings.append(FEWER_DEPOSITS(lesion, lesion=lesion, held=held, wanted=wanted))
    lung = sum(length for name, length in needle.crosses_mm.items() if name.startswith("lung"))
    if lung > 0:
        findings.append(LUNG_CROSSED(needle.needle_id, needle=needle.needle_id, mm=round(lung)))
    if needle.guidance == "ct" and "great_vessels" in anatomy.unknown:
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
