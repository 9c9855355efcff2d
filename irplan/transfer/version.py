"""A plan carried to the CT of the day: a new version of it, that needs new signatures.

The two scans are registered, the lesions looked for and segmented again, the dose split again over
those that are there, and every path is checked on the new scan: kept where it keeps every limit,
planned again where it does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from irplan.body import find_body
from irplan.documents import envelope
from irplan.errors import CallError, InputRefused
from irplan.export.follow_picture import write_follow_picture
from irplan.export.lesion_pairs import lesion_pairs
from irplan.export.plan_folder import PLAN_FILE
from irplan.export.report_transfer import TransferPages
from irplan.files import write_text
from irplan.findings import Finding
from irplan.followup import Decision, FollowUp, follow_up
from irplan.headless import session_on
from irplan.jsonio import dumps
from irplan.lesions import import_masks
from irplan.lesions.gestures import Prompt
from irplan.lesions.lesion import Lesion
from irplan.plan import InjectionPlan
from irplan.tasks import SILENT, Task
from irplan.transfer.paths import CarriedPath, carried_paths, planned
from irplan.transfer.request import carried_request, carried_tables, ids_now, lost_findings
from irplan.verification import reopen_plan
from irplan.volume_io import load_volume

STAGE = "transfer"
TRANSFER_FILE = "transfer.json"
PICTURE_FILE = "transfer.png"


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
    new_mask: Path | None = None,
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
        new_mask: masks of lesions on the new scan; they take the place of following.
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
    masks: tuple[Lesion, ...] = ()
    if new_mask is not None:
        masks = import_masks(new_mask, new, None, task.part("reading masks"), body).lesions
    followed = follow_up(
        before.state.lesions,
        before.scan.volume,
        before.scan.body,
        new,
        body,
        task,
        drawn=drawn,
        masks=masks,
        decisions=decisions,
        reasons=reasons,
    )
    if followed.refused:
        return Transfer(document, followed, None)
    with carried_tables(old_request, ids_now(followed)) as table:
        request = carried_request(old_request, document, followed, new, table, reasons)
        request = replace(
            request,
            anatomy=anatomy,
            anatomy_names=anatomy_names,
            weight_kg=weight_kg or request.weight_kg,
            weight_age_days=0 if weight_kg else request.weight_age_days,
        )
        lost = lost_findings(old_request, followed, anatomy is not None)
        session = session_on(new, request, task)
        session.find_anatomy(task)
        paths = carried_paths(document, followed, session, task)
        plan, paths = planned(session, document, followed, paths, lost, task)
        transfer = Transfer(document, followed, plan, paths)
        pairs = lesion_pairs(followed, before.scan.volume, new)
        pages = TransferPages(transfer.document(), document["needles"], pairs)
        session.save(out, task, changes=pages)
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
