"""Dense tissue: bone whole, and what contrast fills (vessels, heart, kidneys)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from irplan.anatomy import morphology
from irplan.anatomy.air import Air, between_lungs
from irplan.anatomy.coarse import CoarseScan, FloatVolume, VoxelRule
from irplan.anatomy.spine import Spine, find_spine, vertebrae_filled
from irplan.geometry import BoolArray
from irplan.smoothing import gaussian, uniform

#: Above this a cell belongs to something dense: spongy bone, calcification or contrast.
DENSE_HU = 140
#: Blood that is brighter than this holds contrast, HU. Where it holds little, lumens are sought
#: from this much below its attenuation on, HU. So much of it must be seen, mL.
FAINT_HU = 90
BELOW_BLOOD_HU = 40
EDGE_OF_BLOOD_MM = 9.0
#: The edge cells of a vessel, half blood, and its wall, mm and HU (smoothed).
VESSEL_WALL_MM, WALL_HU = 3.0, 60
SEAM_MM = 3.0
#: Tissue this near to a vessel, in hollows of the lung up to twice this wide, is a vessel, mm.
BRANCH_MM, HILUM_GAP_MM = 8.0, 10.0
#: At the lung's border mixed cells darker than this are air and drawn as lung, HU.
RIM_HU = -400
MIN_BLOOD_ML = 5.0
#: A piece is bone where some of it is denser than spongy tissue and most contrast, HU.
CORTEX_HU = 220
#: Pieces of bone below this are calcified specks; they stay, as bone: a false obstacle is the
#: lesser harm.
MIN_BONE_ML = 0.04
#: Inside a vessel or the heart attenuation is even; in spongy bone it is not, HU.
EVEN_HU = 30.0
#: Vessels thinner than twice this are not looked for, mm.
VESSEL_RADIUS_MM = 3.0
#: Marrow: holes of a plane up to this large that bone encloses, mm².
MAX_HOLE_MM2 = 3000.0
#: Gaps of the cortex up to twice this are closed before holes are filled, mm: first narrow ones,
#: whose filling is bone too; then wider ones (thin shells in thick slices), of which only what is
#: enclosed then becomes bone. One step after the other: a gap that closes a hole altogether
#: encloses nothing. The widest are for the pelvis and the hips alone, where no muscle lies between
#: two ribs.
CORTEX_GAP_MM = 4.0
WIDE_GAPS_MM = (6.0, 7.0, 8.0)
PELVIS_GAP_MM = 11.0
#: Clefts between bones of hip and pelvis up to twice this wide are bone, mm: a femoral head whose
#: thin wall is open to the joint.
PELVIS_CLEFT_MM = 6.0
#: Metal lies above this, HU; its streaks blacken marrow this far around it, mm.
METAL_HU = 2200
MIN_METAL_ML = 0.2
STREAK_MM = 60.0
#: Ribs reach this far below the lungs, mm.
RIBS_BELOW_LUNG_MM = 90.0
#: A blob that holds a ball of this radius is a contrast-filled organ or the heart, no vessel, mm.
BLOB_RADIUS_MM = 14.0
MIN_BLOB_ML = 20.0
#: Contrast this far from bone cannot be its marrow, mm.
FREE_OF_BONE_MM = 4.0
#: An even core is a vertebra's where this share of it lies this near to the canal's middle to
#: either side, and in front of it, mm.
VERTEBRA_SIDE_MM, VERTEBRA_FRONT_MM, VERTEBRA_SHARE = 20.0, 42.0, 0.6
#: The great vessels run within this distance of the body's middle, mm.
CENTRAL_MM = 25.0
#: A great vessel shows at least this area in a slice, mm².
MIN_LUMEN_MM2 = 50.0


@dataclass(frozen=True)
class Dense:
    """Masks of cells.

    Attributes:
        bone: with its marrow.
        vessels: what contrast fills, narrow.
        blobs: what contrast fills, wide: heart, kidneys.
        spine: where the spinal canal runs.
    """

    bone: BoolArray
    vessels: BoolArray
    blobs: BoolArray
    spine: Spine


@dataclass(frozen=True)
class FirstLook:
    """What evenness alone tells: pieces of bone without marrow, filled vessels, the spine."""

    pieces: BoolArray
    filled: BoolArray
    spine: Spine


def look_first(scan: CoarseScan, air: Air) -> FirstLook:
    """Dense matter by its evenness: contrast is even, bone is not."""
    dense = scan.inside & (scan.smooth > DENSE_HU)
    lumen = _even_lumen(scan.smooth, dense, scan)
    filled = scan.none
    if lumen.any():
        filled = morphology.grown(lumen, VESSEL_RADIUS_MM + 1.5, scan.spacing) & dense
    pieces = _bone_pieces(scan, dense & ~filled, air)
    spine = find_spine(scan, pieces)
    bodies = _of_vertebrae(scan, lumen, spine)
    if bodies.any():
        lumen &= ~bodies
        filled = morphology.grown(lumen, VESSEL_RADIUS_MM + 1.5, scan.spacing) & dense
        pieces = _bone_pieces(scan, dense & ~filled, air)
    return FirstLook(pieces, filled, spine)


def _of_vertebrae(scan: CoarseScan, lumen: BoolArray, spine: Spine) -> BoolArray:
    """Even cores that lie where bodies of vertebrae lie: straight in front of the canal.

    The bodies of some patients are as even as blood. Aorta and cava lie farther in front, or
    beside.
    """
    window = spine.window(scan, VERTEBRA_SIDE_MM, VERTEBRA_FRONT_MM, 0.0)
    labels, count = morphology.components(lumen)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    inside = np.bincount(labels[window], minlength=count + 1)
    bodies = inside > VERTEBRA_SHARE * np.maximum(1, sizes)
    bodies[0] = False
    return np.asarray(bodies[labels])


def find_dense(scan: CoarseScan, air: Air, first: FirstLook, organs: BoolArray) -> Dense:
    """Bone and contrast-filled structures, where ``organs`` are not.

    Everything dense becomes one or the other: which of the two is less certain than that it is
    there, and both are obstacles.
    """
    # Between the lungs and in front of the spine there is no bone: what is dense there is
    # contrast, even or not, or the chalk of vessels and nodes.
    middle = between_lungs(scan, air) & ~air.airway & ~organs
    chest = middle & ~_spine_or_behind(scan, first.spine)
    filled = first.filled | ((first.pieces | _blood(scan, middle)) & chest)
    bone = _whole_bone(scan, first.pieces & ~filled, filled, first.spine, air.lung)
    filled |= _seam(scan, filled, air)
    filled &= ~bone
    blobs = morphology.opened(filled, BLOB_RADIUS_MM, scan.spacing)
    blobs = morphology.large_pieces(blobs, MIN_BLOB_ML / scan.cell_ml)
    return Dense(bone, filled & ~blobs, blobs, first.spine)


def _blood(scan: CoarseScan, middle: BoolArray) -> BoolArray:
    """What is as bright as the blood between the lungs, where that holds contrast.

    The blood's attenuation is the middle of what is bright and wide there; a faint or noisy
    contrast needs a lower limit, and more smoothing, than what tells vessels from bone.
    """
    even = gaussian(scan.mean, [2.0 / s for s in scan.spacing], truncate=2.5)
    wide = morphology.shrunk(middle & (even > FAINT_HU), 5.0, scan.spacing)
    if np.count_nonzero(wide) * scan.cell_ml < MIN_BLOOD_ML:
        return scan.none
    blood = float(np.median(even[wide]))
    limit = float(np.clip(blood - BELOW_BLOOD_HU, FAINT_HU + 10, DENSE_HU))
    sure = middle & (even > limit)
    # Vessels of a hilum are narrow, and smoothing darkens their edge.
    near = morphology.grown(sure, EDGE_OF_BLOOD_MM, scan.spacing) & middle
    sure |= near & (scan.smooth > limit)
    wall = morphology.grown(sure, VESSEL_WALL_MM, scan.spacing) & middle
    return np.asarray(sure | (wall & (scan.smooth > WALL_HU)))


def _seam(scan: CoarseScan, filled: BoolArray, air: Air) -> BoolArray:
    """What lies between vessels and the lung around them: branches, and cells half blood half air.

    Not each of its branches is as even or as bright as the stem of a hilum.
    """
    if not air.lung.any() or not filled.any():
        return scan.none
    free = ~air.lung & ~air.airway & scan.inside
    near = morphology.grown(filled, SEAM_MM, scan.spacing) & free
    seam = near & morphology.closed(air.lung | filled, SEAM_MM, scan.spacing)
    hollow = morphology.closed(air.lung, HILUM_GAP_MM, scan.spacing) & free
    at_vessel = morphology.grown(filled, BRANCH_MM, scan.spacing)
    # Branches that the lung closed over, at its border: the lung's own border is drawn at air.
    rim = air.lung & ~morphology.shrunk(air.lung, 2.0 * max(scan.spacing), scan.spacing)
    branches = hollow & (scan.smooth > WALL_HU) | rim & (scan.smooth > RIM_HU)
    return seam | (branches & at_vessel)


def _spine_or_behind(scan: CoarseScan, spine: Spine) -> BoolArray:
    """Vertebral bodies and what lies behind their front; all cells where no spine is known."""
    known = spine.known[:, None, None]
    bodies = spine.window(scan, 24.0, 52.0, 400.0)
    behind = spine.window(scan, 400.0, 22.0, 400.0)
    return np.asarray(bodies | behind | ~known)


def _even_lumen(smooth: FloatVolume, dense: BoolArray, scan: CoarseScan) -> BoolArray:
    """Cores of contrast-filled vessels: even, round-edged, without a brighter rim."""
    spacing = scan.spacing
    core = morphology.shrunk(dense, VESSEL_RADIUS_MM, spacing)
    if not core.any():
        return core
    window = [max(3, round(6.0 / step)) | 1 for step in spacing]
    inside = dense.astype(np.float32)
    weight = np.maximum(uniform(inside, window), 1e-6)
    mean = uniform(smooth * inside, window) / weight
    square = uniform(smooth * smooth * inside, window) / weight
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


def _bone_pieces(scan: CoarseScan, dense: BoolArray, air: Air) -> BoolArray:
    """Dense pieces with some cortex in them; those within lung are its vessels, or chalk."""
    labels, count = morphology.components(dense, 26)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    cortex = np.bincount(labels[scan.mean > CORTEX_HU], minlength=count + 1)
    in_lung = np.bincount(labels[air.lung], minlength=count + 1)
    keep = (sizes * scan.cell_ml >= MIN_BONE_ML) & (cortex > 0) & (in_lung < 0.6 * sizes)
    keep[0] = False
    return np.asarray(keep[labels])


def _whole_bone(
    scan: CoarseScan, bone: BoolArray, filled: BoolArray, spine: Spine, lung: BoolArray
) -> BoolArray:
    """Bone with its marrow, without what contrast fills."""
    if not bone.any():
        return bone
    tissue = scan.inside & ((scan.smooth > -150) | (_near_metal(scan) & ~lung)) & ~filled
    closed = morphology.closed(bone, CORTEX_GAP_MM, scan.spacing) & tissue
    bone = bone | closed | (_enclosed(closed, scan) & tissue)
    pelvis = below_ribs(scan, lung)
    shell = bone
    for gap_mm in WIDE_GAPS_MM:
        wide = morphology.closed(shell, gap_mm, scan.spacing)
        # Axial planes alone where ribs are: across other planes two ribs would enclose the muscle
        # between them.
        marrow = _enclosed(wide, scan, (0,)) & tissue
        marrow[:pelvis] |= _enclosed(wide[:pelvis], scan, (1, 2)) & tissue[:pelvis]
        bone = bone | marrow | (morphology.grown(marrow, gap_mm, scan.spacing) & wide & tissue)
    bone[:pelvis] |= _hips(scan, bone[:pelvis], tissue[:pelvis])
    # Seams of marrow that none of the fillings reached, between two that did.
    bone |= morphology.closed(bone, CORTEX_GAP_MM, scan.spacing) & tissue
    bone[:pelvis] |= (
        morphology.closed(bone[:pelvis], PELVIS_CLEFT_MM, scan.spacing) & tissue[:pelvis]
    )
    return vertebrae_filled(scan, bone, spine, lung) & scan.inside & ~spine.canal & ~filled


def _hips(scan: CoarseScan, bone: BoolArray, tissue: BoolArray) -> BoolArray:
    """Marrow behind wide gaps of a thin cortex, at the levels below the ribs."""
    wide = morphology.closed(bone, PELVIS_GAP_MM, scan.spacing)
    marrow = _enclosed(wide, scan) & tissue
    return marrow | (morphology.grown(marrow, PELVIS_GAP_MM, scan.spacing) & wide & tissue)


def _near_metal(scan: CoarseScan) -> BoolArray:
    """Cells around an implant, where streaks make tissue as dark as gas."""
    metal = scan.inside & (scan.mean > METAL_HU)
    metal = morphology.large_pieces(metal, MIN_METAL_ML / scan.cell_ml)
    if not metal.any():
        return scan.none
    return morphology.grown(metal, STREAK_MM, scan.spacing)


def below_ribs(scan: CoarseScan, lung: BoolArray) -> int:
    """The first layer that may hold ribs; all layers lie below it where there is no lung."""
    hits = np.flatnonzero(lung.any(axis=(1, 2)))
    if hits.size == 0:
        return scan.shape[0]
    return max(0, int(hits[0]) - scan.cells(RIBS_BELOW_LUNG_MM, 0))


def _enclosed(closed: BoolArray, scan: CoarseScan, axes: tuple[int, ...] = (0, 1, 2)) -> BoolArray:
    """What closed bone encloses in a plane, where that is no wider than a bone.

    The ring of ribs, or of the pelvis, encloses much more and is left alone.
    """
    found = np.zeros_like(closed)
    for axis in axes:
        pixel_mm2 = float(
            np.prod([step for other, step in enumerate(scan.spacing) if other != axis])
        )
        found |= morphology.holes_by_plane(closed, axis, MAX_HOLE_MM2 / pixel_mm2)
    return found


def great_vessel_length_mm(scan: CoarseScan, dense: Dense, middle_x_mm: float) -> float:
    """Length along the body over which contrast near its middle lies free of bone, mm.

    There run the aorta, the venae cavae and the heart. Kidneys lie farther out, marrow lies at
    bone, and the thyroid (dense by its iodine) is short.
    """
    at_bone = morphology.grown(dense.bone, FREE_OF_BONE_MM, scan.spacing)
    central = np.abs(scan.x_mm - middle_x_mm) < CENTRAL_MM
    free = (dense.vessels | dense.blobs) & ~at_bone & central[None, None, :]
    area_mm2 = np.count_nonzero(free, axis=(1, 2)) * scan.spacing[1] * scan.spacing[2]
    return float(np.count_nonzero(area_mm2 >= MIN_LUMEN_MM2)) * scan.spacing[0]


def bone_rule(scan: CoarseScan, bone: BoolArray) -> VoxelRule:
    """Bone of cells at full resolution: what the cells hold, and dense voxels beside them."""
    near = morphology.grown(bone, max(scan.spacing) * 1.8, scan.spacing)
    return VoxelRule(bone, near, CORTEX_HU)


def lumen_rule(scan: CoarseScan, lumen: BoolArray) -> VoxelRule:
    """Contrast-filled cells at full resolution, and bright voxels beside them."""
    near = morphology.grown(lumen, max(scan.spacing) * 1.01, scan.spacing)
    return VoxelRule(lumen, near, DENSE_HU + 20)
