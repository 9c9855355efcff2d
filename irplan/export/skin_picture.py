"""The skin with the entry marked on it: a centimetre grid, the midline, bone shining through.

Rendered off screen by VTK, like the 3-D views, but as a flat map: no perspective, so a length on
the picture is a length on the patient where the skin faces the eye. The result is a
:class:`~irplan.export.pictures.Picture`; its words are drawn by whoever shows it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import VTK_UNSIGNED_CHAR, vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPlane, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkCutter, vtkPolyDataNormals
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkRenderer

from irplan.anatomy import Anatomy
from irplan.export.pictures import Disc, Line, Mark, Picture, Text, to_point
from irplan.export.scene import (
    BACKGROUND,
    BONE,
    LESION,
    Rgb,
    Surface,
    actor_of,
    is_bone,
    mask_surface,
    pixels_of,
    thinned_surface,
    window_kinds,
)
from irplan.export.views import View
from irplan.geometry import BoolArray, FloatArray, GridGeometry, unit
from irplan.lesions.lesion import Lesion
from irplan.trajectory.skin import inward_normals

#: Size of the picture and of one of its pixels.
PIXELS = (560, 520)
MM_PER_PIXEL = 0.5
#: The skin is shown this far above and below the point, mm.
_SLAB_MM = 150.0
_SKIN_VOXEL_MM = 3.0
_BONE_VOXEL_MM = 2.5
SKIN_TONE: Rgb = (0.93, 0.78, 0.68)
_GRID_COLOUR: Rgb = (0.20, 0.33, 0.42)
_MIDLINE_COLOUR: Rgb = (0.75, 0.05, 0.05)
#: Lines of the grid, mm apart; every fifth one has its number.
GRID_MM = 10.0
_NUMBERED = 5
_LINE_WIDTH, _NUMBERED_WIDTH, _MIDLINE_WIDTH = 0.8, 1.6, 2.6
#: The lines lie this far over the skin, so that it does not hide them, mm.
_OVER_SKIN_MM = 1.2
#: Skin that faces away from the eye carries no grid (cosine).
_FACING = 0.12
#: Row of the numbers across: under the letter at the top, clear of the scale bar.
_NUMBERS_ROW = 76.0
#: Column of the numbers down the left: beside the letter at the edge, so that none has to move.
_BESIDE_LETTER = 32.0
#: How much the skin hides of bone and lesions.
_SKIN_OPACITY = 0.72


@dataclass(frozen=True)
class SkinCosts:
    """What is known of every point of the skin: the cost of the best path from it.

    Attributes:
        points_lps_mm: (n, 3).
        cost: (n,); NaN where no path from there is allowed.
    """

    points_lps_mm: FloatArray
    cost: FloatArray


def skin_picture(
    skin: Mapping[str, Any],
    names: Sequence[tuple[str, Sequence[Any]]],
    body: BoolArray,
    grid: GridGeometry,
    anatomy: Anatomy | None,
    lesions: Sequence[Lesion],
    costs: SkinCosts | None = None,
) -> Picture | None:
    """The skin around a point of a card; ``None`` where this computer cannot render.

    Args:
        skin: the ``skin`` of a card in the plan's document.
        names: what to mark, as (name, LPS position of the document).
        body: bool (z, y, x) on ``grid``.
        lesions: those with a mask shine through the skin.
        costs: coloured on the skin where given.
    """
    focus = to_point(skin["point_lps_mm"])
    eye = eye_for(body, grid, focus)
    view = _view(focus, eye)
    midline_mm = _minus(focus[0], skin["left_of_midline_mm"])
    middle_mm = _minus(focus[1], skin["behind_middle_mm"])
    frontal = abs(eye[1]) >= abs(eye[0]) - 1e-9
    origin = midline_mm if frontal else middle_mm
    part, part_grid = _slab(body, grid, focus)
    mesh = _with_normals(thinned_surface(part, part_grid, _SKIN_VOXEL_MM))
    actors = [*_insides(anatomy, lesions, focus)]
    if costs is not None:
        actors.append(_cost_points(costs, eye))
    actors += _grid_actors(mesh, eye, focus, origin, frontal)
    actors.append(actor_of(Surface(mesh, SKIN_TONE, _SKIN_OPACITY)))
    pixels = _rendered(actors, view, eye)
    if pixels is None:
        return None
    marks = [
        *_grid_words(view, focus, origin, frontal),
        *_landmark_marks(skin, view, focus, midline_mm),
        *_entry_marks(names, view),
    ]
    return Picture(pixels, view, None, tuple(marks), _caption(view, frontal, origin, costs))


def eye_for(body: BoolArray, grid: GridGeometry, focus: FloatArray) -> FloatArray:
    """From where a point of the skin is looked at: the front, the back, the left or the right.

    Only from these four is a line of equal distance to the midline (or to the middle from front
    to back) one straight line of the picture, whatever the shape of the skin. Skin that faces
    the head or the feet is looked at from the front.
    """
    outward = -inward_normals(body, grid, focus[None])[0]
    if np.hypot(outward[0], outward[1]) < 0.5:
        return np.array([0.0, -1.0, 0.0])
    step = math.pi / 2.0
    angle = step * round(math.atan2(outward[1], outward[0]) / step)
    return unit([round(math.cos(angle), 12), round(math.sin(angle), 12), 0.0])


def _minus(coordinate: float, offset: Any) -> float | None:
    """Where the midline or the middle lies, from a point's distance to it."""
    return None if offset is None else float(coordinate) - float(offset)


def _view(focus: FloatArray, eye: FloatArray) -> View:
    columns, rows = PIXELS
    up = np.array([0.0, 0.0, 1.0])
    right = np.cross(up, eye)
    corner = (
        focus
        - right * (columns - 1) / 2.0 * MM_PER_PIXEL
        + up * (rows - 1) / 2.0 * MM_PER_PIXEL
    )  # fmt: skip
    x, y, z = (float(value) for value in corner)
    a, b, c = (float(value) for value in right)
    return View((x, y, z), (a, b, c), (0.0, 0.0, -1.0), MM_PER_PIXEL, columns, rows)


def _slab(
    body: npt.NDArray[Any], grid: GridGeometry, focus: FloatArray
) -> tuple[npt.NDArray[Any], GridGeometry]:
    """The part of a body or label map (z, y, x) at the height of the point."""
    corners = grid.corners_lps_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    low[2], high[2] = focus[2] - _SLAB_MM, focus[2] + _SLAB_MM
    box = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), axis=-1).reshape(-1, 3)
    index = grid.to_index(box)
    last = np.asarray(grid.size) - 1
    start = np.clip(np.floor(index.min(axis=0)), 0, last).astype(int)
    end = np.clip(np.ceil(index.max(axis=0)), 0, last).astype(int) + 1
    part = body[start[2] : end[2], start[1] : end[1], start[0] : end[0]]
    first = (int(start[0]), int(start[1]), int(start[2]))
    size = end - start
    return part, grid.crop(first, (int(size[0]), int(size[1]), int(size[2])))


def _with_normals(mesh: vtkPolyData) -> vtkPolyData:
    normals = vtkPolyDataNormals()
    normals.SetInputData(mesh)
    normals.SplittingOff()
    normals.ConsistencyOn()
    normals.AutoOrientNormalsOn()
    normals.Update()
    made: vtkPolyData = normals.GetOutput()
    return made


def _insides(
    anatomy: Anatomy | None, lesions: Sequence[Lesion], focus: FloatArray
) -> list[vtkActor]:
    """Bone and lesions under the skin."""
    actors = []
    if anatomy is not None:
        bony = [one.label for one in anatomy.structures if is_bone(one.name)]
        if bony:
            labels, grid = _slab(anatomy.labels, anatomy.grid, focus)
            bone = np.isin(labels, bony)
            if bone.any():
                mesh = thinned_surface(bone, grid, _BONE_VOXEL_MM)
                actors.append(actor_of(Surface(mesh, BONE, 1.0)))
    for lesion in lesions:
        if lesion.mask is not None:
            columns, rows, slices = lesion.mask.box_grid.size
            grown = lesion.mask.box_grid.crop((-1, -1, -1), (columns + 2, rows + 2, slices + 2))
            mesh = mask_surface(np.pad(lesion.mask.voxels, 1), grown)
            actors.append(actor_of(Surface(mesh, LESION, 1.0)))
    return actors


def _grid_actors(
    mesh: vtkPolyData, eye: FloatArray, focus: FloatArray, origin: float | None, frontal: bool
) -> list[vtkActor]:
    """Lines on the skin, a centimetre apart; that of the midline is red."""
    half = np.array(PIXELS) * MM_PER_PIXEL / 2.0
    z = np.array([0.0, 0.0, 1.0])
    start = math.floor((focus[2] - half[1]) / GRID_MM)
    levels = range(start, start + int(2 * half[1] / GRID_MM) + 2)
    actors = _cuts(mesh, z, 0.0, levels, eye)
    if origin is None:
        return actors
    across = np.array([1.0, 0.0, 0.0]) if frontal else np.array([0.0, 1.0, 0.0])
    reach = math.ceil(2.0 * half[0] / GRID_MM)
    middle = round((float(focus @ across) - origin) / GRID_MM)
    numbers = [one for one in range(middle - reach, middle + reach + 1) if one != 0]
    actors += _cuts(mesh, across, origin, numbers, eye)
    colour = _MIDLINE_COLOUR if frontal else _GRID_COLOUR
    actors.append(_cut(mesh, across, origin, [0], eye, colour, _MIDLINE_WIDTH))
    return actors


def _cuts(
    mesh: vtkPolyData, normal: FloatArray, origin: float, numbers: Iterable[int], eye: FloatArray
) -> list[vtkActor]:
    """Lines of the grid, the numbered ones thicker."""
    thick = [number for number in numbers if number % _NUMBERED == 0]
    thin = [number for number in numbers if number % _NUMBERED != 0]
    return [
        _cut(mesh, normal, origin, chosen, eye, _GRID_COLOUR, width)
        for chosen, width in ((thin, _LINE_WIDTH), (thick, _NUMBERED_WIDTH))
    ]


def _cut(
    mesh: vtkPolyData,
    normal: FloatArray,
    origin: float,
    numbers: Sequence[int],
    eye: FloatArray,
    colour: Rgb,
    width: float,
) -> vtkActor:
    """The lines in which planes of the grid meet the skin, where the skin faces the eye."""
    plane = vtkPlane()
    plane.SetNormal(*normal)
    plane.SetOrigin(*(origin * normal))
    cutter = vtkCutter()
    cutter.SetInputData(mesh)
    cutter.SetCutFunction(plane)
    # All at once: each cut by itself looks at every triangle.
    cutter.SetNumberOfContours(len(numbers))
    for place, number in enumerate(numbers):
        cutter.SetValue(place, number * GRID_MM)
    cutter.Update()
    line: vtkPolyData = cutter.GetOutput()
    made = vtkPolyData()
    if line.GetNumberOfPoints():
        points = vtk_to_numpy(line.GetPoints().GetData()).astype(float)
        normals = vtk_to_numpy(line.GetPointData().GetNormals()).astype(float)
        cells = vtk_to_numpy(line.GetLines().GetConnectivityArray()).reshape(-1, 2)
        facing = normals @ eye > _FACING
        cells = cells[facing[cells].all(axis=1)]
        made = _polydata(points + _OVER_SKIN_MM * normals, cells)
    actor = _plain_actor(made, colour)
    actor.GetProperty().SetLineWidth(width)
    return actor


def _polydata(points: FloatArray, cells: npt.NDArray[Any]) -> vtkPolyData:
    """Points in LPS mm with cells (n, corners): 2 for lines, 1 for dots."""
    made = vtkPolyData()
    held = vtkPoints()
    held.SetData(numpy_to_vtk(np.ascontiguousarray(points), deep=True))
    made.SetPoints(held)
    array = vtkCellArray()
    corners = cells.shape[1]
    flat = np.ascontiguousarray(cells, dtype=np.int64).ravel()
    starts = np.arange(0, flat.size + 1, corners, dtype=np.int64)
    array.SetData(numpy_to_vtk(starts, deep=True), numpy_to_vtk(flat, deep=True))
    if corners == 2:
        made.SetLines(array)
    else:
        made.SetVerts(array)
    return made


def _plain_actor(mesh: vtkPolyData, colour: Rgb | None) -> vtkActor:
    """Drawn in its own colour, whatever the light."""
    mapper = vtkPolyDataMapper()
    mapper.SetInputData(mesh)
    actor = vtkActor()
    actor.SetMapper(mapper)
    look = actor.GetProperty()
    look.LightingOff()
    if colour is not None:
        mapper.ScalarVisibilityOff()
        look.SetColor(*colour)
    return actor


#: From the cheapest to the dearest path, and where there is none.
COST_COLOURS: tuple[Rgb, ...] = ((0.0, 0.45, 0.25), (0.85, 0.80, 0.10), (0.80, 0.30, 0.05))
NO_PATH_COLOUR: Rgb = (0.55, 0.55, 0.58)


def _cost_points(costs: SkinCosts, eye: FloatArray) -> vtkActor:
    """Dots on the skin, coloured by the rank of their cost."""
    safe = np.isfinite(costs.cost)
    colours = np.tile(np.asarray(NO_PATH_COLOUR), (len(costs.cost), 1))
    if safe.any():
        order = np.asarray(np.argsort(np.argsort(costs.cost[safe])), dtype=float)
        share = order / max(1, np.count_nonzero(safe) - 1)
        stops = np.linspace(0.0, 1.0, len(COST_COLOURS))
        table = np.asarray(COST_COLOURS)
        colours[safe] = np.stack(
            [np.interp(share, stops, table[:, band]) for band in range(3)], axis=1
        )
    mesh = _polydata(
        costs.points_lps_mm + 2.0 * _OVER_SKIN_MM * eye, np.arange(len(costs.cost))[:, None]
    )
    bytes_ = np.ascontiguousarray(np.round(255 * colours).astype(np.uint8))
    mesh.GetPointData().SetScalars(numpy_to_vtk(bytes_, deep=True, array_type=VTK_UNSIGNED_CHAR))
    actor = _plain_actor(mesh, None)
    actor.GetProperty().SetPointSize(4.0)
    return actor


def _rendered(
    actors: Sequence[vtkActor], view: View, eye: FloatArray
) -> npt.NDArray[np.uint8] | None:
    """The actors through a camera that sees exactly the view; ``None`` without a renderer."""
    kind = working_window()
    if kind is None:
        return None
    renderer = vtkRenderer()
    renderer.SetBackground(*BACKGROUND)
    for actor in actors:
        renderer.AddActor(actor)
    size = (view.columns, view.rows)
    right, down = np.asarray(view.right), np.asarray(view.down)
    middle = np.asarray(view.corner_lps_mm) + view.mm_per_pixel * (
        (view.columns - 1) / 2.0 * right + (view.rows - 1) / 2.0 * down
    )
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetFocalPoint(*middle)
    camera.SetPosition(*(middle + 2000.0 * eye))
    camera.SetViewUp(*(-down))
    camera.SetParallelScale(view.rows * view.mm_per_pixel / 2.0)
    return pixels_of(kind(), renderer, size)


@functools.cache
def working_window() -> Any:
    """The first kind of window that draws a known colour where it should; ``None`` for none.

    A driver that cannot draw gives noise without an error.
    """
    for kind in window_kinds():
        renderer = vtkRenderer()
        renderer.SetBackground(0.2, 0.4, 0.6)
        pixels = pixels_of(kind(), renderer, (16, 16))
        if pixels.shape == (16, 16, 3) and (pixels == (51, 102, 153)).all():
            return kind
    return None


def _grid_words(view: View, focus: FloatArray, origin: float | None, frontal: bool) -> list[Mark]:
    """Numbers of the thicker lines: centimetres from the midline, and the scan's z."""
    marks: list[Mark] = []
    half = np.array([view.columns, view.rows]) * view.mm_per_pixel / 2.0
    first = math.ceil((focus[2] - half[1]) / (_NUMBERED * GRID_MM))
    for number in range(first, first + int(2 * half[1] / (_NUMBERED * GRID_MM)) + 2):
        level = number * _NUMBERED * GRID_MM
        row = float(view.to_pixel([focus[0], focus[1], level])[1])
        if _NUMBERS_ROW < row < view.rows - 20:
            marks.append(Text((_BESIDE_LETTER, row), f"z {level:.0f}", "grid", "right"))
    if origin is None:
        return marks
    ways = ("R", "L") if frontal else ("A", "P")
    across = 0 if frontal else 1
    for number in range(-8, 9):
        point = focus.copy()
        point[across] = origin + number * _NUMBERED * GRID_MM
        column = float(view.to_pixel(point)[0])
        if 30 < column < view.columns - 30:
            cm = abs(number) * _NUMBERED * GRID_MM / 10.0
            zero = "midline" if frontal else "mid"
            words = zero if number == 0 else f"{ways[int(number > 0)]}{cm:.0f}"
            role = "midline" if number == 0 else "grid"
            marks.append(Text((column, _NUMBERS_ROW), words, role, "above"))
    return marks


def _landmark_marks(
    skin: Mapping[str, Any], view: View, focus: FloatArray, midline_mm: float | None
) -> list[Mark]:
    """Heights that can be felt: a dashed line across, with its name."""
    marks: list[Mark] = []
    for one in skin["landmarks"]:
        row = float(view.to_pixel([focus[0], focus[1], focus[2] - float(one["above_mm"])])[1])
        if 20 < row < view.rows - 30:
            ends = ((0.0, row), (view.columns - 1.0, row))
            marks.append(Line(ends, "landmark", dashed=True))
            marks.append(Text((view.columns - 1.0, row), one["name"], "landmark", "above"))
    return marks


def _entry_marks(names: Sequence[tuple[str, Sequence[Any]]], view: View) -> list[Mark]:
    marks: list[Mark] = []
    for name, position in names:
        column, row = (float(value) for value in view.to_pixel(to_point(position)))
        if 0 <= column < view.columns and 0 <= row < view.rows:
            marks.append(Disc((column, row), 9.0, "point"))
            marks.append(Disc((column, row), 3.0, "point", filled=True))
            marks.append(Text((column, row), name, "needle", "above"))
    return marks


def _caption(view: View, frontal: bool, origin: float | None, costs: SkinCosts | None) -> str:
    seen = {
        (0, -1): "the front", (0, 1): "the back", (1, 0): "the patient's left",
        (-1, 0): "the patient's right",
    }  # fmt: skip
    eye = np.cross(view.down, view.right)
    key = (int(np.sign(np.round(eye[0], 3))), int(np.sign(np.round(eye[1], 3))))
    lines = f"Skin seen from {seen[key]}; grid 1 cm; z: the scan's coordinate, mm."
    if origin is None:
        lines += " The midline is not known here."
    elif frontal:
        lines += " L and R: cm left and right of the midline."
    else:
        lines += " A and P: cm in front of and behind 'mid', half way from front to back."
    if costs is not None:
        lines += " Green to red: best to worst path from there; grey: no path is allowed."
    return lines
