"""Volumes and label maps in and out: DICOM, NRRD, NIfTI, MHA, whichever way their axes run.

In: a path. Out: a :class:`~irplan.volume.CtVolume` in HU, or a label map, on a right-handed grid in
patient LPS mm: columns and rows as stored, slices rising along columns × rows. A left-handed file
is made right-handed by reversing its slices; the grid says where they lie, so no voxel moves.
NIfTI is RAS inside and is converted at this door, both ways.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from irplan import dicom
from irplan.errors import CallError, InputRefused
from irplan.files import replacing
from irplan.findings import Finding, Severity, declare
from irplan.geometry import GridGeometry
from irplan.image_checks import UNREADABLE, Untrusted, check_header
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume, ScanIdentity

STAGE = "reading"

IDENTITY_UNKNOWN = declare(
    "identity_unknown",
    Severity.WARN,
    STAGE,
    "{form} names no patient, study or patient position: they must be confirmed before signing",
)
VALUES_ROUNDED = declare(
    "values_rounded", Severity.INFO, STAGE, "fractional values were rounded to whole HU"
)
VALUES_CLIPPED = declare(
    "values_clipped", Severity.WARN, STAGE, "{count} voxels beyond int16 were set to its limit"
)
NO_AIR = declare(
    "no_negative_hu",
    Severity.WARN,
    STAGE,
    "no value lies below 0: these may not be HU (air is -1000)",
)

#: Codes after which a plan is not signed until a person has confirmed who and how the patient lies.
NEEDS_CONFIRMATION = dicom.NEEDS_CONFIRMATION | {IDENTITY_UNKNOWN.code}

VOLUME_SUFFIXES = (".nrrd", ".nii.gz", ".mha")
_READ_SUFFIXES = (*VOLUME_SUFFIXES, ".nii", ".mhd", ".nhdr")
LOWEST_HU, HIGHEST_HU = -32768, 32767

LabelArray = npt.NDArray[np.integer]


def check_volume_name(target: Path) -> None:
    """Whether a volume can be written under this name.

    Raises:
        CallError: it ends in none of .nrrd, .nii.gz, .mha.
    """
    if not target.name.lower().endswith(VOLUME_SUFFIXES):
        raise CallError(
            "unknown_format",
            f"{target}: the name says no known format",
            "end it in " + ", ".join(VOLUME_SUFFIXES),
        )


def is_image_file(path: Path) -> bool:
    """Whether a path is a NRRD, NIfTI or MHA file, by its name."""
    return path.is_file() and path.name.lower().endswith(_READ_SUFFIXES)


class Preview(Protocol):
    """Who wants to show slices of a DICOM series while the others are still being read.

    Both are called on the thread that reads. Nothing may be computed from what is shown: only the
    volume that :func:`load_volume` returns has been read whole.
    """

    def begin(self, hu: npt.NDArray[np.int16], grid: GridGeometry) -> None:
        """The geometry has passed the gate; slices come into ``hu`` (z, y, x), the middle first."""

    def arrived(self, index: int) -> None:
        """This slice is there."""


def load_volume(
    path: Path,
    series_uid: str | None = None,
    task: Task = SILENT,
    *,
    correct_tilt: bool = True,
    preview: Preview | None = None,
) -> CtVolume:
    """The CT at ``path`` as one volume in HU.

    Args:
        path: DICOM file, folder, DICOMDIR or ZIP; or a NRRD, NIfTI or MHA file in HU.
        series_uid: which DICOM series, where there are several.
        correct_tilt: whether slices of a tilted gantry are resampled, or refused.
        preview: shown the slices as they come; not those of a tilted gantry, nor other files.

    Raises:
        CallError: several series are usable and none is named.
        InputRefused: nothing here can be trusted as a CT volume; the message says why.
    """
    path = Path(path)
    if is_image_file(path):
        return _load_image(path)
    result = dicom.scan(path, task.part("reading headers"))
    entry = dicom.choose(result, path, series_uid)
    part, grid = task.part("reading slices"), entry.gate.grid
    if preview is None or grid is None:
        return dicom.read_entry(entry, path, part, correct_tilt=correct_tilt)
    return dicom.read_entry(
        entry,
        path,
        part,
        correct_tilt=correct_tilt,
        on_slice=lambda index, _: preview.arrived(index),
        first=grid.size[2] // 2,
        on_array=lambda hu: preview.begin(hu, grid),
    )


def save_volume(volume: CtVolume, target: Path) -> None:
    """Write HU and grid as .nrrd, .nii.gz or .mha (by the name), whole or not at all.

    Raises:
        CallError: the name says no known format.
        InputRefused: the folder cannot be written to.
    """
    _save(volume.hu, volume.geometry, target)


def load_label_map(path: Path) -> tuple[LabelArray, GridGeometry]:
    """A label map: whole numbers (z, y, x) and their grid, as :func:`load_volume` lays it out.

    Raises:
        InputRefused: no readable image, its orientation is unknown, or a label is not whole.
    """
    values, grid = _read(Path(path))
    if values.dtype.kind in "iu":
        return values, grid
    if values.dtype.kind != "f" or not bool(np.isfinite(values).all()):
        raise _refusal(path, "labels are not numbers", "export it as a label map")
    whole = np.rint(values)
    if float(np.abs(values - whole).max(initial=0.0)) > 1e-6 or float(np.abs(whole).max()) > 2**31:
        raise _refusal(path, "labels are not whole numbers", "export it as a label map")
    return whole.astype(np.int32), grid


def save_label_map(labels: npt.NDArray[Any], grid: GridGeometry, target: Path) -> None:
    """Write labels (z, y, x) on ``grid`` as .nrrd, .nii.gz or .mha.

    Raises:
        CallError: the name says no known format.
        ValueError: the labels are not whole numbers or do not fit the grid.
    """
    values = labels.astype(np.uint8) if labels.dtype == np.bool_ else labels
    if values.dtype.kind not in "iu":
        raise ValueError(f"labels are whole numbers, not {labels.dtype}")
    _save(values, grid, target)


def _simpleitk() -> Any:
    """SimpleITK, loaded late (it takes a moment) and untyped (it carries no types)."""
    import SimpleITK

    return SimpleITK


def _save(values: npt.NDArray[Any], grid: GridGeometry, target: Path) -> None:
    sitk = _simpleitk()
    check_volume_name(target)
    if values.shape != grid.shape_zyx:
        raise ValueError(f"array {values.shape} does not fit grid {grid.shape_zyx}")
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_lps_mm)
    image.SetDirection(grid.direction)
    with replacing(target) as temporary:
        try:
            sitk.WriteImage(image, str(temporary), useCompression=True)
        except RuntimeError as error:
            raise InputRefused(
                "cannot_write", f"{target}: cannot be written: {_last(error)}", "check the disk"
            ) from error


def _load_image(path: Path) -> CtVolume:
    values, grid = _read(path)
    name = path.name.lower()
    form = "NIfTI" if ".nii" in name else "NRRD" if name.endswith(("nrrd", "nhdr")) else "MetaImage"
    findings: list[Finding] = [IDENTITY_UNKNOWN(form=form)]
    if values.dtype.kind == "f":
        if not bool(np.isfinite(values).all()):
            raise _refusal(path, "a voxel is not a number", "export it again in HU")
        whole = np.rint(values)
        if not np.array_equal(whole, values):
            findings.append(VALUES_ROUNDED())
        values = whole
    beyond = int(np.count_nonzero((values < LOWEST_HU) | (values > HIGHEST_HU)))
    if beyond:
        findings.append(VALUES_CLIPPED(count=beyond))
    if values.dtype != np.int16:
        values = np.clip(values, LOWEST_HU, HIGHEST_HU).astype(np.int16)
    if int(values.min()) >= 0:
        findings.append(NO_AIR())
    identity = ScanIdentity(source_path=str(path))
    return CtVolume(values, grid, identity, tuple(findings))


def _read(path: Path) -> tuple[npt.NDArray[Any], GridGeometry]:
    """Values (z, y, x) and a right-handed LPS grid."""
    sitk = _simpleitk()
    if not path.is_file():
        raise InputRefused("no_such_path", f"{path}: there is no such file", "check the path")
    if not path.name.lower().endswith(_READ_SUFFIXES):
        raise _refusal(path, "the name says no known format", "give .nrrd, .nii, .nii.gz or .mha")
    _require_trust(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise _refusal(path, _last(error), "write it again, or choose another file") from error
    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = image[..., 0]
    if image.GetDimension() != 3:
        raise _refusal(path, f"{image.GetDimension()} dimensions, not 3", "give one volume")
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise _refusal(path, "several values a voxel", "give one grey value a voxel")
    values = sitk.GetArrayFromImage(image)
    if values.dtype.kind not in "iuf":
        raise _refusal(path, f"voxels of type {values.dtype}", "give whole or real numbers")
    try:
        return _right_handed(
            values,
            GridGeometry(
                image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()
            ),
        )
    except ValueError as error:
        raise _refusal(path, str(error), "resample it onto a regular grid") from error


def _right_handed(
    values: npt.NDArray[Any], grid: GridGeometry
) -> tuple[npt.NDArray[Any], GridGeometry]:
    if float(np.linalg.det(grid.axes)) > 0:
        return values, grid
    axes = grid.axes * np.array([1.0, 1.0, -1.0]) + 0.0
    last = grid.to_lps((0, 0, grid.size[2] - 1))
    turned = GridGeometry(
        grid.size,
        grid.spacing_mm,
        (float(last[0]), float(last[1]), float(last[2])),
        tuple(float(value) for value in axes.ravel()),
    )
    return np.ascontiguousarray(values[::-1]), turned


def _require_trust(path: Path) -> None:
    """Refuse a file that leaves its reader something to assume.

    Raises:
        InputRefused: orientation, place or spacing are absent or contradict themselves, or the
            data are cut off.
    """
    try:
        check_header(path)
    except Untrusted as error:
        raise _refusal(
            path, str(error), "export it again, with its orientation, place and spacing in mm"
        ) from error
    except UNREADABLE as error:
        raise _refusal(path, str(error), "write it again") from error


def _refusal(path: Path, why: str, remedy: str) -> InputRefused:
    return InputRefused("image_refused", f"{path}: {why}", remedy)


def _last(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "unreadable"
