"""The CSV tables: exact sums, nothing lost, nothing that a spreadsheet would compute."""

from __future__ import annotations

import copy
import csv
import io
from decimal import Decimal
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irplan.export.tables import allocation_csv, cell_text, csv_text, syringes_csv

from .plans import made_patient, plan_document

D = Decimal


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture(scope="module")
def allocation() -> dict[str, Any]:
    return plan_document(made_patient())["allocation"]  # type: ignore[no-any-return]


def test_each_drug_adds_up_to_what_is_prescribed(allocation: dict[str, Any]) -> None:
    changed = copy.deepcopy(allocation)
    drug = changed["drugs"][0]
    drug["residual_ml"], drug["residual_mg"] = D("0.123456"), D("0.617280")
    drug["residual_reasons"] = ["max_ml", "rounding"]
    rows = rows_of(allocation_csv(changed))
    assert [row["row"] for row in rows] == ["lesion", "lesion", "residual"]
    assert sum(D(row["ml"]) for row in rows) == D("4.20") + D("0.123456")
    assert sum(D(row["mg"]) for row in rows) == D("21.00") + D("0.617280")
    assert rows[2]["limits"] == "max_ml; rounding"
    assert [row["ml"] for row in rows] == ["3.27", "0.93", "0.123456"]


def test_excluded_lesions_stand_in_the_table(allocation: dict[str, Any]) -> None:
    excluded = [{"lesion_id": "L3", "code": "not_injectable", "message": "près de la carotide"}]
    rows = rows_of(allocation_csv({**allocation, "excluded": excluded}))
    assert rows[-1]["lesion_id"] == "L3"
    assert (rows[-1]["ml"], rows[-1]["mg"], rows[-1]["why"]) == ("", "", "près de la carotide")


def test_what_was_given_before_is_shown(allocation: dict[str, Any]) -> None:
    changed = copy.deepcopy(allocation)
    changed["drugs"][0]["lesions"][0].update(given_ml=D("1.20"), remaining_ml=D("2.07"))
    row = rows_of(allocation_csv(changed))[0]
    assert (row["given_ml"], row["remaining_ml"]) == ("1.20", "2.07")


def test_one_row_for_each_syringe(allocation: dict[str, Any]) -> None:
    rows = rows_of(syringes_csv(allocation))
    assert [(row["lesion_id"], row["syringe"], row["draw_ml"]) for row in rows] == [
        ("L1", "1 of 2", "3.00"),
        ("L1", "2 of 2", "0.34"),
        ("L2", "none shows this dose", ""),
    ]
    assert sum(D(row["give_ml"]) for row in rows[:2]) == D(rows[0]["dose_give_ml"])
    assert sum(D(row["draw_ml"]) for row in rows[:2]) == D(rows[0]["dose_draw_ml"])
    assert (rows[0]["dose_mg"], rows[0]["lot"], rows[0]["expiry"]) == ("16.35", "", "")


def test_a_mixture_names_the_mg_of_each_drug(allocation: dict[str, Any]) -> None:
    changed = copy.deepcopy(allocation)
    changed["syringes"][0]["mg"] = {"ipilimumab": D("5"), "nivolumab": D("10")}
    assert rows_of(syringes_csv(changed))[0]["dose_mg"] == "ipilimumab=5.00; nivolumab=10.00"


def test_no_dose_gives_a_head_alone(allocation: dict[str, Any]) -> None:
    empty = {**allocation, "drugs": [], "excluded": [], "syringes": []}
    assert rows_of(allocation_csv(empty)) == rows_of(syringes_csv(empty)) == []
    assert allocation_csv(empty).startswith("drug,lesion_id,")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_no_text_becomes_a_formula_and_none_is_lost(text: str) -> None:
    cell = cell_text(text)
    assert cell.lstrip()[:1] not in tuple("=+-@")
    line = "".join(" " if category(letter) in ("Cc", "Zl", "Zp") else letter for letter in text)
    assert cell in (line, "'" + line)
    back = list(csv.reader(io.StringIO(csv_text(("a", "b"), [{"a": text, "b": 1}]), newline="")))
    assert back == [["a", "b"], [cell, "1"]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (D("-0.00"), "0.00"),
        (D("-1.5"), "-1.5"),
        (D("1E+3"), "1000"),
        (3, "3"),
        (True, "yes"),
        ("=1+1", "'=1+1"),
        (" @x", "' @x"),
        ("\t=1", "' =1"),
        ("two\r\nlines", "two  lines"),
        (["-a", D("1.0")], "'-a; 1.0"),
        ({"k": [D("1"), {"m": "n"}]}, "k=1, m=n"),
    ],
)
def test_cells(value: Any, text: str) -> None:
    assert cell_text(value) == text
