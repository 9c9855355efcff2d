"""Voxels against the analytic truth: partial volume, noise, blur, grids, determinism."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from irplan.errors import CallError
from irplan.geometry import GridGeometry
from irplan.phantom import PhantomSpec, build_phantom
from irplan.phantom.lesions import lesions_at
from irplan.phantom.render import noise
from irplan.phantom.spec import POSITIONS


def round_lesion(lesion_id: str, **changes) -> PhantomSpec:
    """A fine crop about one lesion of visit 1."""
    lesion = next(one for one in lesions_at(1) if one.lesion_id == lesion_id)
    spec = PhantomSpec(
        columns=64,
        rows=64,
        slices=40,
        fov_mm=64.0,
        spacing_z_mm=1.25,
        centre_mm=lesion.centre_lps_mm,
    )
    return replace(spec, **changes)


@pytest.mark.parametrize("lesion", lesions_at(1), ids=lambda one: one.lesion_id)
def test_voxels_counted_on_a_fine_grid_give_the_exact_volume(lesion):
    phantom = build_phantom(round_lesion(lesion.lesion_id, noise_hu=0.0))
    counted = phantom.lesion_mask(lesion.lesion_id).sum() * phantom.grid.voxel_ml
    assert counted == pytest.approx(lesion.volume_ml, rel=0.02)
    voxels = np.argwhere(phantom.lesion_mask(lesion.lesion_id))[:, ::-1]
    assert lesion.contains(phantom.grid.to_lps(voxels)).mean() > 0.985


@pytest.mark.parametrize("spacing_z_mm", [1.0, 2.5, 5.0])
def test_partial_volume_and_blur_keep_the_volume(spacing_z_mm):
    # L4 lies in plain fat: the HU above fat, summed, are the volume whatever the slice thickness.
    lesion = next(one for one in lesions_at(1) if one.lesion_id == "L4")
    spec = round_lesion(
        "L4", noise_hu=0.0, spacing_z_mm=spacing_z_mm, slices=int(20 / spacing_z_mm) + 3
    )
    phantom = build_phantom(spec)
    voxels = np.stack(np.indices(phantom.hu.shape)[::-1], axis=-1)
    offsets = phantom.grid.to_lps(voxels) - np.asarray(lesion.centre_lps_mm)
    distance = np.linalg.norm(offsets / [1.0, 1.0, 1.6], axis=-1)
    near = (distance < 9.5) & (phantom.labels == phantom.labels[len(phantom.labels) // 2, 32, 32])
    share = (phantom.hu[near] - -106.0) / (lesion.hu - -106.0)
    assert share.sum() * phantom.grid.voxel_ml == pytest.approx(lesion.volume_ml, rel=0.02)


def test_the_necrotic_core_is_darker_than_the_rim(visit1):
    lesion = visit1.lesion("L5")
    mask = visit1.lesion_mask("L5")
    rim = mask & ~visit1.necrosis
    assert visit1.necrosis.sum() * visit1.grid.voxel_ml == pytest.approx(
        lesion.necrotic_ml, rel=0.1
    )
    assert visit1.hu[rim].mean() - visit1.hu[visit1.necrosis].mean() > 25


def test_contrast_medium_is_in_the_vessels_or_not():
    crop = PhantomSpec(columns=96, rows=96, slices=8, spacing_z_mm=3.0, centre_mm=(0, 8, 100.0))
    for contrast, low, high in ((True, 150, 185), (False, 30, 60)):
        phantom = build_phantom(replace(crop, contrast=contrast))
        inside = phantom.structure_mask("aorta")
        assert low < np.median(phantom.hu[inside]) < high


@pytest.mark.parametrize("pixel_mm", [0.7, 1.4, 3.5])
def test_noise_has_standard_deviation_one_and_no_mean(pixel_mm):
    slices = np.stack([noise((128, 128), k, 7, pixel_mm) for k in range(24)])
    assert slices.std() == pytest.approx(1.0, abs=0.03)
    assert abs(slices.mean()) < 0.01
    beside = np.corrcoef(slices[5].ravel(), slices[6].ravel())[0, 1]
    apart = np.corrcoef(slices[5].ravel(), slices[9].ravel())[0, 1]
    assert 0.3 < beside < 0.75
    assert abs(apart) < 0.06


def test_the_same_spec_gives_the_same_voxels_and_another_seed_does_not():
    spec = PhantomSpec(columns=48, rows=48, slices=20)
    first, second = build_phantom(spec), build_phantom(spec)
    assert np.array_equal(first.hu, second.hu)
    assert np.array_equal(first.labels, second.labels)
    other = build_phantom(replace(spec, seed=1))
    assert not np.array_equal(first.hu, other.hu)


@pytest.mark.parametrize("position", sorted(POSITIONS))
@pytest.mark.parametrize("oblique_deg", [0.0, 17.0])
def test_every_grid_shows_the_same_patient(position, oblique_deg):
    spec = PhantomSpec(
        columns=72, rows=72, slices=24, spacing_z_mm=6.0, noise_hu=0.0, centre_mm=(0, 8, 20.0)
    )
    straight = build_phantom(spec)
    turned = build_phantom(replace(spec, position=position, oblique_deg=oblique_deg))
    voxels = np.argwhere(turned.structure_mask("liver"))[:, ::-1]
    index = np.rint(straight.grid.to_index(turned.grid.to_lps(voxels))).astype(int)
    known = np.all((index >= 0) & (index < straight.grid.size), axis=1)
    i, j, k = index[known].T
    same = straight.structure_mask("liver")[k, j, i]
    assert known.sum() > 500
    assert same.mean() > 0.85


def test_slices_rise_along_the_normal_of_the_images():
    for position in POSITIONS:
        axes = PhantomSpec(position=position, oblique_deg=12.0).grid.axes
        assert np.cross(axes[:, 0], axes[:, 1]) == pytest.approx(axes[:, 2], abs=1e-9)


def test_the_default_grid_covers_the_patient():
    grid = PhantomSpec(slices=100).grid
    assert isinstance(grid, GridGeometry)
    heights = grid.to_lps([[0, 0, -0.5], [0, 0, 99.5]])[:, 2]
    assert heights == pytest.approx([-352.0, 352.0], abs=0.01)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"columns": 0}, "phantom_size"),
        ({"slices": -1}, "phantom_size"),
        ({"fov_mm": 0.0}, "phantom_spacing"),
        ({"spacing_z_mm": -3.0}, "phantom_spacing"),
        ({"timepoint": 3}, "phantom_timepoint"),
        ({"position": "SITTING"}, "phantom_position"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(changes, code):
    with pytest.raises(CallError) as refusal:
        PhantomSpec(**changes)
    assert refusal.value.code == code
