"""Comparing a plan with its repetition: doses exactly, measured values to their last place."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irplan.documents import plan_id_of
from irplan.verification import compare

PLAN: dict[str, Any] = {
    "schema": "irplan.plan/1",
    "irplan_version": "0.1.0",
    "plan_id": "x",
    "lesions": [{"lesion_id": "L1", "volume_ml": Decimal("4.200"), "depth": Decimal("12.3")}],
    "allocation": {"drugs": [{"ml": Decimal("4.20"), "share": Decimal("1.0000")}]},
    "needles": [{"depth_mm": Decimal("31.0"), "deposits": [{"ml": {"ipi": Decimal("0.50")}}]}],
    "run": {"created": "now"},
}


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    """The plan with one value changed."""
    import copy

    document = copy.deepcopy(PLAN)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


def test_equal_plans_do_not_differ_and_the_run_is_not_read() -> None:
    assert list(compare(PLAN, changed(["run", "created"], "later"))) == []
    assert list(compare(PLAN, changed(["irplan_version"], "9"))) == []


@pytest.mark.parametrize(
    ("path", "value", "differs"),
    [
        (["lesions", 0, "depth"], Decimal("12.4"), False),
        (["lesions", 0, "depth"], Decimal("12.5"), True),
        (["needles", 0, "depth_mm"], Decimal("30.9"), False),
        (["needles", 0, "depth_mm"], 31, False),
        (["needles", 0, "depth_mm"], None, True),
        (["allocation", "drugs", 0, "ml"], Decimal("4.21"), True),
        (["allocation", "drugs", 0, "ml"], Decimal("4.2"), False),
        (["allocation", "drugs", 0, "share"], Decimal("0.9999"), True),
        (["needles", 0, "deposits", 0, "ml", "ipi"], Decimal("0.51"), True),
        (["lesions", 0, "lesion_id"], "L2", True),
        (["lesions"], [], True),
        (["needles"], None, True),
        (["new_key"], 1, True),
    ],
)
def test_what_differs(path: list[Any], value: Any, differs: bool) -> None:
    found = list(compare(PLAN, changed(path, value)))
    assert bool(found) == differs, found
    if differs:
        assert found[0].path.split(".")[0].startswith(str(path[0]))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_nothing_differs_from_itself(document: Any) -> None:
    assert list(compare(document, document)) == []


def test_the_id_changes_with_every_character_but_not_with_the_run() -> None:
    own = plan_id_of(PLAN)
    assert plan_id_of(changed(["run"], {})) == own
    assert plan_id_of(changed(["plan_id"], "y")) == own
    assert plan_id_of(changed(["lesions", 0, "depth"], Decimal("12.30"))) != own
    assert plan_id_of(changed(["lesions", 0, "lesion_id"], "l1")) != own
