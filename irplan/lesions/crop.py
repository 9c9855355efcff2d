"""The working crop of one lesion: HU around it on an isotropic grid fine enough for its size.

Both ways are here: from the CT onto the crop, and from a field on the crop back to CT voxels.
Positions are in the grid frame (see :mod:`irplan.lesions.shape`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.geometry import BoolArray, FloatArray
from irplan.lesions.lesion import LesionMask
from irplan.volume import CtVolume

Field = npt.NDArray[np.float32]

#: The finest step of a crop, mm.
FINEST_MM = 0.5


@dataclass(frozen=True)
class Crop:
    """HU on an isotropic grid around a lesion.

    Attributes:
        hu: float32 (z, y, x).
        low_mm: (3,) grid frame position of voxel (0, 0, 0), as (x, y, z).
        step_mm: distance between voxels.
        in_field: bool (z, y, x), whether the voxel lies in the scan.
        volume: the CT it was cut from.
    """

    hu: Field
    low_mm: FloatArray
    step_mm: float
    in_field: BoolArray
    volume: CtVolume

    @property
    def points_mm(self) -> FloatArray:
        """(z, y, x, 3) grid frame positions of the voxels, as (x, y, z)."""
        axes = [
            self.low_mm[axis] + np.arange(count) * self.step_mm
            for axis, count in enumerate(self.hu.shape[::-1])
        ]
        z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
        return np.stack([x, y, z], axis=-1)

    def sample(self, field: npt.NDArray[np.floating], points_mm: npt.ArrayLike) -> FloatArray:
        """A field of the crop at grid frame points (..., 3), linear, nearest beyond the edge."""
        index = (np.asarray(points_mm, dtype=float) - self.low_mm) / self.step_mm
        out: FloatArray = ndimage.map_coordinates(
            field, np.moveaxis(index[..., ::-1], -1, 0), order=1, mode="nearest"
        )
        return out

    def to_mask(self, field: Field) -> LesionMask | None:
        """The CT voxels inside the field's surface at one half; ``None`` where there are none.

        As many voxels are taken, the highest first, as fill the volume within that surface. On
        thick slices a plain cut at one half would give several percent more or less.
        """
        spacing = np.asarray(self.volume.geometry.spacing_mm)
        high_mm = self.low_mm + (np.asarray(self.hu.shape[::-1]) - 1) * self.step_mm
        last = np.asarray(self.volume.geometry.size) - 1
        start = np.clip(np.ceil(self.low_mm / spacing).astype(int), 0, last)
        stop = np.clip(np.floor(high_mm / spacing).astype(int), 0, last) + 1
        axes = [
            (np.arange(start[axis], stop[axis]) * spacing[axis] - self.low_mm[axis]) / self.step_mm
            for axis in range(3)
        ]
        index = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
        values = ndimage.map_coordinates(field, index, order=1, mode="constant", cval=0.0)
        wanted = self.volume_ml(field) / self.volume.geometry.voxel_ml
        count = min(round(wanted), int(np.count_nonzero(values > 0.25)))
        if count < 1:
            return None
        level = np.partition(values.ravel(), values.size - count)[values.size - count]
        inside = values >= level
        spans = ndimage.find_objects(inside.astype(np.uint8))[0]
        box = np.ascontiguousarray(inside[spans])
        first = start + np.array([span.start for span in spans[::-1]])
        return LesionMask(box, (int(first[0]), int(first[1]), int(first[2])), self.volume.geometry)

    def volume_ml(self, field: Field) -> float:
        """Volume within the field's surface at one half, mL, by whole voxels of the crop."""
        return float(np.count_nonzero(field > 0.5)) * self.step_mm**3 / 1000.0


def cut(volume: CtVolume, low_mm: FloatArray, high_mm: FloatArray, voxels: int) -> Crop:
    """HU between two corners of the grid frame, with about ``voxels`` along the longest side.

    Where the step is larger than the CT's spacing, the HU are smoothed first so that fine
    structure does not alias.
    """
    spacing = np.asarray(volume.geometry.spacing_mm)
    size = np.asarray(volume.geometry.size)
    step = max(FINEST_MM, float((high_mm - low_mm).max()) / (voxels - 1))
    counts = np.ceil((high_mm - low_mm) / step).astype(int) + 1
    first = np.clip(np.floor(low_mm / spacing).astype(int) - 2, 0, size - 1)
    last = np.clip(np.ceil((low_mm + counts * step) / spacing).astype(int) + 3, first + 1, size)
    part = volume.hu[first[2] : last[2], first[1] : last[1], first[0] : last[0]].astype(np.float32)
    sigma = 0.5 * np.sqrt(np.maximum(0.0, (step / spacing) ** 2 - 1.0))
    if sigma.max() > 0:
        part = ndimage.gaussian_filter(part, sigma[::-1], mode="nearest")
    axes = [
        (low_mm[axis] + np.arange(counts[axis]) * step) / spacing[axis] - first[axis]
        for axis in range(3)
    ]
    index = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    hu = ndimage.map_coordinates(part, index, order=1, mode="nearest").astype(np.float32)
    within = [
        (axis_index + first[axis] >= -0.5) & (axis_index + first[axis] <= size[axis] - 0.5)
        for axis, axis_index in enumerate(axes)
    ]
    in_field = within[2][:, None, None] & within[1][None, :, None] & within[0][None, None, :]
    return Crop(hu, np.asarray(low_mm, dtype=float), step, in_field, volume)
