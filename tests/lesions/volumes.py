"""Analytic bodies on CT grids: the truth is a formula, not another program."""

from __future__ import annotations

import numpy as np

from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.volume import CtVolume

TURN = np.deg2rad(25.0)
AXES = {
    "supine": np.eye(3),
    "flipped": np.diag([-1.0, 1.0, -1.0]),
    "decubitus": np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
    "coronal": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
    "oblique": np.array(
        [
            [1.0, 0.0, 0.0],
            [0.0, np.cos(TURN), -np.sin(TURN)],
            [0.0, np.sin(TURN), np.cos(TURN)],
        ]
    ),
}


def grid_of(
    axes: str = "supine",
    size: tuple[int, int, int] = (60, 50, 40),
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.5),
) -> GridGeometry:
    direction = AXES[axes]
    extent = direction @ ((np.array(size) - 1) * np.array(spacing_mm))
    # The grid's middle lies at a place that is no round number.
    origin = np.array([12.3, -45.6, 78.9]) - extent / 2
    return GridGeometry(size, spacing_mm, tuple(origin.tolist()), tuple(direction.ravel().tolist()))


def middle_of(grid: GridGeometry) -> FloatArray:
    return grid.to_lps((np.array(grid.size) - 1) / 2.0)


def centres_lps_mm(grid: GridGeometry) -> FloatArray:
    """(z, y, x, 3) positions of all voxel centres."""
    z, y, x = np.indices(grid.shape_zyx)
    return grid.to_lps(np.stack([x, y, z], axis=-1))


def ellipsoid_mask(
    grid: GridGeometry, centre_lps_mm: FloatArray, half_mm: tuple[float, float, float]
) -> BoolArray:
    """Voxels whose centre lies in an ellipsoid along the patient's axes."""
    offset = (centres_lps_mm(grid) - centre_lps_mm) / np.asarray(half_mm)
    return (offset**2).sum(axis=-1) <= 1.0


def painted_ct(
    grid: GridGeometry,
    centre_lps_mm: FloatArray,
    half_mm: tuple[float, float, float],
    *,
    inside_hu: float = 60.0,
    outside_hu: float = -100.0,
    noise_hu: float = 8.0,
    seed: int = 1,
) -> CtVolume:
    """An ellipsoid in a uniform surrounding, with partial volume (4 points an axis) and noise."""
    share = np.zeros(grid.shape_zyx)
    steps = (np.arange(4) + 0.5) / 4 - 0.5
    z, y, x = np.indices(grid.shape_zyx)
    index = np.stack([x, y, z], axis=-1).astype(float)
    for i in steps:
        for j in steps:
            for k in steps:
                points = grid.to_lps(index + np.array([i, j, k]))
                offset = (points - centre_lps_mm) / np.asarray(half_mm)
                share += ((offset**2).sum(axis=-1) <= 1.0) / 64.0
    noise = np.random.default_rng(seed).normal(0.0, noise_hu, grid.shape_zyx)
    hu = outside_hu + share * (inside_hu - outside_hu) + noise
    return CtVolume(np.rint(hu).astype(np.int16), grid)
