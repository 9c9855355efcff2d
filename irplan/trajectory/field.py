"""The clearance field: for every cell of a coarse grid, how far the nearest obstacle is at least.

The field only sorts out: what it calls free is free, what it cannot tell is tested exactly
(:mod:`.exact`). A coarse cell is occupied where any voxel in it is an obstacle, so distances are
never overestimated.
"""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
import numpy.typing as npt

from irplan.anatomy.morphology import THREADS
from irplan.geometry import BoolArray, FloatArray
from irplan.trajectory.margins import Margins

#: Edge that the cells of the field do not exceed where the voxels allow it, mm.
CELL_MM = 2.0

#: Bits of :attr:`Field.tissue`.
BODY, LUNG, LIVER = 1, 2, 4


@dataclass(frozen=True)
class Field:
    """Distances on coarse cells of a crop, in the crop's own frame (mm, x y z).

    Attributes:
        slack: float32 (z, y, x): distance from the cell's centre to the nearest occupied cell's
            centre minus that obstacle's margin; the least over all obstacles.
        comfort: uint8 (z, y, x): 0 at the margin … 255 at the wanted clearance or farther.
        tissue: uint8 (z, y, x): body, lung, liver.
        group: uint8 (z, y, x): which obstacle group the slack belongs to.
        groups: names of the groups' rules.
        cell_mm: (3,) edges of a cell (x, y, z).
        doubt_mm: a path through a cell whose slack is above this is clear there for certain.
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
    z, y, x = (max(1, int(CELL_MM / step + 1e-6)) for step in spacing_zyx_mm)
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
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=len(margins.margin_mm)))
    groups = _groups(margins, present, by_rule)
    shape = tuple(-(-size // factor) for size, factor in zip(labels.shape, factors, strict=True))
    slack = np.full(shape, np.inf, dtype=np.float32)
    comfort = np.full(shape, 255, dtype=np.uint8)
    group_of = np.full(shape, 255, dtype=np.uint8)
    half = float(np.linalg.norm(cell_zyx)) / 2
    names = []
    for number, (rules, margin, wanted, members) in enumerate(groups):
        names.append(rules)
        table = np.zeros(len(margins.margin_mm), dtype=bool)
        table[members] = True
        occupied = block_any(table[labels], factors)
        distance = edt.edt(
            np.ascontiguousarray(~occupied),
            anisotropy=cell_zyx,
            black_border=False,
            parallel=THREADS,
        )
        nearer = distance - margin < slack
        slack[nearer] = distance[nearer] - margin
        group_of[nearer] = number
        if wanted > margin:
            # The middle of what the true distance may be: this only ranks.
            share = np.clip((distance - 0.5 * half - margin) / (wanted - margin), 0.0, 1.0)
            np.minimum(comfort, (share * 255).astype(np.uint8), out=comfort)
    tissue = block_most(body, factors).astype(np.uint8) * BODY
    tissue |= block_most(margins.is_lung[labels], factors).astype(np.uint8) * LUNG
    tissue |= block_most(margins.is_liver[labels], factors).astype(np.uint8) * LIVER
    cell_xyz = np.asarray(cell_zyx[::-1])
    return Field(slack, comfort, tissue, group_of, tuple(names), cell_xyz, 2 * half)


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


def block_any(mask: BoolArray, factors: tuple[int, int, int]) -> BoolArray:
    """True for a block with any true voxel; blocks at the end may be smaller."""
    for axis, factor in enumerate(factors):
        if factor > 1:
            starts = np.arange(0, mask.shape[axis], factor)
            mask = np.logical_or.reduceat(mask, starts, axis=axis)
    return mask


def block_most(mask: BoolArray, factors: tuple[int, int, int]) -> BoolArray:
    """True for a block whose middle voxel is true."""
    start = [min(factor // 2, size - 1) for factor, size in zip(factors, mask.shape, strict=True)]
    picks = [
        np.minimum(np.arange(0, size, factor) + first, size - 1)
        for size, factor, first in zip(mask.shape, factors, start, strict=True)
    ]
    return np.asarray(mask[np.ix_(*picks)])
