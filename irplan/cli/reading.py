"""``irplan scan`` and ``irplan convert``: what a folder holds, and one series as one volume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from irplan.cli import options as opt
from irplan.cli.output import emit, say, tell_findings, tell_table, terminal_task


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("scan")(scan)
    app.command("convert")(convert)


def scan(path: opt.ScanPath, json: opt.Json = False) -> int:
    """List every series under PATH, usable or not, with what was found in it."""
    from irplan.dicom import scan as scan_path
    from irplan.documents import envelope

    with terminal_task("reading headers") as task:
        result = scan_path(path, task)
    if json:
        emit(
            envelope("scan", {"series": [one.document() for one in result.series]}, result.findings)
        )
        return 0
    rows = []
    for one in result.series:
        entry = one.document()
        size = "×".join(str(number) for number in entry["size"] or ())
        rows.append(
            (
                "yes" if entry["usable"] else "no",
                entry["modality"],
                size,
                entry["patient_position"] or "?",
                entry["acquired"] or "?",
                entry["description"],
                entry["series_instance_uid"] or "(none)",
            )
        )
    tell_table(("usable", "modality", "size", "position", "date", "description", "series"), rows)
    tell_findings(result.findings)
    for one in result.series:
        tell_findings(one.findings)
    return 0


def convert(
    path: opt.ScanPath,
    out: Annotated[Path, typer.Option("--out", help="VOLUME.nrrd, .nii.gz or .mha")],
    series: opt.Series = None,
    json: opt.Json = False,
) -> int:
    """Write the CT as one volume in HU."""
    from irplan.documents import envelope, grid_document
    from irplan.volume_io import check_volume_name, load_volume, save_volume

    check_volume_name(out)
    with terminal_task("reading the CT") as task:
        volume = load_volume(path, series, task)
        save_volume(volume, out)
    if json:
        body = {
            "out": str(out),
            "geometry": grid_document(volume.geometry),
            "sha256": volume.sha256,
        }
        emit(envelope("convert", body, volume.findings))
    else:
        say(str(out))
        tell_findings(volume.findings)
    return 0
