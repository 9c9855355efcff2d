"""The numbers that one search and every measured path are held against, resolved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from irplan.geometry import FloatArray
from irplan.trajectory.constraints import Constraints
from irplan.trajectory.position import PatientPosition
from irplan.trajectory.shelf import NeedleShelf

#: A piece of tissue shorter than this between two pieces of lung is a vessel of the lung, mm.
VESSEL_IN_LUNG_MM = 2.0


@dataclass(frozen=True)
class Rules:
    """The numbers of one search: constraints, shelf, position and way of working, resolved."""

    constraints: Constraints
    shelf: NeedleShelf
    position: PatientPosition
    guidance: str

    @property
    def reserve_mm(self) -> float:
        """Length that stays outside the skin."""
        deep = self.guidance == "ct"
        return self.constraints.value("reserve_mm" if deep else "reserve_superficial_mm")

    @property
    def longest_mm(self) -> float:
        """Longest needle that may be used."""
        return self.constraints.value("max_length_mm")

    @cached_property
    def lengths_mm(self) -> FloatArray:
        """Lengths of the needles that may be used, rising."""
        usable = [
            float(needle.length_mm)
            for needle in self.shelf.for_guidance(self.guidance)
            if float(needle.length_mm) <= self.longest_mm
        ]
        return np.unique(np.asarray(usable, dtype=float))

    def bound(self, name: str, where_not: float) -> float:
        """A limit's value where it holds for the way of working, else ``where_not``."""
        applies = self.constraints.applies(name, self.guidance)
        return self.constraints.value(name) if applies else where_not
