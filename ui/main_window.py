"""The window: four views, the lesion table, the panels, and how they hang together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PyQt6.QtWidgets import QFileDialog, QLabel, QMainWindow

from irplan.errors import IrplanError
from irplan.geometry import BoolArray, PointLps
from irplan.trajectory.skin_map import SkinMap
from irplan.volume import CtVolume
from ui.actions import Actions, Verbs
from ui.asking import Asking
from ui.case import Case
from ui.dialogs import SeriesDialog, ShortcutsDialog, show_fault
from ui.dose_panel import DosePanel
from ui.drawing import Drawing
from ui.edit_bar import EditBar, EditVerbs
from ui.findings_list import FindingsList
from ui.guide import HINTS, next_step
from ui.layout import page_of, panel_of, strip_of
from ui.lesion_table import LesionTable
from ui.path_panel import PathPanel
from ui.pictures import PictureMaker
from ui.planes import ViewName
from ui.rows import has_drawn_line, lesion_rows, patient_text, unknown_text
from ui.runner import TaskRunner
from ui.scene import PAINTING, Scene, Tool, measured_at
from ui.skin_maps import SkinMaps
from ui.slice_view import SliceView
from ui.view3d import View3D
from ui.widgets import ElidedLabel, FourViews, Notice, Progress

#: What is shown around a lesion that a person turns to: so many of its diameters, within these, mm.
LESION_FIELD_MM = 140.0
SMALLEST_FIELD_MM = 70.0
DIAMETERS_SHOWN = 4.0
BANNER = "For research use only – not a medical device"


class MainWindow(QMainWindow):
    """One window, one case."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("irplan")
        self.setAcceptDrops(True)
        self.resize(1500, 940)
        self.runner = TaskRunner(self)
        self.case = Case(self.runner, self)
        self.skin_maps = SkinMaps(self.case, self)
        self.scene = Scene()
        self.slices = {name: SliceView(self.scene, name) for name in ViewName}
        self.view3d = View3D(self.scene)
        self.pictures = PictureMaker(self.view3d, self)
        self.table = LesionTable()
        self.dose = DosePanel(self.case)
        self.path_panel = PathPanel(self.case, self.scene)
        self.findings = FindingsList()
        self.unknown = QLabel()
        self.unknown.setObjectName("unknown")
        self.unknown.setWordWrap(True)
        self.notice = Notice()
        self.progress = Progress()
        self.patient = ElidedLabel("No scan is open")
        self.patient.setObjectName("patient")
        self.banner = QLabel(BANNER)
        self.banner.setObjectName("banner")
        self.next_step = QLabel()
        self.next_step.setObjectName("attention")
        self._closing = False
        self._series_dialog: SeriesDialog | None = None
        self.asking = Asking(self, self.case, self.scene, self.notice.hide, self.show_place)
        self.actions_ = Actions(
            self,
            self.scene,
            Verbs(
                self.ask_folder,
                self.ask_file,
                self.ask_save,
                self.case.undo,
                self.case.redo,
                self.remove_lesion,
                self.asking.exclude,
                self.show_shortcuts,
                self.enlarge,
                self.view3d.toggle_surface,
                self.toggle_skin_map,
            ),
        )
        self.drawing = Drawing(
            self.case,
            self.scene,
            self.notice,
            lambda: (self.actions_.next_kind, self.edit_bar.next_segmenter),
            tuple(self.slices.values()),
        )
        self.edit_bar = EditBar(
            self,
            self.scene,
            EditVerbs(
                self.drawing.edit_whole,
                self.drawing.split,
                self.asking.place,
                self.drawing.measure_again,
                self.toggle_biopsy,
                self.case.clear_no_go,
                self.asking.masks,
                self.asking.anatomy,
                self.asking.earlier_visit,
            ),
            tuple(self.actions_.tools[tool] for tool in PAINTING),
            self.actions_.shown,
        )
        self.addToolBarBreak()
        self.addToolBar(self.edit_bar)
        self.views = FourViews((*self.slices.values(), self.view3d))
        self.panel = panel_of((self.dose, self.path_panel), self.unknown, self.findings)
        self.setCentralWidget(
            page_of(
                (self.patient, self.banner),
                self.notice,
                self.views,
                strip_of(self.next_step, (self.actions_.remove, self.actions_.exclude)),
                self.table,
                self.panel,
            )
        )
        bar = self.statusBar()
        if bar is not None:
            bar.addPermanentWidget(self.progress)
        self._connect()
        self._refresh()

    def _connect(self) -> None:
        case, runner, scene = self.case, self.runner, self.scene
        self.progress.follow(runner)
        runner.started.connect(self._refresh)
        runner.stopped.connect(self._on_stopped)
        runner.cancelled.connect(self._on_cancelled)
        runner.faulted.connect(self._on_fault)
        self.pictures.runner.faulted.connect(self._on_fault)
        case.opened.connect(self._on_opened)
        case.changed.connect(self._on_changed)
        case.several.connect(self._on_several)
        case.refused.connect(self._on_refused)
        case.told.connect(self._say)
        self.skin_maps.mapped.connect(self._on_mapped)
        self.skin_maps.explained.connect(self.view3d.show_explained)
        case.arriving.begun.connect(self._on_arriving)
        case.arriving.grown.connect(scene.grow)
        self.view3d.asked.connect(self._on_asked_why)
        self.table.picked.connect(self.show_lesion)
        self.table.placing.connect(self._on_placing)
        self.path_panel.picked.connect(self.show_needle)
        self.findings.asked.connect(self.asking.accept)
        self.findings.pointed.connect(self._on_pointed)
        scene.selection_changed.connect(self._on_selection)
        scene.tool_changed.connect(self._on_tool)
        for view in self.slices.values():
            view.refused.connect(self._on_refused)
        for view in self.slices.values():
            view.enlarge.connect(partial(self.views.enlarge, view))
        self.view3d.enlarge.connect(partial(self.views.enlarge, self.view3d))

    # Opening and saving ---------------------------------------------------------------------

    def open_path(self, path: Path) -> None:
        """Open a folder or file."""
        self.notice.hide()
        self.case.open(path)

    def ask_folder(self) -> None:
        """Ask for a folder of DICOM files and open it."""
        name = QFileDialog.getExistingDirectory(self, "Open a folder with a CT")
        if name:
            self.open_path(Path(name))

    def ask_file(self) -> None:
        """Ask for a file and open it."""
        kinds = "CT (*.dcm *.zip *.nrrd *.nii *.nii.gz *.mha *.mhd DICOMDIR);;All files (*)"
        name, _ = QFileDialog.getOpenFileName(self, "Open a CT", "", kinds)
        if name:
            self.open_path(Path(name))

    def ask_save(self) -> None:
        """Ask for a folder and save the plan there."""
        name = QFileDialog.getExistingDirectory(self, "Save the plan in a folder of its own")
        if name:
            self.case.save(Path(name))

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802 - Qt's name
        data = None if event is None else event.mimeData()
        if event is not None and data is not None and data.hasUrls() and not self.runner.busy:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802 - Qt's name
        data = None if event is None else event.mimeData()
        names = [] if data is None else [url.toLocalFile() for url in data.urls()]
        if names and names[0]:
            self.open_path(Path(names[0]))

    def _on_several(self, path: Path, entries: tuple[Any, ...]) -> None:
        dialog = SeriesDialog(entries, self)
        dialog.accepted.connect(
            lambda: self.case.open(path, dialog.chosen) if dialog.chosen else None
        )
        self._series_dialog = dialog
        dialog.open()

    def _on_arriving(self, volume: CtVolume, there: BoolArray) -> None:
        """Show slices of the scan that is being read; nothing of the case before stands beside."""
        self.scene.set_tool(Tool.BROWSE)
        self.patient.setText("A scan is being read: look at it, nothing else yet")
        self._stand_back(True)
        self.scene.begin_arriving(volume, there)
        self.findings.fill(())
        self._refresh()

    def _stand_back(self, back: bool) -> None:
        """Hide what belongs to the case before, while another scan is read."""
        content = self.panel.widget()
        if content is not None:
            content.setVisible(not back)

    def _end_arriving(self) -> None:
        """The scan was not read to its end: the case before is shown again."""
        if self.scene.there is None:
            return
        self.scene.clear()
        self._stand_back(False)
        volume, body = self.case.volume, self.case.body
        self.patient.setText("No scan is open")
        if volume is not None and body is not None:
            self._show_scan(volume, body)
        self._on_changed()

    def _show_scan(self, volume: CtVolume, body: BoolArray) -> None:
        self.patient.setText(patient_text(volume, date.today()))
        self.scene.set_volume(volume, body)
        self.pictures.show_patient(volume, body)

    def _on_opened(self) -> None:
        volume, body = self.case.volume, self.case.body
        if volume is None or body is None:
            return
        self.notice.hide()
        self._stand_back(False)
        self._show_scan(volume, body)
        self.slices[ViewName.AXIAL].setFocus()

    # Lesions --------------------------------------------------------------------------------

    def _on_placing(self, lesion_id: str) -> None:
        self.scene.select(lesion_id)
        self.asking.place()

    def remove_lesion(self) -> None:
        """Take the selected lesion off the list."""
        if self.scene.lesion_id:
            self.case.remove(self.scene.lesion_id)

    def show_lesion(self, lesion_id: str) -> None:
        """Select a lesion and go to where it is measured."""
        self.scene.select(lesion_id)
        lesion = self.scene.lesion(lesion_id)
        point = None if lesion is None else measured_at(lesion)
        if lesion is not None and point is not None:
            wide = DIAMETERS_SHOWN * (lesion.diameter_3d_mm or LESION_FIELD_MM)
            field_mm = max(SMALLEST_FIELD_MM, min(wide, LESION_FIELD_MM))
            self._go_to(point, point, field_mm)
            self.view3d.come_near(point, 2 * LESION_FIELD_MM)

    def show_place(self, lesion_id: str, point: PointLps) -> None:
        """Go to a place, LPS mm; where a lesion is named, select it, else none."""
        if self.scene.lesion(lesion_id) is not None:
            self.show_lesion(lesion_id)
            return
        self.scene.select("")
        self._go_to(point, point, LESION_FIELD_MM)
        self.view3d.come_near(point, 2 * LESION_FIELD_MM)

    def show_needle(self, needle_id: str) -> None:
        """Select a needle and go to its tip."""
        needle = self.scene.needle(needle_id)
        if needle is not None:
            kept = self.scene.lesion_id
            lesion_id = kept if kept in needle.lesion_ids else needle.lesion_ids[0]
            self.scene.select(lesion_id, needle_id)
            entry, tip = needle.entry_lps_mm, needle.tip_lps_mm
            middle = tuple((a + b) / 2 for a, b in zip(entry, tip, strict=True))
            field_mm = max(LESION_FIELD_MM, 1.4 * needle.depth_mm)
            self._go_to(tip, middle, field_mm)
            self.view3d.come_near(tip, 2 * field_mm, entry)

    def _go_to(self, point: PointLps, middle: Sequence[float], field_mm: float) -> None:
        self.scene.set_crosshair(point)
        for view in self.slices.values():
            view.come_near(middle, field_mm)

    def toggle_skin_map(self) -> None:
        """Colour the skin by what it offers for a needle, or show it plain again."""
        self.notice.hide()
        if self.view3d.skin_map is not None:
            self.view3d.show_skin_maps(())
        elif self.skin_maps.possible:
            self.skin_maps.make()
        self._refresh()

    def _on_mapped(self, maps: tuple[SkinMap, ...]) -> None:
        self.view3d.show_skin_maps(maps)
        self._refresh()

    def _on_asked_why(self, lesion_id: str, entry: PointLps) -> None:
        """Why a path from a point of the skin map may be taken or not."""
        self.scene.set_crosshair(entry)
        self.skin_maps.explain(lesion_id or self._nearest_mapped(entry), entry)

    def _nearest_mapped(self, point: PointLps) -> str:
        """The lesion that is meant where nothing is open from a skin point."""
        mapped = {one.lesion_id for one in self.skin_maps.maps}
        near = [one for one in self.scene.lesions if one.lesion_id in mapped]
        return min(near, key=lambda one: math.dist(one.centroid_lps_mm or point, point)).lesion_id

    def toggle_biopsy(self) -> None:
        """A biopsy of the selected lesion is due, or not any more."""
        if self.scene.lesion_id:
            self.case.toggle_biopsy(self.scene.lesion_id)

    def _on_pointed(self, subject: str) -> None:
        if self.scene.lesion(subject) is not None:
            self.show_lesion(subject)
        elif self.scene.needle(subject) is not None:
            self.show_needle(subject)

    # What changed ---------------------------------------------------------------------------

    def _on_changed(self) -> None:
        case, state, paths = self.case, self.case.state, self.case.paths
        self.pictures.show_lesions(state.lesions)
        self.scene.set_content(
            state.lesions,
            state.request.prompts,
            () if paths is None else paths.needles,
            () if paths is None else paths.alternatives,
            () if paths is None else paths.biopsies,
        )
        zone, volume = state.request.no_go, case.volume
        self.scene.set_no_go(None if zone is None or volume is None else zone.mask(volume.geometry))
        anatomy = state.anatomy
        if anatomy is None:
            self.scene.set_anatomy(None, {}, ())
        else:
            names = {structure.label: structure.name for structure in anatomy.structures}
            self.scene.set_anatomy(anatomy.labels, names, anatomy.unknown)
        self.drawing.select_coming()
        self.findings.fill(case.findings)
        self._refresh()

    def _on_selection(self) -> None:
        self._refresh()

    def _on_tool(self) -> None:
        self._say(HINTS.get(self.scene.tool, ""))

    def _refresh(self) -> None:
        """Bring table, hints and what may be done in line with what stands now."""
        case, scene = self.case, self.scene
        allocation = case.state.allocation
        rows = lesion_rows(
            () if scene.there is not None else case.state.lesions,
            None if allocation is None else allocation.document(),
            case.paths,
            case.findings,
            case.state.request.biopsies,
        )
        colours = {row.lesion_id: scene.colour_of(row.lesion_id) for row in rows}
        self.table.fill(rows, colours, scene.lesion_id)
        self.unknown.setText(unknown_text(scene.unknown))
        self.unknown.setVisible(bool(scene.unknown))
        self.next_step.setText(next_step(case))
        self.actions_.refresh(
            is_open=case.is_open,
            busy=self.runner.busy,
            lesion=scene.lesion_id,
            can_undo=case.can_undo,
            can_redo=case.can_redo,
            can_save=case.plan is not None,
            can_map=self.skin_maps.possible,
            mapped=self.view3d.skin_map is not None,
        )
        lesion = scene.lesion(scene.lesion_id)
        self.edit_bar.refresh(
            free=case.is_open and not self.runner.busy,
            lesion=lesion is not None and lesion.mask is not None,
            no_go=scene.no_go is not None,
            drawn=lesion is not None and has_drawn_line(lesion),
            due=scene.lesion_id in case.state.request.biopsies,
        )
        self.panel.setEnabled(case.is_open and not self.runner.busy)

    # Work, refusals, closing ----------------------------------------------------------------

    def _on_stopped(self) -> None:
        self._refresh()
        if self._closing:
            self.close()

    def _on_cancelled(self, label: str) -> None:
        self._end_arriving()
        self._say(f"{label}: cancelled, nothing changed")

    def _on_refused(self, error: IrplanError) -> None:
        self._end_arriving()
        self.notice.tell(error)

    def _on_fault(self, error: Exception) -> None:
        self._end_arriving()
        show_fault(self, error)

    def show_shortcuts(self) -> None:
        """What keys and mouse do."""
        dialog = ShortcutsDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def enlarge(self) -> None:
        """Enlarge the view under the mouse or with the focus, or show all four again."""
        for view in (*self.slices.values(), self.view3d):
            under = view.rect().contains(view.mapFromGlobal(QPoint(self.cursor().pos())))
            if view.isVisible() and (under or view.hasFocus()):
                self.views.enlarge(view)
                return

    def _say(self, text: str) -> None:
        bar = self.statusBar()
        if bar is not None:
            bar.showMessage(text)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802 - Qt's name
        if self.runner.busy:
            # Wait for the next step of the work; the window closes when it has stopped.
            self._closing = True
            self.runner.cancel()
            if event is not None:
                event.ignore()
            return
        self.pictures.runner.cancel()
        self.pictures.runner.wait()
        self.asking.close()
        self.view3d.close_rendering()
        super().closeEvent(event)
