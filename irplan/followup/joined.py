"""Lesions that the newer scan shows in pieces, or grown together: what is proposed of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from irplan.followup.carry import CarriedLesion, prompt_of_mask, settled
from irplan.followup.matching import LEAST_SHARED
from irplan.followup.parts import grown_together, pieces
from irplan.geometry import BoolArray
from irplan.lesions.editing import union
from irplan.lesions.gestures import Prompt
from irplan.lesions.lesion import Lesion, LesionMask
from irplan.lesions.segmentation import segment_one, shared_voxels
from irplan.volume import CtVolume


def lesion_parts(
    one: CarriedLesion, new: CtVolume, body: BoolArray
) -> tuple[tuple[Prompt, Lesion], ...]:
    """The parts into which a lesion has split, each segmented for itself; () where it is whole.

    Their ids are the lesion's own with -1, -2, …, the largest first. Parts that the segmenter does
    not keep apart are none.
    """
    if one.carried is None:
        return ()
    name = one.old.lesion_id
    made: list[tuple[Prompt, Lesion]] = []
    for number, piece in enumerate(pieces(new, one.carried, body), start=1):
        prompt = prompt_of_mask(f"{name}-{number}", one.old.kind, piece)
        found = segment_one(new, prompt, body, number)
        if not isinstance(found, Lesion):
            return ()
        prompt, found = settled(prompt, found, new, body, number)
        part = replace(found, name=prompt.lesion_id, site=one.old.site, side=one.old.side)
        made.append((prompt, part))
    masks = [lesion.mask for _, lesion in made]
    for number, first in enumerate(masks):
        if any(_shares(first, second) for second in masks[number + 1 :]):
            return ()
    return tuple(made)


def joined_lesions(
    carried: Sequence[CarriedLesion],
    lesions: Mapping[str, Lesion],
    old: CtVolume,
    old_body: BoolArray,
    new: CtVolume,
    new_body: BoolArray,
) -> list[tuple[tuple[str, ...], LesionMask]]:
    """Groups of older lesions that are one in the newer scan, each with its mask there.

    Two lesions are one where their masks in the newer scan share a good part of the smaller one,
    or where a neck joins them there that did not join them in the older scan.
    """
    groups: list[tuple[set[str], LesionMask]] = []
    for number, first in enumerate(carried):
        for second in carried[number + 1 :]:
            names = (first.old.lesion_id, second.old.lesion_id)
            one, other = (lesions[name].mask for name in names)
            was, was_other = first.old.mask, second.old.mask
            if one is None or other is None or was is None or was_other is None:
                continue
            mask = grown_together(new, one, other, new_body)
            if mask is not None and grown_together(old, was, was_other, old_body) is not None:
                mask = None
            if mask is None and _shares(one, other):
                mask = union(one, other)
            if mask is None:
                continue
            hit = [group for group in groups if group[0] & set(names)]
            groups = [group for group in groups if group not in hit]
            ids = set(names)
            for known, part in hit:
                ids |= known
                mask = union(mask, part)
            groups.append((ids, mask))
    order = [one.old.lesion_id for one in carried]
    made = [(tuple(name for name in order if name in ids), mask) for ids, mask in groups]
    return sorted(made, key=lambda group: order.index(group[0][0]))


def _shares(first: LesionMask | None, second: LesionMask | None) -> bool:
    """Whether two masks share a good part of the smaller one."""
    if first is None or second is None:
        return False
    smaller = min(first.voxel_volume_ml, second.voxel_volume_ml) / first.grid.voxel_ml
    return shared_voxels(first, second) >= LEAST_SHARED * smaller
