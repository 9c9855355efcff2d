"""The parts that documents share, as JSON Schema: findings, series, lesions, doses and needles.

Keys may be added to a part, never taken away, so further keys are allowed everywhere.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
POINT: Schema = {"type": "array", "items": NUMBER, "minItems": 3, "maxItems": 3}
SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
FREE: Schema = {"type": "object"}


def object_of(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def list_of(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def map_of(item: Schema) -> Schema:
    return {"type": "object", "additionalProperties": item}


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def one_of(*values: str) -> Schema:
    return {"enum": list(values)}


FINDING = object_of(
    code={"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
    severity=one_of("info", "warn", "stop"),
    message=TEXT,
    subject=TEXT,
    accepted=or_null(TEXT),
)
FINDINGS = list_of(FINDING)

GRID = object_of(
    size={"type": "array", "items": WHOLE, "minItems": 3, "maxItems": 3},
    spacing_mm=POINT,
    origin_lps_mm=POINT,
    direction={"type": "array", "items": NUMBER, "minItems": 9, "maxItems": 9},
    orientation={"type": "string", "pattern": "^[LRAPIS]{3}$"},
)

SERIES = object_of(
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
    size=or_null({"type": "array", "items": WHOLE, "minItems": 3, "maxItems": 3}),
    spacing_mm=or_null(POINT),
    orientation=or_null(TEXT),
    transfer_syntax=TEXT,
)

#: Of a line: two points.
_ENDS: Schema = {"type": "array", "items": POINT, "minItems": 2, "maxItems": 2}
LESION = object_of(
    lesion_id=TEXT,
    label=or_null(WHOLE),
    source_label=or_null(WHOLE),
    name=TEXT,
    source=one_of("segmented", "imported", "edited", "diameters"),
    kind=or_null(one_of("lung", "liver", "node", "soft", "skin")),
    site=TEXT,
    side=TEXT,
    volume_ml=or_null(NUMBER),
    volume_low_ml=or_null(NUMBER),
    volume_high_ml=or_null(NUMBER),
    longest_diameter_mm=or_null(NUMBER),
    longest_diameter_ends_lps_mm=or_null(_ENDS),
    short_axis_mm=or_null(NUMBER),
    diameter_3d_mm=or_null(NUMBER),
    centroid_lps_mm=or_null(POINT),
    depth_below_skin_mm=or_null(NUMBER),
    mean_hu=or_null(NUMBER),
    sd_hu=or_null(NUMBER),
    findings=FINDINGS,
)
#: Keys of a lesion that came later.
LESION["properties"] |= {
    "side_source": one_of("given", "proposed", ""),
    "necrotic_share": or_null(NUMBER),
    "necrosis_unknown_why": TEXT,
    "contacts": list_of(
        object_of(
            what=one_of("skin", "pleura", "capsule", "large_vessel"),
            state=one_of("touches", "clear", "unknown"),
            distance_mm=or_null(NUMBER),
            structure=TEXT,
        )
    ),
    "certainty": or_null(NUMBER),
    "border_seen_share": or_null(NUMBER),
    "site_proposed": TEXT,
    "diameter_source": one_of("measured", "edited", ""),
    "measured_diameter_mm": or_null(NUMBER),
    "measured_diameter_ends_lps_mm": or_null(_ENDS),
    "segmenter": TEXT,
    "short_axis_ends_lps_mm": or_null(_ENDS),
    "short_axis_source": one_of("measured", "edited", ""),
    "measured_short_axis_mm": or_null(NUMBER),
    "measured_short_axis_ends_lps_mm": or_null(_ENDS),
    "diameter_3d_ends_lps_mm": or_null(_ENDS),
    "diameter_3d_source": one_of("measured", "edited", ""),
    "measured_diameter_3d_mm": or_null(NUMBER),
    "measured_diameter_3d_ends_lps_mm": or_null(_ENDS),
}

STRUCTURE = object_of(
    name=TEXT,
    label=WHOLE,
    volume_ml=NUMBER,
    source=one_of("computed", "imported"),
    confidence={"type": ["string", "number", "null"]},
)

LESION_DOSE = object_of(
    lesion_id=TEXT,
    volume_ml=NUMBER,
    share=NUMBER,
    ml=NUMBER,
    ml_low=NUMBER,
    ml_high=NUMBER,
    mg=NUMBER,
    limits=list_of(TEXT),
    why=TEXT,
)

DRUG = object_of(
    drug=TEXT,
    concentration_mg_per_ml=NUMBER,
    ordered_mg=NUMBER,
    caps=list_of(object_of(code=TEXT, limit_mg=NUMBER)),
    prescribed_mg=NUMBER,
    prescribed_ml=NUMBER,
    allocated_mg=NUMBER,
    allocated_ml=NUMBER,
    residual_mg=NUMBER,
    residual_ml=NUMBER,
    residual_reasons=list_of(TEXT),
    lesions=list_of(LESION_DOSE),
)

ALLOCATION_KEYS: dict[str, Schema] = {
    "protocol": object_of(
        name=TEXT, version={"type": ["string", "integer"]}, split=TEXT, sources={}
    ),
    "weight_kg": or_null(NUMBER),
    "increment_ml": NUMBER,
    "drugs": list_of(DRUG),
    "excluded": list_of(object_of(lesion_id=TEXT, code=TEXT, message=TEXT)),
    "syringes": list_of(FREE),
    "vials": list_of(FREE),
}

DEPOSIT = object_of(
    deposit_id=TEXT,
    order=WHOLE,
    lesion_id=TEXT,
    position_lps_mm=POINT,
    ml=map_of(NUMBER),
    radius_mm={"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2},
)

NEEDLE = object_of(
    needle_id=TEXT,
    entry_id=TEXT,
    **{"pass": {}},
    guidance=one_of("ct", "ultrasound", "palpation"),
    gauge={"type": ["string", "number"]},
    length_mm=NUMBER,
    entry_lps_mm=POINT,
    tip_lps_mm=POINT,
    depth_mm=NUMBER,
    lesion_ids=list_of(TEXT),
    axial_angle_deg=NUMBER,
    craniocaudal_angle_deg=NUMBER,
    skin_angle_deg=NUMBER,
    clearance_mm=map_of(NUMBER),
    crosses_mm=map_of(NUMBER),
    pleural_crossings=WHOLE,
    hit_probability=or_null(NUMBER),
    deposits=list_of(DEPOSIT),
    rank=WHOLE,
    dominated=FLAG,
)
# Keys that came later: the needle of an earlier build lacks them.
NEEDLE["properties"] |= {
    "miss_probability": or_null(NUMBER),
    "hit_structure_probability": map_of(NUMBER),
    "robustness_mm": or_null(NUMBER),
    "measures": map_of(or_null(NUMBER)),
    "unknown_constraints": list_of(TEXT),
    "findings": FINDINGS,
}

#: A card repeats what the plan says for one lesion or needle; what it holds more goes by its kind.
CARD = object_of(
    kind=one_of("superficial", "diameters", "needle"),
    lesion_id=or_null(TEXT),
    needle_id=or_null(TEXT),
    guidance=one_of("ct", "ultrasound", "palpation"),
)

PLAN_KEYS: dict[str, Schema] = {
    "plan_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "version": WHOLE,
    "case": object_of(
        patient_id=TEXT,
        study_instance_uid=TEXT,
        series_instance_uid=TEXT,
        frame_of_reference_uid=TEXT,
        image_date=TEXT,
        patient_position=one_of("supine", "prone", "left", "right"),
        scan_position=TEXT,
        contrast=TEXT,
    ),
    "geometry": GRID,
    "lesions": list_of(LESION),
    "allocation": object_of(**ALLOCATION_KEYS),
    "structures": list_of(STRUCTURE),
    "unknown_structures": list_of(TEXT),
    "needles": list_of(NEEDLE),
    "alternatives": list_of(NEEDLE),
    "unreachable": list_of(FREE),
    "checklist": list_of(FREE),
    "inputs": list_of(object_of(name=TEXT, sha256=SHA256)),
    "settings": FREE,
    "run": FREE,
}

INJECTION: Schema = object_of(
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
BALANCE = object_of(
    lesion_id=TEXT,
    drug=TEXT,
    planned_ml=NUMBER,
    planned_mg=NUMBER,
    given_ml=or_null(NUMBER),
    given_mg=or_null(NUMBER),
    remaining_ml=or_null(NUMBER),
    remaining_mg=or_null(NUMBER),
    closed=FLAG,
)

GIVEN_LIST = object_of(
    sequence=WHOLE,
    time=TEXT,
    actor=TEXT,
    replaces=list_of(WHOLE),
    replaced_by=or_null(WHOLE),
    source_sha256=SHA256,
    given=list_of(INJECTION),
)

SCAN_NAMED = object_of(
    study_instance_uid=TEXT,
    series_instance_uid=TEXT,
    frame_of_reference_uid=TEXT,
    image_date=TEXT,
)
#: How two scans were laid over each other: rotation row by row, older points to newer ones.
REGISTRATION = object_of(
    kind=TEXT,
    rotation={"type": "array", "items": NUMBER, "minItems": 9, "maxItems": 9},
    shift_mm=POINT,
    angle_deg=NUMBER,
    similarity=NUMBER,
    skin_median_mm=or_null(NUMBER),
    skin_p95_mm=or_null(NUMBER),
    overlap=NUMBER,
    estimated_by=TEXT,
)
LOCAL_REGISTRATION = object_of(
    lesion_id=TEXT,
    kind=TEXT,
    error_mm=or_null(NUMBER),
    largest_error_mm=or_null(NUMBER),
    similarity=or_null(NUMBER),
    moved_mm=NUMBER,
    outside=NUMBER,
    estimated_by=TEXT,
)
_FATES = ("same", "new", "split", "merged", "gone", "unclear", "outside")
MATCH = object_of(
    old_ids=list_of(TEXT),
    new_ids=list_of(TEXT),
    proposed=one_of(*_FATES),
    status=one_of(*_FATES, "no_lesion"),
    confirmed=FLAG,
    why=TEXT,
)
_CHANGE = object_of(
    old=or_null(NUMBER),
    new=or_null(NUMBER),
    change=or_null(NUMBER),
    change_share=or_null(NUMBER),
)
CHANGE = object_of(
    lesion_id=TEXT,
    new_ids=list_of(TEXT),
    volume_ml=_CHANGE,
    longest_diameter_mm=_CHANGE,
    short_axis_mm=_CHANGE,
    diameter_3d_mm=_CHANGE,
    within_repeatability=or_null(FLAG),
    contrast_hu=object_of(old=or_null(NUMBER), new=or_null(NUMBER)),
)
FOLLOWED: dict[str, Schema] = {
    "registration": REGISTRATION,
    "local_registrations": list_of(LOCAL_REGISTRATION),
    "matches": list_of(MATCH),
    "changes": list_of(CHANGE),
}
NEEDLE_ERROR = object_of(
    needle_id=TEXT,
    lesion_id=TEXT,
    guidance=TEXT,
    planned_tip_lps_mm=POINT,
    planned_entry_lps_mm=POINT,
    placed_tip_lps_mm=POINT,
    placed_entry_lps_mm=or_null(POINT),
    radial_error_mm=NUMBER,
    lateral_error_mm=NUMBER,
    depth_error_mm=NUMBER,
    angle_error_deg=or_null(NUMBER),
    in_lesion=FLAG,
    inside_border_mm=NUMBER,
    correction=object_of(
        move_tip_lps_mm=POINT,
        advance_mm=NUMBER,
        sideways_mm=NUMBER,
        redirect_deg=or_null(NUMBER),
        words=TEXT,
    ),
    registration=LOCAL_REGISTRATION,
)
