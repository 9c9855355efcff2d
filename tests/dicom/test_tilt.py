"""A whole series from a tilted gantry, computed from a formula, against that formula.

The gantry leans about the patient's left-right axis while the table moves along the long axis, so
every slice is a plane of its own and the stack of them is sheared. Straightened, each voxel must
show what the formula says of the place where the grid says it lies.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_writer import write_series
from pydicom.dataset import Dataset

from irplan.dicom.pixels import NOT_IMAGED_HU
from irplan.geometry import FloatArray
from irplan.volume import CtVolume
from irplan.volume_io import load_volume

ROWS, COLUMNS, SLICES = 80, 56, 26
PIXEL_MM, TABLE_STEP_MM = 0.8, 1.6
CORNER = np.array([-20.0, -30.0, 105.0])
SIGMA_MM, HEIGHT_HU, BALL_MM = 6.0, 1000.0, 9.0
#: Ways to lie: row direction, and the column direction where the gantry stands upright.
LYING = {
    "HFS": ([1.0, 0, 0], [0, 1.0, 0]),
    "HFP": ([-1.0, 0, 0], [0, -1.0, 0]),
    "FFS": ([-1.0, 0, 0], [0, 1.0, 0]),
}
TILTS = [-24.0, -7.5, 12.0, 29.0]


def blob(points: FloatArray, centre: FloatArray) -> FloatArray:
    """A soft blob: smooth everywhere, so linear resampling errs by a known amount at most."""
    square = ((points - centre) ** 2).sum(axis=-1)
    value: FloatArray = -900 + HEIGHT_HU * np.exp(-square / (2 * SIGMA_MM**2))
    return value


def ball(points: FloatArray, centre: FloatArray) -> FloatArray:
    """A ball of 60 HU in fat of -100 HU."""
    inside = ((points - centre) ** 2).sum(axis=-1) <= BALL_MM**2
    value: FloatArray = np.where(inside, 60.0, -100.0)
    return value


def scanned(
    folder: Path, lying: str, tilt_deg: float, shown: object
) -> tuple[CtVolume, FloatArray]:
    """What a tilted scanner writes of ``shown``, read; and the centre of what it shows, LPS mm."""
    row, upright = map(np.array, LYING[lying])
    angle = np.radians(tilt_deg)
    column = upright * np.cos(angle) + np.array([0, 0, np.sin(angle)])
    j, i = np.mgrid[:ROWS, :COLUMNS]

    def plane(index: int) -> FloatArray:
        start = CORNER + np.array([0.0, 0.0, index * TABLE_STEP_MM])
        places: FloatArray = start + PIXEL_MM * (i[..., None] * row + j[..., None] * column)
        return places

    centre = plane(SLICES // 2)[ROWS // 2, COLUMNS // 2] + [0.3, -0.2, 0.1]

    def change(ds: Dataset, index: int) -> None:
        ds.PatientPosition = lying
        ds.ImageOrientationPatient = [f"{value:.9f}" for value in (*row, *column)]
        ds.ImagePositionPatient = [f"{value:.6f}" for value in plane(index)[0, 0]]
        ds.PixelSpacing = [PIXEL_MM, PIXEL_MM]
        ds.Rows, ds.Columns = ROWS, COLUMNS
        hu = np.rint(shown(plane(index), centre))  # type: ignore[operator]
        ds.PixelData = (hu + 1024).astype("<i2").tobytes()

    write_series(folder, [0.0] * SLICES, change)
    volume = load_volume(folder)
    told = [finding.message for finding in volume.findings if finding.code == "gantry_tilt"]
    assert len(told) == 1
    assert f"{abs(tilt_deg):.1f}°" in told[0]
    return volume, centre


def centres(volume: CtVolume) -> FloatArray:
    """(z, y, x, 3) LPS of every voxel."""
    k, j, i = np.indices(volume.hu.shape)
    return volume.geometry.to_lps(np.stack([i, j, k], axis=-1))


@pytest.mark.parametrize("lying", LYING)
@pytest.mark.parametrize("tilt_deg", TILTS)
def test_every_voxel_shows_what_lies_there(tmp_path: Path, lying: str, tilt_deg: float) -> None:
    volume, centre = scanned(tmp_path, lying, tilt_deg, blob)
    covered = volume.hu != NOT_IMAGED_HU
    # Each slice keeps all of its rows but the one that the resampling may take.
    assert covered.sum() >= SLICES * (ROWS - 1) * COLUMNS
    expected = blob(centres(volume), centre)
    # Between two rows a linear step errs by h²/8 times the largest second derivative; twice
    # a value is rounded.
    bound = PIXEL_MM**2 / 8 * HEIGHT_HU / SIGMA_MM**2 + 1.0
    assert np.abs(volume.hu[covered] - expected[covered]).max() <= bound
    assert volume.hu[covered].max() > -900 + HEIGHT_HU - 30


@pytest.mark.parametrize("lying", LYING)
@pytest.mark.parametrize("tilt_deg", TILTS)
def test_a_ball_stays_a_ball_of_its_volume(tmp_path: Path, lying: str, tilt_deg: float) -> None:
    volume, centre = scanned(tmp_path, lying, tilt_deg, ball)
    # A voxel on the border counts by its share: resampling spreads a border and does not move it.
    share = np.clip((volume.hu.astype(float) + 100) / 160, 0, 1).ravel()
    places = centres(volume).reshape(-1, 3)
    volume_ml = share.sum() * volume.geometry.voxel_ml
    assert volume_ml == pytest.approx(4 / 3 * np.pi * BALL_MM**3 / 1000, rel=0.02)
    assert np.average(places, axis=0, weights=share) == pytest.approx(centre, abs=0.1)
    # A ball spreads alike in all directions, r²/5; a sheared one does not.
    spread = np.cov(places.T, aweights=share)
    assert spread == pytest.approx(np.eye(3) * BALL_MM**2 / 5, abs=0.5)
