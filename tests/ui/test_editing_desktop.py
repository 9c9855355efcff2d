"""Painting, moving a diameter, naming, importing in a real window, with mouse and keys."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PyQt6.QtCore import QPointF, Qt
from PyQt6.QtWidgets import QFileDialog

from irplan.lesions import label_map
from irplan.lesions.lesion import LesionSource
from irplan.volume_io import save_label_map
from ui import theme
from ui.brush import Brush
from ui.dialogs import PlaceDialog
from ui.planes import ViewName
from ui.scene import Tool

from test_desktop import near_colour, shown  # isort: skip

pytestmark = pytest.mark.desktop

AXIAL, CORONAL = ViewName.AXIAL, ViewName.CORONAL
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
LEFT = Qt.MouseButton.LeftButton


def stroke(hand, points, view: ViewName = AXIAL, modifier=Qt.KeyboardModifier.NoModifier) -> None:
    """Draw through points, LPS mm, with the button down."""
    slices = hand.window.slices[view]
    places = [slices.place_of(point).toPoint() for point in points]
    hand.qtbot.mousePress(slices, LEFT, modifier, pos=places[0])
    for place in places[1:]:
        hand.qtbot.mouseMove(slices, place)
        hand.qtbot.wait(10)
    hand.qtbot.mouseRelease(slices, LEFT, modifier, pos=places[-1])
    hand.qtbot.wait(10)


def mask_of(hand, lesion_id: str = "L1") -> np.ndarray:
    lesion = next(one for one in hand.window.case.state.lesions if one.lesion_id == lesion_id)
    return lesion.mask.to_full()


def lesion_of(hand, lesion_id: str = "L1"):
    return next(one for one in hand.window.case.state.lesions if one.lesion_id == lesion_id)


def turn_to(hand, point) -> None:
    """Come near a point, so that a pixel of the screen is less than a voxel."""
    hand.window.scene.set_crosshair(point)
    for view in hand.window.slices.values():
        view.come_near(point, 120.0)


def test_the_brush_paints_a_new_lesion_and_the_eraser_takes_off(opened, truth):
    window, centre = opened.window, truth("L5")
    x, y, z = centre
    turn_to(opened, centre)
    opened.key(Qt.Key.Key_P)
    assert window.scene.tool is Tool.BRUSH
    stroke(opened, [(x - 6, y, z), (x, y, z), (x + 6, y, z)])
    made = lesion_of(opened)
    assert made.source is LesionSource.EDITED
    assert window.scene.lesion_id == "L1"
    painted = mask_of(opened)
    assert np.flatnonzero(painted.any(axis=(1, 2))).tolist() == [window.slices[AXIAL].slice_number]
    grid = window.case.volume.geometry
    gap = np.linalg.norm(grid.to_lps(np.argwhere(painted)[:, ::-1]) - np.asarray(centre), axis=1)
    assert gap.max() <= 6 + window.scene.brush.radius_mm + 3.0
    pixels = shown(window.slices[AXIAL])
    place = window.slices[AXIAL].place_of((x, y - 5, z))
    ring = pixels[int(place.y()) - 40 : int(place.y()) + 40, int(place.x()) - 40 :]
    assert near_colour(ring, theme.LESION_COLOURS[0]).sum() > 20

    opened.key(Qt.Key.Key_E)
    assert window.scene.tool is Tool.ERASER
    stroke(opened, [(x + 6, y, z), (x + 8, y, z)])
    left = mask_of(opened)
    assert left.sum() < painted.sum()
    assert not (left & ~painted).any()
    opened.key(Qt.Key.Key_P)
    stroke(opened, [(x - 6, y, z), (x - 8, y, z)], modifier=CONTROL)  # Ctrl erases
    assert mask_of(opened).sum() < left.sum()

    opened.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(mask_of(opened), left)
    opened.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(mask_of(opened), painted)
    opened.key(Qt.Key.Key_Z, CONTROL)
    assert window.case.state.lesions == ()
    for _ in range(2):
        opened.key(Qt.Key.Key_Z, CONTROL, SHIFT)
    assert np.array_equal(mask_of(opened), left)


def test_keys_set_the_brush_and_a_ball_reaches_other_slices(opened, truth):
    window, centre = opened.window, truth("L5")
    turn_to(opened, centre)
    opened.key(Qt.Key.Key_P)
    sizes = [window.scene.brush.radius_mm]
    for key in (Qt.Key.Key_BracketRight, Qt.Key.Key_BracketRight, Qt.Key.Key_BracketLeft):
        opened.key(key)
        sizes.append(window.scene.brush.radius_mm)
    assert sizes == [5.0, 6.0, 8.0, 6.0]
    assert window.edit_bar.radius.value() == 6.0
    opened.key(Qt.Key.Key_T)
    assert window.scene.brush == Brush(6.0, ball=True)
    stroke(opened, [centre])
    grid, painted = window.case.volume.geometry, mask_of(opened)
    assert len(np.flatnonzero(painted.any(axis=(1, 2)))) == 3  # 6 mm at slices of 4 mm
    k, j, i = np.argwhere(painted).mean(axis=0)
    assert grid.to_lps((i, j, k)) == pytest.approx(centre, abs=2.5)
    # In a coronal view a disc lies in the coronal plane.
    opened.key(Qt.Key.Key_T)
    before = painted
    x, y, z = centre
    stroke(opened, [(x, y, z + 14), (x, y, z + 20)], CORONAL)
    added = mask_of(opened) & ~before
    assert len(np.flatnonzero(added.any(axis=(0, 2)))) == 1
    assert len(np.flatnonzero(added.any(axis=(1, 2)))) > 2


def test_within_the_window_the_brush_leaves_fat_alone(opened, phantom, truth):
    window, centre = opened.window, truth("L3")
    turn_to(opened, centre)
    opened.key(Qt.Key.Key_P)
    opened.key(Qt.Key.Key_W)
    opened.key(Qt.Key.Key_4)  # the liver window: -10 to 170 HU
    for _ in range(4):
        opened.key(Qt.Key.Key_BracketRight)
    stroke(opened, [centre])
    values = phantom.hu[mask_of(opened)]
    assert values.min() >= -10
    assert values.max() <= 170
    window.case.undo()
    opened.key(Qt.Key.Key_W)
    stroke(opened, [centre])
    assert phantom.hu[mask_of(opened)].min() < -10


def test_the_end_of_a_diameter_is_moved_and_taken_back(opened, truth):
    window = opened.window
    opened.lesion(truth("L5"))
    opened.key(Qt.Key.Key_B)
    before = lesion_of(opened)
    (start, end) = before.longest_diameter_ends_lps_mm
    turn_to(opened, start)
    wanted = tuple(np.asarray(end) + 0.25 * (np.asarray(end) - np.asarray(start)))
    stroke(opened, [end, wanted])
    moved = lesion_of(opened)
    assert moved.longest_diameter_mm == pytest.approx(1.25 * before.longest_diameter_mm, abs=1.5)
    assert moved.measured_diameter_mm == before.longest_diameter_mm
    assert np.array_equal(moved.mask.to_full(), before.mask.to_full())
    assert window.table.text_at("L1", "Long × short ⌀ mm").startswith("✎ ")
    assert "diameter_drawn_by_hand" in {one.code for one in window.case.findings}
    window.edit_bar.again.trigger()
    assert lesion_of(opened).longest_diameter_mm == before.longest_diameter_mm
    # Away from the ends a drag moves the crosshair and no diameter.
    x, y, z = start
    stroke(opened, [(x, y + 40, z), (x, y + 50, z)])
    assert lesion_of(opened).longest_diameter_mm == before.longest_diameter_mm


def test_site_and_side_come_from_the_list_and_the_midline_is_shown(opened, truth):
    window = opened.window
    opened.lesion(truth("L5"))
    assert window.table.text_at("L1", "Side") == "right ?"
    window.table.cellDoubleClicked.emit(0, 2)
    dialog = window.findChild(PlaceDialog)
    assert dialog.side.currentText() == "right"
    dialog.site.setCurrentIndex(dialog.site.findText("liver · foie"))
    dialog.accept()
    assert window.table.text_at("L1", "Site") == "liver"
    assert window.table.text_at("L1", "Side") == "right"
    window.case.place("L1", "liver", "gauche")
    assert window.table.text_at("L1", "Side") == "▲ gauche"
    assert any("midline" in one.message for one in window.case.findings)
    opened.key(Qt.Key.Key_Z, CONTROL)
    assert window.table.text_at("L1", "Side") == "right"


def test_a_no_go_zone_is_painted_shown_and_cleared(opened, truth):
    window, centre = opened.window, truth("L5")
    x, y, z = centre
    turn_to(opened, centre)
    opened.key(Qt.Key.Key_N)
    stroke(opened, [(x + 20, y, z), (x + 32, y, z)])
    zone = window.case.state.request.no_go
    assert zone is not None
    assert window.case.state.lesions == ()
    view = window.slices[AXIAL]
    place = view.place_of((x + 26, y, z))
    around = shown(view)[int(place.y()) - 50 : int(place.y()) + 50, int(place.x()) - 80 :]
    assert near_colour(around, theme.NO_GO, 60).sum() > 60
    stroke(opened, [(x + 32, y, z)], modifier=CONTROL)
    assert window.case.state.request.no_go != zone
    anatomy = window.case._session.find_anatomy()
    assert "no_go" in anatomy.names
    window.edit_bar.clear_no_go.trigger()
    assert window.case.state.request.no_go is None
    assert not window.edit_bar.clear_no_go.isEnabled()
    opened.key(Qt.Key.Key_Z, CONTROL)
    assert window.scene.no_go is not None


def test_a_whole_mask_is_edited_and_parted(opened, truth):
    window, centre = opened.window, truth("L5")
    x, y, z = centre
    turn_to(opened, centre)
    opened.key(Qt.Key.Key_P)
    opened.key(Qt.Key.Key_T)
    stroke(opened, [(x - 9, y, z)])
    stroke(opened, [(x + 3, y, z)])
    before = mask_of(opened)
    window.edit_bar.whole["Grow"].trigger()
    grown = mask_of(opened)
    assert (grown | before).sum() == grown.sum() > before.sum()
    window.edit_bar.whole["Shrink"].trigger()
    assert mask_of(opened).sum() < grown.sum()
    window.case.undo()
    window.case.undo()
    assert np.array_equal(mask_of(opened), before)
    window.scene.set_crosshair((x + 3, y, z))
    window.edit_bar.split.trigger()
    assert [one.lesion_id for one in window.case.state.lesions] == ["L1", "L2"]
    assert np.array_equal(mask_of(opened, "L1") | mask_of(opened, "L2"), before)
    assert lesion_of(opened, "L2").centroid_lps_mm[0] > lesion_of(opened, "L1").centroid_lps_mm[0]


def choose(monkeypatch, *names: Path) -> None:
    """What a person picks in the next file dialogs; a name '' is Cancel."""
    picked = iter(names)
    monkeypatch.setattr(
        QFileDialog, "getOpenFileName", lambda *args, **kwargs: (str(next(picked)), "")
    )


def test_masks_and_anatomy_are_imported_by_dialogs(opened, truth, tmp_path, monkeypatch):
    window, grid = opened.window, opened.window.case.volume.geometry
    opened.lesion(truth("L5"))
    path = tmp_path / "masks.nrrd"
    save_label_map(label_map(window.case.state.lesions, grid), grid, path)
    opened.key(Qt.Key.Key_Z, CONTROL)
    ids = tmp_path / "ids.csv"
    ids.write_text("source_label,lesion_id,site,side\n1,T07,foie,gauche\n")
    choose(monkeypatch, path, ids)
    window.edit_bar.masks.trigger()
    opened.wait()
    (lesion,) = window.case.state.lesions
    assert (lesion.lesion_id, lesion.source) == ("T07", LesionSource.IMPORTED)
    assert window.table.text_at("T07", "Side") == "▲ gauche"

    labels = np.zeros(grid.shape_zyx, dtype=np.uint8)
    labels[10:20, 60:90, 60:90] = 5
    save_label_map(labels, grid, tmp_path / "labels.nrrd")
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"5": "pancreas"}))
    choose(monkeypatch, tmp_path / "labels.nrrd", names)
    window.edit_bar.anatomy.trigger()
    opened.wait()
    assert "pancreas" in window.case.state.anatomy.names
    assert "pancreas" not in window.scene.unknown
    assert window.unknown.isVisible()

    # What cannot be used is refused in words, and the case stays.
    names.write_text("[]")
    state = window.case.state
    choose(monkeypatch, tmp_path / "labels.nrrd", names)
    window.edit_bar.anatomy.trigger()
    opened.wait()
    assert window.notice.isVisible()
    assert window.case.state.request.anatomy == state.request.anatomy


def test_the_contour_is_dashed_where_the_border_is_assumed(opened, truth):
    """A ball painted half into the air beside the patient: seen at the skin, not inside."""
    window = opened.window
    view = window.slices[AXIAL]
    grid = window.case.volume.geometry
    body = window.case.body
    z = grid.nearest_index(truth("L5"))[2]
    rows, columns = np.nonzero(body[z])
    j = int(np.median(rows))
    i = int(columns[rows == j].max()) - 8
    x, y, height = (float(value) for value in grid.to_lps((i, j, z)))
    turn_to(opened, (x, y, height))
    opened.key(Qt.Key.Key_P)
    for _ in range(4):
        opened.key(Qt.Key.Key_BracketRight)
    stroke(opened, [(x, y, height)])
    window.scene.set_tool(Tool.BROWSE)
    window.scene.show_crosshair = False
    lesion = lesion_of(opened)
    runs = [
        (bool(shown_there), last - first)
        for outline in view._outlines.of(lesion, window.scene.lesions, view.plane, z)
        for first, last, shown_there in overlay_runs(view, lesion, outline, z)
    ]
    assert {seen for seen, _ in runs} == {True, False}
    pixels = near_colour(shown(view), theme.LESION_COLOURS[0], 60)
    assert pixels.sum() > 50


def overlay_runs(view, lesion, outline, number):
    from ui.overlays import runs_of

    seen = view._outlines.seen_of(lesion.mask, view._scene.volume)
    runs = runs_of(outline, seen, lesion.mask, view.plane, number)
    assert runs[0][0] == 0
    assert runs[-1][1] == len(outline) - 1
    assert all(one[1] == other[0] for one, other in itertools.pairwise(runs))
    return runs


def test_a_drag_shows_the_stroke_before_it_is_painted(opened, truth):
    window, centre = opened.window, truth("L5")
    x, y, z = centre
    turn_to(opened, centre)
    opened.key(Qt.Key.Key_P)
    view = window.slices[AXIAL]
    opened.qtbot.mousePress(view, LEFT, pos=view.place_of(centre).toPoint())
    opened.qtbot.mouseMove(view, view.place_of((x + 10, y, z)).toPoint())
    opened.qtbot.wait(20)
    plain = view.slice_image()
    assert window.case.state.lesions == ()
    place: QPointF = view.place_of((x + 5, y, z))
    colour = shown(view)[int(place.y()), int(place.x())].astype(int)
    assert colour[1] > colour[0] + 10  # greenish over grey
    opened.qtbot.mouseRelease(view, LEFT, pos=view.place_of((x + 10, y, z)).toPoint())
    assert plain is not None
    assert len(window.case.state.lesions) == 1
