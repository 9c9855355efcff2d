"""Picking the cheapest safe candidate of every cube of skin with as few exact tests as can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from irplan.tasks import SILENT, Task

if TYPE_CHECKING:
    from irplan.trajectory.search import Search

AnyArray = npt.NDArray[Any]

#: Candidates of one cube tested at a time, at most; a cube starts with one and doubles.
MOST_AT_ONCE = 64


class Picked:
    """The cheapest safe candidates of cubes of skin, by cube.

    Attributes:
        found: cube → (cost, candidate) of its cheapest safe candidate.
        spent: whether as many candidates were tested as were allowed.
    """

    def __init__(
        self,
        search: Search,
        cell_of: npt.NDArray[np.int64],
        tests: int,
        accepted: Callable[[int, int], bool],
    ) -> None:
        """
        Args:
            search: whose candidates these are; a candidate is skin point × places + place.
            cell_of: cube of every skin point.
            tests: candidates tested once one is found.
            accepted: the last word on a candidate (skin point, place) that passed the exact test.
        """
        self.search, self.cell_of, self.accepted = search, cell_of, accepted
        self.found: dict[int, tuple[float, int]] = {}
        self._tests, self._tested = tests, 0

    @property
    def spent(self) -> bool:
        """Whether no more tests are allowed."""
        return bool(self.found) and self._tested >= self._tests

    def take(
        self, order: npt.NDArray[np.int64], cost: AnyArray, size: int, task: Task = SILENT
    ) -> None:
        """Go on until the ``size`` cheapest cubes are known.

        Args:
            order: candidates, the cheapest first; none is cheaper than one taken before.
            cost: of every candidate.

        A cube that is not settled costs at least what its next candidate costs. Of the cheapest
        cubes, settled or not, those that are not are tested, until all of them are settled.
        """
        places = len(self.search.tips_lps_mm)
        cells = self.cell_of[order // places]
        grouped = order[np.argsort(cells, kind="stable")]
        names, count = np.unique(cells, return_counts=True)
        ends = np.cumsum(count)
        at = ends - count
        step = np.ones(len(names), dtype=np.int64)
        pending = np.array([name not in self.found for name in names.tolist()], dtype=bool)
        while not self.spent:
            task.step()
            open_cells = np.flatnonzero(pending & (at < ends))
            if len(open_cells) == 0:
                return
            by_cost = cost[grouped[at[open_cells]]]
            settled = np.sort([worth for worth, _ in self.found.values()])
            rank = np.lexsort((grouped[at[open_cells]], by_cost))
            # Places among the cheapest that settled cubes do not hold.
            ahead = np.searchsorted(settled, by_cost[rank], side="right") + np.arange(len(rank))
            chosen = open_cells[rank[ahead < size]]
            if len(chosen) == 0:
                return
            self._test(chosen, names, grouped, cost, at, ends, step, pending)

    def _test(
        self,
        chosen: npt.NDArray[np.int64],
        names: npt.NDArray[np.int64],
        grouped: npt.NDArray[np.int64],
        cost: AnyArray,
        at: npt.NDArray[np.int64],
        ends: npt.NDArray[np.int64],
        step: npt.NDArray[np.int64],
        pending: npt.NDArray[np.bool_],
    ) -> None:
        """Test the next candidates of some cubes, and move on behind them."""
        places = len(self.search.tips_lps_mm)
        until = np.minimum(at[chosen] + step[chosen], ends[chosen])
        numbers = [np.arange(low, high) for low, high in zip(at[chosen], until, strict=True)]
        candidates = grouped[np.concatenate(numbers)]
        clear = self.search.exactly_clear(candidates // places, candidates % places)
        self._tested += len(candidates)
        place = 0
        for cell, own in zip(chosen, numbers, strict=True):
            passed = candidates[place : place + len(own)][clear[place : place + len(own)]]
            place += len(own)
            for candidate in passed.tolist():
                if self.accepted(candidate // places, candidate % places):
                    self.found[int(names[cell])] = (float(cost[candidate]), candidate)
                    pending[cell] = False
                    break
        at[chosen] = until
        step[chosen] = np.minimum(2 * step[chosen], MOST_AT_ONCE)


def cheapest_first(
    cost: AnyArray, flat: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64]:
    """At least ``count`` of the numbers in ``flat``, the cheapest first, ties to the lower number.

    ``flat`` rises. What is returned is the beginning of the whole order.
    """
    values = cost[flat]
    if count < len(flat):
        bound = np.partition(values, count - 1)[count - 1]
        few = np.flatnonzero(values <= bound)
        flat, values = flat[few], values[few]
    return flat[np.argsort(values, kind="stable")]
