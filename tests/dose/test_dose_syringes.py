"""The syringe sheet: every syringe shows what is drawn into it, and nothing is lost on the way."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irplan.dose import DoseLesion, DoseOrder, allocate, load_protocol
from irplan.dose.protocol import DoseRule, Drug, Syringe, Vial
from irplan.dose.syringes import fills, make_up, vial_line

D = Decimal
USUAL = (
    Syringe(D(1), D("0.01")),
    Syringe(D(3), D("0.1")),
    Syringe(D(5), D("0.2")),
    Syringe(D(10), D("0.5")),
)


@pytest.mark.parametrize(
    ("ml", "expected"),
    [
        ("3.47", [(3, "3.0"), (1, "0.47")]),
        ("0.47", [(1, "0.47")]),
        ("1", [(1, "1")]),
        ("2.7", [(3, "2.7")]),
        ("4.2", [(5, "4.2")]),
        ("4.5", [(10, "4.5")]),
        ("2.75", [(3, "2.7"), (1, "0.05")]),
        ("1.15", [(1, "1"), (1, "0.15")]),
        ("4.3", [(5, "4.2"), (1, "0.1")]),
        ("25.5", [(10, "10"), (10, "10"), (10, "5.5")]),
    ],
)
def test_doses_are_made_up_from_the_fewest_syringes(
    ml: str, expected: list[tuple[int, str]]
) -> None:
    made = [(one.size_ml, amount) for one, amount in make_up(D(ml), USUAL)]
    assert made == [(size, D(amount)) for size, amount in expected]


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 1500))
def test_every_syringe_shows_its_part(hundredths: int) -> None:
    ml = D(hundredths) / 100
    made = make_up(ml, USUAL)
    assert sum(amount for _, amount in made) == ml
    for syringe, amount in made:
        assert 0 < amount <= syringe.size_ml
        assert amount % syringe.graduation_ml == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700))
def test_no_smaller_number_of_syringes_shows_it(hundredths: int) -> None:
    """Against trying every amount of every pair."""
    ml = D(hundredths) / 100
    shown = {
        syringe: {
            syringe.graduation_ml * n
            for n in range(1, int(syringe.size_ml / syringe.graduation_ml) + 1)
        }
        for syringe in USUAL
    }
    one = any(ml in amounts for amounts in shown.values())
    two = any(ml - first in shown[b] for a, b in product(USUAL, USUAL) for first in shown[a])
    count = len(make_up(ml, USUAL))
    assert (count == 1) is one
    if not one:
        assert (count == 2) is two


def test_what_no_graduation_shows_is_said() -> None:
    assert make_up(D("0.125"), USUAL) == ()
    order = DoseOrder(weight_kg=D(70), increment_ml=D("0.001"))
    lesions = [DoseLesion("L1", D(2)), DoseLesion("L2", D("1.001"))]
    allocation = allocate(lesions, load_protocol("nivipit"), order)
    assert {one.subject for one in allocation.findings if one.code == "not_showable"} == {
        line.lesion_id for line in allocation.syringes if not line.fills
    }
    assert any(not line.fills for line in allocation.syringes)


def test_the_dead_space_goes_into_the_finest_syringe_with_room() -> None:
    made, drawn = fills(D("3.47"), D("0.085"), USUAL)
    assert drawn == D("3.56")
    assert [(one.draw_ml, one.give_ml) for one in made] == [(3, 3), (D("0.56"), D("0.47"))]
    # 4.2 mL fill a 5 mL syringe that does not show 4.29: the needle is primed from another.
    made, drawn = fills(D("4.2"), D("0.09"), USUAL)
    assert [(one.size_ml, one.draw_ml, one.give_ml) for one in made] == [
        (5, D("4.2"), D("4.2")),
        (1, D("0.09"), 0),
    ]
    assert drawn == D("4.29")
    # No room in a full 1 mL syringe either.
    assert len(fills(D(1), D("0.09"), USUAL)[0]) == 2


def test_the_sheet_adds_up_to_the_allocation() -> None:
    lesions = [DoseLesion("L1", D(12)), DoseLesion("L2", D(5)), DoseLesion("L3", D(3))]
    allocation = allocate(lesions, load_protocol("nivipit"), DoseOrder(weight_kg=D("71.3")))
    assert {line.lesion_id: line.give_ml for line in allocation.syringes} == {
        one.lesion_id: one.ml for one in allocation.drugs[0].lesions
    }
    for line in allocation.syringes:
        assert sum(one.give_ml for one in line.fills) == line.give_ml
        assert sum(one.draw_ml for one in line.fills) == line.draw_ml == line.give_ml + D("0.09")
        assert dict(line.mg)["ipilimumab"] == line.give_ml * 5
    (vials,) = allocation.vials
    assert vials.drawn_ml == sum(line.draw_ml for line in allocation.syringes)
    assert vials.counts == ((50, 10, 1),)
    assert vials.waste_ml == 10 - allocation.drugs[0].allocated_ml
    assert vials.waste_mg == 5 * vials.waste_ml


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 20000))
def test_vials_waste_least_then_are_fewest(hundredths: int) -> None:
    needed = D(hundredths) / 100
    drug = Drug("drug", D(5), DoseRule.PRESCRIBED, vials=(Vial(D(50), D(10)), Vial(D(200), D(40))))
    line = vial_line(drug, needed, needed)
    counts = {ml: count for _, ml, count in line.counts}
    best = min(
        (10 * small + 40 * large, small + large)
        for small, large in product(range(25), range(7))
        if 10 * small + 40 * large >= needed
    )
    held = sum(ml * count for ml, count in counts.items())
    assert (held, sum(counts.values())) == best
    assert line.waste_ml == held - needed
