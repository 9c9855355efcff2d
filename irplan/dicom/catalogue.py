"""Every header below a PATH."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from irplan.dicom.elements import NotDicom, RawHeader, read_header
from irplan.dicom.header import (
    DICOMDIR_CLASS,
    MULTIFRAME_CLASSES,
    WANTED,
    SliceHeader,
    slice_header,
)
from irplan.dicom.memory import Memory
from irplan.dicom.sources import ARCHIVE_MEMBER_UNREADABLE, STAGE, Source, read_member
from irplan.dicom.workers import LENGTH, end_worker, start_worker
from irplan.findings import Finding, Severity, declare
from irplan.tasks import Task

FILE_UNREADABLE = declare("file_unreadable", Severity.WARN, STAGE, "the file cannot be read: {why}")
UNNAMED_DAMAGED = declare(
    "unknown_file_damaged",
    Severity.WARN,
    STAGE,
    "a damaged DICOM file of no known series: {why}",
)

#: First reads of a header: most end within the first, private elements may need the others.
_READS = (16 << 10, 256 << 10, 4 << 20, 64 << 20)
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


#: What a block of files gave.
Found = tuple[list[SliceHeader], list[Finding]]


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
    # Where they met, both may have read the same block.
    found = ours + theirs[: len(blocks) - len(ours)][::-1]
    return Catalogue(
        tuple(header for headers, _ in found for header in headers),
        tuple(finding for _, findings in found for finding in findings),
    )


def read_block(files: Sequence[Source], memory: Memory) -> Found:
    """The images of some files, in their order, and what was noticed."""
    headers: list[SliceHeader] = []
    findings: list[Finding] = []
    for source in files:
        found, finding = read_one(source, memory)
        headers.extend(found)
        if finding is not None:
            findings.append(finding)
    return headers, findings


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
    """The images of one file: none, one, or the frames of an enhanced file."""
    try:
        raw, size = (
            _raw_of_member(source, memory) if source.member else _raw_of_file(source.path, memory)
        )
    except NotDicom:
        return [], None
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


def _raw_of_file(path: str, memory: Memory | None) -> tuple[RawHeader, int]:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(handle).st_size
        for length in _READS:
            data = os.pread(handle, length, 0)
            complete = len(data) >= size
            raw = read_header(data, complete, WANTED, memory)
            if raw is not None:
                return raw, size
            if complete:
                break
        if raw is None and size > _READS[-1]:
            data = os.pread(handle, size, 0)
            raw = read_header(data, True, WANTED, memory)
    finally:
        os.close(handle)
    if raw is None:
        raise OSError("the header does not end")
    return raw, size


def _raw_of_member(source: Source, memory: Memory | None) -> tuple[RawHeader, int]:
    data = read_member(source)
    raw = read_header(data, True, WANTED, memory)
    if raw is None:
        raise OSError("the header does not end")
    return raw, len(data)
