"""The injection plan as frozen data, and as the document ``irplan.plan/1``.

``plan_id`` names the content: it is made from the SHA-256 of the canonical document without
``run`` and ``plan_id``, so an equal plan has an equal id wherever it was computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from irplan.anatomy import Structure
from irplan.documents import envelope, grid_document, plan_id_of
from irplan.dose import Allocation
from irplan.dose.whatif import TurningPoints
from irplan.findings import Finding
from irplan.geometry import GridGeometry
from irplan.lesions.lesion import Lesion
from irplan.plan.cards import Card
from irplan.trajectory.needle import PathPlan
from irplan.volume import CtVolume


@dataclass(frozen=True)
class Case:
    """Whose plan it is and which scan it was made on. An absent identifier is ''.

    Attributes:
        patient_position: how the patient will lie: supine, prone, left or right (on that side).
        scan_position: PatientPosition of the scan, such as 'HFS'.
        image_date: date of the scan, YYYY-MM-DD.
    """

    patient_id: str
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    image_date: str
    patient_position: str
    scan_position: str
    contrast: str

    @classmethod
    def of(cls, volume: CtVolume, patient_position: str) -> Case:
        """The case of a scan and a chosen position."""
        who = volume.identity
        return cls(
            who.patient_id,
            who.study_instance_uid,
            who.series_instance_uid,
            who.frame_of_reference_uid,
            who.acquired,
            patient_position,
            who.patient_position,
            who.contrast,
        )

    def document(self) -> dict[str, str]:
        """The case as it stands in the plan."""
        return {
            "patient_id": self.patient_id,
            "study_instance_uid": self.study_instance_uid,
            "series_instance_uid": self.series_instance_uid,
            "frame_of_reference_uid": self.frame_of_reference_uid,
            "image_date": self.image_date,
            "patient_position": self.patient_position,
            "scan_position": self.scan_position,
            "contrast": self.contrast,
        }


@dataclass(frozen=True)
class PlanInput:
    """One thing that the plan was computed from: its name under ``inputs/`` (or 'ct'), its hash."""

    name: str
    sha256: str

    def document(self) -> dict[str, str]:
        """The input as it stands in the plan."""
        return {"name": self.name, "sha256": self.sha256}


@dataclass(frozen=True)
class ChecklistItem:
    """One thing to be checked before the needle; from the protocol."""

    code: str
    text: str
    applies_to: str = "visit"

    def document(self) -> dict[str, str]:
        """The item as it stands in the plan."""
        return {"code": self.code, "text": self.text, "applies_to": self.applies_to}


@dataclass(frozen=True)
class InjectionPlan:
    """Everything that was decided, and what it was decided from.

    Attributes:
        version: 1 for the first plan of a visit; a plan carried to another CT is one higher.
        supersedes: plan_id of the plan that was carried over; '' for a first plan.
        geometry: grid of the CT.
        lesions: measured lesions and those known by diameters only, in their order.
        turning_points: for each lesion the volumes at which its dose would turn.
        structures, unknown_structures: what the paths avoid, and what nobody segmented.
        paths: needles, alternatives and lesions without a path.
        settings: every value that a person could have chosen otherwise, as document data.
        findings: of every stage, those of single lesions included.
        run: time and host; no comparison reads it.
        cards: for the room, superficial lesions first, then the passes under CT.
    """

    version: int
    case: Case
    geometry: GridGeometry
    lesions: tuple[Lesion, ...]
    allocation: Allocation
    turning_points: tuple[TurningPoints, ...]
    structures: tuple[Structure, ...]
    unknown_structures: tuple[str, ...]
    paths: PathPlan
    checklist: tuple[ChecklistItem, ...]
    inputs: tuple[PlanInput, ...]
    settings: Mapping[str, Any]
    findings: tuple[Finding, ...]
    run: Mapping[str, Any]
    cards: tuple[Card, ...] = ()
    supersedes: str = ""

    @property
    def plan_id(self) -> str:
        """Name of the content; the same for equal plans."""
        return plan_id_of(self._document_without_id())

    def lesion(self, lesion_id: str) -> Lesion:
        """The lesion of that id.

        Raises:
            KeyError: there is none.
        """
        for lesion in self.lesions:
            if lesion.lesion_id == lesion_id:
                return lesion
        raise KeyError(lesion_id)

    def document(self) -> dict[str, Any]:
        """The plan as ``irplan.plan/1``."""
        document = self._document_without_id()
        head = {key: document.pop(key) for key in ("schema", "irplan_version")}
        return {**head, "plan_id": plan_id_of({**head, **document}), **document}

    def _document_without_id(self) -> dict[str, Any]:
        paths = self.paths
        body = {
            "version": self.version,
            **({"supersedes": self.supersedes} if self.supersedes else {}),
            "case": self.case.document(),
            "geometry": grid_document(self.geometry),
            "lesions": [lesion.document() for lesion in self.lesions],
            "allocation": self.allocation.document(),
            "turning_points": [points.document() for points in self.turning_points],
            "structures": [structure.document() for structure in self.structures],
            "unknown_structures": list(self.unknown_structures),
            "coverage": paths.coverage_document(),
            "needles": [needle.document() for needle in paths.needles],
            "alternatives": [needle.document() for needle in paths.alternatives],
            "unreachable": [lesion.document() for lesion in paths.unreachable],
            "biopsies": [biopsy.document() for biopsy in paths.biopsies],
            "cards": [card.document() for card in self.cards],
            "checklist": [item.document() for item in self.checklist],
            "inputs": [item.document() for item in self.inputs],
            "settings": dict(self.settings),
            "run": dict(self.run),
        }
        return envelope("plan", body, self.findings)
