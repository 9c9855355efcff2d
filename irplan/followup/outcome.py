"""What a follow-up gives: proposals, the lesions now, and the change of each."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from irplan import units
from irplan.findings import Finding, Forbids, forbidding
from irplan.followup.carry import CarriedLesion
from irplan.followup.confirming import NO_LESION
from irplan.followup.matching import Match, MatchStatus
from irplan.lesions.gestures import Prompt
from irplan.lesions.lesion import Lesion
from irplan.registration import WholeRegistration

#: Volumes of lung nodules repeat within these shares across scans (published).
REPEATS_WITHIN = (Decimal("-0.25"), Decimal("0.29"))


@dataclass(frozen=True)
class Proposal:
    """A match, and what a person said about it.

    Attributes:
        match: which lesions, and what is proposed.
        status: what holds: the person's word where there is one, else the proposal.
        confirmed: whether a person said so, by a gesture or in a file.
        why: what the proposal rests on.
    """

    match: Match
    status: str
    confirmed: bool
    why: str


@dataclass(frozen=True)
class FollowUp:
    """Everything that was found between two scans.

    Attributes:
        whole: the registration of the whole.
        carried: the lesions of the older scan, in their order; those without voxels are absent.
        without_image: lesions of the older scan that are known by diameters only.
        lesions: of the newer scan, each with its id there: those that stay first, in the older
            order, then new ones.
        prompts: for every lesion of ``lesions`` the gestures that give it again.
        proposals: what became of each, old ones first.
        findings: all that is to be known.
    """

    whole: WholeRegistration
    carried: tuple[CarriedLesion, ...]
    without_image: tuple[Lesion, ...]
    lesions: tuple[Lesion, ...]
    prompts: tuple[Prompt, ...]
    proposals: tuple[Proposal, ...]
    findings: tuple[Finding, ...]

    @property
    def kept_ids(self) -> tuple[str, ...]:
        """Lesions that are dosed: same, split or merged, and new ones that a person named."""
        kept: list[str] = []
        for one in self.proposals:
            named = one.confirmed or one.status != MatchStatus.NEW
            if one.status not in _NOT_DOSED and named:
                kept += one.match.new_ids
        return tuple(kept)

    @property
    def refused(self) -> bool:
        """Whether the two scans cannot be used together at all."""
        return bool(forbidding(self.findings, Forbids.PLAN))

    def document(self) -> dict[str, Any]:
        """The keys ``registration``, ``local_registrations``, ``matches`` and ``changes``."""
        by_id = {one.lesion_id: one for one in self.lesions}
        changes = []
        for one in self.carried:
            after = by_id.get(one.old.lesion_id)
            changes.append(change_document(one.old, after, one))
        return {
            "registration": self.whole.document(),
            "local_registrations": [one.registration.document() for one in self.carried],
            "matches": [_proposal_document(one) for one in self.proposals],
            "changes": changes,
            "lesions": [one.document() for one in self.lesions],
        }


_NOT_DOSED = (MatchStatus.GONE.value, MatchStatus.OUTSIDE.value, NO_LESION)


def _proposal_document(one: Proposal) -> dict[str, Any]:
    return {
        "old_ids": list(one.match.old_ids),
        "new_ids": list(one.match.new_ids),
        "proposed": one.match.status.value,
        "status": one.status,
        "confirmed": one.confirmed,
        "why": one.why,
    }


def change_document(old: Lesion, new: Lesion | None, carried: CarriedLesion) -> dict[str, Any]:
    """One lesion before and after: volume in mL, diameters in mm, and the change of each."""
    volume = _change(old.volume_ml, None if new is None else new.volume_ml)
    share = volume["change_share"]
    return {
        "lesion_id": old.lesion_id,
        "volume_ml": volume,
        "longest_diameter_mm": _change_mm(old, new, "longest_diameter_mm"),
        "short_axis_mm": _change_mm(old, new, "short_axis_mm"),
        "diameter_3d_mm": _change_mm(old, new, "diameter_3d_mm"),
        "within_repeatability": None
        if share is None
        else bool(REPEATS_WITHIN[0] <= share <= REPEATS_WITHIN[1]),
        "contrast_hu": {
            "old": units.hu(carried.contrast_old_hu),
            "new": None if carried.contrast_new_hu is None else units.hu(carried.contrast_new_hu),
        },
    }


def _change_mm(old: Lesion, new: Lesion | None, name: str) -> dict[str, Decimal | None]:
    before = getattr(old, name)
    after = None if new is None else getattr(new, name)
    return _change(
        None if before is None else units.mm(before), None if after is None else units.mm(after)
    )


def _change(old: Decimal | None, new: Decimal | None) -> dict[str, Decimal | None]:
    if old is None or new is None:
        return {"old": old, "new": new, "change": None, "change_share": None}
    share = None if old == 0 else units.share((new - old) / old)
    return {"old": old, "new": new, "change": new - old, "change_share": share}
