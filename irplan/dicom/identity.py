"""Who was scanned and how they lay: what the headers say, and where they are silent or differ."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from irplan.dicom.header import SliceHeader, distinct_texts
from irplan.dicom.sources import STAGE
from irplan.findings import Finding, Forbids, Severity, declare

PATIENT_CHANGES = declare(
    "patient_changes",
    Severity.STOP,
    STAGE,
    "the patient changes inside the series: {what}",
    forbids=Forbids.PLAN,
)
POSITION_CHANGES = declare(
    "patient_position_changes",
    Severity.STOP,
    STAGE,
    "PatientPosition changes inside the series: {what}",
    forbids=Forbids.PLAN,
)
FRAME_OF_REFERENCE_CHANGES = declare(
    "frame_of_reference_changes",
    Severity.WARN,
    STAGE,
    "the frame of reference changes inside the series: this is one of {count} volumes",
)
SERIES_SPLIT = declare(
    "series_split",
    Severity.WARN,
    STAGE,
    "the series holds {count} volumes, told apart by {apart_by}: this is one of them",
)
POSITION_CONTRADICTS = declare(
    "position_contradicts_orientation",
    Severity.STOP,
    STAGE,
    "patient position {position} and the image orientation ({letters}) contradict each other",
    forbids=Forbids.SIGNATURE,
    overridable=True,
)
POSITION_UNKNOWN_CODE = declare(
    "patient_position_unknown",
    Severity.WARN,
    STAGE,
    "PatientPosition '{position}' is no known position: how the patient lay must be confirmed",
)
TILT_TAG_CONTRADICTS = declare(
    "tilt_tag_contradicts",
    Severity.INFO,
    STAGE,
    "GantryDetectorTilt says {tag}°, positions and orientations say {measured}°: these count",
)
NUMBERED_IN_PASSES = declare(
    "numbered_in_passes",
    Severity.WARN,
    STAGE,
    "the images are numbered in {count} passes over one region: several scans may be woven into "
    "this volume",
)
NUMBERS_SKIP = declare(
    "numbers_skip",
    Severity.WARN,
    STAGE,
    "the images are numbered in steps of {step} and lie farther apart than they are thick: every "
    "slice between may be missing",
)
_ABSENT = {
    name: declare(
        f"{name}_absent",
        Severity.WARN,
        STAGE,
        what + " is absent: {consequence}",
    )
    for name, what in (
        ("patient_id", "the patient's id"),
        ("study_uid", "the study's UID"),
        ("series_uid", "the series' UID"),
        ("instance_uid", "an image's UID"),
        ("frame_of_reference", "the frame of reference"),
        ("patient_position", "the patient position"),
    )
}
#: Codes after which a plan is not signed until a person has confirmed who and how the patient lies.
NEEDS_CONFIRMATION = frozenset(
    (*(rule.code for rule in _ABSENT.values()), POSITION_UNKNOWN_CODE.code)
)

_WHO = "who was scanned must be confirmed before signing"
_HOW = "how the patient lay must be confirmed before signing"
_CONSEQUENCES = {
    "patient_id": (_WHO, "patient_id"),
    "study_uid": (_WHO, "study_instance_uid"),
    "series_uid": (_WHO, "series_instance_uid"),
    "instance_uid": (_WHO, "sop_instance_uid"),
    "frame_of_reference": (
        "that other objects share its space must be confirmed before signing",
        "frame_of_reference_uid",
    ),
    "patient_position": (_HOW, "patient_position"),
}

#: Row and column direction of an image as the gantry sees it from the foot of the table.
_AS_SCANNED = {
    "HFS": ((1, 0, 0), (0, 1, 0)),
    "HFP": ((-1, 0, 0), (0, -1, 0)),
    "HFDL": ((0, -1, 0), (1, 0, 0)),
    "HFDR": ((0, 1, 0), (-1, 0, 0)),
    "FFS": ((-1, 0, 0), (0, 1, 0)),
    "FFP": ((1, 0, 0), (0, -1, 0)),
    "FFDL": ((0, 1, 0), (1, 0, 0)),
    "FFDR": ((0, -1, 0), (-1, 0, 0)),
}
_KNOWN_POSITIONS = (*_AS_SCANNED, "SITTING")
_USUAL = ((1, 0, 0), (0, 1, 0))


def identity_findings(headers: Sequence[SliceHeader], subject: str) -> list[Finding]:
    """What is absent or changes among the images of one volume."""
    found: list[Finding] = []
    texts = distinct_texts(headers)
    for code, (consequence, attribute) in _CONSEQUENCES.items():
        if attribute == "sop_instance_uid":
            absent = any(not header.sop_instance_uid for header in headers)
        else:
            absent = any(not one.get(attribute) for one in texts)
        if absent:
            found.append(_ABSENT[code](subject, consequence=consequence))
    for attribute, what in (
        ("patient_id", "PatientID"),
        ("patient_name", "PatientName"),
        ("patient_birth_date", "PatientBirthDate"),
        ("patient_sex", "PatientSex"),
    ):
        # Scanners pad names with empty components: 'Doe^Jane' and 'DOE^Jane^^ ' are one.
        if len({one.get(attribute, "").rstrip("^ ").casefold() for one in texts}) > 1:
            found.append(PATIENT_CHANGES(subject, what=what + " differs"))
            break
    positions = sorted({one.get("patient_position", "") for one in texts})
    if len(positions) > 1:
        found.append(
            POSITION_CHANGES(subject, what=", ".join(name or "absent" for name in positions))
        )
    elif positions[0] and positions[0] not in _KNOWN_POSITIONS:
        found.append(POSITION_UNKNOWN_CODE(subject, position=positions[0]))
    return found


def position_findings(header: SliceHeader, subject: str, letters: str) -> list[Finding]:
    """Whether the patient position allows the image's orientation.

    A scanner shows axial slices either as its gantry stands or turned so that anterior is up.
    Any other orientation with a stated position means that one of the two is wrong. Coronal,
    sagittal and reformatted images are turned on purpose and are not compared.
    """
    position = header.text("patient_position")
    if position not in _AS_SCANNED or len(header.orientation) != 6:
        return []
    row, column = np.array(header.orientation[:3]), np.array(header.orientation[3:])
    if abs(float(np.cross(row, column)[2])) < np.cos(np.radians(50.0)):
        return []
    for allowed_row, allowed_column in (_AS_SCANNED[position], _USUAL):
        if min(float(row @ allowed_row), float(column @ allowed_column)) > np.cos(np.radians(50)):
            return []
    return [POSITION_CONTRADICTS(subject, position=position, letters=letters)]


def numbering_findings(
    headers: Sequence[SliceHeader], spacing_mm: float, subject: str
) -> list[Finding]:
    """What InstanceNumber makes suspect; it never decides where a slice lies.

    Positions alone cannot show two scans half a slice apart, nor that every second slice is lost.

    Args:
        headers: the images of a regular stack, rising along its normal.
        spacing_mm: their distance.
        subject: what the findings are about.
    """
    numbers = np.array([_number(header.instance_number) for header in headers])
    if not np.isfinite(numbers).all() or len(set(numbers.tolist())) < len(numbers):
        return []
    found = []
    passes = _passes(np.argsort(numbers))
    # Numbers in no order at all change direction with every second or third image.
    if 1 < len(passes) <= len(numbers) // 4 and _overlap(passes):
        found.append(NUMBERED_IN_PASSES(subject, count=len(passes)))
    steps = np.abs(np.diff(numbers))
    thickness = _number(headers[0].slice_thickness)
    if steps.min() == steps.max() > 1 and spacing_mm > 1.5 * thickness:
        found.append(NUMBERS_SKIP(subject, step=f"{steps[0]:g}"))
    return found


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _passes(places: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    """The first and last place of each run that goes one way."""
    runs: list[list[int]] = []
    for place in places.tolist():
        run = runs[-1] if runs else []
        if not run or (len(run) > 1 and (place > run[-1]) is not (run[-1] > run[-2])):
            runs.append([place])
        else:
            run.append(place)
    return [(min(run), max(run)) for run in runs]


def _overlap(ranges: Sequence[tuple[int, int]]) -> bool:
    ordered = sorted(ranges)
    return any(following[0] < last[1] for last, following in pairwise(ordered))


def tilt_tag_findings(header: SliceHeader, measured_deg: float, subject: str) -> list[Finding]:
    """Whether the tilt that the header names is the one that the positions show."""
    tag = header.tilt_tag
    if tag is None or not np.isfinite(tag) or abs(abs(tag) - abs(measured_deg)) <= 0.5:
        return []
    return [TILT_TAG_CONTRADICTS(subject, tag=f"{tag:g}", measured=f"{measured_deg:.1f}")]


def acquired(header: SliceHeader) -> str:
    """The day of the scan as YYYY-MM-DD, or ''; the first date that the header states."""
    for name in ("acquisition_date", "content_date", "series_date", "study_date"):
        match = re.fullmatch(r"(\d{4})[.]?(\d{2})[.]?(\d{2})", header.text(name))
        if match and "01" <= match[2] <= "12" and "01" <= match[3] <= "31":
            return "-".join(match.groups())
    return ""


_PHASE_WORDS = (
    ("arterial", r"\bart(erial|eriell|erielle)?\b"),
    ("portal venous", r"\b(portal|porto|pv|pvp)\b|portalven|portal[- ]?ven"),
    ("venous", r"\bven(ous|oes|ös|euse)?\b"),
    ("delayed", r"\b(delay(ed)?|late|tardif|spät)\b"),
)
#: Said of a scan whose agent is in the bowel and in no vessel.
ORAL_ONLY = "oral only"
_WITHOUT = (
    r"\b(non?[- ]?(contrast|enhanced)|unenhanced|native?|nativ|plain|pre[- ]?contrast"
    r"|(without|w/?o|ohne|sans|sin|senza)\s+(iv\s+)?(iv|contrast|contraste|contrasto|km|kontrast|inj|mdc))"
)
_ORAL = r"\b(oral|orally|per\s+os|rectal|enteral)\b"
_INTO_A_VESSEL = r"\b(iv|i\.v\.?|intraven\w*|intraarter\w*|venous|vein|vascular)(?!\w)"


def contrast(header: SliceHeader) -> str:
    """Agent, and phase where the file tells it; 'none' where it says so; '' if silent.

    'oral only' where it says so: such an agent shows no vessel.
    """
    description = header.text("series_description").lower()
    agent = header.text("contrast_agent")
    if agent.lower() in ("none", "no", "no contrast", "without", "0"):
        return "none"
    told = header.text("contrast_phase").lower().replace("_", " ")
    if told == "pre contrast":
        return "none"
    by_words = next((name for name, word in _PHASE_WORDS if re.search(word, description)), "")
    phase = told or by_words
    how = f"{agent} {header.text('contrast_route')}".lower()
    if agent and re.search(_ORAL, how) and not re.search(_INTO_A_VESSEL, how):
        return ORAL_ONLY
    if agent:
        return f"{agent}, {phase}" if phase else agent
    if re.search(_WITHOUT, description):
        return "none"
    return phase
