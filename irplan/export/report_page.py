"""The report's paper: fonts, styles, the furniture of each page, and text made safe to print."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib
from reportlab import rl_config
from reportlab.lib.colors import Color, HexColor, black, white
from reportlab.lib.enums import TA_LEFT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    PageTemplate,
    Paragraph,
    Table,
    TableStyle,
)

from irplan.units import decimal_text

# Binary streams: half the time and four fifths of the size of ReportLab's text-only default.
rl_config.useA85 = 0

RESEARCH_ONLY = "For research use only - not a medical device"

PAGE_WIDTH, PAGE_HEIGHT = A4
SIDE_MARGIN = 12 * mm
TOP_MARGIN = 21 * mm
BOTTOM_MARGIN = 17 * mm
WIDTH = PAGE_WIDTH - 2 * SIDE_MARGIN

FONT, BOLD, ITALIC = "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique"

GREY = HexColor("#5A5A5A")
RULE = HexColor("#B5B5B5")
HEAD_FILL = HexColor("#E9EDF1")
STOP_FILL, STOP_EDGE = HexColor("#FBE3E1"), HexColor("#B3140C")
WARN_FILL, WARN_EDGE = HexColor("#FFF3D6"), HexColor("#B26A00")
INFO_FILL, INFO_EDGE = HexColor("#EEF2F7"), HexColor("#4A6A8A")
UNKNOWN_FILL = HexColor("#FFF0A8")


@functools.cache
def load_fonts() -> frozenset[int]:
    """Make the embedded fonts known to ReportLab; return the characters that they can print.

    DejaVu comes with matplotlib: it has accents, Greek and the signs of measurement.
    """
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    known: list[frozenset[int]] = []
    for name in (FONT, BOLD, ITALIC):
        font = TTFont(name, str(folder / f"{name}.ttf"))
        pdfmetrics.registerFont(font)
        known.append(frozenset(font.face.charToGlyph))
    pdfmetrics.registerFontFamily(FONT, normal=FONT, bold=BOLD, italic=ITALIC, boldItalic=BOLD)
    return frozenset.intersection(*known)


def printable(value: object) -> str:
    """The value as text that the fonts have every sign of; a missing one shows as U+ and digits.

    A sign that silently became a blank could make two names alike.
    """
    if value is None:
        return "-"
    text = decimal_text(value) if isinstance(value, Decimal) else str(value)
    known = load_fonts()
    return "".join(
        " " if letter in "\t\r\n\v\f" else letter if ord(letter) in known else _named(letter)
        for letter in text
    )


def _named(letter: str) -> str:
    return f"[U+{ord(letter):04X}]"


def markup(value: object) -> str:
    """:func:`printable`, with the signs of ReportLab's markup made harmless."""
    return escape(printable(value))


def style(
    size: float,
    *,
    bold: bool = False,
    italic: bool = False,
    colour: Color = black,
    before: float = 0,
    after: float = 0,
    indent: float = 0,
) -> ParagraphStyle:
    """A paragraph style; long words (ids, paths) break rather than leave their cell."""
    load_fonts()
    return ParagraphStyle(
        f"{size}{bold}{italic}{colour}{before}{after}{indent}",
        fontName=BOLD if bold else ITALIC if italic else FONT,
        fontSize=size,
        leading=size * 1.25,
        textColor=colour,
        alignment=TA_LEFT,
        spaceBefore=before,
        spaceAfter=after,
        leftIndent=indent,
        splitLongWords=1,
    )


def paragraph(value: object, size: float = 8.5, **how: Any) -> Paragraph:
    """Plain text as a paragraph."""
    return Paragraph(markup(value), style(size, **how))


def marked(text: str, size: float = 8.5, **how: Any) -> Paragraph:
    """Text that already is markup (its values were passed through :func:`markup`)."""
    return Paragraph(text, style(size, **how))


#: A heading stays with at least this much of what follows, points.
_ROOM_BELOW_HEADING = 20 * mm


class Heading(Paragraph):  # type: ignore[misc]
    """A heading that also stands in the PDF's outline."""

    def __init__(self, text: str, *, big: bool = False) -> None:
        size = 15 if big else 11
        super().__init__(markup(text), style(size, bold=True, before=3, after=4))
        self.outline_text = printable(text)

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """Size in points; too high for a page that has no room left for what follows it."""
        wide, high = super().wrap(width, height)
        return (wide, high) if height >= high + _ROOM_BELOW_HEADING else (wide, height + 1)

    def split(self, _width: float, _height: float) -> list[Flowable]:
        """A heading goes to the next page whole."""
        return []

    def draw(self) -> None:
        """Draw, and note the place."""
        key = f"{self.canv.getPageNumber()}-{self.outline_text}"
        self.canv.bookmarkPage(key)
        self.canv.addOutlineEntry(self.outline_text, key, level=0)
        super().draw()


def grid(
    rows: Sequence[Sequence[Any]],
    widths: Sequence[float],
    *,
    size: float = 8,
    header: bool = True,
    extra: Iterable[tuple[Any, ...]] = (),
) -> Table:
    """A ruled table whose head repeats on every page. Cells are text or flowables.

    Args:
        widths: of the columns, in points; they are scaled to the width of the page.
    """
    cells = [
        [
            cell
            if isinstance(cell, Flowable | list)
            else paragraph(cell, size, bold=header and not i)
            for cell in row
        ]
        for i, row in enumerate(rows)
    ]
    scale = WIDTH / sum(widths)
    table = Table(cells, [width * scale for width in widths], repeatRows=1 if header else 0)
    commands: list[tuple[Any, ...]] = [
        ("GRID", (0, 0), (-1, -1), 0.4, RULE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 2.5),
        ("RIGHTPADDING", (0, 0), (-1, -1), 2.5),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
    ]
    if header:
        commands.append(("BACKGROUND", (0, 0), (-1, 0), HEAD_FILL))
    table.setStyle(TableStyle([*commands, *extra]))
    return table


def box(content: Sequence[Flowable], fill: Color, edge: Color) -> Table:
    """Content on a coloured ground with a strong bar at its left; it may run over pages."""
    table = Table([[one] for one in content], [WIDTH])
    table.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, -1), fill),
                ("LINEBEFORE", (0, 0), (0, -1), 4, edge),
                ("BOX", (0, 0), (-1, -1), 0.6, edge),
                ("LEFTPADDING", (0, 0), (-1, -1), 8),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
            ]
        )
    )
    return table


@dataclass(frozen=True)
class Furniture:
    """What stands on every page: whose plan it is and which one.

    Attributes:
        patient: name, ID and birth date in one line.
        plan: plan id, version and program.
        banner: '' or the words that forbid trusting the plan as it is.
        kind: what the paper is.
    """

    patient: str
    plan: str
    banner: str = ""
    kind: str = "irplan injection plan"


def fits_page(flowables: Sequence[Flowable]) -> bool:
    """Whether these stand on one page together."""
    room = PAGE_HEIGHT - TOP_MARGIN - BOTTOM_MARGIN
    high = 0.0
    for one in flowables:
        high += float(one.wrap(WIDTH, 2.0 * room)[1] + one.getSpaceBefore() + one.getSpaceAfter())
    return bool(high <= room)


def build_pdf(
    story: Callable[[], list[Flowable]], target: Path, furniture: Furniture, title: str
) -> None:
    """Write the PDF. Equal content gives equal bytes.

    Args:
        story: gives fresh flowables; called once to count the pages and once to draw them.
    """
    load_fonts()
    pages = _build(story(), BytesIO(), furniture, title, 0)
    _build(story(), str(target), furniture, title, pages)


def is_counting(canvas: Any) -> bool:
    """Whether the pages are only counted; pictures then need not be drawn."""
    return bool(getattr(canvas, "irplan_counting", False))


def _build(
    flowables: list[Flowable], target: Any, furniture: Furniture, title: str, pages: int
) -> int:
    """Build once and return the number of pages; ``pages`` 0 counts only."""
    document = BaseDocTemplate(
        target,
        pagesize=A4,
        invariant=1,
        title=title,
        author="irplan",
        subject=RESEARCH_ONLY,
        creator="irplan",
        lang="en",
        pageCompression=1,
    )
    frame = Frame(
        SIDE_MARGIN,
        BOTTOM_MARGIN,
        WIDTH,
        PAGE_HEIGHT - TOP_MARGIN - BOTTOM_MARGIN,
        leftPadding=0,
        rightPadding=0,
        topPadding=0,
        bottomPadding=0,
    )
    last = [0]

    def furnish(canvas: Any, _document: Any) -> None:
        last[0] = canvas.getPageNumber()
        _draw_furniture(canvas, furniture, last[0], pages)

    def new_canvas(*arguments: Any, **options: Any) -> Canvas:
        canvas = Canvas(*arguments, **options)
        canvas.irplan_counting = pages == 0
        return canvas

    document.addPageTemplates(PageTemplate("page", [frame], onPage=furnish))
    document.build(flowables, canvasmaker=new_canvas)
    return last[0]


def _draw_furniture(canvas: Any, furniture: Furniture, page: int, pages: int) -> None:
    canvas.saveState()
    top = PAGE_HEIGHT - 10 * mm
    canvas.setFillColor(black)
    canvas.setFont(BOLD, 9)
    canvas.drawString(SIDE_MARGIN, top, _fitted(furniture.patient, BOLD, 9, WIDTH * 0.68))
    canvas.setFont(FONT, 7.5)
    canvas.setFillColor(GREY)
    canvas.drawRightString(PAGE_WIDTH - SIDE_MARGIN, top, furniture.kind)
    canvas.setFont(FONT, 7.5)
    canvas.drawString(SIDE_MARGIN, top - 4 * mm, printable(furniture.plan))
    if furniture.banner:
        canvas.setFillColor(STOP_EDGE)
        text = _fitted(furniture.banner, BOLD, 8, WIDTH * 0.5)
        width = pdfmetrics.stringWidth(text, BOLD, 8) + 8
        canvas.rect(PAGE_WIDTH - SIDE_MARGIN - width, top - 5.2 * mm, width, 4.2 * mm, 0, 1)
        canvas.setFillColor(white)
        canvas.setFont(BOLD, 8)
        canvas.drawRightString(PAGE_WIDTH - SIDE_MARGIN - 4, top - 4.1 * mm, text)
    canvas.setStrokeColor(RULE)
    canvas.setLineWidth(0.5)
    canvas.line(SIDE_MARGIN, top - 6.5 * mm, PAGE_WIDTH - SIDE_MARGIN, top - 6.5 * mm)
    canvas.line(SIDE_MARGIN, 13 * mm, PAGE_WIDTH - SIDE_MARGIN, 13 * mm)
    canvas.setFillColor(black)
    canvas.setFont(BOLD, 8.5)
    canvas.drawString(SIDE_MARGIN, 9 * mm, RESEARCH_ONLY)
    canvas.setFont(FONT, 8.5)
    canvas.drawRightString(PAGE_WIDTH - SIDE_MARGIN, 9 * mm, f"page {page}/{pages}")
    canvas.restoreState()


def _fitted(text: str, font: str, size: float, width: float) -> str:
    """The text, cut with '…' where it is wider than ``width`` (the first page has all of it)."""
    whole = printable(text)
    if pdfmetrics.stringWidth(whole, font, size) <= width:
        return whole
    while whole and pdfmetrics.stringWidth(whole + "…", font, size) > width:
        whole = whole[:-1]
    return whole + "…"
