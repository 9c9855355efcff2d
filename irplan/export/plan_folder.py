"""The folder of a plan: every file that goes with it, and what it was computed from.

``plan.json``, ``report.pdf``, ``lesions.dcm`` (SEG), ``measurements.dcm`` (SR),
``allocation.csv``, ``syringes.csv``, ``skin_map.csv`` where it was asked for, and ``inputs/``.
All are made in a folder beside the target
first; only when every one is there do they take their places.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from irplan.anatomy import Anatomy
from irplan.errors import InputRefused
from irplan.export.dicom_seg import write_seg
from irplan.export.dicom_sr import write_sr
from irplan.export.report import write_report
from irplan.export.report_transfer import TransferPages
from irplan.export.tables import allocation_csv, syringes_csv
from irplan.files import write_text
from irplan.geometry import BoolArray
from irplan.jsonio import dumps
from irplan.lesions import label_map
from irplan.plan import InjectionPlan
from irplan.plan.inputs import ALWAYS_THERE, read_inputs, sha256
from irplan.plan.request import PlanRequest
from irplan.tasks import SILENT, Task
from irplan.trajectory.skin_map import SkinMap, skin_map_csv
from irplan.volume import CtVolume
from irplan.volume_io import save_label_map

PLAN_FILE = "plan.json"
INPUTS_FOLDER = "inputs"
ALLOCATION_FILE = "allocation.csv"
SYRINGES_FILE = "syringes.csv"
#: The lesions as they were dosed, on the CT grid: for people and other programs, not an input.
LESION_LABELS_FILE = "lesions.nii.gz"
ANATOMY_LABELS_FILE = "anatomy.nii.gz"
SEG_FILE = "lesions.dcm"
SR_FILE = "measurements.dcm"
SKIN_MAP_FILE = "skin_map.csv"
#: Files that not every plan has: those of an older plan must not stay beside a newer one.
_NOT_IN_EVERY_PLAN = (SEG_FILE, SR_FILE, SKIN_MAP_FILE)


def write_plan_folder(
    folder: Path,
    plan: InjectionPlan,
    volume: CtVolume,
    body: BoolArray,
    anatomy: Anatomy,
    request: PlanRequest,
    task: Task = SILENT,
    skin_maps: Sequence[SkinMap] = (),
    changes: TransferPages | None = None,
) -> None:
    """Write every file of the plan into ``folder``, or leave it as it was.

    Raises:
        InputRefused: ``inputs/`` holds something else, the folder cannot be written, or a file
            that the plan was computed from has changed since.
    """
    _refuse_foreign(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".irplan-") as temporary:
            _write_all(
                Path(temporary), plan, volume, body, anatomy, request, task, skin_maps, changes
            )
            _move_into_place(Path(temporary), folder)
    except OSError as error:
        raise InputRefused(
            "cannot_write",
            f"{folder}: cannot be written: {error.strerror or error}",
            "choose another folder",
        ) from error


def _refuse_foreign(folder: Path) -> None:
    """An ``inputs/`` that no plan wrote stays: a new plan's would take its place."""
    inputs = folder / INPUTS_FOLDER
    if inputs.exists() and not all((inputs / name).is_file() for name in ALWAYS_THERE):
        raise InputRefused(
            "folder_in_use",
            f"{inputs}: holds files that no plan wrote; a plan's own would take their place",
            "name another folder for the plan",
        )


def _write_all(
    folder: Path,
    plan: InjectionPlan,
    volume: CtVolume,
    body: BoolArray,
    anatomy: Anatomy,
    request: PlanRequest,
    task: Task,
    skin_maps: Sequence[SkinMap],
    changes: TransferPages | None,
) -> None:
    document = plan.document()
    steps = task.part("writing the plan")
    steps.step(0, 5)
    write_text(folder / PLAN_FILE, dumps(document) + "\n")
    write_text(folder / ALLOCATION_FILE, allocation_csv(document["allocation"]))
    write_text(folder / SYRINGES_FILE, syringes_csv(document["allocation"]))
    _copy_inputs(folder / INPUTS_FOLDER, plan, request)
    steps.step(1, 5)
    drawn = [lesion for lesion in plan.lesions if lesion.mask is not None]
    if drawn:
        labels = label_map(drawn, volume.geometry)
        save_label_map(labels, volume.geometry, folder / INPUTS_FOLDER / LESION_LABELS_FILE)
        write_seg(volume, drawn, folder / SEG_FILE)
        write_sr(volume, drawn, folder / SR_FILE)
    if skin_maps:
        write_text(folder / SKIN_MAP_FILE, skin_map_csv(skin_maps))
    steps.step(2, 5)
    save_label_map(anatomy.labels, volume.geometry, folder / INPUTS_FOLDER / ANATOMY_LABELS_FILE)
    steps.step(3, 5)
    write_report(plan, volume, body, anatomy, folder / "report.pdf", task, skin_maps, changes)
    steps.step(5, 5)


def _copy_inputs(folder: Path, plan: InjectionPlan, request: PlanRequest) -> None:
    """The given files and the protocol, each checked against the hash that the plan names."""
    folder.mkdir()
    expected = {item.name: item.sha256 for item in plan.inputs}
    for name, content in read_inputs(request).items():
        if sha256(content) != expected.get(name):
            raise InputRefused(
                "input_changed",
                f"{name}: the file has changed since the plan was computed",
                "plan again",
            )
        (folder / name).write_bytes(content)


def _move_into_place(source: Path, target: Path) -> None:
    """Each file takes its place by a rename; what only an older plan has goes first."""
    # plan.json goes first and comes last: where it is, everything beside it belongs to it.
    (target / PLAN_FILE).unlink(missing_ok=True)
    shutil.rmtree(target / INPUTS_FOLDER, ignore_errors=True)
    for name in _NOT_IN_EVERY_PLAN:
        (target / name).unlink(missing_ok=True)
    for path in sorted(source.iterdir(), key=lambda path: path.name == PLAN_FILE):
        path.replace(target / path.name)
