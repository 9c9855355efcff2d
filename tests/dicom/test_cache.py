"""The second scan of a large folder, and the second process of the first one."""

from __future__ import annotations

import os
import select
from pathlib import Path

import psutil
import pytest
from dicom_writer import SERIES, write_series
from pydicom.dataset import Dataset

from irplan import dicom
from irplan.dicom import cache, catalogue, sources, study
from irplan.errors import Cancelled
from irplan.tasks import SILENT, CancelToken, Task
from irplan.volume_io import load_volume


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache, "WORTH_KEEPING", 5)
    return write_series(tmp_path / "series", [2.0 * index for index in range(12)])


def documents(folder: Path) -> list[dict[str, object]]:
    return [entry.document() for entry in dicom.scan(folder).series]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files each scan read headers of; recalled scans read none."""
    counted: list[int] = []
    read = study.catalogue

    def counting(files: list[sources.Source], task: Task) -> catalogue.Catalogue:
        counted.append(len(files))
        return read(files, task)

    monkeypatch.setattr(study, "catalogue", counting)
    return counted


def test_an_unchanged_folder_is_recalled_and_says_the_same(folder: Path, reads: list[int]) -> None:
    first, hu = documents(folder), load_volume(folder).hu
    assert documents(folder) == first
    again = load_volume(folder)
    assert (again.hu == hu).all()
    assert len(again.identity.sop_instance_uids) == 12
    assert reads == [12]


def touched_in_place(folder: Path) -> None:
    """Same name, same size, and the old time of change put back: only the inode knows."""
    path = folder / "image003.dcm"
    before = path.stat()
    data = path.read_bytes()
    path.write_bytes(data.replace(b"ID-1", b"ID-9"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def added(folder: Path) -> None:
    (folder / "another").write_bytes((folder / "image003.dcm").read_bytes())


def removed(folder: Path) -> None:
    (folder / "image003.dcm").unlink()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (touched_in_place, "patient_changes"),
        (added, "duplicates_identical"),
        (removed, "missing_slices"),
    ],
)
def test_a_change_is_noticed(folder: Path, change: object, code: str) -> None:
    documents(folder)
    change(folder)  # type: ignore[operator]
    (document,) = documents(folder)
    assert code in {finding["code"] for finding in document["findings"]}  # type: ignore[attr-defined]


def test_a_spoiled_memory_is_no_memory(folder: Path, cache_folder: Path, reads: list[int]) -> None:
    first = documents(folder)
    (kept,) = [path for path in cache_folder.rglob("*") if path.is_file()]
    assert kept.stat().st_mode & 0o077 == 0
    data = bytearray(kept.read_bytes())
    data[len(data) // 2] ^= 0xFF
    kept.write_bytes(bytes(data))
    assert documents(folder) == first
    kept.write_bytes(b"")
    assert documents(folder) == first
    assert reads == [12, 12, 12]


def test_it_can_be_turned_off(
    folder: Path, cache_folder: Path, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRPLAN_NO_CACHE", "1")
    documents(folder)
    documents(folder)
    assert reads == [12, 12]
    assert not [path for path in cache_folder.rglob("*") if path.is_file()]


def test_only_the_latest_scans_are_kept(
    tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "WORTH_KEEPING", 1)
    monkeypatch.setattr(cache, "KEPT", 3)
    for number in range(5):
        documents(write_series(tmp_path / str(number), [0.0, 2.0]))
    assert len([path for path in cache_folder.rglob("*") if path.is_file()]) == 3


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[sources.Source]:
    """Thirty images of three series and a damaged file, in eleven blocks for two processes."""

    def change(ds: Dataset, index: int) -> None:
        ds.SeriesInstanceUID = f"{SERIES}.{index % 3}"

    write_series(tmp_path, [float(index) for index in range(30)], change)
    (tmp_path / "damaged").write_bytes(b"\0" * 128 + b"DICM" + b"\2\0\0\0ZZ")
    monkeypatch.setattr(catalogue, "BLOCK", 3)
    monkeypatch.setattr(catalogue, "_PROCESSORS", 2)
    return list(sources.sources(tmp_path).files)


def patient(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Wait for the helper at each turn, until it has ended; how many blocks arrived each time."""
    arrived: list[int] = []
    look = catalogue._Helper.arrived

    def wait(self: catalogue._Helper) -> list[catalogue.Found]:
        select.select([self._answers], [], [], 30.0)
        found = look(self)
        arrived.append(len(found))
        return found

    monkeypatch.setattr(catalogue._Helper, "arrived", wait)
    return arrived


def test_two_processes_find_what_one_finds(
    many: list[sources.Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = catalogue.catalogue(many, SILENT)
    arrived = patient(monkeypatch)
    monkeypatch.setattr(catalogue, "_WORTH_A_PROCESS", 2)
    together = catalogue.catalogue(many, SILENT)
    assert sum(arrived) > 0
    assert together == alone
    assert len(together.headers) == 30
    assert len(together.findings) == 1


def test_a_helper_that_comes_to_grief_is_not_needed(
    many: list[sources.Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = catalogue.catalogue(many, SILENT)
    arrived = patient(monkeypatch)
    monkeypatch.setattr(catalogue, "_WORTH_A_PROCESS", 2)
    start = catalogue.start_worker

    def crash(*_: object) -> object:
        worker = start("header_worker", ())
        worker.wait()
        return worker

    monkeypatch.setattr(catalogue, "start_worker", crash)
    assert catalogue.catalogue(many, SILENT) == alone
    assert sum(arrived) == 0


def test_cancelling_ends_both_processes(
    many: list[sources.Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "_WORTH_A_PROCESS", 2)
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        catalogue.catalogue(many, Task(cancel=token))
    assert not [
        child
        for child in psutil.Process().children()
        if "header_worker" in " ".join(child.cmdline())
    ]
