"""Processes of this package's own: how they are started and ended."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

#: Before each message between the processes: its length in bytes.
LENGTH = struct.Struct("<I")

Worker = subprocess.Popen[bytes]


def start_worker(module: str, handles: Sequence[int], *arguments: str) -> Worker:
    """Start ``irplan.dicom.<module>`` as a process that talks over its standard input and output.

    Args:
        module: it has a function ``main``.
        handles: open files that it inherits; their numbers are its first arguments.
        arguments: more arguments.
    """
    package_root = str(Path(__file__).resolve().parents[2])
    paths = [package_root, os.environ.get("PYTHONPATH", "")]
    quiet = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [
            *(sys.executable, "-c", f"from irplan.dicom.{module} import main; main()"),
            *(*map(str, handles), *arguments),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=tuple(handles),
        env={**os.environ, **quiet, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        bufsize=0,
    )


def end_worker(worker: Worker) -> None:
    """Stop a process, whatever it is doing."""
    worker.kill()
    worker.wait()
    for channel in (worker.stdin, worker.stdout):
        if channel is not None:
            channel.close()
