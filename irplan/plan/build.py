"""Putting the results of the stages together into one plan, with all that is to be known."""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from irplan.anatomy import Anatomy
from irplan.dose import Allocation, Protocol
from irplan.dose.whatif import TurningPoints
from irplan.findings import Finding, accept
from irplan.lesions.lesion import Lesion
from irplan.plan.cards import Card
from irplan.plan.checks import (
    BIOPSY_NOT_ALONG_CHOICE,
    FOREIGN_PATH_CHOICE,
    by_hand_findings,
    identity_findings,
    position_findings,
)
from irplan.plan.inputs import plan_inputs, read_inputs
from irplan.plan.model import Case, ChecklistItem, InjectionPlan
from irplan.plan.request import PlanRequest
from irplan.trajectory import Constraints, Needle, NeedleShelf, PathPlan, PatientPosition
from irplan.trajectory.biopsy import BIOPSY_FIRST
from irplan.trajectory.together import numbered
from irplan.volume import CtVolume


def assemble_plan(
    volume: CtVolume,
    request: PlanRequest,
    protocol: Protocol,
    lesions: tuple[Lesion, ...],
    lesion_findings: tuple[Finding, ...],
    allocation: Allocation,
    turning_points: tuple[TurningPoints, ...],
    anatomy: Anatomy,
    paths: PathPlan,
    position: PatientPosition,
    constraints: Constraints,
    shelf: NeedleShelf,
    cards: tuple[Card, ...] = (),
) -> InjectionPlan:
    """The plan of one visit from the results of every stage.

    Findings come in the order of the work: scan, lesions, dose, anatomy, paths, plan. Those that
    a person accepted keep their place and show the reason.
    """
    chosen_paths, of_choice = choose_paths(paths, request.chosen, constraints)
    scanned = PatientPosition.from_tag(volume.identity.patient_position)
    findings = _unique(
        (
            *volume.findings,
            *(request.carried.findings if request.carried else ()),
            *lesion_findings,
            *(finding for lesion in lesions for finding in lesion.findings),
            *allocation.findings,
            *anatomy.findings,
            *chosen_paths.findings,
            *of_choice,
            *identity_findings(volume),
            *position_findings(scanned.value if scanned else "", position.value),
        )
    )
    return InjectionPlan(
        version=request.carried.version if request.carried else 1,
        supersedes=request.carried.supersedes if request.carried else "",
        case=Case.of(volume, position.value),
        geometry=volume.geometry,
        lesions=lesions,
        allocation=allocation,
        turning_points=turning_points,
        structures=anatomy.structures,
        unknown_structures=anatomy.unknown,
        paths=chosen_paths,
        checklist=tuple(_checklist(protocol)),
        inputs=plan_inputs(volume, read_inputs(request)),
        settings=_settings(request, constraints, shelf),
        findings=accept(findings, dict(request.accepted)),
        cards=cards,
        run=_run(volume),
    )


def _run(volume: CtVolume) -> dict[str, str]:
    """When, where and from which scan; no comparison reads it, and the record leaves it out."""
    source = volume.identity.source_path
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "scan": str(Path(source).absolute()) if source else "",
    }


def choose_paths(
    paths: PathPlan, chosen: tuple[tuple[str, str], ...], constraints: Constraints
) -> tuple[PathPlan, tuple[Finding, ...]]:
    """The paths with each lesion's preferred needle, and what is to be known of it.

    The preferred needle takes the place of the lesion's own passes, and its findings that of
    theirs. A pass that serves another lesion too stays for that one alone. The distance of all
    needles from each other is held against the limit again, and deposits are numbered anew.
    """
    needles, alternatives = list(paths.needles), list(paths.alternatives)
    told: list[Finding] = []
    by_hand: list[Needle] = []
    for lesion_id, needle_id in chosen:
        if any(needle.needle_id == needle_id for needle in needles):
            continue
        wanted = next((one for one in alternatives if one.needle_id == needle_id), None)
        present = [one for one in needles if lesion_id in one.lesion_ids]
        if wanted is None or not present or wanted.lesion_ids != (lesion_id,):
            told.append(FOREIGN_PATH_CHOICE(lesion_id, needle=needle_id))
            continue
        by_hand.append(wanted)
        place = needles.index(present[0])
        kept = [_without(one, lesion_id) for one in present if len(one.lesion_ids) > 1]
        needles = [one for one in needles if one not in present]
        needles[place:place] = [*kept, wanted]
        alternatives = [
            *(one for one in present if len(one.lesion_ids) == 1),
            *(one for one in alternatives if one is not wanted),
        ]
    told += by_hand_findings(by_hand, needles, constraints)
    kept_ids = {one.needle_id for one in needles}
    paths, of_biopsies = _with_biopsies_of(paths, kept_ids)
    told += of_biopsies
    left = [one for one in paths.needles if one.needle_id not in kept_ids]
    gone = {finding for needle in left for finding in needle.findings}
    known = [finding for finding in paths.findings if finding not in gone]
    changed = replace(
        paths,
        needles=tuple(needles),
        alternatives=tuple(alternatives),
        findings=(*known, *(finding for one in by_hand for finding in one.findings)),
    )
    return (replace(changed, needles=numbered(needles)) if by_hand else changed), tuple(told)


def _with_biopsies_of(
    paths: PathPlan, needle_ids: Collection[str]
) -> tuple[PathPlan, list[Finding]]:
    """The paths without the biopsies along needles that were replaced, and a warning for each.

    A biopsy belongs to the track that it was checked along; another track may not be as good.
    """
    lost = [one for one in paths.biopsies if one.before not in needle_ids]
    ids = {one.lesion_id for one in lost}
    findings = tuple(
        one for one in paths.findings if one.code != BIOPSY_FIRST.code or one.subject not in ids
    )
    kept = tuple(one for one in paths.biopsies if one not in lost)
    told = [
        BIOPSY_NOT_ALONG_CHOICE(one.lesion_id, lesion=one.lesion_id, needle=one.before)
        for one in lost
    ]
    return replace(paths, biopsies=kept, findings=findings), told


def _without(needle: Needle, lesion_id: str) -> Needle:
    """A pass that no longer serves one of its lesions."""
    return replace(
        needle,
        lesion_ids=tuple(one for one in needle.lesion_ids if one != lesion_id),
        deposits=tuple(one for one in needle.deposits if one.lesion_id != lesion_id),
    )


def _settings(request: PlanRequest, constraints: Constraints, shelf: NeedleShelf) -> dict[str, Any]:
    return {
        "request": request.document(),
        "constraints": constraints.document(),
        "needles": shelf.document(),
    }


def _checklist(protocol: Protocol) -> Iterable[ChecklistItem]:
    for item in protocol.checklist:
        yield ChecklistItem(item.code, item.text, item.applies_to)


def _unique(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once: a lesion's finding may have been raised by two stages."""
    return tuple(dict.fromkeys(findings))
