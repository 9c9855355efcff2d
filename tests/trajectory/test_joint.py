"""Choosing for all lesions together, against every combination tried out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import Patient

from irplan.geometry import PointLps
from irplan.trajectory import joint
from irplan.trajectory.joint import (
    Option,
    choose,
    compatible,
    gap_between,
    segment_distance_mm,
)

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


def cheapest_by_trying_all(options: list[Option], lesions: int, gap: float | None) -> float | None:
    """The reference: every subset of options that serves every lesion exactly once."""
    costs = []
    for count in range(1, lesions + 1):
        for picks in combinations(options, count):
            if sorted(n for one in picks for n in one.lesions) != list(range(lesions)):
                continue
            pairs = combinations(picks, 2)
            if gap is None or all(compatible(one, other, gap) for one, other in pairs):
                costs.append(sum(option.cost for option in picks))
    return min(costs, default=None)


def random_options(rng: np.random.Generator, lesions: int) -> list[Option]:
    """Each lesion alone in some ways, and some holes for two or three of them."""

    def point() -> PointLps:
        x, y, z = (float(value) for value in rng.uniform(-15, 15, 3))
        return x, y, z

    def needle() -> tuple[PointLps, PointLps]:
        return point(), point()

    made = []
    for lesion in range(lesions):
        for _ in range(rng.integers(1, 4)):
            made.append(Option(float(rng.uniform(0, 5)), (needle(),), (lesion,)))
    for _ in range(4):
        size = int(rng.integers(2, 4))
        served = tuple(sorted(int(n) for n in rng.permutation(lesions)[:size]))
        needles = tuple(needle() for _ in range(rng.integers(1, size + 1)))
        made.append(Option(float(rng.uniform(0, 8)), needles, served))
    return made


@pytest.mark.parametrize("gap", [6.0, 14.0, None])
@pytest.mark.parametrize("seed", range(12))
def test_the_choice_equals_trying_every_combination(seed: int, gap: float | None) -> None:
    options = random_options(np.random.default_rng(seed), 4)
    reference = cheapest_by_trying_all(options, 4, gap)
    found = choose(options, 4, gap)
    assert found.compatible == (reference is not None)
    if reference is None:
        assert found.cost == pytest.approx(cheapest_by_trying_all(options, 4, None))
        return
    assert found.cost == pytest.approx(reference)
    assert found.proven
    picks = [options[number] for number in found.chosen]
    assert sum(option.cost for option in picks) == pytest.approx(found.cost)
    assert sorted(n for one in picks for n in one.lesions) == [0, 1, 2, 3]
    if gap is not None:
        assert all(gap_between(one, other) >= gap for one, other in combinations(picks, 2))


def test_a_search_cut_short_tells_a_bound_that_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    proven = []
    for seed in range(30):
        options = random_options(np.random.default_rng(seed), 6)
        best = choose(options, 6, 2.0)
        with monkeypatch.context() as patched:
            patched.setattr(joint, "MAX_NODES", 12)
            cut = choose(options, 6, 2.0)
        if best.compatible and cut.compatible:
            assert cut.bound - 1e-9 <= best.cost <= cut.cost + 1e-9
            proven.append(cut.proven)
    assert False in proven


def test_the_best_single_paths_are_taken_where_they_are_compatible() -> None:
    far = [
        Option(cost, (((x, y, 0.0), (x, 50.0, 0.0)),), (lesion,))
        for lesion, x in enumerate((0.0, 100.0, 200.0))
        for cost, y in ((1.0, 0.0), (2.0, 9.0))
    ]
    assert choose(far, 3, 3.0).chosen == (0, 2, 4)


def test_what_is_shared_is_not_bounded_by_its_whole_cost() -> None:
    far = [((x, 0.0, 0.0), (x, 50.0, 0.0)) for x in (0.0, 100.0, 200.0, 300.0, 400.0, 500.0)]
    options = [
        # The cheapest for the first lesion meets what the two others could share.
        Option(0.5, (far[4],), (0,)),
        Option(1.0, (far[0],), (0,)),
        Option(3.0, (far[1],), (1,)),
        Option(3.0, (far[2],), (2,)),
        Option(4.0, (far[4],), (1, 2)),
    ]
    assert choose(options, 3, 3.0).chosen == (1, 4)


def test_a_lesion_that_nothing_serves_is_refused() -> None:
    with pytest.raises(ValueError, match="serve"):
        choose([Option(1.0, (((0.0, 0.0, 0.0), (0.0, 9.0, 0.0)),), (0,))], 2, 3.0)


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
