"""What lies in a ZIP: its members, unpacked one at a time and no further than is asked for."""

from __future__ import annotations

import os
import threading
import zipfile
from collections import Counter
from pathlib import Path
from zlib import error as zlib_error

from irplan.dicom.sources import STAGE, Source, printable
from irplan.errors import InputRefused
from irplan.findings import Finding, Severity, declare

ARCHIVE_MEMBER_UNREADABLE = declare(
    "archive_member_unreadable", Severity.WARN, STAGE, "a file in the archive is unreadable: {why}"
)

ARCHIVE_NAMES_REPEAT = declare(
    "archive_names_repeat",
    Severity.WARN,
    STAGE,
    "{count} names stand twice in the archive, and only the last file of a name is read: {first}",
)

#: One member of an archive is unpacked no further than this.
MEMBER_LIMIT = 1 << 30


def members(path: Path) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """The names of an archive's files, and what was noticed.

    Raises:
        InputRefused: the archive cannot be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = Counter(info.filename for info in archive.infolist() if not info.is_dir())
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise InputRefused(
            "bad_archive", f"{path}: not a readable ZIP: {error}", "unpack it first"
        ) from error
    twice = sorted(name for name, count in names.items() if count > 1)
    findings: tuple[Finding, ...] = ()
    if twice:
        findings = (ARCHIVE_NAMES_REPEAT(printable(str(path)), count=len(twice), first=twice[0]),)
    return tuple(sorted(names)), findings


class _Archives(threading.local):
    """The archive that a thread has open: its directory is read once and not for every member."""

    identity: tuple[object, ...] = ()
    archive: zipfile.ZipFile | None = None

    def opened(self, path: str) -> zipfile.ZipFile:
        """The archive at the path, opened anew where the file has changed."""
        status = os.stat(path)
        identity = (path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if self.archive is None or identity != self.identity:
            self.close()
            self.archive, self.identity = zipfile.ZipFile(path), identity
        return self.archive

    def close(self) -> None:
        """Close it, if one is open."""
        if self.archive is not None:
            self.archive.close()
        self.archive, self.identity = None, ()


_ARCHIVES = _Archives()


def close_archives() -> None:
    """Close the archive that this thread has read last."""
    _ARCHIVES.close()


def read_member(source: Source, first: int | None = None, limit: int = MEMBER_LIMIT) -> bytes:
    """The bytes of an archive's member, or its first ones.

    The archive stays open for this thread's next member, until :func:`close_archives`.

    Args:
        source: a member of an archive.
        first: so many bytes are enough; None for all.
        limit: a larger member is refused.

    Raises:
        OSError: it is damaged, encrypted, or larger than ``limit``.
    """
    try:
        with _ARCHIVES.opened(source.path).open(source.member) as file:
            data = file.read(limit + 1 if first is None else first)
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        RuntimeError,
        NotImplementedError,
        EOFError,
        KeyError,
        ValueError,
        zlib_error,
    ) as error:
        raise OSError(f"{source.name}: {error}") from error
    if len(data) > limit:
        raise OSError(f"{source.name}: larger than {limit} bytes")
    return data


def member_size(source: Source) -> int:
    """Bytes of an archive's member when unpacked, as its directory says.

    Raises:
        OSError: the archive cannot be opened or has no such member.
    """
    try:
        return _ARCHIVES.opened(source.path).getinfo(source.member).file_size
    except (zipfile.BadZipFile, KeyError, NotImplementedError, ValueError) as error:
        raise OSError(f"{source.name}: {error}") from error
