"""What visits before a given one gave, as the record knows it: the history of the next dose."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import sqlalchemy as sa

from irplan.dose import HistoryRow
from irplan.dose.history import HISTORY_COLUMNS
from irplan.errors import InputRefused
from irplan.findings import Finding, Severity, declare
from irplan.record.giving import GivenList, lists_of
from irplan.record.store import Store
from irplan.record.tables import PlanRow, SubjectRow, VisitRow
from irplan.units import decimal_text

GIVEN_UNKNOWN = declare(
    "visit_given_unknown",
    Severity.WARN,
    "record",
    "what visit {visits} gave is unknown, not zero: the record holds {what}",
)


@dataclass(frozen=True)
class EarlierVisits:
    """The doses of earlier visits, and which visits nobody knows about.

    Attributes:
        rows: by visit and order of injection. A visit that gave nothing has a row of zero for
            each drug, without a lesion: known, and no lesion was injected.
        planned_only: visits with a plan and nothing noted as given.
        absent: visits of which the record holds no plan.
    """

    rows: tuple[HistoryRow, ...]
    planned_only: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()

    @property
    def known(self) -> bool:
        """Whether anything is known, be it that there was no earlier visit."""
        return bool(self.rows) or not (self.planned_only or self.absent)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The visits of which nobody knows what they gave."""
        told = (
            (self.planned_only, "a plan of it, and no list of what was given"),
            (self.absent, "no plan of it"),
        )
        return tuple(
            GIVEN_UNKNOWN(visits=", ".join(map(str, visits)), what=what)
            for visits, what in told
            if visits
        )

    def csv(self) -> str:
        """The table that ``--history`` reads: visit, date, lesion_id, drug, ml, mg."""
        target = io.StringIO()
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(HISTORY_COLUMNS)
        for row in self.rows:
            amounts = ["" if one is None else decimal_text(one) for one in (row.ml, row.mg)]
            writer.writerow([row.visit, row.date, row.lesion_id, row.drug, *amounts])
        return target.getvalue()


def earlier_visits(store: Store, subject: str, visit: int) -> EarlierVisits:
    """What the visits of a subject before ``visit`` gave.

    Raises:
        InputRefused: the record knows no such subject (before a later visit than the first), or
            cannot be used, or what it holds is not what was noted.
    """
    with store.reading() as connection:
        found = connection.execute(sa.select(SubjectRow.id).filter_by(code=subject)).scalar()
        if found is None and visit > 1:
            raise InputRefused(
                "no_such_subject",
                f"{store.shown}: no subject {subject} in the record",
                "'irplan record list' shows them; give earlier visits with --history",
            )
        query = (
            sa.select(VisitRow.number)
            .join(PlanRow, PlanRow.visit_id == VisitRow.id)
            .where(VisitRow.subject_id == found)
        )
        planned = set(connection.execute(query).scalars())
        lists = [
            one
            for one in lists_of(connection, store, subject)
            if one.visit < visit and one.replaced_by is None
        ]
    told = {one.visit for one in lists}
    unknown = [number for number in range(1, visit) if number not in told]
    return EarlierVisits(
        rows=tuple(
            row
            for number in sorted(told)
            for row in _rows([one for one in lists if one.visit == number])
        ),
        planned_only=tuple(number for number in unknown if number in planned),
        absent=tuple(number for number in unknown if number not in planned),
    )


def _rows(lists: list[GivenList]) -> list[HistoryRow]:
    """The doses of one visit; where it gave nothing, that it gave none of each drug."""
    visit = lists[0].visit
    given = [row for one in lists for row in one.given]
    rows = [
        HistoryRow(visit, row.lesion_id, row.drug, row.ml, row.mg, row.date)
        for row in given
        if row.ml > 0
    ]
    if rows:
        return rows
    drugs = dict.fromkeys(row.drug for row in given)
    nothing = given[0].ml
    return [HistoryRow(visit, "", drug, nothing, nothing) for drug in drugs]
