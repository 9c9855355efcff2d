"""The lesions of a saved plan followed to a newer CT, by the command line, and planned on there."""

from __future__ import annotations

import dataclasses
import shutil
from decimal import Decimal
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from irplan.cli.main import main
from irplan.following import follow_older, scan_of_plan, take_over
from irplan.followup import read_decisions
from irplan.jsonio import loads
from irplan.schemas import schema
from irplan.session import PlanningSession
from irplan.verification import verify_plan

SAID = "old_id,new_id,status,lesion_id,reason\nL4,,gone,,excised on 2 March\n,NEW1,new,L8,\n"


@pytest.mark.long
def test_the_command_follows_the_lesions_of_a_plan(visits, tmp_path: Path, capsys) -> None:
    out, said = tmp_path / "out", tmp_path / "said.csv"
    said.write_text(SAID, encoding="utf-8")
    code = main(
        ["follow", str(visits.plan), str(visits.folder / "visit2"), "--confirm", str(said),
         "--out", str(out), "--json"]
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0
    assert {one.name for one in out.iterdir()} == {
        "follow.json", "lesions.nii.gz", "carried.nii.gz", "follow.png", "decisions.csv",
    }  # fmt: skip
    document = loads((out / "follow.json").read_bytes())
    assert loads(printed.encode()) == document
    jsonschema.validate(document, schema("follow"))
    plan = loads((visits.plan / "plan.json").read_bytes())
    scans = [document[key]["series_instance_uid"] for key in ("from_scan", "to_scan")]
    assert scans[0] == plan["case"]["series_instance_uid"] != scans[1]
    fates = {
        " ".join(one["old_ids"]): (one["new_ids"], one["status"], one["confirmed"])
        for one in document["matches"]
    }
    assert fates == {
        "L3": (["L3"], "same", False),
        "L4": ([], "gone", True),
        "": (["L8"], "new", True),
    }
    # The plan's own volumes are those that the newer ones stand against.
    changes = {one["lesion_id"]: one["volume_ml"] for one in document["changes"]}
    planned = {one["lesion_id"]: one["volume_ml"] for one in plan["lesions"]}
    assert {name: change["old"] for name, change in changes.items()} == planned
    truth = visits.second.lesion("L3").volume_ml
    assert float(changes["L3"]["new"]) == pytest.approx(truth, rel=0.15)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "lesions.nii.gz")))
    voxel_ml = visits.second.grid.voxel_ml
    for lesion in document["lesions"]:
        painted = np.count_nonzero(labels == lesion["label"]) * voxel_ml
        assert painted == pytest.approx(float(lesion["volume_ml"]), rel=0.2)


def test_a_plan_whose_scan_has_moved_asks_for_it(visits, tmp_path: Path, capsys) -> None:
    moved, new, out = tmp_path / "plan", str(visits.folder / "visit2"), tmp_path / "out"
    shutil.copytree(visits.plan, moved)
    text = (moved / "plan.json").read_text(encoding="utf-8")
    (moved / "plan.json").write_text(text.replace("/visit1", "/nowhere"), encoding="utf-8")
    assert main(["follow", str(moved), new, "--out", str(out)]) == 3
    assert "--from" in capsys.readouterr().err
    # What is named instead has to be the scan that was planned on.
    assert main(["follow", str(moved), new, "--from", new, "--out", str(out)]) == 3
    assert "is not the scan that was planned on" in capsys.readouterr().err
    assert main(["follow", new, new, "--mask", new, "--from", new, "--out", str(out)]) == 2
    assert not out.exists()


@pytest.mark.long
def test_the_followed_lesions_are_planned_with_what_the_follow_up_warned_of(
    visits, tmp_path: Path
) -> None:
    session = PlanningSession()
    session.open_series(visits.folder / "visit2")
    older = scan_of_plan(visits.plan)
    made = follow_older(older, session.scan.volume, session.scan.body)
    said = tmp_path / "said.csv"
    said.write_text(SAID, encoding="utf-8")
    follow = made.judged(read_decisions(said))
    assert take_over(session, follow) == ("L3", "L8")
    session.change(lambda request: dataclasses.replace(request, weight_kg=Decimal(70)))
    session.save(tmp_path / "plan")
    document = loads((tmp_path / "plan" / "plan.json").read_bytes())
    jsonschema.validate(document, schema("plan"))
    told = [one["code"] for one in document["findings"]]
    raised = [one.code for one in follow.findings]
    assert raised
    assert set(raised) <= set(told)
    assert "lesion_gone" in raised
    found = verify_plan(tmp_path / "plan", visits.folder / "visit2")
    assert found.same, found.differences
