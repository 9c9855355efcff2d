"""Over the rib, not under it: against rings of bone whose gaps are known, and by brute force."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from scenes import Patient

from irplan.trajectory import (
    PatientPosition,
    allowed,
    explain_path,
    load_constraints,
    load_shelf,
)
from irplan.trajectory.ribs import OPPOSITE, WIDEST_MM, Ribs

#: Rings of bone of 8 mm, 20 mm apart: 12 mm of gap, in z from 8 to 20 of every 20 mm.
PERIOD, BONE = 20.0, 8.0


def shell(patient: Patient) -> np.ndarray:
    radius = np.sqrt((patient.x / 120) ** 2 + (patient.y / 80) ** 2)
    return (radius > 0.86) & (radius < 0.94)


def caged(
    name: str = "rib_", spine: bool = True, spacing: tuple[float, float, float] = (2.0, 2.0, 2.0)
) -> Patient:
    patient = Patient(spacing=spacing)
    rings = shell(patient) & (np.mod(patient.z, PERIOD) < BONE)
    if name == "rib_":
        patient.structure("rib_left", rings & (patient.x >= 0))
        patient.structure("rib_right", rings & (patient.x < 0))
    else:
        patient.structure(name, rings)
    if spine:
        process = (np.abs(patient.x) < 6) & (patient.y > 45) & (patient.y < 66)
        patient.structure("vertebrae", process)
    return patient


def passages(patient: Patient, entry: tuple, tip: tuple) -> tuple:
    return Ribs.of(patient.anatomy).passages(patient.lps(entry), patient.lps(tip))


@pytest.mark.parametrize("z", [9.2, 11.0, 13.5, 14.0, 16.0, 18.5])
def test_a_level_path_between_two_rings(z: float) -> None:
    # Bone from -11 to -1 … voxel middles -9 … : read the gap from the voxels themselves.
    patient = caged()
    column = np.unique(patient.z[patient.labels == 1])
    below = column[column < z].max() + 1.0
    above = column[column > z].min() - 1.0
    (place,) = passages(patient, (119.0, 3.0, z), (40.0, 3.0, z))
    assert place.known
    assert place.above_mm == pytest.approx(above - z, abs=1e-6)
    assert place.below_mm == pytest.approx(z - below, abs=1e-6)
    assert place.share == pytest.approx((z - below) / (above - below))


def brute_narrowest(
    patient: Patient, entry: np.ndarray, tip: np.ndarray
) -> tuple[float, float] | None:
    """(above, below) at the narrowest gap, from voxel middles at every 0.5 mm; None for no gap."""
    k, j, i = np.nonzero(np.isin(patient.labels, (1, 2)))
    bone = np.asarray(patient.grid.to_lps(np.stack([i, j, k], axis=1)))
    best = None
    length = np.linalg.norm(tip - entry)
    for s in np.arange(0.0, length, 0.5):
        p = entry + (tip - entry) * s / length
        away = bone - p
        size = np.linalg.norm(away, axis=1)
        first = int(np.argmin(size))
        if size[first] > WIDEST_MM / 2:
            continue
        cosine = away @ away[first] / (size * size[first])
        rise = np.abs(away[:, 2] - away[first, 2]) >= 0.3 * np.linalg.norm(
            away - away[first], axis=1
        )
        far = np.where((cosine <= 0) & rise, size, np.inf)
        second = int(np.argmin(far))
        if cosine[second] > OPPOSITE or size[first] + far[second] > WIDEST_MM:
            continue
        gap = size[first] + size[second]
        if best is None or gap < best[0] - 1e-9:
            up, down = (first, second) if away[first, 2] > away[second, 2] else (second, first)
            best = gap, float(size[up]), float(size[down])
    return None if best is None else best[1:]


@pytest.mark.parametrize("seed", range(6))
def test_tilted_paths_agree_with_brute_force(seed: int) -> None:
    patient = caged()
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-0.9, 0.9)
    z = float(rng.uniform(10.5, 17.5))
    entry = np.array([118.0 * np.cos(angle), 78.0 * np.sin(angle), z])
    tip = np.array([30.0, 0.0, z + rng.uniform(-14, 14)])
    start, end = np.array(patient.lps(tuple(entry))), np.array(patient.lps(tuple(tip)))
    expected = brute_narrowest(patient, start, end)
    found = Ribs.of(patient.anatomy).passages(tuple(start), tuple(end))
    if expected is None:
        assert found == ()
        return
    assert len(found) == 1
    # Voxel middles lie up to half a voxel's diagonal behind the faces.
    above, below = expected
    assert found[0].above_mm <= above
    assert found[0].above_mm == pytest.approx(above, abs=2.6)
    assert found[0].below_mm == pytest.approx(below, abs=2.6)


def test_outside_and_along_the_cage_is_no_place_between_ribs() -> None:
    patient = caged()
    assert passages(patient, (119.0, 0.0, 14.0), (117.5, 0.0, 14.0)) == ()
    assert passages(patient, (0.0, -79.0, 0.0), (0.0, -79.0, 10.0)) == ()


def test_distance_from_the_spinous_process_in_the_axial_plane() -> None:
    patient = caged()
    (place,) = passages(patient, (30.0, 79.0, 14.0), (30.0, 20.0, 14.0))
    k, j, i = np.nonzero(patient.labels == patient.names.index("vertebrae") + 1)
    points = np.asarray(patient.grid.to_lps(np.stack([i, j, k], axis=1)))
    rear = points[points[:, 1] >= points[:, 1].max() - 1e-6]
    level = np.array(patient.lps((30.0, 79.0, 14.0))) - (0.0, place.level_mm, 0.0)
    gaps = np.hypot(rear[:, 0] - level[0], rear[:, 1] - level[1])
    assert gaps.min() - 1e-6 <= place.spine_mm <= gaps.max() + 1e-6


def checks(patient: Patient, entry: tuple, tip: tuple, **strengths: str) -> dict:
    found = explain_path(
        patient.volume,
        patient.body,
        patient.anatomy,
        patient.lesions[0],
        patient.lps(entry),
        load_shelf(),
        load_constraints().with_strength(**strengths),
        PatientPosition.SUPINE,
        "ct",
        patient.lps(tip),
    )
    return {check.constraint: check for check in found}


def with_lesion(name: str = "rib_", spine: bool = True) -> Patient:
    patient = caged(name, spine)
    patient.lesion("L1", patient.ball((50.0, 0.0, 14.0), 14.0))
    return patient


def test_under_the_rib_is_forbidden_and_over_it_is_not() -> None:
    patient = with_lesion()
    over = checks(patient, (119.0, 0.0, 11.0), (50.0, 0.0, 11.0))
    under = checks(patient, (119.0, 0.0, 16.0), (50.0, 0.0, 16.0))
    assert over["intercostal_percent"].status == "ok"
    assert allowed(over.values())
    assert under["intercostal_percent"].status == "forbids"
    assert [name for name, check in under.items() if check.forbids] == ["intercostal_percent"]
    assert under["intercostal_percent"].value > 50 == under["intercostal_percent"].limit
    # The distance below the upper rib is soft as shipped, and can be made hard or left out.
    assert under["below_rib_mm"].status == "costs"
    hard = checks(patient, (119.0, 0.0, 16.0), (50.0, 0.0, 16.0), below_rib_mm="hard")
    assert hard["below_rib_mm"].forbids
    off = checks(patient, (119.0, 0.0, 16.0), (50.0, 0.0, 16.0), intercostal_percent="off")
    assert "intercostal_percent" not in off
    assert allowed(off.values())


def test_near_the_spine_is_forbidden_and_farther_off_costs() -> None:
    patient = caged()
    patient.lesion("L1", patient.ball((20.0, 20.0, 12.0), 12.0))
    near = checks(patient, (20.0, 79.0, 11.0), (20.0, 20.0, 11.0))
    assert near["spine_mm"].status == "forbids"
    wide = checks(patient, (45.0, 75.0, 11.0), (20.0, 20.0, 11.0))
    assert wide["spine_mm"].status == "ok"
    assert wide["spine_wanted_mm"].status == "costs"


@pytest.mark.parametrize("name", ["bone", "bone_left"])
def test_bone_without_a_name_is_unknown_never_ok(name: str) -> None:
    found = checks(with_lesion(name), (119.0, 0.0, 11.0), (50.0, 0.0, 11.0))
    for constraint in ("intercostal_percent", "below_rib_mm", "spine_mm"):
        assert found[constraint].status == "unknown"
        assert not found[constraint].ok
        assert found[constraint].document()["value"] is None
    assert allowed(found.values())


def test_without_any_bone_or_spine_it_is_unknown() -> None:
    bare = Patient()
    bare.lesion("L1", bare.ball((50.0, 0.0, 14.0), 14.0))
    found = checks(bare, (119.0, 0.0, 11.0), (50.0, 0.0, 11.0))
    assert found["intercostal_percent"].status == "unknown"
    headless = checks(with_lesion(spine=False), (119.0, 0.0, 11.0), (50.0, 0.0, 11.0))
    assert headless["intercostal_percent"].status == "ok"
    assert headless["spine_mm"].status == "unknown"


def test_known_ribs_far_from_the_path_are_no_concern_of_it() -> None:
    patient = Patient()
    patient.structure("rib_left", shell(patient) & (patient.z > 60) & (np.mod(patient.z, 20) < 8))
    patient.lesion("L1", patient.ball((50.0, 0.0, -40.0), 14.0))
    found = checks(patient, (119.0, 0.0, -40.0), (50.0, 0.0, -40.0))
    assert found["intercostal_percent"].status == "ok"
    assert found["intercostal_percent"].value is None


def test_every_proposed_path_goes_over_the_rib() -> None:
    patient = with_lesion()
    plan = patient.plan(alternatives=2)
    assert plan.needles
    for needle in (*plan.needles, *plan.alternatives):
        places = Ribs.of(patient.anatomy).passages(needle.entry_lps_mm, needle.tip_lps_mm)
        assert all(place.share <= 0.5 for place in places)
        printed = needle.document()["measures"]["intercostal_percent"]
        if places:
            assert printed >= Decimal(repr(100 * max(place.share for place in places))) - 1
            assert printed <= 50


def test_unnamed_bone_stands_with_every_needle() -> None:
    plan = with_lesion("bone").plan(alternatives=0)
    between = [n for n in plan.needles if "intercostal_percent" in n.unknown_constraints]
    assert between
    assert all(n.measures["intercostal_percent"] is None for n in between)
