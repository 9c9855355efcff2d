"""The patient's outline in a CT: the skin that depths are measured from and paths start at.

In: a :class:`~irplan.volume.CtVolume`. Out: a boolean array (z, y, x) on its grid, true for the
patient. Table, lines and clothes are off; lungs, airways and bowel gas are in.

The work is done twice: on a grid of about 4 mm, where thin things (the shells of a couch, tubes,
sheets) are opened away and cavities are closed, and then at full resolution in a narrow band
around that coarse outline, where the border is put at :data:`SKIN_HU`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cc3d
import edt
import numba
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.balls import by_slabs
from irplan.geometry import BoolArray, GridGeometry
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume, HuArray

#: Border of the skin: halfway between air (-1000 HU) and skin and fat (about -50 HU), so that the
#: partial volume of the border voxels falls evenly on both sides.
SKIN_HU = -500
#: Spacing of the coarse grid, mm.
COARSE_MM = 4.0
#: On the coarse grid a voxel is tissue from this mean on: the 1-3 mm shells of a couch and its foam
#: stay below it mostly, fat and skin do not.
COARSE_TISSUE_HU = -400
#: Before cavities are closed, only what is thinner than twice this goes (shells, tubes, cloth): the
#: chest wall of a thin patient must hold, mm.
SHELL_MM = 5.0
#: Once they are closed, what is thinner than twice this is not the body (couch, headrest), mm.
OPENING_MM = 13.0
#: Air that touches the side of the field is outside the patient where its median is below this;
#: lung that the field cuts lies above it (-880 to -700 HU).
OUTSIDE_AIR_HU = -890
#: Mean HU of fat, for scans whose HU were cut off (a file made from a display window); and from
#: which share of voxels at the lowest value on that is taken to have happened.
FAT_HU = -70
CLIPPED_SHARE = 0.01
#: A part of the body (a leg, an arm) is kept from this share of the largest part on.
PART_SHARE = 0.01
#: ... and where a ball of this radius fits in it, mm: in a forearm, not in a headrest's block.
LIMB_RADIUS_MM = 16.0
#: The opened outline is grown back by 1.5 times the radius inside the tissue, so that an ear, a
#: breast fold or a nodule of the skin is not cut off.
#: A regrown part is dropped where its second longest side is above this: an ear, a fold or a
#: nodule of the skin is narrower, the table and the blocks of a headrest are not, mm.
FLAT_PART_MM = 70.0
#: ... or where it is a board of a headrest: thinner, wider and longer than these, mm.
BOARD_MM = (32.0, 36.0, 90.0)
#: The couch's top is looked for this far below the skin, mm; it is denser than air and foam, HU.
TABLE_BELOW_MM = 60.0
TABLE_HU = -780
#: ... this far to either side of the patient's middle: many couches are troughs, mm.
TABLE_MIDDLE_MM = 25.0
#: It is seen where this share of the slices shows it within this distance of one height, mm.
TABLE_SHARE = 0.6
TABLE_SPREAD_MM = 3.0


def find_body(volume: CtVolume, task: Task = SILENT) -> BoolArray:
    """The patient without table and lines, lungs and bowel gas filled in.

    Args:
        volume: the CT, any orientation of its grid.
        task: progress and cancelling.

    Returns:
        bool (z, y, x) on the grid of ``volume``. All false where the scan holds no tissue.
    """
    steps = 4
    task.step(0, steps)
    factors = _factors(volume.geometry)
    coarse_hu = _block_mean(volume.hu, factors)
    spacing_mm = [
        space * factor
        for space, factor in zip(volume.geometry.spacing_zyx_mm, factors, strict=True)
    ]
    clip_hu = _clip_hu(volume.hu)
    axial_axis = _axial_axis(volume.geometry)
    tissue = coarse_hu > _threshold(COARSE_TISSUE_HU, clip_hu)
    task.step(1, steps)
    walls = _without_thin_parts(tissue, spacing_mm, SHELL_MM)
    solid = _filled(walls, coarse_hu, axial_axis, _threshold(OUTSIDE_AIR_HU, clip_hu))
    task.step(2, steps)
    coarse = _without_thin_parts(solid, spacing_mm, OPENING_MM)
    task.step(3, steps)
    body = _refined(volume.hu, coarse, factors, _threshold(SKIN_HU, clip_hu), axial_axis)
    task.step(steps, steps)
    return body


@dataclass(frozen=True)
class TableTop:
    """The plane of the couch that the patient rests on, as the scan shows it.

    Attributes:
        height_mm: p·x of the plane where the patient lies on it, p the unit vector straight down,
            LPS mm: for a patient on the back with y to the back, its LPS y.
        seen_share: the share of the slices in which it was seen at that height, 0 to 1.
        spread_mm: distance within which nine tenths of the slices agree with it.
    """

    height_mm: float
    seen_share: float
    spread_mm: float


def table_top(
    volume: CtVolume, body: BoolArray, down_lps: tuple[float, float, float]
) -> TableTop | None:
    """Where the couch's top lies under the middle of the patient; None where it is not seen.

    Under the lowest skin of each slice, in the middle of the patient, the first matter that is no
    air is looked for: the shell of a couch or the cover of a mattress. A trough counts at its
    deepest. A couch below the field of view, or one that is not flat along the patient, is not
    seen: nothing is then to be set by it.

    Args:
        volume: the CT.
        body: from :func:`find_body`, (z, y, x).
        down_lps: unit vector straight down, LPS; an axis of the grid must lie within 10° of it.
    """
    grid = volume.geometry
    down = np.asarray(down_lps, dtype=float)
    parts = grid.axes.T @ (down / np.linalg.norm(down))
    column = int(np.argmax(np.abs(parts)))
    along = _axial_axis(grid)
    if abs(parts[column]) < np.cos(np.radians(10.0)) or 2 - column == along:
        return None
    order = (along, 2 - column, 3 - along - (2 - column))
    turned = volume.hu.transpose(order), body.transpose(order)
    if parts[column] < 0:
        turned = turned[0][:, ::-1], turned[1][:, ::-1]
    steps = (grid.spacing_zyx_mm[order[1]], grid.spacing_zyx_mm[order[2]])
    rows = _table_rows(*turned, steps)
    seen = np.flatnonzero(rows >= 0)
    slices = int(np.count_nonzero(body.any(axis=(order[1], order[2]))))
    if seen.size == 0 or seen.size < TABLE_SHARE * slices:
        return None
    size = turned[0].shape[1]
    index = np.zeros((seen.size, 3))
    index[:, 2 - order[0]] = seen
    index[:, column] = rows[seen] if parts[column] > 0 else size - 1 - rows[seen]
    across = np.flatnonzero(body.any(axis=(along, order[1])))
    index[:, 2 - order[2]] = across.mean()
    # The upper face of the row, not its middle.
    heights = np.asarray(grid.to_lps(index) @ down) - grid.spacing_zyx_mm[order[1]] / 2
    middle = float(np.median(heights))
    gap = np.abs(heights - middle)
    share = float(np.count_nonzero(gap <= TABLE_SPREAD_MM)) / float(slices)
    if share < TABLE_SHARE:
        return None
    return TableTop(middle, min(1.0, share), float(np.percentile(gap, 90)))


def _table_rows(
    hu: HuArray, body: BoolArray, steps_mm: tuple[float, float]
) -> npt.NDArray[np.int64]:
    """For every slice the first row of the couch under the patient; -1 where none is seen.

    Args:
        hu, body: (slices, rows going down, columns).
        steps_mm: between rows and between columns.
    """
    found = np.full(hu.shape[0], -1, dtype=np.int64)
    most = int(np.ceil(TABLE_BELOW_MM / steps_mm[0]))
    half = int(np.ceil(TABLE_MIDDLE_MM / steps_mm[1]))
    for number, flat in enumerate(body):
        columns = np.flatnonzero(flat.any(axis=0))
        if columns.size == 0:
            continue
        centre = int(columns[0] + columns[-1]) // 2
        middle = slice(max(0, centre - half), centre + half + 1)
        held = np.flatnonzero(flat[:, middle].any(axis=1))
        if held.size == 0:
            continue
        lowest = int(held[-1])
        below = hu[number, lowest + 1 : lowest + 1 + most, middle] > TABLE_HU
        # A tube or a line covers few of the columns, a couch all.
        rows = np.flatnonzero(np.count_nonzero(below, axis=1) >= 0.5 * below.shape[1])
        if rows.size:
            found[number] = lowest + 1 + rows[0]
    return found


def _factors(grid: GridGeometry) -> tuple[int, int, int]:
    """How many voxels along (z, y, x) make one coarse voxel."""
    z, y, x = (
        min(max(1, round(COARSE_MM / space)), size)
        for space, size in zip(grid.spacing_zyx_mm, grid.shape_zyx, strict=True)
    )
    return z, y, x


def _axial_axis(grid: GridGeometry) -> int:
    """The array axis (0, 1, 2) that runs most nearly from foot to head."""
    return 2 - int(np.argmax(np.abs(grid.axes[2])))


def _clip_hu(hu: HuArray) -> int | None:
    """The value at which the stored HU were cut off from below inside soft tissue, or ``None``."""
    lowest = int(hu.min())
    if lowest <= COARSE_TISSUE_HU:
        return None
    share = float(np.mean(hu == lowest))
    return lowest if CLIPPED_SHARE < share < 1.0 - CLIPPED_SHARE else None


def _threshold(normal_hu: int, clip_hu: int | None) -> int:
    """The threshold, or halfway between the cut-off and fat where air was cut off above it."""
    return normal_hu if clip_hu is None else (clip_hu + FAT_HU) // 2


def _block_mean(hu: HuArray, factors: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    """Mean HU over blocks; the last block of an axis may be smaller."""
    shape = tuple(-(-size // factor) for size, factor in zip(hu.shape, factors, strict=True))
    means = np.empty(shape, dtype=np.float32)
    steps = np.array(factors, dtype=np.int64)
    by_slabs(lambda low, high: _mean_of_blocks(hu, steps, means, low, high), 0, shape[0])
    return means


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _mean_of_blocks(hu: Any, steps: Any, means: Any, low: int, high: int) -> None:
    for cz in range(low, high):
        z0, z1 = cz * steps[0], min((cz + 1) * steps[0], hu.shape[0])
        for cy in range(means.shape[1]):
            y0, y1 = cy * steps[1], min((cy + 1) * steps[1], hu.shape[1])
            for cx in range(means.shape[2]):
                x0, x1 = cx * steps[2], min((cx + 1) * steps[2], hu.shape[2])
                total = 0
                for z in range(z0, z1):
                    for y in range(y0, y1):
                        for x in range(x0, x1):
                            total += hu[z, y, x]
                means[cz, cy, cx] = total / ((z1 - z0) * (y1 - y0) * (x1 - x0))


def _distance_mm(mask: BoolArray, spacing_mm: list[float]) -> npt.NDArray[np.float32]:
    """Distance of every true voxel to the nearest false one; the field's edge is no border."""
    distance: npt.NDArray[np.float32] = edt.edt(
        np.ascontiguousarray(mask), anisotropy=tuple(spacing_mm), black_border=False, parallel=2
    )
    return distance


def _without_thin_parts(tissue: BoolArray, spacing_mm: list[float], opening_mm: float) -> BoolArray:
    """Tissue opened by a ball, its large parts grown back a little into the tissue they came from.

    The opening works on distances, which know no field edge: a body cut by the field keeps its
    full width there.
    """
    if tissue.all() or not tissue.any():
        return tissue
    depth_mm = _distance_mm(tissue, spacing_mm)
    core = depth_mm > opening_mm
    if not core.any():  # a small or thin object: nothing may be taken off
        return _large_parts(tissue, None)
    # Parts are told apart by their cores: a headrest that touches the shoulders has its own.
    core = _large_parts(core, depth_mm)
    kept = tissue & (_distance_mm(~core, spacing_mm) <= opening_mm + max(spacing_mm) / 2)
    grown = tissue & (_distance_mm(~kept, spacing_mm) <= 1.5 * opening_mm)
    # What is thin and long (a couch beside the body) is again off; what bulges from it stays.
    labels, _ = ndimage.label(grown & ~kept & _touching(grown, kept))
    sizes = np.bincount(labels.ravel())
    flat = _flat_parts(labels, sizes, kept, spacing_mm)
    body: BoolArray = kept | ((labels > 0) & ~flat[labels])
    return body


def _touching(mask: BoolArray, seed: BoolArray) -> BoolArray:
    """The connected parts of ``mask`` that hold a voxel of ``seed``."""
    labels, count = ndimage.label(mask)
    hit = np.zeros(count + 1, dtype=bool)
    hit[np.unique(labels[seed])] = True
    hit[0] = False
    parts: BoolArray = hit[labels]
    return parts


def _flat_parts(
    labels: npt.NDArray[np.int32],
    sizes: npt.NDArray[np.int64],
    kept: BoolArray,
    spacing_mm: list[float],
) -> BoolArray:
    """Which labelled appendages reach far along the body: table and lines, not skin.

    Index 0 (the background) is False.
    """
    flat = np.zeros(sizes.size, dtype=bool)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        lengths = sorted(
            (span.stop - span.start) * space for span, space in zip(box, spacing_mm, strict=True)
        )
        board = lengths[0] < BOARD_MM[0] and lengths[1] > BOARD_MM[1] and lengths[2] > BOARD_MM[2]
        flat[number] = lengths[1] > FLAT_PART_MM or board
    return flat


def _large_parts(mask: BoolArray, depth_mm: npt.NDArray[np.float32] | None) -> BoolArray:
    """The largest connected part and every other that is large and thick enough for a limb."""
    labels = cc3d.connected_components(mask, connectivity=6)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    if sizes.max(initial=0) == 0:
        return mask
    keep: BoolArray = sizes >= PART_SHARE * sizes.max()
    if depth_mm is not None:
        for label in np.flatnonzero(keep & (sizes < sizes.max())):
            keep[label] = depth_mm[labels == label].max() >= LIMB_RADIUS_MM
    keep[0] = False
    parts: BoolArray = keep[labels]
    return parts


def _filled(
    trunk: BoolArray, hu: npt.NDArray[np.float32], axial_axis: int, outside_hu: int
) -> BoolArray:
    """The trunk with its cavities: air counts as outside only where it reaches the field's side.

    Slice by slice across the body, so that an airway or a bowel loop that leaves at the first or
    last slice stays inside. Lung that the side of the field cuts stays inside too.
    """
    air = np.moveaxis(~trunk, axial_axis, 0)
    values = np.moveaxis(hu, axial_axis, 0)
    outside = np.zeros_like(air)
    for number, (air_slice, value_slice) in enumerate(zip(air, values, strict=True)):
        labels, count = ndimage.label(air_slice)
        if count == 0:
            continue
        rim = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        rim = rim[rim > 0]
        if rim.size == 0:
            continue
        # The median: a couch's shells and metal's streaks raise the mean of the air around them.
        medians = np.array([np.median(value_slice[labels == label]) for label in rim])
        outer = rim[medians < outside_hu]
        outside[number] = np.isin(labels, outer)
    return np.moveaxis(~outside, 0, axial_axis)


def _refined(
    hu: HuArray,
    coarse: BoolArray,
    factors: tuple[int, int, int],
    skin_hu: int,
    axial_axis: int,
) -> BoolArray:
    """The border at full resolution, in a band of one coarse voxel on each side."""
    if not coarse.any():
        return np.zeros(hu.shape, dtype=bool)
    cross = ndimage.generate_binary_structure(3, 1)
    inner = ndimage.binary_erosion(coarse, cross, border_value=1)
    outer = ndimage.binary_dilation(coarse, cross)
    body = _repeat(inner, factors, hu.shape)
    band = _repeat(outer & ~inner, factors, hu.shape)
    body |= band & (hu > skin_hu)
    slices = np.moveaxis(body, axial_axis, 0)
    by_slabs(lambda low, high: _fill(slices, low, high), 0, slices.shape[0])
    return body


def _fill(slices: BoolArray, low: int, high: int) -> None:
    """Fill what the outline encloses in some slices, in place."""
    for flat in slices[low:high]:
        rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
        if rows.size == 0:
            continue
        part = flat[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        # A frame of background joins all that lies outside.
        free = np.pad(~part, 1, constant_values=True).astype(np.uint8)
        label: Any = cc3d.connected_components
        labels = label(free, connectivity=4)
        part |= (labels != labels[0, 0])[1:-1, 1:-1]


def _repeat(mask: BoolArray, factors: tuple[int, int, int], shape: tuple[int, ...]) -> BoolArray:
    """A coarse mask on the fine grid, cut to ``shape``."""
    out = mask
    for axis, factor in enumerate(factors):
        if factor > 1:
            out = np.repeat(out, factor, axis=axis)
    cut: BoolArray = np.ascontiguousarray(out[tuple(slice(0, size) for size in shape)])
    return cut
