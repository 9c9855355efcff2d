"""Small CT series written with pydicom, right or wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
STUDY, SERIES, FRAME = "1.2.826.0.1.1", "1.2.826.0.1.2", "1.2.826.0.1.3"
ROWS, COLUMNS = 6, 5

Change = Callable[[Dataset, int], None]


def marked(index: int, rows: int = ROWS, columns: int = COLUMNS) -> npt.NDArray[np.int16]:
    """Stored values in which every voxel of a series differs: 1000 a slice, 10 a row."""
    row, column = np.mgrid[:rows, :columns]
    return (1000 * index + 10 * row + column).astype(np.int16)


def image(index: int, position: Sequence[float], pixels: npt.NDArray[Any]) -> Dataset:
    """One explicit little-endian CT image, 16 bits signed, intercept -1024."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = f"{SERIES}.{index + 1}"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.AcquisitionDate = "20240229"
    ds.Modality = "CT"
    ds.SeriesDescription = "Abdomen portal venous"
    ds.PatientName, ds.PatientID = "Doe^Jane", "ID-1"
    ds.PatientBirthDate, ds.PatientSex = "19600101", "F"
    ds.ContrastBolusAgent = "Iomeron 400"
    ds.SliceThickness = 2.0
    ds.ConvolutionKernel = "B30f"
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, SERIES
    ds.InstanceNumber = index + 1
    ds.AcquisitionNumber = 1
    ds.ImagePositionPatient = [float(f"{value:.6f}") for value in position]
    ds.ImageOrientationPatient = list(AXIAL)
    ds.FrameOfReferenceUID = FRAME
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelSpacing = [0.8, 0.7]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
    ds.PixelData = pixels.astype("<i2").tobytes()
    return ds


def save(ds: Dataset, path: Path) -> Path:
    """Write it whatever pydicom thinks of its values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path,
    heights_mm: Sequence[float] = (0.0, 2.0, 4.0, 6.0, 8.0),
    change: Change | None = None,
) -> Path:
    """An axial series with a slice at each height; ``change`` alters each image."""
    for index, height in enumerate(heights_mm):
        ds = image(index, (-10.0, -20.0, height), marked(index))
        if change is not None:
            change(ds, index)
        save(ds, folder / f"image{index:03d}.dcm")
    return folder
