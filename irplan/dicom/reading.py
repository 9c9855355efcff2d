"""One group of images that passed the gate, as a :class:`~irplan.volume.CtVolume`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from irplan.dicom import pixels
from irplan.dicom.decoder_pool import Counts, DecoderFailed, decode_all, shared_volume
from irplan.dicom.elements import Damaged
from irplan.dicom.gate import Gate
from irplan.dicom.header import SliceHeader
from irplan.dicom.native import forget, native_values
from irplan.dicom.tilt import straightened
from irplan.errors import InputRefused
from irplan.findings import Finding
from irplan.tasks import SILENT, Task

HuArray = npt.NDArray[np.int16]


#: Called as each slice is in place: its index and its HU, (rows, columns). Straight volumes only.
OnSlice = Callable[[int, HuArray], None]
#: Called with the array (z, y, x) that the slices come into; what did not come is not defined.
OnArray = Callable[[HuArray], None]


def read_hu(
    headers: Sequence[SliceHeader],
    gate: Gate,
    subject: str,
    task: Task = SILENT,
    on_slice: OnSlice | None = None,
    first: int = 0,
    on_array: OnArray | None = None,
) -> tuple[HuArray, list[Finding]]:
    """HU of the volume (z, y, x), in the gate's order, tilt corrected; and what was noticed.

    Args:
        headers: the images that passed the gate.
        gate: what it made of them.
        subject: what the findings are about.
        task: progress and cancelling.
        on_slice: told of every slice as it is there, before the volume is whole.
        first: the slice that is read first; the others follow in order.
        on_array: told of the array that the slices come into, before the first one.

    Raises:
        InputRefused: a file has changed, is cut off, or its pixels do not decode.
        Cancelled: the task was cancelled.
    """
    if gate.grid is None:
        raise ValueError("the gate found no grid")
    ordered = [headers[index] for index in gate.order]
    order = [first, *(index for index in range(len(ordered)) if index != first)]
    shape = (len(ordered), ordered[0].rows, ordered[0].columns)
    totals = {"clipped": 0, "padded": 0, "lossy": 0, "done": 0}
    straight = gate.shear_mm == (0.0, 0.0)

    def landed(index: int, counts: Counts) -> None:
        totals["clipped"] += counts.clipped
        totals["padded"] += counts.padded
        totals["lossy"] += counts.lossy
        totals["done"] += 1
        if on_slice is not None and straight:
            on_slice(index, volume[index])
        task.step(totals["done"], len(ordered))

    def begun() -> None:
        if on_array is not None and straight:
            on_array(volume.view())

    workers = os.cpu_count() or 1
    if all(header.transfer_syntax_uid in pixels.NATIVE for header in ordered):
        volume = np.empty(shape, dtype=np.int16)
        begun()
        _read_native(ordered, order, volume, landed, workers)
    else:
        shared, volume = shared_volume(shape)
        begun()
        try:
            decode_all(ordered, order, shared, shape, landed, workers)
        except DecoderFailed as failure:
            raise _unreadable(ordered[failure.index], failure) from failure
        finally:
            os.close(shared)
    if not straight:
        volume = straightened(volume, gate.shear_mm, gate.grid)
    return volume, _findings(totals, ordered, subject)


def _findings(
    totals: dict[str, int], headers: Sequence[SliceHeader], subject: str
) -> list[Finding]:
    findings = []
    if totals["lossy"] and not any(map(pixels.is_lossy, headers)):
        # The code streams tell it, where the headers do not.
        findings.append(pixels.LOSSY(subject))
    if totals["clipped"]:
        low, high = pixels.LOWEST_HU, pixels.HIGHEST_HU
        findings.append(pixels.HU_CLIPPED(subject, count=totals["clipped"], low=low, high=high))
    if totals["padded"]:
        shown = pixels.padding_hu(headers[0])
        findings.append(pixels.PADDING(subject, count=totals["padded"], hu=shown))
    return findings


def _read_native(
    headers: Sequence[SliceHeader],
    order: Sequence[int],
    volume: HuArray,
    landed: Callable[[int, Counts], None],
    workers: int,
) -> None:
    """Read uncompressed slices on threads: the system's read and numpy both leave them free."""

    def read(index: int) -> Counts:
        header, out = headers[index], volume[index]
        return Counts(*pixels.to_hu(native_values(header, out), header, out))

    with ThreadPoolExecutor(min(len(order), workers)) as pool:
        futures = [pool.submit(read, index) for index in order]
        try:
            for index, future in zip(order, futures, strict=True):
                try:
                    counts = future.result()
                except (OSError, Damaged) as error:
                    raise _unreadable(headers[index], error) from error
                landed(index, counts)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            forget()


def _unreadable(header: SliceHeader, error: Exception) -> InputRefused:
    return InputRefused(
        "pixels_unreadable",
        f"{header.name}: the pixels cannot be read: {error}",
        "fetch the series again, or leave it out",
    )
