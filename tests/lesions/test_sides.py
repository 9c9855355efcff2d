"""The midline and the sides, on made-up bodies whose middle is known."""

from __future__ import annotations

import numpy as np
import pytest

from irplan.geometry import GridGeometry
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.lesions.sides import find_midline, side_findings
from irplan.volume import CtVolume

SPACING = (4.0, 4.0, 6.0)
MIDDLE_X = 13.0


def grid_with(axes: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> GridGeometry:
    """100 × 70 × 30 voxels about the origin; a sign of -1 turns an axis round."""
    size = np.array([100, 70, 30])
    origin = -np.array(axes) * (size - 1) * np.array(SPACING) / 2.0
    direction = np.diag(axes).ravel()
    return GridGeometry((100, 70, 30), SPACING, tuple(origin.tolist()), tuple(direction.tolist()))


def trunk(
    grid: GridGeometry,
    half_width_mm: float = 160.0,
    *,
    left_lung_only: bool = False,
    middle_x: float = MIDDLE_X,
) -> tuple[CtVolume, np.ndarray]:
    """An oval body about x = 13 mm, with a spine behind and lungs that differ in size."""
    k, j, i = np.indices(grid.shape_zyx)
    x, y, _ = np.moveaxis(grid.to_lps(np.stack([i, j, k], axis=-1)), -1, 0)
    x = x - middle_x
    body = (x / half_width_mm) ** 2 + (y / 100.0) ** 2 <= 1.0
    hu = np.where(body, 40, -1000)
    hu[(x**2 + (y - 60.0) ** 2) <= 22.0**2] = 400
    for side, size in ((1.0, 40.0), (-1.0, 52.0)):
        if half_width_mm > 100 and not (left_lung_only and side < 0):
            hu[((x - side * 75.0) / size) ** 2 + (y / 60.0) ** 2 <= 1.0] = -850
    return CtVolume(hu.astype(np.int16), grid), body


def lesion_at(grid: GridGeometry, x_mm: float, side: str = "", source: str = "") -> Lesion:
    i, j, k = grid.nearest_index((x_mm, 0.0, 0.0))
    mask = LesionMask(np.ones((1, 1, 1), dtype=bool), (i, j, k), grid)
    return Lesion(
        "L1",
        1,
        LesionSource.IMPORTED,
        mask=mask,
        side=side,
        side_source=source,
        centroid_lps_mm=(x_mm, 0.0, 0.0),
    )


@pytest.mark.parametrize("axes", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1), (1, -1, -1)])
@pytest.mark.parametrize("left_lung_only", [False, True])
def test_the_midline_of_a_trunk_is_found(axes, left_lung_only):
    volume, body = trunk(grid_with(axes), left_lung_only=left_lung_only)
    found = find_midline(volume, body, 0.0)
    assert found.x_mm == pytest.approx(MIDDLE_X, abs=5.0)
    assert found.by == "mirror"


def test_a_body_that_the_scan_cuts_is_judged_by_its_mirror_image():
    """The left flank lies outside the scan: the middle of what is seen would be 30 mm off."""
    grid = grid_with()
    volume, body = trunk(grid, 180.0, middle_x=60.0)
    assert body[:, :, -1].any()
    columns = np.flatnonzero(body.any(axis=(0, 1)))
    seen = grid.to_lps((columns.mean(), 0, 0))[0]
    assert abs(seen - 60.0) > 15.0
    assert find_midline(volume, body, 0.0).x_mm == pytest.approx(60.0, abs=6.0)


def test_a_single_limb_has_no_midline_and_beside_a_trunk_it_has_the_trunks():
    grid = grid_with()
    volume, body = trunk(grid, 70.0)
    assert find_midline(volume, body, 0.0) is None
    whole, wide = trunk(grid)
    hu, both = whole.hu.copy(), wide.copy()
    shifted, limb = trunk(grid, 60.0, middle_x=90.0)
    hu[:12], both[:12] = shifted.hu[:12], limb[:12]
    z = float(grid.to_lps((0, 0, 2))[2])
    found = find_midline(CtVolume(hu, grid), both, z)
    assert found.by == "trunk"
    assert found.x_mm == pytest.approx(MIDDLE_X, abs=5.0)


def test_no_body_no_midline():
    volume, body = trunk(grid_with())
    assert find_midline(volume, np.zeros_like(body), 0.0) is None
    assert find_midline(volume, body, 5000.0) is None


#: Place, side given; then the side that stands, its source and the finding.
CASES = [
    (MIDDLE_X + 60, "", "left", "proposed", "side_proposed"),
    (MIDDLE_X - 60, "", "right", "proposed", "side_proposed"),
    (MIDDLE_X + 4, "", "", "", None),
    (MIDDLE_X + 60, "left", "left", "given", None),
    (MIDDLE_X + 60, "Gauche", "Gauche", "given", None),
    (MIDDLE_X + 60, "right", "right", "given", "side_contradicts_midline"),
    (MIDDLE_X - 60, "L", "L", "given", "side_contradicts_midline"),
    (MIDDLE_X - 8, "left", "left", "given", None),
    (MIDDLE_X - 60, "bilateral", "bilateral", "given", None),
    (MIDDLE_X - 60, "upper", "upper", "given", "side_not_understood"),
]


@pytest.mark.parametrize(("x_mm", "told", "side", "source", "code"), CASES)
def test_a_side_is_proposed_checked_and_never_replaced(x_mm, told, side, source, code):
    grid = grid_with()
    volume, body = trunk(grid)
    found = side_findings(lesion_at(grid, x_mm, told), volume, body)
    assert (found.side, found.side_source) == (side, source)
    assert [one.code for one in found.findings] == ([code] if code else [])
    # A second look says the same once.
    assert side_findings(found, volume, body) == found


def test_without_a_midline_the_side_stays_unknown_and_a_given_one_unchecked():
    grid = grid_with()
    volume, body = trunk(grid, 70.0)
    assert side_findings(lesion_at(grid, 60.0), volume, body).side == ""
    told = side_findings(lesion_at(grid, 60.0, "right"), volume, body)
    assert [one.code for one in told.findings] == ["side_unchecked"]
    assert side_findings(lesion_at(grid, 60.0), volume, None).side == ""
