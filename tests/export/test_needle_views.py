"""Needles looked at along themselves, and the skin with its grid: every mark where it belongs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pypdf import PdfReader

from irplan.export import report as report_module
from irplan.export.labels import Box, Wanted, place_labels
from irplan.export.needle_views import RINGS_MM, SLICE_SHARES, needle_views
from irplan.export.palette import KIND_WORDS, ROLE_COLOURS, kind_of, rgb_of
from irplan.export.pictures import Disc, Line, Picture, Text
from irplan.export.raster import draw_picture, save_png
from irplan.export.report import render_report
from irplan.export.skin_picture import SkinCosts, eye_for, skin_picture
from irplan.export.views import across_needle_view, along_needle_view, needle_view
from irplan.trajectory.skin_map import SkinMap

from .plans import BODY, D, Patient, made_patient, needle_document, plan_document

COORDINATE = st.floats(-80.0, 80.0)
POINT = st.tuples(COORDINATE, COORDINATE, COORDINATE)


@pytest.fixture(scope="module")
def patient() -> Patient:
    return made_patient()


def skin_document(point: tuple[float, float, float]) -> dict[str, Any]:
    """The ``skin`` of a card for the made-up patient: midline and middle at 0."""
    return {
        "point_lps_mm": [D(f"{value:.2f}") for value in point],
        "scan_z_mm": D(f"{point[2]:.2f}"),
        "slice_number": 20,
        "slices": 50,
        "from_first_slice_mm": D("76.0"),
        "first_slice_at": "feet",
        "left_of_midline_mm": D(f"{point[0]:.1f}"),
        "midline_by": "skin outline",
        "behind_middle_mm": D(f"{point[1]:.1f}"),
        "above_support_mm": None,
        "landmarks": [{"name": "lower end of the sternum", "above_mm": D("-30.0")}],
        "untold": [],
    }


@given(POINT, POINT, st.floats(0.0, 60.0))
def test_who_holds_the_needle_looks_along_it_with_the_head_up(
    entry: tuple[float, ...], tip: tuple[float, ...], depth: float
) -> None:
    way = np.subtract(tip, entry)
    if np.linalg.norm(way) < 1.0:
        return
    along = way / np.linalg.norm(way)
    view = along_needle_view(entry, tip, depth, 20.0, 0.5)
    assert np.allclose(np.cross(view.right, view.down), along, atol=1e-9)
    assert view.depth_mm(entry) == pytest.approx(-depth, abs=1e-6)
    middle = view.to_pixel(np.asarray(entry) + depth * along)
    assert np.allclose(middle, [39.5, 39.5], atol=1e-6)
    if abs(along[2]) < 0.9:
        assert view.down[2] < 0


@given(POINT, POINT)
@example((0.0, 0.0, 0.0), (1e-05, 0.0, 10.0))
def test_both_planes_hold_the_needle_and_stand_square(
    entry: tuple[float, ...], tip: tuple[float, ...]
) -> None:
    if np.linalg.norm(np.subtract(tip, entry)) < 1.0:
        return
    middle = np.add(tip, entry) / 2.0
    views = [build(entry, tip, middle, 20.0, 0.5) for build in (needle_view, across_needle_view)]
    for view in views:
        assert np.allclose(view.depth_mm([entry, tip]), 0.0, atol=1e-6)
    normals = [np.cross(view.right, view.down) for view in views]
    assert float(normals[0] @ normals[1]) == pytest.approx(0.0, abs=1e-9)


def marks_of(picture: Picture, kind: type, role: str) -> list[Any]:
    return [one for one in picture.marks if isinstance(one, kind) and one.role == role]


def test_ticks_rings_and_depths_are_true_to_scale(patient: Patient) -> None:
    needle = needle_document()
    entry, tip = (np.array(needle[end], float) for end in ("entry_lps_mm", "tip_lps_mm"))
    depth = float(np.linalg.norm(tip - entry))
    views = needle_views(needle, patient.volume, patient.lesions, patient.anatomy)
    for picture in (views.level, views.upright):
        ticks = [one for one in marks_of(picture, Line, "needle") if len(one.points) == 2]
        middles = [np.mean(one.points, axis=0) for one in ticks]
        for number in range(1, int(depth // 10) + 1):
            at = picture.view.to_pixel(entry + number * 10.0 * (tip - entry) / depth)
            assert min(np.linalg.norm(middle - at) for middle in middles) < 0.01
    assert len(views.slices) == len(SLICE_SHARES)
    for picture, share in zip(views.slices, SLICE_SHARES, strict=True):
        assert picture.view.depth_mm(entry) == pytest.approx(-share * depth, abs=1e-6)
        assert picture.caption.startswith(f"{share * depth:.0f} mm deep")
    rings = marks_of(views.eye, Disc, "ring")
    assert [one.radius * views.eye.view.mm_per_pixel for one in rings] == pytest.approx(RINGS_MM)


def test_the_eye_tells_how_near_a_structure_comes(patient: Patient) -> None:
    """Against all voxels of the bone beside the shaft."""
    entry, tip = np.array([20.0, -38.0, 2.0]), np.array([12.0, 25.0, 4.0])
    needle = {
        **needle_document(entry=[D(str(v)) for v in entry], tip=[D(str(v)) for v in tip]),
        "clearance_mm": {},
        "crosses_mm": {},
    }
    eye = needle_views(needle, patient.volume, patient.lesions, patient.anatomy).eye
    (words,) = [one.text for one in marks_of(eye, Text, "bone") if one.text.startswith("bone")]
    k, j, i = np.nonzero(patient.anatomy.labels)
    points = patient.anatomy.grid.to_lps(np.stack([i, j, k], axis=1))
    way = (tip - entry) / np.linalg.norm(tip - entry)
    deep = (points - entry) @ way
    off = np.linalg.norm(points - entry - deep[:, None] * way, axis=1)
    beside = (deep >= 0) & (deep <= np.linalg.norm(tip - entry))
    assert words.startswith(f"bone: about {off[beside].min():.0f} mm off, ")
    crossed = {**needle, "crosses_mm": {"bone": D("4.0")}}
    eye = needle_views(crossed, patient.volume, patient.lesions, patient.anatomy).eye
    assert not list(marks_of(eye, Line, "bone"))
    assert "crossed and not outlined: bone from" in eye.caption


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 400), st.floats(0, 300), st.sampled_from(["left", "above", "right"])
        ),
        max_size=9,
    )
)
def test_no_label_lies_over_another_or_leaves_the_picture(
    places: list[tuple[float, float, str]],
) -> None:
    wanted = [Wanted(x, y, 60.0, 15.0, anchor) for x, y, anchor in places]
    taken = Box(180.0, 0.0, 220.0, 20.0)
    boxes = place_labels(wanted, 400.0, 300.0, [taken])
    for one, other in itertools.combinations([taken, *boxes], 2):
        # Edges that touch may differ by the rounding of a sum.
        assert one.overlap(other) < 1e-9
    for box in boxes:
        assert box.left >= 0
        assert box.right <= 400
        assert box.top >= 0
        assert box.bottom <= 300


def test_pixels_show_the_marks_where_they_are(patient: Patient, tmp_path: Path) -> None:
    views = needle_views(needle_document(), patient.volume, patient.lesions, patient.anatomy)
    picture = replace(views.level, marks=tuple(views.level.marks))
    drawn = draw_picture(picture)
    assert drawn.shape == (picture.view.rows, picture.view.columns, 3)
    (entry,) = marks_of(picture, Disc, "entry")
    column, row = (round(value) for value in entry.centre)
    assert np.abs(drawn[row, column].astype(int) - rgb_of("entry")).max() < 40
    lesion = max(marks_of(picture, Line, "lesion"), key=lambda one: len(one.points))
    colours = [drawn[round(y), round(x)].astype(int) for x, y in lesion.points]
    near = [np.abs(colour - rgb_of("lesion")).max() < 90 for colour in colours]
    assert np.mean(near) > 0.6
    # Nothing is drawn where nothing is marked.
    bare = draw_picture(replace(picture, marks=()))
    assert (bare[60:80, 60:80] == picture.grey[60:80, 60:80, None]).all()
    assert draw_picture(picture, 2.0).shape == (2 * drawn.shape[0], 2 * drawn.shape[1], 3)
    save_png(drawn, tmp_path / "a.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), drawn)


@pytest.mark.parametrize(
    ("point", "letters", "middle"),
    [
        ((20.0, -47.8, 10.0), ("R", "L", "H", "F"), 0),
        ((20.0, 47.8, 10.0), ("L", "R", "H", "F"), 0),
        ((69.6, 4.0, 0.0), ("A", "P", "H", "F"), 1),
        ((-69.6, 4.0, 0.0), ("P", "A", "H", "F"), 1),
    ],
)
def test_the_skin_is_seen_from_the_side_of_the_point(
    patient: Patient,
    point: tuple[float, float, float],
    letters: tuple[str, ...],
    middle: int,
) -> None:
    names = [("N1", [D(f"{value:.2f}") for value in point])]
    picture = skin_picture(
        skin_document(point),
        names,
        patient.body,
        patient.volume.geometry,
        patient.anatomy,
        patient.lesions,
    )
    if picture is None:
        pytest.skip("this computer cannot render")
    assert picture.view.letters == letters
    discs = marks_of(picture, Disc, "point")
    assert np.allclose(discs[0].centre, picture.view.to_pixel(point), atol=0.02)
    assert np.allclose(discs[0].centre, np.array(picture.grey.shape[1::-1]) / 2, atol=1.0)
    # The middle line stands where the patient's middle is; its number too.
    origin = [0.0, 0.0, point[2]]
    column = float(picture.view.to_pixel(origin)[0])
    words = {one.text: one.at[0] for one in picture.marks if isinstance(one, Text)}
    assert words["midline" if middle == 0 else "mid"] == pytest.approx(column, abs=1e-6)
    axis = "L5" if middle == 0 else "P5"
    beside = [50.0, 0.0, 0.0] if middle == 0 else [0.0, 50.0, 0.0]
    assert words[axis] == pytest.approx(float(picture.view.to_pixel(beside)[0]), abs=1e-6)
    # Skin under the point, air far beside the body, and the line where it is told to be.
    rgb = np.asarray(picture.grey).astype(int)
    row = round(float(picture.view.to_pixel([0, 0, point[2] + 5.0])[1]))
    line = rgb[row, round(column) - 2 : round(column) + 3]
    assert line.sum(axis=1).min() < rgb[row, round(column) + 8].sum() - 60
    assert (rgb[5, 5] == 255).all()
    (height,) = list(marks_of(picture, Line, "landmark"))
    lower = float(picture.view.to_pixel([0.0, 0.0, point[2] + 30.0])[1])
    assert height.points[0][1] == pytest.approx(lower, abs=1e-6)


def test_costs_are_coloured_on_the_skin(patient: Patient) -> None:
    point = (0.0, -48.6, 0.0)
    spots = np.array([[-24.0, -47.5, 4.0], [4.0, -50.0, 14.0], [24.0, -47.5, 4.0]])
    costs = SkinCosts(spots, np.array([1.0, np.nan, 5.0]))
    picture = skin_picture(
        skin_document(point), [], patient.body, patient.volume.geometry, None, (), costs
    )
    if picture is None:
        pytest.skip("this computer cannot render")
    rgb = np.asarray(picture.grey).astype(int)
    colours = []
    for spot in spots:
        column, row = (round(float(value)) for value in picture.view.to_pixel(spot))
        colours.append(rgb[row, column])
    cheap, none, dear = colours
    assert cheap[1] > cheap[0] + 40
    assert np.ptp(none) < 20
    assert dear[0] > dear[1] + 60
    assert "no path is allowed" in picture.caption


def test_skin_that_faces_the_head_is_seen_from_the_front(patient: Patient) -> None:
    eye = eye_for(patient.body, patient.volume.geometry, np.array([0.0, 0.0, 88.0]))
    assert eye.tolist() == [0.0, -1.0, 0.0]
    assert BODY[1][2] == 90.0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rib_left_5", "bone"), ("vessels", "vessel"), ("lung_right", "air"), ("liver", "organ"),
        ("bowel_gas", "bowel"), ("nerve_phrenic", "nerve"), ("no_go_1", "no_go"),
        ("inferior_vena_cava", "vessel"), ("great_thoracic_vessels", "vessel"),
        ("anything", "organ"),
    ],
)  # fmt: skip
def test_every_kind_has_a_colour_and_words(name: str, kind: str) -> None:
    assert kind_of(name) == kind
    assert kind in KIND_WORDS
    assert kind in ROLE_COLOURS


def needle_card(point: tuple[float, float, float]) -> dict[str, Any]:
    return {
        "kind": "needle", "lesion_id": "L1", "needle_id": "N1", "guidance": "ct",
        "needle": {"name": "22G-90", "gauge": 22, "length_mm": D("90")},
        "outside_mm": D("57.6"), "above_table_mm": D("203.4"), "skin": skin_document(point),
        "in_plane_angle_deg": D("-27.4"), "out_of_plane_angle_deg": D("-19.9"),
        "gantry": {"tilt_deg": D("22.2"), "top_towards": "head", "angle_in_slice_deg": D("-25.0"),
                   "reached": True, "scanned_deg": D("0.0")},
        "depth_mm": D("32.3"), "deposits": [],
    }  # fmt: skip


def diameters_card() -> dict[str, Any]:
    return {
        "kind": "diameters", "lesion_id": "L2", "needle_id": None, "guidance": "palpation",
        "name": "", "site": "groin", "told_side": "right", "region": None, "depth_mm": None,
        "middle_depth_mm": None, "diameters_mm": [D("12.0"), D("11.0"), None],
        "axes": ["longest", "second", "third"], "volume_ml": D("1.437"), "surroundings": [],
        "technique": "fan",
        "passes": [{"needle_id": None, "pass": n, "depth_mm": None, "deposits": 2,
                    "ml": {"ipilimumab": ml}} for n, ml in ((1, D("0.5")), (2, D("0.43")))],
        "ml": {"ipilimumab": D("0.93")}, "needle": None,
        "reaches": [{"name": "25G-25", "gauge": 25, "length_mm": D("25"), "reach_mm": D("20.0")}],
        "skin": None, "nearest_safe_skin": None, "along": None, "across": None, "all_tested": None,
    }  # fmt: skip


def test_cards_and_views_stand_in_the_report(
    patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "SCENE_PIXELS", (60, 80))

    def add(document: dict[str, Any]) -> None:
        document["cards"] = [diameters_card(), needle_card((45.0, -38.0, 22.0))]
        document["needles"][0].update(
            miss_probability=D("0.0041"), hit_structure_probability={"bone": D("0.1200")},
            robustness_mm=D("3.5"), unknown_constraints=["max_fissures"],
        )  # fmt: skip
        document["coverage"] = [
            {"lesion_id": "L1", "coverage_percent": [D("31"), D("88")],
             "spill_percent": [D("2"), D("40")]}
        ]  # fmt: skip

    document = plan_document(patient, add)
    spots = np.array([[45.0, -38.0, 22.0], [40.0, -41.0, 20.0], [50.0, -34.0, 20.0]])
    skin = SkinMap(
        "L1", "ct", spots, -spots, np.array([1.0, 2.0, np.nan]), spots,
        np.array(["", "", "needle_length"]), np.array(["L1", "L1", ""]), np.array([1, 1, 0]),
    )  # fmt: skip
    render_report(
        document, patient.lesions, patient.volume, patient.body, patient.anatomy,
        tmp_path / "a.pdf", skin_maps=(skin,),
    )  # fmt: skip
    pages = [" ".join(page.extract_text().split()) for page in PdfReader(tmp_path / "a.pdf").pages]
    (card,) = [page for page in pages if "Card L2: by palpation" in page]
    for words in (
        "Not seen on this CT: no path, no depth, no distances.",
        "where groin, right",
        "12.0 × 11.0 × unknown mm",
        "25 G × 25 mm to 20.0 mm",
        "ipilimumab 0.50 mL",
        "ipilimumab 0.43 mL",
    ):
        assert words in card
    (needle,) = [page for page in pages if "Needle N1 → L1" in page]
    for words in (
        "203.4 mm above its top, as the scan shows it",
        "45.0 mm left of the midline (by skin outline); 38.0 mm in front of the middle",
        "slice 20 of 50, 76.0 mm from the first one, which lies at the feet",
        "22.2°, its top towards the head, brings the needle into one slice",
        "shaft outside the skin 57.6 mm",
        "about less than 1 %, breathing too; illustrative, it decides nothing",
        "bone 12 %; illustrative, it decides nothing",
        "both ends may move 3.5 mm",
        "max_fissures",
    ):
        assert words in needle
    (along,) = [page for page in pages if "Along needle N1" in page]
    assert "the slice is that at the tip, 32 mm deep" in along
    assert any("31 to 88 %" in page for page in pages)
    (offered,) = [page for page in pages if "The skin of each lesion" in page]
    assert "L1 (under CT): a path is open from 2 of 3 skin points." in offered
