"""The phantom as a command: one or both visits with their truth, written to a folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from irplan.errors import CallError
from irplan.phantom.build import build_phantom
from irplan.phantom.dicom import COMPRESSIONS, write_dicom
from irplan.phantom.gestures import write_gestures
from irplan.phantom.spec import POSITIONS, PhantomSpec
from irplan.phantom.truth import write_truth
from irplan.tasks import SILENT, Task

#: 3 mm slices from neck to pelvis, coarse enough for both visits to stay under 25 MB.
SAMPLE_SPEC = PhantomSpec(columns=320, rows=320, slices=234, spacing_z_mm=3.0, noise_hu=8.0)


def write_phantom(
    out: Path,
    spec: PhantomSpec,
    timepoints: Sequence[int] = (1, 2),
    compression: str = "jpeg-ls",
    order: str = "normal",
    task: Task = SILENT,
) -> tuple[Path, ...]:
    """Write ``visitN/`` (DICOM), ``truth/visitN/`` (label maps, truth.json) and ``clicksN.csv``
    (what a radiologist would draw) for each visit.

    Raises:
        CallError: an unknown visit, compression or order.
        InputRefused: ``out`` cannot be written to.
    """
    written: list[Path] = []
    for timepoint in timepoints:
        phantom = build_phantom(spec.at_visit(timepoint), task)
        folder = out / f"visit{timepoint}"
        written += write_dicom(phantom, folder, compression, order, task)
        written += write_truth(phantom, out / "truth" / f"visit{timepoint}")
        gestures = out / f"clicks{timepoint}.csv"
        write_gestures(timepoint, gestures)
        written.append(gestures)
    return tuple(written)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m irplan.phantom",
        description="Write a computed CT of a made-up patient, with lesions of known volume.",
    )
    default = PhantomSpec()
    parser.add_argument("--out", type=Path, required=True, help="folder; made where absent")
    parser.add_argument(
        "--sample", action="store_true", help="the sample patient; every other option is ignored"
    )
    parser.add_argument("--size", type=int, default=default.columns, help="columns and rows")
    parser.add_argument("--slices", type=int, default=default.slices)
    parser.add_argument("--spacing-z", type=float, default=None, help="mm between slices")
    parser.add_argument("--centre-z", type=float, default=None, help="LPS mm")
    parser.add_argument("--fov", type=float, default=default.fov_mm, help="field of view, mm")
    parser.add_argument("--timepoint", type=int, choices=(1, 2), help="one visit; both by default")
    parser.add_argument("--position", choices=tuple(POSITIONS), default=default.position)
    parser.add_argument("--oblique", type=float, default=0.0, help="degrees about the rows")
    parser.add_argument("--noise", type=float, default=default.noise_hu, help="HU")
    parser.add_argument("--blur", type=float, default=default.blur_mm, help="sigma, mm")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--no-contrast", action="store_true", help="vessels not enhanced")
    parser.add_argument("--compression", choices=tuple(COMPRESSIONS), default="jpeg-ls")
    parser.add_argument("--order", choices=("normal", "reversed"), default="normal")
    return parser


def main(arguments: Sequence[str] | None = None, task: Task = SILENT) -> int:
    """Run the command; the exit code of irplan."""
    given = _parser().parse_args(arguments)
    if given.sample:
        print(f"{len(write_phantom(given.out, SAMPLE_SPEC, task=task))} files in {given.out}")
        return 0
    try:
        spec = PhantomSpec(
            columns=given.size,
            rows=given.size,
            slices=given.slices,
            fov_mm=given.fov,
            spacing_z_mm=given.spacing_z,
            centre_mm=(0.0, 8.0, given.centre_z),
            position=given.position,
            oblique_deg=given.oblique,
            noise_hu=given.noise,
            blur_mm=given.blur,
            seed=given.seed,
            contrast=not given.no_contrast,
        )
        timepoints = (given.timepoint,) if given.timepoint else (1, 2)
        written = write_phantom(given.out, spec, timepoints, given.compression, given.order, task)
    except CallError as error:
        _parser().error(str(error))
    print(f"{len(written)} files in {given.out}")
    return 0
