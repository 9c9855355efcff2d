"""The made-up patient as a radiologist would check it: sides, closure, nothing inside out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import SMALL
from scipy import ndimage

from irplan.phantom import build_phantom
from irplan.phantom.truth import depths_below_skin_mm

BONE = ("vertebrae", "rib", "hip", "femur", "humerus", "scapula", "clavicula", "sternum", "sacrum")
AVOID = (
    "heart", "aorta", "pulmonary", "superior", "inferior", "iliac", "femoral", "axillary",
    "portal", "brachio", "subclavian", "common", "internal", "renal", "celiac", "small_bowel",
    "colon", "stomach", "duodenum", "gallbladder", "esophagus", "trachea", "urinary", "spinal",
)  # fmt: skip


def masked(phantom, *starts):
    chosen = [label for label, name in phantom.label_names.items() if name.startswith(starts)]
    return np.isin(phantom.labels, chosen)


def centre_mm(phantom, name):
    voxels = np.argwhere(phantom.structure_mask(name))[:, ::-1]
    return phantom.grid.to_lps(voxels.mean(axis=0))


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [
        ("liver", 0, -1), ("gallbladder", 0, -1), ("inferior_vena_cava", 0, -1),
        ("spleen", 0, 1), ("stomach", 0, 1), ("aorta", 0, 1), ("heart", 0, 1),
        ("kidney_left", 0, 1), ("kidney_right", 0, -1), ("femur_left", 0, 1), ("hip_right", 0, -1),
        ("scapula_left", 0, 1), ("scapula_left", 1, 1), ("scapula_right", 1, 1),
        ("vertebrae_L3", 1, 1), ("vertebrae_T7", 1, 1), ("sternum", 1, -1),
        ("urinary_bladder", 1, -1), ("table", 1, 1), ("heart", 1, -1),
    ],
)  # fmt: skip
def test_each_structure_lies_on_its_side(visit1, name, axis, sign):
    assert sign * centre_mm(visit1, name)[axis] > 2.0


def test_vertebrae_and_ribs_come_in_order_from_head_to_foot(visit1):
    spine = [f"vertebrae_C{n}" for n in range(3, 8)]
    spine += [f"vertebrae_T{n}" for n in range(1, 13)] + [f"vertebrae_L{n}" for n in range(1, 6)]
    heights = [centre_mm(visit1, name)[2] for name in [*spine, "sacrum"]]
    assert (np.diff(heights) < 0).all()
    for side in ("left", "right"):
        ribs = [centre_mm(visit1, f"rib_{side}_{n}")[2] for n in range(1, 13)]
        assert (np.diff(ribs) < 0).all()


def test_volumes_of_organs_are_those_of_an_adult(visit1):
    ranges = {
        "liver": (1000, 2200), "spleen": (100, 400), "kidney_left": (110, 260),
        "kidney_right": (110, 260), "heart": (400, 900), "urinary_bladder": (60, 400),
    }  # fmt: skip
    for name, (low, high) in ranges.items():
        assert low < visit1.structure_mask(name).sum() * visit1.grid.voxel_ml < high, name
    lungs = masked(visit1, "lung_upper", "lung_middle", "lung_lower").sum()
    assert 2500 < lungs * visit1.grid.voxel_ml < 7000


def test_no_bone_lies_within_a_lung(visit1):
    bone = masked(visit1, *BONE)
    lungs = masked(visit1, "lung")
    for side in (-1, 1):
        x = visit1.grid.to_lps(np.stack(np.indices(lungs.shape)[::-1], axis=-1))[..., 0]
        one = lungs & (side * x > 0)
        filled = np.stack([ndimage.binary_fill_holes(level) for level in one])
        assert not (filled & bone).any()


def test_lungs_keep_away_from_the_skin(visit1):
    outside = (visit1.labels == 0) | visit1.structure_mask("table")
    from_air = ndimage.distance_transform_edt(~outside, sampling=visit1.grid.spacing_zyx_mm)
    assert from_air[masked(visit1, "lung")].min() > 15.0


def test_the_patient_is_one_piece_in_air(visit1):
    body = (visit1.labels > 0) & ~visit1.structure_mask("table")
    _, pieces = ndimage.label(body)
    assert pieces == 1
    assert (visit1.hu[visit1.labels == 0] < -700).mean() > 0.99


@pytest.mark.parametrize("z", [-250.0, -40.0, 90.0, 215.0, 320.0])
def test_the_skin_is_closed(z):
    # Fine enough that 2 mm of skin fill whole voxels.
    spec = replace(SMALL, columns=560, rows=560, slices=1, spacing_z_mm=1.0, centre_mm=(0, 8, z))
    thin = build_phantom(spec)
    names = thin.label_names
    skin = thin.structure_mask("skin")[0]
    inside = np.isin(
        thin.labels[0], [n for n, one in names.items() if one not in ("skin", "table")]
    )
    air = ~(inside | skin)
    touching = ndimage.binary_dilation(air, iterations=1) & inside
    assert not touching.any()


@pytest.mark.parametrize("visit", [1, 2])
def test_each_lesion_lies_in_its_organ(visit, request):
    phantom = request.getfixturevalue(f"visit{visit}")
    allowed = {
        "lung": ("lung",), "liver": ("liver",), "node": ("subcutaneous_fat", "torso_fat"),
        "skin": ("subcutaneous_fat",),
    }  # fmt: skip
    for lesion in phantom.lesions:
        under = phantom.labels[phantom.lesion_mask(lesion.lesion_id)]
        names = [phantom.label_names.get(int(label), "air") for label in under]
        inside = [name.startswith(allowed[lesion.kind]) for name in names]
        assert np.mean(inside) > 0.97, (lesion.lesion_id, set(names))
        side = 1 if lesion.side == "left" else -1
        assert side * lesion.centre_lps_mm[0] > 20.0


@pytest.mark.parametrize("visit", [1, 2])
def test_superficial_lesions_lie_within_30_mm_under_the_skin(visit, request):
    phantom = request.getfixturevalue(f"visit{visit}")
    depths = depths_below_skin_mm(phantom.lesions, phantom.spec.motion)
    outside = (phantom.labels == 0) | phantom.structure_mask("table")
    from_air = ndimage.distance_transform_edt(~outside, sampling=phantom.grid.spacing_zyx_mm)
    for lesion in phantom.lesions:
        depth = depths[lesion.lesion_id]
        # The voxels' own distance to air, half a voxel's diagonal (about 3 mm) apart at most.
        measured = from_air[phantom.lesion_mask(lesion.lesion_id)].min()
        assert abs(measured - depth) < 4.5, lesion.lesion_id
        assert (depth <= 30.0) == (lesion.guidance != "ct"), lesion.lesion_id


@pytest.mark.parametrize("visit", [1, 2])
def test_a_straight_safe_way_leads_from_the_skin_to_each_lesion(visit, request):
    phantom = request.getfixturevalue(f"visit{visit}")
    spacing = phantom.grid.spacing_zyx_mm
    to_bone = ndimage.distance_transform_edt(~masked(phantom, *BONE), sampling=spacing)
    to_organ = ndimage.distance_transform_edt(~masked(phantom, *AVOID), sampling=spacing)
    body = (phantom.labels > 0) & ~phantom.structure_mask("table")
    turn = np.arange(3000) + 0.5
    polar, azimuth = np.arccos(1 - 2 * turn / 3000), np.pi * (1 + 5**0.5) * turn
    ways = np.stack(
        [np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], axis=-1
    )
    for lesion in phantom.lesions:
        points = np.asarray(lesion.centre_lps_mm) + np.arange(0, 150, 2.0)[:, None, None] * ways
        index = np.rint(phantom.grid.to_index(points)).astype(int)
        known = np.all((index >= 0) & (index < phantom.grid.size), axis=-1)
        i, j, k = np.moveaxis(index.clip(0, np.asarray(phantom.grid.size) - 1), -1, 0)
        within = np.logical_and.accumulate(body[k, j, i] & known, axis=0)
        safe = ((to_bone[k, j, i] > 4.0) & (to_organ[k, j, i] > 6.0)) | ~within
        reaches_air = (~body[k, j, i] & known).any(axis=0)
        assert (safe.all(axis=0) & reaches_air).sum() >= 5, lesion.lesion_id


@pytest.mark.parametrize(
    ("position", "up"), [("HFS", (1, -1)), ("HFP", (1, 1)), ("HFDR", (0, 1)), ("HFDL", (0, -1))]
)
def test_gas_rises_and_the_table_lies_below(position, up):
    axis, sign = up
    spec = replace(SMALL, slices=40, spacing_z_mm=3.0, centre_mm=(0, 8, 10), position=position)
    if axis == 0:
        # Lying on a side the patient is as thick as wide: the field of view must hold the table.
        spec = replace(spec, fov_mm=520.0)
    phantom = build_phantom(spec)
    stomach = phantom.structure_mask("stomach")
    index = np.stack(np.indices(stomach.shape)[::-1], axis=-1)
    gas = phantom.grid.to_lps(index[stomach & (phantom.hu < -700)])
    fluid = phantom.grid.to_lps(index[stomach & (abs(phantom.hu - 22) < 30)])
    assert len(gas) > 50
    assert sign * (gas[:, axis].mean() - fluid[:, axis].mean()) > 10.0
    table = phantom.grid.to_lps(index[phantom.structure_mask("table")])
    body = phantom.grid.to_lps(index[phantom.structure_mask("skin")])
    assert (sign * table[:, axis]).max() <= (sign * body[:, axis]).min() + 4.0
