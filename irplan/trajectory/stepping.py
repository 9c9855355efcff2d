"""From voxel to voxel along a straight line, compiled: the one walk that all others use.

Grid's frame in mm, as in :mod:`.exact`. A walk is an array of numbers that :func:`start_walk` makes
and :func:`next_voxel` moves on::

    state, index = start_walk(a, b, spacing)
    t = 0.0
    while t < 1.0:
        axis = next_face(state)
        after = min(1.0, state[0, axis])
        ...  # the line runs from t to after (shares of a-b) inside the voxel index (i, j, k)
        t = after
        step_over(state, index, axis)
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def start_walk(a: AnyArray, b: AnyArray, spacing: AnyArray) -> tuple[AnyArray, AnyArray]:
    """The state of a walk from a to b, and the voxel (i, j, k) of a.

    The state's rows: the share of a-b at the next face across each axis, the share from face to
    face, and 1 or -1 for the direction (0 where the line runs along a face).
    """
    state = np.full((3, 3), np.inf)
    index = np.empty(3, dtype=np.int64)
    for axis in range(3):
        move = b[axis] - a[axis]
        index[axis] = int(np.floor(a[axis] / spacing[axis]))
        state[2, axis] = 0.0
        if move > 0.0:
            state[0, axis] = ((index[axis] + 1) * spacing[axis] - a[axis]) / move
            state[1, axis] = spacing[axis] / move
            state[2, axis] = 1.0
        elif move < 0.0:
            state[0, axis] = (index[axis] * spacing[axis] - a[axis]) / move
            state[1, axis] = -spacing[axis] / move
            state[2, axis] = -1.0
    return state, index


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def next_face(state: AnyArray) -> int:
    """The axis across which the line leaves its voxel; ties go to the lower axis."""
    axis = 0
    if state[0, 1] < state[0, axis]:
        axis = 1
    if state[0, 2] < state[0, axis]:
        axis = 2
    return axis


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def step_over(state: AnyArray, index: AnyArray, axis: int) -> None:
    """Move on to the next voxel across an axis."""
    index[axis] += int(state[2, axis])
    state[0, axis] += state[1, axis]


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def holds(array: AnyArray, i: int, j: int, k: int) -> bool:
    """Whether a voxel (i, j, k) lies in an array (z, y, x)."""
    inside: bool = 0 <= k < array.shape[0] and 0 <= j < array.shape[1] and 0 <= i < array.shape[2]
    return inside
