"""What the image alone tells of a split, or of two lesions that have grown together.

Both look at the voxels that are like lesion rather than like what surrounds it: smoothed HU on the
lesion's side of a level between the two medians. A lesion has split where these fall into pieces of
some size within its old place; two have grown together where a neck of them, wide against the
smaller lesion, joins what was apart before. Either is a proposal that a person confirms or refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import edt
import numpy as np
from scipy import ndimage

from irplan.geometry import BoolArray, FloatArray
from irplan.lesions.lesion import LesionMask
from irplan.volume import CtVolume

#: Where the level lies between surroundings (0) and lesion (1). A split must show a gap that is
#: deeper, a neck must be fuller, than halfway. Settings.
SPLIT_LEVEL = 0.4
NECK_LEVEL = 0.6
#: HU are smoothed by this before they are looked at, mm.
SMOOTH_MM = 1.0
#: The lesion's place reaches this far beyond its mask, mm; its surroundings up to the second.
PLACE_MM = 3.0
AROUND_MM = 8.0
#: The lesion's own HU are those that this share of its place exceeds, per cent.
TELLING = 10.0
#: Less contrast than this tells nothing, HU.
LEAST_CONTRAST_HU = 20.0
#: A piece holds at least this share of all that is like lesion, and this volume, mL.
LEAST_PIECE = 0.15
LEAST_PIECE_ML = 0.1
#: A piece lies in the lesion's old place with at least this share of its voxels.
LEAST_INSIDE = 0.6
#: A neck is at least this share of the smaller lesion's radius thick on every side of its middle.
NECK_SHARE = 0.35
#: Lesions farther apart than this were not joined by growing, mm.
NEAR_MM = 6.0


@dataclass(frozen=True)
class _Place:
    """A box around lesions.

    Attributes:
        start: (i, j, k) of its first voxel.
        masks: bool (z, y, x) of each lesion.
        like: 0 where the smoothed HU are those of the surroundings, 1 where the lesion's.
    """

    start: tuple[int, int, int]
    masks: tuple[BoolArray, ...]
    like: FloatArray


def pieces(scan: CtVolume, place: LesionMask, body: BoolArray) -> tuple[LesionMask, ...]:
    """The pieces into which a lesion has fallen; () where it is one.

    Args:
        scan: the newer scan.
        place: where the lesion lay, laid into the newer scan.
        body: bool (z, y, x), the patient in the newer scan.

    Returns:
        Two or more masks, the largest first.
    """
    here = _place(scan, (place,), body)
    if here is None:
        return ()
    spacing = scan.geometry.spacing_zyx_mm
    (mask,) = here.masks
    near = _away_mm(mask, spacing) <= PLACE_MM
    labels = cc3d.connected_components((here.like > SPLIT_LEVEL) & near, connectivity=6)
    counts = np.bincount(labels.ravel())[1:]
    if len(counts) < 2:
        return ()
    least = max(LEAST_PIECE * counts.sum(), LEAST_PIECE_ML / scan.geometry.voxel_ml)
    big = [number for number, count in enumerate(counts, start=1) if count >= least]
    big = [n for n in big if np.count_nonzero(mask & (labels == n)) >= LEAST_INSIDE * counts[n - 1]]
    if len(big) < 2:
        return ()
    # Parted by a cut through noise they would touch again at once: the gap must be a voxel wide.
    if cc3d.connected_components(np.isin(labels, big), connectivity=26, return_N=True)[1] < len(
        big
    ):
        return ()
    big.sort(key=lambda n: (-counts[n - 1], n))
    # The gap was looked for below halfway; the border of a piece lies there.
    return tuple(_mask((labels == n) & (here.like > 0.5), here.start, scan) for n in big)


def grown_together(
    scan: CtVolume, first: LesionMask, second: LesionMask, body: BoolArray
) -> LesionMask | None:
    """Both lesions and the neck between them as one mask; ``None`` where they are apart.

    Args:
        scan: on whose grid both masks lie.
        body: bool (z, y, x), the patient.
    """
    if not _boxes_near(first, second):
        return None
    here = _place(scan, (first, second), body)
    if here is None:
        return None
    spacing = scan.geometry.spacing_zyx_mm
    both = here.masks[0] | here.masks[1]
    reach = _away_mm(both, spacing) <= PLACE_MM
    joined = (here.like > NECK_LEVEL) & reach
    smaller_ml = min(first.voxel_volume_ml, second.voxel_volume_ml)
    radius = (smaller_ml * 1000.0 * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0)
    thick = NECK_SHARE * radius
    depth = edt.edt(joined.astype(np.uint8), anisotropy=spacing, black_border=True, parallel=1)
    cores = cc3d.connected_components(depth > thick, connectivity=26)
    shared = {*np.unique(cores[here.masks[0]])} & {*np.unique(cores[here.masks[1]])} - {0}
    if not shared:
        return None
    # The neck: what is near the joined core and like lesion, besides the lesions themselves.
    core = np.isin(cores, sorted(shared))
    neck = (_away_mm(core, spacing) <= thick) & joined
    return _mask(both | neck, here.start, scan)


def _place(scan: CtVolume, masks: Sequence[LesionMask], body: BoolArray) -> _Place | None:
    """The box around lesions; ``None`` where their contrast tells nothing."""
    grid = scan.geometry
    spacing = grid.spacing_zyx_mm
    room = [int(np.ceil(AROUND_MM / step)) + 1 for step in spacing]
    spans = [[one.slices_zyx[axis] for one in masks] for axis in range(3)]
    box = tuple(
        slice(
            max(0, min(span.start for span in along) - reach),
            min(size, max(span.stop for span in along) + reach),
        )
        for along, reach, size in zip(spans, room, scan.hu.shape, strict=True)
    )
    inside = []
    for one in masks:
        full = np.zeros(tuple(span.stop - span.start for span in box), dtype=bool)
        at = tuple(
            slice(own.start - outer.start, own.stop - outer.start)
            for own, outer in zip(one.slices_zyx, box, strict=True)
        )
        full[at] = one.voxels
        inside.append(full)
    every = np.logical_or.reduce(inside)
    hu = ndimage.gaussian_filter(
        scan.hu[box].astype(np.float32), [SMOOTH_MM / step for step in spacing], mode="nearest"
    )
    gap = _away_mm(every, spacing)
    shell = (gap > PLACE_MM) & (gap <= AROUND_MM) & body[box]
    if not shell.any():
        return None
    around = float(np.median(hu[shell]))
    # What is unlike the surroundings most: much of the place may be a gap by now.
    within = hu[every & body[box]]
    if not within.size:
        return None
    low, high = (float(value) for value in np.percentile(within, (TELLING, 100.0 - TELLING)))
    level = high if abs(high - around) >= abs(low - around) else low
    if abs(level - around) < LEAST_CONTRAST_HU:
        return None
    like: FloatArray = (hu - around) / (level - around)
    start = (box[2].start, box[1].start, box[0].start)
    return _Place(start, tuple(inside), like)


def _away_mm(mask: BoolArray, spacing: Sequence[float]) -> FloatArray:
    """Distance of every voxel from the true ones, mm."""
    out: FloatArray = edt.edt(
        (~mask).astype(np.uint8), anisotropy=tuple(spacing), black_border=False, parallel=1
    )
    return out


def _mask(inside: BoolArray, start: tuple[int, int, int], scan: CtVolume) -> LesionMask:
    spans = ndimage.find_objects(inside.astype(np.uint8))[0]
    first = tuple(low + span.start for low, span in zip(start, spans[::-1], strict=True))
    i, j, k = first
    return LesionMask(np.ascontiguousarray(inside[spans]), (i, j, k), scan.geometry)


def _boxes_near(first: LesionMask, second: LesionMask) -> bool:
    """Whether the boxes of two masks lie within :data:`NEAR_MM` of each other."""
    for one, other, step in zip(
        first.slices_zyx, second.slices_zyx, first.grid.spacing_zyx_mm, strict=True
    ):
        if max(one.start - other.stop, other.start - one.stop) * step > NEAR_MM:
            return False
    return True
