"""Reading tables: CSV, Parquet and JSON values as text cells, and cells as exact numbers.

Every format ends in text cells, so that one set of rules checks them all. A number has a decimal
point or is refused.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from irplan.errors import CallError, InputRefused
from irplan.units import parse_decimal

YES = ("yes", "true", "1")
NO = ("no", "false", "0")


def read_text(path: Path) -> str:
    """The file's text, UTF-8 with or without a byte-order mark.

    Raises:
        InputRefused: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputRefused("not_text", f"{path}: is not UTF-8 text", "save it as UTF-8") from error
    except OSError as error:
        raise InputRefused("cannot_read", f"{path}: cannot be read: {error.strerror}") from error


def read_csv(text: str, file: str) -> list[tuple[int, dict[str, str]]]:
    """The rows of CSV text as (line number, cells by column), empty rows left out.

    Raises:
        InputRefused: no header, a column twice, or a row with more or fewer cells than columns
            (an unquoted decimal comma makes one).
    """
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if not any(header):
            raise InputRefused("empty_table", f"{file}: holds no table", "give a header and rows")
        if len(header) == 1 and ";" in header[0]:
            raise InputRefused(
                "semicolons",
                f"{file}: columns are separated by semicolons",
                "separate them by commas, and write decimal points",
            )
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise InputRefused("column_twice", f"{file}: column {', '.join(twice)} stands twice")
        rows = []
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise InputRefused(
                    "row_length",
                    f"{file}, line {reader.line_num}: {len(cells)} cells under {len(header)} "
                    "columns",
                    "a decimal comma makes one cell too many: write decimal points",
                )
            values = (cell.strip() for cell in cells)
            rows.append((reader.line_num, dict(zip(header, values, strict=True))))
    except csv.Error as error:
        raise InputRefused(
            "not_csv", f"{file}, line {reader.line_num}: is not CSV: {error}"
        ) from error
    return rows


def read_parquet(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows of a Parquet file as (row number from 1, cells by column), all as text.

    Raises:
        InputRefused: it cannot be read, pyarrow is not installed, or a cell is not possible.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise InputRefused(
            "no_pyarrow",
            f"{path}: reading Parquet needs pyarrow, which is not installed",
            "install irplan[tables], or give a CSV",
        ) from error
    try:
        entries = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise InputRefused("not_parquet", f"{path}: is not Parquet: {error}") from error
    rows = []
    for number, entry in enumerate(entries, start=1):
        where = f"{path}, line {number}"
        cells = {
            key: cell_text(Decimal(repr(value)) if isinstance(value, float) else value, key, where)
            for key, value in entry.items()
        }
        rows.append((number, cells))
    return rows


def cell_text(value: Any, key: str, where: str) -> str:
    """A JSON value as the text of a table cell, so that both are checked by one rule."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        if not isinstance(exponent, int):
            raise InputRefused("not_a_number", f"{where}: {key}: {value} is not a number")
        if exponent > 0:
            raise InputRefused("not_a_number", f"{where}: {key}: {value} has an exponent")
        return format(value, "f")
    if isinstance(value, int | str):
        return str(value).strip()
    raise InputRefused("wrong_type", f"{where}: {key}: {value!r} is no number and no text")


def decimal_cell(
    cells: Mapping[str, str], name: str, where: str, *, zero: bool = False
) -> Decimal | None:
    """An exact number that is not below zero, or None where the cell is empty or absent.

    Raises:
        InputRefused: it is no plain decimal number, or negative, or zero where that makes no sense.
    """
    text = cells.get(name, "")
    if not text:
        return None
    try:
        value = parse_decimal(text, f"{where}: {name}")
    except CallError as error:
        raise InputRefused(error.code, error.message, error.remedy) from error
    if value < 0:
        raise InputRefused("negative", f"{where}: {name}: {text} is below zero")
    if value == 0 and not zero:
        raise InputRefused(
            "zero",
            f"{where}: {name}: is zero",
            "measure the lesion again, or set injectable to no with a reason",
        )
    return value


def flag_cell(cells: Mapping[str, str], name: str, where: str) -> bool | None:
    """yes or no, or None where the cell is empty or absent.

    Raises:
        InputRefused: it is neither.
    """
    text = cells.get(name, "").lower()
    if text in YES:
        return True
    if text in NO:
        return False
    if text:
        raise InputRefused("wrong_value", f"{where}: {name}: '{text}' is not yes or no")
    return None
