"""What a person draws to show a lesion: clicks and diameters, and the file that holds them.

A click is a point inside the lesion, or outside it (a correction). A diameter is a line from
border to border, drawn in any plane. Several gestures of one lesion add up, in any order.
All positions are LPS mm.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from irplan.errors import CallError, InputRefused
from irplan.geometry import PointLps
from irplan.lesions.lesion import LesionKind
from irplan.units import parse_decimal

#: A diameter shorter than this is a slip of the hand, mm.
SHORTEST_DIAMETER_MM = 1.0

CLICK_COLUMNS = ("lesion_id", "kind", "x", "y", "z", "x2", "y2", "z2", "inside")
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


Gesture = Click | Diameter


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
        if not any(isinstance(item, Diameter) or item.inside for item in self.gestures):
            raise CallError(
                "nothing_inside",
                f"lesion {self.lesion_id}: no gesture shows where the lesion is",
                "give a click inside it or a diameter",
            )

    @property
    def diameters(self) -> tuple[Diameter, ...]:
        """The lines among the gestures, as drawn."""
        return tuple(item for item in self.gestures if isinstance(item, Diameter))

    @property
    def clicks_inside(self) -> tuple[PointLps, ...]:
        """Points that a person said lie in the lesion, LPS mm."""
        return tuple(
            item.point_lps_mm for item in self.gestures if isinstance(item, Click) and item.inside
        )

    @property
    def clicks_outside(self) -> tuple[PointLps, ...]:
        """Points that a person said lie outside the lesion, LPS mm."""
        return tuple(
            item.point_lps_mm
            for item in self.gestures
            if isinstance(item, Click) and not item.inside
        )

    @property
    def first_point_lps_mm(self) -> PointLps:
        """Where the lesion was first shown: the first click inside, or middle of a first line."""
        for item in self.gestures:
            if isinstance(item, Diameter):
                return item.middle_lps_mm
            if item.inside:
                return item.point_lps_mm
        raise AssertionError("checked on construction")


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

    Columns ``lesion_id,kind,x,y,z,x2,y2,z2,inside``; only the id and x, y, z are needed. A row
    with x2, y2, z2 is a diameter, one without is a click; ``inside`` 0 is a click outside the
    lesion. LPS mm.

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
        gestures.setdefault(lesion_id, []).append(gesture)
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
    if not any(ends):
        return lesion_id, kind, Click(first, inside != "0")
    if inside == "0":
        raise CallError("clicks_row", f"{where}: a diameter cannot lie outside the lesion")
    return lesion_id, kind, Diameter(first, _point(cells, ("x2", "y2", "z2"), where))


def _point(cells: dict[str, str], names: tuple[str, str, str], where: str) -> PointLps:
    x, y, z = (float(parse_decimal(cells[name], f"{where}, {name}")) for name in names)
    return x, y, z
