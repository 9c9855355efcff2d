"""From shapes to voxels: supersampled painting, lesion coverage, blur and noise.

One slice at a time, so memory stays at a few slices whatever the volume's size. Each slice
depends on nothing but the scene, the grid and the seed: the result is the same whatever the
number of threads.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.geometry import FloatArray, GridGeometry
from irplan.phantom.motion import BREATH_CENTRE_MM, BREATH_RADII_MM, Motion
from irplan.phantom.scene import ELLIPSOID, FIELD, Shapes

_CENTRE = np.asarray(BREATH_CENTRE_MM)
_RADII = np.asarray(BREATH_RADII_MM)


class Painter:
    """Renders slices of one scene on one grid."""

    def __init__(
        self,
        shapes: Shapes,
        grid: GridGeometry,
        motion: Motion,
        samples: int,
        up: tuple[float, float, float],
    ) -> None:
        self._shapes = shapes
        self._grid = grid
        self._samples = samples
        self._motion = motion
        self._up = motion.rotation.T @ np.asarray(up)
        self._group = shapes.materials.group
        self._hu = shapes.materials.hu
        self._label = shapes.materials.label
        sizes = [field.values.size for field in shapes.fields]
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        self._values = np.concatenate([field.values.ravel() for field in shapes.fields])
        self._dims = np.array([field.values.shape for field in shapes.fields], dtype=np.int64)
        self._origins = np.array([field.origin_lps_mm for field in shapes.fields])
        self._steps = np.array([field.step_mm for field in shapes.fields])
        self._boxes = self._index_boxes()

    def _index_boxes(self) -> FloatArray:
        """For each shape the box (low ijk, high ijk) that holds it on the grid."""
        low, high = self._shapes.low_mm, self._shapes.high_mm
        spread = np.abs(np.asarray(self._motion.breath_mm))
        low, high = low - spread, high + spread
        corners = np.stack(
            [np.where([bit & 1, bit & 2, bit & 4], high, low) for bit in range(8)],
            axis=1,
        )
        index = self._grid.to_index(self._motion.rigid(corners))
        return np.concatenate([index.min(axis=1), index.max(axis=1)], axis=1)

    def slice(self, k: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        """HU (before lesions, blur and noise) and labels of slice ``k``, (rows, columns)."""
        columns, rows, _ = self._grid.size
        n = self._samples
        shape = (rows * n, columns * n)
        total = np.zeros((rows, columns), dtype=np.float32)
        stack = np.empty((n, *shape), dtype=np.uint8)
        turn = self._motion.rotation.T
        pivot = np.asarray(self._motion.pivot_mm)
        shift = np.asarray(self._motion.shift_mm)
        step = self._grid.axes * np.asarray(self._grid.spacing_mm)
        for layer in range(n):
            height = k + (layer + 0.5) / n - 0.5
            corner = self._grid.to_lps([0.5 / n - 0.5, 0.5 / n - 0.5, height])
            start = turn @ (corner - pivot - shift) + pivot
            near = np.flatnonzero(
                (self._boxes[:, 2] <= height + 0.5) & (self._boxes[:, 5] >= height - 0.5)
            )
            boxes = np.empty((near.size, 4), dtype=np.int64)
            boxes[:, 0] = np.floor((self._boxes[near, 0] + 0.5) * n) - 1
            boxes[:, 1] = np.ceil((self._boxes[near, 3] + 0.5) * n) + 2
            boxes[:, 2] = np.floor((self._boxes[near, 1] + 0.5) * n) - 1
            boxes[:, 3] = np.ceil((self._boxes[near, 4] + 0.5) * n) + 2
            boxes[:, :2] = boxes[:, :2].clip(0, shape[1])
            boxes[:, 2:] = boxes[:, 2:].clip(0, shape[0])
            _paint(
                stack[layer], start, turn @ step[:, 0] / n, turn @ step[:, 1] / n,
                np.asarray(self._motion.breath_mm), _CENTRE, _RADII, self._up,
                self._shapes.kind[near], self._shapes.material[near], self._shapes.over[near],
                self._shapes.parameters[near], boxes, self._group,
                self._values, self._starts, self._dims, self._origins, self._steps,
            )  # fmt: skip
        labels = np.empty((rows, columns), dtype=np.uint8)
        _gather(stack, self._hu, self._label, total, labels)
        return total, labels


@numba.njit(cache=True, nogil=True)
def _paint(  # type: ignore[no-untyped-def]
    out, start, along_x, along_y, breath, centre, radii, up,
    kinds, materials, overs, parameters, boxes, group, values, starts, dims, origins, steps,
):  # fmt: skip
    """Paint one layer of samples: for each shape, its box, sample by sample."""
    out[:] = 0
    breathes = breath[0] != 0.0 or breath[1] != 0.0 or breath[2] != 0.0
    for number in range(kinds.size):
        kind = kinds[number]
        material = materials[number]
        over = overs[number]
        p = parameters[number]
        if kind == 2:
            field = int(p[0])
            depth, height, width = dims[field, 0], dims[field, 1], dims[field, 2]
            first, step = starts[field], steps[field]
        for row in range(boxes[number, 2], boxes[number, 3]):
            for column in range(boxes[number, 0], boxes[number, 1]):
                if not (over >> group[out[row, column]]) & 1:
                    continue
                x = start[0] + column * along_x[0] + row * along_y[0]
                y = start[1] + column * along_x[1] + row * along_y[1]
                z = start[2] + column * along_x[2] + row * along_y[2]
                if breathes:
                    rx = (x - centre[0]) / radii[0]
                    ry = (y - centre[1]) / radii[1]
                    rz = (z - centre[2]) / radii[2]
                    q = rx * rx + ry * ry + rz * rz
                    if q < 1.0:
                        weight = (1.0 - q) * (1.0 - q)
                        x -= weight * breath[0]
                        y -= weight * breath[1]
                        z -= weight * breath[2]
                if kind == 2:
                    fx = (x - origins[field, 0]) / step
                    fy = (y - origins[field, 1]) / step
                    fz = (z - origins[field, 2]) / step
                    i, j, k = int(np.floor(fx)), int(np.floor(fy)), int(np.floor(fz))
                    if i < 0 or j < 0 or k < 0 or i >= width - 1 or j >= height - 1:
                        continue
                    if k >= depth - 1:
                        continue
                    fx -= i
                    fy -= j
                    fz -= k
                    at = first + (k * height + j) * width + i
                    up_row, up_slice = width, width * height
                    low = (1 - fy) * ((1 - fx) * values[at] + fx * values[at + 1]) + fy * (
                        (1 - fx) * values[at + up_row] + fx * values[at + up_row + 1]
                    )
                    at += up_slice
                    high = (1 - fy) * ((1 - fx) * values[at] + fx * values[at + 1]) + fy * (
                        (1 - fx) * values[at + up_row] + fx * values[at + up_row + 1]
                    )
                    value = (1 - fz) * low + fz * high
                    if p[1] < value <= p[2]:
                        out[row, column] = material
                    continue
                dx, dy, dz = x - p[0], y - p[1], z - p[2]
                if kind == 1:
                    a = p[3] * dx + p[4] * dy + p[5] * dz
                    b = p[6] * dx + p[7] * dy + p[8] * dz
                    c = p[9] * dx + p[10] * dy + p[11] * dz
                    if a * a + b * b + c * c > 1.0:
                        continue
                    if x * up[0] + y * up[1] + z * up[2] < p[12]:
                        continue
                    out[row, column] = material
                    continue
                length = p[6]
                s = dx * p[3] + dy * p[4] + dz * p[5]
                if p[17] > 0.5 and (s < 0.0 or s > length):
                    continue
                beyond = 0.0
                if s < 0.0:
                    beyond = s
                    s = 0.0
                elif s > length:
                    beyond = s - length
                    s = length
                share = s / length if length > 0.0 else 0.0
                wide = p[13] + share * (p[14] - p[13])
                thin = p[15] + share * (p[16] - p[15])
                a = (dx * p[7] + dy * p[8] + dz * p[9]) / wide
                b = (dx * p[10] + dy * p[11] + dz * p[12]) / thin
                c = beyond / min(wide, thin)
                if a * a + b * b + c * c > 1.0:
                    continue
                if p[18] > -1e8 and x * up[0] + y * up[1] + z * up[2] < p[18]:
                    continue
                out[row, column] = material


@numba.njit(cache=True, nogil=True)
def _gather(stack, hu, label, total, labels):  # type: ignore[no-untyped-def]
    """Mean HU and the most frequent label of each voxel's samples; ties to the first met."""
    n = stack.shape[0]
    count = n * n * n
    seen = np.zeros(count, dtype=np.uint8)
    for row in range(total.shape[0]):
        for column in range(total.shape[1]):
            value = 0.0
            filled = 0
            for a in range(n):
                for b in range(n):
                    for c in range(n):
                        material = stack[a, row * n + b, column * n + c]
                        value += hu[material]
                        seen[filled] = label[material]
                        filled += 1
            total[row, column] = value / count
            best, votes = seen[0], 0
            for a in range(count):
                same = 0
                for b in range(count):
                    if seen[b] == seen[a]:
                        same += 1
                if same > votes:
                    best, votes = seen[a], same
                if votes == count:
                    break
            labels[row, column] = best


def blurred(hu: npt.NDArray[np.float32], sigma_px: float) -> npt.NDArray[np.float32]:
    """The slice through the scanner's in-plane blur."""
    if sigma_px <= 0:
        return hu
    smooth: npt.NDArray[np.float32] = ndimage.gaussian_filter(hu, sigma_px, truncate=3.0)
    return smooth


def noise(shape: tuple[int, int], k: int, seed: int, pixel_mm: float) -> npt.NDArray[np.float32]:
    """Correlated noise of slice ``k`` with standard deviation 1.

    White noise, a little of the neighbouring slices' in it, smoothed in the plane as a soft
    kernel does.
    """
    mixed = np.zeros(shape, dtype=np.float32)
    for step, weight in ((-1, 0.35), (0, 1.0), (1, 0.35)):
        generator = np.random.Generator(np.random.PCG64([seed, k + step + 1]))
        mixed += weight * generator.standard_normal(shape, dtype=np.float32)
    sigma = 0.55 / pixel_mm
    smooth = ndimage.gaussian_filter(mixed, sigma, truncate=3.0)
    # The filter's gain is known: the sum of its squared weights.
    reach = int(3.0 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    gain = float((weights**2).sum() / weights.sum() ** 2) * np.sqrt(1.0 + 2 * 0.35**2)
    scaled: npt.NDArray[np.float32] = smooth / gain
    return scaled


__all__ = ["ELLIPSOID", "FIELD", "Painter", "blurred", "noise"]
