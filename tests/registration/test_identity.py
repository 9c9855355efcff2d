"""Whether two scans say that they show one patient."""

from __future__ import annotations

from dataclasses import replace

import pytest

from irplan.findings import Forbids, accept, forbidding
from irplan.registration import identity_findings
from irplan.volume import ScanIdentity

ANNA = ScanIdentity(
    patient_id="P-17", patient_name="MOREAU^ANNA", patient_birth_date="19610204", patient_sex="F",
    acquired="2026-03-02",
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({"acquired": "2026-03-20"}, set()),
        ({"patient_name": "Moreau Anna "}, set()),
        ({"patient_name": ""}, set()),
        ({"patient_id": "P-71"}, {"patient_differs"}),
        ({"patient_name": "MOREAU^ANNE"}, {"patient_differs"}),
        ({"patient_birth_date": "19610402"}, {"patient_differs"}),
        ({"patient_sex": "M"}, {"patient_differs"}),
        ({"patient_id": " "}, {"same_patient_unconfirmed"}),
        ({"acquired": "2026-02-27"}, {"dates_reversed"}),
        ({"acquired": ""}, set()),
    ],
)
def test_identifiers(change: dict[str, str], codes: set[str]) -> None:
    findings = identity_findings(ANNA, replace(ANNA, **change))
    assert {one.code for one in findings} == codes
    # What names the patient is not repeated in a sentence that goes into files.
    for value in ("P-17", "P-71", "MOREAU", "1961"):
        assert all(value not in one.message for one in findings)


def test_another_patient_forbids_the_plan_until_a_person_says_why() -> None:
    findings = identity_findings(ANNA, replace(ANNA, patient_id="X"))
    assert forbidding(findings, Forbids.PLAN)
    lifted = accept(findings, {"patient_differs": "same patient, old hospital number"})
    assert not forbidding(lifted, Forbids.PLAN)
