"""``irplan batch``: a whole cohort, the same numbers as one case at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from irplan.cli import options as opt
from irplan.cli.output import emit, say, terminal_task


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("batch")(batch)
    cohort = typer.Typer(help="What a batch gave.")
    cohort.command("report")(cohort_report)
    # With a single command, Typer would make it the group itself.
    cohort.callback()(_cohort)
    app.add_typer(cohort, name="cohort")


def batch(
    manifest: Annotated[Path, typer.Argument(help="CSV, JSON or Parquet: one row a case")],
    out: Annotated[Path, typer.Option("--out", help="folder of the batch")],
    workers: Annotated[int, typer.Option("--workers", min=1, help="processes")] = 1,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="address of a Dask scheduler")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on where a batch was stopped")
    ] = False,
    protocol: Annotated[str, typer.Option("--protocol")] = "",
    weight_kg: Annotated[str, typer.Option("--weight-kg")] = "",
    height_cm: Annotated[str, typer.Option("--height-cm")] = "",
    visit: Annotated[str, typer.Option("--visit")] = "",
    patient_position: Annotated[str, typer.Option("--patient-position")] = "",
    increment_ml: Annotated[str, typer.Option("--increment-ml")] = "",
    anatomy: Annotated[str, typer.Option("--anatomy")] = "",
    history: Annotated[str, typer.Option("--history")] = "",
    json: opt.Json = False,
) -> int:
    """Allocate or plan every case of a manifest; one bad case never stops the others."""
    from irplan.batch import run_batch
    from irplan.documents import envelope
    from irplan.manifest import read_manifest

    defaults = {
        "protocol": protocol,
        "weight_kg": weight_kg,
        "height_cm": height_cm,
        "visit": visit,
        "patient_position": patient_position,
        "increment_ml": increment_ml,
        # An option's path starts where the command was given, a cell's at the manifest.
        "anatomy": str(Path(anatomy).resolve()) if anatomy else "",
        "history": str(Path(history).resolve()) if history else "",
    }
    cases = read_manifest(manifest, defaults)
    with terminal_task("batch") as task:
        result = run_batch(
            cases, out, workers=workers, scheduler=scheduler, resume=resume, task=task
        )
    if json:
        emit(
            envelope("batch", {"cases": len(cases), "counts": dict(result.counts), "out": str(out)})
        )
    else:
        say(", ".join(f"{number} {name}" for name, number in result.counts.items()))
        say(f"{out / 'batch.csv'}")
    return result.exit_code


def _cohort() -> None:
    """What a batch gave."""


def cohort_report(
    batch_folder: Annotated[Path, typer.Argument(metavar="BATCH", help="folder of a batch")],
    out: Annotated[Path, typer.Option("--out", help="the report, a PDF")],
    json: opt.Json = False,
) -> int:
    """Draw a cohort: doses, volumes, what was left over, who was left out."""
    from irplan.documents import envelope
    from irplan.export.cohort import write_cohort_report

    cohort = write_cohort_report(batch_folder, out)
    if json:
        emit(envelope("cohort", {"out": str(out), "counts": dict(cohort.status)}))
    else:
        say(str(out))
    return 0
