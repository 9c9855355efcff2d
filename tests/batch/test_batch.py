"""A cohort: one bad case stops no other, and every way of running it gives the same bytes."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
from program_under_test import ENVIRONMENT, PROGRAM

from irplan.batch import run_batch
from irplan.errors import InputRefused
from irplan.manifest import Case, read_manifest


def cohort(folder: Path, cases: int) -> Path:
    """A manifest of tables; every seventh case has something wrong, in another way each time."""
    (folder / "tables").mkdir(parents=True)
    lines = ["case_id,volumes,weight_kg"]
    for number in range(cases):
        table = folder / "tables" / f"{number}.csv"
        volumes = [f"{(number * 7 + lesion * 3) % 19 + 1}.{lesion}" for lesion in range(1, 4)]
        wrong = number % 7 == 3
        if wrong and number % 2:
            volumes[1] = "1,5" if number % 3 else "NaN"
        rows = [f'T{i},"{volume}"' for i, volume in enumerate(volumes)]
        table.write_text("lesion_id,volume_ml\n" + "\n".join(rows) + "\n")
        weight = "7" if wrong and not number % 2 else str(50 + number % 40)
        lines.append(f"P{number:03d},tables/{number}.csv,{weight}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def results(out: Path) -> tuple[bytes, bytes]:
    """What a batch ends with."""
    return (out / "batch.csv").read_bytes(), (out / "batch.jsonl").read_bytes()


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cohort(tmp_path_factory.mktemp("cohort"), 40)


@pytest.fixture(scope="module")
def reference(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The batch on one process."""
    out = tmp_path_factory.mktemp("reference")
    run_batch(read_manifest(manifest, {}), out)
    return out


def test_bad_rows_are_told_and_stop_nobody(reference: Path) -> None:
    with (reference / "batch.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["case_id"] for row in rows] == [f"P{number:03d}" for number in range(40)]
    for number, row in enumerate(rows):
        if number % 7 == 3:
            assert row["status"] == "refused", row
            assert row["finding"]
            assert row["message"]
        else:
            assert row["status"] == "ok", row
            # 0.3 mg/kg, worked out here.
            assert Decimal(row["prescribed_mg"]) == (50 + number % 40) * Decimal("0.3")
            total = Decimal(row["allocated_mg"]) + Decimal(row["residual_mg"])
            assert total == Decimal(row["prescribed_mg"])


def test_the_lines_hold_the_documents_in_the_manifests_order(reference: Path) -> None:
    lines = (reference / "batch.jsonl").read_text().splitlines()
    documents = [json.loads(line) for line in lines]
    assert [one["case_id"] for one in documents] == [f"P{number:03d}" for number in range(40)]
    for number, one in enumerate(documents):
        assert ("error" if number % 7 == 3 else "allocation") in one


def test_a_case_alone_gives_the_same_numbers(manifest: Path, reference: Path) -> None:
    table = manifest.parent / "tables" / "5.csv"
    alone = subprocess.run(
        [*PROGRAM, "allocate", table, "--weight-kg", "55", "--json"],
        capture_output=True, text=True, check=True, env=ENVIRONMENT,
    )  # fmt: skip
    line = (reference / "batch.jsonl").read_text().splitlines()[5]
    document = json.loads(alone.stdout)
    # The volumes at which a dose turns are told of a single case only.
    assert document.pop("turning_points")
    assert json.loads(line)["allocation"] == document


def test_two_workers_give_the_same_bytes(manifest: Path, reference: Path, tmp_path: Path) -> None:
    run_batch(read_manifest(manifest, {}), tmp_path / "out", workers=2)
    assert results(tmp_path / "out") == results(reference)


def test_a_killed_batch_goes_on_and_ends_with_the_same_bytes(
    manifest: Path, reference: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [*PROGRAM, "batch", manifest, "--out", out]
    running = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(out.glob("*/outcome.json"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = len(list(out.glob("*/outcome.json")))
    assert done >= 5
    if done < 40:
        assert not (out / "batch.csv").exists()
    resumed = subprocess.run([*command, "--resume"], env=ENVIRONMENT, check=False, timeout=300)
    assert resumed.returncode == 5
    assert results(out) == results(reference)


def test_a_changed_input_is_done_again(tmp_path: Path) -> None:
    manifest = cohort(tmp_path / "cohort", 3)
    out = tmp_path / "out"
    run_batch(read_manifest(manifest, {}), out)
    before = (out / "P001" / "outcome.json").stat().st_mtime_ns
    untouched = (out / "P002" / "outcome.json").stat().st_mtime_ns
    (manifest.parent / "tables" / "1.csv").write_text("lesion_id,volume_ml\nT0,9.0\n")
    run_batch(read_manifest(manifest, {}), out, resume=True)
    assert (out / "P001" / "outcome.json").stat().st_mtime_ns > before
    assert (out / "P002" / "outcome.json").stat().st_mtime_ns == untouched
    line = json.loads((out / "batch.jsonl").read_text().splitlines()[1])
    assert [one["lesion_id"] for one in line["allocation"]["drugs"][0]["lesions"]] == ["T0"]


def test_another_batch_is_not_written_over(manifest: Path, reference: Path) -> None:
    with pytest.raises(InputRefused, match="resume"):
        run_batch(read_manifest(manifest, {}), reference)


def test_a_cell_wins_over_the_option_and_an_empty_one_takes_it(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("lesion_id,volume_ml\nA,30\n")
    path = tmp_path / "m.csv"
    path.write_text("case_id,volumes,weight_kg\nA,t.csv,80\nB,t.csv,\n")
    cases = list(read_manifest(path, {"weight_kg": "60"}))
    assert [case.cells["weight_kg"] for case in cases] == ["80", "60"]
    assert cases[0].cells["volumes"] == str(tmp_path / "t.csv")


WRONG_MANIFESTS = [
    "case_id,volumes\n../evil,t.csv\n",
    "case_id,volumes\n,t.csv\n",
    "case_id,volumes\na/b,t.csv\n",
    "case_id,volumes\n.hidden,t.csv\n",
    "case_id,volumes\nA,t.csv\na,t.csv\n",
    "case_id,volumes,wieght_kg\nA,t.csv,70\n",
    "case_id,volumes,weight_kg\nA,t.csv,70,5\n",
]


@pytest.mark.parametrize("text", WRONG_MANIFESTS)
def test_a_manifest_that_cannot_be_trusted_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(InputRefused):
        read_manifest(path, {})


def test_json_and_parquet_say_the_same_as_csv(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    rows = [
        {"case_id": "A", "volumes": "t.csv", "weight_kg": "70.5"},
        {"case_id": "B", "volumes": "t.csv", "weight_kg": ""},
    ]
    (tmp_path / "m.csv").write_text("case_id,volumes,weight_kg\nA,t.csv,70.5\nB,t.csv,\n")
    (tmp_path / "m.json").write_text(json.dumps(rows))
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "m.parquet")
    read = [
        list(read_manifest(tmp_path / f"m.{ending}", {})) for ending in ("csv", "json", "parquet")
    ]
    assert read[0] == read[1] == read[2]
    assert read[0][0] == Case("A", {"volumes": str(tmp_path / "t.csv"), "weight_kg": "70.5"})


@pytest.mark.parametrize("workers", [1, 2])
def test_a_case_that_takes_its_process_down_is_failed_and_the_others_go_on(
    tmp_path: Path, workers: int
) -> None:
    # The case runs in a child whose memory is cut so short that it dies without a word.
    script = tmp_path / "run.py"
    script.write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        "import irplan.batch as batch\n"
        "import irplan.dose as dose\n"
        "from irplan.manifest import read_manifest\n"
        "real = dose.read_lesion_table\n"
        "def deadly(path):\n"
        "    if path.name == '2.csv':\n"
        "        os.abort()\n"
        "    return real(path)\n"
        "dose.read_lesion_table = deadly\n"
        "if __name__ == '__main__':\n"
        "    cases = read_manifest(Path(sys.argv[1]), {})\n"
        "    batch.run_batch(cases, Path(sys.argv[2]), workers=int(sys.argv[3]))\n"
    )
    manifest = cohort(tmp_path / "cohort", 6)
    out = tmp_path / "out"
    subprocess.run(
        [sys.executable, script, manifest, out, str(workers)],
        env=ENVIRONMENT,
        check=True,
        timeout=300,
    )
    with (out / "batch.csv").open(newline="") as file:
        status = {row["case_id"]: row["status"] for row in csv.DictReader(file)}
    assert status == {
        "P000": "ok", "P001": "ok", "P002": "failed", "P003": "refused", "P004": "ok", "P005": "ok",
    }  # fmt: skip


def test_a_cluster_gives_the_same_bytes_though_a_worker_is_killed(
    manifest: Path, reference: Path, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    dask = Path(sys.executable).with_name("dask")
    local = {**ENVIRONMENT, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "60s"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": local}
    address_file = tmp_path / "scheduler.json"
    scheduler = subprocess.Popen(
        [dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
         "--scheduler-file", address_file],
        cwd=tmp_path, **quiet,
    )  # fmt: skip
    workers = []
    try:
        wait_for(address_file.exists)
        address = json.loads(address_file.read_text())["address"]
        workers = [
            subprocess.Popen(
                [dask, "worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny",
                 "--no-dashboard"],
                cwd=tmp_path, **quiet,
            )
            for _ in range(2)
        ]  # fmt: skip
        out = tmp_path / "out"
        running = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "irplan",
                "batch",
                manifest,
                "--out",
                out,
                "--scheduler",
                address,
            ],
            **quiet,
        )
        wait_for(lambda: len(list(out.glob("*/outcome.json"))) >= 3)
        workers[0].kill()
        assert running.wait(timeout=240) == 5
        assert results(out) == results(reference)
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def wait_for(condition, seconds: float = 120) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.mark.long
def test_a_case_that_ends_every_worker_of_a_cluster_is_failed_alone(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    script = tmp_path / "run.py"
    script.write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        "import irplan.batch as batch\n"
        "import irplan.dose as dose\n"
        "from irplan.manifest import read_manifest\n"
        "real = dose.read_lesion_table\n"
        "def deadly(path):\n"
        "    if path.name == '2.csv':\n"
        "        os.abort()\n"
        "    return real(path)\n"
        "dose.read_lesion_table = deadly\n"
        "if __name__ == '__main__':\n"
        "    import dask\n"
        "    from distributed import Client, LocalCluster\n"
        "    from distributed.diagnostics.plugin import WorkerPlugin\n"
        "    class Deadly(WorkerPlugin):\n"
        "        def setup(self, worker):\n"
        "            import irplan.dose as there\n"
        "            there.read_lesion_table = deadly\n"
        "    dask.config.set({'distributed.scheduler.allowed-failures': 1})\n"
        "    cases = read_manifest(Path(sys.argv[1]), {})\n"
        "    with LocalCluster(n_workers=2, threads_per_worker=1) as some:\n"
        "        with Client(some) as client:\n"
        "            client.register_plugin(Deadly())\n"
        "            batch.run_batch(\n"
        "                cases, Path(sys.argv[2]), scheduler=some.scheduler_address\n"
        "            )\n"
    )
    manifest, out = cohort(tmp_path / "cohort", 6), tmp_path / "out"
    subprocess.run(
        [sys.executable, script, manifest, out], env=ENVIRONMENT, check=True, timeout=300
    )
    with (out / "batch.csv").open(newline="") as file:
        status = {row["case_id"]: row["status"] for row in csv.DictReader(file)}
    assert status == {
        "P000": "ok", "P001": "ok", "P002": "failed", "P003": "refused", "P004": "ok", "P005": "ok",
    }  # fmt: skip
