"""The working crop of one lesion: HU around it on an isotropic grid fine enough for its size.

Both ways are here: from the CT onto the crop, and from a field on the crop back to CT voxels.
Positions are in the grid frame (see :mod:`irplan.lesions.shape`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

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

    @cached_property
    def points_mm(self) -> FloatArray:
        """(z, y, x, 3) grid frame positions of the voxels, as (x, y, z); read-only."""
        axes = [
            self.low_mm[axis] + np.arange(count) * self.step_mm
            for axis, count in enumerate(self.hu.shape[::-1])
        ]
        z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
        points = np.stack([x, y, z], axis=-1)
        points.setflags(write=False)
        return points

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
        spans = ndimage.find_objects((field > 0.25).astype(np.uint8))
        if not spans:
            return None
        spacing = np.asarray(self.volume.geometry.spacing_mm)
        first = np.array([span.start for span in spans[0][::-1]]) - 1
        last = np.array([span.stop for span in spans[0][::-1]])
        end = np.asarray(self.volume.geometry.size) - 1
        start = np.ceil((self.low_mm + first * self.step_mm) / spacing).astype(int)
        stop = np.floor((self.low_mm + last * self.step_mm) / spacing).astype(int)
        start, stop = np.clip(start, 0, end), np.clip(stop, 0, end) + 1
        index = [
            (np.arange(start[axis], stop[axis]) * spacing[axis] - self.low_mm[axis]) / self.step_mm
            for axis in (2, 1, 0)
        ]
        values = resample(field, index)
        for axis, (places, count) in enumerate(zip(index, field.shape, strict=True)):
            # Beyond the crop nothing is known.
            beyond = (places < 0) | (places > count - 1)
            values[(slice(None),) * axis + (beyond,)] = 0.0
        wanted = self.volume_ml(field) / self.volume.geometry.voxel_ml
        above = values[values > 0.25]
        count = min(round(wanted), above.size)
        if count < 1:
            return None
        level = np.partition(above, above.size - count)[above.size - count]
        inside = values >= level
        box_spans = ndimage.find_objects(inside.astype(np.uint8))[0]
        box = np.ascontiguousarray(inside[box_spans])
        corner = start + np.array([span.start for span in box_spans[::-1]])
        return LesionMask(
            box, (int(corner[0]), int(corner[1]), int(corner[2])), self.volume.geometry
        )

    def volume_ml(self, field: Field) -> float:
        """Volume within the field's surface at one half, mL, by whole voxels of the crop."""
        return float(np.count_nonzero(field > 0.5)) * self.step_mm**3 / 1000.0


def cut(volume: CtVolume, low_mm: FloatArray, high_mm: FloatArray, voxels: int) -> Crop:
    """HU between two corners of the grid frame, with about ``voxels`` along the longest side.

    Where the step is larger than the CT's spacing, the HU are smoothed so that fine structure does
    not alias.
    """
    spacing = np.asarray(volume.geometry.spacing_mm)
    size = np.asarray(volume.geometry.size)
    step = max(FINEST_MM, float((high_mm - low_mm).max()) / (voxels - 1))
    counts = np.ceil((high_mm - low_mm) / step).astype(int) + 1
    first = np.clip(np.floor(low_mm / spacing).astype(int) - 2, 0, size - 1)
    last = np.clip(np.ceil((low_mm + counts * step) / spacing).astype(int) + 3, first + 1, size)
    part = volume.hu[first[2] : last[2], first[1] : last[1], first[0] : last[0]]
    sigma = 0.5 * np.sqrt(np.maximum(0.0, (step / spacing) ** 2 - 1.0))
    axes = [
        (low_mm[axis] + np.arange(counts[axis]) * step) / spacing[axis] - first[axis]
        for axis in range(3)
    ]
    hu = resample(part.astype(np.float32), axes[::-1], sigma[::-1])
    within = [
        (axis_index + first[axis] >= -0.5) & (axis_index + first[axis] <= size[axis] - 0.5)
        for axis, axis_index in enumerate(axes)
    ]
    in_field = within[2][:, None, None] & within[1][None, :, None] & within[0][None, None, :]
    return Crop(hu, np.asarray(low_mm, dtype=float), step, in_field, volume)


def resample(
    values: Field, index: Sequence[FloatArray], sigma: npt.ArrayLike = (0.0, 0.0, 0.0)
) -> Field:
    """A field at the places of a grid with its own axes, the edge held beyond.

    Args:
        values: float32 (z, y, x).
        index: places along z, y and x, in voxels.
        sigma: Gaussian blur along z, y and x, in voxels; 0 is plain linear interpolation.
    """
    out = values
    for axis, (places, width) in enumerate(zip(index, np.asarray(sigma).tolist(), strict=True)):
        turned = np.moveaxis(out, axis, 0)
        weights = _weights(places, turned.shape[0], width)
        flat = weights @ np.ascontiguousarray(turned).reshape(turned.shape[0], -1)
        out = np.moveaxis(flat.reshape(len(places), *turned.shape[1:]), 0, axis)
    return np.ascontiguousarray(out, dtype=np.float32)


def _weights(places: FloatArray, count: int, sigma: float) -> Any:
    """Sparse (places, count): how much of each voxel a place is made of; rows sum to 1."""
    if sigma > 0.0:
        # The triangle of linear interpolation has a variance of one sixth.
        spread = np.sqrt(sigma**2 + 1.0 / 6.0)
        reach = int(np.ceil(3.0 * spread))
    else:
        spread, reach = 0.0, 1
    near = np.floor(places).astype(int)[:, None] + np.arange(1 - reach, reach + 1)
    gap = near - places[:, None]
    share = np.exp(-0.5 * (gap / spread) ** 2) if sigma > 0.0 else np.maximum(1.0 - abs(gap), 0.0)
    share /= share.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(len(places)), near.shape[1])
    columns = np.clip(near, 0, count - 1).ravel()
    return sparse.csr_array(
        (share.ravel().astype(np.float32), (rows, columns)), shape=(len(places), count)
    )
