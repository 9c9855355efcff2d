"""What was found in a scan goes with every number made from it, in both scans of a follow-up."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from irplan import following
from irplan.geometry import GridGeometry
from irplan.volume import CtVolume
from irplan.volume_io import save_label_map, save_volume

GRID = GridGeometry((64, 56, 40), (5.0, 5.0, 5.0), (-160.0, -140.0, -100.0))


def patient_with_a_lesion() -> tuple[CtVolume, np.ndarray]:
    """An ellipse of soft tissue with noise, and a brighter ball in it."""
    z, y, x = np.mgrid[:40, :56, :64].astype(float)
    hu = np.where(((x - 31.5) / 28) ** 2 + ((y - 27.5) / 20) ** 2 < 1, 40.0, -1000.0)
    ball = (x - 40) ** 2 + (y - 27) ** 2 + (z - 20) ** 2 < 16
    hu[ball] = 110.0
    hu += np.random.default_rng(4).normal(0, 10, hu.shape)
    return CtVolume(np.rint(hu).astype(np.int16), GRID), ball


def test_follow_names_what_was_found_in_both_scans(tmp_path: Path) -> None:
    volume, ball = patient_with_a_lesion()
    for name in ("old", "new"):
        save_volume(volume, tmp_path / f"{name}.nrrd")
    save_label_map(ball, GRID, tmp_path / "mask.mha")
    older = following.scan_with_lesions(tmp_path / "old.nrrd", mask=tmp_path / "mask.mha")
    document, _ = following.follow_scans(older, tmp_path / "new.nrrd", tmp_path / "out")
    # A NRRD names no patient: a warning that the numbers made from it must carry.
    assert "identity_unknown" in {finding["code"] for finding in document["findings"]}
