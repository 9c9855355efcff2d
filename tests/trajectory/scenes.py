"""Made-up patients with known obstacles, for the tests of the search."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from irplan.anatomy import Anatomy, Structure
from irplan.geometry import GridGeometry
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.trajectory import (
    Constraints,
    PathPlan,
    PatientPosition,
    load_constraints,
    load_shelf,
    propose_paths,
)
from irplan.volume import CtVolume

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


class Patient:
    """A trunk of 240 × 160 mm, 160 mm long, with structures put in by hand.

    Positions are mm from the middle: +x left, +y back, +z head (in the grid's own frame).
    """

    def __init__(
        self,
        spacing: tuple[float, float, float] = (2.0, 2.0, 3.0),
        direction: tuple[float, ...] = IDENTITY,
    ) -> None:
        size = tuple(
            round(edge / step) for edge, step in zip((280, 200, 160), spacing, strict=True)
        )
        self.grid = GridGeometry(
            (size[0], size[1], size[2]), spacing, (-31.0, 17.0, 105.0), direction
        )
        axes = [
            (np.arange(count) - (count - 1) / 2) * step
            for count, step in zip(self.grid.size, spacing, strict=True)
        ]
        self.x, self.y, self.z = np.meshgrid(*axes, indexing="ij")
        self.x, self.y, self.z = (a.transpose(2, 1, 0) for a in (self.x, self.y, self.z))
        self.body = (self.x / 120) ** 2 + (self.y / 80) ** 2 <= 1
        self.hu = np.where(self.body, 40, -1000).astype(np.int16)
        self.labels = np.zeros(self.body.shape, dtype=np.uint8)
        self.names: list[str] = []
        self.lesions: list[Lesion] = []

    def ball(self, centre: tuple[float, float, float], radius: float) -> np.ndarray:
        """Voxels whose centre lies within the radius."""
        x, y, z = centre
        return (self.x - x) ** 2 + (self.y - y) ** 2 + (self.z - z) ** 2 <= radius**2

    def structure(self, name: str, mask: np.ndarray) -> None:
        """Put a structure in; later ones win."""
        if name not in self.names:
            self.names.append(name)
        self.labels[mask & self.body] = self.names.index(name) + 1

    def lesion(
        self,
        lesion_id: str,
        mask: np.ndarray,
        hu: int = 60,
        depth_below_skin_mm: float | None = None,
    ) -> Lesion:
        """Put a lesion in; obstacles in it go."""
        self.hu[mask] = hu
        self.labels[mask] = 0
        made = Lesion(
            lesion_id,
            len(self.lesions) + 1,
            LesionSource.IMPORTED,
            depth_below_skin_mm=depth_below_skin_mm,
            mask=LesionMask.from_full(mask, self.grid),
        )
        self.lesions.append(made)
        return made

    @property
    def volume(self) -> CtVolume:
        return CtVolume(self.hu.copy(), self.grid)

    @property
    def anatomy(self) -> Anatomy:
        structures = tuple(
            Structure(name, label, Decimal(1), "imported", "as given")
            for label, name in enumerate(self.names, 1)
        )
        return Anatomy(self.labels.copy(), self.grid, structures)

    def lps(self, point: tuple[float, float, float]) -> tuple[float, float, float]:
        """A position in mm from the middle, as LPS mm."""
        index = (np.asarray(self.grid.size) - 1) / 2 + np.asarray(point) / self.grid.spacing_mm
        x, y, z = self.grid.to_lps(index)
        return float(x), float(y), float(z)

    def plan(
        self,
        ml: str = "1.37",
        guidance: str = "ct",
        position: PatientPosition = PatientPosition.SUPINE,
        increment: str = "0.01",
        rules: Constraints | None = None,
        **values: float,
    ) -> PathPlan:
        """Paths for all lesions, each with the same dose; values change limits."""
        return propose_paths(
            self.volume,
            self.body,
            self.anatomy,
            tuple(self.lesions),
            {one.lesion_id: (("ipilimumab", Decimal(ml)),) for one in self.lesions},
            load_shelf(),
            (rules or load_constraints()).with_values(**values),
            position,
            {one.lesion_id: guidance for one in self.lesions},
            Decimal(increment),
        )


def dense_clearance(
    patient: Patient, name: str, entry: tuple[float, ...], tip: tuple[float, ...]
) -> float:
    """The reference: samples every 0.1 mm of the axis against every voxel box of a structure."""
    grid = patient.grid
    spacing = np.asarray(grid.spacing_mm)
    wanted = patient.labels == patient.names.index(name) + 1
    k, j, i = np.nonzero(wanted)
    if k.size == 0:
        return np.inf
    low = np.stack([i, j, k], axis=1) * spacing
    ends = (grid.to_index(np.array([entry, tip])) + 0.5) * spacing
    length = np.linalg.norm(ends[1] - ends[0])
    samples = ends[0] + np.arange(0, length, 0.1)[:, None] / length * (ends[1] - ends[0])
    samples = np.vstack([samples, ends[1]])
    # Boxes that lie farther from both ends than the segment is long cannot be the nearest.
    middle = low + spacing / 2
    reach = np.linalg.norm(middle - ends[0], axis=1) + np.linalg.norm(middle - ends[1], axis=1)
    nearest_way = reach.min()
    low = low[reach <= nearest_way + 2 * length]
    best = np.inf
    for sample in samples:
        gap = np.maximum(0, np.maximum(low - sample, sample - (low + spacing)))
        best = min(best, float(np.sqrt((gap**2).sum(axis=1).min())))
    return best
