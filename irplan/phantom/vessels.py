"""Heart, great vessels, and the trees of lung and liver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from irplan.geometry import FloatArray
from irplan.phantom.scene import Scene

ARTERY_HU, VEIN_HU, PORTAL_HU, PLAIN_HU = 172.0, 158.0, 165.0, 44.0
BODY = ("muscle", "inner_fat", "fat", "organ", "airway", "lung", "vessel")
Path = Sequence[tuple[float, float, float]]


class Vessels:
    """Paints vessels with or without contrast medium."""

    def __init__(self, scene: Scene, contrast: bool, seed: int) -> None:
        self._scene = scene
        self._contrast = contrast
        self._seed = seed

    def _blood(self, hu: float, label: str, group: str = "vessel") -> int:
        return self._scene.materials.number(hu if self._contrast else PLAIN_HU, label, group)

    def _artery(self, label: str, points: Path, radii: Sequence[float], **options: object) -> None:
        self._run(self._blood(ARTERY_HU, label), points, radii, options)

    def _vein(self, label: str, points: Path, radii: Sequence[float], **options: object) -> None:
        self._run(self._blood(VEIN_HU, label), points, radii, options)

    def _run(
        self, material: int, points: Path, radii: Sequence[float], options: Mapping[str, object]
    ) -> None:
        fine, wide = smooth_path(points, radii)
        self._scene.path(fine, wide, material, **{"over": BODY, **options})

    def paint_heart(self) -> None:
        """Pericardial fat, muscle and the four chambers."""
        scene = self._scene
        long = np.array([0.66, -0.50, -0.56])
        long /= np.linalg.norm(long)
        wide = np.cross(long, [0.0, 0.3, 1.0])
        wide /= np.linalg.norm(wide)
        axes = np.stack([long, wide, np.cross(long, wide)], axis=1)
        middle = np.array([14.0, -34.0, 108.0])
        chest = ("lung", "inner_fat", "heart", "muscle")
        fat = scene.materials.number(-95.0, "torso_fat", "inner_fat")
        wall = scene.materials.number(105.0 if self._contrast else 48.0, "heart", "heart")
        scene.ellipsoid(middle, (69.0, 51.0, 49.0), fat, axes=axes, over=chest)
        scene.ellipsoid(middle, (64.0, 46.5, 44.5), wall, axes=axes, over=chest)
        arterial = self._blood(ARTERY_HU, "heart", "heart")
        venous = self._blood(VEIN_HU, "heart", "heart")
        inside = ("heart",)
        left = middle + 10.0 * long + 15.0 * np.array([0.6, 0.7, 0.25])
        scene.ellipsoid(left, (34.0, 16.0, 17.0), arterial, axes=axes, over=inside)
        right = middle + 6.0 * long + 19.0 * np.array([-0.55, -0.75, -0.1])
        scene.ellipsoid(right, (34.0, 11.0, 18.0), venous, axes=axes, over=inside)
        scene.ellipsoid(middle + np.array([-4, 34, 16]), (27.0, 15.0, 20.0), arterial, over=chest)
        scene.ellipsoid(middle + np.array([-38, 2, 6]), (19.0, 22.0, 27.0), venous, over=chest)

    def paint_trunk(self) -> None:
        """Aorta, venae cavae, pulmonary trunk and the vessels of neck and shoulders."""
        artery, vein = self._artery, self._vein
        chest = {"over": (*BODY, "heart")}
        vein(
            "superior_vena_cava", [(-27, -30, 120), (-29, -22, 160), (-27, -16, 205)], (10, 9.5, 9)
        )
        artery(
            "pulmonary_artery",
            [(14, -58, 128), (17, -44, 152), (14, -24, 162), (-10, -4, 158), (-38, 4, 150)],
            (13, 13.5, 13, 10.5, 9),
            **chest,
        )
        artery("pulmonary_artery", [(16, -34, 160), (28, -4, 166), (40, 12, 156)], (11, 10.5, 9))
        for end in ((-44, 10, 132), (42, 14, 134), (-44, 0, 116), (44, 8, 116)):
            start = (np.sign(end[0]) * 14.0, 4.0, end[2] - 4.0)
            vein("pulmonary_vein", [start, end], (7.5, 6.5), **chest)
        artery(
            "aorta",
            [
                (4, -38, 122),
                (-10, -42, 150),
                (-14, -36, 178),
                (-5, -20, 200),
                (8, 0, 207),
                (20, 20, 198),
                (24, 30, 178),
                (22, 30, 130),
                (17, 24, 80),
                (10, 12, 40),
                (8, 3, 0),
                (8, -4, -50),
                (7, -7, -90),
                (4, -6, -120),
            ],
            (15, 15.5, 15, 14, 13.5, 13, 12.5, 12, 11.5, 11, 10.5, 9.5, 9, 9),
            **chest,
        )
        vein(
            "inferior_vena_cava",
            [
                (-22, -14, 92),
                (-24, -6, 72),
                (-26, 2, 40),
                (-24, 2, 0),
                (-20, -2, -60),
                (-16, 0, -110),
                (-12, 2, -132),
            ],
            (13, 13, 12, 11.5, 11, 10.5, 10),
            over=(*BODY, "liver", "heart"),
        )
        artery(
            "brachiocephalic_trunk",
            [(-6, -22, 204), (-18, -12, 232), (-24, -6, 246)],
            (6.5, 6.2, 6),
        )
        for word, side in (("right", -1.0), ("left", 1.0)):
            root = (-24, -6, 246) if side < 0 else (6, -4, 208)
            artery(
                f"common_carotid_artery_{word}",
                [
                    root,
                    (side * 25, -10, 262),
                    (side * 27, -8, 300),
                    (side * 30, -2, 340),
                    (side * 32, 4, 400),
                ],
                (4.4, 3.9, 3.7, 3.9, 3.2),
            )
            start = (-24, -6, 246) if side < 0 else (12, 6, 210)
            artery(
                f"subclavian_artery_{word}",
                [start, (side * 40, 2, 262), (side * 70, -6, 262), (side * 96, -10, 250)],
                (5.2, 4.8, 4.5, 4.2),
            )
            vein(
                f"brachiocephalic_vein_{word}",
                [
                    (-26, -20, 206),
                    (side * 12, -30, 226) if side > 0 else (-28, -22, 222),
                    (side * 32, -22, 248),
                ],
                (8.0, 7.5, 7.5),
            )
            vein(
                f"internal_jugular_vein_{word}",
                [
                    (side * 32, -22, 248),
                    (side * 37, -16, 280),
                    (side * 39, -6, 320),
                    (side * 38, 6, 400),
                ],
                (6.8, 6.2, 5.8, 5.0),
            )
            line = [
                (side * 96, -10, 250),
                (side * 122, -8, 240),
                (side * 146, 4, 258),
                (side * 152, -2, 330),
                (side * 158, -10, 400),
            ]
            artery(f"axillary_vessels_{word}", line, (4.2, 3.8, 3.4, 2.8, 2.6))
            line = [
                (side * 32, -22, 248),
                (side * 66, -18, 252),
                (side * 98, -20, 244),
                (side * 124, -18, 234),
                (side * 149, -8, 254),
                (side * 150, -12, 330),
                (side * 156, -20, 400),
            ]
            vein(f"axillary_vessels_{word}", line, (7.0, 6.0, 5.4, 4.8, 4.2, 3.4, 3.0))

    def paint_belly(self) -> None:
        """Renal, mesenteric and portal vessels, iliac and femoral vessels."""
        artery, vein = self._artery, self._vein
        artery(
            "celiac_and_mesenteric_vessels",
            [(8, -8, 2), (8, -26, 4), (28, -34, 8), (58, -6, 18), (76, 12, 14)],
            (4, 3.6, 3.0, 2.6, 2.4),
        )
        artery(
            "celiac_and_mesenteric_vessels",
            [(8, -26, 4), (-14, -30, 6), (-28, -20, 2)],
            (3.4, 2.8, 2.4),
        )
        artery(
            "celiac_and_mesenteric_vessels",
            [(8, -12, -16), (6, -26, -34), (2, -34, -80), (-8, -32, -140)],
            (4.0, 3.8, 3.2, 2.4),
        )
        vein(
            "celiac_and_mesenteric_vessels",
            [(-6, -26, -32), (-6, -36, -80), (-16, -34, -140)],
            (5.6, 5.0, 3.4),
        )
        portal = self._blood(PORTAL_HU, "portal_vein_and_splenic_vein")
        self._run(
            portal,
            [(78, 14, 4), (50, 0, 0), (20, -20, -14), (-6, -26, -30)],
            (4.2, 4.6, 5.2, 6.5),
            {},
        )
        self._run(
            portal,
            [(-6, -26, -30), (-22, -24, -10), (-38, -18, 6)],
            (7.4, 7.2, 6.8),
            {"over": (*BODY, "liver")},
        )
        for word, side in (("right", -1.0), ("left", 1.0)):
            depth = -38.0 if side < 0 else -28.0
            artery(
                f"renal_vessels_{word}",
                [(8, -2, depth + 6), (side * 30, 14, depth), (side * 50, 20, depth - 4)],
                (3.4, 3.0, 2.6),
            )
            start = (-20, 0, depth) if side < 0 else (-18, -14, depth + 2)
            path = [start, (side * 28, 8, depth - 4), (side * 50, 18, depth - 8)]
            if side > 0:
                path = [start, (8, -17, depth + 2), (28, 4, depth - 2), (50, 18, depth - 6)]
            vein(f"renal_vessels_{word}", path, (5.5, 5.2, 4.6, 4.2)[: len(path)])
            artery(
                f"iliac_artery_{word}",
                [
                    (4 + side * 2, -6, -118),
                    (side * 26, 2, -156),
                    (side * 44, 0, -200),
                    (side * 58, -26, -250),
                    (side * 60, -52, -286),
                ],
                (6.0, 5.4, 4.8, 4.6, 4.5),
            )
            artery(
                f"iliac_artery_{word}",
                [(side * 40, 2, -190), (side * 44, 30, -225), (side * 46, 48, -250)],
                (3.6, 3.0, 2.4),
            )
            artery(
                f"femoral_artery_{word}",
                [(side * 60, -52, -286), (side * 58, -66, -316), (side * 60, -58, -420)],
                (4.6, 4.6, 4.2),
            )
            vein(
                f"iliac_vena_{word}",
                [
                    (-12, 4, -128),
                    (side * 22 - 4, 14, -160),
                    (side * 42, 12, -202),
                    (side * 50, -14, -250),
                    (side * 47, -46, -288),
                ],
                (8.0, 7.2, 6.6, 6.2, 6.0),
            )
            vein(
                f"femoral_vein_{word}",
                [(side * 47, -46, -288), (side * 45, -60, -316), (side * 48, -50, -420)],
                (6.0, 6.0, 5.4),
            )

    def paint_liver(self) -> None:
        """Portal branches and the three hepatic veins, inside the liver alone."""
        over = {"over": ("liver",)}
        portal = self._blood(PORTAL_HU, "liver_vessels")
        veins = self._blood(VEIN_HU, "liver_vessels")
        right = [(-38, -18, 6), (-62, -10, 14), (-84, -2, 22)]
        left = [(-38, -18, 6), (-22, -38, 26), (2, -50, 32), (26, -52, 34)]
        self._run(portal, right, (6.6, 5.6, 4.4), over)
        self._run(portal, left, (5.6, 4.6, 3.6, 2.6), over)
        generator = np.random.default_rng(self._seed + 7)
        for start, along, radius in (
            ((-84, -2, 22), (-0.8, 0.35, 0.45), 3.6), ((-80, -4, 20), (-0.7, 0.1, -0.75), 3.6),
            ((-66, -9, 15), (-0.5, -0.7, 0.45), 3.4), ((-62, -10, 13), (-0.5, -0.6, -0.65), 3.2),
            ((-20, -40, 27), (0.1, -0.6, 0.7), 2.6), ((4, -50, 32), (0.4, -0.6, -0.4), 2.2),
            ((22, -52, 34), (0.8, 0.1, 0.3), 2.2),
        ):  # fmt: skip
            self._tree(
                portal,
                np.array(start, float),
                np.array(along),
                radius,
                15.0,
                4,
                generator,
                0.9,
                ("liver",),
            )
        for points, radii in (
            ([(-26, 0, 62), (-60, 14, 52), (-92, 24, 34), (-108, 22, 8)], (6.5, 5.4, 4.0, 2.6)),
            ([(-25, -8, 64), (-42, -36, 52), (-58, -58, 32), (-70, -66, 4)], (6.0, 5.0, 3.8, 2.4)),
            ([(-22, -10, 64), (-6, -32, 54), (12, -44, 46), (30, -46, 42)], (5.4, 4.2, 3.0, 2.0)),
        ):
            self._run(veins, points, radii, over)
            for at in (1, 2):
                for turn in ((-0.3, 0.5, -0.7), (0.4, -0.4, -0.7), (-0.6, -0.5, 0.3)):
                    self._tree(
                        veins,
                        np.array(points[at], float),
                        np.array(turn),
                        radii[at] * 0.55,
                        15.0,
                        3,
                        generator,
                        0.9,
                        ("liver",),
                    )

    def paint_lungs(self) -> None:
        """Arteries and veins fanning out from both hila to a few millimetres from the pleura."""
        generator = np.random.default_rng(self._seed)
        vessel = self._blood(ARTERY_HU - 10.0, "lung_vessels")
        for side in (-1.0, 1.0):
            hilum = np.array([side * 42.0, 8.0, 146.0])
            trunks = (
                (0.45, -0.45, 0.9), (0.7, 0.25, 0.8), (0.9, -0.35, 0.25), (0.9, 0.4, 0.15),
                (0.65, 0.55, -0.65), (0.6, -0.3, -0.9), (0.8, 0.15, -0.75), (0.3, 0.75, -0.8),
                (0.35, 0.6, 0.65), (0.75, -0.6, -0.35),
            )  # fmt: skip
            for x, y, z in trunks:
                along = np.array([side * x, y, z])
                start = hilum + np.array([0.0, 0.0, 14.0 * np.sign(z)])
                self._tree(vessel, start, along, 4.6, 20.0, 7, generator, 0.62, ("lung",))

    def _tree(
        self,
        material: int,
        start: FloatArray,
        along: FloatArray,
        radius: float,
        length: float,
        levels: int,
        generator: np.random.Generator,
        spread: float,
        over: tuple[str, ...],
    ) -> None:
        """One trunk that divides in two again and again; daughters thin by the cube law."""
        along = along / np.linalg.norm(along)
        bend = along + 0.28 * generator.standard_normal(3)
        bend = bend / np.linalg.norm(bend)
        middle = start + 0.5 * length * along
        end = middle + 0.5 * length * bend
        self._scene.path(
            [start, middle, end], (radius, radius * 0.93, radius * 0.86), material, over=over
        )
        if levels == 0:
            return
        across = np.cross(bend, generator.standard_normal(3))
        across = across / np.linalg.norm(across)
        share = generator.uniform(0.35, 0.65)
        for sign, part in ((1.0, share), (-1.0, 1.0 - share)):
            turned = (
                bend + sign * across * spread * (1.15 - part) + 0.1 * generator.standard_normal(3)
            )
            self._tree(
                material, end, turned, max(radius * 0.9 * part ** (1 / 2.7), 0.45),
                length * (0.72 + 0.3 * part), levels - 1, generator, spread, over,
            )  # fmt: skip


def smooth_path(
    points: Path, radii: Sequence[float], step_mm: float = 7.0
) -> tuple[FloatArray, list[float]]:
    """A smooth curve through the points (centripetal Catmull-Rom), with its radii."""
    knots = np.asarray(points, dtype=float)
    if len(knots) < 3:
        return knots, list(radii)
    padded = np.concatenate([[2 * knots[0] - knots[1]], knots, [2 * knots[-1] - knots[-2]]])
    out, wide = [knots[0]], [float(radii[0])]
    for number in range(len(knots) - 1):
        p0, p1, p2, p3 = padded[number : number + 4]
        count = max(2, int(np.ceil(np.linalg.norm(p2 - p1) / step_mm)))
        t0 = 0.0
        t1 = t0 + _root_mm(p1 - p0)
        t2 = t1 + _root_mm(p2 - p1)
        t3 = t2 + _root_mm(p3 - p2)
        for share in np.arange(1, count + 1) / count:
            t = t1 + share * (t2 - t1)
            a1 = (t1 - t) / (t1 - t0) * p0 + (t - t0) / (t1 - t0) * p1
            a2 = (t2 - t) / (t2 - t1) * p1 + (t - t1) / (t2 - t1) * p2
            a3 = (t3 - t) / (t3 - t2) * p2 + (t - t2) / (t3 - t2) * p3
            b1 = (t2 - t) / (t2 - t0) * a1 + (t - t0) / (t2 - t0) * a2
            b2 = (t3 - t) / (t3 - t1) * a2 + (t - t1) / (t3 - t1) * a3
            out.append((t2 - t) / (t2 - t1) * b1 + (t - t1) / (t2 - t1) * b2)
            wide.append(float(radii[number] + share * (radii[number + 1] - radii[number])))
    return np.array(out), wide


def _root_mm(step: FloatArray) -> float:
    """Square root of a step's length: the knot distance of a centripetal curve."""
    return float(np.sqrt(max(float(np.linalg.norm(step)), 1e-6)))
