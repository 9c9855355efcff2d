"""How well ultrasound sees the way of a needle: sight lines past bone, lung and gas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from irplan.geometry import FloatArray, unit
from irplan.trajectory.exact import local_mm
from irplan.trajectory.passage import runs

if TYPE_CHECKING:
    from irplan.trajectory.measure import PathMeasure
    from irplan.trajectory.search import Search

#: What ultrasound does not pass: rules of structures, and names.
OPAQUE_RULES = ("bone", "lung", "airway", "fissure", "bulla")
OPAQUE_NAMES = ("bowel_gas",)
#: The probe stands around the entry: sight lines start on two rings of these radii, mm.
RINGS_MM = (10.0, 20.0)
LINES_PER_RING = 8


def visible_percent(search: Search, measure: PathMeasure) -> float:
    """Percent of the straight lines from around the entry to the tip that ultrasound passes.

    The lines start on rings around the entry in the plane square to the skin's normal, and at the
    entry itself.
    """
    margins = search.margins
    opaque = np.array(
        [
            kind in OPAQUE_RULES or name in OPAQUE_NAMES
            for kind, name in zip(margins.kinds, margins.names, strict=True)
        ]
    )
    entry, tip = np.asarray(measure.entry_lps_mm), np.asarray(measure.tip_lps_mm)
    starts = entry + _ring_offsets(unit(tip - entry))
    grid = search.crop.grid
    b = np.ascontiguousarray(local_mm(tip, grid))
    none = np.zeros((1, 1, 1), dtype=bool)
    seen = 0
    for start in starts:
        a = np.ascontiguousarray(local_mm(start, grid))
        codes, _ = runs(
            search.crop.labels,
            np.asarray(grid.spacing_mm),
            a,
            b,
            none,
            np.full(3, -10, dtype=np.int64),
        )
        seen += not opaque[np.maximum(codes, 0) // 2].any()
    return 100.0 * seen / len(starts)


def _ring_offsets(direction: FloatArray) -> FloatArray:
    """Offsets (n, 3) square to a direction: none, then the rings."""
    helper = np.eye(3)[int(np.argmin(np.abs(direction)))]
    across = unit(np.cross(direction, helper))
    upward = np.cross(direction, across)
    angles = np.arange(LINES_PER_RING) * (2 * np.pi / LINES_PER_RING)
    ring = np.cos(angles)[:, None] * across + np.sin(angles)[:, None] * upward
    return np.concatenate([np.zeros((1, 3)), *(radius * ring for radius in RINGS_MM)])
