"""The inner loops of finding the skin, compiled: faces of body voxels, and their normals.

Every cube of the raster, and every point, is computed by itself, so the result does not depend on
the number of threads.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]


#: Eight voxels of the body side by side.
_ALL_BODY = 0x0101010101010101


def face_of_every_cube(
    body: AnyArray,
    offset: AnyArray,
    spacing: AnyArray,
    raster: float,
    first_cube: AnyArray,
    cubes: AnyArray,
) -> tuple[AnyArray, AnyArray]:
    """For every cube of the raster that the skin passes through, one point on a voxel face.

    Args:
        body: bool (z, y, x), a part of the scan; ``offset`` its first voxel (i, j, k).
        spacing: (x, y, z) mm.
        first_cube, cubes: the first cube (x, y, z) and how many there are on each axis.

    Returns:
        Whether each cube (z, y, x) holds skin, and the point in it, as fractional index (i, j, k)
        of the whole scan: the middle of a face, or of a piece of it where the face is larger than
        the raster; the nearest to the cube's middle, ties to the lower z, y, x.
    """
    depth, height, width = body.shape
    padded = body
    if width % 8 or body.strides[1] % 8 or body.strides[2] != 1 or body.ctypes.data % 8:
        padded = np.zeros((depth, height, -(-width // 8) * 8), dtype=np.bool_)
        padded[:, :, :width] = body
    words = padded.view(np.uint64)
    held, where = _faces(
        padded, words, width, offset, spacing, raster, first_cube, cubes, np.uint64(_ALL_BODY)
    )
    return held, where


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _faces(
    body: AnyArray,
    words: AnyArray,
    width: int,
    offset: AnyArray,
    spacing: AnyArray,
    raster: float,
    first_cube: AnyArray,
    cubes: AnyArray,
    all_body: np.uint64,
) -> tuple[AnyArray, AnyArray]:
    """The cubes' points; eight voxels at a time are passed over where no face lies among them."""
    depth, height, _ = body.shape
    nothing = np.uint64(0)
    held = np.zeros((cubes[2], cubes[1], cubes[0]), dtype=np.bool_)
    where = np.zeros((cubes[2], cubes[1], cubes[0], 3), dtype=np.float64)
    pieces = np.empty(3, dtype=np.int64)
    for axis in range(3):
        pieces[axis] = int(np.ceil(spacing[axis] / raster - 1e-9))
    for layer in numba.prange(cubes[2]):
        low = (layer + first_cube[2]) * raster
        # A hair more: a face may lie at the border of two layers.
        k0 = max(0, int(np.floor(low / spacing[2] - 1e-6)) - offset[2] - 1)
        k1 = min(depth - 1, int(np.floor((low + raster) / spacing[2] + 1e-6)) - offset[2])
        off = np.full((cubes[1], cubes[0]), np.inf)
        for k in range(k0, k1 + 1):
            above = min(k + 1, depth - 1)
            for j in range(height):
                behind = min(j + 1, height - 1)
                for word in range(words.shape[2]):
                    eight = words[k, j, word]
                    after = min(8 * word + 8, width - 1)
                    if (
                        eight in (nothing, all_body)
                        and eight == words[k, behind, word]
                        and eight == words[above, j, word]
                        and body[k, j, after] == body[k, j, 8 * word]
                    ):
                        continue
                    for i in range(8 * word, min(8 * word + 8, width)):
                        here = body[k, j, i]
                        for axis in range(3):
                            ni = i + (1 if axis == 0 else 0)
                            nj = j + (1 if axis == 1 else 0)
                            nk = k + (1 if axis == 2 else 0)
                            if ni >= width or nj >= height or nk >= depth:
                                continue
                            if body[nk, nj, ni] == here:
                                continue
                            _take_pieces(
                                i + offset[0], j + offset[1], k + offset[2], axis, pieces, spacing,
                                raster, first_cube, layer, off, held, where,
                            )  # fmt: skip
    return held, where


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _take_pieces(
    i: int,
    j: int,
    k: int,
    axis: int,
    pieces: AnyArray,
    spacing: AnyArray,
    raster: float,
    first_cube: AnyArray,
    layer: int,
    off: AnyArray,
    held: AnyArray,
    where: AnyArray,
) -> None:
    """Take the pieces of one face into their cubes, where they lie in the layer."""
    px = 1 if axis == 0 else pieces[0]
    py = 1 if axis == 1 else pieces[1]
    pz = 1 if axis == 2 else pieces[2]
    for c in range(pz):
        z = k + (0.5 if axis == 2 else (c + 0.5) / pz - 0.5)
        mz = (z + 0.5) * spacing[2] / raster
        cz = int(np.floor(mz))
        if cz - first_cube[2] != layer:
            continue
        for b in range(py):
            y = j + (0.5 if axis == 1 else (b + 0.5) / py - 0.5)
            my = (y + 0.5) * spacing[1] / raster
            cy = int(np.floor(my))
            for a in range(px):
                x = i + (0.5 if axis == 0 else (a + 0.5) / px - 0.5)
                mx = (x + 0.5) * spacing[0] / raster
                cx = int(np.floor(mx))
                u, v = cy - first_cube[1], cx - first_cube[0]
                gap = (mx - cx - 0.5) ** 2 + (my - cy - 0.5) ** 2 + (mz - cz - 0.5) ** 2
                best = off[u, v]
                kept = where[layer, u, v]
                if gap < best - 1e-12 or (
                    gap <= best + 1e-12
                    and (
                        z < kept[2]
                        or (z == kept[2] and (y < kept[1] or (y == kept[1] and x < kept[0])))
                    )
                ):
                    off[u, v] = min(gap, best)
                    held[layer, u, v] = True
                    kept[0], kept[1], kept[2] = x, y, z


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def block_mean(mask: AnyArray, factors: AnyArray) -> AnyArray:
    """Share of true voxels in blocks (z, y, x); the last block is filled up with its edge."""
    depth, height, width = mask.shape
    fz, fy, fx = factors[0], factors[1], factors[2]
    nz, ny, nx = -(-depth // fz), -(-height // fy), -(-width // fx)
    mean = np.zeros((nz, ny, nx), dtype=np.float32)
    for k in numba.prange(nz):
        for z in range(fz):
            layer = mask[min(k * fz + z, depth - 1)]
            for j in range(ny):
                for y in range(fy):
                    row = layer[min(j * fy + y, height - 1)]
                    for i in range(nx):
                        count = 0
                        for x in range(fx):
                            if row[min(i * fx + x, width - 1)]:
                                count += 1
                        mean[k, j, i] += np.float32(count)
        for j in range(ny):
            for i in range(nx):
                mean[k, j, i] /= np.float32(fz * fy * fx)
    return mean


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def slopes(smooth: AnyArray, step: AnyArray, where: AnyArray) -> AnyArray:
    """Slope (n, 3) in x, y, z of a field (z, y, x) at fractional indices (n, 3) in z, y, x.

    Central differences at the eight cells around, one-sided at the ends, weighed trilinearly.
    """
    found = np.zeros((where.shape[0], 3))
    for n in numba.prange(where.shape[0]):
        base = np.zeros(3, dtype=np.int64)
        share = np.zeros(3)
        for axis in range(3):
            at = min(max(where[n, axis], 0.0), smooth.shape[axis] - 1.0)
            base[axis] = min(int(at), max(smooth.shape[axis] - 2, 0))
            share[axis] = at - base[axis]
        for corner in range(8):
            weight = 1.0
            cell = np.zeros(3, dtype=np.int64)
            for axis in range(3):
                upper = (corner >> axis) & 1
                cell[axis] = min(base[axis] + upper, smooth.shape[axis] - 1)
                weight *= share[axis] if upper else 1.0 - share[axis]
            if weight == 0.0:
                continue
            for axis in range(3):
                last = smooth.shape[axis] - 1
                if last < 1:
                    continue
                a, b = max(cell[axis] - 1, 0), min(cell[axis] + 1, last)
                lower = cell.copy()
                upper_cell = cell.copy()
                lower[axis], upper_cell[axis] = a, b
                rise = (
                    smooth[upper_cell[0], upper_cell[1], upper_cell[2]]
                    - smooth[lower[0], lower[1], lower[2]]
                )
                found[n, 2 - axis] += weight * rise / ((b - a) * step[2 - axis])
    return found


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def lowest_of_slices(body: AnyArray, along: AnyArray) -> AnyArray:
    """For every slice the largest i·along[0] + j·along[1] over its body voxels; -inf for none."""
    depth, height, width = body.shape
    heights = np.full(depth, -np.inf)
    for k in numba.prange(depth):
        best = -np.inf
        for i in range(width):
            # The value is linear along the column, so its ends suffice.
            first = -1
            for j in range(height):
                if body[k, j, i]:
                    first = j
                    break
            if first < 0:
                continue
            last = first
            for j in range(height - 1, first, -1):
                if body[k, j, i]:
                    last = j
                    break
            best = max(best, i * along[0] + max(first * along[1], last * along[1]))
        heights[k] = best
    return heights
