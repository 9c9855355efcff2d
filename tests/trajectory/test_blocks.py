"""Blocks far from the body spare looks, and change no answer: against looking at every step."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from irplan.trajectory.blocks import NOT_KNOWN, away_from_body
from irplan.trajectory.exact import APPROACH_START_MM, APPROACH_STEP_MM
from irplan.trajectory.kernels import room_behind


def patient(shape: tuple[int, int, int], spacing: np.ndarray) -> np.ndarray:
    """A trunk, an arm beside it, a finger of one voxel that stands off."""
    z, y, x = np.indices(shape)
    x, y = (x + 0.5) * spacing[0], (y + 0.5) * spacing[1]
    body = (x - 60.0) ** 2 / 900.0 + (y - 70.0) ** 2 / 400.0 <= 1.0
    body |= ((x - 130.0) ** 2 + (y - 60.0) ** 2 <= 144.0) & (z > 2)
    body[shape[0] // 2, 2, :] = True
    return body


@pytest.mark.parametrize("spacing", [(0.9, 0.9, 5.0), (1.5, 2.0, 1.0)])
def test_free_room_is_what_looking_at_every_step_finds(
    spacing: tuple[float, float, float],
) -> None:
    step = np.asarray(spacing)
    shape = tuple(
        int(size / one) for size, one in zip((60.0, 130.0, 160.0), step[::-1], strict=True)
    )
    body = patient(shape, step)
    rng = np.random.default_rng(2)
    edge = np.argwhere(body & ~ndimage.binary_erosion(body))[:, ::-1]
    a = (edge[rng.integers(0, len(edge), 400)] + rng.uniform(0, 1, (400, 3))) * step
    # Some entries lie outside the scan: a line may come into it.
    a[:40, 0] = -10.0
    b = a + rng.normal(0.0, 1.0, (400, 3)) * (40.0, 40.0, 10.0)
    wanted = rng.uniform(20.0, 160.0, 400)
    found = room_behind(body, step, a, b, wanted, away_from_body(body, step))
    assert (found == room_behind(body, step, a, b, wanted, NOT_KNOWN)).all()
    unit = (b - a) / np.linalg.norm(b - a, axis=1)[:, None]
    for number in range(400):
        looks = np.arange(APPROACH_START_MM, wanted[number] + 1e-6, APPROACH_STEP_MM)
        voxel = np.floor((a[number] - looks[:, None] * unit[number]) / step).astype(int)
        held = ((voxel >= 0) & (voxel < np.asarray(shape)[::-1])).all(axis=1)
        held[held] = body[tuple(voxel[held].T[::-1])]
        expected = looks[np.argmax(held)] if held.any() else wanted[number]
        assert found[number] == pytest.approx(expected, abs=1e-9)
    assert 0.1 < (found < wanted).mean() < 0.9
    assert (found[:40] < wanted[:40]).any()


def test_no_block_is_called_farther_from_the_body_than_it_is() -> None:
    step = np.array([1.0, 1.5, 2.5])
    body = np.random.default_rng(4).random((12, 22, 31)) < 0.001
    away = away_from_body(body, step)
    low = np.argwhere(body)[:, ::-1] * step
    for k, j, i in np.ndindex(away.mm.shape):
        corner = np.array([i, j, k]) * away.size * step
        gap = np.maximum(0.0, np.maximum(low - corner - away.size * step, corner - low - step))
        assert away.mm[k, j, i] <= np.linalg.norm(gap, axis=1).min() + 1e-6
    assert away.mm.max() > 4.0
    assert np.isinf(away_from_body(np.zeros_like(body), step).mm).all()
