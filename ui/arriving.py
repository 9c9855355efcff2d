"""A scan that is still being read: its slices are shown as they come, and nothing else is done.

The reader writes on the worker's thread and says which slice is there; the views paint those only.
Nothing is computed from such a scan: the case begins when all of it has been read.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
from PyQt6.QtCore import QObject, pyqtSignal

from irplan.geometry import BoolArray, GridGeometry
from irplan.volume import CtVolume

#: New slices are told at most this often, s: a window cannot show more.
EVERY_S = 0.05


class Arriving(QObject):
    """Carries slices over to the window's thread (Qt queues its signals).

    Signals:
        begun(volume, there): the geometry has passed the gate; ``there`` (slices,) tells which of
            the volume's slices can be shown, and changes meanwhile.
        grown(count): so many slices are there.
    """

    begun = pyqtSignal(object, object)
    grown = pyqtSignal(int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._there: BoolArray = np.zeros(0, dtype=bool)
        self._count, self._told = 0, 0.0

    def begin(self, hu: npt.NDArray[np.int16], grid: GridGeometry) -> None:
        """Called on the worker before the first slice."""
        self._there = np.zeros(len(hu), dtype=bool)
        self._count, self._told = 0, 0.0
        self.begun.emit(CtVolume(hu.view(), grid), self._there)

    def arrived(self, index: int) -> None:
        """Called on the worker for each slice."""
        self._there[index] = True
        self._count += 1
        now = time.monotonic()
        if now - self._told >= EVERY_S:
            self._told = now
            self.grown.emit(self._count)
