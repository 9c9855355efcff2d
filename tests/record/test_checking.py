"""Tampering with a real SQLite file through another connection, and whether it shows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from irplan.errors import CallError
from irplan.record import Store, add_plan, open_store, verify_record
from irplan.record.chain import AuditEntry, next_entry
from irplan.record.store import last_entry

from .conftest import numbered_plan

PLANS = 4


@pytest.fixture
def filled(store: Store) -> Store:
    for number in range(PLANS):
        add_plan(store, numbered_plan(number), f"S{number}", 1)
    return store


def tamper(store: Store, script: str) -> None:
    """As someone with a database tool would: take the triggers away, then change."""
    assert store.file is not None
    with closing(sqlite3.connect(store.file, isolation_level=None)) as other:
        names = other.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in names:
            other.execute(f"DROP TRIGGER {name}")
        other.executescript(script)


#: What is done to entries 1 (record made) and 2 to 5 (plans); the break that must be told.
TAMPERING = [
    ("UPDATE audit SET actor = 'eve' WHERE sequence = 3", (3, "edited")),
    ("UPDATE audit SET time = '2020' || substr(time, 5) WHERE sequence = 5", (5, "edited")),
    ("UPDATE audit SET action = 'noted' WHERE sequence = 2", (2, "edited")),
    ("UPDATE audit SET payload = replace(payload, 'S1', 'S9') WHERE sequence = 3", (3, "edited")),
    ("UPDATE audit SET payload = 'x' WHERE sequence = 3", (3, "edited")),
    ("UPDATE audit SET hash = replace(hash, substr(hash, 1, 1), 'z') WHERE sequence = 5",
     (5, "edited")),
    ("DELETE FROM audit WHERE sequence = 1", (1, "removed")),
    ("DELETE FROM audit WHERE sequence IN (2, 3)", (2, "removed")),
    ("DELETE FROM audit WHERE sequence = 3;"
     "UPDATE audit SET sequence = sequence - 1 WHERE sequence > 3", (3, "reordered")),
    ("UPDATE audit SET sequence = 99 WHERE sequence = 2;"
     "UPDATE audit SET sequence = 2 WHERE sequence = 4;"
     "UPDATE audit SET sequence = 4 WHERE sequence = 99", (2, "reordered")),
    ("DELETE FROM audit", (None, "removed")),
    # The newest entry gone: its plan still stands there and tells.
    ("DELETE FROM audit WHERE sequence = 5", (None, "plan_unrecorded")),
    ("UPDATE plan SET document = replace(document, '70', '75') WHERE id = 1", (2, "plan_edited")),
    ("UPDATE plan SET original_sha256 = document_sha256 WHERE id = 2", (3, "plan_edited")),
    ("UPDATE plan SET visit_id = 1 WHERE id = 3", (4, "plan_edited")),
    ("UPDATE subject SET code = 'S8' WHERE code = 'S3'", (5, "plan_edited")),
    ("UPDATE visit SET number = 2 WHERE id = 1", (2, "plan_edited")),
    ("DELETE FROM plan WHERE id = 4", (5, "plan_removed")),
    ("DELETE FROM visit WHERE id = 4", (None, "plan_edited")),
    ("INSERT INTO plan SELECT 9, visit_id, 'abc', version, study_instance_uid, image_date, "
     "irplan_version, added, added_by, original_sha256, document_sha256, document FROM plan "
     "WHERE id = 1", (None, "plan_unrecorded")),
]  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), TAMPERING)
def test_tampering_shows_and_is_placed(
    filled: Store, script: str, expected: tuple[int | None, str]
) -> None:
    assert verify_record(filled)["whole"]
    tamper(filled, script)
    report = verify_record(filled)
    assert not report["whole"]
    assert expected in [(one["sequence"], one["kind"]) for one in report["breaks"]]


def test_a_cut_tail_with_its_plan_shows_against_the_noted_head(filled: Store) -> None:
    noted = verify_record(filled)["head"]
    tamper(filled, "DELETE FROM audit WHERE sequence = 5; DELETE FROM plan WHERE id = 4")
    assert verify_record(filled)["whole"], "a chain alone cannot know what came after it"
    report = verify_record(filled, head=noted)
    assert [one["kind"] for one in report["breaks"]] == ["truncated"]


def test_a_head_noted_earlier_stays_good(filled: Store) -> None:
    noted = verify_record(filled)["head"]
    add_plan(filled, numbered_plan(50), "S5", 1)
    report = verify_record(filled, head=noted.upper())
    assert (report["whole"], report["head_checked"]) == (True, True)
    assert report["entries_since_head"] == 1


@pytest.mark.parametrize("head", ["", "abc", "g" * 64, "0" * 63])
def test_what_is_no_hash_is_refused_as_head(filled: Store, head: str) -> None:
    with pytest.raises(CallError):
        verify_record(filled, head=head)


def test_missing_triggers_are_told(filled: Store) -> None:
    assert verify_record(filled)["findings"] == []
    tamper(filled, "")
    report = verify_record(filled)
    assert report["whole"]
    assert [one["code"] for one in report["findings"]] == ["record_unprotected"]


def test_a_clock_that_went_back_is_told(store: Store) -> None:
    assert store.file is not None
    early: Callable[[], str] = lambda: "2001-01-01T00:00:00.000000Z"  # noqa: E731
    add_plan(open_store(str(store.file), clock=early), numbered_plan(0), "S1", 1)
    report = verify_record(store)
    assert report["whole"]
    assert [one["code"] for one in report["findings"]] == ["record_clock_went_back"]


def test_an_entry_rewritten_with_a_fitting_hash_shows(filled: Store) -> None:
    """The dose of a plan changed everywhere but in the entries that follow."""
    with filled.reading() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM audit ORDER BY sequence").fetchall()
    entries = [AuditEntry(*row) for row in rows]
    forged = next_entry(entries[1], entries[2].time, "eve", "plan_added", {"plan_id": "other"})
    tamper(
        filled,
        f"UPDATE audit SET actor = 'eve', payload = '{forged.payload}', hash = '{forged.hash}' "
        "WHERE sequence = 3",
    )
    breaks = [(one["sequence"], one["kind"]) for one in verify_record(filled)["breaks"]]
    assert (3, "edited") in breaks


def test_an_entry_added_past_the_program_is_part_of_the_chain_but_needs_its_plan(
    filled: Store,
) -> None:
    # Someone who knows the rule can extend the chain; the plan it speaks of is missing.
    with filled.reading() as connection:
        entry = next_entry(last_entry(connection), "2099", "eve", "plan_added", {"plan_id": "x"})
    assert filled.file is not None
    with closing(sqlite3.connect(filled.file)) as other:
        other.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", tuple(vars(entry).values()))
        other.commit()
    kinds = [(one["sequence"], one["kind"]) for one in verify_record(filled)["breaks"]]
    assert kinds == [(6, "plan_removed")]
