"""Stored values to HU: containers, signs, bit depths, byte orders, padding, transfer syntaxes."""

from __future__ import annotations

import struct
from pathlib import Path

import jpeg_ls
import numpy as np
import openjpeg.utils as openjpeg
import pytest
from dicom_writer import image, save, write_series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from irplan import dicom
from irplan.errors import InputRefused
from irplan.volume_io import load_volume

RNG = np.random.default_rng(7)


def hu_of(folder: Path) -> np.ndarray:
    return load_volume(folder).hu


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    bits=st.integers(8, 16),
    spare_above=st.booleans(),
    signed=st.booleans(),
    slope=st.sampled_from([1.0, 2.0, 0.5, 1.7320508, 10.0]),
    intercept=st.sampled_from([0.0, -1024.0, -8192.0, -1000.25, 31744.0, -32768.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_hu_are_slope_times_value_plus_intercept(
    tmp_path_factory: pytest.TempPathFactory,
    bits: int,
    spare_above: bool,
    signed: bool,
    slope: float,
    intercept: float,
    seed: int,
) -> None:
    """Oracle: the formula in float64 on the values that were put in, rounded and clipped."""
    rng = np.random.default_rng(seed)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    values = [rng.integers(low, high + 1, size=(6, 5)) for _ in range(3)]
    values[0].flat[:2] = low, high
    shift = 0 if spare_above else 16 - bits

    def change(ds: Dataset, index: int) -> None:
        words = (values[index] & ((1 << bits) - 1)) << shift
        # Overlays of old scanners lie in the bits that are not value bits.
        spare = 0xFFFF & ~(((1 << bits) - 1) << shift)
        words = words | (rng.integers(0, 1 << 16, size=(6, 5)) & spare)
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1 + shift, int(signed)
        ds.add_new(0x60000100, "US", 16)
        ds.RescaleSlope, ds.RescaleIntercept = slope, intercept
        ds.PixelData = words.astype("<u2").tobytes()

    folder = write_series(tmp_path_factory.mktemp("bits"), [0.0, 2.0, 4.0], change)
    volume = load_volume(folder)
    exact = np.stack(values) * slope + intercept
    assert np.array_equal(volume.hu, np.clip(np.rint(exact), -32768, 32767))
    clipped = bool(np.any((np.rint(exact) < -32768) | (np.rint(exact) > 32767)))
    assert ("hu_clipped" in {finding.code for finding in volume.findings}) is clipped


@pytest.mark.parametrize(
    ("bits", "high", "signed", "word"),
    [(12, 11, 0, 4100), (12, 11, 0, 63536), (12, 11, 1, 0x1BB8), (12, 15, 1, 0x0108)],
)
def test_bits_that_nothing_explains_are_refused(
    tmp_path: Path, bits: int, high: int, signed: int, word: int
) -> None:
    """4100 in 12 bits is metal to one reader and air to another; and so is an unsigned -2000."""

    def change(ds: Dataset, index: int) -> None:
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, high, signed
        words = np.full((6, 5), 0xFF00 if signed else 1000, "<u2")
        words[2, 2] = word
        ds.PixelData = words.tobytes()

    with pytest.raises(InputRefused, match="bits that the header gives them") as refused:
        load_volume(write_series(tmp_path, [0.0, 2.0], change))
    assert refused.value.code == "pixels_unreadable"


@pytest.mark.parametrize(("tag", "kind"), [(63536, "US"), (-2000, "SS")])
def test_padding_written_with_more_bits_than_the_pixels_is_padding(
    tmp_path: Path, tag: int, kind: str
) -> None:
    def change(ds: Dataset, index: int) -> None:
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
        words = np.full((6, 5), 1000, "<u2")
        words[:, 0] = 63536
        words[0, 1] = 63536 & 4095  # soft tissue that only looks like padding
        ds.PixelData = words.tobytes()
        ds.add_new(0x00280120, kind, tag)

    hu = hu_of(write_series(tmp_path, [0.0, 2.0], change))
    assert (hu[:, :, 0] == -1024).all()
    assert (hu[:, 0, 1] == (63536 & 4095) - 1024).all()
    assert (hu[:, 1:, 1:] == 1000 - 1024).all()


def test_slope_and_intercept_are_each_images_own(tmp_path: Path) -> None:
    def change(ds: Dataset, index: int) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = index + 1, -1000 - index
        ds.PixelData = np.full((6, 5), 10, "<i2").tobytes()

    write_series(tmp_path, change=change)
    assert hu_of(tmp_path)[:, 0, 0].tolist() == [-990, -981, -972, -963, -954]


PADDING = [
    # representation, PixelPaddingValue, its limit, stored value of the padding, HU that it reads as
    (1, -2000, None, -2000, -3024),
    (1, -32768, None, -32768, -1024),
    (0, 63536, None, 63536, -1024),
    (0, 0, None, 0, -1024),
    (0, 0, 20, 13, -1024),
]


@pytest.mark.parametrize(("signed", "padding", "limit", "stored", "reads_as"), PADDING)
def test_padding_is_never_tissue(
    tmp_path: Path, signed: int, padding: int, limit: int | None, stored: int, reads_as: int
) -> None:
    """Read as stored, -32768 would wrap to +31744 and 63536 would saturate: bright as metal."""

    def change(ds: Dataset, index: int) -> None:
        values = np.full((6, 5), 1074, "<i4")
        values[0, :3] = stored
        ds.PixelRepresentation = signed
        ds.add_new(0x00280120, "SS" if signed else "US", padding)
        if limit is not None:
            ds.add_new(0x00280121, "SS" if signed else "US", limit)
        ds.PixelData = values.astype("<i2" if signed else "<u2").tobytes()

    write_series(tmp_path, change=change)
    volume = load_volume(tmp_path)
    assert (volume.hu[:, 0, :3] == reads_as).all()
    assert (volume.hu[:, 1:] == 50).all()
    messages = {finding.code: finding.message for finding in volume.findings}
    assert messages["padding"].startswith("15 voxels")
    assert "hu_clipped" not in messages


def scene(index: int, rows: int = 48, columns: int = 40) -> np.ndarray:
    j, i = np.mgrid[:rows, :columns]
    body = (i - 20) ** 2 + (j - 24) ** 2 < 300 + 10 * index
    noise = np.random.default_rng(index).integers(-30, 31, size=(rows, columns))
    return np.where(body, 1074, 64).astype(np.int16) + noise.astype(np.int16)


def native(ds: Dataset, index: int) -> None:
    values = scene(index)
    ds.Rows, ds.Columns = values.shape
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
    ds.PixelData = values.astype("<u2").tobytes()


def coded(syntax: str) -> object:
    """Encoded by pydicom's encoders (OpenJPEG, CharLS, its own RLE), or written in another form."""

    def change(ds: Dataset, index: int) -> None:
        native(ds, index)
        if syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
            ds.compress(syntax, generate_instance_uid=False)
        elif syntax == JPEG2000:
            ds.compress(syntax, j2k_cr=[4], generate_instance_uid=False)
        elif syntax == JPEGLSNearLossless:
            ds.compress(syntax, jls_error=3, generate_instance_uid=False)
        else:
            ds.file_meta.TransferSyntaxUID = syntax
            if syntax == ExplicitVRBigEndian:
                ds.PixelData = scene(index).astype(">u2").tobytes()

    return change


LOSSLESS = [
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    RLELossless,
    JPEG2000Lossless,
    JPEGLSLossless,
]


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
def test_every_lossless_form_gives_the_same_hu(tmp_path: Path, syntax: str) -> None:
    write_series(tmp_path, change=coded(syntax))
    volume = load_volume(tmp_path)
    assert np.array_equal(volume.hu, np.stack([scene(index) - 1024 for index in range(5)]))
    assert volume.identity.transfer_syntax_uid == syntax
    assert "lossy_source" not in {finding.code for finding in volume.findings}


@pytest.mark.parametrize(("syntax", "error"), [(JPEGLSNearLossless, 3), (JPEG2000, 100)])
def test_lossy_forms_are_near_and_flagged(tmp_path: Path, syntax: str, error: int) -> None:
    def change(ds: Dataset, index: int) -> None:
        coded(syntax)(ds, index)  # type: ignore[operator]
        ds.LossyImageCompression = "01"

    write_series(tmp_path, change=change)
    volume = load_volume(tmp_path)
    difference = volume.hu - np.stack([scene(index) - 1024 for index in range(5)])
    assert 0 < np.abs(difference).max() <= error
    assert "lossy_source" in {finding.code for finding in volume.findings}


def streamed(ds: Dataset, syntax: str, stream: bytes) -> None:
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEG2000, JPEGLSLossless])
def test_a_code_stream_made_with_loss_is_flagged_whatever_its_header_says(
    tmp_path: Path, syntax: str
) -> None:
    j, i = np.mgrid[:64, :64]
    values = (1000 + 3 * i + 2 * j).astype(np.uint16)

    def change(ds: Dataset, index: int) -> None:
        ds.Rows = ds.Columns = 64
        ds.PixelRepresentation = 0
        if syntax == JPEGLSLossless:
            stream = bytes(jpeg_ls.encode_array(values, lossy_error=3))
        else:
            stream = openjpeg.encode_array(values, bits_stored=16, compression_ratios=[4.0])
        streamed(ds, syntax, stream)

    folder = write_series(tmp_path, [0.0, 2.0], change)
    found = [finding.code for finding in load_volume(folder).findings]
    assert found.count("lossy_source") == 1
    assert ("loss_not_told" in found) is (syntax == JPEG2000)


@pytest.mark.parametrize(
    ("signed_stream", "bits", "signed", "stored", "readable"),
    [
        (True, 16, 1, 16, True),
        (False, 16, 1, 16, True),  # met in files: the top bit is the sign
        (True, 16, 0, 16, False),
        (False, 13, 1, 16, False),
    ],
)
def test_a_sign_that_header_and_code_stream_name_differently(
    tmp_path: Path, signed_stream: bool, bits: int, signed: int, stored: int, readable: bool
) -> None:
    """-2000 outside the scanned circle must never become metal."""
    values = np.full((32, 32), 40, np.int16)
    values[:4] = -2000

    def change(ds: Dataset, index: int) -> None:
        ds.Rows = ds.Columns = 32
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = stored, stored - 1, signed
        words = values if signed_stream else values.view(np.uint16) & np.uint16((1 << bits) - 1)
        streamed(ds, JPEG2000Lossless, openjpeg.encode_array(words, bits_stored=bits))

    folder = write_series(tmp_path, [0.0, 2.0], change)
    if readable:
        assert np.array_equal(hu_of(folder)[1], values - 1024)
        return
    with pytest.raises(InputRefused, match="contradicts the header"):
        load_volume(folder)


def test_slices_in_several_forms_make_one_volume(tmp_path: Path) -> None:
    forms = [RLELossless, ImplicitVRLittleEndian, JPEG2000Lossless, ExplicitVRBigEndian]

    def change(ds: Dataset, index: int) -> None:
        coded(forms[index % 4])(ds, index)  # type: ignore[operator]

    write_series(tmp_path, change=change)
    assert np.array_equal(hu_of(tmp_path), np.stack([scene(index) - 1024 for index in range(5)]))


@pytest.mark.realdata
def test_htj2k_is_decoded_to_the_raw_pixels(tmp_path: Path, realdata: Path) -> None:
    """Bare code streams with the pixels they were made from, wrapped into CT images here."""
    folder = realdata / "dicom" / "htj2k_codestreams"
    streams = sorted(folder.glob("CT*.j2c"))
    assert streams
    for stream in streams:
        raw = np.fromfile(stream.with_suffix(".RAW"), "<i2").reshape(512, 512)
        case = tmp_path / stream.stem
        for index in range(2):
            ds = image(index, (0, 0, 2.0 * index), raw)
            ds.RescaleIntercept = 0
            ds.PixelData = encapsulate([stream.read_bytes()])
            ds["PixelData"].is_undefined_length = True
            ds.file_meta.TransferSyntaxUID = HTJ2KLossless
            save(ds, case / f"{index}")
        assert np.array_equal(hu_of(case), np.stack([raw, raw]))


def truncated(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


def jpeg2000_of_another_size(ds: Dataset, index: int) -> None:
    coded(JPEG2000Lossless)(ds, index)  # type: ignore[operator]
    ds.Rows, ds.Columns = 40, 48


REFUSED = {
    "no slope": (lambda ds, _: delattr(ds, "RescaleSlope"), "rescale_absent"),
    "no intercept": (lambda ds, _: delattr(ds, "RescaleIntercept"), "rescale_absent"),
    "slope zero": (lambda ds, _: setattr(ds, "RescaleSlope", 0), "rescale_invalid"),
    "slope negative": (lambda ds, _: setattr(ds, "RescaleSlope", -1), "rescale_invalid"),
    "electron density": (lambda ds, _: setattr(ds, "RescaleType", "ED"), "not_hounsfield"),
    "inverted": (
        lambda ds, _: setattr(ds, "PhotometricInterpretation", "MONOCHROME1"),
        "pixel_format",
    ),
    "32 bits": (lambda ds, _: setattr(ds, "BitsAllocated", 32), "pixel_format"),
    "17 of 16 bits": (lambda ds, _: setattr(ds, "BitsStored", 17), "pixel_format"),
    "more rows than pixels": (lambda ds, _: setattr(ds, "Rows", 7), "pixels_truncated"),
    "no pixels": (lambda ds, _: delattr(ds, "PixelData"), "no_pixels"),
    "colour": (lambda ds, _: setattr(ds, "SamplesPerPixel", 3), "not_grey"),
    "many frames of none": (lambda ds, _: setattr(ds, "NumberOfFrames", 2), "pixel_format"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_pixels_that_are_no_hu_are_refused_with_their_code(tmp_path: Path, name: str) -> None:
    change, code = REFUSED[name]
    write_series(tmp_path, change=change)
    found = {finding.code for entry in dicom.scan(tmp_path).series for finding in entry.findings}
    assert code in found
    assert not {"rescale_absent", "hu_rounded"} <= found
    with pytest.raises(InputRefused):
        load_volume(tmp_path)


def test_an_unknown_transfer_syntax_is_refused_by_name(tmp_path: Path) -> None:
    def change(ds: Dataset, _: int) -> None:
        ds.PixelData = encapsulate([b"\0" * 64])
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.55"

    write_series(tmp_path, change=change)
    with pytest.raises(InputRefused, match=r"1\.2\.840\.10008\.1\.2\.4\.55"):
        load_volume(tmp_path)


def test_a_file_cut_off_in_its_pixels_is_refused_by_name(tmp_path: Path) -> None:
    write_series(tmp_path)
    victim = tmp_path / "image002.dcm"
    truncated(victim, victim.stat().st_size - 10)
    with pytest.raises(InputRefused, match=r"image002\.dcm holds 50 of 60 bytes"):
        load_volume(tmp_path)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_a_code_stream_cut_off_is_refused_by_name(tmp_path: Path, syntax: str) -> None:
    write_series(tmp_path, change=coded(syntax))
    victim = tmp_path / "image003.dcm"
    truncated(victim, victim.stat().st_size - 400)
    with pytest.raises(InputRefused, match=r"image003\.dcm"):
        load_volume(tmp_path)


def test_a_code_stream_of_another_size_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, change=jpeg2000_of_another_size)
    with pytest.raises(InputRefused, match="contradicts the header"):
        load_volume(tmp_path)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_more_bits_in_the_code_stream_than_in_the_header_count(tmp_path: Path, syntax: str) -> None:
    """1500 is 476 HU; cut to the header's 10 bits it would be 476 stored and -548 HU."""

    def change(ds: Dataset, index: int) -> None:
        ds.Rows = ds.Columns = 40
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
        ds.PixelData = np.full((40, 40), 1500, "<u2").tobytes()
        ds.compress(syntax, generate_instance_uid=False)
        ds.BitsStored, ds.HighBit = 10, 9

    write_series(tmp_path, change=change)
    assert (hu_of(tmp_path) == 476).all()


def test_a_file_changed_between_listing_and_reading_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path)
    (entry,) = dicom.scan(tmp_path).series
    truncated(tmp_path / "image001.dcm", 500)
    with pytest.raises(InputRefused, match="image001"):
        dicom.read_entry(entry, tmp_path)


def test_slices_arrive_one_by_one_the_asked_for_first(tmp_path: Path) -> None:
    for syntax in (ImplicitVRLittleEndian, JPEG2000Lossless):
        folder = write_series(tmp_path / syntax, change=coded(syntax))
        (entry,) = dicom.scan(folder).series
        arrived: list[tuple[int, np.ndarray]] = []

        def landed(
            index: int, hu: np.ndarray, arrived: list[tuple[int, np.ndarray]] = arrived
        ) -> None:
            arrived.append((index, hu.copy()))

        volume = dicom.read_entry(entry, folder, on_slice=landed, first=3)
        assert sorted(index for index, _ in arrived) == [0, 1, 2, 3, 4]
        if syntax == ImplicitVRLittleEndian:
            assert arrived[0][0] == 3
        for index, hu in arrived:
            assert np.array_equal(hu, volume.hu[index])


def test_the_writer_of_these_tests_says_what_pydicom_reads(tmp_path: Path) -> None:
    """The oracle of the oracle: the files above hold what this module believes they hold."""
    write_series(tmp_path, change=coded(ExplicitVRBigEndian))
    ds = dcmread(tmp_path / "image002.dcm")
    assert struct.pack("<H", ds.pixel_array[24, 20]) == struct.pack("<H", scene(2)[24, 20])
