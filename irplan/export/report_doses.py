"""The report's pages on doses: why each is what it is, the syringe sheet, the checklist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Spacer

from irplan.export.report_front import Person
from irplan.export.report_page import Heading, grid, marked, markup, paragraph, printable
from irplan.export.tables import cell_text


def dose_part(document: Mapping[str, Any]) -> list[Flowable]:
    """The split of each drug over the lesions, with its reasons."""
    shown: list[Flowable] = [Heading("Doses", big=True)]
    for drug in document["allocation"]["drugs"]:
        shown += [Heading(str(drug["drug"])), _dose_table(drug), Spacer(1, 1 * mm), _sum(drug)]
    mixture = document["allocation"].get("mixture")
    if mixture:
        shown += [Heading("Mixture"), paragraph(cell_text(mixture), 8)]
    excluded = document["allocation"]["excluded"]
    if excluded:
        rows = [["lesion", "code", "why it gets nothing"]]
        rows += [[one["lesion_id"], one["code"], one["message"]] for one in excluded]
        shown += [Heading("Excluded lesions"), grid(rows, [24, 40, 122])]
    return shown


def _dose_table(drug: Mapping[str, Any]) -> Flowable:
    again = any("given_ml" in one for one in drug["lesions"])
    rows: list[list[Any]] = [
        ["lesion", "volume mL", "share", "mL", *(["given, to give mL"] if again else []),
         "band of mL", "mg", "limits", "why"]
    ]  # fmt: skip
    for one in drug["lesions"]:
        given = [f"{printable(one.get('given_ml'))}, {printable(one.get('remaining_ml'))}"]
        rows.append(
            [
                paragraph(one["lesion_id"], 8, bold=True),
                printable(one["volume_ml"]),
                printable(one["share"]),
                paragraph(printable(one["ml"]), 8.5, bold=True),
                *(given if again else []),
                f"{printable(one['ml_low'])} to {printable(one['ml_high'])}",
                paragraph(printable(one["mg"]), 8.5, bold=True),
                ", ".join(one["limits"]) or "none",
                paragraph(one["why"], 7.5),
            ]
        )
    widths = [20, 18, 16, 15, *([20] if again else []), 24, 16, 22, 55]
    return grid(rows, widths, size=8)


def _sum(drug: Mapping[str, Any]) -> Flowable:
    reasons = ", ".join(drug["residual_reasons"])
    text = (
        f"Allocated {markup(drug['allocated_ml'])} mL + left over {markup(drug['residual_ml'])} mL "
        f"= prescribed {markup(drug['prescribed_ml'])} mL; "
        f"{markup(drug['allocated_mg'])} mg + {markup(drug['residual_mg'])} mg "
        f"= {markup(drug['prescribed_mg'])} mg."
    )
    return marked(
        f"<b>{text}</b>" + (f" Left over because: {markup(reasons)}." if reasons else ""), 8
    )


def syringe_part(document: Mapping[str, Any], person: Person) -> list[Flowable]:
    """The sheet for the pharmacy: what to draw up, with room to write lot, expiry and names."""
    allocation = document["allocation"]
    rows = [["drug", "concentration", "in all to give", "", "lot", "expiry"]]
    rows += [
        [
            paragraph(drug["drug"], 9, bold=True),
            f"{printable(drug['concentration_mg_per_ml'])} mg/mL",
            f"{printable(drug['allocated_ml'])} mL",
            f"{printable(drug['allocated_mg'])} mg",
            "",
            "",
        ]
        for drug in allocation["drugs"]
    ]
    shown: list[Flowable] = [
        Heading("Syringe sheet", big=True),
        paragraph(f"Patient: {person.line}", 9, bold=True),
        paragraph(
            f"Protocol {allocation['protocol']['name']}; plan {document['plan_id']}, "
            f"version {document['version']}",
            8.5,
        ),
        Spacer(1, 2 * mm),
        grid(rows, [34, 26, 28, 24, 38, 36], size=8.5),
        Heading("Syringes"),
        _any_table(allocation["syringes"], "No syringe: nothing is to be drawn up.", to_fill=True),
        Heading("Vials"),
        _any_table(allocation["vials"], "No vial."),
        Spacer(1, 4 * mm),
        KeepTogether([_signatures()]),
    ]
    return shown


def _any_table(
    entries: Sequence[Mapping[str, Any]], nothing: str, *, to_fill: bool = False
) -> Flowable:
    """Every entry of the document as a row; the headings carry the unit that the key ends in."""
    if not entries:
        return paragraph(nothing, 8.5)
    keys = list(dict.fromkeys(key for entry in entries for key in entry))
    extra = ["drawn by / checked by"] if to_fill else []
    rows: list[list[Any]] = [[heading_of(key) for key in keys] + extra]
    rows += [[cell_text(entry.get(key)) for key in keys] + [""] * len(extra) for entry in entries]
    widths = [max(12.0, min(40.0, _longest(rows, column))) for column in range(len(keys))]
    return grid(rows, widths + [26.0] * len(extra), size=8 if len(keys) < 10 else 7.5)


def _longest(rows: Sequence[Sequence[str]], column: int) -> float:
    """A width that suits the column's longest word, in any unit: widths are scaled later."""
    words = [word for row in rows for word in str(row[column]).split()]
    return 2.0 * max((len(word) for word in words), default=1)


_UNITS = {"ml": "mL", "mg": "mg", "mm": "mm", "kg": "kg", "deg": "°"}


def heading_of(key: str) -> str:
    """'dead_space_ml' → 'dead space mL'."""
    words = key.split("_")
    return " ".join(_UNITS.get(word, word) for word in words)


def _signatures() -> Flowable:
    rows = [["", "name", "date, time", "signature"]]
    rows += [[who, "", "", ""] for who in ("prepared by", "checked by", "handed to")]
    return grid(rows, [34, 60, 40, 52], size=8.5, extra=[("BOTTOMPADDING", (0, 1), (-1, -1), 14)])


def checklist_part(document: Mapping[str, Any]) -> list[Flowable]:
    """The checklist of the protocol, to be ticked by hand; [] where the protocol has none."""
    if not document["checklist"]:
        return []
    rows: list[list[Any]] = [["", "to be checked", "for", "value, by whom, when"]]
    rows += [
        ["☐", paragraph(item["text"], 9), str(item["applies_to"]), ""]
        for item in document["checklist"]
    ]
    return [
        Heading("Before the needle", big=True),
        grid(rows, [9, 95, 24, 58], size=9, extra=[("BOTTOMPADDING", (0, 1), (-1, -1), 7)]),
    ]
