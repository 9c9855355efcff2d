"""Chances against independent simulations; robustness against moved paths."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from scenes import Patient

from irplan.errors import InputRefused
from irplan.trajectory import PatientPosition, allowed, load_constraints, load_shelf
from irplan.trajectory.margins import margins_for
from irplan.trajectory.measure import check_path, measure_path
from irplan.trajectory.method import breathing_sigma_mm, sigma_of_median
from irplan.trajectory.probability import inside_probability, standard_errors, structures_met
from irplan.trajectory.robustness import robustness_mm
from irplan.trajectory.rules import Rules


def site(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_sigma_of_the_published_medians() -> None:
    rng = np.random.default_rng(1)
    lengths = np.linalg.norm(rng.normal(0, sigma_of_median(8.9), (400_000, 3)), axis=1)
    assert np.median(lengths) == pytest.approx(8.9, abs=0.03)
    motion = rng.normal(0, breathing_sigma_mm(6.4, 3.9), (400_000, 3))
    assert (motion**2).sum(axis=1).mean() == pytest.approx(6.4**2 + 3.9**2, rel=0.01)


@pytest.mark.parametrize(
    ("text", "median"),
    [
        ("", 8.9),
        ('[method]\nct = "navigated"\n', 4.1),
        ('[method]\nct = "robot"\n', 3.5),
        ("[site_error]\nneedles = 19\nmedian_mm = 5.0\n", 8.9),
        ("[site_error]\nneedles = 20\nmedian_mm = 5.0\n", 5.0),
        ('[method]\nct = "robot"\n[site_error]\nneedles = 31\nmedian_mm = 6.1\n', 6.1),
    ],
)
def test_which_error_counts(tmp_path: Path, text: str, median: float) -> None:
    rules = load_constraints(site(tmp_path, text))
    assert rules.tip_sigma_mm("ct") == pytest.approx(median / 1.538)
    assert rules.tip_sigma_mm("ultrasound") == pytest.approx(4 / 1.538)


def test_a_sites_sigma_never_falls_below_two_millimetres(tmp_path: Path) -> None:
    rules = load_constraints(site(tmp_path, "[site_error]\nneedles = 400\nmedian_mm = 1.2\n"))
    assert rules.tip_sigma_mm("ct") == 2.0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[method]\nct = "laser"\n', "not of"),
        ("[method]\nus = 'x'\n", "unknown key us"),
        ("[site_error]\nneedles = 25\n", "not a number"),
        ("[site_error]\nneedles = 25.5\nmedian_mm = 4\n", "not whole"),
        ("[site_error]\nneedles = -1\nmedian_mm = 4\n", "not between"),
        ("[site_error]\nneedles = 25\nmedian_mm = nan\n", "not between"),
        ("[sorting]\nby_probability = 1\n", "not true or false"),
        ("[sorting]\nby = true\n", "unknown key by"),
        ("sorting = true\n", "not a table"),
    ],
)
def test_method_files_that_are_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputRefused, match=told):
        load_constraints(site(tmp_path, text))


def test_the_fixed_errors_are_standard_normals() -> None:
    errors = standard_errors()
    assert np.isfinite(errors).all()
    assert np.abs(errors.mean(axis=0)).max() < 0.01
    assert np.cov(errors.T) == pytest.approx(np.eye(3), abs=0.02)
    assert not errors.flags.writeable


def beside_a_vessel(gap: float, name: str = "vessels") -> Patient:
    patient = Patient()
    patient.structure(name, (np.abs(patient.x - gap - 4) < 4) & (np.abs(patient.y + 20) < 12))
    patient.lesion("L1", patient.ball((0.0, 10.0, 0.0), 9.0))
    return patient


def simulated(
    patient: Patient, entry: tuple, tip: tuple, sigma: float, shots: int = 2000
) -> tuple[float, float]:
    """(missed, met label 1) by random errors and samples every 0.25 mm: another way altogether."""
    rng = np.random.default_rng(7)
    start, end = np.array(patient.lps(entry)), np.array(patient.lps(tip))
    lesion = patient.lesions[0].mask
    assert lesion is not None
    missed = met = 0
    steps = np.linspace(0, 1, int(np.linalg.norm(end - start) / 0.25))
    for error in rng.normal(0, sigma, (shots, 3)):
        points = start + steps[:, None] * (end + error - start)
        index = np.rint(patient.grid.to_index(points)).astype(int)
        inside = np.all((index >= 0) & (index < patient.grid.size), axis=1)
        i, j, k = index[inside].T
        met += bool((patient.labels[k, j, i] == 1).any())
        i, j, k = np.rint(patient.grid.to_index(end + error)).astype(int)
        here = np.array([k, j, i]) - np.array(lesion.start)[::-1]
        within = np.all(here >= 0) and np.all(here < lesion.voxels.shape)
        missed += not (within and lesion.voxels[tuple(here)])
    return missed / shots, met / shots


@pytest.mark.parametrize(("gap", "sigma"), [(3.0, 5.8), (9.0, 5.8), (3.0, 2.6)])
def test_chances_agree_with_a_simulation(gap: float, sigma: float) -> None:
    patient = beside_a_vessel(gap)
    entry, tip = (0.0, -79.0, 0.0), (0.0, 10.0, 0.0)
    mask = patient.lesions[0].mask
    assert mask is not None
    missed, met = simulated(patient, entry, tip, sigma)
    assert 1 - inside_probability(patient.lps(tip), mask, sigma) == pytest.approx(missed, abs=0.03)
    margins = margins_for(patient.anatomy, mask, load_constraints(), "ct")
    spacing = np.asarray(patient.grid.spacing_mm)
    a, b = ((patient.grid.to_index(patient.lps(p)) + 0.5) * spacing for p in (entry, tip))
    chances = structures_met(patient.labels, spacing, a, b, margins, sigma)
    assert chances.get("vessels", 0.0) == pytest.approx(met, abs=0.03)


def test_a_lung_that_is_crossed_on_purpose_is_not_hit_by_chance() -> None:
    for crossing, depth in ((True, 30.0), (False, -60.0)):
        patient = Patient()
        patient.structure("lung_left", (patient.y > -40) & (patient.y < 40))
        patient.lesion("L1", patient.ball((0.0, depth, 0.0), 9.0))
        mask = patient.lesions[0].mask
        margins = margins_for(patient.anatomy, mask, load_constraints(), "ct")
        spacing = np.asarray(patient.grid.spacing_mm)
        ends = ((0.0, -79.0, 0.0), (0.0, depth, 0.0))
        a, b = ((patient.grid.to_index(patient.lps(p)) + 0.5) * spacing for p in ends)
        chances = structures_met(patient.labels, spacing, a, b, margins, 12.0)
        assert ("lung_left" in chances) is not crossing


def test_needles_tell_their_chances_and_breathing_adds_to_missing() -> None:
    still, moving = Patient(), Patient()
    moving.structure("liver", moving.ball((0.0, 0.0, 0.0), 45))
    for patient in (still, moving):
        patient.lesion("L1", patient.ball((0.0, 0.0, 0.0), 9.0))
    told = [patient.plan(alternatives=0).needles[0] for patient in (still, moving)]
    for needle in told:
        assert needle.miss_probability is not None
        assert 0 <= needle.miss_probability <= 1
    assert told[0].miss_probability == pytest.approx(1 - told[0].hit_probability)
    assert told[1].miss_probability > 1 - told[1].hit_probability + 0.02
    sigma = math.hypot(8.9 / 1.538, math.sqrt((6.4**2 + 3.9**2) / 3))
    assert float(told[1].document()["measures"]["tip_sigma_mm"]) == pytest.approx(sigma, abs=0.1)


def test_chances_sort_only_where_that_is_turned_on(tmp_path: Path) -> None:
    patient = beside_a_vessel(12.0)
    plain = patient.plan(alternatives=0)
    rules = load_constraints(site(tmp_path, "[sorting]\nby_probability = true\n"))
    assert rules.method.sort_by_probability
    sorted_plan = patient.plan(rules=rules, alternatives=0)
    # The same path costs more by its chances, and no path is lost by them.
    assert sorted_plan.needles
    first = sorted_plan.needles[0]
    assert first.cost > plain.needles[0].cost

    def risk(needle: object) -> float:
        return needle.miss_probability + sum(needle.hit_structure_probability.values())

    assert risk(first) <= risk(plain.needles[0]) + 1e-9


@pytest.mark.parametrize("seed", range(2))
def test_a_path_moved_by_less_than_its_robustness_keeps_every_limit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    patient = Patient()
    for number in range(4):
        centre = tuple(rng.uniform((-80, -50, -50), (80, 50, 50)))
        patient.structure(("vessels", "bowel", "bone", "heart")[number], patient.ball(centre, 8.0))
    patient.lesion("L1", patient.ball((15.0, -5.0, 6.0), 12.0))
    needle = patient.plan(alternatives=0).needles[0]
    assert needle.robustness_mm is not None
    assert 0 <= needle.robustness_mm <= 10
    rules = Rules(load_constraints(), load_shelf(), PatientPosition.SUPINE, "ct")
    mask = patient.lesions[0].mask
    margins = margins_for(patient.anatomy, mask, rules.constraints, "ct")

    def measured(entry: np.ndarray, tip: np.ndarray, inward: np.ndarray | None = None) -> tuple:
        measure = measure_path(
            patient.anatomy, patient.body, mask, margins, rules, tuple(entry), tuple(tip),
            inward=inward,
        )  # fmt: skip
        return measure, check_path(measure, margins, rules)

    entry, tip = np.array(needle.entry_lps_mm), np.array(needle.tip_lps_mm)
    depth = np.linalg.norm(tip - entry)
    skin = math.cos(math.radians(needle.skin_angle_deg))
    direction = (tip - entry) / depth
    across = np.cross(direction, np.eye(3)[int(np.argmin(np.abs(direction)))])
    across /= np.linalg.norm(across)
    inward = skin * direction + math.sqrt(max(0.0, 1 - skin * skin)) * across
    whole, _ = measured(entry, tip, inward)
    bound = robustness_mm(whole, margins, rules)
    assert bound >= needle.robustness_mm - 1e-6
    bounded = ("clearance", "needle_length", "max_tilt", "max_skin", "table", "scan_edge")
    for _ in range(25):
        moves = rng.normal(size=(2, 3))
        moves *= 0.999 * bound / np.linalg.norm(moves, axis=1, keepdims=True)
        _, checks = measured(entry + moves[0], tip + moves[1], inward)
        broken = [one.constraint for one in checks if one.forbids]
        assert not [name for name in broken if name.startswith(bounded)]


def test_robustness_is_the_slack_where_one_obstacle_decides() -> None:
    patient = beside_a_vessel(9.0)
    rules = Rules(load_constraints(), load_shelf(), PatientPosition.SUPINE, "ct")
    mask = patient.lesions[0].mask
    margins = margins_for(patient.anatomy, mask, rules.constraints, "ct")
    measure = measure_path(
        patient.anatomy, patient.body, mask, margins, rules,
        patient.lps((0.0, -80.0, 0.0)), patient.lps((0.0, 10.0, 0.0)),
    )  # fmt: skip
    clearance = measure.clearance_mm["vessels"]
    assert clearance < 15
    assert robustness_mm(measure, margins, rules) == pytest.approx(clearance - 5.0)
    assert allowed(check_path(measure, margins, rules))


def test_probabilities_are_printed_as_shares() -> None:
    document = beside_a_vessel(12.0).plan(alternatives=0).needles[0].document()
    assert isinstance(document["miss_probability"], Decimal)
    assert document["miss_probability"].as_tuple().exponent == -4
    for value in document["hit_structure_probability"].values():
        assert 0 < value <= 1
