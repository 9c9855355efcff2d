"""Structures segmented elsewhere: label maps, DICOM SEG and RTSTRUCT, with the names they carry.

Names come from a JSON file of labels where one is given, else from the file itself (DICOM
segments, regions of interest, segments of a NRRD), else they are TotalSegmentator's classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from irplan import jsonio, uids, units
from irplan.anatomy.names import TOTAL_CLASSES
from irplan.errors import InputRefused
from irplan.findings import Finding, Severity, declare
from irplan.lesions import contours, segfile
from irplan.lesions.lesion import LesionMask
from irplan.lesions.masks import FRAME_UNKNOWN, MASK_EMPTY, MASK_OUTSIDE_SCAN, MASK_RESAMPLED
from irplan.lesions.placing import Placed, place_one
from irplan.volume import CtVolume
from irplan.volume_io import load_label_map

NAMES_ASSUMED = declare(
    "label_names_assumed",
    Severity.WARN,
    "anatomy",
    "the label map {file} comes without names: its labels are read as the classes of "
    "TotalSegmentator 2 ('total')",
)
LABELS_WITHOUT_NAME = declare(
    "label_without_name",
    Severity.WARN,
    "anatomy",
    "the label map {file} holds labels without a name ({labels}); each is avoided as a structure "
    "of unknown kind",
)
#: Most bytes of a NRRD's header that are searched for names.
NRRD_HEADER_BYTES = 1 << 20


@dataclass(frozen=True)
class _Item:
    """One structure of a file before it has its final name."""

    label: int
    name: str
    placed: Placed


def read_names(path: Path) -> dict[int, str]:
    """Names of labels from a JSON object ``{"1": "spleen", …}``.

    Raises:
        InputRefused: not such an object, a label not above zero, or a name empty or used twice.
    """
    try:
        content = jsonio.loads(path.read_bytes())
    except OSError as error:
        raise InputRefused("cannot_read", f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputRefused("not_json", f"{path}: is not JSON: {error}") from error
    if not isinstance(content, dict) or not content:
        raise InputRefused("not_names", f'{path}: is not an object {{"1": "name", …}}')
    names: dict[int, str] = {}
    for key, name in content.items():
        if not key.isascii() or not key.isdigit() or int(key) < 1:
            raise InputRefused("not_a_label", f"{path}: '{key}' is not a label above 0")
        if not isinstance(name, str) or not name.strip():
            raise InputRefused("not_a_name", f"{path}: label {key} has no name")
        names[int(key)] = name.strip()
    if len(set(names.values())) != len(names):
        raise InputRefused("name_twice", f"{path}: a name stands for two labels")
    return names


def read_imported(
    path: Path, names_path: Path | None, volume: CtVolume
) -> tuple[dict[str, LesionMask], tuple[Finding, ...]]:
    """The structures of a file, by name, on the CT grid.

    Args:
        path: NRRD, NIfTI or MHA label map on the voxels of the CT; DICOM SEG or RTSTRUCT of the
            CT's frame of reference.
        names_path: JSON names of the labels, segment or region numbers, or ``None``.
        volume: the CT.

    Raises:
        InputRefused: the file cannot be read, is no segmentation, lies on another grid (a label
            map) or belongs to another frame of reference (DICOM).
    """
    given = read_names(names_path) if names_path is not None else {}
    dataset = _dicom(path)
    findings: list[Finding] = []
    if dataset is None:
        items, names, findings = _label_map(path, given, volume)
    else:
        items, findings = _dicom_items(dataset, path, volume)
        names = {one.label: _plain(one.name) for one in items} | given
    masks: dict[str, LesionMask] = {}
    for one in items:
        name = _unused(names.get(one.label) or f"label_{one.label}", masks)
        findings += _notes(name, one)
        if one.placed.mask is not None:
            masks[name] = one.placed.mask
    return masks, tuple(findings)


def _label_map(
    path: Path, given: dict[int, str], volume: CtVolume
) -> tuple[list[_Item], dict[int, str], list[Finding]]:
    labels, grid = load_label_map(path)
    if not grid.same_grid(volume.geometry):
        raise InputRefused(
            "grid_differs",
            f"{path}: its grid ({grid.size}, {grid.spacing_mm} mm) is not that of the CT "
            f"({volume.geometry.size}, {volume.geometry.spacing_mm} mm)",
            "resample the label map to the CT (nearest neighbour)",
        )
    present = [int(label) for label in np.unique(labels) if label > 0]
    findings: list[Finding] = []
    names = given or _nrrd_names(path)
    if not names:
        names = TOTAL_CLASSES
        findings.append(NAMES_ASSUMED(file=path.name))
    nameless = [label for label in present if label not in names]
    if nameless:
        shown = ", ".join(str(label) for label in nameless[:12])
        findings.append(LABELS_WITHOUT_NAME(file=path.name, labels=shown))
    items = []
    for label in present:
        box = LesionMask.from_full(labels == label, volume.geometry)
        items.append(_Item(label, "", Placed(label, box, 0.0, 0.0, True)))
    return items, names, findings


def _nrrd_names(path: Path) -> dict[int, str]:
    """Names of the segments that a segmentation NRRD tells in its header; empty where none."""
    with path.open("rb") as file:
        head = file.read(NRRD_HEADER_BYTES)
    if not head.startswith(b"NRRD"):
        return {}
    text = head.partition(b"\n\n")[0].decode("utf-8", "replace")
    values = dict(re.findall(r"^(Segment\d+_(?:Name|LabelValue)):=(.*?)\r?$", text, re.MULTILINE))
    names = {}
    for key, name in values.items():
        value = values.get(key.replace("_Name", "_LabelValue"), "")
        if key.endswith("_Name") and value.isdigit() and int(value) > 0 and name.strip():
            names[int(value)] = _plain(name)
    return names if len(set(names.values())) == len(names) else {}


def _dicom(path: Path) -> pydicom.Dataset | None:
    """The DICOM data set of a file, or ``None`` for what is no DICOM."""
    try:
        return pydicom.dcmread(path)
    except (InvalidDicomError, EOFError):
        return None
    except OSError as error:
        raise InputRefused("cannot_read", f"{path}: cannot be read: {error.strerror}") from error


def _dicom_items(
    dataset: pydicom.Dataset, path: Path, volume: CtVolume
) -> tuple[list[_Item], list[Finding]]:
    """The segments or regions of a DICOM SEG or RTSTRUCT.

    Raises:
        InputRefused: it is neither, or of another frame of reference.
    """
    modality = str(dataset.get("Modality", ""))
    items: Iterator[_Item]
    if modality == "RTSTRUCT":
        told = contours.frame_uids(dataset)
        items = (
            _Item(one.number, one.name, Placed(one.number, one.mask, 0.0, 0.0, True))
            for one in contours.regions(dataset, volume.geometry, path)
        )
    elif modality == "SEG" or str(dataset.get("SOPClassUID", "")) in segfile.SEG_STORAGE:
        told = {str(dataset.get("FrameOfReferenceUID", ""))} - {""}
        items = (
            _Item(
                one.number,
                one.name,
                place_one(one.mask, one.number, one.grid, volume.geometry),
            )
            for one in segfile.segments(dataset, path)
        )
    else:
        raise InputRefused(
            "mask_not_a_mask",
            f"{path}: is DICOM of modality {modality or 'unknown'}, not a segmentation",
            "give a DICOM SEG, an RTSTRUCT, or a NRRD, NIfTI or MHA label map",
        )
    own = volume.identity.frame_of_reference_uid
    if told and uids.frame_of_reference_uid(volume) in told:
        return list(items), []
    if told and own:
        raise InputRefused(
            "other_frame_of_reference",
            f"{path}: belongs to the frame of reference {', '.join(sorted(told))}, the scan to "
            f"{own}",
            "give structures of this scan, or register them first",
        )
    return list(items), [FRAME_UNKNOWN()]


def _plain(name: str) -> str:
    """A name as the rules know it: lower case, words joined by '_', without 'A_' and 'V_'.

    'No Go', 'SpinalCord' and 'A_Carotid_L' become 'no_go', 'spinal_cord' and 'carotid_l'.
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())
    joined = re.sub(r"[^0-9a-z]+", "_", words.lower()).strip("_")
    return re.sub(r"^[av]_(?=.)", "", joined)


def _unused(name: str, taken: dict[str, LesionMask]) -> str:
    """The name, with a number where another structure has it already."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _notes(name: str, one: _Item) -> list[Finding]:
    """What is to be known about how a structure was placed."""
    placed = one.placed
    if placed.mask is None:
        return [MASK_EMPTY(name, label=one.label, name=f"'{name}' ")]
    told = []
    if not placed.exact:
        told.append(
            MASK_RESAMPLED(
                name,
                lesion=name,
                source_ml=units.ml(placed.source_ml),
                volume_ml=units.ml(placed.mask.voxel_volume_ml),
            )
        )
    if placed.lost_ml > 0:
        told.append(MASK_OUTSIDE_SCAN(name, lesion=name, lost_ml=units.ml(placed.lost_ml)))
    return told
