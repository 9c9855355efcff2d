"""The paths and the plan of a case, each computed whole from its frozen state."""

from __future__ import annotations

from dataclasses import dataclass

from irplan.anatomy import Anatomy
from irplan.casework import CaseState, Scan, findings_on_lesions
from irplan.dose import Allocation, Protocol
from irplan.errors import CallError
from irplan.plan import InjectionPlan
from irplan.plan.build import assemble_plan, choose_paths
from irplan.plan.dosing import decision_volumes, guidance_of, lesions_to_dose
from irplan.plan.room import room_cards
from irplan.tasks import SILENT, Task
from irplan.trajectory import (
    Constraints,
    NeedleShelf,
    PathPlan,
    PatientPosition,
    propose_paths,
)
from irplan.trajectory.skin_map import SkinMap, skin_maps


@dataclass(frozen=True)
class Means:
    """What a path is made with: needles, limits, and how the patient lies."""

    shelf: NeedleShelf
    constraints: Constraints
    position: PatientPosition


def search(
    scan: Scan,
    state: CaseState,
    anatomy: Anatomy,
    allocation: Allocation,
    means: Means,
    task: Task = SILENT,
) -> PathPlan:
    """A safe path for every lesion that gets a dose, or why there is none."""
    # What this visit has given already needs no needle any more.
    doses = {one.lesion_id: allocation.remaining_ml_of(one.lesion_id) for one in state.lesions}
    targets = tuple(one for one in state.lesions if doses[one.lesion_id])
    return propose_paths(
        scan.volume,
        scan.body,
        anatomy,
        tuple(one for one in targets if one.mask is not None),
        {one.lesion_id: doses[one.lesion_id] for one in targets},
        means.shelf,
        means.constraints,
        means.position,
        {one.lesion_id: guidance_of(one, state.request, means.constraints) for one in targets},
        allocation.increment_ml,
        task.part("searching paths"),
        held=dict(state.request.carried.paths) if state.request.carried else {},
        to_biopsy=state.request.biopsies,
    )


def map_skin(
    scan: Scan,
    state: CaseState,
    anatomy: Anatomy,
    allocation: Allocation,
    means: Means,
    task: Task = SILENT,
) -> tuple[SkinMap, ...]:
    """From every skin point the best path to each lesion and its cost; then to any of them."""
    doses = {one.lesion_id: allocation.remaining_ml_of(one.lesion_id) for one in state.lesions}
    return skin_maps(
        scan.volume,
        scan.body,
        anatomy,
        state.lesions,
        {name: dose for name, dose in doses.items() if dose},
        means.shelf,
        means.constraints,
        means.position,
        _guidance(state, means),
        allocation.increment_ml,
        task.part("mapping the skin"),
    )


def assemble(
    scan: Scan, state: CaseState, protocol: Protocol, means: Means, task: Task = SILENT
) -> InjectionPlan:
    """The whole plan of a state in which every stage is computed.

    Raises:
        CallError: a stage is missing: the case changed meanwhile.
    """
    allocation, anatomy, paths = state.allocation, state.anatomy, state.paths
    if allocation is None or anatomy is None or paths is None:
        raise CallError("moved_on", "the case changed meanwhile", "ask for the plan again")
    dosed = lesions_to_dose(state.lesions, state.request, means.constraints)
    # The cards belong to the needles that a person preferred, not to the first ones.
    chosen, _ = choose_paths(paths, state.request.chosen, means.constraints)
    cards = room_cards(
        scan.volume,
        scan.body,
        anatomy,
        state.lesions,
        dosed,
        {one.lesion_id: allocation.remaining_ml_of(one.lesion_id) for one in state.lesions},
        chosen,
        means.shelf,
        means.constraints,
        means.position,
        _guidance(state, means),
        allocation.increment_ml,
        task.part("making the cards"),
    )
    return assemble_plan(
        scan.volume,
        state.request,
        protocol,
        state.lesions,
        findings_on_lesions(state),
        allocation,
        decision_volumes(dosed, protocol, state.request),
        anatomy,
        paths,
        means.position,
        means.constraints,
        means.shelf,
        cards,
    )


def _guidance(state: CaseState, means: Means) -> dict[str, str]:
    return {
        one.lesion_id: guidance_of(one, state.request, means.constraints) for one in state.lesions
    }
