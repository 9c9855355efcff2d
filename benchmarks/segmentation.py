"""How well lesions are segmented: real lesions with a reader's mask, and the phantom's.

Run ``python benchmarks/segmentation.py [--quick] [--near] [--json FILE] [--pictures DIR]``. The
real scans are looked for in IRPLAN_REALDATA, or in ``shared/realdata`` beside the clone; without
them only the phantom runs. Compared on the same gestures and crops: the ellipsoid through the lines
(which never looks at the image), SimpleITK's ConfidenceConnected and scikit-image's random walker.

The gestures are made from the reader's mask as a radiologist draws them: longest axial diameter,
its perpendicular, head-foot extent; their ends are moved by 1.75 mm (normal, per end, in a random
direction). Nothing else of the mask is used; never the middle or extent of the image.

The certainty that is shown stands beside each lesion's Dice; ``certainty.py`` fits its weights and
judges it with the judged lesion left out. Analytic lesions over the range of scans follow
(``segmentation_phantom.py``), then lung nodules of hard kinds (``segmentation_nodules.py``) and the
time of a gesture on a large scan (``segmentation_times.py``). Pictures show three planes through
each lesion, the reader's outline in green and the program's in red; those of real scans are not to
be passed on.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import segmentation_nodules
import segmentation_phantom
import segmentation_times
import SimpleITK
from scipy import ndimage, stats
from skimage.segmentation import random_walker

from irplan.findings import Finding
from irplan.geometry import GridGeometry
from irplan.lesions import Click, Diameter, Lesion, LesionMask, Prompt, segment_one
from irplan.lesions import segmentation as inner
from irplan.lesions.crop import Crop
from irplan.lesions.measurement import axial_diameters
from irplan.lesions.shape import Ellipsoid
from irplan.phantom import PhantomSpec, build_phantom
from irplan.volume import CtVolume
from irplan.volume_io import load_label_map, load_volume

JITTER_MM = 1.75
CLICK_JITTER_MM = 1.5
CORRECTIONS = 4
#: What is kept of a scan around the reader's mask with --near, mm; further than any gesture looks.
MARGIN_MM = 75.0
GESTURES = ("three lines", "one line", "click")
METHODS = ("irplan", "ellipsoid", "confidence connected", "random walker")

Bool = np.ndarray
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Case:
    """One lesion with the truth about it."""

    name: str
    volume: CtVolume
    truth: Bool
    lines: tuple[tuple[Point, Point], ...]
    innermost_lps_mm: Point
    volume_ml: float


def point(values: Any) -> Point:
    x, y, z = np.asarray(values, dtype=float).tolist()
    return x, y, z


def lines_of(mask: LesionMask) -> tuple[tuple[Point, Point], ...]:
    """Longest axial diameter, its perpendicular, and the head-foot extent through its middle."""
    axial = axial_diameters(mask)
    k = np.flatnonzero(mask.voxels.any(axis=(1, 2))) + mask.start[2]
    middle = np.mean(axial.longest.ends_lps_mm, axis=0)
    half = mask.grid.spacing_mm[2] / 2
    low = mask.grid.to_lps((0, 0, k[0]))[2] - half
    high = mask.grid.to_lps((0, 0, k[-1]))[2] + half
    upright = (point((middle[0], middle[1], low)), point((middle[0], middle[1], high)))
    return axial.longest.ends_lps_mm, axial.short.ends_lps_mm, upright


def innermost(mask: Bool, volume: CtVolume) -> Point:
    """The voxel deepest inside the largest part of a mask, LPS mm."""
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    box = ndimage.find_objects(labels)[int(sizes.argmax()) - 1]
    part = np.pad(labels[box] == sizes.argmax(), 1)
    depth = ndimage.distance_transform_edt(part, sampling=volume.geometry.spacing_zyx_mm)
    k, j, i = np.unravel_index(int(depth.argmax()), depth.shape)
    return point(
        volume.geometry.to_lps((i - 1 + box[2].start, j - 1 + box[1].start, k - 1 + box[0].start))
    )


def real_cases(folder: Path) -> Iterator[Case]:
    scans: dict[str, CtVolume] = {}
    with (folder / "lesions.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            volume = scans.get(row["ct"]) or load_volume(folder / row["ct"])
            scans = {row["ct"]: volume}
            labels, grid = load_label_map(folder / row["mask"])
            if not grid.same_grid(volume.geometry):
                raise SystemExit(f"{row['name']}: mask and scan lie on different grids")
            yield case_of(row["name"], volume, labels > 0, float(row["volume_ml"]))


def cropped(case: Case) -> Case:
    """The case with no more of its scan than its surroundings."""
    index = np.argwhere(case.truth)
    grid = case.volume.geometry
    margin = np.ceil(MARGIN_MM / np.asarray(grid.spacing_zyx_mm)).astype(int)
    low = np.maximum(index.min(axis=0) - margin, 0)
    high = np.minimum(index.max(axis=0) + 1 + margin, case.truth.shape)
    spans = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    x, y, z = (high - low)[::-1].tolist()
    origin = point(grid.to_lps(low[::-1].astype(float)))
    cut = GridGeometry((x, y, z), grid.spacing_mm, origin, grid.direction)
    volume = CtVolume(np.ascontiguousarray(case.volume.hu[spans]), cut)
    truth = np.ascontiguousarray(case.truth[spans])
    return replace(case, volume=volume, truth=truth)


def phantom_cases(quick: bool) -> Iterator[Case]:
    sizes = [(256, 176)] if quick else [(256, 176), (512, 352)]
    for columns, slices in sizes:
        phantom = build_phantom(PhantomSpec(columns=columns, rows=columns, slices=slices))
        volume = phantom.volume()
        for lesion in phantom.lesions:
            truth = np.asarray(phantom.lesion_mask(lesion.lesion_id)).astype(bool)
            name = f"phantom {columns} {lesion.lesion_id} {lesion.kind}"
            yield case_of(name, volume, truth, float(lesion.volume_ml))


def case_of(name: str, volume: CtVolume, truth: Bool, volume_ml: float) -> Case:
    mask = LesionMask.from_full(truth, volume.geometry)
    return Case(name, volume, truth, lines_of(mask), innermost(truth, volume), volume_ml)


def gestures_for(case: Case, kind: str, rng: np.random.Generator) -> tuple[Any, ...]:
    def moved(place: Point, size_mm: float) -> Point:
        return point(np.add(place, rng.normal(0.0, size_mm / np.sqrt(3), 3)))

    if kind == "click":
        return (Click(moved(case.innermost_lps_mm, CLICK_JITTER_MM)),)
    lines = [Diameter(moved(start, JITTER_MM), moved(end, JITTER_MM)) for start, end in case.lines]
    return tuple(lines if kind == "three lines" else lines[:1])


def dice(mask: LesionMask | None, case: Case) -> float:
    if mask is None:
        return 0.0
    both = np.count_nonzero(mask.voxels & case.truth[mask.slices_zyx])
    total = np.count_nonzero(mask.voxels) + np.count_nonzero(case.truth)
    return 2.0 * both / total


# ---------------------------------------------------------------------------------------- peers


def by_ellipsoid(crop: Crop, shape: Ellipsoid, prompt: Prompt) -> np.ndarray:
    return np.clip(0.5 + (1 - shape.radius(crop.points_mm)) * shape.half_mm.min(), 0, 1)


def by_confidence(crop: Crop, shape: Ellipsoid, prompt: Prompt) -> np.ndarray:
    """Seeds along the inner 60 % of the lines, or at the click; 2.5 deviations, two rounds."""
    grid = crop.volume.geometry
    seeds = []
    for line in prompt.diameters:
        for part in np.linspace(0.2, 0.8, 13):
            place = (1 - part) * np.array(line.start_lps_mm) + part * np.array(line.end_lps_mm)
            seeds.append(place)
    seeds += [np.array(click) for click in prompt.clicks_inside]
    index = [(grid.to_index(seed) * grid.spacing_mm - crop.low_mm) / crop.step_mm for seed in seeds]
    inside = [
        [round(v) for v in at]
        for at in index
        if all(0 <= round(v) < n for v, n in zip(at, crop.hu.shape[::-1], strict=True))
    ]
    image = SimpleITK.GetImageFromArray(ndimage.gaussian_filter(crop.hu, 1.0 / crop.step_mm))
    grown = SimpleITK.ConfidenceConnected(image, inside, 2, 2.5, 1, 1)
    return SimpleITK.GetArrayFromImage(grown).astype(float)


def by_walker(crop: Crop, shape: Ellipsoid, prompt: Prompt) -> np.ndarray:
    """Seeds in the inner half of the ellipsoid and beyond one and a half of it."""
    radius = shape.radius(crop.points_mm)
    labels = np.zeros(crop.hu.shape, dtype=np.int32)
    labels[radius < 0.5] = 1
    labels[radius > 1.5] = 2
    image = np.clip(crop.hu, -200, 300)
    return (
        random_walker(image, labels, beta=130, mode="cg_j", tol=1e-2, prob_tol=0.1) == 1
    ).astype(float)


PEERS: dict[str, Callable[[Crop, Ellipsoid, Prompt], np.ndarray]] = {
    "ellipsoid": by_ellipsoid,
    "confidence connected": by_confidence,
    "random walker": by_walker,
}


def run_peers(case: Case, prompt: Prompt, methods: list[str]) -> dict[str, dict[str, float]]:
    out = {}
    found = inner.sought(case.volume, prompt)
    assert found is not None
    shape = found.shape
    crop = inner._crop(case.volume, shape, prompt)
    for name in methods:
        start = time.process_time()
        field = PEERS[name](crop, shape, prompt)
        seconds = time.process_time() - start
        mask = crop.to_mask(field.astype(np.float32))
        found_ml = mask.voxel_volume_ml if mask else 0.0
        out[name] = {
            "dice": dice(mask, case),
            "volume_error": found_ml / case.volume_ml - 1.0,
            "seconds": seconds,
        }
    return out


# --------------------------------------------------------------------------------------- irplan


def run_irplan(case: Case, prompt: Prompt) -> tuple[dict[str, Any], Lesion | None]:
    start = time.process_time()
    answer = segment_one(case.volume, prompt, None, 1)
    seconds = time.process_time() - start
    if isinstance(answer, Finding) or answer.volume_ml is None:
        return {"dice": 0.0, "volume_error": -1.0, "seconds": seconds, "held": False}, None
    assert answer.volume_low_ml is not None
    assert answer.volume_high_ml is not None
    low, high = float(answer.volume_low_ml), float(answer.volume_high_ml)
    return {
        "dice": dice(answer.mask, case),
        "volume_error": float(answer.volume_ml) / case.volume_ml - 1.0,
        "seconds": seconds,
        "held": low <= case.volume_ml <= high,
        "low": low / case.volume_ml,
        "high": high / case.volume_ml,
        "warned": "border_not_visible" in {finding.code for finding in answer.findings},
        "certainty": answer.certainty,
        "kind": str(answer.kind),
    }, answer


def looked(case: Case, prompt: Prompt) -> dict[str, Any]:
    """Processor time of the segmentation alone (no measuring), and how much border is visible."""
    start = time.process_time()
    look = inner.looked(case.volume, prompt, None)
    look.crop.to_mask(look.field)
    seconds = time.process_time() - start
    return {"seconds": seconds, "visible": look.surface.visible_share}


def corrected(case: Case, gestures: tuple[Any, ...]) -> list[float]:
    """Dice after 0 to 4 clicks at the innermost point of the largest error."""
    found = []
    drawn = list(gestures)
    for _ in range(CORRECTIONS + 1):
        _, lesion = run_irplan(case, Prompt("L1", None, tuple(drawn)))
        if lesion is None or lesion.mask is None:
            found.append(0.0)
            break
        found.append(dice(lesion.mask, case))
        mask = lesion.mask.to_full()
        missed, excess = case.truth & ~mask, mask & ~case.truth
        sizes = [
            np.bincount(ndimage.label(error)[0].ravel())[1:].max(initial=0)
            for error in (missed, excess)
        ]
        if max(sizes) == 0:
            break
        inside = bool(sizes[0] >= sizes[1])
        place = innermost(missed if inside else excess, case.volume)
        drawn.append(Click(place, inside=inside))
    return found + [found[-1]] * (CORRECTIONS + 1 - len(found))


def run_case(case: Case, repeats: int, walker: bool, pictures: Path | None) -> dict[str, Any]:
    result: dict[str, Any] = {"name": case.name, "volume_ml": case.volume_ml}
    for kind in GESTURES:
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in METHODS}
        for repeat in range(repeats):
            rng = np.random.default_rng([repeat, len(case.name), sum(map(ord, case.name))])
            prompt = Prompt("L1", None, gestures_for(case, kind, rng))
            rows["irplan"].append(run_irplan(case, prompt)[0])
            rows["irplan"][-1] |= {"alone": looked(case, prompt)["seconds"]}
            peers = [name for name in PEERS if name != "random walker" or (walker and repeat == 0)]
            if kind == "click":
                peers = [name for name in peers if name == "confidence connected"]
            for name, values in run_peers(case, prompt, peers).items():
                rows[name].append(values)
            if repeat == 0:
                result[f"look {kind}"] = looked(case, prompt)
            if kind == "three lines" and repeat == 0:
                result["corrections"] = corrected(case, prompt.gestures)
                if pictures is not None:
                    picture(case, prompt, pictures)
        result[kind] = {
            name: {
                key: float(np.mean([row[key] for row in found if key in row]))
                for key in found[0]
                if isinstance(found[0][key], int | float)
            }
            for name, found in rows.items()
            if found
        }
    return result


# --------------------------------------------------------------------------------------- report


def table(title: str, results: list[dict[str, Any]]) -> None:
    print(f"\n{title}")
    for kind in GESTURES:
        names = [name for name in METHODS if name in results[0][kind]]
        print(f"\n  {kind}: Dice (volume error)")
        print("    " + "lesion".ljust(28) + "".join(name.rjust(23) for name in names) + "   band")
        for result in results:
            cells = "".join(
                f"{result[kind][n]['dice']:15.3f} ({result[kind][n]['volume_error']:+.2f})"
                for n in names
            )
            own = result[kind]["irplan"]
            band = f"{own.get('low', 0):.2f}-{own.get('high', 0):.2f}"
            print("    " + result["name"].ljust(28) + cells + "   " + band)
        for name in names:
            values = [result[kind][name] for result in results]
            print(
                f"    mean {name}: Dice {np.mean([v['dice'] for v in values]):.3f}, median "
                f"|volume error| {np.median([abs(v['volume_error']) for v in values]):.3f}, "
                f"median {np.median([v['seconds'] for v in values]):.3f} s, worst "
                f"{max(v['seconds'] for v in values):.3f} s"
            )
        held = [result[kind]["irplan"]["held"] for result in results]
        print(f"    the band holds the reader's volume in {np.mean(held):.2f} of the cases")
    steps = np.array([result["corrections"] for result in results])
    print("\n  corrections after three lines, median Dice:", np.round(np.median(steps, axis=0), 3))
    print(
        f"    steps that lower Dice by more than 0.02: {int((np.diff(steps) < -0.02).sum())} of "
        f"{steps.shape[0] * CORRECTIONS}"
    )
    alone = [result["three lines"]["irplan"]["alone"] for result in results]
    print(f"  three lines without measuring: median {np.median(alone):.3f} s, {max(alone):.3f} s")
    for kind in GESTURES:
        certainty_table(kind, results)


def certainty_table(kind: str, results: list[dict[str, Any]]) -> None:
    """The certainty shown for each lesion, and its rank correlation with Dice."""
    scores = [result[kind]["irplan"]["dice"] for result in results]
    shown = [result[kind]["irplan"].get("certainty", 0.0) for result in results]
    visible = [result[f"look {kind}"]["visible"] for result in results]
    print(
        f"\n  certainty shown, {kind}: rank correlation with Dice "
        f"{stats.spearmanr(shown, scores).statistic:+.2f}; of the visible share alone "
        f"{stats.spearmanr(visible, scores).statistic:+.2f}"
    )
    for number, result in enumerate(results):
        print(
            f"    {result['name'].ljust(28)} Dice {scores[number]:.3f}, shown "
            f"{shown[number]:.2f}, border visible {visible[number]:.2f}"
            + (", warns" if result[kind]["irplan"].get("warned", 0) > 0 else "")
        )


def picture(case: Case, prompt: Prompt, folder: Path) -> None:
    """The slice with most of the lesion, and the two planes across it through its middle."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    _, lesion = run_irplan(case, prompt)
    own = np.zeros_like(case.truth) if lesion is None else lesion.mask.to_full()
    index = np.argwhere(case.truth)
    middle = np.rint(index.mean(axis=0)).astype(int)
    middle[0] = int(np.bincount(index[:, 0]).argmax())
    low = np.maximum(index.min(axis=0) - 25, 0)
    high = np.minimum(index.max(axis=0) + 26, case.truth.shape)
    figure, axes = pyplot.subplots(1, 3, figsize=(9, 3), dpi=80)
    spacing = case.volume.geometry.spacing_zyx_mm
    # A lesion in the lung is looked at in a lung window.
    near = case.volume.hu[tuple(map(slice, low, high))]
    dark, bright = (-1100, 300) if np.mean(near < -500) > 0.4 else (-160, 240)
    for axis, plot in enumerate(axes):
        cut = tuple(
            middle[other] if other == axis else slice(low[other], high[other]) for other in range(3)
        )
        rest = [spacing[other] for other in range(3) if other != axis]
        plot.imshow(case.volume.hu[cut], "gray", vmin=dark, vmax=bright, aspect=rest[0] / rest[1])
        for mask, colour in ((case.truth, "lime"), (own, "red")):
            if mask[cut].any():
                plot.contour(mask[cut].astype(float), [0.5], colors=colour, linewidths=0.8)
        plot.set_axis_off()
    figure.suptitle(case.name, fontsize=8)
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / (case.name.replace(" ", "_") + ".png"))
    pyplot.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one repeat, no random walker")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--pictures", type=Path, help="draw each lesion's outlines there")
    parser.add_argument("--real-only", action="store_true", help="no phantom")
    parser.add_argument(
        "--near", action="store_true", help="scans cut to the lesions' surroundings: much faster"
    )
    arguments = parser.parse_args()
    named = os.environ.get("IRPLAN_REALDATA")
    beside = Path(__file__).resolve().parents[2] / "shared" / "realdata"
    folder = Path(named) if named else beside
    repeats = 1 if arguments.quick else 3
    # Charts and compiled parts are made once; they are not counted with a gesture. All times are
    # of the processor.
    start = time.process_time()
    warm = segmentation_phantom.scenes(1)[0]
    segmentation_phantom.run_scene(warm, 0.0)
    print(f"warming up: {time.process_time() - start:.1f} s")
    walker, pictures = not arguments.quick, arguments.pictures
    groups: dict[str, Any] = {}
    if (folder / "lesions.csv").is_file():
        cases: Iterator[Case] = real_cases(folder)
        if arguments.near:
            cases = map(cropped, cases)
        groups["real lesions"] = [run_case(c, repeats, walker, pictures) for c in cases]
    else:
        print("real scans are absent: the phantom alone", file=sys.stderr)
    if not arguments.real_only:
        cases = phantom_cases(arguments.quick)
        groups["phantom"] = [run_case(c, repeats, walker, pictures) for c in cases]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for title, results in groups.items():
        table(title, results)
    if not arguments.real_only:
        groups["scenes"] = segmentation_phantom.run(arguments.quick)
        segmentation_phantom.table(groups["scenes"])
        groups["nodules"] = segmentation_nodules.run(arguments.quick)
        segmentation_nodules.table(groups["nodules"])
        segmentation_times.table(segmentation_times.run())
    if arguments.json:
        arguments.json.write_text(json.dumps(groups, indent=1, default=float), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
