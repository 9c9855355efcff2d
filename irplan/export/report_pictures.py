"""Pictures on the report's page: the grey slice, and its marks as lines and text."""

from __future__ import annotations

from typing import Any

from PIL import Image
from reportlab.lib.colors import Color, HexColor, black, white
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.platypus import Flowable

from irplan.export.labels import Box, Wanted, place_labels, strayed
from irplan.export.palette import KIND_WORDS, ROLE_COLOURS, ROLE_WIDTHS
from irplan.export.pictures import Disc, Line, Picture, Text
from irplan.export.raster import KEPT_CLEAR, TO_SCALE
from irplan.export.report_page import BOLD, FONT, is_counting, load_fonts, printable
from irplan.export.scene import BONE, LESION, NEEDLE, SKIN, SceneView

#: Role of a mark → colour. The legend and every picture share it; words always stand beside.
COLOURS: dict[str, Color] = {role: HexColor(text) for role, text in ROLE_COLOURS.items()}
_LABEL_SIZE = 7.0


class SlicePicture(Flowable):  # type: ignore[misc]
    """A slice of ``width`` points, with letters at its edges and a scale bar."""

    def __init__(self, picture: Picture, width: float) -> None:
        super().__init__()
        load_fonts()
        self.picture = picture
        self.width = width
        self.scale = width / picture.view.columns
        self.height = self.scale * picture.view.rows

    def wrap(self, _width: float, _height: float) -> tuple[float, float]:
        """Size in points."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw pixels, marks, letters, scale bar."""
        canvas = self.canv
        if is_counting(canvas):
            return
        image = ImageReader(Image.fromarray(self.picture.grey))
        canvas.saveState()
        clip = canvas.beginPath()
        clip.rect(0, 0, self.width, self.height)
        canvas.clipPath(clip, stroke=0, fill=0)
        canvas.drawImage(image, 0, 0, self.width, self.height)
        for mark in self.picture.marks:
            if isinstance(mark, Line):
                self._line(mark)
            elif isinstance(mark, Disc):
                self._disc(mark)
        # Words come last, so that no line runs through them.
        self._letters()
        self._scale_bar()
        self._texts()
        canvas.restoreState()

    def _place(self, pixel: tuple[float, float]) -> tuple[float, float]:
        """Pixel (column, row) → points from the lower left corner."""
        return (pixel[0] + 0.5) * self.scale, self.height - (pixel[1] + 0.5) * self.scale

    def _line(self, mark: Line) -> None:
        canvas = self.canv
        canvas.setStrokeColor(COLOURS[mark.role])
        canvas.setLineWidth(ROLE_WIDTHS.get(mark.role, 0.8))
        canvas.setDash(*((3, 2) if mark.dashed else ([], 0)))
        path = canvas.beginPath()
        path.moveTo(*self._place(mark.points[0]))
        for point in mark.points[1:]:
            path.lineTo(*self._place(point))
        canvas.drawPath(path)
        canvas.setDash([], 0)

    def _disc(self, mark: Disc) -> None:
        canvas = self.canv
        canvas.setStrokeColor(COLOURS[mark.role])
        canvas.setFillColor(COLOURS[mark.role])
        canvas.setLineWidth(ROLE_WIDTHS.get(mark.role, 0.9))
        canvas.setDash(*((1.5, 1.5) if mark.role in TO_SCALE else ([], 0)))
        x, y = self._place(mark.centre)
        # A circle that shows a length is to scale; a marker keeps its size on paper.
        radius = mark.radius * self.scale if mark.role in TO_SCALE else mark.radius * 0.7
        canvas.circle(x, y, radius, stroke=1, fill=int(mark.filled))
        canvas.setDash([], 0)

    def _texts(self) -> None:
        """The words, none over another, over a letter at the edge or over the scale bar."""
        texts = [mark for mark in self.picture.marks if isinstance(mark, Text)]
        wanted = []
        for mark in texts:
            x, y = self._place(mark.at)
            wide = pdfmetrics.stringWidth(printable(mark.text), BOLD, _LABEL_SIZE) + 2.4
            size = _LABEL_SIZE + 1.6
            wanted.append(Wanted(x, self.height - y, wide, size, mark.anchor, 3.5))
        boxes = place_labels(wanted, self.width, self.height, self._taken())
        for mark, one, box in zip(texts, wanted, boxes, strict=True):
            colour = COLOURS[mark.role]
            if strayed(one, box):
                end_x = min(max(one.x, box.left), box.right)
                end_y = min(max(one.y, box.top), box.bottom)
                self.canv.setStrokeColor(colour)
                self.canv.setLineWidth(0.4)
                self.canv.line(one.x, self.height - one.y, end_x, self.height - end_y)
            low = self.height - box.bottom + 1.6
            self._boxed(printable(mark.text), box.left + 1.2, low, _LABEL_SIZE, colour)

    def _taken(self) -> list[Box]:
        """Where the letters at the edges and the scale bar stand; y downward."""
        left, right, top, bottom = self.picture.view.letters
        w, h, size = self.width, self.height, 9.0
        boxes = []
        for text, x, y in ((left, 0.0, h / 2), (right, w, h / 2), (top, w / 2, 0.0),
                           (bottom, w / 2, h)):  # fmt: skip
            wide = pdfmetrics.stringWidth(text, BOLD, size) + 8
            box = Box(x - wide / 2, y - size, x + wide / 2, y + size).within(w, h)
            boxes.append(box)
        bar = self.picture.scale_bar[1] * self.scale
        boxes.append(Box(w - bar - 12, h - 20, w, h))
        for mark in self.picture.marks:
            if isinstance(mark, Disc) and mark.role in KEPT_CLEAR:
                x, y = self._place(mark.centre)
                boxes.append(Box(x - 5, h - y - 5, x + 5, h - y + 5))
        return boxes

    def _boxed(self, text: str, left: float, low: float, size: float, colour: Color) -> None:
        canvas = self.canv
        width = pdfmetrics.stringWidth(text, BOLD, size)
        canvas.saveState()
        canvas.setFillColor(black)
        # On a coloured picture, light or dark, words need a ground of their own.
        canvas.setFillAlpha(0.6 if self.picture.grey.ndim == 2 else 0.95)
        canvas.rect(left - 1.2, low - 1.6, width + 2.4, size + 1.6, stroke=0, fill=1)
        canvas.setFillAlpha(1)
        canvas.setFillColor(colour)
        canvas.setFont(BOLD, size)
        canvas.drawString(left, low, text)
        canvas.restoreState()

    def _letters(self) -> None:
        _edge_letters(self._boxed, self.picture.view.letters, self.width, self.height)

    def _scale_bar(self) -> None:
        canvas = self.canv
        bar_mm, pixels = self.picture.scale_bar
        length = pixels * self.scale
        left, low = self.width - length - 6, 6.0
        canvas.setFillColor(black)
        canvas.rect(left - 2, low - 2.5, length + 4, 5, stroke=0, fill=1)
        self._boxed(f"{bar_mm} mm", left, low + 5, 6.5, white)
        canvas.setStrokeColor(white)
        canvas.setLineWidth(1.6)
        canvas.line(left, low, left + length, low)


class ScenePicture(Flowable):  # type: ignore[misc]
    """A rendered view of ``width`` points, with letters at its edges."""

    def __init__(self, view: SceneView, width: float) -> None:
        super().__init__()
        load_fonts()
        self.view = view
        rows, columns, _ = view.pixels.shape
        self.width, self.height = width, width * rows / columns

    def wrap(self, _width: float, _height: float) -> tuple[float, float]:
        """Size in points."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw pixels and letters."""
        canvas = self.canv
        if is_counting(canvas):
            return
        image = ImageReader(Image.fromarray(self.view.pixels))
        canvas.drawImage(image, 0, 0, self.width, self.height)
        canvas.setStrokeColor(HexColor("#B5B5B5"))
        canvas.setLineWidth(0.5)
        canvas.rect(0, 0, self.width, self.height, stroke=1, fill=0)
        scale = self.width / self.view.pixels.shape[1]
        for text, column, row in self.view.names:
            wide = pdfmetrics.stringWidth(printable(text), BOLD, _LABEL_SIZE)
            x = min(max((column + 0.5) * scale + 5, 2), self.width - wide - 2)
            y = self.height - (row + 0.5) * scale
            if 0 <= y <= self.height:
                self._letter(printable(text), x, y + 2, _LABEL_SIZE, black)
        _edge_letters(self._letter, self.view.letters, self.width, self.height)

    def _letter(self, text: str, left: float, low: float, size: float, _colour: Color) -> None:
        self.canv.setFillColor(black)
        self.canv.setFont(BOLD, size)
        self.canv.drawString(left, low, text)


def _edge_letters(
    put: Any, letters: tuple[str, str, str, str], width: float, height: float
) -> None:
    size = 9.0
    left, right, top, bottom = letters

    def wide(text: str) -> float:
        return float(pdfmetrics.stringWidth(text, BOLD, size))

    put(left, 4, height / 2 - size / 2, size, white)
    put(right, width - 4 - wide(right), height / 2 - size / 2, size, white)
    put(top, width / 2 - wide(top) / 2, height - size - 3, size, white)
    put(bottom, width / 2 - wide(bottom) / 2, 4, size, white)


_SLICE_LEGEND = (
    ("needle", "needle (dashed: off this plane)"),
    ("lesion", "lesion injected"),
    ("other_lesion", "other lesion"),
    ("deposit", "deposit, illustrative spread"),
    ("biopsy", "throw of a biopsy"),
    ("structure", "nearest structure"),
)
_KIND_LEGEND = tuple((kind, words) for kind, words in KIND_WORDS.items())
_SCENE_LEGEND = (
    (NEEDLE, "needle, ball at the skin entry"),
    (LESION, "lesion"),
    (BONE, "bone"),
    (SKIN, "skin"),
)


class Legend(Flowable):  # type: ignore[misc]
    """What the colours mean, on one line or two."""

    def __init__(self, entries: tuple[tuple[Color, str], ...], width: float) -> None:
        super().__init__()
        load_fonts()
        self.entries = entries
        self.width = width
        self.height = 5 * mm * len(self._lines())

    def _lines(self) -> list[list[tuple[float, Color, str]]]:
        lines: list[list[tuple[float, Color, str]]] = [[]]
        x = 0.0
        for colour, words in self.entries:
            wide = 16 + pdfmetrics.stringWidth(words, FONT, 7.5)
            if lines[-1] and x + wide > self.width:
                lines.append([])
                x = 0.0
            lines[-1].append((x, colour, words))
            x += wide + 10
        return lines

    def wrap(self, _width: float, _height: float) -> tuple[float, float]:
        """Size in points."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw swatches and words."""
        for number, line in enumerate(self._lines()):
            y = self.height - 5 * mm * (number + 1) + 4
            for x, colour, words in line:
                self.canv.setFillColor(colour)
                self.canv.setStrokeColor(black)
                self.canv.setLineWidth(0.3)
                self.canv.rect(x, y, 11, 6, stroke=1, fill=1)
                self.canv.setFillColor(black)
                self.canv.setFont(FONT, 7.5)
                self.canv.drawString(x + 15, y, words)


def slice_legend(width: float) -> Legend:
    """The legend of slice pictures."""
    return Legend(tuple((COLOURS[role], words) for role, words in _SLICE_LEGEND), width)


def kinds_legend(width: float) -> Legend:
    """The legend of pictures in which every structure is outlined by its kind."""
    entries = (*_SLICE_LEGEND, *_KIND_LEGEND)
    return Legend(tuple((COLOURS[role], words) for role, words in entries), width)


def scene_legend(width: float) -> Legend:
    """The legend of 3-D views."""
    return Legend(tuple((Color(*rgb), words) for rgb, words in _SCENE_LEGEND), width)
