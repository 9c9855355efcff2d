"""The allocation as frozen data: who gets how much of what, why, and what is left."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from irplan.dose.order import Cap
from irplan.dose.protocol import Protocol
from irplan.dose.syringes import SyringeLine, VialLine
from irplan.findings import Finding
from irplan.units import plain

MIXTURE = "mixture"


@dataclass(frozen=True)
class LesionDose:
    """What one lesion gets of one drug (or of the mixture).

    Attributes:
        share: weight over the sum of weights, 0.0001, for print only.
        ml, mg: the dose; ``ml_low`` to ``ml_high`` is its band from the volumes' bands.
        limits: codes of every bound that binds.
        why, why_fr: one sentence in English and in French.
        given_ml, remaining_ml: what this visit has given already and what is still to be given;
            None where nothing was said to be given. ml = given + remaining.
    """

    lesion_id: str
    volume_ml: Decimal
    share: Decimal
    ml: Decimal
    ml_low: Decimal
    ml_high: Decimal
    mg: Decimal | None
    limits: tuple[str, ...]
    why: str
    why_fr: str
    given_ml: Decimal | None = None
    remaining_ml: Decimal | None = None

    def document(self) -> dict[str, Any]:
        """The dose as it stands in a document."""
        document: dict[str, Any] = {
            "lesion_id": self.lesion_id,
            "volume_ml": self.volume_ml,
            "share": self.share,
            "ml": self.ml,
            "ml_low": self.ml_low,
            "ml_high": self.ml_high,
        }
        if self.mg is not None:
            document["mg"] = self.mg
        document["limits"] = list(self.limits)
        document["why"] = self.why
        document["why_fr"] = self.why_fr
        if self.given_ml is not None:
            document["given_ml"] = self.given_ml
            document["remaining_ml"] = self.remaining_ml
        return document


@dataclass(frozen=True)
class DrugAllocation:
    """One drug: from the order to what is left. allocated + residual = prescribed, exactly."""

    drug: str
    concentration_mg_per_ml: Decimal
    ordered_mg: Decimal
    caps: tuple[Cap, ...]
    prescribed_mg: Decimal
    prescribed_ml: Decimal
    allocated_mg: Decimal
    allocated_ml: Decimal
    residual_mg: Decimal
    residual_ml: Decimal
    residual_reasons: tuple[str, ...]
    lesions: tuple[LesionDose, ...]
    given_before_mg: Decimal = Decimal(0)

    def document(self) -> dict[str, Any]:
        """The drug as it stands in a document."""
        return {
            "drug": self.drug,
            "concentration_mg_per_ml": self.concentration_mg_per_ml,
            "ordered_mg": self.ordered_mg,
            "caps": [{"code": cap.code, "limit_mg": cap.limit_mg} for cap in self.caps],
            "given_before_mg": self.given_before_mg,
            "prescribed_mg": self.prescribed_mg,
            "prescribed_ml": self.prescribed_ml,
            "allocated_mg": self.allocated_mg,
            "allocated_ml": self.allocated_ml,
            "residual_mg": self.residual_mg,
            "residual_ml": self.residual_ml,
            "residual_reasons": list(self.residual_reasons),
            "lesions": [lesion.document() for lesion in self.lesions],
        }


@dataclass(frozen=True)
class MixtureAllocation:
    """The mixture of all drugs in one syringe; ``fractions`` of its mL, by drug, exact."""

    fractions: tuple[tuple[str, Decimal], ...]
    prescribed_ml: Decimal
    allocated_ml: Decimal
    residual_ml: Decimal
    residual_reasons: tuple[str, ...]
    lesions: tuple[LesionDose, ...]

    def document(self) -> dict[str, Any]:
        """The mixture as it stands in a document."""
        return {
            "fractions": dict(self.fractions),
            "prescribed_ml": self.prescribed_ml,
            "allocated_ml": self.allocated_ml,
            "residual_ml": self.residual_ml,
            "residual_reasons": list(self.residual_reasons),
            "lesions": [lesion.document() for lesion in self.lesions],
        }


@dataclass(frozen=True)
class Exclusion:
    """A lesion that gets nothing of any drug, and why."""

    lesion_id: str
    code: str
    message: str

    def document(self) -> dict[str, str]:
        """The exclusion as it stands in a document."""
        return {"lesion_id": self.lesion_id, "code": self.code, "message": self.message}


@dataclass(frozen=True)
class Allocation:
    """The dose of a visit, split. All numbers exact decimals; lesions by rising id."""

    protocol: Protocol
    weight_kg: Decimal | None
    height_cm: Decimal | None
    body_surface_m2: Decimal | None
    visit: int
    increment_ml: Decimal
    drugs: tuple[DrugAllocation, ...]
    mixture: MixtureAllocation | None
    excluded: tuple[Exclusion, ...]
    syringes: tuple[SyringeLine, ...]
    vials: tuple[VialLine, ...]
    findings: tuple[Finding, ...]

    @property
    def incomplete(self) -> bool:
        """Whether dose is left over beyond rounding: an increment or more of what is split."""
        split = (self.mixture,) if self.mixture else ()
        return any(one.residual_ml >= self.increment_ml for one in (*self.drugs, *split))

    def ml_of(self, lesion_id: str) -> tuple[tuple[str, Decimal], ...]:
        """(drug, mL) of what a lesion gets in all; () where it gets nothing."""
        return tuple(
            (drug.drug, lesion.ml)
            for drug in self.drugs
            for lesion in drug.lesions
            if lesion.lesion_id == lesion_id and lesion.ml
        )

    def remaining_ml_of(self, lesion_id: str) -> tuple[tuple[str, Decimal], ...]:
        """(drug, mL) of what is still to be given to a lesion; () where that is nothing."""
        return tuple(
            (drug.drug, left)
            for drug in self.drugs
            for lesion in drug.lesions
            if lesion.lesion_id == lesion_id
            if (left := lesion.ml if lesion.remaining_ml is None else lesion.remaining_ml)
        )

    @property
    def lesion_ids(self) -> tuple[str, ...]:
        """The lesions that take part in the split, by rising id."""
        return tuple(lesion.lesion_id for lesion in self.drugs[0].lesions)

    def document(self) -> dict[str, Any]:
        """The body of ``irplan.allocation/1``; its envelope adds schema and findings."""
        document: dict[str, Any] = {
            "protocol": self.protocol.head(),
            "weight_kg": None if self.weight_kg is None else plain(self.weight_kg),
            "increment_ml": self.increment_ml,
            "drugs": [drug.document() for drug in self.drugs],
            "excluded": [exclusion.document() for exclusion in self.excluded],
            "syringes": [line.document() for line in self.syringes],
            "vials": [line.document() for line in self.vials],
            "visit": self.visit,
        }
        if self.mixture is not None:
            document["mixture"] = self.mixture.document()
        if self.body_surface_m2 is not None and self.height_cm is not None:
            document["height_cm"] = plain(self.height_cm)
            document["body_surface_m2"] = self.body_surface_m2
        return document
