"""What lies under a gesture: air, bone, outside the patient; and the kind of the tissue around.

The first gesture of a lesion is checked here before anything is segmented: a click in plain air,
in bone or outside the body shows no lesion.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.lesions.crop import Crop, cut
from irplan.lesions.gestures import Box, Click, Diameter, Prompt, Scribble
from irplan.lesions.lesion import LesionKind
from irplan.lesions.region import smoothed
from irplan.lesions.shape import Ellipsoid, grid_mm
from irplan.lesions.sphere import directions
from irplan.lesions.tubes import CLICK_ON_VESSEL, on_vessel
from irplan.volume import CtVolume

#: Median HU within PROBE_MM of a click below which it lies in air: under ground glass (-750 to
#: -300 HU), above lung (-900 to -800 HU).
AIR_HU = -700
#: Median HU from which on a click lies in bone. Contrast in arteries reaches it too: a click
#: there shows no lesion either.
BONE_HU = 280
#: Cortical bone round a click in marrow, HU.
CORTEX_HU = 350
#: Marrow is at least this dense, HU; soft tissue in front of a rib may be looked at from there.
MARROW_HU = 110
#: Share of directions in which a ray out of marrow meets cortex before it meets soft tissue.
CORTEX_SHARE = 0.6
#: Radius of the probe at a click, mm.
PROBE_MM = 2.0
#: A ray out of marrow is followed this far, mm.
MARROW_REACH_MM = 25.0

STAGE = "lesions"

CLICK_OUTSIDE_SCAN = declare(
    "click_outside_scan",
    Severity.WARN,
    STAGE,
    "{lesion}: the first gesture lies outside the scan; there is no lesion",
)
CLICK_OUTSIDE_BODY = declare(
    "click_outside_body",
    Severity.WARN,
    STAGE,
    "{lesion}: the first gesture lies outside the body; there is no lesion",
)
CLICK_IN_AIR = declare(
    "click_in_air",
    Severity.WARN,
    STAGE,
    "{lesion}: the first gesture lies in air ({hu} HU); there is no lesion",
)
CLICK_IN_BONE = declare(
    "click_in_bone",
    Severity.WARN,
    STAGE,
    "{lesion}: the first gesture lies in bone or as dense matter ({hu} HU); there is no lesion",
)


def refusal(prompt: Prompt, volume: CtVolume, body: BoolArray | None) -> Finding | None:
    """Why the prompt's first gesture shows no lesion, or ``None`` where it may.

    A click is judged where it lies, a diameter along its whole length, a box along the lines
    through its middle, a scribble along its path: their middle may well be a calcification or a
    hollow.
    """
    name = prompt.lesion_id
    grid = volume.geometry
    if not grid.contains(prompt.first_point_lps_mm):
        return CLICK_OUTSIDE_SCAN(name, lesion=name)
    first = prompt.first
    if isinstance(first, Click):
        points = np.array([first.point_lps_mm])
        probe = probe_hu(volume, first.point_lps_mm)
    else:
        points = _points_along(first)
        probe = _at(volume.hu, grid, points).astype(float)
    if body is not None and float(np.mean(_at(body, grid, points))) < 0.5:
        return CLICK_OUTSIDE_BODY(name, lesion=name)
    level = float(np.median(probe))
    if level < AIR_HU:
        return CLICK_IN_AIR(name, lesion=name, hu=round(level))
    if not isinstance(first, Click):
        return None  # a line or a box may run along or through bone
    if on_vessel(volume, points[0], level):
        return CLICK_ON_VESSEL(name, lesion=name, hu=round(level))
    if level > BONE_HU or (level > MARROW_HU and in_marrow(volume, points[0])):
        return CLICK_IN_BONE(name, lesion=name, hu=round(level))
    return None


def _points_along(gesture: Diameter | Box | Scribble) -> FloatArray:
    """Points about 1 mm apart along a line, the middle lines of a box, or a scribble; (n, 3)."""
    if isinstance(gesture, Scribble):
        return np.array(gesture.path_lps_mm, dtype=float)
    lines = gesture.diameters if isinstance(gesture, Box) else (gesture,)
    found = []
    for line in lines:
        part = np.linspace(0.0, 1.0, max(3, int(line.length_mm)))[:, None]
        ends = np.array([line.start_lps_mm, line.end_lps_mm])
        found.append(ends[0] * (1.0 - part) + ends[1] * part)
    return np.concatenate(found)


def _at(values: npt.NDArray[Any], grid: GridGeometry, points_lps_mm: FloatArray) -> np.ndarray:
    """The values of a (z, y, x) array in the voxels nearest to points (n, 3), edge held."""
    index = np.rint(grid.to_index(points_lps_mm)).astype(int)
    i, j, k = np.clip(index, 0, np.asarray(grid.size) - 1).T
    return np.asarray(values[k, j, i])


def probe_hu(volume: CtVolume, point_lps_mm: npt.ArrayLike) -> FloatArray:
    """HU of the voxels within :data:`PROBE_MM` of a point, the nearest voxel at least; (n,)."""
    grid = volume.geometry
    spacing = np.asarray(grid.spacing_mm)
    centre = grid.to_index(point_lps_mm)
    nearest = np.clip(np.rint(centre).astype(int), 0, np.asarray(grid.size) - 1)
    reach = np.floor(PROBE_MM / spacing).astype(int) + 1
    low = np.maximum(nearest - reach, 0)
    high = np.minimum(nearest + reach, np.asarray(grid.size) - 1)
    axes = [np.arange(low[axis], high[axis] + 1) for axis in range(3)]
    k, j, i = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    gaps = np.linalg.norm((np.stack([i, j, k], axis=-1) - centre) * spacing, axis=-1)
    values = volume.hu[low[2] : high[2] + 1, low[1] : high[1] + 1, low[0] : high[0] + 1]
    inside = gaps <= max(PROBE_MM, float(gaps.min()))
    probe: FloatArray = values[inside].astype(float)
    return probe


def rays(crop: Crop, centre_mm: FloatArray, reach_mm: float, step_mm: float) -> FloatArray:
    """HU along rays out of a centre, (100 directions, steps); the first value is the centre's."""
    distances = np.arange(0.0, reach_mm + 1e-9, step_mm)
    points = centre_mm + directions(100)[:, None, :] * distances[None, :, None]
    return crop.sample(crop.hu, points)


def ball(centre_mm: FloatArray, radius_mm: float) -> FloatArray:
    """(500, 3) points spread evenly in a ball."""
    shells = radius_mm * np.cbrt((np.arange(5) + 0.5) / 5.0)
    points: FloatArray = centre_mm + directions(100)[:, None, :] * shells[None, :, None]
    return points.reshape(-1, 3)


def in_marrow(volume: CtVolume, point_lps_mm: npt.ArrayLike) -> bool:
    """Whether most rays out of the point meet cortical bone before they meet soft tissue."""
    centre = grid_mm(volume.geometry, point_lps_mm)
    crop = cut(volume, centre - MARROW_REACH_MM, centre + MARROW_REACH_MM, 41)
    values = rays(crop, centre, MARROW_REACH_MM, 1.0)
    cortex = values > CORTEX_HU
    soft = values < 60.0
    first_cortex = np.where(cortex.any(axis=1), cortex.argmax(axis=1), values.shape[1])
    first_soft = np.where(soft.any(axis=1), soft.argmax(axis=1), values.shape[1])
    return float(np.mean(first_cortex < first_soft)) >= CORTEX_SHARE


#: The surroundings are read in the shell between these radii of the shape, smoothed by this.
AROUND_RADII = (1.05, 1.3)
AROUND_SMOOTH_MM = 2.0
#: A lesion whose surroundings hold this share of lung is a lung lesion.
LUNG_SHARE = 0.35
#: HU of aerated lung.
LUNG_HU = (-990, -500)
#: A lesion whose centre lies no deeper under the skin than its half diameter and this is of the
#: skin or subcutaneous, mm.
SKIN_MM = 5.0
#: HU of fat, and its share round a node.
FAT_HU = (-160, -30)
FAT_SHARE = 0.35
#: HU of an organ (liver, spleen, kidney), and the share of the surroundings within this many HU of
#: their median.
PARENCHYMA_HU = (40, 200)
PARENCHYMA_NARROW_HU = 30.0
PARENCHYMA_SHARE = 0.55


def kind_of(crop: Crop, shape: Ellipsoid, radius: FloatArray, depth_mm: float | None) -> LesionKind:
    """The kind that fits where the lesion lies, from the tissue in the shell around its shape.

    Args:
        crop: HU around the lesion.
        shape: its ellipsoid, grid frame.
        radius: ``shape.radius`` of the crop's voxels, (z, y, x).
        depth_mm: of its centre under the skin; ``None`` where unknown.
    """
    if depth_mm is not None and depth_mm <= float(np.median(shape.half_mm)) + SKIN_MM:
        return LesionKind.SKIN
    around = (radius > AROUND_RADII[0]) & (radius < AROUND_RADII[1]) & crop.in_field
    shell = smoothed(crop, AROUND_SMOOTH_MM)[around]
    if shell.size == 0:
        return LesionKind.SOFT
    if float(np.mean((shell > LUNG_HU[0]) & (shell < LUNG_HU[1]))) > LUNG_SHARE:
        return LesionKind.LUNG
    if float(np.mean((shell > FAT_HU[0]) & (shell < FAT_HU[1]))) > FAT_SHARE:
        return LesionKind.NODE
    level = float(np.median(shell))
    narrow = float(np.mean(np.abs(shell - level) < PARENCHYMA_NARROW_HU))
    if PARENCHYMA_HU[0] < level < PARENCHYMA_HU[1] and narrow > PARENCHYMA_SHARE:
        return LesionKind.LIVER
    return LesionKind.SOFT
