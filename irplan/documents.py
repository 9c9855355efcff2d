"""The envelope that every JSON document shares: schema, version, findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from irplan import __version__
from irplan.findings import Finding


def envelope(
    name: str, body: Mapping[str, Any], findings: Iterable[Finding] = ()
) -> dict[str, Any]:
    """The document ``irplan.NAME/1``: schema and version first, findings last.

    ``body`` may hold no ``findings`` of its own; ``run`` stays where the body put it.
    """
    return {
        "schema": f"irplan.{name}/1",
        "irplan_version": __version__,
        **body,
        "findings": [finding.document() for finding in findings],
    }
