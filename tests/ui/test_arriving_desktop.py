"""A scan is looked at while it is read, and nothing else is done with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PyQt6.QtCore import Qt

from irplan.phantom import PhantomSpec, build_phantom, write_dicom
from ui.planes import ViewName
from ui.scene import Tool

from test_desktop import pixels_of, shown  # isort: skip

pytestmark = pytest.mark.desktop

AXIAL, CORONAL = ViewName.AXIAL, ViewName.CORONAL
CONTROL = Qt.KeyboardModifier.ControlModifier


class Pause:
    """The real reader, held after so many slices until it may go on."""

    def __init__(self, window, after: int) -> None:
        self._arriving, self._after = window.case.arriving, after
        self._arrived = window.case.arriving.arrived
        self._begin = window.case.arriving.begin
        self._go = threading.Event()
        self._seen = 0
        window.case.arriving.arrived = self.arrived
        window.case.arriving.begin = self.begin

    def begin(self, hu, grid) -> None:
        """Called on the reader's thread, before any pixel is read."""
        self._begin(hu, grid)
        if not self._after:
            self._go.wait(60)

    def arrived(self, index: int) -> None:
        """Called on the reader's thread."""
        self._arrived(index)
        self._seen += 1
        if self._seen == self._after:
            self._go.wait(60)

    def release(self) -> None:
        """Let it read on."""
        self._go.set()


@pytest.fixture
def paused(window) -> Iterator[Pause]:
    """The reader of this window stops after its first slice."""
    made = Pause(window, 1)
    yield made
    made.release()


def test_the_first_slice_is_shown_before_the_others_are_read(
    hand, paused, phantom, scan_folder: Path
):
    window = hand.window
    window.open_path(scan_folder)
    hand.qtbot.waitUntil(lambda: window.scene.arrived == 1, timeout=60_000)
    middle = 46 // 2
    axial, coronal = window.slices[AXIAL], window.slices[CORONAL]
    assert axial.slice_number == middle
    grey = pixels_of(axial.slice_image())[..., 0].astype(float)
    exact = np.clip((axial.plane.pixels(phantom.hu, middle) + 160.0) / 400, 0, 1) * 255
    assert np.abs(grey - exact).max() <= 0.5 + 1e-9
    rows = pixels_of(coronal.slice_image())[..., 0].max(axis=1)
    assert np.count_nonzero(rows) == 1
    assert shown(axial).max() > 200
    # Nothing can be planned, and no case stands.
    assert not window.case.is_open
    assert not any(action.isEnabled() for action in window.actions_.tools.values())
    assert not window.panel.isEnabled()
    assert window.progress.isVisible()
    for key in (Qt.Key.Key_C, Qt.Key.Key_P):
        hand.key(key)
        hand.click((0.0, 0.0, -40.0))
    assert window.scene.tool is Tool.BROWSE
    assert window.case.state.lesions == ()
    assert "being read" in axial.readout((0.0, 0.0, -40.0))
    window.scene.set_crosshair(phantom.grid.to_lps((80.0, 80.0, float(middle))))
    hand.key(Qt.Key.Key_PageUp)
    assert axial.slice_number == middle + 1
    assert pixels_of(axial.slice_image()).max() == 0  # this one has not come yet
    paused.release()
    hand.wait()
    assert window.case.is_open
    assert window.scene.there is None
    assert axial.slice_number == middle + 1  # it stays where the person turned to
    assert pixels_of(axial.slice_image()).max() > 200
    assert np.array_equal(window.case.volume.hu, phantom.hu)
    assert window.actions_.tools[Tool.CLICK].isEnabled()
    assert "Phantom" in window.patient.text()


def test_a_reading_that_is_cancelled_gives_the_case_before_back(opened, truth, tmp_path):
    window = opened.window
    opened.lesion(truth("L5"))
    before, text = window.case.volume, window.patient.text()
    spec = PhantomSpec(
        columns=48, rows=48, slices=12, spacing_z_mm=5.0, samples=1, centre_mm=(0, 8, 0)
    )
    write_dicom(build_phantom(spec), tmp_path, "none")
    pause = Pause(window, 2)
    window.open_path(tmp_path)
    opened.qtbot.waitUntil(lambda: window.scene.there is not None, timeout=60_000)
    assert window.scene.volume.geometry.size == (48, 48, 12)
    assert window.scene.lesions == ()
    assert window.table.rowCount() == 0  # nothing of the one stands beside the other
    assert not window.dose.isVisible()
    window.progress.cancel.click()
    pause.release()
    opened.wait()
    assert window.scene.there is None
    assert window.scene.volume is before
    assert window.patient.text() == text
    assert window.table.rowCount() == 1
    assert window.dose.isVisible()
    assert [one.lesion_id for one in window.scene.lesions] == ["L1"]
    opened.qtbot.waitUntil(lambda: not window.pictures.runner.busy, timeout=60_000)
    assert shown(window.view3d).std() > 5


def test_a_file_that_breaks_off_takes_its_slices_off_the_screen(hand, tmp_path):
    spec = PhantomSpec(
        columns=48, rows=48, slices=12, spacing_z_mm=5.0, samples=1, centre_mm=(0, 8, 0)
    )
    write_dicom(build_phantom(spec), tmp_path, "none")
    window = hand.window
    pause = Pause(window, 0)
    window.open_path(tmp_path)
    hand.qtbot.waitUntil(lambda: window.scene.there is not None, timeout=60_000)
    for path in sorted(tmp_path.glob("*.dcm"))[-2:]:
        path.write_bytes(path.read_bytes()[:-2000])  # cut off between the gate and the reading
    pause.release()
    hand.wait()
    assert not window.case.is_open
    assert window.notice.isVisible()
    assert window.scene.volume is None
    assert window.patient.text() == "No scan is open"
