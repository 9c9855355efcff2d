"""Filters of volumes, shared between two threads. Pure.

SciPy filters one axis after the other, and every line along an axis by itself; so the lines can be
shared out, many at a time. Sums are taken in SciPy's order, and the numbers are its own to the last
digit.
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

    source = np.ascontiguousarray(array)
    for axis in np.flatnonzero([one > 1 for one in size]).tolist():
        before = size[axis] // 2
        length = source.shape[axis]
        index = np.pad(np.arange(length), (before, size[axis] - before - 1), mode="symmetric")
        target = np.empty(source.shape, dtype=np.float32)
        one = (source, target, index, size[axis], axis)
        by_slabs(partial(_meaned, *one), 0, source.shape[1 if axis == 0 else 0])
        source = target
    return source.copy() if source is array else source


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _meaned(
    source: Any, target: Any, index: Any, size: int, axis: int, low: int, high: int
) -> None:
    """Means of ``size`` cells along an axis, of a part as in :func:`_weighed`.

    A sum goes along every line: one cell comes to it and one leaves, as SciPy does.
    """
    depth, height, width = source.shape
    if axis == 2:
        for k in range(low, high):
            for j in range(height):
                row, out = source[k, j], target[k, j]
                total = 0.0
                for off in range(size):
                    total += row[index[off]]
                out[0] = total / size
                for i in range(1, width):
                    total += np.float64(row[index[i + size - 1]]) - np.float64(row[index[i - 1]])
                    out[i] = total / size
        return
    totals = np.empty(width)
    for line in range(low, high):
        totals[:] = 0.0
        for off in range(size):
            first = source[index[off], line] if axis == 0 else source[line, index[off]]
            for i in range(width):
                totals[i] += first[i]
        for at in range(depth if axis == 0 else height):
            out = target[at, line] if axis == 0 else target[line, at]
            if at > 0:
                new, old = index[at + size - 1], index[at - 1]
                comes = source[new, line] if axis == 0 else source[line, new]
                leaves = source[old, line] if axis == 0 else source[line, old]
                for i in range(width):
                    totals[i] += np.float64(comes[i]) - np.float64(leaves[i])
            for i in range(width):
                out[i] = totals[i] / size
