"""Protocols: what comes with the program, and what a file may not say."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from irplan.dose import list_protocols, load_protocol, parse_protocol
from irplan.dose.protocol import Combination, DoseRule, SplitRule
from irplan.errors import CallError, InputRefused

SMALL = """\
name = "small"
version = "1"

[[drugs]]
name = "ipilimumab"
concentration_mg_per_ml = 5
rule = "per_kg"
amount = 0.3

[lesion]
warn_above_fraction = "1/3"
"""


def test_what_comes_with_it() -> None:
    assert [protocol.name for protocol in list_protocols()] == [
        "nct07230613",
        "nivipit",
        "tvec-table",
    ]


def test_nivipit() -> None:
    protocol = load_protocol("nivipit")
    (drug,) = protocol.drugs
    assert (drug.name, drug.concentration_mg_per_ml) == ("ipilimumab", Decimal(5))
    assert (drug.rule, drug.amount) == (DoseRule.PER_KG, Decimal("0.3"))
    assert (drug.max_visit_mg, drug.max_course_mg, drug.max_visit_ml) == (None, None, None)
    assert [(vial.mg, vial.ml) for vial in drug.vials] == [(50, 10), (200, 40)]
    assert protocol.split is SplitRule.VOLUME
    assert (protocol.visits, protocol.interval_days) == (4, 21)
    assert protocol.max_lesions is None
    rules = protocol.lesion
    assert (rules.smallest_ml, rules.max_fraction, rules.max_ml) == (None, None, None)
    assert rules.warn_above_fraction == Fraction(1, 3)
    assert (rules.min_volume_ml, rules.min_diameter_mm) == (Decimal("1.0"), Decimal(10))
    assert protocol.comparisons[0].amount == 3
    assert {"identity", "biopsy_first"} <= {entry.code for entry in protocol.checklist}


def test_nct07230613() -> None:
    protocol = load_protocol("nct07230613")
    doses = {drug.name: drug for drug in protocol.drugs}
    ipilimumab, nivolumab = doses["ipilimumab"], doses["nivolumab"]
    assert (ipilimumab.amount, ipilimumab.max_visit_mg, ipilimumab.max_course_mg) == (25, 25, 75)
    assert (nivolumab.amount, nivolumab.max_visit_mg, nivolumab.max_course_mg) == (30, 30, 90)
    assert all(drug.rule is DoseRule.FLAT for drug in protocol.drugs)
    assert protocol.combination is Combination.SEPARATE
    assert "ceilings" in protocol.note


def test_tvec_table() -> None:
    protocol = load_protocol("tvec-table")
    table = [(row.above_mm, row.ml) for row in protocol.lesion.size_table]
    assert table == [
        (0, Decimal("0.1")),
        (5, Decimal("0.5")),
        (15, 1),
        (25, 2),
        (50, 4),
    ]
    # The classes are open below and closed above: 15 mm still belongs to 0.5-1.5 cm.
    rules = protocol.lesion
    edges = [Decimal(text) for text in ("5", "5.1", "15", "15.1", "25", "25.1", "50", "50.1")]
    assert [rules.table_ml(edge) for edge in edges] == [
        Decimal("0.1"), Decimal("0.5"), Decimal("0.5"), 1, 1, 2, 2, 4,
    ]  # fmt: skip
    assert protocol.drugs[0].max_visit_ml == 4


@pytest.mark.parametrize("name", ["nct07230613", "nivipit", "tvec-table"])
def test_every_value_says_where_it_comes_from(name: str) -> None:
    protocol = load_protocol(name)
    assert protocol.sources
    for key, source in protocol.sources.items():
        assert source.origin in ("trial", "label", "default"), key
        assert source.source, key


def test_a_plain_value_is_the_sites_and_a_missing_one_a_default() -> None:
    sources = parse_protocol(SMALL, "small.toml").sources
    assert sources["drugs.0.amount"].origin == "site"
    assert sources["preparation.increment_ml"].origin == "default"
    assert sources["split.rule"].value == "volume"


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SMALL)
    assert load_protocol(str(path)).text == SMALL
    with pytest.raises(CallError, match="no such file"):
        load_protocol(str(tmp_path / "other.toml"))
    with pytest.raises(CallError, match="nivipit"):
        load_protocol("nivipitt")


REFUSED = [
    # replaced, by, line, key, cause
    ("amount = 0.3", "amonut = 0.3", 8, "amonut", "unknown key"),
    ("amount = 0.3", "amount = 0", 8, "amount", "above zero"),
    ("amount = 0.3", "amount = -0.3", 8, "amount", "at least zero"),
    ("amount = 0.3", 'amount = "0,3"', 8, "amount", "not a number"),
    ("amount = 0.3", "amount = nan", 8, "amount", "at least zero"),
    ("amount = 0.3", "amount = true", 8, "amount", "not a number"),
    ("amount = 0.3", "amount = 3e-1", 8, "amount", "not a number"),
    ("amount = 0.3", "", 4, "amount", "missing"),
    ("amount = 0.3", "amount = {value = 0.3, sauce = 'x'}", 8, "sauce", "unknown key"),
    ("amount = 0.3", "amount = {value = 0.3, source = 'x'}", 8, "source", "[sources]"),
    ("amount = 0.3", "amount = {value = 0.3, origin = 'x'}", 8, "origin", "not an origin"),
    ('rule = "per_kg"', 'rule = "per_stone"', 7, "rule", "not known"),
    ('"1/3"', '"1/0"', 11, "warn_above_fraction", "not a fraction"),
    ("[lesion]", "[lesions]", 10, "lesions", "unknown key"),
    ("[lesion]", "[split]\nrule = 'size_table'\n\n[lesion]", 13, "size_table", "missing"),
    ("[lesion]", "[split]\ncombination = 'mixed'\n\n[lesion]", 11, "combination", "no mixture"),
    ("[lesion]", "[course]\nvisits = 2.5\n\n[lesion]", 11, "visits", "whole number"),
    (
        "[lesion]",
        "[[drugs.vials]]\nmg = 50\nml = 20\n\n[lesion]",
        10,
        "vials",
        "50 mg in 20 mL is not 5 mg/mL",
    ),
    ("[lesion]", "[[syringes]]\nsize_ml = 1\ngraduation_ml = 0.3\n\n[lesion]", 12, "graduation_ml",
     "whole number"),
    ('name = "small"', "", None, "name", "missing"),
    ('version = "1"', "version = 1", 2, "version", "not a text"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "key", "cause"), REFUSED)
def test_refused_files(old: str, new: str, line: int | None, key: str, cause: str) -> None:
    assert old in SMALL
    with pytest.raises(InputRefused) as refusal:
        parse_protocol(SMALL.replace(old, new), "small.toml")
    message = str(refusal.value)
    assert message.startswith("small.toml")
    assert key in message
    assert cause in message
    if line is not None:
        assert f"line {line}:" in message


def test_lines_are_counted_past_texts_and_lists() -> None:
    text = (
        SMALL
        + 'max_ml = 1\n[visit]\norder = [\n  "new",\n  "biggest",\n]\nunknown = """\n[a]\n"""\n'
    )
    with pytest.raises(InputRefused, match=r"line 14: visit\.order: 'biggest'"):
        parse_protocol(text, "small.toml")
    with pytest.raises(InputRefused, match=r"line 18: visit\.unknown: unknown key"):
        parse_protocol(text.replace("biggest", "largest"), "small.toml")


def page() -> str:
    return (Path(__file__).resolve().parents[2] / "docs" / "protocols.md").read_text("utf-8")


def test_the_example_of_the_page_is_a_protocol() -> None:
    (example,) = (
        block.split("```")[0] for block in page().split("```toml\n") if block.startswith("name =")
    )
    protocol = parse_protocol(example, "page.toml")
    assert protocol.max_lesions == 3
    assert protocol.drugs[0].vials[1].ml == 40
    assert protocol.sources["drugs.0.amount"].source.startswith("decision of the site's board")


def test_the_page_names_every_key() -> None:
    for protocol in list_protocols():
        for key in protocol.sources:
            name = key.split(".")[-1]
            assert f"`{name}`" in page(), key
