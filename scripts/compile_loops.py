"""Plans a small made-up patient, so that the compiled inner loops lie ready in their cache.

Numba compiles a loop when it is first called and keeps it beside the module. A plan that finds
them ready starts two minutes earlier.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

# The scan is gone in a minute: it need not be remembered.
os.environ["IRPLAN_NO_CACHE"] = "1"

from irplan.cli.main import run
from irplan.phantom import PhantomSpec, build_phantom, write_dicom
from irplan.phantom.gestures import write_gestures

#: One in the skin, one in the liver, one in the lung.
LESIONS = ("L4", "L6", "L7")


def main() -> None:
    """Plan it in a folder that is gone afterwards."""
    started = time.perf_counter()
    print("compiling the inner loops, two or three minutes the first time", file=sys.stderr)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = PhantomSpec(
            columns=160, rows=160, slices=70, spacing_z_mm=4.0, centre_mm=(0.0, 8.0, 60.0)
        )
        write_dicom(build_phantom(spec), folder / "ct")
        write_gestures(1, folder / "all.csv")
        heading, *rows = (folder / "all.csv").read_text().splitlines()
        kept = [row for row in rows if row.split(",")[0] in LESIONS]
        (folder / "clicks.csv").write_text("\n".join([heading, *kept]) + "\n")
        sys.argv = ["irplan", "plan", str(folder / "ct"), "--clicks", str(folder / "clicks.csv"),
                    "--weight-kg", "70", "--out", str(folder / "plan"), "--json"]  # fmt: skip
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            try:
                run()
            except SystemExit as ended:
                if ended.code not in (0, 4):
                    raise
    print(f"compiled in {time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
