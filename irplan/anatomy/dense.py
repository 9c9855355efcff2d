"""Dense tissue: bone whole, and what contrast fills (vessels, heart, kidneys)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from irplan.anatomy import morphology
from irplan.geometry import BoolArray, GridGeometry
from irplan.volume import HuArray

#: Above this a voxel belongs to something dense: spongy bone, calcification or contrast.
DENSE_HU = 150
#: Above this it is cortical bone, or contrast of an early phase.
CORTEX_HU = 300
#: Pieces of bone below this are calcified specks; they stay, as bone: a false obstacle is the
#: lesser harm.
MIN_BONE_ML = 0.05
#: Inside a vessel or the heart, attenuation is even: the scatter in a ball of 4 mm, noise taken
#: off, stays below this; in spongy bone it does not, HU.
EVEN_HU = 35.0
#: Vessels thinner than twice this are not looked for, mm.
VESSEL_RADIUS_MM = 2.5
#: Share of a piece's rim that is brighter than its inside: spongy bone has a cortex, a vessel not.
CORTEX_SHARE = 0.30


@dataclass(frozen=True)
class Dense:
    """Masks (z, y, x): bone with its marrow, and contrast-filled lumen."""

    bone: BoolArray
    vessels: BoolArray
    contrast: bool


def find_dense(hu: HuArray, body: BoolArray, grid: GridGeometry) -> Dense:
    """Bone and contrast-filled structures.

    Everything dense becomes one or the other: which of the two is less certain than that it is
    there, and both are obstacles.
    """
    spacing = grid.spacing_zyx_mm
    smooth = ndimage.gaussian_filter(hu.astype(np.float32), [0.7 / step for step in spacing])
    dense = body & (smooth > DENSE_HU)
    lumen = _even_lumen(smooth, dense, grid)
    vessels = np.zeros_like(dense)
    if lumen.any():
        vessels = morphology.grown(lumen, VESSEL_RADIUS_MM + 1.0, spacing) & dense
    # Thin dense sheets next to a lumen are its rim; cortex is brighter and stays bone.
    bone = _bone(hu, smooth, dense & ~vessels, body, grid)
    vessels &= ~bone
    return Dense(bone, vessels, bool(lumen.any()))


def _even_lumen(
    smooth: np.ndarray[tuple[int, ...], np.dtype[np.float32]], dense: BoolArray, grid: GridGeometry
) -> BoolArray:
    """Cores of contrast-filled vessels: even, round-edged, without a brighter rim."""
    spacing = grid.spacing_zyx_mm
    core = morphology.shrunk(dense, VESSEL_RADIUS_MM, spacing)
    if not core.any():
        return core
    window = [max(1, round(5.0 / step)) | 1 for step in spacing]
    inside = dense.astype(np.float32)
    weight = np.maximum(ndimage.uniform_filter(inside, window), 1e-6)
    mean = ndimage.uniform_filter(smooth * inside, window) / weight
    square = ndimage.uniform_filter(smooth * smooth * inside, window) / weight
    scatter = np.sqrt(np.maximum(square - mean * mean, 0.0))
    even = core & (scatter < EVEN_HU)
    labels, count = morphology.components(even, 6)
    keep = np.zeros(count + 1, dtype=bool)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    for label, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), 1):
        if box is None or sizes[label] * grid.voxel_ml < 0.1:
            continue
        room = tuple(
            slice(max(0, side.start - reach), side.stop + reach)
            for side, reach in zip(box, (int(np.ceil(9.0 / step)) for step in spacing), strict=True)
        )
        keep[label] = _is_lumen(labels[room] == label, smooth[room], spacing)
    return np.asarray(keep[labels])


def _is_lumen(
    piece: BoolArray,
    smooth: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    spacing: morphology.Spacing,
) -> bool:
    """Whether the tissue around an even piece is darker, as around a vessel, not a cortex."""
    inside = float(np.median(smooth[piece]))
    distance = morphology.distance_to(piece, spacing)
    rim = (distance > VESSEL_RADIUS_MM - 1.0) & (distance < VESSEL_RADIUS_MM + 4.0)
    brighter = np.count_nonzero(smooth[rim] > inside + 60) / max(1, np.count_nonzero(rim))
    outside = (distance > VESSEL_RADIUS_MM + 2.0) & (distance < VESSEL_RADIUS_MM + 6.0)
    darker = np.count_nonzero(smooth[outside] < inside - 60) / max(1, np.count_nonzero(outside))
    return bool(brighter < 0.08 and darker > 0.4)


def _bone(
    hu: HuArray,
    smooth: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    dense: BoolArray,
    body: BoolArray,
    grid: GridGeometry,
) -> BoolArray:
    """Dense pieces with some cortex in them, their marrow filled."""
    spacing = grid.spacing_zyx_mm
    candidates = dense | (body & (hu > CORTEX_HU))
    labels, count = morphology.components(candidates, 26)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * grid.voxel_ml
    cortex = np.bincount(labels[smooth > 220], minlength=count + 1)
    keep = (sizes >= MIN_BONE_ML) & (cortex > 0)
    keep[0] = False
    bone = np.asarray(keep[labels])
    if not bone.any():
        return bone
    closed = morphology.closed(bone, 3.0, spacing) & body & (smooth > -20)
    return bone | _small_holes_filled(closed, bone, smooth)


def _small_holes_filled(
    closed: BoolArray,
    bone: BoolArray,
    smooth: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> BoolArray:
    """Marrow: what the closed bone encloses in an axial slice, where it is not wider than bone.

    A ring of ribs and spine around the chest encloses the chest too; only holes up to 15 cm²
    would be marrow or the spinal canal, and both are to be avoided.
    """
    filled = closed.copy()
    structure = np.ones((3, 3), dtype=bool)
    for index in np.flatnonzero(closed.any(axis=(1, 2))):
        holes = ndimage.binary_fill_holes(closed[index], structure) & ~closed[index]
        if holes.any():
            filled[index] |= holes & (smooth[index] > -150)
    return filled | bone
