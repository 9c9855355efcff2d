"""Pictures of the plan: grey slices, and what is drawn on them, as data.

A picture holds grey pixels and marks in pixel coordinates (column, row; the centre of the top
left pixel is 0, 0). The report draws the marks as lines and text, so they stay sharp and can be
searched; the tests read them as numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from irplan.anatomy import Anatomy
from irplan.export.slices import (
    LUNG,
    SOFT_TISSUE,
    GreyArray,
    Window,
    label_outlines,
    outlines,
    sample_hu,
)
from irplan.export.views import View, axial_view, direction_letters, needle_view
from irplan.geometry import FloatArray
from irplan.lesions.lesion import Lesion, LesionKind
from irplan.volume import CtVolume

#: Pixels along one side of a picture, and the finest pixel that is worth drawing.
PICTURE_PIXELS = 480
FINEST_PIXEL_MM = 0.2
#: A needle is drawn whole where it lies within this distance of the plane, else dashed.
IN_PLANE_MM = 2.5
#: What is shown around a needle and a lesion at least, mm.
MARGIN_MM = 25.0
SMALLEST_HALF_MM = 45.0
_SCALE_BARS_MM = (10, 20, 50, 100)

Pixel = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A polyline. ``role`` names what it shows: lesion, other_lesion, structure, needle, scale."""

    points: tuple[Pixel, ...]
    role: str
    dashed: bool = False


@dataclass(frozen=True)
class Disc:
    """A circle. ``role``: entry, tip, deposit, or spread (the illustrative sphere)."""

    centre: Pixel
    radius: float
    role: str
    filled: bool = False


@dataclass(frozen=True)
class Text:
    """A few letters; ``anchor`` is where the text lies from ``at``: left, right, above, below."""

    at: Pixel
    text: str
    role: str
    anchor: str = "right"


Mark = Line | Disc | Text


@dataclass(frozen=True)
class Picture:
    """One picture with its marks.

    Attributes:
        grey: uint8 (rows, columns), or with a third axis of red, green, blue.
        view: where it lies in the patient.
        window: the HU shown; ``None`` where the picture is no slice.
        caption: one or two sentences for below it.
    """

    grey: GreyArray
    view: View
    window: Window | None
    marks: tuple[Mark, ...]
    caption: str

    @property
    def scale_bar(self) -> tuple[int, float]:
        """Length of the scale bar: mm, and pixels."""
        width_mm = self.view.columns * self.view.mm_per_pixel
        fitting = [bar for bar in _SCALE_BARS_MM if bar <= width_mm / 3.0]
        bar_mm = fitting[-1] if fitting else _SCALE_BARS_MM[0]
        return bar_mm, bar_mm / self.view.mm_per_pixel


def needle_pictures(
    needle: Mapping[str, Any],
    volume: CtVolume,
    lesions: Sequence[Lesion],
    anatomy: Anatomy | None,
    biopsies: Sequence[Mapping[str, Any]] = (),
) -> tuple[Picture, Picture]:
    """The axial slice through the target and the oblique slice along the needle.

    Args:
        needle: a needle of the plan's document.
        lesions: all lesions of the plan; those with a mask are outlined.
        anatomy: for the outline of the nearest structure; may be absent.
        biopsies: those of the plan's document; the throw of this needle's own is drawn.
    """
    entry = to_point(needle["entry_lps_mm"])
    tip = to_point(needle["tip_lps_mm"])
    deposits = [to_point(one["position_lps_mm"]) for one in needle["deposits"]]
    target = np.mean(deposits, axis=0) if deposits else tip
    window = window_for(needle, lesions)

    half_mm = max(SMALLEST_HALF_MM, float(np.linalg.norm(tip - entry)) / 2.0 + MARGIN_MM)
    pixel_mm = max(FINEST_PIXEL_MM, 2.0 * half_mm / PICTURE_PIXELS)
    middle = 0.5 * (entry + tip)
    # Through the target, but moved within its plane so that the entry is in the picture too.
    level_middle = np.array([middle[0], middle[1], target[2]])
    axial = axial_view(level_middle, half_mm, pixel_mm)
    oblique = needle_view(entry, tip, middle, half_mm, pixel_mm)
    nearest = nearest_structure(needle)
    pictures = []
    for view, sentence in (
        (axial, _axial_sentence(axial, entry, target)),
        (oblique, _oblique_sentence(oblique)),
    ):
        marks = [
            *_structure_marks(anatomy, nearest, view),
            *lesion_marks(lesions, needle["lesion_ids"], view, entry),
            *needle_marks(entry, tip, view),
            *deposit_marks(needle["deposits"], view),
            *biopsy_marks(needle, biopsies, view),
        ]
        caption = f"{sentence} {window_sentence(window)}"
        grey = window.grey(sample_hu(volume, view))
        pictures.append(Picture(grey, view, window, tuple(marks), caption))
    return pictures[0], pictures[1]


def window_for(needle: Mapping[str, Any], lesions: Sequence[Lesion]) -> Window:
    """The lung window where a lesion of the needle lies in the lung, else that of soft tissue."""
    targets = [one for one in lesions if one.lesion_id in needle["lesion_ids"]]
    return LUNG if any(one.kind is LesionKind.LUNG for one in targets) else SOFT_TISSUE


def lesion_picture(lesion: Lesion, volume: CtVolume, others: Sequence[Lesion]) -> Picture | None:
    """The axial slice through the middle of a lesion without a needle; ``None`` without a mask."""
    if lesion.mask is None:
        return None
    if lesion.centroid_lps_mm is not None:
        centre = np.asarray(lesion.centroid_lps_mm)
    else:
        corners = lesion.mask.box_grid.corners_lps_mm()
        centre = corners.mean(axis=0)
    half_mm = max(SMALLEST_HALF_MM, (lesion.longest_diameter_mm or 0.0) / 2.0 + MARGIN_MM)
    view = axial_view(centre, half_mm, max(FINEST_PIXEL_MM, 2.0 * half_mm / PICTURE_PIXELS))
    window = LUNG if lesion.kind is LesionKind.LUNG else SOFT_TISSUE
    caption = f"Axial slice at z = {centre[2]:.1f} mm. {window_sentence(window)}"
    marks = tuple(lesion_marks(others, (lesion.lesion_id,), view))
    return Picture(window.grey(sample_hu(volume, view)), view, window, marks, caption)


def to_point(numbers: Sequence[Any]) -> FloatArray:
    """A position of a document as an array."""
    return np.array([float(number) for number in numbers])


def nearest_structure(needle: Mapping[str, Any]) -> str | None:
    """The nearest structure that the needle does not cross; ``None`` where none is near."""
    clearance = {
        name: value
        for name, value in needle["clearance_mm"].items()
        if name not in needle["crosses_mm"]
    }
    return min(clearance, key=lambda name: (clearance[name], name)) if clearance else None


def _structure_marks(anatomy: Anatomy | None, name: str | None, view: View) -> list[Mark]:
    labels = {one.name: one.label for one in anatomy.structures} if anatomy else {}
    if anatomy is None or name not in labels:
        return []
    lines = label_outlines(anatomy.labels, labels[name], anatomy.grid, view)
    marks: list[Mark] = [Line(_pixels(line), "structure") for line in lines]
    if lines:
        longest = max(lines, key=len)
        marks.append(Text(_pixel(longest[int(np.argmax(longest[:, 1]))]), name, "structure"))
    return marks


def lesion_marks(
    lesions: Sequence[Lesion],
    targets: Sequence[str],
    view: View,
    entry_lps_mm: FloatArray | None = None,
) -> list[Mark]:
    """Outlines and names; a name stands on the side away from the entry."""
    marks: list[Mark] = []
    for lesion in lesions:
        lines = outlines(lesion.mask, view) if lesion.mask is not None else ()
        role = "lesion" if lesion.lesion_id in targets else "other_lesion"
        marks += [Line(_pixels(line), role) for line in lines]
        if lines:
            longest = max(lines, key=len)
            middle = longest.mean(axis=0)
            above = entry_lps_mm is None or view.to_pixel(entry_lps_mm)[1] > middle[1]
            rows = longest[:, 1]
            place = longest[int(np.argmin(rows) if above else np.argmax(rows))]
            marks.append(Text(_pixel(place), lesion.lesion_id, role, "above" if above else "below"))
    return marks


def needle_marks(entry: FloatArray, tip: FloatArray, view: View) -> list[Mark]:
    """The axis, whole where it lies in the plane and dashed where it is projected."""
    steps = np.linspace(0.0, 1.0, 201)[:, None]
    axis = entry + steps * (tip - entry)
    near = np.abs(view.depth_mm(axis)) <= IN_PLANE_MM
    pixels = view.to_pixel(axis)
    marks: list[Mark] = []
    changes = np.flatnonzero(np.diff(near.astype(int))) + 1
    for first, last in zip([0, *changes], [*changes, len(axis)], strict=True):
        ends = pixels[[first, min(last, len(axis) - 1)]]
        marks.append(Line(_pixels(ends), "needle", dashed=not near[first]))
    marks.append(Disc(_pixel(pixels[0]), 4.0, "entry", filled=bool(near[0])))
    marks.append(Disc(_pixel(pixels[-1]), 2.5, "tip", filled=bool(near[-1])))
    marks.append(Text(_pixel(pixels[0]), "entry", "needle", "above"))
    return marks


def deposit_marks(
    deposits: Sequence[Mapping[str, Any]],
    view: View,
    *,
    spread: bool = True,
    names: bool = False,
) -> list[Mark]:
    """Deposits as dots, filled in the plane; their illustrative spheres; their order as words."""
    marks: list[Mark] = []
    for deposit in deposits:
        position = to_point(deposit["position_lps_mm"])
        depth_mm = float(view.depth_mm(position))
        pixel = _pixel(view.to_pixel(position))
        for radius in deposit["radius_mm"] if spread else ():
            cut = float(radius) ** 2 - depth_mm**2
            if cut > 0:
                marks.append(Disc(pixel, float(np.sqrt(cut)) / view.mm_per_pixel, "spread"))
        filled = abs(depth_mm) <= IN_PLANE_MM
        marks.append(Disc(pixel, 2.5, "deposit", filled))
        if names:
            marks.append(Text(pixel, f"#{deposit['order']}", "deposit", "left"))
    return marks


def biopsy_marks(
    needle: Mapping[str, Any], biopsies: Sequence[Mapping[str, Any]], view: View
) -> list[Mark]:
    """The throw of each biopsy taken along this needle's track before it, with its name."""
    marks: list[Mark] = []
    for one in biopsies:
        if one["before"] != needle["needle_id"]:
            continue
        start, end = (
            _pixel(view.to_pixel(to_point(one[name]))) for name in ("tip_lps_mm", "end_lps_mm")
        )
        marks.append(Line((start, end), "biopsy"))
        marks.append(Text(end, one["biopsy_id"], "biopsy", "right"))
    return marks


def _axial_sentence(view: View, entry: FloatArray, target: FloatArray) -> str:
    height = f"Axial slice through the target, z = {target[2]:.1f} mm."
    above_mm = float(entry[2] - target[2])
    if abs(above_mm) <= IN_PLANE_MM:
        return height
    way = "head" if above_mm > 0 else "feet"
    return f"{height} The entry lies {abs(above_mm):.0f} mm towards the {way} (dashed)."


def _oblique_sentence(view: View) -> str:
    normal = np.cross(view.right, view.down)
    tilt = float(np.degrees(np.arccos(np.clip(abs(normal[2]), 0.0, 1.0))))
    letters = direction_letters(view.right)
    return (
        f"Oblique slice that holds the whole needle, {tilt:.0f}° off axial; "
        f"right edge towards {letters}."
    )


def window_sentence(window: Window) -> str:
    """What a picture's grey values show."""
    return f"Window {window.name}: level {window.level_hu:.0f}, width {window.width_hu:.0f} HU."


def _pixel(pair: FloatArray) -> Pixel:
    return float(pair[0]), float(pair[1])


def _pixels(line: FloatArray) -> tuple[Pixel, ...]:
    return tuple(_pixel(pair) for pair in line)
