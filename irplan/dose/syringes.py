"""The syringe sheet: which syringes show a dose, what to draw, which vials to open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import combinations_with_replacement
from math import gcd, lcm
from typing import Any

from irplan.dose.protocol import Drug, Protocol, Syringe
from irplan.units import decimal_text, plain

#: No dose is made up from more syringes than this, whole ones of the largest size left aside.
_MOST = 4


@dataclass(frozen=True)
class Fill:
    """One syringe of a dose.

    ``draw_ml`` is read on the scale when drawing, ``give_ml`` is what leaves it into the lesion;
    the difference fills needle and hub. A syringe that gives nothing only primes.
    """

    size_ml: Decimal
    graduation_ml: Decimal
    draw_ml: Decimal
    give_ml: Decimal

    def document(self) -> dict[str, Any]:
        """The fill as it stands in a document."""
        return {
            "syringe_ml": plain(self.size_ml),
            "graduation_ml": plain(self.graduation_ml),
            "draw_ml": plain(self.draw_ml),
            "give_ml": plain(self.give_ml),
        }


@dataclass(frozen=True)
class SyringeLine:
    """One dose of one lesion on the sheet.

    Attributes:
        drug: the drug, or ``mixture``.
        give_ml, draw_ml: to the lesion, and from the vial with the dead space.
        mg: (drug, mg) in what is given.
        fills: () where no syringe of the protocol shows the dose.
        label, label_fr: text of the syringe's label; lot and expiry are filled in by hand.
    """

    lesion_id: str
    drug: str
    give_ml: Decimal
    dead_space_ml: Decimal
    draw_ml: Decimal
    mg: tuple[tuple[str, Decimal], ...]
    fills: tuple[Fill, ...]
    label: str
    label_fr: str

    def document(self) -> dict[str, Any]:
        """The line as it stands in a document, with the fields that are filled in by hand."""
        return {
            "lesion_id": self.lesion_id,
            "drug": self.drug,
            "give_ml": self.give_ml,
            "dead_space_ml": self.dead_space_ml,
            "draw_ml": self.draw_ml,
            "mg": dict(self.mg),
            "syringes": [fill.document() for fill in self.fills],
            "label": self.label,
            "label_fr": self.label_fr,
            "lot": "",
            "expiry": "",
        }


@dataclass(frozen=True)
class VialLine:
    """The vials of one drug for the visit, and what of them is lost.

    Attributes:
        given_ml: to the lesions; drawn_ml: with the dead space of every needle.
        counts: (mg, mL, number) of each size of vial.
        waste_ml, waste_mg: what is in the vials and not given to a lesion.
    """

    drug: str
    given_ml: Decimal
    drawn_ml: Decimal
    counts: tuple[tuple[Decimal, Decimal, int], ...]
    waste_ml: Decimal
    waste_mg: Decimal
    use_within_hours: Decimal | None

    def document(self) -> dict[str, Any]:
        """The line as it stands in a document, with the fields that are filled in by hand."""
        return {
            "drug": self.drug,
            "given_ml": self.given_ml,
            "drawn_ml": self.drawn_ml,
            "vials": [
                {"mg": plain(mg), "ml": plain(ml), "count": count} for mg, ml, count in self.counts
            ],
            "waste_ml": self.waste_ml,
            "waste_mg": self.waste_mg,
            "use_within_hours": self.use_within_hours,
            "lot": "",
            "expiry": "",
        }


@lru_cache(maxsize=65536)
def make_up(ml: Decimal, syringes: tuple[Syringe, ...]) -> tuple[tuple[Syringe, Decimal], ...]:
    """The syringes whose graduations together show exactly ``ml``, the coarsest first.

    Fewest syringes; then the smallest in all; then as much as possible in the coarser ones, so
    that 3.47 mL is 3.0 in a 3 mL and 0.47 in a 1 mL. () where none show it.
    """
    if not syringes or ml <= 0:
        return ()
    steps = [Fraction(one.graduation_ml) for one in syringes]
    common = Fraction(gcd(*(s.numerator for s in steps)), lcm(*(s.denominator for s in steps)))
    if (Fraction(ml) / common).denominator != 1:
        return ()
    largest = max(syringes, key=lambda one: one.size_ml)
    whole: list[tuple[Syringe, Decimal]] = []
    left = ml
    # A dose far beyond the largest syringe starts with full ones of it.
    while left > largest.size_ml * 2:
        whole.append((largest, largest.size_ml))
        left -= largest.size_ml
    sizes = sorted(syringes, key=lambda one: (-one.graduation_ml, -one.size_ml))
    for count in range(1, _MOST + 1):
        sets = combinations_with_replacement(sizes, count)
        fitting = [chosen for chosen in sets if sum(one.size_ml for one in chosen) >= left]
        for chosen in sorted(fitting, key=lambda one: sum(syringe.size_ml for syringe in one)):
            amounts = _amounts(left, chosen)
            if amounts is not None:
                return (*whole, *zip(chosen, amounts, strict=True))
    return ()


def _amounts(ml: Decimal, chosen: Sequence[Syringe]) -> tuple[Decimal, ...] | None:
    """Graduated amounts above zero that add up to ``ml``, the most in the first; None if none."""
    first, rest = chosen[0], chosen[1:]
    step = first.graduation_ml
    if not rest:
        return (ml,) if 0 < ml <= first.size_ml and ml % step == 0 else None
    amount = min(first.size_ml, ml) // step * step
    room = sum((one.size_ml for one in rest), Decimal(0))
    while amount > 0 and ml - amount <= room:
        others = _amounts(ml - amount, rest) if amount < ml else None
        if others is not None:
            return (amount, *others)
        amount -= step
    return None


def fills(
    ml: Decimal, extra_ml: Decimal, syringes: tuple[Syringe, ...]
) -> tuple[tuple[Fill, ...], Decimal]:
    """The syringes of one dose with the dead space, and the whole volume drawn.

    The dead space is rounded up to the finest graduation. It is drawn into the finest syringe of
    the dose that has room and shows it, else into one more syringe, which only primes the needle.
    Nothing is returned where no syringe shows the dose.
    """
    parts = make_up(ml, syringes)
    if not parts:
        return (), ml + extra_ml
    finest = min(syringes, key=lambda one: (one.graduation_ml, one.size_ml))
    step = finest.graduation_ml
    extra = (extra_ml / step).to_integral_value(ROUND_CEILING) * step
    made = [Fill(one.size_ml, one.graduation_ml, amount, amount) for one, amount in parts]
    if extra == 0:
        return tuple(made), ml
    for i in sorted(range(len(made)), key=lambda i: made[i].graduation_ml):
        one = made[i]
        if one.draw_ml + extra <= one.size_ml and (one.draw_ml + extra) % one.graduation_ml == 0:
            made[i] = Fill(one.size_ml, one.graduation_ml, one.draw_ml + extra, one.give_ml)
            return tuple(made), ml + extra
    if extra > finest.size_ml:
        return (), ml + extra
    made.append(Fill(finest.size_ml, finest.graduation_ml, extra, Decimal(0)))
    return tuple(made), ml + extra


def syringe_line(
    lesion_id: str,
    drug: str,
    ml: Decimal,
    mg: tuple[tuple[str, Decimal], ...],
    protocol: Protocol,
) -> SyringeLine:
    """The line of one dose above zero."""
    made, drawn = fills(ml, protocol.preparation.extra_ml, protocol.syringes)
    masses = ", ".join(f"{name} {decimal_text(mass)} mg" for name, mass in mg)
    masses_fr = ", ".join(f"{name} {decimal_text(mass).replace('.', ',')} mg" for name, mass in mg)
    volume = decimal_text(ml)
    return SyringeLine(
        lesion_id=lesion_id,
        drug=drug,
        give_ml=ml,
        dead_space_ml=plain(drawn - ml),
        draw_ml=plain(drawn),
        mg=mg,
        fills=made,
        label=f"{lesion_id}: {masses} = {volume} mL, INTRATUMORAL",
        label_fr=f"{lesion_id} : {masses_fr} = {volume.replace('.', ',')} mL, voie INTRATUMORALE",
    )


def vial_line(drug: Drug, given_ml: Decimal, drawn_ml: Decimal) -> VialLine:
    """The vials that hold ``drawn_ml`` with the least waste, then the fewest vials."""
    counts = _vials(tuple((vial.ml, vial.mg) for vial in drug.vials), drawn_ml)
    held = sum((ml * count for ml, _, count in counts), Decimal(0))
    waste = held - given_ml if counts else drawn_ml - given_ml
    return VialLine(
        drug=drug.name,
        given_ml=given_ml,
        drawn_ml=plain(drawn_ml),
        counts=tuple((mg, ml, count) for ml, mg, count in counts if count),
        waste_ml=plain(waste),
        waste_mg=plain(waste * drug.concentration_mg_per_ml),
        use_within_hours=drug.use_within_hours,
    )


@lru_cache(maxsize=4096)
def _vials(
    sizes: tuple[tuple[Decimal, Decimal], ...], needed_ml: Decimal
) -> tuple[tuple[Decimal, Decimal, int], ...]:
    if not sizes or needed_ml <= 0:
        return ()
    best: tuple[Decimal, int, tuple[int, ...]] | None = None
    ordered = sorted(sizes, reverse=True)

    def search(position: int, left: Decimal, counts: tuple[int, ...]) -> None:
        nonlocal best
        size = ordered[position][0]
        most = max(0, int((left / size).to_integral_value(ROUND_CEILING)))
        if position == len(ordered) - 1:
            full = (*counts, most)
            held = sum((one[0] * n for one, n in zip(ordered, full, strict=True)), Decimal(0))
            candidate = (held, sum(full), full)
            if best is None or candidate < best:
                best = candidate
            return
        for count in range(most + 1):
            search(position + 1, left - size * count, (*counts, count))

    search(0, needed_ml, ())
    if best is None:
        return ()
    return tuple((ml, mg, n) for (ml, mg), n in zip(ordered, best[2], strict=True))
