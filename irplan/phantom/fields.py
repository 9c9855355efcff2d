"""The large soft forms of the reference patient as functions on a coarse grid, LPS mm.

Each is close to the signed distance to its surface (negative inside), so layers of a given
thickness are intervals of it. Curves along z are drawn through knots (z, value).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from irplan.geometry import FloatArray
from irplan.phantom.scene import Field

STEP_MM = 4.0
LOW_MM = (-236.0, -148.0, -392.0)
SIZE = (119, 82, 203)

Knots = Sequence[tuple[float, float]]


class Curve:
    """A smooth curve through knots (z, value), constant beyond them."""

    def __init__(self, knots: Knots) -> None:
        z, value = np.asarray(sorted(knots), dtype=float).T
        self._spline = PchipInterpolator(z, value)
        self._low, self._high = float(z[0]), float(z[-1])

    def __call__(self, z: npt.ArrayLike) -> FloatArray:
        """Values at heights of any shape."""
        inside = np.clip(np.asarray(z, dtype=float), self._low, self._high)
        return np.asarray(self._spline(inside), dtype=float)

    def at(self, z: float) -> float:
        """The value at one height."""
        return float(self(z))


#: Middle of the vertebral bodies: y over z.
SPINE_Y = Curve(
    [
        (-190, 40), (-162, 29), (-126, 21), (-90, 18), (-54, 21), (-18, 27), (30, 36), (80, 45),
        (130, 51), (180, 53), (220, 50), (268, 40), (300, 30), (330, 22), (400, 20),
    ]
)  # fmt: skip
#: Rib cage: half width, half depth to the front and to the back of its middle line, middle.
CAGE_WIDE = Curve(
    [
        (-60, 122), (-40, 126), (0, 132), (40, 134), (80, 133), (120, 129), (160, 121), (200, 106),
        (230, 86), (255, 62), (272, 42), (290, 16),
    ]
)  # fmt: skip
CAGE_FRONT = Curve(
    [
        (-60, 84), (0, 88), (40, 91), (80, 92), (120, 90), (160, 83), (200, 72), (230, 58),
        (255, 38), (272, 24), (290, 8),
    ]
)  # fmt: skip
CAGE_BACK = Curve(
    [
        (-60, 62), (0, 66), (40, 69), (80, 71), (120, 70), (160, 67), (200, 60), (230, 50),
        (255, 38), (272, 26), (290, 10),
    ]
)  # fmt: skip
CAGE_Y = Curve([(-60, 4), (100, 5), (160, 7), (200, 13), (230, 21), (255, 28), (290, 34)])

SKIN_WIDE = Curve(
    [
        (-400, 172), (-345, 178), (-300, 180), (-250, 175), (-200, 165), (-150, 154), (-90, 147),
        (-30, 150), (40, 157), (120, 165), (190, 170), (230, 168), (256, 150), (275, 112),
        (290, 76), (305, 62), (330, 58), (400, 60),
    ]
)  # fmt: skip
SKIN_FRONT = Curve(
    [
        (-400, 98), (-345, 102), (-300, 108), (-200, 112), (-150, 112), (-90, 110), (-30, 110),
        (40, 113), (100, 114), (150, 110), (200, 96), (235, 76), (262, 58), (285, 48), (310, 45),
        (340, 48), (400, 50),
    ]
)  # fmt: skip
SKIN_BACK = Curve(
    [
        (-400, 116), (-345, 122), (-300, 126), (-250, 122), (-200, 110), (-150, 101), (-90, 97),
        (-30, 100), (40, 108), (120, 116), (190, 114), (235, 104), (265, 94), (300, 80), (340, 74),
        (400, 80),
    ]
)  # fmt: skip
FAT_MM = Curve(
    [
        (-400, 20), (-300, 22), (-200, 22), (-110, 21), (-40, 18), (40, 14), (120, 12), (200, 9),
        (250, 7), (300, 5), (400, 6),
    ]
)  # fmt: skip
#: Height of the right and left dome of the diaphragm, and how fast it falls from there.
RIGHT_DOME = (-60.0, -8.0, 80.0)
LEFT_DOME = (66.0, -4.0, 66.0)


def smooth_max(a: FloatArray, b: FloatArray | float, radius_mm: float) -> FloatArray:
    """The larger of both, rounded over ``radius_mm`` where they meet (the intersection)."""
    overlap = np.clip(radius_mm - np.abs(a - b), 0.0, None) / radius_mm
    return np.maximum(a, b) + overlap**2 * radius_mm / 4.0


def smooth_min(a: FloatArray, b: FloatArray | float, radius_mm: float) -> FloatArray:
    """The smaller of both, rounded (the union)."""
    return -smooth_max(-a, -b, radius_mm)


def _normalised(values: FloatArray) -> FloatArray:
    """An implicit function divided by its slope: near the surface, the distance to it."""
    slopes = np.gradient(values, STEP_MM)
    steep = np.sqrt(sum(slope**2 for slope in slopes))
    return np.asarray(values / np.maximum(steep, 1.0 / 260.0))


class Forms:
    """All fields, computed once; every attribute is an array (z, y, x) on the coarse grid."""

    def __init__(self) -> None:
        axes = [LOW_MM[axis] + STEP_MM * np.arange(SIZE[axis]) for axis in range(3)]
        self.x = axes[0][None, None, :]
        self.y = axes[1][None, :, None]
        self.z = axes[2][:, None, None]

    def field(self, values: FloatArray) -> Field:
        """The values as a field of the scene."""
        full = np.broadcast_to(values, SIZE[::-1])
        return Field(np.ascontiguousarray(full, dtype=np.float32), LOW_MM, STEP_MM)

    def _oval(
        self,
        wide: Curve,
        front: Curve,
        back: Curve,
        middle: FloatArray | float,
        power: float,
    ) -> FloatArray:
        y = self.y - middle
        half = np.where(y < 0, front(self.z), back(self.z))
        value = (np.abs(self.x / wide(self.z)) ** power + np.abs(y / half) ** power) ** (1 / power)
        return _normalised(value - 1.0)

    @cached_property
    def arms(self) -> FloatArray:
        """Both raised arms: distance to tapered tubes beside the neck."""
        start, end = np.array([150.0, 18.0, 246.0]), np.array([172.0, 4.0, 420.0])
        along = (end - start) / np.linalg.norm(end - start)
        dx, dy, dz = np.abs(self.x) - start[0], self.y - start[1], self.z - start[2]
        s = np.clip(dx * along[0] + dy * along[1] + dz * along[2], 0, np.linalg.norm(end - start))
        gap = np.sqrt(
            (dx - s * along[0]) ** 2 + (dy - s * along[1]) ** 2 + (dz - s * along[2]) ** 2
        )
        return np.asarray(gap - (50.0 - 0.055 * s))

    @cached_property
    def body(self) -> FloatArray:
        """Distance to the skin."""
        torso = self._oval(SKIN_WIDE, SKIN_FRONT, SKIN_BACK, 0.0, 2.25)
        return smooth_min(torso, self.arms, 30.0)

    @cached_property
    def muscle(self) -> FloatArray:
        """Distance to the outer fascia: inside the skin by its 2 mm and the fat."""
        flank = 1.0 + 0.35 * np.exp(-(((np.abs(self.x) - 85.0) / 40.0) ** 2)) * np.clip(
            (40.0 - self.z) / 60.0, 0.0, 1.0
        )
        return np.asarray(self.body + 2.0 + FAT_MM(self.z) * flank)

    @cached_property
    def cage(self) -> FloatArray:
        """Distance to the outer surface of the rib cage (and its smooth extension)."""
        return self._oval(CAGE_WIDE, CAGE_FRONT, CAGE_BACK, CAGE_Y(self.z), 2.2)

    @cached_property
    def spine(self) -> FloatArray:
        """Distance to the middle line of the vertebral bodies, in the plane."""
        return np.sqrt(self.x**2 + (self.y - SPINE_Y(self.z)) ** 2)

    @cached_property
    def dome(self) -> FloatArray:
        """Height of the diaphragm over (x, y): z mm, (1, y, x)."""

        def side(dome: tuple[float, float, float]) -> FloatArray:
            x, y, top = dome
            wide = np.where(np.abs(self.x) > abs(x), 0.0165, 0.0045) * (self.x - x) ** 2
            deep = np.where(self.y > y, 0.0155, 0.0060) * (self.y - y) ** 2
            return np.asarray(top - wide - deep)

        right, left = side(RIGHT_DOME), side(LEFT_DOME)
        blend = 1.0 / (1.0 + np.exp(-self.x / 9.0))
        return np.asarray(right * (1.0 - blend) + left * blend)

    @cached_property
    def over_dome(self) -> FloatArray:
        """Distance to the diaphragm: negative below it."""
        slope_y, slope_x = np.gradient(self.dome[0], STEP_MM)
        steep = np.sqrt(1.0 + slope_x**2 + slope_y**2)[None]
        return np.asarray((self.z - self.dome) / steep)

    @cached_property
    def thorax(self) -> FloatArray:
        """The chest cavity: inside the ribs, above the diaphragm."""
        below_apex = smooth_max(self.cage + 7.5, np.asarray(self.z - 271.0), 8.0)
        return smooth_max(below_apex, -self.over_dome, 4.0)

    @cached_property
    def lungs(self) -> FloatArray:
        """Both lungs: the chest cavity without mediastinum and spine."""
        upper = 1.0 / (1.0 + np.exp(-(self.z - 165.0) / 14.0))
        front = np.clip((-self.y - 48.0) / 30.0, 0.0, 1.0)
        vessels = 13.0 * upper * np.exp(-(((self.y + 8.0) / 34.0) ** 2))
        width = (24.0 + vessels) * (1.0 - front) + (9.0 + 6.0 * upper) * front
        middle = width - np.abs(self.x)
        behind = 30.0 - self.spine
        return smooth_max(smooth_max(self.thorax + 0.5, middle, 14.0), behind, 12.0)

    @cached_property
    def belly(self) -> FloatArray:
        """The abdominal and pelvic cavity, inside its muscles and below the diaphragm."""
        wall = self.muscle + 12.0
        back = self.y - (58.0 + 10.0 * np.clip((self.z + 40.0) / 60.0, 0.0, 1.0))
        ribs = self.cage + 8.0 + 30.0 * np.clip((-25.0 - self.z) / 30.0, -0.0, 1.0) * -1.0
        low = Curve([(-400, 34), (-335, 46), (-290, 62), (-250, 80), (-215, 112), (-180, 150)])
        deep = Curve([(-400, 34), (-335, 46), (-290, 64), (-250, 82), (-215, 100), (-180, 130)])
        middle = Curve([(-400, 10), (-335, 0), (-290, -6), (-250, -4), (-180, 0)])
        round_ = np.sqrt(
            (self.x / low(self.z)) ** 2 + ((self.y - middle(self.z)) / deep(self.z)) ** 2
        )
        pelvis = (round_ - 1.0) * low(self.z)
        inner = smooth_max(smooth_max(wall, back, 14.0), self.over_dome + 4.0, 6.0)
        inner = smooth_max(inner, ribs, 8.0)
        inner = smooth_max(inner, pelvis, 10.0)
        return smooth_max(inner, np.asarray(-338.0 - self.z), 8.0)

    @cached_property
    def liver(self) -> FloatArray:
        """The liver: under the right dome, its lower face rising to the left and backwards."""
        top = self.over_dome + 5.5
        behind_y = np.clip(self.y + 45.0, 0.0, None)
        lower = (-108.0 + 0.72 * (self.x + 112.0) + 0.30 * behind_y - self.z) / 1.2
        left = (self.x - 58.0 + 0.25 * (self.z - 30.0)) / 1.03
        behind = np.maximum(38.0 - self.spine, (self.y - 58.0) - 0.15 * (-self.x - 60.0))
        form = smooth_max(self.cage + 9.5, top, 14.0)
        form = smooth_max(form, lower, 24.0)
        form = smooth_max(smooth_max(form, left, 20.0), behind, 16.0)
        # The impression of the right kidney with its fat, open to the back.
        kidney = np.sqrt(
            ((self.x + 62.0) / 36.0) ** 2
            + (np.minimum(self.y - 26.0, 0.0) / 34.0) ** 2
            + ((self.z + 52.0) / 62.0) ** 2
        )
        return smooth_max(form, (1.0 - kidney) * 36.0, 8.0)

    @cached_property
    def spleen(self) -> FloatArray:
        """The spleen: behind and left under the dome, hollowed by the stomach."""
        shape = (
            np.sqrt(
                ((self.x - 104.0) / 42.0) ** 2
                + ((self.y - 32.0) / 48.0) ** 2
                + ((self.z - 6.0) / 66.0) ** 2
            )
            - 1.0
        ) * 38.0
        hilum = 29.0 - np.sqrt((self.x - 62.0) ** 2 + (self.y - 8.0) ** 2)
        form = smooth_max(shape, self.cage + 9.5, 10.0)
        return smooth_max(smooth_max(form, self.over_dome + 5.5, 10.0), hilum, 12.0)
