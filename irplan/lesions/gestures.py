"""What a person draws to show a lesion, and the file that holds it.

A click is a point inside the lesion, or outside it (a correction). A diameter is a line from
border to border, drawn in any plane. A box holds the lesion, within one slice or in all three
directions. A scribble is a line drawn by hand within the lesion, or beside it (a correction).
Several gestures of one lesion add up, in any order and number. All positions are LPS mm.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from irplan.errors import CallError, InputRefused
from irplan.geometry import FloatArray, PointLps
from irplan.lesions.lesion import LesionKind
from irplan.units import parse_decimal

#: A diameter shorter than this is a slip of the hand, mm.
SHORTEST_DIAMETER_MM = 1.0

#: A side of a box shorter than this was not drawn: the box lies within one slice, mm.
FLAT_BOX_MM = 1.0
#: A scribble is read as points this far apart, mm.
SCRIBBLE_STEP_MM = 2.0

CLICK_COLUMNS = ("lesion_id", "kind", "x", "y", "z", "x2", "y2", "z2", "inside", "gesture")
GESTURES = ("click", "diameter", "box", "scribble")
_NEEDED_COLUMNS = ("lesion_id", "x", "y", "z")


@dataclass(frozen=True)
class Click:
    """A point in the lesion, or with ``inside`` false beside it. LPS mm."""

    point_lps_mm: PointLps
    inside: bool = True

    def __post_init__(self) -> None:
        _check_finite(self.point_lps_mm)


@dataclass(frozen=True)
class Diameter:
    """A line from border to border of the lesion, in any plane. LPS mm.

    Raises:
        CallError: it is shorter than :data:`SHORTEST_DIAMETER_MM`.
    """

    start_lps_mm: PointLps
    end_lps_mm: PointLps

    def __post_init__(self) -> None:
        _check_finite((*self.start_lps_mm, *self.end_lps_mm))
        if self.length_mm < SHORTEST_DIAMETER_MM:
            raise CallError(
                "diameter_too_short",
                f"a diameter of {self.length_mm:.2f} mm is no diameter of a lesion",
                "draw it from border to border, or give a click",
            )

    @property
    def length_mm(self) -> float:
        """Its length in mm."""
        return math.dist(self.start_lps_mm, self.end_lps_mm)

    @property
    def middle_lps_mm(self) -> PointLps:
        """The point halfway."""
        x, y, z = (np.asarray(self.start_lps_mm) + np.asarray(self.end_lps_mm)) / 2.0
        return float(x), float(y), float(z)


@dataclass(frozen=True)
class Box:
    """Two opposite corners of a box along the patient's axes that just holds the lesion. LPS mm.

    A side shorter than :data:`FLAT_BOX_MM` was not drawn: that extent is unknown.

    Raises:
        CallError: fewer than two of its sides were drawn.
    """

    corner_lps_mm: PointLps
    opposite_lps_mm: PointLps

    def __post_init__(self) -> None:
        _check_finite((*self.corner_lps_mm, *self.opposite_lps_mm))
        if len(self.diameters) < 2:
            raise CallError(
                "box_too_thin",
                "a box has fewer than two sides of 1 mm or more",
                "draw it around the lesion, or draw a diameter",
            )

    @property
    def diameters(self) -> tuple[Diameter, ...]:
        """The lines through its middle along the sides that were drawn."""
        ends = np.array([self.corner_lps_mm, self.opposite_lps_mm], dtype=float)
        middle = ends.mean(axis=0)
        lines = []
        for axis in range(3):
            if abs(ends[1, axis] - ends[0, axis]) < FLAT_BOX_MM:
                continue
            start, end = middle.copy(), middle.copy()
            start[axis], end[axis] = ends[:, axis].min(), ends[:, axis].max()
            lines.append(Diameter(_as_point(start), _as_point(end)))
        return tuple(lines)


@dataclass(frozen=True)
class Scribble:
    """A line drawn by hand through points in the lesion, or with ``inside`` false beside it.

    Raises:
        CallError: it has no point.
    """

    points_lps_mm: tuple[PointLps, ...]
    inside: bool = True

    def __post_init__(self) -> None:
        if not self.points_lps_mm:
            raise CallError("empty_scribble", "a scribble has no point")
        _check_finite([number for point in self.points_lps_mm for number in point])

    @property
    def path_lps_mm(self) -> tuple[PointLps, ...]:
        """Points along it no farther apart than :data:`SCRIBBLE_STEP_MM`."""
        path = [self.points_lps_mm[0]]
        for start, end in zip(self.points_lps_mm, self.points_lps_mm[1:], strict=False):
            count = max(1, math.ceil(math.dist(start, end) / SCRIBBLE_STEP_MM))
            part = np.arange(1, count + 1)[:, None] / count
            path += [_as_point(row) for row in np.add((1.0 - part) * start, part * np.array(end))]
        return tuple(path)


Gesture = Click | Diameter | Box | Scribble


def _as_point(values: FloatArray) -> PointLps:
    x, y, z = values.tolist()
    return x, y, z


def _check_finite(numbers: Sequence[float]) -> None:
    if not all(math.isfinite(number) for number in numbers):
        raise CallError("not_a_point", f"a position holds a number that is not finite: {numbers}")


@dataclass(frozen=True)
class Prompt:
    """One lesion as a person showed it.

    Attributes:
        lesion_id: its id in every document; not empty.
        kind: what tissue it lies in; ``None`` lets the program choose by where it lies.
        gestures: in the order given, at least one; the first may not be a click outside.

    Raises:
        CallError: no id, no gesture, or only clicks outside the lesion.
    """

    lesion_id: str
    kind: LesionKind | None
    gestures: tuple[Gesture, ...]

    def __post_init__(self) -> None:
        if not self.lesion_id.strip():
            raise CallError("lesion_without_id", "a lesion has no id")
        if not any(shows_inside(item) for item in self.gestures):
            raise CallError(
                "nothing_inside",
                f"lesion {self.lesion_id}: no gesture shows where the lesion is",
                "give a click or a scribble inside it, a diameter or a box",
            )

    @property
    def diameters(self) -> tuple[Diameter, ...]:
        """The lines among the gestures, as drawn, and those of its boxes."""
        lines: list[Diameter] = []
        for item in self.gestures:
            if isinstance(item, Diameter):
                lines.append(item)
            elif isinstance(item, Box):
                lines += item.diameters
        return tuple(lines)

    @property
    def clicks_inside(self) -> tuple[PointLps, ...]:
        """Points that a person said lie in the lesion, scribbles point by point, LPS mm."""
        return tuple(point for mark in self.marks if mark.inside for point in points_of(mark))

    @property
    def clicks_outside(self) -> tuple[PointLps, ...]:
        """Points that a person said lie outside the lesion, LPS mm."""
        return tuple(point for mark in self.marks if not mark.inside for point in points_of(mark))

    @property
    def marks(self) -> tuple[Click | Scribble, ...]:
        """Clicks and scribbles, in the order drawn."""
        return tuple(item for item in self.gestures if isinstance(item, Click | Scribble))

    @property
    def first(self) -> Gesture:
        """The first gesture that shows where the lesion is."""
        return next(item for item in self.gestures if shows_inside(item))

    @property
    def first_point_lps_mm(self) -> PointLps:
        """Where the lesion was first shown: a click, or the middle of a line, box or scribble."""
        first = self.first
        if isinstance(first, Diameter):
            return first.middle_lps_mm
        if isinstance(first, Box):
            return first.diameters[0].middle_lps_mm
        points = points_of(first)
        return points[len(points) // 2]


def shows_inside(gesture: Gesture) -> bool:
    """Whether a gesture shows where the lesion is, not only where it is not."""
    return isinstance(gesture, Diameter | Box) or gesture.inside


def points_of(mark: Click | Scribble) -> tuple[PointLps, ...]:
    """The points of a click or a scribble, LPS mm."""
    return (mark.point_lps_mm,) if isinstance(mark, Click) else mark.path_lps_mm


def prompts_from(
    seeds: Iterable[PointLps],
    strokes: Iterable[tuple[PointLps, PointLps]],
    kind: LesionKind | None = None,
) -> tuple[Prompt, ...]:
    """One lesion for each seed, then one for each stroke, named L1, L2, … in that order."""
    gestures: list[Gesture] = [Click(seed) for seed in seeds]
    gestures += [Diameter(start, end) for start, end in strokes]
    return tuple(
        Prompt(f"L{number}", kind, (gesture,)) for number, gesture in enumerate(gestures, start=1)
    )


def kind_from(text: str, what: str = "kind") -> LesionKind | None:
    """The kind of that name; '' and ``auto`` are ``None``.

    Raises:
        CallError: no such kind.
    """
    name = text.strip().lower()
    if name in ("", "auto"):
        return None
    try:
        return LesionKind(name)
    except ValueError:
        names = ", ".join(["auto", *(kind.value for kind in LesionKind)])
        raise CallError("unknown_kind", f"{what}: '{text}' is not one of {names}") from None


def read_clicks(path: Path) -> tuple[Prompt, ...]:
    """The lesions of a file of gestures, in the order in which their ids first stand in it.

    Columns ``lesion_id,kind,x,y,z,x2,y2,z2,inside,gesture``; only the id and x, y, z are needed.
    A row with x2, y2, z2 is a diameter, one without is a click; ``inside`` 0 is a click outside the
    lesion. ``gesture`` says otherwise: ``box`` (two opposite corners) or ``scribble`` (a stroke
    from the first to the second point; rows that go on where the last ended are one scribble).
    LPS mm.

    Raises:
        InputRefused: the file cannot be read, or a column, number or row is wrong; the message
            names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputRefused(
            "clicks_unreadable", f"{path}: cannot be read as text: {error}"
        ) from error
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    columns = [name.strip() for name in reader.fieldnames or []]
    reader.fieldnames = columns
    missing = [name for name in _NEEDED_COLUMNS if name not in columns]
    unknown = [name for name in columns if name not in CLICK_COLUMNS]
    if missing or unknown or len(set(columns)) != len(columns):
        raise InputRefused(
            "clicks_columns",
            f"{path}: the columns are {','.join(columns) or 'absent'}",
            f"use {','.join(CLICK_COLUMNS)}",
        )
    gestures: dict[str, list[Gesture]] = {}
    kinds: dict[str, LesionKind | None] = {}
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        try:
            lesion_id, kind, gesture = _row(row, where)
        except CallError as error:
            message = error.message if where in error.message else f"{where}: {error.message}"
            raise InputRefused(error.code, message, error.remedy) from error
        if kind is not None and kinds.get(lesion_id, kind) not in (None, kind):
            raise InputRefused(
                "kind_differs", f"{where}: lesion {lesion_id} has two kinds", "give one kind"
            )
        kinds[lesion_id] = kind or kinds.get(lesion_id)
        _append(gestures.setdefault(lesion_id, []), gesture)
    if not gestures:
        raise InputRefused("clicks_empty", f"{path}: holds no gesture")
    try:
        return tuple(Prompt(key, kinds[key], tuple(drawn)) for key, drawn in gestures.items())
    except CallError as error:
        raise InputRefused(error.code, f"{path}: {error.message}", error.remedy) from error


def _row(row: dict[str, str | None], where: str) -> tuple[str, LesionKind | None, Gesture]:
    if None in row:
        raise CallError("clicks_row", f"{where}: more cells than columns")
    cells = {key: (value or "").strip() for key, value in row.items()}
    lesion_id = cells["lesion_id"]
    if not lesion_id:
        raise CallError("lesion_without_id", f"{where}: the lesion_id is empty")
    first = _point(cells, ("x", "y", "z"), where)
    ends = [cells.get(name, "") for name in ("x2", "y2", "z2")]
    inside = cells.get("inside", "")
    if inside not in ("", "0", "1"):
        raise CallError("clicks_row", f"{where}: inside is '{inside}', not 0 or 1")
    kind = kind_from(cells.get("kind", ""), where)
    named = cells.get("gesture", "").lower()
    if named not in ("", *GESTURES):
        raise CallError("clicks_row", f"{where}: gesture is '{named}', not {', '.join(GESTURES)}")
    drawn = named or ("diameter" if any(ends) else "click")
    if drawn == "click" and any(ends):
        raise CallError("clicks_row", f"{where}: a click has no second point")
    if inside == "0" and drawn in ("diameter", "box"):
        raise CallError("clicks_row", f"{where}: a {drawn} cannot lie outside the lesion")
    if drawn == "click":
        return lesion_id, kind, Click(first, inside != "0")
    if drawn == "scribble" and not any(ends):
        return lesion_id, kind, Scribble((first,), inside != "0")
    second = _point(cells, ("x2", "y2", "z2"), where)
    if drawn == "scribble":
        return lesion_id, kind, Scribble((first, second), inside != "0")
    return lesion_id, kind, Box(first, second) if drawn == "box" else Diameter(first, second)


def _append(drawn: list[Gesture], gesture: Gesture) -> None:
    """Add a gesture; a scribble that goes on where the last one ended becomes part of it."""
    last = drawn[-1] if drawn else None
    if (
        isinstance(gesture, Scribble)
        and isinstance(last, Scribble)
        and last.inside == gesture.inside
        and last.points_lps_mm[-1] == gesture.points_lps_mm[0]
    ):
        drawn[-1] = Scribble((*last.points_lps_mm, *gesture.points_lps_mm[1:]), last.inside)
    else:
        drawn.append(gesture)


def _point(cells: dict[str, str], names: tuple[str, str, str], where: str) -> PointLps:
    x, y, z = (float(parse_decimal(cells[name], f"{where}, {name}")) for name in names)
    return x, y, z
