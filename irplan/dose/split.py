"""The exact split: real-valued shares under bounds, then whole increments.

The shares solve  Σ clamp(λ·weight, low, high) = total  for one real λ. All numbers are integers
(weights in any common unit; bounds and total in one small unit of volume), λ is a fraction of two
integers, and every comparison is made by multiplying out: nothing is ever rounded on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class At(IntEnum):
    """Where a share lies: at its lower bound, between the bounds, at its upper bound."""

    LOW = -1
    FREE = 0
    HIGH = 1


@dataclass(frozen=True)
class Shares:
    """Real-valued shares: ``numerators[i] / denominator`` in the unit of the bounds.

    Attributes:
        at: where each share lies. A free share that touches a bound counts as at the bound.
        filled: whether the shares add up to the total; otherwise every one is at its high bound.
    """

    numerators: tuple[int, ...]
    denominator: int
    at: tuple[At, ...]
    filled: bool


def water_fill(
    weights: Sequence[int], lows: Sequence[int], highs: Sequence[int], total: int
) -> Shares:
    """The shares for positive ``weights`` with ``lows[i] <= highs[i]``.

    Where the high bounds together are below ``total``, every share is its high bound.

    The method: give every free lesion λ·weight, add up by how much the results fall below the
    lows and exceed the highs; whichever sum is larger tells on which side λ is wrong for good, so
    the lesions that break that bound can be put on it and left there. At most one round a lesion.

    Raises:
        ValueError: the lows together are above ``total``, or a low is above its high.
    """
    count = len(weights)
    if any(low > high for low, high in zip(lows, highs, strict=True)):
        raise ValueError("a lower bound is above its upper bound")
    if sum(lows) > total:
        raise ValueError("the lower bounds together are above the total")
    if sum(highs) <= total:
        return Shares(tuple(highs), 1, (At.HIGH,) * count, sum(highs) == total)
    at: list[At] = [At.FREE] * count
    free = list(range(count))
    left = total
    numerator, denominator = 0, 1
    while free:
        numerator, denominator = left, sum(weights[i] for i in free)
        short = [i for i in free if numerator * weights[i] <= lows[i] * denominator]
        over = [i for i in free if numerator * weights[i] >= highs[i] * denominator]
        missing = sum(lows[i] * denominator - numerator * weights[i] for i in short)
        excess = sum(numerator * weights[i] - highs[i] * denominator for i in over)
        settled = []
        if missing >= excess:
            settled += short
            for i in short:
                at[i] = At.LOW
                left -= lows[i]
        if excess >= missing:
            for i in over:
                if at[i] is At.FREE:
                    settled.append(i)
                    at[i] = At.HIGH
                    left -= highs[i]
        gone = set(settled)
        free = [i for i in free if i not in gone]
        if missing == excess:
            break
    numerators = tuple(
        (lows[i] if at[i] is At.LOW else highs[i]) * denominator
        if at[i] is not At.FREE
        else numerator * weights[i]
        for i in range(count)
    )
    return Shares(numerators, denominator, tuple(at), True)


def whole_increments(
    shares: Shares,
    given: Sequence[int],
    step: int,
    increments: int,
    tie_break: Sequence[tuple[int, str]],
) -> tuple[int, ...]:
    """What is still to be given to each lesion, in whole increments: largest remainder first.

    Args:
        given: what each lesion already got, in the unit of the bounds.
        step: one increment in that unit.
        increments: how many increments there are to hand out where the shares fill the total.
        tie_break: (volume, lesion id) of each lesion: ties go to the larger volume, then to the
            smaller id.
    """
    unit = shares.denominator * step
    wholes: list[int] = []
    parts: list[int] = []
    for numerator, got in zip(shares.numerators, given, strict=True):
        whole, part = divmod(numerator - got * shares.denominator, unit)
        wholes.append(whole)
        parts.append(part)
    left = increments - sum(wholes) if shares.filled else 0
    if left:
        ranked = sorted(
            (i for i in range(len(parts)) if parts[i]),
            key=lambda i: (-parts[i], -tie_break[i][0], tie_break[i][1]),
        )
        for i in ranked[:left]:
            wholes[i] += 1
    return tuple(wholes)


def fill_in_order(
    order: Sequence[int], lows: Sequence[int], highs: Sequence[int], total: int
) -> tuple[tuple[int, ...], tuple[At, ...]]:
    """The filling of a size table: every low first, then each lesion up to its high, in ``order``.

    Raises:
        ValueError: the lows together are above ``total``.
    """
    left = total - sum(lows)
    if left < 0:
        raise ValueError("the lower bounds together are above the total")
    amounts = list(lows)
    for i in order:
        more = min(highs[i] - lows[i], left)
        amounts[i] += more
        left -= more
    at = tuple(
        At.HIGH if amount == high else At.LOW if amount == low else At.FREE
        for amount, low, high in zip(amounts, lows, highs, strict=True)
    )
    return tuple(amounts), at
