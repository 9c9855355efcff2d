"""The table of a follow-up: what is proposed of each lesion, and what a person says of it."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from irplan.followup import Decision
from ui.follow_rows import FOLLOW_COLUMNS, NEW_ID, REASON, SAID, STATUS_WORDS, FollowRow

NOT_SAID = "not confirmed"
DRAWN = "drawn on this scan"


class FollowTable(QTableWidget):
    """One row a proposal; a list and two fields in each take a person's word.

    Signals:
        judged(): a person said something of a proposal.
        picked(): another row was chosen.
    """

    judged = pyqtSignal()
    picked = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(FOLLOW_COLUMNS), parent)
        self.rows: tuple[FollowRow, ...] = ()
        self.setHorizontalHeaderLabels(FOLLOW_COLUMNS)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setAccessibleName("what became of the lesions")
        self.setObjectName("lesions")
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        if rows is not None:
            rows.hide()
            rows.setDefaultSectionSize(36)
        if columns is not None:
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            columns.setSectionResizeMode(len(FOLLOW_COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)
        self.itemSelectionChanged.connect(self.picked)

    def fill(self, rows: tuple[FollowRow, ...]) -> None:
        """Show these rows; what was said of those that are still there stays."""
        if [_kind(one) for one in rows] == [_kind(one) for one in self.rows]:
            self.rows = rows
            for number, row in enumerate(rows):
                self._fill_cells(number, row)
            return
        words = {one.key: self._words(number) for number, one in enumerate(self.rows)}
        chosen = self.rows[self.currentRow()].key if self.currentRow() >= 0 else None
        blocked = self.blockSignals(True)
        self.rows = rows
        self.setRowCount(len(rows))
        for number, row in enumerate(rows):
            self._fill_cells(number, row)
            self._ask(number, row, words.get(row.key, ("", "", "")))
        keys = [one.key for one in rows]
        if rows:
            self.selectRow(keys.index(chosen) if chosen in keys else 0)
        # Nobody picked that row: the views must not turn away from what is being drawn.
        self.blockSignals(blocked)

    def forget(self) -> None:
        """Show nothing."""
        self.rows = ()
        self.setRowCount(0)

    def _fill_cells(self, number: int, row: FollowRow) -> None:
        for column, text in enumerate(row.cells):
            if column not in (SAID, NEW_ID, REASON):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.setItem(number, column, item)

    def _ask(self, number: int, row: FollowRow, words: tuple[str, str, str]) -> None:
        """The list and the fields of a row, with what was said of it before."""
        status, lesion_id, why = words
        said, named, reason = QComboBox(), QLineEdit(lesion_id), QLineEdit(why)
        if row.drawn and not (status and row.is_new):
            said.addItem(DRAWN, "")
        else:
            said.addItem(NOT_SAID, "")
            for one in row.possible:
                said.addItem(STATUS_WORDS[one], one)
        said.setCurrentIndex(max(0, said.findData(status)))
        said.setEnabled(not row.drawn)
        said.setAccessibleName(f"what you say of {row.cells[0]} {row.cells[1]}")
        # What was drawn under an id keeps it.
        named.setEnabled(row.is_new and not row.drawn)
        named.setPlaceholderText("as proposed" if row.is_new and not row.drawn else "")
        reason.setPlaceholderText("why")
        said.activated.connect(self.judged)
        named.editingFinished.connect(self.judged)
        reason.editingFinished.connect(self.judged)
        for column, widget in ((SAID, said), (NEW_ID, named), (REASON, reason)):
            self.setCellWidget(number, column, widget)

    # A person's word ------------------------------------------------------------------------

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What a person says so far."""
        said = []
        for number, row in enumerate(self.rows):
            status, named, reason = self._words(number)
            if status:
                said.append(row.decision(status, named, reason))
        return tuple(said)

    def say(self, number: int, status: str, lesion_id: str = "") -> None:
        """Say this of a row, and of a new lesion what it is called; '' takes it back."""
        box, named = self.said(number), self.cellWidget(number, NEW_ID)
        box.setCurrentIndex(max(0, box.findData(status)))
        if lesion_id and isinstance(named, QLineEdit):
            named.setText(lesion_id)
        self.judged.emit()

    def confirm_rest(self) -> None:
        """Every proposal that nothing was said about is so."""
        for number, row in enumerate(self.rows):
            box = self.said(number)
            if not row.drawn and not box.currentData():
                box.setCurrentIndex(box.findData(row.possible[0]))
        self.judged.emit()

    def said(self, number: int) -> QComboBox:
        """The choice of a row."""
        box = self.cellWidget(number, SAID)
        assert isinstance(box, QComboBox)
        return box

    def named(self, number: int) -> str:
        """The id that a person gave the new lesion of a row; '' is none."""
        return self._words(number)[1]

    def _words(self, number: int) -> tuple[str, str, str]:
        fields = (self.cellWidget(number, column) for column in (NEW_ID, REASON))
        named, reason = (one.text().strip() if isinstance(one, QLineEdit) else "" for one in fields)
        return str(self.said(number).currentData() or ""), named, reason


def _kind(row: FollowRow) -> tuple[object, ...]:
    """What the list and the fields of a row depend on."""
    return row.key, row.drawn, row.possible
