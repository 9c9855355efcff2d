"""The doses as CSV: ``allocation.csv`` and ``syringes.csv``, made from the plan's document.

UTF-8, comma, one header row. Numbers are the exact decimals of the document. Text that a
spreadsheet would take for a formula gets an apostrophe in front; a cell is one line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from irplan.units import decimal_text, stepped_text

ALLOCATION_COLUMNS = (
    "drug",
    "lesion_id",
    "row",
    "volume_ml",
    "share",
    "ml",
    "ml_low",
    "ml_high",
    "mg",
    "given_ml",
    "remaining_ml",
    "limits",
    "why",
)

SYRINGE_COLUMNS = (
    "drug",
    "lesion_id",
    "syringe",
    "syringe_ml",
    "graduation_ml",
    "draw_ml",
    "give_ml",
    "dose_give_ml",
    "dose_dead_space_ml",
    "dose_draw_ml",
    "dose_mg",
    "label",
    "label_fr",
    "lot",
    "expiry",
)

#: A spreadsheet reads a cell that begins with one of these as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@")
#: A cell is one line: control characters become blanks, so no reader can split a row by them.
_ONE_LINE = dict.fromkeys((*range(32), *range(127, 160), 0x2028, 0x2029), " ")


def allocation_csv(allocation: Mapping[str, Any]) -> str:
    """One row for each drug and lesion, then what is left over, then the excluded lesions.

    ``row`` is ``lesion``, ``residual`` or ``excluded``. For each drug the column ``ml`` adds up
    to the prescribed volume and ``mg`` to the prescribed dose, exactly.

    Args:
        allocation: the document ``irplan.allocation/1``, or the plan's ``allocation``.
    """
    rows: list[Mapping[str, Any]] = []
    step = Decimal(allocation["increment_ml"])
    for drug in allocation["drugs"]:
        name = {"drug": drug["drug"]}
        mg_step = step * Decimal(drug["concentration_mg_per_ml"])
        rows += [
            {
                **_stepped(_stepped(lesion, _DOSE_ML, step), ("mg",), mg_step),
                **name,
                "row": "lesion",
                "limits": "; ".join(lesion["limits"]),
            }
            for lesion in drug["lesions"]
        ]
        left = {"ml": drug["residual_ml"], "mg": drug["residual_mg"]}
        rows.append(
            {
                **name,
                "row": "residual",
                **_stepped(_stepped(left, ("ml",), step), ("mg",), mg_step),
                "limits": "; ".join(drug["residual_reasons"]),
                "why": "prescribed and allocated to no lesion",
            }
        )
    rows += [
        {
            "lesion_id": one["lesion_id"],
            "row": "excluded",
            "limits": one["code"],
            "why": one["message"],
        }
        for one in allocation["excluded"]
    ]
    return csv_text(ALLOCATION_COLUMNS, rows)


def syringes_csv(allocation: Mapping[str, Any]) -> str:
    """One row for each syringe to be drawn up, with room for lot and expiry.

    ``draw_ml`` and ``give_ml`` are of this syringe; the ``dose_…`` columns are of the whole dose
    of the lesion, which may need two syringes. A dose that no syringe of the protocol shows has
    one row without a syringe, so that it is seen.

    Args:
        allocation: the document ``irplan.allocation/1``, or the plan's ``allocation``.
    """
    rows: list[Mapping[str, Any]] = []
    step = Decimal(allocation["increment_ml"])
    for line in allocation["syringes"]:
        whole = {
            "drug": line["drug"],
            "lesion_id": line["lesion_id"],
            "dose_give_ml": _with_step(line["give_ml"], step),
            "dose_dead_space_ml": _with_step(line["dead_space_ml"], step),
            "dose_draw_ml": _with_step(line["draw_ml"], step),
            "dose_mg": mg_text({"mg": _mg_steps(allocation, line["mg"])}),
            "label": line["label"],
            "label_fr": line["label_fr"],
        }
        fills = line["syringes"]
        rows += [
            {
                **whole,
                **_stepped(fill, ("draw_ml", "give_ml"), step),
                "syringe": f"{number} of {len(fills)}",
            }
            for number, fill in enumerate(fills, 1)
        ] or [{**whole, "syringe": "none shows this dose"}]
    return csv_text(SYRINGE_COLUMNS, rows)


#: The columns of a lesion's dose that are in whole increments, or in the increment's unit.
_DOSE_ML = ("ml", "ml_low", "ml_high", "given_ml", "remaining_ml")


def _stepped(row: Mapping[str, Any], names: Sequence[str], step: Decimal) -> dict[str, Any]:
    """The row with some of its numbers written with the decimals of their step."""
    return {
        key: _with_step(value, step) if key in names else value for key, value in row.items()
    }  # fmt: skip


def _mg_steps(allocation: Mapping[str, Any], mg: Mapping[str, Any]) -> dict[str, Any]:
    """The mg of each drug with the decimals that one step of its volume has."""
    step = Decimal(allocation["increment_ml"])
    steps = {
        one["drug"]: step * Decimal(one["concentration_mg_per_ml"]) for one in allocation["drugs"]
    }
    return {drug: _with_step(value, steps.get(drug, step)) for drug, value in mg.items()}


def _with_step(value: Any, step: Decimal) -> Any:
    """The same number with at least the decimals of its step, so that 0.5 stands as 0.50."""
    return None if value is None else Decimal(stepped_text(Decimal(value), step))


def mg_text(line: Mapping[str, Any]) -> Any:
    """The mg of a line of the syringe sheet: a number, or 'drug=mg' for each drug of a mixture."""
    mg = line["mg"]
    return next(iter(mg.values())) if len(mg) == 1 else mg


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """CSV with ``\\n`` at the end of each line; an absent or null entry is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell_text(row.get(column)) for column in columns])
    return out.getvalue()


def cell_text(value: Any) -> str:
    """One cell: exact numbers as they are, text made safe for spreadsheets."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return _safe("; ".join(f"{key}={plain_text(item)}" for key, item in value.items()))
    if isinstance(value, list | tuple):
        return _safe("; ".join(plain_text(item) for item in value))
    return _safe(str(value))


def plain_text(value: Any) -> str:
    """The value as text for people: numbers exact, lists and mappings on one line."""
    if value is None or isinstance(value, bool):
        return cell_text(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={plain_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain_text(item) for item in value)
    return decimal_text(value) if isinstance(value, Decimal) else str(value)


def _safe(text: str) -> str:
    line = text.translate(_ONE_LINE)
    return "'" + line if line.lstrip().startswith(_FORMULA_STARTS) else line
