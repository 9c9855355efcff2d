"""The process that helps to read many headers; see :mod:`irplan.dicom.catalogue`."""

from __future__ import annotations

import os
import pickle
import sys

from irplan.dicom.catalogue import read_block
from irplan.dicom.memory import Memory
from irplan.dicom.sources import Source
from irplan.dicom.workers import LENGTH


def main() -> None:
    """Read files, the last block first. Arguments: the open file that lists them, files a block."""
    block = int(sys.argv[2])
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        files = [Source(*names) for names in pickle.load(file)]
    memory = Memory()
    starts = range(0, len(files), block)
    try:
        for start in reversed(starts):
            answer = pickle.dumps(read_block(files[start : start + block], memory), 5)
            sys.stdout.buffer.write(LENGTH.pack(len(answer)) + answer)
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The reader has all it wants.
        os._exit(0)
