"""The inside of the skull, and the skull around it: tumour in there is never injected.

The skull is the one closed shell of bone that holds nothing but soft tissue: the ribs hold lung,
the pelvis holds fat and bowel and is open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from irplan.anatomy import morphology
from irplan.anatomy.coarse import CoarseScan
from irplan.geometry import BoolArray

#: Gaps of the skull (sutures, foramina, thin bone in thick slices) up to twice this are closed, mm.
SKULL_GAP_MM = 6.0
#: Section of the inside of a skull in an axial slice, mm²; one at least as large as the second
#: figure shows that it is one.
INSIDE_MM2 = (300.0, 32000.0)
WIDE_MM2 = 6000.0
#: Brain, fluid and blood, HU (smoothed); fat and air make up no more than this share of them.
BRAIN_HU = (-25.0, 120.0)
NOT_BRAIN_SHARE = 0.08
#: The inside of a skull is at least this large where the scan cuts it, mL, and high, mm.
MIN_INSIDE_ML = 100.0
MIN_HEIGHT_MM = 25.0
#: Bone this near to it is skull, mm.
SKULL_MM = 16.0
#: Air from this far below the skull's inside upwards is that of mouth, nose, pharynx, mm.
FACE_MM = 150.0


@dataclass(frozen=True)
class Head:
    """Masks of cells; both empty where no skull is seen.

    Attributes:
        brain: all that the skull holds.
        around: where bone is skull.
        air_from: the lowest layer whose gas is no bowel's; the number of layers if none is.
    """

    brain: BoolArray
    around: BoolArray
    air_from: int


def find_head(scan: CoarseScan, bone: BoolArray, lung: BoolArray) -> Head:
    """The inside of the skull.

    Args:
        scan: the scan.
        bone: dense pieces that are bone, with or without marrow.
        lung: gas above the tops of the lungs belongs to the airways.
    """
    levels = np.flatnonzero(lung.any(axis=(1, 2)))
    top = int(levels[-1]) + 1 if levels.size else scan.shape[0]
    nothing = Head(scan.none, scan.none, top)
    pixel_mm2 = scan.spacing[1] * scan.spacing[2]
    closed = morphology.closed(bone, SKULL_GAP_MM, scan.spacing)
    holes = morphology.holes_by_plane(closed, 0, INSIDE_MM2[1] / pixel_mm2) & ~lung
    for layer in np.flatnonzero(holes.any(axis=(1, 2))):
        holes[layer] = _like_brain(scan, holes[layer], int(layer), pixel_mm2)
    brain = morphology.largest(holes)
    levels = np.flatnonzero(brain.any(axis=(1, 2)))
    if levels.size == 0 or levels.size * scan.spacing[0] < MIN_HEIGHT_MM:
        return nothing
    widest = np.count_nonzero(brain, axis=(1, 2)).max() * pixel_mm2
    if widest < WIDE_MM2 or np.count_nonzero(brain) * scan.cell_ml < MIN_INSIDE_ML:
        return nothing
    # To the bone itself: closing had taken the corners.
    room = morphology.grown(brain, SKULL_GAP_MM + 2.0, scan.spacing) & closed & scan.inside
    brain |= room & ~bone
    around = morphology.grown(brain, SKULL_MM, scan.spacing)
    face = max(0, int(levels[0]) - scan.cells(FACE_MM, 0))
    return Head(brain, around, min(top, face) if top == scan.shape[0] else top)


def _like_brain(scan: CoarseScan, holes: BoolArray, layer: int, pixel_mm2: float) -> BoolArray:
    """The holes of a slice that soft tissue alone fills."""
    labels, count = morphology.components(holes[None])
    flat = labels[0]
    sizes = np.bincount(flat.ravel(), minlength=count + 1)
    smooth = scan.smooth[layer]
    other = np.bincount(flat[(smooth < BRAIN_HU[0]) | (smooth > BRAIN_HU[1])], minlength=count + 1)
    keep = (sizes * pixel_mm2 >= INSIDE_MM2[0]) & (other <= NOT_BRAIN_SHARE * sizes)
    keep[0] = False
    return np.asarray(keep[flat])
