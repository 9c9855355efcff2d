"""Hints of fissures on painted lungs of which it is known what lies where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scenes import Patient

from irplan.trajectory import load_constraints
from irplan.trajectory.fissure_hints import fissure_hints_mm, sheet_scores, with_fissure_hints

SPACING = (1.0, 1.0, 1.5)
#: Lung from 20 mm behind the skin in front, sheet and lesion behind it, mm from the middle.
LUNG_FROM, SHEET_AT = -60.0, -20.0


def noisy_lung(hu_of_sheet: float, tilted: bool = False, vessel: bool = False) -> Patient:
    """A lung with noise of 25 HU; a sheet 2 mm thick, or a tube of 6 mm, across the way."""
    patient = Patient(spacing=SPACING)
    lung = (np.abs(patient.x) < 50) & (patient.y > LUNG_FROM) & (patient.y < 60)
    lung &= np.abs(patient.z) < 50
    patient.structure("lung_left", lung)
    noise = np.random.default_rng(5).normal(0.0, 25.0, patient.hu.shape)
    away = patient.y - SHEET_AT - (0.5 * patient.z + 0.3 * patient.x if tilted else 0.0)
    hu = np.full(patient.hu.shape, -860.0)
    sheet = np.hypot(away, patient.z) < 3 if vessel else np.abs(away) < 1
    hu[sheet] += hu_of_sheet
    patient.hu[lung] = (hu + noise)[lung].astype(np.int16)
    patient.lesion("L1", patient.ball((0.0, 15.0, 0.0), 9.0))
    return patient


def hints(patient: Patient) -> tuple[float, ...]:
    """Along a path from the skin in front straight back to the lesion."""
    labels, is_lung = patient.anatomy.labels, np.array([False, True])
    entry, tip = patient.lps((0.0, -80.0, 0.0)), patient.lps((0.0, 15.0, 0.0))
    return fissure_hints_mm(patient.hu, labels, is_lung, patient.grid, entry, tip)


@pytest.mark.parametrize("tilted", [False, True])
def test_a_sheet_is_hinted_at_where_it_lies(tilted: bool) -> None:
    assert hints(noisy_lung(120.0, tilted)) == (pytest.approx(80.0 + SHEET_AT, abs=1.5),)


@pytest.mark.parametrize("seed_hu", [0.0, 3.0])
def test_noise_alone_and_a_sheet_lost_in_it_give_no_hint(seed_hu: float) -> None:
    assert hints(noisy_lung(seed_hu)) == ()


def test_a_vessel_across_the_way_is_no_sheet() -> None:
    assert hints(noisy_lung(800.0, vessel=True)) == ()


def test_a_path_outside_the_lung_is_not_looked_at() -> None:
    patient = noisy_lung(120.0)
    entry, tip = patient.lps((80.0, -80.0, 0.0)), patient.lps((80.0, 15.0, 0.0))
    labels, is_lung = patient.anatomy.labels, np.array([False, True])
    assert fissure_hints_mm(patient.hu, labels, is_lung, patient.grid, entry, tip) == ()


def test_the_score_is_the_contrast_of_the_sheet() -> None:
    """Without noise, on a sheet as thick as a plane may tilt in: its step, or a little less."""
    y = np.arange(60)[None, :, None]
    row = np.where(np.abs(y - 30) <= 3, -800.0, -850.0).astype(np.float32)
    crop = np.ascontiguousarray(np.broadcast_to(row, (60, 60, 60)))
    beside = np.array([[30.5, 30.5, 30.5], [30.5, 40.5, 30.5]])
    on, off = sheet_scores(crop, np.ones(3), beside)
    assert 25.0 < on <= 50.0
    assert off == 0.0


def test_the_plan_warns_of_it_and_the_rule_stays_unknown() -> None:
    patient = noisy_lung(120.0)
    plan = patient.plan(max_pleural_crossings=2.0)
    crossing = [
        one
        for one in (*plan.needles, *plan.alternatives)
        if one.crosses_mm.get("lung_left", 0.0) > 45.0
    ]
    assert crossing
    for needle in crossing:
        assert "may_cross_fissure" in [one.code for one in needle.findings]
        assert "max_fissure_crossings" in needle.unknown_constraints
    told = {one.subject for one in plan.findings if one.code == "may_cross_fissure"}
    assert told == {
        one.needle_id
        for one in plan.needles
        if "may_cross_fissure" in [finding.code for finding in one.findings]
    }
    # The needle again, as it was without a note; in airways, which are no lung, it gets none.
    bare = replace(crossing[0], findings=())
    limits = load_constraints()
    assert with_fissure_hints([bare], patient.volume, patient.anatomy, limits)[0].findings
    patient.names[0] = "lung_trachea_bronchia"
    assert with_fissure_hints([bare], patient.volume, patient.anatomy, limits) == (bare,)
    # With lobes that are named there is nothing to hint at.
    patient.names[0] = "lung_upper_lobe_left"
    named = patient.plan(max_pleural_crossings=2.0)
    assert "may_cross_fissure" not in [one.code for one in named.findings]
