"""The earlier visit that is followed: a saved plan, or an older CT with masks of its lesions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget

from irplan.following import OlderScan, scan_of_plan, scan_with_lesions
from irplan.tasks import Task
from ui.widgets import ElidedLabel


class EarlierVisit(QWidget):
    """What was chosen, in words, and the buttons that choose.

    Signals:
        chosen(): another earlier visit was chosen.
    """

    chosen = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._plan: Path | None = None
        self._scan: Path | None = None
        self._mask: Path | None = None
        self._ids: Path | None = None
        self.words = ElidedLabel("The earlier visit: not chosen")
        self.plan = QPushButton("Saved plan…")
        self.plan.setToolTip("The folder of a plan: its CT and its lesions")
        self.scan = QPushButton("CT and masks…")
        self.scan.setToolTip("An older CT, and masks of its lesions")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.words, 1)
        for button in (self.plan, self.scan):
            row.addWidget(button)
        self.plan.clicked.connect(self._ask_plan)
        self.scan.clicked.connect(self._ask_scan)

    @property
    def is_chosen(self) -> bool:
        """Whether there is an earlier visit to follow."""
        return self._plan is not None or self._scan is not None

    def reader(self) -> Callable[[Task], OlderScan]:
        """What reads the visit chosen now; called on a worker.

        Raises:
            LookupError: none is chosen.
        """
        plan, scan, mask, ids = self._plan, self._scan, self._mask, self._ids
        if plan is not None:
            return lambda task: scan_of_plan(plan, task)
        if scan is None:
            raise LookupError("no earlier visit is chosen")
        return lambda task: scan_with_lesions(scan, task, mask=mask, ids=ids)

    def set_plan(self, folder: Path) -> None:
        """The earlier visit is the plan of this folder."""
        self._plan, self._scan, self._mask, self._ids = folder, None, None, None
        self._name(f"plan {folder.name}", folder)

    def set_scan(self, scan: Path, mask: Path, ids: Path | None = None) -> None:
        """The earlier visit is this CT with these masks of its lesions, named by a table."""
        self._plan, self._scan, self._mask, self._ids = None, scan, mask, ids
        self._name(f"{scan.name}, lesions of {mask.name}", scan, mask)

    def _name(self, name: str, *paths: Path) -> None:
        """Say which it is; the hint holds the whole paths."""
        self.words.setText(f"The earlier visit: {name}")
        self.words.setToolTip("\n".join(str(path) for path in paths))
        self.chosen.emit()

    def _ask_plan(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder of the earlier plan")
        if name:
            self.set_plan(Path(name))

    def _ask_scan(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder of the older CT")
        if not name:
            return
        kinds = "Masks (*.dcm *.nrrd *.nii *.nii.gz *.mha *.mhd);;All files (*)"
        mask, _ = QFileDialog.getOpenFileName(self, "Masks of its lesions", name, kinds)
        if mask:
            ids, _ = QFileDialog.getOpenFileName(
                self, "Table of ids (Cancel: L1, L2, …)", str(Path(mask).parent), "CSV (*.csv)"
            )
            self.set_scan(Path(name), Path(mask), Path(ids) if ids else None)
