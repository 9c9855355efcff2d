"""Making and opening a record; what may be written to it, and by how many at once."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from irplan.errors import CallError, InputRefused
from irplan.record import Store, add_plan, init_record, list_plans, open_store, verify_record
from irplan.record.store import append_entry, default_url, utc_now
from irplan.record.tables import Base

from .conftest import numbered_plan


def test_init_makes_the_tables_and_the_first_entry_once(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/deep/down/record.sqlite")
    first = init_record(store)
    again = init_record(store)
    assert (first["schema"], first["created"], first["entries"]) == (
        "irplan.record_init/1",
        True,
        1,
    )
    assert (again["created"], again["entries"], again["head"]) == (False, 1, first["head"])
    assert verify_record(store)["whole"]


def test_only_the_owner_may_read_the_file(store: Store) -> None:
    assert store.file is not None
    assert stat.S_IMODE(store.file.stat().st_mode) == 0o600


def test_migrations_and_models_have_the_same_shape(store: Store) -> None:
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("IRPLAN_STORE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_url() == f"sqlite:///{tmp_path}/irplan/record.sqlite"
    monkeypatch.setenv("IRPLAN_STORE", "postgresql+psycopg://u@h/db")
    assert default_url() == "postgresql+psycopg://u@h/db"


def test_no_password_is_shown() -> None:
    assert "secret" not in open_store("postgresql+psycopg://u:secret@localhost/db").shown


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://u@h/db",
        "oracle://x",
        "://",
        "sqlite:///x?mode=ro",
    ],
)
def test_addresses_that_no_record_can_lie_at(url: str) -> None:
    with pytest.raises(CallError):
        open_store(url)


def test_a_record_that_was_not_made_is_refused_and_not_made_by_looking(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "none.sqlite"))
    with pytest.raises(InputRefused, match="record init"):
        list_plans(store)
    assert not (tmp_path / "none.sqlite").exists()


def test_files_that_are_no_record_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.sqlite"
    text.write_text("no database at all, but long enough to be read as the head of one" * 40)
    foreign = tmp_path / "foreign.sqlite"
    with closing(sqlite3.connect(foreign)) as other:
        other.execute("CREATE TABLE patients (name TEXT)")
    for path in (text, foreign):
        before = path.read_bytes()
        with pytest.raises(InputRefused) as refused:
            init_record(open_store(str(path)))
        assert refused.value.code == "not_a_record"
        with pytest.raises(InputRefused):
            list_plans(open_store(str(path)))
        assert path.read_bytes() == before


def test_a_record_of_another_version_is_refused(store: Store) -> None:
    assert store.file is not None
    with closing(sqlite3.connect(store.file)) as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
        other.commit()
    for call in (list_plans, verify_record, init_record):
        with pytest.raises(InputRefused) as refused:
            call(store)
        assert refused.value.code == "record_other_version"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'eve'",
        "UPDATE audit SET payload = payload WHERE sequence = 1",
        "DELETE FROM audit WHERE sequence = 2",
        "INSERT OR REPLACE INTO audit SELECT sequence, time, 'eve', action, payload, "
        "previous_hash, hash FROM audit WHERE sequence = 1",
        "INSERT INTO audit SELECT 9, time, actor, action, payload, hash, 'h' FROM audit "
        "WHERE sequence = 2",
        "INSERT INTO audit SELECT 3, time, actor, action, payload, 'other', 'h' FROM audit "
        "WHERE sequence = 2",
        "UPDATE plan SET document = '{}'",
        "DELETE FROM plan",
        "INSERT OR REPLACE INTO plan SELECT * FROM plan",
        "UPDATE visit SET number = 7",
        "UPDATE subject SET code = 'S2'",
        "DELETE FROM subject",
    ],
)
def test_the_database_itself_refuses_changes(store: Store, statement: str) -> None:
    add_plan(store, numbered_plan(0), "S1", 1)
    assert store.file is not None
    with closing(sqlite3.connect(store.file)) as other:
        with pytest.raises(sqlite3.IntegrityError, match=r"never|only ever"):
            other.execute(statement)
        other.rollback()
    assert verify_record(store)["whole"]


def _add_many(path: str, first: int, count: int) -> None:
    store = open_store(path)
    for number in range(first, first + count):
        add_plan(store, numbered_plan(number), f"S{number % 3}", 1 + number, actor=f"p{first}")
    store.close()


def test_two_programs_that_write_at_once_make_one_chain(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=_add_many, args=(str(store.file), first, 12)) for first in (0, 100)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    report = verify_record(store)
    assert (report["whole"], report["entries"], report["plans"]) == (True, 25, 24)


def test_the_same_plan_from_two_programs_is_added_once(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add_many, args=(str(store.file), 0, 5)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    report = verify_record(store)
    assert (report["whole"], report["entries"], report["plans"]) == (True, 6, 5)


def test_what_fails_leaves_nothing_behind(store: Store) -> None:
    before = verify_record(store)

    def fail_halfway() -> None:
        with store.writing() as connection:
            append_entry(connection, utc_now, "ann", "noted", {"n": 1})
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail_halfway()
    assert verify_record(store) == before


def test_a_record_without_write_rights_can_still_be_verified(store: Store) -> None:
    if os.geteuid() == 0:
        pytest.skip("rights do not bind the superuser")
    assert store.file is not None
    store.file.chmod(0o400)
    assert verify_record(store)["whole"]
    with pytest.raises(InputRefused):
        add_plan(store, numbered_plan(1), "S1", 1)


def test_sqlalchemy_sees_foreign_keys_held(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError, match="FOREIGN KEY"), store.writing() as connection:
        connection.execute(sa.text("INSERT INTO visit (subject_id, number) VALUES (99, 1)"))
