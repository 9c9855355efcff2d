"""Which lesion of the older scan is which of the newer one, from their voxels alone.

Two lesions belong together where the older one, laid into the newer scan, and the newer one share
a good part of the smaller of them. What hangs together in this way is one case: one and one are
the same lesion, one and several a split, several and one a merger, several and several are left to
a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from irplan.lesions.lesion import LesionMask
from irplan.lesions.segmentation import shared_voxels

#: Share of the smaller lesion that must lie in the other. Customary setting.
LEAST_SHARED = 0.25


class MatchStatus(StrEnum):
    """What became of a lesion, or of several."""

    SAME = "same"
    NEW = "new"
    SPLIT = "split"
    MERGED = "merged"
    GONE = "gone"
    UNCLEAR = "unclear"
    OUTSIDE = "outside"


@dataclass(frozen=True)
class Match:
    """One proposal.

    Attributes:
        old_ids: lesions of the older scan, in their order; empty for a new one.
        new_ids: lesions of the newer scan, in their order; empty for one that is gone.
        status: what is proposed.
        by_image: a split or merger that no mask tells, only the image; a person may refuse it.
    """

    old_ids: tuple[str, ...]
    new_ids: tuple[str, ...]
    status: MatchStatus
    by_image: bool = False


def match_lesions(
    old: Mapping[str, LesionMask], new: Mapping[str, LesionMask]
) -> tuple[Match, ...]:
    """The proposals for all lesions, those of the older scan first.

    Args:
        old: by id, the lesions of the older scan laid on the grid of the newer one.
        new: by id, the lesions of the newer scan on the same grid.

    Returns:
        Every id exactly once, in the order of ``old`` and then of ``new``.
    """
    links = {
        (one, other)
        for one, before in old.items()
        for other, after in new.items()
        if _share(before, after) >= LEAST_SHARED
    }
    matches = []
    seen_old: set[str] = set()
    seen_new: set[str] = set()
    for one in old:
        if one not in seen_old:
            olds, news = _connected(one, links)
            seen_old |= olds
            seen_new |= news
            matches.append(
                _match(tuple(k for k in old if k in olds), tuple(k for k in new if k in news))
            )
    matches += [Match((), (one,), MatchStatus.NEW) for one in new if one not in seen_new]
    return tuple(matches)


def _share(first: LesionMask, second: LesionMask) -> float:
    """Shared voxels over those of the smaller mask."""
    smaller = min(int(np.count_nonzero(one.voxels)) for one in (first, second))
    return shared_voxels(first, second) / smaller if smaller else 0.0


def _connected(start: str, links: set[tuple[str, str]]) -> tuple[set[str], set[str]]:
    olds, news = {start}, set[str]()
    while True:
        more_new = {b for a, b in links if a in olds} - news
        more_old = {a for a, b in links if b in news | more_new} - olds
        if not more_new and not more_old:
            return olds, news
        olds |= more_old
        news |= more_new


def _match(olds: tuple[str, ...], news: tuple[str, ...]) -> Match:
    if not news:
        return Match(olds, news, MatchStatus.GONE)
    if len(olds) == 1:
        return Match(olds, news, MatchStatus.SAME if len(news) == 1 else MatchStatus.SPLIT)
    return Match(olds, news, MatchStatus.MERGED if len(news) == 1 else MatchStatus.UNCLEAR)
