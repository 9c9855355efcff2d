"""``--accept`` with a code that lifts nothing: told, never passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from irplan import jsonio
from irplan.cli.main import main


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "lesions.csv"
    path.write_text("lesion_id,volume_ml\nL1,1.2\nL2,0.8\n", encoding="utf-8")
    return path


def call(table: Path, *words: str) -> int:
    return main(["allocate", str(table), "--weight-kg", "70", "--json", *words])


def test_a_misspelt_code_is_a_wrong_call_and_the_right_one_is_named(table, capsys) -> None:
    assert call(table, "--accept", "volume_exceed_lesion=small") == 2
    told = capsys.readouterr()
    assert "there is no finding 'volume_exceed_lesion'" in told.err
    assert "did you mean volume_exceeds_lesion?" in told.err


def test_a_code_that_no_reason_lifts_stands_and_says_so(table, capsys) -> None:
    assert call(table, "--accept", "fraction_high=seen") == 0
    told = capsys.readouterr()
    assert "--accept fraction_high: no reason lifts this" in told.err
    found = jsonio.loads(told.out)["findings"]
    assert {one["accepted"] for one in found if one["code"] == "fraction_high"} == {None}


def test_codes_of_other_stages_and_those_that_lift_are_taken(table, capsys) -> None:
    words = (
        "--accept",
        "position_differs=not this stage",
        "--accept",
        "volume_exceeds_lesion=seen",
    )
    assert call(table, *words) == 0
    told = capsys.readouterr()
    assert "--accept" not in told.err
    found = jsonio.loads(told.out)["findings"]
    assert [one["accepted"] for one in found if one["code"] == "volume_exceeds_lesion"] == [
        "seen", "seen",
    ]  # fmt: skip
