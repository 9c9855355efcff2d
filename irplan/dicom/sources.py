"""Where headers come from: files, folders searched through, a DICOMDIR, a ZIP."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import error as zlib_error

from irplan.errors import InputRefused
from irplan.findings import Finding, Severity, declare

STAGE = "reading"

DICOMDIR_TARGETS_ABSENT = declare(
    "dicomdir_targets_absent",
    Severity.WARN,
    STAGE,
    "{count} of {total} files that the DICOMDIR names are absent, the first: {first}",
)
ARCHIVE_MEMBER_UNREADABLE = declare(
    "archive_member_unreadable", Severity.WARN, STAGE, "a file in the archive is unreadable: {why}"
)

#: One member of an archive is unpacked no further than this.
MEMBER_LIMIT = 1 << 30


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or one member of an archive."""

    path: str
    member: str = ""

    @property
    def name(self) -> str:
        """For messages."""
        return printable(f"{self.path}!{self.member}" if self.member else self.path)


def printable(name: str) -> str:
    """A file's name as text: bytes that are no text in UTF-8 are shown as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Sources:
    """What a PATH holds, in a fixed order, and what was noticed on the way.

    ``signature`` changes with any name, size, time or identity of a file below a folder; it is
    empty for what is not a folder.
    """

    files: tuple[Source, ...]
    findings: tuple[Finding, ...] = ()
    signature: bytes = b""


def sources(path: Path) -> Sources:
    """Every file that PATH stands for.

    Raises:
        InputRefused: there is no such file or folder, or the archive cannot be opened.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise InputRefused(
            "no_such_path", f"{path}: cannot be opened: {error}", "check the path"
        ) from error
    if stat.S_ISDIR(mode):
        found = sorted(_walk(str(path)))
        digest = hashlib.blake2b("\0".join(stamp for _, stamp in found).encode("utf-8", "replace"))
        return Sources(tuple(Source(name) for name, _ in found), (), digest.digest())
    if not stat.S_ISREG(mode):
        raise InputRefused("not_a_file", f"{path}: neither a file nor a folder", "check the path")
    if zipfile.is_zipfile(path):
        return Sources(tuple(_members(path)))
    if is_dicomdir(path):
        return _dicomdir(path)
    return Sources((Source(str(path)),))


def _walk(folder: str) -> Iterator[tuple[str, str]]:
    """Regular files below a folder, each with a stamp that changes when the file does.

    Links to folders are not followed, so no walk is endless.
    """
    pending = [folder]
    while pending:
        try:
            entries = list(os.scandir(pending.pop()))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
                continue
            try:
                status = entry.stat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                # The time of change of the inode is set by the system, whatever a program claims.
                yield entry.path, f"{entry.path} {status.st_size} {status.st_ctime_ns}"


def _members(path: Path) -> Iterator[Source]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise InputRefused(
            "bad_archive", f"{path}: not a readable ZIP: {error}", "unpack it first"
        ) from error
    for name in names:
        yield Source(str(path), name)


def read_member(source: Source, limit: int = MEMBER_LIMIT) -> bytes:
    """The bytes of an archive's member.

    Raises:
        OSError: it is damaged, encrypted, or larger than ``limit``.
    """
    try:
        with zipfile.ZipFile(source.path) as archive, archive.open(source.member) as file:
            data = file.read(limit + 1)
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


def is_dicomdir(path: Path) -> bool:
    """Whether a file is a DICOM directory, by its class and not by its name."""
    from irplan.dicom.elements import NotDicom, read_header
    from irplan.dicom.header import DICOMDIR_CLASS

    try:
        with path.open("rb") as file:
            head = file.read(4096)
        raw = read_header(head, True, frozenset())
    except (OSError, NotDicom):
        return False
    if raw is None:
        return False
    return raw.values.get(0x00020002, b"").strip(b" \0").decode("latin-1") == DICOMDIR_CLASS


def _dicomdir(path: Path) -> Sources:
    import warnings

    import pydicom

    names: list[tuple[str, ...]] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            directory = pydicom.dcmread(path, specific_tags=["DirectoryRecordSequence"])
            for record in directory.get("DirectoryRecordSequence") or ():
                parts = record.get("ReferencedFileID")
                if parts:
                    names.append((parts,) if isinstance(parts, str) else tuple(map(str, parts)))
    except Exception as error:
        raise InputRefused(
            "bad_dicomdir",
            f"{path}: the DICOMDIR cannot be read: {error}",
            "give the folder instead: it is searched through",
        ) from error
    found: set[str] = set()
    absent: list[str] = []
    root = path.resolve().parent
    for parts in names:
        target = _target(root, parts)
        if target is None:
            absent.append("/".join(parts))
        else:
            found.add(str(path.parent / target.relative_to(root)))
    findings: tuple[Finding, ...] = ()
    if absent:
        findings = (
            DICOMDIR_TARGETS_ABSENT(
                str(path), count=len(absent), total=len(names), first=absent[0]
            ),
        )
    return Sources(tuple(Source(name) for name in sorted(found)), findings)


def _target(root: Path, parts: tuple[str, ...]) -> Path | None:
    """The file that a directory record names, whatever the case of its letters on this disk.

    A record that points out of its folder is treated as absent.
    """
    here = root
    for part in parts:
        if part in ("", ".", "..") or "/" in part or "\0" in part:
            return None
        following = here / part
        if not following.exists():
            try:
                alike = [name for name in os.listdir(here) if name.lower() == part.lower()]
            except OSError:
                return None
            if len(alike) != 1:
                return None
            following = here / alike[0]
        here = following
    return here if here.is_file() else None
