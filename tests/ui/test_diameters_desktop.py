"""Longest diameter, short axis and 3-D diameter in a real window: shown, and moved by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PyQt6.QtCore import Qt

from irplan.lesions.lesion import LesionMask
from ui import theme
from ui.overlays import whole_text
from ui.planes import ViewName
from ui.rows import diameter_text

from test_desktop import near_colour, shown  # isort: skip
from test_editing_desktop import lesion_of, turn_to  # isort: skip

pytestmark = pytest.mark.desktop

AXIAL, CORONAL = ViewName.AXIAL, ViewName.CORONAL
CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def disc(opened, truth):
    """A lesion that is widest in its lowest slice: a disc there, smaller ones above it."""
    case, (x, y, z) = opened.window.case, truth("L5")
    grid = case.volume.geometry
    k0 = int(np.rint(grid.to_index((x, y, z))[2]))
    depth, height, width = grid.shape_zyx
    i, j = np.meshgrid(np.arange(width), np.arange(height))
    mask = np.zeros((depth, height, width), dtype=bool)
    ci, cj, _ = np.rint(grid.to_index((x, y, z))).astype(int)
    for up in range(6):
        wide = 8 if up == 0 else 5
        # Half as high as it is wide, so that the longest diameter runs along x.
        # Each a little beside the one below, so that the longest line in 3-D climbs.
        mask[k0 + up] = ((i - ci - 2 * up) / wide) ** 2 + ((j - cj) / (wide / 2)) ** 2 <= 1.0
    case.edit("L1", lambda _: LesionMask.from_full(mask, grid))
    return opened, k0


def test_a_chosen_lesion_is_shown_where_it_is_measured(disc) -> None:
    hand, k0 = disc
    window, lesion = hand.window, lesion_of(hand)
    grid = window.case.volume.geometry
    middle = round(float(grid.to_index(lesion.centroid_lps_mm)[2]))
    assert middle != k0
    window.table.selectRow(0)
    assert window.scene.lesion_id == "L1"
    assert window.slices[AXIAL].slice_number == k0
    ends = np.array(lesion.longest_diameter_ends_lps_mm)
    assert window.scene.crosshair_lps_mm == pytest.approx(ends.mean(axis=0), abs=1e-6)


def test_an_end_of_the_short_axis_is_moved_and_stays_square_to_the_longest(disc) -> None:
    hand, _ = disc
    window, view = hand.window, hand.window.slices[AXIAL]
    window.show_lesion("L1")
    before = lesion_of(hand)
    hand.key(Qt.Key.Key_B)
    held, other = before.short_axis_ends_lps_mm
    start, end = (np.asarray(one) for one in before.longest_diameter_ends_lps_mm)
    along = (end - start) / np.linalg.norm(end - start)
    out = np.subtract(held, other) / math.dist(held, other)
    put = np.asarray(held) + 4.0 * out + 3.0 * along
    hand.drag(view.place_of(held), view.place_of(put), AXIAL)
    after = lesion_of(hand)
    assert after.short_axis_source == "edited"
    assert after.short_axis_mm == pytest.approx(before.short_axis_mm + 4.0, abs=0.6)
    line = np.subtract(*after.short_axis_ends_lps_mm)
    assert abs(float(line @ along)) < 1e-6 * np.linalg.norm(line) + 1e-6
    # The whole line was slid along with the end.
    moved = (np.mean(after.short_axis_ends_lps_mm, axis=0) - np.mean((held, other), axis=0)) @ along
    assert moved == pytest.approx(3.0, abs=0.6)
    assert after.longest_diameter_ends_lps_mm == before.longest_diameter_ends_lps_mm
    assert after.measured_short_axis_mm == before.short_axis_mm
    assert window.table.text_at("L1", "Long × short ⌀ mm") == diameter_text(after)
    assert diameter_text(after).startswith("✎")

    # The longest one moved: the hand's short axis stays.
    place = view.place_of(before.longest_diameter_ends_lps_mm[0])
    there = tuple(np.asarray(before.longest_diameter_ends_lps_mm[0]) - 3.0 * along)
    hand.drag(place, view.place_of(there), AXIAL)
    both = lesion_of(hand)
    assert both.diameter_source == "edited"
    assert both.short_axis_ends_lps_mm == after.short_axis_ends_lps_mm
    hand.key(Qt.Key.Key_Z, CONTROL)
    assert lesion_of(hand) == after
    hand.key(Qt.Key.Key_Z, CONTROL)
    assert lesion_of(hand) == before
    hand.key(Qt.Key.Key_Z, CONTROL, Qt.KeyboardModifier.ShiftModifier)
    assert lesion_of(hand) == after
    assert window.edit_bar.again.isEnabled()
    window.edit_bar.again.trigger()
    assert lesion_of(hand).short_axis_mm == before.short_axis_mm


def test_a_press_on_an_end_without_a_move_draws_nothing(disc) -> None:
    hand, _ = disc
    hand.window.show_lesion("L1")
    hand.key(Qt.Key.Key_B)
    place = hand.window.slices[AXIAL].place_of(lesion_of(hand).short_axis_ends_lps_mm[0])
    hand.qtbot.mouseClick(hand.window.slices[AXIAL], Qt.MouseButton.LeftButton, pos=place.toPoint())
    assert lesion_of(hand).short_axis_source == "measured"


def test_the_3d_diameter_is_drawn_where_it_passes(disc) -> None:
    hand, _ = disc
    window, lesion = hand.window, lesion_of(hand)
    start, end = (np.asarray(one) for one in lesion.diameter_3d_ends_lps_mm)
    assert np.linalg.norm(end - start) == pytest.approx(lesion.diameter_3d_mm)
    window.scene.show_crosshair = False
    colour = window.scene.colour_of("L1")
    for share in (0.45, 0.55):
        point = tuple(start + share * (end - start))
        window.scene.select("L1")
        turn_to(hand, point)
        view = window.slices[CORONAL]
        place = view.place_of(point)
        x, y = int(place.x()), int(place.y())
        near = near_colour(shown(view)[y - 3 : y + 4, x - 3 : x + 4], colour).sum()
        window.scene.select("")
        assert near >= 2
        assert near_colour(shown(view)[y - 3 : y + 4, x - 3 : x + 4], colour).sum() == 0
    # In the 3-D view its ends are marked through the surface.
    window.show_lesion("L1")
    view3d = window.view3d
    for point in (start, end):
        place = view3d.place_of(tuple(point))
        x, y = int(place.x()), int(place.y())
        assert near_colour(shown(view3d)[y - 5 : y + 6, x - 5 : x + 6], theme.TEXT, 60).sum() >= 4


def test_an_end_of_the_3d_diameter_is_moved_in_its_own_slice(disc) -> None:
    hand, k0 = disc
    window, before = hand.window, lesion_of(hand)
    window.show_lesion("L1")
    upper = max(before.diameter_3d_ends_lps_mm, key=lambda end: end[2])
    lower = min(before.diameter_3d_ends_lps_mm, key=lambda end: end[2])
    turn_to(hand, upper)
    view = window.slices[AXIAL]
    assert view.slice_number != k0  # the axial diameters do not lie in this slice
    hand.key(Qt.Key.Key_B)
    put = (upper[0] + 6.0, upper[1] + 2.0, upper[2])
    hand.drag(view.place_of(upper), view.place_of(put), AXIAL)
    after = lesion_of(hand)
    assert after.diameter_3d_source == "edited"
    there = window.slices[AXIAL].point_at(view.place_of(put))  # in the middle of its slice
    assert after.diameter_3d_mm == pytest.approx(math.dist(lower, there), abs=0.6)
    assert lower in after.diameter_3d_ends_lps_mm
    assert after.measured_diameter_3d_mm == before.diameter_3d_mm
    assert after.longest_diameter_ends_lps_mm == before.longest_diameter_ends_lps_mm
    assert after.short_axis_ends_lps_mm == before.short_axis_ends_lps_mm
    assert whole_text(after).startswith("✎")
    assert not diameter_text(after).startswith("✎")
    assert window.edit_bar.again.isEnabled()
    hand.key(Qt.Key.Key_Z, CONTROL)
    assert lesion_of(hand) == before
    hand.key(Qt.Key.Key_Z, CONTROL, Qt.KeyboardModifier.ShiftModifier)
    assert lesion_of(hand) == after
    window.edit_bar.again.trigger()
    assert lesion_of(hand).diameter_3d_mm == before.diameter_3d_mm

    # In another plane too; a press without a move draws nothing.
    turn_to(hand, upper)
    coronal = window.slices[CORONAL]
    place = coronal.place_of(upper)
    hand.qtbot.mouseClick(coronal, Qt.MouseButton.LeftButton, pos=place.toPoint())
    assert lesion_of(hand).diameter_3d_source == "measured"
    turn_to(hand, upper)
    above = (upper[0] + 5.0, upper[1], upper[2] + 8.0)
    hand.drag(coronal.place_of(upper), coronal.place_of(above), CORONAL)
    moved = lesion_of(hand)
    assert moved.diameter_3d_source == "edited"
    assert max(end[2] for end in moved.diameter_3d_ends_lps_mm) > upper[2] + 6.0
