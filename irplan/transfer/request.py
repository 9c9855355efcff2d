"""The request of the new version: gestures carried, what belonged to the older scan left out."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from irplan.errors import InputRefused
from irplan.files import write_text
from irplan.findings import Finding, Forbids, Severity, declare
from irplan.followup import FollowUp
from irplan.plan.carried import CarriedPlan
from irplan.plan.request import PlanRequest
from irplan.trajectory import PatientPosition
from irplan.volume import CtVolume

STAGE = "transfer"

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


def carried_request(
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
def carried_tables(old: PlanRequest) -> Iterator[Path | None]:
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


def lost_findings(old: PlanRequest, anatomy_given: bool) -> tuple[Finding, ...]:
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


def _days_between(old: str, new: str) -> int | None:
    try:
        return (date.fromisoformat(new) - date.fromisoformat(old)).days
    except ValueError:
        return None
