"""Measures of a lesion from its voxels: volume, diameters, depth under the skin, HU.

Conventions (each is tested against analytic bodies or brute force):

* The border of a mask lies on the faces between an inside and an outside voxel. Lines are drawn
  between the middles of such faces, so a ball of diameter d in a fine grid measures d, not one
  voxel less.
* The longest diameter is the longest line between two border points of one axial slice (RECIST).
  Where the slices of the scan lie within :data:`AXIAL_TOLERANCE_DEG` of the axial plane they are
  the planes used; otherwise the mask is first laid on an axial grid (finding
  ``axial_planes_resampled``).
* The short axis is the longest chord perpendicular to the longest diameter, in the same slice
  (RECIST 1.1's short axis of a node).
* Depth is the shortest way from the lesion's border to a voxel outside the body, face to face.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError, cKDTree
from skimage import measure

from irplan import units
from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray, FloatArray, GridGeometry, PointLps
from irplan.lesions.lesion import Lesion, LesionMask
from irplan.volume import CtVolume

#: Slices tilted from the axial plane by no more than this are read as axial, degrees. A reader
#: measures on the slices that the scanner gave.
AXIAL_TOLERANCE_DEG = 15.0
#: Volume over that of the ellipsoid through the three diameters: outside these the lesion is far
#: from an ellipsoid or the mask is wrong. Customary setting.
ELLIPSOID_RATIO = (0.5, 1.5)

#: Skin is looked for within these distances of a lesion before the whole scan is, mm.
DEPTH_REACHES_MM = (25.0, 70.0)

STAGE = "lesions"

AXIAL_RESAMPLED = declare(
    "axial_planes_resampled",
    Severity.INFO,
    STAGE,
    "{lesion}: the slices lie {tilt_deg}° from the axial plane; the diameters were taken on axial "
    "planes laid through the mask",
)
FAR_FROM_ELLIPSOID = declare(
    "volume_far_from_ellipsoid",
    Severity.WARN,
    STAGE,
    "{lesion}: {volume_ml} mL is {ratio} times the ellipsoid through its three diameters "
    "({ellipsoid_ml} mL): look at the mask",
)
DEPTH_UNKNOWN = declare(
    "depth_unknown",
    Severity.INFO,
    STAGE,
    "{lesion}: no skin is in view, so its depth is unknown",
)
DEPTH_AT_MOST = declare(
    "depth_at_most",
    Severity.INFO,
    STAGE,
    "{lesion}: the scan ends {edge_mm} mm from the lesion, inside the body; the skin in view is "
    "{depth_mm} mm away, and nearer skin may lie outside the scan",
)
TOUCHES_FIELD = declare(
    "lesion_touches_field",
    Severity.WARN,
    STAGE,
    "{lesion}: the mask reaches the edge of the scan; part of the lesion may lie outside it, so "
    "its volume and diameters are too small",
)


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


def measure_lesion(lesion: Lesion, volume: CtVolume, body: BoolArray | None) -> Lesion:
    """The lesion with every measurement filled in from its mask.

    A volume that stands already (a segmenter knows the border finer than voxels) is kept;
    otherwise it is the number of voxels times the volume of one.

    Args:
        lesion: with its mask; without one it is returned as it is.
        volume: the CT on whose grid the mask lies.
        body: bool (z, y, x), the patient; ``None`` leaves the depth unknown.

    Raises:
        ValueError: mask and CT lie on different grids.
    """
    mask = lesion.mask
    if mask is None:
        return lesion
    if not mask.grid.same_grid(volume.geometry):
        raise ValueError("the mask does not lie on the grid of the CT")
    findings: list[Finding] = []
    name = lesion.lesion_id
    volume_ml = lesion.volume_ml
    if volume_ml is None:
        volume_ml = units.ml(mask.voxel_volume_ml)
    axial = axial_diameters(mask)
    if axial.resampled:
        tilt = units.deg(slice_tilt_deg(mask.grid))
        findings.append(AXIAL_RESAMPLED(name, lesion=name, tilt_deg=tilt))
    depth_mm, depth_findings = _depth(name, mask, body)
    findings += depth_findings
    if _touches_field(mask):
        findings.append(TOUCHES_FIELD(name, lesion=name))
    findings += _ellipsoid_check(name, volume_ml, mask, axial)
    values = volume.hu[mask.slices_zyx][mask.voxels].astype(float)
    return replace(
        lesion,
        volume_ml=volume_ml,
        longest_diameter_mm=axial.longest.length_mm,
        longest_diameter_ends_lps_mm=axial.longest.ends_lps_mm,
        short_axis_mm=axial.short.length_mm,
        diameter_3d_mm=diameter_3d(mask).length_mm,
        centroid_lps_mm=centroid_lps_mm(mask),
        depth_below_skin_mm=depth_mm,
        mean_hu=float(values.mean()),
        sd_hu=float(values.std()),
        findings=_merged(lesion.findings, findings),
    )


def _merged(old: tuple[Finding, ...], new: list[Finding]) -> tuple[Finding, ...]:
    """The older findings without those that were measured again, then the new ones."""
    codes = {
        rule.code
        for rule in (
            AXIAL_RESAMPLED,
            FAR_FROM_ELLIPSOID,
            DEPTH_UNKNOWN,
            DEPTH_AT_MOST,
            TOUCHES_FIELD,
        )
    }
    return (*(finding for finding in old if finding.code not in codes), *new)


# ---------------------------------------------------------------------------- volume and centre


def ellipsoid_ml(d1_mm: float, d2_mm: float, d3_mm: float) -> float:
    """Volume in mL of the ellipsoid with these three diameters in mm: π/6 · d1 · d2 · d3."""
    return math.pi / 6.0 * d1_mm * d2_mm * d3_mm / 1000.0


def centroid_lps_mm(mask: LesionMask) -> PointLps:
    """Mean of the voxel centres, LPS mm. May lie outside a curved lesion."""
    k, j, i = np.nonzero(mask.voxels)
    index = np.array([i.mean(), j.mean(), k.mean()]) + np.asarray(mask.start)
    return _point(mask.grid.to_lps(index))


def head_foot_extent_mm(mask: LesionMask) -> float:
    """Extent along the patient's z axis, from border face to border face, mm."""
    z = _border_faces_lps_mm(mask)[:, 2]
    return float(z.max() - z.min())


def _ellipsoid_check(
    name: str, volume_ml: Decimal, mask: LesionMask, axial: AxialDiameters
) -> list[Finding]:
    ellipsoid = ellipsoid_ml(
        axial.longest.length_mm, axial.short.length_mm, head_foot_extent_mm(mask)
    )
    ratio = float(volume_ml) / ellipsoid
    if ELLIPSOID_RATIO[0] <= ratio <= ELLIPSOID_RATIO[1]:
        return []
    return [
        FAR_FROM_ELLIPSOID(
            name,
            lesion=name,
            volume_ml=volume_ml,
            ratio=units.quantize(ratio, Decimal("0.01")),
            ellipsoid_ml=units.ml(ellipsoid),
        )
    ]


def _touches_field(mask: LesionMask) -> bool:
    start = np.asarray(mask.start)
    stop = start + np.asarray(mask.voxels.shape[::-1])
    return bool((start == 0).any() or (stop == np.asarray(mask.grid.size)).any())


# ------------------------------------------------------------------------------------ diameters


def slice_tilt_deg(grid: GridGeometry) -> float:
    """Angle between the slice normal and the patient's z axis, degrees, 0 to 90."""
    return math.degrees(math.acos(min(1.0, abs(float(grid.axes[2, 2])))))


def axial_diameters(mask: LesionMask) -> AxialDiameters:
    """Longest diameter in an axial plane and the longest chord perpendicular to it."""
    resampled = slice_tilt_deg(mask.grid) > AXIAL_TOLERANCE_DEG
    voxels, grid = (_axial_resampled(mask)) if resampled else (mask.voxels, mask.box_grid)
    best: tuple[float, int, FloatArray, list[FloatArray]] | None = None
    for number, flat in enumerate(voxels):
        if not flat.any():
            continue
        outlines = slice_outlines_mm(flat, grid.spacing_mm[0], grid.spacing_mm[1])
        points = np.concatenate(outlines)
        length, ends = _farthest_pair(points)
        if best is None or length > best[0] + 1e-9:
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


def slice_outlines_mm(flat: BoolArray, column_mm: float, row_mm: float) -> list[FloatArray]:
    """Closed outlines of a slice's mask, each (n, 2) as (x, y) in mm from voxel (0, 0).

    The points are the middles of the edges between inside and outside pixels.
    """
    padded = np.pad(flat.astype(np.float32), 1)
    trace: Any = measure.find_contours
    outlines: list[FloatArray] = trace(padded, 0.5, fully_connected="low")
    scale = np.array([column_mm, row_mm])
    return [(outline[:, ::-1] - 1.0) * scale for outline in outlines]


def _farthest_pair(points: FloatArray) -> tuple[float, FloatArray]:
    """The largest distance between two of the points and the two points, in a fixed order."""
    hull = _hull_points(points)
    gaps = np.linalg.norm(hull[:, None, :] - hull[None, :, :], axis=-1)
    first, second = np.unravel_index(int(np.argmax(gaps)), gaps.shape)
    ends = hull[[first, second]]
    order = np.lexsort(ends.T)
    return float(gaps[first, second]), ends[order]


def _hull_points(points: FloatArray) -> FloatArray:
    """The corners of the convex hull, sorted; all points where they span no area or volume."""
    unique: FloatArray = np.unique(points, axis=0)
    if len(unique) > points.shape[1] + 1:
        try:
            corners = np.sort(ConvexHull(unique).vertices)
        except QhullError:
            return unique
        return np.asarray(unique[corners], dtype=float)
    return unique


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


def _axial_resampled(mask: LesionMask) -> tuple[BoolArray, GridGeometry]:
    """The mask's box on a grid along the LPS axes, with the smallest spacing of the CT."""
    step = min(mask.grid.spacing_mm)
    box = mask.box_grid
    corners = box.to_lps(
        np.array(
            [
                [i, j, k]
                for i in (-0.5, box.size[0] - 0.5)
                for j in (-0.5, box.size[1] - 0.5)
                for k in (-0.5, box.size[2] - 0.5)
            ]
        )
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    x_count, y_count, z_count = (np.ceil((high - low) / step).astype(int) + 1).tolist()
    grid = GridGeometry((x_count, y_count, z_count), (step, step, step), _point(low))
    z, y, x = np.meshgrid(np.arange(z_count), np.arange(y_count), np.arange(x_count), indexing="ij")
    points = grid.to_lps(np.stack([x, y, z], axis=-1))
    index = np.rint(box.to_index(points)).astype(int)
    inside = np.all((index >= 0) & (index < np.asarray(box.size)), axis=-1)
    i, j, k = np.moveaxis(np.where(inside[..., None], index, 0), -1, 0)
    return inside & mask.voxels[k, j, i], grid


def _in_lps(ends: FloatArray, number: int, grid: GridGeometry) -> tuple[PointLps, PointLps]:
    """Two in-slice points in mm from the grid's first voxel → LPS mm."""
    index = np.column_stack([ends / np.asarray(grid.spacing_mm[:2]), [number, number]])
    start, end = grid.to_lps(index)
    return _point(start), _point(end)


def diameter_3d(mask: LesionMask) -> Calliper:
    """The longest line between two border faces in any direction."""
    length, ends = _farthest_pair(_border_faces_lps_mm(mask))
    return Calliper(length, (_point(ends[0]), _point(ends[1])))


def _border_faces_lps_mm(mask: LesionMask) -> FloatArray:
    """Middles of the faces between inside and outside voxels, (n, 3), LPS mm."""
    padded = np.pad(mask.voxels, 1)
    faces = []
    for axis in range(3):
        for side in (-1, 1):
            outside = np.roll(padded, -side, axis=axis)
            index = np.argwhere(padded & ~outside).astype(float)
            index[:, axis] += 0.5 * side
            faces.append(index)
    index_zyx = np.concatenate(faces) - 1.0
    return mask.box_grid.to_lps(index_zyx[:, ::-1])


# -------------------------------------------------------------------------------- depth of skin


def _depth(
    name: str, mask: LesionMask, body: BoolArray | None
) -> tuple[float | None, list[Finding]]:
    if body is None:
        return None, [DEPTH_UNKNOWN(name, lesion=name)]
    depth_mm = depth_below_skin_mm(mask, body)
    if depth_mm is None:
        return None, [DEPTH_UNKNOWN(name, lesion=name)]
    edge_mm = _field_edge_mm(mask)
    if edge_mm < depth_mm:
        finding = DEPTH_AT_MOST(
            name, lesion=name, edge_mm=units.mm(edge_mm), depth_mm=units.mm(depth_mm)
        )
        return depth_mm, [finding]
    return depth_mm, []


def _field_edge_mm(mask: LesionMask) -> float:
    """Distance from the lesion's box to the nearest outer face of the scan, mm."""
    start = np.asarray(mask.start)
    stop = start + np.asarray(mask.voxels.shape[::-1])
    gaps = np.minimum(start, np.asarray(mask.grid.size) - stop) * np.asarray(mask.grid.spacing_mm)
    return float(gaps.min())


def depth_below_skin_mm(mask: LesionMask, body: BoolArray) -> float | None:
    """Shortest distance from the lesion to a voxel outside the body, face to face, mm.

    0 where the lesion touches or passes the skin; ``None`` where no voxel lies outside the body.
    The end of the scan is no skin.

    Args:
        mask: the lesion.
        body: bool (z, y, x) on the lesion's grid.
    """
    if not body[mask.slices_zyx][mask.voxels].all():
        return 0.0
    # Near skin is looked for near the lesion first: most lesions of this trial are superficial.
    for reach_mm in DEPTH_REACHES_MM:
        low, high = _box_around(mask, reach_mm)
        part = body[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
        depth_mm = _depth_within(mask, part, low)
        if depth_mm is not None and depth_mm <= reach_mm:
            return depth_mm
    return _depth_within(mask, body, np.zeros(3, dtype=np.int64))


def _box_around(
    mask: LesionMask, reach_mm: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First and one past the last voxel (i, j, k) of the lesion's box grown by ``reach_mm``."""
    margin = np.ceil(reach_mm / np.asarray(mask.grid.spacing_mm)).astype(np.int64) + 1
    start = np.asarray(mask.start)
    stop = start + np.asarray(mask.voxels.shape[::-1])
    return np.maximum(start - margin, 0), np.minimum(stop + margin, np.asarray(mask.grid.size))


def _depth_within(mask: LesionMask, body: BoolArray, first: npt.NDArray[np.int64]) -> float | None:
    """Distance to the nearest voxel outside ``body``, whose voxel (0, 0, 0) is ``first``."""
    spacing = np.asarray(mask.grid.spacing_mm)
    border = _border_voxels(mask.voxels) + np.asarray(mask.start) - first
    outside = _outside_near(border, body, spacing)
    if outside is None:
        return None
    tree = cKDTree(outside * spacing)
    gaps, _ = tree.query(border * spacing)
    # Faces may be nearer than centres say by one voxel on both sides.
    border = border[gaps <= gaps.min() + 2.0 * float(np.linalg.norm(spacing))]
    count = min(8, len(outside))
    _, nearest = tree.query(border * spacing, k=count)
    steps = np.abs(outside[np.reshape(nearest, (len(border), count))] - border[:, None, :])
    faces = np.maximum(steps - 1, 0) * spacing
    return float(np.linalg.norm(faces, axis=-1).min())


def _border_voxels(voxels: BoolArray) -> npt.NDArray[np.int64]:
    """Inside voxels with an outside neighbour across a face, (n, 3) as (i, j, k) in the box."""
    padded = np.pad(voxels, 1)
    core = padded.copy()
    for axis in range(3):
        core &= np.roll(padded, 1, axis=axis) & np.roll(padded, -1, axis=axis)
    index: npt.NDArray[np.int64] = np.argwhere(padded & ~core)[:, ::-1] - 1
    return index


def _outside_near(
    border: npt.NDArray[np.int64], body: BoolArray, spacing: FloatArray
) -> npt.NDArray[np.int64] | None:
    """Voxels (i, j, k) outside the body that may be nearest to the border, or ``None``.

    Blocks that hold such a voxel are ranked by their centre's distance; a block that is farther
    than the nearest by more than both their diagonals cannot hold the nearest voxel.
    """
    edge = 8
    starts = [np.arange(0, size, edge) for size in body.shape]
    hit = ~body
    for axis, start in enumerate(starts):
        hit = np.logical_or.reduceat(hit, start, axis=axis)
    blocks = np.argwhere(hit)
    if blocks.size == 0:
        return None
    centres = (blocks[:, ::-1] + 0.5) * edge * spacing
    gaps, _ = cKDTree(border * spacing).query(centres)
    reach = float(np.linalg.norm(spacing * edge))
    near = blocks[gaps <= gaps.min() + 2.0 * reach]
    found = []
    for block in near:
        corner = block * edge
        span = tuple(slice(first, first + edge) for first in corner)
        found.append(np.argwhere(~body[span]) + corner)
    return np.concatenate(found)[:, ::-1]


def _point(values: npt.ArrayLike) -> PointLps:
    x, y, z = np.asarray(values, dtype=float).tolist()
    return x, y, z


def depth_of_point_mm(
    point_lps_mm: npt.ArrayLike, grid: GridGeometry, body: BoolArray | None
) -> float | None:
    """Shortest distance from a point's voxel to one outside the body, mm; None where unknown."""
    if body is None:
        return None
    i, j, k = grid.nearest_index(point_lps_mm)
    if not (0 <= i < grid.size[0] and 0 <= j < grid.size[1] and 0 <= k < grid.size[2]):
        return None
    return depth_below_skin_mm(LesionMask(np.ones((1, 1, 1), dtype=bool), (i, j, k), grid), body)
