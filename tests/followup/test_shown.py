"""Lesions that a person draws or corrects on the newer scan, over what was followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_by_image import IN_TWO, JOINED, OLD_HU, PAIR, SPLIT, followed
from test_parts import BODY, balls, bar, mask, scan

from irplan.casework import findings_on_lesions
from irplan.errors import CallError
from irplan.findings import Finding
from irplan.following import take_one, take_over
from irplan.followup import CarriedLesion, Decision, FollowUp
from irplan.followup.found import LESION_GONE, Found
from irplan.followup.kept import laid
from irplan.geometry import BoolArray
from irplan.headless import session_on
from irplan.jsonio import dumps, loads
from irplan.lesions.gestures import Click
from irplan.lesions.lesion import Lesion, LesionSource
from irplan.lesions.measurement import measure_lesion
from irplan.lesions.plugins import BUILT_IN
from irplan.plan.request import PlanRequest
from irplan.session import PlanningSession

BALL = balls((0.0, 8.0))
SMALL = balls((1.0, 6.0))
NOTHING: Any = None


def drawn(name: str, place: BoolArray, now: BoolArray) -> Lesion:
    """A lesion as a person painted it on the newer scan."""
    bare = Lesion(name, 1, LesionSource.EDITED, mask=mask(place))
    return measure_lesion(bare, scan(now, *OLD_HU, seed=8), BODY)


def found_in(before: dict[str, BoolArray], now: BoolArray, seen: bool | None = True) -> Found:
    """The followed lesions; ``seen``: whether the newer scan shows them."""
    old, new = scan(np.logical_or.reduce(list(before.values())), *OLD_HU), scan(now, *OLD_HU, 8)
    carried = [
        replace(followed(name, place, old, new, number), seen=seen)
        for number, (name, place) in enumerate(before.items(), start=1)
    ]
    found = Found(carried, set())
    found.take_joined(old, BODY, new, BODY)
    found.take_parts(new, BODY)
    return found


def judged(found: Found, shown: Sequence[Lesion] = (), *said: Decision) -> FollowUp:
    return found.copy().judged(NOTHING, (), said, [], {}, searched=False, shown=shown)


def codes(follow: FollowUp) -> list[str]:
    return [one.code for one in follow.findings]


def fates(follow: FollowUp) -> list[tuple[Any, ...]]:
    return [
        (one.match.old_ids, one.match.new_ids, one.status, one.confirmed)
        for one in follow.proposals
    ]


def test_a_lesion_that_the_matching_did_not_find_is_drawn() -> None:
    found = found_in({"L1": BALL}, SMALL, seen=False)
    assert fates(judged(found)) == [(("L1",), (), "gone", False)]
    assert codes(judged(found)) == [LESION_GONE.code]
    assert judged(found).open_stops
    shown = judged(found, [drawn("L1", SMALL, SMALL)])
    assert fates(shown) == [(("L1",), ("L1",), "same", True)]
    assert (codes(shown), shown.open_stops) == ([], ())
    assert (shown.kept_ids, shown.drawn_ids) == (("L1",), ("L1",))
    assert float(shown.lesions[0].volume_ml) == pytest.approx(mask(SMALL).voxel_volume_ml, abs=1e-3)
    assert shown.now_of("L1") == ("L1",)
    # A person who said that it has gone and then draws it has changed their mind.
    again = judged(found, [drawn("L1", SMALL, SMALL)], Decision(("L1",), (), "gone"))
    assert fates(again) == fates(shown)
    # What stands without it has not changed by that.
    assert fates(judged(found)) == [(("L1",), (), "gone", False)]


def test_a_corrected_contour_stands_and_confirms() -> None:
    found = found_in({"L1": BALL}, BALL)
    told = judged(found)
    (proposed,) = told.lesions
    assert not told.proposals[0].confirmed
    untouched = judged(found, [proposed])
    assert fates(untouched) == fates(told)
    assert untouched.drawn_ids == ()
    corrected = judged(found, [drawn("L1", SMALL, BALL)])
    assert fates(corrected) == [(("L1",), ("L1",), "same", True)]
    (lesion,) = corrected.lesions
    assert lesion.source is LesionSource.EDITED
    assert np.array_equal(lesion.mask.to_full(), SMALL)


def test_what_was_told_of_the_carried_outline_goes_with_it() -> None:
    one = with_kept_mask()
    found = Found([one], set())
    assert codes(judged(found)) == ["mask_carried", "carried_mask_differs"]
    assert codes(judged(found, [drawn("L1", SMALL, SMALL)])) == []


def test_another_id_is_a_new_lesion() -> None:
    place = balls((20.0, 5.0))
    found = found_in({"L1": BALL}, BALL | place)
    shown = judged(found, [drawn("L9", place, BALL | place)])
    assert fates(shown)[1] == ((), ("L9",), "new", True)
    assert shown.kept_ids == ("L1", "L9")
    assert shown.open_stops == ()


def test_a_lesion_drawn_far_from_its_place_warns() -> None:
    place = balls((22.0, 4.0))
    shown = judged(found_in({"L1": BALL}, BALL | place), [drawn("L1", place, BALL | place)])
    (told,) = shown.findings
    assert told.code == "lesion_shown_elsewhere"
    assert "22.0 mm" in told.message


def test_a_lesion_drawn_for_itself_has_not_grown_together_with_another() -> None:
    found = found_in(PAIR, JOINED)
    assert fates(judged(found)) == [(("L1", "L2"), ("L1+L2",), "merged", False)]
    shown = judged(found, [drawn("L1", PAIR["L1"], JOINED)])
    assert fates(shown) == [(("L1", "L2"), ("L1", "L2"), "same", True)]
    assert [one.lesion_id for one in shown.lesions] == ["L1", "L2"]
    assert shown.kept_ids == ("L1", "L2")
    assert [one.lesion_id for one in shown.prompts] == ["L2"]


def test_a_corrected_part_does_not_say_that_there_are_parts() -> None:
    found = found_in(SPLIT, IN_TWO)
    shown = judged(found, [drawn("L3-2", balls((9.0, 4.0)), IN_TWO)])
    assert fates(shown) == [(("L3",), ("L3-1", "L3-2"), "split", False)]
    assert codes(shown) == ["match_unconfirmed"]
    whole = judged(found, [drawn("L3", bar(-16, 16, 8.0), IN_TWO)])
    assert fates(whole) == [(("L3",), ("L3",), "same", True)]
    assert [one.lesion_id for one in whole.lesions] == ["L3"]


def with_kept_mask() -> CarriedLesion:
    """An imported mask of which the image shows another size."""
    now = scan(SMALL, *OLD_HU, seed=8)
    one = followed("L1", BALL, scan(BALL, *OLD_HU), now, 1)
    here = laid(one.prompt, mask(BALL), LesionSource.IMPORTED, "carried by registration", now,
                BODY, 1)  # fmt: skip
    old = replace(one.old, source=LesionSource.IMPORTED)
    return replace(one, old=old, new=here.lesion, kept=here.kept, image=one.new)


def opened(now: BoolArray) -> PlanningSession:
    session = PlanningSession()
    session.open_volume(scan(now, *OLD_HU, seed=8))
    return session


def test_what_the_follow_up_raised_goes_with_the_lesions_into_the_case() -> None:
    found, session = Found([with_kept_mask()], set()), opened(SMALL)
    with pytest.raises(CallError, match="not settled"):
        take_over(session, judged(found))
    lifted = found.judged(
        NOTHING, (), (), [], {"carried_mask_differs": "read on paper"}, searched=False
    )
    assert take_over(session, lifted) == ("L1",)
    told: tuple[Finding, ...] = findings_on_lesions(session.state)
    assert [one.code for one in told] == ["mask_carried", "carried_mask_differs"]
    assert [one.accepted for one in told] == [None, "read on paper"]
    # The plan is computed again from the document of its request.
    request = session.state.request
    handwork = loads(request.handwork() or b"")
    assert [one["lesion_id"] for one in handwork["kept_masks"]] == ["L1"]
    document = loads(dumps({**request.document(), "handwork": None}).encode())
    read = PlanRequest.from_document(document, Path("inputs"))
    again = replace(read, kept_masks=request.kept_masks, patient_position="supine")
    assert findings_on_lesions(session_on(session.scan.volume, again).state) == told
    # All of it is one step.
    assert session.undo()
    assert (session.state.lesions, session.state.request.followed) == ((), ())
    assert session.redo()
    session.remove_lesion("L1")
    assert session.state.request.followed == ()


def test_a_carried_outline_is_corrected_by_the_brush_and_not_lost_by_a_gesture() -> None:
    session = opened(SMALL)
    take_one(session, judged(Found([with_kept_mask()], set())), "L1")
    (lesion,) = session.state.lesions
    assert np.array_equal(lesion.mask.to_full(), BALL)
    assert session.state.request.followed == ()
    with pytest.raises(CallError, match="brush"):
        session.corrected_by("L1")
    session.edit_lesion("L1", lambda _: mask(SMALL))
    assert session.state.lesions[0].source is LesionSource.EDITED
    # It stays as a person has it when all of the follow-up is taken over.
    follow = judged(Found([with_kept_mask()], set()), session.state.lesions)
    take_over(session, follow)
    assert np.array_equal(session.state.lesions[0].mask.to_full(), SMALL)


def test_a_followed_lesion_is_corrected_by_a_further_gesture() -> None:
    session = opened(BALL)
    take_over(session, judged(found_in({"L1": BALL}, BALL)))
    (before,) = session.state.lesions
    (prompt,) = session.state.request.prompts
    assert session.corrected_by("L1") == BUILT_IN
    more = replace(prompt, gestures=(*prompt.gestures, Click((5.0, 0.0, 0.0), inside=False)))
    session.add_lesions((more,), segmenter=session.corrected_by("L1"))
    (after,) = session.state.lesions
    assert after.volume_ml < before.volume_ml
    assert not after.mask.holds((5.0, 0.0, 0.0))


def test_lesions_grown_together_are_segmented_anew_by_a_gesture() -> None:
    session = opened(JOINED)
    said = Decision(("L1", "L2"), ("L1+L2",), "merged")
    take_over(session, judged(found_in(PAIR, JOINED), (), said))
    (kept,) = session.state.request.kept_masks
    assert kept.source == "segmented"
    assert session.corrected_by("L1+L2") == BUILT_IN
