"""Boxes, scribbles and the ends of every gesture in a real window, with mouse and keys."""

from __future__ import annotations

import numpy as np
import pytest
from PyQt6.QtCore import QPoint, QPointF, Qt
from PyQt6.QtGui import QWheelEvent
from PyQt6.QtWidgets import QApplication

from irplan.lesions.gestures import Box, Click, Diameter, Scribble
from ui import theme
from ui.planes import ViewName
from ui.scene import Tool

from test_desktop import near_colour, shown  # isort: skip
from test_editing_desktop import lesion_of, mask_of, stroke, turn_to  # isort: skip

pytestmark = pytest.mark.desktop

AXIAL, CORONAL = ViewName.AXIAL, ViewName.CORONAL
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
LEFT = Qt.MouseButton.LeftButton


def gestures_of(hand, lesion_id: str = "L1"):
    prompts = hand.window.case.state.request.prompts
    return next(one.gestures for one in prompts if one.lesion_id == lesion_id)


def turn_wheel(view, at: QPoint, notches: int) -> None:
    event = QWheelEvent(
        QPointF(at),
        QPointF(view.mapToGlobal(at)),
        QPoint(),
        QPoint(0, 120 * notches),
        LEFT,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(view, event)


def test_a_box_in_a_slice_gives_a_lesion_and_stays_to_be_seen(opened, phantom, truth):
    window, (x, y, z) = opened.window, truth("L5")
    turn_to(opened, (x, y, z))
    opened.key(Qt.Key.Key_R)
    assert window.scene.tool is Tool.BOX
    assert window.actions_.tools[Tool.BOX].isChecked()
    stroke(opened, [(x - 14, y - 14, z), (x, y, z), (x + 14, y + 14, z)])
    opened.wait()
    (box,) = gestures_of(opened)
    assert isinstance(box, Box)
    assert sorted(line.length_mm for line in box.diameters) == pytest.approx([28, 28], abs=1.5)
    inside = phantom.lesion_labels == phantom.lesion("L5").label
    overlap = 2 * (mask_of(opened) & inside).sum() / (mask_of(opened).sum() + inside.sum())
    assert overlap > 0.6
    window.scene.show_crosshair = False
    pixels = near_colour(shown(window.slices[AXIAL]), theme.DRAWN, 60)
    corner = window.slices[AXIAL].place_of((x - 14, y - 14, z))
    side = window.slices[AXIAL].place_of((x + 14, y - 14, z))
    row = pixels[int(corner.y()) - 2 : int(corner.y()) + 3, int(corner.x()) : int(side.x())]
    assert row.any(axis=0).mean() > 0.9
    opened.key(Qt.Key.Key_Z, CONTROL)
    assert window.case.state.lesions == ()
    opened.key(Qt.Key.Key_Z, CONTROL, SHIFT)
    assert gestures_of(opened) == (box,)


def test_the_wheel_takes_a_box_over_slices(opened, truth):
    window, (x, y, z) = opened.window, truth("L5")
    view = window.slices[AXIAL]
    turn_to(opened, (x, y, z - 8))
    first = view.slice_number
    opened.key(Qt.Key.Key_R)
    start = view.place_of((x - 14, y - 14, z - 8)).toPoint()
    end = view.place_of((x + 14, y + 14, z - 8)).toPoint()
    opened.qtbot.mousePress(view, LEFT, pos=start)
    opened.qtbot.mouseMove(view, end)
    turn_wheel(view, end, 4)
    assert view.slice_number == first + 4
    opened.qtbot.mouseRelease(view, LEFT, pos=end)
    opened.wait()
    (box,) = gestures_of(opened)
    heights = sorted(
        abs(a - b) for a, b in zip(box.corner_lps_mm, box.opposite_lps_mm, strict=True)
    )
    assert heights == pytest.approx([20, 28, 28], abs=1.5)  # five slices of 4 mm


def test_a_slip_of_the_hand_is_nothing(opened, truth):
    x, y, z = truth("L5")
    turn_to(opened, (x, y, z))
    for key in (Qt.Key.Key_R, Qt.Key.Key_F, Qt.Key.Key_L):
        opened.key(key)
        stroke(opened, [(x, y, z), (x + 0.8, y, z)])
        opened.wait()
    assert opened.window.case.state.lesions == ()
    assert not opened.window.notice.isVisible()


def test_scribbles_begin_add_and_take_off(opened, truth):
    window, (x, y, z) = opened.window, truth("L5")
    turn_to(opened, (x, y, z))
    opened.key(Qt.Key.Key_F)
    assert window.scene.tool is Tool.SCRIBBLE
    stroke(opened, [(x - 6, y, z), (x, y + 3, z), (x + 6, y, z)])
    opened.wait()
    (first,) = gestures_of(opened)
    assert isinstance(first, Scribble)
    assert first.inside
    assert first.points_lps_mm[0][:2] == pytest.approx((x - 6, y), abs=0.6)
    grid = window.case.volume.geometry
    for point in first.path_lps_mm:
        i, j, k = grid.nearest_index(point)
        assert mask_of(opened)[k, j, i]
    stroke(opened, [(x, y - 6, z), (x, y + 6, z)], modifier=SHIFT)
    opened.wait()
    before = mask_of(opened)
    _, j, k = grid.nearest_index((x, y, z))
    # Along the left border of what was found.
    edge = float(grid.to_lps((np.flatnonzero(before[k, j])[-1], j, k))[0])
    stroke(opened, [(edge, y - 5, z), (edge, y + 5, z)], modifier=CONTROL)
    opened.wait()
    assert [one.inside for one in gestures_of(opened)] == [True, True, False]
    after = mask_of(opened)
    assert len(window.case.state.lesions) == 1
    for point in gestures_of(opened)[2].path_lps_mm:
        i, j, k = grid.nearest_index(point)
        assert not after[k, j, i]
    assert after.sum() < before.sum()
    window.scene.show_crosshair = False
    outside = near_colour(shown(window.slices[AXIAL]), theme.OUTSIDE, 50)
    assert outside.sum() > 10


def test_the_correcting_tools_take_a_click_or_a_scribble(opened, truth):
    window, (x, y, z) = opened.window, truth("L5")
    opened.lesion((x, y, z))
    turn_to(opened, (x, y, z))
    opened.key(Qt.Key.Key_I)
    stroke(opened, [(x - 4, y, z), (x + 4, y, z)])
    opened.wait()
    opened.key(Qt.Key.Key_O)
    opened.click((x + 9, y, z))
    opened.wait()
    kinds = [type(one) for one in gestures_of(opened)]
    assert kinds == [Click, Scribble, Click]
    assert [one.inside for one in gestures_of(opened)] == [True, True, False]
    # Without a selected lesion a scribble outside has nothing to correct.
    window.scene.select("")
    opened.key(Qt.Key.Key_F)
    stroke(opened, [(x - 4, y, z), (x + 4, y, z)], modifier=CONTROL)
    opened.wait()
    assert window.notice.isVisible()
    assert "no lesion is selected" in window.notice.label.text()


def test_ends_of_gestures_are_moved_while_browsing(opened, truth):
    x, y, z = truth("L5")
    turn_to(opened, (x, y, z))
    opened.key(Qt.Key.Key_R)
    stroke(opened, [(x - 14, y - 14, z), (x + 14, y + 14, z)])
    opened.wait()
    opened.key(Qt.Key.Key_B)
    stroke(opened, [(x - 14, y - 14, z), (x - 16, y - 10, z)])
    opened.wait()
    (box,) = gestures_of(opened)
    low = np.minimum(box.corner_lps_mm, box.opposite_lps_mm)
    assert low[:2] == pytest.approx((x - 16, y - 10), abs=1.0)
    # In the coronal view the flat box is a line; its end is pulled up into a box.
    stroke(opened, [(x - 16, y, box.corner_lps_mm[2]), (x - 16, y, z + 12)], CORONAL)
    opened.wait()
    (box,) = gestures_of(opened)
    assert len(box.diameters) == 3
    assert lesion_of(opened).lesion_id == "L1"
    opened.key(Qt.Key.Key_Z, CONTROL)
    assert len(gestures_of(opened)[0].diameters) == 2


def test_a_click_and_a_line_are_moved(opened, truth):
    x, y, z = truth("L5")
    turn_to(opened, (x, y, z))
    opened.key(Qt.Key.Key_L)
    stroke(opened, [(x - 14, y + 2, z), (x + 14, y + 2, z)])
    opened.wait()
    opened.key(Qt.Key.Key_I)
    opened.click((x, y - 4, z))
    opened.wait()
    opened.key(Qt.Key.Key_B)
    stroke(opened, [(x, y - 4, z), (x + 3, y - 6, z)])
    opened.wait()
    line, click = gestures_of(opened)
    assert click.point_lps_mm[:2] == pytest.approx((x + 3, y - 6), abs=1.0)
    assert isinstance(line, Diameter)
    stroke(opened, [line.end_lps_mm, (x + 11, y + 4, z)])
    opened.wait()
    moved, _ = gestures_of(opened)
    assert moved.start_lps_mm == line.start_lps_mm
    assert moved.end_lps_mm[:2] == pytest.approx((x + 11, y + 4), abs=1.0)
    # Drawn together to a point it is no diameter: refused in words, and nothing changes.
    stroke(opened, [moved.end_lps_mm, moved.start_lps_mm])
    opened.wait()
    assert opened.window.notice.isVisible()
    assert "no diameter" in opened.window.notice.label.text()
    assert gestures_of(opened) == (moved, click)


def test_what_is_drawn_within_a_lesion_belongs_to_it(opened, truth):
    """Three diameters are three strokes with one tool; a second click makes no second lesion."""
    window, (x, y, z) = opened.window, truth("L5")
    turn_to(opened, (x, y, z))
    opened.key(Qt.Key.Key_L)
    stroke(opened, [(x - 13, y, z), (x + 13, y, z)])
    opened.wait()
    stroke(opened, [(x, y - 12, z), (x, y + 12, z)])
    opened.wait()
    stroke(opened, [(x, y, z - 12), (x, y, z + 12)], view=CORONAL)
    opened.wait()
    assert [type(one) for one in gestures_of(opened)] == [Diameter] * 3
    opened.key(Qt.Key.Key_C)
    opened.click((x + 3, y + 4, z))
    opened.wait()
    assert [one.lesion_id for one in window.case.state.lesions] == ["L1"]
    assert isinstance(gestures_of(opened)[3], Click)
    # Elsewhere, the next lesion begins; drawn within the first again, that one is meant.
    opened.click(truth("L6"))
    opened.wait()
    assert window.scene.lesion_id == "L2"
    opened.click((x - 3, y - 4, z))
    opened.wait()
    assert len(gestures_of(opened)) == 5
    assert window.scene.lesion_id == "L1"
    assert len(window.case.state.lesions) == 2


def test_an_end_is_moved_with_the_line_in_hand_and_a_press_alone_moves_nothing(opened, truth):
    window, (x, y, z) = opened.window, truth("L5")
    turn_to(opened, (x, y, z))
    opened.key(Qt.Key.Key_L)
    stroke(opened, [(x - 13, y, z), (x + 13, y, z)])
    opened.wait()
    stroke(opened, [(x + 13, y, z), (x + 16, y + 3, z)])
    opened.wait()
    (line,) = gestures_of(opened)
    assert max(line.start_lps_mm[0], line.end_lps_mm[0]) == pytest.approx(x + 16, abs=0.8)
    opened.key(Qt.Key.Key_B)
    lesion = lesion_of(opened)
    end = lesion.longest_diameter_ends_lps_mm[0]
    turn_to(opened, end)
    place = window.slices[AXIAL].place_of(end).toPoint()
    opened.qtbot.mouseClick(window.slices[AXIAL], LEFT, pos=place)
    assert lesion_of(opened).diameter_source == "measured"
    assert window.case.state.request.drawn == ()


def test_lesions_that_share_voxels_are_told_before_any_dose(opened, truth):
    window, (x, y, z) = opened.window, truth("L5")
    opened.lesion((x, y, z))
    window.scene.select("")
    opened.key(Qt.Key.Key_P)
    stroke(opened, [(x, y, z), (x + 20, y, z)])
    opened.wait()
    assert [one.lesion_id for one in window.case.state.lesions] == ["L1", "L2"]
    assert "lesions_overlap" in {one.code for one in window.case.findings}
