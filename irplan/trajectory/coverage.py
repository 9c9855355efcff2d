"""How far the illustrative spheres of the deposits cover a lesion, and spill out of it.

A deposit is drawn as a sphere r = (3 k V f / 4π)^(1/3) with k f between two customary settings,
because hand injection lies outside the published infusion models. The shares here are those of
the spheres, nothing more: they decide nothing. No dose, no place of a deposit and no path
depends on them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from irplan.geometry import FloatArray
from irplan.trajectory.needle import Coverage, Deposit, Needle
from irplan.trajectory.target import Target

#: Points of the lesion and of the spheres are looked at no farther apart than this, mm …
STEP_MM = 1.0
#: … and no farther than this share of a sphere's radius.
STEP_OF_RADIUS = 0.1


@dataclass(frozen=True)
class _Spheres:
    """Middles (n, 3), LPS mm, and radii (n,) of one band's end."""

    middles: FloatArray
    radii: FloatArray

    def hold(self, points: FloatArray) -> Any:
        """Whether points (m, 3) lie in any sphere."""
        inside = np.zeros(len(points), dtype=bool)
        for middle, radius in zip(self.middles, self.radii, strict=True):
            inside |= ((points - middle) ** 2).sum(axis=1) <= radius * radius
        return inside


def coverage_of(target: Target, deposits: Sequence[Deposit]) -> Coverage:
    """The shares for the smaller and the larger spheres.

    Covered: of the lesion's solid part. Spilt: of what the spheres together fill, outside the
    lesion's voxels. Both in percent, (smaller spheres, larger spheres).
    """
    middles = np.asarray([one.position_lps_mm for one in deposits], dtype=float).reshape(-1, 3)
    covered, spilt = [], []
    for end in (0, 1):
        spheres = _Spheres(middles, np.asarray([one.radius_mm[end] for one in deposits]))
        covered.append(_covered(target, spheres))
        spilt.append(_spilt(target, spheres))
    return Coverage((covered[0], covered[1]), (spilt[0], spilt[1]))


def with_coverage(
    needles: Iterable[Needle], targets: Mapping[str, Target], together: bool
) -> tuple[Needle, ...]:
    """The needles with the coverage of every lesion that they serve.

    Args:
        targets: lesion_id → target.
        together: whether all needles are used (the chosen ones); else each skin hole by itself.
    """
    listed = tuple(needles)
    groups: dict[tuple[str, str], list[Deposit]] = {}
    for needle in listed:
        for deposit in needle.deposits:
            key = (deposit.lesion_id, "" if together else needle.entry_id)
            groups.setdefault(key, []).append(deposit)
    made = {
        key: coverage_of(targets[key[0]], deposits)
        for key, deposits in groups.items()
        if key[0] in targets
    }
    return tuple(
        replace(
            needle,
            coverage={
                lesion: made[lesion, "" if together else needle.entry_id]
                for lesion in needle.lesion_ids
                if (lesion, "" if together else needle.entry_id) in made
            },
        )
        for needle in listed
    )


def _covered(target: Target, spheres: _Spheres) -> float:
    """Percent of the solid part inside the spheres."""
    grid = target.grid
    z, y, x = np.nonzero(target.solid)
    index = np.stack([x, y, z], axis=1).astype(float)
    parts = [max(1, math.ceil(step / STEP_MM)) for step in grid.spacing_mm]
    shifts = [(np.arange(count) + 0.5) / count - 0.5 for count in parts]
    hits, total = 0, 0
    for i in shifts[0]:
        for j in shifts[1]:
            for k in shifts[2]:
                points = np.asarray(grid.to_lps(index + np.array([i, j, k])))
                hits += int(np.count_nonzero(spheres.hold(points)))
                total += len(points)
    return 100.0 * hits / total if total else 0.0


def _spilt(target: Target, spheres: _Spheres) -> float:
    """Percent of the spheres' union outside the lesion's voxels."""
    largest = float(spheres.radii.max(initial=0.0))
    if largest == 0.0:
        return 0.0
    step = min(STEP_MM, max(0.1, STEP_OF_RADIUS * largest))
    low = (spheres.middles - spheres.radii[:, None]).min(axis=0)
    high = (spheres.middles + spheres.radii[:, None]).max(axis=0)
    axes = [np.arange(start + step / 2, end, step) for start, end in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    points = points[spheres.hold(points)]
    if len(points) == 0:
        return 0.0
    grid, voxels = target.grid, target.mask.voxels
    index = np.rint(grid.to_index(points)).astype(int)
    within = np.all((index >= 0) & (index < np.asarray(grid.size)), axis=1)
    inside = np.zeros(len(points), dtype=bool)
    i, j, k = index[within].T
    inside[within] = voxels[k, j, i]
    return 100.0 * float(np.count_nonzero(~inside)) / len(points)
