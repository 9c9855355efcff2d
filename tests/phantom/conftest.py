"""One small phantom a visit, rendered once for all tests of the folder."""

from __future__ import annotations

import pytest

from irplan.phantom import Phantom, PhantomSpec, build_phantom

SMALL = PhantomSpec(columns=128, rows=128, slices=176, samples=2)


@pytest.fixture(scope="session")
def visit1() -> Phantom:
    return build_phantom(SMALL)


@pytest.fixture(scope="session")
def visit2() -> Phantom:
    return build_phantom(SMALL.at_visit(2))
