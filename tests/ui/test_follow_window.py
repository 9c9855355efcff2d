"""The follow-up in a real window: an earlier plan, the proposals, a person's word on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PyQt6.QtCore import QPointF, Qt
from PyQt6.QtWidgets import QFileDialog, QInputDialog, QLabel, QLineEdit
from pytestqt.qtbot import QtBot

from irplan.followup import read_decisions
from irplan.jsonio import loads
from irplan.phantom import PhantomSpec, build_phantom, write_dicom
from irplan.phantom.motion import VISITS
from irplan.volume_io import save_label_map
from ui.app import application
from ui.follow_rows import FOLLOW_COLUMNS, NEW_ID, REASON, STATUS_WORDS
from ui.follow_table import DRAWN, NOT_SAID
from ui.follow_window import FollowWindow
from ui.main_window import MainWindow
from ui.planes import ViewName

from conftest import Hand  # isort: skip

# Two scans are laid over each other: a minute on two busy cores.
pytestmark = [pytest.mark.desktop, pytest.mark.long]

LEFT = Qt.MouseButton.LeftButton
#: The belly: L3 stays and shrinks, L4 goes between the visits, L8 comes.
SPEC = PhantomSpec(
    columns=128, rows=112, slices=62, fov_mm=410.0, spacing_z_mm=4.0, centre_mm=(0.0, 8.0, -110.0)
)


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CT of both visits, masks of two lesions of the first, and the table that names them."""
    folder = tmp_path_factory.mktemp("visits")
    first = build_phantom(SPEC)
    write_dicom(first, folder / "visit1")
    write_dicom(build_phantom(replace(SPEC, timepoint=2)), folder / "visit2")
    kept = np.where(np.isin(first.lesion_labels, (3, 4)), first.lesion_labels, 0)
    save_label_map(kept.astype(np.uint8), first.grid, folder / "mask1.nrrd")
    (folder / "ids.csv").write_text("source_label,lesion_id\n3,L3\n4,L4\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def followed(
    request: pytest.FixtureRequest, qapp: object, visits: Path
) -> Iterator[tuple[Hand, FollowWindow]]:
    """A window on the newer CT, and the follow-up from the earlier plan beside it."""
    application()
    window = MainWindow()
    window.show()
    window.activateWindow()
    hand = Hand(QtBot(request), window)
    hand.qtbot.waitUntil(window.isActiveWindow, timeout=20_000)
    assert not window.edit_bar.follow_up.isEnabled()
    hand.open(visits / "visit2")
    window.edit_bar.follow_up.trigger()
    follow = window.asking.follow_window
    assert follow.isVisible()
    assert not follow.follow.isEnabled()
    chosen = iter((str(visits / "mask1.nrrd"), str(visits / "ids.csv")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(visits / "visit1"))
        patch.setattr(QFileDialog, "getOpenFileName", lambda *_: (next(chosen), ""))
        hand.qtbot.mouseClick(follow.source.scan, LEFT)
    # Cancelled at its next step: nothing is shown, and it can be begun again.
    hand.qtbot.mouseClick(follow.follow, LEFT)
    assert follow.progress.isVisible()
    hand.qtbot.mouseClick(follow.progress.cancel, LEFT)
    hand.qtbot.waitUntil(lambda: not follow.runner.busy, timeout=60_000)
    assert "cancelled" in follow.notice.label.text()
    assert follow.table.rowCount() == 0
    hand.qtbot.mouseClick(follow.follow, LEFT)
    hand.qtbot.waitUntil(lambda: not follow.runner.busy, timeout=120_000)
    yield hand, follow
    window.close()


def cell(follow: FollowWindow, row: int, column: str) -> str:
    return follow.table.item(row, FOLLOW_COLUMNS.index(column)).text()


def row_of(follow: FollowWindow, lesion_id: str) -> int:
    rows = range(follow.table.rowCount())
    return next(
        row for row in rows if lesion_id in (cell(follow, row, "Before"), cell(follow, row, "Now"))
    )


def say(hand: Hand, follow: FollowWindow, row: int, status: str) -> None:
    """Choose in a row's list with the keyboard, as a person does."""
    box = follow.table.said(row)
    box.setFocus()
    box.setCurrentIndex(box.findData(status) if status else 0)
    box.activated.emit(box.currentIndex())


def write(hand: Hand, follow: FollowWindow, row: int, column: int, text: str) -> None:
    field = follow.table.cellWidget(row, column)
    assert isinstance(field, QLineEdit)
    field.setFocus()
    field.clear()
    hand.qtbot.keyClicks(field, text)
    hand.qtbot.keyClick(field, Qt.Key.Key_Return)


def test_the_table_tells_what_became_of_each_lesion(followed, visits) -> None:
    _, follow = followed
    proposed = {
        (cell(follow, row, "Before"), cell(follow, row, "Now")): cell(follow, row, "Proposed")
        for row in range(follow.table.rowCount())
    }
    assert proposed == {
        ("L3", "L3"): "same lesion",
        ("L4", "–"): "gone",
        ("–", "NEW1"): "new lesion",
    }
    # The made-up patient's truth: L3 has 1.5 mL before and 0.9 mL now, the new one 1.2 mL.
    before, now = cell(follow, row_of(follow, "L3"), "Volume mL").split("  (")[0].split(" → ")
    assert float(before) == pytest.approx(1.5, rel=0.12)
    assert float(now) == pytest.approx(0.9, rel=0.12)
    share = 100 * (float(now) / float(before) - 1)
    assert f"(−{abs(share):.0f} %)" in cell(follow, row_of(follow, "L3"), "Volume mL")
    fresh = cell(follow, row_of(follow, "NEW1"), "Volume mL")
    assert fresh.startswith("– → ")
    assert float(fresh.split(" → ")[1]) == pytest.approx(1.2, rel=0.15)
    assert all(
        follow.table.said(row).currentText() == NOT_SAID for row in range(follow.table.rowCount())
    )


def test_both_scans_are_shown_side_by_side(followed) -> None:
    hand, follow = followed
    for name in ("L3", "L4", "NEW1"):
        follow.table.selectRow(row_of(follow, name))
        hand.qtbot.wait(20)
        shown = [
            one
            for one in follow.pictures.findChildren(QLabel)
            if one.isVisibleTo(follow.pictures) and not one.pixmap().isNull()
        ]
        assert [one.accessibleName().split(" (")[0] for one in shown] == [
            f"{name}. Before", f"{name}. Now",
        ]  # fmt: skip
        images = [one.pixmap().toImage() for one in shown]
        assert images[0] != images[1]
        assert images[0].size() == images[1].size()


def test_a_carried_lesion_is_corrected_on_the_scan_before_it_is_confirmed(followed) -> None:
    hand, follow = followed
    window, row = hand.window, row_of(follow, "L3")
    proposed = cell(follow, row, "Volume mL")
    follow.table.selectRow(row)
    assert follow.correct.text() == "Correct on the scan"
    hand.qtbot.mouseClick(follow.correct, LEFT)
    hand.wait()
    assert not follow.isVisible()
    assert window.scene.lesion_id == "L3"
    assert "follow-up" in window.next_step.text()
    lesion = window.scene.lesion("L3")
    # As it is proposed: nothing is said by that.
    assert follow.table.said(row).currentText() == NOT_SAID
    assert cell(follow, row, "Volume mL") == proposed
    # A gesture of every kind corrects it: here a click outside, at one end of it.
    start, end = lesion.longest_diameter_ends_lps_mm
    hand.key(Qt.Key.Key_O)
    hand.click(tuple(0.85 * a + 0.15 * b for a, b in zip(start, end, strict=True)))
    hand.wait()
    assert window.scene.lesion("L3").volume_ml < lesion.volume_ml
    assert follow.table.said(row).currentText() == DRAWN
    assert cell(follow, row, "Volume mL") != proposed
    hand.key(Qt.Key.Key_B)
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert follow.table.said(row).currentText() == NOT_SAID
    assert cell(follow, row, "Volume mL") == proposed


def test_a_lesion_that_was_not_found_is_drawn_on_the_scan(followed, visits) -> None:
    hand, follow = followed
    window = hand.window
    window.edit_bar.follow_up.trigger()
    row = row_of(follow, "L4")
    follow.table.selectRow(row)
    assert follow.correct.text() == "Draw on the scan"
    hand.qtbot.mouseClick(follow.correct, LEFT)
    assert not follow.isVisible()
    assert "L4" in window.next_step.text()
    # It was followed to where the made-up patient's motion takes it.
    there = np.asarray(build_phantom(SPEC).lesion("L4").centre_lps_mm)
    truth = VISITS[2].from_reference(there)
    assert np.linalg.norm(np.subtract(window.scene.crosshair_lps_mm, truth)) < 6.0
    view = window.slices[ViewName.AXIAL]
    place = view.place_of(window.scene.crosshair_lps_mm)
    hand.key(Qt.Key.Key_P)
    hand.drag(place, QPointF(place.x() + 8, place.y()), ViewName.AXIAL)
    assert window.scene.lesion_id == "L4"
    assert window.case.new_lesion_id() == "L1"  # no id of the earlier visit
    assert follow.table.said(row).currentText() == DRAWN
    assert cell(follow, row, "Now") == "L4"
    hand.key(Qt.Key.Key_B)
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert (cell(follow, row, "Now"), follow.table.said(row).currentText()) == ("–", NOT_SAID)
    # Who goes back without drawing has not begun that lesion: the next one gets an id of its own.
    window.case.expect("L4")
    window.edit_bar.follow_up.trigger()
    assert follow.isVisible()
    assert window.case.new_lesion_id() == "L1"


def test_a_word_of_a_person_counts_and_is_written_as_the_command_line_reads_it(
    followed, visits, tmp_path, monkeypatch
) -> None:
    hand, follow = followed
    gone, new, same = (row_of(follow, name) for name in ("L4", "NEW1", "L3"))
    assert not follow.take.isEnabled()
    assert "L4" in follow.take.toolTip()
    say(hand, follow, gone, "gone")
    write(hand, follow, gone, REASON, "excised on 2 March")
    say(hand, follow, new, "new")
    # An id that another lesion has is refused, and nothing stands meanwhile.
    write(hand, follow, new, NEW_ID, "L3")
    assert "L3 belongs to another lesion" in follow.notice.label.text()
    assert not follow.write.isEnabled()
    write(hand, follow, new, NEW_ID, "L8")
    assert cell(follow, new, "Now") == "L8"
    assert not follow.notice.isVisible()
    assert follow.table.said(same).currentText() == NOT_SAID
    hand.qtbot.mouseClick(follow.confirm_all, LEFT)
    assert follow.table.said(same).currentText() == STATUS_WORDS["same"]
    assert follow.table.said(gone).currentData() == "gone"

    follow.write_to(tmp_path)
    hand.qtbot.waitUntil(lambda: not follow.runner.busy, timeout=60_000)
    said = read_decisions(tmp_path / "decisions.csv")
    assert [(one.old_ids, one.new_ids, one.status, one.lesion_id, one.reason) for one in said] == [
        (("L3",), ("L3",), "same", "", ""),
        (("L4",), (), "gone", "", "excised on 2 March"),
        ((), ("NEW1",), "new", "L8", ""),
    ]
    document = loads((tmp_path / "follow.json").read_bytes())
    matches = [(one["old_ids"], one["new_ids"], one["status"]) for one in document["matches"]]
    assert matches == [(["L3"], ["L3"], "same"), (["L4"], [], "gone"), ([], ["L8"], "new")]
    assert all(one["confirmed"] for one in document["matches"])
    masks = load_labels(tmp_path / "lesions.nii.gz")
    assert set(np.unique(masks)) == {0, 1, 2}
    # A stop that is left may be lifted with a reason; here none is left.
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("the same patient", True))
    for finding in follow._now.open_stops:
        follow.findings.asked.emit(finding.code)
    assert follow.take.isEnabled(), [one.code for one in follow._now.open_stops]


def load_labels(path: Path) -> np.ndarray:
    import SimpleITK as sitk  # noqa: N813

    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_the_lesions_are_taken_over_with_their_ids(followed) -> None:
    hand, follow = followed
    window = hand.window
    assert follow.take.isEnabled()
    hand.qtbot.mouseClick(follow.take, LEFT)
    hand.wait()
    assert not follow.isVisible()
    lesions = {one.lesion_id: one for one in window.case.state.lesions}
    assert set(lesions) == {"L3", "L8"}
    for name, lesion in lesions.items():
        told = next(one for one in follow._now.lesions if one.lesion_id == name)
        assert lesion.volume_ml == told.volume_ml
        assert np.array_equal(lesion.mask.to_full(), told.mask.to_full())
    assert window.case.can_undo
    # What the follow-up warned of is shown beside the lesions, and goes into the plan.
    told = {one.code for one in window.case.findings}
    raised = {one.code for one in follow._now.findings}
    assert raised
    assert raised <= told
    assert {one.code for one in window.case.state.request.followed} == raised
    # They are ordinary lesions: a further gesture corrects one.
    before = lesions["L8"]
    start, end = before.longest_diameter_ends_lps_mm
    hand.window.activateWindow()
    window.show_lesion("L8")
    hand.key(Qt.Key.Key_O)
    hand.click(tuple(0.85 * a + 0.15 * b for a, b in zip(start, end, strict=True)))
    hand.wait()
    assert window.scene.lesion("L8").volume_ml < before.volume_ml


def test_another_scan_takes_the_follow_up_with_it(followed, visits) -> None:
    hand, follow = followed
    hand.open(visits / "visit1")
    assert follow.table.rowCount() == 0
    assert not follow.take.isEnabled()
