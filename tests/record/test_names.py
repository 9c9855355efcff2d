"""The ids of lesions over the visits that the record knows."""

from __future__ import annotations

from typing import Any

import pytest

from irplan.record import Store, add_plan

from .conftest import plan_bytes


def plan(mark: int, *lesions: tuple[str, str, str], proposed: bool = False) -> bytes:
    def change(document: dict[str, Any]) -> None:
        document["allocation"]["mark"] = mark
        document["lesions"] = [
            {
                "lesion_id": name,
                "site": site,
                "side": side,
                "side_source": "proposed" if proposed else "given",
            }
            for name, site, side in lesions
        ]

    return plan_bytes(change)


FIRST = (("T1", "axilla", "left"), ("T2", "skin", "right"))

CASES = [
    ((("T1", "aisselle", "gauche"), ("T2", "peau", "droite")), []),
    ((("T1", "axilla", "right"), ("T2", "skin", "right")), ["lesion_id_reused"]),
    ((("T1", "axilla", "left"), ("T9", "skin", "right")), ["lesion_id_changed"]),
    ((("T3", "liver", ""),), []),
]


@pytest.mark.parametrize(("second", "codes"), CASES)
def test_a_later_plan_is_held_against_the_ids_of_the_first(store: Store, second, codes) -> None:
    assert add_plan(store, plan(1, *FIRST), "S1", 1)["findings"] == []
    told = add_plan(store, plan(2, *second), "S1", 2)["findings"]
    assert [one["code"] for one in told] == codes


def test_another_subject_a_proposed_side_and_an_earlier_visit_say_nothing(store: Store) -> None:
    add_plan(store, plan(1, *FIRST), "S1", 2)
    other = (("T1", "axilla", "right"), ("T2", "skin", "left"))
    told = add_plan(store, plan(2, *other), "S2", 3)["findings"]
    assert [one["code"] for one in told] == ["study_under_another_subject"]
    for document, visit in ((plan(3, *other, proposed=True), 3), (plan(4, *other), 1)):
        told = add_plan(store, document, "S1", visit)["findings"]
        assert "lesion_id_reused" not in {one["code"] for one in told}
