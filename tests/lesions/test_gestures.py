"""Gestures and the file that holds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from irplan.errors import CallError, InputRefused
from irplan.lesions.gestures import Click, Diameter, Prompt, kind_from, prompts_from, read_clicks
from irplan.lesions.lesion import LesionKind

HEADER = "lesion_id,kind,x,y,z,x2,y2,z2,inside\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "clicks.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_seeds_come_before_strokes_and_are_named_in_order():
    prompts = prompts_from([(1, 2, 3), (4, 5, 6)], [((0, 0, 0), (0, 30, 0))], LesionKind.LIVER)
    assert [prompt.lesion_id for prompt in prompts] == ["L1", "L2", "L3"]
    assert prompts[1].gestures == (Click((4, 5, 6)),)
    assert prompts[2].gestures == (Diameter((0, 0, 0), (0, 30, 0)),)
    assert {prompt.kind for prompt in prompts} == {LesionKind.LIVER}


def test_rows_of_one_id_add_up_in_their_order(tmp_path):
    path = written(
        tmp_path,
        HEADER
        + "B,node,1.5,-2,3,,,,\n"
        + "A,,0,0,0,10,0,0,\n"
        + "B,auto,4,5,6,,,,0\n"
        + "B,,7,8,9,7,8,29,1\n",
    )
    first, second = read_clicks(path)
    assert (first.lesion_id, first.kind) == ("B", LesionKind.NODE)
    assert first.gestures == (
        Click((1.5, -2.0, 3.0)),
        Click((4.0, 5.0, 6.0), inside=False),
        Diameter((7.0, 8.0, 9.0), (7.0, 8.0, 29.0)),
    )
    assert first.clicks_outside == ((4.0, 5.0, 6.0),)
    assert (second.lesion_id, second.kind) == ("A", None)
    assert second.first_point_lps_mm == (5.0, 0.0, 0.0)


def test_the_kind_and_diameter_columns_may_be_absent(tmp_path):
    (prompt,) = read_clicks(written(tmp_path, "lesion_id,x,y,z\nL1,1,2,3\n"))
    assert prompt.kind is None
    assert prompt.gestures == (Click((1.0, 2.0, 3.0)),)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("L1,node,1;5,2,3,,,,\n", "not_a_number"),
        ('L1,node,"1,5",2,3,,,,\n', "decimal_comma"),
        ("L1,node,nan,2,3,,,,\n", "not_a_number"),
        ("L1,node,1e3,2,3,,,,\n", "not_a_number"),
        ("L1,node,1,2,,,,,\n", "not_a_number"),
        ("L1,node,1,2,3,4,5,,\n", "not_a_number"),
        ("L1,spleen,1,2,3,,,,\n", "unknown_kind"),
        ("L1,node,1,2,3,,,,2\n", "clicks_row"),
        ("L1,node,1,2,3,,,,yes\n", "clicks_row"),
        ("L1,node,1,2,3,11,2,3,0\n", "clicks_row"),
        ("L1,node,1,2,3,,,,,9\n", "clicks_row"),
        (",node,1,2,3,,,,\n", "lesion_without_id"),
        ("L1,node,1,2,3,1.2,2,3,\n", "diameter_too_short"),
        ("L1,node,1,2,3,,,,0\n", "nothing_inside"),
        ("L1,node,1,2,3,,,,\nL1,liver,1,2,4,,,,\n", "kind_differs"),
        ("", "clicks_empty"),
    ],
)
def test_a_wrong_row_is_refused(tmp_path, body, code):
    with pytest.raises(InputRefused) as refused:
        read_clicks(written(tmp_path, HEADER + body))
    assert refused.value.code == code
    assert "clicks.csv" in refused.value.message


@pytest.mark.parametrize(
    "header", ["x,y,z\n", "lesion_id,x,y,z,radius\n", "lesion_id,x,y,z,z\n", ""]
)
def test_wrong_columns_are_refused(tmp_path, header):
    with pytest.raises(InputRefused) as refused:
        read_clicks(written(tmp_path, header + "L1,1,2,3\n"))
    assert refused.value.code == "clicks_columns"


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputRefused, match="clicks"):
        read_clicks(path)


def test_a_prompt_needs_something_inside():
    with pytest.raises(CallError):
        Prompt("L1", None, (Click((0, 0, 0), inside=False),))
    with pytest.raises(CallError):
        Prompt(" ", None, (Click((0, 0, 0)),))
    with pytest.raises(CallError):
        Click((0.0, float("nan"), 0.0))


def test_auto_is_no_kind():
    assert kind_from("auto") is None
    assert kind_from(" Lung ") is LesionKind.LUNG
