"""The soft cost of a path that passed every hard limit, from its exact measures.

The search sorts its candidates by the same terms on coarse cells (:mod:`.kernels`); what is shown
and compared is this. The weights are settings: they rank safe paths, never make one safe and
never leave one out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from irplan.geometry import FloatArray, length_of
from irplan.trajectory.exact import nearest_in_blocks
from irplan.trajectory.margins import Margins

if TYPE_CHECKING:
    from irplan.trajectory.search import Search

#: The units of the weights: depth, tilt, angle, lung and liver at which a term counts as one.
DEPTH_UNIT_MM = 100.0
TILT_UNIT_DEG = 25.0
SKIN_ANGLE_UNIT_DEG = 45.0
LUNG_UNIT_MM = 20.0
LIVER_UNIT_MM = 50.0
#: More than what two ways of summing up one cost differ by.
_ROUNDING = 1e-9


def pleura_weight(search: Search) -> float:
    """What one pleural crossing costs: more where the lesion does not lie in the lung."""
    weights = search.rules.constraints.weights
    more = 0.0 if search.margins.in_lung else float(weights["lung_elsewhere"])
    return float(weights["pleura"]) + more


def path_cost(
    search: Search,
    depth_mm: float,
    tilt_deg: float,
    skin_angle_deg: float,
    pleural_crossings: int,
    tip_depth_mm: float,
    shortfall: float,
    lung_mm: float,
    liver_mm: float,
    missing_share: float,
) -> float:
    """The cost of a measured path; lower is better.

    Args:
        depth_mm, tilt_deg, skin_angle_deg, pleural_crossings: of the path.
        tip_depth_mm: how deep the tip lies in the solid part.
        shortfall: how far the nearest obstacle falls short of its wanted clearance, 0-1.
        lung_mm, liver_mm: crossed.
        missing_share: share of the wanted deposits that the track does not hold, 0-1.
    """
    weights = search.rules.constraints.weight_of
    return math.fsum(
        (
            weights["centre"] * (1.0 - tip_depth_mm / max(search.deepest_mm, 1e-6)),
            weights["length"] * depth_mm / DEPTH_UNIT_MM,
            weights["clearance"] * shortfall**2,
            weights["tilt"] * (tilt_deg / TILT_UNIT_DEG) ** 2,
            weights["skin_angle"] * (skin_angle_deg / SKIN_ANGLE_UNIT_DEG) ** 2,
            weights["lung"] * lung_mm / LUNG_UNIT_MM,
            pleura_weight(search) * pleural_crossings,
            weights["liver"] * liver_mm / LIVER_UNIT_MM,
            weights["spread"] * missing_share,
        )
    )


def least_cost(search: Search, entry: int, place: int) -> float:
    """A bound that no safe path of a candidate costs less than, without measuring it in full.

    The terms of :func:`path_cost` but for the deposits that its track does not hold; what soft
    limits add is left out.
    """
    a, b = search.entries_local[entry], search.targets_local[place]
    margins, axes = search.margins, search.crop.grid.axes
    direction = (b - a) @ axes.T
    depth = length_of(direction)
    sine = float(direction[2]) / depth
    cosine = float(direction @ search.skin.inward[entry]) / depth
    spacing = np.asarray(search.crop.grid.spacing_mm)
    around = search.scene.surroundings
    start = np.asarray(search.crop.start) * spacing
    nearest = nearest_in_blocks(
        around.labels, spacing, a + start, b + start, margins.wanted_mm, around.held
    )
    lengths, _, crossings = search.walk(a, b)
    floor = path_cost(
        search,
        depth,
        math.degrees(math.asin(min(1.0, max(-1.0, sine)))),
        math.degrees(math.acos(min(1.0, max(-1.0, cosine)))),
        crossings,
        float(search.tip_depth_mm[place]),
        shortfall_of(nearest, margins),
        float(lengths[margins.is_lung].sum()),
        float(lengths[margins.is_liver].sum()),
        0.0,
    )
    return floor - _ROUNDING


def shortfall_of(nearest_mm: FloatArray, margins: Margins) -> float:
    """How far the nearest obstacle falls short of its wanted clearance: 0 none, 1 at the margin.

    ``nearest_mm``: distance of every label, infinite where it is farther than what is wanted.
    """
    room = margins.wanted_mm - margins.margin_mm
    some = (margins.margin_mm >= 0.0) & (room > 0.0) & np.isfinite(nearest_mm)
    if not some.any():
        return 0.0
    share = (margins.wanted_mm[some] - nearest_mm[some]) / room[some]
    return float(min(1.0, max(0.0, share.max())))
