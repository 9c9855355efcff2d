"""One constraint held against one path, and whether the path is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from irplan import units
from irplan.trajectory.constraints import Strength

#: A limit nearer than this to what is printed is printed as it is set: floats are not exact.
_HAIR = 1e-6


@dataclass(frozen=True)
class ConstraintCheck:
    """One constraint held against one path.

    Attributes:
        constraint: name of the limit, or 'clearance: STRUCTURE'.
        value, limit: in ``unit``; ``value`` is None where it is farther than was looked, where
            the constraint does not concern the path, and where it is unknown.
        at_most: whether the value must not exceed the limit (else: not fall below it).
        ok: whether the path is known to keep it; False where that is unknown.
        unit: 'mm', 'deg', '%' or ''.
        text: what it is, in a few words.
        strength: a soft constraint never forbids a path.
        known: False where the anatomy does not tell.
    """

    constraint: str
    value: float | None
    limit: float
    at_most: bool
    ok: bool
    unit: str
    text: str
    strength: Strength = Strength.HARD
    known: bool = True

    @property
    def forbids(self) -> bool:
        """Whether the path is not allowed: what is known breaks a hard constraint."""
        return self.known and not self.ok and self.strength is Strength.HARD

    @property
    def status(self) -> str:
        """'ok', 'forbids', 'costs' (soft and missed) or 'unknown'."""
        if not self.known:
            return "unknown"
        if self.ok:
            return "ok"
        return "forbids" if self.forbids else "costs"

    @property
    def missed_share(self) -> float:
        """By which share of the limit it is missed, 0 to 1; 0 where it is kept or unknown."""
        if self.ok or not self.known or self.value is None:
            return 0.0
        return min(1.0, abs(self.value - self.limit) / max(abs(self.limit), 1.0))

    def document(self) -> dict[str, object]:
        """The check as ``irplan why`` prints it; a value is never rounded in its favour.

        A limit with more places than are printed is rounded to the same side: what is kept
        exactly must not read as missed.
        """
        rounded = units.mm_up if self.at_most else units.mm_down
        limit = units.mm(self.limit)
        if abs(float(limit) - self.limit) > _HAIR:
            limit = rounded(self.limit)
        return {
            "constraint": self.constraint,
            "value": None if self.value is None else rounded(self.value),
            "limit": limit,
            "bound": "at most" if self.at_most else "at least",
            "unit": self.unit,
            "ok": self.ok,
            "status": self.status,
            "strength": self.strength.value,
            "text": self.text,
        }


def allowed(checks: Iterable[ConstraintCheck]) -> bool:
    """Whether no constraint forbids the path.

    What is unknown does not forbid a path and is not called kept: it is told with the needle.
    """
    return not any(check.forbids for check in checks)


def unknown_names(checks: Iterable[ConstraintCheck]) -> tuple[str, ...]:
    """The constraints of which the anatomy does not tell whether the path keeps them."""
    return tuple(check.constraint for check in checks if not check.known)
