"""The verbs of the session on a small made-up patient: what each changes, and what it leaves."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from irplan.errors import CallError, Cancelled, InputRefused
from irplan.lesions import Click, Diameter, Prompt
from irplan.phantom import Phantom, PhantomSpec, build_phantom
from irplan.phantom.gestures import diameters
from irplan.plan.request import PlanRequest
from irplan.session import PlanningSession
from irplan.tasks import CancelToken, Task


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    # The lower abdomen: an inguinal node and a lesion under the skin, at a coarse grid.
    return build_phantom(
        PhantomSpec(
            columns=160, rows=160, slices=80, spacing_z_mm=4.0, centre_mm=(0.0, 8.0, -200.0)
        )
    )


@pytest.fixture
def session(phantom: Phantom) -> PlanningSession:
    opened = PlanningSession()
    opened.open_volume(phantom.volume())
    opened.change(lambda request: replace(request, weight_kg=Decimal(70)))
    return opened


def prompt(phantom: Phantom, lesion_id: str) -> Prompt:
    """Three diameters on a lesion."""
    lines = [
        Diameter(tuple(map(float, start)), tuple(map(float, end)))
        for start, end in diameters(phantom.lesion(lesion_id))
    ]
    return Prompt(lesion_id, None, tuple(lines))


def test_lesions_doses_and_undo(session: PlanningSession, phantom: Phantom) -> None:
    session.add_lesions([prompt(phantom, "L2")])
    alone = session.allocate()
    assert [ml for _, ml in alone.ml_of("L2")] == [Decimal("4.20")]
    session.add_lesions([prompt(phantom, "L3")])
    # A dose that was computed for other lesions is not shown any longer.
    assert session.state.allocation is None
    both = session.allocate()
    assert sum(ml for name in ("L2", "L3") for _, ml in both.ml_of(name)) == Decimal("4.20")
    assert session.undo()
    assert session.undo()
    assert [one.lesion_id for one in session.state.lesions] == ["L2"]
    assert session.state.allocation == alone
    assert session.redo()
    assert [one.lesion_id for one in session.state.lesions] == ["L2", "L3"]
    session.remove_lesion("L2")
    assert not session.redo()
    assert [one.lesion_id for one in session.state.lesions] == ["L3"]


def test_a_correction_keeps_the_lesions_place_and_a_failed_one_the_lesion(
    session: PlanningSession, phantom: Phantom
) -> None:
    session.add_lesions([prompt(phantom, "L2"), prompt(phantom, "L3")])
    before = session.state.lesions[0]
    first = prompt(phantom, "L2")
    session.add_lesions([replace(first, gestures=first.gestures[:1])])
    assert [one.lesion_id for one in session.state.lesions] == ["L2", "L3"]
    assert [one.label for one in session.state.lesions] == [1, 2]
    # One line says less than three: the volume may well be the same, its band is not.
    assert session.state.lesions[0].volume_high_ml > before.volume_high_ml
    kept = session.state.lesions[0]
    findings = session.add_lesions([Prompt("L2", None, (Click((0.0, -900.0, 0.0)),))])
    assert findings
    assert session.state.lesions[0] == kept


def test_what_was_chosen_makes_old_doses_vanish(session: PlanningSession, phantom: Phantom) -> None:
    session.add_lesions([prompt(phantom, "L2")])
    session.allocate()
    session.change(lambda request: replace(request, weight_kg=Decimal(80)))
    assert session.state.allocation is None
    assert session.allocate().ml_of("L2")[0][1] == Decimal("4.80")


def test_a_lifted_stop_keeps_the_doses(session: PlanningSession, phantom: Phantom) -> None:
    session.add_lesions([prompt(phantom, "L2")])
    doses = session.allocate()
    reasons = (("identity_unconfirmed", "seen at the bedside"),)
    session.change(lambda request: replace(request, accepted=reasons))
    assert session.state.allocation is doses
    assert session.state.request.accepted == reasons
    assert session.undo()
    assert session.state.request.accepted == ()


def test_lesions_cannot_be_changed_behind_their_verbs(session: PlanningSession) -> None:
    with pytest.raises(ValueError, match="verbs"):
        session.change(lambda request: replace(request, mask=Path("x.nrrd")))


def test_a_failed_step_changes_nothing(session: PlanningSession, phantom: Phantom) -> None:
    session.add_lesions([prompt(phantom, "L2")])
    session.change(lambda request: replace(request, weight_kg=Decimal(7)))
    before = session.state
    with pytest.raises(InputRefused):
        session.allocate()
    assert session.state is before


def test_a_cancelled_step_changes_nothing(session: PlanningSession, phantom: Phantom) -> None:
    before = session.state
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        session.add_lesions([prompt(phantom, "L2")], Task(cancel=token))
    assert session.state is before


def test_a_result_for_a_case_that_moved_on_is_refused(
    session: PlanningSession, phantom: Phantom
) -> None:
    # The change comes in the middle of the work, from its own progress reports.
    moved = []

    def move_on(label: str, done: int, total: int) -> None:
        if not moved:
            moved.append(True)
            session.change(lambda request: replace(request, visit=2))

    with pytest.raises(CallError) as caught:
        session.add_lesions([prompt(phantom, "L2")], Task(move_on))
    assert caught.value.code == "moved_on"
    assert session.state.lesions == ()
    assert session.state.request.visit == 2


def test_without_a_scan_or_a_lesion_there_is_no_plan(session: PlanningSession) -> None:
    with pytest.raises(CallError, match="no scan"):
        _ = PlanningSession().scan
    with pytest.raises(InputRefused, match="no lesion"):
        session.plan()


def test_how_the_patient_lies_is_never_guessed(phantom: Phantom) -> None:
    volume = phantom.volume()
    unknown = replace(volume, identity=replace(volume.identity, patient_position=""))
    session = PlanningSession()
    session.open_volume(unknown)
    with pytest.raises(CallError, match="--patient-position"):
        _ = session.position
    session.change(lambda request: replace(request, patient_position="prone"))
    assert session.position == "prone"


def test_the_plan_of_two_superficial_lesions(
    session: PlanningSession, phantom: Phantom, tmp_path: Path
) -> None:
    session.add_lesions([prompt(phantom, "L2"), prompt(phantom, "L3")])
    plan = session.save(tmp_path / "plan")
    assert plan.plan_id == plan.document()["plan_id"]
    assert {name for needle in plan.paths.needles for name in needle.lesion_ids} == {"L2", "L3"}
    # The phantom's volume has no patient and no UIDs: a person must confirm before signing.
    codes = {finding.code for finding in plan.findings}
    assert "identity_unconfirmed" in codes
    again = PlanRequest.from_document(plan.settings["request"], tmp_path / "plan" / "inputs")
    assert again.prompts == session.state.request.prompts
    # Excluding a lesion gives the other the whole dose, and says so.
    session.change(lambda request: request.excluding("L3", "seen to have gone"))
    allocation = session.allocate()
    assert allocation.ml_of("L2")[0][1] == Decimal("4.20")
    assert [one.lesion_id for one in allocation.excluded] == ["L3"]


def test_a_plan_takes_no_place_of_other_files(
    session: PlanningSession, phantom: Phantom, tmp_path: Path
) -> None:
    session.add_lesions([prompt(phantom, "L2")])
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "mask.nrrd").write_text("a day's work")
    with pytest.raises(InputRefused, match="no plan wrote"):
        session.save(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["inputs", "mask.nrrd"]
    # Over an earlier plan it goes, and nothing of that one stays.
    plan = session.save(tmp_path / "plan", skin_map=True)
    lines = (tmp_path / "plan" / "skin_map.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(lines))
    opened = [row for row in rows if row["cost"]]
    assert opened
    assert all(bool(row["reason"]) != bool(row["cost"]) for row in rows)
    # The needle's own hole lies on skin that the map calls open.
    entry = plan.paths.needles[0].entry_lps_mm
    places = [tuple(float(row[axis]) for axis in "xyz") for row in opened]
    assert min(math.dist(entry, place) for place in places) <= 4.0
    (tmp_path / "plan" / "inputs" / "old.csv").write_text("")
    session.save(tmp_path / "plan")
    assert not (tmp_path / "plan" / "inputs" / "old.csv").exists()
    assert not (tmp_path / "plan" / "skin_map.csv").exists()
    assert not [path for path in (tmp_path / "plan").iterdir() if path.name.startswith(".")]


def test_another_path_is_chosen_only_among_safe_ones(
    session: PlanningSession, phantom: Phantom
) -> None:
    session.add_lesions([prompt(phantom, "L2")])
    paths = session.propose_paths()
    with pytest.raises(CallError, match="not a path"):
        session.choose_path("L2", "N99")
    if paths.alternatives:
        other = paths.alternatives[0]
        session.choose_path("L2", other.needle_id)
        plan = session.plan()
        assert plan.paths.needles[0].needle_id == other.needle_id
        assert "path_chosen_by_hand" in {finding.code for finding in plan.findings}
