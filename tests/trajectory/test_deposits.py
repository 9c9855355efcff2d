"""Deposits: exact sums, inside the solid part, on the axis."""

from __future__ import annotations

import math
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import Patient
from scipy import ndimage

from irplan.trajectory import load_constraints
from irplan.trajectory.deposits import (
    make_deposits,
    radius_band_mm,
    share_dose,
    split_ml,
    wanted_deposits,
)
from irplan.trajectory.target import find_target

INCREMENT = Decimal("0.01")
amounts = st.decimals("0", "8", places=3, allow_nan=False)


@given(amounts, st.integers(1, 9), st.sampled_from(["0.01", "0.02", "0.05", "0.1"]))
def test_parts_add_up_exactly_in_whole_increments(total: Decimal, count: int, step: str) -> None:
    increment = Decimal(step)
    parts = split_ml(total, count, increment)
    assert len(parts) == count
    assert sum(parts, Decimal(0)) == total
    for part in parts[1:]:
        assert part % increment == 0
    rest = total % increment
    whole = [parts[0] - rest, *parts[1:]]
    assert max(whole) - min(whole) <= increment


@given(st.lists(amounts, min_size=1, max_size=3), st.integers(1, 6))
def test_deposits_of_several_drugs_add_up_exactly(doses: list[Decimal], count: int) -> None:
    dose = tuple((f"drug{number}", ml) for number, ml in enumerate(doses))
    shares = share_dose(dose, count, INCREMENT)
    places = [((0.0, 0.0, float(number)), share) for number, share in enumerate(shares)]
    deposits = make_deposits("N1", "L1", places, load_constraints())
    for drug, ml in dose:
        given_ml = sum((dict(deposit.ml).get(drug, Decimal(0)) for deposit in deposits), Decimal(0))
        assert given_ml == ml
    assert all(sum(ml for _, ml in deposit.ml) > 0 for deposit in deposits)


@pytest.mark.parametrize(
    ("ml", "expected"), [("0.10", 1), ("0.50", 1), ("0.51", 2), ("2.13", 5), ("0", 1)]
)
def test_number_of_deposits(ml: str, expected: int) -> None:
    assert wanted_deposits((("a", Decimal(ml)),), INCREMENT, load_constraints()) == expected


def test_no_deposit_is_smaller_than_the_syringe_shows() -> None:
    dose = (("a", Decimal("1.0")),)
    assert wanted_deposits(dose, Decimal("0.5"), load_constraints()) == 2
    assert wanted_deposits((("a", Decimal("0.9")),), Decimal("0.5"), load_constraints()) == 1


@pytest.mark.parametrize(
    ("ml", "radius"), [("0.1", 2.9), ("0.5", 4.9), ("1", 6.2), ("2", 7.8), ("4", 9.8)]
)
def test_radius_of_the_spheres_as_published(ml: str, radius: float) -> None:
    # The table of radii is for k = f = 1.
    rules = load_constraints().with_values(distribution_low=1, distribution_high=1)
    low, high = radius_band_mm(Decimal(ml), rules)
    assert low == high == pytest.approx(radius, abs=0.05)


def test_radius_band_is_ordered() -> None:
    low, high = radius_band_mm(Decimal("1"), load_constraints())
    assert low < high
    assert high / low == pytest.approx(math.cbrt(6))


@pytest.mark.parametrize("ml", ["0.30", "1.37", "4.203"])
def test_deposits_of_a_plan(ml: str) -> None:
    patient = Patient()
    shape = patient.ball((30, -20, 0), 16.0)
    lesion = patient.lesion("L1", shape, hu=70)
    necrosis = patient.ball((30, -20, 0), 7.0)
    patient.hu[necrosis] = 8
    plan = patient.plan(ml=ml)
    assert lesion.mask is not None
    passes = list(plan.needles)
    assert len({needle.entry_id for needle in passes}) == 1
    assert len({needle.entry_lps_mm for needle in passes}) == 1
    assert len({needle.needle_type for needle in passes}) == 1
    assert [needle.pass_number for needle in passes] == list(range(1, len(passes) + 1))
    for group in (passes, *([needle] for needle in plan.alternatives)):
        given_ml = [
            dict(deposit.ml)["ipilimumab"] for needle in group for deposit in needle.deposits
        ]
        assert sum(given_ml, Decimal(0)) == Decimal(ml)
    spots = [np.array(d.position_lps_mm) for needle in passes for d in needle.deposits]
    for number, spot in enumerate(spots):
        assert all(np.linalg.norm(spot - other) >= 5.9 for other in spots[:number])
    for needle in (*plan.needles, *plan.alternatives):
        entry, tip = np.array(needle.entry_lps_mm), np.array(needle.tip_lps_mm)
        direction = (tip - entry) / np.linalg.norm(tip - entry)
        along = []
        for deposit in needle.deposits:
            place = np.array(deposit.position_lps_mm)
            off_axis = np.linalg.norm(np.cross(place - entry, direction))
            assert off_axis < 0.02
            along.append(float((place - entry) @ direction))
            i, j, k = patient.grid.nearest_index(place)
            assert shape[k, j, i]
            assert not necrosis[k, j, i]
        assert along == sorted(along, reverse=True)
        assert all(before - after >= 5.9 for before, after in pairwise(along))
        assert along[0] == pytest.approx(needle.depth_mm)
    orders = [deposit.order for needle in plan.needles for deposit in needle.deposits]
    assert orders == list(range(1, len(orders) + 1))


def test_the_solid_part_leaves_necrosis_and_air_out() -> None:
    patient = Patient(spacing=(1.5, 1.5, 1.5))
    shape = patient.ball((0, -20, 0), 18.0)
    lesion = patient.lesion("L1", shape, hu=80)
    necrosis = patient.ball((0, -20, 0), 9.0)
    patient.hu[necrosis] = 10
    rng = np.random.default_rng(2)
    noisy = patient.hu + rng.normal(0, 12, patient.hu.shape)
    patient.hu = noisy.astype(np.int16)
    target = find_target(lesion, patient.volume, load_constraints())
    assert lesion.mask is not None
    core = necrosis[lesion.mask.slices_zyx]
    assert not target.inner[core].any()
    assert target.necrotic_share == pytest.approx(0.125, abs=0.05)
    for point in target.points_lps_mm:
        i, j, k = patient.grid.nearest_index(point)
        assert shape[k, j, i]
        assert not necrosis[k, j, i]


def test_the_blurred_border_of_a_nodule_in_lung_is_no_necrosis() -> None:
    patient = Patient()
    shape = patient.ball((0, -60, 0), 12.0)
    patient.hu[patient.ball((0, -60, 0), 40.0)] = -850
    lesion = patient.lesion("L1", shape)
    blurred = ndimage.gaussian_filter(patient.hu.astype(float), 0.5)
    patient.hu = np.rint(blurred).astype(np.int16)
    assert np.percentile(patient.hu[shape], 20) < -100
    target = find_target(lesion, patient.volume, load_constraints())
    assert target.necrotic_share < 0.02
    middle = np.array(patient.lps((0, -60, 0)))
    assert np.linalg.norm(target.points_lps_mm[0] - middle) < 3.0


def test_a_lesion_smaller_than_the_wished_distances_still_has_a_target() -> None:
    patient = Patient()
    lesion = patient.lesion("L1", patient.ball((0, -60, 0), 3.0))
    target = find_target(lesion, patient.volume, load_constraints())
    assert len(target.points_lps_mm) >= 1
