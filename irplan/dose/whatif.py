"""What if: a lesion left out, an amount fixed by hand, another split rule; and which volume would
change a lesion's dose.

All of it goes through the same allocation; nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import Any

from irplan.dose.allocate import allocate, prepare, volumes_of
from irplan.dose.allocation import Allocation
from irplan.dose.lesion_table import DoseLesion
from irplan.dose.order import DoseOrder
from irplan.dose.problem import Problem
from irplan.dose.protocol import Protocol, SplitRule
from irplan.dose.split import At
from irplan.errors import CallError, InputRefused
from irplan.units import EXACT

#: Volumes are searched up to here, 0.001 mL: ten litres, larger than any lesion.
_LARGEST = 10_000_000
COMPARED = (SplitRule.VOLUME, SplitRule.EQUAL, SplitRule.DIAMETER, SplitRule.SURFACE)


def leave_out(
    lesions: Sequence[DoseLesion],
    protocol: Protocol,
    order: DoseOrder,
    lesion_id: str,
    reason: str = "left out to compare",
) -> Allocation:
    """The allocation without one lesion.

    Raises:
        CallError: there is no such lesion. InputRefused: as :func:`allocate`.
    """
    return allocate(
        _changed(
            lesions,
            lesion_id,
            injectable=False,
            reason=reason,
            min_ml=None,
            fixed_ml=(),
        ),
        protocol,
        order,
    )


def fix_by_hand(
    lesions: Sequence[DoseLesion],
    protocol: Protocol,
    order: DoseOrder,
    lesion_id: str,
    fixed_ml: tuple[tuple[str, Decimal], ...],
    reason: str,
) -> Allocation:
    """The allocation with one lesion fixed by hand at (drug, mL); '' is the only drug.

    Raises:
        CallError: there is no such lesion. InputRefused: as :func:`allocate`.
    """
    changed = _changed(lesions, lesion_id, fixed_ml=fixed_ml, reason=reason)
    return allocate(changed, protocol, order)


def _changed(
    lesions: Sequence[DoseLesion], lesion_id: str, **fields: Any
) -> tuple[DoseLesion, ...]:
    if lesion_id not in {lesion.lesion_id for lesion in lesions}:
        raise CallError("no_such_lesion", f"there is no lesion '{lesion_id}'")
    return tuple(
        replace(lesion, **fields) if lesion.lesion_id == lesion_id else lesion for lesion in lesions
    )


@dataclass(frozen=True)
class SplitComparison:
    """One split rule beside the others; ``refused`` says why there is no allocation."""

    rule: SplitRule
    allocation: Allocation | None
    refused: str = ""


def compare_splits(
    lesions: Sequence[DoseLesion],
    protocol: Protocol,
    order: DoseOrder,
    rules: Sequence[SplitRule] = COMPARED,
) -> tuple[SplitComparison, ...]:
    """The same dose under several split rules, side by side; the limits of the protocol stay."""
    compared = []
    for rule in rules:
        try:
            other = allocate(lesions, replace(protocol, split=rule), order)
        except (InputRefused, CallError) as error:
            compared.append(SplitComparison(rule, None, str(error)))
        else:
            compared.append(SplitComparison(rule, other))
    return tuple(compared)


@dataclass(frozen=True)
class TurningPoints:
    """The volumes of one lesion, all others staying, at which its dose turns. mL; None is never.

    Attributes:
        ml: the dose of all drugs together at the lesion's own volume; 0 where it is excluded.
        one_step_less_ml: the largest volume at which it gets at least one step less.
        one_step_more_ml: the smallest volume at which it gets at least one step more.
        excluded_up_to_ml: the largest volume at which it is not injected.
        limited_from_ml: the smallest volume from which a limit keeps its dose from rising.
    """

    lesion_id: str
    ml: Decimal
    one_step_less_ml: Decimal | None
    one_step_more_ml: Decimal | None
    excluded_up_to_ml: Decimal | None
    limited_from_ml: Decimal | None

    def document(self) -> dict[str, Any]:
        """The turning points as document data."""
        return {
            "lesion_id": self.lesion_id,
            "ml": self.ml,
            "one_step_less_ml": self.one_step_less_ml,
            "one_step_more_ml": self.one_step_more_ml,
            "excluded_up_to_ml": self.excluded_up_to_ml,
            "limited_from_ml": self.limited_from_ml,
        }


def turning_points(
    lesions: Sequence[DoseLesion], protocol: Protocol, order: DoseOrder
) -> tuple[TurningPoints, ...]:
    """The turning points of every lesion that may be injected, by rising id.

    A larger volume never lowers a lesion's dose, so each point is found by halving.

    Raises:
        InputRefused, CallError: as :func:`allocate`.
    """
    with localcontext(EXACT):
        problem, _, _ = prepare(lesions, protocol, order)
        volumes = volumes_of(problem.lesions)
        problem.solve(volumes, strict=True)
        return tuple(_points(problem, volumes, i) for i in problem.candidates)


@dataclass(frozen=True)
class _At:
    """A lesion's fate at one volume: whole steps of all liquids, kept or not, limited or not."""

    steps: int
    kept: bool
    limited: bool


def _points(problem: Problem, volumes: Sequence[int], i: int) -> TurningPoints:
    known: dict[int, _At] = {}

    def at(volume: int) -> _At:
        if volume not in known:
            known[volume] = _fate(problem, [*volumes[:i], volume, *volumes[i + 1 :]], i)
        return known[volume]

    now = at(volumes[i])
    given = sum((amounts[i] for amounts in problem.given_ml), start=problem.increment * 0)
    dose = Decimal(now.steps) * problem.increment_ml
    dose += Decimal(given.numerator) / Decimal(given.denominator)
    # With a limit that is a part of the volume, a larger lesion may leave its limit again.
    fixed_limits = problem.protocol.lesion.max_fraction is None
    return TurningPoints(
        lesion_id=problem.lesions[i].lesion_id,
        ml=dose if now.kept else Decimal(0),
        one_step_less_ml=_last(lambda volume: at(volume).steps < now.steps),
        one_step_more_ml=_first(lambda volume: at(volume).steps > now.steps),
        excluded_up_to_ml=_last(lambda volume: not at(volume).kept),
        limited_from_ml=_first(lambda volume: at(volume).limited) if fixed_limits else None,
    )


def _fate(problem: Problem, volumes: Sequence[int], i: int) -> _At:
    solution = problem.solve(volumes, strict=False)
    if i not in solution.kept:
        return _At(0, False, False)
    place = solution.kept.index(i)
    steps = sum(one.increments[place] for one in solution.liquids)
    limited = any(one.at[place] is At.HIGH and one.limits[place] for one in solution.liquids)
    return _At(steps, True, limited)


def _first(holds: Callable[[int], bool]) -> Decimal | None:
    """The smallest volume from which ``holds`` is true, or None; it never turns false again."""
    if not holds(_LARGEST):
        return None
    low, high = 1, _LARGEST
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return Decimal(low).scaleb(-3)


def _last(holds: Callable[[int], bool]) -> Decimal | None:
    """The largest volume up to which ``holds`` is true, or None; it never turns true again."""
    first = _first(lambda volume: not holds(volume))
    if first is None or first == Decimal("0.001"):
        return None
    return first - Decimal("0.001")
