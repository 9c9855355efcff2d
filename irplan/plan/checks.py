"""Checks of a whole plan: what keeps it from being signed, and what a reader must know."""

from __future__ import annotations

from collections.abc import Sequence

from irplan import units
from irplan.findings import Finding, Forbids, Severity, declare
from irplan.trajectory import Constraints, Needle
from irplan.trajectory.together import needle_distance_mm, needle_gap
from irplan.volume import CtVolume
from irplan.volume_io import NEEDS_CONFIRMATION

STAGE = "plan"

POSITION_DIFFERS = declare(
    "position_differs",
    Severity.STOP,
    STAGE,
    "the scan was made {scanned} and the patient is to lie {planned}: organs and skin shift "
    "between the two, so every path was computed on another shape of the body",
    forbids=Forbids.SIGNATURE,
    overridable=True,
)
IDENTITY_UNCONFIRMED = declare(
    "identity_unconfirmed",
    Severity.STOP,
    STAGE,
    "the scan does not say {missing}: a person has to confirm who was scanned and how they lie",
    forbids=Forbids.SIGNATURE,
    overridable=True,
)
PATH_CHOSEN = declare(
    "path_chosen_by_hand",
    Severity.WARN,
    STAGE,
    "{needle} was chosen in place of the proposed path; it keeps every limit of its own, and "
    "{distance}",
)
CHOSEN_PATHS_MEET = declare(
    "chosen_paths_meet",
    Severity.STOP,
    STAGE,
    "{needle}, chosen by hand, comes within {mm} mm of {other}: {gap} mm are to be kept while the "
    "needle before stays in place",
    forbids=Forbids.SIGNATURE,
    overridable=True,
)
BIOPSY_NOT_ALONG_CHOICE = declare(
    "biopsy_not_along_choice",
    Severity.WARN,
    "plan",
    "{lesion}: a biopsy is due; its throw was planned along {needle}, which another path has "
    "replaced by choice, and its way is left to the physician",
)
FOREIGN_PATH_CHOICE = declare(
    "path_choice_lost",
    Severity.WARN,
    STAGE,
    "the needle that was chosen ({needle}) is no longer among the paths; the first one is shown",
)


def by_hand_findings(
    by_hand: Sequence[Needle], needles: Sequence[Needle], constraints: Constraints
) -> tuple[Finding, ...]:
    """What is to be known of needles that a person preferred: how near the others they come.

    A signature stop where two needles through different holes come nearer to each other than they
    may, their parts outside the skin included. Where a setting says that each needle is taken out
    before the next, the distance is told and stops nothing.
    """
    gap = needle_gap(constraints)
    told: list[Finding] = []
    for needle in by_hand:
        others = [one for one in needles if one.entry_id != needle.entry_id]
        distance, other = min(
            ((needle_distance_mm(needle, one), one.needle_id) for one in others),
            default=(None, ""),
        )
        text = "there is no other needle"
        if distance is not None:
            text = f"the nearest other needle, {other}, is {units.mm_down(distance)} mm away"
        told.append(PATH_CHOSEN(needle.lesion_ids[0], needle=needle.needle_id, distance=text))
        if distance is not None and gap is not None and distance < gap:
            told.append(
                CHOSEN_PATHS_MEET(
                    needle.lesion_ids[0],
                    needle=needle.needle_id,
                    other=other,
                    mm=units.mm_down(distance),
                    gap=constraints.limits["needle_gap_mm"].value,
                )
            )
    return tuple(told)


def identity_findings(volume: CtVolume) -> tuple[Finding, ...]:
    """A signature stop where the scan does not tell whose it is or how the patient lay."""
    who = volume.identity
    told = {
        "the patient": who.patient_id,
        "the study": who.study_instance_uid,
        "the series": who.series_instance_uid,
        "the frame of reference": who.frame_of_reference_uid,
        "the patient position": who.patient_position,
        "the date": who.acquired,
    }
    missing = [name for name, value in told.items() if not value]
    # What the reader found besides, such as images without an identifier of their own.
    doubts = {finding.code for finding in volume.findings} & NEEDS_CONFIRMATION
    if doubts and not missing:
        missing = [" and ".join(sorted(code.replace("_", " ") for code in doubts))]
    return (IDENTITY_UNCONFIRMED(missing=", ".join(missing)),) if missing else ()


def position_findings(scanned: str, planned: str) -> tuple[Finding, ...]:
    """A signature stop where the patient will lie otherwise than in the scan.

    ``scanned`` and ``planned`` are supine, prone, left or right; '' is unknown.
    """
    if not scanned or scanned == planned:
        return ()
    return (POSITION_DIFFERS(scanned=scanned, planned=planned),)
