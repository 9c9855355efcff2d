"""DICOM SEG: binary, fractional and labelmap segmentations, frame by frame.

Frames are placed by their own plane position, so that gaps, frames in any order and segments that
cover only some slices come out where they were drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from irplan.dicom.frames import decoded_frames
from irplan.errors import InputRefused
from irplan.geometry import BoolArray, FloatArray, GridGeometry

LABELMAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
SEG_STORAGE = ("1.2.840.10008.5.1.4.1.1.66.4", LABELMAP_STORAGE)
#: Frames whose positions along the normal differ by less lie on one plane, mm.
SAME_PLANE_MM = 0.01
#: Largest difference of a frame's place from a regular spacing, as a share of the spacing.
REGULAR_TOLERANCE = 0.02


@dataclass(frozen=True)
class Segment:
    """One segment of a DICOM SEG on its own grid.

    Attributes:
        number, name: SegmentNumber and SegmentLabel.
        mask: bool (z, y, x) on ``grid``.
        grid: the file's own grid: its rows and columns, slices along the normal.
        tracking_id, tracking_uid: as in the file, or ''.
        fractional: whether values between 0 and 1 were cut at one half.
    """

    number: int
    name: str
    mask: BoolArray
    grid: GridGeometry
    tracking_id: str
    tracking_uid: str
    fractional: bool


@dataclass(frozen=True)
class _Frame:
    origin_lps_mm: FloatArray
    segment: int | None


def segments(dataset: pydicom.Dataset, path: Path) -> Iterator[Segment]:
    """Every segment of the file by rising number, empty ones too.

    Raises:
        InputRefused: frames have no plane or no known segment, lie in different planes or at
            irregular distances, or the pixels cannot be decoded.
    """
    pixels = _pixels(dataset, path)
    frames, grid, slice_of = _planes(dataset, path)
    _check_frames(dataset, pixels, frames, path)
    labelmap = dataset.get("SegmentationType") == "LABELMAP"
    fractional = dataset.get("SegmentationType") == "FRACTIONAL"
    half = int(dataset.get("MaximumFractionalValue", 255)) / 2.0
    for item in sorted(dataset.SegmentSequence, key=lambda entry: int(entry.SegmentNumber)):
        number = int(item.SegmentNumber)
        if number == 0:  # the background of a labelmap
            continue
        mask = np.zeros(grid.shape_zyx, dtype=bool)
        for frame_number, frame in enumerate(frames):
            if labelmap:
                mask[slice_of[frame_number]] |= pixels[frame_number] == number
            elif frame.segment == number:
                values = pixels[frame_number]
                mask[slice_of[frame_number]] |= values >= half if fractional else values > 0
        yield Segment(
            number,
            str(item.get("SegmentLabel", "")),
            mask,
            grid,
            str(item.get("TrackingID", "")),
            str(item.get("TrackingUID", "")),
            fractional,
        )


def _pixels(dataset: pydicom.Dataset, path: Path) -> np.ndarray:
    try:
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            # Codecs meet bytes that are not to be trusted in a process of their own.
            pixels = decoded_frames(path)
        else:
            pixels = np.asarray(dataset.pixel_array)
    except Exception as error:
        raise InputRefused(
            "seg_pixels", f"{path}: the segmentation's pixels cannot be decoded: {error}"
        ) from error
    return pixels if pixels.ndim == 3 else pixels[None]


def _check_frames(
    dataset: pydicom.Dataset, pixels: np.ndarray, frames: list[_Frame], path: Path
) -> None:
    """Every voxel of the file must belong to a segment that it describes, once.

    Raises:
        InputRefused: some do not, and would be lost or counted twice.
    """
    numbers = [int(item.SegmentNumber) for item in dataset.SegmentSequence]
    why = ""
    kind = dataset.get("SegmentationType")
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        why = f"its type is {kind or 'absent'}"
    elif len(set(numbers)) < len(numbers):
        why = "two segments have one number"
    elif len(frames) != len(pixels):
        why = f"it holds {len(pixels)} frames and describes {len(frames)}"
    elif kind == "LABELMAP":
        unknown = set(np.unique(pixels).tolist()) - set(numbers) - {0}
        why = f"label {min(unknown)} is not described" if unknown else ""
    elif any(frame.segment not in numbers for frame in frames):
        why = "a frame belongs to no segment that it describes"
    if why:
        raise InputRefused(
            "seg_segments", f"{path}: the segmentation contradicts itself: {why}", "export it again"
        )


def _group(dataset: pydicom.Dataset, frame: pydicom.Dataset, name: str) -> pydicom.Dataset | None:
    """The item of a functional group macro, per frame or shared."""
    for place in (frame, *dataset.get("SharedFunctionalGroupsSequence", [])):
        sequence = place.get(name)
        if sequence:
            item: pydicom.Dataset = sequence[0]
            return item
    return None


def _planes(dataset: pydicom.Dataset, path: Path) -> tuple[list[_Frame], GridGeometry, list[int]]:
    frames: list[_Frame] = []
    planes: set[tuple[float, ...]] = set()
    thickness = 0.0
    for item in dataset.get("PerFrameFunctionalGroupsSequence", []):
        orientation = _group(dataset, item, "PlaneOrientationSequence")
        measures = _group(dataset, item, "PixelMeasuresSequence")
        position = _group(dataset, item, "PlanePositionSequence")
        if orientation is None or measures is None or position is None:
            raise InputRefused("seg_no_plane", f"{path}: a frame of the segmentation has no plane")
        directions = [float(value) for value in orientation.ImageOrientationPatient]
        spacing = [float(value) for value in measures.PixelSpacing]
        planes.add(tuple(np.round([*directions, *spacing], 6).tolist()))
        thickness = float(
            measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 0.0
        )
        segment = _group(dataset, item, "SegmentIdentificationSequence")
        frames.append(
            _Frame(
                np.array([float(value) for value in position.ImagePositionPatient]),
                None if segment is None else int(segment.ReferencedSegmentNumber),
            )
        )
    if not frames:
        raise InputRefused("seg_no_plane", f"{path}: the segmentation has no frames with a plane")
    if len(planes) != 1:
        raise InputRefused(
            "seg_mixed_planes", f"{path}: the segmentation's frames differ in direction or spacing"
        )
    plane = np.array(next(iter(planes)))
    row, column = plane[:3], plane[3:6]
    normal = np.cross(row, column)
    origins = np.array([frame.origin_lps_mm for frame in frames])
    heights = origins @ normal
    levels = _levels(heights)
    step = _step(levels, thickness, path)
    numbers = np.rint((heights - levels[0]) / step).astype(int)
    off = np.abs(origins - (origins[0] + (heights - heights[0])[:, None] * normal)).max()
    uneven = np.abs((levels - levels[0]) / step - np.rint((levels - levels[0]) / step)).max()
    if uneven > REGULAR_TOLERANCE or off > 0.05:
        raise InputRefused(
            "seg_irregular",
            f"{path}: the segmentation's frames do not lie on one regular grid",
            "export it again on the slices of the scan",
        )
    first = origins[int(np.argmin(heights))]
    grid = GridGeometry(
        (int(dataset.Columns), int(dataset.Rows), int(numbers.max()) + 1),
        (float(plane[7]), float(plane[6]), step),
        (float(first[0]), float(first[1]), float(first[2])),
        tuple(np.stack([row, column, normal], axis=1).ravel().tolist()),
    )
    return frames, grid, numbers.tolist()


def _levels(heights: FloatArray) -> FloatArray:
    """The different heights, rising, those closer than :data:`SAME_PLANE_MM` taken together."""
    ordered = np.sort(heights)
    levels: FloatArray = ordered[np.concatenate([[True], np.diff(ordered) > SAME_PLANE_MM])]
    return levels


def _step(levels: FloatArray, told_mm: float, path: Path) -> float:
    """Distance of the planes: the smallest between frames, which gaps only multiply."""
    if len(levels) > 1:
        step = float(np.diff(levels).min())
        whole = told_mm / step if told_mm else 0.0
        # Where every second slice is empty, the file's own spacing is the finer and right one.
        if told_mm and told_mm < step - SAME_PLANE_MM and abs(step / told_mm % 1.0) < 0.02:
            return told_mm
        # Rounded positions: the mean over a run without gaps is nearer than the smallest.
        steps = np.rint(np.diff(levels) / step)
        mean = float((levels[-1] - levels[0]) / steps.sum())
        return told_mm if abs(whole - 1.0) < 1e-3 else mean
    if told_mm <= 0:
        raise InputRefused(
            "seg_no_spacing", f"{path}: a segmentation of one slice that tells no slice spacing"
        )
    return told_mm
