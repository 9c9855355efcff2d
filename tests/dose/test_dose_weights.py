"""The weights of the split rules against other ways of computing them."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irplan.dose.weights import cube_root_rounded, decimal_weights, surface_weight


@pytest.mark.parametrize(
    ("ml", "surface"),
    # 2^(2/3) = 1.5874010…, 3^(2/3) = 2.0800838…, 8^(2/3) = 4, 0.001^(2/3) = 0.01
    [("2", "1.587401"), ("3", "2.080084"), ("8", "4"), ("0.001", "0.01")],
)
def test_surface_by_hand(ml: str, surface: str) -> None:
    assert surface_weight(int(Decimal(ml) * 1000)) == Decimal(surface) * 1_000_000


@given(st.integers(1, 10**8))
def test_surface_against_powers_of_decimals(microlitres: int) -> None:
    with localcontext() as context:
        context.prec = 60
        exact = (Decimal(microlitres) / 1000) ** (Decimal(2) / 3)
        expected = exact.quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
    assert surface_weight(microlitres) == expected * 1_000_000


@given(st.integers(0, 10**40))
def test_the_nearest_cube_root(number: int) -> None:
    root = cube_root_rounded(number)
    assert (2 * root - 1) ** 3 <= 8 * number < (2 * root + 1) ** 3 or number == root == 0


def test_decimals_in_one_unit() -> None:
    assert decimal_weights([Decimal("12.5"), Decimal("3"), Decimal("0.25")]) == (1250, 300, 25)
    assert decimal_weights([Decimal("1E+2"), Decimal("7")]) == (100, 7)
    assert decimal_weights([]) == ()
