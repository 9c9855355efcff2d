"""What is taken out of a plan before it is recorded.

The record knows subjects by their code in the trial. Out go: the patient ID and every other
``patient_…`` entry but the position, the ``run`` part (host, time), absolute paths (a folder is
often named after a patient), and the patient ID wherever it stands in a sentence. The DICOM UIDs
stay: they tie the plan to its scan in the hospital's own archive, and are replaced on export.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REMOVED = "[removed]"

#: A shorter ID is not searched for in sentences: '12' stands in every number and UID.
_SHORTEST_SEARCHED = 4
#: Top-level entries that cannot hold an ID and that programs rely on.
_KEPT = frozenset({"schema", "irplan_version", "plan_id"})
# Not after ':' or '/', so that the address of a source stays.
_ABSOLUTE_PATH = re.compile(r"(?<![\w.:/])(?:[A-Za-z]:\\|/)[^\s'\"/\\]+(?:[/\\][^\s'\"]*)+")


def patient_id_of(document: Mapping[str, Any]) -> str:
    """The patient ID in a plan document, '' where there is none."""
    case = document.get("case")
    found = case.get("patient_id") if isinstance(case, Mapping) else None
    return found.strip() if isinstance(found, str) else ""


def pseudonymous(document: Mapping[str, Any]) -> dict[str, Any]:
    """The plan document without what names the patient, the host or a folder."""
    patient_id = patient_id_of(document)
    word = None
    if len(patient_id) >= _SHORTEST_SEARCHED:
        word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(patient_id)}(?![A-Za-z0-9])", re.IGNORECASE)
    return {
        key: value if key in _KEPT else _cleaned(key, value, word)
        for key, value in document.items()
        if key != "run"
    }


def _cleaned(key: str, value: Any, word: re.Pattern[str] | None) -> Any:
    if key.startswith("patient_") and key != "patient_position":
        return ""
    if isinstance(value, Mapping):
        return {_text(name, word): _cleaned(name, item, word) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned("", item, word) for item in value]
    return _text(value, word) if isinstance(value, str) else value


def _text(text: str, word: re.Pattern[str] | None) -> str:
    without_paths = _ABSOLUTE_PATH.sub(REMOVED, text)
    return word.sub(REMOVED, without_paths) if word else without_paths
