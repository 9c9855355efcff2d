"""Window and level, outlines, and the part of a needle near a slice: without a window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irplan.geometry import GridGeometry
from irplan.lesions.lesion import LesionMask
from ui.contours import mask_outlines, segment_near, visible_box
from ui.planes import SlicePlane, ViewName
from ui.windowing import PRESETS, Window, grey_table, to_grey


@pytest.mark.parametrize(
    ("hu", "grey"),
    [(-3000, 0), (-161, 0), (-160, 0), (40, 128), (140, 191), (240, 255), (241, 255), (3000, 255)],
)
def test_soft_tissue_window_by_hand(hu, grey):
    """C 40 W 400: black to -160, white from 240, a quarter of white per 100 HU between."""
    shown = to_grey(np.array([[hu]], dtype=np.int16), grey_table(PRESETS[0]))
    assert shown[0, 0] == grey


@given(st.integers(-32768, 32767), st.floats(-1500, 3000), st.floats(1, 5000))
def test_grey_follows_the_linear_function(hu, centre, width):
    shown = to_grey(np.array([[hu]], dtype=np.int16), grey_table(Window(centre, width)))[0, 0]
    exact = min(1.0, max(0.0, (hu - (centre - width / 2)) / width)) * 255
    assert abs(int(shown) - exact) <= 0.5 + 1e-6


def test_flipped_slices_are_not_confused_with_their_memory():
    hu = np.arange(-30, 30, dtype=np.int16).reshape(6, 10)
    table = grey_table(Window(0, 60))
    assert np.array_equal(to_grey(hu[::-1, ::-1], table), to_grey(hu, table)[::-1, ::-1])


def test_dragging_right_widens_and_up_brightens():
    window = PRESETS[0]
    assert window.dragged(10, 0).width_hu > window.width_hu
    assert window.dragged(0, -10).centre_hu < window.centre_hu
    assert window.dragged(-10_000, 0).width_hu >= 1


def polygon_area(points):
    x, y = points[:, 0], points[:, 1]
    return 0.5 * abs(float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])))


@pytest.mark.parametrize("view", list(ViewName))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (1, -1, -1), (-1, 1, -1)])
def test_outlines_surround_exactly_the_voxels_of_the_mask(view, signs):
    direction = np.diag(np.asarray(signs, dtype=float))
    grid = GridGeometry((14, 12, 10), (1, 1, 2), (0, 0, 0), tuple(direction.ravel()))
    full = np.zeros(grid.shape_zyx, dtype=bool)
    full[3:7, 2:9, 4:11] = True
    full[5, 4, 6] = False  # a hole
    mask = LesionMask.from_full(full, grid)
    plane = SlicePlane.of(grid, view)
    for number in range(plane.count):
        shown = plane.pixels(full, number)
        outlines = mask_outlines(mask, plane, number)
        assert bool(outlines) == bool(shown.any())
        if not outlines:
            continue
        outer = max(outlines, key=polygon_area)
        columns = np.flatnonzero(shown.any(axis=0))
        rows = np.flatnonzero(shown.any(axis=1))
        assert outer[:, 0].min() == columns[0] - 0.5
        assert outer[:, 0].max() == columns[-1] + 0.5
        assert outer[:, 1].min() == rows[0] - 0.5
        assert outer[:, 1].max() == rows[-1] + 0.5
        holes = int(np.count_nonzero(shown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]))
        whole = len(rows) * len(columns)
        assert len(outlines) == (2 if holes < whole else 1)


@given(st.floats(-80, 80), st.floats(-80, 80), st.floats(0.5, 10))
def test_the_part_of_a_needle_near_a_slice(start, end, reach):
    """By brute force: sample the line, compare which samples are near."""
    part = segment_near(start, end, reach)
    for fraction in np.linspace(0, 1, 201):
        distance = abs(start + fraction * (end - start))
        inside = part is not None and part[0] <= fraction <= part[1]
        if abs(distance - reach) > 1e-6:
            assert inside == (distance < reach)


def test_the_fitted_view_holds_the_patient():
    grid = GridGeometry((20, 16, 8), (1, 1, 3), (0, 0, 0), (-1, 0, 0, 0, 1, 0, 0, 0, -1))
    body = np.zeros(grid.shape_zyx, dtype=bool)
    body[2:5, 3:9, 12:15] = True
    plane = SlicePlane.of(grid, ViewName.AXIAL)
    # Columns run to the patient's right here, so index 12..14 is 5..7 from the left of the screen.
    assert visible_box(body, plane, 0.0) == (5.0, 3.0, 7.0, 8.0)
    assert visible_box(body, plane, 2.0) == (3.0, 1.0, 9.0, 10.0)
    empty = np.zeros_like(body)
    assert visible_box(empty, plane, 5.0) == (-0.5, -0.5, 19.5, 15.5)
