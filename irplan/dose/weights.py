"""The weight of a lesion under each split rule, as whole numbers in one unit for all lesions."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from irplan.dose.lesion_table import DoseLesion
from irplan.dose.protocol import Protocol, SplitRule
from irplan.errors import InputRefused


def cube_root_rounded(number: int) -> int:
    """The whole number nearest to the cube root of ``number``, which is not below zero.

    No whole number has a cube root that ends in exactly one half, so no tie can arise.
    """
    low, high = 0, 1 << (number.bit_length() // 3 + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**3 <= number:
            low = middle
        else:
            high = middle - 1
    # (low + 1/2)³ ≤ number  ⇔  (2·low + 1)³ ≤ 8·number
    return low + 1 if (2 * low + 1) ** 3 <= 8 * number else low


def surface_weight(microlitres: int) -> int:
    """V^(2/3) for V in mL, rounded to 6 decimals, in millionths."""
    return cube_root_rounded(microlitres * microlitres * 10**12)


def decimal_weights(values: Sequence[Decimal]) -> tuple[int, ...]:
    """Decimals as whole numbers in the finest unit that any of them needs."""
    places = max((-_exponent(value) for value in values), default=0)
    return tuple(int(value.scaleb(max(places, 0))) for value in values)


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"not a finite number: {value}")
    return exponent


def fixed_weights(lesions: Sequence[DoseLesion], protocol: Protocol) -> tuple[int, ...] | None:
    """The weights that do not change with the volume; None where the rule goes by volume.

    Raises:
        InputRefused: the rule needs a diameter that is not known.
    """
    if protocol.split in (SplitRule.EQUAL, SplitRule.BY_HAND):
        return (1,) * len(lesions)
    if protocol.split is SplitRule.DIAMETER:
        return decimal_weights([diameter_of(lesion, "the split") for lesion in lesions])
    if protocol.split is SplitRule.SIZE_TABLE:
        return decimal_weights(
            [protocol.lesion.table_ml(diameter_of(lesion, "the size table")) for lesion in lesions]
        )
    return None


def volume_weights(microlitres: Sequence[int], protocol: Protocol) -> tuple[int, ...]:
    """The weights of a rule that goes by volume (0.001 mL each)."""
    if protocol.split is SplitRule.SURFACE:
        return tuple(surface_weight(volume) for volume in microlitres)
    return tuple(microlitres)


def diameter_of(lesion: DoseLesion, what: str) -> Decimal:
    """The longest diameter in mm.

    Raises:
        InputRefused: it is not known.
    """
    if lesion.longest_diameter_mm is None:
        raise InputRefused(
            "diameter_missing",
            f"{lesion.named}: {what} goes by the longest diameter, which is not known",
            "give longest_diameter_mm",
        )
    return lesion.longest_diameter_mm
