"""Needles, deposits and lesions without a path: frozen data, and how the plan prints them.

Every straight pass of a needle is a :class:`Needle` of its own; passes through one skin hole
share ``entry_id``. Positions are LPS mm on a raster of 0.01 mm (what the document prints), so
that every derived number belongs to the printed ends exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from irplan import units
from irplan.documents import point_document
from irplan.findings import Finding
from irplan.geometry import PointLps

#: Step of a percentage as printed.
PERCENT_STEP = Decimal("0.1")


if TYPE_CHECKING:
    from irplan.trajectory.biopsy import Biopsy


@dataclass(frozen=True)
class Deposit:
    """One injection on a needle's track.

    Attributes:
        deposit_id: unique in the plan, such as 'N1D2'.
        order: 1 for the first one given; the deepest of a pass comes first, then by withdrawal.
        lesion_id: whose dose it is part of.
        position_lps_mm: on the axis of its needle, inside the lesion.
        ml: mL of each drug as (drug, mL), in the order of the allocation.
        radius_mm: band of the illustrative sphere, low and high. It decides nothing.
    """

    deposit_id: str
    order: int
    lesion_id: str
    position_lps_mm: PointLps
    ml: tuple[tuple[str, Decimal], ...]
    radius_mm: tuple[float, float]

    def document(self) -> dict[str, Any]:
        """The deposit as it stands in ``irplan.plan/1``."""
        return {
            "deposit_id": self.deposit_id,
            "order": self.order,
            "lesion_id": self.lesion_id,
            "position_lps_mm": point_document(self.position_lps_mm),
            "ml": dict(self.ml),
            "radius_mm": [units.mm(value) for value in self.radius_mm],
        }


@dataclass(frozen=True)
class Coverage:
    """Shares of the illustrative spheres of one lesion, in percent; they decide nothing.

    Attributes:
        covered_percent: of the solid part, by the smaller and by the larger spheres.
        spilt_percent: of what the spheres fill, outside the lesion; smaller, larger.
    """

    covered_percent: tuple[float, float]
    spilt_percent: tuple[float, float]

    def document(self) -> dict[str, Any]:
        """The shares as they stand in the plan."""
        return {
            "coverage_percent": [_percent(one) for one in self.covered_percent],
            "spill_percent": [_percent(one) for one in self.spilt_percent],
        }


def _percent(value: float) -> Decimal:
    return units.quantize(value, PERCENT_STEP)


@dataclass(frozen=True)
class Needle:
    """One straight pass from the skin to its tip.

    Attributes:
        needle_id: unique in the plan, such as 'N1' ('N1-A2' for an alternative).
        entry_id: names the skin hole; the passes of a fan share it.
        pass_number: 1 for the first pass through that hole.
        guidance: 'ct', 'ultrasound' or 'palpation'.
        needle_type: name of the needle on the shelf.
        gauge: needle gauge.
        length_mm: shaft length of the needle.
        entry_lps_mm, tip_lps_mm: ends of the axis between skin and tip, LPS mm.
        lesion_ids: the lesions injected on this pass.
        axial_angle_deg, craniocaudal_angle_deg, skin_angle_deg: see :mod:`.angles`.
        clearance_mm: structure → distance from the axis to the nearest face of one of its
            voxels, 0 where crossed; structures farther than the reporting radius are left out.
        margin_mm: structure → least clearance asked for, for those that must not be crossed.
        crosses_mm: structure → length of the axis inside it, where above zero.
        pleural_crossings: how often the axis goes into or out of the lung.
        hit_probability: of the tip lying in the lesion under the tip error; illustrative.
        deposits: in the order given.
        cost: the soft cost that ranked it; lower is better.
        criteria: the single criteria behind the cost, by name.
        rank: 1 for the best path of the lesion.
        dominated: whether another path is at least as good in every criterion.
        miss_probability: of the tip lying outside the lesion under tip error and breathing.
        hit_structure_probability: structure → chance that the needle meets it, of those that it
            is to keep off; above zero only.
        robustness_mm: how far both ends may move with every hard limit kept; 10 at most.
        measures: what else was measured, by name; None where it does not concern the path or is
            not known. See :func:`.describe.measures_of`.
        unknown_constraints: constraints of which the anatomy does not tell whether they are kept.
        coverage: lesion_id → shares of the illustrative spheres.
        findings: what is to be known about this path, in the plan or an alternative to it.
    """

    needle_id: str
    entry_id: str
    pass_number: int
    guidance: str
    needle_type: str
    gauge: int
    length_mm: Decimal
    entry_lps_mm: PointLps
    tip_lps_mm: PointLps
    depth_mm: float
    lesion_ids: tuple[str, ...]
    axial_angle_deg: float
    craniocaudal_angle_deg: float
    skin_angle_deg: float
    clearance_mm: Mapping[str, float]
    crosses_mm: Mapping[str, float]
    pleural_crossings: int
    hit_probability: float
    deposits: tuple[Deposit, ...]
    rank: int = 1
    dominated: bool = False
    cost: float = 0.0
    margin_mm: Mapping[str, float] = field(default_factory=dict)
    criteria: tuple[tuple[str, float], ...] = ()
    miss_probability: float | None = None
    hit_structure_probability: Mapping[str, float] = field(default_factory=dict)
    robustness_mm: float | None = None
    measures: Mapping[str, Decimal | None] = field(default_factory=dict)
    unknown_constraints: tuple[str, ...] = ()
    coverage: Mapping[str, Coverage] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def smallest_clearance(self) -> tuple[str, float] | None:
        """The nearest structure that must not be crossed and its clearance in mm, or None."""
        near = [(name, mm) for name, mm in self.clearance_mm.items() if name in self.margin_mm]
        return min(near, key=lambda item: (item[1], item[0]), default=None)

    def document(self) -> dict[str, Any]:
        """The needle as it stands in ``irplan.plan/1``.

        Clearances are rounded down: 4.96 mm must not read as 5.
        """
        return {
            "needle_id": self.needle_id,
            "entry_id": self.entry_id,
            "pass": self.pass_number,
            "guidance": self.guidance,
            "needle_type": self.needle_type,
            "gauge": self.gauge,
            "length_mm": units.plain(self.length_mm),
            "entry_lps_mm": point_document(self.entry_lps_mm),
            "tip_lps_mm": point_document(self.tip_lps_mm),
            "depth_mm": units.mm(self.depth_mm),
            "lesion_ids": list(self.lesion_ids),
            "axial_angle_deg": units.deg(self.axial_angle_deg),
            "craniocaudal_angle_deg": units.deg(self.craniocaudal_angle_deg),
            "skin_angle_deg": units.deg(self.skin_angle_deg),
            "clearance_mm": {
                name: units.mm_down(value) for name, value in sorted(self.clearance_mm.items())
            },
            "margin_mm": {name: units.mm(value) for name, value in sorted(self.margin_mm.items())},
            "crosses_mm": {
                name: units.mm(value) for name, value in sorted(self.crosses_mm.items())
            },
            "pleural_crossings": self.pleural_crossings,
            "hit_probability": units.share(self.hit_probability),
            "miss_probability": (
                None if self.miss_probability is None else units.share(self.miss_probability)
            ),
            "hit_structure_probability": {
                name: units.share(value)
                for name, value in sorted(self.hit_structure_probability.items())
            },
            "robustness_mm": (
                None if self.robustness_mm is None else units.mm_down(self.robustness_mm)
            ),
            "measures": dict(sorted(self.measures.items())),
            "unknown_constraints": list(self.unknown_constraints),
            "findings": [finding.document() for finding in self.findings],
            "deposits": [deposit.document() for deposit in self.deposits],
            "rank": self.rank,
            "dominated": self.dominated,
        }


@dataclass(frozen=True)
class Relaxation:
    """The smallest change of one limit that would let a path through.

    Attributes:
        constraint: its name.
        limit, needed: the limit as set, and the value at which the path below would pass.
        unit: 'mm', 'deg' or ''.
        entry_lps_mm, tip_lps_mm: that path.
    """

    constraint: str
    limit: float
    needed: float
    unit: str
    entry_lps_mm: PointLps
    tip_lps_mm: PointLps

    def document(self) -> dict[str, Any]:
        """The relaxation as it stands in ``unreachable``."""
        return {
            "constraint": self.constraint,
            "limit": units.mm(self.limit),
            "needed": units.mm(self.needed),
            "unit": self.unit,
            "entry_lps_mm": point_document(self.entry_lps_mm),
            "tip_lps_mm": point_document(self.tip_lps_mm),
        }


@dataclass(frozen=True)
class Unreachable:
    """A lesion without a safe path: never given an unsafe one, but told why.

    Attributes:
        lesion_id: the lesion.
        candidates: straight paths looked at.
        ruled_out: constraint → how many candidates it ruled out (a candidate may fail several).
        nearest: the smallest relaxation that would let one path through, where one was found.
        reason: one sentence.
        measured: candidates on which limits are counted that take a full measure of each path.
        sampled: constraints of ``ruled_out`` that were counted on these and scaled to all; empty
            where every candidate was measured. All others are counted on every candidate.
        least: whether it is certain that no candidate comes by with a smaller relaxation of one
            limit (or that none comes by with any, where there is no ``nearest``).
    """

    lesion_id: str
    candidates: int
    ruled_out: Mapping[str, int]
    nearest: Relaxation | None
    reason: str
    measured: int = 0
    sampled: tuple[str, ...] = ()
    least: bool = True

    def document(self) -> dict[str, Any]:
        """The lesion as it stands in ``unreachable`` of ``irplan.plan/1``."""
        return {
            "lesion_id": self.lesion_id,
            "reason": self.reason,
            "candidates": self.candidates,
            "ruled_out": dict(sorted(self.ruled_out.items(), key=lambda item: (-item[1], item[0]))),
            "measured_in_full": self.measured,
            "ruled_out_sampled": list(self.sampled),
            "nearest_relaxation": self.nearest.document() if self.nearest else None,
            "nearest_is_least": self.least,
        }


@dataclass(frozen=True)
class PathPlan:
    """The needles of a visit.

    Attributes:
        needles: chosen passes, in the order of the work.
        alternatives: other passes of the Pareto front, thinned, best first for each lesion.
        unreachable: lesions without a safe path.
        findings: what is to be known about the paths.
        biopsies: each before the injection of its lesion, along the track of its first pass.
    """

    needles: tuple[Needle, ...] = ()
    alternatives: tuple[Needle, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
    findings: tuple[Finding, ...] = ()
    biopsies: tuple[Biopsy, ...] = ()

    def of_lesion(self, lesion_id: str) -> tuple[Needle, ...]:
        """The chosen passes that inject the lesion."""
        return tuple(needle for needle in self.needles if lesion_id in needle.lesion_ids)

    def coverage_document(self) -> list[dict[str, Any]]:
        """The shares of the illustrative spheres, a row for each lesion with a chosen needle."""
        found: dict[str, Coverage] = {}
        for needle in self.needles:
            for lesion_id, coverage in needle.coverage.items():
                found.setdefault(lesion_id, coverage)
        return [{"lesion_id": one, **found[one].document()} for one in sorted(found)]

    def document(self) -> dict[str, Any]:
        """The keys ``needles``, ``alternatives``, … of ``irplan.plan/1``."""
        return {
            "coverage": self.coverage_document(),
            "needles": [needle.document() for needle in self.needles],
            "alternatives": [needle.document() for needle in self.alternatives],
            "unreachable": [lesion.document() for lesion in self.unreachable],
            "biopsies": [biopsy.document() for biopsy in self.biopsies],
        }
