"""Whether a lesion touches skin, pleura, the capsule of the liver or a large vessel.

The labels of the anatomy are given as an array: this stage knows of no anatomy. What nobody
segmented is unknown, never clear. Distances run from face to face; a lesion touches what lies
within :data:`TOUCH_MM` of it, less than two voxels of a usual scan (a customary setting).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

import edt
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from irplan import units
from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.lesions.lesion import Contact, Lesion, LesionMask

TOUCH_MM = 2.0
#: Farther away nothing is looked for, mm.
REACH_MM = 40.0
#: A lesion lies in an organ that makes up this share of its shell.
HOST_SHARE = 0.25
SHELL_MM = 3.0

LUNG = ("lung*",)
LIVER = ("liver", "liver_segment*")
LARGE_VESSELS = (
    "aorta",
    "*vena_cava",
    "*artery*",
    "*vein*",
    "iliac_*",
    "great_thoracic_vessels",
    "neck_vessels",
    "brachiocephalic*",
    "portalvein",
    "venoussystem",
    "vessels",
)
#: What the anatomy has to be known for.
_OF_ANATOMY = ("pleura", "capsule", "large_vessel")
#: Lies inside an organ and is not its border.
_WITHIN = ("lung_bulla*", "lung_fissure*", "fissure*", "airways", *LARGE_VESSELS)


def contacts_before_anatomy(lesion: Lesion) -> tuple[Contact, ...]:
    """The contacts of a measured lesion where nobody has looked for the anatomy.

    The skin is told by the depth; all else is unknown, the capsule too, since nobody knows in which
    organ the lesion lies.
    """
    return (_skin(lesion), *(Contact(what, "unknown") for what in _OF_ANATOMY))


def with_contacts(
    lesions: Iterable[Lesion],
    labels: np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]],
    names: Mapping[int, str],
    body: BoolArray,
    grid: GridGeometry,
) -> tuple[Lesion, ...]:
    """The lesions with their contacts; those without voxels stay as they are.

    Args:
        labels: (z, y, x) on ``grid``, 0 where nothing is labelled.
        names: label → name of its structure.
        body: the patient, bool (z, y, x).
        grid: of the CT.
    """
    return tuple(
        one
        if one.mask is None
        else replace(one, contacts=_contacts(one, one.mask, labels, names, body, grid))
        for one in lesions
    )


def contact_words(contacts: Iterable[Contact]) -> str:
    """What a lesion touches, what it does not, and what nobody knows, in one line."""
    by_state: dict[str, list[str]] = {"touches": [], "clear": [], "unknown": []}
    for one in contacts:
        name = one.what.replace("_", " ")
        if one.distance_mm is None:
            by_state[one.state].append(name)
        else:
            by_state[one.state].append(f"{name} ({units.mm_down(one.distance_mm)} mm)")
    heads = {"touches": "touches", "clear": "clear of", "unknown": "not known:"}
    parts = [f"{heads[state]} {', '.join(names)}" for state, names in by_state.items() if names]
    return "; ".join(parts) or "no contact was looked for"


def _contacts(
    lesion: Lesion,
    mask: LesionMask,
    labels: np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]],
    names: Mapping[int, str],
    body: BoolArray,
    grid: GridGeometry,
) -> tuple[Contact, ...]:
    spans, inside = _around(mask, grid, REACH_MM)
    near, within = labels[spans], body[spans]
    shell = _shell(inside, grid)
    return (
        _skin(lesion),
        _pleura(near, names, inside, within, shell, grid),
        *_capsule(near, names, inside, shell, grid),
        _vessel(near, names, inside, grid),
    )


def _skin(lesion: Lesion) -> Contact:
    depth = lesion.depth_below_skin_mm
    unsure = any(one.code == "depth_at_most" for one in lesion.findings)
    if depth is None or (unsure and depth > TOUCH_MM):
        return Contact("skin", "unknown")
    return Contact("skin", _state(depth), depth, "skin")


def _pleura(
    near: np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]],
    names: Mapping[int, str],
    inside: BoolArray,
    body: BoolArray,
    shell: BoolArray,
    grid: GridGeometry,
) -> Contact:
    """In the lung: the way to what is no lung. Outside it: the way to the lung."""
    if not any(_fits(name, LUNG) for name in names.values()):
        return Contact("pleura", "unknown")
    lung = _chosen(near, names, LUNG)
    if not _hosts(lung, shell):
        return _to("pleura", inside, lung & ~inside, grid, "lung")
    other = body & ~lung & ~inside & ~_chosen(near, names, _WITHIN)
    return _to("pleura", inside, _large(other, grid), grid, "chest wall or mediastinum")


def _capsule(
    near: np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]],
    names: Mapping[int, str],
    inside: BoolArray,
    shell: BoolArray,
    grid: GridGeometry,
) -> tuple[Contact, ...]:
    """The way to what is no liver, for a lesion in the liver; nothing for others."""
    if not any(_fits(name, LIVER) for name in names.values()):
        return (Contact("capsule", "unknown"),)
    liver = _chosen(near, names, LIVER)
    if not _hosts(liver, shell):
        return ()
    other = ~liver & ~inside & ~_chosen(near, names, _WITHIN)
    return (_to("capsule", inside, _large(other, grid), grid, "outside of the liver"),)


def _vessel(
    near: np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]],
    names: Mapping[int, str],
    inside: BoolArray,
    grid: GridGeometry,
) -> Contact:
    known = {label: name for label, name in names.items() if _fits(name, LARGE_VESSELS)}
    if not known:
        return Contact("large_vessel", "unknown")
    found = [
        _to("large_vessel", inside, (near == label) & ~inside, grid, name)
        for label, name in sorted(known.items())
    ]
    return min(found, key=lambda one: (one.distance_mm is None, one.distance_mm or 0.0))


def _to(what: str, inside: BoolArray, other: BoolArray, grid: GridGeometry, name: str) -> Contact:
    gap = gap_mm(inside, other, grid)
    if gap is None or gap > REACH_MM:
        return Contact(what, "clear", None, "")
    return Contact(what, _state(gap), gap, name)


def _state(gap: float) -> str:
    return "touches" if gap <= TOUCH_MM else "clear"


def gap_mm(first: BoolArray, second: BoolArray, grid: GridGeometry) -> float | None:
    """Shortest distance between the faces of two sets of voxels, mm; ``None`` where one is empty.

    Args:
        first, second: bool (z, y, x) boxes on one grid.
        grid: for its spacing.
    """
    spacing = np.asarray(grid.spacing_zyx_mm)
    own, other = _border(first), _border(second)
    if not len(own) or not len(other):
        return None
    tree = cKDTree(other * spacing)
    gaps, _ = tree.query(own * spacing)
    # Faces may be nearer than centres say by one voxel on both sides.
    close = own[gaps <= gaps.min() + 2.0 * float(np.linalg.norm(spacing))]
    reach = float(gaps.min()) + 2.0 * float(np.linalg.norm(spacing))
    best = np.inf
    for voxel, found in zip(close, tree.query_ball_point(close * spacing, reach), strict=True):
        steps = np.maximum(np.abs(other[found] - voxel) - 1, 0) * spacing
        best = min(best, float(np.linalg.norm(steps, axis=-1).min()))
    return float(best)


def _border(voxels: BoolArray) -> FloatArray:
    core = ndimage.binary_erosion(voxels, border_value=0)
    return np.asarray(np.argwhere(voxels & ~core), dtype=float)


def _around(
    mask: LesionMask, grid: GridGeometry, reach_mm: float
) -> tuple[tuple[slice, ...], BoolArray]:
    """The box of a lesion grown by a distance, and the lesion in it."""
    spans, inner = [], []
    for own, step, size in zip(mask.slices_zyx, grid.spacing_zyx_mm, grid.shape_zyx, strict=True):
        room = int(np.ceil(reach_mm / step)) + 1
        low, high = max(0, own.start - room), min(size, own.stop + room)
        spans.append(slice(low, high))
        inner.append(slice(own.start - low, own.stop - low))
    inside = np.zeros([span.stop - span.start for span in spans], dtype=bool)
    inside[tuple(inner)] = mask.voxels
    return tuple(spans), inside


def _shell(inside: BoolArray, grid: GridGeometry) -> BoolArray:
    """What lies within 3 mm of the lesion, or in the next voxel."""
    reach = max(SHELL_MM, max(grid.spacing_zyx_mm))
    distance = edt.edt(
        np.ascontiguousarray(~inside),
        anisotropy=grid.spacing_zyx_mm,
        black_border=False,
        parallel=1,
    )
    return np.asarray((distance > 0) & (distance <= reach))


def _hosts(organ: BoolArray, shell: BoolArray) -> bool:
    return bool(np.count_nonzero(organ & shell) >= HOST_SHARE * np.count_nonzero(shell))


def _large(voxels: BoolArray, grid: GridGeometry) -> BoolArray:
    """Without pieces under 1 mL: vessels that nobody labelled are no border of an organ."""
    labels, _ = ndimage.label(voxels)
    keep = np.bincount(labels.ravel()) * grid.voxel_ml >= 1.0
    keep[0] = False
    return np.asarray(keep[labels])


def _chosen(
    near: np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]],
    names: Mapping[int, str],
    patterns: tuple[str, ...],
) -> BoolArray:
    wanted = np.zeros(max([int(near.max()), *names], default=0) + 1, dtype=bool)
    for label, name in names.items():
        wanted[label] = _fits(name, patterns)
    return np.asarray(wanted[near])


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name.lower(), pattern) for pattern in patterns)
