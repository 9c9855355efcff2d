"""The optimisers of SimpleITK behind two functions: a rigid and a deformable step.

Repeatable by construction: one work unit (the sums of a metric are then always added up in one
order), fixed samples, no random starts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from irplan.errors import InputRefused
from irplan.geometry import BoolArray, FloatArray
from irplan.registration.grids import Sheet
from irplan.registration.maps import RigidMap

#: Bins of the joint histogram (mutual information after Mattes, IEEE TMI 2003;22:120,
#: doi 10.1109/TMI.2003.809072). It does not ask for equal HU: contrast may differ.
HISTOGRAM_BINS = 40
_SEED = 20260429


def _simpleitk() -> Any:
    """SimpleITK, loaded late (it takes a moment) and untyped (it carries no types)."""
    import SimpleITK

    return SimpleITK


def image_of(sheet: Sheet, values: npt.NDArray[Any]) -> Any:
    """Values (z, y, x) on the sheet's grid as an image of SimpleITK."""
    image = _simpleitk().GetImageFromArray(values)
    image.SetSpacing(sheet.grid.spacing_mm)
    image.SetOrigin(sheet.grid.origin_lps_mm)
    return image


def refine_rigid(
    fixed: Sheet,
    fixed_mask: BoolArray,
    moving: Sheet,
    moving_mask: BoolArray,
    start: RigidMap,
    centre_lps_mm: FloatArray,
    step_mm: float,
    share: float = 1.0,
) -> RigidMap:
    """The rigid map near ``start`` under which the two sheets tell most about each other.

    Args:
        fixed, moving: the older and the newer scan.
        fixed_mask, moving_mask: voxels that count, (z, y, x) on each sheet.
        start: map from fixed to moving points, LPS mm.
        centre_lps_mm: fixed point about which is turned.
        step_mm: first step of the search.
        share: of the voxels that are looked at, on a regular raster.
    """
    sitk = _simpleitk()
    turn = sitk.Euler3DTransform()
    turn.SetCenter([float(value) for value in centre_lps_mm])
    method = _method(sitk, share)
    method.SetMetricFixedMask(image_of(fixed, fixed_mask.astype(np.uint8)))
    method.SetMetricMovingMask(image_of(moving, moving_mask.astype(np.uint8)))
    method.SetMovingInitialTransform(_affine(sitk, start))
    method.SetInitialTransform(turn, True)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step_mm,
        minStep=step_mm / 200.0,
        numberOfIterations=60,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-9,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    _run(method, image_of(fixed, fixed.values), image_of(moving, moving.values))
    own = RigidMap(
        np.asarray(turn.GetMatrix(), dtype=float).reshape(3, 3),
        np.asarray(turn.TransformPoint((0.0, 0.0, 0.0)), dtype=float),
    )
    return start.after(own)


def refine_deformable(
    fixed: Sheet,
    fixed_mask: BoolArray,
    moving: Sheet,
    moving_mask: BoolArray,
    rigid: RigidMap,
    knot_mm: float,
    shrink: tuple[int, ...],
    iterations: int,
) -> FloatArray:
    """Displacement before ``rigid`` on the fixed grid, mm, (z, y, x, 3): cubic B-splines.

    Args:
        knot_mm: distance of the spline's knots, about; wider is stiffer.
        shrink: factors by which the sheets are made coarser, the coarsest first.
        iterations: of the optimiser (L-BFGS-B), at every level.
    """
    sitk = _simpleitk()
    image = image_of(fixed, fixed.values)
    lengths = np.asarray(fixed.grid.size) * np.asarray(fixed.grid.spacing_mm)
    mesh = [max(1, round(float(length) / knot_mm)) for length in lengths]
    spline = sitk.BSplineTransformInitializer(image, mesh, order=3)
    method = _method(sitk, 1.0)
    method.SetMetricFixedMask(image_of(fixed, fixed_mask.astype(np.uint8)))
    method.SetMetricMovingMask(image_of(moving, moving_mask.astype(np.uint8)))
    method.SetMovingInitialTransform(_affine(sitk, rigid))
    method.SetInitialTransform(spline, True)
    method.SetShrinkFactorsPerLevel(list(shrink))
    method.SetSmoothingSigmasPerLevel([float(factor) / 2.0 for factor in shrink])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetOptimizerAsLBFGSB(
        gradientConvergenceTolerance=1e-5,
        numberOfIterations=iterations,
        maximumNumberOfCorrections=5,
        maximumNumberOfFunctionEvaluations=2 * iterations,
        costFunctionConvergenceFactor=1e8,
    )
    _run(method, image, image_of(moving, moving.values))
    field = sitk.TransformToDisplacementField(
        spline,
        sitk.sitkVectorFloat64,
        image.GetSize(),
        image.GetOrigin(),
        image.GetSpacing(),
        image.GetDirection(),
    )
    moved: FloatArray = np.asarray(sitk.GetArrayFromImage(field), dtype=float)
    return moved


def _method(sitk: Any, share: float) -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(HISTOGRAM_BINS)
    if share < 1.0:
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentage(share, _SEED)
    else:
        method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _run(method: Any, fixed: Any, moving: Any) -> None:
    """Run the optimiser.

    Raises:
        InputRefused: there is too little to register by, such as no tissue in common.
    """
    try:
        method.Execute(fixed, moving)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputRefused(
            "registration_failed",
            "the two scans cannot be laid over each other: "
            + (lines[-1] if lines else "no reason"),
            "check that both show the same part of one patient",
        ) from error


def _affine(sitk: Any, rigid: RigidMap) -> Any:
    affine = sitk.AffineTransform(3)
    affine.SetMatrix([float(value) for value in rigid.rotation.ravel()])
    affine.SetTranslation([float(value) for value in rigid.shift_mm])
    return affine
