"""Whether a mask keeps to the diameters that were drawn for it, on an ellipsoid of known size."""

from __future__ import annotations

import numpy as np
import pytest

from irplan.lesions import Click, Diameter, Prompt, Scribble
from irplan.lesions.lesion import LesionMask
from irplan.lesions.line_fit import reach_mm, unmet_lines

from .volumes import ellipsoid_mask, grid_of, middle_of

HALF = (16.0, 9.0, 12.0)
GRID = grid_of("supine", (60, 60, 60), (0.8, 0.8, 0.8))
CENTRE = np.asarray(middle_of(GRID))
ALONG = np.array([1.0, 0.0, 0.0])
MASK = LesionMask.from_full(ellipsoid_mask(GRID, tuple(CENTRE), HALF), GRID)


def line(axis: int, half_mm: float, shift_mm: float = 0.0) -> Diameter:
    step = np.zeros(3)
    step[axis] = 1.0
    middle = CENTRE + shift_mm * step
    return Diameter(tuple(middle - half_mm * step), tuple(middle + half_mm * step))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("share", [0.8, 1.0, 1.5])
def test_the_mask_reaches_as_far_as_it_is_wide(axis: int, share: float) -> None:
    drawn = line(axis, share * HALF[axis], 1.0)
    assert reach_mm(drawn, MASK) == pytest.approx(2 * HALF[axis], abs=1.0)


@pytest.mark.parametrize(
    ("half_mm", "told"),
    # The mask is 32 mm long: 30 % and 5 mm apart is much.
    [(16.0, False), (13.0, False), (11.8, True), (22.0, False), (23.5, True)],
)
def test_a_line_that_the_mask_does_not_keep_to_is_told(half_mm: float, told: bool) -> None:
    found = unmet_lines(Prompt("L1", None, (line(0, half_mm), line(1, 9.0))), MASK)
    assert [one.code for one in found] == (["diameter_not_met"] if told else [])
    if told:
        assert f"{2 * half_mm:.1f} mm" in found[0].message
        reach = float(found[0].message.split("over ")[1].split(" mm")[0])
        assert reach == pytest.approx(32.0, abs=1.0)


def test_a_small_difference_of_a_small_lesion_is_no_news() -> None:
    # A third of the length, and 4 mm: two voxels at either end.
    drawn = Prompt("L1", None, (line(1, 7.0),))
    assert unmet_lines(drawn, MASK) == ()


def test_a_line_beside_the_mask_is_told() -> None:
    start, end = ((x, y + 30.0, z) for x, y, z in (CENTRE - 8 * ALONG, CENTRE + 8 * ALONG))
    (found,) = unmet_lines(Prompt("L1", None, (Diameter(start, end),)), MASK)
    assert "over 0.0 mm" in found.message


@pytest.mark.parametrize("inside", [True, False])
def test_what_a_person_took_off_later_is_not_held_against_the_line(inside: bool) -> None:
    x, y, z = CENTRE
    for more in (Click((x + 20, y, z), inside), Scribble(((x, y, z), (x + 9, y, z)), inside)):
        found = unmet_lines(Prompt("L1", None, (line(0, 26.0), more)), MASK)
        assert bool(found) == inside
