"""The report's pages of a plan that was carried from an older scan: what changed, seen and counted.

Every number comes from the document ``irplan.transfer/1`` and the older plan's own; the pictures
come from both scans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Spacer

from irplan import units
from irplan.export.lesion_pairs import LesionPair
from irplan.export.report_needles import side_by_side
from irplan.export.report_page import WIDTH, Heading, grid, paragraph, printable
from irplan.export.report_pictures import SlicePicture, slice_legend

#: Side of a picture of a pair.
_SIDE = 0.36 * WIDTH

_FATES = {
    "same": "still there",
    "new": "new",
    "split": "split",
    "merged": "merged",
    "gone": "not seen any more",
    "unclear": "unclear",
    "outside": "not followed",
    "no_lesion": "no lesion",
}
_OUTCOMES = {
    "kept": "kept",
    "planned_again": "planned again",
    "no_path": "NO SAFE PATH",
    "lesion_gone": "dropped",
}


@dataclass(frozen=True)
class TransferPages:
    """What the report shows of the older plan.

    Attributes:
        document: ``irplan.transfer/1``.
        old_needles: the needles of the older plan's document.
        pairs: a pair of pictures for every lesion that was followed.
    """

    document: Mapping[str, Any]
    old_needles: Sequence[Mapping[str, Any]]
    pairs: tuple[LesionPair, ...]


def transfer_part(pages: TransferPages | None) -> list[Flowable]:
    """What changed since the older plan; [] for a plan that none came before."""
    if pages is None:
        return []
    document = pages.document
    flowables: list[Flowable] = [
        Heading(f"Changes since version {document['version'] - 1}", big=True),
        paragraph(
            f"Carried from plan {document['supersedes']} "
            f"(scan of {document['from_scan']['image_date'] or 'unknown date'}). Signatures of "
            "that plan do not hold for this one."
        ),
        paragraph(_registration_sentence(document)),
        Spacer(1, 2 * mm),
        _lesion_table(document),
        Spacer(1, 3 * mm),
        _needle_table(pages),
        Spacer(1, 3 * mm),
    ]
    for pair in pages.pairs:
        columns = [
            [SlicePicture(one, _SIDE), paragraph(one.caption, 7.5)]
            for one in (pair.before, pair.now)
        ]
        name = paragraph(f"{pair.lesion_id}, before and now", 9, bold=True)
        flowables.append(KeepTogether([name, side_by_side(columns), Spacer(1, 2 * mm)]))
    return [*flowables, slice_legend(WIDTH)] if pages.pairs else flowables


def _registration_sentence(document: Mapping[str, Any]) -> str:
    errors = [
        f"{one['lesion_id']} {_or_unknown(one['error_mm'])} mm"
        for one in document["local_registrations"]
    ]
    whole = f"similarity of the whole {printable(document['registration']['similarity'])}"
    return f"Registration: {whole}; error around each lesion (there and back): {', '.join(errors)}."


def _lesion_table(document: Mapping[str, Any]) -> Flowable:
    """Volume, diameters and dose of each lesion before and now, and the change."""
    fates = {
        name: one for one in document["matches"] for name in (*one["old_ids"], *one["new_ids"])
    }
    changes = {one["lesion_id"]: one for one in document["changes"]}
    doses: dict[str, list[Mapping[str, Any]]] = {}
    for dose in document["doses"]:
        doses.setdefault(dose["lesion_id"], []).append(dose)
    named = dict.fromkeys([*changes, *(n for one in document["matches"] for n in one["new_ids"])])
    rows: list[list[Any]] = [
        ["lesion", "what became of it", "volume, mL", "longest, mm", "short axis, mm", "dose, mL"]
    ]
    for name in named:
        change = changes.get(name, {})
        rows.append(
            [
                name,
                _fate(fates.get(name)),
                _changed(change.get("volume_ml")),
                _changed(change.get("longest_diameter_mm")),
                _changed(change.get("short_axis_mm")),
                "; ".join(_dose(one) for one in doses.get(name, ())) or "-",
            ]
        )
    return grid(rows, [18, 44, 38, 34, 34, 34], size=7.5)


def _fate(match: Mapping[str, Any] | None) -> str:
    if match is None:
        return "-"
    word = _FATES.get(match["status"], match["status"])
    if match["status"] in ("split", "merged"):
        word += f": {' + '.join(match['old_ids'])} → {', '.join(match['new_ids'])}"
    told = "confirmed" if match["confirmed"] else "proposed, not confirmed"
    return f"{word} ({told})"


def _changed(change: Mapping[str, Any] | None) -> str:
    """Before → now, and the change in the unit and in per cent."""
    if change is None:
        return "-"
    ends = f"{_or_unknown(change['old'])} → {_or_unknown(change['new'])}"
    if change["change"] is None:
        return ends
    by = f"{_signed(change['change'])}"
    if change["change_share"] is not None:
        per_cent = units.quantize(Decimal(change["change_share"]) * 100, Decimal("0.1"))
        by += f", {_signed(per_cent)} %"
    return f"{ends} ({by})"


def _dose(dose: Mapping[str, Any]) -> str:
    return f"{dose['drug']} {_or_none(dose['old_ml'])} → {_or_none(dose['new_ml'])}"


def _needle_table(pages: TransferPages) -> Flowable:
    """Each needle of the older plan: what became of it and why, and the needles now."""
    old = {one["needle_id"]: one for one in pages.old_needles}
    rows: list[list[Any]] = [["lesion", "needle before", "path", "why", "needles now"]]
    for path in pages.document["paths"]:
        needle = old.get(path["needle_id"])
        deep = "" if needle is None else f", {printable(needle['depth_mm'])} mm deep"
        rows.append(
            [
                path["lesion_id"],
                f"{path['needle_id']}{deep}",
                _OUTCOMES.get(path["outcome"], path["outcome"]),
                _why(path),
                ", ".join(path["needle_ids_now"]) or "none",
            ]
        )
    if len(rows) == 1:
        rows.append(["-", "the older plan had no needle", "-", "-", "-"])
    return grid(rows, [18, 40, 26, 84, 34], size=7.5)


def _why(path: Mapping[str, Any]) -> str:
    if path["outcome"] != "kept":
        return str(path["reason"])
    moved = f"entry moved by {_or_unknown(path['entry_moved_mm'])} mm onto the skin"
    return f"keeps every limit; {moved}, tip by {_or_unknown(path['tip_moved_mm'])} mm"


def _signed(value: Decimal | int) -> str:
    return f"+{printable(value)}" if value > 0 else printable(value)


def _or_unknown(value: Any) -> str:
    return "unknown" if value is None else printable(value)


def _or_none(value: Any) -> str:
    return "none" if value is None else printable(value)


__all__ = ["TransferPages", "transfer_part"]
