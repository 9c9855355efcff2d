"""The actions of the window: tools, windows, files; with their keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QAction, QActionGroup, QKeySequence
from PyQt6.QtWidgets import QComboBox, QLabel, QMainWindow, QToolBar

from irplan.lesions.lesion import LesionKind
from ui.scene import PAINTING, Scene, Tool
from ui.windowing import PRESETS

_TOOLS = (
    (Tool.BROWSE, "Browse", "B", "Move the crosshair (B, Esc)"),
    (Tool.CLICK, "Click", "C", "Segment a lesion from a click (C)"),
    (Tool.LINE, "Line", "L", "Draw a lesion's diameter (L), then further ones through it"),
    (
        Tool.BOX,
        "Box",
        "R",
        "Draw a box around a lesion (R); turn the wheel with the button down to take it over "
        "slices; Shift adds it to the selected lesion",
    ),
    (
        Tool.SCRIBBLE,
        "Scribble",
        "F",
        "Draw a line by hand through a lesion (F); Shift adds it to the selected lesion, "
        "Ctrl takes what it crosses off it",
    ),
    (Tool.INSIDE, "+ Inside", "I", "Add to the selected lesion: a click or a scribble (I)"),
    (Tool.OUTSIDE, "− Outside", "O", "Take from the selected lesion: a click or a scribble (O)"),
    (Tool.BRUSH, "Brush", "P", "Paint into the selected lesion, or a new one (P); Ctrl erases"),
    (Tool.ERASER, "Eraser", "E", "Take off the selected lesion (E)"),
    (Tool.NO_GO, "No-go", "N", "Paint a zone that no needle may enter (N); Ctrl erases"),
)


@dataclass
class Verbs:
    """What the window does for its actions."""

    open_folder: Callable[[], None]
    open_file: Callable[[], None]
    save: Callable[[], None]
    undo: Callable[[], None]
    redo: Callable[[], None]
    remove: Callable[[], None]
    exclude: Callable[[], None]
    help: Callable[[], None]
    enlarge: Callable[[], None]
    toggle_surface: Callable[[str], None]
    toggle_skin_map: Callable[[], None]


class Actions:
    """Every action, and which of them call the session."""

    def __init__(self, window: QMainWindow, scene: Scene, verbs: Verbs) -> None:
        self._window, self._scene = window, scene
        self.tools: dict[Tool, QAction] = {}
        self.kind = QComboBox()
        self.kind.setAccessibleName("kind of the next lesion")
        self.kind.setToolTip("Kind of the next lesion; auto finds out")
        self.kind.addItem("auto", None)
        for kind in LesionKind:
            self.kind.addItem(kind.value, kind)
        self.presets = QComboBox()
        self.presets.setAccessibleName("window and level")
        keys = QKeySequence.StandardKey
        self.open = self._action("Open…", verbs.open_folder, keys.Open, "Open a folder (Ctrl+O)")
        self.open_file = self._action(
            "File…", verbs.open_file, "Ctrl+Shift+O", "Open a file: DICOM, ZIP, NRRD, NIfTI, MHA"
        )
        self.save = self._action("Save plan…", verbs.save, keys.Save, "Save the plan (Ctrl+S)")
        self.undo = self._action("↶ Undo", verbs.undo, keys.Undo, "Undo (Ctrl+Z)")
        self.redo = self._action("↷ Redo", verbs.redo, "Ctrl+Shift+Z", "Redo (Ctrl+Shift+Z)")
        self.remove = self._action("Remove", verbs.remove, "Del", "Remove the lesion (Del)")
        self.exclude = self._action(
            "Exclude…",
            verbs.exclude,
            "",
            "Leave the lesion out of the dose, or take it in",
        )
        self.help = self._action("? Keys", verbs.help, "F1", "Keys and mouse (F1)")
        self._action("Enlarge", verbs.enlarge, "M", "")
        self.skin_map = self._action(
            "Skin map",
            verbs.toggle_skin_map,
            "A",
            "Colour the skin by what it offers for a needle (A); click it: why, or why not",
        )
        self.skin_map.setCheckable(True)
        #: What the menu of the views offers.
        self.shown = (
            self._action("Skin", partial(verbs.toggle_surface, "skin"), "S", "Skin on or off (S)"),
            self._action("Bone", partial(verbs.toggle_surface, "bone"), "K", "Bone on or off (K)"),
            self._action("Crosshair", self._toggle_crosshair, "X", "Crosshair on or off (X)"),
            self.skin_map,
        )
        self._action("Browse", partial(scene.set_tool, Tool.BROWSE), "Esc", "")
        for number, preset in enumerate(PRESETS, start=1):
            self._action(preset.name, partial(scene.set_window, preset), str(number), "")
        self._fill(self._bar())
        scene.tool_changed.connect(self._on_tool)
        scene.window_changed.connect(self._on_window)

    @property
    def next_kind(self) -> LesionKind | None:
        """The kind chosen for the next lesion; None lets the segmenter find out."""
        kind: LesionKind | None = self.kind.currentData()
        return kind

    def refresh(
        self,
        *,
        is_open: bool,
        busy: bool,
        lesion: str,
        can_undo: bool,
        can_redo: bool,
        can_save: bool,
        can_map: bool,
        mapped: bool,
    ) -> None:
        """Allow what makes sense now."""
        free = is_open and not busy
        for action in (self.open, self.open_file):
            action.setEnabled(not busy)
        for tool, action in self.tools.items():
            needs_lesion = tool in (Tool.INSIDE, Tool.OUTSIDE, Tool.ERASER)
            action.setEnabled(free and (bool(lesion) or not needs_lesion))
        self.kind.setEnabled(free)
        self.remove.setEnabled(free and bool(lesion))
        self.exclude.setEnabled(free and bool(lesion))
        self.undo.setEnabled(free and can_undo)
        self.redo.setEnabled(free and can_redo)
        self.save.setEnabled(free and can_save)
        self.skin_map.setEnabled(free and (can_map or mapped))
        self.skin_map.setChecked(mapped)

    def _action(
        self,
        text: str,
        verb: Callable[[], None],
        key: str | QKeySequence.StandardKey,
        hint: str,
    ) -> QAction:
        action = QAction(text, self._window)
        if key:
            action.setShortcut(QKeySequence(key))
        action.setToolTip(hint or text)
        action.triggered.connect(lambda _=False: verb())
        self._window.addAction(action)
        return action

    def _bar(self) -> QToolBar:
        bar = QToolBar("Tools")
        bar.setMovable(False)
        self._window.addToolBar(bar)
        return bar

    def _fill(self, bar: QToolBar) -> None:
        bar.addActions([self.open, self.open_file, self.save])
        bar.addSeparator()
        group = QActionGroup(self._window)
        for tool, text, key, hint in _TOOLS:
            action = self._action(text, partial(self._scene.set_tool, tool), key, hint)
            action.setCheckable(True)
            group.addAction(action)
            if tool not in PAINTING:  # the brush has a bar of its own
                bar.addAction(action)
            self.tools[tool] = action
        self.tools[Tool.BROWSE].setChecked(True)
        label = QLabel("  Kind ")
        label.setObjectName("quiet")
        bar.addWidget(label)
        bar.addWidget(self.kind)
        bar.addSeparator()
        bar.addActions([self.undo, self.redo])
        bar.addSeparator()
        self.presets.addItems(
            [f"{number}  {preset.name}" for number, preset in enumerate(PRESETS, start=1)]
        )
        for number, preset in enumerate(PRESETS):
            self.presets.setItemData(number, preset.text, Qt.ItemDataRole.ToolTipRole)
        self.presets.setToolTip("Window and level: keys 1 to 5, or drag with the right button")
        self.presets.activated.connect(lambda number: self._scene.set_window(PRESETS[number]))
        bar.addWidget(self.presets)
        bar.addSeparator()
        bar.addAction(self.help)

    def _on_tool(self) -> None:
        self.tools[self._scene.tool].setChecked(True)

    def _on_window(self) -> None:
        names = [preset.name for preset in PRESETS]
        name = self._scene.window.name
        self.presets.setCurrentIndex(names.index(name) if name in names else -1)

    def _toggle_crosshair(self) -> None:
        self._scene.show_crosshair = not self._scene.show_crosshair
        self._scene.crosshair_changed.emit()
