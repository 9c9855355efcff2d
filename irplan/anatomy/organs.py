"""Large soft organs: the heart around its contrast-filled chambers, and the liver."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from irplan.anatomy import morphology
from irplan.anatomy.air import Air
from irplan.anatomy.coarse import CoarseScan
from irplan.anatomy.dense import Dense
from irplan.geometry import BoolArray

#: Chambers or great vessels that the contrast makes look like bone hold a ball this large, mm.
CHAMBER_RADIUS_MM = 9.0
#: The wall of the heart: tissue between and around its chambers up to this far, mm.
HEART_WALL_MM = 12.0
#: What contrast fills between the lungs belongs to the heart this near to a chamber, mm.
HEART_REACH_MM = 35.0
#: The liver is even: this far from its most frequent attenuation, HU.
LIVER_SPREAD_HU = 28
#: Bridges to neighbours thinner than twice this are cut, mm.
LIVER_OPENING_MM = 9.0
#: The liver lies no farther than this below the lung, mm.
LIVER_BELOW_LUNG_MM = 180.0
MIN_LIVER_ML = 400.0
MAX_LIVER_ML = 4500.0


def find_heart(scan: CoarseScan, air: Air, dense: Dense) -> tuple[BoolArray, BoolArray]:
    """The heart with the great vessels at it, and what stays of the bone.

    Contrast that is still mixing makes chambers uneven, like spongy bone. What is as thick as a
    chamber, lies between both lungs and in front of their middle is heart, not bone: vertebrae lie
    behind it, the sternum is thinner.
    """
    lung = air.lung_left | air.lung_right
    nothing = np.zeros_like(dense.bone)
    if not lung.any() or not air.lung_left.any() or not air.lung_right.any():
        return nothing, dense.bone
    between = _between_lungs(scan, air)
    blobs = morphology.opened(dense.bone & between, CHAMBER_RADIUS_MM, scan.spacing)
    taken = nothing.copy()
    front = _front_of_lungs(scan, lung)
    labels, count = morphology.components(blobs)
    for label, box in enumerate(ndimage.find_objects(labels.astype(np.int32), count), 1):
        if box is None:
            continue
        piece = labels[box] == label
        if np.count_nonzero(piece & front[box]) > 0.7 * np.count_nonzero(piece):
            taken[box] |= piece
    inside = morphology.grown(taken, 4.0, scan.spacing) & dense.bone & between & front
    chambers = inside | _heart_blobs(dense.blobs, lung)
    if not chambers.any():
        return nothing, dense.bone
    near = morphology.grown(chambers, HEART_REACH_MM, scan.spacing)
    chambers |= (dense.vessels | dense.blobs) & between & front & near
    wall = morphology.closed(chambers, HEART_WALL_MM, scan.spacing)
    wall |= morphology.grown(chambers, HEART_WALL_MM / 2, scan.spacing)
    bone = dense.bone & ~inside
    soft = scan.inside & (scan.smooth > 0) & ~lung & ~bone & ~air.airway
    return chambers | (wall & soft), bone


def _heart_blobs(blobs: BoolArray, lung: BoolArray) -> BoolArray:
    """Contrast-filled blobs beside most of which lung lies."""
    heart = np.zeros_like(blobs)
    rows_with_lung = lung.any(axis=2)
    labels, count = morphology.components(blobs)
    for label in range(1, count + 1):
        piece = labels == label
        rows = piece.any(axis=2)
        if np.count_nonzero(rows_with_lung & rows) > 0.6 * np.count_nonzero(rows):
            heart |= piece
    return heart


def _between_lungs(scan: CoarseScan, air: Air) -> BoolArray:
    """Cells whose column lies between the middles of both lungs of their slice."""
    columns = np.arange(scan.inside.shape[2])
    sides = []
    for lung in (air.lung_left, air.lung_right):
        weight = np.count_nonzero(lung, axis=1).astype(float)
        total = weight.sum(axis=1)
        middle = (weight * columns).sum(axis=1) / np.maximum(total, 1.0)
        sides.append(np.where(total > 0, middle, np.nan))
    low, high = np.fmin(*sides), np.fmax(*sides)
    both = ~np.isnan(sides[0]) & ~np.isnan(sides[1])
    flat = (columns >= low[:, None]) & (columns <= high[:, None]) & both[:, None]
    return np.asarray(flat[:, None, :] & scan.inside)


def _front_of_lungs(scan: CoarseScan, lung: BoolArray) -> BoolArray:
    """Cells in front of the middle of the lungs of their slice (LPS -y is the front)."""
    depth, height, width = lung.shape
    row_weight = np.count_nonzero(lung, axis=2).astype(float)
    total = np.maximum(row_weight.sum(axis=1), 1.0)
    middle = (row_weight * np.arange(height)).sum(axis=1) / total
    back_rises = float(scan.grid.axes[1, 1]) > 0
    rows = np.arange(height)[None, :]
    front = rows < middle[:, None] if back_rises else rows > middle[:, None]
    return np.broadcast_to(front[:, :, None], (depth, height, width))


def _liver_levels(scan: CoarseScan, air: Air) -> BoolArray:
    """Slices (as (z, 1, 1)) in which a liver can lie: around the lower end of the right lung."""
    levels = np.ones(scan.inside.shape[0], dtype=bool)
    hits = np.flatnonzero(air.lung_right.any(axis=(1, 2)))
    if hits.size:
        reach = int(LIVER_BELOW_LUNG_MM / scan.spacing[0])
        middle = int(hits.mean())
        levels[:] = False
        if scan.head_first_slice:
            levels[middle : int(hits[-1]) + reach] = True
        else:
            levels[max(0, int(hits[0]) - reach) : middle + 1] = True
    return levels[:, None, None]


def find_liver(scan: CoarseScan, air: Air, taken: BoolArray, middle_x_mm: float) -> BoolArray:
    """The liver: the largest even piece of soft tissue of the right side; empty where unsure."""
    nothing = np.zeros_like(taken)
    soft = scan.inside & (scan.smooth > 20) & (scan.smooth < 200) & ~taken
    core = morphology.shrunk(soft, LIVER_OPENING_MM, scan.spacing)
    right = core & (scan.x_mm < middle_x_mm)[None, None, :] & _liver_levels(scan, air)
    if not right.any():
        return nothing
    smooth = ndimage.gaussian_filter(scan.mean, [2.5 / step for step in scan.spacing])
    counts, edges = np.histogram(smooth[right], bins=np.arange(20, 204, 4))
    mode = float(edges[int(np.argmax(counts))]) + 2.0
    even = soft & (np.abs(smooth - mode) < LIVER_SPREAD_HU)
    opened = morphology.opened(even, LIVER_OPENING_MM, scan.spacing)
    liver = morphology.largest(opened)
    volume_ml = np.count_nonzero(liver) * scan.cell_ml
    if not MIN_LIVER_ML <= volume_ml <= MAX_LIVER_ML:
        return nothing
    columns = np.count_nonzero(liver, axis=(0, 1))
    if columns[scan.x_mm < middle_x_mm].sum() < 0.6 * columns.sum():
        return nothing
    return morphology.closed(liver, 4.0, scan.spacing) & soft
