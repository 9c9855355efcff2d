"""The skin map on the skin: colours of its surface, what a place of it offers, the legend.

Every vertex takes the colour of the nearest skin point of the map: from green to orange by the rank
of the best path's cost among all open points, grey where no path is open, plain skin where the map
does not reach. The colours are those of the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QLinearGradient, QPainter, QPen
from scipy.spatial import cKDTree
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import VTK_UNSIGNED_CHAR, reference
from vtkmodules.vtkCommonDataModel import vtkPolyData, vtkStaticCellLocator
from vtkmodules.vtkRenderingCore import vtkRenderer

from irplan import units
from irplan.export.skin_picture import COST_COLOURS, NO_PATH_COLOUR
from irplan.geometry import FloatArray, PointLps
from irplan.trajectory.check import ConstraintCheck, allowed
from irplan.trajectory.skin_map import SkinMap
from ui import theme
from ui.overlays import draw_text, font

#: A vertex farther from every point of the map is not told of, mm: the surface that is looked at is
#: coarser than the raster of the map.
NEAR_MM = 8.0
#: Limits that are told in full; the others are counted.
TOLD = 4


@dataclass(frozen=True)
class Explained:
    """Why a path from a skin point to a lesion is or is not allowed."""

    lesion_id: str
    entry_lps_mm: PointLps
    checks: tuple[ConstraintCheck, ...]

    def lines(self) -> tuple[str, ...]:
        """The answer in words: the limits that forbid it, by how much; then what is unknown."""
        forbids = [one for one in self.checks if one.forbids]
        x, y, z = (units.mm(value) for value in self.entry_lps_mm)
        verdict = "allowed" if allowed(self.checks) else "NOT allowed"
        lines = [f"{self.lesion_id} from x {x} y {y} z {z}: {verdict}"]
        lines += [f"■ {check_text(one)}" for one in forbids[:TOLD]]
        if len(forbids) > TOLD:
            lines.append(f"■ and {len(forbids) - TOLD} more limits")
        unknown = [one.constraint.replace("_", " ") for one in self.checks if not one.known]
        if unknown:
            lines.append("▲ unknown: " + ", ".join(unknown))
        return tuple(lines)


def check_text(check: ConstraintCheck) -> str:
    """A limit, what was measured and what was asked for."""
    told = check.document()
    name = str(told["constraint"]).replace("_", " ")
    unit = f" {check.unit}" if check.unit else ""
    value = "not met" if told["value"] is None else f"{told['value']}{unit}"
    return f"{name}: {value}, {told['bound']} {told['limit']}{unit}"


class SkinMapLayer:
    """One map over one surface."""

    def __init__(self, skin: vtkPolyData, skin_map: SkinMap) -> None:
        self.map = skin_map
        self._tree = cKDTree(skin_map.points_lps_mm)
        self._locator = vtkStaticCellLocator()
        self._locator.SetDataSet(skin)
        self._locator.BuildLocator()
        is_open = skin_map.open_points
        self._rank = np.zeros(len(is_open), dtype=int)
        self._rank[is_open] = np.argsort(np.argsort(skin_map.cost[is_open], kind="stable")) + 1
        self.open_count = int(is_open.sum())
        self.surface = vtkPolyData()
        self.surface.ShallowCopy(skin)
        vertices = vtk_to_numpy(skin.GetPoints().GetData())
        colours = numpy_to_vtk(self.colours(vertices), deep=True, array_type=VTK_UNSIGNED_CHAR)
        self.surface.GetPointData().SetScalars(colours)

    def colours(self, vertices: FloatArray) -> npt.NDArray[np.uint8]:
        """Red, green and blue (n, 3) of places, LPS mm."""
        gap, nearest = self._tree.query(vertices)
        shares = (self._rank[nearest] - 1) / max(1, self.open_count - 1)
        stops, table = np.linspace(0.0, 1.0, len(COST_COLOURS)), np.asarray(COST_COLOURS)
        made = np.stack([np.interp(shares, stops, table[:, band]) for band in range(3)], axis=1)
        made[self._rank[nearest] == 0] = NO_PATH_COLOUR
        made[gap > NEAR_MM] = theme.SKIN_RGB
        return np.asarray(np.round(255 * made), dtype=np.uint8)

    def point_under(self, renderer: vtkRenderer, x: float, y: float) -> int | None:
        """Number of the map's point under a place of the picture (pixels from the lower left)."""
        near, far = (_world(renderer, x, y, depth) for depth in (0.0, 1.0))
        # The stubs of VTK want numbers where its calls want references to be filled.
        hit: Any = reference(0.0)
        cell: Any = reference(0)
        place, where = [0.0] * 3, [0.0] * 3
        if not self._locator.IntersectWithLine(near, far, 0.0, hit, place, where, cell):
            return None
        gap, number = self._tree.query(place)
        return int(number) if gap <= NEAR_MM else None

    def point(self, number: int) -> PointLps:
        """A point of the map, LPS mm."""
        x, y, z = (float(value) for value in self.map.points_lps_mm[number])
        return x, y, z

    def text(self, number: int) -> str:
        """What the map knows of a point, in one line."""
        if not self._rank[number]:
            reason = str(self.map.reasons[number]).replace("_", " ")
            return f"no path: {reason}"
        entry, tip = self.map.points_lps_mm[number], self.map.tips_lps_mm[number]
        depth = units.mm(float(np.linalg.norm(tip - entry)))
        lesion = str(self.map.best_for[number])
        return f"path to {lesion}: {depth} mm, number {self._rank[number]} of {self.open_count}"


def map_for(maps: Sequence[SkinMap], lesion_id: str) -> SkinMap | None:
    """The map of a lesion; of all together where none is selected, or it has none."""
    found = {one.lesion_id: one for one in maps}
    return found.get(lesion_id) or found.get("")


def draw_legend(painter: QPainter, layer: SkinMapLayer, width: float, height: float) -> None:
    """What the colours mean, at the right edge."""
    name = layer.map.lesion_id or "all lesions"
    painter.setFont(font(10.5, bold=True))
    line = painter.fontMetrics().height()
    tall = min(150.0, height / 3)
    left, top = width - 24.0, 34.0 + 2 * line
    right = width - 10.0
    from_right = Qt.AlignmentFlag.AlignRight
    draw_text(painter, f"Skin map: {name}", QPointF(right, 8), align=from_right)
    painter.setFont(font(10))
    open_text = f"{layer.open_count} of {len(layer.map.cost)} points open"
    draw_text(painter, open_text, QPointF(right, 8 + line), theme.QUIET, from_right)
    gradient = QLinearGradient(0, top, 0, top + tall)
    for share, rgb in zip(np.linspace(0, 1, len(COST_COLOURS)), COST_COLOURS, strict=True):
        gradient.setColorAt(float(share), QColor.fromRgbF(*rgb))
    painter.setPen(QPen(QColor(0, 0, 0, 200), 1.0))
    painter.fillRect(QRectF(left, top, 14, tall), gradient)
    painter.drawRect(QRectF(left, top, 14, tall))
    grey = QRectF(left, top + tall + 8, 14, 14)
    painter.fillRect(grey, QColor.fromRgbF(*NO_PATH_COLOUR))
    painter.drawRect(grey)
    beside = left - 6
    draw_text(painter, "best path", QPointF(beside, top - 2), align=from_right)
    draw_text(painter, "dearest", QPointF(beside, top + tall - line + 2), align=from_right)
    draw_text(painter, "no path", QPointF(beside, grey.top() - 2), align=from_right)


def draw_answer(painter: QPainter, lines: Sequence[str], left: float, foot: float) -> None:
    """What is known of a place, upwards from ``foot`` in widget pixels."""
    painter.setFont(font(10.5, bold=True))
    line = painter.fontMetrics().height() + 1
    top = foot - line * len(lines)
    if lines:  # the skin behind it may be bright
        metrics = painter.fontMetrics()
        wide = max(metrics.horizontalAdvance(text) for text in lines) + 10
        ground = QRectF(left - 5, top, wide, line * len(lines))
        painter.fillRect(ground, QColor(0, 0, 0, 150))
    for number, text in enumerate(lines):
        colour = "#ff8f8f" if text.startswith("■") else theme.TEXT
        colour = "#ffcf6b" if text.startswith("▲") else colour
        draw_text(painter, text, QPointF(left, top + line * number), colour)


def _world(renderer: vtkRenderer, x: float, y: float, depth: float) -> list[float]:
    renderer.SetDisplayPoint(x, y, depth)
    renderer.DisplayToWorld()
    a, b, c, w = renderer.GetWorldPoint()
    return [a / w, b / w, c / w]
