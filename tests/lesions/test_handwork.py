"""Hand edits as sets of voxels: laid over anything, packed, undone, drawn diameters."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from irplan import jsonio
from irplan.geometry import GridGeometry
from irplan.lesions import editing
from irplan.lesions.drawn import with_diameter
from irplan.lesions.handwork import HandEdit, KeptMask, PackedMask, edited_lesion
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.lesions.measurement import measure_lesion
from irplan.volume import CtVolume

GRID = GridGeometry((7, 6, 5), (1.0, 1.5, 2.0), (3.0, -4.0, 5.0))
masks = arrays(np.bool_, (5, 6, 7), elements=st.booleans())


def of(full: np.ndarray) -> LesionMask | None:
    return LesionMask.from_full(full, GRID) if full.any() else None


def full(mask: LesionMask | None) -> np.ndarray:
    return np.zeros(GRID.shape_zyx, dtype=bool) if mask is None else mask.to_full()


@given(voxels=masks)
def test_packing_loses_nothing(voxels):
    mask = of(voxels)
    if mask is None:
        return
    packed = PackedMask.of(mask)
    assert np.array_equal(packed.mask(GRID).to_full(), voxels)
    again = PackedMask.from_document(jsonio.loads(jsonio.dumps(packed.document())))
    assert again == packed
    assert hash(again) == hash(packed)
    assert len(packed.bits) == math.ceil(mask.voxels.size / 8)


@settings(max_examples=80, deadline=None)
@given(states=st.lists(masks, min_size=2, max_size=5), base=masks)
def test_an_edit_holds_every_step_and_lies_over_any_other_base(states, base):
    """By hand, a voxel is what the last step that touched it said; others follow the base."""
    edit = HandEdit("L1")
    put = np.zeros(GRID.shape_zyx, dtype=bool)
    took = np.zeros(GRID.shape_zyx, dtype=bool)
    for before, after in itertools.pairwise(states):
        if not before.any() and not after.any():
            continue
        edit = edit.then(of(before), of(after))
        on, off = after & ~before, before & ~after
        put, took = (put | on) & ~off, (took | off) & ~on
    assert np.array_equal(full(edit.applied(of(states[0]), GRID)), (states[0] | put) & ~took)
    if states[0].any() or states[-1].any():
        assert np.array_equal(full(edit.applied(of(states[0]), GRID)), states[-1])
    assert np.array_equal(full(edit.applied(of(base), GRID)), (base | put) & ~took)
    assert HandEdit.from_document(jsonio.loads(jsonio.dumps(edit.document()))) == edit


@given(first=masks, second=masks)
def test_minus_is_the_difference(first, second):
    assert np.array_equal(full(editing.minus(of(first), of(second))), first & ~second)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"start": [0, 0], "size": [1, 1, 1], "bits": "gA=="},
        {"start": [0, 0, 0], "size": [1, 1, 1], "bits": "not base64!"},
    ],
)
def test_what_is_no_packed_mask_is_refused(document):
    with pytest.raises(ValueError):  # noqa: PT011 - the message is Python's own
        PackedMask.from_document(document)


@pytest.mark.parametrize(
    "packed",
    [
        PackedMask((6, 0, 0), (2, 1, 1), b"\xc0"),
        PackedMask((0, 0, 0), (3, 3, 3), b"\xff"),
        PackedMask((0, 0, 0), (2, 1, 1), b"\x00"),
    ],
)
def test_voxels_that_do_not_fit_the_grid_are_refused(packed):
    with pytest.raises(ValueError, match="packed voxels"):
        packed.mask(GRID)


def test_a_kept_mask_comes_back():
    kept = KeptMask("L1", PackedMask((1, 2, 3), (2, 1, 1), b"\xc0"), "net 1.2")
    assert KeptMask.from_document(jsonio.loads(jsonio.dumps(kept.document()))) == kept


def ball(radius_mm: float) -> tuple[CtVolume, LesionMask]:
    grid = GridGeometry((50, 50, 50), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    k, j, i = np.indices(grid.shape_zyx)
    inside = (i - 25) ** 2 + (j - 25) ** 2 + (k - 25) ** 2 <= radius_mm**2
    return CtVolume(np.zeros(grid.shape_zyx, np.int16), grid), LesionMask.from_full(inside, grid)


def test_an_edited_lesion_is_measured_anew_and_keeps_its_bands_width():
    volume, mask = ball(8.0)
    lesion = Lesion(
        "L1",
        1,
        LesionSource.SEGMENTED,
        mask=mask,
        volume_ml=Decimal("2.000"),
        volume_low_ml=Decimal("1.500"),
        volume_high_ml=Decimal("2.800"),
    )
    larger = editing.grow(mask, 2.0)
    edit = HandEdit("L1").then(mask, larger)
    made = edited_lesion(measure_lesion(lesion, volume, None), edit, larger, volume, None)
    voxels = Decimal(int(larger.voxels.sum())) / 1000
    assert made.source is LesionSource.EDITED
    assert made.volume_ml == voxels
    assert abs(made.volume_low_ml - voxels * Decimal("0.75")) <= Decimal("0.0005")
    assert abs(made.volume_high_ml - voxels * Decimal("1.4")) <= Decimal("0.0005")
    assert made.longest_diameter_mm == pytest.approx(20.0, abs=1.01)
    (told,) = (one for one in made.findings if one.code == "mask_edited")
    assert f"{(voxels - Decimal(int(mask.voxels.sum())) / 1000)} mL put in" in told.message


def test_a_drawn_diameter_stands_and_the_measured_one_is_kept():
    volume, mask = ball(8.0)
    measured = measure_lesion(Lesion("L1", 1, LesionSource.IMPORTED, mask=mask), volume, None)
    assert measured.document()["diameter_source"] == "measured"
    drawn = with_diameter(measured, (17.0, 25.0, 25.0), (29.0, 30.0, 25.0))
    assert drawn.longest_diameter_mm == pytest.approx(13.0)
    document = drawn.document()
    assert document["diameter_source"] == "edited"
    assert document["longest_diameter_mm"] == Decimal("13.0")
    assert document["measured_diameter_mm"] == measured.document()["longest_diameter_mm"]
    assert document["measured_diameter_ends_lps_mm"] is not None
    moved = with_diameter(drawn, (17.0, 25.0, 25.0), (32.0, 25.0, 25.0))
    assert moved.measured_diameter_mm == measured.longest_diameter_mm
    assert [one.code for one in moved.findings].count("diameter_drawn_by_hand") == 1
    assert measure_lesion(moved, volume, None).document() == measured.document()
