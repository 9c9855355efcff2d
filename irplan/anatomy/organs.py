"""Large soft organs: the heart around its contrast-filled chambers, liver, spleen, kidneys.

Each is given only where place, size and evenness fit; otherwise it stays unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from scipy import ndimage

from irplan.anatomy import morphology
from irplan.anatomy.air import Air, between_lungs
from irplan.anatomy.coarse import CoarseScan
from irplan.anatomy.dense import Dense
from irplan.anatomy.spine import Spine
from irplan.geometry import BoolArray

#: Chambers or great vessels that the contrast makes look like bone hold a ball this large, mm.
CHAMBER_RADIUS_MM = 9.0
#: The wall of the heart: tissue between and around its chambers up to this far, mm.
HEART_WALL_MM = 12.0
#: What contrast fills between the lungs belongs to the heart this near to a chamber, mm, ...
HEART_REACH_MM = 35.0
#: ... and this far in front of the spinal canal: nearer run the aorta and the azygos vein.
HEART_FROM_CANAL_MM = 65.0
#: The heart is no higher than this; what lies above are the great vessels, mm.
HEART_HEIGHT_MM = 110.0
#: A main bronchus shows at least this area, mm²: above where they part lie the great vessels.
BRONCHUS_MM2 = 40.0
#: The heart holds a ball of this radius where it rests on the liver; the liver's veins and the
#: cava do not, and are closed over by the liver with twice the other one, mm.
HEART_RADIUS_MM = 22.0
HEART_FLOOR_MM = 5.0
LIVER_VEIN_MM = 16.0
#: The liver is even: this far from its most frequent attenuation, HU.
LIVER_SPREAD_HU = 28
#: Bridges to neighbours thinner than twice this are cut, mm.
LIVER_OPENING_MM = 9.0
#: The liver lies no farther than this below the lung, mm, and to the side no farther than this
#: beyond the lungs, mm: arm and shoulder lie there.
LIVER_BELOW_LUNG_MM = 180.0
BESIDE_LUNG_MM = 15.0
MIN_LIVER_ML = 400.0
MAX_LIVER_ML = 4500.0
#: The liver's dome lies under the lung: this share of its upper half has lung near, ...
DOME_SHARE = 0.02
#: ... that is within this distance, mm.
DOME_MM = 12.0
#: The spleen: less even than the liver in early contrast; its size; how far behind the canal's
#: front it may begin; how far below the left lung it reaches.
SPLEEN_OPENING_MM = 7.0
SPLEEN_ML = (40.0, 900.0)
SPLEEN_FRONT_MM = 50.0
SPLEEN_BELOW_LUNG_MM = 90.0
#: Kidneys: place beside and in front of the canal, mm; size, mL; brighter than muscle by, HU.
KIDNEY_SIDE_MM = (22.0, 110.0)
KIDNEY_FRONT_MM = (-25.0, 85.0)
KIDNEY_ML = (40.0, 450.0)
KIDNEY_GAP_MM = 10.0
KIDNEY_BELOW_LUNG_MM = 220.0
#: Lungs that the scan's lower end cuts while wider than this show that it ends above the kidneys.
CUT_LUNG_MM2 = 6000.0

#: Fluid at the liver (gallbladder, cyst, filled stomach or duodenum): its attenuation, HU; how near
#: to the liver; thinner seams are partial volume of fat and liver, mm; its size, mL. More of it is
#: fluid around the organs.
FLUID_HU = (-12.0, 38.0)
FLUID_NEAR_MM = 8.0
FLUID_OPENING_MM = 4.0
FLUID_ML = (2.0, 250.0)
#: Its wall, and cells at its edge that are half liver, mm.
FLUID_EDGE_MM = 3.0


@dataclass(frozen=True)
class Heart:
    """The heart, the contrast-filled vessels above and behind it, and what stays of the bone."""

    heart: BoolArray
    vessels: BoolArray
    bone: BoolArray


def find_heart(scan: CoarseScan, air: Air, dense: Dense, liver: BoolArray) -> Heart:
    """The heart with the great vessels at it told apart by height, and what stays of the bone.

    Contrast that is still mixing makes chambers uneven, like spongy bone. What is as thick as a
    chamber, lies between both lungs and in front of their middle is heart, not bone: vertebrae lie
    behind it, the sternum is thinner.
    """
    nothing = scan.none
    if not air.lung_left.any() or not air.lung_right.any():
        return Heart(nothing, nothing, dense.bone)
    lung = air.lung
    between = between_lungs(scan, air)
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
        return Heart(nothing, nothing, dense.bone)
    near = morphology.grown(chambers, HEART_REACH_MM, scan.spacing)
    chambers |= (dense.vessels | dense.blobs) & between & front & near
    heart_zone = _heart_zone(scan, chambers, dense.spine)
    carina = _carina(scan, air.airway)
    if carina is not None:
        heart_zone = heart_zone & (np.arange(scan.shape[0]) < carina)[:, None, None]
    wide = morphology.opened(chambers & heart_zone, HEART_RADIUS_MM, scan.spacing)
    floor = np.flatnonzero(wide.any(axis=(1, 2)))
    if floor.size:  # below it runs the cava
        low = int(floor[0]) - scan.cells(HEART_FLOOR_MM, 0)
        heart_zone = heart_zone & (np.arange(scan.shape[0]) >= low)[:, None, None]
    if liver.any():
        # Below the domes run the veins of the liver and the cava. The heart itself rests on the
        # liver, and is much wider than they are.
        veins = morphology.closed(liver, LIVER_VEIN_MM, scan.spacing) & ~wide
        heart_zone = heart_zone & ~veins
    core = chambers & heart_zone
    wall = morphology.closed(core, HEART_WALL_MM, scan.spacing)
    wall |= morphology.grown(core, HEART_WALL_MM / 2, scan.spacing)
    bone = dense.bone & ~inside
    soft = scan.inside & (scan.smooth > 0) & ~lung & ~bone & ~air.airway & heart_zone
    return Heart(core | (wall & soft), chambers & ~heart_zone, bone)


def _carina(scan: CoarseScan, airway: BoolArray) -> int | None:
    """The highest layer of two main bronchi below a windpipe, else the lowest of the airway.

    None where no airway is seen.
    """
    layers = np.flatnonzero(airway.any(axis=(1, 2)))
    pixel_mm2 = scan.spacing[1] * scan.spacing[2]
    for layer in layers[::-1]:
        cells = np.ascontiguousarray(airway[layer], np.uint8)
        sizes = np.bincount(cc3d.connected_components(cells, connectivity=4).ravel())[1:]
        if np.count_nonzero(sizes * pixel_mm2 >= BRONCHUS_MM2) >= 2:
            return int(layer)
    return int(layers[0]) if layers.size else None


def _heart_zone(scan: CoarseScan, chambers: BoolArray, spine: Spine) -> BoolArray:
    """Where the heart can lie: low enough, and far enough in front of the spine."""
    area = np.count_nonzero(chambers, axis=(1, 2)) * scan.spacing[1] * scan.spacing[2]
    layers = np.flatnonzero(area >= 0.35 * area.max(initial=0.0))
    zone = np.zeros(scan.shape[:2], dtype=bool)
    if layers.size == 0:
        return np.broadcast_to(zone[:, :, None], scan.shape)
    # The height is counted from the lowest wide section.
    zone[: int(layers[0]) + scan.cells(HEART_HEIGHT_MM, 0)] = True
    behind = scan.y_mm[None, :] - np.where(spine.known, spine.y_mm, np.inf)[:, None]
    zone &= behind < -HEART_FROM_CANAL_MM
    return np.broadcast_to(zone[:, :, None], scan.shape)


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


def _front_of_lungs(scan: CoarseScan, lung: BoolArray) -> BoolArray:
    """Cells in front of the middle of the lungs of their slice."""
    row_weight = np.count_nonzero(lung, axis=2).astype(float)
    total = np.maximum(row_weight.sum(axis=1), 1.0)
    rows = np.arange(scan.shape[1])
    middle = (row_weight * rows).sum(axis=1) / total
    front = rows[None, :] < middle[:, None]
    return np.broadcast_to(front[:, :, None], scan.shape)


def _below(scan: CoarseScan, lung: BoolArray, reach_mm: float) -> BoolArray:
    """Slices from the middle of a lung to ``reach_mm`` below its lower end, as (z, 1, 1).

    A lung that the lower end of the scan cuts while still wide shows nothing below it.
    """
    levels = np.zeros(scan.shape[0], dtype=bool)
    hits = np.flatnonzero(lung.any(axis=(1, 2)))
    if hits.size:
        levels[max(0, int(hits[0]) - scan.cells(reach_mm, 0)) : int(hits.mean()) + 1] = True
    return levels[:, None, None]


def _beside(scan: CoarseScan, lung: BoolArray) -> BoolArray:
    """Columns that the lungs reach, and a little more, as (1, 1, x)."""
    hits = np.flatnonzero(lung.any(axis=(0, 1)))
    if hits.size == 0:
        return np.ones((1, 1, scan.shape[2]), dtype=bool)
    low = scan.x_mm[hits[0]] - BESIDE_LUNG_MM
    high = scan.x_mm[hits[-1]] + BESIDE_LUNG_MM
    return np.asarray((scan.x_mm >= low) & (scan.x_mm <= high))[None, None, :]


def _within(scan: CoarseScan, lung: BoolArray) -> BoolArray:
    """The box of the lungs to the sides and to the back: muscle of the chest wall lies outside."""
    columns = np.flatnonzero(lung.any(axis=(0, 1)))
    rows = np.flatnonzero(lung.any(axis=(0, 2)))
    zone = np.zeros((1, scan.shape[1], scan.shape[2]), dtype=bool)
    zone[0, : int(rows[-1]), int(columns[0]) + 1 : int(columns[-1])] = True
    return zone


def _under_lung(piece: BoolArray, lung: BoolArray, scan: CoarseScan) -> bool:
    """Whether the upper half of an organ lies against the lung, as liver and spleen do."""
    layers = np.flatnonzero(piece.any(axis=(1, 2)))
    upper = piece[int(layers.mean()) :]
    near = morphology.grown(lung, DOME_MM, scan.spacing)[int(layers.mean()) :]
    return bool(np.count_nonzero(upper & near) >= DOME_SHARE * np.count_nonzero(upper))


def find_liver(scan: CoarseScan, air: Air, taken: BoolArray, middle_mm: float) -> BoolArray:
    """The liver: the largest even piece of soft tissue of the right side; empty where unsure."""
    nothing = scan.none
    soft = scan.inside & (scan.smooth > 20) & (scan.smooth < 200) & ~taken & _beside(scan, air.lung)
    core = morphology.shrunk(soft, LIVER_OPENING_MM, scan.spacing)
    right = core & (scan.x_mm < middle_mm)[None, None, :]
    if air.lung_right.any():
        right &= _below(scan, air.lung_right, LIVER_BELOW_LUNG_MM)
    if not right.any():
        return nothing
    liver = _even_piece(scan, soft, right, LIVER_OPENING_MM, LIVER_SPREAD_HU)
    volume_ml = np.count_nonzero(liver) * scan.cell_ml
    if not MIN_LIVER_ML <= volume_ml <= MAX_LIVER_ML:
        return nothing
    columns = np.count_nonzero(liver, axis=(0, 1))
    if columns[scan.x_mm < middle_mm].sum() < 0.6 * columns.sum():
        return nothing
    if air.lung_right.any() and not _under_lung(liver, air.lung_right, scan):
        return nothing
    return morphology.closed(liver, 4.0, scan.spacing) & soft


def find_fluid(scan: CoarseScan, liver: BoolArray, taken: BoolArray) -> BoolArray:
    """Fluid in and at the liver that is no thin seam: what a gallbladder looks like.

    A cyst or a filled bowel loop looks the same; none of them is a way for a needle.
    """
    if not liver.any():
        return scan.none
    near = morphology.grown(liver, FLUID_NEAR_MM, scan.spacing)
    fluid = scan.inside & (scan.smooth > FLUID_HU[0]) & (scan.smooth < FLUID_HU[1]) & ~taken
    # Looked at where it begins near the liver, and followed as far as it goes.
    core = morphology.shrunk(fluid, FLUID_OPENING_MM, scan.spacing)
    labels, count = morphology.components(core)
    touching = np.zeros(count + 1, dtype=bool)
    touching[np.unique(labels[near & core])] = True
    touching[0] = False
    pieces = morphology.grown(touching[labels], FLUID_OPENING_MM, scan.spacing) & fluid
    labels, count = morphology.components(pieces)
    volume = np.bincount(labels.ravel(), minlength=count + 1) * scan.cell_ml
    fits = (volume >= FLUID_ML[0]) & (volume <= FLUID_ML[1])
    fits[0] = False
    # The wall and the edge cells, half liver, belong to it.
    return morphology.grown(fits[labels], FLUID_EDGE_MM, scan.spacing) & scan.inside & ~taken


def find_spleen(
    scan: CoarseScan, air: Air, taken: BoolArray, spine: Spine, middle_mm: float
) -> BoolArray:
    """The spleen: even tissue under the back of the left lung; empty where unsure."""
    nothing = scan.none
    if not air.lung_left.any():
        return nothing
    soft = scan.inside & (scan.smooth > 10) & (scan.smooth < 220) & ~taken & _within(scan, air.lung)
    core = morphology.shrunk(soft, SPLEEN_OPENING_MM, scan.spacing)
    layers = np.flatnonzero(spine.known)
    y = float(np.nanmedian(spine.y_mm)) if layers.size else float(scan.y_mm.mean())
    left = core & (scan.x_mm > middle_mm + 35.0)[None, None, :]
    left &= (scan.y_mm > y - SPLEEN_FRONT_MM)[None, :, None]
    left &= _below(scan, air.lung_left, SPLEEN_BELOW_LUNG_MM)
    left &= morphology.grown(air.lung_left, 40.0, scan.spacing)
    if not left.any():
        return nothing
    spleen = _even_piece(scan, soft, left, SPLEEN_OPENING_MM, LIVER_SPREAD_HU)
    volume_ml = np.count_nonzero(spleen) * scan.cell_ml
    columns = np.count_nonzero(spleen, axis=(0, 1))
    if not SPLEEN_ML[0] <= volume_ml <= SPLEEN_ML[1]:
        return nothing
    if columns[scan.x_mm > middle_mm].sum() < 0.95 * columns.sum():
        return nothing
    if not _under_lung(spleen, air.lung_left, scan):
        return nothing
    return morphology.closed(spleen, 4.0, scan.spacing) & soft


def _even_piece(
    scan: CoarseScan,
    soft: BoolArray,
    place: BoolArray,
    opening_mm: float,
    spread_hu: float,
) -> BoolArray:
    """The largest piece of soft tissue near the most frequent attenuation of a place.

    Only pieces that lie in the place at least in part count.
    """
    smooth = scan.even
    counts, edges = np.histogram(smooth[place], bins=np.arange(10, 224, 4))
    mode = float(edges[int(np.argmax(counts))]) + 2.0
    even = soft & (np.abs(smooth - mode) < spread_hu)
    pieces = morphology.opened(even, opening_mm, scan.spacing)
    labels, count = morphology.components(pieces)
    if count == 0:
        return pieces
    held = np.bincount(labels[place & pieces], minlength=count + 1)
    held[0] = 0
    return np.asarray(labels == int(np.argmax(held))) & (int(held.max()) > 0)


def find_kidneys(
    scan: CoarseScan, dense: Dense, air: Air, contrast: BoolArray
) -> tuple[BoolArray, BoolArray]:
    """Left and right kidney where contrast shows their cortex; empty where unsure.

    Args:
        scan: the scan.
        dense: for the canal.
        air: for the level of the lungs.
        contrast: cells filled by contrast and not known to be heart or aorta.
    """
    spine = dense.spine
    if not spine.known.any():
        return scan.none, scan.none
    behind = scan.y_mm[None, :] - spine.y_mm[:, None]
    along = (behind > -KIDNEY_FRONT_MM[1]) & (behind < -KIDNEY_FRONT_MM[0])
    aside = scan.x_mm[None, :] - spine.x_mm[:, None]
    levels = np.ones(scan.shape[0], dtype=bool)
    hits = np.flatnonzero(air.lung.any(axis=(1, 2)))
    if hits.size and hits[0] == 0:
        cut_mm2 = np.count_nonzero(air.lung[0]) * scan.spacing[1] * scan.spacing[2]
        if cut_mm2 > CUT_LUNG_MM2:
            return scan.none, scan.none
    if hits.size:
        low = int(hits[0]) - scan.cells(KIDNEY_BELOW_LUNG_MM, 0)
        levels[:] = False
        levels[max(0, low) : int(hits[0]) + scan.cells(60.0, 0)] = True
    found = []
    for sign in (1.0, -1.0):
        across = (sign * aside > KIDNEY_SIDE_MM[0]) & (sign * aside < KIDNEY_SIDE_MM[1])
        window = along[:, :, None] & across[:, None, :] & levels[:, None, None]
        cortex = morphology.large_pieces(contrast & window, 8.0 / scan.cell_ml)
        whole = morphology.closed(cortex, KIDNEY_GAP_MM, scan.spacing)
        whole |= morphology.holes_by_plane(whole)
        whole &= scan.inside & window & (scan.smooth > -30)
        kidney = morphology.largest(morphology.opened(whole, 5.0, scan.spacing))
        kidney |= morphology.grown(kidney, 8.0, scan.spacing) & cortex
        volume_ml = np.count_nonzero(kidney) * scan.cell_ml
        fits = KIDNEY_ML[0] <= volume_ml <= KIDNEY_ML[1]
        found.append(kidney if fits else scan.none)
    return found[0], found[1]
