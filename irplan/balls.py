"""Growing a mask by a small ball, and sharing loops between two threads. Pure.

A distance field costs four bytes a cell and three passes; a ball of few cells needs one byte and
compares whole rows. Both give the same cells.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from irplan.geometry import BoolArray

#: Rows of a ball up to which it is faster than a distance field.
MAX_ROWS = 900
#: Threads of a loop; no result depends on it.
THREADS = 2
#: Masks of fewer cells are grown on one thread: making threads costs more.
MANY_CELLS = 200_000
#: Cells closer than this to a ball's border lie in it: rounding must not decide, mm.
_TIE_MM = 1e-5

Rows = npt.NDArray[np.int64]


def by_slabs(work: Callable[[int, int], None], low: int, high: int, threads: int = THREADS) -> None:
    """Run ``work(low, high)`` on parts of a range; the parts must not depend on each other.

    More parts than threads: their costs differ.
    """
    if threads == 1 or high - low < 2 * threads:
        work(low, high)
        return
    edges = np.linspace(low, high, 4 * threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        for part in [pool.submit(work, a, b) for a, b in pairwise(edges)]:
            part.result()


def ball(radius_mm: float, spacing_zyx_mm: tuple[float, float, float]) -> Rows:
    """The rows of a ball: (n, 3) offsets along z and y and the reach along x, all in cells.

    A cell belongs to it where its centre lies within ``radius_mm``; nearest rows come first.
    """
    z_mm, y_mm, x_mm = spacing_zyx_mm
    limit = radius_mm + _TIE_MM
    up, back = int(limit / z_mm), int(limit / y_mm)
    rows = []
    for dz in range(-up, up + 1):
        for dy in range(-back, back + 1):
            rest = limit**2 - (dz * z_mm) ** 2 - (dy * y_mm) ** 2
            if rest >= 0.0:
                rows.append((dz, dy, int(np.sqrt(rest) / x_mm)))
    rows.sort(key=lambda row: (-row[2], row[0], row[1]))
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def grown(mask: BoolArray, rows: Rows, threads: int = THREADS) -> BoolArray:
    """The cells (z, y, x) that a ball centred on them shares with the mask."""
    mask = np.ascontiguousarray(mask)
    threads = threads if mask.size >= MANY_CELLS else 1
    result = np.zeros(mask.shape, dtype=np.uint8)
    # Along a row: cells to the next one of the mask, no more than the widest row asks for.
    most = min(254, int(rows[:, 2].max()))
    gaps = np.empty(mask.shape, dtype=np.uint8)
    held = np.zeros(mask.shape[:2], dtype=np.bool_)
    by_slabs(lambda low, high: _gaps(mask, gaps, held, most, low, high), 0, len(mask), threads)
    by_slabs(lambda low, high: _reach(gaps, held, rows, result, low, high), 0, len(mask), threads)
    return result.view(np.bool_)


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _gaps(mask: Any, gaps: Any, held: Any, most: int, low: int, high: int) -> None:
    columns = mask.shape[2]
    for z in range(low, high):
        for y in range(mask.shape[1]):
            gap = most + 1
            for x in range(columns):
                gap = 0 if mask[z, y, x] else min(gap + 1, most + 1)
                gaps[z, y, x] = gap
                held[z, y] |= gap == 0
            if held[z, y]:
                for x in range(columns - 1, -1, -1):
                    gap = min(gap + 1, gaps[z, y, x])
                    gaps[z, y, x] = gap


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _reach(gaps: Any, held: Any, rows: Any, result: Any, low: int, high: int) -> None:
    levels, lines, columns = gaps.shape
    for z in range(low, high):
        for y in range(lines):
            line = result[z, y]
            full = False
            for k in range(rows.shape[0]):
                above, beside = z + rows[k, 0], y + rows[k, 1]
                if above < 0 or above >= levels or beside < 0 or beside >= lines:
                    continue
                if full or not held[above, beside]:
                    continue
                near = gaps[above, beside]
                reach = np.uint8(rows[k, 2])
                for x in range(columns):
                    line[x] |= near[x] <= reach
                if k % 8 == 0:
                    count = 0
                    for x in range(columns):
                        count += line[x]
                    full = count == columns
