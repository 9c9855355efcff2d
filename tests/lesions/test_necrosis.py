"""The necrotic share of made-up lesions whose core is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from irplan.geometry import GridGeometry
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.lesions.measurement import measure_lesion
from irplan.lesions.necrosis import necrotic_share
from irplan.volume import CtVolume, ScanIdentity

from .volumes import ellipsoid_mask, grid_of, middle_of, painted_ct

GRID = GridGeometry((64, 64, 32), (0.8, 0.8, 1.6), (0.0, 0.0, 0.0))
CENTRE = np.array([25.0, 25.0, 25.0])


def radius_mm() -> np.ndarray:
    k, j, i = np.indices(GRID.shape_zyx)
    return np.linalg.norm(GRID.to_lps(np.stack([i, j, k], axis=-1)) - CENTRE, axis=-1)


def scan(core_mm: float, rim_hu: float, core_hu: float, contrast: str, outside: float = -90.0):
    """A ball of 15 mm with a core, noise of 12 HU, and its mask."""
    gap = radius_mm()
    hu = np.where(gap <= 15.0, rim_hu, outside)
    hu = np.where(gap <= core_mm, core_hu, hu)
    hu = hu + np.random.default_rng(4).normal(0.0, 12.0, hu.shape)
    volume = CtVolume(np.rint(hu).astype(np.int16), GRID, ScanIdentity(contrast=contrast))
    return volume, LesionMask.from_full(gap <= 15.0, GRID)


@pytest.mark.parametrize(("core_mm", "tolerance"), [(0.0, 0.01), (7.5, 0.04), (11.0, 0.06)])
@pytest.mark.parametrize("rim_hu", [75.0, 110.0])
@pytest.mark.parametrize("outside", [-90.0, 60.0])
def test_the_share_is_that_of_the_core(core_mm, tolerance, rim_hu, outside):
    volume, mask = scan(core_mm, rim_hu, 22.0, "portal venous", outside)
    assert necrotic_share(mask, volume).share == pytest.approx((core_mm / 15.0) ** 3, abs=tolerance)


@pytest.mark.parametrize("axes", ["supine", "coronal", "oblique"])
@pytest.mark.parametrize("slice_mm", [1.0, 3.0, 5.0])
def test_partial_volume_of_thick_slices_is_no_necrosis(axes, slice_mm):
    # A solid nodule in the lung: at its poles whole voxels hold half lung.
    grid = grid_of(axes, (40, 40, round(60 / slice_mm)), (1.4, 1.4, slice_mm))
    half_mm = (12.0, 11.0, 12.5)
    ct = painted_ct(grid, middle_of(grid), half_mm, inside_hu=58.0, outside_hu=-850.0)
    volume = replace(ct, identity=ScanIdentity(contrast="portal venous"))
    mask = LesionMask.from_full(ellipsoid_mask(grid, middle_of(grid), half_mm), grid)
    assert necrotic_share(mask, volume).share == 0.0


@pytest.mark.parametrize("contrast", ["", "none"])
def test_without_contrast_it_is_unknown_and_never_zero(contrast):
    volume, mask = scan(11.0, 75.0, 22.0, contrast)
    found = necrotic_share(mask, volume)
    assert found.share is None
    assert "contrast" in found.unknown_why


def test_a_lesion_that_does_not_enhance_or_is_small_is_unknown():
    volume, mask = scan(0.0, 30.0, 30.0, "portal venous")
    assert "enhances" in necrotic_share(mask, volume).unknown_why
    volume, _ = scan(4.0, 80.0, 20.0, "portal venous")
    small = LesionMask.from_full(radius_mm() <= 6.0, GRID)
    assert "smaller" in necrotic_share(small, volume).unknown_why


def test_fat_in_a_lesion_is_no_necrosis():
    volume, mask = scan(9.0, 90.0, -80.0, "arterial")
    assert necrotic_share(mask, volume).share < 0.1


@pytest.mark.parametrize("slice_mm", [1.5, 3.0, 5.0])
def test_the_blurred_border_of_a_nodule_in_lung_is_no_necrosis(slice_mm):
    """Each voxel holds its share of nodule and of lung, which thick slices spread far inwards."""
    fine = 6
    spacing = np.array([1.4, 1.4, slice_mm])
    size = np.ceil(34.0 / spacing).astype(int)
    k, j, i = np.indices(size[::-1] * fine)
    fine_mm = (np.stack([i, j, k], axis=-1) + 0.5) * spacing / fine
    inside = np.linalg.norm(fine_mm - spacing * size / 2, axis=-1) <= 11.0
    nz, ny, nx = size[::-1]
    share = inside.reshape(nz, fine, ny, fine, nx, fine).mean(axis=(1, 3, 5))
    hu = -850.0 + 910.0 * ndimage.gaussian_filter(share, [0.8 / step for step in spacing[::-1]])
    hu = hu + np.random.default_rng(5).normal(0.0, 10.0, hu.shape)
    grid = GridGeometry(tuple(int(n) for n in size), tuple(spacing), (0.0, 0.0, 0.0))
    volume = CtVolume(np.rint(hu).astype(np.int16), grid, ScanIdentity(contrast="portal venous"))
    found = necrotic_share(LesionMask.from_full(share >= 0.5, grid), volume)
    assert found.share == pytest.approx(0.0, abs=0.01) or "thin" in found.unknown_why


def test_the_lesion_carries_its_share_and_says_so():
    volume, mask = scan(11.0, 90.0, 22.0, "portal venous")
    lesion = measure_lesion(Lesion("L1", 1, LesionSource.IMPORTED, mask=mask), volume, None)
    assert float(lesion.document()["necrotic_share"]) == pytest.approx(0.39, abs=0.07)
    assert "lesion_necrotic" in {one.code for one in lesion.findings}
    plain = replace(volume, identity=ScanIdentity())
    again = measure_lesion(lesion, plain, None)
    assert again.document()["necrotic_share"] is None
    assert "lesion_necrotic" not in {one.code for one in again.findings}
