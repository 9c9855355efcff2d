"""How many patients of five lesions are dosed a second on one core.

Three rates: the numbers of a batch in memory (:func:`irplan.dose.many.doses_of_many`; no
document is made and no file written), the whole allocation with sentences, syringes and findings,
and the whole allocation where every lesion has a volume band (ten more solutions each). Beside
them, on the same cases in the same process:

* SciPy's HiGHS (``scipy.optimize.milp``) on the same split as an integer program,
* a split in binary floating point with rounding to the nearest step, the spreadsheet's way, with
  the number of patients whose dose it gets wrong (sum not the prescribed dose).

Rates count processor time of this process, so other work on the machine does not enter.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from irplan.dose import DoseLesion, DoseOrder, Protocol, allocate, load_protocol
from irplan.dose.many import doses_of_many

LESIONS = 5
TARGET = 20_000
Case = tuple[tuple[DoseLesion, ...], DoseOrder]


def made_up_patients(count: int, *, bands: bool, seed: int = 1) -> list[Case]:
    """Patients of 45-120 kg with five lesions of 0.5-40 mL; one lesion in ten has a maximum."""
    generator = random.Random(seed)
    cases = []
    for _ in range(count):
        lesions = []
        for number in range(1, LESIONS + 1):
            volume = Decimal(generator.randint(500, 40_000)).scaleb(-3)
            capped = generator.random() < 0.1
            lesions.append(
                DoseLesion(
                    f"L{number}",
                    volume,
                    volume_low_ml=volume * Decimal("0.9") if bands else None,
                    volume_high_ml=volume * Decimal("1.1") if bands else None,
                    max_ml=Decimal(generator.randint(20, 100)).scaleb(-2) if capped else None,
                )
            )
        weight = Decimal(generator.randint(450, 1200)).scaleb(-1)
        cases.append((tuple(lesions), DoseOrder(weight_kg=weight)))
    return cases


def rate(work: Callable[[], object], count: int) -> float:
    """Patients a second of processor time; the best of three runs."""
    best = min(_seconds(work) for _ in range(3))
    return count / best


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def integer_program(case: Case) -> None:
    """The rounding of one patient's shares as an integer program for HiGHS: whole steps that add
    up to the dose, with the least sum of distances from the shares."""
    lesions, order = case
    total = int((order.weight_kg or Decimal(0)) * 6)
    volumes = np.array([float(lesion.volume_ml or 0) for lesion in lesions])
    shares = total * volumes / volumes.sum()
    count = len(lesions)
    cost = np.concatenate([np.zeros(count), np.ones(count)])
    eye = np.eye(count)
    constraints = [
        LinearConstraint(np.concatenate([np.ones(count), np.zeros(count)])[None, :], total, total),
        LinearConstraint(np.hstack([eye, -eye]), -np.inf, shares),
        LinearConstraint(np.hstack([-eye, -eye]), -np.inf, -shares),
    ]
    whole = np.concatenate([np.ones(count), np.zeros(count)])
    milp(cost, constraints=constraints, integrality=whole, bounds=Bounds(0, np.inf))


def spreadsheet(cases: Sequence[Case]) -> int:
    """The split in floating point, each dose rounded by itself; how many sums miss the dose."""
    wrong = 0
    for lesions, order in cases:
        dose = float(order.weight_kg or 0) * 0.3 / 5
        volumes = [float(lesion.volume_ml or 0) for lesion in lesions]
        whole = sum(volumes)
        doses = [round(dose * volume / whole, 2) for volume in volumes]
        if not 0 <= round(dose - sum(doses), 9) < 0.01:
            wrong += 1
    return wrong


def missed(cases: Sequence[Case], protocol: Protocol) -> int:
    """In how many patients irplan's doses and residual do not add up to the prescribed dose, or
    a step or more is left over although not every lesion is at its maximum."""
    wrong = 0
    for (lesions, _), doses in zip(cases, doses_of_many(cases, protocol), strict=True):
        total = sum(doses.ml, Decimal(0)) + doses.residual_ml
        full = all(
            lesion.max_ml is not None and lesion.max_ml - ml < Decimal("0.01")
            for lesion, ml in zip(lesions, doses.ml, strict=True)
        )
        if total != doses.prescribed_ml or (doses.residual_ml >= Decimal("0.01") and not full):
            wrong += 1
    return wrong


def main(arguments: Sequence[str]) -> int:
    """Run, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a minute's version")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    count = 20_000 if options.quick else 100_000
    protocol = load_protocol("nivipit")
    cases = made_up_patients(count, bands=False)
    banded = made_up_patients(max(count // 50, 200), bands=True)
    some = cases[: max(count // 20, 500)]
    few = cases[: 200 if options.quick else 1000]

    figures = {
        "numbers_per_s": rate(lambda: list(doses_of_many(cases, protocol)), count),
        "allocations_per_s": rate(lambda: [allocate(*_with(c, protocol)) for c in some], len(some)),
        "allocations_with_bands_per_s": rate(
            lambda: [allocate(*_with(c, protocol)) for c in banded], len(banded)
        ),
        "highs_per_s": rate(lambda: [integer_program(c) for c in few], len(few)),
        "floating_point_per_s": rate(lambda: spreadsheet(some), len(some)),
    }
    wrong = spreadsheet(some) / len(some)
    own_wrong = missed(cases, protocol) / len(cases)
    machine = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    print(f"machine: {machine}; {count} made-up patients of {LESIONS} lesions; one core")
    print(f"numbers of a batch           {figures['numbers_per_s']:>10.0f} patients/s")
    print(f"whole allocations            {figures['allocations_per_s']:>10.0f} patients/s")
    print(
        f"whole allocations, bands     {figures['allocations_with_bands_per_s']:>10.0f} patients/s"
    )
    print(f"HiGHS, rounding alone        {figures['highs_per_s']:>10.0f} patients/s")
    print(f"floating point, no caps      {figures['floating_point_per_s']:>10.0f} patients/s")
    print(
        f"numbers are made {figures['numbers_per_s'] / figures['highs_per_s']:.0f} times as fast "
        f"as by HiGHS; rounding each dose by itself misses the dose in {100 * wrong:.1f} % of "
        f"patients, irplan in {100 * own_wrong:.1f} %"
    )
    reached = figures["numbers_per_s"] >= TARGET
    print(f"target of {TARGET} patients/s: {'reached' if reached else 'NOT reached'}")
    if options.json:
        content = {
            "machine": machine,
            "patients": count,
            "lesions": LESIONS,
            **{name: round(value, 1) for name, value in figures.items()},
            "floating_point_wrong_share": round(wrong, 4),
            "irplan_wrong_share": round(own_wrong, 4),
            "target_per_s": TARGET,
            "target_reached": reached,
        }
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


def _with(case: Case, protocol: Protocol) -> tuple[tuple[DoseLesion, ...], Protocol, DoseOrder]:
    lesions, order = case
    return lesions, protocol, order


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
