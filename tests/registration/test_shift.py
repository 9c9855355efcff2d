"""The best shift against every shift tried by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from irplan.registration.shift import best_shift, correlations


def by_hand(fixed, fixed_mask, moving, moving_mask, least):
    """Pearson's correlation of the overlap, shift by shift."""
    out = {}
    smaller = min(fixed_mask.sum(), moving_mask.sum())
    spans = [range(-(f - 1), m) for f, m in zip(fixed.shape, moving.shape, strict=True)]
    for shift in itertools.product(*spans):
        cut_f = tuple(
            slice(max(0, -s), min(f, m - s))
            for s, f, m in zip(shift, fixed.shape, moving.shape, strict=True)
        )
        cut_m = tuple(slice(c.start + s, c.stop + s) for c, s in zip(cut_f, shift, strict=True))
        both = fixed_mask[cut_f] & moving_mask[cut_m]
        if both.sum() < max(least * smaller, 2):
            continue
        a, b = fixed[cut_f][both], moving[cut_m][both]
        if a.std() > 1e-3 and b.std() > 1e-3:
            out[shift] = np.corrcoef(a, b)[0, 1]
    return out


@pytest.mark.parametrize("seed", range(3))
def test_every_shift_agrees_with_a_plain_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fixed = rng.normal(40.0, 100.0, (4, 5, 6)).astype(np.float32)
    moving = rng.normal(-20.0, 80.0, (6, 4, 7)).astype(np.float32)
    masks = rng.random(fixed.shape) > 0.2, rng.random(moving.shape) > 0.2
    expected = by_hand(fixed, masks[0], moving, masks[1], 0.4)
    found = correlations(fixed, masks[0], moving, masks[1], 0.4)
    for shift, value in expected.items():
        place = tuple(s + n - 1 for s, n in zip(shift, fixed.shape, strict=True))
        assert found[place] == pytest.approx(value, abs=1e-4), shift
    assert np.count_nonzero(found > -1.0) == len(expected)


def test_a_cut_out_piece_is_found_where_it_was_cut() -> None:
    rng = np.random.default_rng(9)
    whole = rng.normal(0.0, 50.0, (16, 18, 20)).astype(np.float32)
    piece = whole[5:12, 3:13, 7:15] * 1.7 + 30.0
    shift, value = best_shift(
        piece, np.ones(piece.shape, bool), whole, np.ones(whole.shape, bool), 0.9
    )
    assert shift == (5, 3, 7)
    assert value == pytest.approx(1.0, abs=1e-4)
