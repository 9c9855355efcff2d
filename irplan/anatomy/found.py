"""Structures before they share one label map: cells computed, or boxes of voxels imported."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from irplan import units
from irplan.anatomy.coarse import CoarseScan, VoxelRule
from irplan.anatomy.names import care, keeps_lesion_voxels
from irplan.anatomy.structure import LabelArray
from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray, GridGeometry
from irplan.lesions.lesion import Lesion, LesionMask

#: Overlap of a lesion with a structure that keeps its voxels, from which it is told, mL.
OVERLAP_ML = 0.05
#: Only obstacles give way to a lesion: a lesion in liver or lung still lies in liver or lung.
STAYS_UNDER_LESION = ("lung", "liver", "body")

LESION_OVERLAPS = declare(
    "lesion_overlaps_structure",
    Severity.WARN,
    "anatomy",
    "{lesion} and {structure} share {ml} mL; these voxels stay {structure} and are avoided",
)


@dataclass(frozen=True)
class Found:
    """A structure before it has a label.

    Attributes:
        name, source, confidence: as in :class:`~irplan.anatomy.structure.Structure`.
        rule: the cells of a computed structure and how they become voxels, or ...
        mask: ... the voxels of an imported one.
    """

    name: str
    source: str
    confidence: str
    rule: VoxelRule | None = None
    mask: LesionMask | None = None

    def paint(self, labels: LabelArray, value: int, scan: CoarseScan) -> None:
        """Write ``value`` to the structure's voxels of ``labels`` (z, y, x)."""
        if self.mask is not None:
            labels[self.mask.slices_zyx][self.mask.voxels] = value
        elif self.rule is not None:
            self.rule.paint(scan, scan.orientation.view(labels), value)


def label_map(
    found: tuple[Found, ...], lesions: tuple[Lesion, ...], grid: GridGeometry, scan: CoarseScan
) -> tuple[LabelArray, tuple[Finding, ...]]:
    """One label a voxel: painted from the least to the most careful structure.

    Returns:
        The labels (z, y, x), numbered from 1 in the order of ``found``, and what lesions share
        with structures that keep their voxels.
    """
    labels: LabelArray = np.zeros(grid.shape_zyx, dtype=np.uint8)
    if len(found) > 255:
        labels = labels.astype(np.uint16)
    numbered = sorted(enumerate(found, 1), key=lambda item: (-care(item[1].name), -item[0]))
    for label, one in numbered:
        if not keeps_lesion_voxels(one.name):
            one.paint(labels, label, scan)
    _give_way(labels, found, lesions)
    told: list[Finding] = []
    for label, one in numbered:
        if keeps_lesion_voxels(one.name):
            one.paint(labels, label, scan)
            told.extend(_overlaps(labels, label, one, lesions, grid))
    return labels, tuple(told)


def _give_way(labels: LabelArray, found: tuple[Found, ...], lesions: tuple[Lesion, ...]) -> None:
    """Take from soft structures what a lesion claims; lung, liver and body stay beneath it."""
    give_way = np.zeros(len(found) + 1, dtype=bool)
    for label, one in enumerate(found, 1):
        give_way[label] = not one.name.startswith(STAYS_UNDER_LESION)
    for lesion in lesions:
        if lesion.mask is not None:
            view = labels[lesion.mask.slices_zyx]
            view[lesion.mask.voxels & give_way[view]] = 0


def _overlaps(
    labels: LabelArray, label: int, one: Found, lesions: tuple[Lesion, ...], grid: GridGeometry
) -> list[Finding]:
    """What a structure just painted shares with lesions."""
    told = []
    for lesion in lesions:
        if lesion.mask is None:
            continue
        here: BoolArray = labels[lesion.mask.slices_zyx] == label
        volume_ml = np.count_nonzero(here & lesion.mask.voxels) * grid.voxel_ml
        if volume_ml >= OVERLAP_ML:
            told.append(
                LESION_OVERLAPS(
                    lesion.lesion_id,
                    lesion=lesion.lesion_id,
                    structure=one.name,
                    ml=units.ml(volume_ml),
                )
            )
    return told
