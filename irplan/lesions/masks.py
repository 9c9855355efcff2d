"""Masks made elsewhere → measured lesions: NRRD, NIfTI, MHA, DICOM SEG and RTSTRUCT.

Ids are L1, L2, … by rising label, segment or ROI number, unless a file of ids names them.
A mask on the grid of the CT (also with axes flipped or swapped, or a part of it) keeps its voxels
exactly; on another grid it is sampled with a warning; a mask of another frame of reference is
refused.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from irplan import uids, units
from irplan.body import find_body
from irplan.errors import CallError, InputRefused
from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray
from irplan.lesions import contours, segfile
from irplan.lesions.gestures import kind_from
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.lesions.measurement import measure_lesion
from irplan.lesions.placing import place, place_one
from irplan.lesions.segmentation import Segmentation, overlaps
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume
from irplan.volume_io import load_label_map

STAGE = "lesions"

MASK_RESAMPLED = declare(
    "mask_resampled",
    Severity.WARN,
    STAGE,
    "{lesion}: its mask lies on another grid than the scan and was sampled: {source_ml} mL there, "
    "{volume_ml} mL here",
)
MASK_OUTSIDE_SCAN = declare(
    "mask_outside_scan",
    Severity.WARN,
    STAGE,
    "{lesion}: {lost_ml} mL of its mask lie outside the scan and are not counted",
)
MASK_EMPTY = declare(
    "mask_empty", Severity.WARN, STAGE, "label {label} {name}of the mask holds no voxel of the scan"
)
FRAME_UNKNOWN = declare(
    "mask_frame_unknown",
    Severity.WARN,
    STAGE,
    "the frame of reference of the mask or of the scan is not told: whether they belong together "
    "was judged by their positions alone",
)
OTHER_PATIENT = declare(
    "mask_of_other_patient",
    Severity.WARN,
    STAGE,
    "the mask names another patient than the scan: make sure that they belong together",
)
MASK_FRACTIONAL = declare(
    "mask_fractional",
    Severity.INFO,
    STAGE,
    "{lesion}: a fractional segmentation was cut at one half",
)
CONTOURS_SKIP_SLICES = declare(
    "contours_skip_slices",
    Severity.WARN,
    STAGE,
    "{lesion}: {count} slices between its first and last contour have none and count as empty",
)
CONTOURS_SHIFTED = declare(
    "contours_shifted",
    Severity.WARN,
    STAGE,
    "{lesion}: its contours lie up to {shift_mm} mm from the slices and were laid on the nearest",
)
CONTOURS_OPEN = declare(
    "contours_open",
    Severity.INFO,
    STAGE,
    "{lesion}: {count} points or open lines enclose no volume and were left out",
)
ID_WITHOUT_MASK = declare(
    "id_without_mask",
    Severity.WARN,
    STAGE,
    "the ids name label {label} ({lesion}), which the mask does not hold",
)

#: A contour farther than this from its slice is told, mm.
SHIFT_TOLD_MM = 0.1
#: Columns of an ids file that belong to the lesion itself; the dose reads the others.
LESION_COLUMNS = ("name", "kind", "site", "side")
DOSE_COLUMNS = (
    "guidance",
    "injectable",
    "previously_injected",
    "min_ml",
    "max_ml",
    "reason",
    "priority",
)


@dataclass(frozen=True)
class _Found:
    """One label of a file, placed on the CT, before it has an id."""

    label: int
    name: str
    mask: LesionMask | None
    source_ml: float | None = None
    lost_ml: float = 0.0
    exact: bool = True
    fractional: bool = False
    skipped_slices: int = 0
    shift_mm: float = 0.0
    open_contours: int = 0


def import_masks(
    path: Path,
    volume: CtVolume,
    ids: Path | None = None,
    task: Task = SILENT,
    body: BoolArray | None = None,
) -> Segmentation:
    """The measured lesions of a mask file, source ``imported``.

    Args:
        path: NRRD, NIfTI, MHA, DICOM SEG or RTSTRUCT; or a folder that holds one of the last two.
        volume: the CT that the masks belong to.
        ids: file with ``source_label,lesion_id`` and any lesion attribute, or ``None``.
        task: progress and cancelling.
        body: the patient's outline, where it is known already.

    Raises:
        InputRefused: the file cannot be read, belongs to another frame of reference, holds no
            lesion in the scan, or the ids contradict it.
    """
    named = read_ids(ids) if ids is not None else {}
    found, findings = _read(path, volume)
    outline = find_body(volume, task.part("finding the body")) if body is None else body
    given = {row["lesion_id"] for row in named.values()}
    lesions: list[Lesion] = []
    for number, item in enumerate(found, start=1):
        task.step(number - 1, len(found))
        row = named.get(item.label)
        lesion_id = row["lesion_id"] if row else f"L{number}"
        if row is None and lesion_id in given:
            raise InputRefused(
                "lesion_id_twice",
                f"{ids}: gives the id {lesion_id}, which label {item.label} of {path} has by its "
                "order",
                f"name label {item.label} too",
            )
        if item.mask is None:
            name = f"'{item.name}' " if item.name else ""
            findings.append(MASK_EMPTY(lesion_id, label=item.label, name=name))
            continue
        lesion = _lesion(lesion_id, number, item, row or {})
        lesions.append(measure_lesion(lesion, volume, outline))
    labels = {item.label for item in found}
    for label, row in named.items():
        if label not in labels:
            findings.append(ID_WITHOUT_MASK(row["lesion_id"], label=label, lesion=row["lesion_id"]))
    if not lesions:
        raise InputRefused(
            "mask_without_lesion",
            f"{path}: holds no voxel inside the scan",
            "check that the mask belongs to this scan",
        )
    findings += overlaps(lesions)
    return Segmentation(tuple(lesions), tuple(findings))


def _lesion(lesion_id: str, number: int, item: _Found, row: dict[str, str]) -> Lesion:
    mask = item.mask
    assert mask is not None
    lesion = Lesion(
        lesion_id=lesion_id,
        label=number,
        source=LesionSource.IMPORTED,
        source_label=item.label,
        name=row.get("name") or item.name,
        kind=kind_from(row.get("kind", ""), f"kind of {lesion_id}"),
        site=row.get("site", ""),
        side=row.get("side", ""),
        mask=mask,
    )
    notes: list[Finding] = []
    if not item.exact and item.source_ml is not None:
        notes.append(
            MASK_RESAMPLED(
                lesion_id,
                lesion=lesion_id,
                source_ml=units.ml(item.source_ml),
                volume_ml=units.ml(mask.voxel_volume_ml),
            )
        )
    if item.lost_ml > 0:
        notes.append(MASK_OUTSIDE_SCAN(lesion_id, lesion=lesion_id, lost_ml=units.ml(item.lost_ml)))
    if item.fractional:
        notes.append(MASK_FRACTIONAL(lesion_id, lesion=lesion_id))
    if item.skipped_slices:
        notes.append(CONTOURS_SKIP_SLICES(lesion_id, lesion=lesion_id, count=item.skipped_slices))
    if item.shift_mm > SHIFT_TOLD_MM:
        notes.append(
            CONTOURS_SHIFTED(lesion_id, lesion=lesion_id, shift_mm=units.mm(item.shift_mm))
        )
    if item.open_contours:
        notes.append(CONTOURS_OPEN(lesion_id, lesion=lesion_id, count=item.open_contours))
    return replace(lesion, findings=tuple(notes))


# -------------------------------------------------------------------------------------- reading


def _read(path: Path, volume: CtVolume) -> tuple[list[_Found], list[Finding]]:
    dataset = _dicom(path)
    if dataset is None:
        return list(_label_map(path, volume)), []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read_dicom(dataset, path, volume)
    except (InputRefused, MemoryError):
        raise
    except Exception as error:
        # pydicom parses values late and raises many kinds on damaged bytes.
        raise InputRefused(
            "mask_damaged", f"{path}: the file is damaged: {error}", "export it again"
        ) from error


def _read_dicom(
    dataset: pydicom.Dataset, path: Path, volume: CtVolume
) -> tuple[list[_Found], list[Finding]]:
    modality = str(dataset.get("Modality", ""))
    sop_class = str(dataset.get("SOPClassUID", ""))
    if modality == "RTSTRUCT":
        findings = _check_frame(contours.frame_uids(dataset), volume, path)
        return list(_rtstruct(dataset, volume, path)), findings + _check_patient(dataset, volume)
    if modality == "SEG" or sop_class in segfile.SEG_STORAGE:
        told = {str(dataset.get("FrameOfReferenceUID", ""))} - {""}
        findings = _check_frame(told, volume, path) + _check_patient(dataset, volume)
        return list(_segmentation(dataset, volume, path)), findings
    raise InputRefused(
        "mask_not_a_mask",
        f"{path}: is DICOM of modality {modality or 'unknown'}, not a segmentation",
        "give a DICOM SEG, an RTSTRUCT, or a NRRD, NIfTI or MHA label map",
    )


def _dicom(path: Path) -> pydicom.Dataset | None:
    """The DICOM data set at the path, or ``None`` for a label map."""
    if path.is_dir():
        inside = [entry for entry in sorted(path.rglob("*")) if entry.is_file()]
        masks = [entry for entry in inside if _is_mask_object(entry)]
        if len(masks) != 1:
            raise InputRefused(
                "mask_folder",
                f"{path}: a folder with {len(masks)} DICOM SEG or RTSTRUCT files",
                "name the file",
            )
        return pydicom.dcmread(masks[0])
    if not path.is_file():
        raise InputRefused("mask_absent", f"{path}: there is no such file")
    try:
        return pydicom.dcmread(path)
    except (InvalidDicomError, EOFError):
        return None
    except Exception as error:
        raise InputRefused(
            "mask_damaged", f"{path}: the file is damaged: {error}", "export it again"
        ) from error


def _is_mask_object(path: Path) -> bool:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Modality"])
    except (InvalidDicomError, EOFError, OSError):
        return False
    return str(header.get("Modality", "")) in ("SEG", "RTSTRUCT")


def _check_frame(told: set[str], volume: CtVolume, path: Path) -> list[Finding]:
    """Whether the mask's frame of reference is the scan's.

    Raises:
        InputRefused: both are told and differ, or a region lies in yet another.
    """
    own = volume.identity.frame_of_reference_uid
    if told == {uids.frame_of_reference_uid(volume)}:
        return []
    if told and own:
        raise InputRefused(
            "other_frame_of_reference",
            f"{path}: belongs to the frame of reference {', '.join(sorted(told))}, the scan to "
            f"{own}",
            "give a mask of this scan, or register it first",
        )
    return [FRAME_UNKNOWN()]


def _check_patient(dataset: pydicom.Dataset, volume: CtVolume) -> list[Finding]:
    """Whether mask and scan name one patient; pseudonyms differ, so it is told and no refusal."""
    told, own = str(dataset.get("PatientID") or "").strip(), volume.identity.patient_id.strip()
    return [OTHER_PATIENT()] if told and own and told != own else []


def _label_map(path: Path, volume: CtVolume) -> Iterator[_Found]:
    labels, grid = load_label_map(path)
    for placed in place(labels, grid, volume.geometry):
        yield _Found(placed.label, "", placed.mask, placed.source_ml, placed.lost_ml, placed.exact)


def _segmentation(dataset: pydicom.Dataset, volume: CtVolume, path: Path) -> Iterator[_Found]:
    for segment in segfile.segments(dataset, path):
        placed = place_one(segment.mask, segment.number, segment.grid, volume.geometry)
        yield _Found(
            segment.number,
            segment.tracking_id or segment.name,
            placed.mask,
            placed.source_ml,
            placed.lost_ml,
            placed.exact,
            segment.fractional,
        )


def _rtstruct(dataset: pydicom.Dataset, volume: CtVolume, path: Path) -> Iterator[_Found]:
    for region in contours.regions(dataset, volume.geometry, path):
        yield _Found(
            region.number,
            region.name,
            region.mask,
            lost_ml=region.lost_ml,
            skipped_slices=region.skipped_slices,
            shift_mm=region.shift_mm,
            open_contours=region.open_contours,
        )


# ------------------------------------------------------------------------------------------ ids


def read_ids(path: Path) -> dict[int, dict[str, str]]:
    """The rows of an ids file by source label: ``lesion_id`` and whatever else the columns hold.

    Raises:
        InputRefused: it cannot be read; a column is unknown; a label or id is absent, stands
            twice or is not a whole number above zero.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputRefused("ids_unreadable", f"{path}: cannot be read as text: {error}") from error
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    columns = [name.strip() for name in reader.fieldnames or []]
    reader.fieldnames = columns
    known = {"source_label", "lesion_id", *LESION_COLUMNS, *DOSE_COLUMNS}
    unknown = [
        name
        for name in columns
        if name not in known and name != "fixed_ml" and not name.startswith("fixed_ml:")
    ]
    if unknown or "source_label" not in columns or "lesion_id" not in columns:
        raise InputRefused(
            "ids_columns",
            f"{path}: the columns are {','.join(columns) or 'absent'}",
            "use source_label,lesion_id and lesion attributes such as name,kind,site,side",
        )
    rows: dict[int, dict[str, str]] = {}
    seen: set[str] = set()
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        cells = {key: (value or "").strip() for key, value in row.items() if key is not None}
        if None in row or not cells["lesion_id"] or not cells["source_label"].isdecimal():
            raise InputRefused(
                "ids_row", f"{where}: needs a label (a whole number) and a lesion_id", ""
            )
        label = int(cells["source_label"])
        if label in rows or cells["lesion_id"] in seen:
            raise InputRefused("ids_twice", f"{where}: a label or lesion_id stands twice")
        try:
            kind_from(cells.get("kind", ""), where)
        except CallError as error:
            raise InputRefused(error.code, error.message, error.remedy) from error
        rows[label] = cells
        seen.add(cells["lesion_id"])
    if not rows:
        raise InputRefused("ids_empty", f"{path}: names no lesion")
    return rows
