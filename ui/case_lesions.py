"""The window's verbs for lesions: segment, correct, paint, measure, name, import, remove."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import QObject

from irplan.errors import CallError
from irplan.findings import Finding
from irplan.geometry import PointLps
from irplan.lesions.drawn import DrawnAxis
from irplan.lesions.gestures import Gesture, Prompt, shows_inside
from irplan.lesions.lesion import LesionKind
from irplan.lesions.plugins import BUILT_IN
from irplan.tasks import Task
from ui.brush import Brush, Change, Stroke
from ui.case_work import CaseWork
from ui.rows import measured_text
from ui.runner import TaskRunner

if TYPE_CHECKING:
    from irplan.followup import FollowUp


class CaseLesions(CaseWork):
    """The lesions of the case that is open.

    Attributes:
        expected_id: the older lesion that a person is about to draw on this scan; '' is none.
        older_ids: lesions of the earlier visit that was followed: no other one gets their ids.
        following: whether the follow-up waits for a person's word.
    """

    def __init__(self, runner: TaskRunner, parent: QObject | None = None) -> None:
        super().__init__(runner, parent)
        self.expected_id = ""
        self.older_ids: frozenset[str] = frozenset()
        self.following = False

    def _read_state(self) -> None:
        super()._read_state()
        if self.expected_id in {lesion.lesion_id for lesion in self.state.lesions}:
            self.expected_id = ""

    def new_lesion_id(self) -> str:
        """The id of the next lesion: the expected one, else the first of L1, L2, … that is free."""
        taken = {lesion.lesion_id for lesion in self.state.lesions}
        if self.expected_id and self.expected_id not in taken:
            return self.expected_id
        taken |= self.older_ids
        number = 1
        while f"L{number}" in taken:
            number += 1
        return f"L{number}"

    def meant_by(self, gesture: Gesture, selected: str) -> str:
        """The drawn lesion that the middle of a gesture lies in, the selected one first; or ''.

        Who draws within a lesion means that lesion: its further diameters, or a click that says
        again that it is one.
        """
        if not shows_inside(gesture):
            return selected
        point = Prompt("?", None, (gesture,)).first_point_lps_mm
        drawn = {prompt.lesion_id for prompt in self.state.request.prompts}
        found = [
            one.lesion_id
            for one in self.state.lesions
            if one.lesion_id in drawn and one.mask is not None and one.mask.holds(point)
        ]
        return selected if selected in found else next(iter(found), "")

    def segment_gesture(
        self, gesture: Gesture, kind: LesionKind | None, segmenter: str = BUILT_IN
    ) -> None:
        """A new lesion from its first gesture, by irplan's own segmenter or a plug-in."""
        try:
            prompt = Prompt(self.new_lesion_id(), kind, (gesture,))
        except CallError as error:
            self.refused.emit(error)
            return
        self._segment(prompt, lambda: segmenter)

    def add_gesture(self, lesion_id: str, gesture: Gesture) -> None:
        """A further gesture of a lesion: a diameter, a box, or a correction inside or outside."""
        self._change_prompt(lesion_id, lambda gestures: (*gestures, gesture))

    def move_gesture(self, lesion_id: str, number: int, gesture: Gesture) -> None:
        """Put a gesture with an end moved in place of the lesion's n-th one."""
        self._change_prompt(lesion_id, lambda old: (*old[:number], gesture, *old[number + 1 :]))

    def _change_prompt(
        self, lesion_id: str, change: Callable[[tuple[Gesture, ...]], tuple[Gesture, ...]]
    ) -> None:
        prompts = {prompt.lesion_id: prompt for prompt in self.state.request.prompts}
        old = prompts.get(lesion_id)
        if old is None:
            self.refused.emit(
                CallError(
                    "no_drawn_lesion",
                    f"'{lesion_id}' was not drawn here" if lesion_id else "no lesion is selected",
                    "select a lesion that was clicked or drawn, then correct it",
                )
            )
            return
        try:
            prompt = replace(old, gestures=change(old.gestures))
        except CallError as error:
            self.refused.emit(error)
            return
        # Whichever segmenter is chosen for the next lesion.
        self._segment(prompt, lambda: self._session.corrected_by(lesion_id))

    def _segment(self, prompt: Prompt, segmenter: Callable[[], str]) -> None:
        """``segmenter`` is called on the worker: it may have to load a plug-in to know its name."""

        def work(task: Task) -> tuple[Finding, ...]:
            return self._session.add_lesions((prompt,), task, segmenter=segmenter())

        def then(findings: tuple[Finding, ...]) -> None:
            self.gesture_findings = findings
            self._after()
            got = next((x for x in self.state.lesions if x.lesion_id == prompt.lesion_id), None)
            if got is None:
                why = "; ".join(finding.message for finding in findings)
                self.refused.emit(
                    CallError(
                        "no_lesion",
                        why or f"{prompt.lesion_id}: no lesion was found here",
                        "click or draw inside a lesion; or paint it with the brush (P)",
                    )
                )
            else:
                notes = "".join(f"; {finding.message}" for finding in findings)
                self.told.emit(measured_text(got) + notes)

        self.runner.run(f"Segmenting {prompt.lesion_id}", work, then)

    def paint(
        self, lesion_id: str, stroke: Stroke, brush: Brush, window_hu: tuple[int, int]
    ) -> None:
        """Paint into a lesion, or take off it; an unknown id begins a new lesion."""
        volume = self.volume
        if volume is not None:
            self.edit(lesion_id, stroke.change(brush, volume, window_hu))

    def edit(self, lesion_id: str, change: Change) -> None:
        """Change a lesion's mask."""

        def verb() -> None:
            self.told.emit(measured_text(self._session.edit_lesion(lesion_id, change)))

        self._now(verb)

    def split(self, lesion_id: str, first: PointLps, second: PointLps) -> None:
        """Part a lesion at its waist between two points; the second part gets an id of its own."""
        new_id = self.new_lesion_id()

        def verb() -> None:
            self._session.split_lesion(lesion_id, new_id, first, second)

        self._now(verb)

    def paint_no_go(self, stroke: Stroke, brush: Brush, window_hu: tuple[int, int]) -> None:
        """Paint the zone that no needle may enter, or take off it."""
        volume = self.volume
        if volume is not None:
            change = stroke.change(brush, volume, window_hu)
            self._now(lambda: self._session.paint_no_go(change))

    def clear_no_go(self) -> None:
        """Take the painted zone away."""
        self._now(lambda: self._session.paint_no_go(lambda zone: None))

    def draw_diameter(
        self, lesion_id: str, start: PointLps, end: PointLps, axis: DrawnAxis
    ) -> None:
        """Put a diameter that a person drew in place of the measured one, LPS mm."""
        self._now(lambda: self._session.draw_diameter(lesion_id, start, end, axis))

    def measure_again(self, lesion_id: str) -> None:
        """Let the measured diameters stand again."""
        self._now(lambda: self._session.measure_again(lesion_id))

    def place(self, lesion_id: str, site: str, side: str) -> None:
        """Name site and side of a lesion."""
        self._now(lambda: self._session.place_lesion(lesion_id, site, side))

    def import_masks(self, mask: Path, ids: Path | None) -> None:
        """Take lesions from a file of masks, in place of those that came from one before."""

        def work(task: Task) -> tuple[Finding, ...]:
            return self._session.import_lesions(mask, ids, task)

        def then(findings: tuple[Finding, ...]) -> None:
            self.gesture_findings = findings
            self._after()
            count = sum(one.source_label is not None for one in self.state.lesions)
            self.told.emit(f"{count} lesions on the CT after {mask.name}")

        self.runner.run(f"Importing {mask.name}", work, then)

    def take_followed(self, follow: FollowUp, then: Callable[[], None]) -> None:
        """Take the lesions of a follow-up that a person confirmed into the case."""
        from irplan.following import take_over

        def work(task: Task) -> tuple[str, ...]:
            return take_over(self._session, follow, task)

        def taken(ids: tuple[str, ...]) -> None:
            self.gesture_findings = ()
            self.expected_id, self.following = "", False
            self._after()
            self.told.emit(f"{', '.join(ids)} taken over from the earlier visit")
            then()

        self.runner.run("Taking the followed lesions over", work, taken)

    def take_to_correct(
        self, follow: FollowUp, ids: tuple[str, ...], then: Callable[[], None]
    ) -> None:
        """Take lesions of a follow-up into the case as they are proposed, to be corrected there."""
        from irplan.following import take_one

        def work(task: Task) -> None:
            for lesion_id in ids:
                take_one(self._session, follow, lesion_id, task)

        def taken(_: None) -> None:
            self._after()
            then()

        self.runner.run(f"Taking {', '.join(ids)} to this scan", work, taken)

    def expect(self, lesion_id: str) -> None:
        """The next lesion that is drawn gets this id; '' is any that is free."""
        self.expected_id = lesion_id
        self.changed.emit()

    def end_following(self) -> None:
        """No follow-up stands any more."""
        self.expected_id, self.older_ids, self.following = "", frozenset(), False

    def remove(self, lesion_id: str) -> None:
        """Take a drawn lesion off the list."""
        self._now(lambda: self._session.remove_lesion(lesion_id))
