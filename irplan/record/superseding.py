"""Which plan stands in place of which, and what follows for the older one.

A plan that was carried to a newer CT names the plan that it was made from. From then on the older
one is superseded: what is noted as given under it, at the same visit, needs a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from irplan.errors import InputRefused
from irplan.findings import Finding, Forbids, Severity, declare
from irplan.record.chain import Break
from irplan.record.tables import PlanRow, SubjectRow, SupersessionRow, VisitRow

STAGE = "record"

PLAN_SUPERSEDED = declare(
    "plan_superseded",
    Severity.STOP,
    STAGE,
    "plan {plan} was superseded by {newer}: inject by the newer version; only where the older one "
    "was really given, say why",
    forbids=Forbids.ENTRY,
    overridable=True,
)
SUPERSEDES = declare(
    "plan_supersedes",
    Severity.INFO,
    STAGE,
    "this plan, version {version}, stands in place of plan {older}: nothing is injected by that "
    "one any more",
)
OLDER_ABSENT = declare(
    "superseded_plan_not_recorded",
    Severity.WARN,
    STAGE,
    "this plan stands in place of plan {older}, which the record does not hold",
)
SUPERSEDED_TWICE = declare(
    "plan_superseded_twice",
    Severity.WARN,
    STAGE,
    "plan {older} is superseded by {others} already: settle which version is injected by",
)


def superseded_id(plan: Mapping[str, Any]) -> str:
    """The plan that a plan's document says it stands in place of; '' where it says none."""
    older = plan.get("supersedes")
    return older[:64] if isinstance(older, str) else ""


def adding_findings(
    connection: Connection, plan: Mapping[str, Any], subject: str, source: str
) -> list[Finding]:
    """What is to be known of a plan that is about to be added, before it is in the record.

    Raises:
        InputRefused: the plan that it stands in place of is another subject's.
    """
    older = superseded_id(plan)
    if not older:
        return []
    row = connection.execute(_plans().where(PlanRow.plan_id == older)).first()
    if row is None:
        return [OLDER_ABSENT(subject, older=older)]
    if row.subject != subject:
        raise InputRefused(
            "superseded_other_subject",
            f"{source}: stands in place of plan {older}, which is recorded for subject "
            f"{row.subject}, not {subject}",
            "check the subject; a plan is carried to another CT of the same patient only",
        )
    findings = [SUPERSEDES(subject, version=plan["version"], older=older)]
    others = [one["plan_id"] for one in newer_plans(connection, older)]
    if others:
        findings.append(SUPERSEDED_TWICE(subject, older=older, others=", ".join(others)))
    return findings


def insert_supersession(connection: Connection, plan: Mapping[str, Any]) -> None:
    """Note what a plan, whose row is there already, stands in place of."""
    older = superseded_id(plan)
    if older:
        key = sa.select(PlanRow.id).where(PlanRow.plan_id == plan["plan_id"])
        values = {"plan_id": connection.execute(key).scalar_one(), "supersedes": older}
        connection.execute(sa.insert(SupersessionRow), values)


def newer_plans(connection: Connection, plan_id: str) -> list[dict[str, Any]]:
    """The plans that stand in place of this one: plan_id, version, subject, visit, added."""
    query = _plans().join(SupersessionRow, SupersessionRow.plan_id == PlanRow.id)
    rows = connection.execute(
        query.where(SupersessionRow.supersedes == plan_id).order_by(PlanRow.id)
    )
    return [dict(row._mapping) for row in rows]


def links(connection: Connection) -> dict[str, str]:
    """For every plan that stands in place of another: its id → the older one's."""
    query = sa.select(PlanRow.plan_id, SupersessionRow.supersedes).join(
        SupersessionRow, SupersessionRow.plan_id == PlanRow.id
    )
    return {str(row[0]): str(row[1]) for row in connection.execute(query)}


def giving_findings(connection: Connection, plan: Mapping[str, Any]) -> list[Finding]:
    """The stop on a plan that another one of the same visit stands in place of."""
    newer = [
        one for one in newer_plans(connection, plan["plan_id"]) if one["visit"] == plan["visit"]
    ]
    if not newer:
        return []
    told = ", ".join(
        f"plan {one['plan_id']} (version {one['version']}, recorded {one['added']})"
        for one in newer
    )
    return [PLAN_SUPERSEDED(plan["plan_id"], plan=plan["plan_id"], newer=told)]


def supersession_breaks(connection: Connection, told: Mapping[str, str]) -> list[Break]:
    """Where the table differs from what the plans' own documents say.

    Args:
        told: for every plan of the record what its document says it supersedes; '' is none.
    """
    stored = links(connection)
    breaks = []
    for plan_id, older in told.items():
        if stored.get(plan_id, "") != older:
            message = f"plan {plan_id} says that it supersedes {older or 'none'}, the table another"
            breaks.append(Break(None, "supersession_edited", message))
    count = connection.execute(sa.select(sa.func.count()).select_from(SupersessionRow)).scalar_one()
    if count != len(stored):
        message = f"{count - len(stored)} supersession(s) have lost their plan"
        breaks.append(Break(None, "supersession_edited", message))
    return breaks


def _plans() -> sa.Select[Any]:
    columns: list[Any] = [PlanRow.plan_id, PlanRow.version, PlanRow.added]
    return (
        sa.select(SubjectRow.code.label("subject"), VisitRow.number.label("visit"), *columns)
        .select_from(PlanRow)
        .join(VisitRow, PlanRow.visit_id == VisitRow.id)
        .join(SubjectRow, VisitRow.subject_id == SubjectRow.id)
    )
