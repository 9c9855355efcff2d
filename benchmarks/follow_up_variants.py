"""Why scans are laid over each other as they are: which pairs are believed, which settings won.

    python benchmarks/follow_up_variants.py [--pairs] [--settings] [--json FILE]

``--pairs``: two scans rigidly laid over each other, and how well they correlate: the made-up
patient with itself (another visit, low dose, prone, a slab), with itself made wrong (mirrored, back
to front, upside down, larger), and, where ``IRPLAN_REALDATA`` names the real scans, every two
different patients. ``--settings``: the error of the local step around the lesions and two landmarks
with other steps and knots of its B-splines, and what it costs. Without either, both.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from follow_up import PLACES, lesions_of, moved

from irplan.body import find_body
from irplan.followup.carry import surface_points_mm
from irplan.geometry import BoolArray, FloatArray
from irplan.phantom import PhantomSpec, build_phantom
from irplan.phantom.command import SAMPLE_SPEC
from irplan.phantom.landmarks import LANDMARKS
from irplan.registration import local, register_lesion, register_whole, whole
from irplan.registration.grids import whole_sheet
from irplan.volume import CtVolume
from irplan.volume_io import load_volume

#: The whole patient, coarse: registration of the whole works on 5 mm.
COARSE = PhantomSpec(columns=160, rows=160, slices=150, spacing_z_mm=5.0)
REAL = {
    "chest_crc": "volumes/chest_crc/chest_colonrepo.nii.gz",
    "lung1_003": "volumes/lung1_003/ct.nii.gz",
    "ircad17": "volumes/ircad17/dicom",
    "totalsegmentator": "volumes/totalsegmentator/example_ct.nii.gz",
}
#: Steps of the B-splines' grid and distance of their knots, mm, and the steps of the optimiser.
SETTINGS = ((4.0, 45.0, 12), (3.0, 45.0, 12), (4.0, 65.0, 12), (4.0, 45.0, 6))
AROUND_MM = 10.0


@dataclass(frozen=True)
class Seen:
    """A scan and the patient in it."""

    volume: CtVolume
    body: BoolArray

    @classmethod
    def of(cls, volume: CtVolume) -> Seen:
        """The patient found in a scan."""
        return cls(volume, find_body(volume))


def made_up() -> Iterator[tuple[str, Seen, Seen]]:
    """Pairs of the made-up patient: right ones, then wrong ones."""
    first = Seen.of(build_phantom(COARSE).volume())
    later = replace(COARSE, timepoint=2, seed=77)
    low = replace(later, noise_hu=28.0, contrast=False)
    yield "visit 1 and 2", first, Seen.of(build_phantom(later).volume())
    yield "... low dose, no contrast", first, Seen.of(build_phantom(low).volume())
    prone = Seen.of(build_phantom(replace(later, position="HFP")).volume())
    yield "... prone", first, prone
    count = COARSE.slices // 4
    second = build_phantom(later).volume()
    cut = second.geometry.crop((0, 0, count), (COARSE.columns, COARSE.rows, count))
    yield (
        "... a quarter of the height",
        first,
        Seen.of(CtVolume(second.hu[count : 2 * count].copy(), cut)),
    )
    hu, grid = first.volume.hu, first.volume.geometry
    sx, sy, sz = grid.spacing_mm
    wide = replace(grid, spacing_mm=(1.15 * sx, 1.15 * sy, 1.15 * sz))
    for name, other, there in (
        ("mirrored", hu[:, :, ::-1], grid),
        ("back to front", hu[:, ::-1], grid),
        ("upside down", hu[::-1], grid),
        ("15 % larger", hu, wide),
    ):
        yield name, first, Seen.of(CtVolume(np.ascontiguousarray(other), there))


def strangers(folder: Path) -> Iterator[tuple[str, Seen, Seen]]:
    """Every two different patients of the real scans and the made-up one."""
    scans = {name: Seen.of(load_volume(folder / where)) for name, where in REAL.items()}
    scans["made up"] = Seen.of(build_phantom(COARSE).volume())
    for (one, first), (other, second) in itertools.combinations(scans.items(), 2):
        yield f"{one} and {other}", first, second


def likeness(name: str, first: Seen, second: Seen) -> dict[str, Any]:
    """How two scans correlate, rigidly laid over each other, and what is said of them."""
    found = register_whole(first.volume, first.body, second.volume, second.body)
    fixed = whole_sheet(first.volume, first.body, whole.STEP_MM)
    moving = whole_sheet(second.volume, second.body, whole.STEP_MM)
    laid = whole.laid_over(moving, fixed, found.rigid)
    both = (fixed.body | laid.body) & fixed.seen & laid.seen
    tissue = fixed.body & laid.body & both
    tissue &= (fixed.values > whole.TISSUE_HU) & (laid.values > whole.TISSUE_HU)
    return {
        "pair": name,
        "all": round(whole.correlation(fixed.values[both], laid.values[both]), 2),
        "tissue": round(whole.correlation(fixed.values[tissue], laid.values[tissue]), 2),
        "detail": round(found.similarity, 2),
        "findings": [one.code for one in found.findings],
    }


def settings() -> Iterator[dict[str, Any]]:
    """The error of the local step with other settings, mm, and its processor time."""
    first, second = build_phantom(SAMPLE_SPEC), build_phantom(replace(SAMPLE_SPEC, timepoint=2))
    old, new = Seen.of(first.volume()), Seen.of(second.volume())
    rigid = register_whole(old.volume, old.body, new.volume, new.body).rigid
    places = dict(_places(lesions_of(first, True, old.volume, old.body)))
    for step, knots, steps in SETTINGS:
        local.SPLINE_STEP_MM, local.KNOT_MM, local.SPLINE_STEPS = step, knots, steps
        began, rows = time.process_time(), {}
        for name, points in places.items():
            made = register_lesion(name, points, old.volume, old.body, new.volume, new.body, rigid)
            gaps = np.linalg.norm(made.map(points) - moved(points), axis=1)
            rms, largest = float(np.sqrt((gaps**2).mean())), float(gaps.max())
            rows[name] = (round(rms, 2), round(largest, 2), made.error_mm)
        spent = (time.process_time() - began) / len(places)
        yield {"step_mm": step, "knots_mm": knots, "steps": steps, "places": rows,
               "processor_s": round(spent, 1)}  # fmt: skip


def _places(lesions: Any) -> Iterator[tuple[str, FloatArray]]:
    for one in lesions:
        yield one.lesion_id, surface_points_mm(one.mask)
    turns = np.random.default_rng(1).normal(size=(200, 3))
    ball = AROUND_MM * turns / np.linalg.norm(turns, axis=1, keepdims=True)
    for name in PLACES:
        yield name, np.asarray(LANDMARKS[name]) + ball


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", action="store_true", help="which pairs of scans are believed")
    parser.add_argument("--settings", action="store_true", help="other settings of the local step")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    everything = not (arguments.pairs or arguments.settings)
    told: dict[str, list[Any]] = {"pairs": [], "settings": []}
    if arguments.pairs or everything:
        print(f"{'pair':40}{'all':>7}{'tissue':>8}{'detail':>8}  findings")
        real = os.environ.get("IRPLAN_REALDATA")
        for name, first, second in itertools.chain(
            made_up(), strangers(Path(real)) if real else ()
        ):
            row = likeness(name, first, second)
            told["pairs"].append(row)
            print(f"{name:40}{row['all']:7.2f}{row['tissue']:8.2f}{row['detail']:8.2f}  "
                  f"{', '.join(row['findings'])}", flush=True)  # fmt: skip
    if arguments.settings or everything:
        for row in settings():
            told["settings"].append(row)
            print(f"\ngrid {row['step_mm']} mm, knots {row['knots_mm']} mm, {row['steps']} steps: "
                  f"{row['processor_s']} s a place")  # fmt: skip
            for name, (rms, largest, error) in row["places"].items():
                said = "-" if error is None else f"{error:.1f}"
                print(f"{name:32}rms {rms:5.2f}  largest {largest:5.2f}  told {said:>5}  mm",
                      flush=True)  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(told, indent=2, default=float) + "\n")


if __name__ == "__main__":
    main()
