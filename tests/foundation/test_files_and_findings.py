"""Files are whole or untouched; findings forbid what they say and no more."""

from pathlib import Path

import pytest

from irplan import findings
from irplan.catalogue import finding_codes
from irplan.errors import Cancelled, InputRefused
from irplan.files import replacing, sha256_of_file, write_text
from irplan.findings import Finding, Forbids, Severity
from irplan.tasks import CancelToken, Task


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    write_text(target, "old")

    def half_written() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        half_written()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_the_temporary_name_keeps_the_ending(tmp_path: Path) -> None:
    with replacing(tmp_path / "mask.nii.gz") as temporary:
        assert temporary.name.endswith("mask.nii.gz")
        temporary.write_bytes(b"x")
    assert (tmp_path / "mask.nii.gz").read_bytes() == b"x"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputRefused) as caught:
        write_text(tmp_path / "file" / "plan.json", "")
    assert "file/plan.json" in caught.value.message


def test_the_hash_is_that_of_sha256sum(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert (
        sha256_of_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_every_code_is_declared_soundly() -> None:
    codes = finding_codes()
    assert len({code["code"] for code in codes}) == len(codes) > 10
    for code in codes:
        assert (code["severity"] == "stop") == (code["forbids"] != "nothing"), code
        assert code["severity"] == "stop" or not code["overridable"], code


def test_only_overridable_stops_can_be_accepted() -> None:
    firm = findings.declare(
        "test_firm", Severity.STOP, "test", "never {what}", forbids=Forbids.SIGNATURE
    )
    soft = findings.declare(
        "test_soft", Severity.STOP, "test", "not so", forbids=Forbids.SIGNATURE, overridable=True
    )
    both = (firm("L1", what="this"), soft("L1"))
    after = findings.accept(both, {"test_firm": "I say so", "test_soft": "seen"})
    assert [one.accepted for one in after] == [None, "seen"]
    assert findings.forbidding(after, Forbids.SIGNATURE) == (after[0],)
    assert findings.forbidding(after, Forbids.PLAN) == ()


def test_a_declaration_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="forbids"):
        findings.declare("test_toothless", Severity.STOP, "test", "x")
    with pytest.raises(ValueError, match="forbids"):
        findings.declare("test_biting", Severity.WARN, "test", "x", forbids=Forbids.PLAN)


def test_a_sentence_with_a_missing_value_is_a_fault() -> None:
    rule = findings.declare("test_sentence", Severity.INFO, "test", "{mm} mm")
    with pytest.raises(KeyError):
        rule()
    assert rule(mm=3).document() == {
        "code": "test_sentence",
        "severity": "info",
        "message": "3 mm",
        "subject": "",
        "accepted": None,
    }


def test_a_cancelled_task_stops_at_its_next_step() -> None:
    token, seen = CancelToken(), []
    task = Task(lambda label, done, total: seen.append((label, done, total)), token, "reading")
    task.part("decoding").step(1, 3)
    token.cancel()
    with pytest.raises(Cancelled):
        task.step(2, 3)
    assert seen == [("decoding", 1, 3)]


def test_findings_are_plain_data() -> None:
    assert Finding("a", Severity.INFO, "b") == Finding("a", Severity.INFO, "b")
