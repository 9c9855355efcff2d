"""The phantom as CT Image Storage: one file a slice, the same bytes every time.

UIDs are derived from hashes under the root 2.25 (ISO/IEC 9834-8): the patient and the visit for
study and frame of reference, the voxels for series and instances. Values are stored unsigned
with an intercept of -1024, as scanners do, in 12 bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from irplan import __version__
from irplan.errors import CallError
from irplan.files import replacing
from irplan.phantom.spec import Phantom
from irplan.tasks import SILENT, Task

INTERCEPT_HU = -1024
COMPRESSIONS: dict[str, UID] = {
    "none": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "jpeg-ls": JPEGLSLossless,
    "jpeg-2000": JPEG2000Lossless,
    "rle": RLELossless,
}
PATIENT_ID, PATIENT_NAME = "IRPLAN-PHANTOM", "Phantom^Irplan"
#: Three weeks lie between the visits.
VISIT_DATES = {1: "20260302", 2: "20260323"}
_IMPLEMENTATION = "2.25.184830473820174628093845720193847"
_ORDERS: dict[str, Callable[[int, int], int]] = {
    "normal": lambda k, count: k,
    "reversed": lambda k, count: count - 1 - k,
}


def write_dicom(
    phantom: Phantom,
    folder: Path,
    compression: str = "jpeg-ls",
    order: str = "normal",
    task: Task = SILENT,
) -> tuple[Path, ...]:
    """Write one CT Image Storage file for each slice into ``folder``.

    Args:
        phantom: what to write.
        folder: made where absent; files ``CT0001.dcm``, … are replaced.
        compression: one of :data:`COMPRESSIONS`; all are lossless.
        order: 'normal' numbers the instances along the slice normal, 'reversed' against it.

    Returns:
        The files by rising instance number.

    Raises:
        CallError: an unknown compression or order.
        InputRefused: the folder cannot be written to.
    """
    if compression not in COMPRESSIONS or order not in _ORDERS:
        raise CallError(
            "phantom_dicom",
            f"unknown compression or slice order: {compression}, {order}",
            f"one of {', '.join(COMPRESSIONS)}; {', '.join(_ORDERS)}",
        )
    task = task.part("writing DICOM")
    count = phantom.grid.size[2]
    series = _uid("series", _content_key(phantom))
    paths = []

    def write(instance: int) -> Path:
        k = _ORDERS[order](instance, count)
        dataset = _slice(phantom, k, instance + 1, series)
        target = folder / f"CT{instance + 1:04d}.dcm"
        _save(dataset, COMPRESSIONS[compression], target)
        return target

    with ThreadPoolExecutor(max_workers=2) as pool:
        for done, path in enumerate(pool.map(write, range(count)), start=1):
            paths.append(path)
            task.step(done, count)
    return tuple(paths)


#: The JPEG 2000 encoder ends the process where two threads use it at once.
_OPENJPEG = Lock()


def _save(dataset: FileDataset, syntax: UID, target: Path) -> None:
    native = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
    if syntax not in (*native, ExplicitVRBigEndian):
        plugin = {JPEG2000Lossless: "pylibjpeg", JPEGLSLossless: "pyjpegls"}.get(syntax, "pydicom")
        with _OPENJPEG if syntax == JPEG2000Lossless else nullcontext():
            dataset.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        stored = np.frombuffer(dataset.PixelData, dtype="<u2")
        dataset.PixelData = stored.astype(">u2").tobytes()
    with replacing(target) as temporary:
        pydicom.dcmwrite(temporary, dataset, enforce_file_format=True)


def _uid(*parts: str) -> str:
    digest = hashlib.sha256("|".join(("irplan.phantom", *parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _content_key(phantom: Phantom) -> str:
    digest = hashlib.sha256(repr(phantom.grid).encode())
    digest.update(phantom.spec.position.encode())
    digest.update(np.ascontiguousarray(phantom.hu, dtype="<i2").data)
    return digest.hexdigest()


def _number(value: float) -> str:
    """A decimal string of at most 16 characters."""
    for places in range(10, -1, -1):
        text = f"{value:.{places}f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        if len(text) <= 16:
            return "0" if text == "-0" else text
    raise ValueError(f"too large for a decimal string: {value}")


def _slice(phantom: Phantom, k: int, instance: int, series: str) -> FileDataset:
    stored: npt.NDArray[np.uint16] = (phantom.hu[k].astype(np.int32) - INTERCEPT_HU).astype("<u2")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(_IMPLEMENTATION)
    meta.ImplementationVersionName = "IRPLAN_PHANTOM"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = _uid(
        "instance", series, str(k), hashlib.sha256(stored.tobytes()).hexdigest()
    )
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    _patient_and_study(dataset, phantom)
    _series(dataset, phantom, series)
    _image(dataset, phantom, k, instance)
    dataset.Rows, dataset.Columns = stored.shape
    dataset.PixelData = stored.tobytes()
    return dataset


def _patient_and_study(dataset: Dataset, phantom: Phantom) -> None:
    visit = str(phantom.spec.timepoint)
    dataset.PatientName, dataset.PatientID = PATIENT_NAME, PATIENT_ID
    dataset.PatientBirthDate, dataset.PatientSex = "19600101", "O"
    dataset.PatientAge, dataset.PatientWeight = "066Y", "70"
    dataset.PatientSize = "1.75"
    dataset.StudyInstanceUID = _uid("study", PATIENT_ID, visit)
    dataset.StudyDate = dataset.SeriesDate = VISIT_DATES[phantom.spec.timepoint]
    dataset.AcquisitionDate = dataset.ContentDate = dataset.StudyDate
    dataset.StudyTime = dataset.SeriesTime = "101500"
    dataset.AcquisitionTime = dataset.ContentTime = "101700"
    dataset.StudyID, dataset.AccessionNumber = visit, f"PH{visit}"
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = f"Computed phantom, visit {visit}"


def _series(dataset: Dataset, phantom: Phantom, series: str) -> None:
    spec = phantom.spec
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.Modality, dataset.SeriesInstanceUID, dataset.SeriesNumber = "CT", series, "2"
    phase = "portal venous" if spec.contrast else "without contrast"
    dataset.SeriesDescription = f"Neck to pelvis, {phase} (computed)"
    dataset.PatientPosition, dataset.BodyPartExamined = spec.position, "CHESTABDPELVIS"
    dataset.FrameOfReferenceUID = _uid(
        "frame", PATIENT_ID, str(spec.timepoint), spec.position, str(spec.oblique_deg)
    )
    dataset.PositionReferenceIndicator = ""
    dataset.Manufacturer, dataset.ManufacturerModelName = "irplan", "phantom"
    dataset.SoftwareVersions = __version__
    if spec.contrast:
        dataset.ContrastBolusAgent = "Computed iodine"
        dataset.ContrastBolusRoute = "IV"


def _image(dataset: Dataset, phantom: Phantom, k: int, instance: int) -> None:
    grid, spec = phantom.grid, phantom.spec
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.AcquisitionNumber, dataset.InstanceNumber = "1", str(instance)
    dataset.ImagePositionPatient = [_number(value) for value in grid.to_lps([0, 0, k])]
    directions = [*grid.axes[:, 0], *grid.axes[:, 1]]
    dataset.ImageOrientationPatient = [_number(value) for value in directions]
    dataset.PixelSpacing = [_number(grid.spacing_mm[1]), _number(grid.spacing_mm[0])]
    dataset.SliceThickness = _number(grid.spacing_mm[2])
    dataset.KVP, dataset.ConvolutionKernel = "120", "SOFT"
    dataset.DataCollectionDiameter = "500"
    dataset.ReconstructionDiameter = _number(spec.fov_mm)
    dataset.GantryDetectorTilt = _number(spec.oblique_deg)
    dataset.BurnedInAnnotation = "NO"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope = str(INTERCEPT_HU), "1"
    dataset.RescaleType = "HU"
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"
    dataset.ImageComments = "Computed phantom, not a patient"
