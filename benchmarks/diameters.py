"""How long the diameters of masks of known size come out.

Run ``python benchmarks/diameters.py [--json FILE]``; it takes seconds. Exact masks of ellipses of
any turn and any place between the pixels, short over long half axis from 0.5 to 1, are measured by
``irplan.lesions.diameters``, and between the middles of the faces of their pixels, as the maximum
diameters of IBSI and pyradiomics are. The error is found less true length, in pixels, by half axis.
Ellipsoids in slices of 1 to 5 mm follow, for the longest line in space, in mm.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial.distance import pdist

from irplan.geometry import GridGeometry
from irplan.lesions.diameters import axial_diameters, diameter_3d
from irplan.lesions.lesion import LesionMask

#: Half axes in pixels, and how many ellipses of each class.
CLASSES = ((1.5, 3.0), (3.0, 6.0), (6.0, 12.0), (12.0, 40.0))
ELLIPSES = 250
FLAT = (0.5, 1.0)
#: Half axes of bodies, mm; pixels and slices of their scans, mm.
BODY_MM = (4.0, 20.0)
PIXEL_MM = 0.8
SLICES_MM = (1.0, 2.5, 5.0)
BODIES = 60

Array = np.ndarray


def ellipses(low: float, high: float) -> Iterator[tuple[float, float, Array]]:
    """Long and short half axis in pixels, and the mask (1, y, x); the same ones every time."""
    rng = np.random.default_rng(8)
    for _ in range(ELLIPSES):
        half = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        short = half * rng.uniform(*FLAT)
        turn, middle = rng.uniform(0.0, np.pi), rng.uniform(-0.5, 0.5, 2)
        reach = int(np.ceil(half)) + 2
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        along = (x - middle[0]) * np.cos(turn) + (y - middle[1]) * np.sin(turn)
        across = -(x - middle[0]) * np.sin(turn) + (y - middle[1]) * np.cos(turn)
        mask = (along / half) ** 2 + (across / short) ** 2 <= 1.0
        if mask.any():
            yield half, short, mask[None]


def between_faces(mask: Array) -> float:
    """The longest line between middles of faces of a slice's pixels (1, y, x), in pixels."""
    padded = np.pad(mask[0], 1)
    places = []
    for axis in (0, 1):
        faces = np.argwhere(np.diff(padded.astype(int), axis=axis) != 0).astype(float)
        faces[:, axis] += 0.5
        places.append(faces)
    return float(pdist(np.concatenate(places)).max())


def flat_errors() -> dict[str, Array]:
    """By class: (n, 3) error of longest, short axis, and of the longest between faces, pixels."""
    found = {}
    for low, high in CLASSES:
        rows = []
        for half, short, mask in ellipses(low, high):
            grid = GridGeometry((mask.shape[2], mask.shape[1], 1), (1.0, 1.0, 1.0), (0.0,) * 3)
            own = axial_diameters(LesionMask.from_full(mask, grid))
            lengths = (own.longest.length_mm, own.short.length_mm, between_faces(mask))
            rows.append(np.subtract(lengths, (2 * half, 2 * short, 2 * half)))
        found[f"{low:g} to {high:g}"] = np.array(rows)
    return found


def body_errors() -> dict[str, Array]:
    """By slice thickness: (n,) error of the longest line in space, mm."""
    found = {}
    for slice_mm in SLICES_MM:
        rng = np.random.default_rng(9)
        rows = []
        for _ in range(BODIES):
            half = np.exp(rng.uniform(*np.log(BODY_MM))) * np.array([1.0, *rng.uniform(*FLAT, 2)])
            axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
            spacing = np.array([PIXEL_MM, PIXEL_MM, slice_mm])
            reach = np.ceil(half.max() / spacing).astype(int) + 2
            size = (2 * reach + 1).tolist()
            grid = GridGeometry(
                (size[0], size[1], size[2]), (PIXEL_MM, PIXEL_MM, slice_mm), (0.0, 0.0, 0.0)
            )
            middle = (reach + rng.uniform(-0.5, 0.5, 3)) * spacing
            z, y, x = np.indices(grid.shape_zyx)
            offset = np.stack([x, y, z], axis=-1) * spacing - middle
            mask = (((offset @ axes) / half) ** 2).sum(axis=-1) <= 1.0
            rows.append(diameter_3d(LesionMask.from_full(mask, grid)).length_mm - 2 * half.max())
        found[f"{slice_mm:g} mm"] = np.array(rows)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the errors there")
    arguments = parser.parse_args()
    flat, bodies = flat_errors(), body_errors()
    print("error of an ellipse's lines, pixels: mean (root mean square)")
    print("  half axis      n  longest         short axis      longest between faces")
    for name, rows in flat.items():
        mean, spread = rows.mean(axis=0), np.sqrt((rows**2).mean(axis=0))
        cells = "  ".join(f"{a:+.2f} ({b:.2f})  " for a, b in zip(mean, spread, strict=True))
        print(f"  {name.ljust(10)} {len(rows):5d}  {cells}")
    print("error of a body's longest line in space, mm: mean (root mean square)")
    for name, errors in bodies.items():
        spread = np.sqrt((errors**2).mean())
        print(f"  slices of {name.ljust(7)} {len(errors):5d}  {errors.mean():+.2f} ({spread:.2f})")
    if arguments.json:
        rows_of = {name: rows.tolist() for name, rows in (flat | bodies).items()}
        arguments.json.write_text(json.dumps(rows_of), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
