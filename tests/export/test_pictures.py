"""What is drawn where: marks of a needle against projections computed by hand, and the 3-D view."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from irplan.export.pictures import Disc, Line, Text, lesion_picture, needle_pictures
from irplan.export.scene import (
    BONE,
    NEEDLE,
    Surface,
    is_bone,
    mask_surface,
    plan_scene,
    render,
)
from irplan.geometry import GridGeometry

from .plans import Patient, grid_of, made_patient, needle_document, plan_document

D = Decimal


@pytest.fixture(scope="module")
def patient() -> Patient:
    return made_patient()


def test_marks_of_a_needle_are_where_the_plan_says(patient: Patient) -> None:
    needle = needle_document()
    axial, oblique = needle_pictures(needle, patient.volume, patient.lesions, patient.anatomy)
    entry, tip = np.array([45.0, -38.0, 22.0]), np.array([31.0, -11.0, 11.0])
    assert axial.view.letters == ("R", "L", "A", "P")
    # In the axial picture mm along x and y are pixels from the corner, by nothing but scale.
    corner = np.array(axial.view.corner_lps_mm)
    for role, point in (("entry", entry), ("tip", tip), ("deposit", tip)):
        (mark,) = [m for m in axial.marks if isinstance(m, Disc) and m.role == role]
        assert mark.centre == pytest.approx((point - corner)[:2] / axial.view.mm_per_pixel)
    (entry_mark,) = [m for m in axial.marks if isinstance(m, Disc) and m.role == "entry"]
    assert not entry_mark.filled, "the entry lies 11 mm off the plane"
    needles = [m for m in axial.marks if isinstance(m, Line) and m.role == "needle"]
    assert [m.dashed for m in needles] == [True, False]

    in_plane = [m for m in oblique.marks if isinstance(m, Line) and m.role == "needle"]
    assert [m.dashed for m in in_plane] == [False]
    length_px = np.linalg.norm(np.subtract(*in_plane[0].points)) * oblique.view.mm_per_pixel
    assert length_px == pytest.approx(float(np.linalg.norm(tip - entry)))


def test_the_throw_of_a_biopsy_is_drawn_along_its_own_needle_only(patient: Patient) -> None:
    needle = needle_document()
    start, end = np.array([38.0, -24.5, 16.5]), np.array([31.0, -11.0, 11.0])
    throw = {
        "biopsy_id": "B1",
        "tip_lps_mm": [D(str(part)) for part in start],
        "end_lps_mm": [D(str(part)) for part in end],
    }
    for before, drawn in (("N1", 1), ("N2", 0)):
        for picture in needle_pictures(
            needle, patient.volume, patient.lesions, None, [{**throw, "before": before}]
        ):
            lines = [m for m in picture.marks if isinstance(m, Line) and m.role == "biopsy"]
            assert len(lines) == drawn
            for line in lines:
                view = picture.view
                offset = np.array([start, end]) - np.array(view.corner_lps_mm)
                expected = offset @ np.array([view.right, view.down]).T / view.mm_per_pixel
                assert np.allclose(line.points, expected)


def test_the_needle_appears_at_its_hu(patient: Patient) -> None:
    """The grey under the tip is the lesion's, above the entry the air's: marks and pixels agree."""
    for picture in needle_pictures(needle_document(), patient.volume, patient.lesions, None):
        tip = next(m for m in picture.marks if isinstance(m, Disc) and m.role == "tip")
        column, row = (round(value) for value in tip.centre)
        assert picture.grey[row, column] == picture.window.grey(80.0)
        assert picture.grey[0, -1] == 0


def test_the_spread_is_to_scale_and_thins_out_of_its_plane(patient: Patient) -> None:
    needle = needle_document()
    axial, _ = needle_pictures(needle, patient.volume, patient.lesions, patient.anatomy)
    radii = [m.radius * axial.view.mm_per_pixel for m in axial.marks
             if isinstance(m, Disc) and m.role == "spread"]  # fmt: skip
    assert radii == pytest.approx([6.1, 10.2])
    second = {**needle["deposits"][0], "position_lps_mm": [D("31"), D("-11"), D("31")]}
    needle["deposits"].append(second)
    axial, _ = needle_pictures(needle, patient.volume, patient.lesions, patient.anatomy)
    # The plane lies between both, 10 mm from each: only the larger spheres are cut.
    radii = [m.radius * axial.view.mm_per_pixel for m in axial.marks
             if isinstance(m, Disc) and m.role == "spread"]  # fmt: skip
    assert radii == pytest.approx([np.sqrt(10.2**2 - 10**2)] * 2)


@pytest.mark.parametrize(
    "direction",
    [(-1, 0, 0, 0, -1, 0, 0, 0, 1), (0, 0, 1, 1, 0, 0, 0, -1, 0), (0, 1, 0, -1, 0, 0, 0, 0, 1)],
    ids=["prone", "sagittal", "decubitus"],
)
def test_pictures_are_the_same_however_the_scan_was_stored(
    patient: Patient, direction: tuple[float, ...]
) -> None:
    size = np.array([130, 130, 130])
    at_zero = GridGeometry((130, 130, 130), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), direction)
    origin = -at_zero.to_lps((size - 1) / 2.0)
    other = made_patient(GridGeometry(at_zero.size, at_zero.spacing_mm, tuple(origin), direction))  # type: ignore[arg-type]
    plain = made_patient(GridGeometry((130, 130, 130), (2.0, 2.0, 2.0), (-129.0,) * 3))
    for one, two in zip(
        needle_pictures(needle_document(), plain.volume, plain.lesions, plain.anatomy),
        needle_pictures(needle_document(), other.volume, other.lesions, other.anatomy),
        strict=True,
    ):
        assert one.view == two.view
        assert np.mean(one.grey != two.grey) < 0.001
        assert sorted({m.role for m in one.marks}) == sorted({m.role for m in two.marks})


def test_every_lesion_of_the_picture_is_named(patient: Patient) -> None:
    axial, _ = needle_pictures(needle_document(), patient.volume, patient.lesions, patient.anatomy)
    names = [m.text for m in axial.marks if isinstance(m, Text)]
    assert names == ["L1", "entry"]
    picture = lesion_picture(patient.lesions[1], patient.volume, patient.lesions)
    assert picture is not None
    assert [m.text for m in picture.marks if isinstance(m, Text)] == ["L2"]


def test_the_nearest_structure_is_outlined_where_it_is_cut(patient: Patient) -> None:
    needle = needle_document(tip=[D("14"), D("10"), D("11")])
    needle["clearance_mm"] = {"bone": D("8.0"), "lung": D("9.0")}
    axial, _ = needle_pictures(needle, patient.volume, patient.lesions, patient.anatomy)
    assert any(isinstance(m, Line) and m.role == "structure" for m in axial.marks)
    assert "bone" in [m.text for m in axial.marks if isinstance(m, Text)]
    needle["clearance_mm"] = {}
    axial, _ = needle_pictures(needle, patient.volume, patient.lesions, patient.anatomy)
    assert not any(m.role == "structure" for m in axial.marks)


def test_the_scale_bar_is_what_it_says(patient: Patient) -> None:
    for picture in needle_pictures(needle_document(), patient.volume, patient.lesions, None):
        bar_mm, pixels = picture.scale_bar
        assert pixels * picture.view.mm_per_pixel == pytest.approx(bar_mm)
        assert pixels < picture.view.columns / 3 + 1


def _ball(centre: tuple[float, float, float], grid: GridGeometry) -> Surface:
    columns, rows, slices = grid.size
    k, j, i = np.meshgrid(*(np.arange(n) for n in (slices, rows, columns)), indexing="ij")
    points = grid.to_lps(np.stack([i, j, k], axis=-1))
    mask = ((points - np.array(centre)) ** 2).sum(axis=-1) < 10**2
    return Surface(mask_surface(mask, grid), (1.0, 0.0, 0.0), 1.0)


def _red_centre(pixels: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero((pixels[..., 0] > 60) & (pixels[..., 1] < 40))
    return float(columns.mean()) / pixels.shape[1], float(rows.mean()) / pixels.shape[0]


@pytest.mark.parametrize(
    ("eye", "letters", "place"),
    [
        ((0, -1, 0), ("R", "L", "H", "F"), "top right"),
        ((0, 1, 0), ("L", "R", "H", "F"), "top left"),
        ((1, 0, 0), ("A", "P", "H", "F"), "top left"),
        ((-1, 0, 0), ("P", "A", "H", "F"), "top right"),
    ],
)
@pytest.mark.parametrize(
    "direction", [(1, 0, 0, 0, 1, 0, 0, 0, 1), (0, 0, 1, 1, 0, 0, 0, -1, 0)], ids=["axial", "sag"]
)
def test_the_3d_view_shows_a_ball_on_its_own_side(
    eye: tuple[int, ...], letters: tuple[str, ...], place: str, direction: tuple[float, ...]
) -> None:
    """A red ball at the left, front and head of a pale body."""
    grid = grid_of(direction)
    body = np.zeros(grid.shape_zyx, bool)
    body[2:-2, 2:-2, 2:-2] = True
    surfaces = [
        _ball((35.0, -30.0, 30.0), grid),
        Surface(mask_surface(body, grid), (0.9, 0.9, 0.9), 0.15),
    ]
    view = render(surfaces, eye, (200, 220), "", [("ball", (35.0, -30.0, 30.0))])
    assert view is not None
    assert view.letters == letters
    column, row = _red_centre(view.pixels)
    assert ("top" in place) == (row < 0.5)
    assert ("left" in place) == (column < 0.5)
    # Its name is written where it is.
    ((_, name_column, name_row),) = view.names
    rows, columns, _ = view.pixels.shape
    assert (name_column, name_row) == pytest.approx((column * columns, row * rows), abs=3)


def test_the_3d_view_has_the_colours_it_was_given_and_none_else() -> None:
    """Known pixels: an opaque unlit-facing ball in the middle, pure white at the edges."""
    grid = grid_of()
    ball = _ball((0.0, 0.0, 0.0), grid)
    view = render([ball], (0, -1, 0), (101, 101), "")
    assert view is not None
    rows, columns, _ = view.pixels.shape
    red, green, blue = (int(value) for value in view.pixels[rows // 2, columns // 2])
    assert red > 200
    assert green == blue == 0
    for edge in (view.pixels[0], view.pixels[-1], view.pixels[:, 0], view.pixels[:, -1]):
        assert (edge == 255).all()


@pytest.mark.parametrize("size", [(30, 4, 4), (4, 30, 4), (4, 4, 30)], ids=["wide", "deep", "long"])
@pytest.mark.parametrize("eye", [(0, -1, 0), (1, 0, 0)])
def test_nothing_is_cut_off_at_the_edges(size: tuple[int, ...], eye: tuple[int, ...]) -> None:
    mask = np.zeros((40, 40, 40), bool)
    columns, rows, slices = size
    mask[3 : 3 + slices, 3 : 3 + rows, 3 : 3 + columns] = True
    grid = GridGeometry((40, 40, 40), (2.0, 2.0, 2.0), (-500.0, 300.0, 80.0))
    view = render([Surface(mask_surface(mask, grid), (1.0, 0.0, 0.0), 1.0)], eye, (120, 140), "")
    assert view is not None
    for edge in (view.pixels[0], view.pixels[-1], view.pixels[:, 0], view.pixels[:, -1]):
        assert (edge == 255).all()
    shown = (
        (view.pixels[..., 1] < 128).any(axis=0).mean(),
        (view.pixels[..., 1] < 128).any(axis=1).mean(),
    )
    assert max(shown) > 0.85, "it fills the picture in one direction"


def test_the_plans_scene_holds_lesions_needles_bone_and_skin(patient: Patient) -> None:
    document = plan_document(patient)
    scene = plan_scene(
        patient.body, patient.anatomy, patient.lesions, document["needles"], patient.volume.geometry
    )
    colours = [one.colour for one in scene]
    assert (colours.count(NEEDLE), colours.count(BONE), len(scene)) == (2, 1, 6)
    needle_box = np.array(next(one.mesh for one in scene if one.colour == NEEDLE).GetBounds())
    assert needle_box.reshape(3, 2)[:, 0] == pytest.approx([31, -38, 11], abs=2)
    assert needle_box.reshape(3, 2)[:, 1] == pytest.approx([45, -11, 22], abs=2)
    skin_box = np.array(scene[-1].mesh.GetBounds()).reshape(3, 2)
    assert skin_box == pytest.approx(np.array([[-70, 70], [-50, 50], [-90, 90]]), abs=3)


@pytest.mark.parametrize(
    ("name", "bony"),
    [("bone", True), ("rib_left_5", True), ("vertebrae_L1", True), ("hip_left", True),
     ("liver", False), ("heart", False), ("bronchus", False)],
)  # fmt: skip
def test_which_structures_are_drawn_as_bone(name: str, bony: bool) -> None:
    assert is_bone(name) is bony
