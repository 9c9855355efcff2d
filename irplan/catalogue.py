"""The list of every finding code, gathered from the stages that declare them."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

import irplan
from irplan.findings import rules

#: Not stages: they declare nothing, and importing some of them would start something.
_NOT_READ = ("irplan.cli", "irplan.catalogue", "irplan.phantom", "irplan.record.migrations")


def finding_codes() -> list[dict[str, Any]]:
    """Every code with its severity, what it forbids and whether a reason lifts it."""
    for module in pkgutil.walk_packages(irplan.__path__, "irplan."):
        if not module.name.startswith(_NOT_READ) and not module.name.endswith("__main__"):
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
