"""What an allocation has to tell about its lesions: sizes, fractions, bands, leftovers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from irplan.dose import codes
from irplan.dose.allocation import DrugAllocation, Exclusion, LesionDose, MixtureAllocation
from irplan.dose.explain import REASON_NAMES
from irplan.dose.history import GivenRow
from irplan.dose.lesion_table import DoseLesion, alike_ids
from irplan.dose.order import DoseOrder
from irplan.dose.problem import Problem, Solution
from irplan.dose.protocol import Action, Protocol, SplitRule
from irplan.dose.syringes import SyringeLine
from irplan.findings import Finding
from irplan.units import ml, plain, quantize


def order_findings(
    protocol: Protocol, order: DoseOrder, lesions: Sequence[DoseLesion]
) -> Iterator[Finding]:
    """About the protocol, the visit's earlier lesions and the lots that were given."""
    if protocol.note:
        yield codes.PROTOCOL_NOTE(note=protocol.note)
    present = {lesion.lesion_id for lesion in lesions}
    gone: dict[str, int] = {}
    for row in order.history or ():
        if row.visit < order.visit and row.lesion_id and row.lesion_id not in present:
            gone[row.lesion_id] = max(row.visit, gone.get(row.lesion_id, 0))
    for lesion_id, visit in sorted(gone.items()):
        yield codes.LESION_VANISHED(lesion_id, visit=visit)
    yield from _alike_findings(order, gone, present)
    yield from _date_findings(order)
    only = protocol.drugs[0].name if len(protocol.drugs) == 1 else ""
    expired = {
        (row.drug or only, row.lot, row.expiry, row.time[:10])
        for row in order.given
        if is_past(row.expiry, row.time)
    }
    for drug, lot, expiry, when in sorted(expired):
        yield codes.DRUG_EXPIRED(
            drug, drug=drug or "a drug", lot=lot or "not told", expiry=expiry, when=when
        )

    undated = {
        (row.drug or only, row.lot, row.expiry)
        for row in order.given
        if row.ml > 0 and row.expiry and not _day_of(row)
    }
    for drug, lot, expiry in sorted(undated):
        yield codes.EXPIRY_UNCHECKED(
            drug, drug=drug or "a drug", lot=lot or "not told", expiry=expiry
        )


def _day_of(row: GivenRow) -> str:
    """The date of an injection; '' where only the time of the day is known, or nothing."""
    return row.time[: len("YYYY-MM-DD")] if row.time[4:5] == "-" else ""


def _alike_findings(
    order: DoseOrder, gone: Mapping[str, int], present: Collection[str]
) -> Iterator[Finding]:
    """Lesions of the history that a person may take for one of this visit."""
    for alike in alike_ids({*gone, *present}):
        for before in (one for one in alike if one in gone):
            visits = sorted(
                {
                    row.visit
                    for row in order.history or ()
                    if row.lesion_id == before and row.visit < order.visit
                }
            )
            for now in (one for one in alike if one in present):
                yield codes.HISTORY_ID_ALIKE(
                    now, before=before, now=now, visits=", ".join(map(str, visits))
                )


def _date_findings(order: DoseOrder) -> Iterator[Finding]:
    """Dates that do not rise with the visits, what this visit has given so far included.

    One visit may last several days.
    """
    days: dict[int, set[str]] = {}
    for row in order.history or ():
        if row.date:
            days.setdefault(row.visit, set()).add(row.date)
    for given in order.given:
        if _day_of(given):
            days.setdefault(order.visit, set()).add(_day_of(given))
    for visit, later in pairwise(sorted(days)):
        # Dates as ISO 8601 writes them sort as they follow each other.
        last, first = max(days[visit]), min(days[later])
        if last >= first:
            yield codes.HISTORY_DATES_DISORDERED(
                visit=visit, day=last, later_visit=later, later_day=first
            )


def is_past(expiry: str, time: str) -> bool:
    """Whether an expiry (YYYY-MM, to the month's end, or YYYY-MM-DD) lies before a time.

    False where either is absent: then nothing can be said.
    """
    if not expiry or len(time) < len("YYYY-MM-DD"):
        return False
    return time[: len(expiry)] > expiry


def screen_findings(problem: Problem) -> Iterator[Finding]:
    """About each lesion by itself, before any dose."""
    rules = problem.protocol.lesion
    unknown = []
    for alike in alike_ids(one.lesion_id for one in problem.lesions):
        yield codes.IDS_ALIKE(ids=" and ".join(f"'{one}'" for one in alike))
    for i in problem.candidates:
        lesion = problem.lesions[i]
        volume, diameter = lesion.volume_ml, lesion.longest_diameter_mm
        if volume is not None and volume > _USUAL_ML:
            yield codes.VOLUME_UNUSUAL(
                lesion.lesion_id, volume_ml=volume, mm3_ml=plain(ml(volume / 1000))
            )
        if (
            rules.min_volume_ml is not None
            and rules.below_min_volume is Action.WARN
            and volume is not None
            and volume < rules.min_volume_ml
        ):
            yield codes.BELOW_MIN_VOLUME(
                lesion.lesion_id, volume_ml=volume, limit_ml=plain(rules.min_volume_ml)
            )
        if rules.min_diameter_mm is not None:
            if diameter is None:
                unknown.append(lesion.lesion_id)
            elif diameter < rules.min_diameter_mm and rules.below_min_diameter is Action.WARN:
                yield codes.BELOW_MIN_DIAMETER(
                    lesion.lesion_id,
                    diameter_mm=plain(diameter),
                    limit_mm=plain(rules.min_diameter_mm),
                )
        yield from _ellipsoid_findings(lesion)
        low, high = lesion.volume_low_ml, lesion.volume_high_ml
        if volume is not None and (
            (low is not None and low > volume) or (high is not None and high < volume)
        ):
            yield codes.BAND_OFF_VOLUME(
                lesion.lesion_id, low_ml=low, high_ml=high, volume_ml=volume
            )
    if unknown:
        excluding = rules.below_min_diameter is Action.EXCLUDE
        tell = codes.DIAMETER_UNCHECKED if excluding else codes.DIAMETER_UNKNOWN
        yield tell(limit_mm=plain(rules.min_diameter_mm or Decimal(0)), lesions=", ".join(unknown))


#: A lesion above this is unusual enough to ask for the unit, mL [customary setting].
_USUAL_ML = 1000
#: A volume this many times above or below its ellipsoid is far from it [customary setting].
_ELLIPSOID_FACTOR = 2


def _ellipsoid_findings(lesion: DoseLesion) -> Iterator[Finding]:
    volume, ellipsoid = lesion.volume_ml, lesion.ellipsoid_ml
    if volume is None:
        return
    if lesion.from_diameters:
        yield codes.VOLUME_FROM_DIAMETERS(lesion.lesion_id, volume_ml=volume)
    elif ellipsoid is not None and (
        volume > ellipsoid * _ELLIPSOID_FACTOR or volume * _ELLIPSOID_FACTOR < ellipsoid
    ):
        yield codes.VOLUME_OFF_ELLIPSOID(lesion.lesion_id, volume_ml=volume, ellipsoid_ml=ellipsoid)


def lesion_findings(
    problem: Problem,
    solution: Solution,
    drugs: Sequence[DrugAllocation],
    mixture: MixtureAllocation | None,
    excluded: Sequence[Exclusion],
    syringes: Sequence[SyringeLine],
) -> Iterator[Finding]:
    """About the doses: by rising lesion, then by drug."""
    for place, i in enumerate(solution.kept):
        yield from _fraction_findings(problem, i, drugs, place)
        yield from _given_findings(problem, i)
        yield from _dose_findings(problem, i, drugs, mixture, place)
    for exclusion in excluded:
        yield codes.LESION_EXCLUDED(exclusion.lesion_id, message=exclusion.message)
    for drug in drugs:
        if drug.residual_ml >= problem.increment_ml:
            reasons = "; ".join(REASON_NAMES[code] for code in drug.residual_reasons)
            yield codes.DOSE_LEFT_OVER(
                drug.drug,
                drug=drug.drug,
                residual_ml=drug.residual_ml,
                residual_mg=drug.residual_mg,
                reasons=reasons,
            )
        if not problem.protocol.drug(drug.drug).vials:
            yield codes.NO_VIALS(drug.drug, drug=drug.drug)
    if problem.protocol.syringes:
        for line in syringes:
            if not line.fills:
                yield codes.NOT_SHOWABLE(line.lesion_id, ml=line.give_ml, drug=line.drug)


def _fraction_findings(
    problem: Problem, i: int, drugs: Sequence[DrugAllocation], place: int
) -> Iterator[Finding]:
    lesion, rules = problem.lesions[i], problem.protocol.lesion
    total = plain(sum((drug.lesions[place].ml for drug in drugs), Decimal(0)))
    volume = lesion.volume_ml
    if volume is None or total == 0:
        return
    if total > volume:
        yield codes.VOLUME_EXCEEDS_LESION(lesion.lesion_id, ml=total, volume_ml=volume)
    limit = rules.warn_above_fraction
    if limit is not None and total * limit.denominator > volume * limit.numerator:
        yield codes.FRACTION_HIGH(
            lesion.lesion_id,
            ml=total,
            percent=_percent(Fraction(total) / Fraction(volume)),
            volume_ml=volume,
            limit_percent=_percent(limit),
        )


def _given_findings(problem: Problem, i: int) -> Iterator[Finding]:
    lesion = problem.lesions[i]
    given = problem.given.total(lesion.lesion_id)
    if given == 0:
        return
    if not lesion.injectable and given > 0:
        yield codes.GIVEN_TO_EXCLUDED(lesion.lesion_id, given_ml=plain(given), reason=lesion.reason)
    volume = int((lesion.volume_ml or Decimal(0)) * 1000)
    caps = [cap for _, cap in problem.caps_ml(i, volume)]
    for k, amount in enumerate(problem.fixed[i]):
        if amount is not None and problem.given_ml[k][i] > amount:
            caps.append(amount)
    if caps and Fraction(given) > min(caps):
        yield codes.GIVEN_ABOVE_CAP(
            lesion.lesion_id,
            given_ml=plain(given),
            cap_ml=quantize(_decimal(min(caps)), Decimal("0.001")),
        )


def _dose_findings(
    problem: Problem,
    i: int,
    drugs: Sequence[DrugAllocation],
    mixture: MixtureAllocation | None,
    place: int,
) -> Iterator[Finding]:
    lesion, rules = problem.lesions[i], problem.protocol.lesion
    for drug in drugs:
        dose = drug.lesions[place]
        chosen = problem.closed[i] or "fixed_ml" in dose.limits
        if dose.ml == 0 and not chosen and drug.prescribed_ml > 0:
            yield codes.ZERO_SHARE(
                lesion.lesion_id, drug=drug.drug, because=_why_nothing(problem, drug, dose)
            )
    shown = [mixture.lesions[place]] if mixture else [drug.lesions[place] for drug in drugs]
    for dose in shown:
        if dose.ml_low == dose.ml_high:
            continue
        limit = rules.warn_reader_fraction * Fraction(dose.ml)
        low, high = Fraction(dose.ml_low), Fraction(dose.ml_high)
        if Fraction(dose.ml) - low > limit or high - Fraction(dose.ml) > limit:
            yield codes.READER_DEPENDENT(
                lesion.lesion_id,
                ml=dose.ml,
                ml_low=dose.ml_low,
                ml_high=dose.ml_high,
                percent=_percent(rules.warn_reader_fraction),
            )
    smallest = rules.smallest_ml
    fixed = [amount for amount in problem.fixed[i] if amount]
    if smallest is not None and fixed and sum(fixed, Fraction(0)) < Fraction(smallest):
        yield codes.FIXED_BELOW_SMALLEST(
            lesion.lesion_id,
            ml=plain(_decimal(sum(fixed, Fraction(0)))),
            smallest_ml=plain(smallest),
        )


def _why_nothing(problem: Problem, drug: DrugAllocation, dose: LesionDose) -> str:
    if dose.limits:
        return "a limit of the lesion leaves no whole step for it"
    given = sum((one.given_ml or Decimal(0) for one in drug.lesions), Decimal(0))
    if given and drug.prescribed_ml - given < problem.increment_ml:
        return "what is prescribed has been given"
    if problem.protocol.split is SplitRule.SIZE_TABLE:
        return "nothing was left when its place in the size table came"
    return f"its share of the dose is below one step of {plain(problem.increment_ml)} mL"


def _percent(part: Fraction) -> Decimal:
    return quantize(_decimal(part * 100), Decimal("0.1"))


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
