"""What a follow-up gives: proposals, the lesions now, and the change of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from irplan import units
from irplan.findings import Finding, Forbids, forbidding
from irplan.followup.carry import CarriedLesion
from irplan.followup.confirming import NO_LESION
from irplan.followup.matching import Match, MatchStatus
from irplan.lesions.gestures import Prompt
from irplan.lesions.handwork import KeptMask
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
        drawn: whether a person drew or corrected the lesion on the newer scan and so said it.
    """

    match: Match
    status: str
    confirmed: bool
    why: str
    drawn: bool = False


@dataclass(frozen=True)
class FollowUp:
    """Everything that was found between two scans.

    Attributes:
        whole: the registration of the whole.
        carried: the lesions of the older scan, in their order; those without voxels are absent.
        without_image: lesions of the older scan that are known by diameters only.
        lesions: of the newer scan, each with its id there: those that stay first, in the older
            order, then new ones.
        prompts: for every lesion of ``lesions`` the gestures that give it again; none for those
            that a person has drawn in a case of its own.
        proposals: what became of each, old ones first.
        findings: all that is to be known.
        kept_masks: for the lesions that gestures do not give again, the masks that do.
        drawn_ids: the lesions that a person drew or corrected on the newer scan.
    """

    whole: WholeRegistration
    carried: tuple[CarriedLesion, ...]
    without_image: tuple[Lesion, ...]
    lesions: tuple[Lesion, ...]
    prompts: tuple[Prompt, ...]
    proposals: tuple[Proposal, ...]
    findings: tuple[Finding, ...]
    kept_masks: tuple[KeptMask, ...] = ()
    drawn_ids: tuple[str, ...] = ()

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

    @property
    def open_stops(self) -> tuple[Finding, ...]:
        """What a person has to confirm or lift before these lesions are planned for."""
        return (
            *forbidding(self.findings, Forbids.PLAN),
            *forbidding(self.findings, Forbids.SIGNATURE),
        )

    def document(self) -> dict[str, Any]:
        """The body of ``irplan.follow/1`` without the names of the scans."""
        return {
            "registration": self.whole.document(),
            "local_registrations": [one.registration.document() for one in self.carried],
            "matches": [_proposal_document(one) for one in self.proposals],
            "changes": self.changes(),
            "lesions": [one.document() for one in self.lesions],
        }

    def changes(self) -> list[dict[str, Any]]:
        """The change of each older lesion, then of each merger against the sum of its parts."""
        by_id = {one.lesion_id: one for one in self.lesions}
        changes = []
        for one in self.carried:
            after = [by_id[name] for name in self.now_of(one.old.lesion_id) if name in by_id]
            merged = any(
                proposal.status == MatchStatus.MERGED
                and one.old.lesion_id in proposal.match.old_ids
                for proposal in self.proposals
            )
            changes.append(change_document(one.old, after, one, merged=merged))
        for proposal in self.proposals:
            changes += self._merged_change(proposal, by_id)
        return changes

    def now_of(self, old_id: str) -> tuple[str, ...]:
        """Ids that an older lesion has now: its own, its parts, or the lesion it is part of."""
        for one in self.proposals:
            if old_id in one.match.old_ids:
                if one.status == MatchStatus.SAME and len(one.match.old_ids) > 1:
                    # Proposed as merged, and a person says that it is not.
                    return (old_id,)
                return one.match.new_ids
        return ()

    def _merged_change(
        self, proposal: Proposal, by_id: Mapping[str, Lesion]
    ) -> list[dict[str, Any]]:
        """A merged lesion against the sum of those that it was."""
        if proposal.status != MatchStatus.MERGED or proposal.match.new_ids[0] not in by_id:
            return []
        now = by_id[proposal.match.new_ids[0]]
        before = [one.old for one in self.carried if one.old.lesion_id in proposal.match.old_ids]
        volumes = [one.volume_ml for one in before]
        total = None if None in volumes else sum((v for v in volumes if v), Decimal(0))
        nothing = _change(None, None)
        return [
            {
                "lesion_id": now.lesion_id,
                "new_ids": [now.lesion_id],
                "volume_ml": _change(total, now.volume_ml),
                "longest_diameter_mm": {
                    **nothing,
                    "new": None
                    if now.longest_diameter_mm is None
                    else units.mm(now.longest_diameter_mm),
                },
                "short_axis_mm": nothing,
                "diameter_3d_mm": nothing,
                "within_repeatability": _repeats(_change(total, now.volume_ml)["change_share"]),
                "contrast_hu": {"old": None, "new": None},
            }
        ]


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


def change_document(
    old: Lesion, now: Sequence[Lesion], carried: CarriedLesion, *, merged: bool = False
) -> dict[str, Any]:
    """One lesion before and after: volume in mL, diameters in mm, and the change of each.

    Of a lesion that has split the volumes and the longest diameters of its parts are added up, as
    RECIST 1.1 does; the other diameters are unknown. What became a part of another lesion has no
    change of its own.
    """
    parts = () if merged else now
    one = parts[0] if len(parts) == 1 else None
    volumes = [part.volume_ml for part in parts]
    after = None if not parts or None in volumes else sum((v for v in volumes if v), Decimal(0))
    volume = _change(old.volume_ml, after)
    longest = [part.longest_diameter_mm for part in parts]
    total = None if not parts or None in longest else sum(v for v in longest if v is not None)
    return {
        "lesion_id": old.lesion_id,
        "new_ids": [lesion.lesion_id for lesion in now],
        "volume_ml": volume,
        "longest_diameter_mm": _change_mm(old.longest_diameter_mm, total),
        "short_axis_mm": _change_mm(old.short_axis_mm, None if one is None else one.short_axis_mm),
        "diameter_3d_mm": _change_mm(
            old.diameter_3d_mm, None if one is None else one.diameter_3d_mm
        ),
        "within_repeatability": _repeats(volume["change_share"]),
        "contrast_hu": {
            "old": units.hu(carried.contrast_old_hu),
            "new": None if carried.contrast_new_hu is None else units.hu(carried.contrast_new_hu),
        },
    }


def _repeats(share: Decimal | None) -> bool | None:
    return None if share is None else bool(REPEATS_WITHIN[0] <= share <= REPEATS_WITHIN[1])


def _change_mm(before: float | None, after: float | None) -> dict[str, Decimal | None]:
    return _change(
        None if before is None else units.mm(before), None if after is None else units.mm(after)
    )


def _change(old: Decimal | None, new: Decimal | None) -> dict[str, Decimal | None]:
    if old is None or new is None:
        return {"old": old, "new": new, "change": None, "change_share": None}
    share = None if old == 0 else units.share((new - old) / old)
    return {"old": old, "new": new, "change": new - old, "change_share": share}
