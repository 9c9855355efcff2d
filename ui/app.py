"""The desktop program: ``irplan desktop [PATH]``."""

from __future__ import annotations

import sys
from pathlib import Path

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QApplication

from ui.main_window import MainWindow
from ui.theme import STYLE


def application() -> QApplication:
    """The Qt application with the program's look, made once."""
    present = QApplication.instance()
    app = present if isinstance(present, QApplication) else QApplication(sys.argv[:1])
    app.setApplicationName("irplan")
    app.setStyle("Fusion")
    app.styleHints().setColorScheme(Qt.ColorScheme.Dark)  # type: ignore[union-attr]
    app.setStyleSheet(STYLE)
    return app


def main(path: Path | None) -> int:
    """Open the window, on a scan where ``path`` names one, and run until it is closed.

    Returns the exit code of the program.
    """
    app = application()
    window = MainWindow()
    window.show()
    if path is not None:
        window.open_path(path)
    return app.exec()
