"""Choose the segmenter's settings with the reported lesion left out.

Run ``python benchmarks/segmentation_tune.py [--gesture "one line"] [--repeats N] [--json FILE]``.
Each setting is varied by itself about the present ones. For each real lesion the variant is taken
that did best on the other lesions, and its Dice on the left-out lesion is what counts: a figure for
lesions that were not there when the settings were chosen. The gestures are those of
``segmentation.py``. Scans are cut to the lesion's surroundings when they are read, so that a
variant takes seconds; one process, one core.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import segmentation as benchmark

from irplan.lesions import Prompt
from irplan.lesions import segmentation as inner
from irplan.lesions.kinds import SurfaceSettings
from irplan.lesions.prior import ShapePrior
from irplan.lesions.tissue import refusal

FIELDS = {"three lines": "three", "one line": "line", "click": "click"}

Change = Callable[[SurfaceSettings], SurfaceSettings]


def widened(prior: ShapePrior, factor: float) -> ShapePrior:
    return ShapePrior(prior.mean, tuple(one * factor for one in prior.spread))


def moved(prior: ShapePrior, by: float) -> ShapePrior:
    return ShapePrior(prior.mean + by, prior.spread)


CHANGES: dict[str, Change] = {
    "as it is": lambda one: one,
    "region / 2": lambda one: replace(one, region=one.region / 2),
    "region x 2": lambda one: replace(one, region=one.region * 2),
    "trust - 1": lambda one: replace(one, region_power=one.region_power - 1),
    "trust + 1": lambda one: replace(one, region_power=one.region_power + 1),
    "no edge": lambda one: replace(one, edge=0.0),
    "edge x 3": lambda one: replace(one, edge=one.edge * 3),
    "voxel / 2": lambda one: replace(one, voxel=one.voxel / 2),
    "voxel x 1.5": lambda one: replace(one, voxel=one.voxel * 1.5),
    "smaller": lambda one: replace(one, prior=moved(one.prior, -0.03)),
    "larger": lambda one: replace(one, prior=moved(one.prior, 0.03)),
    "stiffer": lambda one: replace(
        one, prior=widened(one.prior, 0.8), again=widened(one.again, 0.8)
    ),
    "softer": lambda one: replace(
        one, prior=widened(one.prior, 1.25), again=widened(one.again, 1.25)
    ),
}


@contextmanager
def settings(field: str, change: Change) -> Iterator[None]:
    """The settings of one gesture changed in all kinds, and put back."""
    before = dict(inner.SETTINGS)
    try:
        for kind, one in before.items():
            inner.SETTINGS[kind] = replace(one, **{field: change(getattr(one, field))})
        yield
    finally:
        inner.SETTINGS.update(before)


def scores(cases: list[benchmark.Case], gesture: str, repeats: int) -> np.ndarray:
    """Dice and volume error, (lesions, repeats, 2)."""
    found = np.zeros((len(cases), repeats, 2))
    for number, case in enumerate(cases):
        for repeat in range(repeats):
            rng = np.random.default_rng([repeat, len(case.name), sum(map(ord, case.name))])
            prompt = Prompt("L1", None, benchmark.gestures_for(case, gesture, rng))
            mask = None
            if refusal(prompt, case.volume, None) is None:
                look = inner.looked(case.volume, prompt, None)
                mask = look.crop.to_mask(look.field) if look is not None else None
            volume = mask.voxel_volume_ml if mask is not None else 0.0
            found[number, repeat] = benchmark.dice(mask, case), volume / case.volume_ml - 1.0
    return found


def left_out(table: dict[str, np.ndarray]) -> list[str]:
    """For each lesion the variant that is best on all others."""
    names = list(table)
    dice = np.array([table[name][:, :, 0].mean(axis=1) for name in names])
    return [
        names[int(np.delete(dice, number, axis=1).mean(axis=1).argmax())]
        for number in range(dice.shape[1])
    ]


def report(gesture: str, cases: list[benchmark.Case], table: dict[str, np.ndarray]) -> None:
    print(f"\n{gesture}: mean Dice, median |volume error|")
    for name, found in table.items():
        error = float(np.median(abs(found[:, :, 1])))
        print(f"  {name.ljust(14)} {found[:, :, 0].mean():.4f}  {error:.3f}")
    chosen = left_out(table)
    rows = [table[name][number] for number, name in enumerate(chosen)]
    error = float(np.median([abs(row[:, 1]) for row in rows]))
    print(f"  each lesion left out: {np.mean([row[:, 0].mean() for row in rows]):.4f}  {error:.3f}")
    for case, name, row in zip(cases, chosen, rows, strict=True):
        print(f"    {case.name.ljust(24)} {row[:, 0].mean():.3f}  by '{name}'")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gesture", choices=list(FIELDS), nargs="+", default=list(FIELDS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    named = os.environ.get("IRPLAN_REALDATA")
    beside = Path(__file__).resolve().parents[2] / "shared" / "realdata"
    folder = Path(named) if named else beside
    if not (folder / "lesions.csv").is_file():
        raise SystemExit("real scans are absent: nothing to choose by")
    cases = [benchmark.cropped(case) for case in benchmark.real_cases(folder)]
    everything = {}
    for gesture in arguments.gesture:
        table = {}
        for name, change in CHANGES.items():
            with settings(FIELDS[gesture], change):
                table[name] = scores(cases, gesture, arguments.repeats)
        report(gesture, cases, table)
        everything[gesture] = {name: found.tolist() for name, found in table.items()}
    if arguments.json:
        arguments.json.write_text(json.dumps(everything), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
