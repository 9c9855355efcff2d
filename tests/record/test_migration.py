"""A record that an older version of the program made, taken on with everything in it.

``data/record_0001.sql`` was dumped from a file that the program of that revision wrote: two plans
of one subject, with the triggers of that time.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from irplan.errors import InputRefused
from irplan.record import (
    Store,
    init_record,
    list_plans,
    note_given,
    open_store,
    show_plan,
    verify_record,
)

from .dosed import given_csv, row

FIRST, SECOND = "127384f675f281b507b16f82b6a1ac64", "a64c3747e6b3dd689ca88ff0e8e6b47c"
HEAD_BEFORE = "SELECT hash FROM audit ORDER BY sequence DESC LIMIT 1"


@pytest.fixture
def old(tmp_path: Path) -> Store:
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path)) as file:
        file.executescript((Path(__file__).parent / "data" / "record_0001.sql").read_text())
    return open_store(str(path))


def query(store: Store, statement: str) -> list[tuple[object, ...]]:
    assert store.file is not None
    with closing(sqlite3.connect(store.file)) as file:
        return file.execute(statement).fetchall()


def test_no_command_but_init_takes_an_old_record_on(old: Store, tmp_path: Path) -> None:
    before = old.file.read_bytes() if old.file else b""
    for call in (
        lambda: list_plans(old),
        lambda: verify_record(old),
        lambda: note_given(old, FIRST, given_csv(tmp_path, row(ml="4"))),
    ):
        with pytest.raises(InputRefused, match="record init"):
            call()
    assert old.file is not None
    assert old.file.read_bytes() == before


def test_what_an_old_record_holds_stays_and_can_be_added_to(old: Store, tmp_path: Path) -> None:
    noted_head = str(query(old, HEAD_BEFORE)[0][0])
    tables = ("subject", "visit", "plan")
    before = {name: query(old, f"SELECT * FROM {name} ORDER BY id") for name in tables}
    entries = query(old, "SELECT * FROM audit ORDER BY sequence")

    made = init_record(old, actor="admin")
    assert (made["revision"], made["created"], made["entries"]) == ("0003", False, 4)
    assert {name: query(old, f"SELECT * FROM {name} ORDER BY id") for name in tables} == before
    assert query(old, "SELECT * FROM audit ORDER BY sequence")[:3] == entries
    report = verify_record(old, head=noted_head)
    assert (report["whole"], report["entries_since_head"]) == (True, 1)
    assert report["findings"] == []

    given = note_given(old, FIRST, given_csv(tmp_path, row(ml="3.5")))
    # 4 mL were planned: 3.5 given, 0.5 mL or 2.5 mg remain.
    (dose,) = given["doses"]
    assert [str(dose[name]) for name in ("planned_ml", "given_ml", "remaining_mg")] == [
        "4", "3.5", "2.5",
    ]  # fmt: skip
    assert show_plan(old, SECOND)["doses"][0]["given_ml"] is None
    assert verify_record(old)["whole"]
    assert init_record(old)["entries"] == 5, "taken on once, not at every call"


def test_a_migrated_record_has_the_tables_and_triggers_of_a_new_one(
    old: Store, tmp_path: Path
) -> None:
    new = open_store(str(tmp_path / "new.sqlite"))
    for store in (old, new):
        init_record(store)
    shape = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    assert query(old, shape) == query(new, shape)
