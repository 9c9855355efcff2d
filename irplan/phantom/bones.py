"""The skeleton: spine, ribs with cartilage, sternum, shoulder girdle, pelvis, femora."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from irplan.geometry import FloatArray
from irplan.phantom.fields import (
    CAGE_BACK,
    CAGE_FRONT,
    CAGE_WIDE,
    CAGE_Y,
    SPINE_Y,
    Curve,
    Forms,
    smooth_max,
)
from irplan.phantom.scene import Scene

CORTEX_HU, MARROW_HU, RIB_MARROW_HU = 760.0, 190.0, 230.0
SOFT = ("fat", "muscle", "inner_fat")
#: Middle of each vertebral body and its height with the disc below, mm, from the top.
VERTEBRAE: tuple[tuple[str, float, float], ...] = tuple(
    [(f"C{7 - n}", 288.0 + 17.5 * n, 17.5) for n in range(4, -1, -1)]
    + [
        (f"T{n}", z, height)
        for n, z, height in (
            (1, 268.5, 20.5), (2, 247.5, 21.0), (3, 226.5, 21.5), (4, 204.5, 22.0),
            (5, 182.5, 22.5), (6, 159.5, 23.0), (7, 136.5, 23.5), (8, 112.5, 24.0),
            (9, 88.5, 24.5), (10, 63.5, 25.0), (11, 38.5, 25.5), (12, 13.0, 26.0),
        )
    ]
    + [(f"L{n}", 18.0 - 36.0 * n, 36.0) for n in range(1, 6)]
)  # fmt: skip


def paint_spine(scene: Scene) -> None:
    """Vertebrae with arches and processes, discs, sacrum, then the canal through all."""
    size = Curve([(-180, 25), (-20, 21), (130, 16), (270, 14), (290, 10.5), (400, 9.5)])
    number = scene.materials.number
    disc = number(92.0, "intervertebral_discs", "bone")
    path = [(0.0, SPINE_Y.at(z), z) for z in np.arange(-184.0, 400.0, 6.0)]
    radii = [(size.at(z) * 1.02, size.at(z) * 0.76) for *_, z in path]
    scene.path(path, radii, disc, over=SOFT)
    for name, z, height in VERTEBRAE:
        _vertebra(scene, f"vertebrae_{name}", z, height, size.at(z))
    _sacrum(scene)
    cord = number(34.0, "spinal_cord", "organ")
    fluid = number(14.0, "spinal_cord", "organ")
    canal = [(0.0, _canal_y(z, size), z) for z in [*np.arange(-176.0, 400.0, 8.0)]]
    scene.path(canal, [(10.5, 8.0)] * len(canal), fluid)
    upper = [point for point in canal if point[2] > -30.0]
    scene.path(upper, [(5.5, 4.2)] * len(upper), cord)


def _canal_y(z: float, size: Curve) -> float:
    thick = size.at(z) * 0.76
    return SPINE_Y.at(z) + thick + 7.0


def _vertebra(scene: Scene, label: str, z: float, height: float, wide: float) -> None:
    cortex = scene.materials.number(CORTEX_HU, label, "bone")
    marrow = scene.materials.number(MARROW_HU, label, "bone")
    y, deep = SPINE_Y.at(z), wide * 0.78
    slope = (SPINE_Y.at(z + 8.0) - SPINE_Y.at(z - 8.0)) / 16.0
    up = np.array([0.0, slope, 1.0]) / np.hypot(slope, 1.0)
    middle = np.array([0.0, y, z])
    half = height / 2.0 - (1.5 if label[-2] == "C" else 2.6)
    canal = middle + np.array([0.0, deep + 7.0, 0.0])
    neck, lumbar = "_C" in label, "_L" in label
    spike = 15.0 if neck else 20.0
    if lumbar:
        spike = 19.0
    drop = 4.0 if neck or lumbar else 20.0
    wing = 11.0 if neck else (25.0 if lumbar else 20.0)
    back = canal + np.array([0.0, 9.0, -4.0])
    tall = height * (0.30 if not lumbar else 0.36)
    # Arch: a ring round the canal, then processes; the canal itself is painted last of all.
    scene.tube(
        canal - up * tall, canal + up * tall * 0.9, (15.5, 12.5), cortex, flat=True, over=SOFT
    )
    for side in (-1.0, 1.0):
        root = canal + np.array([side * 12.0, -1.0, 2.0])
        tip = canal + np.array(
            [side * (12.0 + wing), 2.0 if lumbar else (-4.0 if neck else 8.0), 3.0]
        )
        scene.tube(root, tip, (5.0, 3.4), cortex, end_radii=(4.0, 3.0), wide=(0, 0, 1), over=SOFT)
        facet = canal + np.array([side * 14.0, 5.0, 0.0])
        scene.tube(
            facet - up * (height * 0.5), facet + up * (height * 0.5), (5.5, 5.5), cortex, over=SOFT
        )
        scene.tube(
            facet - up * (height * 0.42),
            facet + up * (height * 0.42),
            (3.6, 3.6),
            marrow,
            over=("bone",),
        )
        pedicle = middle + np.array([side * wide * 0.72, deep * 0.8, 3.0])
        scene.tube(
            pedicle,
            canal + np.array([side * 13.0, 0.0, 2.0]),
            (6.0, 4.4),
            cortex,
            wide=(0, 0, 1),
            over=(*SOFT, "bone"),
        )
    tip = back + np.array([0.0, spike, -drop])
    scene.tube(
        back,
        tip,
        (8.5 if lumbar else 5.5, 3.2),
        cortex,
        end_radii=(10.0 if lumbar else 5.0, 3.4),
        wide=(0, 0, 1),
        over=SOFT,
    )
    scene.tube(
        back,
        tip,
        (6.8 if lumbar else 4.2, 1.7),
        marrow,
        end_radii=(8.5 if lumbar else 3.6, 1.9),
        wide=(0, 0, 1),
        over=("bone",),
    )
    anything = (*SOFT, "bone")
    scene.tube(
        middle - up * half, middle + up * half, (wide, deep), cortex, flat=True, over=anything
    )
    inner = half - 1.3
    scene.tube(
        middle - up * inner,
        middle + up * inner,
        (wide - 1.4, deep - 1.4),
        marrow,
        flat=True,
        over=("bone",),
    )


def _sacrum(scene: Scene) -> None:
    cortex = scene.materials.number(CORTEX_HU * 0.8, "sacrum", "bone")
    marrow = scene.materials.number(MARROW_HU * 0.75, "sacrum", "bone")
    points = [
        (0, 40, -186),
        (0, 58, -212),
        (0, 74, -240),
        (0, 82, -268),
        (0, 80, -296),
        (0, 70, -318),
    ]
    shape = [(46.0, 18.0), (57.0, 17.0), (50.0, 13.0), (31.0, 9.0), (15.0, 6.0), (6.0, 4.0)]
    wide = (1.0, 0.0, 0.0)
    scene.path(points, shape, cortex, wide=wide, over=(*SOFT, "bone"))
    scene.path(points, [(a - 1.8, b - 1.8) for a, b in shape], marrow, wide=wide, over=("bone",))
    for side in (-1.0, 1.0):
        hole = scene.materials.number(-20.0, "torso_fat", "inner_fat")
        for z, y in ((-205.0, 52.0), (-228.0, 66.0), (-250.0, 77.0)):
            scene.tube(
                (side * 21.0, y - 22, z),
                (side * 21.0, y + 22, z - 4),
                (4.0, 4.0),
                hole,
                over=("bone",),
            )


def rib_points(number: int, side: float, inset_mm: float = 5.0) -> FloatArray:
    """The middle line of a rib from its head forwards, (n, 3) LPS mm."""
    z_head = {name: z for name, z, _ in VERTEBRAE}[f"T{number}"] + 7.0
    reach = (2.2, 2.55, 2.62, 2.62, 2.6, 2.55, 2.5, 2.4, 2.3, 2.15, 1.75, 1.3)[number - 1]
    drop = (28, 48, 62, 72, 80, 86, 92, 96, 98, 96, 70, 40)[number - 1]
    angles = np.linspace(0.30, reach, 34)
    share = (angles - 0.30) / (2.62 - 0.30)
    z = z_head - drop * (0.12 * share + 0.88 * np.sin(np.clip(share, 0, 1) * np.pi / 2) ** 1.7)
    wide = CAGE_WIDE(z) - inset_mm
    deep = np.where(np.cos(angles) > 0, CAGE_BACK(z), CAGE_FRONT(z)) - inset_mm
    power = 2.0 / 2.2
    x = wide * np.abs(np.sin(angles)) ** power
    y = CAGE_Y(z) + deep * np.sign(np.cos(angles)) * np.abs(np.cos(angles)) ** power
    points = np.stack([side * x, y, z], axis=-1)
    head = np.array([side * 19.0, SPINE_Y.at(z_head) + 10.0, z_head])
    keep = np.abs(points[:, 0]) > 33.0
    return np.concatenate([[head], points[keep]])


def paint_ribs(scene: Scene) -> None:
    """Twelve pairs, their cartilage and the sternum."""
    gristle = scene.materials.number(105.0, "costal_cartilages", "bone")
    for word, side in (("left", 1.0), ("right", -1.0)):
        for number in range(1, 13):
            cortex = scene.materials.number(CORTEX_HU * 0.85, f"rib_{word}_{number}", "bone")
            marrow = scene.materials.number(RIB_MARROW_HU, f"rib_{word}_{number}", "bone")
            points = rib_points(number, side)
            tall = 6.2 if 2 < number < 11 else 5.2
            for (thick, high), material, over in (
                ((3.6, tall), cortex, (*SOFT, "bone")),
                ((2.3, tall - 1.3), marrow, ("bone",)),
            ):
                for first, second in pairwise(points):
                    outward = np.array([(first + second)[0], (first + second)[1] - 12.0, 0.0])
                    scene.tube(first, second, (thick, high), material, wide=outward, over=over)
            if number <= 10:
                _cartilage(scene, gristle, points[-1], number, side)
    _sternum(scene)


def _cartilage(scene: Scene, material: int, end: FloatArray, number: int, side: float) -> None:
    joint_z = (226, 206, 184, 162, 141, 122, 106, 88, 72, 58)[number - 1]
    x = 20.0 if number <= 7 else (30.0, 45.0, 60.0)[number - 8]
    joint = np.array([side * x, _front_y(joint_z, x) + 5.0, joint_z])
    if number > 7:
        joint[2] = end[2] + (joint_z - end[2]) * 0.6
        joint[1] = _front_y(float(joint[2]), x) + 5.0
    middle = (end + joint) / 2.0
    middle[1] = _front_y(float(middle[2]), abs(float(middle[0]))) + 5.0
    middle[2] -= 3.0 if number < 5 else 6.0
    scene.path([end, middle, joint], [(4.0, 5.6)] * 3, material, wide=(0, 1, 0), over=SOFT)


def _front_y(z: float, x: float) -> float:
    wide = CAGE_WIDE.at(z)
    share = max(1.0 - (abs(x) / wide) ** 2.2, 0.0) ** (1 / 2.2)
    return float(CAGE_Y.at(z) - CAGE_FRONT.at(z) * share)


def _sternum(scene: Scene) -> None:
    cortex = scene.materials.number(CORTEX_HU * 0.7, "sternum", "bone")
    marrow = scene.materials.number(150.0, "sternum", "bone")
    heights = [236.0, 222.0, 206.0, 190.0, 160.0, 130.0, 104.0, 90.0]
    halves = [24.0, 26.0, 21.0, 15.0, 16.0, 19.0, 15.0, 7.0]
    points = [(0.0, _front_y(z, 0.0) + 4.0, z) for z in heights]
    scene.path(points, [(w, 6.5) for w in halves], cortex, over=(*SOFT, "bone"))
    scene.path(points, [(w - 1.4, 5.0) for w in halves], marrow, over=("bone",))


def paint_shoulders(scene: Scene, forms: Forms) -> None:
    """Clavicles, scapulae and humeri of raised arms."""
    plate = np.abs(forms.cage - 13.0) - 2.6
    slope = np.clip((forms.z - 112.0) / 120.0, 0.0, 1.0)
    inner = (78.0 - 6.0 * slope) - np.abs(forms.x)
    outer = np.abs(forms.x) - (92.0 + 44.0 * slope)
    blade = smooth_max(smooth_max(plate, inner, 3.0), outer, 3.0)
    blade = np.maximum(np.maximum(blade, 112.0 - forms.z), forms.z - 236.0)
    blade = np.maximum(blade, 10.0 - forms.y)
    for word, side in (("left", 1.0), ("right", -1.0)):
        number = scene.add_field(forms.field(np.maximum(blade, -side * forms.x)))
        cortex = scene.materials.number(CORTEX_HU * 0.8, f"scapula_{word}", "bone")
        marrow = scene.materials.number(MARROW_HU, f"scapula_{word}", "bone")
        scene.region(number, cortex, over=SOFT)
        spine = [
            (side * 78, 88, 212),
            (side * 112, 74, 236),
            (side * 142, 48, 258),
            (side * 152, 24, 266),
        ]
        border = [
            (side * 92, 84, 116),
            (side * 112, 68, 160),
            (side * 130, 44, 214),
            (side * 134, 30, 240),
        ]
        for points, radii in ((spine, (4.5, 5.5, 7.0, 6.0)), (border, (4.5, 4.5, 6.5, 10.0))):
            scene.path(points, radii, cortex, over=(*SOFT, "bone"))
            scene.path(points, [radius - 1.7 for radius in radii], marrow, over=("bone",))
        cortex = scene.materials.number(CORTEX_HU, f"clavicula_{word}", "bone")
        marrow = scene.materials.number(MARROW_HU, f"clavicula_{word}", "bone")
        points = [
            (side * 21, -33, 240),
            (side * 50, -36, 248),
            (side * 86, -22, 258),
            (side * 116, -2, 264),
            (side * 146, 12, 266),
        ]
        scene.path(points, (9.0, 6.5, 5.5, 6.0, 7.0), cortex, over=(*SOFT, "bone"))
        scene.path(points, (7.5, 4.5, 3.4, 4.2, 5.6), marrow, over=("bone",))
        cortex = scene.materials.number(CORTEX_HU * 1.2, f"humerus_{word}", "bone")
        marrow = scene.materials.number(-10.0, f"humerus_{word}", "bone")
        spongy = scene.materials.number(MARROW_HU, f"humerus_{word}", "bone")
        shaft = [(side * 156, 20, 256), (side * 163, 15, 300), (side * 172, 6, 400)]
        scene.path(shaft, (17.0, 12.0, 11.0), cortex, over=(*SOFT, "bone"))
        scene.ellipsoid((side * 154, 21, 254), (22, 22, 22), cortex, over=(*SOFT, "bone"))
        scene.path(shaft, (12.0, 6.5, 6.0), marrow, over=("bone",))
        scene.ellipsoid((side * 154, 21, 254), (20.4, 20.4, 20.4), spongy, over=("bone",))


def paint_pelvis(scene: Scene, forms: Forms) -> None:
    """Hip bones as bowls with acetabulum, pubis and ischium; femoral heads and shafts."""
    wide = Curve([(-330, 74), (-290, 86), (-250, 101), (-215, 119), (-180, 134), (-150, 142)])
    deep = Curve([(-330, 60), (-290, 66), (-250, 74), (-215, 80), (-180, 84), (-150, 86)])
    y = forms.y - 6.0
    round_ = np.sqrt((forms.x / wide(forms.z)) ** 2 + (y / deep(forms.z)) ** 2)
    shell = (round_ - 1.0) * 95.0
    angle = np.asarray(np.degrees(np.arctan2(np.abs(forms.x), y)))
    crest: FloatArray = -168.0 - 62.0 * ((angle - 78.0) / 48.0) ** 2
    thick = 5.5 + 3.0 * np.clip((-190.0 - forms.z) / 60.0, 0.0, 1.0)
    wing = smooth_max(np.abs(shell) - thick, (forms.z - crest) * 0.6, 5.0)
    wing = smooth_max(wing, (34.0 - angle) * 1.2, 5.0)
    wing = smooth_max(wing, (angle - 118.0) * 1.2, 5.0)
    wing = smooth_max(
        wing, np.asarray(-282.0 + 34.0 * np.clip((80.0 - angle) / 40.0, 0.0, 1.0) - forms.z), 5.0
    )
    for word, side in (("left", 1.0), ("right", -1.0)):
        number = scene.add_field(forms.field(np.maximum(wing, -side * forms.x)))
        cortex = scene.materials.number(CORTEX_HU, f"hip_{word}", "bone")
        marrow = scene.materials.number(MARROW_HU, f"hip_{word}", "bone")
        scene.region(number, cortex, over=(*SOFT,))
        joint = (side * 90.0, 4.0, -290.0)
        scene.ellipsoid(joint, (35, 35, 35), cortex, over=(*SOFT, "bone"))
        rami = (
            [(side * 70, -14, -292), (side * 40, -50, -306), (side * 12, -66, -322)],
            [(side * 12, -66, -324), (side * 26, -46, -346), (side * 48, 2, -372)],
            [(side * 82, 22, -306), (side * 68, 34, -340), (side * 56, 30, -374)],
            [(side * 92, 20, -262), (side * 78, 44, -240), (side * 56, 64, -222)],
        )
        sizes = ((12.0, 8.0, 11.0), (10.0, 7.0, 8.0), (15.0, 15.0, 16.0), (12.0, 10.0, 9.0))
        for points, radii in zip(rami, sizes, strict=True):
            scene.path(points, radii, cortex, over=(*SOFT, "bone"))
        scene.region(number, marrow, below=-2.0, over=("bone",))
        scene.ellipsoid(joint, (32.5, 32.5, 32.5), marrow, over=("bone",))
        for points, radii in zip(rami, sizes, strict=True):
            scene.path(points, [radius - 2.2 for radius in radii], marrow, over=("bone",))
        gap = scene.materials.number(60.0, "skeletal_muscle", "muscle")
        scene.ellipsoid(joint, (27.5, 27.5, 27.5), gap, over=("bone", "muscle", "fat"))
        notch = (side * 118.0, 2.0, -302.0)
        scene.tube(joint, notch, (20.0, 20.0), gap, over=("bone",))
        cortex = scene.materials.number(CORTEX_HU, f"femur_{word}", "bone")
        marrow = scene.materials.number(MARROW_HU, f"femur_{word}", "bone")
        neck = [
            joint,
            (side * 112, 4, -304),
            (side * 134, 12, -318),
            (side * 136, 14, -350),
            (side * 132, 8, -420),
        ]
        everything = (*SOFT, "bone")
        scene.path(neck, (17.0, 15.0, 20.0, 17.0, 15.0), cortex, over=everything)
        scene.ellipsoid(joint, (24, 24, 24), cortex, over=everything)
        scene.path(neck, (15.0, 13.0, 18.0, 12.5, 8.5), marrow, over=("bone",))
        scene.ellipsoid(joint, (22.4, 22.4, 22.4), marrow, over=("bone",))
