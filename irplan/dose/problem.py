"""One dosing problem: lesions, liquids, bounds and rules made ready, and its exact solution.

Everything here is exact: :class:`fractions.Fraction` for bounds in mL, whole numbers of a small
unit of volume for the split. Lesions are addressed by their place in the list sorted by id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import lcm

from irplan.dose.lesion_table import DoseLesion
from irplan.dose.liquids import GivenSoFar, Liquid
from irplan.dose.protocol import Action, Comes, Protocol, SplitRule, TooSmall
from irplan.dose.split import At, Shares, fill_in_order, water_fill, whole_increments
from irplan.dose.weights import diameter_of, fixed_weights, volume_weights
from irplan.errors import InputRefused
from irplan.units import decimal_text, plain

Amount = tuple[str, Fraction]

#: Codes of an exclusion.
NOT_INJECTABLE = "not_injectable"
BELOW_MIN_VOLUME = "below_min_volume"
BELOW_MIN_DIAMETER = "below_min_diameter"
TOO_MANY = "too_many_lesions"
SHARE_TOO_SMALL = "share_too_small"


@dataclass(frozen=True)
class Bounds:
    """What one lesion may still get of one liquid, in whole increments, and why.

    ``low_codes`` and ``high_codes`` name what sets the bounds; () where nothing does.
    """

    low: int
    high: int
    low_codes: tuple[str, ...]
    high_codes: tuple[str, ...]


@dataclass(frozen=True)
class LiquidSolution:
    """The split of one liquid over the kept lesions.

    Attributes:
        real_ml: exact real-valued shares.
        increments: what is still to be given, in whole increments.
        limits: codes that bind, by lesion.
        left: increments that nobody can take.
    """

    weights: tuple[int, ...]
    real_ml: tuple[Fraction, ...]
    increments: tuple[int, ...]
    limits: tuple[tuple[str, ...], ...]
    at: tuple[At, ...]
    left: int


@dataclass(frozen=True)
class Solution:
    """Who is kept, who is not and why, and the split of each liquid over the kept."""

    kept: tuple[int, ...]
    excluded: tuple[tuple[int, str], ...]
    liquids: tuple[LiquidSolution, ...]


class Problem:
    """A dosing problem that can be solved for the lesions' volumes, or for others instead.

    Args:
        lesions: sorted by id, checked, each injectable one with a volume.
        injected_before: ids that an earlier visit injected.
    """

    def __init__(
        self,
        lesions: Sequence[DoseLesion],
        protocol: Protocol,
        liquids: Sequence[Liquid],
        increment_ml: Decimal,
        given: GivenSoFar,
        injected_before: frozenset[str] = frozenset(),
    ) -> None:
        self.lesions = tuple(lesions)
        self.protocol = protocol
        self.liquids = tuple(liquids)
        self.increment = Fraction(increment_ml)
        self.increment_ml = increment_ml
        self.given = given
        self.injected_before = injected_before
        self.total_prescribed = sum((liquid.prescribed_ml for liquid in liquids), Fraction(0))
        self.given_ml = tuple(
            tuple(Fraction(by_lesion.get(one.lesion_id, Decimal(0))) for one in self.lesions)
            for by_lesion in given.ml
        )
        self.closed = tuple(
            one.lesion_id in given.closed or (not one.injectable and given.total(one.lesion_id) > 0)
            for one in self.lesions
        )
        self.fixed = tuple(self._fixed(lesion) for lesion in self.lesions)
        # One unit of volume for a liquid in which the increment and all that was given are whole.
        self.units = tuple(
            lcm(self.increment.denominator, *(amount.denominator for amount in amounts))
            for amounts in self.given_ml
        )
        self.candidates = tuple(
            i for i, one in enumerate(self.lesions) if one.injectable or self.closed[i]
        )
        self.constant_weights = self._constant_weights()
        self.handout = tuple(
            _floor((liquid.prescribed_ml - sum(amounts, Fraction(0))) / self.increment)
            for liquid, amounts in zip(self.liquids, self.given_ml, strict=True)
        )

    # What stays the same for all volumes ---------------------------------------------------

    def _fixed(self, lesion: DoseLesion) -> tuple[Fraction | None, ...]:
        """The amount that a person set for each liquid."""
        amounts = dict(lesion.fixed_ml)
        if not amounts:
            return (None,) * len(self.liquids)
        if "" in amounts:
            if len(self.liquids) > 1 or len(amounts) > 1:
                raise InputRefused(
                    "fixed_which_drug",
                    f"lesion {lesion.lesion_id}: fixed_ml does not say of which drug",
                    "name the column fixed_ml:DRUG",
                )
            return (Fraction(amounts[""]),)
        drugs = {drug for liquid in self.liquids for drug, _ in liquid.parts}
        unknown = sorted(set(amounts) - drugs - {liquid.name for liquid in self.liquids})
        if unknown:
            raise InputRefused(
                "unknown_drug",
                f"lesion {lesion.lesion_id}: fixed_ml:{unknown[0]} is no drug of the protocol",
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
                f"lesion {lesion.lesion_id}: fixed_ml is not in the ratio of the mixture",
                "give fixed_ml of the mixture",
            )
        return (Fraction(whole),)

    def _constant_weights(self) -> dict[int, int] | None:
        chosen = [self.lesions[i] for i in self.candidates]
        weights = fixed_weights(chosen, self.protocol)
        return None if weights is None else dict(zip(self.candidates, weights, strict=True))

    def weights(self, kept: Sequence[int], volumes: Sequence[int]) -> tuple[int, ...]:
        """The weights of the kept lesions."""
        if self.constant_weights is not None:
            return tuple(self.constant_weights[i] for i in kept)
        return volume_weights([volumes[i] for i in kept], self.protocol)

    # Bounds --------------------------------------------------------------------------------

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
        got = self.given_ml[k][i]
        if self.closed[i]:
            return Bounds(0, 0, (), ("closed",))
        lesion = self.lesions[i]
        caps = [
            (code, _floor((self.part_of_cap(cap, i, k) - got) / self.increment))
            for code, cap in self.caps_ml(i, volume)
        ]
        lows: list[tuple[str, int]] = []
        for code, wanted in self._lows_ml(lesion, raised):
            lows.append((code, _ceil((self.part_of_low(wanted, i, k) - got) / self.increment)))
        amount = self.fixed[i][k]
        if amount is not None:
            caps.append(("fixed_ml", _floor((amount - got) / self.increment)))
            lows.append(("fixed_ml", _ceil((amount - got) / self.increment)))
        everything = self.handout[k]
        high = max(0, min([everything, *(cap for _, cap in caps)]))
        low = max([0, *(bound for _, bound in lows)])
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
            f"lesion {self.lesions[i].lesion_id}, {self.liquids[k].name}: its minimum "
            f"({low[0]}, {self._ml_text(low[1])} mL in whole steps of {step} mL) is above its "
            f"maximum ({cap[0]}, {self._ml_text(cap[1])} mL)",
            "correct one of the two; an amount fixed by hand must be a whole number of steps",
        )

    def _ml_text(self, increments: int) -> str:
        return decimal_text(plain(self.increment_ml * increments))

    # Who is kept ---------------------------------------------------------------------------

    def screened(self, volumes: Sequence[int]) -> tuple[list[int], list[tuple[int, str]]]:
        """Who may be injected before any share is known, and who not, with the code."""
        rules = self.protocol.lesion
        kept: list[int] = []
        out: list[tuple[int, str]] = []
        for i, lesion in enumerate(self.lesions):
            if i not in self.candidates:
                out.append((i, NOT_INJECTABLE))
            elif self._must_stay(i):
                kept.append(i)
            elif (
                rules.below_min_volume is Action.EXCLUDE
                and rules.min_volume_ml is not None
                and Fraction(volumes[i], 1000) < Fraction(rules.min_volume_ml)
            ):
                out.append((i, BELOW_MIN_VOLUME))
            elif (
                rules.below_min_diameter is Action.EXCLUDE
                and rules.min_diameter_mm is not None
                and lesion.longest_diameter_mm is not None
                and lesion.longest_diameter_mm < rules.min_diameter_mm
            ):
                out.append((i, BELOW_MIN_DIAMETER))
            else:
                kept.append(i)
        limit = self.protocol.max_lesions
        if limit is not None and len(kept) > limit:
            first = sorted(kept, key=lambda i: (not self._must_stay(i), self.rank(i, volumes)))
            stay = set(first[:limit]) | {i for i in kept if self._must_stay(i)}
            out += [(i, TOO_MANY) for i in kept if i not in stay]
            kept = [i for i in kept if i in stay]
        return kept, out

    def _must_stay(self, i: int) -> bool:
        """A lesion that has been given to, or that was closed, is a fact that no rule undoes."""
        return self.closed[i] or any(amounts[i] > 0 for amounts in self.given_ml)

    def _held_by_hand(self, i: int) -> bool:
        """A lesion that a person set an amount for is not dropped for its share."""
        return (
            self._must_stay(i)
            or bool(self.lesions[i].min_ml)
            or any(amount is not None for amount in self.fixed[i])
        )

    def rank(self, i: int, volumes: Sequence[int]) -> tuple[object, ...]:
        """Who comes first: a person's priority, the protocol's order, size, the smaller id."""
        lesion = self.lesions[i]
        key: list[object] = [lesion.priority is None, lesion.priority or 0]
        for criterion in self.protocol.order:
            if criterion in (Comes.NEW, Comes.NOT_YET_INJECTED):
                key.append(self.was_injected(lesion))
            elif criterion is Comes.LARGEST:
                # A size table goes by diameter; the volume then only settles equal diameters.
                if self.protocol.split is SplitRule.SIZE_TABLE:
                    key.append(-diameter_of(lesion, "the size table"))
                key.append(-volumes[i])
        return (*key, -volumes[i], lesion.lesion_id)

    def was_injected(self, lesion: DoseLesion) -> bool:
        """Whether an earlier visit injected the lesion, as far as is known."""
        return bool(lesion.previously_injected) or lesion.lesion_id in self.injected_before

    # Solving -------------------------------------------------------------------------------

    def solve(self, volumes: Sequence[int], *, strict: bool) -> Solution:
        """The exact solution for these volumes (0.001 mL each, by lesion).

        Args:
            strict: refuse contradictory bounds; otherwise the cap wins. Volumes that are only
                imagined (a band's ends) never refuse.

        Raises:
            InputRefused: ``strict``, and minima contradict maxima or the dose.
        """
        kept, excluded = self.screened(volumes)
        smallest = self.protocol.lesion.smallest_ml
        raising = self.protocol.lesion.too_small is TooSmall.RAISE
        while True:
            plain_shares = [
                self._solve_liquid(k, kept, volumes, frozenset(), strict)
                for k in range(len(self.liquids))
            ]
            if smallest is None:
                solved = plain_shares
                break
            small = self._too_small(kept, plain_shares)
            if not small:
                solved = plain_shares
                break
            if raising:
                raised = frozenset(small)
                lifted = self._try_raised(kept, volumes, raised)
                if lifted is not None:
                    solved = lifted
                    break
                # One that its own cap keeps below the smallest volume can never be raised.
                small.sort(key=lambda i: self._can_be_raised(i, volumes))
            kept = [i for i in kept if i != small[0]]
            excluded.append((small[0], SHARE_TOO_SMALL))
        return Solution(tuple(kept), tuple(excluded), tuple(solved))

    def _too_small(self, kept: Sequence[int], solved: Sequence[LiquidSolution]) -> list[int]:
        """The lesions whose share of all liquids is below the smallest, the smallest share first
        (tie: the larger id)."""
        smallest = self.protocol.lesion.smallest_ml
        if smallest is None:
            return []
        limit = _ceil(Fraction(smallest) / self.increment) * self.increment
        shares = [
            (sum((one.real_ml[place] for one in solved), Fraction(0)), -place, i)
            for place, i in enumerate(kept)
            if not self._held_by_hand(i)
        ]
        return [i for share, _, i in sorted(shares) if share < limit]

    def _can_be_raised(self, i: int, volumes: Sequence[int]) -> bool:
        smallest = Fraction(self.protocol.lesion.smallest_ml or 0)
        return all(
            self.bounds(i, k, volumes[i], True, False).low * self.increment
            >= self.part_of_low(smallest, i, k)
            for k in range(len(self.liquids))
        )

    def _try_raised(
        self, kept: Sequence[int], volumes: Sequence[int], raised: frozenset[int]
    ) -> list[LiquidSolution] | None:
        """The solution with these lesions raised to the smallest volume, and further ones that
        fall below it by that; None where the dose or a cap does not allow it."""
        while True:
            if not all(self._can_be_raised(i, volumes) for i in raised):
                return None
            lifted = []
            for k in range(len(self.liquids)):
                lows = sum(self.bounds(i, k, volumes[i], i in raised, False).low for i in kept)
                if lows > self.handout[k]:
                    return None
                lifted.append(self._solve_liquid(k, kept, volumes, raised, False))
            more = frozenset(self._too_small(kept, lifted)) - raised
            if not more:
                return lifted
            raised |= more

    def _solve_liquid(
        self,
        k: int,
        kept: Sequence[int],
        volumes: Sequence[int],
        raised: frozenset[int],
        strict: bool,
    ) -> LiquidSolution:
        bounds = [self.bounds(i, k, volumes[i], i in raised, strict) for i in kept]
        handout = self.handout[k]
        lows = self._lows_within(k, kept, bounds, strict)
        weights = self.weights(kept, volumes)
        if self.protocol.split is SplitRule.SIZE_TABLE:
            order = sorted(range(len(kept)), key=lambda place: self.rank(kept[place], volumes))
            highs = [bound.high for bound in bounds]
            amounts, at = fill_in_order(order, lows, highs, handout)
            real = tuple(
                self.given_ml[k][i] + amount * self.increment
                for i, amount in zip(kept, amounts, strict=True)
            )
        else:
            shares, given, step = self._shares(k, kept, bounds, lows, weights)
            ties = [(volumes[i], self.lesions[i].lesion_id) for i in kept]
            amounts = whole_increments(shares, given, step, handout, ties)
            at = shares.at
            unit = shares.denominator * self.units[k]
            real = tuple(Fraction(numerator, unit) for numerator in shares.numerators)
        return LiquidSolution(
            weights,
            real,
            amounts,
            tuple(self._limits(i, k, b, a) for i, b, a in zip(kept, bounds, at, strict=True)),
            at,
            handout - sum(amounts),
        )

    def _lows_within(
        self, k: int, kept: Sequence[int], bounds: Sequence[Bounds], strict: bool
    ) -> list[int]:
        """The minima; refused where they add up to more than the dose (imagined: lowered)."""
        lows = [bound.low for bound in bounds]
        over = sum(lows) - self.handout[k]
        if over > 0 and strict:
            names = ", ".join(
                self.lesions[i].lesion_id for i, low in zip(kept, lows, strict=True) if low
            )
            raise InputRefused(
                "minima_above_dose",
                f"{self.liquids[k].name}: the minima of {names} add up to "
                f"{self._ml_text(sum(lows))} mL, and there are {self._ml_text(self.handout[k])} "
                "mL to give",
                "lower a minimum or a fixed amount",
            )
        for place in range(len(lows) - 1, -1, -1):
            cut = min(max(over, 0), lows[place])
            lows[place] -= cut
            over -= cut
        return lows

    def _shares(
        self,
        k: int,
        kept: Sequence[int],
        bounds: Sequence[Bounds],
        lows: Sequence[int],
        weights: Sequence[int],
    ) -> tuple[Shares, list[int], int]:
        unit = self.units[k]
        step = int(self.increment * unit)
        given = [int(self.given_ml[k][i] * unit) for i in kept]
        total = sum(given) + self.handout[k] * step
        shares = water_fill(
            weights,
            [got + low * step for got, low in zip(given, lows, strict=True)],
            [got + bound.high * step for got, bound in zip(given, bounds, strict=True)],
            total,
        )
        return shares, given, step

    def _limits(self, i: int, k: int, bounds: Bounds, at: At) -> tuple[str, ...]:
        codes: list[str] = []
        if at is At.HIGH:
            codes += bounds.high_codes
        elif at is At.LOW:
            codes += bounds.low_codes
            if bounds.low == 0 and self.given_ml[k][i] > 0:
                codes.append("given_ml")
        if at is At.LOW and bounds.low == bounds.high:
            codes += bounds.high_codes
        return tuple(dict.fromkeys(codes))


def _floor(value: Fraction) -> int:
    return value.numerator // value.denominator


def _ceil(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)
