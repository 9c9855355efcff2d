"""Lesions that are never to be injected, as far as the anatomy can tell.

Tumour around the carotid, the jugular or the great thoracic vessels, or with growth inside the
skull, is never injected (published). Where a
named structure shows it, that is a stop which nobody can accept away. Contrast-filled vessels that
nobody named give a warning: a person has to look which vessel it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import numpy as np

from irplan import units
from irplan.anatomy.morphology import grown
from irplan.anatomy.structure import Anatomy
from irplan.findings import Finding, Forbids, Severity, declare
from irplan.lesions.lesion import Lesion, LesionMask

#: Tumour touches a structure whose voxels lie this near to its own, mm.
TOUCH_MM = 2.0

NEVER_AT = (
    "*carotid*",
    "*jugular*",
    "aorta",
    "superior_vena_cava",
    "pulmonary_artery",
    "pulmonary_vein",
    "pulmonary_trunk",
    "brachiocephalic*",
    "subclavian*",
    "heart*",
)
INSIDE_SKULL = ("brain*",)
#: Computed structures that may be such a vessel, or hold one.
MAYBE = ("vessels", "heart")

AT_GREAT_VESSEL = declare(
    "lesion_at_great_vessel",
    Severity.STOP,
    "anatomy",
    "{lesion} touches {structure}: tumour at the carotid, the jugular or a great thoracic vessel "
    "is never injected",
    forbids=Forbids.SIGNATURE,
)
IN_SKULL = declare(
    "lesion_inside_skull",
    Severity.STOP,
    "anatomy",
    "{lesion} touches {structure}: tumour inside the skull is never injected",
    forbids=Forbids.SIGNATURE,
)
MAYBE_AT_VESSEL = declare(
    "lesion_at_unnamed_vessel",
    Severity.WARN,
    "anatomy",
    "{lesion} touches {ml} mL of contrast-filled {structure}: look whether it is the carotid, the "
    "jugular or a great thoracic vessel; tumour around those is never injected",
)


def hazards(anatomy: Anatomy, lesions: Iterable[Lesion]) -> tuple[Finding, ...]:
    """Findings about lesions that touch what forbids an injection, by lesion and structure."""
    found: list[Finding] = []
    for lesion in lesions:
        if lesion.mask is None:
            continue
        counts = _touched(anatomy, lesion.mask)
        for structure in anatomy.structures:
            touched = int(counts[structure.label])
            if touched:
                made = _finding(lesion, structure.name, structure.source, touched, anatomy)
                found.extend(made)
    return tuple(found)


def _finding(
    lesion: Lesion, name: str, source: str, voxels: int, anatomy: Anatomy
) -> list[Finding]:
    low = name.lower()
    who = lesion.lesion_id
    if source == "computed":
        if low in MAYBE:
            ml = units.ml(voxels * anatomy.grid.voxel_ml)
            return [MAYBE_AT_VESSEL(who, lesion=who, structure=name, ml=ml)]
        return []
    if any(fnmatchcase(low, pattern) for pattern in NEVER_AT):
        return [AT_GREAT_VESSEL(who, lesion=who, structure=name)]
    if any(fnmatchcase(low, pattern) for pattern in INSIDE_SKULL):
        return [IN_SKULL(who, lesion=who, structure=name)]
    return []


def _touched(anatomy: Anatomy, mask: LesionMask) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Voxels of every label in or within 2 mm of a lesion."""
    spacing = anatomy.grid.spacing_zyx_mm
    box = []
    inner = []
    for side, step, size in zip(mask.slices_zyx, spacing, anatomy.labels.shape, strict=True):
        room = int(np.ceil(TOUCH_MM / step))
        low = max(0, side.start - room)
        box.append(slice(low, min(size, side.stop + room)))
        inner.append(slice(side.start - low, side.stop - low))
    inside = np.zeros(tuple(side.stop - side.start for side in box), dtype=bool)
    inside[tuple(inner)] = mask.voxels
    # Half a voxel more: neighbours that share a face touch, whatever the spacing.
    near = grown(inside, max(TOUCH_MM, max(spacing)), spacing)
    count = max((structure.label for structure in anatomy.structures), default=0) + 1
    return np.bincount(anatomy.labels[tuple(box)][near], minlength=count)
