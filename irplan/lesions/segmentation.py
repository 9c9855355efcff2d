"""From gestures to lesions: mask, volume with its band, measures and findings.

``segment`` answers each :class:`~irplan.lesions.gestures.Prompt` by itself:

1. a first gesture in air, in bone or outside the body gives a finding and no lesion;
2. the diameters give an ellipsoid; without any, the image around the click gives one;
3. the image refines it (:mod:`irplan.lesions.region`; lung nodules: :mod:`irplan.lesions.lung`);
4. clicks inside and outside correct the result near them;
5. how clear the border is and how far plausible surfaces lie apart gives the volume's band.

Nothing is random.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from irplan import units
from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.lesions.certainty import (
    Signs,
    agreement_of,
    certainty_of,
    uneven_rays,
    warnings_of,
)
from irplan.lesions.clicks import Sought, shape_of_clicks
from irplan.lesions.cores import dark_core
from irplan.lesions.crop import Crop, Field, cut
from irplan.lesions.gestures import Prompt, points_of
from irplan.lesions.kinds import SETTINGS
from irplan.lesions.lesion import Lesion, LesionKind, LesionMask, LesionSource
from irplan.lesions.line_fit import unmet_lines
from irplan.lesions.lung import ON_CHEST_WALL, PART_SOLID, find_wall, ground_glass_hu
from irplan.lesions.measurement import depth_of_point_mm, measure_lesion
from irplan.lesions.region import Region, learn, main_part, without
from irplan.lesions.shape import (
    Ellipsoid,
    ellipsoid_of_lines,
    ellipsoid_of_points,
    grid_mm,
)
from irplan.lesions.spans import gaps
from irplan.lesions.surface import Surface, find_surface, log_odds
from irplan.lesions.tissue import kind_of, refusal
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume

STAGE = "lesions"

NOTHING_FOUND = declare(
    "lesion_not_found",
    Severity.WARN,
    STAGE,
    "{lesion}: nothing like a lesion was found at the gestures; draw a diameter, or the mask",
)
LESIONS_OVERLAP = declare(
    "lesions_overlap",
    Severity.WARN,
    STAGE,
    "{first} and {second} share {shared_ml} mL: each lesion keeps its own voxels",
)

#: Voxels along the longest side of the crop.
CROP_VOXELS = 48
#: The crop reaches this many radii of the ellipsoid, and no less than EDGE_MM beyond it.
CROP_RADII = 1.75
EDGE_MM = 5.0
#: One line is looked around in a slimmer ellipsoid than its customary one: what is learned as
#: inside then holds less of what lies around.
LINE_SLIM = 0.9
#: Fewer voxels than this tell no shape.
REFIT_VOXELS = 30
#: Spread of the logarithm of the volume by the number of diameters (0 to 3), where no border is
#: clear; and the share of it that stays where all of it is.
BAND_SPREAD = (0.70, 0.32, 0.19, 0.13)
BAND_CLEAR = 0.6


@dataclass(frozen=True)
class Segmentation:
    """Lesions with their masks and measures, and what was noticed.

    Attributes:
        lesions: in the order of the prompts; a refused prompt has none.
        findings: about prompts without a lesion and about the lesions together; each lesion
            carries its own findings too.
    """

    lesions: tuple[Lesion, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every prompt gave a lesion."""
        return not any(finding.code in REFUSALS for finding in self.findings)


REFUSALS = frozenset(
    (
        "click_outside_scan",
        "click_outside_body",
        "click_in_air",
        "click_in_bone",
        "click_on_vessel",
        "lesion_not_found",
    )
)


def segment(
    volume: CtVolume,
    prompts: Sequence[Prompt],
    body: BoolArray | None,
    task: Task = SILENT,
) -> Segmentation:
    """One measured lesion for each prompt that shows one.

    Args:
        volume: the CT.
        prompts: what a person drew; label n is the n-th prompt's, from 1.
        body: bool (z, y, x), the patient (:func:`irplan.body.find_body`); ``None`` where unknown.
        task: progress and cancelling, one step a lesion.

    Returns:
        The lesions, source ``segmented``, each with a volume band.
    """
    lesions: list[Lesion] = []
    findings: list[Finding] = []
    for number, prompt in enumerate(prompts, start=1):
        task.step(number - 1, len(prompts))
        answer = segment_one(volume, prompt, body, label=number)
        if isinstance(answer, Finding):
            findings.append(answer)
        else:
            lesions.append(answer)
    task.step(len(prompts), len(prompts))
    findings += overlaps(lesions)
    return Segmentation(tuple(lesions), tuple(findings))


def segment_one(
    volume: CtVolume, prompt: Prompt, body: BoolArray | None, label: int
) -> Lesion | Finding:
    """The lesion of one prompt, or the finding that says why there is none."""
    refused = refusal(prompt, volume, body)
    if refused is not None:
        return refused
    look = looked(volume, prompt, body)
    mask = look.crop.to_mask(look.field) if look is not None else None
    if look is None or mask is None:
        return NOTHING_FOUND(prompt.lesion_id, lesion=prompt.lesion_id)
    drawn = len(prompt.diameters)
    certainty = certainty_of(signs_of(look), drawn)
    low, high = band_ml(mask.voxel_volume_ml, look.surface, drawn)
    lesion = Lesion(
        lesion_id=prompt.lesion_id,
        label=label,
        source=LesionSource.SEGMENTED,
        kind=look.kind,
        source_label=label,
        name=prompt.lesion_id,
        volume_ml=units.ml(mask.voxel_volume_ml),
        volume_low_ml=units.ml(low),
        volume_high_ml=units.ml(high),
        mask=mask,
        certainty=certainty,
        border_seen_share=look.surface.visible_share,
        findings=(
            *warnings_of(prompt.lesion_id, look.surface, certainty),
            *_of_the_lung(prompt.lesion_id, look),
            *(() if drawn else dark_core(prompt.lesion_id, look.crop, look.region, look.surface)),
            *gaps(prompt, volume),
            *unmet_lines(prompt, mask),
        ),
    )
    return measure_lesion(lesion, volume, body)


def _of_the_lung(lesion_id: str, look: Look) -> list[Finding]:
    """What was assumed of a lung nodule."""
    found = [ON_CHEST_WALL(lesion_id, lesion=lesion_id)] if look.on_wall else []
    if math.isfinite(look.region.top_hu):
        found.append(PART_SOLID(lesion_id, lesion=lesion_id, hu=round(look.region.top_hu)))
    return found


@dataclass(frozen=True)
class Look:
    """What one look at the image gave.

    Attributes:
        kind: given by the prompt, or chosen by where the lesion lies.
        crop: the HU around the lesion.
        radius: ``surface.shape.radius`` of the crop's voxels, (z, y, x).
        region: what was learned from the HU.
        surface: the lesion's surface.
        field: how likely each voxel is to lie in the lesion, 0 to 1, (z, y, x).
        agreement: Dice with the ellipsoid the lesion was looked for in.
        on_wall: whether it was taken to end at the chest wall.
        uneven: how much rays from a click, or from the middle of the lines, differ in where they
            end.
    """

    kind: LesionKind
    crop: Crop
    radius: FloatArray
    region: Region
    surface: Surface
    field: Field
    agreement: float
    on_wall: bool
    uneven: float = 0.0


def signs_of(look: Look) -> Signs:
    """What tells how sure the mask of a look is."""
    step_hu = float(np.median(np.abs(look.surface.step_hu)))
    to_spread = step_hu / look.region.spread_hu
    return Signs(look.region.separation, look.agreement, to_spread, look.uneven)


def looked(volume: CtVolume, prompt: Prompt, body: BoolArray | None) -> Look | None:
    """The lesion of a prompt as a field on its crop, before it is measured: one look, or two.

    ``None`` where clicks alone show no border within CLICK_REACH_MM in most directions.
    """
    found = sought(volume, prompt)
    if found is None:
        return None
    shape = found.shape
    if len(prompt.diameters) == 1:
        shape = replace(shape, half_mm=shape.half_mm * np.array([1.0, LINE_SLIM, LINE_SLIM]))
    look = look_at(volume, prompt, body, shape)
    uneven = uneven_rays(look.crop, shape) if prompt.diameters else found.uneven
    inside = look.field > 0.5
    if len(prompt.diameters) < 3 and np.count_nonzero(inside) > REFIT_VOXELS:
        # What was found shows the extent better than a click or one line: look once more.
        shape = ellipsoid_of_points(look.crop.points_mm[inside])
        look = look_at(volume, prompt, body, shape, again=True)
    return replace(look, uneven=uneven)


def sought(volume: CtVolume, prompt: Prompt) -> Sought | None:
    """Where the gestures of a prompt show the lesion, before the image refines it."""
    grid = volume.geometry
    if prompt.diameters:
        return Sought(
            ellipsoid_of_lines(
                [
                    (grid_mm(grid, line.start_lps_mm), grid_mm(grid, line.end_lps_mm))
                    for line in prompt.diameters
                ]
            )
        )
    return shape_of_clicks(volume, grid_mm(grid, np.array(prompt.clicks_inside)))


def _crop(volume: CtVolume, shape: Ellipsoid, prompt: Prompt) -> Crop:
    half = np.maximum(shape.box_half_mm * CROP_RADII, shape.box_half_mm + EDGE_MM)
    low, high = shape.centre_mm - half, shape.centre_mm + half
    inside = prompt.clicks_inside
    if inside:
        points = grid_mm(volume.geometry, np.array(inside))
        low = np.minimum(low, points.min(axis=0) - EDGE_MM)
        high = np.maximum(high, points.max(axis=0) + EDGE_MM)
    return cut(volume, low, high, CROP_VOXELS)


def look_at(
    volume: CtVolume,
    prompt: Prompt,
    body: BoolArray | None,
    shape: Ellipsoid,
    again: bool = False,
) -> Look:
    """Look for the lesion about an ellipsoid.

    Args:
        volume: the CT.
        prompt: its kind, its number of diameters and its marks are used.
        body: bool (z, y, x), the patient; ``None`` where unknown.
        shape: where the lesion is looked for, grid frame.
        again: whether the ellipsoid is of what a first look found.
    """
    crop = _crop(volume, shape, prompt)
    points = crop.points_mm
    radius = shape.radius(points)
    grid = volume.geometry
    kind = prompt.kind
    if kind is None:
        centre = grid.to_lps(shape.centre_mm / np.asarray(grid.spacing_mm))
        kind = kind_of(crop, shape, radius, depth_of_point_mm(centre, grid, body))
    settings = SETTINGS[kind].drawn(len(prompt.diameters))
    ends = _line_ends(volume, prompt)
    wall = find_wall(volume, shape, ends) if kind is LesionKind.LUNG else None
    top_hu = ground_glass_hu(crop, radius) if kind is LesionKind.LUNG else None
    if top_hu is not None:
        crop = replace(crop, hu=np.minimum(crop.hu, np.float32(top_hu)))
    region = learn(crop, shape, radius)
    if top_hu is not None:
        region = replace(region, top_hu=top_hu)
    if wall is not None:
        region = without(region, wall.beyond_mm(points) > 0.0)
    prior = settings.again if again else settings.prior
    surface = find_surface(crop, shape, region, settings, prior, ends, wall)
    odds = log_odds(crop, surface, region, radius, settings)
    seeds = radius < 0.6
    for mark in prompt.marks:
        gap = gap_mm(points, grid_mm(grid, np.array(points_of(mark))))
        if mark.inside:
            seeds |= gap <= crop.step_mm
        odds = _corrected(odds, gap, mark.inside, crop.step_mm)
    field: Field = (1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0)))).astype(np.float32)
    field[~crop.in_field] = 0.0
    field = main_part(field, seeds)
    agreement = agreement_of(field, radius)
    return Look(kind, crop, radius, region, surface, field, agreement, wall is not None)


def _line_ends(volume: CtVolume, prompt: Prompt) -> FloatArray:
    """The ends of all lines, grid frame mm, (n, 3)."""
    ends = [end for line in prompt.diameters for end in (line.start_lps_mm, line.end_lps_mm)]
    return grid_mm(volume.geometry, np.array(ends, dtype=float).reshape(-1, 3))


def gap_mm(points_mm: FloatArray, marked_mm: FloatArray) -> FloatArray:
    """Distance of points (..., 3) to the nearest of the marked points (n, 3), mm."""
    if len(marked_mm) == 1:
        one: FloatArray = np.linalg.norm(points_mm - marked_mm[0], axis=-1)
        return one
    return np.asarray(cKDTree(marked_mm).query(points_mm)[0], dtype=float)


def _corrected(odds: FloatArray, gap_mm: FloatArray, inside: bool, step_mm: float) -> FloatArray:
    """The log odds pushed to the right side around a mark, as far as the mask was wrong there."""
    wrong = (odds <= 0) if inside else (odds > 0)
    at_mark = gap_mm <= max(float(gap_mm.min()), 0.6 * step_mm)
    if not wrong[at_mark].any():
        reach = 2.0 * step_mm
    else:
        right = ~wrong & ~at_mark
        reach = float(gap_mm[right].min()) if right.any() else 5.0
    push = 6.0 * np.exp(-0.5 * (gap_mm / max(reach, 2.0 * step_mm)) ** 2)
    return odds + push if inside else odds - push


def band_ml(volume_ml: float, surface: Surface, diameters: int) -> tuple[float, float]:
    """Volume between which the true one is meant to lie nine times in ten, mL.

    The logarithm of the volume is given a spread: a part that stands for the gestures (by the
    number of diameters; measured on real lesions, see docs/decisions), smaller where the border is
    clear, and a part for the surfaces that fit the image nearly as well.
    """
    clear = float(np.mean(surface.clear))
    gestures = BAND_SPREAD[min(diameters, 3)]
    gestures *= BAND_CLEAR + (1.0 - BAND_CLEAR) * (1.0 - clear)
    surfaces = surface.belief.volume_spread(1.0 - surface.clear)
    factor = math.exp(1.645 * math.hypot(gestures, surfaces))
    return volume_ml / factor, volume_ml * factor


def overlaps(lesions: Sequence[Lesion]) -> list[Finding]:
    """A finding for each pair of lesions that share voxels."""
    found: list[Finding] = []
    for number, first in enumerate(lesions):
        for second in lesions[number + 1 :]:
            if first.mask is None or second.mask is None:
                continue
            shared = shared_voxels(first.mask, second.mask)
            if shared:
                shared_ml = units.ml(shared * first.mask.grid.voxel_ml)
                found.append(
                    LESIONS_OVERLAP(
                        first.lesion_id,
                        first=first.lesion_id,
                        second=second.lesion_id,
                        shared_ml=shared_ml,
                    )
                )
    return found


def shared_voxels(first: LesionMask, second: LesionMask) -> int:
    """How many voxels two masks on one grid share."""
    spans_first, spans_second = [], []
    for one, other in zip(first.slices_zyx, second.slices_zyx, strict=True):
        low, high = max(one.start, other.start), min(one.stop, other.stop)
        if low >= high:
            return 0
        spans_first.append(slice(low - one.start, high - one.start))
        spans_second.append(slice(low - other.start, high - other.start))
    both = first.voxels[tuple(spans_first)] & second.voxels[tuple(spans_second)]
    return int(np.count_nonzero(both))


def label_map(lesions: Sequence[Lesion], grid: GridGeometry) -> np.ndarray:
    """One label per lesion on ``grid``, uint16 (z, y, x), 0 elsewhere.

    Where lesions share voxels the lower label keeps them: a label map cannot hold both, the
    DICOM SEG can.

    Raises:
        ValueError: a mask lies on another grid, or a lesion has no label.
    """
    labels = np.zeros(grid.shape_zyx, dtype=np.uint16)
    for lesion in sorted(lesions, key=lambda item: -(item.label or 0)):
        if lesion.mask is None:
            continue
        if lesion.label is None or not lesion.mask.grid.same_grid(grid):
            raise ValueError(f"lesion {lesion.lesion_id} has no label or lies on another grid")
        labels[lesion.mask.slices_zyx][lesion.mask.voxels] = lesion.label
    return labels
