"""``scan``: what a PATH holds, series by series, each with what was found in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irplan import units
from irplan.dicom import cache, identity, kinds, pixels
from irplan.dicom.catalogue import catalogue
from irplan.dicom.elements import Damaged
from irplan.dicom.gate import Gate, pass_gate
from irplan.dicom.grouping import Part, parts_of, series_of
from irplan.dicom.header import SliceHeader
from irplan.dicom.native import stored_bytes
from irplan.dicom.sources import STAGE, Sources, sources
from irplan.findings import Finding, Severity, declare
from irplan.tasks import SILENT, Task

SLICES_MAY_BE_UNREAD = declare(
    "slices_may_be_unread",
    Severity.WARN,
    STAGE,
    "{count} files or folders beside this series could not be read: slices at its ends may be "
    "among them, which no gap would show",
)


@dataclass(frozen=True)
class SeriesEntry:
    """One volume, or one other thing, that a series holds.

    Attributes:
        headers: its images, in the order of their files.
        gate: what the geometry gate made of them.
        kind: see :mod:`irplan.dicom.kinds`.
        selector: what names this entry alone: the series' UID, with ``#2`` where a series holds
            several, or its folder where it has none.
        findings: the gravest decide whether it is usable.
    """

    headers: Sequence[SliceHeader]
    gate: Gate
    kind: str
    selector: str
    findings: tuple[Finding, ...]

    @property
    def first(self) -> SliceHeader:
        """The image that speaks for the series: the lowest slice, else the first file."""
        return self.headers[self.gate.order[0] if self.gate.order else 0]

    @property
    def series_instance_uid(self) -> str:
        """As in the files; '' where absent."""
        return self.first.text("series_instance_uid")

    @property
    def subject(self) -> str:
        """What its findings are about: the series' UID, '#2' where it holds several, or ''."""
        numbered = self.selector.rpartition("#")[2] if "#" in self.selector else ""
        return self.series_instance_uid + (f"#{numbered}" if numbered else "")

    @property
    def usable(self) -> bool:
        """Whether it can be read as a CT volume."""
        return self.gate.grid is not None and not self.stops

    @property
    def stops(self) -> tuple[Finding, ...]:
        """The findings that forbid planning on it."""
        from irplan.findings import Forbids, forbidding

        return forbidding(self.findings, Forbids.PLAN)

    def document(self) -> dict[str, Any]:
        """The entry as ``irplan scan --json`` prints it."""
        first, grid = self.first, self.gate.grid
        return {
            "series_instance_uid": self.series_instance_uid,
            "study_instance_uid": first.text("study_instance_uid"),
            "frame_of_reference_uid": first.text("frame_of_reference_uid"),
            "modality": first.text("modality"),
            "description": first.text("series_description"),
            "patient_id": first.text("patient_id"),
            "patient_position": first.text("patient_position"),
            "acquired": identity.acquired(first),
            "contrast": identity.contrast(first),
            "instances": len(self.headers),
            "usable": self.usable,
            "findings": [finding.document() for finding in self.findings],
            "size": list(grid.size) if grid else self._plane_size(),
            "spacing_mm": [units.quantize(value, units.ML_STEP) for value in grid.spacing_mm]
            if grid
            else None,
            "orientation": grid.orientation if grid else None,
            "transfer_syntax": first.transfer_syntax_uid,
            "select": self.selector,
            "kind": self.kind,
        }

    def _plane_size(self) -> list[int] | None:
        if not (self.first.columns and self.first.rows):
            return None
        return [self.first.columns, self.first.rows, len(self.headers)]


@dataclass(frozen=True)
class ScanResult:
    """Every series of a PATH, and what was noticed that belongs to none of them."""

    series: tuple[SeriesEntry, ...]
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> tuple[SeriesEntry, ...]:
        """The entries that can be read as a CT volume."""
        return tuple(entry for entry in self.series if entry.usable)


def scan(path: Path, task: Task = SILENT) -> ScanResult:
    """What a file, folder, DICOMDIR or ZIP holds, from headers alone.

    A large folder in which no file has changed since the last scan is recalled, not read.

    Raises:
        InputRefused: there is no such path, or the archive or DICOMDIR cannot be opened.
        Cancelled: the task was cancelled.
    """
    path = Path(path)
    found = sources(path, task)
    worth_keeping = bool(found.signature) and len(found.files) >= cache.WORTH_KEEPING
    if worth_keeping:
        task.step(0, len(found.files))
        recalled = cache.recall(path, found.signature)
        if recalled is not None:
            entries, findings = recalled
            return ScanResult(tuple(SeriesEntry(*entry) for entry in entries), findings)
    result = _read(found, task)
    if worth_keeping:
        kept: list[cache.Entry] = [
            (entry.headers, entry.gate, entry.kind, entry.selector, entry.findings)
            for entry in result.series
        ]
        cache.keep(path, found.signature, (kept, result.findings))
    return result


def _read(found: Sources, task: Task) -> ScanResult:
    listed = catalogue(found.files, task)
    findings = (*found.findings, *listed.findings)
    # Whatever could not be looked at may have been a slice of any series.
    unread = sum(1 for finding in findings if finding.severity is Severity.WARN)
    entries: list[SeriesEntry] = []
    for series in series_of(listed.headers):
        entries.extend(_entries(series, unread))
    entries.sort(key=_place)
    return ScanResult(tuple(entries), findings)


def _place(entry: SeriesEntry) -> tuple[str, str, str]:
    return (entry.first.text("study_instance_uid"), entry.selector, entry.headers[0].name)


def _entries(series: list[SliceHeader], unread: int) -> list[SeriesEntry]:
    parts = parts_of(series)
    volumes = sum(1 for part in parts if part.kind == kinds.SLICE)
    uid = series[0].text("series_instance_uid")
    name = uid or str(Path(series[0].member or series[0].path).parent)
    entries = []
    for number, part in enumerate(parts, 1):
        suffix = "" if len(parts) == 1 else f"#{number}"
        # A finding travels with the plan, so its subject never names a place on this disk.
        entries.append(_entry(part, name + suffix, uid + suffix, volumes, unread))
    return entries


def _entry(part: Part, selector: str, subject: str, volumes: int, unread: int) -> SeriesEntry:
    headers = part.headers
    if part.kind != kinds.SLICE:
        closed = Gate((), None, (0.0, 0.0), ())
        stops = (_kind_finding(part, subject),)
        return SeriesEntry(headers, closed, part.kind, selector, stops)
    findings = identity.identity_findings(headers, subject)
    if unread:
        findings.append(SLICES_MAY_BE_UNREAD(subject, count=unread))
    findings += _kind_notes(headers[0], subject)
    if part.apart_by:
        rule_values = {"count": volumes, "apart_by": ", ".join(part.apart_by)}
        findings.append(identity.SERIES_SPLIT(subject, **rule_values))
        if "frame of reference" in part.apart_by:
            findings.append(identity.FRAME_OF_REFERENCE_CHANGES(subject, count=volumes))
    findings += pixels.pixel_findings(headers, subject)
    gate = pass_gate(headers, subject, same_pixels)
    findings += gate.findings
    if gate.grid is not None:
        first = headers[gate.order[0]]
        findings += identity.position_findings(first, subject, gate.grid.orientation)
        findings += identity.tilt_tag_findings(first, _tilt_deg(gate), subject)
        ordered = [headers[index] for index in gate.order]
        findings += identity.numbering_findings(ordered, gate.grid.spacing_mm[2], subject)
    order = {Severity.STOP: 0, Severity.WARN: 1, Severity.INFO: 2}
    findings.sort(key=lambda finding: order[finding.severity])
    return SeriesEntry(headers, gate, part.kind, selector, tuple(findings))


def _tilt_deg(gate: Gate) -> float:
    if gate.grid is None:
        return 0.0
    return math.degrees(math.atan2(gate.shear_mm[1], gate.grid.spacing_mm[2]))


def _kind_notes(header: SliceHeader, subject: str) -> list[Finding]:
    word = kinds.reformat_word(header)
    if word:
        return [kinds.REFORMATTED(subject, what=word)]
    if kinds.is_derived(header):
        return [kinds.DERIVED(subject, what="\\".join(header.image_type))]
    return []


def _kind_finding(part: Part, subject: str) -> Finding:
    header = part.headers[0]
    what = "\\".join(header.image_type)
    match part.kind:
        case "document" | "other_class":
            return kinds.NOT_AN_IMAGE(subject, what=kinds.document_name(header))
        case "other_modality":
            return kinds.WRONG_MODALITY(subject, modality=header.text("modality") or "absent")
        case "localizer":
            return kinds.LOCALIZER(subject)
        case "dose_report":
            return kinds.DOSE_REPORT(subject)
        case "secondary_capture":
            return kinds.SECONDARY_CAPTURE(subject)
        case "colour":
            return kinds.NOT_GREY(subject, samples=header.samples)
        case "parameter_map":
            return kinds.PARAMETER_MAP(subject, what=what)
        case "rendering":
            return kinds.RENDERING(subject, what=what)
        case _:
            return kinds.NO_PIXELS(subject, count=len(part.headers), total=len(part.headers))


def same_pixels(one: SliceHeader, other: SliceHeader) -> bool:
    """Whether two images hold the same stored bytes, meant in the same way."""
    meaning = ("transfer_syntax_uid", "slope", "intercept", "rows", "columns", "signed")
    more = ("bits_allocated", "bits_stored", "high_bit", "padding", "padding_limit")
    if any(getattr(one, name) != getattr(other, name) for name in (*meaning, *more)):
        return False
    try:
        return stored_bytes(one) == stored_bytes(other)
    except (OSError, Damaged):
        return False


def selectable(entries: Sequence[SeriesEntry], series: str) -> list[SeriesEntry]:
    """The entries that a series' name means: its UID, or the selector of one entry."""
    exact = [entry for entry in entries if entry.selector == series]
    return exact or [entry for entry in entries if entry.series_instance_uid == series]
