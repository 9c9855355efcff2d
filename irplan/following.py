"""A follow-up from scan to scan without a new plan: what was, what is now, a person's word on it.

The command line makes it in one go (:func:`follow_scans`); the window lets a person look at what
was found and decide before anything is written (:func:`follow_older`, then
:meth:`FollowedScans.judged` as often as wanted).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from irplan.body import find_body
from irplan.documents import envelope
from irplan.errors import CallError
from irplan.export.follow_picture import write_follow_picture
from irplan.files import write_text
from irplan.findings import Finding
from irplan.followup import Decision, Followed, FollowUp, decisions_csv, follow_lesions
from irplan.geometry import BoolArray
from irplan.jsonio import dumps
from irplan.lesions import import_masks, label_map, segment
from irplan.lesions.gestures import Prompt
from irplan.lesions.lesion import Lesion
from irplan.session import PlanningSession
from irplan.tasks import SILENT, Task
from irplan.transfer.request import ids_now, places_now
from irplan.transfer.version import old_scan
from irplan.verification import reopen_plan
from irplan.volume import CtVolume
from irplan.volume_io import load_volume, save_label_map

FOLLOW_FILE = "follow.json"
MASKS_FILE = "lesions.nii.gz"
CARRIED_FILE = "carried.nii.gz"
PICTURE_FILE = "follow.png"
DECISIONS_FILE = "decisions.csv"


@dataclass(frozen=True)
class OlderScan:
    """The older CT with its lesions.

    Attributes:
        body: the patient, bool (z, y, x).
        findings: about its masks or gestures.
    """

    volume: CtVolume
    body: BoolArray
    lesions: tuple[Lesion, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class FollowedScans:
    """Lesions followed from the older CT to the newer one, before a person's word on them.

    Attributes:
        noticed: what was found in either scan (loss, tilt, gaps): it goes with every number.
    """

    older: OlderScan
    new: CtVolume
    noticed: tuple[Finding, ...]
    followed: Followed = field(repr=False)

    def judged(
        self,
        decisions: Sequence[Decision] = (),
        accepted: Mapping[str, str] | None = None,
        shown: Sequence[Lesion] = (),
    ) -> FollowUp:
        """What is proposed, with what a person says about it and draws on the newer scan.

        The arguments are those of :meth:`irplan.followup.Followed.judged`.

        Raises:
            InputRefused: a decision fits no proposal.
        """
        return self.followed.judged(decisions, accepted, shown)

    def document(self, follow: FollowUp) -> dict[str, Any]:
        """``irplan.follow/1``."""
        body = {
            "from_scan": _scan(self.older.volume),
            "to_scan": _scan(self.new),
            **follow.document(),
        }
        findings = tuple(dict.fromkeys([*self.noticed, *follow.findings]))
        return envelope("follow", body, findings)

    def write(self, out: Path, follow: FollowUp, decisions: Sequence[Decision] = ()) -> None:
        """Write ``follow.json``, ``lesions.nii.gz`` (the lesions of the newer CT),
        ``carried.nii.gz`` (the older ones laid into it, as they were), ``follow.png``, and, where a
        person decided anything, ``decisions.csv``, which ``--confirm`` reads.

        Raises:
            InputRefused: ``out`` cannot be written.
        """
        grid = self.new.geometry
        write_text(out / FOLLOW_FILE, dumps(self.document(follow)) + "\n")
        save_label_map(label_map(follow.lesions, grid), grid, out / MASKS_FILE)
        carried = label_map([], grid)
        for number, one in enumerate(follow.carried, start=1):
            if one.carried is not None:
                carried[one.carried.slices_zyx][one.carried.voxels] = number
        save_label_map(carried, grid, out / CARRIED_FILE)
        write_follow_picture(follow, self.older.volume, self.new, out / PICTURE_FILE)
        if decisions:
            write_text(out / DECISIONS_FILE, decisions_csv(decisions))


def scan_of_plan(where: Path, task: Task = SILENT, scan: Path | None = None) -> OlderScan:
    """The CT that was planned on, with the lesions of the plan.

    Args:
        where: plan.json or its folder.
        scan: the CT; where None, the path that the plan remembers.

    Raises:
        InputRefused: the plan or its scan cannot be trusted, or is not where it was.
    """
    _, session = reopen_plan(where, old_scan(where, scan), task)
    told = session.state.lesion_findings
    return OlderScan(session.scan.volume, session.scan.body, session.state.lesions, told)


def scan_with_lesions(
    path: Path,
    task: Task = SILENT,
    *,
    mask: Path | None = None,
    ids: Path | None = None,
    prompts: Sequence[Prompt] = (),
    series: str | None = None,
) -> OlderScan:
    """A CT with the lesions that a mask or gestures show.

    Raises:
        InputRefused: the scan or the mask cannot be trusted.
    """
    volume = load_volume(path, series, task.part("reading the older CT"))
    body = find_body(volume, task.part("finding the patient's outline"))
    if mask is not None:
        found = import_masks(mask, volume, ids, task.part("reading masks"), body)
        return OlderScan(volume, body, found.lesions, found.findings)
    made = segment(volume, prompts, body, task.part("segmenting"))
    return OlderScan(volume, body, made.lesions, made.findings)


def follow_older(
    older: OlderScan,
    new: CtVolume,
    new_body: BoolArray,
    task: Task = SILENT,
    *,
    new_mask: Path | None = None,
    drawn: Sequence[Prompt] = (),
    accepted: Mapping[str, str] | None = None,
) -> FollowedScans:
    """Follow the lesions of an older CT to one that is open already.

    Args:
        new_mask: masks of lesions on the newer CT.
        drawn: gestures on the newer CT.
        accepted: stops that a person lifts, by code.

    Raises:
        InputRefused: there is no lesion to follow, or a mask cannot be trusted.
    """
    noticed = [*older.volume.findings, *new.findings, *older.findings]
    masks: tuple[Lesion, ...] = ()
    if new_mask is not None:
        after = import_masks(new_mask, new, None, task.part("reading masks"), new_body)
        masks = after.lesions
        noticed += after.findings
    followed = follow_lesions(
        older.lesions, older.volume, older.body, new, new_body, task,
        drawn=drawn, masks=masks, reasons=accepted,
    )  # fmt: skip
    return FollowedScans(older, new, tuple(noticed), followed)


def follow_scans(
    older: OlderScan,
    new_path: Path,
    out: Path,
    task: Task = SILENT,
    *,
    new_mask: Path | None = None,
    drawn: Sequence[Prompt] = (),
    decisions: Sequence[Decision] = (),
    accepted: Mapping[str, str] | None = None,
    new_series: str | None = None,
) -> tuple[dict[str, Any], bool]:
    """Follow the lesions of an older CT to another and write what was found into ``out``.

    Args:
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
    new = load_volume(new_path, new_series, task.part("reading the newer CT"))
    body = find_body(new, task.part("finding the patient's outline"))
    made = follow_older(older, new, body, task, new_mask=new_mask, drawn=drawn, accepted=accepted)
    follow = made.judged(decisions, accepted)
    if not follow.refused:
        made.write(out, follow, decisions)
    return made.document(follow), follow.refused


def take_over(session: PlanningSession, follow: FollowUp, task: Task = SILENT) -> tuple[str, ...]:
    """Take the lesions of a follow-up into the case that is open on the newer CT.

    Those that get a dose come along, with their ids, with site and side where a person gave them,
    and with what the follow-up raised. A lesion that is in the case already stays as it is there.

    Returns:
        Their ids.

    Raises:
        CallError: a proposal waits for a person's word, or no lesion is left.
    """
    if follow.open_stops:
        raise CallError(
            "not_confirmed",
            "what became of the lesions is not settled: "
            + "; ".join(one.message for one in follow.open_stops),
            "confirm or refuse each proposal first",
        )
    here = {one.lesion_id for one in session.state.lesions}
    ids = tuple(one.lesion_id for one in follow.lesions if one.lesion_id in follow.kept_ids)
    if not ids:
        raise CallError("no_lesions", "no followed lesion is left to take over")
    _take(session, follow, tuple(one for one in ids if one not in here), follow.findings, task)
    return ids


def take_one(
    session: PlanningSession, follow: FollowUp, lesion_id: str, task: Task = SILENT
) -> None:
    """Take one lesion into the case as it is proposed, to be corrected before it is confirmed.

    What the follow-up raised comes with :func:`take_over` only. A lesion that is in the case
    already stays as it is.

    Raises:
        CallError: the follow-up has no such lesion on the newer scan.
    """
    if lesion_id in {one.lesion_id for one in session.state.lesions}:
        return
    if lesion_id not in {one.lesion_id for one in follow.prompts}:
        raise CallError("no_such_lesion", f"no lesion {lesion_id} was found on this scan")
    _take(session, follow, (lesion_id,), session.state.request.followed, task)


def _take(
    session: PlanningSession,
    follow: FollowUp,
    fresh: Sequence[str],
    findings: Sequence[Finding],
    task: Task,
) -> None:
    """Take lesions of a follow-up that are not in the case; sites and sides of those that are."""
    prompts = tuple(one for one in follow.prompts if one.lesion_id in fresh)
    masks = tuple(one for one in follow.kept_masks if one.lesion_id in fresh)
    named = {one.lesion_id for one in session.state.request.places}
    there = {*fresh, *(one.lesion_id for one in session.state.lesions)}
    places = tuple(
        place
        for place in places_now(follow, ids_now(follow))
        if place.lesion_id in there and place.lesion_id not in named
    )
    session.take_followed(prompts, masks, places, findings, task)


def _scan(volume: CtVolume) -> dict[str, str]:
    who = volume.identity
    return {
        "study_instance_uid": who.study_instance_uid,
        "series_instance_uid": who.series_instance_uid,
        "frame_of_reference_uid": who.frame_of_reference_uid,
        "image_date": who.acquired,
    }
