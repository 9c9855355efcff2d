"""What-if comparisons, and the volumes at which a dose turns."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from dose_cases import random_lesions, random_order, random_protocol
from hypothesis import given, settings
from hypothesis import strategies as st

from irplan.dose import DoseLesion, DoseOrder, GivenRow, allocate, load_protocol
from irplan.dose.protocol import DoseRule, Drug, LesionRules, Protocol, SplitRule
from irplan.dose.whatif import compare_splits, fix_by_hand, leave_out, turning_points
from irplan.errors import CallError

D = Decimal
NIVIPIT = load_protocol("nivipit")
ORDER = DoseOrder(weight_kg=D(70))
LESIONS = (DoseLesion("L1", D(12)), DoseLesion("L2", D(5)), DoseLesion("L3", D(3)))


def ml(allocation) -> dict[str, Decimal]:  # type: ignore[no-untyped-def]
    return {one.lesion_id: one.ml for one in allocation.drugs[0].lesions}


def test_leave_one_out() -> None:
    # 4.2 mL by 5:3
    without = leave_out(LESIONS, NIVIPIT, ORDER, "L1", "beside the carotid")
    assert ml(without) == {"L2": D("2.63"), "L3": D("1.57")}
    assert "beside the carotid" in without.excluded[0].message
    with pytest.raises(CallError, match="L9"):
        leave_out(LESIONS, NIVIPIT, ORDER, "L9")


def test_fix_one_by_hand() -> None:
    fixed = fix_by_hand(LESIONS, NIVIPIT, ORDER, "L1", (("", D("1.8")),), "near the skin")
    assert ml(fixed) == {"L1": D("1.8"), "L2": D("1.5"), "L3": D("0.9")}


def test_split_rules_side_by_side() -> None:
    compared = {one.rule: one for one in compare_splits(LESIONS, NIVIPIT, ORDER)}
    by_volume, equal = compared[SplitRule.VOLUME], compared[SplitRule.EQUAL]
    assert by_volume.allocation == allocate(LESIONS, NIVIPIT, ORDER)
    assert equal.allocation is not None
    assert ml(equal.allocation) == {"L1": D("1.4"), "L2": D("1.4"), "L3": D("1.4")}
    by_diameter = compared[SplitRule.DIAMETER]
    assert by_diameter.allocation is None
    assert "diameter" in by_diameter.refused


def made_up(ml: str, **rules: object) -> Protocol:
    drug = Drug("drug", D(1), DoseRule.FLAT, D(ml))
    return Protocol("made up", "1", (drug,), lesion=LesionRules(**rules))  # type: ignore[arg-type]


def test_turning_points_worked_by_hand() -> None:
    # 1 mL over A = 1 mL and B = 1 mL: 50 steps each. A at v gets 100·v/(v+1) steps.
    # 50.5 steps are reached at v = 50.5/49.5 = 1.0202…: there the remainders are equal and the
    # larger, A, has the step: 1.021 mL is the first volume of three places that does.
    # 49.5 at v = 49.5/50.5 = 0.9801…: below it the step goes to B: 0.980 mL.
    lesions = [DoseLesion("A", D(1), max_ml=D("0.6")), DoseLesion("B", D(1))]
    first, _ = turning_points(lesions, made_up("1", smallest_ml=D("0.1")), DoseOrder())
    assert first.ml == D("0.5")
    assert (first.one_step_less_ml, first.one_step_more_ml) == (D("0.980"), D("1.021"))
    # Share 0.1 at v = 1/9 = 0.111…; limit 0.6 at v = 1.5.
    assert first.excluded_up_to_ml == D("0.111")
    assert first.limited_from_ml == D("1.5")


def test_a_single_lesion_never_turns() -> None:
    (only,) = turning_points([DoseLesion("A", D(1))], made_up("1"), DoseOrder())
    assert (only.ml, only.one_step_less_ml, only.one_step_more_ml) == (1, None, None)
    assert (only.excluded_up_to_ml, only.limited_from_ml) == (None, None)
    assert only.document()["lesion_id"] == "A"


def test_what_was_given_counts() -> None:
    given_rows = (GivenRow("A", "drug", D("0.255")),)
    points = turning_points(
        [DoseLesion("A", D(1)), DoseLesion("B", D(1))], made_up("1"), DoseOrder(given=given_rows)
    )
    allocation = allocate(
        [DoseLesion("A", D(1)), DoseLesion("B", D(1))], made_up("1"), DoseOrder(given=given_rows)
    )
    assert [one.ml for one in points] == list(ml(allocation).values())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**48))
def test_doses_turn_at_the_turning_points(seed: int) -> None:
    generator = random.Random(seed)
    lesions = tuple(
        replace(one, volume_low_ml=None, volume_high_ml=None)
        for one in random_lesions(generator, generator.randint(1, 4))
    )
    protocol, order = random_protocol(generator), random_order(generator)

    def dose(lesion_id: str, volume: Decimal) -> Decimal:
        moved = [
            replace(one, volume_ml=volume) if one.lesion_id == lesion_id else one for one in lesions
        ]
        allocation = allocate(moved, protocol, order)
        if allocation.mixture is not None:
            doses = {one.lesion_id: one.ml for one in allocation.mixture.lesions}
            return doses.get(lesion_id, D(0))
        return sum((amount for _, amount in allocation.ml_of(lesion_id)), D(0))

    for point in turning_points(lesions, protocol, order):
        one = D("0.001")
        if point.one_step_less_ml is not None:
            assert dose(point.lesion_id, point.one_step_less_ml) < point.ml
            assert dose(point.lesion_id, point.one_step_less_ml + one) >= point.ml
        if point.one_step_more_ml is not None:
            assert dose(point.lesion_id, point.one_step_more_ml) > point.ml
            if point.one_step_more_ml > one:
                assert dose(point.lesion_id, point.one_step_more_ml - one) <= point.ml
        if point.excluded_up_to_ml is not None:
            assert dose(point.lesion_id, point.excluded_up_to_ml) == 0
