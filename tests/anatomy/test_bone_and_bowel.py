"""Bone with a leaky or darkened marrow, stool, overlaps: on limbs and bellies that are formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from irplan.anatomy import Anatomy, build_anatomy
from irplan.anatomy.air import Air
from irplan.anatomy.bones import split_bone
from irplan.anatomy.build import _joined
from irplan.anatomy.coarse import CoarseScan
from irplan.anatomy.found import Found, label_map
from irplan.anatomy.spine import Spine
from irplan.body import find_body
from irplan.geometry import GridGeometry
from irplan.lesions.lesion import LesionMask
from irplan.volume import CtVolume
from irplan.volume_io import load_volume

GRID = GridGeometry((90, 80, 40), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))


def soft() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A limb or belly of fat and muscle, and each voxel's place from its middle, mm."""
    _, y, x = np.indices(GRID.shape_zyx) * 2.0
    x, y = x - 90.0, y - 80.0
    hu = np.full(GRID.shape_zyx, -1000.0)
    hu[np.hypot(x, y) < 70] = 45.0
    return hu, x, y


def found_in(hu: np.ndarray) -> Anatomy:
    noise = np.random.default_rng(6).normal(0, 8, hu.shape)
    volume = CtVolume((hu + noise).astype(np.int16), GRID)
    return build_anatomy(volume, find_body(volume))


def obstacle(anatomy: Anatomy) -> np.ndarray:
    free = [s.label for s in anatomy.structures if s.name.startswith(("lung", "liver", "arm"))]
    return (anatomy.labels > 0) & ~np.isin(anatomy.labels, free)


@pytest.mark.parametrize("inner_mm", [7.0, 14.0, 22.0])
@pytest.mark.parametrize("slit_mm", [0.0, 7.0])
def test_marrow_behind_a_leaky_cortex_is_bone(inner_mm: float, slit_mm: float) -> None:
    hu, x, y = soft()
    ring = np.hypot(x, y)
    hu[ring < inner_mm + 4] = 800.0
    hu[ring < inner_mm] = -40.0
    hu[(np.abs(y) < slit_mm / 2) & (x > 0) & (ring < inner_mm + 4)] = -40.0
    met = obstacle(found_in(hu))
    # The slit's own mouth may stay open, not what lies behind it.
    marrow = (ring < inner_mm - 2) & (np.abs(np.indices(GRID.shape_zyx)[0] - 19.5) < 17)
    assert np.count_nonzero(marrow & ~met) <= 0.01 * np.count_nonzero(marrow)


def test_a_cleft_between_bones_of_the_hip_is_no_way() -> None:
    hu, x, y = soft()
    plates = (np.abs(np.abs(y) - 8) < 3) & (np.abs(x) < 30)
    hu[plates] = 700.0
    met = obstacle(found_in(hu))
    cleft = (np.abs(y) < 5) & (np.abs(x) < 24)
    assert np.count_nonzero(cleft & met) >= 0.95 * np.count_nonzero(cleft)


def test_marrow_that_metal_blackens_is_bone() -> None:
    hu, x, y = soft()
    ring = np.hypot(x, y)
    hu[ring < 24] = 900.0
    hu[ring < 20] = 20.0
    hu[(ring < 20) & (np.abs(y) < 6)] = -320.0  # the streak
    metal = np.hypot(x - 9, y) < 5
    hu[metal] = 3000.0
    met = obstacle(found_in(hu))
    inside = ring < 18
    assert met[metal].all()
    assert np.count_nonzero(inside & ~met) <= 0.01 * np.count_nonzero(inside)


def test_stool_between_its_bubbles_is_an_obstacle() -> None:
    hu, x, y = soft()
    hu[np.hypot(x, y) < 62] = -100.0
    bowel = np.hypot(x + 20, y + 10) < 18
    hu[bowel] = 20.0
    bubbles = bowel & (np.random.default_rng(3).random(hu.shape) < 0.25)
    hu[bubbles] = -450.0
    met = obstacle(found_in(hu))
    lumen = np.hypot(x + 20, y + 10) < 15
    assert np.count_nonzero(lumen & met) >= 0.95 * np.count_nonzero(lumen)
    # Clean fat is none.
    away = (np.hypot(x + 20, y + 10) > 40) & (np.hypot(x, y) < 55)
    assert np.count_nonzero(away & met) <= 0.01 * np.count_nonzero(away)


def test_stool_with_few_and_faint_bubbles_is_an_obstacle() -> None:
    hu, x, y = soft()
    hu[np.hypot(x, y) < 62] = -100.0
    rng = np.random.default_rng(4)
    bowel = np.hypot(x + 20, y + 10) < 18
    hu[bowel] = rng.normal(-20.0, 30.0, np.count_nonzero(bowel))
    hu[bowel & (rng.random(hu.shape) < 0.08)] = -230.0
    # Fat that streaks darken in as many places holds nothing denser, and is none.
    streaks = np.hypot(x - 30, y + 10) < 18
    hu[streaks & (rng.random(hu.shape) < 0.08)] = -230.0
    met = obstacle(found_in(hu))
    lumen = np.hypot(x + 20, y + 10) < 14
    assert np.count_nonzero(lumen & met) >= 0.95 * np.count_nonzero(lumen)
    assert np.count_nonzero(streaks & met) <= 0.05 * np.count_nonzero(streaks)


def test_the_breastbone_ends_at_its_notch() -> None:
    # Plate, then the ends of two clavicles and a thyroid's lobes beside the middle, then a larynx.
    z, y, x = np.indices(GRID.shape_zyx) * 2.0
    across = x - 90.0
    front = (y > 12) & (y < 22)
    bone = front & (np.abs(across) < 20) & (z < 30)
    bone |= front & (np.abs(np.abs(across) - 18) < 8) & (z >= 30) & (z < 60)
    bone |= front & (np.abs(across) < 12) & (z >= 66)
    lungs = [(np.hypot(across - 40 * side, y - 70) < 28) & (z < 76) for side in (1, -1)]
    scan = CoarseScan.of(np.zeros(GRID.shape_zyx, np.int16), np.ones(GRID.shape_zyx, bool), GRID)
    inner = tuple(
        slice(first, first + size) for first, size in zip(scan.start, scan.shape, strict=True)
    )
    none = scan.none
    air = Air(lungs[0][inner], lungs[1][inner], none, none, none, none)
    nowhere = np.full(scan.shape[0], np.nan)
    spine = Spine(np.zeros(scan.shape[0], dtype=bool), nowhere, nowhere, none)
    found = split_bone(scan, bone[inner], spine, air)
    levels = np.flatnonzero(found.sternum.any(axis=(1, 2))) * 2.0
    assert (levels[0], levels[-1]) == (0.0, 28.0)
    assert np.array_equal(
        found.sternum | found.rib_left | found.rib_right | found.other, bone[inner]
    )


def test_a_bulla_is_shown_on_the_lung_that_holds_it() -> None:
    hu, _, _ = soft()
    body = hu > -500
    lung = np.zeros(hu.shape, dtype=bool)
    lung[5:30, 20:60, 20:60] = True
    bulla = np.zeros_like(lung)
    bulla[10:15, 30:40, 30:40] = True
    scan = CoarseScan.of(hu.astype(np.int16), body, GRID)
    found = _joined(
        tuple(
            Found(name, "computed", "low", mask=LesionMask.from_full(mask, GRID))
            for name, mask in (("lung_left", lung), ("lung_bulla", bulla))
        ),
        (),
    )
    labels, _ = label_map(found, (), GRID, scan)
    names = {number: one.name for number, one in enumerate(found, 1)}
    assert {names[int(label)] for label in np.unique(labels[bulla])} == {"lung_bulla"}
    assert np.array_equal(labels > 0, lung)


@pytest.mark.realdata
@pytest.mark.long
def test_arms_along_a_real_chest_are_told_apart(realdata: Path) -> None:
    volume = load_volume(realdata / "volumes" / "lung1_003" / "ct.nii.gz")
    found = build_anatomy(volume, find_body(volume))
    lung = found.mask("lung_left") | found.mask("lung_right")
    columns = np.flatnonzero(lung.any(axis=(0, 1)))
    # The shafts of both upper arms' bones lie in them over the lowest 60 mm; beside the right one
    # runs a vein full of injected contrast, whose streaks hide it in part.
    bone = np.zeros_like(lung)
    beside = int(columns[-1]) + 40
    bone[:20, :, beside:] = volume.hu[:20, :, beside:] > 500
    arm = found.mask("arm_left")
    near = ndimage.binary_dilation(arm, iterations=6)
    assert bone.sum() > 500
    assert np.count_nonzero(bone & near) > 0.9 * np.count_nonzero(bone)
    right = ndimage.binary_dilation(found.mask("arm_right"), iterations=6)
    beside = int(columns[0]) - 40
    shaft = volume.hu[:20, :, :beside] > 500
    assert np.count_nonzero(shaft & right[:20, :, :beside]) > 0.85 * np.count_nonzero(shaft)
    # The notch lies where the plate gives way to the ends of two clavicles, at LPS z -110; thyroid
    # and larynx stand 40 mm above it.
    high = np.flatnonzero(found.mask("sternum").any(axis=(1, 2)))[-1]
    assert abs(volume.geometry.to_lps([0, 0, int(high)])[2] - -110.0) <= 9.0
    for name in ("arm_left", "arm_right"):
        assert not (found.mask(name) & lung).any()
    assert "neck_vessels" in found.names
    assert "kidney_left" not in found.names
