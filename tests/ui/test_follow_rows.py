"""What the table of a follow-up says, from frozen data; and how it takes a person's word."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from PyQt6.QtWidgets import QLineEdit

from irplan.followup import CarriedLesion, Decision, FollowUp, Match, MatchStatus
from irplan.followup.outcome import Proposal
from irplan.lesions.lesion import Lesion, LesionSource
from ui.follow_rows import FOLLOW_COLUMNS, NEW_ID, REASON, FollowRow, follow_rows
from ui.follow_table import DRAWN, NOT_SAID, FollowTable

NOTHING: Any = None


def lesion(name: str, ml: str, long_mm: float | None, short_mm: float | None = None) -> Lesion:
    return Lesion(
        name, 1, LesionSource.SEGMENTED, volume_ml=Decimal(ml), longest_diameter_mm=long_mm,
        short_axis_mm=short_mm,
    )  # fmt: skip


def carried(old: Lesion) -> CarriedLesion:
    return CarriedLesion(old, NOTHING, None, None, None, 100.0, None, True)


def follow(old: list[Lesion], new: list[Lesion], *proposals: Proposal) -> FollowUp:
    return FollowUp(NOTHING, tuple(carried(one) for one in old), (), tuple(new), (), proposals, ())


def proposal(old: str, new: str, status: MatchStatus, *, by_image: bool = False) -> Proposal:
    match = Match(tuple(old.split()), tuple(new.split()), status, by_image)
    return Proposal(match, status.value, False, "because")


def cell(row: FollowRow, column: str) -> str:
    return row.cells[FOLLOW_COLUMNS.index(column)]


SAME = proposal("L1", "L1", MatchStatus.SAME)
GONE = proposal("L2", "", MatchStatus.GONE)
NEW = proposal("", "NEW1", MatchStatus.NEW)
BEFORE = [lesion("L1", "4", 20.0, 12.0), lesion("L2", "1.5", 15.0, 9.0)]
NOW = [lesion("L1", "3", 18.5, 12.0), lesion("NEW1", "1.2", 14.0)]
PLAIN = follow(BEFORE, NOW, SAME, GONE, NEW)


def test_a_lesion_before_and_now_with_its_change() -> None:
    same, gone, new = follow_rows(PLAIN, PLAIN)
    assert cell(same, "Volume mL") == "4 → 3  (−25 %)"
    assert cell(same, "Longest ⌀ mm") == "20.0 → 18.5  (−8 %)"
    assert cell(same, "Short axis mm") == "12.0 → 12.0  (0 %)"
    assert [cell(gone, one) for one in ("Before", "Now", "Proposed", "Volume mL")] == [
        "L2", "–", "gone", "1.5 → –",
    ]  # fmt: skip
    assert [cell(new, one) for one in ("Before", "Now", "Proposed", "Volume mL")] == [
        "–", "NEW1", "new lesion", "– → 1.2",
    ]  # fmt: skip
    assert cell(new, "Short axis mm") == "–"
    assert [row.possible for row in (same, gone, new)] == [
        ("same", "gone"), ("gone", "same"), ("new", "no_lesion"),
    ]  # fmt: skip
    assert [row.is_new for row in (same, gone, new)] == [False, False, True]
    assert [row.now_ids for row in (same, gone, new)] == [("L1",), (), ("NEW1",)]


def test_parts_are_added_up_and_a_merger_stands_against_the_sum() -> None:
    split = proposal("L1", "L1-1 L1-2", MatchStatus.SPLIT, by_image=True)
    parts = [lesion("L1-1", "2", 12.0, 9.0), lesion("L1-2", "1.5", 10.0, 8.0)]
    (row,) = follow_rows(*2 * (follow(BEFORE[:1], parts, split),))
    assert cell(row, "Now") == "L1-1 + L1-2"
    assert cell(row, "Volume mL") == "4 → 3.5  (−12 %)"
    # RECIST 1.1 adds the longest diameters of the parts; the other axes have no sum.
    assert cell(row, "Longest ⌀ mm") == "20.0 → 22.0  (+10 %)"
    assert cell(row, "Short axis mm") == "12.0 → –"
    assert row.possible == ("split", "same")
    merged = proposal("L1 L2", "L1+L2", MatchStatus.MERGED, by_image=True)
    (row,) = follow_rows(*2 * (follow(BEFORE, [lesion("L1+L2", "11", 30.0)], merged),))
    assert [cell(row, one) for one in ("Before", "Now", "Proposed")] == [
        "L1 + L2", "L1+L2", "grown together",
    ]  # fmt: skip
    assert cell(row, "Volume mL") == "5.5 → 11  (+100 %)"


def test_what_a_person_draws_says_so_and_adds_a_row() -> None:
    drawn = Proposal(replace(GONE.match, new_ids=("L2",)), "same", True, "a person drew it", True)
    fresh = Proposal(Match((), ("L9",), MatchStatus.NEW), "new", True, "a person drew it", True)
    now = follow(BEFORE, [*NOW, lesion("L2", "1", 12.0), lesion("L9", "2", 13.0)],
                 SAME, drawn, NEW, fresh)  # fmt: skip
    rows = follow_rows(PLAIN, now)
    assert [row.drawn for row in rows] == [False, True, False, True]
    assert [row.key for row in rows[:3]] == [row.key for row in follow_rows(PLAIN, PLAIN)]
    assert cell(rows[1], "Now") == "L2"
    assert cell(rows[1], "Volume mL") == "1.5 → 1  (−33 %)"
    assert cell(rows[1], "Because") == "a person drew it"
    assert cell(rows[3], "Volume mL") == "– → 2"


@pytest.mark.desktop
def test_the_table_keeps_what_was_said_when_rows_come_and_go(qtbot) -> None:
    table = FollowTable()
    qtbot.addWidget(table)
    table.fill(follow_rows(PLAIN, PLAIN))
    assert [table.said(number).currentText() for number in range(3)] == 3 * [NOT_SAID]
    reason = table.cellWidget(1, REASON)
    assert isinstance(reason, QLineEdit)
    reason.setText("excised on 2 March")
    table.say(1, "gone")
    table.say(2, "new", "L8")
    said = (Decision(("L2",), (), "gone", "", "excised on 2 March"),
            Decision((), ("NEW1",), "new", "L8"))  # fmt: skip
    assert table.decisions == said
    table.selectRow(2)

    # The first is corrected, and another is drawn: their rows say so; the words of the others stay.
    corrected = replace(SAME, confirmed=True, drawn=True)
    fresh = Proposal(Match((), ("L9",), MatchStatus.NEW), "new", True, "drawn", True)
    now = follow(BEFORE, [*NOW, lesion("L9", "2", 13.0)], corrected, GONE, NEW, fresh)
    picked: list[None] = []
    table.picked.connect(lambda: picked.append(None))
    table.fill(follow_rows(PLAIN, now))
    assert table.decisions == said
    assert [table.said(number).currentText() for number in (0, 3)] == [DRAWN, DRAWN]
    assert [table.said(number).isEnabled() for number in range(4)] == [False, True, True, False]
    assert (table.currentRow(), picked) == (2, [])

    # A person who said that it has gone and then draws it has taken that back.
    again = Proposal(replace(GONE.match, new_ids=("L2",)), "same", True, "drawn", True)
    table.fill(follow_rows(PLAIN, follow(BEFORE, [*NOW, lesion("L2", "1", 9.0)], SAME, again, NEW)))
    assert table.decisions == said[1:]
    # A new lesion that is corrected under the id it was given keeps both.
    named = Proposal(replace(NEW.match, new_ids=("L8",)), "new", True, "drawn", True)
    table.fill(follow_rows(PLAIN, follow(BEFORE, NOW, SAME, GONE, named)))
    assert table.decisions == said[1:]
    assert not table.cellWidget(2, NEW_ID).isEnabled()
    table.confirm_rest()
    assert [one.status for one in table.decisions] == ["same", "gone", "new"]
