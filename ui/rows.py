"""What the tables say: lesions, doses, paths and findings as text with units. Pure.

Every number is printed as in the documents; what is unknown or does not stand any more is a dash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from irplan import units
from irplan.findings import Finding, Severity
from irplan.lesions.contact import contact_words
from irplan.lesions.lesion import Lesion
from irplan.trajectory.needle import Needle, PathPlan, Unreachable
from irplan.volume import CtVolume

NONE = "–"

#: Each severity's symbol, the gravest first.
SYMBOLS = {Severity.STOP: "■", Severity.WARN: "▲", Severity.INFO: "●"}

LESION_COLUMNS = (
    "Lesion",
    "Kind",
    "Site",
    "Side",
    "Volume mL\n(low – high)",
    "Sure\n%",
    "Long × short\n⌀ mm",
    "Depth\nmm",
    "Dose\nmL",
    "Dose\nmg",
    "Needle",
    "To tip\nmm",
    "Least\nclearance mm",
    "Findings",
)
PATH_COLUMNS = ("Path", "Needle", "To tip", "Axial", "CC", "Clearance")


@dataclass(frozen=True)
class LesionRow:
    """One row of the lesion table.

    Attributes:
        cells: one text for each of :data:`LESION_COLUMNS`.
        findings: those about the lesion, for the row's hint.
        excluded: why the lesion gets no dose; '' where it may get one.
        touches: what it touches, what it does not and what is not known.
    """

    lesion_id: str
    cells: tuple[str, ...]
    findings: tuple[Finding, ...]
    excluded: str = ""
    touches: str = ""


def lesion_rows(
    lesions: tuple[Lesion, ...],
    allocation: Mapping[str, Any] | None,
    paths: PathPlan | None,
    findings: Iterable[Finding],
    to_biopsy: Iterable[str] = (),
) -> tuple[LesionRow, ...]:
    """The lesion table. ``allocation`` is a document ``irplan.allocation/1``, or None.

    ``to_biopsy`` are the lesions of which a biopsy is due.
    """
    about, due = tuple(findings), frozenset(to_biopsy)
    return tuple(
        _lesion_row(lesion, allocation, paths, about, lesion.lesion_id in due) for lesion in lesions
    )


def _lesion_row(
    lesion: Lesion,
    allocation: Mapping[str, Any] | None,
    paths: PathPlan | None,
    findings: tuple[Finding, ...],
    due: bool,
) -> LesionRow:
    ml, mg, excluded = lesion_dose(allocation, lesion.lesion_id)
    needles = () if paths is None else paths.of_lesion(lesion.lesion_id)
    own = tuple(dict.fromkeys((*lesion.findings, *_about(lesion.lesion_id, needles, findings))))
    cells = (
        lesion.lesion_id,
        kind_text(lesion),
        lesion.site or NONE,
        side_text(lesion),
        volume_text(lesion),
        certainty_text(lesion),
        diameter_text(lesion),
        _mm(lesion.depth_below_skin_mm),
        "excluded" if excluded else ml,
        NONE if excluded else mg,
        needle_text(paths, lesion.lesion_id, due),
        depths_text(needles),
        nearest_text(needles),
        counts_text(own),
    )
    touches = contact_words(lesion.contacts) if lesion.contacts else ""
    return LesionRow(lesion.lesion_id, cells, own, excluded, touches)


def needle_text(paths: PathPlan | None, lesion_id: str, due: bool) -> str:
    """The passes in the order of the work, a biopsy that is due first."""
    if paths is None:
        return "biopsy due" if due else NONE
    text = passes_text(paths.of_lesion(lesion_id))
    if unreachable(paths, lesion_id) is not None:
        text = "no safe path"
    taken = [one.biopsy_id for one in paths.biopsies if one.lesion_id == lesion_id]
    if taken:
        return f"{_joined(taken)} → {text}"
    return f"▲ biopsy, {text}" if due else text


def _about(
    lesion_id: str, needles: tuple[Needle, ...], findings: tuple[Finding, ...]
) -> tuple[Finding, ...]:
    subjects = {lesion_id, *(needle.needle_id for needle in needles)}
    return tuple(finding for finding in findings if finding.subject in subjects)


def kind_text(lesion: Lesion) -> str:
    """The kind, and the plug-in that made the mask where one did."""
    kind = lesion.kind.value if lesion.kind else NONE
    return f"{kind} ({lesion.segmenter})" if lesion.segmenter else kind


def side_text(lesion: Lesion) -> str:
    """The side: with a question mark where it is proposed, with ▲ where the scan contradicts it."""
    if not lesion.side:
        return NONE
    codes = {finding.code for finding in lesion.findings}
    if codes & {"side_contradicts_midline", "side_not_understood"}:
        return f"▲ {lesion.side}"
    return f"{lesion.side} ?" if lesion.side_source == "proposed" else lesion.side


def diameter_text(lesion: Lesion) -> str:
    """Longest diameter and short axis in mm; with a pencil where a person drew one of them."""
    text = _mm(lesion.longest_diameter_mm)
    if lesion.longest_diameter_mm is not None and lesion.short_axis_mm is not None:
        text = f"{text} × {_mm(lesion.short_axis_mm)}"
    drawn = "edited" in (lesion.diameter_source, lesion.short_axis_source)
    return f"✎ {text}" if drawn else text


def has_drawn_line(lesion: Lesion) -> bool:
    """Whether a person drew one of its diameters."""
    sources = (lesion.diameter_source, lesion.short_axis_source, lesion.diameter_3d_source)
    return "edited" in sources


def certainty_text(lesion: Lesion) -> str:
    """The overlap with a reader's mask that is to be expected, in per cent; a dash by hand."""
    return NONE if lesion.certainty is None else f"{100 * lesion.certainty:.0f}"


def measured_text(lesion: Lesion) -> str:
    """What a gesture gave, in a line."""
    text = f"{lesion.lesion_id}: {volume_text(lesion)} mL, {diameter_text(lesion)} mm"
    return text if lesion.certainty is None else f"{text}, sure to {certainty_text(lesion)} %"


def volume_text(lesion: Lesion) -> str:
    """Volume in mL with its band."""
    if lesion.volume_ml is None:
        return NONE
    text = units.decimal_text(lesion.volume_ml)
    low, high = lesion.volume_low_ml, lesion.volume_high_ml
    if low is None or high is None:
        return text
    return f"{text} ({units.decimal_text(low)} – {units.decimal_text(high)})"


def lesion_dose(allocation: Mapping[str, Any] | None, lesion_id: str) -> tuple[str, str, str]:
    """mL and mg of a lesion, exactly as allocated, and why it is excluded ('' where it is not).

    Several drugs stand one after the other, each with its name.
    """
    if allocation is None:
        return NONE, NONE, ""
    for one in allocation["excluded"]:
        if one["lesion_id"] == lesion_id:
            return NONE, NONE, one["message"]
    drugs = allocation["drugs"]
    found = [
        (drug["drug"], dose)
        for drug in drugs
        for dose in drug["lesions"]
        if dose["lesion_id"] == lesion_id
    ]
    if not found:
        return NONE, NONE, ""
    named = len(drugs) > 1
    return (
        "; ".join(_dose_text(dose["ml"], name if named else "") for name, dose in found),
        "; ".join(_dose_text(dose["mg"], name if named else "") for name, dose in found),
        "",
    )


def _dose_text(value: Decimal, drug: str) -> str:
    text = units.decimal_text(value)
    return f"{text} {drug}" if drug else text


def totals_text(allocation: Mapping[str, Any]) -> tuple[str, ...]:
    """For each drug: what is prescribed, what is given to lesions, what is left over and why."""
    lines = []
    for drug in allocation["drugs"]:
        prescribed = f"{_plain(drug['prescribed_mg'])} mg = {_plain(drug['prescribed_ml'])} mL"
        allocated = f"{_plain(drug['allocated_mg'])} mg = {_plain(drug['allocated_ml'])} mL"
        lines.append(f"{drug['drug'].capitalize()}: prescribed {prescribed}")
        lines.append(f"Into lesions: {allocated}")
        if drug["residual_mg"]:
            reasons = ", ".join(reason.replace("_", " ") for reason in drug["residual_reasons"])
            left = f"{_plain(drug['residual_mg'])} mg = {_plain(drug['residual_ml'])} mL"
            lines.append(f"Left over: {left} ({reasons})")
        for cap in drug["caps"]:
            limit = f"{_plain(cap['limit_mg'])} mg"
            lines.append(f"Cap {cap['code'].replace('_', ' ')}: {limit}")
    return tuple(lines)


def path_cells(needle: Needle, chosen: bool, findings: Iterable[Finding] = ()) -> tuple[str, ...]:
    """One row of the path table: one text for each of :data:`PATH_COLUMNS`.

    Alternatives tell what is known of them as chosen paths do, by a mark behind their name.
    """
    return (
        ("● " if chosen else "○ ") + needle.needle_id + mark_text(needle, findings),
        f"{needle.gauge}G×{_plain(needle.length_mm)}",
        f"{units.mm(needle.depth_mm)}",
        f"{units.deg(needle.axial_angle_deg)}°",
        f"{units.deg(needle.craniocaudal_angle_deg)}°",
        clearance_text(needle),
    )


def mark_text(needle: Needle, findings: Iterable[Finding]) -> str:
    """■ or ▲ where a finding is about the path; ▲? where a limit is not known to be kept."""
    found = {one.severity for one in findings if one.subject == needle.needle_id}
    marks = [SYMBOLS[one] for one in (Severity.STOP, Severity.WARN) if one in found][:1]
    if needle.unknown_constraints:
        marks.append("▲?")
    return "".join(f" {mark}" for mark in marks)


def passes_text(needles: Iterable[Needle]) -> str:
    """The needles by name; the passes of a fan through one hole as one, with their number."""
    names = [needle.needle_id.split("-P")[0] for needle in needles]
    return _joined(
        f"{name} ×{names.count(name)}" if names.count(name) > 1 else name for name in names
    )


def depths_text(needles: Iterable[Needle]) -> str:
    """Skin to tip in mm, from the shortest pass to the longest."""
    depths = sorted(needle.depth_mm for needle in needles)
    return _joined(str(units.mm(one)) for one in depths[:1] + depths[-1:]).replace(", ", " – ")


def nearest_text(needles: tuple[Needle, ...]) -> str:
    """The smallest clearance over all passes to a lesion."""
    if not needles:
        return NONE
    near = [needle for needle in needles if needle.smallest_clearance is not None]
    if not near:
        return "none near"
    return clearance_text(min(near, key=_nearest_mm))


def _nearest_mm(needle: Needle) -> float:
    smallest = needle.smallest_clearance
    return float("inf") if smallest is None else smallest[1]


def clearance_text(needle: Needle) -> str:
    """The smallest clearance, rounded down, and from what."""
    smallest = needle.smallest_clearance
    if smallest is None:
        return "none near"
    name, distance_mm = smallest
    return f"{units.mm_down(distance_mm)} {name.replace('_', ' ')}"


def unreachable(paths: PathPlan | None, lesion_id: str) -> Unreachable | None:
    """Why a lesion has no path; None where it has one or none was looked for."""
    if paths is None:
        return None
    return next((one for one in paths.unreachable if one.lesion_id == lesion_id), None)


def unreachable_text(missing: Unreachable) -> str:
    """Why there is no path, and the nearest relaxation."""
    text = f"{missing.lesion_id}: no safe path. {missing.reason}"
    nearest = missing.nearest
    if nearest is not None:
        name = nearest.constraint.replace("_", " ")
        limit, needed = units.mm(nearest.limit), units.mm(nearest.needed)
        text += f" Nearest: {name} {limit} → {needed} {nearest.unit}."
    return text


def unknown_text(unknown: tuple[str, ...]) -> str:
    """The structures that nobody segmented, for the panel."""
    names = ", ".join(unknown).replace("_", " ")
    return f"▲ Not segmented by anyone, so unknown and never safe: {names}"


def counts_text(findings: Iterable[Finding]) -> str:
    """How many findings of each severity: ■ stops, ▲ warnings, ● what is to be known."""
    found = tuple(findings)
    counts = {one: sum(finding.severity is one for finding in found) for one in SYMBOLS}
    return "  ".join(f"{SYMBOLS[one]} {count}" for one, count in counts.items() if count) or NONE


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts)) or NONE


def _mm(value: float | None) -> str:
    return NONE if value is None else str(units.mm(value))


def _plain(value: Decimal) -> str:
    return units.decimal_text(units.plain(value))


def patient_text(volume: CtVolume, today: date) -> str:
    """Who, which scan, how old: the line over the views."""
    who = volume.identity
    parts = [
        who.patient_name.replace("^", " ").strip() or "name unknown",
        f"ID {who.patient_id}" if who.patient_id else "ID unknown",
        scan_age(who.acquired, today),
        who.patient_position or "position unknown",
        f"contrast {who.contrast}" if who.contrast else "contrast not told",
        who.description,
    ]
    return "  ·  ".join(part for part in parts if part)


def scan_age(acquired: str, today: date) -> str:
    """The scan's date and its age in days; an old CT is not the patient of the day."""
    try:
        days = (today - date.fromisoformat(acquired)).days
    except ValueError:
        return "date unknown"
    return f"CT of {acquired} ({days} days old)"
