"""Counts what a person does from an opened scan to the cards of two superficial lesions.

    python scripts/count_clicks.py [--show]

The window is driven on the phantom by real mouse and key events, through the same widgets a
person uses. Every press of a mouse button and every key is counted; the time is that of the
program, not of the person. Needs the extras ``desktop`` and ``test`` (and Xvfb without a screen).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from PyQt6.QtCore import QCoreApplication, Qt
from PyQt6.QtGui import QImage
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QWidget

from irplan.geometry import PointLps
from irplan.phantom import PhantomSpec, build_phantom, write_dicom
from ui.app import application
from ui.main_window import MainWindow
from ui.planes import ViewName

#: Seconds for one press of a button or a key with what leads to it (looking, moving the hand):
#: the keystroke-level model's pointing 1.1 s + press 0.2 s + mental preparation 1.35 s, for every
#: single event (Card, Moran and Newell 1980); generous for the digits of a weight.
SECONDS_AN_EVENT = 2.65
WEIGHT = "70.5"


class Person:
    """Two hands: everything they do is counted."""

    def __init__(self, window: MainWindow) -> None:
        self.window = window
        self.buttons = self.keys = self.turns = 0

    def wait(self) -> None:
        """Until the program is done with what it was told."""
        while True:
            QCoreApplication.processEvents()
            window = self.window
            room = window.path_panel.room_window
            busy = window.runner.busy or (room is not None and room.runner.busy)
            if not busy:
                break
            QTest.qWait(20)
        QTest.qWait(30)

    def click(self, widget: QWidget, place: object = None) -> None:
        """Press the left button on a widget."""
        self.buttons += 1
        if place is None:
            QTest.mouseClick(widget, Qt.MouseButton.LeftButton)
        else:
            QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=place)  # type: ignore[call-overload]
        self.wait()

    def key(self, widget: QWidget, key: Qt.Key) -> None:
        """Press a key."""
        self.keys += 1
        QTest.keyClick(widget, key)
        self.wait()

    def type(self, widget: QWidget, text: str) -> None:
        """Type a text, a key a letter."""
        self.keys += len(text)
        QTest.keyClicks(widget, text)

    def lesion(self, point: PointLps) -> None:
        """Turn to the slice of a lesion and click into it with the tool for clicks.

        A person turns the wheel, or holds the right button of the scroll bar; it is counted as one
        turn. Here the slice is shown directly.
        """
        self.turns += 1
        window = self.window
        window.scene.set_crosshair(point)
        view = window.slices[ViewName.AXIAL]
        self.key(view, Qt.Key.Key_C)
        self.click(view, view.place_of(point).toPoint())


def count(show: bool, picture: Path | None = None) -> dict[str, object]:
    """Drive the window and count; ``picture`` takes what the cards' window shows."""
    spec = PhantomSpec(
        columns=160, rows=160, slices=80, spacing_z_mm=4.0, centre_mm=(0.0, 8.0, -200.0)
    )
    phantom = build_phantom(spec)
    program = application()
    with tempfile.TemporaryDirectory() as folder:
        write_dicom(phantom, Path(folder), "none")
        window = MainWindow()
        window.show()
        window.activateWindow()
        QTest.qWaitForWindowActive(window, 20_000)
        person = Person(window)
        window.open_path(Path(folder))
        person.wait()
        started = time.perf_counter()
        for lesion_id in ("L2", "L3"):
            person.lesion(phantom.lesion(lesion_id).centre_lps_mm)
        weight = window.dose.weight
        person.click(weight)
        person.type(weight, WEIGHT)
        person.key(weight, Qt.Key.Key_Return)
        person.click(window.path_panel.button)
        person.click(window.path_panel.room)
        room = window.path_panel.room_window
        if room is None or room.cards.count() < 2:
            state, plan = window.case.state, window.case.plan
            names = [one.lesion_id for one in state.lesions]
            print(f"the cards of two lesions did not appear: lesions {names}, plan {plan}")
            sys.stdout.flush()
            os._exit(1)
        words = room.words.toPlainText()
        seconds = time.perf_counter() - started
        if show:
            print(words)
        if picture is not None:
            grabbed = room.grab().toImage().convertToFormat(QImage.Format.Format_Indexed8)
            grabbed.save(str(picture))
        cards = [room.cards.item(row).text() for row in range(room.cards.count())]
        told = {
            "cards": cards,
            "mouse_presses": person.buttons,
            "keys": person.keys,
            "turns_to_a_slice": person.turns,
            "program_seconds": round(seconds, 1),
        }
        events = person.buttons + person.keys + person.turns
        told["person_seconds_by_keystroke_model"] = round(events * SECONDS_AN_EVENT)
        program.processEvents()
        room.close()
        window.close()
        while window.pictures.runner.busy:
            window.pictures.runner.cancel()
            QTest.qWait(50)
        return told


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--show", action="store_true", help="print the first card's words")
    parser.add_argument("--picture", type=Path, help="PNG of the cards' window")
    arguments = parser.parse_args()
    print(json.dumps(count(arguments.show, arguments.picture), indent=1, ensure_ascii=False))
    sys.stdout.flush()
    # Qt and VTK are taken down by the operating system: nothing is left to be written.
    os._exit(0)


if __name__ == "__main__":
    main()
