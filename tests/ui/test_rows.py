"""What the tables say, against documents written by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from irplan.findings import Finding, Severity
from irplan.lesions.lesion import Lesion, LesionKind, LesionSource
from irplan.trajectory.needle import Needle, PathPlan, Unreachable
from ui.rows import (
    LESION_COLUMNS,
    counts_text,
    depths_text,
    diameter_text,
    lesion_dose,
    lesion_rows,
    mark_text,
    nearest_text,
    passes_text,
    path_cells,
    scan_age,
    side_text,
    totals_text,
)

LESION = Lesion(
    "L1",
    1,
    LesionSource.SEGMENTED,
    kind=LesionKind.NODE,
    side="left",
    volume_ml=Decimal("12.340"),
    volume_low_ml=Decimal("10.000"),
    volume_high_ml=Decimal("14.500"),
    longest_diameter_mm=31.25,
    short_axis_mm=18.06,
    certainty=0.874,
    depth_below_skin_mm=7.96,
)


def dose_of(ml: str, mg: str, excluded: tuple[dict[str, str], ...] = ()) -> dict:
    return {
        "drugs": [
            {
                "drug": "ipilimumab",
                "caps": [],
                "prescribed_mg": Decimal("21.150"),
                "prescribed_ml": Decimal("4.230000"),
                "allocated_mg": Decimal("21.10"),
                "allocated_ml": Decimal("4.22"),
                "residual_mg": Decimal("0.05"),
                "residual_ml": Decimal("0.01"),
                "residual_reasons": ["rounding"],
                "lesions": [{"lesion_id": "L1", "ml": Decimal(ml), "mg": Decimal(mg)}],
            }
        ],
        "excluded": list(excluded),
    }


def needle_of(number: int, clearance: dict[str, float]) -> Needle:
    return Needle(
        needle_id=f"N{number}",
        entry_id="E1",
        pass_number=number,
        guidance="ct",
        needle_type="Chiba",
        gauge=22,
        length_mm=Decimal("150"),
        entry_lps_mm=(0.0, -90.0, 0.0),
        tip_lps_mm=(0.0, -10.0, 0.0),
        depth_mm=80.04,
        lesion_ids=("L1",),
        axial_angle_deg=-12.34,
        craniocaudal_angle_deg=0.0,
        skin_angle_deg=5.0,
        clearance_mm=clearance,
        margin_mm=dict.fromkeys(clearance, 3.0),
        crosses_mm={},
        pleural_crossings=0,
        hit_probability=0.9,
        deposits=(),
    )


def row(lesion=LESION, allocation=None, paths=None, findings=()):
    (made,) = lesion_rows((lesion,), allocation, paths, findings)
    return dict(zip((name.replace("\n", " ") for name in LESION_COLUMNS), made.cells, strict=True))


def test_a_lesion_before_any_dose():
    assert row() == {
        "Lesion": "L1",
        "Kind": "node",
        "Site": "–",
        "Side": "left",
        "Volume mL (low – high)": "12.340 (10.000 – 14.500)",
        "Sure %": "87",
        "Long × short ⌀ mm": "31.2 × 18.1",
        "Depth mm": "8.0",
        "Dose mL": "–",
        "Dose mg": "–",
        "Needle": "–",
        "To tip mm": "–",
        "Least clearance mm": "–",
        "Findings": "–",
    }


def test_a_lesion_with_dose_and_paths():
    paths = PathPlan((needle_of(1, {"bone": 9.0, "colon": 6.2}), needle_of(2, {"aorta": 4.96})))
    cells = row(allocation=dose_of("4.22", "21.10"), paths=paths)
    assert (cells["Dose mL"], cells["Dose mg"]) == ("4.22", "21.10")
    assert cells["Needle"] == "N1, N2"
    assert cells["Least clearance mm"] == "4.9 aorta"  # never rounded up to 5


def test_what_is_unknown_is_a_dash():
    bare = Lesion("L1", None, LesionSource.DIAMETERS)
    cells = row(lesion=bare)
    assert set(cells.values()) == {"L1", "–"}


def test_an_excluded_lesion_and_one_without_a_path():
    excluded = ({"lesion_id": "L1", "code": "by_hand", "message": "refused"},)
    assert row(allocation=dose_of("0", "0", excluded))["Dose mL"] == "excluded"
    assert lesion_dose(dose_of("0", "0", excluded), "L1")[2] == "refused"
    paths = PathPlan(unreachable=(Unreachable("L1", 10, {}, None, "all are too long"),))
    assert row(paths=paths)["Needle"] == "no safe path"


def test_several_drugs_are_named():
    allocation = dose_of("1", "5")
    other = {**allocation["drugs"][0], "drug": "nivolumab"}
    other["lesions"] = [{"lesion_id": "L1", "ml": Decimal("0.5"), "mg": Decimal("5.0")}]
    allocation["drugs"].append(other)
    assert row(allocation=allocation)["Dose mL"] == "1 ipilimumab; 0.5 nivolumab"


def test_totals_show_what_is_left_over_and_why():
    assert totals_text(dose_of("4.22", "21.10")) == (
        "Ipilimumab: prescribed 21.15 mg = 4.23 mL",
        "Into lesions: 21.1 mg = 4.22 mL",
        "Left over: 0.05 mg = 0.01 mL (rounding)",
    )


def test_findings_are_counted_gravest_first():
    found = [
        Finding("a", Severity.INFO, "a"),
        Finding("b", Severity.STOP, "b"),
        Finding("c", Severity.WARN, "c"),
        Finding("d", Severity.WARN, "d"),
    ]
    assert counts_text(found) == "■ 1  ▲ 2  ● 1"


def test_a_path_in_one_row():
    cells = path_cells(needle_of(1, {}), True)
    assert cells == ("● N1", "22G×150", "80.0", "-12.3°", "0.0°", "none near")
    assert nearest_text((needle_of(1, {}),)) == "none near"


def test_a_path_is_marked_by_the_gravest_that_is_told_of_it():
    needle = needle_of(1, {})
    about = [
        Finding("a", Severity.INFO, "a", "N1"),
        Finding("b", Severity.WARN, "b", "N1"),
        Finding("c", Severity.STOP, "c", "N2"),
    ]
    assert mark_text(needle, about[:1]) == ""
    assert mark_text(needle, about) == " ▲"
    assert mark_text(needle, [*about, Finding("d", Severity.STOP, "d", "N1")]) == " ■"
    unknown = replace(needle, unknown_constraints=("over_rib",))
    assert mark_text(unknown, about) == " ▲ ▲?"
    assert path_cells(unknown, False)[0] == "○ N1 ▲?"


def test_the_passes_of_a_fan_are_counted():
    first, other = needle_of(1, {}), needle_of(2, {})
    fan = [first, *(replace(first, needle_id=f"N1-P{one}", depth_mm=80.0 + one) for one in (2, 3))]
    assert passes_text([*fan, other]) == "N1 ×3, N2"
    assert depths_text(fan) == "80.0 – 83.0"
    assert depths_text([first]) == "80.0"
    assert passes_text([]) == depths_text([]) == "–"


@pytest.mark.parametrize(
    ("acquired", "text"),
    [
        ("2026-03-02", "CT of 2026-03-02 (21 days old)"),
        ("", "date unknown"),
        ("02/03/2026", "date unknown"),
    ],
)
def test_the_age_of_the_scan(acquired, text):
    assert scan_age(acquired, date(2026, 3, 23)) == text


@pytest.mark.parametrize(
    ("source", "codes", "text"),
    [
        ("given", (), "left"),
        ("proposed", ("side_proposed",), "left ?"),
        ("given", ("side_contradicts_midline",), "▲ left"),
        ("given", ("side_not_understood",), "▲ left"),
    ],
)
def test_a_side_shows_how_far_it_is_known(source, codes, text):
    findings = tuple(Finding(code, Severity.INFO, "", "L1") for code in codes)
    lesion = Lesion(
        "L1", 1, LesionSource.SEGMENTED, side="left", side_source=source, findings=findings
    )
    assert side_text(lesion) == text


def test_a_drawn_diameter_is_marked():
    lesion = Lesion("L1", 1, LesionSource.SEGMENTED, longest_diameter_mm=31.2)
    assert diameter_text(lesion) == "31.2"
    assert diameter_text(replace(lesion, diameter_source="edited")) == "✎ 31.2"
