"""A second CT of the same patient: lesions carried over, segmented again, matched and compared.

In: the older scan with its lesions, the newer scan, and what a person drew or masked on it. Out:
:class:`~irplan.followup.outcome.FollowUp`: for every lesion what is proposed (same, new, split,
merged, gone), the change in diameter and volume, and findings. A proposal is no more than that
until a person confirms it.

* carry: a lesion's points, its map into the newer scan, and its segmentation there.
* matching: which lesion of one scan is which of the other, from their voxels alone.
* candidates: what looks like a new lesion in fat or lung.
* confirming: the file by which a person confirms or corrects the proposals.
* shown: what a person draws on the newer scan while the proposals are looked at.
* found, outcome: the lesions of the newer scan, and what is proposed of each.
* visit: all of it together.
"""

from irplan.followup.carry import CarriedLesion, carry_lesion
from irplan.followup.confirming import (
    Decision,
    decisions_csv,
    possible_statuses,
    read_decisions,
)
from irplan.followup.matching import Match, MatchStatus, match_lesions
from irplan.followup.outcome import FollowUp
from irplan.followup.visit import Followed, follow_lesions, follow_up

__all__ = [
    "CarriedLesion",
    "Decision",
    "FollowUp",
    "Followed",
    "Match",
    "MatchStatus",
    "carry_lesion",
    "decisions_csv",
    "follow_lesions",
    "follow_up",
    "match_lesions",
    "possible_statuses",
    "read_decisions",
]
