"""How long a gesture takes on a scan of 512 x 512 x 400.

Run ``python benchmarks/segmentation_times.py`` with the machine to itself; ``segmentation.py`` runs
it too.
"""

from __future__ import annotations

import os
import time

# As the program sets it, which loads NumPy later.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from irplan.geometry import GridGeometry
from irplan.lesions import Click, Diameter, Prompt, segment_one
from irplan.volume import CtVolume

#: Columns, rows and slices of the scan on which gestures are timed.
LARGE = (512, 512, 400)
LARGE_SPACING_MM = (0.8, 0.8, 1.0)
LESIONS = 9
GESTURES = ("three lines", "one line", "click")

Point = tuple[float, float, float]


def _point(values: np.ndarray) -> Point:
    x, y, z = values.tolist()
    return x, y, z


def run() -> dict[str, list[float]]:
    """Seconds of a gesture with measuring, by gesture: lesions of 6 to 40 mm radius.

    The scan is soft tissue with noise and ellipsoids in it: the time depends on the size of scan
    and lesion, not on what else is in view. No body is given: the depth under the skin, whose time
    depends on the patient's outline, is not measured.
    """
    rng = np.random.default_rng(5)
    grid = GridGeometry(LARGE, LARGE_SPACING_MM, (-200.0, -200.0, -200.0))
    hu = rng.integers(20, 60, grid.shape_zyx, dtype=np.int16)
    found: dict[str, list[float]] = {kind: [] for kind in GESTURES}
    for radius in np.geomspace(6.0, 40.0, LESIONS):
        half = radius * np.array([1.0, 0.8, 0.85])
        centre = rng.uniform(-60.0, 60.0, 3)
        reach = np.ceil(half / LARGE_SPACING_MM).astype(int) + 1
        middle = np.rint(grid.to_index(centre)).astype(int)
        axes = [np.arange(m - r, m + r + 1) for m, r in zip(middle, reach, strict=True)]
        z, y, x = np.meshgrid(*axes[::-1], indexing="ij")
        gap = (grid.to_lps(np.stack([x, y, z], axis=-1)) - centre) / half
        hu.setflags(write=True)
        hu[z, y, x] += np.where((gap**2).sum(axis=-1) <= 1.0, 60, 0).astype(np.int16)
        steps = np.diag(half)
        drawn = [Diameter(_point(centre - step), _point(centre + step)) for step in steps]
        by_kind = {"three lines": drawn, "one line": drawn[:1], "click": [Click(_point(centre))]}
        volume = CtVolume(hu, grid)
        for kind, gestures in by_kind.items():
            start = time.perf_counter()
            segment_one(volume, Prompt("L1", None, tuple(gestures)), None, 1)
            found[kind].append(time.perf_counter() - start)
    return found


def table(found: dict[str, list[float]]) -> None:
    print(f"\na gesture with measuring on a scan of {' x '.join(map(str, LARGE))}")
    for kind, seconds in found.items():
        print(f"  {kind.ljust(12)} median {np.median(seconds):.3f} s, worst {max(seconds):.3f} s")


def main() -> int:
    table(run())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
