"""Parts of the 3-D scene: surfaces in a colour, and the orientation cube."""

from __future__ import annotations

import numpy as np
from PyQt6.QtGui import QColor
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersCore import vtkTubeFilter
from vtkmodules.vtkFiltersSources import vtkLineSource, vtkSphereSource
from vtkmodules.vtkRenderingAnnotation import vtkAnnotatedCubeActor
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

from irplan.geometry import FloatArray, PointLps


def rgb_of(colour: str) -> tuple[float, float, float]:
    """A colour of the style as VTK wants it."""
    made = QColor(colour)
    return made.redF(), made.greenF(), made.blueF()


def actor_of(
    surface: vtkPolyData, rgb: tuple[float, float, float], opacity: float, ambient: float = 0.12
) -> vtkActor:
    """A surface in one colour; ``ambient`` is the share of light that comes from everywhere."""
    mapper = vtkPolyDataMapper()
    mapper.SetInputData(surface)
    mapper.ScalarVisibilityOff()
    actor = vtkActor()
    actor.SetMapper(mapper)
    look = actor.GetProperty()
    look.SetColor(*rgb)
    look.SetOpacity(opacity)
    look.SetAmbient(ambient)
    look.SetDiffuse(1.0 - ambient)
    return actor


def painted_actor(surface: vtkPolyData) -> vtkActor:
    """A surface in the colours of its own points, opaque."""
    mapper = vtkPolyDataMapper()
    mapper.SetInputData(surface)
    mapper.SetColorModeToDirectScalars()
    mapper.ScalarVisibilityOn()
    actor = vtkActor()
    actor.SetMapper(mapper)
    look = actor.GetProperty()
    look.SetAmbient(0.45)
    look.SetDiffuse(0.6)
    look.BackfaceCullingOn()
    return actor


def tube(
    start: PointLps,
    end: PointLps,
    radius_mm: float,
    rgb: tuple[float, float, float],
    opacity: float,
) -> vtkActor:
    """A straight piece of a needle."""
    line = vtkLineSource()
    line.SetPoint1(*start)
    line.SetPoint2(*end)
    made = vtkTubeFilter()
    made.SetInputConnection(line.GetOutputPort())
    made.SetRadius(radius_mm)
    made.SetNumberOfSides(12)
    made.CappingOn()
    made.Update()
    return actor_of(made.GetOutput(), rgb, opacity, ambient=0.6)


def ball(centre: PointLps, radius_mm: float, rgb: tuple[float, float, float]) -> vtkActor:
    """An end of a needle."""
    made = vtkSphereSource()
    made.SetCenter(*centre)
    made.SetRadius(radius_mm)
    made.SetThetaResolution(16)
    made.SetPhiResolution(16)
    made.Update()
    return actor_of(made.GetOutput(), rgb, 1.0, ambient=0.5)


def dashes(start: PointLps, end: PointLps, dash_mm: float = 2.5) -> list[tuple[PointLps, PointLps]]:
    """The full pieces of a dashed line, as long as the gaps between them."""
    a, b = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    count = max(1, round(float(np.linalg.norm(b - a)) / (2 * dash_mm)))
    stops = np.linspace(0.0, 1.0, 2 * count)
    return [
        (_point(a + one * (b - a)), _point(a + other * (b - a)))
        for one, other in zip(stops[::2], stops[1::2], strict=True)
    ]


def _point(values: FloatArray) -> PointLps:
    x, y, z = (float(value) for value in values)
    return x, y, z


def orientation_cube() -> vtkAnnotatedCubeActor:
    """A cube with the letter of the patient's side on each face."""
    cube = vtkAnnotatedCubeActor()
    cube.SetXPlusFaceText("L")
    cube.SetXMinusFaceText("R")
    cube.SetYPlusFaceText("P")
    cube.SetYMinusFaceText("A")
    cube.SetZPlusFaceText("H")
    cube.SetZMinusFaceText("F")
    cube.SetFaceTextScale(0.62)
    cube.GetCubeProperty().SetColor(0.16, 0.22, 0.28)
    cube.GetTextEdgesProperty().SetColor(0.6, 0.7, 0.8)
    for face in (
        cube.GetXPlusFaceProperty(),
        cube.GetXMinusFaceProperty(),
        cube.GetYPlusFaceProperty(),
        cube.GetYMinusFaceProperty(),
        cube.GetZPlusFaceProperty(),
        cube.GetZMinusFaceProperty(),
    ):
        face.SetColor(0.95, 0.97, 1.0)
    # The face texts stand the way a person reads them from outside with the head up.
    cube.SetXFaceTextRotation(0)
    cube.SetYFaceTextRotation(0)
    cube.SetZFaceTextRotation(-90)
    return cube
