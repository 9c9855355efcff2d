"""Choosing among safe paths: a pool of different ones, the Pareto front, a handful to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from irplan.geometry import PointLps, unit
from irplan.trajectory.margins import Margins
from irplan.trajectory.measure import PathMeasure

#: Alternatives differ from each other by this much at the skin, or in direction.
DIFFERENT_ENTRY_MM = 20.0
DIFFERENT_ANGLE_DEG = 15.0
#: Whose best paths are shown first: what harms before what is inconvenient.
SHOWN_FIRST = ("clearance_shortfall", "pleural_crossings", "lung_mm", "depth_mm", "liver_mm")
#: Criteria nearer than this are equal: a path is not better for a hundredth of a millimetre.
EQUAL = 1e-3
#: Paths moved off the grid, at most so many for each alternative that is wanted.
MOVED_FOR_EACH = 3


@dataclass(frozen=True)
class SafePath:
    """A path that passed every hard limit.

    Attributes:
        measure: its exact measures.
        places: where deposits lie on its track, the tip first.
        deposits_wanted: how many were wanted.
        tip_depth_mm: how deep the tip lies in the solid part.
        cost: the soft cost; lower is better.
        entry: number of the skin point in its search.
        shortfall: see :func:`clearance_shortfall`.
        extra: what soft limits that are missed, and chances where they sort, add to the cost.
    """

    measure: PathMeasure
    places: tuple[PointLps, ...]
    deposits_wanted: int
    tip_depth_mm: float
    cost: float
    entry: int
    shortfall: float
    lung_mm: float
    liver_mm: float
    extra: float = 0.0

    def with_places(self, places: tuple[PointLps, ...]) -> SafePath:
        """The path with other places for its deposits."""
        return replace(self, places=places)

    @property
    def criteria(self) -> tuple[tuple[str, float], ...]:
        """What a path is judged by, each the lower the better."""
        measure = self.measure
        seen = 100.0 if measure.visible_percent is None else measure.visible_percent
        return (
            ("depth_mm", round(measure.depth_mm, 1)),
            ("clearance_shortfall", round(self.shortfall, 2)),
            ("craniocaudal_tilt_deg", round(abs(measure.craniocaudal_angle_deg), 0)),
            ("skin_angle_deg", round(measure.skin_angle_deg, 0)),
            ("lung_mm", round(self.lung_mm, 0)),
            ("pleural_crossings", float(measure.pleural_crossings)),
            ("liver_mm", round(self.liver_mm, 0)),
            ("deposits_missing", float(self.deposits_wanted - len(self.places))),
            ("towards_border_mm", round(-self.tip_depth_mm, 0)),
            ("unseen_percent", round(100.0 - seen, 0)),
            ("soft_limits_missed", round(self.extra, 2)),
        )


def clearance_shortfall(measure: PathMeasure, margins: Margins) -> float:
    """How far the nearest obstacle falls short of its wanted clearance: 0 none, 1 at the margin."""
    worst = 0.0
    for label, distance in measure.obstacle_mm.items():
        margin, wanted = float(margins.margin_mm[label]), float(margins.wanted_mm[label])
        if wanted > margin:
            worst = max(worst, min(1.0, (wanted - distance) / (wanted - margin)))
    return worst


def pareto_front(paths: list[SafePath]) -> list[SafePath]:
    """The paths that no other is at least as good as in everything and better in something."""
    if not paths:
        return []
    values = np.array([[value for _, value in path.criteria] for path in paths])
    front = []
    for number, path in enumerate(paths):
        no_worse = np.all(values <= values[number] + EQUAL, axis=1)
        better = np.any(values < values[number] - EQUAL, axis=1)
        if not np.any(no_worse & better):
            front.append(path)
    return front


def dominates(one: SafePath, other: SafePath) -> bool:
    """Whether one path is at least as good as the other in everything and better in something."""
    first = np.array([value for _, value in one.criteria])
    second = np.array([value for _, value in other.criteria])
    return bool(np.all(first <= second + EQUAL) and np.any(first < second - EQUAL))


def thinned(front: list[SafePath], chosen: SafePath, count: int) -> list[SafePath]:
    """At most ``count`` paths of the front that differ from the chosen one and each other.

    First, for each criterion, the path that is best in it and better than the chosen one; then
    the best all round, every criterion counted alike. The weights have no part in which paths
    are shown: they only sort them.
    """
    values = np.array([[value for _, value in path.criteria] for path in (chosen, *front)])
    spread = np.maximum(np.ptp(values, axis=0), EQUAL)
    overall = ((values - values.min(axis=0)) / spread).sum(axis=1)
    names = [name for name, _ in chosen.criteria]
    kept: list[SafePath] = []
    for name in sorted(names, key=lambda one: (_rank_of(one), names.index(one))):
        column = names.index(name)
        order = np.lexsort((overall[1:], values[1:, column]))
        for number in order:
            if len(kept) >= count or values[number + 1, column] >= values[0, column] - EQUAL:
                break
            if all(differ(front[number], other) for other in (chosen, *kept)):
                kept.append(front[number])
                break
    # Then the best all round, every criterion counted alike.
    for number in np.argsort(overall[1:], kind="stable"):
        if len(kept) >= count:
            break
        if all(differ(front[number], other) for other in (chosen, *kept)):
            kept.append(front[number])
    return sorted(kept, key=lambda one: (one.cost, one.measure.entry_lps_mm))


def shown_paths(
    paths: list[SafePath],
    chosen: SafePath,
    count: int,
    moved: Callable[[int], SafePath],
    compared: bool = True,
) -> list[tuple[int, SafePath]]:
    """The alternatives to show, moved off the grid: at most ``count``, the cheapest first.

    A path that was moved stands on the front of what it was moved among no longer for certain. So
    each is held again, as it would be shown, against the chosen path, all other shown ones and all
    of ``paths``: none that is shown is dominated by any of them, or alike to another one.

    Args:
        paths: the safe paths of a lesion, as the search found them.
        chosen: the path that is proposed.
        moved: the path of a number in ``paths``, moved to the best place nearby.
        compared: whether the chosen path goes to this lesion. One that serves it on another
            lesion's track is judged by the other one: it only has to differ.

    Returns:
        Number in ``paths``, and the path as it is shown.
    """
    number_of = {id(path): number for number, path in enumerate(paths)}
    front = [number_of[id(path)] for path in pareto_front(paths)]
    rivals = [chosen, *paths] if compared else paths
    forms: dict[int, SafePath] = {}
    while True:
        picked = [number_of[id(one)] for one in thinned([paths[n] for n in front], chosen, count)]
        for number in picked:
            if number not in forms:
                form = moved(number) if len(forms) < MOVED_FOR_EACH * count else paths[number]
                beaten = any(dominates(rival, form) for rival in rivals)
                forms[number] = paths[number] if beaten else form
        lost = _lost([forms[number] for number in picked], chosen, compared)
        if lost is None:
            shown = [(number, forms[number]) for number in picked]
            return sorted(shown, key=lambda one: (one[1].cost, one[1].measure.entry_lps_mm))
        front.remove(picked[lost])


def _lost(shown: list[SafePath], chosen: SafePath, compared: bool) -> int | None:
    """The first path that another one of those dominates, or that is like an earlier one."""
    for number, path in enumerate(shown):
        others = [*shown[:number], *shown[number + 1 :], *([chosen] if compared else [])]
        if any(dominates(other, path) for other in others):
            return number
        if not all(differ(path, other) for other in (chosen, *shown[:number])):
            return number
    return None


def _rank_of(name: str) -> int:
    """Which criteria are looked at first when a handful is picked."""
    return SHOWN_FIRST.index(name) if name in SHOWN_FIRST else len(SHOWN_FIRST)


def differ(one: SafePath, other: SafePath) -> bool:
    """Whether a radiologist would call the two different paths."""
    gap, angle = _gap_and_angle(one, other)
    return bool(gap >= DIFFERENT_ENTRY_MM or angle >= DIFFERENT_ANGLE_DEG)


def _gap_and_angle(one: SafePath, other: SafePath) -> tuple[float, float]:
    """Distance of two entries, mm, and angle between two paths, degrees."""
    gap = np.linalg.norm(
        np.asarray(one.measure.entry_lps_mm) - np.asarray(other.measure.entry_lps_mm)
    )
    first = unit(np.asarray(one.measure.tip_lps_mm) - np.asarray(one.measure.entry_lps_mm))
    second = unit(np.asarray(other.measure.tip_lps_mm) - np.asarray(other.measure.entry_lps_mm))
    angle = np.degrees(np.arccos(np.clip(first @ second, -1.0, 1.0)))
    return float(gap), float(angle)
