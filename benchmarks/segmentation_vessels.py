"""Whether a click on a vessel is told from a click in a lesion.

Run ``python benchmarks/segmentation_vessels.py [--quick] [--json FILE]``. The real scans are looked
for in IRPLAN_REALDATA, or in ``shared/realdata`` beside the clone. Clicks are laid at random voxels
of the vessel masks of one contrast scan, where contrast fills them (median HU under the click as
the program reads it), and at random voxels of all thirteen lesions and of those of the sample
patient, none nearer to the border than a voxel. What counts is the answer: refused as a vessel,
refused as something else, or a lesion.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from segmentation import Case, cropped, phantom_cases, point, real_cases

from irplan.lesions import Click, Prompt
from irplan.lesions.tissue import probe_hu, refusal
from irplan.lesions.tubes import CONTRAST_HU
from irplan.volume import CtVolume
from irplan.volume_io import load_label_map, load_volume

Array = np.ndarray

CLICKS, QUICK_CLICKS = 100, 30
LESION_CLICKS, QUICK_LESION_CLICKS = 20, 6
VESSELS = ("artery", "portalvein", "venoussystem")
ANSWERS = ("vessel", "other refusal", "lesion")


def places(mask: Array, count: int, seed: int) -> Array:
    """Random voxels (z, y, x) of a mask, none at its very border where it is thick enough."""
    spans = ndimage.find_objects(mask.astype(np.uint8))[0]
    inner = ndimage.binary_erosion(mask[spans])
    index = np.argwhere(inner if inner.any() else mask[spans])
    index += [span.start for span in spans]
    rng = np.random.default_rng([4, seed])
    return index[rng.permutation(len(index))[:count]]


def answer(volume: CtVolume, index_zyx: Array) -> tuple[str, float]:
    """What a click there gives, and the HU under it."""
    place = point(volume.geometry.to_lps(index_zyx[::-1].astype(float)))
    level = float(np.median(probe_hu(volume, place)))
    refused = refusal(Prompt("L1", None, (Click(place),)), volume, None)
    if refused is None:
        return "lesion", level
    return ("vessel" if refused.code == "click_on_vessel" else "other refusal"), level


def vessel_rows(folder: Path, count: int) -> dict[str, list[tuple[str, float]]]:
    """Answers by vessel mask, for clicks where contrast fills it."""
    volume = load_volume(folder / "volumes" / "ircad17" / "dicom")
    out = {}
    for seed, name in enumerate(VESSELS):
        labels, _ = load_label_map(folder / "volumes" / "ircad17" / "masks" / f"{name}.nii.gz")
        rows: list[tuple[str, float]] = []
        for index in places(labels > 0, 8 * count, seed):
            place = volume.geometry.to_lps(index[::-1].astype(float))
            if np.median(probe_hu(volume, place)) >= CONTRAST_HU:
                rows.append(answer(volume, index))
            if len(rows) == count:
                break
        out[name] = rows
    return out


def lesion_rows(cases: list[Case], count: int) -> dict[str, list[tuple[str, float]]]:
    """Answers by lesion."""
    return {
        case.name: [answer(case.volume, index) for index in places(case.truth, count, number)]
        for number, case in enumerate(cases)
    }


def table(found: dict[str, dict[str, list[tuple[str, float]]]]) -> None:
    print("\nclicks: share refused as a vessel, refused as something else, taken for a lesion")
    for title, groups in found.items():
        print(f"  {title}")
        every = [row for rows in groups.values() for row in rows]
        for name, rows in (*groups.items(), ("all", every)):
            shares = [np.mean([row[0] == one for row in rows]) for one in ANSWERS]
            dense = np.mean([row[1] >= CONTRAST_HU for row in rows])
            print(
                f"    {name.ljust(28)} {len(rows):4d}  "
                + "  ".join(f"{share:.2f}" for share in shares)
                + f"   from {CONTRAST_HU:.0f} HU up {dense:.2f}"
            )


def run(folder: Path, quick: bool) -> dict[str, Any]:
    cases = [cropped(case) for case in real_cases(folder)]
    count = QUICK_LESION_CLICKS if quick else LESION_CLICKS
    return {
        "clicks on vessels": vessel_rows(folder, QUICK_CLICKS if quick else CLICKS),
        "clicks in lesions": lesion_rows(cases, count),
        "clicks in the sample's lesions": lesion_rows(list(phantom_cases(quick=True)), count),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a third of the clicks")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    named = os.environ.get("IRPLAN_REALDATA")
    beside = Path(__file__).resolve().parents[2] / "shared" / "realdata"
    folder = Path(named) if named else beside
    if not (folder / "lesions.csv").is_file():
        raise SystemExit("real scans are absent: no vessels to click on")
    found = run(folder, arguments.quick)
    table(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
