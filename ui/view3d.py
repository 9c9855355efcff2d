"""The 3-D view: skin, bone, lesions and needles as the patient has them.

VTK renders off screen and the widget paints the result. That needs no native window inside Qt's,
so it works the same on X11, Wayland and without a screen, can be grabbed like any widget, and its
texts are drawn by Qt, crisp at any scale.
"""

from __future__ import annotations

import numpy as np
import vtkmodules.vtkRenderingFreeType
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401 - registers the renderer
from PyQt6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import (
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PyQt6.QtWidgets import QSizePolicy, QWidget
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkUnsignedCharArray
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow

from irplan.geometry import FloatArray, PointLps, unit
from irplan.trajectory.biopsy import Biopsy
from irplan.trajectory.needle import Needle
from irplan.trajectory.skin_map import SkinMap
from ui import overlays, theme
from ui.actors import actor_of, ball, dashes, orientation_cube, painted_actor, rgb_of, tube
from ui.images import rgb_image
from ui.planes import letters_of
from ui.scene import Scene
from ui.skin_map_layer import Explained, SkinMapLayer, draw_answer, draw_legend, map_for

#: Side of the orientation cube's corner, as a share of the view.
CUBE_SHARE = 0.2
#: Needles are drawn this thick, mm (a 22 G needle is 0.7 mm; it would not be seen).
NEEDLE_RADIUS_MM = 1.1
#: The mouse may move by this much between press and release of a click, widget pixels.
CLICK_PX = 3
#: The view is this much larger than the patient in it.
FILL = 1.12


class View3D(QWidget):
    """Left button turns, wheel or right button zooms, middle button (or Shift and left) shifts.

    Signals:
        enlarge(): the view asks to fill the area, or to go back.
        asked(lesion_id, point): the skin map was clicked, LPS mm: why may a needle go in there?
    """

    enlarge = pyqtSignal()
    asked = pyqtSignal(str, object)

    def __init__(self, scene: Scene, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = scene
        self._surfaces: dict[str, vtkPolyData] = {}
        self._lesion_surfaces: dict[str, vtkPolyData] = {}
        self._shown = {"skin": True, "bone": True}
        self._maps: tuple[SkinMap, ...] = ()
        self._layer: SkinMapLayer | None = None
        self._explained: Explained | None = None
        self._hover: int | None = None
        self._pressed = QPoint()
        self._image: QImage | None = None
        self._dirty = True
        self._last = QPoint()
        self._labels: list[tuple[str, PointLps, str]] = []
        self._renderer = vtkRenderer()
        self._renderer.SetBackground(*rgb_of("#0b0f13"))
        self._renderer.SetBackground2(*rgb_of("#1b2530"))
        self._renderer.GradientBackgroundOn()
        self._corner = vtkRenderer()
        self._corner.SetLayer(1)
        self._corner.InteractiveOff()
        self._corner.AddActor(orientation_cube())
        self._window: vtkRenderWindow | None = None
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 120)
        self.setAccessibleName("3-D view")
        scene.volume_changed.connect(self._on_volume)
        scene.content_changed.connect(self.rebuild)
        scene.selection_changed.connect(self._on_selection)
        self.setMouseTracking(True)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(520, 400)

    # What is shown --------------------------------------------------------------------------

    def set_surfaces(self, skin: vtkPolyData, bone: vtkPolyData) -> None:
        """Show the patient's skin and bone, and look at them from the front."""
        self._surfaces = {"skin": skin, "bone": bone}
        self.rebuild()
        self.look("front")

    def set_lesion_surfaces(self, surfaces: dict[str, vtkPolyData]) -> None:
        """The surfaces of the lesions, by id."""
        self._lesion_surfaces = surfaces
        self.rebuild()

    def show_surface(self, name: str, shown: bool) -> None:
        """Show or hide 'skin' or 'bone'."""
        self._shown[name] = shown
        self.rebuild()

    def show_skin_maps(self, maps: tuple[SkinMap, ...]) -> None:
        """Colour the skin by the map of the selected lesion, or of all; () shows plain skin."""
        self._maps, self._explained = maps, None
        self._lay_map()
        self.rebuild()

    def show_explained(self, explained: Explained | None) -> None:
        """Mark a skin point, and say why a path from there is or is not allowed."""
        self._explained = explained
        self.rebuild()

    @property
    def skin_map(self) -> SkinMapLayer | None:
        """The map on the skin; None where plain skin is shown."""
        return self._layer

    def _lay_map(self) -> None:
        found = map_for(self._maps, self._scene.lesion_id)
        if found is None or "skin" not in self._surfaces:
            self._layer = None
        elif self._layer is None or self._layer.map is not found:
            self._layer = SkinMapLayer(self._surfaces["skin"], found)
            self._explained = None

    def _on_selection(self) -> None:
        self._lay_map()
        self.rebuild()

    def look(self, side: str) -> None:
        """Turn to the patient's 'front', 'left' or 'head' and show all of them."""
        away = {"front": (0, -1, 0), "left": (1, 0, 0), "feet": (0, 0, -1)}[side]
        up = {"front": (0, 0, 1), "left": (0, 0, 1), "feet": (0, -1, 0)}[side]
        camera = self._renderer.GetActiveCamera()
        camera.SetFocalPoint(0, 0, 0)
        camera.SetPosition(*away)
        camera.SetViewUp(*up)
        self._renderer.ResetCamera()
        self._come_close(np.asarray(away, dtype=float), np.asarray(up, dtype=float))
        self._refresh()

    def come_near(self, point: PointLps, field_mm: float, entry: PointLps | None = None) -> None:
        """Look at a point with about ``field_mm`` around it; from the side of an entry point."""
        if not self._surfaces:
            return
        camera = self._renderer.GetActiveCamera()
        away = -np.asarray(camera.GetDirectionOfProjection())
        if entry is not None and entry != point:
            along = unit(np.subtract(entry, point))
            # A little to the side of the needle, so that it is seen in its length.
            side = np.cross((0.0, 0.0, 1.0), along)
            away = unit(along + 0.6 * side + np.asarray([0.0, 0.0, 0.25]))
            camera.SetViewUp(0, 0, 1)
        slope = np.tan(np.radians(camera.GetViewAngle() / 2))
        camera.SetFocalPoint(*point)
        camera.SetPosition(*(np.asarray(point) + away * field_mm / (2 * slope)))
        self._refresh()

    def toggle_surface(self, name: str) -> None:
        """Show 'skin' or 'bone', or hide it."""
        self.show_surface(name, not self._shown[name])

    def _come_close(self, away: FloatArray, up: FloatArray) -> None:
        """Put the camera as near as shows the whole patient, from a side along an axis."""
        bounds = np.asarray(self._renderer.ComputeVisiblePropBounds()).reshape(3, 2)
        if bounds[0, 0] > bounds[0, 1]:
            return
        size = bounds[:, 1] - bounds[:, 0]
        wide, high = float(size @ np.abs(np.cross(up, away))), float(size @ np.abs(up))
        camera = self._renderer.GetActiveCamera()
        slope = np.tan(np.radians(camera.GetViewAngle() / 2))
        aspect = max(0.2, self.width() / max(1, self.height()))
        distance = max(high, wide / aspect) * FILL / (2 * slope) + float(size @ np.abs(away)) / 2
        camera.SetPosition(*(bounds.mean(axis=1) + away * distance))

    def rebuild(self) -> None:
        """Make the actors anew from the scene."""
        self._renderer.RemoveAllViewProps()
        self._labels = []
        scene = self._scene
        if "bone" in self._surfaces and self._shown["bone"]:
            self._renderer.AddActor(actor_of(self._surfaces["bone"], theme.BONE_RGB, 1.0))
        for lesion in scene.lesions:
            surface = self._lesion_surfaces.get(lesion.lesion_id)
            if surface is None:
                continue
            colour = scene.colour_of(lesion.lesion_id)
            self._renderer.AddActor(actor_of(surface, rgb_of(colour), 1.0, ambient=0.35))
            if lesion.centroid_lps_mm is not None:
                self._labels.append((lesion.lesion_id, lesion.centroid_lps_mm, colour))
        for needle in scene.needles:
            self._add_needle(needle, theme.NEEDLE, 1.0)
        for needle in scene.alternatives:
            if needle.needle_id == scene.needle_id:
                self._add_needle(needle, theme.NEEDLE, 1.0)
            elif scene.lesion_id and scene.lesion_id in needle.lesion_ids:
                self._add_needle(needle, theme.ALTERNATIVE, 0.5)
        for biopsy in scene.biopsies:
            if scene.lesion_id in ("", biopsy.lesion_id):
                self._add_biopsy(biopsy)
        self._add_skin()
        self._refresh()

    def _add_needle(self, needle: Needle, colour: str, opacity: float) -> None:
        rgb = rgb_of(colour)
        radius = NEEDLE_RADIUS_MM if opacity == 1.0 else NEEDLE_RADIUS_MM / 2
        entry, tip = needle.entry_lps_mm, needle.tip_lps_mm
        self._renderer.AddActor(tube(entry, tip, radius, rgb, opacity))
        if opacity == 1.0:
            self._renderer.AddActor(ball(entry, 3.2, rgb))
            self._renderer.AddActor(ball(tip, 2.0, (1.0, 1.0, 1.0)))
            self._labels.append((needle.needle_id, entry, colour))

    def _add_biopsy(self, biopsy: Biopsy) -> None:
        """The throw of a biopsy, dashed, in its own colour."""
        for start, end in dashes(biopsy.tip_lps_mm, biopsy.end_lps_mm):
            piece = tube(start, end, 2.0 * NEEDLE_RADIUS_MM, rgb_of(theme.BIOPSY), 1.0)
            self._renderer.AddActor(piece)
        self._labels.append((biopsy.biopsy_id, biopsy.end_lps_mm, theme.BIOPSY))

    def _add_skin(self) -> None:
        """The skin: with its map where that is shown, else as a veil."""
        if self._layer is not None:
            self._renderer.AddActor(painted_actor(self._layer.surface))
            if self._explained is not None:
                self._renderer.AddActor(ball(self._explained.entry_lps_mm, 3.2, (1.0, 1.0, 1.0)))
        elif "skin" in self._surfaces and self._shown["skin"]:
            skin = actor_of(self._surfaces["skin"], theme.SKIN_RGB, 0.26, ambient=0.3)
            skin.GetProperty().BackfaceCullingOn()
            skin.GetProperty().SetSpecular(0.15)
            self._renderer.AddActor(skin)

    # Rendering ------------------------------------------------------------------------------

    def rendered(self) -> QImage:
        """The picture as VTK renders it, without texts."""
        if self._image is None or self._dirty:
            self._image = self._render()
            self._dirty = False
        return self._image

    def _render(self) -> QImage:
        ratio = self.devicePixelRatioF()
        width = max(16, round(self.width() * ratio))
        height = max(16, round(self.height() * ratio))
        window = self._render_window()
        window.SetSize(width, height)
        side = CUBE_SHARE * min(width, height)
        self._corner.SetViewport(0.0, 0.0, side / width, side / height)
        camera, corner = self._renderer.GetActiveCamera(), self._corner.GetActiveCamera()
        corner.SetFocalPoint(0, 0, 0)
        corner.SetPosition(*(-np.asarray(camera.GetDirectionOfProjection())))
        corner.SetViewUp(*camera.GetViewUp())
        self._corner.ResetCamera()
        self._renderer.ResetCameraClippingRange()
        window.Render()
        pixels = vtkUnsignedCharArray()
        window.GetPixelData(0, 0, width - 1, height - 1, 1, pixels, 0)
        rows = vtk_to_numpy(pixels).reshape(height, width, 3)[::-1]
        image = rgb_image(rows)
        image.setDevicePixelRatio(ratio)
        return image

    def _render_window(self) -> vtkRenderWindow:
        if self._window is None:
            window = vtkRenderWindow()
            window.SetOffScreenRendering(1)
            window.SetMultiSamples(0)
            window.SetNumberOfLayers(2)
            window.AddRenderer(self._renderer)
            window.AddRenderer(self._corner)
            self._window = window
        return self._window

    def close_rendering(self) -> None:
        """Give the renderer's resources back; called when the window closes."""
        if self._window is not None:
            self._window.Finalize()
            self._window = None

    def _refresh(self) -> None:
        self._dirty = True
        self.update()

    def place_of(self, point_lps_mm: PointLps) -> QPointF:
        """Where a point, LPS mm, is drawn in the widget."""
        self._renderer.SetWorldPoint(*point_lps_mm, 1.0)
        self._renderer.WorldToDisplay()
        x, y, _ = self._renderer.GetDisplayPoint()
        ratio = self.devicePixelRatioF()
        return QPointF(x / ratio, self.height() - y / ratio)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        if self._scene.volume is None:
            painter.fillRect(self.rect(), QColor("#000000"))
            painter.setFont(overlays.font(12))
            painter.setPen(QColor("#5d6b79"))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "3-D")
            painter.end()
            return
        painter.drawImage(QRectF(self.rect()), self.rendered())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(overlays.font(11, bold=True))
        for text, point, colour in self._shown_labels():
            overlays.draw_text(painter, text, self.place_of(point) + QPointF(8, -20), colour)
        self._paint_diameter(painter)
        painter.setFont(overlays.font(12, bold=True))
        line = overlays.draw_text(painter, "3-D", QPointF(10, 6)).height()
        painter.setFont(overlays.font(10.5))
        overlays.draw_text(painter, self.viewed_from, QPointF(10, 6 + line), theme.QUIET)
        left = 12 + CUBE_SHARE * min(self.width(), self.height())
        below = QPointF(left, self.height() - line - 4)
        overlays.draw_unknown(painter, self._scene.unknown, below, self.width() - left - 10)
        if self._layer is not None:
            self._paint_map(painter, self._layer, left, below.y() - 4)
        painter.end()

    def _paint_diameter(self, painter: QPainter) -> None:
        """The selected lesion's longest diameter in 3-D, seen through its surface."""
        lesion = self._scene.lesion(self._scene.lesion_id)
        ends = None if lesion is None else lesion.diameter_3d_ends_lps_mm
        if lesion is None or ends is None or self._layer is not None:
            return
        start, end = (self.place_of(one) for one in ends)
        for pen in (QPen(QColor(0, 0, 0, 190), 3.0), QPen(QColor(theme.TEXT), 1.3)):
            painter.setPen(pen)
            painter.drawLine(start, end)
        for point in (start, end):
            painter.drawEllipse(point, 3.0, 3.0)
        below = QPointF((start.x() + end.x()) / 2, max(start.y(), end.y()) + 6)
        centre = Qt.AlignmentFlag.AlignHCenter
        overlays.draw_text(painter, overlays.whole_text(lesion), below, align=centre)

    def _shown_labels(self) -> list[tuple[str, PointLps, str]]:
        """The names to be written: over the opaque skin map those of its own lesion only."""
        scene = self._scene
        if self._layer is None or not scene.lesion_id:
            return self._labels
        own = {scene.lesion_id}
        own |= {one.needle_id for one in scene.needles if scene.lesion_id in one.lesion_ids}
        own |= {one.biopsy_id for one in scene.biopsies if one.lesion_id == scene.lesion_id}
        return [label for label in self._labels if label[0] in own]

    def _paint_map(self, painter: QPainter, layer: SkinMapLayer, left: float, foot: float) -> None:
        draw_legend(painter, layer, self.width(), self.height())
        lines: list[str] = []
        if self._explained is not None:
            lines += self._explained.lines()
        if self._hover is not None:
            lines.append(f"here: {layer.text(self._hover)}")
        elif self._explained is None:
            lines.append("click the skin: why a path is or is not allowed there")
        draw_answer(painter, lines, left, foot)

    @property
    def viewed_from(self) -> str:
        """From which side the patient is seen, in letters."""
        direction = self._renderer.GetActiveCamera().GetDirectionOfProjection()
        return f"seen from {letters_of(-np.asarray(direction))}"

    # Mouse ----------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        if event is not None:
            self._last = self._pressed = event.position().toPoint()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return
        here = event.position().toPoint()
        number = self._map_point(here)
        if (here - self._pressed).manhattanLength() <= CLICK_PX and number is not None:
            assert self._layer is not None
            lesion_id = str(self._layer.map.best_for[number]) or self._layer.map.lesion_id
            self.asked.emit(lesion_id, self._layer.point(number))

    def _map_point(self, here: QPoint) -> int | None:
        """The point of the skin map under a place of the widget."""
        if self._layer is None:
            return None
        self.rendered()  # so that the camera's clipping range is that of the picture
        ratio = self.devicePixelRatioF()
        y = (self.height() - here.y()) * ratio
        return self._layer.point_under(self._renderer, here.x() * ratio, y)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        if event is None:
            return
        if not event.buttons():
            number = self._map_point(event.position().toPoint())
            if number != self._hover:
                self._hover = number
                self.update()
            return
        now = event.position().toPoint()
        moved, self._last = now - self._last, now
        camera = self._renderer.GetActiveCamera()
        shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if event.buttons() & Qt.MouseButton.RightButton:
            camera.Dolly(1.01 ** -moved.y())
        elif event.buttons() & Qt.MouseButton.MiddleButton or shift:
            self._shift(moved)
        else:
            camera.Azimuth(-0.4 * moved.x())
            camera.Elevation(0.4 * moved.y())
            camera.OrthogonalizeViewUp()
        self._refresh()

    def _shift(self, moved: QPoint) -> None:
        """Move camera and focal point in the plane of the screen."""
        camera = self._renderer.GetActiveCamera()
        direction = np.asarray(camera.GetDirectionOfProjection())
        up = np.asarray(camera.GetViewUp())
        right = np.cross(direction, up)
        high = 2 * camera.GetDistance() * np.tan(np.radians(camera.GetViewAngle() / 2))
        step = (up * moved.y() - right * moved.x()) * high / max(1, self.height())
        camera.SetPosition(*(np.asarray(camera.GetPosition()) + step))
        camera.SetFocalPoint(*(np.asarray(camera.GetFocalPoint()) + step))

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802 - Qt's name
        if event is not None:
            self._renderer.GetActiveCamera().Dolly(1.12 ** (event.angleDelta().y() / 120))
            self._refresh()
            event.accept()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        if event is not None and event.key() == Qt.Key.Key_Home:
            self.look("front")
        else:
            super().keyPressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        self.enlarge.emit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        self._dirty = True
        super().resizeEvent(event)

    def _on_volume(self) -> None:
        self._surfaces, self._lesion_surfaces = {}, {}
        self._maps, self._layer, self._explained, self._hover = (), None, None, None
        self.rebuild()
