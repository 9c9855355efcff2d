"""The whole follow-up of one patient from an older to a newer scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from irplan.errors import InputRefused
from irplan.findings import Finding, Forbids, Severity, accept, declare, forbidding
from irplan.followup.candidates import STAGE, Lump, new_lumps
from irplan.followup.carry import carry_lesion
from irplan.followup.confirming import Decision
from irplan.followup.found import Found
from irplan.followup.outcome import FollowUp
from irplan.geometry import BoolArray
from irplan.lesions.gestures import Prompt
from irplan.lesions.lesion import Lesion
from irplan.registration import WholeRegistration, identity_findings, register_whole
from irplan.registration.identity import SAME_SCAN
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume

NO_IMAGE_BEFORE = declare(
    "lesion_without_older_image",
    Severity.WARN,
    STAGE,
    "{lesion} is known by its diameters only and was not looked for in the newer scan: measure it "
    "again",
)


@dataclass(frozen=True)
class Followed:
    """What was found between two scans, before any word of a person on it.

    Attributes:
        whole: the registration of the whole.
        unseen: lesions of the older scan that are known by diameters only.
        findings: of the registration and of what could not be looked for.
        searched: whether new lesions were looked for.
    """

    whole: WholeRegistration
    unseen: tuple[Lesion, ...]
    findings: tuple[Finding, ...]
    searched: bool
    found: Found | None = field(repr=False)

    def judged(
        self,
        decisions: Sequence[Decision] = (),
        reasons: Mapping[str, str] | None = None,
        shown: Sequence[Lesion] = (),
    ) -> FollowUp:
        """The follow-up with what a person says about it; any number of times.

        Args:
            decisions: about the proposals that :meth:`judged` without any makes.
            reasons: for stops that are lifted, by code.
            shown: lesions as a person has them on the newer scan, with voxels. One whose id and
                contour are the proposed ones says nothing by that; any other stands in place of
                what was followed, and with an id that no older lesion has it is a new one.

        Raises:
            InputRefused: a decision fits no proposal.
        """
        if self.found is None:
            return FollowUp(self.whole, (), self.unseen, (), (), (), self.findings)
        return self.found.copy().judged(
            self.whole, self.unseen, decisions, list(self.findings), reasons or {}, self.searched,
            shown,
        )  # fmt: skip


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
        decisions: what a person said about the proposals of an earlier run.
        All others: as for :func:`follow_lesions`.

    Returns:
        The follow-up; where the scans cannot be used together, it holds the registration and the
        findings alone.

    Raises:
        InputRefused: there is no lesion to follow, or a decision fits no proposal.
    """
    found = follow_lesions(
        lesions, old, old_body, new, new_body, task,
        drawn=drawn, masks=masks, reasons=reasons, search_new=search_new,
    )  # fmt: skip
    return found.judged(decisions, reasons)


def follow_lesions(
    lesions: Sequence[Lesion],
    old: CtVolume,
    old_body: BoolArray,
    new: CtVolume,
    new_body: BoolArray,
    task: Task = SILENT,
    *,
    drawn: Sequence[Prompt] = (),
    masks: Sequence[Lesion] = (),
    reasons: Mapping[str, str] | None = None,
    search_new: bool = True,
) -> Followed:
    """Carry the lesions of the older scan over and look for them; what they became is judged later.

    Args:
        lesions: of the older scan; those known by diameters only are passed on.
        drawn: gestures on the newer scan: with the id of an older lesion they show that lesion,
            with another id a new one. They count as confirmed.
        masks: lesions of the newer scan that were segmented elsewhere, on its grid.
        reasons: for stops that are lifted, by code.
        search_new: whether lumps in fat and lung are looked for.

    Raises:
        InputRefused: there is no lesion to follow.
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
        return Followed(whole, unseen, tuple(findings), search_new, None)
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
    found = Found(carried, {one.lesion_id for one in drawn})
    found.take_masks(masks)
    if not found.from_mask:
        found.take_joined(old, old_body, new, new_body)
        found.take_parts(new, new_body)
    found.take_drawn(tuple(shown.values()), new, new_body)
    lumps: tuple[Lump, ...] = ()
    if search_new:
        lumps = new_lumps(
            old, old_body, new, new_body, whole.rigid, found.voxels(),
            task.part("looking for new lesions"),
        )  # fmt: skip
    findings += [NO_IMAGE_BEFORE(one.lesion_id, lesion=one.lesion_id) for one in unseen]
    found.take_lumps(lumps, new, new_body)
    return Followed(whole, unseen, tuple(findings), search_new, found)
