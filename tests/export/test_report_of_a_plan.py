"""A computed plan on paper and in the record: the same numbers as in its plan.json."""

from __future__ import annotations

import csv
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pypdf import PdfReader

from irplan.jsonio import loads
from irplan.lesions import Diameter, Prompt
from irplan.phantom import PhantomSpec, build_phantom
from irplan.phantom.gestures import diameters
from irplan.record import add_plan, init_record, open_store, show_plan, verify_record
from irplan.session import PlanningSession
from irplan.units import decimal_text


def told(value: Decimal | int) -> str:
    """A number of the document as text; one without a point is read as a whole number."""
    return decimal_text(Decimal(value))


def dosed(value: Decimal | int) -> str:
    """A dose as text: two decimals, as the steps of 0.01 mL and 0.05 mg have."""
    assert Decimal(value) == round(Decimal(value), 2)
    return f"{value:.2f}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a plan for two superficial lesions of the lower abdomen, on a coarse grid."""
    spec = PhantomSpec(
        columns=160, rows=160, slices=80, spacing_z_mm=4.0, centre_mm=(0.0, 8.0, -200.0)
    )
    phantom = build_phantom(spec)
    session = PlanningSession()
    volume = phantom.volume()
    who = replace(volume.identity, patient_id="HOSP-4711", patient_name="Dupré^Zoë")
    session.open_volume(replace(volume, identity=who))
    session.change(lambda request: replace(request, weight_kg=Decimal("70.5"), biopsies=("L2",)))
    prompts = []
    for name in ("L2", "L3"):
        lines = [
            Diameter(tuple(map(float, start)), tuple(map(float, end)))
            for start, end in diameters(phantom.lesion(name))
        ]
        prompts.append(Prompt(name, None, tuple(lines)))
    session.add_lesions(prompts)
    target = tmp_path_factory.mktemp("plan")
    session.save(target)
    return target


@pytest.fixture(scope="module")
def plan(folder: Path) -> dict[str, Any]:
    return loads((folder / "plan.json").read_bytes())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def pages(folder: Path) -> list[str]:
    reader = PdfReader(folder / "report.pdf")
    return [" ".join(page.extract_text().split()) for page in reader.pages]


def test_every_needle_of_the_plan_has_its_page(plan: dict[str, Any], pages: list[str]) -> None:
    assert plan["needles"]
    for needle in plan["needles"]:
        title = f"Needle {needle['needle_id']} → {', '.join(needle['lesion_ids'])}"
        (page,) = [page for page in pages if title in page]
        for key in ("depth_mm", "axial_angle_deg", "craniocaudal_angle_deg", "skin_angle_deg"):
            assert told(needle[key]) in page
        for key in ("entry_lps_mm", "tip_lps_mm"):
            assert ", ".join(told(number) for number in needle[key]) in page
        for name, value in needle["clearance_mm"].items():
            assert f"{name} {told(value)}" in page
        for deposit in needle["deposits"]:
            for drug, ml in deposit["ml"].items():
                assert f"{drug} {dosed(ml)} mL" in page


def test_a_biopsy_that_is_due_is_in_the_plan_and_on_paper(
    plan: dict[str, Any], pages: list[str]
) -> None:
    (biopsy,) = plan["biopsies"]
    assert biopsy["lesion_id"] == "L2"
    needle = next(one for one in plan["needles"] if one["needle_id"] == biopsy["before"])
    assert "L2" in needle["lesion_ids"]
    entry, end = (np.array(biopsy[name], float) for name in ("entry_lps_mm", "end_lps_mm"))
    assert float(biopsy["depth_mm"]) == pytest.approx(np.linalg.norm(end - entry), abs=0.06)
    assert f"B1 L2 before {biopsy['before']}, through {needle['entry_id']}" in pages[0]
    (page,) = [page for page in pages if f"Needle {biopsy['before']} → L2" in page]
    assert "B1 of L2 along this track" in page


def test_every_superficial_lesion_has_its_card(plan: dict[str, Any], pages: list[str]) -> None:
    cards = {one["lesion_id"]: one for one in plan["cards"]}
    assert set(cards) == {"L2", "L3"}
    for lesion_id, card in cards.items():
        (page,) = [page for page in pages if f"Card {lesion_id}: under ultrasound" in page]
        assert card["region"]["words"] in page
        assert f"{told(card['depth_mm'])} mm to the nearest border" in page
        assert " × ".join(told(size) for size in card["diameters_mm"]) in page
        assert [one["kind"] for one in card["surroundings"]] == [
            "large vessels",
            "airway",
            "nerves",
        ]
        for one in card["surroundings"]:
            assert all(name.replace("_", " ") in page for name in one["unknown"])
            if one["nearest"] is not None:
                words = f"{one['nearest'].replace('_', ' ')} {told(one['distance_mm'])} mm from"
                assert words in page
            elif not one["known"]:
                assert f"{one['kind']} NOT KNOWN" in page
        assert "NOT SEGMENTED - UNKNOWN, NOT SAFE" in page
        needles = [one for one in plan["needles"] if lesion_id in one["lesion_ids"]]
        assert [one["needle_id"] for one in card["passes"]] == [one["needle_id"] for one in needles]
        for one in card["passes"]:
            assert f"ipilimumab {dosed(one['ml']['ipilimumab'])} mL" in page
    # L2 lies on the right, L3 on the left, both in front.
    sides = {lesion_id: card["region"]["side"] for lesion_id, card in cards.items()}
    assert sides == {"L2": "right", "L3": "left"}


def test_the_first_page_has_every_dose_and_everything_that_forbids_or_warns(
    plan: dict[str, Any], pages: list[str]
) -> None:
    assert all("Dupré Zoë · ID HOSP-4711" in page for page in pages)
    front = " ".join(pages[:2])
    (drug,) = plan["allocation"]["drugs"]
    assert [one["lesion_id"] for one in drug["lesions"]] == ["L2", "L3"]
    for one in drug["lesions"]:
        assert f"{dosed(one['ml'])} mL = {dosed(one['mg'])} mg" in pages[0]
    assert "70.5 kg" in pages[0]
    for finding in plan["findings"]:
        if finding["severity"] != "info":
            assert f"[{finding['code']}]" in front
    for name in plan["unknown_structures"]:
        assert name in pages[0]
    text = " ".join(pages)
    for item in plan["inputs"]:
        assert item["sha256"] in text
    for item in plan["checklist"]:
        assert " ".join(item["text"].split()) in text


def test_a_side_that_nobody_gave_is_printed_as_proposed(pages: list[str]) -> None:
    # Nobody named the sides of this case; they were read off the CT.
    assert "right (proposed)" in pages[0]
    assert "left (proposed)" in pages[0]


def test_the_tables_add_up_to_the_plan(plan: dict[str, Any], folder: Path) -> None:
    (drug,) = plan["allocation"]["drugs"]
    with (folder / "allocation.csv").open(newline="") as file:
        doses = list(csv.DictReader(file))
    assert sum(Decimal(row["ml"]) for row in doses) == drug["prescribed_ml"]
    assert sum(Decimal(row["mg"]) for row in doses) == drug["prescribed_mg"]
    with (folder / "syringes.csv").open(newline="") as file:
        syringes = list(csv.DictReader(file))
    for one in drug["lesions"]:
        given = [
            Decimal(row["give_ml"]) for row in syringes if row["lesion_id"] == one["lesion_id"]
        ]
        assert sum(given) == one["ml"]


def test_the_plan_goes_into_the_record_without_its_patient(
    plan: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    store = open_store(str(tmp_path / "record.sqlite"))
    init_record(store)
    added = add_plan(store, (folder / "plan.json").read_bytes(), "NIV-001", 1)
    assert added["new"]
    stored = show_plan(store, plan["plan_id"])["plan"]
    assert stored["allocation"] == plan["allocation"]
    assert stored["needles"] == plan["needles"]
    assert verify_record(store, head=added["head"])["whole"]
    assert plan["case"]["patient_id"] == "HOSP-4711"
    assert b"HOSP-4711" not in (tmp_path / "record.sqlite").read_bytes()
