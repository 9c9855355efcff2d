"""What is drawn over a slice, as vectors in widget pixels: outlines, needles, letters, texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QBrush, QColor, QFont, QFontMetricsF, QPainter, QPen, QPolygonF

from irplan import units
from irplan.geometry import BoolArray, FloatArray, PointLps
from irplan.lesions.border_shown import border_seen
from irplan.lesions.lesion import Lesion, LesionMask
from irplan.volume import CtVolume
from ui import theme
from ui.contours import mask_outlines
from ui.hand import in_slice
from ui.planes import SlicePlane
from ui.scene import Scene

#: Gap around the crosshair's centre, widget pixels, so that what it points at stays in view.
CROSSHAIR_GAP_PX = 11.0

ToWidget = Callable[[FloatArray], FloatArray]


class OutlineCache:
    """Outlines of the masks shown, and where the image shows them, kept until the masks go."""

    def __init__(self) -> None:
        self._outlines: dict[tuple[int, int], tuple[FloatArray, ...]] = {}
        self._lesions: tuple[Lesion, ...] = ()
        self._seen: dict[int, BoolArray] = {}

    def seen_of(self, mask: LesionMask, volume: CtVolume | None) -> BoolArray | None:
        """Where the image shows a lesion's border, on the box of its mask."""
        if volume is None:
            return None
        if id(mask) not in self._seen:
            self._seen[id(mask)] = border_seen(mask, volume)
        return self._seen[id(mask)]

    def of(
        self, lesion: Lesion, lesions: tuple[Lesion, ...], plane: SlicePlane, number: int
    ) -> tuple[FloatArray, ...]:
        """The outlines of a lesion in a slice, in screen voxels."""
        if lesions is not self._lesions:
            masks = {id(one.mask) for one in lesions}
            self._seen = {key: seen for key, seen in self._seen.items() if key in masks}
            self._outlines, self._lesions = {}, lesions
        if lesion.mask is None:
            return ()
        key = (id(lesion.mask), number)
        if key not in self._outlines:
            self._outlines[key] = mask_outlines(lesion.mask, plane, number)
        return self._outlines[key]


def font(points: float, bold: bool = False) -> QFont:
    """The window's font in another size."""
    made = QFont()
    made.setPointSizeF(points)
    made.setBold(bold)
    return made


def draw_text(
    painter: QPainter,
    text: str,
    at: QPointF,
    colour: str = theme.TEXT,
    align: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft,
) -> QRectF:
    """One line of text on a dark edge, legible on black and on white; ``at`` is its top corner."""
    metrics = QFontMetricsF(painter.font())
    width, height = metrics.horizontalAdvance(text), metrics.height()
    left = at.x()
    if align == Qt.AlignmentFlag.AlignRight:
        left -= width
    elif align == Qt.AlignmentFlag.AlignHCenter:
        left -= width / 2
    baseline = QPointF(left, at.y() + metrics.ascent())
    painter.setPen(QColor(0, 0, 0, 220))
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1), (1, 1)):
        painter.drawText(baseline + QPointF(dx, dy), text)
    painter.setPen(QColor(colour))
    painter.drawText(baseline, text)
    return QRectF(left, at.y(), width, height)


def draw_crosshair(painter: QPainter, centre: QPointF, width: float, height: float) -> None:
    """Two thin lines that leave their crossing free."""
    colour = QColor(theme.CROSSHAIR)
    colour.setAlpha(190)
    painter.setPen(QPen(colour, 1.0))
    # In the middle of a pixel: between two of them a line of one pixel is two faint ones.
    x, y, gap = math.floor(centre.x()) + 0.5, math.floor(centre.y()) + 0.5, CROSSHAIR_GAP_PX
    painter.drawLine(QPointF(0, y), QPointF(x - gap, y))
    painter.drawLine(QPointF(x + gap, y), QPointF(width, y))
    painter.drawLine(QPointF(x, 0), QPointF(x, y - gap))
    painter.drawLine(QPointF(x, y + gap), QPointF(x, height))


def draw_letters(
    painter: QPainter, plane: SlicePlane, width: float, height: float, foot: float
) -> None:
    """R, L, A, P, H, F at the middle of the edges; the lowest one ``foot`` pixels above it."""
    left, right, top, bottom = plane.letters
    painter.setFont(font(15, bold=True))
    tall = QFontMetricsF(painter.font()).height()
    middle = height / 2 - tall / 2
    draw_text(painter, left, QPointF(8, middle))
    draw_text(painter, right, QPointF(width - 8, middle), align=Qt.AlignmentFlag.AlignRight)
    centre = Qt.AlignmentFlag.AlignHCenter
    draw_text(painter, top, QPointF(width / 2, 3), align=centre)
    draw_text(painter, bottom, QPointF(width / 2, height - tall - 3 - foot), align=centre)


def draw_lesions(
    painter: QPainter,
    scene: Scene,
    plane: SlicePlane,
    number: int,
    cache: OutlineCache,
    to_widget: ToWidget,
) -> None:
    """Outlines with ids; the selected lesion is thicker and shows its longest diameter.

    A full line is where the image shows the border; where it is assumed the line is dashed.
    """
    for lesion in scene.lesions:
        selected = lesion.lesion_id == scene.lesion_id
        colour = QColor(scene.colour_of(lesion.lesion_id))
        outlines = cache.of(lesion, scene.lesions, plane, number)
        for outline in outlines:
            points = to_widget(outline)
            painter.setPen(QPen(QColor(0, 0, 0, 150), 4.2 if selected else 3.2))
            painter.drawPolyline(polygon_of(points))
            seen = None if lesion.mask is None else cache.seen_of(lesion.mask, scene.volume)
            width = 2.6 if selected else 1.7
            for first, last, shown in runs_of(outline, seen, lesion.mask, plane, number):
                pen = QPen(colour, width)
                if not shown:
                    pen.setDashPattern([2.2, 2.6])
                    pen.setCapStyle(Qt.PenCapStyle.FlatCap)
                painter.setPen(pen)
                painter.drawPolyline(polygon_of(points[first : last + 1]))
        if outlines:
            points = to_widget(max(outlines, key=len))
            corner = QPointF(float(points[:, 0].max()) + 5, float(points[:, 1].min()) - 12)
            painter.setFont(font(11, bold=True))
            draw_text(painter, lesion.lesion_id, corner, colour.name())
        if selected:
            foot = foot_of(outlines, to_widget)
            _draw_diameter(painter, lesion, plane, number, to_widget, colour, foot)


def foot_of(outlines: Sequence[FloatArray], to_widget: ToWidget) -> float:
    """Where the outlines of a lesion end below, widget pixels: texts stand under it, not on it."""
    return max((float(to_widget(one)[:, 1].max()) for one in outlines), default=0.0)


def runs_of(
    outline: FloatArray,
    seen: BoolArray | None,
    mask: LesionMask | None,
    plane: SlicePlane,
    number: int,
) -> list[tuple[int, int, bool]]:
    """Parts of an outline, as first and last point, with whether the image shows them.

    The parts share their end points and cover the outline. Without knowledge all of it is shown.
    """
    if seen is None or mask is None or len(outline) < 2:
        return [(0, len(outline) - 1, True)]
    index = plane.to_grid(outline, number) - np.asarray(mask.start)
    # A point lies half a voxel outside of the border voxel: the nearest voxel of the box.
    i, j, k = np.moveaxis(
        np.clip(np.rint(index).astype(int), 0, np.asarray(mask.voxels.shape[::-1]) - 1), -1, 0
    )
    there = np.where(mask.voxels[k, j, i], seen[k, j, i], _near(seen & mask.voxels, k, j, i))
    shown = there[:-1] | there[1:]
    changes = np.flatnonzero(shown[1:] != shown[:-1]) + 1
    firsts = [0, *changes.tolist()]
    lasts = [*changes.tolist(), len(outline) - 1]
    return [(first, last, bool(shown[first])) for first, last in zip(firsts, lasts, strict=True)]


def _near(
    seen: BoolArray, k: npt.NDArray[np.int_], j: npt.NDArray[np.int_], i: npt.NDArray[np.int_]
) -> BoolArray:
    """Whether a voxel beside (k, j, i) is seen: the point was rounded to the outer side."""
    found = np.zeros(len(k), dtype=bool)
    for step in ((0, 0, 1), (0, 0, -1), (0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 0, 0)):
        at = [
            np.clip(value + move, 0, size - 1)
            for value, move, size in zip((k, j, i), step, seen.shape, strict=True)
        ]
        found |= seen[at[0], at[1], at[2]]
    return found


def draw_no_go(
    painter: QPainter, scene: Scene, plane: SlicePlane, number: int, to_widget: ToWidget
) -> None:
    """The painted zone that no needle may enter: hatched, in red, with its name."""
    if scene.no_go is None:
        return
    colour = QColor(theme.NO_GO)
    faint = QColor(colour)
    faint.setAlpha(120)
    for outline in mask_outlines(scene.no_go, plane, number):
        polygon = polygon_of(to_widget(outline))
        painter.setBrush(QBrush(faint, Qt.BrushStyle.BDiagPattern))
        painter.setPen(QPen(colour, 2.0))
        painter.drawPolygon(polygon)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        corner = polygon.boundingRect().topRight()
        painter.setFont(font(10, bold=True))
        draw_text(painter, "NO-GO", QPointF(corner.x() + 4, corner.y() - 4), theme.NO_GO)


def draw_stroke(
    painter: QPainter, points: FloatArray, radius_px: float, colour: str, *, drawn: bool
) -> None:
    """Where the brush went (``drawn``), or the ring of the brush at one place."""
    if drawn:
        shade = QColor(colour)
        shade.setAlpha(90)
        pen = QPen(shade, 2 * radius_px)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        if len(points) > 1:
            painter.drawPolyline(polygon_of(points))
        else:
            painter.drawPoint(QPointF(*points[0]))
    last = QPointF(*points[-1])
    for width, line in ((3.0, QColor(0, 0, 0, 170)), (1.4, QColor(colour))):
        painter.setPen(QPen(line, width))
        painter.drawEllipse(last, radius_px, radius_px)


def _draw_diameter(
    painter: QPainter,
    lesion: Lesion,
    plane: SlicePlane,
    number: int,
    to_widget: ToWidget,
    colour: QColor,
    foot: float,
) -> None:
    ends = lesion.longest_diameter_ends_lps_mm
    if ends is None or lesion.longest_diameter_mm is None:
        return
    short = lesion.short_axis_ends_lps_mm
    if short is not None and in_slice(short, plane, number):
        _draw_thin(painter, short, plane, to_widget, colour.name())
    if in_slice(ends, plane, number):
        text = f"{units.mm(lesion.longest_diameter_mm)} mm"
        if lesion.short_axis_mm is not None:
            text = f"{units.mm(lesion.longest_diameter_mm)} × {units.mm(lesion.short_axis_mm)} mm"
        draw_measure(painter, ends, text, plane, to_widget, colour.name(), foot)


def _draw_thin(
    painter: QPainter,
    ends_lps_mm: Sequence[PointLps],
    plane: SlicePlane,
    to_widget: ToWidget,
    colour: str,
) -> None:
    """The short axis: a thin line with small ends."""
    a, b = to_widget(plane.to_screen(np.asarray(ends_lps_mm)))
    for pen in (QPen(QColor(0, 0, 0, 150), 2.4), QPen(QColor(colour), 1.0)):
        painter.setPen(pen)
        painter.drawLine(QPointF(*a), QPointF(*b))
    for point in (a, b):
        painter.drawEllipse(QPointF(*point), 2.2, 2.2)


def draw_whole_diameter(
    painter: QPainter,
    scene: Scene,
    plane: SlicePlane,
    number: int,
    cache: OutlineCache,
    to_widget: ToWidget,
) -> None:
    """The selected lesion's longest diameter in 3-D, dotted, in the slices that it passes.

    A cross is where it meets the slice. Its length stands beside it where the longest axial
    diameter does not lie in the slice.
    """
    lesion = scene.lesion(scene.lesion_id)
    ends = None if lesion is None else lesion.diameter_3d_ends_lps_mm
    if lesion is None or ends is None or lesion.diameter_3d_mm is None:
        return
    axial = lesion.longest_diameter_ends_lps_mm
    measured = axial is not None and in_slice(axial, plane, number)
    if measured and axial is not None and np.allclose(sorted(axial), sorted(ends), atol=1.0):
        return  # one line for both
    first, last = (float(one) for one in plane.offset_mm(ends, number))
    reach = max(plane.thickness_mm / 2, 0.5)
    if min(first, last) > reach or max(first, last) < -reach:
        return
    colour = scene.colour_of(lesion.lesion_id)
    a, b = to_widget(plane.to_screen(np.asarray(ends)))
    for pen in (QPen(QColor(0, 0, 0, 120), 2.6), QPen(QColor(colour), 1.2)):
        pen.setStyle(Qt.PenStyle.DotLine)
        painter.setPen(pen)
        painter.drawLine(QPointF(*a), QPointF(*b))
    painter.setPen(QPen(QColor(colour), 1.4))
    for point, offset in ((a, first), (b, last)):
        if abs(offset) <= reach:  # an end lies in this slice: it can be taken hold of
            painter.drawEllipse(QPointF(*point), 3.0, 3.0)
    share = 0.5 if first == last else min(1.0, max(0.0, first / (first - last)))
    x, y = a + share * (b - a)
    painter.setPen(QPen(QColor(colour), 1.4))
    painter.drawLine(QPointF(x - 3, y - 3), QPointF(x + 3, y + 3))
    painter.drawLine(QPointF(x - 3, y + 3), QPointF(x + 3, y - 3))
    if not measured:
        painter.setFont(font(10.5, bold=True))
        foot = foot_of(cache.of(lesion, scene.lesions, plane, number), to_widget)
        below = QPointF((a[0] + b[0]) / 2, max(a[1], b[1], foot) + 6)
        draw_text(painter, whole_text(lesion), below, colour, Qt.AlignmentFlag.AlignHCenter)


def whole_text(lesion: Lesion) -> str:
    """The longest diameter in 3-D, as it is written beside its line; ✎ where a person drew it."""
    value = lesion.diameter_3d_mm
    pencil = "✎ " if lesion.diameter_3d_source == "edited" else ""
    return "" if value is None else f"{pencil}3-D {units.mm(value)} mm"


def draw_measure(
    painter: QPainter,
    ends_lps_mm: Sequence[PointLps],
    text: str,
    plane: SlicePlane,
    to_widget: ToWidget,
    colour: str,
    foot: float = 0.0,
) -> None:
    """A line with end marks and what it measures, below the line and below ``foot``, pixels."""
    a, b = to_widget(plane.to_screen(np.asarray(ends_lps_mm)))
    start, end = QPointF(*a), QPointF(*b)
    painter.setPen(QPen(QColor(0, 0, 0, 170), 3.0))
    painter.drawLine(start, end)
    painter.setPen(QPen(QColor(colour), 1.3))
    painter.drawLine(start, end)
    for point in (start, end):
        painter.drawEllipse(point, 3.0, 3.0)
    painter.setFont(font(10.5, bold=True))
    below = QPointF((a[0] + b[0]) / 2, max(a[1], b[1], foot) + 6)
    draw_text(painter, text, below, colour, Qt.AlignmentFlag.AlignHCenter)


def draw_scale(painter: QPainter, px_per_mm: float, width: float, height: float) -> None:
    """A bar of a round length in the bottom right corner."""
    length_mm = max((mm for mm in (5, 10, 20, 50, 100) if mm * px_per_mm <= width / 4), default=5)
    length = length_mm * px_per_mm
    right, y = width - 12, height - 12
    for pen in (QPen(QColor(0, 0, 0, 200), 4.5), QPen(QColor(theme.TEXT), 2.0)):
        painter.setPen(pen)
        painter.drawLine(QPointF(right - length, y), QPointF(right, y))
        for x in (right - length, right):
            painter.drawLine(QPointF(x, y - 4), QPointF(x, y + 4))
    painter.setFont(font(10))
    at = QPointF(right - length / 2, y - 22)
    draw_text(painter, f"{length_mm} mm", at, align=Qt.AlignmentFlag.AlignHCenter)


def draw_unknown(painter: QPainter, unknown: tuple[str, ...], at: QPointF, width: float) -> None:
    """The structures that nobody segmented, conspicuously, in one line."""
    if not unknown:
        return
    painter.setFont(font(10, bold=True))
    names = ", ".join(unknown).replace("_", " ")
    metrics = QFontMetricsF(painter.font())
    text = f"▲ {len(unknown)} UNKNOWN, not safe: {names}"
    shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, width)
    # On a dark ground: names of needles and bright bone would lie behind it.
    ground = QRectF(at.x() - 4, at.y(), metrics.horizontalAdvance(shown) + 8, metrics.height())
    painter.fillRect(ground, QColor(0, 0, 0, 150))
    draw_text(painter, shown, at, "#ffcf6b")


def polygon_of(points: FloatArray) -> QPolygonF:
    """Points (n, 2) as Qt wants them."""
    return QPolygonF([QPointF(float(x), float(y)) for x, y in points])
