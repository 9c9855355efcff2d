"""A request survives its way through the plan document, whatever is in it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irplan import jsonio
from irplan.errors import InputRefused
from irplan.lesions import Click, Diameter, Prompt
from irplan.lesions.gestures import Box, Scribble
from irplan.lesions.lesion import LesionKind
from irplan.plan.inputs import read_inputs
from irplan.plan.request import PROTOCOL_INPUT, PlanRequest, input_name

COORDINATES = st.floats(-2000, 2000, allow_nan=False)
POINTS = st.tuples(COORDINATES, COORDINATES, COORDINATES)
CLICKS = st.builds(Click, POINTS, inside=st.booleans())
DIAMETERS = st.builds(
    lambda start, length: Diameter(start, (start[0] + length, start[1], start[2])),
    POINTS,
    st.floats(2, 90),
)
BOXES = st.builds(
    lambda start, length: Box(start, (start[0] + length, start[1] - length, start[2])),
    POINTS,
    st.floats(2, 90),
)
SCRIBBLES = st.builds(
    Scribble, st.lists(POINTS, min_size=1, max_size=3).map(tuple), inside=st.booleans()
)
PROMPTS = st.builds(
    lambda name, kind, first, rest: Prompt(name, kind, (Click(first), *rest)),
    st.text("ABCxyz019-_", min_size=1, max_size=8),
    st.none() | st.sampled_from(LesionKind),
    POINTS,
    st.lists(CLICKS | DIAMETERS | BOXES | SCRIBBLES, max_size=4),
)
DECIMALS = st.decimals("0.001", "500", places=3)
NAMES = st.text("abcdef-_ é", min_size=1, max_size=10)
REQUESTS = st.builds(
    PlanRequest,
    prompts=st.lists(PROMPTS, max_size=4).map(tuple),
    weight_kg=st.none() | DECIMALS,
    weight_age_days=st.none() | st.integers(0, 999),
    height_cm=st.none() | DECIMALS,
    increment_ml=st.none() | DECIMALS,
    prescribed_mg=st.dictionaries(NAMES, DECIMALS, max_size=3).map(lambda d: tuple(d.items())),
    visit=st.integers(1, 99),
    patient_position=st.sampled_from(["", "supine", "prone", "left", "right"]),
    targets=st.lists(NAMES, max_size=3).map(tuple),
    excluded=st.dictionaries(NAMES, NAMES, max_size=3).map(lambda d: tuple(d.items())),
    accepted=st.dictionaries(NAMES, NAMES, max_size=3).map(lambda d: tuple(d.items())),
    chosen=st.dictionaries(NAMES, NAMES, max_size=3).map(lambda d: tuple(d.items())),
    mask=st.none() | st.just(Path("somewhere/Lesions.NII.GZ")),
    given=st.none() | st.just(Path("given.csv")),
)


@given(REQUESTS)
def test_a_request_comes_back_as_it_was(request_: PlanRequest) -> None:
    folder = Path("plan") / "inputs"
    text = jsonio.dumps(request_.document())
    again = PlanRequest.from_document(jsonio.loads(text), folder)
    for name in ("prompts", "weight_kg", "height_cm", "increment_ml", "prescribed_mg", "visit"):
        assert getattr(again, name) == getattr(request_, name)
    for name in (
        "patient_position",
        "weight_age_days",
        "targets",
        "excluded",
        "accepted",
        "chosen",
    ):
        assert getattr(again, name) == getattr(request_, name)
    assert again.mask == (None if request_.mask is None else folder / "mask.nii.gz")
    assert again.given == (None if request_.given is None else folder / "given.csv")
    assert again.protocol == str(folder / PROTOCOL_INPUT)
    # A second trip changes nothing at all.
    assert PlanRequest.from_document(jsonio.loads(jsonio.dumps(again.document())), folder) == again


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.nii.gz", "mask.nii.gz"),
        ("my.seg.dcm", "mask.dcm"),
        ("X.NRRD", "mask.nrrd"),
        ("x", "mask"),
    ],
)
def test_the_copy_keeps_the_ending_that_tells_the_format(name: str, expected: str) -> None:
    assert input_name("mask", Path("folder.d") / name) == expected


@pytest.mark.parametrize("damage", ["prompts", "weight_kg", "mask", "targets", "visit"])
def test_a_document_that_lacks_a_part_is_refused(damage: str) -> None:
    document = json.loads(jsonio.dumps(PlanRequest().document()))
    del document[damage]
    with pytest.raises(InputRefused):
        PlanRequest.from_document(document, Path("inputs"))


def test_the_defaults_that_were_used_are_among_the_inputs() -> None:
    contents = read_inputs(PlanRequest(weight_kg=Decimal(70)))
    assert set(contents) == {"constraints.toml", "needles.toml", "protocol.toml"}
    assert b"nivipit" in contents["protocol.toml"]


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match=r"gone\.csv"):
        read_inputs(PlanRequest(given=tmp_path / "gone.csv"))
