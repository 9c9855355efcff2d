"""The report's last pages: what the plan was computed from, and every value that was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reportlab.platypus import Flowable

from irplan.export.report_front import finding_lines
from irplan.export.report_page import INFO_EDGE, INFO_FILL, Heading, box, grid, paragraph, printable
from irplan.export.tables import plain_text


def sources_part(document: Mapping[str, Any]) -> list[Flowable]:
    """Scan, inputs, structures, notes, sources of the protocol, settings."""
    case, geometry = document["case"], document["geometry"]
    scan = [
        ["study", case["study_instance_uid"] or "not given"],
        ["series", case["series_instance_uid"] or "not given"],
        ["frame of reference", case["frame_of_reference_uid"] or "not given"],
        ["grid, columns × rows × slices", " × ".join(printable(n) for n in geometry["size"])],
        ["voxel, mm", " × ".join(printable(n) for n in geometry["spacing_mm"])],
        ["planned", str(document.get("run", {}).get("created", "not given"))],
    ]
    inputs = [["input", "SHA-256"]]
    inputs += [[one["name"], one["sha256"]] for one in document["inputs"]]
    shown: list[Flowable] = [
        Heading("What this plan was computed from", big=True),
        grid(scan, [46, 140], size=8, header=False),
        Heading("Inputs"),
        grid(inputs, [50, 136], size=7.5),
        Heading("Structures that the paths keep away from or cross"),
        _structures(document),
    ]
    notes = finding_lines(document["findings"], "info", "note")
    if notes:
        shown += [Heading("Notes"), box(notes, INFO_FILL, INFO_EDGE)]
    sources = list(flattened(document["allocation"]["protocol"].get("sources")))
    if sources:
        shown += [Heading("Sources of the protocol"), _pairs_table(sources)]
    settings = list(flattened(document["settings"]))
    if settings:
        shown += [Heading("Settings"), _pairs_table(settings)]
    return shown


def _structures(document: Mapping[str, Any]) -> Flowable:
    rows = [["structure", "volume mL", "source", "confidence"]]
    rows += [
        [one["name"], printable(one["volume_ml"]), one["source"], printable(one["confidence"])]
        for one in document["structures"]
    ]
    return grid(rows, [80, 34, 36, 36]) if len(rows) > 1 else paragraph("none", 8.5)


def _pairs_table(pairs: list[tuple[str, str]]) -> Flowable:
    return grid([[paragraph(a, 7.5), paragraph(b, 7.5)] for a, b in pairs], [66, 120], header=False)


def flattened(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as rows (dotted name, text): what has no parts of its own shares a row."""
    if isinstance(value, Mapping):
        plain = {key: item for key, item in value.items() if not _has_parts(item)}
        said = [f"{key} {plain_text(item)}" for key, item in plain.items() if not _is_empty(item)]
        if said:
            yield name or "general", "; ".join(said)
        for key, item in value.items():
            if key not in plain:
                yield from flattened(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and _has_parts(value):
        for number, item in enumerate(value, 1):
            yield from flattened(item, f"{name}[{number}]")
    elif not _is_empty(value):
        yield name, plain_text(value)


def _has_parts(value: Any) -> bool:
    """Whether a mapping is inside, at any depth."""
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list | tuple) and any(_has_parts(item) for item in value)


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], (), {})
