"""Gestures to lesions, on bodies whose volume is a formula."""

from __future__ import annotations

import numpy as np
import pytest

from irplan.findings import Finding
from irplan.geometry import GridGeometry
from irplan.lesions import (
    Click,
    Diameter,
    LesionKind,
    LesionSource,
    Prompt,
    label_map,
    segment,
    segment_one,
)
from irplan.volume import CtVolume

from .volumes import AXES, ellipsoid_mask, grid_of, middle_of, painted_ct

HALF_MM = (13.0, 9.0, 11.0)
EXACT_ML = 4 / 3 * np.pi * np.prod(HALF_MM) / 1000


def point(values) -> tuple[float, float, float]:
    x, y, z = np.asarray(values, dtype=float).tolist()
    return x, y, z


def three_lines(centre: np.ndarray, half_mm: tuple[float, float, float]) -> tuple[Diameter, ...]:
    steps = np.diag(half_mm)
    return tuple(Diameter(point(centre - step), point(centre + step)) for step in steps)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * np.count_nonzero(first & second) / (first.sum() + second.sum())


@pytest.fixture(scope="module", params=sorted(AXES))
def scene(request):
    grid = grid_of(request.param, (64, 56, 40), (1.1, 1.1, 2.0))
    centre = np.add(middle_of(grid), [1.3, -2.1, 0.7])
    return painted_ct(grid, centre, HALF_MM), centre, ellipsoid_mask(grid, centre, HALF_MM)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_clear_lesion_is_found_from_any_number_of_diameters(scene, count):
    volume, centre, truth = scene
    gestures = three_lines(centre, HALF_MM)[:count] or (
        Click(point(np.add(centre, [2.0, 1.0, -1.0]))),
    )
    lesion = segment_one(volume, Prompt("L1", None, gestures), None, 1)
    assert dice(lesion.mask.to_full(), truth) > 0.94
    assert float(lesion.volume_ml) == pytest.approx(EXACT_ML, rel=0.06)
    assert lesion.volume_low_ml < EXACT_ML < lesion.volume_high_ml
    assert lesion.source is LesionSource.SEGMENTED
    assert "border_not_visible" not in {finding.code for finding in lesion.findings}


@pytest.mark.parametrize("radius_mm", [5.0, 9.0])
@pytest.mark.parametrize("slice_mm", [0.8, 1.5, 5.0])
@pytest.mark.parametrize(("inside_hu", "outside_hu"), [(60.0, -100.0), (50.0, 110.0)])
def test_the_volume_of_a_ball_within_the_limits_set(radius_mm, slice_mm, inside_hu, outside_hu):
    count = int(np.ceil(4.0 * radius_mm / slice_mm))
    grid = grid_of("supine", (int(4 * radius_mm), int(4 * radius_mm), count), (1.0, 1.0, slice_mm))
    centre = np.add(middle_of(grid), [0.3, 0.2, 0.4])
    half = (radius_mm, radius_mm, radius_mm)
    volume = painted_ct(grid, centre, half, inside_hu=inside_hu, outside_hu=outside_hu)
    lesion = segment_one(volume, Prompt("L1", None, three_lines(centre, half)), None, 1)
    exact = 4 / 3 * np.pi * radius_mm**3 / 1000
    limit = 0.08 if slice_mm > 1.5 else 0.045 if radius_mm < 6 else 0.03
    assert float(lesion.volume_ml) == pytest.approx(exact, rel=limit)
    voxel_mm = 1.0 if slice_mm < 2.0 else 1.5
    assert lesion.longest_diameter_mm == pytest.approx(2 * radius_mm, abs=voxel_mm)


def test_where_nothing_is_seen_the_diameters_decide_and_a_finding_says_so():
    grid = grid_of("supine", (64, 56, 40), (1.1, 1.1, 2.0))
    centre = middle_of(grid)
    volume = painted_ct(grid, centre, HALF_MM, inside_hu=50.0, outside_hu=50.0)
    lesion = segment_one(volume, Prompt("L1", None, three_lines(centre, HALF_MM)), None, 1)
    assert dice(lesion.mask.to_full(), ellipsoid_mask(grid, centre, HALF_MM)) > 0.9
    assert "border_not_visible" in {finding.code for finding in lesion.findings}
    clear = painted_ct(grid, centre, HALF_MM)
    sharp = segment_one(clear, Prompt("L1", None, three_lines(centre, HALF_MM)), None, 1)
    width = lesion.volume_high_ml / lesion.volume_low_ml
    assert width > sharp.volume_high_ml / sharp.volume_low_ml


def test_the_bone_beside_a_lesion_stays_out():
    grid = grid_of("supine", (64, 56, 40), (1.1, 1.1, 2.0))
    centre = middle_of(grid)
    volume = painted_ct(grid, centre, HALF_MM)
    bone = ellipsoid_mask(grid, np.add(centre, [0.0, 17.0, 0.0]), (40.0, 9.0, 50.0))
    hu = np.where(bone, 700, volume.hu).astype(np.int16)
    lesion = segment_one(
        CtVolume(hu, grid), Prompt("L1", None, three_lines(centre, HALF_MM)), None, 1
    )
    assert np.count_nonzero(lesion.mask.to_full() & bone) < 0.02 * lesion.mask.voxels.sum()


@pytest.mark.parametrize("inside", [True, False])
def test_a_correcting_click_decides_its_place_and_little_else(inside):
    grid = grid_of("supine", (64, 56, 40), (1.1, 1.1, 2.0))
    centre = middle_of(grid)
    volume = painted_ct(grid, centre, HALF_MM, inside_hu=50.0, outside_hu=50.0)
    lines = three_lines(centre, HALF_MM)
    before = segment_one(volume, Prompt("L1", None, lines), None, 1).mask.to_full()
    where = np.add(centre, [0.0, 13.0, 0.0] if inside else [8.0, 0.0, 0.0])
    i, j, k = grid.nearest_index(where)
    assert before[k, j, i] != inside
    click = Click(point(where), inside=inside)
    after = segment_one(volume, Prompt("L1", None, (*lines, click)), None, 1).mask.to_full()
    assert after[k, j, i] == inside
    far = np.linalg.norm(grid.to_lps(np.argwhere(before != after)[:, ::-1]) - where, axis=1)
    assert far.max() < 25.0
    # A click that the mask already agrees with changes next to nothing.
    agreed = Click(point(centre))
    same = segment_one(volume, Prompt("L1", None, (*lines, agreed)), None, 1).mask.to_full()
    assert dice(before, same) > 0.995


def test_the_order_of_lines_changes_nothing_and_every_run_is_the_same():
    grid = grid_of("oblique", (64, 56, 40), (1.1, 1.1, 2.0))
    centre = middle_of(grid)
    volume = painted_ct(grid, centre, HALF_MM)
    lines = three_lines(centre, HALF_MM)
    first = segment_one(volume, Prompt("L1", None, lines), None, 1)
    again = segment_one(volume, Prompt("L1", None, lines), None, 1)
    turned = segment_one(volume, Prompt("L1", None, lines[::-1]), None, 1)
    assert first.document() == again.document()
    assert dice(first.mask.to_full(), turned.mask.to_full()) > 0.999


def walled_scene() -> tuple[CtVolume, np.ndarray]:
    """Soft tissue with a lesion, a lung, a bone with marrow, and air in front of the skin."""
    grid = GridGeometry((100, 90, 30), (1.5, 1.5, 3.0), (0.0, 0.0, 0.0))
    hu = np.full(grid.shape_zyx, 40.0)
    hu[:, :20] = -1000.0
    hu[:, 30:60, 10:40] = -860.0
    hu[ellipsoid_mask(grid, np.array([75.0, 100.0, 45.0]), (10.0, 10.0, 10.0))] = 100.0
    bone = ellipsoid_mask(grid, np.array([110.0, 90.0, 45.0]), (16.0, 16.0, 40.0))
    marrow = ellipsoid_mask(grid, np.array([110.0, 90.0, 45.0]), (12.0, 12.0, 36.0))
    hu[bone] = 900.0
    hu[marrow] = 180.0
    body = np.ones(grid.shape_zyx, dtype=bool)
    body[:, :20] = False
    hu += np.random.default_rng(3).normal(0, 8, hu.shape)
    return CtVolume(hu.astype(np.int16), grid), body


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ((75.0, 10.0, 45.0), "click_outside_body"),
        ((35.0, 65.0, 45.0), "click_in_air"),
        ((110.0, 76.0, 45.0), "click_in_bone"),
        ((110.0, 90.0, 45.0), "click_in_bone"),
        ((110.0, 90.0, 145.0), "click_outside_scan"),
    ],
)
def test_a_first_click_where_no_lesion_can_be_gives_a_finding(where, code):
    volume, body = walled_scene()
    good = Prompt("L1", None, (Click((75.0, 100.0, 45.0)),))
    result = segment(volume, [Prompt("X", None, (Click(where),)), good], body)
    assert [finding.code for finding in result.findings] == [code]
    assert result.findings[0].subject == "X"
    assert not result.complete
    assert [lesion.label for lesion in result.lesions] == [2]


def test_a_line_in_the_air_is_no_lesion_but_one_along_bone_is():
    volume, body = walled_scene()
    line = Diameter((20.0, 65.0, 45.0), (50.0, 65.0, 45.0))
    assert segment_one(volume, Prompt("X", None, (line,)), body, 1).code == "click_in_air"
    along = Diameter((110.0, 76.0, 30.0), (110.0, 76.0, 60.0))
    assert not isinstance(segment_one(volume, Prompt("X", None, (along,)), body, 1), Finding)


def test_the_kind_follows_from_where_the_lesion_lies():
    size, spacing = (70, 70, 40), (1.2, 1.2, 2.0)
    grid = grid_of("supine", size, spacing)
    centre, half = middle_of(grid), (10.0, 9.0, 9.0)
    lines = three_lines(centre, half)

    def kind(outside_hu: float, body=None, given: LesionKind | None = None) -> LesionKind:
        volume = painted_ct(grid, centre, half, inside_hu=55.0, outside_hu=outside_hu)
        return segment_one(volume, Prompt("L1", given, lines), body, 1).kind

    assert kind(-850.0) is LesionKind.LUNG
    assert kind(-100.0) is LesionKind.NODE
    assert kind(110.0) is LesionKind.LIVER
    assert kind(10.0) is LesionKind.SOFT
    near_skin = ellipsoid_mask(grid, np.add(centre, [0.0, 30.0, 0.0]), (80.0, 42.0, 80.0))
    assert kind(-100.0, near_skin) is LesionKind.SKIN
    assert kind(-100.0, near_skin, LesionKind.NODE) is LesionKind.NODE


def test_overlaps_are_told_and_the_label_map_keeps_the_lower_label():
    grid = grid_of("supine", (64, 56, 40), (1.1, 1.1, 2.0))
    centre = middle_of(grid)
    volume = painted_ct(grid, centre, HALF_MM)
    lines = three_lines(centre, HALF_MM)
    result = segment(volume, [Prompt("A", None, lines), Prompt("B", None, lines[:1])], None)
    assert [finding.code for finding in result.findings] == ["lesions_overlap"]
    labels = label_map(result.lesions, grid)
    first, second = (lesion.mask.to_full() for lesion in result.lesions)
    assert np.array_equal(labels == 1, first)
    assert np.array_equal(labels == 2, second & ~first)


@pytest.mark.parametrize(("apart_mm", "told"), [(26.0, True), (17.0, False)])
def test_a_line_over_two_lesions_is_told(apart_mm, told):
    grid = grid_of("supine", (90, 56, 40), (1.1, 1.1, 2.0))
    centre, aside = middle_of(grid), np.array([apart_mm / 2, 0.0, 0.0])
    hu = np.full(grid.shape_zyx, -100.0)
    for place in (centre - aside, centre + aside):
        hu[ellipsoid_mask(grid, place, (9.0, 9.0, 9.0))] = 50.0
    volume = CtVolume(hu.astype(np.int16), grid)
    line = Diameter(point(centre - aside * 1.6), point(centre + aside * 1.6))
    lesion = segment_one(volume, Prompt("L1", None, (line,)), None, 1)
    assert ("diameter_crosses_gap" in {finding.code for finding in lesion.findings}) == told


@pytest.mark.realdata
def test_the_isodense_sarcoma_warns_and_the_clear_one_does_not(realdata):
    from irplan.lesions.masks import import_masks
    from irplan.lesions.measurement import axial_diameters, head_foot_extent_mm
    from irplan.volume_io import load_volume

    warned = {}
    for name in ("STS_028", "STS_002"):
        folder = realdata / "lesions" / name
        volume = load_volume(folder / "CT_image.nii.gz")
        everything = np.ones(volume.geometry.shape_zyx, dtype=bool)
        (truth,) = import_masks(folder / "CT_mask.nii.gz", volume, body=everything).lesions
        axial = axial_diameters(truth.mask)
        middle = np.mean(axial.longest.ends_lps_mm, axis=0)
        tall = head_foot_extent_mm(truth.mask) / 2
        centre_z = truth.centroid_lps_mm[2]
        lines = (
            Diameter(*axial.longest.ends_lps_mm),
            Diameter(*axial.short.ends_lps_mm),
            Diameter(
                (middle[0], middle[1], centre_z - tall), (middle[0], middle[1], centre_z + tall)
            ),
        )
        lesion = segment_one(volume, Prompt(name, None, lines), everything, 1)
        warned[name] = "border_not_visible" in {finding.code for finding in lesion.findings}
        assert dice(lesion.mask.to_full(), truth.mask.to_full()) > 0.8
    assert warned == {"STS_028": True, "STS_002": False}
