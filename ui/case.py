"""The window's side of a session: every verb of the work, run so that the window stays responsive.

The views and panels paint from :attr:`Case.state` and :attr:`Case.plan` and never ask the session.
How verbs are run is in :mod:`ui.case_work`, those for lesions are in :mod:`ui.case_lesions`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from PyQt6.QtCore import QObject

from irplan.casework import findings_on_lesions
from irplan.errors import CallError
from irplan.findings import Finding, Severity
from irplan.plan import InjectionPlan
from irplan.plan.request import PlanRequest
from irplan.tasks import Task
from irplan.trajectory import PatientPosition
from irplan.trajectory.needle import PathPlan
from ui.arriving import Arriving
from ui.case_lesions import CaseLesions
from ui.runner import TaskRunner

#: Code of the refusal of a path from which one of several series has to be named.
SEVERAL_SERIES = "several_series"


class Case(CaseLesions):
    """One session and what the window knows of it."""

    def __init__(self, runner: TaskRunner, parent: QObject | None = None) -> None:
        super().__init__(runner, parent)
        self.arriving = Arriving(self)

    # What stands now ------------------------------------------------------------------------

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
        self.end_following()
        self._read_state()
        self.opened.emit()
        self.changed.emit()
        columns, rows, slices = scan.volume.geometry.size
        self.told.emit(f"Opened {columns} × {rows} × {slices} voxels")

    def import_anatomy(self, labels: Path, names: Path | None) -> None:
        """Take structures from a label map; they are read and shown at once."""

        def work(task: Task) -> int:
            return len(self._session.import_anatomy(labels, names, task).structures)

        def then(count: int) -> None:
            self._after()
            self.told.emit(f"{count} structures after {labels.name}")

        self.runner.run(f"Importing {labels.name}", work, then)

    # Choices and doses ----------------------------------------------------------------------

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
