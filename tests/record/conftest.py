"""A plan document made by hand, and a record in a temporary folder."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from irplan.record import Store, init_record, open_store

PATIENT_ID = "HOSP-4711-X"

PLAN: dict[str, Any] = {
    "schema": "irplan.plan/1",
    "irplan_version": "0.1.0",
    "version": 1,
    "case": {
        "patient_id": PATIENT_ID,
        "study_instance_uid": "1.2.826.0.1.3680043.8.498.1",
        "series_instance_uid": "1.2.826.0.1.3680043.8.498.2",
        "frame_of_reference_uid": "1.2.826.0.1.3680043.8.498.3",
        "image_date": "2026-01-05",
        "patient_position": "supine",
    },
    "lesions": [{"lesion_id": "L1", "name": f"node of {PATIENT_ID.lower()}"}],
    "allocation": {"weight_kg": 70, "drugs": []},
    "needles": [],
    "findings": [
        {
            "code": "x",
            "severity": "warn",
            "message": "read from /data/DUPONT_JEANNE/ct: see https://doi.org/10.1/x, 5 mg/mL",
            "subject": "",
            "accepted": None,
        }
    ],
    "run": {"host": "scanner-room-2", "user": "jeanne"},
}


def plan_bytes(change: Callable[[dict[str, Any]], None] | None = None) -> bytes:
    """A plan.json whose plan_id fits, computed here with the standard library alone."""
    plan = copy.deepcopy(PLAN)
    if change:
        change(plan)
    content = {key: value for key, value in plan.items() if key not in ("run", "plan_id")}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    plan["plan_id"] = hashlib.sha256(text.encode()).hexdigest()[:32]
    return json.dumps(plan, ensure_ascii=False, indent=2).encode()


def numbered_plan(number: int) -> bytes:
    """Plans that differ in one digit."""
    return plan_bytes(lambda plan: plan["allocation"].update(weight_kg=70 + number))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(str(tmp_path / "record.sqlite"))
    init_record(opened, actor="nurse")
    yield opened
    opened.close()
