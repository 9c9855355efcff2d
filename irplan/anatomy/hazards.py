"""Lesions that are never to be injected, as far as the anatomy can tell.

Tumour around the carotid, the jugular or the great thoracic vessels, or with growth inside the
skull, is never injected (published). Where a
structure named by a person or by its place shows it, that is a stop which nobody can accept away;
where the computed name is wrong, an imported structure that says what it is takes its place.
Contrast-filled vessels without a name give a warning, and so does a lesion of the neck or chest
whose vessels are unknown: a person has to look.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import numpy as np

from irplan import units
from irplan.anatomy.morphology import components, grown
from irplan.anatomy.structure import Anatomy, Structure
from irplan.findings import Finding, Forbids, Severity, declare
from irplan.geometry import BoolArray, FloatArray
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
#: Computed structures that are such vessels by their place. Tumour with contrast can look like
#: one: a stop needs the vessel to go on beyond the lesion, in this volume, this near, mL and mm.
COMPUTED_NEVER_AT = ("aorta", "great_thoracic_vessels", "neck_vessels")
GOES_ON_ML = 0.3
GOES_ON_MM = 12.0
#: Computed structures that may be such a vessel, or hold one.
MAYBE = ("vessels*", "heart", "dense_tissue", *COMPUTED_NEVER_AT)
#: Neck and upper chest: from this far below the tops of the lungs upwards, this near to the middle
#: of the lungs; the middle of the chest, mm.
NECK_BELOW_TOP_MM = 30.0
NECK_SIDE_MM = 100.0
CHEST_SIDE_MM = 70.0
#: Structures that show that a scan without lungs is one of the belly or the pelvis.
BELLY = ("liver", "spleen", "kidney*", "iliac_*", "hip_*", "sacrum", "urinary_bladder", "bowel_gas")
#: Names by which a person tells which vessels of the neck are which.
NAMED_IN_NECK = (("*carotid*",), ("*jugular*",))

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


NOT_JUDGED = declare(
    "great_vessels_not_judged",
    Severity.WARN,
    "anatomy",
    "{lesion}: whether it touches the carotid, the jugular or a great thoracic vessel was not "
    "judged ({why}); look at the images: tumour around those is never injected",
)

#: Least and greatest coordinates (x, y, z), LPS mm.
Box = tuple[FloatArray, FloatArray]


def hazards(anatomy: Anatomy, lesions: Iterable[Lesion]) -> tuple[Finding, ...]:
    """Findings about lesions that touch what forbids an injection, by lesion and structure.

    A lesion of the neck or chest whose vessels are not known gets a warning; never silence.
    """
    found: list[Finding] = []
    lungs = _box_of_lungs(anatomy)
    for lesion in lesions:
        who = lesion.lesion_id
        if lesion.mask is None:
            found.append(NOT_JUDGED(who, lesion=who, why="its place in the scan is not known"))
            continue
        counts = _touched(anatomy, lesion.mask)
        for structure in anatomy.structures:
            touched = int(counts[structure.label])
            if touched:
                found.extend(_finding(lesion, lesion.mask, structure, touched, anatomy))
        why = _not_judged(anatomy, lesion.mask, lungs)
        if why:
            found.append(NOT_JUDGED(who, lesion=who, why=why))
    return tuple(found)


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern) for pattern in patterns)


def _finding(
    lesion: Lesion, mask: LesionMask, structure: Structure, voxels: int, anatomy: Anatomy
) -> list[Finding]:
    name = structure.name
    who = lesion.lesion_id
    computed = structure.source == "computed"
    if _fits(name, INSIDE_SKULL):
        return [IN_SKULL(who, lesion=who, structure=name)]
    if computed and _fits(name, COMPUTED_NEVER_AT) and _goes_on(anatomy, mask, structure.label):
        return [AT_GREAT_VESSEL(who, lesion=who, structure=name)]
    if computed and _fits(name, MAYBE):
        ml = units.ml(voxels * anatomy.grid.voxel_ml)
        return [MAYBE_AT_VESSEL(who, lesion=who, structure=name, ml=ml)]
    if not computed and _fits(name, NEVER_AT):
        return [AT_GREAT_VESSEL(who, lesion=who, structure=name)]
    return []


def _goes_on(anatomy: Anatomy, mask: LesionMask, label: int) -> bool:
    """Whether a structure that a lesion touches goes on beyond what the lesion touches."""
    box, inside = _around(anatomy, mask, GOES_ON_MM)
    near = grown(inside, _touch_mm(anatomy), anatomy.grid.spacing_zyx_mm)
    here = anatomy.labels[box] == label
    labels, count = components(here, 26)
    touched = np.zeros(count + 1, dtype=bool)
    touched[np.unique(labels[near & here])] = True
    touched[0] = False
    beyond = np.count_nonzero(touched[labels] & ~near) * anatomy.grid.voxel_ml
    return bool(beyond >= GOES_ON_ML)


def _not_judged(anatomy: Anatomy, mask: LesionMask, lungs: Box | None) -> str:
    """Why nobody judged whether a lesion of the neck or chest touches a great vessel, or ''."""
    neck, chest = _region(anatomy, mask, lungs)
    if neck and not all(
        any(one.source != "computed" and _fits(one.name, names) for one in anatomy.structures)
        for names in NAMED_IN_NECK
    ):
        if "neck_vessels" in anatomy.unknown:
            return "the vessels of the neck are unknown"
        return "nobody named the vessels of the neck, and contrast shows only some of them"
    if chest and "great_vessels" in anatomy.unknown:
        return "the great vessels are unknown"
    return ""


def _region(anatomy: Anatomy, mask: LesionMask, lungs: Box | None) -> tuple[bool, bool]:
    """Whether a lesion lies in the neck, and whether in the middle of the chest.

    A scan without lungs may show either, unless it shows the belly.
    """
    points = _points(anatomy, mask)
    if lungs is None:
        unsure = not any(_fits(one.name, BELLY) for one in anatomy.structures)
        return unsure, unsure
    low, high = lungs
    middle = (low[0] + high[0]) / 2
    aside = np.abs(points[:, 0] - middle)
    neck = (points[:, 2] > high[2] - NECK_BELOW_TOP_MM) & (aside < NECK_SIDE_MM)
    levels = (points[:, 2] > low[2]) & (points[:, 2] < high[2])
    chest = levels & (aside < CHEST_SIDE_MM)
    return bool(neck.any()), bool(chest.any())


def _points(anatomy: Anatomy, mask: LesionMask) -> FloatArray:
    index = np.argwhere(mask.voxels)[:, ::-1] + np.asarray(mask.start)
    return anatomy.grid.to_lps(index)


def _box_of_lungs(anatomy: Anatomy) -> Box | None:
    """Least and greatest LPS coordinates of the lungs; the grid may be turned. None for no lung."""
    labels = [one.label for one in anatomy.structures if one.name.startswith("lung")]
    if not labels:
        return None
    wanted = np.zeros(np.iinfo(anatomy.labels.dtype).max + 1, dtype=bool)
    wanted[labels] = True
    size = anatomy.labels.shape
    hits = [np.zeros(side, dtype=bool) for side in size]
    # Slice by slice: a mask of the whole scan would double the labels.
    for level, flat in enumerate(anatomy.labels):
        here = wanted[flat]
        rows = here.any(axis=1)
        hits[0][level] = rows.any()
        hits[1] |= rows
        hits[2] |= here.any(axis=0)
    spans = [(int(one[0]), int(one[-1])) for one in map(np.flatnonzero, reversed(hits))]
    corners = [(i, j, k) for i in spans[0] for j in spans[1] for k in spans[2]]
    points = anatomy.grid.to_lps(corners)
    return points.min(axis=0), points.max(axis=0)


def _touch_mm(anatomy: Anatomy) -> float:
    # Half a voxel more: neighbours that share a face touch, whatever the spacing.
    return max(TOUCH_MM, max(anatomy.grid.spacing_zyx_mm))


def _around(
    anatomy: Anatomy, mask: LesionMask, room_mm: float
) -> tuple[tuple[slice, ...], BoolArray]:
    """The box of a lesion with room around it, and the lesion in it."""
    box = []
    inner = []
    spacing = anatomy.grid.spacing_zyx_mm
    for side, step, size in zip(mask.slices_zyx, spacing, anatomy.labels.shape, strict=True):
        room = int(np.ceil(room_mm / step))
        low = max(0, side.start - room)
        box.append(slice(low, min(size, side.stop + room)))
        inner.append(slice(side.start - low, side.stop - low))
    inside = np.zeros(tuple(side.stop - side.start for side in box), dtype=bool)
    inside[tuple(inner)] = mask.voxels
    return tuple(box), inside


def _touched(anatomy: Anatomy, mask: LesionMask) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Voxels of every label in or within 2 mm of a lesion."""
    box, inside = _around(anatomy, mask, TOUCH_MM)
    near = grown(inside, _touch_mm(anatomy), anatomy.grid.spacing_zyx_mm)
    count = max((structure.label for structure in anatomy.structures), default=0) + 1
    return np.bincount(anatomy.labels[box][near], minlength=count)
