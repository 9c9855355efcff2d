"""Matching by voxels: the cases as a table, and what holds for any masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irplan.followup import match_lesions
from irplan.geometry import GridGeometry
from irplan.lesions.lesion import LesionMask

GRID = GridGeometry((40, 30, 20), (1.5, 1.5, 2.0), (0.0, 0.0, 0.0))


def box(x: int, y: int, z: int, wide: int = 6) -> LesionMask:
    full = np.zeros(GRID.shape_zyx, dtype=bool)
    full[z : z + 5, y : y + 5, x : x + wide] = True
    return LesionMask.from_full(full, GRID)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"A": box(3, 3, 3)}, {"x": box(4, 3, 3)}, [("A", "x", "same")]),
        ({"A": box(3, 3, 3)}, {}, [("A", "", "gone")]),
        ({}, {"x": box(3, 3, 3)}, [("", "x", "new")]),
        ({"A": box(3, 3, 3)}, {"x": box(20, 3, 3)}, [("A", "", "gone"), ("", "x", "new")]),
        (
            {"A": box(3, 3, 3, 16)},
            {"x": box(2, 3, 3), "y": box(14, 3, 3)},
            [("A", "x y", "split")],
        ),
        (
            {"A": box(3, 3, 3), "B": box(12, 3, 3)},
            {"x": box(3, 3, 3, 16)},
            [("A B", "x", "merged")],
        ),
        (
            {"A": box(3, 3, 3, 12), "B": box(17, 3, 3, 12)},
            {"x": box(3, 3, 3), "y": box(10, 3, 3, 12), "z": box(23, 3, 3)},
            [("A B", "x y z", "unclear")],
        ),
        # One voxel row of six in common is no match.
        ({"A": box(3, 3, 3)}, {"x": box(8, 3, 3)}, [("A", "", "gone"), ("", "x", "new")]),
    ],
)
def test_cases(old, new, expected) -> None:
    found = [(" ".join(m.old_ids), " ".join(m.new_ids), m.status) for m in match_lesions(old, new)]
    assert found == expected


masks = st.dictionaries(
    st.sampled_from("ABCDEF"),
    st.builds(box, st.integers(0, 34), st.integers(0, 25), st.integers(0, 15), st.integers(1, 6)),
    max_size=5,
)


@settings(max_examples=60)
@given(masks, masks)
def test_every_lesion_stands_in_exactly_one_proposal(old, new) -> None:
    found = match_lesions(old, new)
    assert sorted(name for one in found for name in one.old_ids) == sorted(old)
    assert sorted(name for one in found for name in one.new_ids) == sorted(new)
    # The other way round the same lesions belong together.
    back = {(frozenset(m.new_ids), frozenset(m.old_ids)) for m in match_lesions(new, old)}
    assert back == {(frozenset(m.old_ids), frozenset(m.new_ids)) for m in found}
