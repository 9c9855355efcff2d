"""Stored values to HU: what the header must say, and the arithmetic. Nothing is assumed.

A stored value has ``bits_stored`` bits, signed or not; HU = value × slope + intercept, per image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from irplan.dicom.elements import (
    DEFLATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    UNDEFINED,
    Damaged,
)
from irplan.dicom.header import MULTIFRAME_CLASSES, SliceHeader, distinct_texts
from irplan.dicom.sources import STAGE
from irplan.findings import Finding, FindingRule, Forbids, Severity, declare


def _stop(code: str, template: str) -> FindingRule:
    return declare(code, Severity.STOP, STAGE, template, forbids=Forbids.PLAN)


FILE_DAMAGED = _stop("file_damaged", "{count} files are damaged, the first: {name}: {why}")
PIXELS_TRUNCATED = _stop(
    "pixels_truncated", "{name} holds {found} of {expected} bytes of pixels ({count} such files)"
)
PIXEL_FORMAT = _stop("pixel_format", "pixels are stored in a way that no CT is: {what}, in {name}")
PIXEL_FORMAT_DIFFERS = _stop(
    "photometric_differs", "the photometric interpretation changes inside the series"
)
RESCALE_ABSENT = _stop(
    "rescale_absent", "RescaleSlope or RescaleIntercept is absent in {count} images: no HU"
)
RESCALE_INVALID = _stop("rescale_invalid", "slope {slope} or intercept {intercept} in {name}")
NOT_HOUNSFIELD = _stop("not_hounsfield", "RescaleType is {unit}: the pixels are not HU")
TRANSFER_SYNTAX_UNKNOWN = _stop(
    "transfer_syntax_unsupported", "pixels are coded as {syntax}, which is not read"
)
RESCALE_UNSPECIFIED = declare(
    "rescale_unspecified",
    Severity.WARN,
    STAGE,
    "RescaleType is US (unspecified): the values are taken as HU",
)
LOSSY = declare(
    "lossy_source",
    Severity.WARN,
    STAGE,
    "the images were compressed with loss: HU and borders are not as scanned",
)
LOSS_NOT_TOLD = declare(
    "loss_not_told",
    Severity.WARN,
    STAGE,
    "the images are coded in a form that may lose detail, and their headers do not say whether any "
    "was lost",
)
HU_MODIFIED = declare(
    "hu_modified",
    Severity.WARN,
    STAGE,
    "RescaleType is HU_MOD: the values were changed after the scan and may differ from HU",
)
EIGHT_BIT = declare(
    "few_bits", Severity.WARN, STAGE, "pixels have {bits} bits: HU are coarse or were windowed"
)
HU_ROUNDED = declare(
    "hu_rounded",
    Severity.INFO,
    STAGE,
    "the rescaling is not whole ({slope}, {intercept}): HU are rounded to whole numbers",
)
HU_CLIPPED = declare(
    "hu_clipped",
    Severity.WARN,
    STAGE,
    "{count} voxels lie beyond {low} or {high} HU and are set to that limit",
)
PADDING = declare(
    "padding",
    Severity.INFO,
    STAGE,
    "{count} voxels were not imaged (padding); they read as {hu} HU",
)

NATIVE = (IMPLICIT_LE, EXPLICIT_LE, DEFLATED_LE, EXPLICIT_BE)
COMPRESSED = {
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.51": "JPEG extended",
    "1.2.840.10008.1.2.4.57": "JPEG lossless",
    "1.2.840.10008.1.2.4.70": "JPEG lossless, first-order prediction",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "HTJ2K lossless",
    "1.2.840.10008.1.2.4.202": "HTJ2K lossless, RPCL",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
}
#: Syntaxes that can only have been written with loss. The two that allow both say by the tag.
_LOSSY = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
)

#: Syntaxes that allow loss and no loss.
_EITHER = ("1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203")

Stored = npt.NDArray[np.int16] | npt.NDArray[np.uint16]

#: What a voxel that was not imaged reads as where its own value is no HU below air.
NOT_IMAGED_HU = -1024
#: Values of padding between these two are kept: they are as dark as scanners write it.
DARKEST_PADDING_HU = -4096
LOWEST_HU, HIGHEST_HU = -32768, 32767
#: One slice has at most this many pixels a side.
LARGEST_SIDE = 8192


def pixel_findings(headers: Sequence[SliceHeader], subject: str) -> list[Finding]:
    """What forbids or qualifies making HU of these images, from their headers alone."""
    damaged = [header for header in headers if header.damage]
    if damaged:
        first = damaged[0]
        return [FILE_DAMAGED(subject, count=len(damaged), name=first.name, why=first.damage)]
    found: list[Finding] = []
    found += _formats(headers, subject)
    found += _rescaling(headers, subject)
    if found:
        return [*found, *_qualities(headers, subject)]
    short = [header for header in headers if 0 <= _bytes_at_hand(header) < frame_bytes(header)]
    if short:
        found.append(
            PIXELS_TRUNCATED(
                subject,
                name=short[0].name,
                found=_bytes_at_hand(short[0]),
                expected=frame_bytes(short[0]),
                count=len(short),
            )
        )
    return [*found, *_qualities(headers, subject)]


def _formats(headers: Sequence[SliceHeader], subject: str) -> list[Finding]:
    for syntax in sorted({header.transfer_syntax_uid for header in headers}):
        if syntax not in NATIVE and syntax not in COMPRESSED:
            return [TRANSFER_SYNTAX_UNKNOWN(subject, syntax=syntax)]
    for header in headers:
        what = _odd_format(header)
        if what:
            return [PIXEL_FORMAT(subject, what=what, name=header.name)]
    if len({one.get("photometric", "") for one in distinct_texts(headers)}) > 1:
        return [PIXEL_FORMAT_DIFFERS(subject)]
    return []


def _odd_format(header: SliceHeader) -> str:
    """Why the pixels cannot be read as one grey value each, or ''."""
    allocated, stored, high = header.bits_allocated, header.bits_stored, header.high_bit
    if header.samples != 1:
        return f"{header.samples} samples a pixel"
    if header.text("photometric") != "MONOCHROME2":
        return f"photometric interpretation {header.text('photometric') or 'absent'}"
    if allocated not in (8, 16):
        return f"{allocated} bits allocated"
    if not 1 <= stored <= allocated or not stored - 1 <= high < allocated:
        return f"{stored} bits stored, high bit {high}, in {allocated}"
    if header.signed not in (0, 1):
        return f"pixel representation {header.signed}"
    if not (1 <= header.rows <= LARGEST_SIDE and 1 <= header.columns <= LARGEST_SIDE):
        return f"{header.columns} × {header.rows} pixels"
    native = header.transfer_syntax_uid in NATIVE
    if native is (header.pixel_length == UNDEFINED):
        return "encapsulation and transfer syntax contradict each other"
    several = header.frames is not None and header.frames != 1
    if several and header.text("sop_class_uid") not in MULTIFRAME_CLASSES:
        return f"{header.frames:g} frames in a class that has one"
    return ""


def _rescaling(headers: Sequence[SliceHeader], subject: str) -> list[Finding]:
    absent = sum(1 for header in headers if header.slope is None or header.intercept is None)
    if absent:
        return [RESCALE_ABSENT(subject, count=absent)]
    for header in headers:
        slope, intercept = header.slope or 0.0, _value(header.intercept)
        if not (math.isfinite(slope) and slope > 0 and math.isfinite(intercept)) or not (
            1e-6 < slope < 1e4 and abs(intercept) < 1e6
        ):
            return [RESCALE_INVALID(subject, slope=slope, intercept=intercept, name=header.name)]
    units = {one.get("rescale_type", "").upper() for one in distinct_texts(headers)}
    for unit in sorted(units):
        if unit not in ("", "HU", "HU_MOD", "US"):
            return [NOT_HOUNSFIELD(subject, unit=unit)]
    return []


def _qualities(headers: Sequence[SliceHeader], subject: str) -> list[Finding]:
    notes: list[Finding] = []
    units = {one.get("rescale_type", "").upper() for one in distinct_texts(headers)}
    if "US" in units:
        notes.append(RESCALE_UNSPECIFIED(subject))
    if "HU_MOD" in units:
        notes.append(HU_MODIFIED(subject))
    if any(is_lossy(header) for header in headers):
        notes.append(LOSSY(subject))
    elif any(h.transfer_syntax_uid in _EITHER and not h.text("lossy") for h in headers):
        notes.append(LOSS_NOT_TOLD(subject))
    bits = min(header.bits_stored for header in headers)
    if bits < 10:
        notes.append(EIGHT_BIT(subject, bits=bits))
    fractional = next((header for header in headers if not whole_rescale(header)), None)
    # Where the rescaling is absent, that is said elsewhere and nothing is rounded.
    if fractional is not None and None not in (fractional.slope, fractional.intercept):
        notes.append(HU_ROUNDED(subject, slope=fractional.slope, intercept=fractional.intercept))
    return notes


def is_lossy(header: SliceHeader) -> bool:
    """Whether the pixels were ever compressed with loss, by syntax or by the header's word."""
    return header.transfer_syntax_uid in _LOSSY or header.text("lossy") == "01"


def whole_rescale(header: SliceHeader) -> bool:
    """Whether slope and intercept keep whole numbers whole."""
    slope, intercept = header.slope, header.intercept
    return (
        slope is not None
        and intercept is not None
        and float(slope).is_integer()
        and float(intercept).is_integer()
    )


def _value(number: float | None) -> float:
    return math.nan if number is None else number


def frame_bytes(header: SliceHeader) -> int:
    """Bytes of one uncompressed frame."""
    return header.rows * header.columns * header.bits_allocated // 8


def _bytes_at_hand(header: SliceHeader) -> int:
    """Bytes of native pixels behind this frame's start; -1 where the codec has to tell."""
    if header.transfer_syntax_uid not in NATIVE:
        return -1
    return native_length(header)


def native_length(header: SliceHeader) -> int:
    """Bytes of native pixels from this frame's first on, bounded by element and file."""
    behind = header.frame * frame_bytes(header)
    in_element = header.pixel_length - behind
    if header.transfer_syntax_uid == DEFLATED_LE:
        return max(0, in_element)
    return max(0, min(in_element, header.file_size - header.pixel_offset - behind))


def to_hu(
    stored: npt.NDArray[np.integer], header: SliceHeader, out: npt.NDArray[np.int16]
) -> tuple[int, int]:
    """Write the HU of one slice into ``out``; (voxels clipped, voxels of padding).

    Args:
        stored: (rows, columns) as the container holds them, 8 or 16 bits, either sign.
        header: the image's header.
        out: (rows, columns), filled; may share memory with ``stored``.

    Raises:
        Damaged: the pixels use bits that the header does not give them.
    """
    stored, padded = _stored_values(stored, header)
    slope, intercept = _value(header.slope), _value(header.intercept)
    clipped = 0
    if slope == 1.0 and float(intercept).is_integer():
        least, most = _extremes(stored, header)
        if least + intercept >= LOWEST_HU and most + intercept <= HIGHEST_HU:
            # Modular arithmetic is exact here: neither end of the range leaves int16.
            np.add(stored.view(np.int16), np.int16(_wrapped(int(intercept))), out=out)
        else:
            wide = stored.astype(np.int32) + int(intercept)
            clipped = _clip_into(wide, padded, out)
    else:
        real = np.rint(stored.astype(np.float64) * slope + intercept)
        clipped = _clip_into(real, padded, out)
    if padded is None:
        return clipped, 0
    shown = padding_hu(header)
    out[padded] = shown
    return clipped, int(np.count_nonzero(padded))


def _extremes(stored: Stored, header: SliceHeader) -> tuple[int, int]:
    """Two values that no stored value lies outside of: those of the bits where they suffice."""
    bits = header.bits_stored
    if bits <= 12:
        # With any usual intercept this range fits, and no pass over the voxels is needed.
        half = 1 << (bits - 1)
        return (-half, half - 1) if header.signed else (0, 2 * half - 1)
    return int(stored.min()), int(stored.max())


def _wrapped(value: int) -> int:
    return (value + 32768) % 65536 - 32768


def _clip_into(
    values: npt.NDArray[np.int32] | npt.NDArray[np.float64],
    padded: npt.NDArray[np.bool_] | None,
    out: npt.NDArray[np.int16],
) -> int:
    beyond = (values < LOWEST_HU) | (values > HIGHEST_HU)
    if padded is not None:
        beyond &= ~padded
    out[...] = np.clip(values, LOWEST_HU, HIGHEST_HU)
    return int(np.count_nonzero(beyond))


def _stored_values(
    stored: npt.NDArray[np.integer], header: SliceHeader
) -> tuple[Stored, npt.NDArray[np.bool_] | None]:
    """The values as int16 or uint16, and which of them are padding (None where none is).

    Raises:
        Damaged: bits beyond those that the header says are stored are set, and neither padding
            nor an overlay explains them: which bits are the value, nobody can say.
    """
    words = stored.astype(np.uint16) if stored.itemsize == 1 else stored.view(np.uint16)
    if stored.itemsize == 1 and header.bits_allocated == 16:
        words = stored.astype(np.int16).view(np.uint16)
    bits, shift = header.bits_stored, header.high_bit - header.bits_stored + 1
    if bits == 16:
        values: Stored = words.view(np.int16) if header.signed else words
        return values, _padding_mask(values, header)
    overlaid = header.overlay_bits > 1
    if shift:
        if not overlaid and bool((words & np.uint16((1 << shift) - 1)).any()):
            raise Damaged(
                f"pixels use more than the {bits} bits that the header gives them, below these"
            )
        words = words >> np.uint16(shift)
    narrow = _kept_bits(words, header) if overlaid else _narrow(words, header)
    if narrow is not None:
        return narrow, _padding_mask(narrow, header)
    # Padding is often written with more bits than the header names: 63536, or -2000 unsigned.
    marked = words == np.uint16(0 if header.padding is None else header.padding)
    rest = np.where(marked, np.uint16(0), words)
    narrow = _narrow(rest, header) if header.padding is not None else None
    if narrow is None:
        count = int(np.count_nonzero(rest >> np.uint16(bits)))
        raise Damaged(f"{count} pixels use more than the {bits} bits that the header gives them")
    padded = _padding_mask(narrow, header)
    return narrow, marked if padded is None else padded | marked


def _narrow(words: npt.NDArray[np.uint16], header: SliceHeader) -> Stored | None:
    """The values of words of fewer than 16 bits; None where a word holds more than that."""
    bits = header.bits_stored
    if not header.signed:
        return words if int(words.max()) < 1 << bits else None
    half = 1 << (bits - 1)
    extended = words.view(np.int16)
    if int(extended.min()) >= -half and int(extended.max()) < half:
        return extended
    return _kept_bits(words, header) if int(words.max()) < 1 << bits else None


def _kept_bits(words: npt.NDArray[np.uint16], header: SliceHeader) -> Stored:
    """The value bits alone: what lies in the spare bits (overlays) is dropped."""
    bits = header.bits_stored
    if not header.signed:
        return words & np.uint16((1 << bits) - 1)
    # Move the sign bit to the top, then back arithmetically.
    return (words << np.uint16(16 - bits)).view(np.int16) >> np.int16(16 - bits)


def _padding_range(header: SliceHeader) -> tuple[int, int] | None:
    if header.padding is None:
        return None
    first = _as_stored(header.padding, header)
    last = first if header.padding_limit is None else _as_stored(header.padding_limit, header)
    return min(first, last), max(first, last)


def _as_stored(raw: int, header: SliceHeader) -> int:
    """A padding tag's value in the pixels' own sign."""
    return raw - 65536 if header.signed and raw >= 32768 else raw


def _padding_mask(stored: Stored, header: SliceHeader) -> npt.NDArray[np.bool_] | None:
    span = _padding_range(header)
    if span is None:
        return None
    mask = stored == span[0] if span[0] == span[1] else (stored >= span[0]) & (stored <= span[1])
    return mask if bool(mask.any()) else None


def padding_hu(header: SliceHeader) -> int:
    """What padding reads as: its own value where that is as dark as air, else air."""
    span = _padding_range(header)
    if span is None:
        return NOT_IMAGED_HU
    value = round(span[0] * _value(header.slope) + _value(header.intercept))
    return value if DARKEST_PADDING_HU <= value <= NOT_IMAGED_HU else NOT_IMAGED_HU
