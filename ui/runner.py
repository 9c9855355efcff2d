"""The one task runner: the only place where a thread and Qt's state meet.

Work runs on one worker thread, one piece at a time, and hands its result back on the window's
thread. While it runs the window disables every control that would call the session, so the
session is used from one thread at a time. Cancelling sets the flag that the core reads between
its steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from PyQt6.QtCore import QObject, QRunnable, QThreadPool, pyqtSignal

from irplan.errors import Cancelled, IrplanError
from irplan.tasks import CancelToken, Task

#: Progress is passed on at most this often, in seconds: a window cannot show more.
PROGRESS_EVERY_S = 0.04


class _Messages(QObject):
    """Carries what the worker says over to the window's thread (queued by Qt)."""

    progress = pyqtSignal(str, int, int)
    done = pyqtSignal(object)
    failed = pyqtSignal(object)


class _Job(QRunnable):
    """One piece of work on the worker thread. It touches no widget."""

    def __init__(self, work: Callable[[Task], Any], token: CancelToken, messages: _Messages):
        super().__init__()
        self.setAutoDelete(True)
        self._work = work
        self._token = token
        self._messages = messages
        self._reported = ("", 0.0)

    def run(self) -> None:
        """Called by the thread pool."""
        try:
            result = self._work(Task(self._report, self._token))
        except Exception as error:  # noqa: BLE001 - handed to the window, which shows it
            self._messages.failed.emit(error)
        else:
            self._messages.done.emit(result)

    def _report(self, label: str, done: int, total: int) -> None:
        last_label, last_time = self._reported
        now = time.monotonic()
        if label != last_label or now - last_time >= PROGRESS_EVERY_S:
            self._reported = (label, now)
            self._messages.progress.emit(label, done, total)


class TaskRunner(QObject):
    """Runs one piece of long work at a time.

    Signals:
        started(label): work began; the window is busy.
        progress(label, done, total): ``total`` 0 means unknown.
        stopped(): work ended, one way or the other; emitted before the outcome is handed on.
        cancelled(label), refused(IrplanError), faulted(Exception): how it ended badly.
    """

    started = pyqtSignal(str)
    progress = pyqtSignal(str, int, int)
    stopped = pyqtSignal()
    cancelled = pyqtSignal(str)
    refused = pyqtSignal(object)
    faulted = pyqtSignal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._token: CancelToken | None = None
        self._label = ""
        self._messages: _Messages | None = None
        self._then: Callable[[Any], None] | None = None

    @property
    def busy(self) -> bool:
        """Whether work is running."""
        return self._token is not None

    def run(self, label: str, work: Callable[[Task], Any], then: Callable[[Any], None]) -> bool:
        """Start ``work(task)``; ``then(result)`` follows on the window's thread.

        Returns False, and starts nothing, while other work runs.
        """
        if self.busy:
            return False
        self._token, self._label, self._then = CancelToken(), label, then
        self._messages = _Messages()
        self._messages.progress.connect(self.progress)
        self._messages.done.connect(self._on_done)
        self._messages.failed.connect(self._on_failed)
        self.started.emit(label)
        self._pool.start(_Job(work, self._token, self._messages))
        return True

    def cancel(self) -> None:
        """Ask the running work to stop at its next step."""
        if self._token is not None:
            self._token.cancel()

    def wait(self, milliseconds: int = -1) -> bool:
        """Block until the worker has ended; its outcome is delivered by the event loop."""
        return self._pool.waitForDone(milliseconds)

    def _end(self) -> Callable[[Any], None] | None:
        then, self._token, self._then = self._then, None, None
        self.stopped.emit()
        return then

    def _on_done(self, result: Any) -> None:
        then = self._end()
        if then is not None:
            then(result)

    def _on_failed(self, error: Exception) -> None:
        label = self._label
        self._end()
        if isinstance(error, Cancelled):
            self.cancelled.emit(label)
        elif isinstance(error, IrplanError):
            self.refused.emit(error)
        else:
            self.faulted.emit(error)
