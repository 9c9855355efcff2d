"""The whole way on the sample patient, judged by what is true about that patient.

The truth lies in files of its own (label maps and analytic volumes); the plan is made from the
DICOM files and the gestures alone, by the program.
"""

from __future__ import annotations

import csv
import json
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from program_under_test import run_program

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / "sample_dicom"

#: What a needle must never cross, by the beginning of the name in the truth.
OBSTACLES = (
    "rib",
    "vertebra",
    "sternum",
    "scapula",
    "clavicula",
    "hip",
    "sacrum",
    "femur",
    "humerus",
    "heart",
    "aorta",
    "pulmonary",
    "inferior_vena_cava",
    "superior_vena_cava",
    "portal_vein",
    "carotid",
    "common_carotid",
    "internal_jugular",
    "iliac_artery",
    "iliac_vena",
    "femoral_artery",
    "femoral_vein",
    "axillary_vessels",
    "renal_vessels",
    "brachiocephalic",
    "celiac",
    "subclavian",
    "colon",
    "small_bowel",
    "stomach",
    "duodenum",
    "gallbladder",
    "spinal",
    "trachea",
)


def irplan(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program as a program."""
    return run_program(*arguments, timeout=500)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plan folder of the first visit."""
    out = tmp_path_factory.mktemp("plan") / "plan"
    run = irplan(
        "plan", SAMPLE / "visit1", "--clicks", SAMPLE / "clicks1.csv", "--weight-kg", "70",
        "--out", out, "--json",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return out


@pytest.fixture(scope="module")
def plan(folder: Path) -> dict[str, Any]:
    """The plan document."""
    return json.loads((folder / "plan.json").read_text(), parse_float=Decimal)


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    """What is true about the patient at the first visit."""
    return json.loads((SAMPLE / "truth" / "visit1" / "truth.json").read_text())


class Labels:
    """A label map read by a second library, asked for points in LPS mm."""

    def __init__(self, path: Path) -> None:
        self.image = sitk.ReadImage(str(path))
        self.array = sitk.GetArrayViewFromImage(self.image)

    def at(self, point: np.ndarray) -> int:
        i, j, k = self.image.TransformPhysicalPointToIndex([float(x) for x in point])
        inside = all(0 <= n < m for n, m in zip((i, j, k), self.image.GetSize(), strict=True))
        return int(self.array[k, j, i]) if inside else 0


def along(needle: dict[str, Any], step_mm: float = 0.25) -> np.ndarray:
    """Points on the axis of a needle, from skin to tip."""
    entry = np.array(needle["entry_lps_mm"], dtype=float)
    tip = np.array(needle["tip_lps_mm"], dtype=float)
    count = int(np.linalg.norm(tip - entry) / step_mm) + 2
    return entry + np.linspace(0, 1, count)[:, None] * (tip - entry)


def test_every_lesion_has_a_dose_and_a_path(plan: dict[str, Any], truth: dict[str, Any]) -> None:
    ids = {lesion["lesion_id"] for lesion in truth["lesions"]}
    assert {lesion["lesion_id"] for lesion in plan["lesions"]} == ids
    assert {dose["lesion_id"] for dose in plan["allocation"]["drugs"][0]["lesions"]} == ids
    reached = {name for needle in plan["needles"] for name in needle["lesion_ids"]}
    assert reached == ids
    assert plan["unreachable"] == []


def test_volumes_come_back_within_five_percent(plan: dict[str, Any], truth: dict[str, Any]) -> None:
    exact = {lesion["lesion_id"]: lesion["volume_ml"] for lesion in truth["lesions"]}
    errors = {
        lesion["lesion_id"]: float(lesion["volume_ml"]) / exact[lesion["lesion_id"]] - 1
        for lesion in plan["lesions"]
    }
    assert {name: error for name, error in errors.items() if abs(error) > 0.05} == {}


def test_the_bands_hold_the_true_volumes(plan: dict[str, Any], truth: dict[str, Any]) -> None:
    exact = {lesion["lesion_id"]: lesion["volume_ml"] for lesion in truth["lesions"]}
    held = [
        float(lesion["volume_low_ml"])
        <= exact[lesion["lesion_id"]]
        <= float(lesion["volume_high_ml"])
        for lesion in plan["lesions"]
    ]
    # Nine times in ten is what a band means: of seven, one may miss.
    assert sum(held) >= len(held) - 1


def test_the_doses_follow_from_the_printed_volumes_exactly(plan: dict[str, Any]) -> None:
    drug = plan["allocation"]["drugs"][0]
    # 70 kg × 0.3 mg/kg = 21 mg = 4.20 mL of 5 mg/mL.
    assert drug["prescribed_mg"] == 21
    assert drug["prescribed_ml"] == Decimal("4.20")
    doses = {dose["lesion_id"]: dose for dose in drug["lesions"]}
    volumes = {lesion["lesion_id"]: lesion["volume_ml"] for lesion in plan["lesions"]}
    total = sum(volumes.values())
    for name, dose in doses.items():
        share = Decimal("4.20") * volumes[name] / total
        assert abs(dose["ml"] - share) < Decimal("0.01")
        assert dose["ml"] % Decimal("0.01") == 0
        assert dose["mg"] == dose["ml"] * 5
    assert sum(dose["ml"] for dose in doses.values()) + drug["residual_ml"] == Decimal("4.20")


def test_the_deposits_of_a_lesion_add_up_to_its_dose(plan: dict[str, Any]) -> None:
    given: dict[str, Decimal] = {}
    for needle in plan["needles"]:
        for deposit in needle["deposits"]:
            name = deposit["lesion_id"]
            given[name] = given.get(name, Decimal(0)) + deposit["ml"]["ipilimumab"]
    doses = {d["lesion_id"]: d["ml"] for d in plan["allocation"]["drugs"][0]["lesions"]}
    assert given == doses


def test_no_needle_crosses_what_must_not_be_crossed(
    plan: dict[str, Any], truth: dict[str, Any]
) -> None:
    labels = Labels(SAMPLE / "truth" / "visit1" / "anatomy.nrrd")
    names = {one["label"]: one["name"] for one in truth["structures"]}
    for needle in plan["needles"] + plan["alternatives"]:
        crossed = {names.get(labels.at(point), "") for point in along(needle)}
        hit = sorted(name for name in crossed if name.startswith(OBSTACLES))
        assert hit == [], f"{needle['needle_id']} to {needle['lesion_ids']} crosses {hit}"


def test_every_deposit_lies_in_its_lesion(plan: dict[str, Any], truth: dict[str, Any]) -> None:
    lesions = Labels(SAMPLE / "truth" / "visit1" / "lesions.nrrd")
    label_of = {lesion["lesion_id"]: lesion["label"] for lesion in truth["lesions"]}
    for needle in plan["needles"] + plan["alternatives"]:
        for deposit in needle["deposits"]:
            position = np.array(deposit["position_lps_mm"], dtype=float)
            assert lesions.at(position) == label_of[deposit["lesion_id"]], deposit


def test_the_tables_beside_the_plan_say_the_same(folder: Path, plan: dict[str, Any]) -> None:
    with (folder / "allocation.csv").open(newline="") as file:
        rows = {row["lesion_id"]: row for row in csv.DictReader(file) if row.get("lesion_id")}
    for dose in plan["allocation"]["drugs"][0]["lesions"]:
        row = rows[dose["lesion_id"]]
        assert Decimal(row["ml"]) == dose["ml"]
        assert Decimal(row["mg"]) == dose["mg"]


@pytest.mark.long
def test_verify_names_one_changed_digit(folder: Path, plan: dict[str, Any], tmp_path: Path) -> None:
    import shutil

    changed = tmp_path / "plan"
    shutil.copytree(folder, changed)
    text = (changed / "plan.json").read_text()
    dose = str(plan["allocation"]["drugs"][0]["lesions"][0]["ml"])
    last = str((int(dose[-1]) + 1) % 10)
    (changed / "plan.json").write_text(text.replace(f'"ml": {dose}', f'"ml": {dose[:-1]}{last}', 1))
    run = irplan("verify", changed, SAMPLE / "visit1", "--json")
    assert run.returncode == 6, run.stderr
    paths = [one["path"] for one in json.loads(run.stdout)["differences"]]
    assert any(path.startswith("allocation.drugs[0].lesions[0].ml") for path in paths)


def test_verify_refuses_another_scan(folder: Path) -> None:
    run = irplan("verify", folder, SAMPLE / "visit2")
    assert run.returncode == 3
    assert "not the scan" in run.stderr


def test_verify_refuses_without_the_inputs(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes((folder / "plan.json").read_bytes())
    run = irplan("verify", tmp_path / "plan.json", SAMPLE / "visit1")
    assert run.returncode == 3
    assert "absent" in run.stderr
