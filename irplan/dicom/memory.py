"""Stretches of headers that were met before, so that they are compared and not walked again.

The images of a series repeat most of their header byte for byte. A stretch of elements, walked
once from a boundary between two elements, is kept with what was found in it; where the next
header has the very same bytes at such a boundary, the walk would find the very same, and is
spared. Elements that change from image to image are learned and end a stretch. One memory serves
one thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: Longer stretches (pictures in private elements) are not worth keeping.
_LONGEST_KEPT = 1 << 16


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive elements: their bytes, the wanted values among them, the last tag."""

    content: bytes
    values: dict[int, bytes]
    last: int


@dataclass
class Memory:
    """The stretches met so far, for each way of writing elements."""

    _learners: dict[tuple[bool, str], Learner] = field(default_factory=dict)

    def begin(self, explicit: bool, order: str) -> Learner:
        """The learner of one way of writing, at the beginning of a header."""
        learner = self._learners.setdefault((explicit, order), Learner())
        learner.begin()
        return learner


@dataclass
class Learner:
    """Learns which elements change, and keeps the stretches between them."""

    _stretches: dict[int, Stretch] = field(default_factory=dict)
    _changing: set[int] = field(default_factory=set)
    #: The stretch being walked: tag and byte at which it began (-1: none), its values, last tag.
    _tag: int = -1
    _start: int = 0
    _end: int = 0
    _values: dict[int, bytes] = field(default_factory=dict)
    _last: int = 0

    def begin(self) -> None:
        """Forget a stretch that an earlier walk left unfinished."""
        self._tag = -1

    def known(self, tag: int, data: bytes, position: int) -> Stretch | None:
        """The stretch that begins with ``tag`` and stands at ``position``, if it is the same."""
        stretch = self._stretches.get(tag)
        if stretch is None or not data.startswith(stretch.content, position):
            return None
        self.end(data)
        return stretch

    def walked(
        self, tag: int, data: bytes, position: int, after: int, values: dict[int, bytes]
    ) -> None:
        """An element was walked, from ``position`` to ``after``."""
        if tag in self._changing:
            self.end(data)
            return
        if self._tag < 0:
            self._tag, self._start, self._values = tag, position, {}
        old = self._stretches.get(self._tag)
        if old is not None:
            begin = position - self._start
            there = old.content[begin : begin + after - position]
            if there and there != data[position:after]:
                self._changing.add(tag)
                self._stretches.pop(tag, None)
                self.end(data)
                return
        if tag in values:
            self._values[tag] = values[tag]
        self._last, self._end = tag, after

    def end(self, data: bytes) -> None:
        """The stretch being walked ends here; it is kept."""
        if self._tag >= 0 and self._end > self._start:
            content = data[self._start : self._end]
            if len(content) <= _LONGEST_KEPT:
                self._stretches[self._tag] = Stretch(content, self._values, self._last)
        self._tag, self._end, self._start = -1, 0, 0
