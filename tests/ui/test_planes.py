"""Where a voxel lies on the screen and which side is which, on straight and oblique grids."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from irplan.geometry import GridGeometry
from ui.planes import SlicePlane, ViewName, grid_axes, letters_of, planes_of

#: The direction, LPS, that each edge letter stands for.
TOWARDS = {
    "R": (-1, 0, 0),
    "L": (1, 0, 0),
    "A": (0, -1, 0),
    "P": (0, 1, 0),
    "F": (0, 0, -1),
    "H": (0, 0, 1),
}
#: Row and column cosines as scanners write them for each way of lying.
SCANNED = {
    "HFS": (1, 0, 0, 0, 1, 0),
    "HFP": (-1, 0, 0, 0, -1, 0),
    "FFS": (-1, 0, 0, 0, 1, 0),
    "FFP": (1, 0, 0, 0, -1, 0),
    "HFDR": (0, 1, 0, -1, 0, 0),
    "HFDL": (0, -1, 0, 1, 0, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "sagittal": (0, 1, 0, 0, 0, -1),
}


def grid_of(row: tuple[int, ...], column: tuple[int, ...]) -> GridGeometry:
    normal = np.cross(row, column)
    axes = np.stack([row, column, normal], axis=1).astype(float)
    return GridGeometry((5, 6, 7), (1.0, 1.5, 2.0), (3.0, -4.0, 5.0), tuple(axes.ravel()))


@st.composite
def grids(draw: st.DrawFn, most_deg: float = 40.0) -> GridGeometry:
    """A permuted, perhaps mirrored grid, turned by up to ``most_deg`` about any axis."""
    order = draw(st.permutations(range(3)))
    signs = draw(st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3))
    axes = np.eye(3)[:, order] * np.asarray(signs)
    axis = np.asarray(draw(st.tuples(*[st.floats(-1, 1)] * 3)))
    if np.linalg.norm(axis) > 0.1:
        angle = np.radians(draw(st.floats(0, most_deg)))
        axes = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix() @ axes
    size = draw(st.tuples(*[st.integers(2, 9)] * 3))
    spacing = draw(st.tuples(*[st.floats(0.3, 5.0)] * 3))
    origin = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    return GridGeometry(size, spacing, origin, tuple(axes.ravel().tolist()))


@pytest.mark.parametrize("position", SCANNED)
@pytest.mark.parametrize(
    ("view", "letters"),
    [
        (ViewName.AXIAL, ("R", "L", "A", "P")),
        (ViewName.CORONAL, ("R", "L", "H", "F")),
        (ViewName.SAGITTAL, ("A", "P", "H", "F")),
    ],
)
def test_every_way_of_lying_is_shown_by_the_radiological_convention(position, view, letters):
    cosines = SCANNED[position]
    plane = SlicePlane.of(grid_of(cosines[:3], cosines[3:]), view)
    assert plane.letters == letters
    assert plane.title == view.value.capitalize()


@pytest.mark.parametrize("position", SCANNED)
def test_a_voxel_at_the_patients_right_lies_left_on_the_screen(position):
    cosines = SCANNED[position]
    grid = grid_of(cosines[:3], cosines[3:])
    marked = np.zeros(grid.shape_zyx, dtype=np.int16)
    corners = np.asarray(list(itertools.product(*[(0, n - 1) for n in grid.size])))
    # The corner that is farthest to the right, to the front and to the feet.
    scores = grid.to_lps(corners) @ np.asarray([-1.0, -1.0, -1.0])
    i, j, k = corners[int(np.argmax(scores))]
    marked[k, j, i] = 7
    point = grid.to_lps((i, j, k))
    places = {ViewName.AXIAL: (0, 0), ViewName.CORONAL: (-1, 0), ViewName.SAGITTAL: (-1, 0)}
    for view, (row, column) in places.items():
        plane = SlicePlane.of(grid, view)
        image = plane.pixels(marked, plane.slice_of(point))
        assert image[row, column] == 7
        assert np.count_nonzero(image) == 1


@given(grids(), st.data())
def test_screen_and_patient_agree(grid, data):
    """The pixel shown at a place holds the voxel that lies at the point computed for that place."""
    values = np.arange(np.prod(grid.size), dtype=np.int32).reshape(grid.shape_zyx)
    for plane in planes_of(grid).values():
        number = data.draw(st.integers(0, plane.count - 1))
        image = plane.pixels(values, number)
        columns, rows = plane.size
        assert image.shape == (rows, columns)
        x, y = data.draw(st.integers(0, columns - 1)), data.draw(st.integers(0, rows - 1))
        point = plane.to_lps(x, y, number)
        i, j, k = grid.nearest_index(point)
        assert image[y, x] == values[k, j, i]
        assert plane.to_screen(point) == pytest.approx([x, y], abs=1e-6)
        assert plane.slice_of(point) == number
        assert plane.offset_mm(point, number) == pytest.approx(0.0, abs=1e-6)


@given(grids())
def test_edges_are_named_after_where_they_lie(grid):
    """Walking to an edge goes towards its letters; opposite edges have opposite letters."""
    opposite = {"R": "L", "L": "R", "A": "P", "P": "A", "F": "H", "H": "F"}
    for plane in planes_of(grid).values():
        left, right, top, bottom = plane.letters
        middle = np.asarray(plane.to_lps(1.0, 1.0, 0))
        steps = {
            left: np.asarray(plane.to_lps(0.0, 1.0, 0)) - middle,
            right: np.asarray(plane.to_lps(2.0, 1.0, 0)) - middle,
            top: np.asarray(plane.to_lps(1.0, 0.0, 0)) - middle,
            bottom: np.asarray(plane.to_lps(1.0, 2.0, 0)) - middle,
        }
        for letters, step in steps.items():
            cosines = [float(np.dot(step, TOWARDS[one])) for one in letters]
            assert min(cosines) > 0
            # The letter that lies nearest comes first; equal but for rounding is a tie.
            assert all(a >= b - 1e-9 for a, b in itertools.pairwise(cosines))
        assert "".join(opposite[one] for one in left) == right
        assert "".join(opposite[one] for one in top) == bottom


@given(grids(most_deg=25.0))
def test_the_convention_holds_on_oblique_grids(grid):
    planes = planes_of(grid)
    for name, (left, top) in {
        ViewName.AXIAL: ("R", "A"),
        ViewName.CORONAL: ("R", "H"),
        ViewName.SAGITTAL: ("A", "H"),
    }.items():
        assert planes[name].letters[0][0] == left
        assert planes[name].letters[2][0] == top


@given(grids(most_deg=55.0))
def test_each_grid_axis_serves_one_view(grid):
    assert sorted(grid_axes(grid)) == [0, 1, 2]
    for plane in planes_of(grid).values():
        assert sorted((plane.through, plane.across, plane.down)) == [0, 1, 2]


@given(grids(most_deg=25.0))
def test_scrolling_up_goes_to_the_head_the_front_and_the_left(grid):
    for name, towards in {
        ViewName.AXIAL: (0, 0, 1),
        ViewName.CORONAL: (0, -1, 0),
        ViewName.SAGITTAL: (1, 0, 0),
    }.items():
        plane = SlicePlane.of(grid, name)
        step = np.subtract(plane.to_lps(0, 0, plane.forward), plane.to_lps(0, 0, 0))
        assert float(np.dot(step, towards)) > 0


@given(st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 1e-3))
@settings(max_examples=200)
def test_letters_of_a_direction(vector):
    letters = letters_of(vector)
    cosines = np.asarray(vector) / np.linalg.norm(vector)
    named = {next(axis for axis in range(3) if TOWARDS[one][axis]) for one in letters}
    assert len(named) == len(letters)
    for axis in range(3):
        if abs(cosines[axis]) > 0.2 + 1e-9:
            assert axis in named
    assert all(np.dot(TOWARDS[one], cosines) > 0 for one in letters)


def test_an_oblique_view_says_so():
    turned = Rotation.from_euler("x", 12, degrees=True).as_matrix()
    grid = GridGeometry((4, 4, 4), (1, 1, 1), (0, 0, 0), tuple(turned.ravel()))
    assert SlicePlane.of(grid, ViewName.AXIAL).title == "Axial, oblique 12°"
    assert SlicePlane.of(grid, ViewName.SAGITTAL).title == "Sagittal"


def test_the_slice_of_a_point_outside_is_the_nearest_one():
    plane = SlicePlane.of(grid_of((1, 0, 0), (0, 1, 0)), ViewName.AXIAL)
    assert plane.slice_of((3.0, -4.0, 500.0)) == 6
    assert plane.slice_of((3.0, -4.0, -500.0)) == 0
