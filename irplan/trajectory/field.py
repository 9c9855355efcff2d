"""The clearance field: for every cell of a coarse grid, how far the nearest obstacle is at least.

The field only sorts out: what it calls free is free, what it cannot tell is tested exactly
(:mod:`.exact`). A coarse cell is occupied where any voxel in it is an obstacle, so distances are
never overestimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import edt
import numba
import numpy as np
import numpy.typing as npt

from irplan.anatomy.morphology import THREADS
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

#: Bits of :attr:`Field.tissue`.
BODY, LUNG, LIVER = 1, 2, 4


@dataclass(frozen=True)
class Field:
    """Distances on coarse cells of a crop, in the crop's own frame (mm, x y z).

    Attributes:
        slack: float32 (z, y, x): distance from the cell's centre to the nearest occupied cell's
            centre minus that obstacle's margin; the least over all obstacles, and at most
            :data:`FAR_MM` more than ``doubt_mm``.
        comfort: uint8 (z, y, x): 0 at the margin … 255 at the wanted clearance or farther.
        tissue: uint8 (z, y, x): body, lung, liver.
        group: uint8 (z, y, x): which obstacle group the slack belongs to.
        groups: names of the groups' rules.
        cell_mm: (3,) edges of a cell (x, y, z).
        doubt_mm: a path through a cell whose slack is above this is clear there for certain, and
            for half a step of :mod:`.kernels` before and behind.
    """

    slack: npt.NDArray[np.float32]
    comfort: npt.NDArray[np.uint8]
    tissue: npt.NDArray[np.uint8]
    group: npt.NDArray[np.uint8]
    groups: tuple[tuple[str, ...], ...]
    cell_mm: FloatArray
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
    by_rule: bool = False,
) -> Field:
    """The field of a crop.

    Args:
        labels, body: (z, y, x) of the crop.
        margins: of every label.
        by_rule: keep the rules apart, to count what each rules out; else rules with the same
            margins share a distance transform.
    """
    factors = coarse_factors(spacing_zyx_mm)
    cell_zyx = tuple(step * factor for step, factor in zip(spacing_zyx_mm, factors, strict=True))
    present = np.flatnonzero(labels_present(labels, len(margins.margin_mm)))
    groups = _groups(margins, present, by_rule)
    shape = tuple(-(-size // factor) for size, factor in zip(labels.shape, factors, strict=True))
    half = float(np.linalg.norm(cell_zyx)) / 2
    slack = np.full(shape, FAR_MM + 2 * half, dtype=np.float32)
    comfort = np.full(shape, 255, dtype=np.uint8)
    group_of = np.full(shape, 255, dtype=np.uint8)
    bits = next(
        kind for kind in (np.uint8, np.uint16, np.uint64) if len(groups) <= np.iinfo(kind).bits
    )
    member = np.zeros(len(margins.margin_mm), dtype=bits)
    for number, group in enumerate(groups):
        member[group[3]] = bits(1 << number)
    occupied = occupancy(labels, member, np.asarray(factors), np.asarray(shape))
    along = [np.bitwise_or.reduce(occupied, axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
    names = []
    for number, (rules, margin, wanted, _) in enumerate(groups):
        names.append(rules)
        bit = bits(1 << number)
        room = max(margin + FAR_MM + 2 * half, wanted + half)
        box = _box_around([(one & bit) != 0 for one in along], room, cell_zyx)
        squared = edt.edtsq(
            np.ascontiguousarray((occupied[box] & bit) == 0),
            anisotropy=cell_zyx,
            black_border=False,
            parallel=THREADS,
        )
        # The middle of what the true distance may be: comfort only ranks.
        take_nearer(
            slack[box], comfort[box], group_of[box], squared, number, margin, wanted, 0.5 * half
        )
    kinds = np.full(len(margins.margin_mm), 0, dtype=np.uint8)
    kinds[margins.is_lung] |= LUNG
    kinds[margins.is_liver] |= LIVER
    tissue = tissue_of(labels, body, kinds, np.asarray(factors), np.asarray(shape))
    cell_xyz = np.asarray(cell_zyx[::-1])
    return Field(
        slack, comfort, tissue, group_of, tuple(names), cell_xyz, 2 * half + DENSE_STEP_MM / 2
    )


def _groups(
    margins: Margins, present: npt.NDArray[np.int64], by_rule: bool
) -> list[tuple[tuple[str, ...], float, float, list[int]]]:
    """Labels whose distance can be computed together."""
    found: dict[tuple[float, float, str], list[int]] = {}
    for label in present:
        if margins.margin_mm[label] < 0:
            continue
        key = (
            float(margins.margin_mm[label]),
            float(margins.wanted_mm[label]),
            margins.rules[label] if by_rule else "",
        )
        found.setdefault(key, []).append(int(label))
    return [
        (tuple(sorted({margins.rules[label] for label in labels})), margin, wanted, labels)
        for (margin, wanted, _), labels in sorted(found.items())
    ]


def _box_around(
    filled: list[BoolArray], room_mm: float, cell_zyx: tuple[float, ...]
) -> tuple[slice, ...]:
    """The cells from the first to the last that is filled on every axis, and some room."""
    box = []
    for one, edge in zip(filled, cell_zyx, strict=True):
        places = np.flatnonzero(one)
        room = int(np.ceil(room_mm / edge)) + 1
        box.append(slice(max(0, int(places[0]) - room), int(places[-1]) + room + 1))
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
def take_nearer(
    slack: AnyArray,
    comfort: AnyArray,
    group_of: AnyArray,
    squared: AnyArray,
    group: int,
    margin: float,
    wanted: float,
    doubt: float,
) -> None:
    """Take a group's squared distances into the field, where they are less than what is there."""
    for k in numba.prange(slack.shape[0]):
        for j in range(slack.shape[1]):
            for i in range(slack.shape[2]):
                far = max(slack[k, j, i] + margin, wanted + doubt)
                if squared[k, j, i] >= far * far:
                    continue
                free = np.sqrt(squared[k, j, i]) - margin
                if free < slack[k, j, i]:
                    slack[k, j, i] = free
                    group_of[k, j, i] = group
                if wanted > margin:
                    share = (free - doubt) / (wanted - margin)
                    share = min(max(share, 0.0), 1.0)
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
