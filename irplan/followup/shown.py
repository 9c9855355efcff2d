"""Lesions that a person drew or corrected on the newer scan: they win over what was followed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from irplan import units
from irplan.findings import Finding, Severity, declare
from irplan.followup.carry import CarriedLesion
from irplan.followup.confirming import NO_LESION
from irplan.followup.matching import Match, MatchStatus
from irplan.followup.outcome import Proposal
from irplan.lesions.lesion import Lesion, LesionMask
from irplan.lesions.segmentation import shared_voxels

STAGE = "follow-up"
DRAWN_WHY = "a person drew it on the newer scan"

SHOWN_ELSEWHERE = declare(
    "lesion_shown_elsewhere",
    Severity.WARN,
    STAGE,
    "{lesion} as a person drew it on this scan lies {away_mm} mm from the place to which the older "
    "{lesion} was followed and shares no voxel with it: is it the same lesion?",
)


def same_voxels(one: LesionMask | None, other: LesionMask | None) -> bool:
    """Whether two masks on one grid hold the same voxels."""
    if one is None or other is None:
        return one is other
    return one.start == other.start and np.array_equal(one.voxels, other.voxels)


def with_shown(proposals: Sequence[Proposal], lesion_id: str) -> list[Proposal]:
    """The proposals with a lesion that a person drew on the newer scan.

    Where the newer scan has a lesion of that id, it is confirmed, unless it is a part of a split
    or a merger: whether that is so, no contour says. Where an older lesion of that id has none
    there, or only its parts or a merger, it is the same lesion. Any other is new.
    """
    made = list(proposals)
    for number, one in enumerate(proposals):
        match = one.match
        there = one.status not in (MatchStatus.GONE, NO_LESION)
        if there and lesion_id in match.new_ids:
            if one.status in (MatchStatus.SAME, MatchStatus.NEW):
                made[number] = replace(one, confirmed=True, why=DRAWN_WHY, drawn=True)
            return made
        if lesion_id in match.old_ids:
            again = replace(match, new_ids=match.old_ids)
            made[number] = Proposal(again, MatchStatus.SAME.value, True, DRAWN_WHY, True)
            return made
    fresh = Match((), (lesion_id,), MatchStatus.NEW)
    return [*made, Proposal(fresh, MatchStatus.NEW.value, True, DRAWN_WHY, True)]


def place_findings(one: CarriedLesion, shown: Lesion) -> list[Finding]:
    """What is to be known of a lesion that a person drew away from where it was followed to."""
    if one.carried is None or shown.mask is None or shared_voxels(one.carried, shown.mask):
        return []
    away = math.dist(_middle(one.carried), _middle(shown.mask))
    name = one.old.lesion_id
    return [SHOWN_ELSEWHERE(name, lesion=name, away_mm=units.mm(away))]


def _middle(mask: LesionMask) -> tuple[float, float, float]:
    index = np.argwhere(mask.voxels)[:, ::-1].mean(axis=0)
    x, y, z = (float(one) for one in mask.box_grid.to_lps(index))
    return x, y, z
