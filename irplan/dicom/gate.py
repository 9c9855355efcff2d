"""The geometry gate: from positions and orientations to one regular grid, or the reasons why not.

Only ImagePositionPatient, ImageOrientationPatient and PixelSpacing count. SpacingBetweenSlices,
SliceLocation, InstanceNumber and GantryDetectorTilt are never believed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from irplan.dicom.header import SliceHeader
from irplan.dicom.sources import STAGE
from irplan.findings import Finding, FindingRule, Forbids, Severity, declare
from irplan.geometry import BoolArray, FloatArray, GridGeometry


def _stop(code: str, template: str) -> FindingRule:
    return declare(code, Severity.STOP, STAGE, template, forbids=Forbids.PLAN)


GEOMETRY_ABSENT = _stop("geometry_absent", "{what} is absent ({count} of {total} images)")
GEOMETRY_NOT_A_NUMBER = _stop("geometry_not_a_number", "{what} is not {expected} in {name}")
SPACING_NOT_POSITIVE = _stop("spacing_not_positive", "PixelSpacing is not above zero in {name}")
SPACING_DIFFERS = _stop("spacing_differs", "PixelSpacing changes inside the series, from {name} on")
SIZE_IMPLAUSIBLE = _stop(
    "size_implausible", "{columns} × {rows} pixels of {x} × {y} mm cannot be a CT slice"
)
ORIENTATION_NOT_ORTHONORMAL = _stop(
    "orientation_not_orthonormal",
    "the row and column directions are not perpendicular unit vectors in {name}",
)
TOO_FEW_SLICES = _stop("too_few_slices", "{count} slice position: a volume needs at least two")
DUPLICATES_DIFFERENT = _stop(
    "duplicates_different",
    "{count} positions hold several different images, the first at {first} mm",
)
MISSING_SLICES = _stop("missing_slices", "{count} slices are missing, at {where} mm")
NON_UNIFORM_SPACING = _stop(
    "non_uniform_spacing",
    "slice spacing is not uniform: {low} to {high} mm, first off at {where} mm",
)
SLICES_SHIFTED = _stop(
    "slices_shifted",
    "slices are shifted sideways by up to {shift} mm in a way that no gantry tilt explains",
)
TILT_TOO_LARGE = _stop("tilt_too_large", "slices are sheared by {angle}°, beyond any gantry tilt")
GANTRY_TILT = declare(
    "gantry_tilt",
    Severity.WARN,
    STAGE,
    "gantry tilt of {angle}°: the slices are resampled into a straight volume",
)
DUPLICATES_IDENTICAL = declare(
    "duplicates_identical",
    Severity.INFO,
    STAGE,
    "{count} images are identical copies of another at their position and are left out",
)
POSITIONS_ROUNDED = declare(
    "positions_rounded",
    Severity.INFO,
    STAGE,
    "slice positions depart from a regular grid by up to {departure} mm, as from rounding",
)
SLICES_OVERLAP = declare(
    "slices_overlap",
    Severity.INFO,
    STAGE,
    "slices of {thickness} mm overlap: they lie {spacing} mm apart",
)
UNSCANNED_GAPS = declare(
    "unscanned_gaps",
    Severity.WARN,
    STAGE,
    "slices of {thickness} mm lie {spacing} mm apart: tissue between them was not imaged",
)
SLICES_TOO_FAR = _stop(
    "slices_too_far_apart",
    "slices lie {spacing} mm apart, farther than any scan steps: what lies between is missing",
)
COARSE_SLICES = declare(
    "coarse_slices",
    Severity.WARN,
    STAGE,
    "slices lie {spacing} mm apart; beyond 5 mm small lesions are not measurable",
)
OBLIQUE = declare(
    "oblique_slices",
    Severity.INFO,
    STAGE,
    "slices stand at {angle}° to the patient's axes",
)

#: A slice may lie this far from its place on a regular grid: some scanners print positions to
#: 0.1 mm, which is half of that either way, and the fitted line adds a little.
UNIFORM_TOLERANCE_MM = 0.075
#: Two images closer than this along the normal lie at one position.
SAME_POSITION_MM = 0.01
#: Sideways departure that is read as rounding: a constant and a share of the volume's length.
SHIFT_TOLERANCE_MM = 0.1
SHIFT_TOLERANCE_SHARE = 5e-4
ORTHONORMAL_TOLERANCE = 1e-3
#: Gantries tilt to 30°; more than this is no tilt.
LARGEST_TILT_DEG = 45.0
#: No position of a patient lies farther from the scanner's origin.
FARTHEST_MM = 1e6
LARGEST_FIELD_MM = 2000.0
SMALLEST_PIXEL_MM = 0.01
COARSE_SLICES_MM = 5.0
#: Interval scans of the lungs step 10 or 20 mm; nothing steps farther.
FARTHEST_STEP_MM = 25.0
_NAMED_AT_MOST = 6


#: Tells whether two images hold the same pixels and the same rescaling.
SamePixels = Callable[[SliceHeader, SliceHeader], bool]


@dataclass(frozen=True)
class Gate:
    """What the gate made of one group of images.

    Attributes:
        order: indices of the images to read, rising along the slice normal.
        grid: the regular grid of the volume, or None where there is none. For tilted slices it
            is that of the straight volume.
        shear_mm: sideways step from one slice to the next along the column index's and the row
            index's direction, (0, 0) for straight volumes.
        findings: everything noticed.
    """

    order: tuple[int, ...]
    grid: GridGeometry | None
    shear_mm: tuple[float, float]
    findings: tuple[Finding, ...]


def _closed(findings: Sequence[Finding]) -> Gate:
    return Gate((), None, (0.0, 0.0), tuple(findings))


def pass_gate(
    headers: Sequence[SliceHeader], subject: str, same_pixels: SamePixels | None = None
) -> Gate:
    """Find the regular grid on which the images lie.

    Args:
        headers: images of one group (same size, orientation, frame of reference).
        subject: what the findings are about.
        same_pixels: tells whether two images have the same pixels; without it, images at one
            position count as different.
    """
    broken = _attributes(headers, subject)
    if broken:
        return _closed(broken)
    axes = _axes(headers[0])
    positions = np.array([header.position for header in headers])
    along = positions @ axes[:, 2]
    by_position = np.lexsort((np.arange(len(headers)), along))
    order, findings = _without_copies(
        headers, along, list(map(int, by_position)), subject, same_pixels
    )
    if any(finding.severity is Severity.STOP for finding in findings):
        return _closed(findings)
    if len(order) < 2:
        return _closed([*findings, TOO_FEW_SLICES(subject, count=len(order))])
    levels = along[order]
    spacing, found = _spacing(levels, subject)
    findings += found
    if spacing is None:
        return _closed(findings)
    if spacing > FARTHEST_STEP_MM:
        return _closed([*findings, SLICES_TOO_FAR(subject, spacing=f"{spacing:.1f}")])
    shear, found = _shear(positions[order], axes, levels, subject)
    findings += found
    if shear is None:
        return _closed(findings)
    findings += _notes(headers[order[0]], axes, spacing, subject)
    row_mm, column_mm = headers[0].pixel_spacing
    first = positions[order[0]]
    grid = GridGeometry(
        (headers[0].columns, headers[0].rows, len(order)),
        (column_mm, row_mm, spacing),
        (float(first[0]), float(first[1]), float(first[2])),
        tuple(float(value) for value in axes.ravel()),
    )
    if shear != (0.0, 0.0):
        grid = _widened(grid, shear)
    return Gate(tuple(order), grid, shear, tuple(findings))


def _attributes(headers: Sequence[SliceHeader], subject: str) -> list[Finding]:
    """Stops about what single images say: absent, not a number, not a direction."""
    found: list[Finding] = []
    for what, name, count in (
        ("ImagePositionPatient", "position", 3),
        ("ImageOrientationPatient", "orientation", 6),
        ("PixelSpacing", "pixel_spacing", 2),
    ):
        values = [getattr(header, name) for header in headers]
        absent = sum(1 for value in values if not value)
        if absent:
            found.append(GEOMETRY_ABSENT(subject, what=what, count=absent, total=len(headers)))
            continue
        off = next((i for i, value in enumerate(values) if len(value) != count), -1)
        if off < 0:
            # NaN fails this comparison too.
            far = ~(np.abs(np.array(values)) < FARTHEST_MM).all(axis=1)
            off = int(np.argmax(far)) if far.any() else -1
        if off >= 0:
            found.append(
                GEOMETRY_NOT_A_NUMBER(
                    subject, what=what, expected=f"{count} numbers", name=headers[off].name
                )
            )
    if found:
        return found
    spacings = np.array([header.pixel_spacing for header in headers])
    for wrong, rule in (
        (spacings.min(axis=1) <= 0, SPACING_NOT_POSITIVE),
        (~_orthonormal(headers), ORIENTATION_NOT_ORTHONORMAL),
        (np.abs(spacings - spacings[0]).max(axis=1) > 1e-4 * spacings[0].min(), SPACING_DIFFERS),
    ):
        if wrong.any():
            return [rule(subject, name=headers[int(np.argmax(wrong))].name)]
    first = headers[0]
    row_mm, column_mm = first.pixel_spacing
    field = max(first.rows * row_mm, first.columns * column_mm)
    small = min(row_mm, column_mm) < SMALLEST_PIXEL_MM
    if min(first.rows, first.columns) < 1 or field > LARGEST_FIELD_MM or small:
        return [
            SIZE_IMPLAUSIBLE(subject, columns=first.columns, rows=first.rows, x=column_mm, y=row_mm)
        ]
    return []


def _orthonormal(headers: Sequence[SliceHeader]) -> BoolArray:
    """(n,) whether each image's directions are perpendicular unit vectors."""
    both = np.array([header.orientation for header in headers]).reshape(-1, 2, 3)
    products = both @ both.transpose(0, 2, 1)
    departure: FloatArray = np.abs(products - np.eye(2)).max(axis=(1, 2))
    return departure < ORTHONORMAL_TOLERANCE


def _axes(header: SliceHeader) -> FloatArray:
    """(3, 3): row direction, column direction and normal as columns, made exactly orthonormal."""
    row = np.array(header.orientation[:3])
    column = np.array(header.orientation[3:])
    row = row / np.linalg.norm(row)
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    return np.stack([row, column, np.cross(row, column)], axis=1) + 0.0


def _without_copies(
    headers: Sequence[SliceHeader],
    along: FloatArray,
    order: list[int],
    subject: str,
    same_pixels: SamePixels | None,
) -> tuple[list[int], list[Finding]]:
    kept: list[int] = []
    copies = 0
    different: dict[int, float] = {}
    for index in order:
        if kept and along[index] - along[kept[-1]] < SAME_POSITION_MM:
            same = same_pixels is not None and same_pixels(headers[kept[-1]], headers[index])
            sideways = np.subtract(headers[index].position, headers[kept[-1]].position)
            if same and np.abs(sideways).max() < SAME_POSITION_MM:
                copies += 1
            else:
                different[kept[-1]] = float(along[kept[-1]])
            continue
        kept.append(index)
    findings = []
    if copies:
        findings.append(DUPLICATES_IDENTICAL(subject, count=copies))
    if different:
        first = min(different.values())
        findings.append(DUPLICATES_DIFFERENT(subject, count=len(different), first=f"{first:.2f}"))
    return kept, findings


def _spacing(levels: FloatArray, subject: str) -> tuple[float | None, list[Finding]]:
    """The step between slices, or None and the reason."""
    steps = np.diff(levels)
    step = _commonest(steps)
    multiples = np.rint(steps / step)
    gaps = multiples > 1
    regular = np.abs(steps - multiples * step) <= np.maximum(2 * UNIFORM_TOLERANCE_MM, 0.02 * steps)
    if bool(np.any(gaps)) and bool(np.all(regular)) and bool(np.all(multiples >= 1)):
        where = [
            float(levels[i] + steps[i] * part / multiples[i])
            for i in np.flatnonzero(gaps)
            for part in range(1, min(int(multiples[i]), 50))
        ]
        named = ", ".join(f"{level:.2f}" for level in where[:_NAMED_AT_MOST])
        more = " …" if len(where) > _NAMED_AT_MOST else ""
        count = int((multiples[gaps] - 1).sum())
        return None, [MISSING_SLICES(subject, count=count, where=named + more)]
    number = np.arange(len(levels))
    mean = float((levels[-1] - levels[0]) / (len(levels) - 1))
    departure = float(np.abs(levels - (levels[0] + mean * number)).max())
    if departure <= SAME_POSITION_MM:
        return mean, []
    # Rounded positions spread about a line: the line of least squares is theirs.
    fitted, start = np.polyfit(number, levels, 1)
    departure = float(np.abs(levels - (start + fitted * number)).max())
    if departure > min(UNIFORM_TOLERANCE_MM, 0.1 * mean):
        off = int(np.argmax(np.abs(steps - step)))
        return None, [
            NON_UNIFORM_SPACING(
                subject,
                low=f"{steps.min():.3f}",
                high=f"{steps.max():.3f}",
                where=f"{levels[off]:.2f}",
            )
        ]
    return float(fitted), [POSITIONS_ROUNDED(subject, departure=f"{departure:.3f}")]


def _commonest(steps: FloatArray) -> float:
    """The step that most steps agree with; of two as common, the smaller."""
    ranked = np.sort(steps)
    reach = np.searchsorted(ranked, ranked + UNIFORM_TOLERANCE_MM, side="right")
    support = reach - np.arange(len(ranked))
    best = int(np.argmax(support))
    alike = ranked[best : reach[best]]
    # Their median; numpy's would import its masked arrays first, for as long as a scan takes.
    return float(alike[(len(alike) - 1) // 2] + alike[len(alike) // 2]) / 2


def _shear(
    positions: FloatArray, axes: FloatArray, levels: FloatArray, subject: str
) -> tuple[tuple[float, float] | None, list[Finding]]:
    """Sideways step a slice along row and column direction, or None and the reason."""
    sideways = (positions - positions[0]) @ axes[:, :2]
    extent = float(levels[-1] - levels[0])
    tolerance = SHIFT_TOLERANCE_MM + SHIFT_TOLERANCE_SHARE * extent
    if float(np.abs(sideways).max()) <= tolerance:
        return (0.0, 0.0), []
    per_slice = sideways[-1] / (len(levels) - 1)
    straight = sideways - np.arange(len(levels))[:, None] * per_slice
    worst = float(np.abs(sideways).max())
    if float(np.abs(straight).max()) > SHIFT_TOLERANCE_MM or abs(sideways[-1, 0]) > tolerance:
        return None, [SLICES_SHIFTED(subject, shift=f"{worst:.2f}")]
    angle = math.degrees(math.atan2(float(sideways[-1, 1]), extent))
    if abs(angle) > LARGEST_TILT_DEG:
        return None, [TILT_TOO_LARGE(subject, angle=f"{abs(angle):.1f}")]
    travel = (positions[-1] - positions[0]) / np.linalg.norm(positions[-1] - positions[0])
    if abs(float(travel[2])) < math.cos(math.radians(2.0)):
        # A tilted gantry moves along the table, which is the patient's long axis.
        return None, [SLICES_SHIFTED(subject, shift=f"{worst:.2f}")]
    return (0.0, float(per_slice[1])), [GANTRY_TILT(subject, angle=f"{abs(angle):.1f}")]


def _widened(grid: GridGeometry, shear_mm: tuple[float, float]) -> GridGeometry:
    """The straight grid that holds every tilted slice: more rows, the same pixels."""
    columns, rows, slices = grid.size
    total = shear_mm[1] * (slices - 1)
    more = math.ceil(abs(total) / grid.spacing_mm[1] - 1e-6)
    start = -more if total < 0 else 0
    origin = grid.to_lps((0, start, 0))
    return GridGeometry(
        (columns, rows + more, slices),
        grid.spacing_mm,
        (float(origin[0]), float(origin[1]), float(origin[2])),
        grid.direction,
    )


def _notes(header: SliceHeader, axes: FloatArray, spacing: float, subject: str) -> list[Finding]:
    """What is to be known about a regular stack."""
    notes: list[Finding] = []
    thickness = header.slice_thickness
    if thickness is not None and math.isfinite(thickness) and thickness > 0:
        values = {"thickness": f"{thickness:.2f}", "spacing": f"{spacing:.2f}"}
        if spacing < 0.95 * thickness:
            notes.append(SLICES_OVERLAP(subject, **values))
        elif spacing > 1.1 * thickness:
            notes.append(UNSCANNED_GAPS(subject, **values))
    if spacing > COARSE_SLICES_MM + 0.01:
        notes.append(COARSE_SLICES(subject, spacing=f"{spacing:.2f}"))
    nearest = float(np.abs(axes).max(axis=0).min())
    angle = math.degrees(math.acos(min(1.0, nearest)))
    if angle > 0.5:
        notes.append(OBLIQUE(subject, angle=f"{angle:.1f}"))
    return notes
