"""RTSTRUCT: the closed contours of each region, filled at the resolution of the CT.

A voxel belongs to a region where its centre lies inside an odd number of its contours in that
slice, so a contour inside another cuts a hole (DICOM PS3.3 C.8.8.6.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from irplan.errors import InputRefused
from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.lesions.lesion import LesionMask

#: A contour's points may leave their plane by this share of the slice spacing.
PLANE_TOLERANCE = 0.05
#: Contours that spread over more pixels than this in one slice do not belong to the scan.
MOST_PIXELS = 1 << 24
#: No contour lies farther from the scanner's origin.
FARTHEST_MM = 1e5
CLOSED_TYPES = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


@dataclass(frozen=True)
class Region:
    """One region of interest of an RTSTRUCT, filled on the CT grid.

    Attributes:
        number, name: ROI number and name.
        mask: its voxels; ``None`` where it has no closed contour that covers a voxel.
        skipped_slices: slices between its first and last that no contour lies on.
        shift_mm: largest distance of a contour from the slice it was laid on.
        open_contours: contours that enclose nothing (points, open lines) and were left out.
        lost_ml: the part of it that lies outside the scan, mL.
    """

    number: int
    name: str
    mask: LesionMask | None
    skipped_slices: int
    shift_mm: float
    open_contours: int
    lost_ml: float = 0.0


def frame_uids(dataset: pydicom.Dataset) -> set[str]:
    """The frames of reference that the file's regions lie in.

    What a region says of itself counts; the file's list only for regions that say nothing.
    """
    listed = {
        str(item.get("FrameOfReferenceUID", ""))
        for item in dataset.get("ReferencedFrameOfReferenceSequence", [])
    } - {""}
    own = [
        str(item.get("ReferencedFrameOfReferenceUID") or "")
        for item in dataset.get("StructureSetROISequence", [])
    ]
    return (set(own) - {""}) | (listed if "" in own or not own else set())


def regions(dataset: pydicom.Dataset, grid: GridGeometry, path: Path) -> Iterator[Region]:
    """Every region of the file by rising ROI number, filled on ``grid``.

    Raises:
        InputRefused: a contour is no polygon, or does not lie in the planes of the slices.
    """
    names = {
        int(item.ROINumber): str(item.get("ROIName", ""))
        for item in _once(dataset.get("StructureSetROISequence", []), "ROINumber", path)
    }
    contours = {
        int(item.ReferencedROINumber): item.get("ContourSequence", [])
        for item in _once(dataset.get("ROIContourSequence", []), "ReferencedROINumber", path)
    }
    for number in sorted(set(names) | set(contours)):
        closed: list[FloatArray] = []
        left_out = 0
        for item in contours.get(number, []):
            if str(item.get("ContourGeometricType", "")).strip() not in CLOSED_TYPES:
                left_out += 1
                continue
            closed.append(_points(item, number, path))
        yield _region(number, names.get(number, ""), closed, left_out, grid, path)


def _once(items: Sequence[pydicom.Dataset], number: str, path: Path) -> Sequence[pydicom.Dataset]:
    """The items, each of which has a number of its own.

    Raises:
        InputRefused: two have the same.
    """
    numbers = [int(item[number].value) for item in items]
    if len(set(numbers)) < len(numbers):
        raise InputRefused(
            "region_twice",
            f"{path}: two regions have one number, so names and contours cannot be told apart",
            "export the structures again",
        )
    return items


def _points(item: pydicom.Dataset, number: int, path: Path) -> FloatArray:
    values = np.atleast_1d(np.asarray(item.get("ContourData") or [], dtype=float))
    told = item.get("NumberOfContourPoints")
    # NaN fails the comparison too.
    if (
        values.size < 9
        or values.size % 3
        or not (np.abs(values) < FARTHEST_MM).all()
        or (told is not None and int(told) * 3 != values.size)
    ):
        raise InputRefused(
            "contour_broken",
            f"{path}: a contour of region {number} holds {values.size} numbers, not x,y,z triples "
            "of three points or more, as many as it says",
            "export the structures again",
        )
    if any(float(value) != 0.0 for value in item.get("ContourOffsetVector") or ()):
        raise InputRefused(
            "contour_shifted_by_tag",
            f"{path}: a contour of region {number} is to be shifted by ContourOffsetVector, which "
            "is retired and not followed",
            "export the structures again",
        )
    return values.reshape(-1, 3)


def _region(
    number: int,
    name: str,
    closed: Sequence[FloatArray],
    left_out: int,
    grid: GridGeometry,
    path: Path,
) -> Region:
    by_slice: dict[int, list[FloatArray]] = {}
    shift = 0.0
    for points in closed:
        index = grid.to_index(points)
        height = index[:, 2]
        if float(np.ptp(height)) > 2.0 * PLANE_TOLERANCE:
            raise InputRefused(
                "contour_not_in_slice",
                f"{path}: region {number} '{name}' was drawn in planes that are not the slices",
                "draw it on the slices of this scan, or give it as a label map or DICOM SEG",
            )
        level = float(height.mean())
        slice_number = round(level)
        shift = max(shift, abs(level - slice_number) * grid.spacing_mm[2])
        by_slice.setdefault(slice_number, []).append(index[:, :2])
    flats: dict[int, BoolArray] = {}
    lost = 0
    for slice_number, polygons in by_slice.items():
        flat, outside = _filled(_without_copies(polygons), grid, path)
        if not 0 <= slice_number < grid.size[2]:
            lost += outside + int(np.count_nonzero(flat))
            continue
        lost += outside
        if flat.any():
            flats[slice_number] = flat
    lost_ml = lost * grid.voxel_ml
    if not flats:
        return Region(number, name, None, 0, shift, left_out, lost_ml)
    low, high = min(flats), max(flats)
    skipped = sum(1 for slice_number in range(low, high + 1) if slice_number not in by_slice)
    return Region(number, name, _stack(flats, grid), skipped, shift, left_out, lost_ml)


def _filled(
    polygons: Sequence[FloatArray], grid: GridGeometry, path: Path
) -> tuple[BoolArray, int]:
    """The pixels of one slice that the polygons enclose, and how many lie beside the slice.

    Raises:
        InputRefused: they reach so far that they cannot belong to the scan.
    """
    columns, rows, _ = grid.size
    points = np.concatenate(polygons)
    low = np.minimum(np.floor(points.min(axis=0)).astype(int), 0)
    high = np.maximum(np.ceil(points.max(axis=0)).astype(int) + 1, (columns, rows))
    if not low.any() and (high == (columns, rows)).all():
        return fill_even_odd(polygons, rows, columns), 0
    wide, tall = (high - low).tolist()
    if wide * tall > MOST_PIXELS:
        raise InputRefused(
            "contour_far_away",
            f"{path}: a contour reaches {wide * grid.spacing_mm[0]:.0f} × "
            f"{tall * grid.spacing_mm[1]:.0f} mm, far beyond the scan",
            "check that the structures belong to this scan",
        )
    flat = fill_even_odd([polygon - low for polygon in polygons], tall, wide)
    inside = flat[-low[1] : rows - low[1], -low[0] : columns - low[0]]
    return inside, int(np.count_nonzero(flat) - np.count_nonzero(inside))


def _stack(flats: dict[int, BoolArray], grid: GridGeometry) -> LesionMask:
    """Slices (rows, columns) by number as one mask."""
    low, high = min(flats), max(flats)
    union = np.logical_or.reduce(list(flats.values()))
    rows, columns = np.flatnonzero(union.any(axis=1)), np.flatnonzero(union.any(axis=0))
    row, column = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    box = np.zeros((high - low + 1, row.stop - row.start, column.stop - column.start), dtype=bool)
    for slice_number, flat in flats.items():
        box[slice_number - low] = flat[row, column]
    return LesionMask(box, (int(column.start), int(row.start), low), grid)


def _without_copies(polygons: Sequence[FloatArray]) -> list[FloatArray]:
    """The polygons without exact copies: the second of a pair would erase the first."""
    kept: dict[bytes, FloatArray] = {}
    for polygon in polygons:
        kept.setdefault(np.round(polygon, 6).tobytes(), polygon)
    return list(kept.values())


def fill_even_odd(polygons: Sequence[FloatArray], rows: int, columns: int) -> BoolArray:
    """Pixels whose centre lies inside an odd number of the polygons.

    Args:
        polygons: each (n, 2) as (column, row) positions, pixel centres at whole numbers; closed
            by itself.
        rows, columns: size of the slice.

    Returns:
        bool (rows, columns). A centre that lies exactly on an edge counts as inside on the left
        and the upper edge only, so polygons that share an edge share no pixel.
    """
    crossings = np.zeros((rows, columns + 1), dtype=np.int32)
    for polygon in polygons:
        start, end = polygon, np.roll(polygon, -1, axis=0)
        for (x0, y0), (x1, y1) in zip(start.tolist(), end.tolist(), strict=True):
            if y0 == y1:
                continue
            if y0 > y1:
                x0, y0, x1, y1 = x1, y1, x0, y0
            first, last = max(0, int(np.ceil(y0))), min(rows, int(np.ceil(y1)))
            if first >= last:
                continue
            row = np.arange(first, last)
            x = x0 + (row - y0) / (y1 - y0) * (x1 - x0)
            column = np.clip(np.ceil(x), 0, columns).astype(int)
            np.add.at(crossings, (row, column), 1)
    inside: BoolArray = np.cumsum(crossings, axis=1)[:, :columns] % 2 == 1
    return inside
