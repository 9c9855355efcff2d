"""Computing a saved plan again, and naming every number that comes out different."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from irplan.documents import plan_id_of
from irplan.errors import CallError, InputRefused
from irplan.export.plan_folder import (
    ALLOCATION_FILE,
    INPUTS_FOLDER,
    PLAN_FILE,
    SYRINGES_FILE,
)
from irplan.export.tables import allocation_csv, syringes_csv
from irplan.files import sha256_of_file
from irplan.geometry import PointLps
from irplan.headless import session_on
from irplan.jsonio import loads
from irplan.plan.inputs import CT_INPUT
from irplan.plan.request import PlanRequest
from irplan.session import PlanningSession
from irplan.tasks import SILENT, Task
from irplan.trajectory import ConstraintCheck
from irplan.volume import CtVolume
from irplan.volume_io import load_volume

#: Parts of the document that no comparison reads: when and by which build it was made.
_NOT_COMPARED = ("run", "plan_id", "irplan_version")
#: Below these keys a number is a dose and must be equal; elsewhere it is measured.
_DOSES = ("allocation", "ml", "given_ml", "remaining_ml")


@dataclass(frozen=True)
class Difference:
    """One place where the plan and its repetition differ."""

    path: str
    planned: Any
    computed: Any

    def document(self) -> dict[str, Any]:
        """The difference as it stands in ``irplan.verify/1``."""
        return {"path": self.path, "planned": self.planned, "computed": self.computed}


@dataclass(frozen=True)
class Verification:
    """The outcome: ``differences`` is empty where all is the same."""

    plan_id: str
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def document(self) -> dict[str, Any]:
        """The body of ``irplan.verify/1``."""
        return {
            "plan_id": self.plan_id,
            "same": self.same,
            "differences": [one.document() for one in self.differences],
        }


def verify_plan(where: Path, scan_path: Path, task: Task = SILENT) -> Verification:
    """Compute the plan at ``where`` (its folder or plan.json) again from the scan.

    Doses must be equal; measured values may differ by one unit of their last place.

    Raises:
        InputRefused: the plan cannot be read, an input is absent or not the one that was used,
            or the scan is another.
    """
    document, session = reopen_plan(where, scan_path, task)
    stored = list(_content_differences(document))
    computed = session.plan(task).document()
    differences = [*stored, *compare(document, computed)]
    if where.is_dir():
        differences += _table_differences(where, computed)
    return Verification(str(document["plan_id"]), tuple(differences))


def reopen_plan(
    where: Path, scan_path: Path, task: Task = SILENT
) -> tuple[dict[str, Any], PlanningSession]:
    """The plan document, and a session that stands where the plan was made.

    Raises:
        InputRefused: as :func:`verify_plan`.
    """
    file = where / PLAN_FILE if where.is_dir() else where
    document = _read_plan(file)
    inputs = file.parent / INPUTS_FOLDER
    _check_inputs(document, inputs)
    series_uid = document["case"]["series_instance_uid"] or None
    volume = _same_scan(document, scan_path, series_uid, task)
    request = PlanRequest.from_document(document["settings"]["request"], inputs)
    return document, session_on(volume, request, task)


def explain_entry(
    where: Path, scan_path: Path, entry_lps_mm: PointLps, lesion_id: str, task: Task = SILENT
) -> tuple[ConstraintCheck, ...]:
    """Every constraint on the path from a skin point to a lesion of a saved plan.

    Raises:
        InputRefused: as :func:`verify_plan`. CallError: the plan has no such lesion on CT.
    """
    _, session = reopen_plan(where, scan_path, task)
    return session.explain_path(lesion_id, entry_lps_mm, task)


def compare(planned: Any, computed: Any, path: str = "") -> Iterator[Difference]:
    """Every place where two documents differ; ``path`` names it as in ``lesions[0].volume_ml``."""
    if isinstance(planned, Mapping) and isinstance(computed, Mapping):
        for key in sorted({*planned, *computed}):
            if path or key not in _NOT_COMPARED:
                here = f"{path}.{key}" if path else key
                yield from compare(planned.get(key), computed.get(key), here)
    elif _is_list(planned) and _is_list(computed) and len(planned) == len(computed):
        for number, (one, other) in enumerate(zip(planned, computed, strict=True)):
            yield from compare(one, other, f"{path}[{number}]")
    elif not _agree(planned, computed, exact=_is_dose(path)):
        yield Difference(path, planned, computed)


def _agree(planned: Any, computed: Any, *, exact: bool) -> bool:
    numbers = (int, Decimal)
    if isinstance(planned, bool) or isinstance(computed, bool):
        return planned is computed
    if not isinstance(planned, numbers) or not isinstance(computed, numbers):
        return bool(planned == computed)
    one, other = Decimal(planned), Decimal(computed)
    if exact or (isinstance(planned, int) and isinstance(computed, int)):
        return one == other
    return abs(one - other) <= max(_last_place(one), _last_place(other))


def _last_place(number: Decimal) -> Decimal:
    exponent = number.as_tuple().exponent
    return Decimal(1).scaleb(exponent) if isinstance(exponent, int) else Decimal(0)


def _is_dose(path: str) -> bool:
    keys = [key.split("[")[0] for key in path.split(".")]
    return any(key in _DOSES for key in keys)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _read_plan(file: Path) -> dict[str, Any]:
    try:
        document = loads(file.read_bytes())
    except OSError as error:
        raise InputRefused(
            "cannot_read", f"{file}: cannot be read: {error.strerror}", "name the plan's folder"
        ) from error
    except ValueError as error:
        raise InputRefused("not_json", f"{file}: is not a JSON document: {error}") from error
    parts = ("plan_id", "case", "settings", "inputs")
    if not isinstance(document, dict) or document.get("schema") != "irplan.plan/1":
        raise InputRefused("not_a_plan", f"{file}: is not a document irplan.plan/1")
    missing = [part for part in parts if part not in document]
    if missing:
        raise InputRefused("not_a_plan", f"{file}: the plan lacks {', '.join(missing)}")
    return document


def _check_inputs(document: Mapping[str, Any], inputs: Path) -> None:
    for item in document["inputs"]:
        if item["name"] == CT_INPUT:
            continue
        path = inputs / item["name"]
        if path.parent != inputs or not path.is_file():
            raise InputRefused("input_absent", f"{path}: absent, and the plan was computed from it")
        if sha256_of_file(path) != item["sha256"]:
            raise InputRefused(
                "input_changed", f"{path}: is not the file that the plan was computed from"
            )


def _same_scan(
    document: Mapping[str, Any], scan_path: Path, series_uid: str | None, task: Task
) -> CtVolume:
    another = InputRefused(
        "another_scan",
        f"{scan_path}: is not the scan that was planned on",
        "name the scan of the plan, or carry the plan to this one",
    )
    try:
        volume = load_volume(scan_path, series_uid, task.part("reading the CT"))
    except CallError as error:
        # The series that was planned on is not there.
        raise another from error
    hashes = {item["name"]: item["sha256"] for item in document["inputs"]}
    if volume.sha256 != hashes.get(CT_INPUT):
        raise another
    return volume


def _content_differences(document: Mapping[str, Any]) -> Iterator[Difference]:
    """The id belongs to the content: any edited character shows, below every tolerance."""
    own = plan_id_of(document)
    if document["plan_id"] != own:
        yield Difference("plan_id", document["plan_id"], own)


def _table_differences(folder: Path, computed: Mapping[str, Any]) -> Iterator[Difference]:
    """The tables beside the plan are what people draw up doses from: they must agree as well."""
    expected = {
        ALLOCATION_FILE: allocation_csv(computed["allocation"]),
        SYRINGES_FILE: syringes_csv(computed["allocation"]),
    }
    for name, text in expected.items():
        path = folder / name
        found = path.read_bytes().decode(errors="replace") if path.is_file() else None
        if found != text:
            yield Difference(name, "absent" if found is None else "changed", "as planned")
