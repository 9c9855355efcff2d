"""Where the words of a picture stand: inside it, and none over another. Pure geometry.

A label that is cut at the edge or lies over its neighbour can be misread, so every label is
moved until it stands free. Units are those of the picture (pixels or points), y grows downward.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: How far a label may wander from its place, in heights of itself.
_FARTHEST = 9
_WAYS = tuple((math.cos(a), math.sin(a)) for a in (math.pi * n / 6 for n in range(12)))


@dataclass(frozen=True)
class Box:
    """An upright rectangle."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Area that both cover."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(wide, 0.0) * max(high, 0.0)

    def moved(self, dx: float, dy: float) -> Box:
        """The same box elsewhere."""
        return Box(self.left + dx, self.top + dy, self.right + dx, self.bottom + dy)

    def within(self, width: float, height: float) -> Box:
        """The box shifted into a picture, as far as it fits."""
        dx = min(0.0, width - self.right) + max(0.0, -self.left)
        dy = min(0.0, height - self.bottom) + max(0.0, -self.top)
        return self.moved(dx, dy)


@dataclass(frozen=True)
class Wanted:
    """A label to be placed.

    Attributes:
        x, y: what it belongs to.
        width, height: of its box.
        anchor: the side of (x, y) on which it is wanted: right, left, above, below.
        gap: distance from (x, y).
    """

    x: float
    y: float
    width: float
    height: float
    anchor: str = "right"
    gap: float = 4.0

    def box(self, anchor: str) -> Box:
        """The box on one side of the place."""
        w, h = self.width, self.height
        left, top = {
            "right": (self.x + self.gap, self.y - h / 2),
            "left": (self.x - self.gap - w, self.y - h / 2),
            "above": (self.x - w / 2, self.y - self.gap - h),
        }.get(anchor, (self.x - w / 2, self.y + self.gap))
        return Box(left, top, left + w, top + h)


def place_labels(
    wanted: Sequence[Wanted], width: float, height: float, taken: Iterable[Box] = ()
) -> list[Box]:
    """A box for each label, in their order: free of the taken ones and of each other.

    The first come are placed first. Where nothing is free within reach the least covered place
    is taken.
    """
    occupied = list(taken)
    placed = []
    for one in wanted:
        best, least = None, math.inf
        for candidate in _candidates(one, width, height):
            covered = sum(candidate.overlap(other) for other in occupied)
            if covered < least - 1e-9:
                best, least = candidate, covered
            if covered == 0.0:
                break
        box = best if best is not None else one.box(one.anchor)
        occupied.append(box)
        placed.append(box)
    return placed


def _candidates(one: Wanted, width: float, height: float) -> Iterable[Box]:
    """Places for a label, the wanted one first, then farther and farther away."""
    anchors = dict.fromkeys((one.anchor, "right", "left", "above", "below"))
    for anchor in anchors:
        yield one.box(anchor).within(width, height)
    home = one.box(one.anchor)
    for ring in range(1, 3 * _FARTHEST):
        for x, y in _WAYS:
            reach = ring * one.height / 2
            yield home.moved(2.0 * reach * x, reach * y).within(width, height)


def strayed(one: Wanted, box: Box) -> bool:
    """Whether a label stands so far from its place that a line should lead to it."""
    dx = max(box.left - one.x, one.x - box.right, 0.0)
    dy = max(box.top - one.y, one.y - box.bottom, 0.0)
    return math.hypot(dx, dy) > one.gap + 1.2 * one.height
