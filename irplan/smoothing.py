"""Filters of volumes, shared between two threads. Pure.

SciPy filters one axis after the other, and every line along an axis by itself; so the lines can be
shared out, and the numbers are SciPy's own to the last digit. The normal's sums are taken in
SciPy's order too, many lines at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numba
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.balls import by_slabs

FloatVolume = npt.NDArray[np.float32]

#: How each mode goes on beyond the ends of a line, in NumPy's words.
_PADDING: dict[str, Literal["symmetric", "edge"]] = {"reflect": "symmetric", "nearest": "edge"}


def gaussian(
    array: FloatVolume, sigma: Sequence[float], mode: str = "reflect", truncate: float = 4.0
) -> FloatVolume:
    """:func:`scipy.ndimage.gaussian_filter` of a float32 volume; ``sigma`` in cells, by axis.

    ``mode``: 'reflect' or 'nearest'.
    """
    source = np.ascontiguousarray(array)
    for axis in np.flatnonzero([one > 1e-15 for one in sigma]).tolist():
        weights = _normal_weights(sigma[axis], truncate)
        reach, length = len(weights) - 1, source.shape[axis]
        index = np.pad(np.arange(length), reach, mode=_PADDING[mode])
        target = np.empty(source.shape, dtype=np.float32)
        one = (source, target, index, weights, axis)
        by_slabs(partial(_weighed, *one), 0, source.shape[1 if axis == 0 else 0])
        source = target
    return source.copy() if source is array else source


def _normal_weights(sigma: float, truncate: float) -> npt.NDArray[np.float64]:
    """SciPy's own weights from the middle outwards: what it makes of a single one."""
    reach = int(truncate * float(sigma) + 0.5)
    single = np.zeros(2 * reach + 1)
    single[reach] = 1.0
    weights = ndimage.gaussian_filter1d(single, sigma, mode="constant", truncate=truncate)
    return np.ascontiguousarray(weights[reach:])


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _weighed(
    source: Any, target: Any, index: Any, weights: Any, axis: int, low: int, high: int
) -> None:
    """Weighed sums along an axis (z, y, x), of a part of y for the first axis, else of z.

    Args:
        index: numbers of a line's cells, padded at both ends.
        weights: from the middle outwards. The outermost cells are added first, as SciPy does.
    """
    depth, height, width = source.shape
    first, last, start, end = (0, depth, low, high) if axis == 0 else (low, high, 0, height)
    reach = weights.size - 1
    line, total = np.empty(index.size), np.empty(width)
    for k in range(first, last):
        for j in range(start, end):
            row = source[k, j]
            for i in range(width):
                total[i] = row[i] * weights[0]
            if axis == 2:
                for i in range(index.size):
                    line[i] = row[index[i]]
            at = reach + (k if axis == 0 else j)
            for off in range(reach, 0, -1):
                if axis == 2:
                    _add(total, line[reach - off :], line[reach + off :], weights[off])
                elif axis == 1:
                    behind = source[k, index[at + off]]
                    _add(total, source[k, index[at - off]], behind, weights[off])
                else:
                    behind = source[index[at + off], j]
                    _add(total, source[index[at - off], j], behind, weights[off])
            out = target[k, j]
            for i in range(width):
                out[i] = total[i]


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _add(total: Any, before: Any, behind: Any, weight: float) -> None:
    for i in range(total.size):
        total[i] += (np.float64(before[i]) + np.float64(behind[i])) * weight


def uniform(array: FloatVolume, size: Sequence[int]) -> FloatVolume:
    """:func:`scipy.ndimage.uniform_filter` of a float32 volume; ``size`` in cells, by axis."""

    source = array
    for axis in np.flatnonzero([one > 1 for one in size]).tolist():
        target = np.empty(array.shape, dtype=np.float32)
        _shared_mean(source, target, size[axis], axis)
        source = target
    return source.copy() if source is array else source


def _shared_mean(source: FloatVolume, target: FloatVolume, size: int, axis: int) -> None:
    """Mean along one axis, in parts of another axis."""
    across = 1 if axis == 0 else 0

    def part(low: int, high: int) -> None:
        some = [slice(None)] * source.ndim
        some[across] = slice(low, high)
        ndimage.uniform_filter1d(source[tuple(some)], size, axis, output=target[tuple(some)])

    by_slabs(part, 0, source.shape[across])
