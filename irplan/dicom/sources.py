"""Where headers come from: files, folders searched through, a DICOMDIR, a ZIP."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from irplan.errors import InputRefused
from irplan.findings import Finding, Severity, declare
from irplan.tasks import SILENT, Task

STAGE = "reading"

DICOMDIR_TARGETS_ABSENT = declare(
    "dicomdir_targets_absent",
    Severity.WARN,
    STAGE,
    "{count} of {total} files that the DICOMDIR names are absent, the first: {first}",
)
FOLDER_UNREADABLE = declare(
    "folder_unreadable",
    Severity.WARN,
    STAGE,
    "a folder cannot be searched, so slices may be missing: {why}",
)
FILE_UNREADABLE = declare("file_unreadable", Severity.WARN, STAGE, "the file cannot be read: {why}")
LINKED_FOLDER = declare(
    "linked_folder",
    Severity.INFO,
    STAGE,
    "links to folders are not followed: {count} here, the first: {first}",
)


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


def sources(path: Path, task: Task = SILENT) -> Sources:
    """Every file that PATH stands for.

    Raises:
        InputRefused: there is no such file or folder, or the archive cannot be opened.
        Cancelled: the task was cancelled.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise InputRefused(
            "no_such_path", f"{path}: cannot be opened: {error}", "check the path"
        ) from error
    if stat.S_ISDIR(mode):
        return _folder(str(path), task)
    if not stat.S_ISREG(mode):
        raise InputRefused("not_a_file", f"{path}: neither a file nor a folder", "check the path")
    if _is_archive(path):
        from irplan.dicom.archives import members

        names, findings = members(path)
        return Sources(tuple(Source(str(path), name) for name in names), findings)
    if is_dicomdir(path):
        return _dicomdir(path)
    return Sources((Source(str(path)),))


def _is_archive(path: Path) -> bool:
    from zipfile import is_zipfile

    return is_zipfile(path)


def _folder(folder: str, task: Task) -> Sources:
    """Regular files below a folder, each with a stamp that changes when the file does.

    Links to folders are not followed, so no walk is endless. What cannot be looked at is told:
    it may hold slices.
    """
    # Late: decoding processes import this module too, and start faster without it.
    import hashlib

    found: list[tuple[str, str]] = []
    findings: list[Finding] = []
    linked: list[str] = []
    pending = [folder]
    while pending:
        task.step(0, 0)
        inside = pending.pop()
        try:
            entries = list(os.scandir(inside))
        except OSError as error:
            why = error.strerror or str(error)
            findings.append(FOLDER_UNREADABLE(printable(inside), why=why))
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
                continue
            try:
                status = entry.stat()
            except OSError as error:
                why = error.strerror or str(error)
                findings.append(FILE_UNREADABLE(printable(entry.path), why=why))
                continue
            if stat.S_ISREG(status.st_mode):
                # The time of change of the inode is set by the system, whatever a program claims.
                stamp = f"{entry.path} {status.st_size} {status.st_ctime_ns}"
                found.append((entry.path, stamp))
            elif stat.S_ISDIR(status.st_mode):
                linked.append(entry.path)
    found.sort()
    if linked:
        first = printable(min(linked))
        findings.append(LINKED_FOLDER(printable(folder), count=len(linked), first=first))
    findings.sort(key=lambda finding: (finding.subject, finding.code))
    # What could not be looked at counts too: it may be readable the next time.
    stamps = [*(stamp for _, stamp in found), *(repr(finding) for finding in findings)]
    digest = hashlib.blake2b("\0".join(stamps).encode("utf-8", "surrogateescape"))
    return Sources(tuple(Source(name) for name, _ in found), tuple(findings), digest.digest())


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
