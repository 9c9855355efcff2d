"""Bone told apart: spine, ribs of either side, breastbone, the rest; and rib cartilage as a hint.

Names are those of use to a needle: a path passes over the upper edge of a rib and keeps away from
the spine. A piece that fits none of them stays plain bone, which is an obstacle all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from irplan.anatomy import morphology
from irplan.anatomy.air import Air
from irplan.anatomy.coarse import CoarseScan
from irplan.anatomy.spine import Spine, spine_window
from irplan.geometry import BoolArray, FloatArray
from irplan.smoothing import gaussian

#: Vertebrae with their processes reach this far to either side of the canal in the neck, at the
#: lungs (beyond begin the ribs) and below them, where transverse processes are longer, mm.
SPINE_SIDES_MM = (32.0, 30.0, 48.0)
#: Ribs lie this near to the lungs, mm: pleura, a little fat, the rib's own thickness.
RIB_FROM_LUNG_MM = 14.0
#: A piece is a rib where at least this share of it lies so, ...
RIB_SHARE = 0.5
#: ... or this share, where it begins at the spine: the lowest ribs leave the lungs.
SPINE_RIB_SHARE = 0.1
#: A rib with its cartilage's calcification holds no more than this, mL: more is several bones
#: grown together in the image, which are told apart cell by cell.
MAX_RIB_ML = 60.0
#: The breastbone: to either side of the middle, in the front part of the trunk, mm and share.
STERNUM_SIDE_MM = 32.0
STERNUM_FRONT_SHARE = 0.3
MIN_STERNUM_ML = 3.0
#: It crosses the middle: bone within this of it, mm. Above its notch clavicles and thyroid lie to
#: either side and larynx lies higher; so wide a gap, mm, is still the joint between its parts.
STERNUM_MIDDLE_MM = 6.0
STERNUM_JOINT_MM = 12.0
#: Cartilage is denser than muscle and less dense than bone, HU (smoothed).
CARTILAGE_HU = (75.0, 220.0)
#: It lies in the chest wall: this deep under the skin, and not this much deeper than most of the
#: ribs and the breastbone in front, mm.
CARTILAGE_DEPTH_MM = 6.0
CARTILAGE_DEEPER_MM = 8.0
#: It lies from this far below the tops of the lungs to this far below the lungs, mm.
CARTILAGE_UNDER_TOP_MM, CARTILAGE_BELOW_MM = 25.0, 80.0
#: Each piece hangs together with a rib's end, the breastbone or another piece over such gaps, mm.
CARTILAGE_GAP_MM = 6.0
MIN_CARTILAGE_ML = 0.8
#: It is narrower than twice this, mm; organs and vessels with contrast are wider or elsewhere.
CARTILAGE_RADIUS_MM = 12.0


@dataclass(frozen=True)
class Bones:
    """Masks of cells that share none."""

    vertebrae: BoolArray
    rib_left: BoolArray
    rib_right: BoolArray
    sternum: BoolArray
    other: BoolArray


def split_bone(scan: CoarseScan, bone: BoolArray, spine: Spine, air: Air) -> Bones:
    """Bone by kind; all of it is in exactly one of them."""
    lung = air.lung
    vertebrae = bone & spine_window(scan, spine, lung, SPINE_SIDES_MM)
    rest = bone & ~vertebrae
    if not lung.any():
        return Bones(vertebrae, scan.none, scan.none, scan.none, rest)
    middle = _middle(scan, spine, lung)
    sternum = _sternum(scan, rest, lung, middle)
    rest &= ~sternum
    ribs = _ribs(scan, rest, lung, vertebrae)
    left = np.broadcast_to((scan.x_mm[None, :] > middle[:, None])[:, None, :], ribs.shape)
    return Bones(vertebrae, ribs & left, ribs & ~left, sternum, rest & ~ribs)


def _middle(scan: CoarseScan, spine: Spine, lung: BoolArray) -> FloatArray:
    """Place of the patient's middle in every layer: the canal's, else the lungs'."""
    columns = np.flatnonzero(lung.any(axis=(0, 1)))
    plain = float((scan.x_mm[columns[0]] + scan.x_mm[columns[-1]]) / 2)
    if not spine.known.any():
        return np.full(scan.shape[0], plain)
    layers = np.arange(scan.shape[0])
    known = np.flatnonzero(spine.known)
    return np.asarray(np.interp(layers, known, spine.x_mm[known]))


def _sternum(scan: CoarseScan, bone: BoolArray, lung: BoolArray, middle: FloatArray) -> BoolArray:
    """Bone at the middle of the front of the chest."""
    filled = np.asarray(np.any(scan.inside, axis=2))
    rows = np.argmax(filled, axis=1) * scan.spacing[1]
    last = scan.shape[1] - np.argmax(filled[:, ::-1], axis=1)
    depth = last * scan.spacing[1] - rows
    place = np.arange(scan.shape[1])[None, :] * scan.spacing[1]
    front = place < (rows + STERNUM_FRONT_SHARE * depth)[:, None]
    across = np.abs(scan.x_mm[None, :] - middle[:, None]) < STERNUM_SIDE_MM
    levels = np.flatnonzero(lung.any(axis=(1, 2)))
    high = np.zeros(scan.shape[0], dtype=bool)
    high[levels[0] : levels[-1] + 1 + scan.cells(10.0, 0)] = True
    window = front[:, :, None] & across[:, None, :] & high[:, None, None]
    found = morphology.large_pieces(bone & window, MIN_STERNUM_ML / scan.cell_ml)
    central = np.abs(scan.x_mm[None, :] - middle[:, None]) < STERNUM_MIDDLE_MM
    crosses = np.asarray((found & central[:, None, :]).any(axis=(1, 2)))
    found[~_longest_run(crosses, scan.cells(STERNUM_JOINT_MM, 0))] = False
    return found


def _longest_run(flags: BoolArray, gap: int) -> BoolArray:
    """The longest run of true values in a row, across gaps of fewer than ``gap`` values."""
    run = np.zeros_like(flags)
    places = np.flatnonzero(flags)
    if places.size:
        runs = np.split(places, np.flatnonzero(np.diff(places) > gap) + 1)
        longest = max(runs, key=lambda one: int(one[-1] - one[0]))
        run[longest[0] : longest[-1] + 1] = True
    return run


def _ribs(scan: CoarseScan, bone: BoolArray, lung: BoolArray, vertebrae: BoolArray) -> BoolArray:
    """Pieces of bone that lie along the lungs, and those that begin at the spine beside them."""
    near = morphology.grown(lung, RIB_FROM_LUNG_MM, scan.spacing)
    at_spine = morphology.grown(vertebrae, 4.0, scan.spacing)
    ribs = np.zeros_like(bone)
    labels, count = morphology.components(bone, 26)
    for label, box in enumerate(ndimage.find_objects(labels.astype(np.int32), count), 1):
        if box is None:
            continue
        piece = labels[box] == label
        cells = np.count_nonzero(piece)
        share = np.count_nonzero(piece & near[box]) / cells
        begins = bool((piece & at_spine[box]).any())
        if cells * scan.cell_ml > MAX_RIB_ML:
            ribs[box] |= piece & near[box]
        elif share >= RIB_SHARE or (begins and share >= SPINE_RIB_SHARE):
            ribs[box] |= piece
    return ribs


def find_cartilage(scan: CoarseScan, bones: Bones, taken: BoolArray, air: Air) -> BoolArray:
    """Rib cartilage, as far as it is denser than muscle: a hint, never complete.

    Args:
        scan: the scan.
        bones: bone told apart.
        taken: what is known to be something else.
        air: for the levels and the front of the lungs.
    """
    lung = air.lung
    ribs = bones.rib_left | bones.rib_right | bones.sternum
    if not lung.any() or not ribs.any():
        return scan.none
    smooth = gaussian(scan.mean, [2.0 / step for step in scan.spacing], truncate=3)
    dense = (smooth > CARTILAGE_HU[0]) & (smooth < CARTILAGE_HU[1]) & ~taken & ~ribs
    front = _front_of_chest(scan, lung)
    depth = np.zeros(scan.shape, dtype=np.float32)
    zone = morphology.box_of(front, 0.0, scan.spacing)
    if zone is not None:  # the skin in front and beside; behind lies nothing of interest
        depth[zone] = morphology.distance_to(~scan.inside[zone], scan.spacing)
    anchors = ribs & front
    if not anchors.any():
        return scan.none
    deepest = float(np.percentile(depth[anchors], 80)) + CARTILAGE_DEEPER_MM
    wall = dense & (depth > CARTILAGE_DEPTH_MM) & (depth < deepest) & front
    wall &= ~morphology.opened(wall, CARTILAGE_RADIUS_MM, scan.spacing)
    wall = morphology.large_pieces(wall, MIN_CARTILAGE_ML / scan.cell_ml)
    return _hanging_on(wall, ribs, scan)


def _front_of_chest(scan: CoarseScan, lung: BoolArray) -> BoolArray:
    """Where rib cartilage can lie: the front half, no wider than the lungs, not above them."""
    levels, rows, columns = (
        np.flatnonzero(lung.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))
    )
    zone = np.zeros(scan.shape, dtype=bool)
    low = max(0, int(levels[0]) - scan.cells(CARTILAGE_BELOW_MM, 0))
    high = int(levels[-1]) + 1
    if high < scan.shape[0]:  # the tops of the lungs are in the scan
        high -= scan.cells(CARTILAGE_UNDER_TOP_MM, 0)
    half = int(0.5 * (rows[0] + rows[-1]))
    zone[low : max(low, high), :half, int(columns[0]) : int(columns[-1]) + 1] = True
    return zone


def _hanging_on(pieces: BoolArray, anchor: BoolArray, scan: CoarseScan) -> BoolArray:
    """The pieces that are linked to the anchor over small gaps, directly or by other pieces."""
    bridged = morphology.grown(pieces, CARTILAGE_GAP_MM / 2, scan.spacing)
    labels, count = morphology.components(bridged)
    keep = np.zeros(count + 1, dtype=bool)
    keep[np.unique(labels[morphology.grown(anchor, CARTILAGE_GAP_MM / 2, scan.spacing)])] = True
    keep[0] = False
    return pieces & keep[labels]
