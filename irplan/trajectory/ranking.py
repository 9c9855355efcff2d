"""Choosing among safe paths: a pool of different ones, the Pareto front, a handful to show."""

from __future__ import annotations

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
