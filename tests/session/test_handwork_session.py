"""What a person paints, draws and names in a session, and its replay from the saved plan."""

from __future__ import annotations

import gc
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from irplan import jsonio, units
from irplan.anatomy import Anatomy
from irplan.casework import findings_on_lesions
from irplan.errors import CallError, InputRefused
from irplan.geometry import PointLps
from irplan.headless import session_on
from irplan.lesions import Click, Diameter, Prompt, editing, segment_one
from irplan.lesions.drawn import DrawnAxis
from irplan.lesions.handwork import KeptMask, PackedMask
from irplan.lesions.lesion import LesionMask, LesionSource
from irplan.phantom import Phantom, PhantomSpec, build_phantom
from irplan.plan.inputs import read_inputs
from irplan.plan.request import HANDWORK_INPUT, PlanRequest
from irplan.session import PlanningSession
from irplan.verification import verify_plan
from irplan.volume_io import save_volume


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    """The belly from a lesion of its skin to one under the skin of the back."""
    return build_phantom(
        PhantomSpec(
            columns=140,
            rows=140,
            slices=44,
            fov_mm=420,
            spacing_z_mm=4.0,
            centre_mm=(0, 8, -70),
            samples=1,
        )
    )


@pytest.fixture(scope="module")
def scan_file(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their CT as a NRRD, which knows nobody's name."""
    path = tmp_path_factory.mktemp("scan") / "ct.nrrd"
    save_volume(phantom.volume(), path)
    return path


@pytest.fixture(scope="module")
def opened(scan_file: Path) -> PlanningSession:
    made = PlanningSession()
    made.open_series(scan_file)
    return made


@pytest.fixture
def session(opened: PlanningSession, phantom: Phantom) -> PlanningSession:
    """A fresh case with one lesion, on the scan that is open already."""
    scan = opened.scan
    made = PlanningSession()
    made.open_volume(scan.volume)
    made.add_lesions([line(phantom, "L4")])
    return made


def line(phantom: Phantom, lesion_id: str) -> Prompt:
    x, y, z = phantom.lesion(lesion_id).centre_lps_mm
    return Prompt(lesion_id, None, (Diameter((x - 7, y, z), (x + 7, y, z)),))


def brush(centre: PointLps, radius_mm: float, erase: bool = False):
    """A change of a mask as the brush makes it; it begins a new one where there is none."""

    def change(grid, mask: LesionMask | None) -> LesionMask | None:
        if mask is None:
            return editing.new_ball(grid, centre, radius_mm)
        return editing.paint_ball(mask, centre, radius_mm, erase=erase)

    return change


def painted(session: PlanningSession, lesion_id: str, centre, radius_mm: float, erase=False):
    grid = session.scan.volume.geometry
    return session.edit_lesion(lesion_id, partial(brush(centre, radius_mm, erase), grid))


def lesion_of(session: PlanningSession, lesion_id: str):
    return next(one for one in session.state.lesions if one.lesion_id == lesion_id)


def voxels(session: PlanningSession, lesion_id: str) -> np.ndarray:
    return lesion_of(session, lesion_id).mask.to_full()


def test_a_gesture_keeps_what_the_hand_put_in_and_took_out(session, phantom):
    x, y, z = phantom.lesion("L4").centre_lps_mm
    before = voxels(session, "L4")
    painted(session, "L4", (x + 16, y, z), 4.0)
    edited = painted(session, "L4", (x - 6, y, z), 3.0, erase=True)
    assert edited.source is LesionSource.EDITED
    after = voxels(session, "L4")
    put, took = after & ~before, before & ~after
    assert put.any()
    assert took.any()
    old = session.state.request.prompts[0]
    more = Diameter((x, y - 9, z), (x, y + 9, z))
    session.add_lesions([replace(old, gestures=(*old.gestures, more))])
    again = voxels(session, "L4")
    assert again[put].all()
    assert not again[took].any()
    assert lesion_of(session, "L4").source is LesionSource.EDITED
    # Elsewhere the lesion is what the gestures give by themselves.
    alone = segment_one(
        session.scan.volume, session.state.request.prompts[0], session.scan.body, label=1
    )
    assert np.array_equal(again, (alone.mask.to_full() | put) & ~took)


def test_undo_and_redo_walk_every_edit(session, phantom):
    x, y, z = phantom.lesion("L4").centre_lps_mm
    states = [session.state]
    for shift in (8, 12, 16):
        painted(session, "L4", (x + shift, y, z), 3.0)
        states.append(session.state)
    session.draw_diameter("L4", (x - 9, y, z), (x + 18, y, z))
    states.append(session.state)
    session.place_lesion("L4", "dos", "droite")
    states.append(session.state)
    session.paint_no_go(lambda _: editing.new_ball(session.scan.volume.geometry, (x, y, z), 5.0))
    states.append(session.state)
    for state in reversed(states[:-1]):
        assert session.undo()
        assert session.state is state
    for state in states[1:]:
        assert session.redo()
        assert session.state is state


def test_strokes_one_by_one_measure_what_they_measure_at_once(session, phantom):
    x, y, z = phantom.lesion("L4").centre_lps_mm
    given = lesion_of(session, "L4")
    for number in range(25):
        erase = number % 3 == 2
        painted(session, "L4", (x + 0.7 * number - 8, y + number % 5, z), 2.5, erase=erase)
    one_by_one = lesion_of(session, "L4")
    request = replace(session.state.request, patient_position="supine")
    at_once = session_on(session.scan.volume, request)
    assert lesion_of(at_once, "L4").document() == one_by_one.document()
    # Not only from the request, but from the band's own definition.
    for end in ("volume_low_ml", "volume_high_ml"):
        width = getattr(given, end) / given.volume_ml
        assert getattr(one_by_one, end) == units.ml(one_by_one.volume_ml * width)


def test_lesions_that_overlap_are_told_at_once(session, phantom):
    x, y, z = phantom.lesion("L4").centre_lps_mm
    assert not findings_on_lesions(session.state)
    session.add_lesions([Prompt("L5", None, (Click((x + 2, y, z)),))])
    (told,) = findings_on_lesions(session.state)
    shared = int((voxels(session, "L4") & voxels(session, "L5")).sum())
    assert shared > 0
    assert told.code == "lesions_overlap"
    assert str(units.ml(shared * session.scan.volume.geometry.voxel_ml)) in told.message
    session.remove_lesion("L5")
    assert not findings_on_lesions(session.state)


def test_a_hundred_strokes_stay_small(session, phantom):
    """Every state of undo holds its own lesion and one bit a voxel of what the hand changed."""
    x, y, z = phantom.lesion("L4").centre_lps_mm
    for number in range(100):
        painted(session, "L4", (x + 0.2 * number, y, z), 4.0)
    box = lesion_of(session, "L4").mask.voxels.size
    edits = session.state.request.edits
    assert len(edits) == 1
    assert len(edits[0].added.bits) <= box / 8 + 1


def test_steps_of_undo_hold_no_label_map_of_their_own(session, phantom):
    x, y, z = phantom.lesion("L4").centre_lps_mm
    maps, structures = [], []
    for number in range(4):
        centre = (x + 20.0 + 4.0 * number, y, z)
        session.paint_no_go(
            lambda _, at=centre: editing.new_ball(session.scan.volume.geometry, at, 5.0)
        )
        found = session.find_anatomy()
        maps.append(found.labels.copy())
        structures.append(found.structures)
    assert not np.array_equal(maps[0], maps[-1])
    del found
    gc.collect()
    alive = [one for one in gc.get_objects() if isinstance(one, Anatomy)]
    assert len(alive) == 1
    assert alive[0] is session.state.anatomy
    for labels, named in zip(reversed(maps[:-1]), reversed(structures[:-1]), strict=True):
        assert session.undo()
        assert np.array_equal(session.state.anatomy.labels, labels)
        assert session.state.anatomy.structures == named
        assert not session.state.anatomy.labels.flags.writeable
    while session.redo():
        pass
    assert np.array_equal(session.state.anatomy.labels, maps[-1])


def test_a_lesion_is_painted_from_nothing_and_removed(session, phantom):
    grid = session.scan.volume.geometry
    centre = phantom.lesion("L3").centre_lps_mm
    made = painted(session, "L9", centre, 6.0)
    assert made.source is LesionSource.EDITED
    assert made.volume_low_ml < made.volume_ml < made.volume_high_ml
    gap = np.linalg.norm(
        grid.to_lps(np.stack(np.indices(grid.shape_zyx)[::-1], axis=-1)) - np.asarray(centre),
        axis=-1,
    )
    inside = gap <= 6.0
    inside[grid.nearest_index(centre)[::-1]] = True
    assert np.array_equal(voxels(session, "L9"), inside)
    assert [one.label for one in session.state.lesions] == [1, 2]
    session.remove_lesion("L9")
    assert [one.lesion_id for one in session.state.lesions] == ["L4"]
    assert session.state.request.edits == ()


def test_what_is_no_change_is_no_step_and_nothing_left_is_refused(session, phantom):
    state = session.state
    session.edit_lesion("L4", lambda mask: mask)
    assert session.state is state
    with pytest.raises(CallError, match="nothing would be left"):
        session.edit_lesion("L4", lambda mask: None)
    with pytest.raises(CallError, match="no lesion"):
        session.draw_diameter("L7", (0, 0, 0), (9, 0, 0))
    with pytest.raises(CallError, match="no lesion"):
        session.place_lesion("L7", "skin", "left")
    with pytest.raises(ValueError, match="own verbs"):
        session.change(lambda request: replace(request, edits=("x",)))
    assert session.state is state


def test_a_side_that_contradicts_the_midline_is_told(session):
    assert lesion_of(session, "L4").side == "right"
    assert lesion_of(session, "L4").side_source == "proposed"
    codes = {one.code for one in session.place_lesion("L4", "back", "left").findings}
    assert "side_contradicts_midline" in codes
    assert "side_proposed" not in codes
    told = session.place_lesion("L4", "back", "right")
    assert (told.site, told.side, told.side_source) == ("back", "right", "given")
    assert not {one.code for one in told.findings} & {"side_contradicts_midline", "side_proposed"}


def test_a_drawn_diameter_outlives_an_edit_and_is_taken_back(session, phantom):
    x, y, z = phantom.lesion("L4").centre_lps_mm
    session.draw_diameter("L4", (x - 10, y, z), (x + 11, y, z))
    painted(session, "L4", (x + 8, y, z), 4.0)
    assert lesion_of(session, "L4").longest_diameter_mm == pytest.approx(21.0)
    assert lesion_of(session, "L4").diameter_source == "edited"
    measured = lesion_of(session, "L4").measured_diameter_mm
    assert session.measure_again("L4").longest_diameter_mm == measured
    assert session.state.request.drawn == ()


def test_touching_lesions_are_parted(session, phantom):
    x, y, z = phantom.lesion("L4").centre_lps_mm
    painted(session, "A0", (x + 40, y, z), 8.0)
    painted(session, "A0", (x + 54, y, z), 8.0)
    before = voxels(session, "A0")
    first, second = session.split_lesion("A0", "A1", (x + 40, y, z), (x + 54, y, z))
    assert (first.lesion_id, second.lesion_id) == ("A0", "A1")
    assert np.array_equal(voxels(session, "A0") | voxels(session, "A1"), before)
    assert not (voxels(session, "A0") & voxels(session, "A1")).any()
    assert first.centroid_lps_mm[0] < second.centroid_lps_mm[0]
    assert session.undo()
    assert np.array_equal(voxels(session, "A0"), before)
    state = session.state
    for new_id, point in (("L4", (x + 54, y, z)), ("A1", (x - 60, y, z))):
        with pytest.raises(CallError):
            session.split_lesion("A0", new_id, (x + 40, y, z), point)
    assert session.state is state


def by_hand(session: PlanningSession, phantom: Phantom) -> LesionMask:
    """Edits, a painted lesion, a kept mask, a drawn diameter, a place; gives a no-go zone."""
    x, y, z = phantom.lesion("L4").centre_lps_mm
    grid = session.scan.volume.geometry
    skin = phantom.lesion("L3").centre_lps_mm
    kept = KeptMask("L3", PackedMask.of(editing.new_ball(grid, skin, 6.0)), "net 1.0")
    painted(session, "A0", (x + 30, y, z), 5.0)
    session.add_lesions([Prompt("L3", None, (Click(skin),))], kept=(kept,))
    painted(session, "L4", (x + 8, y, z), 3.0)
    session.draw_diameter("L4", (x - 9, y, z), (x + 11, y, z))
    session.draw_diameter("L4", (x, y - 5, z), (x, y + 6, z), DrawnAxis.SHORT)
    session.draw_diameter("L4", (x - 9, y, z - 4), (x + 11, y, z + 4), DrawnAxis.WHOLE)
    session.place_lesion("L4", "dos", "droite")
    zone = editing.new_ball(grid, (x, y + 20, z + 12), 9.0)
    session.paint_no_go(lambda _: zone)
    return zone


def test_the_case_stands_again_from_its_request(session, phantom, tmp_path: Path):
    """From the document and the files of the request alone, in whatever order it was made."""
    zone = by_hand(session, phantom)
    request = replace(session.state.request, patient_position="prone")
    for name, content in read_inputs(request).items():
        (tmp_path / name).write_bytes(content)
    document = jsonio.loads(jsonio.dumps(request.document()))
    again = session_on(session.scan.volume, PlanRequest.from_document(document, tmp_path))
    made = [one.document() for one in session.state.lesions]
    assert [one["lesion_id"] for one in made] == ["L4", "L3", "A0"]
    assert [one["source"] for one in made] == ["edited", "segmented", "edited"]
    assert made[1]["segmenter"] == "net 1.0"
    drawn = ("diameter_source", "short_axis_source", "diameter_3d_source")
    assert [made[0][name] for name in drawn] == 3 * ["edited"]
    assert made[0]["diameter_3d_mm"] == Decimal("21.5")
    assert [one.document() for one in again.state.lesions] == made
    assert again.state.request.no_go == PackedMask.of(zone)
    assert read_inputs(again.state.request)[HANDWORK_INPUT] == read_inputs(request)[HANDWORK_INPUT]
    (tmp_path / HANDWORK_INPUT).write_text("{}")
    with pytest.raises(InputRefused, match="painted masks"):
        PlanRequest.from_document(document, tmp_path)


@pytest.mark.long
def test_no_needle_enters_the_zone_and_the_plan_is_verified(
    session, phantom, scan_file: Path, tmp_path: Path
):
    zone = by_hand(session, phantom)
    session.change(
        lambda request: replace(
            request, weight_kg=Decimal(70), patient_position="prone", targets=("L4",)
        )
    )
    document = session.save(tmp_path / "plan").document()
    assert "no_go" in {one["name"] for one in document["structures"]}
    contacts = {one["what"]: one["state"] for one in document["lesions"][0]["contacts"]}
    assert contacts["skin"] in ("touches", "clear")
    assert HANDWORK_INPUT in {one["name"] for one in document["inputs"]}
    grid = session.scan.volume.geometry
    for needle in document["needles"]:
        ends = [np.asarray(needle[key], float) for key in ("entry_lps_mm", "tip_lps_mm")]
        index = np.rint(grid.to_index(np.linspace(*ends, 200))).astype(int)
        assert not zone.to_full()[index[:, 2], index[:, 1], index[:, 0]].any()
    assert verify_plan(tmp_path / "plan", scan_file).differences == ()
    path = tmp_path / "plan" / "inputs" / HANDWORK_INPUT
    path.write_text(path.read_text().replace('"L4"', '"L5"'))
    with pytest.raises(InputRefused, match="is not the file"):
        verify_plan(tmp_path / "plan", scan_file)
