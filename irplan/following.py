"""A follow-up from scan to scan without a plan: files in, a folder and a document out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from irplan.body import find_body
from irplan.documents import envelope
from irplan.export.follow_picture import write_follow_picture
from irplan.files import write_text
from irplan.followup import Decision, FollowUp, follow_up
from irplan.jsonio import dumps
from irplan.lesions import import_masks, label_map, segment
from irplan.lesions.gestures import Prompt
from irplan.lesions.lesion import Lesion
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume
from irplan.volume_io import load_volume, save_label_map

FOLLOW_FILE = "follow.json"
MASKS_FILE = "lesions.nii.gz"
CARRIED_FILE = "carried.nii.gz"
PICTURE_FILE = "follow.png"


def follow_scans(
    old_path: Path,
    new_path: Path,
    out: Path,
    task: Task = SILENT,
    *,
    mask: Path | None = None,
    ids: Path | None = None,
    old_prompts: Sequence[Prompt] = (),
    new_mask: Path | None = None,
    drawn: Sequence[Prompt] = (),
    decisions: Sequence[Decision] = (),
    accepted: Mapping[str, str] | None = None,
    old_series: str | None = None,
    new_series: str | None = None,
) -> tuple[dict[str, Any], bool]:
    """Follow the lesions of one CT to another and write what was found into ``out``.

    Writes ``follow.json``, ``lesions.nii.gz`` (the lesions of the newer CT), ``carried.nii.gz``
    (the older ones laid into it, as they were) and ``follow.png``.

    Args:
        mask, ids: masks of the lesions on the older CT and the table that names them.
        old_prompts: gestures on the older CT, in place of masks.
        new_mask: masks of lesions on the newer CT.
        drawn: gestures on the newer CT.
        decisions: what a person said about the proposals of an earlier run.
        accepted: stops that a person lifts, by code.

    Returns:
        ``irplan.follow/1``, and whether the two scans cannot be used together (then nothing is
        written).

    Raises:
        InputRefused: a scan or a mask cannot be trusted, or there is no lesion to follow.
    """
    old = load_volume(old_path, old_series, task.part("reading the older CT"))
    old_body = find_body(old, task.part("finding the patient's outline"))
    if mask is not None:
        before = import_masks(mask, old, ids, task.part("reading masks"), old_body)
    else:
        before = segment(old, old_prompts, old_body, task.part("segmenting"))
    new = load_volume(new_path, new_series, task.part("reading the newer CT"))
    new_body = find_body(new, task.part("finding the patient's outline"))
    masks: tuple[Lesion, ...] = ()
    # What was found in either scan (loss, tilt, gaps) goes with every number made from them.
    noticed = [*old.findings, *new.findings, *before.findings]
    if new_mask is not None:
        after = import_masks(new_mask, new, None, task.part("reading masks"), new_body)
        masks = after.lesions
        noticed += after.findings
    found = follow_up(
        before.lesions, old, old_body, new, new_body, task,
        drawn=drawn, masks=masks, decisions=decisions, reasons=accepted,
    )  # fmt: skip
    body = {"from_scan": _scan(old), "to_scan": _scan(new), **found.document()}
    findings = tuple(dict.fromkeys([*noticed, *found.findings]))
    document = envelope("follow", body, findings)
    if not found.refused:
        _write(out, document, found, old, new)
    return document, found.refused


def _write(
    out: Path, document: dict[str, Any], found: FollowUp, old: CtVolume, new: CtVolume
) -> None:
    write_text(out / FOLLOW_FILE, dumps(document) + "\n")
    save_label_map(label_map(found.lesions, new.geometry), new.geometry, out / MASKS_FILE)
    carried = label_map([], new.geometry)
    for number, one in enumerate(found.carried, start=1):
        if one.carried is not None:
            carried[one.carried.slices_zyx][one.carried.voxels] = number
    save_label_map(carried, new.geometry, out / CARRIED_FILE)
    write_follow_picture(found, old, new, out / PICTURE_FILE)


def _scan(volume: CtVolume) -> dict[str, str]:
    who = volume.identity
    return {
        "study_instance_uid": who.study_instance_uid,
        "series_instance_uid": who.series_instance_uid,
        "frame_of_reference_uid": who.frame_of_reference_uid,
        "image_date": who.acquired,
    }
