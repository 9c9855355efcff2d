"""One sentence for each number, in English and in French."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from irplan.dose.allocation import MIXTURE
from irplan.dose.protocol import SplitRule
from irplan.units import decimal_text, plain, quantize, stepped_text

#: What a share goes by; the French with its possessive, which has a gender.
_BASIS = {
    SplitRule.VOLUME: ("volume", "son volume"),
    SplitRule.SURFACE: ("volume to the power 2/3", "son volume à la puissance 2/3"),
    SplitRule.DIAMETER: ("longest diameter", "son plus grand diamètre"),
    SplitRule.EQUAL: ("equal part", "sa part égale"),
    SplitRule.SIZE_TABLE: ("place in the size table", "son tour dans la table des tailles"),
    SplitRule.BY_HAND: ("amount set by hand", "sa quantité fixée manuellement"),
}

#: What each bound is called in a sentence.
LIMIT_NAMES = {
    "max_ml": ("its maximum set for this lesion", "le maximum fixé pour cette lésion"),
    "protocol_max_ml": ("the protocol's maximum a lesion", "le maximum par lésion du protocole"),
    "max_fraction": (
        "the protocol's largest part of the lesion's volume",
        "la fraction maximale du volume de la lésion admise par le protocole",
    ),
    "size_table": (
        "the ceiling of its size class",
        "le plafond de sa classe de taille",
    ),
    "min_ml": ("its minimum set for this lesion", "le minimum fixé pour cette lésion"),
    "smallest_ml": ("the smallest injectable volume", "le plus petit volume injectable"),
    "given_ml": ("what it was already given", "ce qu'elle a déjà reçu"),
    "fixed_ml": ("the amount fixed by hand", "la quantité fixée manuellement"),
    "closed": ("what it got before it was closed", "ce qu'elle avait reçu avant sa clôture"),
}

#: What each reason of a residual means.
REASON_NAMES = {
    "rounding": "less than one step is left",
    "no_lesion": "no lesion may be injected",
    "max_ml": "lesions are at their own maximum",
    "protocol_max_ml": "lesions are at the protocol's maximum",
    "max_fraction": "lesions are at the protocol's largest part of their volume",
    "size_table": "lesions are at the ceiling of their size class",
    "fixed_ml": "lesions are fixed by hand",
    "closed": "lesions are closed",
    "mixture_ratio": "the ratio of the mixture leaves it over",
}

EXCLUSION_MESSAGES = {
    "not_injectable": "not to be injected: {reason}",
    "below_min_volume": "its volume of {volume_ml} mL is below the protocol's {limit} mL",
    "below_min_diameter": "its longest diameter of {diameter_mm} mm is below the protocol's "
    "{limit} mm",
    "too_many_lesions": "the protocol injects at most {limit} lesions a visit, and others come "
    "first",
    "share_too_small": "its share is below the smallest injectable volume of {limit} mL",
}


@dataclass(frozen=True)
class Told:
    """What a sentence is made of. ``real_ml`` is the exact share, ``total_ml`` what is split."""

    lesion_id: str
    liquid: str
    split: SplitRule
    share: Decimal
    total_ml: Decimal
    real_ml: Fraction
    ml: Decimal
    increment_ml: Decimal
    limits: Sequence[str]
    given_ml: Decimal | None
    reason: str
    others_bound: bool


def why(told: Told) -> tuple[str, str]:
    """The sentence in English and in French."""
    english, french = _cause(told)
    if told.given_ml:
        left = stepped_text(plain(told.ml - told.given_ml), told.increment_ml)
        given = stepped_text(plain(told.given_ml), told.increment_ml)
        english += f"; {given} mL of it were given, {left} mL remain"
        french += f" ; {_comma(given)} mL ont déjà été injectés, il reste {_comma(left)} mL"
    return english + ".", french + "."


def _cause(told: Told) -> tuple[str, str]:
    amount = stepped_text(told.ml, told.increment_ml)
    head = f"{told.lesion_id} gets {amount} mL of {_of(told.liquid)}"
    tete = f"{told.lesion_id} reçoit {_comma(amount)} mL {_de(told.liquid)}"
    if told.limits:
        names = " and ".join(LIMIT_NAMES[code][0] for code in told.limits)
        noms = " et ".join(LIMIT_NAMES[code][1] for code in told.limits)
        said = f" ({told.reason})" if told.reason and _by_hand(told.limits) else ""
        return f"{head}, by {names}{said}", f"{tete}, volume déterminé par {noms}{said}"
    basis, base = _BASIS[told.split]
    if told.split is SplitRule.SIZE_TABLE:
        return (
            f"{head}: what was left when its {basis} came",
            f"{tete} : ce qui restait quand est venu {base}",
        )
    percent = decimal_text(plain(told.share * 100))
    total = decimal_text(plain(told.total_ml))
    real = quantize(
        Decimal(told.real_ml.numerator) / Decimal(told.real_ml.denominator), Decimal("0.0001")
    )
    part = decimal_text(plain(real))
    english = f"{head}: its {basis} is {percent} % of all; its part of {total} mL"
    french = f"{tete} : {base} représente {_comma(percent)} % du total ; sa part des "
    french += f"{_comma(total)} mL"
    if told.others_bound:
        english += ", once the lesions at their bounds have theirs,"
        french += ", une fois servies les lésions qui sont à leur limite,"
    english += f" is {part} mL"
    french += f" est de {_comma(part)} mL"
    if told.real_ml != Fraction(told.ml):
        step = decimal_text(plain(told.increment_ml))
        english += f", taken to whole steps of {step} mL"
        french += f", ajustée au pas de {_comma(step)} mL"
    return english, french


def _by_hand(limits: Sequence[str]) -> bool:
    return any(code in ("fixed_ml", "closed") for code in limits)


def _of(liquid: str) -> str:
    return "the mixture" if liquid == MIXTURE else liquid


def _de(liquid: str) -> str:
    if liquid == MIXTURE:
        return "du mélange"
    return f"d'{liquid}" if liquid[:1].lower() in "aeiouyhéè" else f"de {liquid}"


def _comma(number: str) -> str:
    return number.replace(".", ",")
