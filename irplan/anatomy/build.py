"""Building the anatomy: computed and imported structures as one label map, the unknown named."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from irplan import units
from irplan.anatomy.air import find_air, gas_rule, lung_rule, middle_x_mm, stool_rule
from irplan.anatomy.arms import find_arms
from irplan.anatomy.bones import find_cartilage, split_bone
from irplan.anatomy.coarse import CoarseScan, VoxelRule
from irplan.anatomy.dense import (
    bone_rule,
    find_dense,
    great_vessel_length_mm,
    look_first,
    lumen_rule,
)
from irplan.anatomy.found import Found, label_map
from irplan.anatomy.hazards import hazards
from irplan.anatomy.head import find_head
from irplan.anatomy.imported import read_imported
from irplan.anatomy.names import unknown_among
from irplan.anatomy.organs import find_fluid, find_heart, find_kidneys, find_liver, find_spleen
from irplan.anatomy.structure import Anatomy, LabelArray, Structure
from irplan.anatomy.vessels import name_vessels
from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray, GridGeometry
from irplan.lesions.lesion import Lesion
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume

#: Vessels are called seen where contrast fills the great vessels over this length, mm.
MIN_CONTRAST_MM = 60.0

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
        imported: a label map (NRRD, NIfTI, MHA), DICOM SEG or RTSTRUCT of this CT; its structures
            replace computed ones that mean the same and join the others.
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
        given = tuple(
            Found(name, "imported", "as given", mask=mask) for name, mask in masks.items()
        )
    task.step(1, 4)
    scan = CoarseScan.of(volume.hu, body, volume.geometry)
    # What does not depend on each other is looked for side by side.
    with ThreadPoolExecutor(1) as beside:
        computed = _computed(scan, volume.identity.without_contrast, task, beside)
    found = _joined(computed, given)
    task.step(3, 4)
    targets = tuple(lesions)
    labels, told = label_map(found, targets, volume.geometry, scan)
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


def _computed(
    scan: CoarseScan, no_contrast: bool, task: Task, beside: Executor
) -> tuple[Found, ...]:
    """Everything that thresholds and shape tell, each with its confidence."""
    air = find_air(scan)
    task.step(2, 4)
    lung = air.lung
    middle = middle_x_mm(lung if lung.any() else scan.inside, scan)
    first = look_first(scan, air)
    head_beside = beside.submit(find_head, scan, first.pieces | first.filled, lung)
    solid = lung | air.airway | first.pieces | air.gas | air.wall | first.spine.canal
    liver = find_liver(scan, air, solid | first.filled, middle)
    spleen = find_spleen(scan, air, solid | first.filled | liver, first.spine, middle)
    dense = find_dense(scan, air, first, liver | spleen)
    head = head_beside.result()
    # Spongy bone can look like a filled vessel: without contrast in the great vessels nothing is
    # called one.
    visible_mm = great_vessel_length_mm(scan, dense, middle)
    seen = not no_contrast and visible_mm >= MIN_CONTRAST_MM
    heart = find_heart(scan, air, dense, liver)
    contrast = (dense.vessels | dense.blobs | heart.vessels) & ~heart.heart
    solid |= heart.bone
    solid &= ~(contrast | heart.heart)
    liver &= ~(heart.heart | contrast | heart.bone)
    spleen &= ~(heart.heart | contrast | heart.bone)
    rules: list[tuple[str, VoxelRule, str]] = []

    def add(name: str, cells: BoolArray, confidence: str, rule: str = "cells") -> None:
        if cells.any():
            rules.append((name, _RULES[rule](scan, cells), confidence))

    lumen = contrast
    bones_beside = beside.submit(split_bone, scan, heart.bone & ~head.brain, dense.spine, air)
    arms_beside = beside.submit(find_arms, scan, heart.bone, dense.spine, lung, middle)
    lumen = lumen & ~head.brain
    gas_above = air.gas.copy()
    gas_above[: head.air_from] = False
    organs = heart.heart | liver | spleen
    if seen:
        kidney_left, kidney_right = find_kidneys(scan, dense, air, lumen)
        organs |= kidney_left | kidney_right
        vessels = name_vessels(scan, lumen & ~organs, dense.spine, air, liver | spleen)
        bright = vessels.other & dense.blobs
        add("heart", heart.heart, "low")
        add("aorta", vessels.aorta, "medium", "lumen")
        add("great_thoracic_vessels", vessels.thoracic, "low", "lumen")
        add("neck_vessels", vessels.neck, "low", "lumen")
        add("iliac_vessels", vessels.iliac, "low", "lumen")
        add("vessels", vessels.other & ~bright, "low", "lumen")
        add("other_bright_organ", bright, "low", "lumen")
        add("kidney_left", kidney_left, "low", "lumen")
        add("kidney_right", kidney_right, "low", "lumen")
    else:
        add("dense_tissue", lumen | (heart.heart & (dense.vessels | dense.blobs)), "low", "lumen")
    fluid = find_fluid(scan, liver, solid | (organs & ~liver) | lumen)
    liver &= ~fluid
    taken = solid | organs | lumen
    bones, arms = bones_beside.result(), arms_beside.result()
    add("lung_left", air.lung_left, "high", "lung")
    add("lung_right", air.lung_right, "high", "lung")
    add("lung_bulla", air.bulla, "low")
    add("trachea", air.airway, "medium", "gas")
    add("airways", gas_above, "low", "stool")
    add("bowel_gas", air.gas & ~gas_above, "high", "stool")
    add("bowel_wall", air.wall & ~head.brain, "low")
    add("liver", liver, "low")
    add("fluid_at_liver", fluid, "low")
    add("spleen", spleen, "low")
    add("vertebrae", bones.vertebrae, "medium", "bone")
    add("rib_left", bones.rib_left, "medium", "bone")
    add("rib_right", bones.rib_right, "medium", "bone")
    add("sternum", bones.sternum, "low", "bone")
    add("skull", bones.other & head.around, "medium", "bone")
    add("bone", bones.other & ~head.around, "medium", "bone")
    add("brain", head.brain, "medium")
    add("spinal_canal", dense.spine.canal & ~head.brain, "medium")
    add("arm_left", arms[0], "medium")
    add("arm_right", arms[1], "medium")
    add("costal_cartilage", find_cartilage(scan, bones, taken, air), "low")
    return tuple(Found(name, "computed", sure, rule) for name, rule, sure in rules)


_RULES = {
    "cells": lambda scan, cells: VoxelRule(cells),
    "lung": lung_rule,
    "gas": gas_rule,
    "stool": stool_rule,
    "bone": bone_rule,
    "lumen": lumen_rule,
}

#: Imported names → the computed structures that they make superfluous. Computed bone stays beside
#: imported ribs and vertebrae, and computed vessels beside imported ones: a network loses the ends
#: of ribs, and a missed obstacle is worse.
_REPLACES = (
    (("lung_*", "lung"), ("lung_left", "lung_right", "lung_bulla")),
    (("trachea", "airways", "lung_trachea_bronchia"), ("trachea",)),
    (("kidney_*",), ("kidney_left", "kidney_right")),
    (("costal_cartilage*",), ("costal_cartilage",)),
)
_RENAMES = (
    (("*carotid*", "*jugular*"), "neck_vessels", "vessels_neck"),
    (
        ("aorta", "superior_vena_cava", "pulmonary_*", "brachiocephalic*"),
        "great_thoracic_vessels",
        "vessels_thorax",
    ),
)


def _joined(computed: tuple[Found, ...], given: tuple[Found, ...]) -> tuple[Found, ...]:
    """Imported structures, and the computed ones that none of them stands for."""
    replaced: set[str] = {one.name for one in given}
    for patterns, names in _REPLACES:
        if any(fnmatchcase(one.name, pattern) for one in given for pattern in patterns):
            replaced.update(names)
    # Named by a person, the computed vessels of a region stay obstacles but lose their name.
    renamed = {
        own: name
        for patterns, own, name in _RENAMES
        if any(fnmatchcase(one.name, pattern) for one in given for pattern in patterns)
    }
    return (
        *given,
        *(
            replace(one, name=renamed.get(one.name, one.name))
            for one in computed
            if one.name not in replaced
        ),
    )


def _anatomy(labels: LabelArray, found: tuple[Found, ...], grid: GridGeometry) -> Anatomy:
    # Slice by slice: counting all at once would copy the labels at eight bytes each.
    counts = np.zeros(len(found) + 1, dtype=np.int64)
    for flat in labels:
        counts += np.bincount(flat.ravel(), minlength=len(found) + 1)
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
