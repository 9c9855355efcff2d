"""Needles and biopsies over a slice."""

from __future__ import annotations

import numpy as np
from PyQt6.QtCore import QPointF, Qt
from PyQt6.QtGui import QColor, QPainter, QPen

from irplan.trajectory.biopsy import Biopsy
from irplan.trajectory.needle import Needle
from ui import theme
from ui.contours import segment_near
from ui.overlays import ToWidget, draw_text, font
from ui.planes import SlicePlane
from ui.scene import Scene

#: A needle counts as in the slice within this distance, mm, or half a slice.
IN_SLICE_MM = 2.5


def draw_needles(
    painter: QPainter, scene: Scene, plane: SlicePlane, number: int, to_widget: ToWidget
) -> None:
    """Needles: solid where they lie in the slice, dashed where they are seen through it."""
    for needle in scene.alternatives:
        if needle.needle_id == scene.needle_id or (
            scene.lesion_id and scene.lesion_id in needle.lesion_ids
        ):
            chosen = needle.needle_id == scene.needle_id
            colour = theme.NEEDLE if chosen else theme.ALTERNATIVE
            _draw_needle(painter, needle, plane, number, to_widget, colour, chosen)
    for needle in scene.needles:
        selected = needle.needle_id == scene.needle_id
        of_lesion = scene.lesion_id in needle.lesion_ids or not scene.lesion_id
        colour = theme.NEEDLE if selected or of_lesion else theme.ALTERNATIVE
        _draw_needle(painter, needle, plane, number, to_widget, colour, selected or of_lesion)


def _draw_needle(
    painter: QPainter,
    needle: Needle,
    plane: SlicePlane,
    number: int,
    to_widget: ToWidget,
    colour_name: str,
    strong: bool,
) -> None:
    ends = np.asarray([needle.entry_lps_mm, needle.tip_lps_mm])
    entry, tip = to_widget(plane.to_screen(ends))
    offsets = plane.offset_mm(ends, number)
    reach = max(plane.thickness_mm / 2, IN_SLICE_MM)
    colour = QColor(colour_name)
    faint = QColor(colour)
    faint.setAlpha(110 if strong else 70)
    painter.setPen(QPen(faint, 1.2, Qt.PenStyle.DashLine))
    painter.drawLine(QPointF(*entry), QPointF(*tip))
    part = segment_near(float(offsets[0]), float(offsets[1]), reach)
    if part is not None:
        a, b = (entry + fraction * (tip - entry) for fraction in part)
        width = 2.4 if strong else 1.4
        for pen in (QPen(QColor(0, 0, 0, 190), width + 2), QPen(colour, width)):
            painter.setPen(pen)
            painter.drawLine(QPointF(*a), QPointF(*b))
    if not strong:
        return
    if abs(float(offsets[0])) <= reach:
        painter.setPen(QPen(colour, 2.0))
        painter.drawEllipse(QPointF(*entry), 5.0, 5.0)
        painter.setFont(font(11, bold=True))
        # Passes through one skin hole write their names one under the other.
        name_at = QPointF(entry[0] + 8, entry[1] - 18 + 16 * (needle.pass_number - 1))
        draw_text(painter, needle.needle_id, name_at, colour.name())
    if abs(float(offsets[1])) <= reach:
        painter.setPen(QPen(QColor(0, 0, 0), 1.0))
        painter.setBrush(colour)
        painter.drawEllipse(QPointF(*tip), 4.0, 4.0)
        painter.setBrush(Qt.BrushStyle.NoBrush)


def draw_biopsies(
    painter: QPainter, scene: Scene, plane: SlicePlane, number: int, to_widget: ToWidget
) -> None:
    """Biopsies due: the throw as a thick dashed line in a colour of its own, with its name."""
    for biopsy in scene.biopsies:
        if scene.lesion_id in ("", biopsy.lesion_id):
            _draw_biopsy(painter, biopsy, plane, number, to_widget)


def _draw_biopsy(
    painter: QPainter, biopsy: Biopsy, plane: SlicePlane, number: int, to_widget: ToWidget
) -> None:
    ends = np.asarray([biopsy.tip_lps_mm, biopsy.end_lps_mm])
    start, end = to_widget(plane.to_screen(ends))
    offsets = plane.offset_mm(ends, number)
    part = segment_near(
        float(offsets[0]), float(offsets[1]), max(plane.thickness_mm / 2, IN_SLICE_MM)
    )
    colour = QColor(theme.BIOPSY)
    if part is None:
        colour.setAlpha(130)
    for pen in (QPen(QColor(0, 0, 0, 190), 6.0), QPen(colour, 3.6)):
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        if pen.color() == colour:
            pen.setDashPattern([1.6, 0.8])
        painter.setPen(pen)
        painter.drawLine(QPointF(*start), QPointF(*end))
    painter.setFont(font(11, bold=True))
    draw_text(painter, biopsy.biopsy_id, QPointF(end[0] + 8, end[1] - 4), theme.BIOPSY)
