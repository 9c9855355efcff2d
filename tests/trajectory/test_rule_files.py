"""Needle and constraint files: every shipped figure has a source, nothing unknown gets through."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from irplan import jsonio
from irplan.anatomy.names import TOTAL_CLASSES
from irplan.errors import InputRefused
from irplan.trajectory import load_constraints, load_shelf

CONSTRAINT_REFUSALS = [
    ("[limits.max_tilt_deg]\nvalue = 10\n", "unknown key limits"),
    ("[limit.max_tilt]\nvalue = 10\n", "unknown key max_tilt"),
    ("[limit.max_tilt_deg]\nvalues = 10\n", "unknown key values"),
    ("[limit.max_tilt_deg]\nvalue = 61\n", "not between 0 and 60"),
    ("[limit.max_tilt_deg]\nvalue = '10'\n", "not a number"),
    ("[limit.max_tilt_deg]\nvalue = true\n", "not a number"),
    ("[limit.max_tilt_deg]\nvalue = nan\n", "not between"),
    ("[limit.max_tilt_deg]\nstrength = 'soft'\n", "unknown key strength"),
    ("[structure.bone]\nmargin_mm = -1\n", "not between"),
    ("[structure.bone]\nmargin = 1\n", "unknown key margin"),
    ("[structure.bone]\ncrossable = 1\n", "not true or false"),
    ("[structure.stent]\nmembers = ['stent']\nsource = 'site'\n", "needs margin_mm"),
    ("[structure.stent]\nmembers = []\nmargin_mm = 2\nsource = 'site'\n", "not a list"),
    ("[weight]\nlenght = 1\n", "unknown key lenght"),
    ("[weight]\nlength = -1\n", "not between"),
    ("limit = [\n", "is not TOML"),
]


@pytest.mark.parametrize(("content", "told"), CONSTRAINT_REFUSALS)
def test_constraint_files_that_are_refused(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputRefused, match=told):
        load_constraints(path)


NEEDLE = """
[[needle]]
name = "25G-40"
gauge = 25
length_mm = 40
use = ["superficial"]
source = "site"
"""
SHELF_REFUSALS = [
    ('version = "1"\n', "holds no"),
    ('version = "1"\n' + NEEDLE + NEEDLE, "stands twice"),
    ('version = "1"\n' + NEEDLE + "bevel = 1\n", "unknown key bevel"),
    ('version = "1"\n' + NEEDLE.replace("25\n", "25.5\n", 1), "not a whole number"),
    ('version = "1"\n' + NEEDLE.replace("= 40", "= 400"), "not between"),
    ('version = "1"\n' + NEEDLE.replace("superficial", "any"), "is not of"),
    (NEEDLE, "not a text"),
    ('version = "1"\nneedles = []\n' + NEEDLE, "unknown key needles"),
]


@pytest.mark.parametrize(("content", "told"), SHELF_REFUSALS)
def test_needle_files_that_are_refused(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "needles.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputRefused, match=told):
        load_shelf(path)


def test_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="cannot be read"):
        load_constraints(tmp_path / "none.toml")


def test_a_sites_file_changes_only_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(
        "[limit.max_tilt_deg]\nvalue = 15\n[structure.bone]\nmargin_mm = 3.5\n"
        '[structure.stent]\nmembers = ["stent*"]\nmargin_mm = 7\nsource = "our site"\n',
        encoding="utf-8",
    )
    shipped, changed = load_constraints(), load_constraints(path)
    assert changed.value("max_tilt_deg") == 15
    assert "site.toml" in changed.limits["max_tilt_deg"].source
    assert changed.rule_for("rib_left_4").margin("ct") == 3.5
    # Who widens a margin means it under ultrasound too.
    assert changed.rule_for("rib_left_4").margin("ultrasound") == 3.5
    assert changed.rule_for("stent_iliac").margin("ct") == 7
    assert shipped.rule_for("stent_iliac").name == "other"
    assert changed.value("reserve_mm") == shipped.value("reserve_mm")
    assert changed.weights == shipped.weights


@pytest.mark.parametrize(
    ("structure", "rule"),
    [
        ("rib_left_7", "bone"),
        ("vertebrae_L3", "bone"),
        ("hip_right", "bone"),
        ("aorta", "large_vessels"),
        ("iliac_vena_left", "large_vessels"),
        ("common_carotid_artery_right", "large_vessels"),
        ("heart", "heart"),
        ("colon", "bowel"),
        ("bowel_wall", "bowel"),
        ("trachea", "airway"),
        ("lung_upper_lobe_left", "lung"),
        ("spinal_cord", "spinal_canal"),
        ("kidney_left", "organs"),
        ("Something Nobody Knows", "other"),
    ],
)
def test_which_rule_holds(structure: str, rule: str) -> None:
    assert load_constraints().rule_for(structure).name == rule


def test_every_class_of_a_network_is_an_obstacle_unless_it_is_meant_to_be_crossed() -> None:
    rules = load_constraints()
    crossable = {name for name in TOTAL_CLASSES.values() if rules.rule_for(name).crossable}
    soft = ("lung_", "gluteus_", "autochthon_", "iliopsoas_")
    assert crossable == {
        name for name in TOTAL_CLASSES.values() if name == "liver" or name.startswith(soft)
    }
    assert len(TOTAL_CLASSES) == 117


def test_every_figure_tells_its_source() -> None:
    rules, shelf = load_constraints(), load_shelf()
    assert all(limit.source and limit.text for limit in rules.limits.values())
    assert all(rule.source for rule in rules.structures)
    assert all(needle.source for needle in shelf.needles)
    assert rules.limits["tip_error_ct_mm"].value == Decimal("8.9")
    jsonio.dumps(rules.document())
    jsonio.dumps(shelf.document())


@pytest.mark.parametrize(
    ("depth", "guidance", "expected"),
    [
        (20.0, "ultrasound", "25G-25"),
        (20.1, "ultrasound", "25G-40"),
        (85.0, "ultrasound", "22G-90"),
        (85.1, "ultrasound", None),
        (20.0, "ct", "22G-90"),
        (135.0, "ct", "22G-150"),
        (185.0, "ct", "22G-200"),
        (185.5, "ct", None),
    ],
)
def test_shortest_needle(depth: float, guidance: str, expected: str | None) -> None:
    reserve = 15.0 if guidance == "ct" else 5.0
    needle = load_shelf().shortest(depth, reserve, guidance, 200.0)
    assert (needle.name if needle else None) == expected
