"""The volumes and diameters of lesion shapes against integration by chance and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from irplan.phantom.lesions import lesions_at
from irplan.phantom.shapes import Lobe, StarShape

LESIONS = [(visit, one) for visit in (1, 2) for one in lesions_at(visit)]


def by_chance_ml(shape: StarShape, seed: int, count: int = 600_000) -> tuple[float, float]:
    """Volume by uniform points in a box, and its standard error."""
    reach = shape.reach_mm
    points = np.random.default_rng(seed).uniform(-reach, reach, (count, 3))
    share = float(shape.contains(points).mean())
    box_ml = (2 * reach) ** 3 / 1000.0
    return share * box_ml, box_ml * np.sqrt(share * (1 - share) / count)


@pytest.mark.parametrize(
    ("visit", "lesion"), LESIONS, ids=[f"visit{v}-{one.lesion_id}" for v, one in LESIONS]
)
def test_lesion_volume_agrees_with_points_thrown_at_random(visit, lesion):
    volume, error = by_chance_ml(lesion.shape, seed=visit * 100 + lesion.label)
    assert abs(volume - lesion.volume_ml) < 4.5 * error
    assert lesion.shape.volume_ml == pytest.approx(lesion.volume_ml, rel=1e-9)
    assert error / volume < 0.01


axes_mm = st.floats(min_value=2.0, max_value=30.0)
degrees = st.floats(min_value=-180.0, max_value=180.0)


@settings(max_examples=40, deadline=None)
@given(axes_mm, axes_mm, axes_mm, degrees, degrees, degrees)
def test_a_turned_ellipsoid_keeps_the_textbook_volume(a, b, c, x, y, z):
    turn = Rotation.from_euler("xyz", [x, y, z], degrees=True).as_matrix()
    shape = StarShape((a, b, c)).turned(turn)
    # The quadrature serves forms as compact as lesions are.
    if max(a, b, c) / min(a, b, c) < 3.0:
        assert shape.volume_ml == pytest.approx(4 / 3 * np.pi * a * b * c / 1000, rel=1e-5)


@pytest.mark.parametrize("lobes", [(), (Lobe((1, 0.2, 0.1), 0.3, 5.0), Lobe((-1, 1, 0), 0.2, 6.0))])
def test_the_longest_axial_diameter_is_that_of_a_dense_grid(lobes):
    turn = Rotation.from_euler("xyz", [20, 35, -50], degrees=True).as_matrix()
    shape = StarShape((9.0, 6.0, 13.0), lobes=lobes).turned(turn)
    step = 0.35
    line = np.arange(-22.0, 22.0, step)
    longest = 0.0
    for z in line:
        x, y = np.meshgrid(line, line)
        inside = shape.contains(np.stack([x, y, np.full_like(x, z)], axis=-1))
        if inside.any():
            points = np.stack([x[inside], y[inside]], axis=-1)
            angles = np.radians(np.arange(0, 180, 1.0))
            along = points @ np.stack([np.cos(angles), np.sin(angles)])
            longest = max(longest, float(np.ptp(along, axis=0).max()))
    # A dense grid can only miss the ends, by less than a step on each side.
    assert longest <= shape.longest_axial_diameter_mm + 0.01
    assert shape.longest_axial_diameter_mm - longest < 2 * step


def test_lobes_too_sharp_to_integrate_are_refused():
    shape = StarShape((5.0, 5.0, 5.0), lobes=(Lobe((1, 0, 0), 0.5, 9000.0),))
    with pytest.raises(ValueError, match="not known well enough"):
        _ = shape.volume_ml


def test_the_core_is_the_same_form_inside_the_lesion():
    lesion = next(one for _, one in LESIONS if one.core is not None)
    surface = lesion.core.surface_mm(31)
    assert lesion.shape.contains(surface).all()
    assert not lesion.core.contains(lesion.shape.surface_mm(31)).any()
    assert lesion.necrotic_ml == pytest.approx(0.28 * lesion.volume_ml, rel=1e-6)
