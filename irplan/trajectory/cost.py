"""The soft cost of a path that passed every hard limit, from its exact measures.

The search sorts its candidates by the same terms on coarse cells (:mod:`.kernels`); what is shown
and compared is this. The weights are settings: they rank safe paths, never make one safe and
never leave one out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from irplan.trajectory.measure import PathMeasure
    from irplan.trajectory.search import Search

#: The units of the weights: depth, tilt, angle, lung and liver at which a term counts as one.
DEPTH_UNIT_MM = 100.0
TILT_UNIT_DEG = 25.0
SKIN_ANGLE_UNIT_DEG = 45.0
LUNG_UNIT_MM = 20.0
LIVER_UNIT_MM = 50.0


def pleura_weight(search: Search) -> float:
    """What one pleural crossing costs: more where the lesion does not lie in the lung."""
    weights = search.rules.constraints.weights
    more = 0.0 if search.margins.in_lung else float(weights["lung_elsewhere"])
    return float(weights["pleura"]) + more


def path_cost(
    search: Search,
    measure: PathMeasure,
    tip_depth_mm: float,
    shortfall: float,
    lung_mm: float,
    liver_mm: float,
    missing_share: float,
) -> float:
    """The cost of a measured path; lower is better.

    Args:
        tip_depth_mm: how deep the tip lies in the solid part.
        shortfall: how far the nearest obstacle falls short of its wanted clearance, 0-1.
        missing_share: share of the wanted deposits that the track does not hold, 0-1.
    """
    weights = {name: float(value) for name, value in search.rules.constraints.weights.items()}
    return math.fsum(
        (
            weights["centre"] * (1.0 - tip_depth_mm / max(search.deepest_mm, 1e-6)),
            weights["length"] * measure.depth_mm / DEPTH_UNIT_MM,
            weights["clearance"] * shortfall**2,
            weights["tilt"] * (measure.craniocaudal_angle_deg / TILT_UNIT_DEG) ** 2,
            weights["skin_angle"] * (measure.skin_angle_deg / SKIN_ANGLE_UNIT_DEG) ** 2,
            weights["lung"] * lung_mm / LUNG_UNIT_MM,
            pleura_weight(search) * measure.pleural_crossings,
            weights["liver"] * liver_mm / LIVER_UNIT_MM,
            weights["spread"] * missing_share,
        )
    )
