"""Where a path passes between two ribs: how far from each, and how far from the spine.

The intercostal artery runs below its rib, so a path passes over the lower rib and not under the
upper one (DIR 2012;18:221); near the spine the rib shields it less (Chest 2013;143:634). A point
of the path lies between two ribs where the nearest bone and the nearest bone on its other side
(more than 90° away, one of the two above the other) lie in directions more than 120° apart. Of
such a stretch the point counts where the gap is narrowest. No rib needs a number of its own: what
counts is the bone on either side.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from irplan.anatomy import Anatomy
from irplan.geometry import FloatArray, PointLps, length_of
from irplan.trajectory.blocks import Held, labels_of_blocks
from irplan.trajectory.exact import local_mm
from irplan.trajectory.position import HEAD
from irplan.trajectory.rib_kernels import (
    KNOWN,
    MAYBE,
    OPPOSITE,
    WIDEST_MM,
    Cells,
    cells_of_bone,
    rearmost,
    rib_places,
)

__all__ = ["OPPOSITE", "WIDEST_MM", "RibPassage", "Ribs"]

#: Structures that are ribs or go on from them, and those that may hold one.
RIBS = ("rib_*", "costal_cartilage*")
MAYBE_RIBS = ("bone*",)
SPINE = ("vertebra*", "spine*")

#: The spinous process is the rearmost vertebra voxel within this distance along the body, mm.
SPINOUS_MM = 15.0


@dataclass(frozen=True)
class RibPassage:
    """One place where a path passes between two ribs.

    Attributes:
        level_mm: distance from the skin along the path.
        above_mm, below_mm: from the path's axis to the nearest voxel face of the upper and of
            the lower rib.
        spine_mm: distance from the spinous process in the axial plane; None where no vertebra
            is known nearby.
        known: whether both bones are known to be ribs.
    """

    level_mm: float
    above_mm: float
    below_mm: float
    spine_mm: float | None
    known: bool

    @property
    def share(self) -> float:
        """0 at the lower rib … 1 at the upper one."""
        gap = self.above_mm + self.below_mm
        return self.below_mm / gap if gap > 0 else 1.0


@dataclass(frozen=True)
class Ribs:
    """The ribs and the spine of an anatomy, ready to be asked.

    Attributes:
        kind: (labels + 1,) uint8: KNOWN for ribs, MAYBE for bone that may be one, 0 else.
        cells: the cells that hold such a voxel, in the CT's frame.
        spinous_lps_mm: (m, 3) rearmost point of the vertebrae in every slice that has one.
        head_local: (3,) direction of the head in the CT's frame.
    """

    anatomy: Anatomy
    kind: npt.NDArray[np.uint8]
    cells: Cells
    spinous_lps_mm: FloatArray
    head_local: FloatArray

    @classmethod
    def of(cls, anatomy: Anatomy, held: Held | None = None) -> Ribs:
        """The ribs and the spine of an anatomy; ``held``: its blocks, where they are made."""
        count = max((one.label for one in anatomy.structures), default=0) + 1
        kind = np.zeros(count, dtype=np.uint8)
        spine = np.zeros(count, dtype=np.bool_)
        for one in anatomy.structures:
            if _fits(one.name, RIBS):
                kind[one.label] = KNOWN
            elif _fits(one.name, MAYBE_RIBS):
                kind[one.label] = MAYBE
            spine[one.label] = _fits(one.name, SPINE)
        grid = anatomy.grid
        spacing = np.asarray(grid.spacing_mm)
        if held is None:
            held = labels_of_blocks(anatomy.labels, spacing)
        rear = np.zeros((0, 3))
        if spine.any():
            back = np.ascontiguousarray(np.asarray((0.0, 1.0, 0.0)) @ grid.axes)
            found = rearmost(anatomy.labels, spine, back * spacing, held.holding(spine), held.size)
            rear = np.asarray(grid.to_lps(found[found[:, 2] >= 0]))
        head = np.ascontiguousarray(np.asarray(HEAD) @ grid.axes)
        cells = cells_of_bone(anatomy.labels, kind, spacing, held)
        return cls(anatomy, kind, cells, rear, head)

    @property
    def known(self) -> bool:
        """Whether any bone that is a rib, or may be one, is known."""
        return bool(self.kind.any())

    def passages(self, entry_lps_mm: PointLps, tip_lps_mm: PointLps) -> tuple[RibPassage, ...]:
        """The places where the path passes between two ribs, from the skin on."""
        if len(self.cells.middle) == 0:
            return ()
        grid = self.anatomy.grid
        a, b = local_mm(np.array([entry_lps_mm, tip_lps_mm], dtype=float), grid)
        found = rib_places(
            self.cells,
            self.anatomy.labels,
            self.kind,
            np.asarray(grid.spacing_mm),
            self.head_local,
            np.ascontiguousarray(a),
            np.ascontiguousarray(b),
        )
        depth = length_of(b - a)
        start, tip = np.asarray(entry_lps_mm, dtype=float), np.asarray(tip_lps_mm, dtype=float)
        return tuple(
            RibPassage(
                float(level),
                float(above),
                float(below),
                self.spine_mm(start + (tip - start) * (level / depth)),
                bool(sure),
            )
            for level, above, below, sure in found
        )

    def spine_mm(self, point_lps_mm: FloatArray) -> float | None:
        """Distance of a point from the spinous process in the axial plane, or None."""
        rear = self.spinous_lps_mm
        near = rear[np.abs(rear[:, 2] - point_lps_mm[2]) <= SPINOUS_MM]
        if len(near) == 0:
            return None
        tip = near[np.argmax(near[:, 1])]
        return float(np.hypot(point_lps_mm[0] - tip[0], point_lps_mm[1] - tip[1]))


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name.lower(), pattern) for pattern in patterns)
