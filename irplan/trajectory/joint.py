"""All lesions together: the cheapest paths that do not get in each other's way.

Each lesion brings its safe paths with their costs; two paths are compatible where their needles,
the part outside the skin included, keep a distance from each other. The choice is exact (branch
and bound over the lesions); where the search is cut short the best lower bound is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from irplan.geometry import FloatArray

#: Nodes of the search after which it is cut short and the bound is told.
MAX_NODES = 300_000


@dataclass(frozen=True)
class Option:
    """One safe path of a lesion: its cost and the ends of its needle, hub and tip, LPS mm."""

    cost: float
    hub_lps_mm: tuple[float, float, float]
    tip_lps_mm: tuple[float, float, float]


@dataclass(frozen=True)
class JointChoice:
    """The chosen option of every lesion.

    Attributes:
        chosen: index of the option of each lesion.
        cost: total of the chosen.
        bound: no compatible choice costs less than this; equals ``cost`` where it is proven best.
        compatible: False where no compatible choice exists: then each lesion's best is given.
    """

    chosen: tuple[int, ...]
    cost: float
    bound: float
    compatible: bool


def segment_distance_mm(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> float:
    """Least distance of the segments a-b and c-d, mm."""
    u, v, w = b - a, d - c, a - c
    uu, uv, vv = float(u @ u), float(u @ v), float(v @ v)
    uw, vw = float(u @ w), float(v @ w)
    det = uu * vv - uv * uv
    ends = [(0.0, None), (1.0, None), (None, 0.0), (None, 1.0)]
    best = np.inf
    if det > 1e-12 * max(uu * vv, 1e-12):
        s, t = (uv * vw - vv * uw) / det, (uu * vw - uv * uw) / det
        if 0.0 <= s <= 1.0 and 0.0 <= t <= 1.0:
            best = float(np.linalg.norm(w + s * u - t * v))
    # Else the nearest points lie at an end of one of the two.
    for s_end, t_end in ends:
        if s_end is not None:
            s = s_end
            t = min(max((vw + s * uv) / vv, 0.0), 1.0) if vv > 0 else 0.0
        else:
            t = t_end if t_end is not None else 0.0
            s = min(max((t * uv - uw) / uu, 0.0), 1.0) if uu > 0 else 0.0
        best = min(best, float(np.linalg.norm(w + s * u - t * v)))
    return best


def compatible(first: Option, second: Option, gap_mm: float) -> bool:
    """Whether two needles keep ``gap_mm`` from each other."""
    distance = segment_distance_mm(
        np.asarray(first.hub_lps_mm),
        np.asarray(first.tip_lps_mm),
        np.asarray(second.hub_lps_mm),
        np.asarray(second.tip_lps_mm),
    )
    return distance >= gap_mm


def choose(options: Sequence[Sequence[Option]], gap_mm: float) -> JointChoice:
    """The cheapest compatible choice of one option for each lesion.

    Args:
        options: for each lesion its options, at least one, the cheapest first.
        gap_mm: least distance of two needles.
    """
    count = len(options)
    known: dict[tuple[int, int, int, int], bool] = {}

    def fits(first: int, one: int, second: int, other: int) -> bool:
        """Whether two options go together; computed where it is asked for."""
        key = (first, one, second, other)
        if key not in known:
            known[key] = compatible(options[first][one], options[second][other], gap_mm)
        return known[key]

    cheapest = [min(option.cost for option in group) for group in options]
    rest = [sum(cheapest[number:]) for number in range(count + 1)]
    best_cost, best = np.inf, tuple(0 for _ in options)
    nodes = 0
    cut_bound = np.inf
    stack: list[tuple[int, float, tuple[int, ...]]] = [(0, 0.0, ())]
    while stack:
        depth, cost, chosen = stack.pop()
        if cost + rest[depth] >= best_cost:
            continue
        if depth == count:
            best_cost, best = cost, chosen
            continue
        nodes += 1
        if nodes > MAX_NODES:
            cut_bound = min(cut_bound, cost + rest[depth])
            continue
        # The cheapest is looked at first: pushed last.
        order = sorted(
            range(len(options[depth])), key=lambda index: (-options[depth][index].cost, -index)
        )
        for index in order:
            if all(fits(earlier, chosen[earlier], depth, index) for earlier in range(depth)):
                stack.append((depth + 1, cost + options[depth][index].cost, (*chosen, index)))
    if not np.isfinite(best_cost):
        singles = tuple(
            min(range(len(group)), key=lambda index: (group[index].cost, index))
            for group in options
        )
        return JointChoice(singles, float(sum(cheapest)), float(sum(cheapest)), False)
    return JointChoice(best, float(best_cost), float(min(best_cost, cut_bound)), True)
