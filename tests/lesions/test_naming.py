"""Words for sites and sides, and ids over the visits."""

from __future__ import annotations

import itertools

import pytest

from irplan.lesions.lesion import Lesion, LesionSource
from irplan.lesions.naming import (
    SIDES,
    SITES,
    KnownLesion,
    _plain,
    check_ids,
    side_of,
    site_findings,
    site_of,
)


def words(term):
    return (term.code, term.english, term.french, *term.others)


@pytest.mark.parametrize("terms", [SIDES, SITES])
def test_no_word_means_two_things(terms):
    for first, second in itertools.combinations(terms, 2):
        shared = {_plain(one) for one in words(first)} & {_plain(one) for one in words(second)}
        assert not shared
    codes = [term.code for term in terms]
    assert len(set(codes)) == len(codes)
    assert all(term.english and term.french for term in terms)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Left", "LEFT"),
        (" gauche ", "LEFT"),
        ("DROIT", "RIGHT"),
        ("R", "RIGHT"),
        ("bilateral", "BILATERAL"),
        ("bilatéral", "BILATERAL"),
        ("", None),
        ("leftish", None),
    ],
)
def test_sides_are_read(text, code):
    found = side_of(text)
    assert (None if found is None else found.code) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("axilla", "AXILLARY LYMPH NODE"),
        ("Aisselle", "AXILLARY LYMPH NODE"),
        ("groin", "INGUINAL LYMPH NODE"),
        ("ganglion sus claviculaire", "SUPRACLAVICULAR LYMPH NODE"),
        ("Supraclavicular_lymph_node", "SUPRACLAVICULAR LYMPH NODE"),
        ("PEAU", "SKIN"),
        ("planet", None),
    ],
)
def test_sites_are_read(text, code):
    found = site_of(text)
    assert (None if found is None else found.code) == code


def test_a_site_beyond_the_list_is_told():
    lesions = [Lesion(one, None, LesionSource.DIAMETERS, site=one) for one in ("skin", "moon", "")]
    assert [one.subject for one in site_findings(lesions)] == ["moon"]


def known(visit, lesion_id, site="", side=""):
    return KnownLesion(visit, lesion_id, site, side)


#: Earlier visits, this visit, the codes with their subjects.
IDS = [
    ([known(1, "T1", "skin", "left")], [known(2, "T1", "peau", "gauche")], []),
    (
        [known(1, "T1", "skin", "left")],
        [known(2, "T1", "skin", "right")],
        [("lesion_id_reused", "T1")],
    ),
    ([known(1, "T1", "axilla")], [known(2, "T1", "liver")], [("lesion_id_reused", "T1")]),
    ([known(1, "T1", "axilla")], [known(2, "T1", "", "left")], []),
    ([known(1, "T1", "moon")], [known(2, "T1", "Moon ")], []),
    (
        [known(1, "T1", "axilla", "left")],
        [known(2, "T9", "axilla", "left")],
        [("lesion_id_changed", "T9")],
    ),
    ([known(1, "T1", "axilla", "left")], [known(2, "T9", "axilla", "right")], []),
    # The id of a lesion that is there cannot have moved to another one.
    (
        [known(1, "T1", "skin", "left")],
        [known(2, "T1", "skin", "left"), known(2, "T2", "skin", "left")],
        [],
    ),
    # What the first visit left open and the second told holds at the third.
    (
        [known(1, "T1", "skin"), known(2, "T1", "", "left")],
        [known(3, "T1", "skin", "right")],
        [("lesion_id_reused", "T1")],
    ),
    # The first visit's word stands, whatever a later one wrote.
    (
        [known(2, "T1", "liver"), known(1, "T1", "skin")],
        [known(3, "T1", "liver")],
        [("lesion_id_reused", "T1")],
    ),
]


@pytest.mark.parametrize(("earlier", "now", "codes"), IDS)
def test_an_id_belongs_to_one_lesion(earlier, now, codes):
    assert [(one.code, one.subject) for one in check_ids(earlier, now)] == codes
