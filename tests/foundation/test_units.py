"""Numbers from text to text."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irplan import units
from irplan.errors import CallError

WRONG_NUMBERS = [
    "70,5",
    "NaN",
    "inf",
    "-inf",
    "1e3",
    "1E-3",
    "",
    " ",
    "70 kg",
    "7_0",
    "0x10",
    "٣",
    "½",
    "1.",
    "--1",
]


@pytest.mark.parametrize("text", WRONG_NUMBERS)
def test_what_is_not_a_plain_number_is_refused(text: str) -> None:
    with pytest.raises(CallError) as caught:
        units.parse_decimal(text, "weight")
    assert "weight" in caught.value.message


def test_a_comma_is_never_read_as_seventy_or_seven_hundred() -> None:
    with pytest.raises(CallError) as caught:
        units.parse_decimal("70,5", "weight")
    assert caught.value.code == "decimal_comma"
    assert "70.5" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "value"),
    [("70.5", "70.5"), (" 70 ", "70"), ("+3", "3"), (".5", "0.5"), ("-0.25", "-0.25")],
)
def test_plain_numbers_are_exact(text: str, value: str) -> None:
    assert units.parse_decimal(text, "x") == Decimal(value)


@pytest.mark.parametrize("text", ["0", "-1", "0.000"])
def test_positive_means_above_zero(text: str) -> None:
    with pytest.raises(CallError):
        units.parse_positive(text, "x")


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (Decimal("0.0005"), "0.000"),
        (Decimal("0.0015"), "0.002"),
        (Decimal("1E+2"), "100.000"),
        (-0.0001, "0.000"),
        (1.0005, "1.000"),
    ],
)
def test_millilitres_round_half_even(value: Decimal | float, printed: str) -> None:
    # 1.0005 as a float lies just below the half; its exact value decides, not its text.
    assert units.decimal_text(units.ml(value)) == printed


def test_a_clearance_below_the_limit_never_reads_as_the_limit() -> None:
    assert units.mm_down(4.96) == Decimal("4.9")
    assert units.mm_down(4.9999999) < 5
    assert units.mm_up(5.01) == Decimal("5.1")


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9
    )
)
def test_text_has_no_exponent_and_reads_back(value: Decimal) -> None:
    text = units.decimal_text(value)
    assert "E" not in text.upper()
    assert not text.startswith("-0") or Decimal(text) != 0
    assert Decimal(text) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_plain_keeps_the_number(value: Decimal) -> None:
    assert units.plain(value) == value
    assert "E" not in str(units.plain(value)).upper() or abs(value) < Decimal("0.000001")


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6))
def test_rounding_down_is_within_one_step_below(value: float) -> None:
    down = units.mm_down(value)
    assert down <= Decimal(value) < down + Decimal("0.1")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), Decimal("Infinity")])
def test_what_is_not_finite_is_never_printed(value: float | Decimal) -> None:
    with pytest.raises(ValueError, match="finite"):
        units.quantize(value, units.MM_STEP)


@pytest.mark.parametrize(
    ("value", "step", "written"),
    [
        ("0.5", "0.01", "0.50"),
        ("0", "0.01", "0.00"),
        ("5", "0.1", "5.0"),
        ("4.226", "0.01", "4.226"),
        ("1E+1", "0.01", "10.00"),
        ("30", "10", "30"),
    ],
)
def test_doses_are_written_with_the_decimals_of_their_step(
    value: str, step: str, written: str
) -> None:
    assert units.stepped_text(Decimal(value), Decimal(step)) == written
