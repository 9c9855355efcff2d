"""``irplan record …``: the trial record from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from irplan.cli import options as opt
from irplan.cli.output import emit, say, tell_findings, tell_table

DIFFERENT = 6

app = typer.Typer(help="The trial record.")


@app.command("init")
def init(store: opt.Store = None, json: opt.Json = False) -> int:
    """Make the record's database, or bring it up to date."""
    from irplan.record import init_record, open_store

    document = init_record(open_store(store))
    if json:
        emit(document)
    else:
        say(f"record: {document['store']}")
    return 0


@app.command("add")
def add(
    plan: Annotated[Path, typer.Argument(help="plan.json")],
    subject: Annotated[str, typer.Option("--subject", help="the subject's code in the trial")],
    visit: opt.Visit = 1,
    accept: opt.Accept = None,
    store: opt.Store = None,
    json: opt.Json = False,
) -> int:
    """Note a plan for a subject's visit."""
    from irplan.errors import InputRefused
    from irplan.record import add_plan, open_store
    from irplan.record.plans import SUBJECT_IS_PATIENT_ID

    file = plan / "plan.json" if plan.is_dir() else plan
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputRefused(
            "cannot_read", f"{file}: cannot be read: {error.strerror}", "name the plan.json"
        ) from error
    document = add_plan(
        open_store(store),
        content,
        subject,
        opt.check_visit(visit),
        accept=opt.parse_accepts(accept, (SUBJECT_IS_PATIENT_ID,)),
        source=str(file),
    )
    if json:
        emit(document)
        return 0
    verb = "added" if document["new"] else "was there"
    say(f"{document['plan_id']} {verb}: subject {subject}, visit {visit}; head {document['head']}")
    _tell_documents(document["findings"])
    return 0


@app.command("give")
def give(
    plan_id: Annotated[str, typer.Argument(help="id of the plan, or its beginning")],
    source: Annotated[Path, typer.Option("--from", help="GIVEN.csv: all that the visit gave")],
    replace: Annotated[
        bool, typer.Option("--replace", help="in place of what was noted before, which stays")
    ] = False,
    accept: opt.Accept = None,
    store: opt.Store = None,
    json: opt.Json = False,
) -> int:
    """Note what was really given under a recorded plan."""
    from irplan.record import note_given, open_store

    document = note_given(
        open_store(store),
        plan_id,
        source,
        accept_reasons=opt.parse_accepts(accept),
        replace=replace,
    )
    if json:
        emit(document)
        return 0
    verb = "noted" if document["new"] else "was noted before"
    say(
        f"{document['plan_id']} {verb}: subject {document['subject']}, visit "
        f"{document['visit']}, entry {document['sequence']}; head {document['head']}"
    )
    _tell_doses(document["doses"])
    _tell_documents(document["findings"])
    return 0


@app.command("list")
def list_(
    subject: Annotated[str | None, typer.Option("--subject", help="only this subject")] = None,
    store: opt.Store = None,
    json: opt.Json = False,
) -> int:
    """List the plans in the record."""
    from irplan.record import list_plans, open_store

    document = list_plans(open_store(store), subject)
    if json:
        emit(document)
        return 0
    columns = ("subject", "visit", "plan_id", "version", "image_date", "added", "added_by")
    tell_table(
        (*columns, "superseded by"),
        [
            [*(plan[name] for name in columns), " ".join(plan["superseded_by"])]
            for plan in document["plans"]
        ],
    )
    return 0


@app.command("show")
def show(
    plan_id: Annotated[str, typer.Argument(help="id of the plan, or its beginning")],
    store: opt.Store = None,
    json: opt.Json = False,
) -> int:
    """Show one plan as the record holds it, with its audit entries."""
    from irplan.cli.dosing import tell_allocation
    from irplan.record import open_store, show_plan

    document = show_plan(open_store(store), plan_id)
    if json:
        emit(document)
        return 0
    for name in ("plan_id", "subject", "visit", "version", "image_date", "added", "added_by"):
        say(f"{name}: {document[name]}")
    if document["supersedes"]:
        say(f"supersedes: {document['supersedes']}")
    if document["superseded_by"]:
        say(f"SUPERSEDED BY: {' '.join(document['superseded_by'])}")
    tell_allocation(document["plan"]["allocation"])
    _tell_doses(document["doses"] or [])
    _tell_documents(document["findings"])
    columns = ("sequence", "time", "actor", "action", "hash")
    tell_table(columns, [[entry[name] for name in columns] for entry in document["audit"]])
    return 0


@app.command("verify")
def verify(
    head: Annotated[
        str | None, typer.Option("--head", help="hash of the last entry as noted elsewhere")
    ] = None,
    store: opt.Store = None,
    json: opt.Json = False,
) -> int:
    """Check the audit chain: whole (0), or broken (6) and where."""
    from irplan.record import open_store, verify_record

    document = verify_record(open_store(store), head)
    if json:
        emit(document)
    elif document["whole"]:
        say(f"whole: {document['entries']} entries, head {document['head']}")
    else:
        _tell_documents(document["findings"])
        for place in document["breaks"]:
            say(f"broken at entry {place['sequence']}: {place['message']}")
    return 0 if document["whole"] else DIFFERENT


def _tell_doses(doses: list[dict[str, Any]]) -> None:
    """Planned, given and remaining side by side; '-' is unknown."""
    columns = ("planned_ml", "given_ml", "remaining_ml", "planned_mg", "given_mg", "remaining_mg")
    tell_table(
        ("lesion", "drug", *(name.replace("_", " ") for name in columns), "closed"),
        [
            (
                row["lesion_id"],
                row["drug"],
                *(row[name] for name in columns),
                "yes" if row["closed"] else "",
            )
            for row in doses
        ],
    )


def _tell_documents(findings: list[dict[str, Any]]) -> None:
    from irplan.findings import Finding, Severity

    tell_findings(
        Finding(
            one["code"],
            Severity(one["severity"]),
            one["message"],
            one["subject"],
            one.get("accepted"),
        )
        for one in findings
    )
