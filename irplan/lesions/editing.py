"""Editing a lesion's mask by hand: pure functions from one mask to the next.

Each takes a :class:`~irplan.lesions.lesion.LesionMask` and gives a new one (or ``None`` where
nothing is left); the old one is unchanged, so undo is a list of masks that the caller keeps, at the
memory of their boxes. Positions are LPS mm, lengths mm, on the CT grid of the mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage import segmentation

from irplan.geometry import BoolArray, FloatArray, GridGeometry, PointLps
from irplan.lesions.lesion import LesionMask
from irplan.volume import CtVolume

Window = tuple[int, int]


def paint_ball(
    mask: LesionMask,
    centre_lps_mm: PointLps,
    radius_mm: float,
    *,
    erase: bool = False,
    volume: CtVolume | None = None,
    window_hu: Window | None = None,
) -> LesionMask | None:
    """Add (or erase) the voxels whose centre lies within ``radius_mm``.

    Args:
        mask: what is edited.
        centre_lps_mm: middle of the brush.
        radius_mm: above 0; the voxel under the middle is always painted.
        erase: take voxels off instead.
        volume, window_hu: where both are given, only voxels with low <= HU <= high are touched.

    Raises:
        ValueError: the radius is not above 0, or a window comes without its CT.
    """
    return _paint(mask, centre_lps_mm, radius_mm, None, erase, volume, window_hu)


def paint_disc(
    mask: LesionMask,
    centre_lps_mm: PointLps,
    radius_mm: float,
    *,
    erase: bool = False,
    volume: CtVolume | None = None,
    window_hu: Window | None = None,
    through: int = 2,
) -> LesionMask | None:
    """As :func:`paint_ball`, in the one slice that the middle lies in.

    ``through`` is the grid axis (0 column, 1 row, 2 slice) that the slice cuts across.
    """
    return _paint(mask, centre_lps_mm, radius_mm, through, erase, volume, window_hu)


def _paint(
    mask: LesionMask,
    centre_lps_mm: PointLps,
    radius_mm: float,
    through: int | None,
    erase: bool,
    volume: CtVolume | None,
    window_hu: Window | None,
) -> LesionMask | None:
    if not radius_mm > 0:
        raise ValueError(f"a brush needs a radius above 0, not {radius_mm}")
    if (volume is None) != (window_hu is None):
        raise ValueError("a threshold window needs its CT, and the other way round")
    grid = mask.grid
    spacing = np.asarray(grid.spacing_mm)
    centre = grid.to_index(centre_lps_mm)
    nearest = np.rint(centre).astype(int)
    reach = np.floor(radius_mm / spacing).astype(int) + 1
    if through is not None:
        reach[through] = 0
    low = np.maximum(nearest - reach, 0)
    high = np.minimum(nearest + reach + 1, np.asarray(grid.size))
    if (high <= low).any():
        return mask
    spans = tuple(slice(int(low[axis]), int(high[axis])) for axis in (2, 1, 0))
    k, j, i = np.meshgrid(*(np.arange(span.start, span.stop) for span in spans), indexing="ij")
    offset = (np.stack([i, j, k], axis=-1) - centre) * spacing
    if through is not None:
        offset[..., through] = 0.0
    brush = np.linalg.norm(offset, axis=-1) <= radius_mm
    brush |= (i == nearest[0]) & (j == nearest[1]) & (k == nearest[2])
    if volume is not None and window_hu is not None:
        part = volume.hu[spans]
        brush &= (part >= window_hu[0]) & (part <= window_hu[1])
    if erase:
        return _changed(mask, spans, lambda old: old & ~brush)
    return _changed(mask, spans, lambda old: old | brush)


def new_ball(
    grid: GridGeometry, centre_lps_mm: PointLps, radius_mm: float, *, through: int | None = None
) -> LesionMask | None:
    """A first stroke of the brush, where there is no mask yet; ``None`` outside the scan.

    Args:
        grid: of the CT.
        centre_lps_mm, radius_mm: as for :func:`paint_ball`.
        through: ``None`` for a ball, or as for :func:`paint_disc`.

    Raises:
        ValueError: the radius is not above 0.
    """
    if not bool(grid.contains(centre_lps_mm)):
        return None
    last = np.asarray(grid.size) - 1
    i, j, k = np.clip(grid.nearest_index(centre_lps_mm), 0, last)
    seed = LesionMask(np.ones((1, 1, 1), dtype=bool), (int(i), int(j), int(k)), grid)
    return _paint(seed, centre_lps_mm, radius_mm, through, False, None, None)


def stroke(
    grid: GridGeometry,
    points_lps_mm: Sequence[PointLps],
    radius_mm: float,
    *,
    through: int | None = None,
) -> LesionMask | None:
    """What a brush covers that is drawn along points; ``None`` outside the scan.

    Between two points the brush is set down at least every half radius, so no gap is left.

    Args:
        grid, radius_mm, through: as for :func:`new_ball`.
        points_lps_mm: where the brush went, at least one.

    Raises:
        ValueError: the radius is not above 0, or there is no point.
    """
    if not points_lps_mm:
        raise ValueError("a stroke needs a point")
    way = [np.asarray(points_lps_mm[0], dtype=float)]
    for point in points_lps_mm[1:]:
        step = np.asarray(point, dtype=float) - way[-1]
        count = max(1, int(np.ceil(np.linalg.norm(step) / (0.5 * radius_mm))))
        start = way[-1]
        way += [start + step * number / count for number in range(1, count + 1)]
    covered: LesionMask | None = None
    for x, y, z in (spot.tolist() for spot in way):
        if covered is None:
            covered = new_ball(grid, (x, y, z), radius_mm, through=through)
        else:
            covered = _paint(covered, (x, y, z), radius_mm, through, False, None, None)
    return covered


def within_window(mask: LesionMask, volume: CtVolume, window_hu: Window) -> LesionMask | None:
    """The voxels of a mask with low <= HU <= high; ``None`` where there are none."""
    part = volume.hu[mask.slices_zyx]
    kept = mask.voxels & (part >= window_hu[0]) & (part <= window_hu[1])
    return _tight(kept, _start_zyx(mask), mask)


def fill_between_slices(mask: LesionMask) -> LesionMask:
    """Empty slices between drawn ones, filled by the shape halfway between their neighbours.

    The slices are those of the view that was drawn in: of the grid's three axes the one with the
    most empty slices between drawn ones; where two have as many, the scan's own slices. Signed
    distances to the two outlines are mixed in proportion (Raya and Udupa 1990).
    """
    gaps = [_empty_between(mask.voxels, axis) for axis in range(3)]
    across = int(np.argmax(gaps))
    filled = mask.voxels.copy()
    voxels = np.moveaxis(filled, across, 0)
    drawn = np.flatnonzero(voxels.any(axis=(1, 2)))
    spacing = mask.grid.spacing_zyx_mm
    row_column = tuple(step for axis, step in enumerate(spacing) if axis != across)
    for first, last in pairwise(drawn.tolist()):
        if last - first < 2:
            continue
        below = _signed_mm(voxels[first], row_column)
        above = _signed_mm(voxels[last], row_column)
        for number in range(first + 1, last):
            part = (number - first) / (last - first)
            voxels[number] = (1.0 - part) * below + part * above > 0
    return LesionMask(filled, mask.start, mask.grid)


def _empty_between(voxels: BoolArray, axis: int) -> int:
    """How many slices across an axis of (z, y, x) are empty between drawn ones."""
    others = tuple(other for other in range(3) if other != axis)
    drawn = np.flatnonzero(voxels.any(axis=others))
    return int(drawn[-1] - drawn[0] + 1 - len(drawn))


def smooth(mask: LesionMask, sigma_mm: float) -> LesionMask | None:
    """The border smoothed over about ``sigma_mm``; the volume is kept to within a voxel layer.

    The level of the smoothed mask is chosen so that the number of voxels stays the same, since a
    plain majority shrinks whatever is round.
    """
    pad = _pad_for(mask, 3.0 * sigma_mm)
    box, start = _padded(mask, pad)
    sigma = [sigma_mm / space for space in mask.grid.spacing_zyx_mm]
    field = ndimage.gaussian_filter(box.astype(np.float32), sigma, mode="constant")
    count = int(np.count_nonzero(box))
    level = float(np.partition(field.ravel(), field.size - count)[field.size - count])
    return _tight(field >= max(level, 1e-3), start, mask)


def grow(mask: LesionMask, distance_mm: float) -> LesionMask | None:
    """The mask grown (or, below 0, shrunk) by a distance in mm; ``None`` where nothing is left.

    A voxel belongs to the grown mask where its centre lies within the distance of a voxel centre
    of the mask; to the shrunk one where no voxel outside lies within it.
    """
    pad = _pad_for(mask, max(distance_mm, 0.0))
    box, start = _padded(mask, pad)
    sampling = mask.grid.spacing_zyx_mm
    if distance_mm >= 0:
        gap = ndimage.distance_transform_edt(~box, sampling=sampling)
        return _tight(gap <= distance_mm + 1e-9, start, mask)
    depth = ndimage.distance_transform_edt(np.pad(box, 1), sampling=sampling)[1:-1, 1:-1, 1:-1]
    return _tight(depth > -distance_mm + 1e-9, start, mask)


def keep_largest(mask: LesionMask) -> LesionMask:
    """Only the largest connected part (neighbours across a face)."""
    labels, count = ndimage.label(mask.voxels)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = _tight(labels == int(sizes.argmax()), _start_zyx(mask), mask)
    assert kept is not None
    return kept


def remove_islands(mask: LesionMask, smallest_ml: float) -> LesionMask | None:
    """The mask without connected parts smaller than ``smallest_ml``."""
    labels, _ = ndimage.label(mask.voxels)
    sizes = np.bincount(labels.ravel()) * mask.grid.voxel_ml
    keep = sizes >= smallest_ml
    keep[0] = False
    return _tight(keep[labels], _start_zyx(mask), mask)


def fill_holes(mask: LesionMask) -> LesionMask:
    """The mask with every cavity filled that it encloses in 3-D, or in one of its slices."""
    filled = ndimage.binary_fill_holes(mask.voxels)
    for number, flat in enumerate(filled):
        filled[number] = ndimage.binary_fill_holes(flat)
    return LesionMask(filled, mask.start, mask.grid)


def split(mask: LesionMask, seeds_lps_mm: Sequence[PointLps]) -> tuple[LesionMask, ...]:
    """Touching lesions parted at their waist: one mask for each seed, in their order.

    A watershed of the depth inside the mask runs from the seeds; every voxel goes to one part.

    Raises:
        ValueError: fewer than two seeds, a seed outside the mask, or two in one voxel.
    """
    if len(seeds_lps_mm) < 2:
        raise ValueError("a lesion is split between at least two points")
    markers: npt.NDArray[np.int32] = np.zeros(mask.voxels.shape, dtype=np.int32)
    for number, seed in enumerate(seeds_lps_mm, start=1):
        i, j, k = np.asarray(mask.grid.nearest_index(seed)) - np.asarray(mask.start)
        index = (int(k), int(j), int(i))
        inside = all(0 <= index[axis] < mask.voxels.shape[axis] for axis in range(3))
        if not inside or not mask.voxels[index]:
            raise ValueError(f"the point {seed} does not lie in the lesion")
        if markers[index]:
            raise ValueError("two of the points lie in one voxel")
        markers[index] = number
    depth = ndimage.distance_transform_edt(
        np.pad(mask.voxels, 1), sampling=mask.grid.spacing_zyx_mm
    )[1:-1, 1:-1, 1:-1]
    watershed: Callable[..., npt.NDArray[np.int32]] = segmentation.watershed
    labels = watershed(-depth, markers, mask=mask.voxels)
    parts = []
    for number in range(1, len(seeds_lps_mm) + 1):
        part = _tight(labels == number, _start_zyx(mask), mask)
        assert part is not None
        parts.append(part)
    return tuple(parts)


def union(first: LesionMask, second: LesionMask) -> LesionMask:
    """The voxels of either mask, on one grid.

    Raises:
        ValueError: the grids differ.
    """
    if not first.grid.same_grid(second.grid):
        raise ValueError("the masks lie on different grids")
    joined = _changed(first, second.slices_zyx, lambda old: old | second.voxels)
    assert joined is not None
    return joined


def minus(first: LesionMask | None, second: LesionMask | None) -> LesionMask | None:
    """The voxels of the first mask that the second lacks; ``None`` where there are none.

    Raises:
        ValueError: the grids differ.
    """
    if first is None or second is None:
        return first
    if not first.grid.same_grid(second.grid):
        raise ValueError("the masks lie on different grids")
    spans = []
    for one, other in zip(first.slices_zyx, second.slices_zyx, strict=True):
        low, high = max(one.start, other.start), min(one.stop, other.stop)
        if low >= high:
            return first
        spans.append((low, high))
    kept = first.voxels.copy()
    own = tuple(
        slice(low - at.start, high - at.start)
        for (low, high), at in zip(spans, first.slices_zyx, strict=True)
    )
    there = tuple(
        slice(low - at.start, high - at.start)
        for (low, high), at in zip(spans, second.slices_zyx, strict=True)
    )
    kept[own] &= ~second.voxels[there]
    return _tight(kept, _start_zyx(first), first)


# ---------------------------------------------------------------------------------------- boxes


def _start_zyx(mask: LesionMask) -> tuple[int, int, int]:
    i, j, k = mask.start
    return k, j, i


def _signed_mm(flat: BoolArray, sampling: tuple[float, ...]) -> FloatArray:
    """Distance to the border of a slice's mask, above 0 inside; mm."""
    inside: FloatArray = ndimage.distance_transform_edt(np.pad(flat, 1), sampling=sampling)
    outside: FloatArray = ndimage.distance_transform_edt(~flat, sampling=sampling)
    return np.asarray(inside[1:-1, 1:-1] - outside, dtype=float)


def _pad_for(mask: LesionMask, reach_mm: float) -> tuple[int, int, int]:
    z, y, x = (int(np.ceil(reach_mm / space)) + 1 for space in mask.grid.spacing_zyx_mm)
    return z, y, x


def _padded(mask: LesionMask, pad: tuple[int, int, int]) -> tuple[BoolArray, tuple[int, int, int]]:
    """The box with a margin that ends at the scan's edge, and its start (z, y, x)."""
    start, length, whole = _start_zyx(mask), mask.voxels.shape, mask.grid.shape_zyx
    low = [max(0, start[axis] - pad[axis]) for axis in range(3)]
    high = [min(whole[axis], start[axis] + length[axis] + pad[axis]) for axis in range(3)]
    box = np.zeros([high[axis] - low[axis] for axis in range(3)], dtype=bool)
    inner = tuple(
        slice(start[axis] - low[axis], start[axis] - low[axis] + length[axis]) for axis in range(3)
    )
    box[inner] = mask.voxels
    return box, (low[0], low[1], low[2])


def _changed(
    mask: LesionMask,
    spans: tuple[slice, ...],
    change: Callable[[BoolArray], BoolArray],
) -> LesionMask | None:
    """The mask with the voxels in ``spans`` (z, y, x of the CT) changed."""
    own = mask.slices_zyx
    low = [min(one.start, other.start) for one, other in zip(own, spans, strict=True)]
    high = [max(one.stop, other.stop) for one, other in zip(own, spans, strict=True)]
    box = np.zeros([stop - start for start, stop in zip(low, high, strict=True)], dtype=bool)
    inner = tuple(slice(s.start - at, s.stop - at) for s, at in zip(own, low, strict=True))
    there = tuple(slice(s.start - at, s.stop - at) for s, at in zip(spans, low, strict=True))
    box[inner] = mask.voxels
    box[there] = change(box[there])
    return _tight(box, (low[0], low[1], low[2]), mask)


def _tight(
    box: npt.NDArray[np.bool_], start_zyx: tuple[int, int, int], mask: LesionMask
) -> LesionMask | None:
    """The smallest box of the true voxels of ``box``, which starts at ``start_zyx``."""
    found = ndimage.find_objects(np.asarray(box, dtype=np.uint8))
    if not found:
        return None
    spans = found[0]
    k, j, i = (first + span.start for first, span in zip(start_zyx, spans, strict=True))
    return LesionMask(np.ascontiguousarray(box[spans], dtype=bool), (i, j, k), mask.grid)
