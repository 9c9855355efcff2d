"""Dense tissue: bone whole, and what contrast fills (vessels, heart, kidneys)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from irplan.anatomy import morphology
from irplan.anatomy.coarse import CoarseScan, FloatVolume
from irplan.geometry import BoolArray

#: Above this a cell belongs to something dense: spongy bone, calcification or contrast.
DENSE_HU = 140
#: A piece is bone where some of it is denser than spongy tissue and most contrast, HU.
CORTEX_HU = 220
#: Pieces of bone below this are calcified specks; they stay, as bone: a false obstacle is the
#: lesser harm.
MIN_BONE_ML = 0.04
#: Inside a vessel or the heart attenuation is even; in spongy bone it is not, HU.
EVEN_HU = 30.0
#: Vessels thinner than twice this are not looked for, mm.
VESSEL_RADIUS_MM = 3.0
#: Marrow: holes of an axial slice up to this large that bone encloses, mm².
MAX_HOLE_MM2 = 3000.0
#: Gaps of the cortex up to twice this are closed before holes are filled, mm.
CORTEX_GAP_MM = 4.0
#: A blob that holds a ball of this radius is a contrast-filled organ or the heart, no vessel, mm.
BLOB_RADIUS_MM = 14.0
MIN_BLOB_ML = 20.0
#: Contrast this far from bone cannot be its marrow, mm.
FREE_OF_BONE_MM = 4.0
#: The great vessels run within this distance of the body's middle, mm.
CENTRAL_MM = 25.0
#: A great vessel shows at least this area in a slice, mm².
MIN_LUMEN_MM2 = 50.0


@dataclass(frozen=True)
class Dense:
    """Masks of cells: bone with its marrow, vessels, and large contrast-filled blobs."""

    bone: BoolArray
    vessels: BoolArray
    blobs: BoolArray


def find_dense(scan: CoarseScan) -> Dense:
    """Bone and contrast-filled structures.

    Everything dense becomes one or the other: which of the two is less certain than that it is
    there, and both are obstacles.
    """
    spacing = scan.spacing
    dense = scan.inside & (scan.smooth > DENSE_HU)
    lumen = _even_lumen(scan.smooth, dense, scan)
    filled = np.zeros_like(dense)
    if lumen.any():
        filled = morphology.grown(lumen, VESSEL_RADIUS_MM + 1.5, spacing) & dense
    bone = _bone(scan, dense & ~filled)
    filled &= ~bone
    blobs = morphology.opened(filled, BLOB_RADIUS_MM, spacing)
    blobs = _large_pieces(blobs, MIN_BLOB_ML / scan.cell_ml)
    return Dense(bone, filled & ~blobs, blobs)


def _even_lumen(smooth: FloatVolume, dense: BoolArray, scan: CoarseScan) -> BoolArray:
    """Cores of contrast-filled vessels: even, round-edged, without a brighter rim."""
    spacing = scan.spacing
    core = morphology.shrunk(dense, VESSEL_RADIUS_MM, spacing)
    if not core.any():
        return core
    window = [max(3, round(6.0 / step)) | 1 for step in spacing]
    inside = dense.astype(np.float32)
    weight = np.maximum(ndimage.uniform_filter(inside, window), 1e-6)
    mean = ndimage.uniform_filter(smooth * inside, window) / weight
    square = ndimage.uniform_filter(smooth * smooth * inside, window) / weight
    scatter = np.sqrt(np.maximum(square - mean * mean, 0.0))
    labels, count = morphology.components(core & (scatter < EVEN_HU), 6)
    keep = np.zeros(count + 1, dtype=bool)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * scan.cell_ml
    for label, box in enumerate(ndimage.find_objects(labels.astype(np.int32), count), 1):
        if box is None or sizes[label] < 0.1:
            continue
        room = tuple(
            slice(max(0, side.start - reach), side.stop + reach)
            for side, reach in zip(box, (int(np.ceil(9.0 / step)) for step in spacing), strict=True)
        )
        keep[label] = _is_lumen(labels[room] == label, smooth[room], spacing)
    return np.asarray(keep[labels])


def _is_lumen(piece: BoolArray, smooth: FloatVolume, spacing: morphology.Spacing) -> bool:
    """Whether the tissue around an even piece is darker, as around a vessel, not a cortex."""
    inside = float(np.median(smooth[piece]))
    distance = morphology.distance_to(piece, spacing)
    rim = (distance > 0) & (distance < VESSEL_RADIUS_MM + 4.0)
    outside = (distance > VESSEL_RADIUS_MM + 2.0) & (distance < VESSEL_RADIUS_MM + 6.0)
    brighter = _share(smooth[rim] > inside + 50)
    darker = _share(smooth[outside] < inside - 50)
    return bool(brighter < 0.08 and darker > 0.4)


def _share(mask: BoolArray) -> float:
    """Share of true values; 0 of none."""
    return float(np.count_nonzero(mask)) / mask.size if mask.size else 0.0


def _bone(scan: CoarseScan, dense: BoolArray) -> BoolArray:
    """Dense pieces with some cortex in them, their marrow filled."""
    labels, count = morphology.components(dense, 26)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * scan.cell_ml
    cortex = np.bincount(labels[scan.mean > CORTEX_HU], minlength=count + 1)
    keep = (sizes >= MIN_BONE_ML) & (cortex > 0)
    keep[0] = False
    bone = np.asarray(keep[labels])
    if not bone.any():
        return bone
    tissue = scan.inside & (scan.smooth > -150)
    closed = morphology.closed(bone, CORTEX_GAP_MM, scan.spacing) & tissue
    return bone | _marrow(closed, scan) & tissue


def _marrow(closed: BoolArray, scan: CoarseScan) -> BoolArray:
    """The closed bone with what it encloses in a plane, where that is no wider than a bone.

    The ring of ribs, or of the pelvis, encloses much more and is left alone.
    """
    filled = closed.copy()
    for axis in range(3):
        pixel_mm2 = float(
            np.prod([step for other, step in enumerate(scan.spacing) if other != axis])
        )
        planes = np.moveaxis(closed, axis, 0)
        result = np.moveaxis(filled, axis, 0)
        for index in np.flatnonzero(planes.any(axis=(1, 2))):
            holes = ndimage.binary_fill_holes(planes[index]) & ~planes[index]
            if not holes.any():
                continue
            labels, count = ndimage.label(holes)
            sizes = np.bincount(labels.ravel(), minlength=count + 1) * pixel_mm2
            small = sizes <= MAX_HOLE_MM2
            small[0] = False
            result[index] |= small[labels]
    return filled


def great_vessel_length_mm(scan: CoarseScan, dense: Dense, middle_x_mm: float) -> float:
    """Length along the body over which contrast near its middle lies free of bone, mm.

    There run the aorta, the venae cavae and the heart. Kidneys lie farther out, marrow lies at
    bone, and the thyroid (dense by its iodine) is short.
    """
    at_bone = morphology.grown(dense.bone, FREE_OF_BONE_MM, scan.spacing)
    central = np.abs(scan.x_mm - middle_x_mm) < CENTRAL_MM
    free = (dense.vessels | dense.blobs) & ~at_bone & central[None, None, :]
    _, height, width = scan.spacing
    area_mm2 = np.count_nonzero(free, axis=(1, 2)) * height * width
    return float(np.count_nonzero(area_mm2 >= MIN_LUMEN_MM2)) * scan.spacing[0]


def _large_pieces(mask: BoolArray, least_cells: float) -> BoolArray:
    labels, count = morphology.components(mask, 6)
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= least_cells
    keep[0] = False
    return np.asarray(keep[labels])


def bone_voxels(scan: CoarseScan, bone: BoolArray) -> BoolArray:
    """Bone of cells at full resolution: what the cells hold, and dense voxels beside them."""
    near = scan.to_voxels(morphology.grown(bone, max(scan.spacing) * 1.8, scan.spacing))
    return (scan.to_voxels(bone) & scan.body) | (near & scan.body & (scan.hu > CORTEX_HU))


def lumen_voxels(scan: CoarseScan, lumen: BoolArray) -> BoolArray:
    """Contrast-filled cells at full resolution, and bright voxels beside them."""
    near = scan.to_voxels(morphology.grown(lumen, max(scan.spacing) * 1.01, scan.spacing))
    return (scan.to_voxels(lumen) & scan.body) | (near & scan.body & (scan.hu > DENSE_HU + 20))
