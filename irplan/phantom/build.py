"""The phantom put together: scene, slices, lesions, noise."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

from irplan.geometry import GridGeometry
from irplan.phantom import bones, soft, viscera
from irplan.phantom.fields import Forms
from irplan.phantom.lesions import LesionTruth, lesions_at
from irplan.phantom.materials import LABELS
from irplan.phantom.render import Painter, blurred, noise
from irplan.phantom.scene import Scene, Shapes
from irplan.phantom.shapes import StarShape
from irplan.phantom.spec import UP, Phantom, PhantomSpec
from irplan.phantom.vessels import Vessels
from irplan.tasks import SILENT, Task

#: Subsamples of a voxel along each axis for the share that a lesion fills.
LESION_SAMPLES = 6
#: Noise in air and lung is lower than in soft tissue: the detector sees more.
AIR_NOISE = 0.05
STORED_HU = (-1024, 3071)


@lru_cache(maxsize=6)
def scene_of(up: tuple[float, float, float], contrast: bool, seed: int) -> Shapes:
    """The reference patient as shapes, in the order of painting."""
    scene, forms = Scene(), Forms()
    vessels = Vessels(scene, contrast, seed)
    soft.paint_table(scene, up)
    soft.paint_soft(scene, forms)
    viscera.paint_neck(scene)
    viscera.paint_lungs(scene, forms)
    viscera.paint_liver(scene, forms)
    viscera.paint_organs(scene, forms)
    viscera.paint_bowel(scene, up)
    vessels.paint_heart()
    vessels.paint_belly()
    vessels.paint_liver()
    bones.paint_spine(scene)
    bones.paint_ribs(scene)
    bones.paint_shoulders(scene, forms)
    bones.paint_pelvis(scene, forms)
    vessels.paint_trunk()
    viscera.paint_airways(scene, seed)
    vessels.paint_lungs()
    return scene.finish()


def build_phantom(spec: PhantomSpec | None = None, task: Task = SILENT) -> Phantom:
    """Render one CT of the made-up patient with everything that is true about it.

    The same spec gives the same voxels, whatever the number of threads.

    Raises:
        Cancelled: the task was cancelled.
    """
    spec = spec or PhantomSpec()
    task = task.part("rendering the phantom")
    grid = spec.grid
    columns, rows, slices = grid.size
    painter = Painter(
        scene_of(UP[spec.position], spec.contrast, spec.seed),
        grid,
        spec.motion,
        spec.samples,
        UP[spec.position],
    )
    lesions = lesions_at(spec.timepoint)
    shares = [_Share(one, spec) for one in lesions]
    hu = np.empty((slices, rows, columns), dtype=np.int16)
    labels = np.empty((slices, rows, columns), dtype=np.uint8)
    lesion_labels = np.zeros((slices, rows, columns), dtype=np.uint8)
    necrosis = np.zeros((slices, rows, columns), dtype=bool)

    def render(k: int) -> None:
        values, names = painter.slice(k)
        for share in shares:
            share.blend(k, values, lesion_labels[k], necrosis[k])
        labels[k] = names
        hu[k] = _finish(values, k, spec)

    with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 8)) as pool:
        for done, _ in enumerate(pool.map(render, range(slices)), start=1):
            task.step(done, slices)
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=len(LABELS)))
    names = {int(label): LABELS[label] for label in present if label}
    return Phantom(spec, hu, grid, labels, lesion_labels, necrosis, names, lesions)


def _finish(values: npt.NDArray[np.float32], k: int, spec: PhantomSpec) -> npt.NDArray[np.int16]:
    pixel_mm = spec.grid.spacing_mm[0]
    image = blurred(values, spec.blur_mm / pixel_mm)
    if spec.noise_hu > 0:
        share = AIR_NOISE + (1.0 - AIR_NOISE) * np.clip((image + 1000.0) / 900.0, 0.0, 1.0)
        image = image + spec.noise_hu * share * noise(image.shape, k, spec.seed, pixel_mm)
    low, high = STORED_HU
    finished: npt.NDArray[np.int16] = np.clip(np.rint(image), low, high).astype(np.int16)
    return finished


class _Share:
    """How much of each voxel a lesion (and its core) fills, in the box that holds it."""

    def __init__(self, lesion: LesionTruth, spec: PhantomSpec) -> None:
        grid = spec.grid
        self._lesion = lesion
        centre = grid.to_index(lesion.centre_lps_mm)
        reach = lesion.shape.reach_mm / np.asarray(grid.spacing_mm) + 1.0
        size = np.asarray(grid.size)
        low = np.clip(np.floor(centre - reach), 0, size).astype(int)
        high = np.clip(np.ceil(centre + reach) + 1, 0, size).astype(int)
        self._low, self._high = low, high
        width, height, depth = np.maximum(high - low, 0).tolist()
        shape = (depth, height, width)
        self._whole = np.zeros(shape, dtype=np.float32)
        self._core = np.zeros(shape, dtype=np.float32)
        if 0 in shape:
            return
        k, j, i = np.indices(shape)
        index = np.stack([i, j, k], axis=-1) + low
        self._whole = _filled(lesion.shape, index, lesion, grid)
        if lesion.core is not None:
            self._core = _filled(lesion.core, index, lesion, grid)

    def blend(
        self,
        k: int,
        values: npt.NDArray[np.float32],
        labels: npt.NDArray[np.uint8],
        necrosis: npt.NDArray[np.bool_],
    ) -> None:
        """Lay the lesion over slice ``k`` by the share of each voxel that it fills."""
        at = k - self._low[2]
        if not 0 <= at < self._whole.shape[0]:
            return
        window = (slice(self._low[1], self._high[1]), slice(self._low[0], self._high[0]))
        whole, core = self._whole[at], self._core[at]
        lesion = self._lesion
        tissue = (whole - core) * lesion.hu + core * lesion.core_hu
        values[window] = values[window] * (1.0 - whole) + tissue
        labels[window][whole >= 0.5] = lesion.label
        necrosis[window] |= core >= 0.5


def _filled(
    shape: StarShape, index: npt.NDArray[np.int64], lesion: LesionTruth, grid: GridGeometry
) -> npt.NDArray[np.float32]:
    """The share of each voxel (index (..., 3) as i, j, k) that the shape fills, 0 to 1."""
    centre = np.asarray(lesion.centre_lps_mm)
    offsets = grid.to_lps(index) - centre
    filled: npt.NDArray[np.float32] = shape.contains(offsets).astype(np.float32)
    # Only voxels near the surface are sampled: a diagonal and a half holds the steepest lobes.
    near = np.abs(shape.beyond_mm(offsets)) < 1.5 * float(np.linalg.norm(grid.spacing_mm))
    border = index[near]
    count = np.zeros(len(border), dtype=np.float32)
    steps = (np.arange(LESION_SAMPLES) + 0.5) / LESION_SAMPLES - 0.5
    for dx, dy, dz in product(steps, repeat=3):
        count += shape.contains(grid.to_lps(border + np.array([dx, dy, dz])) - centre)
    filled[near] = count / LESION_SAMPLES**3
    return filled
