"""The report's pages on doses: why each is what it is, the syringe sheet, the checklist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Spacer

from irplan.export.report_front import Person
from irplan.export.report_page import Heading, grid, marked, markup, paragraph, printable
from irplan.export.tables import mg_text, plain_text


def dose_part(document: Mapping[str, Any]) -> list[Flowable]:
    """The split of each drug over the lesions, with its reasons."""
    shown: list[Flowable] = [Heading("Doses", big=True)]
    for drug in document["allocation"]["drugs"]:
        shown += [Heading(str(drug["drug"])), _dose_table(drug), Spacer(1, 1 * mm), _sum(drug)]
    mixture = document["allocation"].get("mixture")
    if mixture:
        fractions = ", ".join(
            f"{printable(part)} of its mL is {drug}" for drug, part in mixture["fractions"].items()
        )
        shown += [
            Heading("Mixture, one syringe"),
            paragraph(fractions, 8.5, bold=True),
            _dose_table(mixture),
        ]
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
                paragraph(printable(one.get("mg")), 8.5, bold=True),
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
    return [
        Heading("Syringe sheet", big=True),
        paragraph(f"Patient: {person.line}", 9, bold=True),
        paragraph(
            f"Protocol {allocation['protocol']['name']}; plan {document['plan_id']}, "
            f"version {document['version']}",
            8.5,
        ),
        *(paragraph(_in_all(drug), 9, bold=True) for drug in allocation["drugs"]),
        Spacer(1, 2 * mm),
        *_syringe_table(allocation),
        Heading("Vials"),
        *_vial_table(allocation),
        Spacer(1, 4 * mm),
        KeepTogether([_signatures()]),
    ]


def _in_all(drug: Mapping[str, Any]) -> str:
    concentration, ml, mg = (
        printable(drug[key]) for key in ("concentration_mg_per_ml", "allocated_ml", "allocated_mg")
    )
    return f"{drug['drug']}, {concentration} mg/mL: in all {ml} mL = {mg} mg to give"


def _syringe_table(allocation: Mapping[str, Any]) -> list[Flowable]:
    """One row a syringe; what a lesion gets in all stands in the row of its first syringe."""
    lines = allocation["syringes"]
    if not lines:
        return [paragraph("No syringe: nothing is to be drawn up.", 9, bold=True)]
    rows: list[list[Any]] = [
        ["lesion", "drug", "dose: give + dead space = draw, mL", "mg", "syringe", "draw up mL",
         "give mL", "label", "drawn / checked by"]
    ]  # fmt: skip
    for line in lines:
        whole = [
            paragraph(line["lesion_id"], 8.5, bold=True),
            line["drug"],
            f"{printable(line['give_ml'])} + {printable(line['dead_space_ml'])} = "
            f"{printable(line['draw_ml'])}",
            plain_text(mg_text(line)),
        ]
        for number, fill in enumerate(line["syringes"]):
            size, step = printable(fill["syringe_ml"]), printable(fill["graduation_ml"])
            lead = whole if number == 0 else ["", "", "and", ""]
            rows.append(
                [
                    *lead,
                    f"{size} mL, marked in {step}",
                    paragraph(printable(fill["draw_ml"]), 10, bold=True),
                    paragraph(printable(fill["give_ml"]), 10, bold=True),
                    line["label"] if number == 0 else "",
                    "",
                ]
            )
        if not line["syringes"]:
            nothing = paragraph("NO SYRINGE SHOWS THIS DOSE", 8, bold=True)
            rows.append([*whole, nothing, "-", "-", line["label"], ""])
    widths = [16, 21, 27, 14, 21, 15, 15, 35, 22]
    return [grid(rows, widths, size=8, extra=[("BOTTOMPADDING", (0, 1), (-1, -1), 7)])]


def _vial_table(allocation: Mapping[str, Any]) -> list[Flowable]:
    if not allocation["vials"]:
        return [paragraph("No vial.", 8.5)]
    rows: list[list[Any]] = [
        [
            "drug",
            "vials",
            "drawn mL",
            "given mL",
            "left in the vials",
            "use within",
            "lot",
            "expiry",
        ]
    ]
    for line in allocation["vials"]:
        counts = "; ".join(
            f"{one['count']} × {printable(one['mg'])} mg / {printable(one['ml'])} mL"
            for one in line["vials"]
        )
        hours = line["use_within_hours"]
        rows.append(
            [
                paragraph(line["drug"], 8.5, bold=True),
                counts or "none known",
                printable(line["drawn_ml"]),
                printable(line["given_ml"]),
                f"{printable(line['waste_ml'])} mL = {printable(line['waste_mg'])} mg",
                "not given" if hours is None else f"{printable(hours)} h",
                "",
                "",
            ]
        )
    widths = [24, 34, 16, 16, 32, 18, 24, 22]
    return [grid(rows, widths, size=8, extra=[("BOTTOMPADDING", (0, 1), (-1, -1), 9)])]


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
