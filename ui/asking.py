"""What is asked of a person in dialogs, and the verb that the answer calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QFileDialog, QWidget

from irplan.geometry import PointLps
from ui.case import Case
from ui.dialogs import PlaceDialog, ask_reason
from ui.scene import Scene

if TYPE_CHECKING:
    # What follows lesions takes long to load, and most cases have no earlier visit.
    from ui.follow_window import FollowWindow


class Asking:
    """The questions about the selected lesion, about files to import and about stops.

    ``begin`` is called before an answer is acted on: what was refused before is no news any more.
    ``point`` shows a lesion, or a place where none is drawn yet, in the views.
    """

    def __init__(
        self,
        window: QWidget,
        case: Case,
        scene: Scene,
        begin: Callable[[], None],
        point: Callable[[str, PointLps], None],
    ) -> None:
        self._window, self._case, self._scene, self._begin = window, case, scene, begin
        self._point = point
        self.follow_window: FollowWindow | None = None

    def earlier_visit(self) -> None:
        """Show the window of the follow-up from an earlier visit."""
        from ui.follow_window import FollowWindow

        if self.follow_window is None:
            self.follow_window = FollowWindow(self._case, self._window)
            self.follow_window.pointed.connect(self._point)
        self.follow_window.show()
        self.follow_window.raise_()

    def close(self) -> None:
        """End what the questions have begun; called when the window closes."""
        if self.follow_window is not None:
            self.follow_window.runner.cancel()
            self.follow_window.runner.wait()

    def place(self) -> None:
        """Ask for site and side of the selected lesion."""
        lesion = self._scene.lesion(self._scene.lesion_id)
        if lesion is None or lesion.mask is None:
            return
        proposed = lesion.side_source == "proposed"
        dialog = PlaceDialog(lesion.lesion_id, lesion.site, lesion.side, proposed, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(lambda: self._case.place(lesion.lesion_id, *dialog.chosen))
        dialog.open()

    def masks(self) -> None:
        """Ask for masks of lesions, and for a table that names them."""
        kinds = "Masks (*.dcm *.nrrd *.nii *.nii.gz *.mha *.mhd);;All files (*)"
        name, _ = QFileDialog.getOpenFileName(self._window, "Import masks of lesions", "", kinds)
        if name:
            ids, _ = QFileDialog.getOpenFileName(
                self._window,
                "Table of ids (Cancel: L1, L2, …)",
                str(Path(name).parent),
                "CSV (*.csv)",
            )
            self._begin()
            self._case.import_masks(Path(name), Path(ids) if ids else None)

    def anatomy(self) -> None:
        """Ask for a label map of the anatomy, and for the names of its labels."""
        kinds = "Label maps (*.nrrd *.nii *.nii.gz *.mha *.mhd *.dcm);;All files (*)"
        name, _ = QFileDialog.getOpenFileName(self._window, "Import a label map", "", kinds)
        if name:
            names, _ = QFileDialog.getOpenFileName(
                self._window,
                "Names of its labels (Cancel: TotalSegmentator's)",
                str(Path(name).parent),
                "JSON (*.json)",
            )
            self._begin()
            self._case.import_anatomy(Path(name), Path(names) if names else None)

    def exclude(self) -> None:
        """Leave the selected lesion out for a reason, or take it back in."""
        lesion_id = self._scene.lesion_id
        if lesion_id in dict(self._case.state.request.excluded):
            self._case.include(lesion_id)
            return
        reason = ask_reason(self._window, "Exclude", f"Why does {lesion_id} get no dose?")
        if reason:
            self._case.exclude(lesion_id, reason)

    def accept(self, code: str) -> None:
        """Lift a stop for a reason."""
        reason = ask_reason(self._window, "Lift a stop", f"Why may '{code}' be lifted?")
        if reason:
            self._case.accept(code, reason)
