"""Small parts of the window: the notice, the progress of work, the four views."""

from __future__ import annotations

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtGui import QPainter, QPaintEvent
from PyQt6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QToolButton,
    QWidget,
)

from irplan.errors import IrplanError
from ui import theme
from ui.runner import TaskRunner


class ElidedLabel(QLabel):
    """One line that is cut with an ellipsis where there is no room; the hint holds all of it."""

    def setText(self, text: str | None) -> None:  # noqa: N802 - Qt's name
        super().setText(text)
        self.setToolTip(text or "")

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(120, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        shown = self.fontMetrics().elidedText(
            self.text(), Qt.TextElideMode.ElideRight, self.width()
        )
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter, shown)
        painter.end()


class Notice(QFrame):
    """A message that stays until it is closed or replaced: cause and way out, in words."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        close = QToolButton()
        close.setText("✕")
        close.setToolTip("Close this message")
        close.clicked.connect(self.hide)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 5, 6, 5)
        row.addWidget(self.label, 1)
        row.addWidget(close)
        self.hide()

    def refuse(self, message: str, remedy: str) -> None:
        """Say what was refused and why, and the way out."""
        text = f"<b>■ Refused:</b> {_safe(message)}"
        if remedy:
            text += f"<br><b>Way out:</b> {_safe(remedy)}"
        self._show(text, "#4a1a1d", "#ff6b6b")

    def tell(self, error: IrplanError) -> None:
        """Say what was refused, as the core says it."""
        self.refuse(error.message, error.remedy)

    def attend(self, message: str) -> None:
        """Say what a person must know."""
        self._show(f"<b>▲</b> {_safe(message)}", "#3a2a08", "#b98318")

    def _show(self, text: str, background: str, border: str) -> None:
        self.label.setText(text)
        self.setStyleSheet(
            f"Notice {{ background: {background}; border: 1px solid {border};"
            " border-radius: 4px; }"
        )
        self.show()


class Progress(QWidget):
    """What is being done, how far, and Cancel."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = QLabel()
        self.bar = QProgressBar()
        self.bar.setFixedWidth(220)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop at the next step; nothing is changed")
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 2, 6, 2)
        row.addWidget(self.label)
        row.addWidget(self.bar)
        row.addWidget(self.cancel)
        self.hide()

    def follow(self, runner: TaskRunner) -> None:
        """Show the work of a runner while it lasts, and let it be cancelled."""
        runner.started.connect(self.begin)
        runner.progress.connect(self.report)
        runner.stopped.connect(self.hide)
        self.cancel.clicked.connect(runner.cancel)

    def begin(self, label: str) -> None:
        """Work began."""
        self.label.setText(f"{label} …")
        self.bar.setRange(0, 0)
        self.cancel.setEnabled(True)
        self.show()

    def report(self, label: str, done: int, total: int) -> None:
        """Work went on; ``total`` 0 is unknown."""
        self.label.setText(f"{label[:1].upper()}{label[1:]} …")
        self.bar.setRange(0, total)
        self.bar.setValue(min(done, total))


class FourViews(QWidget):
    """The views, two by two; one of them may fill the area."""

    def __init__(self, views: tuple[QWidget, ...], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._views = views
        self._enlarged: QWidget | None = None
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(2)
        for number, view in enumerate(views):
            self._grid.addWidget(view, number // 2, number % 2)
        self._stretch()
        self.setStyleSheet(f"FourViews {{ background: {theme.BORDER}; }}")

    def enlarge(self, view: QWidget) -> None:
        """Let a view fill the area, or all four be seen again."""
        self._enlarged = None if self._enlarged is view else view
        for one in self._views:
            one.setVisible(self._enlarged in (None, one))
        self._stretch()

    def _stretch(self) -> None:
        """Rows and columns without a view take no room."""
        places = [
            divmod(number, 2)
            for number, view in enumerate(self._views)
            if self._enlarged in (None, view)
        ]
        for line in (0, 1):
            self._grid.setRowStretch(line, int(line in {row for row, _ in places}))
            self._grid.setColumnStretch(line, int(line in {column for _, column in places}))


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
