"""Around a lesion: known displacements are found again, with an error that is told."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from registration_scans import SPEC, Seen, seen, warped

from irplan.phantom.motion import VISITS, Motion
from irplan.registration import RigidMap, register_lesion
from irplan.volume import CtVolume


def rigid_of(motion: Motion) -> RigidMap:
    pivot = np.asarray(motion.pivot_mm)
    return RigidMap(motion.rotation, pivot + np.asarray(motion.shift_mm) - motion.rotation @ pivot)


def ball(centre, radius: float) -> np.ndarray:
    directions = np.random.default_rng(1).normal(size=(80, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    return np.asarray(centre) + radius * directions


def register(name, points, old: Seen, new: Seen, whole: RigidMap):
    return register_lesion(name, points, old.volume, old.body, new.volume, new.body, whole)


@pytest.fixture(scope="module")
def skin_lesion(trunk: Seen, trunk_later: Seen):
    # L3 under the skin of the abdomen; the rigid map of the visit is off by some mm on purpose.
    points = ball((84.0, -76.0, -112.0), 8.0)
    rough = RigidMap.of_shift((3.0, -4.0, 2.5)).after(rigid_of(VISITS[2]))
    return points, rough, register("L3", points, trunk, trunk_later, rough)


def test_the_second_visit(skin_lesion) -> None:
    points, _, found = skin_lesion
    gaps = np.linalg.norm(found.map(points) - VISITS[2].from_reference(points), axis=1)
    assert gaps.max() < 2.0
    assert found.error_mm is not None
    assert found.error_mm < 2.0
    assert found.moved_mm == pytest.approx(np.linalg.norm((3.0, -4.0, 2.5)), abs=1.5)
    assert found.findings == ()


@pytest.mark.long
def test_the_number_of_threads_changes_nothing(skin_lesion, trunk: Seen, trunk_later: Seen) -> None:
    points, rough, found = skin_lesion
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    try:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(5)
        again = register("L3", points, trunk, trunk_later, rough)
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
    assert again.map.displacement_mm.tobytes() == found.map.displacement_mm.tobytes()
    assert again.document() == found.document()


def test_a_smooth_local_displacement(trunk: Seen) -> None:
    """Up to 14 mm, with a gradient, about the right kidney: known at every point."""
    centre, reach = np.array([-60.0, 0.0, -30.0]), 90.0

    def back(points):
        far = np.clip(1.0 - ((points - centre) ** 2).sum(axis=-1) / reach**2, 0.0, None) ** 2
        return points - far[..., None] * np.array([2.0, -5.0, 13.0])

    new = seen(warped(trunk.volume, back, SPEC.grid, noise_hu=12.0))
    points = ball(centre, 12.0)
    found = register("K", points, trunk, new, RigidMap.identity())
    truth = points.copy()
    for _ in range(80):
        truth = points + (truth - back(truth))
    gaps = np.linalg.norm(found.map(points) - truth, axis=1)
    before = np.linalg.norm(points - truth, axis=1)
    assert before.min() > 9.0
    assert np.sqrt(np.mean(gaps**2)) < 2.0
    # The estimate may not be far below the truth.
    assert np.sqrt(np.mean(gaps**2)) < found.error_mm + 2.0


def test_surroundings_that_are_not_there_are_told(trunk: Seen) -> None:
    rng = np.random.default_rng(3)
    hu = trunk.volume.hu.copy()
    centre = trunk.volume.geometry.nearest_index((84.0, -60.0, -112.0))
    i, j, k = centre
    box = (slice(k - 14, k + 15), slice(j - 20, j + 21), slice(i - 20, i + 21))
    hu[box] = rng.normal(30.0, 120.0, hu[box].shape).astype(np.int16)
    new = Seen(CtVolume(hu, trunk.volume.geometry), trunk.body)
    found = register("L3", ball((84.0, -76.0, -112.0), 8.0), trunk, new, RigidMap.identity())
    assert {one.code for one in found.findings} & {
        "lesion_registration_doubtful",
        "lesion_registration_failed",
    }


def test_a_lesion_beyond_the_newer_scan(trunk: Seen) -> None:
    short = trunk.volume.geometry.crop((0, 0, 30), (144, 128, 30))
    part = Seen(CtVolume(trunk.volume.hu[30:].copy(), short), trunk.body[30:])
    low = ball(trunk.volume.geometry.to_lps((60, 60, 12)), 8.0)
    found = register("L9", low, trunk, part, RigidMap.identity())
    assert found.error_mm is None
    assert [one.code for one in found.findings] == ["lesion_outside_newer_scan"]
    assert np.allclose(found.map(low), low)
