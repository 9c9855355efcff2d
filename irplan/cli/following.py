"""``irplan follow``, ``transfer`` and ``compare``: a second CT of the same patient."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from irplan.cli import options as opt
from irplan.cli.lesions import prompts_of
from irplan.cli.output import emit, say, tell_findings, tell_table, terminal_task

REFUSED = 3
INCOMPLETE = 4

Confirm = Annotated[
    Path | None,
    typer.Option("--confirm", help="CSV old_id,new_id,status: what a person says of the proposals"),
]
PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="plan.json or its folder")]
From = Annotated[
    Path | None,
    typer.Option("--from", help="the CT that was planned on, where it is no longer in its place"),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("follow")(follow)
    app.command("transfer")(transfer)
    app.command("compare")(compare)


def follow(
    old_path: Annotated[
        Path, typer.Argument(metavar="OLD", help="the older CT, or the folder of a plan on it")
    ],
    new_path: Annotated[Path, typer.Argument(metavar="NEW", help="the newer CT")],
    out: Annotated[Path, typer.Option("--out", help="folder for masks, picture and document")],
    mask: Annotated[
        Path | None, typer.Option("--mask", help="masks of the lesions on the older CT")
    ] = None,
    ids: opt.Ids = None,
    old_clicks: Annotated[
        Path | None, typer.Option("--old-clicks", help="gestures on the older CT, for --mask")
    ] = None,
    planned_on: From = None,
    new_mask: Annotated[
        Path | None, typer.Option("--new-mask", help="masks of the lesions on the newer CT")
    ] = None,
    seed: opt.Seeds = None,
    stroke: opt.Strokes = None,
    clicks: opt.Clicks = None,
    kind: opt.Kind = "auto",
    confirm: Confirm = None,
    accept: opt.Accept = None,
    old_series: Annotated[
        str | None, typer.Option("--old-series", help="SeriesInstanceUID of the older CT")
    ] = None,
    series: opt.Series = None,
    json: opt.Json = False,
) -> int:
    """Carry lesions to a second CT, look for them there, and propose what became of each.

    Gestures (--seed, --stroke, --clicks) are on the newer CT: with the id of an older lesion they
    show that lesion, with another id a new one.
    """
    from irplan.errors import CallError
    from irplan.following import follow_scans, scan_of_plan, scan_with_lesions

    planned = old_path.name == "plan.json" or (old_path / "plan.json").is_file()
    if (mask is not None) + (old_clicks is not None) + planned != 1:
        raise CallError(
            "lesions_of_older",
            "the older CT needs its lesions",
            "give --mask or --old-clicks, or the folder of a plan in place of the CT",
        )
    if planned_on is not None and not planned:
        raise CallError(
            "no_plan", f"{old_path}: is no plan, and --from belongs to one", "leave --from out"
        )
    drawn, decisions = _drawn(seed, stroke, clicks, kind), _decisions(confirm)
    accepted = opt.parse_accepts(accept)
    with terminal_task("following") as task:
        if planned:
            older = scan_of_plan(old_path, task, planned_on)
        else:
            gestures = () if old_clicks is None else prompts_of(None, None, old_clicks, "auto")
            older = scan_with_lesions(
                old_path, task, mask=mask, ids=ids, prompts=gestures, series=old_series
            )
        document, refused = follow_scans(
            older,
            new_path,
            out,
            task,
            new_mask=new_mask,
            drawn=drawn,
            decisions=decisions,
            accepted=accepted,
            new_series=series,
        )
    _tell(document, json)
    if not json and not refused:
        say(f"written to {out}: {', '.join(sorted(one.name for one in out.iterdir()))}")
    return REFUSED if refused else 0


def transfer(
    plan_file: PlanFile,
    new_path: Annotated[Path, typer.Argument(metavar="NEW", help="the CT of the day")],
    out: Annotated[Path, typer.Option("--out", help="folder of the new version")],
    old_path: From = None,
    new_mask: Annotated[
        Path | None, typer.Option("--new-mask", help="masks of the lesions on the CT of the day")
    ] = None,
    seed: opt.Seeds = None,
    stroke: opt.Strokes = None,
    clicks: opt.Clicks = None,
    kind: opt.Kind = "auto",
    confirm: Confirm = None,
    anatomy: Annotated[
        Path | None, typer.Option("--anatomy", help="label map of structures on the CT of the day")
    ] = None,
    names: Annotated[Path | None, typer.Option("--names", help="JSON label → name")] = None,
    weight_kg: opt.WeightKg = None,
    accept: opt.Accept = None,
    series: opt.Series = None,
    json: opt.Json = False,
) -> int:
    """Carry a plan to the CT of the day: a new version, which needs new signatures."""
    from irplan.headless import is_forbidden, is_incomplete
    from irplan.transfer import transfer_plan

    with terminal_task("carrying the plan over") as task:
        made = transfer_plan(
            plan_file,
            new_path,
            out,
            task,
            old_path=old_path,
            series_uid=series,
            new_mask=new_mask,
            drawn=_drawn(seed, stroke, clicks, kind),
            decisions=_decisions(confirm),
            accepted=opt.parse_accepts(accept),
            anatomy=anatomy,
            anatomy_names=names,
            weight_kg=opt.parse_optional(weight_kg, "--weight-kg"),
        )
    document = made.document()
    _tell(document, json)
    plan = made.plan
    if plan is None or is_forbidden(plan):
        return REFUSED
    if not json:
        tell_table(
            ("lesion", "needle", "path", "why"),
            [
                (one["lesion_id"], one["needle_id"], one["outcome"], one["reason"])
                for one in document["paths"]
            ],
        )
        say(f"version {plan.version} written to {out}; it needs signatures of its own")
    return INCOMPLETE if is_incomplete(plan) else 0


def compare(
    plan_file: PlanFile,
    control_path: Annotated[Path, typer.Argument(metavar="CONTROL", help="the control CT")],
    tip: Annotated[
        list[str] | None,
        typer.Option(
            "--tip",
            help="NEEDLE=X,Y,Z[,EX,EY,EZ]: tip and entry of a placed needle, LPS mm of the "
            "control CT",
        ),
    ] = None,
    old_path: From = None,
    errors: Annotated[
        Path | None,
        typer.Option("--errors", help="CSV of the site's errors; this run's needles are added"),
    ] = None,
    accept: opt.Accept = None,
    series: opt.Series = None,
    json: opt.Json = False,
) -> int:
    """Compare planned needles with where they lie on a control CT."""
    from irplan.comparison import compare_plan, parse_tip

    placed = [parse_tip(text) for text in tip or ()]
    with terminal_task("comparing") as task:
        made = compare_plan(
            plan_file,
            control_path,
            placed,
            task,
            old_path=old_path,
            series_uid=series,
            errors=errors,
            accepted=opt.parse_accepts(accept),
        )
    document = made.document()
    if json:
        emit(document)
    else:
        tell_table(
            ("needle", "lesion", "lateral mm", "depth mm", "angle °", "in lesion", "correction"),
            [
                (
                    one["needle_id"],
                    one["lesion_id"],
                    one["lateral_error_mm"],
                    one["depth_error_mm"],
                    one["angle_error_deg"],
                    "yes" if one["in_lesion"] else "NO",
                    one["correction"]["words"],
                )
                for one in document["needles"]
            ],
        )
        for one in document["site_errors"]:
            if one["constraints"] is not None:
                say(f"{one['needles']} needles of this site; for its constraints:")
                say(str(one["constraints"]).rstrip())
        tell_findings(made.findings)
    return 0 if made.needles else REFUSED


def _drawn(
    seed: list[str] | None, stroke: list[str] | None, clicks: Path | None, kind: str
) -> tuple[Any, ...]:
    return prompts_of(seed, stroke, clicks, kind) if seed or stroke or clicks else ()


def _decisions(confirm: Path | None) -> tuple[Any, ...]:
    from irplan.followup import read_decisions

    return () if confirm is None else read_decisions(confirm)


def _tell(document: dict[str, Any], json: bool) -> None:
    """Proposals and changes for a person, or the document."""
    if json:
        emit(document)
        return
    tell_table(
        ("before", "now", "proposed", "holds", "confirmed", "why"),
        [
            (
                " ".join(one["old_ids"]) or "-",
                " ".join(one["new_ids"]) or "-",
                one["proposed"],
                one["status"],
                "yes" if one["confirmed"] else "no",
                one["why"],
            )
            for one in document["matches"]
        ],
    )
    say()
    names = ("volume_ml", "longest_diameter_mm", "short_axis_mm")
    tell_table(
        ("lesion", "mL before", "mL now", "mm before", "mm now", "short before", "short now"),
        [
            (one["lesion_id"], *(one[name][when] for name in names for when in ("old", "new")))
            for one in document["changes"]
        ],
    )
    from irplan.findings import Finding, Severity

    tell_findings(
        Finding(
            one["code"], Severity(one["severity"]), one["message"], one["subject"], one["accepted"]
        )
        for one in document["findings"]
    )
