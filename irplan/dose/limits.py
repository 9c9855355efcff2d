"""What each lesion may still get of each liquid: every bound, taken to whole increments.

Bounds are exact fractions of mL until they are taken to whole increments, caps down and minima up.
Lesions are addressed by their place in the list sorted by id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import lcm

from irplan.dose.lesion_table import DoseLesion
from irplan.dose.liquids import GivenSoFar, Liquid
from irplan.dose.protocol import Protocol
from irplan.dose.weights import diameter_of
from irplan.errors import InputRefused
from irplan.units import decimal_text, plain

Amount = tuple[str, Fraction]


@dataclass(frozen=True)
class Bounds:
    """What one lesion may still get of one liquid, in whole increments, and why.

    ``low_codes`` and ``high_codes`` name what sets the bounds; () where nothing does.
    """

    low: int
    high: int
    low_codes: tuple[str, ...]
    high_codes: tuple[str, ...]


class Limits:
    """The limits of every lesion for every liquid.

    Attributes:
        lesions: sorted by id and checked.
        candidates: places of the lesions that may be injected, or were given to already.
        given_ml, fixed: by liquid and lesion, and by lesion and liquid, mL.
        closed: whether the lesion gets no more of anything.
        handout: increments of each liquid that are still to be handed out.
        units: how many of the small units of volume make 1 mL, by liquid: in that unit one
            increment (``steps``) and all that was given (``given_units``) are whole numbers.
    """

    def __init__(
        self,
        lesions: Sequence[DoseLesion],
        protocol: Protocol,
        liquids: Sequence[Liquid],
        increment_ml: Decimal,
        given: GivenSoFar,
    ) -> None:
        self.lesions = tuple(lesions)
        self.protocol = protocol
        self.liquids = tuple(liquids)
        self.increment = Fraction(increment_ml)
        self.increment_ml = increment_ml
        self.given = given
        self.total_prescribed = sum((liquid.prescribed_ml for liquid in liquids), Fraction(0))
        nothing = Fraction(0)
        self.given_ml = tuple(
            tuple(
                Fraction(by_lesion[one.lesion_id]) if one.lesion_id in by_lesion else nothing
                for one in self.lesions
            )
            for by_lesion in given.ml
        )
        self.closed = tuple(
            one.lesion_id in given.closed or (not one.injectable and given.total(one.lesion_id) > 0)
            for one in self.lesions
        )
        self.fixed = tuple(self._fixed(lesion) for lesion in self.lesions)
        self.units = tuple(
            lcm(self.increment.denominator, *(amount.denominator for amount in amounts))
            for amounts in self.given_ml
        )
        self.candidates = tuple(
            i for i, one in enumerate(self.lesions) if one.injectable or self.closed[i]
        )
        self.handout = tuple(
            floor((liquid.prescribed_ml - sum(amounts, Fraction(0))) / self.increment)
            for liquid, amounts in zip(self.liquids, self.given_ml, strict=True)
        )
        rules = protocol.lesion
        limited = rules.max_ml is not None or rules.max_fraction is not None or rules.size_table
        self.unbounded = tuple(
            not limited
            and one.max_ml is None
            and not one.min_ml
            and all(amount is None for amount in fixed)
            for one, fixed in zip(self.lesions, self.fixed, strict=True)
        )
        self.steps = tuple(int(self.increment * unit) for unit in self.units)
        self.given_units = tuple(
            tuple(int(amount * unit) for amount in amounts)
            for amounts, unit in zip(self.given_ml, self.units, strict=True)
        )

    def _fixed(self, lesion: DoseLesion) -> tuple[Fraction | None, ...]:
        """The amount that a person set for each liquid."""
        amounts = dict(lesion.fixed_ml)
        if not amounts:
            return (None,) * len(self.liquids)
        if "" in amounts:
            if len(self.liquids) > 1 or len(amounts) > 1:
                raise InputRefused(
                    "fixed_which_drug",
                    f"{lesion.named}: fixed_ml does not say of which drug",
                    "name the column fixed_ml:DRUG",
                )
            return (Fraction(amounts[""]),)
        drugs = {drug for liquid in self.liquids for drug, _ in liquid.parts}
        unknown = sorted(set(amounts) - drugs - {liquid.name for liquid in self.liquids})
        if unknown:
            raise InputRefused(
                "unknown_drug",
                f"{lesion.named}: fixed_ml:{unknown[0]} is no drug of the protocol",
                "its drugs are " + ", ".join(sorted(drugs)),
            )
        mixture = self.liquids[0]
        if len(mixture.parts) == 1:
            return tuple(
                Fraction(amounts[liquid.name]) if liquid.name in amounts else None
                for liquid in self.liquids
            )
        if mixture.name in amounts and len(amounts) == 1:
            return (Fraction(amounts[mixture.name]),)
        whole = sum(amounts.values(), Decimal(0))
        if any(amounts.get(drug, Decimal(0)) != whole * part for drug, part in mixture.parts):
            raise InputRefused(
                "not_the_mixture",
                f"{lesion.named}: fixed_ml is not in the ratio of the mixture",
                "give fixed_ml of the mixture",
            )
        return (Fraction(whole),)

    def caps_ml(self, i: int, volume: int) -> list[Amount]:
        """Every limit on what the lesion may get of all liquids together, in mL."""
        lesion, rules = self.lesions[i], self.protocol.lesion
        caps: list[Amount] = []
        if lesion.max_ml is not None:
            caps.append(("max_ml", Fraction(lesion.max_ml)))
        if rules.max_ml is not None:
            caps.append(("protocol_max_ml", Fraction(rules.max_ml)))
        if rules.max_fraction is not None:
            caps.append(("max_fraction", rules.max_fraction * Fraction(volume, 1000)))
        if rules.size_table:
            ceiling = rules.table_ml(diameter_of(lesion, "the size table"))
            caps.append(("size_table", Fraction(ceiling)))
        return caps

    def part_of_cap(self, cap: Fraction, i: int, k: int) -> Fraction:
        """The part of a lesion's cap that belongs to liquid ``k``, in proportion to its volume.

        A liquid that is fixed by hand, or of which more was given than its part, counts with
        that amount; the others share the rest. So all liquids together never pass the cap.
        """
        if len(self.liquids) == 1:
            return cap
        if self.fixed[i][k] is not None:
            return cap - sum(
                (
                    max(self.fixed[i][other] or Fraction(0), self.given_ml[other][i])
                    for other in range(len(self.liquids))
                    if other != k
                ),
                Fraction(0),
            )
        left = cap
        free = []
        for other in range(len(self.liquids)):
            amount = self.fixed[i][other]
            if amount is None:
                free.append(other)
            else:
                left -= max(amount, self.given_ml[other][i])
        while k in free:
            whole = sum((self.liquids[other].prescribed_ml for other in free), Fraction(0))
            if whole == 0:
                return Fraction(0)
            over = [
                other
                for other in free
                if self.given_ml[other][i] > left * self.liquids[other].prescribed_ml / whole
            ]
            if not over:
                return max(left, Fraction(0)) * self.liquids[k].prescribed_ml / whole
            for other in over:
                free.remove(other)
                left -= self.given_ml[other][i]
        return self.given_ml[k][i]

    def part_of_low(self, low: Fraction, i: int, k: int) -> Fraction:
        """The part of a lesion's minimum that belongs to liquid ``k``; fixed amounts count."""
        if len(self.liquids) == 1:
            return low
        free = [other for other in range(len(self.liquids)) if self.fixed[i][other] is None]
        left = low - sum((amount for amount in self.fixed[i] if amount is not None), Fraction(0))
        whole = sum((self.liquids[other].prescribed_ml for other in free), Fraction(0))
        if k not in free or whole == 0 or left <= 0:
            return Fraction(0)
        return left * self.liquids[k].prescribed_ml / whole

    def bounds(self, i: int, k: int, volume: int, raised: bool, strict: bool) -> Bounds:
        """The bounds of lesion ``i`` for liquid ``k``: caps down and minima up to whole increments.

        Raises:
            InputRefused: ``strict``, and a minimum is above a maximum.
        """
        if self.closed[i]:
            return Bounds(0, 0, (), ("closed",))
        if self.unbounded[i] and not raised:
            return Bounds(0, max(0, self.handout[k]), (), ())
        got = self.given_ml[k][i]
        lesion = self.lesions[i]
        caps = [
            (code, floor((self.part_of_cap(cap, i, k) - got) / self.increment))
            for code, cap in self.caps_ml(i, volume)
        ]
        lows: list[tuple[str, int]] = []
        for code, wanted in self._lows_ml(lesion, raised):
            lows.append((code, ceil((self.part_of_low(wanted, i, k) - got) / self.increment)))
        amount = self.fixed[i][k]
        if amount is not None:
            caps.append(("fixed_ml", floor((amount - got) / self.increment)))
            lows.append(("fixed_ml", ceil((amount - got) / self.increment)))
        everything = self.handout[k]
        high = max(0, min([everything, *(cap for _, cap in caps)]))
        low = max([0, *(bound for _, bound in lows)])
        if strict and amount is not None and got == 0 and (amount / self.increment) % 1:
            raise InputRefused(
                "min_above_max",
                f"{lesion.named}, {self.liquids[k].name}: "
                f"{decimal_text(plain(_decimal(amount)))} mL fixed by hand is not a whole number "
                f"of steps of {decimal_text(plain(self.increment_ml))} mL",
                "fix it at a whole number of steps, or choose another step",
            )
        if low > min([low, *(max(cap, 0) for _, cap in caps)]):
            # Once something has been given, rounding may make a minimum meet a maximum from above.
            if strict and got == 0:
                raise self._contradiction(i, k, lows, caps)
            low = high
        return Bounds(
            low,
            max(high, low),
            tuple(code for code, bound in lows if bound == low and low > 0),
            tuple(code for code, cap in caps if max(cap, 0) == high),
        )

    def _lows_ml(self, lesion: DoseLesion, raised: bool) -> list[Amount]:
        lows: list[Amount] = []
        smallest = self.protocol.lesion.smallest_ml
        if lesion.min_ml:
            lows.append(("min_ml", Fraction(lesion.min_ml)))
        if smallest is not None and (raised or lesion.min_ml):
            lows.append(("smallest_ml", Fraction(smallest)))
        return lows

    def _contradiction(
        self, i: int, k: int, lows: Sequence[tuple[str, int]], caps: Sequence[tuple[str, int]]
    ) -> InputRefused:
        low = max(lows, key=lambda bound: bound[1])
        cap = min(caps, key=lambda bound: bound[1])
        step = decimal_text(plain(self.increment_ml))
        return InputRefused(
            "min_above_max",
            f"{self.lesions[i].named}, {self.liquids[k].name}: its minimum "
            f"({low[0]}, {self.ml_text(low[1])} mL in whole steps of {step} mL) is above its "
            f"maximum ({cap[0]}, {self.ml_text(cap[1])} mL)",
            "correct one of the two",
        )

    def ml_text(self, increments: int) -> str:
        """Whole increments as mL in a sentence."""
        return decimal_text(plain(self.increment_ml * increments))


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def floor(value: Fraction) -> int:
    """The largest whole number not above ``value``."""
    return value.numerator // value.denominator


def ceil(value: Fraction) -> int:
    """The smallest whole number not below ``value``."""
    return -(-value.numerator // value.denominator)
