"""Lesions of two scans as pairs of slices: before and now, at one scale, both outlines."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from irplan.export.pictures import (
    FINEST_PIXEL_MM,
    MARGIN_MM,
    PICTURE_PIXELS,
    SMALLEST_HALF_MM,
    Line,
    Mark,
    Picture,
    Text,
    lesion_marks,
    window_sentence,
)
from irplan.export.slices import LUNG, SOFT_TISSUE, outlines, sample_hu
from irplan.export.views import View, axial_view
from irplan.followup import CarriedLesion, FollowUp
from irplan.geometry import FloatArray
from irplan.lesions.lesion import Lesion, LesionKind, LesionMask
from irplan.volume import CtVolume


@dataclass(frozen=True)
class LesionPair:
    """One lesion in the older and in the newer scan."""

    lesion_id: str
    before: Picture
    now: Picture


def lesion_pairs(
    followed: FollowUp, old: CtVolume, new: CtVolume, only: Collection[str] | None = None
) -> tuple[LesionPair, ...]:
    """A pair of axial slices for every lesion that was followed, at one scale.

    The newer one also shows the older outline, laid there by the registration.

    Args:
        only: ids of older lesions; None is all.
    """
    by_id = {one.lesion_id: one for one in followed.lesions}
    pairs = []
    for one in followed.carried:
        if only is not None and one.old.lesion_id not in only:
            continue
        now = [by_id[name] for name in followed.now_of(one.old.lesion_id) if name in by_id]
        pairs.append(_pair(one, now, old, new))
    return tuple(pairs)


def new_lesion_pairs(
    followed: FollowUp, old: CtVolume, new: CtVolume, only: Collection[str] | None = None
) -> tuple[LesionPair, ...]:
    """A pair for each lesion that no older one became; its place before by the map of the whole.

    Args:
        only: ids of such lesions; None is all.
    """
    known = {name for one in followed.carried for name in followed.now_of(one.old.lesion_id)}
    back = followed.whole.rigid.inverse()
    pairs = []
    for one in followed.lesions:
        if one.lesion_id in known or one.mask is None:
            continue
        if only is not None and one.lesion_id not in only:
            continue
        there = np.asarray(one.centroid_lps_mm, dtype=float)
        half_mm = max(SMALLEST_HALF_MM, (one.longest_diameter_mm or 0.0) / 2.0 + MARGIN_MM)
        lung = one.kind is LesionKind.LUNG
        before = _picture(back(there), half_mm, lung, old, (), (), "Before")
        now = _picture(there, half_mm, lung, new, [one], (one.lesion_id,), "Now")
        pairs.append(LesionPair(one.lesion_id, before, now))
    return tuple(pairs)


def _pair(one: CarriedLesion, now: Sequence[Lesion], old: CtVolume, new: CtVolume) -> LesionPair:
    centre = np.asarray(one.old.centroid_lps_mm, dtype=float)
    there = one.registration.map(centre)
    longest = max([one.old.longest_diameter_mm or 0.0, *(n.longest_diameter_mm or 0 for n in now)])
    half_mm = max(SMALLEST_HALF_MM, longest / 2.0 + MARGIN_MM)
    lung = one.old.kind is LesionKind.LUNG
    before = _picture(centre, half_mm, lung, old, [one.old], (one.old.lesion_id,), "Before")
    ids = tuple(lesion.lesion_id for lesion in now)
    after = _picture(there, half_mm, lung, new, now, ids, "Now")
    older = _older_marks(one.carried, [lesion.mask for lesion in now], after.view)
    after = replace(after, marks=(*after.marks, *older))
    return LesionPair(one.old.lesion_id, before, after)


def _older_marks(
    older: LesionMask | None, now: Sequence[LesionMask | None], view: View
) -> list[Mark]:
    """The older outline, dashed, and its name under everything: what lies there now stays seen."""
    lines = () if older is None else outlines(older, view)
    if not lines:
        return []
    shown = [*lines, *(line for mask in now if mask is not None for line in outlines(mask, view))]
    column = float(max(lines, key=len)[:, 0].mean())
    row = max(float(line[:, 1].max()) for line in shown)
    marks: list[Mark] = [
        Line(tuple((float(x), float(y)) for x, y in line), "other_lesion", dashed=True)
        for line in lines
    ]
    return [*marks, Text((column, row), "before", "other_lesion", "below")]


def _picture(
    centre: FloatArray,
    half_mm: float,
    lung: bool,
    volume: CtVolume,
    lesions: Sequence[Lesion],
    targets: Sequence[str],
    when: str,
) -> Picture:
    view = axial_view(centre, half_mm, max(FINEST_PIXEL_MM, 2.0 * half_mm / PICTURE_PIXELS))
    window = LUNG if lung else SOFT_TISSUE
    date = volume.identity.acquired or "date unknown"
    caption = (
        f"{when} ({date}), axial at z = {centre[2]:.1f} mm of its own scan. "
        f"{window_sentence(window)}"
    )
    marks = tuple(lesion_marks(lesions, targets, view))
    return Picture(window.grey(sample_hu(volume, view)), view, window, marks, caption)
