"""One group of images that passed the gate, as a :class:`~irplan.volume.CtVolume`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from irplan.dicom import pixels
from irplan.dicom.codecs import Undecodable, decode
from irplan.dicom.elements import DEFLATED_LE, Damaged, inflated
from irplan.dicom.gate import Gate
from irplan.dicom.header import SliceHeader
from irplan.dicom.sources import Source, read_member
from irplan.dicom.tilt import straightened
from irplan.errors import InputRefused
from irplan.findings import Finding
from irplan.tasks import SILENT, Task

HuArray = npt.NDArray[np.int16]


def read_hu(
    headers: Sequence[SliceHeader], gate: Gate, subject: str, task: Task = SILENT
) -> tuple[HuArray, list[Finding]]:
    """HU of the volume (z, y, x), in the gate's order, tilt corrected; and what was noticed.

    Raises:
        InputRefused: a file has changed, is cut off, or its pixels do not decode.
    """
    if gate.grid is None:
        raise ValueError("the gate found no grid")
    ordered = [headers[index] for index in gate.order]
    rows, columns = ordered[0].rows, ordered[0].columns
    volume = np.empty((len(ordered), rows, columns), dtype=np.int16)
    clipped = padded = 0
    workers = min(len(ordered), os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        counts = pool.map(_read_slice, ordered, volume)
        for done, (more_clipped, more_padded) in enumerate(counts, 1):
            clipped += more_clipped
            padded += more_padded
            task.step(done, len(ordered))
    findings = []
    if clipped:
        findings.append(
            pixels.HU_CLIPPED(subject, count=clipped, low=pixels.LOWEST_HU, high=pixels.HIGHEST_HU)
        )
    if padded:
        findings.append(pixels.PADDING(subject, count=padded, hu=pixels._padding_hu(ordered[0])))
    if gate.shear_mm != (0.0, 0.0):
        volume = straightened(volume, gate.shear_mm, gate.grid)
    return volume, findings


def _read_slice(header: SliceHeader, out: HuArray) -> tuple[int, int]:
    try:
        if header.transfer_syntax_uid in pixels.NATIVE:
            stored = _native(header, out)
        else:
            stored = decode(header)
        return pixels.to_hu(stored, header, out)
    except (OSError, Damaged, Undecodable) as error:
        raise InputRefused(
            "pixels_unreadable",
            f"{header.name}: the pixels cannot be read: {error}",
            "fetch the series again, or leave it out",
        ) from error


def _native(header: SliceHeader, out: HuArray) -> npt.NDArray[np.integer]:
    """Stored values; where the container is 16 bits, read straight into ``out``'s memory."""
    length = pixels.frame_bytes(header)
    offset = header.pixel_offset + header.frame * length
    order = ">" if header.big_endian else "<"
    if header.member or header.transfer_syntax_uid == DEFLATED_LE:
        data = whole_file(header)
        if header.transfer_syntax_uid == DEFLATED_LE:
            data = inflated(data)
        chunk = data[offset : offset + length]
        if len(chunk) != length:
            raise OSError(f"{len(chunk)} of {length} bytes")
        flat = np.frombuffer(bytearray(chunk), dtype=_container(header, order))
        return _swapped(flat, order).reshape(out.shape)
    target = out if header.bits_allocated == 16 else np.empty(out.shape, dtype=np.uint8)
    with open(header.path, "rb", buffering=0) as file:
        file.seek(offset)
        got = file.readinto(memoryview(target).cast("B"))
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


def whole_file(header: SliceHeader) -> bytes:
    """The bytes of the file, or of the archive's member, that holds the image."""
    if header.member:
        return read_member(Source(header.path, header.member))
    with open(header.path, "rb") as file:
        return file.read()


def stored_bytes(header: SliceHeader) -> bytes:
    """The pixel bytes of one image as the file holds them, to compare two copies.

    Raises:
        OSError, Damaged: the file cannot be read.
    """
    if header.member or header.transfer_syntax_uid == DEFLATED_LE:
        data = whole_file(header)
        if header.transfer_syntax_uid == DEFLATED_LE:
            data = inflated(data)
        data = data[header.pixel_offset :]
    else:
        with open(header.path, "rb") as file:
            file.seek(header.pixel_offset)
            data = file.read()
    if header.transfer_syntax_uid in pixels.NATIVE:
        start = header.frame * pixels.frame_bytes(header)
        return data[start : start + pixels.frame_bytes(header)]
    return data
