"""The paths of the older plan on the new scan: kept where they keep every limit there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from irplan import units
from irplan.documents import point_document
from irplan.findings import Finding, Severity, declare
from irplan.followup import CarriedLesion, FollowUp
from irplan.geometry import PointLps
from irplan.plan import InjectionPlan
from irplan.plan.carried import CarriedPlan
from irplan.plan.dosing import guidance_of
from irplan.session import PlanningSession
from irplan.tasks import Task
from irplan.trajectory import ConstraintCheck, explain_path
from irplan.trajectory.held import HeldPath
from irplan.trajectory.skin import skin_points
from irplan.trajectory.target import find_target
from irplan.transfer.request import ids_now

STAGE = "transfer"

#: Skin is looked for this far around the place where an entry was carried to, mm.
SKIN_REACH_MM = 20.0
#: A carried tip is moved at most this far, to where a deposit may lie, mm.
TIP_REACH_MM = 8.0

POSITION_CHANGED = declare(
    "position_taken_from_new_scan",
    Severity.WARN,
    STAGE,
    "the older plan was made for {old}; this scan was made {new}, and the plan is now for that",
)
PATH_PLANNED_AGAIN = declare(
    "path_planned_again",
    Severity.WARN,
    STAGE,
    "{lesion}: the path of {needle} is not kept ({why}); it was planned again",
)
PATH_KEPT = declare(
    "path_kept",
    Severity.INFO,
    STAGE,
    "{lesion}: the path of {needle} keeps every limit on this scan and is kept",
)
SIGN_ANEW = declare(
    "signatures_needed_anew",
    Severity.INFO,
    STAGE,
    "this is version {version}, made from plan {supersedes}: signatures of that plan do not hold "
    "for this one",
)


@dataclass(frozen=True)
class CarriedPath:
    """What became of one needle of the older plan.

    Attributes:
        lesion_id, needle_id: the lesion, and the needle in the older plan.
        outcome: kept, planned_again, no_path, or lesion_gone.
        reason: why it is not kept; '' where it is.
        path: its ends in the new scan; None where its lesion is not there.
        entry_moved_mm, tip_moved_mm: how far the ends were moved from where the registration puts
            them: the entry onto the skin, the tip to where a deposit may lie.
        checks: every limit held against it in the new scan.
        now_ids: the lesions that this one has become; () where it kept its id or is not there.
    """

    lesion_id: str
    needle_id: str
    outcome: str
    reason: str
    path: HeldPath | None = None
    entry_moved_mm: float | None = None
    tip_moved_mm: float | None = None
    checks: tuple[ConstraintCheck, ...] = ()
    now_ids: tuple[str, ...] = ()

    def document(self, needles: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The path as it stands in ``irplan.transfer/1``; ``needles`` of the new plan."""
        ids = set(self.now_ids or (self.lesion_id,))
        now = [one["needle_id"] for one in needles if ids & set(one["lesion_ids"])]
        return {
            "lesion_id": self.lesion_id,
            "needle_id": self.needle_id,
            "outcome": self.outcome,
            "reason": self.reason,
            "needle_ids_now": now,
            "entry_lps_mm": point_document(self.path.entry_lps_mm) if self.path else None,
            "tip_lps_mm": point_document(self.path.tip_lps_mm) if self.path else None,
            "entry_moved_mm": _mm(self.entry_moved_mm),
            "tip_moved_mm": _mm(self.tip_moved_mm),
            "checks": [check.document() for check in self.checks],
        }


def carried_paths(
    document: Mapping[str, Any], followed: FollowUp, session: PlanningSession, task: Task
) -> tuple[CarriedPath, ...]:
    """The first pass of every lesion's needle in the new scan, held against every limit."""
    carried = {one.old.lesion_id: one for one in followed.carried}
    here = {one.lesion_id for one in session.state.lesions if one.mask is not None}
    found: list[CarriedPath] = []
    part = task.part("checking the paths")
    needles = [one for one in document["needles"] if one["pass"] == 1]
    done: set[str] = set()
    now = ids_now(followed)
    for number, needle in enumerate(needles):
        part.step(number, len(needles))
        for lesion_id in needle["lesion_ids"]:
            if lesion_id in done:
                continue
            done.add(lesion_id)
            name = str(needle["needle_id"])
            became = tuple(one for one in now.get(lesion_id, ()) if one in here)
            if became and became != (lesion_id,):
                why = f"the lesion is now {' and '.join(became)}"
                found.append(CarriedPath(lesion_id, name, "planned_again", why, now_ids=became))
            elif lesion_id not in here or lesion_id not in carried:
                why = "the lesion is not in the new plan"
                found.append(CarriedPath(lesion_id, name, "lesion_gone", why))
            elif lesion_id != needle["lesion_ids"][0]:
                found.append(_on_track(lesion_id, name, str(needle["lesion_ids"][0]), found))
            else:
                found.append(_checked(needle, carried[lesion_id], session, part))
    return tuple(found)


def _on_track(lesion_id: str, name: str, first: str, found: Sequence[CarriedPath]) -> CarriedPath:
    """What becomes of a lesion that was injected on the track to another: it stays on it."""
    owner = next((one for one in found if one.lesion_id == first and one.needle_id == name), None)
    if owner is None or owner.outcome != "kept" or owner.path is None:
        why = f"it was on the track to {first}, which is planned again"
        return CarriedPath(lesion_id, name, "planned_again", why)
    return replace(owner, lesion_id=lesion_id)


def _checked(
    needle: Mapping[str, Any], carried: CarriedLesion, session: PlanningSession, task: Task
) -> CarriedPath:
    lesion_id, name = carried.old.lesion_id, str(needle["needle_id"])
    there = carried.registration.map
    entry = there(np.array([float(value) for value in needle["entry_lps_mm"]]))
    tip = there(np.array([float(value) for value in needle["tip_lps_mm"]]))
    scan = session.scan
    skin = skin_points(scan.body, scan.volume.geometry, 1.0, entry[None], SKIN_REACH_MM)
    if len(skin) == 0:
        why = f"no skin lies within {SKIN_REACH_MM:.0f} mm of its entry"
        return CarriedPath(lesion_id, name, "planned_again", why)
    gaps = np.linalg.norm(skin.points_lps_mm - entry, axis=1)
    on_skin = skin.points_lps_mm[int(np.argmin(np.round(gaps, 6)))]
    lesion = next(one for one in session.state.lesions if one.lesion_id == lesion_id)
    target = find_target(lesion, scan.volume, session.constraints)
    inside, _ = target.inner_at(tip[None])
    end = tip
    if not inside[0]:
        away = np.linalg.norm(target.points_lps_mm - tip, axis=1)
        end = target.points_lps_mm[int(np.argmin(np.round(away, 6)))]
    moved = float(np.linalg.norm(end - tip))
    path = HeldPath(_rounded(on_skin), _rounded(end))
    entry_moved = float(gaps.min())
    if moved > TIP_REACH_MM:
        why = f"its tip lies {units.mm(moved)} mm from where a deposit may lie"
        return CarriedPath(lesion_id, name, "planned_again", why, path, entry_moved, moved)
    checks = explain_path(
        scan.volume,
        scan.body,
        session.find_anatomy(task),
        lesion,
        path.entry_lps_mm,
        session.shelf,
        session.constraints,
        session.position,
        guidance_of(lesion, session.state.request, session.constraints),
        path.tip_lps_mm,
        task,
    )
    failed = [check for check in checks if check.forbids]
    outcome = "planned_again" if failed else "kept"
    why = "; ".join(_failure(check) for check in failed)
    return CarriedPath(lesion_id, name, outcome, why, path, entry_moved, moved, checks)


def _failure(check: ConstraintCheck) -> str:
    told = check.document()
    value = "unknown" if told["value"] is None else told["value"]
    unit = f" {check.unit}" if check.unit else ""
    return f"{check.constraint} {value}{unit}, {told['bound']} {told['limit']}{unit}"


def planned(
    session: PlanningSession,
    document: Mapping[str, Any],
    followed: FollowUp,
    paths: tuple[CarriedPath, ...],
    lost: tuple[Finding, ...],
    task: Task,
) -> tuple[InjectionPlan, tuple[CarriedPath, ...]]:
    """The new plan with the kept paths; without them where they cannot stand together."""
    plan = _with_paths(session, document, followed, paths, lost, task)
    if any(one.code == "needles_cross" for one in plan.findings) and _kept(paths):
        crossing = "kept as it was it would meet another needle"
        paths = tuple(
            replace(one, outcome="planned_again", reason=crossing) if one.outcome == "kept" else one
            for one in paths
        )
        plan = _with_paths(session, document, followed, paths, lost, task)
    settled = tuple(_settled(one, plan) for one in paths)
    if settled != paths:
        plan = _with_paths(session, document, followed, settled, lost, task)
    return plan, settled


def _kept(paths: Sequence[CarriedPath]) -> tuple[tuple[str, HeldPath], ...]:
    return tuple(
        (one.lesion_id, one.path) for one in paths if one.outcome == "kept" and one.path is not None
    )


def _settled(one: CarriedPath, plan: InjectionPlan) -> CarriedPath:
    """What the plan made of a path: its lesion may have no path or no dose at all."""
    ids = one.now_ids or (one.lesion_id,)
    now = [needle for name in ids for needle in plan.paths.of_lesion(name)]
    if one.outcome == "lesion_gone":
        return one
    if not now:
        return replace(one, outcome="no_path", reason=one.reason or "its lesion gets no needle")
    if one.outcome == "kept" and one.path is not None:
        ends = (now[0].entry_lps_mm, now[0].tip_lps_mm)
        if ends != (one.path.entry_lps_mm, one.path.tip_lps_mm):
            return replace(one, outcome="planned_again", reason="no needle reaches on it")
    return one


def _with_paths(
    session: PlanningSession,
    document: Mapping[str, Any],
    followed: FollowUp,
    paths: Sequence[CarriedPath],
    lost: tuple[Finding, ...],
    task: Task,
) -> InjectionPlan:
    version, supersedes = int(document["version"]) + 1, str(document["plan_id"])
    notes = [SIGN_ANEW(version=version, supersedes=supersedes)]
    for one in paths:
        told = {"lesion": one.lesion_id, "needle": one.needle_id}
        if one.outcome == "kept":
            notes.append(PATH_KEPT(one.lesion_id, **told))
        elif one.outcome == "planned_again":
            notes.append(PATH_PLANNED_AGAIN(one.lesion_id, why=one.reason, **told))
    position = session.position.value
    if position != document["case"]["patient_position"]:
        old = str(document["case"]["patient_position"])
        notes.append(POSITION_CHANGED(old=old, new=position))
    carried = CarriedPlan(version, supersedes, _kept(paths), (*followed.findings, *lost, *notes))
    session.change(lambda request: replace(request, carried=carried))
    return session.plan(task)


def _rounded(values: Any) -> PointLps:
    x, y, z = (round(float(value), 2) + 0.0 for value in values)
    return x, y, z


def _mm(value: float | None) -> Decimal | None:
    return None if value is None else units.mm(value)
