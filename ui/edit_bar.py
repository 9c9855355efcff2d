"""The second tool bar: the brush, edits of a whole mask, names, what is imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from PyQt6.QtGui import QAction, QKeySequence
from PyQt6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QMainWindow,
    QMenu,
    QToolBar,
    QToolButton,
)

from irplan.lesions.plugins import BUILT_IN, names
from ui.brush import RADII_MM, WHOLE_EDITS, Change
from ui.scene import Scene


@dataclass
class EditVerbs:
    """What the window does for the bar."""

    edit: Callable[[str, Change], None]
    split: Callable[[], None]
    place: Callable[[], None]
    measure_again: Callable[[], None]
    biopsy: Callable[[], None]
    clear_no_go: Callable[[], None]
    import_masks: Callable[[], None]
    import_anatomy: Callable[[], None]
    follow_up: Callable[[], None]


class EditBar(QToolBar):
    """Size and manner of the brush, and menus."""

    def __init__(
        self,
        window: QMainWindow,
        scene: Scene,
        verbs: EditVerbs,
        tools: tuple[QAction, ...],
        shown: tuple[QAction, ...],
    ) -> None:
        super().__init__("Editing", window)
        self.setMovable(False)
        self._scene = scene
        self.segmenter = QComboBox()
        self.radius = QDoubleSpinBox()
        self.radius.setRange(RADII_MM[0] / 2, RADII_MM[-1])
        self.radius.setDecimals(1)
        self.radius.setSuffix(" mm")
        self.radius.setAccessibleName("radius of the brush")
        self.radius.setToolTip("Radius of the brush: [ smaller, ] larger")
        self.ball = self._toggle("Ball (3-D)", "T", "Paint a ball instead of a disc (T)")
        self.in_window = self._toggle(
            "Within window", "W", "Touch only voxels whose HU lie in the window shown (W)"
        )
        self.masks = self._action("Masks of lesions…", verbs.import_masks, "Ctrl+M")
        self.anatomy = self._action("Anatomy (label map)…", verbs.import_anatomy, "Ctrl+Shift+A")
        self.follow_up = self._action("Earlier visit…", verbs.follow_up, "Ctrl+Shift+F")
        self.follow_up.setToolTip("Follow the lesions of an earlier visit to this scan")
        self.place = self._action("Site and side…", verbs.place, "Ctrl+L")
        self.again = self._action("Measure the diameters again", verbs.measure_again, "")
        self.biopsy = self._action("Biopsy due before the injection", verbs.biopsy, "")
        self.biopsy.setCheckable(True)
        self.split = self._action("Split at the crosshair and the middle", verbs.split, "")
        self.clear_no_go = self._action("Clear the no-go zone", verbs.clear_no_go, "")
        self.whole: dict[str, QAction] = {}
        for name, hint, change in WHOLE_EDITS:
            action = self._action(name, partial(verbs.edit, name, change), "")
            action.setToolTip(hint)
            self.whole[name] = action
        self._keys(window)
        self.addActions(list(tools))
        label = QLabel("  Radius ")
        label.setObjectName("quiet")
        self.addWidget(label)
        self.addWidget(self.radius)
        self.addActions([self.ball, self.in_window])
        self.addSeparator()
        self._menu("Edit mask", (*self.whole.values(), self.split))
        self._menu("Lesion", (self.place, self.again, self.biopsy))
        self._menu("No-go zone", (self.clear_no_go,))
        self._menu("Import", (self.masks, self.anatomy, self.follow_up))
        self._menu("View", shown)
        self.addSeparator()
        self._choose_segmenter()
        self.radius.valueChanged.connect(self._on_radius)
        self.ball.toggled.connect(self._on_toggled)
        self.in_window.toggled.connect(self._on_toggled)
        scene.brush_changed.connect(self._on_brush)
        self._on_brush()

    @property
    def next_segmenter(self) -> str:
        """What the next lesion is segmented by: irplan's own, or the name of a plug-in."""
        return str(self.segmenter.currentData())

    def refresh(self, *, free: bool, lesion: bool, no_go: bool, drawn: bool, due: bool) -> None:
        """Allow what makes sense now."""
        for action in (*self.whole.values(), self.split, self.place):
            action.setEnabled(free and lesion)
        self.again.setEnabled(free and drawn)
        self.biopsy.setEnabled(free and lesion)
        self.biopsy.setChecked(due)
        self.clear_no_go.setEnabled(free and no_go)
        self.masks.setEnabled(free)
        self.segmenter.setEnabled(free)
        self.anatomy.setEnabled(free)
        self.follow_up.setEnabled(free)

    def _action(self, text: str, verb: Callable[[], None], key: str) -> QAction:
        action = QAction(text, self)
        if key:
            action.setShortcut(QKeySequence(key))
        action.triggered.connect(lambda _=False: verb())
        return action

    def _toggle(self, text: str, key: str, hint: str) -> QAction:
        action = QAction(text, self)
        action.setCheckable(True)
        action.setShortcut(QKeySequence(key))
        action.setToolTip(hint)
        return action

    def _keys(self, window: QMainWindow) -> None:
        """[ and ], and the keys of what stands in menus."""
        for key, step in (("[", -1), ("]", 1)):
            action = self._action(key, partial(self._size, step), key)
            window.addAction(action)
        window.addActions([self.masks, self.anatomy, self.follow_up, self.place])

    def _menu(self, text: str, actions: tuple[QAction, ...]) -> None:
        button = QToolButton()
        button.setText(f"{text} ▾")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        menu.setToolTipsVisible(True)
        menu.addActions(list(actions))
        button.setMenu(menu)
        self.addWidget(button)

    def _choose_segmenter(self) -> None:
        """The choice among irplan's own segmenter and the plug-ins that are installed."""
        label = QLabel("  Segmenter ")
        label.setObjectName("quiet")
        for name in names():
            self.segmenter.addItem("built in" if name == BUILT_IN else name, name)
        self.segmenter.setAccessibleName("segmenter of the next lesion")
        self.segmenter.setToolTip(
            "What the next lesion is segmented by: irplan's own, or an installed plug-in; "
            "a correction goes to the one that made the lesion"
        )
        self.addWidget(label)
        self.addWidget(self.segmenter)

    def _size(self, step: int) -> None:
        self._scene.set_brush(self._scene.brush.sized(step))

    def _on_radius(self, value: float) -> None:
        self._scene.set_brush(replace(self._scene.brush, radius_mm=value))

    def _on_toggled(self) -> None:
        brush = replace(
            self._scene.brush, ball=self.ball.isChecked(), in_window=self.in_window.isChecked()
        )
        self._scene.set_brush(brush)

    def _on_brush(self) -> None:
        brush = self._scene.brush
        parts = (self.radius, self.ball, self.in_window)
        blocked = [part.blockSignals(True) for part in parts]
        self.radius.setValue(brush.radius_mm)
        self.ball.setChecked(brush.ball)
        self.in_window.setChecked(brush.in_window)
        for part, before in zip(parts, blocked, strict=True):
            part.blockSignals(before)
