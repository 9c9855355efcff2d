"""Whether fissures of the lung can be hinted at from the image alone, and how often that is wrong.

    python benchmarks/fissures.py [--json FILE] [--realdata FOLDER]

A fissure is a bright sheet, a millimetre thick, in dark lung. The usual way to find one without a
network is tried: the eigenvalues of the Hessian (one strongly negative across the sheet, the other
two near zero), kept where they hang together in a wide flat piece. It is measured on

- sheets painted into lung with vessels and noise, averaged over slices of several thicknesses: the
  truth is exact;
- a real scan on a grid of 3 mm whose lobes a network has labelled: where two lobes meet is the
  truth, as far as a network's opinion is one.

A hint is right within 3 mm of the truth. Beside it stands chance: the share of all lung, away from
its border, that lies as near. Two widths of the filter and four thresholds are tried.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import edt
import numpy as np
from scipy import ndimage

from irplan.anatomy.names import TOTAL_CLASSES
from irplan.volume_io import load_label_map, load_volume

Array = np.ndarray

NEAR_MM = 3.0
SIGMAS_MM = (1.5, 2.5)
#: Second derivative across the sheet, HU / mm² (negative), at least.
STRENGTHS = (5.0, 10.0, 20.0, 30.0)
#: The second eigenvalue is at most this share of the first: a sheet, not a tube.
FLAT = 0.3
#: Four fifths of a piece span this much in its two long directions, and at most that in the
#: short one, mm.
WIDE_MM, THIN_MM = 15.0, 6.0
#: Lung nearer to its border is left out: the border is a sheet too.
BORDER_MM = 5.0
LUNG_HU, PLEURA_HU, VESSEL_HU = -865.0, 0.0, 40.0
SHEET_MM = 0.8
FINE_MM = 0.4
EDGE_MM = 48.0


@dataclass(frozen=True)
class Row:
    """How one setting does on one scan, shares in percent; ``right`` is None without a hint."""

    scan: str
    slice_mm: float
    sigma_mm: float
    strength: float
    hint_ml: float
    right: float | None
    found: float
    chance: float


def eigenvalues(hu: Array, spacing: tuple[float, float, float], sigma_mm: float) -> Array:
    """Eigenvalues of the Hessian, HU / mm², the lowest first, (z, y, x, 3)."""
    sigma = [sigma_mm / step for step in spacing]
    parts = np.empty((*hu.shape, 3, 3), dtype=np.float32)
    for one in range(3):
        for other in range(one, 3):
            order = [int(axis == one) + int(axis == other) for axis in range(3)]
            second = ndimage.gaussian_filter(hu, sigma, order=order)
            second /= spacing[one] * spacing[other]
            parts[..., one, other] = parts[..., other, one] = second
    return np.asarray(np.linalg.eigvalsh(parts))


def hints(values: Array, lung: Array, spacing: tuple[float, float, float], least: float) -> Array:
    """Wide flat pieces of what looks like a sheet."""
    low, middle, high = (values[..., number] for number in range(3))
    others = np.maximum(np.abs(middle), np.abs(high))
    sheet = lung & (low < -least) & (others < FLAT * np.abs(low))
    labels, count = ndimage.label(sheet, np.ones((3, 3, 3)))
    kept = np.zeros(count + 1, dtype=bool)
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        points = np.argwhere(labels[box] == number) * np.asarray(spacing)
        if len(points) < 20:
            continue
        centred = points - points.mean(axis=0)
        axes = np.linalg.svd(centred, full_matrices=False)[2]
        # The outer tenths are left out: specks of noise hang on many a sheet.
        thin, wide = (np.ptp(np.percentile(centred @ axes[axis], (10, 90))) for axis in (2, 1))
        kept[number] = wide >= WIDE_MM and thin <= max(THIN_MM, 0.25 * wide)
    return kept[labels]


def _distance(mask: Array, spacing: tuple[float, float, float]) -> Array:
    """Distance of every voxel of a mask to the nearest one outside it, mm."""
    return edt.edt(np.ascontiguousarray(mask), anisotropy=spacing, black_border=False)


def rows_of(
    scan: str, hu: Array, lung: Array, truth: Array, spacing: tuple[float, float, float]
) -> list[Row]:
    """Every setting on one scan; ``truth`` holds the voxels where the fissure lies."""
    inner = _distance(lung | truth, spacing) > BORDER_MM
    truth = truth & inner
    near = _distance(~truth, spacing) <= NEAR_MM
    rows = []
    for sigma in SIGMAS_MM:
        values = eigenvalues(hu, spacing, sigma)
        for least in STRENGTHS:
            found = hints(values, inner, spacing, least)
            reached = _distance(~found, spacing) <= NEAR_MM
            some = bool(found.any())
            rows.append(
                Row(
                    scan,
                    spacing[0],
                    sigma,
                    least,
                    round(float(found.sum() * np.prod(spacing)) / 1000, 2),
                    round(100 * float(near[found].mean()), 1) if some else None,
                    round(100 * float(reached[truth].mean()), 1) if some else 0.0,
                    round(100 * float(near[inner].mean()), 1),
                )
            )
    return rows


def painted(slice_mm: float, sheet: bool, seed: int) -> tuple[Array, Array, Array, tuple]:
    """Lung with vessels, with or without a tilted, bent sheet: HU, lung, sheet and spacing."""
    rng = np.random.default_rng(seed)
    count = round(EDGE_MM / FINE_MM)
    z, y, x = (axis.astype(np.float32) for axis in np.mgrid[:count, :count, :count] * FINE_MM)
    fine = np.full(z.shape, LUNG_HU, dtype=np.float32)
    for _ in range(25):
        start, along = rng.uniform(0, EDGE_MM, 3), rng.normal(size=3)
        along /= np.linalg.norm(along)
        radius = rng.uniform(0.3, 1.6)
        dz, dy, dx = z - start[0], y - start[1], x - start[2]
        far = dz * along[0] + dy * along[1] + dx * along[2]
        away = dz * dz + dy * dy + dx * dx - far * far
        fine[(away < radius * radius) & (np.abs(far) < 18)] = VESSEL_HU
    level = 24 + 0.55 * (y - 24) + 0.15 * (x - 24) + 0.004 * (x - 24) ** 2
    distance = np.abs(z - level) / np.sqrt(1 + 0.55**2 + 0.15**2)
    if sheet:
        fine[distance < SHEET_MM / 2] = PLEURA_HU
    step = 2
    thick = max(1, round(slice_mm / FINE_MM))
    spacing = (thick * FINE_MM, step * FINE_MM, step * FINE_MM)
    cut = [count - count % factor for factor in (thick, step, step)]

    def blocks(array: Array) -> Array:
        part = array[: cut[0], : cut[1], : cut[2]]
        return part.reshape(
            cut[0] // thick, thick, cut[1] // step, step, cut[2] // step, step
        ).mean(axis=(1, 3, 5))

    hu = ndimage.gaussian_filter(blocks(fine), [0, 0.6 / spacing[1], 0.6 / spacing[2]])
    noise = ndimage.gaussian_filter(rng.normal(size=hu.shape), [0, 0.7, 0.7])
    # A thinner slice has more noise: 25 HU at 1 mm.
    hu = hu + noise / noise.std() * 25.0 / np.sqrt(spacing[0])
    return (
        hu.astype(np.float32),
        np.ones(hu.shape, bool),
        blocks(distance) < max(0.6, 0.35 * slice_mm),
        spacing,
    )


def labelled(folder: Path) -> tuple[Array, Array, Array, tuple[float, float, float]]:
    """The real scan: HU, lung, where two lobes of a side meet, and the spacing (z, y, x)."""
    volume = load_volume(folder / "example_ct.nii.gz")
    labels, _ = load_label_map(folder / "example_seg_fast_force_split.nii.gz")
    lobes = {number: name for number, name in TOTAL_CLASSES.items() if "_lobe_" in name}
    lobe = np.where(np.isin(labels, list(lobes)), labels, 0)
    truth = np.zeros(lobe.shape, dtype=bool)
    for axis in range(3):
        one = np.moveaxis(lobe, axis, 0)
        meet = (one[1:] != one[:-1]) & (one[1:] > 0) & (one[:-1] > 0)
        flags = np.moveaxis(truth, axis, 0)
        flags[1:] |= meet
        flags[:-1] |= meet
    return volume.hu.astype(np.float32), lobe > 0, truth, volume.geometry.spacing_zyx_mm


def main() -> None:
    """Measure, print a table, and write the rows where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--realdata", type=Path)
    options = parser.parse_args()
    rows = []
    for slice_mm in (0.8, 1.2, 2.0, 2.8):
        hu, lung, truth, spacing = painted(slice_mm, True, 1)
        rows += rows_of("painted sheet", hu, lung, truth, spacing)
        hu, lung, truth, spacing = painted(slice_mm, False, 2)
        rows += rows_of("painted, no sheet", hu, lung, truth, spacing)
    if options.realdata is not None:
        rows += rows_of("network's lobes", *labelled(options.realdata / "volumes/totalsegmentator"))
    print("scan               slice sigma strength hint_ml right% found% chance%")
    for row in rows:
        right = "-" if row.right is None else f"{row.right:.1f}"
        print(
            f"{row.scan:18s} {row.slice_mm:5.1f} {row.sigma_mm:5.1f} {row.strength:8.0f} "
            f"{row.hint_ml:7.2f} {right:>6s} {row.found:6.1f} {row.chance:7.1f}"
        )
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
