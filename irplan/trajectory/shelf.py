"""The needle shelf: which needles lie in the room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from irplan.errors import InputRefused
from irplan.trajectory import rulefile

USES = ("superficial", "deep")
_KEYS = ("name", "gauge", "length_mm", "use", "dead_space_ul", "source")


@dataclass(frozen=True)
class NeedleType:
    """One kind of needle.

    Attributes:
        name: as on the shelf, unique.
        gauge: Stubs gauge.
        length_mm: shaft length.
        use: 'superficial' (under ultrasound or palpation), 'deep' (under CT), or both.
        dead_space_ul: volume of the lumen in µL, or None where not known; the hub adds its own.
        source: where the figures come from.
    """

    name: str
    gauge: int
    length_mm: Decimal
    use: tuple[str, ...]
    dead_space_ul: Decimal | None
    source: str

    def document(self) -> dict[str, Any]:
        """The needle as the plan's settings print it."""
        return {
            "name": self.name,
            "gauge": self.gauge,
            "length_mm": self.length_mm,
            "use": list(self.use),
            "dead_space_ul": self.dead_space_ul,
            "source": self.source,
        }


@dataclass(frozen=True)
class NeedleShelf:
    """The needles, shortest first."""

    version: str
    needles: tuple[NeedleType, ...]

    def for_guidance(self, guidance: str) -> tuple[NeedleType, ...]:
        """Needles for a way of working: deep ones for 'ct', else superficial; shortest first."""
        use = "deep" if guidance == "ct" else "superficial"
        return tuple(needle for needle in self.needles if use in needle.use)

    def shortest(
        self, depth_mm: float, reserve_mm: float, guidance: str, longest_mm: float
    ) -> NeedleType | None:
        """The shortest needle that reaches ``depth_mm`` with the reserve outside, or None."""
        for needle in self.for_guidance(guidance):
            length = float(needle.length_mm)
            if length <= longest_mm and length >= depth_mm + reserve_mm:
                return needle
        return None

    def document(self) -> dict[str, Any]:
        """The shelf, for the plan's settings and its ``inputs`` folder."""
        return {"version": self.version, "needle": [needle.document() for needle in self.needles]}


def load_shelf(path: Path | None = None) -> NeedleShelf:
    """The shipped shelf, or the one in the file (it replaces the shipped one whole).

    Raises:
        InputRefused: the file cannot be read, holds an unknown key or a value out of range, is
            empty, or names a needle twice.
    """
    content = rulefile.read_default("needles.toml") if path is None else rulefile.read_toml(path)
    where = "needles.toml" if path is None else str(path)
    rulefile.refuse_unknown(where, content, ("version", "needle"))
    entries = content.get("needle")
    if not isinstance(entries, list) or not entries:
        raise InputRefused("no_needles", f"{where}: holds no [[needle]]")
    needles = [
        _needle(f"{where}: needle {number}", entry) for number, entry in enumerate(entries, 1)
    ]
    names = [needle.name for needle in needles]
    if len(set(names)) != len(names):
        raise InputRefused("needle_twice", f"{where}: a needle's name stands twice")
    needles.sort(key=lambda needle: (needle.length_mm, -needle.gauge, needle.name))
    return NeedleShelf(rulefile.text(f"{where}: version", content.get("version")), tuple(needles))


def _needle(where: str, entry: Mapping[str, Any]) -> NeedleType:
    if not isinstance(entry, dict):
        raise InputRefused("no_needles", f"{where}: is not a table [[needle]]")
    rulefile.refuse_unknown(where, entry, _KEYS)
    gauge = rulefile.number(f"{where}.gauge", entry.get("gauge"), Decimal(8), Decimal(34))
    if gauge != int(gauge):
        raise InputRefused("not_a_gauge", f"{where}.gauge: {gauge} is not a whole number")
    use = rulefile.texts(f"{where}.use", entry.get("use"))
    if any(way not in USES for way in use):
        raise InputRefused("not_a_use", f"{where}.use: {list(use)} is not of {list(USES)}")
    space = entry.get("dead_space_ul")
    return NeedleType(
        name=rulefile.text(f"{where}.name", entry.get("name")),
        gauge=int(gauge),
        length_mm=rulefile.number(
            f"{where}.length_mm", entry.get("length_mm"), Decimal(10), Decimal(300)
        ),
        use=use,
        dead_space_ul=(
            None
            if space is None
            else rulefile.number(f"{where}.dead_space_ul", space, Decimal(0), Decimal(500))
        ),
        source=rulefile.text(f"{where}.source", entry.get("source")),
    )
