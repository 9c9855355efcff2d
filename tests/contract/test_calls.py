"""Exit codes, one document on standard output, errors that say the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

WRONG_CALLS = [
    (["allocate"], "Missing argument"),
    (["no-such-command"], "No such command"),
    (["allocate", "@table", "--weight-kg", "70,5"], "comma"),
    (["allocate", "@table", "--weight-kg", "NaN"], "plain decimal"),
    (["allocate", "@table", "--weight-kg", "1e2"], "plain decimal"),
    (["allocate", "@table", "--weight-kg", "-70"], "above zero"),
    (["allocate", "@table", "--weight-kg", "0"], "above zero"),
    (["allocate", "@table", "--weight-kg", "70", "--increment-ml", "0,1"], "comma"),
    (["allocate", "@table", "--weight-kg", "70", "--visit", "0"], "below 1"),
    (["allocate", "@table", "--weight-kg", "70", "--prescribed-mg", "ipilimumab"], "NAME=VALUE"),
    (["schema", "no-such"], "there is no document"),
    (["segment", "@scan", "--out", "x.nii.gz", "--seed", "1,2"], "x,y,z"),
    (["segment", "@scan", "--out", "x.png", "--seed", "1,2,3"], "x.png"),
    (["segment", "@scan", "--out", "x.nii.gz"], "--seed"),
    (
        ["plan", "@scan", "--out", "x", "--seed", "1,2,3", "--patient-position", "upright"],
        "upright",
    ),
]


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("calls") / "lesions.csv"
    path.write_text("lesion_id,volume_ml\nA,3.000\nB,1.000\n")
    return path


@pytest.mark.parametrize(("arguments", "said"), WRONG_CALLS)
def test_a_wrong_call_is_told_and_ends_with_2(
    irplan, sample, table, tmp_path, arguments, said
) -> None:
    names = {"@table": table, "@scan": sample / "visit1"}
    run = irplan(*(names.get(word, word) for word in arguments), cwd=tmp_path)
    assert run.code == 2, run.err
    assert said in run.err
    assert run.out == ""
    assert "Traceback" not in run.err
    assert list(tmp_path.iterdir()) == []


def test_both_ways_of_writing_a_negative_seed_are_read(irplan, sample, tmp_path) -> None:
    for number, words in enumerate((["--seed=-900,0,0"], ["--seed", "-900,0,0"])):
        out = tmp_path / f"{number}.nii.gz"
        run = irplan("segment", sample / "visit1", *words, "--out", out, "--json")
        # Far outside the body: no lesion, but a finding.
        assert run.code == 4, run.err
        assert run.json["lesions"] == []
        assert run.json["findings"] != []


def test_help_is_quick_to_read_and_says_research_only(irplan) -> None:
    run = irplan("--help")
    assert run.code == 0
    assert "research use only" in run.out.lower()


def test_a_folder_without_ct_is_scanned_but_not_read(irplan, tmp_path) -> None:
    (tmp_path / "note.txt").write_text("not a scan")
    scanned = irplan("scan", tmp_path, "--json")
    assert scanned.code == 0
    assert scanned.json["series"] == []
    converted = irplan("convert", tmp_path, "--out", tmp_path / "v.nrrd")
    assert converted.code == 3
    assert not (tmp_path / "v.nrrd").exists()


def test_a_path_that_does_not_exist_is_named(irplan, tmp_path) -> None:
    run = irplan("convert", tmp_path / "nowhere", "--out", tmp_path / "v.nrrd")
    assert run.code in (2, 3)
    assert "nowhere" in run.err


def test_several_series_and_none_named_is_a_wrong_call(irplan, sample, tmp_path) -> None:
    run = irplan("convert", sample, "--out", tmp_path / "v.nrrd")
    assert run.code == 2
    listed = irplan("scan", sample, "--json").json["series"]
    usable = [one["series_instance_uid"] for one in listed if one["usable"]]
    assert len(usable) == 2
    assert all(uid in run.err for uid in usable)


def test_a_refusal_is_a_document_too(irplan, tmp_path, table, conforms) -> None:
    table_text = "lesion_id,volume_ml\nA,3.000\nA,1.000\n"
    (tmp_path / "twice.csv").write_text(table_text)
    run = irplan("allocate", tmp_path / "twice.csv", "--weight-kg", "70", "--json")
    assert run.code == 3
    conforms(run.json, "allocation")
    assert run.json["findings"][0]["severity"] == "stop"
    assert "A" in run.err


def test_every_finding_code_is_listed(irplan, conforms) -> None:
    run = irplan("findings", "--json")
    assert run.code == 0
    conforms(run.json, "codes")
    codes = {one["code"]: one for one in run.json["codes"]}
    assert codes["position_differs"]["overridable"] is True
    assert codes["history_missing"]["overridable"] is True
    assert codes["volume_exceeds_lesion"]["forbids"] == "signature"
