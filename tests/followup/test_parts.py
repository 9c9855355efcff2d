"""Splits and mergers that only the image tells, on bodies given by formulas."""

from __future__ import annotations

import numpy as np
import pytest

from irplan.followup.parts import grown_together, pieces
from irplan.geometry import BoolArray, GridGeometry
from irplan.lesions.lesion import LesionMask
from irplan.volume import CtVolume

GRID = GridGeometry((64, 48, 30), (1.0, 1.0, 2.0), (-32.0, -24.0, -30.0))
BODY = np.ones(GRID.shape_zyx, dtype=bool)


def balls(*parts: tuple[float, float]) -> BoolArray:
    """Voxels of balls on the x axis, each by its x and its radius, mm."""
    z, y, x = np.indices(GRID.shape_zyx)
    points = GRID.to_lps(np.stack([x, y, z], axis=-1))
    inside = np.zeros(GRID.shape_zyx, dtype=bool)
    for centre, radius in parts:
        inside |= np.linalg.norm(points - np.array([centre, 0.0, 0.0]), axis=-1) <= radius
    return inside


def bar(low: float, high: float, radius: float) -> BoolArray:
    """Voxels of a bar along the x axis."""
    z, y, x = np.indices(GRID.shape_zyx)
    points = GRID.to_lps(np.stack([x, y, z], axis=-1))
    near = np.hypot(points[..., 1], points[..., 2]) <= radius
    return near & (points[..., 0] >= low) & (points[..., 0] <= high)


def scan(inside: BoolArray, hu: float, around: float, noise: float, seed: int = 3) -> CtVolume:
    rng = np.random.default_rng(seed)
    values = np.where(inside, hu, around) + rng.normal(0.0, noise, inside.shape)
    return CtVolume(np.rint(values).astype(np.int16), GRID)


def mask(inside: BoolArray) -> LesionMask:
    return LesionMask.from_full(inside, GRID)


#: Bright in fat, bright and dark in a parenchyma; the noise of a diagnostic scan.
LOOKS = [(50.0, -90.0, 12.0), (140.0, 60.0, 12.0), (40.0, 110.0, 12.0)]


@pytest.mark.parametrize("look", LOOKS)
def test_a_lesion_in_pieces(look) -> None:
    place = mask(bar(-16, 16, 8.0))
    left, right = balls((-9.0, 6.0)), balls((9.0, 5.0))
    found = pieces(scan(left | right, *look), place, BODY)
    assert len(found) == 2
    # The larger first, each where it was put and nearly all of it.
    for one, truth in zip(found, (left, right), strict=True):
        both = one.to_full() & truth
        assert 2 * both.sum() / (one.to_full().sum() + truth.sum()) > 0.85


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("seed", range(3))
def test_a_lesion_that_is_whole(look, seed: int) -> None:
    for inside in (
        bar(-16, 16, 8.0),
        # Smaller than it was, or with a waist that still joins both ends.
        balls((2.0, 5.0)),
        balls((-8.0, 7.0), (8.0, 7.0)) | bar(-8, 8, 4.0),
    ):
        assert pieces(scan(inside, *look, seed=seed), mask(bar(-16, 16, 8.0)), BODY) == ()


def test_what_is_not_a_piece_of_the_lesion() -> None:
    place = mask(balls((-6.0, 8.0)))
    # A neighbour at the border of the old place, and a speck within it.
    neighbour = scan(balls((-6.0, 7.0), (10.0, 7.0)), 50.0, -90.0, 8.0)
    assert pieces(neighbour, place, BODY) == ()
    # A muscle close by, of which a cap lies within reach of the old place.
    muscle = np.indices(GRID.shape_zyx)[2] >= GRID.to_index(np.array([2.0, 0.0, 0.0]))[0]
    assert pieces(scan(balls((-7.0, 6.0)) | muscle, 50.0, -90.0, 8.0), place, BODY) == ()
    speck = scan(balls((-8.0, 5.0), (1.0, 1.6)), 50.0, -90.0, 4.0)
    assert pieces(speck, place, BODY) == ()
    # Nothing is told without contrast.
    assert pieces(scan(balls((-6.0, 7.0)), 50.0, 45.0, 12.0), place, BODY) == ()


def test_a_necrotic_middle_is_no_gap_between_pieces() -> None:
    shell = balls((0.0, 11.0)) & ~balls((0.0, 6.0))
    assert pieces(scan(shell, 90.0, -90.0, 10.0), mask(balls((0.0, 11.0))), BODY) == ()


@pytest.mark.parametrize("look", LOOKS)
def test_two_lesions_grown_together(look) -> None:
    first, second = balls((-10.0, 8.0)), balls((10.0, 8.0))
    joined = first | second | bar(-10, 10, 6.0)
    found = grown_together(scan(joined, *look), mask(first), mask(second), BODY)
    assert found is not None
    assert found.to_full()[first | second].all()
    both = found.to_full() & joined
    assert 2 * both.sum() / (found.to_full().sum() + joined.sum()) > 0.9


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("seed", range(3))
def test_two_lesions_that_are_apart(look, seed: int) -> None:
    first, second = balls((-10.0, 8.0)), balls((10.0, 8.0))
    # A gap, or a strand that joins nothing: a vessel, a septum.
    for inside in (first | second, first | second | bar(-10, 10, 1.5)):
        assert (
            grown_together(scan(inside, *look, seed=seed), mask(first), mask(second), BODY) is None
        )


def test_lesions_far_apart_are_not_looked_at() -> None:
    first, second = balls((-20.0, 6.0)), balls((20.0, 6.0))
    everywhere = scan(bar(-30, 30, 20.0), 50.0, -90.0, 5.0)
    assert grown_together(everywhere, mask(first), mask(second), BODY) is None
