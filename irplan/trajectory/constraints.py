"""What a needle keeps away from, the limits of a path, and the weights that rank safe paths.

The defaults lie in ``defaults/constraints.toml``, each with its source; a site's file of the same
form changes single values. A hard limit forbids a path, a soft one only ranks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from irplan.errors import InputRefused
from irplan.trajectory import rulefile
from irplan.trajectory.method import (
    ERROR_OF_METHOD,
    LEAST_SIGMA_MM,
    REAL_TIME_ERROR,
    Method,
    breathing_sigma_mm,
    read_method,
    sigma_of_median,
)
from irplan.trajectory.sterile import SterileField, read_sterile_field

MAX_MARGIN_MM = Decimal(60)
MAX_WEIGHT = Decimal(1000)

_STRUCTURE_KEYS = (
    "members",
    "margin_mm",
    "margin_ultrasound_mm",
    "wanted_mm",
    "host",
    "crossable",
    "tell_unknown",
    "source",
)
_LIMIT_KEYS = ("value", "range", "unit", "strength", "strengths", "guidance", "source", "text")
#: What ``strength`` of a limit may be set to where it may be set at all.
_OFF = "off"
_TABLES = (
    "version",
    "structure",
    "limit",
    "weight",
    "method",
    "site_error",
    "sorting",
    "sterile_field",
)


class Strength(StrEnum):
    """Hard forbids a path; soft ranks safe paths."""

    HARD = "hard"
    SOFT = "soft"


@dataclass(frozen=True)
class StructureRule:
    """How near a path may come to the structures whose names fit ``members``. Always hard.

    Attributes:
        name: of the rule.
        members: patterns of structure names; * stands for anything.
        margin_mm: least distance from the axis to the nearest voxel face. For what may be
            crossed: asked of a path that does not cross it.
        margin_ultrasound_mm: the same where the needle is seen in real time.
        wanted_mm: clearance below which a safe path costs more.
        host: may be crossed for a lesion that lies in it.
        crossable: no obstacle.
        tell_unknown: where no structure of the rule is known, every path is told so.
        source: where the figure comes from.
    """

    name: str
    members: tuple[str, ...]
    margin_mm: Decimal
    margin_ultrasound_mm: Decimal
    wanted_mm: Decimal
    host: bool
    crossable: bool
    source: str
    tell_unknown: bool = False

    def fits(self, structure: str) -> bool:
        """Whether the rule holds for a structure of that name."""
        return any(fnmatchcase(structure.lower(), pattern) for pattern in self.members)

    def margin(self, guidance: str) -> float:
        """The margin in mm for a way of working: 'ct', 'ultrasound' or 'palpation'."""
        return float(self.margin_ultrasound_mm if guidance == "ultrasound" else self.margin_mm)

    def document(self) -> dict[str, Any]:
        """The rule as the plan's settings print it."""
        return {
            "members": list(self.members),
            "margin_mm": self.margin_mm,
            "margin_ultrasound_mm": self.margin_ultrasound_mm,
            "wanted_mm": self.wanted_mm,
            "host": self.host,
            "crossable": self.crossable,
            "tell_unknown": self.tell_unknown,
            "strength": Strength.HARD.value,
            "source": self.source,
        }


@dataclass(frozen=True)
class Limit:
    """One number that a path or a way of working is held to.

    Attributes:
        name: ends in its unit where it has one.
        value, low, high: the setting and the range it may be set in.
        unit: 'mm', 'deg', 'mL', 'HU' or ''.
        strength: hard or soft.
        guidance: the ways of working it holds for; none where it is switched off.
        source: where the default comes from.
        text: what it is, in a few words.
        strengths: what a site may set its strength to; empty where it may not.
    """

    name: str
    value: Decimal
    low: Decimal
    high: Decimal
    unit: str
    strength: Strength
    guidance: tuple[str, ...]
    source: str
    text: str
    strengths: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The limit as the plan's settings print it."""
        return {
            "value": self.value,
            "unit": self.unit,
            "strength": self.strength.value,
            "guidance": list(self.guidance),
            "source": self.source,
            "text": self.text,
        }


@dataclass(frozen=True)
class Constraints:
    """Every constraint of a plan, as data.

    Attributes:
        version: of the shipped defaults.
        structures: in order; the first that fits a structure's name holds for it.
        limits: by name.
        weights: by name; they rank safe paths only.
        method: how needles are guided, and the site's own tip errors.
        sterile_field: where the skin may be entered; None where nobody gave one.
    """

    version: str
    structures: tuple[StructureRule, ...]
    limits: Mapping[str, Limit]
    weights: Mapping[str, Decimal]
    method: Method = field(default_factory=Method)
    sterile_field: SterileField | None = None

    def rule_for(self, structure: str) -> StructureRule:
        """The rule of a structure by its name; the last rule fits every name."""
        return next(rule for rule in self.structures if rule.fits(structure))

    def value(self, name: str) -> float:
        """The value of a limit.

        Raises:
            KeyError: there is no limit of that name.
        """
        return self._values[name]

    @cached_property
    def _values(self) -> Mapping[str, float]:
        return {name: float(limit.value) for name, limit in self.limits.items()}

    @cached_property
    def weight_of(self) -> Mapping[str, float]:
        """The weights as floats, by name."""
        return {name: float(weight) for name, weight in self.weights.items()}

    def applies(self, name: str, guidance: str) -> bool:
        """Whether a limit holds for a way of working."""
        return guidance in self.limits[name].guidance

    def tip_sigma_mm(self, guidance: str) -> float:
        """Sigma of the tip's error on each axis, mm, for a way of working.

        Published median / 1.538 for the way of guiding in use; under CT the site's own median
        where it measured at least 20 needles, and then never below 2 mm (customary).
        """
        if guidance != "ct":
            return sigma_of_median(self.value(REAL_TIME_ERROR))
        site = self.method.site
        if site is not None and site.count:
            return max(sigma_of_median(float(site.median_mm)), LEAST_SIGMA_MM)
        return sigma_of_median(self.value(ERROR_OF_METHOD[self.method.ct]))

    @property
    def breathing_sigma_mm(self) -> float:
        """Sigma on each axis, mm, of the motion of a target that moves with the breath."""
        return breathing_sigma_mm(self.value("breathing_mean_mm"), self.value("breathing_sd_mm"))

    def with_strength(self, **strengths: str) -> Constraints:
        """The same with some limits 'hard', 'soft' or 'off'.

        Raises:
            InputRefused: a limit may not be set so.
            KeyError: there is no limit of that name.
        """
        limits = dict(self.limits)
        for name, strength in strengths.items():
            limits[name] = _with_strength(f"limit.{name}", limits[name], strength)
        return replace(self, limits=limits)

    def with_values(self, **values: Decimal | int | float) -> Constraints:
        """The same with some limits at other values.

        Raises:
            InputRefused: a value is out of its limit's range.
            KeyError: there is no limit of that name.
        """
        limits = dict(self.limits)
        for name, value in values.items():
            limit = limits[name]
            exact = Decimal(str(value))
            checked = rulefile.number(f"limit.{name}", exact, limit.low, limit.high)
            limits[name] = replace(limit, value=checked)
        return replace(self, limits=limits)

    def document(self) -> dict[str, Any]:
        """All of it, for the plan's settings and its ``inputs`` folder."""
        return {
            "version": self.version,
            "structure": {rule.name: rule.document() for rule in self.structures},
            "limit": {name: limit.document() for name, limit in self.limits.items()},
            "weight": dict(self.weights),
            "method": self.method.document(),
            "sterile_field": self.sterile_field.document() if self.sterile_field else None,
        }


def load_constraints(path: Path | None = None) -> Constraints:
    """The shipped defaults, changed by the file where one is given.

    The file has the form of ``defaults/constraints.toml`` and may hold any part of it. A new
    structure is put before the shipped ones, so that it wins over their patterns.

    Raises:
        InputRefused: the file cannot be read, holds an unknown key, or a value out of range.
    """
    shipped = _shipped()
    if path is None:
        return shipped
    given = rulefile.read_toml(path)
    rulefile.refuse_unknown(str(path), given, _TABLES)
    return Constraints(
        version=rulefile.text(f"{path}: version", given.get("version", shipped.version)),
        structures=_changed_structures(shipped.structures, given.get("structure", {}), path),
        limits=_changed_limits(shipped.limits, given.get("limit", {}), path),
        weights=_changed_weights(shipped.weights, given.get("weight", {}), path),
        method=read_method(str(path), given),
        sterile_field=read_sterile_field(str(path), given),
    )


def _shipped() -> Constraints:
    content = rulefile.read_default("constraints.toml")
    where = "constraints.toml"
    return Constraints(
        version=content["version"],
        structures=tuple(
            _structure(f"{where}: structure.{name}", name, entry)
            for name, entry in content["structure"].items()
        ),
        limits={name: _limit(where, name, entry) for name, entry in content["limit"].items()},
        weights={
            name: rulefile.number(f"{where}: weight.{name}", value, Decimal(0), MAX_WEIGHT)
            for name, value in content["weight"].items()
        },
    )


def _structure(
    where: str, name: str, entry: Mapping[str, Any], base: StructureRule | None = None
) -> StructureRule:
    """A rule from its table; what the table does not name comes from ``base``."""
    rulefile.refuse_unknown(where, entry, _STRUCTURE_KEYS)

    def millimetres(key: str, default: Decimal) -> Decimal:
        return rulefile.number(f"{where}.{key}", entry.get(key, default), Decimal(0), MAX_MARGIN_MM)

    def flag(key: str, default: bool) -> bool:
        value = entry.get(key, default)
        if not isinstance(value, bool):
            raise InputRefused("not_a_flag", f"{where}.{key}: {value!r} is not true or false")
        return value

    crossable = flag("crossable", base.crossable if base else False)
    if base is None and not crossable and "margin_mm" not in entry:
        raise InputRefused("no_margin", f"{where}: an obstacle needs margin_mm")
    margin = millimetres("margin_mm", base.margin_mm if base else Decimal(0))
    # A site that widens the margin means it for every way of working unless it says otherwise.
    ultrasound = margin if base is None or "margin_mm" in entry else base.margin_ultrasound_mm
    return StructureRule(
        name=name,
        members=(
            rulefile.texts(f"{where}.members", entry.get("members"))
            if base is None or "members" in entry
            else base.members
        ),
        margin_mm=margin,
        margin_ultrasound_mm=millimetres("margin_ultrasound_mm", ultrasound),
        wanted_mm=millimetres("wanted_mm", base.wanted_mm if base else margin),
        host=flag("host", base.host if base else False),
        crossable=crossable,
        tell_unknown=flag("tell_unknown", base.tell_unknown if base else False),
        source=rulefile.text(f"{where}.source", entry.get("source", base.source if base else None)),
    )


def _limit(where: str, name: str, entry: Mapping[str, Any]) -> Limit:
    rulefile.refuse_unknown(f"{where}: limit.{name}", entry, _LIMIT_KEYS)
    low, high = (Decimal(bound) for bound in entry["range"])
    return Limit(
        name=name,
        value=rulefile.number(f"{where}: limit.{name}", entry["value"], low, high),
        low=low,
        high=high,
        unit=entry["unit"],
        strength=Strength(entry["strength"]),
        guidance=tuple(entry["guidance"]),
        source=rulefile.text(f"{where}: limit.{name}.source", entry["source"]),
        text=rulefile.text(f"{where}: limit.{name}.text", entry["text"]),
        strengths=tuple(entry.get("strengths", ())),
    )


def _changed_structures(
    shipped: tuple[StructureRule, ...], given: Mapping[str, Any], path: Path
) -> tuple[StructureRule, ...]:
    known = {rule.name: rule for rule in shipped}
    added = []
    for name, entry in given.items():
        where = f"{path}: structure.{name}"
        if name in known:
            # The site changed the figure, so the shipped source no longer stands for it.
            entry = {"source": f"set by the site in {path.name}", **entry}
            known[name] = _structure(where, name, entry, known[name])
        else:
            added.append(_structure(where, name, entry))
    return (*added, *(known[rule.name] for rule in shipped))


def _changed_limits(
    shipped: Mapping[str, Limit], given: Mapping[str, Any], path: Path
) -> dict[str, Limit]:
    rulefile.refuse_unknown(f"{path}: limit", given, tuple(shipped))
    limits = dict(shipped)
    for name, entry in given.items():
        where = f"{path}: limit.{name}"
        limit = limits[name]
        keys = ("value", "guidance", "source") + (("strength",) if limit.strengths else ())
        rulefile.refuse_unknown(where, entry, keys)
        changed = replace(
            limit,
            value=rulefile.number(where, entry.get("value", limit.value), limit.low, limit.high),
            guidance=_guidance(where, entry.get("guidance", list(limit.guidance))),
            source=rulefile.text(where, entry.get("source", f"set by the site in {path.name}")),
        )
        if "strength" in entry:
            changed = _with_strength(where, changed, entry["strength"])
        limits[name] = changed
    return limits


def _with_strength(where: str, limit: Limit, strength: Any) -> Limit:
    """The limit at another strength; 'off' leaves no way of working that it holds for."""
    if strength not in limit.strengths:
        raise InputRefused(
            "not_a_strength", f"{where}.strength: {strength!r} is not of {list(limit.strengths)}"
        )
    if strength == _OFF:
        return replace(limit, guidance=())
    return replace(limit, strength=Strength(strength))


def _guidance(where: str, value: Any) -> tuple[str, ...]:
    ways = ("ct", "ultrasound", "palpation")
    if not isinstance(value, list) or any(way not in ways for way in value):
        raise InputRefused("not_guidance", f"{where}.guidance: {value!r} is not of {ways}")
    return tuple(value)


def _changed_weights(
    shipped: Mapping[str, Decimal], given: Mapping[str, Any], path: Path
) -> dict[str, Decimal]:
    rulefile.refuse_unknown(f"{path}: weight", given, tuple(shipped))
    return {
        name: rulefile.number(
            f"{path}: weight.{name}", given.get(name, value), Decimal(0), MAX_WEIGHT
        )
        for name, value in shipped.items()
    }
