"""Gestures over a slice: clicks, lines, boxes and scribbles, with the ends that can be moved."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PyQt6.QtCore import QPointF, Qt
from PyQt6.QtGui import QColor, QPainter, QPen

from irplan import units
from irplan.errors import CallError
from irplan.geometry import PointLps
from irplan.lesions.gestures import Box, Click, Diameter, Gesture, Scribble
from ui import theme
from ui.hand import Handle, box_between, box_meets, corners_in, handles_of, in_slice
from ui.overlays import ToWidget, draw_measure, draw_text, font, polygon_of
from ui.planes import SlicePlane
from ui.scene import MOVING, Scene

#: Half the side of the square at an end that can be moved, widget pixels.
HANDLE_PX = 3.5


def draw_gestures(
    painter: QPainter, scene: Scene, plane: SlicePlane, number: int, to_widget: ToWidget
) -> None:
    """The gestures of the selected lesion: + inside, − outside, lines, boxes, scribbles."""
    for gesture in scene.gestures:
        draw_gesture(painter, gesture, plane, number, to_widget)
    if scene.tool in MOVING:
        for handle in handles_of(scene.gestures, plane, number):
            _draw_handle(painter, handle.point_lps_mm, plane, to_widget)


def draw_gesture(
    painter: QPainter, gesture: Gesture, plane: SlicePlane, number: int, to_widget: ToWidget
) -> None:
    """One gesture, where it lies in the slice."""
    if isinstance(gesture, Box):
        if box_meets(gesture, plane, number):
            _draw_box(painter, corners_in(gesture, plane), plane, to_widget, theme.DRAWN)
    elif isinstance(gesture, Click):
        if in_slice((gesture.point_lps_mm,), plane, number):
            _draw_click(painter, gesture, plane, to_widget)
    elif isinstance(gesture, Diameter):
        ends = (gesture.start_lps_mm, gesture.end_lps_mm)
        if in_slice(ends, plane, number):
            _draw_line(painter, ends, plane, to_widget, theme.DRAWN)
    else:
        _draw_scribble(painter, gesture, plane, number, to_widget)


def draw_rubber_box(
    painter: QPainter,
    ends_lps_mm: Sequence[PointLps],
    plane: SlicePlane,
    to_widget: ToWidget,
    colour: str,
) -> None:
    """The box that is being drawn, with its sides in mm."""
    start, end = ends_lps_mm
    try:
        box = box_between(start, end, plane)
    except CallError:
        box = None
    if box is None:
        return
    corners = corners_in(box, plane)
    _draw_box(painter, corners, plane, to_widget, colour)
    sides = [str(units.mm(line.length_mm)) for line in box.diameters]
    across = abs(plane.slice_of(start) - plane.slice_of(end)) + 1
    text = " × ".join(sides) + " mm" + (f" over {across} slices" if across > 1 else "")
    points = to_widget(plane.to_screen(np.asarray(corners)))
    painter.setFont(font(10.5, bold=True))
    below = QPointF(float(points[:, 0].mean()), float(points[:, 1].max()) + 6)
    draw_text(painter, text, below, colour, Qt.AlignmentFlag.AlignHCenter)


def draw_path(
    painter: QPainter,
    points_lps_mm: Sequence[PointLps],
    inside: bool,
    plane: SlicePlane,
    to_widget: ToWidget,
) -> None:
    """A line drawn by hand: full inside the lesion, dotted outside it."""
    points = to_widget(plane.to_screen(np.asarray(points_lps_mm)))
    dark, line = QPen(QColor(0, 0, 0, 190), 4.0), QPen(_mark_colour(inside), 2.0)
    if not inside:
        line.setStyle(Qt.PenStyle.DotLine)
    for pen in (dark, line):
        painter.setPen(pen)
        painter.drawPolyline(polygon_of(points))


def draw_moved(
    painter: QPainter, handle: Handle, to: PointLps, plane: SlicePlane, to_widget: ToWidget
) -> None:
    """A gesture as it would be with an end of it here."""
    try:
        gesture = handle.moved(to)
    except CallError:
        return
    draw_gesture(painter, gesture, plane, plane.slice_of(to), to_widget)
    if isinstance(gesture, Diameter):
        ends = (gesture.start_lps_mm, gesture.end_lps_mm)
        length = math.dist(*ends)
        draw_measure(painter, ends, f"{units.mm(length)} mm", plane, to_widget, theme.DRAWN)
    _draw_handle(painter, to, plane, to_widget)


def _mark_colour(inside: bool) -> QColor:
    return QColor(theme.GOOD if inside else theme.OUTSIDE)


def _draw_click(painter: QPainter, click: Click, plane: SlicePlane, to_widget: ToWidget) -> None:
    x, y = to_widget(plane.to_screen(np.asarray(click.point_lps_mm)))
    for pen in (QPen(QColor(0, 0, 0, 190), 3.6), QPen(_mark_colour(click.inside), 1.8)):
        painter.setPen(pen)
        painter.drawLine(QPointF(x - 5, y), QPointF(x + 5, y))
        if click.inside:
            painter.drawLine(QPointF(x, y - 5), QPointF(x, y + 5))


def _draw_line(
    painter: QPainter,
    ends_lps_mm: Sequence[PointLps],
    plane: SlicePlane,
    to_widget: ToWidget,
    colour: str,
) -> None:
    """A diameter as it was drawn: dotted, since the measured one is a full line."""
    a, b = to_widget(plane.to_screen(np.asarray(ends_lps_mm)))
    for pen in (QPen(QColor(0, 0, 0, 150), 3.0), QPen(QColor(colour), 1.4, Qt.PenStyle.DotLine)):
        painter.setPen(pen)
        painter.drawLine(QPointF(*a), QPointF(*b))


def _draw_box(
    painter: QPainter,
    corners_lps_mm: Sequence[PointLps],
    plane: SlicePlane,
    to_widget: ToWidget,
    colour: str,
) -> None:
    points = to_widget(plane.to_screen(np.asarray(corners_lps_mm)))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in (QPen(QColor(0, 0, 0, 170), 3.2), QPen(QColor(colour), 1.5)):
        painter.setPen(pen)
        painter.drawPolygon(polygon_of(points))


def _draw_scribble(
    painter: QPainter, scribble: Scribble, plane: SlicePlane, number: int, to_widget: ToWidget
) -> None:
    """The parts of a scribble that lie in the slice."""
    run: list[PointLps] = []
    for point in (*scribble.points_lps_mm, None):
        if point is not None and in_slice((point,), plane, number):
            run.append(point)
            continue
        if run:
            draw_path(painter, [*run, run[-1]], scribble.inside, plane, to_widget)
        run = []


def _draw_handle(
    painter: QPainter, point_lps_mm: PointLps, plane: SlicePlane, to_widget: ToWidget
) -> None:
    x, y = to_widget(plane.to_screen(np.asarray(point_lps_mm)))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in (QPen(QColor(0, 0, 0, 190), 3.0), QPen(QColor(theme.DRAWN), 1.3)):
        painter.setPen(pen)
        square = QPointF(x, y)
        painter.drawRect(
            int(square.x() - HANDLE_PX), int(square.y() - HANDLE_PX),
            int(2 * HANDLE_PX), int(2 * HANDLE_PX),
        )  # fmt: skip
