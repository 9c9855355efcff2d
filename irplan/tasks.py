"""Progress and cancelling of long work, the same for the terminal and the window.

A long function takes ``task: Task = SILENT`` and calls ``task.step(done, total)`` between pieces
of work: that reports, and raises :class:`~irplan.errors.Cancelled` where the person asked to stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from irplan.errors import Cancelled


class CancelToken:
    """A flag that one thread sets and the working thread reads. Thread-safe."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop at its next step."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether a stop was asked for."""
        return self._event.is_set()


def _report_nothing(label: str, done: int, total: int) -> None:
    """Default progress: silence."""


@dataclass(frozen=True)
class Task:
    """One piece of long work.

    Attributes:
        progress: called as ``progress(label, done, total)``; ``total`` 0 means unknown.
        cancel: read between steps.
        label: what is being done, in a few words.
    """

    progress: Callable[[str, int, int], None] = _report_nothing
    cancel: CancelToken = field(default_factory=CancelToken)
    label: str = "the work"

    def step(self, done: int = 0, total: int = 0) -> None:
        """Report ``done`` of ``total``.

        Raises:
            Cancelled: a stop was asked for.
        """
        if self.cancel.cancelled:
            raise Cancelled(self.label)
        self.progress(self.label, done, total)

    def part(self, label: str) -> Task:
        """The same progress and cancel flag under another label."""
        return Task(self.progress, self.cancel, label)


SILENT = Task()
