"""How well lung nodules of known shape are segmented: the kinds that make it hard.

Run ``python benchmarks/segmentation_nodules.py [--quick] [--json FILE] [--pictures DIR]``;
``segmentation.py`` runs it too. Each scene is a nodule in aerated lung: ground glass, ground glass
with a solid core (part-solid), solid with a vessel through it or along it, solid on the chest wall
(cut off flat by it, or with a broad base), painted and scanned as in ``segmentation_phantom.py``.
The truth is the whole nodule, ground glass included, without vessel and chest wall beyond it. Radii
of 4 to 15 mm, slices of 0.6 to 3 mm, noise of 10 to 40 HU, drawn from a Latin hypercube. Gestures
are three diameters, the longest one alone, and a click, with moved ends; the click lies in the
middle, or for part-solid nodules in the core.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_phantom as phantom
from scipy import stats

from irplan.findings import Finding
from irplan.lesions import Click, Diameter, Prompt, segment_one
from irplan.volume import CtVolume

Array = np.ndarray

SCENES = 60
QUICK_SCENES = 18
KINDS = ("ground glass", "part-solid", "vessel through", "vessel beside", "flat on wall", "on wall")
GESTURES = ("three lines", "one line", "click")
SLICE_MM = (0.6, 3.0)
NOISE_HU = (10.0, 40.0)
BLUR_MM = (0.3, 0.9)
RADIUS_MM = (4.0, 15.0)
LUNG_HU, SOLID_HU, WALL_HU, RIB_HU, FAT_HU = -850.0, 30.0, 45.0, 500.0, -100.0
GROUND_GLASS_HU = (-680.0, -450.0)
#: A vessel's radius and HU, with contrast or without.
VESSEL_MM = (1.2, 3.5)
VESSEL_HU = (40.0, 200.0)
#: A solid core's radius as a share of the nodule's.
CORE_SHARE = (0.35, 0.7)
#: How much of the nodule's half extent stands out of the chest wall beyond its middle.
WALL_SHARE = (0.0, 0.8)
WALL_RADIUS_MM, PLEURA_MM = 90.0, 3.0


@dataclass(frozen=True)
class Nodule:
    """What is painted; ``part`` is a share of 0 to 1 that each kind uses its own way."""

    kind: str
    slice_mm: float
    noise_hu: float
    blur_mm: float
    half_mm: tuple[float, float, float]
    turn: float
    part: float
    other: float
    seed: int

    @property
    def wall_mm(self) -> float:
        """How far the chest wall lies from the middle along the second axis; infinite if none."""
        if self.kind == "flat on wall":
            return 0.0
        if self.kind == "on wall":
            low, high = WALL_SHARE
            return (low + (high - low) * self.part) * self.half_mm[1]
        return float("inf")


def nodules(count: int) -> list[Nodule]:
    """A Latin hypercube over the ranges; radius and slice thickness by their logarithms."""
    cells = stats.qmc.LatinHypercube(d=9, seed=31).random(count)
    found = []
    for number, cell in enumerate(cells):
        radius = _between_logs(RADIUS_MM, cell[0])
        found.append(
            Nodule(
                kind=KINDS[number % len(KINDS)],
                slice_mm=round(_between_logs(SLICE_MM, cell[1]), 2),
                noise_hu=_between(NOISE_HU, cell[2]),
                blur_mm=_between(BLUR_MM, cell[3]),
                half_mm=(radius, radius * (0.7 + 0.3 * cell[4]), radius * (0.7 + 0.3 * cell[5])),
                turn=float(np.pi * cell[6]),
                part=float(cell[7]),
                other=float(cell[8]),
                seed=1000 + number,
            )
        )
    return found


def _between(limits: tuple[float, float], part: float) -> float:
    return limits[0] + float(part) * (limits[1] - limits[0])


def _between_logs(limits: tuple[float, float], part: float) -> float:
    low, high = np.log(limits)
    return float(np.exp(low + part * (high - low)))


def paint(nodule: Nodule) -> tuple[CtVolume, Array, Array]:
    """The scan, the true mask (z, y, x), and the middle of the whole ellipsoid, LPS mm."""
    return phantom.render(nodule, nodule.half_mm, _tissues, _outside_mm)


def _own_axes(nodule: Nodule, axes: list[Array]) -> tuple[Array, Array, Array]:
    """Coordinates along the nodule's half axes, each (z, y, x)."""
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    cos, sin = np.cos(nodule.turn), np.sin(nodule.turn)
    along, across = cos * x + sin * y + 0.0 * z, -sin * x + cos * y + 0.0 * z
    up = 0.0 * x + 0.0 * y + z
    return along.transpose(2, 1, 0), across.transpose(2, 1, 0), up.transpose(2, 1, 0)


def _ellipsoid_mm(places: tuple[Array, Array, Array], half_mm: Array) -> Array:
    """About how far points lie outside an ellipsoid, mm."""
    parts = [place / half for place, half in zip(places, half_mm, strict=True)]
    slopes = [part / half for part, half in zip(parts, half_mm, strict=True)]
    radius = np.sqrt(sum(part**2 for part in parts))
    slope = np.sqrt(sum(slope**2 for slope in slopes))
    return np.asarray((radius - 1.0) * radius / np.maximum(slope, 1e-9))


def _wall_mm(nodule: Nodule, places: tuple[Array, Array, Array]) -> Array:
    """How far points lie outside (short of) the chest wall, a large hollow ball, mm."""
    along, across, up = places
    hollow = np.sqrt(along**2 + (across - nodule.wall_mm + WALL_RADIUS_MM) ** 2 + 0.0 * up)
    return np.asarray(WALL_RADIUS_MM - hollow)


def _outside_mm(nodule: Nodule, axes: list[Array]) -> Array:
    places = _own_axes(nodule, axes)
    outside = _ellipsoid_mm(places, np.array(nodule.half_mm))
    if np.isfinite(nodule.wall_mm):
        return np.maximum(outside, -_wall_mm(nodule, places))
    return outside


def _tissues(nodule: Nodule, axes: list[Array], fine: float) -> tuple[Array, Array]:
    """HU of the raster before blur, and the share of nodule; (z, y, x)."""
    places = _own_axes(nodule, axes)
    half = np.array(nodule.half_mm)

    def share(gap_mm: Array) -> Array:
        return np.clip(0.5 - gap_mm / fine, 0.0, 1.0)

    hu = np.full(places[0].shape, LUNG_HU)
    own = share(_ellipsoid_mm(places, half))
    if nodule.kind.startswith("vessel"):
        radius = _between(VESSEL_MM, nodule.part)
        # Through the middle, tilted, or along the nodule's side.
        aside = 0.0 if nodule.kind == "vessel through" else nodule.half_mm[1] + 0.5 * radius
        lean = 0.6 * (nodule.other - 0.5)
        gap = np.hypot(places[1] - aside - lean * places[0], places[2]) - radius
        hu = hu + share(gap) * (_between(VESSEL_HU, nodule.other) - hu)
    level = SOLID_HU
    if nodule.kind in ("ground glass", "part-solid"):
        level = _between(GROUND_GLASS_HU, nodule.other)
    hu = hu + own * (level - hu)
    if nodule.kind == "part-solid":
        core = core_of(nodule)
        moved = tuple(place - shift for place, shift in zip(places, core[0], strict=True))
        hu = hu + share(_ellipsoid_mm(moved, core[1])) * (SOLID_HU - hu)
    if np.isfinite(nodule.wall_mm):
        gap = _wall_mm(nodule, places)
        hu = hu + share(gap) * (WALL_HU - hu)
        hu = hu + share(gap + PLEURA_MM) * (FAT_HU - hu)
        # A rib runs behind the pleura.
        rib = np.hypot(gap + PLEURA_MM + 7.0, places[2] - 6.0) - 5.0
        hu = hu + share(rib) * (RIB_HU - hu)
    return np.asarray(hu, dtype=np.float32), own


def core_of(nodule: Nodule) -> tuple[Array, Array]:
    """Where the solid core's middle lies along the half axes, and its half axes, mm."""
    size = _between(CORE_SHARE, nodule.part)
    half = size * np.array(nodule.half_mm)
    return np.array([0.6, -0.4, 0.0]) * (np.array(nodule.half_mm) - half), half


def gestures(nodule: Nodule, centre: Array, gesture: str) -> tuple[Any, ...]:
    """What a person draws, the ends moved; LPS mm."""
    rng = np.random.default_rng([9, nodule.seed])
    cos, sin = np.cos(nodule.turn), np.sin(nodule.turn)
    axes = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    half = np.array(nodule.half_mm)

    def moved(place: Array, size_mm: float) -> tuple[float, float, float]:
        x, y, z = (place + rng.normal(0.0, size_mm / np.sqrt(3), 3)).tolist()
        return x, y, z

    # On the wall a line runs from the free end to where the wall begins.
    far = np.minimum(half, [np.inf, nodule.wall_mm, np.inf])
    middle = centre + axes[1] * (far[1] - half[1]) / 2.0
    if gesture == "click":
        aim = centre + core_of(nodule)[0] @ axes if nodule.kind == "part-solid" else middle
        return (Click(moved(aim, 1.5)),)
    spans = [half[0] + half[0], half[1] + far[1], half[2] + half[2]]
    ends = []
    for number, (axis, span) in enumerate(zip(axes, spans, strict=True)):
        # The other two lie across the middle of the part that stands out of the wall.
        at = middle
        shrink = 1.0
        if number != 1 and np.isfinite(nodule.wall_mm):
            gap = abs(float((middle - centre) @ axes[1])) / half[1]
            shrink = float(np.sqrt(max(0.0, 1.0 - gap**2)))
        ends.append((at - axis * span * shrink / 2.0, at + axis * span * shrink / 2.0))
    order = sorted(range(3), key=lambda n: -float(np.linalg.norm(ends[n][1] - ends[n][0])))
    axial = [n for n in order if n != 2]
    lines = [Diameter(moved(a, 1.75), moved(b, 1.75)) for a, b in (ends[n] for n in (*axial, 2))]
    return tuple(lines if gesture == "three lines" else lines[:1])


def score(nodule: Nodule, volume: CtVolume, truth: Array, drawn: tuple[Any, ...]) -> dict[str, Any]:
    """One gesture's lesion against the truth."""
    row: dict[str, Any] = {"kind": nodule.kind, "seed": nodule.seed, "slice_mm": nodule.slice_mm}
    lesion = segment_one(volume, Prompt("L1", None, drawn), None, 1)
    true_ml = np.count_nonzero(truth) * volume.geometry.voxel_ml
    row |= {"volume_ml": true_ml}
    if isinstance(lesion, Finding) or lesion.mask is None or lesion.volume_ml is None:
        return row | {"dice": 0.0, "volume_error": -1.0, "held": False, "found": "nothing"}
    mask = lesion.mask
    both = np.count_nonzero(mask.voxels & truth[mask.slices_zyx])
    low, high = float(lesion.volume_low_ml or 0), float(lesion.volume_high_ml or 0)
    return row | {
        "dice": 2 * both / (np.count_nonzero(mask.voxels) + np.count_nonzero(truth)),
        "volume_error": float(lesion.volume_ml) / true_ml - 1.0,
        "held": low <= true_ml <= high,
        "found": str(lesion.kind),
    }


def run(quick: bool) -> dict[str, list[dict[str, Any]]]:
    """All scenes, by gesture."""
    found: dict[str, list[dict[str, Any]]] = {gesture: [] for gesture in GESTURES}
    for nodule in nodules(QUICK_SCENES if quick else SCENES):
        volume, truth, centre = paint(nodule)
        for gesture in GESTURES:
            found[gesture].append(score(nodule, volume, truth, gestures(nodule, centre, gesture)))
    return found


def table(found: dict[str, list[dict[str, Any]]]) -> None:
    """Print the figures by gesture and kind."""
    print("\nlung nodules of known shape: Dice mean (worst), volume error, |volume error| median")
    for gesture, rows in found.items():
        for kind in ("all", *KINDS):
            chosen = [row for row in rows if kind in ("all", row["kind"])]
            dice = [row["dice"] for row in chosen]
            error = np.array([row["volume_error"] for row in chosen])
            held = np.mean([row["held"] for row in chosen])
            print(
                f"  {gesture.ljust(12)} {kind.ljust(15)} {len(chosen):3d}"
                f"  {np.mean(dice):.3f} ({np.min(dice):.3f})  {np.median(error):+.3f}"
                f"  {np.median(abs(error)):.3f}  band holds {held:.2f}"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a third of the scenes")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--pictures", type=Path, help="draw some scenes there, and nothing else")
    arguments = parser.parse_args()
    if arguments.pictures:
        pictures(arguments.pictures)
        return 0
    found = run(arguments.quick)
    table(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1, default=float), encoding="utf-8")
    return 0


def pictures(folder: Path) -> None:
    """One picture: a nodule of each kind with three diameters, one line and a click."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    chosen = nodules(SCENES)[6:12]
    figure, axes = pyplot.subplots(len(GESTURES), len(chosen), figsize=(12, 6.4), dpi=84)
    for column, nodule in enumerate(chosen):
        volume, truth, centre = paint(nodule)
        for row, gesture in enumerate(GESTURES):
            drawn = gestures(nodule, centre, gesture)
            lesion = segment_one(volume, Prompt("L1", None, drawn), None, 1)
            middle = int(np.rint(np.argwhere(truth).mean(axis=0))[0])
            plot = axes[row, column]
            plot.imshow(volume.hu[middle], "gray", vmin=-1100, vmax=300)
            found = np.zeros_like(truth)
            if not isinstance(lesion, Finding) and lesion.mask is not None:
                found = lesion.mask.to_full()
            for mask, colour in ((truth, "lime"), (found, "red")):
                if mask[middle].any():
                    plot.contour(mask[middle].astype(float), [0.5], colors=colour, linewidths=0.8)
            plot.set_axis_off()
            if row == 0:
                plot.set_title(f"{nodule.kind}, {nodule.slice_mm} mm", fontsize=8)
            if column == 0:
                plot.text(-0.06, 0.5, gesture, fontsize=8, rotation=90, va="center", ha="center",
                          transform=plot.transAxes)  # fmt: skip
    phantom.save_small(figure, folder / "lesions_nodules.png")


if __name__ == "__main__":
    raise SystemExit(main())
