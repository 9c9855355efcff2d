"""Work on several lesions at once: the same results in the same order, and no thread left over."""

from __future__ import annotations

import threading

import numba
import numpy as np
import pytest

from irplan.trajectory import skin_kernels
from irplan.trajectory.threads import side_by_side


def work(number: int) -> float:
    """A compiled loop on threads, and a little else."""
    share = skin_kernels.block_mean(
        np.random.default_rng(number).random((12, 16, 20)) > 0.5, np.array([3, 2, 4])
    )
    return float(share.sum()) + number


def test_results_come_in_the_order_of_the_items() -> None:
    alone = [work(number) for number in range(7)]
    told: list[int] = []
    before = numba.get_num_threads()
    assert side_by_side(work, range(7), told.append) == alone
    assert told == [1, 2, 3, 4, 5, 6, 7]
    assert numba.get_num_threads() == before


def test_what_fails_is_told_and_leaves_no_thread() -> None:
    work(0)
    before = threading.active_count()

    def fails(number: int) -> float:
        if number == 2:
            raise RuntimeError("the third")
        return work(number)

    with pytest.raises(RuntimeError, match="the third"):
        side_by_side(fails, range(5))
    assert threading.active_count() == before
