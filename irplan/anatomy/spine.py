"""The spinal canal, found as the hole that vertebrae enclose, and the spine around it.

The canal is a landmark too: ribs begin, and the aorta runs, at known places beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from scipy import ndimage

from irplan.anatomy import morphology
from irplan.anatomy.coarse import CoarseScan
from irplan.geometry import BoolArray, FloatArray

#: Area of the canal in an axial slice, and the HU of what it holds (fat, fluid, cord).
CANAL_MM2 = (60.0, 900.0)
CANAL_HU = (-60.0, 115.0)
#: The canal lies this near to the middle of the body, mm, ...
FROM_MIDDLE_MM = 60.0
#: ... and moves from slice to slice by less than this and this share of the height.
STEP_MM, STEP_SLOPE = 5.0, 0.5
#: Heights without an enclosing arch that are bridged, mm: discs, wide gaps between arches.
GAP_MM = 60.0
#: Shorter than this the chain of holes is no spine, mm.
MIN_SPINE_MM = 25.0
#: The canal goes on this far beyond the last arch that shows it, mm.
BEYOND_MM = 15.0
#: Half width of the canal where no arch shows it, mm: it is 20 to 25 mm wide.
CANAL_RADIUS_MM = 9.0
#: Where vertebrae lie about the canal, mm: to either side of it, in front of it and behind it.
SPINE_SIDE_MM, SPINE_FRONT_MM, SPINE_BACK_MM = 34.0, 52.0, 75.0
#: Their bodies: to either side of it.
BODY_SIDE_MM = 28.0
#: An iliac wing shows at least this area in a slice beside the sacrum, mm², which goes on this
#: far below the last closed arch, mm.
WING_MM2 = 400.0
SACRUM_MM = 60.0
#: In the neck bodies are smaller, mm.
NECK_SIDE_MM, NECK_FRONT_MM = 18.0, 30.0
#: Gaps of a body's shell up to twice this are closed: thin shells vanish in thick slices.
BODY_GAP_MM = 10.0


@dataclass(frozen=True)
class Spine:
    """Where the canal runs.

    Attributes:
        known: (layers of cells,) whether the canal's place is known.
        x_mm, y_mm: its centre in every layer, in the scan's own places; NaN where not known.
        canal: its cells.
    """

    known: BoolArray
    x_mm: FloatArray
    y_mm: FloatArray
    canal: BoolArray

    def window(
        self, scan: CoarseScan, side_mm: float, front_mm: float, back_mm: float
    ) -> BoolArray:
        """Cells to either side, in front and behind the canal's centre, at the known levels."""
        across = np.abs(scan.x_mm[None, :] - self.x_mm[:, None]) <= side_mm
        behind = scan.y_mm[None, :] - self.y_mm[:, None]
        along = (behind >= -front_mm) & (behind <= back_mm)
        return np.asarray(along[:, :, None] & across[:, None, :])


def find_spine(scan: CoarseScan, dense: BoolArray) -> Spine:
    """The canal through everything dense (bone; vessels taken off)."""
    closed = morphology.closed(dense, 4.0, scan.spacing)
    pixel_mm2 = scan.spacing[1] * scan.spacing[2]
    holes = morphology.holes_by_plane(closed, 0, CANAL_MM2[1] / pixel_mm2)
    solid = closed | morphology.holes_by_plane(closed, 0, 3000.0 / pixel_mm2)
    middle = _middle(scan)
    candidates = []
    for index in np.flatnonzero(holes.any(axis=(1, 2))):
        candidates.extend(_holes(scan, holes[index], solid[index], int(index), middle))
    chain = _longest(candidates, scan.spacing[0])
    if not chain or (chain[-1].layer - chain[0].layer) * scan.spacing[0] < MIN_SPINE_MM:
        layers = scan.shape[0]
        nowhere = np.full(layers, np.nan)
        return Spine(np.zeros(layers, dtype=bool), nowhere, nowhere, scan.none)
    return _canal(scan, chain, holes, dense)


@dataclass(frozen=True)
class _Hole:
    layer: int
    x_mm: float
    y_mm: float
    worth: float


def _middle(scan: CoarseScan) -> float:
    columns = np.count_nonzero(scan.inside, axis=(0, 1))
    return float(np.average(scan.x_mm, weights=columns)) if columns.any() else 0.0


def _holes(
    scan: CoarseScan, holes: BoolArray, solid: BoolArray, layer: int, middle_mm: float
) -> list[_Hole]:
    """Holes of a slice that may be the canal; worth more where a vertebral body lies in front."""
    labels = cc3d.connected_components(np.ascontiguousarray(holes, np.uint8), connectivity=4)
    step_y, step_x = scan.spacing[1:]
    found = []
    for label, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), 1):
        piece = labels[box] == label
        area = np.count_nonzero(piece) * step_y * step_x
        level = float(scan.smooth[layer][box][piece].mean())
        if area < CANAL_MM2[0] or not CANAL_HU[0] <= level <= CANAL_HU[1]:
            continue
        rows, columns = np.nonzero(piece)
        row, column = rows.mean() + box[0].start, columns.mean() + box[1].start
        x = float(np.interp(column, np.arange(scan.shape[2]), scan.x_mm))
        y = float(np.interp(row, np.arange(scan.shape[1]), scan.y_mm))
        if abs(x - middle_mm) > FROM_MIDDLE_MM:
            continue
        across = round(10.0 / step_x)
        c = round(float(column))
        front = solid[
            max(0, int(row - 35.0 / step_y)) : max(0, int(row - 14.0 / step_y)),
            max(0, c - across) : c + across + 1,
        ]
        share = float(front.mean()) if front.size else 0.0
        found.append(_Hole(layer, x, y, 0.1 + share))
    return found


def _longest(candidates: list[_Hole], step_mm: float) -> list[_Hole]:
    """The chain of holes, at most one a slice, that is worth most and moves little."""
    best = [one.worth for one in candidates]
    before = [-1] * len(candidates)
    for number, one in enumerate(candidates):
        for other in range(number - 1, -1, -1):
            low = candidates[other]
            height = (one.layer - low.layer) * step_mm
            if height > GAP_MM:
                break
            if height <= 0:
                continue
            reach = STEP_MM + STEP_SLOPE * height
            moved = np.hypot(one.x_mm - low.x_mm, one.y_mm - low.y_mm)
            worth = best[other] + one.worth - 0.5 * moved / reach
            if moved <= reach and worth > best[number]:
                best[number], before[number] = worth, other
    if not candidates:
        return []
    chain = []
    number = int(np.argmax(best))
    while number >= 0:
        chain.append(candidates[number])
        number = before[number]
    return chain[::-1]


def _canal(scan: CoarseScan, chain: list[_Hole], holes: BoolArray, dense: BoolArray) -> Spine:
    layers = np.arange(scan.shape[0])
    at = np.array([one.layer for one in chain])
    beyond = BEYOND_MM / scan.spacing[0]
    known = (layers >= at[0] - beyond) & (layers <= at[-1] + beyond)
    x = ndimage.gaussian_filter1d(np.interp(layers, at, [one.x_mm for one in chain]), 1.0)
    y = ndimage.gaussian_filter1d(np.interp(layers, at, [one.y_mm for one in chain]), 1.0)
    x, y = np.where(known, x, np.nan), np.where(known, y, np.nan)
    across = scan.x_mm[None, None, :] - x[:, None, None]
    behind = scan.y_mm[None, :, None] - y[:, None, None]
    gap2 = across**2 + behind**2
    tube = gap2 <= CANAL_RADIUS_MM**2
    # Where an arch encloses it, the whole hole is canal.
    shown = holes & (gap2 <= 16.0**2) & (scan.smooth < CANAL_HU[1])
    canal = (tube | shown) & ~dense & scan.inside
    return Spine(known, x, y, canal)


def spine_window(
    scan: CoarseScan, spine: Spine, lung: BoolArray, sides_mm: tuple[float, float, float]
) -> BoolArray:
    """Where bone is counted to the spine.

    Args:
        scan: the scan.
        spine: its canal.
        lung: both lungs, for the levels; without them all levels are those of the loins.
        sides_mm: reach to either side in the neck, at the lungs, and below them.
    """
    neck, thorax, loins = sides_mm
    levels = np.flatnonzero(lung.any(axis=(1, 2)))
    window = spine.window(scan, loins, SPINE_FRONT_MM, SPINE_BACK_MM)
    if levels.size:
        low, high = int(levels[0]), int(levels[-1]) + 1
        window[low:high] = spine.window(scan, thorax, SPINE_FRONT_MM, SPINE_BACK_MM)[low:high]
        window[high:] = spine.window(scan, neck, NECK_FRONT_MM, SPINE_BACK_MM)[high:]
    return window


def vertebrae_filled(scan: CoarseScan, bone: BoolArray, spine: Spine, lung: BoolArray) -> BoolArray:
    """Bone with the bodies of the vertebrae (and the discs between them) filled."""
    if not spine.known.any():
        return bone
    bodies = spine_window(scan, spine, lung, (NECK_SIDE_MM, BODY_SIDE_MM, BODY_SIDE_MM))
    bodies &= spine.window(scan, np.inf, np.inf, 8.0)
    column = bone & spine.window(scan, SPINE_SIDE_MM, SPINE_FRONT_MM, SPINE_BACK_MM)
    closed = morphology.closed(column, BODY_GAP_MM, scan.spacing)
    closed |= morphology.holes_by_plane(closed)
    filled = bone | (closed & bodies & scan.inside & (scan.smooth > -60))
    return filled | (_sacrum_filled(scan, bone, spine) & scan.inside)


def _sacrum_filled(scan: CoarseScan, bone: BoolArray, spine: Spine) -> BoolArray:
    """The sacrum with its canal and holes: where iliac wings stand on both sides of the canal.

    No needle belongs between them, and in thick slices the sacrum's shell is not closed.
    """
    layers = np.arange(scan.shape[0])
    known = np.flatnonzero(spine.known)
    # The sacrum goes on below the last arch; its place follows the canal's last one.
    x = np.interp(layers, known, spine.x_mm[known])
    y = np.interp(layers, known, spine.y_mm[known])
    across = np.abs(scan.x_mm[None, :] - x[:, None])
    behind = scan.y_mm[None, :] - y[:, None]
    near = (np.abs(behind) < 80.0)[:, :, None]
    pixel_mm2 = scan.spacing[1] * scan.spacing[2]
    wings = np.ones(scan.shape[0], dtype=bool)
    for sign in (-1.0, 1.0):
        side = sign * (scan.x_mm[None, :] - x[:, None])
        wing = bone & near & ((side > 40.0) & (side < 120.0))[:, None, :]
        wings &= np.count_nonzero(wing, axis=(1, 2)) * pixel_mm2 > WING_MM2
    wings &= (layers <= known[-1]) & (layers >= known[0] - scan.cells(SACRUM_MM, 0))
    zone = (np.abs(behind) < 55.0)[:, :, None] & (across < 50.0)[:, None, :]
    zone &= wings[:, None, None]
    closed = morphology.closed(bone & zone, BODY_GAP_MM, scan.spacing)
    return (closed | morphology.holes_by_plane(closed)) & zone
