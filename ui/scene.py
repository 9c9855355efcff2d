"""What the four views show together: scan, crosshair, window, lesions, needles, selection.

A scene holds frozen data only (a volume, tuples of lesions and needles): the views paint from it
while the session works on another thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from PyQt6.QtCore import QObject, pyqtSignal

from irplan.geometry import BoolArray, PointLps
from irplan.lesions.gestures import Gesture, Prompt
from irplan.lesions.lesion import Lesion, LesionMask
from irplan.trajectory.biopsy import Biopsy
from irplan.trajectory.needle import Needle
from irplan.volume import CtVolume
from ui.brush import Brush
from ui.planes import SlicePlane, ViewName, planes_of
from ui.theme import LESION_COLOURS
from ui.windowing import PRESETS, GreyArray, Window, grey_table


class Tool(StrEnum):
    """What the left mouse button does in a slice."""

    BROWSE = "browse"
    CLICK = "click"
    LINE = "line"
    BOX = "box"
    SCRIBBLE = "scribble"
    INSIDE = "inside"
    OUTSIDE = "outside"
    BRUSH = "brush"
    ERASER = "eraser"
    NO_GO = "no_go"


#: The tools that paint along a drag.
PAINTING = (Tool.BRUSH, Tool.ERASER, Tool.NO_GO)
#: The tools with which an end of what was drawn can be taken hold of.
MOVING = (Tool.BROWSE, Tool.LINE, Tool.BOX)


class Scene(QObject):
    """The shared state of the views; every change is told by one signal."""

    volume_changed = pyqtSignal()
    crosshair_changed = pyqtSignal()
    window_changed = pyqtSignal()
    content_changed = pyqtSignal()
    selection_changed = pyqtSignal()
    tool_changed = pyqtSignal()
    brush_changed = pyqtSignal()
    pixels_changed = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.volume: CtVolume | None = None
        self.body: BoolArray | None = None
        self.planes: dict[ViewName, SlicePlane] = {}
        self.crosshair_lps_mm: PointLps = (0.0, 0.0, 0.0)
        self.window: Window = PRESETS[0]
        self.grey: GreyArray = grey_table(PRESETS[0])
        self.lesions: tuple[Lesion, ...] = ()
        self.prompts: tuple[Prompt, ...] = ()
        self.needles: tuple[Needle, ...] = ()
        self.alternatives: tuple[Needle, ...] = ()
        self.biopsies: tuple[Biopsy, ...] = ()
        self.unknown: tuple[str, ...] = ()
        self.labels: npt.NDArray[np.unsignedinteger] | None = None
        self.label_names: dict[int, str] = {}
        self.lesion_id = ""
        self.needle_id = ""
        self.tool = Tool.BROWSE
        self.brush = Brush()
        self.no_go: LesionMask | None = None
        self.show_crosshair = True
        self._moved = False
        #: Of a scan that is still being read: which slices are there, and how many; else None.
        self.there: BoolArray | None = None
        self.arrived = 0
        self._colour_of: dict[str, str] = {}

    def set_volume(self, volume: CtVolume, body: BoolArray) -> None:
        """Show another scan; everything drawn before goes."""
        looked_at = self.there is not None and self._moved
        before, self.there, self.arrived = self.crosshair_lps_mm, None, 0
        self._show(volume, body)
        if looked_at:  # a person has turned to a slice while it was read
            self.set_crosshair(before)

    def begin_arriving(self, volume: CtVolume, there: BoolArray) -> None:
        """Show a scan that is still being read; everything drawn before goes."""
        self.there, self.arrived = there, 0
        self._show(volume, None)

    def grow(self, count: int) -> None:
        """More slices are there."""
        self.arrived = count
        self.pixels_changed.emit()

    def clear(self) -> None:
        """Show no scan."""
        self.there, self.arrived = None, 0
        self._show(None, None)

    def _show(self, volume: CtVolume | None, body: BoolArray | None) -> None:
        self.volume, self.body = volume, body
        self.planes = {} if volume is None else planes_of(volume.geometry)
        self.lesions = self.needles = self.alternatives = self.unknown = self.prompts = ()
        self.biopsies = ()
        self.labels, self.label_names = None, {}
        self.no_go = None
        self.lesion_id = self.needle_id = ""
        self._colour_of = {}
        self.crosshair_lps_mm = (0.0, 0.0, 0.0) if volume is None else _middle(volume, body)
        self._moved = False
        self.volume_changed.emit()
        self.crosshair_changed.emit()
        self.content_changed.emit()
        self.selection_changed.emit()

    def set_crosshair(self, point_lps_mm: npt.ArrayLike) -> None:
        """Move the crosshair to a point, LPS mm, kept inside the scan."""
        if self.volume is None:
            return
        grid = self.volume.geometry
        index = np.clip(grid.to_index(point_lps_mm), 0, np.asarray(grid.size) - 1)
        x, y, z = grid.to_lps(index)
        self.crosshair_lps_mm = (float(x), float(y), float(z))
        self._moved = True
        self.crosshair_changed.emit()

    def step(self, view: ViewName, slices: int) -> None:
        """Move the crosshair by slices of a view, towards the head, the front or the left."""
        if self.volume is None:
            return
        plane = self.planes[view]
        index = self.volume.geometry.to_index(self.crosshair_lps_mm)
        index[plane.through] = np.rint(index[plane.through]) + slices * plane.forward
        self.set_crosshair(self.volume.geometry.to_lps(index))

    def slice_number(self, view: ViewName) -> int:
        """The slice of a view that the crosshair lies in."""
        return self.planes[view].slice_of(self.crosshair_lps_mm)

    def set_window(self, window: Window) -> None:
        """Another window and level, in all views."""
        self.window, self.grey = window, grey_table(window)
        self.window_changed.emit()

    def set_tool(self, tool: Tool) -> None:
        """Another meaning of the left mouse button."""
        self.tool = tool
        self.tool_changed.emit()

    def set_brush(self, brush: Brush) -> None:
        """Another size or manner of the brush."""
        if brush != self.brush:
            self.brush = brush
            self.brush_changed.emit()

    def set_no_go(self, zone: LesionMask | None) -> None:
        """Another painted zone that no needle may enter."""
        self.no_go = zone
        self.content_changed.emit()

    def set_content(
        self,
        lesions: tuple[Lesion, ...],
        prompts: tuple[Prompt, ...],
        needles: tuple[Needle, ...],
        alternatives: tuple[Needle, ...],
        biopsies: tuple[Biopsy, ...] = (),
    ) -> None:
        """Other lesions, gestures and needles; a selection that has gone is dropped."""
        self.prompts, self.biopsies = prompts, biopsies
        self.lesions, self.needles, self.alternatives = lesions, needles, alternatives
        if self.lesion_id not in {lesion.lesion_id for lesion in lesions}:
            self.lesion_id = ""
        if self.needle_id not in {needle.needle_id for needle in (*needles, *alternatives)}:
            self.needle_id = ""
        self.content_changed.emit()
        self.selection_changed.emit()

    def set_anatomy(
        self,
        labels: npt.NDArray[np.unsignedinteger] | None,
        names: dict[int, str],
        unknown: tuple[str, ...],
    ) -> None:
        """The structures that were found, (z, y, x) labels with their names, and those unknown."""
        self.labels, self.label_names, self.unknown = labels, names, unknown
        self.content_changed.emit()

    def select(self, lesion_id: str = "", needle_id: str = "") -> None:
        """Select a lesion, and one of its needles; '' selects nothing."""
        if (lesion_id, needle_id) != (self.lesion_id, self.needle_id):
            self.lesion_id, self.needle_id = lesion_id, needle_id
            self.selection_changed.emit()

    def lesion(self, lesion_id: str) -> Lesion | None:
        """The lesion of that id, or None."""
        return next((one for one in self.lesions if one.lesion_id == lesion_id), None)

    @property
    def gestures(self) -> tuple[Gesture, ...]:
        """The gestures of the selected lesion, in the order drawn."""
        found = (one.gestures for one in self.prompts if one.lesion_id == self.lesion_id)
        return next(found, ())

    def needle(self, needle_id: str) -> Needle | None:
        """The needle or alternative of that id, or None."""
        offered = (*self.needles, *self.alternatives)
        return next((one for one in offered if one.needle_id == needle_id), None)

    def colour_of(self, lesion_id: str) -> str:
        """A lesion's colour, which it keeps while the scan is open."""
        if lesion_id not in self._colour_of:
            number = len(self._colour_of) % len(LESION_COLOURS)
            self._colour_of[lesion_id] = LESION_COLOURS[number]
        return self._colour_of[lesion_id]

    def hu_at(self, point_lps_mm: Sequence[float]) -> int | None:
        """HU of the voxel that holds a point; None outside the scan, and while it is read."""
        index = self._voxel(point_lps_mm)
        if index is None or self.volume is None or self.there is not None:
            return None
        return int(self.volume.hu[index])

    def structure_at(self, point_lps_mm: Sequence[float]) -> str:
        """What was found at a point; '' where nothing was, or nobody looked."""
        index = self._voxel(point_lps_mm)
        if index is None or self.labels is None:
            return ""
        return self.label_names.get(int(self.labels[index]), "")

    def _voxel(self, point_lps_mm: Sequence[float]) -> tuple[int, int, int] | None:
        if self.volume is None or not bool(self.volume.geometry.contains(point_lps_mm)):
            return None
        i, j, k = np.clip(
            self.volume.geometry.nearest_index(point_lps_mm),
            0,
            np.asarray(self.volume.geometry.size) - 1,
        )
        return int(k), int(j), int(i)


def measured_at(lesion: Lesion) -> PointLps | None:
    """Where a person looks at a lesion first: the middle of its longest diameter, LPS mm.

    The slice of that line is the one it is measured in; the middle of its voxels may lie in another
    one, or outside a curved lesion.
    """
    ends = lesion.longest_diameter_ends_lps_mm
    if ends is None:
        return lesion.centroid_lps_mm
    x, y, z = (float(value) for value in np.mean(ends, axis=0))
    return x, y, z


def _middle(volume: CtVolume, body: BoolArray | None) -> PointLps:
    """The voxel nearest to the middle of the patient, or of the scan where no patient was found."""
    middle = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        hits = np.flatnonzero(body.any(axis=others)) if body is not None else np.zeros(0)
        # Without a patient the slice that is read first: the middle one.
        span = (hits[0], hits[-1]) if hits.size else (0, volume.hu.shape[axis])
        middle.append(float((int(span[0]) + int(span[1])) // 2))
    k, j, i = middle
    x, y, z = volume.geometry.to_lps((i, j, k))
    return float(x), float(y), float(z)
