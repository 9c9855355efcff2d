"""Orders, caps, mixtures, limits and exclusions: small cases worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from irplan.dose import (
    Allocation,
    DoseLesion,
    DoseOrder,
    HistoryRow,
    Protocol,
    allocate,
    load_protocol,
    parse_protocol,
)
from irplan.dose.protocol import (
    Action,
    Combination,
    Comes,
    DoseRule,
    Drug,
    LesionRules,
    SplitRule,
    TooSmall,
)
from irplan.errors import CallError, InputRefused
from irplan.findings import Forbids, Severity, rule_of

D = Decimal
NIVIPIT = load_protocol("nivipit")
TWO_DRUGS = load_protocol("nct07230613")
TABLE = load_protocol("tvec-table")


def lesion(lesion_id: str, volume: str | int, **rest: object) -> DoseLesion:
    return DoseLesion(lesion_id, D(volume), **rest)  # type: ignore[arg-type]


def one_drug(ml: str, **rules: object) -> Protocol:
    """A protocol that orders ``ml`` of a drug of 1 mg/mL."""
    return Protocol(
        "made up",
        "1",
        (Drug("drug", D(1), DoseRule.FLAT, D(ml)),),
        lesion=LesionRules(**rules),  # type: ignore[arg-type]
    )


def ml(allocation: Allocation, drug: int = 0) -> dict[str, Decimal]:
    return {one.lesion_id: one.ml for one in allocation.drugs[drug].lesions}


def codes(allocation: Allocation) -> list[str]:
    return [finding.code for finding in allocation.findings]


def test_70_kg_is_21_mg_is_4_20_ml() -> None:
    allocation = allocate([lesion("L1", 20)], NIVIPIT, DoseOrder(weight_kg=D(70)))
    (drug,) = allocation.drugs
    assert (drug.ordered_mg, drug.prescribed_mg, drug.prescribed_ml) == (21, 21, D("4.2"))
    assert (drug.allocated_ml, drug.residual_ml, drug.residual_reasons) == (D("4.2"), 0, ())
    assert drug.lesions[0].mg == 21
    assert not allocation.incomplete


@pytest.mark.parametrize(
    ("weight", "prescribed"), [("83.3", "24.99"), ("83.4", "25"), ("120", "25"), ("83", "24.9")]
)
def test_a_cap_of_25_mg_binds_above_83_3_kg(weight: str, prescribed: str) -> None:
    capped = replace(NIVIPIT, drugs=(replace(NIVIPIT.drugs[0], max_visit_mg=D(25)),))
    order = DoseOrder(weight_kg=D(weight))
    drug = allocate([lesion("L1", 90)], capped, order).drugs[0]
    assert drug.prescribed_mg == D(prescribed)
    free = allocate([lesion("L1", 90)], NIVIPIT, order).drugs[0]
    assert free.prescribed_mg == D(weight) * D("0.3")
    assert free.caps == ()


def test_a_dose_by_surface() -> None:
    # √(180·75/3600) = √3.75 = 1.936491… → 1.9365 m²; ×10 mg/m² = 19.365 mg
    by_surface = Protocol("m2", "1", (Drug("drug", D(5), DoseRule.PER_M2, D(10)),))
    order = DoseOrder(weight_kg=D(75), height_cm=D(180))
    allocation = allocate([lesion("L1", 50)], by_surface, order)
    assert allocation.body_surface_m2 == D("1.9365")
    assert allocation.drugs[0].ordered_mg == D("19.365")
    assert allocation.drugs[0].prescribed_ml == D("3.873")
    with pytest.raises(CallError, match="height"):
        allocate([lesion("L1", 50)], by_surface, DoseOrder(weight_kg=D(75)))


def test_prescribed_ml_is_rounded_down_to_six_places() -> None:
    thirds = Protocol("3", "1", (Drug("drug", D(3), DoseRule.FLAT, D(20)),))
    drug = allocate([lesion("L1", 50)], thirds, DoseOrder()).drugs[0]
    assert drug.prescribed_ml == D("6.666666")
    assert drug.allocated_ml == D("6.66")
    assert drug.residual_ml == D("0.006666")
    assert drug.allocated_mg + drug.residual_mg == 20
    assert drug.residual_reasons == ("rounding",)


@pytest.mark.parametrize("weight", ["19.999", "300.001", "0", "-70"])
def test_impossible_weights_are_refused(weight: str) -> None:
    with pytest.raises(InputRefused, match="weight"):
        allocate([lesion("L1", 20)], NIVIPIT, DoseOrder(weight_kg=D(weight)))
    # ... also where no rule uses it.
    with pytest.raises(InputRefused, match="weight"):
        allocate([lesion("L1", 20)], TWO_DRUGS, DoseOrder(weight_kg=D(weight)))


@pytest.mark.parametrize(
    ("weight", "warns"),
    [("20", True), ("39.999", True), ("40", False), ("150", False), ("150.1", True), ("300", True)],
)
def test_unusual_weights_warn(weight: str, warns: bool) -> None:
    allocation = allocate([lesion("L1", 90)], NIVIPIT, DoseOrder(weight_kg=D(weight)))
    assert ("weight_unusual" in codes(allocation)) is warns


def test_the_weight_is_asked_for_only_where_it_is_used() -> None:
    with pytest.raises(CallError, match="weight"):
        allocate([lesion("L1", 20)], NIVIPIT, DoseOrder())
    order = DoseOrder(prescribed_mg={"ipilimumab": D(10)})
    assert allocate([lesion("L1", 20)], NIVIPIT, order).drugs[0].ordered_mg == 10
    assert allocate([lesion("L1", 50)], TWO_DRUGS, DoseOrder()).drugs[0].ordered_mg == 25
    with pytest.raises(CallError, match="nivolumab"):
        allocate([lesion("L1", 20)], NIVIPIT, DoseOrder(prescribed_mg={"nivolumab": D(10)}))


def test_a_stale_weight_warns() -> None:
    order = DoseOrder(weight_kg=D(70), weight_age_days=15)
    assert "weight_stale" in codes(allocate([lesion("L1", 20)], NIVIPIT, order))
    order = replace(order, weight_age_days=14)
    assert "weight_stale" not in codes(allocate([lesion("L1", 20)], NIVIPIT, order))


def test_shares_go_by_volume_and_remainders_to_the_largest() -> None:
    # 1.00 mL by 1:1:1 = 0.333…; one step is left: equal volumes, so the smaller id gets it.
    equal = [lesion("B", 3), lesion("A", 3), lesion("a", 3)]
    assert ml(allocate(equal, one_drug("1"), DoseOrder())) == {
        "A": D("0.34"),
        "B": D("0.33"),
        "a": D("0.33"),
    }
    # 0.10 mL by 6:3:1 = 6, 3 and 1 steps; 0.11 mL = 6.6, 3.3, 1.1: the step goes to 6.6.
    lesions = [lesion("L1", 6), lesion("L2", 3), lesion("L3", 1)]
    assert list(ml(allocate(lesions, one_drug("0.11"), DoseOrder())).values()) == [
        D("0.07"),
        D("0.03"),
        D("0.01"),
    ]


def test_equal_remainders_go_to_the_larger_volume() -> None:
    # 0.02 mL by 3:1 = 1.5 and 0.5 steps: remainders equal, the larger volume gets the step.
    lesions = [lesion("A", 1), lesion("B", 3)]
    assert ml(allocate(lesions, one_drug("0.02"), DoseOrder())) == {"A": 0, "B": D("0.02")}


def test_a_cap_frees_volume_for_the_others() -> None:
    # 4.2 mL by 12:5:3; L1 capped at 2: 2.2 left by 5:3 = 1.375 and 0.825; equal remainders (1/2),
    # so the larger volume gets the step: 1.38 and 0.82.
    lesions = [lesion("L1", 12, max_ml=D(2)), lesion("L2", 5), lesion("L3", 3)]
    allocation = allocate(lesions, one_drug("4.2"), DoseOrder())
    assert ml(allocation) == {"L1": 2, "L2": D("1.38"), "L3": D("0.82")}
    assert [one.limits for one in allocation.drugs[0].lesions] == [("max_ml",), (), ()]


def test_caps_on_all_leave_a_residual_with_its_reason() -> None:
    lesions = [lesion("L1", 12, max_ml=D("2.009")), lesion("L2", 5, max_ml=D(1))]
    allocation = allocate(lesions, one_drug("4.205"), DoseOrder())
    (drug,) = allocation.drugs
    assert ml(allocation) == {"L1": D("2.00"), "L2": D(1)}
    assert drug.residual_ml == D("1.205")
    assert drug.residual_reasons == ("max_ml", "rounding") or drug.residual_reasons == (
        "rounding",
        "max_ml",
    )
    assert allocation.incomplete
    assert "dose_left_over" in codes(allocation)


def test_minimum_takes_from_the_others() -> None:
    lesions = [lesion("L1", 9), lesion("L2", 1, min_ml=D("0.205"))]
    allocation = allocate(lesions, one_drug("1"), DoseOrder())
    assert ml(allocation) == {"L1": D("0.79"), "L2": D("0.21")}
    assert allocation.drugs[0].lesions[1].limits == ("min_ml",)


@pytest.mark.parametrize(
    ("lesions", "code"),
    [
        ([lesion("A", 1, min_ml=D("0.6")), lesion("B", 1, min_ml=D("0.41"))], "minima_above_dose"),
        ([lesion("A", 1, min_ml=D("0.6"), max_ml=D("0.5"))], "min_above_max"),
        ([lesion("A", 1, fixed_ml=(("", D("1.01")),), reason="x")], "minima_above_dose"),
        ([lesion("A", 1, fixed_ml=(("", D("0.005")),), reason="x")], "min_above_max"),
        (
            [lesion("A", 1, fixed_ml=(("", D("0.5")),), max_ml=D("0.4"), reason="x")],
            "min_above_max",
        ),
        ([lesion("A", 1, fixed_ml=(("other", D("0.5")),), reason="x")], "unknown_drug"),
        ([lesion("A", 1, fixed_ml=(("", D("0.5")),))], "reason_missing"),
        ([DoseLesion("A")], "volume_missing"),
        ([DoseLesion("A", D(0))], "zero"),
        ([DoseLesion("A", D("0.0004"))], "zero"),
        ([lesion("A", 1), lesion("A", 2)], "duplicate_lesion_id"),
        ([lesion(" ", 1)], "no_lesion_id"),
        ([lesion("A", "NaN")], "wrong_value"),
    ],
)
def test_contradictions_are_refused(lesions: list[DoseLesion], code: str) -> None:
    with pytest.raises(InputRefused) as refusal:
        allocate(lesions, one_drug("1"), DoseOrder())
    assert refusal.value.code == code


def test_fixed_by_hand_is_exact_and_says_why() -> None:
    lesions = [
        lesion("L1", 9, fixed_ml=(("", D("0.3")),), reason="beside the nerve"),
        lesion("L2", 1),
    ]
    allocation = allocate(lesions, one_drug("1"), DoseOrder())
    assert ml(allocation) == {"L1": D("0.3"), "L2": D("0.7")}
    first = allocation.drugs[0].lesions[0]
    assert first.limits == ("fixed_ml",)
    assert "beside the nerve" in first.why
    assert "beside the nerve" in first.why_fr


def test_shares_too_small_are_dropped_one_at_a_time() -> None:
    # 1 mL by 80:10:6:4 → 0.80 0.10 0.06 0.04; smallest 0.07. L4 goes: 0.0625 for L3 is still
    # too small; L3 goes: 80:10 → 0.888 and 0.111.
    lesions = [lesion("L1", 80), lesion("L2", 10), lesion("L3", 6), lesion("L4", 4)]
    allocation = allocate(lesions, one_drug("1", smallest_ml=D("0.07")), DoseOrder())
    assert ml(allocation) == {"L1": D("0.89"), "L2": D("0.11")}
    assert [(one.lesion_id, one.code) for one in allocation.excluded] == [
        ("L3", "share_too_small"),
        ("L4", "share_too_small"),
    ]
    # Smallest 0.0625 instead: after L4 has gone, L3's share is 1 · 6/96 = 0.0625, taken up to
    # whole steps the smallest is 0.07: it goes too. At 0.06 it stays.
    kept = allocate(lesions, one_drug("1", smallest_ml=D("0.06")), DoseOrder())
    assert ml(kept) == {"L1": D("0.83"), "L2": D("0.11"), "L3": D("0.06")}


def test_equal_small_shares_drop_the_larger_id_first() -> None:
    lesions = [lesion("A", 1), lesion("B", 1), lesion("C", 1)]
    allocation = allocate(lesions, one_drug("1", smallest_ml=D("0.4")), DoseOrder())
    assert ml(allocation) == {"A": D("0.5"), "B": D("0.5")}


def test_shares_too_small_are_raised_where_the_protocol_says_so() -> None:
    lesions = [lesion("L1", 80), lesion("L2", 10), lesion("L3", 6), lesion("L4", 4)]
    raising = one_drug("1", smallest_ml=D("0.07"), too_small=TooSmall.RAISE)
    allocation = allocate(lesions, raising, DoseOrder())
    # L3 and L4 at 0.07; 0.86 by 80:10 = 0.7644 and 0.0956.
    assert ml(allocation) == {"L1": D("0.76"), "L2": D("0.10"), "L3": D("0.07"), "L4": D("0.07")}
    assert allocation.drugs[0].lesions[3].limits == ("smallest_ml",)
    # 0.25 mL cannot raise four to 0.07: the smallest share goes, three fit.
    scarce = replace(raising, drugs=(replace(raising.drugs[0], amount=D("0.25")),))
    assert list(ml(allocate(lesions, scarce, DoseOrder()))) == ["L1", "L2", "L3"]


def test_a_lesion_that_its_cap_keeps_too_small_goes_before_others() -> None:
    raising = one_drug("0.25", smallest_ml=D("0.07"), too_small=TooSmall.RAISE)
    lesions = [lesion("L1", 80, max_ml=D("0.06")), lesion("L2", 10), lesion("L3", 6)]
    assert list(ml(allocate(lesions, raising, DoseOrder()))) == ["L2", "L3"]


def test_number_of_lesions_and_who_comes_first() -> None:
    lesions = [
        lesion("L1", 9, previously_injected=True),
        lesion("L2", 5),
        lesion("L3", 3),
        lesion("L4", 1, priority=1),
    ]
    largest = replace(one_drug("1"), max_lesions=2)
    assert list(ml(allocate(lesions, largest, DoseOrder()))) == ["L1", "L4"]
    new = replace(largest, order=(Comes.NEW, Comes.LARGEST))
    allocation = allocate(lesions, new, DoseOrder())
    assert list(ml(allocation)) == ["L2", "L4"]
    assert {one.code for one in allocation.excluded} == {"too_many_lesions"}
    injected = DoseOrder(visit=2, history=(HistoryRow(1, "L2", "drug", D(1), None),))
    assert list(ml(allocate(lesions, new, injected))) == ["L3", "L4"]


def test_small_lesions_warn_or_are_excluded() -> None:
    small = lesion("S", "0.9", longest_diameter_mm=D("9.9"))
    edge = lesion("E", "1", longest_diameter_mm=D(10))
    order = DoseOrder(weight_kg=D(70))
    allocation = allocate([small, edge], NIVIPIT, order)
    assert {(f.code, f.subject) for f in allocation.findings if f.code.startswith("below")} == {
        ("below_min_volume", "S"),
        ("below_min_diameter", "S"),
    }
    assert set(ml(allocation)) == {"S", "E"}
    for rules in (
        LesionRules(min_volume_ml=D(1), below_min_volume=Action.EXCLUDE),
        LesionRules(min_diameter_mm=D(10), below_min_diameter=Action.EXCLUDE),
    ):
        excluding = allocate([small, edge], replace(NIVIPIT, lesion=rules), order)
        assert set(ml(excluding)) == {"E"}
        assert excluding.excluded[0].code in ("below_min_volume", "below_min_diameter")


def test_an_excluded_lesion_appears_only_there() -> None:
    never = DoseLesion("X", injectable=False, reason="around the carotid")
    allocation = allocate([never, lesion("L1", 20)], NIVIPIT, DoseOrder(weight_kg=D(70)))
    assert list(ml(allocation)) == ["L1"]
    (exclusion,) = allocation.excluded
    assert (exclusion.lesion_id, exclusion.code) == ("X", "not_injectable")
    assert "around the carotid" in exclusion.message
    nobody = allocate([never], NIVIPIT, DoseOrder(weight_kg=D(70)))
    assert nobody.drugs[0].residual_ml == D("4.2")
    assert nobody.drugs[0].residual_reasons == ("no_lesion",)
    assert nobody.incomplete


def test_fractions_warn_and_more_than_the_lesion_stops() -> None:
    order = DoseOrder(weight_kg=D(70))

    def found(volume: str) -> set[str]:
        return set(codes(allocate([lesion("L1", volume)], NIVIPIT, order)))

    assert "fraction_high" not in found("12.6")
    assert "fraction_high" in found("12.599")
    assert "volume_exceeds_lesion" not in found("4.2")
    assert "volume_exceeds_lesion" in found("4.199")
    allocation = allocate([lesion("L1", "4.199")], NIVIPIT, order)
    stop = next(one for one in allocation.findings if one.code == "volume_exceeds_lesion")
    assert stop.severity is Severity.STOP
    assert rule_of(stop).forbids is Forbids.SIGNATURE
    assert rule_of(stop).overridable


def test_all_drugs_count_for_the_fraction() -> None:
    # 5 mL and 3 mL into 7.9 mL: neither alone exceeds it, both together do.
    assert "volume_exceeds_lesion" in codes(allocate([lesion("L1", "7.9")], TWO_DRUGS, DoseOrder()))
    assert "volume_exceeds_lesion" not in codes(allocate([lesion("L1", 8)], TWO_DRUGS, DoseOrder()))


def test_a_cap_is_shared_by_the_drugs_in_proportion() -> None:
    # 5 mL and 3 mL; a cap of 1 mL: 0.625 → 0.62 and 0.375 → 0.37 in whole steps.
    lesions = [lesion("L1", 50), lesion("L2", 50, max_ml=D(1))]
    allocation = allocate(lesions, TWO_DRUGS, DoseOrder())
    assert [ml(allocation, k)["L2"] for k in (0, 1)] == [D("0.62"), D("0.37")]
    assert [ml(allocation, k)["L1"] for k in (0, 1)] == [D("4.38"), D("2.63")]


def test_one_drug_fixed_takes_from_the_cap_of_all() -> None:
    fixed = lesion("L1", 50, max_ml=D(1), fixed_ml=(("ipilimumab", D("0.9")),), reason="x")
    allocation = allocate([fixed, lesion("L2", 50)], TWO_DRUGS, DoseOrder())
    assert [ml(allocation, k)["L1"] for k in (0, 1)] == [D("0.9"), D("0.1")]
    unclear = lesion("L1", 50, fixed_ml=(("", D("0.9")),), reason="x")
    with pytest.raises(InputRefused, match="which drug"):
        allocate([unclear], TWO_DRUGS, DoseOrder())


def test_a_mixture_is_split_whole_and_each_drug_is_its_part() -> None:
    # 5 mL : 3 mL = 0.625 : 0.375 of 8 mL; by 3:1 → 6 mL and 2 mL.
    mixed = replace(TWO_DRUGS, combination=Combination.MIXED)
    allocation = allocate([lesion("L1", 30), lesion("L2", 10)], mixed, DoseOrder())
    assert allocation.mixture is not None
    assert allocation.mixture.fractions == (("ipilimumab", D("0.625")), ("nivolumab", D("0.375")))
    assert [one.ml for one in allocation.mixture.lesions] == [6, 2]
    assert ml(allocation, 0) == {"L1": D("3.75"), "L2": D("1.25")}
    assert ml(allocation, 1) == {"L1": D("2.25"), "L2": D("0.75")}
    assert allocation.drugs[1].lesions[0].mg == D("22.5")
    assert "mixture" in allocation.document()


def test_a_ratio_that_does_not_fit_leaves_the_rest_of_one_drug() -> None:
    # 1:1 of 5 mL and 3 mL: 6 mL of mixture, 2 mL of ipilimumab are left over.
    ratio = (("ipilimumab", D(1)), ("nivolumab", D(1)))
    mixed = replace(TWO_DRUGS, combination=Combination.MIXED, ratio=ratio)
    allocation = allocate([lesion("L1", 30)], mixed, DoseOrder())
    first, second = allocation.drugs
    assert (first.allocated_ml, first.residual_ml) == (3, 2)
    assert first.residual_reasons == ("mixture_ratio",)
    assert (second.allocated_ml, second.residual_ml, second.residual_reasons) == (3, 0, ())
    assert allocation.incomplete


def test_a_ratio_without_a_finite_decimal_is_refused() -> None:
    ratio = (("ipilimumab", D(2)), ("nivolumab", D(1)))
    mixed = replace(TWO_DRUGS, combination=Combination.MIXED, ratio=ratio)
    with pytest.raises(InputRefused, match="2/3"):
        allocate([lesion("L1", 30)], mixed, DoseOrder())


def test_the_size_table_is_filled_in_order_under_its_cap_in_ml() -> None:
    # 25 mg are ordered; 4 mL a visit are 20 mg. Largest first: 2 mL (> 2.5 cm), 1 mL, then 0.5.
    lesions = [
        lesion("L1", 1, longest_diameter_mm=D(12)),
        lesion("L2", 20, longest_diameter_mm=D(26)),
        lesion("L3", 5, longest_diameter_mm=D(20)),
        lesion("L4", 9, longest_diameter_mm=D(25)),
    ]
    allocation = allocate(lesions, TABLE, DoseOrder(prescribed_mg={"ipilimumab": D(25)}))
    (drug,) = allocation.drugs
    assert [(cap.code, cap.limit_mg) for cap in drug.caps] == [("visit_ml", 20)]
    assert (drug.prescribed_mg, drug.prescribed_ml) == (20, 4)
    assert ml(allocation) == {"L1": 0, "L2": 2, "L3": 1, "L4": 1}
    assert "zero_share" in codes(allocation)
    with pytest.raises(CallError, match="prescribed-mg"):
        allocate(lesions, TABLE, DoseOrder())
    with pytest.raises(InputRefused, match="diameter"):
        allocate([lesion("L1", 1)], TABLE, DoseOrder(prescribed_mg={"ipilimumab": D(25)}))


def test_the_size_table_puts_new_lesions_first_and_priority_before_them() -> None:
    lesions = [
        lesion("L1", 90, longest_diameter_mm=D(60), previously_injected=True),
        lesion("L2", 20, longest_diameter_mm=D(26)),
        lesion("L3", 5, longest_diameter_mm=D(20), priority=1),
    ]
    order = DoseOrder(visit=2, prescribed_mg={"ipilimumab": D("17.5")})
    # 3.5 mL: L3 1 mL, L2 2 mL, then 0.5 of the 4 mL that L1 could take.
    assert ml(allocate(lesions, TABLE, order)) == {"L1": D("0.5"), "L2": 2, "L3": 1}


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (SplitRule.VOLUME, ["0.8", "0.1", "0.1"]),
        (SplitRule.EQUAL, ["0.34", "0.33", "0.33"]),
        # diameters 20:10:30
        (SplitRule.DIAMETER, ["0.33", "0.17", "0.5"]),
        # 8^(2/3) : 1 : 1 = 4 : 1 : 1 = 66.67, 16.67, 16.67 steps: two steps are left, the
        # remainders are equal, so the larger volume gets one and the smaller id the other
        (SplitRule.SURFACE, ["0.67", "0.17", "0.16"]),
    ],
)
def test_split_rules(split: SplitRule, expected: list[str]) -> None:
    lesions = [
        lesion("L1", 8, longest_diameter_mm=D(20)),
        lesion("L2", 1, longest_diameter_mm=D(10)),
        lesion("L3", 1, longest_diameter_mm=D("30.0")),
    ]
    allocation = allocate(lesions, replace(one_drug("1"), split=split), DoseOrder())
    assert list(ml(allocation).values()) == [D(text) for text in expected]


def test_by_hand_every_lesion_is_fixed() -> None:
    by_hand = replace(one_drug("1"), split=SplitRule.BY_HAND)
    fixed = lesion("L1", 9, fixed_ml=(("", D("0.3")),), reason="chosen")
    allocation = allocate([fixed], by_hand, DoseOrder())
    assert ml(allocation) == {"L1": D("0.3")}
    assert allocation.drugs[0].residual_reasons == ("fixed_ml",)
    with pytest.raises(InputRefused, match="fixed_ml"):
        allocate([fixed, lesion("L2", 1)], by_hand, DoseOrder())


def test_a_coarser_step() -> None:
    allocation = allocate(
        [lesion("L1", 2), lesion("L2", 1)], NIVIPIT, DoseOrder(D(70), increment_ml=D("0.1"))
    )
    assert ml(allocation) == {"L1": D("2.8"), "L2": D("1.4")}
    with pytest.raises(CallError, match="increment"):
        allocate([lesion("L1", 2)], NIVIPIT, DoseOrder(D(70), increment_ml=D(0)))


def test_the_band_of_a_single_lesion_is_its_dose() -> None:
    alone = lesion("L1", 20, volume_low_ml=D(10), volume_high_ml=D(30))
    dose = allocate([alone], NIVIPIT, DoseOrder(D(70))).drugs[0].lesions[0]
    assert (dose.ml_low, dose.ml_high) == (D("4.2"), D("4.2"))


def test_a_wide_band_marks_the_lesion() -> None:
    lesions = [
        lesion("L1", 10, volume_low_ml=D(5), volume_high_ml=D(20)),
        lesion("L2", 10, volume_low_ml=D(10), volume_high_ml=D(10)),
    ]
    allocation = allocate(lesions, NIVIPIT, DoseOrder(D(70)))
    doses = {one.lesion_id: one for one in allocation.drugs[0].lesions}
    # 4.2 mL by 5:10, 10:10 and 20:10
    assert [doses["L1"].ml_low, doses["L1"].ml, doses["L1"].ml_high] == [
        D("1.4"),
        D("2.1"),
        D("2.8"),
    ]
    marked = {one.subject for one in allocation.findings if one.code == "reader_dependent"}
    assert marked == {"L1", "L2"}


def test_the_document_has_the_agreed_keys_in_their_order() -> None:
    document = allocate([lesion("L1", 20)], NIVIPIT, DoseOrder(D(70))).document()
    assert list(document)[:7] == [
        "protocol", "weight_kg", "increment_ml", "drugs", "excluded", "syringes", "vials",
    ]  # fmt: skip
    assert list(document["protocol"]) == ["name", "version", "split", "sources"]
    drug = {key: value for key, value in document["drugs"][0].items() if key != "given_before_mg"}
    assert list(drug) == [
        "drug", "concentration_mg_per_ml", "ordered_mg", "caps", "prescribed_mg", "prescribed_ml",
        "allocated_mg", "allocated_ml", "residual_mg", "residual_ml", "residual_reasons", "lesions",
    ]  # fmt: skip
    dose = {key: value for key, value in drug["lesions"][0].items() if key != "why_fr"}
    assert list(dose) == [
        "lesion_id", "volume_ml", "share", "ml", "ml_low", "ml_high", "mg", "limits", "why",
    ]  # fmt: skip


def test_a_protocol_from_a_file_doses_like_the_one_that_comes_with_it() -> None:
    copy = parse_protocol(NIVIPIT.text, "copy.toml")
    lesions = [lesion("L1", 7), lesion("L2", 4)]
    assert allocate(lesions, copy, DoseOrder(D(70))) == allocate(lesions, NIVIPIT, DoseOrder(D(70)))


def test_forty_digits_stay_exact() -> None:
    # 0.3 mg/kg × 70.000…01 kg (38 decimals) = 21.000…003 mg; the volume is rounded down.
    weight = D("70." + "0" * 37 + "1")
    drug = allocate([DoseLesion("L1", D(30))], NIVIPIT, DoseOrder(weight)).drugs[0]
    assert drug.prescribed_mg == D("21." + "0" * 38 + "3")
    assert drug.prescribed_ml == drug.allocated_ml == D("4.2")
    assert drug.residual_mg == D("0." + "0" * 38 + "3")


def test_ids_that_look_alike_are_named() -> None:
    ids = ("L1", "l1", "É", "E\u0301", "T 2", "T2", "T3")
    found = allocate([DoseLesion(one, D(30)) for one in ids], NIVIPIT, DoseOrder(D(70))).findings
    told = sorted(one.message for one in found if one.code == "lesion_ids_alike")
    assert [one.count("'") for one in told] == [4, 4, 4]
    assert not any("T3" in one for one in told)


def test_a_volume_in_cubic_millimetres_is_asked_about() -> None:
    found = allocate([DoseLesion("L1", D(8000))], NIVIPIT, DoseOrder(D(70))).findings
    (warning,) = (one for one in found if one.code == "volume_unusual")
    assert "in mm³ it would be 8 mL" in warning.message


def test_a_diameter_that_nobody_knows_excludes_nobody_in_silence() -> None:
    rules = replace(NIVIPIT.lesion, min_diameter_mm=D(10), below_min_diameter=Action.EXCLUDE)
    lesions = [DoseLesion("L1", D(30)), DoseLesion("L2", D(30), longest_diameter_mm=D(9))]
    allocation = allocate(lesions, replace(NIVIPIT, lesion=rules), DoseOrder(D(70)))
    assert [one.code for one in allocation.excluded] == ["below_min_diameter"]
    (warning,) = (one for one in allocation.findings if one.code == "diameter_unchecked")
    assert warning.severity is Severity.WARN
    assert "L1" in warning.message


def test_an_amount_fixed_between_steps_says_which() -> None:
    lesions = [DoseLesion("L1", D(30), fixed_ml=(("", D("1.005")),), reason="x")]
    with pytest.raises(InputRefused, match=r"1\.005 mL fixed by hand is not a whole number"):
        allocate(lesions, NIVIPIT, DoseOrder(D(70)))
