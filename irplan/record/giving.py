"""What was given under a recorded plan: noting a list, reading lists back, showing a plan with it.

A list says all that its visit gave so far. It is never edited: a correction is a new list that
names the ones it stands in place of. Lists that nothing replaced are the ones that count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from irplan import jsonio
from irplan.documents import envelope
from irplan.dose import read_given
from irplan.errors import InputRefused
from irplan.findings import Finding, Forbids, Severity, accept, declare, forbidding
from irplan.record.chain import AuditEntry, entry_hash
from irplan.record.injections import Injection, PlanDoses, balance, given_findings, injections_of
from irplan.record.plans import LISTED, entries_about, find_plan
from irplan.record.store import Store, append_entry, current_actor
from irplan.record.superseding import giving_findings, newer_plans, superseded_id
from irplan.record.tables import (
    AuditRow,
    GivenListRow,
    GivenRow,
    PlanRow,
    SubjectRow,
    VisitRow,
)
from irplan.units import decimal_text

GIVEN_NOTED = "given_noted"

ALREADY_NOTED = declare(
    "given_already_recorded",
    Severity.INFO,
    "record",
    "the record holds these injections for this plan since entry {sequence}; nothing was added",
)
UNDER_ANOTHER_PLAN = declare(
    "given_under_another_plan",
    Severity.STOP,
    "record",
    "the record already says under {plans} what visit {visit} gave: a list that holds all of it "
    "replaces that one; only where neither list repeats the other do both count",
    forbids=Forbids.ENTRY,
    overridable=True,
)
SHOWN_ELSEWHERE = declare(
    "given_shown_elsewhere",
    Severity.INFO,
    "record",
    "what this visit gave was noted under {plans}",
)


@dataclass(frozen=True)
class GivenList:
    """One list as it is stored.

    Attributes:
        sequence, time, actor: of its audit entry.
        replaces: sequences of the lists that it stands in place of.
        replaced_by: sequence of the list that stands in its place; ``None`` where it counts.
        given: the injections, in order.
    """

    sequence: int
    time: str
    actor: str
    plan_id: str
    visit: int
    replaces: tuple[int, ...]
    replaced_by: int | None
    source_sha256: str
    given: tuple[Injection, ...]

    def document(self) -> dict[str, Any]:
        """The list as ``irplan.record_show/1`` prints it."""
        return {
            "sequence": self.sequence,
            "time": self.time,
            "actor": self.actor,
            "replaces": list(self.replaces),
            "replaced_by": self.replaced_by,
            "source_sha256": self.source_sha256,
            "given": [one.document() for one in self.given],
        }


def note_given(
    store: Store,
    plan_id: str,
    source: Path,
    actor: str | None = None,
    accept_reasons: Mapping[str, str] | None = None,
    *,
    replace: bool = False,
) -> dict[str, Any]:
    """Note what was really given under a recorded plan, from GIVEN.csv.

    The file holds all that the visit gave so far. Noting the same injections again adds nothing
    and says so; other injections need ``replace``, and are a new list that names the older one.

    Args:
        plan_id: of the plan, or its beginning.
        accept_reasons: reasons by the code of a stop that may be lifted.
        replace: the list stands in place of the plan's own; where the plan has none, of those
            of the visit's other plans.

    Returns:
        ``irplan.record_give/1``: plan_id, subject, visit, new (bool), replaces, given (the
        injections), doses (planned, given and remaining), sequence and head.

    Raises:
        InputRefused: the file, the plan or a row of it; a stop that nobody lifted; or the record.
    """
    rows = read_given(source)
    content = source.read_bytes()
    if not rows:
        raise InputRefused(
            "nothing_given",
            f"{source}: holds no injection",
            "to say that a lesion got nothing, give it a row with closed 'yes' and a reason",
        )
    who = actor or current_actor()
    with store.writing() as connection:
        plan = find_plan(connection, plan_id, store)
        doses = PlanDoses.of(jsonio.loads(plan["document"]))
        given = injections_of(rows, doses)
        lists = [one for one in lists_of(connection, store, plan["subject"]) if _counts(one, plan)]
        own = [one for one in lists if one.plan_id == plan["plan_id"]]
        others = [one for one in lists if one.plan_id != plan["plan_id"]]
        for one in own:
            if _same(one.given, given):
                findings: Sequence[Finding] = [ALREADY_NOTED(sequence=one.sequence)]
                entry = _entry(connection, one.sequence)
                return _given_document(store, plan, doses, one, entry, findings, new=False)
        replaced = _replaced(source, plan, own, others, replace=replace)
        beside = [one for one in others if one not in replaced]
        superseded = giving_findings(connection, plan)
        findings = _findings(
            source, store, plan, given, doses, beside, accept_reasons or {}, superseded
        )
        payload = {
            "plan_id": plan["plan_id"],
            "subject": plan["subject"],
            "visit": plan["visit"],
            "replaces": [one.sequence for one in replaced],
            "source_sha256": hashlib.sha256(content).hexdigest(),
            "given": [one.document() for one in given],
            **({"findings": [one.document() for one in findings]} if findings else {}),
        }
        entry = append_entry(connection, store.clock, who, GIVEN_NOTED, payload)
        _insert(connection, plan["plan_id"], entry.sequence, payload)
        noted = _current(lists_of(connection, store, plan["subject"]), entry.sequence)
    return _given_document(store, plan, doses, noted, entry, findings, new=True)


def show_plan(store: Store, plan_id: str) -> dict[str, Any]:
    """``irplan.record_show/1``: one plan as it is stored, what was given, its audit entries.

    ``doses`` has planned, given and remaining side by side for each lesion and drug; given is
    null where nothing was noted, ``doses`` itself where those of the plan cannot be read.
    ``given`` has every list, replaced ones too.
    ``plan_id`` may be shortened to eight letters or more where they fit one plan alone.

    Raises:
        InputRefused: there is no such plan, or more than one; or the record cannot be used.
    """
    with store.reading() as connection:
        plan = find_plan(connection, plan_id, store)
        lists = lists_of(connection, store, plan["subject"])
        entries = entries_about(connection, plan["plan_id"])
        newer = newer_plans(connection, plan["plan_id"])
    document = jsonio.loads(plan["document"])
    own = [one for one in lists if one.plan_id == plan["plan_id"]]
    current = [one for one in own if one.replaced_by is None]
    elsewhere = sorted(
        {one.plan_id for one in lists if _counts(one, plan) and one.plan_id != plan["plan_id"]}
    )
    return envelope(
        "record_show",
        {
            "store": store.shown,
            **{key: plan[key] for key in LISTED},
            "supersedes": superseded_id(document),
            "superseded_by": [one["plan_id"] for one in newer],
            "doses": _doses_shown(document, current[-1].given if current else None),
            "given": [one.document() for one in own],
            "plan": document,
            "audit": [entry.document() for entry in entries],
        },
        [SHOWN_ELSEWHERE(plans=", ".join(elsewhere))] if elsewhere else [],
    )


def _doses_shown(
    plan: Mapping[str, Any], given: Sequence[Injection] | None
) -> list[dict[str, Any]] | None:
    try:
        doses = PlanDoses.of(plan)
    except InputRefused:
        # A plan of another make is still shown.
        return None
    return balance(doses, given)


def lists_of(connection: Connection, store: Store, subject: str) -> list[GivenList]:
    """Every list of a subject, oldest first, each checked against its audit entry.

    Raises:
        InputRefused: what is stored is not what was noted.
    """
    made = []
    stored = stored_lists(connection, subject)
    replaced_by = {
        older: one["sequence"] for one in stored for older in _sequences(one["replaces"])
    }
    for one in stored:
        entry = _entry(connection, one["sequence"])
        problem = list_problem(one, entry)
        if problem or entry is None:
            raise InputRefused(
                "record_broken",
                f"{store.shown}: what was given at visit {one['visit']} of {subject} is not as it "
                f"was noted: {problem}",
                "'irplan record verify' names every break; go by no number of this record",
            )
        made.append(
            GivenList(
                sequence=one["sequence"],
                time=entry.time,
                actor=entry.actor,
                plan_id=one["plan_id"],
                visit=one["visit"],
                replaces=_sequences(one["replaces"]),
                replaced_by=replaced_by.get(one["sequence"]),
                source_sha256=one["source_sha256"],
                given=tuple(_injection(row) for row in one["given"]),
            )
        )
    return made


def stored_lists(connection: Connection, subject: str | None = None) -> list[dict[str, Any]]:
    """The lists as the tables hold them, oldest first, unchecked; amounts are text."""
    query = (
        sa.select(
            GivenListRow.id,
            GivenListRow.sequence,
            GivenListRow.replaces,
            GivenListRow.source_sha256,
            PlanRow.plan_id,
            SubjectRow.code.label("subject"),
            VisitRow.number.label("visit"),
        )
        .select_from(GivenListRow)
        .join(PlanRow, GivenListRow.plan_id == PlanRow.id)
        .join(VisitRow, PlanRow.visit_id == VisitRow.id)
        .join(SubjectRow, VisitRow.subject_id == SubjectRow.id)
        .order_by(GivenListRow.sequence)
    )
    if subject is not None:
        query = query.where(SubjectRow.code == subject)
    lists = [dict(row._mapping) for row in connection.execute(query)]
    table = GivenRow.__table__
    rows = sa.select(table).order_by(table.c.list_id, table.c.number, table.c.id)
    if subject is not None:
        rows = rows.where(table.c.list_id.in_([one["id"] for one in lists]))
    by_list: dict[int, list[dict[str, Any]]] = {}
    for row in connection.execute(rows):
        cells = dict(row._mapping)
        del cells["id"]
        by_list.setdefault(cells.pop("list_id"), []).append(cells)
    return [{**one, "given": by_list.get(one["id"], [])} for one in lists]


def list_problem(stored: Mapping[str, Any], entry: AuditEntry | None) -> str | None:
    """How a stored list differs from its audit entry; ``None`` where it does not."""
    if entry is None or entry.action != GIVEN_NOTED:
        return "no entry tells of it"
    try:
        payload = jsonio.loads(entry.payload)
        whole = entry.hash == entry_hash(
            entry.sequence, entry.time, entry.actor, entry.action, payload, entry.previous_hash
        )
    except (ValueError, RecursionError):
        payload, whole = None, False
    if not whole or not isinstance(payload, dict):
        return f"entry {entry.sequence} was changed"
    changed = [
        key
        for key in ("plan_id", "subject", "visit", "source_sha256")
        if stored[key] != payload.get(key)
    ]
    if stored["replaces"] != _text(payload.get("replaces")):
        changed.append("replaces")
    if _text(_noted(stored["given"])) != _text(payload.get("given")):
        changed.append("given")
    return f"it differs from entry {entry.sequence} in: {', '.join(changed)}" if changed else None


def _noted(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the table as the audit entry writes them; an amount that is no number stays text."""
    return [{**row, **{name: _amount(row[name]) for name in ("ml", "mg")}} for row in rows]


def _amount(text: str) -> Decimal | str:
    try:
        number = Decimal(text)
    except (InvalidOperation, TypeError, ValueError):
        return text
    # Written in any other way than the program writes it, it is not what was noted.
    return number if number.is_finite() and decimal_text(number) == text else text


def _injection(row: Mapping[str, Any]) -> Injection:
    return Injection(**{**row, "ml": Decimal(row["ml"]), "mg": Decimal(row["mg"])})


def _text(value: Any) -> str:
    return jsonio.canonical(value).decode()


def _sequences(text: str) -> tuple[int, ...]:
    try:
        found = jsonio.loads(text)
    except ValueError:
        return ()
    return tuple(one for one in found if type(one) is int) if isinstance(found, list) else ()


def _counts(one: GivenList, plan: Mapping[str, Any]) -> bool:
    """Whether a list of the plan's subject counts for the plan's visit."""
    return one.visit == plan["visit"] and one.replaced_by is None


def _same(one: Sequence[Injection], other: Sequence[Injection]) -> bool:
    return _text([each.document() for each in one]) == _text([each.document() for each in other])


def _replaced(
    source: Path,
    plan: Mapping[str, Any],
    own: Sequence[GivenList],
    others: Sequence[GivenList],
    *,
    replace: bool,
) -> Sequence[GivenList]:
    """The lists that the new one stands in place of."""
    if replace:
        if not own and not others:
            raise InputRefused(
                "nothing_to_replace",
                f"{source}: the record holds nothing as given at visit {plan['visit']} of "
                f"{plan['subject']}",
                "leave --replace out",
            )
        return own or others
    if own:
        raise InputRefused(
            "given_recorded_differently",
            f"{source}: entry {own[-1].sequence} says other injections for this plan",
            "to correct it, or to add what was given since, give the whole list with --replace; "
            "the older entry stays and is named",
        )
    return ()


def _findings(
    source: Path,
    store: Store,
    plan: Mapping[str, Any],
    given: Sequence[Injection],
    doses: PlanDoses,
    beside: Sequence[GivenList],
    reasons: Mapping[str, str],
    superseded: Sequence[Finding],
) -> tuple[Finding, ...]:
    """What is to be known of the list.

    Raises:
        InputRefused: a stop among it that no reason lifts.
    """
    before = [
        (f"row {row.number} of entry {one.sequence}", row) for one in beside for row in one.given
    ]
    # The program's day may lag behind the hospital's by a time zone.
    now = datetime.fromisoformat(store.clock()).astimezone(UTC)
    tomorrow = (now + timedelta(days=1)).date().isoformat()
    found = [*superseded, *given_findings(given, doses, before, tomorrow)]
    if beside:
        plans = ", ".join(f"plan {one.plan_id} (entry {one.sequence})" for one in beside)
        found.append(UNDER_ANOTHER_PLAN(plans=plans, visit=plan["visit"]))
    told = {code: reason.strip() for code, reason in reasons.items() if reason.strip()}
    findings = accept(found, told)
    stops = forbidding(findings, Forbids.ENTRY)
    if stops:
        codes = list(dict.fromkeys(stop.code for stop in stops))
        raise InputRefused(
            stops[0].code,
            f"{source}: " + "; ".join(dict.fromkeys(stop.message for stop in stops)),
            "correct the list; or, where it is so, "
            + " ".join(f'--accept {code}="reason"' for code in codes)
            + (" or --replace" if UNDER_ANOTHER_PLAN.code in codes else ""),
        )
    return findings


def _insert(
    connection: Connection, plan_id: str, sequence: int, payload: Mapping[str, Any]
) -> None:
    plan_key = connection.execute(
        sa.select(PlanRow.id).where(PlanRow.plan_id == plan_id)
    ).scalar_one()
    connection.execute(
        sa.insert(GivenListRow),
        {
            "plan_id": plan_key,
            "sequence": sequence,
            "replaces": _text(payload["replaces"]),
            "source_sha256": payload["source_sha256"],
        },
    )
    list_key = connection.execute(
        sa.select(GivenListRow.id).where(GivenListRow.sequence == sequence)
    ).scalar_one()
    connection.execute(
        sa.insert(GivenRow),
        [
            {
                **row,
                "ml": decimal_text(row["ml"]),
                "mg": decimal_text(row["mg"]),
                "list_id": list_key,
            }
            for row in payload["given"]
        ],
    )


def _entry(connection: Connection, sequence: int) -> AuditEntry | None:
    table = AuditRow.__table__
    row = connection.execute(sa.select(table).where(table.c.sequence == sequence)).first()
    return AuditEntry(**row._mapping) if row else None


def _current(lists: Sequence[GivenList], sequence: int) -> GivenList:
    return next(one for one in lists if one.sequence == sequence)


def _given_document(
    store: Store,
    plan: Mapping[str, Any],
    doses: PlanDoses,
    noted: GivenList,
    entry: AuditEntry | None,
    findings: Sequence[Finding],
    *,
    new: bool,
) -> dict[str, Any]:
    return envelope(
        "record_give",
        {
            "store": store.shown,
            "plan_id": plan["plan_id"],
            "subject": plan["subject"],
            "visit": plan["visit"],
            "new": new,
            "replaces": list(noted.replaces),
            "source_sha256": noted.source_sha256,
            "given": [one.document() for one in noted.given],
            "doses": balance(doses, noted.given),
            "sequence": noted.sequence,
            "head": entry.hash if entry else None,
        },
        findings,
    )
