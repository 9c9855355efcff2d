"""Plans in the record: adding one, listing them, finding one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from irplan import jsonio
from irplan.documents import envelope, plan_id_of
from irplan.errors import CallError, InputRefused
from irplan.findings import Finding, Severity, declare
from irplan.record.chain import AuditEntry
from irplan.record.names import id_findings
from irplan.record.pseudonym import patient_id_of, pseudonymous
from irplan.record.store import Store, append_entry, current_actor
from irplan.record.superseding import (
    adding_findings,
    insert_supersession,
    links,
    superseded_id,
)
from irplan.record.tables import AuditRow, PlanRow, SubjectRow, VisitRow

PLAN_ADDED = "plan_added"
#: Code of the refusal, and of ``--accept``, where the subject's code is the patient ID itself.
SUBJECT_IS_PATIENT_ID = "subject_is_patient_id"

_SUBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PLAN_KEYS = ("plan_id", "version", "irplan_version", "case", "lesions", "allocation", "needles")
_UID = re.compile(r"[0-9.]{1,64}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LARGEST_VISIT = 9999

ALREADY_RECORDED = declare(
    "plan_already_recorded",
    Severity.INFO,
    "record",
    "this plan has stood in the record for this subject and visit since {added}; nothing was added",
)
STUDY_UNDER_ANOTHER_SUBJECT = declare(
    "study_under_another_subject",
    Severity.WARN,
    "record",
    "the record already holds a plan made on the same scan for another subject ({others}): check "
    "that this is the right patient",
)
VISIT_DIFFERS = declare(
    "record_visit_differs",
    Severity.WARN,
    "record",
    "the plan was made for visit {planned} and is recorded for visit {visit}: what visits before "
    "it gave may have been counted wrongly",
)
SUBJECT_WAS_PATIENT_ID = declare(
    "subject_was_patient_id",
    Severity.WARN,
    "record",
    "the subject's code is the patient ID of the scan; recorded because: {reason}",
)


def add_plan(
    store: Store,
    document: bytes,
    subject: str,
    visit: int,
    actor: str | None = None,
    accept: Mapping[str, str] | None = None,
    source: str = "the plan",
) -> dict[str, Any]:
    """Note a plan for a subject's visit, without what names the patient.

    Adding the same plan again for the same subject and visit adds nothing and says so.

    Args:
        document: bytes of a plan document (``irplan.plan/1``), as in plan.json.
        subject: the subject's code in the trial, never their name or patient ID.
        visit: number of the visit, from 1.
        actor: who adds it; the user of the operating system where not given.
        accept: reasons for ``subject_is_patient_id`` (a scan that was de-identified before).
        source: name of the file, for messages.

    Returns:
        ``irplan.record_add/1``: plan_id, subject, visit, added (bool), original_sha256,
        document_sha256, sequence and head of the audit chain.

    Raises:
        CallError: the subject's code or the visit cannot be used.
        InputRefused: not a plan, its content does not fit its plan_id, it stands in the record
            for another subject or visit, it stands in place of another subject's plan, or the
            record cannot be used.
    """
    _check_subject(subject)
    if not 1 <= visit <= _LARGEST_VISIT:
        raise CallError("visit", f"visit {visit} is not a number from 1 to {_LARGEST_VISIT}")
    plan = read_plan(document, source)
    reason = _reason_for_patient_id(plan, subject, accept or {})
    findings = [SUBJECT_WAS_PATIENT_ID(subject, reason=reason)] if reason else []
    planned = plan["allocation"].get("visit")
    if type(planned) is int and planned != visit:
        findings.append(VISIT_DIFFERS(subject, planned=planned, visit=visit))
    who = actor or current_actor()
    with store.writing() as connection:
        known = _row_of(connection, plan["plan_id"])
        if known is not None:
            _refuse_elsewhere(known, subject, visit, source)
            findings = [ALREADY_RECORDED(subject, added=known["added"])]
            entry = _entry_of(connection, plan["plan_id"])
            return _added_document(known, entry, findings, added=False)
        findings += _same_scan_elsewhere(connection, plan, subject)
        findings += id_findings(connection, plan, subject, visit)
        findings += adding_findings(connection, plan, subject, source)
        row = _new_row(connection, store, plan, document, subject, visit, who)
        insert_supersession(connection, plan)
        payload = {key: row[key] for key in PAYLOAD_KEYS}
        if row["supersedes"]:
            payload["supersedes"] = row["supersedes"]
        if findings:
            payload["findings"] = [finding.document() for finding in findings]
        entry = append_entry(connection, store.clock, who, PLAN_ADDED, payload)
    return _added_document(row, entry, findings, added=True)


def read_plan(document: bytes, source: str = "the plan") -> dict[str, Any]:
    """The plan in the bytes of a plan.json, whose content fits its ``plan_id``.

    Raises:
        InputRefused: not a plan document, or changed after it was made.
    """
    try:
        plan = jsonio.loads(document)
    except (ValueError, RecursionError) as error:
        raise InputRefused(
            "not_a_plan", f"{source}: not a JSON document: {error}", "give a plan.json"
        ) from error
    if not isinstance(plan, dict) or plan.get("schema") != "irplan.plan/1":
        raise InputRefused(
            "not_a_plan", f"{source}: not a document of the kind irplan.plan/1", "give a plan.json"
        )
    if "refused" in plan or (missing := [key for key in _PLAN_KEYS if key not in plan]):
        lacks = "it tells of a refused call" if "refused" in plan else f"no {', '.join(missing)}"
        raise InputRefused("not_a_plan", f"{source}: holds no plan: {lacks}", "give a plan.json")
    parts = (plan["case"], plan["allocation"])
    if type(plan["version"]) is not int or not all(isinstance(one, dict) for one in parts):
        raise InputRefused(
            "not_a_plan", f"{source}: its version, case or allocation cannot be read"
        )
    try:
        fits = plan_id_of(plan) == plan["plan_id"]
    except UnicodeEncodeError as error:
        raise InputRefused("not_a_plan", f"{source}: holds text that is not Unicode") from error
    if not fits:
        raise InputRefused(
            "plan_id_mismatch",
            f"{source}: its content is not the one that its plan_id {plan['plan_id']} was made "
            "from; it was changed after it was made",
            "add the plan.json as irplan wrote it, or plan again",
        )
    return plan


def list_plans(store: Store, subject: str | None = None) -> dict[str, Any]:
    """``irplan.record_list/1``: every plan, or those of one subject, by subject, visit, entry.

    Raises:
        InputRefused: the record cannot be used.
    """
    query = plan_query(with_document=False).order_by(SubjectRow.code, VisitRow.number, PlanRow.id)
    if subject is not None:
        query = query.where(SubjectRow.code == subject)
    with store.reading() as connection:
        rows = [dict(row._mapping) for row in connection.execute(query)]
        older = links(connection)
    newer: dict[str, list[str]] = {}
    for one, other in older.items():
        newer.setdefault(other, []).append(one)
    plans = [
        {
            **{key: row[key] for key in LISTED},
            "supersedes": older.get(row["plan_id"], ""),
            "superseded_by": sorted(newer.get(row["plan_id"], ())),
        }
        for row in rows
    ]
    return envelope("record_list", {"store": store.shown, "plans": plans})


LISTED = (
    "plan_id",
    "subject",
    "visit",
    "version",
    "image_date",
    "irplan_version",
    "added",
    "added_by",
    "original_sha256",
    "document_sha256",
)
#: What the audit entry of a plan holds fast; :mod:`irplan.record.checking` compares it.
PAYLOAD_KEYS = (
    "plan_id",
    "subject",
    "visit",
    "version",
    "study_instance_uid",
    "image_date",
    "irplan_version",
    "original_sha256",
    "document_sha256",
)


def _check_subject(subject: str) -> None:
    if not _SUBJECT.fullmatch(subject):
        raise CallError(
            "subject",
            f"'{subject}' cannot be a subject's code",
            "use up to 64 letters, digits, '.', '_' and '-', as in NIV-003; never a name",
        )


def _reason_for_patient_id(
    plan: Mapping[str, Any], subject: str, accept: Mapping[str, str]
) -> str | None:
    """``None`` where the code is not the patient ID; else the reason that a person gave.

    Raises:
        InputRefused: the code is the patient ID and no reason was given.
    """
    if not patient_id_of(plan) or subject.casefold() != patient_id_of(plan).casefold():
        return None
    reason = accept.get(SUBJECT_IS_PATIENT_ID, "").strip()
    if not reason:
        raise InputRefused(
            SUBJECT_IS_PATIENT_ID,
            "the subject's code is the patient ID of the scan; the record keeps no patient ID",
            "give the subject's code in the trial; or, where the scan was de-identified before, "
            f'--accept {SUBJECT_IS_PATIENT_ID}="reason"',
        )
    return reason


def plan_query(*, with_document: bool) -> sa.Select[Any]:
    columns = [
        column
        for column in PlanRow.__table__.c
        if column.name not in ("id", "visit_id") and (with_document or column.name != "document")
    ]
    return (
        sa.select(SubjectRow.code.label("subject"), VisitRow.number.label("visit"), *columns)
        .select_from(PlanRow)
        .join(VisitRow, PlanRow.visit_id == VisitRow.id)
        .join(SubjectRow, VisitRow.subject_id == SubjectRow.id)
    )


def _row_of(connection: Connection, plan_id: str) -> dict[str, Any] | None:
    query = plan_query(with_document=True).where(PlanRow.plan_id == plan_id)
    row = connection.execute(query).first()
    return dict(row._mapping) if row else None


def _refuse_elsewhere(known: Mapping[str, Any], subject: str, visit: int, source: str) -> None:
    if (known["subject"], known["visit"]) != (subject, visit):
        raise InputRefused(
            "plan_recorded_elsewhere",
            f"{source}: this plan stands in the record for subject {known['subject']}, visit "
            f"{known['visit']}; it cannot also be for subject {subject}, visit {visit}",
            "check the subject and the visit; another visit needs a plan of its own",
        )


def _same_scan_elsewhere(
    connection: Connection, plan: Mapping[str, Any], subject: str
) -> list[Finding]:
    study = _study_uid(plan)
    if not study:
        return []
    query = (
        plan_query(with_document=False)
        .where(PlanRow.study_instance_uid == study, SubjectRow.code != subject)
        .order_by(SubjectRow.code)
    )
    others = sorted({row._mapping["subject"] for row in connection.execute(query)})
    return [STUDY_UNDER_ANOTHER_SUBJECT(subject, others=", ".join(others))] if others else []


def _new_row(
    connection: Connection,
    store: Store,
    plan: Mapping[str, Any],
    original: bytes,
    subject: str,
    visit: int,
    actor: str,
) -> dict[str, Any]:
    stored = jsonio.canonical(pseudonymous(plan))
    values = {
        "plan_id": plan["plan_id"],
        "version": plan["version"],
        "study_instance_uid": _study_uid(plan),
        "image_date": _image_date(plan),
        "irplan_version": str(plan["irplan_version"]),
        "added": store.clock(),
        "added_by": actor,
        "original_sha256": hashlib.sha256(original).hexdigest(),
        "document_sha256": hashlib.sha256(stored).hexdigest(),
        "document": stored.decode(),
    }
    subject_key = _key_of(connection, SubjectRow, code=subject)
    visit_key = _key_of(connection, VisitRow, subject_id=subject_key, number=visit)
    connection.execute(sa.insert(PlanRow), {**values, "visit_id": visit_key})
    return {"subject": subject, "visit": visit, **values, "supersedes": superseded_id(plan)}


def _key_of(connection: Connection, kind: type[Any], **values: Any) -> int:
    """The key of the row with these values, which is added where there is none."""
    query = sa.select(kind.id).filter_by(**values)
    found = connection.execute(query).scalar()
    if found is None:
        connection.execute(sa.insert(kind), values)
        found = connection.execute(query).scalar_one()
    return int(found)


def _study_uid(plan: Mapping[str, Any]) -> str:
    found = plan["case"].get("study_instance_uid")
    return found if isinstance(found, str) and _UID.fullmatch(found) else ""


def _image_date(plan: Mapping[str, Any]) -> str:
    found = plan["case"].get("image_date")
    return found if isinstance(found, str) and _DATE.fullmatch(found) else ""


def entries_about(connection: Connection, plan_id: str) -> list[AuditEntry]:
    """The audit entries of one plan, oldest first."""
    table = AuditRow.__table__
    query = sa.select(table).where(table.c.payload.contains(plan_id)).order_by(table.c.sequence)
    entries = [AuditEntry(**row._mapping) for row in connection.execute(query)]
    return [one for one in entries if jsonio.loads(one.payload).get("plan_id") == plan_id]


def _entry_of(connection: Connection, plan_id: str) -> AuditEntry | None:
    added = [one for one in entries_about(connection, plan_id) if one.action == PLAN_ADDED]
    return added[0] if added else None


def _added_document(
    row: Mapping[str, Any], entry: AuditEntry | None, findings: list[Finding], *, added: bool
) -> dict[str, Any]:
    body = {key: row[key] for key in LISTED}
    return envelope(
        "record_add",
        {
            **body,
            "new": added,
            "sequence": entry.sequence if entry else None,
            "head": entry.hash if entry else None,
        },
        findings,
    )


_SHORTEST_ID = 8


def find_plan(connection: Connection, plan_id: str, store: Store) -> dict[str, Any]:
    """The plan of this id, which may be shortened to eight letters or more, with its document.

    Raises:
        InputRefused: there is no such plan, or more than one.
    """
    row = _row_of(connection, _whole_id(connection, plan_id, store))
    if row is None:
        raise InputRefused(
            "no_such_plan",
            f"{store.shown}: no plan {plan_id} in the record",
            "'irplan record list' shows them",
        )
    return row


def _whole_id(connection: Connection, plan_id: str, store: Store) -> str:
    if len(plan_id) < _SHORTEST_ID or not plan_id.isalnum():
        return plan_id
    query = sa.select(PlanRow.plan_id).where(PlanRow.plan_id.startswith(plan_id.lower()))
    found = list(connection.execute(query).scalars())
    if len(found) > 1:
        raise InputRefused(
            "plan_id_unclear",
            f"{store.shown}: {len(found)} plans begin with {plan_id}",
            "give more letters of the id",
        )
    return found[0] if found else plan_id
