"""The doses of many patients: numbers only, in whole numbers, equal to :func:`allocate`.

A cohort mostly holds plain cases: one drug split by volume, nothing given yet, no bounds but a
maximum here and there. For those the split is a few integer divisions, and nothing else of an
allocation (sentences, bands, syringes, findings) is made. Every other case goes through
:func:`irplan.dose.allocate.allocate`, so the numbers are the same either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from irplan.dose.allocate import allocate
from irplan.dose.lesion_table import LARGEST_ML, DoseLesion
from irplan.dose.order import WEIGHT_KG_POSSIBLE, DoseOrder
from irplan.dose.protocol import Action, DoseRule, Protocol, SplitRule
from irplan.dose.split import water_fill, whole_increments
from irplan.units import EXACT, plain

#: In 0.001 mL; beyond it the whole check decides, which refuses.
_LARGEST = int(LARGEST_ML * 1000)

Case = tuple[Sequence[DoseLesion], DoseOrder]


@dataclass(frozen=True, slots=True)
class CaseDoses:
    """The numbers of one case of a protocol with one drug.

    Attributes:
        ml: dose of each lesion of ``lesion_ids`` (rising id; those that take part), mL.
        prescribed_mg, prescribed_ml, residual_ml: prescribed = sum of ``ml`` + residual.
        incomplete: one increment or more is left over.
    """

    lesion_ids: tuple[str, ...]
    ml: tuple[Decimal, ...]
    prescribed_mg: Decimal
    prescribed_ml: Decimal
    residual_ml: Decimal
    incomplete: bool


def doses_of_many(cases: Iterable[Case], protocol: Protocol) -> Iterator[CaseDoses]:
    """The doses of each case, in their order.

    Raises:
        InputRefused, CallError: as :func:`allocate`, at the first case that it refuses.
        ValueError: the protocol gives several drugs.
    """
    if len(protocol.drugs) != 1:
        raise ValueError("numbers of many cases are made for one drug")
    fast = _Fast(protocol) if _is_plain_protocol(protocol) else None
    for lesions, order in cases:
        doses = fast.doses(lesions, order) if fast else None
        yield doses if doses is not None else _whole(lesions, protocol, order)


def _whole(lesions: Sequence[DoseLesion], protocol: Protocol, order: DoseOrder) -> CaseDoses:
    allocation = allocate(lesions, protocol, order)
    drug = allocation.drugs[0]
    return CaseDoses(
        tuple(one.lesion_id for one in drug.lesions),
        tuple(one.ml for one in drug.lesions),
        drug.prescribed_mg,
        drug.prescribed_ml,
        drug.residual_ml,
        allocation.incomplete,
    )


def _is_plain_protocol(protocol: Protocol) -> bool:
    """One drug by body weight, split by volume, and no rule that excludes or bounds a lesion."""
    drug, rules = protocol.drugs[0], protocol.lesion
    return (
        drug.rule is DoseRule.PER_KG
        and drug.max_course_mg is None
        and drug.max_visit_ml is None
        and protocol.split is SplitRule.VOLUME
        and protocol.max_lesions is None
        and rules.smallest_ml is None
        and rules.max_fraction is None
        and rules.max_ml is None
        and not rules.size_table
        and not (rules.min_volume_ml and rules.below_min_volume is Action.EXCLUDE)
        and not (rules.min_diameter_mm and rules.below_min_diameter is Action.EXCLUDE)
    )


class _Fast:
    """The plain cases of one protocol, with everything that is the same for all worked out."""

    def __init__(self, protocol: Protocol) -> None:
        drug = protocol.drugs[0]
        self.amount = drug.amount or Decimal(0)
        self.cap = drug.max_visit_mg
        self.concentration = drug.concentration_mg_per_ml
        self.ml_per_mg = 1 / Fraction(drug.concentration_mg_per_ml)
        self.default_step = protocol.preparation.increment_ml
        self.amounts: dict[tuple[Decimal, int], Decimal] = {}

    def doses(self, lesions: Sequence[DoseLesion], order: DoseOrder) -> CaseDoses | None:
        """The numbers, or None where the case is not plain or has to be refused."""
        weight, step = order.weight_kg, order.increment_ml or self.default_step
        low, high = WEIGHT_KG_POSSIBLE
        if (
            weight is None
            or not low <= weight <= high
            or order.prescribed_mg
            or order.given
            or order.visit < 1
            or order.height_cm is not None
            or step <= 0
        ):
            return None
        ordered = lesions
        if any(a.lesion_id >= b.lesion_id for a, b in pairwise(lesions)):
            ordered = sorted(lesions, key=lambda one: one.lesion_id)
        volumes = _plain_volumes(ordered)
        if volumes is None:
            return None
        prescribed_mg = EXACT.multiply(self.amount, weight)
        if self.cap is not None and prescribed_mg > self.cap:
            prescribed_mg = self.cap
        over, under = prescribed_mg.as_integer_ratio()
        ratio = self.ml_per_mg
        millionths = over * ratio.numerator * 1_000_000 // (under * ratio.denominator)
        prescribed_ml = EXACT.normalize(Decimal(millionths).scaleb(-6))
        step_over, step_under = step.as_integer_ratio()
        total = millionths * step_under // (1_000_000 * step_over)
        increments = _split(total, volumes, ordered, step)
        given = sum(increments)
        residual = EXACT.subtract(prescribed_ml, EXACT.multiply(step, Decimal(given)))
        return CaseDoses(
            tuple([one.lesion_id for one in ordered]),
            tuple([self._ml(step, count) for count in increments]),
            plain(prescribed_mg),
            plain(prescribed_ml),
            plain(residual),
            given < total,
        )

    def _ml(self, step: Decimal, count: int) -> Decimal:
        key = (step, count)
        known = self.amounts.get(key)
        if known is None:
            known = self.amounts[key] = plain(EXACT.multiply(step, Decimal(count)))
        return known


def _plain_volumes(lesions: Sequence[DoseLesion]) -> list[int] | None:
    """Volumes in 0.001 mL where every lesion is plain; None where one is not."""
    volumes = []
    before = None
    for lesion in lesions:
        volume = lesion.volume_ml
        if (
            volume is None
            or not lesion.injectable
            or lesion.fixed_ml
            or lesion.min_ml
            or lesion.lesion_id == before
            or not lesion.lesion_id.strip()
            or not lesion.lesion_id.isprintable()
            or not volume.is_finite()
            or _is_odd(lesion)
        ):
            return None
        before = lesion.lesion_id
        whole = int((volume * 1000).to_integral_value())
        if not 1 <= whole <= _LARGEST:
            return None
        volumes.append(whole)
    return volumes


def _is_odd(lesion: DoseLesion) -> bool:
    """Whether a number besides the volume might be refused; the whole check then decides."""
    low, high, most = lesion.volume_low_ml, lesion.volume_high_ml, lesion.max_ml
    if low is None and high is None and most is None and lesion.longest_diameter_mm is None:
        return False
    known = [one for one in (low, high, most, lesion.longest_diameter_mm) if one is not None]
    if not all(one.is_finite() and one >= 0 for one in known):
        return True
    if lesion.longest_diameter_mm == 0 or high == 0:
        return True
    return low is not None and high is not None and low > high


def _split(
    total: int, volumes: Sequence[int], lesions: Sequence[DoseLesion], step: Decimal
) -> Sequence[int]:
    """Whole increments of each lesion, by volume under the lesions' maxima."""
    if any(lesion.max_ml is not None for lesion in lesions):
        highs = [
            total if lesion.max_ml is None else min(total, max(0, int(lesion.max_ml // step)))
            for lesion in lesions
        ]
        shares = water_fill(volumes, [0] * len(volumes), highs, total)
        ties = [(volume, lesion.lesion_id) for volume, lesion in zip(volumes, lesions, strict=True)]
        return whole_increments(shares, [0] * len(volumes), 1, total, ties)
    whole = sum(volumes)
    if not whole:
        return []
    counts = [total * volume // whole for volume in volumes]
    left = total - sum(counts)
    if left:
        # Largest remainder first; ties to the larger volume, then to the smaller id.
        ranked = sorted(
            [(-(total * v % whole), -v, i) for i, v in enumerate(volumes)],
        )
        for _, _, i in ranked[:left]:
            counts[i] += 1
    return counts
