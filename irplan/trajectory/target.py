"""Where in a lesion an injection goes: its solid part, away from border and necrosis."""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan.anatomy.morphology import grown
from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.lesions.lesion import Lesion, LesionMask
from irplan.lesions.necrosis import behind_border
from irplan.trajectory.constraints import Constraints
from irplan.trajectory.skin import on_raster
from irplan.volume import CtVolume

#: Air in or at a lesion of the lung is no solid tumour, HU.
AIR_HU = -400
#: Smoothing before necrosis is told from noise, mm.
NECROSIS_SIGMA_MM = 1.5
#: Necrosis is at least this much darker than the solid part, HU.
NECROSIS_STEP_HU = 25.0
#: The border of necrosis is looked for this far around its core, mm.
NECROSIS_REACH_MM = 4.0
#: A place nearer to the border than this share of the deepest place is not a target where deeper
#: ones are.
INNER_SHARE = 0.5
MAX_TARGETS = 28


@dataclass(frozen=True)
class Target:
    """One lesion as the search sees it.

    Attributes:
        mask: its voxels.
        solid: bool (z, y, x) of the mask's box: tumour that is neither necrotic nor air.
        depth_mm: (z, y, x) of the box: distance of a solid voxel's centre to the nearest face of a
            voxel that is not solid; 0 elsewhere.
        inner: bool (z, y, x) of the box: where a deposit may lie.
        points_lps_mm: (n, 3) places for a needle's tip, the deepest first.
        point_depth_mm: (n,) their depth inside the solid part.
        necrotic_share: share of the lesion that is necrotic or air.
    """

    lesion_id: str
    mask: LesionMask
    solid: BoolArray
    depth_mm: npt.NDArray[np.float32]
    inner: BoolArray
    points_lps_mm: FloatArray
    point_depth_mm: FloatArray
    necrotic_share: float

    @property
    def grid(self) -> GridGeometry:
        """Grid of the box."""
        return self.mask.box_grid

    def inner_at(self, points_lps_mm: FloatArray) -> tuple[BoolArray, FloatArray]:
        """Whether points (n, 3), LPS mm, lie where a deposit may lie, and how deep each lies."""
        index = np.rint(self.grid.to_index(points_lps_mm)).astype(int)
        within = np.all((index >= 0) & (index < np.asarray(self.grid.size)), axis=1)
        inside = np.zeros(len(points_lps_mm), dtype=bool)
        depth = np.zeros(len(points_lps_mm))
        i, j, k = index[within].T
        inside[within] = self.inner[k, j, i]
        depth[within] = self.depth_mm[k, j, i]
        return inside, depth


def find_target(lesion: Lesion, volume: CtVolume, constraints: Constraints) -> Target:
    """The solid part of a lesion and the places for a tip.

    Raises:
        ValueError: the lesion has no voxels.
    """
    if lesion.mask is None:
        raise ValueError(f"{lesion.lesion_id} has no voxels")
    mask = lesion.mask
    solid = _solid(mask, volume, constraints.value("necrosis_hu"))
    border = mask.voxels & (_depth(mask.voxels, mask.grid) > 0)
    if not solid.any():
        # Nothing solid is left to aim at: the whole lesion is the target, and a finding says so.
        solid = border
    from_border = _depth(mask.voxels, mask.grid)
    from_necrosis = _depth(solid | ~mask.voxels, mask.grid, outside=True)
    depth = np.where(solid, np.minimum(from_border, _depth(solid, mask.grid)), 0.0)
    wanted = (from_border >= constraints.value("border_mm")) & (
        from_necrosis >= constraints.value("necrosis_mm")
    )
    inner = solid & wanted
    deepest = float(depth.max())
    if not inner.any():
        # The lesion is too small for the wished distances: as far inside as it goes.
        inner = solid & (depth >= INNER_SHARE * deepest)
    points, depths = _places(inner, depth, mask.box_grid)
    necrotic = 1.0 - float(np.count_nonzero(solid)) / float(np.count_nonzero(mask.voxels))
    return Target(
        lesion.lesion_id, mask, solid, depth.astype(np.float32), inner, points, depths, necrotic
    )


def _solid(mask: LesionMask, volume: CtVolume, necrosis_hu: float) -> BoolArray:
    """Tumour voxels that are neither air nor necrotic."""
    hu = volume.hu[mask.slices_zyx].astype(np.float32)
    inside = mask.voxels & (hu > AIR_HU)
    if not inside.any():
        return inside
    # Neither fat or air around the lesion nor the border that they make dark look like necrosis.
    spacing = mask.grid.spacing_zyx_mm
    clear = inside & behind_border(mask.voxels, spacing)
    if not clear.any():
        return inside
    sigma = [NECROSIS_SIGMA_MM / step for step in spacing]
    weight = ndimage.gaussian_filter(clear.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(np.where(clear, hu, 0.0), sigma) / np.maximum(weight, 1e-6)
    bright = float(np.percentile(smooth[clear], 75))
    core = clear & (smooth < min(necrosis_hu, bright - NECROSIS_STEP_HU))
    if not core.any():
        return inside
    # Its border lies half way to the solid part; smoothing alone would draw it too small.
    border_hu = (float(np.median(smooth[core])) + bright) / 2
    near = grown(core, NECROSIS_REACH_MM, spacing)
    # At the border of the lesion what is smoothed there tells of the clear voxels beside it.
    return np.asarray(inside & ~(near & (weight > 0) & (smooth < border_hu)))


def _depth(mask: BoolArray, grid: GridGeometry, outside: bool = False) -> npt.NDArray[np.float32]:
    """Distance in mm of each voxel's centre to the nearest face of a voxel that is not in the mask.

    What lies outside the box counts as not in the mask, unless ``outside``.
    """
    padded = np.pad(mask, 1, constant_values=outside)
    if padded.all():
        return np.full(mask.shape, np.inf, dtype=np.float32)
    field = edt.edt(
        np.ascontiguousarray(padded), anisotropy=grid.spacing_zyx_mm, black_border=False
    )
    # Centre to centre; the face lies at most half a voxel's diagonal nearer, at least half an edge.
    edge = min(grid.spacing_mm) / 2
    depth: npt.NDArray[np.float32] = np.maximum(field[1:-1, 1:-1, 1:-1] - edge, 0.0)
    return depth


def _places(
    inner: BoolArray, depth: npt.NDArray[np.float32], grid: GridGeometry
) -> tuple[FloatArray, FloatArray]:
    """Places for a tip: the deepest, then each farthest from those chosen (depth counts too)."""
    z, y, x = np.nonzero(inner)
    points = grid.to_lps(np.stack([x, y, z], axis=1))
    depths = depth[z, y, x].astype(float)
    chosen = [int(np.argmax(depths))]
    gap = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(MAX_TARGETS, len(points)):
        # A place deep inside is worth more than one as far from the others at the border.
        worth = np.minimum(gap, 12.0) + 1.0 * np.minimum(depths, 10.0)
        worth[gap < 3.0] = -1.0
        following = int(np.argmax(worth))
        if worth[following] < 0:
            break
        chosen.append(following)
        gap = np.minimum(gap, np.linalg.norm(points - points[following], axis=1))
    picked = on_raster(points[chosen])
    return picked, depths[chosen]
