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

    _learners: dict[str, Learner] = field(default_factory=dict)

    def begin(self, form: str) -> Learner:
        """The learner of one way of writing, at the beginning of a header."""
        learner = self._learners.get(form)
        if learner is None:
            learner = self._learners[form] = Learner()
        learner.begin()
        return learner


@dataclass
class Learner:
    """Learns which elements change, and keeps the stretches between them.

    Attributes:
        stretches: by the tag that each begins with.
        changing: tags of the elements that were seen to change.
        walking: whether a stretch is being walked that is not kept yet.
    """

    stretches: dict[int, Stretch] = field(default_factory=dict)
    changing: set[int] = field(default_factory=set)
    walking: bool = False
    #: The stretch being walked: tag and byte at which it began, its end, its values, last tag.
    _tag: int = 0
    _start: int = 0
    _end: int = 0
    _values: dict[int, bytes] = field(default_factory=dict)
    _last: int = 0

    def begin(self) -> None:
        """Forget a stretch that an earlier walk left unfinished."""
        self.walking = False

    def walked(
        self, tag: int, data: bytes, position: int, after: int, values: dict[int, bytes]
    ) -> None:
        """An element that is not known to change was walked, from ``position`` to ``after``."""
        if not self.walking:
            self.walking, self._tag, self._start, self._values = True, tag, position, {}
            self._end = position
        old = self.stretches.get(self._tag)
        if old is not None:
            begin = position - self._start
            there = old.content[begin : begin + after - position]
            if there and there != data[position:after]:
                self.changing.add(tag)
                self.stretches.pop(tag, None)
                self.end(data)
                return
        if tag in values:
            self._values[tag] = values[tag]
        self._last, self._end = tag, after

    def end(self, data: bytes) -> None:
        """The stretch being walked, if one is, ends here; it is kept."""
        if self.walking and self._start < self._end <= self._start + _LONGEST_KEPT:
            content = data[self._start : self._end]
            self.stretches[self._tag] = Stretch(content, self._values, self._last)
        self.walking = False
