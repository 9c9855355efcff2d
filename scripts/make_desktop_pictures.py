"""Makes the pictures of the desktop in docs/pictures, from the sample patient.

    xvfb-run -s "-screen 0 1600x1000x24" python scripts/make_desktop_pictures.py [--out FOLDER]

The window is the real one, driven through its own verbs; a picture is what its widgets paint.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from PyQt6.QtCore import QCoreApplication, Qt
from PyQt6.QtGui import QImage
from PyQt6.QtTest import QTest

from irplan.geometry import PointLps
from irplan.lesions.gestures import Box, Click, Scribble, read_clicks
from irplan.lesions.lesion import Lesion
from ui import theme
from ui.app import application
from ui.main_window import MainWindow
from ui.planes import ViewName
from ui.scene import Tool
from ui.windowing import PRESETS

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "sample_dicom"
MOST_BYTES = 150_000
#: Colours that a picture keeps exactly: they are what a mark is known by.
MARKS = (
    *theme.LESION_COLOURS,
    *theme.SEVERITY_COLOUR.values(),
    theme.NEEDLE,
    theme.BIOPSY,
    theme.NO_GO,
    theme.GOOD,
    theme.ACCENT,
)
AXIAL, CORONAL = ViewName.AXIAL, ViewName.CORONAL
LEFT = Qt.MouseButton.LeftButton


def fewer_colours(image: Image.Image, count: int) -> Image.Image:
    """The image in so many colours: those of the marks themselves, then of what is coloured, then
    of what is grey, half of all for these."""
    pixels = np.asarray(image).reshape(-1, 3)
    spread = pixels.max(axis=1).astype(int) - pixels.min(axis=1)
    entries = [int(name[at : at + 2], 16) for name in MARKS for at in (1, 3, 5)]
    rest = count // 2 - len(MARKS)
    for part, room in ((pixels[spread > 60], rest), (pixels[spread <= 60], count // 2)):
        row = Image.fromarray(part[None]).quantize(room, kmeans=2)
        entries += (row.getpalette() or [])[: 3 * room]
    palette = Image.new("P", (1, 1))
    palette.putpalette(entries)
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


class Photographer:
    """A window on the sample patient, and its pictures."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.window = MainWindow()
        self.window.show()
        self.window.activateWindow()
        QTest.qWaitForWindowActive(self.window, 20_000)

    def wait(self) -> None:
        """Until nothing runs any more."""
        window = self.window
        while window.runner.busy or window.pictures.runner.busy:
            QCoreApplication.processEvents()
            QTest.qWait(20)
        QTest.qWait(60)

    def take(self, name: str) -> None:
        """Save what the window paints; the follow-up's where that is shown."""
        QTest.qWait(100)
        follow = self.window.asking.follow_window
        shown = self.window if follow is None or not follow.isVisible() else follow
        image = shown.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
        bits = image.constBits()
        assert bits is not None
        bits.setsize(image.sizeInBytes())
        rows = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine())
        pixels = rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)
        made, path = Image.fromarray(pixels.copy()), self.out / f"{name}.png"
        for width, colours in ((1500, 256), (1280, 256), (1280, 160), (1200, 128)):
            height = round(made.height * width / made.width)
            small = made if width == made.width else made.resize((width, height))
            fewer_colours(small, colours).save(path, optimize=True)
            if path.stat().st_size <= MOST_BYTES:
                break
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB, {width} wide, {colours} colours")

    def lesion(self, lesion_id: str) -> Lesion:
        """A lesion of the case."""
        found = self.window.scene.lesion(lesion_id)
        assert found is not None
        return found

    def draw(self, view: ViewName, points: list[PointLps], tool: Tool) -> None:
        """Draw with a tool in a view."""
        self.window.scene.set_tool(tool)
        slices = self.window.slices[view]
        places = [slices.place_of(point).toPoint() for point in points]
        QTest.mousePress(slices, LEFT, pos=places[0])
        for place in places[1:]:
            QTest.mouseMove(slices, place)
            QTest.qWait(10)
        QTest.mouseRelease(slices, LEFT, pos=places[-1])
        self.wait()
        self.window.scene.set_tool(Tool.BROWSE)


def planned(camera: Photographer) -> None:
    """The sample patient with lesions, doses and paths; a biopsy of the first lesion is due."""
    window = camera.window
    window.open_path(SAMPLE / "visit1")
    camera.wait()
    for prompt in read_clicks(SAMPLE / "clicks1.csv"):
        window.case.session.add_lesions((prompt,))
    window.case.read_again()
    first = window.case.state.lesions[0].lesion_id
    window.case.toggle_biopsy(first)
    window.dose.weight.setText("70.5")
    window.dose.split()
    window.case.propose()
    camera.wait()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--follow-up", action="store_true", help="that picture only")
    arguments = parser.parse_args()
    program = application()
    camera = Photographer(arguments.out)
    window = camera.window
    followed: tuple[tuple[str, Callable[[], None]], ...] = (
        ("desktop-follow-up", lambda: _follow_up(camera)),
    )
    if not arguments.follow_up:
        planned(camera)
    steps: tuple[tuple[str, Callable[[], None]], ...] = (
        ("desktop", lambda: _whole(camera)),
        ("desktop-enlarged", lambda: _enlarged(camera)),
        ("desktop-skin-map", lambda: _skin_map(camera)),
        ("desktop-editing", lambda: _editing(camera)),
    )
    for name, prepare in followed if arguments.follow_up else (*steps, *followed):
        prepare()
        camera.take(name)
    window.close()
    program.processEvents()
    sys.stdout.flush()
    # Qt and VTK are taken down by the operating system: nothing is left to be written.
    os._exit(0)


def _whole(camera: Photographer) -> None:
    window, paths = camera.window, camera.window.case.paths
    assert paths is not None
    window.show_needle(paths.needles[0].needle_id)


def _enlarged(camera: Photographer) -> None:
    window = camera.window
    lungs = [one for one in window.scene.lesions if one.kind and one.kind.value == "lung"]
    window.show_lesion((*lungs, window.scene.lesions[0])[0].lesion_id)
    window.scene.set_window(PRESETS[1])
    window.views.enlarge(window.slices[AXIAL])
    QTest.qWait(100)
    window.slices[AXIAL].fit()


def _skin_map(camera: Photographer) -> None:
    window = camera.window
    window.views.enlarge(window.slices[AXIAL])
    window.scene.set_window(PRESETS[0])
    window.toggle_skin_map()
    camera.wait()
    window.views.enlarge(window.view3d)
    QTest.qWait(200)
    layer = window.view3d.skin_map
    assert layer is not None
    best = int(np.nanargmin(layer.map.cost))
    x, y, z = layer.map.tips_lps_mm[best].tolist()
    window.view3d.come_near((x, y, z), 420.0, layer.point(best))
    closed = np.flatnonzero(~layer.map.open_points & (layer.map.reasons != "needle_length"))
    gaps = np.linalg.norm(layer.map.points_lps_mm[closed] - layer.map.points_lps_mm[best], axis=1)
    there = int(closed[np.argmin(np.abs(gaps - 45.0))])
    window.skin_maps.explain(layer.map.lesion_id, layer.point(there))
    camera.wait()


def _editing(camera: Photographer) -> None:
    window = camera.window
    window.views.enlarge(window.view3d)
    window.toggle_skin_map()
    for lesion in window.case.state.lesions[2:]:
        window.case.remove(lesion.lesion_id)
    lesion = window.case.state.lesions[1]
    window.show_lesion(lesion.lesion_id)
    assert lesion.centroid_lps_mm is not None
    x, y, z = lesion.centroid_lps_mm
    reach = (lesion.longest_diameter_mm or 20.0) / 2 + 3.0
    for view in window.slices.values():
        view.come_near((x, y, z), 90.0)
    name = lesion.lesion_id
    box = Box((x - reach, y - reach, z), (x + reach, y + reach, z))
    window.case.add_gesture(name, box)
    camera.wait()
    line = Scribble(((x - 4.0, y - 3.0, z), (x, y - 5.0, z), (x + 4.0, y - 3.0, z)))
    window.case.add_gesture(name, line)
    camera.wait()
    window.case.add_gesture(name, Click((x + reach - 1.0, y + reach - 1.0, z), inside=False))
    camera.wait()
    camera.draw(AXIAL, [(x - 30.0, y + 14.0, z), (x - 24.0, y - 8.0, z)], Tool.NO_GO)
    window.scene.set_tool(Tool.BRUSH)
    view = window.slices[AXIAL]
    QTest.mouseMove(view, view.place_of((x + reach, y, z)).toPoint())


def _follow_up(camera: Photographer) -> None:
    """Both visits; one lesion is confirmed as gone, the new one has got its id."""
    window = camera.window
    window.open_path(SAMPLE / "visit2")
    camera.wait()
    window.asking.earlier_visit()
    follow = window.asking.follow_window
    assert follow is not None
    follow.source.set_scan(SAMPLE / "visit1", SAMPLE / "truth" / "visit1" / "lesions.nrrd")
    follow.start()
    while follow.runner.busy:
        QCoreApplication.processEvents()
        QTest.qWait(20)
    for number, row in enumerate(follow.table.rows):
        if row.possible[0] in ("gone", "new"):
            follow.table.say(number, row.possible[0])
    follow.table.selectRow(0)


if __name__ == "__main__":
    main()
