"""Arms told apart from the trunk: an arm's skin is no way to a lesion of the trunk.

An arm is a part of the outline beside the trunk, or beside the neck and head where the arms are
raised, with a bone in it. Where arm and trunk touch over a short way, the border lies half way
between their cores. Where an arm lies along the chest, its shaft of bone shows it, and the border
is put half way to the ribs. The shoulder, where both are one, is not called an arm.
"""

from __future__ import annotations

from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.anatomy import morphology
from irplan.anatomy.coarse import CoarseScan
from irplan.anatomy.spine import Spine
from irplan.geometry import BoolArray, FloatArray

#: What is left of an arm's section when this is taken off all round is its core, mm; a bridge
#: between arm and trunk narrower than twice that parts them. The narrowest that does is taken.
CORES_MM = (10.0, 16.0, 22.0, 28.0)
#: An arm reaches this much farther around its core than that was taken off, mm.
BEYOND_MM = 18.0
#: An arm is no wider than this in an axial slice, mm², and no shorter along the body, mm.
MAX_SECTION_MM2 = 16000.0
MIN_LENGTH_MM = 24.0
#: It holds bone in this share of its slices, and the bone is this share of the core at most, the
#: more the more was taken off: a breast or a fold of skin holds none.
BONE_SLICES, MAX_BONE = 0.6, (0.35, 0.45, 0.65, 0.9)
#: The trunk's core is this much larger than an arm's where no spine tells which one it is.
TRUNK_LARGER = 2.5
#: The shaft of an arm's bone beside a chest that it touches: its section, mm², with its marrow; no
#: longer than this against its width; this far from the lung and from other bone; over this height,
#: mm. The arm lies no farther around it than the last figure, mm.
SHAFT_MM2, SHAFT_SLENDER = (150.0, 1100.0), 1.8
SHAFT_FROM_LUNG_MM, SHAFT_FROM_BONE_MM = 35.0, 15.0
MIN_SHAFT_MM = 30.0
AROUND_SHAFT_MM = 60.0
SHAFT_OPENING_MM = 5.0
#: From slice to slice a shaft moves by less than this, mm, and keeps this share of its section:
#: so it is followed where veins with contrast or their streaks lie against it.
SHAFT_STEP_MM, SHAFT_KEEPS = 4.0, 0.6


def find_arms(
    scan: CoarseScan, bone: BoolArray, spine: Spine, lung: BoolArray, middle_mm: float
) -> tuple[BoolArray, BoolArray]:
    """Left and right arm of the patient; empty where none is seen apart from the trunk.

    Args:
        scan: the scan.
        bone: all bone.
        spine: tells the trunk, neck or head in every slice where it is known.
        lung: both lungs.
        middle_mm: the patient's middle, for the sides.
    """
    cores, trunk, taken_mm = _cores(scan, bone, spine, middle_mm)
    arms = _with_bone(scan, cores, bone)
    whole = scan.none
    step = (1.0, scan.spacing[1], scan.spacing[2])
    # Slice by slice: the trunk above the armpit is not under it.
    for layer in np.flatnonzero(arms.any(axis=(1, 2))):
        reach_mm = float(taken_mm[layer]) + BEYOND_MM
        # What lies farther off than twice the reach is not nearer than the arm to any of its cells.
        box = morphology.box_of(arms[layer : layer + 1], 2.0 * reach_mm + 1.0, step)
        if box is None:
            continue
        here = (slice(layer, layer + 1), *box[1:])
        rest = trunk[here] | (cores[here] & ~arms[here])
        to_arm = morphology.distance_to(arms[here], step)
        near = (to_arm <= reach_mm) & scan.inside[here]
        whole[here] = near & (to_arm < morphology.distance_to(rest, step))
    whole |= _along_chest(scan, bone, lung, np.asarray(~arms.any(axis=(1, 2))))
    left = np.asarray(scan.x_mm > middle_mm)[None, None, :]
    return whole & left, whole & ~left


def _along_chest(scan: CoarseScan, bone: BoolArray, lung: BoolArray, open_: BoolArray) -> BoolArray:
    """Arms that touch the chest, by their bone, in slices where none was seen apart from it."""
    arms, shafts = scan.none, scan.none
    step = (1.0, scan.spacing[1], scan.spacing[2])
    layers = np.flatnonzero(open_ & lung.any(axis=(1, 2)))
    # Without what is narrow: veins that the injected contrast fills, and their streaks.
    solid = bone.copy()
    for layer in layers:
        solid[layer] = morphology.opened(bone[layer : layer + 1], SHAFT_OPENING_MM, step)[0]
        shafts[layer] = _shafts(scan, solid[layer], lung[layer])
    shafts = _followed(scan, _high(shafts, scan), bone, layers)
    labels, count = morphology.components(shafts, 26)
    for label, box in enumerate(ndimage.find_objects(labels.astype(np.int32), count), 1):
        if box is None:
            continue
        for number in range(box[0].start, box[0].stop):
            section = labels[number : number + 1] == label
            # What lies farther off is not nearer than the shaft to any cell of the arm.
            around = morphology.box_of(section, 2.0 * AROUND_SHAFT_MM + 1.0, step)
            if around is None:
                continue
            here = (slice(number, number + 1), *around[1:])
            to_shaft = morphology.distance_to(labels[here] == label, step)
            others = (solid[here] & (to_shaft > SHAFT_FROM_BONE_MM)) | lung[here]
            near = (to_shaft <= AROUND_SHAFT_MM) & scan.inside[here]
            arms[here] |= near & (to_shaft < morphology.distance_to(others, step))
    return arms


def _high(shafts: BoolArray, scan: CoarseScan) -> BoolArray:
    """The pieces that are high enough along the body."""
    labels, count = morphology.components(shafts, 26)
    keep = np.zeros(count + 1, dtype=bool)
    for label, box in enumerate(ndimage.find_objects(labels.astype(np.int32), count), 1):
        high = 0 if box is None else box[0].stop - box[0].start
        keep[label] = high * scan.spacing[0] >= MIN_SHAFT_MM
    return np.asarray(keep[labels])


def _followed(
    scan: CoarseScan, shafts: BoolArray, bone: BoolArray, layers: npt.NDArray[np.intp]
) -> BoolArray:
    """The shafts, gone on with towards the feet as long as bone lies where the last one lay.

    Not towards the head: there begins the shoulder.
    """
    shafts = shafts.copy()
    step = (1.0, scan.spacing[1], scan.spacing[2])
    for layer in layers[::-1][1:]:
        labels, count = morphology.components(shafts[layer + 1 : layer + 2], 26)
        for label in range(1, count + 1):
            last = labels == label
            if (morphology.grown(last, SHAFT_STEP_MM, step) & shafts[layer]).any():
                continue
            # No more than lay there: what hangs on it is not followed.
            here = last & bone[layer]
            if np.count_nonzero(here) >= SHAFT_KEEPS * np.count_nonzero(last):
                shafts[layer] |= here[0]
    return shafts


def _shafts(scan: CoarseScan, bone: BoolArray, lung: BoolArray) -> BoolArray:
    """Round sections of bone to the sides of the lungs of a slice, away from them and from bone."""
    found = np.zeros_like(bone)
    columns = np.flatnonzero(lung.any(axis=0))
    _, step_y, step_x = scan.spacing
    step = (1.0, step_y, step_x)
    labels = cc3d.connected_components(np.ascontiguousarray(bone, np.uint8), connectivity=8)
    solid = np.bincount(labels.ravel()) * step_y * step_x >= SHAFT_MM2[0]
    solid[0] = False
    for label, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), 1):
        if box is None:
            continue
        beyond = max(columns[0] - box[1].stop, box[1].start - columns[-1]) * step_x
        piece = ndimage.binary_fill_holes(labels[box] == label)
        height, width = piece.shape[0] * step_y, piece.shape[1] * step_x
        area = np.count_nonzero(piece) * step_y * step_x
        if beyond < SHAFT_FROM_LUNG_MM or not SHAFT_MM2[0] <= area <= SHAFT_MM2[1]:
            continue
        if max(height, width) > SHAFT_SLENDER * min(height, width):
            continue
        shaft = labels == label
        around = morphology.box_of(shaft[None], SHAFT_FROM_BONE_MM + 1.0, step)
        if around is None:
            continue
        near = labels[around[1:]]
        to_shaft = morphology.distance_to((near == label)[None], step)[0]
        if (to_shaft[solid[near] & (near != label)] >= SHAFT_FROM_BONE_MM).all():
            found |= shaft
    return found


def _cores(
    scan: CoarseScan, bone: BoolArray, spine: Spine, middle_mm: float
) -> tuple[BoolArray, BoolArray, FloatArray]:
    """Cores beside the trunk's own, that of the trunk, and what was taken off in each slice."""
    cores, trunk = scan.none, scan.none
    taken_mm = np.zeros(scan.shape[0])
    pixel_mm2 = scan.spacing[1] * scan.spacing[2]
    # Slices so far apart that each has its own distances.
    apart = (1e4, scan.spacing[1], scan.spacing[2])
    depths = morphology.distance_to(~scan.inside, apart)
    for layer, depth in enumerate(depths):
        most = 0
        for core_mm, most_bone in zip(CORES_MM, MAX_BONE, strict=True):
            core = np.ascontiguousarray(depth > core_mm, np.uint8)
            labels = cc3d.connected_components(core, connectivity=4)
            sizes = np.bincount(labels.ravel())
            own = _trunk_label(scan, spine, layer, labels, sizes, middle_mm)
            if own == 0:
                continue
            share = np.bincount(labels[bone[layer]], minlength=sizes.size) / np.maximum(1, sizes)
            beside = (sizes * pixel_mm2 <= MAX_SECTION_MM2) & (share > 0) & (share <= most_bone)
            beside[[0, own]] = False
            if np.count_nonzero(beside) > most:
                most = int(np.count_nonzero(beside))
                taken_mm[layer] = core_mm
                trunk[layer], cores[layer] = labels == own, beside[labels]
    return cores, trunk, taken_mm


def _trunk_label(
    scan: CoarseScan,
    spine: Spine,
    layer: int,
    labels: npt.NDArray[np.unsignedinteger[Any]],
    sizes: npt.NDArray[np.int64],
    middle_mm: float,
) -> int:
    """The core that holds the spine, else one in the middle that is much the largest; 0 if none."""
    if spine.known[layer]:
        column = int(np.argmin(np.abs(scan.x_mm - spine.x_mm[layer])))
        row = int(np.argmin(np.abs(scan.y_mm - spine.y_mm[layer])))
        # The canal may lie in the skin's margin of a thin neck: look in front of it too.
        front = max(0, row - scan.cells(40.0, 1))
        held = labels[front : row + 1, column]
        held = held[held > 0]
        return int(held[-1]) if held.size else 0
    if sizes.size < 2:
        return 0
    largest = int(np.argmax(sizes[1:])) + 1
    others = np.delete(sizes, [0, largest])
    across = np.flatnonzero((labels == largest).any(axis=0))
    in_middle = scan.x_mm[across[0]] < middle_mm < scan.x_mm[across[-1]]
    larger = others.size == 0 or sizes[largest] >= TRUNK_LARGER * others.max()
    return largest if in_middle and larger else 0


def _with_bone(scan: CoarseScan, cores: BoolArray, bone: BoolArray) -> BoolArray:
    """The pieces that are long and hold a bone."""
    arms = np.zeros_like(cores)
    labels, count = morphology.components(cores)
    for label, box in enumerate(ndimage.find_objects(labels.astype(np.int32), count), 1):
        if box is None or (box[0].stop - box[0].start) * scan.spacing[0] < MIN_LENGTH_MM:
            continue
        piece = labels[box] == label
        inside = piece & bone[box]
        slices = np.count_nonzero(inside.any(axis=(1, 2))) / piece.shape[0]
        if slices >= BONE_SLICES:
            arms[box] |= piece
    return arms
