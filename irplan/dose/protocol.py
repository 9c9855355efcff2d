"""A protocol: the rules by which a dose is ordered, capped, split and made up, as frozen data.

Read from TOML by :mod:`irplan.dose.protocol_file`. Each value knows its source and whether it is
the trial's or a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Any

from irplan.errors import CallError
from irplan.units import plain


class DoseRule(StrEnum):
    """How the ordered dose of a drug follows."""

    PER_KG = "per_kg"
    PER_M2 = "per_m2"
    FLAT = "flat"
    PRESCRIBED = "prescribed"


class SplitRule(StrEnum):
    """By what the dose is split over the lesions."""

    VOLUME = "volume"
    EQUAL = "equal"
    DIAMETER = "diameter"
    SURFACE = "surface"
    SIZE_TABLE = "size_table"
    BY_HAND = "by_hand"


class Combination(StrEnum):
    """Several drugs: each split and drawn by itself, or mixed in one syringe."""

    SEPARATE = "separate"
    MIXED = "mixed"


class Action(StrEnum):
    """What becomes of a lesion below a threshold of size."""

    WARN = "warn"
    EXCLUDE = "exclude"


class TooSmall(StrEnum):
    """What becomes of a share below the smallest injectable volume."""

    DROP = "drop"
    RAISE = "raise"


class Comes(StrEnum):
    """Who comes first, where not every lesion can be injected or a size table is filled."""

    LARGEST = "largest"
    NEW = "new"
    NOT_YET_INJECTED = "not_yet_injected"
    CHOSEN = "chosen"


@dataclass(frozen=True)
class Source:
    """Where a value comes from.

    Attributes:
        value: as the file says it, as document data.
        source: the reference, with how it was read (published, second-hand, customary setting).
        origin: ``trial`` (the trial's own), ``label`` (the drug's or another drug's label),
            ``site`` (set by this file) or ``default`` (irplan's, not a rule of any trial).
    """

    value: Any
    source: str
    origin: str

    def document(self) -> dict[str, Any]:
        """The source as it stands in a document."""
        return {"value": self.value, "source": self.source, "origin": self.origin}


@dataclass(frozen=True)
class Vial:
    """One size of vial."""

    mg: Decimal
    ml: Decimal


@dataclass(frozen=True)
class Drug:
    """One drug of the protocol.

    Attributes:
        amount: mg/kg, mg/m² or mg, by ``rule``; None where the dose is prescribed by hand.
        max_visit_mg, max_course_mg: caps in mg; None is no cap.
        max_visit_ml: cap of a visit in mL, shown in mg through the concentration.
        use_within_hours: how long an opened vial may be used; None is unknown.
    """

    name: str
    concentration_mg_per_ml: Decimal
    rule: DoseRule
    amount: Decimal | None = None
    max_visit_mg: Decimal | None = None
    max_course_mg: Decimal | None = None
    max_visit_ml: Decimal | None = None
    vials: tuple[Vial, ...] = ()
    use_within_hours: Decimal | None = None


@dataclass(frozen=True)
class SizeClass:
    """One row of a size table: lesions above ``above_mm`` (longest diameter) get up to ``ml``."""

    above_mm: Decimal
    ml: Decimal


@dataclass(frozen=True)
class LesionRules:
    """Limits of a single lesion; None is no limit.

    Attributes:
        smallest_ml: smallest injectable volume; a smaller share is dropped or raised.
        warn_above_fraction, max_fraction: injected volume over the lesion's own.
        warn_reader_fraction: a band wider than this part of the dose marks the lesion.
        size_table: rising by ``above_mm``.
    """

    smallest_ml: Decimal | None = None
    too_small: TooSmall = TooSmall.DROP
    min_volume_ml: Decimal | None = None
    below_min_volume: Action = Action.WARN
    min_diameter_mm: Decimal | None = None
    below_min_diameter: Action = Action.WARN
    warn_above_fraction: Fraction | None = None
    max_fraction: Fraction | None = None
    max_ml: Decimal | None = None
    warn_reader_fraction: Fraction = Fraction(1, 4)
    size_table: tuple[SizeClass, ...] = ()

    def table_ml(self, diameter_mm: Decimal) -> Decimal:
        """The ceiling of the size table for a longest diameter; zero below its first class."""
        fitting = [row.ml for row in self.size_table if diameter_mm > row.above_mm]
        return fitting[-1] if fitting else Decimal(0)


@dataclass(frozen=True)
class Syringe:
    """A syringe and the step that its scale shows."""

    size_ml: Decimal
    graduation_ml: Decimal


@dataclass(frozen=True)
class Preparation:
    """How doses are made up.

    Attributes:
        needle_dead_space_ml, hub_dead_space_ml: volume that stays in needle and hub.
        prime: whether the dead space is drawn on top, so that the lesion gets its whole dose.
        overfill_ml: drawn on top of each lesion's dose besides, never injected.
    """

    increment_ml: Decimal = Decimal("0.01")
    needle_dead_space_ml: Decimal = Decimal(0)
    hub_dead_space_ml: Decimal = Decimal(0)
    prime: bool = True
    overfill_ml: Decimal = Decimal(0)
    weight_max_age_days: int | None = None

    @property
    def extra_ml(self) -> Decimal:
        """What is drawn on top of one lesion's dose."""
        dead = self.needle_dead_space_ml + self.hub_dead_space_ml
        return (dead if self.prime else Decimal(0)) + self.overfill_ml


@dataclass(frozen=True)
class ChecklistEntry:
    """One thing to check before the needle; ``applies_to`` is visit, superficial or deep."""

    code: str
    text: str
    text_fr: str = ""
    applies_to: str = "visit"

    def document(self) -> dict[str, str]:
        """The entry as it stands in a document."""
        return {
            "code": self.code,
            "text": self.text,
            "text_fr": self.text_fr,
            "applies_to": self.applies_to,
        }


@dataclass(frozen=True)
class Comparison:
    """A treatment that the protocol is compared with; shown, never dosed from."""

    name: str
    drug: str
    route: str
    amount: Decimal
    unit: str
    text: str = ""


@dataclass(frozen=True)
class Protocol:
    """The whole protocol.

    Attributes:
        drugs: at least one, in the order of giving.
        split: the rule of the split.
        combination: several drugs apart or mixed.
        ratio: parts of mL of each drug in the mixture; () takes the prescribed volumes.
        visits, interval_days: the course; None is not set.
        earlier_visits_count: whether caps over the course count earlier visits.
        max_lesions: how many lesions a visit; None is no limit.
        order: who comes first; ties go to the larger volume, then the smaller id.
        sources: by dotted key, every value with its source.
        text: the file as read, for the plan's ``inputs``.
    """

    name: str
    version: str
    drugs: tuple[Drug, ...]
    title: str = ""
    note: str = ""
    split: SplitRule = SplitRule.VOLUME
    combination: Combination = Combination.SEPARATE
    ratio: tuple[tuple[str, Decimal], ...] = ()
    visits: int | None = None
    interval_days: int | None = None
    earlier_visits_count: bool = True
    max_lesions: int | None = None
    order: tuple[Comes, ...] = (Comes.LARGEST,)
    lesion: LesionRules = LesionRules()
    preparation: Preparation = Preparation()
    syringes: tuple[Syringe, ...] = ()
    checklist: tuple[ChecklistEntry, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict, compare=False)
    text: str = field(default="", compare=False, repr=False)

    def drug(self, name: str) -> Drug:
        """The drug of that name.

        Raises:
            CallError: the protocol does not give it.
        """
        for drug in self.drugs:
            if drug.name == name:
                return drug
        raise CallError(
            "unknown_drug",
            f"the protocol {self.name} does not give '{name}'",
            "its drugs are " + ", ".join(drug.name for drug in self.drugs),
        )

    @property
    def needs_weight(self) -> bool:
        """Whether any rule uses the body weight."""
        return any(drug.rule in (DoseRule.PER_KG, DoseRule.PER_M2) for drug in self.drugs)

    def head(self) -> dict[str, Any]:
        """``protocol`` of the allocation: name, version, split and the sources of its rules."""
        return {
            "name": self.name,
            "version": self.version,
            "split": self.split.value,
            "sources": dict(self._rule_sources),
        }

    @cached_property
    def _rule_sources(self) -> dict[str, dict[str, Any]]:
        rules = ("drugs", "split", "course", "visit", "lesion")
        return {
            key: source.document()
            for key, source in self.sources.items()
            if key.split(".")[0] in rules
        }

    def document(self) -> dict[str, Any]:
        """The protocol with every value and its source, for ``irplan protocols NAME``."""
        return {
            "name": self.name,
            "version": self.version,
            "title": self.title,
            "note": self.note,
            "split": self.split.value,
            "combination": self.combination.value,
            "drugs": [
                {
                    "drug": drug.name,
                    "concentration_mg_per_ml": plain(drug.concentration_mg_per_ml),
                    "rule": drug.rule.value,
                    "amount": None if drug.amount is None else plain(drug.amount),
                    "max_visit_mg": drug.max_visit_mg,
                    "max_course_mg": drug.max_course_mg,
                    "max_visit_ml": drug.max_visit_ml,
                }
                for drug in self.drugs
            ],
            "values": {key: source.document() for key, source in self.sources.items()},
            "checklist": [entry.document() for entry in self.checklist],
            "comparisons": [
                {
                    "name": arm.name,
                    "drug": arm.drug,
                    "route": arm.route,
                    "amount": arm.amount,
                    "unit": arm.unit,
                    "text": arm.text,
                }
                for arm in self.comparisons
            ],
        }
