"""The inner loops of the search, compiled: every skin point with every place for a tip.

All coordinates are mm in the crop's own frame (x, y, z), see :mod:`.exact`. Each candidate is
computed by itself, so the result does not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from irplan.trajectory.blocks import Away
from irplan.trajectory.exact import APPROACH_START_MM, APPROACH_STEP_MM, free_behind, walk

AnyArray = npt.NDArray[Any]

#: Bits of a candidate's status; 0 is a path that only the exact test may still refuse.
TOO_DEEP, TILTED, SKIN_ANGLE, TABLE, OUTSIDE, APPROACH, PLEURA, CROSSED = (
    1,
    2,
    4,
    8,
    16,
    32,
    64,
    128,
)
#: The field could not tell: the exact test decides.
DOUBT = 256

_STEP_MM = 1.5
#: Least step where obstacles are looked for; :mod:`.field` allows for half of it.
DENSE_STEP_MM = 0.75
#: More than what the field's numbers are rounded by, mm.
_HAIR_MM = 1e-3


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def evaluate(
    entries: AnyArray,
    inward: AnyArray,
    targets: AnyArray,
    target_cost: AnyArray,
    slack: AnyArray,
    comfort: AnyArray,
    tissue: AnyArray,
    cell: AnyArray,
    doubt: float,
    labels: AnyArray,
    body: AnyArray,
    away: Away,
    obstacle: AnyArray,
    is_lung: AnyArray,
    spacing: AnyArray,
    plumb: AnyArray,
    head: AnyArray,
    floor_height: AnyArray,
    lengths: AnyArray,
    numbers: AnyArray,
    inner: AnyArray,
    inner_start: AnyArray,
    lung_side: AnyArray,
    lung_side_start: AnyArray,
    merge_mm: float,
    wanted_deposits: int,
    full: bool,
) -> tuple[AnyArray, AnyArray]:
    """Status (uint16) and soft cost (float32) of every entry with every target, (E, T).

    Args:
        entries, inward: (E, 3); targets: (T, 3); target_cost: (T,) cost of the place alone.
        slack, comfort, tissue, cell, doubt: the field.
        labels, body: (z, y, x) voxels; away: how far blocks of them lie from the body.
        obstacle, is_lung: whether each label is one.
        floor_height: (E,) height of the support along the plumb line near the entry.
        lengths: needle lengths, rising.
        numbers: see ``NUMBERS`` in :mod:`.search`.
        inner, inner_start: where deposits may lie: a box (z, y, x), and its first voxel (i, j, k).
        lung_side, lung_side_start, merge_mm: see :func:`.exact.walk`.
        full: go on after the first reason against a path, to count all reasons.
    """
    status = np.zeros((entries.shape[0], targets.shape[0]), dtype=np.uint16)
    cost = np.full((entries.shape[0], targets.shape[0]), np.inf, dtype=np.float32)
    reserve, max_sin_tilt, min_cos_skin = numbers[0], numbers[1], numbers[2]
    table_mm, gap_mm, approach_mm, max_pleura = numbers[3], numbers[4], numbers[5], numbers[6]
    spacing_deposit = numbers[7]
    w_length, w_clear, w_tilt, w_skin, w_lung, w_pleura, w_liver, w_spread = (
        numbers[8],
        numbers[9],
        numbers[10],
        numbers[11],
        numbers[12],
        numbers[13],
        numbers[14],
        numbers[15],
    )
    longest = lengths[lengths.size - 1]
    for e in numba.prange(entries.shape[0]):
        direction = np.empty(3)
        for t in range(targets.shape[0]):
            vx = targets[t, 0] - entries[e, 0]
            vy = targets[t, 1] - entries[e, 1]
            vz = targets[t, 2] - entries[e, 2]
            depth = np.sqrt(vx * vx + vy * vy + vz * vz)
            bits = TOO_DEEP if depth + reserve > longest or depth < 1.0 else 0
            if depth < 1.0 or (bits != 0 and not full):
                status[e, t] = bits
                continue
            dx, dy, dz = vx / depth, vy / depth, vz / depth
            tilt = dx * head[0] + dy * head[1] + dz * head[2]
            if abs(tilt) > max_sin_tilt:
                bits |= TILTED
            square = dx * inward[e, 0] + dy * inward[e, 1] + dz * inward[e, 2]
            if square < min_cos_skin:
                bits |= SKIN_ANGLE
            if bits != 0 and not full:
                status[e, t] = bits
                continue
            outside_mm = reserve
            for number in range(lengths.size):
                if lengths[number] >= depth + reserve:
                    outside_mm = lengths[number] - depth
                    break
            down = dx * plumb[0] + dy * plumb[1] + dz * plumb[2]
            height = entries[e, 0] * plumb[0] + entries[e, 1] * plumb[1] + entries[e, 2] * plumb[2]
            if floor_height[e] - (height - outside_mm * down) < table_mm:
                bits |= TABLE
                if not full:
                    status[e, t] = bits
                    continue
            found, nearest = _march(
                entries[e],
                dx,
                dy,
                dz,
                depth,
                slack,
                comfort,
                cell,
                doubt,
                labels,
                obstacle,
                spacing,
            )
            bits |= found
            if bits & ~DOUBT and not full:
                status[e, t] = bits
                continue
            direction[0], direction[1], direction[2] = dx, dy, dz
            room = outside_mm + approach_mm
            free = free_behind(
                body, spacing, entries[e], direction, room, APPROACH_START_MM, APPROACH_STEP_MM,
                away,
            )  # fmt: skip
            if free < room:
                bits |= APPROACH
                if not full:
                    status[e, t] = bits
                    continue
            gap, lung, liver, pleura = _through(entries[e], dx, dy, dz, depth, tissue, cell)
            if full or gap > gap_mm + 2.0 * _STEP_MM or pleura > max_pleura:
                # The coarse look may be wrong: what it refuses is walked from voxel to voxel.
                _, outside, pleura = walk(
                    labels, body, spacing, entries[e], targets[t], is_lung.size, is_lung,
                    lung_side, lung_side_start, merge_mm,
                )  # fmt: skip
                if outside > gap_mm:
                    bits |= OUTSIDE
                if pleura > max_pleura:
                    bits |= PLEURA
            status[e, t] = bits
            if bits & ~DOUBT:
                continue
            fits = _deposits_that_fit(
                targets[t],
                dx,
                dy,
                dz,
                inner,
                inner_start,
                spacing,
                spacing_deposit,
                wanted_deposits,
            )
            short = 1.0 - nearest
            angle = np.arccos(min(1.0, square)) / 0.7853981633974483
            tilted = np.arcsin(min(1.0, abs(tilt))) / 0.4363323129985824
            cost[e, t] = (
                target_cost[t]
                + w_length * depth / 100.0
                + w_clear * short * short
                + w_tilt * tilted * tilted
                + w_skin * angle * angle
                + w_lung * lung / 20.0
                + w_pleura * pleura
                + w_liver * liver / 50.0
                + w_spread * (1.0 - fits / wanted_deposits)
            )
    return status, cost


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _march(
    entry: AnyArray,
    dx: float,
    dy: float,
    dz: float,
    depth: float,
    slack: AnyArray,
    comfort: AnyArray,
    cell: AnyArray,
    doubt: float,
    labels: AnyArray,
    obstacle: AnyArray,
    spacing: AnyArray,
) -> tuple[int, float]:
    """Whether the axis comes too near to an obstacle (or might), and its least comfort."""
    bits = 0
    least = 255
    s = 0.0
    nz, ny, nx = slack.shape
    hz, hy, hx = labels.shape
    while s <= depth:
        px, py, pz = entry[0] + s * dx, entry[1] + s * dy, entry[2] + s * dz
        i, j, k = int(px / cell[0]), int(py / cell[1]), int(pz / cell[2])
        i, j, k = min(max(i, 0), nx - 1), min(max(j, 0), ny - 1), min(max(k, 0), nz - 1)
        free = slack[k, j, i] - doubt
        near = comfort[k, j, i]
        least = min(least, near)
        if free > 0.0:
            # Comfort changes faster than clearance is lost: look at it every few millimetres.
            s += max(DENSE_STEP_MM, min(free, 4.0) if near < 255 else free)
            continue
        bits |= DOUBT
        # How far an obstacle lies at most is known too: the cell's middle is this near.
        x, y, z = px - (i + 0.5) * cell[0], py - (j + 0.5) * cell[1], pz - (k + 0.5) * cell[2]
        if slack[k, j, i] < -_HAIR_MM:
            off = -slack[k, j, i] - _HAIR_MM
            if x * x + y * y + z * z < off * off:
                return bits | CROSSED, 0.0
        i, j, k = int(px / spacing[0]), int(py / spacing[1]), int(pz / spacing[2])
        if 0 <= i < hx and 0 <= j < hy and 0 <= k < hz and obstacle[labels[k, j, i]]:
            return bits | CROSSED, 0.0
        s += DENSE_STEP_MM
    return bits, least / 255.0


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def merits(
    entries: AnyArray, inward: AnyArray, targets: AnyArray, head: AnyArray, flat: AnyArray
) -> tuple[AnyArray, AnyArray, AnyArray, AnyArray]:
    """What candidates are best in: depth, sine of the tilt, and how askew to the skin they go in.

    Args:
        entries, inward: (E, 3); targets: (T, 3); head: (3,).
        flat: numbers of the candidates (skin point × T + place), rising.

    Returns:
        Depth in mm, the sine (without sign), minus the cosine of the angle to the skin's inward
        normal, each (n,); and the place in ``flat`` of every skin point's shortest candidate.
    """
    count, places = flat.size, targets.shape[0]
    depth, tilt, askew = np.empty(count), np.empty(count), np.empty(count)
    shortest = np.empty(min(count, entries.shape[0]), dtype=np.int64)
    taken, before = 0, -1
    for n in range(count):
        e, t = flat[n] // places, flat[n] % places
        vx = targets[t, 0] - entries[e, 0]
        vy = targets[t, 1] - entries[e, 1]
        vz = targets[t, 2] - entries[e, 2]
        depth[n] = np.sqrt(vx * vx + vy * vy + vz * vz)
        tilt[n] = abs(vx * head[0] + vy * head[1] + vz * head[2]) / depth[n]
        askew[n] = -(vx * inward[e, 0] + vy * inward[e, 1] + vz * inward[e, 2]) / depth[n]
        if e != before:
            shortest[taken] = n
            taken, before = taken + 1, e
        elif depth[n] < depth[shortest[taken - 1]]:
            shortest[taken - 1] = n
    return depth, tilt, askew, shortest[:taken]


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def least_comfort(
    a: AnyArray,
    b: AnyArray,
    slack: AnyArray,
    comfort: AnyArray,
    cell: AnyArray,
    doubt: float,
    labels: AnyArray,
    obstacle: AnyArray,
    spacing: AnyArray,
) -> AnyArray:
    """Least comfort, 0 to 1, of the segments a-b (n, 3), as the search itself sees it."""
    found = np.zeros(a.shape[0])
    for number in numba.prange(a.shape[0]):
        v = b[number] - a[number]
        depth = np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
        _, found[number] = _march(
            a[number], v[0] / depth, v[1] / depth, v[2] / depth, depth,
            slack, comfort, cell, doubt, labels, obstacle, spacing,
        )  # fmt: skip
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _through(
    entry: AnyArray,
    dx: float,
    dy: float,
    dz: float,
    depth: float,
    tissue: AnyArray,
    cell: AnyArray,
) -> tuple[float, float, float, int]:
    """Length outside the body, in lung and in liver (mm), and times the axis goes into lung."""
    nz, ny, nx = tissue.shape
    gap, lung, liver = 0.0, 0.0, 0.0
    pleura = 0
    in_lung = False
    dry = 0.0
    s = 0.5 * _STEP_MM
    while s < depth:
        i = min(max(int((entry[0] + s * dx) / cell[0]), 0), nx - 1)
        j = min(max(int((entry[1] + s * dy) / cell[1]), 0), ny - 1)
        k = min(max(int((entry[2] + s * dz) / cell[2]), 0), nz - 1)
        kind = tissue[k, j, i]
        if not kind & 1:
            gap += _STEP_MM
        if kind & 4:
            liver += _STEP_MM
        if kind & 2:
            lung += _STEP_MM
            if not in_lung:
                pleura += 1
                in_lung = True
            dry = 0.0
        elif in_lung:
            dry += _STEP_MM
            if dry > 6.0:
                in_lung = False
        s += _STEP_MM
    return gap, lung, liver, pleura


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _deposits_that_fit(
    tip: AnyArray,
    dx: float,
    dy: float,
    dz: float,
    inner: AnyArray,
    start: AnyArray,
    spacing: AnyArray,
    distance: float,
    wanted: int,
) -> float:
    """How many deposits the track holds from the tip backwards, up to ``wanted``."""
    nz, ny, nx = inner.shape
    reach = (wanted - 1) * distance
    last = 0.0
    s = 1.0
    while s <= reach + 0.5:
        i = int(np.floor((tip[0] - s * dx) / spacing[0])) - start[0]
        j = int(np.floor((tip[1] - s * dy) / spacing[1])) - start[1]
        k = int(np.floor((tip[2] - s * dz) / spacing[2])) - start[2]
        if 0 <= i < nx and 0 <= j < ny and 0 <= k < nz and inner[k, j, i]:
            last = s
        s += 1.0
    fits: float = min(float(wanted), 1.0 + np.floor((last + 0.5) / distance))
    return fits


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def least_slack(entries: AnyArray, targets: AnyArray, slack: AnyArray, cell: AnyArray) -> AnyArray:
    """The least slack of the cells that every candidate passes through, (E, T), at samples.

    A path that passes through a cell comes within half its diagonal of its middle: where the slack
    there is lower than minus that, an obstacle is too near for certain, by at least the rest.
    """
    worst = np.full((entries.shape[0], targets.shape[0]), np.inf, dtype=np.float32)
    nz, ny, nx = slack.shape
    for e in numba.prange(entries.shape[0]):
        for t in range(targets.shape[0]):
            vx = targets[t, 0] - entries[e, 0]
            vy = targets[t, 1] - entries[e, 1]
            vz = targets[t, 2] - entries[e, 2]
            depth = np.sqrt(vx * vx + vy * vy + vz * vz)
            s = 0.0
            while s <= depth:
                share = s / depth
                i = min(max(int((entries[e, 0] + share * vx) / cell[0]), 0), nx - 1)
                j = min(max(int((entries[e, 1] + share * vy) / cell[1]), 0), ny - 1)
                k = min(max(int((entries[e, 2] + share * vz) / cell[2]), 0), nz - 1)
                here = slack[k, j, i]
                worst[e, t] = min(worst[e, t], here)
                s += max(1.0, here)
    return worst


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def room_behind(
    body: AnyArray, spacing: AnyArray, a: AnyArray, b: AnyArray, wanted: AnyArray, away: Away
) -> AnyArray:
    """:func:`.exact.free_behind` of segments a-b (n, 3), up to what is wanted of each (n,)."""
    found = np.zeros(a.shape[0])
    for number in numba.prange(a.shape[0]):
        v = b[number] - a[number]
        direction = v / np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
        found[number] = free_behind(
            body, spacing, a[number], direction, wanted[number], APPROACH_START_MM,
            APPROACH_STEP_MM, away,
        )  # fmt: skip
    return found
