"""Compressed pixels through well-kept codecs: OpenJPEG, CharLS, GDCM, pylibjpeg's RLE.

Each syntax has one codec, so that the result does not depend on what else is installed. What the
code stream says of itself must agree with the header; nothing is cropped, padded or guessed.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from irplan.dicom.header import SliceHeader
from irplan.dicom.sources import Source


class Undecodable(Exception):
    """The codec refused the bytes, or made something else of them than the header says."""


@dataclass(frozen=True)
class Decoded:
    """One decoded image.

    Attributes:
        values: (rows, columns), 8 or 16 bits, as the codec gave them.
        precision: value bits that the code stream states; 0 where it states none.
        lossy: whether the code stream itself says that it was made with loss, whatever the
            header says of it.
    """

    values: npt.NDArray[np.integer]
    precision: int
    lossy: bool = False


def decode(header: SliceHeader) -> tuple[npt.NDArray[np.integer], SliceHeader, bool]:
    """Stored values (rows, columns) of one compressed image, the header to read them by, and
    whether the code stream says that it was made with loss.

    Where the code stream states more value bits than the header, those are real and count.

    Raises:
        Undecodable: not decodable as what the header says.
        OSError: the file cannot be read.
    """
    stream = _code_stream(header)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decoded = _CODECS[header.transfer_syntax_uid](stream, header)
    except (Undecodable, MemoryError):
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise Undecodable(lines[-1]) from error
    if decoded.values.shape != (header.rows, header.columns):
        raise Undecodable(f"decoded to {decoded.values.shape}, not {(header.rows, header.columns)}")
    if decoded.precision > header.bits_stored:
        bits = decoded.precision
        header = header._replace(bits_stored=bits, high_bit=bits - 1)
    return np.ascontiguousarray(decoded.values), header, decoded.lossy


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise Undecodable(f"the code stream contradicts the header: {what}")


def _jpeg2000(stream: bytes, header: SliceHeader) -> Decoded:
    from openjpeg import utils as openjpeg  # its names are public in this module

    said: dict[str, Any] = openjpeg.get_parameters(stream)
    _check_said(header, said["rows"], said["columns"], said["samples_per_pixel"])
    precision = int(said["precision"])
    _require(precision <= 16, f"{precision} bits")
    values = openjpeg.decode(stream)
    _check_sign(header, values, bool(said["is_signed"]), precision)
    return Decoded(values, precision, _irreversible(stream))


def _check_sign(
    header: SliceHeader, values: npt.NDArray[np.integer], signed: bool, precision: int
) -> None:
    """Header and code stream may name the sign differently only where no value depends on it.

    One exception is met in files and means one thing only: a header that says signed, with a code
    stream of just as many bits whose top bit is that sign.
    """
    if signed and not header.signed:
        _require(int(values.min()) >= 0, "values below zero, where the header says unsigned")
    if header.signed and not signed and precision < header.bits_stored:
        _require(
            int(values.max()) < 1 << (precision - 1),
            f"{precision} bits without a sign, where the header says {header.bits_stored} with one",
        )


def _jpeg_ls(stream: bytes, header: SliceHeader) -> Decoded:
    import jpeg_ls

    # Before it is decoded: a hostile size would keep the decoder busy for long.
    _, _, rows, columns, samples = _jpeg_frame(stream)
    _check_said(header, rows, columns, samples)
    buffer, said = jpeg_ls.decode_pixel_data(stream)
    _check_said(header, said["height"], said["width"], said["components"])
    precision = int(said["bits_per_sample"])
    kind = "<u2" if precision > 8 else "u1"
    flat = np.frombuffer(buffer, dtype=kind)
    lossy = int(said["allowed_lossy_error"]) > 0
    return Decoded(flat.reshape(header.rows, header.columns), precision, lossy)


def _rle(stream: bytes, header: SliceHeader) -> Decoded:
    from rle.utils import decode_pixel_data

    shape: Any = {"rows": header.rows, "columns": header.columns}
    bits = header.bits_allocated
    buffer: Any = decode_pixel_data(stream, version=2, bits_allocated=bits, **shape)
    flat = np.frombuffer(buffer, dtype=f"<u{header.bits_allocated // 8}")
    return Decoded(flat.reshape(header.rows, header.columns), 0)


def _jpeg(stream: bytes, header: SliceHeader) -> Decoded:
    import gdcm

    process, precision, rows, columns, samples = _jpeg_frame(stream)
    _check_said(header, rows, columns, samples)
    _require(precision <= header.bits_allocated, f"{precision} bits")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(stream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((header.columns, header.rows, 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2)
    image.SetPhotometricInterpretation(grey)
    syntax = gdcm.TransferSyntax.GetTSType(header.transfer_syntax_uid)
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    bits = header.bits_stored
    image.SetPixelFormat(gdcm.PixelFormat(1, header.bits_allocated, bits, bits - 1, header.signed))
    # The binding hands bytes over as text.
    buffer = image.GetBuffer().encode("utf-8", "surrogateescape")
    flat = np.frombuffer(buffer, dtype=f"<u{header.bits_allocated // 8}")
    lossy = process not in _LOSSLESS_PROCESSES
    return Decoded(flat.reshape(header.rows, header.columns), 0, lossy)


def _check_said(header: SliceHeader, rows: int, columns: int, samples: int) -> None:
    _require(
        (rows, columns) == (header.rows, header.columns),
        f"{columns} × {rows} pixels, not {header.columns} × {header.rows}",
    )
    _require(samples == 1, f"{samples} samples a pixel")


_CODECS: dict[str, Callable[[bytes, SliceHeader], Decoded]] = {
    "1.2.840.10008.1.2.5": _rle,
    "1.2.840.10008.1.2.4.50": _jpeg,
    "1.2.840.10008.1.2.4.51": _jpeg,
    "1.2.840.10008.1.2.4.57": _jpeg,
    "1.2.840.10008.1.2.4.70": _jpeg,
    "1.2.840.10008.1.2.4.80": _jpeg_ls,
    "1.2.840.10008.1.2.4.81": _jpeg_ls,
    "1.2.840.10008.1.2.4.90": _jpeg2000,
    "1.2.840.10008.1.2.4.91": _jpeg2000,
    "1.2.840.10008.1.2.4.201": _jpeg2000,
    "1.2.840.10008.1.2.4.202": _jpeg2000,
    "1.2.840.10008.1.2.4.203": _jpeg2000,
}

#: JPEG start-of-frame markers; the ones left out (C4, C8, CC) are tables. F7 is JPEG-LS's.
_FRAME_MARKERS = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
#: Those of the lossless processes (ITU-T T.81, table B.1).
_LOSSLESS_PROCESSES = (0xC3, 0xC7, 0xCB, 0xCF)


def _jpeg_frame(stream: bytes) -> tuple[int, int, int, int, int]:
    """(process, precision, rows, columns, samples) from a JPEG's frame header."""
    position = 2
    while position + 9 < len(stream):
        mark, kind, length = struct.unpack_from(">BBH", stream, position)
        if mark != 0xFF:
            break
        if kind in _FRAME_MARKERS:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", stream, position + 4)
            return kind, precision, rows, columns, samples
        position += 2 + length
    raise Undecodable("no JPEG frame header")


#: Start of a JPEG 2000 code stream; its coding style; the end of its main header (ITU-T T.800 A).
_CODE_STREAM, _CODING_STYLE, _TILE = b"\xff\x4f\xff\x51", 0xFF52, 0xFF90


def _irreversible(stream: bytes) -> bool:
    """Whether a JPEG 2000 code stream used the wavelet that cannot be undone exactly (9-7)."""
    position = stream.find(_CODE_STREAM) + 2
    while position + 14 <= len(stream):
        mark, length = struct.unpack_from(">HH", stream, position)
        if mark == _CODING_STYLE:
            # Behind the marker: length, style, order, layers, components, levels, block, wavelet.
            return stream[position + 13] == 0
        if mark == _TILE:
            break
        position += 2 + length
    return False


_ITEM = struct.Struct("<HHI").unpack_from
_ITEM_TAG = (0xFFFE, 0xE000)


def _code_stream(header: SliceHeader) -> bytes:
    """The code stream of one frame: its fragments, joined."""
    frames = max(1, int(header.frames or 1))
    if frames > 1:
        split = _frames(header.path, header.member, header.pixel_offset, frames)
        if header.frame >= len(split):
            raise Undecodable(f"frame {header.frame + 1} is not there")
        return split[header.frame]
    data = _encapsulated(header.path, header.member, header.pixel_offset)
    pieces: list[bytes] = []
    position = 0
    while position + 8 <= len(data):
        group, element, length = _ITEM(data, position)
        if (group, element) != _ITEM_TAG:
            break
        if position + 8 + length > len(data):
            raise Undecodable("the last fragment is cut off")
        pieces.append(data[position + 8 : position + 8 + length])
        position += 8 + length
    if len(pieces) < 2:
        raise Undecodable("no fragment of pixels")
    # The first item is the table of offsets.
    return pieces[1] if len(pieces) == 2 else b"".join(pieces[1:])


@lru_cache(maxsize=1)
def _frames(path: str, member: str, offset: int, count: int) -> list[bytes]:
    """The code streams of a multiframe file, kept while its frames are decoded one by one."""
    from pydicom.encaps import generate_frames

    try:
        return list(generate_frames(_encapsulated(path, member, offset), number_of_frames=count))
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise Undecodable(f"the frames cannot be told apart: {error}") from error


def _encapsulated(path: str, member: str, offset: int) -> bytes:
    if member:
        from irplan.dicom.archives import read_member

        return read_member(Source(path, member))[offset:]
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read()
