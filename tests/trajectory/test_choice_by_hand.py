"""A path that a person prefers: held against the other needles again, deposits numbered anew."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from scenes import Patient

from irplan.findings import Finding, Forbids, rule_of
from irplan.plan.build import choose_paths
from irplan.trajectory import Needle, PathPlan, load_constraints
from irplan.trajectory.biopsy import BIOPSY_FIRST, Biopsy

FAR = load_constraints()


@pytest.fixture(scope="module")
def paths() -> PathPlan:
    patient = Patient()
    # In the way of the shortest paths: going round it costs length, passing by costs clearance.
    for x in (-45, 45):
        patient.structure("vessels", patient.ball((x, -45, 0), 7.0))
    patient.lesion("L1", patient.ball((-45, -20, 0), 8.0))
    patient.lesion("L2", patient.ball((45, -20, 0), 8.0))
    return patient.plan(ml="0.4")


def alternative_to(paths: PathPlan, lesion_id: str) -> Needle:
    return next(one for one in paths.alternatives if one.lesion_ids == (lesion_id,))


def codes(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.code for finding in findings]


def sampled_distance(one: Needle, other: Needle) -> float:
    """The reference: both needles from hub to tip, sampled every quarter of a millimetre."""
    samples = []
    for needle in (one, other):
        entry, tip = np.array(needle.entry_lps_mm), np.array(needle.tip_lps_mm)
        direction = (entry - tip) / np.linalg.norm(entry - tip)
        samples.append(tip + np.arange(0, float(needle.length_mm), 0.25)[:, None] * direction)
    return float(np.linalg.norm(samples[0][:, None] - samples[1][None], axis=2).min())


def test_the_preferred_path_takes_the_place_and_its_distance_is_told(paths: PathPlan) -> None:
    wanted = alternative_to(paths, "L1")
    chosen, told = choose_paths(paths, (("L1", wanted.needle_id),), FAR)
    assert wanted.needle_id in {one.needle_id for one in chosen.needles}
    assert {one.lesion_ids for one in chosen.needles} == {("L1",), ("L2",)}
    assert codes(told) == ["path_chosen_by_hand"]
    other = chosen.of_lesion("L2")[0]
    distance = sampled_distance(wanted, other)
    text = told[0].message.split(" is ")[-1].split(" mm")[0]
    assert float(text) == pytest.approx(distance, abs=0.4)
    orders = [one.order for needle in chosen.needles for one in needle.deposits]
    assert orders == list(range(1, len(orders) + 1))
    assert {one.needle_id for one in paths.needles} - {one.needle_id for one in chosen.needles} <= {
        one.needle_id for one in chosen.alternatives
    }


def test_a_biopsy_goes_with_the_track_that_it_was_checked_along(paths: PathPlan) -> None:
    first = [paths.of_lesion(lesion_id)[0] for lesion_id in ("L1", "L2")]
    biopsies = [
        Biopsy(
            f"B{number}", needle.lesion_ids[0], needle.needle_id, needle.entry_id,
            needle.entry_lps_mm, needle.tip_lps_mm, needle.tip_lps_mm, 10.0, 9.0, 8.0,
        )
        for number, needle in enumerate(first, 1)
    ]  # fmt: skip
    due = [BIOPSY_FIRST(one.lesion_id, lesion=one.lesion_id, needle=one.before) for one in biopsies]
    both = replace(paths, biopsies=tuple(biopsies), findings=(*paths.findings, *due))
    wanted = alternative_to(paths, "L1")
    chosen, told = choose_paths(both, (("L1", wanted.needle_id),), FAR)
    assert [one.lesion_id for one in chosen.biopsies] == ["L2"]
    assert "biopsy_not_along_choice" in codes(told)
    kept = [one.subject for one in chosen.findings if one.code == BIOPSY_FIRST.code]
    assert kept == ["L2"]


def test_needles_that_would_meet_stop_the_signature(paths: PathPlan) -> None:
    other = paths.of_lesion("L2")[0]
    wanted = alternative_to(paths, "L1")
    # The same path, but entering where its needle crosses the other one.
    middle = (np.array(other.entry_lps_mm) + np.array(other.tip_lps_mm)) / 2
    tip = np.array(wanted.tip_lps_mm)
    depth = float(np.linalg.norm(middle - tip)) + 5.0
    x, y, z = (
        float(value) for value in tip + (middle - tip) * depth / np.linalg.norm(middle - tip)
    )
    crossing = replace(wanted, entry_lps_mm=(x, y, z), depth_mm=depth)
    crossed = replace(paths, alternatives=(crossing,))
    _, told = choose_paths(crossed, (("L1", wanted.needle_id),), FAR)
    assert codes(told) == ["path_chosen_by_hand", "chosen_paths_meet"]
    stop = told[1]
    assert stop.severity.value == "stop"
    assert rule_of(stop).forbids is Forbids.SIGNATURE
    assert other.needle_id in stop.message
    # Where each needle is taken out before the next they cannot meet.
    one_by_one = FAR.with_values(previous_needle_in_place=0)
    _, told = choose_paths(crossed, (("L1", wanted.needle_id),), one_by_one)
    assert codes(told) == ["path_chosen_by_hand"]


def test_a_shared_pass_stays_for_the_other_lesion_alone(paths: PathPlan) -> None:
    first, second = paths.of_lesion("L1")[0], paths.of_lesion("L2")[0]
    both = replace(
        second,
        lesion_ids=("L2", "L1"),
        deposits=(*second.deposits, *first.deposits),
    )
    shared = replace(paths, needles=(both,))
    wanted = alternative_to(paths, "L1")
    chosen, told = choose_paths(shared, (("L1", wanted.needle_id),), FAR)
    assert codes(told)[0] == "path_chosen_by_hand"
    assert [one.lesion_ids for one in chosen.needles] == [("L2",), ("L1",)]
    for lesion_id in ("L1", "L2"):
        given = sum(
            (ml for one in chosen.needles for dep in one.deposits if dep.lesion_id == lesion_id
             for _, ml in dep.ml),
            Decimal(0),
        )  # fmt: skip
        assert given == Decimal("0.4")


def test_a_needle_that_is_not_offered_is_told(paths: PathPlan) -> None:
    chosen, told = choose_paths(paths, (("L1", "N9-A9"),), FAR)
    assert codes(told) == ["path_choice_lost"]
    assert chosen == paths
