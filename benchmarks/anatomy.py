"""How well the computed anatomy agrees with masks of others, what it misses, and what it costs.

Three sources of truth, each with its limits:

- the made-up patient (exact, but tidy);
- an abdomen labelled by the TotalSegmentator network at 3 mm (a network's opinion; it loses the
  ends of ribs);
- an abdomen with contrast and an expert's masks (its bone mask holds costal cartilage, its vessel
  masks were drawn generously).

For every structure: Dice, the 95th percentile of the distance between the surfaces (both ways),
and for the obstacles what is missed: voxels of the truth deeper than 3 mm inside it that the
anatomy holds for free. Depth is that of the voxel's centre under the face of the true structure.
Bone counts as met where any obstacle stands (a rib called a vessel is still avoided), lung where
lung or an obstacle stands, skin where the body mask is. Bowel that the network names counts as
covered where any obstacle stands; it may be empty of gas, which no threshold tells.

What it costs is told in wall-clock and in processor time (of all threads; the second does not
grow with what else the machine does). Beside it stands what the peers' path tools need before
they test a path, from the same labels: the surface of all obstacles and a vtkOBBTree over it.
They segment nothing: that is not in their figure.

    python benchmarks/anatomy.py [--quick] [--json FILE] [--realdata FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import edt
import numpy as np
import numpy.typing as npt
import vtk
from vtkmodules.util.numpy_support import numpy_to_vtk

from irplan.anatomy import Anatomy, build_anatomy
from irplan.anatomy.names import TOTAL_CLASSES
from irplan.body import find_body
from irplan.phantom import PhantomSpec, build_phantom
from irplan.volume import CtVolume
from irplan.volume_io import load_label_map, load_volume

#: A miss counts from this depth inside the true structure on, mm.
MISS_MM = 3.0
Mask = npt.NDArray[np.bool_]

SPINE = ("vertebrae*", "sacrum")
BONES = (
    "rib_*", *SPINE, "sternum", "scapula*", "clavicula*", "humerus*", "hip_*", "femur*", "skull",
)  # fmt: skip
LUNGS = ("lung_*",)
#: Row → names of the truth, names of the computed structures.
ROWS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("lungs", LUNGS, LUNGS),
    ("bone", BONES, ("bone", "rib_*", "vertebrae", "sternum")),
    ("ribs", ("rib_*",), ("rib_*",)),
    ("spine", SPINE, ("vertebrae",)),
    ("sternum", ("sternum",), ("sternum",)),
    ("costal_cartilage", ("costal_cartilages",), ("costal_cartilage",)),
    ("spinal_canal", ("spinal_cord",), ("spinal_canal",)),
    ("trachea", ("trachea",), ("trachea",)),
    ("heart", ("heart",), ("heart",)),
    ("aorta", ("aorta",), ("aorta",)),
    ("liver", ("liver", "liver_vessels"), ("liver",)),
    ("spleen", ("spleen",), ("spleen",)),
    ("kidneys", ("kidney_left", "kidney_right"), ("kidney_left", "kidney_right")),
)
VESSELS = (
    "aorta", "artery", "*vena_cava", "*_artery*", "*_vein*", "iliac_vena*", "brachiocephalic*",
    "portal_vein*", "vessels", "neck_vessels", "great_thoracic_vessels",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A scan and masks of others on its grid, by structure name."""

    name: str
    volume: CtVolume
    truth: Callable[[tuple[str, ...]], Mask]
    skin: Mask | None
    gas: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small made-up patient alone")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--realdata", type=Path, help="folder with the real volumes")
    options = parser.parse_args()
    report = run(options.quick, options.realdata)
    show(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def run(quick: bool, realdata: Path | None) -> dict[str, Any]:
    """The machine, time and memory of the largest scan, and the rows of every case."""
    report: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    }
    size = (192, 192, 120) if quick else (512, 512, 400)
    case = phantom_case(size)
    body, anatomy, report["cost"] = measured(case.volume)
    report["cost"] |= tree_of_obstacles(anatomy)
    report["cases"] = {case.name: rows_of(case, body, anatomy)}
    del case, body, anatomy
    if not quick and realdata is not None:
        for build in (network_case, expert_case):
            case = build(realdata / "volumes")
            body, anatomy, _ = measured(case.volume)
            report["cases"][case.name] = rows_of(case, body, anatomy)
    return report


def measured(volume: CtVolume) -> tuple[Mask, Anatomy, dict[str, Any]]:
    """Body and anatomy, with their seconds and the memory above what was there before."""
    before = _memory_from_here_kb()
    start, work = time.perf_counter(), time.process_time()
    body = find_body(volume)
    middle, half = time.perf_counter(), time.process_time()
    anatomy = build_anatomy(volume, body)
    end, done = time.perf_counter(), time.process_time()
    peak = _status_kb("VmHWM")
    cost = {
        "voxels": " × ".join(str(count) for count in volume.geometry.size),
        "body_s": round(middle - start, 1),
        "anatomy_s": round(end - middle, 1),
        "body_processor_s": round(half - work, 1),
        "anatomy_processor_s": round(done - half, 1),
        "peak_gb_above_before": round((peak - before) / 2**20, 2),
    }
    return body, anatomy, cost


def _memory_from_here_kb() -> int:
    """What the process holds now, kB; its highest mark is set back to that (Linux).

    Without that the making of the patient, or an earlier case, would hide what follows.
    """
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status_kb("VmRSS")


def _status_kb(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = [one for one in lines if one.startswith(f"{name}:")]
    return int(line.split()[1])


def tree_of_obstacles(anatomy: Anatomy) -> dict[str, Any]:
    """Seconds for the surface of all obstacles and a vtkOBBTree over it."""
    start, work = time.perf_counter(), time.process_time()
    spacing = anatomy.grid.spacing_mm
    image = vtk.vtkImageData()
    image.SetDimensions(*anatomy.labels.shape[::-1])
    image.SetSpacing(*spacing)
    solid = obstacles_of(anatomy).astype(np.uint8)
    image.GetPointData().SetScalars(numpy_to_vtk(solid.ravel(), deep=False))
    edges = vtk.vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    edges.Update()
    surface = edges.GetOutput()
    tree = vtk.vtkOBBTree()
    tree.SetDataSet(surface)
    tree.BuildLocator()
    return {
        "obstacle_triangles": surface.GetNumberOfPolys(),
        "vtkOBBTree_ready_s": round(time.perf_counter() - start, 1),
        "vtkOBBTree_ready_processor_s": round(time.process_time() - work, 1),
    }


def obstacles_of(anatomy: Anatomy) -> Mask:
    """Everything labelled but lungs and liver, which a needle may cross."""
    names = {one.label: one.name for one in anatomy.structures}
    free = named(anatomy.labels, names, ("lung*", "liver", "body*"))
    return np.asarray((anatomy.labels > 0) & ~free)


# ------------------------------------------------------------------------------------------ cases


def phantom_case(size: tuple[int, int, int]) -> Case:
    """The made-up patient with its own labels."""
    phantom = build_phantom(PhantomSpec(columns=size[0], rows=size[1], slices=size[2]))
    names = dict(phantom.label_names)
    labels = phantom.labels
    table = [label for label, name in names.items() if name == "table"]
    volume = phantom.volume()
    skin = (labels > 0) & ~np.isin(labels, table)
    return Case("phantom", volume, lambda wanted: named(labels, names, wanted), skin, gas=True)


def network_case(folder: Path) -> Case:
    """The abdomen with a network's labels."""
    volume = load_volume(folder / "totalsegmentator" / "example_ct.nii.gz")
    path = folder / "totalsegmentator" / "example_seg_fast_force_split.nii.gz"
    labels, grid = load_label_map(path)
    if not grid.same_grid(volume.geometry):
        raise SystemExit(f"{path}: its grid is not that of the scan")
    return Case(
        "totalsegmentator", volume, lambda wanted: named(labels, TOTAL_CLASSES, wanted), None
    )


def expert_case(folder: Path) -> Case:
    """The abdomen with contrast and an expert's masks."""
    volume = load_volume(folder / "ircad17" / "dicom")
    masks: dict[str, Mask] = {}
    for path in sorted((folder / "ircad17" / "masks").glob("*.nii.gz")):
        labels, grid = load_label_map(path)
        if not grid.same_grid(volume.geometry):
            raise SystemExit(f"{path}: its grid is not that of the scan")
        masks[path.name.removesuffix(".nii.gz")] = labels > 0
    told = {"liver": masks["liver"] | masks["livertumor1"] | masks["livertumor2"]}
    told["bone"] = masks["bone"]
    told["artery"] = masks["artery"]

    def truth(wanted: tuple[str, ...]) -> Mask:
        if wanted == BONES:
            return told["bone"]
        found = np.zeros(volume.hu.shape, dtype=bool)
        for name, mask in told.items():
            if any(fnmatchcase(name, pattern) for pattern in wanted):
                found |= mask
        return found

    return Case("expert abdomen", volume, truth, masks["skin"])


def named(labels: npt.NDArray[Any], names: dict[int, str], wanted: tuple[str, ...]) -> Mask:
    """Voxels of every label whose name fits one of the patterns."""
    table = np.zeros(int(max(labels.max(initial=0), max(names, default=0))) + 1, dtype=bool)
    for label, name in names.items():
        table[label] = any(fnmatchcase(name, pattern) for pattern in wanted)
    return np.asarray(table[labels])


# ------------------------------------------------------------------------------------------- rows


def rows_of(case: Case, body: Mask, anatomy: Anatomy) -> list[dict[str, Any]]:
    """The figures of every structure that the truth holds."""
    spacing = anatomy.grid.spacing_zyx_mm
    names = {one.label: one.name for one in anatomy.structures}
    obstacle = obstacles_of(anatomy)
    rows = []
    if case.skin is not None:
        rows.append(agreement("skin", case.skin, body, spacing) | missed(case.skin, body, spacing))
    for row, wanted, own in ROWS:
        truth = case.truth(wanted)
        if not truth.any():
            continue
        found = named(anatomy.labels, names, own)
        figures = agreement(row, truth, found, spacing)
        if row in ("bone", "ribs", "spine", "sternum"):
            figures |= missed(truth, obstacle, spacing)
        elif row == "lungs":
            figures |= missed(truth, found | obstacle, spacing)
        rows.append(figures)
    vessels = case.truth(VESSELS)
    if vessels.any():
        rows.append(coverage("large vessels", core_of(vessels, spacing), obstacle))
    for organ in ("colon", "small_bowel", "stomach", "duodenum"):
        bowel = case.truth((organ,))
        if bowel.any():
            rows.append(coverage(organ, bowel, obstacle))
    if case.gas:
        gas = case.truth(("colon", "stomach", "small_bowel")) & (case.volume.hu < -700)
        rows.append(coverage("bowel gas", gas, obstacle))
    return rows


def agreement(row: str, truth: Mask, found: Mask, spacing: tuple[float, ...]) -> dict[str, Any]:
    """Dice and 95th percentile surface distance; ``unknown`` where nothing was found."""
    figures: dict[str, Any] = {
        "structure": row,
        "truth_ml": round(float(np.count_nonzero(truth)) * float(np.prod(spacing)) / 1000, 1),
    }
    if not found.any():
        return figures | {"dice": "unknown", "hd95_mm": "unknown"}
    both = np.count_nonzero(truth & found)
    total = np.count_nonzero(truth) + np.count_nonzero(found)
    box = box_of(truth | found)
    return figures | {
        "dice": round(2 * both / total, 3),
        "hd95_mm": round(surface_distance(truth[box], found[box], spacing), 1),
    }


def surface_distance(one: Mask, other: Mask, spacing: tuple[float, ...]) -> float:
    """95th percentile of the distances of either border's voxels to the other border, mm."""
    borders = [border(one), border(other)]
    gaps = []
    for here, there in (borders, borders[::-1]):
        field = edt.edt(np.ascontiguousarray(~there), anisotropy=spacing, parallel=2)
        gaps.append(field[here])
    return float(np.percentile(np.concatenate(gaps), 95))


def border(mask: Mask) -> Mask:
    """Voxels of the mask with a face towards what is not in it; the array's end is no border."""
    inside = mask.copy()
    for axis in range(3):
        here, there = [slice(None)] * 3, [slice(None)] * 3
        here[axis], there[axis] = slice(1, None), slice(None, -1)
        inside[tuple(here)] &= mask[tuple(there)]
        inside[tuple(there)] &= mask[tuple(here)]
    return mask & ~inside


def missed(truth: Mask, met: Mask, spacing: tuple[float, ...]) -> dict[str, Any]:
    """Voxels of the truth deeper than 3 mm that nothing meets, and the deepest of all misses."""
    box = box_of(truth)
    depth = edt.edt(np.ascontiguousarray(truth[box]), anisotropy=spacing, parallel=2)
    # From the centre to the face rather than to the next centre.
    depth = depth[truth[box] & ~met[box]] - min(spacing) / 2
    return {
        "missed_voxels": int(np.count_nonzero(depth > MISS_MM)),
        "missed_ml": round(
            float(np.count_nonzero(depth > MISS_MM)) * float(np.prod(spacing)) / 1000, 2
        ),
        "deepest_miss_mm": round(float(depth.max(initial=0.0)), 1),
    }


def core_of(vessels: Mask, spacing: tuple[float, ...]) -> Mask:
    """Vessels where they are wider than 6 mm: what a needle must know of."""
    deep = edt.edt(np.ascontiguousarray(vessels), anisotropy=spacing, parallel=2) > MISS_MM
    return np.asarray(deep)


def coverage(row: str, truth: Mask, met: Mask) -> dict[str, Any]:
    """The share of the truth that some obstacle covers."""
    count = np.count_nonzero(truth)
    share = round(float(np.count_nonzero(truth & met)) / count, 3) if count else "none"
    return {"structure": row, "covered": share}


def box_of(mask: Mask) -> tuple[slice, ...]:
    """The bounding box of a mask with a voxel of room."""
    sides = []
    for axis in range(3):
        other = tuple(index for index in range(3) if index != axis)
        hits = np.flatnonzero(mask.any(axis=other))
        sides.append(slice(max(0, int(hits[0]) - 1), int(hits[-1]) + 2))
    return tuple(sides)


def show(report: dict[str, Any]) -> None:
    """The figures as a table."""
    print(report["machine"])
    print("  ".join(f"{key} {value}" for key, value in report["cost"].items()))
    columns = ("structure", "truth_ml", "dice", "hd95_mm", "missed_voxels", "missed_ml",
               "deepest_miss_mm", "covered")  # fmt: skip
    for name, rows in report["cases"].items():
        print(f"\n{name}")
        print("  ".join(f"{column:>16s}" for column in columns))
        for row in rows:
            print("  ".join(f"{row.get(column, '')!s:>16s}" for column in columns))


if __name__ == "__main__":
    main()
