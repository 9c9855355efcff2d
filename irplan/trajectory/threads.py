"""Threads for the compiled loops: one for little work, all for much.

Waking threads costs as much as a few exact tests, and far more on a machine that is busy with
something else. The results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numba


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
