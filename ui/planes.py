"""Slices of a grid as they lie on the screen: which voxel is where, and which side is which. Pure.

The three views cut along the grid's own axes, so a pixel on the screen is a voxel, never a
resampled value. Each grid axis goes to the anatomical axis it runs most nearly along; letters and
positions are computed from the direction cosines, so they hold for oblique, flipped, prone and
decubitus grids.

The radiological convention: axial and coronal show the patient's right on the left of the screen;
axial has anterior on top, coronal and sagittal have the head on top, sagittal has anterior on the
left. LPS is fixed to the patient, so this holds however the patient lay.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from irplan.geometry import FloatArray, GridGeometry, PointLps

#: A direction names a second or third letter from this cosine on (about 11.5 degrees).
LETTER_COSINE = 0.2
#: From this angle between a view's normal and its anatomical axis, the view is called oblique.
OBLIQUE_DEG = 3.0


class ViewName(StrEnum):
    """The three stacks of slices."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


#: LPS axis (0, 1, 2) that a view cuts across, the one along the screen's right, the one along its
#: bottom, each with the sign of the direction that the screen shows.
_LAYOUT = {
    ViewName.AXIAL: (2, (0, 1.0), (1, 1.0)),
    ViewName.CORONAL: (1, (0, 1.0), (2, -1.0)),
    ViewName.SAGITTAL: (0, (1, 1.0), (2, -1.0)),
}
#: Where one step of "next slice" goes: to the head, to the front, to the patient's left.
_FORWARD = {ViewName.AXIAL: 1.0, ViewName.CORONAL: -1.0, ViewName.SAGITTAL: 1.0}
_LETTERS = (("R", "L"), ("A", "P"), ("F", "H"))


def letters_of(direction: npt.ArrayLike) -> str:
    """The letters R, L, A, P, F, H that an LPS direction points to, the nearest axis first.

    A second or third letter follows where its cosine is at least :data:`LETTER_COSINE`.
    """
    vector = np.asarray(direction, dtype=float)
    cosines = vector / np.linalg.norm(vector)
    order = sorted(range(3), key=lambda axis: (-abs(cosines[axis]), axis))
    letters = [
        _LETTERS[axis][int(cosines[axis] > 0)]
        for number, axis in enumerate(order)
        if number == 0 or abs(cosines[axis]) >= LETTER_COSINE
    ]
    return "".join(letters)


def grid_axes(grid: GridGeometry) -> tuple[int, int, int]:
    """For each LPS axis the grid axis (0 column, 1 row, 2 slice) that runs most nearly along it.

    All three together are chosen, so no grid axis stands for two.
    """
    cosines = np.abs(grid.axes)
    first, second, third = max(
        itertools.permutations(range(3)),
        key=lambda order: sum(cosines[axis, order[axis]] for axis in range(3)),
    )
    return first, second, third


@dataclass(frozen=True)
class SlicePlane:
    """One view of a grid.

    Screen points are (x, y) in voxels of the slice: x to the right, y down, (0, 0) the centre of
    the pixel in the top left corner.

    Attributes:
        name: which view.
        grid: the CT grid.
        through, across, down: grid axes across the slices, along the screen's right and bottom.
        flip_across, flip_down: whether the index falls towards the screen's right or bottom.
    """

    name: ViewName
    grid: GridGeometry
    through: int
    across: int
    down: int
    flip_across: bool
    flip_down: bool

    @classmethod
    def of(cls, grid: GridGeometry, name: ViewName) -> SlicePlane:
        """The view ``name`` of a grid."""
        axis_of = grid_axes(grid)
        normal, (right, right_sign), (bottom, bottom_sign) = _LAYOUT[name]
        across, down = axis_of[right], axis_of[bottom]
        return cls(
            name,
            grid,
            axis_of[normal],
            across,
            down,
            bool(grid.axes[right, across] * right_sign < 0),
            bool(grid.axes[bottom, down] * bottom_sign < 0),
        )

    @property
    def count(self) -> int:
        """How many slices there are."""
        return self.grid.size[self.through]

    @property
    def size(self) -> tuple[int, int]:
        """Pixels to the right and down."""
        return self.grid.size[self.across], self.grid.size[self.down]

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Millimetres of one pixel to the right and down."""
        return self.grid.spacing_mm[self.across], self.grid.spacing_mm[self.down]

    @property
    def thickness_mm(self) -> float:
        """Millimetres from one slice to the next."""
        return self.grid.spacing_mm[self.through]

    @property
    def right(self) -> FloatArray:
        """Unit vector, LPS, towards the right of the screen."""
        axis: FloatArray = self.grid.axes[:, self.across]
        return -axis if self.flip_across else axis

    @property
    def bottom(self) -> FloatArray:
        """Unit vector, LPS, towards the bottom of the screen."""
        axis: FloatArray = self.grid.axes[:, self.down]
        return -axis if self.flip_down else axis

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """What lies at the left, right, top and bottom edge of the screen."""
        return (
            letters_of(-self.right),
            letters_of(self.right),
            letters_of(-self.bottom),
            letters_of(self.bottom),
        )

    @cached_property
    def tilt_deg(self) -> float:
        """Angle between the slices' normal and the anatomical axis that the view is named after."""
        normal = _LAYOUT[self.name][0]
        cosine = abs(float(self.grid.axes[normal, self.through]))
        return float(np.degrees(np.arccos(min(1.0, cosine))))

    @property
    def title(self) -> str:
        """The view's name, and its tilt where it is oblique."""
        name = self.name.value.capitalize()
        return f"{name}, oblique {self.tilt_deg:.0f}°" if self.tilt_deg >= OBLIQUE_DEG else name

    @property
    def normal_axis(self) -> int:
        """The LPS axis (0, 1, 2) that the slices cut across most nearly."""
        return _LAYOUT[self.name][0]

    @property
    def forward(self) -> int:
        """+1 or -1: the step of the slice index towards the head, the front or the left."""
        normal = _LAYOUT[self.name][0]
        sign = float(self.grid.axes[normal, self.through]) * _FORWARD[self.name]
        return 1 if sign > 0 else -1

    def slice_of(self, point_lps_mm: npt.ArrayLike) -> int:
        """Index of the slice nearest to a point, kept inside the grid."""
        index = float(self.grid.to_index(point_lps_mm)[..., self.through])
        return int(np.clip(np.rint(index), 0, self.count - 1))

    def offset_mm(self, points_lps_mm: npt.ArrayLike, number: int) -> FloatArray:
        """Signed distance of points (..., 3) from the middle of slice ``number``, mm."""
        index = self.grid.to_index(points_lps_mm)[..., self.through]
        return np.asarray((index - number) * self.thickness_mm, dtype=float)

    def to_screen(self, points_lps_mm: npt.ArrayLike) -> FloatArray:
        """LPS points (..., 3) → screen points (..., 2), whatever slice they lie in."""
        return self.from_grid(self.grid.to_index(points_lps_mm))

    def from_grid(self, index: npt.ArrayLike) -> FloatArray:
        """Grid indices (..., 3) as (i, j, k) → screen points (..., 2)."""
        array = np.asarray(index, dtype=float)
        columns, rows = self.size
        x, y = array[..., self.across], array[..., self.down]
        x = columns - 1 - x if self.flip_across else x
        y = rows - 1 - y if self.flip_down else y
        return np.stack([x, y], axis=-1)

    def to_grid(self, screen_points: npt.ArrayLike, number: int) -> FloatArray:
        """Screen points (..., 2) of slice ``number`` → grid indices (..., 3) as (i, j, k)."""
        array = np.asarray(screen_points, dtype=float)
        columns, rows = self.size
        index = np.zeros((*array.shape[:-1], 3))
        x, y = array[..., 0], array[..., 1]
        index[..., self.across] = columns - 1 - x if self.flip_across else x
        index[..., self.down] = rows - 1 - y if self.flip_down else y
        index[..., self.through] = number
        return index

    def to_lps(self, x: float, y: float, number: int) -> PointLps:
        """The point, LPS mm, at a screen point of slice ``number``."""
        columns, rows = self.size
        index = np.zeros(3)
        index[self.across] = columns - 1 - x if self.flip_across else x
        index[self.down] = rows - 1 - y if self.flip_down else y
        index[self.through] = number
        point = self.grid.to_lps(index)
        return float(point[0]), float(point[1]), float(point[2])

    def pixels(self, array_zyx: npt.NDArray[Any], number: int) -> npt.NDArray[Any]:
        """Slice ``number`` of an array (z, y, x) on the grid, as (rows, columns) on the screen.

        A view of the array; no voxel is changed or resampled.
        """
        flat = np.moveaxis(array_zyx, (2 - self.through, 2 - self.down, 2 - self.across), (0, 1, 2))
        image: npt.NDArray[Any] = flat[number]
        if self.flip_down:
            image = image[::-1]
        return image[:, ::-1] if self.flip_across else image


def planes_of(grid: GridGeometry) -> dict[ViewName, SlicePlane]:
    """The three views of a grid."""
    return {name: SlicePlane.of(grid, name) for name in ViewName}
