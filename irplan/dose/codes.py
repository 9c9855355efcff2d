"""What the dose stage has to tell: one declaration for each code."""

from __future__ import annotations

from irplan.findings import Forbids, Severity, declare

STAGE = "dose"

IDS_ALIKE = declare(
    "lesion_ids_alike",
    Severity.WARN,
    STAGE,
    "the ids {ids} look alike: check that they are different lesions",
)
VOLUME_UNUSUAL = declare(
    "volume_unusual",
    Severity.WARN,
    STAGE,
    "a volume of {volume_ml} mL is unusually large: check the number and its unit (in mm³ it would "
    "be {mm3_ml} mL)",
)
WEIGHT_UNUSUAL = declare(
    "weight_unusual",
    Severity.WARN,
    STAGE,
    "a weight of {weight_kg} kg is outside {low}-{high} kg: check the number and its unit "
    "(in pounds it would be {pounds_kg} kg)",
)
WEIGHT_STALE = declare(
    "weight_stale",
    Severity.WARN,
    STAGE,
    "the weight is {days} days old, more than the {limit} days that the protocol sets",
)
HEIGHT_UNUSUAL = declare(
    "height_unusual",
    Severity.WARN,
    STAGE,
    "a height of {height_cm} cm is outside {low}-{high} cm: check the number and its unit",
)
ORDER_BY_HAND = declare(
    "order_by_hand",
    Severity.INFO,
    STAGE,
    "{drug}: {mg} mg were prescribed by hand, in place of the protocol's rule",
)
PROTOCOL_NOTE = declare("protocol_note", Severity.INFO, STAGE, "{note}")
CAP_BINDS = declare(
    "cap_binds",
    Severity.INFO,
    STAGE,
    "{drug}: {ordered_mg} mg were ordered; the {cap} leaves {prescribed_mg} mg",
)
NOTHING_PRESCRIBED = declare(
    "nothing_prescribed",
    Severity.WARN,
    STAGE,
    "{drug}: the caps leave nothing to give at this visit",
)
HISTORY_MISSING = declare(
    "history_missing",
    Severity.STOP,
    STAGE,
    "visit {visit} under a cap over the course ({drugs}), and what earlier visits gave is not "
    "known: the doses shown count nothing as given before",
    forbids=Forbids.SIGNATURE,
    overridable=True,
)
HISTORY_GAP = declare(
    "history_gap",
    Severity.STOP,
    STAGE,
    "the history holds no dose of visit {visits}: if one was given then, the cap over the course "
    "counts too little (a visit that gave nothing has a row of 0 mL)",
    forbids=Forbids.SIGNATURE,
    overridable=True,
)
HISTORY_DRUG_ABSENT = declare(
    "history_drug_absent",
    Severity.WARN,
    STAGE,
    "the history holds no dose of {drug} at visit {visits}, though it holds others then: counted "
    "as none given",
)
HISTORY_UNKNOWN = declare(
    "history_unknown",
    Severity.INFO,
    STAGE,
    "what visit {visits} gave is not known: no cap of this protocol depends on it, but a lesion "
    "that was injected then counts as new",
)
HISTORY_DISAGREES = declare(
    "history_disagrees",
    Severity.WARN,
    STAGE,
    "visit {visit}, {drug}: the history says {ml} mL and {mg} mg, which do not belong together at "
    "{concentration} mg/mL; the larger dose is counted",
)
HISTORY_LATER = declare(
    "history_later",
    Severity.WARN,
    STAGE,
    "the history holds doses of visit {visits}, not before visit {visit}: they are not counted",
)
HISTORY_LATER_CAPPED = declare(
    "history_later_capped",
    Severity.STOP,
    STAGE,
    "the cap over the course ({drugs}) does not count the doses of visit {visits} in the history, "
    "since this is visit {visit}: check its number",
    forbids=Forbids.SIGNATURE,
    overridable=True,
)
HISTORY_ID_ALIKE = declare(
    "history_id_alike",
    Severity.WARN,
    STAGE,
    "the history's lesion '{before}' and this visit's '{now}' look alike: as they are written they "
    "are two lesions, '{before}' has gone and '{now}' was not injected at visit {visits}",
)
HISTORY_DATES_DISORDERED = declare(
    "history_dates_disordered",
    Severity.WARN,
    STAGE,
    "the history says {day} for visit {visit} and {later_day} for visit {later_visit}: check the "
    "dates and the numbers of the visits",
)
HISTORY_OTHER_DRUG = declare(
    "history_other_drug",
    Severity.WARN,
    STAGE,
    "the history holds doses of {drugs}, which the protocol does not give: no cap counts them",
)
VISIT_BEYOND_COURSE = declare(
    "visit_beyond_course",
    Severity.WARN,
    STAGE,
    "visit {visit} is beyond the {visits} visits of the protocol",
)
LESION_VANISHED = declare(
    "lesion_vanished",
    Severity.INFO,
    STAGE,
    "was injected at visit {visit} and is not among the lesions of this visit",
)
VOLUME_EXCEEDS_LESION = declare(
    "volume_exceeds_lesion",
    Severity.STOP,
    STAGE,
    "{ml} mL in all is more than the lesion's own volume of {volume_ml} mL",
    forbids=Forbids.SIGNATURE,
    overridable=True,
)
FRACTION_HIGH = declare(
    "fraction_high",
    Severity.WARN,
    STAGE,
    "{ml} mL in all is {percent} % of the lesion's volume of {volume_ml} mL; the protocol warns "
    "above {limit_percent} %",
)
ZERO_SHARE = declare("zero_share", Severity.WARN, STAGE, "gets nothing of {drug}: {because}")
BELOW_MIN_VOLUME = declare(
    "below_min_volume",
    Severity.WARN,
    STAGE,
    "its volume of {volume_ml} mL is below the protocol's {limit_ml} mL",
)
BELOW_MIN_DIAMETER = declare(
    "below_min_diameter",
    Severity.WARN,
    STAGE,
    "its longest diameter of {diameter_mm} mm is below the protocol's {limit_mm} mm",
)
DIAMETER_UNKNOWN = declare(
    "diameter_unknown",
    Severity.INFO,
    STAGE,
    "the protocol sets a smallest diameter of {limit_mm} mm, and that of {lesions} is not known",
)
DIAMETER_UNCHECKED = declare(
    "diameter_unchecked",
    Severity.WARN,
    STAGE,
    "the protocol excludes lesions below {limit_mm} mm, and the diameter of {lesions} is not "
    "known: not excluded",
)
VOLUME_FROM_DIAMETERS = declare(
    "volume_from_diameters",
    Severity.INFO,
    STAGE,
    "its volume of {volume_ml} mL is that of an ellipsoid with its three diameters",
)
VOLUME_OFF_ELLIPSOID = declare(
    "volume_off_ellipsoid",
    Severity.WARN,
    STAGE,
    "its volume of {volume_ml} mL is far from the {ellipsoid_ml} mL of an ellipsoid with its three "
    "diameters: check the outline, the diameters and their units",
)
BAND_OFF_VOLUME = declare(
    "band_off_volume",
    Severity.WARN,
    STAGE,
    "its band of {low_ml} to {high_ml} mL does not hold its volume of {volume_ml} mL; the band "
    "was widened to hold it",
)
READER_DEPENDENT = declare(
    "reader_dependent",
    Severity.WARN,
    STAGE,
    "its dose of {ml} mL may lie between {ml_low} and {ml_high} mL, depending on who outlines the "
    "lesions: more than {percent} % either way",
)
LESION_EXCLUDED = declare("lesion_excluded", Severity.INFO, STAGE, "gets nothing: {message}")
DOSE_LEFT_OVER = declare(
    "dose_left_over",
    Severity.WARN,
    STAGE,
    "{residual_ml} mL ({residual_mg} mg) of {drug} cannot be given: {reasons}",
)
GIVEN_ABOVE_CAP = declare(
    "given_above_cap",
    Severity.WARN,
    STAGE,
    "{given_ml} mL were given, above its limit of {cap_ml} mL: the lesion is closed",
)
GIVEN_TO_EXCLUDED = declare(
    "given_to_excluded",
    Severity.WARN,
    STAGE,
    "{given_ml} mL were given to a lesion that is not to be injected ({reason}): it is closed and "
    "what it got is counted",
)
FIXED_BELOW_SMALLEST = declare(
    "fixed_below_smallest",
    Severity.WARN,
    STAGE,
    "fixed by hand at {ml} mL, below the smallest injectable volume of {smallest_ml} mL",
)
NOT_SHOWABLE = declare(
    "not_showable",
    Severity.WARN,
    STAGE,
    "{ml} mL of {drug} cannot be made up from the syringes of the protocol: no graduation shows "
    "it; choose a coarser step or another syringe",
)
NO_VIALS = declare(
    "no_vials",
    Severity.INFO,
    STAGE,
    "{drug}: the protocol names no vial sizes, so vials and waste are not worked out",
)
EXPIRY_UNCHECKED = declare(
    "expiry_unchecked",
    Severity.WARN,
    STAGE,
    "{drug}, lot {lot}: its expiry is {expiry}, and on which day it was given is not told: nobody "
    "can tell whether it had expired",
)
DRUG_EXPIRED = declare(
    "drug_expired",
    Severity.WARN,
    STAGE,
    "{drug}, lot {lot}: the expiry {expiry} had passed when it was given ({when})",
)
