"""What every JSON document shares: its envelope, and how positions and grids are printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from irplan import __version__, units
from irplan.findings import Finding
from irplan.geometry import GridGeometry, PointLps
from irplan.jsonio import sha256_of

#: Places that a grid is printed with: 1e-6 mm and 1e-6 of a unit vector are far below any voxel.
_GRID_STEP = Decimal("0.000001")
_PLAN_ID_LETTERS = 32


def envelope(
    name: str, body: Mapping[str, Any], findings: Iterable[Finding] = ()
) -> dict[str, Any]:
    """The document ``irplan.NAME/1``: schema and version first, findings last.

    ``body`` holds no ``findings`` of its own.
    """
    return {
        "schema": f"irplan.{name}/1",
        "irplan_version": __version__,
        **body,
        "findings": [finding.document() for finding in findings],
    }


def point_document(point: PointLps | None) -> list[Decimal] | None:
    """A position as a document prints it: three numbers in LPS mm to 0.01 mm, or null."""
    return None if point is None else [units.position_mm(coordinate) for coordinate in point]


def grid_document(grid: GridGeometry) -> dict[str, Any]:
    """A voxel grid as a document prints it: sizes, mm, LPS."""
    return {
        "size": list(grid.size),
        "spacing_mm": _exact(grid.spacing_mm),
        "origin_lps_mm": _exact(grid.origin_lps_mm),
        "direction": _exact(grid.direction),
        "orientation": grid.orientation,
    }


def _exact(values: Iterable[float]) -> list[Decimal]:
    return [units.quantize(value, _GRID_STEP) for value in values]


def plan_id_of(document: Mapping[str, Any]) -> str:
    """The id that belongs to a plan document, whatever id it carries."""
    content = {key: value for key, value in document.items() if key not in ("run", "plan_id")}
    return sha256_of(content)[:_PLAN_ID_LETTERS]
