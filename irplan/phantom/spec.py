"""What is asked for and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from irplan.errors import CallError
from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.phantom.lesions import LesionTruth
from irplan.phantom.motion import VISITS, Motion
from irplan.volume import CtVolume, ScanIdentity

#: Row and column direction of the image for each way of lying, LPS (PS3.3 C.7.6.2.1.1).
POSITIONS: dict[str, tuple[float, float, float, float, float, float]] = {
    "HFS": (1, 0, 0, 0, 1, 0),
    "HFP": (-1, 0, 0, 0, -1, 0),
    "HFDR": (0, 1, 0, -1, 0, 0),
    "HFDL": (0, -1, 0, 1, 0, 0),
    "FFS": (-1, 0, 0, 0, 1, 0),
    "FFP": (1, 0, 0, 0, -1, 0),
}
#: Which way is up (against gravity), LPS, for each way of lying.
UP = {
    "HFS": (0.0, -1.0, 0.0),
    "HFP": (0.0, 1.0, 0.0),
    "HFDR": (1.0, 0.0, 0.0),
    "HFDL": (-1.0, 0.0, 0.0),
    "FFS": (0.0, -1.0, 0.0),
    "FFP": (0.0, 1.0, 0.0),
}


@dataclass(frozen=True)
class PhantomSpec:
    """One CT of the made-up patient.

    Attributes:
        columns, rows, slices: size of the grid.
        fov_mm: side of the square that the columns cover; pixels are square.
        spacing_z_mm: distance between slices, and their thickness; where None, the slices cover
            the whole patient, neck to pelvis.
        centre_mm: LPS centre of the grid; z is the middle of the patient where None.
        timepoint: visit 1 or 2.
        position: PatientPosition; the table lies under the patient and gas rises accordingly.
        oblique_deg: the grid turned about the axis of its rows, degrees.
        noise_hu: standard deviation of the noise in soft tissue, before correlation is undone.
        blur_mm: sigma of the in-plane blur of the scanner.
        seed: of the noise and of the small vessels.
        samples: supersamples per voxel along each axis.
        contrast: whether the vessels are enhanced.
    """

    columns: int = 256
    rows: int = 256
    slices: int = 160
    fov_mm: float = 450.0
    spacing_z_mm: float | None = None
    centre_mm: tuple[float, float, float | None] = (0.0, 8.0, None)
    timepoint: int = 1
    position: str = "HFS"
    oblique_deg: float = 0.0
    noise_hu: float = 11.0
    blur_mm: float = 0.6
    seed: int = 20260429
    samples: int = 2
    contrast: bool = True

    def __post_init__(self) -> None:
        if min(self.columns, self.rows, self.slices, self.samples) < 1:
            raise CallError("phantom_size", "a phantom needs at least one voxel along each axis")
        if self.fov_mm <= 0 or (self.spacing_z_mm is not None and self.spacing_z_mm <= 0):
            raise CallError("phantom_spacing", "field of view and spacing must be above zero")
        if self.timepoint not in VISITS:
            raise CallError(
                "phantom_timepoint", f"there is no visit {self.timepoint}, only 1 and 2"
            )
        if self.position not in POSITIONS:
            raise CallError(
                "phantom_position",
                f"unknown patient position {self.position}",
                "one of " + ", ".join(POSITIONS),
            )

    @property
    def motion(self) -> Motion:
        """How the patient lies and breathes at the visit."""
        return VISITS[self.timepoint]

    @cached_property
    def grid(self) -> GridGeometry:
        """The grid of the CT; slices rise along the slice normal."""
        pixel = self.fov_mm / self.columns
        low, high = PATIENT_Z_MM
        step = self.spacing_z_mm or round((high - low) / self.slices, 6)
        row = np.array(POSITIONS[self.position][:3], dtype=float)
        column = np.array(POSITIONS[self.position][3:], dtype=float)
        turn = np.radians(self.oblique_deg)
        normal = np.cross(row, column)
        column, normal = (
            np.cos(turn) * column + np.sin(turn) * normal,
            np.cos(turn) * normal - np.sin(turn) * column,
        )
        axes = np.stack([row, column, normal], axis=1).round(12) + 0.0
        z = self.centre_mm[2]
        centre = np.array([*self.centre_mm[:2], (low + high) / 2 if z is None else z])
        half = (np.array([self.columns, self.rows, self.slices]) - 1) / 2.0
        origin = (centre - axes @ (half * [pixel, pixel, step])).round(6) + 0.0
        x, y, z = origin.tolist()
        return GridGeometry(
            (self.columns, self.rows, self.slices),
            (pixel, pixel, step),
            (x, y, z),
            tuple(axes.ravel().tolist()),
        )

    def at_visit(self, timepoint: int) -> PhantomSpec:
        """The same scan at another visit."""
        return replace(self, timepoint=timepoint)


#: From the upper neck to below the symphysis, LPS z of the reference patient.
PATIENT_Z_MM = (-352.0, 352.0)


@dataclass(frozen=True)
class Phantom:
    """The CT and everything that is true about it.

    Attributes:
        hu: int16 (z, y, x), slices rising along the slice normal.
        grid: LPS mm.
        labels: uint8 (z, y, x); the structure that fills most of the voxel, see ``label_names``.
            Under a lesion it is the structure that the lesion lies in.
        lesion_labels: uint8 (z, y, x); the lesion's label where it fills at least half the voxel.
        necrosis: bool (z, y, x); at least half of the voxel is necrotic core.
        label_names: name by label number, from 1; only those present.
        lesions: the truth, by rising label.
    """

    spec: PhantomSpec
    hu: npt.NDArray[np.int16]
    grid: GridGeometry
    labels: npt.NDArray[np.uint8]
    lesion_labels: npt.NDArray[np.uint8]
    necrosis: BoolArray
    label_names: dict[int, str]
    lesions: tuple[LesionTruth, ...]

    def lesion(self, lesion_id: str) -> LesionTruth:
        """The lesion of that id.

        Raises:
            KeyError: there is none at this visit.
        """
        for one in self.lesions:
            if one.lesion_id == lesion_id:
                return one
        raise KeyError(lesion_id)

    def lesion_mask(self, lesion_id: str) -> BoolArray:
        """The voxels that the lesion fills at least by half, (z, y, x)."""
        return np.asarray(self.lesion_labels == self.lesion(lesion_id).label)

    def structure_mask(self, name: str) -> BoolArray:
        """The voxels of one structure, (z, y, x).

        Raises:
            KeyError: it is not in the field of view.
        """
        for label, known in self.label_names.items():
            if known == name:
                return np.asarray(self.labels == label)
        raise KeyError(name)

    def volume(self) -> CtVolume:
        """The CT as the program reads it from its files."""
        return CtVolume(
            self.hu.copy(),
            self.grid,
            ScanIdentity(patient_position=self.spec.position, modality="CT"),
        )

    def to_visit(self, reference_mm: npt.ArrayLike) -> FloatArray:
        """Points of the reference patient (visit 1) → where they lie in this CT, LPS mm."""
        return self.spec.motion.from_reference(reference_mm)
