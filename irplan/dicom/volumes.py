"""From a scan's entry to a :class:`~irplan.volume.CtVolume`."""

from __future__ import annotations

from pathlib import Path

from irplan.dicom import identity
from irplan.dicom.gate import GANTRY_TILT
from irplan.dicom.reading import OnArray, OnSlice, read_hu
from irplan.dicom.study import ScanResult, SeriesEntry, selectable
from irplan.errors import CallError, InputRefused
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume, ScanIdentity


def choose(result: ScanResult, path: Path, series: str | None = None) -> SeriesEntry:
    """The one entry to read.

    Args:
        result: what ``path`` holds.
        path: for messages.
        series: a SeriesInstanceUID, or an entry's selector; None where there is one usable series.

    Raises:
        CallError: several series are usable and none is named, or none has the name given.
        InputRefused: nothing is usable; the message gives the reasons.
    """
    if series is not None:
        named = selectable(result.series, series)
        if not named:
            raise CallError(
                "no_such_series", f"{path}: there is no series {series}", _listing(result)
            )
        usable = [entry for entry in named if entry.usable]
        if len(usable) > 1:
            raise CallError(
                "several_series",
                f"{path}: series {series} holds {len(usable)} volumes",
                "name one: " + "; ".join(map(_line, usable)),
            )
        if not usable:
            raise _refused(path, named)
        return usable[0]
    usable = list(result.usable)
    if len(usable) > 1:
        raise CallError(
            "several_series",
            f"{path}: holds {len(usable)} usable series",
            "name one with --series: " + "; ".join(map(_line, usable)),
        )
    if not usable:
        raise _refused(path, list(result.series))
    return usable[0]


def _line(entry: SeriesEntry) -> str:
    grid = entry.gate.grid
    size = "×".join(map(str, grid.size)) if grid else f"{len(entry.headers)} images"
    description = entry.first.text("series_description") or "no description"
    return f"{entry.selector} ({description}, {size})"


def _listing(result: ScanResult) -> str:
    names = [_line(entry) for entry in result.usable]
    return "usable here: " + ("; ".join(names) if names else "none")


def _refused(path: Path, entries: list[SeriesEntry]) -> InputRefused:
    if not entries:
        return InputRefused(
            "no_dicom", f"{path}: holds no DICOM image", "give a file or folder that holds a CT"
        )
    reasons = [
        f"{entry.selector}: {finding.message} [{finding.code}]"
        for entry in entries
        for finding in entry.stops
    ]
    code = entries[0].stops[0].code if len(entries) == 1 else "no_usable_series"
    shown = "; ".join(reasons[:5]) + (" …" if len(reasons) > 5 else "")
    return InputRefused(
        code,
        f"{path}: no series can be used as a CT volume: {shown}",
        "fetch the complete series again, or choose another",
    )


def read_entry(
    entry: SeriesEntry,
    path: Path,
    task: Task = SILENT,
    *,
    correct_tilt: bool = True,
    on_slice: OnSlice | None = None,
    first: int = 0,
    on_array: OnArray | None = None,
) -> CtVolume:
    """The voxels of a usable entry.

    Args:
        entry: from :func:`irplan.dicom.scan`.
        path: what was scanned, for messages and for the volume's identity.
        correct_tilt: whether tilted slices are resampled into a straight volume, or refused.
        on_slice: told of every slice as it is there, so that a viewer need not wait; straight
            volumes only.
        first: the slice to read first.
        on_array: told of the array (z, y, x) that the slices come into, before the first one.

    Raises:
        InputRefused: the entry is not usable, is tilted and ``correct_tilt`` is off, or a file
            cannot be read.
    """
    if not entry.usable or entry.gate.grid is None:
        raise _refused(path, [entry])
    tilted = [finding for finding in entry.findings if finding.code == GANTRY_TILT.code]
    if tilted and not correct_tilt:
        raise InputRefused(
            "gantry_tilt",
            f"{path}: {tilted[0].message.split(':')[0]}; correcting it was declined",
            "allow the correction, or take a series without tilt",
        )
    hu, findings = read_hu(
        entry.headers, entry.gate, entry.subject, task, on_slice, first, on_array
    )
    return CtVolume(hu, entry.gate.grid, _identity(entry, path), (*entry.findings, *findings))


def _identity(entry: SeriesEntry, path: Path) -> ScanIdentity:
    first = entry.first
    uids = tuple(entry.headers[index].text("sop_instance_uid") for index in entry.gate.order)
    return ScanIdentity(
        patient_id=first.text("patient_id"),
        patient_name=first.text("patient_name"),
        patient_birth_date=first.text("patient_birth_date"),
        patient_sex=first.text("patient_sex"),
        study_instance_uid=first.text("study_instance_uid"),
        series_instance_uid=first.text("series_instance_uid"),
        frame_of_reference_uid=first.text("frame_of_reference_uid"),
        sop_class_uid=first.text("sop_class_uid"),
        sop_instance_uids=uids,
        patient_position=first.text("patient_position"),
        acquired=identity.acquired(first),
        contrast=identity.contrast(first),
        description=first.text("series_description"),
        modality=first.text("modality"),
        transfer_syntax_uid=first.transfer_syntax_uid,
        source_path=str(path),
    )
