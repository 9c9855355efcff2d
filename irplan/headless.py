"""One case without a window: a request goes in, a plan folder comes out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from irplan.errors import CallError, InputRefused
from irplan.files import write_text
from irplan.findings import Finding, Forbids, forbidding
from irplan.lesions.plugins import BUILT_IN
from irplan.plan import InjectionPlan
from irplan.plan.request import PlanRequest
from irplan.session import PlanningSession
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume
from irplan.volume_io import load_volume


def session_for(
    path: Path,
    request: PlanRequest,
    series_uid: str | None = None,
    task: Task = SILENT,
    segmenter: str = BUILT_IN,
) -> PlanningSession:
    """A session with the scan open and everything of the request done up to the lesions.

    ``segmenter`` answers the gestures; its masks are kept with the plan.

    Raises:
        CallError: a target is not among the lesions, or the way the patient lies is not known.
        InputRefused: the scan, a mask or a table cannot be trusted.
    """
    volume = load_volume(path, series_uid, task.part("reading the CT"))
    return session_on(volume, request, task, segmenter)


def session_on(
    volume: CtVolume, request: PlanRequest, task: Task = SILENT, segmenter: str = BUILT_IN
) -> PlanningSession:
    """As :func:`session_for`, for a scan that was read already."""
    session = PlanningSession()
    session.open_volume(volume, task)
    # Chosen before anything slow is done, so that a missing choice is told at once.
    session.change(lambda _: request.without_lesions())
    _ = session.position
    if request.mask is not None:
        session.import_lesions(request.mask, request.mask_ids, task)
    if request.prompts:
        session.add_lesions(
            request.prompts,
            task,
            keep_failed=True,
            segmenter=segmenter,
            kept=request.kept_masks,
            unanswered=request.unanswered,
        )
    if request.edits or request.drawn or request.places:
        session.replay_handwork(request)
    if request.followed:
        session.note_followed(request.followed)
    if request.lesion_table is not None:
        session.add_lesion_table(request.lesion_table)
    _check_targets(session, request)
    return session


def plan_case(
    path: Path, request: PlanRequest, series_uid: str | None = None, task: Task = SILENT
) -> tuple[PlanningSession, InjectionPlan]:
    """The plan of a request, and the session that made it; nothing is written.

    Raises:
        as :func:`session_for`, and InputRefused where nothing can be planned.
    """
    session = session_for(path, request, series_uid, task)
    return session, session.plan(task)


@contextmanager
def with_history(
    request: PlanRequest, subject: str | None, store: str | None = None
) -> Iterator[tuple[PlanRequest, tuple[Finding, ...]]]:
    """The request with what the record says that earlier visits gave, as a file of its own.

    The file lasts as long as the block; a plan that is saved within it keeps a copy, so that it
    can be computed again whatever becomes of the record. Where the record knows nothing of any
    earlier visit, the history stays unknown.

    Args:
        subject: code of the subject; with ``None`` the request stays as it is.
        store: address of the record; the usual place where not given.

    Yields:
        The request, and findings about visits of which the record does not know what they gave.

    Raises:
        CallError: the request has a history already.
        InputRefused: the record cannot be used, or has no such subject.
    """
    if subject is None:
        yield request, ()
        return
    if request.history is not None:
        raise CallError(
            "two_histories",
            "--history and --subject both say what earlier visits gave",
            "give one of them",
        )
    # Only here: most requests need no record, and the database takes long to load.
    from irplan.record import earlier_visits, open_store

    earlier = earlier_visits(open_store(store), subject, request.visit)
    if not earlier.known:
        yield request, earlier.findings
        return
    with tempfile.TemporaryDirectory(prefix="irplan-history-") as folder:
        history = Path(folder) / "history.csv"
        write_text(history, earlier.csv())
        yield replace(request, history=history), earlier.findings


def is_forbidden(plan: InjectionPlan) -> bool:
    """Whether a finding that nobody may or did lift forbids the plan itself."""
    return bool(forbidding(plan.findings, Forbids.PLAN))


def is_incomplete(plan: InjectionPlan) -> bool:
    """Whether the plan is done but lacks something: a dose left over, a lesion without a path."""
    drawn = {lesion.lesion_id for lesion in plan.lesions}
    asked = {prompt["lesion_id"] for prompt in plan.settings["request"]["prompts"]}
    return plan.allocation.incomplete or bool(plan.paths.unreachable) or not asked <= drawn


def _check_targets(session: PlanningSession, request: PlanRequest) -> None:
    known = {lesion.lesion_id for lesion in session.state.lesions}
    named = {*request.targets, *request.biopsies, *(one for one, _ in request.excluded)}
    unknown = sorted(named - known)
    if unknown:
        raise CallError(
            "no_such_lesion",
            f"there is no lesion {', '.join(unknown)}",
            "the lesions are " + (", ".join(sorted(known)) or "none"),
        )
    if not known:
        raise InputRefused(
            "no_lesions",
            "no gesture or mask gave a lesion: "
            + "; ".join(finding.message for finding in session.state.lesion_findings),
            "click one, draw a diameter, or give a mask",
        )


__all__ = [
    "is_forbidden",
    "is_incomplete",
    "plan_case",
    "session_for",
    "session_on",
    "with_history",
]
