"""The report's pages on doses: why each is what it is, the syringe sheet, the checklist."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Spacer

from irplan.export.report_front import Person, dose_mg, dose_ml
from irplan.export.report_page import Heading, grid, marked, markup, paragraph, printable
from irplan.units import plain


def dose_part(document: Mapping[str, Any]) -> list[Flowable]:
    """The split of each drug over the lesions, with its reasons."""
    shown: list[Flowable] = [Heading("Doses", big=True)]
    for drug in document["allocation"]["drugs"]:
        shown += [Heading(str(drug["drug"])), _dose_table(document, drug), Spacer(1, 1 * mm),
                  _sum(document, drug)]  # fmt: skip
    mixture = document["allocation"].get("mixture")
    if mixture:
        fractions = ", ".join(
            f"{printable(part)} of its mL is {drug}" for drug, part in mixture["fractions"].items()
        )
        shown += [
            Heading("Mixture, one syringe"),
            paragraph(fractions, 8.5, bold=True),
            _dose_table(document, mixture),
        ]
    excluded = document["allocation"]["excluded"]
    if excluded:
        rows = [["lesion", "code", "why it gets nothing"]]
        rows += [[one["lesion_id"], one["code"], one["message"]] for one in excluded]
        shown += [Heading("Excluded lesions"), grid(rows, [24, 40, 122])]
    return shown


def _dose_table(document: Mapping[str, Any], drug: Mapping[str, Any]) -> Flowable:
    name = str(drug.get("drug", ""))

    def ml(value: Any) -> str:
        return dose_ml(document, value)

    again = any("given_ml" in one for one in drug["lesions"])
    rows: list[list[Any]] = [
        ["lesion", "volume mL", "share", "mL", *(["given, to give mL"] if again else []),
         "band of mL", "mg", "limits", "why"]
    ]  # fmt: skip
    for one in drug["lesions"]:
        given = [f"{ml(one.get('given_ml'))}, {ml(one.get('remaining_ml'))}"]
        rows.append(
            [
                paragraph(one["lesion_id"], 8, bold=True),
                printable(one["volume_ml"]),
                printable(one["share"]),
                paragraph(ml(one["ml"]), 8.5, bold=True),
                *(given if again else []),
                f"{ml(one['ml_low'])} to {ml(one['ml_high'])}",
                paragraph(dose_mg(document, one.get("mg"), name), 8.5, bold=True),
                ", ".join(one["limits"]) or "none",
                paragraph(one["why"], 7.5),
            ]
        )
    widths = [20, 18, 16, 15, *([20] if again else []), 24, 16, 22, 55]
    return grid(rows, widths, size=8)


def _sum(document: Mapping[str, Any], drug: Mapping[str, Any]) -> Flowable:
    reasons = ", ".join(drug["residual_reasons"])
    keys = ("allocated", "residual", "prescribed")
    given, left, whole = (dose_ml(document, drug[f"{key}_ml"]) for key in keys)
    given_mg, left_mg, whole_mg = (
        dose_mg(document, drug[f"{key}_mg"], drug["drug"]) for key in keys
    )
    text = (
        f"Allocated {given} mL + left over {left} mL = prescribed {whole} mL; "
        f"{given_mg} mg + {left_mg} mg = {whole_mg} mg."
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
        *(paragraph(_in_all(document, drug), 9, bold=True) for drug in allocation["drugs"]),
        Spacer(1, 2 * mm),
        *_syringe_table(document),
        *_deposit_table(document),
        Heading("Vials"),
        *_vial_table(document),
        Spacer(1, 4 * mm),
        KeepTogether([_signatures()]),
    ]


def _in_all(document: Mapping[str, Any], drug: Mapping[str, Any]) -> str:
    ml = dose_ml(document, drug["allocated_ml"])
    mg = dose_mg(document, drug["allocated_mg"], drug["drug"])
    concentration = printable(drug["concentration_mg_per_ml"])
    return f"{drug['drug']}, {concentration} mg/mL: in all {ml} mL = {mg} mg to give"


def _syringe_table(document: Mapping[str, Any]) -> list[Flowable]:
    """One row a syringe; what a lesion gets in all stands in the row of its first syringe."""
    lines = document["allocation"]["syringes"]
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
            " ".join(
                (
                    dose_ml(document, line["give_ml"]),
                    "+",
                    dose_ml(document, line["dead_space_ml"]),
                    "=",
                    dose_ml(document, line["draw_ml"]),
                )
            ),
            _mg_text(document, line),
        ]
        for number, fill in enumerate(line["syringes"]):
            size, step = printable(fill["syringe_ml"]), printable(fill["graduation_ml"])
            lead = whole if number == 0 else ["", "", "and", ""]
            rows.append(
                [
                    *lead,
                    f"{size} mL, marked in {step}",
                    paragraph(dose_ml(document, fill["draw_ml"]), 10, bold=True),
                    paragraph(dose_ml(document, fill["give_ml"]), 10, bold=True),
                    line["label"] if number == 0 else "",
                    "",
                ]
            )
        if not line["syringes"]:
            nothing = paragraph("NO SYRINGE SHOWS THIS DOSE", 8, bold=True)
            rows.append([*whole, nothing, "-", "-", line["label"], ""])
    widths = [14, 19, 29, 13, 30, 13, 12, 38, 18]
    return [grid(rows, widths, size=8, extra=[("BOTTOMPADDING", (0, 1), (-1, -1), 3)])]


def _deposit_table(document: Mapping[str, Any]) -> list[Flowable]:
    """One row a deposit and drug, in the order of giving, with room for what was given.

    A lesion is drawn up once and given deposit by deposit.
    """
    rows: list[list[Any]] = [
        ["needle", "deposit", "lesion", "drug", "to give, mL", "= mg", "given, mL", "time, by whom"]
    ]
    per_ml = {
        one["drug"]: Decimal(one["concentration_mg_per_ml"])
        for one in document["allocation"]["drugs"]
    }
    for needle in document["needles"]:
        for one in sorted(needle["deposits"], key=lambda deposit: deposit["order"]):
            for drug, ml in one["ml"].items():
                rows.append(
                    [
                        needle["needle_id"],
                        one["deposit_id"],
                        paragraph(one["lesion_id"], 8.5, bold=True),
                        drug,
                        paragraph(dose_ml(document, ml), 9, bold=True),
                        dose_mg(document, plain(Decimal(ml) * per_ml[drug]), drug),
                        "",
                        "",
                    ]
                )
    if len(rows) == 1:
        return []
    widths = [18, 22, 24, 28, 22, 18, 22, 32]
    table = grid(rows, widths, size=8, extra=[("BOTTOMPADDING", (0, 1), (-1, -1), 3)])
    return [Heading("Deposits"), table]


def _mg_text(document: Mapping[str, Any], line: Mapping[str, Any]) -> str:
    """The mg of a syringe line: a number, or 'drug=mg' for each drug of a mixture."""
    mg = {drug: dose_mg(document, value, drug) for drug, value in line["mg"].items()}
    if len(mg) == 1:
        return next(iter(mg.values()))
    return ", ".join(f"{drug}={value}" for drug, value in mg.items())


def _vial_table(document: Mapping[str, Any]) -> list[Flowable]:
    allocation = document["allocation"]
    if not allocation["vials"]:
        return [paragraph("No vial.", 8.5)]
    rows: list[list[Any]] = [
        [
            "drug",
            "vials",
            "to draw mL",
            "to give mL",
            "not given",
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
                dose_ml(document, line["drawn_ml"]),
                dose_ml(document, line["given_ml"]),
                f"{dose_ml(document, line['waste_ml'])} mL = "
                f"{dose_mg(document, line['waste_mg'], line['drug'])} mg "
                + ("in vials and needles" if counts else "in needles; in vials not known"),
                "not known" if hours is None else f"{printable(hours)} h",
                "",
                "",
            ]
        )
    widths = [24, 32, 15, 15, 40, 18, 22, 20]
    return [grid(rows, widths, size=8, extra=[("BOTTOMPADDING", (0, 1), (-1, -1), 5)])]


def _signatures() -> Flowable:
    rows = [["", "name", "date, time", "signature"]]
    rows += [[who, "", "", ""] for who in ("prepared by", "checked by", "handed to")]
    return grid(rows, [34, 60, 40, 52], size=8.5, extra=[("BOTTOMPADDING", (0, 1), (-1, -1), 9)])


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
