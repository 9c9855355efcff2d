"""What goes into the record, what is refused, and what never lies in the file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from irplan.errors import CallError, InputRefused, IrplanError
from irplan.record import Store, add_plan, list_plans, show_plan, verify_record
from irplan.record.pseudonym import pseudonymous

from .conftest import PATIENT_ID, numbered_plan, plan_bytes


def test_a_plan_comes_back_as_it_was_but_for_the_patient(store: Store) -> None:
    original = plan_bytes()
    added = add_plan(store, original, "NIV-003", 2, actor="dr x")
    plan = json.loads(original)
    assert added["schema"] == "irplan.record_add/1"
    assert (added["new"], added["sequence"], added["findings"]) == (True, 2, [])
    assert added["original_sha256"] == hashlib.sha256(original).hexdigest()

    shown = show_plan(store, plan["plan_id"])
    stored = shown["plan"]
    assert shown["plan_id"] == stored["plan_id"] == plan["plan_id"]
    assert (shown["subject"], shown["visit"], shown["added_by"]) == ("NIV-003", 2, "dr x")
    assert stored["case"] == {**plan["case"], "patient_id": ""}
    assert stored["allocation"] == plan["allocation"]
    assert "run" not in stored
    message = stored["findings"][0]["message"]
    assert message == "read from [removed] see https://doi.org/10.1/x, 5 mg/mL"
    assert stored["lesions"][0]["name"] == "node of [removed]"
    assert [one["action"] for one in shown["audit"]] == ["plan_added"]
    assert shown["audit"][0]["hash"] == added["head"]


def test_exact_decimals_survive(store: Store) -> None:
    original = plan_bytes().decode().replace('"weight_kg": 70', '"weight_kg": 70.50')
    # The id is of the text of the numbers: 70.50 stays 70.50.
    plan = json.loads(original)
    content = {key: value for key, value in plan.items() if key not in ("run", "plan_id")}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False).replace("70.5", "70.50")
    new_id = hashlib.sha256(text.encode()).hexdigest()[:32]
    add_plan(store, original.replace(plan["plan_id"], new_id).encode(), "S1", 1)
    assert str(show_plan(store, new_id)["plan"]["allocation"]["weight_kg"]) == "70.50"


def test_nothing_in_the_file_names_the_patient(store: Store) -> None:
    add_plan(store, plan_bytes(), "S1", 1)
    assert store.file is not None
    content = store.file.read_bytes().lower()
    for name in (PATIENT_ID, "dupont", "jeanne", "scanner-room"):
        assert name.lower().encode() not in content


def test_the_same_plan_again_adds_nothing_and_says_so(store: Store) -> None:
    first = add_plan(store, plan_bytes(), "S1", 1)
    again = add_plan(store, plan_bytes(), "S1", 1)
    assert (again["new"], again["sequence"], again["head"]) == (False, 2, first["head"])
    assert [one["code"] for one in again["findings"]] == ["plan_already_recorded"]
    assert verify_record(store)["entries"] == 2


@pytest.mark.parametrize(("subject", "visit"), [("S2", 1), ("S1", 2)])
def test_one_plan_is_not_for_two(store: Store, subject: str, visit: int) -> None:
    add_plan(store, plan_bytes(), "S1", 1)
    with pytest.raises(InputRefused, match="stands in the record for subject S1, visit 1"):
        add_plan(store, plan_bytes(), subject, visit)
    assert verify_record(store)["entries"] == 2


def test_the_same_scan_under_another_subject_warns(store: Store) -> None:
    add_plan(store, numbered_plan(1), "S1", 1)
    second = add_plan(store, numbered_plan(2), "S2", 1)
    assert [one["code"] for one in second["findings"]] == ["study_under_another_subject"]
    assert "S1" in second["findings"][0]["message"]
    shown = show_plan(store, second["plan_id"])
    assert shown["audit"][0]["payload"]["findings"] == second["findings"]


@pytest.mark.parametrize(("visit", "codes"), [(3, []), (2, ["record_visit_differs"])])
def test_another_visit_than_the_plans_warns(store: Store, visit: int, codes: list[str]) -> None:
    plan = plan_bytes(lambda plan: plan["allocation"].update(visit=3))
    added = add_plan(store, plan, "S1", visit)
    assert [one["code"] for one in added["findings"]] == codes
    assert added["new"]


def _without(key: str) -> Any:
    return lambda plan: plan.pop(key)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"", "not_a_plan"),
        (b"\xff\xfe", "not_a_plan"),
        (b"[]", "not_a_plan"),
        (b"{" * 100_000, "not_a_plan"),
        (b'{"schema": "irplan.plan/1", "schema": "irplan.plan/1"}', "not_a_plan"),
        (b'{"schema": "irplan.allocation/1"}', "not_a_plan"),
        (b'{"schema": "irplan.plan/1", "refused": {}}', "not_a_plan"),
        (plan_bytes().replace(b"70", b"NaN"), "not_a_plan"),
        (plan_bytes(_without("case")), "not_a_plan"),
        (plan_bytes(_without("needles")), "not_a_plan"),
        (plan_bytes(lambda plan: plan.update(version="1")), "not_a_plan"),
        (plan_bytes(lambda plan: plan.update(case=[])), "not_a_plan"),
        (plan_bytes(lambda plan: plan.update(allocation=None)), "not_a_plan"),
        (plan_bytes().replace(b"node of", b"\\ud800"), "not_a_plan"),
        (plan_bytes().replace(b'"weight_kg": 70', b'"weight_kg": 71'), "plan_id_mismatch"),
        (plan_bytes().replace(b'"version": 1', b'"version": 2'), "plan_id_mismatch"),
        (plan_bytes().replace(b"2026-01-05", b"2026-01-06"), "plan_id_mismatch"),
        (plan_bytes().replace(b'"weight_kg": 70', b'"weight_kg": 70.0'), "plan_id_mismatch"),
    ],
)
def test_what_is_no_plan_or_was_changed_is_refused(
    store: Store, document: bytes, code: str
) -> None:
    with pytest.raises(InputRefused) as refused:
        add_plan(store, document, "S1", 1, source="case/plan.json")
    assert refused.value.code == code
    assert "case/plan.json" in refused.value.message
    assert verify_record(store)["entries"] == 1


def test_a_changed_run_is_no_change_of_the_plan(store: Store) -> None:
    changed = plan_bytes().replace(b"scanner-room-2", b"elsewhere")
    assert add_plan(store, changed, "S1", 1)["new"]
    assert not add_plan(store, plan_bytes(), "S1", 1)["new"]


@pytest.mark.parametrize(
    ("subject", "visit"),
    [
        ("", 1),
        ("Jeanne Dupont", 1),
        ("-S1", 1),
        ("S1/2", 1),
        ("é", 1),
        ("S" * 65, 1),
        ("S1\n", 1),
        ("S1", 0),
        ("S1", -1),
        ("S1", 10_000),
    ],
)
def test_codes_and_visits_that_cannot_be(store: Store, subject: str, visit: int) -> None:
    with pytest.raises(CallError):
        add_plan(store, plan_bytes(), subject, visit)


def test_the_patient_id_is_no_pseudonym_unless_a_person_says_why(store: Store) -> None:
    with pytest.raises(InputRefused) as refused:
        add_plan(store, plan_bytes(), PATIENT_ID.lower(), 1)
    assert refused.value.code == "subject_is_patient_id"
    assert PATIENT_ID.lower() not in str(refused.value).lower()
    with pytest.raises(InputRefused):
        add_plan(store, plan_bytes(), PATIENT_ID, 1, accept={"subject_is_patient_id": " "})
    accepted = {"subject_is_patient_id": "scan de-identified by the sponsor"}
    added = add_plan(store, plan_bytes(), PATIENT_ID, 1, accept=accepted)
    assert [one["code"] for one in added["findings"]] == ["subject_was_patient_id"]


def test_list_is_by_subject_visit_and_entry(store: Store) -> None:
    for number, (subject, visit) in enumerate([("S2", 1), ("S1", 2), ("S1", 1), ("S1", 2)]):
        add_plan(store, numbered_plan(number), subject, visit)
    listed = list_plans(store)
    assert listed["schema"] == "irplan.record_list/1"
    ids = [json.loads(numbered_plan(number))["plan_id"] for number in (2, 1, 3, 0)]
    assert [one["plan_id"] for one in listed["plans"]] == ids
    assert [one["visit"] for one in list_plans(store, "S1")["plans"]] == [1, 2, 2]
    assert list_plans(store, "S9")["plans"] == []


def test_show_takes_a_short_id_and_refuses_an_unknown_one(store: Store) -> None:
    plan_id = add_plan(store, plan_bytes(), "S1", 1)["plan_id"]
    assert show_plan(store, plan_id[:8])["plan_id"] == plan_id
    for wrong in (plan_id[:7], "f" * 32, "", "%", "________"):
        with pytest.raises(IrplanError, match="no plan"):
            show_plan(store, wrong)


@pytest.mark.parametrize(
    ("patient_id", "text", "expected"),
    [
        ("4711", "patient 4711, 14711 voxels", "patient [removed], 14711 voxels"),
        ("a.b*", "x a.b* y aXb", "x [removed] y aXb"),
        ("12", "12 of 12", "12 of 12"),
        ("", "/home/jeanne/ct 5 mg/kg", "[removed] 5 mg/kg"),
        ("", r"C:\scans\jeanne\1.dcm is cut", "[removed] is cut"),
        ("", "a/b, 1/3 and 25 / 30 / 2", "a/b, 1/3 and 25 / 30 / 2"),
        (
            "",
            "https://clinicaltrials.gov/study/NCT02857569",
            "https://clinicaltrials.gov/study/NCT02857569",
        ),
    ],
)
def test_what_is_taken_out_of_sentences(patient_id: str, text: str, expected: str) -> None:
    plan = {"case": {"patient_id": patient_id}, "findings": [{"message": text}]}
    assert pseudonymous(plan)["findings"][0]["message"] == expected


def test_every_patient_entry_goes_but_the_position(tmp_path: Path) -> None:
    case = {
        "patient_id": "x",
        "patient_name": "y",
        "patient_birth_date": "z",
        "patient_position": "prone",
    }
    cleaned = pseudonymous({"case": case, "settings": {"patient_sex": "F", "n": [1]}})
    assert cleaned["case"] == {
        "patient_id": "",
        "patient_name": "",
        "patient_birth_date": "",
        "patient_position": "prone",
    }
    assert cleaned["settings"] == {"patient_sex": "", "n": [1]}
