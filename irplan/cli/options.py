"""Options that several commands share, and their reading from text. Nothing is guessed."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from irplan.errors import CallError
from irplan.units import parse_positive

ScanPath = Annotated[
    Path, typer.Argument(help="DICOM file, folder, DICOMDIR or ZIP; or NRRD, NIfTI, MHA in HU")
]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
Series = Annotated[
    str | None, typer.Option("--series", help="SeriesInstanceUID, where there are several")
]
Seeds = Annotated[
    list[str] | None, typer.Option("--seed", help="x,y,z in LPS mm: one click, one lesion")
]
Strokes = Annotated[
    list[str] | None,
    typer.Option("--stroke", help="x1,y1,z1,x2,y2,z2 in LPS mm: one diameter, one lesion"),
]
Clicks = Annotated[Path | None, typer.Option("--clicks", help="CSV of named clicks and diameters")]
Kind = Annotated[str, typer.Option("--kind", help="auto, lung, liver, node, soft or skin")]
Segmenter = Annotated[
    str, typer.Option("--segmenter", help="irplan, or an installed plug-in ('irplan segmenters')")
]
Ids = Annotated[Path | None, typer.Option("--ids", help="CSV source_label,lesion_id,...")]
Accept = Annotated[
    list[str] | None, typer.Option("--accept", help='CODE="reason": lift a stop that may be lifted')
]
Protocol = Annotated[str, typer.Option("--protocol", help="name or TOML file of the protocol")]
WeightKg = Annotated[str | None, typer.Option("--weight-kg", help="body weight in kg")]
WeightAgeDays = Annotated[
    int | None, typer.Option("--weight-age-days", min=0, help="how old the weight is, in days")
]
HeightCm = Annotated[str | None, typer.Option("--height-cm", help="body height in cm")]
PrescribedMg = Annotated[
    list[str] | None, typer.Option("--prescribed-mg", help="DRUG=MG, in place of the rule")
]
IncrementMl = Annotated[str | None, typer.Option("--increment-ml", help="smallest step of a dose")]
Visit = Annotated[int, typer.Option("--visit", help="number of the visit, from 1")]
History = Annotated[Path | None, typer.Option("--history", help="what earlier visits gave")]
Subject = Annotated[
    str | None,
    typer.Option("--subject", help="subject of the record, which knows what earlier visits gave"),
]
Given = Annotated[Path | None, typer.Option("--given", help="what this visit has given so far")]
Store = Annotated[
    str | None,
    typer.Option("--store", envvar="IRPLAN_STORE", help="SQLite file or database address"),
]


def parse_accepts(texts: Sequence[str] | None, refusals: Collection[str] = ()) -> dict[str, str]:
    """``CODE=reason`` pairs; of a code that no reason lifts standard error says so.

    Args:
        refusals: codes of refusals that a reason lifts, besides those of findings.

    Raises:
        CallError: no reason is given, a code stands twice, or nothing has that code: a misspelt one
            would lift nothing, and nobody would know.
    """
    pairs = _pairs(texts, "--accept", 'as in --accept position_differs="turned for comfort"')
    for code in pairs:
        if code not in refusals:
            _check_code(code)
    return pairs


def _check_code(code: str) -> None:
    from irplan.findings import rules

    liftable = {rule.code: rule.overridable for rule in rules()}
    if code not in liftable:
        # Stages that this command has not loaded yet have codes too.
        from irplan.catalogue import finding_codes

        liftable = {one["code"]: one["overridable"] for one in finding_codes()}
    if code not in liftable:
        near = get_close_matches(code, [one for one, lifts in liftable.items() if lifts], 1)
        raise CallError(
            "no_such_code",
            f"--accept: there is no finding '{code}'",
            (f"did you mean {near[0]}? " if near else "") + "'irplan findings' lists the codes",
        )
    if not liftable[code]:
        print(f"note: --accept {code}: no reason lifts this; it stands as it is", file=sys.stderr)


def parse_prescribed_mg(texts: Sequence[str] | None) -> dict[str, Decimal]:
    """``DRUG=MG`` pairs as exact decimals.

    Raises:
        CallError: not a pair, not a positive plain number, or a drug twice.
    """
    pairs = _pairs(texts, "--prescribed-mg", "as in --prescribed-mg ipilimumab=20")
    return {drug: parse_positive(mg, f"--prescribed-mg {drug}") for drug, mg in pairs.items()}


def parse_optional(text: str | None, what: str) -> Decimal | None:
    """A positive exact number, or None where the option was not given."""
    return None if text is None else parse_positive(text, what)


def _pairs(texts: Sequence[str] | None, option: str, example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts or ():
        name, sign, value = text.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise CallError("not_a_pair", f"{option}: '{text}' is not NAME=VALUE", example)
        if name.strip() in pairs:
            raise CallError("given_twice", f"{option}: {name.strip()} is given twice")
        pairs[name.strip()] = value.strip()
    return pairs


def check_visit(visit: int) -> int:
    """The visit's number.

    Raises:
        CallError: it is below 1.
    """
    if visit < 1:
        raise CallError("not_positive", f"--visit: {visit} is below 1")
    return visit
