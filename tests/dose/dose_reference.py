"""The allocation computed a second time, from the words of its definition and in plain fractions.

Nothing of the program's arithmetic is used: λ is found between the breakpoints of the clamped
shares, weights and bounds are worked out anew. It leaves out size tables, and lesions that got or
are fixed at something of one of two separate drugs (whose bounds shift between the drugs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from math import ceil, floor

from irplan.dose import DoseLesion, DoseOrder, Protocol
from irplan.dose.protocol import Action, Combination, Comes, DoseRule, SplitRule, TooSmall


class Refused(Exception):
    """Bounds that contradict each other or the dose."""


@dataclass(frozen=True)
class Share:
    """What a lesion gets: its exact share and its whole amount, mL."""

    real: Fraction
    ml: Fraction


def exact_shares(
    weights: Sequence[Fraction],
    lows: Sequence[Fraction],
    highs: Sequence[Fraction],
    total: Fraction,
) -> list[Fraction]:
    """clamp(λ·w, low, high) that add up to ``total``, by trying every pair of breakpoints of λ."""
    if sum(highs) <= total:
        return list(highs)
    points = {Fraction(0)}
    for weight, low, high in zip(weights, lows, highs, strict=True):
        points |= {low / weight, high / weight}

    def shares(scale: Fraction) -> list[Fraction]:
        return [
            min(max(scale * weight, low), high)
            for weight, low, high in zip(weights, lows, highs, strict=True)
        ]

    below = max(point for point in points if sum(shares(point)) <= total)
    above = min((point for point in points if point > below), default=below)
    start, end = sum(shares(below)), sum(shares(above))
    if start == end:
        return shares(below)
    return shares(below + (above - below) * (total - start) / (end - start))


def prescribed_ml(protocol: Protocol, order: DoseOrder) -> dict[str, Fraction]:
    """mL of each drug: the rule, the caps of a visit, rounded down to 6 decimals."""
    found = {}
    for drug in protocol.drugs:
        mg = Fraction(drug.amount or 0)
        if drug.rule is DoseRule.PER_KG:
            mg *= Fraction(order.weight_kg or 0)
        if drug.max_visit_mg is not None:
            mg = min(mg, Fraction(drug.max_visit_mg))
        found[drug.name] = Fraction(
            floor(mg / Fraction(drug.concentration_mg_per_ml) * 10**6), 10**6
        )
    return found


def split_ml(protocol: Protocol, order: DoseOrder) -> list[Fraction]:
    """What is split: each drug by itself, or the mixture of them all."""
    volumes = prescribed_ml(protocol, order)
    if protocol.combination is Combination.SEPARATE:
        return list(volumes.values())
    whole = sum(Fraction(part) for _, part in protocol.ratio)
    return [min(volumes[drug] * whole / Fraction(part) for drug, part in protocol.ratio)]


def weight_of(lesion: DoseLesion, protocol: Protocol) -> Fraction:
    """The weight of a lesion under the protocol's rule."""
    volume = lesion.volume_ml or Decimal(0)
    if protocol.split is SplitRule.VOLUME:
        return Fraction(volume)
    if protocol.split is SplitRule.DIAMETER:
        return Fraction(lesion.longest_diameter_mm or 0)
    if protocol.split is SplitRule.SURFACE:
        with localcontext() as context:
            context.prec = 60
            root = (volume.ln() * 2 / 3).exp()
            return Fraction(root.quantize(Decimal("0.000001"), ROUND_HALF_EVEN))
    return Fraction(1)


class _Case:
    def __init__(self, lesions: Sequence[DoseLesion], protocol: Protocol, order: DoseOrder) -> None:
        self.protocol, self.order = protocol, order
        self.step = Fraction(order.increment_ml or protocol.preparation.increment_ml)
        self.totals = split_ml(protocol, order)
        names = [drug.name for drug in protocol.drugs] if len(self.totals) > 1 else [None]
        self.got: list[dict[str, Fraction]] = []
        for name in names:
            sums: dict[str, Fraction] = {}
            for row in order.given:
                if name in (None, row.drug):
                    sums[row.lesion_id] = sums.get(row.lesion_id, Fraction(0)) + Fraction(row.ml)
            self.got.append(sums)
        if any(sum(got.values()) > total for got, total in zip(self.got, self.totals, strict=True)):
            raise Refused
        self.touched = {row.lesion_id for row in order.given if row.ml > 0}
        told_closed = {row.lesion_id for row in order.given if row.closed}
        self.closed = told_closed | {
            one.lesion_id for one in lesions if not one.injectable and one.lesion_id in self.touched
        }
        self.whole = [
            floor((total - sum(got.values())) / self.step)
            for total, got in zip(self.totals, self.got, strict=True)
        ]
        self.lesions = [one for one in lesions if one.injectable or one.lesion_id in self.closed]

    def stays(self, one: DoseLesion) -> bool:
        return one.lesion_id in self.touched | self.closed

    def kept(self) -> list[DoseLesion]:
        rules, kept = self.protocol.lesion, []
        for one in self.lesions:
            volume, diameter = one.volume_ml or Decimal(0), one.longest_diameter_mm
            small = rules.min_volume_ml is not None and volume < rules.min_volume_ml
            short = (
                rules.min_diameter_mm is not None
                and diameter is not None
                and diameter < rules.min_diameter_mm
            )
            out = (small and rules.below_min_volume is Action.EXCLUDE) or (
                short and rules.below_min_diameter is Action.EXCLUDE
            )
            if self.stays(one) or not out:
                kept.append(one)
        limit = self.protocol.max_lesions
        if limit is None or len(kept) <= limit:
            return kept
        ranked = sorted(kept, key=self.rank)
        return ranked[:limit] + [one for one in ranked[limit:] if self.stays(one)]

    def rank(self, one: DoseLesion) -> tuple[object, ...]:
        key: list[object] = [
            not self.stays(one), one.priority if one.priority is not None else 10**9
        ]  # fmt: skip
        for criterion in self.protocol.order:
            key.append(
                bool(one.previously_injected)
                if criterion in (Comes.NEW, Comes.NOT_YET_INJECTED)
                else -(one.volume_ml or 0)
            )
        return (*key, -(one.volume_ml or 0), one.lesion_id)

    def cap(self, one: DoseLesion) -> Fraction | None:
        rules = self.protocol.lesion
        caps = [Fraction(cap) for cap in (one.max_ml, rules.max_ml) if cap is not None]
        if rules.max_fraction is not None:
            caps.append(rules.max_fraction * Fraction(one.volume_ml or 0))
        return min(caps, default=None)

    def part(self, amount: Fraction, k: int) -> Fraction:
        whole = sum(self.totals, Fraction(0))
        return amount * self.totals[k] / whole if whole else Fraction(0)

    def bounds(self, one: DoseLesion, k: int, raised: bool, strict: bool) -> tuple[int, int]:
        """Lowest and highest number of whole increments that are still to be given."""
        if one.lesion_id in self.closed:
            return 0, 0
        got = self.got[k].get(one.lesion_id, Fraction(0))
        wanted = [Fraction(one.min_ml)] if one.min_ml else []
        if self.protocol.lesion.smallest_ml is not None and (raised or one.min_ml):
            wanted.append(Fraction(self.protocol.lesion.smallest_ml))
        low = max([0, *(ceil((self.part(low, k) - got) / self.step) for low in wanted)])
        cap = self.cap(one)
        highs = [] if cap is None else [floor((self.part(cap, k) - got) / self.step)]
        for _, fixed in one.fixed_ml:
            low = max(low, ceil((Fraction(fixed) - got) / self.step))
            highs.append(floor((Fraction(fixed) - got) / self.step))
        limit = max(0, min(highs)) if highs else None
        if limit is not None and low > limit:
            if strict and got == 0:
                raise Refused
            low = min(limit, self.whole[k])
        return low, max(low, self.whole[k] if limit is None else min(limit, self.whole[k]))

    def real(
        self, kept: list[DoseLesion], k: int, raised: set[str], strict: bool
    ) -> list[Fraction]:
        bounds = [self.bounds(one, k, one.lesion_id in raised, strict) for one in kept]
        if sum(low for low, _ in bounds) > self.whole[k]:
            raise Refused
        got = [self.got[k].get(one.lesion_id, Fraction(0)) for one in kept]
        return exact_shares(
            [weight_of(one, self.protocol) for one in kept],
            [base + low * self.step for base, (low, _) in zip(got, bounds, strict=True)],
            [base + high * self.step for base, (_, high) in zip(got, bounds, strict=True)],
            sum(got, Fraction(0)) + self.whole[k] * self.step,
        )

    def small(self, kept: list[DoseLesion], reals: list[list[Fraction]]) -> list[str]:
        """Ids of the lesions with too small a share, the smallest first, ties by larger id."""
        smallest = self.protocol.lesion.smallest_ml
        if smallest is None:
            return []
        limit = ceil(Fraction(smallest) / self.step) * self.step
        found = []
        for place, one in enumerate(kept):
            share = sum((real[place] for real in reals), Fraction(0))
            if share < limit and not (self.stays(one) or one.min_ml or one.fixed_ml):
                found.append((share, one.lesion_id))
        return [name for _, name in sorted(sorted(found, reverse=True), key=lambda pair: pair[0])]

    def all_real(
        self, kept: list[DoseLesion], raised: set[str], strict: bool
    ) -> list[list[Fraction]]:
        return [self.real(kept, k, raised, strict) for k in range(len(self.totals))]

    def can_rise(self, one: DoseLesion) -> bool:
        low, _ = self.bounds(one, 0, True, False)
        return low * self.step >= Fraction(self.protocol.lesion.smallest_ml or 0)

    def lifted(self, kept: list[DoseLesion], small: list[str]) -> list[list[Fraction]] | None:
        raised, by_id = set(small), {one.lesion_id: one for one in kept}
        while all(self.can_rise(by_id[name]) for name in raised):
            try:
                reals = self.all_real(kept, raised, False)
            except Refused:
                return None
            more = set(self.small(kept, reals)) - raised
            if not more:
                return reals
            raised |= more
        return None

    def solution(self) -> tuple[list[DoseLesion], list[list[Fraction]]]:
        kept = sorted(self.kept(), key=lambda one: one.lesion_id)
        while True:
            reals = self.all_real(kept, set(), True)
            small = self.small(kept, reals)
            if not small:
                return kept, reals
            if self.protocol.lesion.too_small is TooSmall.RAISE:
                lifted = self.lifted(kept, small)
                if lifted is not None:
                    return kept, lifted
                by_id = {one.lesion_id: one for one in kept}
                small.sort(key=lambda name: self.can_rise(by_id[name]))
            kept = [one for one in kept if one.lesion_id != small[0]]


def reference(
    lesions: Sequence[DoseLesion], protocol: Protocol, order: DoseOrder
) -> list[dict[str, Share]]:
    """What each kept lesion gets of each thing that is split, by id.

    Raises:
        Refused: minima contradict maxima or the dose, or more was given than is prescribed.
    """
    case = _Case(lesions, protocol, order)
    kept, reals = case.solution()
    found = []
    for k, real in enumerate(reals):
        got = [case.got[k].get(one.lesion_id, Fraction(0)) for one in kept]
        steps = [floor((share - base) / case.step) for share, base in zip(real, got, strict=True)]
        left = round((sum(real) - sum(got)) / case.step) - sum(steps)
        remainders = [
            (share - base) / case.step - whole
            for share, base, whole in zip(real, got, steps, strict=True)
        ]
        queue = sorted(
            range(len(kept)),
            key=lambda i: (-remainders[i], -(kept[i].volume_ml or 0), kept[i].lesion_id),
        )
        for i in queue[:left]:
            steps[i] += 1
        found.append(
            {
                one.lesion_id: Share(share, base + whole * case.step)
                for one, share, base, whole in zip(kept, real, got, steps, strict=True)
            }
        )
    return found


def covers(lesions: Sequence[DoseLesion], protocol: Protocol, order: DoseOrder) -> bool:
    """Whether the reference says anything of the case."""
    separate = len(protocol.drugs) > 1 and protocol.combination is Combination.SEPARATE
    shifted = order.given or any(one.fixed_ml for one in lesions)
    raises = protocol.lesion.smallest_ml is not None and protocol.lesion.too_small is TooSmall.RAISE
    return protocol.split is not SplitRule.SIZE_TABLE and not (separate and (shifted or raises))
