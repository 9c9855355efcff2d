"""The lesion table under the views."""

from __future__ import annotations

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QBrush, QColor, QIcon, QPixmap
from PyQt6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from irplan.findings import Finding, Severity
from ui import theme
from ui.rows import LESION_COLUMNS, LesionRow

_NUMERIC = range(4, 10)
_PLACE = (2, 3)
_NEEDLE = LESION_COLUMNS.index("Needle")
_FINDINGS = len(LESION_COLUMNS) - 1


class LesionTable(QTableWidget):
    """One row a lesion.

    Signals:
        picked(lesion_id): a person chose a row.
        placing(lesion_id): a person wants to name site and side.
    """

    picked = pyqtSignal(str)
    placing = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(LESION_COLUMNS), parent)
        self._ids: tuple[str, ...] = ()
        self._columns = tuple(name.replace("\n", " ") for name in LESION_COLUMNS)
        self.setHorizontalHeaderLabels(LESION_COLUMNS)
        sure = self.horizontalHeaderItem(LESION_COLUMNS.index("Sure\n%"))
        if sure is not None:
            sure.setToolTip(
                "Overlap (Dice) with a reader's mask that is to be expected; – where a hand or "
                "another tool made the mask"
            )
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setAlternatingRowColors(True)
        self.setAccessibleName("lesions")
        self.setObjectName("lesions")
        self.setWordWrap(False)
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        if rows is not None:
            rows.hide()
            rows.setDefaultSectionSize(28)
        if columns is not None:
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            columns.setSectionResizeMode(_FINDINGS, QHeaderView.ResizeMode.Stretch)
            columns.setHighlightSections(False)
        self.itemSelectionChanged.connect(self._on_selection)
        self.cellDoubleClicked.connect(self._on_double_click)

    def fill(self, rows: tuple[LesionRow, ...], colours: dict[str, str], selected: str) -> None:
        """Show these rows, with a lesion's colour beside its id."""
        blocked = self.blockSignals(True)
        self._ids = tuple(row.lesion_id for row in rows)
        self.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate(row.cells):
                self.setItem(number, column, _item(row, column, text, colours[row.lesion_id]))
        if selected in self._ids:
            self.selectRow(self._ids.index(selected))
        else:
            self.clearSelection()
        self.blockSignals(blocked)

    def text_at(self, lesion_id: str, column: str) -> str:
        """What stands in a lesion's cell, by the column's heading."""
        item = self.item(self._ids.index(lesion_id), self._columns.index(column))
        return "" if item is None else item.text()

    def _on_selection(self) -> None:
        row = self.currentRow()
        if self.selectedItems() and 0 <= row < len(self._ids):
            self.picked.emit(self._ids[row])

    def _on_double_click(self, row: int, column: int) -> None:
        if column in _PLACE:
            self.placing.emit(self._ids[row])


def _item(row: LesionRow, column: int, text: str, colour: str) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    if column == 0:
        swatch = QPixmap(14, 14)
        swatch.fill(QColor(colour))
        icon = QIcon(swatch)
        icon.addPixmap(swatch, QIcon.Mode.Selected)  # a lesion keeps its colour when selected
        item.setIcon(icon)
        font = item.font()
        font.setBold(True)
        item.setFont(font)
    elif column in _NUMERIC:
        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    elif column == _FINDINGS and row.findings:
        worst = worst_of(row.findings)
        item.setForeground(QBrush(QColor(theme.SEVERITY_COLOUR[worst])))
    hints = [f"{theme.SEVERITY_WORD[one.severity]}: {one.message}" for one in row.findings]
    if row.touches:
        hints.append(row.touches)
    if row.excluded:
        hints.insert(0, f"Gets no dose: {row.excluded}")
    item.setToolTip("\n".join(hints))
    if column in _PLACE and text.startswith("▲"):
        item.setForeground(QBrush(QColor(theme.SEVERITY_COLOUR[Severity.WARN])))
    if text.endswith("no safe path"):
        item.setForeground(QBrush(QColor(theme.SEVERITY_COLOUR[Severity.STOP])))
        item.setText(text.replace("no safe path", "■ no safe path"))
    elif column == _NEEDLE and ("biopsy" in text or "→" in text):
        item.setForeground(QBrush(QColor(theme.BIOPSY)))
    return item


def worst_of(findings: tuple[Finding, ...]) -> Severity:
    """The gravest severity among findings."""
    order = (Severity.STOP, Severity.WARN, Severity.INFO)
    return min((finding.severity for finding in findings), key=order.index)
