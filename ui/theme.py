"""The look: dark, calm, high contrast, legible from 60 cm. Colours and the style sheet.

Severity is told by a word and a symbol first; the colour only repeats it. Lesion colours keep
clear of the red, amber and blue of findings.
"""

from __future__ import annotations

from irplan.findings import Severity

BACKGROUND = "#0f1317"
SURFACE = "#171c22"
RAISED = "#212932"
BORDER = "#36424f"
TEXT = "#eef2f6"
QUIET = "#a9b6c3"
ACCENT = "#49b6e8"
GOOD = "#6fd08c"

SEVERITY_COLOUR = {
    Severity.STOP: "#ff6b6b",
    Severity.WARN: "#ffbf47",
    Severity.INFO: "#7db9ff",
}
SEVERITY_WORD = {Severity.STOP: "STOP", Severity.WARN: "WARN", Severity.INFO: "INFO"}

LESION_COLOURS = (
    "#2fd4ff",
    "#ff7fdc",
    "#a4ec5c",
    "#b9a0ff",
    "#5ff0c2",
    "#f2f28a",
    "#ff9e7a",
    "#8fb8ff",
)
NEEDLE = "#ffe45c"
ALTERNATIVE = "#c3cedb"
CROSSHAIR = "#49b6e8"
NO_GO = "#ff4d4d"
#: Gestures while they are drawn and as they were drawn; marks outside a lesion.
DRAWN = "#f2f28a"
OUTSIDE = "#ff9e7a"
#: The throw of a biopsy.
BIOPSY = "#ff7a00"
SKIN_RGB = (0.88, 0.76, 0.68)
BONE_RGB = (0.93, 0.90, 0.80)

STYLE = f"""
* {{ font-size: 11pt; color: {TEXT}; }}
QMainWindow, QDialog, QWidget#page {{ background: {BACKGROUND}; }}
QLabel {{ background: transparent; }}
QLabel#quiet {{ color: {QUIET}; }}
QLabel#banner {{
  background: #3a2f10; color: #ffdf9a; font-weight: 600; padding: 3px 12px;
  border-radius: 4px;
}}
QLabel#patient {{ font-size: 12pt; font-weight: 600; }}
QLabel#refusal {{ color: {SEVERITY_COLOUR[Severity.STOP]}; }}
QLabel#attention {{ color: {SEVERITY_COLOUR[Severity.WARN]}; }}
QLabel#unknown {{
  background: #3a2a08; color: #ffd27a; border: 1px solid #b98318; border-radius: 4px;
  padding: 5px; font-size: 10pt;
}}
QTableWidget#paths, QTableWidget#paths *, QTableWidget#lesions, QTableWidget#lesions * {{
  font-size: 10pt;
}}
QGroupBox {{
  background: {SURFACE}; border: 1px solid {BORDER}; border-radius: 6px;
  margin-top: 13px; padding: 8px 8px 6px 8px; font-weight: 600;
}}
QGroupBox::title {{
  subcontrol-origin: margin; left: 10px; padding: 0 6px; color: {ACCENT};
}}
QToolBar {{ background: {SURFACE}; border: none; spacing: 3px; padding: 3px 6px; }}
QToolBar::separator {{ background: {BORDER}; width: 1px; margin: 4px 6px; }}
QToolButton, QPushButton {{
  background: {RAISED}; border: 1px solid {BORDER}; border-radius: 5px; padding: 5px 7px;
}}
QToolButton:hover, QPushButton:hover {{ border-color: {ACCENT}; }}
QToolButton:checked {{ background: {ACCENT}; color: #06121a; font-weight: 600; }}
QToolButton:disabled, QPushButton:disabled {{ color: #66727f; background: #171c21; }}
QPushButton#primary {{ background: {ACCENT}; color: #06121a; font-weight: 600; border: none; }}
QPushButton#primary:disabled {{ background: #24384454; color: #74818d; }}
QLineEdit, QComboBox, QPlainTextEdit, QDoubleSpinBox {{
  background: {BACKGROUND}; border: 1px solid {BORDER}; border-radius: 4px; padding: 4px 7px;
  selection-background-color: {ACCENT}; selection-color: #06121a;
}}
QLineEdit:focus, QComboBox:focus {{ border-color: {ACCENT}; }}
QLineEdit:disabled, QComboBox:disabled {{ color: #66727f; }}
QLineEdit[wrong="true"] {{ border: 2px solid {SEVERITY_COLOUR[Severity.STOP]}; }}
QComboBox QAbstractItemView {{ background: {RAISED}; selection-background-color: {ACCENT}; }}
QTableView, QListView, QTreeView {{
  background: {BACKGROUND}; alternate-background-color: #141920; border: 1px solid {BORDER};
  gridline-color: #252e38; selection-background-color: #23485c; selection-color: {TEXT};
}}
QHeaderView::section {{
  background: {SURFACE}; color: {QUIET}; border: none; border-bottom: 1px solid {BORDER};
  padding: 3px 5px; font-weight: 600; font-size: 10pt;
}}
QTableCornerButton::section {{ background: {SURFACE}; border: none; }}
QStatusBar {{ background: {SURFACE}; color: {QUIET}; }}
QStatusBar::item {{ border: none; }}
QProgressBar {{
  background: {BACKGROUND}; border: 1px solid {BORDER}; border-radius: 4px; text-align: center;
}}
QProgressBar::chunk {{ background: #2c7ea6; border-radius: 3px; }}
QSplitter::handle {{ background: {BACKGROUND}; }}
QSplitter::handle:hover {{ background: {ACCENT}; }}
QScrollArea {{ border: none; background: {BACKGROUND}; }}
QToolTip {{ background: {RAISED}; color: {TEXT}; border: 1px solid {ACCENT}; padding: 4px; }}
QMenu {{ background: {RAISED}; border: 1px solid {BORDER}; }}
QMenu::item:selected {{ background: {ACCENT}; color: #06121a; }}
QCheckBox {{ spacing: 6px; background: transparent; }}
QScrollBar:vertical {{ background: {BACKGROUND}; width: 12px; }}
QScrollBar:horizontal {{ background: {BACKGROUND}; height: 12px; }}
QScrollBar::handle {{ background: {BORDER}; border-radius: 5px; min-height: 24px; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
"""
