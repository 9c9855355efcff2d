"""The planning session: the verbs of the work, called by the window and the command line alike.

A session holds one case. Its state is frozen: every verb computes a new state from the present
one and swaps it in at the end, so where anything fails, nothing has changed. Undo and redo walk
the tuple of states; masks are shared between them.

Verbs, in the order of the work: :meth:`~PlanningSession.open_series`; those of the lesions, which
:class:`~irplan.lesion_work.LesionWork` holds (add, import, edit, split, draw a diameter, place,
remove, no-go zone); :meth:`~PlanningSession.change`, :meth:`~PlanningSession.allocate`,
:meth:`~PlanningSession.propose_paths`, :meth:`~PlanningSession.choose_path`,
:meth:`~PlanningSession.plan`, :meth:`~PlanningSession.save`, :meth:`~PlanningSession.undo`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import ref

from irplan import case_paths, casework
from irplan.anatomy import Anatomy, build_anatomy
from irplan.anatomy.no_go import with_no_go
from irplan.anatomy.shelf import AnatomyShelf
from irplan.body import find_body
from irplan.case_paths import Means
from irplan.casework import CaseState, Scan
from irplan.dicom import SeriesEntry
from irplan.dicom import scan as scan_series
from irplan.dose import Allocation, Protocol, list_protocols, load_protocol
from irplan.errors import CallError, InputRefused
from irplan.geometry import PointLps
from irplan.lesion_work import LesionWork
from irplan.plan import InjectionPlan
from irplan.plan.dosing import allocate_plan, guidance_of, lesions_to_dose
from irplan.plan.request import LESION_FIELDS, PlanRequest
from irplan.tasks import SILENT, Task
from irplan.trajectory import (
    ConstraintCheck,
    Constraints,
    NeedleShelf,
    PathPlan,
    PatientPosition,
    explain_path,
    load_constraints,
    load_shelf,
)
from irplan.trajectory.skin_map import SkinMap
from irplan.volume import CtVolume
from irplan.volume_io import Preview, load_volume

if TYPE_CHECKING:
    # Only its name: what makes a report takes long to load.
    from irplan.export.report_transfer import TransferPages


class PlanningSession(LesionWork):
    """One case, from the scan to the saved plan.

    The session is used from one thread at a time; a state that moved on while work was under way
    refuses that work's result.
    """

    def __init__(self) -> None:
        super().__init__()
        self._anatomies = AnatomyShelf()
        self._planned: tuple[ref[CaseState], InjectionPlan] | None = None

    def _shelved(self, state: CaseState) -> Callable[[], CaseState]:
        """Without the voxels of its anatomy, which are large and come back the same."""
        if state.anatomy is None:
            return super()._shelved(state)
        packed, bare = self._anatomies.pack(state.anatomy), replace(state, anatomy=None)
        return lambda: replace(bare, anatomy=self._anatomies.unpack(packed))

    # What stands now -----------------------------------------------------------------------

    @property
    def protocol(self) -> Protocol:
        """The protocol of the request."""
        return load_protocol(self.state.request.protocol)

    def protocol_names(self) -> tuple[str, ...]:
        """The protocols that come with irplan, to choose from."""
        return tuple(protocol.name for protocol in list_protocols())

    @property
    def shelf(self) -> NeedleShelf:
        """The needles that may be used."""
        return load_shelf(self.state.request.needles)

    @property
    def constraints(self) -> Constraints:
        """The limits that a path has to keep."""
        return load_constraints(self.state.request.constraints)

    @property
    def position(self) -> PatientPosition:
        """How the patient will lie: as chosen, else as in the scan.

        Raises:
            CallError: nobody chose and the scan does not tell.
        """
        chosen = self.state.request.patient_position
        if chosen:
            return PatientPosition.parse(chosen)
        scanned = PatientPosition.from_tag(self.scan.volume.identity.patient_position)
        if scanned is None:
            tag = self.scan.volume.identity.patient_position or "absent"
            raise CallError(
                "position_unknown",
                f"how the patient lies is not known: PatientPosition is {tag}",
                "give --patient-position supine, prone, left or right",
            )
        return scanned

    @property
    def _means(self) -> Means:
        return Means(self.shelf, self.constraints, self.position)

    # Verbs ---------------------------------------------------------------------------------

    def series_at(self, path: Path, task: Task = SILENT) -> tuple[SeriesEntry, ...]:
        """What a path holds, usable or not, to choose from; the session stays as it is.

        Raises:
            InputRefused: there is no such path, or it cannot be searched.
        """
        return scan_series(path, task.part("reading headers")).series

    def open_series(
        self,
        path: Path,
        series_uid: str | None = None,
        task: Task = SILENT,
        preview: Preview | None = None,
    ) -> None:
        """Open a CT and begin a new case on it; nothing of the case before is kept.

        ``preview`` is shown the slices as they come; the case begins when all of them are there.

        Raises:
            CallError: several series and none named. InputRefused: it cannot be trusted.
        """
        volume = load_volume(path, series_uid, task.part("reading the CT"), preview=preview)
        self.open_volume(volume, task)

    def open_volume(self, volume: CtVolume, task: Task = SILENT) -> None:
        """As :meth:`open_series`, for a volume that was read already."""
        scan = Scan(volume, find_body(volume, task.part("finding the patient's outline")))
        self._scan = scan
        self._begin(CaseState())

    def change(self, edit: Callable[[PlanRequest], PlanRequest]) -> None:
        """Change what was chosen (weight, protocol, position, targets …).

        ``edit`` returns a new request; its gestures, masks and tables must stay: they have verbs
        of their own. Doses and paths are computed anew on the next call for them.
        """
        base = self.state
        request = edit(base.request)
        if any(getattr(request, name) != getattr(base.request, name) for name in LESION_FIELDS):
            raise ValueError("lesions are changed by their own verbs")
        if _same_numbers(request, base.request):
            self._swap(base, replace(base, request=request))
            return
        same_anatomy = (request.anatomy, request.anatomy_names, request.no_go) == (
            base.request.anatomy,
            base.request.anatomy_names,
            base.request.no_go,
        )
        anatomy = base.anatomy if same_anatomy else None
        self._swap(
            base, replace(base, request=request, allocation=None, paths=None, anatomy=anatomy)
        )

    def allocate(self) -> Allocation:
        """Split the dose over the lesions as the protocol says.

        Raises:
            CallError: the rule needs a number that was not given. InputRefused: a number is not
            possible.
        """
        base = self.state
        dosed = lesions_to_dose(base.lesions, base.request, self.constraints)
        allocation = allocate_plan(dosed, self.protocol, base.request)
        self._swap(base, replace(base, allocation=allocation, paths=None))
        return allocation

    def find_anatomy(self, task: Task = SILENT) -> Anatomy:
        """What the paths avoid or cross, computed or imported; kept until the lesions change."""
        base = self.state
        if base.anatomy is not None:
            return base.anatomy
        found, anatomy = self._with_anatomy(base, task)
        # Derived, not chosen: it joins the present state and is no step to undo.
        self._enrich(base, found)
        return anatomy

    def import_anatomy(
        self, labels: Path | None, names: Path | None = None, task: Task = SILENT
    ) -> Anatomy:
        """Take structures from a label map (``None``: computed ones only); paths are made anew.

        Raises:
            InputRefused: it cannot be used; nothing has changed then.
        """
        base = self.state
        request = replace(base.request, anatomy=labels, anatomy_names=names)
        found, anatomy = self._with_anatomy(replace(base, request=request, paths=None), task)
        self._swap(base, found)
        return anatomy

    def _with_anatomy(self, base: CaseState, task: Task) -> tuple[CaseState, Anatomy]:
        """The state with its anatomy, and the lesions with what they touch."""
        anatomy = build_anatomy(
            self.scan.volume,
            self.scan.body,
            base.lesions,
            base.request.anatomy,
            base.request.anatomy_names,
            task.part("finding the anatomy"),
        )
        if base.request.no_go is not None:
            zone = base.request.no_go.mask(self.scan.volume.geometry)
            anatomy = with_no_go(anatomy, zone, base.lesions)
        lesions = casework.in_anatomy(self.scan, base.lesions, anatomy)
        return replace(base, anatomy=anatomy, lesions=lesions), anatomy

    def propose_paths(self, task: Task = SILENT) -> PathPlan:
        """A safe path for every lesion that gets a dose, or why there is none."""
        if self.state.allocation is None:
            self.allocate()
        anatomy = self.find_anatomy(task)
        base = self.state
        allocation = base.allocation
        if allocation is None:
            raise CallError("moved_on", "the doses changed meanwhile", "ask for the paths again")
        paths = case_paths.search(self.scan, base, anatomy, allocation, self._means, task)
        self._swap(base, replace(base, paths=paths))
        return paths

    def skin_maps(self, task: Task = SILENT) -> tuple[SkinMap, ...]:
        """From every skin point the best path to each lesion and its cost; then to any of them.

        A map to look at; the last word on one path is :meth:`explain_path`.
        """
        if self.state.allocation is None:
            self.allocate()
        anatomy = self.find_anatomy(task)
        base = self.state
        if base.allocation is None:
            raise CallError("moved_on", "the doses changed meanwhile", "ask for the map again")
        return case_paths.map_skin(self.scan, base, anatomy, base.allocation, self._means, task)

    def explain_path(
        self, lesion_id: str, entry_lps_mm: PointLps, task: Task = SILENT
    ) -> tuple[ConstraintCheck, ...]:
        """Every constraint on the straight path from a skin point to a lesion: value and limit.

        Raises:
            CallError: there is no lesion of that id on the CT.
        """
        state = self.state
        lesion = next((one for one in state.lesions if one.lesion_id == lesion_id), None)
        if lesion is None or lesion.mask is None:
            raise CallError("no_such_lesion", f"there is no lesion '{lesion_id}' on the CT")
        return explain_path(
            self.scan.volume,
            self.scan.body,
            self.find_anatomy(task),
            lesion,
            entry_lps_mm,
            self.shelf,
            self.constraints,
            self.position,
            guidance_of(lesion, state.request, self.constraints),
            task=task,
        )

    def choose_path(self, lesion_id: str, needle_id: str) -> None:
        """Prefer another safe path for a lesion.

        Raises:
            CallError: the needle is not one of the lesion's paths.
        """
        base = self.state
        offered = () if base.paths is None else (*base.paths.needles, *base.paths.alternatives)
        if not any(n.needle_id == needle_id and lesion_id in n.lesion_ids for n in offered):
            raise CallError("no_such_path", f"{needle_id} is not a path to {lesion_id}")
        others = tuple(one for one in base.request.chosen if one[0] != lesion_id)
        request = replace(base.request, chosen=(*others, (lesion_id, needle_id)))
        self._swap(base, replace(base, request=request))

    def plan(self, task: Task = SILENT) -> InjectionPlan:
        """The whole plan as it stands, with every stage computed that was not yet.

        Raises:
            InputRefused: there is no lesion to plan for.
        """
        if not self.state.lesions:
            raise InputRefused(
                "no_lesions",
                "there is no lesion to plan for",
                "click one, draw a diameter, or give a mask",
            )
        if self.state.paths is None:
            self.propose_paths(task)
        state = self.state
        if self._planned is not None and self._planned[0]() is state:
            # What was shown is what is saved, and cards take seconds.
            return self._planned[1]
        plan = case_paths.assemble(self.scan, state, self.protocol, self._means, task)
        # Weakly: a state that is gone must not keep its voxels.
        self._planned = (ref(state), plan)
        return plan

    def save(
        self,
        folder: Path,
        task: Task = SILENT,
        *,
        skin_map: bool = False,
        changes: TransferPages | None = None,
    ) -> InjectionPlan:
        """Write the plan and everything that goes with it into ``folder``.

        Args:
            skin_map: the report also shows what the skin offers for each lesion.
            changes: the report also shows what changed since the plan that this one came from.

        Raises:
            InputRefused: the folder cannot be written.
        """
        from irplan.export.plan_folder import write_plan_folder

        plan = self.plan(task)
        anatomy = self.find_anatomy(task)
        write_plan_folder(
            folder,
            plan,
            self.scan.volume,
            self.scan.body,
            anatomy,
            self.state.request,
            task,
            self.skin_maps(task) if skin_map else (),
            changes,
        )
        return plan


def _same_numbers(one: PlanRequest, other: PlanRequest) -> bool:
    """Whether two requests give the same numbers.

    A lifted stop, and what carrying a plan over raised, change what findings say and nothing else.
    """
    one = replace(one, accepted=other.accepted)
    if one.carried is not None and other.carried is not None:
        one = replace(one, carried=replace(one.carried, findings=other.carried.findings))
    return one == other


__all__ = ["CaseState", "PlanningSession", "Scan"]
