"""Whole scans: known movements are found again, other patients are not taken for the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from registration_scans import SPEC, Seen, seen, warped
from scipy.spatial.transform import Rotation

from irplan.findings import Forbids, accept, forbidding
from irplan.phantom.motion import VISITS
from irplan.registration import register_whole
from irplan.volume import CtVolume

#: Bone that does not breathe: middle of L3, crest, sacrum, back of the pelvis.
STILL = np.array([[0.0, 18.0, -90.0], [80.0, 20.0, -150.0], [-80.0, 20.0, -150.0], [0.0, 40, -170]])


def register(old: Seen, new: Seen):
    return register_whole(old.volume, old.body, new.volume, new.body)


@pytest.fixture(scope="module")
def to_later(trunk: Seen, trunk_later: Seen):
    return register(trunk, trunk_later)


def test_the_second_visit_is_found_on_a_low_dose_scan_without_contrast(to_later) -> None:
    gaps = np.linalg.norm(to_later.rigid(STILL) - VISITS[2].from_reference(STILL), axis=1)
    assert gaps.max() < 1.5
    assert to_later.findings == ()
    assert to_later.similarity > 0.7
    assert to_later.skin_median_mm <= 5.0


def test_another_frame_and_a_turned_patient(trunk: Seen) -> None:
    # 9 degrees and half a metre: no start value could know.
    turn = Rotation.from_euler("xyz", [3.0, -2.0, 8.0], degrees=True).as_matrix()
    shift = np.array([-310.0, 120.0, 505.0])
    grid = replace(SPEC.grid, origin_lps_mm=tuple(np.asarray(SPEC.grid.origin_lps_mm) + shift))
    pivot = np.array([0.0, 8.0, -100.0])
    new = warped(trunk.volume, lambda p: (p - shift - pivot) @ turn + pivot, grid, noise_hu=10.0)
    found = register(trunk, seen(new))
    truth = (STILL - pivot) @ turn.T + pivot + shift
    assert np.linalg.norm(found.rigid(STILL) - truth, axis=1).max() < 1.0
    assert found.rigid.angle_deg == pytest.approx(
        np.degrees(Rotation.from_matrix(turn).magnitude()), abs=0.5
    )
    assert not forbidding(found.findings, Forbids.PLAN)


def test_a_slab_of_the_newer_scan_is_found_in_the_older_one(trunk: Seen) -> None:
    k = slice(22, 44)
    start = trunk.volume.geometry.crop((0, 0, 22), (144, 128, 22))
    moved = replace(start, origin_lps_mm=tuple(np.add(start.origin_lps_mm, (7.0, -5.0, 33.0))))
    slab = CtVolume(trunk.volume.hu[k].copy(), moved)
    found = register(trunk, seen(slab))
    truth = STILL[:1] + np.array([7.0, -5.0, 33.0])
    assert np.linalg.norm(found.rigid(STILL[:1]) - truth, axis=1).max() < 1.0
    assert found.overlap == pytest.approx(22 / 60, abs=0.06)
    assert "little_overlap" in {one.code for one in found.findings}


@pytest.mark.parametrize("what", ["mirrored", "back to front", "a larger patient"])
def test_what_does_not_fit_is_stopped(trunk: Seen, what: str) -> None:
    volume = trunk.volume
    if what == "mirrored":
        other = CtVolume(np.ascontiguousarray(volume.hu[:, :, ::-1]), volume.geometry)
    elif what == "back to front":
        other = CtVolume(np.ascontiguousarray(volume.hu[:, ::-1]), volume.geometry)
    else:
        sx, sy, sz = volume.geometry.spacing_mm
        wide = replace(volume.geometry, spacing_mm=(1.15 * sx, 1.15 * sy, 1.1 * sz))
        other = CtVolume(volume.hu.copy(), wide)
    found = register(trunk, seen(other))
    stops = {one.code for one in forbidding(found.findings, Forbids.PLAN)}
    assert stops == {"images_mirrored" if what == "mirrored" else "images_do_not_match"}
    # Geometry that cannot be trusted is never accepted away.
    assert not any(one.accepted for one in accept(found.findings, dict.fromkeys(stops, "so be it")))


@pytest.mark.long
def test_a_scan_upside_down_is_not_signed(trunk: Seen) -> None:
    other = CtVolume(np.ascontiguousarray(trunk.volume.hu[::-1]), trunk.volume.geometry)
    found = register(trunk, seen(other))
    assert any(forbidding(found.findings, what) for what in (Forbids.PLAN, Forbids.SIGNATURE))


def test_the_number_of_threads_changes_nothing(trunk: Seen, trunk_later: Seen, to_later) -> None:
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    try:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(7)
        again = register(trunk, trunk_later)
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
    assert again.rigid.rotation.tobytes() == to_later.rigid.rotation.tobytes()
    assert again.rigid.shift_mm.tobytes() == to_later.rigid.shift_mm.tobytes()
    assert again.document() == to_later.document()


@pytest.mark.realdata
@pytest.mark.long
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("volumes/ircad17/dicom", "volumes/chest_crc/chest_colonrepo.nii.gz"),
        ("volumes/chest_crc/chest_colonrepo.nii.gz", "volumes/lung1_003/ct.nii.gz"),
        ("volumes/ircad17/dicom", "volumes/totalsegmentator/example_ct.nii.gz"),
    ],
)
def test_different_real_patients_are_stopped(realdata, one: str, other: str) -> None:
    from irplan.volume_io import load_volume

    found = register(*(seen(load_volume(realdata / path)) for path in (one, other)))
    assert forbidding(found.findings, Forbids.PLAN)
