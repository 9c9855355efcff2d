"""The manifest of a batch: one case a row, from CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from irplan import __version__
from irplan.errors import CallError, InputRefused
from irplan.files import sha256_of_file
from irplan.jsonio import canonical

FILE_COLUMNS = ("volumes", "ct", "mask", "clicks", "anatomy", "history")
VALUE_COLUMNS = (
    "weight_kg",
    "height_cm",
    "protocol",
    "visit",
    "patient_position",
    "increment_ml",
)
COLUMNS = ("case_id", *FILE_COLUMNS, *VALUE_COLUMNS)
_KNOWN = frozenset(COLUMNS)

#: A case id becomes a folder: nothing that could lead out of it or that a file system changes.
_CASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Case:
    """One row of the manifest, with the options filled in; paths are absolute or ''."""

    case_id: str
    cells: Mapping[str, str] = field(default_factory=dict)

    def key(self) -> str:
        """Hash of the row and of the files it names: the same where nothing changed."""
        files = {
            name: _content_key(Path(self.cells[name]))
            for name in FILE_COLUMNS
            if self.cells.get(name)
        }
        content = {"cells": dict(self.cells), "files": files, "irplan": __version__}
        return hashlib.sha256(canonical(content)).hexdigest()


@dataclass(frozen=True)
class Manifest:
    """The cases of a manifest, read anew from the file at each walk: memory stays flat.

    Attributes:
        path: CSV, JSON (a list of objects) or Parquet.
        defaults: options that stand for empty cells.
        count: number of cases.
    """

    path: Path
    defaults: Mapping[str, str]
    count: int

    def __iter__(self) -> Iterator[Case]:
        return _cases(self.path, self.defaults)

    def __len__(self) -> int:
        return self.count


def read_manifest(path: Path, defaults: Mapping[str, str]) -> Manifest:
    """Check a manifest from its first row to its last.

    A cell wins over the option in ``defaults``; an empty cell takes it. Relative paths start at
    the manifest.

    Raises:
        InputRefused: the file cannot be read, has an unknown column or an id twice.
    """
    seen: set[bytes] = set()
    for case in _cases(path, defaults):
        # Folders of names that differ in case only would be one on some file systems.
        name = hashlib.sha256(case.case_id.casefold().encode()).digest()[:16]
        if name in seen:
            raise InputRefused(
                "duplicate_case_id", f"{path}: case_id {case.case_id} stands twice", "rename one"
            )
        seen.add(name)
    return Manifest(path, defaults, len(seen))


def _cases(path: Path, defaults: Mapping[str, str]) -> Iterator[Case]:
    folder = str(path.parent.resolve())
    for number, row in enumerate(_read_rows(path), start=2):
        yield _case(row, number, path, folder, defaults)


def _case(
    row: Mapping[str, str], number: int, path: Path, folder: str, defaults: Mapping[str, str]
) -> Case:
    unknown = sorted(set(row) - _KNOWN)
    if unknown:
        raise InputRefused(
            "unknown_column",
            f"{path}: unknown column {', '.join(unknown)}",
            "the columns are " + ", ".join(COLUMNS),
        )
    case_id = row.get("case_id", "")
    if not _CASE_ID.fullmatch(case_id):
        raise InputRefused(
            "case_id",
            f"{path}, line {number}: case_id '{case_id}' cannot be the name of a folder",
            "use up to 100 letters, digits, '.', '_' and '-'",
        )
    # Options stand for absent cells, but a row with its own lesions takes no other's.
    cells = {name: row.get(name) or defaults.get(name, "") for name in COLUMNS[1:]}
    for name in FILE_COLUMNS:
        if cells[name]:
            cells[name] = os.path.join(folder, cells[name])
    return Case(case_id, {name: value for name, value in cells.items() if value})


def _read_rows(path: Path) -> Iterator[dict[str, str]]:
    readers: dict[str, Callable[[Path], Iterator[dict[str, str]]]] = {
        ".csv": _csv_rows,
        ".json": _json_rows,
        ".parquet": _parquet_rows,
    }
    if path.suffix.lower() not in readers:
        raise CallError("manifest", f"{path}: is not a CSV, JSON or Parquet file by its name")
    try:
        yield from readers[path.suffix.lower()](path)
    except (OSError, ValueError, AttributeError, csv.Error) as error:
        raise InputRefused("manifest", f"{path}: cannot be read as a manifest: {error}") from error


def _csv_rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"line {reader.line_num} has not as many cells as columns")
            yield {name.strip(): value.strip() for name, value in row.items()}


def _json_rows(path: Path) -> Iterator[dict[str, str]]:
    from irplan.jsonio import loads

    for row in loads(path.read_bytes()):
        yield _as_text(row)


def _parquet_rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise CallError(
            "parquet_absent", "Parquet cannot be read", "pip install 'irplan[tables]'"
        ) from error
    with parquet.ParquetFile(path) as file:
        for rows in file.iter_batches():
            for row in rows.to_pylist():
                yield _as_text(row)


def _as_text(row: Mapping[str, Any]) -> dict[str, str]:
    """Cells as text; a binary float keeps its shortest decimal form."""
    return {name: "" if value is None else str(value).strip() for name, value in row.items()}


def _content_key(path: Path) -> str:
    """What tells a changed input apart: the bytes of a file, name, size and time in a folder."""
    if path.is_file():
        return sha256_of_file(path)
    if not path.is_dir():
        return "absent"
    entries = sorted(
        (str(one.relative_to(path)), one.stat().st_size, one.stat().st_mtime_ns)
        for one in path.rglob("*")
        if one.is_file()
    )
    return hashlib.sha256(repr(entries).encode()).hexdigest()


__all__ = ["Case", "Manifest", "read_manifest"]
