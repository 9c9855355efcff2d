"""Files: written under a temporary name and renamed, hashed in one place."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from irplan.errors import InputRefused


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary path beside ``target`` that takes its name when the block ends well.

    The temporary name ends like the target's (``.nii.gz`` stays ``.nii.gz``), since writers
    choose the format by it. Where the block fails, the temporary file goes and ``target`` is
    as it was.

    Raises:
        InputRefused: the folder cannot be made or written to.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=".irplan-", suffix="-" + target.name
        )
    except OSError as error:
        raise InputRefused(
            "cannot_write",
            f"{target}: cannot be written: {error.strerror}",
            "choose another folder",
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(target: Path, content: bytes) -> None:
    """Write ``content`` to ``target`` whole, or not at all."""
    with replacing(target) as temporary:
        temporary.write_bytes(content)


def write_text(target: Path, content: str) -> None:
    """Write ``content`` to ``target`` in UTF-8, whole or not at all."""
    write_bytes(target, content.encode())


def sha256_of_file(path: Path) -> str:
    """SHA-256, in hexadecimal, of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
