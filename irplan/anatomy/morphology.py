"""Shape operations in millimetres on boolean arrays (z, y, x). Pure."""

from __future__ import annotations

from typing import Any

import cc3d
import edt
import numpy as np
import numpy.typing as npt

from irplan import balls
from irplan.balls import by_slabs
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
        np.ascontiguousarray(~mask),
        anisotropy=spacing_zyx_mm,
        black_border=False,
        parallel=THREADS if mask.size >= balls.MANY_CELLS else 1,
    )
    return field


def grown(mask: BoolArray, radius_mm: float, spacing_zyx_mm: Spacing) -> BoolArray:
    """The mask and everything whose centre lies within ``radius_mm`` of one of its centres."""
    result = np.zeros_like(mask)
    box = box_of(mask, radius_mm, spacing_zyx_mm)
    if box is not None:
        result[box] = _within(mask[box], radius_mm, spacing_zyx_mm)
    return result


def shrunk(mask: BoolArray, radius_mm: float, spacing_zyx_mm: Spacing) -> BoolArray:
    """The voxels farther than ``radius_mm`` from everything outside the mask.

    Beyond the ends of the array nothing is known: they do not shrink the mask.
    """
    result = np.zeros_like(mask)
    box = box_of(mask, max(spacing_zyx_mm), spacing_zyx_mm)
    if box is not None:
        result[box] = ~_within(~mask[box], radius_mm, spacing_zyx_mm)
    return result


def _within(mask: BoolArray, radius_mm: float, spacing_zyx_mm: Spacing) -> BoolArray:
    """What lies within a radius of the mask: by a ball where that is small, else by distances."""
    ball = balls.ball(radius_mm, spacing_zyx_mm)
    if len(ball) <= balls.MAX_ROWS:
        return balls.grown(mask, ball, THREADS)
    return np.asarray(distance_to(mask, spacing_zyx_mm) <= radius_mm)


def box_of(
    mask: BoolArray, room_mm: float, spacing_zyx_mm: Spacing
) -> tuple[slice, slice, slice] | None:
    """The box of the mask and ``room_mm`` more on every side, within the array; None if empty."""
    levels = np.flatnonzero(mask.any(axis=(1, 2)))
    if levels.size == 0:
        return None
    flat = np.asarray(mask[levels[0] : levels[-1] + 1].any(axis=0))
    rows = np.flatnonzero(np.any(flat, axis=1))
    columns = np.flatnonzero(np.any(flat, axis=0))
    sides = []
    for hits, step in zip((levels, rows, columns), spacing_zyx_mm, strict=True):
        room = int(np.ceil(room_mm / step))
        sides.append(slice(max(0, int(hits[0]) - room), int(hits[-1]) + 1 + room))
    return sides[0], sides[1], sides[2]


def opened(mask: BoolArray, radius_mm: float, spacing_zyx_mm: Spacing) -> BoolArray:
    """The mask without what is thinner than twice the radius."""
    return mask & grown(shrunk(mask, radius_mm, spacing_zyx_mm), radius_mm, spacing_zyx_mm)


def closed(mask: BoolArray, radius_mm: float, spacing_zyx_mm: Spacing) -> BoolArray:
    """The mask with gaps narrower than twice the radius filled."""
    return mask | shrunk(grown(mask, radius_mm, spacing_zyx_mm), radius_mm, spacing_zyx_mm)


def components(mask: BoolArray, connectivity: int = 6) -> tuple[npt.NDArray[np.uint32], int]:
    """Connected components, 1 … n, and n."""
    cells: Any = np.ascontiguousarray(mask, np.uint8)
    label: Any = cc3d.connected_components
    found, count = label(cells, connectivity=connectivity, return_N=True)
    return np.asarray(found).astype(np.uint32, copy=False), int(count)


def largest(mask: BoolArray, connectivity: int = 6) -> BoolArray:
    """The largest connected component, or an empty mask."""
    kept = np.zeros_like(mask)
    box = box_of(mask, 0.0, (1.0, 1.0, 1.0))
    if box is not None:
        labels, count = components(mask[box], connectivity)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        sizes[0] = 0
        kept[box] = labels == int(np.argmax(sizes))
    return kept


def large_pieces(mask: BoolArray, least: float) -> BoolArray:
    """The components of at least ``least`` cells."""
    kept = np.zeros_like(mask)
    box = box_of(mask, 0.0, (1.0, 1.0, 1.0))
    if box is not None:
        labels, count = components(mask[box])
        keep = np.bincount(labels.ravel(), minlength=count + 1) >= least
        keep[0] = False
        kept[box] = keep[labels]
    return kept


def holes_by_plane(mask: BoolArray, axis: int = 0, most_cells: float = np.inf) -> BoolArray:
    """What the mask encloses in the planes across an axis, of at most so many cells each.

    What touches the edge of the plane is not enclosed.
    """
    holes = np.zeros_like(mask)
    box = box_of(mask, 0.0, (1.0, 1.0, 1.0))
    if box is None:
        return holes
    planes = np.moveaxis(mask[box], axis, 0)
    result = np.moveaxis(holes[box], axis, 0)
    filled = np.flatnonzero(planes.any(axis=(1, 2)))

    def fill(low: int, high: int) -> None:
        for index in filled[low:high]:
            _holes_of_plane(planes[index], most_cells, result[index])

    by_slabs(fill, 0, filled.size, THREADS if planes.size >= balls.MANY_CELLS else 1)
    return holes


def _holes_of_plane(plane: BoolArray, most_cells: float, result: BoolArray) -> None:
    """Write what a plane's mask encloses into ``result``."""
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    # A frame of background joins all that lies outside.
    free = np.ones((rows[-1] - rows[0] + 3, columns[-1] - columns[0] + 3), dtype=np.uint8)
    np.logical_not(plane[part], out=free[1:-1, 1:-1], casting="unsafe")
    label: Any = cc3d.connected_components
    labels = label(free, connectivity=4)
    sizes = np.bincount(labels.ravel())
    enclosed = sizes <= most_cells
    enclosed[0] = enclosed[int(labels[0, 0])] = False
    if enclosed.any():
        result[part] |= enclosed[labels][1:-1, 1:-1]
