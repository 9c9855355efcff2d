"""Enhanced (multiframe) CT written with pydicom; its frames may lie in any order."""

from __future__ import annotations

from collections.abc import Sequence as Numbers

import numpy as np
from dicom_writer import AXIAL, FRAME, marked
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian


def _item(**values: object) -> Sequence:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return Sequence([item])


def enhanced_image(frames: int, order: Numbers[int] | None = None) -> Dataset:
    """Frame n shows slice ``order[n]``, at height 2 × order[n] mm, of :func:`marked` values."""
    order = list(range(frames)) if order is None else list(order)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.2.1"
    ds.ImageType, ds.Modality = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], "CT"
    ds.PatientName, ds.PatientID = "Doe^Jane", "ID-1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.0.2.2", "1.2.826.0.2.3"
    ds.FrameOfReferenceUID, ds.PatientPosition = FRAME, "HFS"
    ds.NumberOfFrames = frames
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    pixels = np.stack([marked(index) for index in order])
    ds.Rows, ds.Columns = pixels.shape[1:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    shared = Dataset()
    shared.PixelMeasuresSequence = _item(PixelSpacing=[0.8, 0.7], SliceThickness=2.0)
    shared.PlaneOrientationSequence = _item(ImageOrientationPatient=list(AXIAL))
    shared.CTImageFrameTypeSequence = _item(FrameType=list(ds.ImageType))
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    per_frame = []
    for index in order:
        groups = Dataset()
        groups.PlanePositionSequence = _item(ImagePositionPatient=[-10.0, -20.0, 2.0 * index])
        groups.PixelValueTransformationSequence = _item(
            RescaleSlope=1, RescaleIntercept=-1024 - index, RescaleType="HU"
        )
        per_frame.append(groups)
    ds.PerFrameFunctionalGroupsSequence = Sequence(per_frame)
    ds.PixelData = pixels.astype("<i2").tobytes()
    return ds
