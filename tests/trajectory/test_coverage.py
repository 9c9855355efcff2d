"""Coverage and spill of the illustrative spheres; even spread of deposits over a fan."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import Patient

from irplan.trajectory import Deposit, load_constraints
from irplan.trajectory.coverage import coverage_of, with_coverage
from irplan.trajectory.deposits import inner_points, spread_gain
from irplan.trajectory.target import Target, find_target


def target_of(patient: Patient) -> Target:
    return find_target(patient.lesions[0], patient.volume, load_constraints())


def ball_target(radius: float, spacing: float = 1.0) -> tuple[Patient, Target]:
    patient = Patient(spacing=(spacing, spacing, spacing))
    patient.lesion("L1", patient.ball((0.0, 0.0, 0.0), radius))
    return patient, target_of(patient)


def deposit(patient: Patient, where: tuple, low: float, high: float) -> Deposit:
    return Deposit("N1D1", 1, "L1", patient.lps(where), (), (low, high))


def test_one_sphere_in_the_middle() -> None:
    patient, target = ball_target(12.0)
    found = coverage_of(target, [deposit(patient, (0.0, 0.0, 0.0), 6.0, 15.0)])
    assert found.covered_percent[0] == pytest.approx(100 * (6 / 12) ** 3, abs=0.6)
    assert found.covered_percent[1] == pytest.approx(100.0)
    assert found.spilt_percent[0] == 0.0
    assert found.spilt_percent[1] == pytest.approx(100 * (1 - (12 / 15) ** 3), abs=1.0)


def test_a_sphere_half_out_of_the_lesion() -> None:
    patient = Patient(spacing=(1.0, 1.0, 1.0))
    patient.lesion("L1", (np.abs(patient.x) < 25) & (np.abs(patient.y) < 25) & (patient.z < 0))
    # A flat border: a sphere on it lies half outside, whatever its size.
    where = (0.0, 0.0, -0.5 + 0.5 * patient.grid.spacing_mm[2])
    found = coverage_of(target_of(patient), [deposit(patient, where, 8.0, 16.0)])
    assert found.spilt_percent == pytest.approx((50, 50), abs=3.5)


def test_two_spheres_overlapping_are_counted_once() -> None:
    patient, target = ball_target(20.0)
    apart, radius = 6.0, 8.0
    spheres = [deposit(patient, (0.0, 0.0, sign * apart / 2), radius, radius) for sign in (-1, 1)]
    lens = math.pi * (4 * radius + apart) * (2 * radius - apart) ** 2 / 12
    union = 2 * 4 / 3 * math.pi * radius**3 - lens
    lesion = 4 / 3 * math.pi * 20**3
    assert coverage_of(target, spheres).covered_percent[0] == pytest.approx(
        100 * union / lesion, rel=0.02
    )


def test_necrosis_is_not_what_is_to_be_covered() -> None:
    patient = Patient(spacing=(1.5, 1.5, 1.5))
    lesion = patient.ball((0.0, 0.0, 0.0), 18.0)
    patient.lesion("L1", lesion, hu=80)
    patient.hu[patient.ball((0.0, 0.0, 0.0), 9.0)] = 5
    target = target_of(patient)
    inside = coverage_of(target, [deposit(patient, (0.0, 0.0, 0.0), 5.0, 18.5)])
    assert inside.covered_percent[0] < 2
    assert inside.spilt_percent[0] == 0
    assert inside.covered_percent[1] > 99


@given(st.floats(1, 15), st.floats(1, 15))
@settings(max_examples=15, deadline=None)
def test_larger_spheres_cover_no_less(one: float, two: float) -> None:
    patient, target = ball_target(10.0, 2.0)
    low, high = sorted((one, two))
    found = coverage_of(target, [deposit(patient, (3.0, 2.0, 1.0), low, high)])
    assert 0 <= found.covered_percent[0] <= found.covered_percent[1] <= 100
    assert all(0 <= share <= 100 for share in found.spilt_percent)


def test_the_plan_tells_coverage_for_every_lesion_with_a_needle() -> None:
    patient = Patient()
    patient.lesion("L1", patient.ball((35.0, -15.0, 0.0), 12.0))
    patient.lesion("L2", patient.ball((-35.0, -15.0, 0.0), 9.0))
    plan = patient.plan(ml="1.20", alternatives=0)
    rows = plan.document()["coverage"]
    assert [row["lesion_id"] for row in rows] == ["L1", "L2"]
    for row in rows:
        low, high = row["coverage_percent"]
        assert Decimal(0) < low < high <= Decimal(100)
        assert low.as_tuple().exponent == -1
        assert len(row["spill_percent"]) == 2
    # All deposits of a lesion count together, whichever pass gives them.
    target = target_of(patient)
    given_to = [d for n in plan.needles for d in n.deposits if d.lesion_id == "L1"]
    assert plan.needles[0].coverage | {} == plan.needles[0].coverage
    served = next(n for n in plan.needles if "L1" in n.lesion_ids)
    assert served.coverage["L1"] == coverage_of(target, given_to)


def test_coverage_decides_nothing() -> None:
    patient = Patient()
    patient.lesion("L1", patient.ball((35.0, -15.0, 0.0), 12.0))
    small = patient.plan(alternatives=0, distribution_low=0.2, distribution_high=0.3)
    large = patient.plan(alternatives=0, distribution_low=4, distribution_high=9)
    assert [n.entry_lps_mm for n in small.needles] == [n.entry_lps_mm for n in large.needles]
    assert [d.position_lps_mm for n in small.needles for d in n.deposits] == [
        d.position_lps_mm for n in large.needles for d in n.deposits
    ]
    assert small.needles[0].coverage != large.needles[0].coverage
    without = with_coverage(small.needles, {}, together=True)
    assert all(needle.coverage == {} for needle in without)


@pytest.mark.parametrize("seed", range(4))
def test_spread_gain_by_hand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    solid, taken = rng.normal(0, 9, (40, 3)), rng.normal(0, 9, (2, 3))
    places = rng.normal(0, 9, (5, 3))

    def uneven(spots: np.ndarray) -> float:
        return sum(min(float((p - s) @ (p - s)) for s in spots) for p in solid)

    expected = [1 - uneven(np.vstack([taken, place])) / uneven(taken) for place in places]
    assert spread_gain(solid, taken, places) == pytest.approx(expected)
    assert spread_gain(solid, taken, taken) == pytest.approx([0, 0])


def test_a_fan_spreads_the_deposits_of_a_flat_lesion() -> None:
    """A lesion far wider than it is deep: no single track reaches both of its ends."""
    patient = Patient()
    flat = (np.abs(patient.x) < 30) & (np.abs(patient.y + 20) < 8) & (np.abs(patient.z) < 10)
    patient.lesion("L1", flat)
    plan = patient.plan(ml="2.50", alternatives=0, max_skin_angle_deg=40)
    assert len(plan.needles) > 1
    spots = np.array([d.position_lps_mm for n in plan.needles for d in n.deposits])
    target = target_of(patient)
    solid = inner_points(target)

    def reach(some: np.ndarray) -> float:
        gaps = np.linalg.norm(solid[:, None] - some[None], axis=2).min(axis=1)
        return float((gaps**2).mean())

    first = np.array([d.position_lps_mm for d in plan.needles[0].deposits])
    assert reach(spots) < 0.75 * reach(first)
    assert sum(dict(d.ml)["ipilimumab"] for n in plan.needles for d in n.deposits) == Decimal(
        "2.50"
    )


def test_deposits_keep_off_vessels_by_the_margin_of_their_needle() -> None:
    patient = Patient()
    patient.structure("vessels", patient.ball((44.0, -15.0, 0.0), 5.0))
    patient.lesion("L1", patient.ball((30.0, -15.0, 0.0), 14.0) & (patient.labels == 0))
    plan = patient.plan(ml="2.00", alternatives=1)
    assert plan.needles
    k, j, i = np.nonzero(patient.labels == 1)
    vessel = np.asarray(patient.grid.to_lps(np.stack([i, j, k], axis=1)))
    for needle in (*plan.needles, *plan.alternatives):
        for one in needle.deposits:
            gap = np.linalg.norm(vessel - np.array(one.position_lps_mm), axis=1).min()
            assert gap >= 5.0
