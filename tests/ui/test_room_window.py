"""The cards for the room in the window: the plan's words, and pictures of the present plan."""

from __future__ import annotations

import numpy as np
import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QLabel

from irplan.export.report_cards import place_words
from ui.images import rgb_image
from ui.room_window import RoomWindow

pytestmark = pytest.mark.desktop


def pictures_of(room: RoomWindow) -> list[QLabel]:
    labels = room.pictures.findChildren(QLabel)
    return [one for one in labels if one.pixmap() is not None and not one.pixmap().isNull()]


def test_the_cards_of_the_plan_and_their_pictures(opened, truth):
    hand, window = opened, opened.window
    assert not window.path_panel.room.isEnabled()
    hand.lesion(truth("L4"))
    hand.weigh("70.5")
    hand.qtbot.mouseClick(window.path_panel.button, Qt.MouseButton.LeftButton)
    hand.wait()
    hand.qtbot.mouseClick(window.path_panel.room, Qt.MouseButton.LeftButton)
    room = window.path_panel.room_window
    hand.qtbot.waitUntil(lambda: not room.runner.busy and bool(pictures_of(room)), timeout=60_000)
    plan = window.case.plan.document()
    (card,) = [one for one in plan["cards"] if one["kind"] == "superficial"]
    assert room.cards.item(0).text() == f"{card['lesion_id']}, ultrasound"
    words = room.words.toPlainText()
    assert card["region"]["words"] in words
    assert place_words(card["skin"]) in words
    assert "NOT SEGMENTED – UNKNOWN, NOT SAFE" in words
    for one in card["passes"]:
        assert f"ipilimumab {one['ml']['ipilimumab']:.2f} mL" in words
    # Skin (where it can be rendered), two planes, the eye, four slices.
    assert len(pictures_of(room)) in (7, 8)
    # Doses that do not stand any more take the cards with them.
    window.dose.weight.setFocus()
    hand.weigh("80")
    hand.wait()
    assert room.cards.count() == 0
    assert "propose paths first" in room.words.toPlainText()
    hand.qtbot.waitUntil(lambda: not pictures_of(room), timeout=10_000)
    room.close()


def test_pixels_stay_what_they_are():
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    image = rgb_image(pixels)
    for row in range(5):
        for column in range(7):
            colour = image.pixelColor(column, row)
            assert [colour.red(), colour.green(), colour.blue()] == pixels[row, column].tolist()
