"""A biopsy before the injection: on its track, safe to the end of its throw, in solid tumour."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from scenes import Patient, dense_clearance

from irplan.trajectory import PathPlan, PatientPosition, load_constraints, load_shelf, propose_paths
from irplan.trajectory.biopsy import Biopsy


def planned(patient: Patient, to_biopsy: tuple[str, ...], throw: float = 10) -> PathPlan:
    return propose_paths(
        patient.volume,
        patient.body,
        patient.anatomy,
        tuple(patient.lesions),
        {one.lesion_id: (("ipilimumab", Decimal("0.4")),) for one in patient.lesions},
        load_shelf(),
        load_constraints().with_values(biopsy_throw_mm=throw),
        PatientPosition.SUPINE,
        {one.lesion_id: "ct" for one in patient.lesions},
        Decimal("0.01"),
        to_biopsy=to_biopsy,
    )


def backed(gap: float) -> Patient:
    """A lesion with a vessel ``gap`` mm behind it, as seen from the front."""
    patient = Patient()
    patient.structure("bone", (patient.y < -30) & (np.hypot(patient.x, patient.z) > 10))
    patient.structure("bone", patient.y > 30)
    lesion = patient.ball((0, -10, 0), 9.0)
    patient.structure("vessels", (patient.y > -1 + gap) & (patient.y < 12 + gap))
    patient.lesion("L1", lesion)
    return patient


def on_axis_mm(biopsy: Biopsy, plan: PathPlan) -> float:
    needle = next(one for one in plan.needles if one.needle_id == biopsy.before)
    entry, tip = np.array(needle.entry_lps_mm), np.array(needle.tip_lps_mm)
    axis = (tip - entry) / np.linalg.norm(tip - entry)
    away = [
        np.linalg.norm(np.cross(np.subtract(point, entry), axis))
        for point in (biopsy.tip_lps_mm, biopsy.end_lps_mm)
    ]
    return float(max(away))


def test_the_throw_lies_in_the_lesion_and_keeps_every_margin() -> None:
    patient = backed(gap=12.0)
    plan = planned(patient, ("L1",))
    (biopsy,) = plan.biopsies
    assert biopsy.lesion_id == "L1"
    assert biopsy.before in {one.needle_id for one in plan.of_lesion("L1")}
    assert on_axis_mm(biopsy, plan) <= 0.02
    throw = np.linalg.norm(np.subtract(biopsy.end_lps_mm, biopsy.tip_lps_mm))
    assert throw == pytest.approx(10.0, abs=0.02)
    assert biopsy.in_lesion_mm >= 9.0
    rules = load_constraints()
    for name in patient.names:
        clearance = dense_clearance(patient, name, biopsy.entry_lps_mm, biopsy.end_lps_mm)
        assert clearance >= rules.rule_for(name).margin("ct")
    assert "biopsy_before_injection" in {one.code for one in plan.findings}
    assert plan.document()["biopsies"][0]["before"] == biopsy.before


def test_a_throw_that_would_reach_a_vessel_is_not_proposed() -> None:
    plan = planned(backed(gap=5.5), ("L1",), throw=25)
    for biopsy in plan.biopsies:
        clearance = dense_clearance(
            backed(gap=5.5), "vessels", biopsy.entry_lps_mm, biopsy.end_lps_mm
        )
        assert clearance >= 5.0
        # So the throw begins well before the lesion.
        assert biopsy.in_lesion_mm < 20.0


def test_only_lesions_that_are_named_are_biopsied() -> None:
    assert planned(backed(gap=12.0), ()).biopsies == ()
