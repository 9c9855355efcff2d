"""Contrast-filled vessels by name, as far as their place tells: aorta, great thoracic, neck, iliac.

What place does not tell stays 'vessels'. Which of the vessels of the neck is the carotid and which
the jugular is not told; both forbid an injection into tumour that touches them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.anatomy import morphology
from irplan.anatomy.air import Air, between_lungs, middle_x_mm
from irplan.anatomy.coarse import CoarseScan
from irplan.anatomy.spine import Spine
from irplan.geometry import BoolArray

Labels = npt.NDArray[np.unsignedinteger[Any]]

#: Place of the descending aorta's centre from the canal's, mm: to the left, and in front.
AORTA_LEFT_MM = (-22.0, 48.0)
AORTA_FRONT_MM = (28.0, 90.0)
#: It is thinned by this all round before its sections are looked at, mm; their area then, mm²:
#: 12 to 45 mm wide before.
AORTA_THINNED_MM = 2.5
AORTA_MM2 = (35.0, 1250.0)
#: It is compact: it fills this share of its box, and is no more than this much longer than wide.
AORTA_FILLS = 0.6
AORTA_SLENDER = 1.7
#: From slice to slice its centre moves by less than this, mm, or this share of the height.
AORTA_STEP_MM = 6.0
#: Gaps of its chain, mm, and the least length that makes a name sure enough, mm.
AORTA_GAP_MM = 30.0
MIN_AORTA_MM = 50.0
#: Great vessels of the chest lie this near to the middle between the lungs, mm; what is farther out
#: there belongs to the liver or the spleen below a dome of the diaphragm.
CHEST_SIDE_MM = 65.0
#: Vessels this near to the liver or the spleen are theirs, or the lower vena cava, mm: those of the
#: chest lie higher than the domes, but for the aorta, which is found by itself.
BELLY_NEAR_MM = 25.0
#: Vessels of the neck lie this near to the canal's place to the side, mm, and in front of it.
NECK_SIDE_MM = 65.0
#: ... and begin this far below the tops of the lungs, mm: carotids, jugulars and subclavian
#: vessels pass there.
NECK_BELOW_APEX_MM = 25.0
#: Iliac vessels lie this near to the middle, mm.
ILIAC_SIDE_MM = 100.0


@dataclass(frozen=True)
class Vessels:
    """Masks of cells that share none."""

    aorta: BoolArray
    thoracic: BoolArray
    neck: BoolArray
    iliac: BoolArray
    other: BoolArray


def name_vessels(
    scan: CoarseScan, lumen: BoolArray, spine: Spine, air: Air, belly: BoolArray
) -> Vessels:
    """Contrast-filled vessels told apart by place; all of ``lumen`` is in exactly one of them.

    Args:
        belly: liver and spleen: their own vessels are no great vessels of the chest, though the
            lungs reach down beside them.
    """
    aorta = _aorta(scan, lumen, spine)
    rest = lumen & ~aorta
    thoracic = rest & _chest(scan, air, belly)
    rest &= ~thoracic
    neck = rest & _neck(scan, spine, air)
    rest &= ~neck
    iliac = rest & _below_aorta(scan, aorta, spine, air)
    return Vessels(aorta, thoracic, neck, iliac, rest & ~iliac)


def _chest(scan: CoarseScan, air: Air, belly: BoolArray) -> BoolArray:
    """Between the lungs, near the middle, and not by the liver or the spleen."""
    if not air.lung_left.any() or not air.lung_right.any():
        return scan.none
    chest = morphology.closed(between_lungs(scan, air), 6.0, scan.spacing)
    middle = middle_x_mm(air.lung, scan)
    chest &= (np.abs(scan.x_mm - middle) < CHEST_SIDE_MM)[None, None, :]
    return np.asarray(chest & ~morphology.grown(belly, BELLY_NEAR_MM, scan.spacing))


def _neck(scan: CoarseScan, spine: Spine, air: Air) -> BoolArray:
    """In front of the spine, above the tops of the lungs."""
    levels = np.flatnonzero(air.lung.any(axis=(1, 2)))
    # A scan that ends within the lungs shows nothing of the neck.
    if levels.size == 0 or levels[-1] == scan.shape[0] - 1 or not spine.known.any():
        return scan.none
    first = int(levels[-1]) - scan.cells(NECK_BELOW_APEX_MM, 0)
    layers = np.arange(scan.shape[0])
    known = np.flatnonzero(spine.known)
    x = np.interp(layers, known, spine.x_mm[known])
    y = np.interp(layers, known, spine.y_mm[known])
    across = np.abs(scan.x_mm[None, :] - x[:, None]) < NECK_SIDE_MM
    front = scan.y_mm[None, :] < y[:, None] + 5.0
    return np.asarray(front[:, :, None] & across[:, None, :] & (layers >= first)[:, None, None])


def _below_aorta(scan: CoarseScan, aorta: BoolArray, spine: Spine, air: Air) -> BoolArray:
    """Below the aorta's lower end, where that lies well below the lungs; in front of the spine."""
    ends = np.flatnonzero(aorta.any(axis=(1, 2)))
    lungs = np.flatnonzero(air.lung.any(axis=(1, 2)))
    if ends.size == 0 or ends[0] <= 1 or not spine.known.any():
        return scan.none
    if lungs.size and (lungs[0] - ends[0]) * scan.spacing[0] < 80.0:
        return scan.none
    known = np.flatnonzero(spine.known)
    x = float(spine.x_mm[known[0]])
    across = np.abs(scan.x_mm - x) < ILIAC_SIDE_MM
    zone = np.zeros(scan.shape, dtype=bool)
    zone[: int(ends[0])] = across[None, None, :]
    return zone


@dataclass(frozen=True)
class _Section:
    layer: int
    label: int
    x_mm: float
    y_mm: float
    worth: float


def _aorta(scan: CoarseScan, lumen: BoolArray, spine: Spine) -> BoolArray:
    """The aorta from the arch's lower side to its end: compact sections in a chain by the spine."""
    found = np.zeros_like(lumen)
    if not spine.known.any() or not lumen.any():
        return found
    # Thinned, it parts from the vessels that leave it or lie against it.
    core = morphology.shrunk(lumen, AORTA_THINNED_MM, scan.spacing)
    sections: list[_Section] = []
    labels_of: dict[int, Labels] = {}
    for layer in np.flatnonzero(core.any(axis=(1, 2)) & spine.known):
        labels = cc3d.connected_components(
            np.ascontiguousarray(core[layer], np.uint8), connectivity=4
        )
        labels_of[int(layer)] = labels
        sections.extend(_sections(scan, labels, int(layer), spine))
    chain = _chain(sections, scan.spacing[0])
    if not chain or (chain[-1].layer - chain[0].layer) * scan.spacing[0] < MIN_AORTA_MM:
        return found
    for one in chain:
        found[one.layer] = labels_of[one.layer] == one.label
    found = morphology.grown(found, AORTA_THINNED_MM + 1.5, scan.spacing) & lumen
    # Layers that the chain jumped over: what continues the section below.
    return found | (morphology.closed(found, AORTA_GAP_MM / 2, scan.spacing) & lumen)


def _sections(
    scan: CoarseScan,
    labels: Labels,
    layer: int,
    spine: Spine,
) -> list[_Section]:
    step_y, step_x = scan.spacing[1:]
    found = []
    for label, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), 1):
        if box is None:
            continue
        piece = labels[box] == label
        area = np.count_nonzero(piece) * step_y * step_x
        height, width = piece.shape[0] * step_y, piece.shape[1] * step_x
        if not AORTA_MM2[0] <= area <= AORTA_MM2[1]:
            continue
        if area < AORTA_FILLS * height * width or max(height, width) > AORTA_SLENDER * min(
            height, width
        ):
            continue
        rows, columns = np.nonzero(piece)
        x = float(scan.x_mm[box[1].start] + columns.mean() * step_x)
        y = float(scan.y_mm[box[0].start] + rows.mean() * step_y)
        left, front = x - spine.x_mm[layer], spine.y_mm[layer] - y
        inside = AORTA_LEFT_MM[0] <= left <= AORTA_LEFT_MM[1]
        if inside and AORTA_FRONT_MM[0] <= front <= AORTA_FRONT_MM[1]:
            # The vena cava lies to the right and may be as round.
            found.append(_Section(layer, label, x, y, 1.0 + min(0.0, left) / 40.0))
    return found


def _chain(sections: list[_Section], step_mm: float) -> list[_Section]:
    """The chain of sections, one a slice, that is worth most."""
    best = [one.worth for one in sections]
    before = [-1] * len(sections)
    for number, one in enumerate(sections):
        for other in range(number - 1, -1, -1):
            low = sections[other]
            height = (one.layer - low.layer) * step_mm
            if height > AORTA_GAP_MM:
                break
            moved = float(np.hypot(one.x_mm - low.x_mm, one.y_mm - low.y_mm))
            if height <= 0 or moved > max(AORTA_STEP_MM, height):
                continue
            worth = best[other] + one.worth - 0.05 * moved
            if worth > best[number]:
                best[number], before[number] = worth, other
    if not sections:
        return []
    chain = []
    number = int(np.argmax(best))
    while number >= 0:
        chain.append(sections[number])
        number = before[number]
    return chain[::-1]
