"""Diameters that a person drew over the measured ones, and what does not fit the mask then.

What was measured on the mask stays beside what was drawn. The result does not depend on the order
in which the lines were drawn. Lengths in mm, positions in LPS mm.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum

import numpy as np

from irplan import units
from irplan.findings import Finding, Severity, declare
from irplan.geometry import PointLps
from irplan.lesions.diameters import perpendicular_of
from irplan.lesions.lesion import Lesion, LesionMask

STAGE = "lesions"


class DrawnAxis(StrEnum):
    """Which diameter of a lesion a line is: the axial one, that across it, or the one in 3-D."""

    LONGEST = "longest"
    SHORT = "short"
    WHOLE = "3d"


#: An end of a drawn line farther than this from the mask is told, and a short axis that passes the
#: longest diameter at a larger distance, mm. A setting: a slip of the hand and a voxel's edge.
OFF_MASK_MM = 3.0
#: A drawn short axis farther from the perpendicular than this is told, degrees. A setting.
NOT_ACROSS_DEG = 10.0

DIAMETER_MOVED = declare(
    "diameter_drawn_by_hand",
    Severity.INFO,
    STAGE,
    "{lesion}: its longest diameter was drawn by hand, {drawn_mm} mm; on the mask it measures "
    "{measured_mm} mm",
)
DIAMETER_NOT_LONGEST = declare(
    "drawn_diameter_not_longest",
    Severity.WARN,
    STAGE,
    "{lesion}: across the diameter drawn by hand, {drawn_mm} mm, the mask measures {short_mm} mm: "
    "the drawn one is not the longest",
)
DIAMETER_OFF_MASK = declare(
    "drawn_diameter_off_mask",
    Severity.WARN,
    STAGE,
    "{lesion}: the diameter drawn by hand ends {away_mm} mm from its mask, or lies in a plane that "
    "does not cut it: either the line or the mask is wrong",
)
SHORT_MOVED = declare(
    "short_axis_drawn_by_hand",
    Severity.INFO,
    STAGE,
    "{lesion}: its short axis was drawn by hand, {drawn_mm} mm; on the mask it measures "
    "{measured_mm} mm",
)
SHORT_OFF_MASK = declare(
    "drawn_short_axis_off_mask",
    Severity.WARN,
    STAGE,
    "{lesion}: the short axis drawn by hand ends {away_mm} mm from its mask: either the line or "
    "the mask is wrong",
)
SHORT_NOT_ACROSS = declare(
    "drawn_short_axis_not_across",
    Severity.WARN,
    STAGE,
    "{lesion}: the short axis drawn by hand lies {tilt_deg}° from the perpendicular of the longest "
    "diameter and passes it at {away_mm} mm: it is no short axis in the sense of RECIST",
)
SHORT_LONGER = declare(
    "drawn_short_axis_longer",
    Severity.WARN,
    STAGE,
    "{lesion}: the short axis drawn by hand, {drawn_mm} mm, is longer than the longest diameter, "
    "{long_mm} mm",
)
WHOLE_MOVED = declare(
    "diameter_3d_drawn_by_hand",
    Severity.INFO,
    STAGE,
    "{lesion}: its longest diameter in 3-D was drawn by hand, {drawn_mm} mm; on the mask it "
    "measures {measured_mm} mm",
)
WHOLE_OFF_MASK = declare(
    "drawn_diameter_3d_off_mask",
    Severity.WARN,
    STAGE,
    "{lesion}: the diameter in 3-D drawn by hand ends {away_mm} mm from its mask: either the line "
    "or the mask is wrong",
)
WHOLE_SHORTER = declare(
    "drawn_diameter_3d_shorter",
    Severity.WARN,
    STAGE,
    "{lesion}: the diameter in 3-D drawn by hand, {drawn_mm} mm, is shorter than the longest in "
    "the axial plane, {long_mm} mm: it is not the longest",
)
_CODES = frozenset(
    rule.code
    for rule in (
        DIAMETER_MOVED,
        DIAMETER_NOT_LONGEST,
        DIAMETER_OFF_MASK,
        SHORT_MOVED,
        SHORT_OFF_MASK,
        SHORT_NOT_ACROSS,
        SHORT_LONGER,
        WHOLE_MOVED,
        WHOLE_OFF_MASK,
        WHOLE_SHORTER,
    )
)


def with_diameter(lesion: Lesion, start_lps_mm: PointLps, end_lps_mm: PointLps) -> Lesion:
    """The lesion with its longest diameter as a person drew it; what was measured is kept beside.

    A short axis that nobody drew follows the line: it is the longest chord of the mask
    perpendicular to it, in its plane, and unknown where that plane does not cut the mask. Volume
    and 3-D diameter are the mask's own and stay.

    Args:
        lesion: measured.
        start_lps_mm, end_lps_mm: the ends as drawn, LPS mm; not the same point.
    """
    made = replace(
        lesion,
        longest_diameter_mm=math.dist(start_lps_mm, end_lps_mm),
        longest_diameter_ends_lps_mm=(start_lps_mm, end_lps_mm),
        diameter_source="edited",
    )
    if lesion.mask is not None:
        chord = perpendicular_of(lesion.mask, start_lps_mm, end_lps_mm)
        across_mm = None if chord is None else chord.length_mm
        ends = None if chord is None else chord.ends_lps_mm
        made = replace(made, measured_short_axis_mm=across_mm, measured_short_axis_ends_lps_mm=ends)
        if lesion.short_axis_source != "edited":
            made = replace(made, short_axis_mm=across_mm, short_axis_ends_lps_mm=ends)
    return _told_again(made)


def with_short_axis(lesion: Lesion, start_lps_mm: PointLps, end_lps_mm: PointLps) -> Lesion:
    """The lesion with its short axis as a person drew it; what was measured is kept beside.

    Args:
        lesion: measured.
        start_lps_mm, end_lps_mm: the ends as drawn, LPS mm; not the same point.
    """
    return _told_again(
        replace(
            lesion,
            short_axis_mm=math.dist(start_lps_mm, end_lps_mm),
            short_axis_ends_lps_mm=(start_lps_mm, end_lps_mm),
            short_axis_source="edited",
        )
    )


def with_diameter_3d(lesion: Lesion, start_lps_mm: PointLps, end_lps_mm: PointLps) -> Lesion:
    """The lesion with its longest diameter in 3-D as a person drew it; the measured one is kept.

    Args:
        lesion: measured.
        start_lps_mm, end_lps_mm: the ends as drawn, LPS mm; not the same point.
    """
    return _told_again(
        replace(
            lesion,
            diameter_3d_mm=math.dist(start_lps_mm, end_lps_mm),
            diameter_3d_ends_lps_mm=(start_lps_mm, end_lps_mm),
            diameter_3d_source="edited",
        )
    )


def short_axis_moved(
    longest_lps_mm: tuple[PointLps, PointLps],
    moved_lps_mm: PointLps,
    other_lps_mm: PointLps,
) -> tuple[PointLps, PointLps]:
    """The short axis with one end moved: perpendicular to the longest diameter, as RECIST has it.

    The other end keeps its distance from the longest diameter and slides along it.

    Args:
        longest_lps_mm: ends of the longest diameter, LPS mm.
        moved_lps_mm: where the moved end is put, LPS mm.
        other_lps_mm: the end that was not taken hold of, LPS mm.

    Returns:
        The moved end, then the other one.
    """
    start, end = (np.asarray(one, dtype=float) for one in longest_lps_mm)
    along = (end - start) / np.linalg.norm(end - start)
    moved, other = np.asarray(moved_lps_mm, dtype=float), np.asarray(other_lps_mm, dtype=float)
    x, y, z = (other + ((moved - other) @ along) * along).tolist()
    return moved_lps_mm, (x, y, z)


def without_drawn_findings(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The findings without those about drawn lines."""
    return tuple(one for one in findings if one.code not in _CODES)


def _told_again(lesion: Lesion) -> Lesion:
    """The lesion with what is to be known of its drawn lines as they are now."""
    told = (*_longest_findings(lesion), *_short_findings(lesion), *_whole_findings(lesion))
    return replace(lesion, findings=(*without_drawn_findings(lesion.findings), *told))


def _longest_findings(lesion: Lesion) -> Iterator[Finding]:
    ends, drawn_mm = lesion.longest_diameter_ends_lps_mm, lesion.longest_diameter_mm
    if lesion.diameter_source != "edited" or ends is None or drawn_mm is None:
        return
    name, measured = lesion.lesion_id, lesion.measured_diameter_mm
    yield DIAMETER_MOVED(
        name, lesion=name, drawn_mm=units.mm(drawn_mm), measured_mm=_mm_text(measured)
    )
    if lesion.mask is None:
        return
    across_mm = lesion.measured_short_axis_mm
    away = _away_mm(lesion.mask, ends)
    if across_mm is None or away > OFF_MASK_MM:
        yield DIAMETER_OFF_MASK(name, lesion=name, away_mm=units.mm(away))
    if across_mm is not None and across_mm > drawn_mm:
        drawn, short = units.mm(drawn_mm), units.mm(across_mm)
        yield DIAMETER_NOT_LONGEST(name, lesion=name, drawn_mm=drawn, short_mm=short)


def _short_findings(lesion: Lesion) -> Iterator[Finding]:
    ends, drawn_mm = lesion.short_axis_ends_lps_mm, lesion.short_axis_mm
    if lesion.short_axis_source != "edited" or ends is None or drawn_mm is None:
        return
    name, measured = lesion.lesion_id, lesion.measured_short_axis_mm
    drawn = units.mm(drawn_mm)
    yield SHORT_MOVED(name, lesion=name, drawn_mm=drawn, measured_mm=_mm_text(measured))
    if lesion.mask is not None:
        away = _away_mm(lesion.mask, ends)
        if away > OFF_MASK_MM:
            yield SHORT_OFF_MASK(name, lesion=name, away_mm=units.mm(away))
    longest, long_mm = lesion.longest_diameter_ends_lps_mm, lesion.longest_diameter_mm
    if longest is None or long_mm is None:
        return
    tilt_deg, passes_mm = _from_across(ends, longest)
    if tilt_deg > NOT_ACROSS_DEG or passes_mm > OFF_MASK_MM:
        yield SHORT_NOT_ACROSS(
            name, lesion=name, tilt_deg=units.deg(tilt_deg), away_mm=units.mm(passes_mm)
        )
    if drawn_mm > long_mm:
        yield SHORT_LONGER(name, lesion=name, drawn_mm=drawn, long_mm=units.mm(long_mm))


def _whole_findings(lesion: Lesion) -> Iterator[Finding]:
    ends, drawn_mm = lesion.diameter_3d_ends_lps_mm, lesion.diameter_3d_mm
    if lesion.diameter_3d_source != "edited" or ends is None or drawn_mm is None:
        return
    name, measured = lesion.lesion_id, lesion.measured_diameter_3d_mm
    drawn = units.mm(drawn_mm)
    yield WHOLE_MOVED(name, lesion=name, drawn_mm=drawn, measured_mm=_mm_text(measured))
    if lesion.mask is not None:
        away = _away_mm(lesion.mask, ends)
        if away > OFF_MASK_MM:
            yield WHOLE_OFF_MASK(name, lesion=name, away_mm=units.mm(away))
    long_mm = lesion.longest_diameter_mm
    if long_mm is not None and units.mm(long_mm) > drawn:
        yield WHOLE_SHORTER(name, lesion=name, drawn_mm=drawn, long_mm=units.mm(long_mm))


def _from_across(
    short: tuple[PointLps, PointLps], longest: tuple[PointLps, PointLps]
) -> tuple[float, float]:
    """Angle from the perpendicular, degrees, and how far the two lines pass each other, mm."""
    one, other = (np.subtract(ends[1], ends[0]) for ends in (short, longest))
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    tilt = math.degrees(math.asin(min(1.0, abs(float(one @ other)) / size)))
    across = np.cross(one, other)
    gap = np.subtract(short[0], longest[0])
    area = float(np.linalg.norm(across))
    if area < 1e-6 * size:  # parallel: the tilt says enough
        return tilt, 0.0
    return tilt, abs(float(gap @ across)) / area


def _away_mm(mask: LesionMask, ends: tuple[PointLps, PointLps]) -> float:
    return max(_from_mask_mm(mask, end) for end in ends)


def _from_mask_mm(mask: LesionMask, point_lps_mm: PointLps) -> float:
    """Distance of a point from the nearest face of a voxel of the mask, mm; 0 inside."""
    index = mask.box_grid.to_index(np.asarray(point_lps_mm))
    k, j, i = np.nonzero(mask.voxels)
    gaps = np.abs(np.column_stack([i, j, k]) - index) - 0.5
    away = np.maximum(gaps, 0.0) * np.asarray(mask.grid.spacing_mm)
    return float(np.linalg.norm(away, axis=1).min())


def _mm_text(value: float | None) -> object:
    return "unknown" if value is None else units.mm(value)
