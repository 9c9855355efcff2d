"""Names of lesions: the list of sites, the words for sides, and ids that stay over the visits.

The codes are words in the manner of CDISC's LOC and LAT; they were not checked against a release
of the codelists, and an export maps them to the release it writes. A text that is not in the list
is kept as it was written: it is told, never replaced.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from irplan.findings import Finding, Severity, declare
from irplan.lesions.lesion import Lesion

STAGE = "lesions"

ID_REUSED = declare(
    "lesion_id_reused",
    Severity.WARN,
    STAGE,
    "{lesion} stood for a lesion of the {before} at visit {visit}, and now for one of the {now}: "
    "an id belongs to one lesion from the first visit to the last",
)
ID_CHANGED = declare(
    "lesion_id_changed",
    Severity.WARN,
    STAGE,
    "{lesion} is new and lies at the {place}, as {earlier} did at visit {visit}, which is absent "
    "now: if it is the same lesion, it keeps its first id",
)
SITE_NOT_LISTED = declare(
    "site_not_in_list",
    Severity.INFO,
    STAGE,
    "{lesion}: the site '{site}' is not in the list of sites; it is kept as written",
)


@dataclass(frozen=True)
class Term:
    """One entry of a list.

    Attributes:
        code: the word that data carry.
        english, french: as people say it.
        others: further spellings that mean the same.
        paired: whether a side belongs to it.
    """

    code: str
    english: str
    french: str
    others: tuple[str, ...] = ()
    paired: bool = True


SIDES = (
    Term("LEFT", "left", "gauche", ("l", "g", "lt", "left side", "links")),
    Term("RIGHT", "right", "droite", ("r", "d", "rt", "droit", "right side")),
    Term("BILATERAL", "bilateral", "bilatéral", ("both", "les deux", "both sides")),
    Term("MIDLINE", "midline", "médian", ("middle", "ligne médiane", "medial", "centre")),
)

SITES = (
    Term("SKIN", "skin", "peau", ("cutaneous", "cutané")),
    Term("SUBCUTANEOUS TISSUE", "subcutaneous tissue", "tissu sous-cutané", ("subcutaneous",)),
    Term("SCALP", "scalp", "cuir chevelu"),
    Term("FACE", "face", "visage"),
    Term("NECK", "neck", "cou"),
    Term("CHEST WALL", "chest wall", "paroi thoracique", ("thoracic wall",)),
    Term("BREAST", "breast", "sein"),
    Term("ABDOMINAL WALL", "abdominal wall", "paroi abdominale"),
    Term("BACK", "back", "dos"),
    Term("BUTTOCK", "buttock", "fesse"),
    Term("ARM", "arm", "bras", ("upper arm",)),
    Term("FOREARM", "forearm", "avant-bras"),
    Term("HAND", "hand", "main"),
    Term("THIGH", "thigh", "cuisse"),
    Term("LOWER LEG", "lower leg", "jambe", ("calf", "mollet")),
    Term("FOOT", "foot", "pied"),
    Term("CERVICAL LYMPH NODE", "cervical lymph node", "ganglion cervical", ("cervical node",)),
    Term(
        "SUPRACLAVICULAR LYMPH NODE",
        "supraclavicular lymph node",
        "ganglion sus-claviculaire",
        ("supraclavicular node", "supraclavicular"),
    ),
    Term(
        "AXILLARY LYMPH NODE",
        "axillary lymph node",
        "ganglion axillaire",
        ("axilla", "axillary node", "aisselle"),
    ),
    Term(
        "INGUINAL LYMPH NODE",
        "inguinal lymph node",
        "ganglion inguinal",
        ("groin", "inguinal node", "aine"),
    ),
    Term("ILIAC LYMPH NODE", "iliac lymph node", "ganglion iliaque", ("iliac node",)),
    Term(
        "MEDIASTINAL LYMPH NODE",
        "mediastinal lymph node",
        "ganglion médiastinal",
        ("mediastinal node",),
        False,
    ),
    Term("HILAR LYMPH NODE", "hilar lymph node", "ganglion hilaire", ("hilar node",)),
    Term(
        "RETROPERITONEAL LYMPH NODE",
        "retroperitoneal lymph node",
        "ganglion rétropéritonéal",
        ("retroperitoneal node",),
        False,
    ),
    Term("MESENTERIC LYMPH NODE", "mesenteric lymph node", "ganglion mésentérique", (), False),
    Term("LUNG", "lung", "poumon", ("pulmonary",)),
    Term("PLEURA", "pleura", "plèvre"),
    Term("LIVER", "liver", "foie", ("hepatic",), False),
    Term("SPLEEN", "spleen", "rate", (), False),
    Term("PANCREAS", "pancreas", "pancréas", (), False),
    Term("KIDNEY", "kidney", "rein"),
    Term("ADRENAL GLAND", "adrenal gland", "surrénale", ("adrenal",)),
    Term("PERITONEUM", "peritoneum", "péritoine", (), False),
    Term("MUSCLE", "muscle", "muscle"),
    Term("SOFT TISSUE", "soft tissue", "tissus mous"),
    Term("BONE", "bone", "os"),
)


def side_of(text: str) -> Term | None:
    """The side that a text names, in English or French; ``None`` where it names none."""
    return _find(text, SIDES)


def site_of(text: str) -> Term | None:
    """The site of the list that a text names, in English or French; ``None`` where it is none."""
    return _find(text, SITES)


def _find(text: str, terms: Sequence[Term]) -> Term | None:
    wanted = _plain(text)
    if not wanted:
        return None
    for term in terms:
        if wanted in {_plain(one) for one in (term.code, term.english, term.french, *term.others)}:
            return term
    return None


def _plain(text: str) -> str:
    """Lower case without accents; hyphens and runs of blanks are one blank."""
    bare = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(one for one in bare if not unicodedata.combining(one))
    return " ".join(letters.replace("-", " ").replace("_", " ").split())


def site_findings(lesions: Iterable[Lesion]) -> tuple[Finding, ...]:
    """The lesions whose site is not in the list."""
    return tuple(
        SITE_NOT_LISTED(one.lesion_id, lesion=one.lesion_id, site=one.site)
        for one in lesions
        if one.site and site_of(one.site) is None
    )


@dataclass(frozen=True)
class KnownLesion:
    """A lesion as an earlier visit knew it.

    Attributes:
        visit: number of the visit, from 1.
        site, side: as written then; '' is unknown.
    """

    visit: int
    lesion_id: str
    site: str = ""
    side: str = ""


def check_ids(earlier: Iterable[KnownLesion], now: Iterable[KnownLesion]) -> tuple[Finding, ...]:
    """Whether the lesions of a visit keep the ids that the visits before gave them.

    The rule: the first visit that names a lesion gives it its id, and the id is never used for
    another. An id that now stands for another site or side is told; so is a new id at the place of
    a lesion whose own id is absent now. What is unknown contradicts nothing.

    Args:
        earlier: of all earlier visits, in any order.
        now: of the visit that is checked.
    """
    first: dict[str, KnownLesion] = {}
    for one in sorted(earlier, key=lambda known: known.visit):
        old = first.get(one.lesion_id)
        if old is None:
            first[one.lesion_id] = one
        elif not (old.site and old.side):
            # A later visit may tell what the first left open; it never changes what was told.
            first[one.lesion_id] = KnownLesion(
                old.visit, old.lesion_id, old.site or one.site, old.side or one.side
            )
    present = tuple(now)
    ids = {one.lesion_id for one in present}
    absent = [one for one in first.values() if one.lesion_id not in ids]
    found: list[Finding] = []
    for one in present:
        old = first.get(one.lesion_id)
        if old is not None:
            if _differ(old, one):
                found.append(
                    ID_REUSED(
                        one.lesion_id,
                        lesion=one.lesion_id,
                        before=_place(old),
                        visit=old.visit,
                        now=_place(one),
                    )
                )
            continue
        for gone in absent:
            if _same_place(gone, one):
                found.append(
                    ID_CHANGED(
                        one.lesion_id,
                        lesion=one.lesion_id,
                        place=_place(one),
                        earlier=gone.lesion_id,
                        visit=gone.visit,
                    )
                )
    return tuple(found)


def _differ(old: KnownLesion, new: KnownLesion) -> bool:
    return _unlike(old.site, new.site, SITES) or _unlike(old.side, new.side, SIDES)


def _same_place(old: KnownLesion, new: KnownLesion) -> bool:
    told = bool(old.site and new.site) and bool(old.side) == bool(new.side)
    return told and not _differ(old, new)


def _unlike(old: str, new: str, terms: Sequence[Term]) -> bool:
    """Whether two texts, both told, name different entries."""
    if not old.strip() or not new.strip():
        return False
    first, second = _find(old, terms), _find(new, terms)
    if first is None or second is None:
        return _plain(old) != _plain(new)
    return first is not second


def _place(one: KnownLesion) -> str:
    return " ".join(word for word in (one.side, one.site) if word) or "place unknown"
