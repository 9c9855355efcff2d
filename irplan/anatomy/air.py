"""Air inside the body: lungs, airways, and gas in bowel with the wall around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.anatomy import morphology
from irplan.geometry import BoolArray, GridGeometry
from irplan.volume import HuArray

#: Below this a voxel in the body is air or lung: halfway between lung (-700) and water, so that
#: the partial volume of its border falls evenly on both sides.
AIR_HU = -400
#: Clean gas: bowel gas and the lumen of large airways lie below it, lung tissue above it.
GAS_HU = -930
#: A smaller piece is not called a lung, mL.
MIN_LUNG_ML = 15.0
#: Share of a lung's inner voxels between -930 and -500 HU. In bowel gas it is near zero.
LUNG_TISSUE_SHARE = 0.25
#: Vessels, bronchi and nodules up to twice this wide are counted to the lung around them, mm.
LUNG_CLOSING_MM = 6.0
#: Gas pieces below this are noise or a speck in the skin, mL.
MIN_GAS_ML = 0.02
#: Wall of a gas-filled bowel: tissue this near to the gas, mm.
BOWEL_WALL_MM = 3.0
#: The trachea's lumen is at most this wide, mm; a larger clean-air piece is not an airway.
AIRWAY_RADIUS_MM = 4.0
MAX_AIRWAY_ML = 150.0


@dataclass(frozen=True)
class Air:
    """Masks (z, y, x) of everything that holds air; 'left' and 'right' are the patient's."""

    lung_left: BoolArray
    lung_right: BoolArray
    airway: BoolArray
    gas: BoolArray
    wall: BoolArray


def find_air(hu: HuArray, body: BoolArray, grid: GridGeometry) -> Air:
    """Lungs (with their vessels), large airways, other gas in the body, and the bowel's wall."""
    spacing = grid.spacing_zyx_mm
    air = body & (hu < AIR_HU)
    labels, count = morphology.components(air)
    lung = np.zeros_like(air)
    inner = morphology.shrunk(air, 2.0, spacing)
    for label in _lung_labels(labels, count, hu, inner, grid):
        lung |= labels == label
    airway = _airway(hu, air, lung, grid)
    lung &= ~morphology.grown(airway, 1.0, spacing)
    left, right = _sides(_with_vessels(lung, spacing) & body & ~airway, grid)
    rest = air & ~left & ~right & ~airway
    gas = _large_enough(rest, grid)
    # The skin's own partial volume is air to the threshold, but not gas inside the body.
    gas &= morphology.shrunk(body, 3.0, spacing)
    wall = morphology.grown(gas, BOWEL_WALL_MM, spacing) & body & ~gas & ~left & ~right & ~airway
    return Air(left, right, airway, gas, wall)


def _lung_labels(
    labels: npt.NDArray[np.uint32],
    count: int,
    hu: HuArray,
    inner: BoolArray,
    grid: GridGeometry,
) -> list[int]:
    """The pieces of air that are lung: large, and tissue rather than clean gas."""
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    inside = np.bincount(labels[inner], minlength=count + 1)
    tissue = np.bincount(labels[inner & (hu > GAS_HU) & (hu < -500)], minlength=count + 1)
    return [
        label
        for label in range(1, count + 1)
        if sizes[label] * grid.voxel_ml >= MIN_LUNG_ML
        and tissue[label] >= LUNG_TISSUE_SHARE * max(1, inside[label])
    ]


def _airway(hu: HuArray, air: BoolArray, lung: BoolArray, grid: GridGeometry) -> BoolArray:
    """Trachea and main bronchi: the piece of clean, wide air that runs through many slices."""
    spacing = grid.spacing_zyx_mm
    smooth = ndimage.gaussian_filter(hu.astype(np.float32), [0.8 / step for step in spacing])
    clean = air & (smooth < GAS_HU)
    wide = morphology.shrunk(clean, AIRWAY_RADIUS_MM / 2, spacing)
    labels, count = morphology.components(wide, 26)
    if count == 0 or not lung.any():
        return np.zeros_like(air)
    top = int(np.flatnonzero(lung.any(axis=(1, 2)))[-1])
    best, best_length = 0, 0.0
    boxes = ndimage.find_objects(labels.astype(np.int32))
    for label, box in enumerate(boxes, 1):
        if box is None:
            continue
        piece = labels[box] == label
        length = (box[0].stop - box[0].start) * spacing[0]
        volume_ml = np.count_nonzero(piece) * grid.voxel_ml
        section = volume_ml * 1000.0 / max(length, spacing[0])
        # A trachea runs along the body: long for its section (at most about 25 mm across).
        if volume_ml > MAX_AIRWAY_ML or section > 500 or length < 30 or box[0].stop < top - 40:
            continue
        if length > best_length:
            best, best_length = label, length
    if best == 0:
        return np.zeros_like(air)
    core = labels == best
    return morphology.grown(core, AIRWAY_RADIUS_MM / 2 + 1.0, spacing) & air


def _with_vessels(lung: BoolArray, spacing: morphology.Spacing) -> BoolArray:
    """The lung with the vessels, bronchi and nodules that it surrounds."""
    if not lung.any():
        return lung
    box = _box(lung, LUNG_CLOSING_MM, spacing)
    filled = lung.copy()
    filled[box] = morphology.holes_filled_by_slice(
        morphology.closed(lung[box], LUNG_CLOSING_MM, spacing)
    )
    return filled


def _sides(lung: BoolArray, grid: GridGeometry) -> tuple[BoolArray, BoolArray]:
    """Left and right lung: pieces by their centre, a piece on both sides cut at the middle."""
    left = np.zeros_like(lung)
    right = np.zeros_like(lung)
    if not lung.any():
        return left, right
    middle = _middle_x_mm(lung, grid)
    labels, count = morphology.components(lung)
    x_mm = grid.to_lps(_column_indices(grid))[:, 0]
    for label in range(1, count + 1):
        piece = labels == label
        columns = np.count_nonzero(piece, axis=(0, 1))
        share = columns[x_mm > middle].sum() / columns.sum()
        if share > 0.85:
            left |= piece
        elif share < 0.15:
            right |= piece
        else:
            left |= piece & (x_mm > middle)
            right |= piece & (x_mm <= middle)
    return left, right


def _column_indices(grid: GridGeometry) -> npt.NDArray[np.float64]:
    columns, rows, slices = grid.size
    index = np.zeros((columns, 3))
    index[:, 0] = np.arange(columns)
    index[:, 1], index[:, 2] = rows / 2, slices / 2
    return index


def _middle_x_mm(lung: BoolArray, grid: GridGeometry) -> float:
    """The patient's middle: half way between the outermost lung on either side."""
    columns = np.flatnonzero(lung.any(axis=(0, 1)))
    x_mm = grid.to_lps(_column_indices(grid))[:, 0]
    return float((x_mm[columns[0]] + x_mm[columns[-1]]) / 2)


def _large_enough(gas: BoolArray, grid: GridGeometry) -> BoolArray:
    labels, count = morphology.components(gas, 26)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * grid.voxel_ml
    keep = sizes >= MIN_GAS_ML
    keep[0] = False
    return np.asarray(keep[labels])


def _box(mask: BoolArray, reach_mm: float, spacing: morphology.Spacing) -> tuple[slice, ...]:
    """The box around a mask with room of twice the reach."""
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        hits = np.flatnonzero(mask.any(axis=others))
        room = int(np.ceil(2 * reach_mm / spacing[axis])) + 1
        box.append(slice(max(0, int(hits[0]) - room), int(hits[-1]) + 1 + room))
    return tuple(box)
