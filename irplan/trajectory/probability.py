"""Chances: of the tip missing the lesion, and of the needle meeting what it is to keep away from.

The tip ends at its planned place plus an isotropic normal error (:mod:`.method`); a lesion in an
organ that moves with the breath adds that motion, as an independent normal. The needle is held at
its entry, so its axis is off by a share of the tip's error that grows from the skin to the tip: a
cone around the plan. That the lesion is missed has a closed form; that a structure is met is
counted over a fixed set of errors. Chances are shown. They sort paths only where a setting turns
that on, and never forbid one.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from irplan.geometry import FloatArray, PointLps
from irplan.lesions.lesion import LesionMask
from irplan.trajectory.exact import local_mm
from irplan.trajectory.margins import Margins
from irplan.trajectory.method import sigma_of_median
from irplan.trajectory.rules import Rules
from irplan.trajectory.stepping import holds, next_face, start_walk, step_over

AnyArray = npt.NDArray[Any]

#: Errors of the fixed set, as a power of two; the chance of a structure is a multiple of 1 / 2048.
SAMPLES_LOG2 = 11


def total_sigma_mm(rules: Rules, margins: Margins) -> float:
    """Sigma of tip against target on each axis, mm: guidance, and breathing where it moves."""
    constraints = rules.constraints
    tip = constraints.tip_sigma_mm(rules.guidance)
    breath = constraints.breathing_sigma_mm if margins.moves else 0.0
    return math.hypot(tip, breath)


def inside_probability(tip_lps_mm: PointLps, mask: LesionMask, sigma_mm: float) -> float:
    """Probability of the tip lying in the lesion's voxels, under a sigma on each axis.

    The normal separates along the grid's axes, so the integral over the voxels is exact.
    """
    grid = mask.box_grid
    tip = local_mm(tip_lps_mm, grid)
    parts = []
    for axis in range(3):
        edges = np.arange(grid.size[axis] + 1) * grid.spacing_mm[axis]
        parts.append(np.diff(ndtr((edges - tip[axis]) / sigma_mm)))
    weight = np.einsum(
        "zyx,x,y,z->", mask.voxels.astype(float), parts[0], parts[1], parts[2], optimize=True
    )
    return float(min(max(weight, 0.0), 1.0))


def hit_probability(tip_lps_mm: PointLps, mask: LesionMask, median_error_mm: float) -> float:
    """Probability of the tip lying in the lesion's voxels; illustrative.

    The tip's error is an isotropic normal with sigma = median of the radial error / 1.538 on each
    axis.
    """
    return inside_probability(tip_lps_mm, mask, sigma_of_median(median_error_mm))


@lru_cache(maxsize=1)
def standard_errors() -> FloatArray:
    """(2048, 3) errors of sigma 1: a Sobol set through the normal's quantiles, always the same."""
    count = 2**SAMPLES_LOG2
    # Half a step off zero, whose quantile is infinite.
    even = qmc.Sobol(3, scramble=False).random_base2(SAMPLES_LOG2) + 0.5 / count
    errors: FloatArray = ndtri(even)
    errors.setflags(write=False)
    return errors


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def labels_met(
    labels: AnyArray, spacing: AnyArray, a: AnyArray, tips: AnyArray, count: int
) -> AnyArray:
    """Which labels the segments from ``a`` to every tip pass through, (n, count) bool."""
    met = np.zeros((tips.shape[0], count), dtype=np.bool_)
    for n in numba.prange(tips.shape[0]):
        state, index = start_walk(a, tips[n], spacing)
        t = 0.0
        while t < 1.0:
            axis = next_face(state)
            after = min(1.0, state[0, axis])
            i, j, k = index[0], index[1], index[2]
            if after > t and holds(labels, i, j, k):
                met[n, labels[k, j, i]] = True
            t = after
            step_over(state, index, axis)
    return met


def structures_met(
    labels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    spacing_mm: FloatArray,
    a: FloatArray,
    b: FloatArray,
    margins: Margins,
    sigma_mm: float,
) -> dict[str, float]:
    """Chance that the needle meets each structure that the planned path a-b is to keep off.

    Args:
        a, b: entry and tip in the labels' own frame, mm; the errors are the same in every
            rotated frame.

    Returns:
        Structure → chance, above zero only. Structures that may be crossed count where the plan
        does not cross them and a distance from them is asked for.
    """
    count = len(margins.names)
    met = labels_met(labels, spacing_mm, a, b + sigma_mm * standard_errors(), count)
    planned = labels_met(labels, spacing_mm, a, b[None], count)[0]
    crossed = {margins.crossed_with(int(label)) for label in np.flatnonzero(planned)}
    chances = {}
    for label in range(1, count):
        kept_off = margins.margin_mm[label] >= 0 or (
            margins.skim_mm[label] > 0 and margins.crossed_with(label) not in crossed
        )
        if margins.names[label] and kept_off and met[:, label].any():
            chances[margins.names[label]] = float(met[:, label].mean())
    return chances


def any_met(chances: dict[str, float]) -> float:
    """A bound on the chance of meeting any of the structures: their sum, 1 at most."""
    return min(1.0, math.fsum(chances.values()))
