"""A batch: two workers against one on DICOM cases, and memory over many rows.

``python benchmarks/batch.py [--quick] [--only dicom|rows] [--json FILE]``. The peer of two workers
is one worker, in the same run, turn about; a worker is a process of one thread. Memory is the peak
of the whole process tree, by rows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
SELDOM_S, OFTEN_S = 0.5, 0.1


def batch(manifest: Path, out: Path, workers: int, every_s: float) -> tuple[float, int]:
    """Run a batch; wall seconds and peak resident bytes of its processes together.

    Args:
        every_s: how often memory is looked at. To look costs time of a core, which counts where
            the workers have all of them.
    """
    started = time.perf_counter()
    running = psutil.Popen(
        [
            sys.executable,
            "-m",
            "irplan",
            "batch",
            manifest,
            "--out",
            out,
            "--workers",
            str(workers),
        ],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
    )
    peak = 0
    while running.poll() is None:
        peak = max(peak, _resident(running))
        time.sleep(every_s)
    if running.returncode:
        raise SystemExit(f"{manifest}: the batch ended with {running.returncode}")
    return time.perf_counter() - started, peak


def _resident(process: psutil.Process) -> int:
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def dicom_cases(folder: Path, cases: int) -> Path:
    """A manifest of small phantoms, each a CT series with two superficial lesions."""
    from irplan.phantom import PhantomSpec, build_phantom, write_dicom
    from irplan.phantom.gestures import write_gestures

    write_gestures(1, folder / "all.csv")
    rows = (folder / "all.csv").read_text().splitlines()
    kept = [rows[0], *(row for row in rows if row.startswith(("L2,", "L3,")))]
    (folder / "clicks.csv").write_text("\n".join(kept) + "\n")
    lines = ["case_id,ct,clicks,weight_kg"]
    for number in range(cases):
        spec = PhantomSpec(
            columns=160, rows=160, slices=70, spacing_z_mm=4.0, centre_mm=(0.0, 8.0, -200.0),
            seed=number,
        )  # fmt: skip
        write_dicom(build_phantom(spec), folder / f"ct{number}")
        lines.append(f"C{number},ct{number},clicks.csv,{60 + number}")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    return folder / "cases.csv"


def table_cases(folder: Path, rows: int) -> Path:
    """A manifest of so many rows over a hundred tables of five lesions."""
    for number in range(100):
        lesions = "".join(f"T{k},{(number * 7 + k * 3) % 19 + 1}.{k}\n" for k in range(5))
        (folder / f"{number}.csv").write_text("lesion_id,volume_ml\n" + lesions)
    path = folder / f"rows{rows}.csv"
    lines = [f"P{number},{number % 100}.csv,{50 + number % 60}" for number in range(rows)]
    path.write_text("case_id,volumes,weight_kg\n" + "\n".join(lines) + "\n")
    return path


def _workers(folder: Path, quick: bool) -> tuple[float, float]:
    """How many times faster two workers are than one, and the most that this machine gives.

    The most: two batches of one worker that share nothing, started together, against one alone.
    Both are medians of the turns.
    """
    manifest = dicom_cases(folder, 4 if quick else 12)
    batch(manifest, folder / "warm", 1, SELDOM_S)
    ratios, most = [], []
    for turn in range(1 if quick else 3):
        one, _ = batch(manifest, folder / f"one{turn}", 1, SELDOM_S)
        two, _ = batch(manifest, folder / f"two{turn}", 2, SELDOM_S)
        with ThreadPoolExecutor(2) as pool:
            outs = [folder / f"apart{turn}-{number}" for number in range(2)]
            both = [pool.submit(batch, manifest, out, 1, SELDOM_S) for out in outs]
            apart = max(run.result()[0] for run in both)
        ratios.append(one / two)
        most.append(2.0 * one / apart)
        times = f"one worker {one:.1f} s, two {two:.1f} s, ratio {ratios[-1]:.2f}"
        print(f"DICOM cases: {times}; two batches apart {most[-1]:.2f}", flush=True)
    return statistics.median(ratios), statistics.median(most)


def _memory(folder: Path, quick: bool) -> dict[int, float]:
    """Peak MB of the batch, by its number of rows."""
    peaks = {}
    for rows in (500, 2000) if quick else (1000, 10_000, 100_000):
        seconds, peak = batch(table_cases(folder, rows), folder / f"rows{rows}", 1, OFTEN_S)
        peaks[rows] = round(peak / 1e6, 1)
        print(
            f"{rows} rows: {seconds:.1f} s, {rows / seconds:.0f} rows/s, {peak / 1e6:.0f} MB",
            flush=True,
        )
    return peaks


def main() -> None:
    """Run both parts and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute's version")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--only", choices=("dicom", "rows"), help="one part of it")
    given = parser.parse_args()
    figures: dict[str, object] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "load_at_start": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory() as name:
        if given.only != "rows":
            ratio, most = _workers(Path(name), given.quick)
            figures |= {"ratio_two_workers": ratio, "two_batches_that_share_nothing": most}
        if given.only != "dicom":
            figures["peak_mb_by_rows"] = _memory(Path(name), given.quick)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
