"""How fast and how right the path search is, beside VTK's locators, in one process.

Candidates are straight paths from skin points to places in lesions of the made-up patient. Four
ways of testing them are timed on the same candidates:

- ``irplan search``: every limit, obstacles by the clearance field (what it cannot tell is left to
  the exact test);
- ``irplan exact``: the exact test of every margin to every voxel box;
- ``vtkOBBTree``: does the path cross the obstacles' surface (no margins);
- ``vtkStaticCellLocator``: the same, first hit only.

Then the answers are compared with dense sampling at 0.1 mm, and whole plans are timed.

    python benchmarks/trajectory.py [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import vtk
from scipy.spatial import cKDTree
from vtk.util.numpy_support import numpy_to_vtk

from irplan.anatomy import build_anatomy
from irplan.body import find_body
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.phantom import PhantomSpec, build_phantom
from irplan.trajectory import PatientPosition, kernels, load_constraints, load_shelf, propose_paths
from irplan.trajectory.propose import Job, scene_for
from irplan.trajectory.search import Rules, Search
from irplan.trajectory.target import find_target

PEER_PATHS = 4000
REFERENCE_PATHS = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smaller patient, about a minute")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    figures = run(quick=options.quick)
    for name, value in figures.items():
        print(f"{name:48s} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def run(quick: bool) -> dict[str, Any]:
    """All figures, by name."""
    size = (192, 192, 120) if quick else (512, 512, 400)
    figures: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "voxels": " × ".join(str(count) for count in size),
    }
    phantom = build_phantom(PhantomSpec(columns=size[0], rows=size[1], slices=size[2]))
    volume = phantom.volume()
    body, figures["body_s"] = timed(find_body, volume)
    lesions = lesions_of(phantom)
    anatomy, figures["anatomy_s"] = timed(build_anatomy, volume, body, lesions)
    five = lesions[:5]
    plan_of = (volume, body, anatomy, five, {one.lesion_id: DOSE for one in five}, load_shelf())
    rest = (load_constraints(), PatientPosition.SUPINE, {}, Decimal("0.01"))
    propose_paths(*plan_of, *rest)  # compiled and warm
    plan, figures["plan_of_five_lesions_s"] = timed(propose_paths, *plan_of, *rest)
    figures["lesions_with_a_path"] = len({n.lesion_ids for n in plan.needles})
    search = search_of(volume, body, anatomy, lesions[4])
    figures.update(search_rates(search))
    figures.update(peer_rates(search))
    figures.update(correctness(search))
    peer = figures["vtkOBBTree_per_s"]
    figures["search_over_vtkOBBTree"] = round(figures["search_per_s"] / peer, 1)
    return figures


DOSE = (("ipilimumab", Decimal("0.84")),)


def timed(function: Any, *arguments: Any) -> tuple[Any, float]:
    """The result and the seconds it took."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, round(time.perf_counter() - start, 2)


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
    """Candidates a second, all limits; and of the exact test alone."""
    search.scene.field_for(search.margins)
    search.evaluate()
    (status, _), seconds = timed(search.evaluate)
    open_paths = np.argwhere((status & ~np.uint16(kernels.DOUBT)) == 0)
    rng = np.random.default_rng(0)
    some = open_paths[rng.permutation(len(open_paths))[:5000]]
    a, b = search.entries_local[some[:, 0]], search.targets_local[some[:, 1]]
    search.margins_kept(a[:10], b[:10])
    _, exact_seconds = timed(search.margins_kept, a, b)
    return {
        "candidates": search.candidates,
        "rejected_early": int(np.count_nonzero(status & ~np.uint16(kernels.DOUBT))),
        "search_per_s": round(search.candidates / max(seconds, 1e-3)),
        "exact_per_s": round(len(some) / max(exact_seconds, 1e-3)),
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
    """The exact test against dense sampling, on paths with and without doubt."""
    a, b = some_segments(search, REFERENCE_PATHS)
    ours = search.margins_kept(a, b)
    reference = np.array([dense_safe(search, p, q) for p, q in zip(a, b, strict=True)])
    return {
        "reference_paths": REFERENCE_PATHS,
        "safe_by_reference": int(reference.sum()),
        "unsafe_called_safe": int(np.count_nonzero(ours & ~reference)),
        "safe_kept_share": round(float(ours[reference].mean()), 4) if reference.any() else None,
    }


_TREES: dict[int, Any] = {}


def dense_safe(search: Search, a: np.ndarray, b: np.ndarray) -> bool:
    """The reference: samples every 0.1 mm against the boxes of the voxels near them."""
    crop, margins = search.crop, search.margins
    spacing = np.asarray(crop.grid.spacing_mm)
    half = float(np.linalg.norm(spacing)) / 2
    length = float(np.linalg.norm(b - a))
    samples = a + np.append(np.arange(0, length, 0.1), length)[:, None] / length * (b - a)
    for label in np.flatnonzero(margins.obstacle):
        margin = float(margins.margin_mm[label])
        if label not in _TREES:
            k, j, i = np.nonzero(crop.labels == label)
            low = np.stack([i, j, k], axis=1) * spacing
            _TREES[label] = (cKDTree(low + spacing / 2), low) if len(low) else None
        if _TREES[label] is None:
            continue
        tree, low = _TREES[label]
        close = tree.query(samples)[0]
        if np.any(close + half < margin) or np.any(close <= min(spacing) / 2):
            return False
        for sample in samples[close - half < margin]:
            near = low[tree.query_ball_point(sample, margin + half)]
            if len(near):
                gap = np.maximum(0, np.maximum(near - sample, sample - near - spacing))
                if np.sqrt((gap**2).sum(axis=1)).min() < margin:
                    return False
    return True


if __name__ == "__main__":
    main()
