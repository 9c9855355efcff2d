"""The exact reference against dense sampling and against distances worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irplan.anatomy import Anatomy, Structure
from irplan.geometry import GridGeometry
from irplan.trajectory import load_constraints, verdict
from irplan.trajectory.blocks import labels_of_blocks
from irplan.trajectory.exact import (
    local_mm,
    nearest_by_label,
    nearest_in_blocks,
    segment_box_squared,
    walk,
)
from irplan.trajectory.field import build_field
from irplan.trajectory.margins import margins_for

coordinate = st.floats(-6, 6, allow_nan=False)
point = st.tuples(coordinate, coordinate, coordinate)
edge = st.floats(0.1, 4)

NO_LESION = (np.zeros((1, 1, 1), dtype=bool), np.zeros(3, dtype=np.int64))


def sampled_distance(a: np.ndarray, b: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Distance of a segment to a box by dense sampling: never below the true one."""
    points = a + np.linspace(0, 1, 4001)[:, None] * (b - a)
    gap = np.maximum(0, np.maximum(low - points, points - high))
    return float(np.sqrt((gap**2).sum(axis=1)).min())


@given(point, point, point, st.tuples(edge, edge, edge))
@settings(max_examples=300, deadline=None)
def test_segment_to_box_agrees_with_dense_sampling(
    a: tuple[float, ...], b: tuple[float, ...], low: tuple[float, ...], edges: tuple[float, ...]
) -> None:
    start, end, corner = np.array(a), np.array(b), np.array(low)
    far = corner + np.array(edges)
    exact = np.sqrt(segment_box_squared(*start, *end, *corner, *far))
    rough = sampled_distance(start, end, corner, far)
    step = np.linalg.norm(end - start) / 4000
    assert exact <= rough + 1e-9
    assert exact >= rough - step - 1e-9


BY_HAND = [
    # segment along x, box above it: the gap of the faces
    ((-5, 0, 0), (5, 0, 0), (-1, 2, -1), (1, 3, 1), 2.0),
    # past an edge: (3, 4) away
    ((-5, 0, 0), (5, 0, 0), (-1, 3, 4), (1, 5, 6), 5.0),
    # the end is nearest: corner at (1, 2, 2) from the end
    ((-5, 0, 0), (0, 0, 0), (1, 2, 2), (4, 4, 4), 3.0),
    # through it
    ((0, 0, -5), (0, 0, 5), (-1, -1, -1), (1, 1, 1), 0.0),
    # a point inside, a point outside
    ((0, 0, 0), (0, 0, 0), (-1, -1, -1), (1, 1, 1), 0.0),
    ((4, 0, 0), (4, 0, 0), (-1, -1, -1), (1, 1, 1), 3.0),
    # touches a face
    ((-5, 1, 0), (5, 1, 0), (-1, -1, -1), (1, 1, 1), 0.0),
]


@pytest.mark.parametrize(("a", "b", "low", "high", "expected"), BY_HAND)
def test_segment_to_box_by_hand(
    a: tuple[float, ...],
    b: tuple[float, ...],
    low: tuple[float, ...],
    high: tuple[float, ...],
    expected: float,
) -> None:
    values = [float(value) for value in (*a, *b, *low, *high)]
    assert np.sqrt(segment_box_squared(*values)) == pytest.approx(expected)


def random_labels(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.zeros((7, 9, 11), dtype=np.uint8)
    where = rng.random(labels.shape)
    labels[where < 0.04] = 1
    labels[where > 0.97] = 2
    return labels, np.array([0.8, 1.1, 2.5])


def brute_nearest(
    labels: np.ndarray, spacing: np.ndarray, a: np.ndarray, b: np.ndarray, label: int
) -> float:
    best = np.inf
    for k, j, i in np.argwhere(labels == label):
        low = np.array([i, j, k]) * spacing
        best = min(best, sampled_distance(a, b, low, low + spacing))
    return best


@pytest.mark.parametrize("seed", range(6))
def test_clearances_are_to_the_voxels_faces(seed: int) -> None:
    labels, spacing = random_labels(seed)
    rng = np.random.default_rng(seed + 100)
    a, b = rng.uniform(-3, 20, 3), rng.uniform(-3, 20, 3)
    found = nearest_by_label(labels, spacing, a, b, np.array([-1.0, 50.0, 50.0]))
    for label in (1, 2):
        assert found[label] == pytest.approx(brute_nearest(labels, spacing, a, b, label), abs=0.02)
    assert np.isinf(found[0])


@pytest.mark.parametrize("more", [0, 90])
def test_blocks_change_no_distance(more: int) -> None:
    # Also with more labels than a block has bits.
    rng = np.random.default_rng(more)
    labels = np.zeros((20, 36, 44), dtype=np.uint8)
    for label in rng.integers(1, 6 + more, 30):
        k, j, i = (rng.integers(0, count - 2) for count in labels.shape)
        labels[k : k + 2, j : j + 2, i : i + 3] = label
    spacing = np.array([0.8, 1.1, 2.5])
    size = np.array(labels.shape[::-1]) * spacing
    held = labels_of_blocks(labels, spacing)
    assert max(held.bits.shape) > 3
    for a, b in rng.uniform(-0.3, 1.3, (60, 2, 3)) * size:
        reach = rng.uniform(-5.0, 25.0, labels.max() + 1)
        plain = nearest_by_label(labels, spacing, a, b, reach)
        assert (nearest_in_blocks(labels, spacing, a, b, reach, held) == plain).all()
    for label in np.unique(labels)[1:4]:
        found = nearest_in_blocks(labels, spacing, a, b, np.full(labels.max() + 1, 99.0), held)
        assert found[label] == pytest.approx(brute_nearest(labels, spacing, a, b, label), abs=0.02)


def test_a_label_beyond_its_reach_is_not_reported() -> None:
    labels = np.zeros((1, 1, 20), dtype=np.uint8)
    labels[0, 0, 15] = 1
    spacing = np.ones(3)
    a, b = np.array([0.5, 0.5, 0.5]), np.array([4.5, 0.5, 0.5])
    assert nearest_by_label(labels, spacing, a, b, np.array([-1.0, 10.5]))[1] == 10.5
    assert np.isinf(nearest_by_label(labels, spacing, a, b, np.array([-1.0, 10.4]))[1])
    assert np.isinf(nearest_by_label(labels, spacing, a, b, np.array([-1.0, -1.0]))[1])


@pytest.mark.parametrize("seed", range(8))
def test_is_clear_is_the_same_question_as_the_distance(seed: int) -> None:
    labels, spacing = random_labels(seed)
    rng = np.random.default_rng(seed)
    segments = rng.uniform(-2, 18, (40, 2, 3))
    margin = np.array([-1.0, 1.3, 3.0])
    clear = verdict.all_clear(
        labels,
        spacing,
        margin,
        np.ascontiguousarray(segments[:, 0]),
        np.ascontiguousarray(segments[:, 1]),
        # A field of one cell that leaves everything in doubt.
        np.full((1, 1, 1), -1.0, dtype=np.float32),
        np.full((1, 1, 1), 3.0, dtype=np.float32),
        np.full((1, 1, 1), 3.0, dtype=np.float32),
        np.full(3, 50.0),
        np.array([7, 9, 11]),
        0.0,
    )
    for (a, b), answer in zip(segments, clear, strict=True):
        found = nearest_by_label(labels, spacing, a, b, np.array([-1.0, 60.0, 60.0]))
        assert answer == (found[1] >= 1.3 and found[2] >= 3.0)


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 3.0), (0.9, 0.9, 5.0)])
def test_what_the_field_calls_clear_is_clear(spacing: tuple[float, float, float]) -> None:
    # Only the parts in doubt are held against voxels: the answer is that of the whole distance.
    rng = np.random.default_rng(5)
    labels = np.zeros((24, 70, 80), dtype=np.uint8)
    size = np.array([80, 70, 24]) * spacing
    for label in (1, 2, 3, 1, 2):
        k, j, i = (rng.integers(2, count - 2) for count in labels.shape)
        labels[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2] = label
    anatomy = Anatomy(
        labels,
        GridGeometry((80, 70, 24), spacing, (0.0, 0.0, 0.0)),
        tuple(
            Structure(name, label, Decimal(1), "imported", "as given")
            for label, name in enumerate(("bone", "heart", "aorta"), 1)
        ),
    )
    margins = margins_for(anatomy, None, load_constraints(), "ct")
    field = build_field(labels, np.ones(labels.shape, dtype=bool), margins, spacing[::-1])
    a, b = rng.uniform(0, 1, (2, 1500, 3)) * size
    step, margin = np.asarray(spacing), margins.margin_mm
    clear = verdict.all_clear(
        labels, step, margin, a, b, field.slack, field.reach, field.near, field.cell_mm,
        field.factors, field.doubt_mm,
    )  # fmt: skip
    reach = np.where(margins.margin_mm >= 0, 300.0, -1.0)
    distance = np.array(
        [nearest_by_label(labels, step, p, q, reach) for p, q in zip(a, b, strict=True)]
    )
    over = (distance - margins.margin_mm)[:, 1:].min(axis=1)
    sure = np.abs(over) > 1e-9
    assert (clear[sure] == (over[sure] > 0)).all()
    assert 0.1 < clear.mean() < 0.95
    # The field itself settles a part of them.
    open_field, all_near = np.full_like(field.slack, -1.0), np.full_like(field.near, margin.max())
    blunt = verdict.all_clear(
        labels, step, margin, a, b, open_field, field.reach, all_near, field.cell_mm,
        field.factors, 0.0,
    )  # fmt: skip
    assert (blunt[sure] == clear[sure]).all()


def one_cell_is_clear(
    labels: np.ndarray, spacing: np.ndarray, margin: float, a: np.ndarray, b: np.ndarray
) -> bool:
    """The exact test of label 1, the whole grid one cell of the field."""
    shape = np.asarray(labels.shape)
    return bool(
        verdict.is_clear(
            labels, spacing, np.array([-1.0, margin]),
            np.full((1, 1, 1), margin, dtype=np.float32), shape[::-1] * spacing, shape, margin,
            a, b,
        )
    )  # fmt: skip


def test_a_clearance_of_just_under_the_margin_does_not_pass() -> None:
    labels = np.zeros((1, 12, 3), dtype=np.uint8)
    labels[0, 10, 1] = 1
    spacing = np.ones(3)
    a, b = np.array([-5.0, 5.0, 0.5]), np.array([8.0, 5.0, 0.5])
    assert one_cell_is_clear(labels, spacing, 5.0, a, b)
    near = np.array([0.0, 0.04, 0.0])
    assert not one_cell_is_clear(labels, spacing, 5.0, a + near, b + near)


def test_margin_zero_still_forbids_touching() -> None:
    labels = np.ones((1, 1, 1), dtype=np.uint8)
    a, b = np.array([-1.0, 0.5, 0.5]), np.array([2.0, 0.5, 0.5])
    assert not one_cell_is_clear(labels, np.ones(3), 0.0, a, b)


@pytest.mark.parametrize(
    ("spacing", "comfort"),
    [((0.7, 0.9, 1.5), True), ((2.0, 1.0, 5.0), True), ((1.0, 1.0, 2.0), False)],
)
def test_the_field_holds_the_distance_to_the_nearest_face(
    spacing: tuple[float, float, float], comfort: bool
) -> None:
    # Cells of several voxels, the last ones not whole; obstacles with three margins, with and
    # without a wish for more.
    rng = np.random.default_rng(8)
    labels = np.zeros((22, 31, 40), dtype=np.uint8)
    for label in (1, 2, 3, 1):
        k, j, i = (rng.integers(0, count) for count in labels.shape)
        labels[k : k + 3, j : j + 2, i : i + 4] = label
    anatomy = Anatomy(
        labels,
        GridGeometry((40, 31, 22), spacing, (0.0, 0.0, 0.0)),
        tuple(
            Structure(name, label, Decimal(1), "imported", "as given")
            for label, name in enumerate(("bone", "heart", "aorta"), 1)
        ),
    )
    margins = margins_for(anatomy, None, load_constraints(), "ct")
    if not comfort:
        margins = replace(margins, wanted_mm=margins.margin_mm)
    field = build_field(labels, np.ones(labels.shape, dtype=bool), margins, spacing[::-1])
    corners = {
        label: np.argwhere(labels == label)[:, ::-1] * np.asarray(spacing) for label in (1, 2, 3)
    }
    for k, j, i in np.ndindex(field.slack.shape):
        middle = (np.array([i, j, k]) + 0.5) * field.cell_mm
        over = {}
        for label, low in corners.items():
            gap = np.maximum(0.0, np.maximum(low - middle, middle - low - np.asarray(spacing)))
            over[label] = np.sqrt((gap**2).sum(axis=1)).min() - margins.margin_mm[label]
        assert field.slack[k, j, i] == pytest.approx(
            min(*over.values(), field.slack.max()), abs=1e-4
        )
        z, y, x = (np.array([k, j, i]) * field.factors).tolist()
        dz, dy, dx = field.factors.tolist()
        held = np.unique(labels[z : z + dz, y : y + dy, x : x + dx])
        assert field.reach[k, j, i] == max(
            (margins.margin_mm[label] for label in held), default=-1.0
        )
        # Nothing is passed over whose margin a path through the cell might miss.
        doubtful = [margins.margin_mm[label] for label in over if over[label] <= field.doubt_mm]
        assert field.near[k, j, i] == max(doubtful, default=-1.0)
    assert field.slack.min() < 0 < field.slack.max()


def walked(
    labels: np.ndarray,
    spacing: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    is_lung: list[bool],
    body: np.ndarray | None = None,
    side: tuple[np.ndarray, np.ndarray] = NO_LESION,
) -> tuple[np.ndarray, float, int]:
    there = np.ones(labels.shape, dtype=bool) if body is None else body
    lengths, outside, crossings = walk(
        labels, there, spacing, a, b, len(is_lung), np.array(is_lung), *side, 2.0
    )
    return lengths, outside, crossings


@pytest.mark.parametrize("seed", range(6))
def test_crossed_lengths_agree_with_dense_sampling(seed: int) -> None:
    labels, spacing = random_labels(seed)
    labels[:, 3:6] = 2
    rng = np.random.default_rng(seed + 50)
    a, b = rng.uniform(-2, 12, 3), rng.uniform(-2, 12, 3)
    lengths, outside, _ = walked(labels, spacing, a, b, [False] * 3)
    total = np.linalg.norm(b - a)
    points = a + (np.arange(20000) + 0.5)[:, None] / 20000 * (b - a)
    index = np.floor(points / spacing).astype(int)
    within = np.all((index >= 0) & (index < np.array([11, 9, 7])), axis=1)
    seen = np.zeros(len(points), dtype=int)
    seen[within] = labels[index[within, 2], index[within, 1], index[within, 0]]
    for label in (1, 2):
        assert lengths[label] == pytest.approx(total * np.mean(seen == label), abs=0.02)
    assert outside == pytest.approx(total * np.mean(~within), abs=0.02)
    assert lengths.sum() == pytest.approx(total)


def row(text: str) -> np.ndarray:
    """A row of 1 mm voxels: '.' tissue, 'L' lung, 'X' and 'x' lesion inside and outside it."""
    return np.array([[[int(letter == "L") for letter in text]]], dtype=np.uint8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("........", 0),
        ("...LLLL", 1),
        ("...LLLL....", 2),
        ("..LLL....LLL", 3),
        ("..LLL..LLL", 1),  # 2 mm of tissue between lung: a vessel of the lung
        ("..LLL.", 2),  # it ends outside the lung
        ("..LLLLXXXX", 1),  # from the lung into a target in it is no pleural crossing
        ("..XXXX", 1),  # into the target through the pleura
        ("..LLXXX....", 2),
        ("..LLLLxxxx", 2),  # the target lies beyond the lung
        ("..xxxx", 0),
        ("..xxXXLL", 1),  # it grows through the pleura
    ],
)
def test_pleural_crossings_by_hand(text: str, expected: int) -> None:
    side = np.array([[[letter == "X" for letter in text]]])
    a, b = np.array([0.0, 0.5, 0.5]), np.array([float(len(text)), 0.5, 0.5])
    _, _, crossings = walked(
        row(text), np.ones(3), a, b, [False, True], side=(side, np.zeros(3, dtype=np.int64))
    )
    assert crossings == expected


def test_length_outside_the_body_is_the_air_gap() -> None:
    labels = np.zeros((1, 1, 10), dtype=np.uint8)
    body = np.array([[[True] * 3 + [False] * 4 + [True] * 3]])
    a, b = np.array([0.0, 0.5, 0.5]), np.array([10.0, 0.5, 0.5])
    assert walked(labels, np.ones(3), a, b, [False], body)[1] == pytest.approx(4.0)


def test_local_frame_keeps_lengths_on_an_oblique_grid() -> None:
    angle = np.radians(20)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    grid = GridGeometry((9, 9, 9), (0.7, 0.9, 2.0), (5, -3, 11), tuple(turn.ravel()))
    points = np.array([[1.0, 2.0, 3.0], [14.0, -7.0, 25.0]])
    local = local_mm(points, grid)
    assert np.linalg.norm(local[1] - local[0]) == pytest.approx(
        np.linalg.norm(points[1] - points[0])
    )
    assert local_mm(grid.to_lps((0, 0, 0)), grid) == pytest.approx([0.35, 0.45, 1.0])
