"""Whether two scans say that they show the same patient."""

from __future__ import annotations

from irplan.findings import Finding, Forbids, Severity, declare
from irplan.volume import ScanIdentity

STAGE = "registration"

PATIENT_DIFFERS = declare(
    "patient_differs",
    Severity.STOP,
    STAGE,
    "the two scans name different patients: {what} differs; carried to another patient's scan, a "
    "plan would put needles where they do harm",
    forbids=Forbids.PLAN,
    overridable=True,
)
PATIENT_UNCONFIRMED = declare(
    "same_patient_unconfirmed",
    Severity.STOP,
    STAGE,
    "{which} does not say whose it is: a person has to confirm that both scans show one patient",
    forbids=Forbids.SIGNATURE,
    overridable=True,
)
DATES_REVERSED = declare(
    "dates_reversed",
    Severity.WARN,
    STAGE,
    "the newer scan is dated {new}, before the older one of {old}: check that they were not "
    "exchanged",
)
SAME_SCAN = declare(
    "same_scan",
    Severity.WARN,
    STAGE,
    "both scans are the same one, voxel for voxel: nothing can have changed between them",
)

_COMPARED = {
    "patient_id": "the patient ID",
    "patient_name": "the name",
    "patient_birth_date": "the date of birth",
    "patient_sex": "the sex",
}


def identity_findings(old: ScanIdentity, new: ScanIdentity) -> tuple[Finding, ...]:
    """What the identifiers of two scans say about each other.

    A stop for the plan where an identifier that both scans carry differs (letters' case, spaces
    and the carets of DICOM names aside); the values themselves are not repeated. A stop for the
    signature where a scan carries no patient ID.
    """
    findings = []
    differing = [
        words
        for name, words in _COMPARED.items()
        if _plain(getattr(old, name))
        and _plain(getattr(new, name))
        and _plain(getattr(old, name)) != _plain(getattr(new, name))
    ]
    if differing:
        findings.append(PATIENT_DIFFERS(what=", ".join(differing)))
    silent = [
        which
        for which, who in (("the older scan", old), ("the newer scan", new))
        if not who.patient_id.strip()
    ]
    if silent:
        findings.append(PATIENT_UNCONFIRMED(which=" and ".join(silent)))
    if old.acquired and new.acquired and new.acquired < old.acquired:
        findings.append(DATES_REVERSED(old=old.acquired, new=new.acquired))
    return tuple(findings)


def _plain(text: str) -> str:
    return " ".join(text.replace("^", " ").split()).casefold()
