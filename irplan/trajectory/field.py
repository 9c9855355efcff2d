"""The clearance field: for every cell of a coarse grid, how far the nearest obstacle is at least.

The field only sorts out: what it calls free is free, what it cannot tell is tested exactly
(:mod:`.exact`). What is known of a cell is the distance from its middle to the nearest face of an
obstacle's voxel. The squared distance to a box is a sum over the axes, so its least value is found
axis by axis, from voxels to middles of cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from irplan.geometry import BoolArray, FloatArray
from irplan.trajectory.kernels import DENSE_STEP_MM
from irplan.trajectory.margins import Margins

AnyArray = npt.NDArray[Any]

#: Edge of the field's cells, as near as whole voxels allow, mm. A larger cell leaves more paths to
#: the exact test, a smaller one costs time and memory; the answer is the same.
CELL_MM = 2.5

#: Distances are told up to this much beyond the margin and the doubt, mm. Farther off a path takes
#: steps of this length, and no obstacle is looked for; so a group of obstacles costs no more than
#: the cells around it.
FAR_MM = 20.0

#: More than what the field's numbers are rounded by, mm.
HAIR_MM = 1e-3

#: Bits of :attr:`Field.tissue`.
BODY, LUNG, LIVER = 1, 2, 4


@dataclass(frozen=True)
class Field:
    """Distances on coarse cells of a crop, in the crop's own frame (mm, x y z).

    Attributes:
        slack: float32 (z, y, x): distance from the cell's middle to the nearest face of an
            obstacle's voxel minus that obstacle's margin; the least over all obstacles, and at
            most :data:`FAR_MM` more than ``doubt_mm``.
        reach: float32 (z, y, x): the largest margin of the obstacles that have a voxel in the cell;
            below 0 where none has.
        near: float32 (z, y, x): the largest margin of the obstacles that leave a path through the
            cell in doubt; below 0 where none does.
        comfort: uint8 (z, y, x): 0 at the margin … 255 at the wanted clearance or farther.
        tissue: uint8 (z, y, x): body, lung, liver.
        cell_mm: (3,) edges of a cell (x, y, z).
        factors: (3,) voxels of each axis (z, y, x) in a cell.
        doubt_mm: a path through a cell whose slack is above this is clear there for certain, and
            for half a step of :mod:`.kernels` before and behind.
    """

    slack: npt.NDArray[np.float32]
    reach: npt.NDArray[np.float32]
    near: npt.NDArray[np.float32]
    comfort: npt.NDArray[np.uint8]
    tissue: npt.NDArray[np.uint8]
    cell_mm: FloatArray
    factors: npt.NDArray[np.int64]
    doubt_mm: float


def coarse_factors(spacing_zyx_mm: tuple[float, float, float]) -> tuple[int, int, int]:
    """How many voxels of each axis (z, y, x) go into one cell."""
    z, y, x = (max(1, round(CELL_MM / step)) for step in spacing_zyx_mm)
    return z, y, x


def build_field(
    labels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    body: BoolArray,
    margins: Margins,
    spacing_zyx_mm: tuple[float, float, float],
) -> Field:
    """The field of a crop.

    Args:
        labels, body: (z, y, x) of the crop.
        margins: of every label; those with the same margins share a distance transform.
    """
    factors = coarse_factors(spacing_zyx_mm)
    cell_zyx = tuple(step * factor for step, factor in zip(spacing_zyx_mm, factors, strict=True))
    present = np.flatnonzero(labels_present(labels, len(margins.margin_mm)))
    groups = _groups(margins, present)
    shape = tuple(-(-size // factor) for size, factor in zip(labels.shape, factors, strict=True))
    half = float(np.linalg.norm(cell_zyx)) / 2
    doubt = half + DENSE_STEP_MM / 2 + HAIR_MM
    slack = np.full(shape, FAR_MM + half, dtype=np.float32)
    comfort = np.full(shape, 255, dtype=np.uint8)
    bits = next(
        kind for kind in (np.uint8, np.uint16, np.uint64) if len(groups) <= np.iinfo(kind).bits
    )
    member = np.zeros(len(margins.margin_mm), dtype=bits)
    for number, group in enumerate(groups):
        member[group[2]] = bits(1 << number)
    occupied = occupancy(labels, member, np.asarray(factors), np.asarray(shape))
    along = [np.bitwise_or.reduce(occupied, axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
    reach = np.full(shape, -1.0, dtype=np.float32)
    near = np.full(shape, -1.0, dtype=np.float32)
    spacing = np.asarray(spacing_zyx_mm, dtype=float)
    # The groups' margins rise: the last one that a cell holds is the largest.
    for number, (margin, wanted, _) in enumerate(groups):
        bit = bits(1 << number)
        reach[(occupied & bit) != 0] = margin
        room = max(margin + FAR_MM + half, wanted)
        box = _box_around([(one & bit) != 0 for one in along], room, cell_zyx, shape)
        first = np.array([side.start for side in box], dtype=np.int64)
        size = np.array([side.stop - side.start for side in box], dtype=np.int64)
        held = ((occupied & bit) != 0).any(axis=2)
        gaps = squared_gaps(
            labels, member, bit, held, np.asarray(factors), spacing, first, size, room
        )
        take_nearer(
            slack[box],
            near[box],
            comfort[box],
            gaps,
            held.any(axis=1),
            np.asarray(factors),
            spacing[0],
            first,
            room,
            margin,
            wanted,
            doubt,
        )
    kinds = np.full(len(margins.margin_mm), 0, dtype=np.uint8)
    kinds[margins.is_lung] |= LUNG
    kinds[margins.is_liver] |= LIVER
    tissue = tissue_of(labels, body, kinds, np.asarray(factors), np.asarray(shape))
    cell_xyz = np.asarray(cell_zyx[::-1])
    return Field(
        slack,
        reach,
        near,
        comfort,
        tissue,
        cell_xyz,
        np.asarray(factors, dtype=np.int64),
        doubt,
    )


def _groups(
    margins: Margins, present: npt.NDArray[np.int64]
) -> list[tuple[float, float, list[int]]]:
    """Margin and wanted clearance, rising, and the labels whose distance is computed together."""
    found: dict[tuple[float, float], list[int]] = {}
    for label in present:
        if margins.margin_mm[label] >= 0:
            key = float(margins.margin_mm[label]), float(margins.wanted_mm[label])
            found.setdefault(key, []).append(int(label))
    return [(margin, wanted, labels) for (margin, wanted), labels in sorted(found.items())]


def _box_around(
    filled: list[BoolArray],
    room_mm: float,
    cell_zyx: tuple[float, ...],
    shape: tuple[int, ...],
) -> tuple[slice, ...]:
    """The cells from the first to the last that is filled on every axis, and some room."""
    box = []
    for one, edge, size in zip(filled, cell_zyx, shape, strict=True):
        places = np.flatnonzero(one)
        room = int(np.ceil(room_mm / edge)) + 1
        box.append(slice(max(0, int(places[0]) - room), min(size, int(places[-1]) + room + 1)))
    return tuple(box)


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def occupancy(labels: AnyArray, member: AnyArray, factors: AnyArray, shape: AnyArray) -> AnyArray:
    """Bits of the groups that have a voxel in each cell: a cell is never emptier than its voxels.

    ``member``: bits of every label; ``factors``: voxels of each axis (z, y, x) in a cell.
    """
    found = np.zeros((shape[0], shape[1], shape[2]), dtype=member.dtype)
    depth, height, width = labels.shape
    for k in numba.prange(shape[0]):
        for z in range(k * factors[0], min(depth, (k + 1) * factors[0])):
            for y in range(height):
                j = y // factors[1]
                for x in range(width):
                    bits = member[labels[z, y, x]]
                    if bits != 0:
                        found[k, j, x // factors[2]] |= bits
    return found


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def squared_gaps(
    labels: AnyArray,
    member: AnyArray,
    bit: Any,
    held: AnyArray,
    factors: AnyArray,
    spacing: AnyArray,
    first: AnyArray,
    size: AnyArray,
    room: float,
) -> AnyArray:
    """Squared gaps, in the plane of each slice, from middles of cells to a group's voxels.

    Args:
        labels: (z, y, x); ``member``: bits of every label; ``bit``: of the group.
        held: (z, y), whether a row of cells holds a voxel of the group.
        factors, spacing: voxels of each axis (z, y, x) in a cell; their edges, mm.
        first, size: first cell (z, y, x) of the part that is looked at, and its cells.
        room: what is farther than this need not be told.

    Returns:
        float32 (slices of the part, cells y, cells x); infinite where there is none.
    """
    depth = min(labels.shape[0], (first[0] + size[0]) * factors[0]) - first[0] * factors[0]
    height = min(labels.shape[1], (first[1] + size[1]) * factors[1]) - first[1] * factors[1]
    found = np.full((depth, size[1], size[2]), np.inf, dtype=np.float32)
    for z in numba.prange(depth):
        rows = np.empty((height, size[2]), dtype=np.float32)
        some = np.zeros(height, dtype=np.bool_)
        layer = first[0] + z // factors[0]
        for y in range(height):
            if not held[layer, first[1] + y // factors[1]]:
                continue
            row = labels[first[0] * factors[0] + z, first[1] * factors[1] + y]
            some[y] = _row_gaps(row, member, bit, factors[2], spacing[2], first[2], rows[y])
        for j in range(size[1]):
            middle = (first[1] + j + 0.5) * factors[1] * spacing[1]
            out = found[z, j]
            low = max(0, int((middle - room) / spacing[1]) - first[1] * factors[1])
            high = min(height, int((middle + room) / spacing[1]) + 1 - first[1] * factors[1])
            for y in range(low, high):
                if not some[y]:
                    continue
                face = (first[1] * factors[1] + y) * spacing[1]
                gap = max(0.0, max(face - middle, middle - face - spacing[1]))
                more = np.float32(gap * gap)
                source = rows[y]
                for i in range(size[2]):
                    value = source[i] + more
                    out[i] = value if value < out[i] else out[i]
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _row_gaps(
    row: AnyArray,
    member: AnyArray,
    bit: Any,
    factor: int,
    spacing: float,
    first: int,
    gaps: AnyArray,
) -> bool:
    """Squared gaps from middles of cells to a group's voxels in one row; whether there is any."""
    last, n = -1, 0
    width = row.shape[0]
    gaps[:] = np.inf
    for i in range(gaps.size):
        middle = (first + i + 0.5) * factor * spacing
        # Voxels that begin before the middle.
        while n < width and n * spacing <= middle:
            if member[row[n]] & bit:
                last = n
            n += 1
        if last >= 0:
            gap = max(0.0, middle - (last + 1) * spacing)
            gaps[i] = gap * gap
    following, n = -1, width - 1
    for i in range(gaps.size - 1, -1, -1):
        middle = (first + i + 0.5) * factor * spacing
        while n >= 0 and (n + 1) * spacing >= middle:
            if member[row[n]] & bit:
                following = n
            n -= 1
        if following >= 0:
            gap = max(0.0, following * spacing - middle)
            gaps[i] = min(gaps[i], np.float32(gap * gap))
    return last >= 0 or following >= 0


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def take_nearer(
    slack: AnyArray,
    near: AnyArray,
    comfort: AnyArray,
    gaps: AnyArray,
    held: AnyArray,
    factors: AnyArray,
    thickness: float,
    first: AnyArray,
    room: float,
    margin: float,
    wanted: float,
    doubt: float,
) -> None:
    """Take a group's distances into a part of the field, where they are less than what is there.

    No group that came before has a larger margin.

    ``gaps``: of :func:`squared_gaps`; ``held`` (z,): whether a layer of cells holds a voxel of the
    group; ``thickness``: of a slice, mm; ``first``: first cell.
    """
    depth = gaps.shape[0]
    for k in numba.prange(slack.shape[0]):
        middle = (first[0] + k + 0.5) * factors[0] * thickness
        low = max(0, int((middle - room) / thickness) - first[0] * factors[0])
        high = min(depth, int((middle + room) / thickness) + 1 - first[0] * factors[0])
        row = np.empty(slack.shape[2], dtype=np.float32)
        for j in range(slack.shape[1]):
            row[:] = np.inf
            for z in range(low, high):
                if not held[first[0] + z // factors[0]]:
                    continue
                face = (first[0] * factors[0] + z) * thickness
                gap = max(0.0, max(face - middle, middle - face - thickness))
                more = np.float32(gap * gap)
                source = gaps[z, j]
                for i in range(row.size):
                    value = source[i] + more
                    row[i] = value if value < row[i] else row[i]
            for i in range(row.size):
                far = max(slack[k, j, i] + margin, wanted, margin + doubt + HAIR_MM)
                if row[i] >= far * far:
                    continue
                free = np.sqrt(row[i]) - margin
                if free <= doubt:
                    near[k, j, i] = margin
                slack[k, j, i] = min(slack[k, j, i], np.float32(free))
                if wanted > margin:
                    share = min(max(free / (wanted - margin), 0.0), 1.0)
                    comfort[k, j, i] = min(comfort[k, j, i], np.uint8(share * 255.0))


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def labels_present(labels: AnyArray, count: int) -> AnyArray:
    """Whether each label (count,) has a voxel."""
    found = np.zeros((labels.shape[0], count), dtype=np.bool_)
    for k in numba.prange(labels.shape[0]):
        for j in range(labels.shape[1]):
            for i in range(labels.shape[2]):
                found[k, labels[k, j, i]] = True
    present = np.zeros(count, dtype=np.bool_)
    for k in range(labels.shape[0]):
        present |= found[k]
    return present


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def tissue_of(
    labels: AnyArray, body: AnyArray, kinds: AnyArray, factors: AnyArray, shape: AnyArray
) -> AnyArray:
    """What each cell's middle voxel is: body, and the bits ``kinds`` of its label."""
    tissue = np.zeros((shape[0], shape[1], shape[2]), dtype=np.uint8)
    depth, height, width = labels.shape
    for k in numba.prange(shape[0]):
        z = min(k * factors[0] + min(factors[0] // 2, depth - 1), depth - 1)
        for j in range(shape[1]):
            y = min(j * factors[1] + min(factors[1] // 2, height - 1), height - 1)
            for i in range(shape[2]):
                x = min(i * factors[2] + min(factors[2] // 2, width - 1), width - 1)
                bits = kinds[labels[z, y, x]]
                if body[z, y, x]:
                    bits |= np.uint8(BODY)
                tissue[k, j, i] = bits
    return tissue
