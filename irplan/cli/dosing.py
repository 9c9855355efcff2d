"""``irplan allocate`` and ``irplan protocols``: the dose, without a scan."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from irplan.cli import options as opt
from irplan.cli.output import emit, say, tell_findings, tell_table
from irplan.errors import CallError
from irplan.units import plain, stepped_text

if TYPE_CHECKING:
    from irplan.dose import HistoryRow
    from irplan.findings import Finding

INCOMPLETE = 4
_AMOUNTS = (
    "prescribed_mg",
    "prescribed_ml",
    "allocated_mg",
    "allocated_ml",
    "residual_mg",
    "residual_ml",
)
_LESION_COLUMNS = ("lesion_id", "volume_ml", "share", "ml", "ml_low", "ml_high", "mg")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("allocate")(allocate)
    app.command("protocols")(protocols)


def allocate(
    lesions: Annotated[Path, typer.Argument(help="CSV or JSON of lesions with their volumes")],
    protocol: opt.Protocol = "nivipit",
    weight_kg: opt.WeightKg = None,
    weight_age_days: opt.WeightAgeDays = None,
    height_cm: opt.HeightCm = None,
    prescribed_mg: opt.PrescribedMg = None,
    increment_ml: opt.IncrementMl = None,
    visit: opt.Visit = 1,
    history: opt.History = None,
    subject: opt.Subject = None,
    given: opt.Given = None,
    store: opt.Store = None,
    accept: opt.Accept = None,
    leave_out: Annotated[
        list[str] | None, typer.Option("--leave-out", help="what if this lesion were left out")
    ] = None,
    fix: Annotated[
        list[str] | None, typer.Option("--fix", help="LESION=ML: what if it were fixed by hand")
    ] = None,
    compare_splits: Annotated[
        bool, typer.Option("--compare-splits", help="what if another split rule were used")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="write the document here as well")
    ] = None,
    json: opt.Json = False,
) -> int:
    """Split the dose of a protocol over lesions, exactly."""
    from irplan.cli.whatif import scenarios, tell_scenarios
    from irplan.documents import envelope
    from irplan.dose import DoseOrder, load_protocol, read_given, read_lesion_table
    from irplan.dose import allocate as allocate_dose
    from irplan.dose.whatif import turning_points
    from irplan.files import write_text
    from irplan.findings import accept as accept_findings
    from irplan.jsonio import dumps

    order = DoseOrder(
        weight_kg=opt.parse_optional(weight_kg, "--weight-kg"),
        weight_age_days=weight_age_days,
        height_cm=opt.parse_optional(height_cm, "--height-cm"),
        prescribed_mg=opt.parse_prescribed_mg(prescribed_mg),
        increment_ml=opt.parse_optional(increment_ml, "--increment-ml"),
        visit=opt.check_visit(visit),
    )
    table, rules = read_lesion_table(lesions), load_protocol(protocol)
    before, unknown_visits = _earlier(history, subject, store, order.visit)
    order = replace(order, history=before, given=read_given(given) if given else ())
    allocation = allocate_dose(table, rules, order)
    turning = [points.document() for points in turning_points(table, rules, order)]
    what_if = scenarios(table, rules, order, leave_out or (), fix or (), compare_splits)
    found = (*allocation.findings, *unknown_visits)
    findings = accept_findings(found, opt.parse_accepts(accept))
    body = {**allocation.document(), "turning_points": turning}
    if what_if:
        body["what_if"] = what_if
    document = envelope("allocation", body, findings)
    if out is not None:
        write_text(out, dumps(document) + "\n")
    if json:
        emit(document)
    else:
        tell_allocation(document)
        tell_scenarios(what_if)
        tell_findings(findings)
    return INCOMPLETE if allocation.incomplete else 0


def _earlier(
    history: Path | None, subject: str | None, store: str | None, visit: int
) -> tuple[tuple[HistoryRow, ...] | None, tuple[Finding, ...]]:
    """What earlier visits gave, from the file or the record; ``None`` where nothing is known.

    Raises:
        CallError: both say it.
        InputRefused: the file or the record cannot be used.
    """
    from irplan.dose import read_history

    if subject is None:
        return None if history is None else read_history(history), ()
    if history is not None:
        raise CallError(
            "two_histories",
            "--history and --subject both say what earlier visits gave",
            "give one of them",
        )
    from irplan.record import earlier_visits, open_store

    earlier = earlier_visits(open_store(store), subject, visit)
    return earlier.rows if earlier.known else None, earlier.findings


def protocols(
    name: Annotated[str | None, typer.Argument(help="show this protocol whole")] = None,
    json: opt.Json = False,
) -> int:
    """List the protocols that come with irplan, or show one."""
    from irplan.documents import envelope
    from irplan.dose import list_protocols, load_protocol
    from irplan.jsonio import dumps

    if name is not None:
        document = load_protocol(name).document()
        if json:
            emit(envelope("protocol", {"protocol": document}))
        else:
            say(dumps(document))
        return 0
    known = list_protocols()
    if json:
        emit(envelope("protocols", {"protocols": [one.document() for one in known]}))
        return 0
    tell_table(
        ("name", "version", "split", "title"),
        [(one.name, one.version, one.split, one.title) for one in known],
    )
    return 0


def tell_allocation(document: dict[str, Any]) -> None:
    """The doses for a person: a table a drug, what is left over, who gets nothing."""
    step = document["increment_ml"]
    for drug in document["drugs"]:
        steps = {"ml": step, "mg": plain(step * drug["concentration_mg_per_ml"])}
        said = {name: stepped_text(drug[name], steps[name[-2:]]) for name in _AMOUNTS}
        say(
            f"{drug['drug']}: prescribed {said['prescribed_mg']} mg = {said['prescribed_ml']} mL, "
            f"allocated {said['allocated_mg']} mg = {said['allocated_ml']} mL, "
            f"left over {said['residual_mg']} mg = {said['residual_ml']} mL"
        )
        rows = [_lesion_row(lesion, steps) for lesion in drug["lesions"]]
        tell_table(_LESION_COLUMNS, rows)
        for lesion in drug["lesions"]:
            say(f"  {lesion['lesion_id']}: {lesion['why']}")
    for lesion in document["excluded"]:
        say(f"excluded: {lesion['lesion_id']}: {lesion['message']}")


def _lesion_row(lesion: dict[str, Any], steps: dict[str, Decimal]) -> list[Any]:
    """Doses with the decimals of their step: 0.50 beside 4.23, never 0.5."""
    amounts = {
        name: stepped_text(lesion[name], steps["ml"]) for name in ("ml", "ml_low", "ml_high")
    }
    amounts["mg"] = stepped_text(lesion["mg"], steps["mg"])
    return [amounts.get(name, lesion[name]) for name in _LESION_COLUMNS]
