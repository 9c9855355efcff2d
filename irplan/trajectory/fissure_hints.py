"""Where a path through lung may cross a fissure: a hint for the eye, never a statement.

A fissure shows as a faint bright sheet, often only a few HU above noisy lung, so it is looked for
only where a path goes through, and with much averaging: on a ring around a point of the path, in
every plane through it, the lung in the plane is compared with the lung on both sides of it, sector
by sector. A vessel is bright in two sectors of such a ring, a sheet in all of them; and a sheet
goes on beside the point, which noise does not.

No hint means nothing: fissures are often incomplete and thick slices hide them. What it finds and
how often it is wrong is measured by ``benchmarks/fissures.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from irplan import units
from irplan.anatomy import Anatomy
from irplan.findings import Severity, declare
from irplan.geometry import BoolArray, GridGeometry, PointLps
from irplan.trajectory.constraints import Constraints
from irplan.trajectory.exact import local_mm
from irplan.trajectory.needle import Needle
from irplan.volume import CtVolume

AnyArray = npt.NDArray[Any]

MAY_CROSS = declare(
    "may_cross_fissure",
    Severity.INFO,
    "trajectory",
    "needle {needle} may cross a fissure of the lung {mm} mm from the skin: something like a sheet "
    "shows there; look at it on the images",
)
#: The rule that hints serve where the anatomy does not tell.
RULE = "max_fissure_crossings"

#: The ring lies between these radii around the point, mm: vessels at the point itself are left
#: out, and a fissure bends little within it.
RING_MM = (3.0, 10.0)
#: Samples of the ring are so far apart, mm.
SAMPLE_MM = 1.6
SECTORS = 8
#: Lung so far beside the plane is compared with the lung in it, mm: a fissure that leans blurs over
#: the thickness of a slice.
BESIDE_MM = 6.0
#: Planes that are tried, their normals spread evenly over half a sphere.
PLANES = 120
#: The sheet is to go on so far beside the point, in a plane tilted at most so much.
GOES_ON_MM = 8.0
TILT_DEG = 25.0
#: A sheet is brighter than both its sides by so much, HU, at the point and where it goes on.
LEAST_HU = 8.0
#: What is denser than the lung's median by this is vessel, wall or lesion, HU.
DENSER_HU = 130.0
#: The path is looked at every so many mm; hints nearer to each other than the second are one.
STEP_MM = 1.0
ONE_HINT_MM = 6.0
#: The border of the lung is a sheet too: the path is looked at so far inside it, mm.
BORDER_MM = 4.0


def with_fissure_hints(
    needles: Iterable[Needle], volume: CtVolume, anatomy: Anatomy, constraints: Constraints
) -> tuple[Needle, ...]:
    """The needles; those that may cross a fissure which the anatomy does not know, with a finding.

    The rule stays unknown for them: a hint is no measurement, and none is no all-clear.
    """
    # By the rule that holds for it, as for the crossings: airways are named after the lung too.
    lung = np.zeros(max((one.label for one in anatomy.structures), default=0) + 1, dtype=bool)
    for one in anatomy.structures:
        lung[one.label] = constraints.rule_for(one.name).name == "lung"

    def told(needle: Needle) -> Needle:
        if RULE not in needle.unknown_constraints:
            return needle
        found = fissure_hints_mm(
            volume.hu, anatomy.labels, lung, anatomy.grid, needle.entry_lps_mm, needle.tip_lps_mm
        )
        if not found:
            return needle
        depths = " and ".join(str(units.mm(depth)) for depth in found)
        hint = MAY_CROSS(needle.needle_id, needle=needle.needle_id, mm=depths)
        return replace(needle, findings=(*needle.findings, hint))

    return tuple(told(needle) for needle in needles)


def fissure_hints_mm(
    hu: npt.NDArray[np.int16],
    labels: AnyArray,
    is_lung: BoolArray,
    grid: GridGeometry,
    entry: PointLps,
    tip: PointLps,
) -> tuple[float, ...]:
    """Depths along a path, mm from the skin, at which it seems to go through a sheet in the lung.

    Args:
        hu: (z, y, x) on ``grid``.
        labels, is_lung: (z, y, x) on ``grid``, and whether each label is lung.
        entry, tip: ends of the path, LPS mm.
    """
    a, b = local_mm(np.asarray([entry, tip], dtype=float), grid)
    length = float(np.linalg.norm(b - a))
    depths = np.arange(STEP_MM, length, STEP_MM)
    points = a + (b - a) * (depths / length)[:, None]
    inside = _well_inside(_in_lung(labels, is_lung, points, grid))
    if not inside.any():
        return ()
    spacing = np.asarray(grid.spacing_mm)
    reach = RING_MM[1] + GOES_ON_MM + BESIDE_MM + 2.0
    low = np.maximum(np.floor((points[inside].min(axis=0) - reach) / spacing).astype(int), 0)
    high = np.ceil((points[inside].max(axis=0) + reach) / spacing).astype(int) + 1
    box = tuple(slice(low[axis], high[axis]) for axis in (2, 1, 0))
    level = float(np.median(hu[box][is_lung[labels[box]]]))
    crop = np.clip(hu[box].astype(np.float32), None, level + DENSER_HU)
    scores = sheet_scores(crop, spacing, points[inside] - low * spacing)
    i, j, k = np.floor(points[inside] / spacing).astype(int).T
    # Inside a vessel there is no fissure.
    scores[hu[k, j, i] > level + DENSER_HU] = 0.0
    return _peaks(depths[inside], scores)


def sheet_scores(crop: AnyArray, spacing: AnyArray, points: AnyArray) -> AnyArray:
    """By how many HU a sheet through each point stands out, (n,); zero and below: none.

    Args:
        crop: (z, y, x) float32 HU.
        spacing: (x, y, z) mm.
        points: (n, 3) as (x, y, z) mm from the outer corner of the first voxel.
    """
    scores: AnyArray = _sheet_scores(crop, spacing, np.ascontiguousarray(points), *_rings())
    return scores


def _in_lung(
    labels: AnyArray, is_lung: BoolArray, points: AnyArray, grid: GridGeometry
) -> BoolArray:
    """Whether points (n, 3), local mm, lie in lung; outside the scan they do not."""
    index = np.floor(points / np.asarray(grid.spacing_mm)).astype(int)
    held = ((index >= 0) & (index < np.asarray(grid.size))).all(axis=1)
    found = np.zeros(len(points), dtype=bool)
    i, j, k = index[held].T
    found[held] = is_lung[labels[k, j, i]]
    return found


def _well_inside(in_lung: BoolArray) -> BoolArray:
    """Steps in lung that are not near a step outside it."""
    away = round(BORDER_MM / STEP_MM)
    outside = np.convolve(~in_lung, np.ones(2 * away + 1), mode="same") > 0.5
    return np.asarray(in_lung & ~outside)


def _peaks(depths: AnyArray, scores: AnyArray) -> tuple[float, ...]:
    """The depths of the highest scores, none nearer to a higher one than one hint is wide."""
    found: list[float] = []
    for number in np.argsort(-scores, kind="stable"):
        if scores[number] < LEAST_HU:
            break
        if all(abs(depths[number] - other) >= ONE_HINT_MM for other in found):
            found.append(float(depths[number]))
    return tuple(sorted(found))


@lru_cache(maxsize=1)
def _rings() -> tuple[AnyArray, AnyArray, AnyArray, AnyArray, AnyArray]:
    """Normals of the planes, two axes in each, samples of the ring (m, 2) and their sectors."""
    number = np.arange(PLANES) + 0.5
    # A spiral over half a sphere, equally dense everywhere: the golden angle from turn to turn.
    down = np.arccos(1.0 - number / PLANES)
    turn = math.pi * (1.0 + math.sqrt(5.0)) * number
    normals = np.stack(
        [np.sin(down) * np.cos(turn), np.sin(down) * np.sin(turn), np.cos(down)], axis=1
    )
    steep = np.abs(normals[:, :1]) < 0.9
    first = np.cross(normals, np.where(steep, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]))
    first /= np.linalg.norm(first, axis=1)[:, None]
    second = np.cross(normals, first)
    line = np.arange(-RING_MM[1], RING_MM[1] + 1e-6, SAMPLE_MM)
    u, v = (axis.ravel() for axis in np.meshgrid(line, line))
    radius = np.hypot(u, v)
    ring = (radius >= RING_MM[0]) & (radius <= RING_MM[1])
    samples = np.stack([u[ring], v[ring]], axis=1)
    turned = (np.arctan2(samples[:, 1], samples[:, 0]) + math.pi) / (2.0 * math.pi)
    return normals, first, second, samples, (turned * SECTORS).astype(np.int64) % SECTORS


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _sample(crop: AnyArray, x: float, y: float, z: float) -> float:
    """Linear between voxel centres; indices (fractional) from the first centre; NaN outside."""
    i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    if i < 0 or j < 0 or k < 0:
        return np.nan
    if i + 1 >= crop.shape[2] or j + 1 >= crop.shape[1] or k + 1 >= crop.shape[0]:
        return np.nan
    fx, fy, fz = x - i, y - j, z - k
    low = (1 - fy) * ((1 - fx) * crop[k, j, i] + fx * crop[k, j, i + 1]) + fy * (
        (1 - fx) * crop[k, j + 1, i] + fx * crop[k, j + 1, i + 1]
    )
    high = (1 - fy) * ((1 - fx) * crop[k + 1, j, i] + fx * crop[k + 1, j, i + 1]) + fy * (
        (1 - fx) * crop[k + 1, j + 1, i] + fx * crop[k + 1, j + 1, i + 1]
    )
    value: float = (1 - fz) * low + fz * high
    return value


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _plane_score(
    crop: AnyArray,
    spacing: AnyArray,
    point: AnyArray,
    normal: AnyArray,
    first: AnyArray,
    second: AnyArray,
    samples: AnyArray,
    sectors: AnyArray,
) -> float:
    """By how much the ring in a plane is brighter than beside it, in the second worst sector."""
    sums = np.zeros((3, SECTORS))
    counts = np.zeros(SECTORS)
    for number in range(samples.shape[0]):
        u, v, sector = samples[number, 0], samples[number, 1], sectors[number]
        counts[sector] += 1.0
        for side in range(3):
            off = (side - 1) * BESIDE_MM
            x = point[0] + first[0] * u + second[0] * v + normal[0] * off
            y = point[1] + first[1] * u + second[1] * v + normal[1] * off
            z = point[2] + first[2] * u + second[2] * v + normal[2] * off
            sums[side, sector] += _sample(
                crop, x / spacing[0] - 0.5, y / spacing[1] - 0.5, z / spacing[2] - 0.5
            )
    worst, second_worst = np.inf, np.inf
    for sector in range(SECTORS):
        beside = max(sums[0, sector], sums[2, sector])
        value = (sums[1, sector] - beside) / counts[sector]
        if np.isnan(value):
            # Outside the scan.
            return -np.inf
        if value < worst:
            worst, second_worst = value, worst
        elif value < second_worst:
            second_worst = value
    return second_worst


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _sheet_scores(
    crop: AnyArray,
    spacing: AnyArray,
    points: AnyArray,
    normals: AnyArray,
    first: AnyArray,
    second: AnyArray,
    samples: AnyArray,
    sectors: AnyArray,
) -> AnyArray:
    """See :func:`sheet_scores`; the axes of every plane beside it."""
    scores = np.zeros(points.shape[0])
    turned = np.cos(np.radians(TILT_DEG))
    for number in numba.prange(points.shape[0]):
        best, plane = 0.0, -1
        for other in range(normals.shape[0]):
            score = _plane_score(
                crop, spacing, points[number], normals[other], first[other], second[other],
                samples, sectors,
            )  # fmt: skip
            if score > best:
                best, plane = score, other
        if best < LEAST_HU:
            scores[number] = best
            continue
        around = np.zeros(6)
        for turn in range(6):
            angle = np.pi / 3.0 * turn
            middle = points[number] + GOES_ON_MM * (
                np.cos(angle) * first[plane] + np.sin(angle) * second[plane]
            )
            for other in range(normals.shape[0]):
                if abs(np.dot(normals[other], normals[plane])) < turned:
                    continue
                for off in range(-2, 3):
                    score = _plane_score(
                        crop, spacing, middle + off * normals[plane], normals[other],
                        first[other], second[other], samples, sectors,
                    )  # fmt: skip
                    around[turn] = max(around[turn], score)
        around.sort()
        # Two of the six may lie beyond the end of the sheet.
        scores[number] = min(best, around[2])
    return scores
