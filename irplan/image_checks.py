"""What a NRRD, NIfTI or MHA header must say before its image is trusted.

The readers of these formats assume what is absent: a spacing of 1 mm, an origin at zero, the
patient's axes for the scanner's, zeros for voxels that are not there. Here the header is read
for itself, and whatever a reader would have had to assume, or that it contradicts itself in, is
refused with its reason.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np

from irplan.geometry import FloatArray

#: As much of a file as a header takes.
_HEAD_BYTES = 1 << 16
#: Two descriptions of one grid agree where no corner lies farther apart than this, mm.
AGREE_MM = 0.05
#: Patient axes that NRRD names and that are converted to LPS.
_PATIENT_SPACES = (
    *("left-posterior-superior", "lps", "right-anterior-superior", "ras"),
    *("left-anterior-superior", "las"),
)
_NIFTI_1_SIZE, _NIFTI_2_SIZE = 348, 540
#: NIfTI's codes of units of length: millimetre, or not told (which every writer means by it).
_NIFTI_MILLIMETRES = (0, 2)
_NIFTI_FLOATS = {16: "f4", 64: "f8"}


class Untrusted(Exception):
    """The header does not say enough, or contradicts itself; the text says where."""


def check_header(path: Path) -> None:
    """Whether the file itself says everything that its image is placed by.

    Raises:
        Untrusted: it does not, or its data are cut off.
        OSError, EOFError, zlib.error: the file cannot be read.
    """
    head = first_bytes(path)
    name = path.name.lower()
    if ".nii" in name:
        _check_nifti(path, head)
    elif head.startswith(b"NRRD"):
        _check_nrrd(head)
    else:
        _check_metaimage(path, head)


def first_bytes(path: Path) -> bytes:
    """The beginning of a file, unpacked where it is gzipped as a whole."""
    with path.open("rb") as raw:
        head = raw.read(_HEAD_BYTES)
    if head[:2] == b"\x1f\x8b":
        with gzip.open(path) as file:
            head = file.read(_HEAD_BYTES)
    return head


# ---------------------------------------------------------------------------------------- NIfTI


def _check_nifti(path: Path, head: bytes) -> None:
    if len(head) < _NIFTI_1_SIZE:
        raise Untrusted("it is cut off inside its header")
    order = next((one for one in "<>" if _unpack(one + "i", head, 0)[0] == _NIFTI_1_SIZE), "")
    if not order:
        second = any(_unpack(one + "i", head, 0)[0] == _NIFTI_2_SIZE for one in "<>")
        raise Untrusted("NIfTI-2 is not read: write it as NIfTI-1" if second else "it is no NIfTI")
    steps = _unpack(order + "3f", head, 80)
    if not all(math.isfinite(step) and step > 0 for step in steps):
        raise Untrusted(
            f"its voxel sizes {', '.join(f'{step:g}' for step in steps)} are not above 0"
        )
    if head[123] & 7 not in _NIFTI_MILLIMETRES:
        raise Untrusted("its lengths are not in millimetres")
    slope, intercept = _unpack(order + "2f", head, 112)
    if (slope == 0 or not math.isfinite(slope)) and intercept != 0 and not math.isnan(intercept):
        raise Untrusted(f"its scaling contradicts itself: slope {slope:g}, intercept {intercept:g}")
    _check_nifti_place(head, order, steps)
    _check_nifti_data(path, head, order)


def _unpack(form: str, head: bytes, at: int) -> tuple[float, ...]:
    return struct.unpack_from(form, head, at)


def _check_nifti_place(head: bytes, order: str, steps: tuple[float, ...]) -> None:
    q_code, s_code = _unpack(order + "2h", head, 252)
    if q_code <= 0 and s_code <= 0:
        raise Untrusted("it does not say how its axes lie in the patient")
    size = np.array(_unpack(order + "3h", head, 42))
    corners = np.array(list(np.ndindex(2, 2, 2))) * np.maximum(size - 1, 1)
    by_s = np.array(_unpack(order + "12f", head, 280)).reshape(3, 4)
    if s_code > 0:
        lengths = np.linalg.norm(by_s[:, :3], axis=0)
        # NaN fails this comparison too.
        if not bool((np.abs(lengths - steps) * np.maximum(size - 1, 1) <= AGREE_MM).all()):
            raise Untrusted("its sform and its voxel sizes contradict each other")
    if q_code > 0 and s_code > 0:
        by_q = _quaternion_affine(head, order, steps)
        apart = np.abs(corners @ (by_s - by_q)[:, :3].T + (by_s - by_q)[:, 3]).max()
        if not apart <= AGREE_MM:
            raise Untrusted(f"its sform and qform contradict each other, by up to {apart:.1f} mm")


def _quaternion_affine(head: bytes, order: str, steps: tuple[float, ...]) -> FloatArray:
    """(3, 4) of the qform, by the formula of nifti1.h (method 2)."""
    b, c, d, *shift = _unpack(order + "6f", head, 256)
    a = math.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    (side,) = _unpack(order + "f", head, 76)
    scaled = turn * np.array([*steps[:2], -steps[2] if side < 0 else steps[2]])
    return np.column_stack([scaled, shift])


def _check_nifti_data(path: Path, head: bytes, order: str) -> None:
    """Whether all voxels are there, and real ones are numbers: the reader would put zeros."""
    count, *sizes = (int(size) for size in _unpack(order + "8h", head, 40))
    kind, bits = (int(value) for value in _unpack(order + "2h", head, 70))
    voxels = math.prod(sizes[: max(0, min(count, 7))])
    (start,) = _unpack(order + "f", head, 108)
    if voxels <= 0 or bits <= 0 or not 0 <= start < 1 << 31:
        raise Untrusted("its header gives no size of an image")
    end = int(start) + voxels * bits // 8
    if path.name.lower().endswith(".gz") or kind in _NIFTI_FLOATS:
        real = np.dtype(order + _NIFTI_FLOATS[kind]) if kind in _NIFTI_FLOATS else None
        held = _walk_data(path, int(start), end, real)
    else:
        held = path.stat().st_size
    if held < end:
        raise Untrusted(f"it holds {held} of {end} bytes")


def _walk_data(path: Path, start: int, end: int, real: np.dtype[np.floating] | None) -> int:
    """Bytes that the file holds once unpacked, up to ``end``; real voxels must be numbers."""
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        held = len(file.read(start))
        while held < end and (piece := file.read(min(1 << 22, end - held))):
            held += len(piece)
            whole = len(piece) // real.itemsize * real.itemsize if real is not None else 0
            if real is not None and not np.isfinite(np.frombuffer(piece[:whole], real)).all():
                raise Untrusted("a voxel is not a number")
        # At its end, gzip compares its checksum.
        file.read(1)
    return held


# ----------------------------------------------------------------------------------------- NRRD


def _check_nrrd(head: bytes) -> None:
    fields = _nrrd_fields(head)
    space = fields.get("space", "")
    if "space directions" not in fields or not space:
        raise Untrusted("it does not say how its axes lie in the patient")
    if space.lower() not in _PATIENT_SPACES:
        raise Untrusted(f"its axes are those of '{space}', not of the patient")
    if "space origin" not in fields:
        raise Untrusted("it does not say where it lies: 'space origin' is absent")
    units = re.findall(r'"([^"]*)"', fields.get("space units", ""))
    if any(unit.strip().lower() not in ("mm", "millimeter", "millimetre", "") for unit in units):
        raise Untrusted(f"its lengths are in {units[0]}, not in millimetres")


def _nrrd_fields(head: bytes) -> dict[str, str]:
    """The fields of the header, which an empty line ends, by their names in lower case."""
    text = head.replace(b"\r\n", b"\n").split(b"\n\n", 1)[0].decode("latin-1")
    fields = {}
    for line in text.split("\n"):
        # A colon without the space marks a key of the writer's own.
        name, mark, value = line.partition(": ")
        if mark and not line.startswith("#"):
            fields[name.strip().lower()] = value.strip()
    return fields


# ------------------------------------------------------------------------------------ MetaImage


def _check_metaimage(path: Path, head: bytes) -> None:
    fields = _metaimage_fields(head)

    def first(*names: str) -> str:
        return next((fields[name] for name in names if name in fields), "")

    if not first("TransformMatrix", "Orientation", "Rotation"):
        raise Untrusted("it does not say how its axes lie in the patient")
    if not first("Offset", "Position", "Origin"):
        raise Untrusted("it does not say where it lies: 'Offset' is absent")
    spacing = first("ElementSpacing", "ElementSize")
    if not spacing:
        raise Untrusted("it does not say how far its voxels lie apart: 'ElementSpacing' is absent")
    for step in spacing.split():
        if not _is_above_zero(step):
            raise Untrusted(f"its voxel spacing {spacing} is not above 0")
    unit = fields.get("DistanceUnits", "mm").lower()
    if unit not in ("mm", "?", ""):
        raise Untrusted(f"its lengths are in {unit}, not in millimetres")
    slope, shift = (
        fields.get("ElementToIntensityFunctionSlope", "1"),
        fields.get("ElementToIntensityFunctionOffset", "0"),
    )
    if not (_is(slope, 1.0) and _is(shift, 0.0)):
        raise Untrusted("its values are scaled by its header, which is not read")
    if fields.get("CompressedData", "").lower() in ("true", "1"):
        _check_compressed(path, head, fields.get("ElementDataFile", ""))


def _check_compressed(path: Path, head: bytes, data_file: str) -> None:
    """Whether compressed voxels are whole: the reader passes over what zlib says of them."""
    local = data_file.upper() == "LOCAL"
    start = head.index(b"\n", head.rindex(b"ElementDataFile")) + 1 if local else 0
    inflater = zlib.decompressobj()
    with (path if local else path.parent / data_file).open("rb") as file:
        file.seek(start)
        while not inflater.eof and (piece := file.read(1 << 20)):
            while piece and not inflater.eof:
                inflater.decompress(piece, 1 << 24)
                piece = inflater.unconsumed_tail
    if not inflater.eof:
        raise Untrusted("its compressed voxels are cut off")


def _metaimage_fields(head: bytes) -> dict[str, str]:
    """The fields of the header, which ElementDataFile ends."""
    fields = {}
    for line in head.decode("latin-1").splitlines():
        name, mark, value = line.partition("=")
        if not mark:
            continue
        fields[name.strip()] = value.strip()
        if name.strip() == "ElementDataFile":
            break
    return fields


def _is_above_zero(text: str) -> bool:
    try:
        value = float(text)
    except ValueError:
        return False
    return math.isfinite(value) and value > 0


def _is(text: str, wanted: float) -> bool:
    try:
        return float(text) == wanted
    except ValueError:
        return False


#: What reading a file's beginning may raise.
UNREADABLE = (OSError, EOFError, zlib.error)
