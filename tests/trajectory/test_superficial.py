"""The skin over a superficial lesion, against what the made-up patient's shape says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scenes import Patient

from irplan.lesions.lesion import Lesion
from irplan.trajectory import PatientPosition, load_constraints, load_shelf
from irplan.trajectory.margins import margins_for
from irplan.trajectory.measure import check_path, measure_path
from irplan.trajectory.rules import Rules
from irplan.trajectory.scene import Support
from irplan.trajectory.superficial import (
    SuperficialWay,
    long_axis,
    structure_distances,
    superficial_way,
)

#: Middle and half axes of the lesion, mm from the patient's middle: long from head to feet.
MIDDLE, HALF = (10.0, -62.0, 4.0), (7.0, 7.0, 16.0)


def ellipsoid(patient: Patient, middle: tuple[float, ...], half: tuple[float, ...]) -> np.ndarray:
    axes = (patient.x, patient.y, patient.z)
    parts = [((a - m) / h) ** 2 for a, m, h in zip(axes, middle, half, strict=True)]
    return np.asarray(sum(parts) <= 1.0)


def way_of(patient: Patient, lesion: Lesion, **values: float) -> SuperficialWay:
    constraints = load_constraints().with_values(**values)
    rules = Rules(constraints, load_shelf(), PatientPosition.SUPINE, "ultrasound")
    support = Support.of(patient.body, patient.grid, rules.position.plumb)
    return superficial_way(
        patient.volume, patient.body, patient.anatomy, lesion, rules, support
    )  # fmt: skip


def checks_of(patient: Patient, lesion: Lesion, entry: tuple, tip: tuple) -> list[str]:
    """Names of the limits that a path breaks, measured anew."""
    assert lesion.mask is not None
    rules = Rules(load_constraints(), load_shelf(), PatientPosition.SUPINE, "ultrasound")
    margins = margins_for(patient.anatomy, lesion.mask, rules.constraints, rules.guidance)
    measure = measure_path(
        patient.anatomy, patient.body, lesion.mask, margins, rules, entry, tip
    )  # fmt: skip
    return [one.constraint for one in check_path(measure, margins, rules) if one.forbids]


@pytest.fixture(scope="module")
def open_skin() -> tuple[Patient, Lesion, SuperficialWay]:
    patient = Patient(spacing=(2.0, 2.0, 2.0))
    lesion = patient.lesion("L1", ellipsoid(patient, MIDDLE, HALF))
    return patient, lesion, way_of(patient, lesion)


def test_the_nearest_skin_is_the_nearest_there_is(
    open_skin: tuple[Patient, Lesion, SuperficialWay],
) -> None:
    patient, _, way = open_skin
    assert way.nearest is not None
    # Nothing stands in the way, so no point of the skin may lie nearer to the lesion's border.
    angle = np.linspace(0, 2 * np.pi, 720)
    skin = np.stack([120 * np.cos(angle), 80 * np.sin(angle)], axis=1)
    unit_angle = np.linspace(0, 2 * np.pi, 360)
    border = np.stack([10 + 7 * np.cos(unit_angle), -62 + 7 * np.sin(unit_angle)], axis=1)
    gap = np.linalg.norm(skin[:, None] - border[None], axis=2).min()
    assert way.nearest.skin_gap_mm == pytest.approx(gap, abs=2.5)
    entry = np.asarray(way.nearest.measure.entry_lps_mm)
    assert np.linalg.norm(entry - patient.lps((10.6, -79.7, 4.0))) < 8.0


def test_tracks_run_along_and_across_the_long_axis(
    open_skin: tuple[Patient, Lesion, SuperficialWay],
) -> None:
    patient, lesion, way = open_skin
    assert way.long_axis == pytest.approx((0.0, 0.0, 1.0), abs=0.02)
    assert way.along is not None
    assert way.across is not None
    for track, low, high in ((way.along, 0.0, 30.0), (way.across, 60.0, 90.0)):
        entry, tip = (
            np.asarray(track.measure.entry_lps_mm),
            np.asarray(track.measure.tip_lps_mm),
        )
        d = (tip - entry) / np.linalg.norm(tip - entry)
        angle = np.degrees(np.arccos(abs(d[2])))
        assert low <= angle <= high
        assert track.long_axis_deg == pytest.approx(angle, abs=0.5)
        # Through the middle of the lesion, and the needle on the shelf reaches with its reserve.
        middle = np.asarray(patient.lps(MIDDLE))
        off = np.linalg.norm(np.cross(middle - entry, d))
        assert off < 3.5
        needle = track.measure.needle
        assert needle is not None
        assert float(needle.length_mm) >= track.measure.depth_mm + 5.0
        assert not checks_of(patient, lesion, tuple(entry), tuple(tip))
    assert way.across.measure.depth_mm < way.along.measure.depth_mm


def test_an_obstacle_moves_the_track_and_a_shield_forbids_it() -> None:
    patient = Patient(spacing=(2.0, 2.0, 2.0))
    lesion = patient.lesion("L1", ellipsoid(patient, MIDDLE, HALF))
    plate = (
        (np.abs(patient.x - 10) < 9) & (np.abs(patient.z - 4) < 30) & (np.abs(patient.y + 72) < 2)
    )
    patient.structure("bone", plate)
    way = way_of(patient, lesion)
    assert way.nearest is not None
    assert not checks_of(
        patient, lesion, way.nearest.measure.entry_lps_mm, way.nearest.measure.tip_lps_mm
    )
    away = np.asarray(way.nearest.measure.entry_lps_mm) - patient.lps((10.6, -79.7, 4.0))
    assert np.linalg.norm(away) > 8.0
    shell = ellipsoid(patient, MIDDLE, (13, 13, 22)) & ~ellipsoid(patient, MIDDLE, (9, 9, 18))
    patient.structure("bone", shell)
    shut = way_of(patient, lesion)
    assert (shut.nearest, shut.along, shut.across) == (None, None, None)
    assert shut.tested > 0


def test_a_round_lesion_has_no_long_axis() -> None:
    patient = Patient(spacing=(2.0, 2.0, 2.0))
    lesion = patient.lesion("L1", patient.ball((10.0, -62.0, 4.0), 9.0))
    assert lesion.mask is not None
    assert long_axis(lesion.mask) is None
    way = way_of(patient, lesion)
    assert way.across is None
    assert way.along is not None
    assert way.along.long_axis_deg is None


def test_a_needle_too_short_leaves_no_track() -> None:
    patient = Patient(spacing=(2.0, 2.0, 2.0))
    lesion = patient.lesion("L1", patient.ball((10.0, -10.0, 4.0), 9.0))
    way = way_of(patient, lesion, max_length_mm=40)
    assert way.nearest is None
    assert way.exhausted


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 3.0), (1.5, 2.5, 4.0)])
def test_distances_are_those_between_faces(spacing: tuple[float, float, float]) -> None:
    patient = Patient(spacing=spacing)
    mask = patient.ball((10.0, -40.0, 4.0), 10.0)
    patient.structure("artery", patient.ball((-25.0, -30.0, 20.0), 6.0))
    patient.structure("trachea", patient.ball((40.0, -10.0, -6.0), 7.0))
    lesion = patient.lesion("L1", mask)
    assert lesion.mask is not None
    told = structure_distances(patient.anatomy, lesion.mask, ["artery", "trachea", "nerve"])
    # Brute force over all pairs of voxel boxes.
    step = np.asarray(spacing)
    own = np.argwhere(mask)[:, ::-1] * step
    for one in told:
        others = np.argwhere(patient.labels == patient.names.index(one.name) + 1)[:, ::-1] * step
        gap = np.maximum(0.0, np.abs(own[:, None] - others[None]) - step)
        best = np.sqrt((gap**2).sum(axis=2)).min()
        assert one.distance_mm == pytest.approx(best, abs=1e-3)
    assert {one.name for one in told} == {"artery", "trachea"}
    assert all(a.distance_mm <= b.distance_mm for a, b in pairwise(told))
    assert not structure_distances(patient.anatomy, lesion.mask, ["artery"], reach_mm=5.0)
