"""How the parts of the window lie: head line, views over the lesion table, panels at the right."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import (
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ui.findings_list import FindingsList

PANEL_WIDTH = 470


def page_of(
    head: tuple[QWidget, ...],
    notice: QWidget,
    views: QWidget,
    strip: QWidget,
    table: QWidget,
    panel: QWidget,
) -> QWidget:
    """The whole window below the tool bar; the first of ``head`` gives way where it is narrow."""
    left = QSplitter(Qt.Orientation.Vertical)
    below = QWidget()
    stack = QVBoxLayout(below)
    stack.setContentsMargins(0, 2, 0, 0)
    stack.setSpacing(3)
    stack.addWidget(strip)
    stack.addWidget(table, 1)
    left.addWidget(views)
    left.addWidget(below)
    left.setStretchFactor(0, 1)
    left.setSizes([630, 220])
    whole = QSplitter(Qt.Orientation.Horizontal)
    whole.addWidget(left)
    whole.addWidget(panel)
    whole.setStretchFactor(0, 1)
    whole.setSizes([1060, PANEL_WIDTH])
    line = QHBoxLayout()
    line.setSpacing(14)
    for number, part in enumerate(head):
        line.addWidget(part, 1 if number == 0 else 0)
    page = QWidget()
    page.setObjectName("page")
    column = QVBoxLayout(page)
    column.setContentsMargins(8, 4, 8, 4)
    column.setSpacing(5)
    column.addLayout(line)
    column.addWidget(notice)
    column.addWidget(whole, 1)
    return page


def strip_of(next_step: QLabel, actions: tuple[QAction, ...]) -> QWidget:
    """The line over the lesion table: what comes next, and what may be done with a lesion."""
    strip = QWidget()
    line = QHBoxLayout(strip)
    line.setContentsMargins(4, 0, 0, 0)
    line.addWidget(next_step, 1)
    for action in actions:
        button = QToolButton()
        button.setDefaultAction(action)
        line.addWidget(button)
    return strip


def panel_of(groups: tuple[QWidget, ...], unknown: QLabel, findings: FindingsList) -> QScrollArea:
    """The panels, one under the other, and the findings below them."""
    found = QGroupBox("Findings")
    inner = QVBoxLayout(found)
    inner.addWidget(unknown)
    inner.addWidget(findings, 1)
    content = QWidget()
    content.setObjectName("page")
    column = QVBoxLayout(content)
    column.setContentsMargins(4, 0, 4, 0)
    column.setSpacing(4)
    for number, group in enumerate(groups):
        column.addWidget(group, 3 if number else 0)
    column.addWidget(found, 3)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setMinimumWidth(PANEL_WIDTH - 20)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(content)
    return area
