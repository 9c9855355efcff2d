"""The loop of visits through the record: what earlier visits gave bounds the next dose."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from irplan.dose import read_history
from irplan.errors import CallError, InputRefused
from irplan.headless import with_history
from irplan.phantom import PhantomSpec, build_phantom
from irplan.phantom.gestures import write_gestures
from irplan.plan.request import PlanRequest
from irplan.record import Store, earlier_visits, note_given
from irplan.volume_io import save_volume

from .dosed import codes, dosed_plan, given_csv, recorded, row, run

D = Decimal

#: When visits 2 and 3 gave it; the first is the day that a row has by itself.
SECOND, THIRD = "2026-01-26T10:15", "2026-02-16T10:15"
#: 0.3 mg/kg, at most 60 mg over the course: at 80 kg, 24 mg = 4.80 mL are ordered a visit.
CAPPED = """
name = "capped course"
version = "1"

[[drugs]]
name = "ipilimumab"
concentration_mg_per_ml = 5
rule = "per_kg"
amount = 0.3
max_course_mg = 60
"""


class Trial:
    """A subject's visits of 4.80 mL each, 3.60 mL into L1 and 1.20 mL into L2."""

    def __init__(self, store: Store, folder: Path, capsys: Any) -> None:
        self.store, self.folder, self.capsys = store, folder, capsys
        self.protocol = folder / "protocol.toml"
        self.protocol.write_text(CAPPED)
        self.lesions = folder / "lesions.csv"
        self.lesions.write_text("lesion_id,volume_ml\nL1,30\nL2,10\n")
        self.plans: dict[int, str] = {}

    def plan(self, visit: int) -> None:
        planned = {"ipilimumab": {"L1": "3.6", "L2": "1.2"}}
        document = dosed_plan(visit=visit, planned=planned, mark=visit)
        self.plans[visit] = recorded(self.store, document, visit=visit)

    def give(self, visit: int, *rows: str, replace: bool = False) -> None:
        source = given_csv(self.folder, *rows, name=f"{visit}.csv")
        note_given(self.store, self.plans[visit], source, replace=replace)

    def next_dose(self, visit: int, *more: object, subject: str = "S1") -> dict[str, Any]:
        code, document, err = run(
            self.capsys, "allocate", self.lesions, "--protocol", self.protocol, "--weight-kg", 80,
            "--visit", visit, "--subject", subject, "--store", self.store.file, *more,
        )  # fmt: skip
        assert code == 0, err
        return document


def amounts(document: dict[str, Any]) -> tuple[Any, ...]:
    """Given before and prescribed, mg, and each lesion's mL."""
    (drug,) = document["drugs"]
    return (
        drug["given_before_mg"],
        drug["prescribed_mg"],
        *(lesion["ml"] for lesion in drug["lesions"]),
    )


def told_of_history(document: dict[str, Any]) -> list[str]:
    """The codes about what earlier visits gave."""
    return [code for code in codes(document) if "history" in code or "unknown" in code]


@pytest.fixture
def trial(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Trial:
    return Trial(store, tmp_path, capsys)


def test_the_third_visit_under_a_course_cap(trial: Trial) -> None:
    """Worked by hand.

    Visit 1 gave all: 4.80 mL = 24 mg. At visit 2 L1 took 2.40 mL and refused the rest, L2 got its
    1.20 mL: 3.60 mL = 18 mg. 60 - 42 = 18 mg are left for visit 3, 3.60 mL: by 3 : 1 that is 2.70
    and 0.90 mL. Had the plans been taken for what was given, 60 - 48 = 12 mg would be left.
    """
    trial.plan(1)
    trial.give(1, row(ml="3.6"), row(lesion="L2", ml="1.2"))
    assert amounts(trial.next_dose(2)) == (24, 24, D("3.6"), D("1.2"))
    trial.plan(2)
    refused = row(ml="2.4", closed="yes", reason="reflux", time=SECOND)
    trial.give(2, refused, row(lesion="L2", ml="1.2", time=SECOND))
    third = trial.next_dose(3)
    assert amounts(third) == (42, 18, D("2.7"), D("0.9"))
    assert told_of_history(third) == []

    # Visit 1 is corrected: L2 got 0.40 mL, so 20 mg in all; 60 - 38 = 22 mg = 4.40 mL are left.
    trial.give(1, row(ml="3.6"), row(lesion="L2", ml="0.4"), replace=True)
    assert amounts(trial.next_dose(3)) == (38, 22, D("3.3"), D("1.1"))
    # What visit 3 has given so far is the visit's own, not its history.
    trial.plan(3)
    trial.give(3, row(ml="1", time=THIRD))
    assert amounts(trial.next_dose(3)) == (38, 22, D("3.3"), D("1.1"))
    assert told_of_history(trial.next_dose(3)) == []


def test_a_visit_of_which_nothing_is_noted_is_unknown_and_not_zero(trial: Trial) -> None:
    for visit in (1, 2):
        trial.plan(visit)
    # Nothing is known at all: as where nobody gives a history, the signature is stopped.
    nothing = trial.next_dose(3)
    assert "history_missing" in codes(nothing)
    assert "visit_given_unknown" in codes(nothing)
    trial.give(1, row(ml="3.6"))
    partly = trial.next_dose(3)
    assert {"history_gap", "visit_given_unknown"} <= set(codes(partly))
    told = [one["message"] for one in partly["findings"] if one["code"] == "visit_given_unknown"]
    assert [("visit 2" in one, "a plan of it" in one) for one in told] == [(True, True)]
    # That it gave nothing must be said; then it is known.
    trial.give(2, row(ml="0", closed="yes", reason="fever"))
    assert amounts(trial.next_dose(3))[:2] == (18, 24)
    assert told_of_history(trial.next_dose(3)) == []


def test_a_visit_without_any_plan_is_unknown_too(trial: Trial) -> None:
    trial.plan(2)
    trial.give(2, row(ml="3.6"))
    document = trial.next_dose(4)
    told = [one["message"] for one in document["findings"] if one["code"] == "visit_given_unknown"]
    assert len(told) == 1
    assert "visit 1, 3" in told[0]
    assert "no plan of it" in told[0]


def test_the_first_visit_needs_no_subject_in_the_record_and_a_later_one_does(
    trial: Trial,
) -> None:
    assert told_of_history(trial.next_dose(1, subject="S9")) == []
    with pytest.raises(InputRefused, match="no subject S9"):
        earlier_visits(trial.store, "S9", 2)


def test_history_and_subject_at_once_are_a_wrong_call(trial: Trial) -> None:
    history = trial.folder / "history.csv"
    history.write_text("visit,date,lesion_id,drug,ml,mg\n1,,L1,ipilimumab,1,5\n")
    for words in (
        ("allocate", trial.lesions),
        ("plan", trial.folder, "--mask", trial.lesions, "--out", trial.folder / "out"),
    ):
        code, document, err = run(
            trial.capsys, *words, "--weight-kg", 80, "--visit", 2, "--subject", "S1",
            "--store", trial.store.file, "--history", history,
        )  # fmt: skip
        assert (code, document["refused"]["code"]) == (2, "two_histories")
        assert "--history" in err
    assert not (trial.folder / "out").exists()
    with pytest.raises(CallError), with_history(PlanRequest(history=history), "S1"):
        pass


def test_the_table_reads_back_as_what_was_given(store: Store, tmp_path: Path) -> None:
    two = {"ipilimumab": {'L "1", x': "2.5"}, "nivolumab": {'L "1", x': "1.5"}}
    quoted = '"L ""1"", x"'
    for visit in (1, 2):
        recorded(store, dosed_plan(visit=visit, planned=two, mark=visit), visit=visit)
    first, second = (
        recorded(store, dosed_plan(visit=visit, planned=two, mark=visit), visit=visit)
        for visit in (1, 2)
    )
    note_given(store, first, given_csv(tmp_path, row(lesion=quoted, drug="", ml="", closed="yes")))
    rows = (
        row(lesion=quoted, ml="0.25", time="09:30"),
        row(lesion=quoted, drug="nivolumab", ml="0.125"),
        row(lesion=quoted, drug="nivolumab", ml="0", closed="yes"),
    )
    note_given(store, second, given_csv(tmp_path, *rows))
    earlier = earlier_visits(store, "S1", 3)
    assert (earlier.known, earlier.findings) == (True, ())
    path = tmp_path / "history.csv"
    path.write_text(earlier.csv())
    assert read_history(path) == earlier.rows
    with path.open(newline="") as file:
        table = [tuple(line.values()) for line in csv.DictReader(file)]
    # A visit that gave nothing is known, and no lesion counts as injected by it.
    assert table == [
        ("1", "", "", "ipilimumab", "0", "0"),
        ("1", "", "", "nivolumab", "0", "0"),
        ("2", "", 'L "1", x', "ipilimumab", "0.25", "1.25"),
        ("2", "2026-01-05", 'L "1", x', "nivolumab", "0.125", "1.25"),
    ]


def test_a_plan_keeps_the_history_that_it_was_computed_from(trial: Trial) -> None:
    """Visits 1 and 2 gave 48 mg, so 12 mg = 2.40 mL are left, whatever the record says later.

    The lower abdomen of the made-up patient on a coarse grid; its inguinal node L2 alone.
    """
    spec = PhantomSpec(
        columns=128, rows=128, slices=60, spacing_z_mm=5.0, centre_mm=(0.0, 8.0, -200.0)
    )
    phantom = build_phantom(spec)
    scan, clicks = trial.folder / "ct.nrrd", trial.folder / "clicks.csv"
    save_volume(phantom.volume(), scan)
    write_gestures(1, clicks)
    lines = clicks.read_text().splitlines()
    clicks.write_text(
        "\n".join([lines[0], *(one for one in lines if one.startswith("L2,"))]) + "\n"
    )
    for visit in (1, 2):
        trial.plan(visit)
        trial.give(visit, row(ml="3.6"), row(lesion="L2", ml="1.2"))
    out = trial.folder / "plan"
    code, document, err = run(
        trial.capsys, "plan", scan, "--clicks", clicks, "--protocol", trial.protocol,
        "--weight-kg", 80, "--visit", 3, "--patient-position", "supine",
        "--subject", "S1", "--store", trial.store.file, "--out", out,
    )  # fmt: skip
    assert code in (0, 4), err
    assert amounts(document["allocation"]) == (48, 12, D("2.4"))
    assert document["settings"]["request"]["history"] == "history.csv"
    assert (out / "inputs" / "history.csv").read_text().splitlines() == [
        "visit,date,lesion_id,drug,ml,mg",
        "1,2026-01-05,L1,ipilimumab,3.6,18",
        "1,2026-01-05,L2,ipilimumab,1.2,6",
        "2,2026-01-05,L1,ipilimumab,3.6,18",
        "2,2026-01-05,L2,ipilimumab,1.2,6",
    ]
    trial.give(1, row(ml="1"), replace=True)
    assert trial.store.file is not None
    trial.store.close()
    trial.store.file.unlink()
    code, verified, err = run(trial.capsys, "verify", out, scan)
    assert verified["differences"] == [], err
    assert code == 0
