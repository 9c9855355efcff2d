"""Proposed paths in made-up patients: never unsafe by the reference, honest where there is none."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numba
import numpy as np
import pytest
from scenes import Patient, dense_clearance

from irplan import jsonio
from irplan.geometry import unit
from irplan.lesions.lesion import Lesion, LesionSource
from irplan.trajectory import (
    Needle,
    PatientPosition,
    default_guidance,
    explain_path,
    kernels,
    load_constraints,
    load_shelf,
    propose_paths,
)
from irplan.trajectory.cost import least_cost
from irplan.trajectory.jobs import Job, scene_for
from irplan.trajectory.measure import hit_probability
from irplan.trajectory.passes import keeps_limits, measure_candidate, safe_paths
from irplan.trajectory.ranking import SafePath, dominates, pareto_front, thinned
from irplan.trajectory.refine import refined
from irplan.trajectory.rules import Rules
from irplan.trajectory.search import Search
from irplan.trajectory.target import find_target


def ribs(patient: Patient) -> np.ndarray:
    """Rings of bone round the trunk with gaps of 12 mm between them."""
    radius = np.sqrt((patient.x / 120) ** 2 + (patient.y / 80) ** 2)
    return (radius > 0.86) & (radius < 0.94) & (np.mod(patient.z, 20) < 8)


def behind_ribs(seed: int = 0) -> Patient:
    rng = np.random.default_rng(seed)
    patient = Patient()
    patient.structure("bone", ribs(patient))
    for number in range(6):
        centre = tuple(rng.uniform((-80, -50, -50), (80, 50, 50)))
        name = ("vessels", "bowel", "heart")[number % 3]
        patient.structure(name, patient.ball(centre, float(rng.uniform(4, 12))))
    patient.lesion("L1", patient.ball((35.0, -5.0, 6.0), 12.0))
    return patient


def all_paths(patient: Patient, **options: object) -> list[Needle]:
    plan = patient.plan(**options)  # type: ignore[arg-type]
    return [*plan.needles, *plan.alternatives]


@pytest.mark.parametrize("seed", range(5))
def test_every_path_keeps_every_margin_by_dense_sampling(seed: int) -> None:
    patient = behind_ribs(seed)
    rules = load_constraints()
    paths = all_paths(patient)
    assert paths
    for needle in paths:
        for name in patient.names:
            clearance = dense_clearance(patient, name, needle.entry_lps_mm, needle.tip_lps_mm)
            assert clearance >= rules.rule_for(name).margin("ct")
            if name in needle.clearance_mm:
                # Samples 0.1 mm apart overestimate by at most this.
                assert 0 <= clearance - needle.clearance_mm[name] <= 0.05
                printed = needle.document()["clearance_mm"][name]
                assert printed <= needle.clearance_mm[name]


@pytest.mark.parametrize("guidance", ["ct", "ultrasound"])
def test_limits_hold_for_every_path(guidance: str) -> None:
    patient = behind_ribs()
    for needle in all_paths(patient, guidance=guidance):
        depth = np.linalg.norm(np.subtract(needle.tip_lps_mm, needle.entry_lps_mm))
        assert needle.depth_mm == pytest.approx(depth)
        reserve = 15 if needle.guidance == "ct" else 5
        assert float(needle.length_mm) >= depth + reserve
        assert needle.skin_angle_deg <= 65
        if needle.guidance == "ct":
            assert abs(needle.craniocaudal_angle_deg) <= 25
        direction = unit(np.subtract(needle.tip_lps_mm, needle.entry_lps_mm))
        hub = np.array(needle.entry_lps_mm) - direction * (float(needle.length_mm) - depth)
        lowest = patient.lps((0, 79, 0))[1]
        assert lowest - hub[1] >= 30 - patient.grid.spacing_mm[1]


def test_entry_lies_on_the_skin_and_tip_in_the_lesion() -> None:
    patient = behind_ribs()
    for needle in all_paths(patient):
        i, j, k = patient.grid.nearest_index(needle.tip_lps_mm)
        assert patient.ball((35.0, -5.0, 6.0), 12.0)[k, j, i]
        nearby = patient.grid.to_index(needle.entry_lps_mm)
        low, high = np.floor(nearby + 0.1).astype(int), np.ceil(nearby - 0.1).astype(int)
        touched = {
            bool(patient.body[c, b, a])
            for a in (low[0], high[0])
            for b in (low[1], high[1])
            for c in (low[2], high[2])
        }
        assert touched == {True, False}


def test_ends_are_what_is_printed() -> None:
    needle = behind_ribs().plan().needles[0]
    document = needle.document()
    for key, value in (("entry_lps_mm", needle.entry_lps_mm), ("tip_lps_mm", needle.tip_lps_mm)):
        assert [float(number) for number in document[key]] == list(value)


def test_the_same_plan_whatever_the_number_of_threads() -> None:
    patient = behind_ribs(3)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = jsonio.dumps(patient.plan().document())
        numba.set_num_threads(before)
        assert jsonio.dumps(patient.plan().document()) == one
    finally:
        numba.set_num_threads(before)


def enclosed(gap: bool) -> Patient:
    patient = Patient()
    shell = patient.ball((20, -10, 0), 30) & ~patient.ball((20, -10, 0), 24)
    if gap:
        shell &= ~((np.hypot(patient.x - 20, patient.z) < 9) & (patient.y < -10))
    patient.structure("bone", shell)
    patient.lesion("L1", patient.ball((20, -10, 0), 10.0))
    return patient


def test_a_lesion_inside_a_closed_shell_is_unreachable_and_told_why() -> None:
    plan = enclosed(gap=False).plan()
    assert plan.needles == ()
    assert plan.alternatives == ()
    refused = plan.unreachable[0]
    assert refused.lesion_id == "L1"
    assert refused.ruled_out["bone"] == refused.candidates
    assert [finding.code for finding in plan.findings] == ["no_safe_path"]
    jsonio.dumps(plan.document())


def test_a_hole_in_the_shell_is_found() -> None:
    plan = enclosed(gap=True).plan()
    assert {needle.entry_id for needle in plan.needles} == {"E1"}
    for needle in plan.needles:
        d = unit(np.subtract(needle.tip_lps_mm, needle.entry_lps_mm))
        assert d[1] > 0.9


def test_the_nearest_relaxation_lets_a_path_through() -> None:
    patient = enclosed(gap=True)
    refused = patient.plan(max_length_mm=90, reserve_mm=40).unreachable[0]
    assert refused.ruled_out["needle_length"] > 0
    relaxed = refused.nearest
    assert relaxed is not None
    assert relaxed.constraint == "needle_length"
    assert relaxed.needed > relaxed.limit
    # A needle of that length, with all else as it was, gets there.
    assert patient.plan(max_length_mm=150, reserve_mm=40).needles
    assert patient.plan(max_length_mm=90, reserve_mm=130 - relaxed.needed - 0.01).needles
    # No candidate comes by with less.
    assert not patient.plan(max_length_mm=90, reserve_mm=130 - relaxed.needed + 0.5).needles


def test_the_nearest_relaxation_of_an_angle_is_enough_and_the_least() -> None:
    # The only hole of the shell leads 45° off the axial plane.
    patient = Patient()
    shell = patient.ball((20, -10, 0), 30) & ~patient.ball((20, -10, 0), 24)
    off = np.hypot(patient.x - 20, patient.z - (patient.y + 10))
    patient.structure("bone", shell & ~((off < 9) & (patient.y < -10)))
    patient.lesion("L1", patient.ball((20, -10, 0), 10.0))
    relaxed = patient.plan(skin_raster_mm=4).unreachable[0].nearest
    assert relaxed is not None
    assert relaxed.constraint == "max_tilt_deg"
    enough = round(relaxed.needed + 0.0005, 4)
    assert patient.plan(skin_raster_mm=4, max_tilt_deg=enough).needles
    less = round(25 + 0.98 * (relaxed.needed - 25), 4)
    assert not patient.plan(skin_raster_mm=4, max_tilt_deg=less).needles


def test_a_relaxation_of_pleural_crossings_is_told() -> None:
    patient = Patient()
    patient.structure("lung_left", patient.ball((30, 0, 0), 55))
    patient.lesion("L1", patient.ball((30, 0, 0), 9.0))
    relaxed = patient.plan(skin_raster_mm=4, max_pleural_crossings=0).unreachable[0].nearest
    assert relaxed is not None
    assert (relaxed.constraint, relaxed.needed) == ("max_pleural_crossings", 1.0)


def test_a_shelf_without_a_fitting_needle_is_told() -> None:
    patient = enclosed(gap=True)
    refused = patient.plan(max_length_mm=60).unreachable[0]
    assert "no needle" in refused.reason
    assert refused.candidates == 0


def test_a_lesion_at_the_end_of_the_scan_is_not_reached() -> None:
    patient = Patient()
    patient.lesion("L1", patient.ball((0, -30, 80), 4.0) & (patient.z > 75))
    refused = patient.plan().unreachable[0]
    assert "end of the scan" in refused.reason


def test_the_skin_is_not_where_the_scan_cuts_the_body() -> None:
    patient = Patient()
    patient.lesion("L1", patient.ball((0, 0, 60), 8.0))
    top = patient.lps((0, 0, 80))[2]
    for needle in all_paths(patient):
        assert top - needle.entry_lps_mm[2] >= 5


@pytest.mark.parametrize(
    ("position", "rests_on"),
    [
        (PatientPosition.SUPINE, (0, 79, 0)),
        (PatientPosition.PRONE, (0, -79, 0)),
        (PatientPosition.LEFT, (119, 0, 0)),
        (PatientPosition.RIGHT, (-119, 0, 0)),
    ],
)
def test_no_needle_comes_from_the_table(
    position: PatientPosition, rests_on: tuple[int, int, int]
) -> None:
    patient = Patient()
    # Nearest to the table's side, so that the shortest paths would come from there.
    middle = tuple(0.5 * value for value in rests_on)
    patient.lesion("L1", patient.ball(middle, 12.0))
    paths = all_paths(patient, position=position)
    assert paths
    down = np.sign(rests_on)
    for needle in paths:
        direction = unit(np.subtract(needle.tip_lps_mm, needle.entry_lps_mm))
        hub = np.array(needle.entry_lps_mm) - direction * (
            float(needle.length_mm) - needle.depth_mm
        )
        height = (np.array(patient.lps(rests_on)) - hub) @ down
        assert height >= 30 - 2.0


def test_an_arm_in_the_way_of_the_hand_rules_a_path_out() -> None:
    patient = Patient()
    patient.lesion("L1", patient.ball((0, -55, 0), 8.0), depth_below_skin_mm=15)
    straight = patient.plan(guidance="ultrasound").needles[0]
    # A limb 20 mm above the whole front of the trunk, as far as the needle needs room.
    blocked = Patient()
    blocked.lesion("L1", blocked.ball((0, -55, 0), 8.0), depth_below_skin_mm=15)
    blocked.body |= (blocked.y < -88) & (np.abs(blocked.x) < 60) & (blocked.y > -97)
    for needle in all_paths(blocked, guidance="ultrasound"):
        d = unit(np.subtract(needle.tip_lps_mm, needle.entry_lps_mm))
        behind = np.array(needle.entry_lps_mm) - np.arange(7, 45, 0.5)[:, None] * d
        index = np.rint(blocked.grid.to_index(behind)).astype(int)
        inside = np.all((index >= 0) & (index < blocked.grid.size), axis=1)
        i, j, k = index[inside].T
        assert not blocked.body[k, j, i].any()
    assert straight.depth_mm < 40


def test_an_organ_may_be_crossed_for_a_lesion_in_it_and_only_then() -> None:
    def with_kidney(lesion_at: tuple[float, float, float]) -> Patient:
        patient = Patient()
        patient.structure("kidney_left", patient.ball((40, 0, 0), 30))
        patient.lesion("L1", patient.ball(lesion_at, 7.0))
        return patient

    inside = all_paths(with_kidney((40, 0, 0)))
    assert inside
    assert all(needle.crosses_mm["kidney_left"] > 5 for needle in inside)
    beyond = all_paths(with_kidney((-30, 0, 0)))
    assert beyond
    assert all("kidney_left" not in needle.crosses_mm for needle in beyond)


def test_lung_is_crossed_once_at_most() -> None:
    patient = Patient()
    patient.structure("lung_left", patient.ball((40, -30, 0), 45))
    patient.lesion("L1", patient.ball((-10, 20, 0), 9.0))
    for needle in all_paths(patient):
        assert needle.pleural_crossings <= 1
    deep_in_lung = Patient()
    deep_in_lung.structure("lung_left", deep_in_lung.ball((30, 0, 0), 55))
    deep_in_lung.lesion("L1", deep_in_lung.ball((30, 0, 0), 9.0))
    plan = deep_in_lung.plan()
    assert plan.needles[0].pleural_crossings == 1
    assert "lung_crossed" in [finding.code for finding in plan.findings]


def test_a_superficial_lesion_gets_a_short_needle_from_the_nearest_skin() -> None:
    patient = Patient()
    lesion = patient.lesion("L1", patient.ball((30, -62, 0), 9.0), depth_below_skin_mm=5.0)
    assert default_guidance(lesion, load_constraints()) == "ultrasound"
    needle = patient.plan(guidance="ultrasound").needles[0]
    assert needle.guidance == "ultrasound"
    assert needle.length_mm <= 50
    # The middle of the lesion lies about 15 mm under the nearest skin.
    assert needle.depth_mm <= 26


@pytest.mark.parametrize(
    ("depth", "way"), [(0.0, "ultrasound"), (30.0, "ultrasound"), (30.1, "ct"), (None, "ct")]
)
def test_guidance_by_depth(depth: float | None, way: str) -> None:
    lesion = Lesion("L1", 1, LesionSource.SEGMENTED, depth_below_skin_mm=depth)
    assert default_guidance(lesion, load_constraints()) == way


def test_a_lesion_too_deep_for_short_needles_is_planned_under_ct_and_told() -> None:
    patient = Patient()
    patient.lesion("L1", patient.ball((0, 45, 0), 9.0))
    plan = patient.plan(guidance="ultrasound")
    assert plan.needles[0].guidance == "ct"
    assert "guidance_changed" in [finding.code for finding in plan.findings]


def test_lesions_without_dose_or_voxels_get_no_path() -> None:
    patient = behind_ribs()
    bare = Lesion("U1", None, LesionSource.DIAMETERS)
    plan = propose_paths(
        patient.volume,
        patient.body,
        patient.anatomy,
        (*patient.lesions, bare),
        {"L1": (("ipilimumab", Decimal(0)),), "U1": (("ipilimumab", Decimal("0.5")),)},
        load_shelf(),
        load_constraints(),
        PatientPosition.SUPINE,
        {},
        Decimal("0.01"),
    )
    assert plan.needles == plan.unreachable == ()
    assert {(finding.code, finding.subject) for finding in plan.findings} == {
        ("no_dose_no_path", "L1"),
        ("lesion_without_image", "U1"),
    }


def test_turned_patient_gets_the_turned_path() -> None:
    """A quarter turn about the body's axis: supine becomes lying on the right side."""
    quarter = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    plans = []
    for direction, position in (
        ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), PatientPosition.SUPINE),
        (quarter, PatientPosition.RIGHT),
    ):
        patient = Patient(direction=direction)
        patient.structure("bone", ribs(patient))
        patient.lesion("L1", patient.ball((35.0, -5.0, 6.0), 12.0))
        plans.append(patient.plan(position=position).needles[0])
    one, turned = plans
    assert turned.depth_mm == pytest.approx(one.depth_mm, abs=0.1)
    assert turned.axial_angle_deg == pytest.approx(one.axial_angle_deg, abs=0.5)
    assert turned.craniocaudal_angle_deg == pytest.approx(one.craniocaudal_angle_deg, abs=0.5)
    assert turned.cost == pytest.approx(one.cost, abs=0.02)


def test_an_oblique_grid_is_planned_on_as_well() -> None:
    angle = np.radians(17)
    tilt = (1.0, 0.0, 0.0, 0.0, np.cos(angle), -np.sin(angle), 0.0, np.sin(angle), np.cos(angle))
    patient = Patient(direction=tuple(float(value) for value in tilt))
    patient.structure("bone", ribs(patient))
    patient.lesion("L1", patient.ball((35.0, -5.0, 6.0), 12.0))
    for needle in all_paths(patient):
        clearance = dense_clearance(patient, "bone", needle.entry_lps_mm, needle.tip_lps_mm)
        assert clearance >= 2.0
        d = unit(np.subtract(needle.tip_lps_mm, needle.entry_lps_mm))
        assert needle.craniocaudal_angle_deg == pytest.approx(np.degrees(np.arcsin(d[2])))


def dominating(one: Needle, other: Needle) -> bool:
    """Whether one needle is at least as good as the other by every criterion, and better in one."""
    first, second = dict(one.criteria), dict(other.criteria)
    return all(first[name] <= second[name] for name in first) and first != second


@pytest.mark.parametrize("seed", range(4))
def test_no_alternative_that_is_shown_is_dominated_and_all_differ(seed: int) -> None:
    patient = behind_ribs(seed)
    if seed % 2:
        patient.lesion("L2", patient.ball((-30.0, 0.0, -8.0), 9.0))
    plan = patient.plan(alternatives=(4, 12)[seed % 2], skin_raster_mm=3)
    assert plan.alternatives
    for lesion in patient.lesions:
        first = plan.of_lesion(lesion.lesion_id)[0]
        shown = [one for one in plan.alternatives if lesion.lesion_id in one.lesion_ids]
        assert [one.rank for one in shown] == list(range(2, 2 + len(shown)))
        assert [one.cost for one in shown] == sorted(one.cost for one in shown)
        for number, one in enumerate(shown):
            rivals = [first, *shown[:number], *shown[number + 1 :]]
            assert not any(dominating(other, one) for other in rivals)
            assert not one.dominated
            for other in rivals:
                gap = np.linalg.norm(np.subtract(one.entry_lps_mm, other.entry_lps_mm))
                directions = (
                    unit(np.subtract(each.tip_lps_mm, each.entry_lps_mm)) for each in (one, other)
                )
                turn = np.degrees(np.arccos(np.clip(np.dot(*directions), -1, 1)))
                assert gap >= 20 or turn >= 15
        assert first.dominated == any(dominating(one, first) for one in shown)


def test_explain_says_the_same_as_the_proposal() -> None:
    patient = behind_ribs()
    needle = patient.plan().needles[0]

    def checks(entry: tuple[float, float, float]) -> dict[str, bool]:
        found = explain_path(
            patient.volume,
            patient.body,
            patient.anatomy,
            patient.lesions[0],
            entry,
            load_shelf(),
            load_constraints(),
            PatientPosition.SUPINE,
            "ct",
        )
        for check in found:
            jsonio.dumps(check.document())
        return {check.constraint: not check.forbids for check in found}

    allowed = checks(needle.entry_lps_mm)
    assert all(allowed.values())
    assert {"needle_length", "max_tilt_deg", "table_mm", "clearance: bone"} <= set(allowed)
    from_the_table = checks(patient.lps((0.0, 80.0, 0.0)))
    assert not from_the_table["table_mm"]
    in_the_air = checks(patient.lps((0.0, -99.0, 0.0)))
    assert not in_the_air["entry_on_skin"]


def test_hit_probability_agrees_with_chance() -> None:
    patient = Patient()
    lesion = patient.lesion("L1", patient.ball((10, 0, 0), 9.0))
    assert lesion.mask is not None
    tip = np.array(patient.lps((12.0, 3.0, -2.0)))
    rng = np.random.default_rng(5)
    shots = tip + rng.normal(0, 8.9 / 1.538, (200_000, 3))
    index = np.rint(patient.grid.to_index(shots)).astype(int)
    inside = np.all((index >= 0) & (index < np.asarray(patient.grid.size)), axis=1)
    full = lesion.mask.to_full()
    hits = np.zeros(len(shots), dtype=bool)
    i, j, k = index[inside].T
    hits[inside] = full[k, j, i]
    x, y, z = (float(value) for value in tip)
    assert hit_probability((x, y, z), lesion.mask, 8.9) == pytest.approx(hits.mean(), abs=0.005)


def ranked_paths() -> tuple[Search, list[SafePath]]:
    patient = behind_ribs(2)
    rules = Rules(load_constraints(), load_shelf(), PatientPosition.SUPINE, "ct")
    job = Job(find_target(patient.lesions[0], patient.volume, rules.constraints), rules, (), 2)
    search = job.search(scene_for([job], patient.anatomy, patient.body), "ct")
    return search, safe_paths(search)


def test_weights_only_sort_what_is_shown() -> None:
    _, paths = ranked_paths()
    front = pareto_front(paths)
    shown = thinned(front, paths[0], 4)
    assert len(shown) >= 2
    rng = np.random.default_rng(0)
    for _ in range(5):
        # Other weights give other costs to the same paths.
        costs = rng.permutation(len(front)).astype(float)
        again = thinned(
            [replace(path, cost=float(cost)) for path, cost in zip(front, costs, strict=True)],
            paths[0],
            4,
        )
        assert {one.measure.entry_lps_mm for one in again} == {
            one.measure.entry_lps_mm for one in shown
        }
        assert [one.cost for one in again] == sorted(one.cost for one in again)


def test_extreme_paths_are_among_those_that_are_ranked() -> None:
    search, paths = ranked_paths()
    status, _ = search.evaluated
    flat = np.flatnonzero((status.ravel() & ~np.uint16(256)) == 0)
    entries, places = flat // status.shape[1], flat % status.shape[1]
    axes = search.targets_local[places] - search.entries_local[entries]
    depth = np.linalg.norm(axes, axis=1)
    for number in np.argsort(depth, kind="stable"):
        entry, place = int(entries[number]), int(places[number])
        if search.exactly_clear(np.array([entry]), np.array([place]))[0] and keeps_limits(
            search, measure_candidate(search, entry, place)
        ):
            break
    assert min(path.measure.depth_mm for path in paths) <= depth[number] + 0.1


def test_no_safe_path_costs_less_than_its_bound() -> None:
    search, paths = ranked_paths()
    tight = []
    for path in paths:
        tip = np.asarray(path.measure.tip_lps_mm)
        place = int(np.flatnonzero((search.tips_lps_mm == tip).all(axis=1))[0])
        bound = least_cost(search, path.entry, place)
        assert bound <= path.cost
        missing = 1 - len(path.places) / path.deposits_wanted
        tight.append(path.cost - path.extra - missing - bound)
    # Nothing but soft limits and missing deposits (weight 1) is left out of it.
    assert max(tight) < 1e-6


def test_refined_paths_cost_less_and_stay_safe() -> None:
    search, paths = ranked_paths()
    gains = []
    for path in paths[:4]:
        local, better = refined(search, path)
        assert better.cost <= path.cost
        assert not dominates(path, better)
        assert len(better.places) >= len(path.places)
        assert keeps_limits(local, better.measure)
        moved = np.subtract(better.measure.entry_lps_mm, path.measure.entry_lps_mm)
        assert np.linalg.norm(moved) <= 6.0
        again = refined(search, path)[1]
        assert again.measure.entry_lps_mm == better.measure.entry_lps_mm
        gains.append(path.cost - better.cost)
    assert max(gains) > 0.001


def test_room_pleura_and_outline_refuse_nothing_that_the_full_check_allows() -> None:
    # A limb beside the trunk, a lung that is skimmed, a fold in the skin: where cells would be
    # too coarse to tell.
    patient = Patient(spacing=(1.0, 1.0, 3.0))
    patient.body |= (patient.y < -92) & (np.abs(patient.x - 30) < 25) & (patient.y > -97)
    patient.body &= ~((np.abs(patient.x + 20) < 2) & (patient.y < -60))
    patient.structure("lung_left", patient.ball((35, -30, 0), 18))
    patient.structure("lung_right", patient.ball((-15, -45, 0), 10))
    patient.lesion("L1", patient.ball((10, -40, 0), 9.0), depth_below_skin_mm=20)
    rules = Rules(
        load_constraints().with_values(max_pleural_crossings=0),
        load_shelf(),
        PatientPosition.SUPINE,
        "ultrasound",
    )
    job = Job(find_target(patient.lesions[0], patient.volume, rules.constraints), rules, (), 2)
    search = job.search(scene_for([job], patient.anatomy, patient.body), "ultrasound")
    status, _ = search.evaluated
    rng = np.random.default_rng(4)
    for bit in (kernels.APPROACH, kernels.OUTSIDE, kernels.PLEURA):
        only = np.argwhere((status & ~np.uint16(kernels.DOUBT)) == bit)
        assert len(only) > 20
        for entry, place in rng.permutation(only)[:60].tolist():
            measure = measure_candidate(search, entry, place)
            assert not keeps_limits(search, measure), (bit, entry, place)
