"""Lines across a lesion: longest axial diameter, its perpendicular, the longest line in 3-D.

The border of a mask runs between its voxels and those outside. Drawn along the faces of the voxels
it has corners, and the longest line runs from corner to corner: about half a pixel too long on a
body of known size, however fine the grid. (The maximum diameters of IBSI and pyradiomics, between
the vertices of a mesh laid through the middles of those faces, are such lines: IBSI reference
manual, arXiv:1612.07003, "maximum 3D diameter".) So the border is laid through the mask as an image
would show it: smoothed within each slice by SMOOTH_PIXELS, at the level that encloses as much area
as the mask has there; at one half a small body would come out short, since smoothing takes from
what is round. Lengths in mm, positions in LPS mm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import cdist
from skimage import measure

from irplan.geometry import BoolArray, FloatArray, GridGeometry, PointLps
from irplan.lesions.lesion import LesionMask

#: Slices tilted from the axial plane by no more than this are read as axial, degrees. A reader
#: measures on the slices that the scanner gave.
AXIAL_TOLERANCE_DEG = 15.0
#: Smoothing of a mask within its slices before its border is laid: the standard deviation of a
#: Gaussian, in pixels. As much as the blur of a scanner; enough to round the corners of pixels.
SMOOTH_PIXELS = 0.85
#: The level of the border stays within this of one half, and is found in so many halvings.
LEVEL_REACH, LEVEL_STEPS = 0.3, 12
#: Pixels of nothing kept around a mask: its border lies within one of them.
AROUND = 2

Field = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Calliper:
    """A line across the lesion.

    Attributes:
        length_mm: its length.
        ends_lps_mm: its two ends, LPS mm.
    """

    length_mm: float
    ends_lps_mm: tuple[PointLps, PointLps]


@dataclass(frozen=True)
class AxialDiameters:
    """Longest axial diameter and its perpendicular.

    Attributes:
        longest: the longest diameter in an axial plane.
        short: the longest chord perpendicular to it in the same plane.
        resampled: whether the slices were too oblique and the mask was laid on axial planes.
    """

    longest: Calliper
    short: Calliper
    resampled: bool


def head_foot_extent_mm(mask: LesionMask) -> float:
    """Extent along the patient's z axis, from border to border, mm."""
    z = _border_lps_mm(mask)[:, 2]
    return float(z.max() - z.min())


def slice_tilt_deg(grid: GridGeometry) -> float:
    """Angle between the slice normal and the patient's z axis, degrees, 0 to 90."""
    return math.degrees(math.acos(min(1.0, abs(float(grid.axes[2, 2])))))


def border_field(voxels: BoolArray) -> Field:
    """A mask smoothed within each slice and raised or lowered: its border runs at one half.

    In each slice the border encloses the area of the mask. A slice too thin to reach one half
    anywhere stays as it is.

    Args:
        voxels: bool (z, y, x).

    Returns:
        float32 (z + 2 AROUND, y + 2 AROUND, x + 2 AROUND).
    """
    padded = np.pad(voxels.astype(np.float32), AROUND)
    field: Field = ndimage.gaussian_filter(
        padded, (0.0, SMOOTH_PIXELS, SMOOTH_PIXELS), mode="constant"
    )
    field += (0.5 - _levels(field, padded.sum(axis=(1, 2))))[:, None, None]
    thin = field.max(axis=(1, 2)) <= 0.5
    field[thin] = padded[thin]
    return field


def _levels(field: Field, areas: Field) -> Field:
    """The level in each slice above which so many pixels lie, (slices,).

    A pixel that the level crosses counts as a share, as if the field were even slopes: by how far
    its centre lies above the level, over the slope. Found by halving.
    """
    slope = np.hypot(*np.gradient(field, axis=(1, 2)))
    near = (slope > 0.0) & (np.abs(field - 0.5) < slope / 2.0 + LEVEL_REACH)
    number = np.nonzero(near)[0]
    value, slope = field[near], slope[near]
    surely = np.count_nonzero((field > 0.5) & ~near, axis=(1, 2))
    level, step = np.full(len(field), 0.5, dtype=np.float32), LEVEL_REACH
    for _ in range(LEVEL_STEPS):
        step /= 2.0
        share = np.clip(0.5 + (value - level[number]) / slope, 0.0, 1.0)
        area = surely + np.bincount(number, share, len(field))
        level += np.where(area >= areas, step, -step).astype(np.float32)
    return np.where(areas > 0.0, level, np.float32(0.5))


def axial_diameters(mask: LesionMask) -> AxialDiameters:
    """Longest diameter in an axial plane and the longest chord perpendicular to it."""
    resampled = slice_tilt_deg(mask.grid) > AXIAL_TOLERANCE_DEG
    field, grid = _axial_field(mask) if resampled else _own_field(mask)
    best: tuple[float, int, FloatArray, list[FloatArray]] | None = None
    # The slices that may hold the longest line come first; most others need not be traced.
    bounds = [_at_most_mm(flat, grid) for flat in field]
    for number in np.argsort(-np.array(bounds), kind="stable").tolist():
        if bounds[number] <= 0.0 or (best is not None and bounds[number] < best[0]):
            break
        outlines = _outlines_mm(field[number], grid)
        length, ends = _farthest_pair(np.concatenate(outlines))
        if best is None or (length, -number) > (best[0], -best[1]):
            best = (length, number, ends, outlines)
    if best is None:
        raise ValueError("an empty mask has no diameter")
    length, number, ends, outlines = best
    short_length, short_ends = _longest_perpendicular(outlines, ends)
    return AxialDiameters(
        Calliper(length, _in_lps(ends, number, grid)),
        Calliper(short_length, _in_lps(short_ends, number, grid)),
        resampled,
    )


def _at_most_mm(flat: Field, grid: GridGeometry) -> float:
    """No line in a slice is longer than this; 0 where there is none."""
    rows, columns = np.nonzero(flat > 0.5)
    if len(rows) == 0:
        return 0.0
    places = np.column_stack([columns, rows]) * np.asarray(grid.spacing_mm[:2])
    middle = (places.min(axis=0) + places.max(axis=0)) / 2.0
    reach = np.sqrt(((places - middle) ** 2).sum(axis=1).max())
    # The border lies less than a pixel beyond a pixel's centre.
    return 2.0 * float(reach + max(grid.spacing_mm[:2]))


def _own_field(mask: LesionMask) -> tuple[Field, GridGeometry]:
    """The border's field on the mask's own slices, and their grid."""
    i, j, k = mask.start
    depth, height, width = (count + 2 * AROUND for count in mask.voxels.shape)
    start = (i - AROUND, j - AROUND, k - AROUND)
    return border_field(mask.voxels), mask.grid.crop(start, (width, height, depth))


def perpendicular_of(
    mask: LesionMask, start_lps_mm: PointLps, end_lps_mm: PointLps
) -> Calliper | None:
    """The longest chord of the mask perpendicular to a line, in the line's plane.

    The plane of a line within :data:`AXIAL_TOLERANCE_DEG` of the axial plane is the axial slice
    nearest to its middle, as for :func:`axial_diameters`: for the longest diameter itself the
    answer is the same short axis. Of a steeper line it is the plane that holds the line and the
    horizontal across it.

    Args:
        start_lps_mm, end_lps_mm: the ends of the line, LPS mm; not the same point.

    Returns:
        The chord; ``None`` where the mask is not cut by that plane.
    """
    ends = np.array([start_lps_mm, end_lps_mm], dtype=float)
    along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    if abs(float(along[2])) > math.sin(math.radians(AXIAL_TOLERANCE_DEG)):
        field, grid = _field_along(mask, ends, along)
    elif slice_tilt_deg(mask.grid) > AXIAL_TOLERANCE_DEG:
        field, grid = _axial_field(mask)
    else:
        field, grid = _own_field(mask)
    index = grid.to_index(ends)
    number = int(np.rint(index[:, 2].mean()))
    if not 0 <= number < len(field) or field[number].max() <= 0.5:
        return None
    outlines = _outlines_mm(field[number], grid)
    flat = index[:, :2] * np.asarray(grid.spacing_mm[:2])
    length, chord = _longest_perpendicular(outlines, flat)
    return Calliper(length, _in_lps(chord, number, grid))


def _field_along(
    mask: LesionMask, ends: FloatArray, along: FloatArray
) -> tuple[Field, GridGeometry]:
    """The border's field on one plane through a steep line: columns run along it, rows are level.

    Args:
        ends: (2, 3), LPS mm.
        along: the line's direction, of length 1.
    """
    level = np.cross([0.0, 0.0, 1.0], along)
    # A line from feet to head has every level direction across it: that to the left is taken.
    size = float(np.linalg.norm(level))
    level = level / size if size > 1e-6 else np.array([1.0, 0.0, 0.0])
    axes = np.column_stack([along, level, np.cross(along, level)])
    corners = (mask.box_grid.corners_lps_mm() - ends.mean(axis=0)) @ axes
    step = min(mask.grid.spacing_mm) / 2.0
    reach = np.abs(corners[:, :2]).max(axis=0) + AROUND * max(mask.grid.spacing_mm)
    half = np.ceil(reach / step).astype(int)
    columns, rows = (2 * half + 1).tolist()
    first = ends.mean(axis=0) - axes[:, :2] @ (half * step)
    grid = GridGeometry(
        (columns, rows, 1), (step, step, step), _point(first), tuple(axes.ravel().tolist())
    )
    return _sampled(mask, grid), grid


def _axial_field(mask: LesionMask) -> tuple[Field, GridGeometry]:
    """The border's field on a grid along the LPS axes, with the smallest spacing of the CT."""
    step = min(mask.grid.spacing_mm)
    box = mask.box_grid
    corners = box.to_lps(
        np.array(
            [
                [i, j, k]
                for i in (-AROUND, box.size[0] - 1.0 + AROUND)
                for j in (-AROUND, box.size[1] - 1.0 + AROUND)
                for k in (-AROUND, box.size[2] - 1.0 + AROUND)
            ]
        )
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    x_count, y_count, z_count = (np.ceil((high - low) / step).astype(int) + 1).tolist()
    grid = GridGeometry((x_count, y_count, z_count), (step, step, step), _point(low))
    return _sampled(mask, grid), grid


def _sampled(mask: LesionMask, grid: GridGeometry) -> Field:
    """The border's field at the voxels of another grid, linear between those of its own."""
    own, own_grid = _own_field(mask)
    z, y, x = np.indices(grid.shape_zyx)
    index = own_grid.to_index(grid.to_lps(np.stack([x, y, z], axis=-1)))
    out: Field = ndimage.map_coordinates(
        own, np.moveaxis(index[..., ::-1], -1, 0), order=1, mode="constant"
    )
    return out


def _outlines_mm(flat: Field, grid: GridGeometry) -> list[FloatArray]:
    """Closed outlines of a slice, each (n, 2) as (x, y) in mm from voxel (0, 0) of the grid."""
    trace: Any = measure.find_contours
    outlines: list[FloatArray] = trace(flat, 0.5, fully_connected="low")
    scale = np.asarray(grid.spacing_mm[:2])
    return [outline[:, ::-1] * scale for outline in outlines]


def _farthest_pair(points: FloatArray) -> tuple[float, FloatArray]:
    """The largest distance between two of the points and the two points, in a fixed order."""
    hull = _may_be_ends(_hull_points(points))
    gaps = cdist(hull, hull)
    first, second = np.unravel_index(int(np.argmax(gaps)), gaps.shape)
    ends = hull[[first, second]]
    order = np.lexsort(ends.T)
    return float(gaps[first, second]), ends[order]


def _may_be_ends(points: FloatArray) -> FloatArray:
    """The points without those from which no other is as far as two that are known."""
    one, other = points[0], points[-1]
    for _ in range(3):
        other = points[int(np.argmax(((points - one) ** 2).sum(axis=1)))]
        one = points[int(np.argmax(((points - other) ** 2).sum(axis=1)))]
    known = float(np.linalg.norm(one - other))
    away = np.linalg.norm(points - (one + other) / 2.0, axis=1)
    # A line from a point is no longer than its way to the middle and from there to the farthest.
    kept: FloatArray = points[away + away.max() >= known - 1e-9]
    return kept


def _hull_points(points: FloatArray) -> FloatArray:
    """The corners of the convex hull, sorted; all points where they span no area or volume."""
    if len(points) > points.shape[1] + 1:
        try:
            corners = points[ConvexHull(points).vertices]
        except QhullError:
            return np.asarray(np.unique(points, axis=0), dtype=float)
        return np.asarray(corners[np.lexsort(corners.T[::-1])], dtype=float)
    return np.asarray(np.unique(points, axis=0), dtype=float)


def _longest_perpendicular(
    outlines: list[FloatArray], ends: FloatArray
) -> tuple[float, FloatArray]:
    """The longest chord perpendicular to the line through ``ends`` (2, 2), and its ends.

    A chord runs from the first to the last crossing with the outlines. Its length is piecewise
    linear along the line, so the longest lies at a corner of an outline.
    """
    along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    across = np.array([-along[1], along[0]])
    frame = np.stack([along, across], axis=1)
    segments = np.concatenate(
        [np.stack([outline[:-1] @ frame, outline[1:] @ frame], axis=1) for outline in outlines]
    )
    left, right = segments[:, 0], segments[:, 1]
    best, best_ends = 0.0, np.array([ends[0], ends[0]])
    for position in np.unique(np.round(left[:, 0], 9)):
        hit = (np.minimum(left[:, 0], right[:, 0]) <= position + 1e-9) & (
            np.maximum(left[:, 0], right[:, 0]) >= position - 1e-9
        )
        first, last = left[hit], right[hit]
        run = last[:, 0] - first[:, 0]
        steep = np.abs(run) < 1e-9
        part = np.where(steep, 0.0, (position - first[:, 0]) / np.where(steep, 1.0, run))
        heights = first[:, 1] + np.clip(part, 0.0, 1.0) * (last[:, 1] - first[:, 1])
        heights = np.concatenate([heights, last[steep, 1]])
        low, high = float(heights.min()), float(heights.max())
        if high - low > best + 1e-9:
            best = high - low
            best_ends = np.array([[position, low], [position, high]]) @ frame.T
    return best, best_ends


def _in_lps(ends: FloatArray, number: int, grid: GridGeometry) -> tuple[PointLps, PointLps]:
    """Two in-slice points in mm from the grid's first voxel → LPS mm."""
    index = np.column_stack([ends / np.asarray(grid.spacing_mm[:2]), [number, number]])
    start, end = grid.to_lps(index)
    return _point(start), _point(end)


def diameter_3d(mask: LesionMask) -> Calliper:
    """The longest line between two places on the border in any direction."""
    length, ends = _farthest_pair(_border_lps_mm(mask))
    return Calliper(length, (_point(ends[0]), _point(ends[1])))


def _border_lps_mm(mask: LesionMask) -> FloatArray:
    """Where the border crosses the lines between voxel centres, (n, 3), LPS mm.

    Of each such line only the first and the last crossing: what lies between them is never an end
    of the longest line.
    """
    field, grid = _own_field(mask)
    inside = field > 0.5
    found = []
    for axis in range(3):
        lines, values = np.moveaxis(inside, axis, -1), np.moveaxis(field, axis, -1)
        hit = lines.any(axis=-1)
        rows, across = lines[hit], values[hit]
        number = np.arange(len(rows))
        last = rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
        for edge, beyond in ((rows.argmax(axis=1), -1), (last, 1)):
            own, other = across[number, edge], across[number, edge + beyond]
            index = np.insert(
                np.argwhere(hit).astype(float),
                axis,
                edge + beyond * (own - 0.5) / (own - other),
                axis=1,
            )
            found.append(index)
    return grid.to_lps(np.concatenate(found)[:, ::-1])


def _point(values: npt.ArrayLike) -> PointLps:
    x, y, z = np.asarray(values, dtype=float).tolist()
    return x, y, z
