"""Shape operations in millimetres on boolean arrays (z, y, x). Pure."""

from __future__ import annotations

import cc3d
import edt
import numpy as np
import numpy.typing as npt

from irplan.geometry import BoolArray

Spacing = tuple[float, float, float]
#: Threads of the distance transforms; the result does not depend on it.
THREADS = 2


def distance_to(mask: BoolArray, spacing_zyx_mm: Spacing) -> npt.NDArray[np.float32]:
    """Distance in mm of every voxel centre to the nearest centre of ``mask``.

    Infinite everywhere where the mask is empty.
    """
    if not mask.any():
        return np.full(mask.shape, np.inf, dtype=np.float32)
    field: npt.NDArray[np.float32] = edt.edt(
        np.ascontiguousarray(~mask), anisotropy=spacing_zyx_mm, black_border=False, parallel=THREADS
    )
    return field


def grown(mask: BoolArray, radius_mm: float, spacing_zyx_mm: Spacing) -> BoolArray:
    """The mask and everything whose centre lies within ``radius_mm`` of one of its centres."""
    return np.asarray(distance_to(mask, spacing_zyx_mm) <= radius_mm)


def shrunk(mask: BoolArray, radius_mm: float, spacing_zyx_mm: Spacing) -> BoolArray:
    """The voxels farther than ``radius_mm`` from everything outside the mask."""
    return np.asarray(distance_to(~mask, spacing_zyx_mm) > radius_mm)


def opened(mask: BoolArray, radius_mm: float, spacing_zyx_mm: Spacing) -> BoolArray:
    """The mask without what is thinner than twice the radius."""
    return mask & grown(shrunk(mask, radius_mm, spacing_zyx_mm), radius_mm, spacing_zyx_mm)


def closed(mask: BoolArray, radius_mm: float, spacing_zyx_mm: Spacing) -> BoolArray:
    """The mask with gaps narrower than twice the radius filled."""
    return mask | shrunk(grown(mask, radius_mm, spacing_zyx_mm), radius_mm, spacing_zyx_mm)


def components(mask: BoolArray, connectivity: int = 6) -> tuple[npt.NDArray[np.uint32], int]:
    """Connected components, 1 … n, and n."""
    found = cc3d.connected_components(
        np.ascontiguousarray(mask, np.uint8), connectivity=connectivity
    )
    labels = np.asarray(found).astype(np.uint32, copy=False)
    return labels, int(labels.max(initial=0))


def largest(mask: BoolArray, connectivity: int = 6) -> BoolArray:
    """The largest connected component, or an empty mask."""
    labels, count = components(mask, connectivity)
    if count == 0:
        return np.zeros_like(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.asarray(labels == int(np.argmax(sizes)))


def holes_filled_by_slice(mask: BoolArray) -> BoolArray:
    """The mask with what each axial slice of it encloses."""
    from scipy.ndimage import binary_fill_holes

    filled = mask.copy()
    for index in np.flatnonzero(mask.any(axis=(1, 2))):
        filled[index] = binary_fill_holes(mask[index])
    return filled
