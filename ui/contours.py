"""Outlines of masks in a slice, as polygons in screen voxels. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.measure import find_contours

from irplan.geometry import BoolArray, FloatArray
from irplan.lesions.lesion import LesionMask
from ui.planes import SlicePlane


def mask_slice(mask: LesionMask, plane: SlicePlane, number: int) -> BoolArray | None:
    """The mask's box in slice ``number``, rows along the plane's down axis; None outside the box.

    Indices rise with the grid's, flips are left to the caller.
    """
    inside = number - mask.start[plane.through]
    axes = (2 - plane.through, 2 - plane.down, 2 - plane.across)
    box = np.moveaxis(mask.voxels, axes, (0, 1, 2))
    return box[inside] if 0 <= inside < box.shape[0] else None


def mask_outlines(mask: LesionMask, plane: SlicePlane, number: int) -> tuple[FloatArray, ...]:
    """The mask's outlines in slice ``number``, each (n, 2) screen points (x, y).

    An outline runs halfway between voxels inside and voxels outside.
    """
    flat = mask_slice(mask, plane, number)
    if flat is None or not flat.any():
        return ()
    padded = np.pad(flat, 1).astype(np.float32)
    outlines = []
    for line in find_contours(padded, 0.5):
        index = np.zeros((len(line), 3))
        index[:, plane.down] = line[:, 0] - 1 + mask.start[plane.down]
        index[:, plane.across] = line[:, 1] - 1 + mask.start[plane.across]
        outlines.append(plane.from_grid(index))
    return tuple(outlines)


def segment_near(
    start_offset_mm: float, end_offset_mm: float, reach_mm: float
) -> tuple[float, float] | None:
    """Which part of a straight line lies within ``reach_mm`` of a slice.

    The offsets are the signed distances of its ends from the slice. Returns the part as two
    fractions 0 to 1 along the line, or None where none of it is near.
    """
    change = end_offset_mm - start_offset_mm
    if abs(change) < 1e-9:
        return (0.0, 1.0) if abs(start_offset_mm) <= reach_mm else None
    ends = sorted((sign * reach_mm - start_offset_mm) / change for sign in (-1.0, 1.0))
    low, high = max(0.0, ends[0]), min(1.0, ends[1])
    return (low, high) if low <= high else None


def visible_box(
    body: npt.NDArray[np.bool_], plane: SlicePlane, margin_mm: float
) -> tuple[float, float, float, float]:
    """The patient's box on the screen over all slices of a view: left, top, right, bottom.

    In screen voxels, widened by a margin and cut at the slice's edge; the whole slice where there
    is no patient.
    """
    columns, rows = plane.size
    spans = []
    for axis in (plane.across, plane.down):
        others = tuple(2 - other for other in range(3) if other != axis)
        hits = np.flatnonzero(body.any(axis=others))
        spans.append((hits[0], hits[-1]) if hits.size else (0, plane.grid.size[axis] - 1))
    index = np.zeros((2, 3))
    index[:, plane.across], index[:, plane.down] = spans[0], spans[1]
    corners = plane.from_grid(index)
    pad = np.asarray([margin_mm / plane.pixel_mm[0], margin_mm / plane.pixel_mm[1]])
    low = np.maximum(corners.min(axis=0) - pad, -0.5)
    high = np.minimum(corners.max(axis=0) + pad, np.asarray([columns - 0.5, rows - 0.5]))
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
