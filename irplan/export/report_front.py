"""The report's first page: who, which scan, how much, into what, and what forbids or warns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Spacer

from irplan.export.pictures import nearest_structure
from irplan.export.report_page import (
    INFO_EDGE,
    INFO_FILL,
    STOP_EDGE,
    STOP_FILL,
    UNKNOWN_FILL,
    WARN_EDGE,
    WARN_FILL,
    Furniture,
    Heading,
    box,
    grid,
    marked,
    markup,
    paragraph,
    printable,
)
from irplan.units import stepped_text
from irplan.volume import ScanIdentity

NOT_GIVEN = "not given"


@dataclass(frozen=True)
class Person:
    """The patient as the scan names them; '' where it does not. For the local report only."""

    name: str
    patient_id: str
    birth_date: str
    sex: str

    @classmethod
    def of(cls, identity: ScanIdentity) -> Person:
        """The patient of a scan; DICOM's '^' between the parts of a name becomes a space."""
        return cls(
            " ".join(identity.patient_name.replace("^", " ").split()),
            identity.patient_id,
            _iso_date(identity.patient_birth_date),
            identity.patient_sex,
        )

    @property
    def line(self) -> str:
        """Name, ID and birth date in one line, for the head of every page."""
        born = f"born {self.birth_date}" if self.birth_date else "birth date not given"
        name = self.name or "name not given"
        return f"{name} · ID {self.patient_id or NOT_GIVEN} · {born}"


def _iso_date(text: str) -> str:
    """DICOM's 19610203 as 1961-02-03; anything else as it is."""
    digits = text.strip()
    if len(digits) == 8 and digits.isdigit():
        return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    return digits


def open_stops(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The stops that nobody accepted."""
    return [
        one for one in document["findings"] if one["severity"] == "stop" and one["accepted"] is None
    ]


def furniture_of(document: Mapping[str, Any], person: Person) -> Furniture:
    """What stands on every page of this plan."""
    stops = len(open_stops(document))
    banner = f"{stops} STOP{'S' if stops > 1 else ''} - NOT TO BE SIGNED" if stops else ""
    plan = (
        f"plan {document['plan_id']} · version {document['version']} · "
        f"irplan {document['irplan_version']}"
    )
    return Furniture(person.line, plan, banner)


def front_part(document: Mapping[str, Any], person: Person) -> list[Flowable]:
    """The first page, and what overflows of it."""
    return [
        Heading("Injection plan", big=True),
        *_state(document),
        _case_table(document, person),
        Spacer(1, 2 * mm),
        *_dose_lines(document),
        *_lesion_table(document),
        *_biopsy_table(document),
        Spacer(1, 2 * mm),
        *unknown_box(document),
        *_findings(document),
    ]


def _state(document: Mapping[str, Any]) -> list[Flowable]:
    """One sentence each on what forbids, warns or is missing; first of all that is read."""
    stops = open_stops(document)
    warns = [one for one in document["findings"] if one["severity"] == "warn"]
    lines: list[Flowable] = []
    if stops:
        lines.append(
            marked(
                f"<b>STOP: this plan may not be signed. {_count(len(stops), 'stop')} below.</b>",
                9.5,
            )
        )
    if missing := without_needle(document):
        names = ", ".join(markup(lesion_id) for lesion_id in missing)
        lines.append(marked(f"<b>No needle path for: {names}.</b> Their dose stays allocated.", 9))
    for drug in document["allocation"]["drugs"]:
        reasons = [reason for reason in drug["residual_reasons"] if reason != "rounding"]
        if drug["residual_ml"] > 0 and reasons:
            lines.append(
                marked(
                    f"<b>Not allocated: {dose_ml(document, drug['residual_ml'])} mL = "
                    f"{dose_mg(document, drug['residual_mg'], drug['drug'])} mg of "
                    f"{markup(drug['drug'])}</b> "
                    f"({markup(', '.join(reasons))}).",
                    9,
                )
            )
    if warns:
        lines.append(marked(f"{_count(len(warns), 'warning')} below, to be acknowledged.", 9))
    if not lines:
        return []
    fill, edge = (STOP_FILL, STOP_EDGE) if stops else (WARN_FILL, WARN_EDGE)
    return [box(lines, fill, edge), Spacer(1, 2 * mm)]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def dose_ml(document: Mapping[str, Any], ml: Decimal | int | None) -> str:
    """A volume of drug with at least the decimals of the dose step: 0.50 beside 4.20."""
    return stepped(ml, document["allocation"]["increment_ml"])


def dose_mg(document: Mapping[str, Any], mg: Decimal | int | None, drug: str = "") -> str:
    """A mass of drug with at least the decimals that one step of its volume has."""
    drugs = document["allocation"]["drugs"]
    increment = Decimal(document["allocation"]["increment_ml"])
    steps = [
        increment * Decimal(one["concentration_mg_per_ml"])
        for one in drugs
        if drug in ("", one["drug"])
    ]
    return stepped(mg, min(steps, default=increment))


def stepped(value: Decimal | int | None, step: Decimal | int) -> str:
    """The number with at least the decimals of its step; its own further digits stay."""
    return printable(None) if value is None else stepped_text(Decimal(value), Decimal(step))


def _case_table(document: Mapping[str, Any], person: Person) -> Flowable:
    case = document["case"]
    protocol = document["allocation"]["protocol"]
    rows = [
        ("Patient", person.name or NOT_GIVEN, "Scan of", case["image_date"] or NOT_GIVEN),
        ("Patient ID", person.patient_id or NOT_GIVEN, "Age of the scan", scan_age(document)),
        (
            "Birth date, sex",
            f"{person.birth_date or NOT_GIVEN}, {person.sex or NOT_GIVEN}",
            "Contrast",
            case["contrast"] or "the scan does not say",
        ),
        (
            "Will lie",
            f"{case['patient_position']} (scanned {case['scan_position'] or NOT_GIVEN})",
            "Protocol",
            f"{protocol['name']}, version {protocol['version']}, split by {protocol['split']}",
        ),
        (
            "Weight",
            _unit(document["allocation"]["weight_kg"], "kg"),
            "Dose step",
            _unit(document["allocation"]["increment_ml"], "mL"),
        ),
    ]
    cells = [
        [paragraph(a, 8), paragraph(b, 9, bold=True), paragraph(c, 8), paragraph(d, 9, bold=True)]
        for a, b, c, d in rows
    ]
    return grid(cells, [24, 70, 26, 66], header=False)


def scan_age(document: Mapping[str, Any]) -> str:
    """Days from the scan to the day on which the plan was made, in words."""
    made = str(document.get("run", {}).get("created", ""))[:10]
    try:
        days = (date.fromisoformat(made) - date.fromisoformat(document["case"]["image_date"])).days
    except ValueError:
        return "unknown"
    if days < 0:
        return f"unknown: dated after the day of planning ({made})"
    return f"{_count(days, 'day')} on {made}"


def _unit(value: Decimal | None, unit: str) -> str:
    return NOT_GIVEN if value is None else f"{printable(value)} {unit}"


_AMOUNTS = ("prescribed", "allocated", "residual")


def _dose_lines(document: Mapping[str, Any]) -> list[Flowable]:
    rows: list[list[Any]] = [
        ["drug", "concentration", "ordered", "caps", "prescribed", "allocated", "left over"]
    ]
    for drug in document["allocation"]["drugs"]:
        ml = {key: dose_ml(document, drug[f"{key}_ml"]) for key in _AMOUNTS}
        mg = {key: dose_mg(document, drug[f"{key}_mg"], drug["drug"]) for key in _AMOUNTS}
        caps = ", ".join(f"{one['code']} {printable(one['limit_mg'])} mg" for one in drug["caps"])
        before = drug.get("given_before_mg")
        if before:
            caps = f"{caps or 'none'}; given before: {printable(before)} mg"
        reasons = ", ".join(drug["residual_reasons"])
        left = f"{ml['residual']} mL = {mg['residual']} mg"
        rows.append(
            [
                paragraph(drug["drug"], 8.5, bold=True),
                f"{printable(drug['concentration_mg_per_ml'])} mg/mL",
                f"{dose_mg(document, drug['ordered_mg'], drug['drug'])} mg",
                caps or "none",
                f"{mg['prescribed']} mg = {ml['prescribed']} mL",
                paragraph(
                    f"{mg['allocated']} mg = {ml['allocated']} mL",
                    8.5,
                    bold=True,
                ),
                left + (f" ({reasons})" if reasons else ""),
            ]
        )
    return [Heading("Total dose"), grid(rows, [26, 24, 20, 28, 30, 30, 28])]


def without_needle(document: Mapping[str, Any]) -> list[str]:
    """Ids of the lesions with a dose and no needle of the plan."""
    reached = {lesion_id for needle in document["needles"] for lesion_id in needle["lesion_ids"]}
    dosed = {one["lesion_id"] for _, one in doses(document) if one["ml"] > 0}
    return [
        one["lesion_id"]
        for one in document["lesions"]
        if one["lesion_id"] in dosed and one["lesion_id"] not in reached
    ]


def doses(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Every lesion's dose as (drug, entry), in the order of the allocation."""
    return [
        (drug["drug"], entry)
        for drug in document["allocation"]["drugs"]
        for entry in drug["lesions"]
    ]


def dose_text(document: Mapping[str, Any], lesion_id: str) -> str:
    """What a lesion gets, in words: '3.47 mL = 17.35 mg', with the drug where there are several."""
    several = len(document["allocation"]["drugs"]) > 1
    parts = [
        f"{drug + ' ' if several else ''}{dose_ml(document, one['ml'])} mL = "
        f"{dose_mg(document, one['mg'], drug)} mg"
        for drug, one in doses(document)
        if one["lesion_id"] == lesion_id
    ]
    excluded = [
        f"none: {one['code']}"
        for one in document["allocation"]["excluded"]
        if one["lesion_id"] == lesion_id
    ]
    return "; ".join(parts) or "; ".join(excluded) or "none"


def _lesion_table(document: Mapping[str, Any]) -> list[Flowable]:
    rows: list[list[Any]] = [
        [
            "lesion",
            "site, side",
            "volume mL (band)",
            "diameters mm",
            "dose",
            "needle",
            "depth mm",
            "angles °: axial / c-c",
            "smallest clearance mm",
        ]
    ]
    for lesion in document["lesions"]:
        rows += _lesion_rows(document, lesion)
    if not document["lesions"]:
        rows.append(["none", *[""] * 8])
    widths = [17, 25, 23, 19, 26, 23, 13, 18, 26]
    return [Heading("Lesions, doses, needles"), grid(rows, widths, size=7.5)]


def _lesion_rows(document: Mapping[str, Any], lesion: Mapping[str, Any]) -> list[list[Any]]:
    lesion_id = lesion["lesion_id"]
    needles = [one for one in document["needles"] if lesion_id in one["lesion_ids"]]
    first = [
        paragraph(lesion_id, 8, bold=True),
        _place(lesion),
        _band(lesion),
        _diameters(lesion),
        paragraph(dose_text(document, lesion_id), 8, bold=True),
    ]
    if not needles:
        return [[*first, paragraph("no path", 8, bold=True), "-", "-", "-"]]
    rows: list[list[Any]] = []
    for needle in needles:
        # The dose stands once: repeated on every pass it could be given on every pass.
        lead = first if not rows else [paragraph(lesion_id, 8, bold=True), "", "", "", "(as above)"]
        rows.append([*lead, *_needle_cells(needle)])
    return rows


def _biopsy_table(document: Mapping[str, Any]) -> list[Flowable]:
    """What is taken before the injection; [] where no biopsy is planned."""
    rows: list[list[Any]] = [
        [
            paragraph(one["biopsy_id"], 8, bold=True),
            one["lesion_id"],
            f"before {one['before']}, through {one['entry_id']}",
            f"{printable(one['depth_mm'])} mm",
            f"{printable(one['throw_mm'])} mm, {printable(one['in_lesion_mm'])} mm of it in the "
            "solid part",
        ]
        for one in document.get("biopsies", ())
    ]
    if not rows:
        return []
    head = ["biopsy", "lesion", "when and where", "skin to the end of the throw", "throw"]
    return [Spacer(1, 2 * mm), grid([head, *rows], [18, 22, 52, 40, 58], size=7.5)]


def _place(lesion: Mapping[str, Any]) -> str:
    """Site and side; a side that nobody gave, only read off the CT, says so."""
    proposed = lesion["side"] and lesion.get("side_source") == "proposed"
    side = f"{lesion['side']} (proposed)" if proposed else lesion["side"]
    return _joined(lesion["site"], side) or NOT_GIVEN


def _needle_cells(needle: Mapping[str, Any]) -> list[Any]:
    return [
        f"{needle['needle_id']}: {gauge_text(needle)}, {needle['guidance']}",
        printable(needle["depth_mm"]),
        f"{printable(needle['axial_angle_deg'])} / {printable(needle['craniocaudal_angle_deg'])}",
        smallest_clearance(needle),
    ]


def gauge_text(needle: Mapping[str, Any]) -> str:
    """'22 G × 150 mm'."""
    return f"{printable(needle['gauge'])} G × {printable(needle['length_mm'])} mm"


def smallest_clearance(needle: Mapping[str, Any]) -> str:
    """'5.2 (vessels)' of what is not crossed, and what is: 'crosses lung_left; 5.2 (vessels)'."""
    crossed = ", ".join(sorted(needle["crosses_mm"]))
    name = nearest_structure(needle)
    nearest = f"{printable(needle['clearance_mm'][name])} ({name})" if name else "none within reach"
    return f"crosses {crossed}; {nearest}" if crossed else nearest


def _joined(*texts: str) -> str:
    return ", ".join(text for text in texts if text)


def _band(lesion: Mapping[str, Any]) -> str:
    volume, low, high = (
        lesion["volume_ml"],
        lesion["volume_low_ml"],
        lesion["volume_high_ml"],
    )
    if volume is None:
        return "unknown"
    band = "no band" if low is None or high is None else f"{printable(low)} to {printable(high)}"
    return f"{printable(volume)} ({band})"


def _diameters(lesion: Mapping[str, Any]) -> str:
    longest, short = lesion["longest_diameter_mm"], lesion["short_axis_mm"]
    return "unknown" if longest is None else f"{printable(longest)} × {printable(short)}"


def unknown_box(document: Mapping[str, Any], points: float = 8.5) -> list[Flowable]:
    """What nobody segmented, conspicuously, in letters of this size; [] where nothing is."""
    unknown = document["unknown_structures"]
    if not unknown:
        return []
    names = ", ".join(markup(name) for name in unknown)
    text = f"<b>NOT SEGMENTED - UNKNOWN, NOT SAFE:</b> {names}"
    return [box([marked(text, points)], UNKNOWN_FILL, WARN_EDGE), Spacer(1, 2 * mm)]


_SHOWN = (
    ("stop", "STOP", STOP_FILL, STOP_EDGE),
    ("warn", "WARNING", WARN_FILL, WARN_EDGE),
    ("info", "note", INFO_FILL, INFO_EDGE),
)


def _findings(document: Mapping[str, Any]) -> list[Flowable]:
    """Stops and warnings; notes follow with the sources."""
    shown: list[Flowable] = []
    for severity, word, fill, edge in _SHOWN[:2]:
        lines = finding_lines(document["findings"], severity, word)
        if lines:
            shown += [box(lines, fill, edge), Spacer(1, 2 * mm)]
    return (
        [Heading("Stops and warnings"), *shown]
        if shown
        else [
            Heading("Stops and warnings"),
            paragraph("none", 8.5),
        ]
    )


def finding_lines(
    findings: Sequence[Mapping[str, Any]], severity: str, word: str
) -> list[Flowable]:
    """One paragraph for each finding of a severity, with the reason where it was accepted."""
    lines: list[Flowable] = []
    for one in findings:
        if one["severity"] != severity:
            continue
        subject = f"{markup(one['subject'])}: " if one["subject"] else ""
        accepted = one["accepted"]
        reason = "" if accepted is None else f" <b>Accepted:</b> {markup(accepted)}"
        text = f"<b>{word}</b> {subject}{markup(one['message'])} [{markup(one['code'])}]{reason}"
        lines.append(marked(text, 8))
    return lines
