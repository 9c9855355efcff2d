"""The same record on a PostgreSQL server that the test starts by itself on a socket."""

from __future__ import annotations

import glob
import json
import multiprocessing
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from irplan.errors import InputRefused
from irplan.record import (
    Store,
    add_plan,
    earlier_visits,
    init_record,
    list_plans,
    note_given,
    open_store,
    verify_record,
)
from irplan.record.tables import Base

from .conftest import numbered_plan, plan_bytes
from .dosed import dosed_plan, given_csv, recorded, row

pytest.importorskip("psycopg", reason="the PostgreSQL driver is not installed")


def _binary(name: str) -> str | None:
    installed = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return shutil.which(name) or (installed[-1] if installed else None)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A fresh server; it never runs as the superuser, whom PostgreSQL refuses."""
    initdb, pg_ctl = _binary("initdb"), _binary("pg_ctl")
    if not initdb or not pg_ctl:
        pytest.skip("no PostgreSQL server is installed")
    folder = Path(tempfile.mkdtemp(prefix="irplan-pg-"))
    who: dict[str, int] = {}
    if os.geteuid() == 0:
        account = pwd.getpwnam("nobody")
        who = {"user": account.pw_uid, "group": account.pw_gid}
        os.chown(folder, account.pw_uid, account.pw_gid)
    data = str(folder / "data")

    def run(*command: str) -> None:
        subprocess.run(
            command, check=True, cwd=folder, stdout=subprocess.DEVNULL, extra_groups=None, **who
        )

    try:
        run(initdb, "-D", data, "-U", "irplan", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        run(pg_ctl, "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        yield f"postgresql+psycopg://irplan@/postgres?host={folder}"
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            run(pg_ctl, "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def store(server: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A record in a database of its own."""
    name = "r" + str(abs(hash(request.node.name)))
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    opened = open_store(server.replace("/postgres?", f"/{name}?"))
    init_record(opened)
    yield opened
    opened.close()


def test_init_from_empty_makes_what_the_models_say(store: Store) -> None:
    assert init_record(store)["created"] is False
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    assert verify_record(store)["whole"]


def test_plans_go_in_and_the_chain_is_whole(store: Store) -> None:
    head = add_plan(store, numbered_plan(1), "S1", 1)["head"]
    add_plan(store, numbered_plan(2), "S1", 2)
    with pytest.raises(InputRefused):
        add_plan(store, numbered_plan(2), "S2", 2)
    assert [one["visit"] for one in list_plans(store)["plans"]] == [1, 2]
    report = verify_record(store, head=head)
    assert (report["whole"], report["entries"], report["findings"]) == (True, 3, [])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'eve'",
        "DELETE FROM audit",
        "TRUNCATE audit CASCADE",
        "TRUNCATE given",
        "TRUNCATE subject CASCADE",
        "UPDATE plan SET document = '{}'",
        "DELETE FROM visit",
        "INSERT INTO audit SELECT 9, time, actor, action, payload, hash, 'h' FROM audit "
        "WHERE sequence = 2",
    ],
)
def test_the_database_itself_refuses_changes(store: Store, statement: str) -> None:
    add_plan(store, numbered_plan(0), "S1", 1)
    with (
        store.engine.connect() as connection,
        pytest.raises(sa.exc.DBAPIError, match=r"never|only ever"),
    ):
        connection.execute(sa.text(statement))
    assert verify_record(store)["whole"]


def test_what_supersedes_a_plan_is_noted_and_protected(store: Store, tmp_path: Path) -> None:
    older = recorded(store, dosed_plan())
    plan = json.loads(dosed_plan())
    keys = ("lesions", "allocation", "needles")
    newer = plan_bytes(
        lambda one: one.update({key: plan[key] for key in keys}, version=2, supersedes=older)
    )
    latest = add_plan(store, newer, "S1", 1)["plan_id"]
    with pytest.raises(InputRefused, match=latest):
        note_given(store, older, given_csv(tmp_path, row(ml="1.2")))
    for statement in (
        "UPDATE supersession SET supersedes = 'x'",
        "DELETE FROM supersession",
        "TRUNCATE supersession",
    ):
        with (
            store.engine.connect() as connection,
            pytest.raises(sa.exc.DBAPIError, match=r"never|only ever"),
        ):
            connection.execute(sa.text(statement))
    assert verify_record(store)["whole"]


def test_what_was_given_is_noted_replaced_and_protected(store: Store, tmp_path: Path) -> None:
    plan_id = recorded(store, dosed_plan())
    note_given(store, plan_id, given_csv(tmp_path, row(ml="1.2"), row(lesion="L2", ml="0.125")))
    note_given(store, plan_id, given_csv(tmp_path, row(ml="1.1")), replace=True)
    assert [str(one.mg) for one in earlier_visits(store, "S1", 2).rows] == ["5.5"]
    assert verify_record(store)["whole"]
    for statement in (
        "UPDATE given SET ml = '0.1'",
        "DELETE FROM given",
        "UPDATE given_list SET replaces = '[]'",
        "DELETE FROM given_list",
        "TRUNCATE given_list CASCADE",
    ):
        with store.engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match="never"):
            connection.execute(sa.text(statement))
    with store.engine.begin() as connection:
        connection.execute(sa.text("SET session_replication_role = replica"))
        connection.execute(sa.text("UPDATE given SET ml = '0.1' WHERE ml = '0.125'"))
    report = verify_record(store)
    assert [(one["sequence"], one["kind"]) for one in report["breaks"]] == [(3, "given_edited")]


def test_tampering_past_the_triggers_shows(store: Store) -> None:
    add_plan(store, numbered_plan(0), "S1", 1)
    with store.engine.begin() as connection:
        connection.execute(sa.text("SET session_replication_role = replica"))
        connection.execute(sa.text("UPDATE audit SET actor = 'eve' WHERE sequence = 2"))
    report = verify_record(store)
    assert [(one["sequence"], one["kind"]) for one in report["breaks"]] == [(2, "edited")]
    with store.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE plan DISABLE TRIGGER plan_no_update"))
    assert [one["code"] for one in verify_record(store)["findings"]] == ["record_unprotected"]


def _add_many(url: str, first: int) -> None:
    store = open_store(url)
    for number in range(first, first + 10):
        add_plan(store, numbered_plan(number), f"S{number % 3}", 1 + number)
    store.close()


def test_two_programs_that_write_at_once_make_one_chain(store: Store) -> None:
    url = store.engine.url.render_as_string(hide_password=False)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add_many, args=(url, first)) for first in (0, 5)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    report = verify_record(store)
    assert (report["whole"], report["entries"], report["plans"]) == (True, 16, 15)


def test_a_server_that_does_not_answer_is_told() -> None:
    with pytest.raises(InputRefused) as refused:
        list_plans(open_store("postgresql+psycopg://u:secret@/db?host=/nonexistent"))
    assert refused.value.code == "record_unreachable"
    assert "secret" not in str(refused.value)
