"""A click in the dead core of a lesion: the core alone is no answer without a word."""

from __future__ import annotations

import numpy as np
import pytest

from irplan.lesions import Click, Diameter, Prompt, segment_one
from irplan.volume import CtVolume

from .volumes import ellipsoid_mask, grid_of, middle_of

CORE_MM, WHOLE_MM = 8.0, 15.0


def codes(core_hu: float, rim_hu: float, outside_hu: float, *, line: bool = False) -> set[str]:
    """What is told of a ball with a core, found by a click in it or by a diameter."""
    grid = grid_of("supine", (70, 70, 44), (1.0, 1.0, 1.5))
    centre = middle_of(grid)
    hu = np.full(grid.shape_zyx, outside_hu)
    hu[ellipsoid_mask(grid, centre, (WHOLE_MM,) * 3)] = rim_hu
    hu[ellipsoid_mask(grid, centre, (CORE_MM,) * 3)] = core_hu
    hu += np.random.default_rng(6).normal(0.0, 10.0, hu.shape)
    x, y, z = centre.tolist()
    drawn = (
        Diameter((x - WHOLE_MM, y, z), (x + WHOLE_MM, y, z))
        if line
        else Click((x + 1.0, y - 2.0, z))
    )
    answer = segment_one(CtVolume(hu.astype(np.int16), grid), Prompt("L1", None, (drawn,)), None, 1)
    return {finding.code for finding in answer.findings}


@pytest.mark.parametrize("outside_hu", [-100.0, 60.0, 110.0])
def test_a_click_in_a_dead_core_is_told(outside_hu):
    assert "click_in_dark_core" in codes(18.0, 90.0, outside_hu)


@pytest.mark.parametrize(
    ("core_hu", "rim_hu", "outside_hu"),
    [
        (80.0, 80.0, -100.0),  # a solid lesion in fat
        (60.0, 110.0, 110.0),  # a solid lesion, darker than the liver around
        (20.0, 20.0, -100.0),  # fluid in fat: nothing brighter is near
    ],
)
def test_other_clicks_are_not(core_hu, rim_hu, outside_hu):
    assert "click_in_dark_core" not in codes(core_hu, rim_hu, outside_hu)


def test_who_draws_across_the_whole_lesion_is_not_asked_to():
    assert "click_in_dark_core" not in codes(18.0, 90.0, -100.0, line=True)
