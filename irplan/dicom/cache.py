"""The last scans of large folders, so that the second one is instant.

A scan is kept under the folder's name together with the signature of everything below it (names,
sizes, times, inodes): where anything has changed, it is not used. It lies in the user's own cache
folder, readable by that user alone, since headers name patients. IRPLAN_NO_CACHE=1 turns it off.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

import platformdirs

from irplan import __version__
from irplan.dicom.gate import Gate
from irplan.dicom.header import SliceHeader
from irplan.findings import Finding, Severity
from irplan.geometry import GridGeometry

#: Smaller folders are read as fast as the cache.
WORTH_KEEPING = 200
#: So many scans are kept, the oldest go.
KEPT = 20
_DIGEST = 32

#: (headers, gate, kind, selector, findings) of one entry.
Entry = tuple[Sequence[SliceHeader], Gate, str, str, tuple[Finding, ...]]
Scan = tuple[list[Entry], tuple[Finding, ...]]


class StoredHeaders(Sequence[SliceHeader]):
    """Headers that are unpacked when they are first asked for.

    The one that speaks for its series is at hand, so that listing a folder unpacks nothing.
    """

    def __init__(self, packed: bytes, count: int, spokesman: tuple[int, tuple[Any, ...]]) -> None:
        self._packed = packed
        self._count = count
        self._spokesman = spokesman
        self._rows: list[tuple[Any, ...]] | None = None

    def _all(self) -> list[tuple[Any, ...]]:
        if self._rows is None:
            self._rows = marshal.loads(self._packed)
        return self._rows

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> SliceHeader: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[SliceHeader]: ...

    def __getitem__(self, index: int | slice) -> SliceHeader | Sequence[SliceHeader]:
        if isinstance(index, slice):
            return tuple(SliceHeader._make(row) for row in self._all()[index])
        if index == self._spokesman[0]:
            return SliceHeader._make(self._spokesman[1])
        return SliceHeader._make(self._all()[index])

    def __iter__(self) -> Iterator[SliceHeader]:
        return map(SliceHeader._make, self._all())


def recall(folder: Path, signature: bytes) -> Scan | None:
    """The scan of a folder in which nothing has changed, or None."""
    place = _place(folder)
    if place is None:
        return None
    try:
        data = place.read_bytes()
    except OSError:
        return None
    head = _head(signature)
    body = data[len(head) + _DIGEST :]
    if not data.startswith(head) or data[len(head) : len(head) + _DIGEST] != _digest(body):
        return None
    entries, findings = marshal.loads(body)
    return [_entry(row) for row in entries], tuple(map(_finding, findings))


def keep(folder: Path, signature: bytes, scan: Scan) -> None:
    """Remember a scan; a cache folder that cannot be written to is no reason to fail."""
    place = _place(folder)
    if place is None:
        return
    entries, findings = scan
    body = marshal.dumps(
        ([_entry_row(entry) for entry in entries], [_finding_row(one) for one in findings])
    )
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = place.with_suffix(f".{os.getpid()}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(_head(signature) + _digest(body) + body)
        temporary.replace(place)
        _forget_the_oldest(place.parent)
    except OSError:
        return


def _forget_the_oldest(folder: Path) -> None:
    kept = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in kept[KEPT:]:
        path.unlink(missing_ok=True)


def _place(folder: Path) -> Path | None:
    if os.environ.get("IRPLAN_NO_CACHE", "") not in ("", "0"):
        return None
    name = hashlib.blake2b(os.fsencode(folder.absolute()), digest_size=16).hexdigest()
    return Path(platformdirs.user_cache_dir("irplan")) / "scans" / name


@lru_cache(maxsize=1)
def _form() -> bytes:
    """Changes with the interpreter and with this package's code: rules change, scans with them."""
    stamps = [f"{__version__} {sys.version}"]
    for path in sorted(Path(__file__).parent.glob("*.py")):
        status = path.stat()
        stamps.append(f"{path.name} {status.st_size} {status.st_mtime_ns}")
    return _digest("\n".join(stamps).encode())


def _head(signature: bytes) -> bytes:
    return _form() + signature


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST).digest()


def _finding_row(finding: Finding) -> tuple[str, str, str, str]:
    return finding.code, finding.severity.value, finding.message, finding.subject


def _finding(row: tuple[str, str, str, str]) -> Finding:
    code, severity, message, subject = row
    return Finding(code, Severity(severity), message, subject)


def _entry_row(entry: Entry) -> tuple[Any, ...]:
    headers, gate, kind, selector, findings = entry
    grid = gate.grid
    packed_grid = None
    if grid is not None:
        packed_grid = (grid.size, grid.spacing_mm, grid.origin_lps_mm, grid.direction)
    packed_gate = (gate.order, packed_grid, gate.shear_mm, [_finding_row(f) for f in gate.findings])
    rows = marshal.dumps([tuple(header) for header in headers])
    index = gate.order[0] if gate.order else 0
    spokesman = (index, tuple(headers[index]))
    told = [_finding_row(finding) for finding in findings]
    return rows, len(headers), spokesman, packed_gate, kind, selector, told


def _entry(row: tuple[Any, ...]) -> Entry:
    packed, count, spokesman, (order, grid, shear, gate_told), kind, selector, told = row
    gate = Gate(
        order,
        None if grid is None else GridGeometry(*grid),
        shear,
        tuple(map(_finding, gate_told)),
    )
    return StoredHeaders(packed, count, spokesman), gate, kind, selector, tuple(map(_finding, told))
