"""The file of decisions: what is read, what is refused, what a proposal may become."""

from __future__ import annotations

from pathlib import Path

import pytest

from irplan.errors import InputRefused
from irplan.followup import (
    Decision,
    Match,
    MatchStatus,
    decisions_csv,
    possible_statuses,
    read_decisions,
)
from irplan.followup.confirming import check_decisions

MATCHES = (
    Match(("L1",), ("L1",), MatchStatus.SAME),
    Match(("L4",), (), MatchStatus.GONE),
    Match(("L2", "L3"), ("L2",), MatchStatus.MERGED),
    Match((), ("NEW1",), MatchStatus.NEW),
)


def written(folder: Path, text: str) -> Path:
    path = folder / "said.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "old_id,new_id,status,lesion_id,reason\nL4,,gone,,resected\n,NEW1,new,L8,\n"
        "L3 L2,L2,merged,,\n",
    )
    found = read_decisions(path)
    assert found[0] == Decision(("L4",), (), "gone", "", "resected")
    assert found[1] == Decision((), ("NEW1",), "new", "L8", "")
    check_decisions(MATCHES, found)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    said = (
        Decision(("L2", "L3"), ("L2+L3",), "merged", "", 'one mass, "kissing"; seen twice'),
        Decision(("L4",), (), "gone", "", "excised\non 2 March"),
        Decision((), ("NEW1",), "new", "L 8", ""),
    )
    read = read_decisions(written(tmp_path, decisions_csv(said)))
    assert (read[0], read[2]) == (said[0], said[2])
    assert read[1] == Decision(("L4",), (), "gone", "", "excised on 2 March")


@pytest.mark.parametrize(
    "match",
    [
        *MATCHES,
        Match(("L1",), ("L1-1", "L1-2"), MatchStatus.SPLIT),
        Match(("L1",), ("L1-1", "L1-2"), MatchStatus.SPLIT, by_image=True),
        Match(("L5",), (), MatchStatus.OUTSIDE),
        Match(("L1", "L2"), ("A", "B"), MatchStatus.UNCLEAR),
    ],
)
def test_what_is_offered_is_what_is_taken(match: Match) -> None:
    every = {one.value for one in MatchStatus} | {"no_lesion"}
    offered = possible_statuses(match)
    assert offered[0] == match.status.value
    for status in every:
        decision = Decision(match.old_ids, match.new_ids, status)
        if status in offered:
            check_decisions((match,), (decision,))
        else:
            with pytest.raises(InputRefused):
                check_decisions((match,), (decision,))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("old_id,new_id\nL1,L1\n", "decisions_columns"),
        ("old_id,new_id,status,colour\n", "decisions_columns"),
        ("old_id,new_id,status\nL4,,vanished\n", "decision_status"),
        ("old_id,new_id,status\n,,gone\n", "decision_row"),
        ("old_id,new_id,status\nL4,,gone,x\n", "decision_row"),
        ("old_id,new_id,status\nL4,,gone\nL4,,same\n", "decision_twice"),
    ],
)
def test_refused(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(InputRefused) as refused:
        read_decisions(written(tmp_path, text))
    assert refused.value.code == code


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputRefused):
        read_decisions(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("decision", "code"),
    [
        (Decision(("L4",), (), "same"), None),
        (Decision(("L1",), ("L1",), "gone"), None),
        (Decision((), ("NEW1",), "no_lesion"), None),
        (Decision(("L9",), (), "gone"), "decision_without_proposal"),
        (Decision(("L1",), (), "gone"), "decision_without_proposal"),
        (Decision(("L4",), (), "new"), "decision_not_possible"),
        (Decision(("L2", "L3"), ("L2",), "same"), "decision_not_possible"),
        (Decision((), ("NEW1",), "gone"), "decision_not_possible"),
    ],
)
def test_what_a_proposal_may_become(decision: Decision, code: str | None) -> None:
    if code is None:
        check_decisions(MATCHES, [decision])
        return
    with pytest.raises(InputRefused) as refused:
        check_decisions(MATCHES, [decision])
    assert refused.value.code == code
