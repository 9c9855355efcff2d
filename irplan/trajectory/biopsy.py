"""The biopsy of a lesion before it is injected: along the track of its first pass.

The biopsy needle goes through the same skin hole and along the same axis as the injection that
follows. Its notch is thrown beyond the tip, so the whole length to the end of the throw is held
against every hard limit, and is placed where as much of the throw as possible lies in the solid
part of the lesion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from irplan import units
from irplan.documents import point_document
from irplan.findings import Finding, Severity, declare
from irplan.geometry import PointLps
from irplan.trajectory.jobs import Found
from irplan.trajectory.measure import allowed, check_path, measure_path
from irplan.trajectory.skin import on_raster
from irplan.trajectory.target import Target

#: Step at which the end of the throw is moved along the axis, mm.
STEP_MM = 1.0
#: Ends tried, those with the most solid tumour in the throw first.
TRIED = 12

BIOPSY_FIRST = declare(
    "biopsy_before_injection",
    Severity.INFO,
    "trajectory",
    "{lesion}: the biopsy is taken along the track of {needle} before the lesion is injected",
)
NO_SAFE_BIOPSY = declare(
    "no_safe_biopsy",
    Severity.WARN,
    "trajectory",
    "{lesion}: no throw of {mm} mm along the track of {needle} keeps every limit; a biopsy is due, "
    "and its way is left to the physician",
)


@dataclass(frozen=True)
class Biopsy:
    """One biopsy pass.

    Attributes:
        biopsy_id: such as 'B1'.
        lesion_id: the lesion; it is injected afterwards.
        before: the needle whose track it takes, and before which it is done.
        entry_lps_mm, tip_lps_mm, end_lps_mm: skin, tip before the throw, end of the throw.
        throw_mm: length of the throw.
        depth_mm: from skin to the end of the throw.
        in_lesion_mm: how much of the throw lies in the solid part of the lesion.
    """

    biopsy_id: str
    lesion_id: str
    before: str
    entry_id: str
    entry_lps_mm: PointLps
    tip_lps_mm: PointLps
    end_lps_mm: PointLps
    throw_mm: float
    depth_mm: float
    in_lesion_mm: float

    def document(self) -> dict[str, Any]:
        """The biopsy as it stands in the plan."""
        return {
            "biopsy_id": self.biopsy_id,
            "lesion_id": self.lesion_id,
            "before": self.before,
            "entry_id": self.entry_id,
            "entry_lps_mm": point_document(self.entry_lps_mm),
            "tip_lps_mm": point_document(self.tip_lps_mm),
            "end_lps_mm": point_document(self.end_lps_mm),
            "throw_mm": units.mm(self.throw_mm),
            "depth_mm": units.mm(self.depth_mm),
            "in_lesion_mm": units.mm_down(self.in_lesion_mm),
        }


def biopsy_of(
    found: Found, target: Target, before: str, entry_id: str, number: int
) -> tuple[Biopsy | None, Finding]:
    """The biopsy of a lesion along the pass that injects it first, or why there is none.

    Args:
        found: that pass; ``target`` the lesion, which lies on its track.
        before: id of its needle.
        number: of the biopsy in the plan.
    """
    lesion_id = target.lesion_id
    throw = found.search.rules.constraints.value("biopsy_throw_mm")
    entry = np.asarray(found.path.measure.entry_lps_mm)
    tip = np.asarray(found.path.measure.tip_lps_mm)
    depth = float(np.linalg.norm(tip - entry))
    direction = (tip - entry) / depth
    ends = np.arange(throw, depth + throw + STEP_MM, STEP_MM)
    worth = [_solid_mm(target, entry, direction, float(end), throw) for end in ends]
    order = sorted(range(len(ends)), key=lambda one: (-worth[one], ends[one]))
    for one in order[:TRIED]:
        if worth[one] <= 0.0:
            break
        x, y, z = (float(part) for part in on_raster(entry + ends[one] * direction))
        if _keeps_limits(found, (x, y, z)):
            start = on_raster(entry + (ends[one] - throw) * direction)
            u, v, w = (float(part) for part in start)
            biopsy = Biopsy(
                f"B{number}", lesion_id, before, entry_id, found.path.measure.entry_lps_mm,
                (u, v, w), (x, y, z), throw, math.dist(entry, (x, y, z)), worth[one],
            )  # fmt: skip
            return biopsy, BIOPSY_FIRST(lesion_id, lesion=lesion_id, needle=before)
    return None, NO_SAFE_BIOPSY(lesion_id, lesion=lesion_id, needle=before, mm=f"{throw:g}")


def _solid_mm(
    target: Target, entry: np.ndarray[Any, Any], direction: np.ndarray[Any, Any], end: float,
    throw: float,
) -> float:  # fmt: skip
    """How much of a throw that ends at a depth lies in the solid part, mm."""
    depths = np.arange(end - throw + 0.25, end, 0.5)
    index = np.rint(target.grid.to_index(entry + depths[:, None] * direction)).astype(int)
    within = np.all((index >= 0) & (index < np.asarray(target.grid.size)), axis=1)
    i, j, k = index[within].T
    return 0.5 * float(np.count_nonzero(target.solid[k, j, i]))


def _keeps_limits(found: Found, end: PointLps) -> bool:
    """Whether the axis from the skin to the end of the throw keeps every hard limit."""
    search, scene = found.search, found.search.scene
    measure = measure_path(
        scene.anatomy, scene.body, search.target.mask, search.margins, search.rules,
        found.path.measure.entry_lps_mm, end, scene.support, search.skin.inward[found.path.entry],
        float(search.margins.wanted_mm.max(initial=0.0)), surroundings=scene.surroundings,
    )  # fmt: skip
    return allowed(check_path(measure, search.margins, search.rules))
