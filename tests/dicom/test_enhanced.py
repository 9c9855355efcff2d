"""Enhanced (multiframe) CT: frames in any order, each with its own rescaling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_writer import marked, save
from enhanced_writer import enhanced_image
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from irplan import dicom
from irplan.errors import InputRefused
from irplan.volume_io import load_volume


def expected(frames: int) -> np.ndarray:
    """The writer's values: slice k holds marked(k), rescaled with its own intercept."""
    return np.stack([marked(k) - 1024 - k for k in range(frames)])


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_frames_in_any_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    path = save(enhanced_image(4, order), tmp_path / "one")
    volume = load_volume(path)
    assert np.array_equal(volume.hu, expected(4))
    assert volume.geometry.spacing_mm == pytest.approx((0.7, 0.8, 2.0))
    assert volume.geometry.origin_lps_mm == pytest.approx((-10.0, -20.0, 0.0))
    assert volume.identity.sop_instance_uids == ("1.2.826.0.2.1",) * 4
    assert volume.findings == ()


def test_compressed_and_deflated(tmp_path: Path) -> None:
    coded = enhanced_image(4, (2, 0, 3, 1))
    coded.compress(RLELossless, generate_instance_uid=False)
    assert np.array_equal(load_volume(save(coded, tmp_path / "rle")).hu, expected(4))
    deflated = enhanced_image(4, (2, 0, 3, 1))
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert np.array_equal(load_volume(save(deflated, tmp_path / "deflated")).hu, expected(4))


def test_two_temporal_positions_are_two_volumes(tmp_path: Path) -> None:
    ds = enhanced_image(6)
    for index, groups in enumerate(ds.PerFrameFunctionalGroupsSequence):
        content = Dataset()
        content.TemporalPositionIndex = 1 + index // 3
        groups.FrameContentSequence = [content]
        height = 2.0 * (index % 3)
        groups.PlanePositionSequence[0].ImagePositionPatient = [-10.0, -20.0, height]
    result = dicom.scan(save(ds, tmp_path / "one"))
    assert [entry.usable for entry in result.series] == [True, True]
    assert [entry.document()["size"] for entry in result.series] == [[5, 6, 3], [5, 6, 3]]


def test_contrast_and_day_are_read_where_enhanced_files_keep_them(tmp_path: Path) -> None:
    ds = enhanced_image(3)
    agent, usage = Dataset(), Dataset()
    agent.CodeValue, agent.CodingSchemeDesignator, agent.CodeMeaning = "1", "99X", "Iohexol"
    usage.ContrastBolusAgentPhase = "PORTAL_VENOUS"
    ds.ContrastBolusAgentSequence = [agent]
    ds.SharedFunctionalGroupsSequence[0].ContrastBolusUsageSequence = [usage]
    ds.AcquisitionDateTime, ds.ContentDate = "20240131235959.5", "20240201"
    (entry,) = dicom.scan(save(ds, tmp_path / "one")).series
    assert entry.document()["contrast"] == "Iohexol, portal venous"
    assert entry.document()["acquired"] == "2024-01-31"


def no_positions(ds: Dataset) -> None:
    for groups in ds.PerFrameFunctionalGroupsSequence:
        del groups.PlanePositionSequence


def a_frame_missing(ds: Dataset) -> None:
    ds.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence[0].ImagePositionPatient = [
        *(-10.0, -20.0, 20.0)
    ]


def fewer_groups(ds: Dataset) -> None:
    ds.PerFrameFunctionalGroupsSequence = ds.PerFrameFunctionalGroupsSequence[:3]


def more_frames(ds: Dataset) -> None:
    ds.NumberOfFrames = 2_000_000_000


def pixels_cut(ds: Dataset) -> None:
    ds.PixelData = ds.PixelData[:-60]


REFUSED = [
    (no_positions, "geometry_absent"),
    (a_frame_missing, "missing_slices"),
    (fewer_groups, "file_damaged"),
    (more_frames, "file_damaged"),
    (pixels_cut, "pixels_truncated"),
]


@pytest.mark.parametrize(("spoil", "code"), REFUSED)
def test_a_file_that_contradicts_itself_is_refused(
    tmp_path: Path, spoil: object, code: str
) -> None:
    ds = enhanced_image(4)
    spoil(ds)  # type: ignore[operator]
    path = save(ds, tmp_path / "one")
    (entry,) = dicom.scan(path).series
    assert code in {finding.code for finding in entry.findings}
    with pytest.raises(InputRefused):
        load_volume(path)
