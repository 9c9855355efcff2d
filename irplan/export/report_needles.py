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
from irplan.export.report_front import (
    dose_text,
    gauge_text,
    smallest_clearance,
    unknown_box,
)
from irplan.export.report_page import (
    WIDTH,
    Heading,
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

#: Where a positive axial angle leans to, by how the patient lies: r = z × (-p), see the angles.
_LEANS_TO = {
    "supine": "the patient's left",
    "prone": "the patient's right",
    "left": "the patient's front",
    "right": "the patient's back",
}


def needle_part(
    document: Mapping[str, Any], needle: Mapping[str, Any], pictures: tuple[Picture, Picture]
) -> list[Flowable]:
    """The page of one needle: axial and oblique slice, card, deposits."""
    lesions = ", ".join(needle["lesion_ids"])
    return [
        Heading(f"Needle {needle['needle_id']} → {lesions}", big=True),
        *unknown_box(document),
        _side_by_side([_captioned(one) for one in pictures]),
        slice_legend(WIDTH),
        Spacer(1, 1 * mm),
        _card(document, needle),
        Spacer(1, 2 * mm),
        *_deposits(document, needle),
    ]


def _captioned(picture: Picture) -> list[Flowable]:
    return [SlicePicture(picture, _HALF), paragraph(picture.caption, 7.5)]


def _side_by_side(columns: Sequence[Sequence[Flowable]]) -> Table:
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


def _card(document: Mapping[str, Any], needle: Mapping[str, Any]) -> Flowable:
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
            "axial angle",
            f"{printable(needle['axial_angle_deg'])}° from the plumb line, patient {position}; "
            f"positive: the tip points to {leans}",
        ),
        (
            "craniocaudal angle",
            f"{printable(needle['craniocaudal_angle_deg'])}°; positive: the tip points to the head",
        ),
        ("angle to the skin's normal", f"{printable(needle['skin_angle_deg'])}°"),
        ("smallest clearance, mm", smallest_clearance(needle)),
        ("all clearances, mm", _pairs(needle["clearance_mm"])),
        ("crosses, mm", _pairs(needle["crosses_mm"])),
        ("pleural crossings", printable(needle["pleural_crossings"])),
        ("tip in the lesion", _probability(needle["hit_probability"])),
        ("rank", _rank(needle)),
    ]
    bold = {"depth, skin to tip", "skin entry, LPS mm", "axial angle", "craniocaudal angle"}
    cells = [[paragraph(name, 8), paragraph(value, 8.5, bold=name in bold)] for name, value in rows]
    return grid(cells, [42, 144], header=False)


def _position(numbers: Sequence[Any]) -> str:
    return ", ".join(printable(number) for number in numbers)


def _pairs(values: Mapping[str, Any]) -> str:
    order = sorted(values, key=lambda name: (values[name], name))
    return ", ".join(f"{name} {printable(values[name])}" for name in order) or "none"


def _probability(value: Decimal | None) -> str:
    if value is None:
        return "not computed"
    share = units.decimal_text(units.quantize(100 * value, Decimal(1)))
    return f"about {share} % under the assumed tip error; illustrative, it decides nothing"


def _rank(needle: Mapping[str, Any]) -> str:
    return f"{needle['rank']}{', dominated by another path' if needle['dominated'] else ''}"


def _deposits(document: Mapping[str, Any], needle: Mapping[str, Any]) -> list[Flowable]:
    tip = np.array([float(number) for number in needle["tip_lps_mm"]])
    rows: list[list[Any]] = [
        ["order", "deposit", "lesion", "give", "withdrawn from the tip, mm", "position, LPS mm",
         "illustrative radius, mm"]
    ]  # fmt: skip
    for one in sorted(needle["deposits"], key=lambda deposit: deposit["order"]):
        place = np.array([float(number) for number in one["position_lps_mm"]])
        give = "; ".join(f"{drug} {printable(ml)} mL" for drug, ml in one["ml"].items())
        low, high = one["radius_mm"]
        rows.append(
            [
                printable(one["order"]),
                one["deposit_id"],
                one["lesion_id"],
                paragraph(give, 8.5, bold=True),
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
        grid(rows, [12, 20, 20, 42, 26, 40, 26]),
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
            KeepTogether(
                [Heading(f"Lesion {lesion_id}"), _side_by_side(columns), Spacer(1, 3 * mm)]
            )
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
    counts = ", ".join(
        f"{name} {number}" for name, number in dict(unreachable["ruled_out"]).items()
    )
    lines.append(
        paragraph(f"{unreachable['candidates']} paths looked at; ruled out by: {counts}", 8)
    )
    nearest = unreachable["nearest_relaxation"]
    if nearest:
        lines.append(
            paragraph(
                f"The nearest limit: {nearest['constraint']} is set to "
                f"{printable(nearest['limit'])} {nearest['unit']}; a path would need "
                f"{printable(nearest['needed'])} {nearest['unit']}. This is told, not advised.",
                8,
            )
        )
    return lines


def scene_part(scenes: Sequence[SceneView]) -> list[Flowable]:
    """The page of the 3-D views."""
    title = Heading("Overview in 3-D", big=True)
    if not scenes:
        return [title, paragraph("This computer could not render the 3-D view.", 9, bold=True)]
    columns = [[ScenePicture(one, _HALF), paragraph(one.caption, 8)] for one in scenes]
    return [title, _side_by_side(columns), scene_legend(WIDTH)]
