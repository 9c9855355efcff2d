"""The bytes of a DICOM header: a walk over its elements that keeps the few wanted ones.

One scan reads tens of thousands of headers, so this walks the top level once, keeps raw bytes and
decodes nothing. Sequences are stepped over. Whatever does not follow the standard ends the walk
with :class:`Damaged`; nothing is guessed.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from irplan.dicom.memory import Memory

PIXEL_DATA = 0x7FE00010
FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
_FIRST_PIXELS = FLOAT_PIXEL_DATA[0]
TRANSFER_SYNTAX = 0x00020010
MEDIA_SOP_CLASS = 0x00020002

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
DEFLATED_LE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BE = "1.2.840.10008.1.2.2"

UNDEFINED = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
#: Deeper nesting than this is not met in images and would only exhaust the stack.
_DEEPEST = 24
#: A deflated header is inflated no further than this: a few kilobytes can name gigabytes.
INFLATED_LIMIT = 1 << 29

_LONG_VRS = frozenset(
    (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UR", b"UT", b"UN", b"SV", b"UV")
)
_SHORT_VRS = frozenset(
    (
        *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT"),
        *(b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
    )
)
#: Implicit files are recognised by their first element, which lies in one of these groups.
_FIRST_GROUPS = (0x0002, 0x0008)


class Damaged(Exception):
    """The bytes are not a well-formed DICOM data set; the text says where."""


class _NeedMore(Exception):
    """The walk ran past the bytes at hand, but not past the end of the file."""


class NotDicom(Exception):
    """The bytes do not begin like a DICOM file."""


class RawHeader(NamedTuple):
    """The wanted elements of one file, undecoded.

    Attributes:
        values: tag → raw bytes, in the file's byte order.
        transfer_syntax_uid: as stated; implicit little-endian where the file has no meta header.
        big_endian: byte order of ``values`` and of native pixels.
        pixel_offset: where the value of PixelData begins (in the inflated data set where the
            file is deflated), or -1 where there is none.
        pixel_length: its length; ``UNDEFINED`` where it is encapsulated.
        damage: where the walk had to end before the pixels, or ''.
    """

    values: dict[int, bytes]
    transfer_syntax_uid: str
    big_endian: bool
    pixel_offset: int
    pixel_length: int
    damage: str


def read_header(
    data: bytes, complete: bool, wanted: frozenset[int], memory: Memory | None = None
) -> RawHeader | None:
    """Walk the beginning of a file.

    Args:
        data: the file's first bytes.
        complete: whether these are all of them.
        wanted: the tags whose bytes are kept.
        memory: what the walks before this one, for the same ``wanted``, have met.

    Returns:
        The header, or None where more bytes are needed.

    Raises:
        NotDicom: it does not begin like one.
    """
    values: dict[int, bytes] = {}
    try:
        position, syntax = _begin(data, complete, values, memory)
    except _NeedMore:
        return None
    except Damaged as damage:
        return RawHeader(values, "", False, -1, 0, str(damage))
    body = data
    if syntax == DEFLATED_LE:
        if not complete:
            return None
        try:
            body = _inflate(data, position)
        except Damaged as damage:
            return RawHeader(values, syntax, False, -1, 0, str(damage))
        position = 0
    big = syntax == EXPLICIT_BE
    explicit = _is_explicit(body, position, syntax)
    walk = _Walk(body, complete or body is not data, explicit, _BIG if big else _LITTLE)
    try:
        offset, length = walk.top(position, wanted, values, memory)
    except _NeedMore:
        return None
    except Damaged as damage:
        return RawHeader(values, syntax, big, -1, 0, str(damage))
    return RawHeader(values, syntax, big, offset, length, "")


def inflated(data: bytes) -> bytes:
    """The data set of a deflated file; offsets of its header count from its first byte.

    Raises:
        Damaged: it does not inflate, or to more than ``INFLATED_LIMIT``.
    """
    try:
        position, _ = _begin(data, True, {})
    except NotDicom as error:
        raise Damaged("no longer a DICOM file") from error
    return _inflate(data, position)


def _inflate(data: bytes, position: int) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = inflater.decompress(data[position:], INFLATED_LIMIT)
    except zlib.error as error:
        raise Damaged(f"deflated bytes: {error}") from error
    if inflater.unconsumed_tail:
        raise Damaged("deflated bytes unfold to more than any image holds")
    # These bytes carry no checksum: that they end where they say is all that can be checked.
    if not inflater.eof or len(inflater.unused_data) > 1:
        raise Damaged("deflated bytes do not end where the file ends")
    return body


def _begin(
    data: bytes, complete: bool, values: dict[int, bytes], memory: Memory | None = None
) -> tuple[int, str]:
    """Position of the first element after the meta header, and the transfer syntax."""
    if data[128:132] == b"DICM":
        return _meta(data, complete, 132, values, memory)
    if len(data) < 8:
        raise NotDicom
    group, element = struct.unpack_from("<HH", data)
    if group == 0x0002 and data[4:6] in _SHORT_VRS | _LONG_VRS:
        return _meta(data, complete, 0, values, memory)
    if group not in _FIRST_GROUPS or element > 0x20:
        raise NotDicom
    (length,) = struct.unpack_from("<I", data, 4)
    if data[4:6] in _SHORT_VRS:
        return 0, EXPLICIT_LE
    if length > 256:
        raise NotDicom
    return 0, IMPLICIT_LE


_META_HEAD = struct.Struct("<HH2sH").unpack_from
_META_LENGTH = struct.Struct("<I").unpack_from
_META_GROUP = 0x0002
_META_WANTED = frozenset((MEDIA_SOP_CLASS, TRANSFER_SYNTAX))


def _meta(
    data: bytes, complete: bool, position: int, values: dict[int, bytes], memory: Memory | None
) -> tuple[int, str]:
    """Walk the meta header, which is explicit little-endian in every file."""
    end = len(data)
    learn = memory.begin("meta") if memory is not None else None
    while position + 8 <= end:
        group, element, vr, length = _META_HEAD(data, position)
        if group != _META_GROUP:
            break
        tag = group << 16 | element
        known = learn.stretches.get(tag) if learn is not None else None
        if learn is not None and known and data.startswith(known.content, position):
            learn.end(data)
            values.update(known.values)
            position += len(known.content)
            continue
        begin, start = position, position + 8
        if vr not in _SHORT_VRS:
            if vr not in _LONG_VRS or start + 4 > end:
                raise Damaged(f"no value representation at byte {position}")
            (length,) = _META_LENGTH(data, start)
            start += 4
        position = start + length
        if position > end:
            if complete:
                raise Damaged("an element of the meta header is too long")
            raise _NeedMore
        if tag in _META_WANTED:
            values[tag] = data[start:position]
        if learn is None:
            continue
        if tag not in learn.changing:
            learn.walked(tag, data, begin, position, values)
        elif learn.walking:
            learn.end(data)
    if learn is not None:
        learn.end(data)
    syntax = values.get(TRANSFER_SYNTAX, b"").strip(b" \0").decode("latin-1")
    return position, syntax or IMPLICIT_LE


def _is_explicit(data: bytes, position: int, syntax: str) -> bool:
    """Some writers state the one form and write the other: the first element decides."""
    vr = data[position + 4 : position + 6]
    stated = syntax != IMPLICIT_LE
    looks = vr in _SHORT_VRS or vr in _LONG_VRS
    return looks if len(vr) == 2 else stated


class _Order:
    """How a byte order reads the heads of elements."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.tag_and_short = struct.Struct(mark + "HH2sH").unpack_from
        self.tag_and_long = struct.Struct(mark + "HHI").unpack_from
        self.long = struct.Struct(mark + "I").unpack_from


_LITTLE, _BIG = _Order("<"), _Order(">")


class _Walk:
    """A walk over the elements in ``data``."""

    def __init__(self, data: bytes, complete: bool, explicit: bool, order: _Order) -> None:
        self.data = data
        self.end = len(data)
        self.complete = complete
        self.explicit = explicit
        self.order = order
        self.tag_and_short = order.tag_and_short
        self.tag_and_long = order.tag_and_long
        self.long = order.long

    def short_of_bytes(self, where: int, why: str) -> Exception:
        return Damaged(f"{why} at byte {where}") if self.complete else _NeedMore()

    def head(self, position: int, explicit: bool) -> tuple[int, bytes, int, int]:
        """(tag, VR, length, position of the value) of the element at ``position``."""
        if position + 8 > self.end:
            raise self.short_of_bytes(position, "the header ends inside an element")
        group, element, length = self.tag_and_long(self.data, position)
        tag = group << 16 | element
        if not explicit or group == 0xFFFE:
            return tag, b"", length, position + 8
        _, _, vr, length = self.tag_and_short(self.data, position)
        if vr in _SHORT_VRS:
            return tag, vr, length, position + 8
        if vr not in _LONG_VRS:
            raise Damaged(f"no value representation at byte {position}")
        if position + 12 > self.end:
            raise self.short_of_bytes(position, "the header ends inside an element")
        return tag, vr, self.long(self.data, position + 8)[0], position + 12

    def top(
        self,
        position: int,
        wanted: frozenset[int],
        values: dict[int, bytes],
        memory: Memory | None = None,
    ) -> tuple[int, int]:
        """Walk the data set; (offset, length) of its pixel data, or (-1, 0)."""
        last = 0
        explicit, end, data, complete = self.explicit, self.end, self.data, self.complete
        short = self.tag_and_short
        form = ("explicit" if explicit else "implicit") + self.order.mark
        learn = memory.begin(form) if memory is not None else None
        stretches, changing = (learn.stretches, learn.changing) if learn else ({}, set())
        while position < end or not complete:
            # Most elements have a short explicit length; the rest go the long way.
            if explicit and position + 8 <= end:
                group, element, vr, length = short(data, position)
                tag, start = group << 16 | element, position + 8
                if vr not in _SHORT_VRS:
                    if vr in _LONG_VRS and position + 12 <= end:
                        (length,), start = self.long(data, start), position + 12
                    else:
                        tag, vr, length, start = self.head(position, explicit)
            else:
                tag, vr, length, start = self.head(position, explicit)
            if tag >= _FIRST_PIXELS:
                if tag == PIXEL_DATA:
                    break
                if tag in FLOAT_PIXEL_DATA:
                    raise Damaged("pixels are floating point, which no CT is")
            if tag <= last:
                raise Damaged(f"elements out of order at byte {position}")
            known = stretches.get(tag)
            if learn is not None and known and data.startswith(known.content, position):
                if learn.walking:
                    learn.end(data)
                values.update(known.values)
                last, position = known.last, position + len(known.content)
                continue
            last = tag
            if length == UNDEFINED:
                after = self.sequence(start, explicit and vr != b"UN", 0)
            else:
                after = start + length
                if after > end and (complete or tag in wanted):
                    raise self.short_of_bytes(position, "an element reaches beyond the file")
                if tag in wanted:
                    values[tag] = data[start:after]
            if tag not in changing:
                if learn is not None:
                    learn.walked(tag, data, position, after, values)
            elif learn is not None and learn.walking:
                learn.end(data)
            position = after
        else:
            return -1, 0
        if learn is not None:
            learn.end(data)
        return start, length

    def sequence(self, position: int, explicit: bool, depth: int) -> int:
        """The position behind a sequence of undefined length whose items begin here."""
        if depth > _DEEPEST:
            raise Damaged(f"sequences nested too deep at byte {position}")
        while True:
            tag, _, length, start = self.head(position, explicit)
            if tag == _SEQUENCE_END:
                return start
            if tag != _ITEM:
                raise Damaged(f"no item at byte {position}")
            undefined = length == UNDEFINED
            position = self.item(start, explicit, depth) if undefined else start + length

    def item(self, position: int, explicit: bool, depth: int) -> int:
        """The position behind an item of undefined length whose elements begin here."""
        while True:
            tag, vr, length, start = self.head(position, explicit)
            if tag == _ITEM_END:
                return start
            if length == UNDEFINED:
                position = self.sequence(start, explicit and vr != b"UN", depth + 1)
            else:
                position = start + length
