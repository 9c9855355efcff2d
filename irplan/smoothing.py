"""Filters of volumes, shared between two threads. Pure.

SciPy filters one axis after the other, and every line along an axis by itself; so the lines can be
shared out, and the numbers are SciPy's own to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.balls import by_slabs

FloatVolume = npt.NDArray[np.float32]
Line = Callable[[FloatVolume, FloatVolume, int], Any]


def gaussian(
    array: FloatVolume, sigma: Sequence[float], mode: str = "reflect", truncate: float = 4.0
) -> FloatVolume:
    """:func:`scipy.ndimage.gaussian_filter` of a float32 volume; ``sigma`` in cells, by axis."""

    def line(source: FloatVolume, target: FloatVolume, axis: int) -> None:
        ndimage.gaussian_filter1d(
            source, sigma[axis], axis, output=target, mode=mode, truncate=truncate
        )

    return _by_axis(array, line, [one > 1e-15 for one in sigma])


def uniform(array: FloatVolume, size: Sequence[int]) -> FloatVolume:
    """:func:`scipy.ndimage.uniform_filter` of a float32 volume; ``size`` in cells, by axis."""

    def line(source: FloatVolume, target: FloatVolume, axis: int) -> None:
        ndimage.uniform_filter1d(source, size[axis], axis, output=target)

    return _by_axis(array, line, [one > 1 for one in size])


def _by_axis(array: FloatVolume, line: Line, wanted: Sequence[bool]) -> FloatVolume:
    """``line`` along every axis that is wanted, one after the other."""
    source = array
    for axis in np.flatnonzero(wanted).tolist():
        target = np.empty(array.shape, dtype=np.float32)
        _shared(line, source, target, axis)
        source = target
    return source.copy() if source is array else source


def _shared(line: Line, source: FloatVolume, target: FloatVolume, axis: int) -> None:
    """Filter the lines along one axis, in parts of another axis."""
    across = 1 if axis == 0 else 0

    def part(low: int, high: int) -> None:
        some = [slice(None)] * source.ndim
        some[across] = slice(low, high)
        line(source[tuple(some)], target[tuple(some)], axis)

    by_slabs(part, 0, source.shape[across])
