"""The request of the new version: gestures carried, what belonged to the older scan left out."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from irplan.errors import InputRefused
from irplan.files import write_text
from irplan.findings import Finding, Forbids, Severity, declare
from irplan.followup import FollowUp
from irplan.lesions.handwork import Place
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
    now = ids_now(followed)
    targets = _ids(old.targets, now)
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
        excluded=_excluded(old.excluded, now),
        biopsies=_ids(old.biopsies, now),
        accepted=tuple(sorted(reasons.items())),
        chosen=(),
        edits=(),
        kept_masks=tuple(one for one in followed.kept_masks if one.lesion_id in kept),
        drawn=(),
        places=places_now(followed, now),
        no_go=None,
        followed=(),
        carried=CarriedPlan(int(document["version"]) + 1, str(document["plan_id"])),
    )


def ids_now(followed: FollowUp) -> dict[str, tuple[str, ...]]:
    """For every lesion of the older plan the ids that it has in the new one; () where none."""
    kept = set(followed.kept_ids)
    now: dict[str, tuple[str, ...]] = {
        one.lesion_id: (one.lesion_id,) for one in followed.without_image
    }
    for one in followed.carried:
        name = one.old.lesion_id
        now[name] = tuple(new for new in followed.now_of(name) if new in kept)
    return now


def _ids(old: Sequence[str], now: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(new for one in old for new in now.get(one, ())))


def _excluded(
    old: Sequence[tuple[str, str]], now: Mapping[str, tuple[str, ...]]
) -> tuple[tuple[str, str], ...]:
    """Lesions left out with their reasons; what holds a part that was left out is left out."""
    return tuple({new: reason for one, reason in old for new in now.get(one, ())}.items())


def places_now(followed: FollowUp, now: Mapping[str, tuple[str, ...]]) -> tuple[Place, ...]:
    """Sites and sides as a person or a table gave them; of a merged lesion where all agree."""
    said: dict[str, set[tuple[str, str]]] = {}
    for one in followed.carried:
        side = one.old.side if one.old.side_source == "given" else ""
        for new in now[one.old.lesion_id]:
            said.setdefault(new, set()).add((one.old.site, side))
    agreed = {new: both.pop() for new, both in said.items() if len(both) == 1}
    return tuple(Place(new, site, side) for new, (site, side) in agreed.items() if site or side)


@contextmanager
def carried_tables(old: PlanRequest, now: Mapping[str, tuple[str, ...]]) -> Iterator[Path | None]:
    """What the older tables say of the lesions besides their voxels, as one table.

    The table of lesions wins over that of mask ids, row by row, as it does in the older plan. A row
    of a lesion that the older CT showed stands for what that lesion is now: for each part of a
    split one, once for a merged one (the first row that holds), not at all for one that has gone.

    Args:
        now: for every lesion of the older plan the ids that it has in the new one.
    """
    same = all(new == (one,) for one, new in now.items())
    if old.mask_ids is None and (old.lesion_table is None or same):
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
            name = cells["lesion_id"]
            rows.pop(name, None)
            rows[name] = cells
    moved: dict[str, dict[str, str]] = {}
    for name, cells in rows.items():
        for new in now.get(name, (name,)):
            moved.setdefault(new, {**cells, "lesion_id": new})
    if not moved:
        yield None
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(moved.values())
    with tempfile.TemporaryDirectory(prefix="irplan-transfer-") as folder:
        path = Path(folder) / "lesions.csv"
        write_text(path, text.getvalue())
        yield path


def lost_findings(old: PlanRequest, followed: FollowUp, anatomy_given: bool) -> tuple[Finding, ...]:
    """What of the older request could not come along."""
    what = []
    if old.anatomy is not None and not anatomy_given:
        what.append("the imported structures")
    if old.no_go is not None:
        what.append("the painted no-go zone")
    findings = [STRUCTURES_LOST(what=" and ".join(what))] if what else []
    # Painted masks come along as they are, unless a person showed the lesion anew.
    carried = {one.lesion_id for one in followed.kept_masks}
    worked = sorted(
        {one.lesion_id for one in old.edits if one.lesion_id not in carried}
        | {one.lesion_id for one in old.kept_masks if one.lesion_id not in carried}
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
