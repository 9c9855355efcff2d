"""The skin map, biopsies and what alternatives tell, in one window with a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PyQt6.QtCore import QPointF, Qt
from pytestqt.qtbot import QtBot

from irplan.geometry import PointLps
from irplan.trajectory.check import allowed
from ui import theme
from ui.app import application
from ui.main_window import MainWindow
from ui.rows import mark_text, needle_text, passes_text

from conftest import Hand  # isort: skip
from test_desktop import near_colour, shown  # isort: skip

pytestmark = pytest.mark.desktop

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(scope="module")
def planned(
    request: pytest.FixtureRequest,
    qapp: object,
    scan_folder: Path,
    truth: Callable[[str], PointLps],
) -> Iterator[Hand]:
    """A person at a window with two lesions, a biopsy due of the first, doses and paths."""
    application()
    window = MainWindow()
    window.show()
    window.activateWindow()
    hand = Hand(QtBot(request), window)
    hand.qtbot.waitUntil(window.isActiveWindow, timeout=20_000)
    hand.open(scan_folder)
    hand.lesion(truth("L5"))
    hand.lesion(truth("L6"))
    window.scene.select("L1")
    window.edit_bar.biopsy.trigger()
    assert window.table.text_at("L1", "Needle") == "biopsy due"
    assert window.table.text_at("L2", "Needle") == "–"
    hand.weigh("70.5")
    window.path_panel.button.click()
    hand.wait()
    yield hand
    window.close()


@pytest.fixture
def mapped(planned: Hand) -> Iterator[Hand]:
    """With the skin map of the first lesion shown."""
    planned.window.scene.select("L1")
    planned.key(Qt.Key.Key_A)
    planned.wait()
    layer = planned.window.view3d.skin_map
    best = int(np.nanargmin(layer.map.cost))
    tip = tuple(layer.map.tips_lps_mm[best].tolist())
    planned.window.view3d.come_near(tip, 330.0, layer.point(best))
    yield planned
    planned.window.view3d.show_skin_maps(())


def test_a_biopsy_that_is_due_is_told_and_drawn(planned):
    window = planned.window
    (biopsy,) = window.case.paths.biopsies
    assert biopsy.lesion_id == "L1"
    assert window.table.text_at("L1", "Needle").startswith(f"B1 → {biopsy.before}")
    assert "B1" not in window.table.text_at("L2", "Needle")
    window.show_needle(biopsy.before)
    window.scene.show_crosshair = False
    middle = tuple((a + b) / 2 for a, b in zip(biopsy.tip_lps_mm, biopsy.end_lps_mm, strict=True))
    for view in window.slices.values():
        place = view.place_of(middle)
        x, y = int(place.x()), int(place.y())
        around = shown(view)[y - 14 : y + 15, x - 14 : x + 15]
        assert near_colour(around, theme.BIOPSY).sum() >= 6, view.name
    assert near_colour(shown(window.view3d), theme.BIOPSY, 70).sum() > 10
    # It belongs to its lesion: with the other one selected it is not drawn.
    window.scene.select("L2")
    for view in window.slices.values():
        assert near_colour(shown(view), theme.BIOPSY).sum() == 0


def test_a_biopsy_without_a_safe_way_is_marked(planned):
    from dataclasses import replace

    paths = replace(planned.window.case.paths, biopsies=())
    first = passes_text(paths.of_lesion("L1"))
    assert needle_text(paths, "L1", True) == f"▲ biopsy, {first}"
    assert needle_text(paths, "L1", False) == first
    assert needle_text(None, "L1", True) == "biopsy due"


def test_alternatives_tell_what_chosen_paths_tell(planned):
    window = planned.window
    window.scene.select("L1")
    paths, table = window.case.paths, window.path_panel.table
    assert table.rowCount() >= 2
    findings = window.case.findings
    by_id = {one.needle_id: one for one in (*paths.needles, *paths.alternatives)}
    for row, needle_id in enumerate(window.path_panel._ids):
        needle = by_id[needle_id]
        text = table.item(row, 0).text()
        assert text.endswith(needle_id + mark_text(needle, findings))
        assert ("▲?" in text) == bool(needle.unknown_constraints)
        for name in needle.unknown_constraints:
            assert name.replace("_", " ") in table.item(row, 0).toolTip()
    # The liver lesion: nobody segmented its vessels, so something is unknown of every path.
    assert any(by_id[one].unknown_constraints for one in window.path_panel._ids)


def open_and_closed(hand: Hand) -> tuple[int, int]:
    """A point of the map from which a path is open, and one from which none is, seen in front."""
    view, layer = hand.window.view3d, hand.window.view3d.skin_map
    found: dict[bool, int] = {}
    for y in range(40, view.height() - 40, 12):
        for x in range(40, view.width() - 40, 12):
            number = view._map_point(QPointF(x, y).toPoint())
            if number is not None:
                found.setdefault(bool(layer.map.open_points[number]), number)
    return found[True], found[False]


def test_the_skin_is_coloured_by_its_best_paths(mapped):
    window, layer = mapped.window, mapped.window.view3d.skin_map
    assert window.actions_.skin_map.isChecked()
    assert layer.map.lesion_id == "L1"
    is_open = layer.map.open_points
    colours = layer.colours(layer.map.points_lps_mm).astype(int)
    best = int(np.nanargmin(layer.map.cost))
    dearest = int(np.nanargmax(layer.map.cost))
    # Points that lie within another's raster share a place; compare where they do not.
    assert colours[best][1] > colours[best][0]  # green
    assert colours[dearest][0] > colours[dearest][1]  # orange
    grey = colours[~is_open]
    assert np.ptp(grey, axis=1).max() <= 10
    assert np.ptp(colours[is_open], axis=1).min() > 40
    far = layer.colours(np.add(layer.map.points_lps_mm[:1], (500.0, 0.0, 0.0)))
    assert far[0].tolist() == [round(255 * one) for one in theme.SKIN_RGB]
    window.scene.select("L2")
    assert window.view3d.skin_map.map.lesion_id == "L2"
    window.scene.select("")
    assert window.view3d.skin_map.map.lesion_id == ""


def test_the_place_under_the_mouse_is_the_one_that_is_drawn_there(mapped):
    window = mapped.window
    view, layer = window.view3d, window.view3d.skin_map
    number, _ = open_and_closed(mapped)
    place = view.place_of(layer.point(number))
    assert view._map_point(place.toPoint()) is not None
    under = layer.point(view._map_point(place.toPoint()))
    assert np.linalg.norm(np.subtract(under, layer.point(number))) < 10.0
    assert view._map_point(QPointF(3, view.height() / 2).toPoint()) is None


def test_a_click_on_the_skin_answers_why(mapped):
    window = mapped.window
    view, layer = window.view3d, window.view3d.skin_map
    for number in open_and_closed(mapped):
        place = view.place_of(layer.point(number)).toPoint()
        mapped.qtbot.mouseMove(view, place)
        mapped.qtbot.mouseClick(view, LEFT, pos=place)
        mapped.wait()
        told = view._explained
        assert told.lesion_id == "L1"
        entry = np.asarray(told.entry_lps_mm)
        assert np.linalg.norm(entry - layer.point(number)) < 10.0
        expected = window.case._session.explain_path("L1", told.entry_lps_mm)
        assert told.checks == expected
        lines = told.lines()
        assert ("NOT allowed" in lines[0]) == (not allowed(expected))
        for check in [one for one in expected if one.forbids][:4]:
            line = next(one for one in lines if check.constraint.replace("_", " ") in one)
            assert str(check.document()["limit"]) in line
        assert window.scene.crosshair_lps_mm == pytest.approx(told.entry_lps_mm, abs=3.0)


def test_the_map_goes_with_what_it_was_made_from(mapped, truth):
    window = mapped.window
    assert window.view3d.skin_map is not None
    mapped.key(Qt.Key.Key_A)
    assert window.view3d.skin_map is None
    assert not window.actions_.skin_map.isChecked()
    maps = window.skin_maps.maps
    mapped.key(Qt.Key.Key_A)  # kept: shown again at once
    assert window.view3d.skin_map.map in maps
    window.case.exclude("L2", "refused by the patient")
    assert window.skin_maps.maps == ()
    assert window.view3d.skin_map is None
    assert not window.actions_.skin_map.isEnabled()  # no doses stand
    window.case.undo()
