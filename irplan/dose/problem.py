"""One dosing problem and its exact solution: who is kept, and how much each of them gets.

The split runs in whole numbers of a small unit of volume; nothing is rounded before the whole
increments. Lesions are addressed by their place in the list sorted by id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from irplan.dose.lesion_table import DoseLesion
from irplan.dose.limits import Bounds, Limits, ceil
from irplan.dose.liquids import GivenSoFar, Liquid
from irplan.dose.protocol import Action, Comes, Protocol, SplitRule, TooSmall
from irplan.dose.split import At, Shares, fill_in_order, water_fill, whole_increments
from irplan.dose.weights import diameter_of, fixed_weights, volume_weights
from irplan.errors import InputRefused

#: Codes of an exclusion.
NOT_INJECTABLE = "not_injectable"
BELOW_MIN_VOLUME = "below_min_volume"
BELOW_MIN_DIAMETER = "below_min_diameter"
TOO_MANY = "too_many_lesions"
SHARE_TOO_SMALL = "share_too_small"


@dataclass(frozen=True)
class LiquidSolution:
    """The split of one liquid over the kept lesions.

    Attributes:
        numerators, unit: exact real-valued shares, ``numerators[i] / unit`` mL.
        increments: what is still to be given, in whole increments.
        limits: codes that bind, by lesion.
        left: increments that nobody can take.
    """

    weights: tuple[int, ...]
    numerators: tuple[int, ...]
    unit: int
    increments: tuple[int, ...]
    limits: tuple[tuple[str, ...], ...]
    at: tuple[At, ...]
    left: int

    def real_ml(self, place: int) -> Fraction:
        """The exact real-valued share of the lesion at ``place`` among the kept, mL."""
        return Fraction(self.numerators[place], self.unit)


@dataclass(frozen=True)
class Solution:
    """Who is kept, who is not and why, and the split of each liquid over the kept."""

    kept: tuple[int, ...]
    excluded: tuple[tuple[int, str], ...]
    liquids: tuple[LiquidSolution, ...]


class Problem(Limits):
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
        super().__init__(lesions, protocol, liquids, increment_ml, given)
        self.injected_before = injected_before
        self.constant_weights = self._constant_weights()

    def _constant_weights(self) -> dict[int, int] | None:
        chosen = [self.lesions[i] for i in self.candidates]
        weights = fixed_weights(chosen, self.protocol)
        return None if weights is None else dict(zip(self.candidates, weights, strict=True))

    def weights(self, kept: Sequence[int], volumes: Sequence[int]) -> tuple[int, ...]:
        """The weights of the kept lesions."""
        if self.constant_weights is not None:
            return tuple(self.constant_weights[i] for i in kept)
        return volume_weights([volumes[i] for i in kept], self.protocol)

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
            below = self._below_a_part(kept, plain_shares, volumes) if raising else []
            if not small and not below:
                solved = plain_shares
                break
            if raising:
                lifted = self._lifted(kept, volumes, small, below)
                if lifted is not None:
                    solved = lifted
                    break
                if not small:
                    solved = plain_shares
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
        limit = ceil(Fraction(smallest) / self.increment) * self.increment
        shares = [
            (sum((one.real_ml(place) for one in solved), Fraction(0)), -place, i)
            for place, i in enumerate(kept)
            if not self._held_by_hand(i)
        ]
        return [i for share, _, i in sorted(shares) if share < limit]

    def _below_a_part(
        self, kept: Sequence[int], solved: Sequence[LiquidSolution], volumes: Sequence[int]
    ) -> list[int]:
        """The lesions of which one liquid's share is below its part of the smallest volume.

        A part is taken up to whole increments, so that a lesion that is just raised never gets
        more than a larger one that is not.
        """
        return [
            i
            for place, i in enumerate(kept)
            if not self._held_by_hand(i)
            and any(
                one.real_ml(place) < self.bounds(i, k, volumes[i], True, False).low * self.increment
                for k, one in enumerate(solved)
            )
        ]

    def _can_be_raised(self, i: int, volumes: Sequence[int]) -> bool:
        smallest = Fraction(self.protocol.lesion.smallest_ml or 0)
        lows = (
            self.bounds(i, k, volumes[i], True, False).low * self.increment
            for k in range(len(self.liquids))
        )
        return sum(lows, Fraction(0)) >= smallest

    def _lifted(
        self, kept: Sequence[int], volumes: Sequence[int], small: list[int], below: list[int]
    ) -> list[LiquidSolution] | None:
        """The solution with all these raised; where the dose does not do, the small ones only."""
        lifted = self._try_raised(kept, volumes, frozenset(small) | frozenset(below))
        if lifted is None and small:
            lifted = self._try_raised(kept, volumes, frozenset(small))
        return lifted

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
            small = {*self._too_small(kept, lifted), *self._below_a_part(kept, lifted, volumes)}
            more = frozenset(small) - raised
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
            unit = self.units[k]
            numerators = tuple(
                self.given_units[k][i] + amount * self.steps[k]
                for i, amount in zip(kept, amounts, strict=True)
            )
        else:
            shares, given, step = self._shares(k, kept, bounds, lows, weights)
            ties = [(volumes[i], self.lesions[i].lesion_id) for i in kept]
            amounts = whole_increments(shares, given, step, handout, ties)
            at = shares.at
            numerators, unit = shares.numerators, shares.denominator * self.units[k]
        return LiquidSolution(
            weights,
            numerators,
            unit,
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
                f"{self.ml_text(sum(lows))} mL, and there are {self.ml_text(self.handout[k])} "
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
        step = self.steps[k]
        given = [self.given_units[k][i] for i in kept]
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
        # Nothing more can go in, and what was given is more than a limit lets it have, or all.
        stuck = bounds.high == 0 and self.given_ml[k][i] > 0 and not self.closed[i]
        if at is At.LOW or (stuck and at is At.HIGH):
            codes += bounds.low_codes
            if bounds.low == 0 and self.given_ml[k][i] > 0:
                codes.append("given_ml")
        if at is At.HIGH or bounds.low == bounds.high:
            codes += bounds.high_codes
        return tuple(dict.fromkeys(codes))
