"""Uncompressed pixels: the stored bytes of one image, read into place."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from irplan.dicom import pixels
from irplan.dicom.elements import DEFLATED_LE, inflated
from irplan.dicom.header import SliceHeader
from irplan.dicom.sources import Source

HuArray = npt.NDArray[np.int16]


def native_values(header: SliceHeader, out: HuArray) -> npt.NDArray[np.integer]:
    """Stored values; where the container is 16 bits, read straight into ``out``'s memory."""
    length = pixels.frame_bytes(header)
    offset = header.pixel_offset + header.frame * length
    order = ">" if header.big_endian else "<"
    if header.member or header.transfer_syntax_uid == DEFLATED_LE:
        data = data_set(header)
        chunk = data[offset : offset + length]
        if len(chunk) != length:
            raise OSError(f"{len(chunk)} of {length} bytes")
        flat = np.frombuffer(bytearray(chunk), dtype=_container(header, order))
        return _swapped(flat, order).reshape(out.shape)
    sixteen = header.bits_allocated == 16
    target: npt.NDArray[Any] = out if sixteen else np.empty(out.shape, dtype=np.uint8)
    with open(header.path, "rb", buffering=0) as file:
        file.seek(offset)
        got = file.readinto(target.data.cast("B"))
    if got != length:
        raise OSError(f"{got} of {length} bytes; the file has changed")
    return _swapped(target.view(_container(header, order)), order)


def _container(header: SliceHeader, order: str) -> np.dtype[np.integer]:
    kind = "i" if header.signed else "u"
    return np.dtype(f"{order}{kind}{header.bits_allocated // 8}")


def _swapped(values: npt.NDArray[np.integer], order: str) -> npt.NDArray[np.integer]:
    """In the machine's byte order (little-endian on every processor that irplan runs on)."""
    native = np.dtype(values.dtype.newbyteorder("="))
    return values.astype(native) if order == ">" else values


_KEPT_LOCK = threading.Lock()
_kept: dict[tuple[str, str], bytes] = {}


def data_set(header: SliceHeader) -> bytes:
    """The bytes that a header's offsets count in: of the archive's member, or inflated.

    Those of a multiframe file are kept, since each of its frames asks for them, until
    :func:`forget` is called.

    Raises:
        OSError, Damaged: they cannot be read or do not inflate.
    """
    if header.frames is None or header.frames <= 1:
        return _data_set(header)
    key = (header.path, header.member)
    with _KEPT_LOCK:
        if key not in _kept:
            _kept.clear()
            _kept[key] = _data_set(header)
        return _kept[key]


def forget() -> None:
    """Let go of what :func:`data_set` has kept."""
    with _KEPT_LOCK:
        _kept.clear()


def _data_set(header: SliceHeader) -> bytes:
    if header.member:
        from irplan.dicom.archives import read_member

        data = read_member(Source(header.path, header.member))
    else:
        with open(header.path, "rb") as file:
            data = file.read()
    return inflated(data) if header.transfer_syntax_uid == DEFLATED_LE else data


def stored_bytes(header: SliceHeader) -> bytes:
    """The pixel bytes of one image as the file holds them, to compare two copies.

    Raises:
        OSError, Damaged: the file cannot be read.
    """
    if header.member or header.transfer_syntax_uid == DEFLATED_LE:
        data = data_set(header)[header.pixel_offset :]
    else:
        with open(header.path, "rb") as file:
            file.seek(header.pixel_offset)
            data = file.read()
    if header.transfer_syntax_uid in pixels.NATIVE:
        start = header.frame * pixels.frame_bytes(header)
        return data[start : start + pixels.frame_bytes(header)]
    return data
