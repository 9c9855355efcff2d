"""Building the anatomy: computed and imported structures as one label map, the unknown named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from irplan import units
from irplan.anatomy.air import find_air, gas_voxels, lung_voxels, middle_x_mm
from irplan.anatomy.coarse import CoarseScan, cell_voxels
from irplan.anatomy.dense import bone_voxels, find_dense, great_vessel_length_mm, lumen_voxels
from irplan.anatomy.hazards import hazards
from irplan.anatomy.imported import read_imported
from irplan.anatomy.names import care, keeps_lesion_voxels, unknown_among
from irplan.anatomy.organs import find_heart, find_liver
from irplan.anatomy.structure import Anatomy, LabelArray, Structure
from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray, GridGeometry
from irplan.lesions.lesion import Lesion
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume

#: Overlap of a lesion with a structure that keeps its voxels, from which it is told, mL.
OVERLAP_ML = 0.05
#: Vessels are called seen where contrast fills the great vessels over this length, mm.
MIN_CONTRAST_MM = 60.0

LESION_OVERLAPS = declare(
    "lesion_overlaps_structure",
    Severity.WARN,
    "anatomy",
    "{lesion} and {structure} share {ml} mL; these voxels stay {structure} and are avoided",
)
VESSELS_UNKNOWN = declare(
    "vessels_unknown",
    Severity.WARN,
    "anatomy",
    "no contrast-filled vessel was found and none was imported: vessels are unknown, and no "
    "clearance to them is known",
)
STRUCTURES_UNKNOWN = declare(
    "structures_unknown",
    Severity.INFO,
    "anatomy",
    "nobody segmented: {names}; no path is checked against them",
)


@dataclass(frozen=True)
class Found:
    """A structure before it has a label."""

    name: str
    mask: BoolArray
    source: str
    confidence: str


def build_anatomy(
    volume: CtVolume,
    body: BoolArray,
    lesions: Iterable[Lesion] = (),
    imported: Path | None = None,
    names: Path | None = None,
    task: Task = SILENT,
) -> Anatomy:
    """The structures around the lesions.

    Args:
        volume: the CT.
        body: the patient, bool (z, y, x), from :func:`irplan.body.find_body`.
        lesions: targets; soft structures give their voxels up to them, bone, heart, vessels,
            airways and bowel do not.
        imported: a label map on the CT's grid; its structures replace computed ones that mean the
            same and join the others.
        names: JSON names of its labels; without it they are TotalSegmentator's.
        task: progress and cancelling.

    Returns:
        The labelled structures, what is unknown, and findings.

    Raises:
        InputRefused: the label map cannot be read or lies on another grid.
    """
    task.step(0, 4)
    given: tuple[Found, ...] = ()
    findings: tuple[Finding, ...] = ()
    if imported is not None:
        masks, findings = read_imported(imported, names, volume)
        given = tuple(Found(name, mask, "imported", "as given") for name, mask in masks.items())
    task.step(1, 4)
    computed = _computed(volume, body, task)
    found = _joined(computed, given)
    task.step(3, 4)
    targets = tuple(lesions)
    labels, told = _label_map(found, targets, volume.geometry)
    anatomy = _anatomy(labels, found, volume.geometry)
    unknown = unknown_among(anatomy.names)
    task.step(4, 4)
    return Anatomy(
        anatomy.labels,
        anatomy.grid,
        anatomy.structures,
        unknown,
        (*findings, *told, *hazards(anatomy, targets), *_unknown_findings(unknown)),
    )


def _computed(volume: CtVolume, body: BoolArray, task: Task) -> tuple[Found, ...]:
    scan = CoarseScan.of(volume.hu, body, volume.geometry)
    air = find_air(scan)
    task.step(2, 4)
    dense = find_dense(scan)
    heart, bone_cells = find_heart(scan, air, dense)
    organs = dense.blobs & ~heart
    lung = air.lung_left | air.lung_right
    middle = middle_x_mm(lung if lung.any() else scan.inside, scan)
    taken = lung | heart | bone_cells | dense.vessels | organs | air.gas | air.wall
    # Spongy bone can look like a filled vessel: without contrast in the great vessels nothing is
    # called one.
    visible_mm = great_vessel_length_mm(scan, dense, middle)
    seen = volume.identity.contrast != "none" and visible_mm >= MIN_CONTRAST_MM
    vessels_name = "vessels" if seen else "dense_tissue"
    if not seen:
        heart = np.zeros_like(heart)
    cells = (
        ("lung_left", air.lung_left, lung_voxels, "high"),
        ("lung_right", air.lung_right, lung_voxels, "high"),
        ("trachea", air.airway, gas_voxels, "medium"),
        ("bowel_gas", air.gas, gas_voxels, "high"),
        ("bowel_wall", air.wall, cell_voxels, "low"),
        ("heart", heart, cell_voxels, "low"),
        ("kidney_or_other_bright_organ", organs, lumen_voxels, "low"),
        ("liver", find_liver(scan, air, taken, middle), cell_voxels, "low"),
        ("bone", bone_cells, bone_voxels, "medium"),
        (vessels_name, dense.vessels & ~heart, lumen_voxels, "low"),
    )
    found = (
        Found(name, as_voxels(scan, mask), "computed", confidence)
        for name, mask, as_voxels, confidence in cells
        if mask.any()
    )
    return tuple(one for one in found if one.mask.any())


#: Imported names → the computed structure that they make superfluous. Computed bone stays beside
#: imported ribs and vertebrae: a network loses the ends of ribs, and a missed obstacle is worse.
_REPLACES = (
    (("lung_*", "lung"), ("lung_left", "lung_right")),
    (("trachea", "airways", "lung_trachea_bronchia"), ("trachea",)),
)


def _joined(computed: tuple[Found, ...], given: tuple[Found, ...]) -> tuple[Found, ...]:
    """Imported structures, and the computed ones that none of them stands for."""
    from fnmatch import fnmatchcase

    replaced: set[str] = {one.name for one in given}
    for patterns, names in _REPLACES:
        if any(fnmatchcase(one.name, pattern) for one in given for pattern in patterns):
            replaced.update(names)
    return (*given, *(one for one in computed if one.name not in replaced))


def _label_map(
    found: tuple[Found, ...], lesions: tuple[Lesion, ...], grid: GridGeometry
) -> tuple[LabelArray, tuple[Finding, ...]]:
    """One label a voxel: painted from the least to the most careful structure."""
    labels: LabelArray = np.zeros(grid.shape_zyx, dtype=np.uint8)
    if len(found) > 255:
        labels = labels.astype(np.uint16)
    numbered = sorted(enumerate(found, 1), key=lambda item: (-care(item[1].name), -item[0]))
    soft = [item for item in numbered if not keeps_lesion_voxels(item[1].name)]
    firm = [item for item in numbered if keeps_lesion_voxels(item[1].name)]
    for label, one in soft:
        labels[one.mask] = label
    for lesion in lesions:
        if lesion.mask is not None:
            view = labels[lesion.mask.slices_zyx]
            # Only obstacles give way: a lesion in liver or lung still lies in liver or lung.
            give_way = np.zeros(len(found) + 1, dtype=bool)
            for label, one in soft:
                give_way[label] = not one.name.startswith(("lung", "liver", "body"))
            view[lesion.mask.voxels & give_way[view]] = 0
    told = []
    for label, one in firm:
        labels[one.mask] = label
        told.extend(_overlaps(one, lesions, grid))
    return labels, tuple(told)


def _overlaps(one: Found, lesions: tuple[Lesion, ...], grid: GridGeometry) -> list[Finding]:
    told = []
    for lesion in lesions:
        if lesion.mask is None:
            continue
        shared = np.count_nonzero(one.mask[lesion.mask.slices_zyx] & lesion.mask.voxels)
        volume_ml = shared * grid.voxel_ml
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


def _anatomy(labels: LabelArray, found: tuple[Found, ...], grid: GridGeometry) -> Anatomy:
    counts = np.bincount(labels.ravel(), minlength=len(found) + 1)
    structures = tuple(
        Structure(
            one.name,
            label,
            units.ml(float(counts[label]) * grid.voxel_ml),
            one.source,
            one.confidence,
        )
        for label, one in enumerate(found, 1)
        if counts[label] > 0
    )
    return Anatomy(labels, grid, structures)


def _unknown_findings(unknown: tuple[str, ...]) -> list[Finding]:
    told = []
    if "great_vessels" in unknown:
        told.append(VESSELS_UNKNOWN())
    if unknown:
        told.append(STRUCTURES_UNKNOWN(names=", ".join(name.replace("_", " ") for name in unknown)))
    return told
