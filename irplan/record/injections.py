"""What was given against what was planned: exact, and without a database.

A list of injections (GIVEN.csv) is read against the plan it belongs to: every drug, lesion and
deposit must be the plan's, and mg = mL x the plan's concentration, exactly. What is unusual but
happened (more than planned, a lesion the plan leaves out) is a finding; what is more likely a slip
of the pen, or must not go by unseen, stops the entry until a person gives a reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from irplan.dose import GivenRow
from irplan.dose.allocation import MIXTURE
from irplan.dose.checks import is_past
from irplan.dose.history import is_time
from irplan.errors import InputRefused
from irplan.findings import Finding, Forbids, Severity, declare
from irplan.units import EXACT, plain

#: A finer step than any syringe or increment shows; a longer number is not a volume that was read.
_ML_PLACES = 6
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

EXPIRED = declare(
    "given_drug_expired",
    Severity.STOP,
    "record",
    "{where}: {drug}, lot {lot}, had expired ({expiry}) when it was given ({time})",
    forbids=Forbids.ENTRY,
    overridable=True,
)
ABOVE_PRESCRIBED = declare(
    "given_above_prescribed",
    Severity.STOP,
    "record",
    "{given_ml} mL of {drug} are said to have been given in all, and {prescribed_ml} mL were "
    "prescribed",
    forbids=Forbids.ENTRY,
    overridable=True,
)
BELOW_EARLIER = declare(
    "given_below_earlier",
    Severity.STOP,
    "record",
    "the plan was made knowing that {before_ml} mL of {drug} had been given, and the list says "
    "{given_ml} mL: it must hold all that the visit gave, before and after that plan",
    forbids=Forbids.ENTRY,
    overridable=True,
)
REPEATED = declare(
    "given_row_repeated",
    Severity.STOP,
    "record",
    "{where}: says word for word what {other} says: the same injection must not count twice",
    forbids=Forbids.ENTRY,
    overridable=True,
)
ABOVE_PLANNED = declare(
    "given_above_planned",
    Severity.WARN,
    "record",
    "{given_ml} mL of {drug} were given, {over_ml} mL more than planned",
)
NOT_PLANNED = declare(
    "given_to_unplanned",
    Severity.WARN,
    "record",
    "{given_ml} mL of {drug} were given to a lesion to which the plan gives none",
)
DETAILS_MISSING = declare(
    "given_details_missing",
    Severity.WARN,
    "record",
    "no {what} in {rows}{consequence}",
)
IN_FUTURE = declare(
    "given_in_future",
    Severity.WARN,
    "record",
    "{where}: the time {time} has not come yet: check the date",
)


@dataclass(frozen=True)
class PlanDoses:
    """What a recorded plan says about doses; mL and mg exact.

    Attributes:
        drugs: (name, concentration in mg/mL), in the plan's order.
        prescribed_ml: by drug.
        mixture: part of each mL of the mixture, by drug; {} where drugs are drawn separately.
        planned_ml: by drug and lesion.
        before_ml: what the plan knew as given already, by drug and lesion.
        lesion_ids: every lesion of the plan, dosed or not.
        deposits: lesion of each deposit, those of alternative needles included.
    """

    drugs: tuple[tuple[str, Decimal], ...]
    prescribed_ml: Mapping[str, Decimal]
    mixture: Mapping[str, Decimal]
    planned_ml: Mapping[tuple[str, str], Decimal]
    before_ml: Mapping[tuple[str, str], Decimal]
    lesion_ids: frozenset[str]
    deposits: Mapping[str, str]

    @classmethod
    def of(cls, plan: Mapping[str, Any]) -> PlanDoses:
        """The doses of a plan document.

        Raises:
            InputRefused: the document holds no doses that can be read.
        """
        try:
            return cls._of(plan)
        except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise InputRefused(
                "plan_without_doses",
                f"plan {plan.get('plan_id')}: its doses cannot be read ({error!r})",
                "note what was given under a plan that irplan made",
            ) from error

    @classmethod
    def _of(cls, plan: Mapping[str, Any]) -> PlanDoses:
        allocation = plan["allocation"]
        doses = [
            ((drug["drug"], dose["lesion_id"]), dose)
            for drug in allocation["drugs"]
            for dose in drug["lesions"]
        ]
        needles = [*plan["needles"], *plan.get("alternatives", ())]
        deposits = [one for needle in needles for one in needle.get("deposits", ())]
        named = [*plan["lesions"], *allocation.get("excluded", ())]
        return cls(
            drugs=tuple(
                (str(one["drug"]), Decimal(one["concentration_mg_per_ml"]))
                for one in allocation["drugs"]
            ),
            prescribed_ml={
                one["drug"]: Decimal(one["prescribed_ml"]) for one in allocation["drugs"]
            },
            mixture={
                drug: Decimal(part)
                for drug, part in allocation.get("mixture", {}).get("fractions", {}).items()
            },
            planned_ml={key: Decimal(dose["ml"]) for key, dose in doses},
            before_ml={key: Decimal(dose.get("given_ml", 0)) for key, dose in doses},
            lesion_ids=frozenset(
                [*(str(one["lesion_id"]) for one in named), *(lesion for (_, lesion), _ in doses)]
            ),
            deposits={str(one["deposit_id"]): str(one["lesion_id"]) for one in deposits},
        )


@dataclass(frozen=True)
class Injection:
    """One injection of one drug as the record keeps it; a mixture is one injection a drug.

    ``time``, ``lot``, ``expiry`` and ``reason`` are '' where they are not known.
    """

    number: int
    drug: str
    lesion_id: str
    deposit_id: str
    ml: Decimal
    mg: Decimal
    time: str
    lot: str
    expiry: str
    closed: bool
    reason: str

    def document(self) -> dict[str, Any]:
        """The injection as it stands in documents and in the audit entry."""
        return dict(vars(self))

    @property
    def date(self) -> str:
        """The day as YYYY-MM-DD, '' where the time names none."""
        found = _DATE.match(self.time)
        return found.group() if found else ""


def injections_of(rows: Sequence[GivenRow], doses: PlanDoses) -> tuple[Injection, ...]:
    """The rows of a list, each checked against the plan.

    Raises:
        InputRefused: a lesion, drug or deposit that the plan does not have, or a cell that cannot
            be; the message names the row.
    """
    made: list[Injection] = []
    for row in rows:
        _check_row(row, doses)
        for drug, volume in _drugs_of(row, doses):
            made.append(
                Injection(
                    number=len(made) + 1,
                    drug=drug,
                    lesion_id=row.lesion_id,
                    deposit_id=row.deposit_id,
                    ml=plain(volume),
                    mg=plain(EXACT.multiply(volume, dict(doses.drugs)[drug])),
                    time=row.time,
                    lot=row.lot,
                    expiry=row.expiry,
                    closed=row.closed,
                    reason=row.reason,
                )
            )
    return tuple(made)


def _check_row(row: GivenRow, doses: PlanDoses) -> None:
    if row.lesion_id not in doses.lesion_ids:
        raise InputRefused(
            "given_unknown_lesion",
            f"{row.where}: the plan has no lesion '{row.lesion_id}'",
            "its lesions are " + (", ".join(sorted(doses.lesion_ids)) or "none"),
        )
    if row.deposit_id and doses.deposits.get(row.deposit_id) != row.lesion_id:
        elsewhere = doses.deposits.get(row.deposit_id)
        raise InputRefused(
            "given_unknown_deposit",
            f"{row.where}: the plan has no deposit '{row.deposit_id}' in {row.lesion_id}"
            + (f"; that one lies in {elsewhere}" if elsewhere else ""),
            "leave deposit_id empty where the fluid went elsewhere in the lesion",
        )
    exponent = row.ml.as_tuple().exponent
    if not isinstance(exponent, int) or row.ml < 0 or -exponent > _ML_PLACES:
        raise InputRefused(
            "wrong_value",
            f"{row.where}: ml: {row.ml} is not a volume that was read from a syringe",
            f"write it with at most {_ML_PLACES} decimals",
        )
    for name in ("time", "lot", "reason", "deposit_id"):
        if not getattr(row, name).isprintable():
            raise InputRefused(
                "wrong_value", f"{row.where}: {name}: holds signs that cannot be printed"
            )
    if row.time and not is_time(row.time):
        raise InputRefused(
            "wrong_value",
            f"{row.where}: time: '{row.time}' is no time",
            "write it as in 2026-05-04T10:15; a date is needed to compare with the expiry",
        )


def _drugs_of(row: GivenRow, doses: PlanDoses) -> Iterable[tuple[str, Decimal]]:
    """(drug, mL) of one row: several where it is of the mixture, or closes before any drug."""
    known = [drug for drug, _ in doses.drugs]
    if not row.drug and row.ml == 0 and row.closed:
        return [(drug, Decimal(0)) for drug in known]
    name = row.drug
    if not name:
        name = MIXTURE if doses.mixture else known[0] if len(known) == 1 else ""
    if name == MIXTURE and doses.mixture:
        return [(drug, EXACT.multiply(row.ml, part)) for drug, part in doses.mixture.items()]
    if name not in known:
        raise InputRefused(
            "unknown_drug",
            f"{row.where}: '{row.drug}' is not a drug of the plan"
            if row.drug
            else f"{row.where}: names no drug, and the plan gives several",
            "its drugs are " + (", ".join(known) or "none"),
        )
    return [(name, row.ml)]


def balance(doses: PlanDoses, given: Sequence[Injection] | None) -> list[dict[str, Any]]:
    """Planned and given side by side, by lesion and drug: planned = given + remaining, exactly.

    ``given`` is all that was given, or ``None`` where that is unknown: then what was given and
    what remains is null, not zero. What remains is negative where more was given than planned.
    """
    totals = totals_of(given or ())
    closed = {one.lesion_id for one in given or () if one.closed}
    order = {drug: place for place, (drug, _) in enumerate(doses.drugs)}
    rows = []
    for key in sorted({*doses.planned_ml, *totals}, key=lambda key: (key[1], order[key[0]])):
        drug, lesion_id = key
        per_ml = dict(doses.drugs)[drug]
        planned = doses.planned_ml.get(key, Decimal(0))
        got = None if given is None else totals.get(key, Decimal(0))
        left = None if got is None else EXACT.subtract(planned, got)
        row: dict[str, Any] = {"lesion_id": lesion_id, "drug": drug}
        for name, volume in (("planned", planned), ("given", got), ("remaining", left)):
            row[f"{name}_ml"] = None if volume is None else plain(volume)
            row[f"{name}_mg"] = None if volume is None else plain(EXACT.multiply(volume, per_ml))
        row["closed"] = lesion_id in closed
        rows.append(row)
    return rows


def totals_of(given: Iterable[Injection]) -> dict[tuple[str, str], Decimal]:
    """mL by drug and lesion."""
    totals: dict[tuple[str, str], Decimal] = {}
    for one in given:
        key = (one.drug, one.lesion_id)
        totals[key] = EXACT.add(totals.get(key, Decimal(0)), one.ml)
    return totals


def given_findings(
    given: Sequence[Injection],
    doses: PlanDoses,
    noted_before: Sequence[tuple[str, Injection]],
    today: str,
) -> list[Finding]:
    """What is to be known of a list before it is noted, and what stops it.

    Args:
        given: the list, in order.
        noted_before: injections that count beside this list, each with where it stands.
        today: YYYY-MM-DD; a later day has not come yet.
    """
    return [
        *_sum_findings(given, doses),
        *_row_findings(given, today),
        *_repeat_findings(given, noted_before),
        *_missing_details(given),
    ]


def _sum_findings(given: Sequence[Injection], doses: PlanDoses) -> Iterable[Finding]:
    totals = totals_of(given)
    for drug, _ in doses.drugs:
        whole = sum((ml for (name, _), ml in totals.items() if name == drug), Decimal(0))
        prescribed = doses.prescribed_ml[drug]
        if whole > prescribed:
            yield ABOVE_PRESCRIBED(
                drug, drug=drug, given_ml=plain(whole), prescribed_ml=plain(prescribed)
            )
    for key in sorted({*totals, *doses.before_ml}):
        drug, lesion_id = key
        got, planned = totals.get(key, Decimal(0)), doses.planned_ml.get(key, Decimal(0))
        before = doses.before_ml.get(key, Decimal(0))
        if got < before:
            yield BELOW_EARLIER(lesion_id, drug=drug, before_ml=plain(before), given_ml=plain(got))
        if got > 0 and planned == 0:
            yield NOT_PLANNED(lesion_id, drug=drug, given_ml=plain(got))
        elif got > planned:
            over = plain(EXACT.subtract(got, planned))
            yield ABOVE_PLANNED(lesion_id, drug=drug, given_ml=plain(got), over_ml=over)


def _row_findings(given: Sequence[Injection], today: str) -> Iterable[Finding]:
    for one in given:
        where = f"row {one.number}"
        # A bare time of the day says nothing about a date.
        if one.ml > 0 and is_past(one.expiry, one.date):
            yield EXPIRED(
                one.drug,
                where=where,
                drug=one.drug,
                lot=one.lot or "not told",
                expiry=one.expiry,
                time=one.time,
            )
        if one.date > today:
            yield IN_FUTURE(one.lesion_id, where=where, time=one.time)


def _repeat_findings(
    given: Sequence[Injection], noted_before: Sequence[tuple[str, Injection]]
) -> Iterable[Finding]:
    seen = {_words(one): where for where, one in noted_before}
    for one in given:
        where = f"row {one.number}"
        other = seen.setdefault(_words(one), where)
        if other != where and one.ml > 0 and one.time:
            yield REPEATED(one.lesion_id, where=where, other=other)


def _words(one: Injection) -> tuple[object, ...]:
    return tuple(value for name, value in vars(one).items() if name != "number")


def _missing_details(given: Sequence[Injection]) -> Iterable[Finding]:
    unchecked = ": nobody can tell whether the drug had expired"
    for name, what, consequence in (
        ("date", "date of the injection", unchecked),
        ("expiry", "expiry", unchecked),
        ("lot", "lot", ""),
    ):
        rows = [str(one.number) for one in given if one.ml > 0 and not getattr(one, name)]
        if rows:
            told = ("row " if len(rows) == 1 else "rows ") + ", ".join(rows)
            yield DETAILS_MISSING(what=what, rows=told, consequence=consequence)
