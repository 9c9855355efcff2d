"""Grids and points against SimpleITK, on straight, flipped and oblique axes."""

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from irplan.errors import CallError
from irplan.geometry import GridGeometry, parse_point, unit


def rotation(angles: np.ndarray) -> np.ndarray:
    """A rotation from three Euler angles."""
    cx, cy, cz = np.cos(angles)
    sx, sy, sz = np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


ANGLES = stn.arrays(float, 3, elements=st.floats(-3.1, 3.1))
SPACINGS = st.tuples(*[st.floats(0.3, 6.0)] * 3)
ORIGINS = st.tuples(*[st.floats(-800, 800)] * 3)
INDICES = stn.arrays(float, (5, 3), elements=st.floats(-10, 70))


@settings(deadline=None)
@given(ANGLES, SPACINGS, ORIGINS, INDICES, st.booleans())
def test_points_agree_with_simpleitk(angles, spacing, origin, indices, mirrored) -> None:
    axes = rotation(angles)
    if mirrored:
        axes[:, 2] *= -1
    grid = GridGeometry((60, 50, 40), spacing, origin, tuple(axes.ravel()))
    image = sitk.Image(60, 50, 40, sitk.sitkUInt8)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(tuple(axes.ravel()))
    expected = [image.TransformContinuousIndexToPhysicalPoint(index.tolist()) for index in indices]
    assert np.allclose(grid.to_lps(indices), expected, atol=1e-6)
    assert np.allclose(grid.to_index(grid.to_lps(indices)), indices, atol=1e-6)


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), "LPS"),
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), "RAS"),
        ((1, 0, 0, 0, 0, 1, 0, -1, 0), "LIP"),
        ((0, 0, 1, 1, 0, 0, 0, -1, 0), "PIL"),
    ],
)
def test_letters_say_where_each_index_rises_to(direction, letters) -> None:
    grid = GridGeometry((4, 5, 6), (1, 1, 1), (0, 0, 0), tuple(map(float, direction)))
    assert grid.orientation == letters


def test_a_crop_keeps_every_voxel_in_its_place() -> None:
    axes = rotation(np.array([0.3, -0.2, 1.1]))
    grid = GridGeometry((30, 20, 10), (0.7, 0.8, 2.5), (-3, 4, 5), tuple(axes.ravel()))
    part = grid.crop((5, 6, 7), (3, 4, 2))
    assert np.allclose(part.to_lps((1, 2, 1)), grid.to_lps((6, 8, 8)))


def test_the_same_grid_is_told_within_rounding_and_no_further() -> None:
    grid = GridGeometry((100, 100, 50), (0.7, 0.7, 2.5), (0, 0, 0))
    rounded = GridGeometry((100, 100, 50), (0.70005, 0.7, 2.5), (0.001, 0, 0))
    shifted = GridGeometry((100, 100, 50), (0.7, 0.7, 2.5), (0.1, 0, 0))
    assert grid.same_grid(rounded)
    assert not grid.same_grid(shifted)
    assert not grid.same_grid(GridGeometry((100, 100, 51), (0.7, 0.7, 2.5), (0, 0, 0)))


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": (0, 1, 1)},
        {"spacing_mm": (1, 0, 1)},
        {"spacing_mm": (1, -1, 1)},
        {"spacing_mm": (1, float("nan"), 1)},
        {"origin_lps_mm": (0, 0, float("inf"))},
        {"direction": (1.0, 0, 0, 0, 1, 0, 0, 0.2, 1)},
        {"direction": (2.0, 0, 0, 0, 1, 0, 0, 0, 1)},
    ],
)
def test_impossible_geometry_is_refused(arguments) -> None:
    usual = {"size": (2, 2, 2), "spacing_mm": (1.0, 1.0, 1.0), "origin_lps_mm": (0.0, 0.0, 0.0)}
    with pytest.raises(ValueError, match=r".+"):
        GridGeometry(**{**usual, **arguments})


@pytest.mark.parametrize("text", ["1,2", "1,2,3,4", "1;2;3", "a,b,c", "1,2,nan", "1e2,0,0", ""])
def test_what_is_not_a_point_is_refused(text) -> None:
    with pytest.raises(CallError):
        parse_point(text)


def test_a_point_is_read_exactly() -> None:
    assert parse_point("-75.7,17.1,-16.4") == (-75.7, 17.1, -16.4)


def test_a_direction_needs_a_length() -> None:
    with pytest.raises(ValueError, match="length"):
        unit((0, 0, 0))
