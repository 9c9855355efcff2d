"""Mutated files through the scan and the reader: refused or read right, never a crash or a hang.

A sample runs with the tests; ``-m long`` runs 20,000. The seed is fixed, so a failure repeats.
Each run has a process of its own, whose memory holds nothing that other tests left behind.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_writer import image, save, write_series
from enhanced_writer import enhanced_image
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from irplan import dicom
from irplan.dicom import pixels
from irplan.dicom.decoder_pool import DecoderFailed, _Worker, shared_volume
from irplan.errors import InputRefused
from irplan.volume import CtVolume
from irplan.volume_io import load_volume

SIZE = 32
LONGEST_S = 5.0
MOST_MEMORY_KB = 2 << 20

#: Bytes that headers and code streams are sensitive to.
TELLING = [0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF, 0x20, 0x30, 0x39, 0x2D, 0x2E, 0x5C, 0x65]
#: Beginnings of the elements that the geometry is made of, explicit little-endian.
GEOMETRY = [b"\x20\x00\x32\x00", b"\x20\x00\x37\x00", b"\x28\x00\x30\x00", b"\x28\x00\x10\x00"]


def form(syntax: str) -> object:
    def change(ds: Dataset, index: int) -> None:
        j, i = np.mgrid[:SIZE, :SIZE]
        values = (64 + 37 * index + 3 * j + i).astype("<u2")
        ds.Rows = ds.Columns = SIZE
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
        ds.PixelData = values.tobytes()
        if syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
            ds.compress(syntax, generate_instance_uid=False)
        elif syntax:
            ds.file_meta.TransferSyntaxUID = syntax
            if syntax == ExplicitVRBigEndian:
                ds.PixelData = values.astype(">u2").tobytes()

    return change


NATIVE = ["", ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
CODED = [RLELossless, JPEG2000Lossless, JPEGLSLossless]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One to four changes: bytes, blocks, lengths, digits of positions, an early end."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        where = chance.randrange(max(1, len(changed)))
        match chance.randrange(9):
            case 0:
                changed[where] = chance.randrange(256)
            case 1:
                changed[where] = chance.choice(TELLING)
            case 2:
                changed[where] ^= 1 << chance.randrange(8)
            case 3:
                del changed[where : where + chance.randint(1, 40)]
            case 4:
                changed[where:where] = bytes(chance.choices(TELLING, k=chance.randint(1, 40)))
            case 5:
                del changed[max(132, where) :]
            case 6:
                other = chance.randrange(len(changed) + 1)
                block = changed[other : other + chance.randint(1, 64)]
                changed[where : where + len(block)] = block
            case 7:
                changed[where : where + 4] = chance.choice(
                    [b"\xff" * 4, b"\0" * 4, b"\xf0\xff" * 2]
                )
            case _:
                start = changed.find(chance.choice(GEOMETRY))
                inside = start + 4 + chance.randrange(40)
                if start >= 0 and inside < len(changed):
                    changed[inside] = chance.choice(b"0123456789.-\\ eN")
        if not changed:
            return b""
    return bytes(changed)


def peak_memory_kb() -> int:
    """The most that this process ever held. ``ru_maxrss`` would count its parent's memory too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def crowding() -> float:
    """How many processes want each processor just now: so many times longer everything takes."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@contextmanager
def within_limits(what: object) -> Iterator[None]:
    """Fails where the body takes too long, or this process has ever grown too large."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < LONGEST_S * crowding(), what
    assert peak_memory_kb() < MOST_MEMORY_KB, what


def holds_what_its_files_say(volume: CtVolume, folder: Path) -> bool:
    """Oracle, by pydicom: each slice lies where a file says it lies, with that file's spacing."""
    said = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in folder.iterdir():
            try:
                ds = pydicom.dcmread(path, force=True, stop_before_pixels=True)
                place = np.array(ds.ImagePositionPatient, float)
                turn = np.array(ds.ImageOrientationPatient, float)
                said.append((place, turn, np.array(ds.PixelSpacing, float)))
            except Exception:  # noqa: BLE001 - what pydicom cannot read says nothing here
                continue
    grid = volume.geometry
    for k in range(grid.size[2]):
        place = grid.to_lps((0, 0, k))
        axes = np.concatenate([grid.axes[:, 0], grid.axes[:, 1]])
        if not any(
            np.abs(position - place).max() < 0.15
            and np.abs(orientation - axes).max() < 2e-3
            and np.abs(spacing[::-1] - grid.spacing_mm[:2]).max() < 1e-3
            for position, orientation, spacing in said
        ):
            return False
    return True


def series_fuzz(folder: Path, rounds: int, seed: int) -> Counter[str]:
    """One file of a small uncompressed series is mutated, the folder scanned and read."""
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for number, syntax in enumerate(NATIVE):
        case = write_series(folder / str(number), change=form(syntax))  # type: ignore[arg-type]
        originals = {path: path.read_bytes() for path in sorted(case.iterdir())}
        for turn in range(rounds // len(NATIVE)):
            victim = chance.choice(list(originals))
            victim.write_bytes(mutated(originals[victim], chance))
            with within_limits((syntax, turn)):
                try:
                    volume = load_volume(case)
                except InputRefused as refusal:
                    outcomes[refusal.code] += 1
                else:
                    outcomes["read"] += 1
                    tilted = any(finding.code == "gantry_tilt" for finding in volume.findings)
                    assert not tilted
                    assert holds_what_its_files_say(volume, case), (syntax, turn)
            victim.write_bytes(originals[victim])
    return outcomes


def enhanced_fuzz(folder: Path, rounds: int, seed: int) -> Counter[str]:
    """One enhanced file, mutated."""
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    path = save(enhanced_image(4), folder / "enhanced")
    original = path.read_bytes()
    for turn in range(rounds):
        path.write_bytes(mutated(original, chance))
        with within_limits(turn):
            try:
                load_volume(path)
            except InputRefused as refusal:
                outcomes[refusal.code] += 1
            else:
                outcomes["read"] += 1
    return outcomes


def codec_fuzz(folder: Path, rounds: int, seed: int) -> Counter[str]:
    """Compressed images, mutated, through one decoding process that is replaced when it dies."""
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    shared, _ = shared_volume((1, SIZE, SIZE))
    worker = _Worker(shared, (1, SIZE, SIZE))
    path = folder / "coded"
    for syntax in CODED:
        ds = image(0, (0, 0, 0), np.zeros((SIZE, SIZE), np.int16))
        form(syntax)(ds, 0)  # type: ignore[operator]
        original = save(ds, path).read_bytes()
        head = original.index(b"\xe0\x7f\x10\x00")
        for turn in range(rounds // len(CODED)):
            # Half of the time the code stream alone, so that the codec sees it.
            if chance.random() < 0.5:
                path.write_bytes(original[: head + 12] + mutated(original[head + 12 :], chance))
            else:
                path.write_bytes(mutated(original, chance))
            with within_limits((syntax, turn)):
                for entry in dicom.scan(path).series:
                    stops = {stop.code for stop in entry.stops} - {"too_few_slices"}
                    header = entry.first
                    small = header.rows == header.columns == SIZE
                    if stops or header.transfer_syntax_uid in pixels.NATIVE or not small:
                        outcomes["refused by its header"] += 1
                        continue
                    try:
                        worker.decode(0, header)
                        outcomes["decoded"] += 1
                    except DecoderFailed as failure:
                        crashed = "crashed" in str(failure) or "in time" in str(failure)
                        outcomes["crashed or hung" if crashed else "refused by the codec"] += 1
                        if crashed:
                            worker.end()
                            worker = _Worker(shared, (1, SIZE, SIZE))
    worker.end()
    return outcomes


Fuzz = Callable[[Path, int, int], "Counter[str]"]


def watched(fuzz: Fuzz, folder: Path, rounds: int, seed: int) -> tuple[Counter[str], int]:
    """What came of it, and the most memory that a decoder started by it held, in kB."""
    warnings.simplefilter("error")
    outcomes = fuzz(folder, rounds, seed)
    return outcomes, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def check(fuzz: Fuzz, folder: Path, rounds: int, seed: int) -> None:
    """Nothing failed, and the run was a real one: much was refused, something still readable."""
    alone = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=alone) as pool:
        outcomes, decoders_kb = pool.submit(watched, fuzz, folder, rounds, seed).result()
    print(dict(outcomes))
    refused = sum(count for name, count in outcomes.items() if name not in ("read", "decoded"))
    assert refused > rounds // 10
    assert outcomes["read"] + outcomes["decoded"] > 0
    assert decoders_kb < MOST_MEMORY_KB


def test_a_sample_of_mutated_series(tmp_path: Path) -> None:
    check(series_fuzz, tmp_path, 240, seed=11)


def test_a_sample_of_mutated_enhanced_files(tmp_path: Path) -> None:
    check(enhanced_fuzz, tmp_path, 80, seed=12)


def test_a_sample_of_mutated_code_streams(tmp_path: Path) -> None:
    check(codec_fuzz, tmp_path, 240, seed=13)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(21, 33))
def test_a_thousand_mutated_series(tmp_path: Path, seed: int) -> None:
    """Twelve times, each with a seed of its own, so that the run can be cut in pieces."""
    check(series_fuzz, tmp_path, 1_000, seed=seed)


@pytest.mark.long
def test_two_thousand_mutated_enhanced_files(tmp_path: Path) -> None:
    check(enhanced_fuzz, tmp_path, 2_000, seed=41)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(51, 54))
def test_two_thousand_mutated_code_streams(tmp_path: Path, seed: int) -> None:
    check(codec_fuzz, tmp_path, 2_000, seed=seed)
