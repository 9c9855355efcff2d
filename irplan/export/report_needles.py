"""The report's pages on needles: a page and a card each, lesions without a path, the 3-D view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Spacer, Table, TableStyle

from irplan import units
from irplan.export.pictures import Picture
from irplan.export.report_cards import needle_rows
from irplan.export.report_front import (
    dose_ml,
    dose_text,
    gauge_text,
    smallest_clearance,
    unknown_box,
)
from irplan.export.report_page import (
    WIDTH,
    Heading,
    fits_page,
    grid,
    paragraph,
    printable,
)
from irplan.export.report_pictures import (
    ScenePicture,
    SlicePicture,
    scene_legend,
    slice_legend,
)
from irplan.export.scene import SceneView

_GAP = 4 * mm
_HALF = (WIDTH - _GAP) / 2
#: Sizes of a needle's pictures, the largest first that leaves room for its rows.
_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)

#: Where a positive axial angle leans to, by how the patient lies: r = z × (-p), see the angles.
_LEANS_TO = {
    "supine": "the patient's left",
    "prone": "the patient's right",
    "left": "the patient's front",
    "right": "the patient's back",
}


def needle_part(
    document: Mapping[str, Any],
    needle: Mapping[str, Any],
    pictures: tuple[Picture, Picture],
    card: Mapping[str, Any] | None = None,
) -> list[Flowable]:
    """The page of one needle: axial and oblique slice, card, deposits.

    Args:
        card: the needle's own among the plan's cards; there is one for each pass under CT.
    """
    lesions = ", ".join(needle["lesion_ids"])

    def page(share: float) -> list[Flowable]:
        return [
            Heading(f"Needle {needle['needle_id']} → {lesions}", big=True),
            *unknown_box(document, 7.5),
            side_by_side([_captioned(one, share) for one in pictures]),
            slice_legend(WIDTH),
            Spacer(1, 1 * mm),
            _card(document, needle, card),
            Spacer(1, 2 * mm),
            *_deposits(document, needle),
        ]

    # Rows take room: the deposits should stay on the page of the needle's angles and depth.
    shares = (share for share in _SHARES if fits_page(page(share)))
    return page(next(shares, _SHARES[-1]))


def _captioned(picture: Picture, share: float) -> list[Flowable]:
    return [SlicePicture(picture, share * _HALF), paragraph(picture.caption, 7.5)]


def side_by_side(columns: Sequence[Sequence[Flowable]]) -> Table:
    """Columns of equal width beside each other."""
    table = Table([[list(column) for column in columns]], [WIDTH / len(columns)] * len(columns))
    table.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), _GAP / 2),
                ("LEFTPADDING", (1, 0), (-1, -1), _GAP / 2),
                ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 0),
            ]
        )
    )
    return table


def _card(
    document: Mapping[str, Any], needle: Mapping[str, Any], card: Mapping[str, Any] | None
) -> Flowable:
    position = document["case"]["patient_position"]
    leans = _LEANS_TO.get(position, "the side named in the documentation")
    passes = [one for one in document["needles"] if one["entry_id"] == needle["entry_id"]]
    fan = f", pass {needle['pass']} of {len(passes)} through it" if len(passes) > 1 else ""
    rows = [
        ("guidance", str(needle["guidance"])),
        ("needle", gauge_text(needle)),
        ("skin entry, LPS mm", f"{_position(needle['entry_lps_mm'])} ({needle['entry_id']}{fan})"),
        ("tip, LPS mm", _position(needle["tip_lps_mm"])),
        ("depth, skin to tip", f"{printable(needle['depth_mm'])} mm"),
        (
            "axial angle (in plane)",
            f"{printable(needle['axial_angle_deg'])}° from the plumb line, patient {position}; "
            f"positive: the tip points to {leans}",
        ),
        (
            "craniocaudal angle (out of plane)",
            f"{printable(needle['craniocaudal_angle_deg'])}°; positive: the tip points to the head",
        ),
        ("angle to the skin's normal", f"{printable(needle['skin_angle_deg'])}°"),
        *needle_rows(card),
        *_biopsy_rows(document, needle),
        ("smallest clearance, mm", smallest_clearance(needle)),
        ("all clearances, mm", _pairs(needle["clearance_mm"])),
        ("crosses, mm", _pairs(needle["crosses_mm"])),
        ("pleural crossings", printable(needle["pleural_crossings"])),
        ("tip in the lesion", _probability(needle["hit_probability"])),
        *_illustrative(needle),
        ("rank", _rank(needle)),
    ]
    bold = {
        "biopsy first",
        "entry on the patient",
        "depth, skin to tip",
        "skin entry, LPS mm",
        "axial angle (in plane)",
        "craniocaudal angle (out of plane)",
    }
    cells = [[paragraph(name, 8), paragraph(value, 8.5, bold=name in bold)] for name, value in rows]
    return grid(cells, [42, 144], header=False)


def _biopsy_rows(document: Mapping[str, Any], needle: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (
            "biopsy first",
            f"{one['biopsy_id']} of {one['lesion_id']} along this track: throw "
            f"of {printable(one['throw_mm'])} mm ending {printable(one['depth_mm'])} mm under the "
            "skin",
        )
        for one in document.get("biopsies", ())
        if one["before"] == needle["needle_id"]
    ]


def _position(numbers: Sequence[Any]) -> str:
    return ", ".join(printable(number) for number in numbers)


def _pairs(values: Mapping[str, Any]) -> str:
    order = sorted(values, key=lambda name: (values[name], name))
    return ", ".join(f"{name} {printable(values[name])}" for name in order) or "none"


def _probability(value: Decimal | None) -> str:
    if value is None:
        return "not computed"
    return f"about {_percent(value)} % under the assumed tip error; {_NO_SAY}"


_NO_SAY = "illustrative, it decides nothing"


def _illustrative(needle: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Chances and shares that later builds tell of a needle, each labelled as what it is."""
    rows = []
    miss = needle.get("miss_probability")
    if miss is not None:
        rows.append(
            ("tip beside the lesion", f"about {_percent(miss)} %, breathing too; {_NO_SAY}")
        )
    structures = needle.get("hit_structure_probability") or {}
    if structures:
        order = sorted(structures, key=lambda name: (-structures[name], name))
        words = ", ".join(f"{name} {_percent(structures[name])} %" for name in order)
        rows.append(("chance to meet", f"{words}; {_NO_SAY}"))
    if needle.get("robustness_mm") is not None:
        words = f"both ends may move {printable(needle['robustness_mm'])} mm with every limit kept"
        rows.append(("robustness", words))
    if needle.get("coverage_percent") is not None:
        low, high = needle["coverage_percent"]
        words = f"{printable(low)} to {printable(high)} % of the solid part; {_NO_SAY}"
        rows.append(("spheres cover", words))
    unknown = needle.get("unknown_constraints") or ()
    if unknown:
        rows.append(("limits that cannot be told", ", ".join(unknown)))
    return rows


def _percent(share: Decimal) -> str:
    """A share in percent; what is above zero never reads as zero."""
    whole = units.quantize(100 * share, Decimal(1))
    return "less than 1" if whole == 0 and share > 0 else units.decimal_text(whole)


def _rank(needle: Mapping[str, Any]) -> str:
    return f"{needle['rank']}{', dominated by another path' if needle['dominated'] else ''}"


def _deposits(document: Mapping[str, Any], needle: Mapping[str, Any]) -> list[Flowable]:
    entry, tip = (
        np.array([float(number) for number in needle[end]])
        for end in ("entry_lps_mm", "tip_lps_mm")
    )
    rows: list[list[Any]] = [
        ["order", "deposit", "lesion", "give", "from the skin, mm", "withdrawn from the tip, mm",
         "position, LPS mm", "illustrative radius, mm"]
    ]  # fmt: skip
    for one in sorted(needle["deposits"], key=lambda deposit: deposit["order"]):
        place = np.array([float(number) for number in one["position_lps_mm"]])
        give = "; ".join(f"{drug} {dose_ml(document, ml)} mL" for drug, ml in one["ml"].items())
        low, high = one["radius_mm"]
        rows.append(
            [
                printable(one["order"]),
                one["deposit_id"],
                one["lesion_id"],
                paragraph(give, 8.5, bold=True),
                printable(units.mm(float(np.linalg.norm(place - entry)))),
                printable(units.mm(float(np.linalg.norm(tip - place)))),
                _position(one["position_lps_mm"]),
                f"{printable(low)} to {printable(high)}",
            ]
        )
    if len(rows) == 1:
        return [paragraph("No deposit on this pass.", 8.5)]
    totals = "; ".join(
        f"{lesion_id} in all: {dose_text(document, lesion_id)}"
        for lesion_id in needle["lesion_ids"]
    )
    return [
        grid(rows, [12, 20, 18, 38, 18, 22, 36, 22]),
        Spacer(1, 1 * mm),
        paragraph(totals, 8.5, bold=True),
    ]


def no_path_part(
    document: Mapping[str, Any], pictures: Mapping[str, Picture | None]
) -> list[Flowable]:
    """A card for each lesion that no needle of the plan reaches; [] where there is none."""
    if not pictures:
        return []
    unreachable = {one["lesion_id"]: one for one in document["unreachable"]}
    lesions = {one["lesion_id"]: one for one in document["lesions"]}
    shown: list[Flowable] = [Heading("Lesions without a needle path", big=True)]
    for lesion_id, picture in pictures.items():
        card = _no_path_card(document, lesions[lesion_id], unreachable.get(lesion_id))
        columns: list[list[Flowable]] = [card]
        if picture is not None:
            small = SlicePicture(picture, _HALF * 0.8)
            columns.append([small, paragraph(picture.caption, 7.5)])
        shown.append(
            KeepTogether([Heading(f"Lesion {lesion_id}"), side_by_side(columns), Spacer(1, 3 * mm)])
        )
    return shown


def _no_path_card(
    document: Mapping[str, Any],
    lesion: Mapping[str, Any],
    unreachable: Mapping[str, Any] | None,
) -> list[Flowable]:
    place = ", ".join(text for text in (lesion["name"], lesion["site"], lesion["side"]) if text)
    lines = [
        paragraph(place or "site not given", 8.5),
        paragraph(f"Dose: {dose_text(document, lesion['lesion_id'])}", 9, bold=True),
        paragraph(f"Volume: {printable(lesion['volume_ml'])} mL", 8.5),
    ]
    if unreachable is None:
        drawn = lesion["source"] != "diameters"
        text = (
            "No path was planned for this lesion."
            if drawn
            else "Known by its diameters and not drawn on this CT: it has no planned path and is "
            "reached under ultrasound or by palpation."
        )
        return [*lines, paragraph(text, 8.5)]
    lines.append(paragraph(f"No safe path: {unreachable['reason']}", 8.5, bold=True))
    # Plans of earlier builds do not tell which counts were sampled.
    sampled = unreachable.get("ruled_out_sampled", ())
    counts = ", ".join(
        f"{name} {'about ' if name in sampled else ''}{number}"
        for name, number in dict(unreachable["ruled_out"]).items()
    )
    lines.append(
        paragraph(f"{unreachable['candidates']} paths looked at; ruled out by: {counts}", 8)
    )
    if sampled:
        text = f"'About' is counted on {unreachable['measured_in_full']} of them."
        lines.append(paragraph(text, 8))
    nearest = unreachable["nearest_relaxation"]
    if nearest:
        found = "" if unreachable.get("nearest_is_least", False) else " that was found"
        lines.append(
            paragraph(
                f"The nearest limit{found}: {nearest['constraint']} is set to "
                f"{printable(nearest['limit'])} {nearest['unit']}; a path would need "
                f"{printable(nearest['needed'])} {nearest['unit']}. This is told, not advised.",
                8,
            )
        )
    return lines


def coverage_part(document: Mapping[str, Any]) -> list[Flowable]:
    """What the illustrative spheres cover of each lesion; [] where the plan does not tell."""
    told = document.get("coverage") or []
    if not told:
        return []
    rows: list[list[Any]] = [["lesion", "solid part covered", "of the spheres outside the lesion"]]
    for one in told:
        covered, spilt = (
            f"{printable(one[key][0])} to {printable(one[key][1])} %"
            for key in ("coverage_percent", "spill_percent")
        )
        rows.append([one["lesion_id"], covered, spilt])
    note = "Smaller and larger illustrative spheres (see the settings); they decide nothing."
    return [
        KeepTogether([Heading("Illustrative spread"), grid(rows, [40, 70, 76]), paragraph(note, 8)])
    ]


def scene_part(scenes: Sequence[SceneView]) -> list[Flowable]:
    """The page of the 3-D views."""
    title = Heading("Overview in 3-D", big=True)
    if not scenes:
        return [title, paragraph("This computer could not render the 3-D view.", 9, bold=True)]
    columns = [[ScenePicture(one, _HALF), paragraph(one.caption, 8)] for one in scenes]
    return [title, side_by_side(columns), scene_legend(WIDTH)]
