"""Make the worked examples of every document in docs/examples/ by calling the program.

``python scripts/make_examples.py`` writes them anew, or only those that are named. They are checked
by hand when they change;
``tests/contract/test_examples.py`` then holds every build to them.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLES = REPOSITORY / "docs" / "examples"
SAMPLE = "sample_dicom/visit1"
LATER = "sample_dicom/visit2"

#: Document → (arguments, exit code). Paths are relative to a folder with the sample in it.
CALLS: dict[str, tuple[list[str], int]] = {
    "scan": (["scan", SAMPLE], 0),
    "convert": (["convert", SAMPLE, "--out", "volume.nrrd"], 0),
    "lesions": (["segment", SAMPLE, "--clicks", "examples/clicks.csv", "--out", "mask.nrrd"], 0),
    "measured": (["measure", SAMPLE, "--mask", "mask.nrrd"], 0),
    "anatomy": (["anatomy", SAMPLE, "--out", "anatomy.nrrd"], 0),
    "allocation": (["allocate", "examples/lesions.csv", "--weight-kg", "70"], 0),
    "refused": (["allocate", "examples/lesions.csv", "--weight-kg", "7"], 3),
    "protocols": (["protocols"], 0),
    "protocol": (["protocols", "nivipit"], 0),
    "plan": (
        ["plan", SAMPLE, "--clicks", "examples/clicks.csv", "--weight-kg", "70", "--out", "plan"],
        0,
    ),
    "verify": (["verify", "plan", SAMPLE], 0),
    "why": (["why", "plan", SAMPLE, "--entry", "@entry", "--lesion", "L3"], 0),
    "follow": (
        ["follow", SAMPLE, LATER, "--old-clicks", "examples/clicks.csv", "--out", "followed"],
        0,
    ),
    "transfer": (["transfer", "plan", LATER, "--out", "carried"], 0),
    "compare": (["compare", "plan", LATER, "--tip", "@tip"], 0),
    "batch": (["batch", "examples/manifest.csv", "--out", "batch"], 5),
    "cohort": (["cohort", "report", "batch", "--out", "cohort.pdf"], 0),
    "record_init": (["record", "init", "--store", "record.sqlite"], 0),
    "record_add": (
        ["record", "add", "plan", "--subject", "NIV-001", "--visit", "1", "--store",
         "record.sqlite"],
        0,
    ),
    "record_list": (["record", "list", "--store", "record.sqlite"], 0),
    "record_give": (
        ["record", "give", "@plan_id", "--from", "examples/given.csv", "--store", "record.sqlite"],
        0,
    ),
    "record_show": (["record", "show", "@plan_id", "--store", "record.sqlite"], 0),
    "record_verify": (["record", "verify", "--store", "record.sqlite"], 0),
}  # fmt: skip

#: Calls that take minutes: made only where they are asked for.
SLOW = ("follow", "transfer", "compare")
#: Calls that read what other calls wrote, beside the plan's own.
NEEDS: dict[str, tuple[str, ...]] = {"transfer": ("plan",), "compare": ("plan", "transfer")}
#: Where the placed needle of the comparison lies from the carried tip, LPS mm: too deep and aside.
PLACED_OFF_MM = (3.0, 2.0, -4.0)


def arguments_of(name: str, folder: Path) -> list[str]:
    """The call's arguments, with what an earlier call gave filled in."""
    words, _ = CALLS[name]
    plan_file = folder / "plan" / "plan.json"
    if "@plan_id" in words or "@entry" in words:
        plan = json.loads(plan_file.read_text())
        entry = ",".join(f"{x:.2f}" for x in plan["needles"][0]["entry_lps_mm"])
        words = [{"@plan_id": plan["plan_id"], "@entry": entry}.get(word, word) for word in words]
    if "@tip" in words:
        (path,) = json.loads((folder / "carried" / "transfer.json").read_text())["paths"]
        ends = [[float(value) for value in path[key]] for key in ("tip_lps_mm", "entry_lps_mm")]
        ends[0] = [value + off for value, off in zip(ends[0], PLACED_OFF_MM, strict=True)]
        numbers = ",".join(f"{value:.2f}" for end in ends for value in end)
        words = [f"{path['needle_id']}={numbers}" if word == "@tip" else word for word in words]
    return [*words, "--json"]


def prepare(folder: Path) -> None:
    """The sample and the inputs of the examples, where the calls expect them."""
    (folder / "sample_dicom").symlink_to(REPOSITORY / "sample_dicom")
    shutil.copytree(EXAMPLES, folder / "examples")


def main() -> None:
    """Write every example, or those that are named on the command line."""
    wanted = sys.argv[1:] or list(CALLS)
    if unknown := [name for name in wanted if name not in CALLS]:
        sys.exit(f"there is no example {', '.join(unknown)}")
    needed = {*wanted, *(one for name in wanted for one in NEEDS.get(name, ()))}
    if not set(wanted) <= set(SLOW):
        # The quick ones build on each other.
        needed |= {name for name in CALLS if name not in SLOW}
    run = [name for name in CALLS if name in needed]
    environment = {**os.environ, "IRPLAN_STORE": ""}
    # Whoever makes the examples, and where, is of no interest in them.
    environment |= {"LOGNAME": "radiologist", "USER": "radiologist"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for document, (_, expected) in CALLS.items():
            if document not in run:
                continue
            done = subprocess.run(
                [sys.executable, "-m", "irplan", *arguments_of(document, folder)],
                capture_output=True, text=True, check=False, cwd=folder, env=environment,
            )  # fmt: skip
            if done.returncode != expected:
                sys.exit(f"{document}: exit code {done.returncode}: {done.stderr}")
            if document not in wanted:
                continue
            text = done.stdout.replace(json.dumps(platform.node()), '"workstation"')
            (EXAMPLES / f"{document}.json").write_text(text, encoding="utf-8")
            print(document)


if __name__ == "__main__":
    main()
