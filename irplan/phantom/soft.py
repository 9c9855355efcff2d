"""Skin, fat, muscles and the cavities, and the table under the patient."""

from __future__ import annotations

import numpy as np

from irplan.phantom.fields import SPINE_Y, Curve, Forms
from irplan.phantom.scene import Scene

MUSCLE_HU, FAT_HU = 62.0, -106.0


def paint_table(scene: Scene, up: tuple[float, float, float]) -> None:
    """A carbon table of the scanner: a thin shell round foam, below the patient."""
    shell = scene.materials.number(-380.0, "table", "table")
    foam = scene.materials.number(-935.0, "table", "table")
    down = -np.asarray(up)
    across = (1.0, 0.0, 0.0) if abs(down[0]) < 0.5 else (0.0, 1.0, 0.0)
    # Far enough for the widest part of the patient along gravity.
    reach = 148.0 if abs(down[0]) < 0.5 else 204.0
    if down[1] < -0.5:
        reach = 136.0
    middle = down * reach
    ends = (middle + np.array([0, 0, -1000.0]), middle + np.array([0, 0, 1000.0]))
    for radii, material in (((215.0, 17.0), shell), ((213.0, 15.0), foam)):
        scene.tube(*ends, radii, material, wide=across, flat=True, over=("outside", "table"))


def paint_soft(scene: Scene, forms: Forms) -> None:
    """Skin, subcutaneous fat, muscle with fat planes, and the fat of chest and belly."""
    number = scene.materials.number
    body = scene.add_field(forms.field(forms.body))
    scene.region(body, number(38.0, "skin", "skin"), over=("outside", "table"))
    scene.region(body, number(FAT_HU, "subcutaneous_fat", "fat"), below=-2.0)
    muscle = scene.add_field(forms.field(forms.muscle))
    plain = number(MUSCLE_HU, "skeletal_muscle", "muscle")
    scene.region(muscle, plain)
    _fat_planes(scene, forms)
    inner = number(-98.0, "torso_fat", "inner_fat")
    scene.region(scene.add_field(forms.field(forms.belly)), inner, over=("muscle", "fat"))
    scene.region(scene.add_field(forms.field(forms.thorax)), inner, over=("muscle", "fat"))
    _back_muscles(scene)
    _hip_muscles(scene)


def _fat_planes(scene: Scene, forms: Forms) -> None:
    """Thin fat between the layers of the chest and belly wall, and the fat of the axilla."""
    fat = scene.materials.number(-90.0, "subcutaneous_fat", "fat")
    # Between the chest wall and the muscles of the shoulder girdle, where those lie.
    broken = np.sin(forms.z / 23.0 + forms.x / 31.0) + np.sin(forms.y / 19.0 - forms.z / 37.0)
    covered = (forms.z > 60.0) & (forms.z < 236.0) & (np.abs(forms.x) > 26.0) & (broken > -0.5)
    planes = scene.add_field(forms.field(np.where(covered, forms.cage, 60.0)))
    scene.region(planes, fat, above=7.2, below=8.4, over=("muscle",))
    front = (forms.z > 130.0) & (forms.z < 228.0) & (forms.y < -20.0) & (np.abs(forms.x) > 34.0)
    pectoral = scene.add_field(forms.field(np.where(front, forms.muscle, 60.0)))
    scene.region(pectoral, fat, above=-14.0, below=-12.6, over=("muscle",))
    back = (forms.z > 30.0) & (forms.z < 240.0) & (forms.y > 14.0) & (np.abs(forms.x) > 22.0)
    dorsal = scene.add_field(forms.field(np.where(back, forms.muscle, 60.0)))
    scene.region(dorsal, fat, above=-8.6, below=-7.4, over=("muscle",))
    layers = scene.add_field(
        forms.field(np.where((forms.z < -20.0) & (forms.z > -205.0), forms.muscle, 60.0))
    )
    scene.region(layers, fat, above=-8.2, below=-7.0, over=("muscle",))
    scene.region(layers, fat, above=-4.6, below=-3.8, over=("muscle",))
    for side in (-1.0, 1.0):
        line = [
            (side * 116, -6, 236),
            (side * 134, 4, 214),
            (side * 142, 6, 186),
            (side * 143, 6, 160),
        ]
        scene.path(
            line, [(16.0, 13.0), (20.0, 17.0), (17.0, 17.0), (7.0, 11.0)], fat, over=("muscle",)
        )
        groin = [(side * 62, -62, -276), (side * 60, -72, -306), (side * 60, -72, -345)]
        scene.path(groin, [(26.0, 14.0), (28.0, 18.0), (22.0, 15.0)], fat, over=("muscle",))


def _back_muscles(scene: Scene) -> None:
    """Erector spinae and psoas, each in its fat sheath."""
    fat = scene.materials.number(-90.0, "torso_fat", "inner_fat")
    wide = Curve([(-230, 16), (-170, 24), (-90, 30), (0, 27), (120, 20), (250, 17), (330, 15)])
    deep = Curve([(-230, 9), (-170, 15), (-90, 18), (0, 16), (120, 12), (250, 12), (330, 13)])
    for word, side in (("left", 1.0), ("right", -1.0)):
        muscle = scene.materials.number(MUSCLE_HU - 4.0, f"autochthon_{word}", "muscle")
        heights = np.arange(-236.0, 372.0, 12.0)
        points, radii = [], []
        for z in heights:
            w, d = wide.at(z), deep.at(z)
            points.append(
                (
                    side * (w + 7.0),
                    SPINE_Y.at(max(z, -180.0))
                    + 44.0
                    - 10.0 * (z > 280)
                    + 0.28 * max(-180.0 - z, 0.0),
                    z,
                )
            )
            radii.append((w, d))
        scene.path(
            points, [(w + 1.4, d + 1.4) for w, d in radii], fat, over=("muscle", "inner_fat")
        )
        scene.path(points, radii, muscle, over=("muscle", "inner_fat"))
        psoas = scene.materials.number(MUSCLE_HU + 2.0, f"iliopsoas_{word}", "muscle")
        line = [
            (side * 26, 30, -10),
            (side * 34, 28, -60),
            (side * 42, 26, -120),
            (side * 54, 18, -170),
            (side * 72, -4, -220),
            (side * 84, -32, -268),
            (side * 90, -36, -300),
            (side * 112, -8, -340),
        ]
        sizes = [(6, 8), (14, 16), (20, 22), (22, 23), (21, 20), (19, 17), (17, 15), (9, 9)]
        scene.path(line, [(w + 1.4, d + 1.4) for w, d in sizes], fat, over=("muscle", "inner_fat"))
        scene.path(line, sizes, psoas, over=("muscle", "inner_fat"))


def _hip_muscles(scene: Scene) -> None:
    """Gluteal muscles and the long muscles of thigh, neck and chest, told apart by fat."""
    fat = scene.materials.number(-90.0, "torso_fat", "fat")
    for word, side in (("left", 1.0), ("right", -1.0)):
        large = scene.materials.number(MUSCLE_HU - 3.0, f"gluteus_maximus_{word}", "muscle")
        middle = scene.materials.number(MUSCLE_HU, f"gluteus_medius_{word}", "muscle")
        for centre, sizes, material in (
            ((side * 78, 78, -262), (60, 24, 76), large),
            ((side * 120, 22, -222), (26, 48, 56), middle),
        ):
            slant = np.radians(side * -28.0) if material == large else 0.0
            axes = np.array(
                [[np.cos(slant), -np.sin(slant), 0], [np.sin(slant), np.cos(slant), 0], [0, 0, 1]]
            )
            scene.ellipsoid(centre, tuple(s + 1.6 for s in sizes), fat, axes=axes, over=("muscle",))
            scene.ellipsoid(centre, sizes, material, axes=axes, over=("muscle", "fat"))
        strap = scene.materials.number(MUSCLE_HU, "skeletal_muscle", "muscle")
        line = [
            (side * 20, -38, 246),
            (side * 38, -28, 285),
            (side * 50, -2, 330),
            (side * 54, 22, 380),
        ]
        for grow, material in ((1.3, fat), (0.0, strap)):
            scene.path(
                line,
                [
                    (9 + grow, 6 + grow),
                    (11 + grow, 7 + grow),
                    (8 + grow, 12 + grow),
                    (8 + grow, 13 + grow),
                ],
                material,
                over=("muscle", "fat", "inner_fat"),
            )
        thigh = [(side * 118, -40, -250), (side * 112, -58, -300), (side * 108, -62, -400)]
        for grow, material in ((1.3, fat), (0.0, strap)):
            scene.path(
                thigh,
                [(15 + grow, 13 + grow), (20 + grow, 15 + grow), (22 + grow, 18 + grow)],
                material,
                over=("muscle",),
            )
