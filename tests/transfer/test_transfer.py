"""A plan carried from visit 1 to visit 2 of the made-up patient, against the truth of both."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from irplan import comparison, following
from irplan.cli.main import main
from irplan.errors import CallError, InputRefused
from irplan.followup import Decision
from irplan.jsonio import loads
from irplan.phantom.motion import VISITS
from irplan.schemas import schema
from irplan.transfer import transfer_plan
from irplan.verification import verify_plan


def document(folder: Path, name: str = "plan.json"):
    return loads((folder / name).read_bytes())


def test_ids_are_kept_and_what_went_and_what_came_is_named(carried, visits) -> None:
    fates = {
        (one["old_ids"] or one["new_ids"])[0]: (one["proposed"], one["confirmed"])
        for one in carried.document()["matches"]
    }
    assert fates.pop("L3") == ("same", False)
    assert fates.pop("L4") == ("gone", False)
    # The one new lesion is named, and nothing else is taken for one.
    assert list(fates.values()) == [("new", False)]
    (name,) = fates
    (found,) = (one for one in carried.follow.lesions if one.lesion_id == name)
    truth = visits.second.lesion("L8")
    assert np.linalg.norm(np.subtract(found.centroid_lps_mm, truth.centre_lps_mm)) < 2.0


def test_the_local_step_is_within_two_millimetres(carried, visits) -> None:
    for one in carried.follow.carried:
        centre = np.asarray(visits.first.lesion(one.old.lesion_id).centre_lps_mm)
        truth = VISITS[2].from_reference(centre)
        assert np.linalg.norm(one.registration.map(centre) - truth) < 2.0
        codes = {finding.code for finding in one.registration.findings}
        assert one.registration.error_mm < 3.0 or "lesion_registration_doubtful" in codes


def test_the_volume_follows_the_image_and_not_the_older_size(carried, visits) -> None:
    change = next(c for c in carried.document()["changes"] if c["lesion_id"] == "L3")
    before, after = (v.lesion("L3").volume_ml for v in (visits.first, visits.second))
    assert after < 0.65 * before
    # 4 mm slices: a lesion of 1 mL is known to some 15 %.
    assert float(change["volume_ml"]["new"]) == pytest.approx(after, rel=0.15)
    volumes = change["volume_ml"]
    assert volumes["change"] == volumes["new"] - volumes["old"]
    assert float(volumes["change_share"]) == pytest.approx(
        float(volumes["new"] / volumes["old"]) - 1.0, abs=1e-4
    )


def test_the_new_version_stands_in_for_the_old_one(carried, visits) -> None:
    old, new = document(visits.plan), document(visits.folder / "plan2")
    assert (old["version"], new["version"]) == (1, 2)
    assert "supersedes" not in old
    assert new["supersedes"] == old["plan_id"] != new["plan_id"]
    codes = {one["code"]: one for one in new["findings"]}
    assert codes["lesion_gone_proposed"]["subject"] == "L4"
    assert {"new_lesion_proposed", "signatures_needed_anew"} <= set(codes)
    # The whole dose goes to what is there; what went and what nobody confirmed get none.
    (drug,) = new["allocation"]["drugs"]
    assert {dose["lesion_id"]: dose["ml"] for dose in drug["lesions"]} == {"L3": Decimal("4.2")}
    names = {path.name for path in visits.plan.iterdir()}
    assert names | {"transfer.json", "transfer.png"} == {
        path.name for path in (visits.folder / "plan2").iterdir()
    }


def test_the_documents_keep_their_schemas(carried, visits) -> None:
    folder = visits.folder / "plan2"
    jsonschema.validate(document(folder, "transfer.json"), schema("transfer"))
    assert document(folder, "transfer.json") == loads(_dumped(carried))


def _dumped(carried) -> bytes:
    from irplan.jsonio import dumps

    return dumps(carried.document()).encode()


def test_every_path_is_kept_or_its_change_told_with_a_reason(carried, visits) -> None:
    needles = document(visits.folder / "plan2")["needles"]
    rows = {
        one["lesion_id"]: one for one in document(visits.folder / "plan2", "transfer.json")["paths"]
    }
    assert rows["L4"]["outcome"] == "lesion_gone"
    row = rows["L3"]
    ends = {(tuple(one["entry_lps_mm"]), tuple(one["tip_lps_mm"])) for one in needles}
    kept = (tuple(row["entry_lps_mm"]), tuple(row["tip_lps_mm"]))
    if row["outcome"] == "kept":
        assert kept in ends
        assert row["reason"] == ""
    else:
        assert row["outcome"] == "planned_again"
        assert row["reason"]


def test_a_kept_path_is_the_old_one_moved_with_the_patient(carried, visits) -> None:
    old = next(one for one in document(visits.plan)["needles"] if one["lesion_ids"] == ["L3"])
    row = next(one for one in carried.paths if one.lesion_id == "L3")
    for key, end, moved in (
        ("entry_lps_mm", row.path.entry_lps_mm, row.entry_moved_mm),
        ("tip_lps_mm", row.path.tip_lps_mm, row.tip_moved_mm),
    ):
        there = VISITS[2].from_reference([float(value) for value in old[key]])
        assert np.linalg.norm(np.subtract(end, there)) < moved + 2.5


@pytest.mark.long
def test_the_new_version_is_computed_again(carried, visits) -> None:
    found = verify_plan(visits.folder / "plan2", visits.folder / "visit2")
    assert found.same, found.differences


@pytest.mark.long
def test_a_person_confirms_and_the_same_bytes_come_again(carried, visits, tmp_path: Path) -> None:
    new = next(one for one in carried.follow.proposals if one.status == "new").match.new_ids
    said = (
        Decision(("L4",), (), "gone", reason="excised"),
        Decision((), new, "new", "L8"),
        Decision(("L3",), ("L3",), "same"),
    )
    made = [
        transfer_plan(visits.plan, visits.folder / "visit2", tmp_path / name, decisions=said)
        for name in ("a", "b")
    ]
    codes = {one.code for one in made[0].findings}
    assert "lesion_gone" in codes
    assert not codes & {"lesion_gone_proposed", "new_lesion_proposed"}
    plan = document(tmp_path / "a")
    assert [one["lesion_id"] for one in plan["lesions"]] == ["L3", "L8"]
    for name in ("transfer.json", "transfer.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert document(tmp_path / "a")["plan_id"] == document(tmp_path / "b")["plan_id"]


def test_another_patients_scan_writes_nothing(visits, tmp_path: Path, capsys) -> None:
    import pydicom

    other = tmp_path / "other"
    shutil.copytree(visits.folder / "visit2", other)
    for path in other.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PatientID = "SOMEBODY-ELSE"
        dataset.save_as(path)
    out = tmp_path / "out"
    code = main(["transfer", str(visits.plan), str(other), "--out", str(out), "--json"])
    printed = loads(capsys.readouterr().out)
    assert code == 3
    assert "patient_differs" in {one["code"] for one in printed["findings"]}
    assert printed["plan_id"] is None
    jsonschema.validate(printed, schema("transfer"))
    assert not out.exists()


def test_the_scan_that_was_planned_on_must_be_known(visits, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(visits.plan, moved)
    text = (moved / "plan.json").read_text()
    (moved / "plan.json").write_text(text.replace(str(visits.folder / "visit1"), "/nowhere"))
    with pytest.raises(InputRefused) as refused:
        transfer_plan(moved, visits.folder / "visit2", tmp_path / "out")
    assert refused.value.code == "old_scan_unknown"
    with pytest.raises(InputRefused) as wrong:
        transfer_plan(
            moved, visits.folder / "visit2", tmp_path / "out", old_path=visits.folder / "visit2"
        )
    assert wrong.value.code == "another_scan"


def test_the_older_plan_is_never_written_over(visits) -> None:
    before = (visits.plan / "plan.json").read_bytes()
    with pytest.raises(CallError, match="older plan"):
        transfer_plan(visits.plan / "plan.json", visits.folder / "visit2", visits.plan)
    assert (visits.plan / "plan.json").read_bytes() == before


def test_needles_on_a_control_scan(visits, tmp_path: Path, capsys) -> None:
    """Tips are placed with known errors in the frame of visit 2; the same errors come back."""
    needle = next(one for one in document(visits.plan)["needles"] if one["lesion_ids"] == ["L3"])
    entry, tip = (
        VISITS[2].from_reference([float(value) for value in needle[key]])
        for key in ("entry_lps_mm", "tip_lps_mm")
    )
    along = (tip - entry) / np.linalg.norm(tip - entry)
    across = np.cross(along, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    placed = tip + 9.0 * along + 12.0 * across
    numbers = ",".join(f"{value:.2f}" for value in (*placed, *entry))
    errors = tmp_path / "errors.csv"
    call = ["compare", str(visits.plan), str(visits.folder / "visit2"), "--json"]
    call += ["--tip", f"{needle['needle_id']}={numbers}", "--errors", str(errors)]
    assert main(call) == 0
    printed = loads(capsys.readouterr().out)
    jsonschema.validate(printed, schema("compare"))
    (found,) = printed["needles"]
    assert float(found["depth_error_mm"]) == pytest.approx(9.0, abs=2.0)
    assert float(found["lateral_error_mm"]) == pytest.approx(12.0, abs=2.0)
    expected = np.degrees(np.arctan2(12.0, np.linalg.norm(tip - entry) + 9.0))
    assert float(found["angle_error_deg"]) == pytest.approx(expected, abs=3.0)
    assert found["in_lesion"] is False
    assert "withdraw" in found["correction"]["words"]
    codes = {one["code"] for one in printed["findings"]}
    assert {"tip_outside_lesion", "site_errors_too_few"} <= codes
    assert len(errors.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("names", "code"),
    [((), "no_tip"), (("N99",), "no_such_needle"), (("N1", "N1"), "needle_twice")],
)
def test_needles_that_cannot_be_compared(visits, names: tuple[str, ...], code: str) -> None:
    placed = [comparison.Placed(name, (0.0, 0.0, 0.0)) for name in names]
    with pytest.raises(CallError) as refused:
        comparison.planned_needles(document(visits.plan), placed)
    assert refused.value.code == code


@pytest.mark.long
def test_follow_with_masks_of_both_visits(visits, tmp_path: Path) -> None:
    """Masks of both scans: matched by their voxels, ids of the older one kept."""
    from irplan.volume_io import save_label_map

    paths = []
    for name, phantom, labels in (("1", visits.first, (3, 4)), ("2", visits.second, (3, 8))):
        kept = np.where(np.isin(phantom.lesion_labels, labels), phantom.lesion_labels, 0)
        paths.append(tmp_path / f"mask{name}.nrrd")
        save_label_map(kept.astype(np.uint8), phantom.grid, paths[-1])
    older = following.scan_with_lesions(visits.folder / "visit1", mask=paths[0])
    made, refused = following.follow_scans(
        older, visits.folder / "visit2", tmp_path / "out", new_mask=paths[1]
    )
    assert not refused
    jsonschema.validate(loads((tmp_path / "out" / "follow.json").read_bytes()), schema("follow"))
    # By their order in the masks they are L1 and L2; label 8 of the newer mask is its second.
    fates = [(m["old_ids"], m["new_ids"], m["proposed"]) for m in made["matches"]]
    assert fates == [(["L1"], ["L1"], "same"), (["L2"], [], "gone"), ([], ["new-L2"], "new")]
    volume = next(c for c in made["changes"] if c["lesion_id"] == "L1")["volume_ml"]
    voxels = np.count_nonzero(visits.second.lesion_labels == 3)
    assert float(volume["new"]) == pytest.approx(voxels * visits.second.grid.voxel_ml, abs=0.001)
