"""What the hand drew in a view, and the verb of the case that it calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from irplan.geometry import PointLps
from irplan.lesions.drawn import DrawnAxis
from irplan.lesions.gestures import Click, Gesture
from irplan.lesions.lesion import LesionKind
from ui.brush import Change, Stroke, far_point
from ui.case import Case
from ui.scene import Scene, Tool
from ui.slice_view import SliceView
from ui.widgets import Notice


class Drawing:
    """Gestures, strokes and moved ends of the slice views, and edits of the selected lesion.

    Args:
        chosen: kind and segmenter of the next lesion, as chosen now.
        views: the views that are drawn in.
    """

    def __init__(
        self,
        case: Case,
        scene: Scene,
        notice: Notice,
        chosen: Callable[[], tuple[LesionKind | None, str]],
        views: Sequence[SliceView],
    ) -> None:
        self._case, self._scene, self._notice, self._chosen = case, scene, notice, chosen
        #: The lesion that becomes the selected one once it is there.
        self._coming = ""
        for view in views:
            view.clicked.connect(self._on_clicked)
            view.drawn.connect(self._on_drawn)
            view.gesture_moved.connect(self._on_gesture_moved)
            view.stroked.connect(self._on_stroked)
            view.end_moved.connect(self._on_end_moved)

    def _on_clicked(self, point: PointLps, tool: Tool) -> None:
        self._notice.hide()
        if tool is Tool.CLICK:
            self._on_drawn(Click(point), False)
        else:
            self._case.add_gesture(self._scene.lesion_id, Click(point, tool is Tool.INSIDE))

    def _on_drawn(self, gesture: Gesture, add: bool) -> None:
        self._notice.hide()
        selected = self._scene.lesion_id
        meant = selected if add else self._case.meant_by(gesture, selected)
        if not add and not meant:
            self._coming = self._case.new_lesion_id()
            self._case.segment_gesture(gesture, *self._chosen())
            return
        if meant != selected:
            self._scene.select(meant)
        self._case.add_gesture(meant, gesture)

    def _on_gesture_moved(self, number: int, gesture: Gesture) -> None:
        self._notice.hide()
        self._case.move_gesture(self._scene.lesion_id, number, gesture)

    def _on_stroked(self, stroke: Stroke, tool: Tool) -> None:
        self._notice.hide()
        brush, window_hu = self._scene.brush, self._scene.window.limits_hu
        if tool is Tool.NO_GO:
            self._case.paint_no_go(stroke, brush, window_hu)
            return
        lesion_id = self._scene.lesion_id
        if not lesion_id and not stroke.erase:
            self._coming = lesion_id = self._case.new_lesion_id()
        self._case.paint(lesion_id, stroke, brush, window_hu)

    def _on_end_moved(self, start: PointLps, end: PointLps, axis: DrawnAxis) -> None:
        self._case.draw_diameter(self._scene.lesion_id, start, end, axis)

    def edit_whole(self, name: str, change: Change) -> None:
        """Change the whole mask of the selected lesion."""
        self._notice.hide()
        self._case.edit(self._scene.lesion_id, change)

    def split(self) -> None:
        """Part the selected lesion at its waist, between the crosshair and its far side."""
        lesion = self._scene.lesion(self._scene.lesion_id)
        if lesion is not None and lesion.centroid_lps_mm is not None:
            there = self._scene.crosshair_lps_mm
            self._case.split(lesion.lesion_id, far_point(lesion, there), there)

    def measure_again(self) -> None:
        """Let the measured diameters of the selected lesion stand again."""
        self._case.measure_again(self._scene.lesion_id)

    def select_coming(self) -> None:
        """Select the lesion that was begun last, as soon as it is there."""
        if self._coming and self._scene.lesion(self._coming) is not None:
            self._scene.select(self._coming)
        if not self._case.runner.busy:
            self._coming = ""
