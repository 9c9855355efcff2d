"""Every header below a PATH."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from irplan.dicom.archives import (
    ARCHIVE_MEMBER_UNREADABLE,
    close_archives,
    member_size,
    read_member,
)
from irplan.dicom.elements import NotDicom, RawHeader, read_header
from irplan.dicom.header import (
    DICOMDIR_CLASS,
    MULTIFRAME_CLASSES,
    WANTED,
    SliceHeader,
    slice_header,
)
from irplan.dicom.memory import Memory
from irplan.dicom.sources import (
    FILE_UNREADABLE,
    STAGE,
    Source,
    printable,
)
from irplan.dicom.workers import LENGTH, end_worker, start_worker
from irplan.findings import Finding, Severity, declare
from irplan.tasks import Task

UNNAMED_DAMAGED = declare(
    "unknown_file_damaged",
    Severity.WARN,
    STAGE,
    "a damaged DICOM file of no known series: {why}",
)

FILES_PASSED_OVER = declare(
    "files_passed_over",
    Severity.INFO,
    STAGE,
    "{count} files are not DICOM and were passed over, the first: {first}",
)
ARCHIVE_INSIDE = declare(
    "archive_inside",
    Severity.INFO,
    STAGE,
    "an archive inside is not searched: to read what it holds, give it by itself",
)

#: First reads of a header: most end within the first, private elements may need the others. A
#: file is read no further than the last, which bounds the memory that a hostile one can take.
_READS = (16 << 10, 256 << 10, 4 << 20, 512 << 20)
_ZIP = b"PK\x03\x04"
#: So many files are read between two looks at what else has arrived.
BLOCK = 128
#: Below this many files a second process starts too late to save anything.
_WORTH_A_PROCESS = 20_000
_PROCESSORS = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Catalogue:
    """The images below a PATH, in the order of their files, and what was noticed."""

    headers: tuple[SliceHeader, ...]
    findings: tuple[Finding, ...]


@dataclass
class Found:
    """What a block of files gave.

    Attributes:
        headers: the images, in the order of their files.
        findings: what was noticed.
        passed_over: names of files that are not DICOM.
    """

    headers: list[SliceHeader] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def catalogue(files: Sequence[Source], task: Task) -> Catalogue:
    """Read every header; files that are not DICOM are passed over.

    Many files are read from their other end by a second process, until the two meet.
    """
    several = len(files) >= _WORTH_A_PROCESS and _PROCESSORS > 1
    ours: list[Found] = []
    theirs: list[Found] = []
    blocks = [files[start : start + BLOCK] for start in range(0, len(files), BLOCK)]
    memory = Memory()
    with _Helper(files) if several else nullcontext() as helper:
        while len(ours) + len(theirs) < len(blocks):
            task.step(min(BLOCK * (len(ours) + len(theirs)), len(files)), len(files))
            ours.append(read_block(blocks[len(ours)], memory))
            if helper is not None:
                theirs += helper.arrived()
    task.step(len(files), len(files))
    close_archives()
    # Where they met, both may have read the same block.
    found = ours + theirs[: len(blocks) - len(ours)][::-1]
    findings = [finding for one in found for finding in one.findings]
    passed = [name for one in found for name in one.passed_over]
    if passed:
        findings.append(FILES_PASSED_OVER(count=len(passed), first=printable(passed[0])))
    return Catalogue(
        tuple(header for one in found for header in one.headers),
        tuple(findings),
    )


def read_block(files: Sequence[Source], memory: Memory) -> Found:
    """The images of some files, in their order, and what was noticed."""
    found = Found()
    for source in files:
        try:
            headers, finding = read_one(source, memory)
        except NotDicom:
            found.passed_over.append(source.name)
            continue
        found.headers.extend(headers)
        if finding is not None:
            found.findings.append(finding)
    return found


class _Helper:
    """A process that reads blocks of headers, the last one first.

    It is a fresh process and no copy of this one, so it does not matter how many threads run here.
    Where it comes to grief, nothing arrives, and all blocks are read here.
    """

    def __init__(self, files: Sequence[Source]) -> None:
        listed = os.memfd_create("irplan-files", os.MFD_CLOEXEC)
        with os.fdopen(listed, "wb") as file:
            pickle.dump([(source.path, source.member) for source in files], file, 5)
            file.flush()
            file.seek(0)
            self._process = start_worker("header_worker", (listed,), str(BLOCK))
        assert self._process.stdout is not None
        self._answers = self._process.stdout.fileno()
        os.set_blocking(self._answers, False)
        self._bytes = bytearray()

    def arrived(self) -> list[Found]:
        """The blocks that it has read since this was last asked; never waits."""
        try:
            while piece := os.read(self._answers, 1 << 20):
                self._bytes += piece
        except BlockingIOError:
            pass
        found: list[Found] = []
        while len(self._bytes) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._bytes)[0]
            if len(self._bytes) < end:
                break
            found.append(pickle.loads(memoryview(self._bytes)[LENGTH.size : end]))
            self._bytes = self._bytes[end:]
        return found

    def __enter__(self) -> _Helper:
        return self

    def __exit__(self, *_: object) -> None:
        end_worker(self._process)


def read_one(
    source: Source, memory: Memory | None = None
) -> tuple[list[SliceHeader], Finding | None]:
    """The images of one file: none, one, or the frames of an enhanced file.

    Raises:
        NotDicom: the file is something else.
    """
    try:
        raw, size = (
            _raw_of_member(source, memory) if source.member else _raw_of_file(source, memory)
        )
    except _Archive:
        return [], ARCHIVE_INSIDE(source.name)
    except OSError as error:
        rule = ARCHIVE_MEMBER_UNREADABLE if source.member else FILE_UNREADABLE
        return [], rule(source.name, why=error.strerror or str(error))
    header = slice_header(raw, source.path, source.member, size)
    if header.text("sop_class_uid") == DICOMDIR_CLASS:
        return [], None
    if header.damage and not header.text("series_instance_uid"):
        if raw.transfer_syntax_uid or header.values:
            return [], UNNAMED_DAMAGED(source.name, why=header.damage)
        return [], None
    if header.text("sop_class_uid") in MULTIFRAME_CLASSES and not header.damage:
        from irplan.dicom.enhanced import frames_of

        return frames_of(header), None
    return [header], None


class _Archive(Exception):
    """The file is an archive."""


def _raw_of_file(source: Source, memory: Memory | None) -> tuple[RawHeader, int]:
    handle = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(handle).st_size
        return _raw(lambda length: os.pread(handle, length, 0), size, memory), size
    finally:
        os.close(handle)


def _raw_of_member(source: Source, memory: Memory | None) -> tuple[RawHeader, int]:
    size = member_size(source)
    return _raw(lambda length: read_member(source, length), size, memory), size


def _raw(first: Callable[[int], bytes], size: int, memory: Memory | None) -> RawHeader:
    """The header in the first bytes of a file, of which no more are taken than it needs.

    Raises:
        NotDicom, OSError: there is none; the bytes cannot be had.
        _Archive: they begin like a ZIP.
    """
    for length in _READS:
        data = first(min(length, size + 1))
        complete = len(data) >= size or len(data) < length or length == _READS[-1]
        if not data:
            raise OSError("it is empty")
        try:
            raw = read_header(data, complete, WANTED, memory)
        except NotDicom:
            if data.startswith(_ZIP):
                raise _Archive from None
            raise
        if raw is not None:
            return raw
    raise OSError("the header does not end")
