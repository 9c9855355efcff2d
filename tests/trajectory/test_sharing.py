"""Holes and tracks shared between lesions, and that choosing together is never worse than apart."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from scenes import Patient, dense_clearance

from irplan.plan.build import choose_paths
from irplan.trajectory import PathPlan, PatientPosition, load_constraints, load_shelf, propose_paths
from irplan.trajectory.held import HeldPath
from irplan.trajectory.together import needle_distance_mm

PUNCTURE = float(load_constraints().weights["puncture"])


def neighbours(gap: float) -> Patient:
    """Two lesions behind a plate with one hole; ``gap`` between their middles, side by side."""
    patient = Patient()
    plate = (np.abs(patient.y + 50) < 5) & (np.hypot(patient.x, patient.z) > 16)
    patient.structure("bone", plate)
    patient.structure("bone", patient.y > 25)
    patient.lesion("L1", patient.ball((-gap / 2, -10, 0), 7.0))
    patient.lesion("L2", patient.ball((gap / 2, -10, 0), 7.0))
    return patient


def total_cost(plan: PathPlan) -> float:
    """First passes to each lesion and the skin holes, as the joint choice weighs them."""
    holes = {one.entry_id for one in plan.needles}
    return sum(one.cost for one in plan.needles) + PUNCTURE * len(holes)


def alone(patient: Patient, number: int) -> PathPlan:
    single = Patient()
    single.__dict__.update(patient.__dict__)
    single.lesions = [patient.lesions[number]]
    return single.plan(ml="0.4")


@pytest.fixture(scope="module", params=[24.0, 80.0], ids=["near", "far"])
def planned(request: pytest.FixtureRequest) -> tuple[Patient, PathPlan]:
    patient = neighbours(request.param)
    return patient, patient.plan(ml="0.4")


def test_together_costs_no_more_than_apart(planned: tuple[Patient, PathPlan]) -> None:
    patient, plan = planned
    assert {name for one in plan.needles for name in one.lesion_ids} == {"L1", "L2"}
    apart = [alone(patient, number) for number in (0, 1)]
    assert total_cost(plan) <= sum(total_cost(one) for one in apart) + 1e-6


def test_passes_of_one_hole_share_entry_and_needle_and_are_safe(
    planned: tuple[Patient, PathPlan],
) -> None:
    patient, plan = planned
    for hole in {one.entry_id for one in plan.needles}:
        passes = [one for one in plan.needles if one.entry_id == hole]
        assert len({one.entry_lps_mm for one in passes}) == 1
        assert len({one.needle_type for one in passes}) == 1
    for needle in plan.needles:
        assert dense_clearance(patient, "bone", needle.entry_lps_mm, needle.tip_lps_mm) >= 2.0
    for lesion_id in ("L1", "L2"):
        given = sum(
            (ml for one in plan.needles for dep in one.deposits if dep.lesion_id == lesion_id
             for _, ml in dep.ml),
            Decimal(0),
        )  # fmt: skip
        assert given == Decimal("0.4")
    orders = [dep.order for one in plan.needles for dep in one.deposits]
    assert orders == list(range(1, len(orders) + 1))


def test_a_dear_puncture_makes_two_lesions_share_a_hole() -> None:
    patient = neighbours(24.0)
    constraints = load_constraints()
    dear = replace(constraints, weights={**constraints.weights, "puncture": Decimal(20)})
    plan = propose_paths(
        patient.volume,
        patient.body,
        patient.anatomy,
        tuple(patient.lesions),
        {one.lesion_id: (("ipilimumab", Decimal("0.4")),) for one in patient.lesions},
        load_shelf(),
        dear,
        PatientPosition.SUPINE,
        {one.lesion_id: "ct" for one in patient.lesions},
        Decimal("0.01"),
    )
    assert len({one.entry_id for one in plan.needles}) == 1
    assert {"shared_hole", "shared_track"} & {one.code for one in plan.findings}
    for needle in plan.needles:
        assert dense_clearance(patient, "bone", needle.entry_lps_mm, needle.tip_lps_mm) >= 2.0


@pytest.mark.parametrize(("gap", "told"), [(30.0, True), (75.0, False)])
def test_bowel_that_may_be_there_is_told(gap: float, told: bool) -> None:
    patient = Patient()
    patient.lesion("L1", patient.ball((-40, -30, 0), 8.0))
    patient.structure("bowel_gas", patient.ball((-40 + gap, -30, 0), 6.0))
    # Near the shortest way: a longer one that keeps off it is an alternative.
    patient.structure("artery", patient.ball((-48, -56, 0), 4.0))
    anatomy = replace(patient.anatomy, unknown=("bowel_without_gas",))
    plan = propose_paths(
        patient.volume,
        patient.body,
        anatomy,
        tuple(patient.lesions),
        {"L1": (("ipilimumab", Decimal("0.4")),)},
        load_shelf(),
        load_constraints(),
        PatientPosition.SUPINE,
        {"L1": "ct"},
        Decimal("0.01"),
    )
    assert plan.needles
    assert ("path_bowel_unknown" in {one.code for one in plan.findings}) == told
    # An alternative tells the same of itself, by its own distance.
    assert plan.alternatives
    for needle in (*plan.needles, *plan.alternatives):
        near = needle.clearance_mm.get("bowel_gas", 100.0) <= 40.0
        codes = [one.code for one in needle.findings if one.subject == needle.needle_id]
        assert codes.count("path_bowel_unknown") == near
    other = plan.alternatives[0]
    by_hand, _ = choose_paths(plan, (("L1", other.needle_id),), load_constraints())
    about = [one for one in by_hand.findings if one.code == "path_bowel_unknown"]
    assert about == [one for one in other.findings if one.code == "path_bowel_unknown"]


def cost_of_all_passes(plan: PathPlan) -> float:
    """All passes, fans included, and all skin holes."""
    hole = float(load_constraints().weights["puncture"])
    passes = sum(needle.cost for needle in plan.needles)
    return passes + hole * len({needle.entry_id for needle in plan.needles})


@pytest.mark.parametrize("gap", [20.0, 34.0])
def test_what_is_shared_costs_no_more_than_apart_fans_counted(gap: float) -> None:
    def patient(*places: float) -> Patient:
        made = Patient()
        made.structure("bone", made.ball((92, 0, 0), 12.0))
        for z in places:
            made.lesion(f"L{z:+.0f}", made.ball((70, 0, z), 7.0))
        return made

    both = patient(-gap / 2, gap / 2).plan(ml="1.37")
    alone = [patient(z).plan(ml="1.37") for z in (-gap / 2, gap / 2)]
    needles = [needle for plan in alone for needle in plan.needles]
    assert all(needle_distance_mm(a, b) >= 5.0 for a in alone[0].needles for b in alone[1].needles)
    assert needles
    held = sum(len(needle.deposits) for needle in needles)
    if sum(len(needle.deposits) for needle in both.needles) <= held:
        apart = sum(cost_of_all_passes(plan) for plan in alone)
        assert cost_of_all_passes(both) <= apart + 1e-6


def test_a_kept_track_goes_on_serving_both_lesions() -> None:
    patient = Patient()
    patient.lesion("far", patient.ball((60, 0, 0), 8.0))
    patient.lesion("near", patient.ball((88, 0, 0), 8.0))

    def planned(held: dict[str, HeldPath]) -> PathPlan:
        return propose_paths(
            patient.volume, patient.body, patient.anatomy, tuple(patient.lesions),
            {one.lesion_id: (("ipilimumab", Decimal("0.4")),) for one in patient.lesions},
            load_shelf(), load_constraints(), PatientPosition.SUPINE,
            {"far": "ct", "near": "ct"}, Decimal("0.01"), held=held,
        )  # fmt: skip

    (before,) = planned({}).needles
    assert set(before.lesion_ids) == {"far", "near"}
    path = HeldPath(before.entry_lps_mm, before.tip_lps_mm)
    plan = planned({"near": path, "far": path})
    (after,) = plan.needles
    assert (after.entry_lps_mm, after.tip_lps_mm) == (before.entry_lps_mm, before.tip_lps_mm)
    assert set(after.lesion_ids) == {"far", "near"}
    assert not [one for one in plan.findings if one.code == "kept_path_not_safe"]
    # A track that misses the near lesion is kept for the far one alone, and that is told.
    beside = patient.lps((60.0, 0.0, 0.0))
    square = HeldPath(patient.lps((60.0, -69.0, 0.0)), beside)
    plan = planned({"near": square, "far": square})
    first = next(one for one in plan.needles if "far" in one.lesion_ids)
    assert "near" not in first.lesion_ids
    lost = [one.subject for one in plan.findings if one.code == "kept_path_not_safe"]
    assert "near" in lost
