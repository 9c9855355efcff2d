"""What a path passes through, piece by piece, and at which angle it meets an organ's surface.

Everything here works in the grid's own frame in mm, as :mod:`.exact` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from irplan.geometry import BoolArray, FloatArray
from irplan.trajectory.margins import Margins
from irplan.trajectory.stepping import holds, next_face, start_walk, step_over

AnyArray = npt.NDArray[Any]

#: The surface of an organ is taken from its voxels weighted by a normal of this sigma, mm: wider
#: than a voxel's steps, narrower than an organ.
SURFACE_SIGMA_MM = 4.0
#: An organ's surface counts as crossed where the organ goes on for at least this, mm.
LEAST_RUN_MM = 1.0


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def runs(
    labels: AnyArray,
    spacing: AnyArray,
    a: AnyArray,
    b: AnyArray,
    lesion: AnyArray,
    lesion_start: AnyArray,
) -> tuple[AnyArray, AnyArray]:
    """The pieces of the segment a-b (local mm): codes (n,) and ends (n + 1,) in mm from a.

    A code is 2 × label, and one more inside the lesion's voxels (box (z, y, x) from the voxel
    ``lesion_start`` (i, j, k)); -2 outside the grid. Neighbouring pieces differ in their code.
    """
    total = np.sqrt((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2 + (b[2] - a[2]) ** 2)
    state, index = start_walk(a, b, spacing)
    most = 4
    for axis in range(3):
        most += int(abs(b[axis] - a[axis]) / spacing[axis]) + 2
    codes = np.empty(most, dtype=np.int64)
    ends = np.zeros(most + 1)
    count = 0
    t = 0.0
    while t < 1.0:
        axis = next_face(state)
        t_after = min(1.0, state[0, axis])
        if t_after > t:
            code = -2
            i, j, k = index[0], index[1], index[2]
            if holds(labels, i, j, k):
                code = 2 * int(labels[k, j, i])
                i, j, k = i - lesion_start[0], j - lesion_start[1], k - lesion_start[2]
                if holds(lesion, i, j, k) and lesion[k, j, i]:
                    code += 1
            if count == 0 or codes[count - 1] != code:
                codes[count] = code
                count += 1
            ends[count] = t_after * total
            t = t_after
        step_over(state, index, axis)
    return codes[:count], ends[: count + 1]


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def towards_organ(
    labels: AnyArray, member: AnyArray, spacing: AnyArray, p: AnyArray, sigma: float
) -> AnyArray:
    """Vector from a point (local mm) towards the organ around it; zero where there is none.

    The sum of w(r) · (x - p) over the voxels x of the organ, w a normal of ``sigma`` cut at three
    of them: the inward normal of a flat surface. ``member``: whether a label is the organ.
    """
    depth, height, width = labels.shape
    reach = 3.0 * sigma
    total = np.zeros(3)
    k0, k1 = int(np.floor((p[2] - reach) / spacing[2])), int(np.floor((p[2] + reach) / spacing[2]))
    j0, j1 = int(np.floor((p[1] - reach) / spacing[1])), int(np.floor((p[1] + reach) / spacing[1]))
    i0, i1 = int(np.floor((p[0] - reach) / spacing[0])), int(np.floor((p[0] + reach) / spacing[0]))
    for k in range(max(k0, 0), min(k1, depth - 1) + 1):
        z = (k + 0.5) * spacing[2] - p[2]
        for j in range(max(j0, 0), min(j1, height - 1) + 1):
            y = (j + 0.5) * spacing[1] - p[1]
            for i in range(max(i0, 0), min(i1, width - 1) + 1):
                if not member[labels[k, j, i]]:
                    continue
                x = (i + 0.5) * spacing[0] - p[0]
                squared = x * x + y * y + z * z
                if squared > reach * reach:
                    continue
                weight = np.exp(-0.5 * squared / (sigma * sigma))
                total[0] += weight * x
                total[1] += weight * y
                total[2] += weight * z
    return total


@dataclass(frozen=True)
class Passage:
    """What a path passes on its way, beyond the lengths in each structure.

    Attributes:
        capsule_angle_deg: least angle between the path and the tangent of the liver's surface
            where it goes into the liver; None where it does not.
        pleura_angle_deg: the same for the surface of the lung, going in.
        lobe_crossings: times that it passes from one lobe of a lung to another.
        lobes_known: whether every piece of lung that it crosses names its lobe.
        parenchyma_mm: liver crossed before the lesion; None where it never meets the lesion.
        lesion_at_mm: where it first meets the lesion, mm from the skin; None where never.
        first_mm: what is crossed together (see :meth:`.Margins.crossed_with`) → where it is first
            met, mm from the skin; of what has a distance to be kept off it.
    """

    capsule_angle_deg: float | None
    pleura_angle_deg: float | None
    lobe_crossings: int
    lobes_known: bool
    parenchyma_mm: float | None
    lesion_at_mm: float | None
    first_mm: Mapping[tuple[str, str], float]


def passage_of(
    labels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    spacing_mm: FloatArray,
    a: FloatArray,
    b: FloatArray,
    lesion: BoolArray,
    lesion_start: npt.NDArray[np.int64],
    margins: Margins,
) -> Passage:
    """The passage of the segment a-b (local mm of the labels' grid)."""
    codes, ends = runs(labels, spacing_mm, a, b, lesion, lesion_start)
    label = np.maximum(codes, 0) // 2
    in_lesion = (codes >= 0) & (codes % 2 == 1)
    known = codes >= 0
    lung, liver = known & margins.is_lung[label], known & margins.is_liver[label]
    length = np.diff(ends)
    first = int(np.argmax(in_lesion)) if in_lesion.any() else None
    lobes = [margins.names[one] for one, flag in zip(label, lung, strict=True) if flag]
    first_mm: dict[tuple[str, str], float] = {}
    for number in np.flatnonzero(known & (margins.skim_mm[label] > 0.0)):
        first_mm.setdefault(margins.crossed_with(int(label[number])), float(ends[number]))
    named = [name for name in lobes if "lobe" in name]
    return Passage(
        capsule_angle_deg=_angle(labels, spacing_mm, margins.is_liver, a, b, codes, ends),
        pleura_angle_deg=_angle(labels, spacing_mm, margins.is_lung, a, b, codes, ends),
        lobe_crossings=sum(one != two for one, two in pairwise(named)),
        lobes_known=len(named) == len(lobes),
        parenchyma_mm=None if first is None else float(length[:first][liver[:first]].sum()),
        lesion_at_mm=None if first is None else float(ends[first]),
        first_mm=first_mm,
    )


def _angle(
    labels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    spacing_mm: FloatArray,
    member: BoolArray,
    a: FloatArray,
    b: FloatArray,
    codes: npt.NDArray[np.int64],
    ends: FloatArray,
) -> float | None:
    """Least angle to the tangent, degrees, of the places where the path goes into an organ."""
    sine = float(_least_sine(labels, spacing_mm, member, a, b, codes, ends))
    return None if math.isnan(sine) else math.degrees(math.asin(min(1.0, sine)))


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _least_sine(
    labels: AnyArray,
    spacing: AnyArray,
    member: AnyArray,
    a: AnyArray,
    b: AnyArray,
    codes: AnyArray,
    ends: AnyArray,
) -> float:
    """Sine of that angle; not a number where the path goes into none."""
    least = np.nan
    depth = np.sqrt(np.sum((b - a) * (b - a)))
    before = True
    for number in range(codes.size):
        inside = codes[number] >= 0 and member[codes[number] // 2]
        goes_in = inside and not before
        before = inside
        if not goes_in or ends[number + 1] - ends[number] < LEAST_RUN_MM:
            continue
        direction = (b - a) / depth
        p = a + ends[number] * direction
        normal = towards_organ(labels, member, spacing, p, SURFACE_SIGMA_MM)
        size = np.sqrt(np.sum(normal * normal))
        if size == 0.0:
            continue
        sine = abs(np.sum(direction * normal)) / size
        if not least <= sine:
            least = sine
    return least
