"""Random dosing problems: lesions, protocols and orders, from a seeded generator."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from irplan.dose import DoseLesion, DoseOrder, GivenRow, Protocol
from irplan.dose.protocol import (
    Combination,
    Comes,
    DoseRule,
    Drug,
    LesionRules,
    Preparation,
    SizeClass,
    SplitRule,
    Syringe,
    TooSmall,
)

CENTI = Decimal("0.01")


def decimal(generator: random.Random, low: int, high: int, places: int) -> Decimal:
    """A decimal in [low, high] in units of its last place."""
    return Decimal(generator.randint(low, high)).scaleb(-places)


def random_lesions(generator: random.Random, count: int) -> tuple[DoseLesion, ...]:
    """Lesions of 0.001 to 100 mL; small whole volumes now and then, so that ties happen."""
    lesions = []
    for number in range(count):
        if generator.random() < 0.3:
            volume = Decimal(generator.randint(1, 6))
        else:
            volume = decimal(generator, 1, 10 ** generator.randint(1, 5), 3)
        low = high = None
        if generator.random() < 0.5:
            low = (volume * Decimal(generator.randint(50, 100)) / 100).quantize(Decimal("0.001"))
            high = (volume * Decimal(generator.randint(100, 160)) / 100).quantize(Decimal("0.001"))
        lesions.append(
            DoseLesion(
                lesion_id=f"L{number + 1}",
                volume_ml=volume,
                volume_low_ml=low,
                volume_high_ml=high,
                longest_diameter_mm=decimal(generator, 20, 800, 1),
                max_ml=decimal(generator, 0, 300, 2) if generator.random() < 0.25 else None,
                injectable=generator.random() > 0.08,
                reason="beside the carotid",
                priority=generator.choice([None, None, 1, 2, 3]),
                previously_injected=generator.choice([None, True, False]),
            )
        )
    generator.shuffle(lesions)
    return tuple(lesions)


def with_demands(
    generator: random.Random, lesions: tuple[DoseLesion, ...], protocol: Protocol
) -> tuple[DoseLesion, ...]:
    """The same lesions, a few with a minimum or, where there is one drug, a fixed amount."""
    one_liquid = len(protocol.drugs) == 1
    changed = []
    for lesion in lesions:
        chance = generator.random()
        if chance < 0.2 and lesion.injectable:
            lesion = replace(lesion, min_ml=decimal(generator, 1, 60, generator.choice([2, 3])))
            if lesion.max_ml is not None and (lesion.min_ml or 0) > lesion.max_ml:
                lesion = replace(lesion, max_ml=lesion.min_ml)
        elif chance < 0.3 and lesion.injectable and one_liquid:
            amount = generator.randint(0, 8) * protocol.preparation.increment_ml
            lesion = replace(lesion, fixed_ml=(("", amount),))
        changed.append(lesion)
    return tuple(changed)


def random_protocol(generator: random.Random) -> Protocol:
    """One drug or two, any split rule but by hand, limits now and then."""
    first = Drug("ipilimumab", Decimal(5), DoseRule.PER_KG, Decimal("0.3"))
    if generator.random() < 0.3:
        first = replace(first, max_visit_mg=decimal(generator, 50, 300, 1))
    second = Drug("nivolumab", Decimal(10), DoseRule.FLAT, decimal(generator, 10, 300, 1))
    two = generator.random() < 0.3
    mixed = two and generator.random() < 0.4
    smallest = decimal(generator, 1, 60, 2) if generator.random() < 0.3 else None
    split = generator.choice(
        [
            SplitRule.VOLUME,
            SplitRule.VOLUME,
            SplitRule.VOLUME,
            SplitRule.SURFACE,
            SplitRule.EQUAL,
            SplitRule.DIAMETER,
            SplitRule.SIZE_TABLE,
        ]
    )
    classes = (
        SizeClass(Decimal(0), Decimal("0.1")),
        SizeClass(Decimal(15), Decimal("0.5")),
        SizeClass(Decimal(40), Decimal("1.5")),
    )
    return Protocol(
        name="random",
        version="1",
        drugs=(first, second) if two else (first,),
        split=split,
        combination=Combination.MIXED if mixed else Combination.SEPARATE,
        ratio=(("ipilimumab", Decimal(5)), ("nivolumab", Decimal(3))) if mixed else (),
        max_lesions=generator.randint(1, 4) if generator.random() < 0.2 else None,
        order=generator.choice([(Comes.LARGEST,), (Comes.NEW, Comes.LARGEST)]),
        lesion=LesionRules(
            smallest_ml=smallest,
            too_small=generator.choice(list(TooSmall)),
            warn_above_fraction=Fraction(1, 3),
            max_fraction=Fraction(1, generator.randint(1, 4)) if generator.random() < 0.2 else None,
            max_ml=decimal(generator, 10, 300, 2) if generator.random() < 0.2 else None,
            size_table=classes if split is SplitRule.SIZE_TABLE else (),
        ),
        preparation=Preparation(
            increment_ml=generator.choice([CENTI, CENTI, Decimal("0.05"), Decimal("0.1")])
        ),
        syringes=(Syringe(Decimal(1), CENTI), Syringe(Decimal(10), Decimal("0.5"))),
    )


def random_order(generator: random.Random) -> DoseOrder:
    """A weight of 20 to 150 kg, to a tenth or a thousandth."""
    places = generator.choice([1, 3])
    return DoseOrder(weight_kg=decimal(generator, 20 * 10**places, 150 * 10**places, places))


def random_given(
    generator: random.Random, lesions: tuple[DoseLesion, ...], protocol: Protocol
) -> tuple[GivenRow, ...]:
    """What a visit may have given so far, in one or two lesions: a drop, or more than a share."""
    possible = [one.lesion_id for one in lesions if one.injectable or generator.random() < 0.1]
    mixed = protocol.combination is Combination.MIXED
    drugs = ["mixture"] if mixed else [drug.name for drug in protocol.drugs]
    chosen = generator.sample(possible, min(len(possible), generator.randint(1, 2)))
    return tuple(
        GivenRow(
            lesion_id,
            generator.choice(drugs),
            decimal(generator, 0, generator.choice([4, 150]), generator.choice([2, 3])),
            closed=generator.random() < 0.4,
        )
        for lesion_id in chosen
    )
