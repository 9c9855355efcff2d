"""Needles as they lie on a control CT against those that were planned.

* needles: the errors of each needle, and the way to correct it.
* site: the errors of all needles of a site, and the sigma that they tell.
"""

from irplan.comparison.needles import (
    Comparison,
    NeedleError,
    Placed,
    compare_plan,
    errors_between,
    inside_mm,
    parse_tip,
    planned_needles,
)
from irplan.comparison.site import LEAST_NEEDLES, site_errors

__all__ = [
    "LEAST_NEEDLES",
    "Comparison",
    "NeedleError",
    "Placed",
    "compare_plan",
    "errors_between",
    "inside_mm",
    "parse_tip",
    "planned_needles",
    "site_errors",
]
