"""The skin map against every path tried out with the full check."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import numpy as np
import pytest
from scenes import Patient, dense_clearance

from irplan.trajectory import PatientPosition, load_constraints, load_shelf
from irplan.trajectory.jobs import Job, scene_for
from irplan.trajectory.passes import keeps_limits, measure_candidate
from irplan.trajectory.rules import Rules
from irplan.trajectory.search import Search
from irplan.trajectory.skin_map import SkinMap, skin_map_csv, skin_maps
from irplan.trajectory.target import find_target

DOSE = (("ipilimumab", Decimal("0.4")),)


@pytest.fixture(scope="module")
def patient() -> Patient:
    made = Patient()
    plate = (np.abs(made.y + 40) < 4) & (np.abs(made.x - 10) < 45)
    made.structure("bone", plate & (np.hypot(made.x - 20, made.z) > 12))
    made.structure("bowel", made.ball((70, -10, 10), 18))
    made.lesion("L1", made.ball((20.0, -5.0, 0.0), 9.0))
    made.lesion("L2", made.ball((-50.0, -20.0, 5.0), 8.0))
    return made


@pytest.fixture(scope="module")
def maps(patient: Patient) -> tuple[SkinMap, ...]:
    return skin_maps(
        patient.volume,
        patient.body,
        patient.anatomy,
        patient.lesions,
        {"L1": DOSE, "L2": DOSE},
        load_shelf(),
        load_constraints(),
        PatientPosition.SUPINE,
        {"L1": "ct", "L2": "ct"},
        Decimal("0.01"),
    )


def search_of(patient: Patient) -> Search:
    constraints = load_constraints()
    rules = Rules(constraints, load_shelf(), PatientPosition.SUPINE, "ct")
    jobs = [
        Job(find_target(one, patient.volume, constraints), rules, DOSE, 1)
        for one in patient.lesions
    ]
    return jobs[0].search(scene_for(jobs, patient.anatomy, patient.body), "ct")


def test_open_and_closed_points_are_what_trying_every_place_says(
    patient: Patient, maps: tuple[SkinMap, ...]
) -> None:
    search, found = search_of(patient), maps[0]
    assert np.array_equal(search.scene.skin.points_lps_mm, found.points_lps_mm)
    in_reach = found.reasons[search.entries]
    rng = np.random.default_rng(0)
    opened = rng.permutation(np.flatnonzero(in_reach == ""))[:25]
    closed = rng.permutation(np.flatnonzero(in_reach != ""))[:25]
    assert len(opened) == len(closed) == 25
    wrong = 0
    for entry in (*opened, *closed):
        fits = any(
            keeps_limits(search, measure_candidate(search, int(entry), place))
            for place in range(len(search.tips_lps_mm))
        )
        wrong += fits != (in_reach[entry] == "")
    # Room behind the skin is looked at on coarse cells; one point at its edge may differ.
    assert wrong <= 1


def test_paths_of_open_points_keep_their_margins(
    patient: Patient, maps: tuple[SkinMap, ...]
) -> None:
    found = maps[0]
    rng = np.random.default_rng(1)
    for number in rng.permutation(np.flatnonzero(found.open_points))[:12]:
        entry, tip = found.points_lps_mm[number], found.tips_lps_mm[number]
        assert dense_clearance(patient, "bone", tuple(entry), tuple(tip)) >= 2.0
        assert dense_clearance(patient, "bowel", tuple(entry), tuple(tip)) >= 5.0


def test_the_map_of_all_takes_the_cheapest(maps: tuple[SkinMap, ...]) -> None:
    first, second, both = maps
    assert [one.lesion_id for one in maps] == ["L1", "L2", ""]
    assert 0 < first.open_share < 1
    for number in range(0, len(both.cost), 97):
        costs = {
            one.lesion_id: one.cost[number]
            for one in (first, second)
            if np.isfinite(one.cost[number])
        }
        assert both.lesions_open[number] == len(costs)
        if not costs:
            assert np.isnan(both.cost[number])
            assert both.best_for[number] == ""
            continue
        assert both.cost[number] == min(costs.values())
        assert costs[str(both.best_for[number])] == both.cost[number]
        assert both.reasons[number] == ""


def test_the_table_names_cost_or_reason_for_every_point_in_reach(
    maps: tuple[SkinMap, ...],
) -> None:
    rows = list(csv.DictReader(io.StringIO(skin_map_csv(maps))))
    assert {row["lesion_id"] for row in rows} == {"L1", "L2"}
    assert all((row["cost"] == "") != (row["reason"] == "") for row in rows)
    opened = sum(row["cost"] != "" for row in rows)
    assert opened == sum(int(one.open_points.sum()) for one in maps[:2])
