"""How well lesions of known shape are segmented, over the range of scans that a clinic makes.

Run ``python benchmarks/segmentation_phantom.py [--quick] [--json FILE] [--pictures DIR]``;
``segmentation.py`` runs it too. The whole sweep takes minutes: ``--part 2/4 --json FILE`` runs a
quarter of it, ``--merge FILE ...`` prints the table of all parts together. Each scene is an
ellipsoid in one tissue, alone or against the chest wall, a capsule, a vessel or muscle; it is
painted on a fine raster, blurred, averaged over the slice thickness and covered with noise.
Thickness, noise, blur, contrast and radius are drawn from a Latin hypercube, so that every range is
covered evenly; the same scenes every time.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage, stats

from irplan.findings import Finding
from irplan.geometry import GridGeometry
from irplan.lesions import Diameter, Prompt, segment_one
from irplan.volume import CtVolume

Array = np.ndarray

SCENES = 120
QUICK_SCENES = 30
SPACING_MM = 0.8
SLICE_MM = (0.6, 5.0)
NOISE_HU = (5.0, 40.0)
BLUR_MM = (0.3, 1.0)
CONTRAST_HU = (0.0, 150.0)
RADIUS_MM = (4.0, 40.0)
TISSUE_HU = 60.0
#: What touches the lesion, and the HU of what lies around it (None: the contrast decides).
NEIGHBOURS = ("nothing", "pleura", "capsule", "vessel", "muscle")
FAT_HU, LUNG_HU, VESSEL_HU = -100.0, -850.0, 220.0
#: Ends of the lines are moved by this (normal, per end, in a random direction), mm.
JITTER_MM = 1.75
#: Points of the fine raster along a voxel, at most, and the coarsest step of it in radii.
FINE_MM, FINE_RADII = 0.4, 0.04


@dataclass(frozen=True)
class Scene:
    """What is painted."""

    slice_mm: float
    noise_hu: float
    blur_mm: float
    contrast_hu: float
    half_mm: tuple[float, float, float]
    turn: float
    neighbour: str
    seed: int

    @property
    def volume_ml(self) -> float:
        return 4 / 3 * np.pi * float(np.prod(self.half_mm)) / 1000

    @property
    def step_hu(self) -> float:
        """Height of the step at the free part of the border."""
        if self.neighbour == "pleura":
            return TISSUE_HU - LUNG_HU
        if self.neighbour == "muscle":
            return TISSUE_HU - FAT_HU
        return self.contrast_hu


def scenes(count: int, seed: int = 20) -> list[Scene]:
    """A Latin hypercube over the ranges; radius and slice thickness by their logarithms."""
    cells = stats.qmc.LatinHypercube(d=8, seed=seed).random(count)
    found = []
    for number, cell in enumerate(cells):
        low, high = np.log(RADIUS_MM)
        radius = float(np.exp(low + cell[0] * (high - low)))
        low, high = np.log(SLICE_MM)
        found.append(
            Scene(
                slice_mm=round(float(np.exp(low + cell[1] * (high - low))), 2),
                noise_hu=_between(NOISE_HU, cell[2]),
                blur_mm=_between(BLUR_MM, cell[3]),
                contrast_hu=_between(CONTRAST_HU, cell[4]),
                half_mm=(radius, radius * (0.7 + 0.3 * cell[5]), radius * (0.7 + 0.3 * cell[6])),
                turn=float(np.pi * cell[7]),
                neighbour=NEIGHBOURS[number % len(NEIGHBOURS)],
                seed=number,
            )
        )
    return found


def _between(limits: tuple[float, float], part: float) -> float:
    return round(limits[0] + float(part) * (limits[1] - limits[0]), 2)


def paint(scene: Scene) -> tuple[CtVolume, Array, Array]:
    """The scan, the true mask (z, y, x), and the lesion's centre, LPS mm."""
    return render(scene, scene.half_mm, _tissues, _outside_mm)


def render(
    scene: Any,
    half_mm: tuple[float, float, float],
    tissues: Callable[[Any, list[Array], float], tuple[Array, Array]],
    outside_mm: Callable[[Any, list[Array]], Array],
) -> tuple[CtVolume, Array, Array]:
    """A scan of a scene: a fine raster, blurred, averaged over the slices, with noise.

    Args:
        scene: its slice_mm, noise_hu, blur_mm and seed are used.
        half_mm: half extents of the lesion.
        tissues: HU of the raster, (z, y, x), from axes in mm about the centre and their step.
        outside_mm: about how far points lie outside the lesion, negative inside.

    Returns:
        The scan, the true mask (z, y, x), and the lesion's centre, LPS mm.
    """
    reach = 1.8 * max(half_mm) + 12.0
    rng = np.random.default_rng(scene.seed)
    size = (round(2 * reach / SPACING_MM), round(2 * reach / scene.slice_mm) | 1)
    grid = GridGeometry(
        (size[0], size[0], size[1]), (SPACING_MM, SPACING_MM, scene.slice_mm), (-31.0, 17.0, 203.0)
    )
    middle = grid.to_lps((np.array(grid.size) - 1) / 2)
    centre = middle + rng.uniform(-0.5, 0.5, 3) * grid.spacing_mm
    fine = max(FINE_MM, FINE_RADII * min(half_mm))
    count = np.ceil(np.array(grid.size) * grid.spacing_mm / fine).astype(int) + 1
    low = grid.to_lps((-0.5, -0.5, -0.5))
    axes = [low[a] + np.arange(count[a]) * fine - centre[a] for a in range(3)]
    hu, _ = tissues(scene, axes, fine)
    hu = ndimage.gaussian_filter(hu, scene.blur_mm / fine, mode="nearest")
    # A slice is the mean over its thickness.
    hu = ndimage.uniform_filter1d(
        hu, 2 * round(scene.slice_mm / fine / 2) + 1, axis=0, mode="nearest"
    )
    places = [
        (np.arange(grid.size[a]) * grid.spacing_mm[a] + grid.spacing_mm[a] / 2) / fine
        for a in (2, 1, 0)
    ]
    hu = ndimage.map_coordinates(hu, np.meshgrid(*places, indexing="ij"), order=1, mode="nearest")
    noise = ndimage.gaussian_filter(rng.normal(size=hu.shape), (0, 0.6, 0.6))
    hu += noise / noise.std() * scene.noise_hu
    own = [
        grid.to_lps(np.outer(np.arange(grid.size[a]), np.eye(3)[a]))[:, a] - centre[a]
        for a in range(3)
    ]
    truth = outside_mm(scene, own) <= 0
    return CtVolume(np.rint(hu).astype(np.int16), grid), truth, centre


def _outside_mm(scene: Scene, axes: list[Array]) -> Array:
    """About how far points lie outside the ellipsoid, mm; negative inside; (z, y, x)."""
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    turned = np.cos(scene.turn) * x + np.sin(scene.turn) * y
    across = -np.sin(scene.turn) * x + np.cos(scene.turn) * y
    a, b, c = scene.half_mm
    radius = np.sqrt((turned / a) ** 2 + (across / b) ** 2 + (z / c) ** 2)
    slope = np.sqrt((turned / a**2) ** 2 + (across / b**2) ** 2 + (z / c**2) ** 2)
    # First order distance: (radius - 1) over the length of its gradient.
    gap = (radius - 1.0) * radius / np.maximum(slope, 1e-9)
    return np.asarray(gap.transpose(2, 1, 0))


def _tissues(scene: Scene, axes: list[Array], fine: float) -> tuple[Array, Array]:
    """HU of the raster before blur, and the share of lesion; (z, y, x)."""
    share = np.clip(0.5 - _outside_mm(scene, axes) / fine, 0.0, 1.0).astype(np.float32)
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    # The neighbour lies along the lesion's second axis, where its radius is half_mm[1].
    away = (-np.sin(scene.turn) * x + np.cos(scene.turn) * y + 0.0 * z).transpose(2, 1, 0)
    edge = 0.85 * scene.half_mm[1]
    beyond = np.clip(0.5 + (away - edge) / fine, 0.0, 1.0)
    around = np.full(share.shape, TISSUE_HU - scene.contrast_hu, dtype=np.float32)
    if scene.neighbour == "pleura":
        around = LUNG_HU + beyond * (TISSUE_HU - scene.contrast_hu / 3 - LUNG_HU)
    elif scene.neighbour == "capsule":
        edge_free = np.clip(0.5 + (away - scene.half_mm[1]) / fine, 0.0, 1.0)
        around = around + edge_free * (FAT_HU - around)
    elif scene.neighbour == "muscle":
        around = FAT_HU + beyond * (TISSUE_HU - scene.contrast_hu - FAT_HU)
    elif scene.neighbour == "vessel":
        aside = (np.cos(scene.turn) * x + np.sin(scene.turn) * y + 0.0 * z).transpose(2, 1, 0)
        radius = 4.0
        gap = np.hypot(away - scene.half_mm[1] - radius + 0.5, aside) - radius
        inside = np.clip(0.5 - gap / fine, 0.0, 1.0)
        around = around + inside * (VESSEL_HU - around)
    return (around + share * (TISSUE_HU - around)).astype(np.float32), share


def lines(scene: Scene, centre: Array, jitter_mm: float) -> tuple[Diameter, ...]:
    """The three diameters, their ends moved."""
    rng = np.random.default_rng([7, scene.seed])
    cos, sin = np.cos(scene.turn), np.sin(scene.turn)
    axes = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    drawn = []
    for axis, half in zip(axes, scene.half_mm, strict=True):
        ends = [centre - axis * half, centre + axis * half]
        moved = [end + rng.normal(0.0, jitter_mm / np.sqrt(3), 3) for end in ends]
        drawn.append(Diameter(*[tuple(float(v) for v in end) for end in moved]))
    return tuple(drawn)


def run_scene(scene: Scene, jitter_mm: float) -> dict[str, Any]:
    """One scene segmented from three diameters."""
    volume, truth, centre = paint(scene)
    prompt = Prompt("L1", None, lines(scene, centre, jitter_mm))
    lesion = segment_one(volume, prompt, None, 1)
    row: dict[str, Any] = {
        "slice_mm": scene.slice_mm,
        "noise_hu": scene.noise_hu,
        "blur_mm": scene.blur_mm,
        "contrast_hu": scene.contrast_hu,
        "step_hu": scene.step_hu,
        "neighbour": scene.neighbour,
        "volume_ml": scene.volume_ml,
        "seed": scene.seed,
    }
    if isinstance(lesion, Finding) or lesion.mask is None or lesion.volume_ml is None:
        return row | {"dice": 0.0, "volume_error": -1.0, "held": False, "width": 1.0}
    mask = lesion.mask
    both = np.count_nonzero(mask.voxels & truth[mask.slices_zyx])
    low, high = float(lesion.volume_low_ml or 0), float(lesion.volume_high_ml or 0)
    error_mm = (lesion.longest_diameter_mm or 0.0) - 2 * max(scene.half_mm[:2])
    return row | {
        "dice": 2 * both / (np.count_nonzero(mask.voxels) + np.count_nonzero(truth)),
        "volume_error": float(lesion.volume_ml) / scene.volume_ml - 1,
        "diameter_error_mm": error_mm,
        "held": low <= scene.volume_ml <= high,
        "width": high / low,
        "certainty": lesion.certainty,
        "warned": "border_not_visible" in {finding.code for finding in lesion.findings},
    }


def run(quick: bool, part: tuple[int, int] = (1, 1)) -> list[dict[str, Any]]:
    """All scenes, or every n-th of them, their ends moved."""
    number, count = part
    chosen = scenes(QUICK_SCENES if quick else SCENES)[number - 1 :: count]
    return [run_scene(scene, JITTER_MM) for scene in chosen]


def groups(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The classes that are asked for by themselves."""
    clear = [r for r in rows if r["step_hu"] >= 2 * r["noise_hu"] and r["volume_ml"] >= 0.5]
    out = {
        "all": rows,
        "clear, slices to 1.5 mm": [r for r in clear if r["slice_mm"] <= 1.5],
        "clear, 1.5 to 5 mm": [r for r in clear if r["slice_mm"] > 1.5],
        "not clear": [r for r in rows if r["step_hu"] < 2 * r["noise_hu"]],
    }
    for name in NEIGHBOURS:
        out[f"clear, at {name}"] = [r for r in clear if r["neighbour"] == name]
    return out


def table(rows: list[dict[str, Any]]) -> None:
    """Print the figures by class."""
    print("\nanalytic lesions, three diameters with moved ends (clear: step of 2 x noise or more)")
    print(
        "  " + "class".ljust(26) + "    n   Dice  |volume error| median, 90 %, in limit   bias"
        "   diameter mm, in a voxel   band held, width"
    )
    for name, chosen in groups(rows).items():
        if not chosen:
            continue
        error = np.array([row["volume_error"] for row in chosen])
        across = np.array([row.get("diameter_error_mm", np.nan) for row in chosen])
        limit = 0.03 if name.endswith("to 1.5 mm") else 0.08
        print(
            f"  {name.ljust(26)} {len(chosen):4d}  {np.mean([r['dice'] for r in chosen]):.3f}"
            f"  {np.median(abs(error)):.3f} {np.quantile(abs(error), 0.9):.3f}"
            f" {np.mean(abs(error) <= limit):.2f}                {np.median(error):+.3f}"
            f"   {np.nanmedian(abs(across)):.2f} {np.mean(abs(across) <= SPACING_MM):.2f}"
            f"               {np.mean([r['held'] for r in chosen]):.2f}"
            f"  {np.median([r['width'] for r in chosen]):.2f}"
        )


#: Scenes of the sweep that are drawn: at pleura, capsule, muscle, vessel; thick and thin slices.
DRAWN = (1, 7, 18, 20, 24, 28)
#: Of pictures: greys, and the green and red of outlines, alone and over each other.
PICTURE_COLOURS = (
    *((grey, grey, grey) for grey in range(0, 256, 15)),
    *((0, green, 0) for green in (255, 190, 120)),
    *((red, 0, 0) for red in (255, 190, 120)),
    (140, 230, 140), (230, 140, 140), (200, 130, 0), (130, 90, 0), (225, 190, 130),
)  # fmt: skip


def pictures(folder: Path) -> None:
    """One picture: the middle slices of some scenes, the truth in green, what was found in red."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(DRAWN), figsize=(2 * len(DRAWN), 4.5), dpi=84)
    for column, number in enumerate(DRAWN):
        scene = scenes(SCENES)[number]
        volume, truth, centre = paint(scene)
        prompt = Prompt("L1", None, lines(scene, centre, JITTER_MM))
        lesion = segment_one(volume, prompt, None, 1)
        assert not isinstance(lesion, Finding)
        assert lesion.mask is not None
        found = lesion.mask.to_full()
        middle = np.rint(np.argwhere(truth).mean(axis=0)).astype(int)
        aspects = (1.0, scene.slice_mm / SPACING_MM)
        cuts = ((middle[0],), (slice(None), middle[1]))
        for row, (cut, aspect) in enumerate(zip(cuts, aspects, strict=True)):
            plot = axes[row, column]
            plot.imshow(volume.hu[cut], "gray", vmin=-160, vmax=240, aspect=aspect)
            for mask, colour in ((truth, "lime"), (found, "red")):
                if mask[cut].any():
                    plot.contour(mask[cut].astype(float), [0.5], colors=colour, linewidths=0.8)
            plot.set_axis_off()
        axes[0, column].set_title(
            f"{scene.neighbour}, {scene.slice_mm} mm\n{scene.step_hu:.0f} HU, "
            f"noise {scene.noise_hu:.0f}",
            fontsize=8,
        )
    save_small(figure, folder / "lesions_analytic.png")


def save_small(figure: Any, path: Path) -> None:
    """Save a figure in few colours: noise in many would take a megabyte."""
    import io

    from matplotlib import pyplot
    from PIL import Image

    figure.tight_layout()
    drawn = io.BytesIO()
    figure.savefig(drawn)
    pyplot.close(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = Image.new("P", (1, 1))
    colours.putpalette([part for colour in PICTURE_COLOURS for part in colour])
    made = Image.open(drawn).convert("RGB").quantize(palette=colours, dither=Image.Dither.NONE)
    made.save(path, optimize=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a quarter of the scenes")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument(
        "--part", default="1/1", metavar="I/N", help="every N-th scene, from the I-th"
    )
    parser.add_argument("--merge", type=Path, nargs="+", help="print the table of these parts")
    parser.add_argument("--pictures", type=Path, help="draw some scenes there, and nothing else")
    arguments = parser.parse_args()
    if arguments.pictures:
        pictures(arguments.pictures)
        return 0
    if arguments.merge:
        rows = [row for one in arguments.merge for row in json.loads(one.read_text("utf-8"))]
    else:
        number, count = arguments.part.split("/")
        rows = run(arguments.quick, (int(number), int(count)))
    table(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1, default=float), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
