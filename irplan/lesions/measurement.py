"""Measures of a lesion from its voxels: volume, diameters, depth under the skin, HU.

Conventions (each is tested against analytic bodies or brute force):

* The border of a mask is laid through it as an image would show it, smoothed within each slice by
  less than a pixel (:mod:`~irplan.lesions.diameters`), so a body of diameter d measures d: along
  the corners of its voxels it would measure half a pixel more, from voxel centre to voxel centre
  half a pixel less.
* The longest diameter is the longest line between two border points of one axial slice (RECIST).
  Where the slices of the scan lie within :data:`AXIAL_TOLERANCE_DEG` of the axial plane they are
  the planes used; otherwise the mask is first laid on an axial grid (finding
  ``axial_planes_resampled``).
* The short axis is the longest chord perpendicular to the longest diameter, in the same slice
  (RECIST 1.1's short axis of a node).
* Depth is the shortest way from the lesion's border to a voxel outside the body, face to face.

The lines are in :mod:`~irplan.lesions.diameters`, those that a person drew over them in
:mod:`~irplan.lesions.drawn`, the depth in :mod:`~irplan.lesions.depth`, the
necrotic share in :mod:`~irplan.lesions.necrosis`, the side in :mod:`~irplan.lesions.sides`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np

from irplan import units
from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray, PointLps
from irplan.lesions.contact import contacts_before_anatomy
from irplan.lesions.depth import depth_below_skin_mm, depth_of_point_mm
from irplan.lesions.diameters import (
    AXIAL_TOLERANCE_DEG,
    AxialDiameters,
    Calliper,
    axial_diameters,
    diameter_3d,
    head_foot_extent_mm,
    slice_tilt_deg,
)
from irplan.lesions.drawn import without_drawn_findings
from irplan.lesions.lesion import Lesion, LesionMask
from irplan.lesions.necrosis import necrotic_share
from irplan.lesions.sides import side_findings
from irplan.volume import CtVolume

#: Volume over that of the ellipsoid through the three diameters: outside these the lesion is far
#: from an ellipsoid or the mask is wrong. Customary setting.
ELLIPSOID_RATIO = (0.5, 1.5)
#: Necrosis is told from this share of the volume on. A setting.
NECROSIS_TOLD = 0.1

STAGE = "lesions"

AXIAL_RESAMPLED = declare(
    "axial_planes_resampled",
    Severity.INFO,
    STAGE,
    "{lesion}: the slices lie {tilt_deg}° from the axial plane; the diameters were taken on axial "
    "planes laid through the mask",
)
FAR_FROM_ELLIPSOID = declare(
    "volume_far_from_ellipsoid",
    Severity.WARN,
    STAGE,
    "{lesion}: {volume_ml} mL is {ratio} times the ellipsoid through its three diameters "
    "({ellipsoid_ml} mL): look at the mask",
)
DEPTH_UNKNOWN = declare(
    "depth_unknown",
    Severity.INFO,
    STAGE,
    "{lesion}: no skin is in view, so its depth is unknown",
)
DEPTH_AT_MOST = declare(
    "depth_at_most",
    Severity.INFO,
    STAGE,
    "{lesion}: the scan ends {edge_mm} mm from the lesion, inside the body; the skin in view is "
    "{depth_mm} mm away, and nearer skin may lie outside the scan",
)
TOUCHES_FIELD = declare(
    "lesion_touches_field",
    Severity.WARN,
    STAGE,
    "{lesion}: the mask reaches the edge of the scan; part of the lesion may lie outside it, so "
    "its volume and diameters are too small",
)
NECROTIC = declare(
    "lesion_necrotic",
    Severity.INFO,
    STAGE,
    "{lesion}: about {percent} % of it does not enhance and looks necrotic: only solid tumour is a "
    "target",
)


def measure_lesion(lesion: Lesion, volume: CtVolume, body: BoolArray | None) -> Lesion:
    """The lesion with every measurement filled in from its mask.

    A volume that stands already (a segmenter knows the border finer than voxels) is kept;
    otherwise it is the number of voxels times the volume of one.

    Args:
        lesion: with its mask; without one it is returned as it is.
        volume: the CT on whose grid the mask lies.
        body: bool (z, y, x), the patient; ``None`` leaves the depth unknown.

    Raises:
        ValueError: mask and CT lie on different grids.
    """
    mask = lesion.mask
    if mask is None:
        return lesion
    if not mask.grid.same_grid(volume.geometry):
        raise ValueError("the mask does not lie on the grid of the CT")
    findings: list[Finding] = []
    name = lesion.lesion_id
    volume_ml = lesion.volume_ml
    if volume_ml is None:
        volume_ml = units.ml(mask.voxel_volume_ml)
    whole = diameter_3d(mask)
    axial = axial_diameters(mask)
    if axial.resampled:
        tilt = units.deg(slice_tilt_deg(mask.grid))
        findings.append(AXIAL_RESAMPLED(name, lesion=name, tilt_deg=tilt))
    depth_mm, depth_findings = _depth(name, mask, body)
    findings += depth_findings
    if _touches_field(mask):
        findings.append(TOUCHES_FIELD(name, lesion=name))
    findings += _ellipsoid_check(name, volume_ml, mask, axial)
    values = volume.hu[mask.slices_zyx][mask.voxels].astype(float)
    necrosis = necrotic_share(mask, volume)
    if necrosis.share is not None and necrosis.share >= NECROSIS_TOLD:
        percent = round(100 * necrosis.share)
        findings.append(NECROTIC(name, lesion=name, percent=percent))
    measured = replace(
        lesion,
        volume_ml=volume_ml,
        longest_diameter_mm=axial.longest.length_mm,
        longest_diameter_ends_lps_mm=axial.longest.ends_lps_mm,
        short_axis_mm=axial.short.length_mm,
        short_axis_ends_lps_mm=axial.short.ends_lps_mm,
        short_axis_source="measured",
        measured_short_axis_mm=axial.short.length_mm,
        measured_short_axis_ends_lps_mm=axial.short.ends_lps_mm,
        diameter_3d_mm=whole.length_mm,
        diameter_3d_ends_lps_mm=whole.ends_lps_mm,
        diameter_3d_source="measured",
        measured_diameter_3d_mm=whole.length_mm,
        measured_diameter_3d_ends_lps_mm=whole.ends_lps_mm,
        centroid_lps_mm=centroid_lps_mm(mask),
        depth_below_skin_mm=depth_mm,
        mean_hu=float(values.mean()),
        sd_hu=float(values.std()),
        necrotic_share=necrosis.share,
        necrosis_unknown_why=necrosis.unknown_why,
        diameter_source="measured",
        measured_diameter_mm=axial.longest.length_mm,
        measured_diameter_ends_lps_mm=axial.longest.ends_lps_mm,
        findings=_merged(lesion.findings, findings),
    )
    told = replace(measured, contacts=contacts_before_anatomy(measured))
    return side_findings(told, volume, body)


def _merged(old: tuple[Finding, ...], new: list[Finding]) -> tuple[Finding, ...]:
    """The older findings without those that were measured again, then the new ones."""
    codes = {
        rule.code
        for rule in (
            AXIAL_RESAMPLED,
            FAR_FROM_ELLIPSOID,
            DEPTH_UNKNOWN,
            DEPTH_AT_MOST,
            TOUCHES_FIELD,
            NECROTIC,
        )
    }
    kept = without_drawn_findings(old)
    return (*(finding for finding in kept if finding.code not in codes), *new)


# ---------------------------------------------------------------------------- volume and centre


def ellipsoid_ml(d1_mm: float, d2_mm: float, d3_mm: float) -> float:
    """Volume in mL of the ellipsoid with these three diameters in mm: π/6 · d1 · d2 · d3."""
    return math.pi / 6.0 * d1_mm * d2_mm * d3_mm / 1000.0


def centroid_lps_mm(mask: LesionMask) -> PointLps:
    """Mean of the voxel centres, LPS mm. May lie outside a curved lesion."""
    k, j, i = np.nonzero(mask.voxels)
    index = np.array([i.mean(), j.mean(), k.mean()]) + np.asarray(mask.start)
    x, y, z = mask.grid.to_lps(index).tolist()
    return x, y, z


def _ellipsoid_check(
    name: str, volume_ml: Decimal, mask: LesionMask, axial: AxialDiameters
) -> list[Finding]:
    ellipsoid = ellipsoid_ml(
        axial.longest.length_mm, axial.short.length_mm, head_foot_extent_mm(mask)
    )
    ratio = float(volume_ml) / ellipsoid
    if ELLIPSOID_RATIO[0] <= ratio <= ELLIPSOID_RATIO[1]:
        return []
    return [
        FAR_FROM_ELLIPSOID(
            name,
            lesion=name,
            volume_ml=volume_ml,
            ratio=units.quantize(ratio, Decimal("0.01")),
            ellipsoid_ml=units.ml(ellipsoid),
        )
    ]


def _touches_field(mask: LesionMask) -> bool:
    start = np.asarray(mask.start)
    stop = start + np.asarray(mask.voxels.shape[::-1])
    return bool((start == 0).any() or (stop == np.asarray(mask.grid.size)).any())


def _depth(
    name: str, mask: LesionMask, body: BoolArray | None
) -> tuple[float | None, list[Finding]]:
    if body is None:
        return None, [DEPTH_UNKNOWN(name, lesion=name)]
    depth_mm = depth_below_skin_mm(mask, body)
    if depth_mm is None:
        return None, [DEPTH_UNKNOWN(name, lesion=name)]
    edge_mm = _field_edge_mm(mask)
    if edge_mm < depth_mm:
        finding = DEPTH_AT_MOST(
            name, lesion=name, edge_mm=units.mm(edge_mm), depth_mm=units.mm(depth_mm)
        )
        return depth_mm, [finding]
    return depth_mm, []


def _field_edge_mm(mask: LesionMask) -> float:
    """Distance from the lesion's box to the nearest outer face of the scan, mm."""
    start = np.asarray(mask.start)
    stop = start + np.asarray(mask.voxels.shape[::-1])
    gaps = np.minimum(start, np.asarray(mask.grid.size) - stop) * np.asarray(mask.grid.spacing_mm)
    return float(gaps.min())


__all__ = [
    "AXIAL_TOLERANCE_DEG",
    "AxialDiameters",
    "Calliper",
    "axial_diameters",
    "centroid_lps_mm",
    "depth_below_skin_mm",
    "depth_of_point_mm",
    "diameter_3d",
    "ellipsoid_ml",
    "head_foot_extent_mm",
    "measure_lesion",
    "slice_tilt_deg",
]
