"""``irplan cohort report``: what a batch gave, drawn: doses, volumes, residuals, exclusions.

Everything comes from ``batch.jsonl`` and ``batch.csv``; nothing is computed anew. Cases that were
refused or failed are listed with their cause, never left out of the count.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable, Image, PageBreak, Spacer

from irplan.errors import InputRefused
from irplan.export.report_page import WIDTH, Furniture, Heading, build_pdf, grid, paragraph
from irplan.files import replacing
from irplan.jsonio import loads
from irplan.units import plain

#: Rows of cases that did not go through, on paper; the table batch.csv has them all.
_LISTED = 200
_FIGURE_INCHES = (7.3, 2.4)
_DPI = 130
#: Bars of a histogram at most.
_BINS = 30


@dataclass
class Cohort:
    """The numbers of a batch, gathered case by case.

    Attributes:
        status: how many cases ended in each way.
        volumes_ml, doses_mg: one number a lesion and drug; ``doses_mg`` by drug.
        totals_mg, residuals_mg: one number a case, by drug.
        bands: relative half width of a lesion's dose band, where it has one.
        exclusions, residual_reasons, findings: how often each code came.
        lost: (case, status, code, message) of the cases that did not go through.
    """

    status: Counter[str] = field(default_factory=Counter)
    volumes_ml: list[Decimal] = field(default_factory=list)
    doses_mg: dict[str, list[Decimal]] = field(default_factory=dict)
    totals_mg: dict[str, list[Decimal]] = field(default_factory=dict)
    residuals_mg: dict[str, list[Decimal]] = field(default_factory=dict)
    bands: list[float] = field(default_factory=list)
    exclusions: Counter[str] = field(default_factory=Counter)
    residual_reasons: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    lost: list[tuple[str, str, str, str]] = field(default_factory=list)


def read_cohort(batch: Path) -> Cohort:
    """Gather a batch from its folder, one line in memory at a time.

    Raises:
        InputRefused: the folder holds no finished batch.
    """
    cohort = Cohort()
    try:
        with (batch / "batch.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                cohort.status[row["status"]] += 1
                if row["status"] in ("refused", "failed"):
                    lost = (row["case_id"], row["status"], row["finding"], row["message"])
                    cohort.lost.append(lost)
        for document in _documents(batch / "batch.jsonl"):
            _add(cohort, document)
    except (OSError, ValueError, KeyError) as error:
        raise InputRefused(
            "not_a_batch",
            f"{batch}: holds no finished batch: {error}",
            "name the folder given to --out; a stopped batch goes on with --resume",
        ) from error
    return cohort


def write_cohort_report(batch: Path, target: Path) -> Cohort:
    """Write the cohort's report as PDF and return what it was drawn from.

    Raises:
        InputRefused: the folder holds no finished batch, or ``target`` cannot be written.
    """
    cohort = read_cohort(batch)
    pictures = [_picture(draw, cohort) for draw in (_draw_doses, _draw_volumes, _draw_residuals)]
    cases = f"{sum(cohort.status.values())} cases"
    furniture = Furniture("Cohort report", cases, kind="irplan cohort report")
    with replacing(target) as temporary:
        build_pdf(lambda: _story(cohort, pictures), temporary, furniture, "Cohort report")
    return cohort


def _documents(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield loads(line)


def _add(cohort: Cohort, line: Mapping[str, Any]) -> None:
    document = line.get("allocation") or line.get("plan")
    if document is None:
        return
    allocation = document.get("allocation", document)
    cohort.findings.update(one["code"] for one in document["findings"])
    cohort.exclusions.update(one["code"] for one in allocation["excluded"])
    for number, drug in enumerate(allocation["drugs"]):
        name = drug["drug"]
        cohort.totals_mg.setdefault(name, []).append(Decimal(drug["allocated_mg"]))
        cohort.residuals_mg.setdefault(name, []).append(Decimal(drug["residual_mg"]))
        cohort.residual_reasons.update(drug["residual_reasons"])
        for lesion in drug["lesions"]:
            cohort.doses_mg.setdefault(name, []).append(Decimal(lesion["mg"]))
            if number == 0:
                cohort.volumes_ml.append(Decimal(lesion["volume_ml"]))
            low, high, dose = (float(lesion[key]) for key in ("ml_low", "ml_high", "ml"))
            if dose > 0 and high > low:
                cohort.bands.append((high - low) / 2 / dose)


def _story(cohort: Cohort, pictures: list[bytes]) -> list[Flowable]:
    rows: list[list[Any]] = [
        ["status", "cases"],
        *([name, number] for name, number in cohort.status.items()),
    ]
    story: list[Flowable] = [Heading("Cohort", big=True), grid(rows, [3, 1])]
    story += [Spacer(1, 6), Heading("Doses"), grid(_dose_rows(cohort), [3, 1, 2, 2, 2, 2])]
    for picture in pictures:
        image = ImageReader(io.BytesIO(picture))
        wide, high = image.getSize()
        story += [Spacer(1, 6), Image(io.BytesIO(picture), WIDTH, WIDTH * high / wide)]
    story += [
        PageBreak(),
        Heading("Why doses were left over, lesions left out, and what was found"),
    ]
    counts = [
        *(("left over", code, number) for code, number in cohort.residual_reasons.most_common()),
        *(("excluded", code, number) for code, number in cohort.exclusions.most_common()),
        *(("finding", code, number) for code, number in cohort.findings.most_common()),
    ]
    story.append(grid([["what", "code", "times"], *counts], [2, 5, 1]))
    story += [Spacer(1, 6), Heading("Cases that did not go through")]
    if not cohort.lost:
        return [*story, paragraph("none")]
    story.append(grid([["case", "status", "code", "cause"], *cohort.lost[:_LISTED]], [2, 1, 2, 6]))
    if len(cohort.lost) > _LISTED:
        more = len(cohort.lost) - _LISTED
        story.append(paragraph(f"and {more} more, in batch.csv"))
    return story


def _dose_rows(cohort: Cohort) -> list[list[Any]]:
    rows: list[list[Any]] = [
        [
            "drug",
            "cases",
            "allocated in all, mg",
            "median of a case, mg",
            "left over in all, mg",
            "lesions",
        ]
    ]
    for name, totals in cohort.totals_mg.items():
        rows.append(
            [
                name,
                len(totals),
                sum(totals, Decimal(0)),
                plain(median(totals)),
                sum(cohort.residuals_mg[name], Decimal(0)),
                len(cohort.doses_mg.get(name, [])),
            ]
        )
    return rows


def _picture(draw: Callable[[Any, Cohort], None], cohort: Cohort) -> bytes:
    figure = Figure(figsize=_FIGURE_INCHES, dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    draw(figure, cohort)
    content = io.BytesIO()
    canvas.print_png(content, metadata={"Software": None})
    return content.getvalue()


def _draw_doses(figure: Figure, cohort: Cohort) -> None:
    left, right = figure.subplots(1, 2)
    _histogram(left, cohort.totals_mg, "allocated dose of a case, mg", "cases")
    _histogram(right, cohort.doses_mg, "dose of a lesion, mg", "lesions")
    if len(cohort.totals_mg) > 1:
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4)


def _draw_volumes(figure: Figure, cohort: Cohort) -> None:
    left, right = figure.subplots(1, 2)
    _histogram(left, {"": cohort.volumes_ml}, "volume of a lesion, mL", "lesions", "#b58900")
    bands = [100 * one for one in cohort.bands]
    what = "half width of a dose's band, % of the dose"
    _histogram(right, {"": bands}, what, "doses with a band", "#2a7f62")


def _draw_residuals(figure: Figure, cohort: Cohort) -> None:
    left, right = figure.subplots(1, 2)
    above = {
        name: [one for one in residuals if one > 0]
        for name, residuals in cohort.residuals_mg.items()
    }
    _histogram(left, above, "left over in a case, mg (only where something is)", "cases")
    codes = (cohort.exclusions + cohort.residual_reasons).most_common(8)
    right.set_xlabel("times excluded, or reason of a residual", fontsize=8)
    if not codes:
        _nothing(right)
        return
    right.barh([code for code, _ in codes][::-1], [number for _, number in codes][::-1])
    right.xaxis.get_major_locator().set_params(integer=True)


def _histogram(
    axes: Axes,
    numbers: Mapping[str, Sequence[Decimal | float]],
    across: str,
    up: str,
    colour: str | None = None,
) -> None:
    """Numbers by what they are of; an empty frame says that there is none."""
    axes.set_xlabel(across, fontsize=8)
    axes.set_ylabel(up, fontsize=8)
    if not any(numbers.values()):
        _nothing(axes)
    # A few cases make a few bars, or each would stand by itself.
    most = max((len(some) for some in numbers.values()), default=0)
    bins = min(_BINS, max(5, round(most**0.5)))
    for name, some in numbers.items():
        if some:
            values = [float(one) for one in some]
            axes.hist(values, bins=bins, alpha=0.7, label=name, color=colour)
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _nothing(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center")
