"""The audit chain: entries that each hold the hash of the one before. Pure: no database here.

The hash of an entry is the SHA-256, in hexadecimal, of the canonical JSON
(:func:`irplan.jsonio.canonical`) of ``{sequence, time, actor, action, payload, previous_hash}``.
Changing, removing, inserting or moving an entry breaks a link. Cutting off the newest entries
leaves a shorter chain that is whole in itself: only a head noted elsewhere shows that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from irplan import jsonio

#: ``previous_hash`` of the first entry.
NO_HASH = "0" * 64


@dataclass(frozen=True)
class AuditEntry:
    """One entry as it is stored.

    Attributes:
        sequence: 1 for the first entry, then rising by one.
        time: UTC, ISO 8601 with microseconds and 'Z'.
        actor: who did it, as the operating system or the caller names them.
        action: what was done, such as ``plan_added``.
        payload: canonical JSON text of what it was done with.
        previous_hash, hash: 64 hexadecimal digits.
    """

    sequence: int
    time: str
    actor: str
    action: str
    payload: str
    previous_hash: str
    hash: str

    def document(self) -> dict[str, Any]:
        """The entry as a document shows it."""
        return {
            "sequence": self.sequence,
            "time": self.time,
            "actor": self.actor,
            "action": self.action,
            "payload": jsonio.loads(self.payload),
            "previous_hash": self.previous_hash,
            "hash": self.hash,
        }


@dataclass(frozen=True)
class Break:
    """A place where the record is not as it was written.

    Attributes:
        sequence: of the entry at which it shows; ``None`` where no entry can be named.
        kind: edited, removed, reordered, inserted, truncated, or plan_edited, plan_removed,
            plan_unrecorded, and the same of given.
    """

    sequence: int | None
    kind: str
    message: str

    def document(self) -> dict[str, Any]:
        """The break as a document shows it."""
        return {"sequence": self.sequence, "kind": self.kind, "message": self.message}


def entry_hash(
    sequence: int, time: str, actor: str, action: str, payload: Any, previous_hash: str
) -> str:
    """The hash that belongs to an entry with this content."""
    return jsonio.sha256_of(
        {
            "sequence": sequence,
            "time": time,
            "actor": actor,
            "action": action,
            "payload": payload,
            "previous_hash": previous_hash,
        }
    )


def next_entry(
    last: AuditEntry | None, time: str, actor: str, action: str, payload: Mapping[str, Any]
) -> AuditEntry:
    """The entry that follows ``last`` (``None``: the first of a chain)."""
    sequence = last.sequence + 1 if last else 1
    previous_hash = last.hash if last else NO_HASH
    text = jsonio.canonical(payload).decode()
    return AuditEntry(
        sequence,
        time,
        actor,
        action,
        text,
        previous_hash,
        entry_hash(sequence, time, actor, action, payload, previous_hash),
    )


def chain_breaks(entries: Sequence[AuditEntry], head: str | None = None) -> list[Break]:
    """Where the chain, given by rising sequence, is broken; an empty list where it is whole.

    Args:
        head: hash of an entry noted outside the record; where it is given, an entry with that
            hash must still stand in the chain.
    """
    breaks: list[Break] = []
    if not entries:
        breaks.append(Break(None, "removed", "the audit chain has no entry, not even its first"))
    place_of = {entry.hash: entry.sequence for entry in entries}
    previous_hash, previous_sequence = NO_HASH, 0
    for entry in entries:
        expected = previous_sequence + 1
        breaks.extend(_missing(expected, entry.sequence))
        own = _content_break(entry, place_of)
        breaks.extend(own)
        # A gap, or an entry that is broken itself, has been told already.
        if not own and entry.sequence == expected and entry.previous_hash != previous_hash:
            moved = entry.previous_hash in place_of
            breaks.append(
                Break(
                    previous_sequence or entry.sequence,
                    "reordered" if moved else "edited",
                    f"entry {entry.sequence} was not written after the entry that stands before "
                    "it: that one was "
                    + ("moved" if moved else "rewritten with a hash of its own"),
                )
            )
        previous_hash, previous_sequence = entry.hash, entry.sequence
    if head is not None and head not in place_of:
        breaks.append(
            Break(
                None,
                "truncated",
                f"no entry has the noted head {head}: entries were cut off, or the chain was "
                "written anew",
            )
        )
    return breaks


def _missing(expected: int, found: int) -> list[Break]:
    if found == expected:
        return []
    if found < expected:
        return [Break(found, "inserted", f"entry {found} stands where {expected} should")]
    lost = f"entry {expected}" if found == expected + 1 else f"entries {expected} to {found - 1}"
    return [Break(expected, "removed", f"{lost} of the audit chain is missing")]


def _content_break(entry: AuditEntry, place_of: Mapping[str, int]) -> list[Break]:
    try:
        payload = jsonio.loads(entry.payload)
        as_written = jsonio.canonical(payload).decode() == entry.payload
    except (ValueError, RecursionError):
        payload, as_written = None, False
    if as_written and _hash_at(entry, payload, entry.sequence) == entry.hash:
        return []
    # Intact but for its number: the entry was moved. Its own link tells where it belongs.
    belongs = place_of.get(entry.previous_hash, 0) + 1
    for place in {belongs, *range(1, len(place_of) + 1)} if as_written else ():
        if place != entry.sequence and _hash_at(entry, payload, place) == entry.hash:
            message = f"entry {entry.sequence} was written as entry {place}"
            return [Break(entry.sequence, "reordered", message)]
    return [
        Break(
            entry.sequence,
            "edited",
            f"entry {entry.sequence} ({entry.action}) does not have the content it was written "
            "with",
        )
    ]


def _hash_at(entry: AuditEntry, payload: Any, sequence: int) -> str:
    return entry_hash(sequence, entry.time, entry.actor, entry.action, payload, entry.previous_hash)
