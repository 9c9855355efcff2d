"""The errors of a site's own needles, kept in a file, and the sigma that they tell."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from statistics import median
from typing import Any

from irplan import units
from irplan.errors import CallError, InputRefused
from irplan.files import write_text
from irplan.trajectory.method import LEAST_SIGMA_MM, MEDIAN_OF_THREE, MIN_SITE_NEEDLES
from irplan.units import parse_decimal

#: A site's own errors may stand in for the published ones only from this many needles on; the
#: rules of the paths hold the number, and the least sigma.
LEAST_NEEDLES = MIN_SITE_NEEDLES
#: Columns of the file of a site's errors.
ERROR_COLUMNS = ("plan_id", "needle_id", "guidance", "radial_mm", "lateral_mm", "depth_mm")


def site_errors(rows: Sequence[Mapping[str, str]]) -> tuple[dict[str, Any], ...]:
    """What the site's own needles say of its error, by guidance.

    The median radial error over 1.538 is the sigma per axis; it is told from
    :data:`LEAST_NEEDLES` needles on, and never below 2 mm. ``constraints`` is the table that
    puts the errors under CT into a site's constraints, as text; null where they do not count.
    """
    told = []
    for guidance in sorted({row["guidance"] for row in rows}):
        radial = [Decimal(row["radial_mm"]) for row in rows if row["guidance"] == guidance]
        middle = median(radial)
        enough = len(radial) >= LEAST_NEEDLES
        sigma = max(LEAST_SIGMA_MM, float(middle) / MEDIAN_OF_THREE)
        told.append(
            {
                "guidance": guidance,
                "needles": len(radial),
                "median_radial_mm": units.mm(float(middle)),
                "sigma_mm": units.mm_up(sigma) if enough else None,
                "constraints": _table(len(radial), middle) if enough and guidance == "ct" else None,
                "tip_error_setting_mm": units.mm_up(sigma * MEDIAN_OF_THREE) if enough else None,
            }
        )
    return tuple(told)


def _table(needles: int, median_mm: Decimal) -> str:
    """The table of a constraints file; the median is never rounded in the site's favour."""
    median = units.quantize(median_mm, units.MM_STEP, ROUND_CEILING)
    return f"[site_error]\nneedles = {needles}\nmedian_mm = {median}\n"


def with_errors(path: Path, added: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The rows of the site's file with more of them; a needle again takes its row's place.

    Args:
        path: the file; it need not exist yet.
        added: rows with the columns :data:`ERROR_COLUMNS`.

    Raises:
        InputRefused: the file is not one of errors.
    """
    rows = {(row["plan_id"], row["needle_id"]): row for row in _read_errors(path)}
    for one in added:
        rows[(one["plan_id"], one["needle_id"])] = dict(one)
    text = io.StringIO()
    writer = csv.DictWriter(text, ERROR_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    write_text(path, text.getvalue())
    return list(rows.values())


def _read_errors(path: Path) -> list[dict[str, str]]:
    """The rows so far.

    Raises:
        InputRefused: the file is not one of errors.
    """
    if not path.exists():
        return []
    try:
        reader = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise InputRefused("errors_unreadable", f"{path}: cannot be read: {error}") from error
    if tuple(reader.fieldnames or ()) != ERROR_COLUMNS:
        raise InputRefused(
            "errors_columns",
            f"{path}: is not a file of needle errors",
            f"its columns are {','.join(ERROR_COLUMNS)}",
        )
    rows = []
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        if None in row or None in row.values():
            raise InputRefused("errors_row", f"{where}: has not as many cells as columns")
        try:
            if parse_decimal(row["radial_mm"], where) < 0:
                raise InputRefused("errors_row", f"{where}: a distance is below zero")
        except CallError as error:
            raise InputRefused(error.code, error.message, error.remedy) from error
        rows.append(row)
    return rows
