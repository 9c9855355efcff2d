"""How far a path may be off at both of its ends with every hard limit still kept.

Where entry and tip each move by at most r, every point of the axis moves by at most r, and the
direction turns by at most asin(2 r / depth). Clearances, length, angles and the height over the
table are bounded by that for certain. What jumps (crossings of the pleura and of lobes, the place
between ribs) is looked at for moves of either end towards the corners of a cube.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from irplan.geometry import FloatArray, PointLps
from irplan.trajectory.constraints import Strength
from irplan.trajectory.exact import local_mm
from irplan.trajectory.margins import Margins
from irplan.trajectory.rules import Rules

if TYPE_CHECKING:
    from irplan.trajectory.measure import PathMeasure
    from irplan.trajectory.search import Search

#: More than this is not told apart, mm.
MOST_MM = 10.0
_BISECTIONS = 12


def robustness_mm(measure: PathMeasure, margins: Margins, rules: Rules) -> float:
    """How far both ends may move in any direction, by the bound alone; 0 to 10 mm.

    Holds for clearances to obstacles, a lung kept off, length, tilt, skin angle, the height over
    the table and the ends of the scan. The skin's normal is taken as it is at the entry.
    """
    most = min(MOST_MM, measure.edge_mm - rules.bound("scan_edge_mm", 0.0))
    for label, distance in measure.obstacle_mm.items():
        seen = distance if math.isfinite(distance) else measure.reach_mm
        most = min(most, seen - float(margins.margin_mm[label]))
    for label, distance in measure.skims_mm.items():
        if math.isfinite(distance):
            most = min(most, distance - float(margins.skim_mm[label]))
    if most <= 0.0:
        return 0.0
    keeps = _bounds(measure, rules)
    if keeps(most):
        return most
    low, high = 0.0, most
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if keeps(middle):
            low = middle
        else:
            high = middle
    return low


def _bounds(measure: PathMeasure, rules: Rules) -> Callable[[float], bool]:
    """Whether length, angles and table are kept wherever both ends lie within a distance."""
    depth, tilt = measure.depth_mm, abs(measure.craniocaudal_angle_deg)
    reserve = rules.reserve_mm
    lengths: list[float] = rules.lengths_mm.tolist()
    most_tilt = rules.bound("max_tilt_deg", 90.0)
    most_skin = rules.bound("max_skin_angle_deg", 180.0)
    table = rules.bound("table_mm", -math.inf)
    own = float(measure.needle.length_mm) if measure.needle else 0.0

    def keeps(r: float) -> bool:
        if 2.0 * r >= depth:
            return False
        number = bisect_left(lengths, depth + 2.0 * r + reserve)
        if number == len(lengths):
            return False
        turn = math.asin(2.0 * r / depth)
        degrees = math.degrees(turn)
        if tilt + degrees > most_tilt or measure.skin_angle_deg + degrees > most_skin:
            return False
        # The hub lies one needle's length behind the tip.
        length = lengths[number]
        settled = own or length
        drop = r + 2.0 * length * math.sin(0.5 * turn) + max(0.0, length - settled)
        return measure.hub_height_mm - drop >= table

    return keeps


def tried_robustness_mm(
    measure: PathMeasure, bound_mm: float, kept: Callable[[FloatArray, FloatArray], bool]
) -> float:
    """The bound, halved until no tried move breaks what jumps; 0 where a quarter still does.

    Args:
        bound_mm: of :func:`robustness_mm`.
        kept: whether what jumps is kept for an entry and a tip, LPS mm.
    """
    entry, tip = np.asarray(measure.entry_lps_mm), np.asarray(measure.tip_lps_mm)
    for share in (1.0, 0.5, 0.25):
        moves = [share * bound_mm * corner for corner in _corners()]
        if all(kept(entry + move, tip) and kept(entry, tip + move) for move in moves):
            return share * bound_mm
    return 0.0


def _corners() -> tuple[FloatArray, ...]:
    """Unit vectors towards the corners of a cube."""
    return tuple(np.asarray(corner) / math.sqrt(3.0) for corner in product((-1.0, 1.0), repeat=3))


def jumps_kept(search: Search, entry_lps_mm: FloatArray, tip_lps_mm: FloatArray) -> bool:
    """Whether a path crosses pleura and lobes as often as it may, and ribs where it may."""
    rules = search.rules
    a, b = local_mm(np.array([entry_lps_mm, tip_lps_mm]), search.crop.grid)
    _, _, crossings = search.walk(a, b)
    if crossings > rules.bound("max_pleural_crossings", math.inf):
        return False
    return ribs_kept(search, entry_lps_mm, tip_lps_mm)


def ribs_kept(search: Search, entry_lps_mm: FloatArray, tip_lps_mm: FloatArray) -> bool:
    """Whether the hard limits on the place between ribs are kept, where it is known."""
    rules = search.rules
    most = _hard(rules, "intercostal_percent", math.inf)
    above = _hard(rules, "below_rib_mm", -math.inf)
    spine = max(_hard(rules, name, -math.inf) for name in ("spine_mm", "spine_wanted_mm"))
    ends: list[PointLps] = [
        (float(x), float(y), float(z)) for x, y, z in (entry_lps_mm, tip_lps_mm)
    ]
    for place in search.scene.surroundings.ribs.passages(ends[0], ends[1]):
        if not place.known:
            continue
        if 100.0 * place.share > most or place.above_mm < above:
            return False
        if place.spine_mm is not None and place.spine_mm < spine:
            return False
    return True


def _hard(rules: Rules, name: str, where_not: float) -> float:
    """The value of a limit where it is hard and holds, else ``where_not``."""
    constraints = rules.constraints
    holds = constraints.applies(name, rules.guidance)
    hard = constraints.limits[name].strength is Strength.HARD
    return constraints.value(name) if holds and hard else where_not
