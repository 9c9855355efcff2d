"""The three angles of a needle, as a radiologist dials them in. Pure.

With d the unit vector from entry to tip, z = (0, 0, 1), p the plumb line as the patient lies and
r = z × (-p):

- axial angle = atan2(d·r, d·p): 0° is straight down, seen in the axial plane;
- craniocaudal angle = asin(d·z), positive towards the head;
- skin angle = angle between d and the inward normal of the skin: 0° is square to the skin.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from irplan.geometry import unit
from irplan.trajectory.position import PatientPosition


def axial_angle_deg(direction: npt.ArrayLike, position: PatientPosition) -> float:
    """The in-plane angle from the plumb line, degrees in (-180, 180].

    ``direction`` is any vector from entry to tip, LPS. A direction along the body axis has no
    in-plane part; its angle is 0.
    """
    d = unit(direction)
    down = position.plumb
    # r = z × (-p), the head lying along z.
    across = float(d[0] * down[1] - d[1] * down[0])
    along = float(d @ down)
    if math.hypot(across, along) < 1e-12:
        return 0.0
    angle = math.degrees(math.atan2(across, along))
    return 180.0 if angle == -180.0 else angle


def craniocaudal_angle_deg(direction: npt.ArrayLike) -> float:
    """The tilt out of the axial plane, degrees in [-90, 90], positive towards the head."""
    return math.degrees(math.asin(float(np.clip(unit(direction)[2], -1.0, 1.0))))


def skin_angle_deg(direction: npt.ArrayLike, inward_normal: npt.ArrayLike) -> float:
    """The angle between the needle and the inward normal of the skin, degrees in [0, 180]."""
    cosine = float(np.clip(unit(direction) @ unit(inward_normal), -1.0, 1.0))
    return math.degrees(math.acos(cosine))
