"""The split against solvers that know nothing of it.

* Real-valued shares: clamp(λ·w, low, high) with Σ = total is the minimum of Σ x²/w under the
  bounds, a quadratic program (SciPy's SLSQP).
* Whole steps: largest remainder is the integer program of the least distance from the shares
  (SciPy's HiGHS), and the least sum of squares (every allocation tried).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from dose_reference import exact_shares
from dose_rules import float_shares
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp, minimize

from irplan.dose.split import At, fill_in_order, water_fill, whole_increments


def random_split(
    generator: random.Random, *, most: int
) -> tuple[list[int], list[int], list[int], int]:
    """Weights, lows, highs and a total that the lows do not exceed."""
    count = generator.randint(1, 5)
    weights = [generator.randint(1, 30) for _ in range(count)]
    highs = [generator.randint(0, most) for _ in range(count)]
    lows = [generator.randint(0, high) if generator.random() < 0.4 else 0 for high in highs]
    total = generator.randint(sum(lows), sum(lows) + most)
    return weights, lows, highs, total


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, 2**48))
def test_shares_against_breakpoints(seed: int) -> None:
    weights, lows, highs, total = random_split(random.Random(seed), most=40)
    shares = water_fill(weights, lows, highs, total)
    real = [Fraction(one, shares.denominator) for one in shares.numerators]
    fractions = [[Fraction(one) for one in row] for row in (weights, lows, highs)]
    assert real == exact_shares(*fractions, Fraction(total))
    assert shares.filled is (sum(highs) >= total)
    for one, low, high, at in zip(real, lows, highs, shares.at, strict=True):
        assert low <= one <= high
        if at is At.FREE:
            assert low < one < high
        else:
            assert one == (low if at is At.LOW else high)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**48))
def test_shares_against_a_quadratic_program(seed: int) -> None:
    weights, lows, highs, total = random_split(random.Random(seed), most=40)
    if sum(highs) <= total:
        return
    shares = water_fill(weights, lows, highs, total)
    real = [one / shares.denominator for one in shares.numerators]
    scale = np.array(weights, dtype=float)
    room = np.array(highs, dtype=float)
    start = np.array(lows) + (total - sum(lows)) * (room - lows) / (room - lows).sum()
    found = minimize(
        lambda x: float(np.sum(x * x / scale)),
        start,
        jac=lambda x: 2 * x / scale,
        bounds=list(zip(lows, highs, strict=True)),
        constraints=[{"type": "eq", "fun": lambda x: x.sum() - total, "jac": np.ones_like}],
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert found.success
    assert found.x == pytest.approx(real, abs=1e-3)


def rounded(
    weights: Sequence[int], lows: Sequence[int], highs: Sequence[int], total: int
) -> tuple[list[float], tuple[int, ...]]:
    shares = water_fill(weights, lows, highs, total)
    ties = [(weight, f"L{i}") for i, weight in enumerate(weights)]
    whole = whole_increments(shares, [0] * len(weights), 1, total, ties)
    return [one / shares.denominator for one in shares.numerators], whole


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**48))
def test_whole_steps_against_an_integer_program(seed: int) -> None:
    weights, lows, highs, total = random_split(random.Random(seed), most=40)
    shares = water_fill(weights, lows, highs, total)
    whole = np.array(rounded(weights, lows, highs, total)[1])
    count, fill = len(weights), min(total, sum(highs))
    # Steps x and distances d, all in whole numbers: d ≥ |denominator·x - numerator|.
    numerators, scale = np.array(shares.numerators), shares.denominator * np.eye(count)
    eye, ones, zeros = np.eye(count), np.ones(count), np.zeros(count)
    found = milp(
        np.concatenate([zeros, ones]),
        constraints=[
            LinearConstraint(np.concatenate([ones, zeros])[None, :], fill, fill),
            LinearConstraint(np.hstack([scale, -eye]), -np.inf, numerators),
            LinearConstraint(np.hstack([-scale, -eye]), -np.inf, -numerators),
        ],
        integrality=np.concatenate([ones, zeros]),
        bounds=Bounds(
            np.concatenate([lows, zeros]), np.concatenate([highs, np.full(count, np.inf)])
        ),
    )
    assert found.success
    distance = np.abs(shares.denominator * whole - numerators).sum()
    assert distance == pytest.approx(found.fun, abs=1e-4)
    for step, best in zip(whole, found.x[:count], strict=True):
        assert abs(step - best) <= 1 + 1e-6


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**48))
def test_whole_steps_against_every_allocation(seed: int) -> None:
    weights, lows, highs, total = random_split(random.Random(seed), most=7)
    weights, lows, highs = weights[:4], lows[:4], highs[:4]
    total = max(total, sum(lows))
    shares = water_fill(weights, lows, highs, total)
    real = [Fraction(one, shares.denominator) for one in shares.numerators]
    _, whole = rounded(weights, lows, highs, total)
    fill = min(total, sum(highs))

    def squares(steps: Sequence[int]) -> Fraction:
        return sum(
            ((step - share) ** 2 for step, share in zip(steps, real, strict=True)), Fraction(0)
        )

    possible = [
        steps
        for steps in product(*(range(low, high + 1) for low, high in zip(lows, highs, strict=True)))
        if sum(steps) == fill
    ]
    best = min(map(squares, possible))
    assert squares(whole) == best
    # Among the equally near ones, the larger weight has the step, then the smaller place.
    equal = [steps for steps in possible if squares(steps) == best]
    order = sorted(range(len(weights)), key=lambda i: (-weights[i], i))
    assert whole == max(equal, key=lambda steps: [steps[i] for i in order])


def test_a_size_table_is_filled_in_its_order() -> None:
    amounts, at = fill_in_order([2, 0, 1], [0, 1, 0], [4, 4, 3], 7)
    assert amounts == (3, 1, 3)
    assert at == (At.FREE, At.LOW, At.HIGH)
    with pytest.raises(ValueError, match="lower bounds"):
        fill_in_order([0], [3], [4], 2)


@pytest.mark.parametrize(("lows", "highs", "total"), [([2, 2], [3, 3], 3), ([2, 0], [1, 3], 3)])
def test_impossible_bounds_are_refused(lows: list[int], highs: list[int], total: int) -> None:
    with pytest.raises(ValueError, match="bound"):
        water_fill([1, 1], lows, highs, total)


def test_nothing_to_split() -> None:
    assert water_fill([], [], [], 5).numerators == ()
    assert water_fill([3, 1], [0, 0], [5, 5], 0).numerators == (0, 0)


def test_huge_numbers_stay_exact() -> None:
    """Where floating point cannot tell the shares apart, the program does."""
    weights = [10**18 + 1, 10**18, 1]
    shares = water_fill(weights, [0] * 3, [10**20] * 3, 2 * 10**18 + 2)
    assert [Fraction(one, shares.denominator) for one in shares.numerators] == weights
    assert float_shares([1.0, 1.0], [0.0, 0.0], [9.0, 9.0], 3.0) == pytest.approx([1.5, 1.5])
