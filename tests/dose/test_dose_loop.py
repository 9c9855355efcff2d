"""The loop of visits: history under course caps, and splitting anew from what was given."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from irplan.dose import (
    Allocation,
    DoseLesion,
    DoseOrder,
    GivenRow,
    HistoryRow,
    Protocol,
    allocate,
    load_protocol,
)
from irplan.dose.protocol import Combination, DoseRule, Drug
from irplan.errors import InputRefused
from irplan.findings import Forbids, Severity, accept, forbidding, rule_of

D = Decimal
TWO_DRUGS = load_protocol("nct07230613")
NIVIPIT = load_protocol("nivipit")
FOUR_ML = Protocol("made up", "1", (Drug("drug", D(5), DoseRule.FLAT, D(20)),))
LESIONS = (DoseLesion("L1", D(30)), DoseLesion("L2", D(10)))


def doses(allocation: Allocation, drug: int = 0) -> dict[str, tuple[Decimal, ...]]:
    """given, remaining and whole mL of each lesion."""
    return {
        one.lesion_id: (one.given_ml or D(0), one.remaining_ml or D(0), one.ml)
        for one in allocation.drugs[drug].lesions
    }


def codes(allocation: Allocation) -> list[str]:
    return [finding.code for finding in allocation.findings]


def rows(*given: GivenRow) -> DoseOrder:
    return DoseOrder(given=given)


def test_a_course_cap_counts_what_earlier_visits_gave() -> None:
    # 75 mg over the course; 25 + 25 + 20 given: 5 mg are left of the 25 mg ordered.
    history = (
        HistoryRow(1, "L1", "ipilimumab", None, D(25)),
        HistoryRow(2, "L1", "ipilimumab", D(5), D(25)),
        HistoryRow(3, "L1", "ipilimumab", D(4), None),
        HistoryRow(1, "L1", "nivolumab", None, D(30)),
    )
    allocation = allocate(LESIONS, TWO_DRUGS, DoseOrder(visit=4, history=history))
    first, second = allocation.drugs
    assert [(cap.code, cap.limit_mg) for cap in first.caps] == [("visit_mg", 25), ("course_mg", 5)]
    assert (first.ordered_mg, first.prescribed_mg, first.prescribed_ml) == (25, 5, 1)
    assert first.given_before_mg == 70
    assert second.prescribed_mg == 30
    assert "history_missing" not in codes(allocation)


def test_an_exhausted_course_gives_nothing_and_says_so() -> None:
    history = (HistoryRow(1, "L1", "ipilimumab", None, D(80)),)
    allocation = allocate(LESIONS, TWO_DRUGS, DoseOrder(visit=2, history=history))
    first = allocation.drugs[0]
    assert (first.prescribed_mg, first.allocated_ml, first.residual_ml) == (0, 0, 0)
    assert "nothing_prescribed" in codes(allocation)


def test_a_later_visit_without_history_is_an_overridable_stop() -> None:
    allocation = allocate(LESIONS, TWO_DRUGS, DoseOrder(visit=2))
    (stop,) = (one for one in allocation.findings if one.code == "history_missing")
    assert stop.severity is Severity.STOP
    assert rule_of(stop).overridable
    assert forbidding(allocation.findings, Forbids.SIGNATURE)
    accepted = accept(allocation.findings, {"history_missing": "first visit was elsewhere"})
    assert not [
        one for one in forbidding(accepted, Forbids.SIGNATURE) if one.code == "history_missing"
    ]
    assert "history_missing" not in codes(allocate(LESIONS, TWO_DRUGS, DoseOrder(visit=1)))
    assert "history_missing" not in codes(
        allocate(LESIONS, TWO_DRUGS, DoseOrder(visit=2, history=()))
    )
    assert "history_missing" not in codes(allocate(LESIONS, NIVIPIT, DoseOrder(D(70), visit=2)))


def test_only_visits_before_this_one_count() -> None:
    history = tuple(HistoryRow(v, "L1", "ipilimumab", None, D(10)) for v in (1, 2, 3))
    allocation = allocate(LESIONS, TWO_DRUGS, DoseOrder(visit=2, history=history))
    assert allocation.drugs[0].given_before_mg == 10
    assert {"history_later", "history_later_capped"} <= set(codes(allocation))
    # Perhaps the visit's number is wrong, and then the cap counts too little: no signature.
    assert "history_later_capped" in [
        one.code for one in forbidding(allocation.findings, Forbids.SIGNATURE)
    ]
    free = allocate(LESIONS, NIVIPIT, DoseOrder(D(70), visit=1, history=history))
    assert "history_later" in codes(free)
    assert "history_later_capped" not in codes(free)


@pytest.mark.parametrize("spelled", ["Ipilimumab", "IPILIMUMAB"])
def test_a_drug_is_counted_however_its_name_is_written(spelled: str) -> None:
    history = (HistoryRow(1, "L1", spelled, None, D(60)),)
    allocation = allocate(LESIONS, TWO_DRUGS, DoseOrder(visit=2, history=history))
    assert allocation.drugs[0].given_before_mg == 60
    assert "history_other_drug" not in codes(allocation)


def test_what_is_odd_in_a_history_is_said() -> None:
    history = (
        HistoryRow(1, "gone", "ipilimumab", D(4), D(10)),
        HistoryRow(1, "L1", "other", D(1), None),
    )
    allocation = allocate(LESIONS, TWO_DRUGS, DoseOrder(visit=3, history=history))
    # 4 mL at 5 mg/mL are 20 mg, not 10: the larger is counted.
    assert allocation.drugs[0].given_before_mg == 20
    found = codes(allocation)
    assert {"history_disagrees", "history_gap", "history_other_drug", "lesion_vanished"} <= set(
        found
    )
    # A visit that nobody knows of is not one that gave nothing: no signature without a reason.
    gap = next(one for one in allocation.findings if one.code == "history_gap")
    assert (gap.severity, "visit 2" in gap.message) == (Severity.STOP, True)
    assert forbidding(allocation.findings, Forbids.SIGNATURE) != ()
    allocation = allocate(LESIONS, NIVIPIT, DoseOrder(D(70), visit=5, history=()))
    assert "visit_beyond_course" in codes(allocation)


def test_given_is_a_minimum_and_the_rest_is_split_anew() -> None:
    # 4 mL by 3:1 = 3 and 1. L2 already has 1.203: 2.797 mL are left, 2.79 in whole steps for L1.
    allocation = allocate(LESIONS, FOUR_ML, rows(GivenRow("L2", "drug", D("1.203"))))
    assert doses(allocation) == {
        "L1": (0, D("2.79"), D("2.79")),
        "L2": (D("1.203"), 0, D("1.203")),
    }
    assert allocation.drugs[0].lesions[1].limits == ("given_ml",)
    assert allocation.drugs[0].residual_ml == D("0.007")
    assert allocation.drugs[0].residual_reasons == ("rounding",)
    assert not allocation.incomplete
    assert "remain" in allocation.drugs[0].lesions[1].why


def test_given_below_the_share_changes_only_what_remains() -> None:
    allocation = allocate(LESIONS, FOUR_ML, rows(GivenRow("L1", "drug", D("1.5"))))
    assert doses(allocation) == {"L1": (D("1.5"), D("1.5"), 3), "L2": (0, 1, 1)}
    assert allocation.ml_of("L1") == (("drug", D(3)),)
    assert allocation.remaining_ml_of("L1") == (("drug", D("1.5")),)


def test_a_closed_lesion_gets_exactly_what_it_was_given() -> None:
    # L1 took 1.2 mL and refused the rest: the other 2.8 mL go to L2.
    closed = GivenRow("L1", "drug", D("1.2"), closed=True, reason="reflux")
    allocation = allocate(LESIONS, FOUR_ML, rows(closed))
    assert doses(allocation) == {"L1": (D("1.2"), 0, D("1.2")), "L2": (0, D("2.8"), D("2.8"))}
    first = allocation.drugs[0].lesions[0]
    assert first.limits == ("closed",)
    assert "reflux" in first.why


def test_what_no_lesion_can_take_any_more_is_residual() -> None:
    given = (
        GivenRow("L1", "drug", D("1.2"), closed=True, reason="reflux"),
        GivenRow("L2", "drug", D(0), closed=True, reason="gone"),
    )
    allocation = allocate(LESIONS, FOUR_ML, rows(*given))
    (drug,) = allocation.drugs
    assert (drug.allocated_ml, drug.residual_ml, drug.residual_mg) == (D("1.2"), D("2.8"), 14)
    assert drug.residual_reasons == ("closed",)
    assert allocation.incomplete


def test_several_injections_add_up() -> None:
    given = (GivenRow("L1", "drug", D("0.5")), GivenRow("L1", "", D("0.25")))
    assert doses(allocate(LESIONS, FOUR_ML, rows(*given)))["L1"] == (D("0.75"), D("2.25"), 3)


def test_given_above_its_cap_closes_a_lesion() -> None:
    capped = (replace(LESIONS[0], max_ml=D(1)), LESIONS[1])
    allocation = allocate(capped, FOUR_ML, rows(GivenRow("L1", "drug", D("1.1"))))
    assert doses(allocation) == {"L1": (D("1.1"), 0, D("1.1")), "L2": (0, D("2.9"), D("2.9"))}
    assert "given_above_cap" in codes(allocation)
    exactly = allocate(capped, FOUR_ML, rows(GivenRow("L1", "drug", D(1))))
    assert "given_above_cap" not in codes(exactly)


def test_given_to_a_lesion_that_is_then_taken_out_stays_counted() -> None:
    out = (replace(LESIONS[0], injectable=False, reason="bleeding"), LESIONS[1])
    allocation = allocate(out, FOUR_ML, rows(GivenRow("L1", "drug", D("0.4"))))
    assert doses(allocation)["L1"] == (D("0.4"), 0, D("0.4"))
    assert "given_to_excluded" in codes(allocation)
    assert not allocation.excluded


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (GivenRow("L1", "drug", D("4.001")), "given_above_prescribed"),
        (GivenRow("L9", "drug", D("0.1")), "given_unknown_lesion"),
        (GivenRow("L1", "aspirin", D("0.1")), "unknown_drug"),
        (GivenRow("L1", "drug", D("-0.1")), "wrong_value"),
    ],
)
def test_impossible_given_is_refused(given: GivenRow, code: str) -> None:
    with pytest.raises(InputRefused) as refusal:
        allocate(LESIONS, FOUR_ML, rows(given))
    assert refusal.value.code == code


def test_minima_that_no_longer_fit_are_refused() -> None:
    wanting = (LESIONS[0], replace(LESIONS[1], min_ml=D("1.5")))
    with pytest.raises(InputRefused) as refusal:
        allocate(wanting, FOUR_ML, rows(GivenRow("L1", "drug", D("2.6"))))
    assert refusal.value.code == "minima_above_dose"


def test_one_drug_given_of_two_leaves_the_other() -> None:
    given = GivenRow("L2", "ipilimumab", D("0.5"), closed=True, reason="pain")
    allocation = allocate(LESIONS, TWO_DRUGS, DoseOrder(given=(given,)))
    assert doses(allocation, 0)["L2"] == (D("0.5"), 0, D("0.5"))
    # A closed lesion is closed for every drug.
    assert doses(allocation, 1) == {"L1": (0, 3, 3), "L2": (0, 0, 0)}
    untouched = GivenRow("L2", "", D(0), closed=True, reason="gone")
    assert doses(allocate(LESIONS, TWO_DRUGS, DoseOrder(given=(untouched,))), 1)["L2"] == (0, 0, 0)


def test_more_of_one_drug_than_its_part_of_a_cap_takes_from_the_other() -> None:
    # Cap 1 mL: parts 0.625 and 0.375. 0.8 mL of ipilimumab are in: 0.2 mL of nivolumab may follow.
    capped = (replace(LESIONS[0], max_ml=D(1)), LESIONS[1])
    given = GivenRow("L1", "ipilimumab", D("0.8"))
    allocation = allocate(capped, TWO_DRUGS, DoseOrder(given=(given,)))
    assert doses(allocation, 0)["L1"] == (D("0.8"), 0, D("0.8"))
    assert doses(allocation, 1)["L1"] == (0, D("0.2"), D("0.2"))


def test_given_of_a_mixture() -> None:
    mixed = replace(TWO_DRUGS, combination=Combination.MIXED)
    whole = DoseOrder(given=(GivenRow("L1", "mixture", D("0.8"), closed=True),))
    apart = DoseOrder(
        given=(
            GivenRow("L1", "ipilimumab", D("0.5"), closed=True),
            GivenRow("L1", "nivolumab", D("0.3")),
        )
    )
    allocation = allocate(LESIONS, mixed, whole)
    assert allocation.mixture is not None
    assert [one.ml for one in allocation.mixture.lesions] == [D("0.8"), D("7.2")]
    assert allocate(LESIONS, mixed, apart).mixture == allocation.mixture
    wrong = DoseOrder(given=(GivenRow("L1", "ipilimumab", D("0.5")),))
    with pytest.raises(InputRefused) as refusal:
        allocate(LESIONS, mixed, wrong)
    assert refusal.value.code == "not_the_mixture"


def test_an_expired_lot_is_named() -> None:
    def found(expiry: str, time: str) -> bool:
        given = GivenRow("L1", "drug", D("0.1"), time=time, lot="A7", expiry=expiry)
        return "drug_expired" in codes(allocate(LESIONS, FOUR_ML, rows(given)))

    assert found("2026-04", "2026-05-01T09:00")
    assert not found("2026-05", "2026-05-31T09:00")
    assert found("2026-05-30", "2026-05-31T09:00")
    assert not found("2026-05-31", "2026-05-31T09:00")
    assert not found("", "2026-05-31T09:00")


def why_of(allocation: Allocation, place: int) -> tuple[str, str]:
    dose = allocation.drugs[0].lesions[place]
    return dose.why, dose.why_fr


def test_a_lesion_given_beyond_its_limit_says_so() -> None:
    # 4 mL by 3:1; L1 may have 2 mL and got 2.5 already.
    lesions = (replace(LESIONS[0], max_ml=D(2)), LESIONS[1])
    allocation = allocate(lesions, FOUR_ML, rows(GivenRow("L1", "drug", D("2.5"))))
    assert doses(allocation)["L1"] == (D("2.5"), 0, D("2.5"))
    assert allocation.drugs[0].lesions[0].limits == ("given_ml", "max_ml")
    english, french = why_of(allocation, 0)
    assert "by what it was already given and its maximum set for this lesion" in english
    assert "volume déterminé par ce qu'elle a déjà reçu et le maximum fixé pour cette" in french


def test_where_all_was_given_the_sentences_and_warnings_say_so() -> None:
    allocation = allocate(LESIONS, FOUR_ML, rows(GivenRow("L1", "drug", D(4))))
    assert doses(allocation) == {"L1": (4, 0, 4), "L2": (0, 0, 0)}
    assert allocation.drugs[0].lesions[0].limits == ("given_ml",)
    assert "by what it was already given" in why_of(allocation, 0)[0]
    (warning,) = (one for one in allocation.findings if one.code == "zero_share")
    assert warning.message == "gets nothing of drug: what is prescribed has been given"


def test_a_sentence_names_the_volume_that_is_split() -> None:
    # 4 - 0.333 = 3.667 mL, 3.66 in whole steps: 3.993 mL are split by 3:1, 2.99475 and 0.99825.
    allocation = allocate(LESIONS, FOUR_ML, rows(GivenRow("L1", "drug", D("0.333"))))
    english, french = why_of(allocation, 1)
    assert "its part of 3.993 mL is 0.9982 mL" in english
    assert "sa part des 3,993 mL est de 0,9982 mL, ajustée au pas de 0,01 mL" in french


def test_what_nobody_knows_of_earlier_visits_stands_in_the_document() -> None:
    """Without a cap over the course nothing stops, but it is said what is not known."""

    def unknown(order: DoseOrder) -> list[str]:
        found = allocate(LESIONS, NIVIPIT, order).findings
        return [one.message for one in found if one.code == "history_unknown"]

    known = (HistoryRow(1, "L1", "ipilimumab", None, D(20)),)
    assert unknown(DoseOrder(D(70), visit=1)) == []
    assert "visit 1, 2 gave is not known" in unknown(DoseOrder(D(70), visit=3))[0]
    assert "visit 2 gave is not known" in unknown(DoseOrder(D(70), visit=3, history=known))[0]
    assert unknown(DoseOrder(D(70), visit=2, history=known)) == []
    assert "history_unknown" not in codes(allocate(LESIONS, TWO_DRUGS, DoseOrder(visit=2)))


def test_a_drug_that_a_told_visit_leaves_out_is_named() -> None:
    history = (
        HistoryRow(1, "L1", "ipilimumab", None, D(20)),
        HistoryRow(2, "L1", "ipilimumab", None, D(20)),
        HistoryRow(2, "L1", "nivolumab", None, D(0)),
    )
    found = allocate(LESIONS, TWO_DRUGS, DoseOrder(visit=3, history=history)).findings
    (absent,) = (one for one in found if one.code == "history_drug_absent")
    assert (absent.subject, absent.severity) == ("nivolumab", Severity.WARN)
    assert "at visit 1," in absent.message


def dated(*days: str) -> tuple[HistoryRow, ...]:
    """A dose at each visit from the first on, on these days."""
    return tuple(
        HistoryRow(number, "L1", "ipilimumab", None, D(1), day)
        for number, day in enumerate(days, start=1)
    )


@pytest.mark.parametrize(
    ("history", "given", "told"),
    [
        (dated("2026-01-05", "2026-01-26", "2026-02-16"), "", None),
        (dated("2026-01-05", "", "2026-02-16"), "", None),
        (dated("2026-01-26", "2026-01-05", "2026-02-16"), "", ("2026-01-26", "2026-01-05")),
        (dated("2026-01-05", "2026-01-05"), "", ("2026-01-05", "2026-01-05")),
        (dated("2026-03-05", "", "2026-02-16"), "", ("2026-03-05", "2026-02-16")),
        (dated("2026-01-05", "2026-04-26"), "2026-02-16T10:00", ("2026-04-26", "2026-02-16")),
        (dated("2026-01-05", "2026-04-26"), "10:00", None),
        ((*dated("2026-01-05"), *dated("2026-01-06")), "", None),  # a visit of two days
    ],
)
def test_dates_that_do_not_rise_with_the_visits_are_told(history, given, told) -> None:
    so_far = (GivenRow("L1", "ipilimumab", D("0.1"), time=given),) if given else ()
    order = DoseOrder(D(70), visit=4, history=history, given=so_far)
    found = [
        one.message
        for one in allocate(LESIONS, NIVIPIT, order).findings
        if one.code == "history_dates_disordered"
    ]
    assert len(found) == (0 if told is None else 1)
    assert told is None or all(day in found[0] for day in told)


def test_an_id_of_the_history_that_differs_only_in_its_letters_is_named_with_the_other() -> None:
    history = (
        HistoryRow(1, "l1", "ipilimumab", None, D(5)),
        HistoryRow(2, "l1 ", "ipilimumab", None, D(5)),
        HistoryRow(1, "L2", "ipilimumab", None, D(5)),
        HistoryRow(1, "L9", "ipilimumab", None, D(5)),
    )
    found = [
        one
        for one in allocate(LESIONS, NIVIPIT, DoseOrder(D(70), visit=3, history=history)).findings
        if one.code == "history_id_alike"
    ]
    assert [one.subject for one in found] == ["L1", "L1"]
    assert "'l1' and this visit's 'L1'" in found[0].message
    assert all(one.severity is Severity.WARN for one in found)
    # Where the history has it both ways, it is no other lesion.
    both = (*history[:1], HistoryRow(2, "L1", "ipilimumab", None, D(5)))
    order = DoseOrder(D(70), visit=3, history=both)
    assert "history_id_alike" in codes(allocate(LESIONS, NIVIPIT, order))


def test_an_expiry_without_a_day_cannot_be_checked_and_says_so() -> None:
    def told(**more: str) -> list[str]:
        row = GivenRow("L1", "ipilimumab", D("0.1"), lot="A7731", **more)
        found = allocate(LESIONS, NIVIPIT, DoseOrder(D(70), given=(row,))).findings
        return [one.code for one in found if "expir" in one.code]

    assert told(expiry="2026-03") == ["expiry_unchecked"]
    assert told(expiry="2026-03", time="10:15") == ["expiry_unchecked"]
    assert told(expiry="2026-03", time="2026-03-31T10:15") == []
    assert told(expiry="2026-03", time="2026-04-01") == ["drug_expired"]
    assert told() == []
