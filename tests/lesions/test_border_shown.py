"""Where a border is shown: half a ball in contrast, half in its like."""

from __future__ import annotations

import numpy as np
import pytest

from irplan.lesions.border_shown import border_seen
from irplan.lesions.lesion import LesionMask
from irplan.volume import CtVolume

from .volumes import AXES, centres_lps_mm, ellipsoid_mask, grid_of, middle_of


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.5), (0.8, 0.8, 5.0)])
def test_the_border_is_seen_where_the_hu_step(axes, spacing):
    """Fat lies to the patient's left of the ball, its own tissue to the right."""
    grid = grid_of(axes, (60, 60, 60 if spacing[2] < 5 else 16), spacing)
    middle = middle_of(grid)
    ball = ellipsoid_mask(grid, middle, (14.0, 14.0, 14.0))
    x = centres_lps_mm(grid)[..., 0] - middle[0]
    hu = np.where(ball | (x < 0), 60, -90)
    hu = hu + np.random.default_rng(2).normal(0.0, 8.0, hu.shape)
    volume = CtVolume(np.rint(hu).astype(np.int16), grid)
    mask = LesionMask.from_full(ball, grid)
    seen = np.zeros(ball.shape, dtype=bool)
    seen[mask.slices_zyx] = border_seen(mask, volume)
    padded = np.pad(ball, 1)
    core = padded.copy()
    for axis in range(3):
        core &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
    border = ball & ~core[1:-1, 1:-1, 1:-1]
    left, right = border & (x > 5.0), border & (x < -5.0)
    assert seen[left].mean() > 0.95
    assert seen[right].mean() < 0.05


def test_a_denser_surrounding_is_a_border_too():
    grid = grid_of()
    ball = ellipsoid_mask(grid, middle_of(grid), (9.0, 9.0, 9.0))
    volume = CtVolume(np.where(ball, 30, 90).astype(np.int16), grid)
    assert border_seen(LesionMask.from_full(ball, grid), volume).mean() > 0.9


def test_a_lesion_at_the_edge_of_the_scan_is_looked_at():
    grid = grid_of()
    corner = ellipsoid_mask(grid, grid.to_lps((0, 0, 0)), (9.0, 9.0, 9.0))
    volume = CtVolume(np.where(corner, 60, -90).astype(np.int16), grid)
    assert border_seen(LesionMask.from_full(corner, grid), volume).any()
