"""The mouse and the keys of a slice view: browsing, drawing gestures, moving their ends."""

from __future__ import annotations

import math

from PyQt6.QtCore import QPointF, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QMouseEvent, QWheelEvent

from irplan.errors import CallError
from irplan.geometry import PointLps
from irplan.lesions.drawn import DrawnAxis, short_axis_moved
from irplan.lesions.gestures import Diameter, Gesture
from ui.brush import Stroke
from ui.hand import (
    SHORTEST_LINE_MM,
    box_between,
    handles_of,
    in_slice,
    length_mm,
    scribble_through,
)
from ui.planes import SlicePlane
from ui.scene import MOVING, PAINTING, Tool
from ui.slice_picture import Drag, SlicePicture

ZOOM_STEP = 1.15
#: The mouse takes hold of an end within this distance, widget pixels; where it could also begin a
#: line or a box there, within the second.
GRAB_PX, NEAR_GRAB_PX = 9.0, 5.0
#: What comes along when the wheel turns to another slice meanwhile.
_OPEN_ENDED = ("line", "box", "scribble", "handle", "end")


class SliceView(SlicePicture):
    """One of the three slice views.

    Left button: the tool. Right button: window and level. Middle button, or Shift and left: pan.
    Wheel: slices; with Ctrl: zoom. While a box is drawn the wheel takes it over slices.

    Signals:
        clicked(point, tool): a click of a tool, LPS mm.
        drawn(gesture, add): a line, box or scribble; ``add`` where it belongs to the selected
            lesion (Shift was held, or it lies outside).
        stroked(stroke, tool): the brush was drawn over the slice with a painting tool.
        end_moved(start, end, axis): an end of one of the selected lesion's diameters was moved,
            LPS mm.
        gesture_moved(number, gesture): an end of the selected lesion's n-th gesture was moved.
        refused(CallError): what was drawn is no gesture.
        hovered(point | None): where the mouse is.
        enlarge(): the view asks to fill the area, or to go back.
    """

    clicked = pyqtSignal(object, object)
    drawn = pyqtSignal(object, bool)
    stroked = pyqtSignal(object, object)
    end_moved = pyqtSignal(object, object, object)
    gesture_moved = pyqtSignal(int, object)
    refused = pyqtSignal(object)
    hovered = pyqtSignal(object)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        if event is None or self.plane is None:
            return
        self._last = event.position().toPoint()
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        point = self.point_at(event.position())
        if event.button() == Qt.MouseButton.RightButton:
            self._drag = Drag("window", [point])
        elif event.button() == Qt.MouseButton.MiddleButton:
            self._drag = Drag("pan", [point])
        elif event.button() == Qt.MouseButton.LeftButton:
            self._begin(event.position(), point, shift, control)

    def _begin(self, position: QPointF, point: PointLps, shift: bool, control: bool) -> None:
        """The left button went down."""
        tool = self._scene.tool
        held = self._grab(position) if tool in MOVING and not shift and not control else None
        if held is not None:
            self._drag = held
        elif tool in PAINTING:
            self._drag = Drag("brush", [point], minus=control or tool is Tool.ERASER)
        elif tool in (Tool.LINE, Tool.BOX):
            manner = "line" if tool is Tool.LINE else "box"
            self._drag = Drag(manner, [point, point], adds=shift)
        elif tool is Tool.SCRIBBLE:
            self._drag = Drag("scribble", [point], adds=shift or control, minus=control)
        elif shift:
            self._drag = Drag("pan", [point])
        elif tool is Tool.BROWSE:
            self._drag = Drag("crosshair", [point])
            self._scene.set_crosshair(point)
        else:
            self._scene.set_crosshair(point)
            if tool is Tool.CLICK:
                self.clicked.emit(point, tool)
            else:  # a click, or a scribble where the mouse goes on
                minus = tool is Tool.OUTSIDE
                self._drag = Drag("scribble", [point], adds=True, minus=minus)

    def _grab(self, position: QPointF) -> Drag | None:
        """Take hold of the nearest end of the selected lesion's diameter or of its gestures."""
        plane, number = self._require_plane(), self.slice_number
        drags: list[tuple[float, Drag]] = []
        for axis in DrawnAxis:
            ends = self._ends_of(axis)
            # The line in 3-D runs through slices: each end is taken hold of in its own.
            whole = axis is DrawnAxis.WHOLE or (ends is not None and in_slice(ends, plane, number))
            drags += [
                (self._gap(end, position), Drag("end", ends or (), axis=axis, end=one))
                for one, end in enumerate(ends or ())
                if whole and in_slice((end,), plane, number)
            ]
        drags += [
            (self._gap(one.point_lps_mm, position), Drag("handle", [one.point_lps_mm], handle=one))
            for one in handles_of(self._scene.gestures, plane, number)
        ]
        reach = GRAB_PX if self._scene.tool is Tool.BROWSE else NEAR_GRAB_PX
        near = [item for item in drags if item[0] <= reach]
        # Other ends come first: where the axial diameter is the longest in 3-D too, it is meant.
        ordered = sorted(near, key=lambda item: (item[1].axis is DrawnAxis.WHOLE, item[0]))
        return ordered[0][1] if ordered else None

    def _ends_of(self, axis: DrawnAxis) -> tuple[PointLps, PointLps] | None:
        """The ends of a diameter of the selected lesion."""
        lesion = self._scene.lesion(self._scene.lesion_id)
        if lesion is None:
            return None
        return {
            DrawnAxis.LONGEST: lesion.longest_diameter_ends_lps_mm,
            DrawnAxis.SHORT: lesion.short_axis_ends_lps_mm,
            DrawnAxis.WHOLE: lesion.diameter_3d_ends_lps_mm,
        }[axis]

    def _gap(self, point: PointLps, position: QPointF) -> float:
        place = self.place_of(point)
        return math.hypot(place.x() - position.x(), place.y() - position.y())

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        plane = self.plane
        if event is None or plane is None:
            return
        now = event.position().toPoint()
        moved = now - self._last
        point = self.point_at(event.position())
        drag = self._drag
        if drag is not None and drag.manner == "window":
            self._scene.set_window(self._scene.window.dragged(moved.x(), moved.y()))
        elif drag is not None and drag.manner == "pan":
            self._px_per_mm = self.px_per_mm
            self._centre -= QPointF(
                moved.x() / (plane.pixel_mm[0] * self.px_per_mm),
                moved.y() / (plane.pixel_mm[1] * self.px_per_mm),
            )
        elif drag is not None:
            self._go_on(drag, point)
        self._last = now
        self._hover = point
        self.hovered.emit(point)
        self.update()

    def _go_on(self, drag: Drag, point: PointLps) -> None:
        """The mouse moved with the left button down."""
        if drag.manner in ("line", "box", "handle"):
            drag.points[-1] = point
        elif drag.manner in ("brush", "scribble"):
            drag.points.append(point)
        elif drag.manner == "end":
            longest = self._ends_of(DrawnAxis.LONGEST)
            if drag.axis is DrawnAxis.SHORT and longest is not None:
                moved = short_axis_moved(longest, point, drag.points[1 - drag.end])
                drag.points[drag.end], drag.points[1 - drag.end] = moved
            else:
                drag.points[drag.end] = point
        elif drag.manner == "crosshair":
            self._scene.set_crosshair(point)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        drag, self._drag = self._drag, None
        plane = self.plane
        if drag is not None and plane is not None:
            try:
                self._finish(drag, plane)
            except CallError as error:
                self.refused.emit(error)
        self.update()

    def _finish(self, drag: Drag, plane: SlicePlane) -> None:
        """The button went up: say what was drawn."""
        points = tuple(drag.points)
        if drag.manner == "brush":
            self.stroked.emit(Stroke(points, drag.minus, plane.through), self._scene.tool)
        elif drag.manner == "scribble":
            if length_mm(points) >= SHORTEST_LINE_MM:
                self.drawn.emit(scribble_through(points, not drag.minus), drag.adds)
            elif self._scene.tool in (Tool.INSIDE, Tool.OUTSIDE):
                self.clicked.emit(points[0], self._scene.tool)
        elif drag.manner == "handle" and drag.handle is not None:
            if math.dist(points[-1], drag.handle.point_lps_mm) > 0.0:
                self.gesture_moved.emit(drag.handle.number, drag.handle.moved(points[-1]))
        elif drag.manner in ("line", "end", "box"):
            self._finish_two(drag, plane)

    def _finish_two(self, drag: Drag, plane: SlicePlane) -> None:
        """A line, a box or a moved diameter, where it is no slip of the hand."""
        start, end = drag.points
        if math.dist(start, end) < SHORTEST_LINE_MM:
            return
        if drag.manner == "end":
            # A press without a move is no diameter drawn by hand.
            if (start, end) != self._ends_of(drag.axis):
                self.end_moved.emit(start, end, drag.axis)
            return
        gesture: Gesture | None = Diameter(start, end)
        if drag.manner == "box":
            gesture = box_between(start, end, plane)
        if gesture is not None:
            self.drawn.emit(gesture, drag.adds)

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        if self._scene.tool is Tool.BROWSE:
            self.enlarge.emit()
        else:
            self.mousePressEvent(event)

    def leaveEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        self._hover = None
        self.hovered.emit(None)
        self.update()

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802 - Qt's name
        if event is None or self.plane is None:
            return
        notches = event.angleDelta().y() / 120
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom(ZOOM_STEP**notches, event.position())
        elif notches:
            self._step(round(notches) or int(math.copysign(1, notches)))
        event.accept()

    def _step(self, slices: int) -> None:
        """Turn to another slice; what is being drawn comes along with its open end."""
        self._scene.step(self.name, slices)
        if self._drag is not None and self._drag.manner in _OPEN_ENDED:
            self._go_on(self._drag, self.point_at(QPointF(self._last)))
            self.update()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        plane = self.plane
        if event is None or plane is None:
            super().keyPressEvent(event)
            return
        key, many = event.key(), 10 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
        scrolls = {int(Qt.Key.Key_PageUp): many, int(Qt.Key.Key_PageDown): -many}
        moves = {
            int(Qt.Key.Key_Left): (-many, 0),
            int(Qt.Key.Key_Right): (many, 0),
            int(Qt.Key.Key_Up): (0, -many),
            int(Qt.Key.Key_Down): (0, many),
        }
        if key in scrolls:
            self._step(scrolls[key])
        elif key in moves:
            x, y = plane.to_screen(self._scene.crosshair_lps_mm)
            dx, dy = moves[key]
            self._scene.set_crosshair(plane.to_lps(x + dx, y + dy, self.slice_number))
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(ZOOM_STEP)
        elif key == Qt.Key.Key_Minus:
            self.zoom(1 / ZOOM_STEP)
        elif key == Qt.Key.Key_Home:
            self.fit()
        else:
            super().keyPressEvent(event)
