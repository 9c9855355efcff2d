"""How well lesions are followed from one visit of the made-up patient to the next.

    python benchmarks/follow_up.py [--quick] [--only diameters|masks] [--json FILE]

Both visits are rendered; the second one is turned, shifted and breathed. The error of registration
is told at points of each lesion's surface, against the motion that the scans were made with, and at
landmarks that are no lesions. Then the same with the exact masks of the first visit, imported: what
they hold where the map lays them, and what the segmenter reads of them on both scans. ``--quick``
takes a coarser grid.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from irplan.body import find_body
from irplan.followup import FollowUp, follow_up
from irplan.followup.carry import surface_points_mm
from irplan.lesions import LesionMask, LesionSource, Prompt, measure_lesion, segment
from irplan.lesions.gestures import Diameter
from irplan.lesions.lesion import Lesion
from irplan.phantom import Phantom, PhantomSpec, build_phantom
from irplan.phantom.command import SAMPLE_SPEC
from irplan.phantom.gestures import diameters
from irplan.phantom.landmarks import LANDMARKS
from irplan.phantom.motion import VISITS
from irplan.registration import register_lesion

QUICK = replace(SAMPLE_SPEC, columns=160, rows=160, slices=140, spacing_z_mm=5.0)
#: Places that are no lesion and breathe, and the radius about them that is registered, mm.
PLACES = ("branching of the portal vein", "dome of the right diaphragm")
AROUND_MM = 10.0
#: What the local step was asked to reach at every lesion, mm.
WANTED_MM = 2.0


def moved(points: np.ndarray) -> np.ndarray:
    """Points of visit 1 where they are at visit 2: the motion of the made-up patient."""
    return np.asarray(VISITS[2].from_reference(VISITS[1].to_reference(points)))


def lesions_of(phantom: Phantom, masks: bool, volume: Any, body: Any) -> tuple[Lesion, ...]:
    """The lesions of the first visit: their exact masks, or segmented from three diameters."""
    if masks:
        made = []
        for one in phantom.lesions:
            mask = LesionMask.from_full(phantom.lesion_labels == one.label, phantom.grid)
            bare = Lesion(one.lesion_id, one.label, LesionSource.IMPORTED, mask=mask)
            made.append(measure_lesion(bare, volume, body))
        return tuple(made)
    prompts = []
    for one in phantom.lesions:
        lines = diameters(one)
        gestures = tuple(Diameter(tuple(map(float, a)), tuple(map(float, b))) for a, b in lines)
        prompts.append(Prompt(one.lesion_id, None, gestures))
    return segment(volume, prompts, body).lesions


def errors_of(found: FollowUp) -> list[dict[str, Any]]:
    """The error of each lesion's map at its surface, mm."""
    rows = []
    for one in found.carried:
        assert one.old.mask is not None
        points = surface_points_mm(one.old.mask)
        rows.append(row_of(one.old.lesion_id, points, one.registration, found))
    return rows


def places_of(found: FollowUp, scans: tuple[Any, Any, Any, Any]) -> list[dict[str, Any]]:
    """The error at landmarks, registered as the surroundings of a lesion are, mm."""
    turns = np.random.default_rng(1).normal(size=(200, 3))
    ball = AROUND_MM * turns / np.linalg.norm(turns, axis=1, keepdims=True)
    rows = []
    for name in PLACES:
        points = np.asarray(LANDMARKS[name]) + ball
        made = register_lesion(name, points, *scans, found.whole.rigid)
        rows.append(row_of(name, points, made, found))
    return rows


def row_of(name: str, points: np.ndarray, made: Any, found: FollowUp) -> dict[str, Any]:
    """The error of a map at points, beside that of the rigid map of the whole, mm."""
    truth = moved(points)
    gaps = np.linalg.norm(made.map(points) - truth, axis=1)
    whole = np.linalg.norm(found.whole.rigid(points) - truth, axis=1)
    middle = points.mean(axis=0, keepdims=True)
    return {
        "lesion_id": name,
        "centre_mm": round(float(np.linalg.norm(made.map(middle) - moved(middle))), 2),
        "rms_mm": round(float(np.sqrt((gaps**2).mean())), 2),
        "largest_mm": round(float(gaps.max()), 2),
        "rigid_rms_mm": round(float(np.sqrt((whole**2).mean())), 2),
        "told_mm": made.error_mm,
    }


def volumes_of(found: FollowUp, second: Phantom) -> list[dict[str, Any]]:
    """What was found of each lesion, and the truth of the second visit."""
    old_ids = {one.old.lesion_id for one in found.carried}
    truth = {one.lesion_id: one.volume_ml for one in second.lesions}
    fresh = [one.volume_ml for one in second.lesions if one.lesion_id not in old_ids]
    rows = []
    for proposal in found.proposals:
        names = proposal.match.old_ids or proposal.match.new_ids
        now = [one for one in found.lesions if one.lesion_id in proposal.match.new_ids]
        rows.append(
            {
                "lesion_id": " ".join(names),
                "proposed": proposal.status,
                "volume_ml": sum(float(one.volume_ml or 0) for one in now) or None,
                # A new lesion has no name yet; of the made-up patient there is one.
                "truth_ml": truth.get(names[0]) if proposal.match.old_ids else fresh[0],
            }
        )
    return rows


def masks_of(found: FollowUp, second: Phantom) -> list[dict[str, Any]]:
    """Each mask laid into the second visit, and what the segmenter reads on both scans, mL."""
    truth = {one.lesion_id: one.volume_ml for one in second.lesions}
    rows = []
    for one in found.carried:
        reading, image = one.reading, one.image
        rows.append(
            {
                "lesion_id": one.old.lesion_id,
                "laid_ml": None if one.carried is None else one.carried.voxel_volume_ml,
                "truth_ml": truth.get(one.old.lesion_id),
                "dice_before": None if reading is None else round(reading.dice, 3),
                "read_now_ml": None if image is None else float(image.volume_ml or 0),
                "stands": "the mask" if one.kept is not None else "the reading",
            }
        )
    return rows


def run(spec: PhantomSpec, masks: bool) -> dict[str, Any]:
    """One follow-up from the first visit to the second."""
    first, second = build_phantom(spec), build_phantom(replace(spec, timepoint=2))
    old, new = first.volume(), second.volume()
    old_body, new_body = find_body(old), find_body(new)
    lesions = lesions_of(first, masks, old, old_body)
    began = time.process_time()
    found = follow_up(lesions, old, old_body, new, new_body)
    spent = time.process_time() - began
    return {
        "lesions_from": "exact masks" if masks else "three diameters",
        "errors": errors_of(found),
        "landmarks": places_of(found, (old, old_body, new, new_body)),
        "volumes": volumes_of(found, second),
        "masks": masks_of(found, second) if masks else [],
        "processor_s": round(spent, 1),
    }


def tell(result: dict[str, Any]) -> None:
    print(f"\nlesions of visit 1 from {result['lesions_from']}, {result['processor_s']} s")
    print(f"{'lesion':30}{'centre':>8}{'rms':>8}{'largest':>9}{'rigid rms':>11}{'told':>8}   mm")
    for one in (*result["errors"], *result["landmarks"]):
        told = "-" if one["told_mm"] is None else f"{one['told_mm']:.1f}"
        print(
            f"{one['lesion_id']:30}{one['centre_mm']:8.2f}{one['rms_mm']:8.2f}"
            f"{one['largest_mm']:9.2f}{one['rigid_rms_mm']:11.2f}{told:>8}"
        )
    worst = max(one["rms_mm"] for one in result["errors"])
    print(f"worst root mean square {worst} mm; asked: under {WANTED_MM} mm")
    for one in result["volumes"]:
        found = "-" if one["volume_ml"] is None else f"{one['volume_ml']:.2f}"
        true = "-" if one["truth_ml"] is None else f"{one['truth_ml']:.2f}"
        print(f"{one['lesion_id']:8}{one['proposed']:10} {found:>7} mL, truth {true:>7} mL")
    for one in result["masks"]:
        print(
            f"{one['lesion_id']:8}laid {_two(one['laid_ml'])} mL, truth {_two(one['truth_ml'])}, "
            f"read before with Dice {_two(one['dice_before'])}, now {_two(one['read_now_ml'])}; "
            f"{one['stands']} stands"
        )


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a coarser grid")
    parser.add_argument("--only", choices=("diameters", "masks"), help="one kind of lesions")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    spec = QUICK if arguments.quick else SAMPLE_SPEC
    results = []
    for masks in (False, True):
        if arguments.only == ("diameters" if masks else "masks"):
            continue
        results.append(run(spec, masks))
        tell(results[-1])
    if arguments.json:
        machine = {"machine": platform.machine(), "python": platform.python_version()}
        arguments.json.write_text(
            json.dumps({**machine, "runs": results}, indent=2, default=float) + "\n"
        )


if __name__ == "__main__":
    main()
