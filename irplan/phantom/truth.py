"""The truth beside the CT: label maps and one JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from scipy.spatial import cKDTree

from irplan import jsonio, units
from irplan.documents import envelope, grid_document, point_document
from irplan.files import replacing, write_text
from irplan.geometry import FloatArray, GridGeometry
from irplan.phantom.landmarks import LANDMARKS
from irplan.phantom.lesions import LesionTruth
from irplan.phantom.motion import BREATH_CENTRE_MM, BREATH_RADII_MM, Motion
from irplan.phantom.skin import skin_points
from irplan.phantom.spec import Phantom

FILES = ("anatomy.nrrd", "lesions.nrrd", "truth.json")


def write_truth(phantom: Phantom, folder: Path) -> tuple[Path, ...]:
    """Write ``anatomy.nrrd`` and ``lesions.nrrd`` (label maps on the CT's grid) and
    ``truth.json`` into ``folder``.

    Raises:
        InputRefused: the folder cannot be written to.
    """
    paths = tuple(folder / name for name in FILES)
    _save_labels(phantom.labels, phantom.grid, paths[0])
    _save_labels(phantom.lesion_labels, phantom.grid, paths[1])
    write_text(paths[2], jsonio.dumps(truth_document(phantom)) + "\n")
    return paths


def _save_labels(labels: np.ndarray, grid: GridGeometry, target: Path) -> None:
    image = SimpleITK.GetImageFromArray(labels)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_lps_mm)
    image.SetDirection(grid.direction)
    with replacing(target) as temporary:
        SimpleITK.WriteImage(image, str(temporary), useCompression=True, compressionLevel=9)


def truth_document(phantom: Phantom) -> dict[str, Any]:
    """The truth as ``irplan.phantom_truth/1``: grid, motion, landmarks, structures, lesions."""
    spec = phantom.spec
    counts = np.bincount(phantom.labels.ravel(), minlength=256)
    depths = depths_below_skin_mm(phantom.lesions, spec.motion)
    body = {
        "visit": spec.timepoint,
        "patient_position": spec.position,
        "geometry": grid_document(phantom.grid),
        "settings": {
            "noise_hu": _exact(spec.noise_hu),
            "blur_mm": _exact(spec.blur_mm),
            "seed": spec.seed,
            "samples": spec.samples,
            "contrast": spec.contrast,
        },
        "motion": _motion(spec.motion),
        "landmarks": [
            {
                "name": name,
                "visit_1_lps_mm": point_document(point),
                "here_lps_mm": point_document(_tuple(spec.motion.from_reference(point))),
            }
            for name, point in LANDMARKS.items()
        ],
        "lesions": [_lesion(one, depths[one.lesion_id], phantom) for one in phantom.lesions],
        "structures": [
            {
                "name": name,
                "label": label,
                "voxels_ml": units.ml(float(counts[label]) * phantom.grid.voxel_ml),
            }
            for label, name in phantom.label_names.items()
        ],
    }
    return envelope("phantom_truth", body)


def _motion(motion: Motion) -> Mapping[str, Any]:
    return {
        "rule": "x here was at X at visit 1: y = R^T (x - pivot - shift) + pivot; X = y - D(y); "
        "D(y) = breath * (1 - q)^2 where q = sum(((y - centre) / radii)^2) < 1, else 0; "
        "R = Rz Ry Rx",
        "rotation_xyz_deg": [_exact(value) for value in motion.rotation_deg],
        "pivot_lps_mm": [_exact(value) for value in motion.pivot_mm],
        "shift_mm": [_exact(value) for value in motion.shift_mm],
        "breath_mm": [_exact(value) for value in motion.breath_mm],
        "breath_centre_lps_mm": [_exact(value) for value in BREATH_CENTRE_MM],
        "breath_radii_mm": [_exact(value) for value in BREATH_RADII_MM],
    }


def _lesion(lesion: LesionTruth, depth_mm: float, phantom: Phantom) -> dict[str, Any]:
    shape = lesion.shape
    voxels = int(np.count_nonzero(phantom.lesion_labels == lesion.label))
    return {
        "lesion_id": lesion.lesion_id,
        "label": lesion.label,
        "name": lesion.name,
        "kind": lesion.kind,
        "site": lesion.site,
        "side": lesion.side,
        "guidance": lesion.guidance,
        "volume_ml": units.quantize(shape.volume_ml, Decimal("0.000001")),
        "necrotic_ml": units.quantize(lesion.necrotic_ml, Decimal("0.000001")),
        "voxels_ml": units.ml(voxels * phantom.grid.voxel_ml),
        "centre_lps_mm": point_document(lesion.centre_lps_mm),
        "shape": "lobulated" if shape.lobes else "ellipsoid",
        "semi_axes_mm": [_exact(value) for value in shape.semi_axes_mm],
        "axes_lps": [_exact(value) for value in shape.axes],
        "lobes": [
            {
                "direction": [_exact(value) for value in lobe.direction],
                "height": _exact(lobe.height),
                "sharp": _exact(lobe.sharp),
            }
            for lobe in shape.lobes
        ],
        "longest_axial_diameter_mm": units.quantize(
            shape.longest_axial_diameter_mm, Decimal("0.01")
        ),
        "longest_diameter_3d_mm": units.quantize(shape.longest_diameter_3d_mm, Decimal("0.01")),
        "depth_below_skin_mm": units.mm(depth_mm),
        "hu": units.hu(lesion.hu),
        "necrotic_hu": units.hu(lesion.core_hu) if lesion.core is not None else None,
    }


def depths_below_skin_mm(lesions: tuple[LesionTruth, ...], motion: Motion) -> dict[str, float]:
    """From the skin to each lesion's nearest border, mm, to about 0.3 mm."""
    skin = motion.from_reference(skin_points())
    depths = {}
    for one in lesions:
        centre = np.asarray(one.centre_lps_mm)
        surface = one.shape.surface_mm(91) + centre
        tree = cKDTree(surface)
        from_centre = np.linalg.norm(skin - centre, axis=1)
        # A rough answer bounds how far from the centre the nearest skin can lie.
        rough = skin[from_centre <= from_centre.min() + 3.0]
        bound = float(tree.query(rough)[0].min()) + 1e-6
        near = skin[from_centre <= bound + one.shape.reach_mm]
        depths[one.lesion_id] = float(tree.query(near, distance_upper_bound=bound)[0].min())
    return depths


def _exact(value: float) -> Decimal:
    return units.quantize(value, Decimal("0.000001"))


def _tuple(point: FloatArray) -> tuple[float, float, float]:
    x, y, z = point.tolist()
    return x, y, z
