"""Many cases: one row of a manifest each, on processes or on a Dask cluster.

A case ends by writing ``outcome.json`` into its folder, under a temporary name first. What is
already there is the only memory of a batch: a killed one goes on from it, and ``batch.csv`` and
``batch.jsonl`` are put together from it in the manifest's order, so the number of workers and
the order in which they finish change nothing.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from irplan.documents import envelope
from irplan.errors import CallError, Cancelled, InputRefused, IrplanError
from irplan.files import replacing, write_text
from irplan.findings import Severity, accept
from irplan.jsonio import dumps
from irplan.manifest import Case, Manifest
from irplan.tasks import SILENT, Task
from irplan.units import parse_positive

SUMMARY_COLUMNS = (
    "case_id",
    "status",
    "lesions",
    "volume_ml",
    "drug",
    "prescribed_mg",
    "allocated_mg",
    "allocated_ml",
    "residual_mg",
    "excluded",
    "needles",
    "unreachable",
    "finding",
    "message",
)
OK, INCOMPLETE, REFUSED, FAILED = "ok", "incomplete", "refused", "failed"
OUTCOME_FILE = "outcome.json"
SUMMARY_FILE = "batch.csv"
DOCUMENTS_FILE = "batch.jsonl"

#: Tables that a worker gets at once: a dose takes less time than to be handed out.
_TABLES_AT_ONCE = 16
#: Cases handed out beyond those being worked on; keeps memory flat over any number of rows.
_WAITING_PER_WORKER = 8
_ON_CLUSTER = 64
#: What tells the libraries that compute and draw how many threads they may start.
_THREADS = (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    "VTK_SMP_MAX_THREADS",
)


@dataclass(frozen=True)
class BatchResult:
    """How many cases ended in each way."""

    counts: Mapping[str, int]

    @property
    def exit_code(self) -> int:
        """0 all done, 4 where some are incomplete, 5 where any was refused or failed."""
        if self.counts.get(REFUSED) or self.counts.get(FAILED):
            return 5
        return 4 if self.counts.get(INCOMPLETE) else 0


def run_batch(
    cases: Manifest,
    out: Path,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    resume: bool = False,
    task: Task = SILENT,
) -> BatchResult:
    """Work through all cases; a case that fails never stops the others.

    Raises:
        InputRefused: ``out`` holds another batch and ``resume`` is not set.
        Cancelled: asked to stop; finished cases stay and ``resume`` goes on from them.
    """
    if not resume and (out / SUMMARY_FILE).exists():
        raise InputRefused(
            "batch_exists", f"{out}: holds a batch", "choose another folder, or give --resume"
        )
    out.mkdir(parents=True, exist_ok=True)
    todo = (case for case in cases if not (resume and _is_done(case, out)))
    progress = task.part("cases")
    progress.step(0, len(cases))
    for done, _ in enumerate(_finished(todo, out, workers, scheduler), start=1):
        progress.step(done, len(cases))
    return _write_summaries(cases, out)


def run_case(case: Case, out: Path) -> str:
    """One case, from its row to its folder; returns the case id, never raises for a bad case."""
    folder = out / case.case_id
    try:
        outcome = _outcome(case, folder)
    except Cancelled:
        raise
    except IrplanError as error:
        outcome = _error_outcome(case.case_id, REFUSED, error.code, str(error))
    except Exception as error:  # noqa: BLE001 - one bad case never stops the others
        outcome = _error_outcome(case.case_id, FAILED, "fault", repr(error))
    write_text(folder / OUTCOME_FILE, dumps({"key": case.key(), **outcome}) + "\n")
    return case.case_id


# The single case ------------------------------------------------------------------------------


def _outcome(case: Case, folder: Path) -> dict[str, Any]:
    cells = case.cells
    if bool(cells.get("volumes")) == bool(cells.get("ct")):
        raise CallError("volumes_or_ct", f"{case.case_id}: give either volumes or ct")
    if cells.get("volumes"):
        return _allocated(case, folder)
    return _planned(case, folder)


def _allocated(case: Case, folder: Path) -> dict[str, Any]:
    # Not by way of a plan's request: what plans need takes seconds to load, a dose a millisecond.
    from irplan.dose import DoseOrder, allocate, load_protocol, read_history, read_lesion_table

    cells = case.cells
    order = DoseOrder(
        weight_kg=_number(cells, "weight_kg"),
        height_cm=_number(cells, "height_cm"),
        increment_ml=_number(cells, "increment_ml"),
        visit=_visit(cells),
        history=read_history(Path(cells["history"])) if cells.get("history") else None,
    )
    table = read_lesion_table(Path(cells["volumes"]))
    allocation = allocate(table, load_protocol(_protocol(cells)), order)
    findings = accept(allocation.findings, {})
    document = envelope("allocation", allocation.document(), findings)
    text = dumps(document, indent=None)
    write_text(folder / "allocation.json", text + "\n")
    status = INCOMPLETE if allocation.incomplete else OK
    summary = _summary(case.case_id, status, document, document["findings"])
    return _done(summary, case.case_id, "allocation", text)


def _planned(case: Case, folder: Path) -> dict[str, Any]:
    from irplan.headless import is_forbidden, is_incomplete, plan_case

    request = _request(case.cells)
    session, plan = plan_case(Path(case.cells["ct"]), request)
    if is_forbidden(plan):
        stop = next(one for one in plan.findings if one.severity is Severity.STOP)
        raise InputRefused(stop.code, stop.message)
    session.save(folder)
    # Time and host would make every run's bytes different; plan.json keeps them.
    document = {**plan.document(), "run": {}}
    status = INCOMPLETE if is_incomplete(plan) else OK
    summary = _summary(case.case_id, status, document["allocation"], document["findings"])
    summary["needles"] = str(len(document["needles"]))
    summary["unreachable"] = " ".join(one["lesion_id"] for one in document["unreachable"])
    return _done(summary, case.case_id, "plan", dumps(document, indent=None))


def _done(summary: dict[str, str], case_id: str, what: str, document: str) -> dict[str, Any]:
    """What a case leaves: its row, and its line of documents as the text that is put together."""
    return {"summary": summary, "line": f'{{"case_id": {dumps(case_id)}, "{what}": {document}}}'}


def _request(cells: Mapping[str, str]) -> Any:
    from irplan.lesions import read_clicks
    from irplan.plan.request import PlanRequest

    def path(name: str) -> Path | None:
        return Path(cells[name]) if cells.get(name) else None

    clicks = path("clicks")
    return PlanRequest(
        prompts=read_clicks(clicks) if clicks else (),
        mask=path("mask"),
        anatomy=path("anatomy"),
        history=path("history"),
        protocol=_protocol(cells),
        weight_kg=_number(cells, "weight_kg"),
        height_cm=_number(cells, "height_cm"),
        increment_ml=_number(cells, "increment_ml"),
        visit=_visit(cells),
        patient_position=cells.get("patient_position") or "",
    )


def _protocol(cells: Mapping[str, str]) -> str:
    return cells.get("protocol") or "nivipit"


def _number(cells: Mapping[str, str], name: str) -> Decimal | None:
    return parse_positive(cells[name], name) if cells.get(name) else None


def _visit(cells: Mapping[str, str]) -> int:
    visit = cells.get("visit") or "1"
    if not visit.isascii() or not visit.isdecimal() or int(visit) < 1:
        raise CallError("visit", f"visit '{visit}' is not a number from 1")
    return int(visit)


def _summary(
    case_id: str,
    status: str,
    allocation: Mapping[str, Any],
    findings: list[dict[str, Any]],
) -> dict[str, str]:
    """The row of ``batch.csv``; several drugs are joined by a space, in their order."""
    drugs = allocation["drugs"]
    order = ["stop", "warn", "info"]
    first = min(findings, key=lambda one: order.index(one["severity"])) if findings else None
    row = dict.fromkeys(SUMMARY_COLUMNS, "")
    row |= {
        "case_id": case_id,
        "status": status,
        "lesions": str(len(drugs[0]["lesions"])) if drugs else "0",
        "volume_ml": str(sum((one["volume_ml"] for one in drugs[0]["lesions"]), Decimal(0)))
        if drugs
        else "",
        "drug": " ".join(one["drug"] for one in drugs),
        "excluded": " ".join(one["lesion_id"] for one in allocation["excluded"]),
        "finding": first["code"] if first else "",
        "message": first["message"] if first else "",
    }
    for name in ("prescribed_mg", "allocated_mg", "allocated_ml", "residual_mg"):
        row[name] = " ".join(str(one[name]) for one in drugs)
    return row


def _error_outcome(case_id: str, status: str, code: str, message: str) -> dict[str, Any]:
    row = dict.fromkeys(SUMMARY_COLUMNS, "")
    row |= {"case_id": case_id, "status": status, "finding": code, "message": message}
    error = dumps({"code": code, "message": message}, indent=None)
    return _done(row, case_id, "error", error)


# Handing out ----------------------------------------------------------------------------------

Chunk = tuple[Case, ...]


def run_chunk(chunk: Chunk, out: Path) -> tuple[str, ...]:
    """Several cases, one after the other; their ids."""
    return tuple(run_case(case, out) for case in chunk)


def _chunks(cases: Iterator[Case]) -> Iterator[Chunk]:
    """The cases as they are handed out: a scan by itself, tables by the handful."""
    tables: list[Case] = []
    for case in cases:
        if case.cells.get("ct"):
            yield (case,)
            continue
        tables.append(case)
        if len(tables) == _TABLES_AT_ONCE:
            yield tuple(tables)
            tables = []
    if tables:
        yield tuple(tables)


def _finished(
    cases: Iterator[Case], out: Path, workers: int, scheduler: str | None
) -> Iterator[str]:
    if scheduler is not None:
        yield from _on_cluster(_chunks(cases), out, scheduler)
    else:
        # A single worker too is a process of its own: what takes it down stops one case only.
        yield from _on_processes(_chunks(cases), out, workers)


def _on_processes(chunks: Iterator[Chunk], out: Path, workers: int) -> Iterator[str]:
    """Cases on a pool; a case that takes its process down is failed, the others go on."""
    under_way: list[Chunk] = []
    broken = True
    while broken:
        broken = False
        try:
            yield from _pool_round(chunks, out, workers, under_way)
        except BrokenProcessPool:
            broken = True
            yield from _one_by_one([case for chunk in under_way for case in chunk], out)
            under_way.clear()


def _pool_round(
    chunks: Iterator[Chunk], out: Path, workers: int, under_way: list[Chunk]
) -> Iterator[str]:
    with _pool(workers) as pool:
        futures: dict[Future[tuple[str, ...]], Chunk] = {}
        while True:
            for chunk in _take(chunks, workers * _WAITING_PER_WORKER - len(futures)):
                under_way.append(chunk)
                futures[pool.submit(run_chunk, chunk, out)] = chunk
            if not futures:
                return
            finished, _ = wait(futures, return_when=FIRST_COMPLETED)
            for future in finished:
                names = future.result()
                under_way.remove(futures.pop(future))
                yield from names


def _one_by_one(cases: list[Case], out: Path) -> Iterator[str]:
    """Cases of which one ended its process: the one under way when that happens again."""
    while cases:
        try:
            with _pool(1) as pool:
                while cases:
                    yield pool.submit(run_case, cases[0], out).result()
                    cases.pop(0)
        except BrokenProcessPool:
            yield _ended_its_process(cases.pop(0), out)


def _ended_its_process(case: Case, out: Path) -> str:
    message = "the process that worked on it ended; a decoder may have crashed on its files"
    outcome = _error_outcome(case.case_id, FAILED, "process_ended", message)
    write_text(out / case.case_id / OUTCOME_FILE, dumps({"key": case.key(), **outcome}) + "\n")
    return case.case_id


def _pool(workers: int) -> ProcessPoolExecutor:
    # Started anew, not forked: a fork copies locks that other threads hold at that moment.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=one_thread)


def one_thread() -> None:
    """Keep a worker to one thread: a worker is one core, however many there are."""
    for name in _THREADS:
        os.environ[name] = "1"
    # The software renderer counts the threads besides the one that calls it.
    os.environ["LP_NUM_THREADS"] = "0"


def _on_cluster(chunks: Iterator[Chunk], out: Path, scheduler: str) -> Iterator[str]:
    """Cases on a Dask cluster; what ended the workers it was given to is done here, one by one.

    Dask cannot tell which of the cases that a worker held had ended it.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError as error:
        raise CallError(
            "cluster_absent", "Dask is not installed", "pip install 'irplan[cluster]'"
        ) from error
    under_way: dict[str, Chunk] = {}
    with Client(scheduler, timeout="30s") as client:

        def submit(chunk: Chunk) -> Any:
            future = client.submit(run_chunk, chunk, out.resolve(), pure=False, retries=3)
            under_way[future.key] = chunk
            return future

        running = as_completed([submit(chunk) for chunk in _take(chunks, _ON_CLUSTER)])
        for future in running:
            chunk = under_way.pop(future.key)
            try:
                yield from future.result()
            except KilledWorker:
                yield from _one_by_one(list(chunk), out)
            for more in _take(chunks, 1):
                running.add(submit(more))


def _take(chunks: Iterator[Chunk], number: int) -> list[Chunk]:
    return list(islice(chunks, max(number, 0)))


# Reading and putting together -----------------------------------------------------------------


def _is_done(case: Case, out: Path) -> bool:
    try:
        outcome = json.loads((out / case.case_id / OUTCOME_FILE).read_bytes())
    except (OSError, ValueError):
        return False
    return outcome.get("key") == case.key() and isinstance(outcome.get("line"), str)


def _write_summaries(cases: Iterable[Case], out: Path) -> BatchResult:
    counts = dict.fromkeys((OK, INCOMPLETE, REFUSED, FAILED), 0)
    with (
        replacing(out / SUMMARY_FILE) as summary_path,
        replacing(out / DOCUMENTS_FILE) as lines_path,
        summary_path.open("w", encoding="utf-8", newline="") as summary_file,
        lines_path.open("w", encoding="utf-8", newline="\n") as lines_file,
    ):
        writer = csv.DictWriter(summary_file, SUMMARY_COLUMNS, lineterminator="\n")
        writer.writeheader()
        for case in cases:
            outcome = json.loads((out / case.case_id / OUTCOME_FILE).read_bytes())
            counts[outcome["summary"]["status"]] += 1
            writer.writerow(outcome["summary"])
            lines_file.write(outcome["line"] + "\n")
    return BatchResult(counts)


__all__ = ["BatchResult", "run_batch", "run_case"]
