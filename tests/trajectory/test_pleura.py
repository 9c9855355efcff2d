"""Pleural crossings at lesions on the pleura, against dense samples of the lung without lesion."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from irplan.anatomy import Anatomy, Structure
from irplan.geometry import GridGeometry
from irplan.lesions.lesion import LesionMask
from irplan.trajectory import load_constraints
from irplan.trajectory.exact import local_mm, walk
from irplan.trajectory.margins import margins_for
from irplan.trajectory.rules import VESSEL_IN_LUNG_MM

#: A lung as a box in the grid's own frame, mm (x, y, z): chest wall before it, something behind.
LUNG = np.array([(12.0, 20.0, 10.0), (68.0, 72.0, 70.0)])

#: Lesions as boxes, low and high corner, and whether they take part of what is the lung.
LESIONS = {
    "in the lung": ((30, 40, 30), (48, 56, 50)),
    "at the pleura, from inside": ((30, 20, 30), (48, 36, 50)),
    "through the pleura": ((30, 14, 30), (48, 34, 50)),
    "over the pleura by a voxel": ((30, 18, 30), (48, 36, 50)),
    "at the pleura, from outside": ((30, 8, 30), (48, 20, 50)),
    "a plaque outside the pleura": ((22, 16, 22), (58, 20, 58)),
    "behind the lung": ((30, 72, 30), (48, 88, 50)),
    "behind, a voxel into the lung": ((30, 70, 30), (48, 88, 50)),
}

OUTSIDE = ("at the pleura, from outside", "a plaque outside the pleura", "behind the lung",
           "behind, a voxel into the lung")  # fmt: skip


def case(name: str, spacing: tuple[float, float, float], rim: bool = False):
    size = tuple(round(edge / step) for edge, step in zip((80, 92, 80), spacing, strict=True))
    turned = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    grid = GridGeometry(size, spacing, (-7.0, 31.0, -90.0), turned)
    middles = [(np.arange(n) + 0.5) * step for n, step in zip(size, spacing, strict=True)]
    x, y, z = (a.transpose(2, 1, 0) for a in np.meshgrid(*middles, indexing="ij"))

    def box(low, high):
        inside = np.ones(x.shape, dtype=bool)
        for axis, values in enumerate((x, y, z)):
            inside &= (values > low[axis]) & (values < high[axis])
        return inside

    low, high = (np.asarray(corner, dtype=float) for corner in LESIONS[name])
    labels = box(*LUNG).astype(np.uint8)
    mask = box(low, high)
    labels[box(low - spacing, high + spacing) if rim else mask] = 0
    lung = Structure("lung_left", 1, Decimal(1), "imported", "as given")
    return Anatomy(labels, grid, (lung,)), LesionMask.from_full(mask, grid), low, high


def sampled_crossings(a: np.ndarray, b: np.ndarray) -> int:
    """How often samples of the segment go into or out of the box that the lung is."""
    count = int(np.linalg.norm(b - a) / 0.01)
    points = a + (np.arange(count) + 0.5)[:, None] / count * (b - a)
    inside = np.all((points > LUNG[0]) & (points < LUNG[1]), axis=1)
    return int(np.count_nonzero(np.diff(inside.astype(int))))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 2.0, 2.0)], ids=["fine", "coarse"])
@pytest.mark.parametrize(
    ("name", "rim"),
    # Beside a lesion that lies outside it the rim is not the lung's.
    [(name, rim) for name in LESIONS for rim in (False, True) if not (rim and name in OUTSIDE)],
)
def test_crossings_at_a_lesion_are_those_of_the_lung_beneath_it(
    name: str, rim: bool, spacing: tuple[float, float, float]
) -> None:
    anatomy, mask, low, high = case(name, spacing, rim)
    margins = margins_for(anatomy, mask, load_constraints(), "ct")
    body = np.ones(anatomy.labels.shape, dtype=bool)
    rng = np.random.default_rng(2)
    for number in range(90):
        a = rng.uniform((1, 1, 1), (79, 91, 79))
        a[number % 3] = (1.0, 1.5, 79.0)[number % 3]
        if number % 4 == 0:
            a[1] = 90.0
        b = rng.uniform(low + 0.5, high - 0.5)
        # A rim of unlabelled voxels may lie on either side of the pleura.
        if rim and np.abs(b[1] - LUNG[:, 1]).min() < 2.5:
            continue
        _, _, crossings = walk(
            anatomy.labels, body, np.asarray(spacing), a, b, 2, margins.is_lung,
            margins.lung_side.voxels, np.asarray(margins.lung_side.start, dtype=np.int64),
            VESSEL_IN_LUNG_MM,
        )  # fmt: skip
        assert crossings == sampled_crossings(a, b), (a, b)


def test_the_frame_of_the_scene_is_the_one_walked_in() -> None:
    anatomy, mask, low, _ = case("in the lung", (1.0, 1.0, 1.0))
    first = anatomy.grid.to_lps(np.asarray(mask.start))
    assert local_mm(first, anatomy.grid) == pytest.approx(low + 0.5)


def test_a_lesion_at_the_top_of_the_liver_is_reached_through_the_lung_by_two_crossings() -> None:
    anatomy, mask, _, _ = case("in the lung", (1.0, 1.0, 1.0))
    labels = anatomy.labels.copy()
    # The lung goes on over the lesion and beside its upper part alone.
    labels[:, :, :] = np.where((np.indices(labels.shape)[1] >= 44) & (labels == 1), 2, labels)
    liver = Structure("liver", 2, Decimal(1), "imported", "as given")
    domed = Anatomy(labels, anatomy.grid, (*anatomy.structures, liver))
    margins = margins_for(domed, mask, load_constraints(), "ct")
    a, b = np.array([40.0, 2.0, 40.0]), np.array([40.0, 50.0, 40.0])
    _, _, crossings = walk(
        labels, np.ones(labels.shape, dtype=bool), np.ones(3), a, b, 3, margins.is_lung,
        margins.lung_side.voxels, np.asarray(margins.lung_side.start, dtype=np.int64),
        VESSEL_IN_LUNG_MM,
    )  # fmt: skip
    assert crossings == 2
