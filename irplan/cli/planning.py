"""``irplan plan``, ``verify`` and ``why``: the whole way, and its repetition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from irplan.cli import options as opt
from irplan.cli.lesions import prompts_of
from irplan.cli.output import emit, say, tell_findings, tell_table, terminal_task
from irplan.units import decimal_text

if TYPE_CHECKING:
    from irplan.plan.request import PlanRequest

REFUSED = 3
INCOMPLETE = 4
DIFFERENT = 6


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("plan")(plan)
    app.command("verify")(verify)
    app.command("why")(why)


def plan(
    path: opt.ScanPath,
    out: Annotated[Path, typer.Option("--out", help="folder of the plan")],
    mask: Annotated[
        Path | None,
        typer.Option("--mask", "--lesions", help="masks of the lesions, made elsewhere"),
    ] = None,
    ids: opt.Ids = None,
    seed: opt.Seeds = None,
    stroke: opt.Strokes = None,
    clicks: opt.Clicks = None,
    kind: opt.Kind = "auto",
    segmenter: opt.Segmenter = "irplan",
    lesion_table: Annotated[
        Path | None, typer.Option("--lesion-table", help="lesions that CT does not show")
    ] = None,
    anatomy: Annotated[
        Path | None, typer.Option("--anatomy", help="label map of structures")
    ] = None,
    names: Annotated[Path | None, typer.Option("--names", help="JSON label → name")] = None,
    needles: Annotated[Path | None, typer.Option("--needles", help="TOML of the shelf")] = None,
    constraints: Annotated[
        Path | None, typer.Option("--constraints", help="TOML of the limits of a path")
    ] = None,
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
    patient_position: Annotated[
        str, typer.Option("--patient-position", help="supine, prone, left or right")
    ] = "",
    target: Annotated[
        list[str] | None, typer.Option("--target", help="inject only this lesion")
    ] = None,
    biopsy: Annotated[
        list[str] | None,
        typer.Option("--biopsy", help="a biopsy of this lesion is due before it is injected"),
    ] = None,
    skin_map: Annotated[
        bool,
        typer.Option("--skin-map", help="what the skin offers: in the report and skin_map.csv"),
    ] = False,
    accept: opt.Accept = None,
    series: opt.Series = None,
    json: opt.Json = False,
) -> int:
    """Plan an injection: lesions, doses, needles, and everything that goes on paper."""
    from irplan.headless import is_forbidden, is_incomplete, session_for, with_history

    gestures = bool(seed or stroke or clicks)
    _check_segmenter(segmenter)
    request = _request(
        prompts=prompts_of(seed, stroke, clicks, kind) if gestures else (),
        mask=mask,
        mask_ids=ids,
        lesion_table=lesion_table,
        anatomy=anatomy,
        anatomy_names=names,
        constraints=constraints,
        needles=needles,
        history=history,
        given=given,
        protocol=protocol,
        weight_kg=opt.parse_optional(weight_kg, "--weight-kg"),
        weight_age_days=weight_age_days,
        height_cm=opt.parse_optional(height_cm, "--height-cm"),
        prescribed_mg=tuple(opt.parse_prescribed_mg(prescribed_mg).items()),
        increment_ml=opt.parse_optional(increment_ml, "--increment-ml"),
        visit=opt.check_visit(visit),
        patient_position=patient_position,
        targets=tuple(target or ()),
        biopsies=tuple(biopsy or ()),
        accepted=tuple(opt.parse_accepts(accept).items()),
    )
    with (
        with_history(request, subject, store) as (known, unknown_visits),
        terminal_task("planning") as task,
    ):
        # Told at once; in the plan, the history that it was computed from has a gap.
        tell_findings(unknown_visits)
        session = session_for(path, known, series, task, segmenter)
        made = session.plan(task)
        forbidden = is_forbidden(made)
        if not forbidden:
            session.save(out, task, skin_map=skin_map)
    document = made.document()
    if json:
        emit(document)
    else:
        tell_plan(document)
        tell_findings(made.findings)
        if not forbidden:
            say(f"written to {out}: {', '.join(sorted(one.name for one in out.iterdir()))}")
    if forbidden:
        return REFUSED
    return INCOMPLETE if is_incomplete(made) else 0


def verify(
    where: Annotated[Path, typer.Argument(help="folder of the plan, or its plan.json")],
    path: opt.ScanPath,
    json: opt.Json = False,
) -> int:
    """Compute a plan again from the same inputs and name every number that differs."""
    from irplan.documents import envelope
    from irplan.verification import verify_plan

    with terminal_task("verifying") as task:
        result = verify_plan(where, path, task)
    if json:
        emit(envelope("verify", result.document()))
    elif result.same:
        say(f"{result.plan_id}: the same")
    else:
        for one in result.differences:
            say(f"{one.path}: planned {one.planned}, computed {one.computed}")
    return 0 if result.same else DIFFERENT


def why(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="plan.json or its folder")],
    path: opt.ScanPath,
    entry: Annotated[str, typer.Option("--entry", help="x,y,z of the skin point, LPS mm")],
    lesion: Annotated[str, typer.Option("--lesion", help="id of the lesion")],
    json: opt.Json = False,
) -> int:
    """Say why a path from a skin point is or is not allowed."""
    from irplan.documents import envelope, point_document
    from irplan.geometry import parse_point
    from irplan.trajectory.check import allowed
    from irplan.verification import explain_entry

    point = parse_point(entry, "--entry")
    with terminal_task("explaining") as task:
        checks = explain_entry(plan_file, path, point, lesion, task)
    if json:
        body = {
            "lesion_id": lesion,
            "entry_lps_mm": point_document(point),
            "allowed": allowed(checks),
            "constraints": [check.document() for check in checks],
        }
        emit(envelope("why", body))
        return 0
    rows = [check.document() for check in checks]
    tell_table(
        ("constraint", "value", "limit", "ok"),
        [(r["constraint"], r["value"], r["limit"], _WHY[str(r["status"])]) for r in rows],
    )
    return 0


#: How a constraint's status is told to a person.
_WHY = {"ok": "yes", "forbids": "NO", "costs": "no (soft)", "unknown": "unknown"}


def tell_plan(document: dict[str, Any]) -> None:
    """The plan for a person: one row a lesion, then what nobody segmented."""
    rows = []
    for lesion in document["lesions"]:
        name = lesion["lesion_id"]
        doses = [
            dose
            for drug in document["allocation"]["drugs"]
            for dose in drug["lesions"]
            if dose["lesion_id"] == name
        ]
        needles = [one for one in document["needles"] if name in one["lesion_ids"]]
        for needle in needles or [None]:
            rows.append((*_lesion_cells(lesion), *_dose_cells(doses), *_needle_cells(needle)))
    tell_table(
        (
            "lesion",
            "mL",
            "diameter mm",
            "dose mL",
            "dose mg",
            "needle",
            "guidance",
            "depth mm",
            "axial °",
            "cranio-caudal °",
            "skin °",
            "smallest clearance mm",
        ),
        rows,
    )
    for lesion in document["unreachable"]:
        say(f"no safe path to {lesion['lesion_id']}: {lesion['reason']}")
    say("unknown structures: " + (", ".join(document["unknown_structures"]) or "none"))


def _lesion_cells(lesion: dict[str, Any]) -> tuple[object, ...]:
    return lesion["lesion_id"], lesion["volume_ml"], lesion["longest_diameter_mm"]


def _dose_cells(doses: list[dict[str, Any]]) -> tuple[object, ...]:
    if not doses:
        return "none", "none"
    return tuple(" + ".join(decimal_text(dose[name]) for dose in doses) for name in ("ml", "mg"))


def _needle_cells(needle: dict[str, Any] | None) -> tuple[object, ...]:
    if needle is None:
        return ("none", "", "", "", "", "", "")
    # What the needle may cross, and does, is told by its length inside, not by a clearance of 0.
    crossed = needle["crosses_mm"]
    clearances = {k: v for k, v in needle["clearance_mm"].items() if k not in crossed}
    nearest = min(clearances, key=lambda name: clearances[name]) if clearances else None
    through = "".join(f", through {mm} mm of {name}" for name, mm in crossed.items())
    return (
        f"{needle['needle_id']} {needle['gauge']}G {needle['length_mm']}mm",
        needle["guidance"],
        needle["depth_mm"],
        needle["axial_angle_deg"],
        needle["craniocaudal_angle_deg"],
        needle["skin_angle_deg"],
        (f"{clearances[nearest]} ({nearest})" if nearest else "none near") + through,
    )


def _check_segmenter(name: str) -> None:
    """A plug-in that is not there is told before the scan is read."""
    from irplan.lesions.plugins import BUILT_IN, load_segmenter

    if name != BUILT_IN:
        load_segmenter(name)


def _request(**choices: Any) -> PlanRequest:
    from irplan.plan.request import PlanRequest

    return PlanRequest(**choices)
