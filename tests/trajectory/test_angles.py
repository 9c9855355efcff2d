"""Angles for each way of lying, worked out by hand with a drawing of the patient on the table."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irplan.errors import CallError
from irplan.trajectory.angles import axial_angle_deg, craniocaudal_angle_deg, skin_angle_deg
from irplan.trajectory.position import PatientPosition, feet_first

SUPINE, PRONE = PatientPosition.SUPINE, PatientPosition.PRONE
LEFT, RIGHT = PatientPosition.LEFT, PatientPosition.RIGHT

# LPS: +x to the patient's left, +y to the back, +z to the head.
# Supine: down is +y, r = z × (-p) = (0,0,1) × (0,-1,0) = (1,0,0): positive goes to the left.
# Prone: down is -y, r = (0,0,1) × (0,1,0) = (-1,0,0): positive goes to the right.
# On the left side: down is +x, r = (0,0,1) × (-1,0,0) = (0,-1,0): positive goes to the front.
# On the right side: down is -x, r = (0,0,1) × (1,0,0) = (0,1,0): positive goes to the back.
BY_HAND = [
    (SUPINE, (0, 1, 0), 0.0),
    (SUPINE, (1, 0, 0), 90.0),
    (SUPINE, (-1, 0, 0), -90.0),
    (SUPINE, (1, 1, 0), 45.0),
    (SUPINE, (0, -1, 0), 180.0),
    (PRONE, (0, -1, 0), 0.0),
    (PRONE, (-1, 0, 0), 90.0),
    (PRONE, (1, -1, 0), -45.0),
    (LEFT, (1, 0, 0), 0.0),
    (LEFT, (0, -1, 0), 90.0),
    (LEFT, (1, 1, 0), -45.0),
    (RIGHT, (-1, 0, 0), 0.0),
    (RIGHT, (0, 1, 0), 90.0),
    (RIGHT, (-1, -1, 0), -45.0),
    (SUPINE, (0, 0, 1), 0.0),
]


@pytest.mark.parametrize(("position", "direction", "expected"), BY_HAND)
def test_axial_angle_by_hand(
    position: PatientPosition, direction: tuple[float, float, float], expected: float
) -> None:
    assert axial_angle_deg(direction, position) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("direction", "expected"),
    [((0, 1, 0), 0.0), ((0, 0, 1), 90.0), ((0, 0, -3), -90.0), ((1, 0, 1), 45.0)],
)
def test_craniocaudal_angle_is_positive_towards_the_head(
    direction: tuple[float, float, float], expected: float
) -> None:
    assert craniocaudal_angle_deg(direction) == pytest.approx(expected)


def test_tilt_does_not_change_the_axial_angle() -> None:
    flat = axial_angle_deg((0.3, 0.8, 0.0), SUPINE)
    assert axial_angle_deg((0.3, 0.8, 0.5), SUPINE) == pytest.approx(flat)


def test_skin_angle_is_zero_square_to_the_skin() -> None:
    assert skin_angle_deg((0, 2, 0), (0, 1, 0)) == pytest.approx(0.0)
    assert skin_angle_deg((1, 1, 0), (0, 1, 0)) == pytest.approx(45.0)
    assert skin_angle_deg((0, -1, 0), (0, 1, 0)) == pytest.approx(180.0)


directions = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda d: np.linalg.norm(d) > 0.1)


@given(directions)
def test_mirroring_the_patient_mirrors_the_axial_angle(d: tuple[float, float, float]) -> None:
    x, y, z = d
    if math.hypot(x, y) < 1e-3:
        return
    there = axial_angle_deg((x, y, z), SUPINE)
    back = axial_angle_deg((-x, y, z), SUPINE)
    assert math.cos(math.radians(there)) == pytest.approx(math.cos(math.radians(back)))
    assert math.sin(math.radians(there)) == pytest.approx(-math.sin(math.radians(back)))


@given(directions)
def test_turning_needle_and_patient_together_changes_nothing(
    d: tuple[float, float, float],
) -> None:
    # A quarter turn about the body's axis carries supine (+y down) to on the right side (-x down).
    x, y, z = d
    assert axial_angle_deg((-y, x, z), RIGHT) == pytest.approx(axial_angle_deg(d, SUPINE))
    assert craniocaudal_angle_deg((-y, x, z)) == pytest.approx(craniocaudal_angle_deg(d))


@pytest.mark.parametrize(
    ("tag", "position", "feet"),
    [
        ("HFS", SUPINE, False),
        ("FFS", SUPINE, True),
        ("HFP", PRONE, False),
        ("FFP", PRONE, True),
        ("HFDL", LEFT, False),
        ("FFDL", LEFT, True),
        ("HFDR", RIGHT, False),
        ("FFDR", RIGHT, True),
        ("hfs ", SUPINE, False),
        ("", None, None),
        ("LFP", None, None),
        ("HFX", None, False),
    ],
)
def test_position_from_the_tag(
    tag: str, position: PatientPosition | None, feet: bool | None
) -> None:
    assert PatientPosition.from_tag(tag) is position
    assert feet_first(tag) is feet


@pytest.mark.parametrize(
    ("position", "down"),
    [(SUPINE, (0, 1, 0)), (PRONE, (0, -1, 0)), (LEFT, (1, 0, 0)), (RIGHT, (-1, 0, 0))],
)
def test_plumb_line(position: PatientPosition, down: tuple[int, int, int]) -> None:
    assert tuple(position.plumb) == down


def test_a_word_that_is_no_position_is_refused() -> None:
    assert PatientPosition.parse(" Prone ") is PRONE
    with pytest.raises(CallError, match="supine, prone"):
        PatientPosition.parse("upright")
