"""Whether the bounds that were set by hand hold on cases they were not chosen by.

Run ``python benchmarks/segmentation_bounds.py [--json FILE]``; it takes minutes. Three ways of the
segmenter rest on such bounds: those of lung nodules, of clicks on vessels, and of clicks in a dark
core. Each bound is lowered and raised by itself. For each case the set that did best on all other
cases is taken, the present one where it is as good as any, and its score on the case left out is
what counts; beside it stands the score of the present bounds, which were chosen by looking at
cases like these.

Cases are: a nodule of ``segmentation_nodules.py`` (score: mean Dice after three diameters, one and
a click); a vessel mask of the one real scan that has them, and the real lesions as dense as
vessels in part (score: share of random clicks told rightly; whole masks are left out); an analytic
lesion, with a core as dark as fluid or without (score: whether a click in it is told rightly).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import segmentation as benchmark
import segmentation_nodules as nodules
import segmentation_vessels as vessels
from scipy import ndimage

from irplan.geometry import GridGeometry
from irplan.lesions import Click, Prompt, border, clicks, cores, lung, tubes
from irplan.lesions import segmentation as inner
from irplan.lesions.tissue import probe_hu
from irplan.volume import CtVolume
from irplan.volume_io import load_label_map, load_volume

NODULES = 18
VESSEL_CLICKS, LESION_CLICKS = 40, 20
CORE_LESIONS = 40

Score = Callable[[], float]


@dataclass(frozen=True)
class Bound:
    """One bound in the modules that use it, and other values of it."""

    name: str
    modules: tuple[ModuleType, ...]
    others: tuple[Any, ...]


LUNG_BOUNDS = (
    Bound("GAP_NOISE", (border,), (2.0, 4.5)),
    Bound("CLICK_TOLERANCE_HU", (clicks,), ((25.0, 100.0), (25.0, 225.0))),
    Bound("GLASS_OVER_LUNG_HU", (lung, clicks), (70.0, 150.0)),
    Bound("PLATEAU_HU_MM", (lung,), (55.0, 120.0)),
)
VESSEL_BOUNDS = (
    Bound("DENSE_SHARE", (tubes,), (0.65, 0.85)),
    Bound("THICK_MM", (tubes,), (10.0, 17.0)),
    Bound("LONG", (tubes,), (1.8, 3.2)),
    Bound("TOP_TIMES", (tubes,), (1.2, 1.5)),
    Bound("WIDE_SHARE", (tubes,), (0.15, 0.4)),
)
CORE_BOUNDS = (
    Bound("CORE_HU", (cores,), ((-10.0, 25.0), (-10.0, 45.0))),
    Bound("BRIGHTER_HU", (cores,), (12.0, 30.0)),
    Bound("BRIGHTER_SHARE", (cores,), (0.7, 0.9)),
)


@contextmanager
def changed(bound: Bound, value: Any) -> Iterator[None]:
    """A bound changed in its modules, and put back."""
    before = getattr(bound.modules[0], bound.name)
    try:
        for module in bound.modules:
            setattr(module, bound.name, value)
        yield
    finally:
        for module in bound.modules:
            setattr(module, bound.name, before)


def scores(cases: dict[str, Score], bounds: tuple[Bound, ...]) -> dict[str, list[float]]:
    """The score of each case by set of bounds; the present set first."""
    found = {"as it is": [score() for score in cases.values()]}
    for bound in bounds:
        for value in bound.others:
            with changed(bound, value):
                found[f"{bound.name} {value}"] = [score() for score in cases.values()]
    return found


def report(title: str, cases: dict[str, Score], found: dict[str, list[float]], each: bool) -> None:
    names, table = list(found), np.array(list(found.values()))
    print(f"\n{title}: {len(cases)} cases, mean score")
    for name, row in zip(names, table, strict=True):
        print(f"  {name.ljust(34)} {row.mean():.3f}")
    chosen = [int(np.delete(table, at, axis=1).mean(axis=1).argmax()) for at in range(len(cases))]
    left = np.array([table[best, at] for at, best in enumerate(chosen)])
    print(f"  each case left out: {left.mean():.3f}, as it is {table[0].mean():.3f}")
    if each:
        for at, (name, best) in enumerate(zip(cases, chosen, strict=True)):
            print(f"    {name.ljust(24)} {left[at]:.2f}, as it is {table[0, at]:.2f}", end=" ")
            print(f"by '{names[best]}'")


def nodule_cases() -> dict[str, Score]:
    def score(nodule: nodules.Nodule, scan: tuple[CtVolume, Any, Any]) -> Score:
        volume, truth, centre = scan
        drawn = [nodules.gestures(nodule, centre, gesture) for gesture in nodules.GESTURES]
        return lambda: float(
            np.mean([nodules.score(nodule, volume, truth, one)["dice"] for one in drawn])
        )

    return {
        f"{nodule.kind} {nodule.seed}": score(nodule, nodules.paint(nodule))
        for nodule in nodules.nodules(NODULES)
    }


def vessel_cases(folder: Path) -> dict[str, Score]:
    def score(volume: CtVolume, mask: np.ndarray, count: int, seed: int, vessel: bool) -> Score:
        picked = []
        for index in vessels.places(mask, 8 * count, seed):
            place = benchmark.point(volume.geometry.to_lps(index[::-1].astype(float)))
            level = float(np.median(probe_hu(volume, place)))
            if level >= tubes.CONTRAST_HU and len(picked) < count:
                picked.append((place, level))
        return lambda: float(np.mean([tubes.on_vessel(volume, *one) == vessel for one in picked]))

    scan = load_volume(folder / "volumes" / "ircad17" / "dicom")
    found: dict[str, Score] = {}
    for seed, name in enumerate(vessels.VESSELS):
        labels, _ = load_label_map(folder / "volumes" / "ircad17" / "masks" / f"{name}.nii.gz")
        # Other clicks than those by which the bounds were once chosen.
        found[name] = score(scan, labels > 0, VESSEL_CLICKS, 50 + seed, True)
    for number, case in enumerate(map(benchmark.cropped, benchmark.real_cases(folder))):
        soft = ndimage.uniform_filter(case.volume.hu.astype(np.float32), 3)
        dense = case.truth & (soft >= tubes.CONTRAST_HU)
        if np.count_nonzero(dense) > LESION_CLICKS:
            found[case.name] = score(case.volume, dense, LESION_CLICKS, number, False)
    return found


def core_case(number: int) -> Score:
    """A lesion in an organ, every second one with a core as dark as fluid and a living rim.

    Without, it is as even as the core would be, and denser than fluid.
    """
    rng = np.random.default_rng([3, number])
    dead = number % 2 == 0
    radius, rim, noise = rng.uniform(9.0, 20.0), rng.uniform(3.0, 7.0), rng.uniform(8.0, 25.0)
    core_hu = rng.uniform(5.0, 25.0) if dead else rng.uniform(40.0, 65.0)
    rim_hu = core_hu + rng.uniform(35.0, 80.0)
    organ_hu = rng.uniform(60.0, 110.0)
    slice_mm = rng.uniform(1.0, 4.0)
    half = int(radius + rim + 25.0)
    grid = GridGeometry(
        (2 * half, 2 * half, round(2 * half / slice_mm)), (1.0, 1.0, slice_mm), (0.0, 0.0, 0.0)
    )
    middle = grid.to_lps((np.array(grid.size) - 1) / 2.0)
    z, y, x = np.indices(grid.shape_zyx)
    gap = np.linalg.norm(grid.to_lps(np.stack([x, y, z], axis=-1)) - middle, axis=-1)
    outer = rim_hu if dead else organ_hu
    hu = np.where(gap < radius, core_hu, np.where(gap < radius + rim, outer, organ_hu))
    hu = ndimage.gaussian_filter(hu, (0.5, 0.7, 0.7)) + ndimage.gaussian_filter(
        rng.normal(size=hu.shape), (0.0, 0.6, 0.6)
    ) * (noise / 0.47)
    volume = CtVolume(np.rint(hu).astype(np.int16), grid)
    click = Click(benchmark.point(middle + rng.normal(0.0, 1.5, 3)))

    look = inner.looked(volume, Prompt("L1", None, (click,)), None)
    if look is None:
        # Nothing found, nothing told.
        return lambda: float(not dead)
    seen = (look.crop, look.region, look.surface)
    return lambda: float(bool(cores.dark_core("L1", *seen)) == dead)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the scores there")
    parser.add_argument("--only", choices=("core", "vessels", "lung"), help="one of the three")
    arguments = parser.parse_args()
    named = os.environ.get("IRPLAN_REALDATA")
    beside = Path(__file__).resolve().parents[2] / "shared" / "realdata"
    folder = Path(named) if named else beside
    families: list[tuple[str, Callable[[], dict[str, Score]], tuple[Bound, ...], bool]] = [
        ("core", lambda: {str(n): core_case(n) for n in range(CORE_LESIONS)}, CORE_BOUNDS, False),
        ("vessels", lambda: vessel_cases(folder), VESSEL_BOUNDS, True),
        ("lung", nodule_cases, LUNG_BOUNDS, False),
    ]
    everything = {}
    for title, made, bounds, each in families:
        if arguments.only not in (None, title):
            continue
        if title == "vessels" and not (folder / "lesions.csv").is_file():
            continue
        cases = made()
        found = scores(cases, bounds)
        report(title, cases, found, each)
        everything[title] = {"cases": list(cases), "scores": found}
    if arguments.json:
        arguments.json.write_text(json.dumps(everything), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
