"""The follow-up from an earlier visit: what became of each lesion, and a person's word on it.

The scan that is open is the newer one. The work is the core's (:mod:`irplan.following`), the same
that ``irplan follow`` does; the window shows what is proposed and gathers what a person says. What
a person draws or corrects in the views of the main window counts at once.
"""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QCloseEvent, QPixmap, QShowEvent
from PyQt6.QtWidgets import (
    QDialog,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from irplan.errors import IrplanError
from irplan.export.lesion_pairs import LesionPair, lesion_pairs, new_lesion_pairs
from irplan.export.raster import draw_picture
from irplan.following import FollowedScans, OlderScan, follow_older
from irplan.followup import FollowUp
from irplan.geometry import PointLps
from irplan.lesions.lesion import Lesion
from irplan.tasks import Task
from ui import theme
from ui.case import Case
from ui.dialogs import ask_reason, show_fault
from ui.findings_list import FindingsList
from ui.follow_rows import FollowRow, follow_rows
from ui.follow_source import EarlierVisit
from ui.follow_table import FollowTable
from ui.images import rgb_image
from ui.runner import TaskRunner
from ui.widgets import Notice, Progress

#: Side of a picture, pixels.
PICTURE_PX = 300


class FollowWindow(QDialog):
    """Choose the earlier visit, follow its lesions, correct, confirm, write, take over.

    Signals:
        pointed(lesion_id, point): a person wants to see a place of the open scan, LPS mm; the
            lesion is '' where none is drawn there yet.
    """

    pointed = pyqtSignal(str, object)

    def __init__(self, case: Case, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Follow-up from an earlier visit")
        self.resize(1360, 860)
        self._case = case
        self._older: OlderScan | None = None
        self._made: FollowedScans | None = None
        self._proposed: FollowUp | None = None
        self._now: FollowUp | None = None
        self._shown: tuple[Lesion, ...] = ()
        self._accepted: dict[str, str] = {}
        self.runner = TaskRunner(self)
        self.source = EarlierVisit()
        self.follow = QPushButton("Follow the lesions")
        self.follow.setObjectName("primary")
        self.notice, self.progress = Notice(), Progress()
        self.table = FollowTable()
        self.findings = FindingsList()
        self.pictures = QWidget()
        self.pictures.setStyleSheet(f"background: {theme.BACKGROUND}; color: {theme.TEXT};")
        self._grid = QGridLayout(self.pictures)
        self.correct = QPushButton("Correct on the scan")
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
        first = QHBoxLayout()
        first.addWidget(self.source, 1)
        first.addWidget(self.follow)
        last = QHBoxLayout()
        last.addWidget(self.correct)
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
        runner, case = self.runner, self._case
        self.progress.follow(runner)
        runner.started.connect(self._refresh)
        runner.stopped.connect(self._refresh)
        runner.cancelled.connect(lambda label: self.notice.attend(f"{label}: cancelled"))
        runner.refused.connect(self.notice.tell)
        runner.faulted.connect(lambda error: show_fault(self, error))
        self.source.chosen.connect(self._forget)
        self.follow.clicked.connect(self.start)
        self.correct.clicked.connect(self._on_correct)
        self.confirm_all.clicked.connect(self.table.confirm_rest)
        self.write.clicked.connect(self._ask_write)
        self.take.clicked.connect(self._on_take)
        self.table.picked.connect(self._on_picked)
        self.table.judged.connect(self._judge)
        self.findings.asked.connect(self._on_lift)
        case.opened.connect(self._forget)
        case.changed.connect(self._on_case_changed)
        case.runner.started.connect(self._refresh)
        case.runner.stopped.connect(self._refresh)

    # Following ------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Nothing that was found holds any more."""
        self.runner.cancel()
        self._older = self._made = self._proposed = self._now = None
        self._accepted, self._shown = {}, ()
        self._case.end_following()
        self.notice.hide()
        self.table.forget()
        self.findings.fill(())
        self._clear_pictures()
        self._refresh()

    def start(self) -> None:
        """Lay the scans over each other and follow the lesions."""
        volume, body = self._case.volume, self._case.body
        if volume is None or body is None or not self.source.is_chosen:
            return
        self.notice.hide()
        before, read, accepted = self._older, self.source.reader(), dict(self._accepted)

        def work(task: Task) -> tuple[OlderScan, FollowedScans]:
            older = read(task) if before is None else before
            return older, follow_older(older, volume, body, task, accepted=accepted)

        def then(result: tuple[OlderScan, FollowedScans]) -> None:
            if self._case.volume is not volume:
                return  # another scan was opened meanwhile
            self._older, self._made = result
            self._proposed = self._made.judged((), self._accepted)
            self._case.older_ids = frozenset(one.lesion_id for one in self._older.lesions)
            self._case.following = True
            self._judge()

        self.runner.run("Following the lesions", work, then)

    # A person's word and hand ---------------------------------------------------------------

    def _judge(self) -> None:
        """Let what was said and drawn count; what is not possible is refused and told."""
        if self._made is None or self._proposed is None:
            return
        self.notice.hide()
        self._shown = self._case.state.lesions
        shown = tuple(one for one in self._shown if one.mask is not None)
        try:
            self._now = self._made.judged(self.table.decisions, self._accepted, shown)
        except IrplanError as error:
            self._now = None
            self.notice.tell(error)
            self._refresh()
            return
        self.table.fill(follow_rows(self._proposed, self._now))
        order = ("stop", "warn", "info")
        found = dict.fromkeys((*self._made.noticed, *self._now.findings))
        self.findings.fill(tuple(sorted(found, key=lambda one: order.index(one.severity.value))))
        if self._now.refused:
            self.notice.refuse("the two scans cannot be used together", "see the findings below")
        self._show_pictures()
        self._refresh()

    def _on_case_changed(self) -> None:
        """A person drew or corrected something on the open scan."""
        if self._made is not None and self._case.state.lesions is not self._shown:
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

    # Correcting on the open scan ------------------------------------------------------------

    def _row(self) -> FollowRow | None:
        number = self.table.currentRow()
        return self.table.rows[number] if 0 <= number < len(self.table.rows) else None

    def _on_picked(self) -> None:
        """Show the lesion here and in the views of the main window."""
        self._show_pictures()
        self._refresh()
        row = self._row()
        point = None if row is None else self._place_of(row)
        if row is not None and point is not None:
            here = {one.lesion_id for one in self._case.state.lesions}
            self.pointed.emit(next((one for one in row.now_ids if one in here), ""), point)

    def _on_correct(self) -> None:
        """Go to the open scan with what is proposed, or let the next lesion drawn be this one."""
        number, row, now = self.table.currentRow(), self._row(), self._now
        if row is None or now is None:
            return
        if not row.now_ids:
            self._case.expect(row.old_ids[0])
            self._go_to_scan()
            return
        if row.is_new and not row.drawn and not self.table.named(number):
            # It keeps the id under which it is corrected.
            self.table.say(number, "new", self._case.new_lesion_id())
            row, now = self.table.rows[number], self._now
            if now is None:
                return
        self._case.take_to_correct(now, row.now_ids, self._go_to_scan)

    def _go_to_scan(self) -> None:
        """Let the main window be seen and show the lesion there."""
        self._on_picked()
        self.hide()

    def _place_of(self, row: FollowRow) -> PointLps | None:
        """Where a lesion lies on the open scan, or should: LPS mm."""
        if self._now is None:
            return None
        for lesion in self._now.lesions:
            if lesion.lesion_id in row.now_ids:
                return lesion.centroid_lps_mm
        for one in self._now.carried:
            if one.old.lesion_id in row.old_ids and one.old.centroid_lps_mm is not None:
                x, y, z = (float(v) for v in one.registration.map(one.old.centroid_lps_mm))
                return x, y, z
        return None

    # Pictures -------------------------------------------------------------------------------

    def _pairs(self) -> tuple[LesionPair, ...]:
        """The pictures of the chosen row, as things stand."""
        row, now, older, volume = self._row(), self._now, self._older, self._case.volume
        if row is None or now is None or older is None or volume is None:
            return ()
        return (
            *lesion_pairs(now, older.volume, volume, row.old_ids),
            *new_lesion_pairs(now, older.volume, volume, row.now_ids),
        )

    def _show_pictures(self) -> None:
        self._clear_pictures()
        for place, pair in enumerate(self._pairs()):
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
        made, now, decisions = self._made, self._now, self.table.decisions
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
            self._case.take_followed(self._now, self.hide)

    # State ----------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Allow what makes sense now."""
        busy = self.runner.busy
        free = not busy and not self._case.runner.busy
        judged = self._now is not None and not self._now.refused
        self.source.setEnabled(not busy)
        self.follow.setEnabled(not busy and self.source.is_chosen and self._case.is_open)
        self.table.setEnabled(not busy)
        self.confirm_all.setEnabled(not busy and judged and bool(self.table.rows))
        self.write.setEnabled(not busy and judged)
        row = self._row()
        found = row is not None and bool(row.now_ids)
        self.correct.setText("Correct on the scan" if found or row is None else "Draw on the scan")
        self.correct.setToolTip(
            "Take it to the main window, where every tool corrects it; what is drawn counts here"
            if found
            else "It was not found: the next lesion drawn in the main window is this one"
        )
        self.correct.setEnabled(free and judged and row is not None)
        open_stops = () if self._now is None else self._now.open_stops
        self.take.setEnabled(free and judged and not open_stops)
        self.take.setToolTip(
            "\n".join(one.message for one in open_stops)
            or "The followed lesions, with their ids, become lesions of the scan that is open"
        )

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        # Who comes back without having drawn an older lesion draws no other one under its id.
        if self._case.expected_id:
            self._case.expect("")
        super().showEvent(event)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802 - Qt's name
        self.runner.cancel()
        super().closeEvent(event)
