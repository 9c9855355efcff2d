"""Label maps made elsewhere: TotalSegmentator's or a person's, with the names of their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from irplan import jsonio
from irplan.anatomy.names import TOTAL_CLASSES
from irplan.errors import InputRefused
from irplan.findings import Finding, Severity, declare
from irplan.volume import CtVolume

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
) -> tuple[dict[str, npt.NDArray[np.bool_]], tuple[Finding, ...]]:
    """The structures of a label map, by name, as masks on the CT grid (z, y, x).

    Raises:
        InputRefused: the file cannot be read or its grid is not the CT's.
    """
    from irplan.volume_io import load_label_map

    labels, grid = load_label_map(path)
    if not grid.same_grid(volume.geometry):
        raise InputRefused(
            "grid_differs",
            f"{path}: its grid ({grid.size}, {grid.spacing_mm} mm) is not that of the CT "
            f"({volume.geometry.size}, {volume.geometry.spacing_mm} mm)",
            "resample the label map to the CT (nearest neighbour)",
        )
    findings: list[Finding] = []
    if names_path is None:
        names = TOTAL_CLASSES
        findings.append(NAMES_ASSUMED(file=path.name))
    else:
        names = read_names(names_path)
    present = [int(label) for label in np.unique(labels) if label > 0]
    nameless = [label for label in present if label not in names]
    if nameless:
        shown = ", ".join(str(label) for label in nameless[:12])
        findings.append(LABELS_WITHOUT_NAME(file=path.name, labels=shown))
    masks = {names.get(label, f"label_{label}"): labels == label for label in present}
    return masks, tuple(findings)
