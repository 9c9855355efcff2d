"""The sterile field: the part of the skin where a needle may enter, where a person gave one.

It is given in LPS mm of the CT, as a sphere or as a polygon over the skin, or as a structure
``sterile_field`` of the label map. Without one, the whole skin may be entered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from irplan.errors import InputRefused
from irplan.geometry import FloatArray
from irplan.trajectory import rulefile

#: A polygon reaches this far above and below its plane, mm: the skin is curved.
POLYGON_DEPTH_MM = 80.0
#: Coordinates beyond this are no patient's, mm.
_FAR_MM = Decimal(5000)


@dataclass(frozen=True)
class SterileField:
    """A sphere or a polygon.

    Attributes:
        centre_lps_mm, radius_mm: the sphere; its part of the skin is the field.
        polygon_lps_mm: (n, 3) corners, n at least 3; seen along the normal of the plane that
            fits them best, skin inside the polygon and within 80 mm of the plane is the field.
    """

    centre_lps_mm: tuple[Decimal, ...] | None = None
    radius_mm: Decimal | None = None
    polygon_lps_mm: tuple[tuple[Decimal, ...], ...] = ()

    def outside_mm(self, points_lps_mm: FloatArray) -> FloatArray:
        """How far points (n, 3), LPS mm, lie outside the field; 0 inside it.

        For a polygon the distance is measured in its plane; a point farther than 80 mm from the
        plane lies outside by what is beyond that at least.
        """
        points = np.asarray(points_lps_mm, dtype=float).reshape(-1, 3)
        if self.centre_lps_mm is not None and self.radius_mm is not None:
            centre = np.asarray(self.centre_lps_mm, dtype=float)
            gap = np.linalg.norm(points - centre, axis=1) - float(self.radius_mm)
            return np.asarray(np.maximum(gap, 0.0))
        corners = np.asarray(self.polygon_lps_mm, dtype=float)
        middle = corners.mean(axis=0)
        _, _, axes = np.linalg.svd(corners - middle)
        flat, height = (corners - middle) @ axes[:2].T, (points - middle) @ axes[2]
        seen = (points - middle) @ axes[:2].T
        gap = np.where(_inside(flat, seen), 0.0, _edge_distance(flat, seen))
        return np.asarray(np.maximum(gap, np.maximum(np.abs(height) - POLYGON_DEPTH_MM, 0.0)))

    def document(self) -> dict[str, Any]:
        """The field as the plan's settings print it."""
        if self.centre_lps_mm is not None:
            return {"centre_lps_mm": list(self.centre_lps_mm), "radius_mm": self.radius_mm}
        return {"polygon_lps_mm": [list(corner) for corner in self.polygon_lps_mm]}


def read_sterile_field(path: str, given: Mapping[str, Any]) -> SterileField | None:
    """The table ``sterile_field`` of a rule file, or None where there is none.

    Raises:
        InputRefused: an unknown key, a position or radius that is none, both or neither of sphere
            and polygon, or corners that enclose nothing.
    """
    if "sterile_field" not in given:
        return None
    table = given["sterile_field"]
    where = f"{path}: sterile_field"
    if not isinstance(table, Mapping):
        raise InputRefused("not_a_table", f"{where} is not a table [sterile_field]")
    rulefile.refuse_unknown(where, table, ("centre_lps_mm", "radius_mm", "polygon_lps_mm"))
    sphere = "centre_lps_mm" in table or "radius_mm" in table
    if sphere == ("polygon_lps_mm" in table):
        raise InputRefused(
            "not_a_field", f"{where}: give centre_lps_mm and radius_mm, or polygon_lps_mm"
        )
    if sphere:
        centre = _point(f"{where}.centre_lps_mm", table.get("centre_lps_mm"))
        radius = rulefile.number(
            f"{where}.radius_mm", table.get("radius_mm"), Decimal(1), Decimal(1000)
        )
        return SterileField(centre, radius)
    corners = table["polygon_lps_mm"]
    if not isinstance(corners, list) or len(corners) < 3:
        raise InputRefused("not_a_field", f"{where}.polygon_lps_mm: needs three corners or more")
    polygon = tuple(_point(f"{where}.polygon_lps_mm", corner) for corner in corners)
    spread = np.linalg.svd(
        np.asarray(polygon, dtype=float) - np.mean(np.asarray(polygon, dtype=float), axis=0),
        compute_uv=False,
    )
    if spread[1] < 1.0:
        raise InputRefused("not_a_field", f"{where}.polygon_lps_mm: the corners enclose nothing")
    return SterileField(polygon_lps_mm=polygon)


def _point(where: str, value: Any) -> tuple[Decimal, ...]:
    if not isinstance(value, list) or len(value) != 3:
        raise InputRefused("not_a_point", f"{where}: {value!r} is not [x, y, z]")
    return tuple(rulefile.number(where, part, -_FAR_MM, _FAR_MM) for part in value)


def _inside(corners: FloatArray, points: FloatArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether points (n, 2) lie inside a closed polygon (m, 2): crossings of a ray are odd."""
    inside = np.zeros(len(points), dtype=bool)
    x, y = points[:, 0], points[:, 1]
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        spans = (ay > y) != (by > y)
        if not spans.any():
            continue
        crossing = ax + (y - ay) * (bx - ax) / (by - ay if by != ay else 1.0)
        inside ^= spans & (x < crossing)
    return inside


def _edge_distance(corners: FloatArray, points: FloatArray) -> FloatArray:
    """Distance of points (n, 2) to the nearest edge of a polygon (m, 2)."""
    best = np.full(len(points), np.inf)
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge = b - a
        length = float(edge @ edge)
        share = np.clip((points - a) @ edge / length, 0.0, 1.0) if length > 0 else 0.0
        nearest = a + np.multiply.outer(share, edge) if length > 0 else a
        best = np.minimum(best, np.linalg.norm(points - nearest, axis=1))
    return best
