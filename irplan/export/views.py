"""Where a picture looks: planes through the patient and the letters at their edges. Pure geometry.

A view is a flat picture in patient space: its top left corner, the directions in which its
columns and rows rise, and the size of a pixel. Pictures follow the radiological convention: the
patient's right is on the left of an axial or coronal picture, and the front is at the top
(axial) or on the left (sagittal). Letters at the edges are worked out from the directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from irplan.geometry import FloatArray, PointLps, unit

#: A direction gets a second letter where it leans at least this far (cosine) to another axis.
SECOND_LETTER_COSINE = 0.35
#: Below this length the projection of an axis onto a plane is too short to turn a picture by.
_SHORT_PROJECTION = 0.35

_X, _Y, _Z = np.eye(3)
_LETTERS = (("R", "L"), ("A", "P"), ("F", "H"))


@dataclass(frozen=True)
class View:
    """A flat picture in patient space.

    Attributes:
        corner_lps_mm: centre of the top left pixel.
        right, down: unit vectors in LPS along which columns and rows rise.
        mm_per_pixel: size of the square pixels.
        columns, rows: number of pixels.
    """

    corner_lps_mm: PointLps
    right: PointLps
    down: PointLps
    mm_per_pixel: float
    columns: int
    rows: int

    @cached_property
    def points_lps_mm(self) -> FloatArray:
        """Centre of every pixel, (rows, columns, 3), LPS mm; read-only."""
        along = np.arange(self.columns)[None, :, None] * np.asarray(self.right)
        below = np.arange(self.rows)[:, None, None] * np.asarray(self.down)
        grid: FloatArray = np.asarray(self.corner_lps_mm) + self.mm_per_pixel * (along + below)
        grid.setflags(write=False)
        return grid

    def to_pixel(self, points_lps_mm: npt.ArrayLike) -> FloatArray:
        """LPS mm (..., 3) → (column, row) of the point's projection onto the picture, (..., 2)."""
        relative = np.asarray(points_lps_mm, dtype=float) - np.asarray(self.corner_lps_mm)
        pixel: FloatArray = (relative @ np.array([self.right, self.down]).T) / self.mm_per_pixel
        return pixel

    def depth_mm(self, points_lps_mm: npt.ArrayLike) -> FloatArray:
        """Signed distance of points (..., 3) from the plane, mm."""
        normal = np.cross(self.right, self.down)
        relative = np.asarray(points_lps_mm, dtype=float) - np.asarray(self.corner_lps_mm)
        distance: FloatArray = relative @ normal
        return distance

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Letters for the left, right, top and bottom edge."""
        right, down = np.asarray(self.right), np.asarray(self.down)
        return (
            direction_letters(-right),
            direction_letters(right),
            direction_letters(-down),
            direction_letters(down),
        )


def direction_letters(direction: npt.ArrayLike) -> str:
    """Where an LPS direction points to: R, L, A, P, H, F, or two or three of them.

    The strongest comes first; a weaker one is named where its cosine reaches
    :data:`SECOND_LETTER_COSINE`.
    """
    vector = unit(direction)
    order = sorted(range(3), key=lambda axis: (-abs(vector[axis]), axis))
    named = [order[0]] + [axis for axis in order[1:] if abs(vector[axis]) >= SECOND_LETTER_COSINE]
    return "".join(_LETTERS[axis][int(vector[axis] > 0)] for axis in named)


def view_of_plane(
    centre_lps_mm: npt.ArrayLike, normal: npt.ArrayLike, half_mm: float, mm_per_pixel: float
) -> View:
    """A square picture of a plane, turned by the radiological convention.

    The patient's left goes to the right edge where the plane shows left and right at all, else
    the back does; then the back, or where the plane shows none the feet, go to the bottom.

    Args:
        centre_lps_mm: middle of the picture.
        normal: normal of the plane, of either sign.
        half_mm: half the width and height.
        mm_per_pixel: size of a pixel.
    """
    n = unit(normal)
    leftwards = _X - (_X @ n) * n
    backwards = _Y - (_Y @ n) * n
    right = unit(leftwards if np.linalg.norm(leftwards) > _SHORT_PROJECTION else backwards)
    down = np.cross(n, right)
    leading = _Y if abs(down @ _Y) >= abs(down @ _Z) else -_Z
    if down @ leading < 0:
        down = -down
    pixels = max(2, round(2.0 * half_mm / mm_per_pixel))
    offset = 0.5 * (pixels - 1) * mm_per_pixel
    corner = np.asarray(centre_lps_mm, dtype=float) - offset * (right + down)
    return View(_point(corner), _point(right), _point(down), mm_per_pixel, pixels, pixels)


def axial_view(centre_lps_mm: npt.ArrayLike, half_mm: float, mm_per_pixel: float) -> View:
    """The axial plane of the patient (not of the scan's grid) through a point."""
    return view_of_plane(centre_lps_mm, _Z, half_mm, mm_per_pixel)


def needle_view(
    entry_lps_mm: npt.ArrayLike,
    tip_lps_mm: npt.ArrayLike,
    centre_lps_mm: npt.ArrayLike,
    half_mm: float,
    mm_per_pixel: float,
) -> View:
    """The plane that holds the whole needle and lies as near to axial as such a plane can.

    Args:
        centre_lps_mm: a point of the axis, the middle of the picture.

    Raises:
        ValueError: entry and tip are the same point.
    """
    along, across = _needle_axes(entry_lps_mm, tip_lps_mm)
    return view_of_plane(centre_lps_mm, np.cross(along, across), half_mm, mm_per_pixel)


def across_needle_view(
    entry_lps_mm: npt.ArrayLike,
    tip_lps_mm: npt.ArrayLike,
    centre_lps_mm: npt.ArrayLike,
    half_mm: float,
    mm_per_pixel: float,
) -> View:
    """The plane that holds the whole needle and stands square to that of :func:`needle_view`.

    Raises:
        ValueError: entry and tip are the same point.
    """
    _, across = _needle_axes(entry_lps_mm, tip_lps_mm)
    return view_of_plane(centre_lps_mm, across, half_mm, mm_per_pixel)


def _needle_axes(
    entry_lps_mm: npt.ArrayLike, tip_lps_mm: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Direction of a needle and, square to it, the level line across it; unit vectors."""
    along = unit(np.asarray(tip_lps_mm, dtype=float) - np.asarray(entry_lps_mm, dtype=float))
    level = np.cross(_Z, along)
    # A needle straight along the patient has no nearest axial plane: the coronal one is shown.
    # Square to the needle to the last digit, so that both planes hold the whole needle.
    across = level if np.linalg.norm(level) > 1e-6 else _X - (_X @ along) * along
    return along, unit(across)


def along_needle_view(
    entry_lps_mm: npt.ArrayLike,
    tip_lps_mm: npt.ArrayLike,
    depth_mm: float,
    half_mm: float,
    mm_per_pixel: float,
) -> View:
    """The plane square to a needle at a depth under the skin, as seen by who holds the needle.

    The eye looks from the entry along the needle, so ``right`` × ``down`` is the needle's own
    direction. The head is at the top; for a needle along the patient the front is.

    Raises:
        ValueError: entry and tip are the same point.
    """
    entry = np.asarray(entry_lps_mm, dtype=float)
    along = unit(np.asarray(tip_lps_mm, dtype=float) - entry)
    upwards = _Z - (_Z @ along) * along
    if np.linalg.norm(upwards) < _SHORT_PROJECTION:
        upwards = -_Y + (_Y @ along) * along
    down = -unit(upwards)
    right = np.cross(down, along)
    pixels = max(2, round(2.0 * half_mm / mm_per_pixel))
    offset = 0.5 * (pixels - 1) * mm_per_pixel
    corner = entry + depth_mm * along - offset * (right + down)
    return View(_point(corner), _point(right), _point(down), mm_per_pixel, pixels, pixels)


def _point(vector: FloatArray) -> PointLps:
    return float(vector[0]), float(vector[1]), float(vector[2])
