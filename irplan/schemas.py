"""The JSON Schema of every document, as ``irplan schema NAME`` prints it.

Keys may be added to a document, never taken away, so further keys are allowed everywhere.
A document of a refused call holds ``refused`` in place of its body. The parts that documents share
are in :mod:`irplan.schema_parts`.
"""

from __future__ import annotations

from collections.abc import Mapping

from irplan.errors import CallError
from irplan.schema_parts import (
    ALLOCATION_KEYS,
    BALANCE,
    CARD,
    FINDINGS,
    FLAG,
    FOLLOWED,
    FREE,
    GIVEN_LIST,
    GRID,
    INJECTION,
    LESION,
    NEEDLE_ERROR,
    NUMBER,
    PLAN_KEYS,
    POINT,
    REGISTRATION,
    SCAN_NAMED,
    SERIES,
    SHA256,
    STRUCTURE,
    TEXT,
    WHOLE,
    Schema,
    list_of,
    map_of,
    object_of,
    one_of,
    or_null,
)

#: Keys that came later: a document of an earlier build lacks them and is as good.
_LATER: Mapping[str, dict[str, Schema]] = {
    "plan": {
        "biopsies": list_of(
            object_of(
                biopsy_id=TEXT,
                lesion_id=TEXT,
                before=TEXT,
                entry_id=TEXT,
                entry_lps_mm=POINT,
                tip_lps_mm=POINT,
                end_lps_mm=POINT,
                throw_mm=NUMBER,
                depth_mm=NUMBER,
                in_lesion_mm=NUMBER,
            )
        ),
        "cards": list_of(CARD),
        "coverage": list_of(
            object_of(
                lesion_id=TEXT, coverage_percent=list_of(NUMBER), spill_percent=list_of(NUMBER)
            )
        ),
    }
}

_BODIES: Mapping[str, dict[str, Schema]] = {
    "follow": {
        "from_scan": SCAN_NAMED,
        "to_scan": SCAN_NAMED,
        **FOLLOWED,
        "lesions": list_of(LESION),
    },
    "transfer": {
        "plan_id": or_null(TEXT),
        "version": WHOLE,
        "supersedes": TEXT,
        "from_scan": SCAN_NAMED,
        "to_scan": or_null(SCAN_NAMED),
        **FOLLOWED,
        "doses": list_of(
            object_of(lesion_id=TEXT, drug=TEXT, old_ml=or_null(NUMBER), new_ml=or_null(NUMBER))
        ),
        "paths": list_of(
            object_of(
                lesion_id=TEXT,
                needle_id=TEXT,
                outcome=one_of("kept", "planned_again", "no_path", "lesion_gone"),
                reason=TEXT,
                needle_ids_now=list_of(TEXT),
                entry_lps_mm=or_null(POINT),
                tip_lps_mm=or_null(POINT),
                entry_moved_mm=or_null(NUMBER),
                tip_moved_mm=or_null(NUMBER),
                checks=list_of(FREE),
            )
        ),
    },
    "compare": {
        "plan_id": TEXT,
        "frame": TEXT,
        "registration": REGISTRATION,
        "needles": list_of(NEEDLE_ERROR),
        "site_errors": list_of(FREE),
    },
    "scan": {"series": list_of(SERIES)},
    "convert": {"out": TEXT, "geometry": GRID, "sha256": SHA256},
    "lesions": {"lesions": list_of(LESION)},
    "segmenters": {
        "segmenters": list_of(object_of(name=TEXT, version=TEXT, origin=TEXT, error=TEXT))
    },
    "anatomy": {"structures": list_of(STRUCTURE), "unknown": list_of(TEXT)},
    "allocation": ALLOCATION_KEYS,
    "protocols": {"protocols": list_of(FREE)},
    "protocol": {"protocol": FREE},
    "plan": PLAN_KEYS,
    "verify": {
        "plan_id": TEXT,
        "same": FLAG,
        "differences": list_of(object_of(path=TEXT, planned={}, computed={})),
    },
    "why": {
        "lesion_id": TEXT,
        "entry_lps_mm": POINT,
        "allowed": FLAG,
        "constraints": list_of(object_of(constraint=TEXT, value={}, limit={}, ok=FLAG)),
    },
    "batch": {"cases": WHOLE, "counts": map_of(WHOLE), "out": TEXT},
    "cohort": {"out": TEXT, "counts": map_of(WHOLE)},
    "record_init": {"store": TEXT},
    "record_add": {"plan_id": TEXT, "subject": TEXT, "visit": WHOLE, "new": FLAG, "head": TEXT},
    "record_list": {"store": TEXT, "plans": list_of(FREE)},
    "record_show": {
        "plan_id": TEXT,
        "subject": TEXT,
        "visit": WHOLE,
        "supersedes": TEXT,
        "superseded_by": list_of(TEXT),
        "doses": or_null(list_of(BALANCE)),
        "given": list_of(GIVEN_LIST),
        "plan": FREE,
        "audit": list_of(FREE),
    },
    "record_give": {
        "plan_id": TEXT,
        "subject": TEXT,
        "visit": WHOLE,
        "new": FLAG,
        "replaces": list_of(WHOLE),
        "source_sha256": SHA256,
        "given": list_of(INJECTION),
        "doses": list_of(BALANCE),
        "sequence": WHOLE,
        "head": TEXT,
    },
    "record_verify": {
        "whole": FLAG,
        "entries": WHOLE,
        "head": or_null(TEXT),
        "breaks": list_of(FREE),
    },
    "codes": {
        "codes": list_of(
            object_of(
                code=TEXT,
                severity=one_of("info", "warn", "stop"),
                forbids=one_of("nothing", "signature", "plan", "entry"),
                overridable=FLAG,
                stage=TEXT,
                meaning=TEXT,
            )
        )
    },
}


def schema_names() -> tuple[str, ...]:
    """The names that ``irplan schema`` knows."""
    return tuple(sorted(_BODIES))


def schema(name: str) -> Schema:
    """The JSON Schema (draft 2020-12) of the document ``irplan.NAME/1``.

    Raises:
        CallError: there is no document of that name.
    """
    if name not in _BODIES:
        raise CallError(
            "no_such_schema",
            f"there is no document '{name}'",
            "one of " + ", ".join(schema_names()),
        )
    envelope = object_of(
        schema={"const": f"irplan.{name}/1"}, irplan_version=TEXT, findings=FINDINGS
    )
    body = object_of(**_BODIES[name])
    body["properties"] = {**body["properties"], **_LATER.get(name, {})}
    refused = object_of(refused=object_of(code=TEXT, message=TEXT, remedy=TEXT))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"irplan.{name}/1",
        "allOf": [envelope, {"anyOf": [body, refused]}],
    }
