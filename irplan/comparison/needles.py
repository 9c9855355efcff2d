"""Planned against placed: the needles of a plan on a control CT, and the site's own errors.

Tips are read on the control CT, in its LPS millimetres. The surroundings of each needle's lesion
are registered from the planning CT to the control CT; the planned needle is carried there and
compared with the placed one where it lies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from irplan import units
from irplan.body import find_body
from irplan.comparison.site import LEAST_NEEDLES, site_errors, with_errors
from irplan.documents import envelope, point_document
from irplan.errors import CallError, InputRefused
from irplan.findings import Finding, Forbids, Severity, accept, declare, forbidding
from irplan.followup.carry import surface_points_mm
from irplan.geometry import FloatArray, PointLps, unit
from irplan.lesions.lesion import LesionMask
from irplan.registration import (
    LocalRegistration,
    WholeRegistration,
    identity_findings,
    register_lesion,
    register_whole,
)
from irplan.tasks import SILENT, Task
from irplan.transfer import old_scan
from irplan.units import parse_decimal
from irplan.verification import reopen_plan
from irplan.volume_io import load_volume

STAGE = "compare"

#: An error below this is not worth moving a needle for, mm; it is the registration's own.
WORTH_MOVING_MM = 2.0

TIP_OUTSIDE = declare(
    "tip_outside_lesion",
    Severity.WARN,
    STAGE,
    "{needle}: its tip lies {mm} mm outside {lesion}: do not inject before it is corrected",
)
TIP_UNCERTAIN = declare(
    "tip_place_uncertain",
    Severity.WARN,
    STAGE,
    "{needle}: its tip lies {mm} mm from the border of {lesion}, within the error of the "
    "registration ({error_mm} mm): look at it on the control CT itself",
)
NOT_COMPARED = declare(
    "needle_not_compared",
    Severity.WARN,
    STAGE,
    "{needle} of the plan was not compared: nobody gave its tip",
)
SITE_ERRORS_FEW = declare(
    "site_errors_too_few",
    Severity.INFO,
    STAGE,
    "{count} needles under {guidance} are known of this site: its own error stands in for the "
    "published one from {least} on",
)


@dataclass(frozen=True)
class Placed:
    """A needle as it lies on the control CT, LPS mm of that CT."""

    needle_id: str
    tip_lps_mm: PointLps
    entry_lps_mm: PointLps | None = None


@dataclass(frozen=True)
class NeedleError:
    """One needle, planned against placed; every position in LPS mm of the control CT.

    Attributes:
        planned_tip_lps_mm, planned_entry_lps_mm: the plan, carried to the control CT.
        radial_mm: distance of the tips.
        depth_mm: along the planned direction; above zero is too deep.
        lateral_mm: across it.
        angle_deg: between the directions; None where the entry was not given.
        inside_mm: how far the tip lies inside the lesion's border; below zero outside.
        registration: of the lesion's surroundings.
    """

    placed: Placed
    lesion_id: str
    guidance: str
    planned_tip_lps_mm: PointLps
    planned_entry_lps_mm: PointLps
    radial_mm: float
    depth_mm: float
    lateral_mm: float
    angle_deg: float | None
    inside_mm: float
    registration: LocalRegistration

    @property
    def in_lesion(self) -> bool:
        """Whether the tip lies in the lesion."""
        return self.inside_mm > 0.0

    @property
    def correction(self) -> dict[str, Any]:
        """The way to correct: how to move the tip, and what that means for the needle."""
        move = np.asarray(self.planned_tip_lps_mm) - np.asarray(self.placed.tip_lps_mm)
        turn = self._turn_deg()
        return {
            "move_tip_lps_mm": point_document(_point(move)),
            "advance_mm": units.mm(-self.depth_mm),
            "sideways_mm": units.mm(self.lateral_mm),
            "redirect_deg": None if turn is None else units.deg(turn),
            "words": self._words(move, turn),
        }

    def _turn_deg(self) -> float | None:
        """How far the needle has to be turned about its own entry to point at the planned tip."""
        if self.placed.entry_lps_mm is None:
            return None
        entry = np.asarray(self.placed.entry_lps_mm)
        return _angle_deg(
            np.asarray(self.placed.tip_lps_mm) - entry, np.asarray(self.planned_tip_lps_mm) - entry
        )

    def _words(self, move: FloatArray, turn: float | None) -> str:
        if self.radial_mm < WORTH_MOVING_MM:
            return f"leave it: {units.mm(self.radial_mm)} mm from the planned tip"
        along = units.mm(abs(self.depth_mm))
        depth = f"advance by {along} mm" if self.depth_mm < 0 else f"withdraw by {along} mm"
        if self.lateral_mm < WORTH_MOVING_MM:
            return depth
        direction = self._direction()
        across = move - float(move @ direction) * direction
        towards = _towards(across)
        how = "" if turn is None else f" (turn by {units.deg(turn)}° about the entry)"
        last = "" if abs(self.depth_mm) < WORTH_MOVING_MM else f", then {depth} in all"
        return (
            f"withdraw to under the skin and aim the tip {units.mm(self.lateral_mm)} mm {towards}"
            f"{how}{last}"
        )

    def _direction(self) -> FloatArray:
        return unit(np.asarray(self.planned_tip_lps_mm) - np.asarray(self.planned_entry_lps_mm))

    def error_row(self, plan_id: str) -> dict[str, str]:
        """The needle's row in the file of the site's errors."""
        return {
            "plan_id": plan_id,
            "needle_id": self.placed.needle_id,
            "guidance": self.guidance,
            "radial_mm": str(units.mm(self.radial_mm)),
            "lateral_mm": str(units.mm(self.lateral_mm)),
            "depth_mm": str(units.mm(self.depth_mm)),
        }

    def document(self) -> dict[str, Any]:
        """The needle as it stands in ``irplan.compare/1``."""
        return {
            "needle_id": self.placed.needle_id,
            "lesion_id": self.lesion_id,
            "guidance": self.guidance,
            "planned_tip_lps_mm": point_document(self.planned_tip_lps_mm),
            "planned_entry_lps_mm": point_document(self.planned_entry_lps_mm),
            "placed_tip_lps_mm": point_document(self.placed.tip_lps_mm),
            "placed_entry_lps_mm": point_document(self.placed.entry_lps_mm),
            "radial_error_mm": units.mm(self.radial_mm),
            "lateral_error_mm": units.mm(self.lateral_mm),
            "depth_error_mm": units.mm(self.depth_mm),
            "angle_error_deg": None if self.angle_deg is None else units.deg(self.angle_deg),
            "in_lesion": self.in_lesion,
            "inside_border_mm": units.mm_down(self.inside_mm),
            "correction": self.correction,
            "registration": self.registration.document(),
        }


@dataclass(frozen=True)
class Comparison:
    """All needles that were given, and what the site's errors say so far."""

    plan_id: str
    whole: WholeRegistration
    needles: tuple[NeedleError, ...]
    site: tuple[dict[str, Any], ...]
    findings: tuple[Finding, ...]

    def document(self) -> dict[str, Any]:
        """``irplan.compare/1``."""
        body = {
            "plan_id": self.plan_id,
            "frame": "LPS mm of the control CT",
            "registration": self.whole.document(),
            "needles": [one.document() for one in self.needles],
            "site_errors": list(self.site),
        }
        return envelope("compare", body, self.findings)


def parse_tip(text: str) -> Placed:
    """``NEEDLE=X,Y,Z`` or ``NEEDLE=X,Y,Z,EX,EY,EZ``: tip and, where known, entry, LPS mm.

    Raises:
        CallError: it is not of that form, or both points are one.
    """
    name, sign, numbers = text.partition("=")
    parts = numbers.split(",")
    if not sign or not name.strip() or len(parts) not in (3, 6):
        raise CallError(
            "not_a_tip",
            f"--tip: '{text}' is not NEEDLE=X,Y,Z or NEEDLE=X,Y,Z,EX,EY,EZ",
            "give the tip, and where known the entry, in LPS mm of the control CT",
        )
    values = [float(parse_decimal(part, f"--tip {name}")) for part in parts]
    tip = (values[0], values[1], values[2])
    entry = (values[3], values[4], values[5]) if len(values) == 6 else None
    if entry == tip:
        raise CallError("not_a_tip", f"--tip {name}: entry and tip are the same point")
    return Placed(name.strip(), tip, entry)


def compare_plan(
    where: Path,
    control_path: Path,
    placed: Sequence[Placed],
    task: Task = SILENT,
    *,
    old_path: Path | None = None,
    series_uid: str | None = None,
    errors: Path | None = None,
    accepted: Mapping[str, str] | None = None,
) -> Comparison:
    """The needles of a plan against where they lie on a control CT.

    Args:
        where: plan.json or its folder.
        placed: the needles as they lie, LPS mm of the control CT.
        old_path: the CT that was planned on; where None, the path that the plan remembers.
        errors: CSV of the site's errors so far; this run's needles are added to it.
        accepted: stops that a person lifts, by code.

    Returns:
        The comparison; where the scans cannot be used together it has no needle, and a stop.

    Raises:
        CallError: no tip, a needle that the plan does not have, or one twice.
        InputRefused: the plan or a scan cannot be trusted, or a point lies outside the scan.
    """
    document, session = reopen_plan(where, old_scan(where, old_path), task)
    planned = planned_needles(document, placed)
    control = load_volume(control_path, series_uid, task.part("reading the control CT"))
    body = find_body(control, task.part("finding the patient's outline"))
    for one in placed:
        for point in (one.tip_lps_mm, one.entry_lps_mm):
            if point is not None and not bool(control.geometry.contains(point)):
                raise InputRefused(
                    "tip_outside_scan",
                    f"{one.needle_id}: {point} lies outside the control CT",
                    "give points in LPS mm of the control CT",
                )
    old = session.scan
    whole = register_whole(
        old.volume, old.body, control, body, task.part("laying the scans over each other")
    )
    findings = [*identity_findings(old.volume.identity, control.identity), *whole.findings]
    # What was found in either scan (loss, tilt, gaps) goes with every number made from them.
    findings = list(dict.fromkeys([*old.volume.findings, *control.findings, *findings]))
    findings = list(accept(findings, accepted or {}))
    plan_id = str(document["plan_id"])
    if forbidding(findings, Forbids.PLAN):
        return Comparison(plan_id, whole, (), (), tuple(findings))
    part = task.part("comparing the needles")
    registered: dict[str, LocalRegistration] = {}
    needles = []
    masks = {one.lesion_id: one.mask for one in session.state.lesions}
    for number, (one, needle) in enumerate(planned):
        part.step(number, len(planned))
        lesion_id = str(needle["lesion_ids"][0])
        mask = masks.get(lesion_id)
        if mask is None:
            raise InputRefused("lesion_without_image", f"{lesion_id} has no voxels in the plan")
        if lesion_id not in registered:
            registered[lesion_id] = register_lesion(
                lesion_id, surface_points_mm(mask), old.volume, old.body, control, body,
                whole.rigid, part,
            )  # fmt: skip
        needles.append(_error_of(one, needle, lesion_id, mask, registered[lesion_id]))
    findings += [finding for local in registered.values() for finding in local.findings]
    findings += [finding for one in needles for finding in _needle_findings(one)]
    given = {one.needle_id for one in placed}
    findings += [
        NOT_COMPARED(str(one["needle_id"]), needle=one["needle_id"])
        for one in document["needles"]
        if one["needle_id"] not in given
    ]
    site: tuple[dict[str, Any], ...] = ()
    if errors is not None:
        rows = with_errors(errors, [one.error_row(plan_id) for one in needles])
        site = site_errors(rows)
        findings += [
            SITE_ERRORS_FEW(guidance=one["guidance"], count=one["needles"], least=LEAST_NEEDLES)
            for one in site
            if one["sigma_mm"] is None
        ]
    return Comparison(plan_id, whole, tuple(needles), site, tuple(findings))


def planned_needles(
    document: Mapping[str, Any], placed: Sequence[Placed]
) -> list[tuple[Placed, Mapping[str, Any]]]:
    """Each placed needle with the planned one of its id.

    Raises:
        CallError: no needle is given, the plan does not have it, or it is given twice.
    """
    if not placed:
        raise CallError("no_tip", "no needle was given", "give --tip NEEDLE=X,Y,Z for each")
    known = {one["needle_id"]: one for one in document["needles"]}
    names = [one.needle_id for one in placed]
    for name in names:
        if name not in known:
            raise CallError(
                "no_such_needle",
                f"the plan has no needle {name}",
                "the needles are " + (", ".join(known) or "none"),
            )
        if names.count(name) > 1:
            raise CallError("needle_twice", f"needle {name} is given twice")
    return [(one, known[one.needle_id]) for one in placed]


def _error_of(
    placed: Placed,
    needle: Mapping[str, Any],
    lesion_id: str,
    mask: LesionMask,
    local: LocalRegistration,
) -> NeedleError:
    tip = local.map(np.array([float(value) for value in needle["tip_lps_mm"]]))
    entry = local.map(np.array([float(value) for value in needle["entry_lps_mm"]]))
    radial, lateral, depth, angle = errors_between(
        entry, tip, np.asarray(placed.tip_lps_mm), placed.entry_lps_mm
    )
    back = local.map.inverse_of(np.asarray(placed.tip_lps_mm))
    return NeedleError(
        placed,
        lesion_id,
        str(needle["guidance"]),
        _point(tip),
        _point(entry),
        radial,
        depth,
        lateral,
        angle,
        inside_mm(mask, back),
        local,
    )


def errors_between(
    entry: FloatArray, tip: FloatArray, placed_tip: FloatArray, placed_entry: PointLps | None
) -> tuple[float, float, float, float | None]:
    """Radial, lateral and depth error, mm, and the angle, degrees, of a placed needle.

    Args:
        entry, tip: the planned needle, LPS mm.
        placed_tip, placed_entry: the placed one in the same frame; the entry where known.
    """
    direction = unit(tip - entry)
    gap = placed_tip - tip
    depth = float(gap @ direction)
    lateral = float(np.linalg.norm(gap - depth * direction))
    angle = None
    if placed_entry is not None:
        angle = _angle_deg(direction, placed_tip - np.asarray(placed_entry))
    return float(np.linalg.norm(gap)), lateral, depth, angle


def inside_mm(mask: LesionMask, point_lps_mm: FloatArray) -> float:
    """How far a point lies inside the faces of the mask's voxels, mm; below zero outside."""
    spacing = mask.grid.spacing_mm
    index = mask.box_grid.to_index(point_lps_mm)
    room = np.ceil(np.maximum(np.maximum(-index, index - np.asarray(mask.box_grid.size) + 1), 0))
    pad = [(int(r) + 2, int(r) + 2) for r in room[::-1]]
    wide = np.pad(mask.voxels, pad)
    at = np.rint(index).astype(int)[::-1] + np.array([first for first, _ in pad])
    inside = bool(wide[tuple(at)])
    other = np.argwhere(wide != inside)[:, ::-1] - np.array([first for first, _ in pad[::-1]])
    # To the nearest face: the box of a voxel reaches half a step to either side of its centre.
    gaps = np.maximum(np.abs(other - index) - 0.5, 0.0) * np.asarray(spacing)
    nearest = float(np.linalg.norm(gaps, axis=1).min())
    return nearest if inside else -nearest


def _needle_findings(one: NeedleError) -> list[Finding]:
    name, error = one.placed.needle_id, one.registration.error_mm
    if error is not None and abs(one.inside_mm) < error:
        return [
            TIP_UNCERTAIN(
                name, needle=name, lesion=one.lesion_id, mm=units.mm(abs(one.inside_mm)),
                error_mm=units.mm_up(error),
            )
        ]  # fmt: skip
    if not one.in_lesion:
        away = units.mm(-one.inside_mm)
        return [TIP_OUTSIDE(name, needle=name, lesion=one.lesion_id, mm=away)]
    return []


def _angle_deg(first: FloatArray, second: FloatArray) -> float:
    a, b = unit(first), unit(second)
    return math.degrees(math.atan2(float(np.linalg.norm(np.cross(a, b))), float(a @ b)))


def _towards(across: FloatArray) -> str:
    """A direction in words of the patient: the parts that make up most of it."""
    names = (("right", "left"), ("front", "back"), ("feet", "head"))
    parts = []
    for value, (low, high) in sorted(
        zip(across, names, strict=True), key=lambda pair: -abs(pair[0])
    ):
        if abs(value) >= 0.35 * float(np.linalg.norm(across)):
            parts.append(high if value > 0 else low)
    return "towards the patient's " + " and ".join(parts)


def _point(values: FloatArray) -> PointLps:
    x, y, z = (float(value) for value in values)
    return x, y, z
