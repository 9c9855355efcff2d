"""Every header below a PATH."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from irplan.dicom.elements import NotDicom, RawHeader, read_header
from irplan.dicom.header import (
    DICOMDIR_CLASS,
    MULTIFRAME_CLASSES,
    WANTED,
    SliceHeader,
    slice_header,
)
from irplan.dicom.sources import ARCHIVE_MEMBER_UNREADABLE, STAGE, Source, read_member
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
_REPORT_EVERY = 256


@dataclass(frozen=True)
class Catalogue:
    """The images below a PATH, in the order of their files, and what was noticed."""

    headers: tuple[SliceHeader, ...]
    findings: tuple[Finding, ...]


def catalogue(files: Iterable[Source], task: Task) -> Catalogue:
    """Read every header; files that are not DICOM are passed over."""
    headers: list[SliceHeader] = []
    findings: list[Finding] = []
    files = tuple(files)
    for done, source in enumerate(files):
        if done % _REPORT_EVERY == 0:
            task.step(done, len(files))
        found, finding = read_one(source)
        headers.extend(found)
        if finding is not None:
            findings.append(finding)
    task.step(len(files), len(files))
    return Catalogue(tuple(headers), tuple(findings))


def read_one(source: Source) -> tuple[list[SliceHeader], Finding | None]:
    """The images of one file: none, one, or the frames of an enhanced file."""
    try:
        raw, size = _raw_of_member(source) if source.member else _raw_of_file(source.path)
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


def _raw_of_file(path: str) -> tuple[RawHeader, int]:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(handle).st_size
        for length in _READS:
            data = os.pread(handle, length, 0)
            complete = len(data) >= size
            raw = read_header(data, complete, WANTED)
            if raw is not None:
                return raw, size
            if complete:
                break
        if raw is None and size > _READS[-1]:
            data = os.pread(handle, size, 0)
            raw = read_header(data, True, WANTED)
    finally:
        os.close(handle)
    if raw is None:
        raise OSError("the header does not end")
    return raw, size


def _raw_of_member(source: Source) -> tuple[RawHeader, int]:
    data = read_member(source)
    raw = read_header(data, True, WANTED)
    if raw is None:
        raise OSError("the header does not end")
    return raw, len(data)
