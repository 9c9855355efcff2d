"""Compressed pixels through well-kept codecs (OpenJPEG, CharLS, GDCM, pylibjpeg's RLE)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from irplan.dicom.header import SliceHeader
from irplan.dicom.sources import Source, read_member


class Undecodable(Exception):
    """The codec refused the bytes, or made something else of them than the header says."""


def decode(header: SliceHeader) -> npt.NDArray[np.integer]:
    """Stored values (rows, columns) of one compressed image.

    Raises:
        Undecodable: not decodable as what the header says.
        OSError: the file cannot be read.
    """
    from pydicom.pixels import get_decoder

    data = _encapsulated(header)
    options: dict[str, Any] = {
        "rows": header.rows,
        "columns": header.columns,
        "samples_per_pixel": 1,
        "photometric_interpretation": header.text("photometric"),
        "bits_allocated": header.bits_allocated,
        "bits_stored": header.bits_stored,
        "pixel_representation": header.signed,
        "number_of_frames": max(1, int(header.frames or 1)),
        "pixel_keyword": "PixelData",
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decoder = get_decoder(header.transfer_syntax_uid)
            array, _ = decoder.as_array(data, index=header.frame, raw=True, **options)
    except Exception as error:
        raise Undecodable(
            str(error).strip().splitlines()[-1] if str(error) else "no pixels"
        ) from error
    if array.shape != (header.rows, header.columns):
        raise Undecodable(f"decoded to {array.shape}, not {(header.rows, header.columns)}")
    return np.ascontiguousarray(array)


def _encapsulated(header: SliceHeader) -> bytes:
    if header.member:
        return read_member(Source(header.path, header.member))[header.pixel_offset :]
    with open(header.path, "rb") as file:
        file.seek(header.pixel_offset)
        return file.read()
