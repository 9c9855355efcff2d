"""The window's side of a session: every verb of the work, run so that the window stays responsive.

Long verbs go to the task runner; short ones are done at once, and never while work is running.
After each, :attr:`Case.state` and :attr:`Case.plan` are new frozen data and ``changed`` is told:
the views and panels paint from those and never ask the session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QObject, pyqtSignal

from irplan.casework import findings_on_lesions
from irplan.errors import CallError, IrplanError
from irplan.findings import Finding, Severity
from irplan.geometry import BoolArray, PointLps
from irplan.lesions.gestures import Gesture, Prompt, shows_inside
from irplan.lesions.lesion import LesionKind
from irplan.lesions.plugins import BUILT_IN
from irplan.plan import InjectionPlan
from irplan.plan.request import PlanRequest
from irplan.session import CaseState, PlanningSession
from irplan.tasks import Task
from irplan.trajectory import PatientPosition
from irplan.trajectory.needle import PathPlan
from irplan.volume import CtVolume
from ui.arriving import Arriving
from ui.brush import Brush, Change, Stroke
from ui.rows import measured_text
from ui.runner import TaskRunner

if TYPE_CHECKING:
    from irplan.followup import FollowUp

#: Code of the refusal of a path from which one of several series has to be named.
SEVERAL_SERIES = "several_series"


@dataclass(frozen=True)
class DoseNeeds:
    """What the protocol's rule wants to be told.

    Attributes:
        weight, height: whether the rule uses them.
        prescribed: drugs whose dose is prescribed by hand.
        note: what the protocol says about itself.
    """

    weight: bool = True
    height: bool = False
    prescribed: tuple[str, ...] = ()
    note: str = ""


class Case(QObject):
    """One session and what the window knows of it.

    Signals:
        opened(): another scan is open.
        rewound(): undo or redo is about to change the state: what is half typed gives way to it.
        changed(): lesions, doses, paths or choices are others.
        several(path, entries): the path holds several usable series; one has to be named.
        refused(IrplanError): a verb was refused; nothing has changed.
        told(str): something was done.
        saved(Path): the plan's folder was written.
    """

    opened = pyqtSignal()
    rewound = pyqtSignal()
    changed = pyqtSignal()
    several = pyqtSignal(object, object)
    refused = pyqtSignal(object)
    told = pyqtSignal(str)
    saved = pyqtSignal(object)

    def __init__(self, runner: TaskRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.runner = runner
        self._session = PlanningSession()
        self.arriving = Arriving(self)
        self.volume: CtVolume | None = None
        self.body: BoolArray | None = None
        self.state = CaseState()
        self.plan: InjectionPlan | None = None
        self.gesture_findings: tuple[Finding, ...] = ()
        self.dose_needs = DoseNeeds()
        self.can_undo = self.can_redo = False
        self.saved_folder: Path | None = None
        runner.refused.connect(self._on_refused)

    # What stands now ------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether a scan is open."""
        return self.volume is not None

    @property
    def session(self) -> PlanningSession:
        """For verbs that have a home of their own; used on the worker, one at a time."""
        return self._session

    def read_again(self) -> None:
        """Take over what work has left in the session."""
        self._after()

    @property
    def paths(self) -> PathPlan | None:
        """The paths, each lesion's preferred one first; None where none stand."""
        return self.state.paths if self.plan is None else self.plan.paths

    @property
    def scanned_position(self) -> PatientPosition | None:
        """How the patient lay in the scan, where that is known."""
        if self.volume is None:
            return None
        return PatientPosition.from_tag(self.volume.identity.patient_position)

    @property
    def position_known(self) -> bool:
        """Whether it is known how the patient will lie."""
        return bool(self.state.request.patient_position) or self.scanned_position is not None

    @property
    def can_map(self) -> bool:
        """Whether what the skin offers can be told: doses stand, and how the patient lies."""
        return self.is_open and self.state.allocation is not None and self.position_known

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that is to be known, the gravest first."""
        state = self.state
        found = [*self.gesture_findings]
        if self.plan is not None:
            found += self.plan.findings
        elif self.volume is not None:
            found += [*self.volume.findings, *findings_on_lesions(state)]
            found += [finding for lesion in state.lesions for finding in lesion.findings]
            for part in (state.allocation, state.anatomy, state.paths):
                found += part.findings if part is not None else ()
        order = (Severity.STOP, Severity.WARN, Severity.INFO)
        return tuple(sorted(dict.fromkeys(found), key=lambda one: order.index(one.severity)))

    def protocol_names(self) -> tuple[str, ...]:
        """The protocols that come with the program."""
        return self._session.protocol_names()

    # Opening --------------------------------------------------------------------------------

    def open(self, path: Path, series_uid: str | None = None) -> None:
        """Open a CT; the case before stays where that is refused."""

        def work(task: Task) -> tuple[Any, ...]:
            try:
                self._session.open_series(path, series_uid, task, self.arriving)
            except CallError as error:
                if error.code != SEVERAL_SERIES or series_uid is not None:
                    raise
                return self._session.series_at(path, task)
            return ()

        def then(entries: tuple[Any, ...]) -> None:
            if entries:
                self.several.emit(path, entries)
            else:
                self._on_opened()

        self.runner.run(f"Opening {path.name or path}", work, then)

    def _on_opened(self) -> None:
        scan = self._session.scan
        self.volume, self.body = scan.volume, scan.body
        self.gesture_findings, self.saved_folder = (), None
        self._read_state()
        self.opened.emit()
        self.changed.emit()
        columns, rows, slices = scan.volume.geometry.size
        self.told.emit(f"Opened {columns} × {rows} × {slices} voxels")

    # Lesions --------------------------------------------------------------------------------

    def new_lesion_id(self) -> str:
        """The first of L1, L2, … that is free."""
        taken = {lesion.lesion_id for lesion in self.state.lesions}
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
                why = "; ".join(finding.message for finding in findings) or "nothing was found"
                self.refused.emit(
                    CallError("no_lesion", f"no lesion here: {why}", "click inside the lesion")
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
        self, lesion_id: str, start: PointLps, end: PointLps, *, short: bool = False
    ) -> None:
        """Put a person's longest diameter or short axis in place of the measured one, LPS mm."""
        self._now(lambda: self._session.draw_diameter(lesion_id, start, end, short=short))

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

    def take_followed(self, follow: FollowUp) -> None:
        """Take the lesions of a follow-up that a person confirmed into the case."""
        from irplan.following import take_over

        def work(task: Task) -> tuple[str, ...]:
            return take_over(self._session, follow, task)

        def then(ids: tuple[str, ...]) -> None:
            self.gesture_findings = ()
            self._after()
            self.told.emit(f"{', '.join(ids)} taken over from the earlier visit")

        self.runner.run("Taking the followed lesions over", work, then)

    def import_anatomy(self, labels: Path, names: Path | None) -> None:
        """Take structures from a label map; they are read and shown at once."""

        def work(task: Task) -> int:
            return len(self._session.import_anatomy(labels, names, task).structures)

        def then(count: int) -> None:
            self._after()
            self.told.emit(f"{count} structures after {labels.name}")

        self.runner.run(f"Importing {labels.name}", work, then)

    def remove(self, lesion_id: str) -> None:
        """Take a drawn lesion off the list."""
        self._now(lambda: self._session.remove_lesion(lesion_id))

    def toggle_biopsy(self, lesion_id: str) -> None:
        """A biopsy of a lesion is due before it is injected, or not any more."""

        def edit(request: PlanRequest) -> PlanRequest:
            due = request.biopsies
            others = tuple(one for one in due if one != lesion_id)
            return replace(request, biopsies=others if lesion_id in due else (*due, lesion_id))

        self._change(edit)

    def exclude(self, lesion_id: str, reason: str) -> None:
        """Leave a lesion out of the dose, for a reason."""
        self._change(lambda request: request.excluding(lesion_id, reason))

    def include(self, lesion_id: str) -> None:
        """Take an excluded lesion back in."""
        self._change(
            lambda request: replace(
                request, excluded=tuple(one for one in request.excluded if one[0] != lesion_id)
            )
        )

    # Choices and doses ----------------------------------------------------------------------

    def forget(self, name: str) -> None:
        """A number of the request is being edited: neither it nor a dose made from it stands.

        ``name`` is a field of the request that a dose is made from: weight_kg, height_cm or
        prescribed_mg.
        """
        nothing = () if name == "prescribed_mg" else None
        if getattr(self.state.request, name) != nothing or self.state.allocation is not None:
            emptied: dict[str, Any] = {name: nothing}
            self._change(lambda request: replace(request, **emptied))

    def split_dose(self, **choices: Any) -> bool:
        """Take over choices of the request (``weight_kg=…``) and split the dose; False: refused."""
        request = self.state.request
        new = {name: value for name, value in choices.items() if getattr(request, name) != value}

        def both() -> None:
            if new:
                self._session.change(lambda present: replace(present, **new))
            self._session.allocate()

        return self._now(both)

    def choose(self, **choices: Any) -> None:
        """Take over choices of the request (protocol, patient position, increment …)."""
        request = self.state.request
        if any(getattr(request, name) != value for name, value in choices.items()):
            self._change(lambda present: replace(present, **choices))

    def accept(self, code: str, reason: str) -> None:
        """Lift an overridable stop for a reason; doses and paths are then made anew."""
        others = tuple(one for one in self.state.request.accepted if one[0] != code)
        had_doses, had_paths = self.state.allocation is not None, self.state.paths is not None
        self._change(lambda request: replace(request, accepted=(*others, (code, reason))))
        if had_doses:
            self.split_dose()
        if had_paths:
            self.propose()

    # Paths and the plan ---------------------------------------------------------------------

    def propose(self) -> None:
        """Propose a path for each lesion."""

        def work(task: Task) -> InjectionPlan:
            self._session.propose_paths(task)
            return self._session.plan(task)

        def then(plan: InjectionPlan) -> None:
            self._after()
            missing = len(plan.paths.unreachable)
            text = f"{len(plan.paths.needles)} needle passes"
            self.told.emit(text + (f", {missing} lesions without a path" if missing else ""))

        self.runner.run("Proposing paths", work, then)

    def choose_path(self, lesion_id: str, needle_id: str) -> None:
        """Prefer another of a lesion's paths."""
        self._now(lambda: self._session.choose_path(lesion_id, needle_id))

    def save(self, folder: Path) -> None:
        """Write the plan and what goes with it into a folder."""

        def work(task: Task) -> InjectionPlan:
            return self._session.save(folder, task)

        def then(plan: InjectionPlan) -> None:
            self._after()
            self.saved_folder = folder
            self.told.emit(f"Saved plan {plan.plan_id[:12]} in {folder}")
            self.saved.emit(folder)

        self.runner.run("Saving the plan", work, then)

    def undo(self) -> None:
        """Take the last change back."""
        self.rewound.emit()
        self._now(self._session.undo)

    def redo(self) -> None:
        """Do again what was taken back."""
        self.rewound.emit()
        self._now(self._session.redo)

    # How verbs are run ----------------------------------------------------------------------

    def _change(self, edit: Callable[[PlanRequest], PlanRequest]) -> None:
        self._now(lambda: self._session.change(edit))

    def _now(self, verb: Callable[[], object]) -> bool:
        """Do something short at once; False where it was refused or work is running."""
        if self.runner.busy or not self.is_open:
            return False
        refusal: IrplanError | None = None
        try:
            verb()
        except IrplanError as error:
            refusal = error
        self.gesture_findings = ()
        self._after()
        if refusal is not None:
            self.refused.emit(refusal)
        return refusal is None

    def _on_refused(self, error: IrplanError) -> None:
        if self._session.is_open:
            self._after()  # a verb of several steps may have done the first of them
        self.refused.emit(error)

    def _after(self) -> None:
        self._read_state()
        self.changed.emit()

    def _read_state(self) -> None:
        """Take over the session's frozen state, and the plan where every part of it stands."""
        self.state = self._session.state
        self.can_undo, self.can_redo = self._session.can_undo, self._session.can_redo
        self.dose_needs = self._needs()
        whole = None not in (self.state.allocation, self.state.anatomy, self.state.paths)
        try:
            self.plan = self._session.plan() if whole and self.state.lesions else None
        except IrplanError as error:
            self.plan = None
            self.refused.emit(error)

    def _needs(self) -> DoseNeeds:
        try:
            protocol = self._session.protocol.document()
        except IrplanError:
            return DoseNeeds()
        rules = {drug["drug"]: drug["rule"] for drug in protocol["drugs"]}
        return DoseNeeds(
            bool({"per_kg", "per_m2"} & set(rules.values())),
            "per_m2" in rules.values(),
            tuple(drug for drug, rule in rules.items() if rule == "prescribed"),
            protocol["note"],
        )
