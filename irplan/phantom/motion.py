"""How the patient lies and breathes at a visit: a rigid movement and a smooth displacement.

A point ``x`` of the visit's CT comes from the reference patient's point
``X = y - D(y)`` with ``y = R^T (x - pivot - shift) + pivot`` and
``D(y) = amplitude * (1 - q)^2`` where ``q = sum(((y - centre) / radii)^2) < 1``, else 0.
The gradient of ``D`` stays below one half, so the map can be turned round by iteration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from irplan.geometry import FloatArray

BREATH_CENTRE_MM = (0.0, -25.0, 50.0)
BREATH_RADII_MM = (125.0, 65.0, 130.0)


@dataclass(frozen=True)
class Motion:
    """Rotation (degrees, about x, then y, then z through ``pivot``), shift and breath, LPS mm."""

    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    breath_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pivot_mm: tuple[float, float, float] = (0.0, 60.0, 0.0)

    @property
    def rotation(self) -> FloatArray:
        """(3, 3) rotation from the reference to the visit."""
        a, b, c = np.radians(self.rotation_deg)
        about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
        turn: FloatArray = about_z @ about_y @ about_x
        return turn

    def breath(self, points_mm: npt.ArrayLike) -> FloatArray:
        """D(y) at points (..., 3), mm."""
        points = np.asarray(points_mm, dtype=float)
        relative = (points - np.asarray(BREATH_CENTRE_MM)) / np.asarray(BREATH_RADII_MM)
        weight = np.clip(1.0 - (relative**2).sum(axis=-1, keepdims=True), 0.0, None) ** 2
        moved: FloatArray = weight * np.asarray(self.breath_mm)
        return moved

    def to_reference(self, points_lps_mm: npt.ArrayLike) -> FloatArray:
        """Points of the visit's CT (..., 3) → points of the reference patient."""
        pivot = np.asarray(self.pivot_mm)
        back = np.asarray(points_lps_mm, dtype=float) - pivot - np.asarray(self.shift_mm)
        straight: FloatArray = back @ self.rotation + pivot
        return straight - self.breath(straight)

    def breathed(self, reference_mm: npt.ArrayLike) -> FloatArray:
        """y of the reference points: the breath alone, without the rigid movement."""
        points = np.asarray(reference_mm, dtype=float)
        moved = points.copy()
        for _ in range(60):
            moved = points + self.breath(moved)
        return moved

    def rigid(self, straight_mm: npt.ArrayLike) -> FloatArray:
        """Points y → points of the visit's CT."""
        pivot = np.asarray(self.pivot_mm)
        relative = np.asarray(straight_mm, dtype=float) - pivot
        moved: FloatArray = relative @ self.rotation.T + pivot + np.asarray(self.shift_mm)
        return moved

    def from_reference(self, reference_mm: npt.ArrayLike) -> FloatArray:
        """Points of the reference patient (..., 3) → points of the visit's CT."""
        return self.rigid(self.breathed(reference_mm))


#: The two visits: the second lies turned and shifted a little, and breathed in deeper.
VISITS = {
    1: Motion(),
    2: Motion((1.2, -0.8, 2.0), (6.0, -4.0, 9.0), (0.0, -3.0, -13.0)),
}
