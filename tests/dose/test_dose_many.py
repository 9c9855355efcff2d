"""The numbers of many patients are those of one patient at a time."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from dose_cases import decimal, random_lesions, random_order, random_protocol
from hypothesis import given, settings
from hypothesis import strategies as st

from irplan.dose import DoseLesion, DoseOrder, allocate, load_protocol
from irplan.dose.many import doses_of_many
from irplan.errors import IrplanError

NIVIPIT = load_protocol("nivipit")


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**48), st.booleans(), st.booleans())
def test_many_is_one_at_a_time(seed: int, plain_protocol: bool, plain_lesions: bool) -> None:
    generator = random.Random(seed)
    lesions = random_lesions(generator, generator.randint(1, 6))
    if plain_lesions:
        lesions = tuple(replace(one, injectable=True) for one in lesions)
    protocol = random_protocol(generator)
    protocol = replace(
        protocol, drugs=protocol.drugs[:1], combination=load_protocol("nivipit").combination
    )
    if plain_protocol:
        cap = decimal(generator, 50, 300, 1) if generator.random() < 0.5 else None
        protocol = replace(NIVIPIT, drugs=(replace(NIVIPIT.drugs[0], max_visit_mg=cap),))
    order = replace(
        random_order(generator),
        increment_ml=generator.choice([None, Decimal("0.05"), Decimal("0.03")]),
    )
    (many,) = doses_of_many([(lesions, order)], protocol)
    allocation = allocate(lesions, protocol, order)
    (drug,) = allocation.drugs
    assert dict(zip(many.lesion_ids, many.ml, strict=True)) == {
        one.lesion_id: one.ml for one in drug.lesions
    }
    assert list(many.lesion_ids) == [one.lesion_id for one in drug.lesions]
    assert many.prescribed_mg == drug.prescribed_mg
    assert many.prescribed_ml == drug.prescribed_ml
    assert many.residual_ml == drug.residual_ml
    assert many.incomplete == allocation.incomplete


@pytest.mark.parametrize(
    ("lesions", "order"),
    [
        ([DoseLesion("A", Decimal(1)), DoseLesion("A", Decimal(2))], DoseOrder(Decimal(70))),
        ([DoseLesion("A", Decimal(0))], DoseOrder(Decimal(70))),
        ([DoseLesion("A", Decimal("NaN"))], DoseOrder(Decimal(70))),
        ([DoseLesion("A\n", Decimal(1))], DoseOrder(Decimal(70))),
        ([DoseLesion("A", Decimal(10_001))], DoseOrder(Decimal(70))),
        ([DoseLesion("A", Decimal(1), max_ml=Decimal(-1))], DoseOrder(Decimal(70))),
        ([DoseLesion("A", Decimal(1))], DoseOrder(Decimal(700))),
        ([DoseLesion("A", Decimal(1))], DoseOrder(Decimal(70), height_cm=Decimal(5))),
        ([DoseLesion("A", Decimal(1))], DoseOrder()),
    ],
)
def test_what_one_refuses_many_refuses(lesions: list[DoseLesion], order: DoseOrder) -> None:
    with pytest.raises(IrplanError) as one:
        allocate(lesions, NIVIPIT, order)
    with pytest.raises(IrplanError) as many:
        list(doses_of_many([(lesions, order)], NIVIPIT))
    assert many.value.code == one.value.code


def test_several_drugs_are_not_made() -> None:
    with pytest.raises(ValueError, match="one drug"):
        list(doses_of_many([], load_protocol("nct07230613")))


def test_equal_remainders_go_to_the_larger_volume_in_a_batch_too() -> None:
    # 0.005 mg/kg × 20 kg = 0.1 mg = 2 steps; by 1:3 = 0.5 and 1.5, and by 1:1:2 = 0.5, 0.5, 1.
    tiny = replace(NIVIPIT, drugs=(replace(NIVIPIT.drugs[0], amount=Decimal("0.005")),))
    order = DoseOrder(weight_kg=Decimal(20))
    cases = [
        ((DoseLesion("A", Decimal(1)), DoseLesion("B", Decimal(3))), order),
        (
            (DoseLesion("C", Decimal(2)), DoseLesion("B", Decimal(1)), DoseLesion("A", Decimal(1))),
            order,
        ),
    ]
    first, second = doses_of_many(cases, tiny)
    assert first.ml == (0, Decimal("0.02"))
    assert second.ml == (Decimal("0.01"), 0, Decimal("0.01"))
