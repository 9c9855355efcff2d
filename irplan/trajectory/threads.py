"""Threads for the compiled loops: one for little work, all for much.

Waking threads costs as much as a few exact tests, and far more on a machine that is busy with
something else. The results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numba

#: Threads that take one lesion each.
BESIDE = 2

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def enough_threads(work: int, worth: int) -> Iterator[None]:
    """Compiled loops inside run on one thread where ``work`` is less than it is ``worth``."""
    if work >= worth:
        yield
        return
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def side_by_side(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    done: Callable[[int], None] = lambda count: None,
) -> list[Result]:
    """The results of ``work`` on every item, in their order, two items at a time.

    What is not compiled runs on one thread at a time; so while it does for one item, the compiled
    loops of the other go on. Those take one thread for each item.

    Args:
        work: it must change nothing that the work on another item reads.
        done: called from this thread with the number of items whose results are there.
    """
    if len(items) < 2 or not _loops_may_share():
        results = []
        for item in items:
            results.append(work(item))
            done(len(results))
        return results
    results = []
    with ThreadPoolExecutor(BESIDE, initializer=numba.set_num_threads, initargs=(1,)) as pool:
        for future in [pool.submit(work, item) for item in items]:
            results.append(future.result())
            done(len(results))
    return results


def _loops_may_share() -> bool:
    """Whether two threads may start compiled loops at once: not with numba's own work queue."""
    try:
        layer = numba.threading_layer()  # type: ignore[attr-defined]
        return bool(layer != "workqueue")
    except ValueError:  # no loop ran yet
        return False
