"""Skin points against a plain search through every face, and normals against known surfaces."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest

from irplan.geometry import GridGeometry
from irplan.trajectory.position import PatientPosition
from irplan.trajectory.scene import SUPPORT_MM, Support
from irplan.trajectory.skin import SmoothBody, inward_normals, skin_points

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def blob(seed: int, size: tuple[int, int, int]) -> np.ndarray:
    """A rough body (z, y, x) with holes and steps."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(size[::-1])
    middle = (np.array(size[::-1]) - 1) / 2
    radius = np.sqrt(
        ((z - middle[0]) / size[2]) ** 2
        + ((y - middle[1]) / size[1]) ** 2
        + ((x - middle[2]) / size[0]) ** 2
    )
    return (radius < 0.4) & (rng.random(size[::-1]) > 0.05)


def by_every_face(
    body: np.ndarray, spacing: tuple[float, float, float], raster: float
) -> set[tuple[float, float, float]]:
    """The reference: all face pieces in a list, the nearest to each cube's middle kept."""
    kept: dict[tuple[int, ...], tuple[float, tuple[float, ...]]] = {}
    for k, j, i in np.ndindex(body.shape):
        for axis in range(3):
            step = [int(axis == number) for number in range(3)]
            other = (k + step[2], j + step[1], i + step[0])
            if any(a >= b for a, b in zip(other, body.shape, strict=True)):
                continue
            if body[k, j, i] == body[other]:
                continue
            shifts = []
            for number, at in enumerate((i, j, k)):
                count = math.ceil(spacing[number] / raster - 1e-9)
                shifts.append(
                    [at + 0.5]
                    if number == axis
                    else [at + (piece + 0.5) / count - 0.5 for piece in range(count)]
                )
            for x in shifts[0]:
                for y in shifts[1]:
                    for z in shifts[2]:
                        local = [(a + 0.5) * b for a, b in zip((x, y, z), spacing, strict=True)]
                        cube = tuple(math.floor(value / raster) for value in local)
                        gap = sum(
                            (v / raster - c - 0.5) ** 2 for v, c in zip(local, cube, strict=True)
                        )
                        entry = (round(gap, 9), tuple(local[::-1]))
                        if cube not in kept or entry < kept[cube]:
                            kept[cube] = entry
    return {tuple(round(value, 2) for value in place[::-1]) for _, place in kept.values()}


@pytest.mark.parametrize(
    ("spacing", "raster"),
    [((2.0, 2.0, 3.0), 2.0), ((0.75, 0.8, 5.0), 2.0), ((1.0, 1.0, 1.0), 0.5)],
)
def test_skin_points_are_those_of_a_plain_search(
    spacing: tuple[float, float, float], raster: float
) -> None:
    body = blob(1, (17, 14, 11))
    grid = GridGeometry((17, 14, 11), spacing, (0.0, 0.0, 0.0), IDENTITY)
    found = skin_points(body, grid, raster)
    # LPS starts at the first voxel's centre, the reference at its outer corner.
    local = found.points_lps_mm + np.asarray(spacing) / 2
    reference = np.array(sorted(by_every_face(body, spacing, raster)))
    assert len(found) == len(reference)
    ours = local[np.lexsort(np.round(local, 1).T[::-1])]
    theirs = reference[np.lexsort(np.round(reference, 1).T[::-1])]
    gaps = np.linalg.norm(ours[:, None] - theirs[None], axis=2)
    assert gaps.min(axis=1).max() <= 0.02
    assert gaps.min(axis=0).max() <= 0.02


def test_a_part_of_the_skin_is_the_same_skin_on_any_number_of_threads() -> None:
    body = blob(2, (40, 36, 30))
    grid = GridGeometry((40, 36, 30), (1.5, 1.5, 2.0), (5.0, -7.0, 11.0), IDENTITY)
    whole = skin_points(body, grid, 2.0)
    middle = np.asarray([whole.points_lps_mm[len(whole) // 2]])
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        part = skin_points(body, grid, 2.0, middle, 12.0)
    finally:
        numba.set_num_threads(before)
    near = np.linalg.norm(whole.points_lps_mm - middle, axis=1) <= 12.0
    assert near.any()
    assert np.array_equal(part.points_lps_mm, whole.points_lps_mm[near])
    assert np.allclose(part.inward, whole.inward[near], atol=1e-5)


def test_normals_told_from_a_larger_part_are_the_same() -> None:
    body = blob(4, (90, 80, 70))
    grid = GridGeometry((90, 80, 70), (1.1, 1.2, 1.9), (5.0, -7.0, 11.0), IDENTITY)
    whole = skin_points(body, grid, 3.0)
    some = whole.points_lps_mm[:: max(1, len(whole) // 40)]
    smooth = SmoothBody.around(body, grid, whole.points_lps_mm)
    assert smooth.covers(some)
    near = SmoothBody.around(body, grid, some[:1])
    assert near.covers(some[:1])
    assert not near.covers(whole.points_lps_mm)
    alone = [inward_normals(body, grid, one[None])[0] for one in some]
    assert np.array_equal(smooth.inward_normals(some), alone)


def test_normals_of_a_ball_point_at_its_middle() -> None:
    size, step = (70, 70, 70), 1.5
    grid = GridGeometry(size, (step, step, step), (-20.0, 30.0, 5.0), IDENTITY)
    z, y, x = np.indices(size)
    body = (x - 34.5) ** 2 + (y - 34.5) ** 2 + (z - 34.5) ** 2 <= 28**2
    skin = skin_points(body, grid, 2.0)
    middle = np.asarray(grid.to_lps((34.5, 34.5, 34.5)))
    towards = middle - skin.points_lps_mm
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    assert np.degrees(np.arccos((towards * skin.inward).sum(axis=1).clip(-1, 1))).max() < 3.0


@pytest.mark.parametrize("position", list(PatientPosition))
def test_support_is_the_lowest_skin_nearby(position: PatientPosition) -> None:
    angle = np.radians(12)
    turned = (np.cos(angle), -np.sin(angle), 0.0, np.sin(angle), np.cos(angle), 0.0, 0.0, 0.0, 1.0)
    grid = GridGeometry(
        (20, 18, 12), (2.0, 2.0, 25.0), (3.0, 4.0, 5.0), tuple(float(v) for v in turned)
    )
    body = blob(5, (20, 18, 12))
    body[3] = False
    support = Support.of(body, grid, position.plumb)
    reach = round(SUPPORT_MM / 25.0)
    for level in range(12):
        heights = []
        for k in range(max(0, level - reach), min(12, level + reach + 1)):
            j, i = np.nonzero(body[k])
            if len(i):
                places = grid.to_lps(np.stack([i, j, np.full(len(i), k)], axis=1))
                heights.append((places @ position.plumb).max())
        expected = max(heights, default=-np.inf)
        assert support.heights_mm[level] == pytest.approx(expected)
