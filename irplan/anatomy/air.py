"""Air inside the body: lungs, the windpipe, and gas in bowel with the wall around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from irplan.anatomy import morphology
from irplan.anatomy.coarse import CoarseScan
from irplan.geometry import BoolArray

#: Below this a cell in the body is air or lung: halfway between lung (-700) and water, so that
#: the partial volume of its border falls evenly on both sides.
AIR_HU = -400
#: Clean gas: bowel gas and the lumen of large airways lie below it, lung tissue above it.
GAS_HU = -930
#: A piece of lung is at least this large where the scan's upper end cuts it, and ...
MIN_CUT_LUNG_ML = 15.0
#: ... at least this large where it lies whole in the scan: stool with gas looks like lung tissue.
MIN_WHOLE_LUNG_ML = 400.0
#: Share of a lung's inner cells between -930 and -500 HU. In bowel gas it is near zero.
LUNG_TISSUE_SHARE = 0.4
#: Vessels, bronchi and nodules up to twice this wide are counted to the lung around them, mm.
LUNG_CLOSING_MM = 6.0
#: Gas pieces below this are noise or a speck in the skin, mL.
MIN_GAS_ML = 0.03
#: Gas counts as bowel gas from this deep under the skin on, mm.
MIN_GAS_DEPTH_MM = 4.0
#: Wall of a gas-filled bowel: tissue this near to the gas, mm.
BOWEL_WALL_MM = 4.0
#: A windpipe: narrower than this section, longer than this, walled by tissue, near the middle.
MAX_AIRWAY_SECTION_MM2 = 600.0
MIN_AIRWAY_MM = 25.0
MIN_AIRWAY_WALL = 0.6
AIRWAY_FROM_MIDDLE_MM = 45.0
#: Lungs lower than this are their lower ends only, mm.
MIN_LUNG_HEIGHT_MM = 120.0


@dataclass(frozen=True)
class Air:
    """Masks of cells of everything that holds air; left and right are the patient's."""

    lung_left: BoolArray
    lung_right: BoolArray
    airway: BoolArray
    gas: BoolArray
    wall: BoolArray


def find_air(scan: CoarseScan) -> Air:
    """Lungs (with their vessels), windpipe, other gas in the body, and the bowel's wall."""
    spacing = scan.spacing
    air = scan.inside & (scan.mean < AIR_HU)
    lung = _lungs(scan, air)
    middle = middle_x_mm(lung if lung.any() else scan.inside, scan)
    airway = _airway(scan, air, lung, middle)
    if airway.any():
        lung &= ~morphology.grown(airway, 2.0, spacing)
    left, right = _sides(_with_vessels(lung, spacing) & scan.inside & ~airway, middle, scan)
    rest = air & ~left & ~right & ~airway
    deep = morphology.shrunk(scan.inside, MIN_GAS_DEPTH_MM, spacing)
    gas = _large_enough(rest & deep, MIN_GAS_ML / scan.cell_ml)
    wall = morphology.grown(gas, BOWEL_WALL_MM, spacing) & scan.inside
    return Air(left, right, airway, gas, wall & ~gas & ~left & ~right & ~airway)


def _lungs(scan: CoarseScan, air: BoolArray) -> BoolArray:
    """The pieces of air that are lung: large or cut by the upper end of the scan, and tissue."""
    labels, count = morphology.components(air)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * scan.cell_ml
    inner = morphology.shrunk(air, 3.0, scan.spacing)
    inside = np.bincount(labels[inner], minlength=count + 1)
    tissue = np.bincount(
        labels[inner & (scan.mean > GAS_HU) & (scan.mean < -500)], minlength=count + 1
    )
    upper = labels[0] if scan.head_first_slice else labels[-1]
    cut = np.zeros(count + 1, dtype=bool)
    cut[np.unique(upper)] = True
    large = np.where(cut, sizes >= MIN_CUT_LUNG_ML, sizes >= MIN_WHOLE_LUNG_ML)
    keep = large & (tissue >= LUNG_TISSUE_SHARE * np.maximum(1, inside))
    keep[0] = False
    return np.asarray(keep[labels])


def _airway(scan: CoarseScan, air: BoolArray, lung: BoolArray, middle_x_mm: float) -> BoolArray:
    """The windpipe: long, narrow, clean air near the middle with tissue around it."""
    clean = air & (scan.mean < GAS_HU + 60)
    core = morphology.shrunk(clean, 2.5, scan.spacing) & _airway_levels(scan, lung)
    labels, count = morphology.components(core, 26)
    found = np.zeros_like(air)
    for label, box in enumerate(ndimage.find_objects(labels.astype(np.int32), count), 1):
        if box is None:
            continue
        length = (box[0].stop - box[0].start) * scan.spacing[0]
        if length < MIN_AIRWAY_MM:
            continue
        piece = labels[box] == label
        section = np.count_nonzero(piece) * scan.cell_ml * 1000.0 / length
        centre = float(scan.x_mm[box[2]][np.nonzero(piece)[2]].mean())
        if section > MAX_AIRWAY_SECTION_MM2 or abs(centre - middle_x_mm) > AIRWAY_FROM_MIDDLE_MM:
            continue
        room = _roomier(box, 8.0, scan.spacing)
        here = labels[room] == label
        distance = morphology.distance_to(here, scan.spacing)
        shell = (distance > 4.0) & (distance < 8.0)
        tissue = np.count_nonzero(scan.mean[room][shell] > AIR_HU)
        if tissue >= MIN_AIRWAY_WALL * np.count_nonzero(shell):
            found[room] |= (distance <= 4.5) & air[room]
    return found


def _airway_levels(scan: CoarseScan, lung: BoolArray) -> BoolArray:
    """Slices (as (z, 1, 1)) with windpipe: from the upper part of whole lungs upwards.

    Without lungs, or with their lower ends alone, nothing is called a windpipe: gas in the stomach
    looks the same.
    """
    levels = np.zeros(lung.shape[0], dtype=bool)
    hits = np.flatnonzero(lung.any(axis=(1, 2)))
    height = hits.size * scan.spacing[0]
    if height >= MIN_LUNG_HEIGHT_MM:
        carina = int(0.5 * (hits[0] + hits[-1]))
        if scan.head_first_slice:
            levels[:carina] = True
        else:
            levels[carina:] = True
    return levels[:, None, None]


def _with_vessels(lung: BoolArray, spacing: morphology.Spacing) -> BoolArray:
    """The lung with the vessels, bronchi and nodules that it surrounds."""
    if not lung.any():
        return lung
    filled = morphology.closed(lung, LUNG_CLOSING_MM, spacing)
    return morphology.holes_filled_by_slice(filled)


def _sides(lung: BoolArray, middle_x_mm: float, scan: CoarseScan) -> tuple[BoolArray, BoolArray]:
    """Left and right lung: pieces by their side, a piece on both sides cut at the middle."""
    left = np.zeros_like(lung)
    right = np.zeros_like(lung)
    on_left = scan.x_mm > middle_x_mm
    labels, count = morphology.components(lung)
    for label, box in enumerate(ndimage.find_objects(labels.astype(np.int32), count), 1):
        if box is None:
            continue
        piece = labels[box] == label
        columns = np.count_nonzero(piece, axis=(0, 1))
        share = columns[on_left[box[2]]].sum() / columns.sum()
        if share > 0.85:
            left[box] |= piece
        elif share < 0.15:
            right[box] |= piece
        else:
            left[box] |= piece & on_left[box[2]]
            right[box] |= piece & ~on_left[box[2]]
    return left, right


def middle_x_mm(mask: BoolArray, scan: CoarseScan) -> float:
    """Half way between the outermost columns of a mask, LPS x."""
    columns = np.flatnonzero(mask.any(axis=(0, 1)))
    if columns.size == 0:
        return float(scan.x_mm.mean())
    return float((scan.x_mm[columns[0]] + scan.x_mm[columns[-1]]) / 2)


def _large_enough(gas: BoolArray, least_cells: float) -> BoolArray:
    labels, count = morphology.components(gas, 26)
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= least_cells
    keep[0] = False
    return np.asarray(keep[labels])


def _roomier(
    box: tuple[slice, ...], room_mm: float, spacing: morphology.Spacing
) -> tuple[slice, ...]:
    """A box with ``room_mm`` more on every side."""
    return tuple(
        slice(
            max(0, side.start - int(np.ceil(room_mm / step))),
            side.stop + int(np.ceil(room_mm / step)),
        )
        for side, step in zip(box, spacing, strict=True)
    )


def lung_voxels(scan: CoarseScan, lung: BoolArray) -> BoolArray:
    """A lung of cells at full resolution, its border put at -400 HU."""
    spacing = scan.spacing
    core = scan.to_voxels(morphology.shrunk(lung, max(spacing) * 1.01, spacing))
    near = scan.to_voxels(morphology.grown(lung, max(spacing) * 1.01, spacing))
    return core | (near & scan.body & (scan.hu < AIR_HU))


def gas_voxels(scan: CoarseScan, gas: BoolArray) -> BoolArray:
    """Gas of cells at full resolution, its border put at -400 HU."""
    near = scan.to_voxels(morphology.grown(gas, max(scan.spacing) * 1.01, scan.spacing))
    return np.asarray(near & scan.body & (scan.hu < AIR_HU))
