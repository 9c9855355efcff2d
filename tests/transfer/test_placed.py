"""Planned against placed: the errors by construction, the distances by brute force."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from irplan.comparison import (
    LEAST_NEEDLES,
    Placed,
    errors_between,
    inside_mm,
    parse_tip,
    site_errors,
)
from irplan.comparison.site import ERROR_COLUMNS, with_errors
from irplan.errors import CallError, InputRefused
from irplan.geometry import GridGeometry
from irplan.lesions.lesion import LesionMask
from irplan.trajectory import load_constraints

lengths = st.floats(-30.0, 30.0)
turns = st.tuples(*[st.floats(-180.0, 180.0)] * 3)


@given(turns, lengths, lengths, lengths, st.floats(0.0, 60.0))
def test_errors_that_were_put_in_come_out(angles, along, across, up, tilt) -> None:
    # Built in a frame whose third axis is the planned needle, then turned into the patient.
    frame = Rotation.from_euler("zyx", angles, degrees=True)
    entry, tip = np.array([10.0, -40.0, 7.0]), np.array([0.0, 0.0, 80.0])
    planned_tip = entry + frame.apply(tip)
    placed_tip = planned_tip + frame.apply([across, up, along])
    lean = Rotation.from_rotvec(np.radians(tilt) * np.array([1.0, 0.0, 0.0]))
    placed_entry = placed_tip - frame.apply(lean.apply([0.0, 0.0, 75.0]))
    radial, lateral, depth, angle = errors_between(
        entry, planned_tip, placed_tip, tuple(placed_entry)
    )
    assert depth == pytest.approx(along, abs=1e-6)
    assert lateral == pytest.approx(np.hypot(across, up), abs=1e-6)
    assert radial == pytest.approx(np.sqrt(along**2 + across**2 + up**2), abs=1e-6)
    assert angle == pytest.approx(tilt, abs=1e-4)


def test_without_an_entry_there_is_no_angle() -> None:
    found = errors_between(np.zeros(3), np.array([0, 0, 50.0]), np.array([3.0, 4.0, 50.0]), None)
    assert found == (5.0, 5.0, 0.0, None)


@pytest.mark.parametrize("seed", range(3))
def test_distance_to_the_border_by_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = GridGeometry((14, 12, 9), (1.5, 2.0, 3.0), (-20.0, 5.0, 40.0))
    full = np.zeros(grid.shape_zyx, dtype=bool)
    full[2:7, 3:9, 3:11] = rng.random((5, 6, 8)) > 0.2
    mask = LesionMask.from_full(full, grid)
    # Points all over each voxel: the border is where a neighbour of the other kind begins.
    fine = np.linspace(-0.5, 0.5, 7)
    parts = np.stack(np.meshgrid(fine, fine, fine, indexing="ij"), axis=-1).reshape(-1, 3)
    k, j, i = np.meshgrid(*(np.arange(-1, n + 1) for n in grid.shape_zyx), indexing="ij")
    cells = np.stack([i, j, k], axis=-1).reshape(-1, 3)
    wide = np.pad(full, 1).ravel()
    for point in rng.uniform(grid.to_lps((1, 1, 1)), grid.to_lps((12, 10, 7)), (12, 3)):
        index = np.rint(grid.to_index(point)).astype(int)
        inside = full[index[2], index[1], index[0]]
        near = np.linalg.norm(grid.to_lps(cells) - point, axis=1) < 9.0
        others = cells[(wide != inside) & near]
        spots = grid.to_lps((others[:, None] + parts).reshape(-1, 3))
        nearest = np.linalg.norm(spots - point, axis=1).min()
        found = inside_mm(mask, point)
        assert (found > 0) == inside
        # The spots hold the corners of the voxels and lie half a fine step apart at most, mm.
        assert abs(found) <= nearest + 1e-6
        assert abs(found) >= nearest - 0.33


@pytest.mark.parametrize(
    ("text", "placed"),
    [
        ("N1=-75.7,17.1,-16.4", Placed("N1", (-75.7, 17.1, -16.4))),
        ("N1-P2=1,2,3,4,5,6", Placed("N1-P2", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))),
    ],
)
def test_tips_are_read(text: str, placed: Placed) -> None:
    assert parse_tip(text) == placed


@pytest.mark.parametrize(
    "text", ["N1", "=1,2,3", "N1=1,2", "N1=1,2,3,4", "N1=1,2,1e3", "N1=1,2,nan", "N1=1,2,3,1,2,3"]
)
def test_what_is_no_tip_is_refused(text: str) -> None:
    with pytest.raises(CallError):
        parse_tip(text)


def rows(count: int, radial: str) -> list[dict[str, str]]:
    return [{"guidance": "ct", "radial_mm": radial} for _ in range(count)]


@pytest.mark.parametrize(
    ("count", "radial", "sigma"),
    [
        (LEAST_NEEDLES - 1, "6.0", None),
        (LEAST_NEEDLES, "6.152", Decimal("4.0")),
        # 1.538 mm in the median is a sigma of 1 mm: never below 2.
        (LEAST_NEEDLES + 5, "1.538", Decimal("2.0")),
    ],
)
def test_a_sites_own_error_counts_from_twenty_needles_and_never_below_two_mm(
    count: int, radial: str, sigma: Decimal | None
) -> None:
    (one,) = site_errors(rows(count, radial))
    assert one["needles"] == count
    assert one["sigma_mm"] == sigma
    assert (one["tip_error_setting_mm"] is None) == (sigma is None)


def test_guidance_is_kept_apart() -> None:
    found = site_errors([*rows(20, "5.0"), {"guidance": "ultrasound", "radial_mm": "3.0"}])
    assert [(one["guidance"], one["sigma_mm"] is None) for one in found] == [
        ("ct", False),
        ("ultrasound", True),
    ]


def test_the_sites_errors_become_the_sigma_of_its_plans(tmp_path: Path) -> None:
    """From the errors to the sigma that paths are judged by, through the table that is told."""
    radial = ["2.4", "5.9", "7.3", "9.8", "4.4"] * 5
    (told,) = site_errors([{"guidance": "ct", "radial_mm": one} for one in radial])
    rules = tmp_path / "site.toml"
    rules.write_text(told["constraints"])
    # The median of the five lengths is 5.9 mm.
    assert load_constraints(rules).tip_sigma_mm("ct") == pytest.approx(5.9 / 1.538)
    assert float(told["sigma_mm"]) == pytest.approx(5.9 / 1.538, abs=0.1)
    for few in (rows(19, "5.0"), [{"guidance": "ultrasound", "radial_mm": "3.0"}] * 30):
        (told,) = site_errors(few)
        assert told["constraints"] is None


def error_row(needle: str, radial: str) -> dict[str, str]:
    return dict(zip(ERROR_COLUMNS, ("P1", needle, "ct", radial, "1.0", "-1.0"), strict=True))


def test_a_needle_measured_again_takes_its_row(tmp_path: Path) -> None:
    path = tmp_path / "errors.csv"
    with_errors(path, [error_row("N1", "4.0"), error_row("N2", "5.0")])
    found = with_errors(path, [error_row("N1", "3.0")])
    assert [(one["needle_id"], one["radial_mm"]) for one in found] == [("N1", "3.0"), ("N2", "5.0")]
    assert path.read_text().count("N1") == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("plan_id,needle_id\n", "errors_columns"),
        (",".join(ERROR_COLUMNS) + "\nP1,N1,ct\n", "errors_row"),
        (",".join(ERROR_COLUMNS) + "\nP1,N1,ct,-1,1,1\n", "errors_row"),
        (",".join(ERROR_COLUMNS) + "\nP1,N1,ct,nan,1,1\n", None),
    ],
)
def test_files_that_hold_no_errors(tmp_path: Path, text: str, code: str | None) -> None:
    path = tmp_path / "errors.csv"
    path.write_text(text)
    with pytest.raises(InputRefused) as refused:
        with_errors(path, [error_row("N1", "3.0")])
    assert code is None or refused.value.code == code
    assert path.read_text() == text
