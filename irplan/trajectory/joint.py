"""All lesions together: the cheapest paths that do not get in each other's way.

Each option serves one lesion or several through one skin hole, at a cost; two options are
compatible where their needles, the part outside the skin included, keep a distance from each
other. The choice serves every lesion once. It is exact (branch and bound over the lesions); where
the search is cut short the best lower bound is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numba
import numpy as np
import numpy.typing as npt

from irplan.geometry import FloatArray, PointLps

#: Nodes of the search after which it is cut short and the bound is told.
MAX_NODES = 150_000

#: Hub and tip of a needle, LPS mm.
Axis = tuple[PointLps, PointLps]


@dataclass(frozen=True)
class Option:
    """One way to serve some lesions through one skin hole.

    Attributes:
        cost: of all its passes and of the hole; not negative.
        needles: hub and tip of every pass, LPS mm. Its passes follow each other through one hole,
            so they are not held against each other.
        lesions: numbers of the lesions that it serves, rising.
    """

    cost: float
    needles: tuple[Axis, ...]
    lesions: tuple[int, ...]


@dataclass(frozen=True)
class JointChoice:
    """The chosen options.

    Attributes:
        chosen: numbers of the chosen options, in the order of the first lesion that each serves.
        cost: total of the chosen.
        bound: no compatible choice costs less than this; equals ``cost`` where it is proven best.
        compatible: False where no compatible choice was found: then the cheapest choice is given,
            as if the needles did not meet.
    """

    chosen: tuple[int, ...]
    cost: float
    bound: float
    compatible: bool

    @property
    def proven(self) -> bool:
        """Whether no other choice can cost less."""
        return self.bound >= self.cost


def segment_distance_mm(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> float:
    """Least distance of the segments a-b and c-d, mm."""
    return float(_segment_distance(*(np.asarray(end, dtype=float) for end in (a, b, c, d))))


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _segment_distance(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> float:
    uu, uv, vv, uw, vw = 0.0, 0.0, 0.0, 0.0, 0.0
    for axis in range(3):
        u, v, w = b[axis] - a[axis], d[axis] - c[axis], a[axis] - c[axis]
        uu, uv, vv, uw, vw = uu + u * u, uv + u * v, vv + v * v, uw + u * w, vw + v * w
    best = np.inf
    det = uu * vv - uv * uv
    if det > 1e-12 * max(uu * vv, 1e-12):
        s, t = (uv * vw - vv * uw) / det, (uu * vw - uv * uw) / det
        if 0.0 <= s <= 1.0 and 0.0 <= t <= 1.0:
            best = _apart(a, b, c, d, s, t)
    # Else the nearest points lie at an end of one of the two.
    for end in (0.0, 1.0):
        t = min(max((vw + end * uv) / vv, 0.0), 1.0) if vv > 0 else 0.0
        best = min(best, _apart(a, b, c, d, end, t))
        s = min(max((end * uv - uw) / uu, 0.0), 1.0) if uu > 0 else 0.0
        best = min(best, _apart(a, b, c, d, s, end))
    return best


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _apart(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray, s: float, t: float) -> float:
    """Distance of the point at the share s of a-b from that at the share t of c-d."""
    squared = 0.0
    for axis in range(3):
        one = a[axis] + s * (b[axis] - a[axis])
        squared += (one - c[axis] - t * (d[axis] - c[axis])) ** 2
    root: float = np.sqrt(squared)
    return root


def gap_between(first: Option, second: Option) -> float:
    """Least distance of the needles of two options, mm."""
    return min(
        segment_distance_mm(*(np.asarray(end) for end in (*one, *other)))
        for one in first.needles
        for other in second.needles
    )


def compatible(first: Option, second: Option, gap_mm: float) -> bool:
    """Whether the needles of two options keep ``gap_mm`` from each other."""
    return gap_between(first, second) >= gap_mm


def choose(options: Sequence[Option], lesions: int, gap_mm: float | None) -> JointChoice:
    """The cheapest compatible choice of options that serves every lesion exactly once.

    Args:
        options: at least one for every lesion alone or together.
        lesions: how many lesions there are; they are numbered from 0.
        gap_mm: least distance of two needles; None where the needle before is taken out first.

    Raises:
        ValueError: a lesion is served by no option.
    """
    found = _search(options, lesions, gap_mm)
    if found is None:
        anyway = _search(options, lesions, None)
        if anyway is None:
            raise ValueError("the options do not serve every lesion")
        return JointChoice(anyway.chosen, anyway.cost, anyway.bound, False)
    return found


def _search(options: Sequence[Option], lesions: int, gap_mm: float | None) -> JointChoice | None:
    """Branch and bound; None where it finds no choice.

    Sets of lesions and of options are numbers whose bits name their members.
    """
    fits = _fitting(options, gap_mm)
    serves = [sum(1 << lesion for lesion in option.lesions) for option in options]
    costs = [option.cost for option in options]
    serving = [
        sorted(
            (number for number, option in enumerate(options) if lesion in option.lesions),
            key=lambda number: (costs[number], number),
        )
        for lesion in range(lesions)
    ]
    if any(not numbers for numbers in serving):
        return None
    # What a lesion costs at least: its part of the cheapest option, shared equally.
    least = [
        min(costs[number] / len(options[number].lesions) for number in numbers)
        for numbers in serving
    ]
    everyone = (1 << lesions) - 1

    @cache
    def rest(served: int) -> float:
        """What the lesions that are not served cost at least."""
        return float(sum(least[lesion] for lesion in range(lesions) if not served >> lesion & 1))

    best_cost, best = np.inf, None
    nodes = 0
    cut_bound = np.inf
    stack: list[tuple[float, float, int, int, tuple[int, ...]]] = [(rest(0), 0.0, 0, 0, ())]
    while stack:
        bound, cost, served, taken, chosen = stack.pop()
        if bound >= best_cost - 1e-12:
            continue
        if served == everyone:
            best_cost, best = cost, chosen
            continue
        nodes += 1
        if nodes > MAX_NODES:
            cut_bound = min(cut_bound, bound)
            continue
        following = next(lesion for lesion in range(lesions) if not served >> lesion & 1)
        # The cheapest is looked at first: pushed last.
        for number in reversed(serving[following]):
            if served & serves[number] or taken & ~fits[number]:
                continue
            now = served | serves[number]
            total = cost + costs[number]
            bound = total + rest(now)
            if bound < best_cost - 1e-12:
                stack.append((bound, total, now, taken | 1 << number, (*chosen, number)))
    if best is None:
        return None
    return JointChoice(best, float(best_cost), float(min(best_cost, cut_bound)), True)


def _fitting(options: Sequence[Option], gap_mm: float | None) -> list[int]:
    """For every option the bits of those that it goes together with."""
    if gap_mm is None:
        return [(1 << len(options)) - 1] * len(options)
    axes = np.asarray([axis for option in options for axis in option.needles], dtype=float)
    owner = np.repeat(np.arange(len(options)), [len(option.needles) for option in options])
    fine = _far_enough(axes.reshape(-1, 2, 3), owner, len(options), gap_mm)
    rows = np.packbits(fine, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _far_enough(
    axes: FloatArray, owner: npt.NDArray[np.int64], options: int, gap_mm: float
) -> npt.NDArray[np.bool_]:
    """Whether no needle (n, 2, 3) of one option is nearer than the gap to one of another's."""
    fine = np.ones((options, options), dtype=np.bool_)
    for one in range(axes.shape[0]):
        for other in range(one + 1, axes.shape[0]):
            a, b = owner[one], owner[other]
            if a == b or not fine[a, b]:
                continue
            apart = _segment_distance(axes[one, 0], axes[one, 1], axes[other, 0], axes[other, 1])
            if apart < gap_mm:
                fine[a, b] = False
                fine[b, a] = False
    return fine
