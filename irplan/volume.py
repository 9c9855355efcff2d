"""The CT as one volume in HU: read-only voxels, their grid, and whose scan it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from irplan.findings import Finding
from irplan.geometry import GridGeometry

HuArray = npt.NDArray[np.int16]


@dataclass(frozen=True)
class ScanIdentity:
    """Who was scanned, when, and how they lay. An absent value is '' and never guessed.

    Attributes:
        patient_id, patient_name: as in the file; never in the record or an export.
        study_instance_uid, series_instance_uid, frame_of_reference_uid: DICOM UIDs.
        sop_instance_uids: one per slice (rising along the slice normal), or () for other formats.
        patient_position: PatientPosition (0018,5100) such as 'HFS'.
        acquired: acquisition (else content, series, study) date as YYYY-MM-DD.
        contrast: agent and phase where told, 'none' or 'oral only' where the scan says so, ''
            where it is silent.
        description: SeriesDescription.
        modality: 'CT' for DICOM; '' where the format does not tell.
        transfer_syntax_uid: of the pixel data; '' for other formats.
        source_path: file or folder it was read from, for messages only.
    """

    patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    frame_of_reference_uid: str = ""
    sop_class_uid: str = ""
    sop_instance_uids: tuple[str, ...] = ()
    patient_position: str = ""
    acquired: str = ""
    contrast: str = ""
    description: str = ""
    modality: str = ""
    transfer_syntax_uid: str = ""
    source_path: str = ""

    @property
    def without_contrast(self) -> bool:
        """Whether the scan says that no vessel holds contrast; False where it is silent."""
        return self.contrast in ("none", "oral only")


@dataclass(frozen=True)
class CtVolume:
    """A CT in Hounsfield units.

    Attributes:
        hu: int16, shape (z, y, x), read-only; rows and columns as stored, slices rising along
            the slice normal (row direction × column direction).
        geometry: the grid, LPS mm.
        identity: whose scan it is.
        findings: what was noticed while reading (gaps, tilt, lossy pixels, absent tags).
    """

    hu: HuArray
    geometry: GridGeometry
    identity: ScanIdentity = ScanIdentity()
    findings: tuple[Finding, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.hu.dtype != np.int16:
            raise ValueError(f"HU must be int16, not {self.hu.dtype}")
        if self.hu.shape != self.geometry.shape_zyx:
            raise ValueError(f"array {self.hu.shape} does not fit grid {self.geometry.shape_zyx}")
        self.hu.setflags(write=False)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the HU (little-endian) and the grid: the identity of what was planned on."""
        digest = hashlib.sha256(repr((self.geometry.size, self.geometry.spacing_mm)).encode())
        digest.update(repr((self.geometry.origin_lps_mm, self.geometry.direction)).encode())
        digest.update(np.ascontiguousarray(self.hu, dtype="<i2").data)
        return digest.hexdigest()
