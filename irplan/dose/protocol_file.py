"""Reading protocols from TOML: exact numbers, nothing unknown let through, every refusal with
its line and key.

A value is written plainly (``max_lesions = 3``) or with its source::

    amount = { value = 0.3, source = "nature2026", origin = "trial" }

where ``source`` names an entry of ``[sources]`` and ``origin`` is trial, label, site or default.
A plain value is ``site``: set by this file. A key that is left out takes irplan's default, which
is listed as such.
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from irplan.dose.protocol import (
    Action,
    ChecklistEntry,
    Combination,
    Comes,
    Comparison,
    DoseRule,
    Drug,
    LesionRules,
    Preparation,
    Protocol,
    SizeClass,
    SplitRule,
    Syringe,
    TooSmall,
    Vial,
)
from irplan.dose.toml_reader import Table, TomlReader, Where
from irplan.errors import CallError, InputRefused
from irplan.jsonio import plain_number


@cache
def list_protocols() -> tuple[Protocol, ...]:
    """The protocols that come with irplan, by name."""
    folder = files("irplan.dose") / "protocols"
    names = sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )
    return tuple(_shipped(name) for name in names)


def load_protocol(name_or_path: str) -> Protocol:
    """The protocol of a name that comes with irplan, or of a TOML file.

    Raises:
        CallError: there is neither such a name nor such a file.
        InputRefused: the file is no valid protocol; the message names line and key.
    """
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        try:
            content = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError as error:
            raise CallError("no_such_protocol", f"{path}: there is no such file") from error
        except (OSError, UnicodeDecodeError) as error:
            raise InputRefused("cannot_read", f"{path}: cannot be read: {error}") from error
        return parse_protocol(content, str(path))
    known = {protocol.name: protocol for protocol in list_protocols()}
    if name_or_path not in known:
        raise CallError(
            "no_such_protocol",
            f"there is no protocol '{name_or_path}'",
            "one of " + ", ".join(known) + ", or the path of a file that ends in .toml",
        )
    return known[name_or_path]


@cache
def _shipped(name: str) -> Protocol:
    resource = files("irplan.dose") / "protocols" / f"{name}.toml"
    return parse_protocol(resource.read_text(encoding="utf-8"), f"{name}.toml")


@lru_cache(maxsize=32)
def parse_protocol(content: str, file: str) -> Protocol:
    """The protocol in TOML text; a batch asks for the same one at every row.

    Raises:
        InputRefused: it is no valid protocol; the message names file, line and key.
    """
    try:
        data = tomllib.loads(content, parse_float=plain_number)
    except tomllib.TOMLDecodeError as error:
        raise InputRefused("not_toml", f"{file}: is not TOML: {error}") from error
    return _ProtocolReader(file, content, data).protocol()


class _ProtocolReader(TomlReader):
    """Takes a protocol out of parsed TOML."""

    def criteria(self, where: Where, value: Any) -> tuple[Comes, ...]:
        if not isinstance(value, list) or not value:
            raise self.refuse("wrong_type", where, "must be a list that is not empty")
        read = self.choice(Comes)
        return tuple(read(where, item) for item in value)

    # The protocol --------------------------------------------------------------------------

    def protocol(self) -> Protocol:
        """The whole protocol, with everything checked."""
        root = self.root
        references = self.table(root, "sources")
        for label in references.entries:
            self._ask(references, label)
            self.references[label] = self.text(
                (*references.where, label), references.entries[label]
            )
        plain_text: dict[str, Any] = {"keep": False}
        name = self.value(root, "name", self.text, "", required=True, **plain_text)
        version = self.value(root, "version", self.text, "", required=True, **plain_text)
        title = self.value(root, "title", self.text, "", **plain_text)
        note = self.value(root, "note", self.text, "", **plain_text)
        drugs = tuple(self.drug(row) for row in self.rows(root, "drugs"))
        split = self.table(root, "split")
        course = self.table(root, "course")
        visit = self.table(root, "visit")
        protocol = Protocol(
            name=name,
            version=version,
            drugs=drugs,
            title=title,
            note=note,
            split=self.value(split, "rule", self.choice(SplitRule), SplitRule.VOLUME),
            combination=self.value(
                split, "combination", self.choice(Combination), Combination.SEPARATE
            ),
            ratio=self.ratio(split),
            visits=self.value(course, "visits", self.count, None),
            interval_days=self.value(course, "interval_days", self.count, None),
            earlier_visits_count=self.value(course, "earlier_visits_count", self.flag, True),
            max_lesions=self.value(visit, "max_lesions", self.count, None),
            order=self.value(visit, "order", self.criteria, (Comes.LARGEST,)),
            lesion=self.lesion(self.table(root, "lesion")),
            preparation=self.preparation(self.table(root, "preparation")),
            syringes=tuple(self.syringe(row) for row in self.rows(root, "syringes")),
            checklist=tuple(self.check(row) for row in self.rows(root, "checklist")),
            comparisons=tuple(self.comparison(row) for row in self.rows(root, "comparisons")),
        )
        self.refuse_unknown()
        if self.missing:
            raise self.refuse("missing_key", self.missing[0], "is missing")
        self.check_whole(protocol)
        return replace(protocol, sources=dict(self.sources), text=self.content)

    def drug(self, row: Table) -> Drug:
        rule = self.value(row, "rule", self.choice(DoseRule), DoseRule.PRESCRIBED, required=True)
        by_hand = rule is DoseRule.PRESCRIBED
        amount: Decimal | None = self.value(
            row, "amount", self.positive, None, required=not by_hand
        )
        if by_hand and amount is not None:
            raise self.refuse(
                "wrong_value", (*row.where, "amount"), "a dose prescribed by hand has no amount"
            )
        return Drug(
            name=self.value(row, "name", self.text, "", required=True, keep=False),
            concentration_mg_per_ml=self.value(
                row, "concentration_mg_per_ml", self.positive, Decimal(0), required=True
            ),
            rule=rule,
            amount=amount,
            max_visit_mg=self.value(row, "max_visit_mg", self.positive, None),
            max_course_mg=self.value(row, "max_course_mg", self.positive, None),
            max_visit_ml=self.value(row, "max_visit_ml", self.positive, None),
            vials=tuple(
                Vial(
                    self.value(vial, "mg", self.positive, Decimal(0), required=True),
                    self.value(vial, "ml", self.positive, Decimal(0), required=True),
                )
                for vial in self.rows(row, "vials")
            ),
            use_within_hours=self.value(row, "use_within_hours", self.positive, None),
        )

    def ratio(self, split: Table) -> tuple[tuple[str, Decimal], ...]:
        table = self.table(split, "ratio")
        return tuple(
            (drug, self.value(table, drug, self.positive, Decimal(0))) for drug in table.entries
        )

    def lesion(self, table: Table) -> LesionRules:
        return LesionRules(
            smallest_ml=self.value(table, "smallest_ml", self.positive, None),
            too_small=self.value(table, "too_small", self.choice(TooSmall), TooSmall.DROP),
            min_volume_ml=self.value(table, "min_volume_ml", self.positive, None),
            below_min_volume=self.value(
                table, "below_min_volume", self.choice(Action), Action.WARN
            ),
            min_diameter_mm=self.value(table, "min_diameter_mm", self.positive, None),
            below_min_diameter=self.value(
                table, "below_min_diameter", self.choice(Action), Action.WARN
            ),
            warn_above_fraction=self.value(table, "warn_above_fraction", self.fraction, None),
            max_fraction=self.value(table, "max_fraction", self.fraction, None),
            max_ml=self.value(table, "max_ml", self.positive, None),
            warn_reader_fraction=self.value(
                table, "warn_reader_fraction", self.fraction, Fraction(1, 4)
            ),
            size_table=tuple(
                SizeClass(
                    self.value(row, "above_mm", self.number, Decimal(0), required=True),
                    self.value(row, "ml", self.positive, Decimal(0), required=True),
                )
                for row in self.rows(table, "size_table")
            ),
        )

    def preparation(self, table: Table) -> Preparation:
        own = Preparation()
        return Preparation(
            increment_ml=self.value(table, "increment_ml", self.positive, own.increment_ml),
            needle_dead_space_ml=self.value(
                table, "needle_dead_space_ml", self.number, own.needle_dead_space_ml
            ),
            hub_dead_space_ml=self.value(
                table, "hub_dead_space_ml", self.number, own.hub_dead_space_ml
            ),
            prime=self.value(table, "prime", self.flag, own.prime),
            overfill_ml=self.value(table, "overfill_ml", self.number, own.overfill_ml),
            weight_max_age_days=self.value(table, "weight_max_age_days", self.count, None),
        )

    def syringe(self, row: Table) -> Syringe:
        size = self.value(row, "size_ml", self.positive, Decimal(0), required=True)
        step = self.value(row, "graduation_ml", self.positive, Decimal(0), required=True)
        if size % step:
            raise self.refuse(
                "wrong_value",
                (*row.where, "graduation_ml"),
                f"{size} mL is not a whole number of graduations of {step} mL",
            )
        return Syringe(size, step)

    def check(self, row: Table) -> ChecklistEntry:
        applies = self.value(row, "applies_to", self.text, "visit", keep=False)
        if applies not in ("visit", "superficial", "deep", "lesion"):
            raise self.refuse(
                "wrong_value",
                (*row.where, "applies_to"),
                f"'{applies}' is not known",
                "one of visit, lesion, superficial, deep",
            )
        code = self.value(row, "code", self.text, "", required=True, keep=False)
        text = self.value(row, "text", self.text, "", required=True, keep=False)
        text_fr = self.value(row, "text_fr", self.text, "", keep=False)
        return ChecklistEntry(code, text, text_fr, applies)

    def comparison(self, row: Table) -> Comparison:
        read = dict[str, Any](required=True, keep=False)
        return Comparison(
            name=self.value(row, "name", self.text, "", **read),
            drug=self.value(row, "drug", self.text, "", **read),
            route=self.value(row, "route", self.text, "", **read),
            amount=self.value(row, "amount", self.positive, Decimal(0), required=True),
            unit=self.value(row, "unit", self.text, "", **read),
            text=self.value(row, "text", self.text, "", keep=False),
        )

    # What belongs together -----------------------------------------------------------------

    def check_whole(self, protocol: Protocol) -> None:
        """What one value cannot tell by itself.

        Raises:
            InputRefused: the parts contradict each other.
        """
        if not protocol.drugs:
            raise self.refuse("missing_key", ("drugs",), "a protocol gives at least one drug")
        names = [drug.name for drug in protocol.drugs]
        for i, name in enumerate(names):
            if not name.strip() or any(mark in name for mark in "=,:\n"):
                raise self.refuse("wrong_value", ("drugs", i, "name"), f"'{name}' is not a name")
            if name in names[:i]:
                raise self.refuse("wrong_value", ("drugs", i, "name"), f"'{name}' stands twice")
        if protocol.ratio and set(dict(protocol.ratio)) != set(names):
            raise self.refuse(
                "wrong_value", ("split", "ratio"), "must name each drug of the protocol once"
            )
        if protocol.combination is Combination.MIXED and len(names) < 2:
            raise self.refuse("wrong_value", ("split", "combination"), "one drug is no mixture")
        table = protocol.lesion.size_table
        if protocol.split is SplitRule.SIZE_TABLE and not table:
            raise self.refuse("missing_key", ("lesion", "size_table"), "is missing")
        for i in range(1, len(table)):
            if table[i].above_mm <= table[i - 1].above_mm or table[i].ml < table[i - 1].ml:
                raise self.refuse(
                    "wrong_value",
                    ("lesion", "size_table", i),
                    "classes must rise in above_mm and never fall in ml",
                )
        for i, drug in enumerate(protocol.drugs):
            for j, vial in enumerate(drug.vials):
                if vial.mg != vial.ml * drug.concentration_mg_per_ml:
                    raise self.refuse(
                        "wrong_value",
                        ("drugs", i, "vials", j),
                        f"{vial.mg} mg in {vial.ml} mL is not {drug.concentration_mg_per_ml} mg/mL",
                    )


__all__ = ["list_protocols", "load_protocol", "parse_protocol"]
