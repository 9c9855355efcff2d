"""The lesion: a target with one id from first scan to last visit, its voxels and its measures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

import numpy as np

from irplan import units
from irplan.documents import point_document
from irplan.findings import Finding
from irplan.geometry import BoolArray, GridGeometry, PointLps


class LesionKind(StrEnum):
    """What tissue the lesion lies in; chooses the segmenter and the RECIST diameter."""

    LUNG = "lung"
    LIVER = "liver"
    NODE = "node"
    SOFT = "soft"
    SKIN = "skin"


class LesionSource(StrEnum):
    """Where the lesion's extent comes from."""

    SEGMENTED = "segmented"
    IMPORTED = "imported"
    EDITED = "edited"
    DIAMETERS = "diameters"


@dataclass(frozen=True)
class LesionMask:
    """The voxels of one lesion, kept as the smallest box that holds them.

    Attributes:
        voxels: bool (z, y, x) of the box, read-only.
        start: (i, j, k) of the box's first voxel in the CT grid.
        grid: the CT grid.
    """

    voxels: BoolArray
    start: tuple[int, int, int]
    grid: GridGeometry

    def __post_init__(self) -> None:
        self.voxels.setflags(write=False)

    @classmethod
    def from_full(cls, mask: BoolArray, grid: GridGeometry) -> LesionMask:
        """The box around the true voxels of a full (z, y, x) mask.

        Raises:
            ValueError: the mask is empty or does not fit the grid.
        """
        if mask.shape != grid.shape_zyx:
            raise ValueError(f"mask {mask.shape} does not fit grid {grid.shape_zyx}")
        spans = []
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            hits = np.flatnonzero(mask.any(axis=others))
            if hits.size == 0:
                raise ValueError("an empty mask is not a lesion")
            spans.append(slice(int(hits[0]), int(hits[-1]) + 1))
        box = np.ascontiguousarray(mask[tuple(spans)], dtype=bool)
        return cls(box, (spans[2].start, spans[1].start, spans[0].start), grid)

    def to_full(self) -> BoolArray:
        """The mask on the whole CT grid, (z, y, x)."""
        full = np.zeros(self.grid.shape_zyx, dtype=bool)
        full[self.slices_zyx] = self.voxels
        return full

    @property
    def slices_zyx(self) -> tuple[slice, slice, slice]:
        """Where the box lies in a full (z, y, x) array."""
        i, j, k = self.start
        depth, height, width = self.voxels.shape
        return slice(k, k + depth), slice(j, j + height), slice(i, i + width)

    @property
    def box_grid(self) -> GridGeometry:
        """The grid of the box alone."""
        depth, height, width = self.voxels.shape
        return self.grid.crop(self.start, (width, height, depth))

    @property
    def voxel_volume_ml(self) -> float:
        """Number of voxels times the volume of one, in mL."""
        return float(np.count_nonzero(self.voxels)) * self.grid.voxel_ml


@dataclass(frozen=True)
class Lesion:
    """One lesion as it stands in every document (``lesions`` of the contract).

    Lengths in mm, positions in LPS mm, HU as measured; ``None`` is unknown. ``volume_ml`` is
    already rounded to 0.001 mL: it is the number that is dosed by.
    """

    lesion_id: str
    label: int | None
    source: LesionSource
    kind: LesionKind | None = None
    source_label: int | None = None
    name: str = ""
    site: str = ""
    side: str = ""
    volume_ml: Decimal | None = None
    volume_low_ml: Decimal | None = None
    volume_high_ml: Decimal | None = None
    longest_diameter_mm: float | None = None
    longest_diameter_ends_lps_mm: tuple[PointLps, PointLps] | None = None
    short_axis_mm: float | None = None
    diameter_3d_mm: float | None = None
    centroid_lps_mm: PointLps | None = None
    depth_below_skin_mm: float | None = None
    mean_hu: float | None = None
    sd_hu: float | None = None
    findings: tuple[Finding, ...] = ()
    mask: LesionMask | None = None

    def with_findings(self, *findings: Finding) -> Lesion:
        """The lesion with more findings."""
        return replace(self, findings=(*self.findings, *findings))

    def document(self) -> dict[str, Any]:
        """The lesion as it stands in a JSON document, rounded as the contract says."""
        ends = self.longest_diameter_ends_lps_mm
        return {
            "lesion_id": self.lesion_id,
            "label": self.label,
            "source_label": self.source_label,
            "name": self.name,
            "source": self.source.value,
            "kind": self.kind.value if self.kind else None,
            "site": self.site,
            "side": self.side,
            "volume_ml": self.volume_ml,
            "volume_low_ml": self.volume_low_ml,
            "volume_high_ml": self.volume_high_ml,
            "longest_diameter_mm": _mm(self.longest_diameter_mm),
            "longest_diameter_ends_lps_mm": [point_document(end) for end in ends] if ends else None,
            "short_axis_mm": _mm(self.short_axis_mm),
            "diameter_3d_mm": _mm(self.diameter_3d_mm),
            "centroid_lps_mm": point_document(self.centroid_lps_mm),
            "depth_below_skin_mm": _mm(self.depth_below_skin_mm),
            "mean_hu": None if self.mean_hu is None else units.hu(self.mean_hu),
            "sd_hu": None if self.sd_hu is None else units.hu(self.sd_hu),
            "findings": [finding.document() for finding in self.findings],
        }


def _mm(value: float | None) -> Decimal | None:
    return None if value is None else units.mm(value)
