"""Lung nodules that need a way of their own: part-solid ones, and those on the chest wall.

A part-solid nodule has two steps, from its core to the ground glass and from there to the lung;
read as one, the ground glass counts as a share of core and the nodule comes out too small. Its HU
are cut off at those of the ground glass: the nodule then is one tissue.

On the chest wall no step shows where the nodule ends. The pleura beside it does: it is laid on over
the nodule as a smooth surface, and a nodule that lies flush on it ends there, or where a drawn line
ends beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from irplan.findings import Severity, declare
from irplan.geometry import BoolArray, FloatArray
from irplan.lesions.border import Border
from irplan.lesions.crop import Crop, Field, cut
from irplan.lesions.region import smoothed
from irplan.lesions.shape import Ellipsoid
from irplan.lesions.sphere import Sphere
from irplan.volume import CtVolume

STAGE = "lesions"

ON_CHEST_WALL = declare(
    "lesion_on_chest_wall",
    Severity.INFO,
    STAGE,
    "{lesion}: it lies on the chest wall and is taken to end at the pleura, which is not seen "
    "behind it; where it grows into the wall, draw a diameter to where it ends",
)
PART_SOLID = declare(
    "lesion_part_solid",
    Severity.INFO,
    STAGE,
    "{lesion}: a part-solid nodule; its volume holds the ground glass ({hu} HU) too",
)

#: Half way between aerated lung and soft tissue, HU.
SOFT_HU = -400.0
#: HU of ground glass; denser is solid.
GROUND_GLASS_HU = (-750.0, -300.0)
#: HU change less than this in a plateau, HU per mm; a blurred border of a solid nodule changes by
#: 170 even in slices of 5 mm.
PLATEAU_HU_MM = 80.0
#: A nodule is part-solid from these shares of its volume on.
GROUND_GLASS_SHARE, SOLID_SHARE = 0.12, 0.03
PART_SOLID_RADIUS = 0.95
#: Ground glass is denser than the lung around the nodule by this, HU.
GLASS_OVER_LUNG_HU = 100.0
AROUND_RADII = (1.15, 1.7)

#: The pleura is looked for this far from the middle, in largest half axes, and no less than this
#: beyond them, mm.
WALL_RADII, WALL_MM, WALL_VOXELS = 2.2, 12.0, 45
#: Beyond this radius of the ellipsoid the pleura is not the nodule's own border.
BESIDE_RADIUS = 1.2
#: Vessels and other thin parts do not belong to the wall: it is thicker than this (radius), mm.
WALL_THICK_MM = 3.5
#: The wall takes at least this share of what is seen, and its pleura lies on at least so many of
#: the eight sides of the nodule.
WALL_SHARE, WALL_SIDES = 0.06, 5
#: A direction is followed this far for the wall, in radii.
WALL_FARTHEST = 1.7
WALL_POINTS = 40
#: Pleura is smooth: points within this of the surface laid through it fit, and how many must, mm.
SMOOTH_MM, SMOOTH_SHARE = 1.2, 0.6
#: A drawn line may end this far from the pleura by a slip of the hand; farther beyond it than this
#: the lesion grows into the wall and is not cut, mm.
SLIP_MM, INTO_WALL_MM = 1.0, 5.0


@dataclass(frozen=True)
class Wall:
    """The inner face of the chest wall as a height over a plane.

    Attributes:
        origin_mm: (3,) of the plane, grid frame.
        axes: (3, 3); columns are two directions in the plane and the one into the wall.
        terms: (6,) of the height: constant, u, v, u², uv, v²; mm.
        pleura_mm: how far before it the pleura lies: 0, or more where a line was drawn beyond it.
    """

    origin_mm: FloatArray
    axes: FloatArray
    terms: FloatArray
    pleura_mm: float = 0.0

    def beyond_mm(self, points_mm: FloatArray) -> FloatArray:
        """How far points (..., 3) lie in the wall, along its direction; negative before it."""
        u, v, height = np.moveaxis((points_mm - self.origin_mm) @ self.axes, -1, 0)
        return np.asarray(height - _terms(u, v) @ self.terms)

    def moved(self, by_mm: float) -> Wall:
        """The wall pushed away from the lung."""
        terms = self.terms.copy()
        terms[0] += by_mm
        return Wall(self.origin_mm, self.axes, terms, self.pleura_mm + by_mm)


def _terms(u: FloatArray, v: FloatArray) -> FloatArray:
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=-1)


def ground_glass_hu(crop: Crop, radius: FloatArray) -> float | None:
    """HU of the ground glass of a part-solid nodule; ``None`` for any other.

    Args:
        crop: of the nodule.
        radius: of its voxels in units of the ellipsoid of the gestures.
    """
    hu = smoothed(crop, 0.8)
    own = (radius < PART_SOLID_RADIUS) & crop.in_field
    slope = np.linalg.norm(np.stack(list(np.gradient(hu, crop.step_mm))), axis=0)
    low, high = GROUND_GLASS_HU
    glass = own & (hu > low) & (hu < high) & (slope < PLATEAU_HU_MM)
    count = np.count_nonzero(own)
    if np.count_nonzero(glass) < GROUND_GLASS_SHARE * count:
        return None
    if np.count_nonzero(own & (hu >= high)) < SOLID_SHARE * count:
        return None
    level = float(np.median(hu[glass]))
    around = hu[(radius > AROUND_RADII[0]) & (radius < AROUND_RADII[1]) & crop.in_field]
    lung = around[around < GROUND_GLASS_HU[0] + GLASS_OVER_LUNG_HU]
    if lung.size == 0 or level - float(np.median(lung)) < GLASS_OVER_LUNG_HU:
        return None
    return level


def find_wall(volume: CtVolume, shape: Ellipsoid, ends_mm: FloatArray) -> Wall | None:
    """The chest wall that a nodule lies on, from the pleura beside it.

    Args:
        volume: the CT.
        shape: where the nodule is looked for, grid frame.
        ends_mm: (n, 3) ends of the drawn lines, grid frame; n may be 0.

    Returns:
        ``None`` where no wall is near, its face is not smooth or not seen on enough sides, or a
        line was drawn into it.
    """
    reach = max(WALL_RADII * shape.half_mm.max(), shape.half_mm.max() + WALL_MM)
    crop = cut(volume, shape.centre_mm - reach, shape.centre_mm + reach, WALL_VOXELS)
    points = crop.points_mm
    beside = (shape.radius(points) > BESIDE_RADIUS) & crop.in_field
    hu = smoothed(crop, 0.8)
    mass = _thick(hu > SOFT_HU, crop.step_mm) & beside
    if np.count_nonzero(mass) <= WALL_SHARE * np.count_nonzero(beside):
        return None
    into = points[mass].mean(axis=0) - shape.centre_mm
    axes = _frame(into / np.linalg.norm(into))
    face = _face_mm(hu, crop, mass, axes[:, 2])
    wall = _laid(face, shape.centre_mm, axes)
    if wall is None or float(wall.beyond_mm(shape.centre_mm)) > 0.0:
        return None
    past = float(wall.beyond_mm(ends_mm).max(initial=-np.inf))
    if past > INTO_WALL_MM:
        return None
    return wall.moved(max(0.0, past - SLIP_MM))


def ends_at_wall(
    border: Border,
    believed: FloatArray,
    crop: Crop,
    shape: Ellipsoid,
    wall: Wall,
    sphere: Sphere,
) -> Border:
    """The border, on the wall in every direction that meets the wall before it meets lung.

    Between the pleura and a line's end beyond it the nodule is as round as it is believed to be, in
    the size that its clear border shows.

    Args:
        border: what the image shows by direction of ``sphere``.
        believed: (n,) radius by direction as gestures, shape and HU give it.
        crop: HU around the nodule.
        shape: the ellipsoid in whose units the radii are.
        wall: the chest wall.
        sphere: the directions.
    """
    radii = np.linspace(0.0, WALL_FARTHEST, 86)
    rays = (sphere.directions * shape.half_mm) @ shape.axes.T
    points = shape.centre_mm + rays[:, None, :] * radii[None, :, None]
    height = wall.beyond_mm(points)
    beyond = height > 0.0
    air = crop.sample(crop.hu, points) <= SOFT_HU
    last = len(radii) - 1
    far, lung, pleura = (
        np.where(one.any(axis=1), one.argmax(axis=1), last)
        for one in (beyond, air, height > -wall.pleura_mm)
    )
    meets = beyond.any(axis=1) & (far <= lung)
    clear = ~meets & (border.clear > 0.5)
    size = border.radius[clear].mean() / believed[clear].mean() if clear.any() else 1.0
    ends = np.clip(size * believed, radii[pleura], radii[far])
    before = np.minimum(border.radius, radii[far])
    return replace(
        border,
        radius=np.where(meets, ends, before),
        clear=np.where(meets, 1.0, border.clear),
    )


def _thick(soft: BoolArray, step_mm: float) -> BoolArray:
    """What is left of a mask without its thin parts: an opening by a ball."""
    depth = ndimage.distance_transform_edt(np.pad(soft, 1, mode="edge"))[1:-1, 1:-1, 1:-1]
    deep = depth * step_mm > WALL_THICK_MM
    if not deep.any():
        return np.asarray(deep)
    gap = ndimage.distance_transform_edt(~deep) * step_mm
    return np.asarray(soft & (gap <= WALL_THICK_MM))


def _frame(direction: FloatArray) -> FloatArray:
    """Orthonormal axes whose third is a direction."""
    helper = np.eye(3)[int(np.argmin(np.abs(direction)))]
    first = np.cross(direction, helper)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(direction, first), direction], axis=1)


def _face_mm(hu: Field, crop: Crop, mass: BoolArray, into: FloatArray) -> FloatArray:
    """Places on the face of a mass that looks against a direction, finer than voxels; (n, 3)."""
    at_lung = mass & ndimage.binary_dilation(hu <= SOFT_HU)
    slope = np.stack(list(np.gradient(hu, crop.step_mm))[::-1], axis=-1)[at_lung]
    size = np.maximum(np.linalg.norm(slope, axis=-1), 1.0)
    step = ((hu[at_lung] - SOFT_HU) / size**2)[:, None] * slope
    facing = (slope @ into > 0.4 * size) & (np.linalg.norm(step, axis=-1) < 2.0 * crop.step_mm)
    return np.asarray((crop.points_mm[at_lung] - step)[facing])


def _laid(face_mm: FloatArray, origin_mm: FloatArray, axes: FloatArray) -> Wall | None:
    """A smooth surface through places on the pleura, odd ones left out."""
    if len(face_mm) < WALL_POINTS:
        return None
    u, v, height = ((face_mm - origin_mm) @ axes).T
    terms, weight = _terms(u, v), np.ones(len(u))
    scale = np.array([1.0, *[1.0 / np.hypot(u, v).max()] * 2, *[np.hypot(u, v).max() ** -2] * 3])
    found = np.zeros(6)
    gap = np.zeros(len(u))
    for _ in range(8):
        scaled = terms * scale * weight[:, None]
        gram = scaled.T @ (terms * scale) + 1e-3 * len(u) * np.diag([0, 0.01, 0.01, 1, 1, 1])
        found = np.linalg.solve(gram, scaled.T @ height) * scale
        gap = np.abs(height - terms @ found)
        spread = max(SMOOTH_MM / 2.0, 1.4826 * float(np.median(gap)))
        weight = np.maximum(0.0, 1.0 - (gap / (3.0 * spread)) ** 2) ** 2
    fits = gap < SMOOTH_MM
    sides = np.unique(np.floor(np.arctan2(v[fits], u[fits]) / (np.pi / 4.0)))
    if np.mean(fits) < SMOOTH_SHARE or len(sides) < WALL_SIDES:
        return None
    return Wall(origin_mm, axes, found)
