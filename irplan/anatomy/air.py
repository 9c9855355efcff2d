"""Air inside the body: lungs with bullae, airways, and gas in bowel with the wall around it."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from scipy import ndimage

from irplan.anatomy import morphology
from irplan.anatomy.coarse import CoarseScan, FloatVolume, VoxelRule
from irplan.geometry import BoolArray
from irplan.smoothing import uniform

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
#: Air that lies in gaps of the lung up to twice this wide is lung too, mm.
LUNG_GAP_MM = 10.0
#: A bulla: lung without tissue (bullae and large cysts lie near -1000 HU), wider than twice the
#: radius and larger than this.
BULLA_HU = -970
BULLA_RADIUS_MM = 4.0
MIN_BULLA_ML = 1.0
#: Gas pieces below this are noise or a speck in the skin, mL.
MIN_GAS_ML = 0.03
#: Gas counts as bowel gas from this deep under the skin on, mm.
MIN_GAS_DEPTH_MM = 4.0
#: Wall of a gas-filled bowel: tissue this near to the gas, mm.
BOWEL_WALL_MM = 4.0
#: Stool mixed with gas lies below this; no other tissue lies between it and air, HU. At a border
#: of gas or lung mixed cells look the same: they are thinner than twice the radius.
STOOL_HU = -180
STOOL_RADIUS_MM = 3.0
#: Stool holds bubbles darker than fat, HU: in a window so wide, mm, they make up the first share
#: where it is sure, and the second where it goes on; this much sure stool hangs together, mL. It is
#: darker than the last figure, HU: bone and contrast are not.
BUBBLE_HU, STOOL_WINDOW_MM, BUBBLE_SHARES = -160, 15.0, (0.05, 0.03)
MIN_STOOL_ML, STOOL_MAX_HU = 6.0, 130
#: What lies between the bubbles is denser than fat, HU, in at least this share of the window: noise
#: and streaks in fat are not stool.
SOLID_HU, SOLID_SHARE = -60, 0.4
#: Where more cells than this share of all fat are as dark, noise makes them so, and none is sought.
FAT_HU, MAX_DARK_SHARE = (-150, -50), 0.04
#: Bubbles up to twice the first apart are one bowel; so far from skin and lung they lie, mm.
STOOL_GAP_MM, STOOL_DEPTH_MM = 6.0, 10.0
#: An airway's section in an axial slice, mm²; how far from the middle; how long; its HU.
AIRWAY_MM2 = (40.0, 650.0)
AIRWAY_FROM_MIDDLE_MM = 45.0
MIN_AIRWAY_MM = 25.0
AIRWAY_HU = -820
#: An airway is compact: it fills this share of the box around it.
AIRWAY_FILLS = 0.45
#: A section grows from one slice to the next by less than this.
AIRWAY_GROWS = 1.8
#: Lungs lower than this are their lower ends only, mm.
MIN_LUNG_HEIGHT_MM = 120.0


@dataclass(frozen=True)
class Air:
    """Masks of cells of everything that holds air; left and right are the patient's.

    Attributes:
        lung_left, lung_right: with their vessels, and with their bullae.
        bulla: the part of the lungs without tissue.
        airway: windpipe and main bronchi, without their wall.
        gas: other gas, and stool with gas in it.
        wall: the tissue around that.
    """

    lung_left: BoolArray
    lung_right: BoolArray
    bulla: BoolArray
    airway: BoolArray
    gas: BoolArray
    wall: BoolArray

    @property
    def lung(self) -> BoolArray:
        """Both lungs."""
        return self.lung_left | self.lung_right


def find_air(scan: CoarseScan) -> Air:
    """Lungs (with their vessels), airways, other gas in the body, and the bowel's wall."""
    spacing = scan.spacing
    air = scan.inside & (scan.mean < AIR_HU)
    lung = _lungs(scan, air)
    middle = middle_x_mm(lung if lung.any() else scan.inside, scan)
    airway = find_airway(scan, lung, middle)
    if airway.any():
        airway = morphology.grown(airway, 2.5, spacing) & air
        lung &= ~morphology.grown(airway, 2.0, spacing)
        # Air of pharynx and mouth hangs on the lungs by the windpipe alone.
        lung = morphology.large_pieces(lung, MIN_CUT_LUNG_ML / scan.cell_ml)
    gaps = morphology.closed(lung, LUNG_GAP_MM, spacing) & air & ~airway
    full = _with_vessels(lung | gaps, spacing) & scan.inside & ~airway
    left, right = _sides(full, middle, scan)
    bulla = _bullae(scan, full, airway)
    found = left | right | airway
    gas = _gas(scan, air & ~found, found)
    wall = morphology.grown(gas, BOWEL_WALL_MM, spacing) & scan.inside
    wall |= morphology.grown(_stool(scan, gas, found, full), BOWEL_WALL_MM / 2, spacing)
    wall &= scan.inside
    return Air(left, right, bulla, airway, gas, wall & ~gas & ~found)


def _lungs(scan: CoarseScan, air: BoolArray) -> BoolArray:
    """The pieces of air that are lung: large or cut by the upper end of the scan, and tissue."""
    labels, count = morphology.components(air)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * scan.cell_ml
    inner = morphology.shrunk(air, 3.0, scan.spacing)
    inside = np.bincount(labels[inner], minlength=count + 1)
    tissue = np.bincount(
        labels[inner & (scan.mean > GAS_HU) & (scan.mean < -500)], minlength=count + 1
    )
    cut = np.zeros(count + 1, dtype=bool)
    cut[np.unique(labels[-1])] = True
    like_lung = tissue >= LUNG_TISSUE_SHARE * np.maximum(1, inside)
    whole = like_lung & ~cut & (sizes >= MIN_WHOLE_LUNG_ML)
    # Above whole lungs the scan's end cuts pharynx or mouth, not lung.
    least = MIN_WHOLE_LUNG_ML if whole[1:].any() else MIN_CUT_LUNG_ML
    keep = whole | (like_lung & cut & (sizes >= least))
    keep[0] = False
    return np.asarray(keep[labels])


def find_airway(scan: CoarseScan, lung: BoolArray, middle_mm: float) -> BoolArray:
    """The lumen of windpipe and main bronchi, followed from slice to slice.

    Windpipe is a compact section of clean air near the middle at the levels of the upper lungs or
    above. Without lungs, or with their lower ends alone, nothing is called so: gas in the stomach
    looks the same.
    """
    found = np.zeros_like(lung)
    hits = np.flatnonzero(lung.any(axis=(1, 2)))
    if hits.size * scan.spacing[0] < MIN_LUNG_HEIGHT_MM:
        return found
    carina_zone = int(hits[0] + 0.4 * (hits[-1] - hits[0]))
    clean = scan.inside & (scan.mean < AIRWAY_HU)
    pixel_mm2 = scan.spacing[1] * scan.spacing[2]
    best: list[tuple[int, BoolArray]] = []
    chain: list[tuple[int, BoolArray]] = []
    for index in range(lung.shape[0] - 1, carina_zone - 1, -1):
        last = chain[-1][1] if chain else None
        section = _section(scan, clean[index], last, pixel_mm2, middle_mm)
        if section is None:
            best = max(best, chain, key=len)
            section = _section(scan, clean[index], None, pixel_mm2, middle_mm)
            chain = []
        if section is not None:
            chain.append((index, section))
    best = max(best, chain, key=len)
    if len(best) * scan.spacing[0] < MIN_AIRWAY_MM:
        return found
    for index, section in best:
        found[index] = section
    return found


def _section(
    scan: CoarseScan,
    clean: BoolArray,
    last: BoolArray | None,
    pixel_mm2: float,
    middle_mm: float,
) -> BoolArray | None:
    """The section of the airway in a slice: what continues the last one, or may begin one."""
    labels = cc3d.connected_components(np.ascontiguousarray(clean, np.uint8), connectivity=4)
    if last is None:
        candidates = range(1, int(labels.max(initial=0)) + 1)
    else:
        candidates = np.unique(labels[last])  # type: ignore[assignment]
    sizes = np.bincount(labels.ravel()) * pixel_mm2
    boxes = ndimage.find_objects(labels.astype(np.int32))
    section = np.zeros_like(clean)
    for label in candidates:
        if label == 0 or not AIRWAY_MM2[0] <= sizes[label] <= AIRWAY_MM2[1]:
            continue
        box = boxes[label - 1]
        rows, columns = (side.stop - side.start for side in box)
        piece = labels == label
        centre = float(scan.x_mm[np.nonzero(piece)[1]].mean())
        if last is None and (
            abs(centre - middle_mm) > AIRWAY_FROM_MIDDLE_MM
            or sizes[label] < AIRWAY_FILLS * rows * columns * pixel_mm2
            or max(rows, columns) > 2.5 * min(rows, columns)
        ):
            continue
        section |= piece
        if last is None:
            break
    if not section.any():
        return None
    limit = AIRWAY_MM2[1] if last is None else AIRWAY_GROWS * np.count_nonzero(last) * pixel_mm2
    return section if np.count_nonzero(section) * pixel_mm2 <= max(limit, 120.0) else None


def _bullae(scan: CoarseScan, lung: BoolArray, airway: BoolArray) -> BoolArray:
    """Parts of the lung that hold nothing but air, away from the large airways."""
    empty = lung & (scan.smooth < BULLA_HU)
    if airway.any():
        empty &= ~morphology.grown(airway, 8.0, scan.spacing)
    wide = morphology.opened(empty, BULLA_RADIUS_MM, scan.spacing)
    return morphology.large_pieces(wide, MIN_BULLA_ML / scan.cell_ml)


def _gas(scan: CoarseScan, air: BoolArray, found: BoolArray) -> BoolArray:
    """Gas deep enough under the skin, and stool mixed with gas."""
    deep = morphology.shrunk(scan.inside, MIN_GAS_DEPTH_MM, scan.spacing)
    gas = air & deep
    mixed = deep & ~found & (scan.smooth < STOOL_HU)
    gas |= morphology.opened(mixed, STOOL_RADIUS_MM, scan.spacing)
    labels, count = morphology.components(gas, 26)
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= MIN_GAS_ML / scan.cell_ml
    keep[0] = False
    return np.asarray(keep[labels])


def _stool(scan: CoarseScan, gas: BoolArray, found: BoolArray, lung: BoolArray) -> BoolArray:
    """Stool between its bubbles: where many cells darker than fat lie in what is denser than fat.

    At the borders of lung, gas and skin mixed cells are as dark: these are left out. So are the
    levels of the upper lungs and above them, where the shoulders' streaks look the same.
    """
    deep = morphology.shrunk(scan.inside, STOOL_DEPTH_MM, scan.spacing)
    away = deep & ~morphology.grown(found, STOOL_DEPTH_MM, scan.spacing)
    levels = np.flatnonzero(lung.any(axis=(1, 2)))
    if levels.size:
        away[int(levels.mean()) :] = False
    window = [max(3, round(STOOL_WINDOW_MM / step)) | 1 for step in scan.spacing]
    dots = away & (scan.mean < BUBBLE_HU) & ~gas
    fat = away & (scan.mean > FAT_HU[0]) & (scan.mean < FAT_HU[1])
    if np.count_nonzero(dots) > MAX_DARK_SHARE * np.count_nonzero(fat):
        return scan.none

    def share(cells: BoolArray) -> FloatVolume:
        return uniform(cells.astype(np.float32), window)

    bubbles = share(dots)
    mixed = away & (share(scan.inside & (scan.mean > SOLID_HU)) > SOLID_SHARE)
    sure, maybe = (mixed & (bubbles > least) for least in BUBBLE_SHARES)
    sure = morphology.large_pieces(sure, MIN_STOOL_ML / scan.cell_ml)
    labels, count = morphology.components(maybe)
    keep = np.zeros(count + 1, dtype=bool)
    keep[np.unique(labels[sure])] = True
    keep[0] = False
    held = keep[labels]
    beside = gas & morphology.grown(held, STOOL_GAP_MM, scan.spacing)
    stool = morphology.closed(held | beside, STOOL_GAP_MM, scan.spacing)
    return np.asarray(stool & deep & ~found & (scan.smooth < STOOL_MAX_HU))


def _with_vessels(lung: BoolArray, spacing: morphology.Spacing) -> BoolArray:
    """The lung with the vessels, bronchi and nodules that it surrounds."""
    if not lung.any():
        return lung
    filled = morphology.closed(lung, LUNG_CLOSING_MM, spacing)
    return filled | morphology.holes_by_plane(filled)


def _sides(lung: BoolArray, middle_mm: float, scan: CoarseScan) -> tuple[BoolArray, BoolArray]:
    """Left and right lung: pieces by their side, a piece on both sides cut at the middle."""
    left = np.zeros_like(lung)
    right = np.zeros_like(lung)
    on_left = scan.x_mm > middle_mm
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
    """Half way between the outermost columns of a mask."""
    columns = np.flatnonzero(mask.any(axis=(0, 1)))
    if columns.size == 0:
        return float(scan.x_mm.mean())
    return float((scan.x_mm[columns[0]] + scan.x_mm[columns[-1]]) / 2)


def between_lungs(scan: CoarseScan, air: Air) -> BoolArray:
    """Cells with the right lung on their right and the left on their left, in their own row.

    The chest wall is not among them: no lung lies to the outside of it.
    """
    right = np.logical_or.accumulate(air.lung_right, axis=2)
    left = np.logical_or.accumulate(air.lung_left[:, :, ::-1], axis=2)[:, :, ::-1]
    return np.asarray(right & left & ~air.lung & scan.inside)


def lung_rule(scan: CoarseScan, lung: BoolArray) -> VoxelRule:
    """A lung of cells at full resolution, its border put at -400 HU."""
    reach = max(scan.spacing) * 1.01
    core = morphology.shrunk(lung, reach, scan.spacing)
    return VoxelRule(core, morphology.grown(lung, reach, scan.spacing), AIR_HU, above=False)


def gas_rule(scan: CoarseScan, gas: BoolArray) -> VoxelRule:
    """Gas of cells at full resolution: its inner cells, and around them what is below -400 HU."""
    reach = max(scan.spacing) * 1.01
    core = morphology.shrunk(gas, reach, scan.spacing)
    return VoxelRule(core, morphology.grown(gas, reach, scan.spacing), AIR_HU, above=False)


def stool_rule(scan: CoarseScan, gas: BoolArray) -> VoxelRule:
    """Gas and stool: every cell, and around them what is below -400 HU."""
    return VoxelRule(
        gas, morphology.grown(gas, max(scan.spacing) * 1.01, scan.spacing), AIR_HU, above=False
    )
