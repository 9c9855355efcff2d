"""The report's cards for the room: a page a superficial lesion, a second page a CT needle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Spacer, Table, TableStyle

from irplan.export.needle_views import NeedleViews, words_of
from irplan.export.pictures import Picture
from irplan.export.report_front import dose_ml, dose_text, gauge_text, unknown_box
from irplan.export.report_page import (
    UNKNOWN_FILL,
    WARN_EDGE,
    WIDTH,
    Heading,
    box,
    fits_page,
    grid,
    marked,
    paragraph,
    printable,
)
from irplan.export.report_pictures import SlicePicture, kinds_legend
from irplan.trajectory.skin_map import SkinMap

_GAP = 4 * mm
_HALF = (WIDTH - _GAP) / 2
#: Sizes of the pictures along a needle, the largest first that leaves room for their legend.
_ALONG_SHARES = (0.84, 0.8, 0.76, 0.72, 0.66, 0.6)

_GUIDED = {"ultrasound": "under ultrasound", "palpation": "by palpation", "ct": "under CT"}


def superficial_part(
    document: Mapping[str, Any], card: Mapping[str, Any], pictures: Sequence[Picture]
) -> list[Flowable]:
    """The card of a lesion that is reached under ultrasound or by touch.

    Args:
        pictures: the skin, then slices; [] for a lesion that CT does not show.
    """
    title = f"Card {card['lesion_id']}: {_GUIDED[card['guidance']]}"
    head: list[Flowable] = [Heading(title, big=True), *unknown_box(document)]
    if card["kind"] == "diameters":
        head.append(
            box(
                [
                    marked(
                        "<b>Not seen on this CT: no path, no depth, no distances.</b> "
                        "Measured elsewhere; find it, and all vessels around it, by ultrasound "
                        "or touch before the needle.",
                        9,
                    )
                ],
                UNKNOWN_FILL,
                WARN_EDGE,
            )
        )
        head.append(Spacer(1, 2 * mm))
    shown: list[Flowable] = []
    if pictures:
        columns = [[SlicePicture(one, _HALF), paragraph(one.caption, 7.5)] for one in pictures[:2]]
        shown = [_row(columns), kinds_legend(WIDTH), Spacer(1, 1 * mm)]
    return [
        *head,
        *shown,
        _facts(document, card),
        Spacer(1, 2 * mm),
        *_passes(document, card),
    ]


def _row(columns: Sequence[Sequence[Flowable]]) -> Table:
    """Columns of equal width, side by side."""
    table = Table([[list(one) for one in columns]], [WIDTH / len(columns)] * len(columns))
    table.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 2),
                ("TOPPADDING", (0, 0), (-1, -1), 0),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
            ]
        )
    )
    return table


def _facts(document: Mapping[str, Any], card: Mapping[str, Any]) -> Flowable:
    strong = {"where", "dose in all", "needle", "technique"}
    cells = [
        [paragraph(name, 8), paragraph(value, 8.5, bold=name in strong)]
        for name, value in fact_rows(document, card)
    ]
    return grid(cells, [38, 148], header=False)


def fact_rows(document: Mapping[str, Any], card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a superficial or diameters card says, as (name, words)."""
    region = card["region"]
    rows = [
        ("where", region["words"] if region else _told(card) or "not told"),
        *([("said to be", _told(card))] if region and _told(card) else []),
        ("dose in all", dose_text(document, card["lesion_id"])),
        ("depth below the skin", _depth(card)),
        ("diameters", _diameters(card)),
        ("volume", "unknown" if card["volume_ml"] is None else f"{card['volume_ml']} mL"),
        ("needle", _needle(card)),
        ("technique", card["technique"] or "not told: no diameter is known"),
        *([("entry", place_words(card["skin"]))] if card["skin"] else []),
        *((one["kind"], surrounding_words(one)) for one in card["surroundings"]),
        *_tracks(card),
    ]
    untold = [*(region["untold"] if region else ()), *(card["skin"] or {}).get("untold", ())]
    if untold:
        rows.append(("cannot be told", "; ".join(untold)))
    return rows


def _told(card: Mapping[str, Any]) -> str:
    """What a person or a mask calls the lesion and its place, beyond its id."""
    name = "" if card["name"] == card["lesion_id"] else card["name"]
    return ", ".join(text for text in (name, card["site"], card["told_side"]) if text)


def _depth(card: Mapping[str, Any]) -> str:
    border, middle = card["depth_mm"], card["middle_depth_mm"]
    if border is None and middle is None:
        return "unknown: measure it under ultrasound"
    return f"{printable(border)} mm to the nearest border, {printable(middle)} mm to the middle"


def _diameters(card: Mapping[str, Any]) -> str:
    sizes = " × ".join("unknown" if one is None else printable(one) for one in card["diameters_mm"])
    return f"{sizes} mm ({', '.join(card['axes'])})"


def _needle(card: Mapping[str, Any]) -> str:
    if card["needle"]:
        return f"{gauge_text(card['needle'])} ({card['needle']['name']})"
    if not card["reaches"]:
        return "none on the shelf reaches by a safe path"
    reaches = "; ".join(
        f"{gauge_text(one)} to {printable(one['reach_mm'])} mm" for one in card["reaches"]
    )
    return f"by the depth found at the lesion: {reaches}"


def place_words(skin: Mapping[str, Any]) -> str:
    """Where a point of the skin lies, in one sentence."""
    parts = []
    shift = skin["left_of_midline_mm"]
    if shift is None:
        parts.append("midline not known")
    else:
        side = "left" if shift > 0 else "right"
        parts.append(f"{printable(abs(shift))} mm {side} of the midline (by {skin['midline_by']})")
    behind = skin["behind_middle_mm"]
    if behind is not None:
        way = "behind" if behind > 0 else "in front of"
        parts.append(f"{printable(abs(behind))} mm {way} the middle from front to back")
    parts.append(f"scan z {printable(skin['scan_z_mm'])} mm")
    parts.append(
        f"slice {skin['slice_number']} of {skin['slices']}, "
        f"{printable(skin['from_first_slice_mm'])} mm from the first one, which lies at the "
        f"{skin['first_slice_at']}"
    )
    if skin["above_support_mm"] is not None:
        parts.append(f"{printable(skin['above_support_mm'])} mm above the lowest skin near it")
    for one in skin["landmarks"]:
        way = "above" if one["above_mm"] > 0 else "below"
        parts.append(f"{printable(abs(one['above_mm']))} mm {way} the {one['name']}")
    return "; ".join(parts)


def surrounding_words(one: Mapping[str, Any]) -> str:
    """How far a kind of structure lies, and what of it nobody segmented."""
    unknown = ", ".join(words_of(name) for name in one["unknown"])
    if one["nearest"] is not None:
        near = f"{words_of(one['nearest'])} {printable(one['distance_mm'])} mm from its border"
    elif one["known"]:
        near = f"none of those found lies within {printable(one['looked_mm'])} mm"
    else:
        near = "NOT KNOWN: none was found or imported"
    return f"{near}; not segmented, so unknown: {unknown}" if unknown else near


def _tracks(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    if card["kind"] == "diameters":
        return []
    nearest, along, across = (card[name] for name in ("nearest_safe_skin", "along", "across"))
    none = "none" if card["all_tested"] else "none among the shortest that were tested"
    rows = [("nearest safe skin", _track(nearest, none, gap=True))]
    if along is not None and along["long_axis_deg"] is None:
        return [*rows, ("shortest safe track", f"{_track(along, none)} (the lesion is round)")]
    return [
        *rows,
        ("shortest along its axis", _track(along, none)),
        ("shortest across it", _track(across, none)),
    ]


def _track(track: Mapping[str, Any] | None, none: str, *, gap: bool = False) -> str:
    if track is None:
        return none
    needle = f", {gauge_text(track['needle'])}" if track["needle"] else ""
    entry = ", ".join(printable(number) for number in track["entry_lps_mm"])
    angle = track["long_axis_deg"]
    turned = "" if angle is None else f", {printable(angle)}° to its long axis"
    near = f"{printable(track['skin_to_border_mm'])} mm from the border; " if gap else ""
    return f"{near}{printable(track['depth_mm'])} mm deep{turned}{needle}; from {entry}"


def _passes(document: Mapping[str, Any], card: Mapping[str, Any]) -> list[Flowable]:
    if not card["passes"]:
        return [paragraph("No pass is planned.", 9, bold=True)]
    rows: list[list[Any]] = [["pass", "needle", "depth mm", "deposits", "mL on this pass"]]
    for one in card["passes"]:
        give = "; ".join(f"{drug} {dose_ml(document, ml)} mL" for drug, ml in one["ml"].items())
        rows.append(
            [
                printable(one["pass"]),
                one["needle_id"] or "reckoned",
                printable(one["depth_mm"]),
                printable(one["deposits"]),
                paragraph(give, 9, bold=True),
            ]
        )
    shown: list[Flowable] = [grid(rows, [14, 34, 26, 24, 88])]
    if card["kind"] == "diameters":
        shown.append(
            paragraph(
                "Reckoned for a needle along the longest diameter, with the settings for spacing "
                "and border; the person at the lesion decides.",
                8,
            )
        )
    return [KeepTogether(shown)]


def needle_rows(card: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What a needle's card adds to its page: where it enters, how the gantry could stand."""
    if card is None:
        return []
    gantry = card["gantry"]
    if gantry["tilt_deg"] is None or not gantry["top_towards"]:
        tilt = "none needed: the needle lies in one axial slice"
    else:
        far = "" if gantry["reached"] else "; beyond what gantries tilt: use the two angles instead"
        tilt = (
            f"{printable(gantry['tilt_deg'])}°, its top towards the {gantry['top_towards']}, "
            f"brings the needle into one slice, there "
            f"{printable(gantry['angle_in_slice_deg'])}° from the plumb line{far}"
        )
    if gantry["scanned_deg"] > 0:
        tilt += f"; the slices as read stand {printable(gantry['scanned_deg'])}° off axial"
    above = card.get("above_table_mm")
    couch = (
        "not known: the couch is not seen in the scan, or the patient will lie otherwise"
        if above is None
        else f"{printable(above)} mm above its top, as the scan shows it"
    )
    return [
        ("entry on the patient", place_words(card["skin"])),
        ("entry and table", couch),
        ("gantry", tilt),
        ("shaft outside the skin", f"{printable(card['outside_mm'])} mm"),
    ]


def skin_map_part(maps: Sequence[tuple[SkinMap, Picture]]) -> list[Flowable]:
    """What the skin offers for each lesion, two beside each other; [] without a map."""
    if not maps:
        return []
    shown: list[Flowable] = [Heading("The skin of each lesion", big=True)]
    for first in range(0, len(maps), 2):
        columns: list[list[Flowable]] = []
        for skin, picture in maps[first : first + 2]:
            open_points = int(skin.open_points.sum())
            words = (
                f"{skin.lesion_id} ({_GUIDED[skin.guidance]}): a path is open from {open_points} "
                f"of {len(skin.cost)} skin points. "
            )
            columns.append([SlicePicture(picture, _HALF), paragraph(words + picture.caption, 7.5)])
        shown.append(KeepTogether([_row([*columns, [Spacer(1, 1)]][:2]), Spacer(1, 3 * mm)]))
    return shown


def along_part(
    document: Mapping[str, Any],
    needle: Mapping[str, Any],
    views: NeedleViews,
    skin: Picture | None,
) -> list[Flowable]:
    """The page of pictures along one needle: both planes, the needle's eye, the skin, slices."""

    def page(share: float) -> list[Flowable]:
        small = _HALF * share
        eye: list[Flowable] = [SlicePicture(views.eye, small), paragraph(views.eye.caption, 7)]
        beside: list[Flowable] = (
            [paragraph("This computer could not render the skin.", 8.5, bold=True)]
            if skin is None
            else [SlicePicture(skin, small), paragraph(skin.caption, 7)]
        )
        quarter = (WIDTH / 4 - 2 * mm) * share / _ALONG_SHARES[0]
        return [
            Heading(f"Along needle {needle['needle_id']}", big=True),
            *unknown_box(document, 7.5),
            _row(
                [
                    [SlicePicture(one, small), paragraph(one.caption, 7)]
                    for one in (views.level, views.upright)
                ]
            ),
            _row([eye, beside]),
            _row(
                [
                    [SlicePicture(one, quarter), paragraph(one.caption.split(".")[0], 7)]
                    for one in views.slices
                ]
            ),
            kinds_legend(WIDTH),
        ]

    # The pictures and the legend that explains their colours stay on one page.
    shares = (share for share in _ALONG_SHARES if fits_page(page(share)))
    return page(next(shares, _ALONG_SHARES[-1]))


__all__ = [
    "along_part",
    "fact_rows",
    "needle_rows",
    "place_words",
    "skin_map_part",
    "superficial_part",
    "surrounding_words",
]
