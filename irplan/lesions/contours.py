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
    """

    number: int
    name: str
    mask: LesionMask | None
    skipped_slices: int
    shift_mm: float
    open_contours: int


def frame_uids(dataset: pydicom.Dataset) -> set[str]:
    """The frames of reference that the file's regions refer to."""
    found = {
        str(item.get("ReferencedFrameOfReferenceUID", ""))
        for item in dataset.get("StructureSetROISequence", [])
    }
    found |= {
        str(item.get("FrameOfReferenceUID", ""))
        for item in dataset.get("ReferencedFrameOfReferenceSequence", [])
    }
    return found - {""}


def regions(dataset: pydicom.Dataset, grid: GridGeometry, path: Path) -> Iterator[Region]:
    """Every region of the file by rising ROI number, filled on ``grid``.

    Raises:
        InputRefused: a contour is no polygon, or does not lie in the planes of the slices.
    """
    names = {
        int(item.ROINumber): str(item.get("ROIName", ""))
        for item in dataset.get("StructureSetROISequence", [])
    }
    contours = {
        int(item.ReferencedROINumber): item.get("ContourSequence", [])
        for item in dataset.get("ROIContourSequence", [])
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


def _points(item: pydicom.Dataset, number: int, path: Path) -> FloatArray:
    values = np.asarray(item.get("ContourData", []), dtype=float)
    if values.size < 9 or values.size % 3 or not np.isfinite(values).all():
        raise InputRefused(
            "contour_broken",
            f"{path}: a contour of region {number} holds {values.size} numbers, not x,y,z triples "
            "of three points or more",
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
    for slice_number, polygons in by_slice.items():
        if 0 <= slice_number < grid.size[2]:
            flat = fill_even_odd(_without_copies(polygons), grid.size[1], grid.size[0])
            if flat.any():
                flats[slice_number] = flat
    if not flats:
        return Region(number, name, None, 0, shift, left_out)
    low, high = min(flats), max(flats)
    skipped = sum(1 for slice_number in range(low, high + 1) if slice_number not in by_slice)
    return Region(number, name, _stack(flats, grid), skipped, shift, left_out)


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
