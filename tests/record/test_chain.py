"""The audit chain by itself, against hashes computed with the standard library."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irplan.record.chain import NO_HASH, AuditEntry, chain_breaks, next_entry


def chain_of(length: int) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for number in range(length):
        last = entries[-1] if entries else None
        time = f"2026-01-01T00:00:{number:02d}.000000Z"
        entries.append(next_entry(last, time, "ann", "noted", {"n": number, "é": ["x", None]}))
    return entries


def test_the_hash_is_the_sha256_of_the_canonical_content() -> None:
    first, second = chain_of(2)
    for entry, previous in ((first, "0" * 64), (second, first.hash)):
        content = {
            "sequence": entry.sequence,
            "time": entry.time,
            "actor": "ann",
            "action": "noted",
            "payload": {"n": entry.sequence - 1, "é": ["x", None]},
            "previous_hash": previous,
        }
        text = json.dumps(content, sort_keys=True, ensure_ascii=False)
        assert entry.hash == hashlib.sha256(text.encode()).hexdigest()
        assert entry.previous_hash == previous


@pytest.mark.parametrize("length", [1, 2, 9])
def test_a_chain_as_written_is_whole(length: int) -> None:
    entries = chain_of(length)
    assert chain_breaks(entries) == []
    assert chain_breaks(entries, head=entries[0].hash) == []
    assert chain_breaks(entries, head=entries[-1].hash) == []


def test_no_entry_at_all_is_broken() -> None:
    assert [one.kind for one in chain_breaks([])] == ["removed"]


@given(
    where=st.integers(0, 5),
    field=st.sampled_from(["time", "actor", "action", "payload", "previous_hash", "hash"]),
    letter=st.integers(0, 10),
)
def test_any_change_of_any_field_shows(where: int, field: str, letter: int) -> None:
    entries = chain_of(6)
    old = getattr(entries[where], field)
    place = letter % len(old)
    new = old[:place] + ("x" if old[place] != "x" else "y") + old[place + 1 :]
    entries[where] = dataclasses.replace(entries[where], **{field: new})
    assert chain_breaks(entries)


@given(where=st.integers(0, 4))
def test_an_entry_rewritten_with_a_fitting_hash_breaks_the_link_after_it(where: int) -> None:
    entries = chain_of(6)
    last = entries[where - 1] if where else None
    entries[where] = next_entry(last, entries[where].time, "eve", "noted", {"n": where})
    breaks = chain_breaks(entries)
    assert [(one.sequence, one.kind) for one in breaks] == [(where + 1, "edited")]


def test_white_space_in_a_payload_is_a_change() -> None:
    entries = chain_of(3)
    entries[1] = dataclasses.replace(entries[1], payload=entries[1].payload + " ")
    assert [(one.sequence, one.kind) for one in chain_breaks(entries)] == [(2, "edited")]


@given(st.sets(st.integers(0, 6), min_size=1, max_size=6))
def test_entries_taken_out_before_the_last_show(gone: set[int]) -> None:
    entries = chain_of(8)
    left = [entry for number, entry in enumerate(entries) if number not in gone]
    kinds = {one.kind for one in chain_breaks(left)}
    assert kinds == {"removed"}


def test_removing_and_renumbering_shows() -> None:
    entries = chain_of(5)
    del entries[2]
    entries[2:] = [dataclasses.replace(one, sequence=one.sequence - 1) for one in entries[2:]]
    assert chain_breaks(entries)


@given(st.permutations(range(5)))
def test_swapped_numbers_are_told_as_reordered(order: list[int]) -> None:
    entries = chain_of(5)
    moved = [dataclasses.replace(entries[old], sequence=new + 1) for new, old in enumerate(order)]
    breaks = chain_breaks(moved)
    displaced = {new + 1 for new, old in enumerate(order) if new != old}
    assert {one.sequence for one in breaks if one.kind == "reordered"} >= displaced
    assert bool(breaks) == bool(displaced)


def test_a_tail_cut_off_shows_only_with_a_noted_head() -> None:
    entries = chain_of(5)
    assert chain_breaks(entries[:3]) == []
    assert [one.kind for one in chain_breaks(entries[:3], head=entries[4].hash)] == ["truncated"]


def test_a_chain_written_anew_shows_only_with_a_noted_head() -> None:
    entries = chain_of(3)
    forged = [next_entry(None, entries[0].time, "eve", "noted", {"n": 0})]
    assert forged[0].previous_hash == NO_HASH
    assert chain_breaks(forged) == []
    assert [one.kind for one in chain_breaks(forged, head=entries[2].hash)] == ["truncated"]
