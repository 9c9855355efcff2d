"""Pictures as pixels: grey slice and marks drawn into one RGB array, for the window and for files.

The report draws the same marks as lines and text on paper (``report_pictures``).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from irplan.export.labels import Box, Wanted, place_labels, strayed
from irplan.export.palette import ROLE_COLOURS, ROLE_WIDTHS, rgb_of
from irplan.export.pictures import Disc, Line, Picture, Text

RgbArray = npt.NDArray[np.uint8]
#: Circles of these roles are to scale; the others mark a place and keep their size.
TO_SCALE = ("spread", "ring")
#: No word stands over these: the axis seen from behind, the point on the skin.
KEPT_CLEAR = ("needle", "point")
_CLEAR = 9.0
#: Size of words, pixels of the picture as it is shown.
_WORDS = 13
_LETTERS = 17
_SHADE = (0, 0, 0, 165)
#: Under every line, so that it shows on white as well as on black.
_HALO = (0, 0, 0, 90)


def draw_picture(picture: Picture, scale: float = 1.0) -> RgbArray:
    """The picture with its marks, letters at the edges and scale bar, RGB (rows, columns, 3).

    Args:
        scale: pixels drawn for each pixel of the picture.
    """
    rows, columns = picture.grey.shape[:2]
    size = (round(columns * scale), round(rows * scale))
    base = Image.fromarray(picture.grey).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    # Lines are drawn at twice the size and brought down again: no stairs.
    layer = Image.new("RGBA", (2 * size[0], 2 * size[1]), (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    for mark in picture.marks:
        if isinstance(mark, Line):
            _line(pen, mark, 2.0 * scale)
        elif isinstance(mark, Disc):
            _disc(pen, mark, 2.0 * scale)
    # Premultiplied, so that the clear pixels' black does not bleed into thin lines.
    shrunk = layer.convert("RGBa").resize(size, Image.Resampling.BOX).convert("RGBA")
    base.paste(shrunk, (0, 0), shrunk)
    return draw_words(
        np.asarray(base),
        [mark for mark in picture.marks if isinstance(mark, Text)],
        picture.view.letters,
        picture.scale_bar,
        scale,
        [
            Box(x - _CLEAR, y - _CLEAR, x + _CLEAR, y + _CLEAR)
            for mark in picture.marks
            if isinstance(mark, Disc) and mark.role in KEPT_CLEAR
            for x, y in [((mark.centre[0] + 0.5) * scale, (mark.centre[1] + 0.5) * scale)]
        ],
    )


def draw_words(
    pixels: RgbArray,
    texts: Sequence[Text],
    letters: tuple[str, str, str, str],
    scale_bar: tuple[int, float] | None,
    scale: float = 1.0,
    taken: Sequence[Box] = (),
) -> RgbArray:
    """Words, edge letters (left, right, top, bottom) and a scale bar on a picture.

    Args:
        texts: in pixels of the picture before ``scale``.
        scale_bar: its length in mm, and in pixels before ``scale``.
        taken: boxes that stay free, in the pixels of ``pixels``.
    """
    image = Image.fromarray(pixels).convert("RGBA")
    width, height = image.size
    pen = ImageDraw.Draw(image, "RGBA")
    boxes = [*taken, *_edge_letters(pen, letters, width, height)]
    if scale_bar is not None:
        boxes.append(_scale_bar(pen, scale_bar, scale, width, height))
    font = _font(_WORDS)
    wanted = [_wanted(text, scale, font) for text in texts]
    for text, one, box in zip(
        texts, wanted, place_labels(wanted, width, height, boxes), strict=True
    ):
        colour = rgb_of(text.role)
        if strayed(one, box):
            end = (
                min(max(one.x, box.left), box.right),
                min(max(one.y, box.top), box.bottom),
            )
            pen.line([(one.x, one.y), end], fill=(*colour, 220), width=1)
        _words(pen, text.text, box, font, colour)
    return np.ascontiguousarray(np.asarray(image)[:, :, :3])


def save_png(pixels: RgbArray, target: Path, *, small: bool = False) -> None:
    """Write an RGB array as PNG.

    Args:
        small: with 256 colours of its own; a grey slice with marks keeps the marks' colours as
            they are, whatever little of the picture they fill.
    """
    image = Image.fromarray(pixels)
    if small:
        image = image.quantize(palette=_palette(), dither=Image.Dither.NONE)
    image.save(target, optimize=True)


@functools.cache
def _palette() -> Image.Image:
    """Greys, and every mark's colour as it is and shaded."""
    greys = [(level, level, level) for level in np.linspace(0, 255, 88).round().astype(int)]
    shades = [
        tuple(round(part * share) for part in rgb_of(role))
        for role in sorted(ROLE_COLOURS)
        for share in (1.0, 0.85, 0.7, 0.55, 0.4)
    ]
    colours = list(dict.fromkeys((*greys, *shades)))[:256]
    flat = [int(part) for colour in colours for part in colour]
    image = Image.new("P", (1, 1))
    image.putpalette(flat + flat[:3] * (256 - len(colours)))
    return image


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu bold, which comes with matplotlib."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / "DejaVuSans-Bold.ttf"), size)


def _line(pen: ImageDraw.ImageDraw, mark: Line, scale: float) -> None:
    points = [((x + 0.5) * scale, (y + 0.5) * scale) for x, y in mark.points]
    width = max(1, round(1.3 * scale * ROLE_WIDTHS.get(mark.role, 0.8)))
    colour = (*rgb_of(mark.role), 255)
    if not mark.dashed:
        pen.line(points, fill=_HALO, width=width + round(1.6 * scale), joint="curve")
        pen.line(points, fill=colour, width=width, joint="curve")
        return
    dash = 7.0 * scale
    for (x0, y0), (x1, y1) in pairwise(points):
        length = float(np.hypot(x1 - x0, y1 - y0))
        for start in np.arange(0.0, length, 2.0 * dash):
            end = min(start + dash, length)
            a, b = start / max(length, 1e-9), end / max(length, 1e-9)
            ends = [(x0 + a * (x1 - x0), y0 + a * (y1 - y0)),
                    (x0 + b * (x1 - x0), y0 + b * (y1 - y0))]  # fmt: skip
            pen.line(ends, fill=_HALO, width=width + round(1.6 * scale))
            pen.line(ends, fill=colour, width=width)


def _disc(pen: ImageDraw.ImageDraw, mark: Disc, scale: float) -> None:
    x, y = (mark.centre[0] + 0.5) * scale, (mark.centre[1] + 0.5) * scale
    radius = mark.radius * scale
    colour = (*rgb_of(mark.role), 255)
    box = [x - radius, y - radius, x + radius, y + radius]
    if mark.role in TO_SCALE:
        # Dotted: a circle to scale is a measure, not an outline of something.
        for angle in range(0, 360, 12):
            wide = max(1, round(0.7 * scale))
            pen.arc(box, angle, angle + 6, fill=_HALO, width=3 * wide)
            pen.arc(box, angle, angle + 6, fill=colour, width=wide)
        return
    wide = max(1, round(scale * ROLE_WIDTHS.get(mark.role, 1.0)))
    pen.ellipse(box, fill=colour if mark.filled else None, outline=colour, width=wide)


def _wanted(text: Text, scale: float, font: ImageFont.FreeTypeFont) -> Wanted:
    left, _, right, _ = font.getbbox(text.text)
    x, y = (text.at[0] + 0.5) * scale, (text.at[1] + 0.5) * scale
    return Wanted(x, y, right - left + 6.0, _WORDS + 5.0, text.anchor, 6.0)


def _words(
    pen: ImageDraw.ImageDraw,
    text: str,
    box: Box,
    font: ImageFont.FreeTypeFont,
    colour: tuple[int, int, int],
) -> None:
    pen.rectangle([box.left, box.top, box.right, box.bottom], fill=_SHADE)
    pen.text(((box.left + box.right) / 2, (box.top + box.bottom) / 2), text, font=font,
             fill=(*colour, 255), anchor="mm")  # fmt: skip


def _edge_letters(
    pen: ImageDraw.ImageDraw, letters: tuple[str, str, str, str], width: int, height: int
) -> list[Box]:
    font = _font(_LETTERS)
    left, right, top, bottom = letters
    boxes = []
    for text, x, y in (
        (left, 0.0, height / 2),
        (right, float(width), height / 2),
        (top, width / 2, 0.0),
        (bottom, width / 2, float(height)),
    ):
        a, _, b, _ = font.getbbox(text)
        wide, high = b - a + 6.0, _LETTERS + 5.0
        box = Box(x - wide / 2, y - high / 2, x + wide / 2, y + high / 2).within(width, height)
        _words(pen, text, box, font, (255, 255, 255))
        boxes.append(box)
    return boxes


def _scale_bar(
    pen: ImageDraw.ImageDraw, bar: tuple[int, float], scale: float, width: int, height: int
) -> Box:
    length = bar[1] * scale
    box = Box(width - length - 16, height - 34, width - 4.0, height - 4.0)
    pen.rectangle([box.left, box.top, box.right, box.bottom], fill=_SHADE)
    y = height - 11
    pen.line([(box.left + 6, y), (box.right - 6, y)], fill=(255, 255, 255, 255), width=3)
    for x in (box.left + 6, box.right - 6):
        pen.line([(x, y - 4), (x, y + 4)], fill=(255, 255, 255, 255), width=2)
    pen.text(((box.left + box.right) / 2, height - 23), f"{bar[0]} mm", font=_font(_WORDS),
             fill=(255, 255, 255, 255), anchor="mm")  # fmt: skip
    return box
