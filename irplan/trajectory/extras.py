"""What soft limits, robustness and, where turned on, chances add to the cost of a safe path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from irplan.trajectory.check import ConstraintCheck
from irplan.trajectory.constraints import Strength
from irplan.trajectory.exact import local_mm
from irplan.trajectory.measure import PathMeasure, check_path
from irplan.trajectory.probability import (
    any_met,
    inside_probability,
    structures_met,
    total_sigma_mm,
)

if TYPE_CHECKING:
    from irplan.trajectory.search import Search

#: Limit → the weight that its shortfall is counted with, where the limit is soft.
WEIGHT_OF = {
    "intercostal_percent": "below_rib",
    "below_rib_mm": "below_rib",
    "spine_mm": "spine",
    "spine_wanted_mm": "spine",
    "min_capsule_angle_deg": "capsule_angle",
    "min_pleura_angle_deg": "pleura_angle",
    "parenchyma_mm": "parenchyma",
    "images_crossed": "images",
    "visible_percent": "visibility",
    "robustness_mm": "robustness",
}


def extra_cost(search: Search, measure: PathMeasure) -> float:
    """What a path that passed every hard limit costs beyond length, clearance, tilt and angle.

    For every soft limit that is missed its weight times the square of the share by which it is
    missed. Where probabilities sort, also the chance of missing the lesion and of meeting any
    structure that is to be kept off.
    """
    weights = search.rules.constraints.weight_of
    checks = check_path(measure, search.margins, search.rules)
    cost = shortfall_cost(checks, weights)
    if not search.rules.constraints.method.sort_by_probability:
        return cost
    sigma = total_sigma_mm(search.rules, search.margins)
    miss = 1.0 - inside_probability(measure.tip_lps_mm, search.target.mask, sigma)
    a, b = local_mm(np.stack([measure.entry_lps_mm, measure.tip_lps_mm]), search.crop.grid)
    spacing = np.asarray(search.crop.grid.spacing_mm)
    met = structures_met(search.crop.labels, spacing, a, b, search.margins, sigma)
    return cost + weights["probability"] * (miss + any_met(met))


def shortfall_cost(checks: tuple[ConstraintCheck, ...], weights: Mapping[str, float]) -> float:
    """The cost of the soft limits that are missed."""
    total = 0.0
    for check in checks:
        if check.strength is not Strength.SOFT:
            continue
        name = check.constraint.split(" (")[0]
        if name in WEIGHT_OF:
            total += weights[WEIGHT_OF[name]] * check.missed_share**2
    return total
