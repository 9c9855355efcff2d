"""The follow-up from an earlier visit: what became of each lesion, and a person's word on it.

The scan that is open is the newer one. The work is the core's (:mod:`irplan.following`), the same
that ``irplan follow`` does; the window shows what is proposed and gathers what a person says.
"""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QCloseEvent, QPixmap
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from irplan.errors import IrplanError
from irplan.export.lesion_pairs import LesionPair, lesion_pairs, new_lesion_pairs
from irplan.export.raster import draw_picture
from irplan.following import (
    FollowedScans,
    OlderScan,
    follow_older,
    scan_of_plan,
    scan_with_lesions,
)
from irplan.followup import Decision, FollowUp
from irplan.tasks import Task
from ui import theme
from ui.case import Case
from ui.dialogs import ask_reason
from ui.findings_list import FindingsList
from ui.follow_rows import (
    FOLLOW_COLUMNS,
    NEW_ID,
    REASON,
    SAID,
    STATUS_WORDS,
    FollowRow,
    follow_rows,
)
from ui.images import rgb_image
from ui.runner import TaskRunner
from ui.widgets import ElidedLabel, Notice, Progress

#: Side of a picture, pixels.
PICTURE_PX = 300
NOT_SAID = "not confirmed"


class FollowWindow(QDialog):
    """Choose the earlier visit, follow its lesions, confirm, write, take over."""

    def __init__(self, case: Case, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Follow-up from an earlier visit")
        self.resize(1360, 860)
        self._case = case
        self._plan: Path | None = None
        self._scan: Path | None = None
        self._mask: Path | None = None
        self._ids: Path | None = None
        self._older: OlderScan | None = None
        self._made: FollowedScans | None = None
        self._proposed: FollowUp | None = None
        self._now: FollowUp | None = None
        self._accepted: dict[str, str] = {}
        self._rows: tuple[FollowRow, ...] = ()
        self._pairs: tuple[LesionPair, ...] = ()
        self.runner = TaskRunner(self)
        self.source = ElidedLabel("The earlier visit: not chosen")
        self.choose_plan = QPushButton("Saved plan…")
        self.choose_plan.setToolTip("The folder of a plan: its CT and its lesions")
        self.choose_scan = QPushButton("CT and masks…")
        self.choose_scan.setToolTip("An older CT, and masks of its lesions")
        self.follow = QPushButton("Follow the lesions")
        self.follow.setObjectName("primary")
        self.notice, self.progress = Notice(), Progress()
        self.table = QTableWidget(0, len(FOLLOW_COLUMNS))
        self.findings = FindingsList()
        self.pictures = QWidget()
        self.pictures.setStyleSheet(f"background: {theme.BACKGROUND}; color: {theme.TEXT};")
        self._grid = QGridLayout(self.pictures)
        self.confirm_all = QPushButton("Confirm all as proposed")
        self.write = QPushButton("Write the follow-up…")
        self.write.setToolTip("Document, masks, picture and what was confirmed, into a folder")
        self.take = QPushButton("Take the lesions over")
        self.take.setObjectName("primary")
        self._lay_out()
        self._connect()
        self._refresh()

    # Layout ---------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.table.setHorizontalHeaderLabels(FOLLOW_COLUMNS)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setAccessibleName("what became of the lesions")
        self.table.setObjectName("lesions")
        rows, columns = self.table.verticalHeader(), self.table.horizontalHeader()
        if rows is not None:
            rows.hide()
            rows.setDefaultSectionSize(36)
        if columns is not None:
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            columns.setSectionResizeMode(len(FOLLOW_COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)
        first = QHBoxLayout()
        first.addWidget(self.source, 1)
        for button in (self.choose_plan, self.choose_scan, self.follow):
            first.addWidget(button)
        last = QHBoxLayout()
        last.addWidget(self.progress)
        last.addStretch(1)
        for button in (self.confirm_all, self.write, self.take):
            last.addWidget(button)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(self.pictures)
        below = QSplitter(Qt.Orientation.Horizontal)
        below.addWidget(area)
        below.addWidget(self.findings)
        below.setSizes([700, 600])
        whole = QSplitter(Qt.Orientation.Vertical)
        whole.addWidget(self.table)
        whole.addWidget(below)
        whole.setSizes([300, 440])
        column = QVBoxLayout(self)
        banner = QLabel("For research use only – not a medical device")
        banner.setObjectName("banner")
        column.addWidget(banner)
        column.addLayout(first)
        column.addWidget(self.notice)
        column.addWidget(whole, 1)
        column.addLayout(last)
        for button in self.findChildren(QPushButton):
            button.setAutoDefault(False)  # Return in a field confirms nothing

    def _connect(self) -> None:
        runner = self.runner
        runner.started.connect(self._on_started)
        runner.progress.connect(self.progress.report)
        runner.stopped.connect(self._on_stopped)
        runner.cancelled.connect(lambda label: self.notice.attend(f"{label}: cancelled"))
        runner.refused.connect(self._on_refused)
        runner.faulted.connect(self._on_fault)
        self.progress.cancel.clicked.connect(runner.cancel)
        self.choose_plan.clicked.connect(self._ask_plan)
        self.choose_scan.clicked.connect(self._ask_scan)
        self.follow.clicked.connect(self.start)
        self.confirm_all.clicked.connect(self._on_confirm_all)
        self.write.clicked.connect(self._ask_write)
        self.take.clicked.connect(self._on_take)
        self.table.itemSelectionChanged.connect(self._show_pictures)
        self.findings.asked.connect(self._on_lift)
        self._case.opened.connect(self._forget)
        self._case.runner.started.connect(self._refresh)
        self._case.runner.stopped.connect(self._refresh)

    # The earlier visit ----------------------------------------------------------------------

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

    def set_plan(self, folder: Path) -> None:
        """The earlier visit is the plan of this folder."""
        self._plan, self._scan, self._mask = folder, None, None
        self._name_source(f"plan {folder.name}", folder)
        self._forget()

    def set_scan(self, scan: Path, mask: Path, ids: Path | None = None) -> None:
        """The earlier visit is this CT with these masks of its lesions, named by a table."""
        self._plan, self._scan, self._mask, self._ids = None, scan, mask, ids
        self._name_source(f"{scan.name}, lesions of {mask.name}", scan, mask)
        self._forget()

    def _name_source(self, name: str, *paths: Path) -> None:
        """Say which earlier visit it is; the hint holds the whole paths."""
        self.source.setText(f"The earlier visit: {name}")
        self.source.setToolTip("\n".join(str(path) for path in paths))

    def _forget(self) -> None:
        """Nothing that was found holds any more."""
        self.runner.cancel()
        self._older = self._made = self._proposed = self._now = None
        self._accepted, self._rows, self._pairs = {}, (), ()
        self.notice.hide()
        self.table.setRowCount(0)
        self.findings.fill(())
        self._clear_pictures()
        self._refresh()

    # Following ------------------------------------------------------------------------------

    def start(self) -> None:
        """Lay the scans over each other and follow the lesions."""
        volume, body = self._case.volume, self._case.body
        if volume is None or body is None or (self._plan is None and self._scan is None):
            return
        self.notice.hide()
        before, plan, scan = self._older, self._plan, self._scan
        mask, ids = self._mask, self._ids
        accepted = dict(self._accepted)

        def work(task: Task) -> tuple[OlderScan, FollowedScans, FollowUp, tuple[LesionPair, ...]]:
            older = before
            if older is None and plan is not None:
                older = scan_of_plan(plan, task)
            elif older is None and scan is not None:
                older = scan_with_lesions(scan, task, mask=mask, ids=ids)
            assert older is not None
            made = follow_older(older, volume, body, task, accepted=accepted)
            found = made.judged((), accepted)
            pairs = lesion_pairs(found, older.volume, volume)
            return older, made, found, (*pairs, *new_lesion_pairs(found, older.volume, volume))

        def then(
            result: tuple[OlderScan, FollowedScans, FollowUp, tuple[LesionPair, ...]],
        ) -> None:
            if self._case.volume is not volume:
                return  # another scan was opened meanwhile
            self._older, self._made, self._proposed, self._pairs = result
            self._now = self._proposed
            self._fill()

        self.runner.run("Following the lesions", work, then)

    def _fill(self) -> None:
        """Show the proposals, nothing said about them yet."""
        if self._proposed is None or self._now is None:
            return
        self._rows = follow_rows(self._proposed, self._now)
        blocked = self.table.blockSignals(True)
        self.table.setRowCount(len(self._rows))
        for number, row in enumerate(self._rows):
            self._fill_cells(number, row)
            said, named, reason = QComboBox(), QLineEdit(), QLineEdit()
            if row.drawn:
                said.addItem("shown by a gesture", "")
            else:
                said.addItem(NOT_SAID, "")
                for status in row.possible:
                    said.addItem(STATUS_WORDS[status], status)
            said.setEnabled(not row.drawn)
            said.setAccessibleName(f"what you say of {row.cells[0]} {row.cells[1]}")
            named.setEnabled(row.may_be_named)
            named.setPlaceholderText("as proposed" if row.may_be_named else "")
            reason.setPlaceholderText("why")
            said.activated.connect(self._judge)
            named.editingFinished.connect(self._judge)
            reason.editingFinished.connect(self._judge)
            for column, widget in ((SAID, said), (NEW_ID, named), (REASON, reason)):
                self.table.setCellWidget(number, column, widget)
        self.table.blockSignals(blocked)
        if self._rows:
            self.table.selectRow(0)
        self._tell()

    def _fill_cells(self, number: int, row: FollowRow) -> None:
        for column, text in enumerate(row.cells):
            if column not in (SAID, NEW_ID, REASON):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.table.setItem(number, column, item)

    # A person's word ------------------------------------------------------------------------

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What a person says so far."""
        said = []
        for number, row in enumerate(self._rows):
            status = str(self.said(number).currentData())
            if status:
                named, reason = (self._text(number, column) for column in (NEW_ID, REASON))
                said.append(row.decision(status, named, reason))
        return tuple(said)

    @property
    def table_rows(self) -> tuple[FollowRow, ...]:
        """The rows of the table."""
        return self._rows

    def say(self, number: int, status: str) -> None:
        """Say this of a row; '' takes it back."""
        box = self.said(number)
        box.setCurrentIndex(max(0, box.findData(status)))
        self._judge()

    def said(self, number: int) -> QComboBox:
        """The choice of a row."""
        box = self.table.cellWidget(number, SAID)
        assert isinstance(box, QComboBox)
        return box

    def _text(self, number: int, column: int) -> str:
        field = self.table.cellWidget(number, column)
        return field.text() if isinstance(field, QLineEdit) else ""

    def _judge(self) -> None:
        """Let what was said count; what is not possible is refused and told."""
        if self._made is None or self._proposed is None:
            return
        self.notice.hide()
        try:
            self._now = self._made.judged(self.decisions, self._accepted)
        except IrplanError as error:
            self._now = None
            self.notice.refuse(error.message, error.remedy)
            self._refresh()
            return
        self._rows = follow_rows(self._proposed, self._now)
        for number, row in enumerate(self._rows):
            self._fill_cells(number, row)
        self._tell()

    def _on_confirm_all(self) -> None:
        """Every proposal that nothing was said about is so."""
        for number, row in enumerate(self._rows):
            box = self.said(number)
            if not row.drawn and not box.currentData():
                box.setCurrentIndex(box.findData(row.possible[0]))
        self._judge()

    def _on_lift(self, code: str) -> None:
        reason = ask_reason(self, "Lift a stop", f"Why may '{code}' be lifted?")
        if reason:
            self._accepted[code] = reason
            # What forbade following the lesions at all is followed now.
            if self._now is not None and self._now.refused:
                self.start()
            else:
                self._judge()

    def _tell(self) -> None:
        if self._made is not None and self._now is not None:
            order = ("stop", "warn", "info")
            found = dict.fromkeys((*self._made.noticed, *self._now.findings))
            self.findings.fill(
                tuple(sorted(found, key=lambda one: order.index(one.severity.value)))
            )
            if self._now.refused:
                self.notice.refuse(
                    "the two scans cannot be used together", "see the findings below"
                )
        self._refresh()

    # Pictures -------------------------------------------------------------------------------

    def _show_pictures(self) -> None:
        self._clear_pictures()
        number = self.table.currentRow()
        if not 0 <= number < len(self._rows):
            return
        row = self._rows[number]
        wanted = row.old_ids or row.new_ids
        for place, pair in enumerate(one for one in self._pairs if one.lesion_id in wanted):
            for column, picture in enumerate((pair.before, pair.now)):
                shown, caption = QLabel(), QLabel(f"{pair.lesion_id}. {picture.caption}")
                pixels = draw_picture(picture, PICTURE_PX / picture.view.columns)
                shown.setPixmap(QPixmap.fromImage(rgb_image(pixels)))
                shown.setAccessibleName(caption.text())
                caption.setWordWrap(True)
                caption.setMaximumWidth(PICTURE_PX)
                self._grid.addWidget(shown, 2 * place, column)
                self._grid.addWidget(caption, 2 * place + 1, column)
        self._grid.setRowStretch(self._grid.rowCount(), 1)
        self._grid.setColumnStretch(2, 1)

    def _clear_pictures(self) -> None:
        while self._grid.count():
            item = self._grid.takeAt(0)
            widget = None if item is None else item.widget()
            if widget is not None:
                widget.deleteLater()

    # Writing, taking over -------------------------------------------------------------------

    def _ask_write(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "A folder for the follow-up")
        if name:
            self.write_to(Path(name))

    def write_to(self, folder: Path) -> None:
        """Write what stands now into a folder, as ``irplan follow --confirm`` does."""
        made, now, decisions = self._made, self._now, self.decisions
        if made is None or now is None:
            return

        def work(_task: Task) -> None:
            made.write(folder, now, decisions)

        self.runner.run(
            "Writing the follow-up",
            work,
            lambda _: self.notice.attend(f"The follow-up is written in {folder}"),
        )

    def _on_take(self) -> None:
        if self._now is not None:
            self._case.take_followed(self._now)

    # State ----------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Allow what makes sense now."""
        busy = self.runner.busy
        chosen = self._plan is not None or self._scan is not None
        judged = self._now is not None and not self._now.refused
        for button in (self.choose_plan, self.choose_scan):
            button.setEnabled(not busy)
        self.follow.setEnabled(not busy and chosen and self._case.is_open)
        self.table.setEnabled(not busy)
        self.confirm_all.setEnabled(not busy and judged and bool(self._rows))
        self.write.setEnabled(not busy and judged)
        open_stops = () if self._now is None else self._now.open_stops
        self.take.setEnabled(not busy and not self._case.runner.busy and judged and not open_stops)
        self.take.setToolTip(
            "\n".join(one.message for one in open_stops)
            or "The followed lesions, with their ids, become lesions of the scan that is open"
        )

    def _on_started(self, label: str) -> None:
        self.progress.begin(label)
        self._refresh()

    def _on_stopped(self) -> None:
        self.progress.hide()
        self._refresh()

    def _on_refused(self, error: IrplanError) -> None:
        self.notice.refuse(error.message, error.remedy)

    def _on_fault(self, error: Exception) -> None:
        self.notice.refuse(f"a fault of the program: {error!r}", "nothing was changed")

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802 - Qt's name
        self.runner.cancel()
        super().closeEvent(event)
