"""Grey pictures and outlines of one view, sampled from the CT and from masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage import measure

from irplan.export.views import View
from irplan.geometry import FloatArray, GridGeometry
from irplan.lesions.lesion import LesionMask
from irplan.volume import CtVolume

GreyArray = npt.NDArray[np.uint8]
#: Shown outside the scan: the picture's background, not a HU.
OUTSIDE_HU = -1024.0


@dataclass(frozen=True)
class Window:
    """The HU shown from black to white.

    Attributes:
        level_hu: the middle.
        width_hu: from black to white, above 0.
        name: as the report calls it.
    """

    level_hu: float
    width_hu: float
    name: str

    def grey(self, hu: npt.ArrayLike) -> GreyArray:
        """HU → 0 (black) to 255 (white), linear in between."""
        low = self.level_hu - self.width_hu / 2.0
        scaled = (np.asarray(hu, dtype=float) - low) / self.width_hu * 255.0
        shown: GreyArray = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        return shown


SOFT_TISSUE = Window(40.0, 400.0, "soft tissue")
LUNG = Window(-500.0, 1500.0, "lung")


def sample_hu(volume: CtVolume, view: View) -> FloatArray:
    """HU at every pixel of the view, (rows, columns), linear between voxels.

    Pixels outside the voxels of the scan are :data:`OUTSIDE_HU`.
    """
    points = view.points_lps_mm
    index = volume.geometry.to_index(points)
    # Half a voxel of the outer voxels lies beyond their centres; there the outer HU holds.
    hu: FloatArray = ndimage.map_coordinates(
        volume.hu, np.moveaxis(index[..., ::-1], -1, 0), output=np.float64, order=1, mode="nearest"
    )
    return np.where(volume.geometry.contains(points), hu, OUTSIDE_HU)


def outlines(mask: LesionMask, view: View) -> tuple[FloatArray, ...]:
    """Outlines of a mask in the view: each (n, 2) as (column, row); none where it is not cut."""
    grid = _grown(mask.box_grid)
    depths_mm = view.depth_mm(grid.corners_lps_mm())
    if depths_mm.min() > 0 or depths_mm.max() < 0:
        return ()
    return _outlines(np.pad(mask.voxels, 1).astype(np.float32), grid, view)


def label_outlines(
    labels: npt.NDArray[np.integer], label: int, grid: GridGeometry, view: View
) -> tuple[FloatArray, ...]:
    """The same for one label of a label map (z, y, x) on a whole grid."""
    index = grid.to_index(view.points_lps_mm).reshape(-1, 3)
    last = np.asarray(grid.size) - 1
    # Only the box that the picture cuts is looked at: a whole scan is a thousand times more.
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, last)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, 0, last)
    (i, j, k), (i_end, j_end, k_end) = low, high + 1
    box = labels[k:k_end, j:j_end, i:i_end] == label
    if not box.any():
        return ()
    start = (int(i), int(j), int(k))
    size = (int(i_end - i), int(j_end - j), int(k_end - k))
    return _outlines(np.pad(box, 1).astype(np.float32), _grown(grid.crop(start, size)), view)


def _outlines(
    field: npt.NDArray[np.float32], grid: GridGeometry, view: View
) -> tuple[FloatArray, ...]:
    index = grid.to_index(view.points_lps_mm)
    inside = ndimage.map_coordinates(
        field, np.moveaxis(index[..., ::-1], -1, 0), order=1, mode="constant", cval=0.0
    )
    found = measure.find_contours(inside, 0.5)
    # They come as (row, column).
    return tuple(line[:, ::-1] for line in found)


def _grown(grid: GridGeometry) -> GridGeometry:
    """The grid with one voxel more on every side."""
    columns, rows, slices = grid.size
    return grid.crop((-1, -1, -1), (columns + 2, rows + 2, slices + 2))
