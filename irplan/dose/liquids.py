"""What is split: each drug by itself, or the mixture of all; and what was given of it already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from irplan.dose.allocation import MIXTURE
from irplan.dose.lesion_table import DoseLesion
from irplan.dose.order import DoseOrder, Prescription
from irplan.dose.protocol import Combination, Protocol
from irplan.errors import InputRefused
from irplan.units import plain


@dataclass(frozen=True)
class Liquid:
    """One thing that is drawn and split in whole increments.

    Attributes:
        name: the drug, or ``mixture``.
        prescribed_ml: exact.
        parts: (drug, part of each mL), adding up to one; exact finite decimals.
    """

    name: str
    prescribed_ml: Fraction
    parts: tuple[tuple[str, Decimal], ...]


def liquids_of(protocol: Protocol, prescriptions: Sequence[Prescription]) -> tuple[Liquid, ...]:
    """The liquids of a visit.

    A mixture takes the protocol's ratio of mL, or that of the prescribed volumes. Where the
    protocol's ratio does not fit the prescribed volumes, the drug that runs out first sets the
    volume of the mixture, and the rest of the others is left over.

    Raises:
        InputRefused: the ratio is no finite decimal.
    """
    if protocol.combination is Combination.SEPARATE:
        return tuple(
            Liquid(one.drug.name, Fraction(one.prescribed_ml), ((one.drug.name, Decimal(1)),))
            for one in prescriptions
        )
    volumes = {one.drug.name: Fraction(one.prescribed_ml) for one in prescriptions}
    ratio = {drug: Fraction(part) for drug, part in protocol.ratio} or volumes
    whole = sum(ratio.values(), Fraction(0))
    if whole == 0:
        parts = tuple((drug, Decimal(0)) for drug in volumes)
        return (Liquid(MIXTURE, Fraction(0), parts),)
    fractions = {drug: ratio[drug] / whole for drug in volumes}
    prescribed = min(volumes[drug] / part for drug, part in fractions.items() if part)
    parts = tuple((drug, finite(part, drug)) for drug, part in fractions.items())
    return (Liquid(MIXTURE, prescribed, parts),)


def finite(part: Fraction, drug: str) -> Decimal:
    """A fraction as an exact decimal.

    Raises:
        InputRefused: it has none.
    """
    rest = part.denominator
    places = 0
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest //= prime
            power += 1
        places = max(places, power)
    if rest != 1:
        raise InputRefused(
            "ratio_not_finite",
            f"{drug} is {part.numerator}/{part.denominator} of the mixture, which no finite "
            "decimal says",
            "choose a ratio such as 5:3 or 1:1, or give the drugs separately",
        )
    return plain(Decimal(part.numerator * 10**places // part.denominator).scaleb(-places))


@dataclass(frozen=True)
class GivenSoFar:
    """What this visit has given: mL by liquid and lesion, and which lesions get no more."""

    ml: tuple[Mapping[str, Decimal], ...]
    closed: Mapping[str, str]
    any: bool

    def total(self, lesion_id: str) -> Decimal:
        """mL of all liquids that the lesion got."""
        return sum((by_lesion.get(lesion_id, Decimal(0)) for by_lesion in self.ml), Decimal(0))


def given_so_far(
    liquids: Sequence[Liquid], lesions: Sequence[DoseLesion], order: DoseOrder
) -> GivenSoFar:
    """What the rows of ``order.given`` add up to.

    Raises:
        InputRefused: a lesion or drug is unknown, more was given than is prescribed, or drugs of
            a mixture were not given in its ratio.
    """
    known = {lesion.lesion_id for lesion in lesions}
    drugs = [drug for liquid in liquids for drug, _ in liquid.parts]
    by_drug: dict[str, dict[str, Decimal]] = {name: {} for name in (*drugs, MIXTURE)}
    closed: dict[str, str] = {}
    for row in order.given:
        if row.lesion_id not in known:
            raise InputRefused(
                "given_unknown_lesion",
                f"{row.where}: {row.ml} mL went to '{row.lesion_id}', not one of the lesions",
                "name the lesion as in the list of lesions, or add it there",
            )
        if not row.ml.is_finite() or row.ml < 0:
            raise InputRefused("wrong_value", f"{row.where}: {row.ml} mL is not possible")
        if row.closed:
            closed[row.lesion_id] = closed.get(row.lesion_id) or row.reason
            if not row.drug and row.ml == 0:
                # Closed before anything went in: no drug has to be named.
                continue
        name = row.drug or (liquids[0].name if len(liquids) == 1 else "")
        if name not in by_drug or (name == MIXTURE and liquids[0].name != MIXTURE):
            raise InputRefused(
                "unknown_drug",
                f"{row.where}: '{row.drug}' to {row.lesion_id} is not a drug of the protocol",
                "its drugs are " + ", ".join(drugs),
            )
        got = by_drug[name]
        got[row.lesion_id] = got.get(row.lesion_id, Decimal(0)) + row.ml
    if liquids[0].name == MIXTURE:
        amounts: tuple[Mapping[str, Decimal], ...] = (_of_mixture(liquids[0], by_drug),)
    else:
        amounts = tuple(by_drug[liquid.name] for liquid in liquids)
    for liquid, by_lesion in zip(liquids, amounts, strict=True):
        total = sum(by_lesion.values(), Decimal(0))
        if Fraction(total) > liquid.prescribed_ml:
            raise InputRefused(
                "given_above_prescribed",
                f"given: {total} mL of {liquid.name} is more than the prescribed "
                f"{_shown(liquid.prescribed_ml)} mL",
                "check what was given and what is prescribed",
            )
    return GivenSoFar(amounts, closed, bool(order.given))


def _of_mixture(liquid: Liquid, by_drug: Mapping[str, Mapping[str, Decimal]]) -> dict[str, Decimal]:
    """The mixture's mL of each lesion, from rows of the mixture or of every drug in it."""
    totals = dict(by_drug[MIXTURE])
    lesions = {lesion for drug, _ in liquid.parts for lesion in by_drug[drug]}
    for lesion in sorted(lesions):
        amounts = {drug: by_drug[drug].get(lesion, Decimal(0)) for drug, _ in liquid.parts}
        whole = sum(amounts.values(), Decimal(0))
        if any(amounts[drug] != whole * part for drug, part in liquid.parts):
            raise InputRefused(
                "not_the_mixture",
                f"given: what {lesion} got of each drug is not in the ratio of the mixture",
                "name the drug 'mixture' and give its mL",
            )
        totals[lesion] = totals.get(lesion, Decimal(0)) + whole
    return totals


def _shown(value: Fraction) -> str:
    millionths = value * 1_000_000
    return str(plain(Decimal(millionths.numerator // millionths.denominator).scaleb(-6)))
