"""How the window runs the verbs of its session, and what it knows of the case after each.

Long verbs go to the task runner; short ones are done at once, and never while work is running.
After each, the state and the plan are new frozen data and ``changed`` is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PyQt6.QtCore import QObject, pyqtSignal

from irplan.errors import IrplanError
from irplan.findings import Finding
from irplan.geometry import BoolArray
from irplan.plan import InjectionPlan
from irplan.plan.request import PlanRequest
from irplan.session import CaseState, PlanningSession
from irplan.volume import CtVolume
from ui.runner import TaskRunner


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


class CaseWork(QObject):
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
        self.volume: CtVolume | None = None
        self.body: BoolArray | None = None
        self.state = CaseState()
        self.plan: InjectionPlan | None = None
        self.gesture_findings: tuple[Finding, ...] = ()
        self.dose_needs = DoseNeeds()
        self.can_undo = self.can_redo = False
        self.saved_folder: Path | None = None
        runner.refused.connect(self._on_refused)

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
