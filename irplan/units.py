"""Units and numbers: the only place where text becomes a number and a number becomes text.

Suffixes name the unit of every quantity: ``_mm``, ``_ml``, ``_mg``, ``_kg``, ``_hu``, ``_deg``.
Doses, volumes that are dosed by, and weights are :class:`decimal.Decimal` from text to text.
Lengths and angles are measured in float and become ``Decimal`` when they are printed, rounded
half-even to the places below. No exponent and no negative zero is ever printed.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, localcontext

from irplan.errors import CallError

ML_STEP = Decimal("0.001")
MM_STEP = Decimal("0.1")
POSITION_MM_STEP = Decimal("0.01")
DEG_STEP = Decimal("0.1")
HU_STEP = Decimal("0.1")
SHARE_STEP = Decimal("0.0001")

#: Wide enough that no sum or product of doses is ever rounded silently.
EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)

#: More digits than this are no number that anybody measured, ordered or read from a scale.
_MOST_DIGITS = 50

_PLAIN_DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?|[+-]?\.[0-9]+")


def quantize(
    value: Decimal | float | int, step: Decimal, rounding: str = ROUND_HALF_EVEN
) -> Decimal:
    """``value`` rounded to a multiple of ``step`` (a power of ten), without negative zero.

    A float is taken at its exact binary value, so the result does not depend on its ``repr``.

    Raises:
        ValueError: the value is not finite.
    """
    exact = value if isinstance(value, Decimal) else Decimal(value)
    if not exact.is_finite():
        raise ValueError(f"not a finite number: {value!r}")
    with localcontext(EXACT):
        rounded = exact.quantize(step, rounding=rounding)
    return abs(rounded) if rounded.is_zero() else rounded


def ml(value: Decimal | float) -> Decimal:
    """Millilitres as printed and dosed by: 0.001 mL, half-even."""
    return quantize(value, ML_STEP)


def mm(value: float) -> Decimal:
    """A length in millimetres as printed: 0.1 mm, half-even."""
    return quantize(value, MM_STEP)


def position_mm(value: float) -> Decimal:
    """One coordinate of a position in LPS millimetres as printed: 0.01 mm, half-even."""
    return quantize(value, POSITION_MM_STEP)


def deg(value: float) -> Decimal:
    """An angle in degrees as printed: 0.1°, half-even."""
    return quantize(value, DEG_STEP)


def hu(value: float) -> Decimal:
    """Hounsfield units as printed: 0.1 HU, half-even."""
    return quantize(value, HU_STEP)


def share(value: Decimal | float) -> Decimal:
    """A probability or share as printed: 0.0001, half-even."""
    return quantize(value, SHARE_STEP)


def mm_down(value: float) -> Decimal:
    """A clearance as printed: 0.1 mm, rounded down, so that 4.96 never reads as 5.0."""
    return quantize(value, MM_STEP, ROUND_FLOOR)


def mm_up(value: float) -> Decimal:
    """A length that must stay under a limit, as printed: 0.1 mm, rounded up."""
    return quantize(value, MM_STEP, ROUND_CEILING)


def decimal_text(value: Decimal) -> str:
    """The number without exponent and without negative zero; its places are kept."""
    if not value.is_finite():
        raise ValueError(f"not a finite number: {value!r}")
    if value.is_zero():
        value = abs(value)
    return format(value, "f")


def stepped_text(value: Decimal, step: Decimal) -> str:
    """A number with at least the decimals of its step: 0.5 by steps of 0.01 is written 0.50.

    Digits beyond the step are kept; nothing is rounded.
    """
    missing = -_exponent(plain(step))
    return decimal_text(value if -_exponent(value) >= missing else value.quantize(plain(step)))


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is no finite number")
    return min(exponent, 0)


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent (21.00 → 21)."""
    normal = EXACT.normalize(value)
    whole = int(normal)
    return Decimal(whole) if whole == normal else normal


def parse_decimal(text: str, what: str) -> Decimal:
    """An exact number from text such as ``70.5``.

    Only digits and a decimal point are read: a comma, an exponent, ``NaN`` or ``inf`` is refused,
    because each has a second reading that is ten or a thousand times off.

    Raises:
        CallError: ``text`` is not such a number; the message names ``what`` and the way out.
    """
    stripped = text.strip()
    if "," in stripped:
        raise CallError(
            "decimal_comma",
            f"{what}: '{stripped}' holds a comma; it is not clear which number is meant",
            remedy="write a decimal point, as in 70.5",
        )
    if not _PLAIN_DECIMAL.fullmatch(stripped):
        raise CallError(
            "not_a_number",
            f"{what}: '{stripped}' is not a plain decimal number",
            remedy="write digits with a decimal point, as in 70.5 (no exponent, NaN or inf)",
        )
    if len(stripped) > _MOST_DIGITS:
        raise CallError(
            "too_many_digits",
            f"{what}: a number of {len(stripped)} digits was not measured",
            remedy=f"write at most {_MOST_DIGITS} digits",
        )
    return Decimal(stripped)


def parse_positive(text: str, what: str) -> Decimal:
    """As :func:`parse_decimal`, for quantities that must be above zero."""
    value = parse_decimal(text, what)
    if value <= 0:
        raise CallError("not_positive", f"{what}: {text.strip()} is not above zero")
    return value


def parse_not_negative(text: str, what: str) -> Decimal:
    """As :func:`parse_decimal`, for quantities that may be zero but not below it."""
    value = parse_decimal(text, what)
    if value < 0:
        raise CallError("negative", f"{what}: {text.strip()} is below zero")
    return value
