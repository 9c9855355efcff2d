"""The movement between the visits: it can be turned round, and the CT follows it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from scipy.spatial.transform import Rotation

from irplan.phantom.motion import VISITS


def test_there_and_back_is_where_one_began():
    points = np.random.default_rng(5).uniform([-200, -110, -340], [200, 110, 340], (4000, 3))
    motion = VISITS[2]
    back = motion.to_reference(motion.from_reference(points))
    assert np.abs(back - points).max() < 1e-6


def test_the_rotation_is_the_one_that_the_angles_name():
    motion = VISITS[2]
    expected = Rotation.from_euler("xyz", motion.rotation_deg, degrees=True).as_matrix()
    assert motion.rotation == pytest.approx(expected, abs=1e-12)


def test_the_breath_never_folds_space():
    line = np.linspace(-1, 1, 31)
    grid = np.stack(np.meshgrid(line * 130, line * 95, line * 180 + 50, indexing="ij"), axis=-1)
    motion = VISITS[2]
    step = 0.01
    columns = [
        (motion.breath(grid + step * unit) - motion.breath(grid - step * unit)) / (2 * step)
        for unit in np.eye(3)
    ]
    jacobian = np.eye(3) - np.stack(columns, axis=-1)
    assert np.linalg.det(jacobian).min() > 0.4


def test_structures_of_the_second_visit_lie_where_the_movement_puts_them(visit1, visit2):
    deep = distance_transform_edt(
        np.stack([visit1.labels == label for label in (0,)]).any(axis=0) == 0
    )
    generator = np.random.default_rng(3)
    checked = 0
    for name in ("liver", "spleen", "heart", "aorta", "hip_left", "femur_right", "kidney_left"):
        mask = visit1.structure_mask(name)
        core = distance_transform_edt(mask, sampling=visit1.grid.spacing_zyx_mm) > 5.0
        voxels = np.argwhere(core & (deep > 0))[:, ::-1]
        if name == "aorta":
            voxels = voxels[:2000]
        chosen = voxels[generator.permutation(len(voxels))[:40]]
        there = visit2.to_visit(visit1.grid.to_lps(chosen))
        index = np.rint(visit2.grid.to_index(there)).astype(int)
        inside = np.all((index >= 0) & (index < visit2.grid.size), axis=1)
        i, j, k = index[inside].T
        found = [visit2.label_names[int(label)] for label in visit2.labels[k, j, i]]
        assert len(found) >= 10, name
        same = sum(one == name or (name == "liver" and "liver" in one) for one in found)
        assert same / len(found) > 0.93, name
        checked += len(found)
    assert checked > 150


def test_the_second_visit_has_one_lesion_less_and_one_more(visit1, visit2):
    first = {one.lesion_id for one in visit1.lesions}
    second = {one.lesion_id for one in visit2.lesions}
    assert first - second == {"L4"}
    assert second - first == {"L8"}
    changed = {
        one.lesion_id: visit2.lesion(one.lesion_id).volume_ml / one.volume_ml
        for one in visit1.lesions
        if one.lesion_id in second
    }
    assert min(changed.values()) < 0.7
    assert max(changed.values()) > 1.25
