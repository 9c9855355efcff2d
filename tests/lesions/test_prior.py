"""The shape prior: its harmonics, and the belief against exact Gaussian algebra."""

from __future__ import annotations

import numpy as np
import pytest

from irplan.lesions.prior import (
    DETAIL,
    Points,
    ShapePrior,
    believe,
    degrees,
    harmonics,
    harmonics_of_directions,
    points_on_surface,
)
from irplan.lesions.shape import Ellipsoid
from irplan.lesions.sphere import directions

RADII = np.linspace(0.3, 1.7, 141)
# Narrow enough that the window of radii cuts nothing off.
PRIOR = ShapePrior(0.95, (0.04, 0.045, 0.03, 0.018, 0.012, 0.009, 0.007, 0.006))
NOTHING = Points(np.zeros((0, 64)), np.zeros(0), np.zeros(0))


def test_the_harmonics_are_orthonormal_over_the_sphere():
    basis = harmonics(directions(20_000))
    assert np.abs(basis.T @ basis / len(basis) - np.eye(64)).max() < 0.01


def test_without_image_or_points_the_belief_is_the_prior():
    belief = believe(np.zeros((400, len(RADII))), RADII, PRIOR, NOTHING)
    spread = np.sqrt(sum(PRIOR.spread[degree] ** 2 for degree in degrees()))
    assert np.allclose(belief.radius, PRIOR.mean, atol=0.01)
    assert belief.spread.mean() == pytest.approx(spread, rel=0.05)


def test_normal_likelihoods_give_the_exact_posterior():
    rng = np.random.default_rng(3)
    basis = harmonics_of_directions()
    seen = 1.0 + 0.1 * basis[:, 2] + rng.normal(0.0, 0.02, 400)
    sigma = 0.25
    cost = 0.5 * (RADII - seen[:, None]) ** 2 / sigma**2
    belief = believe(cost, RADII, PRIOR, NOTHING)
    before = np.diag([PRIOR.spread[degree] ** -2 for degree in degrees()])
    variance = sigma**2 + DETAIL**2
    covariance = np.linalg.inv(before + basis.T @ basis / variance)
    exact = PRIOR.mean + basis @ (covariance @ (basis.T @ (seen - PRIOR.mean) / variance))
    assert np.abs(belief.radius - exact).max() < 0.01


def test_the_ends_of_lines_draw_the_surface_to_them():
    shape = Ellipsoid(np.zeros(3), np.eye(3), np.array([20.0, 15.0, 15.0]))
    points = points_on_surface(shape, np.array([[24.0, 0.0, 0.0]]))
    assert points.radius == pytest.approx([1.2])
    belief = believe(np.zeros((400, len(RADII))), RADII, PRIOR, points)
    along = directions(400)[:, 0]
    assert belief.radius[along.argmax()] > 1.05
    assert belief.spread[along.argmax()] < belief.spread[along.argmin()]


@pytest.mark.parametrize("spread", [(0.1,) * 7, (0.1,) * 7 + (0.0,)])
def test_a_prior_without_all_spreads_is_refused(spread):
    with pytest.raises(ValueError, match="spreads"):
        ShapePrior(1.0, spread)
