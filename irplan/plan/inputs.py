"""What a plan was computed from, as bytes and hashes: the given files and the defaults used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from irplan.errors import InputRefused
from irplan.plan.model import PlanInput
from irplan.plan.request import HANDWORK_INPUT, PROTOCOL_INPUT, PlanRequest
from irplan.volume import CtVolume

#: Name under which a plan lists the CT itself; it is not copied.
CT_INPUT = "ct"
#: The inputs that every plan has, given or not.
ALWAYS_THERE = ("constraints.toml", "needles.toml", PROTOCOL_INPUT)


def read_inputs(request: PlanRequest) -> dict[str, bytes]:
    """The content of every file of the request, by its name under ``inputs/``.

    The protocol, the constraints and the needles are always there: where nobody gave a file,
    the one that comes with irplan stands in, so that the plan shows what was used.

    Raises:
        InputRefused: a file cannot be read.
    """
    contents = {name: _read(path) for name, path in request.files().items()}
    if request.constraints is None:
        contents["constraints.toml"] = _packaged("irplan.trajectory", "defaults/constraints.toml")
    if request.needles is None:
        contents["needles.toml"] = _packaged("irplan.trajectory", "defaults/needles.toml")
    contents[PROTOCOL_INPUT] = _protocol(request.protocol)
    handwork = request.handwork()
    if handwork is not None:
        contents[HANDWORK_INPUT] = handwork
    return dict(sorted(contents.items()))


def plan_inputs(volume: CtVolume, contents: Mapping[str, bytes]) -> tuple[PlanInput, ...]:
    """The list ``inputs`` of the plan: the CT first, then the files by name."""
    scan = PlanInput(CT_INPUT, volume.sha256)
    return (scan, *(PlanInput(name, sha256(content)) for name, content in contents.items()))


def sha256(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _protocol(name_or_path: str) -> bytes:
    path = Path(name_or_path)
    if path.suffix == ".toml":
        return _read(path)
    return _packaged("irplan.dose", f"protocols/{name_or_path}.toml")


def _packaged(package: str, name: str) -> bytes:
    return (files(package) / name).read_bytes()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputRefused(
            "cannot_read", f"{path}: cannot be read: {error.strerror}", "check the path"
        ) from error
