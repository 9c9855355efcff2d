"""The cards for the room, on made-up patients whose shape is known."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import Patient

from irplan.dose import DoseLesion
from irplan.jsonio import dumps
from irplan.lesions.lesion import Lesion, LesionSource
from irplan.plan.cards import Card, NeedleCard, SuperficialCard
from irplan.plan.room import gantry_for, room_cards
from irplan.plan.skin_frame import SkinFrame
from irplan.trajectory import PathPlan, PatientPosition, load_constraints, load_shelf
from irplan.trajectory.scene import Support
from irplan.volume import CtVolume

D = Decimal
#: The same patient stored axial, and with rows running to the head (coronal slices).
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
FEET_LAST = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0)


def frame_of(patient: Patient, position: PatientPosition = PatientPosition.SUPINE) -> SkinFrame:
    support = Support.of(patient.body, patient.grid, position.plumb)
    return SkinFrame.of(patient.body, patient.anatomy, support, position.plumb)


def at_mm(patient: Patient, x: float, y: float, z: float) -> tuple[float, float, float]:
    """A point so far to the left, back and head of the patient's middle, LPS mm."""
    a, b, c = patient.lps((0.0, 0.0, 0.0))
    return a + x, b + y, c + z


@pytest.mark.parametrize("direction", [AXIAL, FEET_LAST])
@pytest.mark.parametrize(
    ("at", "side", "aspect"),
    [
        ((0.0, -79.0, 0.0), "midline", "anterior"),
        ((9.0, -79.0, 0.0), "midline", "anterior"),
        ((85.0, -56.0, 0.0), "left", "anterolateral"),
        ((-85.0, -56.0, 0.0), "right", "anterolateral"),
        ((119.0, 0.0, 10.0), "left", "lateral"),
        ((-119.0, 5.0, 10.0), "right", "lateral"),
        ((-85.0, 56.0, 0.0), "right", "posterolateral"),
        ((30.0, 77.0, -30.0), "left", "posterior"),
    ],
)
def test_sides_and_aspects_are_the_patients_own(
    direction: tuple[float, ...], at: tuple[float, float, float], side: str, aspect: str
) -> None:
    patient = Patient(spacing=(3.0, 3.0, 4.0), direction=direction)
    region = frame_of(patient).region(at_mm(patient, *at))
    assert (region.side, region.aspect) == (side, aspect)
    assert region.level == ""
    assert region.untold


@pytest.mark.parametrize(
    ("direction", "end"), [(AXIAL, "feet"), (FEET_LAST, "head")], ids=["feet first", "head first"]
)
def test_a_place_is_counted_from_midline_slices_and_support(
    direction: tuple[float, ...], end: str
) -> None:
    patient = Patient(spacing=(2.0, 2.0, 4.0), direction=direction)
    place = frame_of(patient).place(at_mm(patient, 31.0, -77.0, 22.0))
    assert place.left_of_midline_mm == pytest.approx(31.0, abs=3.0)
    assert place.behind_middle_mm == pytest.approx(-77.0, abs=3.0)
    assert place.above_support_mm == pytest.approx(157.0, abs=2.5)
    assert place.first_slice_at == end
    # 40 slices of 4 mm; their middle lies 78 mm from the first one's.
    along = 78.0 + 22.0 if end == "feet" else 78.0 - 22.0
    assert place.from_first_slice_mm == pytest.approx(along, abs=1e-6)
    assert place.slice_number == round(along / 4.0) + 1
    assert place.midline_by == "skin outline"


def test_the_spine_tells_the_midline_where_it_is_labelled() -> None:
    patient = Patient(spacing=(2.0, 2.0, 3.0))
    patient.structure("vertebrae", (np.abs(patient.x - 12) < 15) & (np.abs(patient.y - 50) < 15))
    point = at_mm(patient, 12.0, -79.0, 0.0)
    frame = frame_of(patient)
    x, by = frame.midline_x_mm(point)
    assert by == "spine"
    assert x == pytest.approx(point[0], abs=2.0)
    assert frame.region(point).side == "midline"


@pytest.mark.parametrize(
    ("name", "z", "words"),
    [
        ("vertebrae_L3", 0.0, "abdomen, level of L3"),
        ("lung_left", -70.0, "abdomen or pelvis, 30 mm below the lungs"),
        ("lung_left", -30.0, "chest, lower third of the lungs"),
        ("lung_left", 30.0, "chest, upper third of the lungs"),
        ("lung_left", 65.0, "neck or shoulder, 25 mm above the lungs"),
        ("liver", 0.0, "at the height of liver"),
        ("colon", 0.0, ""),
    ],
)
def test_the_level_is_told_by_what_is_labelled(name: str, z: float, words: str) -> None:
    patient = Patient(spacing=(2.0, 2.0, 2.0))
    patient.structure(name, (np.abs(patient.z) < 40) & (np.abs(patient.x) < 30))
    point = at_mm(patient, 0.0, -79.0, z)
    told = frame_of(patient).region(point).level
    numbers = [int(word) for word in told.split() if word.isdigit()]
    wanted = [int(word) for word in words.split() if word.isdigit()]
    assert len(numbers) == len(wanted)
    assert all(abs(a - b) <= 3 for a, b in zip(numbers, wanted, strict=True))
    assert [w for w in told.split() if not w.isdigit()] == [
        w for w in words.split() if not w.isdigit()
    ]


def test_an_arm_is_not_taken_for_the_trunk() -> None:
    patient = Patient(spacing=(2.0, 2.0, 4.0))
    patient.body = ((patient.x + 40) / 60) ** 2 + (patient.y / 60) ** 2 <= 1
    patient.body |= ((patient.x - 100) / 20) ** 2 + (patient.y / 20) ** 2 <= 1
    frame = frame_of(patient)
    arm = frame.region(at_mm(patient, 100.0, -19.0, 0.0))
    assert (arm.side, arm.aspect) == ("left", "anterior")
    assert any("pieces" in sentence for sentence in arm.untold)
    trunk = frame.region(at_mm(patient, -40.0, -59.0, 0.0))
    assert (trunk.side, trunk.aspect) == ("midline", "anterior")


@given(
    st.sampled_from(list(PatientPosition)),
    st.floats(-85, 85),
    st.floats(-60, 60),
)
def test_the_tilted_slice_holds_the_needle(
    position: PatientPosition, in_plane: float, up: float
) -> None:
    down = position.plumb
    cross = np.cross((0.0, 0.0, 1.0), -down)
    a, b = math.radians(in_plane), math.radians(up)
    d = math.cos(b) * (math.cos(a) * down + math.sin(a) * cross) + math.sin(b) * np.array([0, 0, 1])
    told = gantry_for(d, position, np.array([0.0, 0.0, 1.0]))
    assert told.tilt_deg is not None
    assert told.angle_in_slice_deg is not None
    # Built again from what the card says: the slice's own downward line, then the angle in it.
    tilt = math.radians(told.tilt_deg) * (-1 if told.top_towards == "head" else 1)
    lower = math.cos(tilt) * down + math.sin(tilt) * np.array([0.0, 0.0, 1.0])
    angle = math.radians(told.angle_in_slice_deg)
    again = math.cos(angle) * lower + math.sin(angle) * cross
    assert np.allclose(again, d, atol=2e-3)
    assert told.reached == (told.tilt_deg <= 30.0)
    assert told.scanned_deg == 0.0


def cards_for(
    patient: Patient,
    guidance: str,
    ml: str = "1.37",
    tables: tuple[DoseLesion, ...] = (),
    more: tuple[Lesion, ...] = (),
    paths: PathPlan | None = None,
    volume: CtVolume | None = None,
) -> tuple[tuple[Card, ...], PathPlan]:
    paths = patient.plan(ml, guidance) if paths is None else paths
    lesions = (*patient.lesions, *more)
    cards = room_cards(
        volume or patient.volume,
        patient.body,
        patient.anatomy,
        lesions,
        tables,
        {one.lesion_id: (("ipilimumab", D(ml)),) for one in lesions},
        paths,
        load_shelf(),
        load_constraints(),
        PatientPosition.SUPINE,
        {one.lesion_id: guidance for one in lesions},
        D("0.01"),
    )
    return cards, paths


@pytest.fixture(scope="module")
def patient() -> Patient:
    made = Patient(spacing=(2.0, 2.0, 3.0))
    made.structure("artery", made.ball((10.0, -30.0, 0.0), 5.0))
    # 18 mm under the skin in front, on the left, 16 mm above the middle.
    made.lesion("L1", made.ball((40.0, -45.0, 16.0), 11.0), depth_below_skin_mm=18.0)
    return made


def test_a_superficial_card_repeats_the_plan_and_says_where(patient: Patient) -> None:
    (card,), paths = cards_for(patient, "ultrasound")
    assert isinstance(card, SuperficialCard)
    assert card.region is not None
    assert (card.region.side, card.region.aspect) == ("left", "anterior")
    needles = paths.of_lesion("L1")
    assert [one.needle_id for one in card.passes] == [one.needle_id for one in needles]
    assert sum(one.ml["ipilimumab"] for one in card.passes) == D("1.37")
    assert card.technique == ("single pass" if len(needles) == 1 else "fan through one hole")
    assert card.needle is not None
    assert card.needle.name == needles[0].needle_type
    assert card.skin is not None
    assert card.skin.point_lps_mm == needles[0].entry_lps_mm
    vessels, airway, nerves = card.surroundings
    assert vessels.nearest is not None
    # Middles 45.9 mm apart in all, radii 11 and 5.
    gap = math.dist((40.0, -45.0, 16.0), (10.0, -30.0, 0.0)) - 16.0
    assert vessels.nearest.distance_mm == pytest.approx(gap, abs=3.0)
    assert set(vessels.unknown) == {
        "heart", "inferior_vena_cava", "neck_vessels", "axillary_vessels", "iliac_vessels",
        "femoral_vessels",
    }  # fmt: skip
    assert (airway.known, airway.unknown) == (False, ("trachea",))
    assert (nerves.known, nerves.unknown) == (False, ("nerves", "spinal_canal"))
    assert card.diameters_mm[2] == pytest.approx(22.0, abs=4.0)
    # The document is one that the strict writer takes: no float left.
    assert '"kind": "superficial"' in dumps(card.document())


def test_a_lesion_without_a_path_is_told_so(patient: Patient) -> None:
    (card,), _ = cards_for(patient, "ultrasound", paths=PathPlan())
    assert isinstance(card, SuperficialCard)
    assert (card.technique, card.passes) == ("no safe path", ())
    # The safe skin is still shown, with the needle that would do.
    assert card.way is not None
    assert card.way.nearest is not None
    assert card.skin is not None
    assert card.skin.point_lps_mm == card.way.nearest.measure.entry_lps_mm
    assert card.needle == card.way.nearest.measure.needle


@pytest.mark.parametrize(
    ("scanned", "couch", "known"),
    [("HFS", True, True), ("HFS", False, False), ("HFP", True, False), ("", True, False)],
)
def test_the_entry_is_told_above_the_couch_where_that_is_seen(
    scanned: str, couch: bool, known: bool
) -> None:
    made = Patient(spacing=(2.0, 2.0, 3.0))
    made.lesion("L1", made.ball((40.0, -45.0, 16.0), 11.0), depth_below_skin_mm=18.0)
    paths = made.plan("0.41", "ct")
    if couch:
        made.hu[(made.y > 84) & (made.y < 92)] = -150
    identity = replace(made.volume.identity, patient_position=scanned)
    volume = CtVolume(made.hu, made.grid, identity)
    cards, _ = cards_for(made, "ct", "0.41", paths=paths, volume=volume)
    card, needle = cards[0], paths.needles[0]
    assert isinstance(card, NeedleCard)
    # Rows lie at odd mm from the middle: the first of the couch is at 85, its face at 84.
    face = at_mm(made, 0.0, 84.0, 0.0)[1]
    expected = face - needle.entry_lps_mm[1]
    assert card.above_table_mm == (pytest.approx(expected, abs=0.01) if known else None)


def test_a_needle_card_tells_depths_from_the_skin(patient: Patient) -> None:
    cards, paths = cards_for(patient, "ct", "0.41")
    card, needle = cards[0], paths.needles[0]
    assert isinstance(card, NeedleCard)
    assert len(cards) == len(paths.needles)
    assert card.outside_mm == pytest.approx(float(needle.length_mm) - needle.depth_mm)
    for deposit, (deposit_id, _, depth, ml) in zip(needle.deposits, card.depths, strict=True):
        assert deposit_id == deposit.deposit_id
        assert depth == pytest.approx(math.dist(needle.entry_lps_mm, deposit.position_lps_mm))
        assert ml == dict(deposit.ml)
    document = card.document()
    assert document["in_plane_angle_deg"] == needle.document()["axial_angle_deg"]
    assert document["out_of_plane_angle_deg"] == needle.document()["craniocaudal_angle_deg"]
    dumps(document)


@pytest.mark.parametrize(
    ("ml", "sizes", "passes"),
    [
        # 5 deposits of at most 0.5 mL; 30 mm along the axis hold (30 - 6) / 6 + 1 = 5.
        ("2.31", ("30", "20", "18"), [5]),
        # 12 mm hold (12 - 6) / 6 + 1 = 2 a pass: 5 deposits take three passes, 2 + 2 + 1.
        ("2.31", ("12", "11", "10"), [2, 2, 1]),
        ("0.30", ("12", "11", "10"), [1]),
    ],
)
def test_a_lesion_by_diameters_has_a_card_without_a_path(
    ml: str, sizes: tuple[str, ...], passes: list[int]
) -> None:
    patient = Patient(spacing=(4.0, 4.0, 4.0))
    patient.lesion("L1", patient.ball((40.0, -45.0, 16.0), 11.0), depth_below_skin_mm=18.0)
    unseen = Lesion("U1", None, LesionSource.DIAMETERS, site="groin", side="right")
    table = (DoseLesion("U1", diameters_mm=tuple(D(size) for size in sizes)),)
    cards, _ = cards_for(patient, "ultrasound", ml, table, (unseen,), PathPlan())
    card = next(one for one in cards if isinstance(one, SuperficialCard) and one.lesion_id == "U1")
    assert card.kind == "diameters"
    assert card.region is None
    assert card.skin is None
    assert card.way is None
    assert [one.deposits for one in card.passes] == passes
    assert sum(one.ml["ipilimumab"] for one in card.passes) == D(ml)
    assert card.diameters_mm == tuple(float(size) for size in sizes)
    assert [(one.name, reach) for one, reach in card.reaches][:2] == [
        ("25G-25", 20.0),
        ("25G-40", 35.0),
    ]
    dumps(card.document())


def test_a_lesion_without_a_dose_has_no_card(patient: Patient) -> None:
    cards, _ = cards_for(patient, "ultrasound", "0")
    assert cards == ()
