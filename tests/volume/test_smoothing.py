"""Filters shared between threads, against SciPy's own on one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from irplan.smoothing import gaussian, uniform


def noise(shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(3).normal(0.0, 300.0, shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(40, 33, 27), (3, 41, 5), (1, 1, 9)])
@pytest.mark.parametrize("mode", ["reflect", "nearest"])
def test_a_gaussian_in_parts_is_that_of_scipy(shape: tuple[int, int, int], mode: str) -> None:
    cells = noise(shape)
    whole = ndimage.gaussian_filter(cells, [1.3, 0.7, 2.1], mode=mode, truncate=3.0)
    assert np.array_equal(gaussian(cells, [1.3, 0.7, 2.1], mode, 3.0), whole)


def test_an_axis_without_width_is_left_alone() -> None:
    cells = noise((20, 19, 18))
    assert np.array_equal(
        gaussian(cells, [0.0, 2.0, 0.0]), ndimage.gaussian_filter(cells, [0.0, 2.0, 0.0])
    )
    untouched = gaussian(cells, [0.0, 0.0, 0.0])
    assert np.array_equal(untouched, cells)
    assert untouched is not cells


@pytest.mark.parametrize("size", [[3, 1, 7], [2, 6, 4], [9, 5, 1]])
@pytest.mark.parametrize("shape", [(31, 24, 45), (4, 30, 3)])
def test_a_mean_in_parts_is_that_of_scipy(shape: tuple[int, int, int], size: list[int]) -> None:
    cells = noise(shape)
    assert np.array_equal(uniform(cells, size), ndimage.uniform_filter(cells, size))
