"""Images into series, and series into the volumes that belong together."""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from irplan.dicom import kinds
from irplan.dicom.header import SliceHeader, distinct_texts

#: Two orientations are the same where no component differs by more than this (about 0.06°).
ORIENTATION_TOLERANCE = 1e-3

#: What can tell two images at one position apart, strongest first.
_PHASES = (
    *("temporal_position", "cardiac_phase", "acquisition_number", "contrast_agent"),
    *("contrast_phase", "tube_voltage", "series_description", "acquisition_time"),
)


@dataclass(frozen=True)
class Part:
    """Images of one series that may form one volume.

    Attributes:
        kind: of all its images (:mod:`irplan.dicom.kinds`).
        headers: in the order of their file names.
        apart_by: the attributes in which it differs from its series' other slices.
    """

    kind: str
    headers: tuple[SliceHeader, ...]
    apart_by: tuple[str, ...] = ()


def series_of(headers: Iterable[SliceHeader]) -> list[list[SliceHeader]]:
    """Images by study and series; where no series is named, by study and folder."""
    groups: dict[Hashable, list[SliceHeader]] = {}
    for header in headers:
        series = header.text("series_instance_uid")
        where = "" if series else os.path.dirname(header.member or header.path)
        key = (header.text("study_instance_uid"), series, where)
        groups.setdefault(key, []).append(header)
    return list(groups.values())


def parts_of(series: Sequence[SliceHeader]) -> list[Part]:
    """The volumes (and other things) that one series holds."""
    by_kind: dict[str, list[SliceHeader]] = {}
    known: dict[Hashable, str] = {}
    for header in series:
        # All that the kind depends on; most images of a series share it.
        told = (id(header.values), header.samples, header.pixel_offset < 0, header.damage)
        kind = known.get(told) or known.setdefault(told, kinds.kind_of(header))
        by_kind.setdefault(kind, []).append(header)
    parts = []
    for kind, headers in by_kind.items():
        if kind == kinds.SLICE:
            parts.extend(_volumes(headers))
        else:
            parts.append(Part(kind, tuple(headers)))
    return parts


#: What tells two volumes apart, whatever their positions.
_KEYS = ("frame of reference", "image type", "convolution kernel", "size")


def _key(header: SliceHeader) -> tuple[Hashable, ...]:
    """The values of ``_KEYS``."""
    return (
        header.text("frame_of_reference_uid"),
        header.image_type,
        header.text("kernel"),
        (header.rows, header.columns),
    )


def _volumes(headers: list[SliceHeader]) -> list[Part]:
    # A file whose header or orientation is damaged says too little to be told apart: it stays
    # with the rest and spoils them, since nobody knows which of their slices it was.
    whole: list[SliceHeader] = []
    damaged: list[SliceHeader] = []
    for header in headers:
        (whole if _tells(header) else damaged).append(header)
    if not whole:
        return [Part(kinds.SLICE, tuple(damaged))]
    groups: dict[tuple[Hashable, ...], list[SliceHeader]] = {}
    for header in whole:
        groups.setdefault(_key(header), []).append(header)
    apart = [
        name
        for name, values in zip(_KEYS, zip(*groups, strict=True), strict=True)
        if len(set(values)) > 1
    ]
    turned: list[list[SliceHeader]] = []
    for group in groups.values():
        turned.extend(_by_orientation(group))
    if len(turned) > len(groups):
        apart.append("orientation")
    split: list[list[SliceHeader]] = []
    for group in turned:
        pieces, name = _by_phase(group)
        if name and name not in apart:
            apart.append(name)
        split.extend(pieces)
    names = tuple(apart) if len(split) > 1 else ()
    return [Part(kinds.SLICE, (*group, *damaged), names) for group in split]


def _tells(header: SliceHeader) -> bool:
    """Whether a header is whole and its orientation is a pair of unit vectors."""
    return not header.damage and _is_pair(header.orientation)


@lru_cache(maxsize=256)
def _is_pair(orientation: tuple[float, ...]) -> bool:
    if len(orientation) != 6:
        return False
    lengths = (math.hypot(*orientation[:3]), math.hypot(*orientation[3:]))
    # NaN fails this comparison too.
    return all(abs(length - 1) < ORIENTATION_TOLERANCE for length in lengths)


def _by_orientation(headers: list[SliceHeader]) -> list[list[SliceHeader]]:
    groups: list[tuple[tuple[float, ...], list[SliceHeader]]] = []
    for header in headers:
        for orientation, group in groups:
            if _alike(orientation, header.orientation):
                group.append(header)
                break
        else:
            groups.append((header.orientation, [header]))
    return [group for _, group in groups]


def _alike(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    if one == other:
        return True
    return len(one) == len(other) and all(
        abs(a - b) <= ORIENTATION_TOLERANCE for a, b in zip(one, other, strict=True)
    )


def _by_phase(headers: list[SliceHeader]) -> tuple[list[list[SliceHeader]], str]:
    """Phases woven together, pulled apart; the group as it is where nothing is woven.

    Acquisition numbers that rise along the body belong to one volume (step and shoot); those
    that return at another's positions do not.
    """
    levels = _levels(headers)
    if levels is None:
        return [headers], ""
    texts = distinct_texts(headers)
    for name in _PHASES:
        # What the images share is looked at once; their times are each one's own.
        if name != "acquisition_time" and len({one.get(name, "") for one in texts}) == 1:
            continue
        values: dict[str, list[int]] = {}
        for index, header in enumerate(headers):
            values.setdefault(header.text(name), []).append(index)
        if len(values) > 1 and _woven(levels, list(values.values())):
            groups = [[headers[index] for index in indices] for indices in values.values()]
            if all(len(group) > 1 for group in groups):
                return groups, name.replace("_", " ")
    return [headers], ""


def _levels(headers: list[SliceHeader]) -> np.ndarray | None:
    """Heights of the images along their normal, or None where one has no usable position."""
    orientation = headers[0].orientation
    if len(orientation) != 6 or any(len(header.position) != 3 for header in headers):
        return None
    normal = np.cross(orientation[:3], orientation[3:])
    levels = np.array([header.position for header in headers]) @ normal
    return levels if bool(np.isfinite(levels).all()) else None


def _woven(levels: np.ndarray, groups: list[list[int]]) -> bool:
    """Whether the ranges of two groups overlap."""
    ranges = sorted((levels[group].min(), levels[group].max()) for group in groups)
    return any(following[0] <= last[1] for last, following in pairwise(ranges))
