"""The frozen state of a case, and the changes of its lesions as functions from state to state.

:mod:`irplan.session` holds the present state and swaps it; nothing here remembers anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from irplan.anatomy import Anatomy
from irplan.dose import Allocation
from irplan.errors import CallError, InputRefused
from irplan.findings import Finding
from irplan.geometry import BoolArray, PointLps
from irplan.lesions.contact import with_contacts
from irplan.lesions.editing import split
from irplan.lesions.handwork import (
    DrawnDiameter,
    HandEdit,
    Place,
    edited_lesion,
    placed,
    with_drawn,
)
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.lesions.measurement import measure_lesion
from irplan.lesions.naming import site_findings
from irplan.lesions.segmentation import LESIONS_OVERLAP, overlaps
from irplan.lesions.sites import with_site_proposals
from irplan.plan.request import PlanRequest
from irplan.trajectory import PathPlan
from irplan.volume import CtVolume

T = TypeVar("T")


@dataclass(frozen=True)
class Scan:
    """The opened scan and what is computed from it alone.

    Attributes:
        volume: the CT.
        body: bool (z, y, x), the patient without table and lines.
    """

    volume: CtVolume
    body: BoolArray


@dataclass(frozen=True)
class CaseState:
    """Where the work stands. ``None`` is not done yet, or undone by a later change.

    Attributes:
        request: everything that a person chose so far.
        lesions: seen on CT, in order, then those known by diameters only.
        given: the lesions as gestures or a file gave them, before a hand changed anything.
        lesion_findings: about gestures or masks that gave no lesion.
    """

    request: PlanRequest = field(default_factory=PlanRequest)
    lesions: tuple[Lesion, ...] = ()
    lesion_findings: tuple[Finding, ...] = ()
    allocation: Allocation | None = None
    anatomy: Anatomy | None = None
    paths: PathPlan | None = None
    given: tuple[Lesion, ...] = ()


def with_edit(
    scan: Scan,
    base: CaseState,
    lesion_id: str,
    change: Callable[[LesionMask | None], LesionMask | None],
) -> CaseState:
    """The state with a lesion's mask changed by hand; ``base`` itself where no voxel changed.

    Raises:
        CallError: nothing would be left of it, or it has no voxels on this CT.
    """
    lesion = next((one for one in base.lesions if one.lesion_id == lesion_id), None)
    if lesion is not None and lesion.mask is None:
        raise CallError("no_voxels", f"{lesion_id} is known by its diameters only")
    before = None if lesion is None else lesion.mask
    after = change(before)
    if after is None:
        raise CallError(
            "nothing_left",
            f"nothing would be left of {lesion_id}",
            "remove the lesion instead" if lesion is not None else "paint inside the scan",
        )
    old = _edit_of(base.request, lesion_id)
    edit = old.then(before, after)
    if lesion is not None and edit == old:
        return base
    request = replace(
        base.request, edits=merged(base.request.edits, (edit,), lambda one: one.lesion_id)
    )
    # From what was given on: a hundred strokes one by one measure what they measure at once.
    given = next((one for one in base.given if one.lesion_id == lesion_id), _painted(lesion_id))
    return _with_one(base, request, redone(scan, given, request))


def with_split(
    scan: Scan,
    base: CaseState,
    lesion_id: str,
    new_id: str,
    points_lps_mm: tuple[PointLps, PointLps],
) -> CaseState:
    """The state with a lesion parted at its waist; the second part is ``new_id``.

    Raises:
        CallError: there is no such lesion, the id is taken, or a point lies outside it.
    """
    mask = _seen(base, lesion_id).mask
    if mask is None or any(one.lesion_id == new_id for one in base.lesions):
        raise CallError("lesion_id_taken", f"there is a lesion '{new_id}' already")
    try:
        first, second = split(mask, points_lps_mm)
    except ValueError as error:
        raise CallError(
            "cannot_split", f"{lesion_id} cannot be parted: {error}", "choose a point in each part"
        ) from error
    parted = with_edit(scan, base, lesion_id, lambda _: first)
    return with_edit(scan, parted, new_id, lambda _: second)


def with_diameter_drawn(base: CaseState, drawn: DrawnDiameter) -> CaseState:
    """The state with a diameter of a lesion as a person drew it.

    Raises:
        CallError: there is no such lesion on the CT.
    """
    made = with_drawn(_seen(base, drawn.lesion_id), drawn)
    others = tuple(
        one
        for one in base.request.drawn
        if (one.lesion_id, one.axis) != (drawn.lesion_id, drawn.axis)
    )
    return _with_one(base, replace(base.request, drawn=(*others, drawn)), made)


def without_diameter_drawn(scan: Scan, base: CaseState, lesion_id: str) -> CaseState:
    """The state with the measured diameters again; ``base`` itself where none was drawn.

    Raises:
        CallError: there is no such lesion on the CT.
    """
    lesion = _seen(base, lesion_id)
    others = tuple(one for one in base.request.drawn if one.lesion_id != lesion_id)
    if len(others) == len(base.request.drawn):
        return base
    made = measure_lesion(lesion, scan.volume, scan.body)
    return _with_one(base, replace(base.request, drawn=others), made)


def with_place(scan: Scan, base: CaseState, place: Place) -> CaseState:
    """The state with site and side of a lesion as a person named them.

    Raises:
        CallError: there is no such lesion on the CT.
    """
    made = placed(_seen(base, place.lesion_id), place, scan.volume, scan.body)
    others = tuple(one for one in base.request.places if one.lesion_id != place.lesion_id)
    return _with_one(base, replace(base.request, places=(*others, place)), made)


def with_handwork(scan: Scan, base: CaseState, request: PlanRequest) -> CaseState:
    """The state with everything done again that a person painted, drew and named in a request.

    Raises:
        CallError: it belongs to a lesion that is not there.
    """
    both = replace(base.request, edits=request.edits, drawn=request.drawn, places=request.places)
    known = {one.lesion_id for one in base.lesions}
    fresh = tuple(one.lesion_id for one in both.edits if one.lesion_id not in known)
    named = {one.lesion_id for one in both.drawn} | {one.lesion_id for one in both.places}
    if missing := sorted(named - known - set(fresh)):
        raise CallError("no_such_lesion", f"there is no lesion {', '.join(missing)}")
    lesions = (*base.lesions, *(_painted(lesion_id) for lesion_id in fresh))
    made = tuple(redone(scan, one, both) for one in lesions)
    return with_lesions(base, both, made, base.lesion_findings, base.lesions)


def redone(scan: Scan, lesion: Lesion, request: PlanRequest) -> Lesion:
    """A lesion as gestures or a file gave it, with what a person changed of it laid over."""
    for edit in request.edits:
        if edit.lesion_id == lesion.lesion_id:
            mask = edit.applied(lesion.mask, scan.volume.geometry)
            # Where the hand took everything out, the lesion stays as the gestures give it: a
            # lesion goes by its removal only.
            if mask is not None:
                lesion = edited_lesion(lesion, edit, mask, scan.volume, scan.body)
    for place in request.places:
        if place.lesion_id == lesion.lesion_id:
            lesion = placed(lesion, place, scan.volume, scan.body)
    for drawn in request.drawn:
        if drawn.lesion_id == lesion.lesion_id:
            lesion = with_drawn(lesion, drawn)
    return lesion


def _edit_of(request: PlanRequest, lesion_id: str) -> HandEdit:
    found = (one for one in request.edits if one.lesion_id == lesion_id)
    return next(found, HandEdit(lesion_id))


def _seen(state: CaseState, lesion_id: str) -> Lesion:
    lesion = next((one for one in state.lesions if one.lesion_id == lesion_id), None)
    if lesion is None or lesion.mask is None:
        raise CallError("no_such_lesion", f"there is no lesion '{lesion_id}' on the CT")
    return lesion


def _with_one(base: CaseState, request: PlanRequest, made: Lesion) -> CaseState:
    lesions = merged(base.lesions, (made,), lambda one: one.lesion_id)
    return with_lesions(base, request, lesions, base.lesion_findings)


def merged(old: tuple[T, ...], new: tuple[T, ...], key: Callable[[T], str]) -> tuple[T, ...]:
    """``old`` with the items of ``new`` where their key stands already, the others at the end."""
    fresh = {key(item): item for item in new}
    kept = tuple(fresh.pop(key(item), item) for item in old)
    return (*kept, *fresh.values())


def with_lesions(
    base: CaseState,
    request: PlanRequest,
    lesions: tuple[Lesion, ...],
    findings: tuple[Finding, ...],
    given: tuple[Lesion, ...] = (),
) -> CaseState:
    """The state with other lesions; what was computed from the old ones goes.

    ``given`` are lesions as gestures or a file gave them now, before the hand's work.

    Raises:
        InputRefused: an id stands twice.
    """
    ids = [lesion.lesion_id for lesion in lesions]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise InputRefused(
            "duplicate_lesion_id",
            f"lesion id {', '.join(twice)} stands twice",
            "give each lesion an id of its own",
        )
    kept = merged(base.given, given, lambda one: one.lesion_id)
    return CaseState(
        request,
        _relabelled(_in_order(lesions, request), request),
        findings,
        given=tuple(one for one in kept if one.lesion_id in ids),
    )


def _in_order(lesions: tuple[Lesion, ...], request: PlanRequest) -> tuple[Lesion, ...]:
    """Imported lesions, those of gestures, painted ones, those that CT does not show.

    The order must not depend on the order of the work: a plan is computed again in this one.
    """
    drawn = {one.lesion_id: number for number, one in enumerate(request.prompts)}
    painted = {one.lesion_id: number for number, one in enumerate(request.edits)}

    def place(lesion: Lesion) -> tuple[int, int]:
        if lesion.mask is None:
            return 3, 0
        if lesion.lesion_id in drawn:
            return 1, drawn[lesion.lesion_id]
        if lesion.name == "" and lesion.source_label is None and lesion.lesion_id in painted:
            return 2, painted[lesion.lesion_id]
        return 0, 0

    return tuple(sorted(lesions, key=place))


def _painted(lesion_id: str) -> Lesion:
    """A lesion before its first voxel is painted."""
    return Lesion(lesion_id, None, LesionSource.EDITED)


def in_anatomy(scan: Scan, lesions: tuple[Lesion, ...], anatomy: Anatomy) -> tuple[Lesion, ...]:
    """The lesions with what they touch, and the site that the anatomy tells where nobody did."""
    names = {one.label: one.name for one in anatomy.structures}
    told = with_contacts(lesions, anatomy.labels, names, scan.body, anatomy.grid)
    return with_site_proposals(told, scan.volume, anatomy.labels, names)


def findings_on_lesions(state: CaseState) -> tuple[Finding, ...]:
    """What is to be known of the lesions together, as they are now, however they came to be."""
    told = (one for one in state.lesion_findings if one.code != LESIONS_OVERLAP.code)
    shared = (*overlaps(state.lesions), *site_findings(state.lesions))
    return (*told, *state.request.followed, *shared)


def drawn_ids(state: CaseState) -> set[str]:
    """The lesions that gestures or the brush made, not a file."""
    painted = {
        one.lesion_id
        for one in state.lesions
        if one.source is LesionSource.EDITED and one.source_label is None and not one.name
    }
    return painted | {prompt.lesion_id for prompt in state.request.prompts}


def only_for(request: PlanRequest, ids: set[str]) -> PlanRequest:
    """The request with a person's work on these lesions only."""
    return replace(
        request,
        edits=tuple(one for one in request.edits if one.lesion_id in ids),
        kept_masks=tuple(one for one in request.kept_masks if one.lesion_id in ids),
        drawn=tuple(one for one in request.drawn if one.lesion_id in ids),
        places=tuple(one for one in request.places if one.lesion_id in ids),
    )


def _relabelled(lesions: tuple[Lesion, ...], request: PlanRequest) -> tuple[Lesion, ...]:
    """Labels 1, 2, … over all lesions with voxels; two sources may have used the same ones.

    A lesion of gestures names the place of its prompt: drawn one by one or all at once, the same.
    """
    labels = itertools.count(1)
    prompts = {one.lesion_id: number for number, one in enumerate(request.prompts, start=1)}
    return tuple(
        lesion
        if lesion.mask is None
        else replace(
            lesion,
            label=next(labels),
            source_label=prompts.get(lesion.lesion_id, lesion.source_label),
        )
        for lesion in lesions
    )
