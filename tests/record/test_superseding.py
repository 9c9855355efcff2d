"""A plan that stands in place of another: noted, shown, checked, and in the way of injecting."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import irplan.record
from irplan.cli.main import main
from irplan.errors import InputRefused
from irplan.record import (
    Store,
    add_plan,
    init_record,
    list_plans,
    note_given,
    open_store,
    show_plan,
    verify_record,
)

from .conftest import numbered_plan, plan_bytes
from .dosed import dosed_plan, given_csv, recorded, row


def newer(older: str, weight: int = 71) -> bytes:
    """Version 2 of a plan, with doses."""
    plan = json.loads(dosed_plan())

    def change(document: dict[str, Any]) -> None:
        document.update({key: plan[key] for key in ("lesions", "allocation", "needles")})
        document["allocation"]["weight_kg"] = weight
        document.update(version=2, supersedes=older)

    return plan_bytes(change)


def codes(document: dict[str, Any]) -> list[str]:
    return [one["code"] for one in document["findings"]]


def test_both_plans_name_each_other(store: Store) -> None:
    older = recorded(store, dosed_plan())
    added = add_plan(store, newer(older), "S1", 1)
    assert codes(added) == ["plan_supersedes"]
    plans = {one["plan_id"]: one for one in list_plans(store)["plans"]}
    assert plans[older]["superseded_by"] == [added["plan_id"]]
    assert plans[added["plan_id"]]["supersedes"] == older
    assert plans[older]["supersedes"] == ""
    assert show_plan(store, older)["superseded_by"] == [added["plan_id"]]
    assert show_plan(store, added["plan_id"])["supersedes"] == older
    assert verify_record(store)["whole"]


def test_nothing_is_injected_by_a_superseded_plan_without_a_reason(
    store: Store, tmp_path: Path
) -> None:
    older = recorded(store, dosed_plan())
    latest = add_plan(store, newer(older), "S1", 1)["plan_id"]
    given = given_csv(tmp_path, row(ml="1.2"))
    with pytest.raises(InputRefused, match=latest) as refused:
        note_given(store, older, given)
    assert refused.value.code == "plan_superseded"
    noted = note_given(
        store, older, given, accept_reasons={"plan_superseded": "given at 9, CT at 10"}
    )
    (stop,) = [one for one in noted["findings"] if one["code"] == "plan_superseded"]
    assert stop["accepted"] == "given at 9, CT at 10"


def test_the_newest_version_is_injected_by(store: Store, tmp_path: Path) -> None:
    older = recorded(store, dosed_plan())
    latest = add_plan(store, newer(older), "S1", 1)["plan_id"]
    assert "plan_superseded" not in codes(
        note_given(store, latest, given_csv(tmp_path, row(ml="1.2")))
    )


def test_a_plan_of_a_later_visit_leaves_the_earlier_visit_alone(
    store: Store, tmp_path: Path
) -> None:
    older = recorded(store, dosed_plan())
    add_plan(store, newer(older), "S1", 2)
    assert note_given(store, older, given_csv(tmp_path, row(ml="1.2")))["new"]


def test_another_subjects_plan_is_never_superseded(store: Store) -> None:
    older = recorded(store, dosed_plan())
    with pytest.raises(InputRefused) as refused:
        add_plan(store, newer(older), "S2", 1)
    assert refused.value.code == "superseded_other_subject"
    assert len(list_plans(store)["plans"]) == 1


def test_what_is_odd_is_told(store: Store) -> None:
    assert codes(add_plan(store, newer("f" * 32), "S1", 1)) == ["superseded_plan_not_recorded"]
    older = recorded(store, dosed_plan())
    add_plan(store, newer(older, 72), "S1", 1)
    twice = add_plan(store, newer(older, 73), "S1", 1)
    assert codes(twice) == ["plan_supersedes", "plan_superseded_twice"]
    assert len(show_plan(store, older)["superseded_by"]) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE supersession SET supersedes = 'x'",
        "DELETE FROM supersession",
        "INSERT OR REPLACE INTO supersession SELECT id, plan_id, 'x' FROM supersession",
    ],
)
def test_a_change_is_refused_and_found(store: Store, statement: str) -> None:
    older = recorded(store, dosed_plan())
    add_plan(store, newer(older), "S1", 1)
    with closing(sqlite3.connect(str(store.file))) as file:
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            file.execute(statement)
        for verb in ("update", "delete", "replace"):
            file.execute(f"DROP TRIGGER supersession_no_{verb}")
        file.execute(statement)
        file.commit()
    report = verify_record(store)
    assert {one["kind"] for one in report["breaks"]} == {"supersession_edited"}
    assert "record_unprotected" in codes(report)


def test_an_older_record_tells_what_its_plans_superseded(tmp_path: Path) -> None:
    """A record of revision 0002, as its migrations made it, with a carried plan in it."""
    store = open_store(str(tmp_path / "old.sqlite"))
    config = Config()
    folder = Path(irplan.record.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    with store.engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(sa.text("INSERT INTO subject (id, code) VALUES (1, 'S1')"))
        connection.execute(sa.text("INSERT INTO visit VALUES (1, 1, 1)"))
        for key, content in (
            (1, numbered_plan(1)),
            (2, newer(json.loads(numbered_plan(1))["plan_id"])),
        ):
            plan = json.loads(content)
            connection.execute(
                sa.text(
                    "INSERT INTO plan VALUES (:key, 1, :plan_id, 1, '', '', '0', 't', 'me', 'a', "
                    "'b', :document)"
                ),
                {"key": key, "plan_id": plan["plan_id"], "document": content.decode()},
            )
    init_record(store)
    first, second = list_plans(store)["plans"]
    assert first["superseded_by"] == [second["plan_id"]]
    assert second["supersedes"] == first["plan_id"]


def test_the_commands_say_it(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    older = recorded(store, dosed_plan())
    latest = add_plan(store, newer(older), "S1", 1)["plan_id"]
    assert main(["record", "list", "--store", str(store.file)]) == 0
    rows = capsys.readouterr().out.splitlines()
    (old_row,) = [one for one in rows if older in one]
    assert latest in old_row
