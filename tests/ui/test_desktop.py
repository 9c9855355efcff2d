"""The desktop as a person uses it, on files and a session that are real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PyQt6.QtCore import QMimeData, QPointF, Qt, QUrl
from PyQt6.QtGui import QColor, QDropEvent, QImage
from PyQt6.QtWidgets import QApplication

from irplan import units
from irplan.phantom import PhantomSpec, build_phantom, write_dicom
from ui import app, theme
from ui.main_window import BANNER
from ui.planes import ViewName
from ui.scene import Tool

pytestmark = pytest.mark.desktop

AXIAL, CORONAL, SAGITTAL = ViewName.AXIAL, ViewName.CORONAL, ViewName.SAGITTAL
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def pixels_of(image: QImage) -> np.ndarray:
    """RGB, (rows, columns, 3)."""
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    rows = np.frombuffer(bits, dtype=np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def shown(widget) -> np.ndarray:
    """What a widget paints: RGB, (rows, columns, 3)."""
    return pixels_of(widget.grab().toImage())


def near_colour(pixels: np.ndarray, name: str, tolerance: int = 40) -> np.ndarray:
    """Where the pixels have about a colour."""
    colour = QColor(name)
    wanted = np.asarray([colour.red(), colour.green(), colour.blue()])
    return np.all(np.abs(pixels.astype(int) - wanted) <= tolerance, axis=-1)


def cell(hand, lesion_id: str, column: str) -> str:
    return hand.window.table.text_at(lesion_id, column)


# Opening ------------------------------------------------------------------------------------


def test_opening_a_folder_shows_the_patient(opened):
    window = opened.window
    assert "Phantom Irplan" in window.patient.text()
    assert "IRPLAN-PHANTOM" in window.patient.text()
    assert "CT of 2026-03-02" in window.patient.text()
    assert window.banner.text() == BANNER
    assert window.banner.isVisible()
    assert window.case.volume.geometry.size == (160, 160, 46)
    for view in window.slices.values():
        assert shown(view).max() > 200
    assert "click a lesion" in window.next_step.text()


def test_grey_values_are_those_of_the_voxels(opened, phantom):
    """Soft tissue window: (HU + 160) / 400 of white, voxel for voxel, in all three views."""
    window, grid = opened.window, phantom.grid
    window.scene.set_crosshair((20.0, 10.0, -40.0))
    for name, view in window.slices.items():
        image, plane = view.slice_image(), view.plane
        assert (image.width(), image.height()) == plane.size
        rng = np.random.default_rng(5)
        for _ in range(60):
            x, y = int(rng.integers(plane.size[0])), int(rng.integers(plane.size[1]))
            i, j, k = grid.nearest_index(plane.to_lps(x, y, view.slice_number))
            exact = np.clip((float(phantom.hu[k, j, i]) + 160) / 400, 0, 1) * 255
            assert abs(image.pixelColor(x, y).red() - exact) <= 0.5 + 1e-9, name


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (-1, 1, -1), (1, -1, -1)])
def test_the_patients_right_stands_left_on_the_screen(hand, tmp_path, signs):
    """A dense block at the patient's right front: on the screen left, and on top in axial."""
    points = np.indices((24, 64, 64)).astype(float)
    x, y = (points[2] - 31.5) * signs[0], (points[1] - 31.5) * signs[1]  # LPS up to the origin
    hu = np.full((24, 64, 64), -1000, dtype=np.int16)
    hu[x**2 + y**2 < 27**2] = 40
    hu[(x < -12) & (x > -18) & (y < -12) & (y > -18)] = 1000
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((4.0, 4.0, 6.0))
    image.SetDirection(np.diag(np.asarray(signs, dtype=float)).ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / "block.nrrd"))
    hand.open(tmp_path / "block.nrrd")
    window = hand.window
    window.scene.show_crosshair = False
    grid = window.case.volume.geometry
    j, i = np.argwhere(hu[12] == 1000).mean(axis=0)
    window.scene.set_crosshair(grid.to_lps((i, j, 12)))
    for name, view in window.slices.items():
        pixels = shown(view)
        height, width, _ = pixels.shape
        place = view.place_of(window.scene.crosshair_lps_mm)
        assert pixels[int(place.y()), int(place.x())].min() > 250
        if name is not SAGITTAL:
            assert place.x() < width / 2 - 20
            assert view.plane.letters[:2] == ("R", "L")
        else:
            assert place.x() < width / 2 - 20  # in front
            assert view.plane.letters[:2] == ("A", "P")
        if name is AXIAL:
            assert place.y() < height / 2 - 20
    assert window.view3d.viewed_from == "seen from A"
    right, left = (window.view3d.place_of(point) for point in ((-40, 0, 0), (40, 0, 0)))
    assert right.x() < left.x()


def test_dropping_a_folder_opens_it(hand, scan_folder):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(scan_folder))])
    event = QDropEvent(
        QPointF(10, 10),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    hand.window.dropEvent(event)
    hand.wait()
    assert hand.window.case.is_open


def test_what_cannot_be_opened_is_refused_in_words(hand, tmp_path):
    (tmp_path / "letter.txt").write_text("no image")
    hand.open(tmp_path)
    notice = hand.window.notice
    assert notice.isVisible()
    assert str(tmp_path) in notice.label.text()
    assert "Way out" in notice.label.text()
    assert not hand.window.case.is_open


def test_a_refused_scan_leaves_the_open_one(opened, tmp_path):
    before = opened.window.case.volume
    opened.open(tmp_path / "absent")
    assert opened.window.notice.isVisible()
    assert opened.window.case.volume is before


def test_several_series_are_offered(hand, tmp_path):
    spec = PhantomSpec(
        columns=48, rows=48, slices=12, spacing_z_mm=5.0, samples=1, centre_mm=(0, 8, 0)
    )
    write_dicom(build_phantom(spec), tmp_path / "a", "none")
    write_dicom(build_phantom(spec.at_visit(2)), tmp_path / "b", "none")
    hand.open(tmp_path)
    dialog = hand.window._series_dialog
    assert dialog.isVisible()
    assert dialog.table.rowCount() == 2
    dialog.table.selectRow(1)
    uid = dialog.chosen
    dialog.accept()
    hand.wait()
    assert hand.window.case.volume.identity.series_instance_uid == uid


def test_cancelling_changes_nothing(hand, scan_folder):
    window = hand.window
    window.open_path(scan_folder)
    assert window.runner.busy
    assert window.progress.isVisible()
    assert not window.actions_.open.isEnabled()
    assert not window.panel.isEnabled()
    hand.key(Qt.Key.Key_Escape)
    window.progress.cancel.click()
    hand.wait()
    assert not window.case.is_open
    assert not window.progress.isVisible()
    assert "cancelled" in window.statusBar().currentMessage()
    assert window.actions_.open.isEnabled()
    hand.open(scan_folder)
    assert window.case.is_open


def test_closing_while_working_waits_for_the_work(hand, scan_folder):
    window = hand.window
    window.open_path(scan_folder)
    window.close()
    assert window.isVisible()
    hand.wait()
    hand.qtbot.waitUntil(lambda: not window.isVisible(), timeout=5000)


def test_a_fault_is_told_and_the_window_goes_on(opened):
    def work(task):
        raise ZeroDivisionError("made for this test")

    opened.window.runner.run("A faulty step", work, lambda result: None)
    opened.wait()
    box = QApplication.activeModalWidget()
    assert "fault of the program" in box.text()
    report = Path(box.informativeText().split("written to ")[1])
    assert "ZeroDivisionError" in report.read_text()
    report.unlink()
    box.reject()
    assert opened.window.panel.isEnabled()


LOOK_AND_CLOSE = """
import sys
from pathlib import Path
from PyQt6.QtCore import QTimer
from ui import app
application = app.application()
def look():
    for top in application.topLevelWidgets():
        if top.windowTitle() == "irplan" and top.isVisible() and not top.runner.busy:
            print("open", top.case.is_open)
            top.close()
timer = QTimer()
timer.timeout.connect(look)
timer.start(300)
sys.exit(app.main(Path(sys.argv[1])))
"""


def test_the_program_opens_a_path_and_ends_when_its_window_is_closed(scan_folder, tmp_path):
    """In a process of its own, since a Qt application ends once only."""
    script = tmp_path / "look.py"
    script.write_text(LOOK_AND_CLOSE)
    paths = [str(Path(app.__file__).parents[1]), *sys.path]
    done = subprocess.run(
        [sys.executable, str(script), str(scan_folder)],
        capture_output=True,
        text=True,
        timeout=180,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "open True" in done.stdout


def test_the_screen_shows_what_the_view_paints(opened):
    """On X11 itself; the virtual screen has 800 × 600 pixels of 16 bits, so a part, nearly."""
    window = opened.window
    view = window.slices[AXIAL]
    opened.qtbot.wait(100)
    screen = QApplication.primaryScreen().grabWindow(window.winId()).toImage()
    corner = view.mapTo(window, QPointF(0, 0)).toPoint()
    seen = pixels_of(screen.copy(corner.x() + 20, corner.y() + 60, 300, 200))
    painted = shown(view)[60:260, 20:320]
    assert np.abs(seen.astype(int) - painted).max() <= 12
    assert painted.std() > 20


# Looking ------------------------------------------------------------------------------------


def test_a_click_moves_the_crosshair_in_all_views(opened):
    window = opened.window
    point = window.slices[AXIAL].plane.to_lps(55.0, 70.0, 20)
    opened.click(point)
    x, y, z = window.scene.crosshair_lps_mm
    assert (x, y, z) == pytest.approx(point, abs=1.5)
    assert window.slices[CORONAL].slice_number == window.slices[CORONAL].plane.slice_of((x, y, z))
    axial = window.slices[AXIAL].slice_number
    opened.click((x + 30, y, z + 24), CORONAL)
    assert window.slices[AXIAL].slice_number == axial + 6
    for view in window.slices.values():
        place = view.place_of(window.scene.crosshair_lps_mm)
        pixels = shown(view)
        row = pixels[int(place.y()), : int(place.x()) - 20]
        assert near_colour(row, theme.CROSSHAIR, 90).mean() > 0.5


def test_wheel_and_keys_scroll(opened):
    window = opened.window
    axial = window.slices[AXIAL]
    start = axial.slice_number
    opened.key(Qt.Key.Key_PageUp)
    assert axial.slice_number == start + 1
    opened.key(Qt.Key.Key_PageDown, SHIFT)
    assert axial.slice_number == start - 9
    before = window.scene.crosshair_lps_mm
    opened.key(Qt.Key.Key_Right)
    after = window.scene.crosshair_lps_mm
    assert np.subtract(after, before) == pytest.approx([2.625, 0, 0], abs=1e-6)


def test_presets_and_dragging_set_the_window(opened):
    window = opened.window
    opened.key(Qt.Key.Key_2)
    assert (window.scene.window.centre_hu, window.scene.window.width_hu) == (-500, 1500)
    lung = window.slices[AXIAL].slice_image().copy()
    opened.key(Qt.Key.Key_1)
    assert window.slices[AXIAL].slice_image() != lung
    opened.drag(QPointF(100, 100), QPointF(160, 100), AXIAL, Qt.MouseButton.RightButton)
    assert window.scene.window.width_hu > 400
    assert window.scene.window.centre_hu == pytest.approx(40)


def test_the_readout_names_place_hu_and_unit(opened, phantom):
    view = opened.window.slices[AXIAL]
    i, j, k = 70, 80, 20
    x, y, z = phantom.grid.to_lps((i, j, k))
    text = view.readout((float(x), float(y), float(z)))
    assert f"{phantom.hu[k, j, i]} HU" in text
    assert f"x {x:.1f}" in text.replace("-0.0", "0.0")
    assert " mm" in text
    assert "outside" in view.readout((900.0, 0.0, 0.0))


def test_a_view_can_be_enlarged_and_put_back(opened):
    window = opened.window
    view = window.slices[CORONAL]
    opened.qtbot.mouseDClick(view, Qt.MouseButton.LeftButton)
    assert not window.slices[AXIAL].isVisible()
    opened.qtbot.mouseDClick(view, Qt.MouseButton.LeftButton)
    assert window.slices[AXIAL].isVisible()


# Lesions ------------------------------------------------------------------------------------


def test_a_click_segments_and_the_table_fills(opened, phantom, truth):
    opened.lesion(truth("L6"))
    window = opened.window
    (lesion,) = window.case.state.lesions
    assert cell(opened, "L1", "Lesion") == "L1"
    volume = Decimal(cell(opened, "L1", "Volume mL (low – high)").split()[0])
    assert volume == lesion.volume_ml
    assert float(volume) == pytest.approx(phantom.lesion("L6").volume_ml, rel=0.4)
    long, short = cell(opened, "L1", "Long × short ⌀ mm").split(" × ")
    assert Decimal(long) > 15
    assert Decimal(short) == units.mm(lesion.short_axis_mm)
    assert cell(opened, "L1", "Sure %") == f"{100 * lesion.certainty:.0f}"
    assert cell(opened, "L1", "Dose mL") == "–"
    assert window.scene.lesion_id == "L1"
    pixels = shown(window.slices[AXIAL])
    place = window.slices[AXIAL].place_of(truth("L6"))
    ys, xs = np.nonzero(near_colour(pixels, theme.LESION_COLOURS[0]))
    assert len(xs) > 30
    assert np.median(xs) == pytest.approx(place.x(), abs=25)
    assert np.median(ys) == pytest.approx(place.y(), abs=25)


def test_a_click_in_air_gives_no_lesion_but_a_reason(opened, phantom):
    grid = phantom.grid
    opened.lesion(tuple(float(v) for v in grid.to_lps((3, 3, 20))))
    assert opened.window.case.state.lesions == ()
    assert opened.window.notice.isVisible()
    assert "there is no lesion" in opened.window.notice.label.text()
    assert opened.window.findings.count() >= 1


def test_a_line_is_a_diameter(opened, truth):
    window = opened.window
    x, y, z = truth("L5")
    window.scene.set_crosshair((x, y, z))
    view = window.slices[AXIAL]
    opened.key(Qt.Key.Key_L)
    assert window.scene.tool is Tool.LINE
    opened.drag(view.place_of((x - 14, y, z)), view.place_of((x + 14, y, z)), AXIAL)
    opened.wait()
    (prompt,) = window.case.state.request.prompts
    (line,) = prompt.gestures
    assert line.length_mm == pytest.approx(28, abs=2.0)
    assert len(window.case.state.lesions) == 1


def test_corrections_add_to_the_selected_lesion(opened, truth):
    x, y, z = truth("L5")
    opened.lesion((x, y, z))
    before = opened.window.case.state.lesions[0].volume_ml
    opened.key(Qt.Key.Key_O)
    opened.click((x + 8, y, z))
    opened.wait()
    opened.key(Qt.Key.Key_I)
    opened.click((x - 4, y, z))
    opened.wait()
    state = opened.window.case.state
    assert [one.lesion_id for one in state.lesions] == ["L1"]
    assert [gesture.inside for gesture in state.request.prompts[0].gestures] == [True, False, True]
    assert state.lesions[0].volume_ml != before


def test_undo_and_redo_walk_the_lesions(opened, truth):
    window = opened.window
    opened.lesion(truth("L5"))
    volume = window.case.state.lesions[0].volume_ml
    opened.key(Qt.Key.Key_Z, CONTROL)
    assert window.table.rowCount() == 0
    assert window.case.state.lesions == ()
    opened.key(Qt.Key.Key_Z, CONTROL, SHIFT)
    assert window.case.state.lesions[0].volume_ml == volume
    assert window.table.rowCount() == 1
    opened.window.scene.select("L1")
    opened.key(Qt.Key.Key_Delete)
    assert window.table.rowCount() == 0
    opened.key(Qt.Key.Key_Z, CONTROL)
    assert window.table.rowCount() == 1


# Doses --------------------------------------------------------------------------------------


@pytest.fixture
def two_lesions(opened, truth):
    """Two lesions clicked."""
    opened.lesion(truth("L5"))
    opened.lesion(truth("L6"))
    assert [one.lesion_id for one in opened.window.case.state.lesions] == ["L1", "L2"]
    return opened


def doses_shown(hand) -> list[str]:
    return [cell(hand, one, column) for one in ("L1", "L2") for column in ("Dose mL", "Dose mg")]


def test_weight_in_doses_out(two_lesions):
    """70.5 kg × 0.3 mg/kg = 21.15 mg; at 5 mg/mL 4.23 mL."""
    two_lesions.weigh("70.5")
    text = two_lesions.window.dose.totals.text()
    assert "prescribed 21.15 mg = 4.23 mL" in text
    assert "Into lesions: 21.15 mg = 4.23 mL" in text
    ml1, mg1, ml2, mg2 = (Decimal(value) for value in doses_shown(two_lesions))
    assert ml1 + ml2 == Decimal("4.23")
    assert mg1 + mg2 == Decimal("21.15")
    assert (mg1, mg2) == (5 * ml1, 5 * ml2)
    assert min(ml1, ml2) > 0


#: What is typed, and a word of the reason for which it is refused.
DOUBTFUL = {
    "70,5": "comma",
    "7e1": "not a plain decimal",
    "-70": "not above zero",
    "700": "300",
    "7": "20",
    "": "missing",
}


def test_a_doubtful_weight_is_refused_with_its_reason(two_lesions):
    window = two_lesions.window
    for typed, reason in DOUBTFUL.items():
        two_lesions.weigh("70.5")
        assert "–" not in doses_shown(two_lesions)
        window.dose.weight.clear()
        window.notice.hide()
        two_lesions.weigh(typed)
        told = window.notice.label.text() if window.notice.isVisible() else ""
        assert reason in window.dose.refusal.text() + told, typed
        assert window.case.state.allocation is None
        assert doses_shown(two_lesions) == ["–"] * 4
        assert not window.path_panel.button.isEnabled()


def test_a_stale_dose_is_never_shown(two_lesions, truth):
    window = two_lesions.window
    field = window.dose.weight

    def give() -> None:
        two_lesions.weigh("70.5")
        assert "–" not in doses_shown(two_lesions)

    def gone() -> bool:
        return doses_shown(two_lesions) == ["–"] * 4 and "21.15" not in window.dose.totals.text()

    give()
    two_lesions.qtbot.keyClick(field, Qt.Key.Key_Backspace)  # one keystroke is enough
    assert field.text() == "70."
    assert gone()
    assert window.case.state.request.weight_kg is None
    give()
    window.dose.increment.setCurrentIndex(4)
    window.dose.increment.activated.emit(4)
    assert gone()
    give()
    two_lesions.lesion(truth("L4"))
    assert gone()
    give()
    window.case.exclude("L2", "refused by the patient")
    assert gone()


def test_undo_brings_the_number_back_into_the_field(two_lesions):
    window = two_lesions.window
    two_lesions.weigh("70.5")
    two_lesions.qtbot.keyClick(window.dose.weight, Qt.Key.Key_Backspace)
    window.actions_.undo.trigger()
    assert window.dose.weight.text() == "70.5"
    assert "prescribed 21.15 mg" in window.dose.totals.text()


def test_an_excluded_lesion_gets_nothing(two_lesions):
    two_lesions.window.case.exclude("L2", "refused by the patient")
    two_lesions.weigh("70")
    assert cell(two_lesions, "L2", "Dose mL") == "excluded"
    assert cell(two_lesions, "L1", "Dose mg") == "21"


# Paths and the plan -------------------------------------------------------------------------


def test_paths_are_drawn_chosen_and_saved(two_lesions, tmp_path):
    window = two_lesions.window
    two_lesions.weigh("70.5")
    window.path_panel.button.click()
    two_lesions.wait()
    paths = window.case.paths
    assert paths is not None
    assert {one for needle in paths.needles for one in needle.lesion_ids} == {"L1", "L2"}
    assert window.unknown.isVisible()
    assert "unknown" in window.unknown.text()
    needle = paths.needles[0]
    window.show_needle(needle.needle_id)
    window.scene.show_crosshair = False
    assert window.scene.crosshair_lps_mm == pytest.approx(needle.tip_lps_mm, abs=1e-6)
    for view in window.slices.values():
        place = view.place_of(needle.tip_lps_mm)
        x, y = int(place.x()), int(place.y())
        around = shown(view)[y - 3 : y + 4, x - 3 : x + 4]
        assert near_colour(around, theme.NEEDLE).sum() >= 5, view.name
    assert near_colour(shown(window.view3d), theme.NEEDLE, 60).sum() > 20

    lesion_id = needle.lesion_ids[0]
    other = next((one for one in paths.alternatives if one.lesion_ids == needle.lesion_ids), None)
    assert other is not None
    window.path_panel.table.selectRow(window.path_panel._ids.index(other.needle_id))
    window.path_panel.use.click()
    assert other.needle_id in {one.needle_id for one in window.case.paths.of_lesion(lesion_id)}
    assert cell(two_lesions, lesion_id, "Needle") == other.needle_id

    window.case.save(tmp_path / "plan")
    two_lesions.wait()
    plan = json.loads((tmp_path / "plan" / "plan.json").read_text(), parse_float=Decimal)
    assert plan["plan_id"] == window.case.plan.plan_id
    assert {one["needle_id"] for one in plan["needles"]} >= {other.needle_id}
    given = {one["lesion_id"]: one["ml"] for one in plan["allocation"]["drugs"][0]["lesions"]}
    assert {one: str(ml) for one, ml in given.items()} == {
        one: cell(two_lesions, one, "Dose mL") for one in ("L1", "L2")
    }
    assert (tmp_path / "plan" / "report.pdf").stat().st_size > 1000
    assert str(tmp_path / "plan") in window.statusBar().currentMessage()


def test_an_unknown_position_has_to_be_chosen(hand, phantom, tmp_path, truth):
    from irplan.volume_io import save_volume

    save_volume(phantom.volume(), tmp_path / "ct.nrrd")
    hand.open(tmp_path / "ct.nrrd")
    hand.lesion(truth("L5"))
    hand.weigh("70")
    panel = hand.window.path_panel
    assert "does not say how the patient lay" in panel.warning.text()
    assert not panel.button.isEnabled()
    assert "choose how the patient" in hand.window.next_step.text()
    panel.position.setCurrentIndex(1)
    panel.position.activated.emit(1)
    assert hand.window.case.state.request.patient_position == "supine"
    assert cell(hand, "L1", "Dose mg") == "–"  # a changed choice voids the dose
    hand.window.dose.button.click()
    assert panel.button.isEnabled()


def test_surfaces_show_the_lesion_in_its_colour(opened, truth):
    opened.lesion(truth("L5"))
    view = opened.window.view3d
    view.show_surface("skin", False)
    view.show_surface("bone", False)
    place = view.place_of(opened.window.case.state.lesions[0].centroid_lps_mm)
    colour = view.rendered().pixelColor(int(place.x()), int(place.y()))
    wanted = QColor(theme.LESION_COLOURS[0])
    assert colour.hue() == pytest.approx(wanted.hue(), abs=8)
    assert colour.value() > 60
    corner = view.rendered().pixelColor(view.width() - 2, view.height() // 2)
    assert max(corner.red(), corner.green(), corner.blue()) < 60
