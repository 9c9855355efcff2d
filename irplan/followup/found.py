"""The lesions of the newer scan as they become known, and what is proposed of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace

from irplan import units
from irplan.errors import InputRefused
from irplan.findings import Finding, Forbids, Severity, accept, declare
from irplan.followup.candidates import NEW_IN_ORGANS, NEW_PROPOSED, STAGE, Lump
from irplan.followup.carry import CarriedLesion, prompt_of_mask
from irplan.followup.confirming import NO_LESION, Decision, check_decisions, decision_for
from irplan.followup.joined import joined_lesions, lesion_parts
from irplan.followup.kept import carried_findings, kept_of, laid, read_again_finding
from irplan.followup.matching import Match, MatchStatus, match_lesions
from irplan.followup.outcome import FollowUp, Proposal
from irplan.followup.shown import DRAWN_WHY, place_findings, same_voxels, with_shown
from irplan.geometry import BoolArray
from irplan.lesions.gestures import Diameter, Prompt
from irplan.lesions.handwork import KeptMask
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.lesions.segmentation import segment_one
from irplan.registration import WholeRegistration
from irplan.volume import CtVolume

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


class Found:
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
        self.kept: dict[str, KeptMask] = {}
        #: Proposals that the image alone makes, and each lesion as it was before them.
        self.by_image: list[Match] = []
        self.whole: dict[str, tuple[Lesion, Prompt, KeptMask | None]] = {}
        for one in self.carried:
            if one.new is not None and one.prompt is not None and one.seen is not False:
                self._put(one.old.lesion_id, one.new, one.prompt, one.kept)

    def copy(self) -> Found:
        """The same, to be judged without changing this one; lesions are shared."""
        made = copy(self)
        for name in ("lesions", "prompts", "from_mask", "lumps", "kept", "whole"):
            setattr(made, name, dict(getattr(self, name)))
        made.notes, made.by_image = list(self.notes), list(self.by_image)
        made.drawn_ids = set(self.drawn_ids)
        return made

    def _put(self, name: str, lesion: Lesion, prompt: Prompt, kept: KeptMask | None) -> None:
        self.lesions[name], self.prompts[name] = lesion, prompt
        self.kept.pop(name, None)
        if kept is not None:
            self.kept[name] = kept

    def _take_out(self, name: str) -> None:
        self.lesions.pop(name, None)
        self.prompts.pop(name, None)
        self.kept.pop(name, None)

    def take_masks(self, masks: Sequence[Lesion]) -> None:
        """Lesions from a mask; what touches none of them stays as it was followed."""
        self.from_mask = {one.lesion_id: one for one in masks if one.mask is not None}

    def take_joined(
        self, old: CtVolume, old_body: BoolArray, new: CtVolume, new_body: BoolArray
    ) -> None:
        """Lesions that were apart in the older scan and are one in the newer one."""
        joined = joined_lesions(self._followed(), self.lesions, old, old_body, new, new_body)
        for names, mask in joined:
            name = "+".join(names)
            parts = [self.lesions[one] for one in names]
            kinds = {one.kind for one in parts}
            kind = kinds.pop() if len(kinds) == 1 else None
            prompt = prompt_of_mask(name, kind, mask)
            made = laid(
                prompt, mask, LesionSource.SEGMENTED, "lesions grown together", new, new_body,
                self.lesions[names[0]].label or 1,
            )  # fmt: skip
            self._set_aside(names)
            self._put(name, replace(made.lesion, name=name), prompt, made.kept)
            self.by_image.append(Match(names, (name,), MatchStatus.MERGED, by_image=True))

    def take_parts(self, new: CtVolume, body: BoolArray) -> None:
        """Lesions of the older scan that the newer one shows in pieces."""
        for one in self._followed():
            name = one.old.lesion_id
            if name not in self.lesions:
                continue
            parts = lesion_parts(one, new, body)
            if not parts:
                continue
            self._set_aside((name,))
            for prompt, lesion in parts:
                self._put(prompt.lesion_id, lesion, prompt, None)
            ids = tuple(prompt.lesion_id for prompt, _ in parts)
            self.by_image.append(Match((name,), ids, MatchStatus.SPLIT, by_image=True))

    def _followed(self) -> list[CarriedLesion]:
        """The lesions that were followed by the image, not shown by a person."""
        return [
            one
            for one in self.carried
            if one.old.lesion_id in self.lesions and one.old.lesion_id not in self.drawn_ids
        ]

    def _set_aside(self, names: Sequence[str]) -> None:
        for name in names:
            self.whole[name] = (self.lesions[name], self.prompts[name], self.kept.get(name))
            self._take_out(name)

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
        shown: Sequence[Lesion] = (),
    ) -> FollowUp:
        """The proposals with what a person said about them, and the lesions that a person shows."""
        matches = self._matches()
        check_decisions(matches, decisions)
        proposals = []
        for match in matches:
            said = decision_for(match, decisions)
            proposals.append(self._proposal(match, said))
        self._rename(proposals, decisions)
        for lesion in shown:
            proposals = self._show(lesion, proposals)
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
        kept = tuple(replace(self.kept[name], lesion_id=name) for name in ids if name in self.kept)
        return FollowUp(
            whole,
            self.carried,
            unseen,
            lesions,
            prompts,
            tuple(proposals),
            accept((*findings, *self.notes), reasons),
            kept,
            tuple(sorted(self.drawn_ids)),
        )

    def _show(self, lesion: Lesion, proposals: list[Proposal]) -> list[Proposal]:
        """Put a lesion as a person has it on the newer scan in place of what was followed."""
        name = lesion.lesion_id
        if name in self.lesions and same_voxels(self.lesions[name].mask, lesion.mask):
            self.lesions[name] = lesion  # its contour is the proposed one: nothing is said by it
            return proposals
        made = with_shown(proposals, name)
        for before, after in zip(proposals, made, strict=False):
            gone = [one for one in before.match.new_ids if one not in after.match.new_ids]
            for one in gone:
                self._take_out(one)
            if gone:  # refused as a split or a merger: the others are again what they were
                for one in after.match.old_ids:
                    if one in self.whole:
                        self._put(one, *self.whole[one])
        self._take_out(name)
        self.lesions[name] = lesion
        self.drawn_ids.add(name)
        return made

    def _matches(self) -> tuple[Match, ...]:
        if self.from_mask:
            return self._matches_with_masks()
        of_image = {match.old_ids[0]: match for match in self.by_image}
        taken = {name for match in self.by_image for name in match.old_ids}
        fresh = {name for match in self.by_image for name in match.new_ids}
        matches = []
        for one in self.carried:
            name = one.old.lesion_id
            if name in of_image:
                matches.append(of_image[name])
            elif name in taken:
                continue
            elif one.prompt is None:
                matches.append(Match((name,), (), MatchStatus.OUTSIDE))
            elif name in self.lesions:
                matches.append(Match((name,), (name,), MatchStatus.SAME))
            else:
                matches.append(Match((name,), (), MatchStatus.GONE))
        matches += [
            Match((), (name,), MatchStatus.NEW)
            for name in self.lesions
            if name not in self.old_ids and name not in fresh
        ]
        return tuple(matches)

    def _matches_with_masks(self) -> tuple[Match, ...]:
        """With masks of the newer scan: matched by the carried voxels; they win over following."""
        before = {one.old.lesion_id: one.carried for one in self.carried if one.carried is not None}
        after = {name: one.mask for name, one in self.from_mask.items() if one.mask is not None}
        # Ids of the two scans are two name spaces until they are matched.
        found = match_lesions(before, {f"new:{name}": mask for name, mask in after.items()})
        outside = [one.old.lesion_id for one in self.carried if one.carried is None]
        for name in self.old_ids:
            self._take_out(name)
        matches = []
        for match in found:
            news = tuple(name.removeprefix("new:") for name in match.new_ids)
            ids = self._ids_of(match, news)
            for own, name in zip(news, ids, strict=True):
                lesion = replace(self.from_mask[own], lesion_id=name)
                self._put(name, lesion, *self._shown(lesion))
            matches.append(Match(match.old_ids, ids, match.status))
        matches += [Match((name,), (), MatchStatus.OUTSIDE) for name in outside]
        return tuple(matches)

    def _shown(self, lesion: Lesion) -> tuple[Prompt, KeptMask]:
        """What gives a lesion from a mask again: its ellipsoid as gestures, and its voxels."""
        mask = lesion.mask
        assert mask is not None
        prompt = prompt_of_mask(lesion.lesion_id, lesion.kind, mask)
        return prompt, kept_of(prompt, mask, LesionSource.IMPORTED, "mask given on this scan")

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
        return Proposal(match, status, confirmed, self._why(match, drawn), drawn)

    def _why(self, match: Match, drawn: bool) -> str:
        if drawn:
            return DRAWN_WHY
        if match.status is MatchStatus.NEW:
            return (
                "a lump that the older scan does not show"
                if match.new_ids[0] in self.lumps
                else ("no lesion of the older scan lies there")
            )
        if self.from_mask and match.new_ids:
            return "by the voxels that they share"
        if match.by_image and match.status is MatchStatus.SPLIT:
            return f"its place shows {len(match.new_ids)} pieces with a gap between them"
        if match.by_image:
            return "what was apart is joined by a neck of like tissue, or shares its voxels"
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
                    self._take_out(name)
                match = Match(match.old_ids, (), match.status)
            elif said.status == MatchStatus.SAME and match.by_image:
                for name in match.new_ids:
                    self._take_out(name)
                for name in match.old_ids:
                    self._put(name, *self.whole[name])
                match = Match(match.old_ids, match.old_ids, match.status, by_image=True)
            elif said.lesion_id and len(match.new_ids) == 1:
                if said.lesion_id in self.lesions or said.lesion_id in self.old_ids:
                    raise InputRefused(
                        "lesion_id_taken", f"the id {said.lesion_id} belongs to another lesion"
                    )
                own = match.new_ids[0]
                self._put(said.lesion_id, self.lesions[own], self.prompts[own], self.kept.get(own))
                self._take_out(own)
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
        self._put(name, one.new, one.prompt, one.kept)

    def _lesion_findings(self) -> list[Finding]:
        findings: list[Finding] = []
        for one in self.carried:
            name = one.old.lesion_id
            if name in self.drawn_ids:
                drawn = self.lesions.get(name)
                findings += [] if drawn is None else place_findings(one, drawn)
                continue
            findings += one.registration.findings
            if one.seen is None and one.prompt is not None:
                findings.append(
                    NOT_TOLD(name, lesion=name, contrast_hu=units.hu(one.contrast_old_hu))
                )
            laid_ml = self.lesions[name].volume_ml if name in self.kept else None
            if one.kept is not None and laid_ml is not None and not self.from_mask:
                image_ml = None if one.image is None else one.image.volume_ml
                findings += carried_findings(one.old, laid_ml, image_ml)
            elif one.kept is None and not self.from_mask:
                findings += _read_again(one)
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
                    # By the older id: the newer one has gone from the match.
                    told = (one for one in decisions if one.old_ids == match.old_ids)
                    said = next(told, None)
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


def _read_again(one: CarriedLesion) -> list[Finding]:
    """What is told of a lesion that the segmenter read on both scans in place of its mask."""
    if one.reading is None or one.image is None or one.carried is None:
        return []
    image_ml = one.image.volume_ml
    assert image_ml is not None
    carried_ml = units.ml(one.carried.voxel_volume_ml)
    return [read_again_finding(one.old, one.reading, carried_ml, image_ml)]


def _why_carried(one: CarriedLesion) -> str:
    if one.prompt is None:
        return "its place lies outside the newer scan"
    if one.new is None or one.contrast_new_hu is None:
        return "nothing like a lesion was found at its place"
    before, after = units.hu(one.contrast_old_hu), units.hu(one.contrast_new_hu)
    return f"it stood out by {before} HU before and by {after} HU at its place now"
