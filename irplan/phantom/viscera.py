"""Lungs with airways, the organs of neck and belly, and the bowel with wall and gas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from irplan.phantom.fields import Forms
from irplan.phantom.scene import Scene
from irplan.phantom.vessels import smooth_path

BELLY = ("inner_fat",)
GAS_HU, LUNG_HU = -985.0, -868.0


def paint_lungs(scene: Scene, forms: Forms) -> None:
    """Five lobes, divided by oblique and horizontal fissures."""
    lungs = forms.lungs
    oblique = (forms.z - 128.0) - 1.05 * (forms.y + 4.0)
    flat = forms.z - 134.0 + 0.1 * forms.y
    right, left = np.maximum(lungs, forms.x), np.maximum(lungs, -forms.x)
    lobes = {
        "lung_lower_lobe_left": np.maximum(left, oblique),
        "lung_upper_lobe_left": np.maximum(left, -oblique),
        "lung_lower_lobe_right": np.maximum(right, oblique),
        "lung_middle_lobe_right": np.maximum(np.maximum(right, -oblique), flat),
        "lung_upper_lobe_right": np.maximum(np.maximum(right, -oblique), -flat),
    }
    for number, (label, values) in enumerate(lobes.items()):
        hu = LUNG_HU + (8.0 if "lower" in label else 0.0) + number
        material = scene.materials.number(hu, label, "lung")
        scene.region(scene.add_field(forms.field(values)), material, below=0.3)


def paint_airways(scene: Scene, seed: int) -> None:
    """Pharynx, trachea and bronchi: air with a wall."""
    wall = scene.materials.number(45.0, "trachea", "airway")
    air = scene.materials.number(GAS_HU, "trachea", "airway")
    line = [
        (0, -8, 400),
        (0, -9, 340),
        (0, -15, 300),
        (0, -8, 262),
        (0, 6, 225),
        (0, 14, 186),
        (0, 16, 174),
    ]
    points, _ = smooth_path(line, [1.0] * len(line))
    over = ("inner_fat", "muscle", "fat", "organ", "airway")
    scene.path(points, [(10.5, 9.5)] * len(points), wall, over=over)
    scene.path(points, [(9.0, 8.0)] * len(points), air, over=("airway",))
    thin = scene.materials.number(20.0, "lung_trachea_bronchia", "airway")
    hollow = scene.materials.number(GAS_HU, "lung_trachea_bronchia", "airway")
    generator = np.random.default_rng(seed + 3)
    inside = (*over, "lung", "vessel")
    for side, carina in ((-1.0, (-34, 18, 150)), (1.0, (40, 18, 148))):
        trunk = [(0, 16, 176), carina]
        scene.path(trunk, (8.0, 6.5), thin, over=inside)
        scene.path(trunk, (6.8, 5.4), hollow, over=("airway",))
        start = np.array(carina, dtype=float)
        for direction in ((0.5, -0.2, 0.8), (0.9, -0.5, -0.1), (0.6, 0.25, -0.75), (0.7, 0.5, 0.1)):
            x, y, z = direction
            along = np.array([side * x, y, z]) / np.linalg.norm(direction)
            base = start
            for radius in (4.4, 3.2, 2.4):
                end = base + along * 21.0
                scene.tube(base, end, (radius, radius), thin, over=inside)
                scene.tube(base, end, (radius - 0.9, radius - 0.9), hollow, over=("airway",))
                base = end
                along = along + 0.25 * generator.standard_normal(3)
                along = along / np.linalg.norm(along)


def paint_neck(scene: Scene) -> None:
    """Thyroid, oesophagus, and the fat round the vascular sheaths."""
    fat = scene.materials.number(-88.0, "torso_fat", "inner_fat")
    for side in (-1.0, 1.0):
        line = [(side * 36, -14, 246), (side * 37, -10, 290), (side * 40, 0, 400)]
        scene.path(line, [(15.0, 12.0)] * 3, fat, over=("muscle",))
        triangle = [(side * 62, 26, 262), (side * 52, 34, 310), (side * 50, 36, 400)]
        scene.path(triangle, [(15.0, 10.0), (9.0, 12.0), (7.0, 10.0)], fat, over=("muscle",))
    thyroid = scene.materials.number(150.0, "thyroid_gland", "organ")
    for side in (-1.0, 1.0):
        line = [(side * 13, -17, 258), (side * 15, -17, 275), (side * 14, -15, 296)]
        scene.path(
            line,
            [(6.0, 8.0), (7.5, 10.0), (4.0, 6.0)],
            thyroid,
            over=("muscle", "inner_fat", "fat"),
        )
    scene.path([(-8, -25, 266), (0, -27, 266), (8, -25, 266)], (5.0, 4.0, 5.0), thyroid)
    gullet = scene.materials.number(48.0, "esophagus", "bowel")
    gas = scene.materials.number(GAS_HU, "esophagus", "bowel")
    line = [
        (2, 10, 296),
        (4, 22, 250),
        (5, 32, 200),
        (3, 30, 150),
        (6, 18, 105),
        (14, 6, 72),
        (26, -4, 52),
    ]
    points, _ = smooth_path(line, [1.0] * len(line))
    scene.path(points, [(8.5, 6.0)] * len(points), gullet, over=("muscle", "inner_fat", "lung"))
    scene.path(points[:22], [(2.5, 1.4)] * 22, gas, over=("bowel",))


def paint_liver(scene: Scene, forms: Forms) -> None:
    """Liver and gallbladder."""
    liver = scene.materials.number(112.0, "liver", "liver")
    fat = scene.materials.number(-98.0, "torso_fat", "inner_fat")
    field = scene.add_field(forms.field(forms.liver))
    scene.region(field, liver, over=(*BELLY, "vessel"))
    scene.path(
        [(-14, -92, 40), (-16, -84, 10), (-20, -60, -14)], (5.0, 5.0, 7.0), fat, over=("liver",)
    )
    scene.path([(-30, -34, -30), (-40, -20, -6)], (12.0, 8.0), fat, over=("liver",))
    wall = scene.materials.number(70.0, "gallbladder", "organ")
    bile = scene.materials.number(8.0, "gallbladder", "organ")
    line = [(-40, -28, -12), (-50, -52, -30), (-58, -74, -46)]
    points, radii = smooth_path(line, (6.0, 13.0, 13.0), 5.0)
    scene.path(points, radii, wall, over=("liver", *BELLY))
    scene.path(points, [radius - 1.8 for radius in radii], bile, over=("organ",))


def paint_organs(scene: Scene, forms: Forms) -> None:
    """Spleen, kidneys, adrenals, pancreas, bladder, prostate."""
    number = scene.materials.number
    spleen = scene.add_field(forms.field(forms.spleen))
    scene.region(spleen, number(122.0, "spleen", "organ"), over=BELLY)
    fat = number(-105.0, "torso_fat", "inner_fat")
    for word, side, z in (("right", -1.0, -52.0), ("left", 1.0, -38.0)):
        middle = np.array([side * 62.0, 26.0, z])
        turn = np.radians(side * 12.0)
        axes = np.array(
            [[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]]
        )
        slant = np.radians(side * -35.0)
        about_z = np.array(
            [[np.cos(slant), -np.sin(slant), 0], [np.sin(slant), np.cos(slant), 0], [0, 0, 1]]
        )
        axes = axes @ about_z
        scene.ellipsoid(middle, (34, 32, 66), fat, axes=axes, over=("inner_fat", "muscle"))
        scene.ellipsoid(
            middle,
            (28, 25, 56),
            number(190.0, f"kidney_{word}", "organ"),
            axes=axes,
            over=("inner_fat",),
        )
        for height in (-36, -20, -4, 12, 28, 40):
            for lean in (-0.8, 0.0, 0.8):
                place = middle + axes @ np.array(
                    [9.0 * np.cos(lean) * side, 12.0 * np.sin(lean), height]
                )
                scene.ellipsoid(
                    place,
                    (7.0, 6.0, 6.0),
                    number(150.0, f"kidney_{word}", "organ"),
                    over=("organ",),
                )
        hilum = middle + axes @ np.array([-side * 14.0, 0.0, 0.0])
        scene.ellipsoid(hilum, (15, 8, 27), fat, axes=axes, over=("organ",))
        scene.ellipsoid(
            hilum,
            (9, 5, 12),
            number(20.0, f"kidney_{word}", "organ"),
            axes=axes,
            over=("inner_fat",),
        )
        gland = number(62.0, f"adrenal_gland_{word}", "organ")
        top = (side * 40, 18, z + 62)
        scene.path(
            [top, (side * 44, 26, z + 50)], [(7.0, 2.2)] * 2, gland, wide=(0, 1, 0.2), over=BELLY
        )
    pancreas = number(98.0, "pancreas", "organ")
    line = [
        (-26, -28, -44),
        (-18, -34, -30),
        (4, -36, -16),
        (30, -26, -4),
        (56, -8, 4),
        (78, 4, 10),
    ]
    points, radii = smooth_path(line, (15.0, 12.0, 8.5, 9.0, 9.0, 7.0))
    scene.path(points, radii, pancreas, over=BELLY)
    bladder = (0.0, -42.0, -292.0)
    scene.ellipsoid(bladder, (38, 30, 27), number(48.0, "urinary_bladder", "organ"), over=BELLY)
    scene.ellipsoid(
        bladder, (34.5, 26.5, 23.5), number(10.0, "urinary_bladder", "organ"), over=("organ",)
    )
    scene.ellipsoid((0, -22, -326), (22, 18, 17), number(68.0, "prostate", "organ"), over=BELLY)


def _loop(
    scene: Scene,
    label: str,
    line: Sequence[tuple[float, float, float]],
    radii: Sequence[float],
    *,
    wall_mm: float,
    content_hu: float,
    gas: tuple[float, float, float] | None,
    up: tuple[float, float, float],
    pocket: int = 9,
    haustra: float = 0.0,
    wall_hu: float = 78.0,
    over: tuple[str, ...] = BELLY,
) -> None:
    """A stretch of bowel: wall, content, and gas on top of it.

    ``gas``: share of the stretch where it begins and ends, and its level above the axis as a
    share of the radius.
    """
    points, wide = smooth_path(line, radii, 5.0)
    if haustra:
        phase = np.arange(len(wide)) * (2 * np.pi / 5.0)
        wide = [r * (1.0 + haustra * float(np.cos(p))) for r, p in zip(wide, phase, strict=True)]
    wall = scene.materials.number(wall_hu, label, "bowel")
    inside = scene.materials.number(content_hu, label, "bowel")
    air = scene.materials.number(GAS_HU, label, "bowel")
    scene.path(points, wide, wall, over=over)
    scene.path(points, [max(r - wall_mm, 1.0) for r in wide], inside, over=("bowel",))
    if gas is None:
        return
    first, last, level = gas
    count = len(points)
    heights = np.asarray(points) @ np.asarray(up)
    stretch = range(int(first * count), min(int(last * count), count - 1))
    for number in stretch:
        radius = max(min(wide[number], wide[number + 1]) - wall_mm, 1.0)
        # Fluid stands level within a pocket.
        begin = stretch.start + (number - stretch.start) // pocket * pocket
        surface = float(heights[begin : begin + pocket + 1].mean()) + level * radius
        scene.tube(
            points[number], points[number + 1], (radius, radius), air,
            over=("bowel",), above=surface,
        )  # fmt: skip


def paint_bowel(scene: Scene, up: tuple[float, float, float]) -> None:
    """Stomach, duodenum, small bowel, colon and rectum; ``up`` is against gravity."""
    line = [(62, 12, 46), (66, -8, 34), (66, -38, 10), (48, -60, -26), (14, -66, -44)]
    _loop(
        scene, "stomach", [*line, (-14, -58, -38)], (24, 30, 29, 24, 18, 11), wall_mm=4.5,
        content_hu=22.0, gas=(0.1, 0.85, 0.25), up=up, pocket=99, wall_hu=88.0,
        over=(*BELLY, "liver"),
    )  # fmt: skip
    line = [(-14, -58, -38), (-36, -48, -36), (-46, -26, -50), (-46, -18, -84), (-20, -14, -102)]
    _loop(
        scene, "duodenum", [*line, (14, -22, -98), (34, -30, -72)],
        (11, 12, 12, 12, 11, 11, 10), wall_mm=2.5, content_hu=28.0, gas=None, up=up,
    )  # fmt: skip
    rising = [(-84, -22, -212), (-90, -14, -190), (-92, -8, -156), (-90, -14, -128)]
    across = [(-80, -36, -112), (-64, -52, -110), (-38, -63, -116), (0, -66, -120), (40, -63, -104)]
    _loop(
        scene, "colon", [*rising, *across, (66, -50, -74), (84, -30, -40), (92, -4, -30)],
        (21, 24, 23, 21, 20, 18, 17, 16, 16, 16, 16, 16), wall_mm=2.6, content_hu=38.0,
        gas=(0.05, 0.97, 0.1), up=up, haustra=0.10,
    )  # fmt: skip
    falling = [(92, -4, -30), (96, 4, -70), (97, 2, -120), (95, -4, -170), (80, -18, -206)]
    sigmoid = [(58, -22, -232), (30, -10, -240), (6, 14, -250)]
    _loop(
        scene, "colon", [*falling, *sigmoid, (0, 36, -272), (0, 42, -300), (0, 34, -332)],
        (16, 15, 15, 15, 15, 14, 13, 14, 17, 17, 11), wall_mm=2.8, content_hu=42.0,
        gas=(0.05, 0.8, 0.35), up=up, haustra=0.08,
    )  # fmt: skip
    for number, loop in enumerate(_small_bowel()):
        _loop(
            scene, "small_bowel", loop, [12.5] * len(loop), wall_mm=2.4, content_hu=24.0,
            gas=(0.2, 0.45, 0.3) if number % 2 else None, up=up, haustra=0.06, wall_hu=96.0,
        )  # fmt: skip


def _small_bowel() -> list[list[tuple[float, float, float]]]:
    """Loops that wind to and fro in the middle of the belly, level by level."""
    loops = []
    for level, z in enumerate((-128.0, -156.0, -184.0, -212.0, -238.0)):
        reach = 74.0 - 8.0 * level
        line = []
        for row, y in enumerate((-66.0, -40.0, -14.0)):
            xs = np.linspace(-reach, reach, 5)
            if (row + level) % 2:
                xs = xs[::-1]
            for step, x in enumerate(xs):
                wave = 9.0 * np.sin(1.9 * step + 1.3 * row + 0.7 * level)
                line.append(
                    (float(x), float(y + 5.0 * np.cos(2.1 * step + level)), float(z + wave))
                )
        if level == 4:
            line = [point for point in line if point[1] > -60.0]
        loops.append(line)
    return loops
