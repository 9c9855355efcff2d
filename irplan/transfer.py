"""A plan carried to the CT of the day: a new version of it, that needs new signatures.

The two scans are registered, the lesions looked for and segmented again, the dose split again over
those that are there, and every path is checked on the new scan: kept where it keeps every limit,
planned again where it does not.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from irplan import units
from irplan.body import find_body
from irplan.documents import envelope, point_document
from irplan.errors import CallError, InputRefused
from irplan.export.follow_picture import write_follow_picture
from irplan.export.plan_folder import PLAN_FILE
from irplan.files import write_text
from irplan.findings import Finding, Forbids, Severity, declare
from irplan.followup import CarriedLesion, Decision, FollowUp, follow_up
from irplan.geometry import PointLps
from irplan.headless import session_on
from irplan.jsonio import dumps
from irplan.lesions.gestures import Prompt
from irplan.plan import InjectionPlan
from irplan.plan.carried import CarriedPlan
from irplan.plan.dosing import guidance_of
from irplan.plan.request import PlanRequest
from irplan.session import PlanningSession
from irplan.tasks import SILENT, Task
from irplan.trajectory import ConstraintCheck, PatientPosition, explain_path
from irplan.trajectory.held import HeldPath
from irplan.trajectory.skin import skin_points
from irplan.trajectory.target import find_target
from irplan.verification import reopen_plan
from irplan.volume import CtVolume
from irplan.volume_io import load_volume

STAGE = "transfer"
TRANSFER_FILE = "transfer.json"
PICTURE_FILE = "transfer.png"

#: Skin is looked for this far around the place where an entry was carried to, mm.
SKIN_REACH_MM = 20.0
#: A carried tip is moved at most this far, to where a deposit may lie, mm.
TIP_REACH_MM = 8.0

STRUCTURES_LOST = declare(
    "structures_not_carried",
    Severity.STOP,
    STAGE,
    "{what} of the older plan belong to the older scan and were not carried over: give them anew "
    "for this scan, or say why the computed structures suffice",
    forbids=Forbids.SIGNATURE,
    overridable=True,
)
HANDWORK_LOST = declare(
    "handwork_not_carried",
    Severity.WARN,
    STAGE,
    "what was corrected by hand in the masks of {lesions} was not carried over: look at their "
    "contours on this scan",
)
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
    """

    lesion_id: str
    needle_id: str
    outcome: str
    reason: str
    path: HeldPath | None = None
    entry_moved_mm: float | None = None
    tip_moved_mm: float | None = None
    checks: tuple[ConstraintCheck, ...] = ()

    def document(self, needles: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The path as it stands in ``irplan.transfer/1``; ``needles`` of the new plan."""
        now = [one["needle_id"] for one in needles if self.lesion_id in one["lesion_ids"]]
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


@dataclass(frozen=True)
class Transfer:
    """The outcome.

    Attributes:
        old: the older plan's document.
        follow: what was found between the two scans.
        plan: the new version; None where the scans cannot be used together.
        paths: what became of each needle.
    """

    old: Mapping[str, Any]
    follow: FollowUp
    plan: InjectionPlan | None
    paths: tuple[CarriedPath, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of the new plan, or why there is none."""
        return self.follow.findings if self.plan is None else self.plan.findings

    def document(self) -> dict[str, Any]:
        """``irplan.transfer/1``."""
        new = None if self.plan is None else self.plan.document()
        followed = self.follow.document()
        body = {
            "plan_id": None if new is None else new["plan_id"],
            "version": int(self.old["version"]) + 1,
            "supersedes": self.old["plan_id"],
            "from_scan": _scan_document(self.old["case"]),
            "to_scan": None if new is None else _scan_document(new["case"]),
            "registration": followed["registration"],
            "local_registrations": followed["local_registrations"],
            "matches": followed["matches"],
            "changes": followed["changes"],
            "doses": [] if new is None else _dose_changes(self.old, new),
            "paths": [] if new is None else [one.document(new["needles"]) for one in self.paths],
        }
        return envelope("transfer", body, self.findings)


def transfer_plan(
    where: Path,
    new_path: Path,
    out: Path,
    task: Task = SILENT,
    *,
    old_path: Path | None = None,
    series_uid: str | None = None,
    drawn: Sequence[Prompt] = (),
    decisions: Sequence[Decision] = (),
    accepted: Mapping[str, str] | None = None,
    anatomy: Path | None = None,
    anatomy_names: Path | None = None,
    weight_kg: Decimal | None = None,
) -> Transfer:
    """Carry a plan to another CT of the same patient and write the new version into ``out``.

    Args:
        where: plan.json or its folder.
        new_path: the CT of the day.
        old_path: the CT that was planned on; where None, the path that the plan remembers.
        drawn: gestures on the new scan, for lesions by id and for new ones.
        decisions: what a person said about the proposals of an earlier run.
        accepted: stops that a person lifts, by code; those of the older plan do not hold any more.
        anatomy, anatomy_names: imported structures on the new scan.
        weight_kg: where the patient was weighed again.

    Returns:
        The transfer; nothing is written where the scans cannot be used together.

    Raises:
        CallError: ``out`` is the older plan's own folder.
        InputRefused: the plan or a scan cannot be trusted, or nothing is left to inject.
    """
    reasons = dict(accepted or {})
    home = where if where.is_dir() else where.parent
    if out.resolve() == home.resolve():
        raise CallError(
            "same_folder", f"{out}: holds the older plan", "name another folder for the new version"
        )
    document, before = reopen_plan(where, old_scan(where, old_path), task)
    old_request = before.state.request
    new = load_volume(new_path, series_uid, task.part("reading the CT of the day"))
    body = find_body(new, task.part("finding the patient's outline"))
    followed = follow_up(
        before.state.lesions,
        before.scan.volume,
        before.scan.body,
        new,
        body,
        task,
        drawn=drawn,
        decisions=decisions,
        reasons=reasons,
    )
    if followed.refused:
        return Transfer(document, followed, None)
    with _tables(old_request) as table:
        request = _request(old_request, document, followed, new, table, reasons)
        request = replace(
            request,
            anatomy=anatomy,
            anatomy_names=anatomy_names,
            weight_kg=weight_kg or request.weight_kg,
            weight_age_days=0 if weight_kg else request.weight_age_days,
        )
        lost = _lost(old_request, anatomy is not None)
        session = session_on(new, request, task)
        session.find_anatomy(task)
        paths = _carried_paths(document, followed, session, task)
        plan, paths = _planned(session, document, followed, paths, lost, task)
        transfer = Transfer(document, followed, plan, paths)
        session.save(out, task)
        write_text(out / TRANSFER_FILE, dumps(transfer.document()) + "\n")
        write_follow_picture(followed, before.scan.volume, new, out / PICTURE_FILE)
    return transfer


def old_scan(where: Path, given: Path | None) -> Path:
    """The scan that was planned on.

    Raises:
        InputRefused: nobody gave it, and it is not where the plan was made.
    """
    if given is not None:
        return given
    from irplan.jsonio import loads

    file = where / PLAN_FILE if where.is_dir() else where
    try:
        run = loads(file.read_bytes())["run"]
        remembered = str(run.get("scan", "")) if isinstance(run, Mapping) else ""
    except (OSError, ValueError, KeyError, TypeError):
        # What is wrong with the plan is told when it is opened in earnest.
        remembered = ""
    if remembered and Path(remembered).exists():
        return Path(remembered)
    raise InputRefused(
        "old_scan_unknown",
        f"{file}: the scan that was planned on is not where the plan was made",
        "name it with --from",
    )


# ------------------------------------------------------------------------------------ the request


def _request(
    old: PlanRequest,
    document: Mapping[str, Any],
    followed: FollowUp,
    new: CtVolume,
    table: Path | None,
    reasons: Mapping[str, str],
) -> PlanRequest:
    """The older request for the new scan: gestures carried, what belonged to the scan left out."""
    kept = set(followed.kept_ids)
    prompts = tuple(one for one in followed.prompts if one.lesion_id in kept)
    known = kept | {one.lesion_id for one in followed.without_image}
    targets = tuple(one for one in old.targets if one in known)
    if not prompts and not followed.without_image:
        raise InputRefused(
            "no_lesions", "none of the lesions is left in the new scan", "show one by a gesture"
        )
    if old.targets and not targets:
        raise InputRefused(
            "no_target_left",
            f"none of the targets of the older plan is left: {', '.join(old.targets)}",
            "plan anew on this scan",
        )
    age = old.weight_age_days
    days = _days_between(str(document["case"]["image_date"]), new.identity.acquired)
    scanned = PatientPosition.from_tag(new.identity.patient_position)
    position = str(document["case"]["patient_position"])
    return replace(
        old,
        prompts=prompts,
        mask=None,
        mask_ids=None,
        lesion_table=table,
        weight_age_days=None if age is None or days is None else age + max(0, days),
        patient_position="" if scanned is not None else position,
        targets=targets,
        excluded=tuple(one for one in old.excluded if one[0] in known),
        accepted=tuple(sorted(reasons.items())),
        chosen=(),
        edits=(),
        kept_masks=(),
        drawn=(),
        places=tuple(one for one in old.places if one.lesion_id in kept),
        no_go=None,
        carried=CarriedPlan(int(document["version"]) + 1, str(document["plan_id"])),
    )


@contextmanager
def _tables(old: PlanRequest) -> Iterator[Path | None]:
    """What the older tables say of the lesions besides their voxels, as one table.

    The table of lesions wins over that of mask ids, row by row, as it does in the older plan.
    """
    if old.mask_ids is None:
        yield old.lesion_table
        return
    rows: dict[str, dict[str, str]] = {}
    columns: dict[str, None] = {}
    for path in (old.mask_ids, old.lesion_table):
        if path is None:
            continue
        reader = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
        for row in reader:
            cells = {(k or "").strip(): (v or "").strip() for k, v in row.items()}
            cells.pop("source_label", None)
            columns |= dict.fromkeys(cells)
            rows[cells["lesion_id"]] = cells
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    with tempfile.TemporaryDirectory(prefix="irplan-transfer-") as folder:
        path = Path(folder) / "lesions.csv"
        write_text(path, text.getvalue())
        yield path


def _lost(old: PlanRequest, anatomy_given: bool) -> tuple[Finding, ...]:
    """What of the older request could not come along."""
    what = []
    if old.anatomy is not None and not anatomy_given:
        what.append("the imported structures")
    if old.no_go is not None:
        what.append("the painted no-go zone")
    findings = [STRUCTURES_LOST(what=" and ".join(what))] if what else []
    worked = sorted(
        {one.lesion_id for one in old.edits}
        | {one.lesion_id for one in old.kept_masks}
        | {one.lesion_id for one in old.drawn}
    )
    if worked:
        findings.append(HANDWORK_LOST(lesions=", ".join(worked)))
    return tuple(findings)


# -------------------------------------------------------------------------------------- the paths


def _carried_paths(
    document: Mapping[str, Any], followed: FollowUp, session: PlanningSession, task: Task
) -> tuple[CarriedPath, ...]:
    """The first pass of every lesion's needle in the new scan, held against every limit."""
    carried = {one.old.lesion_id: one for one in followed.carried}
    here = {one.lesion_id for one in session.state.lesions if one.mask is not None}
    found: list[CarriedPath] = []
    part = task.part("checking the paths")
    needles = [one for one in document["needles"] if one["pass"] == 1]
    done: set[str] = set()
    for number, needle in enumerate(needles):
        part.step(number, len(needles))
        for lesion_id in needle["lesion_ids"]:
            if lesion_id in done:
                continue
            done.add(lesion_id)
            name = str(needle["needle_id"])
            if lesion_id not in here or lesion_id not in carried:
                why = "the lesion is not in the new plan"
                found.append(CarriedPath(lesion_id, name, "lesion_gone", why))
            elif lesion_id != needle["lesion_ids"][0]:
                why = f"it was on the track to {needle['lesion_ids'][0]}"
                found.append(CarriedPath(lesion_id, name, "planned_again", why))
            else:
                found.append(_checked(needle, carried[lesion_id], session, part))
    return tuple(found)


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


def _planned(
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
    now = plan.paths.of_lesion(one.lesion_id)
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


# ---------------------------------------------------------------------------------- the document


def _scan_document(case: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("study_instance_uid", "series_instance_uid", "frame_of_reference_uid", "image_date")
    return {key: case[key] for key in keys}


def _dose_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each lesion's dose of each drug before and now; null where it had or has none."""
    before, after = _doses(old), _doses(new)
    return [
        {
            "lesion_id": lesion_id,
            "drug": drug,
            "old_ml": before.get((lesion_id, drug)),
            "new_ml": after.get((lesion_id, drug)),
        }
        for lesion_id, drug in dict.fromkeys([*before, *after])
    ]


def _doses(plan: Mapping[str, Any]) -> dict[tuple[str, str], Decimal]:
    return {
        (dose["lesion_id"], drug["drug"]): dose["ml"]
        for drug in plan["allocation"]["drugs"]
        for dose in drug["lesions"]
    }


def _days_between(old: str, new: str) -> int | None:
    try:
        return (date.fromisoformat(new) - date.fromisoformat(old)).days
    except ValueError:
        return None


def _rounded(values: Any) -> PointLps:
    x, y, z = (round(float(value), 2) + 0.0 for value in values)
    return x, y, z


def _mm(value: float | None) -> Decimal | None:
    return None if value is None else units.mm(value)


__all__ = ["CarriedPath", "Transfer", "old_scan", "transfer_plan"]
