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
    # Only the places of cubes that hold skin are ever written, or read.
    where = np.empty((cubes[2], cubes[1], cubes[0], 3), dtype=np.float64)
    pieces = np.empty(3, dtype=np.int64)
    for axis in range(3):
        pieces[axis] = int(np.ceil(spacing[axis] / raster - 1e-9))
    for layer in numba.prange(cubes[2]):
        low = layer + first_cube[2]
        # A hair more: a face may lie at the border of two layers.
        k0 = max(0, int(np.floor(low * raster / spacing[2] - 1e-6)) - offset[2] - 1)
        k1 = min(depth - 1, int(np.floor((low + 1) * raster / spacing[2] + 1e-6)) - offset[2])
        off = np.full((cubes[1], cubes[0]), np.inf)
        for k in range(k0, k1 + 1):
            sides, cap = _in_layer(k + offset[2], pieces[2], spacing[2], raster, low)
            if not sides and not cap:
                continue
            above = min(k + 1, depth - 1)
            for j in range(height):
                behind = min(j + 1, height - 1)
                for word in range(words.shape[2]):
                    eight = words[k, j, word]
                    after = min(8 * word + 8, width - 1)
                    if (
                        eight in (nothing, all_body)
                        and (not cap or eight == words[above, j, word])
                        and (
                            not sides
                            or (
                                eight == words[k, behind, word]
                                and body[k, j, after] == body[k, j, 8 * word]
                            )
                        )
                    ):
                        continue
                    for i in range(8 * word, min(8 * word + 8, width)):
                        here = body[k, j, i]
                        for axis in range(0 if sides else 2, 3 if cap else 2):
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
def _in_layer(k: int, pieces: int, spacing: float, raster: float, layer: int) -> tuple[bool, bool]:
    """Whether faces at the sides of a slice's voxels, and those towards the next, may lie in it."""
    sides = False
    for c in range(pieces):
        sides |= int(np.floor((k + (c + 0.5) / pieces) * spacing / raster)) == layer
    cap: bool = int(np.floor((k + 1) * spacing / raster)) == layer
    return sides, cap


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
    mean = np.empty((nz, ny, nx), dtype=np.float32)
    for k in numba.prange(nz):
        # Of every column of voxels; those behind the last one are as it is.
        count = np.empty(nx * fx, dtype=np.int32)
        for j in range(ny):
            count[:] = 0
            for z in range(fz):
                for y in range(fy):
                    row = mask[min(k * fz + z, depth - 1), min(j * fy + y, height - 1)]
                    for x in range(width):
                        count[x] += row[x]
            count[width:] = count[width - 1]
            for i in range(nx):
                total = 0
                for x in range(i * fx, (i + 1) * fx):
                    total += count[x]
                mean[k, j, i] = np.float32(total) / np.float32(fz * fy * fx)
    return mean


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def slopes(smooth: AnyArray, step: AnyArray, where: AnyArray) -> AnyArray:
    """Slope (n, 3) in x, y, z of a field (z, y, x) at fractional indices (n, 3) in z, y, x.

    Central differences at the eight cells around, one-sided at the ends, weighed trilinearly.
    """
    found = np.zeros((where.shape[0], 3))
    last = (smooth.shape[0] - 1, smooth.shape[1] - 1, smooth.shape[2] - 1)
    for n in numba.prange(where.shape[0]):
        z, dz = _cell_before(where[n, 0], last[0])
        y, dy = _cell_before(where[n, 1], last[1])
        x, dx = _cell_before(where[n, 2], last[2])
        for corner in range(8):
            k = min(z + (corner & 1), last[0])
            j = min(y + ((corner >> 1) & 1), last[1])
            i = min(x + ((corner >> 2) & 1), last[2])
            weight = dz if corner & 1 else 1.0 - dz
            weight *= dy if corner & 2 else 1.0 - dy
            weight *= dx if corner & 4 else 1.0 - dx
            if weight == 0.0:
                continue
            if last[0] > 0:
                a, b = max(k - 1, 0), min(k + 1, last[0])
                rise = smooth[b, j, i] - smooth[a, j, i]
                found[n, 2] += weight * rise / ((b - a) * step[2])
            if last[1] > 0:
                a, b = max(j - 1, 0), min(j + 1, last[1])
                rise = smooth[k, b, i] - smooth[k, a, i]
                found[n, 1] += weight * rise / ((b - a) * step[1])
            if last[2] > 0:
                a, b = max(i - 1, 0), min(i + 1, last[2])
                rise = smooth[k, j, b] - smooth[k, j, a]
                found[n, 0] += weight * rise / ((b - a) * step[0])
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _cell_before(index: float, last: int) -> tuple[int, float]:
    """The cell before a fractional index within 0 … last, and the share of the way to the next."""
    at = min(max(index, 0.0), float(last))
    base = min(int(at), max(last - 1, 0))
    return base, at - base


@numba.njit(parallel=True, cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def lowest_of_slices(body: AnyArray, along: AnyArray) -> AnyArray:
    """For every slice the largest i·along[0] + j·along[1] over its body voxels; -inf for none."""
    depth, height, width = body.shape
    heights = np.full(depth, -np.inf)
    for k in numba.prange(depth):
        best = -np.inf
        for number in range(height):
            # From the row that may lie lowest; where no later one can lie lower it ends.
            j = height - 1 - number if along[1] >= 0.0 else number
            if max(0.0, (width - 1) * along[0]) + j * along[1] <= best:
                break
            # The value is linear along the row, so its end suffices.
            for column in range(width):
                i = width - 1 - column if along[0] >= 0.0 else column
                if body[k, j, i]:
                    best = max(best, i * along[0] + j * along[1])
                    break
        heights[k] = best
    return heights
