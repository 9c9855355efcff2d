"""From DICOM or NIfTI to the record on real body scans, with the lesions that are known there."""

from __future__ import annotations

import csv
import json
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from program_under_test import run_program

pytestmark = pytest.mark.realdata


def irplan(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program as a program."""
    return run_program(*arguments, timeout=580)


#: Scan, how its lesions are shown, and further options; paths below the folder of real scans.
#: None of these scans tells how the patient lay; all were made supine.
CASES: dict[str, tuple[str, list[str], list[str]]] = {
    "ircad17": (
        "volumes/ircad17/dicom",
        ["--mask", "@tumours"],
        ["supine"],
    ),
    "chest_crc": ("volumes/chest_crc/chest_colonrepo.nii.gz", ["--seed", "@chest"], ["supine"]),
    "totalsegmentator": (
        "volumes/totalsegmentator/example_ct.nii.gz",
        ["--clicks", "@liver"],
        ["supine"],
    ),
    "lung1_003": (
        "volumes/lung1_003/ct.nii.gz",
        ["--mask", "volumes/lung1_003/masks/node_supraclavicular.nii.gz"],
        ["supine"],
    ),
}


def chest_nodule(scan: Path) -> str:
    """LPS position of voxel (360, 243, 50), by a second library."""
    import SimpleITK as sitk  # noqa: N813

    image = sitk.ReadImage(str(scan))
    return ",".join(f"{x:.2f}" for x in image.TransformIndexToPhysicalPoint((360, 243, 50)))


def both_tumours(scan: Path, out: Path) -> Path:
    """The two masks of liver tumours as one label map."""
    import SimpleITK as sitk  # noqa: N813

    masks = [
        sitk.ReadImage(str(scan.parent / "masks" / f"livertumor{number}.nii.gz")) > 0
        for number in (1, 2)
    ]
    sitk.WriteImage(masks[0] + 2 * (masks[1] & ~masks[0]), str(out))
    return out


def liver_click(scan: Path, out: Path) -> Path:
    """A made-up lesion of three diameters at the innermost point of the labelled liver.

    The scan has no tumour; the diameters make one, so that the way can be walked to its end.
    """
    import numpy as np
    import SimpleITK as sitk  # noqa: N813

    labels = sitk.ReadImage(str(scan.parent / "example_seg_fast_force_split.nii.gz"))
    liver = sitk.Equal(labels, 5)
    inner = sitk.SignedMaurerDistanceMap(
        liver, insideIsPositive=True, squaredDistance=False, useImageSpacing=True
    )
    k, j, i = np.unravel_index(
        int(np.argmax(sitk.GetArrayViewFromImage(inner))), labels.GetSize()[::-1]
    )
    x, y, z = labels.TransformIndexToPhysicalPoint((int(i), int(j), int(k)))
    rows = [
        ("L1", "liver", x - 10, y, z, x + 10, y, z),
        ("L1", "liver", x, y - 9, z, x, y + 9, z),
        ("L1", "liver", x, y, z - 9, x, y, z + 9),
    ]
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("lesion_id", "kind", "x", "y", "z", "x2", "y2", "z2"))
        writer.writerows([*row[:2], *(f"{v:.2f}" for v in row[2:])] for row in rows)
    return out


@pytest.mark.parametrize("name", CASES)
def test_the_whole_way(name: str, realdata: Path, tmp_path: Path) -> None:
    scan_name, shown, position = CASES[name]
    scan = realdata / scan_name
    if shown[1] == "@chest":
        shown = ["--seed", chest_nodule(scan)]
    elif shown[1] == "@tumours":
        shown = ["--mask", str(both_tumours(scan, tmp_path / "tumours.nii.gz"))]
    elif shown[1] == "@liver":
        shown = ["--clicks", str(liver_click(scan, tmp_path / "clicks.csv"))]
    else:
        shown = [shown[0], str(realdata / shown[1])]
    more = ["--patient-position", position[0]] if position else []
    out, store = tmp_path / "plan", tmp_path / "record.sqlite"
    made = irplan("plan", scan, *shown, *more, "--weight-kg", "70", "--out", out, "--json")
    assert made.returncode in (0, 4), made.stderr
    plan = json.loads(made.stdout, parse_float=Decimal)
    check_plan(plan, made.returncode)
    for file in ("plan.json", "report.pdf", "lesions.dcm", "measurements.dcm"):
        assert (out / file).stat().st_size > 0
    assert irplan("record", "init", "--store", store).returncode == 0
    added = irplan("record", "add", out / "plan.json", "--subject", "S1", "--visit", 1,
                   "--store", store)  # fmt: skip
    assert added.returncode == 0, added.stderr
    assert irplan("record", "verify", "--store", store).returncode == 0


def check_plan(plan: dict[str, Any], code: int) -> None:
    """What must hold of any plan: sums, limits, and a word about every lesion."""
    drug = plan["allocation"]["drugs"][0]
    assert drug["allocated_ml"] + drug["residual_ml"] == drug["prescribed_ml"]
    reached = {name for needle in plan["needles"] for name in needle["lesion_ids"]}
    lost = {lesion["lesion_id"] for lesion in plan["unreachable"]}
    assert reached | lost == {dose["lesion_id"] for dose in drug["lesions"] if dose["ml"] > 0}
    assert (code == 4) == bool(lost)
    for needle in plan["needles"]:
        bones = [name for name in needle["crosses_mm"] if name.startswith(("bone", "rib", "vert"))]
        assert bones == []
