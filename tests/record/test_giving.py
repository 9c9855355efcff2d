"""Noting what was given: the sums, what is refused by name, what a reason lifts, corrections."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from irplan.errors import InputRefused
from irplan.record import Store, init_record, note_given, open_store, show_plan, verify_record
from irplan.schemas import schema

from .dosed import codes, dosed_plan, given_csv, recorded, row, run

D = Decimal


def test_planned_and_given_stand_side_by_side(store: Store, tmp_path: Path) -> None:
    """3 mL and 1.2 mL were planned; L1 took 1.25 + 0.5 mL and is closed, L2 has had nothing."""
    plan_id = recorded(store, dosed_plan())
    unknown = show_plan(store, plan_id)["doses"]
    assert [(one["given_ml"], one["remaining_ml"]) for one in unknown] == [(None, None)] * 2

    source = given_csv(
        tmp_path,
        row(ml="1.25", deposit="N1D1"),
        row(ml="0.50", time="2026-01-05T10:20", closed="yes", reason="reflux"),
    )
    noted = note_given(store, plan_id[:8], source, actor="nurse")
    assert (noted["new"], noted["sequence"], noted["replaces"]) == (True, 3, [])
    first, second = noted["doses"]
    assert first == {
        "lesion_id": "L1",
        "drug": "ipilimumab",
        "planned_ml": D(3),
        "planned_mg": D(15),
        "given_ml": D("1.75"),
        "given_mg": D("8.75"),
        "remaining_ml": D("1.25"),
        "remaining_mg": D("6.25"),
        "closed": True,
    }
    assert (second["given_ml"], second["remaining_mg"], second["closed"]) == (0, 6, False)
    shown = show_plan(store, plan_id)
    assert shown["doses"] == noted["doses"]
    (one,) = shown["given"]
    assert (one["actor"], one["sequence"], one["replaced_by"]) == ("nurse", 3, None)
    assert one["given"] == noted["given"]
    entry = shown["audit"][-1]
    assert (entry["action"], entry["hash"]) == ("given_noted", noted["head"])
    assert entry["payload"]["given"] == noted["given"]
    for document in (noted, shown):
        # As a reader without exact decimals sees it.
        text = json.dumps(document, default=float)
        name = document["schema"].split(".")[1].split("/")[0]
        Draft202012Validator(schema(name)).validate(json.loads(text))


REFUSED = [
    ([row(lesion="L9")], "given_unknown_lesion", "line 2"),
    ([row(), row(drug="nivolumab")], "unknown_drug", "line 3"),
    ([row(drug="Ipilimumab")], "unknown_drug", "line 2"),
    ([row(drug="mixture")], "unknown_drug", "line 2"),
    ([row(deposit="N7D1")], "given_unknown_deposit", "line 2"),
    ([row(lesion="L2", deposit="N1D1")], "given_unknown_deposit", "lies in L1"),
    ([row(ml='"1,2"')], "decimal_comma", "line 2"),
    ([row(ml="1e-1")], "not_a_number", "line 2"),
    ([row(ml="NaN")], "not_a_number", "line 2"),
    ([row(ml="inf")], "not_a_number", "line 2"),
    ([row(ml="-0.1")], "negative", "line 2"),
    ([row(ml="")], "no_amount", "line 2"),
    ([row(ml="0.1234567")], "wrong_value", "line 2"),
    ([row(lesion="")], "no_lesion_id", "line 2"),
    ([row(closed="perhaps")], "wrong_value", "line 2"),
    ([row(expiry="03/2027")], "wrong_value", "expiry"),
    ([row(expiry="2027-13")], "wrong_value", "expiry"),
    ([row(expiry="2027-02-29")], "wrong_value", "expiry"),
    ([row(expiry="2027")], "wrong_value", "expiry"),
    ([row(time="05/01/2026 10:15")], "wrong_value", "time"),
    ([row(time="2026-02-30T10:15")], "wrong_value", "time"),
    ([row(time="25:00")], "wrong_value", "time"),
    ([row(time="20260105")], "wrong_value", "time"),
    ([row(lot="A\x007")], "wrong_value", "lot"),
    ([row() + ",x"], "row_length", "line 2"),
    ([], "nothing_given", "given.csv"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "code", "said"), REFUSED)
def test_what_is_refused_and_how_it_is_named(
    store: Store, tmp_path: Path, rows: list[str], code: str, said: str
) -> None:
    plan_id = recorded(store, dosed_plan())
    with pytest.raises(InputRefused) as refused:
        note_given(store, plan_id, given_csv(tmp_path, *rows))
    assert refused.value.code == code
    assert said in refused.value.message
    assert "given.csv" in refused.value.message
    report = verify_record(store)
    assert (report["entries"], report["given"], report["whole"]) == (2, 0, True)


def test_a_plan_that_is_not_there_or_has_no_doses(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no plan"):
        note_given(store, "f" * 32, given_csv(tmp_path, row()))
    with pytest.raises(InputRefused, match=r"absent\.csv"):
        note_given(store, "f" * 32, tmp_path / "absent.csv")


#: What stops the entry until a person says why; how the plan was; the lines of the list.
STOPS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("given_drug_expired", {}, [row(expiry="2025-12")]),
    ("given_drug_expired", {}, [row(expiry="2026-01-04")]),
    ("given_above_prescribed", {}, [row(ml="4.21")]),
    ("given_above_prescribed", {"prescribed": {"ipilimumab": "1"}}, [row(ml="1.01")]),
    ("given_below_earlier", {"before": {"L1": "1.5"}}, [row(ml="1.49")]),
    ("given_below_earlier", {"before": {"L2": "0.5"}}, [row(ml="1.5")]),
    ("given_row_repeated", {}, [row(ml="0.5"), row(ml="0.5")]),
]


@pytest.mark.parametrize(("code", "plan", "rows"), STOPS)
def test_a_stop_is_lifted_only_by_a_reason(
    store: Store, tmp_path: Path, code: str, plan: dict[str, Any], rows: list[str]
) -> None:
    plan_id = recorded(store, dosed_plan(**plan))
    source = given_csv(tmp_path, *rows)
    for reasons in ({}, {code: "  "}, {"given_something_else": "why"}):
        with pytest.raises(InputRefused, match=f"--accept {code}=") as refused:
            note_given(store, plan_id, source, accept_reasons=reasons)
        assert refused.value.code == code
    assert verify_record(store)["entries"] == 2
    noted = note_given(store, plan_id, source, accept_reasons={code: "seen by Dr X"})
    (stop,) = [one for one in noted["findings"] if one["code"] == code]
    assert (stop["severity"], stop["accepted"]) == ("stop", "seen by Dr X")
    entry = show_plan(store, plan_id)["audit"][-1]
    assert entry["payload"]["findings"] == noted["findings"]


@pytest.mark.parametrize(
    "rows",
    [
        [row(expiry="2026-01")],
        [row(expiry="2026-01-05")],
        [row(ml="0", expiry="2025-01", closed="yes")],
        [row(ml="3"), row(lesion="L2", ml="1.2")],
        [row(ml="0.5"), row(ml="0.5", time="2026-01-05T10:16")],
        [row(ml="0.5", deposit="N1D1"), row(ml="0.5", deposit="N1-A1D1")],
    ],
)
def test_what_lies_on_the_limit_is_noted_without_a_word(
    store: Store, tmp_path: Path, rows: list[str]
) -> None:
    plan_id = recorded(store, dosed_plan())
    assert codes(note_given(store, plan_id, given_csv(tmp_path, *rows))) == []


@pytest.mark.parametrize(
    ("rows", "expected", "said"),
    [
        ([row(lesion="L2", ml="1.21")], "given_above_planned", "0.01 mL more"),
        ([row(lesion="L3", ml="0.1")], "given_to_unplanned", "0.1 mL"),
        ([row(time="")], "given_details_missing", "date"),
        ([row(time="10:15")], "given_details_missing", "date"),
        ([row(expiry="")], "given_details_missing", "expired"),
        ([row(lot="")], "given_details_missing", "lot"),
        ([row(time="2999-01-01T10:00", expiry="2999-01")], "given_in_future", "2999"),
    ],
)
def test_what_happened_is_noted_with_a_warning(
    store: Store, tmp_path: Path, rows: list[str], expected: str, said: str
) -> None:
    plan_id = recorded(store, dosed_plan(excluded=("L3",)))
    noted = note_given(store, plan_id, given_csv(tmp_path, *rows))
    assert codes(noted) == [expected]
    assert said in noted["findings"][0]["message"]
    assert noted["new"]


def test_more_than_planned_leaves_a_negative_remainder(store: Store, tmp_path: Path) -> None:
    plan_id = recorded(store, dosed_plan())
    noted = note_given(store, plan_id, given_csv(tmp_path, row(lesion="L2", ml="1.5")))
    assert noted["doses"][1]["remaining_ml"] == D("-0.3")
    assert noted["doses"][1]["remaining_mg"] == D("-1.5")


def test_the_same_list_again_adds_nothing_and_another_needs_replace(
    store: Store, tmp_path: Path
) -> None:
    plan_id = recorded(store, dosed_plan())
    first = note_given(store, plan_id, given_csv(tmp_path, row(ml="1.2")))
    # The same injection in other words of the file: 1.20 is 1.2, and the only drug goes unnamed.
    same = given_csv(tmp_path, row(ml="1.20", drug=""), "", name="again.csv")
    for replace in (False, True):
        again = note_given(store, plan_id, same, replace=replace)
        assert (again["new"], again["head"]) == (False, first["head"])
        assert codes(again) == ["given_already_recorded"]

    other = given_csv(tmp_path, row(ml="1.1"))
    with pytest.raises(InputRefused, match="--replace") as refused:
        note_given(store, plan_id, other)
    assert refused.value.code == "given_recorded_differently"
    second = note_given(store, plan_id, other, replace=True)
    assert (second["new"], second["replaces"], second["sequence"]) == (True, [3], 4)
    assert second["doses"][0]["given_ml"] == D("1.1")
    shown = show_plan(store, plan_id)
    assert [(one["sequence"], one["replaced_by"]) for one in shown["given"]] == [(3, 4), (4, None)]
    assert shown["given"][0]["given"][0]["ml"] == D("1.2"), "what was said before stays"
    assert shown["doses"][0]["given_ml"] == D("1.1")
    report = verify_record(store, head=first["head"])
    assert (report["whole"], report["given"]) == (True, 2)


def test_replace_needs_something_to_replace(store: Store, tmp_path: Path) -> None:
    plan_id = recorded(store, dosed_plan())
    with pytest.raises(InputRefused) as refused:
        note_given(store, plan_id, given_csv(tmp_path, row()), replace=True)
    assert refused.value.code == "nothing_to_replace"


def test_a_second_plan_of_the_visit_does_not_count_an_injection_twice(
    store: Store, tmp_path: Path
) -> None:
    """L1 refused the rest of its dose, the visit was planned again, and went on."""
    first = recorded(store, dosed_plan())
    second = recorded(store, dosed_plan(before={"L1": "1.2"}, mark=1))
    morning, rest = row(ml="1.2", closed="yes"), row(lesion="L2", ml="1", time="2026-01-05T11:00")
    note_given(store, first, given_csv(tmp_path, morning))
    whole = given_csv(tmp_path, morning, rest, name="whole.csv")

    with pytest.raises(InputRefused) as refused:
        note_given(store, second, whole)
    assert refused.value.code in ("given_under_another_plan", "given_row_repeated")
    assert first in refused.value.message
    assert "--replace" in refused.value.remedy
    noted = note_given(store, second, whole, replace=True)
    assert noted["replaces"] == [3 + 1]
    assert [one["given_ml"] for one in noted["doses"]] == [D("1.2"), D(1)]
    shown = show_plan(store, first)
    assert [one["given_ml"] for one in shown["doses"]] == [None, None]
    assert codes(shown) == ["given_shown_elsewhere"]
    assert second in shown["findings"][0]["message"]
    # Noted for the older plan once more by mistake: the newer list does not vanish unseen.
    with pytest.raises(InputRefused):
        note_given(store, first, given_csv(tmp_path, morning))


def test_two_plans_of_a_visit_may_both_count_where_a_person_says_so(
    store: Store, tmp_path: Path
) -> None:
    first = recorded(store, dosed_plan())
    second = recorded(store, dosed_plan(mark=1))
    note_given(store, first, given_csv(tmp_path, row()))
    reasons = {"given_under_another_plan": "deep lesions, in the afternoon"}
    later = given_csv(tmp_path, row(time="2026-01-05T15:00"))
    noted = note_given(store, second, later, accept_reasons=reasons)
    assert noted["replaces"] == []
    # The very same row of both is one injection, whatever a reason says about the plans.
    third = recorded(store, dosed_plan(mark=2))
    with pytest.raises(InputRefused) as refused:
        note_given(store, third, later, accept_reasons=reasons)
    assert refused.value.code == "given_row_repeated"
    # The same row under another visit is another matter: the list of that visit is its own.
    other = recorded(store, dosed_plan(visit=2, mark=3), visit=2)
    assert note_given(store, other, later)["new"]


def test_a_mixture_is_its_drugs_exactly(store: Store, tmp_path: Path) -> None:
    """0.8 mL at 5 : 3 is 0.5 mL ipilimumab = 2.5 mg and 0.3 mL nivolumab = 3 mg."""
    plan = dosed_plan(
        planned={"ipilimumab": {"L1": "2.5"}, "nivolumab": {"L1": "1.5"}},
        mixture={"ipilimumab": "0.625", "nivolumab": "0.375"},
    )
    plan_id = recorded(store, plan)
    for drug in ("mixture", ""):
        source = given_csv(tmp_path, row(drug=drug, ml="0.8"))
        noted = note_given(store, plan_id, source)
        found = {one["drug"]: (one["ml"], one["mg"]) for one in noted["given"]}
        assert found == {"ipilimumab": (D("0.5"), D("2.5")), "nivolumab": (D("0.3"), D(3))}


def test_several_drugs_must_be_named_unless_nothing_went_in(store: Store, tmp_path: Path) -> None:
    plan = dosed_plan(planned={"ipilimumab": {"L1": "2.5"}, "nivolumab": {"L1": "1.5"}})
    plan_id = recorded(store, plan)
    with pytest.raises(InputRefused) as refused:
        note_given(store, plan_id, given_csv(tmp_path, row(drug="")))
    assert refused.value.code == "unknown_drug"
    noted = note_given(store, plan_id, given_csv(tmp_path, row(drug="", ml="", closed="yes")))
    assert [(one["drug"], one["ml"]) for one in noted["given"]] == [
        ("ipilimumab", 0),
        ("nivolumab", 0),
    ]
    assert all(one["closed"] and one["given_ml"] == 0 for one in noted["doses"])


hundredths = st.integers(0, 400)


@settings(max_examples=25, deadline=None)
@cases(
    planned=st.lists(st.integers(1, 400), min_size=1, max_size=4),
    rows=st.lists(st.tuples(st.integers(0, 3), hundredths), min_size=1, max_size=8),
)
def test_planned_is_given_and_remaining_for_every_lesion(
    planned: list[int], rows: list[tuple[int, int]]
) -> None:
    """Against fractions of whole hundredths; nothing is lost on the way through the database."""
    rows = [(place % len(planned), amount) for place, amount in rows]
    lesions = {f"L{place}": f"{amount / 100:g}" for place, amount in enumerate(planned)}
    with tempfile.TemporaryDirectory() as name:
        store = open_store(f"{name}/r.sqlite")
        init_record(store)
        plan_id = recorded(store, dosed_plan(planned={"ipilimumab": lesions}))
        source = given_csv(
            Path(name), *(row(lesion=f"L{place}", ml=f"{ml / 100:.2f}") for place, ml in rows)
        )
        reasons = dict.fromkeys(("given_above_prescribed", "given_row_repeated"), "a random list")
        noted = note_given(store, plan_id, source, accept_reasons=reasons)
        assert show_plan(store, plan_id)["doses"] == noted["doses"]
        assert verify_record(store)["whole"]
        store.close()
    assert len(noted["doses"]) == len(planned)
    for place, dose in enumerate(noted["doses"]):
        got = Fraction(sum(ml for where, ml in rows if where == place), 100)
        whole = Fraction(planned[place], 100)
        assert (Fraction(dose["planned_ml"]), Fraction(dose["given_ml"])) == (whole, got)
        assert Fraction(dose["remaining_ml"]) == whole - got
        assert Fraction(dose["given_mg"]) == 5 * got
        assert Fraction(dose["remaining_mg"]) + Fraction(dose["given_mg"]) == 5 * whole


def test_the_command_ends_with_3_where_it_is_refused_and_0_where_it_is_noted(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan_id = recorded(store, dosed_plan())
    call = ("record", "give", plan_id, "--store", store.file, "--from")
    bad = given_csv(tmp_path, row(expiry="2020-01"))
    code, document, err = run(capsys, *call, bad)
    assert (code, document["schema"]) == (3, "irplan.record_give/1")
    assert document["refused"]["code"] == "given_drug_expired"
    assert "given.csv" in err
    code, document, _ = run(capsys, *call, bad, "--accept", "given_drug_expired=no other lot")
    assert (code, document["new"]) == (0, True)
    code, document, _ = run(capsys, *call, given_csv(tmp_path, row(ml="1")), "--replace")
    assert (code, document["replaces"]) == (0, [3])
    assert run(capsys, "record", "give", plan_id, "--store", store.file)[0] == 2


# What someone with a database tool does to what was given ------------------------------------

#: Entries: 1 made, 2 the plan, 3 a list of two rows, 4 the one that replaced it.
TAMPERING = [
    ("UPDATE given SET ml = '0.2' WHERE id = 3", (4, "given_edited")),
    ("UPDATE given SET ml = '1.10' WHERE id = 3", (4, "given_edited")),
    ("UPDATE given SET ml = 'much' WHERE id = 1", (3, "given_edited")),
    ("UPDATE given SET mg = '5' WHERE id = 1", (3, "given_edited")),
    ("UPDATE given SET lesion_id = 'L2' WHERE id = 1", (3, "given_edited")),
    ("UPDATE given SET lot = 'B1' WHERE id = 2", (3, "given_edited")),
    ("UPDATE given SET closed = 1 WHERE id = 3", (4, "given_edited")),
    ("UPDATE given SET reason = '' WHERE id = 2", (3, "given_edited")),
    ("UPDATE given SET number = 7 WHERE id = 2", (3, "given_edited")),
    ("DELETE FROM given WHERE id = 2", (3, "given_edited")),
    ("DELETE FROM given WHERE list_id = 2", (4, "given_edited")),
    ("INSERT INTO given SELECT 9, list_id, 2, drug, lesion_id, deposit_id, ml, mg, time, lot, "
     "expiry, closed, reason FROM given WHERE id = 3", (4, "given_edited")),
    ("UPDATE given SET list_id = 99 WHERE id = 3", (None, "given_edited")),
    ("DELETE FROM given_list WHERE id = 2", (4, "given_removed")),
    ("DELETE FROM given; DELETE FROM given_list", (3, "given_removed")),
    ("UPDATE given_list SET replaces = '[]' WHERE id = 2", (4, "given_edited")),
    ("UPDATE given_list SET plan_id = 2 WHERE id = 2", (4, "given_edited")),
    ("UPDATE given_list SET plan_id = 77 WHERE id = 2", (None, "given_edited")),
    ("UPDATE given_list SET source_sha256 = 'x' WHERE id = 1", (3, "given_edited")),
    ("UPDATE given_list SET sequence = 2 WHERE id = 1", (None, "given_unrecorded")),
    ("INSERT INTO given_list VALUES (9, 1, 5, '[]', 'x')", (None, "given_unrecorded")),
    ("UPDATE audit SET payload = replace(payload, '1.1', '0.1') WHERE sequence = 4",
     (4, "edited")),
    ("UPDATE audit SET payload = replace(payload, '1.1', '0.1') WHERE sequence = 4;"
     "UPDATE given SET ml = '0.1' WHERE id = 3", (4, "edited")),
    ("DELETE FROM audit WHERE sequence = 4", (None, "given_unrecorded")),
]  # fmt: skip


@pytest.fixture
def filled(store: Store, tmp_path: Path) -> tuple[Store, str]:
    plan_id = recorded(store, dosed_plan())
    rows = (row(ml="1.2"), row(lesion="L2", ml="0.5", closed="yes", reason="pain"))
    note_given(store, plan_id, given_csv(tmp_path, *rows))
    note_given(store, plan_id, given_csv(tmp_path, row(ml="1.1")), replace=True)
    recorded(store, dosed_plan(visit=2, mark=1), visit=2)
    return store, plan_id


@pytest.mark.parametrize(("script", "expected"), TAMPERING)
def test_tampering_with_what_was_given_shows_and_is_placed(
    filled: tuple[Store, str], script: str, expected: tuple[int | None, str]
) -> None:
    store, _ = filled
    assert verify_record(store)["whole"]
    _past_the_triggers(store, script)
    report = verify_record(store)
    assert not report["whole"]
    assert expected in [(one["sequence"], one["kind"]) for one in report["breaks"]]


def test_nobody_doses_by_numbers_that_were_tampered_with(
    filled: tuple[Store, str], tmp_path: Path
) -> None:
    from irplan.record import earlier_visits

    store, plan_id = filled
    _past_the_triggers(store, "UPDATE given SET ml = '0.2', mg = '1' WHERE id = 3")
    source = given_csv(tmp_path, row())
    for call in (
        lambda: earlier_visits(store, "S1", 2),
        lambda: show_plan(store, plan_id),
        lambda: note_given(store, plan_id, source, replace=True),
    ):
        with pytest.raises(InputRefused) as refused:
            call()
        assert refused.value.code == "record_broken"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE given SET ml = '0.2'",
        "DELETE FROM given WHERE id = 1",
        "INSERT OR REPLACE INTO given SELECT * FROM given WHERE id = 1",
        "INSERT OR REPLACE INTO given SELECT 9, list_id, number, drug, lesion_id, deposit_id, ml, "
        "mg, time, lot, expiry, closed, reason FROM given WHERE id = 1",
        "UPDATE given_list SET replaces = '[]'",
        "DELETE FROM given_list",
        "INSERT OR REPLACE INTO given_list SELECT 9, plan_id, sequence, replaces, source_sha256 "
        "FROM given_list WHERE id = 1",
    ],
)
def test_the_database_itself_refuses_changes(filled: tuple[Store, str], statement: str) -> None:
    store, _ = filled
    assert store.file is not None
    with closing(sqlite3.connect(store.file)) as other:
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            other.execute(statement)
        other.rollback()
    assert verify_record(store)["whole"]


def _past_the_triggers(store: Store, script: str) -> None:
    assert store.file is not None
    with closing(sqlite3.connect(store.file, isolation_level=None)) as other:
        names = other.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in names:
            other.execute(f"DROP TRIGGER {name}")
        other.executescript(script)
