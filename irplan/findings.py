"""Findings: what is to be known about an input or a plan, as data.

Each stage declares its rules with :func:`declare` beside the code that raises them; the list of
all codes (``irplan findings``, docs/findings.md) is made from these declarations. A document
prints a finding as ``{code, severity, message, subject, accepted}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from string import Formatter


class Severity(StrEnum):
    """``info`` is to be known, ``warn`` is acknowledged at signing, ``stop`` forbids."""

    INFO = "info"
    WARN = "warn"
    STOP = "stop"


class Forbids(StrEnum):
    """What a finding forbids: nothing, a plan's signature, the plan, or an entry in the record."""

    NOTHING = "nothing"
    SIGNATURE = "signature"
    PLAN = "plan"
    ENTRY = "entry"


@dataclass(frozen=True)
class Finding:
    """One finding. ``subject`` names what it is about (a lesion, a series, a needle, '')."""

    code: str
    severity: Severity
    message: str
    subject: str = ""
    accepted: str | None = None

    def document(self) -> dict[str, str | None]:
        """The finding as it stands in every JSON document."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
            "subject": self.subject,
            "accepted": self.accepted,
        }


@dataclass(frozen=True)
class FindingRule:
    """The declaration of a code: calling it makes a finding.

    Attributes:
        code: stable name, lower case with underscores.
        severity: fixed for the code.
        forbids: the plan, the signature, an entry in the record, or nothing.
        overridable: whether ``--accept CODE="reason"`` lifts what it forbids.
        stage: the step of the work that raises it.
        template: the sentence, with ``{fields}``.
    """

    code: str
    severity: Severity
    forbids: Forbids
    overridable: bool
    stage: str
    template: str

    def __call__(self, subject: str = "", **values: object) -> Finding:
        """The finding about ``subject``; every field of the sentence must be given."""
        return Finding(self.code, self.severity, self.template.format(**values), subject)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names that the sentence needs."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.template) if name)


_RULES: dict[str, FindingRule] = {}


def declare(
    code: str,
    severity: Severity,
    stage: str,
    template: str,
    *,
    forbids: Forbids = Forbids.NOTHING,
    overridable: bool = False,
) -> FindingRule:
    """Declare a finding code once, beside the code that raises it.

    Raises:
        ValueError: the code is taken, or a stop forbids nothing (or another severity something).
    """
    if code in _RULES:
        raise ValueError(f"finding code declared twice: {code}")
    if (severity is Severity.STOP) == (forbids is Forbids.NOTHING):
        raise ValueError(f"{code}: a stop forbids something, and nothing else does")
    rule = FindingRule(code, severity, forbids, overridable, stage, template)
    _RULES[code] = rule
    return rule


def rules() -> tuple[FindingRule, ...]:
    """Every rule declared by the modules imported so far, by stage and code."""
    return tuple(sorted(_RULES.values(), key=lambda rule: (rule.stage, rule.code)))


def rule_of(finding: Finding) -> FindingRule:
    """The declaration behind a finding.

    Raises:
        KeyError: no imported module declares the code.
    """
    return _RULES[finding.code]


def accept(findings: Iterable[Finding], reasons: Mapping[str, str]) -> tuple[Finding, ...]:
    """The findings with the overridable stops in ``reasons`` marked as accepted.

    The finding stays; ``accepted`` then holds the person's reason. Codes that may not be
    overridden are left as they are.
    """
    return tuple(
        replace(finding, accepted=reasons[finding.code])
        if finding.code in reasons and rule_of(finding).overridable
        else finding
        for finding in findings
    )


def forbidding(findings: Iterable[Finding], what: Forbids) -> tuple[Finding, ...]:
    """The stops among ``findings`` that forbid ``what`` and were not accepted."""
    return tuple(
        finding
        for finding in findings
        if finding.severity is Severity.STOP
        and finding.accepted is None
        and rule_of(finding).forbids is what
    )
