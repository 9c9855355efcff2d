"""What is ordered for a visit, and what the caps make of it. Exact decimals throughout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from irplan.dose import codes
from irplan.dose.history import GivenRow, HistoryRow
from irplan.dose.protocol import DoseRule, Drug, Protocol
from irplan.errors import CallError, InputRefused
from irplan.findings import Finding
from irplan.units import plain

#: Outside these, a weight is refused; outside the narrower ones it warns.
WEIGHT_KG_POSSIBLE = (Decimal(20), Decimal(300))
WEIGHT_KG_USUAL = (Decimal(40), Decimal(150))
HEIGHT_CM_POSSIBLE = (Decimal(50), Decimal(250))
HEIGHT_CM_USUAL = (Decimal(130), Decimal(210))
_KG_PER_POUND = Decimal("0.45359237")
PRESCRIBED_ML_STEP = Decimal("0.000001")
_SURFACE_STEP = Decimal("0.0001")


@dataclass(frozen=True)
class DoseOrder:
    """What is known of the patient and asked for at this visit.

    Attributes:
        weight_kg, height_cm: needed only where a rule uses them.
        prescribed_mg: by drug, in place of the protocol's rule; caps still apply.
        increment_ml: smallest step of a dose; None takes the protocol's (0.01 mL by default).
        visit: number of the visit, from 1.
        history: doses of earlier visits; None is unknown, () is none.
        given: what this visit has given so far.
        weight_age_days: how old the weight is; None is unknown.
    """

    weight_kg: Decimal | None = None
    height_cm: Decimal | None = None
    prescribed_mg: Mapping[str, Decimal] = field(default_factory=dict)
    increment_ml: Decimal | None = None
    visit: int = 1
    history: tuple[HistoryRow, ...] | None = None
    given: tuple[GivenRow, ...] = ()
    weight_age_days: int | None = None


@dataclass(frozen=True)
class Cap:
    """A limit of the visit's dose of one drug, in mg."""

    code: str
    limit_mg: Decimal


#: How a cap is called in a sentence.
CAP_NAMES = {
    "visit_mg": "cap of a visit",
    "visit_ml": "cap of a visit in mL",
    "course_mg": "cap over the course",
}


@dataclass(frozen=True)
class Prescription:
    """One drug of a visit: what was ordered, its caps, and what is prescribed.

    ``prescribed_ml`` is prescribed_mg / concentration rounded down to 6 decimals.
    """

    drug: Drug
    ordered_mg: Decimal
    caps: tuple[Cap, ...]
    prescribed_mg: Decimal
    prescribed_ml: Decimal
    given_before_mg: Decimal


def check_order(order: DoseOrder, protocol: Protocol) -> tuple[Finding, ...]:
    """Refuse impossible numbers of an order, and warn of unusual ones.

    Raises:
        InputRefused: weight, height, step or a prescribed dose is not possible.
        CallError: a rule needs a number that was not given, or a drug is unknown.
    """
    findings: list[Finding] = []
    if order.visit < 1:
        raise CallError("not_positive", f"visit: {order.visit} is below 1")
    if order.increment_ml is not None and not _positive(order.increment_ml):
        raise CallError("not_positive", f"increment: {order.increment_ml} mL is not above zero")
    for name, mass in order.prescribed_mg.items():
        protocol.drug(name)
        if not _positive(mass):
            raise CallError("not_positive", f"prescribed dose of {name}: {mass} is not above zero")
    if order.weight_kg is not None:
        low, high = WEIGHT_KG_POSSIBLE
        weight = order.weight_kg
        if not weight.is_finite() or not low <= weight <= high:
            raise InputRefused(
                "weight_out_of_range",
                f"a weight of {weight} kg is outside {low}-{high} kg",
                "check the number and its unit",
            )
        low, high = WEIGHT_KG_USUAL
        if not low <= weight <= high:
            pounds = plain((weight * _KG_PER_POUND).quantize(Decimal("0.1")))
            findings.append(
                codes.WEIGHT_UNUSUAL(weight_kg=plain(weight), low=low, high=high, pounds_kg=pounds)
            )
        limit = protocol.preparation.weight_max_age_days
        if limit is not None and (order.weight_age_days or 0) > limit:
            findings.append(codes.WEIGHT_STALE(days=order.weight_age_days, limit=limit))
    if order.height_cm is not None:
        low, high = HEIGHT_CM_POSSIBLE
        if not order.height_cm.is_finite() or not low <= order.height_cm <= high:
            raise InputRefused(
                "height_out_of_range",
                f"a height of {order.height_cm} cm is outside {low}-{high} cm",
                "check the number and its unit",
            )
        low, high = HEIGHT_CM_USUAL
        if not low <= order.height_cm <= high:
            findings.append(
                codes.HEIGHT_UNUSUAL(height_cm=plain(order.height_cm), low=low, high=high)
            )
    return tuple(findings)


def _positive(value: Decimal) -> bool:
    return value.is_finite() and value > 0


def body_surface_m2(height_cm: Decimal, weight_kg: Decimal) -> Decimal:
    """Mosteller's body surface, √(cm·kg/3600), rounded half-even to 0.0001 m²."""
    return (height_cm * weight_kg / 3600).sqrt().quantize(_SURFACE_STEP, ROUND_HALF_EVEN)


def ordered_mg(drug: Drug, order: DoseOrder) -> Decimal:
    """The ordered dose of a drug: by hand where given, else by its rule.

    Raises:
        CallError: the rule needs a number that was not given.
    """
    if drug.name in order.prescribed_mg:
        return order.prescribed_mg[drug.name]
    if drug.rule is DoseRule.PRESCRIBED or drug.amount is None:
        raise CallError(
            "prescription_missing",
            f"the protocol sets no dose of {drug.name}",
            f"give --prescribed-mg {drug.name}=MG",
        )
    if drug.rule is DoseRule.FLAT:
        return drug.amount
    if order.weight_kg is None:
        raise CallError(
            "weight_missing",
            f"the dose of {drug.name} follows from the body weight, which is not given",
            "give --weight-kg",
        )
    if drug.rule is DoseRule.PER_KG:
        return drug.amount * order.weight_kg
    if order.height_cm is None:
        raise CallError(
            "height_missing",
            f"the dose of {drug.name} follows from the body surface, and the height is not given",
            "give --height-cm",
        )
    return drug.amount * body_surface_m2(order.height_cm, order.weight_kg)


def prescribe(
    protocol: Protocol, order: DoseOrder
) -> tuple[tuple[Prescription, ...], tuple[Finding, ...]]:
    """The prescriptions of a visit, drug by drug, with what is to be known about them.

    Raises:
        CallError, InputRefused: as :func:`check_order` and :func:`ordered_mg`.
    """
    findings = list(check_order(order, protocol))
    before, told = given_before(protocol, order)
    findings += told
    prescriptions = []
    for drug in protocol.drugs:
        ordered = plain(ordered_mg(drug, order))
        caps = []
        if drug.max_visit_mg is not None:
            caps.append(Cap("visit_mg", plain(drug.max_visit_mg)))
        if drug.max_visit_ml is not None:
            caps.append(Cap("visit_ml", plain(drug.max_visit_ml * drug.concentration_mg_per_ml)))
        if drug.max_course_mg is not None:
            rest = max(drug.max_course_mg - before[drug.name], Decimal(0))
            caps.append(Cap("course_mg", plain(rest)))
        prescribed = min([ordered, *(cap.limit_mg for cap in caps)])
        volume = plain(divided_down(prescribed, drug.concentration_mg_per_ml))
        prescriptions.append(
            Prescription(drug, ordered, tuple(caps), prescribed, volume, before[drug.name])
        )
        if drug.name in order.prescribed_mg and drug.rule is not DoseRule.PRESCRIBED:
            findings.append(codes.ORDER_BY_HAND(drug.name, drug=drug.name, mg=ordered))
        if prescribed < ordered:
            binding = next(cap for cap in caps if cap.limit_mg == prescribed)
            findings.append(
                codes.CAP_BINDS(
                    drug.name,
                    drug=drug.name,
                    ordered_mg=ordered,
                    cap=CAP_NAMES[binding.code],
                    prescribed_mg=prescribed,
                )
            )
        if prescribed == 0:
            findings.append(codes.NOTHING_PRESCRIBED(drug.name, drug=drug.name))
    return tuple(prescriptions), tuple(findings)


def divided_down(mass_mg: Decimal, concentration: Decimal) -> Decimal:
    """mass / concentration in mL, rounded down to 6 decimals, whatever the number of digits."""
    millionths = Fraction(mass_mg) / Fraction(concentration) * 1_000_000
    return (
        Decimal(millionths.numerator // millionths.denominator)
        .scaleb(-6)
        .quantize(PRESCRIBED_ML_STEP, ROUND_DOWN)
    )


def given_before(
    protocol: Protocol, order: DoseOrder
) -> tuple[dict[str, Decimal], tuple[Finding, ...]]:
    """mg of each drug that earlier visits gave, as far as caps over the course count them."""
    totals = {drug.name: Decimal(0) for drug in protocol.drugs}
    findings: list[Finding] = []
    if protocol.visits is not None and order.visit > protocol.visits:
        findings.append(codes.VISIT_BEYOND_COURSE(visit=order.visit, visits=protocol.visits))
    capped = [drug.name for drug in protocol.drugs if drug.max_course_mg is not None]
    counted = bool(capped) and protocol.earlier_visits_count
    if order.history is None:
        if counted and order.visit > 1:
            findings.append(codes.HISTORY_MISSING(visit=order.visit, drugs=", ".join(capped)))
        elif order.visit > 1:
            findings.append(_unknown(range(1, order.visit)))
        return totals, tuple(findings)
    others: set[str] = set()
    held: dict[str, set[int]] = {name: set() for name in totals}
    spelled = {drug.name.casefold(): drug.name for drug in protocol.drugs}
    for row in order.history:
        if row.visit >= order.visit:
            continue
        # Written Ipilimumab or IPILIMUMAB it is the same drug: the cap must count it.
        name = row.drug if row.drug in totals else spelled.get(row.drug.casefold(), row.drug)
        if not name:
            name = protocol.drugs[0].name if len(protocol.drugs) == 1 else ""
        if not name:
            raise InputRefused(
                "drug_missing",
                f"{row.where}, visit {row.visit}: names no drug, and the protocol gives several",
            )
        if name not in totals:
            others.add(name)
            continue
        held[name].add(row.visit)
        mass, disagreement = _mass_mg(row, protocol.drug(name))
        findings += disagreement
        if protocol.earlier_visits_count:
            totals[name] += mass
    if others:
        findings.append(codes.HISTORY_OTHER_DRUG(drugs=", ".join(sorted(others))))
    later = sorted({row.visit for row in order.history if row.visit >= order.visit})
    if later:
        visits = ", ".join(map(str, later))
        findings.append(codes.HISTORY_LATER(visits=visits, visit=order.visit))
        if counted:
            findings.append(
                codes.HISTORY_LATER_CAPPED(
                    visits=visits, visit=order.visit, drugs=", ".join(capped)
                )
            )
    told = {row.visit for row in order.history if row.visit < order.visit}
    for name in capped if counted else ():
        absent = ", ".join(map(str, sorted(told - held[name])))
        if absent:
            findings.append(codes.HISTORY_DRUG_ABSENT(name, drug=name, visits=absent))
    missing = sorted(set(range(1, order.visit)) - told)
    if missing and counted:
        findings.append(codes.HISTORY_GAP(visits=", ".join(map(str, missing))))
    elif missing:
        findings.append(_unknown(missing))
    return totals, tuple(findings)


def _unknown(visits: Iterable[int]) -> Finding:
    return codes.HISTORY_UNKNOWN(visits=", ".join(map(str, visits)))


def _mass_mg(row: HistoryRow, drug: Drug) -> tuple[Decimal, list[Finding]]:
    """The mg of a row of the history: what it says, or the larger where mL and mg disagree."""
    by_volume = None if row.ml is None else row.ml * drug.concentration_mg_per_ml
    if by_volume is None or row.mg is None:
        return (row.mg if by_volume is None else by_volume) or Decimal(0), []
    if by_volume == row.mg:
        return row.mg, []
    finding = codes.HISTORY_DISAGREES(
        drug.name,
        visit=row.visit,
        drug=drug.name,
        ml=row.ml,
        mg=row.mg,
        concentration=plain(drug.concentration_mg_per_ml),
    )
    return max(row.mg, by_volume), [finding]
