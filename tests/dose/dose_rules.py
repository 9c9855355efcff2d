"""The rules of an allocation, written a second time and without the program's own arithmetic.

Real-valued shares come from bisection of λ in floating point over the rule's own formula, so
nothing of the exact solver is used here.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from scipy.optimize import brentq

from irplan.dose import Allocation, DoseLesion, DoseOrder, LesionDose, Protocol
from irplan.dose.protocol import Combination, SplitRule


def float_shares(
    weights: Sequence[float], lows: Sequence[float], highs: Sequence[float], total: float
) -> list[float]:
    """clamp(λ·weight, low, high) that add up to ``total``, by Brent's method on λ."""

    def shares(scale: float) -> list[float]:
        return [
            min(max(scale * weight, low), high)
            for weight, low, high in zip(weights, lows, highs, strict=True)
        ]

    if sum(highs) <= total:
        return list(highs)
    top = max(high / weight for weight, high in zip(weights, highs, strict=True)) + 1
    scale = brentq(lambda x: sum(shares(x)) - total, 0.0, top, xtol=1e-15, rtol=1e-15, maxiter=500)
    return shares(scale)


def weight_of(lesion: DoseLesion, protocol: Protocol) -> float:
    """The weight of a lesion under the protocol's rule."""
    volume = float(lesion.volume_ml or 0)
    if protocol.split is SplitRule.VOLUME:
        return volume
    if protocol.split is SplitRule.SURFACE:
        return round(volume ** (2 / 3), 6)
    if protocol.split is SplitRule.DIAMETER:
        return float(lesion.longest_diameter_mm or 0)
    return 1.0


def cap_of(lesion: DoseLesion, protocol: Protocol) -> Fraction | None:
    """The least limit on what a lesion may get of all drugs together, in mL."""
    rules = protocol.lesion
    caps = [Fraction(cap) for cap in (lesion.max_ml, rules.max_ml) if cap is not None]
    if rules.max_fraction is not None:
        caps.append(rules.max_fraction * Fraction(lesion.volume_ml or 0))
    if rules.size_table:
        diameter = lesion.longest_diameter_mm or Decimal(0)
        caps.append(Fraction(max(row.ml for row in rules.size_table if diameter > row.above_mm)))
    return min(caps, default=None)


def liquids(allocation: Allocation) -> list[tuple[Decimal, Decimal, Sequence[LesionDose]]]:
    """(prescribed mL, residual mL, doses) of each thing that is split in whole increments."""
    if allocation.mixture is not None:
        one = allocation.mixture
        return [(one.prescribed_ml, one.residual_ml, one.lesions)]
    return [(one.prescribed_ml, one.residual_ml, one.lesions) for one in allocation.drugs]


def check_sums(allocation: Allocation, order: DoseOrder) -> None:
    """allocated + residual = prescribed; mg = mL × concentration; whole increments."""
    step = allocation.increment_ml
    for drug in allocation.drugs:
        assert drug.allocated_ml + drug.residual_ml == drug.prescribed_ml
        assert drug.allocated_mg + drug.residual_mg == drug.prescribed_mg
        assert drug.residual_ml >= 0
        assert drug.residual_mg >= 0
        assert sum((one.ml for one in drug.lesions), Decimal(0)) == drug.allocated_ml
        assert drug.prescribed_mg <= drug.ordered_mg
        assert all(drug.prescribed_mg <= cap.limit_mg for cap in drug.caps)
        for one in drug.lesions:
            assert one.mg == one.ml * drug.concentration_mg_per_ml
        if 0 < drug.residual_ml < step:
            assert "rounding" in drug.residual_reasons
            assert allocation.mixture or drug.residual_reasons == ("rounding",)
        if drug.residual_ml >= step:
            assert set(drug.residual_reasons) - {"rounding"}
            assert allocation.incomplete
    if all(residual < step for _, residual, _ in liquids(allocation)):
        assert not allocation.incomplete or allocation.mixture
    for _, _, doses in liquids(allocation):
        for one in doses:
            if order.given:
                assert one.given_ml is not None
                assert one.remaining_ml is not None
                assert one.ml == one.given_ml + one.remaining_ml
                assert one.remaining_ml >= 0
                assert one.remaining_ml % step == 0
            else:
                assert one.ml % step == 0
            assert one.ml_low <= one.ml <= one.ml_high


def check_who(allocation: Allocation, lesions: Sequence[DoseLesion], order: DoseOrder) -> None:
    """Each lesion is dosed or excluded, never both; nothing to a lesion not to be injected."""
    dosed = [{one.lesion_id for one in drug.lesions} for drug in allocation.drugs]
    excluded = {one.lesion_id for one in allocation.excluded}
    assert all(ids == dosed[0] for ids in dosed)
    assert dosed[0] | excluded == {lesion.lesion_id for lesion in lesions}
    assert not dosed[0] & excluded
    given = {row.lesion_id for row in order.given if row.ml or row.closed}
    for lesion in lesions:
        if not lesion.injectable and lesion.lesion_id not in given:
            assert lesion.lesion_id in excluded


def check_caps(
    allocation: Allocation, lesions: Sequence[DoseLesion], protocol: Protocol, order: DoseOrder
) -> None:
    """No lesion above its cap, all drugs together; a closed one at what it was given."""
    given: dict[str, Decimal] = {}
    for row in order.given:
        given[row.lesion_id] = given.get(row.lesion_id, Decimal(0)) + row.ml
    closed = {row.lesion_id for row in order.given if row.closed}
    for lesion in lesions:
        total = sum((ml for _, ml in allocation.ml_of(lesion.lesion_id)), Decimal(0))
        cap = cap_of(lesion, protocol)
        got = given.get(lesion.lesion_id, Decimal(0))
        assert total >= got
        if cap is not None:
            assert Fraction(total) <= max(cap, Fraction(got))
        if lesion.lesion_id in closed:
            assert total == got


def check_near_shares(
    allocation: Allocation, lesions: Sequence[DoseLesion], protocol: Protocol
) -> None:
    """Every lesion of a split by weight lies less than one increment from its real-valued share.

    For one liquid without given amounts and without raised shares.
    """
    by_id = {lesion.lesion_id: lesion for lesion in lesions}
    step = float(allocation.increment_ml)
    for prescribed, _, doses in liquids(allocation):
        if not doses:
            continue
        total = Fraction(prescribed) // Fraction(allocation.increment_ml)
        chosen = [by_id[one.lesion_id] for one in doses]
        highs = []
        for lesion in chosen:
            cap = cap_of(lesion, protocol)
            whole = total if cap is None else cap // Fraction(allocation.increment_ml)
            highs.append(float(min(total, whole)))
        weights = [weight_of(lesion, protocol) for lesion in chosen]
        shares = float_shares(weights, [0.0] * len(chosen), highs, float(total))
        for one, real in zip(doses, shares, strict=True):
            assert abs(float(one.ml) / step - real) < 1 + 1e-6


def check_all(
    allocation: Allocation, lesions: Sequence[DoseLesion], protocol: Protocol, order: DoseOrder
) -> None:
    """Every rule that applies to the case."""
    check_sums(allocation, order)
    check_who(allocation, lesions, order)
    check_caps(allocation, lesions, protocol, order)
    raised = any("smallest_ml" in one.limits for drug in allocation.drugs for one in drug.lesions)
    one_liquid = len(protocol.drugs) == 1 or protocol.combination is Combination.MIXED
    by_weight = protocol.split is not SplitRule.SIZE_TABLE
    demanded = {one.lesion_id for one in lesions if one.min_ml or one.fixed_ml}
    for lesion in lesions:
        got = [ml for _, ml in allocation.ml_of(lesion.lesion_id)]
        if lesion.min_ml and lesion.injectable and not order.given:
            assert sum(got) >= lesion.min_ml or _excluded(allocation, lesion)
    if one_liquid and by_weight and not raised and not order.given and not demanded:
        check_near_shares(allocation, lesions, protocol)
    smallest = protocol.lesion.smallest_ml
    if smallest is not None and one_liquid and not order.given:
        for _, _, doses in liquids(allocation):
            assert all(one.ml >= smallest for one in doses if one.lesion_id not in demanded)


def _excluded(allocation: Allocation, lesion: DoseLesion) -> bool:
    return lesion.lesion_id in {one.lesion_id for one in allocation.excluded}
