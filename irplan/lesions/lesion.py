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

    def holds(self, point_lps_mm: PointLps) -> bool:
        """Whether the voxel at a point, LPS mm, belongs to the mask."""
        i, j, k = np.asarray(self.grid.nearest_index(point_lps_mm)) - np.asarray(self.start)
        slices, rows, columns = self.voxels.shape
        within = 0 <= i < columns and 0 <= j < rows and 0 <= k < slices
        return bool(within and self.voxels[k, j, i])

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
class Contact:
    """How a lesion lies to something that it may touch.

    Attributes:
        what: 'skin', 'pleura', 'capsule' or 'large_vessel'.
        state: 'touches', 'clear' or 'unknown' (nobody segmented it).
        distance_mm: shortest way between the faces, mm; ``None`` where unknown.
        structure: the label that it was measured to; '' where there is none.
    """

    what: str
    state: str
    distance_mm: float | None = None
    structure: str = ""

    def document(self) -> dict[str, Any]:
        """The contact as it stands in a JSON document; the distance is rounded down."""
        gap = self.distance_mm
        return {
            "what": self.what,
            "state": self.state,
            "distance_mm": None if gap is None else units.mm_down(gap),
            "structure": self.structure,
        }


@dataclass(frozen=True)
class Lesion:
    """One lesion as it stands in every document (``lesions`` of the contract).

    Lengths in mm, positions in LPS mm, HU as measured; ``None`` is unknown. ``volume_ml`` is
    already rounded to 0.001 mL: it is the number that is dosed by.

    Attributes:
        side_source: 'given' where a person or a file said the side, 'proposed' where it was
            read off the scan, '' where it is unknown.
        necrotic_share: of the volume, 0 to 1; ``None`` with the reason in
            ``necrosis_unknown_why``.
        contacts: measured once the anatomy is known; before, all but the skin is unknown. () of a
            lesion that no CT shows.
        diameter_source: 'measured' on the mask, or 'edited' where a person drew it; what was
            measured stays in ``measured_diameter_mm`` and its ends.
        short_axis_source: as ``diameter_source``; what was measured is the chord of the mask across
            the longest diameter, whoever drew that.
        diameter_3d_source: as ``diameter_source``; what was measured stays in
            ``measured_diameter_3d_mm`` and its ends.
        segmenter: name and version of the plug-in that made the mask; '' for irplan's own.
        certainty: the Dice with a reader's mask that is to be expected of a segmented mask, 0 to
            1; ``None`` where a person or another tool made it.
        border_seen_share: of a segmented mask's border, 0 to 1, where the image shows a step;
            ``None`` as before.
        site_proposed: a site that the anatomy tells where nobody named one; '' is unknown.
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
    short_axis_ends_lps_mm: tuple[PointLps, PointLps] | None = None
    diameter_3d_mm: float | None = None
    diameter_3d_ends_lps_mm: tuple[PointLps, PointLps] | None = None
    centroid_lps_mm: PointLps | None = None
    depth_below_skin_mm: float | None = None
    mean_hu: float | None = None
    sd_hu: float | None = None
    findings: tuple[Finding, ...] = ()
    mask: LesionMask | None = None
    side_source: str = ""
    necrotic_share: float | None = None
    necrosis_unknown_why: str = "not measured"
    contacts: tuple[Contact, ...] = ()
    diameter_source: str = ""
    measured_diameter_mm: float | None = None
    measured_diameter_ends_lps_mm: tuple[PointLps, PointLps] | None = None
    short_axis_source: str = ""
    measured_short_axis_mm: float | None = None
    measured_short_axis_ends_lps_mm: tuple[PointLps, PointLps] | None = None
    diameter_3d_source: str = ""
    measured_diameter_3d_mm: float | None = None
    measured_diameter_3d_ends_lps_mm: tuple[PointLps, PointLps] | None = None
    segmenter: str = ""
    certainty: float | None = None
    border_seen_share: float | None = None
    site_proposed: str = ""

    def with_findings(self, *findings: Finding) -> Lesion:
        """The lesion with more findings."""
        return replace(self, findings=(*self.findings, *findings))

    def document(self) -> dict[str, Any]:
        """The lesion as it stands in a JSON document, rounded as the contract says."""
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
            "longest_diameter_ends_lps_mm": _ends(self.longest_diameter_ends_lps_mm),
            "short_axis_mm": _mm(self.short_axis_mm),
            "short_axis_ends_lps_mm": _ends(self.short_axis_ends_lps_mm),
            "diameter_3d_mm": _mm(self.diameter_3d_mm),
            "diameter_3d_ends_lps_mm": _ends(self.diameter_3d_ends_lps_mm),
            "centroid_lps_mm": point_document(self.centroid_lps_mm),
            "depth_below_skin_mm": _mm(self.depth_below_skin_mm),
            "mean_hu": None if self.mean_hu is None else units.hu(self.mean_hu),
            "sd_hu": None if self.sd_hu is None else units.hu(self.sd_hu),
            "side_source": self.side_source,
            "necrotic_share": _share(self.necrotic_share),
            "necrosis_unknown_why": self.necrosis_unknown_why,
            "contacts": [contact.document() for contact in self.contacts],
            "diameter_source": self.diameter_source,
            "measured_diameter_mm": _mm(self.measured_diameter_mm),
            "measured_diameter_ends_lps_mm": _ends(self.measured_diameter_ends_lps_mm),
            "short_axis_source": self.short_axis_source,
            "measured_short_axis_mm": _mm(self.measured_short_axis_mm),
            "measured_short_axis_ends_lps_mm": _ends(self.measured_short_axis_ends_lps_mm),
            "diameter_3d_source": self.diameter_3d_source,
            "measured_diameter_3d_mm": _mm(self.measured_diameter_3d_mm),
            "measured_diameter_3d_ends_lps_mm": _ends(self.measured_diameter_3d_ends_lps_mm),
            "segmenter": self.segmenter,
            "certainty": _share(self.certainty),
            "border_seen_share": _share(self.border_seen_share),
            "site_proposed": self.site_proposed,
            "findings": [finding.document() for finding in self.findings],
        }


def _ends(ends: tuple[PointLps, PointLps] | None) -> list[Any] | None:
    return None if ends is None else [point_document(end) for end in ends]


def _mm(value: float | None) -> Decimal | None:
    return None if value is None else units.mm(value)


def _share(value: float | None) -> Decimal | None:
    return None if value is None else units.share(value)
