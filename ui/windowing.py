"""Window and level: HU to grey. Pure.

A window of centre c and width w shows c - w/2 and below as black, c + w/2 and above as white, and
is linear between, as DICOM's LINEAR_EXACT has it (PS3.3 C.11.2.1.3.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

GreyArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Window:
    """Centre and width in HU; the name is empty where a person dragged it."""

    centre_hu: float
    width_hu: float
    name: str = ""

    @property
    def text(self) -> str:
        """As it stands in a view."""
        own = f"C {self.centre_hu:.0f}  W {self.width_hu:.0f} HU"
        return f"{self.name}  {own}" if self.name else own

    @property
    def limits_hu(self) -> tuple[int, int]:
        """Lowest and highest HU that are neither black nor white."""
        half = self.width_hu / 2
        return int(np.ceil(self.centre_hu - half)), int(np.floor(self.centre_hu + half))

    def dragged(self, right_px: float, down_px: float) -> Window:
        """The window after a drag: to the right widens it, upwards brightens (lowers the centre).

        One pixel is 1/200 of the width, so that narrow windows move finely.
        """
        step = max(self.width_hu, 50.0) / 200.0
        width = float(np.clip(self.width_hu + right_px * step, 1.0, 6000.0))
        centre = float(np.clip(self.centre_hu + down_px * step, -1500.0, 4000.0))
        return Window(centre, width)


#: Customary windows, by their key 1 to 5.
PRESETS = (
    Window(40, 400, "Soft tissue"),
    Window(-500, 1500, "Lung"),
    Window(400, 1800, "Bone"),
    Window(80, 180, "Liver"),
    Window(0, 2000, "Wide"),
)


def grey_table(window: Window) -> GreyArray:
    """The grey of every int16 HU, (65536,), in the order of the bits read as uint16."""
    hu = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.float64)
    low = window.centre_hu - window.width_hu / 2
    grey = np.rint(np.clip((hu - low) / window.width_hu, 0.0, 1.0) * 255)
    return np.asarray(grey, dtype=np.uint8)


def to_grey(hu: npt.NDArray[np.int16], table: GreyArray) -> GreyArray:
    """A slice of HU as grey, C-contiguous, through a table of :func:`grey_table`."""
    return np.ascontiguousarray(table[np.ascontiguousarray(hu).view(np.uint16)])
