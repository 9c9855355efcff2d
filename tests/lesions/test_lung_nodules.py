"""Nodules on the chest wall and part-solid ones, on bodies whose truth is a formula."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from irplan.findings import Finding
from irplan.geometry import FloatArray
from irplan.lesions import Click, Diameter, LesionKind, Prompt, segment_one
from irplan.lesions.lung import find_wall
from irplan.lesions.segmentation import look_at
from irplan.lesions.shape import grid_mm, sphere
from irplan.volume import CtVolume

from .volumes import centres_lps_mm, grid_of, middle_of

LUNG_HU, SOLID_HU, WALL_HU, GLASS_HU = -850.0, 30.0, 45.0, -560.0
#: The chest wall is the outside of a ball of this radius.
CHEST_MM = 90.0
#: Where the solid core of a part-solid nodule lies from its middle.
CORE_AT = np.array([3.0, -2.0, 0.0])


def point(values) -> tuple[float, float, float]:
    x, y, z = np.asarray(values, dtype=float).tolist()
    return x, y, z


def painted(hu_at: Callable[[FloatArray], FloatArray], axes: str = "supine") -> CtVolume:
    """HU as a function of mm from the middle, with partial volume (3 points an axis) and noise."""
    grid = grid_of(axes, (64, 64, 44), (1.0, 1.0, 1.5))
    z, y, x = np.indices(grid.shape_zyx)
    index = np.stack([x, y, z], axis=-1).astype(float)
    hu = np.zeros(grid.shape_zyx)
    for shift in np.ndindex(3, 3, 3):
        places = grid.to_lps(index + (np.array(shift) - 1.0) / 3.0) - middle_of(grid)
        hu += hu_at(places) / 27.0
    noise = np.random.default_rng(3).normal(0.0, 15.0, hu.shape)
    return CtVolume(np.rint(hu + noise).astype(np.int16), grid)


def into_wall_mm(places: FloatArray, gap_mm: float) -> FloatArray:
    """How far places lie in a chest wall whose nearest point is ``gap_mm`` left of the middle."""
    return np.linalg.norm(np.add(places, [CHEST_MM - gap_mm, 0.0, 0.0]), axis=-1) - CHEST_MM


@cache
def wall_scene(radius_mm: float, gap_mm: float, axes: str = "supine"):
    """A ball in the lung that the chest wall cuts off, its true mask, and its middle."""

    def hu_at(places: FloatArray) -> FloatArray:
        hu = np.where(np.linalg.norm(places, axis=-1) <= radius_mm, SOLID_HU, LUNG_HU)
        return np.where(into_wall_mm(places, gap_mm) > 0.0, WALL_HU, hu)

    volume = painted(hu_at, axes)
    return volume, wall_truth(volume, radius_mm, gap_mm), middle_of(volume.geometry)


def wall_truth(volume: CtVolume, radius_mm: float, gap_mm: float) -> np.ndarray:
    """The voxels of a ball up to the chest wall."""
    places = centres_lps_mm(volume.geometry) - middle_of(volume.geometry)
    return (np.linalg.norm(places, axis=-1) <= radius_mm) & (into_wall_mm(places, gap_mm) <= 0.0)


def lines(centre: FloatArray, left: float, right: float, half: float) -> tuple[Diameter, ...]:
    """Head to foot, front to back, and from the free end to the wall."""
    ends = [
        ([0.0, 0.0, -half], [0.0, 0.0, half]),
        ([0.0, -half, 0.0], [0.0, half, 0.0]),
        ([-right, 0.0, 0.0], [left, 0.0, 0.0]),
    ]
    return tuple(Diameter(point(centre + a), point(centre + b)) for a, b in ends)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * np.count_nonzero(first & second) / (first.sum() + second.sum())


@pytest.mark.parametrize("axes", ["supine", "oblique"])
@pytest.mark.parametrize("gap_mm", [1.0, 6.0])
@pytest.mark.parametrize("drawn", ["three lines", "one line", "click"])
def test_a_nodule_on_the_chest_wall_ends_there(axes, gap_mm, drawn):
    radius_mm = 10.0
    volume, truth, centre = wall_scene(radius_mm, gap_mm, axes)
    across = lines(centre, gap_mm, radius_mm, radius_mm)
    gestures = {
        "three lines": across,
        "one line": across[1:2],
        "click": (Click(point(np.add(centre, [-3.0, 1.0, 0.5]))),),
    }[drawn]
    lesion = segment_one(volume, Prompt("L1", None, gestures), None, 1)
    found = lesion.mask.to_full()
    assert lesion.kind is LesionKind.LUNG
    assert "lesion_on_chest_wall" in {finding.code for finding in lesion.findings}
    # No worse than a border half a slice inside the true one everywhere, as fine as the scan shows.
    assert dice(found, truth) > dice(wall_truth(volume, radius_mm - 0.75, gap_mm - 0.75), truth)
    true_ml = truth.sum() * volume.geometry.voxel_ml
    assert float(lesion.volume_ml) == pytest.approx(true_ml, rel=0.12)
    places = centres_lps_mm(volume.geometry)[found] - centre
    assert into_wall_mm(places, gap_mm).max() < 2.0


def test_the_wall_is_laid_over_the_nodule_where_nothing_shows_it():
    volume, _, centre = wall_scene(10.0, 3.0)
    shape = sphere(grid_mm(volume.geometry, centre), 10.0)
    wall = find_wall(volume, shape, np.zeros((0, 3)))
    # Places behind the nodule, off its middle, where soft tissue meets soft tissue.
    places = np.array([[0.0, a, b] for a in (-6.0, 0.0, 6.0) for b in (-6.0, 0.0, 6.0)])
    for depth in (-2.0, 0.0, 4.0):
        moved = np.add(places, [3.0 + depth, 0.0, 0.0])
        true = into_wall_mm(moved, 3.0)
        found = wall.beyond_mm(grid_mm(volume.geometry, centre + moved))
        np.testing.assert_allclose(found, true, atol=0.6)


def test_a_line_into_the_wall_and_a_nodule_far_from_it():
    volume, _, centre = wall_scene(10.0, 3.0)
    shape = sphere(grid_mm(volume.geometry, centre), 10.0)
    into = grid_mm(volume.geometry, centre + np.array([[11.0, 0.0, 0.0], [-10.0, 0.0, 0.0]]))
    assert find_wall(volume, shape, into) is None
    slip = grid_mm(volume.geometry, centre + np.array([[6.0, 0.0, 0.0], [-10.0, 0.0, 0.0]]))
    behind = grid_mm(volume.geometry, centre + np.array([4.5, 0.0, 0.0]))
    assert find_wall(volume, shape, slip).beyond_mm(behind) < 0.0
    free = painted(
        lambda places: np.where(np.linalg.norm(places, axis=-1) <= 8.0, SOLID_HU, LUNG_HU)
    )
    assert find_wall(free, shape, np.zeros((0, 3))) is None


def test_what_was_drawn_beyond_the_pleura_is_round():
    radius_mm, gap_mm = 16.0, 12.5
    volume, _, centre = wall_scene(radius_mm, gap_mm)
    # The line into the wall ends where the ball does, 3.5 mm beyond the pleura.
    drawn = lines(centre, radius_mm, radius_mm, radius_mm)
    lesion = segment_one(volume, Prompt("L1", None, drawn), None, 1)
    assert "lesion_on_chest_wall" in {finding.code for finding in lesion.findings}
    found = centres_lps_mm(volume.geometry)[lesion.mask.to_full()] - centre
    beyond = found[into_wall_mm(found, gap_mm) > 0.0]
    cap_ml = np.pi * 3.5**2 * (radius_mm - 3.5 / 3.0) / 1000.0
    assert len(beyond) * volume.geometry.voxel_ml == pytest.approx(cap_ml, rel=0.35)
    assert float(lesion.volume_ml) == pytest.approx(4 / 3 * np.pi * radius_mm**3 / 1000, rel=0.02)


@cache
def part_solid_scene(radius_mm: float, core_mm: float):
    """A ball of ground glass with a solid core off its middle, its true mask, and its middle."""

    def hu_at(places: FloatArray) -> FloatArray:
        hu = np.where(np.linalg.norm(places, axis=-1) <= radius_mm, GLASS_HU, LUNG_HU)
        core = np.linalg.norm(places - CORE_AT, axis=-1) <= core_mm
        return np.where(core, SOLID_HU, hu)

    volume = painted(hu_at)
    centre = middle_of(volume.geometry)
    places = centres_lps_mm(volume.geometry) - centre
    return volume, np.linalg.norm(places, axis=-1) <= radius_mm, centre


@pytest.mark.parametrize("core_mm", [4.0, 6.0])
@pytest.mark.parametrize("aside", [(0.0, 0.0, 0.0), (1.5, 1.0, -1.0), (-10.0, 2.0, 2.0)])
def test_a_click_anywhere_in_a_part_solid_nodule_takes_the_whole(core_mm, aside):
    radius_mm = 11.0
    volume, truth, centre = part_solid_scene(radius_mm, core_mm)
    click = Click(point(centre + CORE_AT + aside))
    lesion = segment_one(volume, Prompt("L1", None, (click,)), None, 1)
    places = centres_lps_mm(volume.geometry) - centre
    half_a_slice_inside = np.linalg.norm(places, axis=-1) <= radius_mm - 0.75
    assert dice(lesion.mask.to_full(), truth) > dice(half_a_slice_inside, truth)
    assert "lesion_part_solid" in {finding.code for finding in lesion.findings}


@pytest.mark.parametrize("core_mm", [0.0, 4.0, 6.0])
def test_the_ground_glass_of_a_part_solid_nodule_belongs_to_it(core_mm):
    radius_mm = 11.0
    volume, truth, centre = part_solid_scene(radius_mm, core_mm)
    drawn = lines(centre, radius_mm, radius_mm, radius_mm)
    lesion = segment_one(volume, Prompt("L1", None, drawn), None, 1)
    assert dice(lesion.mask.to_full(), truth) > 0.95
    told = "lesion_part_solid" in {finding.code for finding in lesion.findings}
    assert told == (core_mm > 0.0)
    exact_ml = 4.0 / 3.0 * np.pi * radius_mm**3 / 1000.0
    assert float(lesion.volume_ml) == pytest.approx(exact_ml, rel=0.05)


def test_a_solid_nodule_is_read_with_its_own_hu():
    volume = painted(
        lambda places: np.where(np.linalg.norm(places, axis=-1) <= 6.0, SOLID_HU, LUNG_HU)
    )
    centre = middle_of(volume.geometry)
    prompt = Prompt("L1", None, lines(centre, 6.0, 6.0, 6.0))
    look = look_at(volume, prompt, None, sphere(grid_mm(volume.geometry, centre), 6.0))
    assert look.kind is LesionKind.LUNG
    assert look.region.level_hu == pytest.approx(SOLID_HU, abs=15.0)


@pytest.mark.parametrize("radius_mm", [4.0, 6.0])
def test_a_click_beside_the_border_of_a_small_nodule_takes_no_chest(radius_mm):
    volume, truth, centre = wall_scene(radius_mm, 1.0)
    lesion = segment_one(
        volume, Prompt("L1", None, (Click(point(np.add(centre, [-1.0, 1.5, 1.0]))),)), None, 1
    )
    true_ml = truth.sum() * volume.geometry.voxel_ml
    assert float(lesion.volume_ml) < 2.0 * true_ml
    assert dice(lesion.mask.to_full(), truth) > 0.7


def test_a_click_with_no_border_in_reach_is_no_lesion():
    grid = grid_of("supine", (150, 150, 100), (1.0, 1.0, 1.5))
    noise = np.random.default_rng(4).normal(50.0, 12.0, grid.shape_zyx)
    volume = CtVolume(np.rint(noise).astype(np.int16), grid)
    answer = segment_one(volume, Prompt("L1", None, (Click(point(middle_of(grid))),)), None, 1)
    assert isinstance(answer, Finding)
    assert answer.code == "lesion_not_found"
