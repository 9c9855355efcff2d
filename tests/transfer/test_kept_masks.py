"""Masks that no gesture gives again: carried as they are, with what the image shows beside them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from irplan.body import find_body
from irplan.followup import CarriedLesion, carry_lesion
from irplan.followup.carry import carried_mask
from irplan.followup.found import Found
from irplan.followup.kept import Reading, carried_band_ml, carried_findings, stands_now
from irplan.headless import session_for
from irplan.jsonio import dumps, loads
from irplan.lesions.handwork import KeptMask
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.lesions.measurement import measure_lesion
from irplan.lesions.plugins import kept_lesion
from irplan.phantom.motion import VISITS
from irplan.plan.request import PlanRequest
from irplan.registration import LocalMap, RigidMap
from irplan.transfer import transfer_plan
from irplan.verification import verify_plan
from irplan.volume import CtVolume
from irplan.volume_io import save_label_map


def notched(phantom, label: int):
    """A lesion's voxels without those to the right and above of its middle: no ellipsoid."""
    inside = phantom.lesion_labels == label
    where = np.argwhere(inside)
    middle = where.mean(axis=0)
    cut = where[(where[:, 2] < middle[2]) & (where[:, 0] > middle[0])]
    inside[tuple(cut.T)] = False
    return inside


def laid_by(visits, carried, inside: np.ndarray, new: CtVolume | None = None) -> CarriedLesion:
    """A mask that was imported at visit 1 as L3, on visit 2 or another scan."""
    old = visits.first.volume()
    new = visits.second.volume() if new is None else new
    mask = LesionMask.from_full(inside, visits.first.grid)
    body = find_body(old)
    bare = Lesion("L3", 1, LesionSource.IMPORTED, name="sarcoma", side="left", mask=mask)
    lesion = measure_lesion(bare, old, body)
    rigid = carried.follow.whole.rigid if new.sha256 != old.sha256 else RigidMap.identity()
    return carry_lesion(lesion, old, body, new, find_body(new), rigid, 1)


@pytest.fixture(scope="module")
def laid_over(visits, carried) -> CarriedLesion:
    """The notched L3, imported at visit 1, on visit 2."""
    return laid_by(visits, carried, notched(visits.first, 3))


def test_a_mask_that_the_image_gives_again_follows_the_image(visits, carried) -> None:
    found = laid_by(visits, carried, visits.first.lesion_labels == 3)
    assert found.kept is None
    assert found.new.source is LesionSource.SEGMENTED
    assert (found.new.name, found.new.side) == ("sarcoma", "left")
    # L3 shrinks from 1.5 to 0.9 mL; in 4 mm slices such a lesion is known to some 15 %.
    before, after = (v.lesion("L3").volume_ml for v in (visits.first, visits.second))
    assert float(found.reading.volume_ml) == pytest.approx(before, rel=0.15)
    assert float(found.new.volume_ml) == pytest.approx(after, rel=0.15)
    assert found.new.volume_low_ml < found.new.volume_ml < found.new.volume_high_ml
    told = Found([found], set())
    (note,) = (one for one in told._lesion_findings() if one.subject == "L3")
    assert note.code == "lesion_read_again"


def test_a_lesion_that_has_not_changed_keeps_its_mask(visits, carried) -> None:
    inside = visits.first.lesion_labels == 3
    found = laid_by(visits, carried, inside, visits.first.volume())
    assert found.new.source is LesionSource.IMPORTED
    # The map of a scan onto itself moves nothing by more than a fraction of a voxel.
    assert np.array_equal(found.new.mask.to_full(), inside)


@pytest.mark.parametrize("shift_mm", [0.0, 0.06, -0.06, 0.4, -0.4])
def test_a_shift_of_less_than_half_a_voxel_keeps_every_voxel(visits, shift_mm) -> None:
    grid = visits.first.grid
    whole = np.zeros(grid.shape_zyx, dtype=bool)
    whole[20:24, 40:45, 50:56] = True
    shift = np.full(3, shift_mm)
    moved = LocalMap(
        RigidMap(np.eye(3), shift), np.zeros((2, 2, 2, 3)), grid.crop((0, 0, 0), (2, 2, 2))
    )
    laid = carried_mask(LesionMask.from_full(whole, grid), moved, visits.first.volume())
    assert np.array_equal(laid.to_full(), whole)


@pytest.mark.parametrize(
    ("dice", "before", "now", "stands"),
    [
        (0.8, "4", "3", True),
        (0.79, "4", "3", False),  # the segmenter does not find this lesion
        (0.8, "4", "3.6", False),  # within what one scan repeats: nothing has changed
        (0.8, "4", "3.599", True),
        (0.8, "4", "4.4", False),
        (0.8, "4", "4.401", True),
        (0.9, "3.199", "2", False),  # ... or finds another size
        (0.9, "5.001", "2", False),
    ],
)
def test_when_the_reading_of_now_stands(dice, before, now, stands) -> None:
    reading = Reading(Decimal(before), Decimal("4"), dice)
    lesion = Lesion("L1", 1, LesionSource.SEGMENTED, volume_ml=Decimal(now))
    assert stands_now(reading, lesion) == stands
    assert not stands_now(None, lesion)
    assert not stands_now(reading, None)


def test_an_imported_mask_stays_as_it_is(laid_over, visits) -> None:
    found = laid_over.new
    assert found.source is LesionSource.IMPORTED
    assert (found.name, found.side) == ("sarcoma", "left")
    assert np.array_equal(found.mask.to_full(), laid_over.carried.to_full())
    # L3 shrinks between the visits, and the local map follows it in part.
    now = np.count_nonzero(notched(visits.second, 3)) * visits.second.grid.voxel_ml
    assert now <= float(found.volume_ml) <= float(laid_over.old.volume_ml)
    there = VISITS[2].from_reference(np.asarray(laid_over.old.centroid_lps_mm))
    assert np.linalg.norm(np.asarray(found.centroid_lps_mm) - there) < 2.0


def test_what_the_image_shows_stands_beside_the_mask(laid_over) -> None:
    found, image = laid_over.new, laid_over.image
    assert image.source is LesionSource.SEGMENTED
    assert found.volume_low_ml <= min(image.volume_ml, found.volume_ml * Decimal("0.751"))
    assert found.volume_high_ml >= max(image.volume_ml, found.volume_ml * Decimal("1.289"))
    told = carried_findings(laid_over.old, found.volume_ml, image.volume_ml)
    assert told[0].code == "mask_carried"
    assert all(str(ml) in told[0].message for ml in (found.volume_ml, image.volume_ml))


@pytest.mark.parametrize(
    ("carried_ml", "image_ml", "stops"),
    [
        ("4", "4", False),
        ("4", "3", False),
        ("4", "2.999", True),
        ("4", "5.16", False),
        ("4", "5.161", True),
        ("4", None, True),
    ],
)
def test_more_apart_than_two_readings_stops(carried_ml, image_ml, stops) -> None:
    old = Lesion("L1", 1, LesionSource.EDITED, volume_ml=Decimal(carried_ml))
    image = None if image_ml is None else Decimal(image_ml)
    codes = {one.code: one for one in carried_findings(old, Decimal(carried_ml), image)}
    assert ("carried_mask_differs" in codes) == stops
    low, high = carried_band_ml(Decimal(carried_ml), image)
    assert low <= Decimal("3")
    assert high >= Decimal("5.16")
    assert image is None or low <= image <= high


def test_a_kept_mask_gives_the_same_lesion_again(laid_over, visits) -> None:
    kept = laid_over.kept
    again = KeptMask.from_document(loads(dumps(kept.document()).encode()))
    assert again == kept
    new = visits.second.volume()
    lesion = kept_lesion(laid_over.prompt, again, new, find_body(new), 1)
    names = ("volume_ml", "volume_low_ml", "volume_high_ml", "longest_diameter_mm", "source")
    for name in names:
        assert getattr(lesion, name) == getattr(laid_over.new, name)


@pytest.mark.long
def test_a_plan_on_masks_is_carried_and_computed_again(visits, tmp_path: Path) -> None:
    mask, ids = tmp_path / "mask.nrrd", tmp_path / "ids.csv"
    labels = np.where(notched(visits.first, 3), 3, 0) + np.where(
        visits.first.lesion_labels == 4, 4, 0
    )
    save_label_map(labels.astype(np.uint8), visits.first.grid, mask)
    ids.write_text("source_label,lesion_id,site,side\n3,L3,abdominal wall,left\n4,L4,back,right\n")
    request = PlanRequest(mask=mask, mask_ids=ids, weight_kg=Decimal(70), biopsies=("L4",))
    session_for(visits.folder / "visit1", request).save(tmp_path / "plan1")
    made = transfer_plan(tmp_path / "plan1", visits.folder / "visit2", tmp_path / "plan2")
    plan = made.plan.document()
    (lesion,) = plan["lesions"]
    assert (lesion["lesion_id"], lesion["source"]) == ("L3", "imported")
    assert (lesion["site"], lesion["side"]) == ("abdominal wall", "left")
    assert "mask_carried" in {one["code"] for one in plan["findings"]}
    found = verify_plan(tmp_path / "plan2", visits.folder / "visit2")
    assert found.same, found.differences


@pytest.mark.long
def test_masks_of_the_day_take_the_place_of_following(visits, tmp_path: Path) -> None:
    mask = tmp_path / "day.nrrd"
    labels = np.where(notched(visits.second, 3), 1, 0).astype(np.uint8)
    save_label_map(labels, visits.second.grid, mask)
    made = transfer_plan(visits.plan, visits.folder / "visit2", tmp_path / "plan2", new_mask=mask)
    (lesion,) = made.plan.document()["lesions"]
    assert (lesion["lesion_id"], lesion["source"]) == ("L3", "imported")
    voxels = np.count_nonzero(labels) * visits.second.grid.voxel_ml
    assert float(lesion["volume_ml"]) == pytest.approx(voxels, abs=0.001)
    fates = {m["old_ids"][0]: m["proposed"] for m in made.document()["matches"] if m["old_ids"]}
    assert fates == {"L3": "same", "L4": "gone"}
    assert verify_plan(tmp_path / "plan2", visits.folder / "visit2").same
