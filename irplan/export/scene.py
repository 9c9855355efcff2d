"""The 3-D view of a plan, rendered off screen: skin, bone, lesions, needles.

A plain off-screen render window of VTK, which needs no display. The camera keeps the patient's
head up; the letters at the edges are worked out from where the camera looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from vtkmodules import vtkRenderingOpenGL2
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import VTK_FLOAT
from vtkmodules.vtkCommonDataModel import vtkImageData, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D, vtkPolyDataNormals, vtkTubeFilter
from vtkmodules.vtkFiltersSources import vtkLineSource, vtkSphereSource
from vtkmodules.vtkRenderingCore import (
    vtkActor,
    vtkPolyDataMapper,
    vtkRenderer,
    vtkRenderWindow,
    vtkWindowToImageFilter,
)

from irplan.anatomy import Anatomy
from irplan.export.views import direction_letters
from irplan.geometry import BoolArray, FloatArray, GridGeometry, PointLps, unit
from irplan.lesions.lesion import Lesion

RgbArray = npt.NDArray[np.uint8]
Rgb = tuple[float, float, float]

#: Colours shared with the report's legend, 0-1.
SKIN: Rgb = (0.87, 0.72, 0.62)
BONE: Rgb = (0.93, 0.90, 0.80)
LESION: Rgb = (0.90, 0.35, 0.05)
NEEDLE: Rgb = (0.05, 0.45, 0.20)
BACKGROUND: Rgb = (1.0, 1.0, 1.0)

#: Surfaces are taken from voxels thinned to about this size, mm. Rendering in software costs by
#: the triangle, and the page shows no more of skin and bone.
BONE_VOXEL_MM = 4.0
SKIN_VOXEL_MM = 5.0
NEEDLE_RADIUS_MM = 1.5
_BLUR_VOXELS = 0.7
_LAYERS = 8
#: White around what is shown.
_AIR = 1.08


@dataclass(frozen=True)
class Surface:
    """What is drawn: a closed surface in LPS mm, its colour and how much it hides (0-1)."""

    mesh: vtkPolyData
    colour: Rgb
    opacity: float


@dataclass(frozen=True)
class SceneView:
    """A rendered view.

    Attributes:
        pixels: RGB (rows, columns, 3).
        letters: for the left, right, top and bottom edge.
        names: what to write where, as (text, column, row).
    """

    pixels: RgbArray
    letters: tuple[str, str, str, str]
    caption: str
    names: tuple[tuple[str, float, float], ...] = ()


def plan_scene(
    body: BoolArray,
    anatomy: Anatomy | None,
    lesions: Sequence[Lesion],
    needles: Sequence[Mapping[str, Any]],
    grid: GridGeometry,
) -> tuple[Surface, ...]:
    """The surfaces of a plan.

    Args:
        body: (z, y, x) on ``grid``.
        needles: needles of the plan's document.
    """
    surfaces = []
    for lesion in lesions:
        if lesion.mask is not None:
            mesh = mask_surface(np.pad(lesion.mask.voxels, 1), _grown(lesion.mask.box_grid))
            surfaces.append(Surface(mesh, LESION, 1.0))
    for needle in needles:
        entry = [float(number) for number in needle["entry_lps_mm"]]
        tip = [float(number) for number in needle["tip_lps_mm"]]
        surfaces.append(Surface(_tube(entry, tip), NEEDLE, 1.0))
        surfaces.append(Surface(_ball(entry, 2.5 * NEEDLE_RADIUS_MM), NEEDLE, 1.0))
    if anatomy is not None:
        bony = [one.label for one in anatomy.structures if is_bone(one.name)]
        if bony:
            bone = np.isin(anatomy.labels, bony)
            surfaces.append(Surface(thinned_surface(bone, anatomy.grid, BONE_VOXEL_MM), BONE, 0.55))
    # Translucent skin comes last, around everything.
    surfaces.append(Surface(thinned_surface(body, grid, SKIN_VOXEL_MM), SKIN, 0.22))
    return tuple(surfaces)


_BONE_NAMES = ("bone", "rib", "vertebra", "sternum", "scapula", "clavicula", "humerus", "femur",
               "hip", "sacrum", "skull", "costal")  # fmt: skip


def is_bone(name: str) -> bool:
    """Whether a structure's name (TotalSegmentator's included) is that of a bone."""
    return name.lower().startswith(_BONE_NAMES)


def thinned_surface(mask: BoolArray, grid: GridGeometry, voxel_mm: float) -> vtkPolyData:
    """The surface of a mask, from every n-th voxel so that voxels near ``voxel_mm`` remain."""
    steps = [max(1, round(voxel_mm / size)) for size in grid.spacing_mm]
    i, j, k = steps
    thin = mask[::k, ::j, ::i]
    depth, height, width = thin.shape
    sx, sy, sz = grid.spacing_mm
    coarse = GridGeometry(
        (width, height, depth), (sx * i, sy * j, sz * k), grid.origin_lps_mm, grid.direction
    )
    return mask_surface(np.pad(thin, 1), _grown(coarse))


def mask_surface(mask: BoolArray, grid: GridGeometry) -> vtkPolyData:
    """The surface of a mask (z, y, x) whose outer voxels are false, in LPS mm.

    The mask is blurred by less than a voxel first: the steps between slices go, the place stays.
    """
    field = ndimage.gaussian_filter(mask.astype(np.float32), _BLUR_VOXELS)
    image = vtkImageData()
    image.SetDimensions(*grid.size)
    image.SetSpacing(*grid.spacing_mm)
    image.SetOrigin(*grid.origin_lps_mm)
    image.SetDirectionMatrix(*grid.direction)
    image.GetPointData().SetScalars(_vtk_array(field.ravel()))
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    smooth = vtkPolyDataNormals()
    smooth.SetInputConnection(edges.GetOutputPort())
    smooth.SplittingOff()
    smooth.Update()
    mesh: vtkPolyData = smooth.GetOutput()
    return mesh


def render(
    surfaces: Sequence[Surface],
    towards_viewer: npt.ArrayLike,
    size: tuple[int, int],
    caption: str,
    names: Sequence[tuple[str, PointLps]] = (),
) -> SceneView | None:
    """The surfaces seen from one side, head up; ``None`` where this computer cannot render.

    Args:
        towards_viewer: LPS direction from the patient to the eye; not along the patient.
        size: columns of the picture, and the most rows that it may take.
        names: texts, and the LPS points that they belong to.
    """
    eye = unit(towards_viewer)
    for kind in window_kinds():
        renderer = vtkRenderer()
        renderer.SetBackground(*BACKGROUND)
        for surface in surfaces:
            renderer.AddActor(actor_of(surface))
        up, shown = _aim(renderer, eye, size)
        pixels = pixels_of(kind(), renderer, shown)
        # A driver that cannot draw gives noise without an error. The corners show nothing but
        # background, so they tell.
        if (pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all():
            right = np.cross(up, eye)
            left_edge, right_edge, top, bottom = (
                direction_letters(way) for way in (-right, right, up, -up)
            )
            placed = tuple((text, *_pixel_of(renderer, point, shown)) for text, point in names)
            return SceneView(pixels, (left_edge, right_edge, top, bottom), caption, placed)
    return None


def window_kinds() -> tuple[type[vtkRenderWindow], ...]:
    """First the one that asks no display for anything, where the platform has it."""
    without_display = getattr(vtkRenderingOpenGL2, "vtkEGLRenderWindow", None)
    return (without_display, vtkRenderWindow) if without_display else (vtkRenderWindow,)


def pixels_of(window: vtkRenderWindow, renderer: vtkRenderer, size: tuple[int, int]) -> RgbArray:
    """What the renderer shows, RGB (rows, columns, 3), the first row on top."""
    window.SetOffScreenRendering(1)
    # Depth peeling blends translucent surfaces in the right order; it needs no multisampling.
    window.SetMultiSamples(0)
    window.SetAlphaBitPlanes(1)
    window.SetSize(*size)
    window.AddRenderer(renderer)
    renderer.SetUseDepthPeeling(1)
    renderer.SetMaximumNumberOfPeels(_LAYERS)
    renderer.SetOcclusionRatio(0.0)
    renderer.ResetCameraClippingRange()
    window.Render()
    grab = vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    # It is drawn already; without a graphics card it takes as long again.
    grab.ShouldRerenderOff()
    grab.Update()
    image = grab.GetOutput()
    columns, rows, _ = image.GetDimensions()
    values = _numpy_array(image.GetPointData().GetScalars()).reshape(rows, columns, -1)
    pixels: RgbArray = np.ascontiguousarray(values[::-1, :, :3])
    window.Finalize()
    return pixels


def _pixel_of(renderer: vtkRenderer, point: PointLps, size: tuple[int, int]) -> tuple[float, float]:
    """(column, row) at which an LPS point appears."""
    columns, rows = size
    matrix = renderer.GetActiveCamera().GetCompositeProjectionTransformMatrix(
        columns / rows, -1.0, 1.0
    )
    x, y, _, w = matrix.MultiplyPoint((*point, 1.0))
    return (x / w + 1.0) / 2.0 * columns - 0.5, (1.0 - y / w) / 2.0 * rows - 0.5


def _aim(
    renderer: vtkRenderer, eye: FloatArray, size: tuple[int, int]
) -> tuple[FloatArray, tuple[int, int]]:
    """Point the camera along -eye at everything, head up.

    Returns:
        The upward direction, and (columns, rows) of a picture without needless white.
    """
    head = np.array([0.0, 0.0, 1.0])
    up = unit(head - (head @ eye) * eye)
    right = np.cross(up, eye)
    bounds = np.array(renderer.ComputeVisiblePropBounds()).reshape(3, 2)
    middle, half = bounds.mean(axis=1), np.ptp(bounds, axis=1) / 2.0
    half_width, half_height = (float(half @ np.abs(way)) * _AIR for way in (right, up))
    columns, most_rows = size
    rows = int(np.clip(round(columns * half_height / half_width), columns // 2, most_rows))
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetFocalPoint(*middle)
    camera.SetPosition(*(middle + eye * 4.0 * float(np.linalg.norm(half))))
    camera.SetViewUp(*up)
    camera.SetParallelScale(max(half_height, half_width * rows / columns))
    return up, (columns, rows)


def actor_of(surface: Surface) -> vtkActor:
    """What VTK draws of a surface."""
    mapper = vtkPolyDataMapper()
    mapper.SetInputData(surface.mesh)
    mapper.ScalarVisibilityOff()
    actor = vtkActor()
    actor.SetMapper(mapper)
    look = actor.GetProperty()
    look.SetColor(*surface.colour)
    look.SetOpacity(surface.opacity)
    look.SetSpecular(0.0)
    return actor


def _tube(entry: Sequence[float], tip: Sequence[float]) -> vtkPolyData:
    line = vtkLineSource()
    line.SetPoint1(*entry)
    line.SetPoint2(*tip)
    tube = vtkTubeFilter()
    tube.SetInputConnection(line.GetOutputPort())
    tube.SetRadius(NEEDLE_RADIUS_MM)
    tube.SetNumberOfSides(12)
    tube.CappingOn()
    tube.Update()
    mesh: vtkPolyData = tube.GetOutput()
    return mesh


def _ball(centre: Sequence[float], radius_mm: float) -> vtkPolyData:
    ball = vtkSphereSource()
    ball.SetCenter(*centre)
    ball.SetRadius(radius_mm)
    ball.SetThetaResolution(16)
    ball.SetPhiResolution(16)
    ball.Update()
    mesh: vtkPolyData = ball.GetOutput()
    return mesh


def _vtk_array(values: npt.NDArray[np.float32]) -> Any:
    return numpy_to_vtk(values, deep=True, array_type=VTK_FLOAT)


def _numpy_array(values: Any) -> RgbArray:
    array: RgbArray = vtk_to_numpy(values)
    return array


def _grown(grid: GridGeometry) -> GridGeometry:
    columns, rows, slices = grid.size
    return grid.crop((-1, -1, -1), (columns + 2, rows + 2, slices + 2))
