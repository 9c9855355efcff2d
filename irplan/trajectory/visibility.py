"""How well ultrasound sees the way of a needle: sight lines past bone, lung and gas.

Soft: lines that are blocked cost (``visible_percent`` with the weight ``visibility``), and never
forbid a path unless a site makes the limit hard. Under CT a needle is seen in the images that it
runs through (``images_crossed``); there this is not looked at, unless a site's file says so.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from irplan.geometry import BoolArray, FloatArray, GridGeometry, PointLps, unit
from irplan.trajectory.exact import local_mm
from irplan.trajectory.margins import Margins
from irplan.trajectory.stepping import holds, next_face, start_walk, step_over

AnyArray = npt.NDArray[Any]

#: What ultrasound does not pass: rules of structures, and names.
OPAQUE_RULES = ("bone", "lung", "airway", "fissure", "bulla")
OPAQUE_NAMES = ("bowel_gas",)
#: The probe stands around the entry: sight lines start on two rings of these radii, mm.
RINGS_MM = (10.0, 20.0)
LINES_PER_RING = 8


def visible_percent(
    labels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    grid: GridGeometry,
    margins: Margins,
    entry_lps_mm: PointLps,
    tip_lps_mm: PointLps,
) -> float:
    """Percent of the straight lines from around the entry to the tip that ultrasound passes.

    The lines start at the entry and on rings around it in the plane square to the needle.

    Args:
        labels: (z, y, x), contiguous, on ``grid``; what lies outside blocks nothing.
    """
    entry, tip = np.asarray(entry_lps_mm), np.asarray(tip_lps_mm)
    starts = local_mm(entry + _ring_offsets(unit(tip - entry)), grid)
    seen = _lines_seen(
        labels,
        np.asarray(grid.spacing_mm),
        np.ascontiguousarray(starts),
        np.ascontiguousarray(local_mm(tip, grid)),
        _opaque(margins),
    )
    return 100.0 * float(seen) / len(starts)


def _opaque(margins: Margins) -> BoolArray:
    """Whether ultrasound does not pass each label."""
    return np.array(
        [
            kind in OPAQUE_RULES or name in OPAQUE_NAMES
            for kind, name in zip(margins.kinds, margins.names, strict=True)
        ]
    )


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _lines_seen(
    labels: AnyArray, spacing: AnyArray, starts: AnyArray, end: AnyArray, opaque: AnyArray
) -> int:
    """How many of the segments from ``starts`` (n, 3) to one end (local mm) meet nothing opaque."""
    seen = 0
    for number in range(starts.shape[0]):
        state, index = start_walk(starts[number], end, spacing)
        t = 0.0
        free = True
        while t < 1.0:
            axis = next_face(state)
            after = min(1.0, state[0, axis])
            i, j, k = index[0], index[1], index[2]
            if after > t and holds(labels, i, j, k) and opaque[labels[k, j, i]]:
                free = False
                break
            t = max(t, after)
            step_over(state, index, axis)
        if free:
            seen += 1
    return seen


def _ring_offsets(direction: FloatArray) -> FloatArray:
    """Offsets (n, 3) square to a direction: none, then the rings."""
    helper = np.eye(3)[int(np.argmin(np.abs(direction)))]
    across = unit(np.cross(direction, helper))
    upward = np.cross(direction, across)
    angles = np.arange(LINES_PER_RING) * (2 * np.pi / LINES_PER_RING)
    ring = np.cos(angles)[:, None] * across + np.sin(angles)[:, None] * upward
    return np.concatenate([np.zeros((1, 3)), *(radius * ring for radius in RINGS_MM)])
