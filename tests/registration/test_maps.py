"""The maps: against SciPy's rotations, and turned round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from irplan.geometry import GridGeometry
from irplan.registration import LocalMap, RigidMap

angles = arrays(float, 3, elements=st.floats(-170.0, 170.0))
shifts = arrays(float, 3, elements=st.floats(-400.0, 400.0))
points = arrays(float, (5, 3), elements=st.floats(-500.0, 500.0))


def rigid(angles_deg, shift) -> RigidMap:
    return RigidMap(Rotation.from_euler("zyx", angles_deg, degrees=True).as_matrix(), shift)


@given(angles, shifts, angles, shifts, points)
def test_inverse_and_order(a, s, b, t, p) -> None:
    first, second = rigid(a, s), rigid(b, t)
    assert np.allclose(first.inverse()(first(p)), p, atol=1e-6)
    assert np.allclose(second.after(first)(p), second(first(p)), atol=1e-6)
    turned = Rotation.from_matrix(first.rotation).apply(p) + s
    assert np.allclose(first(p), turned, atol=1e-6)


@given(angles)
def test_angle(a) -> None:
    map_ = rigid(a, np.zeros(3))
    expected = np.degrees(Rotation.from_matrix(map_.rotation).magnitude())
    assert map_.angle_deg == pytest.approx(expected, abs=1e-4)


@settings(max_examples=20)
@given(angles, shifts, st.floats(1.0, 9.0))
def test_a_local_map_turned_round_finds_the_points_again(a, s, amplitude) -> None:
    grid = GridGeometry((33, 31, 29), (4.0, 4.0, 4.0), (-60.0, -55.0, -50.0))
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape_zyx), indexing="ij")
    at = grid.to_lps(np.stack([i, j, k], axis=-1))
    window = np.prod(np.sin(np.pi * np.stack([i / 32, j / 30, k / 28])) ** 2, axis=0)
    field = amplitude * window[..., None] * np.cos(at[..., ::-1] / 40.0)
    map_ = LocalMap(rigid(a, s), field, grid)
    inside = np.array([[0.0, 0.0, 0.0], [20.0, -10.0, 5.0], [-30.0, 21.0, 13.0], [500.0, 0.0, 0.0]])
    assert np.allclose(map_.inverse_of(map_(inside)), inside, atol=1e-3)
    # One point alone gives what it gives among others.
    assert np.allclose(map_(inside[1]), map_(inside)[1])
    # Beyond its grid it is the rigid map.
    assert np.allclose(map_(inside[3]), map_.rigid(inside[3]))
