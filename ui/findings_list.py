"""The list of findings: symbol, word and colour, the gravest first."""

from __future__ import annotations

from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtGui import QBrush, QColor
from PyQt6.QtWidgets import QListWidget, QListWidgetItem, QWidget

from irplan.findings import Finding, Severity, rule_of
from ui import theme
from ui.rows import SYMBOLS


class FindingsList(QListWidget):
    """One entry a finding.

    Signals:
        asked(code): a person wants to lift this overridable stop.
        pointed(subject): a person wants to see what the finding is about.
    """

    asked = pyqtSignal(str)
    pointed = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        self.setAlternatingRowColors(True)
        self.setAccessibleName("findings")
        self.setSpacing(1)
        self.itemClicked.connect(self._on_click)
        self.itemDoubleClicked.connect(self._on_double_click)

    def fill(self, findings: tuple[Finding, ...]) -> None:
        """Show these findings."""
        self.clear()
        for finding in findings:
            item = QListWidgetItem(finding_text(finding))
            item.setForeground(QBrush(QColor(theme.SEVERITY_COLOUR[finding.severity])))
            item.setData(Qt.ItemDataRole.UserRole, finding)
            item.setToolTip(_hint(finding))
            self.addItem(item)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(340, 90)

    def _on_click(self, item: QListWidgetItem) -> None:
        self.pointed.emit(item.data(Qt.ItemDataRole.UserRole).subject)

    def _on_double_click(self, item: QListWidgetItem) -> None:
        finding = item.data(Qt.ItemDataRole.UserRole)
        if _overridable(finding) and finding.accepted is None:
            self.asked.emit(finding.code)


def finding_text(finding: Finding) -> str:
    """A finding in one line: symbol, word, what it is about, what it says."""
    mark = f"{SYMBOLS[finding.severity]} {theme.SEVERITY_WORD[finding.severity]}"
    named = not finding.subject or finding.message.startswith(finding.subject)
    subject = "" if named or len(finding.subject) >= 24 else f"{finding.subject}: "
    accepted = f"  [accepted: {finding.accepted}]" if finding.accepted is not None else ""
    return f"{mark}  {subject}{finding.message}{accepted}"


def _hint(finding: Finding) -> str:
    hint = finding.code
    if finding.severity is Severity.STOP:
        can = _overridable(finding)
        hint += "\nDouble-click to lift it with a reason" if can else "\nCannot be lifted"
    return hint


def _overridable(finding: Finding) -> bool:
    try:
        return rule_of(finding).overridable
    except KeyError:
        return False
