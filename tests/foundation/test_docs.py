"""What the pages point at is there, and the page of findings is the code's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    missing = [
        link
        for link in links
        if not link.startswith("http") and not (page.parent / link).resolve().exists()
    ]
    named = re.findall(
        r"`((?:irplan|ui|tests|docs|scripts|benchmarks|sample_dicom)/[\w./-]*)`", text
    )
    missing += [name for name in named if not (REPOSITORY / name).exists()]
    assert missing == []


def test_the_page_of_findings_is_made_from_the_code() -> None:
    script = REPOSITORY / "scripts" / "write_findings.py"
    run = subprocess.run(
        [sys.executable, script, "--check"], cwd=REPOSITORY, capture_output=True, text=True,
        check=False, env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr + "run scripts/write_findings.py"
