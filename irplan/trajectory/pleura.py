"""On which side of the pleura a lesion lies that takes the lung's place in the label map.

A lesion at the pleura dents the lung's label: where lung and chest wall meet in it, no label says.
The pleura is drawn through it as if it were stretched over the dent: a voxel of the lesion lies on
the lung's side where a straight line through it leaves the lesion into lung at both ends. A nodule
in the lung lies on the lung's side as a whole; of a tumour that grows through the pleura the part
outside it does not; of a lesion around which there is little lung nothing does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from irplan.anatomy import Anatomy
from irplan.anatomy.morphology import grown
from irplan.geometry import BoolArray
from irplan.lesions.lesion import LesionMask
from irplan.trajectory.stepping import holds

AnyArray = npt.NDArray[Any]

#: The rim of a lesion is often neither lung nor lesion by their labels: so much around it belongs
#: to the dent, mm.
RIM_MM = 3.0

#: One of every pair of opposite directions from a voxel to its neighbours, (k, j, i).
DIRECTIONS = np.array(
    [
        (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (0, 1, -1), (1, 0, 1), (1, 0, -1),
        (1, 1, 0), (1, -1, 0), (1, 1, 1), (1, 1, -1), (1, -1, 1), (1, -1, -1),
    ],
    dtype=np.int64,
)  # fmt: skip


@dataclass(frozen=True)
class LungSide:
    """Voxels on the lung's side of the pleura that its label does not hold.

    Attributes:
        voxels: (z, y, x) of a box.
        start: the box's first voxel (i, j, k) in the CT.
    """

    voxels: BoolArray
    start: tuple[int, int, int]


NO_LUNG_SIDE = LungSide(np.zeros((1, 1, 1), dtype=bool), (0, 0, 0))


def lung_side_of(anatomy: Anatomy, mask: LesionMask, is_lung: BoolArray) -> LungSide:
    """What of a lesion and its unlabelled rim lies on the lung's side of the pleura.

    ``is_lung``: whether each label is lung.
    """
    spacing = anatomy.grid.spacing_zyx_mm
    room = [int(np.ceil(RIM_MM / step)) + 1 for step in spacing]
    box = tuple(
        slice(max(0, side.start - reach), min(size, side.stop + reach))
        for side, reach, size in zip(mask.slices_zyx, room, anatomy.labels.shape, strict=True)
    )
    inner = tuple(
        slice(side.start - outer.start, side.stop - outer.start)
        for side, outer in zip(mask.slices_zyx, box, strict=True)
    )
    lesion = np.zeros(tuple(side.stop - side.start for side in box), dtype=bool)
    lesion[inner] = mask.voxels
    labels = anatomy.labels[box]
    dent = lesion | (grown(lesion, RIM_MM, spacing) & (labels == 0))
    k, j, i = (side.start for side in box)
    return LungSide(_lung_side(np.ascontiguousarray(is_lung[labels]), dent), (i, j, k))


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _lung_side(lung: AnyArray, dent: AnyArray) -> AnyArray:
    """The voxels of the dent through which a line leaves it into lung at both ends."""
    depth, height, width = dent.shape
    found = np.zeros(dent.shape, dtype=np.bool_)
    # Numbers that may be negative: those of prange are not.
    layers = np.arange(depth)
    for layer in numba.prange(depth):
        k = layers[layer]
        for j in range(height):
            for i in range(width):
                if not dent[k, j, i]:
                    continue
                for number in range(DIRECTIONS.shape[0]):
                    dk, dj, di = DIRECTIONS[number]
                    if _lung_ahead(lung, dent, k, j, i, dk, dj, di) and _lung_ahead(
                        lung, dent, k, j, i, -dk, -dj, -di
                    ):
                        found[k, j, i] = True
                        break
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _lung_ahead(
    lung: AnyArray, dent: AnyArray, k: int, j: int, i: int, dk: int, dj: int, di: int
) -> bool:
    """Whether lung is the first that is met in a direction from a voxel of the dent."""
    while holds(dent, i, j, k):
        if lung[k, j, i]:
            return True
        if not dent[k, j, i]:
            return False
        k, j, i = k + dk, j + dj, i + di
    return False
