"""One image (a file, or a frame of an enhanced file) as its header describes it.

Numbers are parsed, never repaired: what is absent is None or '', what is not a finite number is
NaN and is refused later by the geometry gate.
"""

from __future__ import annotations

import math
import re
import struct
import warnings
from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from irplan.dicom.elements import MEDIA_SOP_CLASS, RawHeader

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
CONVERTED_CT = "1.2.840.10008.5.1.4.1.1.2.2"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
DICOMDIR_CLASS = "1.2.840.10008.1.3.10"
MULTIFRAME_CLASSES = (ENHANCED_CT, CONVERTED_CT)

_CHARSET = 0x00080005
_INSTANCE_NAME, _TIME_NAME = "sop_instance_uid", "acquisition_time"
_UNSIGNED_SHORTS = {
    "samples": 0x00280002,
    "rows": 0x00280010,
    "columns": 0x00280011,
    "bits_allocated": 0x00280100,
    "bits_stored": 0x00280101,
    "high_bit": 0x00280102,
    "signed": 0x00280103,
    "padding": 0x00280120,
    "padding_limit": 0x00280121,
    "overlay_bits": 0x60000100,
}
_TEXTS = {
    "image_type": 0x00080008,
    "sop_class_uid": 0x00080016,
    _INSTANCE_NAME: 0x00080018,
    "study_date": 0x00080020,
    "series_date": 0x00080021,
    "acquisition_date": 0x00080022,
    "content_date": 0x00080023,
    "modality": 0x00080060,
    "patient_birth_date": 0x00100030,
    "patient_sex": 0x00100040,
    "tube_voltage": 0x00180060,
    "kernel": 0x00181210,
    "patient_position": 0x00185100,
    "study_instance_uid": 0x0020000D,
    "series_instance_uid": 0x0020000E,
    "frame_of_reference_uid": 0x00200052,
    "photometric": 0x00280004,
    "rescale_type": 0x00281054,
    "lossy": 0x00282110,
    "temporal_position": 0x00200100,
    "cardiac_phase": 0x00209241,
    "acquisition_number": 0x00200012,
    "burned_in": 0x00280301,
}
#: Texts that may be written in another alphabet; decoded by SpecificCharacterSet.
_NAMES = {
    "series_description": 0x0008103E,
    "patient_name": 0x00100010,
    "patient_id": 0x00100020,
    "contrast_agent": 0x00180010,
    "contrast_route": 0x00181040,
}
#: In the order of the fields of :class:`SliceHeader`.
_NUMBERS = {
    "orientation": 0x00200037,
    "pixel_spacing": 0x00280030,
    "slope": 0x00281053,
    "intercept": 0x00281052,
    "slice_thickness": 0x00180050,
    "tilt_tag": 0x00181120,
    "frames": 0x00280008,
}


class SliceHeader(NamedTuple):
    """What one image says of itself. Lengths in mm, positions in LPS mm.

    ``position``, ``orientation`` and ``pixel_spacing`` (row spacing first) are () where absent.
    ``frame`` is the index inside a multiframe file, else 0. ``padding`` is the raw 16-bit value.
    ``overlay_bits`` is above 1 where an overlay lies in spare bits of the pixels (retired).
    ``values`` holds the texts that the images of a series share; headers share it too, so it is
    never changed.
    """

    path: str
    member: str
    frame: int
    transfer_syntax_uid: str
    big_endian: bool
    pixel_offset: int
    pixel_length: int
    file_size: int
    damage: str
    sop_instance_uid: str
    acquisition_time: str
    instance_number: float | None
    position: tuple[float, ...]
    values: dict[str, str]
    orientation: tuple[float, ...]
    pixel_spacing: tuple[float, ...]
    slope: float | None
    intercept: float | None
    slice_thickness: float | None
    tilt_tag: float | None
    frames: float | None
    samples: int
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: int
    padding: int | None
    padding_limit: int | None
    overlay_bits: int

    def text(self, name: str) -> str:
        """A text attribute, '' where absent."""
        if name in (_INSTANCE_NAME, _TIME_NAME):
            return self.sop_instance_uid if name == _INSTANCE_NAME else self.acquisition_time
        return self.values.get(name, "")

    @property
    def name(self) -> str:
        """The file (and the member of its archive) for messages."""
        name = f"{self.path}!{self.member}" if self.member else self.path
        return name.encode("utf-8", "backslashreplace").decode()

    @property
    def image_type(self) -> tuple[str, ...]:
        """ImageType in upper case, its values stripped."""
        return image_type_words(self.values.get("image_type", ""))

    @property
    def is_multiframe(self) -> bool:
        """Whether this stands for a whole file of many frames."""
        return self.frames is not None and self.frames > 1


def distinct_texts(headers: Iterable[SliceHeader]) -> list[dict[str, str]]:
    """The texts of some images, each shared set of them once, in the order of the images."""
    return list({id(header.values): header.values for header in headers}.values())


@lru_cache(maxsize=1024)
def image_type_words(text: str) -> tuple[str, ...]:
    """The values of an ImageType, upper case and stripped."""
    return tuple(part.strip().upper() for part in text.split("\\"))


@lru_cache(maxsize=4096)
def numbers(raw: bytes) -> tuple[float, ...]:
    """The numbers of a DS or IS value; NaN for a part that is not a plain number."""
    text = raw.decode("latin-1").strip(" \0\t\r\n")
    return tuple(_number(part) for part in text.split("\\")) if text else ()


#: A decimal string as the standard spells it; float() alone would also take '1_0' and 'infinity'.
_DECIMAL_STRING = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def _number(text: str) -> float:
    # Spaces pad; anything else, control characters too, is damage.
    stripped = text.strip(" ")
    if not _DECIMAL_STRING.fullmatch(stripped):
        return math.nan
    value = float(stripped)
    return value if math.isfinite(value) else math.nan


def plain_text(raw: bytes) -> str:
    """A text value without its padding."""
    return raw.decode("latin-1").strip(" \0")


@lru_cache(maxsize=1024)
def named_text(raw: bytes, charset: bytes) -> str:
    """A text that may be written in another alphabet."""
    if not charset and raw.isascii():
        return plain_text(raw)
    from pydicom.charset import convert_encodings, decode_bytes

    names = [part.strip() for part in charset.decode("latin-1").strip(" \0").split("\\")]
    try:
        # pydicom warns where bytes and alphabet disagree; the text is for people only.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            encodings = convert_encodings(names if len(names) > 1 else names[0])
            return decode_bytes(raw, encodings, set()).strip(" \0")
    except (LookupError, UnicodeError, ValueError):
        return raw.decode("latin-1").strip(" \0")


#: What differs from image to image: parsed for each. Everything else is parsed once for each set
#: of bytes.
_INSTANCE, _TIME, _NUMBER, _POSITION = _TEXTS[_INSTANCE_NAME], 0x00080032, 0x00200013, 0x00200032
_SHARED_TEXTS = {name: tag for name, tag in _TEXTS.items() if tag != _INSTANCE}
_TEXT_TAGS = (_CHARSET, MEDIA_SOP_CLASS, *_SHARED_TEXTS.values(), *_NAMES.values())
_SHORT_TAGS = tuple(_UNSIGNED_SHORTS.values())
_SHARED_TAGS = (*_TEXT_TAGS, *_NUMBERS.values(), *_SHORT_TAGS)
_shared_of = itemgetter(*_SHARED_TAGS)
_OWN_TAGS = (_INSTANCE, _TIME, _NUMBER, _POSITION)
_ABSENT: dict[int, bytes | None] = dict.fromkeys((*_SHARED_TAGS, *_OWN_TAGS))
_own_of = itemgetter(*_OWN_TAGS)
WANTED = frozenset(_ABSENT) - {MEDIA_SOP_CLASS}


@lru_cache(maxsize=1024)
def _shared(raw: tuple[bytes | None, ...], big_endian: bool) -> tuple[Any, ...]:
    """The fields of :class:`SliceHeader` from ``values`` on, behind ``_SHARED_TAGS``."""
    texts_end = len(_TEXT_TAGS)
    numbers_end = texts_end + len(_NUMBERS)
    texts = _shared_texts(raw[:texts_end])
    orientation, spacing, *single = (
        () if value is None else numbers(value) for value in raw[texts_end:numbers_end]
    )
    shorts = {
        name: None if value is None else _short(value, big_endian)
        for name, value in zip(_UNSIGNED_SHORTS, raw[numbers_end:], strict=True)
    }
    bits_stored = shorts["bits_stored"] or 0
    return (
        texts,
        orientation,
        spacing,
        *map(_one, single),
        shorts["samples"] or 0,
        shorts["rows"] or 0,
        shorts["columns"] or 0,
        shorts["bits_allocated"] or 0,
        bits_stored,
        _or(shorts["high_bit"], bits_stored - 1),
        _or(shorts["signed"], 0),
        shorts["padding"],
        shorts["padding_limit"],
        shorts["overlay_bits"] or 0,
    )


def _shared_texts(raw: tuple[bytes | None, ...]) -> dict[str, str]:
    found = {tag: value for tag, value in zip(_TEXT_TAGS, raw, strict=True) if value is not None}
    charset = found.get(_CHARSET, b"")
    texts = {name: plain_text(found[tag]) for name, tag in _SHARED_TEXTS.items() if tag in found}
    for name, tag in _NAMES.items():
        if tag in found:
            texts[name] = named_text(found[tag], charset)
    if not texts.get("sop_class_uid"):
        # The file's own directory entry may stand in for an absent class.
        texts["sop_class_uid"] = plain_text(found.get(MEDIA_SOP_CLASS, b""))
    return texts


def slice_header(raw: RawHeader, path: str, member: str, file_size: int) -> SliceHeader:
    """The header of one file, parsed."""
    values = {**_ABSENT, **raw.values}
    instance, time, number, position = _own_of(values)
    return SliceHeader(
        path,
        member,
        0,
        raw.transfer_syntax_uid,
        raw.big_endian,
        raw.pixel_offset,
        raw.pixel_length,
        file_size,
        raw.damage,
        "" if instance is None else plain_text(instance),
        "" if time is None else plain_text(time),
        None if number is None else _one(numbers(number)),
        () if position is None else numbers(position),
        *_shared(_shared_of(values), raw.big_endian),
    )


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _one(value: tuple[float, ...]) -> float | None:
    """A single number; NaN where there are several, since none of them is the one."""
    if not value:
        return None
    return value[0] if len(value) == 1 else math.nan


def _short(raw: bytes, big_endian: bool) -> int | None:
    if len(raw) != 2:
        return None
    value: int = struct.unpack(">H" if big_endian else "<H", raw)[0]
    return value
