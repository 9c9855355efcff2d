"""From measured lesions and a request to the lesions and the order that the dose stage takes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from irplan import units
from irplan.dose import (
    Allocation,
    DoseLesion,
    DoseOrder,
    Protocol,
    allocate,
    read_given,
    read_history,
    read_lesion_table,
)
from irplan.dose.whatif import TurningPoints, turning_points
from irplan.errors import InputRefused
from irplan.lesions.lesion import Lesion, LesionSource
from irplan.plan.request import PlanRequest
from irplan.trajectory import Constraints, default_guidance

#: Reason shown for a lesion that was not named as a target.
NOT_TARGETED = "not among the targets of this visit"


def order_from(request: PlanRequest) -> DoseOrder:
    """What is known of the patient and asked for, with the files of earlier doses read.

    Raises:
        InputRefused: the history or what was given cannot be read.
    """
    return DoseOrder(
        weight_kg=request.weight_kg,
        weight_age_days=request.weight_age_days,
        height_cm=request.height_cm,
        prescribed_mg=dict(request.prescribed_mg),
        increment_ml=request.increment_ml,
        visit=request.visit,
        history=None if request.history is None else read_history(request.history),
        given=() if request.given is None else read_given(request.given),
    )


def allocate_plan(
    lesions: tuple[DoseLesion, ...], protocol: Protocol, request: PlanRequest
) -> Allocation:
    """The allocation of a visit.

    Raises:
        CallError, InputRefused: as :func:`irplan.dose.allocate`.
    """
    return allocate(lesions, protocol, order_from(request))


def decision_volumes(
    lesions: tuple[DoseLesion, ...], protocol: Protocol, request: PlanRequest
) -> tuple[TurningPoints, ...]:
    """For each lesion the volumes at which its dose would turn: a step more or less, none, no more.

    Raises:
        CallError, InputRefused: as :func:`irplan.dose.allocate`.
    """
    return turning_points(lesions, protocol, order_from(request))


def lesions_to_dose(
    lesions: tuple[Lesion, ...], request: PlanRequest, constraints: Constraints
) -> tuple[DoseLesion, ...]:
    """The lesions as they are dosed: measured volumes, with what the tables say besides.

    Raises:
        InputRefused: a table gives a volume for a lesion that was measured on the CT.
    """
    attributes = _attributes(request)
    excluded = dict(request.excluded)
    dosed = []
    for lesion in lesions:
        guidance = guidance_of(lesion, request, constraints)
        one = _dose_lesion(lesion, attributes.get(lesion.lesion_id), guidance)
        reason = excluded.get(lesion.lesion_id)
        if reason is None and request.targets and lesion.lesion_id not in request.targets:
            reason = NOT_TARGETED
        dosed.append(one if reason is None else replace(one, injectable=False, reason=reason))
    return tuple(dosed)


def table_lesions(table: Path, seen: Collection[str]) -> tuple[Lesion, ...]:
    """The lesions of a table that CT does not show: those whose ids are not among ``seen``.

    Raises:
        InputRefused: the table cannot be read, or a lesion has neither volume nor diameters.
    """
    added = []
    for row in read_lesion_table(table):
        if row.lesion_id in seen:
            continue
        if row.volume_ml is None:
            raise InputRefused(
                "lesion_without_volume",
                f"{table}: lesion {row.lesion_id} was not found on the CT and has no volume",
                "give d1_mm, d2_mm and d3_mm, or show the lesion on the CT",
            )
        added.append(
            Lesion(
                lesion_id=row.lesion_id,
                label=None,
                source=LesionSource.DIAMETERS,
                site=row.site,
                side=row.side,
                side_source="given" if row.side else "",
                volume_ml=row.volume_ml,
                volume_low_ml=row.volume_low_ml,
                volume_high_ml=row.volume_high_ml,
                longest_diameter_mm=_float(row.longest_diameter_mm),
                short_axis_mm=_float(row.short_axis_mm),
            )
        )
    return tuple(added)


def guidance_of(lesion: Lesion, request: PlanRequest, constraints: Constraints) -> str:
    """How the needle is led: as a table says, else by the lesion's depth below the skin.

    A lesion that CT does not show is reached under ultrasound unless the table says otherwise:
    that is how it was measured.
    """
    told = _attributes(request).get(lesion.lesion_id)
    if told is not None and told.guidance:
        return told.guidance
    if lesion.mask is None:
        return "ultrasound"
    return default_guidance(lesion, constraints)


def _attributes(request: PlanRequest) -> dict[str, DoseLesion]:
    """What the tables of ids and of lesions say of each lesion; the latter wins."""
    rows: dict[str, DoseLesion] = {}
    for table in (request.mask_ids, request.lesion_table):
        if table is not None:
            rows.update({row.lesion_id: row for row in read_lesion_table(table)})
    return rows


def _dose_lesion(lesion: Lesion, told: DoseLesion | None, guidance: str) -> DoseLesion:
    measured = DoseLesion(
        lesion_id=lesion.lesion_id,
        volume_ml=lesion.volume_ml,
        volume_low_ml=lesion.volume_low_ml,
        volume_high_ml=lesion.volume_high_ml,
        longest_diameter_mm=_decimal(lesion.longest_diameter_mm),
        short_axis_mm=_decimal(lesion.short_axis_mm),
        site=lesion.site,
        side=lesion.side,
        guidance=guidance,
    )
    if told is None:
        return measured
    if lesion.mask is None:
        return replace(told, guidance=guidance)
    if told.volume_ml is not None and told.volume_ml != lesion.volume_ml:
        raise InputRefused(
            "two_volumes",
            f"lesion {lesion.lesion_id} measures {lesion.volume_ml} mL on the CT and the table "
            f"says {told.volume_ml} mL",
            "take the volume out of the table, or give the lesion another id",
        )
    return replace(
        measured,
        site=told.site or lesion.site,
        side=told.side or lesion.side,
        injectable=told.injectable,
        previously_injected=told.previously_injected,
        min_ml=told.min_ml,
        max_ml=told.max_ml,
        fixed_ml=told.fixed_ml,
        reason=told.reason,
        priority=told.priority,
    )


def _decimal(length_mm: float | None) -> Decimal | None:
    return None if length_mm is None else units.mm(length_mm)


def _float(length_mm: Decimal | None) -> float | None:
    return None if length_mm is None else float(length_mm)
