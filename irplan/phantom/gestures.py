"""The gestures that a radiologist would draw on the lesions of the made-up patient.

Three diameters a lesion: the longest one in any axial plane, the longest one across it in that
plane, and the longest head-foot line. The ends lie on the true surface, rounded to 0.1 mm as a
person reads them off; nothing else of the truth is told.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from irplan.files import write_text
from irplan.geometry import FloatArray
from irplan.phantom.lesions import LesionTruth, lesions_at

_COLUMNS = ("lesion_id", "kind", "x", "y", "z", "x2", "y2", "z2")
#: Raster on which the longest lines are looked for, mm.
_STEP_MM = 0.5
#: Directions that are tried in an axial plane.
_ANGLES = np.radians(np.arange(0.0, 180.0, 3.0))

Ends = tuple[FloatArray, FloatArray]


def write_gestures(timepoint: int, target: Path) -> None:
    """Write the gestures for every lesion of visit 1 or 2 as a ``--clicks`` file.

    Raises:
        InputRefused: ``target`` cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for lesion in lesions_at(timepoint):
        for start, end in diameters(lesion):
            ends = [f"{coordinate:.1f}" for coordinate in (*start, *end)]
            writer.writerow((lesion.lesion_id, lesion.kind, *ends))
    write_text(target, text.getvalue())


def diameters(lesion: LesionTruth) -> list[Ends]:
    """The three diameters of a lesion, each as two points in LPS mm."""
    points = _inside(lesion)
    longest, direction = _longest_axial(lesion, points)
    plane = points[np.isclose(points[:, 2], longest[0][2], atol=_STEP_MM / 2)]
    across = _longest_along(lesion, plane, np.array([-direction[1], direction[0], 0.0]))
    upright = _longest_along(lesion, points, np.array([0.0, 0.0, 1.0]))
    return [longest, across, upright]


def _inside(lesion: LesionTruth) -> FloatArray:
    """Raster points inside the lesion, (n, 3), LPS mm."""
    reach = float(lesion.shape.radius_mm(_sphere()).max())
    steps = np.arange(-reach, reach + _STEP_MM, _STEP_MM)
    offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    kept: FloatArray = offsets[lesion.shape.contains(offsets)] + np.asarray(lesion.centre_lps_mm)
    return kept


def _sphere() -> FloatArray:
    """Directions all around, (n, 3)."""
    z = np.linspace(-1.0, 1.0, 41)
    angle = np.arange(0.0, 2 * np.pi, np.pi / 20)
    height, around = (part.ravel() for part in np.meshgrid(z, angle))
    ring = np.sqrt(1.0 - height**2)
    return np.stack([ring * np.cos(around), ring * np.sin(around), height], axis=1)


def _longest_axial(lesion: LesionTruth, points: FloatArray) -> tuple[Ends, FloatArray]:
    """The longest line in any axial plane, and its direction."""
    best: tuple[float, Ends, FloatArray] | None = None
    for z in np.unique(points[:, 2]):
        plane = points[points[:, 2] == z]
        for angle in _ANGLES:
            direction = np.array([np.cos(angle), np.sin(angle), 0.0])
            if best is not None and np.ptp(plane @ direction) <= best[0]:
                continue
            ends = _longest_along(lesion, plane, direction)
            length = float(np.linalg.norm(ends[1] - ends[0]))
            if best is None or length > best[0]:
                best = length, ends, direction
    if best is None:
        raise ValueError(f"lesion {lesion.lesion_id} is smaller than the raster")
    return best[1], best[2]


def _longest_along(lesion: LesionTruth, points: FloatArray, direction: FloatArray) -> Ends:
    """The longest line through the lesion along a direction, from surface to surface."""
    others = np.linalg.svd(direction[None, :])[2][1:]
    lines = np.round(points @ others.T / _STEP_MM).astype(int)
    _, members = np.unique(lines, axis=0, return_inverse=True)
    along = points @ direction
    low = np.full(members.max() + 1, np.inf)
    high = np.full(members.max() + 1, -np.inf)
    np.minimum.at(low, members, along)
    np.maximum.at(high, members, along)
    longest = members == int(np.argmax(high - low))
    middle = points[longest].mean(axis=0)
    return _surface(lesion, middle, -direction), _surface(lesion, middle, direction)


def _surface(lesion: LesionTruth, start: FloatArray, direction: FloatArray) -> FloatArray:
    """Where the way from a point inside leaves the lesion, to 0.01 mm."""
    centre = np.asarray(lesion.centre_lps_mm)
    steps = np.arange(0.0, 200.0, 0.01)
    inside = lesion.shape.contains(start + steps[:, None] * direction - centre)
    way_out: FloatArray = start + steps[int(np.argmin(inside))] * direction
    return way_out
