"""How the patient will lie, and the paths of the selected lesion with their alternatives."""

from __future__ import annotations

from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QGroupBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from irplan import units
from irplan.findings import Finding
from irplan.trajectory.needle import Needle
from ui import theme
from ui.case import Case
from ui.room_window import RoomWindow
from ui.rows import PATH_COLUMNS, path_cells, unreachable, unreachable_text
from ui.scene import Scene

_POSITIONS = ("", "supine", "prone", "left", "right")
_COLUMN_HINTS = (
    "● in the plan, ○ an alternative; ■ ▲ findings about it; ▲? limits that nobody knows kept",
    "gauge × length in mm",
    "skin to tip, mm",
    "angle in the axial plane from the plumb line; 0° is straight down",
    "craniocaudal angle, positive towards the head",
    "smallest distance from a structure to be spared, mm, rounded down",
)
_WORDS = {
    "supine": "supine (on the back)",
    "prone": "prone (on the belly)",
    "left": "on the left side",
    "right": "on the right side",
}


class PathPanel(QGroupBox):
    """Patient position, 'Propose paths', and the paths to choose from.

    Signals:
        picked(needle_id): a person pointed at a path.
    """

    picked = pyqtSignal(str)

    def __init__(self, case: Case, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__("Paths", parent)
        self._case, self._scene = case, scene
        self._ids: tuple[str, ...] = ()
        self.position = QComboBox()
        self.position.setAccessibleName("patient position")
        self.warning = QLabel()
        self.warning.setObjectName("attention")
        self.warning.setWordWrap(True)
        self.button = QPushButton("Propose paths")
        self.button.setObjectName("primary")
        self.caption = QLabel()
        self.caption.setObjectName("quiet")
        self.caption.setWordWrap(True)
        self.table = _PathTable(0, len(PATH_COLUMNS))
        self.use = QPushButton("Use this path")
        self.room = QPushButton("Cards and views")
        self.room_window: RoomWindow | None = None
        self._lay_out()
        self.position.activated.connect(self._on_position)
        self.button.clicked.connect(case.propose)
        self.use.clicked.connect(self._on_use)
        self.room.clicked.connect(self._on_room)
        self.table.itemSelectionChanged.connect(self._on_selection)
        self.table.itemDoubleClicked.connect(self._on_use)
        case.changed.connect(self.refresh)
        scene.selection_changed.connect(self.refresh)
        self.refresh()

    def _lay_out(self) -> None:
        self.table.setHorizontalHeaderLabels(PATH_COLUMNS)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setAccessibleName("paths")
        self.table.setObjectName("paths")
        self.table.setMinimumHeight(96)
        self.table.setWordWrap(False)
        rows, columns = self.table.verticalHeader(), self.table.horizontalHeader()
        if rows is not None:
            rows.hide()
            rows.setDefaultSectionSize(27)
        if columns is not None:
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            # The last one gives way: the hint of a row holds every clearance in full.
            columns.setSectionResizeMode(len(PATH_COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)
            columns.setHighlightSections(False)
        for column, hint in enumerate(_COLUMN_HINTS):
            heading = self.table.horizontalHeaderItem(column)
            if heading is not None:
                heading.setToolTip(hint)
                heading.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        line = QHBoxLayout()
        line.addWidget(QLabel("Patient lies"))
        line.addWidget(self.position, 1)
        whole = QVBoxLayout(self)
        whole.setSpacing(6)
        whole.addLayout(line)
        whole.addWidget(self.warning)
        whole.addWidget(self.button)
        whole.addWidget(self.caption)
        whole.addWidget(self.table, 1)
        under = QHBoxLayout()
        under.addWidget(self.use)
        under.addWidget(self.room)
        whole.addLayout(under)

    def _on_room(self) -> None:
        """Open the cards beside the window; one window for all of them."""
        if self.room_window is None:
            self.room_window = RoomWindow(self._case, self.window())
        self.room_window.show()
        self.room_window.raise_()

    def refresh(self) -> None:
        """Show what stands now."""
        self._show_position()
        self.room.setEnabled(self._case.plan is not None)
        case, paths = self._case, self._case.paths
        self.button.setEnabled(
            case.is_open
            and bool(case.state.lesions)
            and case.state.allocation is not None
            and case.position_known
        )
        lesion_id = self._scene.lesion_id
        missing = unreachable(paths, lesion_id)
        chosen = () if paths is None else self._of(paths.needles, lesion_id)
        others = () if paths is None else self._of(paths.alternatives, lesion_id)
        self._show_paths(chosen, others)
        if paths is None:
            first = "" if case.state.allocation is not None else "Split the dose first. "
            self.caption.setText(f"{first}No path is proposed yet, or an input has changed.")
        elif missing is not None:
            self.caption.setText(f"■ {unreachable_text(missing)}")
        elif not chosen:
            self.caption.setText("Select a lesion to see its paths.")
        else:
            text = f"{lesion_id or 'All lesions'}: {len(chosen)} in the plan"
            self.caption.setText(f"{text} (●), {len(others)} alternatives (○)")
        self._enable_use()

    def _of(self, needles: tuple[Needle, ...], lesion_id: str) -> tuple[Needle, ...]:
        return tuple(one for one in needles if not lesion_id or lesion_id in one.lesion_ids)

    def _show_paths(self, chosen: tuple[Needle, ...], others: tuple[Needle, ...]) -> None:
        others = others if self._scene.lesion_id else ()
        blocked = self.table.blockSignals(True)
        findings = self._case.findings
        rows = [(needle, True) for needle in chosen] + [(needle, False) for needle in others]
        self._ids = tuple(needle.needle_id for needle, _ in rows)
        self.table.setRowCount(len(rows))
        for number, (needle, in_plan) in enumerate(rows):
            for column, text in enumerate(path_cells(needle, in_plan, findings)):
                item = QTableWidgetItem(text)
                if 0 < column < len(PATH_COLUMNS) - 1:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                item.setToolTip(_hint(needle, findings))
                self.table.setItem(number, column, item)
        if self._scene.needle_id in self._ids:
            self.table.selectRow(self._ids.index(self._scene.needle_id))
        else:
            self.table.clearSelection()
        self.table.blockSignals(blocked)

    def _show_position(self) -> None:
        scanned = self._case.scanned_position
        first = "– choose –" if scanned is None else f"as scanned: {_WORDS[scanned.value]}"
        self.position.clear()
        self.position.addItems([first, *(_WORDS[word] for word in _POSITIONS[1:])])
        request = self._case.state.request.patient_position
        self.position.setCurrentIndex(_POSITIONS.index(request))
        text = ""
        if self._case.is_open and not self._case.position_known:
            text = "▲ The scan does not say how the patient lay: choose how they will lie."
        elif scanned is not None and request and request != scanned.value:
            text = f"▲ Scanned {scanned.value}, planned {request}: organs shift between the two."
        self.warning.setText(text)
        self.warning.setVisible(bool(text))

    def _selected(self) -> str:
        row = self.table.currentRow()
        return self._ids[row] if self.table.selectedItems() and row < len(self._ids) else ""

    def _enable_use(self) -> None:
        paths, needle_id = self._case.paths, self._selected()
        offered = () if paths is None else paths.alternatives
        self.use.setEnabled(
            bool(self._scene.lesion_id) and any(one.needle_id == needle_id for one in offered)
        )

    def _on_selection(self) -> None:
        needle_id = self._selected()
        if needle_id:
            self.picked.emit(needle_id)
        self._enable_use()

    def _on_use(self) -> None:
        needle_id = self._selected()
        if needle_id and self.use.isEnabled():
            self._case.choose_path(self._scene.lesion_id, needle_id)

    def _on_position(self, number: int) -> None:
        self._case.choose(patient_position=_POSITIONS[number])


class _PathTable(QTableWidget):
    """A table that asks for a few rows only, and takes what there is."""

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(320, 118)


def _hint(needle: Needle, findings: tuple[Finding, ...]) -> str:
    lines = [
        f"{theme.SEVERITY_WORD[one.severity]}: {one.message}"
        for one in findings
        if one.subject == needle.needle_id
    ]
    lines += [f"unknown: {name}" for name in needle.unknown_constraints]
    lines += [f"guidance {needle.guidance}", f"skin angle {units.deg(needle.skin_angle_deg)}°"]
    for name, value in sorted(needle.clearance_mm.items()):
        margin = needle.margin_mm.get(name)
        least = "" if margin is None else f" (at least {units.mm(margin)})"
        lines.append(f"{name} {units.mm_down(value)} mm away{least}")
    for name, value in sorted(needle.crosses_mm.items()):
        lines.append(f"crosses {name} {units.mm(value)} mm")
    lines += [finding.message for finding in needle.findings]
    return "\n".join(lines).replace("_", " ")
