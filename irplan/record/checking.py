"""Is the record as it was written: the chain, and every plan and list against its entry."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from irplan import jsonio
from irplan.documents import envelope
from irplan.errors import CallError
from irplan.findings import Finding, Severity, declare
from irplan.record.chain import AuditEntry, Break, chain_breaks
from irplan.record.giving import GIVEN_NOTED, list_problem, stored_lists
from irplan.record.plans import PAYLOAD_KEYS, PLAN_ADDED, plan_query
from irplan.record.store import Store
from irplan.record.superseding import superseded_id, supersession_breaks
from irplan.record.tables import APPEND_ONLY, AuditRow

_HASH = re.compile(r"[0-9a-f]{64}")

UNPROTECTED = declare(
    "record_unprotected",
    Severity.WARN,
    "record",
    "the database no longer refuses changes to: {tables}; someone took its triggers away",
)
CLOCK_WENT_BACK = declare(
    "record_clock_went_back",
    Severity.WARN,
    "record",
    "entry {sequence} has an earlier time than the entry before it: a clock was set",
)


def verify_record(store: Store, head: str | None = None) -> dict[str, Any]:
    """Read the whole record and say whether it is as it was written.

    Args:
        head: hash of an entry noted outside the record. Only with it can a chain that was cut
            short, or written anew as a whole, be told from a whole one.

    Returns:
        ``irplan.record_verify/1``: whole (bool), entries, plans, given (lists), head (hash of
        the newest entry), head_checked (bool), entries_since_head, and breaks: a list of
        ``{sequence, kind, message}``.

    Raises:
        CallError: ``head`` is not a hash.
        InputRefused: the record cannot be used.
    """
    wanted = head.strip().lower() if head is not None else None
    if wanted is not None and not _HASH.fullmatch(wanted):
        raise CallError("head", f"'{head}' is not a hash", "give the 64 digits of a noted head")
    with store.reading() as connection:
        table = AuditRow.__table__
        query = sa.select(table).order_by(table.c.sequence)
        entries = [AuditEntry(**row._mapping) for row in connection.execute(query)]
        plans = [dict(row._mapping) for row in connection.execute(plan_query(with_document=True))]
        given = stored_lists(connection)
        orphans = [
            *_plans_without_visit(connection, len(plans)),
            *_given_without_list(connection, given),
            *supersession_breaks(connection, _superseded(plans)),
        ]
        findings = [*_unprotected(connection), *_clock_findings(entries)]
    breaks = [*chain_breaks(entries, wanted), *_plan_breaks(entries, plans), *orphans]
    breaks += _given_breaks(entries, given)
    since = next(
        (len(entries) - 1 - i for i, one in enumerate(entries) if one.hash == wanted), None
    )
    return envelope(
        "record_verify",
        {
            "store": store.shown,
            "whole": not breaks,
            "entries": len(entries),
            "plans": len(plans),
            "given": len(given),
            "head": entries[-1].hash if entries else None,
            "head_checked": wanted is not None,
            "entries_since_head": since,
            "breaks": [one.document() for one in breaks],
        },
        findings,
    )


def _superseded(plans: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What each plan's document says it supersedes; one that cannot be read says nothing."""
    told = {}
    for row in plans:
        try:
            document = jsonio.loads(row["document"])
        except (ValueError, RecursionError):
            continue
        told[row["plan_id"]] = superseded_id(document) if isinstance(document, dict) else ""
    return told


def _plan_breaks(entries: Sequence[AuditEntry], plans: Sequence[Mapping[str, Any]]) -> list[Break]:
    """Where the plans differ from what their audit entries hold fast."""
    noted: dict[str, tuple[int, dict[str, Any]]] = {}
    for entry in entries:
        payload = _payload(entry)
        if entry.action == PLAN_ADDED and payload is not None:
            noted.setdefault(str(payload.get("plan_id")), (entry.sequence, payload))
    breaks = []
    for row in plans:
        sequence, payload = noted.pop(row["plan_id"], (None, None))
        if payload is None:
            message = f"plan {row['plan_id']} stands in the record, but no entry tells of it"
            breaks.append(Break(None, "plan_unrecorded", message))
            continue
        changed = [key for key in PAYLOAD_KEYS if row[key] != payload.get(key)]
        if hashlib.sha256(row["document"].encode()).hexdigest() != row["document_sha256"]:
            changed.append("document")
        if changed:
            message = f"plan {row['plan_id']} differs from its entry in: {', '.join(changed)}"
            breaks.append(Break(sequence, "plan_edited", message))
    for plan_id, (sequence, _) in noted.items():
        message = f"plan {plan_id} was added and is no longer in the record"
        breaks.append(Break(sequence, "plan_removed", message))
    return breaks


def _given_breaks(entries: Sequence[AuditEntry], lists: Sequence[Mapping[str, Any]]) -> list[Break]:
    """Where what was given differs from what its audit entries hold fast."""
    by_sequence = {entry.sequence: entry for entry in entries if entry.action == GIVEN_NOTED}
    breaks = []
    for stored in lists:
        sequence = stored["sequence"]
        entry = by_sequence.pop(sequence, None)
        what = f"what was given under plan {stored['plan_id']}"
        if entry is None:
            message = f"{what} stands in the record, but no entry tells of it"
            breaks.append(Break(None, "given_unrecorded", message))
        elif problem := list_problem(stored, entry):
            breaks.append(Break(sequence, "given_edited", f"{what}: {problem}"))
    for sequence in by_sequence:
        message = f"what entry {sequence} says was given is no longer in the record"
        breaks.append(Break(sequence, "given_removed", message))
    return breaks


def _given_without_list(connection: Connection, lists: Sequence[Mapping[str, Any]]) -> list[Break]:
    """Lists without their plan, and injections without their list, are in no listing."""
    breaks = []
    for table, what, listed in (
        ("given_list", "list(s) of what was given have lost their plan", len(lists)),
        ("given", "injection(s) have lost their list", sum(len(one["given"]) for one in lists)),
    ):
        count = connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()
        if count != listed:
            breaks.append(Break(None, "given_edited", f"{count - listed} {what}"))
    return breaks


def _payload(entry: AuditEntry) -> dict[str, Any] | None:
    try:
        payload = jsonio.loads(entry.payload)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _plans_without_visit(connection: Connection, joined: int) -> list[Break]:
    """Plans whose visit or subject was taken away are in no listing, but still in the table."""
    count = connection.execute(sa.text("SELECT count(*) FROM plan")).scalar_one()
    if count == joined:
        return []
    return [Break(None, "plan_edited", f"{count - joined} plan(s) have lost their visit")]


def _clock_findings(entries: Sequence[AuditEntry]) -> list[Finding]:
    return [
        CLOCK_WENT_BACK(sequence=after.sequence)
        for before, after in itertools.pairwise(entries)
        if after.time < before.time
    ]


def _unprotected(connection: Connection) -> list[Finding]:
    if connection.dialect.name == "sqlite":
        query = "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = (
            "SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'"
        )
    found = {(str(table), str(name)) for table, name in connection.execute(sa.text(query))}
    bare = [
        table
        for table in APPEND_ONLY
        if not {(table, f"{table}_no_update"), (table, f"{table}_no_delete")} <= found
    ]
    return [UNPROTECTED(tables=", ".join(bare))] if bare else []
