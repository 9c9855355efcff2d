"""The process that runs the codecs: hostile bytes may crash it, and only it.

It takes image headers from its standard input, decodes each image, and writes the HU into memory
that it shares with the reading process. Its answers are fixed-size records and plain text, never
pickles: what comes from here is not trusted.
"""

from __future__ import annotations

import mmap
import os
import pickle
import resource
import struct
import sys
from typing import BinaryIO

import numpy as np

from irplan.dicom import pixels
from irplan.dicom.codecs import decode
from irplan.dicom.native import native_values
from irplan.dicom.workers import LENGTH

#: Slice, done or not, voxels clipped, voxels of padding, lossy, length of the message that follows.
ANSWER = struct.Struct("<i?qq?H")
READY = -1
#: A decoder may use this much memory besides the volume.
MEMORY_LIMIT = 2 << 30


def main() -> None:
    """Serve until standard input ends. Arguments: shared file, slices, rows, columns."""
    shared, slices, rows, columns = map(int, sys.argv[1:5])
    size = slices * rows * columns * 2
    tasks, answers = _private_channels()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT + size, MEMORY_LIMIT + size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    memory = mmap.mmap(shared, size)
    volume = np.frombuffer(memory, dtype=np.int16).reshape(slices, rows, columns)
    _answer(answers, READY, True)
    while head := tasks.read(LENGTH.size):
        index, header = pickle.loads(tasks.read(LENGTH.unpack(head)[0]))
        try:
            out = volume[index]
            if header.transfer_syntax_uid in pixels.NATIVE:
                stored, meaning, lossy = native_values(header, out), header, False
            else:
                stored, meaning, lossy = decode(header)
            clipped, padded = pixels.to_hu(stored, meaning, out)
        except BaseException as error:  # noqa: BLE001 - one codec panics with no Exception at all
            _answer(answers, index, False, message=str(error) or type(error).__name__)
        else:
            _answer(answers, index, True, clipped, padded, lossy)


def _private_channels() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output under other numbers; what a codec prints goes nowhere."""
    tasks = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    return tasks, answers


def _answer(
    answers: BinaryIO,
    index: int,
    done: bool,
    clipped: int = 0,
    padded: int = 0,
    lossy: bool = False,
    message: str = "",
) -> None:
    text = message.encode()[:500]
    answers.write(ANSWER.pack(index, done, clipped, padded, lossy, len(text)) + text)


if __name__ == "__main__":
    main()
