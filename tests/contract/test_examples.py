"""Every build gives the documents of docs/examples/."""

from __future__ import annotations

import importlib.util
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from .conftest import EXAMPLES, REPOSITORY, Call

spec = importlib.util.spec_from_file_location(
    "make_examples", REPOSITORY / "scripts" / "make_examples.py"
)
examples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(examples)

#: Times, people, hosts and what is hashed over them: different on every run.
RUN_KEYS = {
    "run",
    "added",
    "added_by",
    "original_sha256",
    "audit",
    "head",
    "irplan_version",
    "store",
    "actor",
    "time",
}
SCHEMA_OF = {"measured": "lesions", "refused": "allocation"}
DOSES = {"allocation", "drugs", "ml", "mg"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("examples")
    examples.prepare(made)
    return made


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(one, marks=[pytest.mark.long] if one in examples.SLOW else [])
        for one in examples.CALLS
    ],
)
def test_the_document_is_as_in_the_example(
    name: str, folder: Path, irplan: Call, conforms: Any
) -> None:
    for needed in examples.NEEDS.get(name, ()):
        # Made by the test before this one, where that was not left out.
        if not (folder / {"plan": "plan", "transfer": "carried"}[needed]).exists():
            irplan(*examples.arguments_of(needed, folder), cwd=folder, env={"IRPLAN_STORE": ""})
    run = irplan(*examples.arguments_of(name, folder), cwd=folder, env={"IRPLAN_STORE": ""})
    assert run.code == examples.CALLS[name][1], run.err
    conforms(run.json, SCHEMA_OF.get(name, name))
    expected = json.loads((EXAMPLES / f"{name}.json").read_text(), parse_float=Decimal)
    assert list(differences(expected, run.json)) == []


def differences(expected: Any, found: Any, path: str = "", exact: bool = False):
    """Where two documents differ: doses exactly, measured values by more than their last place."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in {*expected, *found} - RUN_KEYS:
            here = f"{path}.{key}"
            yield from differences(expected.get(key), found.get(key), here, exact or key in DOSES)
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(one, other, f"{path}[{number}]", exact)
    elif isinstance(expected, Decimal) and isinstance(found, Decimal | int) and not exact:
        place = Decimal(1).scaleb(expected.as_tuple().exponent)
        if abs(expected - found) > place:
            yield path, expected, found
    elif expected != found:
        yield path, expected, found
