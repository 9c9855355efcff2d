"""A needle looked at: two planes that hold it whole, the eye behind it, and slices square to it.

All of it is data (grey pixels and marks, :mod:`irplan.export.pictures`), so that the report, the
window and the documentation draw the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from skimage import measure

from irplan.anatomy import Anatomy
from irplan.export.palette import kind_of
from irplan.export.pictures import (
    FINEST_PIXEL_MM,
    MARGIN_MM,
    PICTURE_PIXELS,
    SMALLEST_HALF_MM,
    Disc,
    Line,
    Mark,
    Picture,
    Text,
    biopsy_marks,
    deposit_marks,
    lesion_marks,
    nearest_structure,
    needle_marks,
    to_point,
    window_for,
    window_sentence,
)
from irplan.export.slices import label_outlines, sample_hu
from irplan.export.views import View, across_needle_view, along_needle_view, needle_view
from irplan.geometry import BoolArray, FloatArray, unit
from irplan.lesions.lesion import Lesion
from irplan.volume import CtVolume

#: Half the width of what the needle's eye sees, mm, and of the slices square to the needle.
EYE_HALF_MM = 32.0
SLICE_HALF_MM = 26.0
EYE_PIXELS = 440
SLICE_PIXELS = 260
#: Circles around the axis, mm.
RINGS_MM = (5, 10, 20)
#: Ticks along the needle, mm; every other one is numbered, on a long needle every fourth.
TICK_MM = 10
_FEW_NUMBERS_MM = 90.0
#: Slices square to the needle: shares of the way from the skin to the tip.
SLICE_SHARES = (0.25, 0.5, 0.75, 1.0)
#: Raster of the silhouettes of structures, mm.
_RASTER_MM = 1.0
#: At most so many structures are named in a picture, the nearest first.
MOST_NAMES = 8
_SHORTEST_OUTLINE = 12
#: In the needle's eye only what comes within the outer circle is named, and no more than these.
_EYE_NAMES = 4
#: No number stands nearer to the tip than this: the deposits' own stand there, mm.
_TICK_ROOM_MM = 6.0


@dataclass(frozen=True)
class NeedleViews:
    """All pictures along one needle.

    Attributes:
        level, upright: the two planes that hold the needle, the first near to axial.
        eye: along the needle from the entry.
        slices: square to the needle, from the skin to the tip.
    """

    level: Picture
    upright: Picture
    eye: Picture
    slices: tuple[Picture, ...]


def needle_views(
    needle: Mapping[str, Any],
    volume: CtVolume,
    lesions: Sequence[Lesion],
    anatomy: Anatomy | None,
    biopsies: Sequence[Mapping[str, Any]] = (),
) -> NeedleViews:
    """Every picture along a needle of the plan's document.

    Args:
        lesions: all lesions of the plan; those with a mask are outlined.
        anatomy: for the outlines of structures; may be absent.
        biopsies: those of the plan's document; the throw of this needle's own is drawn.
    """
    level, upright = oblique_pictures(needle, volume, lesions, anatomy, biopsies)
    return NeedleViews(
        level,
        upright,
        eye_picture(needle, volume, lesions, anatomy),
        square_slices(needle, volume, lesions, anatomy),
    )


def oblique_pictures(
    needle: Mapping[str, Any],
    volume: CtVolume,
    lesions: Sequence[Lesion],
    anatomy: Anatomy | None,
    biopsies: Sequence[Mapping[str, Any]] = (),
) -> tuple[Picture, Picture]:
    """The two planes that hold the needle whole and stand square to each other."""
    entry, tip = to_point(needle["entry_lps_mm"]), to_point(needle["tip_lps_mm"])
    half_mm = max(SMALLEST_HALF_MM, float(np.linalg.norm(tip - entry)) / 2.0 + MARGIN_MM)
    pixel_mm = max(FINEST_PIXEL_MM, 2.0 * half_mm / PICTURE_PIXELS)
    middle = 0.5 * (entry + tip)
    made = []
    for build, words in (
        (needle_view, "Plane along the needle, as near to axial as it can be"),
        (across_needle_view, "Plane along the needle, square to the first"),
    ):
        view = build(entry, tip, middle, half_mm, pixel_mm)
        marks = [
            *structure_marks(anatomy, needle, view),
            *lesion_marks(lesions, needle["lesion_ids"], view, entry),
            *needle_marks(entry, tip, view),
            *_ticks(entry, tip, view),
            *deposit_marks(needle["deposits"], view, names=True),
            *biopsy_marks(needle, biopsies, view),
        ]
        made.append(_picture(volume, view, marks, needle, lesions, words))
    return made[0], made[1]


def eye_picture(
    needle: Mapping[str, Any],
    volume: CtVolume,
    lesions: Sequence[Lesion],
    anatomy: Anatomy | None,
) -> Picture:
    """Along the needle from the entry: the silhouettes of what lies beside the shaft.

    The grey slice is the one at the tip. A silhouette is all of a structure between skin and tip,
    seen along the needle; its label says how near it comes and how deep that is. What the
    needle goes through is named in the caption and not outlined. The circles are distances from
    the axis.
    """
    entry, tip = to_point(needle["entry_lps_mm"]), to_point(needle["tip_lps_mm"])
    depth = float(np.linalg.norm(tip - entry))
    view = along_needle_view(entry, tip, depth, EYE_HALF_MM, 2.0 * EYE_HALF_MM / EYE_PIXELS)
    silhouettes, crossed = _silhouettes(anatomy, needle, entry, tip, view)
    marks = [
        *silhouettes,
        *lesion_marks(lesions, needle["lesion_ids"], view),
        *_rings(view, tip),
        *deposit_marks(needle["deposits"], view, spread=False),
        Disc(_middle(view, tip), 2.5, "needle", filled=True),
    ]
    words = f"From the entry along the needle; the slice is that at the tip, {depth:.0f} mm deep"
    if crossed:
        words += f"; crossed and not outlined: {', '.join(crossed)}"
    return _picture(volume, view, marks, needle, lesions, words)


def square_slices(
    needle: Mapping[str, Any],
    volume: CtVolume,
    lesions: Sequence[Lesion],
    anatomy: Anatomy | None,
) -> tuple[Picture, ...]:
    """Slices square to the needle at a quarter, half, three quarters and all of its depth."""
    entry, tip = to_point(needle["entry_lps_mm"]), to_point(needle["tip_lps_mm"])
    depth = float(np.linalg.norm(tip - entry))
    made = []
    for share in SLICE_SHARES:
        at = share * depth
        view = along_needle_view(entry, tip, at, SLICE_HALF_MM, 2.0 * SLICE_HALF_MM / SLICE_PIXELS)
        axis = entry + at * unit(tip - entry)
        marks = [
            *structure_marks(anatomy, needle, view),
            *lesion_marks(lesions, needle["lesion_ids"], view),
            *_rings(view, axis, RINGS_MM[:2]),
            Disc(_middle(view, axis), 2.0, "needle", filled=True),
        ]
        words = f"{at:.0f} mm deep" + (", the tip" if share == 1.0 else "")
        made.append(_picture(volume, view, marks, needle, lesions, words))
    return tuple(made)


def structure_marks(anatomy: Anatomy | None, needle: Mapping[str, Any], view: View) -> list[Mark]:
    """Outlines of every structure that the view cuts; the nearest to the needle are named."""
    if anatomy is None:
        return []
    closest = nearest_structure(needle)
    near = {name: float(value) for name, value in needle["clearance_mm"].items()}
    # Half the pixels: a label map is coarser than they are.
    coarse = View(
        view.corner_lps_mm,
        view.right,
        view.down,
        2.0 * view.mm_per_pixel,
        view.columns // 2,
        view.rows // 2,
    )
    present = _labels_in(anatomy, coarse)
    cut = [one for one in anatomy.structures if one.label in present]
    named = 0
    marks: list[Mark] = []
    for structure in sorted(cut, key=lambda one: (near.get(one.name, np.inf), one.name)):
        found = label_outlines(anatomy.labels, structure.label, anatomy.grid, coarse)
        lines = [2.0 * line for line in found if 2 * len(line) >= _SHORTEST_OUTLINE]
        role = "structure" if structure.name == closest else kind_of(structure.name)
        marks += [Line(_pixels(line), role) for line in lines]
        if lines and named < MOST_NAMES:
            place = _label_place(max(lines, key=len), view)
            marks.append(Text(place, words_of(structure.name), role, "below"))
            named += 1
    return marks


def _labels_in(anatomy: Anatomy, view: View) -> set[int]:
    """The labels that a view cuts."""
    index = np.rint(anatomy.grid.to_index(view.points_lps_mm)).astype(int)
    inside = np.all((index >= 0) & (index < np.asarray(anatomy.grid.size)), axis=-1)
    i, j, k = index[inside].T
    return {int(label) for label in np.unique(anatomy.labels[k, j, i])}


def words_of(structure: str) -> str:
    """A structure's name as people write it."""
    return structure.replace("_", " ")


def _label_place(line: FloatArray, view: View) -> tuple[float, float]:
    """The point of an outline nearest to the middle of the picture: where the eye looks."""
    middle = np.array([view.columns / 2.0, view.rows / 2.0])
    inside = (line > 0).all(axis=1) & (line[:, 0] < view.columns) & (line[:, 1] < view.rows)
    kept = line[inside] if inside.any() else line
    nearest = kept[int(np.argmin(np.linalg.norm(kept - middle, axis=1)))]
    return float(nearest[0]), float(nearest[1])


def _ticks(entry: FloatArray, tip: FloatArray, view: View) -> list[Mark]:
    """Centimetres along the needle from the skin, every other one with its number."""
    depth = float(np.linalg.norm(tip - entry))
    along = unit(tip - entry)
    start, end = view.to_pixel(entry), view.to_pixel(tip)
    across = np.array([-(end - start)[1], (end - start)[0]])
    across = across / max(float(np.linalg.norm(across)), 1e-9)
    every = 2 if depth <= _FEW_NUMBERS_MM else 4
    marks: list[Mark] = []
    for number in range(1, int(depth // TICK_MM) + 1):
        at = view.to_pixel(entry + number * TICK_MM * along)
        marks.append(Line(_pixels(np.stack([at - 4 * across, at + 4 * across])), "needle"))
        if number % every == 0 and depth - number * TICK_MM > _TICK_ROOM_MM:
            side = at + 4 * across
            anchor = "right" if across[0] >= 0 else "left"
            marks.append(Text(_pixel(side), f"{number * TICK_MM}", "needle", anchor))
    return marks


def _rings(view: View, axis: FloatArray, radii: Sequence[int] = RINGS_MM) -> list[Mark]:
    """Circles of known distance from the axis, each with its radius at its upper left."""
    x, y = _middle(view, axis)
    marks: list[Mark] = []
    for radius in radii:
        pixels = radius / view.mm_per_pixel
        marks.append(Disc((x, y), pixels, "ring"))
        shift = pixels * np.sqrt(0.5)
        marks.append(Text((x - shift, y - shift), f"{radius} mm", "ring", "left"))
    return marks


def _silhouettes(
    anatomy: Anatomy | None,
    needle: Mapping[str, Any],
    entry: FloatArray,
    tip: FloatArray,
    view: View,
) -> tuple[list[Mark], list[str]]:
    """Outlines of all that lies beside the shaft, seen along it; and what it goes through."""
    if anatomy is None:
        return [], []
    labels, flat, deep = _beside(anatomy, entry, tip, view)
    closest = nearest_structure(needle)
    found, crossed = [], []
    for structure in anatomy.structures:
        own = labels == structure.label
        if np.count_nonzero(own) < _SHORTEST_OUTLINE:
            continue
        off = np.linalg.norm(flat[own] - view.to_pixel(tip), axis=1) * view.mm_per_pixel
        if structure.name in needle["crosses_mm"]:
            reach = off <= max(float(off.min()), max(anatomy.grid.spacing_mm))
            first = float(deep[own][reach].min())
            crossed.append((first, f"{words_of(structure.name)} from {first:.0f} mm"))
        else:
            at = float(deep[own][int(off.argmin())])
            found.append((float(off.min()), structure.name, own, at))
    marks: list[Mark] = []
    for number, (off_mm, name, own, at) in enumerate(sorted(found, key=lambda one: one[:2])):
        role = "structure" if name == closest else kind_of(name)
        lines = _outline_of(flat[own], view)
        marks += [Line(_pixels(line), role) for line in lines]
        if lines and number < _EYE_NAMES and off_mm <= RINGS_MM[-1]:
            gap = _gap_words(needle, name, off_mm, max(anatomy.grid.spacing_mm))
            words = f"{words_of(name)}: {gap} off, {at:.0f} deep"
            marks.append(Text(_label_place(max(lines, key=len), view), words, role, "below"))
    return marks, [words for _, words in sorted(crossed)]


def _gap_words(needle: Mapping[str, Any], name: str, off_mm: float, voxel_mm: float) -> str:
    """How near a structure comes: the plan's clearance where it is that of this place."""
    told = needle["clearance_mm"].get(name)
    # The plan measures to a voxel's face, and also to what lies beyond the tip.
    if told is not None and abs(off_mm - float(told)) <= 1.5 * voxel_mm:
        return f"{told} mm"
    return f"about {off_mm:.0f} mm"


def _beside(
    anatomy: Anatomy, entry: FloatArray, tip: FloatArray, view: View
) -> tuple[np.ndarray[Any, Any], FloatArray, FloatArray]:
    """Labelled voxels in the square tube that the view sees: label, pixel, depth in mm."""
    grid = anatomy.grid
    along = unit(tip - entry)
    half = EYE_HALF_MM * np.sqrt(2.0)
    ends = grid.to_index(np.stack([entry, tip]))
    room = half / np.asarray(grid.spacing_mm) + 1
    last = np.asarray(grid.size) - 1
    low = np.clip(np.floor(ends.min(axis=0) - room), 0, last).astype(int)
    high = np.clip(np.ceil(ends.max(axis=0) + room), 0, last).astype(int) + 1
    box = anatomy.labels[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    k, j, i = np.nonzero(box)
    points = grid.to_lps(np.stack([i, j, k], axis=1) + low)
    deep = (points - entry) @ along
    flat = view.to_pixel(points)
    seen = (
        (deep >= 0.0)
        & (deep <= float(np.linalg.norm(tip - entry)))
        & (flat >= -1).all(axis=1)
        & (flat[:, 0] <= view.columns)
        & (flat[:, 1] <= view.rows)
    )
    return box[k[seen], j[seen], i[seen]], flat[seen], deep[seen]


def _outline_of(flat: FloatArray, view: View) -> list[FloatArray]:
    """Outlines, in pixels, of the area that points (n, 2) in pixels cover."""
    step = _RASTER_MM / view.mm_per_pixel
    size = int(np.ceil(view.columns / step)) + 4
    cells = np.rint(flat / step).astype(int) + 2
    area: BoolArray = np.zeros((size, size), dtype=bool)
    inside = np.all((cells >= 0) & (cells < size), axis=1)
    area[cells[inside, 1], cells[inside, 0]] = True
    # Voxels are coarser than the raster: the gaps between their middles are closed.
    area = ndimage.binary_closing(np.pad(area, 4), iterations=3)[4:-4, 4:-4]
    field = ndimage.gaussian_filter(area.astype(np.float32), 0.7)
    lines = measure.find_contours(np.pad(field, 1), 0.5)
    return [
        (line[:, ::-1] - 3) * step for line in lines if len(line) >= _SHORTEST_OUTLINE
    ]  # fmt: skip


def _picture(
    volume: CtVolume,
    view: View,
    marks: Sequence[Mark],
    needle: Mapping[str, Any],
    lesions: Sequence[Lesion],
    words: str,
) -> Picture:
    window = window_for(needle, lesions)
    caption = f"{words}. {window_sentence(window)}"
    return Picture(window.grey(sample_hu(volume, view)), view, window, tuple(marks), caption)


def _middle(view: View, point: FloatArray) -> tuple[float, float]:
    return _pixel(view.to_pixel(point))


def _pixel(pair: FloatArray) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def _pixels(line: FloatArray) -> tuple[tuple[float, float], ...]:
    return tuple(_pixel(pair) for pair in line)
