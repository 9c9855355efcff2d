"""What the table of a follow-up says: each lesion before and now, what is proposed, why. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from irplan.followup import Decision, FollowUp, possible_statuses
from irplan.followup.outcome import Proposal
from ui.rows import NONE

FOLLOW_COLUMNS = (
    "Before",
    "Now",
    "Proposed",
    "Volume mL",
    "Longest ⌀ mm",
    "Short axis mm",
    "You say",
    "New id",
    "Reason",
    "Because",
)
#: Which of them are asked of a person.
SAID, NEW_ID, REASON = (FOLLOW_COLUMNS.index(name) for name in ("You say", "New id", "Reason"))

STATUS_WORDS = {
    "same": "same lesion",
    "new": "new lesion",
    "split": "split",
    "merged": "grown together",
    "gone": "gone",
    "unclear": "unclear",
    "outside": "outside the scan",
    "no_lesion": "no lesion",
}


@dataclass(frozen=True)
class FollowRow:
    """One proposal.

    Attributes:
        old_ids, new_ids: as proposed; they name the proposal in a decision.
        cells: one text for each of :data:`FOLLOW_COLUMNS`; '' where a person answers.
        possible: what a person may say, the proposal first.
        drawn: a person drew or corrected it on the newer scan, which says so already.
        is_new: whether it is proposed as new, and may take another id.
        now_ids: ids that it has on the newer scan as things stand; () where it has none there.
    """

    old_ids: tuple[str, ...]
    new_ids: tuple[str, ...]
    cells: tuple[str, ...]
    possible: tuple[str, ...]
    drawn: bool
    is_new: bool
    now_ids: tuple[str, ...]

    @property
    def key(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What names the proposal."""
        return self.old_ids, self.new_ids

    def decision(self, status: str, lesion_id: str, reason: str) -> Decision:
        """What a person says about it."""
        named = lesion_id.strip() if self.is_new and status == "new" else ""
        return Decision(self.old_ids, self.new_ids, status, named, reason.strip())


def follow_rows(proposed: FollowUp, now: FollowUp) -> tuple[FollowRow, ...]:
    """The table.

    Args:
        proposed: without a word of a person.
        now: with what was said and drawn so far; its proposals are those of ``proposed``, in their
            order, and then lesions that a person drew.
    """
    changes = {one["lesion_id"]: one for one in now.changes()}
    lesions = {one.lesion_id: one.document() for one in now.lesions}
    fresh = now.proposals[len(proposed.proposals) :]
    pairs = zip((*proposed.proposals, *fresh), now.proposals, strict=True)
    return tuple(_row(before, after, changes, lesions) for before, after in pairs)


def _row(
    proposed: Proposal,
    now: Proposal,
    changes: Mapping[str, Mapping[str, Any]],
    lesions: Mapping[str, Mapping[str, Any]],
) -> FollowRow:
    match, held = proposed.match, now.match
    numbers = ("volume_ml", "longest_diameter_mm", "short_axis_mm")
    measured = tuple(_change_text(_change(name, held, changes, lesions)) for name in numbers)
    cells = (
        " + ".join(match.old_ids) or NONE,
        " + ".join(held.new_ids) or NONE,
        STATUS_WORDS[match.status.value],
        *measured,
        "",
        "",
        "",
        now.why if now.drawn else proposed.why,
    )
    return FollowRow(
        match.old_ids,
        match.new_ids,
        cells,
        possible_statuses(match),
        now.drawn,
        match.status.value == "new",
        tuple(one for one in held.new_ids if one in lesions),
    )


def _change(
    name: str,
    held: Any,
    changes: Mapping[str, Mapping[str, Any]],
    lesions: Mapping[str, Mapping[str, Any]],
) -> Mapping[str, Any]:
    """A measure before and now; of a merger that of what grew together."""
    if not held.old_ids:
        new = [lesions[one][name] for one in held.new_ids if one in lesions]
        return {"old": None, "new": new[0] if new else None, "change_share": None}
    key = held.old_ids[0] if len(held.old_ids) == 1 else next(iter(held.new_ids), "")
    nothing = {"old": None, "new": None, "change_share": None}
    return changes[key][name] if key in changes else nothing


def _change_text(change: Mapping[str, Any]) -> str:
    old, new, share = change["old"], change["new"], change["change_share"]
    if old is None and new is None:
        return NONE
    text = f"{NONE if old is None else old} → {NONE if new is None else new}"
    return text if share is None else f"{text}  ({_percent(share)})"


def _percent(share: Decimal) -> str:
    """A share as a signed percentage, to a whole per cent; a minus sign, not a hyphen."""
    value = int((share * 100).to_integral_value())
    return "0 %" if value == 0 else f"{'+' if value > 0 else '−'}{abs(value)} %"
