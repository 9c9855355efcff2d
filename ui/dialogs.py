"""The dialogs: which series, what the keys do, why, and what went wrong."""

from __future__ import annotations

import tempfile
import traceback
from typing import Any

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHeaderView,
    QInputDialog,
    QLabel,
    QMessageBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from irplan.lesions.naming import SIDES, SITES

SHORTCUTS = (
    ("Ctrl+O", "open a folder; Ctrl+Shift+O a file; or drop either on the window"),
    ("B or Esc", "browse: a click moves the crosshair in all views"),
    ("C", "click a lesion: it is segmented from the point"),
    ("L", "draw a lesion's diameter, then further ones through it, in any view"),
    ("R", "draw a box around a lesion; the wheel, with the button down, takes it over slices"),
    ("F", "scribble through a lesion; Ctrl takes off"),
    ("C, L, R, F", "within a drawn lesion: a further gesture of it; with Shift: of the selected"),
    ("I / O", "a correcting click or scribble inside / outside the selected lesion"),
    ("P, E", "brush into the selected lesion (or a new one), eraser; Ctrl erases with the brush"),
    ("[ , ] , T , W", "brush smaller, larger; ball or disc; only within the window shown"),
    ("N", "paint a zone that no needle may enter; Ctrl erases"),
    ("Drag an end", "of the selected lesion's diameters or of any gesture (□), with B, L or R"),
    ("Ctrl+L", "site and side of the selected lesion; or double-click them in the table"),
    ("Ctrl+M", "import masks of lesions; Ctrl+Shift+A a label map of the anatomy"),
    ("Ctrl+Shift+F", "follow the lesions of an earlier visit to this scan"),
    ("Del", "remove the selected lesion"),
    ("Wheel, PgUp, PgDn", "slices (with Shift ten at a time); up goes to head, front, left"),
    ("Arrows", "move the crosshair by a voxel"),
    ("Right drag", "window and level; 1 to 5 are presets"),
    ("Ctrl+wheel, + , −", "zoom"),
    ("Middle or Shift+drag", "shift the picture"),
    ("Home", "show the whole patient in the view that has the focus"),
    ("Double click, M", "enlarge a view, or back"),
    ("X", "crosshair on or off"),
    ("A", "what the skin offers, in the 3-D view; click the skin there: why, or why not"),
    ("S, K", "skin, bone on or off in the 3-D view; Home there shows the front"),
    ("Ctrl+Z, Ctrl+Shift+Z", "undo, redo"),
    ("Ctrl+S", "save the plan"),
    ("F1", "this list"),
)


class SeriesDialog(QDialog):
    """Which of several series to open; those that cannot be used are listed with the reason."""

    def __init__(self, entries: tuple[Any, ...], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Choose a series")
        self.resize(980, 420)
        self._documents = [entry.document() for entry in entries]
        headings = ("Usable", "Description", "Size", "Spacing mm", "Position", "Date", "Why not")
        self.table = QTableWidget(len(entries), len(headings))
        self.table.setHorizontalHeaderLabels(headings)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = self.table.horizontalHeader()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setStretchLastSection(True)
        for row, document in enumerate(self._documents):
            for column, text in enumerate(_series_cells(document)):
                item = QTableWidgetItem(text)
                if not document["usable"]:
                    item.setFlags(Qt.ItemFlag.NoItemFlags)
                self.table.setItem(row, column, item)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self.table.itemDoubleClicked.connect(self.accept)
        usable = [row for row, one in enumerate(self._documents) if one["usable"]]
        if usable:
            self.table.selectRow(usable[0])
        whole = QVBoxLayout(self)
        whole.addWidget(QLabel("This holds several series. Which one is to be planned on?"))
        whole.addWidget(self.table)
        whole.addWidget(buttons)

    @property
    def chosen(self) -> str | None:
        """The name of the series chosen; None where none is."""
        row = self.table.currentRow()
        if row < 0 or not self._documents[row]["usable"]:
            return None
        return str(self._documents[row]["select"])


def _series_cells(document: dict[str, Any]) -> tuple[str, ...]:
    size = " × ".join(str(number) for number in document["size"] or ())
    spacing = " × ".join(str(value) for value in document["spacing_mm"] or ())
    stops = [one["message"] for one in document["findings"] if one["severity"] == "stop"]
    return (
        "yes" if document["usable"] else "no",
        document["description"] or "(none)",
        size,
        spacing,
        document["patient_position"] or "unknown",
        document["acquired"] or "unknown",
        "; ".join(stops),
    )


class ShortcutsDialog(QDialog):
    """What keys and mouse do."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys and mouse")
        column = QVBoxLayout(self)
        rows = "".join(
            f"<tr><td style='padding:3px 18px 3px 0'><b>{keys}</b></td><td>{what}</td></tr>"
            for keys, what in SHORTCUTS
        )
        column.addWidget(QLabel(f"<table>{rows}</table>"))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)


class PlaceDialog(QDialog):
    """Site and side of a lesion, from the lists or as text."""

    def __init__(
        self, lesion_id: str, site: str, side: str, proposed: bool, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Site and side of {lesion_id}")
        self.setMinimumWidth(460)
        self.site, self.side = QComboBox(), QComboBox()
        for box, terms, text in ((self.site, SITES, site), (self.side, SIDES, side)):
            box.setEditable(True)
            box.addItem("")
            for term in terms:
                box.addItem(f"{term.english} · {term.french}", term.english)
            box.setCurrentText(text)
        self.site.setAccessibleName("site")
        self.side.setAccessibleName("side")
        form = QFormLayout()
        form.addRow("Site · siège", self.site)
        form.addRow("Side · côté", self.side)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        if proposed:
            note = QLabel(f"'{side}' is proposed from the midline of the body; OK confirms it.")
            note.setObjectName("attention")
            column.addWidget(note)
        column.addLayout(form)
        column.addWidget(buttons)

    @property
    def chosen(self) -> tuple[str, str]:
        """Site and side: the English word of a list, or what was typed."""
        site, side = (_word(box) for box in (self.site, self.side))
        return site, side


def _word(box: QComboBox) -> str:
    number = box.findText(box.currentText())
    word = box.itemData(number) if number > 0 else None
    return str(word) if word is not None else box.currentText().strip()


def ask_reason(parent: QWidget, title: str, question: str) -> str:
    """A reason in a person's words; '' where they went back."""
    text, done = QInputDialog.getText(parent, title, question)
    return text.strip() if done else ""


def show_fault(parent: QWidget, error: Exception) -> QMessageBox:
    """Tell of a fault of the program itself, without stopping the event loop.

    What is needed to find it is written into a report in the folder for temporary files.
    """
    with tempfile.NamedTemporaryFile(
        "w", prefix="irplan-fault-", suffix=".txt", delete=False, encoding="utf-8"
    ) as report:
        report.write("".join(traceback.format_exception(error)))
    box = QMessageBox(QMessageBox.Icon.Critical, "A fault of irplan", "", parent=parent)
    box.setText("This is a fault of the program, not of your input. Nothing was changed.")
    box.setInformativeText(f"{error!r}\n\nA report was written to {report.name}")
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.open()
    return box
