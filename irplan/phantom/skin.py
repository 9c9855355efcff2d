"""The skin of the reference patient as points."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from skimage.measure import marching_cubes

from irplan.geometry import FloatArray
from irplan.phantom.fields import LOW_MM, STEP_MM, Forms


@lru_cache(maxsize=1)
def skin_points() -> FloatArray:
    """Points of the skin's surface, (n, 3) LPS mm, less than 1.5 mm apart."""
    body = np.ascontiguousarray(Forms().body, dtype=np.float32)
    vertices, faces, _, _ = marching_cubes(body, 0.0)
    corners = vertices[:, ::-1][faces] * STEP_MM + np.asarray(LOW_MM)
    # Four points to a side of each triangle: its corners and what lies between.
    shares = [(a, b, 3 - a - b) for a in range(4) for b in range(4 - a)]
    points = np.concatenate(
        [(a * corners[:, 0] + b * corners[:, 1] + c * corners[:, 2]) / 3.0 for a, b, c in shares]
    )
    inside = np.abs(points[:, 2]) < 385.0
    return np.asarray(points[inside])
