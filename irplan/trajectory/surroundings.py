"""What every path of one patient is held against beside the voxels near it; made once."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from irplan.anatomy import Anatomy
from irplan.geometry import BoolArray, FloatArray
from irplan.trajectory.blocks import Held, labels_of_blocks
from irplan.trajectory.bore import Outlines
from irplan.trajectory.constraints import Constraints
from irplan.trajectory.exact import local_mm
from irplan.trajectory.ribs import Ribs

STERILE_FIELD = "sterile_field*"
#: Nearest voxels by their middle of which the nearest face is taken.
_NEAREST = 16


@dataclass(frozen=True)
class Surroundings:
    """Ribs, spine, outline and sterile field of one patient; each is made when first asked for."""

    anatomy: Anatomy
    body: BoolArray

    @cached_property
    def labels(self) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
        """The anatomy's labels, contiguous for the compiled loops."""
        return np.ascontiguousarray(self.anatomy.labels)  # type: ignore[return-value]

    @cached_property
    def held(self) -> Held:
        """Which labels lie in which part of the scan."""
        return labels_of_blocks(self.labels, np.asarray(self.anatomy.grid.spacing_mm))

    @cached_property
    def in_body(self) -> BoolArray:
        """The body, contiguous for the compiled loops."""
        return np.ascontiguousarray(self.body)

    @cached_property
    def ribs(self) -> Ribs:
        """Ribs and spine."""
        return Ribs.of(self.anatomy, self.held)

    @cached_property
    def outlines(self) -> Outlines:
        """Outline of every slice."""
        return Outlines(self.body, self.anatomy.grid)

    @cached_property
    def _sterile_voxels(self) -> FloatArray:
        """(n, 3) outer corners of the voxels of the structure ``sterile_field``, local mm."""
        labels = [
            one.label
            for one in self.anatomy.structures
            if fnmatchcase(one.name.lower(), STERILE_FIELD)
        ]
        if not labels:
            return np.zeros((0, 3))
        index = np.argwhere(np.isin(self.anatomy.labels, labels))[:, ::-1]
        return np.asarray(index * np.asarray(self.anatomy.grid.spacing_mm))

    def outside_sterile_mm(
        self, points_lps_mm: FloatArray, constraints: Constraints
    ) -> FloatArray | None:
        """How far points (n, 3) lie outside the sterile field; None where nobody gave one.

        The field of the rules counts; without it the structure ``sterile_field``, by the distance
        to the nearest face of its voxels.
        """
        points = np.asarray(points_lps_mm, dtype=float).reshape(-1, 3)
        if constraints.sterile_field is not None:
            return constraints.sterile_field.outside_mm(points)
        low = self._sterile_voxels
        if len(low) == 0:
            return None
        spacing = np.asarray(self.anatomy.grid.spacing_mm)
        local = local_mm(points, self.anatomy.grid)
        count = min(_NEAREST, len(low))
        _, near = cKDTree(low + spacing / 2).query(local, k=count)
        near = np.asarray(near).reshape(len(points), count)
        corner = low[near]
        gap = np.maximum(
            0.0, np.maximum(corner - local[:, None], local[:, None] - corner - spacing)
        )
        return np.asarray(np.linalg.norm(gap, axis=2).min(axis=1))

    def knows(self, patterns: tuple[str, ...]) -> bool:
        """Whether a structure of one of the names is there."""
        return any(
            fnmatchcase(one.name.lower(), pattern)
            for one in self.anatomy.structures
            for pattern in patterns
        )
