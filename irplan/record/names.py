"""Whether a plan's lesions keep the ids that the subject's earlier visits gave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from irplan import jsonio
from irplan.findings import Finding
from irplan.record.tables import PlanRow, SubjectRow, VisitRow

if TYPE_CHECKING:
    from irplan.lesions.naming import KnownLesion


def id_findings(
    connection: Connection, plan: Mapping[str, Any], subject: str, visit: int
) -> list[Finding]:
    """Ids of the plan that stood for another lesion at a visit before ``visit``, or were changed.

    A side that was only proposed at the time says nothing against a later one.
    """
    query = (
        sa.select(VisitRow.number, PlanRow.document)
        .select_from(PlanRow)
        .join(VisitRow, PlanRow.visit_id == VisitRow.id)
        .join(SubjectRow, VisitRow.subject_id == SubjectRow.id)
        .where(SubjectRow.code == subject, VisitRow.number < visit)
        .order_by(VisitRow.number, PlanRow.id)
    )
    rows = connection.execute(query).all()
    if not rows:
        return []
    # Only here: most commands of the record need no lesions, which take long to load.
    from irplan.lesions.naming import check_ids

    earlier = [one for number, text in rows for one in _known(number, jsonio.loads(text))]
    return list(check_ids(earlier, _known(visit, plan)))


def _known(visit: int, plan: Mapping[str, Any]) -> list[KnownLesion]:
    from irplan.lesions.naming import KnownLesion

    return [
        KnownLesion(visit, str(one["lesion_id"]), _site(one), _side(one))
        for one in plan["lesions"]
        if isinstance(one, Mapping) and "lesion_id" in one
    ]


def _site(lesion: Mapping[str, Any]) -> str:
    return str(lesion.get("site") or "")


def _side(lesion: Mapping[str, Any]) -> str:
    return "" if lesion.get("side_source") == "proposed" else str(lesion.get("side") or "")
