"""Surfaces for the 3-D view, built away from the window's thread. VTK data only, no rendering.

A surface is for looking at; no number is taken from it. Skin and bone come from a coarse copy of
the volume and are thinned, lesions from their own voxels. All points are LPS mm.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import VTK_FLOAT
from vtkmodules.vtkCommonDataModel import vtkImageData, vtkPolyData
from vtkmodules.vtkCommonExecutionModel import vtkPolyDataAlgorithm
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkCommonTransforms import vtkTransform
from vtkmodules.vtkFiltersCore import (
    vtkDecimatePro,
    vtkFlyingEdges3D,
    vtkPolyDataNormals,
    vtkReverseSense,
)
from vtkmodules.vtkFiltersGeneral import vtkTransformFilter

from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.lesions.lesion import LesionMask
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume

#: Spacing of the coarse copies that skin and bone are drawn from, mm.
SKIN_MM = 3.0
BONE_MM = 2.0
#: Above this is drawn as bone; vessels full of contrast medium may pass it.
BONE_HU = 220.0
#: Triangles that a surface is thinned to: a software renderer then stays under 50 ms a frame.
MOST_TRIANGLES = 80_000
#: Voxels of "outside" laid around a field.
RIM = 2


def skin_surface(body: BoolArray, grid: GridGeometry, task: Task = SILENT) -> vtkPolyData:
    """The skin, from the patient's outline."""
    field, coarse_grid = _coarse(body.astype(np.float32), grid, SKIN_MM)
    task.step()
    return _surface(field, coarse_grid, 0.5, 1.0, task)


def bone_surface(volume: CtVolume, body: BoolArray, task: Task = SILENT) -> vtkPolyData:
    """Dense tissue inside the patient: bone, and what contrast medium makes as dense."""
    clipped = np.where(body, np.clip(volume.hu, -200, 800), -200).astype(np.float32)
    task.step()
    field, coarse_grid = _coarse(clipped, volume.geometry, BONE_MM)
    task.step()
    return _surface(field, coarse_grid, BONE_HU, 0.6, task)


def lesion_surface(mask: LesionMask) -> vtkPolyData:
    """A lesion, from its voxels, with a little smoothing."""
    return _surface(mask.voxels.astype(np.float32), mask.box_grid, 0.5, 0.7)


def _coarse(
    field: npt.NDArray[np.float32], grid: GridGeometry, spacing_mm: float
) -> tuple[npt.NDArray[np.float32], GridGeometry]:
    """Block means with about ``spacing_mm`` between them, on their own grid."""
    factors = [
        min(max(1, round(spacing_mm / space)), size)
        for space, size in zip(grid.spacing_mm, grid.size, strict=True)
    ]
    size = [count // factor for count, factor in zip(grid.size, factors, strict=True)]
    (fi, fj, fk), (ni, nj, nk) = factors, size
    cut = field[: nk * fk, : nj * fj, : ni * fi]
    blocks = cut.reshape(nk, fk, nj, fj, ni, fi).mean(axis=(1, 3, 5), dtype=np.float32)
    origin = grid.to_lps([(factor - 1) / 2 for factor in factors])
    x, y, z = (space * factor for space, factor in zip(grid.spacing_mm, factors, strict=True))
    coarse = GridGeometry(
        (ni, nj, nk),
        (x, y, z),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        grid.direction,
    )
    return np.asarray(blocks, dtype=np.float32), coarse


def _surface(
    field: npt.NDArray[np.float32],
    grid: GridGeometry,
    level: float,
    sigma: float,
    task: Task = SILENT,
) -> vtkPolyData:
    """The surface of ``field`` (z, y, x) at ``level``, smoothed by ``sigma`` voxels, in LPS mm."""
    # A rim of "outside", so that what the scan cuts is closed.
    low = np.float32(min(float(field.min()), level - 1.0))
    padded = np.pad(field, RIM, constant_values=low)
    smooth = ndimage.gaussian_filter(padded, sigma)
    task.step()
    edges = vtkFlyingEdges3D()
    edges.SetInputData(_image(smooth))
    edges.SetValue(0, level)
    edges.ComputeNormalsOff()
    edges.Update()
    task.step()
    moved = vtkTransformFilter()
    moved.SetInputData(_thinned(edges.GetOutput()))
    moved.SetTransform(_index_to_lps(grid, -float(RIM)))
    last: vtkPolyDataAlgorithm | vtkTransformFilter = moved
    if np.linalg.det(grid.axes) < 0:  # a mirrored grid turns every triangle inside out
        turned = vtkReverseSense()
        turned.SetInputConnection(moved.GetOutputPort())
        turned.ReverseCellsOn()
        last = turned
    task.step()
    normals = vtkPolyDataNormals()
    normals.SetInputConnection(last.GetOutputPort())
    normals.SplittingOff()
    normals.ConsistencyOff()
    normals.Update()
    task.step()
    return _output(normals)


def _thinned(surface: vtkPolyData) -> vtkPolyData:
    triangles = surface.GetNumberOfCells()
    if triangles <= MOST_TRIANGLES:
        return surface
    decimation = vtkDecimatePro()
    decimation.SetInputData(surface)
    decimation.SetTargetReduction(1.0 - MOST_TRIANGLES / triangles)
    decimation.PreserveTopologyOn()
    decimation.SplittingOff()
    decimation.Update()
    return _output(decimation)


def _output(last: vtkPolyDataAlgorithm) -> vtkPolyData:
    """What a filter made; the stubs of VTK call it anything."""
    made: vtkPolyData = last.GetOutput()
    return made


def _image(field: npt.NDArray[np.float32]) -> vtkImageData:
    """The field (z, y, x) as an image in index space: spacing 1, origin 0."""
    depth, height, width = field.shape
    image = vtkImageData()
    image.SetDimensions(width, height, depth)
    image.GetPointData().SetScalars(
        numpy_to_vtk(np.ascontiguousarray(field).ravel(), deep=True, array_type=VTK_FLOAT)
    )
    return image


def _index_to_lps(grid: GridGeometry, shift: float) -> vtkTransform:
    """Index plus ``shift`` → LPS mm, as VTK wants it."""
    columns: FloatArray = grid.axes * np.asarray(grid.spacing_mm)
    start = grid.to_lps((shift, shift, shift))
    matrix = vtkMatrix4x4()
    for row in range(3):
        for column in range(3):
            matrix.SetElement(row, column, float(columns[row, column]))
        matrix.SetElement(row, 3, float(start[row]))
    transform = vtkTransform()
    transform.SetMatrix(matrix)
    return transform
