"""The patient's outline on bodies whose skin is a formula, and on real scans."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

from irplan.body import _flat_parts, find_body, table_top
from irplan.errors import Cancelled
from irplan.geometry import GridGeometry
from irplan.tasks import CancelToken, Task
from irplan.volume import CtVolume
from irplan.volume_io import load_volume

SIZE = (160, 130, 40)
SPACING = (2.0, 2.0, 4.0)


def positions(grid: GridGeometry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z, y, x = np.indices(grid.shape_zyx)
    i, j, k = (axis * space for axis, space in zip((x, y, z), grid.spacing_mm, strict=True))
    return i, j, k


def patient(*, clipped: bool = False, couch: bool = True) -> tuple[CtVolume, np.ndarray]:
    """A trunk with lungs, bowel gas and an airway, on a couch, with a sheet and a tube."""
    grid = GridGeometry(SIZE, SPACING, (-160.0, -130.0, 0.0))
    x, y, z = positions(grid)
    trunk = ((x - 160) / 120) ** 2 + ((y - 110) / 80) ** 2 <= 1
    hu = np.full(grid.shape_zyx, -1000.0)
    hu[trunk] = -90.0
    hu[((x - 160) / 112) ** 2 + ((y - 110) / 72) ** 2 <= 1] = 40.0
    for side in (-1, 1):
        lung = ((x - 160 - side * 50) / 38) ** 2 + ((y - 105) / 52) ** 2 <= 1
        hu[lung & (z > 60)] = -860.0
    hu[(np.hypot(x - 160, y - 100) < 9) & (z > 40)] = -1000.0
    hu[(np.hypot(x - 200, y - 120) < 14) & (z < 40)] = -1000.0
    if couch:
        shell = np.abs(y - 196) < 2.1
        hu[shell & (np.abs(x - 160) < 140)] = -150.0
        hu[(y > 198) & (y < 226) & (np.abs(x - 160) < 138)] = -930.0
        hu[(np.abs(y - 228) < 2.1) & (np.abs(x - 160) < 140)] = -150.0
        hu[np.abs(y - 20 - 0.1 * (x - 160)) < 1.2] = -300.0
        hu[np.hypot(x - 20, y - 60) < 5] = 100.0
    hu += np.random.default_rng(2).normal(0, 12, hu.shape)
    if clipped:
        hu = np.clip(hu, -175, 275)
    return CtVolume(hu.astype(np.int16), grid), trunk


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * np.count_nonzero(first & second) / (first.sum() + second.sum())


def turned(volume: CtVolume, truth: np.ndarray, order: tuple[int, int, int]):
    """The same patient with the array's axes swapped."""
    columns = [volume.geometry.axes[:, 2 - axis] for axis in order]
    direction = np.stack(columns[::-1], axis=1)
    geometry = GridGeometry(
        tuple(volume.hu.shape[axis] for axis in order[::-1]),
        tuple(volume.geometry.spacing_zyx_mm[axis] for axis in order[::-1]),
        volume.geometry.origin_lps_mm,
        tuple(direction.ravel().tolist()),
    )
    return (
        CtVolume(np.ascontiguousarray(volume.hu.transpose(order)), geometry),
        truth.transpose(order),
    )


@pytest.mark.parametrize("clipped", [False, True])
def test_the_trunk_is_found_without_couch_sheet_and_tube(clipped):
    volume, trunk = patient(clipped=clipped)
    body = find_body(volume)
    assert dice(body, trunk) > 0.985
    beyond = body & ~trunk
    # At most a thin layer where the couch touches the back.
    gap = ndimage.distance_transform_edt(~trunk, sampling=volume.geometry.spacing_zyx_mm)
    assert gap[beyond].max(initial=0.0) <= 9.0
    assert (trunk & ~body).sum() < 0.005 * trunk.sum()


def test_lungs_gas_and_an_airway_that_leaves_the_scan_are_inside():
    volume, trunk = patient()
    body = find_body(volume)
    core = ndimage.binary_erosion(trunk, iterations=4)
    assert body[core & (volume.hu < -700)].all()


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (2, 0, 1)])
def test_any_order_of_axes_gives_the_same_body(order):
    volume, trunk = patient()
    other, truth = turned(volume, trunk, order)
    assert dice(find_body(other), truth) > 0.985


def test_a_body_cut_by_the_field_reaches_its_edge():
    volume, trunk = patient(couch=False)
    part = (slice(5, 30), slice(20, 90), slice(60, 120))
    grid = volume.geometry.crop((60, 20, 5), (60, 70, 25))
    body = find_body(CtVolume(np.ascontiguousarray(volume.hu[part]), grid))
    assert dice(body, trunk[part]) > 0.985


def test_lung_at_the_side_of_the_field_is_inside_and_air_is_outside():
    grid = GridGeometry((80, 80, 20), (2.0, 2.0, 4.0), (0.0, 0.0, 0.0))
    x, y, _ = positions(grid)
    hu = np.where(x < 60, -850.0, 40.0)
    hu[y < 30] = -1000.0
    hu[(y >= 30) & (y < 60)] = 40.0
    body = find_body(CtVolume(hu.astype(np.int16), grid))
    assert np.array_equal(body, y >= 30)


def test_a_scan_of_air_has_no_body_and_one_of_tissue_is_all_body():
    grid = GridGeometry((30, 30, 10), (2.0, 2.0, 3.0), (0.0, 0.0, 0.0))
    assert not find_body(CtVolume(np.full(grid.shape_zyx, -1000, np.int16), grid)).any()
    assert find_body(CtVolume(np.full(grid.shape_zyx, 30, np.int16), grid)).all()


def test_cancelling_stops_it():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        find_body(patient()[0], Task(cancel=token))


@pytest.mark.realdata
def test_the_body_agrees_with_a_mask_of_others(realdata):
    folder = realdata / "volumes" / "ircad17"
    volume = load_volume(folder / "dicom")
    skin = SimpleITK.ReadImage(str(folder / "masks" / "skin.nii.gz"))
    truth = SimpleITK.GetArrayFromImage(skin) > 0
    assert dice(find_body(volume), truth) > 0.97


@pytest.mark.realdata
def test_the_couch_and_headrest_are_off(realdata):
    volume = load_volume(realdata / "volumes" / "lung1_003" / "ct.nii.gz")
    body = find_body(volume)
    y = volume.geometry.to_lps(np.argwhere(body)[:, ::-1])[:, 1]
    # The top of the couch lies 3 mm behind the patient's back.
    couch = np.quantile(y, 0.9999)
    neck = body[-10:]
    neck_y = volume.geometry.to_lps(np.argwhere(neck)[:, ::-1])[:, 1]
    assert neck_y.max() < couch - 40.0


@pytest.mark.parametrize(
    ("sides_mm", "off"),
    [
        ((20.0, 50.0, 160.0), True),  # a headrest's board
        ((20.0, 160.0, 50.0), True),
        ((20.0, 30.0, 160.0), False),  # a fold of skin
        ((40.0, 50.0, 160.0), False),  # a forearm
        ((20.0, 50.0, 60.0), False),  # an ear
        ((10.0, 80.0, 80.0), True),  # a sheet
    ],
)
def test_boards_and_sheets_are_no_part_of_the_body(sides_mm, off):
    spacing = [2.0, 2.0, 2.0]
    labels = np.zeros((90, 90, 90), dtype=np.int32)
    box = tuple(slice(2, 2 + round(side / 2.0)) for side in sides_mm)
    labels[box] = 1
    flat = _flat_parts(labels, np.bincount(labels.ravel()), labels > 1, spacing)
    assert not flat[0]
    assert bool(flat[1]) is off


# The couch's shell begins 193.9 mm along the columns, whose first centre lies at LPS y -130.
TABLE_Y = 193.9 - 130.0


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_the_top_of_the_couch_is_read_from_the_scan(order):
    volume, truth = turned(*patient(), order)
    top = table_top(volume, truth, (0.0, 1.0, 0.0))
    assert top is not None
    assert abs(top.height_mm - TABLE_Y) <= 1.5
    assert top.seen_share == 1.0


def test_a_couch_above_a_patient_who_lies_the_other_way_is_found_too():
    volume, truth = patient()
    flipped = CtVolume(np.ascontiguousarray(volume.hu[:, ::-1]), volume.geometry)
    top = table_top(flipped, truth[:, ::-1], (0.0, -1.0, 0.0))
    assert top is not None
    # Mirrored about the middle of the rows: the height is counted downwards, along -y.
    middle = -130.0 + (SIZE[1] - 1) * SPACING[1] / 2
    assert abs(-top.height_mm - (2 * middle - TABLE_Y)) <= 1.5


@pytest.mark.parametrize(
    ("couch", "down"), [(False, (0.0, 1.0, 0.0)), (True, (0.0, -1.0, 0.0)), (True, (0.0, 0.7, 0.7))]
)
def test_a_couch_that_is_not_seen_is_unknown(couch, down):
    volume, truth = patient(couch=couch)
    assert table_top(volume, truth, down) is None


def test_a_couch_that_is_not_at_one_height_is_unknown():
    volume, truth = patient(couch=False)
    hu = volume.hu.copy()
    for number in range(hu.shape[0]):
        hu[number, 97 + number // 2] = -150  # it falls away by 1 mm in 4
    assert table_top(CtVolume(hu, volume.geometry), truth, (0.0, 1.0, 0.0)) is None
