"""What is done to the lesions of a case: drawn, imported, painted, measured, named, removed.

The part of the planning session (:mod:`irplan.session`) that changes lesions. Each verb computes a
new state from the present one, by the functions of :mod:`irplan.casework`, and swaps it in at the
end: where anything fails, nothing has changed. Doses and paths that stood on the old lesions go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from irplan import casework
from irplan.casework import CaseState, Scan
from irplan.errors import CallError
from irplan.findings import Finding
from irplan.geometry import PointLps
from irplan.lesions import Prompt, Segmentation, import_masks, segment
from irplan.lesions.drawn import DrawnAxis
from irplan.lesions.handwork import DrawnDiameter, KeptMask, PackedMask, Place
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.lesions.plugins import (
    BUILT_IN,
    UNANSWERED,
    joined,
    load_segmenter,
    named,
    segment_with,
)
from irplan.plan.dosing import table_lesions
from irplan.plan.request import PlanRequest
from irplan.tasks import SILENT, Task
from irplan.undo import Undoable


class LesionWork(Undoable[CaseState]):
    """The lesions of the case that is open, with undo and redo of every change."""

    def __init__(self) -> None:
        super().__init__(CaseState())
        self._scan: Scan | None = None

    @property
    def scan(self) -> Scan:
        """The opened scan.

        Raises:
            CallError: no scan is open.
        """
        if self._scan is None:
            raise CallError("no_scan", "no scan is open", "open a CT first")
        return self._scan

    @property
    def is_open(self) -> bool:
        """Whether a scan is open."""
        return self._scan is not None

    def add_lesions(
        self,
        prompts: Sequence[Prompt],
        task: Task = SILENT,
        *,
        keep_failed: bool = False,
        segmenter: str = BUILT_IN,
        kept: Sequence[KeptMask] = (),
        unanswered: Sequence[Finding] = (),
    ) -> tuple[Finding, ...]:
        """Segment a lesion for each prompt; a prompt with a known id corrects that lesion.

        What a person painted in or out of a lesion is laid over it again, whatever the gestures
        give. ``segmenter`` names an installed plug-in; ``kept`` are masks that one made before and
        that stand in place of segmenting those prompts, ``unanswered`` why one made none.

        Returns the findings about gestures that gave no lesion; a lesion that was there before
        stays as it was then. A person sees these at once and draws again; where nobody watches,
        ``keep_failed`` keeps such gestures and their findings in the request and the plan.

        Raises:
            CallError: there is no such plug-in, or it cannot be loaded.
        """
        base = self.state
        result, made = self._segmented(prompts, segmenter, kept, unanswered, task)
        self._swap(base, self._with_drawn(base, prompts, result, made, keep_failed))
        return result.findings

    def _with_drawn(
        self,
        base: CaseState,
        prompts: Sequence[Prompt],
        result: Segmentation,
        made: Sequence[KeptMask],
        keep_failed: bool,
    ) -> CaseState:
        """The state with the lesions that were segmented for prompts."""
        found = {lesion.lesion_id for lesion in result.lesions}
        ids = {one.lesion_id for one in prompts}
        drawn = tuple(one for one in prompts if keep_failed or one.lesion_id in found)
        others = tuple(one for one in base.request.kept_masks if one.lesion_id not in found)
        missed = tuple(one for one in result.findings if keep_failed and one.code in UNANSWERED)
        request = replace(
            base.request,
            prompts=casework.merged(base.request.prompts, drawn, lambda one: one.lesion_id),
            kept_masks=(*others, *made),
            unanswered=(
                *(one for one in base.request.unanswered if one.subject not in ids),
                *missed,
            ),
        )
        fresh = tuple(casework.redone(self.scan, lesion, request) for lesion in result.lesions)
        lesions = casework.merged(base.lesions, fresh, lambda one: one.lesion_id)
        noted = (*base.lesion_findings, *result.findings) if keep_failed else base.lesion_findings
        return casework.with_lesions(base, request, lesions, noted, result.lesions)

    def corrected_by(self, lesion_id: str) -> str:
        """The segmenter that answers a further gesture of a lesion: the one that made it.

        A mask that came over from an earlier scan as a person or another tool had made it is not
        segmented anew: that would lose its outline.

        Raises:
            CallError: the lesion is such a mask, or the plug-in that made it is not installed.
        """
        kept = next((x for x in self.state.request.kept_masks if x.lesion_id == lesion_id), None)
        if kept is None or kept.source == LesionSource.SEGMENTED:
            return BUILT_IN
        if kept.source:
            raise CallError(
                "outline_carried",
                f"the outline of {lesion_id} was made on an earlier scan and laid into this one: "
                "segmenting anew would lose it",
                "correct it with the brush; or remove it and draw it anew",
            )
        return named(kept.segmenter)

    def take_followed(
        self,
        prompts: Sequence[Prompt],
        kept: Sequence[KeptMask],
        places: Sequence[Place],
        findings: Sequence[Finding],
        task: Task = SILENT,
    ) -> None:
        """Take lesions over that were followed from an earlier scan; one step to undo.

        Args:
            prompts: the gestures of each lesion; of those that are in the case already, none.
            kept: masks that stand in place of segmenting some of them.
            places: sites and sides that were known before.
            findings: what the follow-up raised: they stay with the plan, in place of those of a
                follow-up before.
        """
        base = self.state
        result, made = self._segmented(prompts, BUILT_IN, kept, (), task)
        state = self._with_drawn(base, prompts, result, made, False) if prompts else base
        for place in places:
            state = casework.with_place(self.scan, state, place)
        request = replace(state.request, followed=tuple(findings))
        self._swap(
            base, casework.with_lesions(state, request, state.lesions, state.lesion_findings)
        )

    def note_followed(self, findings: Sequence[Finding]) -> None:
        """Note again what a follow-up raised whose lesions are in the case."""
        base = self.state
        request = replace(base.request, followed=tuple(findings))
        self._swap(base, replace(base, request=request))

    def _segmented(
        self,
        prompts: Sequence[Prompt],
        segmenter: str,
        kept: Sequence[KeptMask],
        unanswered: Sequence[Finding],
        task: Task,
    ) -> tuple[Segmentation, tuple[KeptMask, ...]]:
        """The lesions of prompts, and the masks that have to be kept with the plan."""
        scan = self.scan
        before = {*(one.lesion_id for one in kept), *(one.subject for one in unanswered)}
        asked = tuple(one for one in prompts if one.lesion_id not in before)
        work = task.part("segmenting")
        if segmenter == BUILT_IN:
            result, made = segment(scan.volume, asked, scan.body, work), tuple[KeptMask, ...]()
        else:
            plugin = load_segmenter(segmenter)
            result, made = segment_with(plugin, scan.volume, asked, scan.body, work)
        if before:
            result = joined(prompts, result, kept, unanswered, scan.volume, scan.body)
        return result, (*made, *kept)

    def import_lesions(
        self, mask: Path, ids: Path | None = None, task: Task = SILENT
    ) -> tuple[Finding, ...]:
        """Take lesions from a mask made elsewhere, in place of those that came from one before.

        Raises:
            InputRefused: the mask does not belong to this scan or cannot be read.
        """
        base = self.state
        result = import_masks(
            mask, self.scan.volume, ids, task.part("reading masks"), self.scan.body
        )
        own = casework.drawn_ids(base)
        kept = tuple(lesion for lesion in base.lesions if lesion.lesion_id in own)
        request = replace(casework.only_for(base.request, own), mask=mask, mask_ids=ids)
        lesions = (*result.lesions, *kept)
        state = casework.with_lesions(base, request, lesions, result.findings, result.lesions)
        self._swap(base, state)
        return result.findings

    def add_lesion_table(self, table: Path) -> None:
        """Take lesions that CT does not show, and attributes of those it does, from a table.

        Raises:
            InputRefused: the table cannot be read.
        """
        base = self.state
        seen = tuple(lesion for lesion in base.lesions if lesion.mask is not None)
        known = {lesion.lesion_id for lesion in seen}
        added = table_lesions(table, known)
        request = replace(base.request, lesion_table=table)
        self._swap(
            base, casework.with_lesions(base, request, (*seen, *added), base.lesion_findings)
        )

    def edit_lesion(
        self, lesion_id: str, change: Callable[[LesionMask | None], LesionMask | None]
    ) -> Lesion:
        """Change a lesion's mask by hand; an unknown id begins a new lesion.

        Args:
            lesion_id: which lesion.
            change: from its mask (``None`` for a new lesion) to the next, as the functions of
                :mod:`irplan.lesions.editing`.

        Returns:
            The lesion, measured anew; the same one where no voxel changed.

        Raises:
            CallError: nothing would be left of it, or it has no voxels on this CT.
        """
        return self._edited(lesion_id, casework.with_edit(self.scan, self.state, lesion_id, change))

    def split_lesion(
        self, lesion_id: str, new_id: str, first: PointLps, second: PointLps
    ) -> tuple[Lesion, Lesion]:
        """Part touching lesions at their waist: what lies at ``second`` becomes ``new_id``.

        Args:
            lesion_id: the lesion that is parted; it keeps what lies at ``first``.
            new_id: id of the other part; it must be free.
            first, second: a point in each part, LPS mm.

        Raises:
            CallError: there is no such lesion, the id is taken, or a point lies outside it.
        """
        base = self.state
        state = casework.with_split(self.scan, base, lesion_id, new_id, (first, second))
        self._swap(base, state)
        by_id = {one.lesion_id: one for one in state.lesions}
        return by_id[lesion_id], by_id[new_id]

    def draw_diameter(
        self,
        lesion_id: str,
        start: PointLps,
        end: PointLps,
        axis: DrawnAxis = DrawnAxis.LONGEST,
    ) -> Lesion:
        """Put a diameter that a person drew, LPS mm, in place of the measured one.

        Raises:
            CallError: there is no such lesion on the CT.
        """
        drawn = DrawnDiameter(lesion_id, start, end, axis)
        return self._edited(lesion_id, casework.with_diameter_drawn(self.state, drawn))

    def measure_again(self, lesion_id: str) -> Lesion:
        """Take a person's diameters back: those measured on the mask stand again.

        Raises:
            CallError: there is no such lesion on the CT.
        """
        state = casework.without_diameter_drawn(self.scan, self.state, lesion_id)
        return self._edited(lesion_id, state)

    def place_lesion(self, lesion_id: str, site: str, side: str) -> Lesion:
        """Name site and side of a lesion; the side is checked against the midline.

        Raises:
            CallError: there is no such lesion on the CT.
        """
        place = Place(lesion_id, site.strip(), side.strip())
        return self._edited(lesion_id, casework.with_place(self.scan, self.state, place))

    def _edited(self, lesion_id: str, state: CaseState) -> Lesion:
        """Make ``state`` the present one, where anything changed, and give its lesion."""
        base = self.state
        if state is not base:
            self._swap(base, state)
        return next(one for one in state.lesions if one.lesion_id == lesion_id)

    def paint_no_go(self, change: Callable[[LesionMask | None], LesionMask | None]) -> None:
        """Change the zone that no needle may enter; doses stay, paths are searched anew."""
        base, grid = self.state, self.scan.volume.geometry
        zone = base.request.no_go
        after = change(None if zone is None else zone.mask(grid))
        packed = None if after is None else PackedMask.of(after)
        if packed == zone:
            return
        request = replace(base.request, no_go=packed)
        self._swap(base, replace(base, request=request, anatomy=None, paths=None))

    def replay_handwork(self, request: PlanRequest) -> None:
        """Do again what a person painted, drew and named in a request.

        Raises:
            CallError: it belongs to a lesion that is not there.
        """
        base = self.state
        self._swap(base, casework.with_handwork(self.scan, base, request))

    def remove_lesion(self, lesion_id: str) -> None:
        """Take a segmented or painted lesion off the list, as if it had not been drawn.

        Raises:
            CallError: there is no such lesion of that id.
        """
        base = self.state
        own = casework.drawn_ids(base)
        prompts = tuple(one for one in base.request.prompts if one.lesion_id != lesion_id)
        if lesion_id not in own:
            raise CallError(
                "no_such_lesion",
                f"there is no drawn lesion '{lesion_id}'",
                "an imported lesion is left out by excluding it with a reason",
            )
        lesions = tuple(one for one in base.lesions if one.lesion_id != lesion_id)
        left = {one.lesion_id for one in lesions}
        told = tuple(one for one in base.request.followed if one.subject != lesion_id)
        request = replace(casework.only_for(base.request, left), prompts=prompts, followed=told)
        self._swap(base, casework.with_lesions(base, request, lesions, base.lesion_findings))
