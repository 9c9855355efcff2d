"""How often a path that crosses a fissure gets a hint, and how often one that does not gets one.

    python benchmarks/fissures.py [--json FILE] [--realdata FOLDER] [--paths 200]

- Sheets painted into lung with vessels and noise, averaged over slices of several thicknesses: the
  truth is exact. Beside it the same lung without a sheet.
- A real chest at slices of 2.5 mm. The oblique fissure of the left lung was read off it by eye, on
  every sixth slice, by nobody who reads scans for a living; a smooth surface through the points
  read is the truth.
- A real chest and neck at 3 mm, of which no truth is known: how many paths get a hint.

Paths are random straight lines of 30 to 70 mm in lung. One crosses where it meets the sheet away
from the lung's border and at 20 degrees or more; one does not where it keeps 8 mm off it. A hint is
right within 5 mm of the crossing.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from irplan.anatomy import build_anatomy
from irplan.body import find_body
from irplan.geometry import GridGeometry
from irplan.trajectory.fissure_hints import BORDER_MM, fissure_hints_mm
from irplan.volume_io import load_volume

Array = np.ndarray
Surface = Callable[[Array], Array]

RIGHT_MM, AWAY_MM = 5.0, 8.0
STEEP_DEG = 20.0
LUNG_HU, PLEURA_HU, VESSEL_HU = -865.0, 0.0, 40.0
SHEET_MM = 0.8
#: How steep the painted sheet is.
SLOPE = math.sqrt(1 + 0.55**2 + 0.15**2)
FINE_MM = 0.5
VESSELS = 80
EDGE_MM = 90.0
#: What was read on the chest, voxels (x, y) of each slice.
READ = {
    22: ((335, 251), (350, 248), (362, 248), (375, 252), (385, 257)),
    28: ((340, 258), (352, 259), (362, 261), (372, 267)),
    34: ((340, 268), (350, 268), (360, 272), (370, 279)),
    40: ((335, 274), (350, 277), (360, 281), (370, 288)),
    46: ((345, 284), (355, 289), (365, 295)),
    52: ((335, 287), (345, 291), (355, 297)),
    58: ((335, 296), (345, 300), (352, 304)),
    64: ((332, 303), (340, 305), (346, 308)),
    70: ((335, 306), (340, 308)),
}
#: Farther towards the middle of the chest nothing was read, voxels.
LEAST_X = 335


@dataclass(frozen=True)
class Scan:
    """HU and lung (z, y, x), the grid, and by how much points (n, 3), LPS mm, lie behind the sheet.

    ``within``: whether points lie where the sheet is known.
    """

    name: str
    hu: Array
    lung: Array
    grid: GridGeometry
    behind: Surface | None
    within: Surface = lambda points: np.ones(len(points), dtype=bool)


@dataclass(frozen=True)
class Row:
    """Shares in percent, None where there is no such path."""

    scan: str
    slice_mm: float
    crossing: int
    hinted: float | None
    others: int
    false: float | None


@lru_cache(maxsize=1)
def painted_fine(sheet: bool, seed: int) -> Array:
    """Lung with vessels, with or without a tilted, bent sheet, every half mm (z, y, x)."""
    rng = np.random.default_rng(seed)
    count = round(EDGE_MM / FINE_MM)
    z, y, x = (axis.astype(np.float32) for axis in np.mgrid[:count, :count, :count] * FINE_MM)
    fine = np.full(z.shape, LUNG_HU, dtype=np.float32)
    for _ in range(VESSELS):
        start, along = rng.uniform(0, EDGE_MM, 3), rng.normal(size=3)
        along /= np.linalg.norm(along)
        radius = rng.uniform(0.3, 1.6)
        dz, dy, dx = z - start[0], y - start[1], x - start[2]
        far = dz * along[0] + dy * along[1] + dx * along[2]
        away = dz * dz + dy * dy + dx * dx - far * far
        fine[(away < radius * radius) & (np.abs(far) < 18)] = VESSEL_HU
    if sheet:
        fine[np.abs(z - sheet_level(x, y)) / SLOPE < SHEET_MM / 2] = PLEURA_HU
    return fine


def sheet_level(x: Array, y: Array) -> Array:
    """Where the painted sheet lies along z, mm."""
    u, v = x - EDGE_MM / 2, y - EDGE_MM / 2
    return np.asarray(EDGE_MM / 2 + 0.55 * v + 0.15 * u + 0.004 * u * u)


def painted(slice_mm: float, sheet: bool, seed: int) -> Scan:
    """Painted lung as a CT with slices of a thickness shows it."""
    fine = painted_fine(sheet, seed)
    rng = np.random.default_rng(seed)
    count = len(fine)
    step = 2
    thick = max(1, round(slice_mm / FINE_MM))
    cut = [count - count % factor for factor in (thick, step, step)]
    part = fine[: cut[0], : cut[1], : cut[2]]
    hu = part.reshape(
        cut[0] // thick, thick, cut[1] // step, step, cut[2] // step, step
    ).mean(axis=(1, 3, 5))  # fmt: skip
    spacing = (step * FINE_MM, step * FINE_MM, thick * FINE_MM)
    hu = ndimage.gaussian_filter(hu, [0, 0.6 / spacing[1], 0.6 / spacing[0]])
    noise = ndimage.gaussian_filter(rng.normal(size=hu.shape), [0, 0.7, 0.7])
    # A thinner slice has more noise: 25 HU at 1 mm.
    hu = hu + noise / noise.std() * 25.0 / np.sqrt(spacing[2])
    size = (hu.shape[2], hu.shape[1], hu.shape[0])
    first = [(step_mm - FINE_MM) / 2 for step_mm in spacing]
    grid = GridGeometry(size, spacing, (first[0], first[1], first[2]))

    def behind(points: Array) -> Array:
        return np.asarray((points[:, 2] - sheet_level(points[:, 0], points[:, 1])) / SLOPE)

    name = "painted sheet" if sheet else "painted, no sheet"
    held = hu.round().astype(np.int16)
    return Scan(name, held, np.ones(hu.shape, bool), grid, behind if sheet else None)


def _terms(x: Array, z: Array) -> Array:
    return np.stack([x**0, x, z, x * z, x * x, z * z, x**3, z**3], axis=1)


def chest(folder: Path) -> Scan:
    """The left lung of the chest with the surface through what was read."""
    scan = lungs_of("chest at 2.5 mm", next(folder.glob("*.nii.gz")), ("lung_left",))
    index = np.array([(x, y, z) for z, row in READ.items() for x, y in row], dtype=float)
    x, y, z = ((scan.grid.to_lps(index)) / 100).T
    weights = np.linalg.lstsq(_terms(x, z), y, rcond=None)[0]
    left = 100 * np.abs(_terms(x, z) @ weights - y)
    print(
        f"the surface lies {left.mean():.1f} mm, at most {left.max():.1f}, beside {len(x)} points"
    )

    def behind(points: Array) -> Array:
        x, y, z = points.T
        level = 100 * _terms(x / 100, z / 100) @ weights
        # A mm farther along the body: the surface leans, and the distance is across it.
        rise = 100 * _terms(x / 100, (z + 1) / 100) @ weights - level
        return np.asarray((y - level) / np.sqrt(1 + rise**2))

    def within(points: Array) -> Array:
        i, _, k = scan.grid.to_index(points).T
        return np.asarray((i >= LEAST_X) & (k >= min(READ)) & (k <= max(READ)))

    return Scan(scan.name, scan.hu, scan.lung, scan.grid, behind, within)


def lungs_of(name: str, file: Path, wanted: tuple[str, ...]) -> Scan:
    """A real scan with the lungs that irplan finds in it."""
    volume = load_volume(file)
    anatomy = build_anatomy(volume, find_body(volume))
    labels = [one.label for one in anatomy.structures if one.name in wanted]
    return Scan(name, volume.hu, np.isin(anatomy.labels, labels), volume.geometry, None)


def paths_in(scan: Scan, count: int, seed: int = 0) -> list[tuple[Array, Array]]:
    """Random straight lines in the lung, LPS mm; well inside where the scan is a painted block."""
    rng = np.random.default_rng(seed)
    k, j, i = np.nonzero(scan.lung)
    points = scan.grid.to_lps(np.stack([i, j, k], axis=1))
    points = points[scan.within(points)]
    if scan.lung.all():
        # The ring and where the sheet goes on are to lie in the block.
        low, high = points.min(axis=0) + 23.0, points.max(axis=0) - 23.0
        points = points[((points >= low) & (points <= high)).all(axis=1)]
    found: list[tuple[Array, Array]] = []
    while len(found) < count:
        a, b = points[rng.integers(len(points), size=2)]
        length = float(np.linalg.norm(b - a))
        if not 30.0 <= length <= 70.0:
            continue
        steps = a + (b - a) * np.linspace(0, 1, round(length) + 1)[:, None]
        i, j, k = np.round(scan.grid.to_index(steps)).astype(int).T
        if scan.lung[k, j, i].all() and scan.within(steps).all():
            found.append((a, b))
    return found


def crossing_mm(scan: Scan, a: Array, b: Array) -> tuple[float | None, bool]:
    """How far from a the line crosses the sheet; whether it stays well off it instead."""
    if scan.behind is None:
        return None, True
    length = float(np.linalg.norm(b - a))
    along = np.arange(0.0, length, 0.25)
    away = scan.behind(a + (b - a) * (along / length)[:, None])
    turns = np.nonzero(np.sign(away[1:]) != np.sign(away[:-1]))[0]
    if len(turns) != 1:
        return None, bool(np.abs(away).min() > AWAY_MM)
    at = int(turns[0])
    sine = abs(away[at + 1] - away[at]) / 0.25
    room = BORDER_MM + 2.0
    well = room <= along[at] <= length - room and sine >= np.sin(np.radians(STEEP_DEG))
    return (float(along[at]) if well else None), False


def row_of(scan: Scan, count: int) -> Row:
    """The shares of random paths that get a hint, those that cross and those that do not."""
    labels, is_lung = scan.lung.astype(np.uint8), np.array([False, True])
    right: list[bool] = []
    false: list[bool] = []
    for a, b in paths_in(scan, count):
        crossing, off = crossing_mm(scan, a, b)
        if crossing is None and not off:
            continue
        ends: list[Any] = [tuple(float(part) for part in end) for end in (a, b)]
        found = fissure_hints_mm(scan.hu, labels, is_lung, scan.grid, ends[0], ends[1])
        if crossing is None:
            false.append(bool(found))
        else:
            right.append(any(abs(depth - crossing) <= RIGHT_MM for depth in found))
    return Row(
        scan.name, scan.grid.spacing_mm[2], len(right), _share(right), len(false), _share(false)
    )


def _share(hits: list[bool]) -> float | None:
    return round(100 * sum(hits) / len(hits), 1) if hits else None


def main() -> None:
    """Measure, print a table, and write the rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--realdata", type=Path)
    parser.add_argument("--paths", type=int, default=200)
    options = parser.parse_args()
    rows = []
    for sheet in (True, False):
        for slice_mm in (1.0, 1.5, 2.0, 3.0):
            rows.append(row_of(painted(slice_mm, sheet, 1 if sheet else 2), options.paths))
    if options.realdata is not None:
        volumes = options.realdata / "volumes"
        rows.append(row_of(chest(volumes / "chest_crc"), options.paths))
        both = ("lung_left", "lung_right")
        neck = lungs_of("neck and chest, no truth", volumes / "lung1_003" / "ct.nii.gz", both)
        rows.append(row_of(neck, options.paths))
    print("scan                      slice crossing hinted% others hinted%")
    for row in rows:
        hinted, false = ("-" if one is None else f"{one:.1f}" for one in (row.hinted, row.false))
        print(
            f"{row.scan:25s} {row.slice_mm:5.1f} {row.crossing:8d} {hinted:>7s} "
            f"{row.others:6d} {false:>7s}"
        )
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
