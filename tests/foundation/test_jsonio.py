"""Documents: exact numbers, one canonical form."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irplan import jsonio

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False, places=4)
)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(DOCUMENTS, st.sampled_from([None, 2]))
def test_python_reads_back_what_was_written(document: Any, indent: int | None) -> None:
    text = jsonio.dumps(document, indent=indent)
    assert json.loads(text, parse_float=Decimal) == document


@given(st.dictionaries(st.text(), LEAVES, min_size=2))
def test_the_hash_does_not_depend_on_the_order_of_keys(document: dict[str, Any]) -> None:
    turned = dict(reversed(document.items()))
    assert jsonio.sha256_of(document) == jsonio.sha256_of(turned)


def test_the_canonical_form_is_what_the_standard_library_writes() -> None:
    document = {"b": [1, Decimal("2.50")], "a": {"é": None, "c": True}}
    expected = '{"a": {"c": true, "é": null}, "b": [1, 2.50]}'
    assert jsonio.canonical(document).decode() == expected


def test_trailing_zeros_stay() -> None:
    assert jsonio.dumps({"ml": Decimal("4.20")}, indent=None) == '{"ml": 4.20}'


@pytest.mark.parametrize("value", [1.5, float("nan"), {"a": [0.1]}, {1: 2}, object(), {"a": {3}}])
def test_floats_and_foreign_types_are_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        jsonio.dumps(value)


@pytest.mark.parametrize(
    "text", ["NaN", '{"a": Infinity}', '{"a": 1, "a": 2}', "{", '{"a": -Infinity}']
)
def test_what_is_not_a_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        jsonio.loads(text)


def test_numbers_with_a_point_are_decimals() -> None:
    assert jsonio.loads('{"ml": 4.20}')["ml"].as_tuple() == Decimal("4.20").as_tuple()
