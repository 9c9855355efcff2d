"""Choosing for all lesions together, against every combination tried out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import Patient

from irplan.trajectory.joint import Option, choose, compatible, segment_distance_mm

coordinate = st.floats(-20, 20)
point = st.tuples(coordinate, coordinate, coordinate)


@given(point, point, point, point)
@settings(max_examples=200, deadline=None)
def test_segment_distance_agrees_with_dense_sampling(
    a: tuple[float, ...], b: tuple[float, ...], c: tuple[float, ...], d: tuple[float, ...]
) -> None:
    first, second, third, fourth = (np.array(value) for value in (a, b, c, d))
    steps = np.linspace(0, 1, 201)[:, None]
    one = first + steps * (second - first)
    other = third + steps * (fourth - third)
    rough = np.linalg.norm(one[:, None] - other[None], axis=2).min()
    exact = segment_distance_mm(first, second, third, fourth)
    step = (np.linalg.norm(second - first) + np.linalg.norm(fourth - third)) / 200
    assert exact <= rough + 1e-6
    assert exact >= rough - step - 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_the_choice_equals_trying_every_combination(seed: int) -> None:
    rng = np.random.default_rng(seed)
    options = [
        sorted(
            (
                Option(
                    float(rng.uniform(0, 5)),
                    tuple(rng.uniform(-15, 15, 3)),
                    tuple(rng.uniform(-15, 15, 3)),
                )
                for _ in range(rng.integers(2, 6))
            ),
            key=lambda option: option.cost,
        )
        for _ in range(4)
    ]
    gap = 6.0
    costs = []
    for picks in product(*options):
        pairs = [(a, b) for n, a in enumerate(picks) for b in picks[:n]]
        if all(compatible(a, b, gap) for a, b in pairs):
            costs.append(sum(option.cost for option in picks))
    found = choose(options, gap)
    assert found.compatible == bool(costs)
    if costs:
        assert found.cost == pytest.approx(min(costs))
        assert found.bound == found.cost
        picks = [group[index] for group, index in zip(options, found.chosen, strict=True)]
        assert sum(option.cost for option in picks) == pytest.approx(found.cost)


def test_the_best_single_paths_are_taken_where_they_are_compatible() -> None:
    far = [
        [Option(1.0, (x, 0.0, 0.0), (x, 50.0, 0.0)), Option(2.0, (x, 9.0, 0.0), (x, 50.0, 0.0))]
        for x in (0.0, 100.0, 200.0)
    ]
    assert choose(far, 3.0).chosen == (0, 0, 0)


def test_needles_of_a_plan_keep_their_distance() -> None:
    patient = Patient()
    # One behind the other from every side that is open.
    patient.lesion("L1", patient.ball((-8, -10, 0), 8.0))
    patient.lesion("L2", patient.ball((8, -10, 0), 8.0))
    plan = patient.plan(needle_gap_mm=10)
    assert len({needle.entry_id for needle in plan.needles}) == 2
    first, second = (plan.of_lesion(name)[0] for name in ("L1", "L2"))
    gap = segment_distance_mm(
        *(np.array(p) for n in (first, second) for p in (n.entry_lps_mm, n.tip_lps_mm))
    )
    assert gap >= 10
