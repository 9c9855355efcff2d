"""One lesion of the older scan in the newer one: where it lies, and what is seen of it there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import edt
import numpy as np
from scipy import ndimage

from irplan import units
from irplan.followup.kept import (
    Laid,
    Reading,
    carried_band_ml,
    is_kept_as_mask,
    laid,
    stands_now,
)
from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.lesions.gestures import Diameter, Gesture, Prompt
from irplan.lesions.handwork import KeptMask
from irplan.lesions.lesion import Lesion, LesionKind, LesionMask
from irplan.lesions.segmentation import segment_one
from irplan.lesions.shape import Ellipsoid, ellipsoid_of_points
from irplan.registration import LocalMap, LocalRegistration, RigidMap, register_lesion
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume

#: Points of a lesion's surface that are carried, at most.
SURFACE_POINTS = 300
#: How often the newer scan is looked at again from what was found there, at most; and the change
#: of volume below which nothing new is to be found.
ROUNDS = 4
SETTLED = 0.02
#: The surroundings that a lesion is told from: from this to that distance outside it, mm.
SHELL_MM = (2.0, 7.0)
#: A lesion that differs less from its surroundings cannot be looked for by its HU.
LEAST_CONTRAST_HU = 20.0
#: Below this share of its older contrast a lesion is no longer seen. Customary setting.
GONE_SHARE = 0.35
#: A lesion below this share of its older volume, or whose middle lies farther from where it was
#: carried than its own radius and this, mm, was not found.
GONE_VOLUME = 0.05
ASTRAY_MM = 6.0


@dataclass(frozen=True)
class CarriedLesion:
    """One lesion of the older scan and what was found of it in the newer one.

    Attributes:
        old: as measured in the older scan.
        registration: of its surroundings.
        carried: the older lesion's own voxels laid into the newer scan; None where outside.
        prompt: the gestures that show it in the newer scan; None where it lies outside.
        new: what the segmenter found by them; None where nothing.
        kept: the mask that ``new`` has where the older one was laid there as it is; else None.
        image: what the segmenter found by the gestures, of a lesion whose older mask no gesture
            gives again; else None.
        reading: how the segmenter read that mask's lesion on the older scan; else None.
        contrast_old_hu, contrast_new_hu: median HU inside less that of the shell around it.
        seen: whether it is seen in the newer scan; None where its contrast never told.
    """

    old: Lesion
    registration: LocalRegistration
    carried: LesionMask | None
    prompt: Prompt | None
    new: Lesion | None
    contrast_old_hu: float
    contrast_new_hu: float | None
    seen: bool | None
    kept: KeptMask | None = None
    image: Lesion | None = None
    reading: Reading | None = None


def carry_lesion(
    lesion: Lesion,
    old: CtVolume,
    old_body: BoolArray,
    new: CtVolume,
    new_body: BoolArray,
    whole: RigidMap,
    label: int,
    task: Task = SILENT,
    drawn: Prompt | None = None,
) -> CarriedLesion:
    """Find a lesion of the older scan in the newer one.

    The ellipsoid of its voxels is carried by the local map and shown to the segmenter as three
    diameters. What that finds is shown to it again, until it stays: a lesion that has grown or
    shrunk is followed by the image, not held by its older size. Of a mask that no gesture gives
    again (imported, edited, a plug-in's) the segmenter reads the older scan too: where it finds
    that mask there and another size now, what it finds now stands. Otherwise the mask is laid into
    the newer scan as it is, and what the segmenter finds stands beside it.

    Args:
        lesion: of the older scan, with voxels.
        label: its label in the newer scan.
        drawn: gestures of a person on the newer scan; they take the place of the carried ones.

    Raises:
        ValueError: the lesion has no voxels.
    """
    if lesion.mask is None:
        raise ValueError(f"lesion {lesion.lesion_id} has no voxels to carry")
    points = surface_points_mm(lesion.mask)
    registration = register_lesion(
        lesion.lesion_id, points, old, old_body, new, new_body, whole, task
    )
    before = contrast_hu(old, lesion.mask, old_body)
    if registration.error_mm is None and drawn is None:
        return CarriedLesion(lesion, registration, None, None, None, before, None, None)
    carried = carried_mask(lesion.mask, registration.map, new)
    prompt = drawn or Prompt(
        lesion.lesion_id,
        lesion.kind,
        diameters_of(ellipsoid_of(lesion.mask), lesion.mask, registration.map),
    )
    prompt = replace(prompt, lesion_id=lesion.lesion_id)
    found = segment_one(new, prompt, new_body, label)
    if drawn is None and isinstance(found, Lesion):
        prompt, found = settled(prompt, found, new, new_body, label)
    segmented = found if isinstance(found, Lesion) else None
    after = None
    if segmented is not None and segmented.mask is not None:
        after = contrast_hu(new, segmented.mask, new_body)
    seen = True if drawn is not None else _seen(lesion, segmented, registration, before, after)
    here: Laid | None = None
    by_hand = drawn is None and carried is not None and is_kept_as_mask(lesion)
    reading = _read_before(lesion, old, old_body) if by_hand else None
    if carried is not None and by_hand and not (seen and stands_now(reading, segmented)):
        here = _laid(lesion, prompt, carried, segmented, new, new_body, label)
        if not seen and abs(before) >= LEAST_CONTRAST_HU:
            # An odd shape may be lost by the segmenter and still be there.
            after = contrast_hu(new, carried, new_body)
            seen = after / before >= GONE_SHARE
    made = segmented if here is None else here.lesion
    if made is not None:
        made = replace(made, name=lesion.name or made.name, site=lesion.site, side=lesion.side)
    return CarriedLesion(
        lesion, registration, carried, prompt, made, before, after, seen,
        None if here is None else here.kept, segmented if by_hand else None, reading,
    )  # fmt: skip


def _read_before(lesion: Lesion, old: CtVolume, body: BoolArray) -> Reading | None:
    """How the segmenter reads a lesion on the scan of its mask, asked as on the newer scan."""
    mask = lesion.mask
    assert mask is not None
    prompt = prompt_of_mask(lesion.lesion_id, lesion.kind, mask)
    found = segment_one(old, prompt, body, lesion.label or 1)
    if not isinstance(found, Lesion):
        return None
    _, found = settled(prompt, found, old, body, lesion.label or 1)
    return Reading.of(found, mask)


def _laid(
    lesion: Lesion,
    prompt: Prompt,
    carried: LesionMask,
    segmented: Lesion | None,
    new: CtVolume,
    body: BoolArray,
    label: int,
) -> Laid:
    """The older mask on the newer scan, its band wide enough for what the image shows."""
    image_ml = None if segmented is None else segmented.volume_ml
    band = carried_band_ml(units.ml(carried.voxel_volume_ml), image_ml)
    how = "carried by registration"
    return laid(prompt, carried, lesion.source, how, new, body, label, band)


def surface_points_mm(mask: LesionMask) -> FloatArray:
    """Centres of the border voxels, (n, 3) LPS mm, thinned evenly."""
    inner = ndimage.binary_erosion(mask.voxels)
    index = np.argwhere(mask.voxels & ~inner)[:, ::-1]
    step = max(1, -(-len(index) // SURFACE_POINTS))
    return mask.box_grid.to_lps(index[::step])


def carried_mask(mask: LesionMask, found: LocalMap, new: CtVolume) -> LesionMask | None:
    """The older lesion's voxels laid into the newer scan by the map; None where outside."""
    grid = new.geometry
    there = grid.to_index(found(surface_points_mm(mask)))
    low = np.clip(np.floor(there.min(axis=0)).astype(int) - 2, 0, grid.size)
    high = np.clip(np.ceil(there.max(axis=0)).astype(int) + 3, low, grid.size)
    if (high <= low).any():
        return None
    k, j, i = np.meshgrid(*(np.arange(low[a], high[a]) for a in (2, 1, 0)), indexing="ij")
    back = found.inverse_of(grid.to_lps(np.stack([i, j, k], axis=-1)))
    own = np.moveaxis(mask.box_grid.to_index(back)[..., ::-1], -1, 0)
    # With a rim of empty voxels: beyond the edge of its array nothing is interpolated, and a shift
    # of a fraction of a voxel would take the whole outermost layer of the lesion away.
    share = ndimage.map_coordinates(
        np.pad(mask.voxels, 1).astype(np.float32), own + 1.0, order=1, mode="constant", cval=0.0
    )
    inside = share >= 0.5
    if not inside.any():
        return None
    spans = ndimage.find_objects(inside.astype(np.uint8))[0]
    start = low + np.array([span.start for span in spans[::-1]])
    box = np.ascontiguousarray(inside[spans])
    return LesionMask(box, (int(start[0]), int(start[1]), int(start[2])), grid)


def contrast_hu(volume: CtVolume, mask: LesionMask, body: BoolArray) -> float:
    """Median HU of the lesion less the median of the tissue 2 to 7 mm around it, HU."""
    spacing = volume.geometry.spacing_zyx_mm
    room = [int(np.ceil(SHELL_MM[1] / step)) + 1 for step in spacing]
    box = tuple(
        slice(max(0, span.start - reach), min(size, span.stop + reach))
        for span, reach, size in zip(mask.slices_zyx, room, volume.hu.shape, strict=True)
    )
    inside = np.zeros(tuple(span.stop - span.start for span in box), dtype=bool)
    place = tuple(
        slice(span.start - outer.start, span.stop - outer.start)
        for span, outer in zip(mask.slices_zyx, box, strict=True)
    )
    inside[place] = mask.voxels
    gap = edt.edt((~inside).astype(np.uint8), anisotropy=spacing, black_border=False, parallel=1)
    shell = (gap >= SHELL_MM[0]) & (gap <= SHELL_MM[1]) & body[box]
    values = volume.hu[box]
    if not shell.any():
        return 0.0
    return float(np.median(values[inside]) - np.median(values[shell]))


def diameters_of(shape: Ellipsoid, mask: LesionMask, found: LocalMap) -> tuple[Gesture, ...]:
    """The three axes of an ellipsoid of the older scan as diameters in the newer one."""
    lines: list[Gesture] = []
    spacing = np.asarray(mask.grid.spacing_mm)
    for axis, half in zip(shape.axes.T, shape.half_mm, strict=True):
        ends = np.stack([shape.centre_mm - half * axis, shape.centre_mm + half * axis])
        start, end = np.round(found(mask.grid.to_lps(ends / spacing)), 2) + 0.0
        lines.append(
            Diameter(
                (float(start[0]), float(start[1]), float(start[2])),
                (float(end[0]), float(end[1]), float(end[2])),
            )
        )
    return tuple(lines)


def ellipsoid_of(mask: LesionMask) -> Ellipsoid:
    """The ellipsoid with the voxels' second moments, grid frame mm."""
    index = np.argwhere(mask.voxels)[:, ::-1] + np.asarray(mask.start)
    points = index * np.asarray(mask.grid.spacing_mm)
    if len(points) < 4:
        points = np.concatenate([points - 0.5, points + 0.5])
    shape = ellipsoid_of_points(points)
    # A diameter must have a length, however flat the lesion.
    return replace(shape, half_mm=np.maximum(shape.half_mm, 1.0))


def unmoved(grid: GridGeometry) -> LocalMap:
    """The map of a scan onto itself."""
    return LocalMap(RigidMap.identity(), np.zeros((2, 2, 2, 3)), grid.crop((0, 0, 0), (2, 2, 2)))


def prompt_of_mask(lesion_id: str, kind: LesionKind | None, mask: LesionMask) -> Prompt:
    """The diameters of a mask's own ellipsoid, as gestures on its scan."""
    return Prompt(lesion_id, kind, diameters_of(ellipsoid_of(mask), mask, unmoved(mask.grid)))


def settled(
    prompt: Prompt, found: Lesion, new: CtVolume, body: BoolArray, label: int
) -> tuple[Prompt, Lesion]:
    """The gestures and the lesion once looking again changes it no more."""
    still = unmoved(new.geometry)
    for _ in range(ROUNDS):
        if found.mask is None or found.volume_ml is None:
            break
        again = replace(prompt, gestures=diameters_of(ellipsoid_of(found.mask), found.mask, still))
        next_found = segment_one(new, again, body, label)
        if not isinstance(next_found, Lesion) or next_found.volume_ml is None:
            break
        change = abs(float(next_found.volume_ml) / float(found.volume_ml) - 1.0)
        prompt, found = again, next_found
        if change < SETTLED:
            break
    return prompt, found


def _seen(
    old: Lesion,
    new: Lesion | None,
    registration: LocalRegistration,
    before: float,
    after: float | None,
) -> bool | None:
    """Whether the newer scan shows the lesion; None where its contrast never told."""
    if new is None or after is None or old.volume_ml is None or new.volume_ml is None:
        return False
    if float(new.volume_ml) < GONE_VOLUME * float(old.volume_ml):
        return False
    if old.centroid_lps_mm is not None and new.centroid_lps_mm is not None:
        there = registration.map(np.asarray(old.centroid_lps_mm))
        radius = (old.diameter_3d_mm or 0.0) / 2.0
        if float(np.linalg.norm(there - np.asarray(new.centroid_lps_mm))) > radius + ASTRAY_MM:
            return False
    if abs(before) < LEAST_CONTRAST_HU:
        return None
    return after / before >= GONE_SHARE


__all__ = ["CarriedLesion", "carried_mask", "carry_lesion", "contrast_hu"]
