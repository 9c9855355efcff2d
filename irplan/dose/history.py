"""What was given: at earlier visits (history) and at this one so far (given)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from irplan import jsonio
from irplan.dose.table_io import cell_text, decimal_cell, flag_cell, read_csv, read_text
from irplan.errors import InputRefused

HISTORY_COLUMNS = ("visit", "date", "lesion_id", "drug", "ml", "mg")
GIVEN_COLUMNS = (
    "drug",
    "lesion_id",
    "deposit_id",
    "ml",
    "time",
    "lot",
    "expiry",
    "closed",
    "reason",
)


_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
    r"|[0-9]{2}:[0-9]{2}(:[0-9]{2})?"
)


@dataclass(frozen=True)
class HistoryRow:
    """One dose of an earlier visit; mL or mg may be unknown, not both.

    ``drug`` is '' where the table does not say (a protocol with one drug then means that).
    """

    visit: int
    lesion_id: str
    drug: str
    ml: Decimal | None
    mg: Decimal | None
    date: str = ""
    where: str = field(default="history", compare=False)


@dataclass(frozen=True)
class GivenRow:
    """One injection of this visit, in mL; ``closed``: the lesion gets no more of anything."""

    lesion_id: str
    drug: str
    ml: Decimal
    closed: bool = False
    deposit_id: str = ""
    time: str = ""
    lot: str = ""
    expiry: str = ""
    reason: str = ""
    where: str = field(default="given", compare=False)


def read_history(path: Path) -> tuple[HistoryRow, ...]:
    """The doses of earlier visits from CSV (``visit,date,lesion_id,drug,ml,mg``) or JSON.

    JSON is a document with the list ``history`` (or ``given``) of the same keys.

    Raises:
        InputRefused: the file or a cell of it; the message names row and column.
    """
    return tuple(_history_row(cells, where) for cells, where in _rows(path, HISTORY_COLUMNS))


def read_given(path: Path) -> tuple[GivenRow, ...]:
    """What this visit has given so far, from GIVEN.csv (columns of ``GIVEN_COLUMNS``).

    Raises:
        InputRefused: the file or a cell of it; the message names row and column.
    """
    return tuple(_given_row(cells, where) for cells, where in _rows(path, GIVEN_COLUMNS))


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[Mapping[str, str], str]]:
    text = read_text(path)
    rows: list[tuple[Mapping[str, str], str]]
    if path.suffix.lower() != ".json":
        rows = [(cells, f"{path}, line {line}") for line, cells in read_csv(text, str(path))]
    else:
        rows = [
            ({key: cell_text(value, key, where) for key, value in entry.items()}, where)
            for entry, where in _json_rows(text, path)
        ]
    for cells, where in rows:
        unknown = [name for name in cells if name not in columns]
        if unknown:
            raise InputRefused(
                "unknown_column",
                f"{where}: unknown column '{unknown[0]}'",
                "known are " + ", ".join(columns),
            )
    return rows


def _json_rows(text: str, path: Path) -> list[tuple[dict[str, Any], str]]:
    try:
        document = jsonio.loads(text, parse_float=jsonio.plain_number)
    except ValueError as error:
        raise InputRefused("not_json", f"{path}: is not JSON: {error}") from error
    if isinstance(document, dict):
        document = document.get("history", document.get("given"))
    if not isinstance(document, list) or not all(isinstance(entry, dict) for entry in document):
        raise InputRefused("no_history_list", f"{path}: holds no list 'history'")
    return [(entry, f"{path}, entry {number}") for number, entry in enumerate(document, start=1)]


def _history_row(cells: Mapping[str, str], where: str) -> HistoryRow:
    visit = cells.get("visit", "")
    if not visit.isascii() or not visit.isdecimal() or int(visit) < 1:
        raise InputRefused(
            "wrong_value", f"{where}: visit: '{visit}' is not a whole number above zero"
        )
    volume = decimal_cell(cells, "ml", where, zero=True)
    mass = decimal_cell(cells, "mg", where, zero=True)
    if volume is None and mass is None:
        raise InputRefused("no_amount", f"{where}: neither ml nor mg is given")
    lesion_id = cells.get("lesion_id", "")
    day = _date_cell(cells.get("date", ""), where)
    return HistoryRow(int(visit), lesion_id, cells.get("drug", ""), volume, mass, day, where)


def _date_cell(text: str, where: str) -> str:
    """The day of a visit; '' where it is not known. A time behind it is left away.

    Raises:
        InputRefused: another form, or no such day.
    """
    if not text or (len(text) >= len("YYYY-MM-DD") and is_time(text) and text[4] == "-"):
        return text[: len("YYYY-MM-DD")]
    raise InputRefused(
        "wrong_value", f"{where}: date: '{text}' is no day", "write YYYY-MM-DD, as in 2026-05-04"
    )


def _given_row(cells: Mapping[str, str], where: str) -> GivenRow:
    lesion_id = cells.get("lesion_id", "")
    if not lesion_id:
        raise InputRefused("no_lesion_id", f"{where}: the injection has no lesion_id")
    closed = flag_cell(cells, "closed", where) or False
    volume = decimal_cell(cells, "ml", where, zero=True)
    if volume is None:
        # A lesion may be closed before anything went in; otherwise an empty amount is a gap.
        if not closed:
            raise InputRefused("no_amount", f"{where} ({lesion_id}): ml is not given")
        volume = Decimal(0)
    return GivenRow(
        lesion_id=lesion_id,
        drug=cells.get("drug", ""),
        ml=volume,
        closed=closed,
        deposit_id=cells.get("deposit_id", ""),
        time=_time_cell(cells.get("time", ""), where),
        lot=cells.get("lot", ""),
        expiry=_expiry_cell(cells.get("expiry", ""), where),
        reason=cells.get("reason", ""),
        where=where,
    )


def is_time(text: str) -> bool:
    """Whether the text is a day, a time of the day, or both, as ISO 8601 writes them."""
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text if text[4] == "-" else f"2000-01-01T{text}")
    except ValueError:
        return False
    return True


def _time_cell(text: str, where: str) -> str:
    """When it was given; '' where that is not known.

    Raises:
        InputRefused: another form: held against an expiry it would seem to be before it.
    """
    if not text or is_time(text):
        return text
    raise InputRefused(
        "wrong_value",
        f"{where}: time: '{text}' is no time",
        "write it as in 2026-05-04T10:15; a date is needed to compare with the expiry",
    )


def _expiry_cell(text: str, where: str) -> str:
    """An expiry as YYYY-MM or YYYY-MM-DD; '' where it is not known.

    Raises:
        InputRefused: another form, or no such day: compared as text it would seem not to have
            passed.
    """
    if not text:
        return text
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?", text):
        try:
            date.fromisoformat(text if len(text) > len("YYYY-MM") else f"{text}-01")
        except ValueError:
            pass
        else:
            return text
    raise InputRefused(
        "wrong_value",
        f"{where}: expiry: '{text}' is no month and no day",
        "write YYYY-MM or YYYY-MM-DD, as in 2027-01",
    )
