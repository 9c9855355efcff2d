"""Edits of a mask against sets of voxels worked out by hand or by formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from irplan.geometry import GridGeometry
from irplan.lesions import editing
from irplan.lesions.lesion import LesionMask
from irplan.volume import CtVolume

from .volumes import centres_lps_mm, ellipsoid_mask, grid_of, middle_of

GRID = grid_of("oblique", (30, 28, 20), (1.0, 1.0, 2.0))
MIDDLE = middle_of(GRID)
BALL = ellipsoid_mask(GRID, MIDDLE, (7.0, 7.0, 7.0))


def ball() -> LesionMask:
    return LesionMask.from_full(BALL, GRID)


def full(mask: LesionMask | None) -> np.ndarray:
    return np.zeros(GRID.shape_zyx, dtype=bool) if mask is None else mask.to_full()


def point(values) -> tuple[float, float, float]:
    x, y, z = np.asarray(values, dtype=float).tolist()
    return x, y, z


@pytest.mark.parametrize("erase", [False, True])
@pytest.mark.parametrize("radius_mm", [0.2, 3.0, 6.5])
@pytest.mark.parametrize("offset", [(5.0, 3.0, 1.0), (-14.0, 12.0, 18.0)])
def test_the_ball_touches_the_voxels_within_its_radius(erase, radius_mm, offset):
    where = MIDDLE + np.array(offset)
    gap = np.linalg.norm(centres_lps_mm(GRID) - where, axis=-1)
    brush = gap <= radius_mm
    i, j, k = GRID.nearest_index(where)
    if GRID.contains(where):
        brush[k, j, i] = True
    edited = editing.paint_ball(ball(), point(where), radius_mm, erase=erase)
    assert np.array_equal(full(edited), BALL & ~brush if erase else BALL | brush)


def test_the_disc_stays_in_its_slice():
    where = GRID.to_lps((15, 14, 9))
    edited = full(editing.paint_disc(ball(), point(where), 12.0))
    assert np.array_equal(np.flatnonzero((edited != BALL).any(axis=(1, 2))), [9])
    _, y, x = np.indices(GRID.shape_zyx)
    disc = np.hypot(x - 15, y - 14)[9] <= 12.0
    assert np.array_equal(edited[9], BALL[9] | disc)


def test_a_window_holds_the_brush_back():
    hu = np.where(np.indices(GRID.shape_zyx)[2] < 15, 50, -100).astype(np.int16)
    volume = CtVolume(hu, GRID)
    edited = full(
        editing.paint_ball(ball(), point(MIDDLE), 11.0, volume=volume, window_hu=(0, 100))
    )
    added = edited & ~BALL
    assert added.any()
    assert (hu[added] == 50).all()


def test_a_brush_without_radius_or_with_half_a_window_is_refused():
    with pytest.raises(ValueError, match="radius"):
        editing.paint_ball(ball(), point(MIDDLE), 0.0)
    with pytest.raises(ValueError, match="window"):
        editing.paint_ball(ball(), point(MIDDLE), 1.0, window_hu=(0, 1))


def test_erasing_everything_leaves_nothing_and_the_old_mask_is_as_it_was():
    before = ball()
    assert editing.paint_ball(before, point(MIDDLE), 60.0, erase=True) is None
    assert np.array_equal(before.to_full(), BALL)


small = arrays(np.bool_, (4, 6, 6), elements=st.booleans()).filter(lambda mask: mask.any())


@settings(max_examples=50, deadline=None)
@given(mask=small, distance=st.sampled_from([0.5, 1.0, 2.2, 3.0]))
def test_growing_and_shrinking_equal_their_definitions(mask, distance):
    grid = GridGeometry((14, 14, 12), (1.0, 1.3, 2.0), (0.0, 0.0, 0.0))
    whole = np.zeros(grid.shape_zyx, dtype=bool)
    whole[4:8, 4:10, 4:10] = mask
    lesion = LesionMask.from_full(whole, grid)
    spots = centres_lps_mm(grid).reshape(-1, 3)
    gaps = cdist(spots, spots[whole.ravel()]).min(axis=1).reshape(whole.shape)
    grown = editing.grow(lesion, distance)
    assert np.array_equal(grown.to_full(), gaps <= distance + 1e-9)
    depths = cdist(spots, spots[~whole.ravel()]).min(axis=1).reshape(whole.shape)
    shrunk = editing.grow(lesion, -distance)
    expected = depths > distance + 1e-9
    found = np.zeros_like(whole) if shrunk is None else shrunk.to_full()
    assert np.array_equal(found, expected)


def test_growing_stops_at_the_edge_of_the_scan():
    assert full(editing.grow(ball(), 200.0)).all()


@pytest.mark.parametrize("across", [0, 1, 2])
def test_missing_slices_are_filled_by_the_shape_between(across):
    """Drawn in every fourth slice of any of the three views."""
    sides, steps = [60, 60, 60], [1.0, 1.0, 1.0]
    sides[across], steps[across] = 21, 3.0
    grid = GridGeometry(tuple(sides[::-1]), tuple(steps[::-1]), (0.0, 0.0, 0.0))
    index = np.moveaxis(np.indices(grid.shape_zyx), 1 + across, 1)
    along = index[across]
    u, v = (index[axis] for axis in range(3) if axis != across)
    cone = (np.hypot(u - 30, v - 30) <= 5 + along) & (along >= 2) & (along <= 18)
    sparse = np.moveaxis(cone & (along % 4 == 2), 0, across)
    filled = editing.fill_between_slices(LesionMask.from_full(sparse, grid)).to_full()
    filled = np.moveaxis(filled, across, 0)
    wrong = np.count_nonzero(filled != cone)
    assert wrong / np.count_nonzero(cone) < 0.01
    assert np.array_equal(filled[2::4], cone[2::4])


def test_smoothing_takes_a_spike_off_and_keeps_the_volume():
    grid = GridGeometry((50, 50, 50), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    solid = ellipsoid_mask(grid, np.array([25.0, 25.0, 25.0]), (12.0, 12.0, 12.0))
    rough = solid.copy()
    rough[25, 25, 36:48] = True
    smooth = editing.smooth(LesionMask.from_full(rough, grid), 2.0).to_full()
    assert not smooth[25, 25, 41:].any()
    assert np.count_nonzero(smooth) == pytest.approx(np.count_nonzero(rough), rel=0.01)
    assert np.count_nonzero(smooth ^ solid) < 0.04 * np.count_nonzero(solid)


def test_islands_go_and_holes_are_filled():
    messy = BALL.copy()
    messy[10, 14, 15] = False
    messy[1, 1, 1] = messy[18, 25, 27] = messy[18, 25, 28] = True
    lesion = LesionMask.from_full(messy, GRID)
    assert np.array_equal(full(editing.fill_holes(editing.keep_largest(lesion))), BALL)
    kept = full(editing.remove_islands(lesion, 2 * GRID.voxel_ml))
    assert not kept[1, 1, 1]
    assert kept[18, 25, 27]
    assert editing.remove_islands(lesion, 1e6) is None


def test_touching_balls_are_split_at_their_waist():
    grid = GridGeometry((60, 40, 40), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    left, right = np.array([21.0, 20.0, 20.0]), np.array([38.0, 20.0, 20.0])
    pair = ellipsoid_mask(grid, left, (10, 10, 10)) | ellipsoid_mask(grid, right, (10, 10, 10))
    lesion = LesionMask.from_full(pair, grid)
    first, second = editing.split(lesion, [point(right), point(left)])
    x = centres_lps_mm(grid)[..., 0]
    # The waist lies between columns 29 and 30; ties there may go either way.
    assert not (first.to_full() & (x < 29)).any()
    assert not (second.to_full() & (x > 30)).any()
    joined = editing.union(first, second)
    assert np.array_equal(joined.to_full(), pair)
    assert not (first.to_full() & second.to_full()).any()


@pytest.mark.parametrize(
    "seeds",
    [
        [(21.0, 20.0, 20.0)],
        [(21.0, 20.0, 20.0), (21.1, 20.0, 20.0)],
        [(21.0, 20.0, 20.0), (0.0, 0.0, 0.0)],
    ],
)
def test_a_split_needs_two_points_in_the_lesion(seeds):
    grid = GridGeometry((60, 40, 40), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    lesion = LesionMask.from_full(ellipsoid_mask(grid, np.full(3, 20.0), (9, 9, 9)), grid)
    with pytest.raises(ValueError, match="point"):
        editing.split(lesion, seeds)


@pytest.mark.parametrize("through", [0, 1, 2])
def test_a_disc_lies_in_any_of_the_grids_planes(through):
    where = GRID.to_lps((15, 14, 9))
    edited = full(editing.paint_disc(ball(), point(where), 9.0, through=through)) & ~BALL
    number = np.argwhere(edited)[:, ::-1]
    assert len(number)
    assert set(number[:, through]) == {(15, 14, 9)[through]}
    gap = np.linalg.norm(GRID.to_lps(number) - where, axis=1)
    assert gap.max() <= 9.0 + 1e-9


@pytest.mark.parametrize("through", [None, 2])
def test_a_stroke_covers_what_lies_near_its_way(through):
    start, end = GRID.to_lps((6, 6, 9)), GRID.to_lps((22, 20, 9))
    covered = full(editing.stroke(GRID, [point(start), point(end)], 3.0, through=through))
    spots = centres_lps_mm(GRID)
    along = (end - start) / np.linalg.norm(end - start)
    place = np.clip((spots - start) @ along, 0.0, np.linalg.norm(end - start))
    gap = np.linalg.norm(spots - start - place[..., None] * along, axis=-1)
    if through is None:
        # Set down every half radius, the brush leaves scallops of at most 3.2 % of its radius.
        assert covered[gap <= 2.9].all()
        assert not covered[gap > 3.0 + 1e-9].any()
    else:
        assert np.array_equal(np.flatnonzero(covered.any(axis=(1, 2))), [9])
        assert covered[9][gap[9] <= 2.9].all()


def test_a_stroke_outside_the_scan_covers_nothing_and_needs_a_point():
    far = GRID.to_lps((-40, 0, 0))
    assert editing.stroke(GRID, [point(far)], 3.0) is None
    with pytest.raises(ValueError, match="point"):
        editing.stroke(GRID, [], 3.0)


def test_a_mask_is_cut_to_a_window():
    hu = np.where(np.indices(GRID.shape_zyx)[2] < 15, 50, -100).astype(np.int16)
    kept = editing.within_window(ball(), CtVolume(hu, GRID), (0, 100))
    assert np.array_equal(full(kept), BALL & (hu == 50))
    assert editing.within_window(ball(), CtVolume(hu, GRID), (500, 600)) is None
