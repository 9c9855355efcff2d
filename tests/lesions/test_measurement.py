"""Measures against formulas and against brute force."""

from __future__ import annotations

import itertools
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from irplan.geometry import GridGeometry
from irplan.lesions.diameters import AROUND, SMOOTH_PIXELS
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.lesions.measurement import (
    axial_diameters,
    centroid_lps_mm,
    depth_below_skin_mm,
    diameter_3d,
    head_foot_extent_mm,
    measure_lesion,
)
from irplan.volume import CtVolume

from .volumes import AXES, centres_lps_mm, ellipsoid_mask, grid_of, middle_of

HALF_MM = (14.0, 9.0, 12.0)


def lesion_of(mask: LesionMask) -> Lesion:
    return Lesion("L1", 1, LesionSource.IMPORTED, mask=mask)


@pytest.mark.parametrize("axes", AXES)
def test_an_ellipsoid_measures_as_its_formula_says(axes):
    grid = grid_of(axes, (80, 80, 80), (0.7, 0.7, 0.9))
    centre = middle_of(grid)
    mask = LesionMask.from_full(ellipsoid_mask(grid, centre, HALF_MM), grid)
    volume = CtVolume(np.full(grid.shape_zyx, 37, dtype=np.int16), grid)
    lesion = measure_lesion(lesion_of(mask), volume, None)
    exact_ml = 4 / 3 * np.pi * np.prod(HALF_MM) / 1000
    assert float(lesion.volume_ml) == pytest.approx(exact_ml, rel=0.01)
    # An axial plane cuts the patient's x and y half axes; head to foot is z.
    assert lesion.longest_diameter_mm == pytest.approx(28.0, abs=0.9)
    assert lesion.short_axis_mm == pytest.approx(18.0, abs=0.9)
    assert lesion.diameter_3d_mm == pytest.approx(28.0, abs=0.9)
    assert head_foot_extent_mm(mask) == pytest.approx(24.0, abs=0.9)
    assert lesion.centroid_lps_mm == pytest.approx(tuple(centre), abs=0.1)
    assert (lesion.mean_hu, lesion.sd_hu) == (37.0, 0.0)
    start, end = np.array(lesion.longest_diameter_ends_lps_mm)
    assert np.linalg.norm(end - start) == pytest.approx(lesion.longest_diameter_mm)
    assert abs(end[0] - start[0]) == pytest.approx(28.0, abs=1.2)
    codes = {finding.code for finding in lesion.findings}
    assert ("axial_planes_resampled" in codes) == (axes in ("coronal", "oblique"))


def smoothed_slice(plane: np.ndarray) -> dict[tuple[int, int], float]:
    """A slice smoothed and moved so that one half encloses its area, by plain loops."""
    size = int(4 * SMOOTH_PIXELS + 0.5)
    kernel = [np.exp(-0.5 * (n / SMOOTH_PIXELS) ** 2) for n in range(-size, size + 1)]
    kernel = [one / sum(kernel) for one in kernel]
    mine = list(map(tuple, np.argwhere(plane).tolist()))
    rows, columns = range(-AROUND, plane.shape[0] + AROUND), range(-AROUND, plane.shape[1] + AROUND)
    smooth = {(y, x): 0.0 for y in rows for x in columns}
    for y, x in mine:
        for j, own in enumerate(kernel):
            for i, other in enumerate(kernel):
                place = (y + j - size, x + i - size)
                if place in smooth:
                    smooth[place] += own * other

    def slope(y: int, x: int) -> float:
        steps = []
        for dy, dx in ((1, 0), (0, 1)):
            ends = [(y + dy, x + dx), (y - dy, x - dx)]
            known = [smooth.get(end, smooth[y, x]) for end in ends]
            # One-sided where the other neighbour lies beyond the box.
            steps.append((known[0] - known[1]) / sum(end in smooth for end in ends))
        return float(np.hypot(*steps))

    slopes = {place: slope(*place) for place in smooth}

    def area(level: float) -> float:
        return sum(
            min(1.0, max(0.0, 0.5 + (value - level) / slopes[place])) if slopes[place] else 0.0
            for place, value in smooth.items()
        )

    low, high = 0.2, 0.8
    for _ in range(16):
        middle = (low + high) / 2
        low, high = (middle, high) if area(middle) >= len(mine) else (low, middle)
    moved = {place: value + 0.5 - low for place, value in smooth.items()}
    return moved if max(moved.values()) > 0.5 else dict.fromkeys(mine, 1.0)


def border_points(voxels: np.ndarray, grid: GridGeometry, flat: bool) -> list[tuple]:
    """Where a smoothed mask crosses one half between neighbours, in LPS, by plain loops."""
    values: dict[tuple[int, int, int], float] = {}
    for z, plane in enumerate(voxels):
        if plane.any():
            values |= {(z, *place): value for place, value in smoothed_slice(plane).items()}
    points = []
    steps = [(0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    if not flat:
        steps += [(1, 0, 0), (-1, 0, 0)]
    for (z, y, x), value in values.items():
        for dz, dy, dx in steps:
            beyond = values.get((z + dz, y + dy, x + dx), 0.0)
            if value > 0.5 >= beyond:
                part = (value - 0.5) / (value - beyond)
                index = (x + dx * part, y + dy * part, z + dz * part)
                points.append((z, tuple(grid.to_lps(index))))
    return points


small_masks = arrays(np.bool_, (3, 5, 6), elements=st.booleans()).filter(lambda mask: mask.any())


@settings(max_examples=15, deadline=None)
@given(mask=small_masks)
def test_longest_diameters_equal_brute_force(mask):
    grid = GridGeometry((6, 5, 3), (0.8, 1.1, 2.5), (3.0, -4.0, 5.0))
    lesion = LesionMask.from_full(mask, grid)
    # Where a peak is as high as the border's level the last digit decides whether it is inside.
    heights = [value for plane in mask if plane.any() for value in smoothed_slice(plane).values()]
    assume(min(abs(value - 0.5) for value in heights) > 1e-3)
    flat = border_points(mask, grid, flat=True)
    pairs = [
        np.linalg.norm(np.subtract(a, b))
        for (z1, a), (z2, b) in itertools.combinations(flat, 2)
        if z1 == z2
    ]
    assert axial_diameters(lesion).longest.length_mm == pytest.approx(max(pairs), abs=3e-3)
    solid = [point for _, point in border_points(mask, grid, flat=False)]
    whole = max(np.linalg.norm(np.subtract(a, b)) for a, b in itertools.combinations(solid, 2))
    assert diameter_3d(lesion).length_mm == pytest.approx(whole, abs=3e-3)


@pytest.mark.parametrize("spacing_mm", [(0.8, 0.8, 1.0), (0.8, 0.8, 5.0), (2.0, 2.0, 2.0)])
def test_diameters_of_bodies_of_known_size_are_neither_long_nor_short(spacing_mm):
    rng = np.random.default_rng(2)
    errors = []
    for half in np.geomspace(5.0, 16.0, 24):
        grid = grid_of("supine", (48, 48, max(9, int(40 / spacing_mm[2]))), spacing_mm)
        turn, flat = rng.uniform(0.0, np.pi), rng.uniform(0.6, 1.0)
        # The middle lies in a slice, anywhere between its pixels.
        middle = grid.to_lps(
            (np.array(grid.size) - 1) // 2 + np.append(rng.uniform(-0.5, 0.5, 2), 0)
        )
        offset = centres_lps_mm(grid) - middle
        along = np.cos(turn) * offset[..., 0] + np.sin(turn) * offset[..., 1]
        across = -np.sin(turn) * offset[..., 0] + np.cos(turn) * offset[..., 1]
        inside = along**2 + (across / flat) ** 2 + (offset[..., 2] / flat) ** 2 <= half**2
        found = axial_diameters(LesionMask.from_full(inside, grid))
        solid = diameter_3d(LesionMask.from_full(inside, grid)).length_mm
        errors.append(
            [
                found.longest.length_mm - 2 * half,
                found.short.length_mm - 2 * flat * half,
                solid - 2 * half,
            ]
        )
    # A quarter of a pixel on average; along the corners of pixels it is half a pixel and more. In
    # space thick slices count: between them nobody knows how a body ends.
    voxel = np.array([spacing_mm[0], spacing_mm[0], max(spacing_mm)])
    assert (np.abs(np.mean(errors, axis=0)) < 0.25 * voxel).all()
    assert (np.abs(errors) < voxel).all()


@pytest.mark.parametrize("turn_deg", [0.0, 17.0, 45.0, 80.0])
def test_the_short_axis_is_the_longest_perpendicular_chord(turn_deg):
    grid = GridGeometry((160, 160, 1), (0.25, 0.25, 1.0), (0.0, 0.0, 0.0))
    _, y, x = np.indices(grid.shape_zyx)
    turn = np.deg2rad(turn_deg)
    u = (x - 80) * 0.25 * np.cos(turn) + (y - 80) * 0.25 * np.sin(turn)
    v = -(x - 80) * 0.25 * np.sin(turn) + (y - 80) * 0.25 * np.cos(turn)
    half_moon = ((u / 15) ** 2 + (v / 8) ** 2 <= 1) & (v >= 0)
    diameters = axial_diameters(LesionMask.from_full(half_moon, grid))
    assert diameters.longest.length_mm == pytest.approx(30.0, abs=0.4)
    assert diameters.short.length_mm == pytest.approx(8.0, abs=0.5)
    along = np.subtract(*diameters.longest.ends_lps_mm)
    across = np.subtract(*diameters.short.ends_lps_mm)
    assert abs(np.dot(along, across)) < 1e-6 * np.linalg.norm(along) * np.linalg.norm(across) + 1e-9


def depth_by_force(mask: np.ndarray, body: np.ndarray, spacing_zyx: np.ndarray) -> float | None:
    best = None
    outside = np.argwhere(~body)
    for inside in np.argwhere(mask):
        if len(outside) == 0:
            return None
        gap = np.maximum(np.abs(outside - inside) - 1, 0) * spacing_zyx
        shortest = float(np.linalg.norm(gap, axis=1).min())
        best = shortest if best is None else min(best, shortest)
    return best


@settings(max_examples=40, deadline=None)
@given(
    mask=arrays(np.bool_, (3, 4, 4), elements=st.booleans()).filter(lambda m: m.any()),
    holes=st.lists(
        st.tuples(st.integers(0, 11), st.integers(0, 23), st.integers(0, 29)), max_size=6
    ),
)
def test_depth_equals_brute_force_over_all_voxels(mask, holes):
    grid = GridGeometry((30, 24, 12), (0.9, 1.3, 2.0), (0.0, 0.0, 0.0))
    body = np.ones(grid.shape_zyx, dtype=bool)
    for hole in holes:
        body[hole] = False
    full = np.zeros(grid.shape_zyx, dtype=bool)
    full[5:8, 10:14, 13:17] = mask
    lesion = LesionMask.from_full(full, grid)
    expected = depth_by_force(full, body, np.array(grid.spacing_zyx_mm))
    found = depth_below_skin_mm(lesion, body)
    if (full & ~body).any():
        assert found == 0.0
    elif expected is None:
        assert found is None
    else:
        assert found == pytest.approx(expected)


def test_depth_in_a_large_scan_is_found_by_blocks():
    grid = GridGeometry((90, 80, 70), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    body = np.zeros(grid.shape_zyx, dtype=bool)
    body[:, 5:75, 4:86] = True
    mask = np.zeros(grid.shape_zyx, dtype=bool)
    mask[30:40, 40:50, 23:33] = True
    assert depth_below_skin_mm(LesionMask.from_full(mask, grid), body) == pytest.approx(19.0)


def codes_of(mask: np.ndarray, body: np.ndarray | None, grid: GridGeometry) -> set[str]:
    volume = CtVolume(np.zeros(grid.shape_zyx, dtype=np.int16), grid)
    lesion = measure_lesion(lesion_of(LesionMask.from_full(mask, grid)), volume, body)
    return {finding.code for finding in lesion.findings}


def test_what_cannot_be_known_is_said():
    grid = GridGeometry((40, 40, 40), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    ball = ellipsoid_mask(grid, np.array([20.0, 20.0, 30.0]), (6.0, 6.0, 6.0))
    body = np.ones(grid.shape_zyx, dtype=bool)
    assert "depth_unknown" in codes_of(ball, body, grid)
    assert "depth_unknown" in codes_of(ball, None, grid)
    body[:, :5] = False  # skin 9 mm away, the scan ends 4 mm away
    assert codes_of(ball, body, grid) == {"depth_at_most"}
    cut_ball = ellipsoid_mask(grid, np.array([20.0, 20.0, 38.0]), (6.0, 6.0, 6.0))
    assert "lesion_touches_field" in codes_of(cut_ball, body, grid)


def test_a_shell_is_far_from_its_ellipsoid():
    grid = GridGeometry((50, 50, 50), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    centre = np.array([25.0, 25.0, 25.0])
    ball = ellipsoid_mask(grid, centre, (15.0, 15.0, 15.0))
    shell = ball & ~ellipsoid_mask(grid, centre, (13.0, 13.0, 13.0))
    assert "volume_far_from_ellipsoid" in codes_of(shell, None, grid)
    assert "volume_far_from_ellipsoid" not in codes_of(ball, None, grid)


def test_a_volume_that_stands_is_kept_and_measuring_twice_changes_nothing():
    grid = grid_of()
    mask = LesionMask.from_full(ellipsoid_mask(grid, middle_of(grid), HALF_MM), grid)
    volume = CtVolume(np.zeros(grid.shape_zyx, dtype=np.int16), grid)
    once = measure_lesion(lesion_of(mask), volume, None)
    assert once.volume_ml == Decimal(str(round(mask.voxel_volume_ml, 3)))
    assert measure_lesion(once, volume, None).document() == once.document()


def test_another_grid_is_not_measured():
    grid = grid_of()
    mask = LesionMask.from_full(ellipsoid_mask(grid, middle_of(grid), HALF_MM), grid)
    other = grid_of(spacing_mm=(1.0, 1.0, 2.0))
    volume = CtVolume(np.zeros(other.shape_zyx, dtype=np.int16), other)
    with pytest.raises(ValueError, match="grid"):
        measure_lesion(lesion_of(mask), volume, None)


def test_the_centroid_of_two_voxels_lies_between_them():
    grid = GridGeometry((4, 3, 2), (2.0, 3.0, 4.0), (10.0, 20.0, 30.0))
    mask = np.zeros(grid.shape_zyx, dtype=bool)
    mask[0, 0, 0] = mask[1, 2, 3] = True
    assert centroid_lps_mm(LesionMask.from_full(mask, grid)) == (13.0, 23.0, 32.0)
