"""Growing by a ball against a distance field, on masks of every kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from irplan import balls


@settings(deadline=None)  # the first call compiles
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(*[st.integers(1, 14)] * 3),
    spacing=st.tuples(*[st.sampled_from((0.7, 1.0, 1.6, 2.0, 5.0))] * 3),
    radius=st.sampled_from((0.0, 0.5, 1.4, 2.0, 4.0, 6.0, 13.0, 40.0)),
    share=st.sampled_from((0.0, 0.002, 0.1, 0.9, 1.0)),
)
def test_a_grown_mask_is_what_lies_within_the_radius(seed, shape, spacing, radius, share):
    mask = np.random.default_rng(seed).random(shape) < share
    found = balls.grown(mask, balls.ball(radius, spacing))
    if mask.any():
        distance = ndimage.distance_transform_edt(~mask, sampling=spacing)
        expected = distance <= radius + 1e-5
    else:
        expected = mask
    assert np.array_equal(found, expected)


def test_the_threads_do_not_change_the_cells():
    mask = np.random.default_rng(4).random((40, 21, 33)) < 0.01
    rows = balls.ball(7.0, (2.0, 1.5, 1.5))
    assert np.array_equal(balls.grown(mask, rows, 1), balls.grown(mask, rows, 5))


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 1), (3, 4), (0, 400), (5, 24)])
def test_slabs_cover_a_range_once(low, high):
    seen = np.zeros(400, dtype=int)

    def work(first, last):
        seen[first:last] += 1

    balls.by_slabs(work, low, high)
    expected = np.zeros(400, dtype=int)
    expected[low:high] = 1
    assert np.array_equal(seen, expected)


def test_what_fails_in_a_thread_is_raised():
    def work(low, high):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        balls.by_slabs(work, 0, 100)
