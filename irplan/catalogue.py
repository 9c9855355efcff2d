"""The list of every finding code, gathered from the stages that declare them."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

import irplan
from irplan.findings import rules

#: Not stages: they declare nothing, and importing them would start the program.
_NOT_READ = ("irplan.__main__", "irplan.cli", "irplan.catalogue", "irplan.record.migrations")


def finding_codes() -> list[dict[str, Any]]:
    """Every code with its severity, what it forbids and whether a reason lifts it."""
    for module in pkgutil.walk_packages(irplan.__path__, "irplan."):
        if not module.name.startswith(_NOT_READ):
            import_module(module.name)
    return [
        {
            "code": rule.code,
            "severity": rule.severity.value,
            "forbids": rule.forbids.value,
            "overridable": rule.overridable,
            "stage": rule.stage,
            "meaning": rule.template,
        }
        for rule in rules()
    ]
