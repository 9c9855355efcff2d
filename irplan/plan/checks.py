"""Checks of a whole plan: what keeps it from being signed, and what a reader must know."""

from __future__ import annotations

from irplan.findings import Finding, Forbids, Severity, declare
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
    "{needle} was chosen in place of the proposed path: each keeps its own limits, but its "
    "distance from the other needles and the order of injection were not checked again",
)
FOREIGN_PATH_CHOICE = declare(
    "path_choice_lost",
    Severity.WARN,
    STAGE,
    "the needle that was chosen ({needle}) is no longer among the paths; the first one is shown",
)


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
