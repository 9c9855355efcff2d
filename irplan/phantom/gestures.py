"""The gestures that a radiologist would draw on the lesions of the made-up patient.

Three diameters a lesion: the longest in the axial plane through its centre, the one across it,
and the head-foot extent. The ends lie on the true surface, rounded to 0.1 mm as a person reads
them off; nothing else of the truth is told.
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
_DIRECTIONS = 180


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


def diameters(lesion: LesionTruth) -> list[tuple[FloatArray, FloatArray]]:
    """The three diameters of a lesion, each as two points in LPS mm."""
    angles = np.linspace(0.0, np.pi, _DIRECTIONS, endpoint=False)
    axial = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1)
    lengths = lesion.shape.radius_mm(axial) + lesion.shape.radius_mm(-axial)
    longest = axial[int(np.argmax(lengths))]
    across = np.array([-longest[1], longest[0], 0.0])
    return [_ends(lesion, direction) for direction in (longest, across, np.array([0.0, 0.0, 1.0]))]


def _ends(lesion: LesionTruth, direction: FloatArray) -> tuple[FloatArray, FloatArray]:
    centre = np.asarray(lesion.centre_lps_mm)
    forth = centre + direction * lesion.shape.radius_mm(direction)
    back = centre - direction * lesion.shape.radius_mm(-direction)
    return forth, back
