"""Why a path from a given skin point is or is not allowed."""

from __future__ import annotations

import numpy as np

from irplan.anatomy import Anatomy
from irplan.errors import InputRefused
from irplan.geometry import BoolArray, PointLps
from irplan.lesions.lesion import Lesion
from irplan.tasks import SILENT, Task
from irplan.trajectory.check import ConstraintCheck
from irplan.trajectory.constraints import Constraints
from irplan.trajectory.margins import margins_for
from irplan.trajectory.measure import check_path, measure_path
from irplan.trajectory.position import PatientPosition
from irplan.trajectory.propose import default_guidance
from irplan.trajectory.rules import Rules
from irplan.trajectory.shelf import NeedleShelf
from irplan.trajectory.skin import on_raster, skin_points
from irplan.trajectory.surroundings import Surroundings
from irplan.trajectory.target import find_target
from irplan.volume import CtVolume

#: An entry farther from the skin than this is not an entry, mm.
ENTRY_TOLERANCE_MM = 5.0


def explain_path(
    volume: CtVolume,
    body: BoolArray,
    anatomy: Anatomy,
    lesion: Lesion,
    entry_lps_mm: PointLps,
    shelf: NeedleShelf,
    constraints: Constraints,
    position: PatientPosition,
    guidance: str | None = None,
    tip_lps_mm: PointLps | None = None,
    task: Task = SILENT,
) -> tuple[ConstraintCheck, ...]:
    """Every hard limit held against the best path from ``entry_lps_mm`` to the lesion.

    Args:
        volume, body, anatomy: as for the proposal.
        lesion: measured, with voxels.
        entry_lps_mm: the entry, LPS mm; within 5 mm of the skin it is taken as given.
        guidance: 'ct', 'ultrasound' or 'palpation'; by the lesion's depth where None.
        tip_lps_mm: the tip; where None, the place in the lesion whose path fails the fewest
            limits, and of these the one that misses them by least.

    Returns:
        The checks, with value, limit and ok; the first tells how far the entry lies from the skin.

    Raises:
        InputRefused: the lesion has no voxels.
    """
    if lesion.mask is None:
        raise InputRefused(
            "lesion_without_image",
            f"{lesion.lesion_id} is known by its diameters only: no path leads to it on this scan",
            "segment it on the CT first",
        )
    way = guidance or default_guidance(lesion, constraints)
    rules = Rules(constraints, shelf, position, way)
    margins = margins_for(anatomy, lesion.mask, constraints, way)
    entry = _point(entry_lps_mm)
    on_skin = _skin_check(body, anatomy, entry, constraints)
    if tip_lps_mm is not None:
        tips = [_point(tip_lps_mm)]
    else:
        tips = [_point(row) for row in find_target(lesion, volume, constraints).points_lps_mm]
    surroundings = Surroundings(anatomy, body)
    best: tuple[tuple[int, float], tuple[ConstraintCheck, ...]] | None = None
    for number, tip in enumerate(tips):
        task.step(number, len(tips))
        if tip == entry:
            continue
        measure = measure_path(
            anatomy, body, lesion.mask, margins, rules, entry, tip, surroundings=surroundings
        )
        checks = check_path(measure, margins, rules)
        failed = [check for check in checks if check.forbids]
        score = (len(failed), sum(check.missed_share for check in failed))
        if best is None or score < best[0]:
            best = score, checks
    return (on_skin, *(best[1] if best else ()))


def _point(values: object) -> PointLps:
    x, y, z = (float(value) for value in on_raster(np.asarray(values, dtype=float)))
    return x, y, z


def _skin_check(
    body: BoolArray, anatomy: Anatomy, entry: PointLps, constraints: Constraints
) -> ConstraintCheck:
    """How far the entry lies from the nearest skin point of the search."""
    near = skin_points(
        body, anatomy.grid, constraints.value("skin_raster_mm"), np.asarray([entry]), 30.0
    )
    gap = (
        float(np.linalg.norm(near.points_lps_mm - np.asarray(entry), axis=1).min())
        if len(near)
        else 30.0
    )
    return ConstraintCheck(
        "entry_on_skin",
        gap,
        ENTRY_TOLERANCE_MM,
        True,
        gap <= ENTRY_TOLERANCE_MM,
        "mm",
        "distance of the entry from the skin",
    )
