"""The report read back: every number of the plan stands on its page, and nothing runs off it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from reportlab.lib.units import mm
from reportlab.platypus import Spacer

from irplan.export import report
from irplan.export.needle_views import needle_views
from irplan.export.report import parts_on_pages, render_report
from irplan.export.report_cards import along_part
from irplan.export.report_front import Person, furniture_of, scan_age, smallest_clearance
from irplan.export.report_page import (
    BOTTOM_MARGIN,
    PAGE_HEIGHT,
    TOP_MARGIN,
    build_pdf,
    load_fonts,
    markup,
    paragraph,
    printable,
)
from irplan.export.report_sources import flattened
from irplan.lesions.lesion import Lesion, LesionSource
from irplan.units import decimal_text
from irplan.volume import ScanIdentity

from .plans import Patient, made_patient, needle_document, plan_document

D = Decimal
FOOTER = "For research use only - not a medical device"


@pytest.fixture(scope="module")
def patient() -> Patient:
    return made_patient()


@pytest.fixture(scope="module")
def pages(
    patient: Patient, tmp_path_factory: pytest.TempPathFactory, small_scenes: None
) -> list[str]:
    target = tmp_path_factory.mktemp("report") / "report.pdf"
    return written(plan_document(patient), patient, target)


@pytest.fixture(autouse=True, scope="module")
def small_scenes() -> Iterator[None]:
    """The 3-D view has tests of its own; here a small one saves most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "SCENE_PIXELS", (90, 110))
        yield


def written(
    document: dict[str, Any], patient: Patient, target: Path, lesions: Any = None
) -> list[str]:
    """Write a report and read the text of its pages, with every run of blanks as one."""
    render_report(
        document,
        patient.lesions if lesions is None else lesions,
        patient.volume,
        patient.body,
        patient.anatomy,
        target,
    )
    return [" ".join(page.extract_text().split()) for page in PdfReader(target).pages]


def page_with(pages: list[str], words: str) -> str:
    (found,) = [page for page in pages if words in page]
    return found


def test_every_page_says_whose_it_is_what_it_is_not_and_which_it_is(pages: list[str]) -> None:
    for number, page in enumerate(pages, 1):
        assert FOOTER in page
        assert f"page {number}/{len(pages)}" in page
        assert "Dupré Zoë · ID HOSP-4711 · born 1961-02-03" in page
        assert "plan 0123456789abcdef0123456789abcdef · version 1" in page


def test_the_first_page_can_be_trusted_at_a_glance(pages: list[str]) -> None:
    first = pages[0]
    for words in (
        "2026-01-05",
        "14 days on 2026-01-19",
        "nivipit, version 1, split by volume",
        "70 kg",
        "supine (scanned HFS)",
        "21.00 mg = 4.20 mL",
        "No needle path for: L2.",
        "1 warning below",
        "WARNING L1: none < 3 mm & more [vessels_unknown]",
        "NOT SEGMENTED - UNKNOWN, NOT SAFE: hepatic vessels, bowel",
        "L1 liver, left 5.027 (4.500 to 5.600) 24.0 × 20.0 3.27 mL = 16.35 mg",
        "N1: 22 G × 90 mm, ct",
        "crosses muscle; 8.9 (lung)",
        "0.93 mL = 4.65 mg no path",
    ):
        assert words in first


def test_the_needles_page_has_the_numbers_of_the_document(
    pages: list[str], patient: Patient
) -> None:
    page = page_with(pages, "Needle N1 → L1")
    needle = plan_document(patient)["needles"][0]
    for key in ("depth_mm", "axial_angle_deg", "craniocaudal_angle_deg", "skin_angle_deg"):
        assert decimal_text(needle[key]) in page
    for words in (
        "45.00, -38.00, 22.00 (E1)",
        "31.00, -11.00, 11.00",
        "lung 8.9, bone 31.4",
        "muscle 9.1",
        "about 83 %",
        "ipilimumab 3.27 mL",
        "6.1 to 10.2",
        "positive: the tip points to the patient's left",
        "NOT SEGMENTED - UNKNOWN, NOT SAFE: hepatic vessels, bowel",
        "z = 11.0 mm",
        "entry",
        "20 mm",
    ):
        assert words in page
    # Letters of the axial picture.
    assert {"R", "L", "A", "P"} <= set(page.split())


def test_a_lesion_without_a_path_says_why(pages: list[str]) -> None:
    page = page_with(pages, "Lesions without a needle path")
    for words in (
        "Lesion L2",
        "0.93 mL = 4.65 mg",
        "every straight path comes too near to bone",
        "1200 paths looked at; ruled out by: bone 1100, length 100",
        "bone is set to 2.0 mm; a path would need 1.2 mm",
    ):
        assert words in page


def test_doses_syringes_checklist_and_sources(pages: list[str]) -> None:
    doses = page_with(pages, "Doses ipilimumab")
    assert "5.027 mL of 6.464 mL: 0.7777 of 4.20 mL" in doses
    assert "Allocated 4.20 mL + left over 0.00 mL = prescribed 4.20 mL" in doses
    syringes = page_with(pages, "Syringe sheet")
    for words in (
        "ipilimumab, 5 mg/mL: in all 4.20 mL = 21.00 mg to give",
        "3.27 + 0.07 = 3.34",
        "3 mL, marked in 0.1",
        "1 mL, marked in 0.01",
        "NO SYRINGE SHOWS THIS DOSE",
        "Deposits needle deposit lesion drug to give, mL = mg given, mL time, by whom",
        "1 × 50 mg / 10 mL",
        "lot",
        "expiry",
        "checked by",
    ):
        assert words in syringes
    assert "☐ INR ≤ 1.5, platelets > 50 G/L" in page_with(pages, "Before the needle")
    sources = page_with(pages, "What this plan was computed from")
    for words in (
        "ab" * 32,
        "constraints bone_mm 2.0",
        "amount value 0.3; source published",
        "80 × 60 × 50",
    ):
        assert words in sources
    assert "note read 50 slices" in sources


def test_equal_plans_give_equal_bytes(
    patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "SCENE_PIXELS", (640, 780))
    for name in ("a.pdf", "b.pdf"):
        written(plan_document(patient), patient, tmp_path / name)
    first = (tmp_path / "a.pdf").read_bytes()
    assert first == (tmp_path / "b.pdf").read_bytes()
    # Neither the day of printing nor another path is inside.
    assert str(tmp_path).encode() not in first


def test_fonts_are_embedded(patient: Patient, tmp_path: Path) -> None:
    written(plan_document(patient), patient, tmp_path / "a.pdf")
    seen = set()
    for page in PdfReader(tmp_path / "a.pdf").pages:
        for font in page["/Resources"]["/Font"].values():  # type: ignore[index]
            font = font.get_object()
            if font["/BaseFont"] in ("/Helvetica", "/ZapfDingbats"):
                continue  # declared by the writer on each page; no text uses them, see below
            seen.add(font["/BaseFont"].split("+")[-1])
            assert "/FontFile2" in font["/FontDescriptor"].get_object()
        content = page.get_contents()
        assert content is not None
        assert not _text_in(page, content.get_data().decode("latin-1"), "/Helvetica")
    assert {"DejaVuSans", "DejaVuSans-Bold"} <= seen


def _text_in(page: Any, content: str, base: str) -> bool:
    """Whether any non-empty text is shown in the font named ``base``."""
    names = [
        name for name, font in page["/Resources"]["/Font"].items()
        if font.get_object()["/BaseFont"] == base
    ]  # fmt: skip
    for name in names:
        for part in re.split(r"(?=/F\S* [\d.]+ Tf)", content):
            if part.startswith(f"{name} ") and re.search(r"\([^)]+\) Tj", part.split("Tf", 1)[1]):
                return True
    return False


def stop_it(document: dict[str, Any]) -> None:
    document["findings"] += [
        {"code": "near_carotid", "severity": "stop", "message": "encases the carotid",
         "subject": "L1", "accepted": None},
        {"code": "position_differs", "severity": "stop", "message": "lies otherwise", "subject": "",
         "accepted": "turned on the table, checked"},
    ]  # fmt: skip


def test_stops_are_on_every_page_and_accepted_ones_keep_their_reason(
    patient: Patient, tmp_path: Path
) -> None:
    pages = written(plan_document(patient, stop_it), patient, tmp_path / "a.pdf")
    assert all("1 STOP - NOT TO BE SIGNED" in page for page in pages)
    assert "STOP: this plan may not be signed. 1 stop below." in pages[0]
    assert "STOP L1: encases the carotid [near_carotid]" in pages[0]
    assert "Accepted: turned on the table, checked" in pages[0]


def test_a_left_over_dose_is_prominent(patient: Patient, tmp_path: Path) -> None:
    def leave(document: dict[str, Any]) -> None:
        document["allocation"]["drugs"][0].update(
            residual_ml=D("1.5"), residual_mg=D("7.5"), residual_reasons=["max_ml", "rounding"]
        )

    pages = written(plan_document(patient, leave), patient, tmp_path / "a.pdf")
    assert "Not allocated: 1.50 mL = 7.50 mg of ipilimumab (max_ml)." in pages[0]


def many(document: dict[str, Any]) -> None:
    """Twenty lesions with long names, three passes through one hole, sixty findings."""
    lesion, dose = document["lesions"][0], document["allocation"]["drugs"][0]["lesions"][0]
    syringe = document["allocation"]["syringes"][0]
    ids = [f"TARGET-LESION-{number:02d}-with-a-very-long-identifier" for number in range(20)]
    site = "left supraclavicular lymph node behind the sternocleidomastoid muscle"
    document["lesions"] = [{**lesion, "lesion_id": one, "site": site} for one in ids]
    document["allocation"]["drugs"][0]["lesions"] = [
        {**dose, "lesion_id": one, "limits": ["max_ml", "min_ml"], "why": "because " * 40}
        for one in ids
    ]
    document["allocation"]["syringes"] = [{**syringe, "lesion_id": one} for one in ids]
    document["needles"] = [
        {**needle_document(f"N{number}", ids[0]), "pass": number} for number in (1, 2, 3)
    ]
    document["needles"][0]["clearance_mm"] = {f"structure_{n}": D(n) for n in range(5, 60)}
    document["unreachable"] = []
    document["findings"] = [
        {"code": f"code_{n}", "severity": "warn", "message": f"finding number {n}. " + "word " * 60,
         "subject": ids[n % 20], "accepted": None}
        for n in range(60)
    ]  # fmt: skip
    document["unknown_structures"] = [f"unknown_structure_{n}" for n in range(40)]
    document["settings"] = {"long": {"x" * 200: ["y" * 300, "z"]}}
    document["inputs"] = [{"name": "n" * 150, "sha256": "0" * 64}]


def test_long_plans_run_over_pages_and_lose_nothing(patient: Patient, tmp_path: Path) -> None:
    document = plan_document(patient, many)
    pages = written(document, patient, tmp_path / "a.pdf", lesions=())
    text = " ".join(pages)
    joined = "".join(text.split())
    for lesion in document["lesions"]:
        # In the table of page one on, in the doses, on the syringe sheet.
        assert joined.count(lesion["lesion_id"]) >= 3
    for number in range(60):
        assert f"finding number {number}." in text
        assert f"[code_{number}]" in text
    for number in range(40):
        assert f"unknown_structure_{number}" in text
    assert "pass 2 of 3 through it" in text
    assert joined.count("y" * 50) >= 1
    assert "x" * 200 in joined
    assert f"page {len(pages)}/{len(pages)}" in pages[-1]


def test_a_page_that_is_just_full_is_followed_by_no_empty_one(
    patient: Patient, tmp_path: Path
) -> None:
    document = plan_document(patient)
    person = Person.of(patient.volume.identity)
    # From 4.5 mm up the line has its place at the foot of the page, the space after it not yet.
    frame = PAGE_HEIGHT - TOP_MARGIN - BOTTOM_MARGIN
    counts = []
    for tenths in range(45, 90, 2):

        def story(left_mm: float = tenths / 10) -> list[Any]:
            above = Spacer(1, frame - left_mm * mm)
            filled = [above, paragraph("first part"), Spacer(1, 2 * mm)]
            return parts_on_pages([filled, [paragraph("second part")]])

        build_pdf(story, tmp_path / "a.pdf", furniture_of(document, person), "title")
        pages = [page.extract_text() for page in PdfReader(tmp_path / "a.pdf").pages]
        counts.append(len(pages))
    assert set(counts) == {2}


def biopsied(document: dict[str, Any]) -> None:
    document["biopsies"] = [
        {
            "biopsy_id": "B1", "lesion_id": "L1", "before": "N1", "entry_id": "E1",
            "entry_lps_mm": [D("45.00"), D("-38.00"), D("22.00")],
            "tip_lps_mm": [D("38.00"), D("-24.50"), D("16.50")],
            "end_lps_mm": [D("31.00"), D("-11.00"), D("11.00")],
            "throw_mm": D("16.2"), "depth_mm": D("32.3"), "in_lesion_mm": D("11.7"),
        }
    ]  # fmt: skip


def test_a_biopsy_stands_on_the_first_page_and_on_its_needles(
    patient: Patient, tmp_path: Path
) -> None:
    pages = written(plan_document(patient, biopsied), patient, tmp_path / "a.pdf")
    assert "B1 L1 before N1, through E1 32.3 mm 16.2 mm, 11.7 mm of it" in pages[0]
    page = page_with(pages, "Needle N1 → L1")
    assert "B1 of L1 along this track: throw of 16.2 mm ending 32.3 mm under the skin" in page


@pytest.mark.parametrize("deposits", [1, 4, 8, 12])
def test_a_needles_deposits_stay_on_its_page(
    deposits: int, patient: Patient, tmp_path: Path
) -> None:
    def many_deposits(document: dict[str, Any]) -> None:
        (needle,) = document["needles"]
        (first,) = needle["deposits"]
        needle["deposits"] = [
            {**first, "order": number, "deposit_id": f"N1D{number}"}
            for number in range(1, deposits + 1)
        ]

    pages = written(plan_document(patient, many_deposits), patient, tmp_path / "a.pdf")
    page = page_with(pages, "Needle N1 → L1")
    assert f"N1D{deposits}" in page
    assert "L1 in all:" in page


@pytest.mark.parametrize("unknown", [0, 24, 45])
def test_the_pictures_along_a_needle_share_a_page_with_their_legend(
    unknown: int, patient: Patient, tmp_path: Path
) -> None:
    document = plan_document(patient)
    document["unknown_structures"] = [f"structure_number_{one}" for one in range(unknown)]
    (needle,) = document["needles"]
    views = needle_views(needle, patient.volume, patient.lesions, patient.anatomy)
    person = Person.of(patient.volume.identity)
    target = tmp_path / "along.pdf"
    build_pdf(
        lambda: along_part(document, needle, views, None),
        target,
        furniture_of(document, person),
        "along",
    )
    (page,) = PdfReader(target).pages
    text = " ".join(page.extract_text().split())
    assert "no-go zone" in text
    assert ("NOT SEGMENTED" in text) == (unknown > 0)


def test_no_text_leaves_the_paper(patient: Patient, tmp_path: Path) -> None:
    written(plan_document(patient, many), patient, tmp_path / "a.pdf", lesions=())
    for page in PdfReader(tmp_path / "a.pdf").pages:
        width, height = float(page.mediabox.width), float(page.mediabox.height)

        def inside(
            text: str, _cm: Any, tm: list[float], _font: Any, size: float,
            limits: tuple[float, float] = (width, height),
        ) -> None:  # fmt: skip
            if text.strip():
                # tm and cm together place the text; pypdf hands both to the visitor.
                x = tm[4] * _cm[0] + _cm[4]
                y = tm[5] * _cm[3] + _cm[5]
                assert 20 <= x <= limits[0] - 20
                assert 20 <= y <= limits[1] - 10

        page.extract_text(visitor_text=inside)


def nothing(document: dict[str, Any]) -> None:
    document.update(lesions=[], needles=[], unreachable=[], checklist=[], structures=[], inputs=[])
    document["unknown_structures"] = []
    document["findings"] = []
    document["settings"] = {}
    drug = document["allocation"]["drugs"][0]
    drug.update(lesions=[], allocated_ml=D("0"), allocated_mg=D("0"), residual_ml=D("4.20"),
                residual_mg=D("21.00"), residual_reasons=["no_lesion"])  # fmt: skip
    document["allocation"].update(syringes=[], vials=[])


def test_a_plan_without_lesions_is_still_a_report(patient: Patient, tmp_path: Path) -> None:
    pages = written(plan_document(patient, nothing), patient, tmp_path / "a.pdf", lesions=())
    text = " ".join(pages)
    assert "Not allocated: 4.20 mL = 21.00 mg of ipilimumab (no_lesion)" in pages[0]
    assert "No syringe: nothing is to be drawn up." in text
    assert "Needle" not in text.replace("needles", "").replace("needle", "")


def test_a_lesion_known_by_diameters_gets_a_card(patient: Patient, tmp_path: Path) -> None:
    unseen = Lesion("S1", None, LesionSource.DIAMETERS, site="skin of the thigh", side="right")

    def add(document: dict[str, Any]) -> None:
        document["lesions"].append(unseen.document())

    lesions = (*patient.lesions, unseen)
    pages = written(plan_document(patient, add), patient, tmp_path / "a.pdf", lesions)
    page = page_with(pages, "Lesions without a needle path")
    assert "Lesion S1 skin of the thigh, right" in page
    assert "reached under ultrasound or by palpation" in page


def two_drugs(document: dict[str, Any]) -> None:
    second = copy.deepcopy(document["allocation"]["drugs"][0])
    second["drug"] = "nivolumab"
    second["lesions"][0].update(ml=D("2.11"), mg=D("21.10"))
    document["allocation"]["drugs"].append(second)
    document["allocation"]["excluded"] = [
        {"lesion_id": "L9", "code": "not_injectable", "message": "around the carotid"}
    ]


def test_a_mixture_and_what_was_given_before_are_told(patient: Patient, tmp_path: Path) -> None:
    def mix(document: dict[str, Any]) -> None:
        two_drugs(document)
        drugs = document["allocation"]["drugs"]
        drugs[0]["given_before_mg"] = D("42.5")
        doses = [{k: v for k, v in one.items() if k != "mg"} for one in drugs[0]["lesions"]]
        document["allocation"]["mixture"] = {
            "fractions": {"ipilimumab": D("0.25"), "nivolumab": D("0.75")},
            "prescribed_ml": D("16.8"), "allocated_ml": D("16.8"), "residual_ml": D(0),
            "residual_reasons": [], "lesions": doses,
        }  # fmt: skip

    pages = written(plan_document(patient, mix), patient, tmp_path / "a.pdf")
    assert "none; given before: 42.5 mg" in pages[0]
    page = page_with(pages, "Mixture, one syringe")
    assert "0.25 of its mL is ipilimumab, 0.75 of its mL is nivolumab" in page


def test_several_drugs_are_told_apart(patient: Patient, tmp_path: Path) -> None:
    pages = written(plan_document(patient, two_drugs), patient, tmp_path / "a.pdf")
    assert "ipilimumab 3.27 mL = 16.35 mg; nivolumab 2.11 mL = 21.10 mg" in pages[0]
    assert "L9 not_injectable around the carotid" in page_with(pages, "Excluded lesions")


@pytest.mark.parametrize(
    ("created", "image_date", "words"),
    [
        ("2026-01-19T09:00:00+00:00", "2026-01-18", "1 day on 2026-01-19"),
        ("2026-01-19T09:00:00+00:00", "2026-01-19", "0 days on 2026-01-19"),
        ("2026-01-19T09:00:00+00:00", "2025-01-19", "365 days on 2026-01-19"),
        ("2026-01-19", "2026-02-19", "unknown: dated after the day of planning (2026-01-19)"),
        ("2026-01-19", "", "unknown"),
        ("", "2026-01-19", "unknown"),
        ("2026-01-19", "20260119x", "unknown"),
    ],
)
def test_the_age_of_the_scan(created: str, image_date: str, words: str) -> None:
    assert scan_age({"run": {"created": created}, "case": {"image_date": image_date}}) == words


def test_signs_that_the_font_lacks_are_named_not_dropped() -> None:
    assert printable("Zoë 中 ≥ 5 × 2°\n\tend") == "Zoë [U+4E2D] ≥ 5 × 2°  end"
    assert markup("<b>&") == "&lt;b&gt;&amp;"
    for sign in "≥≤°×µ→·☐±²³éèçŁßπσ":
        assert ord(sign) in load_fonts()


@pytest.mark.parametrize(
    ("crosses", "clearance", "words"),
    [
        ({}, {"bone": D("4.9"), "lung": D("31")}, "4.9 (bone)"),
        ({}, {"b": D("4.9"), "a": D("4.9")}, "4.9 (a)"),
        ({"lung": D("40")}, {"bone": D("4.9"), "lung": D("0.0")}, "crosses lung; 4.9 (bone)"),
        ({"lung": D("40")}, {"lung": D("0.0")}, "crosses lung; none within reach"),
        ({}, {}, "none within reach"),
    ],
)
def test_a_crossed_structure_does_not_hide_the_nearest_other(
    crosses: dict[str, Decimal], clearance: dict[str, Decimal], words: str
) -> None:
    assert smallest_clearance({"crosses_mm": crosses, "clearance_mm": clearance}) == words


@pytest.mark.parametrize(
    ("dicom", "shown"), [("19610203", "1961-02-03"), ("1961-02-03", "1961-02-03"), ("", "")]
)
def test_birth_dates_are_shown_in_one_way(dicom: str, shown: str) -> None:
    assert Person.of(ScanIdentity(patient_birth_date=dicom)).birth_date == shown


def test_a_person_without_a_name_is_told() -> None:
    assert Person("", "", "", "").line == "name not given · ID not given · birth date not given"


def test_settings_are_flattened_without_loss() -> None:
    value = {
        "z": D("-1.0"),
        "a": {"b": D("1.50"), "c": [1, 2], "e": {"f": True}},
        "d": [{"e": "f", "g": [[1, 2], [3]]}, {"e": "g"}],
        "h": None,
        "i": "",
    }
    assert list(flattened(value)) == [
        ("general", "z -1.0"),
        ("a", "b 1.50; c 1, 2"),
        ("a.e", "f yes"),
        ("d[1]", "e f; g 1, 2, 3"),
        ("d[2]", "e g"),
    ]


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report.pdf"
    target.write_bytes(b"old")
    broken: Callable[[dict[str, Any]], None] = lambda document: document.pop("checklist")  # noqa: E731
    with pytest.raises(KeyError):
        written(plan_document(patient, broken), patient, target)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.pdf"]
