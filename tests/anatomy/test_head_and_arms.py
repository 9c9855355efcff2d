"""A head and arms whose shapes are formulas: the inside of the skull forbids, arms are no trunk."""

from __future__ import annotations

import numpy as np
import pytest

from irplan.anatomy import Anatomy, build_anatomy
from irplan.anatomy.arms import find_arms
from irplan.anatomy.coarse import CoarseScan
from irplan.anatomy.spine import Spine
from irplan.body import find_body
from irplan.findings import accept
from irplan.geometry import GridGeometry
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.volume import CtVolume

SKULL_MM = 7.0
CENTRE = np.array([100.0, 110.0, 150.0])
RADII = np.array([72.0, 90.0, 70.0])


def places(grid: GridGeometry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z, y, x = np.indices(grid.shape_zyx)
    a, b, c = (axis * step for axis, step in zip((x, y, z), grid.spacing_mm, strict=True))
    return a, b, c


def ellipsoid(x, y, z, radii):  # type: ignore[no-untyped-def]
    return sum(((p - c) / r) ** 2 for p, c, r in zip((x, y, z), CENTRE, radii, strict=True))


@pytest.fixture(scope="module")
def head() -> tuple[CtVolume, np.ndarray, np.ndarray]:
    """Scalp, skull with the great foramen, brain, nose and mouth; the neck's bones below."""
    grid = GridGeometry((100, 110, 80), (2.0, 2.0, 3.0), (-100.0, -110.0, 0.0))
    x, y, z = places(grid)
    hu = np.full(grid.shape_zyx, -1000.0)
    neck = (np.hypot(x - 100, y - 120) < 58) & (z < 150)
    hu[neck | (ellipsoid(x, y, z, RADII + 8) < 1)] = 40.0
    hu[ellipsoid(x, y, z, RADII) < 1] = 1100.0
    brain = ellipsoid(x, y, z, RADII - SKULL_MM) < 1
    hu[brain] = 35.0
    hu[(np.hypot(x - 100, y - 120) < 14) & (z > 60) & (z < 100)] = 35.0  # the great foramen
    ring = np.hypot(x - 100, y - 120)
    hu[(ring < 19) & (ring > 11) & (z < 76)] = 500.0
    hu[(np.hypot(x - 100, y - 98) < 9) & (z < 76)] = 400.0
    hu[(np.hypot(x - 100, y - 78) < 7) & (z < 70)] = -1000.0  # air of the pharynx
    hu += np.random.default_rng(8).normal(0, 12, hu.shape)
    return CtVolume(hu.astype(np.int16), grid), brain, ellipsoid(x, y, z, RADII + 8) < 1


@pytest.fixture(scope="module")
def found(head) -> Anatomy:  # type: ignore[no-untyped-def]
    volume, _, _ = head
    return build_anatomy(volume, find_body(volume))


def test_the_inside_of_the_skull_is_found_whole(head, found: Anatomy) -> None:  # type: ignore[no-untyped-def]
    _, brain, _ = head
    own = found.mask("brain")
    both = 2 * np.count_nonzero(own & brain) / (own.sum() + brain.sum())
    assert both > 0.93
    skull = found.mask("skull")
    # What is neither brain nor skull would be a way in.
    assert np.count_nonzero(brain & ~own & ~skull) < 0.03 * np.count_nonzero(brain)


def test_air_of_the_throat_is_no_bowel_gas(found: Anatomy) -> None:
    assert "bowel_gas" not in found.names
    assert "airways" in found.names


@pytest.mark.parametrize(
    ("offset", "stopped"), [((0, 0, 0), True), ((0, -40, 20), True), ((50, 0, 0), True),
                            ((0, 0, 74), False), ((0, 10, -130), False)],
)  # fmt: skip
def test_tumour_inside_the_skull_is_a_stop_that_nobody_accepts_away(
    head,
    offset,
    stopped: bool,  # type: ignore[no-untyped-def]
) -> None:
    volume, _, _ = head
    x, y, z = places(volume.geometry)
    at = CENTRE + offset
    mask = (x - at[0]) ** 2 + (y - at[1]) ** 2 + (z - at[2]) ** 2 < 5.0**2
    lesion = Lesion(
        "L1", 1, LesionSource.IMPORTED, mask=LesionMask.from_full(mask, volume.geometry)
    )
    told = build_anatomy(volume, find_body(volume), (lesion,)).findings
    stops = [one for one in told if one.code == "lesion_inside_skull"]
    assert bool(stops) is stopped
    for one in accept(told, {one.code: "seen" for one in stops}):
        assert one.accepted is None


def body_with_arms(gap_mm: float, bone: bool = True) -> tuple[CtVolume, np.ndarray, np.ndarray]:
    """A trunk with a spine, and two cylinders beside it."""
    grid = GridGeometry((150, 90, 40), (3.0, 3.0, 3.0), (-225.0, -135.0, 0.0))
    x, y, _ = places(grid)
    hu = np.full(grid.shape_zyx, -1000.0)
    trunk = ((x - 225) / 120) ** 2 + ((y - 130) / 95) ** 2 < 1
    aside = 120 + gap_mm + 42
    arms = [np.hypot(x - 225 - sign * aside, y - 130) < 42 for sign in (-1, 1)]
    for part in (trunk, *arms):
        hu[part] = 30.0
    ring = np.hypot(x - 225, y - 180)
    hu[(ring < 22) & (ring > 10)] = 500.0
    hu[np.hypot(x - 225, y - 142) < 22] = 500.0
    hu[np.hypot(x - 225, y - 142) < 17] = 180.0
    if bone:
        for sign in (-1, 1):
            shaft = np.hypot(x - 225 - sign * aside, y - 130)
            hu[shaft < 12] = 1000.0
            hu[shaft < 6] = -30.0
    hu += np.random.default_rng(1).normal(0, 10, hu.shape)
    return CtVolume(hu.astype(np.int16), grid), arms[0] & ~trunk, arms[1] & ~trunk


@pytest.mark.parametrize("gap_mm", [15.0, -2.0])
def test_arms_beside_the_body_are_told_apart(gap_mm: float) -> None:
    volume, right, left = body_with_arms(gap_mm)
    body = find_body(volume)
    found = build_anatomy(volume, body)
    for name, truth in (("arm_right", right), ("arm_left", left)):
        own = found.mask(name) | (found.mask("bone") & truth)
        both = 2 * np.count_nonzero(own & truth) / (own.sum() + truth.sum())
        assert both > 0.9, name
        # Nothing of the trunk is called arm.
        assert np.count_nonzero(found.mask(name) & ~truth) < 0.08 * np.count_nonzero(truth)


def test_an_arm_at_the_chest_is_followed_below_the_vein_that_hides_its_bone() -> None:
    grid = GridGeometry((90, 60, 50), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    z, y, x = (index * 2.0 for index in np.indices(grid.shape_zyx))
    scan = CoarseScan.of(np.zeros(grid.shape_zyx, np.int16), np.ones(grid.shape_zyx, bool), grid)
    lung = np.hypot(x - 60, y - 60) < 34
    shaft = np.hypot(x - 140, y - 60) < 9
    # Below 50 mm a bright vein lies against the bone: both together are neither round nor small.
    bone = shaft | ((z < 50) & (np.abs(y - 60) < 12) & (x > 140) & (x < 176))
    nowhere = np.full(50, np.nan)
    spine = Spine(np.zeros(50, dtype=bool), nowhere, nowhere, scan.none)
    left, right = find_arms(scan, bone, spine, lung, 60.0)
    assert not right.any()
    assert (left & shaft).any(axis=(1, 2)).all()
    # Half way to the lung, and no farther.
    assert x[left].min() > 106


def test_what_holds_no_bone_is_no_arm() -> None:
    volume, _, _ = body_with_arms(15.0, bone=False)
    found = build_anatomy(volume, find_body(volume))
    assert not {"arm_left", "arm_right"} & set(found.names)
