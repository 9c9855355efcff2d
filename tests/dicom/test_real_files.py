"""Every DICOM file and series among the real scans: read right, or refused with the right code.

The expectations were found by looking at the files with other programs (dcmdump, GDCM): positions,
orientations, transfer syntaxes, SOP classes. They are not what irplan once printed.
"""

from __future__ import annotations

import os
import string
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its customary name

from irplan import dicom
from irplan.dicom import kinds, pixels
from irplan.dicom.study import SeriesEntry
from irplan.errors import InputRefused
from irplan.volume_io import load_volume

pytestmark = pytest.mark.realdata


@dataclass(frozen=True)
class Usable:
    """A series that is a volume: (columns, rows, slices), spacing in mm, and what must be told."""

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    orientation: str
    told: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Refused:
    """So many images that are no volume, and the code that says why."""

    images: int
    code: str


def told(*codes: str) -> frozenset[str]:
    return frozenset(codes)


DIGITS = string.digits + string.ascii_uppercase
NO_FRAME = "frame_of_reference_absent"
#: Folder (or file) → what lies in it, the parts of one series in the order of their files.
EXPECTED: dict[str, list[Usable | Refused]] = {
    # Positions (0, 0, k × 1.6); no patient id, frame of reference or patient position.
    "volumes/ircad17/dicom": [
        Usable(
            (512, 512, 119),
            (0.743, 0.743, 1.6),
            "LPS",
            told("patient_id_absent", NO_FRAME, "patient_position_absent"),
        )
    ],
    # z from -766.5 to -804.5 in steps of 2, slices 3 mm thick; no patient, study or series UIDs.
    "volumes/totalsegmentator/dicom_j2k": [
        Usable(
            (512, 512, 20),
            (0.9765625, 0.9765625, 2.0),
            "LPS",
            told("patient_id_absent", "study_uid_absent", "series_uid_absent", "slices_overlap"),
        )
    ],
    "lesions/STS_019/dicom/image": [Usable((136, 134, 47), (0.976562, 0.976562, 3.27), "LPS")],
    "lesions/STS_019/dicom/mask": [Refused(1, "not_an_image")],
    "lesions/ibsi_lung": [Refused(1, "not_an_image")],
    # Table steps of 4.22 mm at 18.5°, image type ADD; then steps of 7.38 mm without ADD.
    "dicom/qa_GE_tilt_nonuniform": [
        Usable(
            (512, 548, 14),
            (0.4882812, 0.4882812, 4.22 * 0.9483237),
            "LPS",
            told("gantry_tilt", "series_split"),
        ),
        Usable(
            (512, 575, 14),
            (0.4882812, 0.4882812, 7.38 * 0.9483237),
            "LPS",
            told("gantry_tilt", "series_split", "coarse_slices"),
        ),
    ],
    "dicom/qa_Philips/S21570_S1000_localizer": [Refused(1, "localizer")],
    "dicom/qa_Philips/S21570_S4010_mixed": [
        Refused(3, "localizer"),
        Refused(2, "secondary_capture"),
        Refused(1, "dose_report"),
    ],
    "dicom/qa_Philips/S21610/S1000": [Refused(1, "localizer")],
    # Steps of 2.5 mm at 18.5°.
    "dicom/qa_Philips/S21610/S2010": [
        Usable(
            (512, 537, 16), (0.482421875, 0.482421875, 2.5 * 0.9483237), "LPS", told("gantry_tilt")
        )
    ],
    # Steps of 5 mm at 14°.
    "dicom/dicom2nifti_failing/gantrytilting": [
        Usable(
            (512, 521, 4),
            (0.41796875, 0.41796875, 5 * 0.970295726),
            "LPS",
            told("gantry_tilt", NO_FRAME),
        )
    ],
    "dicom/dicom2nifti_failing/notavolume": [Refused(4, "duplicates_different")],
    "dicom/dicom2nifti_failing/slicecount": [Refused(2, "wrong_modality")],
    "dicom/dicom2nifti_failing/sliceincrement/001": [Refused(4, "missing_slices")],
    "dicom/dicom2nifti_failing/sliceincrement/002": [Refused(4, "missing_slices")],
    "dicom/dicom2nifti_failing/sliceorientation": [Refused(4, "wrong_modality")],
    # PixelSpacing 1.6796875\1.3671875: the rows lie 1.68 apart.
    "dicom/reformat_cor": [Usable((512, 512, 4), (1.3671875, 1.6796875, 1.679684), "LIP")],
    "dicom/reformat_sag": [Usable((512, 512, 4), (1.3671875, 1.6796875, 1.679684), "PIR")],
    "dicom/rtstruct_rtplan": [
        Refused(1, "not_an_image"),
        Refused(1, "not_an_image"),
        Refused(1, "too_few_slices"),
    ],
    "dicom/seg/23x38x3/image": [
        Usable((23, 38, 3), (0.7, 0.7, 2.5), "LPS", told("rescale_unspecified"))
    ],
    "dicom/seg/24x38x3/image": [
        Usable((24, 38, 3), (0.7, 0.7, 2.5), "LPS", told("rescale_unspecified"))
    ],
    "dicom/seg/23x38x3/multiframe": [Usable((23, 38, 3), (0.7, 0.7, 2.5), "LPS")],
    "dicom/seg/24x38x3/multiframe": [Usable((24, 38, 3), (0.7, 0.7, 2.5), "LPS")],
    "dicom/seg/ct-3slice": [Usable((512, 512, 3), (0.810547, 0.810547, 1.0), "LPS")],
    "dicom/seg/liver.dcm": [Refused(1, "not_an_image")],
    "dicom/seg/partial_overlaps.dcm": [Refused(1, "not_an_image")],
    "dicom/seg/23x38x3/seg": [Refused(1, "not_an_image")],
    "dicom/seg/24x38x3/seg": [Refused(1, "not_an_image")],
    "dicom/seg/sparse-labelmap-noppv.dcm": [Refused(1, "not_an_image")],
    "dicom/seg/sparse-labelmap-ppv5.dcm": [Refused(1, "not_an_image")],
    "dicom/htj2k_codestreams": [],
    # One slice a file, whatever its syntax; the pixels themselves are compared below.
    "dicom/transfer_syntaxes/CT1_J2KR": [Refused(1, "too_few_slices")],
    "dicom/transfer_syntaxes/CT2_J2KR": [Refused(1, "too_few_slices")],
    "dicom/transfer_syntaxes/CT0012.fragmented_no_bot_jpeg_baseline.51.dcm": [
        Refused(2, "parameter_map")
    ],
    "dicom/singles/fo/CT-MONO2-16-ankle": [Refused(1, "secondary_capture")],
    "dicom/singles/fo/CT1_J2KI": [Refused(1, "too_few_slices")],
    "dicom/singles/fo/DICOMDIR": [],
    "dicom/singles/fo/D_CLUNIE_CT1_RLE_FRAGS.dcm": [Refused(1, "too_few_slices")],
    "dicom/singles/fo/FreezePattern.dcm": [Refused(1, "dose_report")],
    "dicom/singles/fo/GH1308.dcm": [Refused(1, "too_few_slices")],
    "dicom/singles/fo/GH1376.dcm": [Refused(1, "rendering")],
    "dicom/singles/fo/GH1728.dcm": [Refused(1, "secondary_capture")],
    "dicom/singles/fo/GH178.dcm": [Refused(1, "secondary_capture")],
    "dicom/singles/fo/GH179A.dcm": [Refused(1, "secondary_capture")],
    "dicom/singles/fo/GH179B.dcm": [Refused(1, "secondary_capture")],
    # A handful of elements, no modality: nothing says that these are images of a CT.
    "dicom/singles/fo/GH177_D_CLUNIE_CT1_IVRLE_BigEndian_ELE_undefinded_length.dcm": [
        Refused(1, "too_few_slices")
    ],
    "dicom/singles/fo/GH487.dcm": [Refused(1, "wrong_modality")],
    "dicom/singles/fo/GH223.dcm": [Refused(1, "wrong_modality")],
    "dicom/singles/fo/GH342.dcm": [Refused(1, "localizer")],
    "dicom/singles/fo/GH355.dcm": [Refused(1, "not_an_image")],
    "dicom/singles/fo/IM-0001-0001-0001.dcm": [Refused(1, "too_few_slices")],
    "dicom/singles/pydicom/693_J2KI.dcm": [Refused(1, "too_few_slices")],
    "dicom/singles/pydicom/CT_small.dcm": [Refused(1, "too_few_slices")],
    "dicom/singles/pydicom/J2K_pixelrep_mismatch.dcm": [Refused(1, "too_few_slices")],
    **{
        f"dicom/singles/pydicom/{name}": [Refused(1, "too_few_slices")]
        for name in ["17106", "17136", "17166", "17196", "2062", "2392", "2693", "3023", "3353"]
    },
    "dicom/singles/pydicom/6293": [Refused(1, "localizer")],
    "dicom/singles/pydicom/6924": [Refused(1, "localizer")],
    # Fifty headers whose pixels were taken out: IM000000 to IM00001D, counted in base 36.
    **{
        f"dicom/singles/pydicom/IM0000{tens}{ones}": [Refused(1, "no_pixels")]
        for tens, digits in (("0", DIGITS), ("1", DIGITS[:14]))
        for ones in digits
    },
    "dicom/singles/pydicom-data/693_J2KR.dcm": [Refused(1, "too_few_slices")],
    "dicom/singles/pydicom-data/693_UNCI.dcm": [Refused(1, "too_few_slices")],
    "dicom/singles/pydicom-data/693_UNCR.dcm": [Refused(1, "too_few_slices")],
    "dicom/singles/pydicom-data/bad_sequence.dcm": [Refused(1, "too_few_slices")],
    "dicom/singles/pydicom-data/eCT_Supplemental.dcm": [Refused(2, "parameter_map")],
    "dicom/singles/pydicom-data/explicit_VR-UN.dcm": [Refused(1, "too_few_slices")],
}
_SYNTAX_CODES = {"10_12": "transfer_syntax_unsupported", "6_8": "transfer_syntax_unsupported"}


def agrees(entry: SeriesEntry, expected: Usable | Refused) -> bool:
    codes = {finding.code for finding in entry.findings}
    if isinstance(expected, Refused):
        return (
            not entry.usable
            and len(entry.headers) == expected.images
            and expected.code in {stop.code for stop in entry.stops}
        )
    grid = entry.gate.grid
    return (
        entry.usable
        and grid is not None
        and grid.size == expected.size
        and grid.spacing_mm == pytest.approx(expected.spacing_mm, abs=2e-4)
        and grid.orientation == expected.orientation
        and expected.told <= codes
    )


@pytest.mark.parametrize("place", EXPECTED)
def test_each_series_is_what_looking_at_it_found(realdata: Path, place: str) -> None:
    entries = list(dicom.scan(realdata / place).series)
    expected = EXPECTED[place]
    assert len(entries) == len(expected)
    for wanted in expected:
        fitting = [entry for entry in entries if agrees(entry, wanted)]
        assert fitting, (wanted, [(e.document(), e.kind) for e in entries])
        entries.remove(fitting[0])


def test_each_file_of_the_fifteen_syntaxes(realdata: Path) -> None:
    files = sorted((realdata / "dicom/transfer_syntaxes").glob("CTImage*"))
    assert len(files) == 16
    for path in files:
        (entry,) = dicom.scan(path).series
        code = next((code for key, code in _SYNTAX_CODES.items() if key in path.name), "")
        assert (code or "too_few_slices") in {stop.code for stop in entry.stops}, path.name


def test_the_table_names_every_real_file(realdata: Path) -> None:
    """What the table leaves to others: the fifteen syntaxes, directories, image and text files."""
    elsewhere = ("dicom/transfer_syntaxes/CTImage", "dicom/htj2k_codestreams/")
    # DIRFILE is the class's other customary name.
    others = (".nii.gz", ".nrrd", ".csv", ".md", ".jpg", ".png", "DIRFILE")
    unnamed = []
    for path in sorted(realdata.rglob("*")):
        name = path.relative_to(realdata).as_posix()
        named = any(name == place or name.startswith(place + "/") for place in EXPECTED)
        left = name.startswith(elsewhere) or name.endswith(others) or "DICOMDIR" in path.name
        if path.is_file() and not (named or left):
            unnamed.append(name)
    assert unnamed == []


def test_pieces_of_series_in_one_folder_find_together(realdata: Path) -> None:
    """Two series of single images of 16 × 16: one has a hole of 202.5 mm, one is a volume."""
    entries = dicom.scan(realdata / "dicom/singles/pydicom").series
    by_size = {
        len(entry.headers): entry
        for entry in entries
        if Path(entry.headers[0].path).name in ("17106", "2062")
    }
    assert {stop.code for stop in by_size[4].stops} == {"missing_slices"}
    grid = by_size[5].gate.grid
    assert grid is not None
    assert grid.size == (16, 16, 5)
    assert grid.origin_lps_mm == pytest.approx((-72.199997, -143.0, -1.2375))
    assert grid.spacing_mm[2] == pytest.approx(2.5)


def test_no_real_file_is_left_out(realdata: Path) -> None:
    """Every file that holds a CT image by its class appears in some series of one scan of all."""
    result = dicom.scan(realdata)
    listed = {header.path for entry in result.series for header in entry.headers}
    reader = sitk.ImageFileReader()
    for path in sorted((realdata / "dicom").rglob("*")):
        if not path.is_file() or path.name in ("DICOMDIR", "DIRFILE"):
            continue
        reader.SetFileName(str(path))
        reader.SetImageIO("GDCMImageIO")
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            continue
        assert str(path) in listed, path


@pytest.mark.parametrize(
    "place", [place for place, parts in EXPECTED.items() if isinstance((parts or [0])[0], Usable)]
)
def test_each_volume_equals_what_gdcm_reads(realdata: Path, place: str) -> None:
    """Straight volumes voxel by voxel; of tilted ones the rows that lie on whole rows."""
    for entry in dicom.scan(realdata / place).usable:
        volume = dicom.read_entry(entry, realdata / place)
        names = [entry.headers[index].path for index in entry.gate.order]
        if len(set(names)) == 1:
            image = sitk.ReadImage(names[0])
            other = sitk.GetArrayFromImage(image).reshape(volume.hu.shape)
        else:
            image = sitk.ReadImage(names)
            other = sitk.GetArrayFromImage(image)
        if entry.gate.shear_mm == (0.0, 0.0):
            assert np.array_equal(volume.hu, other)
            assert volume.geometry.origin_lps_mm == pytest.approx(image.GetOrigin()[:3], abs=1e-6)
            continue
        # Slice 0 of an upward shear keeps its rows; of a downward one it begins lower.
        grid = volume.geometry
        start = grid.to_index(image.GetOrigin())
        assert start[[0, 2]] == pytest.approx([0, 0], abs=1e-3)
        row = round(float(start[1]))
        rows = other.shape[1]
        assert start[1] == pytest.approx(row, abs=1e-3)
        assert np.array_equal(volume.hu[0, row : row + rows], other[0])


def test_each_single_image_equals_what_gdcm_reads(realdata: Path, tmp_path: Path) -> None:
    """Every file that is a CT slice, alone or not, through our decoder and through GDCM's."""
    compared = []
    for path in sorted((realdata / "dicom").rglob("*")):
        if not path.is_file() or path.name in ("DICOMDIR", "DIRFILE"):
            continue
        for entry in dicom.scan(path).series:
            stops = {stop.code for stop in entry.stops}
            if entry.kind != kinds.SLICE or stops - {"too_few_slices"} or len(entry.headers) > 1:
                continue
            out = np.empty((entry.first.rows, entry.first.columns), dtype=np.int16)
            _decode_alone(entry, out)
            other = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
            measured = np.rint(other)
            padded = measured < pixels.DARKEST_PADDING_HU
            assert np.array_equal(out[~padded], measured[~padded]), path
            assert (out[padded] == pixels.NOT_IMAGED_HU).all(), path
            compared.append(os.path.basename(path))
    assert len(compared) >= 110


def _decode_alone(entry: SeriesEntry, out: np.ndarray) -> None:
    from irplan.dicom.codecs import decode
    from irplan.dicom.native import native_values

    header = entry.first
    if header.transfer_syntax_uid in pixels.NATIVE:
        pixels.to_hu(native_values(header, out), header, out)
    else:
        stored, meaning, _ = decode(header)
        pixels.to_hu(stored, meaning, out)


def test_a_dicomdir_whose_targets_are_partly_absent(realdata: Path) -> None:
    directories = sorted((realdata / "dicom").rglob("DICOMDIR*"))
    assert len(directories) >= 7
    for directory in directories:
        result = dicom.scan(directory)
        assert {finding.code for finding in result.findings} <= {"dicomdir_targets_absent"}
        with pytest.raises(InputRefused):
            load_volume(directory)
