"""Boxes, scribbles, vessels, lines over two lesions, and how sure a mask is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from irplan.errors import CallError, InputRefused
from irplan.findings import Finding
from irplan.lesions import Click, Diameter, LesionKind, Prompt, read_clicks, segment_one
from irplan.lesions import segmentation as inner
from irplan.lesions.certainty import Signs, certainty_of, uneven_rays
from irplan.lesions.crop import cut, resample
from irplan.lesions.gestures import Box, Scribble
from irplan.lesions.kinds import SETTINGS
from irplan.lesions.region import _separation
from irplan.lesions.shape import grid_mm, sphere
from irplan.lesions.sphere import angles_index, directions, on_angles
from irplan.volume import CtVolume

from .volumes import centres_lps_mm, ellipsoid_mask, grid_of, middle_of, painted_ct

HALF_MM = (13.0, 9.0, 11.0)
EXACT_ML = 4 / 3 * np.pi * np.prod(HALF_MM) / 1000


def point(values) -> tuple[float, float, float]:
    x, y, z = np.asarray(values, dtype=float).tolist()
    return x, y, z


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * np.count_nonzero(first & second) / (first.sum() + second.sum())


@pytest.fixture(scope="module")
def scene():
    grid = grid_of("flipped", (64, 56, 40), (1.1, 1.1, 2.0))
    centre = np.add(middle_of(grid), [1.3, -2.1, 0.7])
    return painted_ct(grid, centre, HALF_MM), centre, ellipsoid_mask(grid, centre, HALF_MM)


def found(volume: CtVolume, *gestures):
    return segment_one(volume, Prompt("L1", None, gestures), None, 1)


@pytest.mark.parametrize("sides", [(1, 1, 1), (1, 1, 0), (0, 1, 1)])
def test_a_box_in_space_or_in_one_slice_shows_the_lesion(scene, sides):
    volume, centre, truth = scene
    half = np.multiply(HALF_MM, sides)
    lesion = found(volume, Box(point(centre + half), point(centre - half)))
    assert dice(lesion.mask.to_full(), truth) > 0.94
    assert float(lesion.volume_ml) == pytest.approx(EXACT_ML, rel=0.05)
    # It says no more than the lines through its middle along the sides that were drawn.
    lines = [
        Diameter(point(centre - step), point(centre + step)) for step in np.diag(half) if step.any()
    ]
    same = found(volume, *lines)
    assert np.array_equal(lesion.mask.to_full(), same.mask.to_full())


def test_a_scribble_alone_shows_the_lesion(scene):
    volume, centre, truth = scene
    path = tuple(point(np.add(centre, [x, 0.3 * x, 0.0])) for x in (-7.0, -1.0, 6.0))
    assert dice(found(volume, Scribble(path)).mask.to_full(), truth) > 0.9


def test_the_order_of_mixed_gestures_changes_nothing(scene):
    volume, centre, _ = scene
    half = np.multiply(HALF_MM, (1, 1, 0))
    gestures = (
        Box(point(centre - half), point(centre + half)),
        Diameter(point(centre - [0, 0, 11]), point(np.add(centre, [0, 0, 11]))),
        Click(point(np.add(centre, [0, 0, 3.0]))),
        Scribble(
            (point(np.add(centre, [0, 12.0, 0])), point(np.add(centre, [4.0, 12.0, 0]))),
            inside=False,
        ),
    )
    first = found(volume, *gestures).mask.to_full()
    assert np.array_equal(first, found(volume, *gestures[::-1]).mask.to_full())


@pytest.mark.parametrize("inside", [True, False])
def test_a_correcting_scribble_decides_its_whole_path(inside):
    grid = grid_of("supine", (64, 56, 40), (1.1, 1.1, 2.0))
    centre = middle_of(grid)
    volume = painted_ct(grid, centre, HALF_MM, inside_hu=50.0, outside_hu=50.0)
    half = np.array(HALF_MM)
    box = Box(point(centre - half), point(centre + half))
    height = 10.6 if inside else 5.5
    scribble = Scribble(
        (point(np.add(centre, [-4.0, height, 0.0])), point(np.add(centre, [4.0, height, 0.0]))),
        inside,
    )
    before = found(volume, box).mask.to_full()
    after = found(volume, box, scribble).mask.to_full()
    index = [grid.nearest_index(place) for place in scribble.path_lps_mm]
    assert len(index) == 5
    assert not any(before[k, j, i] == inside for i, j, k in index)
    assert all(after[k, j, i] == inside for i, j, k in index)
    far = np.abs(grid.to_lps(np.argwhere(before != after)[:, ::-1]) - centre)[:, 0]
    assert far.max() < 13.0


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: Box((0, 0, 0), (10, 0.5, 0)), "box_too_thin"),
        (lambda: Box((0, 0, float("nan")), (10, 10, 10)), "not_a_point"),
        (lambda: Scribble(()), "empty_scribble"),
        (lambda: Prompt("L1", None, (Scribble(((0, 0, 0),), False),)), "nothing_inside"),
    ],
)
def test_gestures_that_show_nothing_are_refused(make, code):
    with pytest.raises(CallError) as caught:
        make()
    assert caught.value.code == code


def test_a_file_names_boxes_and_scribbles(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text(
        "lesion_id,x,y,z,x2,y2,z2,inside,gesture\n"
        "A,0,0,0,10,20,30,,box\n"
        "A,1,1,1,,,,,scribble\n"
        "B,0,0,0,5,0,0,,scribble\n"
        "B,5,0,0,5,5,0,,scribble\n"
        "B,9,9,9,9,9,12,0,scribble\n"
        "C,0,0,0,9,0,0,,diameter\n"
        "C,1,2,3,,,,0,click\n",
        encoding="utf-8",
    )
    first, second, third = read_clicks(path)
    assert first.gestures == (Box((0, 0, 0), (10, 20, 30)), Scribble(((1, 1, 1),)))
    assert second.gestures == (
        Scribble(((0, 0, 0), (5, 0, 0), (5, 5, 0))),
        Scribble(((9, 9, 9), (9, 9, 12)), inside=False),
    )
    assert third.gestures == (Diameter((0, 0, 0), (9, 0, 0)), Click((1, 2, 3), inside=False))


@pytest.mark.parametrize(
    "row", ["0,0,0,9,9,9,0,box", "0,0,0,9,9,9,,click", "0,0,0,,,,,lasso", "0,0,0,,,,,box"]
)
def test_rows_that_contradict_themselves_name_their_line(tmp_path, row):
    path = tmp_path / "clicks.csv"
    path.write_text(f"lesion_id,x,y,z,x2,y2,z2,inside,gesture\nA,{row}\n", encoding="utf-8")
    with pytest.raises(InputRefused, match="line 2"):
        read_clicks(path)


def tube_scene(radius_mm: float, inside_hu: float, length_mm: float) -> tuple[CtVolume, np.ndarray]:
    """A bent tube in soft tissue, or a ball where it is as long as thick."""
    grid = grid_of("supine", (80, 80, 60), (1.0, 1.0, 1.5))
    centre = middle_of(grid)
    z, y, x = np.indices(grid.shape_zyx)
    offset = grid.to_lps(np.stack([x, y, z], axis=-1)) - centre
    along = np.maximum(np.abs(offset[..., 2]) - length_mm / 2 + radius_mm, 0.0)
    bend = 0.004 * offset[..., 2] ** 2
    gap = np.sqrt((offset[..., 0] - bend) ** 2 + offset[..., 1] ** 2 + along**2)
    hu = np.where(gap <= radius_mm, inside_hu, 60.0)
    hu += np.random.default_rng(2).normal(0.0, 10.0, hu.shape)
    return CtVolume(np.rint(hu).astype(np.int16), grid), centre


@pytest.mark.parametrize(
    ("radius_mm", "inside_hu", "length_mm", "told"),
    [
        (4.0, 200.0, 200.0, True),
        (8.0, 170.0, 200.0, True),
        (10.0, 200.0, 20.0, False),  # a ball of the same HU
        (4.0, 100.0, 200.0, False),  # no contrast in it: a bowel loop, a muscle
        (20.0, 170.0, 40.0, False),
    ],
)
def test_a_click_on_a_filled_vessel_is_no_lesion(radius_mm, inside_hu, length_mm, told):
    volume, centre = tube_scene(radius_mm, inside_hu, length_mm)
    answer = found(volume, Click(point(centre)))
    assert (isinstance(answer, Finding) and answer.code == "click_on_vessel") == told
    # Who draws a line there means it.
    line = Diameter(point(centre - [radius_mm, 0, 0]), point(np.add(centre, [radius_mm, 0, 0])))
    assert not isinstance(found(volume, line), Finding)


def great_vessel_scene(tube: bool) -> tuple[CtVolume, np.ndarray]:
    """A great vessel beside a vertebra, or a lesion as thick with a thin vessel through it."""
    grid = grid_of("supine", (96, 96, 90), (1.0, 1.0, 1.2))
    centre = middle_of(grid)
    z, y, x = np.indices(grid.shape_zyx)
    offset = grid.to_lps(np.stack([x, y, z], axis=-1)) - centre
    across = np.hypot(offset[..., 0], offset[..., 1])
    hu = np.full(grid.shape_zyx, 50.0)
    bone = np.hypot(offset[..., 0], offset[..., 1] - 28.0)
    hu[bone <= 18.0] = 400.0
    hu[bone <= 15.0] = 160.0
    hu[across <= (11.0 if tube else 3.0)] = 160.0
    if not tube:
        hu[np.linalg.norm(offset, axis=-1) <= 11.0] = 160.0
    hu += np.random.default_rng(8).normal(0.0, 10.0, hu.shape)
    return CtVolume(np.rint(hu).astype(np.int16), grid), centre


@pytest.mark.parametrize("tube", [True, False])
def test_a_great_vessel_is_told_from_a_lesion_that_a_thin_vessel_feeds(tube):
    volume, centre = great_vessel_scene(tube)
    answer = found(volume, Click(point(np.add(centre, [2.0, 1.0, 0.0]))))
    assert (isinstance(answer, Finding) and answer.code == "click_on_vessel") == tube


@pytest.mark.parametrize(
    ("inside_hu", "outside_hu", "apart_mm", "told"),
    [(40.0, 110.0, 26.0, True), (40.0, 110.0, 17.0, False), (150.0, 90.0, 26.0, True)],
)
def test_a_line_over_two_lesions_in_an_organ_is_told(inside_hu, outside_hu, apart_mm, told):
    grid = grid_of("supine", (90, 56, 40), (1.1, 1.1, 2.0))
    centre, aside = middle_of(grid), np.array([apart_mm / 2, 0.0, 0.0])
    hu = np.full(grid.shape_zyx, outside_hu)
    for place in (centre - aside, centre + aside):
        hu[ellipsoid_mask(grid, place, (9.0, 9.0, 9.0))] = inside_hu
    hu += np.random.default_rng(4).normal(0.0, 10.0, hu.shape)
    reach = np.add(aside, [9.0, 0.0, 0.0])
    lesion = found(
        CtVolume(hu.astype(np.int16), grid), Diameter(point(centre - reach), point(centre + reach))
    )
    assert ("diameter_crosses_gap" in {finding.code for finding in lesion.findings}) == told


def test_a_necrotic_core_is_not_taken_for_a_gap():
    grid = grid_of("supine", (64, 56, 40), (1.1, 1.1, 2.0))
    centre = middle_of(grid)
    hu = np.full(grid.shape_zyx, 100.0)
    hu[ellipsoid_mask(grid, centre, (15.0, 15.0, 15.0))] = 140.0
    hu[ellipsoid_mask(grid, centre, (8.0, 8.0, 8.0))] = 20.0
    line = Diameter(point(centre - [15.0, 0, 0]), point(np.add(centre, [15.0, 0, 0])))
    lesion = found(CtVolume(hu.astype(np.int16), grid), line)
    assert "diameter_crosses_gap" not in {finding.code for finding in lesion.findings}


def test_the_certainty_falls_with_the_contrast_and_warns_when_low():
    grid = grid_of("supine", (64, 56, 40), (1.1, 1.1, 2.0))
    centre = middle_of(grid)
    line = Diameter(point(centre - [13.0, 0, 0]), point(np.add(centre, [13.0, 0, 0])))
    shown, scores, warned = [], [], []
    # Far from the customary proportions: where nothing can be seen the mask must be wrong.
    half_mm = (13.0, 13.0, 16.0)
    truth = ellipsoid_mask(grid, centre, half_mm)
    for contrast in (0.0, 12.0, 30.0, 80.0):
        volume = painted_ct(
            grid, centre, half_mm, inside_hu=60.0, outside_hu=60.0 - contrast, noise_hu=20.0
        )
        lesion = found(volume, line)
        shown.append(lesion.certainty)
        scores.append(dice(lesion.mask.to_full(), truth))
        warned.append("segmentation_uncertain" in {one.code for one in lesion.findings})
    assert all(0.0 <= value <= 1.0 for value in shown)
    assert shown[-1] > shown[0] + 0.15
    assert stats.spearmanr(shown, scores).statistic > 0.7
    assert warned[0]
    assert not warned[-1]
    document = lesion.document()
    assert float(document["certainty"]) == pytest.approx(shown[-1], abs=1e-4)
    assert document["border_seen_share"] > 0.9


def test_certainty_rises_with_every_sign_and_with_more_diameters():
    low = Signs(0.6, 0.7, 2.0, 0.5)
    for better in (replace(low, separation=0.9), replace(low, agreement=0.9)):
        assert certainty_of(better, 1) > certainty_of(low, 1)
    by_count = [certainty_of(low, count) for count in range(1, 5)]
    assert by_count == sorted(by_count)
    assert by_count[2] == by_count[3]
    # After a click the HU of the core say nothing of the error; even rays and a high step do.
    assert certainty_of(replace(low, separation=0.9, agreement=0.9), 0) == certainty_of(low, 0)
    for better in (replace(low, step=4.0), replace(low, uneven=0.3)):
        assert certainty_of(better, 0) > certainty_of(low, 0)
        assert certainty_of(better, 1) == certainty_of(low, 1)
    assert certainty_of(replace(low, uneven=0.3), 3) > certainty_of(low, 3)
    assert certainty_of(Signs(1.0, 1.0, 100.0, 0.0), 3) <= 1.0
    assert certainty_of(Signs(1.0, 1.0, 100.0, 0.0), 0) <= 1.0


def test_rays_from_the_middle_are_uneven_where_the_border_is_not_an_ellipsoid():
    grid = grid_of("oblique", (64, 64, 48), (1.0, 1.0, 1.5))
    centre = middle_of(grid)
    offset = centres_lps_mm(grid) - centre
    ball = np.linalg.norm(offset, axis=-1) <= 14.0
    shape = sphere(grid_mm(grid, centre), 14.0)
    found = []
    for inside in (ball, ball & (offset[..., 0] < 5.0), ball & (np.abs(offset[..., 0]) < 5.0)):
        volume = CtVolume(np.where(inside, 60, -60).astype(np.int16), grid)
        crop = cut(volume, shape.centre_mm - 25.0, shape.centre_mm + 25.0, 48)
        found.append(uneven_rays(crop, shape))
    # A cut at 5 mm meets a third of the directions, two cuts meet two thirds of them.
    assert found[0] < 0.06
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.4


def test_the_separation_is_the_area_under_the_roc_curve():
    rng = np.random.default_rng(0)
    ratio = rng.integers(-3, 4, 40).astype(float)
    inside, outside = rng.integers(0, 9, 40), rng.integers(0, 9, 40)
    own, other = np.repeat(ratio, inside), np.repeat(ratio, outside)
    exact = stats.mannwhitneyu(own, other).statistic / len(own) / len(other)
    assert _separation(ratio, inside.astype(float), outside.astype(float)) == pytest.approx(exact)


def test_every_kind_has_its_settings_and_the_kind_given_is_kept(scene):
    volume, centre, truth = scene
    assert set(SETTINGS) == set(LesionKind)
    half = np.array(HALF_MM)
    box = Box(point(centre - half), point(centre + half))
    for kind in LesionKind:
        lesion = segment_one(volume, Prompt("L1", kind, (box,)), None, 1)
        assert lesion.kind is kind
        assert dice(lesion.mask.to_full(), truth) > 0.95


def test_a_field_is_resampled_as_by_a_plain_loop():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(5, 6, 7)).astype(np.float32)
    index = [np.array([-0.7, 1.25, 3.9, 4.6]), np.array([0.0, 2.5]), np.array([6.0, 3.3, 0.4])]
    from scipy import ndimage

    grid = np.meshgrid(*index, indexing="ij")
    plain = ndimage.map_coordinates(values, grid, order=1, mode="nearest")
    assert np.allclose(resample(values, index), plain, atol=1e-5)
    blurred = resample(values, [np.arange(n, dtype=float) for n in values.shape], (1.0, 0.0, 2.0))
    assert blurred.std() < 0.6 * values.std()
    assert np.allclose(resample(np.full_like(values, 3.0), index, (1.0, 1.0, 1.0)), 3.0)


def test_values_by_direction_come_back_from_their_chart():
    vectors = directions(400)
    smooth = 1.0 + 0.3 * vectors[:, 2] + 0.2 * vectors[:, 0] * vectors[:, 1]
    from scipy import ndimage

    back = ndimage.map_coordinates(on_angles(smooth), angles_index(vectors), order=1)
    assert np.abs(back - smooth).max() < 0.03


@pytest.mark.parametrize("slice_mm", [2.0, 5.0])
def test_a_mask_holds_the_volume_of_its_surface(slice_mm):
    grid = grid_of("oblique", (60, 60, int(80 / slice_mm)), (1.0, 1.0, slice_mm))
    centre = middle_of(grid)
    volume = painted_ct(grid, centre, HALF_MM)
    half = np.array(HALF_MM)
    prompt = Prompt("L1", None, (Box(point(centre - half), point(centre + half)),))
    look = inner.looked(volume, prompt, None)
    mask = look.crop.to_mask(look.field)
    assert mask.voxel_volume_ml == pytest.approx(look.crop.volume_ml(look.field), abs=grid.voxel_ml)
    assert mask.voxel_volume_ml == pytest.approx(look.surface.volume_ml, rel=0.02)
