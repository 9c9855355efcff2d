"""Sides: the letters at a picture's edges and the HU in its corners must agree with the patient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from irplan.export.slices import (
    OUTSIDE_HU,
    SOFT_TISSUE,
    Window,
    label_outlines,
    outlines,
    sample_hu,
)
from irplan.export.views import View, axial_view, direction_letters, needle_view, view_of_plane
from irplan.geometry import GridGeometry
from irplan.lesions.lesion import LesionMask
from irplan.volume import CtVolume

from .plans import LESION, inside

#: Grids as scanners and reformats lay them: columns of the matrix are where i, j and k rise.
GRIDS = {
    "axial": (1, 0, 0, 0, 1, 0, 0, 0, 1),
    "axial upside down (prone)": (-1, 0, 0, 0, -1, 0, 0, 0, 1),
    "left decubitus": (0, 1, 0, -1, 0, 0, 0, 0, 1),
    "feet first": (-1, 0, 0, 0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, 1, 0, -1, 0),
    "sagittal": (0, 0, 1, 1, 0, 0, 0, -1, 0),
    "mirrored": (-1, 0, 0, 0, 1, 0, 0, 0, 1),
    "oblique": (0.8, -0.36, 0.48, 0.6, 0.48, -0.64, 0.0, 0.8, 0.6),
}

finite = st.floats(-1, 1)
directions = st.tuples(finite, finite, finite).filter(lambda v: np.linalg.norm(v) > 0.1)


def landmark_volume(direction: tuple[float, ...]) -> CtVolume:
    """Each LPS half space adds its own power of two, so a HU names the octant it is from."""
    size, spacing = (41, 45, 39), (2.0, 2.0, 2.0)
    at_zero = GridGeometry(size, spacing, (0.0, 0.0, 0.0), direction)
    middle = at_zero.to_lps((np.asarray(size) - 1) / 2.0)
    grid = GridGeometry(size, spacing, tuple(-middle), direction)  # type: ignore[arg-type]
    k, j, i = np.meshgrid(*(np.arange(n) for n in reversed(size)), indexing="ij")
    points = grid.to_lps(np.stack([i, j, k], axis=-1))
    hu = 100 * (points[..., 0] > 0) + 200 * (points[..., 1] > 0) + 400 * (points[..., 2] > 0)
    return CtVolume(hu.astype(np.int16), grid)


@pytest.mark.parametrize("direction", GRIDS.values(), ids=GRIDS.keys())
@pytest.mark.parametrize(
    ("normal", "expected"),
    [
        # (top left, top right, bottom left, bottom right): left +100, back +200, head +400
        ((0, 0, 1), (400, 500, 600, 700)),
        ((0, 0, -1), (400, 500, 600, 700)),
        ((0, 1, 0), (600, 700, 200, 300)),
        ((1, 0, 0), (500, 700, 100, 300)),
    ],
    ids=["axial", "axial from above", "coronal", "sagittal"],
)
def test_the_patients_right_is_on_the_left_whatever_the_grid(
    direction: tuple[float, ...], normal: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    volume = landmark_volume(direction)
    # Just beyond the middle, so that the plane lies in one half space.
    centre = 6.0 * np.abs(np.asarray(normal, float))
    view = view_of_plane(centre, normal, 20.0, 1.0)
    hu = sample_hu(volume, view)
    assert tuple(hu[[5, 5, -6, -6], [5, -6, 5, -6]]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("normal", "letters"),
    [
        ((0, 0, 1), ("R", "L", "A", "P")),
        ((0, 1, 0), ("R", "L", "H", "F")),
        ((1, 0, 0), ("A", "P", "H", "F")),
        ((0, 0.5, 1), ("R", "L", "AH", "PF")),
        ((0.1, 0, 1), ("R", "L", "A", "P")),
    ],
)
def test_letters_of_planes(normal: tuple[float, ...], letters: tuple[str, ...]) -> None:
    assert view_of_plane((0, 0, 0), normal, 10.0, 1.0).letters == letters


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        ((1, 0, 0), "L"),
        ((-1, 0, 0), "R"),
        ((0, 1, 0), "P"),
        ((0, -1, 0), "A"),
        ((0, 0, 1), "H"),
        ((0, 0, -1), "F"),
        ((-3, -2, 0), "RA"),
        ((0, 2, -3), "FP"),
        ((0.3, 1, 0), "P"),
        ((-1, -1, 1), "RAH"),
    ],
)
def test_letters_of_directions(direction: tuple[float, ...], letters: str) -> None:
    assert direction_letters(direction) == letters


@given(normal=directions)
def test_opposite_edges_have_opposite_letters_and_axes_are_square(
    normal: tuple[float, float, float],
) -> None:
    view = view_of_plane((1, 2, 3), normal, 10.0, 0.5)
    right, down = np.array(view.right), np.array(view.down)
    assert np.linalg.norm(right) == pytest.approx(1)
    assert np.linalg.norm(down) == pytest.approx(1)
    assert right @ down == pytest.approx(0, abs=1e-9)
    assert right @ np.array(normal) == pytest.approx(0, abs=1e-9)
    opposite = str.maketrans("RLAPHF", "LRPAFH")
    left, rightmost, top, bottom = view.letters
    assert left.translate(opposite) == rightmost
    assert top.translate(opposite) == bottom
    # The middle of the picture is the point asked for.
    assert view.points_lps_mm.mean(axis=(0, 1)) == pytest.approx([1, 2, 3])


@given(entry=directions, tip=directions)
def test_the_needles_plane_holds_the_needle_and_is_as_near_to_axial_as_can_be(
    entry: tuple[float, float, float], tip: tuple[float, float, float]
) -> None:
    start, end = 80 * np.array(entry), 80 * np.array(tip)
    assume(np.linalg.norm(end - start) > 5)
    view = needle_view(start, end, 0.5 * (start + end), 100.0, 1.0)
    assert view.depth_mm(np.array([start, end])) == pytest.approx([0, 0], abs=1e-6)
    # No plane through the needle is nearer to axial than the angle of the needle to that plane.
    along = (end - start) / np.linalg.norm(end - start)
    normal = np.cross(view.right, view.down)
    if abs(along[2]) < 0.999:
        assert abs(normal[2]) == pytest.approx(np.sqrt(1 - along[2] ** 2), abs=1e-6)


def test_a_needle_straight_down_the_patient_is_shown_in_the_coronal_plane() -> None:
    view = needle_view((0, 0, 50), (0, 0, -20), (0, 0, 15), 60.0, 1.0)
    assert view.letters == ("R", "L", "H", "F")


def test_a_needle_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        needle_view((1, 2, 3), (1, 2, 3), (1, 2, 3), 10.0, 1.0)


@given(directions, st.tuples(st.floats(0, 39), st.floats(0, 39)))
def test_pixels_go_to_the_patient_and_back(
    normal: tuple[float, float, float], pixel: tuple[float, float]
) -> None:
    view = view_of_plane((3, -4, 5), normal, 10.0, 0.5)
    corner, right, down = (np.array(v) for v in (view.corner_lps_mm, view.right, view.down))
    point = corner + 0.5 * (pixel[0] * right + pixel[1] * down)
    assert view.to_pixel(point) == pytest.approx(pixel, abs=1e-6)
    assert float(view.depth_mm(point + 7.0 * np.cross(right, down))) == pytest.approx(7.0)


def test_outside_the_scan_is_not_invented() -> None:
    volume = landmark_volume(GRIDS["axial"])
    hu = sample_hu(volume, axial_view((0, 0, 6), 100.0, 1.0))
    assert hu[0, 0] == hu[-1, -1] == OUTSIDE_HU
    # 41 × 45 voxels of 2 mm, out to their outer faces.
    assert (hu >= 400).sum() == 82 * 90


def test_the_window_is_linear_between_its_ends() -> None:
    window = Window(50.0, 100.0, "x")
    assert window.grey([-1000, 0, 50, 100, 3000]).tolist() == [0, 0, 128, 255, 255]
    assert SOFT_TISSUE.grey([-160, 240]).tolist() == [0, 255]


@pytest.mark.parametrize("direction", GRIDS.values(), ids=GRIDS.keys())
def test_outlines_lie_on_the_border_of_the_ellipsoid(direction: tuple[float, ...]) -> None:
    size, spacing = (64, 60, 56), (1.0, 1.0, 1.0)
    at_zero = GridGeometry(size, spacing, (0.0, 0.0, 0.0), direction)
    centre = np.array(LESION[0])
    middle = at_zero.to_lps((np.asarray(size) - 1) / 2.0)
    grid = GridGeometry(size, spacing, tuple(centre - middle + 3.0), direction)  # type: ignore[arg-type]
    k, j, i = np.meshgrid(*(np.arange(n) for n in reversed(size)), indexing="ij")
    full = inside(grid.to_lps(np.stack([i, j, k], axis=-1)), LESION)
    mask = LesionMask.from_full(full, grid)
    view = axial_view(centre, 30.0, 0.25)
    (line,) = outlines(mask, view)
    (whole,) = label_outlines(3 * full.astype(np.uint8), 3, grid, view)
    for found in (line, whole):
        points = _lps(view, found)
        radius = (((points - centre) / np.array(LESION[1])) ** 2).sum(axis=-1) ** 0.5
        # Within one voxel of 1 mm on an axis of 10 mm.
        assert np.abs(radius - 1).max() < 0.11
    assert outlines(mask, axial_view(centre + np.array([0, 0, 40]), 30.0, 0.5)) == ()


def _lps(view: View, pixels: np.ndarray) -> np.ndarray:
    along = pixels[:, :1] * np.array(view.right) + pixels[:, 1:] * np.array(view.down)
    return np.array(view.corner_lps_mm) + view.mm_per_pixel * along
