"""Maps from points of the older scan to points of the newer one, all LPS mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.geometry import FloatArray, GridGeometry

#: Steps of the iteration that turns a local map round, and where it may stop, mm.
_INVERSE_STEPS = 40
_INVERSE_STOP_MM = 1e-4


@dataclass(frozen=True)
class RigidMap:
    """``new = rotation @ old + shift_mm``.

    Attributes:
        rotation: (3, 3), determinant 1.
        shift_mm: (3,).
    """

    rotation: FloatArray
    shift_mm: FloatArray

    @classmethod
    def identity(cls) -> RigidMap:
        """The map that moves nothing."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def of_shift(cls, shift_mm: npt.ArrayLike) -> RigidMap:
        """A translation."""
        return cls(np.eye(3), np.asarray(shift_mm, dtype=float))

    def __call__(self, old_lps_mm: npt.ArrayLike) -> FloatArray:
        """Points of the older scan (..., 3) → points of the newer scan, LPS mm."""
        moved: FloatArray = np.asarray(old_lps_mm, dtype=float) @ self.rotation.T + self.shift_mm
        return moved

    def inverse(self) -> RigidMap:
        """The map from the newer scan to the older one."""
        back = self.rotation.T
        return RigidMap(back, -(back @ self.shift_mm))

    def after(self, first: RigidMap) -> RigidMap:
        """This map applied after ``first``."""
        return RigidMap(self.rotation @ first.rotation, self(first.shift_mm))

    @property
    def angle_deg(self) -> float:
        """How far it turns, degrees."""
        cosine = (float(np.trace(self.rotation)) - 1.0) / 2.0
        return float(np.degrees(np.arccos(min(1.0, max(-1.0, cosine)))))


@dataclass(frozen=True)
class LocalMap:
    """``new = rigid(old + displacement(old))``; beyond its grid the displacement is zero.

    Attributes:
        rigid: the rigid part.
        displacement_mm: (z, y, x, 3) on ``grid``; it goes to zero towards the faces of the grid.
        grid: in the older scan.
    """

    rigid: RigidMap
    displacement_mm: FloatArray
    grid: GridGeometry

    def __call__(self, old_lps_mm: npt.ArrayLike) -> FloatArray:
        """Points of the older scan (..., 3) → points of the newer scan, LPS mm."""
        points = np.asarray(old_lps_mm, dtype=float)
        return self.rigid(points + self._moved(points))

    def inverse_of(self, new_lps_mm: npt.ArrayLike) -> FloatArray:
        """Points of the newer scan (..., 3) → the points of the older scan that map to them."""
        straight = self.rigid.inverse()(new_lps_mm)
        points = straight.copy()
        for _ in range(_INVERSE_STEPS):
            last = points
            points = straight - self._moved(last)
            if np.abs(points - last).max(initial=0.0) < _INVERSE_STOP_MM:
                break
        return points

    def _moved(self, points: FloatArray) -> FloatArray:
        flat = points.reshape(-1, 3)
        index = self.grid.to_index(flat)[:, ::-1].T
        parts = [
            ndimage.map_coordinates(
                self.displacement_mm[..., axis], index, order=1, mode="constant", cval=0.0
            )
            for axis in range(3)
        ]
        return np.stack(parts, axis=-1).reshape(points.shape)
