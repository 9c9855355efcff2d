"""The request: everything that a person chose or gave for one plan, as frozen data.

A plan is a function of the CT and of its request, and of nothing else. The request is kept in
the plan (``settings.request``) with its files under ``inputs/``, so that anyone can compute the
plan again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from irplan import jsonio
from irplan.errors import InputRefused
from irplan.findings import Finding, rules
from irplan.geometry import PointLps
from irplan.lesions.drawn import DrawnAxis
from irplan.lesions.gestures import Box, Click, Diameter, Gesture, Prompt, Scribble
from irplan.lesions.handwork import DrawnDiameter, HandEdit, KeptMask, PackedMask, Place
from irplan.lesions.lesion import LesionKind
from irplan.plan.carried import CarriedPlan, finding_of

#: The fields that name files; each is copied to ``inputs/`` under its own name.
FILE_FIELDS = (
    "mask",
    "mask_ids",
    "lesion_table",
    "anatomy",
    "anatomy_names",
    "constraints",
    "needles",
    "history",
    "given",
)

#: The fields that say what the lesions are; each is changed by a verb of its own.
LESION_FIELDS = (
    "prompts",
    "mask",
    "mask_ids",
    "lesion_table",
    "edits",
    "kept_masks",
    "unanswered",
    "drawn",
    "places",
    "followed",
)


@dataclass(frozen=True)
class PlanRequest:
    """What was asked for.

    Attributes:
        prompts: clicks and diameters, a lesion each; positions in LPS mm.
        mask, mask_ids: masks made elsewhere, and the table that names them.
        lesion_table: lesions that CT does not show, or attributes of those it does.
        protocol: name of a protocol that comes with irplan, or path of a TOML file.
        weight_kg, height_cm, prescribed_mg, increment_ml: exact decimals as given.
        weight_age_days: how old the weight is; None is unknown.
        patient_position: supine, prone, left or right; '' takes that of the scan.
        targets: lesions to be injected; () means all.
        excluded: lesions that a person left out, each with the reason.
        accepted: codes of stops that a person lifted, each with the reason.
        biopsies: lesions of which a biopsy is due; it is taken before the lesion is injected.
        chosen: for a lesion, the needle that a person preferred to the first one.
        carried: what comes from the plan that this one supersedes; None for a first plan.
        edits: what a person put into masks or took out of them, a lesion each.
        kept_masks: masks that plug-ins made for prompts, a lesion each.
        unanswered: why plug-ins gave no lesion for a prompt, a finding a lesion.
        drawn: diameters that a person drew over the measured ones.
        places: sites and sides that a person named.
        no_go: a zone that a person painted and no needle may enter.
        followed: what the follow-up raised from which lesions were taken over.
    """

    prompts: tuple[Prompt, ...] = ()
    mask: Path | None = None
    mask_ids: Path | None = None
    lesion_table: Path | None = None
    anatomy: Path | None = None
    anatomy_names: Path | None = None
    constraints: Path | None = None
    needles: Path | None = None
    history: Path | None = None
    given: Path | None = None
    protocol: str = "nivipit"
    weight_kg: Decimal | None = None
    weight_age_days: int | None = None
    height_cm: Decimal | None = None
    prescribed_mg: tuple[tuple[str, Decimal], ...] = ()
    increment_ml: Decimal | None = None
    visit: int = 1
    patient_position: str = ""
    targets: tuple[str, ...] = ()
    excluded: tuple[tuple[str, str], ...] = ()
    accepted: tuple[tuple[str, str], ...] = ()
    chosen: tuple[tuple[str, str], ...] = ()
    biopsies: tuple[str, ...] = ()
    carried: CarriedPlan | None = None
    edits: tuple[HandEdit, ...] = ()
    kept_masks: tuple[KeptMask, ...] = ()
    unanswered: tuple[Finding, ...] = ()
    drawn: tuple[DrawnDiameter, ...] = ()
    places: tuple[Place, ...] = ()
    no_go: PackedMask | None = None
    followed: tuple[Finding, ...] = ()

    def files(self) -> dict[str, Path]:
        """The files that were given, by the name each takes under ``inputs/``."""
        given = {name: getattr(self, name) for name in FILE_FIELDS}
        return {input_name(name, path): path for name, path in given.items() if path is not None}

    def document(self) -> dict[str, Any]:
        """The request as it stands in the plan; files by their name under ``inputs/``.

        The protocol always lies there; ``None`` stands for what comes with irplan.
        """
        document: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in FILE_FIELDS:
                document[field.name] = None if value is None else input_name(field.name, value)
            elif field.name == "prompts":
                document["prompts"] = [_prompt_document(prompt) for prompt in value]
            elif field.name in HANDWORK_FIELDS:
                continue
            elif field.name == "drawn":
                document["drawn"] = [_drawn_document(one) for one in value]
            elif field.name == "places":
                document["places"] = [
                    {"lesion_id": one.lesion_id, "site": one.site, "side": one.side}
                    for one in value
                ]
            elif field.name in ("unanswered", "followed"):
                if value:
                    document[field.name] = [finding.document() for finding in value]
            elif field.name == "carried":
                if value is not None:
                    document["carried"] = value.document()
            elif field.name in ("prescribed_mg", "excluded", "accepted", "chosen"):
                document[field.name] = dict(value)
            else:
                document[field.name] = list(value) if isinstance(value, tuple) else value
        document["protocol"] = PROTOCOL_INPUT
        document["handwork"] = HANDWORK_INPUT if self.handwork() is not None else None
        return document

    def handwork(self) -> bytes | None:
        """Everything that was painted or made by a plug-in, as a file; ``None`` where nothing was.

        The same bytes for the same voxels.
        """
        if not (self.edits or self.kept_masks or self.no_go):
            return None
        body = {
            "edits": [one.document() for one in self.edits],
            "kept_masks": [one.document() for one in self.kept_masks],
            "no_go": None if self.no_go is None else self.no_go.document(),
        }
        return (jsonio.dumps({"schema": "irplan.handwork/1", **body}) + "\n").encode()

    @classmethod
    def from_document(cls, document: Mapping[str, Any], inputs: Path) -> PlanRequest:
        """The request of a plan whose files lie in the folder ``inputs``.

        Raises:
            InputRefused: the document lacks a part of a request.
        """
        try:
            values: dict[str, Any] = {
                name: None if document[name] is None else inputs / document[name]
                for name in FILE_FIELDS
            }
            for name in ("prescribed_mg", "excluded", "accepted", "chosen"):
                values[name] = tuple(document[name].items())
            for name in ("weight_kg", "height_cm", "increment_ml"):
                values[name] = None if document[name] is None else Decimal(document[name])
            return cls(
                **values,
                prompts=tuple(_prompt_of(item) for item in document["prompts"]),
                protocol=str(inputs / PROTOCOL_INPUT),
                weight_age_days=document["weight_age_days"],
                visit=int(document["visit"]),
                patient_position=document["patient_position"],
                targets=tuple(document["targets"]),
                biopsies=tuple(document.get("biopsies", ())),
                carried=CarriedPlan.from_document(document["carried"])
                if document.get("carried") is not None
                else None,
                unanswered=_findings_of(document.get("unanswered", ())),
                followed=_findings_of(document.get("followed", ())),
                drawn=tuple(_drawn_of(item) for item in document.get("drawn", ())),
                places=tuple(Place(**item) for item in document.get("places", ())),
                **_handwork_of(document.get("handwork"), inputs),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputRefused(
                "not_a_request",
                f"{inputs.parent}: the plan does not hold what it was computed from: {error}",
                "verify a plan folder as irplan wrote it",
            ) from error

    def without_lesions(self) -> PlanRequest:
        """The choices alone: everything that says what the lesions are is left out."""
        bare: dict[str, Any] = {
            one.name: one.default for one in fields(self) if one.name in LESION_FIELDS
        }
        return replace(self, **bare)

    def excluding(self, lesion_id: str, reason: str) -> PlanRequest:
        """The request with a lesion left out for a reason."""
        return replace(self, excluded=(*self.excluded, (lesion_id, reason)))


#: Name of the protocol's copy under ``inputs/``.
PROTOCOL_INPUT = "protocol.toml"
#: What was painted or made by a plug-in, under ``inputs/``; and the fields that it holds.
HANDWORK_INPUT = "handwork.json"
HANDWORK_FIELDS = ("edits", "kept_masks", "no_go")


def _handwork_of(name: str | None, inputs: Path) -> dict[str, Any]:
    """The fields of :data:`HANDWORK_FIELDS` from their file; nothing where there is none."""
    if name is None:
        return {}
    path = inputs / name
    try:
        document = jsonio.loads(path.read_bytes())
        zone = document["no_go"]
        return {
            "edits": tuple(HandEdit.from_document(one) for one in document["edits"]),
            "kept_masks": tuple(KeptMask.from_document(one) for one in document["kept_masks"]),
            "no_go": None if zone is None else PackedMask.from_document(zone),
        }
    except OSError as error:
        raise InputRefused("cannot_read", f"{path}: cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputRefused(
            "not_handwork", f"{path}: does not hold painted masks: {error}", ""
        ) from error


def _findings_of(documents: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
    known = {rule.code for rule in rules()}
    return tuple(finding_of(item, known) for item in documents)


def input_name(field: str, path: Path) -> str:
    """The name of a given file under ``inputs/``: what it is, and its own ending."""
    name = path.name.lower()
    return field + (".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix)


def _prompt_document(prompt: Prompt) -> dict[str, Any]:
    return {
        "lesion_id": prompt.lesion_id,
        "kind": prompt.kind.value if prompt.kind else None,
        "gestures": [_gesture_document(gesture) for gesture in prompt.gestures],
    }


def _gesture_document(gesture: Gesture) -> dict[str, Any]:
    if isinstance(gesture, Click):
        return {"click": _exact_point(gesture.point_lps_mm), "inside": gesture.inside}
    if isinstance(gesture, Scribble):
        path = [_exact_point(point) for point in gesture.points_lps_mm]
        return {"scribble": path, "inside": gesture.inside}
    if isinstance(gesture, Box):
        corners = (gesture.corner_lps_mm, gesture.opposite_lps_mm)
        return {"box": [_exact_point(corner) for corner in corners]}
    ends = (gesture.start_lps_mm, gesture.end_lps_mm)
    return {"diameter": [_exact_point(end) for end in ends]}


def _exact_point(point: PointLps) -> list[Decimal]:
    # Not rounded: the plan must come out the same when it is computed from this document.
    return [Decimal(repr(coordinate)) for coordinate in point]


def _drawn_document(drawn: DrawnDiameter) -> dict[str, Any]:
    ends = (drawn.start_lps_mm, drawn.end_lps_mm)
    document = {"lesion_id": drawn.lesion_id, "ends_lps_mm": [_exact_point(end) for end in ends]}
    if drawn.axis is DrawnAxis.LONGEST:
        return document
    # A short axis was written like this before there was a third line to draw.
    return {**document, **({"short": True} if drawn.axis is DrawnAxis.SHORT else {"axis": "3d"})}


def _drawn_of(document: Mapping[str, Any]) -> DrawnDiameter:
    start, end = document["ends_lps_mm"]
    axis = DrawnAxis(document.get("axis", DrawnAxis.LONGEST))
    if document.get("short", False):
        axis = DrawnAxis.SHORT
    return DrawnDiameter(document["lesion_id"], _point(start), _point(end), axis)


def _prompt_of(document: Mapping[str, Any]) -> Prompt:
    kind = LesionKind(document["kind"]) if document["kind"] else None
    gestures = tuple(_gesture_of(item) for item in document["gestures"])
    return Prompt(document["lesion_id"], kind, gestures)


def _gesture_of(document: Mapping[str, Any]) -> Gesture:
    if "click" in document:
        return Click(_point(document["click"]), inside=document["inside"])
    if "scribble" in document:
        path = tuple(_point(point) for point in document["scribble"])
        return Scribble(path, inside=document["inside"])
    if "box" in document:
        corner, opposite = document["box"]
        return Box(_point(corner), _point(opposite))
    start, end = document["diameter"]
    return Diameter(_point(start), _point(end))


def _point(values: Any) -> PointLps:
    x, y, z = values
    return float(x), float(y), float(z)
