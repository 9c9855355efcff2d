"""Shared fixtures. Real scans are read where they are present and skipped, by name, where not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# A scan that an earlier run remembered must not stand in for one that is read.
os.environ.setdefault("IRPLAN_NO_CACHE", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


def realdata_folder() -> Path:
    """Where the real scans lie: IRPLAN_REALDATA, or a folder shared beside the clone."""
    named = os.environ.get("IRPLAN_REALDATA")
    return Path(named) if named else REPOSITORY.parent / "shared" / "realdata"


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real CT scans; the test is skipped where it is absent."""
    folder = realdata_folder()
    if not (folder / "lesions.csv").is_file():
        pytest.skip(f"real scans are absent: {folder}")
    return folder
