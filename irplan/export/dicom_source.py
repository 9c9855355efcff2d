"""What DICOM exports say about the scan they were made on: minimal headers of its slices.

The scan itself is in memory as HU and a grid; its files may be gone, or it came as NRRD or NIfTI.
The headers are built from the volume alone: with the scan's own UIDs where it has them, otherwise
with UIDs derived from its content, so that the same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

import irplan
from irplan import uids
from irplan.lesions.lesion import Lesion
from irplan.volume import CtVolume

MANUFACTURER = "irplan (research use only)"
MODEL = "irplan"
#: The date of an export of a scan that tells none. Exports carry the scan's date and midnight, not
#: the time of writing: the same inputs give the same bytes.
UNKNOWN_DATE = "19000101"


def decimals(values: Sequence[float]) -> list[DSfloat]:
    """Numbers as DICOM decimal strings of at most 16 characters."""
    return [DSfloat(float(value), auto_format=True) for value in values]


def scan_date(volume: CtVolume) -> str:
    """Acquisition date as YYYYMMDD, or :data:`UNKNOWN_DATE`."""
    date = volume.identity.acquired.replace("-", "")
    return date if len(date) == 8 and date.isdigit() else UNKNOWN_DATE


def slice_headers(volume: CtVolume, slices: range) -> list[pydicom.Dataset]:
    """One header per slice in ``slices``: identity, UIDs and plane, without pixels."""
    identity = volume.identity
    grid = volume.geometry
    instance_uids = uids.sop_instance_uids(volume)
    own = identity.sop_instance_uids == instance_uids
    row, column = grid.axes[:, 0], grid.axes[:, 1]
    headers = []
    for number in slices:
        header = pydicom.Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.SOPClassUID = identity.sop_class_uid if own else CTImageStorage
        if not header.SOPClassUID:
            header.SOPClassUID = CTImageStorage
        header.SOPInstanceUID = instance_uids[number]
        header.PatientID = identity.patient_id
        header.PatientName = identity.patient_name
        header.PatientBirthDate = identity.patient_birth_date
        header.PatientSex = identity.patient_sex
        header.StudyInstanceUID = uids.study_uid(volume)
        header.StudyID = ""
        header.StudyDate = "" if scan_date(volume) == UNKNOWN_DATE else scan_date(volume)
        header.StudyTime = ""
        header.AccessionNumber = ""
        header.ReferringPhysicianName = ""
        header.Modality = "CT"
        header.SeriesInstanceUID = uids.series_uid(volume)
        header.SeriesNumber = 1
        header.InstanceNumber = number + 1
        header.FrameOfReferenceUID = uids.frame_of_reference_uid(volume)
        header.PositionReferenceIndicator = ""
        header.Rows = grid.size[1]
        header.Columns = grid.size[0]
        header.ImagePositionPatient = decimals(grid.to_lps((0, 0, number)).tolist())
        header.ImageOrientationPatient = decimals([*row.tolist(), *column.tolist()])
        header.PixelSpacing = decimals([grid.spacing_mm[1], grid.spacing_mm[0]])
        header.SliceThickness = decimals([grid.spacing_mm[2]])[0]
        header.SamplesPerPixel = 1
        header.PhotometricInterpretation = "MONOCHROME2"
        header.BitsAllocated = 16
        headers.append(header)
    return headers


def tracking_uid(volume: CtVolume, lesion: Lesion) -> str:
    """One UID per lesion of a patient: the same at every visit, as long as its id is."""
    whose = volume.identity.patient_id or uids.study_uid(volume)
    return uids.uid_from("lesion", whose, lesion.lesion_id)


def content_uid(volume: CtVolume, lesions: Sequence[Lesion], what: str) -> str:
    """The UID of an export: it follows from the scan and everything said about the lesions."""
    parts = [what, irplan.__version__, volume.sha256]
    for lesion in lesions:
        parts.append(repr(sorted(lesion.document().items(), key=lambda item: item[0])))
        if lesion.mask is not None:
            parts.append(repr((lesion.mask.start, lesion.mask.voxels.shape)))
            parts.append(lesion.mask.voxels.tobytes().hex())
    return uids.uid_from(*parts)


def covered_slices(lesions: Sequence[Lesion]) -> range:
    """From the first to the last slice that a lesion's mask touches."""
    masks = [lesion.mask for lesion in lesions if lesion.mask is not None]
    first = min(mask.start[2] for mask in masks)
    last = max(mask.start[2] + mask.voxels.shape[0] for mask in masks)
    return range(first, last)
