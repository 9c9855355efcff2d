"""How fast and how right the path search is, beside VTK's locators, in one process.

Candidates are straight paths from skin points to places in a lesion. What is timed on them:

- ``rejected early``: candidates that the hierarchy of limits and coarse cells rules out;
- ``fully tested``: candidates whose clearance to every structure is known to suffice; those that
  the coarse cells leave in doubt are settled by the exact test of every margin to every voxel box;
- ``vtkOBBTree``: does the path cross the obstacles' surface (no margins, no other limits);
- ``vtkStaticCellLocator``: the same, first hit only.

Then the answers are compared with dense sampling at 0.1 mm, and whole plans are timed: five
lesions, the anatomy ready, from masks and doses to needles and alternatives, by the clock and in
processor time of all threads (the best of three; threads of compiled loops that wait for each
other spin, so that grows too where other work shares the cores, unless OMP_WAIT_POLICY is
passive). The compiled loops are cached on disk; the first plan (``plan_first_s``) loads or
compiles them and is shown apart.

    python benchmarks/trajectory.py [--quick] [--json FILE] [--realdata FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import edt
import numba
import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from irplan.anatomy import build_anatomy
from irplan.body import find_body
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.phantom import PhantomSpec, build_phantom
from irplan.trajectory import PatientPosition, kernels, load_constraints, load_shelf, propose_paths
from irplan.trajectory.passes import keeps_limits, measure_candidate
from irplan.trajectory.propose import Job, scene_for
from irplan.trajectory.rules import Rules
from irplan.trajectory.search import Search
from irplan.trajectory.target import find_target
from irplan.volume_io import load_label_map, load_volume

PEER_PATHS = 4000
REFERENCE_PATHS = 3000
#: Paths that only the coarse look at pleura, body outline and free room refused.
REFUSED_PATHS = 300
PLANS = 3
#: By how much samples every 0.1 mm may overrate the distance from half a millimetre on, mm:
#: √(0.5² + 0.05²) - 0.5 = 0.0025.
SAMPLING_MM = 0.003


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smaller patient, about a minute")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--realdata", type=Path, help="folder with the real volumes")
    options = parser.parse_args()
    report = {"phantom": run_phantom(options.quick)}
    if options.realdata is not None and not options.quick:
        report["real abdomen"] = run_real(options.realdata / "volumes" / "ircad17")
    for case, figures in report.items():
        print(case)
        for name, value in figures.items():
            print(f"  {name:46s} {value}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def run_phantom(quick: bool) -> dict[str, Any]:
    """All figures on the made-up patient, by name."""
    size = (192, 192, 120) if quick else (512, 512, 400)
    phantom = build_phantom(PhantomSpec(columns=size[0], rows=size[1], slices=size[2]))
    return run(phantom.volume(), lesions_of(phantom)[:5])


def run_real(folder: Path) -> dict[str, Any]:
    """All figures on a real scan of the upper abdomen, with five targets made up in the liver."""
    volume = load_volume(folder / "dicom")
    liver, _ = load_label_map(folder / "masks" / "liver.nii.gz")
    grid = volume.geometry
    inside = edt.edt(np.ascontiguousarray(liver > 0), anisotropy=grid.spacing_zyx_mm, parallel=2)
    places = np.argwhere(inside > 12.0)
    points = places * np.asarray(grid.spacing_zyx_mm)
    chosen = [0]
    while len(chosen) < 5:
        gaps = np.min([np.linalg.norm(points - points[one], axis=1) for one in chosen], axis=0)
        chosen.append(int(np.argmax(gaps)))
    along = np.ogrid[tuple(slice(size) for size in volume.hu.shape)]
    lesions = []
    for number, one in enumerate(chosen, 1):
        gaps = [
            (index * step - middle).astype(np.float32) ** 2
            for index, step, middle in zip(along, grid.spacing_zyx_mm, points[one], strict=True)
        ]
        ball = gaps[0] + gaps[1] + gaps[2] <= 100.0
        mask = LesionMask.from_full(ball, grid)
        lesions.append(Lesion(f"R{number}", number, LesionSource.IMPORTED, mask=mask))
    return run(volume, tuple(lesions))


def run(volume: Any, lesions: tuple[Lesion, ...]) -> dict[str, Any]:
    """All figures of one patient, by name."""
    figures: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "voxels": " × ".join(str(count) for count in volume.geometry.size),
    }
    body, figures["body_s"] = timed(find_body, volume)
    anatomy, figures["anatomy_s"] = timed(build_anatomy, volume, body, lesions)
    doses = {one.lesion_id: DOSE for one in lesions}
    plan_of = (
        volume, body, anatomy, lesions, doses, load_shelf(), load_constraints(),
        PatientPosition.SUPINE, {}, Decimal("0.01"),
    )  # fmt: skip
    _, figures["plan_first_s"] = timed(propose_paths, *plan_of)
    runs, work = [], []
    for _ in range(PLANS):
        before = time.process_time()
        runs.append(timed(propose_paths, *plan_of))
        work.append(round(time.process_time() - before, 2))
    figures["plan_of_five_lesions_s"] = statistics.median(seconds for _, seconds in runs)
    figures["plan_of_five_lesions_best_s"] = min(seconds for _, seconds in runs)
    figures["plan_of_five_lesions_processor_s"] = min(work)
    plan = runs[0][0]
    figures["lesions_with_a_path"] = len({name for one in plan.needles for name in one.lesion_ids})
    figures["same_plan_each_time"] = all(other.needles == plan.needles for other, _ in runs)
    search = search_of(volume, body, anatomy, lesions[-1])
    figures.update(search_rates(search))
    figures.update(peer_rates(search))
    figures.update(correctness(search))
    peer = figures["vtkOBBTree_per_s"]
    figures["search_over_vtkOBBTree"] = round(figures["together_per_s"] / peer, 1)
    return figures


DOSE = (("ipilimumab", Decimal("0.84")),)


def timed(function: Any, *arguments: Any) -> tuple[Any, float]:
    """The result and the seconds it took."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, round(time.perf_counter() - start, 3)


def lesions_of(phantom: Any) -> tuple[Lesion, ...]:
    """The made-up patient's lesions from its truth."""
    made = []
    for number, truth in enumerate(phantom.lesions, 1):
        mask = LesionMask.from_full(phantom.lesion_mask(truth.lesion_id), phantom.grid)
        made.append(Lesion(truth.lesion_id, number, LesionSource.IMPORTED, mask=mask))
    return tuple(made)


def search_of(volume: Any, body: Any, anatomy: Any, lesion: Lesion) -> Search:
    """The search of one deep lesion under CT."""
    rules = Rules(load_constraints(), load_shelf(), PatientPosition.SUPINE, "ct")
    job = Job(find_target(lesion, volume, rules.constraints), rules, DOSE, 2)
    return job.search(scene_for([job], anatomy, body), "ct")


def search_rates(search: Search) -> dict[str, Any]:
    """Candidates a second: rejected early, fully tested, and both together."""
    _, field_seconds = timed(search.scene.field_for, search.margins)
    search.evaluate()
    (status, _), seconds = timed(search.evaluate)
    rejected = int(np.count_nonzero(status & ~np.uint16(kernels.DOUBT)))
    clear = int(np.count_nonzero(status == 0))
    doubt = np.argwhere(status == kernels.DOUBT)
    rng = np.random.default_rng(0)
    some = doubt[rng.permutation(len(doubt))[:20_000]]
    a, b = search.entries_local[some[:, 0]], search.targets_local[some[:, 1]]
    search.margins_kept(a[:10], b[:10])
    _, exact_seconds = timed(search.margins_kept, a, b)
    exact_rate = len(some) / max(exact_seconds, 1e-3)
    settled = len(doubt) / exact_rate if len(some) else 0.0
    # How fast the rejections alone are: the same candidates without those that stay open.
    closed = np.flatnonzero(((status & ~np.uint16(kernels.DOUBT)) != 0).all(axis=1))
    only_closed = search.around(search.skin.some(closed), search.tips_lps_mm, search.tip_depth_mm)
    only_open = search.around(
        search.skin.some(np.setdiff1d(np.arange(len(search.skin)), closed)),
        search.tips_lps_mm,
        search.tip_depth_mm,
    )
    _, closed_seconds = timed(only_closed.evaluate)
    _, open_seconds = timed(only_open.evaluate)
    # Entries without any open path tell the rate of rejecting; the rest of the time is testing.
    reject_rate = only_closed.candidates / max(closed_seconds, 1e-4)
    still_rejected = only_open.candidates - clear - len(doubt)
    testing = max(open_seconds - still_rejected / max(reject_rate, 1.0), 1e-4) + settled
    return {
        "candidates": search.candidates,
        "clearance_field_s": field_seconds,
        "rejected_early": rejected,
        "fully_tested": clear + len(doubt),
        "of_these_settled_by_the_exact_test": len(doubt),
        "rejected_early_per_s": round(reject_rate),
        "fully_tested_per_s": round((clear + len(doubt)) / testing),
        "exact_test_alone_per_s": round(exact_rate),
        "together_per_s": round(search.candidates / (seconds + settled)),
        "together_field_made_too_per_s": round(
            search.candidates / (seconds + settled + field_seconds)
        ),
        "together_doubt_left_open_per_s": round(search.candidates / max(seconds, 1e-4)),
    }


def obstacle_surface(search: Search) -> vtk.vtkPolyData:
    """The surface of all obstacles of the crop, in the crop's frame (voxel centres at +½)."""
    crop = search.crop
    hard = search.margins.obstacle[crop.labels].astype(np.uint8)
    image = vtk.vtkImageData()
    image.SetDimensions(hard.shape[2], hard.shape[1], hard.shape[0])
    spacing = crop.grid.spacing_mm
    image.SetSpacing(*spacing)
    image.SetOrigin(*(0.5 * step for step in spacing))
    image.GetPointData().SetScalars(numpy_to_vtk(hard.ravel(), deep=True))
    edges = vtk.vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    edges.Update()
    return edges.GetOutput()


def some_segments(search: Search, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random candidates, ends in the crop's frame."""
    rng = np.random.default_rng(1)
    entries = rng.integers(0, len(search.entries_local), count)
    places = rng.integers(0, len(search.targets_local), count)
    return search.entries_local[entries], search.targets_local[places]


def peer_rates(search: Search) -> dict[str, Any]:
    """What VTK's locators do with the same paths (no margins, no other limits)."""
    surface = obstacle_surface(search)
    a, b = some_segments(search, PEER_PATHS)
    tree = vtk.vtkOBBTree()
    tree.SetDataSet(surface)
    tree.BuildLocator()
    points = vtk.vtkPoints()

    def all_hits() -> int:
        return sum(
            tree.IntersectWithLine(p, q, points, None) != 0 for p, q in zip(a, b, strict=True)
        )

    locator = vtk.vtkStaticCellLocator()
    locator.SetDataSet(surface)
    locator.BuildLocator()
    t, where, local = vtk.reference(0.0), [0.0] * 3, [0.0] * 3
    sub, cell = vtk.reference(0), vtk.reference(0)

    def first_hit() -> int:
        return sum(
            locator.IntersectWithLine(p, q, 1e-6, t, where, local, sub, cell)
            for p, q in zip(a, b, strict=True)
        )

    _, tree_seconds = timed(all_hits)
    _, locator_seconds = timed(first_hit)
    return {
        "triangles": surface.GetNumberOfPolys(),
        "vtkOBBTree_per_s": round(PEER_PATHS / max(tree_seconds, 1e-3)),
        "vtkStaticCellLocator_per_s": round(PEER_PATHS / max(locator_seconds, 1e-3)),
    }


def correctness(search: Search) -> dict[str, Any]:
    """The search and its exact test against dense sampling.

    A third of the paths are random; the others break no limit but the clearances, where the two
    could differ at all: half of these the search leaves open, half it refuses.
    """
    status, _ = search.evaluated
    doubt, crossed = np.uint16(kernels.DOUBT), np.uint16(kernels.CROSSED)
    rng = np.random.default_rng(1)
    flat = status.ravel()
    third = REFERENCE_PATHS // 3
    groups = (
        np.flatnonzero((flat & ~doubt) == 0),
        np.flatnonzero((flat & ~doubt) == crossed),
        np.arange(flat.size),
    )
    picked = np.concatenate([rng.permutation(group)[:third] for group in groups])
    places = status.shape[1]
    a, b = search.entries_local[picked // places], search.targets_local[picked % places]
    # What the search rejects as crossed is not safe by it, whatever the exact test says.
    ours = search.margins_kept(a, b) & ((flat[picked] & crossed) == 0)
    spacing = np.asarray(search.crop.grid.spacing_mm)
    slack = np.array(
        [
            dense_slack(search.crop.labels, spacing, search.margins.margin_mm, p, q)
            for p, q in zip(a, b, strict=True)
        ]
    )
    reference, surely = slack >= 0, slack >= SAMPLING_MM
    lost = slack[reference & ~ours]
    return {
        "reference_paths": len(picked),
        "safe_by_reference": int(reference.sum()),
        "within_0.3_mm_of_a_limit": int(np.count_nonzero(np.abs(slack) < 0.3)),
        "unsafe_called_safe": int(np.count_nonzero(ours & ~reference)),
        "safe_kept_share": round(float(ours[reference].mean()), 4) if reference.any() else None,
        "safe_by_more_than_sampling_errs": int(surely.sum()),
        "of_these_kept_share": round(float(ours[surely].mean()), 4) if surely.any() else None,
        "largest_slack_of_a_safe_one_lost_mm": round(float(lost.max(initial=0.0)), 5),
        **refused_wrongly(search),
    }


def refused_wrongly(search: Search) -> dict[str, Any]:
    """Paths that only body outline, free room or pleura refused, by the full check."""
    status, _ = search.evaluated
    some = np.uint16(kernels.OUTSIDE | kernels.APPROACH | kernels.PLEURA)
    only = np.flatnonzero(
        ((status & some) != 0).ravel()
        & ((status & ~(some | np.uint16(kernels.DOUBT))) == 0).ravel()
    )
    tried = np.random.default_rng(2).permutation(only)[:REFUSED_PATHS]
    places = status.shape[1]
    allowed = sum(
        keeps_limits(search, measure_candidate(search, int(one // places), int(one % places)))
        for one in tried
    )
    return {"refused_by_room_or_pleura_tried": len(tried), "of_these_allowed_by_the_check": allowed}


@numba.njit(cache=True)
def dense_slack(
    labels: np.ndarray, spacing: np.ndarray, margin: np.ndarray, a: np.ndarray, b: np.ndarray
) -> float:
    """The reference: least distance less margin of samples every 0.1 mm to every voxel box.

    Every voxel around every sample is looked at; no field, no hierarchy. It stops where a path is
    unsafe by 0.3 mm.
    """
    length = np.sqrt(np.sum((b - a) ** 2))
    count = int(length / 0.1) + 1
    far = margin.max() + 0.5
    first, last = np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    worst = np.inf
    for number in range(count + 1):
        p = a + (b - a) * min(1.0, number * 0.1 / length)
        for axis in range(3):
            top = labels.shape[2 - axis] - 1
            first[axis] = max(0, int(np.floor((p[axis] - far) / spacing[axis])))
            last[axis] = min(top, int(np.floor((p[axis] + far) / spacing[axis])))
        for k in range(first[2], last[2] + 1):
            z = max(0.0, max(k * spacing[2] - p[2], p[2] - (k + 1) * spacing[2]))
            for j in range(first[1], last[1] + 1):
                y = max(0.0, max(j * spacing[1] - p[1], p[1] - (j + 1) * spacing[1]))
                for i in range(first[0], last[0] + 1):
                    asked = margin[labels[k, j, i]]
                    if asked < 0.0:
                        continue
                    x = max(0.0, max(i * spacing[0] - p[0], p[0] - (i + 1) * spacing[0]))
                    worst = min(worst, np.sqrt(x * x + y * y + z * z) - asked)
        if worst < -0.3:
            break
    return worst


if __name__ == "__main__":
    main()
