"""Whether the certainty that is shown predicts the error, beside a null that cannot.

Run ``python benchmarks/certainty.py [--quick] [--json FILE]``; it takes minutes. The signs of
``irplan.lesions.certainty`` are collected for all thirteen real lesions (IRPLAN_REALDATA, or
``shared/realdata`` beside the clone; three repeats of the gestures of ``segmentation.py``), for
analytic lesions to fit to, and for other analytic lesions to judge by (``segmentation_phantom.py``
with two seeds). For each lesion the weights are fitted to the other twelve and the first analytic
lesions, both counting the same; for the judged analytic ones to all thirteen. Printed is the rank
correlation with Dice over the lesions, over the judged analytic ones and over both, of the fitted
certainty and of the one that the program shows, and of their nulls: the certainty of the same
gestures two radii aside, in other tissue. ``--from FILE`` judges what ``--json FILE`` once wrote.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import segmentation as benchmark
import segmentation_phantom as phantom
from scipy import stats

from irplan.lesions import Click, Diameter, Prompt
from irplan.lesions import segmentation as inner
from irplan.lesions.certainty import Signs, certainty_of
from irplan.lesions.tissue import refusal

Array = np.ndarray

SCENES, QUICK_SCENES = 40, 15
TRAIN_SEED, JUDGE_SEED = 77, 20
#: The signs that are weighed after each gesture: their places among those of a mask.
USED = {"three lines": (0, 1, 3), "one line": (0, 1), "click": (2, 3)}
DRAWN = {"three lines": 3, "one line": 1, "click": 0}
RIDGE = 0.02
MEASURES = ("fitted", "shown", "null", "null shown")


@dataclass(frozen=True)
class Row:
    """One gesture: of which lesion, the signs, the same aside if there are any, and the Dice."""

    group: str
    name: str
    signs: tuple[float, ...]
    aside: tuple[float, ...] | None
    dice: float


def look_of(case: benchmark.Case, prompt: Prompt) -> Any:
    """The look at a prompt, ``None`` where it is refused or nothing is found."""
    if refusal(prompt, case.volume, None) is not None:
        return None
    return inner.looked(case.volume, prompt, None)


def asides(case: benchmark.Case, prompt: Prompt) -> Iterator[Prompt]:
    """The same gestures two radii aside within the slice, where the scan goes on."""
    if prompt.diameters:
        reach = prompt.diameters[0].length_mm
    else:
        reach = 2.0 * float(np.cbrt(3.0 * 1000.0 * case.volume_ml / (4.0 * np.pi)))
    for step in np.eye(3)[[0, 0, 1, 1]] * np.array([[1], [-1], [1], [-1]]) * reach:
        moved: list[Any] = []
        for item in prompt.gestures:
            if isinstance(item, Click):
                moved.append(Click(benchmark.point(np.add(item.point_lps_mm, step))))
            else:
                ends = [np.add(end, step) for end in (item.start_lps_mm, item.end_lps_mm)]
                moved.append(Diameter(benchmark.point(ends[0]), benchmark.point(ends[1])))
        shifted = Prompt("null", None, tuple(moved))
        if case.volume.geometry.contains(shifted.first_point_lps_mm):
            yield shifted


def row_of(case: benchmark.Case, group: str, gestures: tuple[Any, ...]) -> Row | None:
    """Signs and Dice of one gesture; ``None`` where there is no lesion to be sure of."""
    prompt = Prompt("L1", None, gestures)
    look = look_of(case, prompt)
    mask = look.crop.to_mask(look.field) if look is not None else None
    if mask is None:
        return None
    null = None
    for shifted in asides(case, prompt):
        other = look_of(case, shifted)
        if other is not None and (other.field > 0.5).any():
            null = inner.signs_of(other).values
            break
    return Row(group, case.name, inner.signs_of(look).values, null, benchmark.dice(mask, case))


def scene_cases(seed: int, count: int) -> Iterator[tuple[benchmark.Case, tuple[Any, ...]]]:
    """Analytic lesions and their three moved lines."""
    for number, scene in enumerate(phantom.scenes(count, seed)):
        drawn = replace(scene, seed=1000 * seed + number)
        volume, truth, centre = phantom.paint(drawn)
        name = f"scene {seed}-{number}"
        case = benchmark.Case(name, volume, truth, (), benchmark.point(centre), drawn.volume_ml)
        yield case, phantom.lines(drawn, centre, phantom.JITTER_MM)


def collect(folder: Path, quick: bool) -> dict[str, list[Row]]:
    """All rows, by gesture."""
    found: dict[str, list[Row]] = {kind: [] for kind in USED}
    for case in map(benchmark.cropped, benchmark.real_cases(folder)):
        for kind in USED:
            for repeat in range(1 if quick else 3):
                rng = np.random.default_rng([repeat, len(case.name), sum(map(ord, case.name))])
                row = row_of(case, "lesion", benchmark.gestures_for(case, kind, rng))
                found[kind] += [row] if row is not None else []
    for group, seed in (("train", TRAIN_SEED), ("judge", JUDGE_SEED)):
        for number, (case, lines) in enumerate(
            scene_cases(seed, QUICK_SCENES if quick else SCENES)
        ):
            rng = np.random.default_rng([9, seed, number])
            click = benchmark.gestures_for(case, "click", rng)
            for kind, drawn in zip(USED, (lines, lines[:1], click), strict=True):
                row = row_of(case, group, drawn)
                found[kind] += [row] if row is not None else []
    return found


def fitted(signs: Array, dice: Array, share: Array) -> tuple[float, Array]:
    """Base and weights of a ridge regression; ``share`` says how much each row counts."""
    total = share.sum()
    middle = share @ signs / total
    spread = np.maximum(np.sqrt(share @ (signs - middle) ** 2 / total), 1e-6)
    scaled, mean = (signs - middle) / spread, float(share @ dice / total)
    gram = (scaled * share[:, None]).T @ scaled + RIDGE * total * np.eye(signs.shape[1])
    weights = np.linalg.solve(gram, (scaled * share[:, None]).T @ (dice - mean)) / spread
    return mean - float(middle @ weights), weights


def judged(kind: str, rows: list[Row]) -> dict[str, dict[str, Array]]:
    """By group, mean values of each lesion: Dice, certainty fitted, shown, and their nulls."""
    used = list(USED[kind])
    signs = np.array([row.signs for row in rows])[:, used]
    dice = np.array([row.dice for row in rows])
    names = np.array([row.name for row in rows])
    groups = np.array([row.group for row in rows])
    share = np.zeros(len(rows))
    for group in ("lesion", "train"):
        share[groups == group] = 1.0 / max(1, np.count_nonzero(groups == group))
    print(f"\n{kind}: all lesions and the analytic ones to fit to give", end=" ")
    base, weights = fitted(signs, dice, share)
    print(f"base {base:.3f}, weights {np.round(weights, 3).tolist()}")
    out: dict[str, dict[str, Array]] = {}
    for group in ("lesion", "judge"):
        columns: list[list[float]] = []
        for name in dict.fromkeys(names[groups == group]):
            own = names == name
            base, weights = fitted(signs[~own], dice[~own], share[~own])
            mine = [row for row in rows if row.name == name]
            aside = [row.aside for row in mine if row.aside is not None]
            columns.append(
                [
                    float(dice[own].mean()),
                    float(np.mean(base + signs[own] @ weights)),
                    float(np.mean([certainty_of(Signs(*row.signs), DRAWN[kind]) for row in mine])),
                    float(np.mean(base + np.array(aside)[:, used] @ weights)) if aside else np.nan,
                    float(np.mean([certainty_of(Signs(*one), DRAWN[kind]) for one in aside]))
                    if aside
                    else np.nan,
                ]
            )
        table = np.array(columns).T
        out[group] = dict(zip(("dice", *MEASURES), table, strict=True))
    return out


def report(kind: str, rows: list[Row]) -> None:
    groups = judged(kind, rows)
    both = {key: np.concatenate([groups[name][key] for name in groups]) for key in groups["lesion"]}
    for title, values in (
        ("lesions, each left out", groups["lesion"]),
        ("analytic lesions not fitted to", groups["judge"]),
        ("both together", both),
    ):
        cells = []
        for key in MEASURES:
            known = np.isfinite(values[key])
            rank = stats.spearmanr(values[key][known], values["dice"][known]).statistic
            cells.append(f"{key} {rank:+.2f}")
        error = np.sqrt(np.mean((values["shown"] - values["dice"]) ** 2))
        print(
            f"  {title.ljust(32)} {len(values['dice']):3d}  rank correlation with Dice: "
            f"{', '.join(cells)}; shown is off by {error:.2f}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one repeat, fewer analytic lesions")
    parser.add_argument("--json", type=Path, help="write signs and Dice there")
    parser.add_argument("--from", type=Path, dest="source", help="judge what was written there")
    arguments = parser.parse_args()
    if arguments.source:
        for kind, plain in json.loads(arguments.source.read_text(encoding="utf-8")).items():
            report(kind, [Row(**row) for row in plain])
        return 0
    named = os.environ.get("IRPLAN_REALDATA")
    beside = Path(__file__).resolve().parents[2] / "shared" / "realdata"
    folder = Path(named) if named else beside
    if not (folder / "lesions.csv").is_file():
        raise SystemExit("real scans are absent: nothing to judge by")
    found = collect(folder, arguments.quick)
    for kind, rows in found.items():
        report(kind, rows)
    if arguments.json:
        written = {kind: [vars(row) for row in rows] for kind, rows in found.items()}
        arguments.json.write_text(json.dumps(written), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
