"""The cohort's report says what the batch's own table says."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest
from pypdf import PdfReader

from irplan.batch import run_batch
from irplan.errors import InputRefused
from irplan.export.cohort import write_cohort_report
from irplan.manifest import read_manifest


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    lines = ["case_id,volumes,weight_kg"]
    for number in range(8):
        volume = "0" if number == 5 else f"{20 + number}.5"
        text = f"lesion_id,volume_ml,injectable,reason\nA,{volume},,\nB,9,no,beside the carotid\n"
        (folder / f"{number}.csv").write_text(text)
        lines.append(f"P{number},{number}.csv,{60 + number}")
    (folder / "m.csv").write_text("\n".join(lines) + "\n")
    run_batch(read_manifest(folder / "m.csv", {}), folder / "out")
    return folder / "out"


def test_the_sums_are_those_of_the_table(batch: Path, tmp_path: Path) -> None:
    cohort = write_cohort_report(batch, tmp_path / "c.pdf")
    with (batch / "batch.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    given = [Decimal(row["allocated_mg"]) for row in rows if row["status"] == "ok"]
    # 0.3 mg/kg of 60 … 67 kg without 65 kg.
    assert sum(given) == sum(Decimal("0.3") * kg for kg in (60, 61, 62, 63, 64, 66, 67))
    assert sum(cohort.totals_mg["ipilimumab"]) == sum(given)
    assert cohort.exclusions["not_injectable"] == 7
    assert [case for case, *_ in cohort.lost] == ["P5"]
    text = "\n".join(page.extract_text() for page in PdfReader(tmp_path / "c.pdf").pages)
    # 18.9 mg is the fourth of the seven doses.
    for said in (
        str(sum(given)),
        "18.9",
        "allocated in all",
        "not_injectable",
        "P5",
        "refused",
        "For research use only",
    ):
        assert said in text


def test_the_same_batch_gives_the_same_bytes(batch: Path, tmp_path: Path) -> None:
    write_cohort_report(batch, tmp_path / "one.pdf")
    write_cohort_report(batch, tmp_path / "two.pdf")
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()


def test_a_folder_without_a_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no finished batch"):
        write_cohort_report(tmp_path, tmp_path / "c.pdf")
    assert not (tmp_path / "c.pdf").exists()


def test_the_median_of_two_cases_lies_between_them(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("lesion_id,volume_ml\nA,30\n")
    (tmp_path / "m.csv").write_text("case_id,volumes,weight_kg\nA,t.csv,60\nB,t.csv,81\n")
    run_batch(read_manifest(tmp_path / "m.csv", {}), tmp_path / "out")
    write_cohort_report(tmp_path / "out", tmp_path / "c.pdf")
    text = PdfReader(tmp_path / "c.pdf").pages[0].extract_text()
    # 18 and 24.3 mg: 42.3 in all, 21.15 between them.
    assert "42.3" in text
    assert "21.15" in text
