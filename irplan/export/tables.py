"""The doses as CSV: ``allocation.csv`` and ``syringes.csv``, made from the plan's document.

UTF-8, comma, one header row. Numbers are the exact decimals of the document. Text that a
spreadsheet would take for a formula gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from irplan.units import decimal_text

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

#: A spreadsheet reads a cell that begins with one of these as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def allocation_csv(allocation: Mapping[str, Any]) -> str:
    """One row for each drug and lesion, then what is left over, then the excluded lesions.

    ``row`` is ``lesion``, ``residual`` or ``excluded``. For each drug the column ``ml`` adds up
    to the prescribed volume and ``mg`` to the prescribed dose, exactly.

    Args:
        allocation: the document ``irplan.allocation/1``, or the plan's ``allocation``.
    """
    rows: list[Mapping[str, Any]] = []
    for drug in allocation["drugs"]:
        name = {"drug": drug["drug"]}
        rows += [
            {**lesion, **name, "row": "lesion", "limits": "; ".join(lesion["limits"])}
            for lesion in drug["lesions"]
        ]
        rows.append(
            {
                **name,
                "row": "residual",
                "ml": drug["residual_ml"],
                "mg": drug["residual_mg"],
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
    """One row for each syringe, with every entry that the document gives it.

    Args:
        allocation: the document ``irplan.allocation/1``, or the plan's ``allocation``.
    """
    syringes = allocation["syringes"]
    columns = list(dict.fromkeys(key for syringe in syringes for key in syringe))
    return csv_text(columns or ("syringe_id",), syringes)


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
        return _safe("; ".join(f"{key}={_inner(item)}" for key, item in value.items()))
    if isinstance(value, list | tuple):
        return _safe("; ".join(_inner(item) for item in value))
    return _safe(str(value))


def _inner(value: Any) -> str:
    """A value inside a cell, where the apostrophe would not help and is not needed."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_inner(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_inner(item) for item in value)
    return decimal_text(value) if isinstance(value, Decimal) else str(value)


def _safe(text: str) -> str:
    return "'" + text if text.lstrip(" ").startswith(_FORMULA_STARTS) else text
