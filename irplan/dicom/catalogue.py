"""Every header below a PATH."""

from __future__ import annotations

import os
import pickle
import select
import signal
import threading
from collections.abc import Sequence
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
from irplan.findings import Finding, Severity, declare
from irplan.tasks import SILENT, Task

FILE_UNREADABLE = declare("file_unreadable", Severity.WARN, STAGE, "the file cannot be read: {why}")
UNNAMED_DAMAGED = declare(
    "unknown_file_damaged",
    Severity.WARN,
    STAGE,
    "a damaged DICOM file of no known series: {why}",
)

#: First reads of a header: most end within the first, private elements may need the others.
_READS = (16 << 10, 256 << 10, 4 << 20, 64 << 20)
_REPORT_EVERY = 256
#: Below this many files a second process costs more than it saves.
_WORTH_A_PROCESS = 1000
_PROCESSORS = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Catalogue:
    """The images below a PATH, in the order of their files, and what was noticed."""

    headers: tuple[SliceHeader, ...]
    findings: tuple[Finding, ...]


def catalogue(files: Sequence[Source], task: Task) -> Catalogue:
    """Read every header; files that are not DICOM are passed over.

    Many files are read by a second process too, where this process has one thread only (a copy
    of a process with several could wait for ever for a lock that none of its threads holds).
    """
    half = len(files) // 2
    if len(files) < _WORTH_A_PROCESS or threading.active_count() > 1 or _PROCESSORS < 2:
        headers, findings = _read_all(files, task, len(files))
        return Catalogue(tuple(headers), tuple(findings))
    with _Helper(files[half:]) as helper:
        headers, findings = _read_all(files[:half], task, len(files))
        more_headers, more_findings = helper.result(task, half, len(files))
    return Catalogue((*headers, *more_headers), (*findings, *more_findings))


_Found = tuple[list[SliceHeader], list[Finding]]


def _read_all(files: Sequence[Source], task: Task, total: int) -> _Found:
    headers: list[SliceHeader] = []
    findings: list[Finding] = []
    memory = Memory()
    for done, source in enumerate(files):
        if done % _REPORT_EVERY == 0:
            task.step(done, total)
        found, finding = read_one(source, memory)
        headers.extend(found)
        if finding is not None:
            findings.append(finding)
    task.step(len(files), total)
    return headers, findings


class _Helper:
    """A copy of this process that reads a share of the headers and ends."""

    def __init__(self, files: Sequence[Source]) -> None:
        self._ours, theirs = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _read_and_exit(files, self._ours, theirs)
        os.close(theirs)
        self._files = files

    def result(self, task: Task, done: int, total: int) -> _Found:
        """What it found; read here after all where the copy came to grief."""
        pieces: list[bytes] = []
        while True:
            if not select.select([self._ours], [], [], 0.1)[0]:
                task.step(done, total)
                continue
            piece = os.read(self._ours, 1 << 20)
            if not piece:
                break
            pieces.append(piece)
        try:
            found: _Found = pickle.loads(b"".join(pieces))
        except (EOFError, pickle.UnpicklingError):
            return _read_all(self._files, task, total)
        task.step(total, total)
        return found

    def __enter__(self) -> _Helper:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._ours)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _read_and_exit(files: Sequence[Source], ours: int, theirs: int) -> None:
    """In the copy: answer through the pipe and leave without any of the program's farewells."""
    try:
        os.close(ours)
        answer = memoryview(pickle.dumps(_read_all(files, SILENT, len(files)), 5))
        while answer:
            answer = answer[os.write(theirs, answer) :]
    finally:
        os._exit(0)


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
