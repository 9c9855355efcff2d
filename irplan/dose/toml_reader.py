"""Reading a TOML file value by value: each with its source, its kind checked, nothing unknown.

A value is written plainly (``max_lesions = 3``) or with its source::

    amount = { value = 0.3, source = "nature2026", origin = "trial" }

where ``source`` names an entry of ``[sources]`` and ``origin`` is one of :data:`ORIGINS`.
Every refusal names file, line and key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, TypeVar

from irplan.dose import toml_lines
from irplan.dose.protocol import Source
from irplan.errors import InputRefused
from irplan.units import plain

ORIGINS = ("trial", "label", "site", "default")
_DEFAULT_SOURCE = "irplan's default"

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Where = tuple[str | int, ...]


@dataclass(frozen=True)
class Table:
    """One table of the file, and where it stands."""

    where: Where
    entries: Mapping[str, Any]


class TomlReader:
    """Takes a protocol out of parsed TOML, remembering sources and which keys were asked for."""

    def __init__(self, file: str, content: str, data: Mapping[str, Any]) -> None:
        self.file = file
        self.content = content
        self.lines = toml_lines.line_index(content)
        self.root = Table((), data)
        self.asked: dict[Where, set[str]] = {}
        self.tables: list[Table] = []
        self.references: dict[str, str] = {}
        self.sources: dict[str, Source] = {}
        self.missing: list[Where] = []

    # Refusals ------------------------------------------------------------------------------

    def refuse(self, code: str, where: Where, cause: str, remedy: str = "") -> InputRefused:
        line = toml_lines.line_of(self.lines, where)
        at = f", line {line}" if line else ""
        key = _dotted(where)
        return InputRefused(code, f"{self.file}{at}: {key}: {cause}", remedy)

    # Pieces --------------------------------------------------------------------------------

    def table(self, parent: Table, key: str) -> Table:
        """A table that may be absent."""
        self._ask(parent, key)
        entries = parent.entries.get(key, {})
        where = (*parent.where, key)
        if not isinstance(entries, Mapping):
            raise self.refuse("wrong_type", where, "must be a table")
        return self._known(Table(where, entries))

    def rows(self, parent: Table, key: str) -> tuple[Table, ...]:
        """An array of tables that may be absent."""
        self._ask(parent, key)
        rows = parent.entries.get(key, [])
        where = (*parent.where, key)
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise self.refuse("wrong_type", where, "must be a list of tables")
        return tuple(self._known(Table((*where, i), row)) for i, row in enumerate(rows))

    def value(
        self,
        table: Table,
        key: str,
        read: Callable[[Where, Any], T],
        default: T,
        *,
        required: bool = False,
        keep: bool = True,
    ) -> T:
        """One value, read by ``read``; its source is kept under its dotted key."""
        self._ask(table, key)
        where = (*table.where, key)
        if key not in table.entries:
            if required:
                # Told last: a misspelt key is better named by itself than by what it leaves out.
                self.missing.append(where)
                return default
            if keep and default is not None:
                self._keep(where, default, _DEFAULT_SOURCE, "default")
            return default
        written = table.entries[key]
        source, origin = "set in the protocol file", "site"
        if isinstance(written, Mapping):
            unknown = sorted(set(written) - {"value", "source", "origin"})
            if unknown:
                raise self.refuse(
                    "unknown_key",
                    (*where, unknown[0]),
                    "unknown key",
                    "known are value, source, origin",
                )
            if "value" not in written:
                raise self.refuse("missing_key", (*where, "value"), "is missing")
            source, origin = self._source(where, written)
            written = written["value"]
        value = read(where, written)
        if keep:
            self._keep(where, value, source, origin)
        return value

    def _source(self, where: Where, written: Mapping[str, Any]) -> tuple[str, str]:
        origin = written.get("origin", "site")
        if origin not in ORIGINS:
            raise self.refuse(
                "wrong_value",
                (*where, "origin"),
                f"'{origin}' is not an origin",
                "one of " + ", ".join(ORIGINS),
            )
        label = written.get("source", "")
        if not isinstance(label, str):
            raise self.refuse("wrong_type", (*where, "source"), "must be a text")
        if label and label not in self.references:
            raise self.refuse(
                "unknown_source",
                (*where, "source"),
                f"'{label}' does not stand under [sources]",
            )
        return self.references.get(label, "set in the protocol file"), origin

    def _keep(self, where: Where, value: Any, source: str, origin: str) -> None:
        self.sources[_dotted(where)] = Source(_as_data(value), source, origin)

    def _ask(self, table: Table, key: str) -> None:
        self.asked.setdefault(table.where, set()).add(key)

    def _known(self, table: Table) -> Table:
        self.tables.append(table)
        self.asked.setdefault(table.where, set())
        return table

    def refuse_unknown(self) -> None:
        """Refuse every key that nobody asked for: a misspelt cap would be a cap that is not there.

        Raises:
            InputRefused: there is one; the first in the file is named.
        """
        unknown: list[Where] = []
        for table in (self.root, *self.tables):
            asked = self.asked.get(table.where, set())
            unknown += [(*table.where, key) for key in table.entries if key not in asked]
        if unknown:
            first = min(unknown, key=lambda where: toml_lines.line_of(self.lines, where) or 0)
            known = sorted(self.asked.get(first[:-1], set()))
            raise self.refuse("unknown_key", first, "unknown key", "known are " + ", ".join(known))

    # Kinds of value ------------------------------------------------------------------------

    def text(self, where: Where, value: Any) -> str:
        if not isinstance(value, str):
            raise self.refuse("wrong_type", where, f"{value!r} is not a text")
        return value

    def flag(self, where: Where, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.refuse("wrong_type", where, f"{value!r} is not true or false")
        return value

    def number(self, where: Where, value: Any) -> Decimal:
        """A number of at least zero."""
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.refuse(
                "wrong_type", where, f"{value!r} is not a number", "write it as in 0.3"
            )
        exact = Decimal(value)
        if not exact.is_finite() or exact < 0:
            raise self.refuse("wrong_value", where, f"{value} is not a number of at least zero")
        return exact

    def positive(self, where: Where, value: Any) -> Decimal:
        exact = self.number(where, value)
        if exact == 0:
            raise self.refuse("wrong_value", where, "must be above zero")
        return exact

    def count(self, where: Where, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.refuse("wrong_value", where, f"{value!r} is not a whole number above zero")
        return value

    def fraction(self, where: Where, value: Any) -> Fraction:
        """A part of one: a number, or a text such as '1/3'."""
        if isinstance(value, str):
            over, _, under = value.partition("/")
            if not (over.strip().isdecimal() and under.strip().isdecimal() and int(under)):
                raise self.refuse(
                    "wrong_value", where, f"'{value}' is not a fraction", "write it as in '1/3'"
                )
            part = Fraction(int(over), int(under))
        else:
            part = Fraction(self.number(where, value))
        if part <= 0:
            raise self.refuse("wrong_value", where, "must be above zero")
        return part

    def choice(self, kind: type[E]) -> Callable[[Where, Any], E]:
        def read(where: Where, value: Any) -> E:
            try:
                return kind(value)
            except ValueError:
                raise self.refuse(
                    "wrong_value",
                    where,
                    f"{value!r} is not known",
                    "one of " + ", ".join(member.value for member in kind),
                ) from None

        return read


def _dotted(where: Where) -> str:
    return ".".join(str(part) for part in where)


def _as_data(value: Any) -> Any:
    """A value as document data: a StrEnum as text, a fraction as '1/3', a number as itself."""
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_as_data(item) for item in value]
    return plain(value) if isinstance(value, Decimal) else value
