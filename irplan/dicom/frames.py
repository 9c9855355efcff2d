"""All frames of a compressed DICOM file, decoded in a process of its own.

A codec that crashes, hangs or eats memory on hostile bytes takes down that process; see also
:mod:`irplan.dicom.decoder_pool`, which does the same for the slices of a CT.
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np

from irplan.dicom.workers import start_worker

#: A process that takes longer than this hangs.
PATIENCE_S = 120.0
#: It may use this much memory.
MEMORY_LIMIT = 4 << 30


def decoded_frames(path: Path) -> np.ndarray:
    """The stored values of a file's frames, as pydicom's ``pixel_array`` gives them.

    Raises:
        OSError: they cannot be decoded, or the codec crashed or hung; the text says which.
    """
    worker = start_worker("frames", ())
    try:
        answer, _ = worker.communicate(
            str(path.absolute()).encode(errors="surrogateescape"), PATIENCE_S
        )
    except subprocess.TimeoutExpired as error:
        raise OSError("the decoder did not end in time and was stopped") from error
    finally:
        worker.kill()
        worker.wait()
    if worker.returncode != 0:
        raise OSError(f"the decoder crashed on these bytes (status {worker.returncode})")
    if not answer.startswith(b"\x93NUMPY"):
        raise OSError(answer.decode(errors="replace"))
    frames: np.ndarray = np.load(io.BytesIO(answer), allow_pickle=False)
    return frames


def main() -> None:
    """Decode the file that standard input names; write a NPY file, or the reason why not."""
    import pydicom

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    path = sys.stdin.buffer.read().decode(errors="surrogateescape")
    answer = io.BytesIO()
    try:
        np.save(answer, np.asarray(pydicom.dcmread(path).pixel_array), allow_pickle=False)
    except Exception as error:  # noqa: BLE001 - codecs raise many kinds
        sys.stdout.buffer.write(f"{type(error).__name__}: {error}".encode()[:2000])
    else:
        sys.stdout.buffer.write(answer.getbuffer())


if __name__ == "__main__":
    main()
