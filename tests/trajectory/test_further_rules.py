"""Fissure, capsule, pleura, parenchyma, bore, sterile field, skimmed lung, no-go, switches."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import Patient, dense_clearance
from scipy.spatial import ConvexHull

from irplan import jsonio
from irplan.errors import InputRefused
from irplan.trajectory import (
    Constraints,
    PatientPosition,
    allowed,
    explain_path,
    load_constraints,
    load_shelf,
)
from irplan.trajectory.bore import Outlines, smallest_circle
from irplan.trajectory.check import ConstraintCheck
from irplan.trajectory.passage import runs


def checks(
    patient: Patient,
    entry: tuple,
    tip: tuple,
    rules: Constraints | None = None,
    guidance: str = "ct",
) -> dict[str, ConstraintCheck]:
    found = explain_path(
        patient.volume,
        patient.body,
        patient.anatomy,
        patient.lesions[0],
        patient.lps(entry),
        load_shelf(),
        rules or load_constraints(),
        PatientPosition.SUPINE,
        guidance,
        patient.lps(tip),
    )
    for check in found:
        jsonio.dumps(check.document())
    return {check.constraint: check for check in found}


FRONT = (0.0, -80.0, 0.0)


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path


# ---- Pieces of a path --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_pieces_agree_with_dense_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, (7, 9, 11)).astype(np.uint8)
    spacing = np.array([0.8, 1.1, 2.5])
    lesion = rng.random((3, 4, 5)) < 0.5
    start = np.array([2, 3, 1], dtype=np.int64)
    a, b = rng.uniform(-2, 18, 3), rng.uniform(-2, 18, 3)
    codes, ends = runs(labels, spacing, a, b, lesion, start)
    total = float(np.linalg.norm(b - a))
    assert ends[0] == 0
    assert ends[-1] == pytest.approx(total)
    assert np.all(np.diff(ends) > 0)
    assert np.all(codes[1:] != codes[:-1])
    for s in rng.uniform(0, total, 400):
        if np.abs(ends - s).min() < 1e-6:
            continue
        i, j, k = np.floor((a + (b - a) * s / total) / spacing).astype(int)
        expected = -2
        if 0 <= i < 11 and 0 <= j < 9 and 0 <= k < 7:
            u, v, w = i - 2, j - 3, k - 1
            within = 0 <= u < 5 and 0 <= v < 4 and 0 <= w < 3
            expected = 2 * int(labels[k, j, i]) + bool(within and lesion[w, v, u])
        assert codes[np.searchsorted(ends, s) - 1] == expected


# ---- Liver -------------------------------------------------------------------------------------


def liver_below(angle_deg: float, step: float = 1.5) -> Patient:
    """Liver behind a plane through the middle that is tilted about the body's axis."""
    patient = Patient(spacing=(step, step, 4.0))
    angle = math.radians(angle_deg)
    patient.structure("liver", patient.y * math.cos(angle) + patient.x * math.sin(angle) > 0)
    patient.lesion("L1", patient.ball((0.0, 30.0, 0.0), 8.0))
    return patient


@pytest.mark.parametrize("tilt", [0, 15, 40, 60, 65, 75])
def test_angle_to_the_capsule(tilt: float) -> None:
    found = checks(liver_below(tilt), FRONT, (0.0, 30.0, 0.0))["min_capsule_angle_deg"]
    assert found.value == pytest.approx(90 - tilt, abs=2.0)
    assert found.forbids is (90 - tilt < 20)


def test_no_proposed_path_is_flatter_to_the_capsule_than_allowed() -> None:
    patient = liver_below(60, 2.5)
    plan = patient.plan(alternatives=2)
    assert plan.needles
    for needle in (*plan.needles, *plan.alternatives):
        angle = needle.measures["capsule_angle_deg"]
        assert angle is None or angle >= 20


def liver_with(depth: float, step: float = 1.0) -> Patient:
    """A lesion of 8 mm radius whose middle lies at a depth behind a flat capsule."""
    patient = Patient(spacing=(step, step, 2.0 * step))
    patient.structure("liver", patient.y > 0)
    patient.lesion("L1", patient.ball((0.0, depth, 0.0), 8.0))
    return patient


def test_parenchyma_before_a_lesion_at_the_capsule() -> None:
    straight = checks(liver_with(9.0), FRONT, (0.0, 9.0, 0.0))["parenchyma_mm"]
    assert straight.value == pytest.approx(1.0, abs=1.0)
    assert straight.status == "costs"
    hard = load_constraints().with_strength(parenchyma_mm="hard")
    assert checks(liver_with(9.0), FRONT, (0.0, 9.0, 0.0), hard)["parenchyma_mm"].forbids
    # A lesion deep in the liver does not touch the capsule: nothing to keep.
    deep = checks(liver_with(30.0), FRONT, (0.0, 30.0, 0.0))["parenchyma_mm"]
    assert deep.value is None
    assert deep.ok


def test_parenchyma_that_is_hard_moves_the_path() -> None:
    patient = liver_with(7.0, 2.0)
    hard = load_constraints().with_strength(parenchyma_mm="hard")
    plan = patient.plan(rules=hard, alternatives=1)
    assert plan.needles
    for needle in (*plan.needles, *plan.alternatives):
        assert needle.measures["parenchyma_mm"] >= 5


# ---- Lung --------------------------------------------------------------------------------------


def skimming(gap: float, step: float = 1.0) -> Patient:
    """A lung whose flat side lies ``gap`` mm beside the straight way to the lesion."""
    name = "lung_right"
    patient = Patient(spacing=(step, 2.0, 4.0))
    slab = (patient.x > gap) & (patient.x < 40) & (patient.y < 10) & (patient.y > -60)
    patient.structure(name, slab & (np.abs(patient.z) < 30))
    patient.lesion("L1", patient.ball((0.0, 30.0, 0.0), 9.0))
    return patient


@pytest.mark.parametrize(("gap", "fine"), [(1, False), (4, False), (6, True), (9, True)])
def test_a_lung_that_is_not_crossed_is_kept_off(gap: float, fine: bool) -> None:
    patient = skimming(gap)
    found = checks(patient, FRONT, (0.0, 30.0, 0.0))["clearance: lung_right"]
    near = dense_clearance(patient, "lung_right", patient.lps(FRONT), patient.lps((0, 30, 0)))
    assert found.value == pytest.approx(near, abs=0.01)
    assert found.forbids is not fine
    assert found.limit == 5


def test_no_proposed_path_skims_the_pleura() -> None:
    patient = skimming(1.0, 2.0)
    plan = patient.plan(alternatives=2)
    assert plan.needles
    for needle in (*plan.needles, *plan.alternatives):
        if needle.crosses_mm.get("lung_right", 0.0) > 0:
            assert needle.pleural_crossings >= 1
            continue
        near = dense_clearance(patient, "lung_right", needle.entry_lps_mm, needle.tip_lps_mm)
        assert near >= 5 - 0.01


def test_a_lesion_in_the_lung_is_reached_through_its_lung() -> None:
    patient = Patient()
    patient.structure("lung_left", patient.ball((30, 0, 0), 55))
    patient.lesion("L1", patient.ball((30, 0, 0), 9.0))
    assert allowed(checks(patient, (30.0, -77.0, 0.0), (30.0, 0.0, 0.0)).values())


def test_a_lung_is_not_grazed_on_the_way_to_a_lesion_at_its_edge() -> None:
    """The lesion lies at the lower edge of the lung; near the skin the lung has a thin tip."""
    patient = Patient(spacing=(2.0, 2.0, 2.0))
    edge = (patient.y > 0) & (patient.y < 60) & (patient.z > -4)
    tip = (np.abs(patient.x) < 4) & (patient.y < -40) & (patient.y > -60) & (patient.z > 2)
    patient.structure("lung_left", edge | tip)
    patient.lesion("L1", patient.ball((0.0, 10.0, 0.0), 9.0))
    grazing = checks(patient, (0.0, -80.0, 0.0), (0.0, 10.0, 0.0))["clearance: lung_left"]
    assert grazing.forbids
    assert grazing.value == pytest.approx(2.0, abs=1.1)
    beside = checks(patient, (20.0, -78.0, 0.0), (0.0, 10.0, 0.0))
    assert not beside["clearance: lung_left"].forbids


@pytest.mark.parametrize(
    ("names", "crossings", "status"),
    [
        (("lung_upper_lobe_left", "lung_lower_lobe_left"), 1, "forbids"),
        (("lung_upper_lobe_left", "lung_upper_lobe_left"), 0, "ok"),
        (("lung_left", "lung_left"), None, "unknown"),
    ],
)
def test_from_lobe_to_lobe(names: tuple[str, str], crossings: int | None, status: str) -> None:
    patient = Patient()
    patient.structure(names[0], (patient.y > -60) & (patient.y <= -20))
    patient.structure(names[1], (patient.y > -20) & (patient.y < 60))
    patient.lesion("L1", patient.ball((0.0, 10.0, 0.0), 9.0))
    found = checks(patient, FRONT, (0.0, 10.0, 0.0))["max_fissure_crossings"]
    assert found.status == status
    assert found.value == crossings
    assert found.forbids is (status == "forbids")


def test_a_fissure_that_is_hinted_at_is_not_crossed() -> None:
    patient = Patient(spacing=(2.0, 2.0, 2.0))
    patient.structure("lung_left", (patient.y > -60) & (patient.y < 60))
    patient.structure("lung_fissure_left", np.abs(patient.y + 20) < 1.5)
    patient.lesion("L1", patient.ball((0.0, 10.0, 0.0), 9.0))
    found = checks(patient, FRONT, (0.0, 10.0, 0.0))
    assert found["clearance: lung_fissure_left"].forbids
    # With the fissure known, the lobes need no names.
    assert found["max_fissure_crossings"].known


def test_the_angle_to_the_pleura_is_soft_and_can_be_hard() -> None:
    patient = Patient(spacing=(1.5, 1.5, 3.0))
    angle = math.radians(75)
    plane = patient.y * math.cos(angle) + patient.x * math.sin(angle)
    patient.structure("lung_left", plane > -6)
    patient.lesion("L1", patient.ball((0.0, 20.0, 0.0), 8.0))
    soft = checks(patient, FRONT, (0.0, 20.0, 0.0))["min_pleura_angle_deg"]
    assert soft.value == pytest.approx(15, abs=2)
    assert soft.status == "costs"
    hard = load_constraints().with_strength(min_pleura_angle_deg="hard")
    assert checks(patient, FRONT, (0.0, 20.0, 0.0), hard)["min_pleura_angle_deg"].forbids


# ---- Breast, no-go -----------------------------------------------------------------------------


def test_breast_unknown_known_and_home_of_the_lesion() -> None:
    bare = Patient()
    bare.lesion("L1", bare.ball((0.0, 0.0, 0.0), 9.0))
    told = checks(bare, FRONT, (0.0, 0.0, 0.0))["clearance: breast"]
    assert told.status == "unknown"
    assert not told.ok
    assert not told.forbids
    assert "clearance: breast" in bare.plan(alternatives=0).needles[0].unknown_constraints
    known = Patient()
    known.structure("breast_left", known.ball((0.0, -70.0, 0.0), 25))
    known.lesion("L1", known.ball((0.0, 0.0, 0.0), 9.0))
    assert checks(known, FRONT, (0.0, 0.0, 0.0))["clearance: breast_left"].forbids
    for needle in known.plan(alternatives=0).needles:
        assert "breast_left" not in needle.crosses_mm
    home = Patient()
    home.structure("breast_left", home.ball((0.0, -60.0, 0.0), 25))
    home.lesion("L1", home.ball((0.0, -60.0, 0.0), 8.0))
    assert allowed(checks(home, FRONT, (0.0, -60.0, 0.0)).values())


def test_a_painted_zone_is_not_touched_and_needs_no_distance() -> None:
    patient = Patient(spacing=(2.0, 2.0, 2.0))
    patient.structure("no_go", (np.abs(patient.x - 12) < 6) & (patient.y < 0))
    patient.lesion("L1", patient.ball((0.0, 20.0, 0.0), 14.0))
    beside = checks(patient, (5.0, -79.0, 0.0), (5.0, 20.0, 0.0))["clearance: no_go"]
    assert beside.limit == 0
    assert beside.ok
    assert beside.value < 2
    assert checks(patient, (12.0, -79.0, 0.0), (12.0, 20.0, 0.0))["clearance: no_go"].forbids
    plan = patient.plan(alternatives=1)
    assert plan.needles
    for needle in (*plan.needles, *plan.alternatives):
        assert needle.crosses_mm.get("no_go", 0.0) == 0


# ---- Bore --------------------------------------------------------------------------------------

point = st.tuples(st.floats(-300, 300), st.floats(-300, 300))


def circle_by_trial(points: np.ndarray) -> float:
    """Radius of the smallest circle, from every pair and every three points."""
    best = math.inf
    found = [((points[i] + points[j]) / 2) for i, j in combinations(range(len(points)), 2)]
    for i, j, k in combinations(range(len(points)), 3):
        system = 2 * np.array([points[j] - points[i], points[k] - points[i]])
        right = np.array([points[n] @ points[n] - points[i] @ points[i] for n in (j, k)])
        if abs(np.linalg.det(system)) > 1e-6:
            found.append(np.linalg.solve(system, right))
    for middle in found:
        best = min(best, float(np.linalg.norm(points - middle, axis=1).max()))
    return best


@given(st.lists(point, min_size=2, max_size=8, unique=True))
@settings(max_examples=60, deadline=None)
def test_smallest_circle_by_trial(corners: list[tuple[float, float]]) -> None:
    points = np.array(corners)
    x, y, radius = smallest_circle(points)
    assert np.linalg.norm(points - (x, y), axis=1).max() <= radius + 1e-6
    assert radius <= circle_by_trial(points) + 1e-6 * max(1.0, radius)


def test_the_bore_holds_body_needle_and_hand() -> None:
    patient = Patient()
    outlines = Outlines(patient.body, patient.grid)
    front = np.array(patient.lps((0.0, -80.0, 0.0)))
    # The body is 240 mm wide: a short needle in front of it changes nothing.
    assert outlines.bore_needed_mm(front, front - (0, 30, 0)) == pytest.approx(241, abs=4)
    # A long one decides: the circle touches its end and both flanks or the back.
    end = front - (0, 300, 0)
    needed = outlines.bore_needed_mm(front, end)
    assert 460 <= needed <= 462 + 4
    assert outlines.bore_needed_mm(front, front - (0, 310, 0)) > needed


def test_the_bore_is_that_around_every_voxel() -> None:
    patient = Patient()
    outlines = Outlines(patient.body, patient.grid)
    front = np.array(patient.lps((10.0, -80.0, -20.0)))
    end = front + np.array((15.0, -60.0, 40.0))
    levels = sorted(round(float(one)) for one in patient.grid.to_index([front, end])[:, 2])
    k, j, i = np.nonzero(patient.body[levels[0] : levels[1] + 1])
    corners = [
        np.stack([i + a, j + b, k + levels[0]], axis=1) for a in (-0.5, 0.5) for b in (-0.5, 0.5)
    ]
    points = np.unique(patient.grid.to_lps(np.concatenate(corners))[:, :2].round(6), axis=0)
    points = np.concatenate([points[ConvexHull(points).vertices], [front[:2], end[:2]]])
    exact = 2.0 * smallest_circle(np.ascontiguousarray(points))[2]
    # The outline's farthest points in every direction: a hair less than all of them.
    needed = outlines.bore_needed_mm(front, end)
    assert exact - 0.5 <= needed <= exact + 1e-6
    # Asked for again, and by other slices first, the answer is the same.
    other = Outlines(patient.body, patient.grid)
    other.bore_needed_mm(end, end)
    assert other.bore_needed_mm(front, end) == needed


def test_a_bore_too_narrow_forbids() -> None:
    patient = Patient()
    patient.lesion("L1", patient.ball((0.0, 20.0, 0.0), 9.0))
    wide = checks(patient, FRONT, (0.0, 20.0, 0.0))["bore_mm"]
    assert wide.ok
    assert wide.limit == 700
    grown = Patient(spacing=(5.0, 5.0, 5.0))
    grown.lesion("L1", grown.ball((0.0, 20.0, 0.0), 9.0))
    narrow = load_constraints().with_values(bore_mm=500, approach_mm=150)
    value = checks(grown, FRONT, (0.0, 20.0, 0.0), narrow)["bore_mm"].value
    assert value > wide.value


# ---- Sterile field -----------------------------------------------------------------------------


def test_entries_lie_in_the_sterile_sphere(tmp_path: Path) -> None:
    patient = Patient()
    patient.lesion("L1", patient.ball((0.0, 0.0, 0.0), 9.0))
    x, y, z = patient.lps((110.0, 0.0, 0.0))
    text = f"[sterile_field]\ncentre_lps_mm = [{x:.1f}, {y:.1f}, {z:.1f}]\nradius_mm = 50\n"
    rules = load_constraints(file(tmp_path, text))
    plan = patient.plan(rules=rules, alternatives=1)
    assert plan.needles
    for needle in (*plan.needles, *plan.alternatives):
        assert np.linalg.norm(np.subtract(needle.entry_lps_mm, (x, y, z))) <= 50.1
    outside = checks(patient, FRONT, (0.0, 0.0, 0.0), rules)["sterile_field_mm"]
    assert outside.forbids
    gap = np.linalg.norm(np.subtract(patient.lps(FRONT), (x, y, z))) - 50
    assert outside.value == pytest.approx(gap, abs=0.1)
    # Without a field nothing is asked.
    assert "sterile_field_mm" not in checks(patient, FRONT, (0.0, 0.0, 0.0))


def test_a_field_out_of_reach_is_told(tmp_path: Path) -> None:
    patient = Patient()
    patient.lesion("L1", patient.ball((0.0, 0.0, 0.0), 9.0))
    text = "[sterile_field]\ncentre_lps_mm = [4000, 0, 0]\nradius_mm = 10\n"
    refused = patient.plan(rules=load_constraints(file(tmp_path, text))).unreachable[0]
    assert "sterile field" in refused.reason
    assert refused.ruled_out["sterile_field_mm"] == refused.candidates > 0


def test_a_polygon_is_the_field_it_encloses(tmp_path: Path) -> None:
    text = (
        "[sterile_field]\npolygon_lps_mm = "
        "[[-20, -80, -30], [40, -80, -30], [40, -80, 30], [10, -80, 0], [-20, -80, 30]]\n"
    )
    field = load_constraints(file(tmp_path, text)).sterile_field
    assert field is not None
    inside = np.array([[-15.0, -80, 0], [35, -75, 0], [10, -90, -10]])
    assert field.outside_mm(inside) == pytest.approx([0, 0, 0])
    # In the notch, beside an edge, and too far from the plane.
    outside = np.array([[10.0, -80, 20], [50.0, -80, 0], [0.0, 20, -10]])
    expected = [20 / math.sqrt(2), 10, 20]
    assert field.outside_mm(outside) == pytest.approx(expected, abs=1e-6)


def test_a_painted_sterile_field() -> None:
    patient = Patient()
    near_skin = (patient.x / 120) ** 2 + (patient.y / 80) ** 2 > 0.9
    patient.structure("sterile_field", near_skin & (patient.x > 60) & (np.abs(patient.z) < 30))
    patient.lesion("L1", patient.ball((0.0, 0.0, 0.0), 9.0))
    plan = patient.plan(alternatives=1)
    assert plan.needles
    middle = np.array(patient.lps((0.0, 0.0, 0.0)))
    for needle in (*plan.needles, *plan.alternatives):
        assert needle.entry_lps_mm[0] - middle[0] > 58
        assert abs(needle.entry_lps_mm[2] - middle[2]) < 33


FIELD_REFUSALS = [
    ("[sterile_field]\n", "give centre"),
    ("[sterile_field]\nradius_mm = 5\n", "is not \\[x, y, z\\]"),
    ("[sterile_field]\ncentre_lps_mm = [1, 2]\nradius_mm = 5\n", "is not \\[x, y, z\\]"),
    ("[sterile_field]\ncentre_lps_mm = [1, 2, nan]\nradius_mm = 5\n", "not between"),
    ("[sterile_field]\ncentre_lps_mm = [1, 2, 3]\nradius_mm = 0\n", "not between"),
    ("[sterile_field]\npolygon_lps_mm = [[0,0,0],[1,1,1]]\n", "three corners"),
    ("[sterile_field]\npolygon_lps_mm = [[0,0,0],[10,10,10],[20,20,20]]\n", "enclose nothing"),
    (
        "[sterile_field]\ncentre_lps_mm = [1, 2, 3]\nradius_mm = 5\npolygon_lps_mm = []\n",
        "give centre",
    ),
    ("[sterile_field]\nmiddle = 1\n", "unknown key middle"),
    ("sterile_field = 3\n", "not a table"),
]


@pytest.mark.parametrize(("text", "told"), FIELD_REFUSALS)
def test_fields_that_are_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputRefused, match=told):
        load_constraints(file(tmp_path, text))


# ---- Switches ----------------------------------------------------------------------------------

SWITCHES = [
    ("max_tilt_deg", "soft", "unknown key strength"),
    ("robustness_mm", "never", "is not of"),
    ("max_fissure_crossings", "soft", "is not of"),
    ("images_crossed", "hard", "is not of"),
    ("sterile_field_mm", "soft", "is not of"),
]


@pytest.mark.parametrize(("name", "strength", "told"), SWITCHES)
def test_strengths_that_are_refused(tmp_path: Path, name: str, strength: str, told: str) -> None:
    with pytest.raises(InputRefused, match=told):
        load_constraints(file(tmp_path, f'[limit.{name}]\nstrength = "{strength}"\n'))


def test_every_switchable_limit_can_be_set_to_what_it_lists(tmp_path: Path) -> None:
    shipped = load_constraints()
    switchable = {name: limit for name, limit in shipped.limits.items() if limit.strengths}
    assert len(switchable) >= 12
    patient = liver_with(9.0)
    for name, limit in switchable.items():
        for strength in limit.strengths:
            text = f'[limit.{name}]\nstrength = "{strength}"\n'
            rules = load_constraints(file(tmp_path, text))
            assert rules == shipped.with_strength(**{name: strength}) or (
                "site.toml" in rules.limits[name].source
            )
            if strength == "off":
                found = checks(patient, FRONT, (0.0, 9.0, 0.0), rules)
                assert name not in found
            else:
                assert rules.limits[name].strength.value == strength


def test_a_check_is_printed_with_its_status() -> None:
    patient = liver_with(9.0)
    for check in checks(patient, FRONT, (0.0, 9.0, 0.0)).values():
        document = check.document()
        assert document["status"] in ("ok", "forbids", "costs", "unknown")
        assert document["ok"] is (document["status"] == "ok")


@pytest.mark.parametrize(("around", "dearer"), [("liver", 2.5), ("lung_right", 0.0)])
def test_lung_crossed_to_a_lesion_that_lies_elsewhere_costs_more(
    around: str, dearer: float
) -> None:
    # Lung on every side, so that each path goes through it once; the lesion in liver, or in lung.
    patient = Patient()
    patient.structure("lung_right", patient.ball((0, 0, 0), 55.0))
    patient.structure(around, patient.ball((0, 0, 0), 25.0))
    patient.lesion("L1", patient.ball((0, 0, 0), 8.0))
    shipped = load_constraints()
    costs = []
    for weight in ("0", "2.5"):
        weights = {**shipped.weights, "lung_elsewhere": Decimal(weight)}
        plan = patient.plan(
            ml="0.4", rules=replace(shipped, weights=weights), max_pleural_crossings=2
        )
        assert plan.needles[0].pleural_crossings == (2 if around == "liver" else 1)
        costs.append(plan.needles[0].cost)
    assert costs[1] - costs[0] == pytest.approx(dearer * plan.needles[0].pleural_crossings)


# ---- Visibility --------------------------------------------------------------------------------


def shaded(edge: float) -> Patient:
    """Bone in front of a shallow lesion, to the right of a plane at x = ``edge``."""
    patient = Patient(spacing=(1.0, 2.0, 2.0))
    patient.structure("rib_right", (patient.x < edge) & (np.abs(patient.y + 66) < 3))
    patient.lesion("L1", patient.ball((0.0, -50.0, 0.0), 8.0), depth_below_skin_mm=22.0)
    return patient


def lines_by_hand(patient: Patient, entry: tuple, tip: tuple) -> float:
    """Share of the sight lines, sampled densely, that meet no bone."""
    start, end = np.array(patient.lps(entry)), np.array(patient.lps(tip))
    d = (end - start) / np.linalg.norm(end - start)
    u = np.cross(d, (1.0, 0.0, 0.0))
    u /= np.linalg.norm(u)
    v = np.cross(d, u)
    free = []
    for radius, count in ((0.0, 1), (10.0, 8), (20.0, 8)):
        for turn in range(count):
            # The rings' first line is square to the axis that the needle runs least along.
            angle = 2 * math.pi * turn / count
            first = start + radius * (math.cos(angle) * u + math.sin(angle) * v)
            points = first + np.linspace(0, 1, 4001)[:, None] * (end - first)
            i, j, k = np.rint(patient.grid.to_index(points)).astype(int).T
            inside = (k >= 0) & (k < patient.labels.shape[0]) & (j >= 0) & (i >= 0)
            free.append(not patient.labels[k[inside], j[inside], i[inside]].any())
    return 100.0 * float(np.mean(free))


@pytest.mark.parametrize("edge", [-60.0, -5.0, -2.0])
def test_sight_lines_past_bone_are_counted_and_cost(edge: float) -> None:
    patient = shaded(edge)
    found = checks(patient, FRONT, (0.0, -50.0, 0.0), guidance="ultrasound")["visible_percent"]
    by_hand = lines_by_hand(patient, FRONT, (0.0, -50.0, 0.0))
    assert found.value == pytest.approx(by_hand)
    assert found.status == ("ok" if by_hand >= 80 else "costs")
    assert (by_hand < 80) == (edge > -50)
    assert "visible_percent" not in checks(patient, FRONT, (0.0, -50.0, 0.0), guidance="ct")


def test_a_weight_on_visibility_moves_the_path_to_where_it_is_seen() -> None:
    shipped = load_constraints()
    seen = {}
    for weight in ("0", "50"):
        rules = replace(shipped, weights={**shipped.weights, "visibility": Decimal(weight)})
        plan = shaded(-5.0).plan(
            ml="0.4", guidance="ultrasound", rules=rules, visible_percent=100, alternatives=2
        )
        needles = [*plan.needles, *plan.alternatives]
        assert all(one.measures["visible_percent"] is not None for one in needles)
        unseen = {one.needle_id: dict(one.criteria)["unseen_percent"] for one in needles}
        seen[weight] = plan.needles[0].measures["visible_percent"]
        assert 100 - float(seen[weight]) == pytest.approx(unseen["N1"], abs=1)
    assert seen["50"] > seen["0"]


@pytest.mark.parametrize("at_most", [True, False])
@pytest.mark.parametrize(("value", "limit"), [(53.06, 53.06), (4.96, 5.0), (5.04, 5.0), (2.2, 2.3)])
def test_what_is_printed_agrees_with_the_verdict(value: float, limit: float, at_most: bool) -> None:
    ok = value <= limit if at_most else value >= limit
    document = ConstraintCheck("x", value, limit, at_most, ok, "mm", "").document()
    printed, bound = document["value"], document["limit"]
    assert (printed <= bound if at_most else printed >= bound) is ok
    if limit != 53.06:
        assert bound == Decimal(str(limit))
