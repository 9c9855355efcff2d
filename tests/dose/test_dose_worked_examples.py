"""Every number on the page of worked examples is what the program gives."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from irplan.dose import (
    DoseOrder,
    GivenRow,
    HistoryRow,
    Protocol,
    allocate,
    load_protocol,
    parse_protocol,
    read_lesion_table,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dose-worked-examples.md"
LEFT_OVER = "left over"


@dataclass(frozen=True)
class Example:
    title: str
    lesions: str
    order: dict[str, Any]
    expected: dict[tuple[str, str], tuple[Decimal, Decimal]]


def examples() -> list[Example]:
    """Each lesion table of the page with the order and the result that follow it."""
    found = []
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title = section.splitlines()[0]
        for csv, toml, rows in re.findall(
            r"```csv\n(.*?)```\s+```toml\n(.*?)```\s+\| drug \|[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)",
            section,
            re.DOTALL,
        ):
            cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows.splitlines()]
            expected = {(c[0], c[1]): (Decimal(c[2]), Decimal(c[3])) for c in cells}
            order = tomllib.loads(toml, parse_float=Decimal)
            found.append(Example(title, csv, order, expected))
    return found


def protocol_of(name: str) -> Protocol:
    own = re.search(r"```protocol\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert own
    made_up = parse_protocol(own.group(1), "page.toml")
    return made_up if name == made_up.name else load_protocol(name)


def test_the_page_holds_all_examples() -> None:
    assert len(examples()) == 9
    assert PAGE.read_text(encoding="utf-8").count("```csv") == 9


@pytest.mark.parametrize("example", examples(), ids=lambda one: one.title)
def test_the_pages_numbers(example: Example, tmp_path: Path) -> None:
    table = tmp_path / "lesions.csv"
    table.write_text(example.lesions, encoding="utf-8")
    asked = example.order
    weight = asked.get("weight_kg")
    history = asked.get("history")
    order = DoseOrder(
        weight_kg=None if weight is None else Decimal(weight),
        visit=asked.get("visit", 1),
        history=None
        if history is None
        else tuple(
            HistoryRow(one["visit"], one["lesion_id"], "", None, Decimal(one["mg"]))
            for one in history
        ),
        given=tuple(
            GivenRow(one["lesion_id"], "", one["ml"], one["closed"], reason=one["reason"])
            for one in asked.get("given", [])
        ),
    )
    allocation = allocate(read_lesion_table(table), protocol_of(asked["protocol"]), order)
    shown = {
        (drug.drug, one.lesion_id): (one.ml, one.mg)
        for drug in allocation.drugs
        for one in drug.lesions
    }
    for drug in allocation.drugs:
        shown[drug.drug, LEFT_OVER] = (drug.residual_ml, drug.residual_mg)
    assert shown == example.expected
    assert not [one for one in allocation.findings if one.code == "history_missing"]
