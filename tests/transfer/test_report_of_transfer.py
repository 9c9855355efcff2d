"""The pages on what changed, in the report of a carried plan."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pypdf import PdfReader

from irplan.export.report_transfer import transfer_part
from irplan.jsonio import loads


@pytest.fixture(scope="module")
def text(carried, visits) -> str:
    pages = [page.extract_text() for page in PdfReader(visits.folder / "plan2/report.pdf").pages]
    return next(" ".join(page.split()) for page in pages if "Changes since version 1" in page)


def test_every_change_stands_on_the_page(text: str, carried) -> None:
    document = carried.document()
    for change in document["changes"]:
        volume = change["volume_ml"]
        if volume["new"] is None:
            assert f"{volume['old']} → unknown" in text
            continue
        share = (Decimal(volume["new"]) / Decimal(volume["old"]) - 1) * 100
        assert f"{volume['old']} → {volume['new']} ({volume['change']}, {share:.1f} %)" in text
    for dose in document["doses"]:
        old, new = dose["old_ml"], dose["new_ml"]
        shown = ["none" if one is None else str(one) for one in (old, new)]
        assert f"{shown[0]} → {shown[1]}" in text
    assert document["supersedes"] in text


def test_every_needle_of_the_older_plan_has_its_fate(text: str, carried, visits) -> None:
    old = loads((visits.plan / "plan.json").read_bytes())
    assert "not seen any more (proposed, not confirmed)" in text
    words = {"kept": "kept", "planned_again": "planned again", "no_path": "NO SAFE PATH"}
    words["lesion_gone"] = "dropped"
    for path in carried.document()["paths"]:
        needle = next(one for one in old["needles"] if one["needle_id"] == path["needle_id"])
        row = text[text.index(f"{path['needle_id']}, {needle['depth_mm']} mm deep") :]
        assert words[path["outcome"]] in row.split(" mm deep")[1]
        if path["outcome"] != "kept":
            assert path["reason"] in text


def test_each_lesion_is_shown_before_and_now(visits) -> None:
    pages = PdfReader(visits.folder / "plan2" / "report.pdf").pages
    text = " ".join(page.extract_text() for page in pages)
    for name in ("L3", "L4"):
        assert f"{name}, before and now" in text
    assert text.count("of its own scan") == 4


def test_a_first_plan_has_no_such_page(visits) -> None:
    pages = PdfReader(visits.plan / "report.pdf").pages
    assert not any("Changes since" in page.extract_text() for page in pages)
    assert transfer_part(None) == []
