"""The JSON Schema of every document, as ``irplan schema NAME`` prints it.

Keys may be added to a document, never taken away, so further keys are allowed everywhere.
A document of a refused call holds ``refused`` in place of its body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from irplan.errors import CallError

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
POINT: Schema = {"type": "array", "items": NUMBER, "minItems": 3, "maxItems": 3}
SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
FREE: Schema = {"type": "object"}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _map(item: Schema) -> Schema:
    return {"type": "object", "additionalProperties": item}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _one_of(*values: str) -> Schema:
    return {"enum": list(values)}


FINDING = _object(
    code={"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
    severity=_one_of("info", "warn", "stop"),
    message=TEXT,
    subject=TEXT,
    accepted=_or_null(TEXT),
)
FINDINGS = _list(FINDING)

GRID = _object(
    size={"type": "array", "items": WHOLE, "minItems": 3, "maxItems": 3},
    spacing_mm=POINT,
    origin_lps_mm=POINT,
    direction={"type": "array", "items": NUMBER, "minItems": 9, "maxItems": 9},
    orientation={"type": "string", "pattern": "^[LRAPIS]{3}$"},
)

SERIES = _object(
    series_instance_uid=TEXT,
    study_instance_uid=TEXT,
    frame_of_reference_uid=TEXT,
    modality=TEXT,
    description=TEXT,
    patient_id=TEXT,
    patient_position=TEXT,
    acquired=TEXT,
    contrast=TEXT,
    instances=WHOLE,
    usable=FLAG,
    findings=FINDINGS,
    size=_or_null({"type": "array", "items": WHOLE, "minItems": 3, "maxItems": 3}),
    spacing_mm=_or_null(POINT),
    orientation=_or_null(TEXT),
    transfer_syntax=TEXT,
)

#: Of a line: two points.
_ENDS: Schema = {"type": "array", "items": POINT, "minItems": 2, "maxItems": 2}
LESION = _object(
    lesion_id=TEXT,
    label=_or_null(WHOLE),
    source_label=_or_null(WHOLE),
    name=TEXT,
    source=_one_of("segmented", "imported", "edited", "diameters"),
    kind=_or_null(_one_of("lung", "liver", "node", "soft", "skin")),
    site=TEXT,
    side=TEXT,
    volume_ml=_or_null(NUMBER),
    volume_low_ml=_or_null(NUMBER),
    volume_high_ml=_or_null(NUMBER),
    longest_diameter_mm=_or_null(NUMBER),
    longest_diameter_ends_lps_mm=_or_null(_ENDS),
    short_axis_mm=_or_null(NUMBER),
    diameter_3d_mm=_or_null(NUMBER),
    centroid_lps_mm=_or_null(POINT),
    depth_below_skin_mm=_or_null(NUMBER),
    mean_hu=_or_null(NUMBER),
    sd_hu=_or_null(NUMBER),
    findings=FINDINGS,
)
#: Keys of a lesion that came later.
LESION["properties"] |= {
    "side_source": _one_of("given", "proposed", ""),
    "necrotic_share": _or_null(NUMBER),
    "necrosis_unknown_why": TEXT,
    "contacts": _list(
        _object(
            what=_one_of("skin", "pleura", "capsule", "large_vessel"),
            state=_one_of("touches", "clear", "unknown"),
            distance_mm=_or_null(NUMBER),
            structure=TEXT,
        )
    ),
    "certainty": _or_null(NUMBER),
    "border_seen_share": _or_null(NUMBER),
    "site_proposed": TEXT,
    "diameter_source": _one_of("measured", "edited", ""),
    "measured_diameter_mm": _or_null(NUMBER),
    "measured_diameter_ends_lps_mm": _or_null(_ENDS),
    "segmenter": TEXT,
    "short_axis_ends_lps_mm": _or_null(_ENDS),
    "short_axis_source": _one_of("measured", "edited", ""),
    "measured_short_axis_mm": _or_null(NUMBER),
    "measured_short_axis_ends_lps_mm": _or_null(_ENDS),
    "diameter_3d_ends_lps_mm": _or_null(_ENDS),
    "diameter_3d_source": _one_of("measured", "edited", ""),
    "measured_diameter_3d_mm": _or_null(NUMBER),
    "measured_diameter_3d_ends_lps_mm": _or_null(_ENDS),
}

STRUCTURE = _object(
    name=TEXT,
    label=WHOLE,
    volume_ml=NUMBER,
    source=_one_of("computed", "imported"),
    confidence={"type": ["string", "number", "null"]},
)

LESION_DOSE = _object(
    lesion_id=TEXT,
    volume_ml=NUMBER,
    share=NUMBER,
    ml=NUMBER,
    ml_low=NUMBER,
    ml_high=NUMBER,
    mg=NUMBER,
    limits=_list(TEXT),
    why=TEXT,
)

DRUG = _object(
    drug=TEXT,
    concentration_mg_per_ml=NUMBER,
    ordered_mg=NUMBER,
    caps=_list(_object(code=TEXT, limit_mg=NUMBER)),
    prescribed_mg=NUMBER,
    prescribed_ml=NUMBER,
    allocated_mg=NUMBER,
    allocated_ml=NUMBER,
    residual_mg=NUMBER,
    residual_ml=NUMBER,
    residual_reasons=_list(TEXT),
    lesions=_list(LESION_DOSE),
)

ALLOCATION_KEYS: dict[str, Schema] = {
    "protocol": _object(name=TEXT, version={"type": ["string", "integer"]}, split=TEXT, sources={}),
    "weight_kg": _or_null(NUMBER),
    "increment_ml": NUMBER,
    "drugs": _list(DRUG),
    "excluded": _list(_object(lesion_id=TEXT, code=TEXT, message=TEXT)),
    "syringes": _list(FREE),
    "vials": _list(FREE),
}

DEPOSIT = _object(
    deposit_id=TEXT,
    order=WHOLE,
    lesion_id=TEXT,
    position_lps_mm=POINT,
    ml=_map(NUMBER),
    radius_mm={"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2},
)

NEEDLE = _object(
    needle_id=TEXT,
    entry_id=TEXT,
    **{"pass": {}},
    guidance=_one_of("ct", "ultrasound", "palpation"),
    gauge={"type": ["string", "number"]},
    length_mm=NUMBER,
    entry_lps_mm=POINT,
    tip_lps_mm=POINT,
    depth_mm=NUMBER,
    lesion_ids=_list(TEXT),
    axial_angle_deg=NUMBER,
    craniocaudal_angle_deg=NUMBER,
    skin_angle_deg=NUMBER,
    clearance_mm=_map(NUMBER),
    crosses_mm=_map(NUMBER),
    pleural_crossings=WHOLE,
    hit_probability=_or_null(NUMBER),
    deposits=_list(DEPOSIT),
    rank=WHOLE,
    dominated=FLAG,
)
# Keys that came later: the needle of an earlier build lacks them.
NEEDLE["properties"] |= {
    "miss_probability": _or_null(NUMBER),
    "hit_structure_probability": _map(NUMBER),
    "robustness_mm": _or_null(NUMBER),
    "measures": _map(_or_null(NUMBER)),
    "unknown_constraints": _list(TEXT),
    "findings": FINDINGS,
}

#: A card repeats what the plan says for one lesion or needle; what it holds more goes by its kind.
CARD = _object(
    kind=_one_of("superficial", "diameters", "needle"),
    lesion_id=_or_null(TEXT),
    needle_id=_or_null(TEXT),
    guidance=_one_of("ct", "ultrasound", "palpation"),
)

PLAN_KEYS: dict[str, Schema] = {
    "plan_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "version": WHOLE,
    "case": _object(
        patient_id=TEXT,
        study_instance_uid=TEXT,
        series_instance_uid=TEXT,
        frame_of_reference_uid=TEXT,
        image_date=TEXT,
        patient_position=_one_of("supine", "prone", "left", "right"),
        scan_position=TEXT,
        contrast=TEXT,
    ),
    "geometry": GRID,
    "lesions": _list(LESION),
    "allocation": _object(**ALLOCATION_KEYS),
    "structures": _list(STRUCTURE),
    "unknown_structures": _list(TEXT),
    "needles": _list(NEEDLE),
    "alternatives": _list(NEEDLE),
    "unreachable": _list(FREE),
    "checklist": _list(FREE),
    "inputs": _list(_object(name=TEXT, sha256=SHA256)),
    "settings": FREE,
    "run": FREE,
}

INJECTION: Schema = _object(
    number=WHOLE,
    drug=TEXT,
    lesion_id=TEXT,
    deposit_id=TEXT,
    ml=NUMBER,
    mg=NUMBER,
    time=TEXT,
    lot=TEXT,
    expiry=TEXT,
    closed=FLAG,
    reason=TEXT,
)

#: Planned = given + remaining; given and remaining are null where nothing was noted.
BALANCE = _object(
    lesion_id=TEXT,
    drug=TEXT,
    planned_ml=NUMBER,
    planned_mg=NUMBER,
    given_ml=_or_null(NUMBER),
    given_mg=_or_null(NUMBER),
    remaining_ml=_or_null(NUMBER),
    remaining_mg=_or_null(NUMBER),
    closed=FLAG,
)

GIVEN_LIST = _object(
    sequence=WHOLE,
    time=TEXT,
    actor=TEXT,
    replaces=_list(WHOLE),
    replaced_by=_or_null(WHOLE),
    source_sha256=SHA256,
    given=_list(INJECTION),
)

#: Keys that came later: a document of an earlier build lacks them and is as good.
_LATER: Mapping[str, dict[str, Schema]] = {
    "plan": {
        "biopsies": _list(
            _object(
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
        "cards": _list(CARD),
        "coverage": _list(
            _object(lesion_id=TEXT, coverage_percent=_list(NUMBER), spill_percent=_list(NUMBER))
        ),
    }
}

SCAN_NAMED = _object(
    study_instance_uid=TEXT,
    series_instance_uid=TEXT,
    frame_of_reference_uid=TEXT,
    image_date=TEXT,
)
#: How two scans were laid over each other: rotation row by row, older points to newer ones.
REGISTRATION = _object(
    kind=TEXT,
    rotation={"type": "array", "items": NUMBER, "minItems": 9, "maxItems": 9},
    shift_mm=POINT,
    angle_deg=NUMBER,
    similarity=NUMBER,
    skin_median_mm=_or_null(NUMBER),
    skin_p95_mm=_or_null(NUMBER),
    overlap=NUMBER,
    estimated_by=TEXT,
)
LOCAL_REGISTRATION = _object(
    lesion_id=TEXT,
    kind=TEXT,
    error_mm=_or_null(NUMBER),
    largest_error_mm=_or_null(NUMBER),
    similarity=_or_null(NUMBER),
    moved_mm=NUMBER,
    outside=NUMBER,
    estimated_by=TEXT,
)
_FATES = ("same", "new", "split", "merged", "gone", "unclear", "outside")
MATCH = _object(
    old_ids=_list(TEXT),
    new_ids=_list(TEXT),
    proposed=_one_of(*_FATES),
    status=_one_of(*_FATES, "no_lesion"),
    confirmed=FLAG,
    why=TEXT,
)
_CHANGE = _object(
    old=_or_null(NUMBER),
    new=_or_null(NUMBER),
    change=_or_null(NUMBER),
    change_share=_or_null(NUMBER),
)
CHANGE = _object(
    lesion_id=TEXT,
    new_ids=_list(TEXT),
    volume_ml=_CHANGE,
    longest_diameter_mm=_CHANGE,
    short_axis_mm=_CHANGE,
    diameter_3d_mm=_CHANGE,
    within_repeatability=_or_null(FLAG),
    contrast_hu=_object(old=_or_null(NUMBER), new=_or_null(NUMBER)),
)
FOLLOWED: dict[str, Schema] = {
    "registration": REGISTRATION,
    "local_registrations": _list(LOCAL_REGISTRATION),
    "matches": _list(MATCH),
    "changes": _list(CHANGE),
}
NEEDLE_ERROR = _object(
    needle_id=TEXT,
    lesion_id=TEXT,
    guidance=TEXT,
    planned_tip_lps_mm=POINT,
    planned_entry_lps_mm=POINT,
    placed_tip_lps_mm=POINT,
    placed_entry_lps_mm=_or_null(POINT),
    radial_error_mm=NUMBER,
    lateral_error_mm=NUMBER,
    depth_error_mm=NUMBER,
    angle_error_deg=_or_null(NUMBER),
    in_lesion=FLAG,
    inside_border_mm=NUMBER,
    correction=_object(
        move_tip_lps_mm=POINT,
        advance_mm=NUMBER,
        sideways_mm=NUMBER,
        redirect_deg=_or_null(NUMBER),
        words=TEXT,
    ),
    registration=LOCAL_REGISTRATION,
)

_BODIES: Mapping[str, dict[str, Schema]] = {
    "follow": {
        "from_scan": SCAN_NAMED,
        "to_scan": SCAN_NAMED,
        **FOLLOWED,
        "lesions": _list(LESION),
    },
    "transfer": {
        "plan_id": _or_null(TEXT),
        "version": WHOLE,
        "supersedes": TEXT,
        "from_scan": SCAN_NAMED,
        "to_scan": _or_null(SCAN_NAMED),
        **FOLLOWED,
        "doses": _list(
            _object(lesion_id=TEXT, drug=TEXT, old_ml=_or_null(NUMBER), new_ml=_or_null(NUMBER))
        ),
        "paths": _list(
            _object(
                lesion_id=TEXT,
                needle_id=TEXT,
                outcome=_one_of("kept", "planned_again", "no_path", "lesion_gone"),
                reason=TEXT,
                needle_ids_now=_list(TEXT),
                entry_lps_mm=_or_null(POINT),
                tip_lps_mm=_or_null(POINT),
                entry_moved_mm=_or_null(NUMBER),
                tip_moved_mm=_or_null(NUMBER),
                checks=_list(FREE),
            )
        ),
    },
    "compare": {
        "plan_id": TEXT,
        "frame": TEXT,
        "registration": REGISTRATION,
        "needles": _list(NEEDLE_ERROR),
        "site_errors": _list(FREE),
    },
    "scan": {"series": _list(SERIES)},
    "convert": {"out": TEXT, "geometry": GRID, "sha256": SHA256},
    "lesions": {"lesions": _list(LESION)},
    "segmenters": {"segmenters": _list(_object(name=TEXT, version=TEXT, origin=TEXT, error=TEXT))},
    "anatomy": {"structures": _list(STRUCTURE), "unknown": _list(TEXT)},
    "allocation": ALLOCATION_KEYS,
    "protocols": {"protocols": _list(FREE)},
    "protocol": {"protocol": FREE},
    "plan": PLAN_KEYS,
    "verify": {
        "plan_id": TEXT,
        "same": FLAG,
        "differences": _list(_object(path=TEXT, planned={}, computed={})),
    },
    "why": {
        "lesion_id": TEXT,
        "entry_lps_mm": POINT,
        "allowed": FLAG,
        "constraints": _list(_object(constraint=TEXT, value={}, limit={}, ok=FLAG)),
    },
    "batch": {"cases": WHOLE, "counts": _map(WHOLE), "out": TEXT},
    "cohort": {"out": TEXT, "counts": _map(WHOLE)},
    "record_init": {"store": TEXT},
    "record_add": {"plan_id": TEXT, "subject": TEXT, "visit": WHOLE, "new": FLAG, "head": TEXT},
    "record_list": {"store": TEXT, "plans": _list(FREE)},
    "record_show": {
        "plan_id": TEXT,
        "subject": TEXT,
        "visit": WHOLE,
        "supersedes": TEXT,
        "superseded_by": _list(TEXT),
        "doses": _or_null(_list(BALANCE)),
        "given": _list(GIVEN_LIST),
        "plan": FREE,
        "audit": _list(FREE),
    },
    "record_give": {
        "plan_id": TEXT,
        "subject": TEXT,
        "visit": WHOLE,
        "new": FLAG,
        "replaces": _list(WHOLE),
        "source_sha256": SHA256,
        "given": _list(INJECTION),
        "doses": _list(BALANCE),
        "sequence": WHOLE,
        "head": TEXT,
    },
    "record_verify": {
        "whole": FLAG,
        "entries": WHOLE,
        "head": _or_null(TEXT),
        "breaks": _list(FREE),
    },
    "codes": {
        "codes": _list(
            _object(
                code=TEXT,
                severity=_one_of("info", "warn", "stop"),
                forbids=_one_of("nothing", "signature", "plan", "entry"),
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
    envelope = _object(schema={"const": f"irplan.{name}/1"}, irplan_version=TEXT, findings=FINDINGS)
    body = _object(**_BODIES[name])
    body["properties"] = {**body["properties"], **_LATER.get(name, {})}
    refused = _object(refused=_object(code=TEXT, message=TEXT, remedy=TEXT))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"irplan.{name}/1",
        "allOf": [envelope, {"anyOf": [body, refused]}],
    }
