"""The whole follow-up of one patient from an older to a newer scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from irplan import units
from irplan.errors import InputRefused
from irplan.findings import Finding, Forbids, Severity, accept, declare, forbidding
from irplan.followup.candidates import NEW_IN_ORGANS, NEW_PROPOSED, STAGE, Lump, new_lumps
from irplan.followup.carry import CarriedLesion, carry_lesion
from irplan.followup.confirming import NO_LESION, Decision, check_decisions, decision_for
from irplan.followup.matching import LEAST_SHARED, Match, MatchStatus, match_lesions
from irplan.geometry import BoolArray
from irplan.lesions.gestures import Diameter, Prompt
from irplan.lesions.lesion import Lesion, LesionMask
from irplan.lesions.segmentation import segment_one, shared_voxels
from irplan.registration import WholeRegistration, identity_findings, register_whole
from irplan.registration.identity import SAME_SCAN
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume

#: Volumes of lung nodules repeat within these shares across scans (published).
REPEATS_WITHIN = (Decimal("-0.25"), Decimal("0.29"))

LESION_GONE = declare(
    "lesion_gone_proposed",
    Severity.STOP,
    STAGE,
    "{lesion} is not seen in the newer scan ({why}); whether it has gone a person has to confirm",
    forbids=Forbids.SIGNATURE,
)
MATCH_UNCONFIRMED = declare(
    "match_unconfirmed",
    Severity.STOP,
    STAGE,
    "{old} of the older scan and {new} of the newer one are proposed as {status}; a person has to "
    "confirm it",
    forbids=Forbids.SIGNATURE,
)
NOT_TOLD = declare(
    "lesion_not_told_apart",
    Severity.WARN,
    STAGE,
    "{lesion} differs too little from its surroundings ({contrast_hu} HU in the older scan) to see "
    "whether it is still there; it was carried over by its surroundings alone",
)
OUTSIDE_UNCONFIRMED = declare(
    "lesion_not_followed",
    Severity.STOP,
    STAGE,
    "{lesion} could not be followed to the newer scan and gets nothing there; a person has to "
    "confirm that, or show it",
    forbids=Forbids.SIGNATURE,
)
GONE_CONFIRMED = declare(
    "lesion_gone", Severity.INFO, STAGE, "{lesion} has gone, as a person confirmed{reason}"
)
NO_IMAGE_BEFORE = declare(
    "lesion_without_older_image",
    Severity.WARN,
    STAGE,
    "{lesion} is known by its diameters only and was not looked for in the newer scan: measure it "
    "again",
)


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


def follow_up(
    lesions: Sequence[Lesion],
    old: CtVolume,
    old_body: BoolArray,
    new: CtVolume,
    new_body: BoolArray,
    task: Task = SILENT,
    *,
    drawn: Sequence[Prompt] = (),
    masks: Sequence[Lesion] = (),
    decisions: Sequence[Decision] = (),
    reasons: Mapping[str, str] | None = None,
    search_new: bool = True,
) -> FollowUp:
    """Carry the lesions of the older scan over, look for them, and propose what became of each.

    Args:
        lesions: of the older scan; those known by diameters only are passed on.
        drawn: gestures on the newer scan: with the id of an older lesion they show that lesion,
            with another id a new one. They count as confirmed.
        masks: lesions of the newer scan that were segmented elsewhere, on its grid.
        decisions: what a person said about the proposals of an earlier run.
        reasons: for stops that are lifted, by code.
        search_new: whether lumps in fat and lung are looked for.

    Returns:
        The follow-up; where the scans cannot be used together, it holds the registration and the
        findings alone.

    Raises:
        InputRefused: there is no lesion to follow, or a decision fits no proposal.
    """
    if not lesions:
        raise InputRefused("no_lesions", "the older scan has no lesion to follow")
    findings = list(identity_findings(old.identity, new.identity))
    if old.sha256 == new.sha256:
        findings.append(SAME_SCAN())
    whole = register_whole(
        old, old_body, new, new_body, task.part("laying the scans over each other")
    )
    findings = list(accept((*findings, *whole.findings), reasons or {}))
    followed = [one for one in lesions if one.mask is not None]
    unseen = tuple(one for one in lesions if one.mask is None)
    if forbidding(findings, Forbids.PLAN):
        return FollowUp(whole, (), unseen, (), (), (), tuple(findings))
    shown = {one.lesion_id: one for one in drawn}
    part = task.part("following the lesions")
    carried = []
    for number, lesion in enumerate(followed):
        part.step(number, len(followed))
        carried.append(
            carry_lesion(
                lesion, old, old_body, new, new_body, whole.rigid, number + 1, part,
                shown.pop(lesion.lesion_id, None),
            )
        )  # fmt: skip
    part.step(len(followed), len(followed))
    found = _Found(carried, {one.lesion_id for one in drawn})
    found.take_masks(masks)
    found.take_drawn(tuple(shown.values()), new, new_body)
    lumps: tuple[Lump, ...] = ()
    if search_new:
        lumps = new_lumps(
            old, old_body, new, new_body, whole.rigid, found.voxels(),
            task.part("looking for new lesions"),
        )  # fmt: skip
    findings += [NO_IMAGE_BEFORE(one.lesion_id, lesion=one.lesion_id) for one in unseen]
    found.take_lumps(lumps, new, new_body)
    return found.judged(whole, unseen, decisions, findings, reasons or {}, search_new)


class _Found:
    """Lesions of the newer scan as they come in, by id, and how each came to be known."""

    def __init__(self, carried: Sequence[CarriedLesion], drawn_ids: set[str]) -> None:
        self.carried = tuple(carried)
        self.drawn_ids = drawn_ids
        self.old_ids = {one.old.lesion_id for one in carried}
        self.lesions: dict[str, Lesion] = {}
        self.prompts: dict[str, Prompt] = {}
        self.from_mask: dict[str, Lesion] = {}
        self.lumps: dict[str, Lump] = {}
        self.notes: list[Finding] = []
        for one in self.carried:
            if one.new is not None and one.prompt is not None and one.seen is not False:
                self.lesions[one.old.lesion_id] = one.new
                self.prompts[one.old.lesion_id] = one.prompt

    def take_masks(self, masks: Sequence[Lesion]) -> None:
        """Lesions from a mask; what touches none of them stays as it was followed."""
        self.from_mask = {one.lesion_id: one for one in masks if one.mask is not None}

    def take_drawn(self, prompts: Sequence[Prompt], new: CtVolume, body: BoolArray) -> None:
        """New lesions that a person drew."""
        for prompt in prompts:
            found = segment_one(new, prompt, body, len(self.lesions) + 1)
            if isinstance(found, Finding):
                self.notes.append(found)
                continue
            self.lesions[prompt.lesion_id] = found
            self.prompts[prompt.lesion_id] = prompt

    def take_lumps(self, lumps: Sequence[Lump], new: CtVolume, body: BoolArray) -> None:
        """Lumps that may be new lesions, named NEW1, NEW2, …"""
        number = 0
        for lump in lumps:
            number += 1
            lesion_id = f"NEW{number}"
            lines = tuple(Diameter(start, end) for start, end in lump.ends_lps_mm)
            prompt = Prompt(lesion_id, None, lines)
            found = segment_one(new, prompt, body, len(self.lesions) + 1)
            if isinstance(found, Finding):
                continue
            self.lumps[lesion_id] = lump
            self.lesions[lesion_id] = found
            self.prompts[lesion_id] = prompt

    def voxels(self) -> tuple[LesionMask, ...]:
        """Voxels of every lesion that is known in the newer scan."""
        known = (*self.lesions.values(), *self.from_mask.values())
        return tuple(one.mask for one in known if one.mask is not None)

    def judged(
        self,
        whole: WholeRegistration,
        unseen: tuple[Lesion, ...],
        decisions: Sequence[Decision],
        findings: list[Finding],
        reasons: Mapping[str, str],
        searched: bool,
    ) -> FollowUp:
        """The proposals with what a person said about them."""
        matches = self._matches()
        check_decisions(matches, decisions)
        proposals = []
        for match in matches:
            said = decision_for(match, decisions)
            proposals.append(self._proposal(match, said))
        self._rename(proposals, decisions)
        findings = [
            *findings,
            *self._lesion_findings(),
            *self._proposal_findings(proposals, decisions),
        ]
        if searched:
            findings.append(NEW_IN_ORGANS())
        order = [*(one.old.lesion_id for one in self.carried), *self.lesions]
        ids = [name for name in dict.fromkeys(order) if name in self.lesions]
        lesions = tuple(
            replace(self.lesions[name], lesion_id=name, label=number)
            for number, name in enumerate(ids, start=1)
        )
        prompts = tuple(
            replace(self.prompts[name], lesion_id=name) for name in ids if name in self.prompts
        )
        return FollowUp(
            whole,
            self.carried,
            unseen,
            lesions,
            prompts,
            tuple(proposals),
            accept((*findings, *self.notes), reasons),
        )

    def _matches(self) -> tuple[Match, ...]:
        if self.from_mask:
            return self._matches_with_masks()
        matches = []
        merged = self._merged()
        for one in self.carried:
            name = one.old.lesion_id
            group = next((ids for ids in merged if name in ids), None)
            if group is not None:
                if name == group[0]:
                    matches.append(Match(group, (name,), MatchStatus.MERGED))
                    for other in group[1:]:
                        self.lesions.pop(other, None)
                        self.prompts.pop(other, None)
            elif one.prompt is None:
                matches.append(Match((name,), (), MatchStatus.OUTSIDE))
            elif name in self.lesions:
                matches.append(Match((name,), (name,), MatchStatus.SAME))
            else:
                matches.append(Match((name,), (), MatchStatus.GONE))
        matches += [
            Match((), (name,), MatchStatus.NEW) for name in self.lesions if name not in self.old_ids
        ]
        return tuple(matches)

    def _merged(self) -> list[tuple[str, ...]]:
        """Older lesions whose places in the newer scan hold one and the same lesion."""
        groups: list[set[str]] = []
        names = [one.old.lesion_id for one in self.carried if one.old.lesion_id in self.lesions]
        for number, first in enumerate(names):
            for second in names[number + 1 :]:
                a, b = self.lesions[first].mask, self.lesions[second].mask
                if a is None or b is None:
                    continue
                smaller = min(a.voxel_volume_ml, b.voxel_volume_ml) / a.grid.voxel_ml
                if shared_voxels(a, b) < LEAST_SHARED * smaller:
                    continue
                hit = [group for group in groups if first in group or second in group]
                joined = {first, second}.union(*hit)
                groups = [group for group in groups if group not in hit] + [joined]
        return [tuple(name for name in names if name in group) for group in groups]

    def _matches_with_masks(self) -> tuple[Match, ...]:
        """With masks of the newer scan: matched by the carried voxels; they win over following."""
        before = {one.old.lesion_id: one.carried for one in self.carried if one.carried is not None}
        after = {name: one.mask for name, one in self.from_mask.items() if one.mask is not None}
        # Ids of the two scans are two name spaces until they are matched.
        found = match_lesions(before, {f"new:{name}": mask for name, mask in after.items()})
        outside = [one.old.lesion_id for one in self.carried if one.carried is None]
        self.lesions = {k: v for k, v in self.lesions.items() if k not in self.old_ids}
        matches = []
        for match in found:
            news = tuple(name.removeprefix("new:") for name in match.new_ids)
            ids = self._ids_of(match, news)
            for own, name in zip(news, ids, strict=True):
                self.lesions[name] = replace(self.from_mask[own], lesion_id=name)
            matches.append(Match(match.old_ids, ids, match.status))
        matches += [Match((name,), (), MatchStatus.OUTSIDE) for name in outside]
        self.prompts = {k: v for k, v in self.prompts.items() if k not in self.old_ids}
        return tuple(matches)

    def _ids_of(self, match: Match, news: tuple[str, ...]) -> tuple[str, ...]:
        """A lesion keeps its id; parts are numbered; a new one takes a free id."""
        if match.status is MatchStatus.SAME:
            return match.old_ids
        if match.status is MatchStatus.MERGED:
            return ("+".join(match.old_ids),)
        if match.status is MatchStatus.SPLIT:
            return tuple(f"{match.old_ids[0]}-{number}" for number in range(1, len(news) + 1))
        return tuple(
            name if name not in self.old_ids and name not in self.lesions else f"new-{name}"
            for name in news
        )

    def _proposal(self, match: Match, said: Decision | None) -> Proposal:
        drawn = bool(self.drawn_ids & {*match.old_ids, *match.new_ids})
        status = said.status if said else match.status.value
        confirmed = said is not None or drawn
        return Proposal(match, status, confirmed, self._why(match, drawn))

    def _why(self, match: Match, drawn: bool) -> str:
        if drawn:
            return "a person drew it on the newer scan"
        if match.status is MatchStatus.NEW:
            return (
                "a lump that the older scan does not show"
                if match.new_ids[0] in self.lumps
                else ("no lesion of the older scan lies there")
            )
        if self.from_mask and match.new_ids:
            return "by the voxels that they share"
        one = next((c for c in self.carried if c.old.lesion_id == match.old_ids[0]), None)
        return "" if one is None else _why_carried(one)

    def _rename(self, proposals: list[Proposal], decisions: Sequence[Decision]) -> None:
        """Give new lesions the ids that a person chose; carry a lesion that a person still sees."""
        for number, proposal in enumerate(proposals):
            said = decision_for(proposal.match, decisions)
            if said is None:
                continue
            match = proposal.match
            if said.status == MatchStatus.SAME and match.status is MatchStatus.GONE:
                one = next(c for c in self.carried if c.old.lesion_id == match.old_ids[0])
                self._insist(one)
                match = Match(match.old_ids, match.old_ids, MatchStatus.SAME)
            elif said.status in (MatchStatus.GONE, NO_LESION):
                for name in match.new_ids:
                    self.lesions.pop(name, None)
                    self.prompts.pop(name, None)
                match = Match(match.old_ids, (), match.status)
            elif said.lesion_id and len(match.new_ids) == 1:
                if said.lesion_id in self.lesions or said.lesion_id in self.old_ids:
                    raise InputRefused(
                        "lesion_id_taken", f"the id {said.lesion_id} belongs to another lesion"
                    )
                own = match.new_ids[0]
                self.lesions[said.lesion_id] = self.lesions.pop(own)
                if own in self.prompts:
                    self.prompts[said.lesion_id] = self.prompts.pop(own)
                match = Match(match.old_ids, (said.lesion_id,), match.status)
            proposals[number] = replace(proposal, match=match)

    def _insist(self, one: CarriedLesion) -> None:
        """A person says that a lesion is still there: what the carried gestures give is kept."""
        name = one.old.lesion_id
        if one.new is None or one.prompt is None:
            raise InputRefused(
                "lesion_not_shown",
                f"{name}: a person says that it is still there, and nothing was found at its place",
                "show it by a gesture on the newer scan",
            )
        self.lesions[name] = one.new
        self.prompts[name] = one.prompt

    def _lesion_findings(self) -> list[Finding]:
        findings: list[Finding] = []
        for one in self.carried:
            name = one.old.lesion_id
            findings += [] if name in self.drawn_ids else list(one.registration.findings)
            if one.seen is None and one.prompt is not None:
                findings.append(
                    NOT_TOLD(name, lesion=name, contrast_hu=units.hu(one.contrast_old_hu))
                )
        return findings

    def _proposal_findings(
        self, proposals: Sequence[Proposal], decisions: Sequence[Decision]
    ) -> list[Finding]:
        findings: list[Finding] = []
        for one in proposals:
            match = one.match
            old, new = ", ".join(match.old_ids), ", ".join(match.new_ids)
            if one.confirmed:
                if one.status == MatchStatus.GONE:
                    said = decision_for(match, decisions)
                    reason = f": {said.reason}" if said and said.reason else ""
                    findings.append(GONE_CONFIRMED(old, lesion=old, reason=reason))
            elif match.status is MatchStatus.GONE:
                findings.append(LESION_GONE(old, lesion=old, why=one.why))
            elif match.status is MatchStatus.OUTSIDE:
                findings.append(OUTSIDE_UNCONFIRMED(old, lesion=old))
            elif match.status is MatchStatus.NEW:
                findings.append(self._new_finding(match.new_ids[0]))
            elif match.status in (MatchStatus.SPLIT, MatchStatus.MERGED, MatchStatus.UNCLEAR):
                findings.append(MATCH_UNCONFIRMED(old, old=old, new=new, status=match.status.value))
        return findings

    def _new_finding(self, name: str) -> Finding:
        lesion = self.lesions[name]
        centre = lesion.centroid_lps_mm or (0.0, 0.0, 0.0)
        place = ", ".join(str(units.mm(value)) for value in centre)
        return NEW_PROPOSED(
            name, lesion=name, volume_ml=lesion.volume_ml, place=f"{place} (LPS mm)"
        )


def _why_carried(one: CarriedLesion) -> str:
    if one.prompt is None:
        return "its place lies outside the newer scan"
    if one.new is None or one.contrast_new_hu is None:
        return "nothing like a lesion was found at its place"
    before, after = units.hu(one.contrast_old_hu), units.hu(one.contrast_new_hu)
    return f"it stood out by {before} HU before and by {after} HU at its place now"


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
