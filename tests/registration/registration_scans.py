"""Small made-up scans with maps between them that are known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from irplan.body import find_body
from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.phantom import PhantomSpec, build_phantom
from irplan.volume import CtVolume

#: The lower trunk at a coarse grid: 2.8 × 2.8 × 4 mm.
SPEC = PhantomSpec(
    columns=144, rows=128, slices=60, fov_mm=410.0, spacing_z_mm=4.0, centre_mm=(0.0, 8.0, -100.0)
)


@dataclass(frozen=True)
class Seen:
    """A scan and the patient in it."""

    volume: CtVolume
    body: BoolArray


def seen(volume: CtVolume) -> Seen:
    return Seen(volume, find_body(volume))


@pytest.fixture(scope="session")
def trunk() -> Seen:
    return seen(build_phantom(SPEC).volume())


@pytest.fixture(scope="session")
def trunk_later() -> Seen:
    """The same patient at the second visit, as the CT of a PET/CT: thick, noisy, no contrast."""
    spec = PhantomSpec(
        columns=120, rows=104, slices=52, fov_mm=420.0, spacing_z_mm=5.0,
        centre_mm=(4.0, 6.0, -98.0), timepoint=2, noise_hu=28.0, contrast=False, seed=77,
    )  # fmt: skip
    return seen(build_phantom(spec).volume())


def warped(
    scan: CtVolume, back: Callable[[FloatArray], FloatArray], grid: GridGeometry, noise_hu: float
) -> CtVolume:
    """The scan with each point p of ``grid`` showing what lay at ``back(p)``, LPS mm."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape_zyx), indexing="ij")
    points = grid.to_lps(np.stack([i, j, k], axis=-1))
    index = np.moveaxis(scan.geometry.to_index(back(points))[..., ::-1], -1, 0)
    hu = ndimage.map_coordinates(
        scan.hu.astype(np.float32), index, order=1, mode="constant", cval=-1000.0
    )
    hu += np.random.default_rng(5).normal(0.0, noise_hu, hu.shape)
    return CtVolume(np.clip(np.rint(hu), -1024, 3071).astype(np.int16), grid)
