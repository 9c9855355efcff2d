"""The hard rules on ribs, capsule and skimmed lung for many candidates at once, compiled.

The same questions as in :mod:`.further`, asked before a candidate is measured in full. They say no
only where the full check says no; whatever passes is still checked there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import numpy.typing as npt

from irplan.geometry import BoolArray, FloatArray
from irplan.trajectory.constraints import Constraints, Strength
from irplan.trajectory.exact import nearest_by_label
from irplan.trajectory.margins import SKIM_LEAVE
from irplan.trajectory.passage import LEAST_RUN_MM, SURFACE_SIGMA_MM, runs, towards_organ
from irplan.trajectory.rib_kernels import worst_shares

if TYPE_CHECKING:
    from irplan.trajectory.scene import Scene
    from irplan.trajectory.search import Search

AnyArray = npt.NDArray[Any]


def hard_value(constraints: Constraints, name: str, guidance: str) -> float | None:
    """The value of a limit where it holds for the way of working and is hard, else None."""
    hard = constraints.limits[name].strength is Strength.HARD
    return constraints.value(name) if hard and constraints.applies(name, guidance) else None


def in_sterile_field(
    scene: Scene, constraints: Constraints, guidance: str, entries: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], int]:
    """The skin points that the sterile field allows, and how many it does not."""
    most = hard_value(constraints, "sterile_field_mm", guidance)
    if most is None or len(entries) == 0:
        return entries, 0
    points = scene.skin.points_lps_mm[entries]
    outside = scene.surroundings.outside_sterile_mm(points, constraints)
    if outside is None:
        return entries, 0
    kept = entries[outside <= most]
    return kept, len(entries) - len(kept)


def rules_kept(search: Search, a: FloatArray, b: FloatArray) -> BoolArray:
    """Whether segments (n, 3), mm in the crop's frame, keep the rules on ribs, capsule and lung."""
    kept = ribs_kept(search, a, b)
    kept[kept] = organs_kept(search, a[kept], b[kept])
    return kept


def ribs_kept(search: Search, a: FloatArray, b: FloatArray) -> BoolArray:
    """Whether segments pass between known ribs nowhere nearer to the upper one than allowed."""
    rules = search.rules
    most = hard_value(rules.constraints, "intercostal_percent", rules.guidance)
    if most is None:
        return np.ones(len(a), dtype=bool)
    # The same sum as the full check's.
    kept: BoolArray = 100.0 * rib_shares(search, a, b) <= most
    return kept


def rib_shares(search: Search, a: FloatArray, b: FloatArray) -> FloatArray:
    """The highest place between two known ribs of segments (n, 3), 0 at the lower one to 1."""
    ribs = search.scene.surroundings.ribs
    if not ribs.known or len(a) == 0:
        return np.zeros(len(a))
    spacing = np.asarray(search.crop.grid.spacing_mm)
    shift = np.asarray(search.crop.start) * spacing
    shares: FloatArray = worst_shares(
        ribs.cells,
        search.scene.anatomy.labels,
        ribs.kind,
        spacing,
        ribs.head_local,
        np.ascontiguousarray(a + shift),
        np.ascontiguousarray(b + shift),
    )
    return shares


def organs_kept(search: Search, a: FloatArray, b: FloatArray) -> BoolArray:
    """Whether segments keep the angle to the liver's capsule and the distance from lungs."""
    rules, margins = search.rules, search.margins
    least = hard_value(rules.constraints, "min_capsule_angle_deg", rules.guidance)
    sine = -1.0 if least is None else math.sin(math.radians(least))
    groups = {pair: number for number, pair in enumerate(dict.fromkeys(_pairs(search)))}
    group = np.array([groups[pair] for pair in _pairs(search)], dtype=np.int64)
    skims = bool((margins.skim_mm > 0).any())
    if len(a) == 0 or not (skims or (least is not None and margins.is_liver.any())):
        return np.ones(len(a), dtype=bool)
    kept: BoolArray = _organs_kept(
        search.crop.labels,
        np.asarray(search.crop.grid.spacing_mm),
        np.ascontiguousarray(a),
        np.ascontiguousarray(b),
        search.target.mask.voxels,
        search.lesion_start,
        margins.is_liver,
        # A hair less: the full check has the last word on what lies at the limit.
        sine - 1e-9,
        margins.skim_mm,
        margins.home,
        group,
        len(groups),
    )
    return kept


def _pairs(search: Search) -> list[tuple[str, str]]:
    """What every label is crossed together with."""
    return [search.margins.crossed_with(label) for label in range(len(search.margins.names))]


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _organs_kept(
    labels: AnyArray,
    spacing: AnyArray,
    a: AnyArray,
    b: AnyArray,
    lesion: AnyArray,
    lesion_start: AnyArray,
    is_liver: AnyArray,
    least_sine: float,
    skim: AnyArray,
    home: AnyArray,
    group: AnyArray,
    groups: int,
) -> AnyArray:
    kept = np.ones(a.shape[0], dtype=np.bool_)
    for n in numba.prange(a.shape[0]):
        codes, ends = runs(labels, spacing, a[n], b[n], lesion, lesion_start)
        depth = ends[codes.size]
        before = depth
        crossed = np.full(groups, np.inf)
        was_liver = True
        for number in range(codes.size):
            if codes[number] < 0:
                was_liver = False
                continue
            label = codes[number] // 2
            if skim[label] > 0.0:
                crossed[group[label]] = min(crossed[group[label]], ends[number])
            if codes[number] % 2 == 1:
                before = min(before, ends[number])
            goes_in = is_liver[label] and not was_liver
            was_liver = is_liver[label]
            if goes_in and least_sine > 0.0 and ends[number + 1] - ends[number] >= LEAST_RUN_MM:
                p = a[n] + (b[n] - a[n]) * (ends[number] / depth)
                normal = towards_organ(labels, is_liver, spacing, p, SURFACE_SIGMA_MM)
                size = np.sqrt(np.sum(normal * normal))
                along = abs(np.sum(normal * (b[n] - a[n]))) / depth
                if size > 0.0 and along < least_sine * size:
                    kept[n] = False
        if not kept[n]:
            continue
        reach = np.full(skim.size, -1.0)
        for label in range(1, skim.size):
            if skim[label] <= 0.0:
                continue
            leave = SKIM_LEAVE * skim[label]
            until = before - leave if home[label] and before < depth else before
            until = min(until, crossed[group[label]] - leave)
            if until <= 0.0:
                continue
            reach[:] = -1.0
            reach[label] = skim[label]
            end = a[n] + (b[n] - a[n]) * (until / depth)
            if nearest_by_label(labels, spacing, a[n], end, reach)[label] < skim[label]:
                kept[n] = False
                break
    return kept
