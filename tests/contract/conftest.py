"""The program from outside: these tests call the installed ``irplan`` and nothing else.

IRPLAN_PROGRAM names another build to be tested; without it the one of this environment is run.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / "sample_dicom"
EXAMPLES = REPOSITORY / "docs" / "examples"


def program() -> list[str]:
    """How the program is started."""
    named = os.environ.get("IRPLAN_PROGRAM")
    if named:
        return shlex.split(named)
    installed = Path(sys.executable).with_name("irplan")
    return [str(installed)] if installed.exists() else [sys.executable, "-P", "-m", "irplan"]


def _installed() -> bool:
    return program()[0] != sys.executable


@dataclass(frozen=True)
class Run:
    """What came of one call."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document, numbers with a point as Decimal."""
        return json.loads(self.out, parse_float=Decimal)


Call = Callable[..., Run]


@pytest.fixture(scope="session")
def irplan() -> Call:
    """Call the program: ``irplan("scan", path, "--json")``."""

    def call(*arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> Run:
        done = subprocess.run(
            [*program(), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=550,
            cwd=cwd,
            # The clone stands in for an installed program, where there is none.
            env={
                "PYTHONPATH": "" if _installed() else str(REPOSITORY),
                **os.environ,
                **(env or {}),
            },
            stdin=subprocess.DEVNULL,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="session")
def conforms(irplan: Call) -> Callable[[Any, str], None]:
    """Check a document against the schema that the program itself prints."""
    schemas: dict[str, Any] = {}

    def check(document: Any, name: str) -> None:
        if name not in schemas:
            schemas[name] = json.loads(irplan("schema", name).out)
            jsonschema.Draft202012Validator.check_schema(schemas[name])
        plain = json.loads(json.dumps(document, default=float))
        jsonschema.validate(plain, schemas[name])
        assert document["schema"] == f"irplan.{name}/1"

    return check


@pytest.fixture(scope="session")
def sample() -> Path:
    """The sample patient's folder."""
    return SAMPLE


@pytest.fixture(scope="session")
def plan_folder(irplan: Call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of the sample patient's first visit."""
    out = tmp_path_factory.mktemp("contract") / "plan"
    run = irplan(
        "plan", SAMPLE / "visit1", "--clicks", SAMPLE / "clicks1.csv", "--weight-kg", "70",
        "--out", out, "--json",
    )  # fmt: skip
    assert run.code in (0, 4), run.err
    (out.parent / "stdout.json").write_text(run.out)
    return out
