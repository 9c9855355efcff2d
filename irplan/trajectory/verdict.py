"""The exact verdict on many candidates at once, compiled: margins, body outline, pleura.

Only the parts of a path that the clearance field leaves in doubt are held against voxels; the rest
keeps every margin for certain.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from irplan.trajectory.exact import segment_box_squared, walk
from irplan.trajectory.kernels import DENSE_STEP_MM

AnyArray = npt.NDArray[Any]

#: More than what the field's numbers are rounded by, mm.
_HAIR_MM = 1e-4


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def is_clear(
    labels: AnyArray,
    spacing: AnyArray,
    margin: AnyArray,
    reach: AnyArray,
    cell: AnyArray,
    factors: AnyArray,
    far: float,
    a: AnyArray,
    b: AnyArray,
) -> bool:
    """Whether every obstacle voxel's box lies at least its margin from the segment a-b.

    ``margin`` (labels + 1,): below 0 where a label is no obstacle. An obstacle that the segment
    touches is too near whatever its margin. ``reach``, ``cell``, ``factors``: of the field; cells
    that hold no obstacle, or only such that lie farther than their margins, are passed over.
    ``far``: obstacles with a larger margin are known to keep it.
    """
    vx, vy, vz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vv = vx * vx + vy * vy + vz * vz
    cx, cy, cz = cell[0], cell[1], cell[2]
    half = 0.5 * np.sqrt(cx * cx + cy * cy + cz * cz)
    far += _HAIR_MM
    depth, height, width = reach.shape
    k0 = max(0, int(np.floor((min(a[2], b[2]) - far) / cz)))
    k1 = min(depth - 1, int(np.floor((max(a[2], b[2]) + far) / cz)))
    for k in range(k0, k1 + 1):
        t0, t1 = 0.0, 1.0
        if vz != 0.0:
            u0, u1 = (k * cz - far - a[2]) / vz, ((k + 1) * cz + far - a[2]) / vz
            t0, t1 = max(0.0, min(u0, u1)), min(1.0, max(u0, u1))
            if t0 > t1:
                continue
        y0, y1 = a[1] + t0 * vy, a[1] + t1 * vy
        j0 = max(0, int(np.floor((min(y0, y1) - far) / cy)))
        j1 = min(height - 1, int(np.floor((max(y0, y1) + far) / cy)))
        for j in range(j0, j1 + 1):
            s0, s1 = t0, t1
            if vy != 0.0:
                u0, u1 = (j * cy - far - a[1]) / vy, ((j + 1) * cy + far - a[1]) / vy
                s0, s1 = max(s0, min(u0, u1)), min(s1, max(u0, u1))
                if s0 > s1:
                    continue
            x0, x1 = a[0] + s0 * vx, a[0] + s1 * vx
            i0 = max(0, int(np.floor((min(x0, x1) - far) / cx)))
            i1 = min(width - 1, int(np.floor((max(x0, x1) + far) / cx)))
            for i in range(i0, i1 + 1):
                most = reach[k, j, i]
                if most < 0.0:
                    continue
                wx, wy, wz = (i + 0.5) * cx - a[0], (j + 0.5) * cy - a[1], (k + 0.5) * cz - a[2]
                t = 0.0
                if vv > 0.0:
                    t = min(max((wx * vx + wy * vy + wz * vz) / vv, 0.0), 1.0)
                wx, wy, wz = wx - t * vx, wy - t * vy, wz - t * vz
                squared = wx * wx + wy * wy + wz * wz
                bound = most + half + _HAIR_MM
                if squared > bound * bound:
                    continue
                # Somewhere in the cell lies a voxel with this margin.
                bound = most - half - _HAIR_MM
                if bound > 0.0 and squared < bound * bound:
                    return False
                if not _cell_is_clear(labels, spacing, margin, factors, i, j, k, a, b):
                    return False
    return True


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _cell_is_clear(
    labels: AnyArray,
    spacing: AnyArray,
    margin: AnyArray,
    factors: AnyArray,
    column: int,
    row: int,
    layer: int,
    a: AnyArray,
    b: AnyArray,
) -> bool:
    """:func:`is_clear` for the voxels of one cell."""
    sx, sy, sz = spacing[0], spacing[1], spacing[2]
    half = 0.5 * np.sqrt(sx * sx + sy * sy + sz * sz)
    vx, vy, vz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vv = vx * vx + vy * vy + vz * vz
    depth, height, width = labels.shape
    for k in range(layer * factors[0], min((layer + 1) * factors[0], depth)):
        for j in range(row * factors[1], min((row + 1) * factors[1], height)):
            for i in range(column * factors[2], min((column + 1) * factors[2], width)):
                least = margin[labels[k, j, i]]
                if least < 0.0:
                    continue
                wx, wy, wz = (
                    (i + 0.5) * sx - a[0],
                    (j + 0.5) * sy - a[1],
                    (k + 0.5) * sz - a[2],
                )
                t = 0.0
                if vv > 0.0:
                    t = min(max((wx * vx + wy * vy + wz * vz) / vv, 0.0), 1.0)
                wx, wy, wz = wx - t * vx, wy - t * vy, wz - t * vz
                bound = least + half + 1e-6
                if wx * wx + wy * wy + wz * wz > bound * bound:
                    continue
                squared = segment_box_squared(
                    a[0], a[1], a[2], b[0], b[1], b[2],
                    i * sx, j * sy, k * sz, (i + 1) * sx, (j + 1) * sy, (k + 1) * sz,
                )  # fmt: skip
                if squared < least * least or squared == 0.0:
                    return False
    return True


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def all_clear(
    labels: AnyArray,
    spacing: AnyArray,
    margin: AnyArray,
    a: AnyArray,
    b: AnyArray,
    slack: AnyArray,
    reach: AnyArray,
    near: AnyArray,
    cell: AnyArray,
    factors: AnyArray,
    doubt: float,
) -> AnyArray:
    """:func:`is_clear` of many segments, (n,) bool.

    ``slack``, ``reach``, ``near``, ``cell``, ``factors``, ``doubt``: the field.
    """
    clear = np.ones(a.shape[0], dtype=np.bool_)
    nz, ny, nx = slack.shape
    far = 0.0
    for label in range(margin.size):
        far = max(far, margin[label])
    for n in numba.prange(a.shape[0]):
        v = b[n] - a[n]
        depth = np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
        # The part in doubt that is not tested yet; parts near each other are one.
        s, start, end, most = 0.0, -1.0, -1.0, 0.0
        while True:
            share = s / depth if depth > 0.0 else 0.0
            i = min(max(int((a[n, 0] + share * v[0]) / cell[0]), 0), nx - 1)
            j = min(max(int((a[n, 1] + share * v[1]) / cell[1]), 0), ny - 1)
            k = min(max(int((a[n, 2] + share * v[2]) / cell[2]), 0), nz - 1)
            free = slack[k, j, i] - doubt
            last = s >= depth
            if free <= 0.0:
                if start < 0.0:
                    # The sample before is clear for half a step only.
                    start = max(0.0, s - DENSE_STEP_MM)
                end = min(depth, s + DENSE_STEP_MM)
                most = max(most, near[k, j, i])
            if start >= 0.0 and (last or s - end > far):
                first = a[n] if start == 0.0 else a[n] + start / depth * v
                final = b[n] if end >= depth else a[n] + end / depth * v
                if not is_clear(labels, spacing, margin, reach, cell, factors, most, first, final):
                    clear[n] = False
                    break
                start, most = -1.0, 0.0
            if last:
                break
            s = min(depth, s + max(DENSE_STEP_MM, free))
    return clear


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def all_walks(
    labels: AnyArray,
    body: AnyArray,
    spacing: AnyArray,
    a: AnyArray,
    b: AnyArray,
    count: int,
    is_lung: AnyArray,
    lung_side: AnyArray,
    side_start: AnyArray,
    merge_mm: float,
) -> tuple[AnyArray, AnyArray]:
    """Length outside the body and pleural crossings of many segments, by :func:`.exact.walk`."""
    outside = np.zeros(a.shape[0])
    crossings = np.zeros(a.shape[0], dtype=np.int64)
    for number in numba.prange(a.shape[0]):
        _, outside[number], crossings[number] = walk(
            labels, body, spacing, a[number], b[number], count, is_lung, lung_side, side_start,
            merge_mm,
        )  # fmt: skip
    return outside, crossings
