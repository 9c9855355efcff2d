"""Arrays as images of Qt. An image holds a copy of its pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PyQt6.QtGui import QImage


def grey_image(pixels: npt.NDArray[np.uint8]) -> QImage:
    """A grey array (rows, columns)."""
    return _image(pixels, 1, QImage.Format.Format_Grayscale8)


def rgb_image(pixels: npt.NDArray[np.uint8]) -> QImage:
    """An RGB array (rows, columns, 3)."""
    return _image(pixels, 3, QImage.Format.Format_RGB888)


def _image(pixels: npt.NDArray[np.uint8], channels: int, form: QImage.Format) -> QImage:
    rows, columns = pixels.shape[:2]
    # The stubs of PyQt6 want bytes; the call takes any buffer, and a copy of the pixels is saved.
    held: Any = np.ascontiguousarray(pixels).data
    made: QImage = QImage(held, columns, rows, channels * columns, form).copy()
    return made
