"""What the image alone proposes, from the carried lesions to a person's word on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_parts import BODY, GRID, balls, bar, mask, scan

from irplan import units
from irplan.errors import InputRefused
from irplan.followup import CarriedLesion, Decision, FollowUp
from irplan.followup.carry import prompt_of_mask, unmoved
from irplan.followup.found import Found
from irplan.lesions.lesion import Lesion, LesionKind, LesionSource
from irplan.lesions.segmentation import segment_one
from irplan.registration import LocalRegistration

OLD_HU = (60.0, -90.0, 8.0)


def followed(name: str, place: np.ndarray, old, new, number: int) -> CarriedLesion:
    """A lesion that has not moved, as following it by the image would give it."""
    was = mask(place)
    lesion = Lesion(
        name, number, LesionSource.SEGMENTED, kind=LesionKind.SOFT, mask=was,
        volume_ml=units.ml(was.voxel_volume_ml), site="back",
    )  # fmt: skip
    prompt = prompt_of_mask(name, LesionKind.SOFT, was)
    found = segment_one(new, prompt, BODY, number)
    assert isinstance(found, Lesion)
    registration = LocalRegistration(name, unmoved(GRID), 0.0, 0.0, 1.0, 0.0, 0.0, ())
    return CarriedLesion(lesion, registration, was, prompt, found, 150.0, 150.0, True)


def judged(before: dict[str, np.ndarray], now: np.ndarray, *said: Decision) -> FollowUp:
    everything = np.logical_or.reduce(list(before.values()))
    old, new = scan(everything, *OLD_HU), scan(now, *OLD_HU, seed=8)
    carried = [followed(k, v, old, new, n) for n, (k, v) in enumerate(before.items(), start=1)]
    found = Found(carried, set())
    found.take_joined(old, BODY, new, BODY)
    found.take_parts(new, BODY)
    nothing: Any = None
    return found.judged(nothing, (), said, [], {}, searched=False)


SPLIT = {"L3": bar(-16, 16, 8.0)}
IN_TWO = balls((-9.0, 6.0), (9.0, 5.0))
PAIR = {"L1": balls((-10.0, 8.0)), "L2": balls((10.0, 8.0))}
JOINED = PAIR["L1"] | PAIR["L2"] | bar(-10, 10, 6.0)


def test_a_split_is_proposed_and_stops_until_a_person_said_so() -> None:
    found = judged(SPLIT, IN_TWO)
    (one,) = found.proposals
    assert (one.match.new_ids, one.status, one.confirmed) == (("L3-1", "L3-2"), "split", False)
    assert [lesion.site for lesion in found.lesions] == ["back", "back"]
    volumes = [float(lesion.volume_ml) for lesion in found.lesions]
    # Balls of 6 and 5 mm: 0.905 and 0.524 mL.
    assert volumes == pytest.approx([0.905, 0.524], rel=0.25)
    assert [finding.code for finding in found.findings] == ["match_unconfirmed"]
    assert {prompt.lesion_id for prompt in found.prompts} == {"L3-1", "L3-2"}
    confirmed = judged(SPLIT, IN_TWO, Decision(("L3",), ("L3-1", "L3-2"), "split"))
    assert confirmed.findings == ()
    assert confirmed.kept_ids == ("L3-1", "L3-2")


def test_a_split_that_a_person_refuses_leaves_one_lesion() -> None:
    found = judged(SPLIT, IN_TWO, Decision(("L3",), ("L3-1", "L3-2"), "same"))
    assert [lesion.lesion_id for lesion in found.lesions] == ["L3"]
    assert found.kept_ids == ("L3",)
    assert found.now_of("L3") == ("L3",)


def test_a_merger_is_proposed_as_one_lesion() -> None:
    found = judged(PAIR, JOINED)
    (one,) = found.proposals
    assert (one.match.new_ids, one.status) == (("L1+L2",), "merged")
    (lesion,) = found.lesions
    truth = np.count_nonzero(JOINED) * GRID.voxel_ml
    assert float(lesion.volume_ml) == pytest.approx(truth, rel=0.15)
    (kept,) = found.kept_masks
    assert kept.lesion_id == "L1+L2"
    assert kept.low_ml <= lesion.volume_ml <= kept.high_ml
    refused = judged(PAIR, JOINED, Decision(("L1", "L2"), ("L1+L2",), "same"))
    assert refused.kept_ids == ("L1", "L2")
    assert (refused.kept_masks, refused.now_of("L2")) == ((), ("L2",))


def test_what_was_joined_before_is_no_news() -> None:
    """Two lesions that touched in the older scan already were told apart by a person."""
    everything = JOINED
    old, new = scan(everything, *OLD_HU), scan(everything, *OLD_HU, seed=8)
    carried = [followed(k, v, old, new, n) for n, (k, v) in enumerate(PAIR.items(), start=1)]
    kept = [replace(one, new=replace(one.new, mask=one.old.mask)) for one in carried]
    found = Found(kept, set())
    found.take_joined(old, BODY, new, BODY)
    assert found.by_image == []


def test_what_a_person_drew_is_not_questioned() -> None:
    old, new = scan(SPLIT["L3"], *OLD_HU), scan(IN_TWO, *OLD_HU)
    found = Found([followed("L3", SPLIT["L3"], old, new, 1)], {"L3"})
    found.take_parts(new, BODY)
    assert found.by_image == []


def test_only_what_the_image_proposed_may_be_refused() -> None:
    with pytest.raises(InputRefused, match="cannot become"):
        judged(SPLIT, IN_TWO, Decision(("L3",), ("L3-1", "L3-2"), "gone"))
