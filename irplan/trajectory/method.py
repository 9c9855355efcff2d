"""How the needle is guided, and how far its tip may end from where it was meant to.

The tip's error is an isotropic normal. Published are medians of its radial length; the sigma on
each axis is the median / 1.538 (median of the length of a vector of three unit normals). A site's
own errors take the place of the published figure from :data:`MIN_SITE_NEEDLES` needles on, and no
sigma is taken below :data:`LEAST_SIGMA_MM` (both customary).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from irplan.errors import InputRefused
from irplan.trajectory import rulefile

#: Median of the length of a vector with three independent normal parts of sigma 1.
MEDIAN_OF_THREE = 1.538
#: A site's own errors count from this number of needles on (customary).
MIN_SITE_NEEDLES = 20
#: No sigma on an axis is taken below this, mm (customary).
LEAST_SIGMA_MM = 2.0

#: Way of guiding a needle under CT → the limit that holds its median error.
ERROR_OF_METHOD = {
    "freehand": "tip_error_ct_mm",
    "navigated": "tip_error_navigated_mm",
    "robot": "tip_error_robot_mm",
}
REAL_TIME_ERROR = "tip_error_ultrasound_mm"


@dataclass(frozen=True)
class SiteErrors:
    """The tip errors that a site measured on its own control scans.

    Attributes:
        needles: how many needles were measured.
        median_mm: median of their radial error.
    """

    needles: int
    median_mm: Decimal

    @property
    def count(self) -> bool:
        """Whether there are enough needles to take the place of the published figure."""
        return self.needles >= MIN_SITE_NEEDLES

    def document(self) -> dict[str, Any]:
        """The errors as the plan's settings print them."""
        return {"needles": self.needles, "median_mm": self.median_mm, "used": self.count}


@dataclass(frozen=True)
class Method:
    """How needles are guided under CT, and what the site measured.

    Attributes:
        ct: 'freehand', 'navigated' or 'robot'.
        site: the site's own errors under CT, or None.
        sort_by_probability: whether the chances of missing and of hitting rank safe paths. They
            never make a path safe and never forbid one.
    """

    ct: str = "freehand"
    site: SiteErrors | None = None
    sort_by_probability: bool = False

    def document(self) -> dict[str, Any]:
        """The settings as the plan prints them."""
        return {
            "ct": self.ct,
            "site_error": None if self.site is None else self.site.document(),
            "sort_by_probability": self.sort_by_probability,
        }


def sigma_of_median(median_mm: float) -> float:
    """Sigma on each axis, mm, of an isotropic normal error with that median radial length."""
    return median_mm / MEDIAN_OF_THREE


def breathing_sigma_mm(mean_mm: float, sd_mm: float) -> float:
    """Sigma on each axis, mm, of an isotropic motion whose length has that mean and SD.

    The second moment is kept: 3 sigma² = mean² + SD².
    """
    return math.sqrt((mean_mm * mean_mm + sd_mm * sd_mm) / 3.0)


def read_method(path: str, given: Mapping[str, Any]) -> Method:
    """The tables ``method``, ``site_error`` and ``sorting`` of a rule file.

    Raises:
        InputRefused: an unknown key or way of guiding, a number out of range, or a site's errors
            without both of their values.
    """
    method = _table(path, given, "method", ("ct",))
    way = method.get("ct", "freehand")
    if way not in ERROR_OF_METHOD:
        raise InputRefused(
            "not_a_method", f"{path}: method.ct: {way!r} is not of {list(ERROR_OF_METHOD)}"
        )
    sorting = _table(path, given, "sorting", ("by_probability",))
    flag = sorting.get("by_probability", False)
    if not isinstance(flag, bool):
        raise InputRefused(
            "not_a_flag", f"{path}: sorting.by_probability: {flag!r} is not true or false"
        )
    return Method(way, _site(path, given), flag)


def _site(path: str, given: Mapping[str, Any]) -> SiteErrors | None:
    if "site_error" not in given:
        return None
    table = _table(path, given, "site_error", ("needles", "median_mm"))
    needles = rulefile.number(
        f"{path}: site_error.needles", table.get("needles"), Decimal(0), Decimal(100_000)
    )
    if needles != int(needles):
        raise InputRefused("not_whole", f"{path}: site_error.needles: {needles} is not whole")
    median = rulefile.number(
        f"{path}: site_error.median_mm", table.get("median_mm"), Decimal(0), Decimal(30)
    )
    return SiteErrors(int(needles), median)


def _table(
    path: str, given: Mapping[str, Any], name: str, known: tuple[str, ...]
) -> Mapping[str, Any]:
    table = given.get(name, {})
    if not isinstance(table, Mapping):
        raise InputRefused("not_a_table", f"{path}: {name} is not a table [{name}]")
    rulefile.refuse_unknown(f"{path}: {name}", table, known)
    return table
