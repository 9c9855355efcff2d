"""Parts of the 3-D scene: surfaces in a colour, and the orientation cube."""

from __future__ import annotations

from PyQt6.QtGui import QColor
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkRenderingAnnotation import vtkAnnotatedCubeActor
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper


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
