"""The dose of a visit, split over the lesions: from order to allocation, exactly.

The rules are those of the document ``irplan.allocation/1``; the arithmetic is in
:mod:`irplan.dose.problem` and :mod:`irplan.dose.split`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

from irplan.dose import explain
from irplan.dose.allocation import (
    MIXTURE,
    Allocation,
    DrugAllocation,
    Exclusion,
    LesionDose,
    MixtureAllocation,
)
from irplan.dose.checks import lesion_findings, order_findings, screen_findings
from irplan.dose.lesion_table import DoseLesion, check_lesion, refuse_twice
from irplan.dose.liquids import Liquid, given_so_far, liquids_of
from irplan.dose.order import DoseOrder, Prescription, body_surface_m2, prescribe
from irplan.dose.problem import LiquidSolution, Problem, Solution
from irplan.dose.protocol import DoseRule, Protocol, SplitRule
from irplan.dose.syringes import SyringeLine, VialLine, syringe_line, vial_line
from irplan.errors import InputRefused
from irplan.findings import Finding
from irplan.units import EXACT, plain, share

#: A volume's band never reaches down to nothing: 0.001 mL is the smallest volume there is.
_SMALLEST_VOLUME = 1


def allocate(lesions: Sequence[DoseLesion], protocol: Protocol, order: DoseOrder) -> Allocation:
    """Split the visit's dose over the lesions. The order of ``lesions`` changes nothing.

    Raises:
        InputRefused: a lesion, weight, bound or given amount is not possible.
        CallError: a rule needs a number that was not given, or names an unknown drug.
    """
    with localcontext(EXACT):
        return _Allocating(lesions, protocol, order).allocation()


def prepare(
    lesions: Sequence[DoseLesion], protocol: Protocol, order: DoseOrder
) -> tuple[Problem, tuple[Prescription, ...], tuple[Finding, ...]]:
    """The checked problem of a visit, its prescriptions, and the order's findings.

    Call it under the context :data:`irplan.units.EXACT`.

    Raises:
        InputRefused, CallError: as :func:`allocate`.
    """
    ordered = tuple(sorted(lesions, key=lambda one: one.lesion_id))
    for lesion in ordered:
        check_lesion(lesion, lesion.named)
    refuse_twice(ordered, "lesions")
    prescriptions, findings = prescribe(protocol, order)
    liquids = liquids_of(protocol, prescriptions)
    given = given_so_far(liquids, ordered, order)
    before = frozenset(row.lesion_id for row in order.history or () if row.visit < order.visit)
    increment = order.increment_ml or protocol.preparation.increment_ml
    problem = Problem(ordered, protocol, liquids, increment, given, before)
    for i in problem.candidates:
        if ordered[i].volume_ml is None:
            raise InputRefused(
                "volume_missing",
                f"{ordered[i].named}: its volume is not known",
                "give volume_ml or three diameters, or set injectable to no with a reason",
            )
    if protocol.split is SplitRule.BY_HAND:
        for i in problem.candidates:
            if not problem.closed[i] and any(amount is None for amount in problem.fixed[i]):
                raise InputRefused(
                    "fixed_missing",
                    f"{ordered[i].named}: the protocol splits by hand and no fixed_ml is given",
                    "give fixed_ml with a reason, or set injectable to no",
                )
    return problem, prescriptions, findings


def volumes_of(lesions: Sequence[DoseLesion]) -> list[int]:
    """The lesions' volumes in 0.001 mL; 1 where unknown (such a lesion is never split over)."""
    return [
        max(microlitres(lesion.volume_ml or Decimal(0)), _SMALLEST_VOLUME) for lesion in lesions
    ]


def microlitres(volume_ml: Decimal) -> int:
    """A volume rounded to 0.001 mL, in 0.001 mL."""
    return int((volume_ml * 1000).to_integral_value())


def bands_of(lesions: Sequence[DoseLesion], volumes: Sequence[int]) -> list[tuple[int, int]]:
    """Low and high volume of each lesion in 0.001 mL, holding its volume."""
    bands = []
    for lesion, volume in zip(lesions, volumes, strict=True):
        low, high = lesion.volume_low_ml, lesion.volume_high_ml
        bands.append(
            (
                volume if low is None else min(volume, max(microlitres(low), _SMALLEST_VOLUME)),
                volume if high is None else max(volume, microlitres(high)),
            )
        )
    return bands


class _Allocating:
    """The steps of one allocation, in their order."""

    def __init__(self, lesions: Sequence[DoseLesion], protocol: Protocol, order: DoseOrder) -> None:
        self.protocol = protocol
        self.order = order
        self.problem, self.prescriptions, self.findings = prepare(lesions, protocol, order)
        self.lesions = self.problem.lesions
        self.volumes = volumes_of(self.lesions)
        for lesion, volume in zip(self.lesions, self.volumes, strict=True):
            if lesion.volume_ml is not None and microlitres(lesion.volume_ml) != volume:
                raise InputRefused(
                    "zero",
                    f"{lesion.named}: volume_ml: {lesion.volume_ml} is zero to 0.001 mL",
                )
        self.solution = self.problem.solve(self.volumes, strict=True)
        self.bands = self._bands()

    def allocation(self) -> Allocation:
        problem = self.problem
        by_liquid = [
            self._lesion_doses(k, liquid, solved)
            for k, (liquid, solved) in enumerate(
                zip(problem.liquids, self.solution.liquids, strict=True)
            )
        ]
        reasons = [self._residual_reasons(solved) for solved in self.solution.liquids]
        mixture: MixtureAllocation | None = None
        if problem.liquids[0].name == MIXTURE:
            mixture = self._mixture(by_liquid[0], reasons[0])
            drugs = tuple(
                self._drug_of_mixture(one, part, by_liquid[0], reasons[0])
                for one, (_, part) in zip(self.prescriptions, problem.liquids[0].parts, strict=True)
            )
        else:
            drugs = tuple(
                self._drug(one, Decimal(1), doses, why, solved.left)
                for one, doses, why, solved in zip(
                    self.prescriptions, by_liquid, reasons, self.solution.liquids, strict=True
                )
            )
        excluded = self._excluded()
        syringes = self._syringes(by_liquid)
        findings = (
            *self.findings,
            *order_findings(self.protocol, self.order, self.lesions),
            *screen_findings(problem),
            *lesion_findings(problem, self.solution, drugs, mixture, excluded, syringes),
        )
        weight, height = self.order.weight_kg, self.order.height_cm
        by_surface = any(drug.rule is DoseRule.PER_M2 for drug in self.protocol.drugs)
        surface = (
            body_surface_m2(height, weight)
            if by_surface and weight is not None and height is not None
            else None
        )
        return Allocation(
            protocol=self.protocol,
            weight_kg=weight,
            height_cm=height,
            body_surface_m2=surface,
            visit=self.order.visit,
            increment_ml=plain(problem.increment_ml),
            drugs=drugs,
            mixture=mixture,
            excluded=excluded,
            syringes=syringes,
            vials=self._vials(drugs, syringes),
            findings=findings,
        )

    # Doses ---------------------------------------------------------------------------------

    def _ml(self, k: int, i: int, increments: int) -> Decimal:
        got = self.problem.given.ml[k].get(self.lesions[i].lesion_id, Decimal(0))
        return got + increments * self.problem.increment_ml

    def _bands(self) -> dict[tuple[int, int], tuple[Decimal, Decimal]]:
        """(liquid, lesion) → lowest and highest dose over the volumes' bands.

        Lowest: the lesion's own low volume with every other at its high; highest: the reverse;
        both widened to hold the dose itself.
        """
        bands = bands_of(self.lesions, self.volumes)
        doses = {
            (k, i): self._ml(k, i, amount)
            for k, solved in enumerate(self.solution.liquids)
            for i, amount in zip(self.solution.kept, solved.increments, strict=True)
        }
        if all(low == high for low, high in bands):
            return {key: (dose, dose) for key, dose in doses.items()}
        result: dict[tuple[int, int], tuple[Decimal, Decimal]] = {}
        for i in self.solution.kept:
            own_low = [low if j == i else high for j, (low, high) in enumerate(bands)]
            own_high = [high if j == i else low for j, (low, high) in enumerate(bands)]
            lowest = self._doses_at(i, own_low)
            highest = self._doses_at(i, own_high)
            for k in range(len(self.problem.liquids)):
                dose = doses[k, i]
                ends = (dose, lowest[k], highest[k])
                result[k, i] = (min(ends), max(ends))
        return result

    def _doses_at(self, i: int, volumes: Sequence[int]) -> list[Decimal]:
        """What lesion ``i`` would get of each liquid if the volumes were these."""
        solution = self.problem.solve(volumes, strict=False)
        if i not in solution.kept:
            return [Decimal(0)] * len(self.problem.liquids)
        place = solution.kept.index(i)
        return [
            self._ml(k, i, solved.increments[place]) for k, solved in enumerate(solution.liquids)
        ]

    def _lesion_doses(
        self, k: int, liquid: Liquid, solved: LiquidSolution
    ) -> tuple[LesionDose, ...]:
        weights = sum(solved.weights)
        # What is split: whole steps, and what was given already.
        handed_out = sum(self.problem.given.ml[k].values(), Decimal(0))
        handed_out += self.problem.handout[k] * self.problem.increment_ml
        bound = any(solved.limits)
        doses = []
        for place, i in enumerate(self.solution.kept):
            lesion = self.lesions[i]
            ml = plain(self._ml(k, i, solved.increments[place]))
            got = self.problem.given.ml[k].get(lesion.lesion_id, Decimal(0))
            part = share(Decimal(solved.weights[place]) / weights) if weights else Decimal(0)
            told = self.problem.given.any
            english, french = explain.why(
                explain.Told(
                    lesion_id=lesion.lesion_id,
                    liquid=liquid.name,
                    split=self.protocol.split,
                    share=part,
                    total_ml=handed_out,
                    real_ml=solved.real_ml(place),
                    ml=ml,
                    increment_ml=self.problem.increment_ml,
                    limits=solved.limits[place],
                    given_ml=got if told else None,
                    reason=self.problem.given.closed.get(lesion.lesion_id, "") or lesion.reason,
                    others_bound=bound,
                )
            )
            low, high = self.bands[k, i]
            doses.append(
                LesionDose(
                    lesion_id=lesion.lesion_id,
                    volume_ml=Decimal(self.volumes[i]).scaleb(-3),
                    share=part,
                    ml=ml,
                    ml_low=plain(low),
                    ml_high=plain(high),
                    mg=None if liquid.name == MIXTURE else self._mg(k, ml),
                    limits=solved.limits[place],
                    why=english,
                    why_fr=french,
                    given_ml=plain(got) if told else None,
                    remaining_ml=plain(ml - got) if told else None,
                )
            )
        return tuple(doses)

    def _mg(self, k: int, ml: Decimal) -> Decimal:
        return plain(ml * self.prescriptions[k].drug.concentration_mg_per_ml)

    # Drugs and mixture ---------------------------------------------------------------------

    def _residual_reasons(self, solved: LiquidSolution) -> tuple[str, ...]:
        """Why whole increments of a liquid are left over."""
        if not solved.left:
            return ()
        if not self.solution.kept:
            return ("no_lesion",)
        found = {code for limits in solved.limits for code in limits}
        return tuple(code for code in explain.REASON_NAMES if code in found)

    def _drug(
        self,
        one: Prescription,
        part: Decimal,
        doses: tuple[LesionDose, ...],
        reasons: tuple[str, ...],
        left: int,
    ) -> DrugAllocation:
        allocated_ml = plain(sum((dose.ml for dose in doses), Decimal(0)))
        allocated_mg = plain(allocated_ml * one.drug.concentration_mg_per_ml)
        residual_ml = plain(one.prescribed_ml - allocated_ml)
        # What is left beyond the whole increments that no lesion could take.
        step = self.problem.increment_ml
        rest = residual_ml - left * step * part
        named = list(reasons)
        if rest >= step:
            named.append("mixture_ratio")
        elif rest > 0 or (residual_ml < step and one.prescribed_mg > allocated_mg):
            named.append("rounding")
        return DrugAllocation(
            drug=one.drug.name,
            concentration_mg_per_ml=plain(one.drug.concentration_mg_per_ml),
            ordered_mg=one.ordered_mg,
            caps=one.caps,
            prescribed_mg=plain(one.prescribed_mg),
            prescribed_ml=one.prescribed_ml,
            allocated_mg=allocated_mg,
            allocated_ml=allocated_ml,
            residual_mg=plain(one.prescribed_mg - allocated_mg),
            residual_ml=residual_ml,
            residual_reasons=tuple(named),
            lesions=doses,
            given_before_mg=plain(one.given_before_mg),
        )

    def _mixture(
        self, doses: tuple[LesionDose, ...], reasons: tuple[str, ...]
    ) -> MixtureAllocation:
        liquid = self.problem.liquids[0]
        prescribed = plain(_down(liquid.prescribed_ml))
        allocated = plain(sum((dose.ml for dose in doses), Decimal(0)))
        residual = plain(prescribed - allocated)
        left = self.solution.liquids[0].left * self.problem.increment_ml
        named = (*reasons, "rounding") if residual > left else reasons
        return MixtureAllocation(liquid.parts, prescribed, allocated, residual, named, doses)

    def _drug_of_mixture(
        self,
        one: Prescription,
        part: Decimal,
        doses: tuple[LesionDose, ...],
        reasons: tuple[str, ...],
    ) -> DrugAllocation:
        concentration = one.drug.concentration_mg_per_ml
        own = tuple(
            LesionDose(
                lesion_id=dose.lesion_id,
                volume_ml=dose.volume_ml,
                share=dose.share,
                ml=plain(dose.ml * part),
                ml_low=plain(dose.ml_low * part),
                ml_high=plain(dose.ml_high * part),
                mg=plain(dose.ml * part * concentration),
                limits=dose.limits,
                why=dose.why,
                why_fr=dose.why_fr,
                given_ml=None if dose.given_ml is None else plain(dose.given_ml * part),
                remaining_ml=None if dose.remaining_ml is None else plain(dose.remaining_ml * part),
            )
            for dose in doses
        )
        return self._drug(one, part, own, reasons, self.solution.liquids[0].left)

    # The rest ------------------------------------------------------------------------------

    def _excluded(self) -> tuple[Exclusion, ...]:
        rules = self.protocol.lesion
        limits = {
            "below_min_volume": rules.min_volume_ml,
            "below_min_diameter": rules.min_diameter_mm,
            "too_many_lesions": self.protocol.max_lesions,
            "share_too_small": rules.smallest_ml,
        }
        made = []
        for i, code in self.solution.excluded:
            lesion = self.lesions[i]
            message = explain.EXCLUSION_MESSAGES[code].format(
                reason=lesion.reason,
                volume_ml=lesion.volume_ml,
                diameter_mm=lesion.longest_diameter_mm,
                limit=limits.get(code),
            )
            made.append(Exclusion(lesion.lesion_id, code, message))
        return tuple(sorted(made, key=lambda one: one.lesion_id))

    def _syringes(self, by_liquid: Sequence[Sequence[LesionDose]]) -> tuple[SyringeLine, ...]:
        lines = []
        for liquid, doses in zip(self.problem.liquids, by_liquid, strict=True):
            for dose in doses:
                ml = dose.ml if dose.remaining_ml is None else dose.remaining_ml
                if ml <= 0:
                    continue
                masses = tuple(
                    (drug, plain(ml * part * self.protocol.drug(drug).concentration_mg_per_ml))
                    for drug, part in liquid.parts
                )
                lines.append(syringe_line(dose.lesion_id, liquid.name, ml, masses, self.protocol))
        return tuple(lines)

    def _vials(
        self, drugs: Sequence[DrugAllocation], syringes: Sequence[SyringeLine]
    ) -> tuple[VialLine, ...]:
        parts = {
            drug: (liquid.name, part)
            for liquid in self.problem.liquids
            for drug, part in liquid.parts
        }
        lines = []
        for one in drugs:
            name, part = parts[one.drug]
            # What was given already came from vials too.
            given = sum((dose.given_ml or Decimal(0) for dose in one.lesions), Decimal(0))
            drawn = sum((line.draw_ml for line in syringes if line.drug == name), Decimal(0)) * part
            if drawn + given > 0:
                drug = self.protocol.drug(one.drug)
                lines.append(vial_line(drug, one.allocated_ml, drawn + given))
        return tuple(lines)


def _down(value: Fraction) -> Decimal:
    """A volume rounded down to 6 decimals."""
    millionths = value * 1_000_000
    return Decimal(millionths.numerator // millionths.denominator).scaleb(-6)


def _decimal(value: Fraction) -> Decimal:
    return plain(_down(value))


__all__ = ["Solution", "allocate", "prepare"]
