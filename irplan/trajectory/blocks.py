"""How far each block of a scan lies from what is looked for: so far nothing has to be looked at."""

from __future__ import annotations

from typing import Any, NamedTuple

import edt
import numba
import numpy as np
import numpy.typing as npt

from irplan.geometry import BoolArray, FloatArray

AnyArray = npt.NDArray[Any]

#: Edge of a block of the body, as near as whole voxels allow, mm.
BODY_BLOCK_MM = 4.0
#: Edge of a block of labels.
LABEL_BLOCK_MM = 5.0
#: The bit of every label that has none of its own.
LAST_BIT = 63
#: More than what distances of blocks are rounded by, mm.
_HAIR_MM = 1e-3


class Away(NamedTuple):
    """Blocks of voxels, and how far each lies from the body.

    Attributes:
        mm: float32 (z, y, x): no point of a block is nearer to a voxel of the body than this.
        size: (3,) voxels of a block (x, y, z).
    """

    mm: AnyArray
    size: AnyArray


class Held(NamedTuple):
    """Blocks of voxels, and which labels each holds.

    Attributes:
        bits: uint64 (z, y, x): bit n for label n; the last bit stands for all labels from it on.
        size: (3,) voxels of a block (x, y, z).
    """

    bits: AnyArray
    size: AnyArray

    def holding(self, wanted: AnyArray) -> BoolArray:
        """Whether each block (z, y, x) may hold one of the labels ``wanted`` (labels + 1,)."""
        bits = np.uint64(0)
        for label in np.flatnonzero(wanted).tolist():
            bits |= np.uint64(1) << np.uint64(min(label, LAST_BIT))
        return np.asarray((self.bits & bits) != 0)


#: Where nobody looked: one block for all voxels, in which body may lie anywhere.
NOT_KNOWN = Away(np.zeros((1, 1, 1), dtype=np.float32), np.full(3, 1 << 40, dtype=np.int64))


def away_from_body(body: BoolArray, spacing_mm: FloatArray) -> Away:
    """The blocks of a body (z, y, x); ``spacing_mm`` (x, y, z)."""
    size = np.maximum(1, np.round(BODY_BLOCK_MM / spacing_mm)).astype(np.int64)
    return Away(away_mm(held_blocks(body, size), size * spacing_mm), size)


def away_mm(held: BoolArray, edge_mm: FloatArray) -> npt.NDArray[np.float32]:
    """A distance that no point of a block is nearer than to any block that holds something.

    Args:
        held: (z, y, x); edge_mm: edges of a block (x, y, z).

    Returns:
        float32 (z, y, x); infinite where no block holds anything.
    """
    if not held.any():
        return np.full(held.shape, np.inf, dtype=np.float32)
    far = edt.edt(
        np.ascontiguousarray(~held), anisotropy=tuple(edge_mm[::-1].tolist()), black_border=False
    )
    # From middle to middle of two blocks; their points are nearer by a diagonal at most.
    near = np.float32(np.linalg.norm(edge_mm) + _HAIR_MM)
    return np.ascontiguousarray(np.maximum(far - near, np.float32(0.0)))


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def held_blocks(body: AnyArray, size: AnyArray) -> AnyArray:
    """Whether each block (z, y, x) of ``size`` voxels (x, y, z) holds a voxel of the body."""
    depth, height, width = body.shape
    shape = (-(-depth // size[2]), -(-height // size[1]), -(-width // size[0]))
    found = np.zeros(shape, dtype=np.bool_)
    for layer in numba.prange(shape[0]):
        for k in range(layer * size[2], min(depth, (layer + 1) * size[2])):
            for j in range(height):
                row = found[layer, j // size[1]]
                for column in range(shape[2]):
                    if row[column]:
                        continue
                    for i in range(column * size[0], min(width, (column + 1) * size[0])):
                        if body[k, j, i]:
                            row[column] = True
                            break
    return found


def labels_of_blocks(
    labels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], spacing_mm: FloatArray
) -> Held:
    """The labels (z, y, x) that blocks hold; ``spacing_mm`` (x, y, z)."""
    size = np.maximum(1, np.round(LABEL_BLOCK_MM / spacing_mm)).astype(np.int64)
    return Held(_bits_of_blocks(labels, size), size)


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _bits_of_blocks(labels: AnyArray, size: AnyArray) -> AnyArray:
    depth, height, width = labels.shape
    shape = (-(-depth // size[2]), -(-height // size[1]), -(-width // size[0]))
    bits = np.zeros(shape, dtype=np.uint64)
    for layer in numba.prange(shape[0]):
        for k in range(layer * size[2], min(depth, (layer + 1) * size[2])):
            for j in range(height):
                row = bits[layer, j // size[1]]
                for i in range(width):
                    label = labels[k, j, i]
                    if label != 0:
                        row[i // size[0]] |= np.uint64(1) << np.uint64(min(label, LAST_BIT))
    return bits
