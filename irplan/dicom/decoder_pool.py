"""Compressed slices decoded side by side in processes of their own.

A codec that crashes, hangs or eats memory takes down its process; the reading then refuses that
file by name. The volume lies in memory shared with the processes, so no slice is copied.
"""

from __future__ import annotations

import mmap
import os
import pickle
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from irplan.dicom.decoder_worker import ANSWER, READY
from irplan.dicom.header import SliceHeader
from irplan.dicom.workers import LENGTH, end_worker, start_worker

#: A decoder that takes longer than this for one slice, and a second a million pixels, hangs.
PATIENCE_S = 3.0
#: On a busy machine a decoder that waits for its turn gets so many times that.
_BUSY_FACTOR = 20
#: So many slices are handed to a process before the first of them is answered.
_AHEAD = 3
#: A process has this long to start, on however busy a machine.
START_PATIENCE_S = 60.0


class DecoderFailed(Exception):
    """A slice could not be decoded; ``index`` is its place in the volume."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(why)
        self.index = index


@dataclass(frozen=True)
class Counts:
    """What one slice's decoding and rescaling met.

    Attributes:
        clipped: voxels beyond int16.
        padded: voxels that were not imaged.
        lossy: whether the code stream says that it was made with loss.
    """

    clipped: int
    padded: int
    lossy: bool = False


def shared_volume(shape: tuple[int, int, int]) -> tuple[int, npt.NDArray[np.int16]]:
    """A file descriptor of anonymous memory, and the volume that lies in it."""
    size = shape[0] * shape[1] * shape[2] * 2
    handle = os.memfd_create("irplan-volume", os.MFD_CLOEXEC)
    os.ftruncate(handle, size)
    return handle, np.frombuffer(mmap.mmap(handle, size), dtype=np.int16).reshape(shape)


def decode_all(
    headers: Sequence[SliceHeader],
    order: Sequence[int],
    shared: int,
    shape: tuple[int, int, int],
    landed: Callable[[int, Counts], None],
    workers: int,
) -> None:
    """Decode every slice into the shared volume, beginning them in ``order``.

    Args:
        headers: one a slice.
        order: the indices of all slices; the first come first.
        shared: from :func:`shared_volume`.
        shape: (slices, rows, columns).
        landed: called in this thread as each slice is there; what it raises ends the work.
        workers: number of processes.

    Raises:
        DecoderFailed: of the slices that failed, the first in ``order``.
    """
    queue = _Queue(order)
    arrivals: list[tuple[int, Counts]] = []
    failures: list[tuple[int, str]] = []
    news = threading.Condition()
    crew = [_Worker(shared, shape) for _ in range(min(workers, len(order)))]

    def tend(worker: _Worker) -> None:
        waiting: deque[int] = deque()
        indices = iter(queue)
        try:
            while True:
                # Some slices ahead, so that no decoder waits for this process to be scheduled.
                while len(waiting) < _AHEAD and (index := next(indices, None)) is not None:
                    waiting.append(index)
                    worker.send(index, headers[index])
                if not waiting:
                    return
                counts = worker.receive(waiting[0])
                with news:
                    arrivals.append((waiting.popleft(), counts))
                    news.notify()
        except DecoderFailed as failure:
            queue.close()
            with news:
                failures.append((failure.index, str(failure)))
                news.notify()

    threads = [threading.Thread(target=tend, args=(worker,), daemon=True) for worker in crew]
    try:
        for thread in threads:
            thread.start()
        done = 0
        while done < len(order):
            with news:
                news.wait_for(lambda: arrivals or failures)
                if failures:
                    break
                fresh, arrivals[:] = list(arrivals), []
            for index, counts in fresh:
                done += 1
                landed(index, counts)
        # After a failure the others finish what they have begun, so that the first one in order
        # is told, whichever was met first.
        for thread in threads:
            thread.join()
    finally:
        queue.close()
        for worker in crew:
            worker.end()
        for thread in threads:
            thread.join()
    if failures:
        place = {index: number for number, index in enumerate(order)}
        index, why = min(failures, key=lambda failure: place[failure[0]])
        raise DecoderFailed(index, why)


class _Queue:
    """Indices handed out once each, in order, to several threads."""

    def __init__(self, order: Sequence[int]) -> None:
        self._left = iter(order)
        self._lock = threading.Lock()
        self._closed = False

    def __iter__(self) -> Iterator[int]:
        while True:
            with self._lock:
                index = None if self._closed else next(self._left, None)
            if index is None:
                return
            yield index

    def close(self) -> None:
        """Hand out no more."""
        with self._lock:
            self._closed = True


class _Worker:
    """One decoding process."""

    def __init__(self, shared: int, shape: tuple[int, int, int]) -> None:
        self._process = start_worker("decoder_worker", (shared,), *map(str, shape))
        self._patience_s = PATIENCE_S + shape[1] * shape[2] / 1e6
        self._started = False
        #: Processor time of the process when it last answered.
        self._spent_s = 0.0

    def decode(self, index: int, header: SliceHeader) -> Counts:
        """Decode one slice and wait for it.

        Raises:
            DecoderFailed: the codec refused it, crashed or did not answer in time.
        """
        self.send(index, header)
        return self.receive(index)

    def send(self, index: int, header: SliceHeader) -> None:
        """Hand over one slice; the answers come in the same order.

        Raises:
            DecoderFailed: the process did not start or has ended.
        """
        if not self._started:
            self._await(index, READY, START_PATIENCE_S)
            self._started = True
            self._spent_s, _ = _activity(self._process.pid)
        task = pickle.dumps((index, header))
        try:
            _write_all(self._process.stdin, LENGTH.pack(len(task)) + task)
        except OSError:
            # It has crashed on a slice before this one: its answer will be the one that fails.
            return

    def receive(self, index: int) -> Counts:
        """Wait for one slice.

        Raises:
            DecoderFailed: the codec refused it, crashed or did not answer in time.
        """
        counts = self._await(index, index, self._patience_s)
        self._spent_s, _ = _activity(self._process.pid)
        return counts

    def _await(self, index: int, expected: int, patience_s: float) -> Counts:
        head = self._take(index, ANSWER.size, patience_s)
        answered, done, clipped, padded, lossy, length = ANSWER.unpack(head)
        message = self._take(index, length, patience_s).decode(errors="replace")
        if not done:
            raise DecoderFailed(index, message)
        if answered != expected:
            raise DecoderFailed(index, "the decoder's answer makes no sense")
        return Counts(clipped, padded, lossy)

    def _take(self, index: int, count: int, patience_s: float) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None
        taken = b""
        start = time.monotonic()
        while len(taken) < count:
            if not select.select([stdout], [], [], patience_s / 2)[0]:
                if self._hangs(time.monotonic() - start, patience_s):
                    raise DecoderFailed(index, "the decoder did not end in time and was stopped")
                continue
            piece = os.read(stdout.fileno(), count - len(taken))
            if not piece:
                code = self._process.wait()
                raise DecoderFailed(index, f"the decoder crashed on these bytes (status {code})")
            taken += piece
        return taken

    def _hangs(self, waited_s: float, patience_s: float) -> bool:
        """Whether it has had its time: its own, where others keep the machine busy."""
        if waited_s < patience_s:
            return False
        if waited_s > _BUSY_FACTOR * patience_s:
            return True
        spent_s, waits_for_its_turn = _activity(self._process.pid)
        return not waits_for_its_turn or spent_s - self._spent_s > patience_s

    def end(self) -> None:
        """Stop the process, whatever it is doing."""
        end_worker(self._process)


def _activity(pid: int) -> tuple[float, bool]:
    """Processor seconds that a process has used, and whether it could use more right now.

    A process that runs, or waits for a processor or a disk, is busy; one that sleeps or is stopped
    is not. One that has ended has used none.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name in brackets may hold anything, also spaces and brackets.
            words = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0.0, False
    ticks = int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK"), words[0] in (b"R", b"D")


def _write_all(channel: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[channel.write(view) :]
