"""What keeps a plan from being signed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from irplan.findings import Finding, Forbids, Severity, forbidding
from irplan.geometry import GridGeometry
from irplan.plan.checks import identity_findings, position_findings
from irplan.volume import CtVolume, ScanIdentity

WHO = ScanIdentity(
    patient_id="P1",
    study_instance_uid="1.2",
    series_instance_uid="1.2.3",
    frame_of_reference_uid="1.2.4",
    patient_position="HFS",
    acquired="2026-03-02",
)


def volume(identity: ScanIdentity, *findings: Finding) -> CtVolume:
    grid = GridGeometry((2, 2, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    return CtVolume(np.zeros((2, 2, 2), dtype=np.int16), grid, identity, findings)


def test_a_scan_that_says_who_it_is_can_be_signed() -> None:
    assert identity_findings(volume(WHO)) == ()


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("patient_id", "patient"),
        ("study_instance_uid", "study"),
        ("series_instance_uid", "series"),
        ("frame_of_reference_uid", "frame of reference"),
        ("patient_position", "position"),
        ("acquired", "date"),
    ],
)
def test_each_absent_identifier_stops_the_signature(field: str, said: str) -> None:
    (stop,) = identity_findings(volume(replace(WHO, **{field: ""})))
    assert said in stop.message
    assert forbidding([stop], Forbids.SIGNATURE) == (stop,)
    assert forbidding([stop], Forbids.PLAN) == ()


def test_what_the_reader_doubted_stops_the_signature_too() -> None:
    from irplan.volume_io import NEEDS_CONFIRMATION

    for code in sorted(NEEDS_CONFIRMATION):
        doubt = Finding(code, Severity.WARN, "x")
        assert identity_findings(volume(WHO, doubt)), code
    assert identity_findings(volume(WHO, Finding("lossy", Severity.WARN, "x"))) == ()


@pytest.mark.parametrize(
    ("scanned", "planned", "stops"),
    [("supine", "supine", 0), ("supine", "prone", 1), ("left", "right", 1), ("", "left", 0)],
)
def test_another_position_stops_the_signature(scanned: str, planned: str, stops: int) -> None:
    found = position_findings(scanned, planned)
    assert len(found) == stops
    assert forbidding(found, Forbids.SIGNATURE) == found
