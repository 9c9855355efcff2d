"""The skin maps of a case, and why a path from a place of them is or is not allowed."""

from __future__ import annotations

from PyQt6.QtCore import QObject, pyqtSignal

from irplan.geometry import PointLps
from irplan.tasks import Task
from irplan.trajectory.skin_map import SkinMap
from ui.case import Case
from ui.skin_map_layer import Explained


class SkinMaps(QObject):
    """Made on the worker, and kept until something that they were made from changes.

    Signals:
        mapped(maps): they stand; () where they do not any more.
        explained(Explained): why a path from a skin point is or is not allowed.
    """

    mapped = pyqtSignal(object)
    explained = pyqtSignal(object)

    def __init__(self, case: Case, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._case = case
        self.maps: tuple[SkinMap, ...] = ()
        self._made_from: tuple[object, ...] = ()
        case.opened.connect(self._forget)
        case.changed.connect(self._on_changed)

    @property
    def possible(self) -> bool:
        """Whether what the skin offers can be told: doses stand, and how the patient lies."""
        case = self._case
        return case.is_open and case.state.allocation is not None and case.position_known

    def make(self) -> None:
        """From every skin point the best path to each lesion."""
        if self.maps:
            self.mapped.emit(self.maps)
            return

        def then(maps: tuple[SkinMap, ...]) -> None:
            self._case.read_again()  # the anatomy was found on the way
            self.maps, self._made_from = maps, self._inputs()
            self.mapped.emit(maps)
            for one in maps[-1:]:
                share = round(100 * one.open_share)
                self._case.told.emit(
                    f"A path is open from {share} % of {len(one.cost)} skin points"
                )

        self._case.runner.run("Mapping the skin", self._case.session.skin_maps, then)

    def explain(self, lesion_id: str, entry_lps_mm: PointLps) -> None:
        """Say why a path from a skin point to a lesion is or is not allowed, as ``irplan why``."""
        session = self._case.session

        def work(task: Task) -> Explained:
            return Explained(
                lesion_id, entry_lps_mm, session.explain_path(lesion_id, entry_lps_mm, task)
            )

        self._case.runner.run("Explaining the path", work, self.explained.emit)

    def _inputs(self) -> tuple[object, ...]:
        state = self._case.state
        return state.allocation, state.anatomy, state.request.patient_position

    def _on_changed(self) -> None:
        inputs = zip(self._made_from, self._inputs(), strict=False)
        if any(one is not other for one, other in inputs):
            self._forget()

    def _forget(self) -> None:
        if self.maps:
            self.maps, self._made_from = (), ()
            self.mapped.emit(())
