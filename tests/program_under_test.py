"""How tests start the program as a program: the build that they import themselves, no other one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import irplan

#: Without -P the folder that the tests are started in would come first.
PROGRAM = (sys.executable, "-P", "-m", "irplan")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(irplan.__file__).resolve().parents[1])}


def run_program(*arguments: object, timeout: int) -> subprocess.CompletedProcess[str]:
    """What came of one call, whatever its exit code; ``timeout`` in seconds."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env=ENVIRONMENT,
    )
