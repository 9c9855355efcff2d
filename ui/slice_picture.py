"""A slice of the CT with what is drawn over it: where things lie in the widget, and painting."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PyQt6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QSizePolicy, QWidget

from irplan import units
from irplan.geometry import FloatArray, PointLps
from irplan.lesions.drawn import DrawnAxis
from ui import gesture_overlays, needle_overlays, overlays, theme
from ui.contours import visible_box
from ui.hand import Handle
from ui.images import grey_image
from ui.planes import SlicePlane, ViewName
from ui.scene import PAINTING, Scene, Tool
from ui.windowing import to_grey

#: Air left around the patient where the view is fitted, mm.
FIT_MARGIN_MM = 12.0
#: Pixels on the screen per millimetre, smallest and largest.
ZOOM_LIMITS = (0.2, 60.0)
_COORDINATE = {ViewName.AXIAL: "z", ViewName.CORONAL: "y", ViewName.SAGITTAL: "x"}


class Drag:
    """What the mouse does while a button is down.

    Attributes:
        manner: window, pan, crosshair, line, box, scribble, brush, end (of a diameter) or handle
            (of a gesture).
        points: where it went, LPS mm; of 'end' both ends.
        adds: to the selected lesion, instead of beginning one.
        minus: takes off: erases, or a scribble outside.
        handle: what was taken hold of.
        axis: which diameter's end is moved.
        end: which of the two ends is moved.
    """

    def __init__(
        self,
        manner: str,
        points: Sequence[PointLps],
        *,
        adds: bool = False,
        minus: bool = False,
        handle: Handle | None = None,
        axis: DrawnAxis = DrawnAxis.LONGEST,
        end: int = 0,
    ) -> None:
        self.manner, self.points = manner, list(points)
        self.adds, self.minus, self.handle = adds, minus, handle
        self.axis, self.end = axis, end


class SlicePicture(QWidget):
    """One of the three slice views, without its mouse."""

    enlarge = pyqtSignal()

    def __init__(self, scene: Scene, name: ViewName, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = name
        self._scene = scene
        self._outlines = overlays.OutlineCache()
        self._px_per_mm: float | None = None
        self._centre = QPointF(0, 0)
        self._image: QImage | None = None
        self._image_key: tuple[object, ...] = ()
        self._fit_box: tuple[float, float, float, float] = (0, 0, 1, 1)
        self._last = QPoint()
        self._drag: Drag | None = None
        self._hover: PointLps | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 120)
        self.setAccessibleName(f"{name.value} view")
        scene.volume_changed.connect(self._on_volume)
        for signal in (
            scene.crosshair_changed,
            scene.window_changed,
            scene.content_changed,
            scene.selection_changed,
            scene.brush_changed,
            scene.pixels_changed,
        ):
            signal.connect(self.update)
        scene.tool_changed.connect(self._on_tool)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(520, 400)

    # Where things are -----------------------------------------------------------------------

    @property
    def plane(self) -> SlicePlane | None:
        """The stack of slices shown; None before a scan is open."""
        return self._scene.planes.get(self.name)

    @property
    def slice_number(self) -> int:
        """The slice shown."""
        return self._scene.slice_number(self.name)

    @property
    def px_per_mm(self) -> float:
        """Screen pixels per millimetre, the same in both directions."""
        return self._fit_scale() if self._px_per_mm is None else self._px_per_mm

    def to_widget(self, screen_points: FloatArray) -> FloatArray:
        """Screen voxels (..., 2) → widget pixels (..., 2)."""
        plane = self._require_plane()
        scale = np.asarray(plane.pixel_mm) * self.px_per_mm
        centre = np.asarray([self._centre.x(), self._centre.y()])
        middle = np.asarray([self.width() / 2, self.height() / 2])
        return np.asarray((np.asarray(screen_points) - centre) * scale + middle)

    def point_at(self, position: QPointF) -> PointLps:
        """The point of the slice shown, LPS mm, at a place of the widget."""
        plane = self._require_plane()
        x = (position.x() - self.width() / 2) / (plane.pixel_mm[0] * self.px_per_mm)
        y = (position.y() - self.height() / 2) / (plane.pixel_mm[1] * self.px_per_mm)
        return plane.to_lps(x + self._centre.x(), y + self._centre.y(), self.slice_number)

    def place_of(self, point_lps_mm: Sequence[float]) -> QPointF:
        """Where a point, LPS mm, is drawn in the widget."""
        x, y = self.to_widget(self._require_plane().to_screen(point_lps_mm))
        return QPointF(float(x), float(y))

    def slice_image(self) -> QImage:
        """The slice as 8-bit grey, one pixel per voxel, through window and level."""
        plane = self._require_plane()
        volume = self._scene.volume
        if volume is None:
            raise LookupError("no scan is shown")
        number = self.slice_number
        key = (id(volume), number, self._scene.window, self._scene.arrived)
        if self._image is None or key != self._image_key:
            grey = to_grey(plane.pixels(volume.hu, number), self._scene.grey)
            if self._scene.there is not None:  # what has not come yet is black
                there = np.broadcast_to(self._scene.there[:, None, None], volume.hu.shape)
                grey = np.where(plane.pixels(there, number), grey, np.uint8(0))
            self._image, self._image_key = grey_image(grey), key
        return self._image

    def fit(self) -> None:
        """Show the whole patient."""
        self._px_per_mm = None
        left, top, right, bottom = self._fit_box
        self._centre = QPointF((left + right) / 2, (top + bottom) / 2)
        self.update()

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """Zoom by a factor; the point under ``at`` stays where it is."""
        plane = self.plane
        if plane is None:
            return
        at = at or QPointF(self.width() / 2, self.height() / 2)
        before = self.px_per_mm
        after = float(np.clip(before * factor, *ZOOM_LIMITS))
        shift = 1 / before - 1 / after
        self._centre += QPointF(
            (at.x() - self.width() / 2) * shift / plane.pixel_mm[0],
            (at.y() - self.height() / 2) * shift / plane.pixel_mm[1],
        )
        self._px_per_mm = after
        self.update()

    def come_near(self, point_lps_mm: Sequence[float], field_mm: float) -> None:
        """Put a point in the middle and show about ``field_mm`` around it; never zooms out."""
        plane = self.plane
        if plane is None:
            return
        scale = min(self.width(), self.height()) / field_mm
        self._px_per_mm = float(np.clip(max(self.px_per_mm, scale), *ZOOM_LIMITS))
        x, y = plane.to_screen(point_lps_mm)
        self._centre = QPointF(float(x), float(y))
        self.update()

    def _fit_scale(self) -> float:
        left, top, right, bottom = self._fit_box
        plane = self._require_plane()
        wide = max(right - left, 1.0) * plane.pixel_mm[0]
        high = max(bottom - top, 1.0) * plane.pixel_mm[1]
        return max(ZOOM_LIMITS[0] / 4, min(self.width() / wide, self.height() / high))

    def _require_plane(self) -> SlicePlane:
        plane = self.plane
        if plane is None:
            raise LookupError("no scan is shown")
        return plane

    # Painting -------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("#000000"))
        plane = self.plane
        if plane is None:
            painter.setFont(overlays.font(12))
            painter.setPen(QColor("#5d6b79"))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.name.value)
        else:
            self._paint_slice(painter, plane)
            self._paint_overlays(painter, plane)
        if self.hasFocus():
            painter.setPen(QPen(QColor(theme.ACCENT), 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _paint_slice(self, painter: QPainter, plane: SlicePlane) -> None:
        columns, rows = plane.size
        corners = np.asarray([[-0.5, -0.5], [columns - 0.5, rows - 0.5]])
        (left, top), (right, bottom) = self.to_widget(corners)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(QRectF(left, top, right - left, bottom - top), self.slice_image())

    def _paint_overlays(self, painter: QPainter, plane: SlicePlane) -> None:
        scene, number = self._scene, self.slice_number
        width, height = float(self.width()), float(self.height())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        overlays.draw_lesions(painter, scene, plane, number, self._outlines, self.to_widget)
        overlays.draw_whole_diameter(painter, scene, plane, number, self._outlines, self.to_widget)
        overlays.draw_no_go(painter, scene, plane, number, self.to_widget)
        gesture_overlays.draw_gestures(painter, scene, plane, number, self.to_widget)
        needle_overlays.draw_needles(painter, scene, plane, number, self.to_widget)
        needle_overlays.draw_biopsies(painter, scene, plane, number, self.to_widget)
        if scene.show_crosshair:
            centre = self.place_of(scene.crosshair_lps_mm)
            overlays.draw_crosshair(painter, centre, width, height)
        if self._drag is not None and self._drag.manner != "brush":
            self._paint_drag(painter, plane, self._drag)
        if scene.tool in PAINTING:
            self._paint_brush(painter, plane)
        foot = 18.0 if scene.unknown else 0.0
        overlays.draw_letters(painter, plane, width, height, foot)
        overlays.draw_scale(painter, self.px_per_mm, width, height)
        self._paint_texts(painter, plane, number, width, height)

    def _paint_drag(self, painter: QPainter, plane: SlicePlane, drag: Drag) -> None:
        """The gesture that is being drawn or moved."""
        colour, points = theme.DRAWN, drag.points
        if drag.manner in ("line", "end"):
            overlays.draw_measure(
                painter, points, f"{units.mm(math.dist(*points))} mm", plane, self.to_widget, colour
            )
        elif drag.manner == "box":
            gesture_overlays.draw_rubber_box(painter, points, plane, self.to_widget, colour)
        elif drag.manner == "scribble":
            gesture_overlays.draw_path(painter, points, not drag.minus, plane, self.to_widget)
        elif drag.manner == "handle" and drag.handle is not None:
            gesture_overlays.draw_moved(painter, drag.handle, points[-1], plane, self.to_widget)

    def _paint_brush(self, painter: QPainter, plane: SlicePlane) -> None:
        """The stroke that is being drawn, and the brush where the mouse is."""
        drag = self._drag if self._drag is not None and self._drag.manner == "brush" else None
        spots = drag.points if drag else ([] if self._hover is None else [self._hover])
        if not spots:
            return
        points = self.to_widget(plane.to_screen(np.asarray(spots)))
        erases = drag.minus if drag else self._scene.tool is Tool.ERASER
        painting = theme.NO_GO if self._scene.tool is Tool.NO_GO else theme.GOOD
        overlays.draw_stroke(
            painter,
            points,
            self._scene.brush.radius_mm * self.px_per_mm,
            theme.TEXT if erases else painting,
            drawn=drag is not None,
        )

    def _paint_texts(
        self, painter: QPainter, plane: SlicePlane, number: int, width: float, height: float
    ) -> None:
        painter.setFont(overlays.font(12, bold=True))
        line = overlays.draw_text(painter, plane.title, QPointF(10, 6)).height()
        painter.setFont(overlays.font(10.5))
        overlays.draw_text(painter, self.position_text, QPointF(10, 6 + line))
        count = f"slice {self._ordinal(plane, number)} of {plane.count}"
        overlays.draw_text(painter, count, QPointF(10, 6 + 2 * line), theme.QUIET)
        if self._scene.there is not None:
            told = f"▲ being read: {self._scene.arrived} of {len(self._scene.there)} slices"
            overlays.draw_text(painter, told, QPointF(10, 6 + 3 * line), "#ffcf6b")
        room = width - 22 - max(90.0, width / 4)
        overlays.draw_unknown(painter, self._scene.unknown, QPointF(10, height - line - 4), room)
        right = Qt.AlignmentFlag.AlignRight
        painter.setFont(overlays.font(10.5))
        overlays.draw_text(painter, self._scene.window.text, QPointF(width - 10, 6), align=right)
        if self._hover is not None:
            text = self.readout(self._hover)
            overlays.draw_text(painter, text, QPointF(10, height - 2 * line - 4))

    @property
    def position_text(self) -> str:
        """Where the slice lies, LPS mm, as printed in the view."""
        plane = self._require_plane()
        middle = plane.to_lps(plane.size[0] / 2 - 0.5, plane.size[1] / 2 - 0.5, self.slice_number)
        value = units.mm(middle[plane.normal_axis])
        where = " at its middle" if "oblique" in plane.title else ""
        return f"{_COORDINATE[self.name]} {value} mm{where}"

    def readout(self, point_lps_mm: PointLps) -> str:
        """Position, HU and structure at a point, as printed in the view."""
        x, y, z = (units.mm(value) for value in point_lps_mm)
        hu = self._scene.hu_at(point_lps_mm)
        missing = "outside the scan" if self._scene.there is None else "being read"
        value = missing if hu is None else f"{hu} HU"
        structure = self._scene.structure_at(point_lps_mm).replace("_", " ")
        return f"x {x}  y {y}  z {z} mm   {value}   {structure}".rstrip()

    def _ordinal(self, plane: SlicePlane, number: int) -> int:
        """Slices are counted from 1 in the direction in which PgUp goes."""
        return number + 1 if plane.forward > 0 else plane.count - number

    def _on_volume(self) -> None:
        plane, body = self.plane, self._scene.body
        if plane is not None:
            columns, rows = plane.size
            self._fit_box = (0.0, 0.0, float(columns - 1), float(rows - 1))
            if body is not None:
                self._fit_box = visible_box(body, plane, FIT_MARGIN_MM)
        self._image, self._drag, self._hover = None, None, None
        self.fit()

    def _on_tool(self) -> None:
        browsing = self._scene.tool is Tool.BROWSE
        shape = Qt.CursorShape.ArrowCursor if browsing else Qt.CursorShape.CrossCursor
        self.setCursor(shape)
