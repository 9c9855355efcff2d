"""Why a lesion has no safe path, against the full check of every single candidate."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import numpy as np
import pytest
from scenes import Patient

from irplan import jsonio
from irplan.trajectory import PatientPosition, load_constraints, load_shelf, refusal, relaxing
from irplan.trajectory.jobs import Job, scene_for
from irplan.trajectory.measure import check_path, measure_path
from irplan.trajectory.rules import Rules
from irplan.trajectory.search import Search
from irplan.trajectory.target import find_target

CLOSED, RIBS, LUNG, LOBES, LIVER = "closed", "ribs", "lung", "lobes", "liver"


def scene(kind: str) -> tuple[Patient, dict[str, float]]:
    """A patient whose lesion hardly any straight path reaches, and the limits set."""
    patient = Patient(spacing=(3.0, 3.0, 4.0))
    limits: dict[str, float] = {"skin_raster_mm": 5, "max_length_mm": 90}
    at = (0.0, -50.0, 0.0)
    if kind == CLOSED:
        shell = patient.ball(at, 22) & ~patient.ball(at, 17)
        patient.structure("bone", shell & (patient.z < 5))
        patient.structure("vessels", shell & (patient.z >= 5))
        limits["max_tilt_deg"] = 15
    if kind == RIBS:
        patient.structure("vertebrae_T8", (np.abs(patient.x) < 12) & (patient.y > 50))
        rings = (patient.y < -62) & (np.mod(patient.z + 6, 16) < 6)
        patient.structure("rib_left", rings & (patient.x > 0))
        patient.structure("rib_right", rings & (patient.x <= 0))
        limits |= {"intercostal_percent": 10, "spine_mm": 118, "bore_mm": 500}
    if kind in (LUNG, LOBES):
        slab = (patient.y < -38) & (patient.y > -70)
        patient.structure("lung_upper_lobe_left", slab & (patient.z >= 0))
        name = "lung_lower_lobe_left" if kind == LOBES else "lung_upper_lobe_left"
        patient.structure(name, slab & (patient.z < 0))
        limits["max_pleural_crossings"] = 0 if kind == LUNG else 1
        if kind == LOBES:
            patient.structure("bowel", patient.ball((0, -66, 0), 12))
    if kind == LIVER:
        patient.structure("liver", patient.y > -58)
        limits |= {"min_capsule_angle_deg": 80, "air_gap_mm": 0, "approach_mm": 90}
        patient.body |= (patient.y < -88) & (np.abs(patient.x) < 90) & (patient.y > -97)
    patient.lesion("L1", patient.ball(at, 6.0))
    return patient, limits


def search_of(patient: Patient, limits: dict[str, float]) -> Search:
    rules = Rules(
        load_constraints().with_values(**limits), load_shelf(), PatientPosition.SUPINE, "ct"
    )
    target = find_target(patient.lesions[0], patient.volume, rules.constraints)
    job = Job(target, rules, (("ipilimumab", Decimal("0.4")),), 1)
    whole = job.search(scene_for([job], patient.anatomy, patient.body, 10.0), "ct", 10.0)
    # Every candidate is measured by the test: a few tips, the nearest skin and some of the rest.
    away = np.linalg.norm(whole.skin.points_lps_mm - whole.tips_lps_mm[0], axis=1)
    order = np.argsort(away, kind="stable")
    some = whole.skin.some(np.sort(np.concatenate([order[:40], order[40::60]])))
    return whole.around(some, whole.tips_lps_mm[:3], whole.tip_depth_mm[:3])


def by_trying_all(search: Search) -> tuple[Counter[str], float | None]:
    """Candidates that each setting forbids, and the least change of one setting that is enough."""
    counts: Counter[str] = Counter()
    changes = []
    scene, places = search.scene, len(search.tips_lps_mm)
    for number in range(search.candidates):
        entry, tip = search.ends(number // places, number % places)
        measure = measure_path(
            scene.anatomy, scene.body, search.target.mask, search.margins, search.rules, entry, tip,
            inward=search.skin.inward[number // places], report_mm=0.0,
            surroundings=scene.surroundings,
        )  # fmt: skip
        broken: dict[str, float] = {}
        for check in check_path(measure, search.margins, search.rules):
            if not check.forbids:
                continue
            kind, _, structure = check.constraint.partition(": ")
            name = kind.split(" (")[0]
            if structure:
                name = search.rules.constraints.rule_for(structure).name
            assert check.value is not None
            change = abs(check.value - check.limit) / max(abs(check.limit), 1.0)
            broken[name] = max(broken.get(name, 0.0), change)
        counts.update(broken.keys())
        if len(broken) == 1:
            changes.append(next(iter(broken.values())))
    return counts, min(changes, default=None)


@pytest.mark.parametrize("kind", [CLOSED, RIBS, LUNG, LOBES, LIVER])
def test_counts_and_nearest_relaxation_are_those_of_trying_every_candidate(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = search_of(*scene(kind))
    counts, least = by_trying_all(search)
    assert 100 < search.candidates < refusal.MEASURED
    told = refusal.explain(search)
    assert dict(told.ruled_out) == dict(counts)
    assert (told.measured, told.sampled) == (search.candidates, ())
    jsonio.dumps(told.document())
    assert told.least
    assert (told.nearest is None) == (least is None)
    if told.nearest is not None:
        change = abs(told.nearest.needed - told.nearest.limit) / max(abs(told.nearest.limit), 1.0)
        assert change == pytest.approx(least)
    # Too many to measure: what is sampled is named, the rest is still counted on every candidate.
    monkeypatch.setattr(refusal, "MEASURED", 60)
    some = refusal.explain(search)
    assert some.measured == 60
    assert some.nearest == told.nearest
    for name, count in some.ruled_out.items():
        if name in some.sampled:
            assert abs(count - counts[name]) < 5 * np.sqrt(60) / 60 * search.candidates
        else:
            assert count == counts[name]
    assert set(some.sampled).isdisjoint({"needle_length", "max_tilt_deg", "air_gap_mm"})


def test_a_search_for_the_nearest_relaxation_that_is_cut_short_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search = search_of(*scene(CLOSED))
    whole = refusal.explain(search).nearest
    assert whole is not None
    monkeypatch.setattr(relaxing, "MOST_MEASURED", 1)
    monkeypatch.setattr(relaxing, "MOST_TESTED", 1)
    cut = refusal.explain(search)
    assert not cut.least
    assert cut.document()["nearest_is_least"] is False


@pytest.mark.parametrize("kind", [LOBES, LIVER])
def test_no_change_is_called_the_least_where_the_allowance_ends_with_a_part(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = search_of(*scene(kind))
    _, least = by_trying_all(search)
    monkeypatch.setattr(relaxing, "MOST_MEASURED", 1)
    monkeypatch.setattr(relaxing, "AT_ONCE", 1)
    told = refusal.explain(search)
    if told.least:
        assert (told.nearest is None) == (least is None)
    if told.least and told.nearest is not None:
        change = abs(told.nearest.needed - told.nearest.limit) / max(abs(told.nearest.limit), 1.0)
        assert change == pytest.approx(least)
