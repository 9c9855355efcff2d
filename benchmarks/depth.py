"""What the depth of a lesion under the skin costs: balls in a block and in an elliptic cylinder.

    python benchmarks/depth.py [--quick] [--json FILE]

The scan has 512 x 512 x 400 voxels (256 x 256 x 120 with ``--quick``). The answer stands beside
plain geometry; processor time, best of three.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np

from irplan.geometry import BoolArray, GridGeometry
from irplan.lesions import LesionMask
from irplan.lesions.depth import depth_below_skin_mm

RADII_MM = (10.0, 20.0, 40.0)
DEPTHS_MM = (4.0, 63.0)
#: Half axes of the patient in the axial plane, mm.
HALF_MM = (170.0, 110.0)


def grid_of(quick: bool) -> GridGeometry:
    size, step = ((256, 256, 120), 1.5) if quick else ((512, 512, 400), 0.75)
    origin = tuple(-0.5 * step * (count - 1) for count in size[:2])
    return GridGeometry(size, (step, step, 1.5), (*origin, 0.0))


def body_of(grid: GridGeometry, shape: str) -> BoolArray:
    """A block or an elliptic cylinder along the patient."""
    columns, rows, slices = grid.size
    x = (np.arange(columns) * grid.spacing_mm[0] + grid.origin_lps_mm[0]) / HALF_MM[0]
    y = (np.arange(rows) * grid.spacing_mm[1] + grid.origin_lps_mm[1]) / HALF_MM[1]
    flat = (
        (np.abs(x)[None, :] <= 1.0) & (np.abs(y)[:, None] <= 1.0)
        if shape == "flat"
        else x[None, :] ** 2 + y[:, None] ** 2 <= 1.0
    )
    return np.broadcast_to(flat, (slices, rows, columns)).copy()


def ball(grid: GridGeometry, radius_mm: float, depth_mm: float) -> LesionMask:
    """A ball whose top lies so deep under the front of the patient, in the middle of the scan."""
    z = grid.spacing_mm[2] * (grid.size[2] // 2)
    centre = np.array([0.0, -HALF_MM[1] + depth_mm + radius_mm, z])
    full = np.zeros(grid.shape_zyx, dtype=bool)
    low = np.maximum(np.floor(grid.to_index(centre - radius_mm)).astype(int), 0)
    high = np.minimum(np.ceil(grid.to_index(centre + radius_mm)).astype(int) + 1, grid.size)
    k, j, i = np.mgrid[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    points = grid.to_lps(np.stack([i, j, k], axis=-1))
    inside = np.linalg.norm(points - centre, axis=-1) <= radius_mm
    full[low[2] : high[2], low[1] : high[1], low[0] : high[0]] = inside
    return LesionMask.from_full(full, grid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smaller scan")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    grid = grid_of(arguments.quick)
    depth_below_skin_mm(ball(grid, 5.0, 10.0), body_of(grid, "flat"))  # compiles
    rows = []
    for shape in ("flat", "elliptic"):
        body = body_of(grid, shape)
        for radius in RADII_MM:
            for depth in DEPTHS_MM:
                mask = ball(grid, radius, depth)
                spent = []
                found = None
                for _ in range(3):
                    began = time.process_time()
                    found = depth_below_skin_mm(mask, body)
                    spent.append(time.process_time() - began)
                rows.append(
                    {"skin": shape, "radius_mm": radius, "depth_mm": depth,
                     "found_mm": found, "processor_s": round(min(spent), 3)}
                )  # fmt: skip
                told = "-" if found is None else f"{found:.1f}"
                print(f"{shape:9} ball of {radius:4.0f} mm, {depth:5.1f} mm deep: found {told} mm, "
                      f"{min(spent):.3f} s")  # fmt: skip
    if arguments.json:
        machine = {"machine": platform.machine(), "python": platform.python_version()}
        arguments.json.write_text(json.dumps({**machine, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
