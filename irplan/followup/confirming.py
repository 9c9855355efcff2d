"""The file by which a person confirms or corrects what a follow-up proposes.

Columns ``old_id,new_id,status`` and where wanted ``lesion_id,reason``. Several ids in one cell are
separated by spaces. Each row names one proposal by its ids; ``status`` is what the person says,
``lesion_id`` the id that a new lesion shall have.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from irplan.errors import InputRefused
from irplan.followup.matching import Match, MatchStatus

COLUMNS = ("old_id", "new_id", "status", "lesion_id", "reason")
#: A proposed new lesion that a person says is none.
NO_LESION = "no_lesion"
#: What a person may make of a proposal, besides confirming it.
_MAY_BECOME = {
    MatchStatus.SAME: {MatchStatus.GONE.value},
    MatchStatus.GONE: {MatchStatus.SAME.value},
    MatchStatus.NEW: {NO_LESION},
    MatchStatus.OUTSIDE: {MatchStatus.GONE.value},
    MatchStatus.SPLIT: set[str](),
    MatchStatus.MERGED: set[str](),
    MatchStatus.UNCLEAR: set[str](),
}


@dataclass(frozen=True)
class Decision:
    """What a person says about one proposal.

    Attributes:
        old_ids, new_ids: the proposal.
        status: one of :class:`MatchStatus`, or ``no_lesion``.
        lesion_id: the id for a new lesion; '' keeps the proposed one.
        reason: why, in the person's words.
    """

    old_ids: tuple[str, ...]
    new_ids: tuple[str, ...]
    status: str
    lesion_id: str = ""
    reason: str = ""


def read_decisions(path: Path) -> tuple[Decision, ...]:
    """The decisions of a file, in its order.

    Raises:
        InputRefused: it cannot be read, a column or status is unknown, a row names nothing, or a
            proposal stands twice; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputRefused(
            "decisions_unreadable", f"{path}: cannot be read as text: {error}"
        ) from error
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    columns = [name.strip() for name in reader.fieldnames or []]
    reader.fieldnames = columns
    unknown = [name for name in columns if name not in COLUMNS]
    missing = [name for name in COLUMNS[:3] if name not in columns]
    if unknown or missing or len(set(columns)) != len(columns):
        raise InputRefused(
            "decisions_columns",
            f"{path}: the columns are {','.join(columns) or 'absent'}",
            f"use {','.join(COLUMNS)}",
        )
    decisions: list[Decision] = []
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        decision = _decision(row, where)
        if any(_ids(one) == _ids(decision) for one in decisions):
            raise InputRefused("decision_twice", f"{where}: this proposal stands twice")
        decisions.append(decision)
    return tuple(decisions)


def _decision(row: dict[str, str | None], where: str) -> Decision:
    cells = {key: (value or "").strip() for key, value in row.items() if key is not None}
    if None in row:
        raise InputRefused("decision_row", f"{where}: more cells than columns")
    old_ids, new_ids = tuple(cells["old_id"].split()), tuple(cells["new_id"].split())
    status = cells["status"].lower()
    known = [one.value for one in MatchStatus] + [NO_LESION]
    if status not in known:
        raise InputRefused(
            "decision_status", f"{where}: status '{status}' is not one of {', '.join(known)}"
        )
    if not old_ids and not new_ids:
        raise InputRefused("decision_row", f"{where}: names no lesion")
    return Decision(old_ids, new_ids, status, cells.get("lesion_id", ""), cells.get("reason", ""))


def _ids(one: Decision | Match) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(one.old_ids), frozenset(one.new_ids)


def decision_for(match: Match, decisions: Sequence[Decision]) -> Decision | None:
    """What a person said about a proposal, or None."""
    return next((one for one in decisions if _ids(one) == _ids(match)), None)


def possible_statuses(match: Match) -> tuple[str, ...]:
    """What a person may say about a proposal; first that it is so."""
    possible = {match.status.value: None, **dict.fromkeys(sorted(_MAY_BECOME[match.status]))}
    if match.by_image:
        # Nobody drew the parts: a person may say that it is still one lesion, or still two.
        possible[MatchStatus.SAME.value] = None
    return tuple(possible)


def decisions_csv(decisions: Sequence[Decision]) -> str:
    """The file that :func:`read_decisions` reads."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in decisions:
        old, new = " ".join(one.old_ids), " ".join(one.new_ids)
        # A line break within a cell would be read as the end of the row.
        writer.writerow([old, new, one.status, one.lesion_id, " ".join(one.reason.split())])
    return text.getvalue()


def check_decisions(matches: Sequence[Match], decisions: Sequence[Decision]) -> None:
    """Whether every decision is about a proposal and possible.

    Raises:
        InputRefused: a decision names lesions that are no proposal, or a status that the proposal
            cannot become.
    """
    for decision in decisions:
        match = next((one for one in matches if _ids(one) == _ids(decision)), None)
        told = f"'{' '.join(decision.old_ids)}' → '{' '.join(decision.new_ids)}'"
        if match is None:
            raise InputRefused(
                "decision_without_proposal",
                f"a decision is about {told}, which is not proposed",
                "take the ids from the proposals of this follow-up",
            )
        if decision.status not in possible_statuses(match):
            raise InputRefused(
                "decision_not_possible",
                f"{told} is proposed as {match.status.value} and cannot become {decision.status}",
                "show the lesions by gestures or masks on the newer scan instead",
            )
