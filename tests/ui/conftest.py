"""The window on a small made-up patient: real files, real session, real mouse and keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PyQt6.QtCore import QPointF, Qt

from irplan.geometry import PointLps
from irplan.phantom import Phantom, PhantomSpec, build_phantom, write_dicom
from ui.app import application
from ui.main_window import MainWindow
from ui.planes import ViewName

#: The upper belly: two liver metastases, one in the skin of the belly, one under that of the back.
SPEC = PhantomSpec(
    columns=160, rows=160, slices=46, fov_mm=420, spacing_z_mm=4.0, centre_mm=(0, 8, -40), samples=1
)
MINUTE_MS = 60_000


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """The patient and everything that is true about them."""
    return build_phantom(SPEC)


@pytest.fixture(scope="session")
def scan_folder(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their CT as DICOM files."""
    folder = tmp_path_factory.mktemp("scan")
    write_dicom(phantom, folder, "none")
    return folder


@pytest.fixture
def window(qtbot) -> Iterator[MainWindow]:
    """A shown window without a scan."""
    application()
    made = MainWindow()
    qtbot.addWidget(made)
    made.show()
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow, timeout=MINUTE_MS)
    yield made
    made.runner.cancel()
    made.pictures.runner.cancel()
    qtbot.waitUntil(lambda: not made.runner.busy, timeout=MINUTE_MS)
    qtbot.waitUntil(lambda: not made.pictures.runner.busy, timeout=MINUTE_MS)


class Hand:
    """A person at the window."""

    def __init__(self, qtbot, window: MainWindow) -> None:
        self.qtbot, self.window = qtbot, window

    def wait(self) -> None:
        """Until the work has ended."""
        self.qtbot.waitUntil(lambda: not self.window.runner.busy, timeout=2 * MINUTE_MS)
        self.qtbot.wait(20)

    def open(self, path: Path) -> None:
        """Open a path and wait for the pictures too."""
        self.window.open_path(path)
        self.wait()
        self.qtbot.waitUntil(lambda: not self.window.pictures.runner.busy, timeout=MINUTE_MS)
        self.qtbot.wait(20)

    def key(self, key: Qt.Key, *modifiers: Qt.KeyboardModifier) -> None:
        """Press a key in the axial view."""
        pressed = Qt.KeyboardModifier.NoModifier
        for modifier in modifiers:
            pressed |= modifier
        self.qtbot.keyClick(self.window.slices[ViewName.AXIAL], key, pressed)

    def click(self, point: PointLps, view: ViewName = ViewName.AXIAL) -> None:
        """Go to a point's slice and press the left button on it."""
        self.window.scene.set_crosshair(point)
        slices = self.window.slices[view]
        place = slices.place_of(point).toPoint()
        self.qtbot.mouseClick(slices, Qt.MouseButton.LeftButton, pos=place)

    def drag(self, start: QPointF, end: QPointF, view: ViewName, button=Qt.MouseButton.LeftButton):
        """Draw from one place of a view to another."""
        slices = self.window.slices[view]
        self.qtbot.mousePress(slices, button, pos=start.toPoint())
        middle = (start + end) / 2
        for place in (middle, end):
            self.qtbot.mouseMove(slices, place.toPoint())
            self.qtbot.wait(10)
        self.qtbot.mouseRelease(slices, button, pos=end.toPoint())

    def lesion(self, point: PointLps) -> None:
        """Segment a lesion from a click with the click tool."""
        self.key(Qt.Key.Key_C)
        self.click(point)
        self.wait()

    def weigh(self, text: str) -> None:
        """Type a weight and press Return."""
        field = self.window.dose.weight
        field.setFocus()
        field.selectAll()
        self.qtbot.keyClicks(field, text)
        self.qtbot.keyClick(field, Qt.Key.Key_Return)


@pytest.fixture
def hand(qtbot, window: MainWindow) -> Hand:
    """A person at a window without a scan."""
    return Hand(qtbot, window)


@pytest.fixture
def opened(hand: Hand, scan_folder: Path) -> Hand:
    """A person at a window with the made-up patient."""
    hand.open(scan_folder)
    return hand


@pytest.fixture(scope="session")
def truth(phantom: Phantom) -> Callable[[str], PointLps]:
    """The centre of a true lesion, LPS mm."""
    return lambda lesion_id: phantom.lesion(lesion_id).centre_lps_mm
