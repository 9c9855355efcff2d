"""What the planner avoids or crosses: labelled structures, and those that nobody segmented."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from irplan.findings import Finding
from irplan.geometry import BoolArray, GridGeometry

LabelArray = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Structure:
    """One labelled structure.

    Attributes:
        name: TotalSegmentator's class name where there is one of the same meaning.
        label: its number in the label map, from 1.
        volume_ml: of its voxels, rounded to 0.001 mL.
        source: 'computed' or 'imported'.
        confidence: 'high', 'medium' or 'low' for computed ones; 'as given' for imported ones.
    """

    name: str
    label: int
    volume_ml: Decimal
    source: str
    confidence: str

    def document(self) -> dict[str, Any]:
        """The structure as it stands in ``structures``."""
        return {
            "name": self.name,
            "label": self.label,
            "volume_ml": self.volume_ml,
            "source": self.source,
            "confidence": self.confidence,
        }


@dataclass(frozen=True)
class Anatomy:
    """The labelled surroundings of the lesions.

    Attributes:
        labels: (z, y, x), 0 where nothing is known to be; read-only. One label a voxel: where
            structures overlap the one that must be avoided with more care wins.
        grid: the CT grid.
        structures: by rising label.
        unknown: structures that matter to a needle and that nobody segmented; never 'absent'.
        findings: what was noticed.
    """

    labels: LabelArray
    grid: GridGeometry
    structures: tuple[Structure, ...]
    unknown: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.labels.shape != self.grid.shape_zyx:
            raise ValueError(f"labels {self.labels.shape} do not fit grid {self.grid.shape_zyx}")
        self.labels.setflags(write=False)

    def mask(self, name: str) -> BoolArray:
        """The voxels of a structure, (z, y, x).

        Raises:
            KeyError: there is no structure of that name.
        """
        for structure in self.structures:
            if structure.name == name:
                return np.asarray(self.labels == structure.label)
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the structures, by rising label."""
        return tuple(structure.name for structure in self.structures)
