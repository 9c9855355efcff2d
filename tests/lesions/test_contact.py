"""Contacts against plain geometry: boxes and balls whose distances are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from irplan.geometry import GridGeometry
from irplan.lesions.contact import gap_mm, with_contacts
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource

GRID = GridGeometry((60, 50, 40), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0))


def box(x: tuple[int, int], y: tuple[int, int], z: tuple[int, int]) -> np.ndarray:
    out = np.zeros(GRID.shape_zyx, dtype=bool)
    out[z[0] : z[1], y[0] : y[1], x[0] : x[1]] = True
    return out


def contacts(mask: np.ndarray, structures: dict[str, np.ndarray], body=None, depth=12.0):
    labels = np.zeros(GRID.shape_zyx, dtype=np.uint8)
    names = {}
    for label, (name, voxels) in enumerate(structures.items(), start=1):
        labels[voxels] = label
        names[label] = name
    body = np.ones(GRID.shape_zyx, dtype=bool) if body is None else body
    lesion = Lesion(
        "L1",
        1,
        LesionSource.IMPORTED,
        mask=LesionMask.from_full(mask, GRID),
        depth_below_skin_mm=depth,
    )
    (made,) = with_contacts((lesion,), labels, names, body, GRID)
    return {one.what: one for one in made.contacts}


LESION = box((20, 26), (20, 26), (15, 20))


def test_what_nobody_segmented_is_unknown():
    found = contacts(LESION, {}, depth=None)
    assert {name: one.state for name, one in found.items()} == {
        "skin": "unknown",
        "pleura": "unknown",
        "capsule": "unknown",
        "large_vessel": "unknown",
    }
    assert all(one.distance_mm is None for one in found.values())


@pytest.mark.parametrize(("first", "gap", "state"), [(26, 0, "touches"), (28, 2, "touches")])
def test_a_vessel_beside_it_touches(first, gap, state):
    vessel = contacts(LESION, {"aorta": box((first, first + 4), (0, 50), (0, 40))})["large_vessel"]
    assert (vessel.state, vessel.distance_mm, vessel.structure) == (state, gap, "aorta")


def test_the_nearest_vessel_is_told_and_a_far_one_is_clear():
    found = contacts(
        LESION,
        {
            "aorta": box((40, 44), (0, 50), (0, 40)),
            "iliac_vessels": box((31, 33), (0, 50), (0, 40)),
            "stomach": box((26, 28), (0, 50), (0, 40)),
        },
    )["large_vessel"]
    assert (found.state, found.distance_mm, found.structure) == ("clear", 5.0, "iliac_vessels")


def test_a_lung_lesion_touches_the_pleura_where_it_reaches_the_wall():
    lung = box((2, 58), (2, 48), (2, 38))
    inside = contacts(LESION, {"lung_left": lung & ~LESION})["pleura"]
    assert (inside.state, inside.distance_mm) == ("clear", 18.0)
    at_wall = box((2, 8), (20, 26), (15, 20))
    assert contacts(at_wall, {"lung_left": lung & ~at_wall})["pleura"].state == "touches"
    # A vessel of the lung that nobody labelled is no wall.
    thin = box((27, 29), (20, 24), (16, 19))
    found = contacts(LESION, {"lung_left": lung & ~LESION & ~thin})["pleura"]
    assert found.distance_mm == 18.0


def test_a_lesion_outside_the_lung_is_measured_to_the_lung():
    found = contacts(LESION, {"lung_left": box((36, 58), (2, 48), (2, 38))})["pleura"]
    assert (found.state, found.distance_mm) == ("clear", 10.0)


def test_only_a_lesion_of_the_liver_has_a_capsule():
    liver = box((10, 40), (10, 40), (5, 30))
    deep = contacts(LESION, {"liver": liver & ~LESION})["capsule"]
    assert (deep.state, deep.distance_mm) == ("clear", 10.0)
    at_edge = box((11, 17), (20, 26), (15, 20))
    assert contacts(at_edge, {"liver": liver & ~at_edge})["capsule"].state == "touches"
    assert "capsule" not in contacts(box((50, 55), (20, 26), (15, 20)), {"liver": liver})


masks = arrays(np.bool_, (3, 5, 5), elements=st.booleans()).filter(lambda mask: mask.any())


@settings(max_examples=60, deadline=None)
@given(first=masks, second=masks)
def test_the_gap_equals_brute_force(first, second):
    grid = GridGeometry((5, 5, 3), (0.7, 1.1, 2.3), (0.0, 0.0, 0.0))
    second = second & ~first
    if not second.any():
        assert gap_mm(first, second, grid) is None
        return
    spacing = np.asarray(grid.spacing_zyx_mm)
    expected = min(
        float(np.linalg.norm(np.maximum(np.abs(a - b) - 1, 0) * spacing))
        for a in np.argwhere(first)
        for b in np.argwhere(second)
    )
    assert gap_mm(first, second, grid) == pytest.approx(expected)
