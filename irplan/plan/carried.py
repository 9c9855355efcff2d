"""What a plan has from the plan that it supersedes: its version, kept paths, and findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from irplan import followup, registration
from irplan.documents import point_document
from irplan.findings import Finding, Severity, rules
from irplan.geometry import PointLps
from irplan.trajectory.held import HeldPath

#: The stages whose findings may be carried: their codes are declared once they are loaded.
DECLARING = (registration, followup)


@dataclass(frozen=True)
class CarriedPlan:
    """The part of a request that comes from an earlier plan.

    Attributes:
        version: of the new plan, one above the older one's.
        supersedes: plan_id of the older plan.
        paths: lesion_id → the path that was checked on the newer scan and is kept.
        findings: what the carrying-over raised: of the registration and the matches.
    """

    version: int
    supersedes: str
    paths: tuple[tuple[str, HeldPath], ...] = ()
    findings: tuple[Finding, ...] = ()

    def document(self) -> dict[str, Any]:
        """As it stands in the plan under ``settings.request.carried``."""
        return {
            "version": self.version,
            "supersedes": self.supersedes,
            "paths": {
                lesion_id: {
                    "entry_lps_mm": point_document(path.entry_lps_mm),
                    "tip_lps_mm": point_document(path.tip_lps_mm),
                }
                for lesion_id, path in self.paths
            },
            "findings": [finding.document() for finding in self.findings],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> CarriedPlan:
        """Read it back.

        Raises:
            KeyError, TypeError, ValueError: it is not such a part.
        """
        # A finding whose code nobody declares could lift or lose a stop unseen.
        known = {rule.code for rule in rules()}
        findings = tuple(finding_of(item, known) for item in document["findings"])
        paths = tuple(
            (name, HeldPath(_point(item["entry_lps_mm"]), _point(item["tip_lps_mm"])))
            for name, item in document["paths"].items()
        )
        version = int(document["version"])
        if version < 2:
            raise ValueError(f"a plan that supersedes another has a version above {version}")
        return cls(version, str(document["supersedes"]), paths, findings)


def finding_of(item: Mapping[str, Any], known: set[str]) -> Finding:
    """A finding of a document.

    Raises:
        ValueError: nobody declares its code.
    """
    if item["code"] not in known:
        raise ValueError(f"there is no finding {item['code']}")
    return Finding(
        item["code"], Severity(item["severity"]), item["message"], item["subject"], item["accepted"]
    )


def _point(values: Any) -> PointLps:
    x, y, z = (float(Decimal(value)) for value in values)
    return x, y, z
