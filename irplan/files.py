"""Files: written under a temporary name and renamed, hashed in one place."""

from __future__ import annotations

import hashlib
import os
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
    # Made by open itself, so that it gets the rights of any new file here.
    temporary = target.with_name(f".irplan-{os.urandom(6).hex()}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise InputRefused(
            "cannot_write",
            f"{target}: cannot be written: {error.strerror}",
            "choose another folder",
        ) from error
    try:
        yield temporary
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
