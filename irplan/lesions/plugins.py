"""Segmenters made elsewhere: found by Python entry points, asked one lesion at a time, checked.

A distribution names its segmenter under the entry point group :data:`GROUP`. What the entry point
loads is an object (or a class without arguments, of which one is made) with the method of
:class:`Segmenter`. irplan needs none: its own segmenter is the default, and masks of any other tool
can be imported. Nothing that a plug-in does wrong ends the program: it becomes a finding that names
the plug-in, and the lesion is missing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from irplan import units
from irplan.errors import CallError
from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.lesions.gestures import Box, Prompt, Scribble
from irplan.lesions.handwork import REPEAT_HIGH, REPEAT_LOW, KeptMask, PackedMask
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.lesions.measurement import measure_lesion
from irplan.lesions.segmentation import LESIONS_OVERLAP, Segmentation, overlaps
from irplan.lesions.tissue import refusal
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume, HuArray

#: The entry point group.
GROUP = "irplan.segmenters"
#: Name of irplan's own segmenter.
BUILT_IN = "irplan"
#: A mask of which more than this share lies outside the body is no lesion. A setting.
OUTSIDE_BODY_SHARE = 0.5
#: A mask that comes no nearer than this (and a voxel) to anything that was drawn in the lesion lies
#: elsewhere: flipped, swapped, or of another lesion, mm. A setting.
ASTRAY_MM = 5.0
#: How often a plug-in that is still at work is left for a look at the cancel flag, seconds.
LOOK_EVERY_S = 0.1

STAGE = "lesions"

PLUGIN_FAILED = declare(
    "segmenter_failed",
    Severity.WARN,
    STAGE,
    "{lesion}: the segmenter {segmenter} failed: {error}; there is no lesion",
)
PLUGIN_MASK_REFUSED = declare(
    "segmenter_mask_refused",
    Severity.WARN,
    STAGE,
    "{lesion}: the mask of the segmenter {segmenter} is refused: {reason}; there is no lesion",
)
PLUGIN_BAND = declare(
    "segmenter_band_unknown",
    Severity.INFO,
    STAGE,
    "{lesion}: the segmenter {segmenter} does not say how sure it is; its volume band is the "
    "published spread of repeated readings (-25 % to +29 %)",
)


#: Codes of findings that tell why a plug-in gave no lesion. They are kept with the plan, like its
#: masks: without the plug-in nothing could tell them again.
UNANSWERED = frozenset((PLUGIN_FAILED.code, PLUGIN_MASK_REFUSED.code))


@dataclass(frozen=True)
class PluginPrompt:
    """The gestures of one lesion as a plug-in gets them. LPS mm.

    Attributes:
        kind: 'lung', 'liver', 'node', 'soft', 'skin', or '' where nobody said.
        points_inside, points_outside: (n, 3), clicks, and scribbles point by point.
        diameters: (n, 2, 3), both ends of each line from border to border, those of boxes among
            them.
        boxes: (n, 2, 3), two opposite corners of each box along the patient's axes; a side
            shorter than 1 mm was not drawn, so that extent is unknown.
        scribbles_inside, scribbles_outside: (m, 3) each, the points of a line as it was drawn.
    """

    lesion_id: str
    kind: str
    points_inside: FloatArray
    points_outside: FloatArray
    diameters: FloatArray
    boxes: FloatArray = field(default_factory=lambda: np.empty((0, 2, 3)))
    scribbles_inside: tuple[FloatArray, ...] = ()
    scribbles_outside: tuple[FloatArray, ...] = ()


@runtime_checkable
class Segmenter(Protocol):
    """What a plug-in is.

    ``name`` and ``version`` go into every document that holds one of its lesions.
    """

    name: str
    version: str

    def segment(
        self,
        hu: HuArray,
        spacing_mm: tuple[float, float, float],
        affine_lps: FloatArray,
        prompt: PluginPrompt,
    ) -> npt.NDArray[Any]:
        """The mask of one lesion.

        Args:
            hu: int16 (slices, rows, columns), Hounsfield units, read-only.
            spacing_mm: between (columns, rows, slices).
            affine_lps: (4, 4); takes (column, row, slice, 1) to LPS mm.
            prompt: what a person drew.

        Returns:
            (slices, rows, columns), true or above 0 in the lesion.
        """
        ...


@dataclass(frozen=True)
class Offered:
    """One segmenter that can be named.

    Attributes:
        name: what ``--segmenter`` takes.
        version: of the plug-in, or of its distribution.
        origin: distribution that brought it.
        error: why it cannot be used; '' where it can.
    """

    name: str
    version: str
    origin: str
    error: str = ""

    def document(self) -> dict[str, str]:
        """The segmenter as it stands in a document."""
        return {
            "name": self.name,
            "version": self.version,
            "origin": self.origin,
            "error": self.error,
        }


def offered(version: str) -> tuple[Offered, ...]:
    """irplan's own segmenter (of that version), then the plug-ins that are installed, by name."""
    found = [Offered(BUILT_IN, version, "irplan")]
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        origin = "" if point.dist is None else str(point.dist.name)
        told = "" if point.dist is None else str(point.dist.version)
        try:
            made = _load(point)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - another's code: it is told
            found.append(Offered(point.name, told, origin, _said(error)))
        else:
            found.append(Offered(point.name, str(made.version) or told, origin))
    return tuple(found)


def names() -> tuple[str, ...]:
    """Every name that can be chosen, irplan's own first; nothing is loaded."""
    return (BUILT_IN, *sorted({point.name for point in entry_points(group=GROUP)}))


def load_segmenter(name: str) -> Segmenter:
    """The installed plug-in of that name.

    Raises:
        CallError: there is none of that name, two claim it, or it cannot be loaded.
    """
    points = [point for point in entry_points(group=GROUP) if point.name == name]
    if not points:
        raise CallError(
            "unknown_segmenter",
            f"there is no segmenter '{name}'",
            "the segmenters are " + ", ".join(names()),
        )
    if len(points) > 1:
        origins = ", ".join(sorted(str(point.dist.name) for point in points if point.dist))
        raise CallError(
            "two_segmenters",
            f"two distributions offer the segmenter '{name}': {origins}",
            "uninstall one of them",
        )
    try:
        return _load(points[0])
    except (Exception, SystemExit) as error:
        raise CallError(
            "segmenter_broken",
            f"the segmenter '{name}' cannot be loaded: {_said(error)}",
            "mend or uninstall it, or work without --segmenter",
        ) from error


def told_of(segmenter: Segmenter) -> str:
    """Name and version, as every document with one of its lesions tells them."""
    return f"{segmenter.name} {segmenter.version}".strip()


def named(told: str) -> str:
    """What ``--segmenter`` calls the one that made a lesion; '' stands for irplan's own.

    Raises:
        CallError: it is not installed any more, or in another version.
    """
    if not told:
        return BUILT_IN
    for point in entry_points(group=GROUP):
        try:
            made = _load(point)
        except (Exception, SystemExit):  # noqa: BLE001 - another's code; a broken one made nothing
            continue
        if told_of(made) == told:
            return point.name
    raise CallError(
        "segmenter_gone",
        f"the segmenter '{told}' that made this lesion is not installed",
        "install it, or remove the lesion and draw it anew",
    )


def _load(point: EntryPoint) -> Segmenter:
    made = point.load()
    if isinstance(made, type):
        made = made()
    if not isinstance(made, Segmenter):
        raise TypeError(f"{point.value} has no name, version and segment(hu, spacing, affine, …)")
    return made


def segment_with(
    segmenter: Segmenter,
    volume: CtVolume,
    prompts: Sequence[Prompt],
    body: BoolArray | None,
    task: Task = SILENT,
) -> tuple[Segmentation, tuple[KeptMask, ...]]:
    """One measured lesion for each prompt that the plug-in answers with a sound mask.

    Args:
        segmenter: the plug-in.
        volume, prompts, body, task: as for :func:`irplan.lesions.segmentation.segment`.

    Returns:
        The lesions with findings, and their masks to be kept with the plan.
    """
    lesions: list[Lesion] = []
    findings: list[Finding] = []
    kept: list[KeptMask] = []
    told = told_of(segmenter)
    for number, prompt in enumerate(prompts, start=1):
        task.step(number - 1, len(prompts))
        refused = refusal(prompt, volume, body)
        answer = refused or _asked(segmenter, told, volume, prompt, body, task)
        if isinstance(answer, Finding):
            findings.append(answer)
            continue
        mask = KeptMask(prompt.lesion_id, PackedMask.of(answer), told)
        kept.append(mask)
        lesions.append(kept_lesion(prompt, mask, volume, body, number))
    task.step(len(prompts), len(prompts))
    findings += overlaps(lesions)
    return Segmentation(tuple(lesions), tuple(findings)), tuple(kept)


def joined(
    prompts: Sequence[Prompt],
    result: Segmentation,
    kept: Sequence[KeptMask],
    unanswered: Sequence[Finding],
    volume: CtVolume,
    body: BoolArray | None,
) -> Segmentation:
    """The lesions of prompts of which some were segmented now and others answered before.

    Args:
        result: of the prompts without a kept mask and without an answer.
        kept: masks that plug-ins made before.
        unanswered: why plug-ins made none, a finding a lesion.
        prompts, volume, body: as for :func:`segment_with`.

    Returns:
        The same as segmenting all prompts at once gave.
    """
    number_of = {one.lesion_id: number for number, one in enumerate(prompts, start=1)}
    mask_of = {one.lesion_id: one for one in kept}
    old = [
        kept_lesion(one, mask_of[one.lesion_id], volume, body, number_of[one.lesion_id])
        for one in prompts
        if one.lesion_id in mask_of
    ]
    lesions = sorted((*result.lesions, *old), key=lambda one: number_of[one.lesion_id])
    told = [one for one in result.findings if one.code != LESIONS_OVERLAP.code]
    told += [one for one in unanswered if one.subject in number_of]
    told.sort(key=lambda one: number_of.get(one.subject, len(prompts)))
    return Segmentation(tuple(lesions), (*told, *overlaps(lesions)))


def kept_lesion(
    prompt: Prompt, kept: KeptMask, volume: CtVolume, body: BoolArray | None, label: int
) -> Lesion:
    """The measured lesion of a mask that was kept: a plug-in's, or one carried from another scan.

    Raises:
        ValueError: the mask does not fit the scan, or names no source that there is.
    """
    mask = kept.mask.mask(volume.geometry)
    volume_ml = units.ml(mask.voxel_volume_ml)
    name = prompt.lesion_id
    if kept.source:
        carried = Lesion(
            lesion_id=name,
            label=label,
            source=LesionSource(kept.source),
            kind=prompt.kind,
            source_label=label,
            name=name,
            volume_ml=volume_ml,
            volume_low_ml=kept.low_ml,
            volume_high_ml=kept.high_ml,
            mask=mask,
        )
        return replace(measure_lesion(carried, volume, body), segmenter=kept.segmenter)
    lesion = Lesion(
        lesion_id=name,
        label=label,
        source=LesionSource.SEGMENTED,
        kind=prompt.kind,
        source_label=label,
        name=name,
        volume_ml=volume_ml,
        volume_low_ml=units.ml(volume_ml * REPEAT_LOW),
        volume_high_ml=units.ml(volume_ml * REPEAT_HIGH),
        mask=mask,
        segmenter=kept.segmenter,
        findings=(PLUGIN_BAND(name, lesion=name, segmenter=kept.segmenter),),
    )
    return replace(measure_lesion(lesion, volume, body), segmenter=kept.segmenter)


def _asked(
    segmenter: Segmenter,
    told: str,
    volume: CtVolume,
    prompt: Prompt,
    body: BoolArray | None,
    task: Task,
) -> LesionMask | Finding:
    grid, name = volume.geometry, prompt.lesion_id

    def ask() -> npt.NDArray[Any]:
        asked = segmenter.segment(volume.hu, grid.spacing_mm, affine_lps(grid), _prompt(prompt))
        return np.asarray(asked)

    answer = _waited_for(ask, task)
    if isinstance(answer, BaseException):
        return PLUGIN_FAILED(name, lesion=name, segmenter=told, error=_said(answer))
    reason = _unsound(answer, grid, body) or _astray(answer, grid, prompt)
    if reason:
        return PLUGIN_MASK_REFUSED(name, lesion=name, segmenter=told, reason=reason)
    return LesionMask.from_full(np.asarray(answer > 0), grid)


def _waited_for(
    ask: Callable[[], npt.NDArray[Any]], task: Task
) -> npt.NDArray[Any] | BaseException:
    """What a plug-in answers, or what it raised.

    It is another's code and may never come back: it has a thread of its own, which is left behind
    where a person cancels. It sees a read-only CT and nothing of the case.

    Raises:
        Cancelled: a stop was asked for meanwhile.
    """
    answers: list[npt.NDArray[Any] | BaseException] = []

    def work() -> None:
        try:
            answers.append(ask())
        except BaseException as error:  # noqa: BLE001 - also SystemExit: nothing it does ends us
            answers.append(error)

    worker = threading.Thread(target=work, name="segmenter", daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(LOOK_EVERY_S)
        task.step()
    return answers[0]


def _unsound(answer: npt.NDArray[Any], grid: GridGeometry, body: BoolArray | None) -> str:
    """Why an answer is no mask of a lesion; '' where it is one."""
    if answer.shape != grid.shape_zyx:
        return f"its shape is {answer.shape}, not {grid.shape_zyx}"
    if answer.dtype.kind not in "biuf":
        return f"it holds {answer.dtype}, not numbers"
    if answer.dtype.kind == "f" and not np.isfinite(answer).all():
        return "it holds numbers that are not finite"
    inside = answer > 0
    count = int(np.count_nonzero(inside))
    if not count:
        return "it is empty"
    if body is not None:
        share = 1.0 - np.count_nonzero(inside & body) / count
        if share > OUTSIDE_BODY_SHARE:
            return f"{round(100 * share)} % of it lies outside the body"
    return ""


def _astray(answer: npt.NDArray[Any], grid: GridGeometry, prompt: Prompt) -> str:
    """Why a mask lies elsewhere than what was drawn; '' where it lies there."""
    lines = [(line.start_lps_mm, line.end_lps_mm) for line in prompt.diameters]
    between = [np.linspace(start, end, 9) for start, end in lines]
    shown = np.concatenate([np.reshape(prompt.clicks_inside, (-1, 3)), *between])
    voxels = np.argwhere(answer > 0)[:, ::-1]
    gaps, _ = cKDTree(voxels * grid.spacing_mm).query(grid.to_index(shown) * grid.spacing_mm)
    away_mm = float(gaps.min())
    if away_mm <= ASTRAY_MM + max(grid.spacing_mm):
        return ""
    return f"it lies {units.mm(away_mm)} mm from what was drawn"


def affine_lps(grid: GridGeometry) -> FloatArray:
    """(4, 4): voxel (column, row, slice, 1) to LPS mm."""
    affine = np.eye(4)
    affine[:3, :3] = grid.axes * np.asarray(grid.spacing_mm)
    affine[:3, 3] = grid.origin_lps_mm
    return affine


def _prompt(prompt: Prompt) -> PluginPrompt:
    lines = [(line.start_lps_mm, line.end_lps_mm) for line in prompt.diameters]
    boxes = [
        (one.corner_lps_mm, one.opposite_lps_mm) for one in prompt.gestures if isinstance(one, Box)
    ]
    return PluginPrompt(
        prompt.lesion_id,
        prompt.kind.value if prompt.kind else "",
        np.array(prompt.clicks_inside, dtype=float).reshape(-1, 3),
        np.array(prompt.clicks_outside, dtype=float).reshape(-1, 3),
        np.array(lines, dtype=float).reshape(-1, 2, 3),
        np.array(boxes, dtype=float).reshape(-1, 2, 3),
        _scribbles(prompt, inside=True),
        _scribbles(prompt, inside=False),
    )


def _scribbles(prompt: Prompt, *, inside: bool) -> tuple[FloatArray, ...]:
    return tuple(
        np.array(one.points_lps_mm, dtype=float)
        for one in prompt.gestures
        if isinstance(one, Scribble) and one.inside is inside
    )


def _said(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
