"""Sites that the anatomy proposes: which, from what, and when none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from irplan.geometry import GridGeometry
from irplan.lesions.lesion import Lesion, LesionKind, LesionMask, LesionSource
from irplan.lesions.sites import with_site_proposals
from irplan.volume import CtVolume

GRID = GridGeometry((80, 40, 50), (4.0, 4.0, 4.0), (-160.0, -80.0, -100.0))
NAMES = {1: "lung_left", 2: "lung_right", 3: "liver", 4: "iliac_vessels"}


def labels() -> np.ndarray:
    """Lungs from z 20 to 100 and x -100 to 100, a liver below, vessels down to z -60."""
    made = np.zeros(GRID.shape_zyx, dtype=np.uint8)
    k = lambda z: int((z + 100) / 4)  # noqa: E731
    i = lambda x: int((x + 160) / 4)  # noqa: E731
    made[k(20) :, 5:35, i(-100) : i(0)] = 2
    made[k(20) :, 5:35, i(0) : i(100)] = 1
    made[k(-30) : k(20), 5:35, i(-100) : i(20)] = 3
    made[k(-60) : k(-40), 18:26, i(-60) : i(60)] = 4
    return made


def lesion(x: float, z: float, kind: LesionKind | None = None, depth: float = 60.0) -> Lesion:
    index = GRID.to_index(np.array([x, 0.0, z]))
    at = np.indices(GRID.shape_zyx)
    away = np.linalg.norm((at.transpose(1, 2, 3, 0)[..., ::-1] - index) * 4.0, axis=-1)
    mask = LesionMask.from_full(away <= 9.0, GRID)
    return Lesion(
        "L1", 1, LesionSource.SEGMENTED, kind=kind, mask=mask, centroid_lps_mm=(x, 0.0, z),
        depth_below_skin_mm=depth, diameter_3d_mm=16.0,
    )  # fmt: skip


def proposed(one: Lesion, hu: float = 40.0, names: dict[int, str] | None = None) -> Lesion:
    ct = CtVolume(np.full(GRID.shape_zyx, hu, dtype=np.int16), GRID)
    (made,) = with_site_proposals([one], ct, labels(), NAMES if names is None else names)
    return made


@pytest.mark.parametrize(
    ("one", "hu", "site"),
    [
        (lesion(50, 60), -800.0, "lung"),
        (lesion(-40, -8), 100.0, "liver"),
        (lesion(50, -8), -90.0, ""),
        (lesion(50, -8, depth=6.0), -90.0, "subcutaneous tissue"),
        # Not in fat; and too deep for its size.
        (lesion(50, -8, depth=6.0), 40.0, ""),
        (lesion(50, -8, depth=15.0), -90.0, ""),
        (lesion(125, 80, LesionKind.NODE), -90.0, "axillary lymph node"),
        (lesion(-125, 80, LesionKind.NODE), -90.0, "axillary lymph node"),
        # Beside the lower half of the lungs, or beside no lung.
        (lesion(125, 40, LesionKind.NODE), -90.0, ""),
        (lesion(125, -20, LesionKind.NODE), -90.0, ""),
        (lesion(70, -80, LesionKind.NODE), -90.0, "inguinal lymph node"),
        # What is no node is not called one.
        (lesion(125, 80, LesionKind.SOFT), -90.0, ""),
    ],
)
def test_sites(one: Lesion, hu: float, site: str) -> None:
    found = proposed(one, hu)
    assert found.site_proposed == site
    # Never silently: nothing is written as if a person had said it.
    assert found.site == ""
    assert [f.code for f in found.findings] == (["site_proposed"] if site else [])


def test_what_nobody_segmented_tells_nothing() -> None:
    for one in (lesion(50, 60), lesion(125, 80, LesionKind.NODE), lesion(70, -80, LesionKind.NODE)):
        assert proposed(one, 40.0, {}).site_proposed == ""


def test_a_person_has_the_last_word() -> None:
    first = proposed(lesion(50, 60), -800.0)
    named = replace(first, site="pleura")
    again = proposed(named, -800.0)
    assert (again.site, again.site_proposed, again.findings) == ("pleura", "", ())
    # Looked at twice, the proposal stands once.
    assert len(proposed(first, -800.0).findings) == 1


def test_an_unsure_depth_is_not_taken_for_the_skin() -> None:
    from irplan.lesions.measurement import DEPTH_AT_MOST

    one = lesion(50, -8, depth=6.0)
    unsure = one.with_findings(DEPTH_AT_MOST("L1", lesion="L1", edge_mm=1, depth_mm=6))
    assert proposed(unsure, -90.0).site_proposed == ""
