"""A codec that crashes or hangs takes down its process, not the program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from dicom_writer import write_series
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from irplan import dicom
from irplan.dicom import decoder_pool
from irplan.errors import InputRefused


def compressed(ds: Dataset, _: int) -> None:
    ds.compress(RLELossless, generate_instance_uid=False)


def decoders() -> list[int]:
    children = psutil.Process().children()
    return [child.pid for child in children if "decoder_worker" in " ".join(child.cmdline())]


def signal_the_decoders(number: int) -> list[int]:
    pids = decoders()
    for pid in pids:
        os.kill(pid, number)
    return pids


def test_a_crash_in_a_decoder_is_a_refusal(tmp_path: Path) -> None:
    """The decoders get the very signal that a segmentation fault raises."""
    write_series(tmp_path, [2.0 * index for index in range(400)], compressed)
    (entry,) = dicom.scan(tmp_path).series
    struck: list[int] = []

    def strike(index: int, hu: object) -> None:
        if not struck:
            struck.extend(signal_the_decoders(signal.SIGSEGV))

    with pytest.raises(InputRefused, match=r"crashed|has ended") as refusal:
        dicom.read_entry(entry, tmp_path, on_slice=strike)
    assert struck
    assert "image" in refusal.value.message
    assert not [pid for pid in struck if psutil.pid_exists(pid)]


def test_a_decoder_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_pool, "PATIENCE_S", 0.5)
    write_series(tmp_path, [2.0 * index for index in range(400)], compressed)
    (entry,) = dicom.scan(tmp_path).series
    frozen: list[int] = []

    arrived: list[int] = []

    def freeze(index: int, hu: object) -> None:
        # Not among the first: one that is stopped while it starts has a minute for that.
        arrived.append(index)
        if len(arrived) > 200 and not frozen:
            frozen.extend(signal_the_decoders(signal.SIGSTOP))

    with pytest.raises(InputRefused, match="did not end in time"):
        dicom.read_entry(entry, tmp_path, on_slice=freeze)
    assert frozen
    assert not [pid for pid in frozen if psutil.pid_exists(pid)]


def test_a_decoder_that_waits_for_a_processor_does_not_hang() -> None:
    """What counts is the time that a process had, and whether it could use more."""
    script = "import time; print(flush=True); time.sleep(60)"
    sleeping = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    turning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        assert sleeping.stdout is not None
        sleeping.stdout.readline()
        time.sleep(0.2)
        assert decoder_pool._activity(sleeping.pid)[1] is False
        before, could_use_more = decoder_pool._activity(turning.pid)
        assert could_use_more
        deadline = time.monotonic() + 30
        while decoder_pool._activity(turning.pid)[0] < before + 0.1:
            assert time.monotonic() < deadline
        os.kill(turning.pid, signal.SIGSTOP)
        time.sleep(0.2)
        assert decoder_pool._activity(turning.pid)[1] is False
    finally:
        for process in (sleeping, turning):
            process.kill()
            process.communicate()
    assert decoder_pool._activity(turning.pid) == (0.0, False)


def test_no_decoder_outlives_a_reading(tmp_path: Path) -> None:
    write_series(tmp_path, change=compressed)
    (entry,) = dicom.scan(tmp_path).series
    dicom.read_entry(entry, tmp_path)
    assert decoders() == []
