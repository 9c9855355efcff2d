"""A plan on a small made-up scan at visit 1, carried to visit 2; built once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import pytest

from irplan.headless import session_for
from irplan.lesions import Diameter, Prompt
from irplan.phantom import Phantom, PhantomSpec, build_phantom, write_dicom
from irplan.phantom.gestures import diameters
from irplan.plan.request import PlanRequest
from irplan.transfer import Transfer, transfer_plan

#: The belly: L3 stays, L4 goes between the visits, L8 comes.
SPEC = PhantomSpec(
    columns=128, rows=112, slices=62, fov_mm=410.0, spacing_z_mm=4.0, centre_mm=(0.0, 8.0, -110.0)
)


@dataclass(frozen=True)
class Visits:
    """Both scans as DICOM, and the plan on the first."""

    first: Phantom
    second: Phantom
    folder: Path

    @property
    def plan(self) -> Path:
        return self.folder / "plan1"


def prompts(phantom: Phantom, names: tuple[str, ...]) -> tuple[Prompt, ...]:
    return tuple(
        Prompt(
            name,
            None,
            tuple(
                Diameter(tuple(map(float, start)), tuple(map(float, end)))
                for start, end in diameters(phantom.lesion(name))
            ),
        )
        for name in names
    )


@pytest.fixture(scope="session")
def visits(tmp_path_factory: pytest.TempPathFactory) -> Visits:
    folder = tmp_path_factory.mktemp("visits")
    first, second = build_phantom(SPEC), build_phantom(replace(SPEC, timepoint=2))
    write_dicom(first, folder / "visit1")
    write_dicom(second, folder / "visit2")
    request = PlanRequest(prompts=prompts(first, ("L3", "L4")), weight_kg=Decimal(70))
    session = session_for(folder / "visit1", request)
    session.save(folder / "plan1")
    return Visits(first, second, folder)


@pytest.fixture(scope="session")
def carried(visits: Visits) -> Transfer:
    return transfer_plan(visits.plan, visits.folder / "visit2", visits.folder / "plan2")
